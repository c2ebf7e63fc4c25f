//! Market data of every kind as one stream and as a compact feed: what is told, in which order, and that nothing broken is told as sound.

use proptest::prelude::*;
use serde_json::json;
use spinquote::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Level, Link, LinkState, MarkPrice, Side, Trade};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::record::{self, Origin};
use spinquote::journal::{self, ClockSource, JournalSettings, RunDir};
use spinquote::maker::recipe::{InstrumentRecipe, StrategyKind, StrategyText};
use spinquote::maker::strategy::Cadence;
use spinquote::maker::{MakerConfig, Recipe, RiskLimits};
use spinquote::replay::feed::{
    DataFault, DataReport, FaultKind, Feed, FeedError, FeedWriter, FileKind, Source, SourceOptions, Timed, layout,
};
use spinquote::unit::{Lots, Money, Nanos, Price, Rate, Seq, Ticks};
use std::fmt::Write as _;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Start of every session here: 1,700,000,000 s.
const START: i64 = 1_700_000_000_000;

fn abc() -> Instrument {
    Instrument::synthetic("ABCUSDT", "0.1", "0.1")
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/feed").join(name)
}

fn recording(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SPINQUOTE_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("{}: not there; the recorded session is not tested", path.display());
        return None;
    }
    Some(path)
}

// ---- what a stream says, as text -------------------------------------------------------------------------------------------------

fn levels(levels: &[Level]) -> String {
    levels.iter().map(|level| format!(" {}x{}", level.price.0, level.qty.0)).collect()
}

/// `<ms since the start>[+<ns>] <instrument> <what>`.
fn line(timed: &Timed<'_>) -> String {
    let since = timed.local.0 - START * 1_000_000;
    let (ms, rest) = (since.div_euclid(1_000_000), since.rem_euclid(1_000_000));
    let mut text = if rest == 0 { format!("{ms} ") } else { format!("{ms}+{rest} ") };
    let _ = match timed.event {
        Event::Depth(DepthUpdate { instrument, first, last, prev, bids, asks, .. }) => write!(
            text,
            "{} depth {}..{} after {}: bid{} ask{}",
            instrument.0,
            first.0,
            last.0,
            prev.0,
            levels(bids),
            levels(asks)
        ),
        Event::Snapshot(DepthSnapshot { instrument, last, bids, asks, .. }) => {
            write!(text, "{} book {}: bid{} ask{}", instrument.0, last.0, levels(bids), levels(asks))
        }
        Event::Quote(BestQuote { instrument, seq, bid, ask, .. }) => {
            write!(text, "{} quote {}:{}{}", instrument.0, seq.0, levels(&[bid]), levels(&[ask]))
        }
        Event::Trade(Trade { instrument, id, price, qty, taker, .. }) => {
            write!(text, "{} {taker:?} {id}: {}x{}", instrument.0, price.0, qty.0)
        }
        Event::Link { instrument, state, .. } => write!(text, "{} {state:?}", instrument.0),
        ref other => write!(text, "{other:?}"),
    };
    text
}

struct Read {
    lines: Vec<String>,
    report: DataReport,
    instruments: Vec<Instrument>,
}

impl Read {
    /// Kind and place of every fault.
    fn faults(&self) -> Vec<(FaultKind, u64)> {
        self.report.files.iter().flat_map(|file| file.faults()).map(|fault| (fault.kind, fault.line)).collect()
    }
}

/// Reads files as they are usually read, and once more without what the first pass keeps: there is no difference.
fn try_read(files: &[PathBuf], options: &SourceOptions) -> Result<Read, DataFault> {
    let usual = read_once(files, options);
    let twice = read_once(files, &SourceOptions { cache_max: 0, ..options.clone() });
    match (&usual, &twice) {
        (Ok(usual), Ok(twice)) => {
            assert_eq!(usual.lines, twice.lines);
            assert_eq!((usual.faults(), &usual.instruments), (twice.faults(), &twice.instruments));
            let counts = |read: &Read| {
                read.report.files.iter().map(|file| (file.frames, file.events, file.last)).collect::<Vec<_>>()
            };
            assert_eq!((counts(usual), &usual.report.books), (counts(twice), &twice.report.books));
        }
        (Err(usual), Err(twice)) => assert_eq!(usual.to_string(), twice.to_string()),
        _ => panic!("only one way succeeds"),
    }
    usual
}

fn read_once(files: &[PathBuf], options: &SourceOptions) -> Result<Read, DataFault> {
    let mut source = Source::open(files, options)?;
    let (mut lines, mut last) = (Vec::new(), Nanos(i64::MIN));
    while let Some(timed) = source.next()? {
        assert!(timed.local >= last, "time runs backwards at {}", line(&timed));
        last = timed.local;
        lines.push(line(&timed));
    }
    let (done, all) = source.progress();
    assert!(done <= all && all > 0);
    Ok(Read { lines, report: source.report().clone(), instruments: source.instruments().to_vec() })
}

fn read(files: &[PathBuf]) -> Read {
    try_read(files, &SourceOptions::default()).unwrap()
}

// ---- recordings of our own writing -----------------------------------------------------------------------------------------------

/// `<ms> <JSON>` lines of one symbol; the venue is 2 ms ahead of our receive times.
struct Raw {
    text: String,
    symbol: &'static str,
}

impl Raw {
    fn of(symbol: &'static str) -> Self {
        Self { text: String::new(), symbol }
    }

    fn new() -> Self {
        Self::of("ABCUSDT")
    }

    fn put(mut self, ms: i64, json: &str) -> Self {
        let _ = writeln!(self.text, "{} {json}", (START + ms) * 1_000_000);
        self
    }

    fn depth(self, ms: i64, prev: u64, last: u64, bids: &str, asks: &str) -> Self {
        let (symbol, time, first) = (self.symbol, START + ms - 2, prev + 1);
        let json = format!(
            r#"{{"e":"depthUpdate","E":{time},"T":{time},"s":"{symbol}","U":{first},"u":{last},"pu":{prev},"b":[{}],"a":[{}]}}"#,
            texts(bids),
            texts(asks)
        );
        self.put(ms, &json)
    }

    fn snapshot(self, ms: i64, last: u64, bids: &str, asks: &str) -> Self {
        let time = START + ms - 2;
        let (bids, asks) = (texts(bids), texts(asks));
        self.put(ms, &format!(r#"{{"lastUpdateId":{last},"E":{time},"T":{time},"bids":[{bids}],"asks":[{asks}]}}"#))
    }

    fn quote(self, ms: i64, seq: u64, bid: &str, ask: &str) -> Self {
        let (symbol, time) = (self.symbol, START + ms - 2);
        let json = format!(
            r#"{{"e":"bookTicker","u":{seq},"s":"{symbol}","b":"{bid}","B":"1.0","a":"{ask}","A":"1.0","T":{time},"E":{time}}}"#
        );
        self.put(ms, &json)
    }

    fn trade(self, ms: i64, id: u64, price: &str) -> Self {
        let (symbol, time) = (self.symbol, START + ms - 2);
        let json = format!(
            r#"{{"e":"trade","E":{time},"T":{time},"s":"{symbol}","t":{id},"p":"{price}","q":"0.1","X":"MARKET","m":true}}"#
        );
        self.put(ms, &json)
    }

    /// A book at update 12: bids 100.0, 99.9; asks 100.1, 100.2.
    fn begun(self) -> Self {
        self.depth(0, 9, 10, "99.9 2", "").snapshot(5, 10, "100.0 1.5 99.9 2", "100.1 0.5 100.2 1").depth(
            10,
            10,
            12,
            "",
            "100.2 0.8",
        )
    }

    fn save(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        if name.ends_with(".gz") {
            let mut file = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), Default::default());
            file.write_all(self.text.as_bytes()).unwrap();
            file.finish().unwrap();
        } else if name.ends_with(".zst") {
            std::fs::write(&path, zstd::encode_all(self.text.as_bytes(), 1).unwrap()).unwrap();
        } else {
            std::fs::write(&path, &self.text).unwrap();
        }
        path
    }
}

/// `100.0 1.5 99.9 2` as JSON levels.
fn texts(levels: &str) -> String {
    let numbers: Vec<&str> = levels.split_whitespace().collect();
    let level = |pair: &[&str]| format!(r#"["{}","{}"]"#, pair[0], pair[1]);
    numbers.chunks(2).map(level).collect::<Vec<_>>().join(",")
}

const BEGUN: [&str; 5] = [
    "0 0 depth 10..10 after 9: bid 999x20 ask",
    "5 0 Up",
    "5 0 book 10: bid 1000x15 999x20 ask 1001x5 1002x10",
    "10 0 depth 11..12 after 10: bid ask 1002x8",
    "20 0 Sell 7: 1000x1",
];

fn with(start: &[&'static str], rest: &[&'static str]) -> Vec<&'static str> {
    start.iter().chain(rest).copied().collect()
}

// ---- the stream of each kind of file ---------------------------------------------------------------------------------------------

#[test]
fn recorded_frames_begin_with_a_book_that_the_changes_join() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().begun().trade(20, 7, "100.0");
    for name in ["a.txt", "a.gz", "a.zst"] {
        let got = read(&[raw.save(folder.path(), name)]);
        assert_eq!(got.lines, BEGUN, "{name}");
        let file = &got.report.files[0];
        assert_eq!((file.kind, file.frames, file.depth, file.snapshots, file.trades), (FileKind::Raw, 4, 2, 1, 1));
        assert_eq!((file.events, file.latency_min, file.shift), (7, Some(Nanos::from_millis(2)), Nanos::ZERO));
        assert_eq!((got.report.books[0].known, got.report.books[0].lost), (1, 0));
        assert_eq!(
            (got.instruments[0].tick.to_string(), got.instruments[0].lot.to_string()),
            ("0.1".into(), "0.1".into())
        );
    }
}

#[test]
fn a_snapshot_that_comes_late_is_told_as_the_book_of_its_moment() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new()
        .depth(0, 9, 10, "99.9 1", "")
        .depth(10, 10, 12, "100.0 0", "100.2 0.8")
        .snapshot(15, 10, "100.0 1.5 99.9 2", "100.1 0.5")
        .snapshot(17, 12, "99.9 2", "100.1 0.5")
        .depth(20, 12, 13, "99.8 1", "");
    let got = read(&[raw.save(folder.path(), "a.txt")]);
    assert_eq!(
        got.lines,
        [
            "0 0 depth 10..10 after 9: bid 999x10 ask",
            "10 0 depth 11..12 after 10: bid 1000x0 ask 1002x8",
            "15 0 Up",
            // The snapshot is of update 10 and the change of update 10 was held: a change tells whole levels, so it counts again.
            "15 0 book 12: bid 999x10 ask 1001x5 1002x8",
            "20 0 depth 13..13 after 12: bid 998x10 ask",
        ]
    );
    assert_eq!(got.report.books[0].unneeded, 1, "the second snapshot");
}

#[test]
fn a_tardis_day_is_the_same_market_from_any_of_its_files() {
    let book = read(&[sample("incremental_book_L2.csv")]);
    assert_eq!(
        book.lines,
        [
            "5 0 depth 1..1 after 0: bid 999x10 ask",
            "15 0 Up",
            "15 0 book 2: bid 1000x15 998x20 ask 1001x5 1003x3",
            "25 0 depth 3..3 after 2: bid 1000x0 999x40 ask 1002x10",
            // The second snapshot replaces a known book: what it does not name is gone.
            "45 0 depth 4..4 after 3: bid 998x0 999x33 ask 1001x0 1003x0 1002x10",
            "55 0 depth 5..5 after 4: bid ask 1001x9",
        ]
    );
    let file = &book.report.files[0];
    assert_eq!((file.kind, file.frames, file.resolution), (FileKind::TardisDepth, 5, Nanos(1_000)));
    // Prints before changes of the same time: the files are in that order.
    let all = read(&[sample("trades.csv"), sample("incremental_book_L2.csv"), sample("quotes.csv")]);
    let names: Vec<&str> = all.instruments.iter().map(|terms| terms.symbol.as_str()).collect();
    assert_eq!(names, ["ABCUSDT", "ABCUSDT@bybit"]);
    assert_eq!(all.instruments[1].tick.to_string(), "0.05", "as far as its numbers show");
    assert_eq!(
        all.lines[4..],
        [
            "30 0 Sell 71: 999x7",
            "31 0 quote 4: 999x33 1001x5",
            "31+500000 1 quote 1: 1999x0 2001x1",
            "45 0 depth 4..5 after 3: bid 998x0 999x33 ask 1001x0 1003x0 1002x10",
            "55 0 Buy 72: 1001x1",
            "55 0 depth 6..6 after 5: bid ask 1001x9",
        ]
    );
}

#[test]
fn an_hftbacktest_array_stored_or_deflated_reads_as_its_market() {
    for name in ["abcusdt_deflated.npz", "abcusdt_stored.npz"] {
        let got = read(&[sample(name)]);
        assert_eq!(got.instruments[0].symbol.as_str(), "ABCUSDT", "from the file's name");
        assert_eq!(
            got.lines,
            [
                "5 0 depth 1..1 after 0: bid 999x10 ask",
                "15 0 Up",
                "15 0 book 2: bid 1000x15 998x20 ask 1001x5 1003x3",
                "25 0 depth 3..3 after 2: bid 1000x0 999x40 ask 1002x10",
                "30 0 Sell 0: 999x7",
                "31 0 quote 4: 999x33 1001x5",
                // It clears down to 99.9 and up to 100.2 only.
                "45 0 depth 4..5 after 3: bid 1000x2 999x33 ask 1001x0 1002x10",
                "55 0 depth 6..6 after 5: bid ask 1001x9",
            ]
        );
        assert_eq!(got.faults(), []);
        assert_eq!(got.report.files[0].frames, 7);
    }
}

#[test]
fn a_price_off_the_grid_of_an_array_is_named_by_its_row_and_loses_the_book() {
    let folder = tempfile::tempdir().unwrap();
    let terms = exchange_info(folder.path(), "0.2", "0.1");
    let options = SourceOptions { terms: Some(terms), ..SourceOptions::default() };
    let got = try_read(&[sample("abcusdt_stored.npz")], &options).unwrap();
    assert_eq!(got.faults()[0], (FaultKind::Malformed, 1));
    let what = &got.report.files[0].faults()[0].what;
    assert_eq!(what, "the price 99.9 is no multiple of the tick 0.2");
    assert_eq!(got.report.books[0].known, 0);
}

fn exchange_info(folder: &Path, tick: &str, lot: &str) -> PathBuf {
    let filters = json!([
        {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "9000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "stepSize": lot, "minQty": lot, "maxQty": "1000"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": lot, "minQty": lot, "maxQty": "200"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200}, {"filterType": "MIN_NOTIONAL", "notional": "5"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.15", "multiplierDown": "0.85", "multiplierDecimal": "4"},
    ]);
    let body = json!({"timezone": "UTC", "rateLimits": [], "symbols": [{"symbol": "ABCUSDT", "status": "TRADING",
        "contractType": "PERPETUAL", "baseAsset": "ABC", "quoteAsset": "USDT", "pricePrecision": 3, "quantityPrecision": 1,
        "filters": filters}]});
    let path = folder.join("exchangeInfo.json");
    std::fs::write(&path, body.to_string()).unwrap();
    path
}

#[test]
fn given_terms_hold_and_data_without_any_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let known = Raw::new().begun().trade(20, 7, "100.0");
    let mixed =
        Raw { text: known.text + &Raw::of("XYZUSDT").trade(21, 1, "5.0").trade(22, 2, "5.0").text, ..Raw::new() };
    let options =
        SourceOptions { terms: Some(exchange_info(folder.path(), "0.01", "0.001")), ..SourceOptions::default() };
    let got = try_read(&[mixed.save(folder.path(), "a.txt")], &options).unwrap();
    assert_eq!(got.lines.last().unwrap(), "20 0 Sell 7: 10000x100");
    assert_eq!(got.instruments.len(), 1);
    assert_eq!(got.faults(), [(FaultKind::UnknownInstrument, 5), (FaultKind::UnknownInstrument, 6)]);
    assert!(got.report.files[0].faults()[0].what.contains("XYZUSDT"));
}

#[test]
fn a_run_directory_is_market_data() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().begun().trade(20, 7, "100.0");
    write_run(folder.path(), &raw, None);
    let got = read(&[folder.path().to_owned()]);
    assert_eq!(got.lines, BEGUN);
    assert_eq!(got.instruments, [abc()]);
    assert_eq!((got.report.files[0].kind, got.report.files[0].frames), (FileKind::Run, 4));

    // The run saw its market link fall: so does who reads it.
    let other = tempfile::tempdir().unwrap();
    write_run(other.path(), &raw, Some(LinkState::Down));
    let got = read(&[other.path().to_owned()]);
    assert_eq!(got.lines, with(&BEGUN, &["20 0 Down"]));
}

fn write_run(folder: &Path, raw: &Raw, end: Option<LinkState>) {
    let limits = RiskLimits {
        position_max: Lots(1_000),
        order_qty_max: Lots(100),
        order_notional_max: Money::parse(b"100000").unwrap(),
        price_band: Rate::parse(b"0.05").unwrap(),
        orders_max: 1_000,
        messages_max: 2_000,
        cancel_headroom: 100,
        interval: Nanos::from_secs(10),
        loss_max: Money::ZERO,
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    };
    let text = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: ABC-USDT\nleverage: 3\n\
        bid_spread: 1\nask_spread: 1\norder_amount: 1\norder_refresh_time: 2.0\n";
    let strategy =
        StrategyText { kind: StrategyKind::PerpetualMarketMaking, file: "strategy.yml".into(), text: text.into() };
    let part = InstrumentRecipe { instrument: abc(), strategy, cadence: Cadence::EveryEvent, source: None };
    let recipe = Recipe { config: MakerConfig::new(7, limits), instruments: vec![part], watched: Vec::new() };
    std::fs::write(folder.join("meta.json"), json!({ "recipe": recipe.to_json() }).to_string()).unwrap();
    let mut settings = JournalSettings::new(RunDir::new(folder), 7, ClockSource::Virtual);
    (settings.segment_bytes, settings.lock) = (64 << 10, false);
    let (mut writer, _segments) = journal::start(settings, Nanos(START * 1_000_000)).unwrap();
    let mut at = Nanos::ZERO;
    for line in raw.text.lines() {
        let (time, json) = line.split_once(' ').unwrap();
        at = Nanos(time.parse().unwrap());
        let (kind, feed) = if json.starts_with("{\"last") { (record::SNAPSHOT, u16::MAX) } else { (record::FRAME, 0) };
        let origin = Origin { feed, instrument: InstrumentId(0) };
        writer.append(kind, at, &[&origin.encode(), json.as_bytes()]).unwrap();
    }
    if let Some(state) = end {
        let event = Event::Link { instrument: InstrumentId(0), link: Link::Market, state };
        let (kind, payload) = record::encode_event(&event).unwrap();
        writer.append(kind, at, &[&payload]).unwrap();
    }
}

#[test]
fn spot_frames_are_another_venue() {
    let folder = tempfile::tempdir().unwrap();
    let time = START - 2;
    let spot = Raw::new()
        .put(0, &format!(r#"{{"stream":"abcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{time},"s":"ABCUSDT","U":10,"u":10,"b":[["99.90","1.00"]],"a":[]}}}}"#))
        .put(3, r#"{"stream":"abcusdt@bookTicker","data":{"u":10,"s":"ABCUSDT","b":"99.90","B":"1.00","a":"100.10","A":"1.00"}}"#);
    let perpetual = Raw::new().begun();
    let got = read(&[perpetual.save(folder.path(), "p.txt"), spot.save(folder.path(), "s.txt")]);
    let names: Vec<&str> = got.instruments.iter().map(|terms| terms.symbol.as_str()).collect();
    assert_eq!(names, ["ABCUSDT", "ABCUSDT@binance"]);
    assert_eq!(got.report.files[1].kind, FileKind::RawSpot);
    assert!(got.lines.contains(&"3 1 quote 10: 999x1 1001x1".to_owned()), "{:?}", got.lines);
}

// ---- merging and clocks ------------------------------------------------------------------------------------------------------------

#[test]
fn files_are_merged_by_local_time_and_in_their_order_at_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let one = Raw::new().trade(1, 1, "100.0").trade(5, 2, "100.0").trade(9, 3, "100.0");
    let two = Raw::of("XYZUSDT").trade(0, 1, "5.0").trade(5, 2, "5.0").trade(7, 3, "5.0");
    let (one, two) = (one.save(folder.path(), "1"), two.save(folder.path(), "2.gz"));
    let short = |read: Read| read.lines.iter().map(|line| line[..3].to_owned()).collect::<Vec<_>>().join(",");
    assert_eq!(short(read(&[one.clone(), two.clone()])), "0 1,1 0,5 0,5 1,7 1,9 0");
    assert_eq!(short(read(&[two, one])), "0 0,1 1,5 0,5 1,7 0,9 1");
}

#[test]
fn a_session_cut_in_files_is_the_session_again_and_overlaps_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = Raw::new().begun();
    for n in 0..20_u64 {
        let (ms, last) = (20 + n as i64, 12 + n);
        whole = whole.trade(ms, n + 1, "100.0").depth(ms, last, last + 1, &format!("99.{} 1", n % 9), "");
    }
    let lines: Vec<&str> = whole.text.lines().collect();
    let part = |range: std::ops::Range<usize>, name: &str| {
        Raw { text: lines[range].join("\n") + "\n", ..Raw::new() }.save(folder.path(), name)
    };
    let expected = read(&[whole.save(folder.path(), "whole")]);
    let joined = read(&[part(15..43, "2.gz"), part(0..15, "1")]);
    assert_eq!((joined.lines, joined.report.books), (expected.lines.clone(), expected.report.books.clone()));
    let overlapping = read(&[part(0..30, "3"), part(15..43, "4")]);
    assert_eq!(overlapping.lines, expected.lines);
    assert_eq!(overlapping.report.count(FaultKind::Duplicate), 15);
    assert_eq!(expected.report.count(FaultKind::Duplicate), 0);
}

#[test]
fn a_clock_behind_the_venues_is_shifted_so_that_the_smallest_latency_is_the_base() {
    let folder = tempfile::tempdir().unwrap();
    // Received 1,270 ms before the venue made them, the second one 1,250.
    let late = |ms: i64, id: u64, by: i64| {
        Raw::new().trade(ms, id, "100.0").text.replacen(
            &format!("{}000000", START + ms),
            &format!("{}000000", START + ms - by),
            1,
        )
    };
    let text = late(10, 1, 1_272) + &late(40, 2, 1_252);
    let path = Raw { text, ..Raw::new() }.save(folder.path(), "a");
    let got = read(std::slice::from_ref(&path));
    assert_eq!(got.lines, ["9 0 Sell 1: 1x1", "59 0 Sell 2: 1x1"]);
    let file = &got.report.files[0];
    assert_eq!((file.latency_min, file.shift), (Some(Nanos::from_millis(-1_270)), Nanos::from_millis(1_271)));
    let options = SourceOptions { base_latency: Nanos::from_millis(5), ..SourceOptions::default() };
    assert_eq!(try_read(&[path], &options).unwrap().lines[0], "13 0 Sell 1: 1x1");
}

#[test]
fn a_venue_time_that_is_no_time_shifts_no_clock() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Raw::new().trade(10, 1, "100.0").text.replace(&(START + 8).to_string(), "9223372036854");
    let raw = Raw { text: broken + &Raw::new().trade(20, 2, "100.0").text, ..Raw::new() };
    let got = read(&[raw.save(folder.path(), "a")]);
    assert_eq!(got.lines, ["10 0 Sell 1: 1x1", "20 0 Sell 2: 1x1"]);
    assert_eq!(
        (got.report.files[0].latency_min, got.report.files[0].shift),
        (Some(Nanos::from_millis(2)), Nanos::ZERO)
    );
}

#[test]
fn times_that_run_back_a_little_are_raised_and_counted_and_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().trade(10, 1, "100.0").trade(7, 2, "100.0").trade(9, 3, "100.0").trade(12, 4, "100.0");
    let got = read(&[raw.save(folder.path(), "a")]);
    let times: Vec<&str> = got.lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(times, ["10", "10", "10", "12"]);
    assert_eq!(got.faults(), [(FaultKind::Unsorted, 2), (FaultKind::Unsorted, 3)]);
    let far = Raw::new().trade(5_000, 1, "100.0").trade(3_999, 2, "100.0");
    let error = try_read(&[far.save(folder.path(), "b")], &SourceOptions::default()).err().unwrap();
    assert!(matches!(error, DataFault::Unsorted { line: 2, by: Nanos(1_001_000_000), .. }), "{error}");
    assert!(error.to_string().contains("b, line 2: received 1001 ms before"), "{error}");
}

#[test]
fn microseconds_are_seen_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().begun();
    let text: String = raw.text.lines().map(|line| format!("{}{}\n", &line[..16], &line[19..])).collect();
    let got = read(&[Raw { text, ..raw }.save(folder.path(), "a.dat.gz")]);
    assert_eq!(got.lines, BEGUN[..4]);
    assert_eq!(got.report.files[0].resolution, Nanos(1_000));
}

// ---- what is broken ------------------------------------------------------------------------------------------------------------------

#[test]
fn a_gap_takes_the_book_away_until_a_snapshot_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new()
        .begun()
        .trade(20, 7, "100.0")
        .depth(30, 15, 16, "99.8 1", "")
        .depth(40, 16, 17, "99.8 2", "")
        .snapshot(45, 16, "100.0 1", "100.1 1")
        .depth(50, 17, 18, "99.8 3", "");
    let got = read(&[raw.save(folder.path(), "a")]);
    let rest = [
        "30 0 Down",
        "30 0 depth 16..16 after 15: bid 998x10 ask",
        "40 0 depth 17..17 after 16: bid 998x20 ask",
        "45 0 Up",
        "45 0 book 17: bid 1000x10 998x20 ask 1001x10",
        "50 0 depth 18..18 after 17: bid 998x30 ask",
    ];
    assert_eq!(got.lines, with(&BEGUN, &rest));
    assert_eq!(got.faults(), [(FaultKind::Gap, 5)]);
    assert_eq!((got.report.books[0].known, got.report.books[0].lost), (2, 1));
}

#[test]
fn a_crossed_book_is_lost_until_it_is_uncrossed() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new()
        .begun()
        .trade(20, 7, "100.0")
        .depth(30, 12, 13, "100.1 1", "")
        .depth(40, 13, 14, "99.7 1", "")
        .depth(50, 14, 15, "", "100.1 0");
    let got = read(&[raw.save(folder.path(), "a")]);
    let rest = [
        "30 0 Down",
        "30 0 depth 13..13 after 12: bid 1001x10 ask",
        "40 0 depth 14..14 after 13: bid 997x10 ask",
        "50 0 depth 15..15 after 14: bid ask 1001x0",
        "50 0 Up",
        "50 0 book 15: bid 1001x10 1000x15 999x20 997x10 ask 1002x8",
    ];
    assert_eq!(got.lines, with(&BEGUN, &rest));
    assert_eq!(got.faults(), [(FaultKind::Crossed, 5)]);
}

#[test]
fn a_best_quote_that_contradicts_the_book_loses_it() {
    let folder = tempfile::tempdir().unwrap();
    let raw =
        Raw::new().begun().quote(20, 12, "100.0", "100.1").quote(30, 13, "99.9", "100.1").depth(40, 12, 13, "", "");
    let got = read(&[raw.save(folder.path(), "a")]);
    let rest = [
        "20 0 quote 12: 1000x10 1001x10",
        "30 0 quote 13: 999x10 1001x10",
        "40 0 Down",
        "40 0 depth 13..13 after 12: bid ask",
    ];
    assert_eq!(got.lines, with(&BEGUN[..4], &rest));
    assert_eq!(got.faults(), [(FaultKind::Mismatch, 6)]);
}

#[test]
fn a_hole_that_the_recording_tells_of_loses_every_book_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let raw =
        Raw::new().begun().trade(20, 7, "100.0").put(30, r#"{"spinquote":{"gap":"closed"}}"#).trade(31, 8, "100.0");
    let got = read(&[raw.save(folder.path(), "a")]);
    assert_eq!(got.lines, with(&BEGUN, &["30 0 Down", "31 0 Sell 8: 1000x1"]));
    assert_eq!(got.faults(), [(FaultKind::Gap, 5)]);
}

#[test]
fn a_malformed_line_is_told_with_its_number_and_a_lost_change_shows_as_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let good = Raw::new().begun().trade(20, 7, "100.0").depth(30, 12, 13, "99.8 1", "").depth(40, 13, 14, "99.8 2", "");
    let lines: Vec<&str> = good.text.lines().collect();
    for broken in [lines[4].replace("99.8", "99.x"), lines[4].replace("}", ""), "no line at all".to_owned()] {
        let mut text = lines.clone();
        text[4] = &broken;
        let got = read(&[Raw { text: text.join("\n") + "\n", ..Raw::new() }.save(folder.path(), "a")]);
        let rest = ["40 0 Down", "40 0 depth 14..14 after 13: bid 998x20 ask"];
        assert_eq!(got.lines, with(&BEGUN, &rest), "{broken}");
        assert_eq!(got.faults(), [(FaultKind::Malformed, 5), (FaultKind::Gap, 6)]);
    }
}

#[test]
fn a_cut_file_ends_with_its_market_lost() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().begun().trade(20, 7, "100.0");
    let cut = Raw { text: raw.text.clone() + "1700000000030000000 {\"e\":\"trade\",\"E\":17", ..Raw::new() };
    let other = Raw::of("XYZUSDT").trade(25, 1, "5.0").save(folder.path(), "b");
    let got = read(&[cut.save(folder.path(), "a"), other]);
    assert_eq!(got.lines, with(&BEGUN, &["20 0 Down", "25 1 Sell 1: 1x1"]));
    assert_eq!(got.faults(), [(FaultKind::Cut, 5)]);

    let mut long = Raw::new().begun();
    for n in 0..3_000 {
        long = long.trade(20 + n, n as u64 + 1, &format!("{}.{}", 90 + n % 7, n % 10));
    }
    let path = long.save(folder.path(), "c.gz");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let got = read(&[path]);
    assert!(got.lines.len() > 500 && got.lines.last().unwrap().ends_with("0 Down"), "{}", got.lines.len());
    let whole = got.report.files[0].frames;
    assert_eq!(got.faults(), [(FaultKind::Cut, whole + 1)]);
}

#[test]
fn a_faulty_row_of_data_without_update_ids_loses_the_book() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(sample("incremental_book_L2.csv")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    for broken in
        ["binance-futures,ABCUSDT,x,1700000000025000,false,bid,99.9,4", "a,b", &lines[7].replace("bid", "left")]
    {
        let mut text = lines.clone();
        text[7] = broken;
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text.join("\n")).unwrap();
        let got = read(&[path]);
        assert_eq!(got.lines[3], "25 0 Down", "{broken}");
        // The rest of the message is no message.
        assert_eq!(
            got.lines[4..],
            ["45 0 Up", "45 0 book 3: bid 999x33 ask 1002x10", "55 0 depth 4..4 after 3: bid ask 1001x9"]
        );
        assert_eq!(got.faults(), [(FaultKind::Malformed, 8)]);
    }
    for row in 2..6 {
        let mut text = lines.clone();
        text[row] = "binance-futures,ABCUSDT,1700000000010000,1700000000015000,true,bid,100.x,1.5";
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text.join("\n")).unwrap();
        let got = read(&[path]);
        let up = got.lines.iter().find(|line| line.ends_with("Up"));
        assert_eq!(up.unwrap(), "45 0 Up", "half of the first snapshot is no book: row {row}");
    }
    let path = folder.path().join("cut.csv");
    std::fs::write(&path, &good[..good.len() - 14]).unwrap();
    let got = read(&[path]);
    assert_eq!(got.lines.last().unwrap(), "45 0 Down");
    assert_eq!(got.faults(), [(FaultKind::Cut, 12)]);
}

#[test]
fn a_damaged_array_is_told_at_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(sample("abcusdt_stored.npz")).unwrap();
    let path = folder.path().join("abcusdt.npz");
    // A quantity of the last row: on the grid again, so that only the checksum tells.
    let at = bytes.windows(8).rposition(|window| window == 0.9_f64.to_le_bytes()).unwrap();
    let mut other = bytes.clone();
    other[at..at + 8].copy_from_slice(&0.8_f64.to_le_bytes());
    std::fs::write(&path, &other).unwrap();
    let got = read(std::slice::from_ref(&path));
    assert_eq!(got.lines.last().unwrap(), "55 0 Down");
    assert_eq!(got.faults(), [(FaultKind::Cut, 21)]);
    assert!(got.report.files[0].faults()[0].what.contains("checksum"));

    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = try_read(&[path], &SourceOptions::default()).err().unwrap();
    assert!(matches!(error, DataFault::Array { .. }), "an archive's list stands at its end: {error}");
}

#[test]
fn without_a_snapshot_the_book_is_rebuilt_once_the_best_quotes_confirm_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut raw = Raw::new().depth(0, 9, 10, "100.0 1", "100.1 1");
    for n in 1..=12_u64 {
        let ms = n as i64 * 1_000;
        raw = raw.quote(ms - 1, 10 + n, "100.0", "100.1").depth(ms, 9 + n, 10 + n, "99.8 1", "");
    }
    let got = read(&[raw.save(folder.path(), "a")]);
    let up = got.lines.iter().position(|line| line.ends_with("Up")).unwrap();
    assert_eq!(got.lines[up], "10000 0 Up");
    assert_eq!(got.lines[up + 1], "10000 0 book 20: bid 1000x1 998x1 ask 1001x1");
    assert_eq!((got.report.books[0].rebuilt, got.report.books[0].lost), (1, 0));

    // Quotes that tell of a better level that never changed: nothing is believed.
    let mut raw = Raw::new().depth(0, 9, 10, "99.9 1", "100.1 1");
    for n in 1..=40_u64 {
        let ms = n as i64 * 1_000;
        raw = raw.quote(ms - 1, 10 + n, "100.0", "100.1").depth(ms, 9 + n, 10 + n, "99.8 1", "");
    }
    let got = read(&[raw.save(folder.path(), "b")]);
    assert_eq!((got.report.books[0].known, got.report.books[0].rebuilt), (0, 0));
}

#[test]
fn what_is_no_data_at_all_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        try_read(std::slice::from_ref(&path), &SourceOptions::default()).err().unwrap()
    };
    for text in ["hello\n", "exchange,symbol,timestamp\n", "{\"a\":1}\n"] {
        let error = refused(text.as_bytes());
        assert!(matches!(error, DataFault::Unknown { .. }), "{text:?}: {error}");
    }
    let gz = flate2::write::GzEncoder::new(Vec::new(), Default::default()).finish().unwrap();
    for empty in [b"".as_slice(), b"\n\n", &gz] {
        assert!(matches!(refused(empty), DataFault::Nothing { .. }), "{empty:?}");
    }
    for (header, kind, lacks) in [
        ("exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price", "Tardis incremental_book_L2", "amount"),
        ("exchange,symbol,timestamp,local_timestamp,id,side,amount", "Tardis trades", "price"),
        ("exchange,symbol,timestamp,ask_amount,ask_price,bid_price", "Tardis quotes", "local_timestamp, bid_amount"),
    ] {
        let error = refused(header.as_bytes()).to_string();
        assert!(error.ends_with(&format!("a, line 1: of kind {kind}, but without {lacks}")), "{error}");
    }
    let error = try_read(&[folder.path().join("none")], &SourceOptions::default()).err().unwrap();
    assert!(matches!(error, DataFault::Open { .. }), "{error}");
    assert!(matches!(try_read(&[], &SourceOptions::default()), Err(DataFault::NoFiles)));
}

#[test]
fn two_files_with_grids_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().begun().save(folder.path(), "raw");
    let out = folder.path().join("coarse.sqfeed");
    let file = std::fs::File::create(&out).unwrap();
    FeedWriter::new(file, &[Instrument::synthetic("ABCUSDT", "0.25", "0.1")]).unwrap().finish().unwrap();
    let error = try_read(&[raw, out], &SourceOptions::default()).err().unwrap();
    assert!(matches!(error, DataFault::OtherTerms { .. }), "{error}");
}

// ---- the compact feed ------------------------------------------------------------------------------------------------------------------

/// An event with the levels that it borrows.
#[derive(Clone, Debug)]
struct Owned {
    local: i64,
    venue: i64,
    kind: u8,
    instrument: u16,
    numbers: [u64; 3],
    values: [i64; 4],
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Owned {
    fn timed(&self) -> Timed<'_> {
        let (instrument, venue_time) = (InstrumentId(self.instrument), Nanos(self.venue));
        let [a, b, c] = self.numbers;
        let [w, x, y, z] = self.values;
        let level = |price, qty| Level { price: Ticks(price), qty: Lots(qty) };
        let (bids, asks) = (&self.bids[..], &self.asks[..]);
        let wide = |value: i64| Price(i128::from(value) * 1_000_000_007_000);
        let event = match self.kind {
            0 => {
                let (first, last, prev) = (Seq(a), Seq(b), Seq(c));
                Event::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids, asks })
            }
            1 => Event::Snapshot(DepthSnapshot { instrument, last: Seq(a), venue_time, bids, asks }),
            2 => Event::Quote(BestQuote { instrument, seq: Seq(a), bid: level(w, x), ask: level(y, z), venue_time }),
            3 => Event::Trade(Trade {
                instrument,
                id: a,
                price: Ticks(w),
                qty: Lots(x),
                taker: if b & 1 == 0 { Side::Buy } else { Side::Sell },
                aggregate: c & 1 == 1,
                venue_time,
            }),
            4 => Event::Mark(MarkPrice {
                instrument,
                mark: wide(w),
                index: wide(x),
                funding_rate: Rate(y),
                next_funding: Nanos(z),
                venue_time,
            }),
            5 => Event::Link {
                instrument,
                link: [Link::Market, Link::Private, Link::OrderEntry][(a % 3) as usize],
                state: [LinkState::Up, LinkState::Down, LinkState::Stale][(b % 3) as usize],
            },
            _ => Event::External { instrument, price: wide(w) },
        };
        Timed { local: Nanos(self.local), venue: venue_time, event }
    }
}

fn some_levels() -> impl Strategy<Value = Vec<Level>> {
    let level = any::<(i64, i64)>().prop_map(|(price, qty)| Level { price: Ticks(price), qty: Lots(qty) });
    prop::collection::vec(level, 0..20)
}

fn some_event() -> impl Strategy<Value = Owned> {
    let numbers = any::<[u64; 3]>();
    (0..1_000_i64, any::<i64>(), 0..7_u8, 0..2_u16, numbers, any::<[i64; 4]>(), some_levels(), some_levels()).prop_map(
        |(local, venue, kind, instrument, numbers, values, bids, asks)| Owned {
            local,
            venue,
            kind,
            instrument,
            numbers,
            values,
            bids,
            asks,
        },
    )
}

fn pair() -> [Instrument; 2] {
    [abc(), Instrument::synthetic("XYZUSDT", "0.25", "10")]
}

fn written(events: &[Owned]) -> Vec<u8> {
    let mut writer = FeedWriter::new(Cursor::new(Vec::new()), &pair()).unwrap();
    events.iter().for_each(|event| writer.append(&event.timed()).unwrap());
    let (out, written) = writer.finish().unwrap();
    assert_eq!((written.records, written.bytes), (events.len() as u64, out.get_ref().len() as u64));
    out.into_inner()
}

proptest! {
    #[test]
    fn what_is_written_is_read(mut events in prop::collection::vec(some_event(), 0..40)) {
        events.sort_by_key(|event| event.local);
        let bytes = written(&events);
        let feed = Feed::from_bytes(bytes.clone()).unwrap();
        let mut cursor = feed.cursor();
        let mut weight = 0;
        for event in &events {
            let timed = cursor.next().unwrap();
            prop_assert_eq!(format!("{timed:?}"), format!("{:?}", event.timed()));
            weight += layout::weight(&timed.event);
        }
        prop_assert!(cursor.next().is_none());
        prop_assert_eq!((feed.events(), feed.records()), (weight, events.len() as u64));
        prop_assert_eq!(feed.instruments(), &pair()[..]);
        let span = events.first().zip(events.last()).map(|(first, last)| (Nanos(first.local), Nanos(last.local)));
        prop_assert_eq!(feed.span(), span);
        // The same from a mapping.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let mapped = Feed::open(file.path()).unwrap();
        let (mut one, mut two) = (feed.cursor(), mapped.cursor());
        while let Some(timed) = one.next() {
            prop_assert_eq!(format!("{:?}", two.next().unwrap()), format!("{timed:?}"));
        }
        prop_assert!(two.next().is_none());
    }
}

fn small() -> Vec<u8> {
    let level = |price| Level { price: Ticks(price), qty: Lots(1) };
    let event = |local, kind| Owned {
        local,
        venue: local - 1,
        kind,
        instrument: 0,
        numbers: [10, 11, 9],
        values: [1_000, 2, 1_001, 3],
        bids: vec![level(1_000), level(999)],
        asks: vec![level(1_001)],
    };
    written(&(0..7).map(|kind| event(i64::from(kind), kind)).collect::<Vec<_>>())
}

#[test]
fn every_flipped_byte_and_every_cut_is_found() {
    let good = small();
    assert_eq!(Feed::from_bytes(good.clone()).unwrap().records(), 7);
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= bit;
            let error = Feed::from_bytes(bytes).map(|feed| feed.records()).unwrap_err();
            let due = match at {
                0..8 => matches!(error, FeedError::Foreign),
                8..12 => matches!(error, FeedError::Older(_) | FeedError::Newer(_)),
                _ => matches!(error, FeedError::Damaged { .. }),
            };
            assert!(due, "byte {at}: {error}");
        }
    }
    for len in 0..good.len() {
        let error = Feed::from_bytes(good[..len].to_vec()).map(|feed| feed.records()).unwrap_err();
        let due = if len == 0 { matches!(error, FeedError::Foreign) } else { matches!(error, FeedError::Short { .. }) };
        assert!(due, "cut at {len}: {error}");
    }
    for more in 1..9 {
        let long = [&good[..], &vec![0; more]].concat();
        assert!(matches!(Feed::from_bytes(long), Err(FeedError::Damaged { .. })), "{more} bytes behind it");
    }
}

#[test]
fn versions_and_unfinished_feeds_have_their_names() {
    let of = |version: u32| {
        let mut bytes = small();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        Feed::from_bytes(bytes).map(|feed| feed.records()).unwrap_err()
    };
    assert!(matches!(of(0), FeedError::Older(0)));
    assert!(matches!(of(layout::VERSION + 1), FeedError::Newer(_)));
    assert!(of(2).to_string().contains("layout version 2; this program reads 1"), "{}", of(2));
    assert!(matches!(Feed::from_bytes(b"PK\x03\x04".to_vec()), Err(FeedError::Foreign)));

    // As it lies on the disk when the writer is stopped.
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = FeedWriter::new(file.reopen().unwrap(), &pair()).unwrap();
    drop(writer);
    let error = Feed::open(file.path()).err().unwrap().to_string();
    assert!(error.contains("never finished"), "{error}");
    assert!(error.starts_with(&file.path().display().to_string()), "{error}");
    assert!(matches!(Feed::open(Path::new("/nonexistent")), Err(FeedError::Open { .. })));
}

#[test]
fn a_writer_takes_only_what_a_feed_can_hold() {
    let event = |local, instrument| Owned {
        local,
        venue: 0,
        kind: 3,
        instrument,
        numbers: [1; 3],
        values: [1; 4],
        bids: Vec::new(),
        asks: Vec::new(),
    };
    let mut writer = FeedWriter::new(Cursor::new(Vec::new()), &pair()).unwrap();
    writer.append(&event(5, 0).timed()).unwrap();
    assert!(matches!(writer.append(&event(4, 0).timed()), Err(FeedError::Order { .. })));
    assert!(matches!(writer.append(&event(6, 2).timed()), Err(FeedError::Instrument { count: 2, .. })));
    let timer = Timed { local: Nanos(7), venue: Nanos(7), event: Event::Timer };
    assert!(matches!(writer.append(&timer), Err(FeedError::NotMarket)));
    writer.append(&event(5, 1).timed()).unwrap();
    let (bytes, written) = writer.finish().unwrap();
    assert_eq!(written.records, 2, "what was refused is not in it");
    assert_eq!(Feed::from_bytes(bytes.into_inner()).unwrap().records(), 2);
}

#[test]
fn a_feed_of_many_blocks_is_checked_block_by_block() {
    let levels: Vec<Level> = (0..1_000).map(|at| Level { price: Ticks(at), qty: Lots(at) }).collect();
    let events: Vec<Owned> = (0..300)
        .map(|local| Owned {
            local,
            venue: 0,
            kind: 0,
            instrument: 0,
            numbers: [1; 3],
            values: [0; 4],
            bids: levels.clone(),
            asks: Vec::new(),
        })
        .collect();
    let bytes = written(&events);
    assert!(bytes.len() > 4 * layout::BLOCK);
    let mut damaged = bytes.clone();
    damaged[3 * layout::BLOCK] ^= 4;
    let Err(FeedError::Damaged { at, .. }) = Feed::from_bytes(damaged) else { panic!("damage passes") };
    assert!((at as usize) < 3 * layout::BLOCK && at as usize > 2 * layout::BLOCK, "{at}");
    assert_eq!(Feed::from_bytes(bytes).unwrap().events(), 300_000);
}

#[test]
fn a_converted_stream_is_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let raw = Raw::new().begun().trade(20, 7, "100.0").depth(30, 15, 16, "99.8 1", "").save(folder.path(), "a.gz");
    let out = folder.path().join("a.sqfeed");
    let convert = |json: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spinquote"));
        command.arg("convert").arg(&raw).arg("-o").arg(&out);
        command.args((!json.is_empty()).then_some(json)).output().unwrap()
    };
    let output = convert("--json");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["files"][0]["frames"], 5);
    assert_eq!(summary["files"][0]["faults"]["gap"], 1);
    assert_eq!(summary["files"][0]["places"][0]["line"], 5);
    assert_eq!((&summary["books"][0]["lost"], &summary["out"]["events"]), (&json!(1), &json!(8)));
    let (direct, converted) = (read(std::slice::from_ref(&raw)), read(std::slice::from_ref(&out)));
    assert_eq!(direct.lines, converted.lines);
    assert_eq!(direct.instruments, converted.instruments);
    assert_eq!(converted.report.events(), 8);

    let again = convert("");
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && error.contains("exists; a feed never replaces a file"), "{error}");
    std::fs::remove_file(&out).unwrap();
    let text = String::from_utf8(convert("").stdout).unwrap();
    assert!(text.contains("a.gz, line 5: gap: the change follows 15, the one before it ended with 12"), "{text}");
    assert!(text.contains("book of ABCUSDT: known 1 times") && text.contains("8 events"), "{text}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_feed_merges_with_other_files_and_its_instruments_get_the_streams_ids() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.sqfeed");
    let terms = [abc(), Instrument::synthetic("XYZUSDT", "0.25", "0.1")];
    let mut writer = FeedWriter::new(std::fs::File::create(&out).unwrap(), &terms).unwrap();
    let trade = |ms: i64, instrument| Owned {
        local: (START + ms) * 1_000_000,
        venue: 0,
        kind: 3,
        instrument,
        numbers: [1, 0, 0],
        values: [20, 30, 0, 0],
        bids: Vec::new(),
        asks: Vec::new(),
    };
    for (ms, instrument) in [(1, 0), (3, 1)] {
        writer.append(&trade(ms, instrument).timed()).unwrap();
    }
    writer.finish().unwrap();
    let raw = Raw::of("XYZUSDT").trade(2, 9, "5.00").save(folder.path(), "b");
    let options = SourceOptions::default();
    let got = try_read(&[raw, out], &options).unwrap();
    assert_eq!(got.lines, ["1 1 Buy 1: 20x30", "2 0 Sell 9: 20x1", "3 0 Buy 1: 20x30"]);
}

// ---- real sessions ---------------------------------------------------------------------------------------------------------------------

#[test]
fn the_recorded_sessions_are_read_whole() {
    if let Some(path) = recording("binance_usdm/btcusdt_20240808.gz") {
        let got = count(&path);
        let file = &got.files[0];
        assert_eq!((file.frames, file.depth, file.quotes, file.snapshots), (93_954, 6_551, 66_089, 1));
        // Prints of the insurance fund are no prints of the book.
        assert!((21_300..=21_313).contains(&file.trades), "{}", file.trades);
        assert!(file.faults().is_empty(), "{:?}", file.faults());
        assert!((Nanos::from_millis(1_273)..Nanos::from_millis(1_275)).contains(&file.shift), "{:?}", file.shift);
        let book = &got.books[0];
        assert_eq!((book.known, book.rebuilt, book.lost), (1, 0, 0));
    }
    if let Some(path) = recording("binance_usdm/btcusdt_20230405.dat.gz") {
        let got = count(&path);
        let file = &got.files[0];
        assert_eq!((file.depth, file.resolution), (11_788, Nanos(1_000)));
        assert!(file.faults().is_empty(), "{:?}", file.faults());
        let book = &got.books[0];
        assert_eq!((book.known, book.rebuilt, book.lost), (1, 1, 0), "it has no snapshot");
    }
    if let Some(path) = recording("binance_spot/btcusdt_20240808.gz") {
        let got = count(&path);
        assert_eq!(got.files[0].kind, FileKind::RawSpot);
        assert_eq!(got.count(FaultKind::Malformed), 0, "{:?}", got.files[0].faults());
        assert!(got.books[0].known >= 1 && got.files[0].depth > 3_000, "{:?}", got.books);
    }
}

fn count(path: &Path) -> DataReport {
    let mut source = Source::open(&[path.to_owned()], &SourceOptions::default()).unwrap();
    let (mut weight, mut last) = (0, Nanos::ZERO);
    while let Some(timed) = source.next().unwrap() {
        assert!(timed.local >= last);
        last = timed.local;
        weight += layout::weight(&timed.event);
    }
    assert_eq!(source.report().events(), weight);
    source.report().clone()
}
