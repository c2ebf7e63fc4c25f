//! The quantities of the trade: newtypes over integers, with exact decimal text in and out. Never a float, never a silent wrap.
//!
//! Prices are whole [`Ticks`], quantities whole [`Lots`]; what a tick and a lot are worth is a [`Step`] of the instrument.
//! [`Price`] and [`Money`] are decimals with 18 places in an `i128`, which holds every product of a price, a quantity
//! and a fee rate that a venue can quote without rounding. [`Rate`] is a fraction with 12 places.
//! Operators panic on overflow (the release profile keeps overflow checks on: a wrapped position is worse than a stop);
//! whatever foreign bytes can reach uses the `checked_` forms and returns an error.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Why a decimal text is not a valid quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// No digit where one is needed.
    #[error("no digits in the number")]
    Empty,
    /// A byte that is neither a digit nor a single decimal point (exponents are refused: venues do not send them).
    #[error("byte {byte:#04x} at {at} is not part of a plain decimal number")]
    BadByte {
        /// The offending byte.
        byte: u8,
        /// Its offset in the text.
        at: usize,
    },
    /// The value does not fit the integer type.
    #[error("the number is too large")]
    Overflow,
    /// The value is not a whole multiple of the step.
    #[error("the number is not a multiple of the step {step}")]
    OffStep {
        /// The step it should be a multiple of.
        step: Step,
    },
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub $repr);

        impl $name {
            /// Zero of this quantity.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(<$repr>::MAX);

            /// Sum, or `None` on overflow.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) { Some(sum) => Some(Self(sum)), None => None }
            }

            /// Difference, or `None` on overflow.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) { Some(rest) => Some(Self(rest)), None => None }
            }

            /// True for the zero value.
            #[must_use]
            pub const fn is_zero(self) -> bool { self.0 == 0 }
        }

        impl Add for $name { type Output = Self; #[inline] fn add(self, other: Self) -> Self { Self(self.0 + other.0) } }
        impl Sub for $name { type Output = Self; #[inline] fn sub(self, other: Self) -> Self { Self(self.0 - other.0) } }
        impl AddAssign for $name { #[inline] fn add_assign(&mut self, other: Self) { self.0 += other.0; } }
        impl SubAssign for $name { #[inline] fn sub_assign(&mut self, other: Self) { self.0 -= other.0; } }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!(stringify!($name), "({})"), self.0) }
        }
    };
}

macro_rules! signed_quantity {
    ($($name:ident),*) => { $(
        impl Neg for $name { type Output = Self; #[inline] fn neg(self) -> Self { Self(-self.0) } }
        impl $name {
            /// Magnitude.
            #[must_use]
            pub const fn abs(self) -> Self { Self(self.0.abs()) }
            /// -1, 0 or 1.
            #[must_use]
            pub const fn signum(self) -> i64 { self.0.signum() as i64 }
        }
    )* };
}

quantity! {
    /// A price in whole ticks of its instrument. Positive for every real price; differences may be negative.
    Ticks(i64)
}
quantity! {
    /// A quantity in whole lots (steps) of its instrument. Signed where it is a position: negative is short.
    Lots(i64)
}
quantity! {
    /// Nanoseconds: a point in time since the Unix epoch, or a span. Signed so that a clock skew is a value, not an error.
    Nanos(i64)
}
quantity! {
    /// A venue's update or sequence number.
    Seq(u64)
}
quantity! {
    /// A price that is not on the tick grid (mid, mark, index, entry): quote currency per unit of base, 1e-18.
    Price(i128)
}
quantity! {
    /// An amount of quote currency, 1e-18.
    Money(i128)
}
quantity! {
    /// A quantity of the base asset that is not on the lot grid (a size from a settings file), 1e-18.
    Amount(i128)
}
quantity! {
    /// A fraction (spread, fee, funding rate), 1e-12: `Rate(10_000_000_000)` is 1 %. Range about +-9.2 million.
    Rate(i64)
}
signed_quantity!(Ticks, Lots, Nanos, Price, Money, Amount, Rate);

impl Nanos {
    /// `n` microseconds.
    #[must_use]
    pub const fn from_micros(n: i64) -> Self {
        Self(n * 1_000)
    }
    /// `n` milliseconds.
    #[must_use]
    pub const fn from_millis(n: i64) -> Self {
        Self(n * 1_000_000)
    }
    /// `n` seconds.
    #[must_use]
    pub const fn from_secs(n: i64) -> Self {
        Self(n * 1_000_000_000)
    }
    /// Whole milliseconds, towards zero.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0 / 1_000_000
    }
}

/// `a * b / c` towards zero, exact over a product of 256 bits. `c` is not zero; a quotient beyond `i128` panics.
#[must_use]
pub fn mul_div(a: i128, b: i128, c: i128) -> i128 {
    if let Some(product) = a.checked_mul(b) {
        return product / c;
    }
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    let (a, b, c) = (a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs());
    let half = u128::from(u64::MAX);
    let (a_high, a_low, b_high, b_low) = (a >> 64, a & half, b >> 64, b & half);
    let (low, cross, other) = (a_low * b_low, a_high * b_low, a_low * b_high);
    let middle = (low >> 64) + (cross & half) + (other & half);
    let mut rest = a_high * b_high + (cross >> 64) + (other >> 64) + (middle >> 64);
    let low = (low & half) | (middle << 64);
    assert!(rest < c, "a quotient beyond 128 bits");
    let mut quotient = 0_u128;
    for bit in (0..128).rev() {
        let carry = rest >> 127 == 1;
        rest = (rest << 1) | ((low >> bit) & 1);
        quotient <<= 1;
        if carry || rest >= c {
            rest = rest.wrapping_sub(c);
            quotient |= 1;
        }
    }
    let quotient = i128::try_from(quotient).expect("a quotient within i128");
    if negative { -quotient } else { quotient }
}

/// `a * b`, checked as the operator is: nearly all factors fit 64 bits, whose product fits 128 by itself.
#[inline]
#[must_use]
pub const fn product(a: i128, b: i128) -> i128 {
    if a as i64 as i128 == a && b as i64 as i128 == b {
        (a as i64 as i128).wrapping_mul(b as i64 as i128)
    } else {
        a * b
    }
}

/// 10^`exp` for `exp` up to 38.
#[must_use]
pub const fn pow10(exp: u32) -> i128 {
    POW10[exp as usize]
}

/// Computed once: a power by multiplication costs more than what it is used for.
static POW10: [i128; 39] = {
    let mut table = [1; 39];
    let mut exp = 1;
    while exp < table.len() {
        table[exp] = table[exp - 1] * 10;
        exp += 1;
    }
    table
};

/// Decimal places of [`Price`] and [`Money`].
pub const MONEY_PLACES: u32 = 18;
/// Decimal places of [`Rate`].
pub const RATE_PLACES: u32 = 12;
/// One in [`Rate`] units.
pub const RATE_ONE: i64 = 1_000_000_000_000;

impl Rate {
    /// 100 %.
    pub const ONE: Self = Self(RATE_ONE);
    /// `n` basis points.
    #[must_use]
    pub const fn from_bps(n: i64) -> Self {
        Self(n * 100_000_000)
    }
    /// Parses a plain decimal fraction such as `0.0004` exactly.
    ///
    /// # Errors
    /// Not a plain decimal, more than 12 places that are not zero, or too large.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        i64::try_from(parse_scaled(text, RATE_PLACES)?).map(Self).map_err(|_| DecimalError::Overflow)
    }
}

impl Money {
    /// `rate` of this amount, truncated towards zero at 1e-18.
    #[must_use]
    pub fn times(self, rate: Rate) -> Self {
        Self(mul_rate(self.0, rate))
    }
    /// Parses a plain decimal exactly. Errors as [`Rate::parse`], with 18 places.
    ///
    /// # Errors
    /// Not a plain decimal, more than 18 places that are not zero, or too large.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        parse_scaled(text, MONEY_PLACES).map(Self)
    }
}

impl Price {
    /// `rate` of this price, truncated towards zero at 1e-18.
    #[must_use]
    pub fn times(self, rate: Rate) -> Self {
        Self(mul_rate(self.0, rate))
    }
    /// `self > base.times(rate)`, without a division where the numbers are of a usual size.
    #[inline]
    #[must_use]
    pub fn exceeds(self, base: Self, rate: Rate) -> bool {
        match rated(self, base, rate) {
            // A whole number is above the floor of the product exactly if it is above the product.
            Some(product) => self.0.wrapping_mul(i128::from(RATE_ONE)) > product,
            None => self > base.times(rate),
        }
    }
    /// `self < base.times(rate)`, as [`Price::exceeds`].
    #[inline]
    #[must_use]
    pub fn falls_short(self, base: Self, rate: Rate) -> bool {
        match rated(self, base, rate) {
            // It is below the floor exactly if the next whole number is not above the product.
            Some(product) => (self.0 + 1).wrapping_mul(i128::from(RATE_ONE)) <= product,
            None => self < base.times(rate),
        }
    }
    /// Parses a plain decimal exactly. Errors as [`Rate::parse`], with 18 places.
    ///
    /// # Errors
    /// Not a plain decimal, more than 18 places that are not zero, or too large.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        parse_scaled(text, MONEY_PLACES).map(Self)
    }
}

/// `base * rate` (in 1e-30) where neither it nor `value` times 1e12 can overflow and nothing is negative.
#[inline]
fn rated(value: Price, base: Price, rate: Rate) -> Option<i128> {
    const MAX: u128 = 1 << 85;
    let small = (value.0 as u128) < MAX && (base.0 as u128) < MAX && (rate.0 as u64) < 1 << 41;
    small.then(|| base.0.wrapping_mul(i128::from(rate.0)))
}

/// `value * rate` without intermediate overflow for any value up to 1e26 units (1e8 quote currency at 18 places and far beyond).
fn mul_rate(value: i128, rate: Rate) -> i128 {
    let one = i128::from(RATE_ONE);
    let rate = i128::from(rate.0);
    // Split so that the first product stays small: value = whole * 1e12 + rest.
    (value / one) * rate + (value % one) * rate / one
}

impl Mul<i64> for Ticks {
    type Output = Self;
    fn mul(self, n: i64) -> Self {
        Self(self.0 * n)
    }
}
impl Mul<i64> for Lots {
    type Output = Self;
    fn mul(self, n: i64) -> Self {
        Self(self.0 * n)
    }
}
impl Mul<i64> for Nanos {
    type Output = Self;
    fn mul(self, n: i64) -> Self {
        Self(self.0 * n)
    }
}

/// The size of a tick or a lot: `mantissa * 10^-places`, with a positive mantissa and no trailing zero in it
/// (so a step of 0.1 is `1, 1`, a step of 0.25 is `25, 2`, a step of 10 is `10, 0`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    mantissa: u32,
    places: u8,
}

impl Step {
    /// One whole unit.
    pub const ONE: Self = Self { mantissa: 1, places: 0 };

    /// Parses the venue's text for a tick or step size, such as `0.10` or `0.001` or `5`.
    ///
    /// # Errors
    /// Not a plain decimal, zero, or more than 18 places.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let value = parse_scaled(text, MONEY_PLACES)?;
        if value <= 0 {
            return Err(DecimalError::Empty);
        }
        let (mut mantissa, mut places) = (value, MONEY_PLACES as u8);
        while places > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            places -= 1;
        }
        Ok(Self { mantissa: u32::try_from(mantissa).map_err(|_| DecimalError::Overflow)?, places })
    }

    /// Decimal places that a text on this grid needs.
    #[must_use]
    pub const fn places(self) -> u32 {
        self.places as u32
    }

    /// The digits of the step without its decimal point.
    #[must_use]
    pub const fn mantissa(self) -> i64 {
        self.mantissa as i64
    }

    /// The step as a decimal with 18 places: what one tick or one lot is worth in [`Price`] units or in base units.
    #[must_use]
    pub const fn atto(self) -> i128 {
        product(self.mantissa as i128, pow10(MONEY_PLACES - self.places as u32))
    }

    /// Exact count of steps in a plain decimal text. The naive twin of `wire::decimal`'s fast parser.
    ///
    /// # Errors
    /// Not a plain decimal, not a multiple of the step, or too large.
    pub fn parse_count(self, text: &[u8]) -> Result<i64, DecimalError> {
        let value = parse_scaled_or(text, self.places(), DecimalError::OffStep { step: self })?;
        let mantissa = i128::from(self.mantissa);
        if value % mantissa != 0 {
            return Err(DecimalError::OffStep { step: self });
        }
        i64::try_from(value / mantissa).map_err(|_| DecimalError::Overflow)
    }

    /// Writes `count` steps as plain decimal text with exactly [`Step::places`] decimals; returns the length.
    /// `out` needs 24 bytes or more for any count whose text fits them; a shorter buffer panics.
    pub fn format(self, count: i64, out: &mut [u8]) -> usize {
        let value = i128::from(count) * i128::from(self.mantissa);
        write_scaled(value, self.places(), out)
    }

    /// [`Step::format`] into a `String`, for people.
    #[must_use]
    pub fn text(self, count: i64) -> String {
        let mut buffer = [0_u8; 64];
        let len = self.format(count, &mut buffer);
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(1))
    }
}

impl fmt::Display for Money {
    /// Plain decimal without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal_text(self.0, MONEY_PLACES))
    }
}
impl fmt::Display for Price {
    /// Plain decimal without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal_text(self.0, MONEY_PLACES))
    }
}
impl fmt::Display for Rate {
    /// Plain decimal fraction without trailing zeros (not percent).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal_text(i128::from(self.0), RATE_PLACES))
    }
}

/// `value * 10^-places` as plain text without trailing zeros.
#[must_use]
pub fn decimal_text(value: i128, places: u32) -> String {
    let mut buffer = [0_u8; 64];
    let len = write_scaled(value, places, &mut buffer);
    let text = std::str::from_utf8(&buffer[..len]).expect("digits are ASCII");
    if places == 0 { text.to_owned() } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Parses a plain decimal into `value * 10^places`; digits behind `places` must be zero.
///
/// # Errors
/// Not a plain decimal, digits that do not fit in `places`, or too large for `i128`.
pub fn parse_scaled(text: &[u8], places: u32) -> Result<i128, DecimalError> {
    parse_scaled_or(text, places, DecimalError::Overflow)
}

fn parse_scaled_or(text: &[u8], places: u32, too_fine: DecimalError) -> Result<i128, DecimalError> {
    let (negative, start) = match text.first() {
        Some(b'-') => (true, 1),
        Some(_) => (false, 0),
        None => return Err(DecimalError::Empty),
    };
    let (mut value, mut decimals, mut digits) = (0_i128, None::<u32>, 0_usize);
    for (at, &byte) in text.iter().enumerate().skip(start) {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                let digit = i128::from(byte - b'0');
                if let Some(seen) = decimals.as_mut() {
                    if *seen == places {
                        if digit != 0 {
                            return Err(too_fine);
                        }
                        continue;
                    }
                    *seen += 1;
                }
                value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(DecimalError::Overflow)?;
            }
            b'.' if decimals.is_none() && digits > 0 => decimals = Some(0),
            _ => return Err(DecimalError::BadByte { byte, at }),
        }
    }
    if digits == 0 || text.last() == Some(&b'.') {
        return Err(DecimalError::Empty);
    }
    let value = value.checked_mul(pow10(places - decimals.unwrap_or(0))).ok_or(DecimalError::Overflow)?;
    Ok(if negative { -value } else { value })
}

/// Writes `value * 10^-places` with exactly `places` decimals; returns the length.
fn write_scaled(value: i128, places: u32, out: &mut [u8]) -> usize {
    let mut digits = [0_u8; 48];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    let mut written = 0;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
        if written == places {
            at -= 1;
            digits[at] = b'.';
        }
        if rest == 0 && written > places {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    let text = &digits[at..];
    out[..text.len()].copy_from_slice(text);
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_parse_to_their_shortest_form() {
        for (text, mantissa, places) in [("0.10", 1, 1), ("0.001", 1, 3), ("0.25", 25, 2), ("1", 1, 0), ("10", 10, 0)] {
            let step = Step::parse(text.as_bytes()).unwrap();
            assert_eq!((step.mantissa(), step.places()), (mantissa, places), "{text}");
        }
        assert!(Step::parse(b"0.000").is_err());
        assert!(Step::parse(b"-1").is_err());
    }

    #[test]
    fn text_to_count_is_exact_or_an_error() {
        let tick = Step::parse(b"0.10").unwrap();
        assert_eq!(tick.parse_count(b"61800.20"), Ok(618_002));
        assert_eq!(tick.parse_count(b"61800"), Ok(618_000));
        assert_eq!(tick.parse_count(b"-0.1"), Ok(-1));
        assert_eq!(tick.parse_count(b"61800.25"), Err(DecimalError::OffStep { step: tick }));
        assert_eq!(tick.parse_count(b""), Err(DecimalError::Empty));
        assert_eq!(tick.parse_count(b"1."), Err(DecimalError::Empty));
        assert_eq!(tick.parse_count(b".1"), Err(DecimalError::BadByte { byte: b'.', at: 0 }));
        assert_eq!(tick.parse_count(b"1e5"), Err(DecimalError::BadByte { byte: b'e', at: 1 }));
        assert_eq!(tick.parse_count(b"99999999999999999999"), Err(DecimalError::Overflow));
        let quarter = Step::parse(b"0.25").unwrap();
        assert_eq!(quarter.parse_count(b"10.75"), Ok(43));
        assert_eq!(quarter.parse_count(b"10.80"), Err(DecimalError::OffStep { step: quarter }));
    }

    #[test]
    fn count_to_text_round_trips() {
        for (step, count, text) in
            [("0.10", 618_002, "61800.2"), ("0.001", 5, "0.005"), ("0.25", -43, "-10.75"), ("5", 3, "15")]
        {
            let step = Step::parse(step.as_bytes()).unwrap();
            assert_eq!(step.text(count), text);
            assert_eq!(step.parse_count(text.as_bytes()), Ok(count));
        }
    }

    #[test]
    fn products_are_products_on_both_sides_of_64_bits() {
        let edge = i128::from(i64::MAX);
        for a in [0, 1, -1, edge, edge + 1, -edge - 1, -edge - 2] {
            for b in [0, 1, -1, 7, edge, edge + 1, -edge - 1] {
                assert_eq!(product(a, b), a.checked_mul(b).unwrap());
            }
        }
    }

    #[test]
    fn a_wide_product_is_divided_exactly() {
        let big = pow10(30) + 7;
        assert_eq!(mul_div(big, pow10(30), big), pow10(30));
        assert_eq!(mul_div(-big, big, pow10(30)), -(pow10(30) + 14));
        assert_eq!(mul_div(i128::MAX, i128::MAX, -i128::MAX), -i128::MAX);
        assert_eq!((mul_div(7, -3, 2), mul_div(-7, -3, 2)), (-10, 10));
        for (a, b, c) in [(pow10(37), 999, 1000), (pow10(25) * 3, pow10(20), pow10(19) * 7)] {
            let (whole, rest) = (a / c, a % c);
            assert_eq!(mul_div(a, b, c), whole * b + mul_div(rest, b, c));
        }
    }

    proptest! {
        #[test]
        fn comparing_with_a_product_is_comparing_with_its_quotient(
            base in prop_oneof![-10..10_i128, 0..pow10(24), 0..pow10(30)],
            rate in prop_oneof![Just(0_i64), Just(RATE_ONE), 0..3 * RATE_ONE, -RATE_ONE..RATE_ONE],
            off in -3..=3_i128,
            value in 0..pow10(24),
        ) {
            let (base, rate) = (Price(base), Rate(rate));
            for value in [Price(base.times(rate).0 + off), Price(value)] {
                prop_assert_eq!(value.exceeds(base, rate), value > base.times(rate));
                prop_assert_eq!(value.falls_short(base, rate), value < base.times(rate));
            }
        }
    }

    #[test]
    fn a_rate_of_money_truncates_and_does_not_overflow() {
        let hundred_million = Money::parse(b"100000000").unwrap();
        assert_eq!(hundred_million.times(Rate::parse(b"0.0004").unwrap()), Money::parse(b"40000").unwrap());
        assert_eq!(Money(1).times(Rate::from_bps(1)), Money(0));
        assert_eq!(Money::parse(b"-1.5").unwrap().to_string(), "-1.5");
        assert_eq!(Rate::parse(b"0.00002760").unwrap().to_string(), "0.0000276");
    }
}
