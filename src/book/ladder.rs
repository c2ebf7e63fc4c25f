//! The fast book: one dense window of lots per side, a bitmap for the next occupied level, a sparse overflow outside.
//! Never shares levels between the sides (a book that crosses for a moment would lose quantity) and never allocates after construction.
//!
//! Each side works on keys that grow away from the touch (ask: price, bid: -price), so both run the same code:
//!
//! ```text
//!   better <--- keys --->                                        worse
//!      | headroom N/8 | best ...  window of N slots, slot = key mod N | overflow: only keys behind the window
//!     lo                                                           lo+N
//! ```
//!
//! Because a slot is the key modulo the window's size, re-centring moves no level that stays inside the window.

use super::bitmap::{Bitmap, SLOTS_MAX, assigned};
use super::overflow::Overflow;
use crate::event::{Level, Side};
use crate::unit::{Lots, Ticks};
use crate::wire::buf::touched;

/// Largest price a ladder accepts; far beyond any real one, and far from overflow in the window's arithmetic.
pub const PRICE_MAX: Ticks = Ticks(1 << 48);

/// Sizes of a [`Ladder`]; memory is `8 * window + 16 * next_power_of_two(1.6 * overflow)` bytes a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LadderLimits {
    /// Ticks in the dense window of a side: a power of two from 64 to 262,144.
    pub window: usize,
    /// Most levels of a side outside the window. When full, the farthest level is dropped and counted.
    pub overflow: usize,
}

impl Default for LadderLimits {
    /// 131,072 ticks (of the recorded BTCUSDT updates one in 25 fell outside half of that), and 10,240 levels: twice what a live side
    /// holds altogether.
    fn default() -> Self {
        Self { window: 131_072, overflow: 10_240 }
    }
}

/// Best key of an empty side.
const EMPTY: i64 = i64::MAX;

/// Both sides of a book, levels absolute.
#[derive(Debug)]
pub struct Ladder {
    sides: [Half; 2],
    dropped: u64,
    refused: u64,
}

impl Ladder {
    /// An empty book.
    ///
    /// # Panics
    /// The window is not a power of two from 64 to 262,144, or the overflow is zero.
    #[must_use]
    pub fn new(limits: LadderLimits) -> Self {
        Self { sides: [Half::new(limits), Half::new(limits)], dropped: 0, refused: 0 }
    }

    /// Sets the quantity at a price, zero deletes. A price outside `1..=PRICE_MAX` or a negative quantity is refused and counted.
    #[inline]
    pub fn set(&mut self, side: Side, price: Ticks, qty: Lots) {
        if !is_possible(price, qty) {
            self.refused += 1;
            return;
        }
        let half = &mut self.sides[side.index()];
        half.set(key(side, price), qty.0);
        self.dropped += std::mem::take(&mut half.dropped);
    }

    /// [`Ladder::set`] for each level of one side, in order.
    #[inline]
    pub fn apply(&mut self, side: Side, levels: &[Level]) {
        self.apply_until(side, levels, |_| false);
    }

    /// [`Ladder::apply`] up to the first level at a price to `stop` at; returns those from there on.
    #[inline]
    pub fn apply_until<'a>(
        &mut self,
        side: Side,
        levels: &'a [Level],
        stop: impl Fn(Ticks) -> bool + Copy,
    ) -> &'a [Level] {
        match side {
            Side::Buy => self.apply_by(side, levels, i64::wrapping_neg, 0, stop),
            Side::Sell => self.apply_by(side, levels, |price| price, PRICE_MAX.0 + 1, stop),
        }
    }

    /// `possible_end` is behind the last key of a possible price.
    #[inline(always)]
    fn apply_by<'a>(
        &mut self,
        side: Side,
        levels: &'a [Level],
        key: impl Fn(i64) -> i64 + Copy,
        possible_end: i64,
        stop: impl Fn(Ticks) -> bool + Copy,
    ) -> &'a [Level] {
        let half = &mut self.sides[side.index()];
        let mut rest = levels;
        loop {
            rest = half.set_while_plain(rest, key, possible_end, stop);
            let Some((&Level { price, qty }, behind)) = rest.split_first() else { break };
            if stop(price) {
                break;
            }
            rest = behind;
            if is_possible(price, qty) {
                half.set(key(price.0), qty.0);
            } else {
                self.refused += 1;
            }
        }
        self.dropped += std::mem::take(&mut half.dropped);
        rest
    }

    /// Quantity at a price, zero where there is none.
    #[must_use]
    pub fn qty(&self, side: Side, price: Ticks) -> Lots {
        if price.0 <= 0 || price > PRICE_MAX {
            return Lots::ZERO;
        }
        Lots(self.sides[side.index()].qty(key(side, price)))
    }

    /// Best level of a side.
    #[inline]
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        let half = &self.sides[side.index()];
        (half.best != EMPTY).then(|| level(side, half.best, half.window[half.slot(half.best)]))
    }

    /// The next level worse than `price`. Behind the window it costs a scan of the overflow table.
    #[inline]
    #[must_use]
    pub fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        let price = Ticks(price.0.clamp(0, PRICE_MAX.0 + 1));
        self.sides[side.index()].after(key(side, price)).map(|(key, qty)| level(side, key, qty))
    }

    /// All levels of a side from the best to the worst. For tests and observers: see the cost of [`Ladder::behind`].
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        std::iter::successors(self.best(side), move |level| self.behind(side, level.price))
    }

    /// Number of levels of a side. For tests and observers: it counts them.
    #[must_use]
    pub fn len(&self, side: Side) -> usize {
        let half = &self.sides[side.index()];
        half.bitmap.count() + half.overflow.len()
    }

    /// True when both sides are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(|half| half.best == EMPTY)
    }

    /// Forgets every level; the counters stay.
    pub fn clear(&mut self) {
        for half in &mut self.sides {
            half.clear();
        }
    }

    /// Levels dropped because an overflow was full, since construction.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Levels refused because of an impossible price or quantity, since construction.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// A price from 1 to [`PRICE_MAX`], and no negative quantity.
#[inline(always)]
const fn is_possible(price: Ticks, qty: Lots) -> bool {
    (price.0.wrapping_sub(1).cast_unsigned() < PRICE_MAX.0.cast_unsigned()) & (qty.0 >= 0)
}

#[inline]
fn key(side: Side, price: Ticks) -> i64 {
    match side {
        Side::Buy => -price.0,
        Side::Sell => price.0,
    }
}

#[inline]
fn level(side: Side, found: i64, qty: i64) -> Level {
    let price = match side {
        Side::Buy => -found,
        Side::Sell => found,
    };
    Level { price: Ticks(price), qty: Lots(qty) }
}

/// One side in key space.
///
/// INVARIANT: `best` is the smallest key and lies in the window (or is [`EMPTY`] and there is no level at all);
/// every key in the overflow is at or behind the window's end.
#[derive(Debug)]
struct Half {
    /// First key of the window.
    lo: i64,
    best: i64,
    /// Levels dropped and not yet counted by the ladder.
    dropped: u64,
    window: Box<[i64]>,
    bitmap: Bitmap,
    overflow: Overflow,
}

impl Half {
    fn new(limits: LadderLimits) -> Self {
        let window = limits.window;
        assert!(
            window.is_power_of_two() && (64..=SLOTS_MAX).contains(&window),
            "the ladder window is {window} ticks; it must be a power of two from 64 to {SLOTS_MAX}"
        );
        Self {
            lo: 0,
            best: EMPTY,
            dropped: 0,
            window: touched(0, window),
            bitmap: Bitmap::new(window),
            overflow: Overflow::new(limits.overflow),
        }
    }

    #[inline]
    fn size(&self) -> i64 {
        self.window.len() as i64
    }

    #[inline]
    fn slot(&self, key: i64) -> usize {
        key as usize & (self.window.len() - 1)
    }

    #[inline]
    fn inside(&self, key: i64) -> bool {
        ((key - self.lo) as u64) < self.window.len() as u64
    }

    fn qty(&self, key: i64) -> i64 {
        if self.inside(key) { self.window[self.slot(key)] } else { self.overflow.qty(key) }
    }

    /// Sets levels up to the first one to `stop` at, or that is impossible, outside the window, at the touch, or alone among its
    /// neighbours; returns those from there on. Whether a level comes, goes or changes is as good as random, so nothing branches on it; where it stands is
    /// as good as random too, so nothing waits for what was there.
    #[inline(always)]
    fn set_while_plain<'a>(
        &mut self,
        levels: &'a [Level],
        key: impl Fn(i64) -> i64,
        possible_end: i64,
        stop: impl Fn(Ticks) -> bool,
    ) -> &'a [Level] {
        let Self { lo, best, window, bitmap, .. } = self;
        // Keys behind the best one that are in the window and possible: one comparison. The best one is possible itself.
        let first = best.wrapping_add(1);
        let end = possible_end.min(*lo + window.len() as i64);
        let width = if *best < end { (end - first).cast_unsigned() } else { 0 };
        // Once for all: a store into the window might, for all the compiler knows, move it.
        let (window, words): (&mut [i64], _) = (window, bitmap.words_of_slots());
        let mask = window.len() - 1;
        let mut rest = levels;
        while let Some((&Level { price, qty }, behind)) = rest.split_first() {
            let key = key(price.0);
            if (key.wrapping_sub(first).cast_unsigned() >= width) | (qty.0 < 0) | stop(price) {
                break;
            }
            let slot = key as usize & mask;
            let word = &mut words[slot >> 6];
            let Some(after) = assigned(*word, slot, qty.0 != 0) else { break };
            *word = after;
            window[slot] = qty.0;
            rest = behind;
        }
        rest
    }

    fn set(&mut self, key: i64, qty: i64) {
        if !self.inside(key) {
            return self.set_outside(key, qty);
        }
        let slot = self.slot(key);
        self.window[slot] = qty;
        let is = qty != 0;
        self.bitmap.assign(slot, is);
        if is {
            self.best = self.best.min(key);
        } else if key == self.best {
            self.dropped += self.best_gone();
        }
    }

    #[cold]
    fn set_outside(&mut self, key: i64, qty: i64) {
        if self.best != EMPTY && key > self.lo {
            self.dropped += self.overflow.set(key, qty);
        } else if qty != 0 {
            // A new best in front of the window, or the first level of all.
            self.dropped += self.recentre(key);
            self.set(key, qty);
        }
    }

    /// The best level was deleted: finds the next one and keeps most of the window behind it.
    #[inline]
    fn best_gone(&mut self) -> u64 {
        self.best = match self.window_after(self.best) {
            Some((key, _)) if key - self.lo <= self.size() / 2 => {
                self.best = key;
                return 0;
            }
            Some((key, _)) => key,
            None => match self.overflow.after(i64::MIN) {
                Some((key, _)) => key,
                None => EMPTY,
            },
        };
        if self.best == EMPTY { 0 } else { self.recentre(self.best) }
    }

    /// Moves the window so that `touch` has an eighth of it in front. At most one pass over the leaving slots' bitmap or over
    /// the overflow table, and one move per level that changes its home.
    #[cold]
    fn recentre(&mut self, touch: i64) -> u64 {
        let (old, new) = (self.lo, touch - self.size() / 8);
        let mut dropped = 0;
        if new < old {
            // The tail leaves. Nothing enters: the overflow holds only keys behind the old window.
            let mut from = (new + self.size()).max(old);
            while let Some((key, qty)) = self.window_from(from) {
                let slot = self.slot(key);
                self.window[slot] = 0;
                self.bitmap.remove(slot);
                dropped += self.overflow.set(key, qty);
                from = key + 1;
            }
            self.lo = new;
        } else {
            // The front leaves, and it is empty: the touch is the best level.
            self.lo = new;
            let Self { window, bitmap, overflow, .. } = self;
            let mask = window.len() - 1;
            overflow.drain_below(new + window.len() as i64, |key, qty| {
                let slot = key as usize & mask;
                window[slot] = qty;
                bitmap.insert(slot);
            });
        }
        dropped
    }

    /// First level at or behind `from`, which must lie in the window or at its end.
    #[inline]
    fn window_from(&self, from: i64) -> Option<(i64, i64)> {
        if !self.inside(from) {
            return None;
        }
        let slot = self.bitmap.at_or_after(self.slot(from)).or_else(|| self.bitmap.at_or_after(0))?;
        // The search wraps round the slots; a key in front of `from` means that it wrapped past the window's end.
        let found = self.lo + ((slot as i64 - self.lo) & (self.size() - 1));
        (found >= from).then(|| (found, self.window[slot]))
    }

    #[inline]
    fn window_after(&self, key: i64) -> Option<(i64, i64)> {
        self.window_from((key + 1).max(self.lo))
    }

    fn after(&self, key: i64) -> Option<(i64, i64)> {
        if self.best == EMPTY {
            return None;
        }
        self.window_after(key).or_else(|| self.overflow.after(key))
    }

    fn clear(&mut self) {
        self.window.fill(0);
        self.bitmap.clear();
        self.overflow.clear();
        self.best = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::NaiveBook;
    use super::*;
    use proptest::prelude::*;

    const SMALL: LadderLimits = LadderLimits { window: 64, overflow: 512 };

    fn check(ladder: &Ladder, naive: &NaiveBook) -> Result<(), TestCaseError> {
        for side in [Side::Buy, Side::Sell] {
            prop_assert_eq!(ladder.best(side), naive.best(side));
            prop_assert_eq!(ladder.len(side), naive.len(side));
            prop_assert_eq!(ladder.levels(side).collect::<Vec<_>>(), naive.levels(side).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Prices near a touch that drifts and jumps, far prices, impossible prices, crossings, deletes of absent levels.
    fn op() -> impl Strategy<Value = (bool, i64, i64)> {
        let price = prop_oneof![
            6 => 950_i64..1_050,
            3 => 500_i64..1_500,
            1 => 1_i64..100_000,
            1 => prop::sample::select(vec![i64::MIN, -5, 0, 1, PRICE_MAX.0, PRICE_MAX.0 + 1, i64::MAX]),
        ];
        (any::<bool>(), price, prop_oneof![2 => Just(0_i64), 5 => 1_i64..50, 1 => Just(-3)])
    }

    proptest! {
        #[test]
        fn ladder_and_naive_book_agree(
            window in prop::sample::select(vec![64_usize, 128, 4096]),
            ops in prop::collection::vec((op(), 0_usize..400), 1..150),
        ) {
            let mut ladder = Ladder::new(LadderLimits { window, ..SMALL });
            let mut naive = NaiveBook::default();
            for ((bid, price, qty), probe) in ops {
                let side = if bid { Side::Buy } else { Side::Sell };
                ladder.set(side, Ticks(price), Lots(qty));
                naive.set(side, Ticks(price), Lots(qty));
                prop_assert_eq!(ladder.qty(side, Ticks(price)), naive.qty(side, Ticks(price)));
                for probe in [Ticks(price), Ticks(800 + probe as i64), Ticks(i64::MIN), Ticks(i64::MAX)] {
                    prop_assert_eq!(ladder.behind(side, probe), naive.behind(side, probe), "behind {:?}", probe);
                }
                check(&ladder, &naive)?;
            }
            ladder.clear();
            naive.clear();
            check(&ladder, &naive)?;
            prop_assert!(ladder.is_empty());
        }

        #[test]
        fn they_agree_while_the_touch_travels(steps in prop::collection::vec((-90_i64..90, 1_i64..9), 1..150)) {
            let (mut ladder, mut naive) = (Ladder::new(SMALL), NaiveBook::default());
            let mut touch = 10_000_i64;
            for (step, qty) in steps {
                // The touch moves: levels it passes are deleted, new ones appear behind it.
                let next = touch + step;
                let passed = if step > 0 { (touch..=next).map(|p| (Side::Sell, p)).collect::<Vec<_>>() }
                             else { (next..=touch).map(|p| (Side::Buy, p)).collect() };
                for (side, price) in passed.into_iter().chain([(Side::Buy, next + 1), (Side::Sell, next)]) {
                    ladder.set(side, Ticks(price), Lots::ZERO);
                    naive.set(side, Ticks(price), Lots::ZERO);
                }
                for away in [1, 2, 5, 30, 70, 200] {
                    for (side, price) in [(Side::Buy, next - away), (Side::Sell, next + away)] {
                        ladder.set(side, Ticks(price), Lots(qty));
                        naive.set(side, Ticks(price), Lots(qty));
                    }
                }
                touch = next;
                check(&ladder, &naive)?;
            }
        }
    }

    #[test]
    fn a_crossed_book_keeps_both_quantities() {
        let mut ladder = Ladder::new(SMALL);
        ladder.set(Side::Sell, Ticks(100), Lots(7));
        ladder.set(Side::Buy, Ticks(100), Lots(3));
        ladder.set(Side::Buy, Ticks(100), Lots(0));
        assert_eq!(ladder.best(Side::Sell), Some(Level { price: Ticks(100), qty: Lots(7) }));
        assert_eq!(ladder.best(Side::Buy), None);
    }

    #[test]
    fn a_full_overflow_drops_the_farthest_and_counts_it() {
        let mut ladder = Ladder::new(LadderLimits { window: 64, overflow: 3 });
        for price in [1_000, 2_000, 5_000, 4_000, 3_000, 6_000] {
            ladder.set(Side::Sell, Ticks(price), Lots(1));
        }
        let left: Vec<i64> = ladder.levels(Side::Sell).map(|level| level.price.0).collect();
        assert_eq!((left, ladder.dropped()), (vec![1_000, 2_000, 3_000, 4_000], 2));
    }

    #[test]
    fn impossible_levels_are_refused_and_counted() {
        let mut ladder = Ladder::new(SMALL);
        for (price, qty) in [(0, 1), (-1, 1), (i64::MAX, 1), (5, -1)] {
            ladder.set(Side::Buy, Ticks(price), Lots(qty));
        }
        assert_eq!((ladder.refused(), ladder.is_empty()), (4, true));
    }
}
