//! What the venue lets us send: order counts and request weight, as we count them and as its answers correct them.
//! Pure: time comes in. Never widens a limit; keeps room for cancels.

use crate::event::CommandKind;
use crate::unit::Nanos;

/// The venue's limits (exchangeInfo `rateLimits`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// Request weight per minute and address.
    pub weight_1m: u32,
    /// Orders per 10 s and account.
    pub orders_10s: u32,
    /// Orders per minute and account.
    pub orders_1m: u32,
}

impl Default for Quotas {
    /// The documented defaults of USD-M futures.
    fn default() -> Self {
        Self { weight_1m: 2400, orders_10s: 300, orders_1m: 1200 }
    }
}

/// Part of each quota that only cancels may use: one in this many.
const HEADROOM_PART: u32 = 10;

/// Why a message must wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Hold {
    /// The venue told us to stop sending.
    #[error("the venue asked us to back off")]
    BackOff,
    /// The count of the current interval is used up.
    #[error("the order count of the interval is used up")]
    Orders,
}

/// A count in a fixed interval that starts at multiples of its length, as the venue counts.
#[derive(Clone, Copy, Debug)]
struct Window {
    length: Nanos,
    number: i64,
    count: u32,
}

impl Window {
    const fn new(length: Nanos) -> Self {
        Self { length, number: 0, count: 0 }
    }

    fn at(&mut self, now: Nanos) -> &mut u32 {
        let number = now.0 / self.length.0;
        if number != self.number {
            (self.number, self.count) = (number, 0);
        }
        &mut self.count
    }
}

/// The bookkeeping of one account.
#[derive(Clone, Debug)]
pub struct Limits {
    quotas: Quotas,
    orders_10s: Window,
    orders_1m: Window,
    back_off_until: Nanos,
}

impl Limits {
    /// Nothing sent yet.
    #[must_use]
    pub const fn new(quotas: Quotas) -> Self {
        Self {
            quotas,
            orders_10s: Window::new(Nanos::from_secs(10)),
            orders_1m: Window::new(Nanos::from_secs(60)),
            back_off_until: Nanos::ZERO,
        }
    }

    /// Whether a message may go out now. Cancels and queries pass as long as the venue does not refuse everything: a cancel
    /// costs no order count, and the headroom that new orders leave is theirs.
    ///
    /// # Errors
    /// Why it must wait.
    pub fn may_send(&mut self, kind: CommandKind, now: Nanos) -> Result<(), Hold> {
        if now < self.back_off_until {
            return Err(Hold::BackOff);
        }
        if !counts(kind) {
            return Ok(());
        }
        let room = |most: u32| most - most / HEADROOM_PART;
        if *self.orders_10s.at(now) >= room(self.quotas.orders_10s)
            || *self.orders_1m.at(now) >= room(self.quotas.orders_1m)
        {
            return Err(Hold::Orders);
        }
        Ok(())
    }

    /// A message went out.
    pub fn sent(&mut self, kind: CommandKind, now: Nanos) {
        if counts(kind) {
            *self.orders_10s.at(now) += 1;
            *self.orders_1m.at(now) += 1;
        }
    }

    /// The venue's own counts, from response headers or `rateLimits`; the larger count is believed.
    pub fn heard(&mut self, orders_10s: Option<u32>, orders_1m: Option<u32>, now: Nanos) {
        if let Some(count) = orders_10s {
            let ours = self.orders_10s.at(now);
            *ours = (*ours).max(count);
        }
        if let Some(count) = orders_1m {
            let ours = self.orders_1m.at(now);
            *ours = (*ours).max(count);
        }
    }

    /// The venue said 429, 418 or -1003: nothing goes out for this long. A shorter order never shortens a longer one.
    pub fn back_off(&mut self, now: Nanos, span: Nanos) {
        self.back_off_until = self.back_off_until.max(now + span);
    }

    /// Until when nothing goes out; in the past normally.
    #[must_use]
    pub const fn held_until(&self) -> Nanos {
        self.back_off_until
    }
}

/// New orders and amends count; cancels and questions do not.
const fn counts(kind: CommandKind) -> bool {
    matches!(kind, CommandKind::New | CommandKind::Amend | CommandKind::Market)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Nanos {
        Nanos::from_secs(n)
    }

    #[test]
    fn orders_stop_below_the_limit_and_cancels_go_on() {
        let mut limits = Limits::new(Quotas { weight_1m: 100, orders_10s: 10, orders_1m: 100 });
        for _ in 0..9 {
            assert_eq!(limits.may_send(CommandKind::New, second(1)), Ok(()));
            limits.sent(CommandKind::New, second(1));
        }
        assert_eq!(limits.may_send(CommandKind::New, second(9)), Err(Hold::Orders));
        assert_eq!(limits.may_send(CommandKind::Cancel, second(9)), Ok(()));
        assert_eq!(limits.may_send(CommandKind::New, second(10)), Ok(()), "a new interval");
    }

    #[test]
    fn the_venues_count_wins_when_it_is_larger() {
        let mut limits = Limits::new(Quotas { weight_1m: 100, orders_10s: 10, orders_1m: 100 });
        limits.heard(Some(9), None, second(1));
        assert_eq!(limits.may_send(CommandKind::Amend, second(1)), Err(Hold::Orders));
        limits.heard(Some(0), None, second(1));
        assert_eq!(limits.may_send(CommandKind::Amend, second(1)), Err(Hold::Orders));
    }

    #[test]
    fn backing_off_holds_everything_and_is_not_shortened() {
        let mut limits = Limits::new(Quotas::default());
        limits.back_off(second(0), second(5));
        limits.back_off(second(0), second(1));
        assert_eq!(limits.may_send(CommandKind::Cancel, second(4)), Err(Hold::BackOff));
        assert_eq!(limits.may_send(CommandKind::Cancel, second(5)), Ok(()));
    }
}
