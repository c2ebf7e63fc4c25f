//! The limits of the risk gate, and the ring of time buckets that counts messages against them.

use crate::unit::{Lots, Money, Nanos, Rate};

/// What the operator allows. A zero in a limit marked optional switches it off; every other limit is always on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RiskLimits {
    /// Largest position of one instrument in either direction, worst case: every live and unconfirmed order executes, the
    /// larger leg of every pending amend counts.
    pub position_max: Lots,
    /// Largest quantity of one order.
    pub order_qty_max: Lots,
    /// Largest notional of one order.
    pub order_notional_max: Money,
    /// An order's price is at most this fraction away from the mid.
    pub price_band: Rate,
    /// New orders and amends per `interval`.
    pub orders_max: u32,
    /// Messages of any kind per `interval`.
    pub messages_max: u32,
    /// Messages of `messages_max` that only cancels, queries and the flatten may use.
    pub cancel_headroom: u32,
    /// The interval of the two counts.
    pub interval: Nanos,
    /// A total P&L of the run at or below minus this kills. Optional.
    pub loss_max: Money,
    /// Oldest market data (venue time against now, the known difference of the clocks taken off) that may be quoted on. Optional.
    pub data_age_max: Nanos,
    /// Farthest that a venue time may lie ahead of now, the known difference of the clocks taken off. Optional.
    pub skew_max: Nanos,
}

/// Messages in the last interval. Sixteen buckets and the one being filled, so a burst leaves the count
/// between one interval and one interval and a sixteenth after it: never too early.
#[derive(Clone, Copy, Debug)]
pub struct RateWindow {
    buckets: [u32; Self::BUCKETS],
    /// Number of the newest bucket since the epoch.
    newest: i64,
    /// Its place in `buckets`.
    place: usize,
    /// First nanosecond behind it: before it a count changes nothing and divides nothing.
    until: i64,
    width: i64,
    total: u32,
}

impl RateWindow {
    const BUCKETS: usize = 17;

    /// Counts over `interval`.
    ///
    /// # Panics
    /// For an interval below 16 ns.
    #[must_use]
    pub fn new(interval: Nanos) -> Self {
        let width = interval.0 / (Self::BUCKETS as i64 - 1);
        assert!(width > 0, "an interval of {} ns cannot be counted", interval.0);
        // Rounded up, so that sixteen whole buckets never span less than the interval.
        let width = width + i64::from(interval.0 % (Self::BUCKETS as i64 - 1) != 0);
        Self { buckets: [0; Self::BUCKETS], newest: i64::MIN / 2, place: 0, until: i64::MIN, width, total: 0 }
    }

    /// How many were counted in the last interval. A clock that steps back counts into the newest bucket.
    #[inline]
    pub fn count(&mut self, now: Nanos) -> u32 {
        if now.0 >= self.until {
            self.turn(now);
        }
        self.total
    }

    #[cold]
    fn turn(&mut self, now: Nanos) {
        let bucket = now.0.div_euclid(self.width);
        let gone = bucket.saturating_sub(self.newest);
        if gone >= Self::BUCKETS as i64 {
            self.buckets = [0; Self::BUCKETS];
            self.total = 0;
            self.newest = bucket;
        }
        while self.newest < bucket {
            self.newest += 1;
            let place = self.newest.rem_euclid(Self::BUCKETS as i64) as usize;
            self.total -= self.buckets[place];
            self.buckets[place] = 0;
        }
        self.place = self.newest.rem_euclid(Self::BUCKETS as i64) as usize;
        self.until = self.newest.saturating_add(1).saturating_mul(self.width);
    }

    /// Counts one more.
    #[inline]
    pub fn add(&mut self, now: Nanos) {
        self.add_many(now, 1);
    }

    /// Counts so many more.
    #[inline]
    pub fn add_many(&mut self, now: Nanos, many: u32) {
        self.count(now);
        self.buckets[self.place] += many;
        self.total += many;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the list of all times: never fewer than the true count, never more than that of 17 buckets.
        #[test]
        fn the_window_never_undercounts(interval in 16_i64..5_000, steps in prop::collection::vec(0_i64..400, 1..200)) {
            let mut window = RateWindow::new(Nanos(interval));
            let (mut now, mut times) = (1_000_000_i64, Vec::new());
            for step in steps {
                now += step;
                window.add(Nanos(now));
                times.push(now);
                let within = |span: i64| times.iter().filter(|&&t| now - t < span).count() as u32;
                let counted = window.count(Nanos(now));
                prop_assert!(counted >= within(interval));
                prop_assert!(counted <= within(17 * (interval / 16 + 1)));
            }
        }
    }
}
