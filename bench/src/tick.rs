//! Frame bytes to orders in the ring, in memory: the engine's own path with and without journal and histograms, beside two naive
//! pipelines that quote the same levels, each with the full list of checks and with four of them; and the floor under all of them.
//! Opens no socket and signs nothing.

use crate::frames::{SPARE, Session};
use crate::measure::{Bar, Report, Row, percentile};
use crate::peers::{SerdeJson, SimdJson, TreeBook, Typed, Understood, lots, plain, ticks};
use crate::quoter::{LEVEL_SPREAD, MESSAGES_MAX, QTY, SPREAD, answer, maker, opening};
use crossbeam::queue::ArrayQueue;
use rust_decimal::Decimal;
use spinquote::book::Book;
use spinquote::config::engine::Wait;
use spinquote::engine::clock::Clock;
use spinquote::engine::core::{Core, CoreParts};
use spinquote::engine::ring::{ORDERS_CAPACITY, OrderSink, Outgoing};
use spinquote::engine::wait::Poller;
use spinquote::event::{Command, CommandKind, Event, Side};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::record::Origin;
use spinquote::journal::{self, ClockSource, JournalSettings, RunDir, Segments, command_page, counters, histogram};
use spinquote::maker::account::plain as plain_command;
use spinquote::maker::{Maker, Output};
use spinquote::unit::{Lots, Nanos, Ticks};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::MarketMessage;
use std::collections::{HashMap, VecDeque};

const ID: InstrumentId = InstrumentId(0);
/// Quotes a side.
const LEVELS: u8 = 5;

/// A way from frames to orders.
trait Pipeline {
    /// When the orders of the last frame were in the ring, where that is not the end of its work.
    fn in_ring_at(&self) -> Option<Nanos> {
        None
    }

    /// The book's beginning.
    fn snapshot(&mut self, body: &mut [u8], len: usize);
    /// One frame; what is timed.
    fn frame(&mut self, document: &mut [u8], len: usize, at: Nanos);
    /// Takes the orders out of the ring and answers them: their number, and a checksum that does not depend on their order.
    fn settle(&mut self) -> (u64, u64);
}

fn sum_order(side: Side, price: i64, qty: i64) -> u64 {
    let word = (price.cast_unsigned() << 24 | qty.cast_unsigned() << 1 | side as u64) ^ 0x9e37_79b9_7f4a_7c15;
    word.wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(29).wrapping_mul(0xa076_1d64_78bd_642f)
}

/// Empties the ring; every command is answered with `step`, which may cause further ones.
fn settle(ring: &mut rtrb::Consumer<Outgoing>, mut step: impl FnMut(&Event<'_>)) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0_u64);
    while let Ok(Outgoing { command, .. }) = ring.pop() {
        if matches!(command.kind, CommandKind::New | CommandKind::Amend) {
            count += 1;
            sum = sum.wrapping_add(sum_order(command.side, command.price.0, command.qty.0));
        }
        if let Some(event) = answer(&command) {
            step(&Event::Order(event));
        }
    }
    (count, sum)
}

/// The engine's [`Core`]: journal, histograms, stamps, the operator's page and the full risk gate.
struct Engine {
    core: Core,
    decoder: MarketDecoder,
    ring: rtrb::Consumer<Outgoing>,
    clock: Clock,
    segments: Segments,
    settled: u64,
    _folder: tempfile::TempDir,
}

impl Engine {
    fn new(instrument: &Instrument, clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        let mut settings = JournalSettings::new(run.clone(), 1, ClockSource::Counter);
        settings.lock = false;
        let (journal, segments) = journal::start(settings, clock.now()).expect("a journal");
        let [counters, ..] = counters::create(&run.counters(), &[instrument.symbol.as_str()]).expect("counters");
        let mut stages = histogram::create(&run.histograms()).expect("histograms");
        let [watch, _] = command_page::create(&run.command()).expect("a command page");
        let (orders, ring) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
        let poller = Poller::new(Wait::Spin).expect("a poller");
        let mut core = Core::new(CoreParts {
            maker: maker(instrument, LEVELS),
            instruments: vec![instrument.clone()],
            journal,
            orders: OrderSink::new(orders),
            io_wake: poller.wake_handle(),
            counters,
            stages: &mut stages,
            watch,
            stamps: true,
        });
        for event in opening() {
            core.step(&event, clock.now(), &clock);
        }
        let decoder = MarketDecoder::new(std::slice::from_ref(instrument));
        Self { core, decoder, ring, clock, segments, settled: 0, _folder: folder }
    }
}

impl Pipeline for Engine {
    fn in_ring_at(&self) -> Option<Nanos> {
        Some(self.core.handed_over_at())
    }

    fn snapshot(&mut self, body: &mut [u8], len: usize) {
        self.core.snapshot(&mut self.decoder, ID, body, len, &self.clock);
    }

    fn frame(&mut self, document: &mut [u8], len: usize, _: Nanos) {
        let received_at = self.clock.now();
        self.core.frame(&mut self.decoder, Origin { feed: 0, instrument: ID }, document, len, received_at, &self.clock);
    }

    fn settle(&mut self) -> (u64, u64) {
        let Self { core, ring, clock, .. } = self;
        let sent = settle(ring, |event| core.step(event, clock.now(), clock));
        self.settled += 1;
        if self.settled.is_multiple_of(256) {
            self.segments.housekeep(self.clock.now()).expect("room for the journal");
        }
        assert!(self.core.fault().is_none(), "{:?}", self.core.fault());
        sent
    }
}

/// The same decoder, maker and ring, nothing remembered.
struct Bare {
    maker: Maker,
    out: Output,
    decoder: MarketDecoder,
    orders: OrderSink,
    ring: rtrb::Consumer<Outgoing>,
    now: Nanos,
}

impl Bare {
    fn new(instrument: &Instrument) -> Self {
        let (orders, ring) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
        let mut bare = Self {
            maker: maker(instrument, LEVELS),
            out: Output::default(),
            decoder: MarketDecoder::new(std::slice::from_ref(instrument)),
            orders: OrderSink::new(orders),
            ring,
            now: Nanos(1),
        };
        for event in opening() {
            bare.maker.step(bare.now, &event, &mut bare.out);
        }
        bare
    }
}

#[inline]
fn push(commands: &[Command], orders: &mut OrderSink, now: Nanos) {
    let outgoing = commands.iter().map(|&command| Outgoing { command, received_at: now, pushed_at: now });
    orders.push_all(outgoing).expect("a ring of this size");
}

impl Pipeline for Bare {
    fn snapshot(&mut self, body: &mut [u8], len: usize) {
        let snapshot = self.decoder.decode_snapshot(ID, body, len).expect("the session's snapshot");
        self.maker.step(self.now, &Event::Snapshot(snapshot), &mut self.out);
    }

    fn frame(&mut self, document: &mut [u8], len: usize, at: Nanos) {
        self.now = at;
        if let Ok(MarketMessage::Event(event)) = self.decoder.decode(document, len) {
            self.maker.step(at, &event, &mut self.out);
            push(&self.out.commands, &mut self.orders, at);
        }
    }

    fn settle(&mut self) -> (u64, u64) {
        let Self { maker, out, orders, ring, now, .. } = self;
        settle(ring, |event| {
            maker.step(*now, event, out);
            push(&out.commands, orders, *now);
        })
    }
}

/// Our decoder, our book, and as many orders pushed as a reprice sends, ready-made: nothing decided, nothing checked, nothing remembered.
/// No engine with this decoder, book and ring can be faster.
struct Floor {
    decoder: MarketDecoder,
    book: Book,
    touch: [Option<Ticks>; 2],
    ready: Vec<Command>,
    orders: OrderSink,
    ring: rtrb::Consumer<Outgoing>,
}

impl Floor {
    fn new(instrument: &Instrument) -> Self {
        let (orders, ring) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
        let command = plain_command(CommandKind::Amend, ID, Nanos(1));
        Self {
            decoder: MarketDecoder::new(std::slice::from_ref(instrument)),
            book: Book::new(instrument),
            touch: [None; 2],
            ready: vec![Command { price: Ticks(1), qty: Lots(1), ..command }; 2 * usize::from(LEVELS)],
            orders: OrderSink::new(orders),
            ring,
        }
    }
}

impl Pipeline for Floor {
    fn snapshot(&mut self, body: &mut [u8], len: usize) {
        let snapshot = self.decoder.decode_snapshot(ID, body, len).expect("the session's snapshot");
        let _ = self.book.on_snapshot(&snapshot);
    }

    fn frame(&mut self, document: &mut [u8], len: usize, at: Nanos) {
        match self.decoder.decode(document, len) {
            Ok(MarketMessage::Event(Event::Depth(update))) => {
                let _ = self.book.on_depth(&update);
            }
            Ok(MarketMessage::Event(Event::Quote(quote))) => {
                let _ = self.book.on_quote(&quote);
            }
            _ => return,
        }
        let touch = [Side::Buy, Side::Sell].map(|side| self.book.best(side).map(|level| level.price));
        if touch != self.touch {
            self.touch = touch;
            push(&self.ready, &mut self.orders, at);
        }
    }

    fn settle(&mut self) -> (u64, u64) {
        settle(&mut self.ring, |_| {})
    }
}

/// What the naive pipelines check of an order. The full gate is the list that the engine's has, each check written down as it is said:
/// position and worst-case position over the live orders, size and notional, band around the mid, mark band, no crossing, rates with
/// headroom for cancels, maximum loss, stale data, clock skew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    Four,
    FullGate,
}

/// Numbers of a naive pipeline.
trait Terms: Copy {
    type Price: Copy + Ord;
    type Qty: Copy + PartialEq + Default;
    fn qty() -> Self::Qty;
    /// Everything of the full gate that is about prices and quantities. `open` may execute of the side's other live orders; `loss` is what
    /// the run has lost, `position` what it holds.
    fn within(
        order: &Order<Self>,
        bid: Self::Price,
        ask: Self::Price,
        position: Self::Qty,
        open: Self::Qty,
        loss: Self::Price,
    ) -> bool;
    fn zero() -> Self::Price;
    fn add(a: Self::Qty, b: Self::Qty) -> Self::Qty;
    /// The quote of a side and level around the mid.
    fn quote(bid: Self::Price, ask: Self::Price, side: Side, level: u8) -> Self::Price;
    /// Size, value, distance from the mid and worst-case position are within the limits.
    fn allowed(price: Self::Price, qty: Self::Qty, bid: Self::Price, ask: Self::Price, open: i64) -> bool;
    fn sum(side: Side, price: Self::Price, qty: Self::Qty) -> u64;
}

/// Ticks and lots.
#[derive(Clone, Copy)]
struct Integers;

impl Terms for Integers {
    type Price = i64;
    type Qty = i64;
    fn qty() -> i64 {
        QTY
    }
    fn quote(bid: i64, ask: i64, side: Side, level: u8) -> i64 {
        let spread = SPREAD + i64::from(level) * LEVEL_SPREAD;
        (bid + ask) * (1_000_000 - side.sign() * spread) / 2_000_000
    }
    fn allowed(price: i64, qty: i64, bid: i64, ask: i64, open: i64) -> bool {
        let far = (2 * price - bid - ask).abs();
        qty <= 100 && price * qty <= 10_000_000_000 && 10 * far <= bid + ask && open * qty <= 1_000
    }
    fn within(order: &Order<Self>, bid: i64, ask: i64, position: i64, open: i64, loss: i64) -> bool {
        let Order { side, price, qty, .. } = *order;
        let sum = bid + ask;
        let worst = side.sign() * position + open + qty;
        let crosses = if side == Side::Buy { price >= ask } else { price <= bid };
        let outside = if side == Side::Buy { 200 * price > 105 * sum } else { 200 * price < 95 * sum };
        (1..=100_000_000).contains(&price)
            && (1..=1_000_000).contains(&qty)
            && qty <= 100
            && price * qty <= 10_000_000_000
            && price * qty >= 1_000_000
            && 10 * (2 * price - sum).abs() <= sum
            && !outside
            && !crosses
            && worst <= 1_000
            && loss < 1_000_000_000
    }
    fn zero() -> i64 {
        0
    }
    fn add(a: i64, b: i64) -> i64 {
        a + b
    }
    fn sum(side: Side, price: i64, qty: i64) -> u64 {
        sum_order(side, price, qty)
    }
}

/// Decimal numbers.
#[derive(Clone, Copy)]
struct Decimals;

impl Terms for Decimals {
    type Price = Decimal;
    type Qty = Decimal;
    fn qty() -> Decimal {
        Decimal::new(QTY, 3)
    }
    fn quote(bid: Decimal, ask: Decimal, side: Side, level: u8) -> Decimal {
        let spread = Decimal::new(side.sign() * (SPREAD + i64::from(level) * LEVEL_SPREAD), 6);
        ((bid + ask) / Decimal::TWO * (Decimal::ONE - spread)).trunc_with_scale(1)
    }
    fn allowed(price: Decimal, qty: Decimal, bid: Decimal, ask: Decimal, open: i64) -> bool {
        let mid = (bid + ask) / Decimal::TWO;
        qty <= Decimal::new(100, 3)
            && price * qty <= Decimal::new(1_000_000, 0)
            && (price - mid).abs() <= mid * Decimal::new(1, 1)
            && Decimal::new(open, 0) * qty <= Decimal::ONE
    }
    fn within(
        order: &Order<Self>,
        bid: Decimal,
        ask: Decimal,
        position: Decimal,
        open: Decimal,
        loss: Decimal,
    ) -> bool {
        let Order { side, price, qty, .. } = *order;
        let mid = (bid + ask) / Decimal::TWO;
        let worst = Decimal::from(side.sign()) * position + open + qty;
        let crosses = if side == Side::Buy { price >= ask } else { price <= bid };
        let outside = match side {
            Side::Buy => price > mid * Decimal::new(105, 2),
            Side::Sell => price < mid * Decimal::new(95, 2),
        };
        price >= Decimal::new(1, 1)
            && price <= Decimal::new(10_000_000, 0)
            && qty >= Decimal::new(1, 3)
            && qty <= Decimal::new(1_000, 0)
            && qty <= Decimal::new(100, 3)
            && price * qty <= Decimal::new(1_000_000, 0)
            && price * qty >= Decimal::new(100, 0)
            && (price - mid).abs() <= mid * Decimal::new(1, 1)
            && !outside
            && !crosses
            && worst <= Decimal::ONE
            && loss < Decimal::new(100_000, 0)
    }
    fn zero() -> Decimal {
        Decimal::ZERO
    }
    fn add(a: Decimal, b: Decimal) -> Decimal {
        a + b
    }
    fn sum(side: Side, price: Decimal, qty: Decimal) -> u64 {
        sum_order(side, ticks(price), lots(qty))
    }
}

/// An order of a naive pipeline.
#[derive(Clone, Copy)]
struct Order<T: Terms> {
    id: u64,
    side: Side,
    price: T::Price,
    qty: T::Qty,
    /// What of it has not executed.
    rest: T::Qty,
    /// The venue has not answered yet.
    pending: bool,
}

/// Quotes around the mid of a naive book; sends what differs from what rests.
struct Naive<T: Terms> {
    book: TreeBook<T::Price, T::Qty>,
    last: u64,
    quote: Option<(u64, T::Price, T::Price)>,
    live: [Vec<T::Price>; 2],
    sent: VecDeque<Nanos>,
    ring: ArrayQueue<Order<T>>,
    checks: Checks,
    /// With the full gate: the live orders by client id; the id of each level is its number.
    orders: HashMap<u64, Order<T>>,
    position: T::Qty,
    loss: T::Price,
    heard_at: Nanos,
    killed: bool,
}

/// Limits that are off in this session, as in the engine's: its times are those of the recording.
const DATA_AGE_MAX: Nanos = Nanos::ZERO;
const SKEW_MAX: Nanos = Nanos::ZERO;
const CANCEL_HEADROOM: usize = 100;

impl<T: Terms> Naive<T> {
    fn new(checks: Checks) -> Self {
        Self {
            checks,
            orders: HashMap::new(),
            position: T::Qty::default(),
            loss: T::zero(),
            heard_at: Nanos::ZERO,
            killed: false,
            book: TreeBook { bids: Default::default(), asks: Default::default() },
            last: 0,
            quote: None,
            live: [Vec::with_capacity(8), Vec::with_capacity(8)],
            sent: VecDeque::with_capacity(1 << 20),
            ring: ArrayQueue::new(ORDERS_CAPACITY),
        }
    }

    fn on_depth(&mut self, last: u64) {
        self.last = last;
        self.quote.take_if(|quote| quote.0 <= last);
    }

    fn on_quote(&mut self, seq: u64, bid: T::Price, ask: T::Price) {
        if seq > self.last && self.quote.is_none_or(|known| seq > known.0) {
            self.quote = Some((seq, bid, ask));
        }
    }

    /// The full gate on the order of one level as it would be.
    fn gate(&mut self, order: &Order<T>, bid: T::Price, ask: T::Price, now: Nanos) -> bool {
        if self.killed
            || (!DATA_AGE_MAX.is_zero() && now - self.heard_at > DATA_AGE_MAX)
            || (!SKEW_MAX.is_zero() && self.heard_at - now > SKEW_MAX)
            || self.orders.len() > 200
        {
            return false;
        }
        let others = self.orders.values().filter(|other| other.side == order.side && other.id != order.id);
        let open = others.fold(T::Qty::default(), |sum, other| T::add(sum, other.rest));
        T::within(order, bid, ask, self.position, open, self.loss)
            && self.sent.len() + CANCEL_HEADROOM < MESSAGES_MAX as usize
    }

    fn decide(&mut self, now: Nanos) {
        self.heard_at = now;
        let (bid, ask) = match (&self.quote, self.book.best()) {
            (Some((_, bid, ask)), _) => (*bid, *ask),
            (None, (Some(bid), Some(ask))) => (bid, ask),
            _ => return,
        };
        for side in [Side::Buy, Side::Sell] {
            let mut wanted = [bid; LEVELS as usize];
            for level in 0..LEVELS {
                let price = T::quote(bid, ask, side, level);
                wanted[usize::from(level)] = price;
                if self.live[side.index()].contains(&price) {
                    continue;
                }
                while self.sent.front().is_some_and(|sent| *sent + Nanos::from_secs(10) < now) {
                    self.sent.pop_front();
                }
                let id = u64::from(level) << 1 | side as u64;
                let order = Order { id, side, price, qty: T::qty(), rest: T::qty(), pending: true };
                let allowed = match self.checks {
                    Checks::Four => {
                        T::allowed(price, T::qty(), bid, ask, LEVELS.into()) && self.sent.len() < MESSAGES_MAX as usize
                    }
                    Checks::FullGate => self.gate(&order, bid, ask, now),
                };
                if allowed {
                    if self.checks == Checks::FullGate {
                        self.orders.insert(id, order);
                    }
                    self.sent.push_back(now);
                    assert!(self.ring.push(order).is_ok(), "a ring of this size");
                }
            }
            let live = &mut self.live[side.index()];
            live.clear();
            live.extend(wanted);
        }
    }

    fn settle(&mut self) -> (u64, u64) {
        let (mut count, mut sum) = (0, 0_u64);
        while let Some(order) = self.ring.pop() {
            count += 1;
            if let Some(live) = self.orders.get_mut(&order.id) {
                live.pending = false;
            }
            sum = sum.wrapping_add(T::sum(order.side, order.price, order.qty));
        }
        (count, sum)
    }
}

struct SimdPipeline {
    reader: SimdJson,
    naive: Naive<Integers>,
}

impl Pipeline for SimdPipeline {
    fn snapshot(&mut self, body: &mut [u8], len: usize) {
        let last = self.reader.snapshot(&mut body[..len]);
        self.naive.book.apply(Side::Buy, plain(&self.reader.bids));
        self.naive.book.apply(Side::Sell, plain(&self.reader.asks));
        self.naive.on_depth(last);
    }

    fn frame(&mut self, document: &mut [u8], len: usize, at: Nanos) {
        match self.reader.decode(&mut document[..len]) {
            Understood::Depth([_, last, _]) => {
                self.naive.book.apply(Side::Buy, plain(&self.reader.bids));
                self.naive.book.apply(Side::Sell, plain(&self.reader.asks));
                self.naive.on_depth(last);
            }
            Understood::Quote(seq, bid, ask) => self.naive.on_quote(seq, bid.0, ask.0),
            Understood::Trade(..) => {}
            Understood::Other => return,
        }
        self.naive.decide(at);
    }

    fn settle(&mut self) -> (u64, u64) {
        self.naive.settle()
    }
}

struct SerdePipeline {
    reader: SerdeJson,
    naive: Naive<Decimals>,
}

impl Pipeline for SerdePipeline {
    fn snapshot(&mut self, body: &mut [u8], len: usize) {
        let last = self.reader.snapshot(&body[..len]);
        self.naive.book.apply(Side::Buy, self.reader.bids.iter().copied());
        self.naive.book.apply(Side::Sell, self.reader.asks.iter().copied());
        self.naive.on_depth(last);
    }

    fn frame(&mut self, document: &mut [u8], len: usize, at: Nanos) {
        match self.reader.decode(&document[..len]) {
            Typed::Depth([_, last, _]) => {
                self.naive.book.apply(Side::Buy, self.reader.bids.iter().copied());
                self.naive.book.apply(Side::Sell, self.reader.asks.iter().copied());
                self.naive.on_depth(last);
            }
            Typed::Quote(seq, bid, ask) => self.naive.on_quote(seq, bid.0, ask.0),
            Typed::Trade(..) => {}
            Typed::Other => return,
        }
        self.naive.decide(at);
    }

    fn settle(&mut self) -> (u64, u64) {
        self.naive.settle()
    }
}

/// What one pipeline took.
struct Lane {
    name: &'static str,
    pipeline: Box<dyn Pipeline>,
    /// It must send what the others send.
    checked: bool,
    /// Each frame: until its orders were in the ring, and until its work was done.
    frames: Vec<[f64; 2]>,
    orders: u64,
    checksum: u64,
}

const ENGINE: &str = "engine, journal and histograms on";
const BARE: &str = "journal and histograms off";
const FLOOR: &str = "the floor: our decoder, our book, ten ready orders pushed, nothing decided";
const SIMD: &str = "simd-json tape, BTreeMap, full gate";
const SERDE: &str = "serde_json, Decimal, BTreeMap, full gate";
const SIMD_FOUR: &str = "simd-json tape, BTreeMap, four checks only";
const SERDE_FOUR: &str = "serde_json, Decimal, BTreeMap, four checks only";

/// Frames to orders through all pipelines, in turns of a window of frames each.
///
/// # Panics
/// Any two pipelines send different orders on a frame.
pub fn to_order(session: &Session, report: &mut Report) {
    const WINDOW: usize = 400;
    let instrument = &session.instrument;
    let clock = Clock::new();
    let simd = |checks| Box::new(SimdPipeline { reader: SimdJson::default(), naive: Naive::new(checks) });
    let serde = |checks| Box::new(SerdePipeline { reader: SerdeJson::default(), naive: Naive::new(checks) });
    let pipelines: [(&str, Box<dyn Pipeline>); 7] = [
        (ENGINE, Box::new(Engine::new(instrument, clock.clone()))),
        (BARE, Box::new(Bare::new(instrument))),
        (FLOOR, Box::new(Floor::new(instrument))),
        (SIMD, simd(Checks::FullGate)),
        (SERDE, serde(Checks::FullGate)),
        (SIMD_FOUR, simd(Checks::Four)),
        (SERDE_FOUR, serde(Checks::Four)),
    ];
    let mut lanes = pipelines.map(|(name, pipeline)| Lane {
        name,
        pipeline,
        checked: name != FLOOR,
        frames: Vec::with_capacity(session.frames.len()),
        orders: 0,
        checksum: 0,
    });
    let longest = session.frames.iter().map(|frame| frame.bytes.len()).max().unwrap_or(0).max(session.snapshot.len());
    let mut buf = vec![0_u8; longest + SPARE];
    for lane in &mut lanes {
        buf[..session.snapshot.len()].copy_from_slice(&session.snapshot);
        lane.pipeline.snapshot(&mut buf, session.snapshot.len());
        lane.pipeline.settle();
    }
    // By frame: number and checksum of the orders sent.
    let mut expected: Vec<(u64, u64)> = Vec::with_capacity(session.frames.len());
    let lane_count = lanes.len();
    for (round, window) in session.frames.chunks(WINDOW).enumerate() {
        let start_of_window = round * WINDOW;
        for turn in 0..lane_count {
            let lane = &mut lanes[(round + turn) % lane_count];
            for (at, frame) in window.iter().enumerate() {
                let len = frame.bytes.len();
                // As a read and a record opened in place leave it: in the nearest cache.
                buf[..len].copy_from_slice(&frame.bytes);
                let start = clock.now();
                lane.pipeline.frame(&mut buf, len, frame.at);
                let end = clock.now();
                let in_ring_at = lane.pipeline.in_ring_at().filter(|at| *at >= start).unwrap_or(end);
                let sent = lane.pipeline.settle();
                lane.frames.push([in_ring_at, end].map(|at| (at - start).0 as f64));
                if !lane.checked {
                    continue;
                }
                lane.orders += sent.0;
                lane.checksum = lane.checksum.rotate_left(1) ^ sent.1;
                match expected.get(start_of_window + at) {
                    None => expected.push(sent),
                    Some(expected) => assert_eq!(
                        sent,
                        *expected,
                        "{}: other orders on {}",
                        lane.name,
                        String::from_utf8_lossy(&frame.bytes)
                    ),
                }
            }
        }
    }
    let [engine, bare, floor, simd, serde, simd_four, serde_four] = &lanes;
    assert!(engine.orders > 0, "nothing was quoted");
    let sent: Vec<bool> = expected.iter().map(|sent| sent.0 > 0).collect();
    for (ours, bars) in [(engine, [4.0, 15.0]), (bare, [5.0, 20.0])] {
        for (peer, bar) in [(simd, bars[0]), (simd_four, bars[0]), (serde, bars[1]), (serde_four, bars[1])] {
            rows(ours, peer, &sent, Some(Bar::Faster(bar)), report);
        }
    }
    for peer in [simd, simd_four, serde, serde_four] {
        rows(floor, peer, &sent, None, report);
    }
}

/// Plays the session through the engine (`remembering`: with journal, histograms and stamps). Each frame's work, and nothing else,
/// is done inside a call of `count`; where `senders`, only that of the frames that send orders. The number of frames counted.
///
/// # Panics
/// The session cannot be played.
pub fn counted(session: &Session, remembering: bool, senders: bool, mut count: impl FnMut(&mut dyn FnMut())) -> u64 {
    let mut sends = Vec::with_capacity(session.frames.len());
    play(session, Box::new(Bare::new(&session.instrument)), |_, work| work(), |sent| sends.push(sent));
    let pipeline: Box<dyn Pipeline> = if remembering {
        Box::new(Engine::new(&session.instrument, Clock::new()))
    } else {
        Box::new(Bare::new(&session.instrument))
    };
    let (mut counted, mut at) = (0, 0);
    let work = |at: usize, work: &mut dyn FnMut()| {
        if !senders || sends[at] {
            counted += 1;
            count(work);
        } else {
            work();
        }
    };
    play(session, pipeline, work, |sent| {
        // The engine has the real clock: where it stood still for a second it reconciles first, and other work would be counted.
        assert_eq!(sent, sends[at], "frame {at}: the host stopped this process for too long, count again");
        at += 1;
    });
    counted
}

/// Does each frame's work, and nothing else, inside a call of `work`; tells whether it sent orders.
fn play(
    session: &Session,
    mut pipeline: Box<dyn Pipeline>,
    mut work: impl FnMut(usize, &mut dyn FnMut()),
    mut sent: impl FnMut(bool),
) {
    let longest = session.frames.iter().map(|frame| frame.bytes.len()).max().unwrap_or(0).max(session.snapshot.len());
    let mut buf = vec![0_u8; longest + SPARE];
    buf[..session.snapshot.len()].copy_from_slice(&session.snapshot);
    pipeline.snapshot(&mut buf, session.snapshot.len());
    pipeline.settle();
    for (at, frame) in session.frames.iter().enumerate() {
        let len = frame.bytes.len();
        buf[..len].copy_from_slice(&frame.bytes);
        work(at, &mut || pipeline.frame(&mut buf, len, frame.at));
        sent(pipeline.settle().0 > 0);
    }
}

fn rows(ours: &Lane, peer: &Lane, sent: &[bool], bar: Option<Bar>, report: &mut Report) {
    let of = |lane: &Lane, until: usize, senders: bool| -> Vec<f64> {
        let frames = lane.frames.iter().zip(sent).filter(|(_, sent)| **sent || !senders);
        frames.map(|(took, _)| took[until]).collect()
    };
    let frames = sent.iter().filter(|sent| **sent).count();
    let senders = format!("of {frames} frames that send");
    // In the ring, and done.
    let cases = [
        (format!("frame to order in the ring, p50 {senders}"), 0, true, 50.0, bar),
        (format!("frame to order in the ring, p99 {senders}"), 0, true, 99.0, None),
        (format!("frame to the end of its work, p50 {senders}"), 1, true, 50.0, None),
        ("any frame to the end of its work, p50".to_owned(), 1, false, 50.0, None),
        ("any frame to the end of its work, p99".to_owned(), 1, false, 99.0, None),
    ];
    for (what, until, senders, percent, bar) in cases {
        let [value, peer_value] = [ours, peer].map(|lane| percentile(of(lane, until, senders), percent));
        report.rows.push(Row {
            name: format!("{what}: {}", ours.name),
            unit: "ns",
            value,
            peer: peer.name.to_owned(),
            peer_value,
            ratio: peer_value / value,
            bar,
            checksum: peer.checksum,
        });
    }
}
