//! The venue's spot frames, byte for byte in the form of the real ones. Only encodes, as its parent does.
//!
//! Differences from USD-M: depth without `T` and `pu`, `bookTicker` without type and times, `trade` with `M` and without `X`; a snapshot
//! without times. The updates of all diffs are consecutive, so `U` is the one behind the diff before.

use super::{buyer_is_maker, close, integer, levels, millis, open, price, quantity, symbol};
use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Trade};
use crate::instrument::Instrument;
use crate::unit::Nanos;

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
    symbol(out, instrument);
    out.extend_from_slice(b",\"U\":");
    integer(out, update.prev.0 + 1);
    out.extend_from_slice(b",\"u\":");
    integer(out, update.last.0);
    out.extend_from_slice(b",\"b\":");
    levels(out, instrument, update.bids);
    out.extend_from_slice(b",\"a\":");
    levels(out, instrument, update.asks);
    close(out, stream);
}

/// Appends a `bookTicker`.
pub fn book_ticker(out: &mut Vec<u8>, stream: Option<&str>, instrument: &Instrument, quote: &BestQuote) {
    open(out, stream, b"{\"u\":");
    integer(out, quote.seq.0);
    symbol(out, instrument);
    for (price_key, qty_key, level) in
        [(b",\"b\":\"", b"\",\"B\":\"", quote.bid), (b",\"a\":\"", b"\",\"A\":\"", quote.ask)]
    {
        out.extend_from_slice(price_key);
        price(out, instrument, level.price);
        out.extend_from_slice(qty_key);
        quantity(out, instrument, level.qty);
        out.push(b'"');
    }
    close(out, stream);
}

/// Appends a `trade`; `event_time` is the venue's sending time `E`.
pub fn trade(out: &mut Vec<u8>, stream: Option<&str>, instrument: &Instrument, trade: &Trade, event_time: Nanos) {
    open(out, stream, b"{\"e\":\"trade\",\"E\":");
    millis(out, event_time);
    symbol(out, instrument);
    out.extend_from_slice(b",\"t\":");
    integer(out, trade.id);
    out.extend_from_slice(b",\"p\":\"");
    price(out, instrument, trade.price);
    out.extend_from_slice(b"\",\"q\":\"");
    quantity(out, instrument, trade.qty);
    out.extend_from_slice(b"\",\"T\":");
    millis(out, trade.venue_time);
    out.extend_from_slice(b",\"m\":");
    buyer_is_maker(out, trade.taker);
    out.extend_from_slice(b",\"M\":true");
    close(out, stream);
}

/// Appends the body of `GET /api/v3/depth`; the levels best first, already cut to the asked limit.
pub fn depth_snapshot(out: &mut Vec<u8>, instrument: &Instrument, snapshot: &DepthSnapshot<'_>) {
    out.extend_from_slice(b"{\"lastUpdateId\":");
    integer(out, snapshot.last.0);
    out.extend_from_slice(b",\"bids\":");
    levels(out, instrument, snapshot.bids);
    out.extend_from_slice(b",\"asks\":");
    levels(out, instrument, snapshot.asks);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Level, Side};
    use crate::instrument::InstrumentId;
    use crate::unit::{Lots, Seq, Ticks};
    use crate::venue::binance::spot::market::SpotDecoder;
    use crate::venue::codec::{MarketCodec, MarketMessage};
    use crate::wire::buf::SPARE;

    const AT: Nanos = Nanos(1_723_161_255_208_000_000);
    const ID: InstrumentId = InstrumentId(0);

    fn btc() -> Instrument {
        Instrument { price_places: 8, qty_places: 8, ..Instrument::synthetic("BTCUSDT", "0.01", "0.00001") }
    }

    /// The frame's text, and what the decoder makes of it.
    fn read(write: impl FnOnce(&mut Vec<u8>), check: impl FnOnce(Event<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out.clone()).unwrap();
        let len = out.len();
        out.resize(len + SPARE, 0);
        let mut decoder = SpotDecoder::new(&[btc()]);
        match decoder.decode(&mut out, len) {
            Ok(MarketMessage::Event(event)) => check(event),
            other => panic!("{text}: {other:?}"),
        }
        text
    }

    #[test]
    fn frames_have_the_venues_bytes_and_are_read_back() {
        let level = |price, qty| Level { price: Ticks(price), qty: Lots(qty) };
        let (bids, asks) = ([level(6_173_763, 0)], [level(6_183_764, 154_698)]);
        let update = DepthUpdate {
            instrument: ID,
            first: Seq(105),
            last: Seq(109),
            prev: Seq(100),
            venue_time: AT,
            bids: &bids,
            asks: &asks,
        };
        let text = read(
            |out| depth_update(out, Some("btcusdt@depth@100ms"), &btc(), &update, AT),
            |event| {
                let Event::Depth(read) = event else { panic!("{event:?}") };
                assert_eq!((read.prev, read.last, read.bids, read.asks), (Seq(100), Seq(109), &bids[..], &asks[..]));
            },
        );
        assert_eq!(
            text,
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":101,"u":109,"b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}}"#
        );
        let quote = BestQuote {
            instrument: ID,
            seq: Seq(9),
            bid: level(6_183_763, 378_826),
            ask: level(6_183_764, 154_698),
            venue_time: Nanos::ZERO,
        };
        let text = read(
            |out| book_ticker(out, Some("btcusdt@bookTicker"), &btc(), &quote),
            |event| assert!(matches!(event, Event::Quote(read) if read == quote), "{event:?}"),
        );
        assert_eq!(
            text,
            r#"{"stream":"btcusdt@bookTicker","data":{"u":9,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#
        );
        let print = Trade {
            instrument: ID,
            id: 7,
            price: Ticks(6_183_763),
            qty: Lots(2_000),
            taker: Side::Sell,
            aggregate: false,
            venue_time: AT,
        };
        let text = read(
            |out| trade(out, None, &btc(), &print, AT),
            |event| assert!(matches!(event, Event::Trade(read) if read == print), "{event:?}"),
        );
        assert_eq!(
            text,
            r#"{"e":"trade","E":1723161255208,"s":"BTCUSDT","t":7,"p":"61837.63000000","q":"0.02000000","T":1723161255208,"m":true,"M":true}"#
        );
    }
}
