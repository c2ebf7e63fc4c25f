//! `perpetual_market_making`: quotes around a reference price while flat, takes profit or stops the loss while not.
//! Knows neither how orders are sent nor how fills are counted.
//!
//! Two cadences, one strategy. [`Cadence::Interval`] follows the originals tick by tick (a refresh cancels on one tick and
//! places on a later one; `tests/golden.rs` holds it equal to their recorded outcomes). [`Cadence::EveryEvent`] decides on
//! every market event. Where the engine's manner wins over the originals':
//!
//! | # | the originals | here | cadence | test |
//! |---|---|---|---|---|
//! | W1 | a take-profit placed and, by a stop of the same tick, cancelled again goes out twice | never sent; [`Act::Revoke`] in the script | both | `a_take_profit_that_the_stop_of_the_same_decision_cancels_is_never_sent` |
//! | W2 | entries are plain limit orders | [`ENTRY_TIF`]: post-only, a maker must not take | both | `hedge_mode_labels_orders_and_leaves_the_other_side_alone` |
//! | W3 | exits are plain limit orders | [`EXIT_TIF`] and reduce-only: they may cross but never open a position | both | `a_fill_clears_the_closing_side_and_places_the_take_profit_in_one_plan` |
//! | W4 | a refresh cancels, and places a tick later | one step, so that it can be one amend; unchanged quotes are not touched; as the originals while a cancel is in flight or the orders of both would be too many | every event | `a_refresh_is_one_step_and_leaves_unchanged_quotes_alone` |
//! | W5 | quotes due at `create_ts` go out after it (strict) | at it | every event | `quotes_are_created_at_their_time_and_a_tick_later_in_the_originals_cadence` |
//! | W6 | on a refresh the margin of the old quotes still counts as spent | as free, up to the wallet: they are replaced | every event | `a_refresh_counts_what_the_old_quotes_lock_as_free` |
//! | W7 | a take-profit is replaced on each of its own partial fills | kept when its open rest is the position | every event | `a_fill_clears_the_closing_side_and_places_the_take_profit_in_one_plan` |
//! | W8 | an exit that outlives the position is a quote until the next refresh | cancelled at once | every event | `an_exit_that_outlives_its_position_is_cancelled_at_once` |
//! | W9 | sums of sizes and the last trade are binary doubles | exact decimals; may differ by a tick on a rounding boundary | both | `every_vector_is_equal` |
//! | W10 | up to ten ticks of waiting for the position mode | asked for at start; the engine confirms it before the first decision | both | `the_position_mode_is_asked_for_at_the_start` |
//! | W11 | a buy and a sell that round to one tick both go out | the sell moves a tick above the buy: the two sides never meet | every event | `quotes_that_round_to_one_tick_do_not_meet` |
//! | W12 | a position mode that is lost halts the strategy, its orders stay | every live order is cancelled: every stop cancels | both | `a_lost_position_mode_takes_every_order_away_until_it_is_confirmed` |
//! | W13 | entries that would add to the position stay while it is being stopped out | cancelled with the stop; the vectors' test counts these cancels and does not carry them out | both | `a_stop_is_priced_through_the_touch_takes_the_rest_away_and_is_renewed_in_time` |
//! | W14 | with a stale or missing external price, entries stay until the next refresh | withdrawn at once by the desk (`Blocks::SOURCE`); exits are managed on | both | `an_old_polled_price_withdraws_entries_and_leaves_exits` |

mod exits;
mod pricing;
mod rungs;

use super::exact::scale;
use super::{
    AccountRequest, Cadence, Cause, Internals, ORDERS_MAX, OwnEvent, OwnOrder, Phase, Plan, Purpose, Quote, Strategy,
    View, WhyNot,
};
use crate::config::load::Strategy as Settings;
use crate::config::perpetual::PerpetualSettings;
use crate::event::{ClientId, PositionSide, Side, TimeInForce};
use crate::unit::{Amount, Lots, Money, Nanos, Price, RATE_ONE, Rate, Ticks};
use arrayvec::ArrayVec;
use exits::ExitLevels;
use rungs::Rungs;

/// Time in force of entries.
pub const ENTRY_TIF: TimeInForce = TimeInForce::PostOnly;
/// Time in force of take-profit and stop orders.
pub const EXIT_TIF: TimeInForce = TimeInForce::Gtc;
/// A cancel is not repeated before this has passed.
const CANCEL_REPEAT: Nanos = Nanos::from_secs(60);

/// What one decision asks for, in the order in which the strategy's document prescribes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Cancel a live order.
    Cancel(ClientId, Cause),
    /// Place an order.
    Place(Quote, Cause),
    /// Cancel the order that the act at this index of the script places: neither goes out.
    Revoke(usize, Cause),
}

/// Every live order can be cancelled, every quote placed, every take-profit revoked: memory is taken once, for all of it.
const SCRIPT_MAX: usize = 3 * ORDERS_MAX;

/// Which balance the margin of a side comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Collateral {
    /// The quote asset (linear contracts).
    #[default]
    Quote,
    /// The base asset.
    Base,
}

/// An entry order as proposed, on the grid, price and size positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Proposed {
    side: Side,
    level: u8,
    price: Ticks,
    qty: Lots,
}

/// Buys first, then sells, each in level order.
type Proposal = Vec<Proposed>;

/// The strategy with its state.
pub struct Perpetual {
    settings: PerpetualSettings,
    cadence: Cadence,
    cancels_at_once: bool,
    collateral: [Collateral; 2],
    create_at: Nanos,
    cancel_at: Nanos,
    last_own_trade: Option<Ticks>,
    position_mode_ready: bool,
    /// The last decision without a position: exits asked for before it belong to a position that has ended.
    flat_at: Nanos,
    /// When the earliest live stop order is due for renewal.
    renew_stop_at: Nanos,
    exit_levels: [ExitLevels; 2],
    quiet: Quiet,
    rungs: Rungs,
    /// Memory for the next proposal.
    proposal: Proposal,
    /// Of the last proposal, if it is as the rungs priced it.
    outline: Option<Outline>,
    /// Of the live orders, as long as they stay the same.
    survey: Option<Survey>,
    standing: Option<Standing>,
    decided_at: Nanos,
    phase: Phase,
    /// Why the last proposal has no bids or asks.
    blocked: [Option<WhyNot>; 2],
    script: Vec<Act>,
}

impl Perpetual {
    /// A strategy that has not decided anything yet. `settings` must have passed [`PerpetualSettings::check`].
    #[must_use]
    pub fn new(settings: PerpetualSettings, cadence: Cadence) -> Self {
        Self {
            settings,
            cadence,
            cancels_at_once: cadence == Cadence::EveryEvent,
            collateral: [Collateral::Quote; 2],
            create_at: Nanos::ZERO,
            cancel_at: Nanos::ZERO,
            last_own_trade: None,
            position_mode_ready: true,
            flat_at: Nanos(i64::MIN),
            renew_stop_at: Nanos::MAX,
            exit_levels: [ExitLevels::NONE; 2],
            quiet: Quiet::NEVER,
            rungs: Rungs::new(),
            proposal: Vec::with_capacity(ORDERS_MAX),
            outline: None,
            survey: None,
            standing: None,
            decided_at: Nanos(i64::MIN),
            phase: Phase::Starting,
            blocked: [None; 2],
            script: Vec::with_capacity(SCRIPT_MAX),
        }
    }

    /// For a venue that confirms a cancel inside the call: the order is gone for the rest of the decision.
    #[must_use]
    pub fn with_cancels_at_once(mut self) -> Self {
        self.cancels_at_once = true;
        self
    }

    /// Which asset secures buys and sells; the quote asset unless stated.
    #[must_use]
    pub fn with_collateral(mut self, buy: Collateral, sell: Collateral) -> Self {
        self.collateral = [buy, sell];
        self
    }

    /// The settings in use.
    #[must_use]
    pub fn settings(&self) -> &PerpetualSettings {
        &self.settings
    }

    /// Takes over the settings that may change at run time, effective from their next use; the others stay.
    pub fn apply(&mut self, new: &PerpetualSettings) {
        self.rungs.forget();
        self.standing = None;
        let s = &mut self.settings;
        s.bid_spread = new.bid_spread;
        s.ask_spread = new.ask_spread;
        s.order_refresh_time = new.order_refresh_time;
        s.order_refresh_tolerance = new.order_refresh_tolerance;
        s.order_amount = new.order_amount;
        s.price_ceiling = new.price_ceiling;
        s.price_floor = new.price_floor;
        s.order_levels = new.order_levels;
        s.buy_levels = new.buy_levels;
        s.sell_levels = new.sell_levels;
        s.order_level_amount = new.order_level_amount;
        s.order_level_spread = new.order_level_spread;
        s.filled_order_delay = new.filled_order_delay;
        s.order_optimization_enabled = new.order_optimization_enabled;
    }

    /// What the last decision asked for, in the document's order; the plan is the same without revoked placements. On every event it is
    /// kept for decisions with a position only: without one the plan says all of it.
    #[must_use]
    pub fn script(&self) -> &[Act] {
        &self.script
    }

    /// When the next quotes may be created and when the live ones are due for a refresh, for the status.
    #[must_use]
    pub fn timers(&self) -> (Nanos, Nanos) {
        (self.create_at, self.cancel_at)
    }

    fn every_event(&self) -> bool {
        self.cadence == Cadence::EveryEvent
    }

    fn set_timers(&mut self, now: Nanos) {
        let next = now + self.settings.order_refresh_time;
        if self.create_at <= now {
            self.create_at = next;
        }
        if self.cancel_at <= now {
            self.cancel_at = self.create_at.min(next);
        }
    }

    /// An exit of a position that still exists.
    fn is_exit(&self, order: &OwnOrder) -> bool {
        matches!(order.purpose, Purpose::TakeProfit | Purpose::StopLoss) && order.created_at >= self.flat_at
    }

    /// A tick without a position.
    fn quote(&mut self, turn: &mut Turn<'_>) {
        let view = turn.view;
        self.flat_at = view.now;
        let reference = self.reference(view);
        turn.reference = reference;
        if self.every_event() {
            self.quote_on_event(turn, reference);
        } else {
            let mut memory = std::mem::take(&mut self.proposal);
            let plain = view.orders.iter().all(pricing::is_plain);
            let priced = self.create_at <= view.now && self.propose(view, reference, plain, &mut memory).is_some();
            let proposal = priced.then_some(&memory);
            if self.cancel_at <= view.now && turn.any_live() {
                if self.within_tolerance(turn, proposal) {
                    self.set_timers(view.now);
                } else {
                    turn.cancel_where(Cause::Refresh, |_| true);
                }
            }
            self.cancel_below_minimum_spread(turn, reference);
            if let Some(proposal) = proposal
                && self.create_at < view.now
                && !turn.any_live()
                && own_book_usable(view)
            {
                self.enter(turn, proposal, |_| true);
            }
            self.proposal = memory;
        }
    }

    fn quote_on_event(&mut self, turn: &mut Turn<'_>, reference: Option<Price>) {
        let view = turn.view;
        let survey = *self.survey.get_or_insert_with(|| Survey::of(view.orders));
        if survey.exits {
            turn.cancel_where(Cause::Reconcile, is_an_exit);
        }
        let any_live = turn.any_live();
        let refresh = self.cancel_at <= view.now && any_live;
        let create = self.create_at <= view.now && !any_live && turn.untouched();
        if !refresh && !create && self.quiet.holds(survey.nearest, reference) {
            return self.remember_standing(turn, &survey, false);
        }
        let priced = self.create_at <= view.now && (refresh || create);
        let mut memory = std::mem::take(&mut self.proposal);
        let priced = priced && self.propose(view, reference, survey.plain, &mut memory).is_some();
        let proposal = priced.then_some(&memory);
        if let (Some(proposal), true) = (proposal, refresh)
            && self.replaces_all(turn, &survey, proposal)
        {
            turn.cancel_all(Cause::Refresh);
            self.enter_all(turn, proposal);
            self.proposal = memory;
            return;
        }
        let mut tolerated = false;
        let usable = own_book_usable(view);
        if refresh {
            let in_flight = turn.live().any(|order| order.cancel_sent.is_some());
            tolerated = self.within_tolerance(turn, proposal);
            if tolerated {
                self.set_timers(view.now);
            } else if let (Some(proposal), true) = (proposal, usable && !in_flight)
                && proposal.len() <= turn.room()
            {
                let (mut kept_orders, mut kept_quotes) = (0_u64, 0_u64);
                let plain = |order: &OwnOrder| order.purpose == Purpose::Entry && order.filled.is_zero();
                let proposed = proposal.iter().fold(0, |bits, quote| bits | price_bit(quote.price));
                let plain = |order: &OwnOrder| proposed & price_bit(order.price) != 0 && plain(order);
                for (at, order) in view.orders.iter().enumerate().filter(|(_, order)| plain(order)) {
                    let same = |(n, quote): &(usize, &Proposed)| {
                        order.price == quote.price
                            && kept_quotes & (1 << n) == 0
                            && (order.side, order.qty) == (quote.side, quote.qty)
                    };
                    if let Some((n, _)) = proposal.iter().enumerate().find(same) {
                        kept_orders |= 1 << at;
                        kept_quotes |= 1 << n;
                    }
                }
                for at in (0..view.orders.len()).filter(|at| kept_orders & (1 << at) == 0) {
                    turn.cancel(at, Cause::Refresh);
                }
                self.enter(turn, proposal, |n| kept_quotes & (1 << n) == 0);
            } else {
                turn.cancel_where(Cause::Refresh, |_| true);
            }
        }
        self.cancel_below_minimum_spread(turn, reference);
        if let (Some(proposal), true) = (proposal, create && usable) {
            self.enter(turn, proposal, |_| true);
        }
        // A refresh that changes orders makes them other ones anyway.
        if !refresh && !self.quiet.covers(survey.nearest) {
            self.quiet = Quiet::of(view, survey.nearest, self.settings.minimum_spread);
        }
        self.proposal = memory;
        self.remember_standing(turn, &survey, tolerated);
    }

    /// On a refresh that step by step would cancel every live order and place every proposed one: at least one is farther away than the
    /// tolerance, none is equal to another, and all fit. Seen in one look, for nearly every refresh after the market has moved.
    fn replaces_all(&self, turn: &Turn<'_>, survey: &Survey, proposal: &Proposal) -> bool {
        let Some(outline) = &self.outline else { return false };
        let proposed = |order: &OwnOrder| {
            outline.prices & price_bit(order.price) != 0 && proposal.iter().any(|quote| quote.price == order.price)
        };
        !survey.exits
            && !survey.in_flight
            && proposal.len() <= turn.room()
            && self.apart(&survey.spans, &outline.spans)
            && (outline.prices & survey.prices == 0 || !turn.view.orders.iter().any(proposed))
    }

    fn remember_standing(&mut self, turn: &Turn<'_>, survey: &Survey, tolerated: bool) {
        if turn.untouched() && !self.optimizes() && !survey.in_flight {
            self.standing = Some(Standing::of(turn.view, turn.reference, tolerated));
        }
    }

    /// Places the entries that `wanted` names by index and starts the timers.
    fn enter(&mut self, turn: &mut Turn<'_>, proposal: &Proposal, wanted: impl Fn(usize) -> bool) {
        for (_, order) in proposal.iter().enumerate().filter(|(n, _)| wanted(*n)) {
            turn.place(self.entry(order), Cause::Quote);
        }
        if !proposal.is_empty() {
            self.set_timers(turn.view.now);
        }
    }

    /// [`Perpetual::enter`] of all entries, for which there is room.
    fn enter_all(&mut self, turn: &mut Turn<'_>, proposal: &Proposal) {
        if turn.scripted {
            return self.enter(turn, proposal, |_| true);
        }
        turn.plan.place.extend(proposal.iter().map(|order| (self.entry(order), Cause::Quote)));
        turn.placed = proposal.len();
        self.set_timers(turn.view.now);
    }

    #[inline(always)]
    fn entry(&self, order: &Proposed) -> Quote {
        Quote {
            side: order.side,
            position_side: match (self.settings.hedge, order.side) {
                (false, _) => PositionSide::Net,
                (true, Side::Buy) => PositionSide::Long,
                (true, Side::Sell) => PositionSide::Short,
            },
            purpose: Purpose::Entry,
            level: order.level,
            price: order.price,
            qty: order.qty,
            tif: ENTRY_TIF,
            reduce_only: false,
        }
    }

    /// The live prices of both sides are as many as the proposed ones and none is further away than the tolerance.
    fn within_tolerance(&self, turn: &Turn<'_>, proposal: Option<&Proposal>) -> bool {
        let Some(proposal) = proposal else { return false };
        let live = Span::of_sides(turn.live().map(|order| (order.side, order.price)));
        let wanted = Span::of_sides(proposal.iter().map(|order| (order.side, order.price)));
        if self.apart(&live, &wanted) {
            return false;
        }
        [Side::Buy, Side::Sell].into_iter().all(|side| {
            let mut live: ArrayVec<Ticks, ORDERS_MAX> =
                turn.live().filter(|order| order.side == side).map(|order| order.price).collect();
            let mut wanted: ArrayVec<Ticks, ORDERS_MAX> =
                proposal.iter().filter(|order| order.side == side).map(|order| order.price).collect();
            live.sort_unstable();
            wanted.sort_unstable();
            live.len() == wanted.len() && live.iter().zip(&wanted).all(|(live, wanted)| self.near(*live, *wanted))
        })
    }

    /// The wanted price is not farther from the live one than the tolerance.
    #[inline]
    fn near(&self, live: Ticks, wanted: Ticks) -> bool {
        let tolerance = i128::from(self.settings.order_refresh_tolerance.0);
        i128::from((wanted - live).abs().0) * i128::from(RATE_ONE) <= tolerance * i128::from(live.0)
    }

    /// Certainly not within the tolerance. Sorted or not, the lowest of both belong together and the highest: mostly that is enough to know.
    fn apart(&self, live: &[Span; 2], wanted: &[Span; 2]) -> bool {
        self.settings.order_refresh_tolerance < Rate::ZERO
            || live.iter().zip(wanted).any(|(live, wanted)| {
                live.count != wanted.count
                    || live.count > 0
                        && !(self.near(live.lowest, wanted.lowest) && self.near(live.highest, wanted.highest))
            })
    }

    /// Cancels quotes that are nearer to the reference than the minimum spread.
    fn cancel_below_minimum_spread(&self, turn: &mut Turn<'_>, reference: Option<Price>) {
        let Some(reference) = reference else { return };
        let minimum = self.settings.minimum_spread;
        let instrument = turn.view.instrument;
        if minimum <= Rate::ZERO && around(turn.view, reference) || far_enough(turn.view, reference, minimum) {
            return;
        }
        // Strictly nearer: a buy above reference * (1 - minimum), a sell below reference * (1 + minimum).
        let highest_bid = scale(reference, Rate::ONE - minimum).floor;
        let lowest_ask = scale(reference, Rate::ONE + minimum).ceil;
        turn.cancel_where(Cause::MinimumSpread, |order| match order.side {
            Side::Buy => instrument.price(order.price) > highest_bid,
            Side::Sell => instrument.price(order.price) < lowest_ask,
        });
    }
}

impl Perpetual {
    /// A decision that is not the last one again. [`Perpetual::survey`] is of these orders, or none.
    fn decide_anew(&mut self, view: &View<'_>, plan: &mut Plan) {
        self.script.clear();
        self.decided_at = view.now;
        self.renew_stop_at = Nanos::MAX;
        self.standing = None;
        let script = std::mem::take(&mut self.script);
        let at_once = self.cancels_at_once;
        let scripted = !self.every_event() || !view.positions.is_empty();
        let mut turn =
            Turn { view, plan, at_once, gone: 0, cancelled: 0, placed: 0, reference: None, scripted, script };
        self.phase = if !self.position_mode_ready {
            turn.cancel_where(Cause::Withdraw, |_| true);
            Phase::WrongMode
        } else if view.positions.is_empty() {
            self.quote(&mut turn);
            match turn.reference {
                None => Phase::NoPrice,
                Some(_) if turn.placed > 0 || turn.any_live() => Phase::Quoting,
                Some(_) => Phase::Waiting,
            }
        } else {
            self.manage(&mut turn);
            if self.renew_stop_at < Nanos::MAX { Phase::Stopping } else { Phase::Holding }
        };
        turn.plan.reference = turn.reference.unwrap_or(Price::ZERO);
        self.script = turn.script;
    }
}

impl Strategy for Perpetual {
    fn start(&mut self, _now: Nanos, plan: &mut Plan) {
        plan.account.push(AccountRequest::Leverage(self.settings.leverage));
        plan.account.push(AccountRequest::PositionMode(self.settings.hedge));
    }

    fn on_own(&mut self, now: Nanos, event: &OwnEvent) {
        self.standing = None;
        match event {
            OwnEvent::Filled { order, complete: true, .. } => {
                self.create_at = now + self.settings.filled_order_delay;
                self.cancel_at = self.cancel_at.min(self.create_at);
                self.last_own_trade = Some(order.price);
            }
            OwnEvent::Filled { .. } | OwnEvent::Gone { .. } => {}
            OwnEvent::PositionMode { hedge, ok } => self.position_mode_ready = *ok && *hedge == self.settings.hedge,
        }
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan) {
        self.survey = None;
        self.decide_anew(view, plan);
    }

    fn decide_again(&mut self, view: &View<'_>, plan: &mut Plan) {
        let refresh = self.cancel_at <= view.now;
        let stands = |standing: &Standing| {
            (!refresh || (standing.tolerated && self.create_at <= view.now))
                && standing.is_of(view)
                && (self.quotes_on_touch() || standing.reference == self.reference(view))
        };
        let Some(reference) = self.standing.as_ref().filter(|standing| stands(standing)).map(|old| old.reference)
        else {
            return self.decide_anew(view, plan);
        };
        self.script.clear();
        self.decided_at = view.now;
        self.flat_at = view.now;
        if refresh {
            self.set_timers(view.now);
        }
        plan.reference = reference.unwrap_or(Price::ZERO);
    }

    fn reconfigure(&mut self, new: &mut Settings) {
        if let Settings::Perpetual(new) = new {
            self.apply(new);
        }
    }

    fn next_timer(&self) -> Nanos {
        // The originals create strictly after the time, so that a wake-up at the time itself would find nothing to do.
        let after = Nanos(if self.every_event() { 0 } else { 1 });
        [self.create_at + after, self.cancel_at, self.renew_stop_at]
            .into_iter()
            .filter(|at| *at > self.decided_at)
            .min()
            .unwrap_or(Nanos::MAX)
    }

    fn internals(&self) -> Internals {
        let quotes = matches!(self.phase, Phase::Quoting | Phase::Waiting);
        Internals {
            phase: self.phase,
            quotes_due: self.create_at,
            refresh_due: if self.renew_stop_at < Nanos::MAX { self.renew_stop_at } else { self.cancel_at },
            blocked: if quotes { self.blocked } else { [Some(WhyNot::Phase); 2] },
            ..Internals::default()
        }
    }
}

/// One decision under way.
struct Turn<'a> {
    view: &'a View<'a>,
    /// The script without what was revoked.
    plan: &'a mut Plan,
    /// A cancelled order counts as gone for the rest of the decision.
    at_once: bool,
    /// Bits over `view.orders`.
    gone: u64,
    cancelled: u64,
    placed: usize,
    reference: Option<Price>,
    /// The script is kept.
    scripted: bool,
    script: Vec<Act>,
}

const _: () = assert!(ORDERS_MAX <= u64::BITS as usize, "one bit per order");

impl<'a> Turn<'a> {
    /// Live orders in creation order, those with a cancel in flight included.
    fn live(&self) -> impl Iterator<Item = &'a OwnOrder> + use<'a> {
        let gone = self.gone;
        self.view.orders.iter().enumerate().filter(move |(at, _)| gone & (1 << at) == 0).map(|(_, order)| order)
    }

    fn any_live(&self) -> bool {
        self.live().next().is_some()
    }

    /// Nothing has been asked for yet.
    fn untouched(&self) -> bool {
        self.plan.cancel.is_empty() && self.plan.place.is_empty() && self.script.is_empty()
    }

    #[inline(always)]
    fn note(&mut self, act: Act) {
        if self.scripted {
            self.script.push(act);
        }
    }

    /// Cancels every live order. None is being cancelled, and nothing has been asked for.
    fn cancel_all(&mut self, cause: Cause) {
        if self.scripted {
            return self.cancel_where(cause, |_| true);
        }
        self.cancelled = u64::MAX.checked_shr(u64::BITS - self.view.orders.len() as u32).unwrap_or(0);
        if self.at_once {
            self.gone = self.cancelled;
        }
        self.plan.cancel.extend(self.view.orders.iter().map(|order| (order.id, cause)));
    }

    fn cancel_where(&mut self, cause: Cause, which: impl Fn(&OwnOrder) -> bool) {
        for at in 0..self.view.orders.len() {
            if self.gone & (1 << at) == 0 && which(&self.view.orders[at]) {
                self.cancel(at, cause);
            }
        }
    }

    /// Cancels one live order, unless a cancel is already on its way.
    #[inline(always)]
    fn cancel(&mut self, at: usize, cause: Cause) {
        let order = &self.view.orders[at];
        let repeated = order.cancel_sent.is_some_and(|sent| self.view.now - sent <= CANCEL_REPEAT);
        if repeated || self.cancelled & (1 << at) != 0 {
            return;
        }
        self.cancelled |= 1 << at;
        if self.at_once {
            self.gone |= 1 << at;
        }
        self.note(Act::Cancel(order.id, cause));
        self.plan.cancel.push((order.id, cause));
    }

    /// The order that the script places at `at` is not sent.
    fn revoke(&mut self, at: usize, cause: Cause) {
        self.script.push(Act::Revoke(at, cause));
        self.plan.place.clear();
        let revoked = |at: usize| self.script.iter().any(|act| matches!(act, Act::Revoke(target, _) if *target == at));
        for (at, act) in self.script.iter().enumerate() {
            if let Act::Place(quote, cause) = *act
                && !revoked(at)
            {
                self.plan.place.push((quote, cause));
            }
        }
    }

    /// Left out when the instrument has as many orders as it can have; slow cancels can come to that.
    #[inline(always)]
    fn place(&mut self, quote: Quote, cause: Cause) {
        if self.room() > 0 {
            self.placed += 1;
            self.note(Act::Place(quote, cause));
            self.plan.place.push((quote, cause));
        }
    }

    /// Placements that still fit, counting orders that are on their way out.
    fn room(&self) -> usize {
        ORDERS_MAX.saturating_sub(self.view.orders.len() + self.placed)
    }
}

fn own_book_usable(view: &View<'_>) -> bool {
    view.book.best(Side::Buy).is_some() && view.book.best(Side::Sell).is_some()
}

/// True when every buy is at or below the reference and every sell at or above: nearer than a minimum of zero or less is none then.
fn around(view: &View<'_>, reference: Price) -> bool {
    let [buys, sells] = Span::of_sides(view.orders.iter().map(|order| (order.side, order.price)));
    (buys.count == 0 || view.instrument.price(buys.highest) <= reference)
        && (sells.count == 0 || view.instrument.price(sells.lowest) >= reference)
}

/// What the checks of a decision want to know of the live orders together: looked up once, while the orders stay the same.
#[derive(Clone, Copy)]
struct Survey {
    spans: [Span; 2],
    /// [`Quiet::nearest`].
    nearest: [Option<Ticks>; 2],
    /// [`price_bit`] of each.
    prices: u64,
    /// There are exits.
    exits: bool,
    /// Some order is being cancelled.
    in_flight: bool,
    /// What they lock is not negative.
    plain: bool,
}

impl Survey {
    fn of(orders: &[OwnOrder]) -> Self {
        Self {
            spans: Span::of_sides(orders.iter().map(|order| (order.side, order.price))),
            nearest: Quiet::nearest(orders),
            prices: orders.iter().fold(0, |bits, order| bits | price_bit(order.price)),
            exits: orders.iter().any(is_an_exit),
            in_flight: orders.iter().any(|order| order.cancel_sent.is_some()),
            plain: orders.iter().all(pricing::is_plain),
        }
    }
}

/// What is to be known of a proposal as a whole, as the rungs priced it.
#[derive(Clone, Copy)]
struct Outline {
    spans: [Span; 2],
    /// [`price_bit`] of each.
    prices: u64,
    /// Ticks times lots of all of them.
    units: u64,
    /// All of this is so; else it was not worked out, or does not fit.
    whole: bool,
}

impl Outline {
    const EMPTY: Self = Self { spans: [Span::EMPTY; 2], prices: 0, units: 0, whole: false };
}

/// A bit for the last six bits of a price: prices without a common bit are not equal.
fn price_bit(price: Ticks) -> u64 {
    1 << (price.0 & 63)
}

fn is_an_exit(order: &OwnOrder) -> bool {
    matches!(order.purpose, Purpose::TakeProfit | Purpose::StopLoss)
}

/// How many prices there are, and their ends.
#[derive(Clone, Copy)]
struct Span {
    count: usize,
    lowest: Ticks,
    highest: Ticks,
}

impl Span {
    const EMPTY: Self = Self { count: 0, lowest: Ticks::MAX, highest: Ticks(i64::MIN) };

    /// By side.
    fn of_sides(prices: impl Iterator<Item = (Side, Ticks)>) -> [Self; 2] {
        let [mut buys, mut sells] = [Self::EMPTY; 2];
        for (side, price) in prices {
            let span = if side == Side::Buy { &mut buys } else { &mut sells };
            span.add(price);
        }
        [buys, sells]
    }

    #[inline(always)]
    fn add(&mut self, price: Ticks) {
        self.count += 1;
        (self.lowest, self.highest) = (self.lowest.min(price), self.highest.max(price));
    }
}

/// True when no order is nearer to the reference than the minimum: products are compared, nothing is divided. False may also mean
/// that the products do not fit.
fn far_enough(view: &View<'_>, reference: Price, minimum: Rate) -> bool {
    let one = i128::from(RATE_ONE);
    let nearest = Quiet::nearest(view.orders);
    let price = |ticks: Ticks| view.instrument.price(ticks).0.checked_mul(one);
    let bound = |factor: Rate| reference.0.checked_mul(i128::from(factor.0));
    // A whole number is above the floor of a product exactly if it is above the product, and below its ceiling likewise.
    let clear = |ticks: Option<Ticks>, beyond: fn(&i128, &i128) -> bool, factor: Rate| {
        ticks.is_none_or(|ticks| price(ticks).zip(bound(factor)).is_some_and(|(price, bound)| !beyond(&price, &bound)))
    };
    // An order that is being cancelled is not among the nearest, but may have to be cancelled again.
    view.orders.iter().all(|order| order.cancel_sent.is_none())
        && clear(nearest[Side::Buy.index()], i128::gt, Rate::ONE - minimum)
        && clear(nearest[Side::Sell.index()], i128::lt, Rate::ONE + minimum)
}

/// On what the last decision asked for nothing. While it is the same, for the same orders and without a position, nothing is asked for.
struct Standing {
    reference: Option<Price>,
    best: [Option<Ticks>; 2],
    quoting: bool,
    available: Money,
    available_base: Amount,
    wallet: Money,
    widen: Rate,
    /// It was a refresh, and the quotes were within the tolerance.
    tolerated: bool,
}

impl Standing {
    fn of(view: &View<'_>, reference: Option<Price>, tolerated: bool) -> Self {
        Self {
            reference,
            best: best(view),
            quoting: !view.orders.is_empty(),
            available: view.available,
            available_base: view.available_base,
            wallet: view.wallet,
            widen: view.widen,
            tolerated,
        }
    }

    /// All of it but the reference is as it was, and there are orders.
    fn is_of(&self, view: &View<'_>) -> bool {
        self.quoting
            && self.best == best(view)
            && self.available == view.available
            && self.available_base == view.available_base
            && self.wallet == view.wallet
            && self.widen == view.widen
    }
}

fn best(view: &View<'_>) -> [Option<Ticks>; 2] {
    [Side::Buy, Side::Sell].map(|side| view.book.best(side).map(|level| level.price))
}

/// The range of reference prices in which no live order violates the minimum spread. It depends on the nearest order of each
/// side only, so that an event whose reference stays in it costs two comparisons and no division.
#[derive(Clone, Copy)]
struct Quiet {
    nearest: [Option<Ticks>; 2],
    low: Price,
    high: Price,
}

impl Quiet {
    const NEVER: Self = Self { nearest: [Some(Ticks(i64::MIN)); 2], low: Price::MAX, high: Price(i128::MIN) };

    /// Highest bid and lowest ask that are live and not being cancelled.
    fn nearest(orders: &[OwnOrder]) -> [Option<Ticks>; 2] {
        let mut nearest = [None; 2];
        for order in orders.iter().filter(|order| order.cancel_sent.is_none()) {
            let best: &mut Option<Ticks> = &mut nearest[order.side.index()];
            *best = Some(match (*best, order.side) {
                (None, _) => order.price,
                (Some(best), Side::Buy) => best.max(order.price),
                (Some(best), Side::Sell) => best.min(order.price),
            });
        }
        nearest
    }

    fn of(view: &View<'_>, nearest: [Option<Ticks>; 2], minimum: Rate) -> Self {
        let one = i128::from(RATE_ONE);
        // Where the exact bound does not exist or does not fit, the range is empty: every event then makes the full check.
        let bound = |price: Ticks, factor: Rate| {
            (factor.0 > 0)
                .then(|| view.instrument.price(price).0.checked_mul(one).map(|p| p / i128::from(factor.0)))
                .flatten()
        };
        let low = match nearest[Side::Buy.index()] {
            None => Price(i128::MIN),
            Some(bid) => bound(bid, Rate::ONE - minimum).map_or(Price::MAX, |low| Price(low + 1)),
        };
        let high = match nearest[Side::Sell.index()] {
            Some(_) if minimum <= -Rate::ONE => Price::MAX,
            None => Price::MAX,
            Some(ask) => bound(ask, Rate::ONE + minimum).map_or(Price(i128::MIN), Price),
        };
        Self { nearest, low, high }
    }

    /// It is of live orders of which these are the nearest.
    fn covers(&self, nearest: [Option<Ticks>; 2]) -> bool {
        self.nearest == nearest
    }

    /// True when no order can be nearer than the minimum spread (or there is no reference to measure from).
    fn holds(&self, nearest: [Option<Ticks>; 2], reference: Option<Price>) -> bool {
        self.covers(nearest) && reference.is_none_or(|reference| self.low <= reference && reference <= self.high)
    }
}

#[cfg(test)]
mod tests;
