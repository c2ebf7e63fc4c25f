//! The book against recorded sessions of the real venue: no gap, never crossed, and its best equals the best-quote stream at equal
//! update ids. Reads the frames with a parser of its own, so that the venue's decoder is not what is tested here.

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use spinquote::book::{Book, BookCounters, DepthOutcome, NaiveBook, QuoteOutcome};
use spinquote::event::{BestQuote, DepthSnapshot, DepthUpdate, Level, Side};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::unit::{Lots, Nanos, Seq, Ticks};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

const ID: InstrumentId = InstrumentId(0);

fn recording(name: &str) -> Option<BufReader<MultiGzDecoder<File>>> {
    let folder = std::env::var_os("SPINQUOTE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    match File::open(&path) {
        Ok(file) => Some(BufReader::new(MultiGzDecoder::new(file))),
        Err(error) => {
            eprintln!("{}: {error}; the recorded session is not tested", path.display());
            None
        }
    }
}

fn instrument() -> Instrument {
    Instrument::synthetic("BTCUSDT", "0.10", "0.001")
}

/// What the test reads of a frame.
enum Frame {
    Depth { first: Seq, last: Seq, prev: Seq, bids: Vec<Level>, asks: Vec<Level> },
    Snapshot { last: Seq, bids: Vec<Level>, asks: Vec<Level> },
    Quote(BestQuote),
}

fn level(contract: &Instrument, price: &Value, qty: &Value) -> Level {
    let count =
        |step: spinquote::unit::Step, text: &Value| step.parse_count(text.as_str().unwrap().as_bytes()).unwrap();
    Level { price: Ticks(count(contract.tick, price)), qty: Lots(count(contract.lot, qty)) }
}

fn frame(contract: &Instrument, line: &str) -> Option<Frame> {
    let (_, json) = line.split_once(' ')?;
    if json.contains("@trade\"") || json.contains("@markPrice") {
        return None;
    }
    let json: Value = serde_json::from_str(json).ok()?;
    let levels = |side: &Value| -> Vec<Level> {
        side.as_array().unwrap().iter().map(|entry| level(contract, &entry[0], &entry[1])).collect()
    };
    let seq = |value: &Value| Seq(value.as_u64().unwrap());
    if json.get("lastUpdateId").is_some() {
        let last = seq(&json["lastUpdateId"]);
        return Some(Frame::Snapshot { last, bids: levels(&json["bids"]), asks: levels(&json["asks"]) });
    }
    let data = &json["data"];
    match data["e"].as_str()? {
        "depthUpdate" => Some(Frame::Depth {
            first: seq(&data["U"]),
            last: seq(&data["u"]),
            prev: seq(&data["pu"]),
            bids: levels(&data["b"]),
            asks: levels(&data["a"]),
        }),
        "bookTicker" => Some(Frame::Quote(BestQuote {
            instrument: ID,
            seq: seq(&data["u"]),
            bid: level(contract, &data["b"], &data["B"]),
            ask: level(contract, &data["a"], &data["A"]),
            venue_time: Nanos(0),
        })),
        _ => None,
    }
}

#[test]
fn the_session_of_2024_has_no_gap_is_never_crossed_and_agrees_with_the_best_quotes() {
    let Some(lines) = recording("binance_usdm/btcusdt_20240808.gz") else { return };
    let contract = instrument();
    let (mut fused, mut diffs_only, mut naive) = (Book::new(&contract), Book::new(&contract), NaiveBook::default());
    let mut quotes = HashMap::new();
    let mut rebuilt = HashMap::new();
    let (mut synced_at, mut depths, mut newer, mut quote_first) = (None, 0, 0, 0);
    for line in lines.lines() {
        match frame(&contract, &line.unwrap()) {
            Some(Frame::Depth { first, last, prev, bids, asks }) => {
                depths += 1;
                let venue_time = Nanos(0);
                let update = DepthUpdate { instrument: ID, first, last, prev, venue_time, bids: &bids, asks: &asks };
                let outcome = diffs_only.on_depth(&update);
                assert_eq!(fused.on_depth(&update), outcome);
                if !diffs_only.in_sync() {
                    continue;
                }
                assert!(matches!(outcome, DepthOutcome::Applied | DepthOutcome::Synced), "{outcome:?} at {last:?}");
                naive.apply(Side::Buy, &bids);
                naive.apply(Side::Sell, &asks);
                let [bid, ask] = [Side::Buy, Side::Sell].map(|side| diffs_only.best(side).unwrap());
                assert_eq!((Some(bid), Some(ask)), (naive.best(Side::Buy), naive.best(Side::Sell)));
                quote_first += usize::from(quotes.contains_key(&last));
                rebuilt.insert(last, (bid, ask));
            }
            Some(Frame::Snapshot { last, bids, asks }) => {
                let snapshot = DepthSnapshot { instrument: ID, last, venue_time: Nanos(0), bids: &bids, asks: &asks };
                let outcome = diffs_only.on_snapshot(&snapshot);
                assert_eq!(fused.on_snapshot(&snapshot), outcome);
                assert!(matches!(outcome, DepthOutcome::Synced | DepthOutcome::SnapshotApplied), "{outcome:?}");
                synced_at = Some(depths);
                for side in [Side::Buy, Side::Sell] {
                    naive.apply(side, &diffs_only.ladder().levels(side).collect::<Vec<_>>());
                }
            }
            Some(Frame::Quote(quote)) => {
                if fused.on_quote(&quote) == QuoteOutcome::Newer {
                    newer += 1;
                    assert_eq!((fused.best(Side::Buy), fused.best(Side::Sell)), (Some(quote.bid), Some(quote.ask)));
                    let behind = fused.behind(Side::Buy, quote.bid.price).unwrap();
                    assert!(behind.price < quote.bid.price);
                }
                quotes.insert(quote.seq, (quote.bid, quote.ask));
            }
            None => {}
        }
        assert!(!fused.in_sync() || fused.quotable());
    }
    assert!(synced_at.is_some());
    for side in [Side::Buy, Side::Sell] {
        assert_eq!(diffs_only.ladder().len(side), naive.len(side));
        assert!(diffs_only.ladder().levels(side).eq(naive.levels(side)));
        eprintln!("{side:?}: {} levels", naive.len(side));
    }
    let expected = BookCounters { applied: fused.counters().applied, ..BookCounters::default() };
    let BookCounters { quotes_stale, diffs_stale, .. } = *fused.counters();
    assert_eq!(*fused.counters(), BookCounters { quotes_stale, diffs_stale, ..expected });
    assert_eq!((diffs_only.ladder().dropped(), diffs_only.ladder().refused()), (0, 0));

    let same: Vec<_> = rebuilt.iter().filter_map(|(seq, best)| quotes.get(seq).map(|quote| (quote, best))).collect();
    let equal = same.iter().filter(|(quote, best)| quote == best).count();
    eprintln!("{depths} diffs, {newer} quotes ahead of them, {equal} of {} equal at equal update ids", same.len());
    // Prices and sizes; in 503 of the cases the quote came before the diff, in the others behind it.
    assert_eq!((equal, same.len(), quote_first), (629, 629, 503));
}

#[test]
fn the_session_of_2023_has_no_gap_in_its_diffs() {
    let Some(lines) = recording("binance_usdm/btcusdt_20230405.dat.gz") else { return };
    let contract = instrument();
    let mut book = Book::new(&contract);
    for line in lines.lines() {
        let Some(Frame::Depth { first, last, prev, bids, asks }) = frame(&contract, &line.unwrap()) else { continue };
        if book.last().is_none() {
            // The recording has no snapshot: an empty one that the first diff follows stands in for it.
            let empty = DepthSnapshot { instrument: ID, last: prev, venue_time: Nanos(0), bids: &[], asks: &[] };
            assert_eq!(book.on_snapshot(&empty), DepthOutcome::SnapshotApplied);
        }
        let update = DepthUpdate { instrument: ID, first, last, prev, venue_time: Nanos(0), bids: &bids, asks: &asks };
        let outcome = book.on_depth(&update);
        assert!(matches!(outcome, DepthOutcome::Applied | DepthOutcome::Synced), "{outcome:?} at {last:?}");
    }
    assert!(book.counters().applied > 10_000, "{:?}", book.counters());
    assert_eq!(book.counters().gaps, 0);
}
