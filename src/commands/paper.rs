//! `spinquote run --paper`: the venue's live market, played by the embedded exchange, and the engine at that one. Asks the venue for
//! public data only: no key is read, no order leaves.
//!
//! ```text
//!  venue: public + market streams, REST depth --> relay thread --> bounded channel --> LiveMarket in the embedded exchange
//!                                                                                              ^ orders, fills | market data
//!                                                                                            engine, as at any venue
//! ```
//!
//! Where the relay loses the venue, or frames do not join, the embedded exchange cuts its own market streams and answers no depth
//! snapshot, so the engine withdraws its quotes as it would at the venue; with a fresh snapshot both begin again. Fees are those of
//! the venue's regular tier, because an account's own can only be asked for with a key.

use super::listen::{Heard, Listener, Pauses, Venue};
use super::{embedded, trade};
use crate::cli::RunArgs;
use anyhow::{Context, Result};
use crossbeam::channel::TrySendError;
use spinquote::config::engine::{DepthStream, EngineSettings};
use spinquote::config::load::Strategy;
use spinquote::engine::clock::{Clock, wall};
use spinquote::engine::housekeeper::CONNECTION_LIFE;
use spinquote::engine::wiring::{Launch, new_run_dir};
use spinquote::instrument::Instrument;
use spinquote::maker::recipe::StrategyText;
use spinquote::sim::live::{Live, LiveFeeder, LiveMarket};
use spinquote::sim::protocol::LimitTerms;
use spinquote::sim::server::{Server, ServerWaker};
use spinquote::unit::Nanos;
use spinquote::venue::binance::usdm::instrument::{instrument, quotas};
use spinquote::venue::binance::usdm::rest;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Frames kept while a snapshot is awaited; more and the venue counts as lost. A quarter of a minute of the busiest second recorded.
const HELD_MAX: usize = 1 << 15;

pub fn run(args: &RunArgs, mut settings: EngineSettings, text: StrategyText, strategy: &Strategy) -> Result<ExitCode> {
    let interrupted = trade::interrupted()?;
    let venue = Venue::of_settings(&settings)?;
    let symbol = settings.venue.symbol.clone().unwrap_or_else(|| strategy.symbol());
    trade::say(&format!("paper: asking {} for the terms of {symbol}; no order leaves this machine", venue.rest_url()));
    let clock = Clock::new();
    let (terms, limits) = terms(&venue, &clock, &symbol, settings.risk.clock_skew_max)?;
    let listener = Listener::open(&venue, &symbol, &clock)?;
    let (market, feeder) = LiveMarket::new(terms);
    let mut config = embedded::config(Box::new(market));
    config.limits = limits;
    let exchange = Server::start(config).context("the embedded exchange")?;
    trade::say(&format!("embedded exchange at {} plays {symbol} as it comes", exchange.rest_url()));

    let (stop, losses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let relay = Relay {
        venue: venue.clone(),
        symbol: symbol.clone(),
        clock,
        feeder,
        waker: exchange.waker(),
        stop: Arc::clone(&stop),
        losses: Arc::clone(&losses),
        held: None,
    };
    let relay = std::thread::Builder::new().name("relay".into()).spawn(move || relay.run(listener))?;

    embedded::point_at(&mut settings, &exchange);
    // As they come: what the venue gathers is not to be gathered twice.
    settings.market.depth_stream = DepthStream::Fastest;
    let launch = Launch {
        credentials: embedded::credentials(),
        ca_pem: embedded::ca_pem(&exchange),
        symbol,
        leverage: strategy.leverage(),
        hedge: strategy.hedge(),
        strategy: text,
        run_dir: args.run_dir.clone().unwrap_or_else(|| new_run_dir(&settings.journal.dir, wall())),
        connection_life: CONNECTION_LIFE,
        description: serde_json::json!({"command": "paper", "venue": venue.rest_url()}),
        settings,
    };
    let result = trade::run(launch, args.run_for, args.json, &interrupted, || exchange.failed());
    // The exchange first: without its feeder it would end with an error.
    let ended = embedded::end(&exchange);
    stop.store(true, Ordering::Release);
    relay.join().map_err(|_| anyhow::anyhow!("the relay thread panicked"))?;
    let losses = losses.load(Ordering::Relaxed);
    if losses > 0 {
        trade::say(&format!("the venue's market was lost {losses} times; nothing was quoted meanwhile"));
    }
    let code = result?;
    ended.map(|()| code)
}

/// What the venue tells everybody: the contract's terms and the request limits.
fn terms(venue: &Venue, clock: &Clock, symbol: &str, skew_max: Nanos) -> Result<(Instrument, LimitTerms)> {
    let caller = venue.caller(clock)?;
    let skew = caller.sync_time().context("the venue's time")?;
    if skew.abs() > skew_max {
        // Its frames carry its time, and the embedded exchange runs on ours.
        trade::say(&format!("warning: the venue's clock is {} ms ahead of ours (T-TIME-SYNC)", skew.as_millis()));
    }
    let reply = caller.call(&rest::exchange_info())?;
    if let Err(error) = rest::body(reply.status, &reply.body) {
        return Err(error).with_context(|| format!("{}: exchangeInfo", venue.rest_url()));
    }
    let quotas = quotas(&reply.body)?;
    let limits = LimitTerms { weight_1m: quotas.weight_1m, orders_10s: quotas.orders_10s, orders_1m: quotas.orders_1m };
    Ok((instrument(&reply.body, symbol)?, limits))
}

/// Carries what the venue says into the embedded exchange's channel. Decodes nothing.
struct Relay {
    venue: Venue,
    symbol: String,
    clock: Clock,
    feeder: LiveFeeder,
    waker: ServerWaker,
    stop: Arc<AtomicBool>,
    losses: Arc<AtomicU64>,
    /// Frames that came since a snapshot was asked for; `None` when none is awaited.
    held: Option<Vec<Live>>,
}

impl Relay {
    fn run(mut self, first: Listener) {
        let mut listener = first;
        loop {
            if let Err(error) = self.session(&mut listener) {
                self.lost(&format!("{error:#}"));
            }
            let Some(next) = self.connect() else { return };
            trade::say("the venue is back");
            listener = next;
        }
    }

    /// Until the connection is lost (an error), or the end.
    fn session(&mut self, listener: &mut Listener) -> Result<()> {
        self.await_snapshot(listener);
        while !self.stop.load(Ordering::Acquire) {
            let mut full = false;
            listener.turn(Duration::from_millis(20), |at, heard| {
                full |= match heard {
                    Heard::Frame(text) => !self.pass(Live::Frame { at, text: text.to_vec() }),
                    Heard::Snapshot(body) => !self.snapshot(Live::Snapshot { at, body: body.to_vec() }),
                };
            })?;
            anyhow::ensure!(!full, "frames come faster than the embedded exchange takes them");
            if self.feeder.resync.try_recv().is_ok() {
                trade::say("the venue's depth frames do not join (or one cannot be read): a new snapshot is asked for");
                self.losses.fetch_add(1, Ordering::Relaxed);
                self.await_snapshot(listener);
            }
        }
        Ok(())
    }

    fn await_snapshot(&mut self, listener: &mut Listener) {
        self.held = Some(Vec::new());
        listener.ask_snapshot();
    }

    /// False when there is no room.
    fn pass(&mut self, message: Live) -> bool {
        if let Some(held) = &mut self.held {
            held.push(message);
            return held.len() < HELD_MAX;
        }
        let sent = self.feeder.feed.try_send(message);
        self.waker.wake();
        // Without an exchange the run is over.
        !matches!(sent, Err(TrySendError::Full(_)))
    }

    /// The snapshot, and behind it what came while it was awaited.
    fn snapshot(&mut self, snapshot: Live) -> bool {
        let held = self.held.take().unwrap_or_default();
        std::iter::once(snapshot).chain(held).all(|message| self.pass(message))
    }

    fn lost(&mut self, why: &str) {
        trade::say(&format!("the venue is lost: {why}"));
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.held = None;
        let mut message = Live::Lost { at: self.clock.now() };
        // It must arrive: nothing that came before the loss may be quoted on for longer than it takes to be read.
        while !self.stop.load(Ordering::Acquire) {
            self.waker.wake();
            match self.feeder.feed.send_timeout(message, Duration::from_millis(50)) {
                Err(crossbeam::channel::SendTimeoutError::Timeout(again)) => message = again,
                Ok(()) | Err(crossbeam::channel::SendTimeoutError::Disconnected(_)) => break,
            }
        }
        self.waker.wake();
        // A request from before the loss is answered by the snapshot that comes anyway.
        let _ = self.feeder.resync.try_recv();
    }

    fn connect(&self) -> Option<Listener> {
        let mut pauses = Pauses::default();
        while !self.stop.load(Ordering::Acquire) {
            match Listener::open(&self.venue, &self.symbol, &self.clock) {
                Ok(listener) => return Some(listener),
                Err(error) => trade::say(&format!("{error:#}")),
            }
            let mut left = pauses.next();
            while !self.stop.load(Ordering::Acquire) && !left.is_zero() {
                let nap = left.min(Duration::from_millis(50));
                std::thread::sleep(nap);
                left -= nap;
            }
        }
        None
    }
}
