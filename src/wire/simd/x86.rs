//! The level scanner on AVX2 and AVX-512: quotes are found as bits of a 64-byte mask, a level's two numbers are converted at once.
#![allow(unsafe_code)] // Vector loads through pointers; every offset is checked against the slice before it.

use super::SPARE;
use super::column::{Column, TEXT_MAX};
use crate::unit::{Lots, Ticks};
use std::arch::x86_64::*;

/// Where the parts of one level are, as offsets from its first byte; found in a 64-byte window.
#[derive(Clone, Copy)]
struct Marks {
    price_end: usize,
    qty_end: usize,
}

/// Takes a level's four quotes off `quotes`.
#[inline(always)]
fn marks(quotes: &mut u64) -> Option<Marks> {
    let mut rest = *quotes;
    rest &= rest.wrapping_sub(1);
    let price_end = rest.trailing_zeros() as usize;
    rest &= rest.wrapping_sub(1);
    rest &= rest.wrapping_sub(1);
    if rest == 0 {
        return None;
    }
    let qty_end = rest.trailing_zeros() as usize;
    *quotes = rest & (rest - 1);
    Some(Marks { price_end, qty_end })
}

#[inline(always)]
fn word(buf: &[u8], at: usize) -> u32 {
    assert!(at + 4 <= buf.len());
    // SAFETY: four bytes from `at` are inside `buf`.
    unsafe { buf.as_ptr().add(at).cast::<u32>().read_unaligned() }
}

/// Checks the punctuation of the level at `at`; `None` unless all of it, and the byte behind it, lies in the document.
#[inline(always)]
fn well_formed(buf: &[u8], len: usize, at: usize, level: Marks) -> Option<u8> {
    let (price_end, qty_end) = (at + level.price_end, at + level.qty_end);
    if qty_end + 2 >= len {
        return None;
    }
    // One branch for all punctuation of a level.
    let head = word(buf, at) ^ u32::from_le_bytes(*b"[\"\0\0");
    let middle = word(buf, price_end) ^ u32::from_le_bytes(*b"\",\"\0");
    let tail = word(buf, qty_end);
    let wrong = (head & 0xffff) | (middle & 0x00ff_ffff) | ((tail ^ u32::from_le_bytes(*b"\"]\0\0")) & 0xffff);
    (wrong == 0).then_some((tail >> 16) as u8)
}

/// Lengths of the two numbers, if the columns take them.
#[inline(always)]
fn lengths(level: Marks, price: &Column, qty: &Column) -> Option<(usize, usize)> {
    let price_len = level.price_end.checked_sub(2)?;
    let qty_len = level.qty_end.checked_sub(level.price_end + 3)?;
    let ok = price_len >= price.text_min() && price_len <= TEXT_MAX && qty_len >= qty.text_min() && qty_len <= TEXT_MAX;
    ok.then_some((price_len, qty_len))
}

#[inline(always)]
fn digits(halves: u64) -> u64 {
    (halves & 0xffff_ffff) * 100_000_000 + (halves >> 32)
}

/// 32-byte constants of a pair of columns: price in the low lane, quantity in the high one.
#[derive(Clone, Copy)]
struct Pair {
    pattern: __m256i,
    limit: __m256i,
    shuffle: __m256i,
}

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn pair(price: &Column, qty: &Column) -> Pair {
    let join = |low: &[u8; 16], high: &[u8; 16]| {
        // SAFETY: both arrays are 16 bytes long and unaligned loads are used.
        unsafe { _mm256_loadu2_m128i(high.as_ptr().cast(), low.as_ptr().cast()) }
    };
    Pair {
        pattern: join(&price.pattern, &qty.pattern),
        limit: join(&price.limit, &qty.limit),
        shuffle: join(&price.shuffle, &qty.shuffle),
    }
}

/// Loads the two numbers of a level, each right-aligned in its lane.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn load(buf: &[u8], at: usize, level: Marks) -> __m256i {
    let (price_end, qty_end) = (at + level.price_end, at + level.qty_end);
    assert!(price_end >= TEXT_MAX && qty_end >= price_end && qty_end <= buf.len());
    // SAFETY: 16 <= price_end <= qty_end <= buf.len(), so both 16-byte loads are inside `buf`.
    unsafe {
        let start = buf.as_ptr();
        _mm256_loadu2_m128i(start.add(qty_end - TEXT_MAX).cast(), start.add(price_end - TEXT_MAX).cast())
    }
}

/// 0xff from byte `16 - n` on when read at offset `n`.
static TAIL: [u8; 32] = {
    let mut bytes = [0_u8; 32];
    let mut at = 16;
    while at < 32 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn tail_mask(price_len: usize, qty_len: usize) -> __m256i {
    assert!(price_len <= 16 && qty_len <= 16);
    // SAFETY: offsets of at most 16 leave 16 bytes of the 32.
    unsafe {
        let start = TAIL.as_ptr();
        _mm256_loadu2_m128i(start.add(qty_len).cast(), start.add(price_len).cast())
    }
}

/// Digit values of both lanes to `[hi8, lo8]` as 64 bits each.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn convert(values: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi16(0x010a));
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_0064));
    let packed = _mm256_packus_epi32(fours, fours);
    _mm256_madd_epi16(packed, _mm256_set1_epi32(0x0001_2710))
}

/// Bit i is set when byte i of the 64-byte window is a quote.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn quotes_avx2(buf: &[u8], at: usize) -> u64 {
    assert!(at + SPARE <= buf.len());
    let quote = _mm256_set1_epi8(b'"' as i8);
    // SAFETY: 64 bytes from `at` are inside `buf`.
    let (low, high) = unsafe {
        let start = buf.as_ptr().add(at);
        (_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast()))
    };
    let bits = |block| _mm256_movemask_epi8(_mm256_cmpeq_epi8(block, quote)) as u32;
    u64::from(bits(low)) | u64::from(bits(high)) << 32
}

#[target_feature(enable = "avx2,bmi1")]
fn avx2(
    buf: &[u8],
    len: usize,
    mut at: usize,
    price: &Column,
    qty: &Column,
    mut push: impl FnMut(Ticks, Lots) -> bool,
) -> Option<usize> {
    let constants = pair(price, qty);
    while at < len {
        let mut quotes = quotes_avx2(buf, at);
        let level = marks(&mut quotes)?;
        let next = well_formed(buf, len, at, level)?;
        let (ticks, lots) = single(buf, at, level, price, qty, &constants)?;
        if !push(ticks, lots) {
            return None;
        }
        at += level.qty_end + 3;
        match next {
            b',' => {}
            b']' => return Some(at),
            _ => return None,
        }
    }
    None
}

/// Two levels of one window at a time; what is left over goes through the narrower code.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1")]
fn avx512(
    buf: &[u8],
    len: usize,
    mut at: usize,
    price: &Column,
    qty: &Column,
    mut push: impl FnMut(Ticks, Lots) -> bool,
) -> Option<usize> {
    let one = pair(price, qty);
    let pattern = _mm512_broadcast_i64x4(one.pattern);
    let limit = _mm512_broadcast_i64x4(one.limit);
    let shuffle = _mm512_broadcast_i64x4(one.shuffle);
    while at < len {
        assert!(at + SPARE <= buf.len());
        // SAFETY: 64 bytes from `at` are inside `buf`.
        let window = unsafe { _mm512_loadu_si512(buf.as_ptr().add(at).cast()) };
        let mut quotes = _mm512_cmpeq_epi8_mask(window, _mm512_set1_epi8(b'"' as i8));
        let first = marks(&mut quotes)?;
        let between = well_formed(buf, len, at, first)?;
        let second_at = at + first.qty_end + 3;
        let second = if between == b',' { marks(&mut quotes) } else { None };
        let Some(second) = second else {
            // The last of an odd count, or a level too long for two to a window.
            let (ticks, lots) = single(buf, at, first, price, qty, &one)?;
            if !push(ticks, lots) {
                return None;
            }
            at = second_at;
            match between {
                b',' => continue,
                b']' => return Some(at),
                _ => return None,
            }
        };
        let shift = first.qty_end + 3;
        let second =
            Marks { price_end: second.price_end.checked_sub(shift)?, qty_end: second.qty_end.checked_sub(shift)? };
        let next = well_formed(buf, len, second_at, second)?;
        let (price_len, qty_len) = lengths(first, price, qty)?;
        let (price_len2, qty_len2) = lengths(second, price, qty)?;
        let text = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(buf, at, first)), load(buf, second_at, second));
        let tail = |len: usize| (0xffff_u64 << (TEXT_MAX - len)) & 0xffff;
        let live = tail(price_len) | tail(qty_len) << 16 | tail(price_len2) << 32 | tail(qty_len2) << 48;
        let values = _mm512_maskz_mov_epi8(live, _mm512_xor_si512(text, pattern));
        if _mm512_cmpgt_epu8_mask(values, limit) != 0 {
            return None;
        }
        let pairs = _mm512_maddubs_epi16(_mm512_shuffle_epi8(values, shuffle), _mm512_set1_epi16(0x010a));
        let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_0064));
        let halves = _mm512_madd_epi16(_mm512_packus_epi32(fours, fours), _mm512_set1_epi32(0x0001_2710));
        let low = _mm512_castsi512_si256(halves);
        let high = _mm512_extracti64x4_epi64::<1>(halves);
        let ticks = price.steps(digits(_mm256_extract_epi64::<0>(low) as u64))?;
        let lots = qty.steps(digits(_mm256_extract_epi64::<2>(low) as u64))?;
        let ticks2 = price.steps(digits(_mm256_extract_epi64::<0>(high) as u64))?;
        let lots2 = qty.steps(digits(_mm256_extract_epi64::<2>(high) as u64))?;
        if !push(Ticks(ticks), Lots(lots)) || !push(Ticks(ticks2), Lots(lots2)) {
            return None;
        }
        at = second_at + second.qty_end + 3;
        match next {
            b',' => {}
            b']' => return Some(at),
            _ => return None,
        }
    }
    None
}

/// Ticks and lots of one level.
#[inline]
#[target_feature(enable = "avx2,bmi1")]
fn single(
    buf: &[u8],
    at: usize,
    level: Marks,
    price: &Column,
    qty: &Column,
    constants: &Pair,
) -> Option<(Ticks, Lots)> {
    let (price_len, qty_len) = lengths(level, price, qty)?;
    let text = _mm256_xor_si256(load(buf, at, level), constants.pattern);
    let values = _mm256_and_si256(text, tail_mask(price_len, qty_len));
    let beyond = _mm256_subs_epu8(values, constants.limit);
    if _mm256_testz_si256(beyond, beyond) == 0 {
        return None;
    }
    let halves = convert(_mm256_shuffle_epi8(values, constants.shuffle));
    let ticks = price.steps(digits(_mm256_extract_epi64::<0>(halves) as u64))?;
    let lots = qty.steps(digits(_mm256_extract_epi64::<2>(halves) as u64))?;
    Some((Ticks(ticks), Lots(lots)))
}

/// See [`super::Scanner::levels`]. The caller has checked that the machine has AVX2 and BMI1.
#[inline]
pub(super) fn levels_avx2(
    buf: &[u8],
    len: usize,
    at: usize,
    price: &Column,
    qty: &Column,
    push: impl FnMut(Ticks, Lots) -> bool,
) -> Option<usize> {
    // SAFETY: `Scanner` only holds a kernel that this machine can run.
    unsafe { avx2(buf, len, at, price, qty, push) }
}

/// See [`super::Scanner::levels`]. The caller has checked that the machine has AVX-512 F, BW and VL.
#[inline]
pub(super) fn levels_avx512(
    buf: &[u8],
    len: usize,
    at: usize,
    price: &Column,
    qty: &Column,
    push: impl FnMut(Ticks, Lots) -> bool,
) -> Option<usize> {
    // SAFETY: `Scanner` only holds a kernel that this machine can run.
    unsafe { avx512(buf, len, at, price, qty, push) }
}
