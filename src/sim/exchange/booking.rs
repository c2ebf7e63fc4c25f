//! From what matching did to orders, money and private events. Decides no price and no quantity.

use super::Exchange;
use crate::sim::account::{Entry, EntryKind, in_venue_places};
use crate::sim::matching::Outcome;
use crate::sim::order::{AccountReason, Execution, Order, OrderType, OwnTrade, PrivateEvent, Status};
use crate::unit::{Lots, Money, Nanos, Price, Ticks};

impl Exchange {
    /// Turns what matching did into fills, money and events. `taker` is the incoming order, which stays in its slot.
    pub(super) fn settle(&mut self, now: Nanos, taker: Option<u32>) {
        if self.outcomes.is_empty() {
            return;
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        for outcome in &outcomes {
            match *outcome {
                Outcome::Made { slot, price, qty } => self.fill(now, slot, price, qty, true, taker),
                Outcome::Took { price, qty, maker } => {
                    let taker_slot = taker.expect("somebody took");
                    self.fill(now, taker_slot, price, qty, false, taker);
                    if let Some(slot) = maker {
                        self.fill(now, slot, price, qty, true, taker);
                    }
                }
                Outcome::Prevented { slot } => {
                    self.end(now, slot, Status::ExpiredInMatch, Execution::Expired);
                }
            }
        }
        self.outcomes = outcomes;
        self.outcomes.clear();
    }

    pub(super) fn fill(&mut self, now: Nanos, slot: u32, price: Ticks, qty: Lots, maker: bool, taker: Option<u32>) {
        let order = *self.orders.at(slot);
        if !order.status.is_open() {
            return; // Reduced away by an earlier fill of the same print.
        }
        let mut qty = qty.min(order.remaining());
        if order.closes() {
            qty = qty.min(self.reducible(order.account, order.instrument, order.position_side, order.side));
        }
        if qty.is_zero() {
            return;
        }
        let contract = self.instrument(order.instrument);
        let (quote, price) = (contract.notional(price, qty), contract.price(price));
        self.execute(now, slot, price, qty, quote, maker);
        if Some(slot) != taker && !self.orders.at(slot).status.is_open() {
            self.orders.close(slot);
        }
        self.trim_closers(now, &order, taker);
    }

    /// Books one execution: order, position, ledger, events. A complete order stays in its slot for the caller to close.
    pub(super) fn execute(&mut self, now: Nanos, slot: u32, price: Price, qty: Lots, quote: Money, maker: bool) {
        let order = self.orders.at_mut(slot);
        order.filled += qty;
        order.quote += quote;
        order.updated_at = now;
        order.status = if order.remaining().is_zero() { Status::Filled } else { Status::PartiallyFilled };
        let order = *order;
        let liquidation = order.kind == OrderType::Liquidation;
        let contract = &self.venues[usize::from(order.instrument.0)].instrument;
        let fee = in_venue_places(quote.times(if maker { contract.maker_fee } else { contract.taker_fee }));
        let trade_id = self.next_trade_id;
        self.next_trade_id += 1;
        let account = &mut self.accounts[usize::from(order.account.0)];
        let realized = account.trade(order.instrument, order.position_side, order.side, qty, quote, now);
        let kind = if liquidation { EntryKind::Liquidation } else { EntryKind::Trade };
        for (kind, amount) in [(kind, realized), (EntryKind::Fee, -fee)] {
            if !amount.is_zero() {
                account.post(Entry { time: now, instrument: Some(order.instrument), kind, amount, trade_id });
            }
        }
        let wallet = account.wallet();
        let trade = OwnTrade {
            id: trade_id,
            order_id: order.id,
            account: order.account,
            instrument: order.instrument,
            side: order.side,
            position_side: order.position_side,
            price,
            qty,
            quote,
            fee,
            realized,
            maker,
            time: now,
        };
        self.orders.record(trade);
        let execution = if liquidation { Execution::Calculated } else { Execution::Trade };
        self.notify(now, order.account, PrivateEvent::Order { execution, order, trade: Some(trade) });
        let position = Some(self.position(order.account, order.instrument, order.position_side));
        let event = PrivateEvent::Account { reason: AccountReason::Order, wallet, change: Money::ZERO, position };
        self.notify(now, order.account, event);
    }

    /// Reduce-only orders never exceed the position: after it changed they are lowered, or expire with it.
    pub(super) fn trim_closers(&mut self, now: Nanos, filled: &Order, taker: Option<u32>) {
        let (account, id, position) = (filled.account, filled.instrument, filled.position_side);
        let mut at = 0;
        while let Some(slot) = self.orders.nth_open(at) {
            at += 1;
            let order = *self.orders.at(slot);
            let same = order.account == account && order.instrument == id && order.position_side == position;
            if !same || !order.closes() || Some(slot) == taker || !order.status.is_open() {
                continue;
            }
            let reducible = self.reducible(account, id, position, order.side);
            if reducible.is_zero() {
                self.end(now, slot, Status::Expired, Execution::Expired);
                at -= 1;
            } else if order.remaining() > reducible {
                self.venues[usize::from(id.0)].matching.trim(order.side, slot, reducible);
                let order = self.orders.at_mut(slot);
                order.qty = order.filled + reducible;
                order.updated_at = now;
                let order = *order;
                let event = PrivateEvent::Order { execution: Execution::Amendment, order, trade: None };
                self.notify(now, account, event);
            }
        }
    }
}
