//! The circuit breaker: mark prices of the last quarter of an hour, and whether they ranged too far. Decides nothing about orders.

use crate::unit::{Nanos, Price};
use std::collections::VecDeque;

/// Prices are forgotten at this age.
const KEPT: Nanos = Nanos::from_secs(15 * 60);
/// A range above [`TRIP_PERCENT`] in this time pauses.
const TRIP_WINDOW: Nanos = Nanos::from_secs(10 * 60);
const TRIP_PERCENT: i128 = 5;
/// A range below [`CALM_PERCENT`] in this time resumes.
const CALM_WINDOW: Nanos = KEPT;
const CALM_PERCENT: i128 = 2;

/// So many prices are kept one by one; while there are more, prices less than [`SHARE`] apart share an entry.
const SINGLE_MAX: usize = 256;
const SHARE: Nanos = Nanos::from_secs(1);
/// Entries that are shared begin a second apart.
const ENTRIES_MAX: usize = SINGLE_MAX + (KEPT.0 / SHARE.0) as usize + 2;

/// Prices of one moment, or of up to a second. A shared entry counts as being as young as its youngest price, so a range is
/// never missed and ends up to a second late.
#[derive(Clone, Copy, Debug)]
struct Entry {
    first: Nanos,
    last: Nanos,
    low: Price,
    high: Price,
    count: u32,
}

/// What a check says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// No quotes.
    pub pause: bool,
    /// The pause begins with this check.
    pub tripped: bool,
    /// Lowest and highest price of the window that decided, if one did.
    pub range: Option<(Price, Price)>,
    /// That window.
    pub window: Nanos,
}

/// The breaker with its memory, taken once.
#[derive(Clone, Debug)]
pub struct Volatility {
    entries: VecDeque<Entry>,
    active_since: Option<Nanos>,
}

impl Default for Volatility {
    fn default() -> Self {
        Self { entries: VecDeque::with_capacity(ENTRIES_MAX), active_since: None }
    }
}

impl Volatility {
    /// Remembers a price and forgets the old ones (section 3, step 2).
    pub fn add(&mut self, now: Nanos, price: Price) {
        while self.entries.front().is_some_and(|entry| now - entry.last >= KEPT) {
            self.entries.pop_front();
        }
        let crowded = self.entries.len() >= SINGLE_MAX;
        match self.entries.back_mut() {
            Some(entry) if crowded && now - entry.first < SHARE => {
                entry.last = now;
                entry.low = entry.low.min(price);
                entry.high = entry.high.max(price);
                entry.count = entry.count.saturating_add(1);
            }
            _ => {
                if self.entries.len() == ENTRIES_MAX {
                    self.entries.pop_front();
                }
                self.entries.push_back(Entry { first: now, last: now, low: price, high: price, count: 1 });
            }
        }
    }

    /// Section 7, "Volatility". Trips above 5 percent in 10 minutes; once tripped, resumes below 2 percent in 15 minutes. With
    /// fewer than two prices it neither pauses nor resets.
    pub fn check(&mut self, now: Nanos) -> Verdict {
        if let Some((low, high)) = self.range(now, TRIP_WINDOW)
            && exceeds(low, high, TRIP_PERCENT)
        {
            let tripped = self.active_since.is_none();
            self.active_since.get_or_insert(now);
            return Verdict { pause: true, tripped, range: Some((low, high)), window: TRIP_WINDOW };
        }
        if self.active_since.is_none() {
            return Verdict::default();
        }
        match self.range(now, CALM_WINDOW) {
            None => Verdict::default(),
            Some((low, high)) => {
                let calm = (high - low).0.saturating_mul(100) < low.0.saturating_mul(CALM_PERCENT);
                if calm {
                    self.active_since = None;
                }
                Verdict { pause: !calm, tripped: false, range: Some((low, high)), window: CALM_WINDOW }
            }
        }
    }

    /// Since when it has been tripped.
    #[must_use]
    pub fn active_since(&self) -> Option<Nanos> {
        self.active_since
    }

    /// Prices that are remembered.
    #[must_use]
    pub fn prices(&self) -> usize {
        self.entries.iter().map(|entry| entry.count as usize).sum()
    }

    /// Lowest and highest price younger than `window`; `None` with fewer than two prices.
    fn range(&self, now: Nanos, window: Nanos) -> Option<(Price, Price)> {
        let (mut low, mut high, mut count) = (Price::MAX, Price::ZERO, 0_u32);
        for entry in self.entries.iter().rev().take_while(|entry| now - entry.last < window) {
            low = low.min(entry.low);
            high = high.max(entry.high);
            count = count.saturating_add(entry.count);
        }
        (count >= 2).then_some((low, high))
    }
}

/// `(high - low) / low` is above `percent`.
fn exceeds(low: Price, high: Price, percent: i128) -> bool {
    (high - low).0.saturating_mul(100) > low.0.saturating_mul(percent)
}
