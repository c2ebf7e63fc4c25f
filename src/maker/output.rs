//! What a step gives back: commands for the venue, requests about the account, and decisions for the journal; and the status that
//! the counters page shows. Plain values only.

use super::position::Pnl;
use super::risk::{Ladder, Refusal};
use super::strategy::{AccountRequest, Cause, FundingView, Internals, Purpose};
use crate::event::{ClientId, Command, Level, Side};
use crate::instrument::InstrumentId;
use crate::unit::{Lots, Money, Nanos, Price, Seq, Ticks};
use arrayvec::ArrayVec;

/// Most commands of one step. What does not fit stays wished and goes out with the next step.
pub const COMMANDS_MAX: usize = 64;
/// Most decisions of one step. Further ones are counted in [`Output::decisions_lost`].
pub const DECISIONS_MAX: usize = 64;

/// What was decided or noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum DecisionKind {
    /// A new order goes out.
    #[default]
    Placed = 0,
    /// An amend goes out.
    Amended = 1,
    /// A cancel goes out.
    Canceled = 2,
    /// The order stays as it is.
    Kept = 3,
    /// The gate refused; `refusal` says why.
    Refused = 4,
    /// The venue refused; `detail` is its code.
    Rejected = 5,
    /// Quotes are withdrawn; `detail` is the set of [`Blocks`].
    Withdrawn = 6,
    /// Nothing stands in the way of quoting any more.
    Ready = 7,
    /// The outcome of a request is unknown; the order is asked for.
    Unknown = 8,
    /// The venue's position replaced ours; `qty` is the correction, `detail` the [`PositionSide`](crate::event::PositionSide).
    Corrected = 9,
    /// An open order that is not ours was seen; it is left alone. `detail` is the venue's id.
    Foreign = 10,
    /// An open order of ours that we did not hold was found.
    Leftover = 11,
    /// Quoting was killed; `detail` is the [`KillReason`](super::risk::KillReason).
    Killed = 12,
    /// A reconciliation is asked for.
    Reconcile = 13,
    /// The flatten is done.
    Flat = 14,
    /// The flatten gave up: its tries are used up.
    FlattenFailed = 15,
    /// The book lost its sequence; a snapshot is asked for.
    Gap = 16,
    /// An operator spoke; `detail` is the [`Operator`](crate::event::Operator).
    Operator = 17,
    /// The margin ratio crossed a threshold; `level` is the new [`MarginLevel`](super::margin::MarginLevel), `detail` the ratio in
    /// basis points.
    Margin = 18,
}

/// One line of the journal's account of what was done and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Decision {
    /// The price that it was decided on, 0 if none.
    pub reference: Price,
    /// The order, zero if none.
    pub client_id: ClientId,
    /// Limit price, 0 if none.
    pub price: Ticks,
    /// Quantity, 0 if none.
    pub qty: Lots,
    /// A number whose meaning depends on `kind`.
    pub detail: i64,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// What.
    pub kind: DecisionKind,
    /// Why.
    pub cause: Cause,
    /// Side of the order.
    pub side: Side,
    /// Why the order exists.
    pub purpose: Purpose,
    /// Quote level.
    pub level: u8,
    /// The gate's reason.
    pub refusal: Option<Refusal>,
}

const _: () = assert!(size_of::<Decision>() == 64);

impl Decision {
    /// Of the given kind, everything else empty.
    #[must_use]
    pub fn of(kind: DecisionKind, instrument: InstrumentId, cause: Cause) -> Self {
        Self {
            reference: Price::ZERO,
            client_id: ClientId::default(),
            price: Ticks::ZERO,
            qty: Lots::ZERO,
            detail: 0,
            instrument,
            kind,
            cause,
            side: Side::Buy,
            purpose: Purpose::Entry,
            level: 0,
            refusal: None,
        }
    }

    /// The record's bytes, little endian, fields in the order of the struct: 16, 8 (run, seq), 8, 8, 8, 2, then one byte each
    /// for kind, cause, side, purpose, level and refusal (255: none), and 8 zero bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut out = [0; 64];
        out.as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(self.to_words())
            .for_each(|(bytes, word)| *bytes = word.to_le_bytes());
        out
    }

    /// [`Decision::to_bytes`] as the words that the journal stores.
    #[inline]
    #[must_use]
    pub fn to_words(&self) -> [u64; 8] {
        let refusal = self.refusal.map_or(255, |refusal| refusal as u8);
        let [low, high] = self.instrument.0.to_le_bytes();
        let codes =
            [low, high, self.kind as u8, self.cause as u8, self.side as u8, self.purpose as u8, self.level, refusal];
        let reference = self.reference.0.cast_unsigned();
        [
            reference as u64,
            (reference >> 64) as u64,
            u64::from(self.client_id.run) | u64::from(self.client_id.seq) << 32,
            self.price.0.cast_unsigned(),
            self.qty.0.cast_unsigned(),
            self.detail.cast_unsigned(),
            u64::from_le_bytes(codes),
            0,
        ]
    }
}

/// What one step asks for. Cleared at the start of each step.
#[derive(Default)]
pub struct Output {
    /// Messages to the venue, gate-checked, in the order in which to send them.
    pub commands: ArrayVec<Command, COMMANDS_MAX>,
    /// What was decided and why, for the journal.
    pub decisions: ArrayVec<Decision, DECISIONS_MAX>,
    /// Requests of strategies about the account.
    pub account: ArrayVec<(InstrumentId, AccountRequest), 16>,
    /// Decisions of this step that found no room.
    pub decisions_lost: u32,
    /// Losses of sequence, for the journal. A step has one event, so one at most.
    pub gap: Option<Gap>,
}

/// The diffs of an instrument's book do not join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The update id that the next diff should have followed.
    pub expected: Seq,
    /// The one that it followed.
    pub got: Seq,
}

impl Output {
    /// Empties it.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.decisions.clear();
        self.account.clear();
        self.decisions_lost = 0;
        self.gap = None;
    }

    /// Notes a decision.
    #[inline]
    pub fn note(&mut self, decision: Decision) {
        if self.decisions.is_full() {
            self.decisions_lost += 1;
        } else {
            self.decisions.push(decision);
        }
    }
}

/// What stands in the way of quoting: a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Blocks(pub u16);

impl Blocks {
    /// The book is not in sync, crossed, or has an empty side.
    pub const BOOK: u16 = 1;
    /// The market data connection is not up.
    pub const MARKET: u16 = 1 << 1;
    /// No market data for too long.
    pub const STALE: u16 = 1 << 2;
    /// The private stream is not up.
    pub const PRIVATE: u16 = 1 << 3;
    /// Order entry is not up.
    pub const ENTRY: u16 = 1 << 4;
    /// A reconciliation is due or under way.
    pub const RECONCILE: u16 = 1 << 5;
    /// Our figures differ from the venue's.
    pub const MISMATCH: u16 = 1 << 6;
    /// The kill ladder forbids it.
    pub const LADDER: u16 = 1 << 7;
    /// The run ends.
    pub const STOP: u16 = 1 << 8;
    /// The position is being closed.
    pub const FLATTEN: u16 = 1 << 9;
    /// The venue's time is too far from ours, the known difference of the clocks taken off.
    pub const CLOCK: u16 = 1 << 10;
    /// The second price source fails: entries are withdrawn, exits are managed on.
    pub const SOURCE: u16 = 1 << 11;

    /// Adds `bit` if `set`.
    #[must_use]
    pub const fn with(self, bit: u16, set: bool) -> Self {
        if set { Self(self.0 | bit) } else { self }
    }

    /// Has any of `bits`.
    #[must_use]
    pub const fn any(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// Nothing stands in the way.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Things counted since the start, per instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// New orders sent.
    pub new: u64,
    /// Amends sent.
    pub amend: u64,
    /// Cancels sent.
    pub cancel: u64,
    /// Queries sent.
    pub query: u64,
    /// Market orders sent.
    pub market: u64,
    /// Quotes that could stay as they were.
    pub kept: u64,
    /// Refusals by the venue.
    pub rejected: u64,
    /// Refusals by the gate.
    pub refused: u64,
    /// Requests whose outcome was unknown.
    pub unknown: u64,
    /// Executions of buys.
    pub fills_buy: u64,
    /// Executions of sells.
    pub fills_sell: u64,
    /// Executions that came again.
    pub fills_repeated: u64,
    /// Lots bought.
    pub bought: u64,
    /// Lots sold.
    pub sold: u64,
    /// Times the book lost its sequence or contradicted the best quote.
    pub gaps: u64,
    /// Of them, best quotes that contradicted the book.
    pub mismatches: u64,
    /// Book levels dropped because the book was full, or refused for their price.
    pub dropped: u64,
    /// Times the book came back in sync.
    pub resyncs: u64,
    /// Times the book was found crossed.
    pub crossed: u64,
    /// Times quotes were withdrawn.
    pub withdrawn: u64,
    /// Positions corrected by the venue.
    pub corrections: u64,
    /// Open orders of others seen.
    pub foreign: u64,
    /// Own orders found that we did not hold.
    pub leftovers: u64,
    /// Order events that nothing was known of any more.
    pub strays: u64,
}

/// A snapshot of one instrument for the counters page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Step time of the last step.
    pub now: Nanos,
    /// Best bid and ask of the book while it is in sync.
    pub best: [Option<Level>; 2],
    /// Mid price, 0 if none.
    pub mid: Price,
    /// Our best resting quotes: price and quantity not yet executed, bid and ask.
    pub own: [Option<Level>; 2],
    /// Live orders.
    pub live_orders: u32,
    /// Of them, orders whose last request is not answered.
    pub pending_orders: u32,
    /// Net position.
    pub position: Lots,
    /// When the book's data last came, 0 if never.
    pub market_time: Nanos,
    /// The legs of hedge mode.
    pub legs: [Lots; 2],
    /// Average entry price of the net position, 0 when flat.
    pub entry: Price,
    /// The largest position, by size, that live orders could lead to.
    pub worst: Lots,
    /// The positions by [`PositionSide`](crate::event::PositionSide): net, long, short.
    pub held: [Held; 3],
    /// Leverage, 0 while not known.
    pub leverage: u32,
    /// Mark price, 0 if none.
    pub mark: Price,
    /// Funding terms.
    pub funding: Option<FundingView>,
    /// What funding brings in a day at its rate now; negative is paid.
    pub funding_daily: Money,
    /// What the strategy says of itself.
    pub internals: Internals,
    /// The P&L split.
    pub pnl: Pnl,
    /// The kill ladder.
    pub ladder: Ladder,
    /// What stands in the way of quoting.
    pub blocks: Blocks,
    /// Counts.
    pub counters: Counters,
}

/// One position with its margin figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Signed quantity.
    pub qty: Lots,
    /// Average entry price, 0 when flat.
    pub entry: Price,
    /// Approximate liquidation price, 0 when flat or not known.
    pub liquidation: Price,
    /// Unrealised profit at the mark price, else at the mid.
    pub unrealized: Money,
}

/// One of our live orders, for the counters page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderStatus {
    /// Its id.
    pub id: ClientId,
    /// Side.
    pub side: Side,
    /// Why it exists.
    pub purpose: Purpose,
    /// Quote level.
    pub level: u8,
    /// Limit price.
    pub price: Ticks,
    /// What has not executed.
    pub rest: Lots,
    /// When the strategy asked for it.
    pub created_at: Nanos,
    /// At most so much stands before it in its level; `None` while not known.
    pub ahead: Option<Lots>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decisions_bytes_are_its_fields_one_after_the_other() {
        let decision = Decision {
            reference: Price(-(1 << 100) + 7),
            client_id: ClientId { run: 0x0102_0304, seq: 0x0506_0708 },
            price: Ticks(-9),
            qty: Lots(i64::MAX),
            detail: i64::MIN,
            side: Side::Sell,
            purpose: Purpose::Adopted,
            level: 200,
            refusal: Some(Refusal::PriceBand),
            ..Decision::of(DecisionKind::Margin, InstrumentId(0x0a0b), Cause::Reprice)
        };
        let mut plain = Vec::new();
        plain.extend(decision.reference.0.to_le_bytes());
        plain.extend(decision.client_id.run.to_le_bytes());
        plain.extend(decision.client_id.seq.to_le_bytes());
        for word in [decision.price.0, decision.qty.0, decision.detail] {
            plain.extend(word.to_le_bytes());
        }
        plain.extend(decision.instrument.0.to_le_bytes());
        plain.extend([18, 12, 1, 3, 200, Refusal::PriceBand as u8]);
        plain.extend([0; 8]);
        assert_eq!(decision.to_bytes(), plain[..]);
        assert_eq!(Decision { refusal: None, ..decision }.to_bytes()[55], 255);
    }
}
