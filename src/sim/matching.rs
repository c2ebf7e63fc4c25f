//! One instrument's matching: the visible market of others from outside, and our users' orders at modelled queue places.
//! Decides who trades how much at which price; never whose money it is.
//!
//! Every execution is backed by liquidity that was shown or printed, and each piece of it is used once: a print fills at most
//! its quantity, a visible level at most its quantity: told again, it has what joined since, and what it shrinks by goes from what we
//! left first. The visible market does not react to our orders and does not contain them.

use crate::book::{Ladder, LadderLimits};
use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Level, Side, Trade};
use crate::sim::order::{AccountId, SelfTrade};
use crate::sim::queue::{Flow, QueueModel, QueuePlace};
use crate::unit::{Lots, Seq, Ticks};

/// What our orders used of a visible level; less than it shows from then on.
#[derive(Clone, Copy, Debug)]
struct Used {
    side: Side,
    price: Ticks,
    qty: Lots,
}

impl Used {
    /// The level shows `shown` now. Depth and best quotes tell one level several times, so what we used comes back only as far as
    /// the level had less than that meanwhile. False where nothing is used any more.
    fn keep(&mut self, shown: Lots) -> bool {
        self.qty = self.qty.min(shown);
        self.qty > Lots::ZERO
    }
}

/// A resting order of a user.
#[derive(Clone, Copy, Debug)]
struct Resting {
    slot: u32,
    account: AccountId,
    price: Ticks,
    left: Lots,
    place: QueuePlace,
}

/// One thing that matching did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The resting order in `slot` traded as maker.
    Made {
        /// Which order.
        slot: u32,
        /// At its price.
        price: Ticks,
        /// How much.
        qty: Lots,
    },
    /// The incoming order traded; with the resting order `maker`, or with the visible market.
    Took {
        /// At the maker's price.
        price: Ticks,
        /// How much.
        qty: Lots,
        /// The user's order on the other side, if it was one.
        maker: Option<u32>,
    },
    /// Self-trade prevention took the resting order in `slot` out.
    Prevented {
        /// Which order.
        slot: u32,
    },
}

/// What is left of an incoming order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    /// Not executed.
    pub qty: Lots,
    /// Self-trade prevention ended it.
    pub prevented: bool,
}

/// True when `price` of an order on `side` is at least as aggressive as `limit`.
fn reaches(side: Side, price: Ticks, limit: Ticks) -> bool {
    match side {
        Side::Buy => price >= limit,
        Side::Sell => price <= limit,
    }
}

/// The least of some prices, and how far above it the largest is; a price that no level has, where there are none.
fn span(prices: impl Iterator<Item = Ticks>) -> (Ticks, u64) {
    let (low, high) =
        prices.fold((Ticks(i64::MAX), Ticks::ZERO), |(low, high), price| (low.min(price), high.max(price)));
    (low, (high.0 - low.0).max(0).cast_unsigned())
}

/// One comparison and no branch, for a pass over many.
#[inline]
fn within(price: Ticks, (low, width): (Ticks, u64)) -> bool {
    price.0.wrapping_sub(low.0).cast_unsigned() <= width
}

/// The market of one instrument.
#[derive(Debug)]
pub struct Matching {
    model: QueueModel,
    visible: Ladder,
    /// Few and short-lived: one per level that an order of ours met, until it is gone.
    used: Vec<Used>,
    /// Resting orders per side, best price first and oldest first at a price.
    own: [Vec<Resting>; 2],
    flow: Flow,
    depth_seq: Seq,
    quote: Option<BestQuote>,
    single_prints: bool,
    last_price: Option<Ticks>,
}

impl Matching {
    /// An empty market.
    #[must_use]
    pub fn new(model: QueueModel) -> Self {
        Self {
            model,
            visible: Ladder::new(LadderLimits::default()),
            used: Vec::with_capacity(64),
            flow: Flow::default(),
            own: [Vec::with_capacity(64), Vec::with_capacity(64)],
            depth_seq: Seq::ZERO,
            quote: None,
            single_prints: false,
            last_price: None,
        }
    }

    /// Best visible level of others, whatever our takers used of it.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.visible.best(side)
    }

    /// Visible levels of others, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.visible.levels(side)
    }

    /// Price of the last print.
    #[must_use]
    pub fn last_price(&self) -> Option<Ticks> {
        self.last_price
    }

    /// Update id up to which the visible book is told.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.depth_seq
    }

    /// Quantity of others before the resting order in `slot`; `None` if it does not rest here.
    #[must_use]
    pub fn ahead(&self, slot: u32) -> Option<Lots> {
        self.own.iter().flatten().find(|o| o.slot == slot).map(|o| o.place.ahead)
    }

    /// The market told level changes.
    pub fn on_depth(&mut self, update: &DepthUpdate<'_>, out: &mut Vec<Outcome>) {
        self.depth_seq = update.last;
        self.set_all(Side::Buy, update.bids);
        self.set_all(Side::Sell, update.asks);
        // Depth frames are gathered over an interval: a quote with a higher number knows the touch better.
        if let Some(quote) = self.quote.filter(|q| q.seq > update.last) {
            self.apply_quote(&quote);
        }
        self.touch(out);
    }

    /// The visible market is not known any more; our orders keep their places until it is told again.
    pub fn forget(&mut self) {
        self.visible.clear();
        self.used.clear();
        self.quote = None;
    }

    /// The market told the whole book.
    pub fn on_snapshot(&mut self, snapshot: &DepthSnapshot<'_>, out: &mut Vec<Outcome>) {
        self.depth_seq = snapshot.last;
        let Self { visible, own, .. } = self;
        let quantities = |visible: &Ladder, own: &[Vec<Resting>; 2], was: &mut Vec<Lots>| {
            was.clear();
            for side in [Side::Buy, Side::Sell] {
                was.extend(own[side.index()].iter().map(|order| visible.qty(side, order.price)));
            }
        };
        // A snapshot is rare: the one place here that may allocate.
        let (mut was, mut is) = (Vec::new(), Vec::new());
        quantities(visible, own, &mut was);
        visible.clear();
        visible.apply(Side::Buy, snapshot.bids);
        visible.apply(Side::Sell, snapshot.asks);
        quantities(visible, own, &mut is);
        self.used.retain_mut(|used| used.keep(visible.qty(used.side, used.price)));
        for (order, (was, is)) in own.iter_mut().flatten().zip(was.into_iter().zip(is)) {
            order.place.level(self.model, was, is, self.flow.share());
        }
        self.quote = self.quote.filter(|q| q.seq > snapshot.last);
        if let Some(quote) = self.quote {
            self.apply_quote(&quote);
        }
        self.touch(out);
    }

    /// The market told the touch.
    pub fn on_quote(&mut self, quote: &BestQuote, out: &mut Vec<Outcome>) {
        if quote.seq < self.depth_seq || self.quote.is_some_and(|q| quote.seq < q.seq) {
            return;
        }
        self.quote = Some(*quote);
        self.apply_quote(quote);
        self.touch(out);
    }

    /// The market told a print. Aggregates are ignored once single prints were seen: they tell the same trades again.
    pub fn on_trade(&mut self, trade: &Trade, out: &mut Vec<Outcome>) {
        if trade.aggregate && self.single_prints {
            return;
        }
        self.single_prints |= !trade.aggregate;
        self.last_price = Some(trade.price);
        let side = trade.taker.opposite();
        if self.model == QueueModel::Calibrated {
            self.flow.print(side, trade.price, trade.qty);
        }
        let mut left = trade.qty;
        let mut others = Lots::ZERO;
        let mut gone = false;
        for order in &mut self.own[side.index()] {
            if !reaches(side, order.price, trade.price) {
                break;
            }
            // A print beyond our price went past everybody at our price; its quantity still fills at most once.
            if order.price == trade.price {
                let first = Lots((order.place.ahead.0 - others.0).clamp(0, left.0));
                others += first;
                left -= first;
                order.place.print(others, trade.qty);
            } else {
                order.place.ahead = Lots::ZERO;
            }
            let qty = order.left.min(left);
            if qty > Lots::ZERO && order.place.ahead.is_zero() {
                left -= qty;
                order.left -= qty;
                gone |= order.left.is_zero();
                out.push(Outcome::Made { slot: order.slot, price: order.price, qty });
            }
        }
        if gone {
            self.own[side.index()].retain(|o| !o.left.is_zero());
        }
    }

    /// True when an order would trade on arrival.
    #[must_use]
    pub fn would_take(&self, side: Side, price: Ticks) -> bool {
        let other = side.opposite();
        self.own[other.index()].first().is_some_and(|o| reaches(side, price, o.price))
            || self.best_available(other).is_some_and(|l| reaches(side, price, l.price))
    }

    /// How much an order of `account` could trade on arrival, up to `wanted`. Orders of the same account do not count.
    #[must_use]
    pub fn available(&self, account: AccountId, side: Side, limit: Ticks, wanted: Lots) -> Lots {
        let other = side.opposite();
        let mut sum = Lots::ZERO;
        for order in self.own[other.index()].iter().take_while(|o| reaches(side, limit, o.price)) {
            if order.account != account {
                sum += order.left;
            }
        }
        for level in self.levels(other).take_while(|l| reaches(side, limit, l.price)) {
            if sum >= wanted {
                break;
            }
            sum += self.unused(other, level);
        }
        sum.min(wanted)
    }

    /// Trades an incoming order against the visible market and the users' resting orders, best price first,
    /// others before users at a price. `limit` is `None` for a market order.
    pub fn take(
        &mut self,
        account: AccountId,
        side: Side,
        limit: Option<Ticks>,
        qty: Lots,
        mode: SelfTrade,
        out: &mut Vec<Outcome>,
    ) -> Rest {
        let other = side.opposite();
        let mut left = qty;
        while left > Lots::ZERO {
            let shown = self.best_available(other);
            let own = self.own[other.index()].first().copied();
            let take_own = match (shown, own) {
                (None, None) => break,
                (Some(level), Some(order)) => order.price != level.price && reaches(other, order.price, level.price),
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            if take_own {
                let order = own.expect("chosen because it is there");
                if limit.is_some_and(|l| !reaches(side, l, order.price)) {
                    break;
                }
                if order.account == account && mode != SelfTrade::None {
                    if mode != SelfTrade::ExpireTaker {
                        self.own[other.index()].remove(0);
                        out.push(Outcome::Prevented { slot: order.slot });
                    }
                    if mode != SelfTrade::ExpireMaker {
                        return Rest { qty: left, prevented: true };
                    }
                    continue;
                }
                let traded = left.min(order.left);
                left -= traded;
                out.push(Outcome::Took { price: order.price, qty: traded, maker: Some(order.slot) });
                let resting = &mut self.own[other.index()][0];
                resting.left -= traded;
                if resting.left.is_zero() {
                    self.own[other.index()].remove(0);
                }
            } else {
                let level = shown.expect("chosen because it is there");
                if limit.is_some_and(|l| !reaches(side, l, level.price)) {
                    break;
                }
                let traded = left.min(level.qty);
                left -= traded;
                self.use_up(other, level.price, traded);
                out.push(Outcome::Took { price: level.price, qty: traded, maker: None });
            }
        }
        Rest { qty: left, prevented: false }
    }

    /// Puts an order into the book, behind everything visible at its price.
    pub fn rest(&mut self, slot: u32, account: AccountId, side: Side, price: Ticks, left: Lots) {
        assert!(left > Lots::ZERO, "an order without quantity cannot rest");
        let visible = self.unused(side, Level { price, qty: self.visible.qty(side, price) });
        let orders = &mut self.own[side.index()];
        let at = orders.partition_point(|o| reaches(side, o.price, price));
        orders.insert(at, Resting { slot, account, price, left, place: QueuePlace::back_of(visible) });
    }

    /// Takes an order out; false if it does not rest here.
    pub fn remove(&mut self, side: Side, slot: u32) -> bool {
        let orders = &mut self.own[side.index()];
        let found = orders.iter().position(|o| o.slot == slot);
        found.map(|at| orders.remove(at)).is_some()
    }

    /// Lowers what is left of a resting order; it keeps its place.
    pub fn trim(&mut self, side: Side, slot: u32, left: Lots) {
        if let Some(order) = self.own[side.index()].iter_mut().find(|o| o.slot == slot) {
            order.left = order.left.min(left);
        }
    }

    fn set_all(&mut self, side: Side, levels: &[Level]) {
        if self.model == QueueModel::Calibrated {
            return levels.iter().for_each(|&level| self.set(side, level));
        }
        // Most levels are at no price of ours, and at none that we used: then the ladder alone has work.
        let own = self.own[side.index()].iter().map(|order| order.price);
        let used = self.used.iter().filter(|used| used.side == side).map(|used| used.price);
        let ours = span(own.chain(used));
        let mut rest = levels;
        loop {
            rest = self.visible.apply_until(side, rest, |price| within(price, ours));
            let Some((&level, behind)) = rest.split_first() else { break };
            self.set(side, level);
            rest = behind;
        }
    }

    fn set(&mut self, side: Side, level: Level) {
        let before = self.visible.qty(side, level.price);
        if self.model == QueueModel::Calibrated && self.best(side).is_some_and(|best| best.price == level.price) {
            self.flow.level(side, level.price, before, level.qty);
        }
        self.visible.set(side, level.price, level.qty);
        self.used.retain_mut(|used| used.side != side || used.price != level.price || used.keep(level.qty));
        let share = self.flow.share();
        for order in self.own[side.index()].iter_mut().filter(|o| o.price == level.price) {
            order.place.level(self.model, before, level.qty, share);
        }
    }

    fn apply_quote(&mut self, quote: &BestQuote) {
        for (side, level) in [(Side::Buy, quote.bid), (Side::Sell, quote.ask)] {
            if level.qty.is_zero() {
                continue;
            }
            while let Some(best) = self.best(side).filter(|b| b.price != level.price) {
                if !reaches(side, best.price, level.price) {
                    break;
                }
                self.set(side, Level { price: best.price, qty: Lots::ZERO });
            }
            // The same quantity again is no news.
            if self.visible.qty(side, level.price) != level.qty {
                self.set(side, level);
            }
        }
    }

    fn unused(&self, side: Side, level: Level) -> Lots {
        let used = self.used.iter().find(|used| used.side == side && used.price == level.price);
        level.qty - used.map_or(Lots::ZERO, |used| used.qty)
    }

    fn best_available(&self, side: Side) -> Option<Level> {
        let best = self.visible.best(side)?;
        if self.used.is_empty() {
            return Some(best);
        }
        let mut levels = self.levels(side).map(|level| Level { qty: self.unused(side, level), ..level });
        levels.find(|level| level.qty > Lots::ZERO)
    }

    fn use_up(&mut self, side: Side, price: Ticks, qty: Lots) {
        let shown = self.visible.qty(side, price);
        let found = self.used.iter().position(|used| used.side == side && used.price == price);
        let at = found.unwrap_or_else(|| {
            self.used.push(Used { side, price, qty: Lots::ZERO });
            self.used.len() - 1
        });
        let used = &mut self.used[at];
        used.qty += qty;
        assert!(used.qty <= shown, "a level gives what it has");
    }

    /// The visible other side stands at or beyond our price: it would have met us, so it fills us at our price.
    fn touch(&mut self, out: &mut Vec<Outcome>) {
        for side in [Side::Buy, Side::Sell] {
            let other = side.opposite();
            while let Some(price) = self.own[side.index()].first().map(|order| order.price) {
                // Mostly the touch is out of reach, and what is left behind it all the more.
                if self.visible.best(other).is_none_or(|best| !reaches(side, price, best.price)) {
                    break;
                }
                let order = self.own[side.index()][0];
                let Some(level) = self.best_available(other).filter(|l| reaches(side, order.price, l.price)) else {
                    break;
                };
                let qty = order.left.min(level.qty);
                self.use_up(other, level.price, qty);
                out.push(Outcome::Made { slot: order.slot, price: order.price, qty });
                let resting = &mut self.own[side.index()][0];
                resting.left -= qty;
                if resting.left.is_zero() {
                    self.own[side.index()].remove(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::InstrumentId;
    use crate::unit::Nanos;

    const ME: AccountId = AccountId(0);
    const YOU: AccountId = AccountId(1);

    fn level(price: i64, qty: i64) -> Level {
        Level { price: Ticks(price), qty: Lots(qty) }
    }

    struct Script {
        market: Matching,
        out: Vec<Outcome>,
        seq: u64,
    }

    impl Script {
        fn new(bids: &[Level], asks: &[Level]) -> Self {
            let mut script = Self { market: Matching::new(QueueModel::RiskAverse), out: Vec::new(), seq: 0 };
            script.depth(bids, asks);
            script
        }
        fn depth(&mut self, bids: &[Level], asks: &[Level]) -> Vec<Outcome> {
            self.seq += 1;
            let (first, last, prev) = (Seq(self.seq), Seq(self.seq), Seq(self.seq - 1));
            let update =
                DepthUpdate { instrument: InstrumentId(0), first, last, prev, venue_time: Nanos(0), bids, asks };
            self.market.on_depth(&update, &mut self.out);
            std::mem::take(&mut self.out)
        }
        fn print(&mut self, taker: Side, price: i64, qty: i64) -> Vec<Outcome> {
            let trade = Trade {
                instrument: InstrumentId(0),
                id: 1,
                price: Ticks(price),
                qty: Lots(qty),
                taker,
                aggregate: false,
                venue_time: Nanos(0),
            };
            self.market.on_trade(&trade, &mut self.out);
            std::mem::take(&mut self.out)
        }
        fn take(&mut self, side: Side, limit: i64, qty: i64, mode: SelfTrade) -> (Rest, Vec<Outcome>) {
            let rest = self.market.take(ME, side, Some(Ticks(limit)), Lots(qty), mode, &mut self.out);
            (rest, std::mem::take(&mut self.out))
        }
    }

    fn made(slot: u32, price: i64, qty: i64) -> Outcome {
        Outcome::Made { slot, price: Ticks(price), qty: Lots(qty) }
    }
    fn took(price: i64, qty: i64, maker: Option<u32>) -> Outcome {
        Outcome::Took { price: Ticks(price), qty: Lots(qty), maker }
    }

    #[test]
    fn a_print_fills_us_only_behind_the_queue_and_only_once() {
        let mut s = Script::new(&[level(100, 5)], &[level(101, 5)]);
        s.market.rest(7, ME, Side::Buy, Ticks(100), Lots(2));
        s.market.rest(8, YOU, Side::Buy, Ticks(100), Lots(2));
        assert_eq!(s.print(Side::Sell, 100, 4), []);
        assert_eq!(s.market.ahead(7), Some(Lots(1)));
        assert_eq!(s.print(Side::Sell, 100, 2), [made(7, 100, 1)]);
        assert_eq!(s.print(Side::Sell, 100, 2), [made(7, 100, 1), made(8, 100, 1)]);
        assert_eq!(s.print(Side::Buy, 101, 9), []);
    }

    #[test]
    fn a_print_through_our_price_fills_at_our_price_with_its_quantity() {
        let mut s = Script::new(&[level(100, 50)], &[level(101, 5)]);
        s.market.rest(1, ME, Side::Buy, Ticks(100), Lots(5));
        assert_eq!(s.print(Side::Sell, 99, 3), [made(1, 100, 3)]);
    }

    #[test]
    fn a_touch_at_or_beyond_our_price_fills_us_from_what_it_shows() {
        let mut s = Script::new(&[level(100, 5)], &[level(101, 5)]);
        s.market.rest(1, ME, Side::Buy, Ticks(100), Lots(5));
        assert_eq!(s.depth(&[level(100, 0), level(98, 1)], &[level(99, 2)]), [made(1, 100, 2)]);
        assert_eq!(s.depth(&[], &[level(99, 2)]), [], "depth and best quotes tell a level again; its two are used");
        let again = DepthSnapshot {
            instrument: InstrumentId(0),
            last: Seq(9),
            venue_time: Nanos(0),
            bids: &[level(98, 1)],
            asks: &[level(99, 2)],
        };
        s.market.on_snapshot(&again, &mut s.out);
        assert_eq!(s.out, [], "so does a snapshot");
        assert_eq!(s.depth(&[], &[level(98, 9)]), [made(1, 100, 3)]);
        assert_eq!(s.market.ahead(1), None);
    }

    #[test]
    fn what_a_taker_used_stays_used_and_what_joins_the_level_is_there() {
        let mut s = Script::new(&[], &[level(101, 5), level(102, 5)]);
        assert_eq!(s.take(Side::Buy, 101, 4, SelfTrade::None).1, [took(101, 4, None)]);
        let (rest, out) = s.take(Side::Buy, 102, 4, SelfTrade::None);
        assert_eq!((rest.qty, out), (Lots(0), vec![took(101, 1, None), took(102, 3, None)]));
        assert_eq!(s.market.available(ME, Side::Buy, Ticks(102), Lots(99)), Lots(2));
        let available = |s: &Script| s.market.available(ME, Side::Buy, Ticks(102), Lots(99));
        s.depth(&[], &[level(101, 5)]);
        assert_eq!(available(&s), Lots(2), "told again: the same five, which are ours already");
        s.depth(&[], &[level(101, 3)]);
        assert_eq!(available(&s), Lots(2), "a level of three has none that we did not use");
        s.depth(&[], &[level(101, 4)]);
        assert_eq!(available(&s), Lots(3), "one joined");
        s.depth(&[], &[level(101, 0)]);
        s.depth(&[], &[level(101, 4)]);
        assert_eq!(available(&s), Lots(6), "the level went away: what is there now is new");
    }

    #[test]
    fn a_better_priced_user_order_is_met_before_the_visible_market() {
        let mut s = Script::new(&[], &[level(101, 5)]);
        s.market.rest(3, YOU, Side::Sell, Ticks(100), Lots(2));
        s.market.rest(4, YOU, Side::Sell, Ticks(101), Lots(2));
        let (rest, out) = s.take(Side::Buy, 101, 8, SelfTrade::ExpireMaker);
        assert_eq!(out, [took(100, 2, Some(3)), took(101, 5, None), took(101, 1, Some(4))]);
        assert_eq!(rest.qty, Lots(0));
    }

    #[test]
    fn self_trade_prevention_has_four_modes() {
        for (mode, left, outcome) in [
            (SelfTrade::None, 0, vec![took(100, 2, Some(3)), took(101, 1, None)]),
            (SelfTrade::ExpireTaker, 3, vec![]),
            (SelfTrade::ExpireMaker, 0, vec![Outcome::Prevented { slot: 3 }, took(101, 3, None)]),
            (SelfTrade::ExpireBoth, 3, vec![Outcome::Prevented { slot: 3 }]),
        ] {
            let mut s = Script::new(&[], &[level(101, 5)]);
            s.market.rest(3, ME, Side::Sell, Ticks(100), Lots(2));
            let (rest, out) = s.take(Side::Buy, 101, 3, mode);
            assert_eq!((rest.qty, out), (Lots(left), outcome), "{mode:?}");
            assert_eq!(rest.prevented, left > 0);
        }
    }

    #[test]
    fn a_quote_newer_than_the_depth_knows_the_touch_better() {
        let mut s = Script::new(&[level(100, 5), level(99, 5)], &[level(101, 5)]);
        let quote = BestQuote {
            instrument: InstrumentId(0),
            seq: Seq(9),
            bid: level(99, 4),
            ask: level(100, 1),
            venue_time: Nanos(0),
        };
        s.market.on_quote(&quote, &mut s.out);
        assert_eq!((s.market.best(Side::Buy), s.market.best(Side::Sell)), (Some(level(99, 4)), Some(level(100, 1))));
        s.depth(&[level(100, 5)], &[]);
        assert_eq!(s.market.best(Side::Buy), Some(level(99, 4)), "the older depth frame does not bring 100 back");
    }

    #[test]
    fn aggregates_do_not_print_twice() {
        let mut s = Script::new(&[level(100, 1)], &[]);
        s.market.rest(1, ME, Side::Buy, Ticks(100), Lots(5));
        assert_eq!(s.print(Side::Sell, 100, 2), [made(1, 100, 1)]);
        let again = Trade {
            instrument: InstrumentId(0),
            id: 5,
            price: Ticks(100),
            qty: Lots(2),
            taker: Side::Sell,
            aggregate: true,
            venue_time: Nanos(0),
        };
        s.market.on_trade(&again, &mut s.out);
        assert_eq!(s.out, []);
    }
}
