//! The synthetic market against the recorded sessions: the same measurements on both, row by row.
//!
//! `claims` is what the synthetic market is calibrated to (the BTCUSDT session of 2024-08-08 of the published figures) with
//! the factor within which each quantile must lie. The whole comparison is printed: run with `--nocapture`.

use spinquote::event::Side;
use spinquote::instrument::Instrument;
use spinquote::sim::frames;
use spinquote::sim::market::{MarketEvent, MarketKind, MarketSource, Schedule, SyntheticMarket};
use spinquote::unit::Nanos;
use std::collections::BTreeMap;

const QUANTILES: [f64; 6] = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999];

/// Everything measured in a session, from its events in the order in which they came.
struct Session {
    lot: f64,
    first: Option<Nanos>,
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
            first: None,
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
        let first = *self.first.get_or_insert(event.at);
        let second = (event.at - first).0 / 1_000_000_000;
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
            MarketKind::Mark { .. } => return,
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
            let book = market.book();
            println!("levels after the session: {} bid, {} ask", book.len(Side::Buy), book.len(Side::Sell));
            return session;
        }
        frame.clear();
        if let MarketKind::Depth(update) = &event.kind {
            frames::depth_update(&mut frame, Some("btcusdt@depth@0ms"), &instrument, update, event.at);
        }
        session.add(&event, frame.len());
    }
}

#[test]
fn the_synthetic_market_has_the_recorded_statistics() {
    let seed = std::env::var("SEED").map_or(1, |s| s.parse().unwrap());
    for seed in seed..seed + 3 {
        for (name, row) in synthetic(seed, 345).rows() {
            println!("{name:26} {}", row.iter().map(|v| format!("{:>11.4}", v)).collect::<String>());
        }
    }
}
