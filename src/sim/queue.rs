//! How far an order of ours is from the front of its price level. Sees quantities only, never an order.
//!
//! On placement everything visible at the level is ahead. Prints at the price take from the front. A shrinking level that
//! prints do not explain was cancels, and nobody outside knows whether they stood before or behind us: that is the model.

use crate::event::Side;
use crate::unit::{Lots, Ticks};

/// Where cancels of others are assumed to have stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueModel {
    /// Always behind us: only prints advance us. Fills come late rather than early.
    RiskAverse,
    /// Spread over the level so that the share that stood ahead is `ahead^n / (ahead^n + behind^n)`;
    /// 1 is uniform, larger values assume that cancels come from the larger part of the queue. 1 to 3.
    Power(u8),
    /// The same with `ln(1 + quantity in lots)` in place of the power: nearly even, whatever the parts' sizes.
    Log,
    /// The uniform share times the part of what left the touch lately that was cancelled rather than traded ([`Flow`]):
    /// where prints explain all of it nobody cancels ahead of us (as [`QueueModel::RiskAverse`]), where there are none it is
    /// `Power(1)`.
    Calibrated,
}

impl Default for QueueModel {
    fn default() -> Self {
        Self::Power(1)
    }
}

impl QueueModel {
    /// Reads a model's name: `risk-averse`, `power1` to `power3`, `log` or `calibrated`.
    ///
    /// # Errors
    /// A sentence that names the valid ones.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "risk-averse" => Self::RiskAverse,
            "power1" | "uniform" => Self::Power(1),
            "power2" => Self::Power(2),
            "power3" => Self::Power(3),
            "log" => Self::Log,
            "calibrated" => Self::Calibrated,
            _ => {
                return Err(format!(
                    "{text}: no such queue model; must be risk-averse, power1 (uniform), power2, power3, log or calibrated"
                ));
            }
        })
    }

    /// Its name, as [`QueueModel::parse`] reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RiskAverse => "risk-averse",
            Self::Power(1) => "power1",
            Self::Power(2) => "power2",
            Self::Power(_) => "power3",
            Self::Log => "log",
            Self::Calibrated => "calibrated",
        }
    }
}

/// What left the levels at the touch lately, by prints and by cancels. Old volume counts half after each [`Flow::HALF`] lots.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    printed: i64,
    cancelled: i64,
    /// Per side: the price whose prints are not yet explained by a decrease, and their quantity.
    open: [(Ticks, Lots); 2],
}

impl Flow {
    /// After this much volume everything counted is halved. In lots; on BTCUSDT a few busy seconds.
    pub const HALF: i64 = 1 << 16;
    /// The unit of [`Flow::share`].
    pub const ONE: i64 = 1_000_000;

    /// A print took from this level.
    pub fn print(&mut self, side: Side, price: Ticks, qty: Lots) {
        let open = &mut self.open[side.index()];
        if open.0 != price {
            *open = (price, Lots::ZERO);
        }
        open.1 += qty;
        self.printed += qty.0;
        self.fade();
    }

    /// The level at the touch went from `before` to `after`.
    pub fn level(&mut self, side: Side, price: Ticks, before: Lots, after: Lots) {
        let open = &mut self.open[side.index()];
        let explained = if open.0 == price { std::mem::take(&mut open.1) } else { Lots::ZERO };
        self.cancelled += (before.0 - after.0 - explained.0).max(0);
        self.fade();
    }

    /// The part of what left that was cancelled, in millionths; all of it while nothing has left.
    #[must_use]
    pub fn share(&self) -> i64 {
        let total = self.printed + self.cancelled;
        if total == 0 {
            Self::ONE
        } else {
            (i128::from(self.cancelled) * i128::from(Self::ONE) / i128::from(total)) as i64
        }
    }

    fn fade(&mut self) {
        while self.printed + self.cancelled > 2 * Self::HALF {
            self.printed /= 2;
            self.cancelled /= 2;
        }
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

    /// The level's quantity of others went from `before` to `after`; `share` is [`Flow::share`].
    pub fn level(&mut self, model: QueueModel, before: Lots, after: Lots, share: i64) {
        let cancelled = (before.0 - after.0).max(0) - self.printed.0;
        // What prints took is out of `before` already, as far as our place is concerned.
        let standing = Lots((before.0 - self.printed.0).max(self.ahead.0));
        self.printed = Lots::ZERO;
        if cancelled > 0 {
            self.ahead =
                Lots(self.ahead.0 - model.gone_ahead(cancelled, self.ahead.0, standing.0 - self.ahead.0, share));
        }
        self.ahead = Lots(self.ahead.0.min(after.0));
    }
}

impl QueueModel {
    /// How much of `cancelled` stood ahead, rounded down; 0 to `ahead`.
    fn gone_ahead(self, cancelled: i64, ahead: i64, behind: i64, share: i64) -> i64 {
        if ahead <= 0 {
            return 0;
        }
        let (front, back) = match self {
            Self::RiskAverse => return 0,
            Self::Power(n) => {
                // Quantities are scaled to 20 bits so that the third power and the product fit an i128.
                let shift = (64 - ahead.max(behind).leading_zeros()).saturating_sub(20);
                let power = |v: i64| i128::from(v >> shift).pow(u32::from(n.clamp(1, 3)));
                (power(ahead), power(behind))
            }
            Self::Log => (i128::from(log2_q16(ahead + 1)), i128::from(log2_q16(behind + 1))),
            Self::Calibrated => {
                let front = i128::from(ahead) * i128::from(share);
                (front, i128::from(ahead + behind) * i128::from(Flow::ONE) - front)
            }
        };
        if front + back == 0 {
            return 0;
        }
        let share = i128::from(cancelled) * front / (front + back);
        i64::try_from(share).expect("a share of an i64").min(ahead)
    }
}

/// Binary logarithm in 1/65536, rounded down; the ratio of two is that of the natural ones. `value` is at least 1.
fn log2_q16(value: i64) -> i64 {
    let whole = 63 - value.leading_zeros();
    // The mantissa in 1/2^31 from 1 to 2, squared once per binary digit.
    let mut mantissa = if whole > 31 { (value as u64) >> (whole - 31) } else { (value as u64) << (31 - whole) };
    let mut log = i64::from(whole);
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        log <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log |= 1;
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_advance_and_explain_the_next_decrease() {
        let mut place = QueuePlace::back_of(Lots(10));
        place.print(Lots(4), Lots(4));
        assert_eq!(place.ahead, Lots(6));
        place.level(QueueModel::Power(1), Lots(10), Lots(6), Flow::ONE);
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
            place.level(model, Lots(60), Lots(100), Flow::ONE);
            assert_eq!(place.ahead, Lots(60), "what joins stands behind");
            place.level(model, Lots(100), Lots(50), Flow::ONE);
            assert_eq!(place.ahead, Lots(expected), "{model:?}");
        }
    }

    #[test]
    fn nobody_is_ahead_of_us_in_an_empty_level() {
        let mut place = QueuePlace::back_of(Lots(8));
        place.level(QueueModel::RiskAverse, Lots(8), Lots(0), Flow::ONE);
        assert_eq!(place.ahead, Lots(0));
    }

    #[test]
    fn the_place_stays_within_the_level() {
        let big = 1_i64 << 52;
        let mut place = QueuePlace::back_of(Lots(big));
        place.level(QueueModel::Power(3), Lots(big), Lots(big / 2), Flow::ONE);
        assert!(place.ahead.0 >= 0 && place.ahead.0 <= big / 2);
    }
}
