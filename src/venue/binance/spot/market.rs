//! Spot market frames to events, with the scanners of USD-M: the frames differ in their keys only. Never keeps a book and never checks
//! sequences.
//!
//! | frame | differs from USD-M |
//! |---|---|
//! | depth | no `T` and no `pu`: the time is `E`, and the update before `U` is `U - 1`, because the ids of all diffs are consecutive |
//! | bookTicker | no `e`, no times: its event has the time zero |
//! | trade | `T` behind the quantity, `M` (without meaning) at the end, no `X` |
//!
//! A diff that overlaps the one before, which the venue's rules allow, counts as a gap: the book asks for a snapshot again.

use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Seq, Ticks};
use crate::venue::binance::usdm::Symbols;
use crate::venue::binance::usdm::fields::{Json, integer_u64, text, unsigned_millis};
use crate::venue::binance::usdm::market::{
    Cursor, FRAME_MAX, LEVELS_MAX, Market, Parsed, general_levels, millis, response, scan_sides, scan_taker,
    scan_touch, snapshot_body, taker,
};
use crate::venue::codec::{DecodeError, LevelBuf, MarketCodec, MarketMessage};
use crate::wire::simd::{Kernel, SPARE, Scanner};
use simd_json::tape;

/// Decodes the market streams of a set of spot symbols. Takes its memory at construction.
pub struct SpotDecoder {
    symbols: Symbols,
    markets: Vec<Market>,
    scanner: Option<Scanner>,
    levels: LevelBuf,
    json: Json,
}

impl SpotDecoder {
    /// A decoder on the fastest scanner of this machine.
    #[must_use]
    pub fn new(instruments: &[Instrument]) -> Self {
        Self::with_kernel(instruments, Some(Kernel::detect()))
    }

    /// A decoder on a named scanner, or without one (every message goes through the general path): for tests.
    #[must_use]
    pub fn with_kernel(instruments: &[Instrument], kernel: Option<Kernel>) -> Self {
        Self {
            symbols: Symbols::new(instruments),
            markets: instruments.iter().map(Market::of).collect(),
            scanner: kernel.map(Scanner::new),
            levels: LevelBuf::new(LEVELS_MAX),
            json: Json::new(FRAME_MAX),
        }
    }
}

impl MarketCodec for SpotDecoder {
    fn decode<'a>(&'a mut self, buf: &'a mut [u8], len: usize) -> Result<MarketMessage<'a>, DecodeError> {
        assert!(buf.len() >= len + SPARE, "a document of {len} bytes in a buffer of {} has no spare bytes", buf.len());
        let Self { symbols, markets, scanner, levels, json } = self;
        let scanned = scanner.and_then(|scanner| scan(scanner, symbols, markets, levels, buf, len));
        let parsed = match scanned {
            Some(parsed) => parsed,
            None => json.with(buf, len, |root| general(symbols, markets, levels, root))?,
        };
        Ok(match parsed {
            Parsed::Depth { instrument, first, last, prev, time } => MarketMessage::Event(Event::Depth(DepthUpdate {
                instrument,
                first: Seq(first),
                last: Seq(last),
                prev: Seq(prev),
                venue_time: time,
                bids: levels.bids(),
                asks: levels.asks(),
            })),
            Parsed::Event(event) => MarketMessage::Event(event),
            Parsed::Response { id, code } => MarketMessage::Response { id, code },
            Parsed::Ignored => MarketMessage::Ignored,
        })
    }

    /// The body of `GET /api/v3/depth`.
    fn decode_snapshot<'a>(
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

/// The scanners. `None` is "not in the exact form": nothing was decided and nothing was changed but the level buffer.
#[inline]
fn scan(
    scanner: Scanner,
    symbols: &Symbols,
    markets: &mut [Market],
    levels: &mut LevelBuf,
    buf: &[u8],
    len: usize,
) -> Option<Parsed> {
    let mut cursor = Cursor { buf, len, at: 0 };
    let cursor = &mut cursor;
    let combined = cursor.envelope()?;
    let found = if cursor.take(b"{\"u\":").is_some() {
        let seq = cursor.number()?;
        let instrument = scan_symbol(cursor, symbols)?;
        let (bid, ask) = scan_touch(cursor, scanner, &mut markets[usize::from(instrument.0)])?;
        Parsed::Event(Event::Quote(BestQuote { instrument, seq: Seq(seq), bid, ask, venue_time: Nanos::ZERO }))
    } else if cursor.take(b"{\"e\":\"trade\",\"E\":").is_some() {
        scan_trade(cursor, symbols, markets)?
    } else {
        cursor.take(b"{\"e\":\"depthUpdate\",\"E\":")?;
        let time = millis(cursor.time()?);
        let instrument = scan_symbol(cursor, symbols)?;
        cursor.take(b",\"U\":")?;
        let first = cursor.number()?;
        cursor.take(b",\"u\":")?;
        let last = cursor.number()?;
        scan_sides(cursor, scanner, &mut markets[usize::from(instrument.0)], levels)?;
        Parsed::Depth { instrument, first, last, prev: first.checked_sub(1)?, time }
    };
    cursor.take(b"}")?;
    if combined {
        cursor.take(b"}")?;
    }
    (cursor.at == cursor.len).then_some(found)
}

#[inline(always)]
fn scan_symbol(cursor: &mut Cursor<'_>, symbols: &Symbols) -> Option<InstrumentId> {
    cursor.take(b",\"s\":\"")?;
    symbols.find(cursor.string()?)
}

#[inline]
fn scan_trade(cursor: &mut Cursor<'_>, symbols: &Symbols, markets: &mut [Market]) -> Option<Parsed> {
    cursor.number()?;
    let instrument = scan_symbol(cursor, symbols)?;
    let market = &mut markets[usize::from(instrument.0)];
    cursor.take(b",\"t\":")?;
    let id = cursor.number()?;
    cursor.take(b",\"p\":\"")?;
    let price = Ticks(cursor.count(&mut market.price)?);
    cursor.take(b",\"q\":\"")?;
    let qty = Lots(cursor.count(&mut market.qty)?);
    cursor.take(b",\"T\":")?;
    let venue_time = millis(cursor.time()?);
    let taker = scan_taker(cursor)?;
    if cursor.take(b",\"M\":true").is_none() {
        cursor.take(b",\"M\":false")?;
    }
    Some(Parsed::Event(Event::Trade(Trade { instrument, id, price, qty, taker, aggregate: false, venue_time })))
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
    let event = if data.contains_key("e") {
        text(data, "e")?
    } else if data.contains_key("u") && data.contains_key("B") {
        "bookTicker"
    } else {
        return response(root);
    };
    if !matches!(event, "depthUpdate" | "bookTicker" | "trade") {
        return Ok(Parsed::Ignored);
    }
    let instrument = symbols.require(text(data, "s")?)?;
    let market = &markets[usize::from(instrument.0)];
    Ok(match event {
        "depthUpdate" => {
            levels.clear();
            general_levels(data, "b", market, levels)?;
            levels.end_bids();
            general_levels(data, "a", market, levels)?;
            let first = integer_u64(data, "U")?;
            let prev = first.checked_sub(1).ok_or(DecodeError::WrongType { key: "U", expected: "above zero" })?;
            Parsed::Depth { instrument, first, last: integer_u64(data, "u")?, prev, time: unsigned_millis(data, "E")? }
        }
        "bookTicker" => Parsed::Event(Event::Quote(BestQuote {
            instrument,
            seq: Seq(integer_u64(data, "u")?),
            bid: market.level(data, "b", "B")?,
            ask: market.level(data, "a", "A")?,
            venue_time: Nanos::ZERO,
        })),
        _ => Parsed::Event(Event::Trade(Trade {
            instrument,
            id: integer_u64(data, "t")?,
            price: market.ticks(data, "p")?,
            qty: market.lots(data, "q")?,
            taker: taker(data)?,
            aggregate: false,
            venue_time: unsigned_millis(data, "T")?,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Level, Side};

    const DEPTH: &str = r#"{"stream":"abcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"ABCUSDT","U":101,"u":105,"b":[["61.73000000","0.00000000"],["61.70000000","1.50000000"]],"a":[["61.83000000","1.54690000"]]}}"#;
    const QUOTE: &str = r#"{"stream":"abcusdt@bookTicker","data":{"u":107,"s":"ABCUSDT","b":"61.70000000","B":"1.50000000","a":"61.83000000","A":"0.00010000"}}"#;
    const TRADE: &str = r#"{"stream":"abcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"ABCUSDT","t":37,"p":"61.73000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#;

    fn abc() -> Instrument {
        Instrument { price_places: 8, qty_places: 8, ..Instrument::synthetic("ABCUSDT", "0.01", "0.0001") }
    }

    /// The event, or the fault, as text: by the scanners and by the general path alike.
    fn decoded(frame: &str) -> String {
        let [fast, general] = [Some(Kernel::detect()), None].map(|kernel| {
            let mut decoder = SpotDecoder::with_kernel(&[abc()], kernel);
            let mut bytes = frame.as_bytes().to_vec();
            bytes.resize(frame.len() + SPARE, 0);
            format!("{:?}", decoder.decode(&mut bytes, frame.len()))
        });
        assert_eq!(fast, general, "{frame}");
        fast
    }

    fn event<T>(frame: &str, read: impl Fn(Event<'_>) -> T) -> T {
        decoded(frame);
        let mut decoder = SpotDecoder::new(&[abc()]);
        let mut bytes = frame.as_bytes().to_vec();
        bytes.resize(frame.len() + SPARE, 0);
        match decoder.decode(&mut bytes, frame.len()) {
            Ok(MarketMessage::Event(event)) => read(event),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_depth_frame_follows_the_update_before_its_first() {
        event(DEPTH, |event| {
            let Event::Depth(update) = event else { panic!("{event:?}") };
            assert_eq!((update.first, update.last, update.prev), (Seq(101), Seq(105), Seq(100)));
            assert_eq!(update.venue_time, Nanos::from_millis(1_723_161_255_208));
            assert_eq!(update.bids[1], Level { price: Ticks(6_170), qty: Lots(15_000) });
            assert_eq!(update.asks, [Level { price: Ticks(6_183), qty: Lots(15_469) }]);
        });
    }

    #[test]
    fn a_best_quote_has_no_type_and_no_time() {
        event(QUOTE, |event| {
            let Event::Quote(quote) = event else { panic!("{event:?}") };
            assert_eq!((quote.seq, quote.venue_time), (Seq(107), Nanos::ZERO));
            assert_eq!((quote.bid.price, quote.ask.qty), (Ticks(6_170), Lots(1)));
        });
    }

    #[test]
    fn a_print_tells_its_aggressor() {
        for (frame, taker) in
            [(TRADE.to_owned(), Side::Sell), (TRADE.replace(r#""m":true"#, r#""m":false"#), Side::Buy)]
        {
            event(&frame, |event| {
                let Event::Trade(trade) = event else { panic!("{event:?}") };
                assert_eq!((trade.id, trade.price, trade.qty, trade.taker), (37, Ticks(6_173), Lots(200), taker));
                assert_eq!(trade.venue_time, Nanos::from_millis(1_723_161_255_342));
            });
        }
    }

    #[test]
    fn bare_frames_and_other_forms_mean_the_same() {
        for frame in [DEPTH, QUOTE, TRADE] {
            let value: serde_json::Value = serde_json::from_str(frame).unwrap();
            assert_eq!(decoded(&value["data"].to_string()), decoded(frame));
            assert_eq!(decoded(&serde_json::to_string_pretty(&value).unwrap()), decoded(frame));
        }
    }

    #[test]
    fn faults_and_other_messages_have_their_names() {
        for (frame, said) in [
            (DEPTH.replace(r#""U":101,"#, ""), "MissingKey"),
            (DEPTH.replace("ABCUSDT", "XYZUSDT"), "UnknownSymbol"),
            (DEPTH.replace("61.83000000", "61.83500000"), "BadNumber"),
            (QUOTE.replace("61.70000000", "-1"), "Negative"),
            (QUOTE[..40].to_owned(), "NotJson"),
            (r#"{"e":"serverShutdown","E":1770123456789}"#.to_owned(), "Ignored"),
            (r#"{"result":null,"id":7}"#.to_owned(), "Response { id: 7, code: 0 }"),
        ] {
            assert!(decoded(&frame).contains(said), "{frame}: {}", decoded(&frame));
        }
    }

    #[test]
    fn a_snapshot_has_its_update_id_and_no_time() {
        let body =
            r#"{"lastUpdateId":104,"bids":[["61.73000000","3.00000000"]],"asks":[["61.83000000","1.00000000"]]}"#;
        let mut bytes = body.as_bytes().to_vec();
        bytes.resize(body.len() + SPARE, 0);
        let mut decoder = SpotDecoder::new(&[abc()]);
        let snapshot = decoder.decode_snapshot(InstrumentId(0), &mut bytes, body.len()).unwrap();
        assert_eq!((snapshot.last, snapshot.venue_time, snapshot.bids[0].price), (Seq(104), Nanos::ZERO, Ticks(6_173)));
    }
}
