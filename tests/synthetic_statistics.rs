//! The synthetic market against the recorded sessions: the same measurements on both, row by row.
//!
//! `PUBLISHED_2024` are the figures of the BTCUSDT session of 2024-08-08 that the synthetic market is calibrated to, with
//! what is claimed of each. The whole comparison is printed: run with `--nocapture`. Where the recordings are at hand, the
//! same code measures them and must find the published figures.

#![allow(clippy::print_stdout)] // the comparison is for people to read

use spinquote::event::Side;
use spinquote::instrument::Instrument;
use spinquote::sim::capture::CaptureMarket;
use spinquote::sim::frames;
use spinquote::sim::market::{MarketEvent, MarketKind, MarketSource, Schedule, SyntheticMarket};
use spinquote::unit::Nanos;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

const QUANTILES: [f64; 6] = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999];

/// Everything measured in a session, from its events in the order in which they came.
struct Session {
    lot: f64,
    last: [Option<Nanos>; 3],
    gaps_ms: [Vec<f64>; 3],
    per_second: BTreeMap<i64, u32>,
    depth_bytes: Vec<f64>,
    depth_levels: Vec<f64>,
    distances: Vec<f64>,
    level_sizes: Vec<f64>,
    deletes: usize,
    spreads: Vec<f64>,
    touch_sizes: Vec<f64>,
    touch: Option<(i64, i64)>,
    moves: usize,
    trade_sizes: Vec<f64>,
    signs: Vec<f64>,
    per_venue_ms: BTreeMap<i64, u32>,
    mids: BTreeMap<i64, f64>,
}

const DEPTH: usize = 0;
const QUOTE: usize = 1;
const TRADE: usize = 2;

impl Session {
    fn new(instrument: &Instrument) -> Self {
        Self {
            lot: instrument.lot.atto() as f64 / 1e18,
            last: [None; 3],
            gaps_ms: Default::default(),
            per_second: BTreeMap::new(),
            depth_bytes: Vec::new(),
            depth_levels: Vec::new(),
            distances: Vec::new(),
            level_sizes: Vec::new(),
            deletes: 0,
            spreads: Vec::new(),
            touch_sizes: Vec::new(),
            touch: None,
            moves: 0,
            trade_sizes: Vec::new(),
            signs: Vec::new(),
            per_venue_ms: BTreeMap::new(),
            mids: BTreeMap::new(),
        }
    }

    fn add(&mut self, event: &MarketEvent<'_>, bytes: usize) {
        let second = event.at.0 / 1_000_000_000;
        let kind = match &event.kind {
            MarketKind::Depth(update) => {
                self.depth_bytes.push(bytes as f64);
                self.depth_levels.push((update.bids.len() + update.asks.len()) as f64);
                for level in update.bids.iter().chain(update.asks) {
                    if let Some((bid, ask)) = self.touch {
                        self.distances.push((level.price.0 as f64 - (bid + ask) as f64 / 2.0).abs());
                    }
                    if level.qty.is_zero() {
                        self.deletes += 1;
                    } else {
                        self.level_sizes.push(level.qty.0 as f64 * self.lot);
                    }
                }
                DEPTH
            }
            MarketKind::Quote(quote) => {
                let touch = (quote.bid.price.0, quote.ask.price.0);
                self.spreads.push((touch.1 - touch.0) as f64);
                self.touch_sizes.push(quote.bid.qty.0 as f64 * self.lot);
                self.touch_sizes.push(quote.ask.qty.0 as f64 * self.lot);
                self.moves += usize::from(self.touch.is_some_and(|before| before != touch));
                self.touch = Some(touch);
                self.mids.insert(second, (touch.0 + touch.1) as f64 / 2.0);
                QUOTE
            }
            MarketKind::Trade(trade) => {
                self.trade_sizes.push(trade.qty.0 as f64 * self.lot);
                self.signs.push(if trade.taker == Side::Buy { 1.0 } else { -1.0 });
                *self.per_venue_ms.entry(trade.venue_time.as_millis()).or_default() += 1;
                TRADE
            }
            MarketKind::Snapshot(_) | MarketKind::Lost => unreachable!("neither made nor recorded markets are lost"),
            MarketKind::Mark { .. } => {
                // A recorded one is a frame like others; the 2024 session had none, so made ones are not counted.
                if !event.raw.is_empty() {
                    *self.per_second.entry(second).or_default() += 1;
                }
                return;
            }
        };
        *self.per_second.entry(second).or_default() += 1;
        if let Some(before) = self.last[kind].replace(event.at) {
            self.gaps_ms[kind].push((event.at - before).0 as f64 / 1e6);
        }
    }

    fn rows(&self) -> BTreeMap<&'static str, Vec<f64>> {
        let counts = |map: &BTreeMap<i64, u32>| map.values().map(|&n| f64::from(n)).collect::<Vec<_>>();
        let quotes = self.spreads.len() as f64;
        let updates = (self.deletes + self.level_sizes.len()) as f64;
        let narrow = self.spreads.iter().filter(|&&spread| spread < 1.5).count() as f64;
        let (deviation, kurtosis) = self.returns();
        BTreeMap::from([
            ("frames", vec![self.depth_levels.len() as f64, quotes, self.trade_sizes.len() as f64]),
            ("frames in a second", quantiles(counts(&self.per_second))),
            ("ms between depth frames", quantiles(self.gaps_ms[DEPTH].clone())),
            ("ms between bookTickers", quantiles(self.gaps_ms[QUOTE].clone())),
            ("ms between trades", quantiles(self.gaps_ms[TRADE].clone())),
            ("bytes of a depth frame", quantiles(self.depth_bytes.clone())),
            ("levels in a depth frame", quantiles(self.depth_levels.clone())),
            ("share of deletes", vec![self.deletes as f64 / updates]),
            ("distance of an update", quantiles(self.distances.clone())),
            ("size of a set level", quantiles(self.level_sizes.clone())),
            ("spread in ticks", quantiles(self.spreads.clone())),
            ("share of 1-tick spreads", vec![narrow / quotes]),
            ("size at the touch", quantiles(self.touch_sizes.clone())),
            ("share of price moves", vec![self.moves as f64 / quotes]),
            ("trade size", quantiles(self.trade_sizes.clone())),
            ("trades in one ms", quantiles(counts(&self.per_venue_ms))),
            ("sign autocorrelation", [1, 10, 100].map(|lag| autocorrelation(&self.signs, lag)).to_vec()),
            ("1 s mid return, bps", vec![deviation, kurtosis]),
        ])
    }

    fn returns(&self) -> (f64, f64) {
        let (Some((&from, &start)), Some((&to, _))) = (self.mids.first_key_value(), self.mids.last_key_value()) else {
            return (f64::NAN, f64::NAN);
        };
        let mut last = start;
        let mut returns = Vec::new();
        for second in from + 1..=to {
            let mid = self.mids.get(&second).copied().unwrap_or(last);
            returns.push((mid / last - 1.0) * 1e4);
            last = mid;
        }
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let moment = |power| returns.iter().map(|r| (r - mean).powi(power)).sum::<f64>() / n;
        (moment(2).sqrt(), moment(4) / moment(2).powi(2))
    }
}

/// The published quantiles, then the maximum.
fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let Some(&max) = values.last() else { return vec![f64::NAN; 7] };
    let at = |q: f64| values[((q * values.len() as f64) as usize).min(values.len() - 1)];
    QUANTILES.iter().map(|&q| at(q)).chain([max]).collect()
}

fn autocorrelation(signs: &[f64], lag: usize) -> f64 {
    let mean = signs.iter().sum::<f64>() / signs.len() as f64;
    let variance: f64 = signs.iter().map(|s| (s - mean).powi(2)).sum();
    signs.iter().zip(&signs[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / variance
}

fn btc() -> Instrument {
    Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") }
}

fn synthetic(seed: u64, seconds: i64) -> Session {
    let start = Nanos(1_723_161_256_000_000_000);
    let mut market = SyntheticMarket::new(btc(), seed, start, Schedule::calm());
    let instrument = btc();
    let mut session = Session::new(&instrument);
    let mut frame = Vec::new();
    loop {
        let event = market.next().unwrap().unwrap();
        if event.at.0 > start.0 + seconds * 1_000_000_000 {
            return session;
        }
        frame.clear();
        if let MarketKind::Depth(update) = &event.kind {
            frames::depth_update(&mut frame, Some("btcusdt@depth@0ms"), &instrument, update, event.at);
        }
        session.add(&event, frame.len());
    }
}

/// What is claimed of the synthetic market for one figure.
#[derive(Clone, Copy)]
enum Claim {
    /// Within this factor either way.
    Factor(f64),
    /// Within this distance.
    Near(f64),
    /// Between these.
    Range(f64, f64),
}
use Claim::{Factor as F, Near as N, Range as R};

type Row = (&'static str, &'static [f64], &'static [Claim]);

const PUBLISHED_2024: &[Row] = &[
    ("frames", &[6_551.0, 66_089.0, 21_313.0], &[F(1.1), F(1.4), F(1.4)]),
    (
        "frames in a second",
        &[60.0, 90.0, 195.0, 513.0, 1_520.0, 2_466.0],
        &[F(1.5), F(1.3), F(1.4), F(1.4), F(1.5), F(1.5)],
    ),
    (
        "ms between depth frames",
        &[43.0, 50.0, 52.0, 54.0, 66.0, 87.0, 390.0],
        &[F(1.1), F(1.1), F(1.1), F(1.1), F(1.2), F(2.5), F(2.0)],
    ),
    (
        "ms between bookTickers",
        &[0.0, 0.0, 0.03, 14.0, 76.0, 157.0, 753.0],
        &[N(0.01), N(0.01), N(0.5), F(1.4), F(1.5), F(1.7), F(2.0)],
    ),
    (
        "ms between trades",
        &[0.0, 0.0, 0.0, 45.0, 272.0, 520.0, 1_198.0],
        &[N(0.01), N(0.01), N(0.01), F(1.8), F(1.5), F(1.9), F(2.5)],
    ),
    (
        "bytes of a depth frame",
        &[345.0, 511.0, 890.0, 3_158.0, 13_012.0, 21_155.0, 25_928.0],
        &[F(1.5), F(1.3), F(1.3), F(1.4), F(1.4), F(1.4), F(1.4)],
    ),
    (
        "levels in a depth frame",
        &[8.0, 16.0, 34.0, 142.0, 611.0, 999.0, 1_226.0],
        &[F(1.5), F(1.3), F(1.3), F(1.4), F(1.4), F(1.4), F(1.4)],
    ),
    ("share of deletes", &[0.22], &[N(0.04)]),
    (
        "distance of an update",
        &[0.5, 61.0, 407.0, 5_955.0, 568_298.0, 608_139.0],
        &[F(1.01), F(1.3), F(1.4), F(1.3), F(1.1), F(1.1)],
    ),
    // The p99 lies on the step between the one far bid of 607 and everything else.
    (
        "size of a set level",
        &[0.002, 0.004, 0.13, 2.3, 607.0, 607.0],
        &[F(1.01), F(1.5), F(1.6), F(1.4), F(4.0), F(1.1)],
    ),
    (
        "spread in ticks",
        &[1.0, 1.0, 1.0, 1.0, 29.0, 136.0, 243.0],
        &[F(1.01), F(1.01), F(1.01), F(1.01), F(2.0), F(1.5), F(1.7)],
    ),
    ("share of 1-tick spreads", &[0.94], &[N(0.03)]),
    (
        "size at the touch",
        &[0.002, 0.08, 2.7, 8.5, 23.0, 130.0],
        // Real touches linger at dust before they go; these do so less.
        &[F(4.0), F(3.0), F(1.5), F(1.5), F(2.0), F(2.2)],
    ),
    ("share of price moves", &[0.031], &[N(0.008)]),
    (
        "trade size",
        &[0.001, 0.002, 0.016, 0.27, 1.1, 5.9, 46.0],
        &[F(1.01), F(2.0), F(1.5), F(1.5), F(1.5), F(2.0), F(2.5)],
    ),
    (
        "trades in one ms",
        &[1.0, 1.0, 1.0, 7.0, 45.0, 315.0, 348.0],
        &[F(1.01), F(1.01), F(1.01), F(1.5), F(2.0), F(1.3), F(1.3)],
    ),
    ("sign autocorrelation", &[0.79, 0.58, 0.25], &[N(0.12), N(0.12), N(0.12)]),
    ("1 s mid return, bps", &[1.24, 21.0], &[F(1.3), R(8.0, 45.0)]),
];

const PUBLISHED_2023: &[Row] = &[
    ("frames", &[11_788.0, 37_440.0, 10_738.0], &[]),
    ("frames in a second", &[6.0, 60.0, 99.0, 298.0, 560.0, 770.0], &[]),
    ("ms between depth frames", &[19.0, 31.0, 34.0, 40.0, 57.0, 168.0, 2_094.0], &[]),
    ("ms between bookTickers", &[0.0, 0.0, 1.8, 31.0, 132.0, 267.0, 3_864.0], &[]),
    ("ms between trades", &[0.0, 0.0, 0.0, 121.0, 539.0, 886.0, 1_429.0], &[]),
    ("bytes of a depth frame", &[238.0, 303.0, 491.0, 954.0, 3_495.0, 5_369.0, 8_334.0], &[]),
    ("levels in a depth frame", &[3.0, 6.0, 15.0, 37.0, 158.0, 247.0, 388.0], &[]),
    ("share of deletes", &[0.06], &[]),
    ("distance of an update", &[0.5, 16.0, 142.0, 2_816.0, 231_450.0, 231_588.0], &[]),
    ("size of a set level", &[0.001, 0.017, 0.75, 6.6, 21.0, 194.0], &[]),
    ("spread in ticks", &[1.0, 1.0, 1.0, 1.0, 1.0, 6.0, 14.0], &[]),
    ("share of 1-tick spreads", &[0.99], &[]),
    ("size at the touch", &[0.001, 0.13, 4.0, 13.5, 26.0, 70.0], &[]),
    ("share of price moves", &[0.013], &[]),
    ("trade size", &[0.001, 0.001, 0.012, 0.21, 1.2, 2.9, 22.0], &[]),
    ("trades in one ms", &[1.0, 1.0, 1.0, 6.0, 35.0, 95.0, 111.0], &[]),
    ("sign autocorrelation", &[0.76, 0.51, 0.05], &[]),
    ("1 s mid return, bps", &[0.38, 17.0], &[]),
];

/// Prints one line of a comparison and returns what does not hold, figure by figure.
fn compare(name: &str, published: &[f64], found: &[f64], holds: impl Fn(usize, f64, f64) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut line = format!("{name:24}");
    for (nth, (&expected, &value)) in published.iter().zip(found).enumerate() {
        let good = holds(nth, expected, value);
        line += &format!(" {expected:>9}|{:<9.4}{}", value, if good { ' ' } else { '!' });
        if !good {
            faults.push(format!("{name}, figure {}: {value} instead of {expected}", nth + 1));
        }
    }
    println!("{line}");
    faults
}

#[test]
fn the_synthetic_market_has_the_recorded_statistics() {
    let sessions: Vec<_> = (1..=5).map(|seed| synthetic(seed, 345).rows()).collect();
    println!(
        "synthetic BTCUSDT, median of {} sessions of 345 s: published|found (! outside the claim)",
        sessions.len()
    );
    let mut faults = Vec::new();
    for &(name, published, claims) in PUBLISHED_2024 {
        assert_eq!(published.len(), claims.len(), "{name}");
        let median = |nth: usize| {
            let mut values: Vec<f64> = sessions.iter().map(|rows| rows[name][nth]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let found: Vec<f64> = (0..published.len()).map(median).collect();
        faults.extend(compare(name, published, &found, |nth, expected, value| match claims[nth] {
            F(factor) => value <= expected * factor && value >= expected / factor,
            N(distance) => (value - expected).abs() <= distance,
            R(low, high) => (low..=high).contains(&value),
        }));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The folder of recordings, if there is one.
fn recordings() -> Option<PathBuf> {
    let folder = std::env::var_os("SPINQUOTE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    folder.join("binance_usdm").is_dir().then_some(folder)
}

#[test]
fn the_recordings_have_the_published_statistics_and_rebuild_their_books() {
    let Some(folder) = recordings() else {
        println!("no recordings (SPINQUOTE_DATA): only the synthetic market is measured");
        return;
    };
    let files = [("btcusdt_20240808.gz", PUBLISHED_2024, 503), ("btcusdt_20230405.dat.gz", PUBLISHED_2023, 1_255)];
    for (file, published, same_id) in files {
        let mut market = CaptureMarket::open(&folder.join("binance_usdm").join(file), Some("BTCUSDT")).unwrap();
        assert!(market.damage().is_none());
        let mut session = Session::new(&market.instrument().clone());
        let (mut quotes, mut compared) = (HashMap::new(), 0);
        // The published figures count calendar seconds of the recorder's own clock.
        let behind = market.behind();
        while let Some(mut event) = market.next().unwrap() {
            event.at -= behind;
            // The published sizes count the line's end.
            session.add(&event, event.raw.len() + 1);
            let mut expected = None;
            match event.kind {
                MarketKind::Quote(quote) => drop(quotes.insert(quote.seq, (quote.bid, quote.ask))),
                MarketKind::Depth(update) => expected = quotes.get(&update.last).copied(),
                _ => {}
            }
            let best = (market.book().best(Side::Buy).unwrap(), market.book().best(Side::Sell).unwrap());
            assert!(best.0.price < best.1.price, "{file}: crossed");
            if let Some(expected) = expected {
                assert_eq!(best, expected, "{file}: the book is the best quote at the same id");
                compared += 1;
            }
        }
        assert_eq!(compared, same_id, "{file}");
        println!("{file}: published|found (! differs)");
        let rows = session.rows();
        let mut faults = Vec::new();
        for &(name, published, _) in published {
            // Published figures are rounded to two digits or so.
            faults.extend(compare(name, published, &rows[name], |_, expected, value| {
                let digit = if expected < 0.001 {
                    0.05
                } else if expected < 0.06 {
                    0.006
                } else {
                    0.0
                };
                (value - expected).abs() <= expected.abs() * 0.045 + digit
            }));
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
