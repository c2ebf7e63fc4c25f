//! Where the mid went after our executions: fills wait for their horizons and are settled by the mid of that moment. Holds a bounded
//! number of waiting fills; knows no time but the one it is told.

use super::model::{Markout, rounded, side_name};
use crate::event::Side;
use crate::instrument::Instrument;
use crate::unit::{Lots, Money, Nanos, Ticks};
use std::collections::{BTreeMap, VecDeque};

/// How long after an execution the mid is looked at.
pub(super) const HORIZONS: [Nanos; 4] =
    [Nanos::from_millis(100), Nanos::from_secs(1), Nanos::from_secs(5), Nanos::from_secs(30)];
/// Most fills that wait for one horizon; further ones are not measured there, and the count says so.
const WAITING_MAX: usize = 65_536;
/// Farthest move that is told apart, in 1/100 bps.
const MOVE_MAX: i64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    due: Nanos,
    side: Side,
    price: Ticks,
    qty: Lots,
}

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    bps: f64,
    /// Half ticks times lots.
    total: i128,
    /// Count of each move in 1/100 bps.
    moves: BTreeMap<i64, u64>,
}

impl Sum {
    fn median(&self) -> Option<f64> {
        // The mean of the two in the middle where there are two.
        let at = |rank: u64| {
            let mut seen = 0;
            self.moves.iter().find_map(|(&value, &count)| {
                seen += count;
                (seen > rank).then_some(value)
            })
        };
        let (low, high) = (at(self.count.checked_sub(1)? / 2)?, at(self.count / 2)?);
        Some((low + high) as f64 / 200.0)
    }
}

/// Fills that wait, and the sums of those that do not any more.
#[derive(Debug, Default)]
pub(super) struct Markouts {
    waiting: [VecDeque<Waiting>; HORIZONS.len()],
    /// Per horizon, bid and ask.
    sums: [[Sum; 2]; HORIZONS.len()],
    /// Places in the queues that were not there.
    pub unmeasured: u64,
}

impl Markouts {
    /// An execution; waits from here.
    pub fn fill(&mut self, at: Nanos, side: Side, price: Ticks, qty: Lots) {
        for (waiting, horizon) in self.waiting.iter_mut().zip(HORIZONS) {
            if waiting.len() < WAITING_MAX {
                waiting.push_back(Waiting { due: at + horizon, side, price, qty });
            } else {
                self.unmeasured += 1;
            }
        }
    }

    /// The mid was `mid2` half ticks up to `now`: settles what was due before.
    #[inline]
    pub fn settle(&mut self, now: Nanos, mid2: Option<i64>) {
        for (waiting, sums) in self.waiting.iter_mut().zip(&mut self.sums) {
            while let Some(fill) = waiting.front().copied().filter(|fill| fill.due < now) {
                waiting.pop_front();
                // Without a mid at its moment it is not measured, and the count is smaller.
                let Some(mid2) = mid2 else { continue };
                let moved = (mid2 - 2 * fill.price.0) * fill.side.sign();
                let bps = moved as f64 / (2 * fill.price.0) as f64 * 1e4;
                let sum = &mut sums[fill.side.index()];
                sum.count += 1;
                sum.bps += bps;
                sum.total += i128::from(moved) * i128::from(fill.qty.0);
                *sum.moves.entry(((bps * 100.0).round() as i64).clamp(-MOVE_MAX, MOVE_MAX)).or_default() += 1;
            }
        }
    }

    /// What there is.
    pub fn finish(&self, instrument: &Instrument) -> Vec<Markout> {
        let mut out = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            for (horizon, sums) in HORIZONS.iter().zip(&self.sums) {
                let sum = &sums[side.index()];
                out.push(Markout {
                    side: side_name(side),
                    after_s: horizon.0 as f64 / 1e9,
                    count: sum.count,
                    mean_bps: (sum.count > 0).then(|| rounded(sum.bps / sum.count as f64)),
                    median_bps: sum.median(),
                    total: super::timeline::quote(Money(sum.total * instrument.tick_lot() / 2)),
                });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_is_measured_by_the_mid_in_force_at_each_horizon() {
        let instrument = Instrument::synthetic("BTCUSDT", "1", "1");
        let mut markouts = Markouts::default();
        let ms = |n: i64| Nanos::from_millis(n);
        markouts.fill(ms(0), Side::Buy, Ticks(10_000), Lots(2));
        markouts.fill(ms(0), Side::Sell, Ticks(10_000), Lots(1));
        // Mid 10,001 up to exactly 100 ms, then 10,004, unknown around 5 s, 9,990 at the end.
        markouts.settle(ms(100), Some(20_002));
        markouts.settle(ms(500), Some(20_002));
        markouts.settle(ms(4_000), Some(20_008));
        markouts.settle(ms(6_000), None);
        markouts.settle(ms(30_001), Some(19_980));
        let out = markouts.finish(&instrument);
        let row = |at: usize| (out[at].count, out[at].mean_bps, out[at].median_bps, out[at].total);
        assert_eq!(row(0), (1, Some(1.0), Some(1.0), 2.0));
        assert_eq!(row(1), (1, Some(4.0), Some(4.0), 8.0));
        assert_eq!(row(2), (0, None, None, 0.0));
        assert_eq!(row(3), (1, Some(-10.0), Some(-10.0), -20.0));
        assert_eq!((out[5].side, row(5)), ("sell", (1, Some(-4.0), Some(-4.0), -4.0)));
        assert_eq!((out[7].after_s, row(7)), (30.0, (1, Some(10.0), Some(10.0), 10.0)));
    }

    #[test]
    fn medians_of_even_and_odd_counts() {
        let mut sum = Sum::default();
        for value in [5, -3, 9] {
            *sum.moves.entry(value).or_default() += 1;
            sum.count += 1;
        }
        assert_eq!(sum.median(), Some(0.05));
        sum.moves.insert(6, 1);
        sum.count += 1;
        assert_eq!((sum.median(), Sum::default().median()), (Some(0.055), None));
    }
}
