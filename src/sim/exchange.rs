//! The pretend venue itself: market events and requests in, answers and private events out, all at a given `now`.
//! Deterministic; reads no clock and does no I/O. Used by the server, by paper trading and by backtests.
//!
//! The caller tells the market with [`Exchange::market`], asks with [`Exchange::request`], lets time pass with
//! [`Exchange::tick`] (at [`Exchange::next_due`] or more often), and takes what the accounts are told with
//! [`Exchange::drain`]. `now` never goes back.

mod booking;
mod checks;
mod margin;
#[cfg(test)]
mod tests;

use crate::event::{Event, Link, LinkState, MarkPrice, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::account::{Account, LEVERAGE_MAX};
use crate::sim::latency::Dice;
use crate::sim::matching::{Matching, Outcome};
use crate::sim::order::{
    AccountId, Execution, NewOrder, Notice, Order, OrderRef, OrderType, PrivateEvent, Reject, Request, Response,
    SelfTrade, Status, Tif, closing_side,
};
use crate::sim::orders::Orders;
use crate::sim::queue::QueueModel;
use crate::unit::{Lots, Money, Nanos, Price, Rate, Ticks};
use std::fmt::Write as _;

/// Private events that may wait for [`Exchange::drain`]; a caller that lets more pile up has a bug, so the next one panics.
pub const NOTICES_MAX: usize = 1 << 16;
/// Amends that one order may have (the venue's limit).
pub const AMENDS_MAX: u32 = 10_000;
/// A good-till date must be at least this far away (the venue's limit).
pub const GOOD_TILL_MIN: Nanos = Nanos::from_secs(600);

/// Everything of one instrument.
#[derive(Debug)]
struct Venue {
    instrument: Instrument,
    matching: Matching,
    mark: Option<MarkPrice>,
    funding_rate: Rate,
    next_funding: Nanos,
    /// The funding time last charged.
    charged: Nanos,
}

/// A dead-man switch that is armed.
#[derive(Clone, Copy, Debug)]
struct Countdown {
    account: AccountId,
    instrument: InstrumentId,
    due: Nanos,
}

/// The exchange.
#[derive(Debug)]
pub struct Exchange {
    venues: Vec<Venue>,
    accounts: Vec<Account>,
    orders: Orders,
    countdowns: Vec<Countdown>,
    notices: Vec<Notice>,
    outcomes: Vec<Outcome>,
    /// What the margins were last checked at: the mark price, where there is one instrument, and the sum of the accounts' revisions.
    margins_at: Option<(Price, u64)>,
    next_order_id: u64,
    next_trade_id: u64,
    refuse_next: Option<Reject>,
}

impl Exchange {
    /// An exchange without accounts and with empty books. The seed moves the order ids, so that two runs are told apart.
    #[must_use]
    pub fn new(instruments: Vec<Instrument>, seed: u64, queue: QueueModel) -> Self {
        assert!(!instruments.is_empty(), "an exchange trades something");
        let base = 1_000_000_000 + Dice::new(seed).below(1_000_000) * 1_000_000;
        let venue = |instrument| Venue {
            instrument,
            matching: Matching::new(queue),
            mark: None,
            funding_rate: Rate::ZERO,
            next_funding: Nanos::ZERO,
            charged: Nanos::ZERO,
        };
        Self {
            venues: instruments.into_iter().map(venue).collect(),
            accounts: Vec::new(),
            orders: Orders::default(),
            countdowns: Vec::new(),
            notices: Vec::with_capacity(256),
            outcomes: Vec::with_capacity(256),
            margins_at: None,
            next_order_id: base,
            next_trade_id: base,
            refuse_next: None,
        }
    }

    /// Opens an account with `deposit` in its wallet.
    pub fn open_account(&mut self, now: Nanos, deposit: Money) -> AccountId {
        let id = AccountId(u8::try_from(self.accounts.len()).expect("at most 256 accounts"));
        self.accounts.push(Account::open(self.venues.len(), deposit, now));
        id
    }

    /// Number of instruments.
    #[must_use]
    pub fn instruments(&self) -> usize {
        self.venues.len()
    }

    /// The contract.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.venue(id).instrument
    }

    /// The instrument with this symbol.
    #[must_use]
    pub fn instrument_by_symbol(&self, symbol: &str) -> Option<InstrumentId> {
        let at = self.venues.iter().position(|v| v.instrument.symbol.as_str() == symbol)?;
        Some(InstrumentId(at as u16))
    }

    /// The market of an instrument: visible levels, last price, queue places.
    #[must_use]
    pub fn matching(&self, id: InstrumentId) -> &Matching {
        &self.venue(id).matching
    }

    /// The mark event last told.
    #[must_use]
    pub fn mark_event(&self, id: InstrumentId) -> Option<&MarkPrice> {
        self.venue(id).mark.as_ref()
    }

    /// Mark price as told; before the first one the middle of the visible touch or the last print.
    #[must_use]
    pub fn mark(&self, id: InstrumentId) -> Option<Price> {
        let venue = self.venue(id);
        if let Some(mark) = venue.mark {
            return Some(mark.mark);
        }
        match (venue.matching.best(Side::Buy), venue.matching.best(Side::Sell)) {
            (Some(bid), Some(ask)) => Some(venue.instrument.mid(bid.price, ask.price)),
            _ => venue.matching.last_price().map(|p| venue.instrument.price(p)),
        }
    }

    /// When funding is charged next and at which rate; `None` before it is known.
    #[must_use]
    pub fn funding(&self, id: InstrumentId) -> Option<(Rate, Nanos)> {
        let venue = self.venue(id);
        (venue.next_funding > Nanos::ZERO).then_some((venue.funding_rate, venue.next_funding))
    }

    /// Number of accounts.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// An account: wallet, positions, ledger.
    #[must_use]
    pub fn account(&self, id: AccountId) -> &Account {
        &self.accounts[usize::from(id.0)]
    }

    /// The order table: open and closed orders, trades.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The earliest time at which [`Exchange::tick`] has something to do; `Nanos::MAX` if nothing is scheduled.
    #[must_use]
    pub fn next_due(&self) -> Nanos {
        let countdown = self.countdowns.iter().map(|c| c.due).min();
        let funding = self.venues.iter().map(|v| v.next_funding).filter(|t| *t > Nanos::ZERO).min();
        [countdown, funding, self.orders.first_dated()].into_iter().flatten().min().unwrap_or(Nanos::MAX)
    }

    /// Nothing waits for [`Exchange::drain`].
    #[must_use]
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.notices.is_empty()
    }

    /// Takes what the accounts are told, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Notice> {
        self.notices.drain(..)
    }

    /// Fault: the next placement is refused for this reason.
    pub fn refuse_next(&mut self, reason: Reject) {
        self.refuse_next = Some(reason);
    }

    /// Fault: executes half (at least one lot) of the account's oldest open order at its price, out of nothing.
    /// False if there is none with two lots left.
    pub fn fill_in_part(&mut self, now: Nanos, account: AccountId) -> bool {
        let fits = |o: &Order| o.account == account && o.remaining() > Lots(1);
        let Some(slot) = self.orders.first_open(fits) else { return false };
        let order = *self.orders.at(slot);
        let qty = Lots(order.remaining().0 / 2);
        let matching = &mut self.venues[usize::from(order.instrument.0)].matching;
        matching.trim(order.side, slot, order.remaining() - qty);
        self.outcomes.push(Outcome::Made { slot, price: order.price, qty });
        self.settle(now, None);
        true
    }

    /// The market told something, or was lost or found again: then nothing of it is known. Other events are ignored.
    pub fn market(&mut self, now: Nanos, event: &Event<'_>) {
        let id = match event {
            Event::Depth(update) => {
                let id = update.instrument;
                self.venues[usize::from(id.0)].matching.on_depth(update, &mut self.outcomes);
                id
            }
            Event::Snapshot(snapshot) => {
                let id = snapshot.instrument;
                self.venues[usize::from(id.0)].matching.on_snapshot(snapshot, &mut self.outcomes);
                id
            }
            Event::Quote(quote) => {
                let id = quote.instrument;
                self.venues[usize::from(id.0)].matching.on_quote(quote, &mut self.outcomes);
                id
            }
            Event::Trade(trade) => {
                let id = trade.instrument;
                self.venues[usize::from(id.0)].matching.on_trade(trade, &mut self.outcomes);
                id
            }
            Event::Mark(mark) => {
                self.on_mark(now, mark);
                return;
            }
            Event::Link { instrument, link: Link::Market, state } if *state != LinkState::Stale => {
                self.venues[usize::from(instrument.0)].matching.forget();
                return;
            }
            _ => return,
        };
        self.settle(now, None);
        if self.venue(id).mark.is_none() && matches!(event, Event::Quote(_)) {
            self.check_margins(now);
        }
    }

    /// Time passed: dead-man switches, good-till dates, funding.
    pub fn tick(&mut self, now: Nanos) {
        while let Some(at) = self.countdowns.iter().position(|c| c.due <= now) {
            let due = self.countdowns.swap_remove(at);
            self.cancel_all(now, due.account, Some(due.instrument));
        }
        while let Some(slot) = self.orders.first_open(|o| o.tif == Tif::Gtd && o.good_till <= now) {
            self.end(now, slot, Status::Expired, Execution::Expired);
        }
        for at in 0..self.venues.len() {
            let due = self.venues[at].next_funding;
            if due > Nanos::ZERO && due <= now {
                self.charge_funding(now, InstrumentId(at as u16));
            }
        }
    }

    /// Carries out a request of an account.
    ///
    /// # Errors
    /// The venue's reason for refusing it; nothing was changed then.
    pub fn request(&mut self, now: Nanos, account: AccountId, request: &Request) -> Result<Response, Reject> {
        match *request {
            Request::Place(new) => self.place(now, account, new).map(Response::Order),
            Request::Amend { instrument, order, side, price, qty } => {
                self.amend(now, account, instrument, &order, side, price, qty).map(Response::Order)
            }
            Request::Cancel { instrument, order } => {
                self.known(instrument)?;
                let slot = self.orders.find_open(account, instrument, &order).ok_or(Reject::CancelUnknown)?;
                Ok(Response::Order(self.end(now, slot, Status::Canceled, Execution::Canceled)))
            }
            Request::CancelAll { instrument } => {
                self.known(instrument)?;
                Ok(Response::CanceledAll { count: self.cancel_all(now, account, Some(instrument)) })
            }
            Request::Query { instrument, order } => {
                self.known(instrument)?;
                let found = self.orders.find(account, instrument, &order).ok_or(Reject::NoSuchOrder)?;
                Ok(Response::Order(*found))
            }
            Request::Countdown { instrument, after } => {
                self.known(instrument)?;
                self.countdowns.retain(|c| c.account != account || c.instrument != instrument);
                if after > Nanos::ZERO {
                    self.countdowns.push(Countdown { account, instrument, due: now + after });
                }
                Ok(Response::Done)
            }
            Request::Leverage { instrument, leverage } => {
                self.known(instrument)?;
                if !(1..=LEVERAGE_MAX).contains(&leverage) {
                    return Err(Reject::Leverage { leverage });
                }
                self.accounts[usize::from(account.0)].holdings[usize::from(instrument.0)].leverage = leverage;
                self.notify(now, account, PrivateEvent::Leverage { instrument, leverage });
                Ok(Response::Done)
            }
            Request::MarginType { instrument, isolated } => self.margin_type(account, instrument, isolated),
            Request::PositionMode { hedge } => self.position_mode(account, hedge),
            Request::MultiAssets { on } => {
                let state = &mut self.accounts[usize::from(account.0)].multi_assets;
                if *state == on {
                    return Err(Reject::MultiAssetsSame);
                }
                *state = on;
                self.notify(now, account, PrivateEvent::MultiAssets { on });
                Ok(Response::Done)
            }
        }
    }

    /// Cancels all orders of an account, of one instrument or of all; returns how many.
    pub fn cancel_all(&mut self, now: Nanos, account: AccountId, instrument: Option<InstrumentId>) -> u32 {
        let mut count = 0;
        let meant = |o: &Order| o.account == account && instrument.is_none_or(|i| i == o.instrument);
        while let Some(slot) = self.orders.first_open(meant) {
            self.end(now, slot, Status::Canceled, Execution::Canceled);
            count += 1;
        }
        count
    }

    fn venue(&self, id: InstrumentId) -> &Venue {
        &self.venues[usize::from(id.0)]
    }

    fn known(&self, id: InstrumentId) -> Result<(), Reject> {
        if usize::from(id.0) < self.venues.len() { Ok(()) } else { Err(Reject::UnknownSymbol) }
    }

    fn notify(&mut self, time: Nanos, account: AccountId, event: PrivateEvent) {
        assert!(self.notices.len() < NOTICES_MAX, "nobody drains the private events");
        self.notices.push(Notice { account, time, event });
    }

    fn place(&mut self, now: Nanos, account: AccountId, mut new: NewOrder) -> Result<Order, Reject> {
        self.known(new.instrument)?;
        if let Some(reason) = self.refuse_next.take() {
            return Err(reason);
        }
        if new.kind != OrderType::Limit {
            new.price = Ticks::ZERO;
            new.tif = Tif::Gtc;
        }
        let reducible = self.check_new(now, account, &new)?;
        let closes = new.reduce_only || closing_side(new.position_side) == Some(new.side);
        if closes {
            new.qty = new.qty.min(reducible);
        } else {
            self.check_margin(account, &new)?;
        }
        let matching = &self.venue(new.instrument).matching;
        match new.tif {
            Tif::Gtx if matching.would_take(new.side, new.price) => return Err(Reject::PostOnly),
            Tif::Fok if matching.available(account, new.side, new.price, new.qty) < new.qty => {
                return Err(Reject::FillOrKill);
            }
            _ => {}
        }
        let slot = self.accept(now, account, &new);
        Ok(self.work(now, slot, Execution::Trade))
    }

    /// Makes it an order and tells so.
    fn accept(&mut self, now: Nanos, account: AccountId, new: &NewOrder) -> u32 {
        let id = self.next_order_id;
        self.next_order_id += 1;
        let mut client_id = new.client_id;
        if client_id.is_empty() {
            write!(client_id, "sim-{id}").expect("an id of 24 bytes fits");
        }
        let order = Order {
            id,
            client_id,
            account,
            instrument: new.instrument,
            side: new.side,
            position_side: new.position_side,
            kind: new.kind,
            tif: new.tif,
            reduce_only: new.reduce_only,
            self_trade: new.self_trade,
            status: Status::New,
            price: new.price,
            qty: new.qty,
            filled: Lots::ZERO,
            quote: Money::ZERO,
            good_till: if new.tif == Tif::Gtd { new.good_till } else { Nanos::ZERO },
            created_at: now,
            updated_at: now,
            amends: 0,
        };
        self.notify(now, account, PrivateEvent::Order { execution: Execution::New, order, trade: None });
        self.orders.insert(order)
    }

    /// Trades an accepted order as far as it goes, then lets the rest rest or expire. Returns the order after that.
    fn work(&mut self, now: Nanos, slot: u32, execution: Execution) -> Order {
        let order = *self.orders.at(slot);
        let limit = (order.kind == OrderType::Limit).then_some(order.price);
        let mode = if execution == Execution::Calculated { SelfTrade::None } else { order.self_trade };
        let at = usize::from(order.instrument.0);
        let mut prevented = false;
        if order.tif != Tif::Gtx {
            let matching = &mut self.venues[at].matching;
            let rest = matching.take(order.account, order.side, limit, order.remaining(), mode, &mut self.outcomes);
            prevented = rest.prevented;
            self.settle(now, Some(slot));
        }
        let order = *self.orders.at(slot);
        if !order.status.is_open() {
            self.orders.close(slot);
            return order;
        }
        if execution == Execution::Calculated {
            return order;
        }
        let reduced = order.closes()
            && self.reducible(order.account, order.instrument, order.position_side, order.side).is_zero();
        let rests = order.kind == OrderType::Limit && !matches!(order.tif, Tif::Ioc | Tif::Fok);
        if prevented {
            return self.end(now, slot, Status::ExpiredInMatch, Execution::Expired);
        }
        if !rests || reduced {
            return self.end(now, slot, Status::Expired, Execution::Expired);
        }
        let matching = &mut self.venues[at].matching;
        matching.rest(slot, order.account, order.side, order.price, order.remaining());
        order
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one request")]
    fn amend(
        &mut self,
        now: Nanos,
        account: AccountId,
        instrument: InstrumentId,
        wanted: &OrderRef,
        side: Side,
        price: Ticks,
        qty: Lots,
    ) -> Result<Order, Reject> {
        self.known(instrument)?;
        let slot = self.orders.find_open(account, instrument, wanted).ok_or(Reject::NoSuchOrder)?;
        let order = *self.orders.at(slot);
        if order.side != side {
            return Err(Reject::NoSuchOrder);
        }
        if order.kind != OrderType::Limit {
            return Err(Reject::AmendType);
        }
        if order.amends >= AMENDS_MAX {
            return Err(Reject::AmendMax);
        }
        if order.price == price && order.qty == qty {
            return Err(Reject::AmendNothing);
        }
        self.check_filters(instrument, side, order.kind, price, qty, order.closes())?;
        if qty <= order.filled {
            return Ok(self.end(now, slot, Status::Canceled, Execution::Canceled));
        }
        let reducible = self.reducible(account, instrument, order.position_side, side);
        let qty = if order.closes() { qty.min(order.filled + reducible) } else { qty };
        // The margin check sees the order with its new terms in place of the old ones.
        let terms = |price, qty| move |o: &mut Order| (o.price, o.qty) = (price, qty);
        terms(price, qty)(self.orders.at_mut(slot));
        if !order.closes() {
            let after = self.margin(account);
            let grows = (price.0 > order.price.0) || qty > order.qty;
            if grows && after.position_initial + after.order_initial > after.equity() {
                terms(order.price, order.qty)(self.orders.at_mut(slot));
                return Err(Reject::MarginInsufficient);
            }
        }
        let at = usize::from(instrument.0);
        self.venues[at].matching.remove(side, slot);
        let changed = self.orders.at_mut(slot);
        changed.amends += 1;
        changed.updated_at = now;
        let changed = *changed;
        if order.tif == Tif::Gtx && self.venues[at].matching.would_take(side, price) {
            return Ok(self.end(now, slot, Status::Canceled, Execution::Canceled));
        }
        let event = PrivateEvent::Order { execution: Execution::Amendment, order: changed, trade: None };
        self.notify(now, account, event);
        Ok(self.work(now, slot, Execution::Trade))
    }

    /// Ends an open order without (further) execution and tells so.
    fn end(&mut self, now: Nanos, slot: u32, status: Status, execution: Execution) -> Order {
        let order = self.orders.at_mut(slot);
        assert!(order.status.is_open(), "an order ends once");
        order.status = status;
        order.updated_at = now;
        let order = *order;
        self.venues[usize::from(order.instrument.0)].matching.remove(order.side, slot);
        self.orders.close(slot);
        self.notify(now, order.account, PrivateEvent::Order { execution, order, trade: None });
        order
    }
}

impl Venue {
    fn interval(&self) -> Nanos {
        Nanos::from_secs(3600) * i64::from(self.instrument.funding_interval_hours.max(1))
    }
}
