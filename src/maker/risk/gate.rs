//! The one gate that every message passes. It reads facts and limits and says yes, or why not; it changes nothing but its counts.

use super::kill::Ladder;
use super::limits::{RateWindow, RiskLimits};
use crate::event::{Command, CommandKind, Side, TimeInForce};
use crate::instrument::Instrument;
use crate::maker::order::table::is_reducing;
use crate::maker::strategy::{ORDERS_MAX, Purpose};
use crate::unit::{Lots, Nanos, Price, Ticks};

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
    #[must_use]
    pub fn worst(&self, side: Side) -> Lots {
        let signed = self.position.0 * side.sign();
        // A reducing order cannot pass zero, whatever its quantity; but what it closed may have been more than is known to be held now.
        let shrink = self.reducing[side.index()].0.min((-signed).max(self.reducible[side.index()].0));
        Lots((signed + shrink + self.adding[side.index()].0) * side.sign())
    }
}

/// What the gate must know besides the command.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The engine's clock.
    pub now: Nanos,
    /// The contract.
    pub instrument: &'a Instrument,
    /// Best prices, bid and ask.
    pub best: [Option<Ticks>; 2],
    /// Mark price, if heard.
    pub mark: Option<Price>,
    /// The venue's time of the newest market data by our clock (the known difference of the clocks taken off), 0 if not known.
    pub data_time: Nanos,
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
    pub fn check(&mut self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        let is_order = matches!(command.kind, CommandKind::New | CommandKind::Amend);
        let verdict = match command.kind {
            CommandKind::New | CommandKind::Amend => self.check_order(command, facts),
            _ => self.check_messages(facts.now, 0),
        };
        match verdict {
            Ok(()) => {
                self.messages.add(facts.now);
                if is_order || command.kind == CommandKind::Market {
                    self.orders.add(facts.now);
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
        self.check_time(facts)?;
        self.check_terms(command, facts)?;
        self.check_position(command, facts)?;
        if command.kind == CommandKind::New && facts.live >= ORDERS_MAX.min(facts.instrument.orders_max as usize) {
            return Err(Refusal::OrdersMax);
        }
        if self.orders.count(facts.now) >= self.limits.orders_max {
            return Err(Refusal::OrderRate);
        }
        self.check_messages(facts.now, self.limits.cancel_headroom)
    }

    fn check_time(&self, facts: &Facts<'_>) -> Result<(), Refusal> {
        let limits = &self.limits;
        if facts.data_time.is_zero() {
            return Ok(());
        }
        if !limits.data_age_max.is_zero() && facts.now - facts.data_time > limits.data_age_max {
            return Err(Refusal::StaleData);
        }
        if !limits.skew_max.is_zero() && facts.data_time - facts.now > limits.skew_max {
            return Err(Refusal::ClockSkew);
        }
        Ok(())
    }

    fn check_terms(&self, command: &Command, facts: &Facts<'_>) -> Result<(), Refusal> {
        let (instrument, limits) = (facts.instrument, &self.limits);
        let [Some(bid), Some(ask)] = facts.best else { return Err(Refusal::NoMid) };
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
        let mark = facts.mark.unwrap_or(mid);
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
