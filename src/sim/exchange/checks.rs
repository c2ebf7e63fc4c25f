//! What must hold before a request is carried out: filters, modes, limits; and the settings that only checks guard.

use super::{Exchange, GOOD_TILL_MIN};
use crate::event::{PositionSide, Side};
use crate::instrument::InstrumentId;
use crate::sim::account::order_value;
use crate::sim::order::{AccountId, NewOrder, OrderType, Reject, Response, Tif, closing_side};
use crate::unit::{Lots, Nanos, Price, Ticks};

impl Exchange {
    /// Everything about a placement that depends on neither margin nor book. Returns what may be reduced.
    pub(super) fn check_new(&self, now: Nanos, account: AccountId, new: &NewOrder) -> Result<Lots, Reject> {
        let state = self.account(account);
        let contract = self.instrument(new.instrument);
        let open = || self.orders.open(account).filter(|o| o.instrument == new.instrument);
        if !new.client_id.is_empty() && self.orders.open(account).any(|o| o.client_id == new.client_id) {
            return Err(Reject::DuplicateClientId);
        }
        if state.hedge == (new.position_side == PositionSide::Net) {
            return Err(Reject::PositionSide);
        }
        if state.hedge && new.reduce_only {
            return Err(Reject::ReduceOnlyInHedge);
        }
        let closes = new.reduce_only || closing_side(new.position_side) == Some(new.side);
        self.check_filters(new.instrument, new.side, new.kind, new.price, new.qty, closes)?;
        if new.tif == Tif::Gtd && new.good_till < now + GOOD_TILL_MIN {
            return Err(Reject::GoodTillDate);
        }
        if new.kind == OrderType::Limit && open().count() >= contract.orders_max as usize {
            return Err(Reject::MaxOpenOrders);
        }
        let reducible = self.reducible(account, new.instrument, new.position_side, new.side);
        let too_much = state.hedge && new.qty > reducible;
        if closes && (reducible.is_zero() || too_much) {
            return Err(Reject::ReduceOnly);
        }
        Ok(reducible)
    }

    pub(super) fn check_filters(
        &self,
        id: InstrumentId,
        side: Side,
        kind: OrderType,
        price: Ticks,
        qty: Lots,
        closes: bool,
    ) -> Result<(), Reject> {
        let contract = self.instrument(id);
        let mark = self.mark(id);
        let limit = kind == OrderType::Limit;
        if qty <= Lots::ZERO {
            return Err(Reject::QtyZero);
        }
        if limit {
            if price <= Ticks::ZERO {
                return Err(Reject::PriceZero);
            }
            if price < contract.price_min {
                return Err(Reject::PriceMin);
            }
            if contract.price_max > Ticks::ZERO && price > contract.price_max {
                return Err(Reject::PriceMax);
            }
        }
        if qty < contract.qty_min {
            return Err(Reject::QtyMin);
        }
        if qty > if limit { contract.qty_max } else { contract.market_qty_max } {
            return Err(Reject::QtyMax);
        }
        if let (true, Some(mark)) = (limit, mark) {
            let price = contract.price(price);
            let (up, down) = (contract.percent_up, contract.percent_down);
            let too_high = side == Side::Buy && !up.is_zero() && price > mark.times(up);
            let too_low = side == Side::Sell && !down.is_zero() && price < mark.times(down);
            if too_high || too_low {
                return Err(Reject::PercentPrice);
            }
        }
        let value = order_value(contract, price, qty, mark.unwrap_or(Price::ZERO));
        if !closes && value < contract.notional_min {
            return Err(Reject::Notional { minimum: contract.notional_min });
        }
        Ok(())
    }

    /// How much an order on `side` of a position could reduce it.
    pub(super) fn reducible(&self, account: AccountId, id: InstrumentId, position: PositionSide, side: Side) -> Lots {
        let qty = self.account(account).position(id, position).qty;
        Lots((-qty.0 * side.sign()).max(0))
    }

    pub(super) fn margin_type(
        &mut self,
        account: AccountId,
        id: InstrumentId,
        isolated: bool,
    ) -> Result<Response, Reject> {
        self.known(id)?;
        let has_orders = self.orders.open(account).any(|o| o.instrument == id);
        let holding = &mut self.accounts[usize::from(account.0)].holdings[usize::from(id.0)];
        if holding.isolated == isolated {
            return Err(Reject::MarginTypeSame);
        }
        if has_orders {
            return Err(Reject::MarginTypeOrders);
        }
        if holding.positions.iter().any(|p| !p.qty.is_zero()) {
            return Err(Reject::MarginTypePosition);
        }
        holding.isolated = isolated;
        Ok(Response::Done)
    }

    pub(super) fn position_mode(&mut self, account: AccountId, hedge: bool) -> Result<Response, Reject> {
        let has_orders = self.orders.open(account).next().is_some();
        let state = &mut self.accounts[usize::from(account.0)];
        if state.hedge == hedge {
            return Err(Reject::PositionModeSame);
        }
        if has_orders {
            return Err(Reject::PositionModeOrders);
        }
        if !state.is_flat() {
            return Err(Reject::PositionModePosition);
        }
        state.hedge = hedge;
        Ok(Response::Done)
    }
}
