//! The typed language of the pretend venue: orders, requests, refusals and private events. No JSON, no matching, no state.

pub use crate::sim::reject::Reject;

use crate::event::{PositionSide, Side};
use crate::instrument::InstrumentId;
use crate::unit::{Lots, Money, Nanos, Price, Ticks};
use arrayvec::ArrayString;

/// A client order id as it is on the wire (`^[.A-Z:/a-z0-9_-]{1,36}$`).
pub type ClientOrderId = ArrayString<36>;

/// Index of an account (an API key) of the exchange; in the order in which they were opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct AccountId(pub u8);

/// Kind of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum OrderType {
    /// Has a price.
    #[default]
    Limit,
    /// Takes what is there; what is left expires.
    Market,
    /// The venue's own order that closes a position without margin.
    Liquidation,
}

/// Time in force with everything the venue knows ([`crate::event::TimeInForce`] has what the engine asks for).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Tif {
    /// Good till cancelled.
    #[default]
    Gtc,
    /// Immediate or cancel.
    Ioc,
    /// Fill or kill: all at once or refused.
    Fok,
    /// Post-only: refused if it would take.
    Gtx,
    /// Good till a date, then expires.
    Gtd,
}

/// What happens when an order meets another order of the same account. The taker's mode decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum SelfTrade {
    /// They trade.
    None,
    /// The rest of the incoming order expires.
    ExpireTaker,
    /// The resting order expires, the incoming one goes on.
    #[default]
    ExpireMaker,
    /// Both expire.
    ExpireBoth,
}

/// State of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Status {
    /// Accepted, nothing executed.
    #[default]
    New,
    /// Partly executed and still open.
    PartiallyFilled,
    /// Complete.
    Filled,
    /// Gone by a cancel.
    Canceled,
    /// Gone by the venue's rules.
    Expired,
    /// Gone by self-trade prevention.
    ExpiredInMatch,
}

impl Status {
    /// Still in the book.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

/// What an order event says happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Execution {
    /// Accepted.
    New,
    /// Traded.
    Trade,
    /// Price or quantity changed.
    Amendment,
    /// Cancelled.
    Canceled,
    /// Expired by a rule.
    Expired,
    /// Traded in a liquidation.
    Calculated,
}

/// An order of one account, open or closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// The venue's id; counts up over the exchange.
    pub id: u64,
    /// The client's id.
    pub client_id: ClientOrderId,
    /// Whose it is.
    pub account: AccountId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Which position it works on.
    pub position_side: PositionSide,
    /// Kind.
    pub kind: OrderType,
    /// How long it stays.
    pub tif: Tif,
    /// May only shrink the position, as asked by the client.
    pub reduce_only: bool,
    /// Self-trade prevention.
    pub self_trade: SelfTrade,
    /// State.
    pub status: Status,
    /// Limit price; zero for market orders.
    pub price: Ticks,
    /// Total quantity.
    pub qty: Lots,
    /// Executed so far.
    pub filled: Lots,
    /// Executed value so far.
    pub quote: Money,
    /// When a [`Tif::Gtd`] order expires; zero otherwise.
    pub good_till: Nanos,
    /// Accepted at.
    pub created_at: Nanos,
    /// Last change.
    pub updated_at: Nanos,
    /// How often it was amended.
    pub amends: u32,
}

impl Order {
    /// What is not executed yet.
    #[must_use]
    pub fn remaining(&self) -> Lots {
        self.qty - self.filled
    }

    /// It can only shrink its position: by the client's wish, or because it is the closing side of a hedge position.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.reduce_only || closing_side(self.position_side) == Some(self.side)
    }
}

/// The side that closes a hedge position; `None` for the net position.
#[must_use]
pub const fn closing_side(position: PositionSide) -> Option<Side> {
    match position {
        PositionSide::Net => None,
        PositionSide::Long => Some(Side::Sell),
        PositionSide::Short => Some(Side::Buy),
    }
}

/// A placement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewOrder {
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Empty: the exchange makes one.
    pub client_id: ClientOrderId,
    /// Side.
    pub side: Side,
    /// Which position.
    pub position_side: PositionSide,
    /// Kind; clients place limit and market orders.
    pub kind: OrderType,
    /// How long it stays; ignored for market orders.
    pub tif: Tif,
    /// May only shrink the position.
    pub reduce_only: bool,
    /// Self-trade prevention.
    pub self_trade: SelfTrade,
    /// Limit price; ignored for market orders.
    pub price: Ticks,
    /// Quantity.
    pub qty: Lots,
    /// Only for [`Tif::Gtd`].
    pub good_till: Nanos,
}

impl NewOrder {
    /// A good-till-cancelled limit order of the net position, to be changed with struct update syntax.
    #[must_use]
    pub fn limit(instrument: InstrumentId, side: Side, price: Ticks, qty: Lots) -> Self {
        Self {
            instrument,
            client_id: ClientOrderId::new(),
            side,
            position_side: PositionSide::Net,
            kind: OrderType::Limit,
            tif: Tif::Gtc,
            reduce_only: false,
            self_trade: SelfTrade::ExpireMaker,
            price,
            qty,
            good_till: Nanos::ZERO,
        }
    }

    /// A market order of the net position.
    #[must_use]
    pub fn market(instrument: InstrumentId, side: Side, qty: Lots) -> Self {
        Self { kind: OrderType::Market, ..Self::limit(instrument, side, Ticks::ZERO, qty) }
    }
}

/// Which order is meant. The venue's id wins where a client gives both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderRef {
    /// By the venue's id.
    Id(u64),
    /// By the client's id.
    Client(ClientOrderId),
}

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Place an order.
    Place(NewOrder),
    /// Change price and quantity (the new total); loses the queue place.
    Amend {
        /// Of which instrument.
        instrument: InstrumentId,
        /// Which order.
        order: OrderRef,
        /// Its side, which cannot change.
        side: Side,
        /// New price.
        price: Ticks,
        /// New total quantity.
        qty: Lots,
    },
    /// Cancel one order.
    Cancel {
        /// Of which instrument.
        instrument: InstrumentId,
        /// Which order.
        order: OrderRef,
    },
    /// Cancel all orders of the instrument.
    CancelAll {
        /// Of which instrument.
        instrument: InstrumentId,
    },
    /// Ask for one order, open or closed.
    Query {
        /// Of which instrument.
        instrument: InstrumentId,
        /// Which order.
        order: OrderRef,
    },
    /// Dead-man switch: all orders of the instrument are cancelled when `after` passes without another call; zero disarms.
    Countdown {
        /// Of which instrument.
        instrument: InstrumentId,
        /// How long from now.
        after: Nanos,
    },
    /// Set the leverage.
    Leverage {
        /// Of which instrument.
        instrument: InstrumentId,
        /// 1 to 125.
        leverage: u32,
    },
    /// Set the margin type. Isolated margin is remembered and reported, but reckoned as cross.
    MarginType {
        /// Of which instrument.
        instrument: InstrumentId,
        /// Isolated rather than cross.
        isolated: bool,
    },
    /// Set hedge or one-way mode.
    PositionMode {
        /// Hedge mode.
        hedge: bool,
    },
    /// Set the multi-assets mode; remembered and reported only.
    MultiAssets {
        /// On.
        on: bool,
    },
}

/// What the exchange answers to a request that it carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Response {
    /// The order as it is after the request.
    Order(Order),
    /// Orders cancelled.
    CanceledAll {
        /// How many.
        count: u32,
    },
    /// A setting was made.
    Done,
}

/// One execution of one order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnTrade {
    /// Unique over the exchange.
    pub id: u64,
    /// The order's id.
    pub order_id: u64,
    /// Whose.
    pub account: AccountId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Side of the order.
    pub side: Side,
    /// Which position.
    pub position_side: PositionSide,
    /// Price; off the grid only in a liquidation at the mark price.
    pub price: Price,
    /// Quantity.
    pub qty: Lots,
    /// Value.
    pub quote: Money,
    /// Fee paid; negative is a rebate.
    pub fee: Money,
    /// Profit that the closed part of the position made, without fees.
    pub realized: Money,
    /// The order was the maker.
    pub maker: bool,
    /// When.
    pub time: Nanos,
}

/// Why the account changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountReason {
    /// A trade.
    Order,
    /// Funding.
    Funding,
    /// Money was put in.
    Deposit,
    /// The insurance fund paid what a liquidation left negative.
    Insurance,
    /// The margin type was changed.
    MarginType,
}

/// A position as the account sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PositionReport {
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Which one.
    pub side: PositionSide,
    /// Signed quantity.
    pub qty: Lots,
    /// Average entry price, zero when flat.
    pub entry: Price,
    /// Profit realised by it so far, without fees.
    pub realized: Money,
    /// At the mark price.
    pub unrealized: Money,
    /// Isolated margin type.
    pub isolated: bool,
}

/// What the private stream of an account tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrivateEvent {
    /// An order changed (`ORDER_TRADE_UPDATE`, and `TRADE_LITE` for trades).
    Order {
        /// How.
        execution: Execution,
        /// The order after it.
        order: Order,
        /// The trade, if it was one.
        trade: Option<OwnTrade>,
    },
    /// Balance and at most one position changed (`ACCOUNT_UPDATE`).
    Account {
        /// Why.
        reason: AccountReason,
        /// Wallet balance after it.
        wallet: Money,
        /// By how much the balance changed other than by trades and fees.
        change: Money,
        /// The position that changed.
        position: Option<PositionReport>,
    },
    /// Leverage was set (`ACCOUNT_CONFIG_UPDATE`).
    Leverage {
        /// Of which instrument.
        instrument: InstrumentId,
        /// The multiple.
        leverage: u32,
    },
    /// Multi-assets mode was set (`ACCOUNT_CONFIG_UPDATE`).
    MultiAssets {
        /// On.
        on: bool,
    },
    /// The margin is thin (`MARGIN_CALL`): the position that needs most of it.
    MarginCall {
        /// Wallet balance.
        wallet: Money,
        /// The position.
        position: PositionReport,
        /// Mark price.
        mark: Price,
        /// Maintenance margin of the position.
        maintenance: Money,
    },
}

/// A private event with its addressee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notice {
    /// To whom.
    pub account: AccountId,
    /// When it happened.
    pub time: Nanos,
    /// What.
    pub event: PrivateEvent,
}
