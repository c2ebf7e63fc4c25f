//! Query strings and form bodies: `a=1&b=x%20y`. The two differ in nothing that is read here.

use std::borrow::Cow;

/// The pairs of a query string or form body in order, as sent (not decoded). A piece without `=` has an empty value; empty pieces
/// are skipped.
#[must_use]
pub fn pairs(text: &str) -> Pairs<'_> {
    Pairs(text.split('&'))
}

/// See [`pairs`].
#[derive(Clone, Debug)]
pub struct Pairs<'a>(std::str::Split<'a, char>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        self.0.find(|piece| !piece.is_empty()).map(|piece| piece.split_once('=').unwrap_or((piece, "")))
    }
}

/// Decodes `%41` and `+`. `None` for a broken escape or text that is not UTF-8.
#[must_use]
pub fn decode_percent(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// Appends `text` with everything but unreserved characters (RFC 3986, section 2.3) escaped.
pub fn encode_percent(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}
