//! The engine's clock: wall time at start plus the time stamp counter. Never jumps; a wall clock that is stepped later is not followed.

use crate::journal::record::Calibration;
use crate::unit::Nanos;
use std::time::{SystemTime, UNIX_EPOCH};

/// Monotonic nanoseconds since the Unix epoch. Reading costs one TSC read and one multiplication.
#[derive(Clone, Debug)]
pub struct Clock {
    tsc: quanta::Clock,
    raw_start: u64,
    wall_start: Nanos,
}

impl Clock {
    /// Calibrates the counter (takes some milliseconds once per process) and anchors it to the wall clock.
    #[must_use]
    pub fn new() -> Self {
        let tsc = quanta::Clock::new();
        let wall_start = wall();
        Self { raw_start: tsc.raw(), tsc, wall_start }
    }

    /// Now.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Nanos {
        let span = self.tsc.delta_as_nanos(self.raw_start, self.tsc.raw());
        Nanos(self.wall_start.0 + span as i64)
    }

    /// Counter and system clock at one moment.
    #[must_use]
    pub fn calibration(&self) -> Calibration {
        const SPAN: u64 = 1 << 40;
        let (counter, system) = (self.tsc.raw(), wall());
        // Steps of the counter a second, from the length of many of them.
        let span = u128::from(self.tsc.delta_as_nanos(0, SPAN).max(1));
        let millihertz = u128::from(SPAN) * 1_000_000_000_000 / span;
        Calibration { counter, system, millihertz: u64::try_from(millihertz).unwrap_or(u64::MAX) }
    }

    /// How far this clock has drifted from the wall clock: positive when the wall clock is ahead.
    #[must_use]
    pub fn drift(&self) -> Nanos {
        wall() - self.now()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The operating system's wall clock.
#[must_use]
pub fn wall() -> Nanos {
    let span = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos(i64::try_from(span.as_nanos()).expect("a wall clock before the year 2262"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_wall_and_never_goes_back() {
        let clock = Clock::new();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        let calibration = clock.calibration();
        assert!((1_000_000_000..20_000_000_000_000).contains(&calibration.millihertz), "{calibration:?}");
        assert!(clock.drift().abs() < Nanos::from_millis(50), "{:?}", clock.drift());
    }
}
