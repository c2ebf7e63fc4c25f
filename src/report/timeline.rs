//! Values over time in a fixed number of buckets: when the time outgrows them, neighbours join and a bucket covers twice as much.
//! Holds exact integers; keeps first place for extremes, so a spike of a nanosecond is still seen after a year.

use super::Split;
use super::model::{Timeline, rounded};
use crate::instrument::Instrument;
use crate::unit::{Lots, Money, Nanos, Ticks};

/// Most buckets: what a wide screen can show twice over.
const BUCKETS: usize = 4096;
/// Width of the first buckets.
const WIDTH_FIRST: Nanos = Nanos::from_millis(1);

/// Everything that has a line, now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    /// Best bid and ask of the market.
    pub touch: Option<(Ticks, Ticks)>,
    /// Our best resting bid and ask.
    pub own: [Option<Ticks>; 2],
    pub position: Lots,
    pub split: Split,
}

impl Now {
    pub fn mid2(&self) -> Option<i64> {
        self.touch.map(|(bid, ask)| bid.0 + ask.0)
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Number since the start, in units of the width.
    index: i64,
    last: Now,
    mid2: Option<(i64, i64)>,
    position: (Lots, Lots),
    equity: (Money, Money),
}

impl Bucket {
    fn of(index: i64, now: &Now) -> Self {
        let (mid2, equity) = (now.mid2(), now.split.total());
        Self {
            index,
            last: *now,
            mid2: mid2.map(|mid2| (mid2, mid2)),
            position: (now.position, now.position),
            equity: (equity, equity),
        }
    }

    fn join(&mut self, later: &Self) {
        self.last = later.last;
        self.mid2 = match (self.mid2, later.mid2) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self.position = (self.position.0.min(later.position.0), self.position.1.max(later.position.1));
        self.equity = (self.equity.0.min(later.equity.0), self.equity.1.max(later.equity.1));
    }
}

/// The buckets.
#[derive(Debug)]
pub(super) struct Buckets {
    start: Nanos,
    width: Nanos,
    /// Only those in which something happened, in order.
    used: Vec<Bucket>,
    /// End of the newest bucket.
    end: Nanos,
}

impl Buckets {
    pub fn new() -> Self {
        Self { start: Nanos::ZERO, width: WIDTH_FIRST, used: Vec::with_capacity(BUCKETS), end: Nanos(i64::MIN) }
    }

    /// The values are these from `at` on. Time that runs backwards counts into the newest bucket.
    #[inline]
    pub fn put(&mut self, start: Nanos, at: Nanos, now: &Now) {
        if at < self.end
            && let Some(newest) = self.used.last_mut()
        {
            let index = newest.index;
            newest.join(&Bucket::of(index, now));
            return;
        }
        self.put_new(start, at, now);
    }

    #[cold]
    fn put_new(&mut self, start: Nanos, at: Nanos, now: &Now) {
        self.start = start;
        let index = |width: Nanos| (at.0 - start.0).max(0) / width.0;
        while index(self.width) >= BUCKETS as i64 {
            self.width.0 *= 2;
            self.used.iter_mut().for_each(|bucket| bucket.index /= 2);
            self.used.dedup_by(|later, kept| {
                let same = later.index == kept.index;
                if same {
                    kept.join(later);
                }
                same
            });
        }
        let index = index(self.width);
        match self.used.last_mut().filter(|last| last.index >= index) {
            Some(last) => last.join(&Bucket::of(last.index, now)),
            None => self.used.push(Bucket::of(index, now)),
        }
        self.end = Nanos(start.0 + (index + 1) * self.width.0);
    }

    /// As columns. The last entry stands at `end`, with what was true then.
    pub fn columns(mut self, instrument: &Instrument, end: Nanos) -> Timeline {
        if let Some(last) = self.used.last().map(|bucket| bucket.last) {
            self.put(self.start, end, &last);
        }
        let half_tick = instrument.tick.atto() as f64 / 2e18;
        let price = |half_ticks: i64| rounded(half_ticks as f64 * half_tick);
        let qty = |lots: Lots| base(instrument, lots);
        let mut out = Timeline { bucket_s: self.width.0 as f64 / 1e9, ..Timeline::default() };
        for bucket in &self.used {
            let Bucket { index, last, mid2, position, equity } = bucket;
            let ends = ((index + 1) * self.width.0).min((end - self.start).0);
            out.t.push(ends as f64 / 1e9);
            out.bid.push(last.touch.map(|(bid, _)| price(2 * bid.0)));
            out.ask.push(last.touch.map(|(_, ask)| price(2 * ask.0)));
            out.mid.push(last.mid2().map(price));
            out.mid_min.push(mid2.map(|(min, _)| price(min)));
            out.mid_max.push(mid2.map(|(_, max)| price(max)));
            out.own_bid.push(last.own[0].map(|ticks| price(2 * ticks.0)));
            out.own_ask.push(last.own[1].map(|ticks| price(2 * ticks.0)));
            out.position.push(qty(last.position));
            out.position_min.push(qty(position.0));
            out.position_max.push(qty(position.1));
            out.equity.push(quote(last.split.total()));
            out.equity_min.push(quote(equity.0));
            out.equity_max.push(quote(equity.1));
            out.spread.push(quote(last.split.spread));
            out.inventory.push(quote(last.split.inventory));
            out.fees.push(quote(-last.split.fees));
            out.funding.push(quote(last.split.funding));
        }
        out
    }
}

/// Money for presentation.
pub(super) fn quote(money: Money) -> f64 {
    rounded(money.0 as f64 / 1e18)
}

/// A quantity for presentation.
pub(super) fn base(instrument: &Instrument, lots: Lots) -> f64 {
    rounded(lots.0 as f64 * (instrument.lot.atto() as f64 / 1e18))
}

/// A price for presentation.
pub(super) fn price(instrument: &Instrument, ticks: Ticks) -> f64 {
    rounded(ticks.0 as f64 * (instrument.tick.atto() as f64 / 1e18))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the figures are small whole numbers, which a double holds exactly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(mid: i64, position: i64) -> Now {
        let split = Split { spread: Money(i128::from(position) * 1_000_000_000_000_000_000), ..Split::default() };
        Now { touch: Some((Ticks(mid), Ticks(mid))), own: [None; 2], position: Lots(position), split }
    }

    proptest! {
        /// Whatever the times: the last values, the extremes of the whole and the order in time are those of the plain list.
        #[test]
        fn joined_buckets_keep_ends_and_extremes(
            steps in prop::collection::vec((0_i64..200_000_000, 1_i64..1000, -50_i64..50), 1..600),
            stretch in prop_oneof![Just(1_i64), Just(1000), Just(1_000_000)],
        ) {
            let instrument = Instrument::synthetic("BTCUSDT", "1", "1");
            let (start, mut now) = (Nanos(5), Nanos(5));
            let mut buckets = Buckets::new();
            for &(step, mid, position) in &steps {
                now = Nanos(now.0 + step * stretch);
                buckets.put(start, now, &at(mid, position));
            }
            let out = buckets.columns(&instrument, now);
            prop_assert!(out.t.len() <= BUCKETS + 1 && out.t.windows(2).all(|pair| pair[0] < pair[1]));
            let ends = (out.mid.last().unwrap().unwrap(), *out.position.last().unwrap(), *out.equity.last().unwrap());
            let &(_, mid, position) = steps.last().unwrap();
            prop_assert_eq!(ends, (mid as f64, position as f64, position as f64));
            let most = |list: &mut dyn Iterator<Item = f64>| list.fold(f64::MIN, f64::max);
            prop_assert_eq!(most(&mut out.mid_max.iter().flatten().copied()), most(&mut steps.iter().map(|step| step.1 as f64)));
            prop_assert_eq!(-most(&mut out.equity_min.iter().map(|low| -low)), steps.iter().map(|step| step.2).min().unwrap() as f64);
        }
    }
}
