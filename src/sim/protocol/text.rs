//! Writing the venue's JSON: keys in the order given, decimals as strings with the venue's places. Never parses.

use crate::instrument::Instrument;
use crate::sim::frames;
use crate::unit::{Lots, MONEY_PLACES, Money, Price, Rate, Ticks, pow10};
use crate::wire::json::{write_i64, write_string, write_u64};

/// An object being written; [`Object::end`] closes it.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    comma: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, comma: false }
    }

    /// Writes a key; the value must follow in the returned buffer.
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string.
    pub fn str(&mut self, key: &str, value: &str) -> &mut Self {
        write_string(value, self.key(key));
        self
    }

    /// An integer.
    pub fn int(&mut self, key: &str, value: i64) -> &mut Self {
        write_i64(value, self.key(key));
        self
    }

    /// An id.
    pub fn id(&mut self, key: &str, value: u64) -> &mut Self {
        write_u64(value, self.key(key));
        self
    }

    /// A boolean.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.key(key).extend_from_slice(text);
        self
    }

    /// JSON text as it is.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).extend_from_slice(json.as_bytes());
        self
    }

    /// A decimal string with 8 places, truncated.
    pub fn money(&mut self, key: &str, value: Money) -> &mut Self {
        fixed(self.key(key), value.0, MONEY_PLACES, 8);
        self
    }

    /// A price off the grid, as [`Object::money`].
    pub fn real(&mut self, key: &str, value: Price) -> &mut Self {
        fixed(self.key(key), value.0, MONEY_PLACES, 8);
        self
    }

    /// A fraction, 8 places.
    pub fn rate(&mut self, key: &str, value: Rate) -> &mut Self {
        fixed(self.key(key), i128::from(value.0), crate::unit::RATE_PLACES, 8);
        self
    }

    /// A price on the grid, as the venue prints it.
    pub fn price(&mut self, key: &str, instrument: &Instrument, value: Ticks) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        frames::price(out, instrument, value);
        out.push(b'"');
        self
    }

    /// A quantity, as the venue prints it.
    pub fn qty(&mut self, key: &str, instrument: &Instrument, value: Lots) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        frames::quantity(out, instrument, value);
        out.push(b'"');
        self
    }

    /// Closes it.
    pub fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// Appends `value * 10^-places` as a quoted decimal with exactly `shown` places, truncated towards zero.
pub fn fixed(out: &mut Vec<u8>, value: i128, places: u32, shown: u32) {
    let value = value / pow10(places - shown);
    out.push(b'"');
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    let scale = pow10(shown).unsigned_abs();
    write_u64(u64::try_from(value / scale).expect("an amount of money below 1e19"), out);
    out.push(b'.');
    let rest = u64::try_from(value % scale).expect("8 places");
    let mut unit = scale / 10;
    while unit > 0 {
        out.push(b'0' + (u128::from(rest) / unit % 10) as u8);
        unit /= 10;
    }
    out.push(b'"');
}

/// Writes the elements of an array with commas between.
pub fn array<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_the_places_they_say() {
        for (text, shown) in
            [("-0.5", "\"-0.50000000\""), ("123.123456789", "\"123.12345678\""), ("0", "\"0.00000000\"")]
        {
            let mut out = Vec::new();
            fixed(&mut out, Money::parse(text.as_bytes()).unwrap().0, MONEY_PLACES, 8);
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
    }

    #[test]
    fn an_object_keeps_the_order_of_its_keys() {
        let mut out = Vec::new();
        Object::new(&mut out).str("b", "x\"").int("a", -1).bool("c", true).end();
        assert_eq!(out, br#"{"b":"x\"","a":-1,"c":true}"#);
    }
}
