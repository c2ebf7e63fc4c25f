//! The funding-aware maker: one quote a side around the mark price, skewed against position and funding, with stops for funding,
//! margin, loss and volatility. Knows neither how orders are sent nor how fills are counted.
//!
//! [`FundingAware::update`] is section 3 of the specification on the [`Inputs`] of section 2, and `tests/golden.rs` holds it equal to the
//! recorded outcomes. [`Strategy::decide`] makes those inputs from the [`View`], decides when an update is due, and adds what
//! the engine demands. Where it differs ([`FundingAware::unguarded`] switches G2, G3, G6-G8 and G10 off in an update):
//!
//! | # | the specification or the original | here | test |
//! |---|---|---|---|
//! | G1 | doubles in the order written | exact 18-place decimals; may differ by a tick or lot where a value falls on a rounding boundary | `rounding_is_to_the_nearest_even_tick` |
//! | G2 | a position that cannot be read cancels what could open | the engine withdraws every quote and does not ask for a decision; so does a position that does not fit | `an_unknown_position_withdraws_everything` |
//! | G3 | a pause for volatility cancels once | as long as it lasts, whatever still rests is cancelled: every stop of any kind cancels | `the_breaker_cancels_whatever_rests_while_it_lasts` |
//! | G4 | stops are seen at an update | on every event: a stop does not wait for the next update | `stops_do_not_wait_for_an_update` |
//! | G5 | what an update misses of mark and funding waits for the next | the first funding rate makes an update due: before it quotes have no funding skew | `the_first_funding_rate_makes_an_update_due` |
//! | G6 | orders that are listed earlier stay up to `max_quote_count` at any price | those nearer than the quote that is wanted go | `an_older_order_that_is_too_near_goes` |
//! | G7 | a quote within the requote band stays | not where it would meet the other side's quote: the two sides never meet | `a_kept_quote_never_meets_the_other_side` |
//! | G8 | the order that takes over the cap is of any size | at most the position, and its limit is within 5 percent after rounding | `taking_is_limited_to_the_position` |
//! | G9 | every update over the cap sends another one | nothing is placed while one is under way: an unknown outcome is not repeated | `taking_is_not_repeated_while_under_way` |
//! | G10 | the passive order over the cap may cross the book | it stands a tick behind the other side's best | `reducing_passively_never_takes` |
//! | G11 | a quote that was refused waits for the next update | a second at most | `a_refused_quote_is_asked_for_again` |
//! | G12 | simple mode cancels, waits half a second, places | one step, so that it can be one amend; equal quotes stay | `simple_mode_replaces_in_one_step` |
//! | G13 | margin used is the venue's sum | position value over leverage: it moves with our own fills at once | `margin_follows_our_own_fills` |
//! | G14 | a refusal about cumulative requests ends the loop and leaves orders resting | the risk gate stays below the venue's limits, and a stop cancels | the gate's |
//! | G15 | a stale book is used, a lost one polled by REST | the engine withdraws the quotes and asks for no decision | the desk's |
//! | G16 | the position mode is not set | one-way is asked for at start; another mode cancels everything | `another_position_mode_withdraws_everything` |

mod exact;
mod pricing;
mod reduce;
mod volatility;
mod wake;

use super::internals::rate;
use super::{
    AccountRequest, Cause, FundingView, Internals, ORDERS_MAX, OwnEvent, OwnOrder, Phase, Plan, Purpose, Strategy,
    View, WhyNot,
};
use crate::config::funding_aware::FundingAwareSettings;
use crate::config::load::Strategy as Settings;
use crate::event::{ClientId, Side};
use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, Money, Nanos, Price, Rate};
use arrayvec::ArrayVec;
pub use exact::Fraction as Skew;
use exact::{Fraction, times, value};
use pricing::sane;
pub use pricing::{Blocked, Targets};
use reduce::passive;
pub use volatility::{Verdict, Volatility};
pub use wake::Wake;

/// "keep the order if |dpx|/target x 10000 < 3": in hundredths of a percent.
const BAND_BPS: i128 = 3;
/// A quote that was refused is asked for again after this.
const RETRY: Nanos = Nanos::from_secs(1);

/// The position of the market.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holding {
    /// Signed size.
    pub size: Amount,
    /// Its value with the sign of the size.
    pub usd: Money,
    /// Unrealised profit.
    pub unrealized: Money,
}

/// A live order, its cancel not under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resting {
    /// Its id.
    pub id: ClientId,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price: Price,
    /// What is left of it.
    pub rest: Amount,
}

/// What an update looks at (section 2).
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The clock.
    pub now: Nanos,
    /// The contract.
    pub instrument: &'a Instrument,
    /// The book's mid.
    pub mid: Option<Price>,
    /// Best bid and ask of a streamed book.
    pub touch: Option<[Price; 2]>,
    /// The venue's mark price.
    pub mark: Option<Price>,
    /// The position; `None` while it is not known.
    pub position: Option<Holding>,
    /// Equity of the account.
    pub account_value: Money,
    /// Margin used.
    pub margin_used: Money,
    /// Funding terms.
    pub funding: FundingView,
    /// An operator's multiplier on the spread.
    pub widen: Rate,
}

/// Why nothing is quoted, for the status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Halt {
    /// The kill switch has latched: the loss reached `emergency_stop_loss_pct`. Until restart.
    Killed,
    /// Funding is beyond `max_funding_rate_pct_8h`.
    Funding,
    /// The margin ratio is below `min_margin_ratio_pct`.
    Margin,
    /// The price ranged more than 5 percent in 10 minutes.
    Volatility,
    /// The position is not known.
    Position,
    /// No usable price.
    Price,
    /// The account is not in one-way mode.
    Mode,
}

/// The strategy with its state.
#[derive(Clone, Debug)]
pub struct FundingAware {
    settings: FundingAwareSettings,
    guarded: bool,
    wake: Wake,
    volatility: Volatility,
    killed: bool,
    one_way: bool,
    over_cap: bool,
    funding_known: bool,
    /// At the last decision a side that is to be quoted had no order.
    missing: bool,
    last_size: Amount,
    updated_at: Option<Nanos>,
    decided_at: Nanos,
    halt: Option<Halt>,
    targets: Option<Targets>,
}

impl FundingAware {
    /// A strategy that has not decided anything yet. `settings` must be settled and checked.
    #[must_use]
    pub fn new(settings: FundingAwareSettings) -> Self {
        Self {
            settings,
            guarded: true,
            wake: Wake::default(),
            volatility: Volatility::default(),
            killed: false,
            one_way: true,
            over_cap: false,
            funding_known: false,
            missing: false,
            last_size: Amount::ZERO,
            updated_at: None,
            decided_at: Nanos(i64::MIN),
            halt: None,
            targets: None,
        }
    }

    /// Without the engine's additions to an update (G2, G3, G6-G8, G10). For comparing with recorded outcomes only.
    #[must_use]
    pub fn unguarded(mut self) -> Self {
        self.guarded = false;
        self
    }

    /// The settings in use.
    #[must_use]
    pub fn settings(&self) -> &FundingAwareSettings {
        &self.settings
    }

    /// Takes over the settings that may change at run time, effective from the next update, which is due; the others stay. What is
    /// replaced goes into `new`, so that nothing is allocated or freed.
    pub fn take_over(&mut self, new: &mut FundingAwareSettings) {
        let s = &mut self.settings;
        std::mem::swap(s, new);
        std::mem::swap(&mut s.market, &mut new.market);
        std::mem::swap(&mut s.dex, &mut new.dex);
        std::mem::swap(&mut s.subaccount_address, &mut new.subaccount_address);
        s.size_increment = new.size_increment;
        s.leverage = new.leverage;
        s.price_decimals = new.price_decimals;
        s.size_decimals = new.size_decimals;
        s.is_subaccount = new.is_subaccount;
        self.updated_at = None;
    }

    /// Why nothing is quoted, if so.
    #[must_use]
    pub fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// The quotes wanted at the last update that came to quote, with skews and blocked sides.
    #[must_use]
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// The circuit breaker.
    #[must_use]
    pub fn volatility(&self) -> &Volatility {
        &self.volatility
    }

    /// What makes an update due.
    #[must_use]
    pub fn wake(&mut self) -> &mut Wake {
        &mut self.wake
    }

    /// An update with the circuit breaker before it (section 7, "Acting"). `orders` in creation order; `None` where they cannot be read.
    pub fn act(&mut self, inputs: &Inputs<'_>, orders: Option<&[Resting]>, plan: &mut Plan) {
        let verdict = self.volatility.check(inputs.now);
        if verdict.pause {
            self.halt = Some(Halt::Volatility);
            if let (Some(orders), true) = (orders, verdict.tripped || self.guarded) {
                cancel_where(orders, plan, Cause::Withdraw, |_| true);
            }
        } else {
            self.update(inputs, orders, plan);
        }
        self.updated_at = Some(inputs.now);
    }

    /// Section 3, in its order.
    pub fn update(&mut self, inputs: &Inputs<'_>, orders: Option<&[Resting]>, plan: &mut Plan) {
        let listed = orders.unwrap_or_default();
        self.targets = None;
        self.halt = None;
        // 1. Kill switch latched.
        if self.killed {
            return self.stop(Halt::Killed, Cause::StopLoss, listed, plan);
        }
        // 2. No book mid; else the price is remembered.
        let Some(mid) = inputs.mid else {
            self.halt = Some(Halt::Price);
            return;
        };
        let venue_mark = inputs.mark.filter(|mark| *mark > Price::ZERO);
        let mark = venue_mark.unwrap_or(mid);
        if !sane(mark) || !sane(mid) {
            return self.stop(Halt::Price, Cause::Withdraw, listed, plan);
        }
        plan.reference = mark;
        self.volatility.add(inputs.now, mark);
        // 3. Position unknown: whatever could open or increase goes.
        let Some(position) = inputs.position else {
            let reducing = match self.last_size.signum() {
                _ if self.guarded => None,
                1 => Some(Side::Sell),
                -1 => Some(Side::Buy),
                _ => None,
            };
            self.halt = Some(Halt::Position);
            return cancel_where(listed, plan, Cause::Withdraw, |order| Some(order.side) != reducing);
        };
        self.last_size = position.size;
        let over_cap = self.is_over_cap(&position);
        // 4, 5 and 7. The stops; 6 stands before the last of them.
        if let Some(halt) = self.stops(inputs, &position) {
            if halt == Halt::Killed {
                self.killed = true;
            }
            self.over_cap = over_cap;
            let cause = if halt == Halt::Killed { Cause::StopLoss } else { Cause::Risk };
            return self.stop(halt, cause, listed, plan);
        }
        self.over_cap = over_cap;
        // 8. or 6.: both remember the mid.
        self.wake.quoted(mid);
        if over_cap {
            return self.reduce(inputs, orders, mark, &position, plan);
        }
        let Some(targets) = self.wanted(inputs, mark, venue_mark.is_some(), position.usd, position.unrealized) else {
            return self.stop(Halt::Price, Cause::Withdraw, listed, plan);
        };
        self.targets = Some(targets);
        let Some(orders) = orders else { return };
        if self.settings.smart_order_mgmt {
            self.requote(&targets, inputs.instrument, orders, plan);
        } else {
            cancel_where(orders, plan, Cause::Refresh, |_| true);
            for side in [Side::Buy, Side::Sell] {
                place(&targets, side, plan);
            }
        }
    }

    /// Steps 4, 5 and 7 of section 3. Over the cap step 6 comes before step 7.
    fn stops(&self, inputs: &Inputs<'_>, position: &Holding) -> Option<Halt> {
        let (s, equity, used) = (&self.settings, inputs.account_value.0, inputs.margin_used.0);
        // "unrealized < 0, account value > 0 and unrealized / value x 100 <= emergency_stop_loss_pct"
        let floor = times(equity, Fraction::of(s.emergency_stop_loss).0);
        if position.unrealized < Money::ZERO && equity > 0 && floor.is_some_and(|floor| position.unrealized.0 <= floor)
        {
            return Some(Halt::Killed);
        }
        if pricing::funding_too_high(s, inputs.funding.rate, inputs.funding.interval_hours) {
            return Some(Halt::Funding);
        }
        if self.is_over_cap(position) {
            return None;
        }
        // "0 < margin_ratio < min_margin_ratio_pct": rounded down, so that a ratio at the limit is not below it.
        let least = times(used, Fraction::of(s.min_margin_ratio).0);
        (used > 0 && equity > 0 && least.is_none_or(|least| equity < least)).then_some(Halt::Margin)
    }

    /// "|position_usd| > max_position_usd"
    fn is_over_cap(&self, position: &Holding) -> bool {
        position.usd.0.abs() > self.settings.max_position_usd.0
    }

    fn stop(&mut self, halt: Halt, cause: Cause, orders: &[Resting], plan: &mut Plan) {
        self.halt = Some(halt);
        cancel_where(orders, plan, cause, |_| true);
    }

    /// Section 6, smart mode: bid, then ask; cancels of both before placements of both.
    fn requote(&self, targets: &Targets, instrument: &Instrument, orders: &[Resting], plan: &mut Plan) {
        let mut missing = [false; 2];
        // The bid that is kept or wanted, whichever is higher.
        let mut highest_bid = targets.quoted(Side::Buy).map(|price| instrument.price(price));
        let lowest_ask = targets.quoted(Side::Sell).map(|price| instrument.price(price));
        for side in [Side::Buy, Side::Sell] {
            let Some(target) = targets.quoted(side).map(|price| instrument.price(price)) else {
                cancel_where(orders, plan, Cause::Risk, |order| order.side == side);
                continue;
            };
            let earlier = orders.iter().filter(|order| order.side == side).count().saturating_sub(1);
            let surplus = earlier.saturating_sub(self.settings.max_quote_count as usize - 1);
            let nearer = |price: Price| (price - target).0 * i128::from(side.sign()) > 0;
            let of_side = orders.iter().filter(|order| order.side == side);
            let mut kept = false;
            for (at, order) in of_side.enumerate() {
                if at < earlier {
                    if at < surplus || (self.guarded && nearer(order.price)) {
                        cancel(order, plan, Cause::Reprice);
                    }
                    continue;
                }
                let meets = match side {
                    Side::Buy => lowest_ask.is_some_and(|ask| order.price >= ask),
                    Side::Sell => highest_bid.is_some_and(|bid| order.price <= bid),
                };
                kept = within_band(order, target, targets.size, instrument) && !(self.guarded && meets);
                if !kept {
                    cancel(order, plan, Cause::Reprice);
                } else if side == Side::Buy {
                    highest_bid = highest_bid.max(Some(order.price));
                }
            }
            missing[side.index()] = !kept;
        }
        for side in [Side::Buy, Side::Sell].into_iter().filter(|side| missing[side.index()]) {
            place(targets, side, plan);
        }
    }

    /// A side that is to be quoted has no order: it was refused, or it expired.
    fn misses_a_side(&self, orders: &[Resting]) -> bool {
        let absent = |side: Side| !orders.iter().any(|order| order.side == side);
        self.targets.is_some_and(|targets| {
            [Side::Buy, Side::Sell].into_iter().any(|side| targets.quoted(side).is_some() && absent(side))
        })
    }

    /// An update is due when the last one is older than this.
    fn patience(&self) -> Nanos {
        if self.missing { RETRY.min(self.settings.fallback_check) } else { self.settings.fallback_check }
    }

    /// A decision that cannot wait: a stop has begun or has something left to cancel, or the position has just passed its cap.
    fn is_urgent(&self, inputs: &Inputs<'_>, orders: &[Resting]) -> bool {
        if self.halt == Some(Halt::Volatility) && !orders.is_empty() {
            return true;
        }
        let stop = match &inputs.position {
            _ if self.killed => Some(Halt::Killed),
            None => Some(Halt::Position),
            Some(position) => {
                if self.is_over_cap(position) && !self.over_cap {
                    return true;
                }
                self.stops(inputs, position)
            }
        };
        stop.is_some() && (stop != self.halt || !orders.is_empty())
    }
}

impl<'a> Inputs<'a> {
    /// What the engine shows, as the specification names it. The mark price of the venue or else the mid values the position.
    fn of(view: &View<'a>, settings: &FundingAwareSettings) -> Self {
        let best = |side| view.book.best(side).map(|level| view.instrument.price(level.price));
        let touch = match (best(Side::Buy), best(Side::Sell)) {
            (Some(bid), Some(ask)) => Some([bid, ask]),
            _ => None,
        };
        let mid = touch.map(|[bid, ask]| Price((bid + ask).0 / 2));
        let size = view.positions.iter().try_fold(Lots::ZERO, |sum, position| sum.checked_add(position.qty));
        let price = view.mark.filter(|mark| *mark > Price::ZERO).or(mid);
        let position = match (size, price) {
            (Some(size), Some(price)) => value(view.instrument, size, price).map(|usd| Holding {
                size: Amount(i128::from(size.0).saturating_mul(view.instrument.lot.atto())),
                usd: Money(usd),
                unrealized: view.unrealized,
            }),
            _ => None,
        };
        Self {
            now: view.now,
            instrument: view.instrument,
            mid,
            touch,
            mark: view.mark,
            position,
            account_value: Money(view.wallet.0.saturating_add(view.unrealized.0)),
            margin_used: position.map_or(Money::ZERO, |held| Money(held.usd.0.abs() / i128::from(settings.leverage))),
            funding: view.funding.unwrap_or_default(),
            widen: view.widen,
        }
    }
}

impl Strategy for FundingAware {
    fn start(&mut self, _now: Nanos, plan: &mut Plan) {
        plan.account.push(AccountRequest::Leverage(self.settings.leverage));
        plan.account.push(AccountRequest::PositionMode(false));
    }

    fn on_own(&mut self, _now: Nanos, event: &OwnEvent) {
        match event {
            OwnEvent::Filled { .. } => self.wake.on_fill(),
            // What took over the cap has ended: the position is known again.
            OwnEvent::Gone { order, .. } if order.purpose == Purpose::StopLoss => self.wake.on_fill(),
            OwnEvent::Gone { .. } => {}
            OwnEvent::PositionMode { hedge, ok } => self.one_way = *ok && !*hedge,
        }
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan) {
        self.decided_at = view.now;
        let inputs = Inputs::of(view, &self.settings);
        // An order that takes is left alone: it ends by itself.
        let taking = view.orders.iter().any(|order| order.purpose == Purpose::StopLoss);
        let live = |order: &&OwnOrder| order.cancel_sent.is_none() && order.purpose != Purpose::StopLoss;
        let orders: ArrayVec<Resting, ORDERS_MAX> = view
            .orders
            .iter()
            .filter(live)
            .map(|order| Resting {
                id: order.id,
                side: order.side,
                price: view.instrument.price(order.price),
                rest: Amount(i128::from((order.qty - order.filled).0).saturating_mul(view.instrument.lot.atto())),
            })
            .collect();
        if !self.one_way {
            return self.stop(Halt::Mode, Cause::Withdraw, &orders, plan);
        }
        if let Some(mid) = inputs.mid {
            self.wake.on_book(mid, self.settings.update_threshold);
        }
        let news = view.funding.is_some() && !std::mem::replace(&mut self.funding_known, view.funding.is_some());
        self.missing = !taking && self.misses_a_side(&orders);
        let overdue = self.updated_at.is_none_or(|at| view.now - at > self.patience());
        if self.wake.is_due() || news || overdue || self.is_urgent(&inputs, &orders) {
            self.wake.clear();
            self.act(&inputs, Some(&orders), plan);
            let room = if taking { 0 } else { ORDERS_MAX - view.orders.len().min(ORDERS_MAX) };
            plan.place.truncate(room);
        }
    }

    fn reconfigure(&mut self, new: &mut Settings) {
        if let Settings::FundingAware(new) = new {
            self.take_over(new);
        }
    }

    fn next_timer(&self) -> Nanos {
        // "more than fallback seconds": a wake-up at the time itself would find nothing to do.
        self.updated_at
            .filter(|_| !self.killed)
            .map(|at| at + self.patience() + Nanos(1))
            .filter(|at| *at > self.decided_at)
            .unwrap_or(Nanos::MAX)
    }

    fn internals(&self) -> Internals {
        let phase = match self.halt {
            Some(Halt::Killed) => Phase::Killed,
            Some(Halt::Funding) => Phase::HighFunding,
            Some(Halt::Margin) => Phase::LowMargin,
            Some(Halt::Volatility) => Phase::Volatile,
            Some(Halt::Position) => Phase::NoPosition,
            Some(Halt::Price) => Phase::NoPrice,
            Some(Halt::Mode) => Phase::WrongMode,
            None if self.updated_at.is_none() => Phase::Starting,
            None if self.over_cap => Phase::Reducing,
            None => Phase::Quoting,
        };
        let why = |blocked: Blocked| match blocked {
            Blocked::NearCap => WhyNot::NearCap,
            Blocked::Cap => WhyNot::Cap,
            Blocked::TooSmall => WhyNot::TooSmall,
            Blocked::NoPrice => WhyNot::NoPrice,
        };
        Internals {
            phase,
            quotes_due: self.updated_at.map_or(Nanos::ZERO, |at| at + self.patience()),
            skew: self.targets.map(|targets| [rate(targets.inventory_skew.0), rate(targets.funding_skew.0)]),
            blocked: match &self.targets {
                Some(targets) if phase == Phase::Quoting => targets.blocked.map(|blocked| blocked.map(why)),
                _ => [Some(WhyNot::Phase); 2],
            },
            ..Internals::default()
        }
    }
}

/// "keep the order if |dpx|/target x 10000 < 3 and |dsz|/target size x 100 < 10 (strict)"
fn within_band(order: &Resting, target: Price, size: Lots, instrument: &Instrument) -> bool {
    let wanted = i128::from(size.0).saturating_mul(instrument.lot.atto());
    (order.price - target).0.abs().saturating_mul(10_000) < target.0.saturating_mul(BAND_BPS)
        && (order.rest.0 - wanted).abs().saturating_mul(10) < wanted
}

fn place(targets: &Targets, side: Side, plan: &mut Plan) {
    if let Some(price) = targets.quoted(side) {
        plan.place.push((super::Quote { price, qty: targets.size, ..passive(side) }, Cause::Quote));
    }
}

fn cancel(order: &Resting, plan: &mut Plan, cause: Cause) {
    plan.cancel.push((order.id, cause));
}

fn cancel_where(orders: &[Resting], plan: &mut Plan, cause: Cause, which: impl Fn(&Resting) -> bool) {
    for order in orders.iter().filter(|order| which(order)) {
        cancel(order, plan, cause);
    }
}

#[cfg(test)]
mod tests;
