//! The venue's market frames, written byte for byte in the form of the real ones (Binance USD-M, see the key lists in the tests).
//! Only encodes: it decides nothing, reads no clock and keeps no state.
//!
//! Every function appends to `out`. `stream` names the stream for the combined envelope
//! (`{"stream":"btcusdt@trade","data":{..}}`); `None` writes the bare document of a raw connection. Prices carry
//! `price_places` decimals and quantities `qty_places`, with trailing zeros, as the venue prints them.

pub mod spot;

use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Level, MarkPrice, Side, Trade};
use crate::instrument::Instrument;
use crate::unit::{Lots, MONEY_PLACES, Nanos, Price, RATE_PLACES, Ticks, pow10};

/// A run of prints at one price by one aggressor side, as `aggTrade` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggTrade {
    /// Aggregate id.
    pub id: u64,
    /// Id of the first single print in it.
    pub first: u64,
    /// Id of the last single print in it.
    pub last: u64,
    /// Price of all of them.
    pub price: Ticks,
    /// Sum of their quantities.
    pub qty: Lots,
    /// The side of the aggressor.
    pub taker: Side,
    /// The matching engine's time of the last print.
    pub venue_time: Nanos,
}

/// Appends a `depthUpdate`; `event_time` is the venue's sending time `E`.
pub fn depth_update(
    out: &mut Vec<u8>,
    stream: Option<&str>,
    instrument: &Instrument,
    update: &DepthUpdate<'_>,
    event_time: Nanos,
) {
    open(out, stream, b"{\"e\":\"depthUpdate\",\"E\":");
    millis(out, event_time);
    out.extend_from_slice(b",\"T\":");
    millis(out, update.venue_time);
    symbol(out, instrument);
    out.extend_from_slice(b",\"U\":");
    integer(out, update.first.0);
    out.extend_from_slice(b",\"u\":");
    integer(out, update.last.0);
    out.extend_from_slice(b",\"pu\":");
    integer(out, update.prev.0);
    out.extend_from_slice(b",\"b\":");
    levels(out, instrument, update.bids);
    out.extend_from_slice(b",\"a\":");
    levels(out, instrument, update.asks);
    close(out, stream);
}

/// Appends a `bookTicker`; `event_time` is the venue's sending time `E`.
pub fn book_ticker(
    out: &mut Vec<u8>,
    stream: Option<&str>,
    instrument: &Instrument,
    quote: &BestQuote,
    event_time: Nanos,
) {
    open(out, stream, b"{\"e\":\"bookTicker\",\"u\":");
    integer(out, quote.seq.0);
    symbol(out, instrument);
    out.extend_from_slice(b",\"b\":\"");
    price(out, instrument, quote.bid.price);
    out.extend_from_slice(b"\",\"B\":\"");
    quantity(out, instrument, quote.bid.qty);
    out.extend_from_slice(b"\",\"a\":\"");
    price(out, instrument, quote.ask.price);
    out.extend_from_slice(b"\",\"A\":\"");
    quantity(out, instrument, quote.ask.qty);
    out.extend_from_slice(b"\",\"T\":");
    millis(out, quote.venue_time);
    out.extend_from_slice(b",\"E\":");
    millis(out, event_time);
    close(out, stream);
}

/// Appends a `trade` of the order book (`"X":"MARKET"`); `event_time` is the venue's sending time `E`.
pub fn trade(out: &mut Vec<u8>, stream: Option<&str>, instrument: &Instrument, trade: &Trade, event_time: Nanos) {
    open(out, stream, b"{\"e\":\"trade\",\"E\":");
    millis(out, event_time);
    out.extend_from_slice(b",\"T\":");
    millis(out, trade.venue_time);
    symbol(out, instrument);
    out.extend_from_slice(b",\"t\":");
    integer(out, trade.id);
    out.extend_from_slice(b",\"p\":\"");
    price(out, instrument, trade.price);
    out.extend_from_slice(b"\",\"q\":\"");
    quantity(out, instrument, trade.qty);
    out.extend_from_slice(b"\",\"X\":\"MARKET\",\"m\":");
    buyer_is_maker(out, trade.taker);
    close(out, stream);
}

/// Appends an `aggTrade`; `event_time` is the venue's sending time `E`.
pub fn agg_trade(
    out: &mut Vec<u8>,
    stream: Option<&str>,
    instrument: &Instrument,
    trade: &AggTrade,
    event_time: Nanos,
) {
    open(out, stream, b"{\"e\":\"aggTrade\",\"E\":");
    millis(out, event_time);
    out.extend_from_slice(b",\"a\":");
    integer(out, trade.id);
    symbol(out, instrument);
    out.extend_from_slice(b",\"p\":\"");
    price(out, instrument, trade.price);
    out.extend_from_slice(b"\",\"q\":\"");
    quantity(out, instrument, trade.qty);
    out.extend_from_slice(b"\",\"f\":");
    integer(out, trade.first);
    out.extend_from_slice(b",\"l\":");
    integer(out, trade.last);
    out.extend_from_slice(b",\"T\":");
    millis(out, trade.venue_time);
    out.extend_from_slice(b",\"m\":");
    buyer_is_maker(out, trade.taker);
    close(out, stream);
}

/// Appends a `markPriceUpdate`. `settle` is the estimated settle price `P`; the sending time `E` is the mark's own time.
pub fn mark_price(out: &mut Vec<u8>, stream: Option<&str>, instrument: &Instrument, mark: &MarkPrice, settle: Price) {
    open(out, stream, b"{\"e\":\"markPriceUpdate\",\"E\":");
    millis(out, mark.venue_time);
    symbol(out, instrument);
    for (key, value) in [(b",\"p\":\"", mark.mark), (b",\"P\":\"", settle), (b",\"i\":\"", mark.index)] {
        out.extend_from_slice(key);
        eight_places(out, value.0, MONEY_PLACES);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"r\":\"");
    eight_places(out, i128::from(mark.funding_rate.0), RATE_PLACES);
    out.extend_from_slice(b"\",\"T\":");
    millis(out, mark.next_funding);
    close(out, stream);
}

/// Appends the body of `GET /fapi/v1/depth`; the levels of `snapshot` best first, already cut to the asked limit.
pub fn depth_snapshot(out: &mut Vec<u8>, instrument: &Instrument, snapshot: &DepthSnapshot<'_>, event_time: Nanos) {
    out.extend_from_slice(b"{\"lastUpdateId\":");
    integer(out, snapshot.last.0);
    out.extend_from_slice(b",\"E\":");
    millis(out, event_time);
    out.extend_from_slice(b",\"T\":");
    millis(out, snapshot.venue_time);
    out.extend_from_slice(b",\"bids\":");
    levels(out, instrument, snapshot.bids);
    out.extend_from_slice(b",\"asks\":");
    levels(out, instrument, snapshot.asks);
    out.push(b'}');
}

/// Appends a price as the venue prints it, without quotes.
pub fn price(out: &mut Vec<u8>, instrument: &Instrument, ticks: Ticks) {
    let step = instrument.tick;
    padded(out, ticks.0 * step.mantissa(), step.places(), u32::from(instrument.price_places));
}

/// Appends a quantity as the venue prints it, without quotes.
pub fn quantity(out: &mut Vec<u8>, instrument: &Instrument, lots: Lots) {
    let step = instrument.lot;
    padded(out, lots.0 * step.mantissa(), step.places(), u32::from(instrument.qty_places));
}

fn open(out: &mut Vec<u8>, stream: Option<&str>, start: &[u8]) {
    if let Some(name) = stream {
        out.extend_from_slice(b"{\"stream\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"data\":");
    }
    out.extend_from_slice(start);
}

fn close(out: &mut Vec<u8>, stream: Option<&str>) {
    out.extend_from_slice(if stream.is_some() { b"}}" } else { b"}" });
}

fn symbol(out: &mut Vec<u8>, instrument: &Instrument) {
    out.extend_from_slice(b",\"s\":\"");
    out.extend_from_slice(instrument.symbol.as_bytes());
    out.push(b'"');
}

fn buyer_is_maker(out: &mut Vec<u8>, taker: Side) {
    out.extend_from_slice(if taker == Side::Sell { b"true" } else { b"false" });
}

fn levels(out: &mut Vec<u8>, instrument: &Instrument, levels: &[Level]) {
    out.push(b'[');
    for (nth, level) in levels.iter().enumerate() {
        out.extend_from_slice(if nth == 0 { b"[\"" } else { b",[\"" });
        price(out, instrument, level.price);
        out.extend_from_slice(b"\",\"");
        quantity(out, instrument, level.qty);
        out.extend_from_slice(b"\"]");
    }
    out.push(b']');
}

fn millis(out: &mut Vec<u8>, time: Nanos) {
    integer(out, u64::try_from(time.as_millis()).expect("a venue time before 1970"));
}

fn integer(out: &mut Vec<u8>, value: u64) {
    scaled(out, i128::from(value), 0);
}

/// `value * 10^-from` with 8 decimals, truncated towards zero: the form of mark, index and funding.
fn eight_places(out: &mut Vec<u8>, value: i128, from: u32) {
    scaled(out, value / pow10(from - 8), 8);
}

/// `value * 10^-places`, zeros appended up to `wanted` decimals.
fn padded(out: &mut Vec<u8>, value: i64, places: u32, wanted: u32) {
    let wanted = wanted.max(places);
    scaled(out, i128::from(value) * pow10(wanted - places), wanted);
}

/// `value * 10^-places` with exactly `places` decimals.
fn scaled(out: &mut Vec<u8>, value: i128, places: u32) {
    if value < 0 {
        out.push(b'-');
    }
    // Twelve digits cover nearly every number of a frame: 64-bit division there, 128-bit only beyond.
    let mut digits = [b'0'; 48];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    let floor = digits.len() - places as usize - 1;
    while rest > u128::from(u64::MAX) {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut rest = rest as u64;
    while rest != 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let start = at.min(floor);
    let (whole, fraction) = digits[start..].split_at(digits.len() - places as usize - start);
    out.extend_from_slice(whole);
    if places > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::InstrumentId;
    use crate::unit::{Rate, Seq};
    use serde_json::Value;

    fn btc() -> Instrument {
        Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") }
    }

    fn level(price: i64, qty: i64) -> Level {
        Level { price: Ticks(price), qty: Lots(qty) }
    }

    const AT: Nanos = Nanos(1_723_161_256_313_999_999);
    const ID: InstrumentId = InstrumentId(0);

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn keys(value: &Value) -> String {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_book_ticker_has_the_venues_bytes() {
        let quote = BestQuote {
            instrument: ID,
            seq: Seq(51),
            bid: level(618_002, 2_507),
            ask: level(618_003, 10),
            venue_time: AT,
        };
        assert_eq!(
            text(|out| book_ticker(out, Some("btcusdt@bookTicker"), &btc(), &quote, AT)),
            r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":51,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"0.010","T":1723161256313,"E":1723161256313}}"#
        );
        let bare = text(|out| book_ticker(out, None, &btc(), &quote, AT));
        assert!(bare.starts_with(r#"{"e":"bookTicker""#) && bare.ends_with("313}"), "{bare}");
    }

    #[test]
    fn every_frame_parses_and_has_the_keys_in_the_venues_order() {
        let (bids, asks) = ([level(50_000, 2_301), level(618_002, 0)], [level(618_003, 1_072)]);
        let update = DepthUpdate {
            instrument: ID,
            first: Seq(2),
            last: Seq(9),
            prev: Seq(1),
            venue_time: AT,
            bids: &bids,
            asks: &asks,
        };
        let snapshot = DepthSnapshot { instrument: ID, last: Seq(9), venue_time: AT, bids: &bids[1..], asks: &asks };
        let print = Trade {
            instrument: ID,
            id: 7,
            price: Ticks(618_003),
            qty: Lots(6),
            taker: Side::Buy,
            aggregate: false,
            venue_time: AT,
        };
        let aggregate = AggTrade {
            id: 3,
            first: 7,
            last: 8,
            price: Ticks(618_003),
            qty: Lots(12),
            taker: Side::Sell,
            venue_time: AT,
        };
        let mark = MarkPrice {
            instrument: ID,
            mark: Price::parse(b"28155.1").unwrap(),
            index: Price::parse(b"28165.04857143").unwrap(),
            funding_rate: Rate::parse(b"-0.0000276").unwrap(),
            next_funding: Nanos(1_680_681_600_000_000_000),
            venue_time: AT,
        };
        let settle = Price::parse(b"28141.476008459").unwrap();
        let cases = [
            (text(|out| depth_update(out, Some("s"), &btc(), &update, AT)), "e E T s U u pu b a"),
            (text(|out| super::trade(out, Some("s"), &btc(), &print, AT)), "e E T s t p q X m"),
            (text(|out| agg_trade(out, Some("s"), &btc(), &aggregate, AT)), "e E a s p q f l T m"),
            (text(|out| mark_price(out, Some("s"), &btc(), &mark, settle)), "e E s p P i r T"),
        ];
        for (frame, expected) in &cases {
            let parsed: Value = serde_json::from_str(frame).unwrap();
            assert_eq!((keys(&parsed).as_str(), keys(&parsed["data"]).as_str()), ("stream data", *expected), "{frame}");
            assert_eq!(parsed.to_string(), *frame, "the same bytes come back");
        }
        let rest = text(|out| depth_snapshot(out, &btc(), &snapshot, AT));
        assert_eq!(
            rest,
            r#"{"lastUpdateId":9,"E":1723161256313,"T":1723161256313,"bids":[["61800.20","0.000"]],"asks":[["61800.30","1.072"]]}"#
        );
        let marks: Value = serde_json::from_str(&cases[3].0).unwrap();
        assert_eq!(marks["data"]["p"], "28155.10000000");
        assert_eq!(marks["data"]["P"], "28141.47600845");
        assert_eq!(marks["data"]["r"], "-0.00002760");
    }

    #[test]
    fn decimals_follow_the_places_of_the_contract_not_the_step() {
        let coarse = Instrument { price_places: 4, qty_places: 0, ..Instrument::synthetic("XUSDT", "0.05", "1") };
        assert_eq!(text(|out| price(out, &coarse, Ticks(3))), "0.1500");
        assert_eq!(text(|out| quantity(out, &coarse, Lots(312))), "312");
        assert_eq!(text(|out| price(out, &btc(), Ticks(0))), "0.00");
        assert_eq!(text(|out| scaled(out, i128::from(u64::MAX) * 1000 + 7, 3)), "18446744073709551615.007");
    }
}
