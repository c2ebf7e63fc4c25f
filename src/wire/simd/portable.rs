//! The level scanner in plain integer arithmetic: the twin that runs everywhere.

use super::column::TEXT_MAX;
use super::{Column, LevelSink};
use crate::unit::{Lots, Ticks};

/// See [`super::Scanner::levels`]; `at` is behind the opening bracket of a non-empty array.
#[inline]
pub(super) fn levels(
    buf: &[u8],
    len: usize,
    mut at: usize,
    price: &Column,
    qty: &Column,
    sink: &mut impl LevelSink,
) -> Option<usize> {
    loop {
        if buf.get(at..at + 2)? != b"[\"" {
            return None;
        }
        let price_end = quote(buf, at + 2)?;
        if buf.get(price_end..price_end + 3)? != b"\",\"" {
            return None;
        }
        let qty_end = quote(buf, price_end + 3)?;
        let next = qty_end + 2;
        if next >= len || buf[qty_end + 1] != b']' {
            return None;
        }
        let ticks = price.count(buf, at + 2, price_end)?;
        let lots = qty.count(buf, price_end + 3, qty_end)?;
        if !sink.push(Ticks(ticks), Lots(lots)) {
            return None;
        }
        match buf[next] {
            b',' => at = next + 1,
            b']' => return Some(next + 1),
            _ => return None,
        }
    }
}

/// Offset of the first quote at or behind `at`, if it is near enough to end a short number.
#[inline]
fn quote(buf: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut offset = 0;
    while offset <= TEXT_MAX {
        let word: [u8; 8] = buf.get(at + offset..at + offset + 8)?.try_into().ok()?;
        let differs = u64::from_le_bytes(word) ^ (ONES * b'"' as u64);
        // The lowest set bit marks the first zero byte; higher ones may be wrong and are not looked at.
        let zeros = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if zeros != 0 {
            return Some(at + offset + zeros.trailing_zeros() as usize / 8);
        }
        offset += 8;
    }
    None
}
