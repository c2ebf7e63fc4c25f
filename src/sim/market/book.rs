//! The book that the pretend venue knows in full: every level of both sides. Knows no order, no owner and no queue.

use crate::event::{Level, Side};
use crate::unit::{Lots, Ticks};
use std::collections::BTreeMap;

/// All levels of both sides. Quantities are positive; a level without quantity is absent.
#[derive(Clone, Debug, Default)]
pub struct TrueBook {
    sides: [BTreeMap<i64, i64>; 2],
}

impl TrueBook {
    /// Sets a level, or deletes it with quantity zero.
    pub fn set(&mut self, side: Side, price: Ticks, qty: Lots) {
        let levels = &mut self.sides[side.index()];
        if qty.is_zero() {
            levels.remove(&price.0);
        } else {
            debug_assert!(qty.0 > 0);
            levels.insert(price.0, qty.0);
        }
    }

    /// Resting quantity at a price, zero where there is none.
    #[must_use]
    pub fn qty(&self, side: Side, price: Ticks) -> Lots {
        Lots(self.sides[side.index()].get(&price.0).copied().unwrap_or(0))
    }

    /// The best level.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.levels(side).next()
    }

    /// The levels of a side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.beyond(side, Ticks(if side == Side::Buy { i64::MAX } else { i64::MIN }))
    }

    /// The levels at or behind a price (lower bids, higher asks), nearest first.
    pub fn beyond(&self, side: Side, price: Ticks) -> impl Iterator<Item = Level> + '_ {
        let levels = &self.sides[side.index()];
        let (bids, asks) = match side {
            Side::Buy => (Some(levels.range(..=price.0).rev()), None),
            Side::Sell => (None, Some(levels.range(price.0..))),
        };
        let level = |(&price, &qty)| Level { price: Ticks(price), qty: Lots(qty) };
        bids.into_iter().flatten().map(level).chain(asks.into_iter().flatten().map(level))
    }

    /// The level furthest from the touch.
    #[must_use]
    pub fn furthest(&self, side: Side) -> Option<Level> {
        let levels = &self.sides[side.index()];
        let end = if side == Side::Buy { levels.first_key_value() } else { levels.last_key_value() };
        end.map(|(&price, &qty)| Level { price: Ticks(price), qty: Lots(qty) })
    }

    /// Replaces `out` by the best `limit` levels, best first.
    pub fn top(&self, side: Side, limit: usize, out: &mut Vec<Level>) {
        out.clear();
        out.extend(self.levels(side).take(limit));
    }

    /// Levels on a side.
    #[must_use]
    pub fn len(&self, side: Side) -> usize {
        self.sides[side.index()].len()
    }

    /// True when neither side has a level.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(BTreeMap::is_empty)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sides.iter_mut().for_each(BTreeMap::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_walked_away_from_the_touch() {
        let mut book = TrueBook::default();
        for (side, price, qty) in [(Side::Buy, 10, 1), (Side::Buy, 8, 2), (Side::Sell, 12, 3), (Side::Sell, 15, 4)] {
            book.set(side, Ticks(price), Lots(qty));
        }
        let prices = |side| book.levels(side).map(|level| level.price.0).collect::<Vec<_>>();
        assert_eq!((prices(Side::Buy), prices(Side::Sell)), (vec![10, 8], vec![12, 15]));
        assert_eq!(book.beyond(Side::Buy, Ticks(9)).next().unwrap().price, Ticks(8));
        assert_eq!(book.beyond(Side::Sell, Ticks(13)).next().unwrap().qty, Lots(4));
        assert_eq!(book.furthest(Side::Buy).unwrap().price, Ticks(8));
        assert_eq!((book.qty(Side::Buy, Ticks(9)), book.qty(Side::Sell, Ticks(12))), (Lots(0), Lots(3)));
        book.set(Side::Buy, Ticks(10), Lots(0));
        assert_eq!((book.best(Side::Buy).unwrap().price, book.len(Side::Buy)), (Ticks(8), 1));
    }
}
