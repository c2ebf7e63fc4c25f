//! Decoding and the book, alone and together: batches of frames of one kind, in the session's order. Decides nothing.

use crate::frames::{Batch, Kind, SPARE, Session};
use crate::measure::{Bar, Candidate, Report, Row, median, race};
use crate::peers::{SerdeJson, SimdJson, TreeBook, Understood, plain, sum_message, ticks};
use spinquote::book::{Book, DepthOutcome, Ladder, LadderLimits};
use spinquote::event::{DepthUpdate, Event, Level, Side};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::unit::{Nanos, Seq};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::MarketMessage;
use spinquote::wire::simd::Kernel;

const TAPE: &str = "simd-json fill_tape alone";
const SIMD: &str = "simd-json fill_tape, tape read";
const SERDE: &str = "serde_json typed, Decimal";
const SIMD_BOOK: &str = "simd-json tape, BTreeMap";
const SERDE_BOOK: &str = "serde_json, Decimal, BTreeMap";

fn kernels() -> impl Iterator<Item = (Kernel, String)> {
    Kernel::ALL.into_iter().filter(|kernel| kernel.available()).map(|kernel| (kernel, format!("{kernel:?}")))
}

/// The bars of a row by kernel: plainest first, as [`Kernel::ALL`].
fn bar(bars: [f64; 3], kernel: Kernel) -> Option<Bar> {
    Some(Bar::Faster(bars[kernel as usize]))
}

struct Batches {
    batches: Vec<Batch>,
    at: usize,
}

impl Batches {
    fn new(session: &Session, kind: Kind, size: usize, most: usize) -> Self {
        let documents: Vec<&[u8]> = session.of(kind).take(size * most).collect();
        Self { batches: documents.chunks(size).map(|chunk| Batch::new(chunk.iter().copied())).collect(), at: 0 }
    }

    fn turn_to(&mut self, round: usize) -> usize {
        self.at = round % self.batches.len();
        self.batches[self.at].restore();
        self.batches[self.at].len()
    }

    fn each(&mut self, read: impl FnMut(&mut [u8], usize) -> u64) -> u64 {
        self.batches[self.at].each(read)
    }
}

/// Decoding of one kind of frame, with every kernel of this machine.
///
/// # Panics
/// A frame is not understood, or results differ.
pub fn decode(session: &Session, rounds: usize, kind: Kind, report: &mut Report) {
    let size = if kind == Kind::Depth { 32 } else { 256 };
    let mut batches = Batches::new(session, kind, size, rounds);
    if batches.batches.is_empty() {
        return;
    }
    let (mut alone, mut simd, mut serde) = (SimdJson::default(), SimdJson::default(), SerdeJson::default());
    let mut candidates = Vec::new();
    for (kernel, name) in kernels() {
        let mut decoder = MarketDecoder::with_kernel(std::slice::from_ref(&session.instrument), Some(kernel));
        candidates.push(Candidate::new(name, move |batches: &mut Batches| {
            batches.each(|buf, len| sum_message(&decoder.decode(buf, len).expect("a frame of the session")))
        }));
    }
    candidates.push(Candidate::unchecked(TAPE, move |batches: &mut Batches| {
        batches.each(|buf, len| alone.tape_only(&mut buf[..len]))
    }));
    candidates
        .push(Candidate::new(SIMD, move |batches: &mut Batches| batches.each(|buf, len| simd.sum(&mut buf[..len]))));
    candidates
        .push(Candidate::new(SERDE, move |batches: &mut Batches| batches.each(|buf, len| serde.sum(&buf[..len]))));
    let timed = race(rounds, &mut batches, Batches::turn_to, candidates);
    let (what, bars) = match kind {
        Kind::Depth => ("decode depth", Some([2.5, 5.0, 8.0])),
        Kind::Quote => ("decode bookTicker", Some([5.0; 3])),
        Kind::Trade => ("decode trade", None),
    };
    for (kernel, name) in kernels() {
        let bar = bars.and_then(|bars| bar(bars, kernel));
        report.compare(what, "ns/frame", &timed, &name, SIMD, bar);
        report.compare(what, "ns/frame", &timed, &name, TAPE, None);
        report.compare(what, "ns/frame", &timed, &name, SERDE, None);
    }
}

/// A diff with its levels.
struct Diff {
    ids: [u64; 3],
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Diff {
    fn update(&self) -> DepthUpdate<'_> {
        let [first, last, prev] = self.ids.map(Seq);
        let (instrument, venue_time) = (InstrumentId(0), Nanos::ZERO);
        DepthUpdate { instrument, first, last, prev, venue_time, bids: &self.bids, asks: &self.asks }
    }
}

/// The diffs of a round.
struct Window {
    all: Vec<Diff>,
    at: std::ops::Range<usize>,
}

impl Window {
    fn diffs(&self) -> &[Diff] {
        &self.all[self.at.clone()]
    }
}

fn diffs(session: &Session, limit: usize) -> Vec<Diff> {
    let mut reader = SimdJson::default();
    let mut all = Vec::new();
    for document in session.of(Kind::Depth).take(limit) {
        if let Understood::Depth(ids) = reader.decode(&mut document.to_vec()) {
            all.push(Diff { ids, bids: reader.bids.clone(), asks: reader.asks.clone() });
        }
    }
    all
}

fn snapshot(session: &Session) -> Vec<u8> {
    let mut body = session.snapshot.clone();
    body.resize(body.len() + SPARE, 0);
    body
}

/// Our book at the snapshot.
fn book(session: &Session) -> Book {
    let mut decoder = MarketDecoder::new(std::slice::from_ref(&session.instrument));
    let mut book = Book::new(&session.instrument);
    let mut body = snapshot(session);
    let found = decoder.decode_snapshot(InstrumentId(0), &mut body, session.snapshot.len());
    let outcome = book.on_snapshot(&found.expect("the session's snapshot"));
    assert_eq!(outcome, DepthOutcome::SnapshotApplied);
    book
}

#[inline]
fn follow(book: &mut Book, update: &DepthUpdate<'_>) {
    let outcome = book.on_depth(update);
    assert!(matches!(outcome, DepthOutcome::Applied | DepthOutcome::Synced), "{outcome:?}: the session has a gap");
}

/// The naive book at the snapshot.
fn tree(session: &Session) -> TreeBook<i64, i64> {
    let (mut reader, mut tree) = (SimdJson::default(), TreeBook::default());
    reader.snapshot(&mut session.snapshot.clone());
    tree.apply(Side::Buy, plain(&reader.bids));
    tree.apply(Side::Sell, plain(&reader.asks));
    tree
}

fn sum_best(bid: Option<i64>, ask: Option<i64>) -> u64 {
    (bid.unwrap_or(0) ^ ask.unwrap_or(0).rotate_left(32)).cast_unsigned()
}

fn sum_book(book: &Book) -> u64 {
    let best = |side| book.best(side).map(|level| level.price.0);
    sum_best(best(Side::Buy), best(Side::Sell))
}

/// The book alone: decoded diffs applied one after the other, the best prices read after each.
///
/// # Panics
/// The books differ.
pub fn apply(session: &Session, rounds: usize, report: &mut Report) {
    const SIZE: usize = 16;
    const TREE: &str = "BTreeMap";
    let mut window = Window { all: diffs(session, rounds * SIZE), at: 0..0 };
    let (mut book, mut tree) = (book(session), tree(session));
    let candidates = vec![
        Candidate::new("Book", move |window: &mut Window| {
            window.diffs().iter().fold(0, |sum: u64, diff| {
                follow(&mut book, &diff.update());
                sum.rotate_left(1) ^ sum_book(&book)
            })
        }),
        Candidate::new(TREE, move |window: &mut Window| {
            window.diffs().iter().fold(0, |sum: u64, diff| {
                tree.apply(Side::Buy, plain(&diff.bids));
                tree.apply(Side::Sell, plain(&diff.asks));
                let (bid, ask) = tree.best();
                sum.rotate_left(1) ^ sum_best(bid, ask)
            })
        }),
    ];
    let rounds = window.all.len().div_ceil(SIZE);
    let prepare = |window: &mut Window, round: usize| {
        window.at = round * SIZE..((round + 1) * SIZE).min(window.all.len());
        window.diffs().iter().map(|diff| diff.bids.len() + diff.asks.len()).sum()
    };
    let timed = race(rounds, &mut window, prepare, candidates);
    report.compare("book", "ns/level", &timed, "Book", TREE, Some(Bar::Faster(8.0)));
}

/// Diff frames to the best prices.
///
/// # Panics
/// A frame is not understood, or the books differ.
pub fn decode_and_apply(session: &Session, rounds: usize, report: &mut Report) {
    const SIZE: usize = 32;
    let mut batches = Batches::new(session, Kind::Depth, SIZE, rounds);
    let rounds = batches.batches.len();
    let mut candidates = Vec::new();
    for (kernel, name) in kernels() {
        let mut decoder = MarketDecoder::with_kernel(std::slice::from_ref(&session.instrument), Some(kernel));
        let mut book = book(session);
        candidates.push(Candidate::new(name, move |batches: &mut Batches| {
            batches.each(|buf, len| {
                if let Ok(MarketMessage::Event(Event::Depth(update))) = decoder.decode(buf, len) {
                    follow(&mut book, &update);
                }
                sum_book(&book)
            })
        }));
    }
    let (mut simd, mut plain_tree) = (SimdJson::default(), tree(session));
    candidates.push(Candidate::new(SIMD_BOOK, move |batches: &mut Batches| {
        batches.each(|buf, len| {
            simd.decode(&mut buf[..len]);
            plain_tree.apply(Side::Buy, plain(&simd.bids));
            plain_tree.apply(Side::Sell, plain(&simd.asks));
            let (bid, ask) = plain_tree.best();
            sum_best(bid, ask)
        })
    }));
    let (mut serde, mut decimals) = (SerdeJson::default(), TreeBook::default());
    serde.snapshot(&session.snapshot);
    decimals.apply(Side::Buy, serde.bids.iter().copied());
    decimals.apply(Side::Sell, serde.asks.iter().copied());
    candidates.push(Candidate::new(SERDE_BOOK, move |batches: &mut Batches| {
        batches.each(|buf, len| {
            serde.decode(&buf[..len]);
            decimals.apply(Side::Buy, serde.bids.iter().copied());
            decimals.apply(Side::Sell, serde.asks.iter().copied());
            let (bid, ask) = decimals.best();
            sum_best(bid.map(ticks), ask.map(ticks))
        })
    }));
    let timed = race(rounds, &mut batches, Batches::turn_to, candidates);
    for (kernel, name) in kernels() {
        report.compare("decode + book", "ns/frame", &timed, &name, SIMD_BOOK, bar([4.5, 6.0, 8.0], kernel));
        report.compare("decode + book", "ns/frame", &timed, &name, SERDE_BOOK, None);
    }
}

/// The session's diffs applied to the book, all inside one call of `count`; returns how many.
///
/// # Panics
/// The session has a gap.
pub fn counted(session: &Session, mut count: impl FnMut(&mut dyn FnMut())) -> u64 {
    let (mut book, all) = (book(session), diffs(session, usize::MAX));
    count(&mut || {
        for diff in &all {
            follow(&mut book, &diff.update());
        }
    });
    std::hint::black_box(sum_book(&book));
    all.len() as u64
}

/// Levels a frame, and instruments in one engine, that growth is measured at.
const LEVELS: [usize; 3] = [10, 100, 1_000];
const INSTRUMENTS: [usize; 3] = [1, 8, 32];

/// A diff of `count` levels around the price, on either side, each 21 to 22 bytes; `frame` makes the quantities differ.
fn made(symbol: &str, count: usize, frame: u64) -> Vec<u8> {
    let level = |at: usize, base: i64, step: i64| {
        let price = base + step * at as i64 * 3;
        let qty = (at as u64 * 7_919 + frame * 104_729) % 4_000;
        format!("[\"{}.{}0\",\"{}.{:03}\"]", price / 10, price % 10, qty / 1_000, qty % 1_000)
    };
    let side = |base, step| (0..count / 2).map(|at| level(at, base, step)).collect::<Vec<_>>().join(",");
    let (lower, ids) = (symbol.to_lowercase(), [frame * 10 + 1, frame * 10 + 10, frame * 10]);
    format!(
        "{{\"stream\":\"{lower}@depth@0ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":1723161256299,\"T\":1723161256298,\
         \"s\":\"{symbol}\",\"U\":{},\"u\":{},\"pu\":{},\"b\":[{}],\"a\":[{}]}}}}",
        ids[0],
        ids[1],
        ids[2],
        side(618_000, -1),
        side(618_010, 1)
    )
    .into_bytes()
}

/// Documents of all instruments in turn, and one decoder and the ladders of them.
struct Many {
    batch: Batch,
    decoder: MarketDecoder,
    ladders: Vec<Ladder>,
}

impl Many {
    fn new(instruments: usize, levels: usize, frames: usize) -> Self {
        let all: Vec<Instrument> =
            (0..instruments).map(|at| Instrument::synthetic(&format!("S{at}USDT"), "0.10", "0.001")).collect();
        let documents: Vec<Vec<u8>> =
            (0..frames).flat_map(|frame| all.iter().map(move |one| made(&one.symbol, levels, frame as u64))).collect();
        Self {
            batch: Batch::new(documents.iter().map(Vec::as_slice)),
            decoder: MarketDecoder::new(&all),
            ladders: all.iter().map(|_| Ladder::new(LadderLimits::default())).collect(),
        }
    }

    /// Decodes every document and sets its levels. Sequences are not checked: every round has the same ones.
    fn run(&mut self) -> u64 {
        let Self { batch, decoder, ladders } = self;
        batch.each(|buf, len| match decoder.decode(buf, len) {
            Ok(MarketMessage::Event(Event::Depth(update))) => {
                let ladder = &mut ladders[usize::from(update.instrument.0)];
                ladder.apply(Side::Buy, update.bids);
                ladder.apply(Side::Sell, update.asks);
                let best = |side| ladder.best(side).map(|level| level.price.0);
                sum_best(best(Side::Buy), best(Side::Sell))
            }
            other => panic!("a frame of our own making: {other:?}"),
        })
    }
}

/// Decoding and the book by levels a frame and by instruments in one engine: nanoseconds a level should not grow.
///
/// # Panics
/// A frame is not understood.
pub fn growth(rounds: usize, report: &mut Report) {
    let mut cases: Vec<(String, usize, Many)> = Vec::new();
    for levels in LEVELS {
        let frames = 4_000 / levels;
        cases.push((format!("{levels} levels a frame, 1 instrument"), frames * levels, Many::new(1, levels, frames)));
    }
    for instruments in INSTRUMENTS {
        let levels = 20;
        let frames = 256 / instruments;
        let name = format!("{levels} levels a frame, {instruments} instruments");
        cases.push((name, frames * instruments * levels, Many::new(instruments, levels, frames)));
    }
    let operations: Vec<usize> = cases.iter().map(|case| case.1).collect();
    let names: Vec<String> = cases.iter().map(|case| case.0.clone()).collect();
    // Every round runs all cases; the number of operations differs, so each is timed by itself.
    let (mut rows, mut sums) = (vec![Vec::new(); cases.len()], vec![0_u64; cases.len()]);
    for round in 0..rounds {
        for turn in 0..cases.len() {
            let at = (round + turn) % cases.len();
            cases[at].2.batch.restore();
            let start = std::time::Instant::now();
            sums[at] = sums[at].rotate_left(1) ^ std::hint::black_box(cases[at].2.run());
            if round >= rounds / 10 {
                rows[at].push(start.elapsed().as_nanos() as f64 / operations[at] as f64);
            }
        }
    }
    let base = |of: usize| if of < LEVELS.len() { 0 } else { LEVELS.len() };
    for at in 0..names.len() {
        let (ours, peer) = (median(rows[at].clone()), median(rows[base(at)].clone()));
        let ratio = median(rows[base(at)].iter().zip(&rows[at]).map(|(base, this)| base / this).collect());
        report.rows.push(Row {
            name: format!("growth, decode + book: {}", names[at]),
            unit: "ns/level",
            value: ours,
            peer: names[base(at)].clone(),
            peer_value: peer,
            ratio,
            bar: (at != base(at)).then_some(Bar::Within(1.25)),
            checksum: sums[at],
        });
    }
}
