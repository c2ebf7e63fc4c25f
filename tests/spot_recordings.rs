//! The spot decoder and the book against a recorded session of the real venue, and the recording as a market. Without recordings it
//! says so and runs on the pretend venue's own spot frames.

use flate2::read::MultiGzDecoder;
use spinquote::book::{Book, QuoteOutcome};
use spinquote::event::{Event, Side};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::sim::capture::{CaptureError, CaptureMarket};
use spinquote::sim::market::{MarketSource, Schedule, SyntheticMarket};
use spinquote::sim::spot::{SpotConfig, SpotMarket};
use spinquote::unit::Nanos;
use spinquote::venue::binance::spot::market::SpotDecoder;
use spinquote::venue::codec::{MarketCodec, MarketMessage};
use spinquote::wire::simd::{Kernel, SPARE};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

const NAME: &str = "binance_spot/btcusdt_20240808.gz";

fn recording() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("SPINQUOTE_DATA").map_or_else(beside, PathBuf::from).join(NAME);
    if !path.is_file() {
        eprintln!(
            "no recording at {} (SPINQUOTE_DATA names the folder): the pretend venue's frames are read",
            path.display()
        );
        return None;
    }
    Some(path)
}

fn terms() -> Instrument {
    Instrument { price_places: 8, qty_places: 8, ..Instrument::synthetic("BTCUSDT", "0.01", "0.00000001") }
}

/// Every frame and snapshot body, in order.
fn documents() -> Vec<Vec<u8>> {
    if let Some(path) = recording() {
        let lines = BufReader::new(MultiGzDecoder::new(File::open(path).unwrap())).lines();
        return lines.map(|line| line.unwrap().split_once(' ').unwrap().1.as_bytes().to_vec()).collect();
    }
    let start = Nanos(1_723_161_256_000_000_000);
    let source =
        Box::new(SyntheticMarket::new(Instrument::synthetic("BTCUSDT", "0.1", "0.001"), 5, start, Schedule::calm()));
    let mut market = SpotMarket::new(SpotConfig { source, symbol: None }, start, 1).unwrap();
    let mut out = Vec::new();
    for step in 1..60_000 {
        let now = start + Nanos::from_millis(step);
        while market.play(now, &mut |_, frame| out.push(frame.to_vec())).unwrap() {}
        market.flush(now, &mut || false, &mut |_, frame| out.push(frame.to_vec()));
        if step == 250 {
            out.push(market.rest(now, "GET", "/api/v3/depth", "symbol=BTCUSDT&limit=1000").body);
        }
    }
    out
}

#[test]
fn every_frame_is_read_alike_by_all_scanners_and_the_book_agrees_with_the_best_quotes() {
    let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.available()).map(Some).chain([None]);
    let mut decoders: Vec<SpotDecoder> = kernels.map(|kernel| SpotDecoder::with_kernel(&[terms()], kernel)).collect();
    let mut book = Book::new(&terms());
    let (mut depth, mut quotes, mut trades, mut confirmed) = (0, 0, 0, 0);
    for document in documents() {
        let len = document.len();
        let mut bytes = document.clone();
        bytes.resize(len + SPARE, 0);
        if document.starts_with(b"{\"lastUpdateId\"") {
            let snapshot = decoders[0].decode_snapshot(InstrumentId(0), &mut bytes, len).unwrap();
            let _ = book.on_snapshot(&snapshot);
            continue;
        }
        let said: Vec<String> = decoders
            .iter_mut()
            .map(|decoder| {
                let mut bytes = document.clone();
                bytes.resize(len + SPARE, 0);
                format!("{:?}", decoder.decode(&mut bytes, len))
            })
            .collect();
        assert!(said.iter().all(|text| *text == said[0]), "{}: {said:#?}", String::from_utf8_lossy(&document));
        match decoders[0].decode(&mut bytes, len) {
            Ok(MarketMessage::Event(Event::Depth(update))) => {
                depth += 1;
                let _ = book.on_depth(&update);
            }
            Ok(MarketMessage::Event(Event::Quote(quote))) => {
                quotes += 1;
                confirmed += usize::from(book.on_quote(&quote) == QuoteOutcome::Confirmed);
            }
            Ok(MarketMessage::Event(Event::Trade(_))) => trades += 1,
            other => panic!("{}: {other:?}", String::from_utf8_lossy(&document)),
        }
    }
    let counters = book.counters();
    assert!(depth > 500 && quotes > 1_000 && trades > 100, "{depth} depth, {quotes} quotes, {trades} trades");
    assert!(book.in_sync() && book.best(Side::Buy).is_some());
    assert_eq!((counters.gaps, counters.mismatches, counters.resyncs), (0, 0, 0), "{counters:?}");
    eprintln!("{depth} depth, {quotes} quotes ({confirmed} at the book's own update), {trades} trades");
}

#[test]
fn a_spot_recording_is_a_source_and_not_a_market_to_trade() {
    let Some(path) = recording() else { return };
    assert!(matches!(CaptureMarket::open(&path, None), Err(CaptureError::Spot { .. })));
    let mut market = CaptureMarket::open_any(&path, None).unwrap();
    let instrument = market.instrument().clone();
    assert_eq!((instrument.tick.to_string(), instrument.lot.to_string()), ("0.01".to_owned(), "0.000001".to_owned()));
    let mut events = 0;
    while let Some(event) = market.next().unwrap() {
        events += usize::from(!event.raw.is_empty());
    }
    // Depth, best quotes and trades; the snapshot is in the book from the start.
    assert_eq!(events, 28_040 + 3_451 + 9_757);
}
