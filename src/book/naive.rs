//! The slow book that is obviously right: sorted maps. The oracle of [`super::Ladder`] in tests and of observers; never in the hot path.

use super::ladder::PRICE_MAX;
use crate::event::{Level, Side};
use crate::unit::{Lots, Ticks};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Two sorted maps with the interface of [`super::Ladder`].
#[derive(Debug, Default, Clone)]
pub struct NaiveBook {
    bids: BTreeMap<Ticks, Lots>,
    asks: BTreeMap<Ticks, Lots>,
}

impl NaiveBook {
    fn side(&self, side: Side) -> &BTreeMap<Ticks, Lots> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// Sets the quantity at a price, zero deletes; impossible levels are refused as in the ladder.
    pub fn set(&mut self, side: Side, price: Ticks, qty: Lots) {
        if price.0 <= 0 || price > PRICE_MAX || qty.0 < 0 {
            return;
        }
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if qty.is_zero() {
            levels.remove(&price);
        } else {
            levels.insert(price, qty);
        }
    }

    /// [`NaiveBook::set`] for each level of one side, in order.
    pub fn apply(&mut self, side: Side, levels: &[Level]) {
        for level in levels {
            self.set(side, level.price, level.qty);
        }
    }

    /// Quantity at a price, zero where there is none.
    #[must_use]
    pub fn qty(&self, side: Side, price: Ticks) -> Lots {
        self.side(side).get(&price).copied().unwrap_or_default()
    }

    /// Best level of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.levels(side).next()
    }

    /// The next level worse than `price`.
    #[must_use]
    pub fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        let found = match side {
            Side::Buy => self.bids.range(..price).next_back(),
            Side::Sell => self.asks.range((Bound::Excluded(price), Bound::Unbounded)).next(),
        };
        found.map(|(&price, &qty)| Level { price, qty })
    }

    /// All levels of a side from the best to the worst.
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = Level> + '_> {
        let level = |(&price, &qty): (&Ticks, &Lots)| Level { price, qty };
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(level)),
            Side::Sell => Box::new(self.asks.iter().map(level)),
        }
    }

    /// Number of levels of a side.
    #[must_use]
    pub fn len(&self, side: Side) -> usize {
        self.side(side).len()
    }

    /// True when both sides are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    /// Forgets every level.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}
