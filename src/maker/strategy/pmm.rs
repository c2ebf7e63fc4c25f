//! The pure market making controller: levels with a life of their own (entry, take profit, held inventory). Sends nothing itself.
//!
//! [`controller`] evaluates, [`executor`]s carry out, [`held`] keeps what they hand over; each is held equal to the originals'
//! recorded outcomes by `tests/golden.rs`. [`Pmm`] is the three together as a strategy. Where it is not the originals' loop:
//!
//! | # | the originals | here | test |
//! |---|---|---|---|
//! | M1 | market orders | immediate-or-cancel limits [`MARKET_REACH`] through the touch; what does not execute is asked for again | `held_inventory_is_closed_by_an_order_of_its_own` |
//! | M2 | an order that is refused counts as a failure, also by their own checks | only the venue's refusal does; what never left is asked for again | `what_never_left_is_asked_for_again_and_a_refusal_counts` |
//! | M3 | controller and executors loop once a second, a shutdown every five | in the engine's cadence | `an_old_level_is_given_up_and_what_it_holds_is_kept` |
//! | M4 | positions are stored and loaded | what the venue reports at the start is taken over as held | `held_inventory_is_closed_by_an_order_of_its_own` |
//! | M5 | fees as charged | the contract's rates: the net profit that triggers a market take profit is known before the venue says | `a_market_take_profit_waits_for_a_profit_after_the_contracts_fee` |
//! | M6 | closes are reduce-only by position action | reduce-only in hedge mode; in one-way mode a close at market is while the net position covers it. Executors may hold opposite inventory there, so a larger close may cross zero; and a resting take profit is plain, because the venue would cut it down with every fill of another level | `a_one_way_close_at_market_is_reduce_only_while_the_net_position_covers_it` |
//! | M7 | a lost position mode goes unnoticed | every executor is stopped and hands over what it holds | `a_lost_position_mode_takes_every_order_away` |

pub mod controller;
pub mod executor;
pub mod held;

use super::exact::{PRICE_MAX, on_tick};
use super::internals::rate;
use super::{
    AccountRequest, Cadence, Cause, Internals, ORDERS_MAX, OwnEvent, OwnOrder, Phase, Plan, Purpose, Quote, Strategy,
    View, WhyNot,
};
use crate::config::load::Strategy as Settings;
use crate::config::pmm::PmmSettings;
use crate::event::{ClientId, PositionSide, Side, TimeInForce};
use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, MONEY_PLACES, Money, Nanos, Price, RATE_ONE, Rate, Ticks, mul_div, pow10};
use arrayvec::ArrayVec;
use controller::{Create, Decision, Figures, Record, Report, Skip, Status, Touch, evaluate};
use executor::{Ask, Asks, Mission, News, OrderExecutor, OrderKind, PositionExecutor, Role};
use held::Held;

/// One, in the units of [`Ratio`], [`Price`], [`Money`] and [`Amount`].
const ONE: i128 = pow10(MONEY_PLACES);

/// A computed ratio, 1e-18, truncated towards zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ratio(pub i128);

impl Ratio {
    /// One.
    pub const ONE: Self = Self(ONE);

    /// The largest, and its negative the smallest: what is beyond stays there.
    pub const MAX: Self = Self(ONE * pow10(20));

    /// `part / whole`; `whole` is not zero.
    #[must_use]
    pub fn of(part: i128, whole: i128) -> Self {
        if part.unsigned_abs() / whole.unsigned_abs() >= pow10(20).unsigned_abs() {
            return Self(Self::MAX.0 * part.signum() * whole.signum());
        }
        Self(mul_div(part, ONE, whole))
    }
}

/// What an amount is worth at a price, truncated towards zero.
#[must_use]
pub fn value(amount: Amount, price: Price) -> Money {
    Money(mul_div(amount.0, price.0, ONE))
}

/// The price at which an amount is worth a value, truncated towards zero; zero for no amount.
#[must_use]
pub fn average(value: Money, amount: Amount) -> Price {
    if amount.is_zero() { Price::ZERO } else { Price(mul_div(value.0, ONE, amount.0)) }
}

/// How far through the touch an order at market is priced.
pub const MARKET_REACH: Rate = Rate::from_bps(50);
/// Executors at once. Ended ones stay while they matter; then the oldest of them makes room.
const SLOTS: usize = 96;
/// Executors and the controller look around at least this often.
const LOOP: Nanos = Nanos::from_secs(1);
/// A cancel is not repeated before this has passed.
const CANCEL_REPEAT: Nanos = Nanos::from_secs(60);

/// An executor of either kind.
#[expect(clippy::large_enum_variant, reason = "in place, because a box would be an allocation in the engine thread")]
enum Worker {
    Level(PositionExecutor),
    Closing(OrderExecutor),
}

/// A worker with what ties it to the order table: its place is the `level` of its orders, their purpose the role.
struct Slot {
    worker: Worker,
    /// The table's ids of its entry, take profit and closing order, once seen.
    ids: [Option<ClientId>; 3],
    /// The ids that were theirs before: what still comes of those is not about the next order.
    ended: [Option<ClientId>; 3],
    handed_over: bool,
}

const ROLES: [Role; 3] = [Role::Entry, Role::TakeProfit, Role::Closing];

fn purpose(role: Role) -> Purpose {
    match role {
        Role::Entry => Purpose::Entry,
        Role::TakeProfit => Purpose::TakeProfit,
        Role::Closing => Purpose::StopLoss,
    }
}

fn role(purpose: Purpose) -> Option<Role> {
    match purpose {
        Purpose::Entry => Some(Role::Entry),
        Purpose::TakeProfit => Some(Role::TakeProfit),
        Purpose::StopLoss => Some(Role::Closing),
        Purpose::Adopted | Purpose::Flatten => None,
    }
}

impl Slot {
    fn status(&self) -> Status {
        match &self.worker {
            Worker::Level(executor) => executor.status(),
            Worker::Closing(executor) => executor.status(),
        }
    }

    fn report(&self, touch: &Touch<'_>) -> Report {
        match &self.worker {
            Worker::Level(executor) => executor.report(touch),
            Worker::Closing(executor) => executor.report(),
        }
    }

    fn live(&self, role: Role) -> Option<u32> {
        match &self.worker {
            Worker::Level(executor) => executor.live(role),
            Worker::Closing(executor) => executor.live().filter(|_| role == Role::Closing),
        }
    }

    fn hear(&mut self, now: Nanos, order: u32, news: News) {
        match &mut self.worker {
            Worker::Level(executor) => executor.hear(now, order, news),
            Worker::Closing(executor) => executor.hear(now, order, news),
        }
        for (at, role) in ROLES.into_iter().enumerate() {
            if self.live(role).is_none() && self.ids[at].is_some() {
                self.ended[at] = self.ids[at].take();
            }
        }
    }

    /// The order may be the worker's of that role.
    fn may_own(&self, at: usize, id: ClientId) -> bool {
        self.ids[at].is_none_or(|own| own == id) && self.ended[at] != Some(id)
    }

    fn executed(&self) -> ArrayVec<(Side, executor::Tracked), 32> {
        match &self.worker {
            Worker::Level(executor) => executor.executed().map(|(side, order)| (side, *order)).collect(),
            Worker::Closing(executor) => executor.executed().map(|(side, order)| (side, *order)).collect(),
        }
    }

    /// Side of the record (in hedge mode: of the position) that its orders belong to.
    fn record_side(&self) -> Side {
        match &self.worker {
            Worker::Level(executor) => executor.mission().side,
            Worker::Closing(executor) => executor.record_side(),
        }
    }
}

/// The strategy with its state.
pub struct Pmm {
    settings: PmmSettings,
    instrument: Instrument,
    slots: Vec<Option<Slot>>,
    /// Places of the slots in the order of their executors' creation.
    order: ArrayVec<u8, SLOTS>,
    /// Long and short in hedge mode on a perpetual; else all in the first.
    records: [Held; 2],
    next_executor: u32,
    next_order: u32,
    adopted: bool,
    position_mode_ready: bool,
    figures: Option<Figures>,
    skew: Option<[Ratio; 2]>,
    /// Why the last decision skipped the levels of a side, where it created none of it.
    skipped: [Option<WhyNot>; 2],
    decided_at: Nanos,
}

impl Pmm {
    /// A strategy that has not decided anything yet. `settings` must have passed [`PmmSettings::check`].
    #[must_use]
    pub fn new(settings: PmmSettings, instrument: Instrument) -> Self {
        let mut records = [Held::default(); 2];
        let hedge = settings.is_perpetual() && settings.hedge;
        for position in &settings.initial_positions {
            if position.connector == settings.connector_name && position.pair == settings.trading_pair {
                let side = if position.long { Side::Buy } else { Side::Sell };
                records[if hedge { side.index() } else { 0 }] = Held::stated(side, position.amount);
            }
        }
        Self {
            settings,
            instrument,
            slots: (0..SLOTS).map(|_| None).collect(),
            order: ArrayVec::new(),
            records,
            next_executor: 0,
            next_order: 0,
            adopted: false,
            position_mode_ready: true,
            figures: None,
            skew: None,
            skipped: [None; 2],
            decided_at: Nanos(i64::MIN),
        }
    }

    /// The cadence that the originals have.
    pub const CADENCE: Cadence = Cadence::Interval(LOOP);

    /// The settings in use.
    #[must_use]
    pub fn settings(&self) -> &PmmSettings {
        &self.settings
    }

    /// Takes over the settings that may change at run time; the others stay. What is replaced goes into `new`.
    pub fn take_over(&mut self, new: &mut PmmSettings) {
        self.settings.take_over(new);
    }

    /// What the last decision was made on, and its size factors of buys and sells, for the status.
    #[must_use]
    pub fn figures(&self) -> (Option<Figures>, Option<[Ratio; 2]>) {
        (self.figures, self.skew)
    }

    /// Net base of everything held, by records and executors: the sum of all executions.
    #[must_use]
    pub fn net(&self) -> Amount {
        let held: i128 = self.records.iter().map(|record| record.net().0).sum();
        let working = self.slots.iter().flatten().filter(|slot| !slot.handed_over).flat_map(Slot::executed);
        Amount(held + working.map(|(side, order)| order.executed.0 * i128::from(side.sign())).sum::<i128>())
    }

    fn hedge(&self) -> bool {
        self.settings.is_perpetual() && self.settings.hedge
    }

    /// The record that a side's executions belong to.
    fn record(&mut self, side: Side) -> &mut Held {
        let at = if self.hedge() { side.index() } else { 0 };
        &mut self.records[at]
    }

    /// What the venue reports at the very start is held.
    fn adopt(&mut self, view: &View<'_>) {
        if std::mem::replace(&mut self.adopted, true) {
            return;
        }
        for position in view.positions.iter().filter(|position| !position.qty.is_zero()) {
            let side = if position.qty > Lots::ZERO { Side::Buy } else { Side::Sell };
            let amount = Amount(i128::from(position.qty.abs().0) * self.instrument.lot.atto());
            let at = if self.hedge() { side.index() } else { 0 };
            // The venue's word replaces what the user stated.
            self.records[at] = Held::default();
            self.records[at].add(side, amount, value(amount, position.entry), Money::ZERO);
        }
    }

    /// Ties the table's orders to the workers: what rests is accepted, what is not there (never sent, or turned into another's
    /// order) is gone.
    fn reconcile(&mut self, view: &View<'_>) {
        for (place, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            for (at, role) in ROLES.into_iter().enumerate() {
                let Some(order) = slot.live(role) else { continue };
                let own = |own: &&OwnOrder| {
                    usize::from(own.level) == place && own.purpose == purpose(role) && slot.may_own(at, own.id)
                };
                match view.orders.iter().find(own) {
                    Some(own) => {
                        slot.ids[at] = Some(own.id);
                        if own.resting {
                            slot.hear(view.now, order, News::Accepted);
                        }
                    }
                    None => {
                        slot.hear(view.now, order, News::Canceled);
                    }
                }
            }
        }
    }

    /// Ended executors hand over what they hold.
    fn hand_over(&mut self) {
        for place in 0..self.slots.len() {
            let Some(slot) = &mut self.slots[place] else { continue };
            if slot.status() != Status::Terminated || std::mem::replace(&mut slot.handed_over, true) {
                continue;
            }
            // An executor that closed all it entered has nothing to hand over: its executions cancel out.
            let (executed, side) = (slot.executed(), slot.record_side());
            let net: i128 = executed.iter().map(|(side, order)| order.executed.0 * i128::from(side.sign())).sum();
            if net != 0 {
                for (trade, order) in executed {
                    self.record(side).add(trade, order.executed, order.quote, order.fee);
                }
            }
        }
    }

    /// Ended executors leave when nothing depends on them any more.
    fn sweep(&mut self, view: &View<'_>, touch: &Touch<'_>) {
        for place in 0..self.slots.len() {
            let Some(slot) = &self.slots[place] else { continue };
            let report = slot.report(touch);
            let recent = |at: Option<Nanos>| at.is_some_and(|at| view.now - at <= self.settings.cooldown_time);
            let matters = recent(report.last_entry_fill) || recent(report.closed_at);
            let has_orders = view.orders.iter().any(|order| usize::from(order.level) == place);
            if report.status == Status::Terminated && !matters && !has_orders {
                self.slots[place] = None;
                self.order.retain(|other| usize::from(*other) != place);
            }
        }
    }

    fn create(&mut self, view: &View<'_>, create: &Create, reference: Option<Price>) {
        let Some(place) = self.slots.iter().position(Option::is_none) else { return };
        let id = self.next_executor;
        self.next_executor += 1;
        let amount = |qty: Lots| Amount(i128::from(qty.0) * self.instrument.lot.atto());
        let worker = match *create {
            Create::Closing { side, qty } => {
                let price = reference.unwrap_or(Price::ZERO);
                let executor = OrderExecutor::new(id, side, amount(qty), OrderKind::Market, price, true, view.now);
                Worker::Closing(executor)
            }
            Create::Level { level, price, qty, take_profit } => Worker::Level(PositionExecutor::new(
                id,
                Mission {
                    job: controller::Job::Level(level),
                    side: level.side,
                    amount: amount(qty),
                    price,
                    leverage: self.settings.leverage,
                    entry: OrderKind::LimitMaker,
                    take_profit,
                    take_profit_kind: self.settings.take_profit_order.into(),
                    stop_loss: None,
                    time_limit: None,
                    created_at: view.now,
                },
            )),
        };
        self.slots[place] = Some(Slot { worker, ids: [None; 3], ended: [None; 3], handed_over: false });
        self.order.push(place as u8);
    }

    fn stop(&mut self, now: Nanos, id: u32, keep_position: bool) {
        for slot in self.slots.iter_mut().flatten() {
            match &mut slot.worker {
                Worker::Level(executor) if executor.id == id => executor.stop(now, keep_position),
                Worker::Closing(executor) if executor.id == id => executor.stop(),
                _ => {}
            }
        }
    }

    /// Stops every level that is not ending yet.
    fn stop_all(&mut self, now: Nanos, keep_position: bool) {
        for slot in self.slots.iter_mut().flatten() {
            if let Worker::Level(executor) = &mut slot.worker
                && matches!(executor.status(), Status::NotStarted | Status::Running)
            {
                executor.stop(now, keep_position);
            }
        }
    }

    /// One pass of the worker in a place; its asks become the plan's.
    fn pass(&mut self, view: &View<'_>, touch: &Touch<'_>, place: usize, plan: &mut Plan) {
        let perpetual = self.settings.is_perpetual();
        let Some(slot) = &mut self.slots[place] else { return };
        let mut asks = Asks::new();
        let covered =
            |(quote, base): (Money, Amount)| quote <= view.available && (perpetual || base <= view.available_base);
        match &mut slot.worker {
            Worker::Level(executor) => {
                // Asked once: later passes would only reckon in vain, at prices that it was not made for.
                let affordable = !executor.is_new() || covered(executor.needs(touch, perpetual));
                executor.pass(view.now, touch, affordable, &mut self.next_order, &mut asks);
            }
            Worker::Closing(executor) => {
                let affordable =
                    !executor.is_new() || covered(executor.needs(touch, perpetual, self.settings.leverage));
                executor.pass(view.now, touch, affordable, &mut self.next_order, &mut asks);
            }
        }
        for ask in asks {
            match ask {
                Ask::Cancel(order) => self.cancel(view, place, order, plan),
                Ask::Place { order, side, kind, closing, amount, price } => {
                    let reducible = self.reducible(view, plan, side);
                    let quote = self.quote(touch, place, order, side, kind, closing, amount, price, reducible);
                    let room = ORDERS_MAX.saturating_sub(view.orders.len() + plan.place.len());
                    // What does not go out is found missing by the next decision and asked for again.
                    if let (Some((quote, cause)), true) = (quote, room > 0) {
                        plan.place.push((quote, cause));
                    }
                }
            }
        }
    }

    /// What an order of this side may take off the net position, closes that are under way or planned set aside.
    fn reducible(&self, view: &View<'_>, plan: &Plan, side: Side) -> Lots {
        let held: i64 = view.positions.iter().map(|position| position.qty.0).sum();
        let closes = |order: &&OwnOrder| order.side == side && order.purpose == Purpose::StopLoss;
        let live: i64 = view.orders.iter().filter(closes).map(|order| (order.qty - order.filled).0).sum();
        let planned = plan.place.iter().map(|(quote, _)| quote).filter(|quote| quote.side == side);
        let planned: i64 = planned.filter(|quote| quote.purpose == Purpose::StopLoss).map(|quote| quote.qty.0).sum();
        Lots((-held * side.sign()).saturating_sub(live).saturating_sub(planned).max(0))
    }

    fn cancel(&self, view: &View<'_>, place: usize, order: u32, plan: &mut Plan) {
        let Some(slot) = &self.slots[place] else { return };
        let Some(at) = ROLES.iter().position(|role| slot.live(*role) == Some(order)) else { return };
        let Some(own) = view.orders.iter().find(|own| slot.ids[at] == Some(own.id)) else { return };
        if own.cancel_sent.is_none_or(|sent| view.now - sent > CANCEL_REPEAT) && !plan.cancel.is_full() {
            plan.cancel.push((own.id, Cause::LevelExpired));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one ask, and where it came from")]
    fn quote(
        &self,
        touch: &Touch<'_>,
        place: usize,
        order: u32,
        side: Side,
        kind: OrderKind,
        closing: bool,
        amount: Amount,
        price: Option<Price>,
        reducible: Lots,
    ) -> Option<(Quote, Cause)> {
        let slot = self.slots[place].as_ref()?;
        let role = ROLES.into_iter().find(|role| slot.live(*role) == Some(order))?;
        let price = match price {
            Some(price) => on_tick(&self.instrument, price)?,
            None => {
                let hit = touch.near(side.opposite())?;
                let reach = hit.times(MARKET_REACH);
                on_tick(&self.instrument, if side == Side::Buy { hit + reach } else { hit - reach })?
            }
        };
        let qty = Lots(i64::try_from(amount.0 / self.instrument.lot.atto()).ok()?);
        let (tif, cause) = match (kind, role) {
            (OrderKind::Market, _) => (TimeInForce::Ioc, Cause::StopLoss),
            (OrderKind::Limit, _) => (TimeInForce::Gtc, Cause::TakeProfit),
            (OrderKind::LimitMaker, Role::Entry) => (TimeInForce::PostOnly, Cause::Quote),
            (OrderKind::LimitMaker, _) => (TimeInForce::PostOnly, Cause::TakeProfit),
        };
        let position_side = match (self.hedge(), slot.record_side()) {
            (false, _) => PositionSide::Net,
            (true, Side::Buy) => PositionSide::Long,
            (true, Side::Sell) => PositionSide::Short,
        };
        let covered = kind == OrderKind::Market && qty <= reducible;
        let (reduce_only, level) = (closing && (self.hedge() || covered), place as u8);
        let quote = Quote { side, position_side, purpose: purpose(role), level, price, qty, tif, reduce_only };
        (qty > Lots::ZERO).then_some((quote, cause))
    }

    /// An execution, told to the order's worker; one that nobody knows is held.
    fn filled(&mut self, now: Nanos, order: &OwnOrder, price: Ticks, qty: Lots, complete: bool) {
        let amount = Amount(i128::from(qty.0) * self.instrument.lot.atto());
        let price = self.instrument.price(price);
        let rate =
            if order.purpose == Purpose::StopLoss { self.instrument.taker_fee } else { self.instrument.maker_fee };
        let fee = value(amount, price).times(rate);
        if let Some((slot, number)) = self.worker_of(order) {
            slot.hear(now, number, News::Filled { amount, price, fee, fee_base: Amount::ZERO, complete });
            return;
        }
        let side = match order.position_side {
            PositionSide::Net => order.side,
            PositionSide::Long => Side::Buy,
            PositionSide::Short => Side::Sell,
        };
        self.record(side).add(order.side, amount, value(amount, price), fee);
    }

    fn worker_of(&mut self, order: &OwnOrder) -> Option<(&mut Slot, u32)> {
        let role = role(order.purpose)?;
        let at = ROLES.iter().position(|other| *other == role)?;
        let slot = self.slots.get_mut(usize::from(order.level))?.as_mut()?;
        let number = slot.live(role)?;
        if !slot.may_own(at, order.id) {
            return None;
        }
        slot.ids[at] = Some(order.id);
        Some((slot, number))
    }
}

impl Strategy for Pmm {
    fn start(&mut self, _now: Nanos, plan: &mut Plan) {
        if self.settings.is_perpetual() {
            plan.account.push(AccountRequest::Leverage(self.settings.leverage));
            plan.account.push(AccountRequest::PositionMode(self.settings.hedge));
        }
    }

    fn on_own(&mut self, now: Nanos, event: &OwnEvent) {
        match event {
            OwnEvent::Filled { order, price, qty, complete } => self.filled(now, order, *price, *qty, *complete),
            OwnEvent::Gone { order, rejected } => {
                if let Some((slot, number)) = self.worker_of(order) {
                    slot.hear(now, number, if *rejected { News::Failed } else { News::Canceled });
                }
            }
            OwnEvent::PositionMode { hedge, ok } => self.position_mode_ready = *ok && *hedge == self.settings.hedge,
        }
        self.hand_over();
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan) {
        self.decided_at = view.now;
        let workable = |price: &Ticks| view.instrument.price(*price) <= PRICE_MAX;
        let best = |side| view.book.best(side).map(|level| level.price).filter(workable);
        let touch = Touch { instrument: view.instrument, bid: best(Side::Buy), ask: best(Side::Sell) };
        let reference = touch.reference();
        plan.reference = reference.unwrap_or(Price::ZERO);
        self.adopt(view);
        self.reconcile(view);
        self.sweep(view, &touch);
        if let Some(mid) = reference {
            self.records.iter_mut().for_each(|record| record.see(mid));
        }
        if !self.position_mode_ready {
            self.stop_all(view.now, true);
        } else if self.settings.manual_kill_switch {
            self.stop_all(view.now, false);
        } else {
            let mid = reference.unwrap_or(Price::ZERO);
            let records: ArrayVec<Record, 2> = self
                .records
                .iter()
                .filter(|record| !record.is_empty())
                .map(|record| {
                    let summary = record.summary(mid);
                    let (side, amount, price) = (summary.side, summary.amount, summary.breakeven);
                    Record { side, amount, price, unrealized: summary.unrealized }
                })
                .collect();
            let slots = self.order.iter().filter_map(|place| self.slots[usize::from(*place)].as_ref());
            let reports: ArrayVec<Report, SLOTS> = slots.map(|slot| slot.report(&touch)).collect();
            let Decision { figures, skew, creates, stops, skipped, .. } =
                evaluate(&self.settings, &touch, view.now, view.widen, &records, &reports);
            (self.figures, self.skew) = (Some(figures), skew);
            self.skipped = [Side::Buy, Side::Sell].map(|side| {
                let created = |create: &Create| matches!(create, Create::Level { level, .. } if level.side == side);
                let first =
                    skipped.iter().find(|(level, _)| level.side == side).filter(|_| !creates.iter().any(created));
                first.map(|(_, skip)| match skip {
                    Skip::InsufficientBalanceCooldown => WhyNot::Balance,
                    Skip::NoReferencePrice => WhyNot::NoPrice,
                    Skip::AmountZero | Skip::BelowMinOrderSize | Skip::BelowMinNotional => WhyNot::TooSmall,
                })
            });
            for wanted in &creates {
                self.create(view, wanted, reference);
            }
            for stop in &stops {
                self.stop(view.now, stop.id, stop.keep_position);
            }
        }
        for place in self.order.clone() {
            self.pass(view, &touch, usize::from(place), plan);
        }
        self.hand_over();
    }

    fn reconfigure(&mut self, new: &mut Settings) {
        if let Settings::Pmm(new) = new {
            self.take_over(new);
        }
    }

    fn next_timer(&self) -> Nanos {
        self.decided_at.checked_add(LOOP).unwrap_or(Nanos::MAX)
    }

    fn internals(&self) -> Internals {
        let closing = |slot: &Slot| matches!(slot.worker, Worker::Closing(_)) && slot.status() != Status::Terminated;
        let phase = match self.figures {
            _ if !self.position_mode_ready => Phase::WrongMode,
            _ if self.settings.manual_kill_switch => Phase::SwitchedOff,
            None => Phase::Starting,
            Some(_) if self.slots.iter().flatten().any(closing) => Phase::Closing,
            Some(figures) if figures.reference.is_none() => Phase::NoPrice,
            Some(_) => Phase::Quoting,
        };
        let resting = self.slots.iter().flatten().filter_map(|slot| match &slot.worker {
            Worker::Level(executor)
                if executor.status() == Status::Running && !executor.is_trading(&self.instrument) =>
            {
                Some(executor.mission().created_at + self.settings.executor_refresh_time)
            }
            _ => None,
        });
        let mut blocked = self.skipped;
        if let Some(figures) = self.figures {
            let of_settings = |bound: Rate| i128::from(bound.0) * (ONE / i128::from(RATE_ONE));
            blocked = [
                blocked[0]
                    .or((figures.base_pct.0 > of_settings(self.settings.max_base_pct)).then_some(WhyNot::AboveBase)),
                blocked[1]
                    .or((figures.base_pct.0 < of_settings(self.settings.min_base_pct)).then_some(WhyNot::BelowBase)),
            ];
        }
        Internals {
            phase,
            refresh_due: resting.min().unwrap_or(Nanos::ZERO),
            size_factor: self.skew.map(|skew| skew.map(|factor| rate(factor.0))),
            base_share: self.figures.map(|figures| rate(figures.base_pct.0)),
            profit_share: self.figures.and_then(|figures| figures.pnl_pct).map(|share| rate(share.0)),
            blocked: if phase == Phase::Quoting { blocked } else { [Some(WhyNot::Phase); 2] },
            ..Internals::default()
        }
    }
}

#[cfg(test)]
mod tests;
