//! The benchmark's strategy: one bid and one ask at a fixed distance from the mid, moved when the mid has moved. Holds no opinion.

use crate::event::{PositionSide, Side, TimeInForce};
use crate::maker::strategy::{Cause, OwnEvent, Plan, Purpose, Quote, Strategy, View};
use crate::unit::{Lots, Nanos, Ticks};

/// See the module's text.
#[derive(Clone, Copy, Debug)]
pub struct Requote {
    bps: i64,
    qty: Lots,
    /// The last decision asked for nothing.
    settled: bool,
}

impl Requote {
    /// Quotes at this distance from the mid in 1/10000 of it, of this quantity.
    #[must_use]
    pub const fn new(bps: i64, qty: Lots) -> Self {
        Self { bps, qty, settled: false }
    }
}

impl Strategy for Requote {
    fn start(&mut self, _: Nanos, _: &mut Plan) {}

    fn on_own(&mut self, _: Nanos, _: &OwnEvent) {}

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan) {
        self.settled = true;
        let (Some(bid), Some(ask)) = (view.book.best(Side::Buy), view.book.best(Side::Sell)) else { return };
        let mid2 = bid.price.0 + ask.price.0;
        let prices =
            [(mid2 * (10_000 - self.bps)).div_euclid(20_000), -(-mid2 * (10_000 + self.bps)).div_euclid(20_000)];
        for (side, price) in [Side::Buy, Side::Sell].into_iter().zip(prices) {
            let mut there = false;
            for order in view.orders.iter().filter(|order| order.side == side && order.cancel_sent.is_none()) {
                // One that is still under way is waited for.
                if !order.resting || order.price.0 == price {
                    there = true;
                } else {
                    self.settled = false;
                    plan.cancel.push((order.id, Cause::Reprice));
                }
            }
            if !there {
                self.settled = false;
                let quote = Quote {
                    side,
                    position_side: PositionSide::Net,
                    purpose: Purpose::Entry,
                    level: 0,
                    price: Ticks(price),
                    qty: self.qty,
                    tif: TimeInForce::PostOnly,
                    reduce_only: false,
                };
                plan.place.push((quote, Cause::Reprice));
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.settled
    }

    fn next_timer(&self) -> Nanos {
        Nanos::MAX
    }
}
