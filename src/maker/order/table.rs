//! The slots of one instrument: lookup by client id, creation order, and the strategy's view. Fixed memory.
//!
//! A slot's place is `seq % SLOTS`, so a lookup is one comparison; an id whose place is busy is skipped by [`ClientIds`].
//! Adopted orders of earlier runs take any free place and are searched. A place is free again once its order is done,
//! no execution is outstanding and it was quiet for a while, so that late events still find it.
//!
//! [`ClientIds`]: super::ClientIds

use super::state::{Input, State, Step};
use crate::event::{ClientId, Command, CommandKind, PositionSide, Side, TimeInForce};
use crate::instrument::InstrumentId;
use crate::maker::strategy::{Cause, ORDERS_MAX, OwnOrder, Purpose, Quote};
use crate::unit::{Lots, Nanos, Ticks};
use crate::wire::buf::touched;
use arrayvec::ArrayVec;

/// Places for orders, live and lately done. A power of two.
pub const SLOTS: usize = 256;
const _: () = assert!(SLOTS.is_power_of_two() && SLOTS >= 2 * ORDERS_MAX);

/// What an amend cannot change: side, position, purpose, time in force, reduce-only, in one word. The lowest bit is the side.
pub(super) type Kin = u32;

impl Quote {
    #[inline(always)]
    pub(super) fn kin(&self) -> Kin {
        self.side as u32
            | (self.position_side as u32) << 4
            | (self.purpose as u32) << 8
            | (self.tif as u32) << 16
            | u32::from(self.reduce_only) << 24
    }
}

/// The terms of an amend that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leg {
    /// The intent it was sent as.
    pub generation: u32,
    /// New limit price.
    pub price: Ticks,
    /// New total quantity.
    pub qty: Lots,
}

/// What should happen to an order as soon as it can.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wish {
    /// Nothing.
    #[default]
    None,
    /// It should become this. The newest such wish stands; a wish to cancel is never replaced by it.
    Amend(Quote, Cause),
    /// It should go.
    Cancel(Cause),
}

/// One order. In the order of the fields: a decision looks at the first three cache lines only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(64))]
pub struct Slot {
    /// Its id.
    pub id: ClientId,
    /// Counts our messages about it; answers carry it back.
    pub generation: u32,
    /// What is known of it.
    pub state: State,
    /// A market order.
    pub market: bool,
    /// Side.
    pub side: Side,
    /// Which position.
    pub position_side: PositionSide,
    /// Why it exists.
    pub purpose: Purpose,
    /// Quote level.
    pub level: u8,
    /// How long it stays.
    pub tif: TimeInForce,
    /// May only shrink the position.
    pub reduce_only: bool,
    /// The venue confirmed it.
    pub resting: bool,
    /// The strategy knows its end.
    pub told: bool,
    /// Seen in the reconciliation under way.
    pub seen: bool,
    /// Credible answers "no such order" so far.
    pub misses: u8,
    /// `filled` was taken from `cum` and not from executions, some of which may still come: it follows `cum` from then on.
    pub by_venue: bool,
    /// Of its quote.
    pub(super) kin: Kin,
    /// Limit price as last confirmed (or first asked for).
    pub price: Ticks,
    /// Total quantity as last confirmed (or first asked for).
    pub qty: Lots,
    /// Executed, by executions counted.
    pub filled: Lots,
    /// Executed, by the largest cumulative figure the venue named.
    pub cum: Lots,
    /// `filled` when the strategy last asked for it: an amended order is to the strategy a new one.
    pub base: Lots,
    /// The amend under way: its larger leg counts in the worst case.
    pub leg: Option<Leg>,
    /// What should happen next.
    pub wish: Wish,
    /// Nothing goes out about it before this.
    pub not_before: Nanos,
    /// When the strategy asked for it.
    pub created_at: Nanos,
    /// When the last request about it went out.
    pub sent_at: Nanos,
    /// When a cancel was first wished.
    pub cancel_sent: Option<Nanos>,
    /// When the new order went out.
    pub placed_at: Nanos,
    /// The venue's time of these terms, 0 if not known.
    pub terms_time: Nanos,
    /// Since when `cum` is ahead of `filled`.
    pub behind_since: Option<Nanos>,
    /// Since when its state is unknown.
    pub unknown_at: Nanos,
    /// When the outstanding query was sent.
    pub query_sent: Option<Nanos>,
    /// When it was last heard of once done.
    pub done_at: Nanos,
    /// Its place in the queue, for the status.
    pub queue: Option<Queue>,
}

const _: () = assert!(std::mem::offset_of!(Slot, placed_at) <= 3 * 64);

/// An upper estimate of what stands before an order: what was visible when it was first seen to rest, less what traded there, and
/// never more than is visible. It holds for these terms only: a change of price or quantity is a new place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queue {
    /// Limit price.
    pub price: Ticks,
    /// Total quantity.
    pub qty: Lots,
    /// What stands before it.
    pub ahead: Lots,
}

impl Slot {
    const EMPTY: Self = Self {
        id: ClientId { run: 0, seq: 0 },
        state: State::Done,
        market: false,
        side: Side::Buy,
        position_side: PositionSide::Net,
        purpose: Purpose::Entry,
        level: 0,
        tif: TimeInForce::PostOnly,
        reduce_only: false,
        resting: false,
        told: true,
        seen: false,
        generation: 0,
        price: Ticks(0),
        qty: Lots(0),
        terms_time: Nanos(0),
        leg: None,
        filled: Lots(0),
        cum: Lots(0),
        by_venue: false,
        kin: 0,
        behind_since: None,
        base: Lots(0),
        wish: Wish::None,
        created_at: Nanos(0),
        placed_at: Nanos(0),
        sent_at: Nanos(0),
        not_before: Nanos(0),
        cancel_sent: None,
        unknown_at: Nanos(0),
        query_sent: None,
        misses: 0,
        done_at: Nanos(i64::MIN / 2),
        queue: None,
    };

    /// The quantity that may still execute: the larger leg while an amend is under way, plus executions that the venue
    /// counted and we have not seen.
    #[inline(always)]
    #[must_use]
    pub fn exposure(&self) -> Lots {
        if !self.state.is_live() {
            return Lots((self.cum.0 - self.filled.0).max(0));
        }
        let largest = self.leg.map_or(self.qty, |leg| self.qty.max(leg.qty));
        Lots((largest.max(self.cum) - self.filled).0.max(0))
    }

    /// Can only shrink its position: reduce-only, or closing by its side in hedge mode.
    #[must_use]
    pub fn is_reducing(&self) -> bool {
        is_reducing(self.side, self.position_side, self.reduce_only)
    }

    /// Quantity that the strategy asked for and that has not executed.
    #[must_use]
    pub fn rest(&self) -> Lots {
        self.asked().1 - (self.filled - self.base)
    }

    /// Looks at its level: `visible` stands there now.
    pub fn see_queue(&mut self, visible: Lots) {
        let (price, qty) = (self.price, self.qty);
        let before = self.queue.filter(|queue| (queue.price, queue.qty) == (price, qty));
        let ahead = before.map_or(visible, |queue| queue.ahead.min(visible));
        self.queue = self.resting.then_some(Queue { price, qty, ahead });
    }

    /// A print of `qty` at `price` met its side: what stood before it went first.
    pub fn see_print(&mut self, price: Ticks, qty: Lots) {
        if let Some(queue) = self.queue.as_mut() {
            match (price - queue.price).0 * self.side.sign() {
                0 => queue.ahead = (queue.ahead - qty).max(Lots::ZERO),
                // Through it.
                ..0 => queue.ahead = Lots::ZERO,
                _ => {}
            }
        }
    }

    /// What stands before it, if that is known.
    #[must_use]
    pub fn ahead(&self) -> Option<Lots> {
        let known = self.queue.filter(|queue| (queue.price, queue.qty) == (self.price, self.qty))?;
        Some(if self.filled > self.base { Lots::ZERO } else { known.ahead })
    }

    /// Rests as confirmed: nothing of it has executed, nothing is under way or wished.
    #[inline(always)]
    #[must_use]
    pub fn rests_whole(&self) -> bool {
        let executed = self.filled.0 | self.cum.0 | self.base.0;
        self.state == State::Live
            && !self.market
            && executed == 0
            && self.leg.is_none()
            && matches!(self.wish, Wish::None)
            && !self.is_leaving()
    }

    /// Of an order that [rests whole](Slot::rests_whole): the amend to these terms goes out, and to the strategy it is a new order of this
    /// quote level. What [`Slot::renew`], [`Slot::count_request`] and [`Input::SendAmend`] do one by one.
    #[inline(always)]
    pub fn send_whole(&mut self, price: Ticks, qty: Lots, level: u8, clock: Nanos, now: Nanos) {
        debug_assert!(self.rests_whole() && self.state.on(Input::SendAmend) == Step::To(State::PendingAmend));
        self.level = level;
        self.created_at = clock;
        let generation = self.count_request(now);
        self.leg = Some(Leg { generation, price, qty });
        self.state = State::PendingAmend;
        self.resting = true;
    }

    /// A wish to cancel it exists or is under way.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.cancel_sent.is_some()
    }

    /// Price and quantity that the strategy last asked for.
    #[inline(always)]
    #[must_use]
    pub fn asked(&self) -> (Ticks, Lots) {
        match (&self.wish, &self.leg) {
            (Wish::Amend(quote, _), _) => (quote.price, quote.qty),
            (_, Some(leg)) => (leg.price, leg.qty - self.base),
            _ => (self.price, self.qty - self.base),
        }
    }

    /// As the strategy sees it: price and quantity last asked for, fills since then.
    #[inline]
    #[must_use]
    pub fn own(&self) -> OwnOrder {
        let (price, qty) = self.asked();
        OwnOrder {
            id: self.id,
            side: self.side,
            position_side: self.position_side,
            purpose: self.purpose,
            level: self.level,
            price,
            qty,
            filled: self.filled - self.base,
            created_at: self.created_at,
            cancel_sent: self.cancel_sent,
            resting: self.resting,
        }
    }

    /// To the strategy it is a new order from now on, of this quote level.
    pub fn renew(&mut self, level: u8, now: Nanos) {
        self.base = self.filled;
        self.level = level;
        self.created_at = now;
    }

    /// Wants it gone. True if that is news.
    pub fn wish_cancel(&mut self, now: Nanos, cause: Cause) -> bool {
        if self.is_leaving() || !self.state.is_live() {
            return false;
        }
        self.cancel_sent = Some(now);
        self.wish = Wish::Cancel(cause);
        true
    }

    /// Takes a fact in. True if the state changed.
    ///
    /// # Panics
    /// When `input` is a request of ours that this state forbids: a bug of the caller.
    pub fn on(&mut self, input: Input, now: Nanos) -> bool {
        let mut next = match self.state.on(input) {
            Step::To(next) => next,
            Step::Stay => return false,
            Step::Never => panic!("{:?} on an order that is {:?}", input, self.state),
        };
        if next == State::Live {
            // Back to rest; what exactly rests depends on what is still under way and what was executed.
            next = match (self.leg, self.filled.0) {
                (Some(_), _) => State::PendingAmend,
                (None, 0) => State::Live,
                (None, _) => State::Partial,
            };
        }
        if matches!(next, State::Live | State::Partial | State::PendingAmend) {
            self.resting = true;
            // A cancel that was sent and did not end the order is wished again.
            if self.is_leaving() && !matches!(self.wish, Wish::Cancel(_)) {
                self.wish = Wish::Cancel(Cause::None);
            }
        }
        if next.is_unknown() {
            self.unknown_at = now;
            self.query_sent = None;
            self.misses = 0;
            self.not_before = now;
        }
        if !next.is_live() {
            self.done_at = now;
            self.wish = Wish::None;
            self.leg = None;
        }
        let revived = self.state == State::Presumed && next.is_live();
        self.state = next;
        if revived {
            // Its end was believed and told; nobody counts on it any more.
            self.told = false;
            self.cancel_sent = None;
            self.wish_cancel(now, Cause::Reconcile);
        }
        true
    }

    /// The command that asks for `kind` on this order, to be shown to the gate: nothing is counted.
    #[inline]
    #[must_use]
    pub fn peek(&self, kind: CommandKind, instrument: InstrumentId, now: Nanos) -> Command {
        Command {
            kind,
            side: self.side,
            tif: self.tif,
            position_side: self.position_side,
            reduce_only: self.reduce_only,
            instrument,
            generation: self.generation,
            client_id: self.id,
            price: self.price,
            qty: self.qty,
            decided_at: now,
        }
    }

    /// One more request about it goes out: its generation.
    #[inline]
    pub fn count_request(&mut self, now: Nanos) -> u32 {
        self.generation += 1;
        self.sent_at = now;
        self.generation
    }

    /// As [`Slot::peek`], to be sent: counts the generation up.
    pub fn command(&mut self, kind: CommandKind, instrument: InstrumentId, now: Nanos) -> Command {
        self.count_request(now);
        self.peek(kind, instrument, now)
    }
}

/// Can only shrink its position: reduce-only, or closing by its side in hedge mode.
#[inline(always)]
#[must_use]
pub fn is_reducing(side: Side, position_side: PositionSide, reduce_only: bool) -> bool {
    reduce_only || matches!((side, position_side), (Side::Sell, PositionSide::Long) | (Side::Buy, PositionSide::Short))
}

/// The slots of one instrument.
#[derive(Debug)]
pub struct Table {
    slots: Box<[Slot]>,
    /// Places of live orders in creation order.
    live: ArrayVec<u16, ORDERS_MAX>,
    /// How long a done slot stays findable.
    quiet: Nanos,
    /// Counts up with everything that may have changed a slot or the order of the live ones.
    revision: u64,
}

impl Table {
    /// Empty, all memory taken. `quiet`: how long a done order must not have been heard of before its place is reused.
    #[must_use]
    pub fn new(quiet: Nanos) -> Self {
        Self { slots: touched(Slot::EMPTY, SLOTS), live: ArrayVec::new(), quiet, revision: 1 }
    }

    /// The same number twice means that nothing changed between; never 0.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Live orders in creation order.
    pub fn live(&self) -> impl Iterator<Item = &Slot> {
        self.live.iter().map(|&place| &self.slots[place as usize])
    }

    /// All slots that hold an order, live or lately done.
    pub fn all(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.id.run != 0)
    }

    /// As [`Table::all`], to be changed. States must not change through it.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.revision += 1;
        self.slots.iter_mut().filter(|slot| slot.id.run != 0)
    }

    /// Number of live orders.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// Place of the live order number `at` in creation order.
    #[must_use]
    pub fn live_place(&self, at: usize) -> usize {
        self.live[at] as usize
    }

    /// Places of the live orders in creation order.
    #[inline]
    #[must_use]
    pub fn live_places(&self) -> &[u16] {
        &self.live
    }

    /// The slot at a place.
    #[inline]
    #[must_use]
    pub fn at(&self, place: usize) -> &Slot {
        &self.slots[place]
    }

    /// The slot at a place, to be changed. After a change of state call [`Table::settle`].
    #[inline]
    pub fn at_mut(&mut self, place: usize) -> &mut Slot {
        self.revision += 1;
        &mut self.slots[place]
    }

    /// The slot in a place, for its place in the queue only: no decision depends on that, so the revision stays.
    pub fn queue_mut(&mut self, place: usize) -> &mut Slot {
        &mut self.slots[place]
    }

    /// The place of an order, if it is still known.
    #[must_use]
    pub fn find(&self, id: ClientId) -> Option<usize> {
        let home = home(id);
        if self.slots[home].id == id {
            return Some(home);
        }
        // Only adopted orders live away from home.
        self.slots.iter().position(|slot| slot.purpose == Purpose::Adopted && slot.id == id)
    }

    /// The place of `id` may be taken for a new order.
    #[must_use]
    pub fn is_free(&self, id: ClientId, now: Nanos) -> bool {
        self.is_reusable(home(id), now)
    }

    fn is_reusable(&self, place: usize, now: Nanos) -> bool {
        let slot = &self.slots[place];
        !slot.state.is_live() && slot.cum <= slot.filled && now - slot.done_at >= self.quiet
    }

    /// Room for one more live order.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.live.is_full()
    }

    /// Takes the place of `id` for a new order, pending-new.
    ///
    /// # Panics
    /// When there is no room or the place is not free.
    pub fn open(&mut self, id: ClientId, quote: &Quote, market: bool, now: Nanos) -> usize {
        assert!(self.is_free(id, now), "the place of {id:?} is taken");
        let place = home(id);
        self.revision += 1;
        self.slots[place] = Slot {
            id,
            state: State::PendingNew,
            market,
            side: quote.side,
            position_side: quote.position_side,
            purpose: quote.purpose,
            level: quote.level,
            tif: quote.tif,
            reduce_only: quote.reduce_only,
            kin: quote.kin(),
            told: false,
            price: quote.price,
            qty: quote.qty,
            created_at: now,
            done_at: now,
            ..Slot::EMPTY
        };
        self.live.push(place as u16);
        place
    }

    /// Takes a free place for an order found at the venue, resting. `None` when there is no room.
    pub fn adopt(&mut self, id: ClientId, quote: &Quote, filled: Lots, now: Nanos) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        let place = (0..SLOTS).rev().find(|&place| self.is_reusable(place, now))?;
        self.revision += 1;
        self.slots[place] = Slot {
            id,
            state: if filled.is_zero() { State::Live } else { State::Partial },
            side: quote.side,
            position_side: quote.position_side,
            purpose: Purpose::Adopted,
            tif: quote.tif,
            reduce_only: quote.reduce_only,
            kin: Quote { purpose: Purpose::Adopted, ..*quote }.kin(),
            resting: true,
            told: false,
            seen: true,
            price: quote.price,
            qty: quote.qty,
            filled,
            cum: filled,
            by_venue: true,
            created_at: now,
            done_at: now,
            ..Slot::EMPTY
        };
        self.live.push(place as u16);
        Some(place)
    }

    /// Brings the creation order in line with the state of `place`: an order that ended leaves it, one that came back
    /// joins at the end. Returns false when a revived order finds no room: it is then watched by reconciliation only.
    pub fn settle(&mut self, place: usize) -> bool {
        self.revision += 1;
        let listed = self.live.iter().position(|&other| other as usize == place);
        match (self.slots[place].state.is_live(), listed) {
            (true, None) => self.live.try_push(place as u16).is_ok(),
            (false, Some(at)) => {
                self.live.remove(at);
                true
            }
            _ => true,
        }
    }

    /// Moves amended orders, each named once, to the end of the creation order: to the strategy they are new ones.
    pub fn renew(&mut self, places: &[u16]) {
        self.revision += 1;
        // Mostly all of them, in the order that they have.
        if self.live[..] == *places {
            return;
        }
        let mut renewed: ArrayVec<u16, ORDERS_MAX> = ArrayVec::new();
        renewed.extend(places.iter().copied().filter(|place| self.live.contains(place)));
        self.live.retain(|place| !renewed.contains(place));
        self.live.extend(renewed);
    }

    /// Writes the strategy's view of the live orders, in creation order.
    pub fn view(&self, out: &mut ArrayVec<OwnOrder, ORDERS_MAX>) {
        out.clear();
        out.extend(self.live().map(Slot::own));
    }
}

fn home(id: ClientId) -> usize {
    id.seq as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Nanos = Nanos::from_secs(1);

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

    fn id(seq: u32) -> ClientId {
        ClientId { run: 1, seq }
    }

    #[test]
    fn a_place_is_reused_only_when_done_and_quiet() {
        let mut table = Table::new(QUIET);
        let place = table.open(id(1), &quote(Side::Buy, 100, 5), false, Nanos(0));
        let twin = id(1 + SLOTS as u32);
        assert!(!table.is_free(twin, QUIET * 9));
        table.at_mut(place).on(Input::Gone, QUIET);
        table.settle(place);
        assert_eq!(table.live_count(), 0);
        assert!(!table.is_free(twin, QUIET));
        assert_eq!(table.find(id(1)), Some(place), "late events still find it");
        assert!(table.is_free(twin, QUIET * 2));
        table.at_mut(place).cum = Lots(5);
        assert!(!table.is_free(twin, QUIET * 2), "executions are outstanding");
    }

    #[test]
    fn an_amended_order_is_a_new_one_to_the_strategy() {
        let mut table = Table::new(QUIET);
        let a = table.open(id(1), &quote(Side::Buy, 100, 5), false, Nanos(0));
        table.open(id(2), &quote(Side::Buy, 99, 5), false, Nanos(0));
        let slot = table.at_mut(a);
        slot.on(Input::Accepted, Nanos(1));
        slot.filled = Lots(2);
        slot.on(Input::PartFill, Nanos(1));
        slot.base = slot.filled;
        slot.leg = Some(Leg { generation: 2, price: Ticks(101), qty: Lots(7) });
        slot.on(Input::SendAmend, Nanos(1));
        assert_eq!(slot.exposure(), Lots(5), "the larger leg");
        table.renew(&[a as u16]);
        let mut view = ArrayVec::new();
        table.view(&mut view);
        let seen: Vec<_> = view.iter().map(|o| (o.id.seq, o.price.0, o.qty.0, o.filled.0)).collect();
        assert_eq!(seen, [(2, 99, 5, 0), (1, 101, 5, 0)]);
    }
}
