//! Our order ids as the venue sees them: `<prefix><run in hex>-<seq in hex>`, fixed width. The prefix tells our orders from others'.

use crate::event::ClientId;
use arrayvec::ArrayString;

/// Longest prefix: the venue takes 36 characters, 17 of which are run, dash and sequence.
pub const PREFIX_MAX: usize = 19;

/// A checked prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix(ArrayString<PREFIX_MAX>);

impl Prefix {
    /// Checks the venue's pattern (`[.A-Z:/a-z0-9_-]`), and that the text is not empty: an empty prefix would own every order.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn new(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte);
        if text.is_empty() || text.len() > PREFIX_MAX || !text.bytes().all(allowed) {
            return Err(format!("{text:?} is no order id prefix: want 1 to {PREFIX_MAX} of A-Z a-z 0-9 . : / _ -"));
        }
        ArrayString::from(text).map(Self).map_err(|error| error.to_string())
    }

    /// The venue's text of an id.
    #[must_use]
    pub fn text(&self, id: ClientId) -> ArrayString<36> {
        let mut digits = [b'-'; 17];
        digits[..8].copy_from_slice(&hex(id.run));
        // The dash only helps people to read it.
        digits[9..].copy_from_slice(&hex(id.seq));
        let mut text = ArrayString::from(&self.0).expect("a prefix is shorter than an id");
        text.push_str(std::str::from_utf8(&digits).expect("ASCII"));
        text
    }

    /// The id in a text of ours; `None` for an order that somebody else placed.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<ClientId> {
        let (run, seq) = text.strip_prefix(self.0.as_str())?.split_once('-')?;
        let word = |hex: &str| {
            (hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()))
                .then(|| u32::from_str_radix(hex, 16).ok())?
        };
        let id = ClientId { run: word(run)?, seq: word(seq)? };
        (id != ClientId::default()).then_some(id)
    }
}

/// Eight lower-case hex digits, all at once: a digit to a byte, and the letters moved behind the nine.
pub(super) fn hex(value: u32) -> [u8; 8] {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let wide = u64::from(value);
    let wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    let wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
    let wide = (wide | wide << 4) & (LOW * 0x0f);
    let letters = (wide + LOW * 6) >> 4 & LOW;
    (wide + LOW * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits_are_those_of_formatting() {
        for value in (0..32).flat_map(|bit| [1 << bit, (1 << bit) - 1, 0xa9_f0_39_9a_u32.rotate_left(bit)]) {
            assert_eq!(std::str::from_utf8(&hex(value)).unwrap(), format!("{value:08x}"));
        }
    }

    #[test]
    fn ours_round_trip_and_others_are_not_ours() {
        let prefix = Prefix::new("sq").unwrap();
        let id = ClientId { run: 0x01ab_23cd, seq: 7 };
        assert_eq!(prefix.text(id).as_str(), "sq01ab23cd-00000007");
        assert_eq!(prefix.parse("sq01ab23cd-00000007"), Some(id));
        for other in
            ["x-cvBPrNm9", "sq", "sq01ab23cd-0000000", "sq01AB23CD-00000007", "sq00000000-00000000", "autoclose-1"]
        {
            assert_eq!(prefix.parse(other), None, "{other}");
        }
        assert!(Prefix::new("").is_err() && Prefix::new("a b").is_err() && Prefix::new(&"x".repeat(20)).is_err());
    }
}
