//! Counting request weight and orders in the venue's windows. Decides who is told to wait; sends nothing.

use super::params::ApiError;
use crate::unit::Nanos;

/// The venue's limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitTerms {
    /// Request weight per minute of the address.
    pub weight_1m: u32,
    /// Orders in 10 s of the account.
    pub orders_10s: u32,
    /// Orders per minute of the account.
    pub orders_1m: u32,
}

impl Default for LimitTerms {
    fn default() -> Self {
        Self { weight_1m: 2400, orders_10s: 300, orders_1m: 1200 }
    }
}

/// How long a ban is.
const BAN: Nanos = Nanos::from_secs(120);
/// Requests over the limit in one minute that bring a ban.
const OVERRUNS_MAX: u32 = 100;

/// A count in aligned windows.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    length: i64,
    began: i64,
    count: u32,
}

impl Window {
    fn seconds(length: i64) -> Self {
        Self { length: length * 1_000_000_000, began: 0, count: 0 }
    }
    fn add(&mut self, now: Nanos, n: u32) -> u32 {
        let window = now.0 / self.length;
        if window != self.began {
            (self.began, self.count) = (window, 0);
        }
        self.count = self.count.saturating_add(n);
        self.count
    }
}

/// What the accounts and the address have used.
#[derive(Clone, Debug)]
pub struct Limits {
    terms: LimitTerms,
    weight: Window,
    overruns: Window,
    orders: Vec<(Window, Window)>,
    banned_until: Nanos,
}

impl Limits {
    /// Nothing used.
    #[must_use]
    pub fn new(terms: LimitTerms, keys: usize) -> Self {
        let orders = vec![(Window::seconds(10), Window::seconds(60)); keys];
        Self { terms, weight: Window::seconds(60), overruns: Window::seconds(60), orders, banned_until: Nanos::ZERO }
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &LimitTerms {
        &self.terms
    }

    /// Counts a request.
    ///
    /// # Errors
    /// Over the limit (429), or banned (418).
    pub fn request(&mut self, now: Nanos, weight: u32) -> Result<(), ApiError> {
        if now < self.banned_until {
            return Err(banned(now, self.banned_until));
        }
        if self.weight.add(now, weight) <= self.terms.weight_1m {
            return Ok(());
        }
        if self.overruns.add(now, 1) > OVERRUNS_MAX {
            self.banned_until = now + BAN;
            return Err(banned(now, self.banned_until));
        }
        let msg = format!(
            "Too many requests; current limit of IP is {} requests per minute. Please use the websocket for live updates to avoid polling the API.",
            self.terms.weight_1m
        );
        Err(too_many(now, msg))
    }

    /// Counts orders of a key.
    ///
    /// # Errors
    /// Over a limit.
    pub fn orders(&mut self, now: Nanos, key: usize, short: u32, long: u32) -> Result<(), ApiError> {
        let (ten, minute) = &mut self.orders[key];
        let over = ten.add(now, short) > self.terms.orders_10s;
        let over = minute.add(now, long) > self.terms.orders_1m || over;
        if !over {
            return Ok(());
        }
        let msg = format!("Too many new orders; current limit is {} orders per TEN_SECONDS.", self.terms.orders_10s);
        Err(ApiError { status: 429, code: -1015, msg, retry_after: None })
    }

    /// Weight used in this minute.
    pub fn weight_used(&mut self, now: Nanos) -> u32 {
        self.weight.add(now, 0)
    }

    /// Orders of a key in this 10 s and this minute.
    pub fn orders_used(&mut self, now: Nanos, key: usize) -> (u32, u32) {
        let (ten, minute) = &mut self.orders[key];
        (ten.add(now, 0), minute.add(now, 0))
    }
}

/// The answer 429.
#[must_use]
pub fn too_many(now: Nanos, msg: impl Into<String>) -> ApiError {
    let rest = 60 - (now.0 / 1_000_000_000 % 60) as u32;
    ApiError { status: 429, code: -1003, msg: msg.into(), retry_after: Some(rest) }
}

/// The answer 418.
#[must_use]
pub fn banned(now: Nanos, until: Nanos) -> ApiError {
    let seconds = u32::try_from((until - now).0 / 1_000_000_000 + 1).unwrap_or(u32::MAX);
    let msg = format!(
        "Way too many requests; IP banned until {}. Please use the websocket for live updates to avoid bans.",
        until.as_millis()
    );
    ApiError { status: 418, code: -1003, msg, retry_after: Some(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_weight_is_429_and_going_on_is_418() {
        let terms = LimitTerms { weight_1m: 10, orders_10s: 2, orders_1m: 3 };
        let mut limits = Limits::new(terms, 1);
        let now = Nanos::from_secs(600);
        assert_eq!(limits.request(now, 10), Ok(()));
        for _ in 0..OVERRUNS_MAX {
            assert_eq!(limits.request(now, 1).unwrap_err().status, 429);
        }
        let ban = limits.request(now, 1).unwrap_err();
        assert_eq!((ban.status, ban.code, ban.retry_after), (418, -1003, Some(121)));
        assert_eq!(limits.request(now + Nanos::from_secs(119), 1).unwrap_err().status, 418);
        assert_eq!(limits.request(now + Nanos::from_secs(121), 1), Ok(()));
    }

    #[test]
    fn orders_are_counted_in_two_windows() {
        let terms = LimitTerms { weight_1m: 10, orders_10s: 2, orders_1m: 3 };
        let mut limits = Limits::new(terms, 1);
        let at = |s: i64| Nanos::from_secs(600 + s);
        assert_eq!([0, 1].map(|s| limits.orders(at(s), 0, 1, 1).is_ok()), [true, true]);
        assert_eq!(limits.orders(at(2), 0, 1, 0).unwrap_err().code, -1015);
        assert_eq!(limits.orders_used(at(11), 0), (0, 2));
        assert_eq!(limits.orders(at(11), 0, 1, 1), Ok(()));
        assert_eq!(limits.orders(at(21), 0, 1, 1).unwrap_err().code, -1015);
    }
}
