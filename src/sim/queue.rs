//! How far an order of ours is from the front of its price level. Sees quantities only, never an order.
//!
//! On placement everything visible at the level is ahead. Prints at the price take from the front. A shrinking level that
//! prints do not explain was cancels, and nobody outside knows whether they stood before or behind us: that is the model.

use crate::unit::Lots;

/// Where cancels of others are assumed to have stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueModel {
    /// Always behind us: only prints advance us. Fills come late rather than early.
    RiskAverse,
    /// Spread over the level so that the share that stood ahead is `ahead^n / (ahead^n + behind^n)`;
    /// 1 is uniform, larger values assume that cancels come from the larger part of the queue. 1 to 3.
    Power(u8),
}

impl Default for QueueModel {
    fn default() -> Self {
        Self::Power(1)
    }
}

/// An order's place in the queue of its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueuePlace {
    /// Quantity of others before us.
    pub ahead: Lots,
    /// Quantity printed at the level since its quantity was last told; explains a decrease.
    printed: Lots,
}

impl QueuePlace {
    /// At the back of a level with `visible` of others.
    #[must_use]
    pub const fn back_of(visible: Lots) -> Self {
        Self { ahead: visible, printed: Lots::ZERO }
    }

    /// `taken` of the quantity ahead was executed, in a print of `printed`.
    pub fn print(&mut self, taken: Lots, printed: Lots) {
        self.ahead = Lots((self.ahead.0 - taken.0).max(0));
        self.printed += printed;
    }

    /// The level's quantity of others went from `before` to `after`.
    pub fn level(&mut self, model: QueueModel, before: Lots, after: Lots) {
        let cancelled = (before.0 - after.0).max(0) - self.printed.0;
        // What prints took is out of `before` already, as far as our place is concerned.
        let standing = Lots((before.0 - self.printed.0).max(self.ahead.0));
        self.printed = Lots::ZERO;
        if cancelled > 0 {
            self.ahead = Lots(self.ahead.0 - model.gone_ahead(cancelled, self.ahead.0, standing.0 - self.ahead.0));
        }
        self.ahead = Lots(self.ahead.0.min(after.0));
    }
}

impl QueueModel {
    /// How much of `cancelled` stood ahead, rounded down; 0 to `ahead`.
    fn gone_ahead(self, cancelled: i64, ahead: i64, behind: i64) -> i64 {
        let Self::Power(n) = self else { return 0 };
        if ahead <= 0 {
            return 0;
        }
        // Quantities are scaled to 20 bits so that the third power and the product fit an i128.
        let shift = (64 - ahead.max(behind).leading_zeros()).saturating_sub(20);
        let power = |v: i64| i128::from(v >> shift).pow(u32::from(n.clamp(1, 3)));
        let (front, back) = (power(ahead), power(behind));
        if front + back == 0 {
            return 0;
        }
        let share = i128::from(cancelled) * front / (front + back);
        i64::try_from(share).expect("a share of an i64").min(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_advance_and_explain_the_next_decrease() {
        let mut place = QueuePlace::back_of(Lots(10));
        place.print(Lots(4), Lots(4));
        assert_eq!(place.ahead, Lots(6));
        place.level(QueueModel::Power(1), Lots(10), Lots(6));
        assert_eq!(place.ahead, Lots(6), "the print was the whole decrease");
    }

    #[test]
    fn cancels_advance_as_the_model_says() {
        for (model, expected) in [
            (QueueModel::RiskAverse, 50),
            (QueueModel::Power(1), 60 - 30),
            (QueueModel::Power(2), 60 - 34),
            (QueueModel::Power(3), 60 - 38),
        ] {
            let mut place = QueuePlace::back_of(Lots(60));
            place.level(model, Lots(60), Lots(100));
            assert_eq!(place.ahead, Lots(60), "what joins stands behind");
            place.level(model, Lots(100), Lots(50));
            assert_eq!(place.ahead, Lots(expected), "{model:?}");
        }
    }

    #[test]
    fn nobody_is_ahead_of_us_in_an_empty_level() {
        let mut place = QueuePlace::back_of(Lots(8));
        place.level(QueueModel::RiskAverse, Lots(8), Lots(0));
        assert_eq!(place.ahead, Lots(0));
    }

    #[test]
    fn the_place_stays_within_the_level() {
        let big = 1_i64 << 52;
        let mut place = QueuePlace::back_of(Lots(big));
        place.level(QueueModel::Power(3), Lots(big), Lots(big / 2));
        assert!(place.ahead.0 >= 0 && place.ahead.0 <= big / 2);
    }
}
