//! When a book may be believed: snapshot and diffs joined by their update ids. Holds early diffs in a fixed store; never guesses over a gap.
//!
//! ```text
//!            snapshot, no diff joins it yet            diff that joins
//! Waiting ------------------------------> Snapshot ---------------------> Synced --+ diff with prev == last
//!    ^  |  snapshot + held diffs that join it                               ^  |<--+
//!    |  +-------------------------------------------------------------------+  |
//!    +---- gap, snapshot too old, store full, feed reset ----------------------+
//! ```
//!
//! The rules are Binance's for USD-M ("How to manage a local order book correctly"): drop diffs with `last < snapshot`; the first
//! applied one has `first <= snapshot <= last` (or `prev == snapshot`); from then on `prev` is the `last` before.

use super::ladder::Ladder;
use crate::event::{DepthSnapshot, DepthUpdate, Level, Side};
use crate::unit::Seq;

/// What a diff or a snapshot did to the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum DepthOutcome {
    /// The next diff; the book is in sync.
    Applied,
    /// The diff (or the snapshot with the diffs held) made the book whole: in sync from here.
    Synced,
    /// Held until a snapshot comes.
    Buffered,
    /// The snapshot is in; the first diff that joins it is still awaited.
    SnapshotApplied,
    /// Older than what is known; ignored.
    Stale,
    /// A snapshot that nobody needs: the book is in sync without it. Ignored.
    SnapshotUnneeded,
    /// A diff is missing: out of sync, a new snapshot is needed.
    Gap {
        /// The `prev` that would have joined.
        expected: Seq,
        /// The `prev` that came.
        got: Seq,
    },
    /// The diffs begin after the snapshot ended: a newer snapshot is needed; the diffs are kept.
    SnapshotTooOld {
        /// The snapshot's update id.
        snapshot: Seq,
        /// First update id of the first diff behind it.
        first: Seq,
    },
    /// The store for early diffs was full: they are dropped, holding starts again with this diff where it fits.
    StoreFull,
    /// The book's best price differs from the best quote with the same update id: out of sync, a new snapshot is needed.
    Mismatch {
        /// The update id of both.
        seq: Seq,
    },
}

/// Sizes of the store for diffs that come before the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyncLimits {
    /// Most diffs held.
    pub diffs: usize,
    /// Most levels in them altogether, 16 bytes each.
    pub levels: usize,
}

impl Default for SyncLimits {
    /// 12 s of diffs at the recorded 50 ms and the recorded mean of 72 levels a diff, with room for two bursts.
    fn default() -> Self {
        Self { diffs: 256, levels: 32_768 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Held {
    first: Seq,
    last: Seq,
    prev: Seq,
    bids: usize,
    asks: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting,
    Snapshot(Seq),
    Synced(Seq),
}

/// The state machine. It writes into the ladder that is handed in and into no other place.
#[derive(Debug)]
pub struct DepthSync {
    state: State,
    /// INVARIANT: neither vector ever grows past its first capacity; `levels` holds the levels of `diffs` back to back, bids first.
    diffs: Vec<Held>,
    levels: Vec<Level>,
}

impl DepthSync {
    /// Waits for diffs and a snapshot.
    #[must_use]
    pub fn new(limits: SyncLimits) -> Self {
        Self {
            state: State::Waiting,
            diffs: Vec::with_capacity(limits.diffs),
            levels: Vec::with_capacity(limits.levels),
        }
    }

    /// True while every update up to [`DepthSync::last`] is in the ladder.
    #[inline]
    #[must_use]
    pub fn in_sync(&self) -> bool {
        matches!(self.state, State::Synced(_))
    }

    /// The update id that the ladder is true at, once there is one.
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        match self.state {
            State::Waiting => None,
            State::Snapshot(last) | State::Synced(last) => Some(last),
        }
    }

    /// A snapshot asked for now can join: diffs are held, so it will not be older than the first of them.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.state == State::Waiting && !self.diffs.is_empty()
    }

    /// Forgets everything: the feed starts again.
    pub fn restart(&mut self) {
        self.state = State::Waiting;
        self.diffs.clear();
        self.levels.clear();
    }

    /// Takes the next diff of the feed.
    #[inline]
    pub fn on_depth(&mut self, update: &DepthUpdate<'_>, ladder: &mut Ladder) -> DepthOutcome {
        match self.state {
            State::Synced(last) if update.prev == last => {
                self.apply(update.last, update.bids, update.asks, ladder);
                DepthOutcome::Applied
            }
            State::Synced(last) if update.last <= last => DepthOutcome::Stale,
            State::Synced(last) => {
                self.restart();
                let _ = self.hold(update);
                DepthOutcome::Gap { expected: last, got: update.prev }
            }
            State::Snapshot(snapshot) if joins(snapshot, update.first, update.last, update.prev) => {
                self.apply(update.last, update.bids, update.asks, ladder);
                DepthOutcome::Synced
            }
            State::Snapshot(snapshot) if update.last < snapshot => DepthOutcome::Stale,
            State::Snapshot(snapshot) => {
                self.restart();
                let _ = self.hold(update);
                DepthOutcome::SnapshotTooOld { snapshot, first: update.first }
            }
            State::Waiting => self.hold(update),
        }
    }

    /// Takes the answer to a snapshot request.
    pub fn on_snapshot(&mut self, snapshot: &DepthSnapshot<'_>, ladder: &mut Ladder) -> DepthOutcome {
        match self.state {
            State::Synced(_) => return DepthOutcome::SnapshotUnneeded,
            State::Snapshot(last) if snapshot.last < last => return DepthOutcome::Stale,
            State::Snapshot(_) | State::Waiting => {}
        }
        let useful = self.diffs.iter().position(|held| held.last >= snapshot.last);
        if let Some(held) = useful.map(|at| self.diffs[at])
            && !joins(snapshot.last, held.first, held.last, held.prev)
        {
            return DepthOutcome::SnapshotTooOld { snapshot: snapshot.last, first: held.first };
        }
        ladder.clear();
        ladder.apply(Side::Buy, snapshot.bids);
        ladder.apply(Side::Sell, snapshot.asks);
        self.state = match useful {
            None => State::Snapshot(snapshot.last),
            Some(useful) => {
                let mut levels = self.levels.as_slice();
                for (at, held) in self.diffs.iter().enumerate() {
                    let (bids, rest) = levels.split_at(held.bids);
                    let (asks, rest) = rest.split_at(held.asks);
                    if at >= useful {
                        ladder.apply(Side::Buy, bids);
                        ladder.apply(Side::Sell, asks);
                    }
                    levels = rest;
                }
                // Held diffs are contiguous: `hold` starts again at a gap.
                State::Synced(self.diffs.last().map_or(snapshot.last, |held| held.last))
            }
        };
        self.diffs.clear();
        self.levels.clear();
        if self.in_sync() { DepthOutcome::Synced } else { DepthOutcome::SnapshotApplied }
    }

    #[inline]
    fn apply(&mut self, last: Seq, bids: &[Level], asks: &[Level], ladder: &mut Ladder) {
        ladder.apply(Side::Buy, bids);
        ladder.apply(Side::Sell, asks);
        self.state = State::Synced(last);
    }

    fn hold(&mut self, update: &DepthUpdate<'_>) -> DepthOutcome {
        let mut outcome = DepthOutcome::Buffered;
        if let Some(before) = self.diffs.last() {
            if update.last <= before.last {
                return DepthOutcome::Stale;
            }
            if update.prev != before.last {
                outcome = DepthOutcome::Gap { expected: before.last, got: update.prev };
                self.restart();
            }
        }
        let levels = update.bids.len() + update.asks.len();
        let fits = |held: &Self| {
            held.diffs.len() < held.diffs.capacity() && levels <= held.levels.capacity() - held.levels.len()
        };
        if !fits(self) {
            self.restart();
            outcome = DepthOutcome::StoreFull;
        }
        if fits(self) {
            let DepthUpdate { first, last, prev, bids, asks, .. } = *update;
            self.diffs.push(Held { first, last, prev, bids: bids.len(), asks: asks.len() });
            self.levels.extend_from_slice(bids);
            self.levels.extend_from_slice(asks);
        }
        outcome
    }
}

/// A diff continues a snapshot when it straddles the snapshot's update id or follows it directly.
fn joins(snapshot: Seq, first: Seq, last: Seq, prev: Seq) -> bool {
    prev == snapshot || (first <= snapshot && snapshot <= last)
}

#[cfg(test)]
mod tests {
    use super::super::ladder::LadderLimits;
    use super::*;
    use crate::instrument::InstrumentId;
    use crate::unit::{Lots, Nanos, Ticks};

    struct Feed {
        sync: DepthSync,
        ladder: Ladder,
    }

    impl Feed {
        fn new(diffs: usize, levels: usize) -> Self {
            let ladder = Ladder::new(LadderLimits { window: 64, overflow: 64 });
            Self { sync: DepthSync::new(SyncLimits { diffs, levels }), ladder }
        }

        /// A diff with ids `first..=last` behind `prev`; it sets the bid `last` to one lot, so the book shows what was applied.
        fn diff(&mut self, prev: u64, first: u64, last: u64) -> DepthOutcome {
            let bids = [Level { price: Ticks(last as i64), qty: Lots(1) }];
            let update = DepthUpdate {
                instrument: InstrumentId(0),
                first: Seq(first),
                last: Seq(last),
                prev: Seq(prev),
                venue_time: Nanos(0),
                bids: &bids,
                asks: &[],
            };
            self.sync.on_depth(&update, &mut self.ladder)
        }

        fn snapshot(&mut self, last: u64) -> DepthOutcome {
            let asks = [Level { price: Ticks(1_000), qty: Lots(9) }];
            let snapshot = DepthSnapshot {
                instrument: InstrumentId(0),
                last: Seq(last),
                venue_time: Nanos(0),
                bids: &[],
                asks: &asks,
            };
            self.sync.on_snapshot(&snapshot, &mut self.ladder)
        }

        fn bids(&self) -> Vec<i64> {
            self.ladder.levels(Side::Buy).map(|level| level.price.0).collect()
        }
    }

    #[test]
    fn held_diffs_join_the_snapshot_and_older_ones_are_dropped() {
        let mut feed = Feed::new(8, 8);
        assert!(!feed.sync.wants_snapshot());
        assert_eq!(feed.diff(9, 10, 12), DepthOutcome::Buffered);
        assert!(feed.sync.wants_snapshot());
        assert_eq!(feed.diff(12, 14, 16), DepthOutcome::Buffered);
        assert_eq!(feed.diff(16, 17, 20), DepthOutcome::Buffered);
        assert!(!feed.sync.in_sync());
        assert_eq!(feed.snapshot(15), DepthOutcome::Synced);
        assert_eq!((feed.bids(), feed.sync.last()), (vec![20, 16], Some(Seq(20))));
        assert_eq!(feed.diff(20, 21, 22), DepthOutcome::Applied);
        assert_eq!(feed.diff(16, 17, 20), DepthOutcome::Stale);
        assert_eq!(feed.snapshot(99), DepthOutcome::SnapshotUnneeded);
        assert_eq!(feed.bids(), [22, 20, 16]);
    }

    #[test]
    fn a_snapshot_newer_than_all_diffs_waits_for_the_one_that_joins() {
        let mut feed = Feed::new(8, 8);
        assert_eq!(feed.diff(9, 10, 12), DepthOutcome::Buffered);
        assert_eq!(feed.snapshot(30), DepthOutcome::SnapshotApplied);
        assert!(!feed.sync.in_sync());
        assert_eq!(feed.diff(12, 13, 29), DepthOutcome::Stale);
        assert_eq!(feed.diff(29, 30, 33), DepthOutcome::Synced);
        assert_eq!(feed.bids(), [33]);
    }

    #[test]
    fn prev_equal_to_the_snapshot_joins_without_straddling() {
        let mut feed = Feed::new(8, 8);
        assert_eq!(feed.snapshot(30), DepthOutcome::SnapshotApplied);
        assert_eq!(feed.diff(30, 35, 40), DepthOutcome::Synced);
        let mut held = Feed::new(8, 8);
        assert_eq!(held.diff(30, 35, 40), DepthOutcome::Buffered);
        assert_eq!(held.snapshot(30), DepthOutcome::Synced);
    }

    #[test]
    fn a_snapshot_older_than_the_diffs_is_refused_and_the_diffs_are_kept() {
        let mut feed = Feed::new(8, 8);
        assert_eq!(feed.diff(19, 20, 22), DepthOutcome::Buffered);
        let old = DepthOutcome::SnapshotTooOld { snapshot: Seq(10), first: Seq(20) };
        assert_eq!(feed.snapshot(10), old);
        assert_eq!(feed.snapshot(21), DepthOutcome::Synced);
        let mut late = Feed::new(8, 8);
        assert_eq!(late.snapshot(10), DepthOutcome::SnapshotApplied);
        assert_eq!(late.diff(19, 20, 22), old);
        assert!(late.sync.wants_snapshot());
        assert_eq!(late.snapshot(22), DepthOutcome::Synced);
    }

    #[test]
    fn a_gap_needs_a_new_snapshot_and_keeps_the_diff_behind_it() {
        let mut feed = Feed::new(8, 8);
        assert_eq!(feed.diff(0, 1, 2), DepthOutcome::Buffered);
        assert_eq!(feed.snapshot(2), DepthOutcome::Synced);
        assert_eq!(feed.diff(4, 5, 6), DepthOutcome::Gap { expected: Seq(2), got: Seq(4) });
        assert!(!feed.sync.in_sync() && feed.sync.wants_snapshot());
        assert_eq!(feed.snapshot(5), DepthOutcome::Synced);
        assert_eq!(feed.sync.last(), Some(Seq(6)));
    }

    #[test]
    fn a_gap_among_held_diffs_starts_holding_again() {
        let mut feed = Feed::new(8, 8);
        assert_eq!(feed.diff(0, 1, 2), DepthOutcome::Buffered);
        assert_eq!(feed.diff(2, 3, 3), DepthOutcome::Buffered);
        assert_eq!(feed.diff(2, 3, 3), DepthOutcome::Stale);
        assert_eq!(feed.diff(7, 8, 9), DepthOutcome::Gap { expected: Seq(3), got: Seq(7) });
        assert_eq!(feed.snapshot(2), DepthOutcome::SnapshotTooOld { snapshot: Seq(2), first: Seq(8) });
        assert_eq!(feed.snapshot(9), DepthOutcome::Synced);
    }

    #[test]
    fn a_full_store_starts_again_and_never_grows() {
        for (diffs, levels) in [(2, 100), (100, 2)] {
            let mut feed = Feed::new(diffs, levels);
            assert_eq!(feed.diff(0, 1, 1), DepthOutcome::Buffered);
            assert_eq!(feed.diff(1, 2, 2), DepthOutcome::Buffered);
            assert_eq!(feed.diff(2, 3, 3), DepthOutcome::StoreFull);
            assert_eq!(feed.diff(3, 4, 4), DepthOutcome::Buffered);
            assert_eq!(feed.snapshot(2), DepthOutcome::Synced);
            assert_eq!(feed.bids(), [4, 3]);
        }
        let mut tiny = Feed::new(4, 0);
        assert_eq!(tiny.diff(0, 1, 1), DepthOutcome::StoreFull);
        assert!(!tiny.sync.wants_snapshot());
    }

    #[test]
    fn a_reset_forgets_the_feed() {
        let mut feed = Feed::new(8, 8);
        assert_eq!(feed.diff(0, 1, 2), DepthOutcome::Buffered);
        assert_eq!(feed.snapshot(2), DepthOutcome::Synced);
        feed.sync.restart();
        assert_eq!((feed.sync.in_sync(), feed.sync.last()), (false, None));
        assert_eq!(feed.diff(900, 901, 902), DepthOutcome::Buffered);
    }
}
