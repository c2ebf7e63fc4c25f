//! The level scanner in plain integer arithmetic: the twin that runs everywhere.

use super::column::TEXT_MAX;
use super::{Column, LevelSink};
use crate::unit::{Lots, Ticks};

const THREE_BYTES: u32 = 0x00ff_ffff;
const MIDDLE: u32 = u32::from_le_bytes(*b"\",\"\0");
/// Behind the text of the last level.
const END: u32 = u32::from_le_bytes(*b"\"]]\0");
/// Behind the text of another one, up to the next level's first quote.
const BETWEEN: u64 = u64::from_le_bytes(*b"\"],[\"\0\0\0");
const BETWEEN_BITS: u32 = 40;

/// See [`super::Scanner::levels`]; `at` is behind the opening bracket of a non-empty array.
#[inline]
pub(super) fn levels(
    buf: &[u8],
    len: usize,
    at: usize,
    price: &Column,
    qty: &Column,
    sink: &mut impl LevelSink,
) -> Option<usize> {
    if buf.get(at..at + 2)? != b"[\"" {
        return None;
    }
    let mut at = at + 2;
    // Prices are mostly as long as the one before.
    let mut price_len = 0;
    loop {
        let mut price_end = at + price_len;
        if (four(buf, price_end)? ^ MIDDLE) & THREE_BYTES != 0 {
            price_end = quote(buf, at)?;
            price_len = price_end - at;
            if (four(buf, price_end)? ^ MIDDLE) & THREE_BYTES != 0 {
                return None;
            }
        }
        let qty_at = price_end + 3;
        let qty_end = quote(buf, qty_at)?;
        let ticks = price.count(buf, at, price_end)?;
        let lots = qty.count(buf, qty_at, qty_end)?;
        if !sink.push(Ticks(ticks), Lots(lots)) {
            return None;
        }
        let behind = eight(buf, qty_end)?;
        if (behind ^ BETWEEN) << (64 - BETWEEN_BITS) != 0 {
            let end = qty_end + 3;
            return ((behind as u32 ^ END) & THREE_BYTES == 0 && end <= len).then_some(end);
        }
        at = qty_end + 5;
    }
}

#[inline(always)]
fn four(buf: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*buf.get(at..)?.first_chunk()?))
}

#[inline(always)]
fn eight(buf: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*buf.get(at..)?.first_chunk()?))
}

/// Offset of the first quote at or behind `at`, if it is near enough to end a short number.
#[inline(always)]
fn quote(buf: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut offset = 0;
    while offset <= TEXT_MAX {
        let differs = eight(buf, at + offset)? ^ (ONES * b'"' as u64);
        // The lowest set bit marks the first zero byte; higher ones may be wrong and are not looked at.
        let zeros = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if zeros != 0 {
            return Some(at + offset + zeros.trailing_zeros() as usize / 8);
        }
        offset += 8;
    }
    None
}
