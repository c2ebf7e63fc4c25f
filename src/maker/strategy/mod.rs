//! What a strategy sees and what it may ask for. A strategy never sends, never sees a socket and never counts fills.
//!
//! `maker::step` shows a strategy a [`View`] of the world at one moment; the strategy writes into a [`Plan`] which of its
//! live orders should go and which quotes should be placed. `maker::order::diff` turns the plan into the fewest messages
//! (a cancel and a placement of one side become one amend), and `maker::risk` decides whether each may go out.

use crate::config::load::Strategy as Settings;
use crate::event::{ClientId, Level, PositionSide, Side, TimeInForce};
use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, Money, Nanos, Price, Rate, Ticks};
use arrayvec::ArrayVec;

mod exact;
pub mod funding_aware;
mod internals;
pub mod perpetual;
pub mod pmm;

pub use internals::{Internals, Phase, WhyNot};

/// Most own orders that one instrument can have at once, and most placements in one plan.
pub const ORDERS_MAX: usize = 64;

/// The book as a strategy reads it. Bids are walked downwards, asks upwards.
pub trait BookView {
    /// Best level of a side, `None` while the side is empty or the book is not in sync.
    fn best(&self, side: Side) -> Option<Level>;
    /// The next worse level behind `price`.
    fn behind(&self, side: Side, price: Ticks) -> Option<Level>;
    /// The price of the first level at which the quantities from the best one on add up to `qty`; `None` in a thinner book.
    fn reach(&self, side: Side, qty: Lots) -> Option<Ticks> {
        let mut level = self.best(side)?;
        let mut sum = level.qty;
        while sum < qty {
            level = self.behind(side, level.price)?;
            sum += level.qty;
        }
        Some(level.price)
    }
}

/// Why an order exists; kept with it for its whole life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A quote that opens or adds to a position.
    #[default]
    Entry = 0,
    /// Closes a position with profit.
    TakeProfit = 1,
    /// Closes a position with loss.
    StopLoss = 2,
    /// Found at the venue at start and adopted.
    Adopted = 3,
    /// Closes the position on an operator's or a kill's order.
    Flatten = 4,
}

/// One of our live orders: from the moment it was asked for until it is known to be gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnOrder {
    /// Its id.
    pub id: ClientId,
    /// Side.
    pub side: Side,
    /// Which position.
    pub position_side: PositionSide,
    /// Why it exists.
    pub purpose: Purpose,
    /// Quote level, 0 nearest.
    pub level: u8,
    /// Limit price last asked for.
    pub price: Ticks,
    /// Original total quantity; partial fills do not change it.
    pub qty: Lots,
    /// Executed so far.
    pub filled: Lots,
    /// When it was asked for.
    pub created_at: Nanos,
    /// When a cancel was asked for, if one is under way.
    pub cancel_sent: Option<Nanos>,
    /// The venue has confirmed that it rests.
    pub resting: bool,
}

/// One position of the instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PositionView {
    /// Which one.
    pub side: PositionSide,
    /// Signed quantity.
    pub qty: Lots,
    /// Average entry price.
    pub entry: Price,
}

/// Where the strategy's reference price may come from besides its own book. `None` where not configured, not yet known or stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct External {
    /// Best bid of the external market, already truncated to that market's tick.
    pub bid: Option<Price>,
    /// Best ask of the external market, truncated likewise.
    pub ask: Option<Price>,
    /// Last trade of the external market.
    pub last: Option<Price>,
    /// Latest value of the custom price feed.
    pub custom: Option<Price>,
}

/// The funding terms last heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FundingView {
    /// Rate of one interval.
    pub rate: Rate,
    /// When it is charged.
    pub next: Nanos,
    /// Hours of an interval.
    pub interval_hours: u8,
}

/// What the strategy may know at one moment.
pub struct View<'a> {
    /// The engine's clock.
    pub now: Nanos,
    /// The contract.
    pub instrument: &'a Instrument,
    /// Its book.
    pub book: &'a dyn BookView,
    /// The last print.
    pub last_trade: Option<Price>,
    /// The mark price.
    pub mark: Option<Price>,
    /// Funding terms.
    pub funding: Option<FundingView>,
    /// Another market or a polled price.
    pub external: External,
    /// Live orders in creation order.
    pub orders: &'a [OwnOrder],
    /// Positions in the order in which they first appeared.
    pub positions: &'a [PositionView],
    /// Free balance of the quote asset.
    pub available: Money,
    /// Free balance of the base asset; zero where margin is in quote.
    pub available_base: Amount,
    /// Wallet balance of the quote asset.
    pub wallet: Money,
    /// Unrealised profit of all positions at the mark (or mid) price.
    pub unrealized: Money,
    /// Spread multiplier that an operator asked for; [`Rate::ONE`] normally.
    pub widen: Rate,
}

/// An order that the strategy wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Side.
    pub side: Side,
    /// Which position.
    pub position_side: PositionSide,
    /// Why.
    pub purpose: Purpose,
    /// Quote level, 0 nearest.
    pub level: u8,
    /// Limit price, on the grid.
    pub price: Ticks,
    /// Quantity, on the grid.
    pub qty: Lots,
    /// How long it stays.
    pub tif: TimeInForce,
    /// May only shrink the position.
    pub reduce_only: bool,
}

/// Something a strategy asks of the account, not of the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountRequest {
    /// Set the leverage.
    Leverage(u32),
    /// Set the position mode; `true` is hedge.
    PositionMode(bool),
}

/// Why the strategy did what it did, with the numbers it decided on; journalled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Cause {
    /// No cause recorded.
    #[default]
    None = 0,
    /// The refresh time passed and the quotes are outside the tolerance.
    Refresh = 1,
    /// The first quotes, or quotes after a pause.
    Quote = 2,
    /// A quote came closer to the reference than the minimum spread.
    MinimumSpread = 3,
    /// Closing side cleared because a position is open.
    PositionOpened = 4,
    /// Take-profit placed or replaced.
    TakeProfit = 5,
    /// Stop loss triggered or renewed.
    StopLoss = 6,
    /// The market data cannot be trusted.
    Withdraw = 7,
    /// An operator or the kill flag.
    Operator = 8,
    /// A limit of the risk gate.
    Risk = 9,
    /// Clean-up at start or exit.
    Reconcile = 10,
    /// A level's own life ended (age, barrier).
    LevelExpired = 11,
    /// The reference moved and the level should follow.
    Reprice = 12,
}

/// What should change. Orders that it does not mention stay as they are.
#[derive(Default)]
pub struct Plan {
    /// Orders to cancel, in the order in which to do it.
    pub cancel: ArrayVec<(ClientId, Cause), ORDERS_MAX>,
    /// Orders to place, in the order in which to do it. Where a side has both, the diff makes amends of them.
    pub place: ArrayVec<(Quote, Cause), ORDERS_MAX>,
    /// Requests about the account.
    pub account: ArrayVec<AccountRequest, 4>,
    /// The price that the decision was made on, zero if none; journalled.
    pub reference: Price,
}

impl Plan {
    /// Empties it for the next decision.
    pub fn clear(&mut self) {
        self.cancel.clear();
        self.place.clear();
        self.account.clear();
        self.reference = Price::ZERO;
    }
}

/// What happened to the strategy's orders between two decisions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnEvent {
    /// An execution; `complete` when nothing is left of the order.
    Filled {
        /// The order as it is after the fill.
        order: OwnOrder,
        /// Execution price.
        price: Ticks,
        /// Execution quantity.
        qty: Lots,
        /// Nothing is left.
        complete: bool,
    },
    /// Gone without (further) execution: cancelled, expired or refused.
    Gone {
        /// The order as it was.
        order: OwnOrder,
        /// It was refused by the venue.
        rejected: bool,
    },
    /// The venue's answer about the position mode.
    PositionMode {
        /// Hedge mode.
        hedge: bool,
        /// The request succeeded.
        ok: bool,
    },
}

/// How often a strategy decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cadence {
    /// On every market event; a due refresh is one step (cancel and placement together, so that they can be one amend).
    EveryEvent,
    /// On a fixed tick, as the originals: a refresh cancels on one tick and places on a later one.
    Interval(Nanos),
}

/// A market-making strategy: pure, deterministic, no clock, no allocation after construction.
pub trait Strategy: Send {
    /// Once, before the first decision.
    fn start(&mut self, now: Nanos, plan: &mut Plan);
    /// Something happened to its orders or its account settings. `now` is the engine's clock at the event
    /// (in interval cadence the driver passes the time of the last tick, as the originals see it).
    fn on_own(&mut self, now: Nanos, event: &OwnEvent);
    /// Decide. Only called while the book is in sync and links are up, or in tests of the layer itself.
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan);
    /// As [`Strategy::decide`], with the same outcome, where the caller knows that orders and positions are exactly those of the
    /// last decision. A strategy that remembers on what it decided can leave out what would come out the same.
    fn decide_again(&mut self, view: &View<'_>, plan: &mut Plan) {
        self.decide(view, plan);
    }

    /// Whether the last decision asked for nothing, and the next ones would neither, whatever the time, until market, orders, positions or
    /// account have changed: then nobody need ask. Of use on a fixed tick only.
    fn is_settled(&self) -> bool {
        false
    }

    /// Takes over the settings that may change at run time, from their next use on; what they replace goes into `new`. Allocates and
    /// frees nothing. Settings of another strategy are left alone.
    fn reconfigure(&mut self, _new: &mut Settings) {}
    /// The earliest time at which a timer of the strategy makes a decision due; `Nanos::MAX` if none.
    fn next_timer(&self) -> Nanos;
    /// The state behind the quotes, for the status.
    fn internals(&self) -> Internals {
        Internals::default()
    }
}
