//! Best quotes by their form: the text between the numbers of a stream's frames, and how long the numbers are, as they were in an
//! earlier frame. Where both are so again every number has its place at once, and nothing is read from left to right.
//! Answers `None` for any other frame; never decides that a frame is wrong.

use super::market::{Cursor, MILLIS_MAX, Market, millis};
use crate::event::{BestQuote, Level};
use crate::instrument::InstrumentId;
use crate::unit::{Lots, Seq, Ticks};
use crate::wire::simd::eight_digits;

/// The eight bytes from `at` on.
#[inline(always)]
fn word(buf: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*buf.get(at..)?.first_chunk()?))
}

/// Not zero where the bytes from `at` on are not `text`.
#[inline(always)]
fn differs<const N: usize>(buf: &[u8], at: usize, text: &[u8; N]) -> Option<u64> {
    const { assert!(N < 8) };
    let mut known = [0; 8];
    known[..N].copy_from_slice(text);
    Some((word(buf, at)? ^ u64::from_le_bytes(known)) << (64 - 8 * N))
}

/// A text of at most `8 * N` bytes that is compared a word at a time.
#[derive(Clone, Copy)]
pub(super) struct Text<const N: usize> {
    words: [u64; N],
    /// The bytes that belong to it.
    masks: [u64; N],
    pub(super) len: usize,
}

impl<const N: usize> Text<N> {
    /// Nothing: every text begins with it.
    pub(super) const NONE: Self = Self { words: [0; N], masks: [0; N], len: 0 };

    /// `None` where the text is too long.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        if text.len() > 8 * N {
            return None;
        }
        let mut known = Self { len: text.len(), ..Self::NONE };
        for (at, bytes) in text.chunks(8).enumerate() {
            let (mut word, mut mask) = ([0; 8], [0; 8]);
            word[..bytes.len()].copy_from_slice(bytes);
            mask[..bytes.len()].fill(0xff);
            (known.words[at], known.masks[at]) = (u64::from_le_bytes(word), u64::from_le_bytes(mask));
        }
        Some(known)
    }

    /// Not zero where the bytes from `at` on are not this text. `None` where there are less than `8 * N`.
    #[inline(always)]
    pub(super) fn differs(&self, buf: &[u8], at: usize) -> Option<u64> {
        let words: &[[u8; 8]; N] = buf.get(at..)?.as_chunks().0.first_chunk()?;
        Some(
            (0..N).fold(0, |sum, word| sum | ((u64::from_le_bytes(words[word]) ^ self.words[word]) & self.masks[word])),
        )
    }
}

/// A whole number of a known length, as the sixteen bytes that end with it.
#[derive(Clone, Copy)]
struct Digits {
    len: usize,
    /// The bytes that belong to it.
    masks: [u64; 2],
    /// Its least value: what is less begins with a zero.
    least: u64,
}

impl Digits {
    /// `len` digits, 2 to 16.
    const fn of(len: usize) -> Self {
        let mask = u128::MAX << (8 * (16 - len));
        Self { len, masks: [mask as u64, (mask >> 64) as u64], least: 10_u64.pow(len as u32 - 1) }
    }

    fn of_len(len: usize) -> Option<Self> {
        (2..=16).contains(&len).then(|| Self::of(len))
    }

    /// The values of its bytes, and not zero in the high half of a byte where they are no digits.
    #[inline(always)]
    fn read(&self, buf: &[u8], end: usize) -> Option<([u64; 2], u64)> {
        const ZEROS: u64 = 0x3030_3030_3030_3030;
        const SIX: u64 = 0x0606_0606_0606_0606;
        let high = (word(buf, end.wrapping_sub(16))? ^ ZEROS) & self.masks[0];
        let low = (word(buf, end.wrapping_sub(8))? ^ ZEROS) & self.masks[1];
        // A carry out of a byte needs a high nibble in it, which is refused anyway.
        Some(([high, low], high | high.wrapping_add(SIX) | low | low.wrapping_add(SIX)))
    }
}

/// Behind [`Digits::read`].
const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;

#[inline(always)]
const fn value([high, low]: [u64; 2]) -> u64 {
    eight_digits(high).wrapping_mul(100_000_000).wrapping_add(eight_digits(low))
}

/// Times in ms from 2001 to 2286.
const TIME: Digits = Digits::of(13);

/// How many bytes there are from `at` on before a quote, at most 15.
#[inline(always)]
fn quote(buf: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The lowest mark is right; higher ones may be wrong.
    let marks = |word: u64| {
        let others = word ^ (ONES * b'"' as u64);
        others.wrapping_sub(ONES) & !others & (ONES << 7)
    };
    let near = marks(word(buf, at)?);
    if near != 0 {
        return Some(near.trailing_zeros() as usize / 8);
    }
    let far = marks(word(buf, at.wrapping_add(8))?);
    (far != 0).then(|| 8 + far.trailing_zeros() as usize / 8)
}

/// What is the same in the frames of a stream behind their opening, which ends before the update id.
#[derive(Clone, Copy)]
pub(super) struct QuoteForm {
    id: Digits,
    /// From the update id to the first price: `,"s":"<symbol>","b":"`, and the pair that 2026 frames add.
    middle: Text<8>,
    instrument: InstrumentId,
    price_len: usize,
    /// From the last time to the end.
    tail: Text<2>,
}

impl QuoteForm {
    /// No frame has it.
    pub(super) const NONE: Self =
        Self { id: TIME, middle: Text::NONE, instrument: InstrumentId(0), price_len: 0, tail: Text::NONE };

    /// The form of a frame of `instrument` that was read from left to right, its opening ending at `at`. `None` where its texts or
    /// numbers are longer than a form holds.
    #[cold]
    pub(super) fn of(buf: &[u8], len: usize, at: usize, instrument: InstrumentId) -> Option<Self> {
        let mut cursor = Cursor { buf, len, at };
        cursor.number()?;
        let id_end = cursor.at;
        cursor.take(b",\"s\":\"")?;
        cursor.string()?;
        if cursor.take(b",\"ps\":\"").is_some() {
            cursor.string()?;
        }
        cursor.take(b",\"b\":\"")?;
        let middle = Text::of(&buf[id_end..cursor.at])?;
        let price_len = cursor.string()?.len();
        cursor.take(b",\"B\":\"")?;
        cursor.string()?;
        cursor.take(b",\"a\":\"")?;
        cursor.string()?;
        cursor.take(b",\"A\":\"")?;
        cursor.string()?;
        cursor.take(b",\"T\":")?;
        cursor.number()?;
        cursor.take(b",\"E\":")?;
        cursor.number()?;
        let tail = Text::of(buf.get(cursor.at..len)?)?;
        let id = Digits::of_len(id_end - at)?;
        Some(Self { id, middle, instrument, price_len, tail })
    }

    /// The quote in `buf[..len]` whose opening ends at `at`, if it has this form.
    #[inline(always)]
    pub(super) fn read(&self, buf: &[u8], len: usize, at: usize, markets: &[Market]) -> Option<BestQuote> {
        let market = markets.get(usize::from(self.instrument.0))?;
        let id_end = at + self.id.len;
        let bid_at = id_end + self.middle.len;
        let bid_end = bid_at + self.price_len;
        let bid_qty_at = bid_end + 7;
        let bid_qty_end = bid_qty_at + quote(buf, bid_qty_at)?;
        let ask_at = bid_qty_end + 7;
        let ask_end = ask_at + self.price_len;
        let ask_qty_at = ask_end + 7;
        let ask_qty_end = ask_qty_at + quote(buf, ask_qty_at)?;
        let time_end = ask_qty_end + 6 + TIME.len;
        let sent_end = time_end + 5 + TIME.len;
        if sent_end + self.tail.len != len {
            return None;
        }
        let (id, bad_id) = self.id.read(buf, id_end)?;
        let (time, bad_time) = TIME.read(buf, time_end)?;
        let (sent, bad_sent) = TIME.read(buf, sent_end)?;
        let differs = self.middle.differs(buf, id_end)?
            | differs(buf, bid_end, b"\",\"B\":\"")?
            | differs(buf, bid_qty_end, b"\",\"a\":\"")?
            | differs(buf, ask_end, b"\",\"A\":\"")?
            | differs(buf, ask_qty_end, b"\",\"T\":")?
            | differs(buf, time_end, b",\"E\":")?
            | self.tail.differs(buf, sent_end)?;
        let (id, time) = (value(id), value(time));
        // The first of thirteen digits is the fourth of the first eight bytes.
        let sent_begins = sent[0] & 0xff00_0000 != 0;
        let right = (id >= self.id.least) & (TIME.least..=MILLIS_MAX).contains(&time) & sent_begins;
        if differs | ((bad_id | bad_time | bad_sent) & HIGH) != 0 || !right {
            return None;
        }
        let [bid, ask] = market.price.count_two(buf, [bid_at..bid_end, ask_at..ask_end])?;
        let [bid_qty, ask_qty] = market.qty.count_two(buf, [bid_qty_at..bid_qty_end, ask_qty_at..ask_qty_end])?;
        let bid = Level { price: Ticks(bid), qty: Lots(bid_qty) };
        let ask = Level { price: Ticks(ask), qty: Lots(ask_qty) };
        Some(BestQuote { instrument: self.instrument, seq: Seq(id), bid, ask, venue_time: millis(time) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::market::MarketDecoder;
    use super::*;
    use crate::instrument::Instrument;
    use crate::wire::simd::{Kernel, SPARE};
    use proptest::prelude::*;

    /// Update id, prices and quantities in steps, times, and what 2026 frames have besides.
    type Parts = (u64, [u32; 4], [u64; 2], bool);

    fn parts() -> impl Strategy<Value = Parts> {
        let id = prop_oneof![Just(0), 0_u64..1000, 5_123_107_839_020_u64..5_123_107_999_999, any::<u64>()];
        let count = || prop_oneof![4 => 1_000_u32..99_999, 1 => Just(0_u32), 1 => any::<u32>()];
        let time = prop_oneof![
            4 => 1_723_161_256_313_u64..1_723_161_999_999,
            1 => prop::sample::select(vec![0, 999_999_999_999, 9_223_372_036_854, 9_223_372_036_855, 10_000_000_000_000]),
        ];
        let price = || 600_000_u32..640_000;
        let counts =
            (price(), count(), price(), count()).prop_map(|(bid, bid_qty, ask, ask_qty)| [bid, bid_qty, ask, ask_qty]);
        (id, counts, [time.clone(), time], any::<bool>())
    }

    fn frame((id, [bid, bid_qty, ask, ask_qty], [time, sent], new): Parts) -> Vec<u8> {
        let price = |count: u32| format!("{}.{}0", count / 10, count % 10);
        let qty = |count: u32| format!("{}.{:03}", count / 1000, count % 1000);
        let (pair, kind) = if new { (",\"ps\":\"BTCUSDT\"", ",\"st\":1") } else { ("", "") };
        format!(
            "{{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"e\":\"bookTicker\",\"u\":{id},\"s\":\"BTCUSDT\"{pair},\"b\":\"{}\",\
             \"B\":\"{}\",\"a\":\"{}\",\"A\":\"{}\",\"T\":{time},\"E\":{sent}{kind}}}}}",
            price(bid),
            qty(bid_qty),
            price(ask),
            qty(ask_qty)
        )
        .into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The general path reads every frame from nothing; the other decoder has read all frames before.
        #[test]
        fn a_known_form_reads_what_the_general_path_reads(
            frames in prop::collection::vec(
                (parts(), prop::option::of((0..220_usize, prop::sample::select(b"\"0:9.,}{e- /".to_vec())))),
                1..40,
            ),
        ) {
            let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
            let decoder = |kernel| MarketDecoder::with_kernel(std::slice::from_ref(&instrument), kernel);
            let (mut used, mut general) = (decoder(Some(Kernel::Portable)), decoder(None));
            for (parts, bite) in frames {
                let mut document = frame(parts);
                if let Some((at, byte)) = bite.filter(|(at, _)| *at < document.len()) {
                    document[at] = byte;
                }
                let len = document.len();
                document.resize(len + SPARE, b'0');
                let mut copy = document.clone();
                let expected = format!("{:?}", general.decode(&mut copy, len));
                prop_assert_eq!(format!("{:?}", used.decode(&mut document, len)), expected);
            }
        }
    }

    #[test]
    fn numbers_of_any_length_have_the_form_and_other_text_has_not() {
        let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mut markets = [Market::of(&instrument)];
        markets[0].price.learn(b"61800.20");
        let padded = |parts| {
            let mut document = frame(parts);
            let len = document.len();
            document.resize(len + SPARE, b'"');
            (document, len)
        };
        let of = |qty, time, new| (5_123_107_839_020, [618_002, qty, 618_003, 5_000], [time; 2], new);
        let (known, len) = padded(of(1_000, 1_723_161_256_313, true));
        let at = "{'stream':'btcusdt@bookTicker','data':{'e':'bookTicker','u':".len();
        let form = QuoteForm::of(&known, len, at, InstrumentId(0)).unwrap();
        for qty in [0, 1_000, 999_999, 12_345_678, u32::MAX] {
            let (other, len) = padded(of(qty, 1_800_000_000_000, true));
            let quote = form.read(&other, len, at, &markets).unwrap();
            assert_eq!(
                (quote.seq, quote.bid.qty, quote.venue_time.0),
                (Seq(5_123_107_839_020), Lots(i64::from(qty)), 1_800_000_000_000_000_000)
            );
        }
        for (other, len) in
            [padded(of(1_000, 1, true)), padded(of(1_000, 1_723_161_256_313, false)), (known.clone(), len - 1)]
        {
            assert_eq!(form.read(&other, len, at, &markets), None);
        }
    }
}
