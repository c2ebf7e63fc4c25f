//! The pretend venue as a server: one thread, one port for REST and every WebSocket path, TLS or plain, on the world's clock.
//!
//! Markets are played in real time; the exchange, the protocol and the faults act at the time of the pass. Bounds: the output
//! that waits for a client (`output_max`; a slower one is dropped and counted), requests of 128 KiB, 1024 streams and 10 messages
//! a second of a stream connection. Own orders are not part of the published book.

mod connection;
mod feed;
mod request;
mod run;
mod stream;
#[cfg(test)]
mod tests;

pub use connection::Gone;
pub use stream::{Channel, Endpoint, Subscription, endpoint};

use crate::event::PositionSide;
use crate::instrument::InstrumentId;
use crate::sim::account::Ledger;
use crate::sim::exchange::Exchange;
use crate::sim::fault::FaultScript;
use crate::sim::market::{MarketError, MarketSource};
use crate::sim::order::{AccountId, Order};
use crate::sim::protocol::{KeyError, LimitTerms};
use crate::sim::queue::QueueModel;
use crate::sim::spot::SpotConfig;
use crate::unit::{Lots, Money, Nanos};
use crate::wire::tls::{self, TlsError};
use run::{Ask, Runner};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;

/// An API key and its account.
#[derive(Clone)]
pub struct AccountConfig {
    /// The API key.
    pub key: String,
    /// The HMAC secret.
    pub secret: String,
    /// An Ed25519 public key (PEM), if the key may log on.
    pub public_pem: Option<String>,
    /// What the wallet holds at the start.
    pub deposit: Money,
}

impl AccountConfig {
    /// A key with 100 000 of the quote asset.
    #[must_use]
    pub fn new(key: &str, secret: &str) -> Self {
        let deposit = Money(100_000 * 10_i128.pow(18));
        Self { key: key.to_owned(), secret: secret.to_owned(), public_pem: None, deposit }
    }
}

/// What to serve, and how.
pub struct ServerConfig {
    /// Address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Speak TLS with a certificate made at the start.
    pub tls: bool,
    /// The markets, one per instrument.
    pub markets: Vec<Box<dyn MarketSource + Send>>,
    /// A spot market beside them, to be looked at: streams below `/spot`, requests below `/api/v3`.
    pub spot: Option<SpotConfig>,
    /// The accounts, one per key.
    pub accounts: Vec<AccountConfig>,
    /// Of the order ids and of the faults' coins.
    pub seed: u64,
    /// How queue places advance.
    pub queue: QueueModel,
    /// What goes wrong.
    pub faults: FaultScript,
    /// Times in recorded frames become those of now (in place, the length stays); `false` sends them as recorded.
    pub shift_times: bool,
    /// How many times faster than it happened a market is played; 1 outside of tests. Orders, funding and timers keep to the
    /// world's clock.
    pub speed: u32,
    /// Rate limits.
    pub limits: LimitTerms,
    /// A WebSocket connection lives this long.
    pub connection_life: Nanos,
    /// A ping goes out every so often.
    pub ping_every: Nanos,
    /// A client that has not answered for this long is dropped.
    pub pong_within: Nanos,
    /// Bytes that may wait for one client.
    pub output_max: usize,
}

impl ServerConfig {
    /// Serves `markets` to `accounts` on a free port of the loopback address over TLS, with the venue's terms and no faults.
    #[must_use]
    pub fn new(markets: Vec<Box<dyn MarketSource + Send>>, accounts: Vec<AccountConfig>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: true,
            markets,
            spot: None,
            accounts,
            seed: 1,
            queue: QueueModel::default(),
            faults: FaultScript::default(),
            shift_times: true,
            speed: 1,
            limits: LimitTerms::default(),
            connection_life: Nanos::from_secs(24 * 3600),
            ping_every: Nanos::from_secs(180),
            pong_within: Nanos::from_secs(600),
            output_max: 8 << 20,
        }
    }
}

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is the port in use?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system refused something else.
    #[error("the pretend venue's event loop failed: {0}")]
    Io(#[from] std::io::Error),
    /// No certificate could be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key is not valid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A market cannot be played.
    #[error("the market of {symbol} cannot be played: {source}")]
    Market {
        /// Which instrument.
        symbol: String,
        /// Why.
        source: MarketError,
    },
    /// Nothing to serve.
    #[error("a pretend venue needs at least one market and one account")]
    Nothing,
}

/// What the server has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ServerCounts {
    /// Connections accepted.
    pub connections: u64,
    /// REST requests answered.
    pub rest: u64,
    /// Of those, requests with an API key or a signature.
    pub signed: u64,
    /// WebSocket API requests answered.
    pub ws_api: u64,
    /// Market frames sent, all clients together.
    pub market_frames: u64,
    /// Private frames sent.
    pub private_frames: u64,
    /// Clients dropped because they did not read.
    pub slow_dropped: u64,
    /// Clients dropped for what they sent.
    pub protocol_dropped: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Every recording is at its end.
    pub markets_ended: bool,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    cert_pem: Option<String>,
    tls: bool,
    ask: mpsc::Sender<Ask>,
    waker: Arc<mio::Waker>,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    thread: Mutex<Running>,
}

/// See [`Server::waker`].
#[derive(Clone)]
pub struct ServerWaker(Arc<mio::Waker>);

impl ServerWaker {
    /// Something has come.
    pub fn wake(&self) {
        // Without it the server looks by itself, a tenth of a second later at most.
        let _ = self.0.wake();
    }
}

enum Running {
    Thread(JoinHandle<Ended>),
    Ended(Box<Ended>),
    Joining,
}

/// What is left of a server: its exchange stays there to be looked at.
pub struct Ended {
    exchange: Exchange,
    counts: ServerCounts,
    error: Option<ServerError>,
}

impl Server {
    /// Starts serving in a thread of its own.
    ///
    /// # Errors
    /// The address is taken, a key is not valid, or a market cannot be played.
    pub fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let (runner, parts) = prepare(config)?;
        let thread = std::thread::Builder::new().name("sim".into()).spawn(move || {
            let mut runner = runner;
            let error = runner.run().err();
            let (exchange, counts) = runner.into_parts();
            Ended { exchange, counts, error }
        })?;
        let Parts { address, cert_pem, tls, ask, waker, stop, failed } = parts;
        Ok(Self { address, cert_pem, tls, ask, waker, stop, failed, thread: Mutex::new(Running::Thread(thread)) })
    }

    /// Serves in this thread until `stop` is set (looked at ten times a second); `ready` is called with the address and the
    /// certificate once connections are taken.
    ///
    /// # Errors
    /// As [`Server::start`], or the event loop failed.
    pub fn run(
        config: ServerConfig,
        stop: &AtomicBool,
        ready: impl FnOnce(SocketAddr, Option<&str>),
    ) -> Result<ServerCounts, ServerError> {
        let (mut runner, parts) = prepare(config)?;
        ready(parts.address, parts.cert_pem.as_deref());
        runner.run_until(stop)?;
        Ok(runner.into_parts().1)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate to trust, PEM; `None` without TLS.
    #[must_use]
    pub fn cert_pem(&self) -> Option<&str> {
        self.cert_pem.as_deref()
    }

    /// Base URL for REST, such as `https://127.0.0.1:5000`.
    #[must_use]
    pub fn rest_url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// Base URL for WebSockets, such as `wss://127.0.0.1:5000`.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.address)
    }

    /// Ends it; its exchange can still be asked. Later calls do nothing.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.waker.wake();
        drop(self.ended());
    }

    /// Looks at (or works on) the exchange, between two passes of the server or after its end.
    pub fn with<T: Send + 'static>(&self, f: impl FnOnce(&mut Exchange, Nanos) -> T + Send + 'static) -> T {
        self.with_counts(move |exchange, now, _| f(exchange, now))
    }

    fn with_counts<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Exchange, Nanos, ServerCounts) -> T + Send + 'static,
    ) -> T {
        let f = Arc::new(Mutex::new(Some(f)));
        let (answer, receive) = mpsc::channel();
        let inside = Arc::clone(&f);
        let ask = Ask::Look(Box::new(move |exchange, now, counts| {
            if let Some(f) = inside.lock().ok().and_then(|mut f| f.take()) {
                let _ = answer.send(f(exchange, now, counts));
            }
        }));
        if self.ask.send(ask).is_ok() {
            let _ = self.waker.wake();
            if let Ok(value) = receive.recv() {
                return value;
            }
        }
        // The thread has ended without taking the question.
        let mut ended = self.ended();
        let Running::Ended(end) = &mut *ended else { unreachable!("the thread was joined") };
        let f = f.lock().ok().and_then(|mut f| f.take()).expect("nobody took the question");
        f(&mut end.exchange, run::clock(), end.counts)
    }

    /// From now on goes wrong what `faults` says, counted from now, and nothing of before.
    pub fn strike(&self, faults: FaultScript) {
        // A server that has ended commits no faults.
        if self.ask.send(Ask::Faults(faults)).is_ok() {
            let _ = self.waker.wake();
        }
    }

    /// Makes the server look at its markets now; for the feeder of a live one.
    #[must_use]
    pub fn waker(&self) -> ServerWaker {
        ServerWaker(Arc::clone(&self.waker))
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        self.with_counts(|_, _, counts| counts)
    }

    /// The ledger of an account.
    #[must_use]
    pub fn ledger(&self, account: AccountId) -> Ledger {
        self.with(move |exchange, _| exchange.account(account).ledger().clone())
    }

    /// The open orders of an account.
    #[must_use]
    pub fn open_orders(&self, account: AccountId) -> Vec<Order> {
        self.with(move |exchange, _| exchange.orders().open(account).copied().collect())
    }

    /// A position of an account.
    #[must_use]
    pub fn position(&self, account: AccountId, instrument: InstrumentId, side: PositionSide) -> Lots {
        self.with(move |exchange, _| exchange.account(account).position(instrument, side).qty)
    }

    /// A market cannot be played on, or the event loop failed; [`Server::error`] says why. Requests are still answered if only a market failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire) || self.has_ended()
    }

    fn has_ended(&self) -> bool {
        let running = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        !matches!(&*running, Running::Thread(thread) if !thread.is_finished())
    }

    /// What ended it, if it was not [`Server::stop`]. Waits for the end.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let ended = self.ended();
        let Running::Ended(end) = &*ended else { unreachable!("the thread was joined") };
        end.error.as_ref().map(ToString::to_string)
    }

    /// Joins the thread once.
    fn ended(&self) -> MutexGuard<'_, Running> {
        let mut running = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if matches!(*running, Running::Thread(_))
            && let Running::Thread(thread) = std::mem::replace(&mut *running, Running::Joining)
        {
            *running = Running::Ended(Box::new(thread.join().expect("the server thread panicked")));
        }
        running
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.waker.wake();
        let running = self.thread.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Running::Thread(thread) = std::mem::replace(running, Running::Joining) {
            let _ = thread.join();
        }
    }
}

struct Parts {
    address: SocketAddr,
    cert_pem: Option<String>,
    tls: bool,
    ask: mpsc::Sender<Ask>,
    waker: Arc<mio::Waker>,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
}

fn prepare(config: ServerConfig) -> Result<(Runner, Parts), ServerError> {
    if config.markets.is_empty() || config.accounts.is_empty() {
        return Err(ServerError::Nothing);
    }
    let (cert_pem, tls_config) = if config.tls {
        let host = config.listen.ip().to_string();
        let mut names = vec!["localhost", "127.0.0.1", "::1"];
        if !config.listen.ip().is_unspecified() && !names.contains(&host.as_str()) {
            names.push(&host);
        }
        let (certificate, key) = tls::self_signed(&names)?;
        let config = tls::server_config(certificate.as_bytes(), key.as_bytes())?;
        (Some(certificate), Some(config))
    } else {
        (None, None)
    };
    let tls = config.tls;
    let (ask, questions) = mpsc::channel();
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (runner, address, waker) = Runner::new(config, tls_config, questions, Arc::clone(&stop), Arc::clone(&failed))?;
    Ok((runner, Parts { address, cert_pem, tls, ask, waker, stop, failed }))
}
