//! The exchange's order table: open orders in reusable slots, the latest closed ones and trades in bounded rings. No rules.

use crate::instrument::InstrumentId;
use crate::sim::order::{AccountId, Order, OrderRef, OwnTrade, Tif};
use crate::unit::Nanos;
use std::collections::VecDeque;

/// Closed orders that the exchange remembers; older ones are forgotten, as the venue does.
pub const CLOSED_MAX: usize = 16_384;
/// Trades that the exchange remembers.
pub const TRADES_MAX: usize = 65_536;

/// Open orders by slot, closed ones and trades by age.
#[derive(Debug, Default)]
pub struct Orders {
    slots: Vec<Order>,
    free: Vec<u32>,
    /// Open orders with a good-till date.
    dated: u32,
    open: Vec<u32>,
    closed: VecDeque<Order>,
    trades: VecDeque<OwnTrade>,
}

impl Orders {
    /// Adds an open order; returns its slot.
    pub fn insert(&mut self, order: Order) -> u32 {
        self.dated += u32::from(order.tif == Tif::Gtd);
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = order;
            slot
        } else {
            self.slots.push(order);
            u32::try_from(self.slots.len() - 1).expect("open orders are limited per instrument")
        };
        self.open.push(slot);
        slot
    }

    /// The order in a slot.
    #[must_use]
    pub fn at(&self, slot: u32) -> &Order {
        &self.slots[slot as usize]
    }

    /// The order in a slot, to change.
    pub fn at_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.slots[slot as usize]
    }

    /// Moves a closed order from its slot to the closed ones.
    pub fn close(&mut self, slot: u32) {
        let order = self.slots[slot as usize];
        assert!(!order.status.is_open(), "an open order stays in its slot");
        let at = self.open.iter().position(|&s| s == slot).expect("the order was open");
        self.open.remove(at);
        self.dated -= u32::from(order.tif == Tif::Gtd);
        self.free.push(slot);
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(order);
    }

    /// Remembers a trade.
    pub fn record(&mut self, trade: OwnTrade) {
        if self.trades.len() == TRADES_MAX {
            self.trades.pop_front();
        }
        self.trades.push_back(trade);
    }

    /// Slot of the oldest open order that fits.
    pub fn first_open(&self, mut fits: impl FnMut(&Order) -> bool) -> Option<u32> {
        self.open_slots().find(|&slot| fits(self.at(slot)))
    }

    /// Slot of the open order at a place in the order of age.
    #[must_use]
    pub fn nth_open(&self, at: usize) -> Option<u32> {
        self.open.get(at).copied()
    }

    /// When the first of the open orders with a good-till date ends.
    #[must_use]
    pub fn first_dated(&self) -> Option<Nanos> {
        if self.dated == 0 {
            return None;
        }
        self.open.iter().map(|&slot| self.at(slot)).filter(|o| o.tif == Tif::Gtd).map(|o| o.good_till).min()
    }

    /// Slots of open orders, oldest first.
    pub fn open_slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.iter().copied()
    }

    /// Open orders of an account, oldest first.
    pub fn open(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        self.open.iter().map(|&s| self.at(s)).filter(move |o| o.account == account)
    }

    /// Closed orders of an account that are remembered, in the order in which they closed.
    pub fn closed(&self, account: AccountId) -> impl DoubleEndedIterator<Item = &Order> {
        self.closed.iter().filter(move |o| o.account == account)
    }

    /// Trades of an account that are remembered, oldest first.
    pub fn trades(&self, account: AccountId) -> impl DoubleEndedIterator<Item = &OwnTrade> {
        self.trades.iter().filter(move |t| t.account == account)
    }

    /// Slot of an open order.
    #[must_use]
    pub fn find_open(&self, account: AccountId, instrument: InstrumentId, order: &OrderRef) -> Option<u32> {
        self.open_slots().find(|&slot| {
            let o = self.at(slot);
            o.account == account && o.instrument == instrument && is(o, order)
        })
    }

    /// An order, open or closed; the newest where a client id was used again.
    #[must_use]
    pub fn find(&self, account: AccountId, instrument: InstrumentId, order: &OrderRef) -> Option<&Order> {
        if let Some(slot) = self.find_open(account, instrument, order) {
            return Some(self.at(slot));
        }
        self.closed(account).rev().find(|o| o.instrument == instrument && is(o, order))
    }
}

fn is(order: &Order, wanted: &OrderRef) -> bool {
    match wanted {
        OrderRef::Id(id) => order.id == *id,
        OrderRef::Client(id) => order.client_id == *id,
    }
}
