//! The order book: fixed point, rebuilt from snapshot and diffs, quoted only while provably in sync. Knows no venue and no strategy.
//!
//! [`Book`] joins three parts: [`Ladder`] (levels), [`DepthSync`] (may they be believed), and the best-quote stream, which runs ahead of the
//! diffs. A best quote with a newer update id than the diffs moves the touch at once; levels better than it are void until the
//! diffs have caught up. So [`Book::best`] is as fresh as the fastest stream.

mod bitmap;
mod ladder;
mod naive;
mod overflow;
mod sync;

pub use ladder::{Ladder, LadderLimits, PRICE_MAX};
pub use naive::NaiveBook;
pub use sync::{DepthOutcome, DepthSync, SyncLimits};

use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Level, Side};
use crate::instrument::Instrument;
use crate::unit::{Seq, Ticks};

/// What a best quote did to the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuoteOutcome {
    /// Newer than the diffs: it is the touch now.
    Newer,
    /// The diffs are at the same update and agree.
    Confirmed,
    /// Older than the diffs or than another best quote; ignored.
    Stale,
    /// Kept until the book is in sync.
    Kept,
    /// The diffs are at the same update and have another best price: out of sync, a new snapshot is needed.
    Mismatch,
}

/// What happened to the book since it was made. Counts only go up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BookCounters {
    /// Diffs applied while in sync.
    pub applied: u64,
    /// Gaps in the diffs' update ids.
    pub gaps: u64,
    /// Times that the book came back into sync after it had been in sync before.
    pub resyncs: u64,
    /// Times that the book became crossed.
    pub crossed: u64,
    /// Best quotes ignored because something newer was known.
    pub quotes_stale: u64,
    /// Diffs ignored because they were known.
    pub diffs_stale: u64,
    /// Best quotes that contradicted the book at the same update id.
    pub mismatches: u64,
    /// Snapshots that were older than the diffs.
    pub snapshots_old: u64,
    /// Times that the store for early diffs was full.
    pub stores_full: u64,
}

/// One instrument's book.
#[derive(Debug)]
pub struct Book {
    ladder: Ladder,
    sync: DepthSync,
    /// The newest best quote, while it is newer than the diffs.
    quote: Option<BestQuote>,
    /// Best bid and ask of both streams together, `None` where a side is empty or nothing is in sync.
    touch: [Option<Level>; 2],
    crossed: bool,
    was_in_sync: bool,
    counters: BookCounters,
}

impl Book {
    /// An empty book of the default sizes, out of sync.
    ///
    /// # Panics
    /// The instrument allows prices beyond [`PRICE_MAX`].
    #[must_use]
    pub fn new(instrument: &Instrument) -> Self {
        Self::with_limits(instrument, LadderLimits::default(), SyncLimits::default())
    }

    /// [`Book::new`] with other sizes.
    ///
    /// # Panics
    /// As [`Book::new`] and [`Ladder::new`].
    #[must_use]
    pub fn with_limits(instrument: &Instrument, ladder: LadderLimits, sync: SyncLimits) -> Self {
        assert!(
            instrument.price_max <= PRICE_MAX,
            "{}: prices up to {:?} do not fit a book, {PRICE_MAX:?} do",
            instrument.symbol,
            instrument.price_max
        );
        Self {
            ladder: Ladder::new(ladder),
            sync: DepthSync::new(sync),
            quote: None,
            touch: [None; 2],
            crossed: false,
            was_in_sync: false,
            counters: BookCounters::default(),
        }
    }

    /// Takes a diff.
    pub fn on_depth(&mut self, update: &DepthUpdate<'_>) -> DepthOutcome {
        let outcome = self.sync.on_depth(update, &mut self.ladder);
        self.after_depth(outcome)
    }

    /// Takes a snapshot.
    pub fn on_snapshot(&mut self, snapshot: &DepthSnapshot<'_>) -> DepthOutcome {
        let outcome = self.sync.on_snapshot(snapshot, &mut self.ladder);
        self.after_depth(outcome)
    }

    /// Takes a best quote.
    #[inline]
    pub fn on_quote(&mut self, quote: &BestQuote) -> QuoteOutcome {
        if self.quote.is_some_and(|known| quote.seq <= known.seq) {
            self.counters.quotes_stale += 1;
            return QuoteOutcome::Stale;
        }
        if !self.sync.in_sync() {
            self.quote = Some(*quote);
            return QuoteOutcome::Kept;
        }
        match self.sync.last() {
            Some(last) if quote.seq < last => {
                self.counters.quotes_stale += 1;
                QuoteOutcome::Stale
            }
            Some(last) if quote.seq == last => {
                if self.agrees(quote) {
                    QuoteOutcome::Confirmed
                } else {
                    self.contradicted();
                    QuoteOutcome::Mismatch
                }
            }
            _ => {
                self.quote = Some(*quote);
                self.refresh();
                QuoteOutcome::Newer
            }
        }
    }

    /// The feed starts again (reconnect): nothing is known.
    pub fn reset(&mut self) {
        self.sync.restart();
        self.quote = None;
        self.refresh();
    }

    /// True while every update is known and the book may be believed. It may still be crossed or empty: see [`Book::best`].
    #[inline]
    #[must_use]
    pub fn in_sync(&self) -> bool {
        self.sync.in_sync()
    }

    /// A snapshot is needed and one asked for now can join the diffs.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.sync.wants_snapshot()
    }

    /// In sync, both sides there, not crossed: prices that may be quoted on.
    #[inline]
    #[must_use]
    pub fn quotable(&self) -> bool {
        !self.crossed && self.touch[0].is_some() && self.touch[1].is_some()
    }

    /// In sync, but the best bid is not below the best ask.
    #[inline]
    #[must_use]
    pub fn crossed(&self) -> bool {
        self.crossed
    }

    /// Best level of a side: `None` while the side is empty, the book is crossed or not in sync.
    #[inline]
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        if self.crossed { None } else { self.touch[side.index()] }
    }

    /// The next worse level behind `price`; the best one if `price` is better than it. `None` where [`Book::best`] is.
    #[inline]
    #[must_use]
    pub fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        let best = self.best(side)?;
        let better = match side {
            Side::Buy => price > best.price,
            Side::Sell => price < best.price,
        };
        if better { Some(best) } else { self.ladder.behind(side, price) }
    }

    /// The update id that the book's levels are true at.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        self.sync.last()
    }

    /// The levels from the diffs alone. They mean nothing while the book is not in sync.
    #[must_use]
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// What happened so far. Levels dropped or refused are counted by [`Book::ladder`].
    #[must_use]
    pub fn counters(&self) -> &BookCounters {
        &self.counters
    }

    fn after_depth(&mut self, outcome: DepthOutcome) -> DepthOutcome {
        match outcome {
            DepthOutcome::Applied => self.counters.applied += 1,
            DepthOutcome::Synced => {
                self.counters.resyncs += u64::from(self.was_in_sync);
                self.was_in_sync = true;
            }
            DepthOutcome::Gap { .. } => self.counters.gaps += 1,
            DepthOutcome::SnapshotTooOld { .. } => self.counters.snapshots_old += 1,
            DepthOutcome::StoreFull => self.counters.stores_full += 1,
            DepthOutcome::Stale => {
                self.counters.diffs_stale += 1;
                return outcome;
            }
            DepthOutcome::Buffered
            | DepthOutcome::SnapshotApplied
            | DepthOutcome::SnapshotUnneeded
            | DepthOutcome::Mismatch { .. } => {}
        }
        if self.sync.in_sync()
            && let Some(last) = self.sync.last()
            && let Some(quote) = self.quote.take_if(|quote| quote.seq <= last)
            && quote.seq == last
            && !self.agrees(&quote)
        {
            self.contradicted();
            return DepthOutcome::Mismatch { seq: last };
        }
        self.refresh();
        outcome
    }

    /// Same best prices; sizes are not compared, an empty side of the quote is a size of zero.
    fn agrees(&self, quote: &BestQuote) -> bool {
        [(Side::Buy, quote.bid), (Side::Sell, quote.ask)]
            .into_iter()
            .all(|(side, level)| self.ladder.best(side).map(|best| best.price) == quoted(level).map(|best| best.price))
    }

    fn contradicted(&mut self) {
        self.counters.mismatches += 1;
        self.sync.restart();
        self.refresh();
    }

    #[inline]
    fn refresh(&mut self) {
        let was = self.crossed;
        self.touch = match (self.sync.in_sync(), &self.quote) {
            (false, _) => [None; 2],
            (true, Some(quote)) => [quoted(quote.bid), quoted(quote.ask)],
            (true, None) => [self.ladder.best(Side::Buy), self.ladder.best(Side::Sell)],
        };
        self.crossed = matches!(self.touch, [Some(bid), Some(ask)] if bid.price >= ask.price);
        self.counters.crossed += u64::from(self.crossed && !was);
    }
}

fn quoted(level: Level) -> Option<Level> {
    (level.qty.0 > 0 && level.price.0 > 0).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::InstrumentId;
    use crate::unit::{Lots, Nanos};

    const ID: InstrumentId = InstrumentId(0);

    fn levels(of: &[(i64, i64)]) -> Vec<Level> {
        of.iter().map(|&(price, qty)| Level { price: Ticks(price), qty: Lots(qty) }).collect()
    }

    fn depth(book: &mut Book, prev: u64, last: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> DepthOutcome {
        let (bids, asks) = (levels(bids), levels(asks));
        let (first, last, prev) = (Seq(prev + 1), Seq(last), Seq(prev));
        book.on_depth(&DepthUpdate {
            instrument: ID,
            first,
            last,
            prev,
            venue_time: Nanos(0),
            bids: &bids,
            asks: &asks,
        })
    }

    fn snapshot(book: &mut Book, last: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> DepthOutcome {
        let (bids, asks) = (levels(bids), levels(asks));
        let last = Seq(last);
        book.on_snapshot(&DepthSnapshot { instrument: ID, last, venue_time: Nanos(0), bids: &bids, asks: &asks })
    }

    fn quote(book: &mut Book, seq: u64, bid: (i64, i64), ask: (i64, i64)) -> QuoteOutcome {
        let (bid, ask) = (levels(&[bid])[0], levels(&[ask])[0]);
        book.on_quote(&BestQuote { instrument: ID, seq: Seq(seq), bid, ask, venue_time: Nanos(0) })
    }

    fn touch(book: &Book) -> [Option<(i64, i64)>; 2] {
        [Side::Buy, Side::Sell].map(|side| book.best(side).map(|level| (level.price.0, level.qty.0)))
    }

    /// Bids 99, 98, 97 and asks 101, 102, 103, in sync at update 10.
    fn book() -> Book {
        let instrument = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let limits = LadderLimits { window: 64, overflow: 64 };
        let mut book = Book::with_limits(&instrument, limits, SyncLimits::default());
        let full = snapshot(&mut book, 9, &[(99, 5), (98, 6), (97, 7)], &[(101, 5), (102, 6), (103, 7)]);
        assert_eq!(full, DepthOutcome::SnapshotApplied);
        assert_eq!(touch(&book), [None, None]);
        assert_eq!(depth(&mut book, 9, 10, &[], &[]), DepthOutcome::Synced);
        book
    }

    #[test]
    fn a_newer_quote_moves_the_touch_at_once_and_voids_better_levels() {
        let mut book = book();
        assert_eq!(quote(&mut book, 15, (98, 2), (102, 3)), QuoteOutcome::Newer);
        assert_eq!(touch(&book), [Some((98, 2)), Some((102, 3))]);
        assert_eq!(book.behind(Side::Buy, Ticks(100)).unwrap().price, Ticks(98));
        assert_eq!(book.behind(Side::Buy, Ticks(98)).unwrap(), levels(&[(97, 7)])[0]);
        assert_eq!(book.behind(Side::Sell, Ticks(102)).unwrap(), levels(&[(103, 7)])[0]);
        // A diff that is still behind the quote does not bring the void levels back.
        assert_eq!(depth(&mut book, 10, 12, &[(97, 1)], &[]), DepthOutcome::Applied);
        assert_eq!(touch(&book), [Some((98, 2)), Some((102, 3))]);
        assert_eq!(book.behind(Side::Buy, Ticks(98)).unwrap().qty, Lots(1));
        // The diff that has caught up takes over.
        assert_eq!(depth(&mut book, 12, 16, &[(99, 0), (98, 4)], &[(101, 0), (102, 9)]), DepthOutcome::Applied);
        assert_eq!(touch(&book), [Some((98, 4)), Some((102, 9))]);
    }

    #[test]
    fn an_older_quote_is_ignored_and_counted() {
        let mut book = book();
        assert_eq!(quote(&mut book, 8, (90, 1), (91, 1)), QuoteOutcome::Stale);
        assert_eq!(quote(&mut book, 20, (99, 1), (101, 1)), QuoteOutcome::Newer);
        assert_eq!(quote(&mut book, 20, (50, 1), (51, 1)), QuoteOutcome::Stale);
        assert_eq!(book.counters().quotes_stale, 2);
        assert_eq!(touch(&book), [Some((99, 1)), Some((101, 1))]);
    }

    #[test]
    fn a_quote_at_the_same_update_confirms_or_contradicts() {
        let mut agreeing = book();
        assert_eq!(quote(&mut agreeing, 10, (99, 5), (101, 5)), QuoteOutcome::Confirmed);
        assert_eq!(quote(&mut agreeing, 12, (99, 1), (101, 5)), QuoteOutcome::Newer);
        assert_eq!(depth(&mut agreeing, 10, 12, &[(99, 1)], &[]), DepthOutcome::Applied);
        assert_eq!(quote(&mut agreeing, 12, (98, 5), (101, 5)), QuoteOutcome::Mismatch);
        assert_eq!((agreeing.in_sync(), agreeing.counters().mismatches), (false, 1));
        let mut late = book();
        assert_eq!(quote(&mut late, 12, (98, 5), (101, 5)), QuoteOutcome::Newer);
        assert_eq!(depth(&mut late, 10, 12, &[], &[]), DepthOutcome::Mismatch { seq: Seq(12) });
        assert_eq!((late.in_sync(), touch(&late)), (false, [None, None]));
    }

    #[test]
    fn a_crossed_or_empty_book_has_no_best() {
        let mut book = book();
        assert_eq!(depth(&mut book, 10, 11, &[(101, 1)], &[]), DepthOutcome::Applied);
        assert!(book.crossed() && book.in_sync() && !book.quotable());
        assert_eq!((touch(&book), book.behind(Side::Buy, Ticks(101))), ([None, None], None));
        assert_eq!(depth(&mut book, 11, 12, &[(101, 0)], &[]), DepthOutcome::Applied);
        assert!(book.quotable());
        assert_eq!(quote(&mut book, 13, (0, 0), (101, 5)), QuoteOutcome::Newer);
        assert_eq!((touch(&book), book.quotable()), ([None, Some((101, 5))], false));
        assert_eq!(book.counters().crossed, 1);
    }

    #[test]
    fn a_gap_takes_the_best_away_until_a_snapshot_joins() {
        let mut book = book();
        assert_eq!(quote(&mut book, 14, (99, 4), (101, 4)), QuoteOutcome::Newer);
        assert_eq!(depth(&mut book, 12, 13, &[], &[]), DepthOutcome::Gap { expected: Seq(10), got: Seq(12) });
        assert_eq!((touch(&book), book.quotable(), book.wants_snapshot()), ([None, None], false, true));
        assert_eq!(quote(&mut book, 15, (98, 1), (101, 4)), QuoteOutcome::Kept);
        assert_eq!(snapshot(&mut book, 13, &[(99, 1), (98, 2)], &[(101, 4)]), DepthOutcome::Synced);
        assert_eq!(touch(&book), [Some((98, 1)), Some((101, 4))]);
        assert_eq!((book.counters().gaps, book.counters().resyncs), (1, 1));
    }

    #[test]
    fn a_reset_forgets_everything_but_the_counts() {
        let mut book = book();
        assert_eq!(quote(&mut book, 14, (99, 4), (101, 4)), QuoteOutcome::Newer);
        book.reset();
        assert_eq!((book.in_sync(), touch(&book), book.last()), (false, [None, None], None));
        // Update ids may start lower after a venue's restart.
        assert_eq!(quote(&mut book, 3, (99, 4), (101, 4)), QuoteOutcome::Kept);
        assert_eq!(book.counters().applied, 0);
    }
}
