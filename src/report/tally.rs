//! Counts over time: messages in their busiest windows, time spent in states, samples of the profit. Constant memory.

use super::model::{Limit, Sharpe, rounded};
use crate::unit::{Money, Nanos};

/// Resolution of the windows.
const SLICE: Nanos = Nanos::from_millis(100);
/// Longest window in slices.
const SLICES: usize = 600;

/// What a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// New orders and amends, as venues count.
    Orders,
    /// Messages of any kind.
    Messages,
}

impl Counted {
    /// How many of a slice's orders and other messages count.
    const fn of(self, [orders, others]: [u64; 2]) -> u64 {
        match self {
            Self::Orders => orders,
            Self::Messages => orders + others,
        }
    }
}

/// A limit on messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitOf {
    /// What it counts.
    pub what: Counted,
    /// Over this long, 100 ms to a minute.
    pub window: Nanos,
    /// Most allowed, if known.
    pub max: Option<u64>,
}

/// A limit's window over the slices.
#[derive(Debug)]
struct Window {
    limit: LimitOf,
    /// Its length.
    slices: i64,
    /// What it holds as it ends with the newest slice.
    sum: u64,
    peak: u64,
}

/// Messages in the last minute, and the busiest windows so far.
#[derive(Debug)]
pub(super) struct Rates {
    limits: Vec<Window>,
    /// Orders and other messages per slice, a ring.
    slices: Box<[[u64; 2]; SLICES]>,
    newest: i64,
}

impl Rates {
    pub fn new(limits: &[LimitOf]) -> Self {
        let limits = limits.iter().map(|&limit| {
            let slices = (limit.window.0 / SLICE.0).clamp(1, SLICES as i64);
            Window { limit, slices, sum: 0, peak: 0 }
        });
        let limits = limits.collect();
        Self { limits, slices: Box::new([[0; 2]; SLICES]), newest: i64::MIN / 2 }
    }

    pub fn add(&mut self, at: Nanos, what: Counted) {
        let slice = (at.0 / SLICE.0).max(self.newest);
        let place = |slice: i64| slice.rem_euclid(SLICES as i64) as usize;
        if slice - self.newest >= SLICES as i64 {
            self.slices.fill([0; 2]);
            self.limits.iter_mut().for_each(|window| window.sum = 0);
        } else {
            for next in self.newest + 1..=slice {
                for window in &mut self.limits {
                    window.sum -= window.limit.what.of(self.slices[place(next - window.slices)]);
                }
                self.slices[place(next)] = [0; 2];
            }
        }
        self.newest = slice;
        self.slices[place(slice)][usize::from(what == Counted::Messages)] += 1;
        for window in &mut self.limits {
            window.sum += u64::from(what == Counted::Orders || window.limit.what == Counted::Messages);
            window.peak = window.peak.max(window.sum);
        }
    }

    pub fn finish(&self) -> Vec<Limit> {
        let limit = |&Window { limit, peak, .. }: &Window| Limit {
            name: match limit.what {
                Counted::Orders => "new orders and amends".to_owned(),
                Counted::Messages => "messages of any kind".to_owned(),
            },
            window_s: limit.window.0 as f64 / 1e9,
            peak,
            max: limit.max,
        };
        self.limits.iter().map(limit).collect()
    }
}

/// Changes of the profit over fixed distances, sample and hold.
#[derive(Debug)]
pub(super) struct Returns {
    periods: [Period; 3],
    equity: Money,
}

#[derive(Debug)]
struct Period {
    length: Nanos,
    due: Option<Nanos>,
    last: Money,
    samples: u64,
    sum: f64,
    squares: f64,
}

/// Fewest samples that a ratio is made of.
const SAMPLES_MIN: u64 = 30;
const YEAR_S: f64 = 365.0 * 86_400.0;

impl Returns {
    pub fn new() -> Self {
        let period = |seconds| Period {
            length: Nanos::from_secs(seconds),
            due: None,
            last: Money::ZERO,
            samples: 0,
            sum: 0.0,
            squares: 0.0,
        };
        Self { periods: [period(3600), period(60), period(1)], equity: Money::ZERO }
    }

    /// The profit is `equity` from `at` on.
    pub fn put(&mut self, at: Nanos, equity: Money) {
        for period in &mut self.periods {
            let due = *period.due.get_or_insert(at + period.length);
            if at >= due {
                let passed = (at - due).0 / period.length.0 + 1;
                let change = (self.equity - period.last).0 as f64 / 1e18;
                // Nothing changed in the samples after the first one that was due.
                period.samples += passed.unsigned_abs();
                period.sum += change;
                period.squares += change * change;
                period.last = self.equity;
                period.due = Some(Nanos(due.0 + passed * period.length.0));
            }
        }
        self.equity = equity;
    }

    /// Of the longest distance with samples enough.
    pub fn sharpe(&self) -> Option<Sharpe> {
        let period = self.periods.iter().find(|period| period.samples >= SAMPLES_MIN)?;
        let count = period.samples as f64;
        let mean = period.sum / count;
        let variance = (period.squares - count * mean * mean) / (count - 1.0);
        if variance <= 0.0 {
            return None;
        }
        let (per_sample, sample_s) = (mean / variance.sqrt(), period.length.0 as f64 / 1e9);
        let annual = rounded(per_sample * (YEAR_S / sample_s).sqrt());
        Some(Sharpe { annual, per_sample: rounded(per_sample), sample_s, samples: period.samples })
    }
}

/// How long each of four states lasted: no order of ours, bid only, ask only, both.
#[derive(Debug, Default)]
pub(super) struct Uptime {
    /// When the time counted last ended, while the market is known.
    since: Option<Nanos>,
    spans: [i64; 4],
    /// Distance of our quotes over the mid, in bps, times nanoseconds, while both rested.
    wide: f64,
    state: usize,
    own_bps: f64,
}

impl Uptime {
    /// From `at` on; `own_bps` is our quotes' distance where both rest. Time counts once the market is known.
    pub fn put(&mut self, at: Nanos, known: bool, own: [bool; 2], own_bps: f64) {
        if let Some(since) = self.since {
            let span = (at - since).0.max(0);
            self.spans[self.state] += span;
            if self.state == 3 {
                self.wide += self.own_bps * span as f64;
            }
            self.since = known.then(|| since.max(at));
        } else if known {
            self.since = Some(at);
        }
        (self.state, self.own_bps) = (usize::from(own[0]) + 2 * usize::from(own[1]), own_bps);
    }

    pub fn total_s(&self) -> f64 {
        self.spans.iter().sum::<i64>() as f64 / 1e9
    }

    fn share(&self, span: i64) -> Option<f64> {
        let all = self.spans.iter().sum::<i64>();
        (all > 0).then(|| rounded(span as f64 / all as f64))
    }

    pub fn two_sided(&self) -> Option<f64> {
        self.share(self.spans[3])
    }

    pub fn quoted(&self) -> Option<f64> {
        self.share(self.spans[1..].iter().sum())
    }

    pub fn own_spread_bps(&self) -> Option<f64> {
        (self.spans[3] > 0).then(|| rounded(self.wide / self.spans[3] as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(whole: i128) -> Money {
        Money(whole * 1_000_000_000_000_000_000)
    }

    #[test]
    fn the_busiest_window_is_found_wherever_it_lies() {
        let limit = |what, seconds, max| LimitOf { what, window: Nanos::from_secs(seconds), max };
        let mut rates = Rates::new(&[
            limit(Counted::Orders, 1, Some(5)),
            limit(Counted::Messages, 1, None),
            limit(Counted::Orders, 60, None),
        ]);
        for at in [0, 50, 950, 1_050, 1_100] {
            rates.add(Nanos::from_millis(at), Counted::Orders);
        }
        rates.add(Nanos::from_millis(1_100), Counted::Messages);
        rates.add(Nanos::from_millis(20_000), Counted::Orders);
        // A year of silence clears everything.
        rates.add(Nanos::from_secs(31_536_000), Counted::Orders);
        let peaks: Vec<u64> = rates.finish().iter().map(|limit| limit.peak).collect();
        assert_eq!(peaks, [3, 4, 6]);
        assert_eq!((rates.finish()[0].max, rates.finish()[0].window_s), (Some(5), 1.0));
    }

    #[test]
    fn sharpe_of_known_changes() {
        let mut returns = Returns::new();
        // Every second +3, then -1: mean 1, deviation 2 (sample: 2 * sqrt(n / (n - 1))).
        let mut equity = 0;
        returns.put(Nanos::ZERO, money(0));
        for second in 0..40_i64 {
            equity += if second % 2 == 0 { 3 } else { -1 };
            returns.put(Nanos(second * 1_000_000_000 + 1), money(equity));
        }
        returns.put(Nanos::from_secs(40), money(equity));
        let sharpe = returns.sharpe().unwrap();
        assert_eq!((sharpe.samples, sharpe.sample_s), (40, 1.0));
        let expected = 1.0 / (2.0 * (40.0_f64 / 39.0).sqrt());
        assert!((sharpe.per_sample - expected).abs() < 1e-8, "{sharpe:?}");
        assert!((sharpe.annual / sharpe.per_sample - YEAR_S.sqrt()).abs() < 1e-3);
        // A silent hour is 3600 samples without change, and 60 of a minute: now those are enough.
        returns.put(Nanos::from_secs(3_640), money(equity));
        assert_eq!(returns.sharpe().map(|sharpe| (sharpe.samples, sharpe.sample_s)), Some((60, 60.0)));
    }

    #[test]
    fn time_in_states_counts_while_the_market_is_known() {
        let mut uptime = Uptime::default();
        let at = |seconds| Nanos::from_secs(seconds);
        uptime.put(at(0), false, [false; 2], 0.0);
        uptime.put(at(5), true, [false; 2], 0.0);
        uptime.put(at(6), true, [true, false], 0.0);
        uptime.put(at(7), true, [true, true], 4.0);
        uptime.put(at(8), true, [true, true], 8.0);
        uptime.put(at(9), true, [false; 2], 0.0);
        uptime.put(at(10), false, [true; 2], 0.0);
        uptime.put(at(90), true, [false; 2], 0.0);
        assert_eq!((uptime.total_s(), uptime.two_sided(), uptime.quoted()), (5.0, Some(0.4), Some(0.6)));
        assert_eq!((uptime.own_spread_bps(), Uptime::default().two_sided()), (Some(6.0), None));
    }
}
