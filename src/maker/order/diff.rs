//! From a plan to the fewest messages: what stays, what is amended, what goes, what is new. Decides no risk and sends nothing.
//!
//! A cancel and a placement of one kind (side, position, purpose, time in force, reduce-only) belong together: equal price and
//! quantity keep the order and its queue place, otherwise the nearest such order is amended. An order that is already
//! leaving cannot be kept or amended.

use super::table::{Kin, SLOTS, Table};
use crate::event::{ClientId, Side};
use crate::maker::strategy::{Cause, ORDERS_MAX, Plan, Quote};
use crate::unit::{Lots, Nanos};
use arrayvec::ArrayVec;

/// What should become of one order or quote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    /// The order at this place goes.
    Cancel(usize, Cause),
    /// The order at this place already is what is wanted.
    Keep(usize, Quote, Cause),
    /// The order at this place becomes the quote.
    Amend(usize, Quote, Cause),
    /// A new order.
    Place(Quote, Cause),
}

/// Most intents of one plan.
pub const INTENTS_MAX: usize = 2 * ORDERS_MAX;

/// An order that the plan cancels.
#[derive(Clone, Copy)]
struct Order {
    price: i64,
    rest: Lots,
    /// [`MARKET`] for a market order, which nothing can take.
    kin: Kin,
    place: u16,
    cause: Cause,
}

/// The orders that the plan cancels, until a quote takes them.
#[derive(Default)]
struct Leaving {
    orders: ArrayVec<Order, ORDERS_MAX>,
    /// One bit for each that no quote has taken.
    free: u64,
    /// A bit for each price by its last nine bits: a quote whose bit is missing equals none of them.
    prices: [u64; 8],
}

const _: () = assert!(ORDERS_MAX <= u64::BITS as usize, "one bit per order");
const MARKET: Kin = Kin::MAX;

/// Word and bit of a price in [`Leaving::prices`].
const fn price_bit(price: i64) -> (usize, u64) {
    ((price >> 6 & 7) as usize, 1 << (price & 63))
}

impl Leaving {
    fn push(&mut self, order: Order) {
        let (word, bit) = price_bit(order.price);
        self.prices[word] |= bit;
        self.free |= 1 << self.orders.len();
        self.orders.push(order);
    }

    fn take(&mut self, at: usize) -> usize {
        self.free &= !(1 << at);
        usize::from(self.orders[at].place)
    }

    /// The first one that already is what the quote wants.
    #[inline]
    fn same(&self, quote: &Quote) -> Option<usize> {
        // Mostly there is none.
        let (word, bit) = price_bit(quote.price.0);
        if self.prices[word] & bit == 0 {
            return None;
        }
        let wanted = quote.kin();
        self.orders.iter().enumerate().position(|(at, order)| {
            order.price == quote.price.0 && order.rest == quote.qty && order.kin == wanted && self.free & (1 << at) != 0
        })
    }

    /// Those of a kind, one bit for each.
    fn of_kin(&self, wanted: Kin) -> u64 {
        self.orders.iter().enumerate().fold(0, |bits, (at, order)| bits | u64::from(order.kin == wanted) << at)
    }

    /// The free one among `kin` that is nearest in price, the first of equals.
    #[inline]
    fn nearest(&self, quote: &Quote, kin: u64) -> Option<usize> {
        // Distance and place in one number: the smallest is chosen without a jump.
        let (mut left, mut best) = (self.free & kin, u128::MAX);
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let distance = self.orders[at as usize].price.abs_diff(quote.price.0);
            best = best.min(u128::from(distance) << 64 | u128::from(at));
        }
        (best != u128::MAX).then_some(best as u64 as usize)
    }
}

/// Works out the intents of `plan`: cancels first in the plan's order, then the rest in the order of its placements.
/// Without `amend` nothing is amended, but equal quotes are still kept. `out` never holds more than [`INTENTS_MAX`].
pub fn diff(plan: &Plan, table: &Table, amend: bool, out: &mut Vec<Intent>) {
    out.clear();
    let mut leaving = Leaving::default();
    let mut listed = [0_u64; SLOTS / 64];
    for &(id, cause) in &plan.cancel {
        let Some(place) = table.find(id) else { continue };
        let slot = table.at(place);
        let (word, bit) = (&mut listed[place / 64], 1 << (place % 64));
        if slot.state.is_live() && !slot.is_leaving() && *word & bit == 0 {
            *word |= bit;
            let (price, qty) = slot.asked();
            let kin = if slot.market { MARKET } else { slot.kin };
            let rest = qty - (slot.filled - slot.base);
            leaving.push(Order { price: price.0, rest, kin, place: place as u16, cause });
        }
    }
    // Equal quotes first, so that an amend never takes an order that another quote could have kept.
    for &(quote, cause) in &plan.place {
        out.push(match leaving.same(&quote) {
            Some(at) => Intent::Keep(leaving.take(at), quote, cause),
            None => Intent::Place(quote, cause),
        });
    }
    // Quotes of a kind stand together.
    let mut last = None;
    for intent in out.iter_mut().filter(|_| amend) {
        let Intent::Place(quote, cause) = *intent else { continue };
        let wanted = quote.kin();
        let kin = match last {
            Some((known, bits)) if known == wanted => bits,
            _ => leaving.of_kin(wanted),
        };
        last = Some((wanted, kin));
        if let Some(at) = leaving.nearest(&quote, kin) {
            *intent = Intent::Amend(leaving.take(at), quote, cause);
        }
    }
    if leaving.free == 0 {
        return;
    }
    let quotes = out.len();
    let gone = leaving.orders.iter().enumerate().filter(|(at, _)| leaving.free & (1 << at) != 0);
    out.extend(gone.map(|(_, order)| Intent::Cancel(usize::from(order.place), order.cause)));
    if out.len() > quotes {
        out.rotate_left(quotes);
    }
}

/// How many of the plan's quotes are buys, where [`diff`] with amends would make of each live order, in creation order, the quote at its
/// place in the plan, in another price only, and each may be sent at `now` and rests whole: nothing of it has executed, nothing is under way
/// or wished. Buys come first, and the quotes of a side are of a kind. So it is with ladders away from the book that have moved by less than
/// half the distance of their levels or so; `None` may also mean that only [`diff`] knows.
#[inline(always)]
#[must_use]
pub fn moves_all(plan: &Plan, table: &Table, now: Nanos) -> Option<usize> {
    let (live, cancel, place) = (table.live_places(), plan.cancel.as_slice(), plan.place.as_slice());
    if cancel.len() != live.len() || place.len() != live.len() {
        return None;
    }
    let buys = place.partition_point(|(quote, _)| quote.side == Side::Buy);
    let run = |from: usize, to: usize| moves(table, &live[from..to], &cancel[from..to], &place[from..to], now);
    (run(0, buys) && run(buys, live.len())).then_some(buys)
}

/// [`moves_all`] of one side.
#[inline(always)]
fn moves(table: &Table, live: &[u16], cancel: &[(ClientId, Cause)], place: &[(Quote, Cause)], now: Nanos) -> bool {
    let Some((first, _)) = place.first() else { return true };
    let (kin, side) = (first.kin(), first.side.sign());
    // Before the first order and quote: as far ahead as there is.
    let (mut prices, mut order, mut before) = (0, LAST * side, LAST * side);
    for ((&at, (id, _)), (quote, _)) in live.iter().zip(cancel).zip(place) {
        let slot = table.at(at.into());
        let (rests, wanted) = (slot.price.0, quote.price.0);
        let same = slot.id == *id && slot.kin == kin && quote.kin() == kin && slot.qty == quote.qty;
        if !same || !slot.rests_whole() || now < slot.not_before || rests == wanted {
            return false;
        }
        // Strictly behind the order before, the quote too: it equals none of them. And the quote before is not nearer to this order than
        // to its own, so to none behind it either.
        let ahead = |price: i64| price.wrapping_sub(order).wrapping_mul(side);
        let middle = before.wrapping_sub(order).wrapping_add(before.wrapping_sub(rests)).wrapping_mul(side);
        if ahead(rests) >= 0 || ahead(wanted) >= 0 || middle < 0 {
            return false;
        }
        prices |= rests | wanted;
        (order, before) = (rests, wanted);
    }
    // So small and positive that the sums above were exact.
    prices.cast_unsigned() < LAST.cast_unsigned()
}

/// Beyond all prices of [`moves`].
const LAST: i64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PositionSide, TimeInForce};
    use crate::maker::order::{Input, Slot};
    use crate::maker::strategy::Purpose;
    use crate::unit::Ticks;
    use proptest::prelude::*;

    fn quote(side: Side, price: i64, qty: i64) -> Quote {
        Quote {
            side,
            position_side: PositionSide::Net,
            purpose: Purpose::Entry,
            level: 0,
            price: Ticks(price),
            qty: Lots(qty),
            tif: TimeInForce::PostOnly,
            reduce_only: false,
        }
    }

    fn table(orders: &[(Side, i64, i64)]) -> Table {
        let mut table = Table::new(Nanos(0));
        for (at, &(side, price, qty)) in orders.iter().enumerate() {
            let id = ClientId { run: 1, seq: at as u32 + 1 };
            let place = table.open(id, &quote(side, price, qty), false, Nanos(0));
            table.at_mut(place).on(Input::Accepted, Nanos(0));
        }
        table
    }

    /// Intents as text: order by seq, quotes by price.
    fn run(table: &Table, cancel: &[u32], place: &[Quote], amend: bool) -> Vec<String> {
        let mut plan = Plan::default();
        plan.cancel.extend(cancel.iter().map(|&seq| (ClientId { run: 1, seq }, Cause::Refresh)));
        plan.place.extend(place.iter().map(|&quote| (quote, Cause::Refresh)));
        let mut out = Vec::new();
        diff(&plan, table, amend, &mut out);
        let seq = |place: usize| table.at(place).id.seq;
        out.iter()
            .map(|intent| match *intent {
                Intent::Cancel(p, _) => format!("cancel {}", seq(p)),
                Intent::Keep(p, ..) => format!("keep {}", seq(p)),
                Intent::Amend(p, q, _) => format!("amend {} to {}", seq(p), q.price.0),
                Intent::Place(q, _) => format!("place {}", q.price.0),
            })
            .collect()
    }

    #[test]
    fn the_fewest_messages() {
        use Side::{Buy, Sell};
        let t = table(&[(Buy, 100, 5), (Buy, 98, 5), (Sell, 110, 5)]);
        type Case<'a> = (&'a [u32], &'a [Quote], bool, &'a [&'a str]);
        let cases: [Case<'_>; 8] = [
            (&[1], &[], true, &["cancel 1"]),
            (&[], &[quote(Buy, 97, 5)], true, &["place 97"]),
            (&[1], &[quote(Buy, 100, 5)], true, &["keep 1"]),
            (&[1], &[quote(Buy, 100, 5)], false, &["keep 1"]),
            (&[1], &[quote(Buy, 100, 6)], true, &["amend 1 to 100"]),
            (&[1, 2], &[quote(Buy, 97, 5), quote(Buy, 100, 5)], true, &["amend 2 to 97", "keep 1"]),
            (&[1, 3, 3], &[quote(Sell, 111, 5)], true, &["cancel 1", "amend 3 to 111"]),
            (&[3, 9], &[quote(Sell, 111, 5)], false, &["cancel 3", "place 111"]),
        ];
        for (cancel, place, amend, expected) in cases {
            assert_eq!(run(&t, cancel, place, amend), expected, "cancel {cancel:?} place {place:?}");
        }
    }

    #[test]
    fn another_kind_is_not_amended_and_a_leaving_order_not_touched() {
        let mut t = table(&[(Side::Buy, 100, 5), (Side::Buy, 99, 5)]);
        let exit = Quote { purpose: Purpose::TakeProfit, ..quote(Side::Buy, 100, 5) };
        assert_eq!(run(&t, &[1], &[exit], true), ["cancel 1", "place 100"]);
        let reduce = Quote { reduce_only: true, ..quote(Side::Buy, 100, 5) };
        assert_eq!(run(&t, &[1], &[reduce], true), ["cancel 1", "place 100"]);
        let place = t.find(ClientId { run: 1, seq: 2 }).unwrap();
        t.at_mut(place).wish_cancel(Nanos(1), Cause::Refresh);
        assert_eq!(run(&t, &[2], &[quote(Side::Buy, 98, 5)], true), ["place 98"]);
    }

    /// The plain form: every pair is compared on the slots themselves.
    fn naive(plan: &Plan, table: &Table, amend: bool) -> Vec<Intent> {
        let is_kin = |slot: &Slot, quote: &Quote| {
            !slot.market
                && (slot.side, slot.position_side, slot.purpose, slot.tif, slot.reduce_only)
                    == (quote.side, quote.position_side, quote.purpose, quote.tif, quote.reduce_only)
        };
        let mut leaving: Vec<(usize, Cause)> = Vec::new();
        for &(id, cause) in &plan.cancel {
            let Some(place) = table.find(id) else { continue };
            let slot = table.at(place);
            if slot.state.is_live() && !slot.is_leaving() && !leaving.iter().any(|&(other, _)| other == place) {
                leaving.push((place, cause));
            }
        }
        let mut fate: Vec<Intent> = plan.place.iter().map(|&(quote, cause)| Intent::Place(quote, cause)).collect();
        for intent in &mut fate {
            let Intent::Place(quote, cause) = *intent else { continue };
            let same =
                |slot: &Slot| is_kin(slot, &quote) && slot.own().price == quote.price && slot.rest() == quote.qty;
            if let Some(at) = leaving.iter().position(|&(place, _)| same(table.at(place))) {
                *intent = Intent::Keep(leaving.remove(at).0, quote, cause);
            }
        }
        for intent in fate.iter_mut().filter(|_| amend) {
            let Intent::Place(quote, cause) = *intent else { continue };
            let nearest = leaving
                .iter()
                .enumerate()
                .filter(|&(_, &(place, _))| is_kin(table.at(place), &quote))
                .min_by_key(|&(at, &(place, _))| ((table.at(place).own().price - quote.price).abs(), at));
            if let Some((at, _)) = nearest {
                *intent = Intent::Amend(leaving.remove(at).0, quote, cause);
            }
        }
        let cancels = leaving.into_iter().map(|(place, cause)| Intent::Cancel(place, cause));
        cancels.chain(fate).collect()
    }

    /// What [`moves_all`] says it is: each live order becomes the quote at its place.
    fn all_moved(plan: &Plan, table: &Table) -> Vec<Intent> {
        let places = table.live_places().iter().map(|&place| usize::from(place));
        places.zip(&plan.place).map(|(place, &(quote, cause))| Intent::Amend(place, quote, cause)).collect()
    }

    #[test]
    fn a_ladder_that_moves_a_little_moves_as_a_whole() {
        use Side::{Buy, Sell};
        let t = table(&[(Buy, 100, 5), (Buy, 90, 5), (Sell, 110, 5), (Sell, 120, 5)]);
        let moves = |orders: &[u32], prices: [i64; 4]| {
            let mut plan = Plan::default();
            plan.cancel.extend(orders.iter().map(|&seq| (ClientId { run: 1, seq }, Cause::Refresh)));
            let sides = [Buy, Buy, Sell, Sell];
            plan.place.extend(sides.into_iter().zip(prices).map(|(side, p)| (quote(side, p, 5), Cause::Quote)));
            moves_all(&plan, &t, Nanos(0)).is_some()
        };
        assert!(moves(&[1, 2, 3, 4], [105, 95, 115, 125]));
        assert!(moves(&[1, 2, 3, 4], [95, 85, 105, 115]));
        assert!(!moves(&[1, 2, 3, 4], [94, 84, 104, 114]), "the second order is nearer to the first quote");
        assert!(!moves(&[1, 2, 3, 4], [110, 100, 120, 130]), "an order is kept");
        assert!(!moves(&[1, 2, 3, 4], [105, 90, 115, 125]), "an order is kept");
        assert!(!moves(&[2, 1, 3, 4], [105, 95, 115, 125]), "not in the order of creation");
        assert!(!moves(&[1, 2, 3], [105, 95, 115, 125]));
    }

    fn some_quote() -> impl Strategy<Value = Quote> {
        let purposes = prop::sample::select(vec![Purpose::Entry, Purpose::TakeProfit]);
        let legs = prop::sample::select(vec![PositionSide::Net, PositionSide::Long]);
        (any::<bool>(), 95_i64..105, 1_i64..3, purposes, legs, any::<[bool; 2]>()).prop_map(
            |(buy, price, qty, purpose, position_side, [gtc, reduce_only])| Quote {
                purpose,
                position_side,
                reduce_only,
                tif: if gtc { TimeInForce::Gtc } else { TimeInForce::PostOnly },
                ..quote(if buy { Side::Buy } else { Side::Sell }, price, qty)
            },
        )
    }

    proptest! {
        /// Ladders that move.
        #[test]
        fn a_moved_ladder_is_amended_as_by_comparing_every_pair(
            gaps in prop::collection::vec([1_i64..9, 1_i64..9], 1..7),
            moves in prop::collection::vec(-6_i64..6, 14),
            buys_only: bool,
        ) {
            let ladder = |move_of: &dyn Fn(usize) -> i64| {
                let sides = if buys_only { &[Side::Buy][..] } else { &[Side::Buy, Side::Sell] };
                let side = |&side: &Side| {
                    let mut price = 1_000;
                    let level = |gap: &[i64; 2]| { price -= side.sign() * gap[side.index()]; quote(side, price, 1) };
                    gaps.iter().map(level).collect::<Vec<_>>()
                };
                let moved = |(at, quote): (usize, Quote)| Quote { price: quote.price + Ticks(move_of(at)), ..quote };
                sides.iter().flat_map(side).enumerate().map(moved).collect::<Vec<_>>()
            };
            let mut table = Table::new(Nanos(0));
            let mut plan = Plan::default();
            for (at, order) in ladder(&|_| 0).iter().enumerate() {
                let id = ClientId { run: 1, seq: at as u32 + 1 };
                let place = table.open(id, order, false, Nanos(0));
                table.at_mut(place).on(Input::Accepted, Nanos(0));
                plan.cancel.push((id, Cause::Refresh));
            }
            for all_alike in [true, false] {
                plan.place.clear();
                let quotes = ladder(&|at| if all_alike { moves[0] } else { moves[at % moves.len()] });
                plan.place.extend(quotes.into_iter().map(|quote| (quote, Cause::Quote)));
                let mut out = Vec::new();
                diff(&plan, &table, true, &mut out);
                prop_assert!(moves_all(&plan, &table, Nanos(0)).is_none() || out == all_moved(&plan, &table));
                prop_assert_eq!(out, naive(&plan, &table, true));
            }
        }

        #[test]
        fn the_same_as_comparing_every_pair(
            orders in prop::collection::vec((some_quote(), any::<bool>(), any::<bool>()), 0..12),
            cancel in prop::collection::vec(1_u32..14, 0..14),
            place in prop::collection::vec(some_quote(), 0..12),
            amend: bool,
            all: bool,
        ) {
            let mut table = Table::new(Nanos(0));
            let cancel: Vec<u32> = if all { (1..=orders.len() as u32).collect() } else { cancel };
            for (at, (order, market, leaving)) in orders.iter().enumerate() {
                let id = ClientId { run: 1, seq: at as u32 + 1 };
                let place = table.open(id, order, *market, Nanos(0));
                let slot = table.at_mut(place);
                slot.on(Input::Accepted, Nanos(0));
                if *leaving {
                    slot.wish_cancel(Nanos(0), Cause::Refresh);
                }
            }
            let mut plan = Plan::default();
            plan.cancel.extend(cancel.iter().map(|&seq| (ClientId { run: 1, seq }, Cause::Refresh)));
            plan.place.extend(place.iter().map(|&quote| (quote, Cause::Quote)));
            let mut out = Vec::new();
            diff(&plan, &table, amend, &mut out);
            prop_assert!(out.len() <= INTENTS_MAX);
            prop_assert!(!amend || moves_all(&plan, &table, Nanos(0)).is_none() || out == all_moved(&plan, &table));
            prop_assert_eq!(out, naive(&plan, &table, amend));
        }
    }
}
