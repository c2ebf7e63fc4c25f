//! The venue's public market data as it comes: both streams and depth snapshots, for recordings and for paper. Needs no key, sends
//! no order, decodes nothing; says what it lost and leaves it to the caller to open a new one.

use anyhow::{Context, Result, bail};
use spinquote::config::engine::{DepthStream, EngineSettings};
use spinquote::config::value;
use spinquote::engine::clock::Clock;
use spinquote::engine::connection::{Connection, Endpoint, LinkFault};
use spinquote::engine::rest::{Budget, Caller, Rest};
use spinquote::unit::Nanos;
use spinquote::venue::binance::usdm::{market_path, public_path, rest};
use spinquote::wire::tls::{self, Roots};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Bound of one REST call and of each step of connecting.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream that is silent for so long is given up: depth and mark price of a trading contract come every second.
const SILENCE_MAX: Nanos = Nanos::from_secs(30);
/// Least pause between two requests for a snapshot: each costs 20 of the venue's 2,400 a minute.
const SNAPSHOT_RETRY: Nanos = Nanos::from_secs(1);
/// First and longest pause between attempts to connect.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Where the public data is.
#[derive(Clone)]
pub struct Venue {
    rest_url: String,
    public_url: String,
    market_url: String,
    depth: &'static str,
    ca_pem: Option<Vec<u8>>,
    tls: Arc<rustls::ClientConfig>,
    budget: Arc<Budget>,
}

impl Venue {
    /// The venue of an engine file.
    pub fn of_settings(settings: &EngineSettings) -> Result<Self> {
        let venue = &settings.venue;
        let depth = match settings.market.depth_stream {
            DepthStream::Fastest => "0ms",
            DepthStream::Every100ms => "100ms",
        };
        let (public, market) = (venue.public_ws_url.clone(), venue.market_ws_url.clone());
        Self::new(venue.rest_url.clone(), public, market, depth, venue.ca_file.as_deref())
    }

    /// A server that has everything on one port, as `spinquote sim` does.
    pub fn of_url(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        let mut base = String::new();
        value::address(url, "wss", "ws").map(|url| base = url).map_err(|why| anyhow::anyhow!("--url {url}: {why}"))?;
        let rest = base.replacen("ws", "http", 1);
        Self::new(rest, format!("{base}/public"), format!("{base}/market"), "0ms", ca_file)
    }

    fn new(rest: String, public: String, market: String, depth: &'static str, ca: Option<&Path>) -> Result<Self> {
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("certificates {}", path.display()));
        let ca_pem = ca.map(read).transpose()?;
        let tls = tls::client_config(ca_pem.as_deref().map_or(Roots::WebPki, Roots::Pem))?;
        Ok(Self { rest_url: rest, public_url: public, market_url: market, depth, ca_pem, tls, budget: Arc::default() })
    }

    /// Its REST address.
    pub fn rest_url(&self) -> &str {
        &self.rest_url
    }

    /// Unsigned REST calls.
    pub fn caller(&self, clock: &Clock) -> Result<Caller> {
        let rest = Rest::new(&self.rest_url, self.ca_pem.as_deref(), None, CALL_TIMEOUT).map_err(anyhow::Error::msg)?;
        Ok(Caller::new(rest, None, clock.clone(), Arc::default(), Nanos::from_secs(5)).sharing(&self.budget))
    }
}

/// Something that came.
pub enum Heard<'a> {
    /// A frame of either stream.
    Frame(&'a [u8]),
    /// The body of a depth snapshot that was asked for.
    Snapshot(&'a [u8]),
}

/// Both streams of one symbol.
pub struct Listener {
    poll: mio::Poll,
    events: mio::Events,
    links: [Connection; 2],
    caller: Arc<Caller>,
    clock: Clock,
    symbol: String,
    snapshot_due: Option<Nanos>,
    snapshot_asked: Nanos,
    snapshot: Option<Receiver<Result<Vec<u8>, String>>>,
}

impl Listener {
    /// Connects both streams. Blocks for at most a few times the bound of a step.
    pub fn open(venue: &Venue, symbol: &str, clock: &Clock) -> Result<Self> {
        let open =
            |url: String| Connection::open(&Endpoint { url, tls: Arc::clone(&venue.tls), timeout: CALL_TIMEOUT });
        let mut links = [
            open(format!("{}{}", venue.public_url, public_path(&[symbol], venue.depth)))?,
            open(format!("{}{}", venue.market_url, market_path(&[symbol])))?,
        ];
        let poll = mio::Poll::new().context("poll set")?;
        for (at, link) in links.iter_mut().enumerate() {
            link.register(poll.registry(), mio::Token(at)).context("poll set")?;
            link.heard_at = clock.now();
        }
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(8),
            links,
            caller: Arc::new(venue.caller(clock)?),
            clock: clock.clone(),
            symbol: symbol.to_owned(),
            snapshot_due: None,
            snapshot_asked: Nanos::ZERO,
            snapshot: None,
        })
    }

    /// Asks for a depth snapshot; it is heard when it is there, and asked for again while it cannot be had.
    pub fn ask_snapshot(&mut self) {
        self.snapshot_due = Some(self.clock.now().max(self.snapshot_asked + SNAPSHOT_RETRY));
    }

    /// Waits for at most `wait` and hands over what came, each with its time. An error says what was lost.
    pub fn turn(&mut self, wait: Duration, mut hear: impl FnMut(Nanos, Heard<'_>)) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error).context("poll"),
            _ => {}
        }
        for link in &mut self.links {
            let ended = drain(link, &self.clock, &mut hear);
            ended.with_context(|| link.name.clone())?;
            let silent = self.clock.now() - link.heard_at;
            if silent > SILENCE_MAX {
                bail!("{}: silent for {} s", link.name, SILENCE_MAX.0 / 1_000_000_000);
            }
        }
        self.snapshots(&mut hear);
        Ok(())
    }

    /// Snapshots are called for in a thread of their own: the streams' receive times must stay true.
    fn snapshots(&mut self, hear: &mut impl FnMut(Nanos, Heard<'_>)) {
        let now = self.clock.now();
        if let Some(pending) = &self.snapshot {
            let why = match pending.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(Ok(body)) => {
                    hear(now, Heard::Snapshot(&body));
                    None
                }
                Ok(Err(why)) => Some(why),
                Err(TryRecvError::Disconnected) => Some("the call panicked".to_owned()),
            };
            self.snapshot = None;
            if let Some(why) = why {
                super::trade::say(&format!("depth snapshot: {why}; asked for again"));
                self.ask_snapshot();
            }
        }
        if self.snapshot_due.is_some_and(|due| now >= due) {
            (self.snapshot_due, self.snapshot_asked) = (None, now);
            let (caller, request, (answer, pending)) = (Arc::clone(&self.caller), rest::depth(&self.symbol), channel());
            let call = move || {
                let result = match caller.call(&request) {
                    Ok(reply) => match rest::body(reply.status, &reply.body) {
                        Ok(_) => Ok(reply.body),
                        Err(error) => Err(error.to_string()),
                    },
                    Err(error) => Err(error.to_string()),
                };
                let _ = answer.send(result);
            };
            let _ = std::thread::Builder::new().name("snapshot".into()).spawn(call);
            self.snapshot = Some(pending);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.links.iter_mut().for_each(Connection::close);
    }
}

/// Reads a connection empty. What came before its end is handed over first.
fn drain(link: &mut Connection, clock: &Clock, hear: &mut impl FnMut(Nanos, Heard<'_>)) -> Result<(), LinkFault> {
    loop {
        let more = link.receive();
        let now = clock.now();
        while let Some(range) = link.next_message()? {
            link.heard_at = now;
            hear(now, Heard::Frame(link.inbound.bytes(range)));
        }
        let (_, more) = more?;
        if !more {
            return if link.unsent() { link.flush() } else { Ok(()) };
        }
    }
}

/// The pauses between attempts to connect: doubling up to a bound.
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(RETRY_FIRST)
    }
}

impl Pauses {
    /// How long to wait before the next attempt.
    pub fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(RETRY_MAX);
        pause
    }
}
