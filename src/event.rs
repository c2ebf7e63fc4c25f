//! The vocabulary between the parts: normalised, `Copy` events in and commands out. No venue's words, no behaviour.
//!
//! An [`Event`] is everything that can change what the engine wants; a [`Command`] is everything it can ask for.
//! The journal stores both, so `maker::step` fed with the journalled events must give the journalled commands.

use crate::instrument::InstrumentId;
use crate::unit::{Lots, Money, Nanos, Price, Rate, Seq, Ticks};
use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which side of the book.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Side {
    /// Bid.
    Buy = 0,
    /// Ask.
    Sell = 1,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// +1 for a buy, -1 for a sell: what a fill does to the position.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// Index for two-element arrays: bid 0, ask 1.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Which position of an instrument an order or a fill belongs to: `Net` in one-way mode, else the long or the short one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum PositionSide {
    /// One-way mode (Binance `BOTH`).
    #[default]
    Net = 0,
    /// The long position of hedge mode.
    Long = 1,
    /// The short position of hedge mode.
    Short = 2,
}

/// One absolute price level; `qty` zero deletes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Level {
    /// Price.
    pub price: Ticks,
    /// Total quantity at the price, not a difference.
    pub qty: Lots,
}

/// A change of the book, levels absolute, in the venue's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthUpdate<'a> {
    /// Which book.
    pub instrument: InstrumentId,
    /// First update id in it (Binance `U`).
    pub first: Seq,
    /// Last update id in it (`u`).
    pub last: Seq,
    /// Last update id of the frame before (`pu`).
    pub prev: Seq,
    /// The matching engine's time (`T`).
    pub venue_time: Nanos,
    /// Bid levels.
    pub bids: &'a [Level],
    /// Ask levels.
    pub asks: &'a [Level],
}

/// A whole book; replaces what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthSnapshot<'a> {
    /// Which book.
    pub instrument: InstrumentId,
    /// The update id it is true at.
    pub last: Seq,
    /// The venue's time.
    pub venue_time: Nanos,
    /// Bid levels, best first.
    pub bids: &'a [Level],
    /// Ask levels, best first.
    pub asks: &'a [Level],
}

/// Best bid and ask with their sizes (Binance `bookTicker`); `seq` shares the depth's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestQuote {
    /// Which book.
    pub instrument: InstrumentId,
    /// Update id.
    pub seq: Seq,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
    /// The matching engine's time.
    pub venue_time: Nanos,
}

/// A print. `aggregate` prints (Binance `aggTrade`) may stand for several single ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Which book.
    pub instrument: InstrumentId,
    /// The venue's trade id (for an aggregate: its aggregate id).
    pub id: u64,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub qty: Lots,
    /// The side of the aggressor: `Sell` when the buyer was the maker.
    pub taker: Side,
    /// True for an aggregate print.
    pub aggregate: bool,
    /// The matching engine's time.
    pub venue_time: Nanos,
}

/// Mark and index price with the funding terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkPrice {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Mark price.
    pub mark: Price,
    /// Index price.
    pub index: Price,
    /// The funding rate that will be charged at `next_funding`, for one interval.
    pub funding_rate: Rate,
    /// When funding is charged next.
    pub next_funding: Nanos,
    /// The venue's time.
    pub venue_time: Nanos,
}

/// What became of a connection. The engine makes these; `maker` withdraws quotes on anything that is not `Up`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum LinkState {
    /// Established; its data follows from here on, with a gap before it.
    Up = 0,
    /// Lost or closed.
    Down = 1,
    /// Connected, but silent for longer than the setting allows.
    Stale = 2,
}

/// Which connection a [`LinkState`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Link {
    /// Market data of the instrument.
    Market = 0,
    /// The account's private stream: fills and order events.
    Private = 1,
    /// Order entry.
    OrderEntry = 2,
}

/// Our own order id: `run` names the process run, `seq` counts up in it. Never random, never reused.
/// On the wire it is `<prefix><run in hex>-<seq in hex>`; the prefix tells our orders from everybody else's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[repr(C)]
pub struct ClientId {
    /// The run that made it.
    pub run: u32,
    /// Counts up from 1 in the run.
    pub seq: u32,
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:08x}", self.run, self.seq)
    }
}

/// How long an order stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
#[repr(u8)]
pub enum TimeInForce {
    /// Post-only (Binance `GTX`): refused rather than taking.
    #[default]
    PostOnly = 0,
    /// Good till cancelled; may take.
    Gtc = 1,
    /// Immediate or cancel.
    Ioc = 2,
}

/// What a [`Command`] asks the venue for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum CommandKind {
    /// A new limit order.
    New = 0,
    /// Change price and/or quantity of the live order `client_id` (keeps its id, loses its queue place).
    Amend = 1,
    /// Cancel the order `client_id`.
    Cancel = 2,
    /// Ask for the state of the order `client_id`: its outcome is unknown.
    Query = 3,
    /// Cancel every order of ours on the instrument.
    CancelAll = 4,
    /// Ask for open orders, position and balance: the answer comes as [`OrderEventKind::Open`] and account events
    /// between [`AccountEvent::ReconcileBegin`] and [`AccountEvent::ReconcileEnd`].
    Reconcile = 5,
    /// A market order, reduce-only: the flatten of the kill ladder.
    Market = 6,
    /// Ask for a fresh depth snapshot of the instrument.
    Snapshot = 7,
    /// Ask for the venue's time: the answer comes as [`AccountEvent::VenueClock`].
    SyncTime = 8,
}

/// One message to the venue, gate-checked. For amends `price` and `qty` are the new values, `qty` the new total.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Command {
    /// What is asked.
    pub kind: CommandKind,
    /// Side of the order.
    pub side: Side,
    /// How long it stays.
    pub tif: TimeInForce,
    /// Which position (hedge mode).
    pub position_side: PositionSide,
    /// May only shrink the position.
    pub reduce_only: bool,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Counts the intents on this order: an answer carries it back, so a stale answer cannot overwrite a newer intent.
    pub generation: u32,
    /// Which order.
    pub client_id: ClientId,
    /// Limit price.
    pub price: Ticks,
    /// Total quantity.
    pub qty: Lots,
    /// Step time (`now`) at which it was decided; the stamps of the latency stages start here.
    pub decided_at: Nanos,
}

/// What the venue said of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OrderEventKind {
    /// It rests in the book (new-order ack, or stream `NEW`).
    Accepted = 0,
    /// Price or quantity changed as asked (amend ack, or stream `AMENDMENT`).
    Amended = 1,
    /// A trade: `fill` is set. The order may be complete with it (`filled == qty`).
    Fill = 2,
    /// Gone by cancel.
    Canceled = 3,
    /// Gone by the venue's rules (post-only that would take, self-trade prevention, IOC rest).
    Expired = 4,
    /// A new order was refused: it never existed. `code` says why.
    Rejected = 5,
    /// An amend was refused; the order is as it was, if it still is.
    AmendRejected = 6,
    /// A cancel was refused; on "unknown order" it is gone or never was, so its state must be asked for.
    CancelRejected = 7,
    /// The request may or may not have been carried out (time-out, 503 unknown, connection lost): ask, do not guess.
    Unknown = 8,
    /// Answer to a query: the venue knows no such order.
    NotFound = 9,
    /// Answer to a query or a reconciliation: an open order with these values.
    Open = 10,
    /// Answer to a query: the order is complete, cancelled or expired with `filled` done.
    Closed = 11,
    /// The request was not sent (local rate limit or back-off): nothing happened at the venue.
    NotSent = 12,
}

/// Where an order event came from; the same fact usually arrives from two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OrderSource {
    /// Answer to our request.
    Response = 0,
    /// The private stream.
    Stream = 1,
    /// Answer to a query or a reconciliation.
    Query = 2,
    /// Made by the engine itself (time-out, lost connection, not sent).
    Engine = 3,
}

/// One execution.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Fill {
    /// The venue's trade id: fills are counted once per id and instrument.
    pub trade_id: u64,
    /// Price.
    pub price: Ticks,
    /// Quantity of this execution.
    pub qty: Lots,
    /// Fee paid in the quote asset; negative is a rebate.
    pub fee: Money,
    /// True when the fee is known and in the quote asset (a `TRADE_LITE` event carries none).
    pub fee_known: bool,
    /// We were the maker.
    pub maker: bool,
}

/// One fact about one of our orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct OrderEvent {
    /// What happened.
    pub kind: OrderEventKind,
    /// Where we know it from.
    pub source: OrderSource,
    /// Side of the order.
    pub side: Side,
    /// Which position it belongs to.
    pub position_side: PositionSide,
    /// Time in force (for adopted orders).
    pub tif: TimeInForce,
    /// Only shrinks the position.
    pub reduce_only: bool,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The intent that this answers; 0 where the source cannot tell (stream events).
    pub generation: u32,
    /// The venue's error code for refusals, else 0.
    pub code: i32,
    /// Our id; zero for an order that is not ours (such events only reach `maker` from a reconciliation, to be reported).
    pub client_id: ClientId,
    /// The venue's id, 0 if not known.
    pub venue_id: u64,
    /// Limit price, 0 if not known.
    pub price: Ticks,
    /// Total quantity, 0 if not known.
    pub qty: Lots,
    /// Cumulative executed quantity.
    pub filled: Lots,
    /// The execution, for [`OrderEventKind::Fill`].
    pub fill: Fill,
    /// The venue's time, 0 if not known.
    pub venue_time: Nanos,
}

/// One fact about the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountEvent {
    /// The venue's position of an instrument. `snapshot` when it answers a reconciliation.
    Position {
        /// Which instrument.
        instrument: InstrumentId,
        /// Which position.
        side: PositionSide,
        /// Signed quantity; negative is short.
        qty: Lots,
        /// Average entry price, 0 when flat.
        entry: Price,
        /// Answers a reconciliation, so it is complete as of its time.
        snapshot: bool,
        /// The venue's time of the fact, 0 if not known.
        venue_time: Nanos,
    },
    /// Balance of the quote asset.
    Balance {
        /// Wallet balance.
        wallet: Money,
        /// Free for new orders; equals `wallet` where the source does not say.
        available: Money,
    },
    /// Funding paid (negative) or received.
    Funding {
        /// Which instrument; the venue may not say for cross margin, then it is the only one traded.
        instrument: InstrumentId,
        /// Signed amount.
        amount: Money,
    },
    /// The answer to a reconciliation starts: what follows is everything open.
    ReconcileBegin,
    /// The answer is complete.
    ReconcileEnd,
    /// The reconciliation failed; ask again.
    ReconcileFailed,
    /// Leverage is now this.
    Leverage {
        /// Which instrument.
        instrument: InstrumentId,
        /// The multiple.
        leverage: u32,
    },
    /// Position mode is now this (`true`: hedge).
    PositionMode {
        /// Hedge mode.
        hedge: bool,
    },
    /// The venue warns that margin is thin.
    MarginCall,
    /// The venue's clock was compared with ours.
    VenueClock {
        /// The venue's time minus ours.
        offset: Nanos,
    },
}

/// What a human (or the mapped command page) asks for. The kill ladder, mildest first; then what is no rung of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// Withdraw quotes, keep everything else.
    Pause,
    /// Quote again. The only way back after an automatic kill.
    Resume,
    /// Quote only what shrinks the position.
    ReduceOnly,
    /// Cancel our orders and pause.
    CancelAll,
    /// Cancel our orders, close the position with reduce-only market orders, pause.
    Flatten,
    /// Cancel our orders and end the run.
    Stop,
    /// Multiply every spread of the strategies, before rounding; 100 is their own.
    Widen {
        /// Percent, [`Operator::WIDEN_MIN`] to [`Operator::WIDEN_MAX`].
        percent: u16,
    },
    /// Read the settings again.
    Reload,
}

impl Operator {
    /// The strategy's own spreads: narrower is never.
    pub const WIDEN_MIN: u16 = 100;
    /// A hundred times the strategy's own.
    pub const WIDEN_MAX: u16 = 10_000;

    /// Its number in files; never changes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pause => 1,
            Self::Resume => 2,
            Self::ReduceOnly => 3,
            Self::CancelAll => 4,
            Self::Flatten => 5,
            Self::Stop => 6,
            Self::Widen { .. } => 7,
            Self::Reload => 8,
        }
    }

    /// What stands beside the number: percent of a widening, else 0.
    #[must_use]
    pub const fn argument(self) -> u16 {
        match self {
            Self::Widen { percent } => percent,
            _ => 0,
        }
    }

    /// The command of this number and argument; `None` for a number that no command has, and for a widening that is none.
    #[must_use]
    pub const fn of(code: u8, argument: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Pause,
            2 => Self::Resume,
            3 => Self::ReduceOnly,
            4 => Self::CancelAll,
            5 => Self::Flatten,
            6 => Self::Stop,
            7 if argument >= Self::WIDEN_MIN && argument <= Self::WIDEN_MAX => Self::Widen { percent: argument },
            8 => Self::Reload,
            _ => return None,
        })
    }

    /// How much it takes away: a harder command need not wait for a milder one that nobody has taken.
    #[must_use]
    pub const fn hardness(self) -> u8 {
        match self {
            Self::Resume | Self::Widen { .. } | Self::Reload => 0,
            Self::Pause | Self::ReduceOnly => 1,
            Self::CancelAll => 2,
            Self::Flatten => 3,
            Self::Stop => 4,
        }
    }
}

/// Everything that can change what the engine wants.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Book change.
    Depth(DepthUpdate<'a>),
    /// Whole book.
    Snapshot(DepthSnapshot<'a>),
    /// Best bid and ask.
    Quote(BestQuote),
    /// Print.
    Trade(Trade),
    /// Mark price and funding.
    Mark(MarkPrice),
    /// A polled price (custom API) of the instrument.
    External {
        /// For which instrument it is the reference.
        instrument: InstrumentId,
        /// The price.
        price: Price,
    },
    /// A connection changed state.
    Link {
        /// Which instrument's connection; private and order entry concern all instruments of the account.
        instrument: InstrumentId,
        /// Which connection.
        link: Link,
        /// Its state now.
        state: LinkState,
    },
    /// One of our orders.
    Order(OrderEvent),
    /// The account.
    Account(AccountEvent),
    /// A human.
    Operator(Operator),
    /// The kill flag was seen set.
    Kill,
    /// The engine did not run for this long (the process was stopped, or its thread was stuck): nothing that it knows is certain.
    Lapse {
        /// How long.
        lost: Nanos,
    },
    /// Time passed and nothing else happened.
    Timer,
}

const _: () = {
    assert!(size_of::<Level>() == 16);
    assert!(size_of::<Command>() <= 64, "a command fits a cache line");
    assert!(size_of::<OrderEvent>() <= 192);
};
