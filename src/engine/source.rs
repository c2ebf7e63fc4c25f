//! Second price sources off the engine thread: a watched market's connection and snapshots, or a polled address. A thread of its own each,
//! because every call of it blocks and the housekeeper refreshes the dead-man switch; what it makes goes to the engine by way of the
//! housekeeper. Never retries in a hurry, never makes a price up.

use super::clock::Clock;
use super::connection::{Connection, Endpoint};
use super::rest::{Caller, Rest, root_certs};
use super::ring::Control;
use crate::config::engine::SourceSettings;
use crate::config::load::Strategy;
use crate::config::perpetual::{PriceSource, polled_price};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::Nanos;
use crate::venue::binance::Product;
use crate::venue::binance::usdm::rest;
use crate::wire::tls::{self, Roots};
use anyhow::{Context, Result};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Bound of one call and of each step of connecting.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between attempts to connect.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A connection is replaced before the venue's 24 hours are over.
const CONNECTION_LIFE: Duration = Duration::from_secs(23 * 3600);
/// How often a thread looks whether the run is over.
const ROUND: Duration = Duration::from_millis(50);
/// Longest answer of a polled address: a price has some twenty characters.
const ANSWER_MAX: u64 = 4096;
/// What may wait for the housekeeper; far above what can be under way.
pub const NEWS_CAPACITY: usize = 64;

/// What a source's thread tells the housekeeper.
pub enum News {
    /// For the engine.
    Made(Control),
    /// A price for the engine.
    Polled(Control),
    /// An attempt failed; it was logged.
    Failed,
}

/// What a watched market is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A new connection.
    Connect,
    /// A depth snapshot.
    Snapshot,
}

/// The second price source that a strategy asks for.
pub enum SourcePlan {
    /// Another market.
    Market(MarketPlan),
    /// A polled address.
    Polled(PollPlan),
}

/// Where a watched market is.
pub struct MarketPlan {
    /// Its product.
    pub product: Product,
    /// Its symbol.
    pub symbol: String,
    /// Oldest data that are quoted on.
    pub stale_after: Nanos,
    rest_url: String,
    ws_url: String,
    ca_pem: Option<Vec<u8>>,
}

/// What is polled, and how often.
pub struct PollPlan {
    url: String,
    interval: Duration,
    ca_pem: Option<Vec<u8>>,
}

impl PollPlan {
    /// Oldest price that is quoted on: three intervals without a new one.
    #[must_use]
    pub fn stale_after(&self) -> Nanos {
        Nanos(i64::try_from(self.interval.as_nanos() * 3).unwrap_or(i64::MAX))
    }
}

/// What the strategy asks for besides its own market; `None` if nothing. `local_ca` is trusted for addresses on this machine.
///
/// # Errors
/// A connector without known public addresses and no addresses in the settings, or a certificate file that cannot be read.
pub fn plan(strategy: &Strategy, settings: &SourceSettings, local_ca: Option<&[u8]>) -> Result<Option<SourcePlan>> {
    let Strategy::Perpetual(wanted) = strategy else { return Ok(None) };
    let named = settings
        .ca_file
        .as_ref()
        .map(|path| std::fs::read(path).with_context(|| format!("source.ca_file {}", path.display())));
    let named = named.transpose()?;
    let trusted = |url: &str| named.clone().or_else(|| local_ca.filter(|_| is_local(url)).map(<[u8]>::to_vec));
    Ok(match (strategy.source_market(), &wanted.price_source_custom_api) {
        (Some((connector, symbol)), _) => {
            let public = Product::addresses(connector);
            let address = |given: &Option<String>, key: &str, at: usize| {
                given.clone().or_else(|| public.map(|both| both[at].to_owned())).with_context(|| {
                    format!("price_source_derivative {connector} has no public address known here: set {key} in the engine file")
                })
            };
            let rest_url = address(&settings.rest_url, "source.rest_url", 0)?;
            let ws_url = address(&settings.ws_url, "source.ws_url", 1)?;
            Some(SourcePlan::Market(MarketPlan {
                product: Product::of_connector(connector),
                symbol,
                stale_after: settings.stale_after,
                ca_pem: trusted(&rest_url),
                rest_url,
                ws_url,
            }))
        }
        (None, Some(url)) if wanted.price_source == PriceSource::CustomApi => {
            let interval = Duration::from_nanos(wanted.custom_api_update_interval.0.unsigned_abs());
            Some(SourcePlan::Polled(PollPlan { url: url.clone(), interval, ca_pem: trusted(url) }))
        }
        (None, _) => None,
    })
}

fn is_local(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|here| host.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

/// A watched market's thread.
pub struct WatchedMarket {
    caller: Caller,
    product: Product,
    symbol: String,
    endpoint: Endpoint,
    id: InstrumentId,
    feed: usize,
}

impl MarketPlan {
    /// The market's terms, and the thread that is to connect it as instrument `id` on feed `feed`.
    ///
    /// # Errors
    /// The market cannot be asked, or does not trade the symbol.
    pub fn open(self, clock: &Clock, id: InstrumentId, feed: usize) -> Result<(Instrument, WatchedMarket)> {
        let Self { product, symbol, rest_url, ws_url, ca_pem, .. } = self;
        let rest = Rest::new(&rest_url, ca_pem.as_deref(), None, CALL_TIMEOUT).map_err(anyhow::Error::msg)?;
        let offset = Arc::new(AtomicI64::new(0));
        let caller = Caller::new(rest, None, clock.clone(), offset, Nanos::from_secs(5));
        let request = product.exchange_info(&symbol);
        let about = || format!("the price source {symbol} at {rest_url}");
        let reply = caller.call(&request).with_context(about)?;
        rest::body(reply.status, &reply.body).map_err(anyhow::Error::from).with_context(about)?;
        let instrument = product.instrument(&reply.body, &symbol).with_context(about)?;
        let roots = ca_pem.as_deref().map_or(Roots::WebPki, Roots::Pem);
        let url = format!("{ws_url}{}", product.stream_path(&symbol));
        let endpoint = Endpoint { url, tls: tls::client_config(roots)?, timeout: CALL_TIMEOUT };
        Ok((instrument, WatchedMarket { caller, product, symbol, endpoint, id, feed }))
    }
}

impl WatchedMarket {
    /// Connects and answers wishes until `gone`.
    pub fn run(self, wishes: &Receiver<Wish>, news: &Sender<News>, gone: &AtomicBool) {
        let (mut due, mut pause, mut since) = (Some(Instant::now()), RETRY_FIRST, Instant::now());
        while !gone.load(Ordering::Acquire) {
            match wishes.recv_timeout(ROUND) {
                Ok(Wish::Connect) => due = due.or(Some(Instant::now())),
                Ok(Wish::Snapshot) => self.tell(news, self.snapshot()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if due.is_none() && since.elapsed() > CONNECTION_LIFE {
                due = Some(Instant::now());
            }
            if due.is_none_or(|at| Instant::now() < at) {
                continue;
            }
            match Connection::open(&self.endpoint) {
                Ok(connection) => {
                    tracing::info!("connected {}", connection.name);
                    (due, pause, since) = (None, RETRY_FIRST, Instant::now());
                    let connection = Box::new(connection);
                    self.tell(news, Ok(Control::Market { feed: self.feed, connection }));
                }
                Err(error) => {
                    due = Some(Instant::now() + pause);
                    self.tell(news, Err(format!("{error}; next attempt in {} ms", pause.as_millis())));
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    fn snapshot(&self) -> Result<Control, String> {
        let reply = self.caller.call(&self.product.depth(&self.symbol)).map_err(|error| error.to_string())?;
        rest::body(reply.status, &reply.body).map_err(|error| error.to_string())?;
        let mut body = reply.body;
        let len = body.len();
        body.resize(len + crate::wire::buf::SPARE, 0);
        Ok(Control::Snapshot { instrument: self.id, body: body.into_boxed_slice(), len })
    }

    fn tell(&self, news: &Sender<News>, made: Result<Control, String>) {
        let told = match made {
            Ok(control) => News::Made(control),
            Err(error) => {
                tracing::error!("price source {}: {error}", self.symbol);
                News::Failed
            }
        };
        // Without a housekeeper the run is over.
        let _ = news.send(told);
    }
}

/// A polled address' thread.
pub struct Poller {
    agent: ureq::Agent,
    url: String,
    /// The address without its query, which may hold a token.
    name: String,
    interval: Duration,
    instrument: InstrumentId,
}

impl PollPlan {
    /// The thread that is to poll for instrument `instrument`.
    ///
    /// # Errors
    /// The certificate file holds no certificate.
    pub fn open(self, instrument: InstrumentId) -> Result<Poller> {
        let Self { url, interval, ca_pem } = self;
        let roots = root_certs(ca_pem.as_deref()).map_err(anyhow::Error::msg)?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .https_only(url.starts_with("https://"))
            .max_redirects(3)
            .user_agent(concat!("spinquote/", env!("CARGO_PKG_VERSION")))
            .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(CALL_TIMEOUT.min(interval.max(Duration::from_secs(1)))))
            .build()
            .new_agent();
        let name = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        Ok(Poller { agent, url, name, interval, instrument })
    }
}

impl Poller {
    /// Polls until `gone`.
    pub fn run(self, news: &Sender<News>, gone: &AtomicBool) {
        let (mut due, mut failed) = (Instant::now(), false);
        while !gone.load(Ordering::Acquire) {
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::sleep(left.min(ROUND));
                continue;
            }
            // Behind a slow answer the next one is due at once, and missed ones are left out.
            due = (due + self.interval).max(Instant::now());
            let told = match self.ask() {
                Ok(price) => {
                    if failed {
                        tracing::info!("price source {}: answers again", self.name);
                    }
                    failed = false;
                    News::Polled(Control::External(self.instrument, price))
                }
                Err(error) => {
                    // The first of a row is said; the counters tell of the others.
                    if !failed {
                        tracing::error!(
                            "price source {}: {error}; the last price holds for three intervals",
                            self.name
                        );
                    }
                    failed = true;
                    News::Failed
                }
            };
            if news.send(told).is_err() {
                return;
            }
        }
    }

    fn ask(&self) -> Result<crate::unit::Price, String> {
        let mut response = self.agent.get(&self.url).call().map_err(|error| match error {
            // Its text repeats the address.
            ureq::Error::BadUri(_) => "not an address that can be called".to_owned(),
            other => other.to_string(),
        })?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(format!("status {status}"));
        }
        let body = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
        let body =
            body.map_err(|error| format!("the answer cannot be read (at most {ANSWER_MAX} bytes are): {error}"))?;
        let text = std::str::from_utf8(&body).map_err(|_| "the answer is not text".to_owned())?;
        polled_price(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{self, Target};

    const BASE: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 3\n\
        bid_spread: 0.1\nask_spread: 0.1\norder_amount: 0.01\norder_refresh_time: 5\n";

    fn planned(lines: &str, settings: &SourceSettings) -> Result<Option<SourcePlan>> {
        let text = format!("{BASE}{lines}");
        let strategy = load::strategy_text("s.yml", &text, Target::Venue).unwrap_or_else(|p| panic!("{p:?}")).settings;
        plan(&strategy, settings, Some(b"local"))
    }

    #[test]
    fn the_strategy_says_which_source_and_the_settings_where() {
        let mut settings = SourceSettings::default();
        assert!(planned("", &settings).unwrap().is_none());
        let spot = "price_source: external_market\nprice_source_derivative: binance\nprice_source_market: BTC-USDC\n";
        let Some(SourcePlan::Market(market)) = planned(spot, &settings).unwrap() else { panic!("no market") };
        assert_eq!((market.product, market.symbol.as_str()), (Product::Spot, "BTCUSDC"));
        assert_eq!((market.rest_url.as_str(), &market.ca_pem), ("https://api.binance.com", &None));
        settings.rest_url = Some("https://127.0.0.1:8443".into());
        settings.ws_url = Some("wss://127.0.0.1:8443/spot".into());
        let Some(SourcePlan::Market(market)) = planned(spot, &settings).unwrap() else { panic!("no market") };
        assert_eq!((market.ws_url.as_str(), market.ca_pem), ("wss://127.0.0.1:8443/spot", Some(b"local".to_vec())));
        let polled = "price_source: custom_api\nprice_source_custom_api: https://p.example/x?t=1\n";
        let Some(SourcePlan::Polled(poll)) = planned(polled, &settings).unwrap() else { panic!("no poll") };
        assert_eq!((poll.stale_after(), poll.ca_pem), (Nanos::from_secs(15), None));
    }

    #[test]
    fn a_connector_without_public_addresses_needs_them_set() {
        let lines = "price_source: external_market\nprice_source_derivative: binance_perpetual_testnet\nprice_source_market: BTC-USDT\n";
        let error = planned(lines, &SourceSettings::default()).err().unwrap().to_string();
        assert!(error.contains("binance_perpetual_testnet") && error.contains("source.rest_url"), "{error}");
    }

    #[test]
    fn only_this_machine_is_local() {
        for (url, local) in [
            ("http://127.0.0.1:80/x", true),
            ("wss://localhost", true),
            ("https://[::1]:9/", true),
            ("https://127.0.0.1.evil.example/", false),
            ("https://localhost.example", false),
        ] {
            assert_eq!(is_local(url), local, "{url}");
        }
    }
}
