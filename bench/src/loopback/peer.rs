//! The venue's end of the loopback rig: plays frames at their intended times, reads orders, stamps both, answers. Knows the orders
//! that are to come and their prices; decides nothing.
//!
//! One thread, two non-blocking sockets. A connection that begins with a TLS record is the market stream of a window; the next
//! one is its order entry. One that begins with `P` is a ping-pong of the same bytes, one that begins with `E` ends the session.

use super::Plan;
use super::script::{Script, Step};
use crate::frames::Session;
use serde::Deserialize;
use spinquote::config::engine::Wait;
use spinquote::engine::clock::Clock;
use spinquote::engine::pin;
use spinquote::event::Side;
use spinquote::unit::{Nanos, Step as Grid};
use spinquote::wire::buf::{RecvBuf, SendBuf};
use spinquote::wire::tls::{self, Records};
use spinquote::wire::ws::{self, Kind, Opcode, Role, WsReader};
use spinquote::wire::{http, tls::TlsError};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bound of a handshake, and of what may still come behind the last frame.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long orders are waited for behind the last frame.
const LINGER: Nanos = Nanos::from_millis(300);
/// Between the log-on and the first frame: the account is looked at.
const SETTLE: Nanos = Nanos::from_millis(200);

/// What the peer saw of a window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Which way from frames to orders.
    pub lane: String,
    /// How it was played.
    pub plan: Plan,
    /// Nanoseconds from the intended time of a frame to its orders' bytes, of the frames that cause orders.
    pub intended: Vec<f64>,
    /// The same from the time at which its write began.
    pub written: Vec<f64>,
    /// TLS records in the reads that brought these frames' first orders.
    pub records: usize,
    /// Of the frames that cause several orders: all of them came in one record.
    pub whole: usize,
    /// Of these frames: those that cause more than one order.
    pub several: usize,
    /// Orders of these frames, read.
    pub orders: usize,
    /// Frames that should have caused orders and were overtaken by the next one, because an answer was still under way.
    pub overtaken: usize,
    /// Of the orders' sides and prices.
    pub checksum: u64,
    /// When the first and the last frame of the second half were written.
    pub second_half: Option<(Instant, Instant)>,
}

/// The peer's settings.
pub struct Peer<'a> {
    /// The frames.
    pub session: &'a Session,
    /// How the thread waits; parking is done as yielding, because the peer has times to keep.
    pub wait: Wait,
    /// Its core.
    pub core: Option<usize>,
}

/// A frame whose orders are awaited.
struct Awaited<'a> {
    step: &'a Step,
    due: Nanos,
    written: Nanos,
    heard: bool,
}

impl Awaited<'_> {
    /// It causes orders, and none of them came.
    fn is_missed(&self) -> bool {
        !self.heard && !self.step.orders.is_empty()
    }
}

/// One WebSocket over TLS, the server's end.
struct Line {
    stream: TcpStream,
    records: Records,
    recv: RecvBuf,
    send: SendBuf,
    text: SendBuf,
    reader: WsReader,
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

impl Line {
    /// Shakes hands; gives the path that was asked for.
    fn accept(mut stream: TcpStream, config: &Arc<rustls::ServerConfig>) -> io::Result<(Self, String)> {
        let mut recv = RecvBuf::new(1 << 18);
        let records = tls::server_accept(Arc::clone(config), &mut stream, &mut recv).map_err(other)?;
        let mut upgrading = tls::Stream::new(stream, records, recv, SendBuf::new(1 << 17));
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            upgrading.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let (request, _) = http::parse_request(&head).map_err(other)?.ok_or(ErrorKind::InvalidData)?;
        upgrading.write_all(&ws::server_accept(&request).map_err(other)?)?;
        let path = format!("{}?{}", request.path, request.query);
        let (stream, records, recv, send) = upgrading.into_parts();
        stream.set_nonblocking(true)?;
        let (text, reader) = (SendBuf::new(1 << 17), WsReader::new(Role::Server, 1 << 16));
        Ok((Self { stream, records, recv, send, text, reader }, path))
    }

    /// Frames a text message; it leaves with the next flush.
    fn queue(&mut self, opcode: Opcode, text: &[u8]) -> io::Result<()> {
        ws::write_frame(Role::Server, opcode, text, [0; 4], &mut self.text).map_err(other)
    }

    /// What is queued becomes records.
    fn seal(&mut self) -> io::Result<()> {
        self.records.seal(self.text.pending(), &mut self.send).map_err(other)?;
        self.text.consume(self.text.pending().len());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.send.is_empty() {
            match self.stream.write(self.send.pending()) {
                Ok(n) => self.send.consume(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One read; true if there was anything.
    fn fill(&mut self) -> io::Result<bool> {
        match self.stream.read(self.recv.space().map_err(other)?) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.recv.filled(n);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens what was read; the number of whole records.
    fn open(&mut self) -> io::Result<usize> {
        let (mut count, mut raw) = (0, self.recv.raw());
        while let &[_, _, _, high, low, ..] = raw {
            let Some(rest) = raw.get(5 + usize::from(u16::from_be_bytes([high, low]))..) else { break };
            (count, raw) = (count + 1, rest);
        }
        match self.records.open(&mut self.recv, &mut self.send) {
            Ok(()) => Ok(count),
            Err(TlsError::Closed) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(other(error)),
        }
    }
}

/// A request of the order entry.
#[derive(Deserialize)]
struct Request<'a> {
    id: &'a str,
    method: &'a str,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Params<'a> {
    symbol: &'a str,
    side: &'a str,
    price: &'a str,
    quantity: &'a str,
    new_client_order_id: &'a str,
    orig_client_order_id: &'a str,
}

impl Request<'_> {
    /// Side and price of an order that is made or amended.
    fn order(&self, tick: Grid) -> Option<(Side, i64)> {
        if !matches!(self.method, "order.place" | "order.modify") {
            return None;
        }
        let side = if self.params.side == "BUY" { Side::Buy } else { Side::Sell };
        Some((side, tick.parse_count(self.params.price.as_bytes()).ok()?))
    }

    /// What the venue says: done.
    fn answer(&self) -> String {
        let Self { id, method, params } = self;
        if *method == "session.logon" {
            return format!(r#"{{"id":"{id}","status":200,"result":{{"apiKey":"K"}}}}"#);
        }
        let status = if *method == "order.cancel" { "CANCELED" } else { "NEW" };
        let client = [params.new_client_order_id, params.orig_client_order_id].concat();
        let Params { symbol, side, price, quantity, .. } = params;
        format!(
            r#"{{"id":"{id}","status":200,"result":{{"orderId":1,"symbol":"{symbol}","status":"{status}","clientOrderId":"{client}","price":"{price}","origQty":"{quantity}","executedQty":"0","side":"{side}","positionSide":"BOTH","timeInForce":"GTX","reduceOnly":false,"updateTime":0}}}}"#
        )
    }
}

impl Peer<'_> {
    /// Serves windows until it is told that there are no more.
    ///
    /// # Errors
    /// A socket failed, or the other end speaks something else.
    pub fn serve(&self, listener: &TcpListener, config: &Arc<rustls::ServerConfig>) -> io::Result<Vec<Window>> {
        let _ = pin::pin("peer", self.core);
        let mut windows = Vec::new();
        loop {
            let (mut stream, first) = accept(listener)?;
            match first {
                b'E' => return Ok(windows),
                b'P' => {
                    let asked = line(&mut stream)?;
                    let (lane, plan) = asked[1..].split_once('?').ok_or(ErrorKind::InvalidData)?;
                    windows.push(self.ping_pong(stream, lane, plan.parse()?)?);
                }
                _ => {
                    let (market, path) = Line::accept(stream, config)?;
                    let (lane, plan) = path.trim_matches('/').split_once('?').ok_or(ErrorKind::InvalidData)?;
                    windows.push(self.play(market, lane, plan.parse()?, listener, config)?);
                }
            }
        }
    }

    fn pause(&self) {
        if self.wait == Wait::Spin { std::hint::spin_loop() } else { std::thread::yield_now() }
    }

    /// One window with an engine at the other end.
    fn play(
        &self,
        mut market: Line,
        lane: &str,
        plan: Plan,
        listener: &TcpListener,
        config: &Arc<rustls::ServerConfig>,
    ) -> io::Result<Window> {
        let script = Script::new(self.session, plan);
        market.queue(Opcode::Text, &script.snapshot)?;
        market.seal()?;
        market.flush()?;
        let (stream, _) = accept(listener)?;
        let (mut entry, _) = Line::accept(stream, config)?;
        let clock = Clock::new();
        let mut window = Window { lane: lane.to_owned(), plan, ..Window::default() };
        let (mut awaited, mut logged_on): (VecDeque<Awaited<'_>>, Option<Nanos>) = (VecDeque::new(), None);
        let (mut next, mut prepared, mut closed) = (0, false, false);
        let end = clock.now() + Nanos::from_secs(120);
        loop {
            let now = clock.now();
            if let (Some(start), Some(step)) = (logged_on, script.steps.get(next)) {
                if !prepared {
                    market.queue(Opcode::Text, &step.bytes)?;
                    market.seal()?;
                    prepared = true;
                }
                let due = start + plan.due(next);
                if now >= due {
                    let written = clock.now();
                    market.flush()?;
                    if next >= script.steps.len() / 2 {
                        let now = Instant::now();
                        window.second_half = Some((window.second_half.map_or(now, |(first, _)| first), now));
                    }
                    awaited.push_back(Awaited { step, due, written, heard: next < plan.warm_up() });
                    (next, prepared) = (next + 1, false);
                }
            }
            let read = entry.fill().and_then(|any| {
                let at = clock.now();
                if any { self.read(&mut entry, at, &mut awaited, &mut window).map(Some) } else { Ok(None) }
            });
            match read {
                Ok(None) => self.pause(),
                Ok(Some(true)) => logged_on = Some(clock.now() + SETTLE),
                Ok(Some(false)) => {}
                Err(_) if closed => {
                    window.overtaken += awaited.iter().filter(|frame| frame.is_missed()).count();
                    return Ok(window);
                }
                Err(error) => return Err(error),
            }
            let over = logged_on.is_some_and(|start| now > start + plan.due(script.steps.len()) + LINGER);
            if over && next == script.steps.len() && !closed {
                closed = true;
                market.queue(Opcode::Close, &1000_u16.to_be_bytes())?;
                market.seal()?;
                market.flush()?;
            }
            if now > end {
                return Err(other("the window does not end"));
            }
        }
    }

    /// What came on the order entry at `at`: matched and answered. True if it is a log-on.
    fn read(
        &self,
        entry: &mut Line,
        at: Nanos,
        awaited: &mut VecDeque<Awaited<'_>>,
        window: &mut Window,
    ) -> io::Result<bool> {
        let tick = self.session.instrument.tick;
        let records = entry.open()?;
        let (mut logged_on, mut orders, mut begun) = (false, 0, None);
        while let Some(message) = entry.reader.next(&mut entry.recv).map_err(other)? {
            match message.kind {
                Kind::Text => {}
                Kind::Close(_) => return Ok(false),
                _ => continue,
            }
            let text = entry.recv.bytes(message.range);
            let request: Request<'_> = serde_json::from_slice(text).map_err(other)?;
            logged_on |= request.method == "session.logon";
            if let Some(order) = request.order(tick) {
                window.checksum = window.checksum.wrapping_add(sum(order));
                if let Some(first) = matched(order, at, awaited, window) {
                    begun = Some(first);
                }
                orders += 1;
            }
            let answer = request.answer();
            ws::write_frame(Role::Server, Opcode::Text, answer.as_bytes(), [0; 4], &mut entry.text).map_err(other)?;
        }
        if let Some(expected) = begun {
            window.orders += orders;
            window.records += records;
            window.several += usize::from(expected > 1);
            window.whole += usize::from(expected > 1 && records == 1 && orders >= expected);
        }
        entry.seal()?;
        entry.flush()?;
        Ok(logged_on)
    }

    /// One window with an echo at the other end: the same bytes there and back, without TLS, WebSocket or any work.
    fn ping_pong(&self, mut stream: TcpStream, lane: &str, plan: Plan) -> io::Result<Window> {
        let script = Script::new(self.session, plan);
        stream.set_nonblocking(true)?;
        let clock = Clock::new();
        let mut window = Window { lane: lane.to_owned(), plan, ..Window::default() };
        let (mut buf, mut frame) = (vec![0_u8; 1 << 17], Vec::new());
        let mut awaited: VecDeque<Awaited<'_>> = VecDeque::new();
        let (mut next, mut got, mut prepared) = (0, 0, false);
        let start = clock.now() + SETTLE;
        while next < script.steps.len() || !awaited.is_empty() {
            let now = clock.now();
            if let Some(step) = script.steps.get(next) {
                if !prepared {
                    frame.clear();
                    frame.extend_from_slice(&(step.sealed() as u32).to_le_bytes());
                    frame.extend_from_slice(&(step.reply as u32).to_le_bytes());
                    frame.resize(step.sealed().max(8), b'x');
                    prepared = true;
                }
                let due = start + plan.due(next);
                if now >= due {
                    let written = clock.now();
                    write_all(&mut stream, &frame)?;
                    if step.reply > 0 {
                        awaited.push_back(Awaited { step, due, written, heard: next < plan.warm_up() });
                    }
                    (next, prepared) = (next + 1, false);
                }
            }
            match stream.read(&mut buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    let at = clock.now();
                    got += n;
                    while let Some(first) = awaited.front().filter(|first| got >= first.step.reply) {
                        got -= first.step.reply;
                        if !first.heard {
                            window.intended.push((at - first.due).0 as f64);
                            window.written.push((at - first.written).0 as f64);
                        }
                        awaited.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.pause(),
                Err(error) => return Err(error),
            }
            if now > start + plan.due(script.steps.len()) + Nanos::from_secs(60) {
                return Err(other("the echo does not answer"));
            }
        }
        Ok(window)
    }
}

/// Finds the earliest frame that causes this order. Frames before it are done with. For the first order of a frame that counts:
/// how many orders it causes.
fn matched(order: (Side, i64), at: Nanos, awaited: &mut VecDeque<Awaited<'_>>, window: &mut Window) -> Option<usize> {
    let place = awaited.iter().position(|frame| frame.step.orders.contains(&order))?;
    let missed = awaited.drain(..place).filter(Awaited::is_missed).count();
    window.overtaken += missed;
    let frame = &mut awaited[0];
    if std::mem::replace(&mut frame.heard, true) {
        return None;
    }
    window.intended.push((at - frame.due).0 as f64);
    window.written.push((at - frame.written).0 as f64);
    Some(frame.step.orders.len())
}

fn sum((side, price): (Side, i64)) -> u64 {
    (price.cast_unsigned() << 1 | side as u64).wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(29)
}

/// The next connection and its first byte, which stays unread.
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, u8)> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut first = [0];
    match stream.peek(&mut first)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok((stream, first[0])),
    }
}

fn line(stream: &mut TcpStream) -> io::Result<String> {
    let (mut text, mut byte) = (String::new(), [0]);
    loop {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return Ok(text);
        }
        text.push(char::from(byte[0]));
    }
}

/// Writes to a non-blocking socket.
///
/// # Errors
/// As the socket's.
pub fn write_all(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
