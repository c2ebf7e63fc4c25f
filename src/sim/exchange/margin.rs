//! Margin, funding and liquidation of the exchange's accounts.

use super::Exchange;
use crate::event::{MarkPrice, PositionSide, Side};
use crate::instrument::InstrumentId;
use crate::sim::account::{
    Account, Entry, EntryKind, Margin, OpenValue, POSITION_SIDES, in_venue_places, instrument_margin, order_value,
};
use crate::sim::order::{
    AccountId, AccountReason, ClientOrderId, Execution, NewOrder, OrderType, PositionReport, PrivateEvent, Reject,
    SelfTrade, Tif,
};
use crate::unit::{Lots, Money, Nanos, Price, Ticks};
use std::fmt::Write as _;

impl Exchange {
    /// The account's margin at the mark prices.
    #[must_use]
    pub fn margin(&self, account: AccountId) -> Margin {
        self.margin_with(account, None)
    }

    /// The margin of one instrument alone.
    #[must_use]
    pub fn margin_of(&self, account: AccountId, instrument: InstrumentId) -> Margin {
        let venue = self.venue(instrument);
        let mark = self.mark(instrument).unwrap_or(Price::ZERO);
        let open = self.open_value(account, instrument, mark);
        instrument_margin(&venue.instrument, self.account(account).holding(instrument), mark, open)
    }

    pub(super) fn check_margin(&self, account: AccountId, new: &NewOrder) -> Result<(), Reject> {
        let before = self.margin(account);
        let after = self.margin_with(account, Some(new));
        let need = |m: &Margin| m.position_initial + m.order_initial;
        if need(&after) > need(&before) && need(&after) > after.equity() {
            return Err(Reject::MarginInsufficient);
        }
        Ok(())
    }

    /// Margin of the account, optionally as if `new` was open.
    pub(super) fn margin_with(&self, account: AccountId, new: Option<&NewOrder>) -> Margin {
        let state = self.account(account);
        let mut total = Margin { wallet: state.wallet(), ..Margin::default() };
        for (at, venue) in self.venues.iter().enumerate() {
            let id = InstrumentId(at as u16);
            let mark = self.mark(id).unwrap_or(Price::ZERO);
            let mut open = self.open_value(account, id, mark);
            if let Some(new) = new.filter(|n| n.instrument == id) {
                // A market order takes at the touch, which may be worse than the mark price.
                let touch = self.matching(id).best(new.side.opposite()).map_or(Ticks::ZERO, |l| l.price);
                let price = if new.price.is_zero() { touch } else { new.price };
                open[new.side.index()] += order_value(&venue.instrument, price, new.qty, mark);
            }
            let part = instrument_margin(&venue.instrument, state.holding(id), mark, open);
            total.unrealized += part.unrealized;
            total.position_initial += part.position_initial;
            total.order_initial += part.order_initial;
            total.maintenance += part.maintenance;
        }
        total
    }

    pub(super) fn open_value(&self, account: AccountId, id: InstrumentId, mark: Price) -> OpenValue {
        let contract = self.instrument(id);
        let mut open = OpenValue::default();
        for order in self.orders.open(account).filter(|o| o.instrument == id && !o.closes()) {
            open[order.side.index()] += order_value(contract, order.price, order.remaining(), mark);
        }
        open
    }

    pub(super) fn on_mark(&mut self, now: Nanos, mark: &MarkPrice) {
        let venue = &self.venues[usize::from(mark.instrument.0)];
        let due = venue.next_funding;
        // A mark that names a later time comes after the charge: charge with the rate that was announced for it.
        if due > Nanos::ZERO && (due <= now || due <= mark.venue_time) {
            self.charge_funding(now, mark.instrument);
        }
        let venue = &mut self.venues[usize::from(mark.instrument.0)];
        venue.mark = Some(*mark);
        venue.funding_rate = mark.funding_rate;
        // A mark from before the charge still names its time: nobody pays twice.
        if mark.next_funding > venue.charged {
            venue.next_funding = mark.next_funding;
        } else if venue.next_funding.is_zero() {
            let interval = venue.interval();
            venue.next_funding = Nanos((now.0 / interval.0 + 1) * interval.0);
        }
        self.check_margins(now);
    }

    /// Charges one interval's funding to everybody with a position.
    pub(super) fn charge_funding(&mut self, now: Nanos, id: InstrumentId) {
        let Some(mark) = self.mark(id) else { return };
        let venue = &mut self.venues[usize::from(id.0)];
        let rate = venue.funding_rate;
        venue.charged = venue.next_funding;
        venue.next_funding += venue.interval();
        while venue.next_funding <= now {
            venue.next_funding += venue.interval();
        }
        for at in 0..self.accounts.len() {
            let mut amount = Money::ZERO;
            let account = AccountId(at as u8);
            for side in POSITION_SIDES {
                let qty = self.account(account).position(id, side).qty;
                amount -= self.instrument(id).notional_at(mark, qty).times(rate);
            }
            let amount = in_venue_places(amount);
            if amount.is_zero() {
                continue;
            }
            let entry = Entry {
                time: now,
                instrument: Some(id),
                kind: EntryKind::Funding,
                amount,
                trade_id: self.next_trade_id,
            };
            self.next_trade_id += 1;
            self.accounts[at].post(entry);
            let wallet = self.accounts[at].wallet();
            let event =
                PrivateEvent::Account { reason: AccountReason::Funding, wallet, change: amount, position: None };
            self.notify(now, account, event);
        }
    }

    /// Liquidates or warns where the margin is gone or thin, at the mark prices or the mids that there are.
    pub fn watch_margins(&mut self, now: Nanos) {
        self.check_margins(now);
    }

    pub(super) fn check_margins(&mut self, now: Nanos) {
        // Quotes come far more often than anything that margins are made of changes.
        if let [_] = &self.venues[..] {
            let revision = self.accounts.iter().map(Account::revision).sum();
            let margins_at = self.mark(InstrumentId(0)).map(|mark| (mark, revision));
            if margins_at.is_some() && self.margins_at == margins_at {
                return;
            }
            self.margins_at = margins_at;
        }
        for at in 0..self.accounts.len() {
            let account = AccountId(at as u8);
            if self.accounts[at].is_flat() {
                self.accounts[at].margin_called = false;
                continue;
            }
            let margin = self.margin(account);
            if margin.equity() <= margin.maintenance {
                self.liquidate(now, account);
                continue;
            }
            // The warning comes at 80 % of the way.
            let thin = margin.maintenance.0 * 5 >= margin.equity().0 * 4;
            if thin && !self.accounts[at].margin_called {
                self.margin_call(now, account);
            }
            self.accounts[at].margin_called = thin;
        }
    }

    pub(super) fn margin_call(&mut self, now: Nanos, account: AccountId) {
        let held = self.held(account).into_iter().max_by_key(|&(id, side)| {
            let mark = self.mark(id).unwrap_or(Price::ZERO);
            self.instrument(id).notional_at(mark, self.account(account).position(id, side).qty).abs()
        });
        let (id, side) = held.expect("somebody with thin margin has a position");
        let event = PrivateEvent::MarginCall {
            wallet: self.account(account).wallet(),
            position: self.position(account, id, side),
            mark: self.mark(id).unwrap_or(Price::ZERO),
            maintenance: self.margin_of(account, id).maintenance,
        };
        self.notify(now, account, event);
    }

    /// Which positions are open.
    #[must_use]
    pub fn held(&self, account: AccountId) -> Vec<(InstrumentId, PositionSide)> {
        let mut held = Vec::new();
        for (at, holding) in self.account(account).holdings.iter().enumerate() {
            for side in POSITION_SIDES {
                if !holding.positions[side as usize].qty.is_zero() {
                    held.push((InstrumentId(at as u16), side));
                }
            }
        }
        held
    }

    /// Cancels everything and closes every position: in the visible book, and at the mark price what it cannot take.
    pub(super) fn liquidate(&mut self, now: Nanos, account: AccountId) {
        self.cancel_all(now, account, None);
        for (instrument, position_side) in self.held(account) {
            let qty = self.account(account).position(instrument, position_side).qty;
            let side = if qty > Lots::ZERO { Side::Sell } else { Side::Buy };
            let mut client_id = ClientOrderId::new();
            write!(client_id, "autoclose-{}", now.as_millis()).expect("an id of 23 bytes fits");
            let new = NewOrder {
                client_id,
                kind: OrderType::Liquidation,
                tif: Tif::Ioc,
                position_side,
                self_trade: SelfTrade::None,
                ..NewOrder::market(instrument, side, qty.abs())
            };
            let slot = self.accept(now, account, &new);
            let order = self.work(now, slot, Execution::Calculated);
            if order.status.is_open() {
                let mark = self.mark(instrument).unwrap_or(Price::ZERO);
                let quote = in_venue_places(self.instrument(instrument).notional_at(mark, order.remaining()));
                self.execute(now, slot, mark, order.remaining(), quote, false);
                self.orders.close(slot);
            }
        }
        let state = &mut self.accounts[usize::from(account.0)];
        if state.wallet() < Money::ZERO {
            let amount = -state.wallet();
            state.post(Entry { time: now, instrument: None, kind: EntryKind::Insurance, amount, trade_id: 0 });
            let event = PrivateEvent::Account {
                reason: AccountReason::Insurance,
                wallet: Money::ZERO,
                change: amount,
                position: None,
            };
            self.notify(now, account, event);
        }
    }

    /// A position as it is reported.
    #[must_use]
    pub fn position(&self, account: AccountId, instrument: InstrumentId, side: PositionSide) -> PositionReport {
        let contract = self.instrument(instrument);
        let holding = self.account(account).holding(instrument);
        let position = &holding.positions[side as usize];
        let mark = self.mark(instrument).unwrap_or(Price::ZERO);
        PositionReport {
            instrument,
            side,
            qty: position.qty,
            entry: position.entry(contract),
            realized: position.realized,
            unrealized: position.unrealized(contract, mark),
            isolated: holding.isolated,
        }
    }
}
