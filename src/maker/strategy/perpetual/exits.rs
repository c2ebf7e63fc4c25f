//! With an open position: take-profit and stop loss. Never opens or adds to a position.

use super::super::exact::{PRICE_MAX, on_tick, scale};
use super::super::{Cause, OwnOrder, PositionView, Purpose, Quote};
use super::{Act, EXIT_TIF, Perpetual, Turn};
use crate::event::{PositionSide, Side};
use crate::instrument::Instrument;
use crate::unit::{Lots, Nanos, Price, Rate, Ticks};
use arrayvec::ArrayVec;

/// What a position's entry price means for its exits; computed when the entry changes, not on every event.
#[derive(Clone, Copy)]
pub(super) struct ExitLevels {
    entry: Price,
    take_profit: Option<Ticks>,
    /// A long stops at or below it, a short at or above it.
    stop: Price,
}

impl ExitLevels {
    pub(super) const NONE: Self = Self { entry: Price::ZERO, take_profit: None, stop: Price::ZERO };
}

/// A position with its direction known.
#[derive(Clone, Copy)]
struct Open {
    closing: Side,
    entry: Price,
    size: Lots,
}

impl Open {
    /// The sign decides, not the label. A position below one lot has no sign left, there the label decides; an empty one
    /// (no sign, label `Net`) is not managed. In live use positions are whole lots and empty ones are not shown.
    fn of(position: &PositionView) -> Option<Self> {
        let closing = match (position.qty.signum(), position.side) {
            (1, _) | (0, PositionSide::Long) => Side::Sell,
            (-1, _) | (0, PositionSide::Short) => Side::Buy,
            _ => return None,
        };
        (position.entry <= PRICE_MAX).then_some(Self { closing, entry: position.entry, size: position.qty.abs() })
    }
}

/// An exit that is wanted.
#[derive(Clone, Copy)]
struct Exit {
    closing: Side,
    price: Ticks,
    size: Lots,
}

type Exits = ArrayVec<Exit, 8>;

impl Perpetual {
    /// A tick with a position: no proposals, no refresh, no minimum spread.
    pub(super) fn manage(&mut self, turn: &mut Turn<'_>) {
        let view = turn.view;
        let positions: ArrayVec<Open, 8> = view.positions.iter().filter_map(Open::of).take(8).collect();
        if let (false, [_], [position]) = (self.settings.hedge, view.positions, positions.as_slice()) {
            turn.cancel_where(Cause::PositionOpened, |order| order.side == position.closing && !self.is_exit(order));
        }
        let (Some(bid), Some(ask)) = (view.book.best(Side::Buy), view.book.best(Side::Sell)) else { return };
        turn.reference = self.reference(view);
        let mut exits = Exits::new();
        for position in &positions {
            exits.extend(self.take_profit(turn, position, bid.price, ask.price));
        }
        self.exit(turn, &exits, Purpose::TakeProfit);
        if self.settings.stop_loss_spread.is_zero() {
            return;
        }
        exits.clear();
        for position in &positions {
            exits.extend(self.stop_loss(turn, position, bid.price, ask.price));
        }
        self.exit(turn, &exits, Purpose::StopLoss);
    }

    fn take_profit(&mut self, turn: &mut Turn<'_>, position: &Open, bid: Ticks, ask: Ticks) -> Option<Exit> {
        let instrument = turn.view.instrument;
        let in_profit = match position.closing {
            Side::Sell => instrument.price(ask) > position.entry,
            Side::Buy => instrument.price(bid) < position.entry,
        };
        if !in_profit {
            return None;
        }
        let target = self.levels(instrument, position).take_profit;
        let every_event = self.every_event();
        turn.cancel_where(Cause::TakeProfit, |order| {
            let open = if every_event { order.qty - order.filled } else { order.qty };
            let fits = Some(order.price) == target && open == position.size;
            order.side == position.closing && self.is_exit(order) && !fits
        });
        let price = target?;
        let taken = turn.live().any(|order| order.price == price);
        (!taken && position.size > Lots::ZERO).then_some(Exit { closing: position.closing, price, size: position.size })
    }

    fn stop_loss(&mut self, turn: &mut Turn<'_>, position: &Open, bid: Ticks, ask: Ticks) -> Option<Exit> {
        let (view, closing) = (turn.view, position.closing);
        let flat_at = self.flat_at;
        let is_stop = |order: &OwnOrder| {
            order.side == closing && order.purpose == Purpose::StopLoss && order.created_at >= flat_at
        };
        let newest = turn.live().filter(|order| is_stop(order)).map(|order| order.created_at).max();
        if let Some(newest) = newest {
            let due = newest + self.settings.time_between_stop_loss_orders;
            if view.now < due {
                self.renew_stop_at = self.renew_stop_at.min(due);
                return None;
            }
        }
        turn.cancel_where(Cause::StopLoss, is_stop);
        let stop = self.levels(view.instrument, position).stop;
        let buffer = self.settings.stop_loss_slippage_buffer;
        // The trigger implies that the touch is the worse of the two prices.
        let (bid_price, ask_price) = (view.instrument.price(bid), view.instrument.price(ask));
        let price = match closing {
            Side::Sell if bid_price <= stop => scale(bid_price, Rate::ONE - buffer).floor,
            Side::Buy if ask_price >= stop => scale(ask_price, Rate::ONE + buffer).floor,
            _ => return None,
        };
        let price = on_tick(view.instrument, price);
        let in_the_way = |at: Ticks| match closing {
            Side::Sell => price.is_none_or(|price| at > price),
            Side::Buy => price.is_some_and(|price| at < price),
        };
        turn.cancel_where(Cause::StopLoss, |order| {
            order.side == closing
                && order.purpose == Purpose::TakeProfit
                && order.created_at >= flat_at
                && in_the_way(order.price)
        });
        turn.cancel_where(Cause::StopLoss, |order| order.side != closing && order.purpose == Purpose::Entry);
        for at in 0..turn.script.len() {
            if let Act::Place(quote, _) = turn.script[at]
                && quote.side == closing
                && in_the_way(quote.price)
            {
                turn.revoke(at, Cause::StopLoss);
            }
        }
        Some(Exit { closing, price: price?, size: position.size }).filter(|exit| exit.size > Lots::ZERO)
    }

    /// Places exits, buys first, and starts the timers.
    fn exit(&mut self, turn: &mut Turn<'_>, exits: &Exits, purpose: Purpose) {
        let now = turn.view.now;
        for side in [Side::Buy, Side::Sell] {
            for exit in exits.iter().filter(|exit| exit.closing == side) {
                let position_side = match (self.settings.hedge, side) {
                    (false, _) => PositionSide::Net,
                    (true, Side::Sell) => PositionSide::Long,
                    (true, Side::Buy) => PositionSide::Short,
                };
                let (cause, renew) = match purpose {
                    Purpose::StopLoss => (Cause::StopLoss, now + self.settings.time_between_stop_loss_orders),
                    _ => (Cause::TakeProfit, Nanos::MAX),
                };
                self.renew_stop_at = self.renew_stop_at.min(renew);
                turn.place(
                    Quote {
                        side,
                        position_side,
                        purpose,
                        level: 0,
                        price: exit.price,
                        qty: exit.size,
                        tif: EXIT_TIF,
                        reduce_only: true,
                    },
                    cause,
                );
            }
        }
        if !exits.is_empty() {
            self.set_timers(now);
        }
    }

    fn levels(&mut self, instrument: &Instrument, position: &Open) -> ExitLevels {
        let cached = &mut self.exit_levels[position.closing.index()];
        if cached.entry != position.entry {
            let s = &self.settings;
            let (profit, loss) = match position.closing {
                Side::Sell => (Rate::ONE + s.long_profit_taking_spread, Rate::ONE - s.stop_loss_spread),
                Side::Buy => (Rate::ONE - s.short_profit_taking_spread, Rate::ONE + s.stop_loss_spread),
            };
            let stop = scale(position.entry, loss);
            *cached = ExitLevels {
                entry: position.entry,
                take_profit: on_tick(instrument, scale(position.entry, profit).floor),
                stop: if position.closing == Side::Sell { stop.floor } else { stop.ceil },
            };
        }
        *cached
    }
}
