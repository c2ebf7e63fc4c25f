//! The level scanner on AVX2 and AVX-512: quotes are found as bits of a 64-byte mask, a level's two numbers are converted at once.
#![allow(unsafe_code)] // Vector loads through pointers; every offset is checked against the slice before it.

use super::column::{Column, TEXT_MAX};
use super::{LevelSink, QUOTE_KEYS, SPARE};
use crate::unit::{Lots, Ticks};
use std::arch::x86_64::*;

/// Behind the text of a level that is not the last one, up to the next level's first quote.
const BETWEEN: u64 = u64::from_le_bytes(*b"\"],[\"\0\0\0");
const BETWEEN_MASK: u64 = (1 << 40) - 1;
/// Behind the last one.
const END: u32 = u32::from_le_bytes(*b"\"]]\0");
const MIDDLE: u32 = u32::from_le_bytes(*b"\",\"\0");
const OPEN: u32 = u32::from_le_bytes(*b"[\"\0\0");
const THREE_BYTES: u32 = 0x00ff_ffff;

#[inline(always)]
fn word(buf: &[u8], at: usize) -> u32 {
    assert!(at <= buf.len().wrapping_sub(4) && buf.len() >= SPARE);
    // SAFETY: four bytes from `at` are inside `buf`.
    unsafe { buf.as_ptr().add(at).cast::<u32>().read_unaligned() }
}

#[inline(always)]
fn long(buf: &[u8], at: usize) -> u64 {
    assert!(at <= buf.len().wrapping_sub(8) && buf.len() >= SPARE);
    // SAFETY: eight bytes from `at` are inside `buf`.
    unsafe { buf.as_ptr().add(at).cast::<u64>().read_unaligned() }
}

/// The same number, but the compiler does not know that: what is computed from it does not wait for what it was compared with.
#[inline(always)]
fn forecast(guess: usize) -> usize {
    let mut value = guess;
    // SAFETY: no instruction is executed.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The place `step` behind `at`. Levels are mostly of one length: where it is the last one again, the processor goes on with that
/// instead of waiting for the window that said so.
#[inline(always)]
fn advance(at: usize, step: usize, guess: &mut usize) -> usize {
    // Never beyond the document, so nothing can overflow.
    if step == *guess {
        at.wrapping_add(forecast(*guess))
    } else {
        *guess = step;
        at.wrapping_add(step)
    }
}

/// Offsets of a level's second and fourth quote, and the quotes behind them. All zero bits where one is missing.
#[inline(always)]
fn marks(quotes: u64) -> (usize, usize, u64) {
    let drop = |bits: u64| bits & bits.wrapping_sub(1);
    let price_end = drop(quotes);
    let qty_end = drop(drop(price_end));
    (price_end.trailing_zeros() as usize, qty_end.trailing_zeros() as usize, drop(qty_end))
}

/// Least lengths of the two numbers, and how much longer they may be.
#[derive(Clone, Copy)]
struct Least {
    price: usize,
    qty: usize,
    price_more: usize,
    qty_more: usize,
}

impl Least {
    fn of(price: &Column, qty: &Column) -> Self {
        let (price, qty) = (price.text_min(), qty.text_min());
        Self { price, qty, price_more: TEXT_MAX - price, qty_more: TEXT_MAX - qty }
    }

    /// Both lengths are from their least to [`TEXT_MAX`]; a length that wrapped below zero is not.
    #[inline(always)]
    const fn allows(&self, lens: [usize; 2]) -> bool {
        (lens[0].wrapping_sub(self.price) <= self.price_more) & (lens[1].wrapping_sub(self.qty) <= self.qty_more)
    }
}

/// 32-byte constants of a pair of columns: price in the low lane, quantity in the high one.
#[derive(Clone, Copy)]
struct Pair {
    pattern: __m256i,
    limit: __m256i,
    shuffle: __m256i,
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
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

/// Loads the 16 bytes before each end: two numbers, each right-aligned in its lane.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn load(buf: &[u8], price_end: usize, qty_end: usize) -> __m256i {
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
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn tail_mask(price_len: usize, qty_len: usize) -> __m256i {
    assert!(price_len <= 16 && qty_len <= 16);
    // SAFETY: offsets of at most 16 leave 16 bytes of the 32.
    unsafe {
        let start = TAIL.as_ptr();
        _mm256_loadu2_m128i(start.add(qty_len).cast(), start.add(price_len).cast())
    }
}

/// Bit i is set when byte i of the 32-byte window is a quote.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn quotes(buf: &[u8], at: usize) -> u64 {
    assert!(at <= buf.len().wrapping_sub(32) && buf.len() >= SPARE);
    // SAFETY: 32 bytes from `at` are inside `buf`.
    let block = unsafe { _mm256_loadu_si256(buf.as_ptr().add(at).cast()) };
    u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'"' as i8))) as u32)
}

/// Two numbers of the columns, by their ends and lengths (at most 16).
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn numbers(buf: &[u8], ends: [usize; 2], lens: [usize; 2], constants: &Pair) -> Option<[u64; 2]> {
    let text = _mm256_sub_epi8(load(buf, ends[0], ends[1]), constants.pattern);
    let values = _mm256_and_si256(text, tail_mask(lens[0], lens[1]));
    let beyond = _mm256_subs_epu8(values, constants.limit);
    if _mm256_testz_si256(beyond, beyond) == 0 {
        return None;
    }
    // Digits to pairs, fours and eights; the first eight are worth 10^8 each.
    let pairs = _mm256_maddubs_epi16(_mm256_shuffle_epi8(values, constants.shuffle), _mm256_set1_epi16(0x010a));
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x0001_0064));
    let eights = _mm256_madd_epi16(_mm256_packus_epi32(fours, fours), _mm256_set1_epi32(0x0001_2710));
    let high = _mm256_mul_epu32(eights, _mm256_set1_epi64x(100_000_000));
    let sums = _mm256_add_epi64(high, _mm256_srli_epi64::<32>(eights));
    Some([_mm256_extract_epi64::<0>(sums) as u64, _mm256_extract_epi64::<2>(sums) as u64])
}

/// Digits to steps of both columns. `PLAIN`: they are the same.
#[inline(always)]
fn level<const PLAIN: bool>([ticks, lots]: [u64; 2], price: &Column, qty: &Column) -> Option<(Ticks, Lots)> {
    if PLAIN {
        // Sixteen digits fit.
        return Some((Ticks(ticks.cast_signed()), Lots(lots.cast_signed())));
    }
    Some((Ticks(price.steps(ticks)?), Lots(qty.steps(lots)?)))
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn avx2<const PLAIN: bool>(
    buf: &[u8],
    len: usize,
    mut at: usize,
    price: &Column,
    qty: &Column,
    sink: &mut impl LevelSink,
) -> Option<usize> {
    let (constants, least) = (pair(price, qty), Least::of(price, qty));
    if (word(buf, at) ^ OPEN) & 0xffff != 0 {
        return None;
    }
    let mut guess = 0;
    while at < len {
        let mut found = quotes(buf, at);
        let (mut price_end, mut qty_end, _) = marks(found);
        if qty_end >= 32 {
            // A level with a long number.
            found |= quotes(buf, at + 32) << 32;
            (price_end, qty_end, _) = marks(found);
        }
        let lens = [price_end.wrapping_sub(2), qty_end.wrapping_sub(price_end + 3)];
        let ends = [at.wrapping_add(price_end), at.wrapping_add(qty_end)];
        if (qty_end >= 64) | (found & 2 == 0) | !least.allows(lens) | (ends[1].wrapping_add(2) >= len) {
            return None;
        }
        if (word(buf, ends[0]) ^ MIDDLE) & THREE_BYTES != 0 {
            return None;
        }
        let (ticks, lots) = level::<PLAIN>(numbers(buf, ends, lens, &constants)?, price, qty)?;
        if !sink.push(ticks, lots) {
            return None;
        }
        if (long(buf, ends[1]) ^ BETWEEN) & BETWEEN_MASK != 0 {
            return ((word(buf, ends[1]) ^ END) & THREE_BYTES == 0).then_some(ends[1] + 3);
        }
        at = advance(at, qty_end + 3, &mut guess);
    }
    None
}

/// Two levels of one window at a time; what is left over goes through the narrower code.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi1,bmi2")]
fn avx512<const PLAIN: bool>(
    buf: &[u8],
    len: usize,
    mut at: usize,
    price: &Column,
    qty: &Column,
    sink: &mut impl LevelSink,
) -> Option<usize> {
    let (one, least) = (pair(price, qty), Least::of(price, qty));
    let pattern = _mm512_broadcast_i64x4(one.pattern);
    let limit = _mm512_broadcast_i64x4(one.limit);
    let shuffle = _mm512_broadcast_i64x4(one.shuffle);
    if (word(buf, at) ^ OPEN) & 0xffff != 0 {
        return None;
    }
    let mut guess = 0;
    while at < len {
        assert!(at <= buf.len().wrapping_sub(SPARE) && buf.len() >= SPARE);
        // SAFETY: 64 bytes from `at` are inside `buf`.
        let window = unsafe { _mm512_loadu_si512(buf.as_ptr().add(at).cast()) };
        let found = _mm512_cmpeq_epi8_mask(window, _mm512_set1_epi8(b'"' as i8));
        let (price_end, qty_end, rest) = marks(found);
        let (price_end2, qty_end2, _) = marks(rest);
        let lens = [price_end.wrapping_sub(2), qty_end.wrapping_sub(price_end + 3)];
        let ends = [at.wrapping_add(price_end), at.wrapping_add(qty_end)];
        if (qty_end >= 64) | (found & 2 == 0) | !least.allows(lens) | (ends[1].wrapping_add(2) >= len) {
            return None;
        }
        if (word(buf, ends[0]) ^ MIDDLE) & THREE_BYTES != 0 {
            return None;
        }
        let more = (long(buf, ends[1]) ^ BETWEEN) & BETWEEN_MASK == 0;
        if !more | (qty_end2 >= 64) | (at.wrapping_add(qty_end2 + 2) >= len) {
            // The last of an odd count, or a level too long for two to a window.
            let (ticks, lots) = level::<PLAIN>(numbers(buf, ends, lens, &one)?, price, qty)?;
            if !sink.push(ticks, lots) {
                return None;
            }
            if !more {
                return ((word(buf, ends[1]) ^ END) & THREE_BYTES == 0).then_some(ends[1] + 3);
            }
            at += qty_end + 3;
            continue;
        }
        let lens2 = [price_end2.wrapping_sub(qty_end + 5), qty_end2.wrapping_sub(price_end2 + 3)];
        let ends2 = [at.wrapping_add(price_end2), at.wrapping_add(qty_end2)];
        let middle = (word(buf, ends2[0]) ^ MIDDLE) & THREE_BYTES;
        if (middle != 0) | !least.allows(lens2) {
            return None;
        }
        let text =
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(buf, ends[0], ends[1])), load(buf, ends2[0], ends2[1]));
        // The last `len` of sixteen bytes.
        let tail = |len: usize| u64::from((0xffff_0000_u32 >> len) as u16);
        let live = tail(lens[0]) | tail(lens[1]) << 16 | tail(lens2[0]) << 32 | tail(lens2[1]) << 48;
        let values = _mm512_maskz_sub_epi8(live, text, pattern);
        if _mm512_cmpgt_epu8_mask(values, limit) != 0 {
            return None;
        }
        // As in `numbers`.
        let pairs = _mm512_maddubs_epi16(_mm512_shuffle_epi8(values, shuffle), _mm512_set1_epi16(0x010a));
        let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_0064));
        let eights = _mm512_madd_epi16(_mm512_packus_epi32(fours, fours), _mm512_set1_epi32(0x0001_2710));
        let high = _mm512_mul_epu32(eights, _mm512_set1_epi64(100_000_000));
        let sums = _mm512_add_epi64(high, _mm512_srli_epi64::<32>(eights));
        let order = _mm512_setr_epi64(0, 2, 4, 6, 0, 0, 0, 0);
        let packed = _mm512_castsi512_si256(_mm512_permutexvar_epi64(order, sums));
        let mut two = [0_i64; 4];
        // SAFETY: the array is 32 bytes long and an unaligned store is used.
        unsafe { _mm256_storeu_si256(two.as_mut_ptr().cast(), packed) };
        if !PLAIN {
            for (column, value) in [price, qty, price, qty].into_iter().zip(&mut two) {
                *value = column.steps(value.cast_unsigned())?;
            }
        }
        if !sink.push_two(two) {
            return None;
        }
        if (long(buf, ends2[1]) ^ BETWEEN) & BETWEEN_MASK != 0 {
            return ((word(buf, ends2[1]) ^ END) & THREE_BYTES == 0).then_some(ends2[1] + 3);
        }
        at = advance(at, qty_end2 + 3, &mut guess);
    }
    None
}

/// See [`super::Scanner::quote`].
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn quote(buf: &[u8], at: usize, price: &Column, qty: &Column) -> Option<([i64; 4], usize)> {
    let found = quotes(buf, at) | quotes(buf, at + 32) << 32;
    // Of the sixteen quotes every fourth ends a number. One after the other is dropped: `pdep` takes more than a hundred cycles on
    // processors that have it in microcode.
    let mut rest = found;
    let mut end = |quotes: usize| {
        for _ in 0..quotes {
            rest &= rest.wrapping_sub(1);
        }
        rest.trailing_zeros() as usize
    };
    let ends = [end(3), end(4), end(4), end(4)];
    if ends[3] >= 64 {
        return None;
    }
    const KEYS: [u64; 4] = [
        u64::from_le_bytes(*QUOTE_KEYS[0]),
        u64::from_le_bytes(*QUOTE_KEYS[1]),
        u64::from_le_bytes(*QUOTE_KEYS[2]),
        u64::from_le_bytes(*QUOTE_KEYS[3]),
    ];
    let differs = ((long(buf, at) ^ KEYS[0]) << 24)
        | ((long(buf, at + ends[0]) ^ KEYS[1]) << 8)
        | ((long(buf, at + ends[1]) ^ KEYS[2]) << 8)
        | ((long(buf, at + ends[2]) ^ KEYS[3]) << 8);
    let least = Least::of(price, qty);
    let lens = [
        ends[0].wrapping_sub(5),
        ends[1].wrapping_sub(ends[0] + 7),
        ends[2].wrapping_sub(ends[1] + 7),
        ends[3].wrapping_sub(ends[2] + 7),
    ];
    let right = least.allows([lens[0], lens[1]]) & least.allows([lens[2], lens[3]]);
    if differs != 0 || !right {
        return None;
    }
    let constants = pair(price, qty);
    let ends = ends.map(|end| at + end);
    let [bid, bid_qty] = numbers(buf, [ends[0], ends[1]], [lens[0], lens[1]], &constants)?;
    let [ask, ask_qty] = numbers(buf, [ends[2], ends[3]], [lens[2], lens[3]], &constants)?;
    let numbers = [price.steps(bid)?, qty.steps(bid_qty)?, price.steps(ask)?, qty.steps(ask_qty)?];
    Some((numbers, ends[3] + 1))
}

/// See [`super::Scanner::quote`]; `at` is at least 16 and in the document. The caller has checked that the machine has AVX2, BMI1 and BMI2.
#[inline]
pub(super) fn quote_avx2(buf: &[u8], at: usize, price: &Column, qty: &Column) -> Option<([i64; 4], usize)> {
    // SAFETY: `Scanner` only holds a kernel that this machine can run.
    unsafe { quote(buf, at, price, qty) }
}

/// See [`super::Scanner::levels`]. The caller has checked that the machine has AVX2, BMI1 and BMI2.
#[inline]
pub(super) fn levels_avx2(
    buf: &[u8],
    len: usize,
    at: usize,
    price: &Column,
    qty: &Column,
    sink: &mut impl LevelSink,
) -> Option<usize> {
    // SAFETY: `Scanner` only holds a kernel that this machine can run.
    unsafe {
        if price.is_plain() && qty.is_plain() {
            avx2::<true>(buf, len, at, price, qty, sink)
        } else {
            avx2::<false>(buf, len, at, price, qty, sink)
        }
    }
}

/// See [`super::Scanner::levels`]. The caller has checked that the machine has AVX-512 F, BW and VL, and what AVX2 takes.
#[inline]
pub(super) fn levels_avx512(
    buf: &[u8],
    len: usize,
    at: usize,
    price: &Column,
    qty: &Column,
    sink: &mut impl LevelSink,
) -> Option<usize> {
    // SAFETY: `Scanner` only holds a kernel that this machine can run.
    unsafe {
        if price.is_plain() && qty.is_plain() {
            avx512::<true>(buf, len, at, price, qty, sink)
        } else {
            avx512::<false>(buf, len, at, price, qty, sink)
        }
    }
}
