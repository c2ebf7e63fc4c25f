//! The pure market making controller: levels with a life of their own (entry, take profit, held inventory). Sends nothing itself.

pub mod controller;
pub mod executor;
pub mod held;

use crate::unit::{Amount, MONEY_PLACES, Money, Price, mul_div, pow10};

/// One, in the units of [`Ratio`], [`Price`], [`Money`] and [`Amount`].
const ONE: i128 = pow10(MONEY_PLACES);

/// A computed ratio, 1e-18, truncated towards zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ratio(pub i128);

impl Ratio {
    /// One.
    pub const ONE: Self = Self(ONE);

    /// `part / whole`; `whole` is not zero.
    #[must_use]
    pub fn of(part: i128, whole: i128) -> Self {
        Self(mul_div(part, ONE, whole))
    }
}

/// What an amount is worth at a price, truncated towards zero.
#[must_use]
pub fn value(amount: Amount, price: Price) -> Money {
    Money(mul_div(amount.0, price.0, ONE))
}

/// The price at which an amount is worth a value, truncated towards zero; zero for no amount.
#[must_use]
pub fn average(value: Money, amount: Amount) -> Price {
    if amount.is_zero() { Price::ZERO } else { Price(mul_div(value.0, ONE, amount.0)) }
}
