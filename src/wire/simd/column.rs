//! The text form that all numbers of one column share (so many decimals), and the constants to convert such numbers fast.

use crate::unit::Step;
use std::ops::Range;

/// Longest number that the fast conversions take, in bytes.
pub(super) const TEXT_MAX: usize = 16;

/// Bytes of a word.
const WORD: usize = 8;

const SIX: u64 = 0x0606_0606_0606_0606;
const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;

/// Shortest text with `places` decimals: a digit, and the point with them.
const fn text_min(places: usize) -> usize {
    if places == 0 { 1 } else { places + 2 }
}

/// Numbers with a fixed count of decimals, such as `61800.20`, as whole steps of an instrument's grid.
/// A number is looked at as the 16 bytes that end at its last byte, so every decimal has a fixed offset.
#[derive(Clone, Debug)]
pub struct Column {
    pub(super) step: Step,
    /// Decimals in the text; 0 means no point at all.
    places: usize,
    /// What to xor the 16 bytes with so that a right digit becomes its value and the point becomes 0.
    pub(super) pattern: [u8; 16],
    /// Largest value that each byte may then have: 9 for a digit, 0 for the point and for decimals finer than the step.
    pub(super) limit: [u8; 16],
    /// Byte shuffle that leaves the digits that count, right-aligned; 0x80 gives 0.
    pub(super) shuffle: [u8; 16],
    /// As `limit`, for the bytes that must be 0.
    zero_mask: u128,
    drop_bits: u32,
    fraction_mask: u128,
    point_bits: u32,
    /// As `pattern`, for the last eight bytes; then the bytes of it that belong to the point and the decimals, and those that must be 0.
    tail_pattern: u64,
    tail_mask: u64,
    tail_zero: u64,
    /// Shortest text, how many lengths from it on fit eight bytes, and which of these bytes are decimals that count, at their place
    /// once dropped ones are shifted out.
    text_min: usize,
    word_lens: usize,
    word_fraction: u64,
    /// 10 to the number of decimals that count.
    whole: u64,
    /// Digits are worth `scale / mantissa` steps.
    scale: u64,
    mantissa: u64,
    /// Digits are steps.
    plain: bool,
}

impl Column {
    /// A column of numbers with `places` decimals on the grid of `step`. More decimals than the fast forms take (13) are
    /// treated as none, so that no such number matches.
    #[must_use]
    pub fn new(step: Step, places: usize) -> Self {
        let places = if places > TEXT_MAX - 3 { 0 } else { places };
        let kept = places.min(step.places() as usize);
        // Decimals behind the step's last one must be zeros; where none is left the point goes too.
        let dropped = if kept == 0 && places > 0 { places + 1 } else { places - kept };
        let point = (places > 0).then(|| TEXT_MAX - 1 - places);
        let (mut pattern, mut limit) = ([b'0'; 16], [9_u8; 16]);
        limit[TEXT_MAX - dropped..].fill(0);
        if let Some(point) = point {
            pattern[point] = b'.';
            limit[point] = 0;
        }
        let mut shuffle = [0x80_u8; 16];
        let mut to = TEXT_MAX;
        for from in (0..TEXT_MAX - dropped).rev().filter(|from| Some(*from) != point) {
            to -= 1;
            shuffle[to] = from as u8;
        }
        let tail = |bytes: [u8; 16]| u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15].map(|at: usize| bytes[at]));
        let scale = 10_u64.pow(step.places().saturating_sub(kept as u32).min(19));
        let zero_mask = limit.map(|limit| if limit == 0 { 0xff } else { 0 });
        let fraction_mask = if kept == 0 { u128::MAX } else { !(u128::MAX >> (8 * kept as u32)) };
        Self {
            step,
            places,
            pattern,
            limit,
            shuffle,
            zero_mask: u128::from_le_bytes(zero_mask),
            drop_bits: 8 * dropped as u32,
            fraction_mask,
            point_bits: if kept == 0 { 0 } else { 8 },
            tail_pattern: tail(pattern),
            // Only used where point and decimals lie in the tail.
            tail_mask: u64::MAX.checked_shl(64_u32.saturating_sub(8 * (places as u32 + 1))).unwrap_or(0),
            tail_zero: tail(zero_mask),
            text_min: text_min(places),
            word_lens: (WORD + 1).saturating_sub(text_min(places)),
            word_fraction: (fraction_mask >> 64) as u64,
            whole: 10_u64.pow(kept as u32),
            scale,
            mantissa: step.mantissa() as u64,
            plain: scale == 1 && step.mantissa() == 1,
        }
    }

    /// Sets the column to the form of `text`, a number seen in it. Cheap when the form is known already.
    #[inline]
    pub fn learn(&mut self, text: &[u8]) {
        let places = text.iter().rev().position(|byte| *byte == b'.').unwrap_or(0);
        if places != self.places {
            *self = Self::new(self.step, places);
        }
    }

    /// Shortest text of the column: a digit, and the point with its decimals.
    #[inline]
    pub(super) const fn text_min(&self) -> usize {
        self.text_min
    }

    /// Digits are steps.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.plain
    }

    /// Steps in the number `buf[start..end]`, or `None` when it does not have the column's form or is not on the grid.
    #[inline]
    #[must_use]
    pub fn count(&self, buf: &[u8], start: usize, end: usize) -> Option<i64> {
        let len = end.wrapping_sub(start);
        if self.fits_word(len) {
            let (digits, wrong) = self.word(buf, end, len)?;
            return if wrong == 0 { self.steps(digits) } else { None };
        }
        let whole = end.wrapping_sub(start).wrapping_sub(self.places + 1);
        // Up to eight digits before the point and seven behind it: the parts are converted each by itself.
        if whole.wrapping_sub(1) < 8 && self.places.wrapping_sub(1) < 7 {
            self.count_short(buf, end, whole)
        } else {
            self.count_long(buf, start, end)
        }
    }

    /// [`Column::count`] of two numbers.
    #[inline(always)]
    #[must_use]
    pub fn count_two(&self, buf: &[u8], [one, two]: [Range<usize>; 2]) -> Option<[i64; 2]> {
        let lens = [one.end.wrapping_sub(one.start), two.end.wrapping_sub(two.start)];
        if self.fits_word(lens[0]) & self.fits_word(lens[1]) {
            let (one, wrong) = self.word(buf, one.end, lens[0])?;
            let (two, wrong2) = self.word(buf, two.end, lens[1])?;
            return if wrong | wrong2 == 0 { Some([self.steps(one)?, self.steps(two)?]) } else { None };
        }
        Some([self.count(buf, one.start, one.end)?, self.count(buf, two.start, two.end)?])
    }

    /// A text of the column with so many bytes lies in a word.
    #[inline(always)]
    const fn fits_word(&self, len: usize) -> bool {
        len.wrapping_sub(self.text_min) < self.word_lens
    }

    /// The digits of a text that fits a word, and not zero where it has not the column's form.
    #[inline(always)]
    fn word(&self, buf: &[u8], end: usize, len: usize) -> Option<(u64, u64)> {
        let word = u64::from_le_bytes(*buf.get(end.wrapping_sub(WORD)..)?.first_chunk()?) ^ self.tail_pattern;
        let digits = word & (u64::MAX.wrapping_shl((len as u32).wrapping_mul(8).wrapping_neg()));
        // A carry out of a byte needs a high nibble in it, which is refused anyway.
        let wrong = (digits & self.tail_zero) | ((digits | digits.wrapping_add(SIX)) & HIGH);
        // With a digit before them, dropped bytes are at most seven.
        let kept = digits.wrapping_shl(self.drop_bits);
        let fraction = kept & self.word_fraction;
        Some((eight_digits(fraction | (kept ^ fraction).wrapping_shl(self.point_bits)), wrong))
    }

    /// `whole` digits (1 to 8), the point and 1 to 7 decimals before `end`.
    #[inline]
    fn count_short(&self, buf: &[u8], end: usize, whole: usize) -> Option<i64> {
        let bytes: &[u8; 16] = buf.get(end.checked_sub(TEXT_MAX)?..end)?.try_into().ok()?;
        let (_, tail) = bytes.split_first_chunk::<8>()?;
        let tail = u64::from_le_bytes(tail.try_into().ok()?) ^ self.tail_pattern;
        let tail = tail & self.tail_mask;
        let head = bytes.get(7 - self.places..)?.first_chunk::<8>()?;
        let head = (u64::from_le_bytes(*head) ^ 0x3030_3030_3030_3030) & (u64::MAX << (64 - 8 * whole as u32));
        // As in a word.
        let wrong = (tail & self.tail_zero) | ((tail | tail.wrapping_add(SIX) | head | head.wrapping_add(SIX)) & HIGH);
        if wrong != 0 {
            return None;
        }
        self.steps(eight_digits(head) * self.whole + eight_digits(tail.checked_shl(self.drop_bits).unwrap_or(0)))
    }

    fn count_long(&self, buf: &[u8], start: usize, end: usize) -> Option<i64> {
        let len = end.checked_sub(start)?;
        if len < self.text_min() || len > TEXT_MAX {
            return None;
        }
        let bytes: [u8; 16] = buf.get(end.checked_sub(TEXT_MAX)?..end)?.try_into().ok()?;
        let digits = (u128::from_le_bytes(bytes) ^ u128::from_le_bytes(self.pattern))
            & (u128::MAX << (8 * (TEXT_MAX - len) as u32));
        const SIX: u128 = 0x06060606_06060606_06060606_06060606;
        const HIGH: u128 = 0xf0f0f0f0_f0f0f0f0_f0f0f0f0_f0f0f0f0;
        // A carry out of a byte needs a high nibble in it, which is refused anyway.
        if (digits & self.zero_mask) | ((digits | digits.wrapping_add(SIX)) & HIGH) != 0 {
            return None;
        }
        // Shifts by 128 cannot happen: at least one digit is kept.
        let kept = digits << self.drop_bits;
        let packed = (kept & self.fraction_mask) | ((kept & !self.fraction_mask) << self.point_bits);
        let high = packed as u64;
        let low = eight_digits((packed >> 64) as u64);
        self.steps(if high == 0 { low } else { eight_digits(high) * 100_000_000 + low })
    }

    /// Steps that `digits` (the number without its point and without dropped decimals) are worth.
    #[inline]
    pub(super) fn steps(&self, digits: u64) -> Option<i64> {
        let mut value = digits;
        if self.is_plain() {
            return i64::try_from(value).ok();
        }
        if self.scale != 1 {
            value = value.checked_mul(self.scale)?;
        }
        if self.mantissa != 1 {
            if !value.is_multiple_of(self.mantissa) {
                return None;
            }
            value /= self.mantissa;
        }
        i64::try_from(value).ok()
    }
}

/// Value of eight digit bytes (0..=9 each), the first in the lowest byte.
#[inline]
pub(crate) const fn eight_digits(digits: u64) -> u64 {
    const PAIR: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    ((pairs & PAIR).wrapping_mul(100 + (1_000_000 << 32)))
        .wrapping_add(((pairs >> 16) & PAIR).wrapping_mul(1 + (10_000 << 32)))
        >> 32
}
