//! One level at work: an entry, its barriers, and what becomes of the inventory. Decides its own orders; sends nothing.
//!
//! An executor runs in passes. Between passes it hears of its orders ([`PositionExecutor::hear`]); in a pass it may ask for
//! placements and cancels. An order that ends with an execution is kept as a partial entry or exit, so nothing is forgotten.

use super::super::exact::{on_tick, scale};
use super::controller::{CloseType, Inventory, Job, Report, Status, Touch};
use super::{ONE, Ratio, average, value};
use crate::config::pmm::TakeProfitOrder;
use crate::event::Side;
use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, Money, Nanos, Price, RATE_ONE, Rate};
use arrayvec::ArrayVec;

/// Failures after which an executor gives up.
const RETRIES_MAX: u32 = 10;
/// Ended orders that are remembered one by one; more are summed up.
const PARTIALS_MAX: usize = 12;
/// Most asks of one pass.
pub const ASKS_MAX: usize = 4;

/// How an order is to be executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderKind {
    /// At market.
    Market,
    /// A limit order that may take.
    Limit,
    /// A post-only limit order.
    LimitMaker,
}

impl From<TakeProfitOrder> for OrderKind {
    fn from(order: TakeProfitOrder) -> Self {
        match order {
            TakeProfitOrder::Market => Self::Market,
            TakeProfitOrder::Limit => Self::Limit,
            TakeProfitOrder::LimitMaker => Self::LimitMaker,
        }
    }
}

/// What an executor asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// An order. It is live from here on.
    Place {
        /// Its number, given by the executor's owner.
        order: u32,
        /// Side.
        side: Side,
        /// How.
        kind: OrderKind,
        /// Only shrinks what is held.
        closing: bool,
        /// Base; on the lot except for what the user stated.
        amount: Amount,
        /// Not on the tick; `None` at market.
        price: Option<Price>,
    },
    /// A cancel.
    Cancel(u32),
}

/// The asks of one pass, in order.
pub type Asks = ArrayVec<Ask, ASKS_MAX>;

/// What happened to an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// It rests.
    Accepted,
    /// It executed.
    Filled {
        /// Base.
        amount: Amount,
        /// Price.
        price: Price,
        /// Fee in quote.
        fee: Money,
        /// Fee that was taken in base.
        fee_base: Amount,
        /// Nothing is left of it.
        complete: bool,
    },
    /// It is gone by cancel.
    Canceled,
    /// It was refused.
    Failed,
}

/// An order as an executor follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tracked {
    /// Its number.
    pub order: u32,
    accepted: bool,
    complete: bool,
    /// Executed base.
    pub executed: Amount,
    /// Executed value.
    pub quote: Money,
    /// Fees in quote, those taken in base at the price of their fill.
    pub fee: Money,
    fee_base: Amount,
}

impl Tracked {
    pub(super) fn new(order: u32) -> Self {
        Self {
            order,
            accepted: false,
            complete: false,
            executed: Amount::ZERO,
            quote: Money::ZERO,
            fee: Money::ZERO,
            fee_base: Amount::ZERO,
        }
    }

    /// Takes in an execution.
    pub(super) fn fill(&mut self, amount: Amount, price: Price, fee: Money, fee_base: Amount, complete: bool) {
        self.executed += amount;
        self.quote += value(amount, price);
        self.fee += fee + value(fee_base, price);
        self.fee_base += fee_base;
        self.complete |= complete;
    }

    pub(super) fn accept(&mut self) {
        self.accepted = true;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Rests at the venue, as far as we know.
    pub(super) fn is_open(&self) -> bool {
        self.accepted && !self.complete
    }
}

/// Ended orders with an execution; the last place sums up what does not fit.
pub(super) type Partials = ArrayVec<Tracked, PARTIALS_MAX>;

pub(super) fn keep(partials: &mut Partials, order: Tracked) {
    if order.executed.is_zero() {
        return;
    }
    if let Err(full) = partials.try_push(order) {
        let last = partials.last_mut().expect("full is not empty");
        let order = full.element();
        last.executed += order.executed;
        last.quote += order.quote;
        last.fee += order.fee;
        last.fee_base += order.fee_base;
    }
}

/// What a level is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mission {
    /// What it is for.
    pub job: Job,
    /// Side of the entry.
    pub side: Side,
    /// Base.
    pub amount: Amount,
    /// Entry price, not on the tick.
    pub price: Price,
    /// Leverage for the margin.
    pub leverage: u32,
    /// How the entry is placed.
    pub entry: OrderKind,
    /// Distance of the take profit.
    pub take_profit: Option<Rate>,
    /// How it is executed.
    pub take_profit_kind: OrderKind,
    /// Loss at which it is closed at market.
    pub stop_loss: Option<Rate>,
    /// Age at which it is closed at market.
    pub time_limit: Option<Nanos>,
    /// When it was created.
    pub created_at: Nanos,
}

/// What an executor's order is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The entry.
    Entry,
    /// The take profit.
    TakeProfit,
    /// The market order that ends it.
    Closing,
}

/// One level's executor.
#[derive(Clone, Debug)]
pub struct PositionExecutor {
    /// Its number.
    pub id: u32,
    mission: Mission,
    status: Status,
    started: bool,
    close: Option<CloseType>,
    closed_at: Option<Nanos>,
    last_entry_fill: Option<Nanos>,
    retries: u32,
    entry: Option<Tracked>,
    take_profit: Option<Tracked>,
    closing: Option<Tracked>,
    entries: Partials,
    exits: Partials,
}

/// Money figures of an executor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Performance {
    /// Net of fees, over the value of what was filled.
    pub net_pct: Ratio,
    /// Net of fees.
    pub net: Money,
    /// Value of everything executed, zero once handed over.
    pub volume: Money,
    /// Fees.
    pub fees: Money,
}

impl PositionExecutor {
    /// Created, not yet run.
    #[must_use]
    pub fn new(id: u32, mission: Mission) -> Self {
        Self {
            id,
            mission,
            status: Status::NotStarted,
            started: false,
            close: None,
            closed_at: None,
            last_entry_fill: None,
            retries: 0,
            entry: None,
            take_profit: None,
            closing: None,
            entries: Partials::new(),
            exits: Partials::new(),
        }
    }

    /// Its first pass is still to come.
    #[must_use]
    pub fn is_new(&self) -> bool {
        !self.started
    }

    /// What it is to do.
    #[must_use]
    pub fn mission(&self) -> &Mission {
        &self.mission
    }

    /// Where it is in its life.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// How it ended or is ending.
    #[must_use]
    pub fn close_type(&self) -> Option<CloseType> {
        self.close
    }

    /// When that was.
    #[must_use]
    pub fn closed_at(&self) -> Option<Nanos> {
        self.closed_at
    }

    /// Failures so far.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Running, with at least a lot filled after fees in base.
    #[must_use]
    pub fn is_trading(&self, instrument: &Instrument) -> bool {
        self.status == Status::Running && self.filled().0 >= instrument.lot.atto()
    }

    /// Asks it to end: handing over what it holds, or closing it at market.
    pub fn stop(&mut self, now: Nanos, keep_position: bool) {
        self.close = Some(if keep_position { CloseType::PositionHold } else { CloseType::EarlyStop });
        self.status = Status::ShuttingDown;
        self.closed_at = Some(now);
    }

    /// Its order of a role that may still execute.
    #[must_use]
    pub fn live(&self, role: Role) -> Option<u32> {
        let slot = match role {
            Role::Entry => &self.entry,
            Role::TakeProfit => &self.take_profit,
            Role::Closing => &self.closing,
        };
        slot.as_ref().filter(|order| !order.is_complete()).map(|order| order.order)
    }

    /// True when the order is one of its live ones.
    #[must_use]
    pub fn owns(&self, order: u32) -> bool {
        [&self.entry, &self.take_profit, &self.closing].into_iter().flatten().any(|own| own.order == order)
    }

    /// Takes in what happened to one of its orders.
    pub fn hear(&mut self, now: Nanos, order: u32, news: News) {
        let is = |slot: &Option<Tracked>| slot.as_ref().is_some_and(|own| own.order == order);
        let (is_entry, is_take_profit) = (is(&self.entry), is(&self.take_profit));
        let slot = if is_entry {
            &mut self.entry
        } else if is_take_profit {
            &mut self.take_profit
        } else if is(&self.closing) {
            &mut self.closing
        } else {
            return;
        };
        let Some(own) = slot else { return };
        match news {
            News::Accepted => own.accept(),
            News::Filled { amount, price, fee, fee_base, complete } => {
                own.fill(amount, price, fee, fee_base, complete);
                if is_entry {
                    self.last_entry_fill = Some(now);
                }
                if is_take_profit && complete {
                    self.close = Some(CloseType::TakeProfit);
                    self.status = Status::ShuttingDown;
                    self.closed_at = Some(now);
                }
            }
            News::Canceled | News::Failed => {
                keep(if is_entry { &mut self.entries } else { &mut self.exits }, *own);
                *slot = None;
                if news == News::Failed && !is_take_profit {
                    self.retries += 1;
                }
            }
        }
    }

    fn entered(&self) -> impl Iterator<Item = &Tracked> {
        self.entries.iter().chain(&self.entry)
    }

    fn exited(&self) -> impl Iterator<Item = &Tracked> {
        self.exits.iter().chain(&self.take_profit).chain(&self.closing)
    }

    /// Its executed orders, in the order in which they are handed over: side, order.
    pub fn executed(&self) -> impl Iterator<Item = (Side, &Tracked)> {
        let side = self.mission.side;
        let entries = self.entered().map(move |order| (side, order));
        entries.chain(self.exited().map(move |order| (side.opposite(), order))).filter(|(_, o)| !o.executed.is_zero())
    }

    /// Base that the entry brought, after fees in base. Not yet floored to the lot.
    fn filled(&self) -> Amount {
        Amount(self.entered().map(|order| order.executed.0 - order.fee_base.0).sum())
    }

    fn filled_on(&self, touch: &Touch<'_>) -> Amount {
        let lot = touch.instrument.lot.atto();
        Amount(self.filled().0 / lot * lot)
    }

    fn closed(&self) -> Amount {
        Amount(self.exited().map(|order| order.executed.0).sum())
    }

    fn to_close(&self, touch: &Touch<'_>) -> Amount {
        self.filled_on(touch) - self.closed()
    }

    /// Entry price inside the touch, for a maker.
    fn clamped(&self, touch: &Touch<'_>) -> Price {
        let price = self.mission.price;
        match (self.mission.entry, self.mission.side, touch.near(self.mission.side)) {
            (OrderKind::LimitMaker, Side::Buy, Some(bid)) => price.min(bid),
            (OrderKind::LimitMaker, Side::Sell, Some(ask)) => price.max(ask),
            _ => price,
        }
    }

    /// Average price of what was entered; what would be paid while the first order is under way.
    fn entry_price(&self, touch: &Touch<'_>) -> Price {
        let settled = !self.entries.is_empty() || self.entry.is_some_and(|order| order.is_complete());
        if settled { self.average_entry() } else { self.clamped(touch) }
    }

    fn average_entry(&self) -> Price {
        let (amount, quote) = self.entered().fold((0, 0), |(a, q), order| (a + order.executed.0, q + order.quote.0));
        average(Money(quote), Amount(amount))
    }

    /// What is still to be entered after the partial entries; `None` where the venue would not take it.
    fn remainder(&self, touch: &Touch<'_>) -> Option<Amount> {
        let entered: i128 = self.entries.iter().map(|order| order.executed.0).sum();
        let rest = Amount(self.mission.amount.0 - entered);
        let qty = Lots(i64::try_from(rest.0 / touch.instrument.lot.atto()).ok()?);
        let price = on_tick(touch.instrument, self.clamped(touch))?;
        (qty > Lots::ZERO && touch.too_small(qty, price).is_none()).then_some(rest)
    }

    /// Nothing more of the entry can fill.
    #[must_use]
    pub fn entry_complete(&self, touch: &Touch<'_>) -> bool {
        match &self.entry {
            Some(order) => order.is_complete(),
            None => !self.entries.is_empty() && self.remainder(touch).is_none(),
        }
    }

    /// Margin (or value) and fee that its entry needs of the quote balance, or its amount of the base balance.
    #[must_use]
    pub fn needs(&self, touch: &Touch<'_>, perpetual: bool) -> (Money, Amount) {
        let notional = value(self.mission.amount, self.clamped(touch));
        let fee = notional.times(touch.instrument.maker_fee);
        if perpetual {
            (Money(notional.0 / i128::from(self.mission.leverage)) + fee, Amount::ZERO)
        } else if self.mission.side == Side::Buy {
            (notional + fee, Amount::ZERO)
        } else {
            (Money::ZERO, self.mission.amount)
        }
    }

    /// Profit net of fees at the touch.
    #[must_use]
    pub fn performance(&self, touch: &Touch<'_>) -> Performance {
        let filled = self.filled_on(touch);
        let entry = self.entry_price(touch);
        let entry_quote = value(filled, entry);
        let fees = Money(self.entered().chain(self.exited()).map(|order| order.fee.0).sum());
        let handed_over = self.close == Some(CloseType::PositionHold);
        let market = touch.near(self.mission.side).unwrap_or(entry);
        let exits = self.exits.iter().chain(&self.take_profit).map(|order| order.quote.0).sum::<i128>();
        // A closing order that is still executing counts at the market, as in the originals' reports.
        let closing = self.closing.map_or(Money::ZERO, |order| match order.is_complete() {
            true => order.quote,
            false => value(order.executed, market),
        });
        let exit_quote = exits + closing.0;
        let trade = if filled.is_zero() || handed_over || self.close == Some(CloseType::Failed) {
            0
        } else {
            let rest = Amount(filled.0 - self.closed().0);
            (exit_quote + value(rest, market).0 - entry_quote.0) * i128::from(self.mission.side.sign())
        };
        let net = Money(trade) - fees;
        Performance {
            net_pct: if entry_quote.is_zero() { Ratio(0) } else { Ratio::of(net.0, entry_quote.0) },
            net,
            volume: if handed_over { Money::ZERO } else { entry_quote + Money(exit_quote) },
            fees,
        }
    }

    /// What the controller sees of it.
    #[must_use]
    pub fn report(&self, touch: &Touch<'_>) -> Report {
        let held = self.to_close(touch);
        let holds = self.status != Status::Terminated && held > Amount::ZERO;
        Report {
            id: self.id,
            job: self.mission.job,
            side: self.mission.side,
            created_at: self.mission.created_at,
            status: self.status,
            active: matches!(self.status, Status::NotStarted | Status::Running),
            trading: self.is_trading(touch.instrument),
            close: self.close,
            closed_at: self.closed_at,
            entry_complete: self.entry_complete(touch),
            last_entry_fill: self.last_entry_fill,
            inventory: holds.then(|| Inventory { amount: held, price: self.average_entry() }),
        }
    }

    /// One pass. `affordable` is asked once, at the start; `next` numbers new orders.
    pub fn pass(&mut self, now: Nanos, touch: &Touch<'_>, affordable: bool, next: &mut u32, asks: &mut Asks) {
        if self.status == Status::Terminated {
            return;
        }
        if !self.started {
            self.started = true;
            if self.status == Status::NotStarted {
                self.status = Status::Running;
            }
            if !affordable || self.mission.amount.is_zero() {
                self.end(now, CloseType::InsufficientBalance);
                return;
            }
        }
        if self.retries > RETRIES_MAX {
            self.cancel_open(asks);
            self.finish(now, touch, CloseType::Failed);
        } else if self.status == Status::Running {
            self.control_entry(touch, next, asks);
            self.control_barriers(now, touch, next, asks);
        } else {
            self.shut_down(now, touch, next, asks);
        }
    }

    fn control_entry(&mut self, touch: &Touch<'_>, next: &mut u32, asks: &mut Asks) {
        if self.entry.is_some() {
            return;
        }
        if let Some(amount) = self.remainder(touch) {
            let price = Some(self.clamped(touch));
            let order = place(self.mission.side, self.mission.entry, false, amount, price, next, asks);
            self.entry = Some(order);
        }
    }

    fn control_barriers(&mut self, now: Nanos, touch: &Touch<'_>, next: &mut u32, asks: &mut Asks) {
        let (filled, entry) = (self.filled_on(touch), self.entry_price(touch));
        let instrument = touch.instrument;
        let large_enough = filled.0 >= i128::from(instrument.qty_min.0) * instrument.lot.atto()
            && value(filled, entry) >= instrument.notional_min;
        if large_enough && self.entry_complete(touch) {
            let net_pct = self.performance(touch).net_pct;
            let at = |rate: Rate| Ratio(i128::from(rate.0) * (ONE / i128::from(RATE_ONE)));
            let marked = touch.near(self.mission.side).is_some();
            if marked && self.mission.stop_loss.is_some_and(|loss| net_pct.0 <= -at(loss).0) {
                self.close_at_market(now, touch, CloseType::StopLoss, next, asks);
            } else if let Some(profit) = self.mission.take_profit {
                if self.mission.take_profit_kind == OrderKind::Market {
                    if marked && net_pct >= at(profit) {
                        self.close_at_market(now, touch, CloseType::TakeProfit, next, asks);
                    }
                } else if self.take_profit.is_none() {
                    self.place_take_profit(touch, profit, next, asks);
                }
            }
        }
        let expired = self.mission.time_limit.is_some_and(|limit| now >= self.mission.created_at + limit);
        if expired && self.status == Status::Running {
            self.close_at_market(now, touch, CloseType::TimeLimit, next, asks);
        }
    }

    fn place_take_profit(&mut self, touch: &Touch<'_>, profit: Rate, next: &mut u32, asks: &mut Asks) {
        let amount = self.to_close(touch);
        if amount <= Amount::ZERO {
            return;
        }
        let closing = self.mission.side.opposite();
        let target = scale(self.average_entry(), Rate(RATE_ONE + profit.0 * self.mission.side.sign())).floor;
        let price = match (self.mission.take_profit_kind, closing, touch.near(closing)) {
            (OrderKind::LimitMaker, Side::Sell, Some(ask)) => target.max(ask),
            (OrderKind::LimitMaker, Side::Buy, Some(bid)) => target.min(bid),
            _ => target,
        };
        let kind = self.mission.take_profit_kind;
        self.take_profit = Some(place(closing, kind, true, amount, Some(price), next, asks));
    }

    fn close_at_market(&mut self, now: Nanos, touch: &Touch<'_>, why: CloseType, next: &mut u32, asks: &mut Asks) {
        self.cancel_open(asks);
        self.place_closing(touch, next, asks);
        self.close = Some(why);
        self.status = Status::ShuttingDown;
        self.closed_at = Some(now);
    }

    /// A market order for what is held; false where that is less than the venue takes.
    fn place_closing(&mut self, touch: &Touch<'_>, next: &mut u32, asks: &mut Asks) -> bool {
        let amount = self.to_close(touch);
        if amount.0 < i128::from(touch.instrument.qty_min.0) * touch.instrument.lot.atto() {
            return false;
        }
        if let Some(done) = self.closing.take() {
            keep(&mut self.exits, done);
        }
        let closing = self.mission.side.opposite();
        self.closing = Some(place(closing, OrderKind::Market, true, amount, None, next, asks));
        true
    }

    fn cancel_open(&self, asks: &mut Asks) {
        for order in [&self.entry, &self.take_profit].into_iter().flatten().filter(|order| order.is_open()) {
            asks.push(Ask::Cancel(order.order));
        }
    }

    fn shut_down(&mut self, now: Nanos, touch: &Touch<'_>, next: &mut u32, asks: &mut Asks) {
        self.closed_at = Some(now);
        let waiting = [&self.entry, &self.take_profit, &self.closing];
        if waiting.into_iter().flatten().any(|order| !order.is_complete()) {
            self.cancel_open(asks);
            return;
        }
        let why = self.close.unwrap_or(CloseType::EarlyStop);
        if why == CloseType::PositionHold {
            self.finish(now, touch, CloseType::EarlyStop);
        } else if self.to_close(touch).is_zero() {
            self.end(now, why);
        } else if self.place_closing(touch, next, asks) {
            self.retries += 1;
        } else {
            self.finish(now, touch, why);
        }
    }

    /// Ends: handing over what is held, or else as `otherwise`.
    fn finish(&mut self, now: Nanos, touch: &Touch<'_>, otherwise: CloseType) {
        let held = !self.to_close(touch).is_zero();
        self.end(now, if held { CloseType::PositionHold } else { otherwise });
    }

    fn end(&mut self, now: Nanos, why: CloseType) {
        self.status = Status::Terminated;
        self.close = Some(why);
        self.closed_at = Some(now);
    }
}

/// Asks for an order and starts to follow it.
pub(super) fn place(
    side: Side,
    kind: OrderKind,
    closing: bool,
    amount: Amount,
    price: Option<Price>,
    next: &mut u32,
    asks: &mut Asks,
) -> Tracked {
    *next += 1;
    asks.push(Ask::Place { order: *next, side, kind, closing, amount, price });
    Tracked::new(*next)
}

/// One order, followed until it is executed: what closes held inventory after a global trigger.
#[derive(Clone, Debug)]
pub struct OrderExecutor {
    /// Its number.
    pub id: u32,
    /// Side of the order.
    pub side: Side,
    amount: Amount,
    kind: OrderKind,
    price: Price,
    closing: bool,
    created_at: Nanos,
    status: Status,
    started: bool,
    close: Option<CloseType>,
    closed_at: Option<Nanos>,
    retries: u32,
    order: Option<Tracked>,
    partials: Partials,
}

impl OrderExecutor {
    /// Created, not yet run. `price` is not used at market.
    #[must_use]
    pub fn new(id: u32, side: Side, amount: Amount, kind: OrderKind, price: Price, closing: bool, now: Nanos) -> Self {
        Self {
            id,
            side,
            amount,
            kind,
            price,
            closing,
            created_at: now,
            status: Status::NotStarted,
            started: false,
            close: None,
            closed_at: None,
            retries: 0,
            order: None,
            partials: Partials::new(),
        }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Its first pass is still to come.
    #[must_use]
    pub fn is_new(&self) -> bool {
        !self.started
    }

    /// How it ended.
    #[must_use]
    pub fn close_type(&self) -> Option<CloseType> {
        self.close
    }

    /// When it ended.
    #[must_use]
    pub fn closed_at(&self) -> Option<Nanos> {
        self.closed_at
    }

    /// Failures so far.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Which record its executions belong to in hedge mode: for a closing order the other side's.
    #[must_use]
    pub fn record_side(&self) -> Side {
        if self.closing { self.side.opposite() } else { self.side }
    }

    /// Asks it to end; what it executed is handed over.
    pub fn stop(&mut self) {
        self.status = Status::ShuttingDown;
    }

    /// Its order, while it may still execute.
    #[must_use]
    pub fn live(&self) -> Option<u32> {
        self.order.filter(|order| !order.is_complete()).map(|order| order.order)
    }

    /// True when the order is its live one.
    #[must_use]
    pub fn owns(&self, order: u32) -> bool {
        self.order.is_some_and(|own| own.order == order)
    }

    /// Its executed orders.
    pub fn executed(&self) -> impl Iterator<Item = (Side, &Tracked)> {
        let side = self.side;
        self.partials.iter().chain(&self.order).filter(|o| !o.executed.is_zero()).map(move |order| (side, order))
    }

    /// Takes in what happened to its order.
    pub fn hear(&mut self, now: Nanos, order: u32, news: News) {
        let Some(own) = self.order.as_mut().filter(|own| own.order == order) else { return };
        match news {
            News::Accepted => own.accept(),
            News::Filled { amount, price, fee, fee_base, complete } => {
                own.fill(amount, price, fee, fee_base, complete);
                if complete {
                    self.end(now, CloseType::PositionHold);
                }
            }
            News::Canceled | News::Failed => {
                keep(&mut self.partials, *own);
                self.order = None;
                if news == News::Failed {
                    self.retries += 1;
                }
            }
        }
    }

    /// Margin or value that the order needs; nothing when it closes.
    #[must_use]
    pub fn needs(&self, touch: &Touch<'_>, perpetual: bool, leverage: u32) -> (Money, Amount) {
        let notional = value(self.amount, self.price);
        let fee = notional.times(touch.instrument.taker_fee);
        match (self.closing, perpetual, self.side) {
            (true, true, _) => (Money::ZERO, Amount::ZERO),
            (_, true, _) => (Money(notional.0 / i128::from(leverage)) + fee, Amount::ZERO),
            (_, _, Side::Buy) => (notional + fee, Amount::ZERO),
            (_, _, Side::Sell) => (Money::ZERO, self.amount),
        }
    }

    /// What the controller sees of it.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            id: self.id,
            job: Job::Closing,
            side: self.side,
            created_at: self.created_at,
            status: self.status,
            active: matches!(self.status, Status::NotStarted | Status::Running),
            trading: false,
            close: self.close,
            closed_at: self.closed_at,
            entry_complete: false,
            last_entry_fill: None,
            inventory: None,
        }
    }

    /// One pass.
    pub fn pass(&mut self, now: Nanos, touch: &Touch<'_>, affordable: bool, next: &mut u32, asks: &mut Asks) {
        if !self.started && self.status != Status::Terminated {
            self.started = true;
            if self.status == Status::NotStarted {
                self.status = Status::Running;
            }
            if !affordable || self.amount.is_zero() {
                self.end(now, CloseType::InsufficientBalance);
                return;
            }
        }
        let executed: i128 = self.partials.iter().map(|order| order.executed.0).sum();
        if self.status == Status::Terminated {
        } else if self.retries > RETRIES_MAX {
            self.end(now, if executed > 0 { CloseType::PositionHold } else { CloseType::Failed });
        } else if self.status == Status::ShuttingDown {
            match self.order.filter(|order| !order.is_complete()) {
                Some(order) if order.is_open() => asks.push(Ask::Cancel(order.order)),
                Some(_) => {}
                None => self.end(now, CloseType::PositionHold),
            }
        } else if self.order.is_none() {
            let rest = Amount(self.amount.0 - executed);
            if executed > 0 && rest.0 < i128::from(touch.instrument.qty_min.0) * touch.instrument.lot.atto() {
                self.end(now, CloseType::PositionHold);
                return;
            }
            let price = match (self.kind, self.side, touch.near(self.side)) {
                (OrderKind::Market, ..) => None,
                (OrderKind::LimitMaker, Side::Buy, Some(bid)) => Some(self.price.min(bid)),
                (OrderKind::LimitMaker, Side::Sell, Some(ask)) => Some(self.price.max(ask)),
                _ => Some(self.price),
            };
            self.order = Some(place(self.side, self.kind, self.closing, rest, price, next, asks));
        }
    }

    fn end(&mut self, now: Nanos, why: CloseType) {
        self.status = Status::Terminated;
        self.close = Some(why);
        self.closed_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maker::strategy::pmm::controller::Level;
    use crate::unit::Ticks;

    fn level() -> PositionExecutor {
        let price = Price::parse(b"100").unwrap();
        PositionExecutor::new(
            1,
            Mission {
                job: Job::Level(Level { side: Side::Buy, index: 0 }),
                side: Side::Buy,
                amount: in_lots(300),
                price,
                leverage: 10,
                entry: OrderKind::LimitMaker,
                take_profit: None,
                take_profit_kind: OrderKind::LimitMaker,
                stop_loss: None,
                time_limit: None,
                created_at: Nanos::ZERO,
            },
        )
    }

    /// Lots of 0.01.
    fn in_lots(lots: i128) -> Amount {
        Amount(lots * 10_i128.pow(16))
    }

    #[test]
    fn less_than_a_lot_after_fees_in_base_is_not_trading() {
        let instrument = Instrument::synthetic("ETHUSDT", "0.01", "0.01");
        let touch = Touch { instrument: &instrument, bid: Some(Ticks(10_000)), ask: Some(Ticks(10_001)) };
        let (mut executor, mut next, mut asks) = (level(), 0, Asks::new());
        executor.pass(Nanos::ZERO, &touch, true, &mut next, &mut asks);
        assert!(executor.owns(1));
        let fill = |fee_base| News::Filled {
            amount: in_lots(1),
            price: Price::parse(b"100").unwrap(),
            fee: Money::ZERO,
            fee_base,
            complete: false,
        };
        executor.hear(Nanos::ZERO, 1, News::Accepted);
        executor.hear(Nanos::ZERO, 1, fill(Amount(1)));
        assert!(!executor.report(&touch).trading);
        executor.hear(Nanos::ZERO, 1, fill(Amount::ZERO));
        assert!(executor.report(&touch).trading);
    }

    #[test]
    fn an_order_stopped_before_its_first_pass_is_still_checked_against_the_balance() {
        let instrument = Instrument::synthetic("ETHUSDT", "0.01", "0.01");
        let touch = Touch { instrument: &instrument, bid: Some(Ticks(10_000)), ask: Some(Ticks(10_001)) };
        let (amount, price) = (in_lots(3), Price::parse(b"100").unwrap());
        for (affordable, why) in [(false, CloseType::InsufficientBalance), (true, CloseType::PositionHold)] {
            let mut order = OrderExecutor::new(1, Side::Buy, amount, OrderKind::Market, price, false, Nanos::ZERO);
            order.stop();
            let mut asks = Asks::new();
            order.pass(Nanos::ZERO, &touch, affordable, &mut 0, &mut asks);
            assert_eq!((order.close_type(), asks.len()), (Some(why), 0));
        }
    }
}
