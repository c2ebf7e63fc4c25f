//! Section 5: a position beyond its maximum is reduced, at once when the account is short of margin, else passively.

use super::exact::{Fraction, ONE, lots, on_tick};
use super::pricing::below_minimum;
use super::{FundingAware, Holding, Inputs, Resting, cancel_where};
use crate::event::{PositionSide, Side, TimeInForce};
use crate::maker::strategy::{Cause, Plan, Purpose, Quote};
use crate::unit::{Lots, Price, Rate, Ticks};

/// "round((excess + 50)/mark)": what the order takes beyond the excess.
const BEYOND_USD: i128 = 50 * ONE;
/// "limit round(mark x 1.05) buying or round(mark x 0.95) selling".
const TAKE_THROUGH: Fraction = Fraction::of(Rate::from_bps(500));

impl FundingAware {
    pub(super) fn reduce(
        &self,
        inputs: &Inputs<'_>,
        orders: Option<&[Resting]>,
        mark: Price,
        position: &Holding,
        plan: &mut Plan,
    ) {
        let side = if position.usd.0 > 0 { Side::Sell } else { Side::Buy };
        let used = inputs.margin_used.0;
        let tight = used > 0 && inputs.account_value.0 > 0 && inputs.account_value.0 < used;
        if let Some(orders) = orders {
            cancel_where(orders, plan, Cause::Risk, |_| true);
        } else if !tight {
            return;
        }
        let order =
            if tight { self.take(inputs, mark, position, side) } else { self.offer(inputs, mark, position, side) };
        if let Some(quote) = order {
            plan.place.push((quote, Cause::Risk));
        }
    }

    /// Reduce-only, immediate or cancelled, through the book.
    fn take(&self, inputs: &Inputs<'_>, mark: Price, position: &Holding, side: Side) -> Option<Quote> {
        let instrument = inputs.instrument;
        let excess = position.usd.0.abs() - self.settings.max_position_usd.0;
        let mut qty = lots(instrument, excess.checked_add(BEYOND_USD)?, mark)?;
        let limit = match side {
            Side::Buy => TAKE_THROUGH.above(mark)?,
            Side::Sell => TAKE_THROUGH.below(mark)?,
        };
        let mut price = on_tick(instrument, limit)?;
        if self.guarded {
            // What is not held cannot be reduced, and a limit a fraction of a tick beyond 5 percent would be refused.
            let held = i64::try_from(position.size.0.abs() / instrument.lot.atto()).ok()?;
            qty = qty.min(Lots(held));
            price = match side {
                Side::Buy => price.min(instrument.floor(limit)),
                Side::Sell => price.max(instrument.ceil(limit)),
            };
        }
        let quote = Quote { tif: TimeInForce::Ioc, reduce_only: true, purpose: Purpose::StopLoss, ..passive(side) };
        (qty > Lots::ZERO && price > Ticks::ZERO).then_some(Quote { price, qty, ..quote })
    }

    /// Post-only at half the base spread. It may stay as the quote of its side, so it is an entry in form.
    fn offer(&self, inputs: &Inputs<'_>, mark: Price, position: &Holding, side: Side) -> Option<Quote> {
        let (s, instrument) = (&self.settings, inputs.instrument);
        let (held, leverage) = (position.usd.0.abs(), i128::from(s.leverage));
        // free x 0.8 x leverage, with free = value - |pos| / leverage.
        let free = inputs.account_value.0.checked_mul(leverage)?.checked_sub(held)?.checked_mul(4)? / 5;
        let qty = lots(instrument, free.min(held / 2), mark)?;
        if qty <= Lots::ZERO || below_minimum(s, instrument, qty) {
            return None;
        }
        let half = Fraction(Fraction::of(s.base_spread).0 / 2);
        let mut price = match side {
            Side::Buy => on_tick(instrument, half.below(mark)?)?,
            Side::Sell => on_tick(instrument, half.above(mark)?)?,
        };
        if let (Some([bid, ask]), true) = (inputs.touch, self.guarded) {
            let tick = Price(instrument.tick.atto());
            price = match side {
                Side::Buy => price.min(on_tick(instrument, ask - tick)?),
                Side::Sell => price.max(on_tick(instrument, bid + tick)?),
            };
        }
        Some(Quote { price, qty, ..passive(side) })
    }
}

/// A post-only quote of a side, price and size still to be filled in.
pub(super) const fn passive(side: Side) -> Quote {
    Quote {
        side,
        position_side: PositionSide::Net,
        purpose: Purpose::Entry,
        level: 0,
        price: Ticks::ZERO,
        qty: Lots::ZERO,
        tif: TimeInForce::PostOnly,
        reduce_only: false,
    }
}
