//! From a reference price to the entry orders that are wanted: levels, band, optimisation, budget, taker filter.
//! Everything exact; a price or size that does not fit the grid's integers is left out, never wrapped.

use super::super::exact::PRICE_MAX;
use super::super::{OwnOrder, Purpose, View, WhyNot};
use super::{Collateral, Outline, Perpetual, Proposal};
use crate::config::perpetual::{PriceSource, PriceType};
use crate::event::{Level, Side};
use crate::instrument::Instrument;
use crate::unit::{Lots, Price, RATE_ONE, Rate, Ticks, product};

/// `spread` times the operator's widening.
pub(super) fn widened(spread: i128, widen: Rate) -> i128 {
    if widen == Rate::ONE { spread } else { spread * i128::from(widen.0) / i128::from(RATE_ONE) }
}

/// The factor on the reference for a spread of a side; a spread beyond what a rate holds is as good as its end.
pub(super) fn factor(side: Side, spread: i128) -> Rate {
    let spread = spread.clamp(-i128::from(i64::MAX / 4), i128::from(i64::MAX / 4)) as i64;
    match side {
        Side::Buy => Rate::ONE - Rate(spread),
        Side::Sell => Rate::ONE + Rate(spread),
    }
}

/// An exact non-negative or negative amount in 1e-30 units, as 1e-18 units and the rest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Fine {
    whole: i128,
    rest: i128,
}

impl Fine {
    fn checked_add(self, other: Self) -> Option<Self> {
        let (one, rest) = (i128::from(RATE_ONE), self.rest + other.rest);
        let whole = self.whole.checked_add(other.whole)?.checked_add(rest.div_euclid(one))?;
        Some(Self { whole, rest: rest.rem_euclid(one) })
    }

    /// Margin and fee of an order worth `value` (1e-18), times the leverage: `value + value * fee * leverage`. Free of divisions
    /// by the leverage, so exact.
    fn cost(value: i128, fee: Rate, leverage: u32) -> Option<Self> {
        let (one, fee, leverage) = (i128::from(RATE_ONE), i128::from(fee.0), i128::from(leverage));
        let coarse = (value / one).checked_mul(fee)?.checked_mul(leverage)?;
        let rest = (value % one).checked_mul(fee)?.checked_mul(leverage)?;
        let whole = value.checked_add(coarse)?.checked_add(rest.div_euclid(one))?;
        Some(Self { whole, rest: rest.rem_euclid(one) })
    }
}

/// Why a side has no entry order.
type Blocked = [Option<WhyNot>; 2];

/// The first step that leaves a side without an order is the reason.
fn blame(blocked: &mut Blocked, proposal: &Proposal, why: [WhyNot; 2]) {
    for side in [Side::Buy, Side::Sell] {
        if !proposal.iter().any(|order| order.side == side) {
            blocked[side.index()].get_or_insert(why[side.index()]);
        }
    }
}

impl Perpetual {
    /// The price that quotes are made around; `None` while it is missing, not positive or beyond [`PRICE_MAX`].
    pub(super) fn reference(&self, view: &View<'_>) -> Option<Price> {
        if (self.settings.price_source, self.settings.price_type) == (PriceSource::CurrentMarket, PriceType::MidPrice) {
            let [bid, ask] = [view.book.best(Side::Buy)?, view.book.best(Side::Sell)?];
            return Some(view.instrument.mid(bid.price, ask.price)).filter(|price| sane(*price));
        }
        let own = |side| view.book.best(side).map(|level| view.instrument.price(level.price));
        let (bid, ask, last) = match self.settings.price_source {
            PriceSource::ExternalMarket => (view.external.bid, view.external.ask, view.external.last),
            _ => (own(Side::Buy), own(Side::Sell), view.last_trade),
        };
        let chosen = match self.settings.price_type {
            PriceType::Custom => return view.external.custom.filter(|price| sane(*price)),
            PriceType::MidPrice => None,
            PriceType::BestBid => bid,
            PriceType::BestAsk => ask,
            PriceType::LastPrice => last,
            PriceType::LastOwnTradePrice => self.last_own_trade.map(|ticks| view.instrument.price(ticks)),
        };
        let mid = || Some(Price((bid?.0 + ask?.0) / 2));
        chosen.or_else(mid).filter(|price| sane(*price))
    }

    /// Writes the entry orders that would be placed now; `None` where pricing is impossible. A side that has none gets its reason.
    /// `plain`: what live orders lock is not negative.
    pub(super) fn propose(
        &mut self,
        view: &View<'_>,
        reference: Option<Price>,
        plain: bool,
        proposal: &mut Proposal,
    ) -> Option<()> {
        let mut blocked = [None; 2];
        self.outline = None;
        let priced = self.entries(view, reference, plain, proposal, &mut blocked);
        self.blocked = blocked;
        priced
    }

    fn entries(
        &mut self,
        view: &View<'_>,
        reference: Option<Price>,
        plain: bool,
        proposal: &mut Proposal,
        blocked: &mut Blocked,
    ) -> Option<()> {
        proposal.clear();
        let Some(reference) = reference else {
            *blocked = [Some(WhyNot::NoPrice); 2];
            return None;
        };
        let (bid, ask) = (view.book.best(Side::Buy), view.book.best(Side::Sell));
        self.rungs.renew(&self.settings, view);
        let touch = bid.zip(ask).map(|(bid, ask)| bid.price.0 + ask.price.0);
        let outline = self.rungs.price(view.instrument, reference, touch, proposal);
        if self.stands_whole(view, plain, &outline, bid, ask) {
            self.outline = Some(outline);
            return Some(());
        }
        blame(blocked, proposal, [WhyNot::TooSmall; 2]);
        let s = &self.settings;
        let no_buys = s.price_ceiling.is_some_and(|ceiling| reference >= ceiling);
        let no_sells = s.price_floor.is_some_and(|floor| reference <= floor);
        proposal.retain(|order| match order.side {
            Side::Buy => !no_buys,
            Side::Sell => !no_sells,
        });
        blame(blocked, proposal, [WhyNot::Ceiling, WhyNot::Floor]);
        if self.optimizes() {
            if self.optimize(view, proposal).is_none() {
                *blocked = blocked.map(|why| why.or(Some(WhyNot::ThinBook)));
                return None;
            }
            proposal.retain(|order| order.price > Ticks::ZERO);
        }
        if self.every_event() {
            keep_apart(proposal);
        }
        if self.covers_all(view, proposal) != Some(true) {
            self.keep_affordable(view, proposal);
        }
        blame(blocked, proposal, [WhyNot::Balance; 2]);
        proposal.retain(|order| match order.side {
            Side::Buy => ask.is_none_or(|ask| order.price < ask.price),
            Side::Sell => bid.is_none_or(|bid| order.price > bid.price),
        });
        blame(blocked, proposal, [WhyNot::WouldTake; 2]);
        Some(())
    }

    /// No step behind the pricing moves an order, leaves one out or blames a side: seen in one look, for nearly every proposal that goes
    /// out as it was priced.
    fn stands_whole(
        &self,
        view: &View<'_>,
        plain: bool,
        outline: &Outline,
        bid: Option<Level>,
        ask: Option<Level>,
    ) -> bool {
        let s = &self.settings;
        let (Some(bid), Some(ask)) = (bid, ask) else { return false };
        if !plain || !outline.whole || s.price_ceiling.is_some() || s.price_floor.is_some() || self.optimizes() {
            return false;
        }
        let (highest_buy, lowest_sell) = (outline.spans[0].highest, outline.spans[1].lowest);
        Ticks::ZERO < highest_buy
            && highest_buy < lowest_sell.min(ask.price)
            && bid.price < lowest_sell
            && lowest_sell < Ticks::MAX
            && self.covers_twice(view, outline.units)
    }

    /// The free balance without what live orders lock covers twice what orders of so many ticks times lots are worth, and no fee doubles
    /// that: then it covers them with their fees.
    fn covers_twice(&self, view: &View<'_>, units: u64) -> bool {
        let (fee, leverage) = (view.instrument.maker_fee.0, self.settings.leverage);
        let fees = fee.checked_mul(leverage.into()).is_some_and(|fees| (0..=RATE_ONE).contains(&fees));
        let worth = u64::try_from(view.instrument.tick_lot()).map(|one| u128::from(units) * u128::from(one));
        let free = view.available.0.checked_mul(leverage.into()).unwrap_or(0);
        fees && self.collateral == [Collateral::Quote; 2]
            && worth.is_ok_and(|worth| i128::try_from(worth).is_ok_and(|worth| worth <= free >> 1))
    }

    /// The reference is a function of the own book's best prices (and of own executions).
    pub(super) fn quotes_on_touch(&self) -> bool {
        let s = &self.settings;
        s.price_source != PriceSource::ExternalMarket
            && !matches!(s.price_type, PriceType::Custom | PriceType::LastPrice)
    }

    /// Prices depend on the book's depth.
    pub(super) fn optimizes(&self) -> bool {
        self.settings.order_optimization_enabled && self.settings.order_levels <= 1
    }

    /// `Some(true)`: the free balance covers every order, so that none is dropped: one comparison instead of two divisions an order.
    /// Otherwise [`Perpetual::keep_affordable`] knows.
    pub(super) fn covers_all(&self, view: &View<'_>, proposal: &Proposal) -> Option<bool> {
        let (one, fee, leverage) = (i128::from(RATE_ONE), view.instrument.maker_fee.0, self.settings.leverage);
        // With a rebate the sum of all costs may be smaller than the sum of the first ones.
        if fee < 0 || self.collateral != [Collateral::Quote; 2] {
            return None;
        }
        let product = |price: Ticks, qty: Lots| product(price.0.into(), qty.0.into());
        let lots = proposal.iter().try_fold(0_i128, |sum, order| sum.checked_add(product(order.price, order.qty)))?;
        let cost_rate = one + i128::from(fee) * i128::from(leverage);
        let cost = lots.checked_mul(view.instrument.tick_lot())?.checked_mul(cost_rate)?;
        let covered = |free: i128| Some(free.checked_mul(one)? >= cost);
        let free = view.available.0.checked_mul(i128::from(leverage))?;
        // What live orders lock only adds to it.
        let plain = view.orders.iter().all(is_plain);
        if plain && covered(free)? { Some(true) } else { covered(self.free_quote(view)) }
    }

    /// Moves a single order of a side away to one tick in front of the depth-adjusted best; `None` in a book too thin for it.
    fn optimize(&self, view: &View<'_>, proposal: &mut Proposal) -> Option<()> {
        for (side, depth) in [(Side::Buy, self.settings.bid_depth), (Side::Sell, self.settings.ask_depth)] {
            let mut of_side = proposal.iter_mut().filter(|order| order.side == side);
            let (Some(order), None) = (of_side.next(), of_side.next()) else { continue };
            let own = view.orders.iter().rev().find(|order| order.side == side).map_or(Lots::ZERO, |order| order.qty);
            let lots = i64::try_from((depth.0 + view.instrument.lot.atto() - 1) / view.instrument.lot.atto()).ok()?;
            let top = view.book.reach(side, own.checked_add(Lots(lots))?)?;
            order.price = match side {
                Side::Buy => order.price.min(top + Ticks(1)),
                Side::Sell => order.price.max(top - Ticks(1)),
            };
        }
        Some(())
    }

    /// Drops the orders that the free balance does not cover, one by one; a dropped one does not stop later, smaller ones.
    pub(super) fn keep_affordable(&self, view: &View<'_>, proposal: &mut Proposal) {
        let (leverage, fee) = (self.settings.leverage, view.instrument.maker_fee);
        let mut reserved = [Fine::default(); 2];
        let free = [self.free_quote(view), view.available_base.0.saturating_mul(i128::from(leverage))];
        proposal.retain(|order| {
            let token = self.collateral[order.side.index()];
            let value = match token {
                Collateral::Quote => value(view.instrument, order.price, order.qty),
                Collateral::Base => i128::from(order.qty.0).checked_mul(view.instrument.lot.atto()),
            };
            let cost = value.and_then(|value| Fine::cost(value, fee, leverage));
            let Some(sum) = cost.and_then(|cost| reserved[token as usize].checked_add(cost)) else { return false };
            let enough = sum <= Fine { whole: free[token as usize], rest: 0 };
            if enough {
                reserved[token as usize] = sum;
            }
            enough
        });
    }

    /// Free quote balance times leverage. On every event a refresh replaces orders in one step, so what they lock counts as free.
    fn free_quote(&self, view: &View<'_>) -> i128 {
        let leverage = i128::from(self.settings.leverage);
        let free = view.available.0.saturating_mul(leverage);
        if !self.every_event() {
            return free;
        }
        let entries = view.orders.iter().filter(|order| order.purpose == Purpose::Entry);
        let locked = entries.fold(0_i128, |sum, order| {
            let rest = order.qty - order.filled;
            sum.saturating_add(value(view.instrument, order.price, rest).unwrap_or(0))
        });
        let all = view.wallet.max(view.available).0.saturating_mul(leverage);
        free.saturating_add(locked).min(all)
    }
}

/// What it locks is not negative.
pub(super) fn is_plain(order: &OwnOrder) -> bool {
    order.filled <= order.qty && order.price >= Ticks::ZERO
}

/// Sells that round to the tick of a buy, or below, move to the tick above it.
fn keep_apart(proposal: &mut Proposal) {
    let highest_buy = proposal.iter().filter(|order| order.side == Side::Buy).map(|order| order.price).max();
    let Some(floor) = highest_buy.and_then(|buy| buy.checked_add(Ticks(1))) else { return };
    for order in proposal.iter_mut().filter(|order| order.side == Side::Sell) {
        order.price = order.price.max(floor);
    }
}

fn sane(price: Price) -> bool {
    Price::ZERO < price && price <= PRICE_MAX
}

/// [`Instrument::notional`] for prices and sizes that no limit has seen yet.
fn value(instrument: &Instrument, price: Ticks, qty: Lots) -> Option<i128> {
    // Two numbers of 64 bits have a product of at most 127.
    product(price.0.into(), qty.0.into()).checked_mul(instrument.tick_lot())
}
