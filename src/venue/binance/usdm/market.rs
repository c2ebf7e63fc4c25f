//! Market frames to events. The three frequent ones (depth, bookTicker, trade) are read by scanners bound to the venue's exact
//! form; whatever they do not recognise, byte for byte, goes through the general JSON path, which also names the faults.
//! Never keeps a book and never checks sequences.

use super::fields::{Json, integer_u64, text, unsigned_millis};
use super::quote_form::{QuoteForm, Text};
use super::symbols::Symbols;
use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Level, MarkPrice, Side, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Price, Rate, Seq, Step, Ticks};
use crate::venue::codec::{DecodeError, LevelBuf, MarketCodec, MarketMessage};
use crate::wire::simd::{Column, Kernel, SPARE, Scanner, eight_digits};
use simd_json::prelude::*;
use simd_json::tape;

/// Most levels in one message, both sides together. Largest recorded diff: 1,226; largest snapshot: 2,000.
pub const LEVELS_MAX: usize = 8_192;
/// Longest message. A level takes about 24 bytes.
pub const FRAME_MAX: usize = 1 << 17;

/// How messages were decoded since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the scanners.
    pub scanned: u64,
    /// By the general JSON path.
    pub parsed: u64,
    /// Of those, of no concern.
    pub ignored: u64,
    /// Not understood.
    pub faults: u64,
}

/// What decoding one instrument's frames needs.
#[derive(Debug)]
pub(in crate::venue::binance) struct Market {
    tick: Step,
    lot: Step,
    pub(in crate::venue::binance) price: Column,
    pub(in crate::venue::binance) qty: Column,
}

/// Decodes the market streams of a set of instruments. Takes its memory at construction.
pub struct MarketDecoder {
    symbols: Symbols,
    markets: Vec<Market>,
    scanner: Option<Scanner>,
    openings: Openings,
    levels: LevelBuf,
    json: Json,
    counts: Counts,
}

/// What a scanner found; levels are in the level buffer.
enum Scanned {
    Depth { instrument: InstrumentId, first: u64, last: u64, prev: u64, time: u64 },
    Quote(BestQuote),
    Trade(Trade),
    OtherTrade,
}

impl MarketDecoder {
    /// A decoder on the fastest scanner of this machine.
    #[must_use]
    pub fn new(instruments: &[Instrument]) -> Self {
        Self::with_kernel(instruments, Some(Kernel::detect()))
    }

    /// A decoder on a named scanner, or without one (every message goes through the general path): for tests and benches.
    #[must_use]
    pub fn with_kernel(instruments: &[Instrument], kernel: Option<Kernel>) -> Self {
        Self {
            symbols: Symbols::new(instruments),
            markets: instruments.iter().map(Market::of).collect(),
            scanner: kernel.map(Scanner::new),
            openings: Openings::new(),
            levels: LevelBuf::new(LEVELS_MAX),
            json: Json::new(FRAME_MAX),
            counts: Counts::default(),
        }
    }

    /// How messages were decoded so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// `buf[..len]` is one JSON document (combined envelope or bare); `buf.len() >= len + 64`. May change the document in place
    /// (journal first), never bytes behind `len`.
    ///
    /// # Errors
    /// Any fault of the message, precisely; see [`DecodeError`].
    ///
    /// # Panics
    /// When the spare bytes are missing: a bug of the caller.
    #[inline]
    pub fn decode<'a>(&'a mut self, buf: &'a mut [u8], len: usize) -> Result<MarketMessage<'a>, DecodeError> {
        assert!(buf.len() >= len + SPARE, "a document of {len} bytes in a buffer of {} has no spare bytes", buf.len());
        if let Some(scanner) = self.scanner
            && let Some(found) =
                scan(scanner, &mut self.openings, &self.symbols, &mut self.markets, &mut self.levels, buf, len)
        {
            self.counts.scanned += 1;
            return Ok(match found {
                Scanned::Depth { instrument, first, last, prev, time } => {
                    MarketMessage::Event(Event::Depth(DepthUpdate {
                        instrument,
                        first: Seq(first),
                        last: Seq(last),
                        prev: Seq(prev),
                        venue_time: millis(time),
                        bids: self.levels.bids(),
                        asks: self.levels.asks(),
                    }))
                }
                Scanned::Quote(quote) => MarketMessage::Event(Event::Quote(quote)),
                Scanned::Trade(trade) => MarketMessage::Event(Event::Trade(trade)),
                Scanned::OtherTrade => {
                    self.counts.ignored += 1;
                    MarketMessage::Ignored
                }
            });
        }
        let (symbols, markets, levels) = (&self.symbols, &self.markets, &mut self.levels);
        let result = self.json.with(buf, len, |root| general(symbols, markets, levels, root));
        self.counts.parsed += 1;
        match result {
            Ok(Parsed::Depth { instrument, first, last, prev, time }) => {
                Ok(MarketMessage::Event(Event::Depth(DepthUpdate {
                    instrument,
                    first: Seq(first),
                    last: Seq(last),
                    prev: Seq(prev),
                    venue_time: time,
                    bids: self.levels.bids(),
                    asks: self.levels.asks(),
                })))
            }
            Ok(Parsed::Event(event)) => Ok(MarketMessage::Event(event)),
            Ok(Parsed::Response { id, code }) => Ok(MarketMessage::Response { id, code }),
            Ok(Parsed::Ignored) => {
                self.counts.ignored += 1;
                Ok(MarketMessage::Ignored)
            }
            Err(fault) => {
                self.counts.faults += 1;
                Err(fault)
            }
        }
    }

    /// The body of `GET /fapi/v1/depth`. Same rules as [`MarketDecoder::decode`].
    ///
    /// # Errors
    /// Any fault of the message, precisely.
    ///
    /// # Panics
    /// When the instrument is not one of the decoder's.
    pub fn decode_snapshot<'a>(
        &'a mut self,
        instrument: InstrumentId,
        body: &'a mut [u8],
        len: usize,
    ) -> Result<DepthSnapshot<'a>, DecodeError> {
        let (market, levels) = (&self.markets[usize::from(instrument.0)], &mut self.levels);
        let (last, venue_time) = self.json.with(body, len, |root| snapshot_body(root, market, levels))?;
        Ok(DepthSnapshot { instrument, last, venue_time, bids: self.levels.bids(), asks: self.levels.asks() })
    }
}

/// `lastUpdateId`, the time (zero where the answer carries none) and the levels of a REST snapshot.
pub(in crate::venue::binance) fn snapshot_body(
    root: tape::Value<'_, '_>,
    market: &Market,
    levels: &mut LevelBuf,
) -> Result<(Seq, Nanos), DecodeError> {
    let last = integer_u64(root, "lastUpdateId")?;
    let time = if root.contains_key("T") { unsigned_millis(root, "T")? } else { Nanos::ZERO };
    levels.clear();
    general_levels(root, "bids", market, levels)?;
    levels.end_bids();
    general_levels(root, "asks", market, levels)?;
    Ok((Seq(last), time))
}

impl MarketCodec for MarketDecoder {
    fn decode<'a>(&'a mut self, buf: &'a mut [u8], len: usize) -> Result<MarketMessage<'a>, DecodeError> {
        Self::decode(self, buf, len)
    }
    fn decode_snapshot<'a>(
        &'a mut self,
        instrument: InstrumentId,
        body: &'a mut [u8],
        len: usize,
    ) -> Result<DepthSnapshot<'a>, DecodeError> {
        Self::decode_snapshot(self, instrument, body, len)
    }
}

pub(in crate::venue::binance) const fn millis(time: u64) -> Nanos {
    // `Cursor::number` takes at most 18 digits; times beyond i64 nanoseconds are refused before.
    Nanos::from_millis(time as i64)
}

/// Largest time in ms that nanoseconds hold.
pub(super) const MILLIS_MAX: u64 = (i64::MAX / 1_000_000) as u64;

/// Offset of the first byte of eight that a plain string does not have: its closing quote, a backslash, a control character, or
/// anything but ASCII.
#[inline(always)]
const fn string_end(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let (quote, backslash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    // Each test may also mark bytes above one that it marks rightly, so the lowest mark of all is right.
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    let is_beyond = word.wrapping_add(ONES) | word;
    let marks = (is_quote | is_backslash | is_control | is_beyond) & HIGH;
    if marks == 0 { None } else { Some(marks.trailing_zeros() as usize / 8) }
}

/// How many digits the eight bytes begin with, and their value.
#[inline(always)]
fn leading_digits(bytes: [u8; 8]) -> (usize, u64) {
    const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let word = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    // No carry leaves its byte.
    let others = (word | ((word & LOW) + 0x0606_0606_0606_0606)) & !LOW;
    if others == 0 {
        return (8, eight_digits(word));
    }
    let digits = others.trailing_zeros() / 8;
    // Right-aligned behind zeros; none at all is a shift by 64.
    (digits as usize, eight_digits(word.checked_shl(64 - 8 * digits).unwrap_or(0)))
}

const POW10: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// What a frame is, by its `e`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Quote,
    Trade,
    Depth,
}

impl Form {
    /// The value of `e` and the key behind it.
    fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        match *cursor.buf.get(cursor.at)? {
            b'b' => cursor.take(b"bookTicker\",\"u\":").map(|()| Self::Quote),
            b't' => cursor.take(b"trade\",\"E\":").map(|()| Self::Trade),
            b'd' => cursor.take(b"depthUpdate\",\"E\":").map(|()| Self::Depth),
            _ => None,
        }
    }
}

/// The text before a frame's first number, as it was read before: it is the same in every frame of a stream.
#[derive(Clone, Copy)]
struct Opening {
    text: Text<12>,
    /// `None`: nothing is known here.
    form: Option<Form>,
    /// Of a stream of best quotes.
    quote: QuoteForm,
}

/// Openings by a hash of their stream's name; a newer one takes the place.
struct Openings(Box<[Opening; Self::PLACES]>);

impl Openings {
    const PLACES: usize = 256;
    /// Behind `{"stream":"`.
    const NAME: usize = 11;

    fn new() -> Self {
        Self(Box::new([Opening { text: Text::NONE, form: None, quote: QuoteForm::NONE }; Self::PLACES]))
    }

    #[inline(always)]
    fn place(buf: &[u8]) -> Option<usize> {
        let name: &[u8; 16] = buf.get(Self::NAME..Self::NAME + 16)?.try_into().ok()?;
        let word = u128::from_le_bytes(*name);
        let mixed = (word as u64 ^ ((word >> 64) as u64).rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some((mixed >> 56) as usize)
    }

    /// The opening that `buf` begins with, if it is known.
    #[inline(always)]
    fn find(&self, buf: &[u8]) -> Option<(&Opening, Form)> {
        let opening = &self.0[Self::place(buf)?];
        let form = opening.form?;
        (opening.text.differs(buf, 0)? == 0).then_some((opening, form))
    }

    /// Notes `buf[..len]`, unless it is too long.
    #[cold]
    fn learn(&mut self, buf: &[u8], len: usize, form: Form) {
        if let (Some(place), Some(text)) = (Self::place(buf), Text::of(&buf[..len])) {
            self.0[place] = Opening { text, form: Some(form), quote: QuoteForm::NONE };
        }
    }

    /// Notes the form of a best quote `buf[..len]` that was read, behind its opening.
    #[cold]
    fn learn_quote(&mut self, buf: &[u8], len: usize, instrument: InstrumentId) {
        let known = Self::place(buf).map(|place| &mut self.0[place]);
        if let Some(opening) = known.filter(|opening| opening.text.differs(buf, 0) == Some(0))
            && let Some(quote) = QuoteForm::of(buf, len, opening.text.len, instrument)
        {
            opening.quote = quote;
        }
    }
}

/// Reads the exact form of a frame from left to right.
pub(in crate::venue::binance) struct Cursor<'a> {
    pub(in crate::venue::binance) buf: &'a [u8],
    pub(in crate::venue::binance) len: usize,
    pub(in crate::venue::binance) at: usize,
}

impl<'a> Cursor<'a> {
    /// Takes `word` if it is next.
    #[inline(always)]
    pub(in crate::venue::binance) fn take<const N: usize>(&mut self, word: &[u8; N]) -> Option<()> {
        let next: &[u8; N] = self.buf.get(self.at..self.at + N)?.try_into().ok()?;
        if next != word {
            return None;
        }
        self.at += N;
        Some(())
    }

    /// Steps into the combined envelope; false for a bare document.
    #[inline(always)]
    pub(in crate::venue::binance) fn envelope(&mut self) -> Option<bool> {
        let combined = self.take(b"{\"stream\":\"").is_some();
        if combined {
            self.string()?;
            self.take(b",\"data\":")?;
        }
        Some(combined)
    }

    /// A JSON whole number of at most 18 digits.
    #[inline(always)]
    pub(in crate::venue::binance) fn number(&mut self) -> Option<u64> {
        let start = self.at;
        let bytes: &[u8; 16] = self.buf.get(start..start + 16)?.try_into().ok()?;
        let (low, high) = (bytes.first_chunk().expect("of sixteen"), bytes.last_chunk().expect("of sixteen"));
        let (mut digits, mut value) = leading_digits(*low);
        if digits == 8 {
            let (more, rest) = leading_digits(*high);
            if more == 8 {
                return self.long_number();
            }
            (digits, value) = (8 + more, value * POW10[more & 7] + rest);
        }
        self.at += digits;
        (digits > 0 && (digits == 1 || bytes[0] != b'0')).then_some(value)
    }

    /// As [`Cursor::number`], digit by digit.
    #[cold]
    fn long_number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0_u64;
        loop {
            let digit = self.buf.get(self.at)?.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value * 10 + u64::from(digit);
            self.at += 1;
            if self.at - start > 18 {
                return None;
            }
        }
        let digits = self.at - start;
        (digits > 0 && (digits == 1 || self.buf[start] != b'0')).then_some(value)
    }

    /// A time in ms that fits [`Nanos`].
    #[inline(always)]
    pub(in crate::venue::binance) fn time(&mut self) -> Option<u64> {
        self.number().filter(|time| *time <= MILLIS_MAX)
    }

    /// The rest of a string up to its quote, which is taken too. Only plain ASCII without escapes.
    #[inline(always)]
    pub(in crate::venue::binance) fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            let word: [u8; 8] = self.buf.get(self.at..self.at + 8)?.try_into().ok()?;
            match string_end(u64::from_le_bytes(word)) {
                None => self.at += 8,
                Some(offset) => {
                    self.at += offset;
                    break;
                }
            }
        }
        if self.buf[self.at] != b'"' {
            return None;
        }
        let text = &self.buf[start..self.at];
        self.at += 1;
        Some(text)
    }

    /// A number text of a column up to its quote, which is taken too.
    #[inline(always)]
    pub(in crate::venue::binance) fn count(&mut self, column: &mut Column) -> Option<i64> {
        let start = self.at;
        let text = self.string()?;
        if let Some(count) = column.count(self.buf, start, start + text.len()) {
            return Some(count);
        }
        column.learn(text);
        column.count(self.buf, start, start + text.len())
    }
}

/// The scanners. `None` is "not in the exact form": nothing was decided and nothing was changed but the level buffer.
#[inline]
fn scan(
    scanner: Scanner,
    openings: &mut Openings,
    symbols: &Symbols,
    markets: &mut [Market],
    levels: &mut LevelBuf,
    buf: &[u8],
    len: usize,
) -> Option<Scanned> {
    let mut cursor = Cursor { buf, len, at: 0 };
    let mut combined = true;
    let form = match openings.find(buf) {
        Some((opening, form)) => {
            let at = opening.text.len;
            if form == Form::Quote
                && let Some(quote) = opening.quote.read(buf, len, at, markets)
            {
                return Some(Scanned::Quote(quote));
            }
            cursor.at = at;
            form
        }
        None => {
            combined = cursor.envelope()?;
            cursor.take(b"{\"e\":\"")?;
            let form = Form::take(&mut cursor)?;
            if combined {
                openings.learn(buf, cursor.at, form);
            }
            form
        }
    };
    let found = match form {
        Form::Quote => scan_quote(&mut cursor, scanner, symbols, markets)?,
        Form::Trade => scan_trade(&mut cursor, symbols, markets)?,
        Form::Depth => scan_depth(&mut cursor, scanner, symbols, markets, levels)?,
    };
    // Added in 2026: the contract type, last.
    if buf.get(cursor.at) == Some(&b',') {
        cursor.take(b",\"st\":")?;
        cursor.number()?;
    }
    cursor.take(b"}")?;
    if combined {
        cursor.take(b"}")?;
    }
    if cursor.at != cursor.len {
        return None;
    }
    if let Scanned::Quote(quote) = &found
        && combined
    {
        openings.learn_quote(buf, len, quote.instrument);
    }
    Some(found)
}

/// `"s":"<symbol>"` behind its first quotes, and the pair that 2026 frames add.
#[inline(always)]
fn scan_symbol(cursor: &mut Cursor<'_>, symbols: &Symbols) -> Option<InstrumentId> {
    let instrument = symbols.find(cursor.string()?)?;
    if cursor.take(b",\"ps\":\"").is_some() {
        cursor.string()?;
    }
    Some(instrument)
}

#[inline]
fn scan_quote(cursor: &mut Cursor<'_>, scanner: Scanner, symbols: &Symbols, markets: &mut [Market]) -> Option<Scanned> {
    let seq = cursor.number()?;
    cursor.take(b",\"s\":\"")?;
    let instrument = scan_symbol(cursor, symbols)?;
    let (bid, ask) = scan_touch(cursor, scanner, &mut markets[usize::from(instrument.0)])?;
    cursor.take(b",\"T\":")?;
    let time = cursor.time()?;
    cursor.take(b",\"E\":")?;
    cursor.number()?;
    Some(Scanned::Quote(BestQuote { instrument, seq: Seq(seq), bid, ask, venue_time: millis(time) }))
}

/// Best bid and ask of a `bookTicker`.
#[inline(always)]
pub(in crate::venue::binance) fn scan_touch(
    cursor: &mut Cursor<'_>,
    scanner: Scanner,
    market: &mut Market,
) -> Option<(Level, Level)> {
    cursor.take(b",")?;
    let [bid, bid_qty, ask, ask_qty] =
        match scanner.quote(cursor.buf, cursor.len, cursor.at, &market.price, &market.qty) {
            Some((numbers, end)) => {
                cursor.at = end;
                numbers
            }
            None => quote_fields(cursor, market)?,
        };
    Some((Level { price: Ticks(bid), qty: Lots(bid_qty) }, Level { price: Ticks(ask), qty: Lots(ask_qty) }))
}

/// `"b":"..","B":"..","a":"..","A":".."`, field by field; learns the columns' form.
fn quote_fields(cursor: &mut Cursor<'_>, market: &mut Market) -> Option<[i64; 4]> {
    cursor.take(b"\"b\":\"")?;
    let bid = cursor.count(&mut market.price)?;
    cursor.take(b",\"B\":\"")?;
    let bid_qty = cursor.count(&mut market.qty)?;
    cursor.take(b",\"a\":\"")?;
    let ask = cursor.count(&mut market.price)?;
    cursor.take(b",\"A\":\"")?;
    Some([bid, bid_qty, ask, cursor.count(&mut market.qty)?])
}

#[inline]
fn scan_trade(cursor: &mut Cursor<'_>, symbols: &Symbols, markets: &mut [Market]) -> Option<Scanned> {
    cursor.number()?;
    cursor.take(b",\"T\":")?;
    let time = cursor.time()?;
    cursor.take(b",\"s\":\"")?;
    let instrument = scan_symbol(cursor, symbols)?;
    let market = &mut markets[usize::from(instrument.0)];
    cursor.take(b",\"t\":")?;
    let id = cursor.number()?;
    cursor.take(b",\"p\":\"")?;
    let price = cursor.count(&mut market.price)?;
    cursor.take(b",\"q\":\"")?;
    let qty = cursor.count(&mut market.qty)?;
    cursor.take(b",\"X\":\"")?;
    let of_market = cursor.string()? == b"MARKET";
    let taker = scan_taker(cursor)?;
    if !of_market {
        return Some(Scanned::OtherTrade);
    }
    Some(Scanned::Trade(Trade {
        instrument,
        id,
        price: Ticks(price),
        qty: Lots(qty),
        taker,
        aggregate: false,
        venue_time: millis(time),
    }))
}

/// The aggressor's side, from whether the buyer is the maker.
#[inline(always)]
pub(in crate::venue::binance) fn scan_taker(cursor: &mut Cursor<'_>) -> Option<Side> {
    cursor.take(b",\"m\":")?;
    if cursor.take(b"true").is_some() {
        return Some(Side::Sell);
    }
    cursor.take(b"false")?;
    Some(Side::Buy)
}

#[inline]
fn scan_depth(
    cursor: &mut Cursor<'_>,
    scanner: Scanner,
    symbols: &Symbols,
    markets: &mut [Market],
    levels: &mut LevelBuf,
) -> Option<Scanned> {
    cursor.number()?;
    cursor.take(b",\"T\":")?;
    let time = cursor.time()?;
    cursor.take(b",\"s\":\"")?;
    let instrument = scan_symbol(cursor, symbols)?;
    let market = &mut markets[usize::from(instrument.0)];
    cursor.take(b",\"U\":")?;
    let first = cursor.number()?;
    cursor.take(b",\"u\":")?;
    let last = cursor.number()?;
    cursor.take(b",\"pu\":")?;
    let prev = cursor.number()?;
    scan_sides(cursor, scanner, market, levels)?;
    Some(Scanned::Depth { instrument, first, last, prev, time })
}

/// Both sides of a depth frame into the level buffer.
#[inline(always)]
pub(in crate::venue::binance) fn scan_sides(
    cursor: &mut Cursor<'_>,
    scanner: Scanner,
    market: &mut Market,
    levels: &mut LevelBuf,
) -> Option<()> {
    levels.clear();
    cursor.take(b",\"b\":")?;
    scan_levels(cursor, scanner, market, levels)?;
    levels.end_bids();
    cursor.take(b",\"a\":")?;
    scan_levels(cursor, scanner, market, levels)
}

#[inline]
fn scan_levels(cursor: &mut Cursor<'_>, scanner: Scanner, market: &mut Market, levels: &mut LevelBuf) -> Option<()> {
    // The first level shows how many decimals the venue writes now; the filters do not say.
    if cursor.buf.get(cursor.at..cursor.at + 3) == Some(b"[[\"") {
        let mut look = Cursor { buf: cursor.buf, len: cursor.len, at: cursor.at + 3 };
        market.price.learn(look.string()?);
        look.take(b",\"")?;
        market.qty.learn(look.string()?);
    }
    cursor.at = scanner.levels(cursor.buf, cursor.len, cursor.at, &market.price, &market.qty, levels)?;
    Some(())
}

/// What the general path found; levels are in the level buffer.
pub(in crate::venue::binance) enum Parsed {
    Depth { instrument: InstrumentId, first: u64, last: u64, prev: u64, time: Nanos },
    Event(Event<'static>),
    Response { id: u64, code: i32 },
    Ignored,
}

/// The general path: any JSON form of the same messages.
fn general(
    symbols: &Symbols,
    markets: &[Market],
    levels: &mut LevelBuf,
    root: tape::Value<'_, '_>,
) -> Result<Parsed, DecodeError> {
    if !root.is_object() {
        return Err(DecodeError::WrongShape { expected: "an object" });
    }
    let data = root.get("data").unwrap_or(root);
    let Some(event) = data.get("e") else {
        return response(root);
    };
    let event = event.as_str().ok_or(DecodeError::WrongType { key: "e", expected: "a string" })?;
    if !matches!(event, "depthUpdate" | "bookTicker" | "trade" | "aggTrade" | "markPriceUpdate") {
        return Ok(Parsed::Ignored);
    }
    let instrument = symbols.require(text(data, "s")?)?;
    let market = &markets[usize::from(instrument.0)];
    match event {
        "depthUpdate" => {
            levels.clear();
            general_levels(data, "b", market, levels)?;
            levels.end_bids();
            general_levels(data, "a", market, levels)?;
            Ok(Parsed::Depth {
                instrument,
                first: integer_u64(data, "U")?,
                last: integer_u64(data, "u")?,
                prev: integer_u64(data, "pu")?,
                time: unsigned_millis(data, "T")?,
            })
        }
        "bookTicker" => Ok(Parsed::Event(Event::Quote(BestQuote {
            instrument,
            seq: Seq(integer_u64(data, "u")?),
            bid: market.level(data, "b", "B")?,
            ask: market.level(data, "a", "A")?,
            venue_time: unsigned_millis(data, "T")?,
        }))),
        "markPriceUpdate" => {
            let price =
                |key| Price::parse(text(data, key)?.as_bytes()).map_err(|fault| DecodeError::BadNumber { key, fault });
            let mark = price("p")?;
            // Delivery contracts have no funding: an empty rate is documented for them.
            let rate = text(data, "r")?;
            let funding_rate = if rate.is_empty() { Ok(Rate::ZERO) } else { Rate::parse(rate.as_bytes()) };
            Ok(Parsed::Event(Event::Mark(MarkPrice {
                instrument,
                mark,
                index: price("i")?,
                funding_rate: funding_rate.map_err(|fault| DecodeError::BadNumber { key: "r", fault })?,
                next_funding: unsigned_millis(data, "T")?,
                venue_time: unsigned_millis(data, "E")?,
            })))
        }
        _ => {
            let aggregate = event == "aggTrade";
            if !aggregate && text(data, "X")? != "MARKET" {
                return Ok(Parsed::Ignored);
            }
            Ok(Parsed::Event(Event::Trade(Trade {
                instrument,
                id: integer_u64(data, if aggregate { "a" } else { "t" })?,
                price: market.ticks(data, "p")?,
                qty: market.lots(data, "q")?,
                taker: taker(data)?,
                aggregate,
                venue_time: unsigned_millis(data, "T")?,
            })))
        }
    }
}

/// The aggressor's side, from whether the buyer is the maker.
pub(in crate::venue::binance) fn taker(data: tape::Value<'_, '_>) -> Result<Side, DecodeError> {
    let buyer_is_maker = data
        .get("m")
        .ok_or(DecodeError::MissingKey { key: "m" })?
        .as_bool()
        .ok_or(DecodeError::WrongType { key: "m", expected: "true or false" })?;
    Ok(if buyer_is_maker { Side::Sell } else { Side::Buy })
}

/// `{"result":null,"id":1}`, `{"error":{"code":2,"msg":".."},"id":1}` or `{"code":2,"msg":".."}`.
pub(in crate::venue::binance) fn response(root: tape::Value<'_, '_>) -> Result<Parsed, DecodeError> {
    let id = root.get("id").and_then(|id| id.as_u64()).unwrap_or(0);
    let refusal = root.get("error").unwrap_or(root);
    if let Some(code) = refusal.get("code") {
        let code = code.as_i32().ok_or(DecodeError::WrongType { key: "code", expected: "a whole number" })?;
        return Ok(Parsed::Response { id, code });
    }
    if root.contains_key("result") {
        return Ok(Parsed::Response { id, code: 0 });
    }
    Err(DecodeError::MissingKey { key: "e" })
}

impl Market {
    /// What the frames of `instrument` are decoded with.
    pub(in crate::venue::binance) fn of(instrument: &Instrument) -> Self {
        Self {
            tick: instrument.tick,
            lot: instrument.lot,
            price: Column::new(instrument.tick, usize::from(instrument.price_places)),
            qty: Column::new(instrument.lot, usize::from(instrument.qty_places)),
        }
    }
    pub(in crate::venue::binance) fn ticks(
        &self,
        data: tape::Value<'_, '_>,
        key: &'static str,
    ) -> Result<Ticks, DecodeError> {
        count(self.tick, text(data, key)?, key).map(Ticks)
    }
    pub(in crate::venue::binance) fn lots(
        &self,
        data: tape::Value<'_, '_>,
        key: &'static str,
    ) -> Result<Lots, DecodeError> {
        count(self.lot, text(data, key)?, key).map(Lots)
    }
    pub(in crate::venue::binance) fn level(
        &self,
        data: tape::Value<'_, '_>,
        price: &'static str,
        qty: &'static str,
    ) -> Result<Level, DecodeError> {
        Ok(Level { price: self.ticks(data, price)?, qty: self.lots(data, qty)? })
    }
}

/// Steps in a text that cannot be negative.
pub(super) fn count(step: Step, text: &str, key: &'static str) -> Result<i64, DecodeError> {
    if text.starts_with('-') {
        return Err(DecodeError::Negative { key });
    }
    step.parse_count(text.as_bytes()).map_err(|fault| DecodeError::BadNumber { key, fault })
}

pub(in crate::venue::binance) fn general_levels(
    data: tape::Value<'_, '_>,
    key: &'static str,
    market: &Market,
    levels: &mut LevelBuf,
) -> Result<(), DecodeError> {
    const PAIR: DecodeError = DecodeError::WrongShape { expected: "a level of [price, quantity]" };
    let array = data
        .get(key)
        .ok_or(DecodeError::MissingKey { key })?
        .as_array()
        .ok_or(DecodeError::WrongType { key, expected: "an array" })?;
    for level in &array {
        let level = level.as_array().ok_or(PAIR)?;
        let mut parts = level.iter();
        let (Some(price), Some(qty), None) = (parts.next(), parts.next(), parts.next()) else { return Err(PAIR) };
        let number = DecodeError::WrongType { key, expected: "an array of number texts" };
        let price = count(market.tick, price.as_str().ok_or(number)?, key)?;
        let qty = count(market.lot, qty.as_str().ok_or(number)?, key)?;
        if !levels.push(Level { price: Ticks(price), qty: Lots(qty) }) {
            return Err(DecodeError::TooManyLevels { limit: levels.limit() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAMES: [&str; 3] = [
        r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}"#,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}"#,
        r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":1,"u":17,"pu":0,"b":[["58710.20","0.014"]],"a":[]}}"#,
    ];

    fn decoded(decoder: &mut MarketDecoder, frame: &[u8], behind: &[u8]) -> String {
        let mut buf = frame.to_vec();
        buf.extend_from_slice(behind);
        buf.resize(frame.len() + SPARE.max(behind.len()), 0);
        format!("{:?}", decoder.decode(&mut buf, frame.len()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// What a decoder remembers of openings never changes what it reads.
        #[test]
        fn a_used_decoder_reads_what_a_fresh_one_reads(
            frames in prop::collection::vec(
                (0..3_usize, prop::option::of((0..200_usize, prop::sample::select(b"\"bdet{}:0,".to_vec()))), prop::option::of(0..200_usize)),
                1..20,
            ),
        ) {
            let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
            let fresh = || MarketDecoder::new(std::slice::from_ref(&instrument));
            let mut used = fresh();
            for (frame, bite, cut) in frames {
                let mut bytes = FRAMES[frame].as_bytes().to_vec();
                if let Some((at, byte)) = bite.filter(|(at, _)| *at < bytes.len()) {
                    bytes[at] = byte;
                }
                let len = cut.unwrap_or(usize::MAX).min(bytes.len());
                // The rest of a cut frame stands behind its end, as a buffer that is used again leaves it.
                let (whole, behind) = bytes.split_at(len);
                prop_assert_eq!(decoded(&mut used, whole, behind), decoded(&mut fresh(), whole, behind));
            }
        }
    }

    proptest! {
        #[test]
        fn a_number_is_its_digits(digits in "[0-9]{0,20}", behind in "[,}\"a/:]{1,3}") {
            let mut buf = format!("{digits}{behind}").into_bytes();
            let len = buf.len();
            buf.resize(len + SPARE, b'7');
            let mut cursor = Cursor { buf: &buf, len, at: 0 };
            let plain = !digits.is_empty() && digits.len() <= 18 && (digits.len() == 1 || !digits.starts_with('0'));
            let expected = if plain { digits.parse::<u64>().ok() } else { None };
            prop_assert_eq!(cursor.number(), expected);
            prop_assert!(!plain || cursor.at == digits.len());
        }
    }

    proptest! {
        #[test]
        fn a_string_ends_where_it_ends_byte_by_byte(
            bytes: [u8; 8],
            plain in prop::collection::vec(any::<bool>(), 8),
        ) {
            let mut bytes = bytes;
            for (byte, plain) in bytes.iter_mut().zip(plain) {
                *byte = if plain { b'#' + *byte % 0x39 } else { *byte };
            }
            let naive = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..));
            prop_assert_eq!(string_end(u64::from_le_bytes(bytes)), naive);
        }
    }

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for (byte, at, around) in (0..=255_u8).flat_map(|b| (0..8).flat_map(move |at| [(b, at, b' '), (b, at, b'~')])) {
            let mut bytes = [around; 8];
            bytes[at] = byte;
            let stops = matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..);
            assert_eq!(string_end(u64::from_le_bytes(bytes)), stops.then_some(at), "{byte:#x} at {at}");
        }
    }
}
