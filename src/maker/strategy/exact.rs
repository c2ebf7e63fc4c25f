//! Rounding shared by the strategies: exact products of prices and rates, and the way onto the grid. Never wraps, never guesses.

use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, Price, RATE_ONE, Rate, Ticks, pow10};

/// Largest reference or entry price that is acted on: 1e12 in quote currency. Products with any spread stay in range below it.
pub(super) const PRICE_MAX: Price = Price(1_000_000_000_000 * pow10(18));

/// A product between two neighbours of the 1e-18 grid; both are equal where it is exact.
pub(super) struct Scaled {
    /// At or below the product.
    pub(super) floor: Price,
    /// At or above the product.
    pub(super) ceil: Price,
}

/// `price * factor`, for prices up to [`PRICE_MAX`].
pub(super) fn scale(price: Price, factor: Rate) -> Scaled {
    let (one, rate) = (i128::from(RATE_ONE), i128::from(factor.0));
    let (whole, rest) = (price.0 / one * rate, price.0 % one * rate);
    Scaled { floor: Price(whole + rest.div_euclid(one)), ceil: Price(whole - (-rest).div_euclid(one)) }
}

/// The tick at or below a positive price; `None` where nothing positive is left or the count does not fit.
pub(super) fn on_tick(instrument: &Instrument, price: Price) -> Option<Ticks> {
    i64::try_from(price.0 / instrument.tick.atto()).ok().filter(|ticks| *ticks > 0).map(Ticks)
}

/// The lots in a positive amount; `None` where not even one is in it or the count does not fit.
pub(super) fn on_lot(instrument: &Instrument, amount: Amount) -> Option<Lots> {
    i64::try_from(amount.0 / instrument.lot.atto()).ok().filter(|lots| *lots > 0).map(Lots)
}
