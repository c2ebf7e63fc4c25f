//! What of the entry levels does not depend on the reference: factors and sizes, worked out once; and their prices without a division
//! of 128 bits where the reference is a whole number of half ticks. Never rounds otherwise than `pricing`'s plain form.

use super::super::exact::{on_lot, on_tick, scale};
use super::super::{ORDERS_MAX, View};
use super::pricing::{factor, widened};
use super::{Outline, Proposal, Proposed, Span, price_bit};
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
    /// Of the factor, if [`Rungs::shared`].
    share: Share,
    qty: Lots,
}

/// The entry levels of some settings, buys first, each side in level order.
pub(super) struct Rungs {
    rungs: Vec<Rung>,
    /// How many of them are buys.
    buys: usize,
    /// Every factor has a [`Share`].
    shared: bool,
    /// What they were worked out for; `None` when the settings have changed since.
    made_for: Option<(Step, Rate)>,
}

impl Rungs {
    pub(super) fn new() -> Self {
        Self { rungs: Vec::with_capacity(ORDERS_MAX), buys: 0, shared: false, made_for: None }
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
        self.shared = true;
        let s = settings;
        let mut add = |side, level: usize, spread: i128, amount: Amount| {
            if let Some(qty) = on_lot(view.instrument, amount) {
                let factor = factor(side, widened(spread, view.widen));
                assert!(self.rungs.len() < ORDERS_MAX, "more than {ORDERS_MAX} levels");
                let share = Share::of(factor);
                self.shared &= share.is_some();
                self.rungs.push(Rung { side, level: level as u8, factor, share: share.unwrap_or_default(), qty });
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
        self.buys = self.rungs.iter().filter(|rung| rung.side == Side::Buy).count();
    }

    /// Prices every level around `reference`; a level without a positive price on the grid is left out. `touch` is the sum of the own
    /// book's best prices: where it is the reference, no division is needed to see that.
    pub(super) fn price(
        &self,
        instrument: &Instrument,
        reference: Price,
        touch: Option<i64>,
        out: &mut Proposal,
    ) -> Outline {
        let halves = if self.shared { half_ticks(instrument, reference, touch) } else { None };
        match halves.and_then(|halves| self.price_by_shares(halves, out)) {
            Some(outline) => outline,
            None => self.price_plainly(instrument, reference, out),
        }
    }

    /// In half ticks. `None` where a price is not positive.
    #[inline]
    fn price_by_shares(&self, halves: u64, out: &mut Proposal) -> Option<Outline> {
        let (mut outline, mut lost) = (Outline::EMPTY, false);
        let (buys, sells) = self.rungs.split_at(self.buys);
        for (side, rungs) in [(Side::Buy, buys), (Side::Sell, sells)] {
            let Outline { mut prices, mut units, .. } = outline;
            let mut span = Span::EMPTY;
            out.extend(rungs.iter().map(|rung| {
                let price = Ticks(rung.share.ticks(halves));
                span.add(price);
                prices |= price_bit(price);
                let (more, too_much) = price.0.cast_unsigned().overflowing_mul(rung.qty.0.cast_unsigned());
                let (sum, too_many) = units.overflowing_add(more);
                (units, lost) = (sum, lost | too_much | too_many);
                Proposed { side, level: rung.level, price, qty: rung.qty }
            }));
            outline.spans[side.index()] = span;
            (outline.prices, outline.units) = (prices, units);
        }
        outline.whole = !lost;
        if outline.spans.iter().any(|span| span.lowest <= Ticks::ZERO) {
            out.clear();
            return None;
        }
        Some(outline)
    }

    /// One level after the other; the outline is not worked out.
    #[cold]
    #[inline(never)]
    fn price_plainly(&self, instrument: &Instrument, reference: Price, out: &mut Proposal) -> Outline {
        let priced = self.rungs.iter().filter_map(|rung| {
            let price = on_tick(instrument, scale(reference, rung.factor).floor)?;
            Some(Proposed { side: rung.side, level: rung.level, price, qty: rung.qty })
        });
        out.extend(priced);
        Outline::EMPTY
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
    (halves * half == price.0).then(|| i64::try_from(halves).ok()?.try_into().ok()).flatten()
}

/// A factor from 0 to below 2 as a share of 2, and that again in units of 2^-64, rounded down: what a multiplication needs instead of
/// a division.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Share {
    factor: u64,
    part: u64,
}

impl Share {
    const TWO: u64 = 2 * RATE_ONE as u64;

    fn of(factor: Rate) -> Option<Self> {
        let factor = u64::try_from(factor.0).ok().filter(|factor| *factor < Self::TWO)?;
        Some(Self { factor, part: ((u128::from(factor) << 64) / u128::from(Self::TWO)) as u64 })
    }

    /// The tick at or below `halves / 2 * factor`, for `halves` up to `i64::MAX`.
    #[inline(always)]
    fn ticks(self, halves: u64) -> i64 {
        // `part` is short of the exact share by less than 2^-64, so the product is by less than one: its floor is the true one or the one
        // before, and what is left of `halves * factor` (less than twice TWO, so its low 64 bits are all of it) says which.
        let ticks = ((u128::from(halves) * u128::from(self.part)) >> 64) as u64;
        let left = halves.wrapping_mul(self.factor).wrapping_sub(ticks.wrapping_mul(Self::TWO));
        (ticks + u64::from(left >= Self::TWO)).cast_signed()
    }
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
            if let Some(share) = Share::of(Rate(factor)) {
                prop_assert_eq!(Some(Ticks(share.ticks(halves))).filter(|price| *price > Ticks::ZERO), plain);
            }
        }
    }

    #[test]
    fn usual_markets_take_the_quick_form() {
        let ticks = |factor: i64, halves| Share::of(Rate(factor)).map(|share| share.ticks(halves));
        assert_eq!(ticks(RATE_ONE + RATE_ONE / 100, 2 * 618_002 + 1), Some(624_182));
        assert_eq!(ticks(2 * RATE_ONE - 1, i64::MAX as u64), Some(9_223_372_036_850_164_120));
        assert_eq!((ticks(-1, 2), ticks(2 * RATE_ONE, 2)), (None, None));
    }
}
