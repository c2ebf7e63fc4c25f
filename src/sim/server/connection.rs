//! One client connection: socket, TLS, and what has been received and waits to be sent. Bounded: who does not read is dropped.

use super::stream::{Channel, Subscription};
use crate::instrument::InstrumentId;
use crate::sim::protocol::Session;
use crate::unit::Nanos;
use crate::wire::buf::{RecvBuf, SendBuf};
use crate::wire::tls::{Records, ServerHandshake, TlsError};
use crate::wire::ws::{Opcode, Role, WsReader, write_close, write_frame};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// Receive buffer: the largest request is a batch of orders.
const RECEIVE: usize = 256 * 1024;
/// Largest message of a client.
pub const MESSAGE_MAX: usize = 128 * 1024;

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// The client closed it, or it failed.
    Peer,
    /// The client sent what it must not.
    Protocol,
    /// The client does not read fast enough.
    Slow,
    /// A fault of the script, or the end of its life.
    Ours,
}

/// What is spoken.
pub enum Talk {
    /// TLS is being set up.
    Handshake(Box<ServerHandshake>),
    /// HTTP requests.
    Http,
    /// WebSocket.
    Ws(Box<Ws>),
}

/// State of a WebSocket connection.
pub struct Ws {
    /// Reads frames.
    pub reader: WsReader,
    /// The WebSocket API rather than streams.
    pub api: bool,
    /// Streams of the spot market.
    pub spot: bool,
    /// Log-on state of the API.
    pub session: Session,
    /// Frames come in the envelope.
    pub combined: bool,
    /// What is subscribed.
    pub subscriptions: Vec<Subscription>,
    /// Private events wanted; empty for all.
    pub events: Vec<String>,
    /// When it was opened.
    pub opened: Nanos,
    /// When the last ping was sent.
    pub pinged: Nanos,
    /// When the client last answered.
    pub answered: Nanos,
    /// Messages in the second that began at the first value.
    pub inbound: (i64, u32),
}

/// One connection.
pub struct Connection {
    /// The socket.
    pub socket: TcpStream,
    /// What is spoken.
    pub talk: Talk,
    /// Received bytes.
    pub recv: RecvBuf,
    records: Records,
    send: SendBuf,
    /// Plain bytes held back by a delay fault, with the time from which they may go.
    held: VecDeque<(Nanos, Vec<u8>)>,
    /// Set when it is over; the server removes it.
    pub gone: Option<Gone>,
    /// It is to be closed once everything is sent.
    pub closing: bool,
    received: bool,
}

impl Connection {
    /// A fresh connection; `output` bytes may wait for the client.
    pub fn new(socket: TcpStream, handshake: Option<ServerHandshake>, output: usize) -> Self {
        let talk = handshake.map_or(Talk::Http, |h| Talk::Handshake(Box::new(h)));
        Self {
            socket,
            talk,
            recv: RecvBuf::new(RECEIVE),
            records: Records::Plain,
            send: SendBuf::new(output),
            held: VecDeque::new(),
            gone: None,
            closing: false,
            received: false,
        }
    }

    /// The WebSocket state, if it is one.
    pub fn ws(&mut self) -> Option<&mut Ws> {
        match &mut self.talk {
            Talk::Ws(ws) => Some(ws),
            _ => None,
        }
    }

    /// True for a stream connection with a market stream of this instrument.
    pub fn hears(&self, instrument: InstrumentId) -> bool {
        let Talk::Ws(ws) = &self.talk else { return false };
        let market =
            |s: &Subscription| (s.every || s.instrument == instrument) && !matches!(s.channel, Channel::Private(_));
        ws.subscriptions.iter().any(market)
    }

    /// Reads what the socket has and opens it; true when there is new plaintext or the connection ended.
    pub fn receive(&mut self) -> bool {
        let mut any = false;
        while self.gone.is_none() {
            let Ok(space) = self.recv.space() else {
                self.gone = Some(Gone::Protocol);
                break;
            };
            match self.socket.read(space) {
                Ok(0) => {
                    self.gone = Some(Gone::Peer);
                }
                Ok(n) => {
                    self.recv.filled(n);
                    any = true;
                    self.open();
                    // What is unread stays in the buffer: let the caller work before the next read.
                    if self.recv.plain().len() > RECEIVE / 2 {
                        self.received = true;
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.gone = Some(Gone::Peer),
            }
        }
        any
    }

    /// True when a read was left unfinished because the buffer was full of work.
    pub fn take_unfinished(&mut self) -> bool {
        std::mem::take(&mut self.received)
    }

    fn open(&mut self) {
        if let Talk::Handshake(handshake) = &mut self.talk {
            match handshake.feed(&mut self.recv, &mut self.send) {
                Ok(None) => return,
                Ok(Some(records)) => {
                    self.records = records;
                    self.talk = Talk::Http;
                }
                Err(_) => {
                    self.flush();
                    self.gone = Some(Gone::Protocol);
                    return;
                }
            }
        }
        match self.records.open(&mut self.recv, &mut self.send) {
            Ok(()) => {}
            Err(TlsError::Closed) => self.gone = Some(Gone::Peer),
            Err(_) => self.gone = Some(Gone::Protocol),
        }
    }

    /// Queues plain bytes; with `release` in the future they are held back until then, and so is everything behind them.
    pub fn send(&mut self, now: Nanos, release: Nanos, bytes: &[u8]) {
        if self.gone.is_some() || self.closing {
            return;
        }
        if release > now || !self.held.is_empty() {
            let waiting: usize = self.held.iter().map(|(_, b)| b.len()).sum();
            if waiting + bytes.len() > self.send.capacity() {
                self.gone = Some(Gone::Slow);
                return;
            }
            self.held.push_back((release, bytes.to_vec()));
            return;
        }
        self.seal(bytes);
    }

    fn seal(&mut self, bytes: &[u8]) {
        if self.records.seal(bytes, &mut self.send).is_err() {
            self.gone = Some(Gone::Slow);
        }
    }

    /// Sends what may go by now.
    pub fn release(&mut self, now: Nanos) {
        while self.held.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = self.held.pop_front().expect("just seen");
            self.seal(&bytes);
        }
    }

    /// When held bytes may go.
    pub fn release_due(&self) -> Nanos {
        self.held.front().map_or(Nanos::MAX, |(at, _)| *at)
    }

    /// Queues one text message.
    pub fn text(&mut self, now: Nanos, release: Nanos, staging: &mut SendBuf, payload: &[u8]) {
        self.frame(now, release, staging, Opcode::Text, payload);
    }

    /// Queues one frame.
    pub fn frame(&mut self, now: Nanos, release: Nanos, staging: &mut SendBuf, opcode: Opcode, payload: &[u8]) {
        staging.consume(staging.pending().len());
        if write_frame(Role::Server, opcode, payload, [0; 4], staging).is_err() {
            self.gone = Some(Gone::Slow);
            return;
        }
        self.send(now, release, staging.pending());
    }

    /// Queues a close frame; the connection ends when it is sent.
    pub fn close(&mut self, now: Nanos, staging: &mut SendBuf, code: u16, reason: &str) {
        staging.consume(staging.pending().len());
        if write_close(Role::Server, code, reason, [0; 4], staging).is_ok() {
            self.send(now, now, staging.pending());
        }
        self.closing = true;
    }

    /// Writes what waits, as far as the socket takes it.
    pub fn flush(&mut self) {
        while !self.send.is_empty() {
            match self.socket.write(self.send.pending()) {
                Ok(0) => {
                    self.gone.get_or_insert(Gone::Peer);
                    return;
                }
                Ok(n) => self.send.consume(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.gone.get_or_insert(Gone::Peer);
                    return;
                }
            }
        }
        if self.closing && self.held.is_empty() {
            // The end is announced, so that the client does not take it for a cut.
            if self.records.close(&mut self.send).is_ok() && !self.send.is_empty() {
                let _ = self.socket.write(self.send.pending());
            }
            self.gone.get_or_insert(Gone::Ours);
        }
    }
}
