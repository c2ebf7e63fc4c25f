//! Readers and writers of single settings values: durations, sizes, counts, amounts, choices, addresses. Exact, never a float.

use crate::unit::{Amount, MONEY_PLACES, Nanos, RATE_PLACES, Rate, decimal_text, parse_scaled};
use std::ops::RangeInclusive;

const DURATION_UNITS: &[(&str, i64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const SIZE_UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Splits `250ms` into its whole number and its unit.
fn with_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    Some((number, text[digits..].trim_start()))
}

/// Reads `250ms`, `5s`, `2m`, `1h`.
///
/// # Errors
/// Not a whole number with a unit, or longer than 292 years.
pub fn duration(text: &str) -> Result<Nanos, String> {
    let refuse = || format!("`{text}` is not a duration such as 250ms, 5s, 2m or 1h");
    let (number, unit) = with_unit(text.trim()).ok_or_else(refuse)?;
    let (_, scale) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
    let nanos = i64::try_from(number).ok().and_then(|number| number.checked_mul(*scale));
    nanos.map(Nanos).ok_or_else(|| format!("{text} is too long"))
}

/// [`duration`] within a range.
///
/// # Errors
/// As [`duration`], or outside the range.
pub fn duration_in(text: &str, range: &RangeInclusive<Nanos>) -> Result<Nanos, String> {
    let value = duration(text)?;
    if range.contains(&value) { Ok(value) } else { Err(outside(text, &range_text(range, |&end| duration_text(end)))) }
}

/// The shortest text that [`duration`] reads back.
#[must_use]
pub fn duration_text(value: Nanos) -> String {
    let fits = DURATION_UNITS.iter().rev().find(|(_, scale)| value.0 != 0 && value.0 % scale == 0);
    fits.map_or_else(|| "0s".to_owned(), |(name, scale)| format!("{}{name}", value.0 / scale))
}

/// Reads `64MiB`, `1GiB`, or a plain number of bytes, within a range.
///
/// # Errors
/// Not a whole number with a unit, or outside the range.
pub fn size_in(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let refuse = || format!("`{text}` is not a size such as 64MiB or 1GiB");
    let (number, unit) = with_unit(text.trim()).ok_or_else(refuse)?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, scale) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
    match number.checked_mul(*scale) {
        Some(value) if range.contains(&value) => Ok(value),
        _ => Err(outside(text, &range_text(range, |&end| size_text(end)))),
    }
}

/// The shortest text that [`size_in`] reads back.
#[must_use]
pub fn size_text(value: u64) -> String {
    let fits = SIZE_UNITS.iter().rev().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
    fits.map_or_else(|| "0B".to_owned(), |(name, scale)| format!("{}{name}", value / scale))
}

/// Reads a whole number within a range.
///
/// # Errors
/// Not a whole number, or outside the range.
pub fn count_in(text: &str, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let value: u64 = text.trim().parse().map_err(|_| format!("`{text}` is not a whole number"))?;
    match u32::try_from(value) {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(outside(text, &range_text(range, ToString::to_string))),
    }
}

/// Reads a plain decimal above zero with at most 18 places, exactly.
///
/// # Errors
/// Not a plain decimal, finer than 18 places, too large, zero or negative.
pub fn positive(text: &str) -> Result<i128, String> {
    let value = parse_scaled(text.trim().as_bytes(), MONEY_PLACES).map_err(|error| format!("`{text}`: {error}"))?;
    if value > 0 { Ok(value) } else { Err(format!("{text} must be above 0")) }
}

/// Reads a base amount above zero.
///
/// # Errors
/// As [`positive`].
pub fn amount(text: &str) -> Result<Amount, String> {
    positive(text).map(Amount)
}

/// The text of a decimal with 18 places.
#[must_use]
pub fn atto_text(value: i128) -> String {
    decimal_text(value, MONEY_PLACES)
}

/// Reads a percent number in (0, 100] as a fraction: `1.5` is 0.015.
///
/// # Errors
/// Not a plain decimal, finer than 10 places, or outside the range.
pub fn percent(text: &str) -> Result<Rate, String> {
    let places = RATE_PLACES - 2;
    let value = parse_scaled(text.trim().as_bytes(), places).map_err(|error| format!("`{text}`: {error}"))?;
    match i64::try_from(value) {
        Ok(value) if value > 0 && value <= Rate::ONE.0 => Ok(Rate(value)),
        _ => Err(outside(text, "(0, 100]")),
    }
}

/// The percent number of a fraction.
#[must_use]
pub fn percent_text(value: Rate) -> String {
    decimal_text(i128::from(value.0), RATE_PLACES - 2)
}

/// Reads `true` or `false`.
///
/// # Errors
/// Anything else.
pub fn flag(text: &str) -> Result<bool, String> {
    choose(text, &[("true", true), ("false", false)])
}

/// Reads one of a few words.
///
/// # Errors
/// Another word.
pub fn choose<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|&(word, _)| word).collect();
        format!("`{text}` is none of {}", known.join(", "))
    })
}

/// The word of a value that [`choose`] read.
#[must_use]
pub fn chosen<T: PartialEq>(value: T, words: &[(&str, T)]) -> String {
    words.iter().find(|(_, known)| *known == value).map(|&(word, _)| word.to_owned()).unwrap_or_default()
}

/// Reads an address whose scheme is `secure` (`https`, `wss`), or `plain` (`http`, `ws`) where the host is this machine:
/// keys and orders never cross a network in clear.
///
/// # Errors
/// Another scheme, no host, white space, a user or password in it, or a plain scheme to another machine.
pub fn address(text: &str, secure: &str, plain: &str) -> Result<String, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("`{text}` is not an address; it must begin with {secure}://"));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || text.contains(char::is_whitespace) {
        return Err(format!("`{text}` has no host"));
    }
    if authority.contains('@') {
        return Err("the address holds a user or a password; credentials belong in [credentials]".to_owned());
    }
    let host = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((inside, _)) => inside,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let here = matches!(host, "localhost" | "127.0.0.1" | "::1");
    if scheme == secure || (scheme == plain && here) {
        Ok(text.trim_end_matches('/').to_owned())
    } else if scheme == plain {
        Err(format!("`{text}` is not encrypted; {plain}:// is only for this machine (127.0.0.1), use {secure}://"))
    } else {
        Err(format!("`{text}` has the scheme {scheme}; it must begin with {secure}://"))
    }
}

fn range_text<T>(range: &RangeInclusive<T>, show: impl Fn(&T) -> String) -> String {
    format!("[{}, {}]", show(range.start()), show(range.end()))
}

fn outside(text: &str, range: &str) -> String {
    format!("{text} is outside {range}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (text, value, shown) in [
            ("250ms", Nanos::from_millis(250), "250ms"),
            ("5s", Nanos::from_secs(5), "5s"),
            ("120s", Nanos::from_secs(120), "2m"),
            ("90 m", Nanos::from_secs(5400), "90m"),
            ("1h", Nanos::from_secs(3600), "1h"),
            ("0s", Nanos::ZERO, "0s"),
        ] {
            assert_eq!(duration(text), Ok(value), "{text}");
            assert_eq!(duration_text(value), shown);
        }
        for text in ["", "5", "s", "-5s", "1.5s", "5sec", "99999999999999999999s", "9999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        let range = Nanos::from_secs(1)..=Nanos::from_secs(60);
        assert_eq!(duration_in("2m", &range), Err("2m is outside [1s, 1m]".to_owned()));
    }

    #[test]
    fn sizes_are_bytes_or_binary_units() {
        let range = 1..=1 << 40;
        for (text, value) in [("64MiB", 64 << 20), ("1GiB", 1 << 30), ("4096", 4096)] {
            assert_eq!(size_in(text, &range), Ok(value), "{text}");
            assert_eq!(size_in(&size_text(value), &range), Ok(value));
        }
        for text in ["64MB", "x", "0", "2TiB", "99999999999TiB"] {
            assert!(size_in(text, &range).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_in_clear_is_only_for_this_machine() {
        for good in ["wss://fstream.example.com/public/", "ws://127.0.0.1:9001", "ws://[::1]:9001/x", "ws://localhost"]
        {
            assert_eq!(address(good, "wss", "ws").as_deref(), Ok(good.trim_end_matches('/')));
        }
        for (bad, why) in [
            ("ws://fstream.example.com", "not encrypted"),
            ("ws://127.0.0.1.example.com", "not encrypted"),
            ("https://example.com", "scheme"),
            ("wss://", "no host"),
            ("example.com", "not an address"),
            ("wss://user:word@example.com", "password"),
        ] {
            let error = address(bad, "wss", "ws").unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
        assert!(!address("wss://user:word@example.com", "wss", "ws").unwrap_err().contains("word@"));
    }

    #[test]
    fn amounts_and_percents_are_exact() {
        assert_eq!(amount("0.1").map(|value| value.0), Ok(100_000_000_000_000_000));
        assert_eq!(percent("1.5"), Ok(Rate::from_bps(150)));
        assert_eq!(percent_text(Rate::from_bps(150)), "1.5");
        for bad in ["0", "-1", "abc", "1e5", "0.0000000000000000001"] {
            assert!(amount(bad).is_err(), "{bad}");
        }
        for bad in ["0", "100.1", "-1", ""] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}
