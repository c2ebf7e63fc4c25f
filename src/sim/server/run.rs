//! The server's loop: market events when they are due, clients when they speak, time when it passes.

use super::connection::{Connection, Gone, Talk, Ws};
use super::feed::Feed;
use super::stream::{self, Channel};
use super::{ServerConfig, ServerCounts, ServerError};
use crate::event::Level;
use crate::instrument::InstrumentId;
use crate::sim::exchange::Exchange;
use crate::sim::fault::{FaultKind, FaultScript, Faults};
use crate::sim::order::{AccountId, Execution, Notice, PrivateEvent};
use crate::sim::protocol::{Books, Credentials, Protocol, World, private};
use crate::sim::spot::SpotMarket;
use crate::sim::tape::Tape;
use crate::unit::{Nanos, Seq};
use crate::wire::buf::SendBuf;
use crate::wire::tls::ServerHandshake;
use crate::wire::ws::Opcode;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig as TlsConfig;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A look at the exchange, or work on it.
pub type Look = Box<dyn FnOnce(&mut Exchange, Nanos, ServerCounts) + Send>;

/// What another thread wants of the server.
pub enum Ask {
    /// A look.
    Look(Look),
    /// This goes wrong from now on, and nothing else.
    Faults(FaultScript),
}

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST: usize = 2;
/// Connections at once; further ones are closed on arrival.
const CONNECTIONS_MAX: usize = 256;
/// Market events played before the sockets are looked at again.
const EVENTS_PER_PASS: usize = 64;
/// How often slow timers (pings, lives, listen keys) are looked at.
const HOUSEKEEPING: Nanos = Nanos::from_millis(100);
/// The system's poll rounds up to milliseconds: shorter waits sleep in steps and look at the sockets between.
const NAP: Duration = Duration::from_micros(100);

/// Wall-clock time.
pub fn clock() -> Nanos {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Nanos(i64::try_from(now.as_nanos()).expect("a clock before 2262"))
}

/// Everything of the server's thread.
pub struct Runner {
    poll: Poll,
    listener: TcpListener,
    tls: Option<Arc<TlsConfig>>,
    pub(super) connections: Vec<Option<Connection>>,
    feeds: Vec<Feed>,
    pub(super) spot: Option<SpotMarket>,
    pub(super) tapes: Vec<Tape>,
    pub(super) exchange: Exchange,
    pub(super) protocol: Protocol,
    pub(super) faults: Faults,
    pub(super) config: ServerConfig,
    pub(super) staging: SendBuf,
    pub(super) counts: ServerCounts,
    questions: mpsc::Receiver<Ask>,
    stop: Arc<AtomicBool>,
    /// Why markets are not played on, and which. Their clients are served all the same: they have orders to cancel.
    failure: Option<ServerError>,
    failed: Arc<AtomicBool>,
    over: Vec<bool>,
    next_housekeeping: Nanos,
    /// A private frame that a reorder fault holds back until the next one has gone.
    swapped: Option<(AccountId, &'static str, Vec<u8>)>,
    envelope: Vec<u8>,
    pub(super) now: Nanos,
}

/// Depth out of the feeds.
pub struct FeedBooks<'a>(pub &'a [Feed]);

impl Books for FeedBooks<'_> {
    fn snapshot(&self, id: InstrumentId, limit: usize, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Seq {
        self.0[usize::from(id.0)].snapshot(limit, bids, asks)
    }
}

impl Runner {
    /// Listens; nothing is served before [`Runner::run`].
    pub fn new(
        mut config: ServerConfig,
        tls: Option<Arc<TlsConfig>>,
        questions: mpsc::Receiver<Ask>,
        stop: Arc<AtomicBool>,
        failed: Arc<AtomicBool>,
    ) -> Result<(Self, SocketAddr, Arc<Waker>), ServerError> {
        let poll = Poll::new()?;
        let listen = |source| ServerError::Listen { address: config.listen, source };
        let mut listener = TcpListener::bind(config.listen).map_err(listen)?;
        let address = listener.local_addr()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let now = clock();
        let markets = std::mem::take(&mut config.markets);
        let instruments = markets.iter().map(|m| m.instrument().clone()).collect();
        let mut exchange = Exchange::new(instruments, config.seed, config.queue);
        let mut credentials = Credentials::default();
        for account in &config.accounts {
            let id = exchange.open_account(now, account.deposit);
            credentials.add(id, &account.key, &account.secret, account.public_pem.as_deref())?;
        }
        let mut feeds = Vec::with_capacity(markets.len());
        for (at, source) in markets.into_iter().enumerate() {
            let id = InstrumentId(u16::try_from(at).expect("at most 65536 markets"));
            let symbol = source.instrument().symbol.to_string();
            let feed = Feed::new(source, id, now, config.shift_times, config.speed);
            let feed = feed.map_err(|source| ServerError::Market { symbol, source })?;
            feed.prime(now, &mut exchange);
            feeds.push(feed);
        }
        let spot = config.spot.take().map(|spot| {
            let symbol = spot.source.instrument().symbol.to_string();
            SpotMarket::new(spot, now, config.speed).map_err(|source| ServerError::Market { symbol, source })
        });
        let spot = spot.transpose()?;
        let tapes = feeds.iter().map(|_| Tape::default()).collect();
        let over = vec![false; feeds.len()];
        let runner = Self {
            poll,
            listener,
            tls,
            connections: Vec::new(),
            feeds,
            spot,
            tapes,
            exchange,
            protocol: Protocol::new(credentials, config.limits),
            faults: Faults::new(&config.faults, config.seed, now),
            staging: SendBuf::new(config.output_max + 64),
            counts: ServerCounts::default(),
            questions,
            stop,
            failure: None,
            failed,
            over,
            next_housekeeping: now,
            swapped: None,
            envelope: Vec::with_capacity(64 * 1024),
            now,
            config,
        };
        Ok((runner, address, waker))
    }

    /// The exchange and the counts, at the end.
    pub fn into_parts(self) -> (Exchange, ServerCounts) {
        (self.exchange, self.counts)
    }

    /// Serves until the own stop flag is set. A market that cannot be played on is told at the end.
    pub fn run(&mut self) -> Result<(), ServerError> {
        let never = AtomicBool::new(false);
        self.serve_until(&never, false)
    }

    /// Serves until either flag is set, or a market cannot be played on.
    pub fn run_until(&mut self, other: &AtomicBool) -> Result<(), ServerError> {
        self.serve_until(other, true)
    }

    fn serve_until(&mut self, other: &AtomicBool, strict: bool) -> Result<(), ServerError> {
        let mut events = Events::with_capacity(256);
        while !self.stop.load(Ordering::Acquire) && !other.load(Ordering::Acquire) {
            if strict && self.failure.is_some() {
                break;
            }
            let due = self.pass()?;
            self.wait(due, &mut events)?;
            self.now = clock().max(self.now);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    WAKER => {}
                    Token(token) => self.serve(token - FIRST),
                }
            }
            while let Ok(ask) = self.questions.try_recv() {
                match ask {
                    Ask::Look(look) => {
                        look(&mut self.exchange, self.now, self.counts);
                        self.tell();
                    }
                    Ask::Faults(script) => self.faults.replace(&script, self.now),
                }
            }
        }
        self.flush();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Everything that is due now; returns when the next thing will be.
    fn pass(&mut self) -> Result<Nanos, ServerError> {
        self.now = clock().max(self.now);
        let now = self.now;
        let skew = self.skew();
        let silent = self.faults.strikes(now, FaultKind::Silence);
        let release = self.release();
        let mut due = Nanos::MAX;
        for at in 0..self.feeds.len() {
            if self.over[at] {
                continue;
            }
            let id = InstrumentId(at as u16);
            let (feed, tape) = (&mut self.feeds[at], &mut self.tapes[at]);
            let (connections, staging) = (&mut self.connections, &mut self.staging);
            let (envelope, sent) = (&mut self.envelope, &mut self.counts.market_frames);
            let mut emit = |channel: Channel, data: &[u8]| {
                if !silent {
                    *sent += broadcast(connections, staging, envelope, now, release, id, channel, data);
                }
            };
            let faults = &mut self.faults;
            let mut failure = None;
            for _ in 0..EVENTS_PER_PASS {
                let mut gap = || faults.strikes(now, FaultKind::Gap);
                match feed.play(now, skew, &mut self.exchange, tape, &mut gap, &mut emit) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            feed.flush(now, skew, &self.exchange, tape, &mut emit);
            if feed.take_lost() {
                for connection in connections.iter_mut().flatten().filter(|connection| connection.hears(id)) {
                    connection.gone = Some(Gone::Ours);
                }
            }
            match (failure, feed.due(tape)) {
                (None, Ok(next)) => due = due.min(next),
                (Some(source), _) | (None, Err(source)) => {
                    let symbol = self.exchange.instrument(id).symbol.to_string();
                    self.failure.get_or_insert(ServerError::Market { symbol, source });
                    self.over[at] = true;
                    self.failed.store(true, Ordering::Release);
                }
            }
        }
        if let Some(spot) = &mut self.spot {
            let silent = self.faults.strikes(now, FaultKind::SpotSilence);
            let (connections, staging) = (&mut self.connections, &mut self.staging);
            let (envelope, sent) = (&mut self.envelope, &mut self.counts.market_frames);
            let id = InstrumentId(u16::MAX);
            let mut emit = |channel, data: &[u8]| {
                if !silent {
                    *sent += broadcast(connections, staging, envelope, now, release, id, Channel::Spot(channel), data);
                }
            };
            let failed = |source| ServerError::Market { symbol: "the spot market".to_owned(), source };
            let mut left = EVENTS_PER_PASS;
            while left > 0 && spot.play(now, &mut emit).map_err(failed)? {
                left -= 1;
            }
            let faults = &mut self.faults;
            spot.flush(now, &mut || faults.strikes(now, FaultKind::SpotGap), &mut emit);
            due = due.min(spot.due().map_err(failed)?);
        }
        self.counts.markets_ended = self.feeds.iter().all(Feed::ended);
        if self.exchange.next_due() <= now {
            self.exchange.tick(now);
        }
        self.spontaneous_faults(now);
        self.tell();
        if now >= self.next_housekeeping {
            self.housekeeping(now);
            self.next_housekeeping = now + HOUSEKEEPING;
        }
        let held = self.flush();
        self.counts.faults = self.faults.struck();
        let times = [self.exchange.next_due(), self.faults.next_due(now), self.next_housekeeping, held];
        Ok(times.into_iter().fold(due, Nanos::min))
    }

    /// What the venue's clock is off by now.
    pub(super) fn skew(&self) -> Nanos {
        match self.faults.active(self.now, FaultKind::ClockSkew(Nanos::ZERO)).map(|f| f.kind) {
            Some(FaultKind::ClockSkew(skew)) => skew,
            _ => Nanos::ZERO,
        }
    }

    /// From when on what is sent now may go.
    pub(super) fn release(&self) -> Nanos {
        match self.faults.active(self.now, FaultKind::Delay(Nanos::ZERO)).map(|f| f.kind) {
            Some(FaultKind::Delay(delay)) => self.now + delay,
            _ => self.now,
        }
    }

    fn spontaneous_faults(&mut self, now: Nanos) {
        if self.faults.strikes(now, FaultKind::PartialFill) {
            for at in 0..self.exchange.accounts() {
                self.exchange.fill_in_part(now, AccountId(at as u8));
            }
        }
        let private = self.faults.strikes(now, FaultKind::PrivateLoss);
        let all = self.faults.strikes(now, FaultKind::Disconnect);
        let close = self.faults.strikes(now, FaultKind::Close);
        if !private && !all && !close {
            return;
        }
        for connection in self.connections.iter_mut().flatten() {
            let Some(ws) = connection.ws() else { continue };
            let is_private = ws.subscriptions.iter().any(|s| matches!(s.channel, Channel::Private(_)));
            let is_market = !ws.api && !is_private;
            if all || (private && is_private) {
                connection.gone = Some(Gone::Ours);
            } else if close && is_market {
                connection.close(now, &mut self.staging, 1001, "");
            }
        }
    }

    /// Tells the accounts what happened.
    pub(super) fn tell(&mut self) {
        let notices: Vec<Notice> = self.exchange.drain().collect();
        let sent = self.now + self.skew();
        for notice in &notices {
            let filled = matches!(notice.event, PrivateEvent::Order { execution: Execution::Trade, .. });
            let twice = filled && self.faults.strikes(self.now, FaultKind::DuplicateFills);
            let mut list: Vec<(&'static str, Vec<u8>)> = Vec::new();
            private::frames(notice, &self.exchange, sent, |name, bytes| list.push((name, bytes.to_vec())));
            for (name, bytes) in list {
                if self.swapped.is_none() && self.faults.strikes(self.now, FaultKind::Reorder) {
                    self.swapped = Some((notice.account, name, bytes));
                    continue;
                }
                self.private_frame(notice.account, name, &bytes);
                if twice {
                    self.private_frame(notice.account, name, &bytes);
                }
                if let Some((account, name, bytes)) = self.swapped.take() {
                    self.private_frame(account, name, &bytes);
                }
            }
        }
    }

    fn private_frame(&mut self, account: AccountId, name: &str, data: &[u8]) {
        let (now, release) = (self.now, self.release());
        for connection in self.connections.iter_mut().flatten() {
            let Talk::Ws(ws) = &connection.talk else { continue };
            if !ws.events.is_empty() && !ws.events.iter().any(|e| e == name) {
                continue;
            }
            let own = |key| self.protocol.credentials().account(key) == account;
            let wanted = ws.subscriptions.iter().find(|s| matches!(s.channel, Channel::Private(key) if own(key)));
            let Some(wanted) = wanted else { continue };
            if ws.combined {
                wrap(&mut self.envelope, &wanted.name, data);
                connection.text(now, release, &mut self.staging, &self.envelope);
            } else {
                connection.text(now, release, &mut self.staging, data);
            }
            self.counts.private_frames += 1;
        }
    }

    /// Pings, ends of life, listen keys.
    fn housekeeping(&mut self, now: Nanos) {
        for (key, listen_key) in self.protocol.credentials_mut().lapsed(now) {
            let account = self.protocol.credentials().account(key);
            let mut bytes = Vec::new();
            private::listen_key_expired(&mut bytes, &listen_key, now);
            self.private_frame(account, "listenKeyExpired", &bytes);
        }
        let (life, every, within) = (self.config.connection_life, self.config.ping_every, self.config.pong_within);
        for connection in self.connections.iter_mut().flatten() {
            let Some(ws) = connection.ws() else { continue };
            if now - ws.opened > life {
                connection.close(now, &mut self.staging, 1001, "the connection has reached its life time");
            } else if now - ws.answered > within {
                connection.gone = Some(Gone::Peer);
            } else if now - ws.pinged >= every {
                ws.pinged = now;
                let payload = now.as_millis().to_string();
                connection.frame(now, now, &mut self.staging, Opcode::Ping, payload.as_bytes());
            }
        }
    }

    /// Sends what waits and removes who is gone; returns when held bytes may go.
    fn flush(&mut self) -> Nanos {
        let mut due = Nanos::MAX;
        for slot in &mut self.connections {
            let Some(connection) = slot else { continue };
            connection.release(self.now);
            connection.flush();
            due = due.min(connection.release_due());
            if let Some(gone) = connection.gone {
                match gone {
                    Gone::Slow => self.counts.slow_dropped += 1,
                    Gone::Protocol => self.counts.protocol_dropped += 1,
                    Gone::Peer | Gone::Ours => {}
                }
                let _ = self.poll.registry().deregister(&mut connection.socket);
                *slot = None;
            }
        }
        due
    }

    fn accept(&mut self) -> Result<(), ServerError> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => continue,
            };
            let free = self.connections.iter().position(Option::is_none);
            let at = free.unwrap_or(self.connections.len());
            if at >= CONNECTIONS_MAX {
                continue;
            }
            let _ = socket.set_nodelay(true);
            let handshake = self.tls.as_ref().map(|c| ServerHandshake::new(Arc::clone(c))).transpose()?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(at + FIRST), interest)?;
            let connection = Some(Connection::new(socket, handshake, self.config.output_max));
            if at == self.connections.len() {
                self.connections.push(connection);
            } else {
                self.connections[at] = connection;
            }
            self.counts.connections += 1;
        }
    }

    /// A socket has something.
    fn serve(&mut self, at: usize) {
        loop {
            // Taken out, so that requests may look at everything else; put back unless it is over.
            let Some(mut connection) = self.connections.get_mut(at).and_then(Option::take) else { return };
            connection.receive();
            self.requests(&mut connection);
            connection.flush();
            let again = connection.take_unfinished() && connection.gone.is_none();
            self.connections[at] = Some(connection);
            self.tell();
            if !again {
                return;
            }
        }
    }

    /// Runs `f` with the protocol and all that a request may look at.
    pub(super) fn with_world<T>(&mut self, f: impl FnOnce(&mut Protocol, &mut World<'_>) -> T) -> T {
        let books = FeedBooks(&self.feeds);
        let mut world = World { exchange: &mut self.exchange, tapes: &self.tapes, books: &books };
        f(&mut self.protocol, &mut world)
    }

    fn wait(&mut self, due: Nanos, events: &mut Events) -> Result<(), ServerError> {
        let left = due - clock().max(self.now);
        let left = Duration::from_nanos(u64::try_from(left.0).unwrap_or(0)).min(Duration::from_millis(100));
        let timeout = Duration::from_millis(u64::try_from(left.as_millis()).expect("at most 100"));
        if timeout.is_zero() && !left.is_zero() {
            std::thread::sleep(left.min(NAP));
        }
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Sends a market frame to everybody who subscribed it; returns how many that were.
#[allow(clippy::too_many_arguments, reason = "disjoint parts of the runner")]
fn broadcast(
    connections: &mut [Option<Connection>],
    staging: &mut SendBuf,
    envelope: &mut Vec<u8>,
    now: Nanos,
    release: Nanos,
    id: InstrumentId,
    channel: Channel,
    data: &[u8],
) -> u64 {
    let mut sent = 0;
    for connection in connections.iter_mut().flatten() {
        let Talk::Ws(ws) = &connection.talk else { continue };
        let here = |s: &&stream::Subscription| s.channel == channel && (s.every || s.instrument == id);
        let Some(wanted) = ws.subscriptions.iter().find(here) else { continue };
        // Of every market the venue tells a list, but for the touch.
        let list = (wanted.every && channel != Channel::BookTicker).then(|| [b"[", data, b"]"].concat());
        let data = list.as_deref().unwrap_or(data);
        if ws.combined {
            wrap(envelope, &wanted.name, data);
            connection.text(now, release, staging, envelope);
        } else {
            connection.text(now, release, staging, data);
        }
        sent += 1;
    }
    sent
}

fn wrap(envelope: &mut Vec<u8>, stream: &str, data: &[u8]) {
    envelope.clear();
    for part in [b"{\"stream\":\"", stream.as_bytes(), b"\",\"data\":", data, b"}"] {
        envelope.extend_from_slice(part);
    }
}

/// A fresh WebSocket state.
pub fn websocket(
    endpoint: stream::Endpoint,
    now: Nanos,
    exchange: &Exchange,
    spot: Option<&SpotMarket>,
    credentials: &Credentials,
) -> Ws {
    let parse = |name: &String| match endpoint.spot {
        true => stream::parse_spot(name, spot),
        false => stream::parse(name, now, exchange, credentials),
    };
    let subscriptions = endpoint.streams.iter().map(parse).collect();
    Ws {
        reader: crate::wire::ws::WsReader::new(crate::wire::ws::Role::Server, super::connection::MESSAGE_MAX),
        api: endpoint.api,
        spot: endpoint.spot,
        session: crate::sim::protocol::Session { logged_on: None, connected: now },
        combined: endpoint.combined,
        subscriptions,
        events: endpoint.events,
        opened: now,
        pinged: now,
        answered: now,
        inbound: (0, 0),
    }
}
