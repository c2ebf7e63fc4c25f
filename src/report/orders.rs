//! Our orders as the venue's facts tell them: which rest and since when, and which executions are new. Bounded; forgets what is done.

use crate::event::{ClientId, OrderEvent, OrderEventKind, Side};
use crate::unit::{Lots, Nanos, Ticks};
use std::collections::{HashSet, VecDeque};

/// Most orders that rest at once; further ones are not followed.
const OPEN_MAX: usize = 4096;
/// How many done orders are remembered, so that a late fact does not bring them back.
const DONE_MAX: usize = 256;
/// How many executions are remembered, so that each counts once.
const TRADES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Order {
    id: ClientId,
    side: Side,
    price: Ticks,
    qty: Lots,
    filled: Lots,
    /// When it took its place in the queue.
    since: Nanos,
    executed: bool,
}

/// What an order event was, beyond what was known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct News {
    /// The order came to rest, with this quantity.
    pub rested: Option<Lots>,
    /// An execution that was not told before.
    pub fill: bool,
    /// It is the order's first.
    pub first_fill: bool,
    /// How long the order had its place before the execution.
    pub queue: Option<Nanos>,
}

/// The orders of one instrument.
#[derive(Debug, Default)]
pub(super) struct Orders {
    open: Vec<Order>,
    done: VecDeque<ClientId>,
    trades: HashSet<u64>,
    trades_in_order: VecDeque<u64>,
    /// Orders that found no place.
    pub unfollowed: u64,
}

impl Orders {
    /// Best resting bid and ask.
    pub fn best(&self) -> [Option<Ticks>; 2] {
        let prices = |side: Side| self.open.iter().filter(move |order| order.side == side).map(|order| order.price);
        [prices(Side::Buy).max(), prices(Side::Sell).min()]
    }

    /// Takes in a fact.
    pub fn take(&mut self, now: Nanos, event: &OrderEvent) -> News {
        use OrderEventKind as Kind;
        let mut news = News::default();
        let id = event.client_id;
        if event.kind == Kind::Fill {
            news.fill = self.is_new_trade(event.fill.trade_id);
        }
        if id == ClientId::default() {
            return news;
        }
        match event.kind {
            Kind::Accepted | Kind::Amended | Kind::Open => {
                news.rested = self.rests(now, event);
            }
            Kind::Fill => {
                let place = match self.place(id) {
                    Some(place) => Some(place),
                    // The execution came before the order's acceptance.
                    None if news.fill && !event.price.is_zero() => {
                        news.rested = self.rests(now, event);
                        self.place(id)
                    }
                    None => None,
                };
                let Some(place) = place else { return news };
                let order = &mut self.open[place];
                if news.fill {
                    news.first_fill = !std::mem::replace(&mut order.executed, true);
                    news.queue = event.fill.maker.then_some(now - order.since);
                    order.filled += event.fill.qty;
                }
                order.filled = order.filled.max(event.filled);
                if order.filled >= order.qty {
                    self.forget(id);
                }
            }
            Kind::Canceled | Kind::Expired | Kind::Rejected | Kind::NotFound | Kind::Closed => self.forget(id),
            Kind::AmendRejected | Kind::CancelRejected | Kind::Unknown | Kind::NotSent => {}
        }
        news
    }

    fn place(&self, id: ClientId) -> Option<usize> {
        self.open.iter().position(|order| order.id == id)
    }

    /// The order stands at this price with this quantity; gives the quantity if it did not before.
    fn rests(&mut self, now: Nanos, event: &OrderEvent) -> Option<Lots> {
        let (id, price, qty) = (event.client_id, event.price, event.qty);
        if let Some(place) = self.place(id) {
            let order = &mut self.open[place];
            // A new price or a larger quantity goes to the end of the queue.
            if !price.is_zero() && (price != order.price || qty > order.qty) {
                order.since = now;
            }
            if !price.is_zero() {
                (order.price, order.qty) = (price, if qty.is_zero() { order.qty } else { qty });
            }
            return None;
        }
        if price.is_zero() || self.done.contains(&id) {
            return None;
        }
        if self.open.len() == OPEN_MAX {
            self.unfollowed += 1;
            return None;
        }
        let filled = if event.kind == OrderEventKind::Fill { Lots::ZERO } else { event.filled };
        self.open.push(Order { id, side: event.side, price, qty, filled, since: now, executed: false });
        Some(qty)
    }

    fn forget(&mut self, id: ClientId) {
        self.open.retain(|order| order.id != id);
        if !self.done.contains(&id) {
            if self.done.len() == DONE_MAX {
                self.done.pop_front();
            }
            self.done.push_back(id);
        }
    }

    fn is_new_trade(&mut self, id: u64) -> bool {
        if !self.trades.insert(id) {
            return false;
        }
        self.trades_in_order.push_back(id);
        if self.trades_in_order.len() > TRADES_MAX
            && let Some(oldest) = self.trades_in_order.pop_front()
        {
            self.trades.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::{Fill, OrderSource, PositionSide, TimeInForce};
    use crate::instrument::InstrumentId;

    /// An order's fact at the venue.
    pub fn fact(kind: OrderEventKind, seq: u32, side: Side, price: i64, qty: i64) -> OrderEvent {
        OrderEvent {
            kind,
            source: OrderSource::Stream,
            side,
            position_side: PositionSide::Net,
            tif: TimeInForce::PostOnly,
            reduce_only: false,
            instrument: InstrumentId(0),
            generation: 0,
            code: 0,
            client_id: ClientId { run: 1, seq },
            venue_id: 0,
            price: Ticks(price),
            qty: Lots(qty),
            filled: Lots::ZERO,
            fill: Fill::default(),
            venue_time: Nanos::ZERO,
        }
    }

    /// An execution of it at its price.
    pub fn execution(seq: u32, side: Side, price: i64, qty: i64, trade: u64, part: i64) -> OrderEvent {
        let (price_ticks, qty_lots) = (Ticks(price), Lots(part));
        let fill = Fill { trade_id: trade, price: price_ticks, qty: qty_lots, maker: true, ..Fill::default() };
        OrderEvent { fill, ..fact(OrderEventKind::Fill, seq, side, price, qty) }
    }

    #[test]
    fn an_order_rests_loses_its_place_is_filled_once_and_does_not_come_back() {
        use OrderEventKind::{Accepted, Amended, Canceled};
        let mut orders = Orders::default();
        let at = |seconds| Nanos::from_secs(seconds);
        let rested = orders.take(at(0), &fact(Accepted, 1, Side::Buy, 100, 5)).rested;
        assert_eq!((rested, orders.best()), (Some(Lots(5)), [Some(Ticks(100)), None]));
        // Told again: no news. A smaller quantity keeps the place, another price does not.
        assert_eq!(orders.take(at(1), &fact(Accepted, 1, Side::Buy, 100, 5)), News::default());
        orders.take(at(2), &fact(Amended, 1, Side::Buy, 100, 4));
        let first = orders.take(at(3), &execution(1, Side::Buy, 100, 4, 900, 1));
        assert_eq!((first.first_fill, first.queue), (true, Some(at(3))));
        orders.take(at(4), &fact(Amended, 1, Side::Buy, 101, 4));
        assert_eq!(orders.take(at(5), &execution(1, Side::Buy, 101, 4, 900, 1)), News::default(), "told before");
        let rest = orders.take(at(6), &execution(1, Side::Buy, 101, 4, 901, 3));
        assert_eq!((rest.fill, rest.first_fill, rest.queue), (true, false, Some(at(2))));
        assert_eq!(orders.best(), [None, None]);
        assert_eq!(orders.take(at(7), &fact(Accepted, 1, Side::Buy, 101, 4)).rested, None, "a late answer");
        // The execution may be the first that is heard of an order.
        let early = orders.take(at(8), &execution(2, Side::Sell, 105, 2, 902, 1));
        assert_eq!((early.rested, early.first_fill), (Some(Lots(2)), true));
        orders.take(at(9), &fact(Canceled, 2, Side::Sell, 0, 0));
        assert_eq!(orders.best(), [None, None]);
    }
}
