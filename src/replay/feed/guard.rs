//! Keeps a book of each instrument beside the stream, so that a reader of the stream is told where it must not be believed. Its own
//! book follows the same rules as the maker's; it changes no event and makes none up but the link events and the books behind them.
//!
//! ```text
//!             link Up, whole book                 gap, contradiction, crossed book, hole, damage: link Down
//! lost  ------------------------------> known  ------------------------------> lost
//! ```
//!
//! The book becomes known by a snapshot that the changes join; or, where none comes, rebuilt: from the changes since the loss alone,
//! once its best prices were those of the best quotes at equal update ids [`AGREED`] times in a row over at least [`AGREED_SPAN`], or,
//! in data without numbered quotes, after [`UNAGREED_SPAN`] without a cross. Levels that did not change since are missing in a rebuilt book.

use super::frame::{Body, Frame, Ids};
use super::report::{BookReport, FaultKind, FileReport};
use crate::book::{Book, DepthOutcome, Ladder, LadderLimits, QuoteOutcome};
use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Level, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Seq};
use arrayvec::ArrayVec;

/// Best quotes in a row that a rebuilt book must have agreed with.
pub const AGREED: u32 = 3;
/// Least time over which a book is rebuilt.
pub const AGREED_SPAN: Nanos = Nanos::from_secs(10);
/// Time over which a book is rebuilt where no quote can confirm it.
pub const UNAGREED_SPAN: Nanos = Nanos::from_secs(30);

/// What the stream says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The frame itself.
    Frame,
    /// The frame's snapshot as the change that it makes to the known book; levels are the guard's.
    Change(Ids),
    /// The market is lost.
    Down,
    /// It is there again; the book follows.
    Up,
    /// The whole book as it is now; levels are the guard's.
    Book(Seq),
}

/// What the stream says of one frame, in this order.
pub(super) type Steps = ArrayVec<Step, 4>;

/// One instrument.
pub(super) struct Guard {
    id: InstrumentId,
    book: Book,
    known: bool,
    /// Numbers of changes and quotes that came without: the last one, and the last one of a change.
    number: u64,
    number_of_change: u64,
    /// Last id of single and of aggregate prints.
    trades: [u64; 2],
    rebuilding: Option<Rebuild>,
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
    pub(super) report: BookReport,
}

impl Guard {
    pub(super) fn new(id: InstrumentId, terms: &Instrument) -> Self {
        let symbol = terms.symbol.to_string();
        Self {
            id,
            book: Book::new(terms),
            known: false,
            number: 0,
            number_of_change: 0,
            trades: [0; 2],
            rebuilding: None,
            bids: Vec::new(),
            asks: Vec::new(),
            report: BookReport {
                symbol,
                tick: terms.tick.to_string(),
                lot: terms.lot.to_string(),
                known: 0,
                rebuilt: 0,
                lost: 0,
                unneeded: 0,
            },
        }
    }

    /// What the stream says of a frame of this instrument at this (corrected) time. Numbers what has none.
    pub(super) fn take(&mut self, at: Nanos, frame: &mut Frame, report: &mut FileReport) -> Steps {
        let mut steps = Steps::new();
        match frame.body {
            Body::Depth { instrument, ids } => {
                report.depth += 1;
                let ids = ids.unwrap_or_else(|| self.next_change());
                frame.body = Body::Depth { instrument, ids: Some(ids) };
                let update = update(self.id, ids, frame.venue, &frame.bids, &frame.asks);
                self.depth(at, &update, Step::Frame, frame.line, report, &mut steps);
            }
            Body::Snapshot { last: Some(last), .. } => {
                report.snapshots += 1;
                self.snapshot(last, frame, report, &mut steps);
            }
            Body::Snapshot { last: None, whole, .. } => {
                report.snapshots += 1;
                self.unnumbered_snapshot(at, whole, frame, report, &mut steps);
            }
            Body::Quote { mut quote, numbered } => {
                report.quotes += 1;
                if !numbered {
                    self.number += 1;
                    quote.seq = Seq(self.number);
                    frame.body = Body::Quote { quote, numbered };
                }
                self.quote(at, &quote, frame.line, report, &mut steps);
            }
            Body::Trade(trade) => {
                let before = &mut self.trades[usize::from(trade.aggregate)];
                if trade.id != 0 && trade.id <= *before {
                    let known = *before;
                    report.fault(FaultKind::Duplicate, frame.line, || format!("print {} after {known}", trade.id));
                    return steps;
                }
                *before = trade.id.max(*before);
                report.trades += 1;
                steps.push(Step::Frame);
            }
            Body::Mark(_) | Body::External { .. } => {
                report.marks += 1;
                steps.push(Step::Frame);
            }
            Body::Lost { .. } => {
                self.forget();
                self.lose(&mut steps);
            }
        }
        steps
    }

    /// Nothing of the book is known any more.
    fn forget(&mut self) {
        self.book.reset();
        self.rest();
    }

    /// A book in the making is given up; its memory is kept.
    fn rest(&mut self) {
        if let Some(rebuilding) = &mut self.rebuilding {
            rebuilding.rest();
        }
    }

    fn next_change(&mut self) -> Ids {
        self.number += 1;
        let prev = std::mem::replace(&mut self.number_of_change, self.number);
        Ids { first: Seq(prev + 1), last: Seq(self.number), prev: Seq(prev) }
    }

    fn lose(&mut self, steps: &mut Steps) {
        if std::mem::take(&mut self.known) {
            self.report.lost += 1;
            steps.push(Step::Down);
        }
    }

    /// The book is whole: it is told, if it was not known and may be believed.
    fn regain(&mut self, steps: &mut Steps) {
        if self.known || !self.book.in_sync() || self.book.crossed() {
            return;
        }
        let Some(last) = self.book.last() else { return };
        self.known = true;
        self.rest();
        self.report.known += 1;
        for (side, out) in [(Side::Buy, &mut self.bids), (Side::Sell, &mut self.asks)] {
            out.clear();
            out.extend(self.book.ladder().levels(side));
        }
        steps.extend([Step::Up, Step::Book(last)]);
    }

    fn depth(
        &mut self,
        at: Nanos,
        update: &DepthUpdate<'_>,
        told: Step,
        line: u64,
        report: &mut FileReport,
        steps: &mut Steps,
    ) {
        let outcome = self.book.on_depth(update);
        match outcome {
            DepthOutcome::Applied if self.known && !self.book.crossed() => steps.push(told),
            DepthOutcome::Applied | DepthOutcome::Synced => {
                if self.known {
                    // Known and crossed now: withdraw before the cross is seen.
                    report.fault(FaultKind::Crossed, line, || self.crossing());
                    self.lose(steps);
                    steps.push(told);
                } else {
                    steps.push(told);
                    self.regain(steps);
                }
            }
            DepthOutcome::Stale => {
                report.fault(FaultKind::Duplicate, line, || format!("a book change up to {} again", update.last.0));
            }
            DepthOutcome::Gap { expected, got } => {
                report.fault(FaultKind::Gap, line, || {
                    format!("the change follows {}, the one before it ended with {}", got.0, expected.0)
                });
                self.lose(steps);
                steps.push(told);
                self.rebuild(at, update, steps);
            }
            DepthOutcome::Mismatch { seq } => {
                report.fault(FaultKind::Mismatch, line, || contradiction(seq));
                self.lose(steps);
                steps.push(told);
            }
            DepthOutcome::Buffered
            | DepthOutcome::StoreFull
            | DepthOutcome::SnapshotTooOld { .. }
            | DepthOutcome::SnapshotApplied
            | DepthOutcome::SnapshotUnneeded => {
                steps.push(told);
                self.rebuild(at, update, steps);
            }
        }
    }

    fn crossing(&self) -> String {
        let [bid, ask] = [Side::Buy, Side::Sell].map(|side| self.book.ladder().best(side).unwrap_or_default().price.0);
        format!("bid {bid} and ask {ask} (ticks)")
    }

    fn snapshot(&mut self, last: Seq, frame: &Frame, report: &mut FileReport, steps: &mut Steps) {
        let (instrument, venue_time) = (self.id, frame.venue);
        let snapshot = DepthSnapshot { instrument, last, venue_time, bids: &frame.bids, asks: &frame.asks };
        match self.book.on_snapshot(&snapshot) {
            DepthOutcome::Mismatch { seq } => {
                report.fault(FaultKind::Mismatch, frame.line, || contradiction(seq));
            }
            DepthOutcome::SnapshotUnneeded | DepthOutcome::Stale | DepthOutcome::SnapshotTooOld { .. } => {
                self.report.unneeded += 1;
            }
            _ => self.regain(steps),
        }
    }

    fn unnumbered_snapshot(
        &mut self,
        at: Nanos,
        whole: bool,
        frame: &Frame,
        report: &mut FileReport,
        steps: &mut Steps,
    ) {
        if self.known {
            self.difference(whole, frame);
            let ids = self.next_change();
            let (bids, asks) = (std::mem::take(&mut self.bids), std::mem::take(&mut self.asks));
            let update = update(self.id, ids, frame.venue, &bids, &asks);
            self.depth(at, &update, Step::Change(ids), frame.line, report, steps);
            // A book that is told again would have taken the buffers; a change of a known one never does.
            (self.bids, self.asks) = (bids, asks);
            return;
        }
        self.forget();
        let last = Seq(self.number_of_change);
        let (instrument, venue_time) = (self.id, frame.venue);
        let snapshot = DepthSnapshot { instrument, last, venue_time, bids: &frame.bids, asks: &frame.asks };
        let _ = self.book.on_snapshot(&snapshot);
        // A change of nothing joins it.
        let ids = self.next_change();
        let _ = self.book.on_depth(&update(self.id, ids, frame.venue, &[], &[]));
        self.regain(steps);
        if !self.known && self.book.crossed() {
            report.fault(FaultKind::Crossed, frame.line, || format!("a snapshot with {}", self.crossing()));
        }
    }

    /// What a snapshot changes in the known book, into the guard's buffers: deletes first, then what it says.
    fn difference(&mut self, whole: bool, frame: &Frame) {
        let mut told: Vec<i64> = Vec::new();
        let sides = [(Side::Buy, &frame.bids, &mut self.bids), (Side::Sell, &frame.asks, &mut self.asks)];
        for (side, levels, out) in sides {
            out.clear();
            told.clear();
            told.extend(levels.iter().map(|level| level.price.0));
            told.sort_unstable();
            let worst = if side == Side::Buy { told.first() } else { told.last() };
            let inside = |price: i64| match (whole, worst, side) {
                (true, _, _) => true,
                (false, None, _) => false,
                (false, Some(&worst), Side::Buy) => price >= worst,
                (false, Some(&worst), Side::Sell) => price <= worst,
            };
            let there = self.book.ladder().levels(side).take_while(|level| inside(level.price.0));
            let gone = there.filter(|level| told.binary_search(&level.price.0).is_err());
            out.extend(gone.map(|level| Level { price: level.price, qty: Lots::ZERO }));
            out.extend_from_slice(levels);
        }
    }

    fn quote(&mut self, at: Nanos, quote: &BestQuote, line: u64, report: &mut FileReport, steps: &mut Steps) {
        match self.book.on_quote(quote) {
            QuoteOutcome::Mismatch => {
                report.fault(FaultKind::Mismatch, line, || contradiction(quote.seq));
                self.lose(steps);
            }
            QuoteOutcome::Newer if self.book.crossed() && self.known => {
                report.fault(FaultKind::Crossed, line, || {
                    format!("best quote with bid {} and ask {} (ticks)", quote.bid.price.0, quote.ask.price.0)
                });
                self.lose(steps);
            }
            _ => {}
        }
        steps.push(Step::Frame);
        if self.known {
            return;
        }
        // Crossed for a moment, or confirmed by this very quote.
        self.regain(steps);
        if let Some(rebuilding) = self.rebuilding.as_mut() {
            rebuilding.quote = Some(*quote);
            rebuilding.compare();
            self.believe(at, steps);
        }
    }

    fn rebuild(&mut self, at: Nanos, update: &DepthUpdate<'_>, steps: &mut Steps) {
        let rebuilding = self.rebuilding.get_or_insert_with(|| Rebuild::new(at, update.prev));
        if update.prev != rebuilding.last {
            rebuilding.restart(at);
        }
        rebuilding.ladder.apply(Side::Buy, update.bids);
        rebuilding.ladder.apply(Side::Sell, update.asks);
        rebuilding.last = update.last;
        rebuilding.compare();
        self.believe(at, steps);
    }

    /// Takes the rebuilt book for the book, if it may be believed.
    fn believe(&mut self, at: Nanos, steps: &mut Steps) {
        let Some(rebuilding) = self.rebuilding.as_ref().filter(|rebuilding| rebuilding.ready(at)) else { return };
        let [bids, asks] = [Side::Buy, Side::Sell].map(|side| rebuilding.ladder.levels(side).collect::<Vec<_>>());
        let (instrument, last) = (self.id, rebuilding.last);
        let snapshot = DepthSnapshot { instrument, last, venue_time: Nanos::ZERO, bids: &bids, asks: &asks };
        let _ = self.book.on_snapshot(&snapshot);
        self.report.rebuilt += 1;
        self.rest();
        // Where no change is held that joins it, the next one will.
        self.regain(steps);
    }
}

fn contradiction(seq: Seq) -> String {
    format!("the best quote and the book differ at update {}", seq.0)
}

fn update<'a>(
    instrument: InstrumentId,
    ids: Ids,
    venue_time: Nanos,
    bids: &'a [Level],
    asks: &'a [Level],
) -> DepthUpdate<'a> {
    let Ids { first, last, prev } = ids;
    DepthUpdate { instrument, first, last, prev, venue_time, bids, asks }
}

/// A book in the making, from changes alone.
struct Rebuild {
    ladder: Ladder,
    last: Seq,
    since: Nanos,
    quote: Option<BestQuote>,
    quoted: bool,
    agreed: u32,
}

impl Rebuild {
    fn new(at: Nanos, last: Seq) -> Self {
        let ladder = Ladder::new(LadderLimits::default());
        Self { ladder, last, since: at, quote: None, quoted: false, agreed: 0 }
    }

    /// Until the next change, which follows nothing that is known here.
    fn rest(&mut self) {
        (self.last, self.since, self.agreed) = (Seq::MAX, Nanos::MAX, 0);
        (self.quote, self.quoted) = (None, false);
    }

    fn restart(&mut self, at: Nanos) {
        self.ladder.clear();
        (self.since, self.agreed) = (at, 0);
    }

    /// Looks at the newest quote once the changes are where it is.
    fn compare(&mut self) {
        let Some(quote) = self.quote.take_if(|quote| quote.seq <= self.last) else { return };
        if quote.seq == self.last {
            self.quoted = true;
            let best = [Side::Buy, Side::Sell].map(|side| self.ladder.best(side).map(|level| level.price));
            let agrees = best == [Some(quote.bid.price), Some(quote.ask.price)];
            self.agreed = if agrees { self.agreed + 1 } else { 0 };
        }
    }

    fn ready(&self, at: Nanos) -> bool {
        let [Some(bid), Some(ask)] = [Side::Buy, Side::Sell].map(|side| self.ladder.best(side)) else { return false };
        let span = at - self.since;
        let confirmed = if self.quoted { self.agreed >= AGREED && span >= AGREED_SPAN } else { span >= UNAGREED_SPAN };
        confirmed && bid.price < ask.price
    }
}
