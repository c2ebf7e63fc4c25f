//! Products, quotients and roundings of 18-place decimals, exact to their last place. Never wraps: what does not fit is `None`.

use crate::instrument::Instrument;
use crate::unit::{Lots, Price, Rate, Ticks, pow10};

/// One, in 18 places.
pub(super) const ONE: i128 = 1_000_000_000_000_000_000;

/// A fraction with 18 places: a skew or spread that is computed, not set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Fraction(pub i128);

impl Fraction {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    pub(super) const fn of(rate: Rate) -> Self {
        Self(rate.0 as i128 * 1_000_000)
    }

    /// Limited to `max` on either side of zero.
    pub(super) fn limited(self, max: Rate) -> Self {
        let max = Self::of(max);
        self.clamp(Self(-max.0), max)
    }

    /// `price * (1 + self)`.
    pub(super) fn above(self, price: Price) -> Option<Price> {
        times(price.0, ONE.checked_add(self.0)?).map(Price)
    }

    /// `price * (1 - self)`.
    pub(super) fn below(self, price: Price) -> Option<Price> {
        times(price.0, ONE.checked_sub(self.0)?).map(Price)
    }
}

/// `value * factor`, both with 18 places, rounded down.
pub(super) fn times(value: i128, factor: i128) -> Option<i128> {
    let whole = value.div_euclid(ONE).checked_mul(factor)?;
    let rest = value.rem_euclid(ONE).checked_mul(factor)?;
    whole.checked_add(rest.div_euclid(ONE))
}

/// `n / d` to the nearest integer, exact ties to the even one (section 0). `d` is positive.
pub(super) fn nearest(n: i128, d: i128) -> i128 {
    let (down, rest) = (n.div_euclid(d), n.rem_euclid(d));
    match rest.cmp(&(d - rest)) {
        std::cmp::Ordering::Less => down,
        std::cmp::Ordering::Greater => down + 1,
        std::cmp::Ordering::Equal => down + down.rem_euclid(2),
    }
}

/// The nearest tick; `None` where none is positive or the count does not fit.
pub(super) fn on_tick(instrument: &Instrument, price: Price) -> Option<Ticks> {
    i64::try_from(nearest(price.0, instrument.tick.atto())).ok().filter(|ticks| *ticks > 0).map(Ticks)
}

/// The nearest count of lots that `usd` buys at `price`, negative for a negative amount.
pub(super) fn lots(instrument: &Instrument, usd: i128, price: Price) -> Option<Lots> {
    let n = usd.checked_mul(pow10(instrument.lot.places()))?;
    let d = price.0.checked_mul(i128::from(instrument.lot.mantissa()))?;
    if d <= 0 { None } else { i64::try_from(nearest(n, d)).ok().map(Lots) }
}

/// What `qty` is worth at `price`, towards zero.
pub(super) fn value(instrument: &Instrument, qty: Lots, price: Price) -> Option<i128> {
    let product = price.0.checked_mul(i128::from(qty.0))?.checked_mul(i128::from(instrument.lot.mantissa()))?;
    Some(product / pow10(instrument.lot.places()))
}
