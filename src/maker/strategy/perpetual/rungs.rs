//! What of the entry levels does not depend on the reference: factors and sizes, worked out once; and their prices without a division
//! of 128 bits where the reference is a whole number of half ticks. Never rounds otherwise than `pricing`'s plain form.

use super::super::exact::{on_lot, on_tick, scale};
use super::super::{ORDERS_MAX, View};
use super::pricing::{factor, widened};
use super::{Proposal, Proposed};
use crate::config::perpetual::PerpetualSettings;
use crate::event::Side;
use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, Price, RATE_ONE, Rate, Step, Ticks};

/// One entry level.
#[derive(Clone, Copy)]
struct Rung {
    side: Side,
    level: u8,
    factor: Rate,
    qty: Lots,
}

/// The entry levels of some settings, buys first, each side in level order.
pub(super) struct Rungs {
    rungs: Vec<Rung>,
    /// What they were worked out for; `None` when the settings have changed since.
    made_for: Option<(Step, Rate)>,
}

impl Rungs {
    pub(super) fn new() -> Self {
        Self { rungs: Vec::with_capacity(ORDERS_MAX), made_for: None }
    }

    /// The settings have changed.
    pub(super) fn forget(&mut self) {
        self.made_for = None;
    }

    /// Works the levels out if that is not done yet. Levels without a whole lot are left out.
    pub(super) fn renew(&mut self, settings: &PerpetualSettings, view: &View<'_>) {
        let made_for = (view.instrument.lot, view.widen);
        if self.made_for == Some(made_for) {
            return;
        }
        self.made_for = Some(made_for);
        self.rungs.clear();
        let s = settings;
        let mut add = |side, level: usize, spread: i128, amount: Amount| {
            if let Some(qty) = on_lot(view.instrument, amount) {
                let factor = factor(side, widened(spread, view.widen));
                assert!(self.rungs.len() < ORDERS_MAX, "more than {ORDERS_MAX} levels");
                self.rungs.push(Rung { side, level: level as u8, factor, qty });
            }
        };
        for side in [Side::Buy, Side::Sell] {
            if !s.order_override.is_empty() {
                let of_side = s.order_override.iter().filter(|entry| entry.side == Some(side));
                for (level, entry) in of_side.enumerate() {
                    add(side, level, i128::from(entry.spread.0), entry.amount);
                }
                continue;
            }
            let (levels, spread) = match side {
                Side::Buy => (s.buy_levels, s.bid_spread),
                Side::Sell => (s.sell_levels, s.ask_spread),
            };
            for level in 0..i128::from(levels) {
                let spread = i128::from(spread.0) + level * i128::from(s.order_level_spread.0);
                add(side, level as usize, spread, Amount(s.order_amount.0 + level * s.order_level_amount.0));
            }
        }
    }

    /// Prices every level around `reference`; a level without a positive price on the grid is left out. `touch` is the sum of the own
    /// book's best prices: where it is the reference, no division is needed to see that.
    pub(super) fn price(&self, instrument: &Instrument, reference: Price, touch: Option<i64>, out: &mut Proposal) {
        let halves = half_ticks(instrument, reference, touch);
        for rung in &self.rungs {
            let quick = halves.and_then(|halves| price_of(halves, rung.factor));
            let price = match quick {
                Some(price) => Some(Ticks(price)).filter(|price| *price > Ticks::ZERO),
                None => on_tick(instrument, scale(reference, rung.factor).floor),
            };
            if let Some(price) = price {
                out.push(Proposed { side: rung.side, level: rung.level, price, qty: rung.qty });
            }
        }
    }
}

/// The price as a whole number of half ticks, if it is one.
fn half_ticks(instrument: &Instrument, price: Price, guess: Option<i64>) -> Option<u64> {
    let tick = instrument.tick.atto();
    if tick % 2 != 0 {
        return None;
    }
    let half = tick / 2;
    let halves = match guess {
        Some(halves) if i128::from(halves) * half == price.0 => i128::from(halves),
        _ => price.0 / half,
    };
    (halves * half == price.0).then(|| u64::try_from(halves).ok()).flatten()
}

/// The tick at or below `halves / 2 * factor`. `None` where the products need more than 64 bits.
#[inline]
fn price_of(halves: u64, factor: Rate) -> Option<i64> {
    const ONE: u64 = RATE_ONE as u64;
    const TWO: u64 = 2 * ONE;
    // halves / 2 * (1 + s) = whole + odd / 2 + halves * s / 2: the parts in units of 1 / TWO.
    let (whole, odd) = ((halves / 2).cast_signed(), halves % 2 * ONE);
    let spread = factor.0.checked_sub(RATE_ONE)?;
    let product = halves.checked_mul(spread.unsigned_abs())?;
    let (ticks, rest) = ((product / TWO).cast_signed(), product % TWO);
    Some(if spread >= 0 { whole + ticks + i64::from(odd + rest >= TWO) } else { whole - ticks - i64::from(rest > odd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_price_in_half_ticks_is_the_plain_one(
            halves in prop_oneof![1..5_000_000_u64, 1..1_u64 << 40],
            factor in prop_oneof![
                RATE_ONE - 100_000_000..RATE_ONE + 100_000_000,
                0..3 * RATE_ONE,
                -RATE_ONE..RATE_ONE,
                (-2_000_i64..2_000).prop_map(|n| RATE_ONE + n * (RATE_ONE / 10_000)),
            ],
            step in prop::sample::select(vec!["0.10", "0.01", "0.25", "5", "0.00000001"]),
        ) {
            let instrument = Instrument::synthetic("BTCUSDT", step, "0.001");
            let reference = Price(i128::from(halves) * (instrument.tick.atto() / 2));
            prop_assert_eq!(half_ticks(&instrument, reference, None), Some(halves));
            prop_assert_eq!(half_ticks(&instrument, reference, Some(halves as i64)), Some(halves));
            prop_assert_eq!(half_ticks(&instrument, reference, Some(halves as i64 + 1)), Some(halves));
            prop_assert_eq!(half_ticks(&instrument, reference + Price(1), Some(halves as i64)), None);
            let plain = on_tick(&instrument, scale(reference, Rate(factor)).floor);
            if let Some(quick) = price_of(halves, Rate(factor)) {
                prop_assert_eq!(Some(Ticks(quick)).filter(|price| *price > Ticks::ZERO), plain);
            }
        }
    }

    #[test]
    fn usual_markets_take_the_quick_form() {
        let one_percent = Rate(RATE_ONE + RATE_ONE / 100);
        assert_eq!(price_of(2 * 618_002 + 1, one_percent), Some(624_182));
        assert_eq!(price_of(u64::MAX, one_percent), None);
    }
}
