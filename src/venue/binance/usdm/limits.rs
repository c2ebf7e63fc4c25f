//! What the venue lets us send: order counts and request weight, as we count them and as its answers correct them.
//! Pure: time comes in. Never widens a limit; keeps room for cancels, and for what takes a position down.
//! Orders are counted per account ([`Limits`]), request weight per address over REST and WebSocket together ([`Weights`]).

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

/// Part of each order quota that quotes leave to flattening: one in this many. (Cancels cost no order count.)
const HEADROOM_PART: u32 = 10;
/// Part of the request weight that only urgent calls may use: one in this many.
const URGENT_PART: u32 = 5;

/// Why a message must wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Hold {
    /// The venue told us to stop sending.
    #[error("the venue asked us to back off")]
    BackOff,
    /// The count of the current interval is used up, by our count or by the venue's word.
    #[error("the order count of the interval is used up")]
    Orders,
    /// The request weight of the minute is nearly used up; the rest is for urgent calls.
    #[error("the request weight of the minute is nearly used up")]
    Weight,
}

/// What a REST call may cost the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priority {
    /// Orders, cancels, the dead-man switch, the private stream, and what is needed to know orders and positions.
    Urgent,
    /// Can wait for the next minute: depth snapshots, terms, time.
    Low,
}

/// A count in a fixed interval that starts at multiples of its length, as the venue counts.
#[derive(Clone, Copy, Debug)]
struct Window {
    length: Nanos,
    /// When the interval of the count began.
    start: Nanos,
    count: u32,
}

impl Window {
    const fn new(length: Nanos) -> Self {
        Self { length, start: Nanos::ZERO, count: 0 }
    }

    fn at(&mut self, now: Nanos) -> &mut u32 {
        let elapsed = now - self.start;
        if elapsed < Nanos::ZERO || elapsed >= self.length {
            (self.start, self.count) = (Nanos(now.0 - now.0 % self.length.0), 0);
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
    orders_full_until: Nanos,
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
            orders_full_until: Nanos::ZERO,
        }
    }

    /// Whether a message may go out now. Cancels and queries pass as long as the venue does not refuse everything: they cost
    /// no order count. A flattening order costs one and may use what quotes must leave.
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
        if now < self.orders_full_until {
            return Err(Hold::Orders);
        }
        let room = |most: u32| if kind == CommandKind::Market { most } else { most - most / HEADROOM_PART };
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

    /// The venue said -1015: it takes no orders for this long. Cancels go on.
    pub fn orders_full(&mut self, now: Nanos, span: Nanos) {
        self.orders_full_until = self.orders_full_until.max(now + span);
    }

    /// Until when nothing goes out; in the past normally.
    #[must_use]
    pub const fn held_until(&self) -> Nanos {
        self.back_off_until
    }
}

/// The bookkeeping of one address.
#[derive(Clone, Debug)]
pub struct Weights {
    most: u32,
    minute: Window,
    back_off_until: Nanos,
}

impl Weights {
    /// Nothing used yet.
    #[must_use]
    pub const fn new(most: u32) -> Self {
        Self { most, minute: Window::new(Nanos::from_secs(60)), back_off_until: Nanos::ZERO }
    }

    /// The venue's own limit, once it is known.
    pub fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// Counts a call of this weight, if it may go out now.
    ///
    /// # Errors
    /// Why it must wait; nothing is counted then.
    pub fn take(&mut self, weight: u32, priority: Priority, now: Nanos) -> Result<(), Hold> {
        if now < self.back_off_until {
            return Err(Hold::BackOff);
        }
        let most = match priority {
            Priority::Urgent => u32::MAX,
            Priority::Low => self.most - self.most / URGENT_PART,
        };
        let used = self.minute.at(now);
        if used.saturating_add(weight) > most {
            return Err(Hold::Weight);
        }
        *used = used.saturating_add(weight);
        Ok(())
    }

    /// The venue's own figure of this minute (`X-MBX-USED-WEIGHT-1M`); the larger one is believed.
    pub fn heard(&mut self, used: u32, now: Nanos) {
        let ours = self.minute.at(now);
        *ours = (*ours).max(used);
    }

    /// Weight used in this minute.
    pub fn used(&mut self, now: Nanos) -> u32 {
        *self.minute.at(now)
    }

    /// The venue said 429, 418 or -1003: no call for this long. A shorter word never shortens a longer one.
    pub fn back_off(&mut self, now: Nanos, span: Nanos) {
        self.back_off_until = self.back_off_until.max(now + span);
    }

    /// Until when no call goes out; in the past normally.
    #[must_use]
    pub const fn held_until(&self) -> Nanos {
        self.back_off_until
    }
}

/// Request weight of a command on the WebSocket API (notes section 6: a new order 0, a cancel 1; amend and query 1 by the venue's
/// documents).
#[must_use]
pub const fn command_weight(kind: CommandKind) -> u32 {
    match kind {
        CommandKind::Amend | CommandKind::Cancel | CommandKind::Query => 1,
        _ => 0,
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
    fn a_flattening_order_may_use_what_quotes_leave() {
        let mut limits = Limits::new(Quotas { weight_1m: 100, orders_10s: 10, orders_1m: 100 });
        limits.heard(Some(9), None, second(1));
        assert_eq!(limits.may_send(CommandKind::New, second(1)), Err(Hold::Orders));
        assert_eq!(limits.may_send(CommandKind::Market, second(1)), Ok(()));
        limits.sent(CommandKind::Market, second(1));
        assert_eq!(
            limits.may_send(CommandKind::Market, second(1)),
            Err(Hold::Orders),
            "the venue's limit holds for all"
        );
    }

    #[test]
    fn too_many_orders_hold_orders_and_not_cancels() {
        let mut limits = Limits::new(Quotas::default());
        limits.orders_full(second(0), second(3));
        for kind in [CommandKind::New, CommandKind::Amend, CommandKind::Market] {
            assert_eq!(limits.may_send(kind, second(2)), Err(Hold::Orders));
            assert_eq!(limits.may_send(kind, second(3)), Ok(()));
        }
        assert_eq!(limits.may_send(CommandKind::Cancel, second(2)), Ok(()));
        assert_eq!(limits.may_send(CommandKind::Query, second(2)), Ok(()));
    }

    #[test]
    fn weight_is_counted_by_the_minute_and_its_end_is_for_urgent_calls() {
        let mut weights = Weights::new(100);
        assert_eq!(weights.take(70, Priority::Low, second(1)), Ok(()));
        assert_eq!(weights.take(20, Priority::Low, second(2)), Err(Hold::Weight));
        assert_eq!(weights.used(second(2)), 70, "what was held back is not counted");
        assert_eq!(weights.take(10, Priority::Low, second(2)), Ok(()));
        assert_eq!(weights.take(20, Priority::Urgent, second(3)), Ok(()));
        assert_eq!(weights.take(5, Priority::Urgent, second(3)), Ok(()), "the venue decides, not we");
        assert_eq!(weights.take(20, Priority::Low, second(60)), Ok(()), "a new minute");
        weights.heard(85, second(61));
        weights.heard(3, second(61));
        assert_eq!((weights.used(second(61)), weights.take(1, Priority::Low, second(61))), (85, Err(Hold::Weight)));
    }

    #[test]
    fn a_ban_holds_every_call() {
        let mut weights = Weights::new(100);
        weights.back_off(second(1), second(9));
        weights.back_off(second(2), second(1));
        assert_eq!(weights.take(1, Priority::Urgent, second(9)), Err(Hold::BackOff));
        assert_eq!((weights.take(1, Priority::Urgent, second(10)), weights.held_until()), (Ok(()), second(10)));
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
