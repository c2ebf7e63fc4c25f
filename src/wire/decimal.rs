//! Decimal text to integers, eight digits at a time. Equal to the plain parsers of `unit` on every input: what is not a short plain
//! number is handed to them.

use crate::unit::{DecimalError, MONEY_PLACES, Price, Step};

const POW10: [u64; 20] = {
    let mut table = [1; 20];
    let mut at = 1;
    while at < table.len() {
        table[at] = table[at - 1] * 10;
        at += 1;
    }
    table
};

/// Exact count of steps in a plain decimal text; equal to [`Step::parse_count`].
///
/// # Errors
/// As [`Step::parse_count`].
#[inline]
pub fn parse_count(step: Step, text: &[u8]) -> Result<i64, DecimalError> {
    match fast_count(step, text) {
        Some(count) => Ok(count),
        None => step.parse_count(text),
    }
}

/// A plain decimal as [`Price`]; equal to [`Price::parse`].
///
/// # Errors
/// As [`Price::parse`].
#[inline]
pub fn parse_price(text: &[u8]) -> Result<Price, DecimalError> {
    match split(text) {
        // Digits with at most 18 decimals: a u64 times 10^18 fits an i128.
        Some((digits, decimals)) if decimals <= MONEY_PLACES as usize => {
            Ok(Price(i128::from(digits) * i128::from(POW10[MONEY_PLACES as usize - decimals])))
        }
        _ => Price::parse(text),
    }
}

fn fast_count(step: Step, text: &[u8]) -> Option<i64> {
    let (digits, decimals) = split(text)?;
    let places = step.places() as usize;
    let value = if decimals <= places {
        digits.checked_mul(*POW10.get(places - decimals)?)?
    } else {
        // Venues pad with zeros ("61800.10" on a tick of 0.1); anything but zeros there is the plain parser's error.
        let surplus = POW10[decimals - places];
        if !digits.is_multiple_of(surplus) {
            return None;
        }
        digits / surplus
    };
    let mantissa = step.mantissa() as u64;
    if mantissa == 1 {
        return i64::try_from(value).ok();
    }
    if !value.is_multiple_of(mantissa) {
        return None;
    }
    i64::try_from(value / mantissa).ok()
}

/// All digits of an unsigned decimal of at most 19 digits as one number, and how many stand behind the point. `None` for
/// anything else, valid or not.
#[inline]
fn split(text: &[u8]) -> Option<(u64, usize)> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    match text.iter().position(|&byte| byte == b'.') {
        None if text.len() <= 19 => Some((parse_digits(text)?, 0)),
        None => None,
        Some(point) => {
            let (whole, decimals) = (&text[..point], &text[point + 1..]);
            if whole.is_empty() || decimals.is_empty() {
                return None;
            }
            Some((parse_digits(whole)? * POW10[decimals.len()] + parse_digits(decimals)?, decimals.len()))
        }
    }
}

/// At most 19 digits. `None` when one of the bytes is not a digit.
#[inline]
fn parse_digits(mut text: &[u8]) -> Option<u64> {
    let mut value = 0;
    while let Some((eight, rest)) = text.split_first_chunk::<8>() {
        value = value * 100_000_000 + eight_digits(u64::from_le_bytes(*eight))?;
        text = rest;
    }
    if text.is_empty() {
        return Some(value);
    }
    // The rest is put behind zeros, so that it is eight digits too.
    let mut eight = [b'0'; 8];
    eight[8 - text.len()..].copy_from_slice(text);
    Some(value * POW10[text.len()] + eight_digits(u64::from_le_bytes(eight))?)
}

/// Eight ASCII digits, the first in the lowest byte. Neighbours are joined to pairs, pairs to fours, fours to the number.
#[inline]
const fn eight_digits(word: u64) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    // A digit keeps its high half of 3, also when 6 is added; ':' to '?' do not.
    if (word & HIGH) | ((word.wrapping_add(0x0606_0606_0606_0606) & HIGH) >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let ones = word - ZEROS;
    let pairs = (ones.wrapping_mul(10) + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEPS: [&str; 9] =
        ["0.10", "0.001", "0.25", "1", "10", "5", "0.00000001", "0.000000000000000001", "4294967295"];

    fn agree(text: &[u8]) {
        for step in STEPS {
            let step = Step::parse(step.as_bytes()).unwrap();
            assert_eq!(parse_count(step, text), step.parse_count(text), "{} on {step}", text.escape_ascii());
        }
        assert_eq!(parse_price(text), Price::parse(text), "{}", text.escape_ascii());
    }

    #[test]
    fn borders_equal_the_plain_parser() {
        for text in [
            "",
            "0",
            "-",
            "-0",
            "-0.1",
            ".",
            "1.",
            ".1",
            "1..1",
            "1.1.1",
            "+1",
            "1e5",
            " 1",
            "1 ",
            "00001",
            "0.0",
            "61800.20",
            "61800.25",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "9999999999999999999",
            "99999999999999999999",
            "0.000000000000000001",
            "0.0000000000000000001",
            "922337203685477580.7",
            "922337203685477580.70",
            "1:000000",
            "1/000000",
            "12345678",
            "1234567:",
            "/2345678",
            "12345678.12345678",
            "123456789012.12345678",
            "170141183460469231731687303715884105727",
        ] {
            agree(text.as_bytes());
        }
    }

    #[test]
    fn any_byte_at_any_place_equals_the_plain_parser() {
        for at in 0..12 {
            for byte in 0..=255 {
                let mut text = *b"4820193.7500";
                text[at] = byte;
                agree(&text);
            }
        }
    }

    proptest! {
        #[test]
        fn decimals_equal_the_plain_parser(text in "-?[0-9]{0,22}(\\.[0-9]{0,20})?") {
            agree(text.as_bytes());
        }

        #[test]
        fn multiples_of_the_step_equal_the_plain_parser(count: i64, step in prop::sample::select(&STEPS[..]), zeros in 0_usize..3) {
            let step = Step::parse(step.as_bytes()).unwrap();
            let mut text = step.text(count);
            if text.contains('.') {
                text.push_str(&"000"[..zeros]);
            }
            agree(text.as_bytes());
            prop_assert_eq!(parse_count(step, text.as_bytes()), Ok(count));
        }

        #[test]
        fn noise_equals_the_plain_parser(text in prop::collection::vec(prop::sample::select(&b"0123456789.-e:/ \xff"[..]), 0..24)) {
            agree(&text);
        }
    }
}
