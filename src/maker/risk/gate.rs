//! The one gate that every message passes. It reads facts and limits and says yes, or why not; it changes nothing but its counts.

use super::kill::Ladder;
use super::limits::{RateWindow, RiskLimits};
use crate::event::{Command, CommandKind, Side, TimeInForce};
use crate::instrument::Instrument;
use crate::maker::order::table::is_reducing;
use crate::maker::strategy::{Cause, ORDERS_MAX, Purpose, Quote};
use crate::unit::{Lots, Nanos, Price, RATE_ONE, Rate, Ticks, product};

/// Why a message may not go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// The kill ladder stands at killed.
    #[error("quoting is killed")]
    Killed = 0,
    /// The kill ladder stands at paused, or the run ends.
    #[error("quoting is paused")]
    Paused,
    /// Only what shrinks the position may go out.
    #[error("only reducing orders may go out")]
    ReduceOnly,
    /// The worst case of the position would pass the limit.
    #[error("the worst-case position would pass the limit")]
    Position,
    /// More than one order may be.
    #[error("the order is larger than one order may be")]
    OrderQty,
    /// Worth more than one order may be.
    #[error("the order is worth more than one order may be")]
    OrderNotional,
    /// Too far from the mid.
    #[error("the price is too far from the mid")]
    PriceBand,
    /// It would take, and may not.
    #[error("the order would cross the book")]
    Crossing,
    /// Outside the instrument's price range.
    #[error("the price is outside the instrument's range")]
    PriceRange,
    /// Outside the instrument's quantity range.
    #[error("the quantity is outside the instrument's range")]
    QtyRange,
    /// Worth less than the instrument's smallest notional.
    #[error("the order is worth less than the instrument's smallest notional")]
    NotionalMin,
    /// Outside the instrument's band around the mark price.
    #[error("the price is outside the instrument's band around the mark price")]
    PercentPrice,
    /// As many orders as may be are open.
    #[error("as many orders as may be are open")]
    OrdersMax,
    /// Too many orders in the interval.
    #[error("too many orders in the interval")]
    OrderRate,
    /// Too many messages in the interval.
    #[error("too many messages in the interval")]
    MessageRate,
    /// The market data are older than they may be.
    #[error("the market data are too old")]
    StaleData,
    /// The venue's time lies ahead of ours.
    #[error("the venue's time lies too far ahead")]
    ClockSkew,
    /// No mid to measure against.
    #[error("there is no mid price")]
    NoMid,
    /// No slot is free.
    #[error("no order slot is free")]
    NoSlot,
    /// The quote level waits after a refusal by the venue.
    #[error("the quote level waits after a refusal by the venue")]
    BackOff,
    /// The step's output is full.
    #[error("the step has no room for another command")]
    OutputFull,
}

impl Refusal {
    /// Number of reasons: the size of a table of counts by `Refusal as usize`.
    pub const COUNT: usize = Self::OutputFull as usize + 1;
}

/// The position that a command would add to, and what may still execute, the commanded order itself left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exposure {
    /// Signed quantity of the position side.
    pub position: Lots,
    /// What may execute of orders that can add, buys and sells.
    pub adding: [Lots; 2],
    /// What may execute of orders that can only shrink, buys and sells.
    pub reducing: [Lots; 2],
    /// The most that those may have found to close while they were live, buys and sells; it counts where it passes what is held now.
    pub reducible: [Lots; 2],
}

impl Exposure {
    /// The position if all of `side` executes and nothing of the other.
    #[inline(always)]
    #[must_use]
    pub fn worst(&self, side: Side) -> Lots {
        let signed = self.position.0 * side.sign();
        // A reducing order cannot pass zero, whatever its quantity; but what it closed may have been more than is known to be held now.
        let shrink = self.reducing[side.index()].0.min((-signed).max(self.reducible[side.index()].0));
        Lots((signed + shrink + self.adding[side.index()].0) * side.sign())
    }
}

/// What the gate must know of the market, the same for every order of one step: [`Gate::moment`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    now: Nanos,
    best: [Option<Ticks>; 2],
    mark: Option<Price>,
    /// The market data are fresh enough, or why not.
    timely: Result<(), Refusal>,
    corridor: Corridor,
}

impl Moment {
    /// The engine's clock.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }
}

/// Prices that every check of a price lets pass, by side, what a tick times a lot is worth, and what an order may be worth. An order
/// outside is not refused for it: the checks one by one know.
#[derive(Clone, Copy, Debug)]
struct Corridor {
    low: [Ticks; 2],
    high: [Ticks; 2],
    tick_lot: u64,
    worth: [u128; 2],
}

impl Corridor {
    /// No price.
    const CLOSED: Self = Self { low: [Ticks::MAX; 2], high: [Ticks(i64::MIN); 2], tick_lot: 0, worth: [0; 2] };

    /// Worked out in half ticks, in which the mid is a whole number, so that 64 bits suffice. Where they do not: closed.
    fn of(limits: &RiskLimits, instrument: &Instrument, best: [Option<Ticks>; 2], mark: Option<Price>) -> Self {
        Self::worked_out(limits, instrument, best, mark).unwrap_or(Self::CLOSED)
    }

    fn worked_out(
        limits: &RiskLimits,
        instrument: &Instrument,
        best: [Option<Ticks>; 2],
        mark: Option<Price>,
    ) -> Option<Self> {
        let [Some(bid), Some(ask)] = best else { return None };
        let (mid, tick) = (bid.checked_add(ask)?.0, instrument.tick.atto());
        // Half of an odd tick is no whole number of 1e-18: the mid would be rounded.
        if tick % 2 != 0 {
            return None;
        }
        let part = |rate: Rate| {
            let product = u64::try_from(mid).ok()?.checked_mul(u64::try_from(rate.0).ok()?)?;
            i64::try_from(product / RATE_ONE as u64).ok()
        };
        let band = part(limits.price_band)?;
        let (mut low, mut high) = (mid - band, mid.checked_add(band)?);
        let (up, down) = (instrument.percent_up, instrument.percent_down);
        match mark {
            None if up.is_zero() && down.is_zero() => {}
            None => {
                high = if up.is_zero() { high } else { high.min(part(up)?) };
                // The bound itself may lie between two half ticks: the next one is above it.
                low = if down.is_zero() { low } else { low.max(part(down)? + 1) };
            }
            Some(mark) => {
                // Not divided to find the edges, only asked whether these are inside; if not, whether nearer ones are.
                let price = |halves: i64| Price(product(halves.into(), tick / 2));
                let inside = |low: i64, high: i64| {
                    (up.is_zero() || !price(high).exceeds(mark, up))
                        && (down.is_zero() || !price(low).falls_short(mark, down))
                };
                if !inside(low, high) {
                    (low, high) = (low.max(mid - mid / 64), high.min(mid + mid / 64));
                    if !inside(low, high) {
                        return None;
                    }
                }
            }
        }
        // Whole ticks, in the instrument's range, and not through the book.
        let low = Ticks((low.max(0) + 1) / 2).max(instrument.price_min);
        let high = Ticks(high / 2).min(if instrument.price_max.is_zero() { Ticks::MAX } else { instrument.price_max });
        Some(Self {
            low: [low, low.max(bid + Ticks(1))],
            high: [high.min(ask - Ticks(1)), high],
            tick_lot: u64::try_from(instrument.tick_lot()).ok()?,
            worth: [u128::try_from(instrument.notional_min.0).ok()?, u128::try_from(limits.order_notional_max.0).ok()?],
        })
    }

    /// An order of `qty`, of which `open` may execute, is inside.
    #[inline(always)]
    fn holds(&self, side: Side, price: Ticks, qty: Lots, open: Lots) -> bool {
        let (side, [least, most]) = (side.index(), self.worth);
        let units = |qty: Lots| price.0.cast_unsigned().checked_mul(qty.0.cast_unsigned());
        let worth = |units: u64| u128::from(units) * u128::from(self.tick_lot);
        self.low[side] <= price
            && price <= self.high[side]
            && units(qty).is_some_and(|units| worth(units) >= least)
            && units(open.max(qty)).is_some_and(|units| worth(units) <= most)
    }
}

/// Amends of one step and side that change nothing but prices, of orders of which nothing has executed, on their way through the gate
/// together: what their prices and quantities are at least and at most, and what may execute of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Moves {
    count: u32,
    prices: [Ticks; 2],
    qtys: [Lots; 2],
    sum: i64,
    /// The sum did not fit.
    lost: bool,
}

impl Moves {
    /// Of one side's quotes.
    #[inline(always)]
    #[must_use]
    pub fn of(quotes: &[(Quote, Cause)]) -> Self {
        let (prices, qtys) = ([Ticks::MAX, Ticks(i64::MIN)], [Lots::MAX, Lots(i64::MIN)]);
        let none = Self { count: quotes.len() as u32, prices, qtys, sum: 0, lost: false };
        quotes.iter().fold(none, |Self { count, prices: [low, high], qtys: [least, most], sum, lost }, (quote, _)| {
            let (price, qty) = (quote.price, quote.qty);
            let (sum, over) = sum.overflowing_add(qty.0);
            Self {
                count,
                prices: [price.min(low), price.max(high)],
                qtys: [qty.min(least), qty.max(most)],
                sum,
                lost: lost | over,
            }
        })
    }

    /// What may execute of all of them; `None` where that does not fit.
    #[must_use]
    pub fn sum(&self) -> Option<Lots> {
        (!self.lost).then_some(Lots(self.sum))
    }
}

/// What the gate must know besides the command.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The market.
    pub moment: &'a Moment,
    /// The contract.
    pub instrument: &'a Instrument,
    /// Worst-case figures of the command's position side.
    pub exposure: Exposure,
    /// For an amend: the larger of what may execute of the order before and after. For a new order: its quantity.
    pub open_qty: Lots,
    /// For an amend: what may execute of the order as it is. Zero for a new order.
    pub open_before: Lots,
    /// Live orders of the instrument.
    pub live: usize,
    /// Why the order exists.
    pub purpose: Purpose,
}

/// The gate of one account.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The kill ladder. The gate reads it; the maker moves it.
    pub ladder: Ladder,
    limits: RiskLimits,
    orders: RateWindow,
    messages: RateWindow,
    refusals: [u64; Refusal::COUNT],
}

impl Gate {
    /// Nothing sent, quoting.
    #[must_use]
    pub fn new(limits: RiskLimits) -> Self {
        Self {
            ladder: Ladder::Quoting,
            limits,
            orders: RateWindow::new(limits.interval),
            messages: RateWindow::new(limits.interval),
            refusals: [0; Refusal::COUNT],
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &RiskLimits {
        &self.limits
    }

    /// Refusals so far, by `Refusal as usize`.
    #[must_use]
    pub fn refusals(&self) -> &[u64; Refusal::COUNT] {
        &self.refusals
    }

    /// Counts a refusal that was found before the gate (no slot, a side that waits, a full output).
    pub fn count(&mut self, refusal: Refusal) {
        self.refusals[refusal as usize] += 1;
    }

    /// An order or an amend, whole; a market order of the flatten and any other message against the message limit only.
    /// Yes, and the message is counted as sent; or why not, and the refusal is counted.
    ///
    /// # Errors
    /// The first limit that the command would break.
    #[inline(always)]
    pub fn check(&mut self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        if !self.plainly_passes(command, facts) {
            return self.check_closely(command, facts);
        }
        self.messages.add(facts.moment.now);
        self.orders.add(facts.moment.now);
        Ok(())
    }

    /// [`Gate::check`] of amends together, buys and sells, all of them or none: yes, and they are counted as sent; no where one of them would be refused or
    /// only the checks one by one know, and nothing is counted. `worst` is the position if all that may execute of a side does, buys and
    /// sells: at the same quantities it is the same before and after each amend. What holds at the ends of prices and quantities holds
    /// between them.
    pub fn check_moves(
        &mut self,
        moves: [&Moves; 2],
        moment: &Moment,
        instrument: &Instrument,
        worst: [Lots; 2],
    ) -> bool {
        let (now, limits) = (moment.now, &self.limits);
        let inside = |side: Side| {
            let &Moves { count, prices: [low, high], qtys: [least, most], .. } = moves[side.index()];
            count == 0
                || Lots::ZERO < least
                    && instrument.qty_min <= least
                    && most <= instrument.qty_max
                    && most <= limits.order_qty_max
                    && worst[side.index()].0 * side.sign() <= limits.position_max.0
                    && moment.corridor.holds(side, low, least, least)
                    && moment.corridor.holds(side, high, most, most)
        };
        let count = moves[0].count + moves[1].count;
        let within = |sent: u32, most: u32| sent.saturating_add(count) <= most;
        let passed = self.ladder == Ladder::Quoting
            && moment.timely.is_ok()
            && inside(Side::Buy)
            && inside(Side::Sell)
            && within(self.orders.count(now), limits.orders_max)
            && within(self.messages.count(now), limits.messages_max.saturating_sub(limits.cancel_headroom));
        if passed {
            self.messages.add_many(now, count);
            self.orders.add_many(now, count);
        }
        passed
    }

    /// [`Gate::check_order`] would let it pass: seen without a division, for nearly every order that does.
    #[inline(always)]
    fn plainly_passes(&mut self, command: &Command, facts: &Facts<'_>) -> bool {
        let (moment, instrument, side) = (facts.moment, facts.instrument, command.side);
        let worst = || facts.exposure.worst(side).0 * side.sign() + facts.open_qty.0;
        self.ladder == Ladder::Quoting
            && moment.timely.is_ok()
            && (command.kind == CommandKind::Amend
                || command.kind == CommandKind::New && !self.is_full(facts.live, instrument))
            && Lots::ZERO < command.qty
            && instrument.qty_min <= command.qty
            && command.qty <= instrument.qty_max
            && facts.open_qty <= self.limits.order_qty_max
            && moment.corridor.holds(side, command.price, command.qty, facts.open_qty)
            && (is_reducing(side, command.position_side, command.reduce_only) || worst() <= self.limits.position_max.0)
            && self.orders.count(moment.now) < self.limits.orders_max
            && self.check_messages(moment.now, self.limits.cancel_headroom).is_ok()
    }

    fn is_full(&self, live: usize, instrument: &Instrument) -> bool {
        live >= ORDERS_MAX.min(instrument.orders_max as usize)
    }

    /// The plain form: one check after the other.
    #[cold]
    #[inline(never)]
    fn check_closely(&mut self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        let is_order = matches!(command.kind, CommandKind::New | CommandKind::Amend);
        let verdict = match command.kind {
            CommandKind::New | CommandKind::Amend => self.check_order(command, facts),
            _ => self.check_messages(facts.moment.now, 0),
        };
        match verdict {
            Ok(()) => {
                self.messages.add(facts.moment.now);
                if is_order || command.kind == CommandKind::Market {
                    self.orders.add(facts.moment.now);
                }
            }
            Err(refusal) => self.count(refusal),
        }
        verdict
    }

    /// A message that is no order (cancel, query, reconcile, snapshot): only the message limit can refuse it.
    ///
    /// # Errors
    /// [`Refusal::MessageRate`].
    pub fn check_plain(&mut self, now: Nanos) -> Result<(), Refusal> {
        let verdict = self.check_messages(now, 0);
        match verdict {
            Ok(()) => self.messages.add(now),
            Err(refusal) => self.count(refusal),
        }
        verdict
    }

    #[inline(always)]
    fn check_messages(&mut self, now: Nanos, headroom: u32) -> Result<(), Refusal> {
        let allowed = self.limits.messages_max.saturating_sub(headroom);
        if self.messages.count(now) < allowed { Ok(()) } else { Err(Refusal::MessageRate) }
    }

    fn check_order(&mut self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        match self.ladder {
            Ladder::Killed(_) => return Err(Refusal::Killed),
            Ladder::Paused => return Err(Refusal::Paused),
            Ladder::Quoting | Ladder::ReduceOnly => {}
        }
        facts.moment.timely?;
        self.check_terms(command, facts)?;
        self.check_position(command, facts)?;
        if command.kind == CommandKind::New && self.is_full(facts.live, facts.instrument) {
            return Err(Refusal::OrdersMax);
        }
        if self.orders.count(facts.moment.now) >= self.limits.orders_max {
            return Err(Refusal::OrderRate);
        }
        self.check_messages(facts.moment.now, self.limits.cancel_headroom)
    }

    /// What is the same for every order of a step: best prices (bid and ask), the mark price if heard, and the venue's time of the
    /// newest market data by our clock (the known difference of the clocks taken off), 0 if not known.
    #[must_use]
    pub fn moment(
        &self,
        now: Nanos,
        instrument: &Instrument,
        best: [Option<Ticks>; 2],
        mark: Option<Price>,
        data_time: Nanos,
    ) -> Moment {
        let corridor = Corridor::of(&self.limits, instrument, best, mark);
        Moment { now, best, mark, timely: self.check_time(now, data_time), corridor }
    }

    fn check_time(&self, now: Nanos, data_time: Nanos) -> Result<(), Refusal> {
        let limits = &self.limits;
        if data_time.is_zero() {
            return Ok(());
        }
        if !limits.data_age_max.is_zero() && now - data_time > limits.data_age_max {
            return Err(Refusal::StaleData);
        }
        if !limits.skew_max.is_zero() && data_time - now > limits.skew_max {
            return Err(Refusal::ClockSkew);
        }
        Ok(())
    }

    fn check_terms(&self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        let (instrument, limits) = (facts.instrument, &self.limits);
        let [Some(bid), Some(ask)] = facts.moment.best else { return Err(Refusal::NoMid) };
        let (price, open) = (command.price, facts.open_qty);
        if price < instrument.price_min || (!instrument.price_max.is_zero() && price > instrument.price_max) {
            return Err(Refusal::PriceRange);
        }
        if command.qty < instrument.qty_min || command.qty > instrument.qty_max {
            return Err(Refusal::QtyRange);
        }
        if open > limits.order_qty_max {
            return Err(Refusal::OrderQty);
        }
        let notional = instrument.notional(price, command.qty);
        let open_notional = if open == command.qty { notional } else { instrument.notional(price, open) };
        if open_notional > limits.order_notional_max {
            return Err(Refusal::OrderNotional);
        }
        if notional < instrument.notional_min && !command.reduce_only {
            return Err(Refusal::NotionalMin);
        }
        let mid = instrument.mid(bid, ask);
        let at = instrument.price(price);
        if (at - mid).abs().exceeds(mid, limits.price_band) {
            return Err(Refusal::PriceBand);
        }
        let mark = facts.moment.mark.unwrap_or(mid);
        let outside = match command.side {
            Side::Buy => !instrument.percent_up.is_zero() && at.exceeds(mark, instrument.percent_up),
            Side::Sell => !instrument.percent_down.is_zero() && at.falls_short(mark, instrument.percent_down),
        };
        if outside {
            return Err(Refusal::PercentPrice);
        }
        let crosses = match command.side {
            Side::Buy => price >= ask,
            Side::Sell => price <= bid,
        };
        if crosses && (command.tif == TimeInForce::PostOnly || facts.purpose == Purpose::Entry) {
            return Err(Refusal::Crossing);
        }
        Ok(())
    }

    fn check_position(&self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        if is_reducing(command.side, command.position_side, command.reduce_only) {
            // It cannot pass zero, so it cannot pass a limit.
            return Ok(());
        }
        let side = command.side;
        let with = |open: Lots| {
            let mut exposure = facts.exposure;
            exposure.adding[side.index()] += open;
            exposure.worst(side).0 * side.sign()
        };
        let worst = with(facts.open_qty);
        // An amend that does not add may pass although the limit is already broken (by the venue's correction).
        if worst > self.limits.position_max.0 && worst > with(facts.open_before) {
            return Err(Refusal::Position);
        }
        if self.ladder == Ladder::ReduceOnly {
            let now = facts.exposure.position.0 * side.sign();
            if now >= 0 || worst > 0 {
                return Err(Refusal::ReduceOnly);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ClientId, PositionSide};
    use crate::unit::Money;
    use proptest::prelude::*;

    const LIMITS: RiskLimits = RiskLimits {
        position_max: Lots(1_000),
        order_qty_max: Lots(60),
        order_notional_max: Money(4_000_000_000_000_000_000_000),
        price_band: Rate(RATE_ONE / 20),
        orders_max: 100,
        messages_max: 200,
        cancel_headroom: 10,
        interval: Nanos::from_secs(10),
        loss_max: Money::ZERO,
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    };

    fn command(side: Side, price: i64, qty: i64) -> Command {
        Command {
            kind: CommandKind::New,
            side,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: crate::instrument::InstrumentId(0),
            generation: 1,
            client_id: ClientId::default(),
            price: Ticks(price),
            qty: Lots(qty),
            decided_at: Nanos(1),
        }
    }

    fn facts<'a>(moment: &'a Moment, instrument: &'a Instrument, open: i64) -> Facts<'a> {
        let exposure = Exposure::default();
        let (open_qty, open_before) = (Lots(open), Lots::ZERO);
        Facts { moment, instrument, exposure, open_qty, open_before, live: 0, purpose: Purpose::Entry }
    }

    proptest! {
        /// What the corridor lets pass, every check lets pass.
        #[test]
        fn nothing_passes_the_corridor_that_a_check_refuses(
            touch in prop_oneof![(1_i64..40, 1_i64..9), (600_000_i64..640_000, 1_i64..900), (1_i64..1 << 40, 1_i64..1 << 20)],
            near in prop_oneof![-300_i64..300, -70_000_i64..70_000],
            mark in prop::option::of(-50_000_i64..50_000),
            terms in (prop::sample::select(vec!["0.10", "0.01", "5", "0.00000001"]), any::<[bool; 3]>()),
            rates in (0_i64..RATE_ONE / 5, RATE_ONE..2 * RATE_ONE, RATE_ONE / 2..RATE_ONE),
            order in (any::<[bool; 4]>(), 1_i64..90, 1_i64..90),
            exposure in (-1_100_i64..1_100, prop::array::uniform2(0_i64..300), prop::array::uniform2(0_i64..300)),
            state in (0_u8..5, 0_usize..70, 0_u32..110),
        ) {
            let ((bid, spread), (tick, [no_up, no_down, no_max]), (band, up, down)) = (touch, terms, rates);
            let ([sell, reduce_only, gtc, amend], qty, open) = order;
            let ((position, adding, reducing), (ladder, live, sent)) = (exposure, state);
            let mut instrument = Instrument::synthetic("BTCUSDT", tick, "0.001");
            instrument.percent_up = if no_up { Rate::ZERO } else { Rate(up) };
            instrument.percent_down = if no_down { Rate::ZERO } else { Rate(down) };
            instrument.price_max = if no_max { Ticks::ZERO } else { instrument.price_max };
            let mut gate = Gate::new(RiskLimits { price_band: Rate(band), ..LIMITS });
            gate.ladder = [Ladder::Paused, Ladder::ReduceOnly].get(usize::from(ladder)).copied().unwrap_or(Ladder::Quoting);
            (0..sent).for_each(|_| gate.orders.add(Nanos(1)));
            (0..2 * sent).for_each(|_| gate.messages.add(Nanos(1)));
            let mark = mark.map(|off| Price(instrument.price(Ticks(bid)).0 + i128::from(off) * 1_000_000_000_000_007));
            let best = [Some(Ticks(bid)), Some(Ticks(bid + spread))];
            let moment = gate.moment(Nanos(1), &instrument, best, mark, Nanos::ZERO);
            // Around the touch, and around every edge of the corridor.
            let Corridor { low, high, .. } = moment.corridor;
            let edges = low.iter().chain(&high).map(|edge| edge.0).filter(|edge| edge.unsigned_abs() < 1 << 41);
            for center in edges.chain([bid, bid + spread]) {
                let side = if sell { Side::Sell } else { Side::Buy };
                let tif = if gtc { TimeInForce::Gtc } else { TimeInForce::PostOnly };
                for price in [center + near, center - 1, center, center + 1] {
                    let kind = if amend { CommandKind::Amend } else { CommandKind::New };
                    let command = Command { kind, tif, reduce_only, ..command(side, price, qty) };
                    let exposure = Exposure {
                        position: Lots(position),
                        adding: adding.map(Lots),
                        reducing: reducing.map(Lots),
                        reducible: [Lots::ZERO; 2],
                    };
                    let facts = Facts { exposure, live, ..facts(&moment, &instrument, open) };
                    if gate.plainly_passes(&command, &facts) {
                        prop_assert_eq!(gate.check_order(&command, &facts), Ok(()));
                    }
                }
            }
        }

        /// In a usual market the corridor knows nearly every order that passes.
        #[test]
        fn what_passes_in_a_usual_market_passes_the_corridor(off in 0_i64..6_000, sell: bool, marked: bool) {
            let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
            let mut gate = Gate::new(LIMITS);
            let mark = marked.then(|| instrument.price(Ticks(617_900)));
            let moment =
                gate.moment(Nanos(1), &instrument, [Some(Ticks(618_002)), Some(Ticks(618_003))], mark, Nanos::ZERO);
            let (side, price) = if sell { (Side::Sell, 618_003 + off) } else { (Side::Buy, 618_002 - off) };
            let (command, facts) = (command(side, price, 10), facts(&moment, &instrument, 10));
            prop_assert_eq!(gate.check_order(&command, &facts), Ok(()));
            prop_assert!(gate.plainly_passes(&command, &facts));
        }
    }
}
