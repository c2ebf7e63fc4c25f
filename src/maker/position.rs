//! What we hold and what it earned: positions from executions, the P&L split exactly. Never asks the venue, never decides.
//!
//! Prices enter as ticks and the mid as half ticks (bid + ask), so every product is a whole number:
//! *spread* is what an execution gained against the mid of its moment, *inventory* is what moves of the mid did to what we
//! held, and spread + inventory is exactly what trading earned (cash plus position at the mid). A correction by the venue moves
//! the position at the mid, without profit.

use crate::event::{PositionSide, Side};
use crate::instrument::Instrument;
use crate::maker::strategy::PositionView;
use crate::unit::{Lots, Money, Nanos, Price, Step, Ticks, pow10};
use arrayvec::ArrayVec;

/// The P&L of one instrument in quote currency, split in two ways that agree: by when the market paid (spread, inventory), and by
/// what is closed (trading, mark to market). `total` is the sum of either with fees taken off and funding added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pnl {
    /// Gained at executions against the mid.
    pub spread: Money,
    /// Gained on what was held, by moves of the mid.
    pub inventory: Money,
    /// Fees paid; negative is rebates.
    pub fees: Money,
    /// Funding received; negative is paid.
    pub funding: Money,
    /// What the open positions would bring at the mid against their entry prices.
    pub mark_to_market: Money,
}

impl Pnl {
    /// Captured on round trips: what closed parts of positions brought against their entry prices, before fees.
    #[must_use]
    pub fn trading(&self) -> Money {
        self.spread + self.inventory - self.mark_to_market
    }

    /// Spread + inventory - fees + funding.
    #[must_use]
    pub fn total(&self) -> Money {
        self.spread + self.inventory - self.fees + self.funding
    }
}

/// One holding: the net position, or one leg of hedge mode.
///
/// Entry policy: an addition adds its exact cost; a reduction takes cost off in proportion, the rest rounded towards
/// zero at 1e-18 of quote currency per lot; a flip starts anew at the execution price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Holding {
    qty: Lots,
    /// Sum of entry price (1e-18) times lots, of the magnitude held.
    cost: i128,
    /// `cost` per lot: every step reads it, few change it.
    entry: Price,
}

impl Holding {
    fn new(qty: Lots, cost: i128) -> Self {
        let entry = if qty.is_zero() { Price::ZERO } else { Price(cost / i128::from(qty.0.abs())) };
        Self { qty, cost, entry }
    }

    fn trade(&mut self, signed: i64, price: Price) {
        let before = self.qty.0;
        let after = before + signed;
        if before.signum() * signed.signum() >= 0 {
            self.cost += price.0 * i128::from(signed.abs());
        } else if after.signum() == before.signum() {
            let held = i128::from(before.abs());
            let kept = i128::from(after.abs());
            // Split so that the product stays small.
            self.cost = self.cost / held * kept + self.cost % held * kept / held;
        } else {
            self.cost = price.0 * i128::from(after.abs());
        }
        *self = Self::new(Lots(after), self.cost);
    }

    fn entry(&self) -> Price {
        self.entry
    }
}

/// An execution as the check against the venue's snapshots remembers it.
#[derive(Clone, Copy, Debug)]
struct Recent {
    side: PositionSide,
    signed: Lots,
    venue_time: Nanos,
    heard: Nanos,
}

const RECENT_MAX: usize = 64;

/// What came of comparing our position with the venue's snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconciled {
    /// It is ours.
    Agrees,
    /// Ours was changed by this.
    Corrected(Lots),
    /// Executions came while it was asked for and fit neither way: it must be asked for again.
    Doubtful,
}

/// Positions and P&L of one instrument.
#[derive(Debug)]
pub struct Holdings {
    tick: i128,
    lot: Step,
    /// [`Money`] units of half a tick times a lot.
    half_tick_lot: i128,
    holdings: [Holding; 3],
    /// The most that a buy and a sell could have closed of each side since [`Holdings::watch_reducible`].
    reducible: [[Lots; 2]; 3],
    /// Order in which the position sides first appeared.
    appeared: ArrayVec<PositionSide, 3>,
    /// Bid + ask in ticks, the mid last known.
    mid2: Option<i64>,
    spread_units: i128,
    inventory_units: i128,
    fees: Money,
    funding: Money,
    recent: ArrayVec<Recent, RECENT_MAX>,
    /// The time of the snapshot that last corrected a side: executions up to it are in the corrected figure.
    included: [Nanos; 3],
    /// What the stream last said since the last reconciliation.
    told: [Option<Lots>; 3],
    /// Since when that differs from ours.
    differs: [Option<Nanos>; 3],
    /// Counts up with everything that may have changed a position or the P&L.
    revision: u64,
}

/// What buying or selling closes of a position.
fn closable(qty: Lots, way: Side) -> Lots {
    Lots((-qty.0 * way.sign()).max(0))
}

impl Holdings {
    /// Flat, nothing earned.
    ///
    /// # Panics
    /// When half a tick times a lot is not a whole number of 1e-18.
    #[must_use]
    pub fn new(instrument: &Instrument) -> Self {
        let tick_lot = instrument.tick_lot();
        assert!(tick_lot % 2 == 0, "half a tick times a lot of {} is finer than money", instrument.symbol);
        Self {
            tick: instrument.tick.atto(),
            lot: instrument.lot,
            half_tick_lot: tick_lot / 2,
            holdings: [Holding::default(); 3],
            reducible: [[Lots::ZERO; 2]; 3],
            appeared: ArrayVec::new(),
            mid2: None,
            spread_units: 0,
            inventory_units: 0,
            fees: Money::ZERO,
            funding: Money::ZERO,
            recent: ArrayVec::new(),
            included: [Nanos::ZERO; 3],
            told: [None; 3],
            differs: [None; 3],
            revision: 1,
        }
    }

    /// The mid is now half of `bid + ask`.
    pub fn mark(&mut self, bid: Ticks, ask: Ticks) {
        let mid2 = bid.0 + ask.0;
        if let Some(before) = self.mid2.replace(mid2) {
            let held = self.net().0;
            if held != 0 && mid2 != before {
                self.inventory_units += i128::from(mid2 - before) * i128::from(held);
                self.revision += 1;
            }
        }
    }

    /// An execution, counted once by the caller. Without a mid yet, its own price is the mid.
    /// Returns false when the venue's corrected figure already includes it: then only its fee counts.
    pub fn fill(
        &mut self,
        side: Side,
        position_side: PositionSide,
        price: Ticks,
        qty: Lots,
        venue_time: Nanos,
        now: Nanos,
    ) -> bool {
        let at = position_side as usize;
        if !venue_time.is_zero() && venue_time <= self.included[at] {
            return false;
        }
        self.revision += 1;
        let signed = Lots(qty.0 * side.sign());
        let mid2 = *self.mid2.get_or_insert(2 * price.0);
        self.spread_units += i128::from(mid2 - 2 * price.0) * i128::from(signed.0);
        self.holdings[at].trade(signed.0, Price(i128::from(price.0) * self.tick));
        self.keep_reducible(at);
        self.note_side(position_side);
        if self.recent.is_full() {
            self.recent.remove(0);
        }
        self.recent.push(Recent { side: position_side, signed, venue_time, heard: now });
        self.compare(position_side, now);
        true
    }

    /// A fee paid (negative: a rebate).
    pub fn fee(&mut self, fee: Money) {
        self.fees += fee;
        self.revision += 1;
    }

    /// Funding received (negative: paid).
    pub fn funding(&mut self, amount: Money) {
        self.funding += amount;
        self.revision += 1;
    }

    /// The private stream's position. It may lag our executions or run ahead of them, so it only starts a clock.
    pub fn report(&mut self, side: PositionSide, qty: Lots, now: Nanos) {
        self.told[side as usize] = Some(qty);
        self.compare(side, now);
    }

    fn compare(&mut self, side: PositionSide, now: Nanos) {
        let at = side as usize;
        if self.told[at].is_none_or(|qty| qty == self.holdings[at].qty) {
            self.differs[at] = None;
        } else {
            self.differs[at].get_or_insert(now);
        }
    }

    /// The stream's position has differed from ours for at least `span`.
    #[must_use]
    pub fn differs_for(&self, span: Nanos, now: Nanos) -> bool {
        self.differs.iter().flatten().any(|&since| now - since >= span)
    }

    /// The stream said something else than our figures.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.differs.iter().any(Option::is_some)
    }

    /// A reconciliation's position, true at `venue_time` (0: not known, as of a position that the venue does not name). Where ours
    /// differs the venue wins, unless it cannot be told which executions its figure has.
    pub fn reconcile(
        &mut self,
        side: PositionSide,
        qty: Lots,
        entry: Price,
        venue_time: Nanos,
        asked: Nanos,
    ) -> Reconciled {
        let at = side as usize;
        let dated = |fill: &&Recent| !venue_time.is_zero() && !fill.venue_time.is_zero();
        let of_side = || self.recent.iter().filter(|fill| fill.side == side);
        let later = of_side().filter(dated).filter(|fill| fill.venue_time > venue_time);
        let expected = later.fold(qty, |sum, fill| sum + fill.signed);
        // Executions without a time to compare, heard since the question, may be in the figure or not: of those that were heard one
        // after the other it has the first ones.
        let open = || of_side().filter(|fill| !dated(fill) && fill.heard > asked);
        let mut held = open().fold(expected, |sum, fill| sum + fill.signed);
        let mut agrees = held == self.holdings[at].qty;
        for fill in open() {
            held -= fill.signed;
            agrees |= held == self.holdings[at].qty;
        }
        if !agrees && open().next().is_some() {
            return Reconciled::Doubtful;
        }
        (self.told[at], self.differs[at]) = (None, None);
        if agrees {
            return Reconciled::Agrees;
        }
        let correction = expected - self.holdings[at].qty;
        self.revision += 1;
        let entry = if entry.0 > 0 { entry } else { Price(i128::from(self.mid2.unwrap_or(0)) * self.tick / 2) };
        self.holdings[at] = Holding::new(expected, entry.0 * i128::from(expected.0.abs()));
        self.included[at] = self.included[at].max(venue_time);
        self.keep_reducible(at);
        self.note_side(side);
        Reconciled::Corrected(correction)
    }

    fn keep_reducible(&mut self, at: usize) {
        for (way, most) in [Side::Buy, Side::Sell].into_iter().zip(&mut self.reducible[at]) {
            *most = (*most).max(closable(self.holdings[at].qty, way));
        }
    }

    /// No reducing order of this side and way is live: what it can close counts from now on.
    pub fn watch_reducible(&mut self, side: PositionSide, way: Side) {
        self.reducible[side as usize][way.index()] = closable(self.qty(side), way);
    }

    /// The most that reducing orders may have closed by buying and by selling: executions may be heard in another order than they
    /// happened, so the position that a reducing order met can be larger than the one that is known now.
    #[must_use]
    pub fn reducible(&self, side: PositionSide) -> [Lots; 2] {
        self.reducible[side as usize]
    }

    fn note_side(&mut self, side: PositionSide) {
        if !self.appeared.contains(&side) {
            self.appeared.push(side);
        }
    }

    /// The same number twice means that neither a position nor the P&L changed between; never 0.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Signed quantity of one position.
    #[must_use]
    pub fn qty(&self, side: PositionSide) -> Lots {
        self.holdings[side as usize].qty
    }

    /// Signed sum over the positions.
    #[must_use]
    pub fn net(&self) -> Lots {
        self.holdings.iter().fold(Lots::ZERO, |sum, holding| sum + holding.qty)
    }

    /// Every position is zero.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.holdings.iter().all(|holding| holding.qty.is_zero())
    }

    /// Position sides in the order in which they first appeared.
    #[must_use]
    pub fn sides(&self) -> &[PositionSide] {
        &self.appeared
    }

    /// Average entry price of one position, 0 when flat.
    #[must_use]
    pub fn entry(&self, side: PositionSide) -> Price {
        self.holdings[side as usize].entry()
    }

    /// Open positions for the strategy, in the order in which they first appeared.
    pub fn view(&self, out: &mut ArrayVec<PositionView, 3>) {
        out.clear();
        for &side in &self.appeared {
            let holding = &self.holdings[side as usize];
            if !holding.qty.is_zero() {
                out.push(PositionView { side, qty: holding.qty, entry: holding.entry() });
            }
        }
    }

    /// Unrealised profit of all positions at `price`, truncated towards zero per position.
    #[must_use]
    pub fn unrealized(&self, instrument: &Instrument, price: Price) -> Money {
        self.holdings
            .iter()
            .filter(|holding| !holding.qty.is_zero())
            .fold(Money::ZERO, |sum, holding| sum + instrument.notional_at(price - holding.entry(), holding.qty))
    }

    /// The total of [`Holdings::pnl`], without what only the split needs.
    #[must_use]
    #[inline]
    pub fn earned(&self) -> Money {
        Money((self.spread_units + self.inventory_units) * self.half_tick_lot) - self.fees + self.funding
    }

    /// The split so far.
    #[must_use]
    pub fn pnl(&self) -> Pnl {
        Pnl {
            spread: Money(self.spread_units * self.half_tick_lot),
            inventory: Money(self.inventory_units * self.half_tick_lot),
            fees: self.fees,
            funding: self.funding,
            mark_to_market: self.mark_to_market(),
        }
    }

    /// Value of the positions at the mid less what they cost, truncated towards zero per position; nothing without a mid.
    fn mark_to_market(&self) -> Money {
        let Some(mid2) = self.mid2 else { return Money::ZERO };
        self.holdings.iter().filter(|holding| !holding.qty.is_zero()).fold(Money::ZERO, |sum, holding| {
            let worth = i128::from(mid2) * self.tick / 2 * i128::from(holding.qty.0.abs());
            let gain = (worth - holding.cost) * i128::from(holding.qty.signum());
            // In two steps, so that the product with the lot stays small.
            let (lot, scale) = (i128::from(self.lot.mantissa()), pow10(self.lot.places()));
            sum + Money(gain / scale * lot + gain % scale * lot / scale)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn book() -> (Instrument, Holdings) {
        let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let book = Holdings::new(&instrument);
        (instrument, book)
    }

    fn buy(book: &mut Holdings, price: i64, qty: i64) -> bool {
        book.fill(Side::Buy, PositionSide::Net, Ticks(price), Lots(qty), Nanos(0), Nanos(0))
    }

    fn sell(book: &mut Holdings, price: i64, qty: i64) -> bool {
        book.fill(Side::Sell, PositionSide::Net, Ticks(price), Lots(qty), Nanos(0), Nanos(0))
    }

    #[test]
    fn a_round_trip_splits_into_spread_and_inventory() {
        let (_, mut book) = book();
        book.mark(Ticks(1000), Ticks(1002));
        buy(&mut book, 1000, 10);
        book.mark(Ticks(1004), Ticks(1006));
        sell(&mut book, 1006, 10);
        book.fee(Money::parse(b"0.0001").unwrap());
        book.funding(Money::parse(b"-0.0002").unwrap());
        let pnl = book.pnl();
        // One tick gained at each execution, four ticks on what was held; a tick lot is 0.0001.
        assert_eq!(pnl.spread, Money::parse(b"0.002").unwrap());
        assert_eq!(pnl.inventory, Money::parse(b"0.004").unwrap());
        assert_eq!(pnl.total(), Money::parse(b"0.0057").unwrap());
        assert!(book.is_flat());
        // All of it is closed: nothing is left at the mid.
        assert_eq!((pnl.trading(), pnl.mark_to_market), (Money::parse(b"0.006").unwrap(), Money::ZERO));
    }

    #[test]
    fn closed_and_open_parts_are_told_apart() {
        let (_, mut book) = book();
        book.mark(Ticks(1000), Ticks(1002));
        buy(&mut book, 1000, 10);
        sell(&mut book, 1010, 4);
        book.mark(Ticks(990), Ticks(992));
        let pnl = book.pnl();
        // 4 lots gained 10 ticks, 6 lots bought at 1000 stand at 991; a tick lot is 0.0001.
        assert_eq!(pnl.trading(), Money::parse(b"0.004").unwrap());
        assert_eq!(pnl.mark_to_market, Money::parse(b"-0.0054").unwrap());
        assert_eq!(pnl.total(), pnl.trading() + pnl.mark_to_market);
    }

    #[test]
    fn entry_is_the_average_and_a_flip_starts_anew() {
        let (instrument, mut book) = book();
        buy(&mut book, 1000, 10);
        buy(&mut book, 1030, 20);
        assert_eq!(book.entry(PositionSide::Net), instrument.price(Ticks(1020)));
        sell(&mut book, 1100, 15);
        assert_eq!(book.entry(PositionSide::Net), instrument.price(Ticks(1020)));
        sell(&mut book, 1100, 20);
        assert_eq!((book.net(), book.entry(PositionSide::Net)), (Lots(-5), instrument.price(Ticks(1100))));
        assert_eq!(book.unrealized(&instrument, instrument.price(Ticks(1090))), Money::parse(b"0.005").unwrap());
    }

    #[test]
    fn the_venue_wins_and_late_executions_are_not_counted_twice() {
        let (_, mut book) = book();
        let (net, t) = (PositionSide::Net, Nanos::from_millis);
        book.fill(Side::Buy, net, Ticks(1000), Lots(5), t(10), t(11));
        // The snapshot is older than an execution that we have: no contradiction.
        assert_eq!(book.reconcile(net, Lots(0), Price(0), t(9), t(5)), Reconciled::Agrees);
        // An execution of 3 at t = 12 has not reached us.
        assert_eq!(book.reconcile(net, Lots(8), Price(0), t(12), t(5)), Reconciled::Corrected(Lots(3)));
        assert!(!book.fill(Side::Buy, net, Ticks(1000), Lots(3), t(12), t(20)));
        assert!(book.fill(Side::Buy, net, Ticks(1000), Lots(1), t(13), t(20)));
        assert_eq!(book.net(), Lots(9));
    }

    #[test]
    fn what_was_heard_late_may_be_in_a_snapshot_without_a_time() {
        let (_, mut book) = book();
        let (net, t) = (PositionSide::Net, Nanos::from_millis);
        let heard = |book: &mut Holdings, side, qty, at| book.fill(side, net, Ticks(1000), Lots(qty), t(3), t(at));
        heard(&mut book, Side::Buy, 5, 4);
        // Asked at 10. The sale that made it flat happened before and is heard after.
        heard(&mut book, Side::Sell, 5, 11);
        assert_eq!(book.reconcile(net, Lots(0), Price(0), t(0), t(10)), Reconciled::Agrees);
        // The first of two later ones is in it.
        heard(&mut book, Side::Buy, 2, 21);
        heard(&mut book, Side::Buy, 3, 22);
        assert_eq!(book.reconcile(net, Lots(2), Price(0), t(0), t(20)), Reconciled::Agrees);
        assert_eq!(book.net(), Lots(5));
        // Neither 1 nor 1 and the 4 after the question are what we hold: nothing is guessed, the next question has no such doubt.
        heard(&mut book, Side::Buy, 4, 31);
        assert_eq!(book.reconcile(net, Lots(1), Price(0), t(0), t(30)), Reconciled::Doubtful);
        assert_eq!(book.net(), Lots(9));
        assert_eq!(book.reconcile(net, Lots(1), Price(0), t(0), t(40)), Reconciled::Corrected(Lots(-8)));
    }

    #[test]
    fn an_execution_told_after_the_snapshot_that_has_it_differs_from_the_streams_last_word() {
        let (_, mut book) = book();
        let (net, t) = (PositionSide::Net, Nanos::from_millis);
        buy(&mut book, 1000, 5);
        assert_eq!(book.reconcile(net, Lots(0), Price(0), t(0), t(10)), Reconciled::Corrected(Lots(-5)));
        book.report(net, Lots(0), t(20));
        book.fill(Side::Sell, net, Ticks(1000), Lots(5), t(5), t(21));
        assert!(book.differs() && book.differs_for(t(2), t(23)));
    }

    #[test]
    fn a_lagging_report_is_no_contradiction_a_lasting_one_is() {
        let (_, mut book) = book();
        let (net, t) = (PositionSide::Net, Nanos::from_millis);
        book.report(net, Lots(5), t(0));
        assert!(!book.differs_for(t(2), t(1)));
        buy(&mut book, 1000, 5);
        assert!(!book.differs_for(t(2), t(9)));
        book.report(net, Lots(6), t(10));
        book.report(net, Lots(7), t(11));
        assert!(book.differs_for(t(2), t(12)));
    }

    proptest! {
        /// The naive twin: cash and the position at the mid.
        #[test]
        fn spread_and_inventory_are_exactly_the_trading_profit(
            steps in prop::collection::vec((900_i64..1100, 1_i64..9, any::<bool>(), 900_i64..1100), 1..60)
        ) {
            let (instrument, mut book) = book();
            let (mut cash2, mut held) = (0_i128, 0_i128);
            let mut mid2 = 0;
            for (price, qty, is_buy, bid) in steps {
                book.mark(Ticks(bid), Ticks(bid + 3));
                mid2 = i128::from(2 * bid + 3);
                let signed = if is_buy { buy(&mut book, price, qty); qty } else { sell(&mut book, price, qty); -qty };
                cash2 -= i128::from(2 * price * signed);
                held += i128::from(signed);
            }
            let profit = Money((cash2 + held * mid2) * instrument.tick_lot() / 2);
            prop_assert_eq!(book.pnl().total(), profit);
            prop_assert_eq!(i128::from(book.net().0), held);
        }
    }
}
