//! The script of a synthetic market: which regime rules from when on. Only data; the generator acts on it.

use crate::unit::{Nanos, Rate};

/// How the market behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Regime {
    /// As the recorded sessions: bursts and fat tails, no drift.
    #[default]
    Calm,
    /// The price goes one way, as a fraction of itself per minute (negative: down).
    Trend {
        /// Fraction per minute, at most 0.02 either way.
        per_minute: Rate,
    },
    /// The price falls (or with a negative `drop` jumps up) by a fraction within a span, then stays there.
    Crash {
        /// Fraction of the price, 0.05 for five percent; at most 0.5 either way.
        drop: Rate,
        /// How long it takes; at least 1 s.
        within: Nanos,
    },
    /// As calm, but the funding rate is this from here on, and the mark's premium follows its sign.
    FundingFlip {
        /// The rate to be charged at the next funding time.
        rate: Rate,
    },
}

/// Regimes by time since the start of the market, in order. Before the first entry the market is calm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    entries: Vec<(Nanos, Regime)>,
}

/// A schedule that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Entries are not in the order of their times.
    #[error("regime {nth} starts before the one in front of it; list them by time")]
    Order {
        /// Which entry, counted from 1.
        nth: usize,
    },
    /// A trend, drop or span outside its range.
    #[error(
        "regime {nth} is out of range: a trend is at most 2 % a minute, a crash at most 50 % and not shorter than 1 s"
    )]
    Range {
        /// Which entry, counted from 1.
        nth: usize,
    },
}

impl Schedule {
    /// The recorded sessions' behaviour for ever.
    #[must_use]
    pub fn calm() -> Self {
        Self::default()
    }

    /// Regimes with their start, counted from the start of the market.
    ///
    /// # Errors
    /// Entries out of order or out of range.
    pub fn new(entries: Vec<(Nanos, Regime)>) -> Result<Self, ScheduleError> {
        for (at, entry) in entries.iter().enumerate() {
            let nth = at + 1;
            if at > 0 && entries[at - 1].0 > entry.0 {
                return Err(ScheduleError::Order { nth });
            }
            let fits = match entry.1 {
                Regime::Calm | Regime::FundingFlip { .. } => true,
                Regime::Trend { per_minute } => per_minute.abs() <= Rate::from_bps(200),
                Regime::Crash { drop, within } => drop.abs() <= Rate::from_bps(5_000) && within >= Nanos::from_secs(1),
            };
            if !fits {
                return Err(ScheduleError::Range { nth });
            }
        }
        Ok(Self { entries })
    }

    /// The entry with this number, if there is one.
    pub(super) fn entry(&self, nth: usize) -> Option<(Nanos, Regime)> {
        self.entries.get(nth).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_in_order_and_in_range() {
        let crash = |bps, secs| Regime::Crash { drop: Rate::from_bps(bps), within: Nanos::from_secs(secs) };
        assert!(Schedule::new(vec![(Nanos::from_secs(1), crash(500, 4)), (Nanos::from_secs(9), Regime::Calm)]).is_ok());
        assert_eq!(
            Schedule::new(vec![(Nanos::from_secs(9), Regime::Calm), (Nanos::from_secs(1), Regime::Calm)]),
            Err(ScheduleError::Order { nth: 2 })
        );
        assert_eq!(Schedule::new(vec![(Nanos(0), crash(6_000, 4))]), Err(ScheduleError::Range { nth: 1 }));
        assert_eq!(Schedule::new(vec![(Nanos(0), crash(500, 0))]), Err(ScheduleError::Range { nth: 1 }));
    }
}
