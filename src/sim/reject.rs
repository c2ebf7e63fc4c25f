//! Why the pretend venue refuses a request, with the venue's numbers and texts.

use crate::unit::Money;

/// Why a request was refused; [`Reject::code`] is the venue's number, the text its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// No such instrument.
    #[error("Invalid symbol.")]
    UnknownSymbol,
    /// Forced by a fault script.
    #[error("Order would be rejected.")]
    Rejected,
    /// Cancel of an order that is not open.
    #[error("Unknown order sent.")]
    CancelUnknown,
    /// Query or amend of an order that is not known.
    #[error("Order does not exist.")]
    NoSuchOrder,
    /// Not enough free margin.
    #[error("Margin is insufficient.")]
    MarginInsufficient,
    /// Nothing to reduce.
    #[error("ReduceOnly Order is rejected.")]
    ReduceOnly,
    /// Too many open orders.
    #[error("Reach max open order limit.")]
    MaxOpenOrders,
    /// Price of zero or less.
    #[error("Price less than 0.")]
    PriceZero,
    /// Price above the largest.
    #[error("Price greater than max price.")]
    PriceMax,
    /// Price below the smallest.
    #[error("Price less than min price.")]
    PriceMin,
    /// Price off the grid.
    #[error("Price not increased by tick size.")]
    Tick,
    /// Quantity of zero or less.
    #[error("Quantity less than or equal to zero.")]
    QtyZero,
    /// Quantity below the smallest.
    #[error("Quantity less than min quantity.")]
    QtyMin,
    /// Quantity above the largest.
    #[error("Quantity greater than max quantity.")]
    QtyMax,
    /// Quantity off the grid.
    #[error("Quantity not increased by step size.")]
    Lot,
    /// More decimals than the instrument has.
    #[error("Precision is over the maximum defined for this asset.")]
    Precision,
    /// Notional too small.
    #[error("Order's notional must be no smaller than {minimum} (unless you choose reduce only).")]
    Notional {
        /// The smallest one.
        minimum: Money,
    },
    /// Too far from the mark price.
    #[error("The counterparty's best price does not meet the PERCENT_PRICE filter limit.")]
    PercentPrice,
    /// Post-only would take.
    #[error(
        "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be recorded in the order history"
    )]
    PostOnly,
    /// Fill-or-kill cannot be filled.
    #[error(
        "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be recorded in the order history"
    )]
    FillOrKill,
    /// The id is that of an open order.
    #[error("ClientOrderId is duplicated.")]
    DuplicateClientId,
    /// Position side and position mode contradict each other.
    #[error("Order's position side does not match user's setting.")]
    PositionSide,
    /// Reduce-only cannot be set in hedge mode.
    #[error("Parameter 'reduceonly' sent when not required.")]
    ReduceOnlyInHedge,
    /// Only limit orders can be amended.
    #[error("Only limit order is supported.")]
    AmendType,
    /// Amended too often.
    #[error("Exceed maximum modify order limit.")]
    AmendMax,
    /// The amend changes nothing.
    #[error("No need to modify the order.")]
    AmendNothing,
    /// Leverage out of range.
    #[error("Leverage {leverage} is not valid")]
    Leverage {
        /// What was asked for.
        leverage: u32,
    },
    /// The margin type is that already.
    #[error("No need to change margin type.")]
    MarginTypeSame,
    /// Margin type with open orders.
    #[error("Margin type cannot be changed if there exists open orders.")]
    MarginTypeOrders,
    /// Margin type with a position.
    #[error("Margin type cannot be changed if there exists position.")]
    MarginTypePosition,
    /// The position mode is that already.
    #[error("No need to change position side.")]
    PositionModeSame,
    /// Position mode with open orders.
    #[error("Position side cannot be changed if there exists open orders.")]
    PositionModeOrders,
    /// Position mode with a position.
    #[error("Position side cannot be changed if there exists position.")]
    PositionModePosition,
    /// Multi-assets mode is that already.
    #[error("No need to change Multi-Assets Mode.")]
    MultiAssetsSame,
    /// Good-till date too near (the venue wants 600 s).
    #[error("The goodTillDate timestamp must be greater than the current time plus 600 seconds.")]
    GoodTillDate,
}

impl Reject {
    /// The venue's error code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::UnknownSymbol => -1121,
            Self::Rejected => -2010,
            Self::CancelUnknown => -2011,
            Self::NoSuchOrder => -2013,
            Self::MarginInsufficient => -2019,
            Self::ReduceOnly => -2022,
            Self::MaxOpenOrders => -2025,
            Self::PriceZero => -4001,
            Self::PriceMax => -4002,
            Self::QtyZero => -4003,
            Self::QtyMin => -4004,
            Self::QtyMax => -4005,
            Self::PriceMin => -4013,
            Self::Tick => -4014,
            Self::Lot => -4023,
            Self::Precision => -1111,
            Self::Notional { .. } => -4164,
            Self::PercentPrice => -4131,
            Self::PostOnly => -5022,
            Self::FillOrKill => -5021,
            Self::DuplicateClientId => -4116,
            Self::PositionSide => -4061,
            Self::ReduceOnlyInHedge => -1106,
            Self::AmendType => -5025,
            Self::AmendMax => -5026,
            Self::AmendNothing => -5027,
            Self::Leverage { .. } => -4028,
            Self::MarginTypeSame => -4046,
            Self::MarginTypeOrders => -4047,
            Self::MarginTypePosition => -4048,
            Self::PositionModeSame => -4059,
            Self::PositionModeOrders => -4067,
            Self::PositionModePosition => -4068,
            Self::MultiAssetsSame => -4171,
            Self::GoodTillDate => -5040,
        }
    }
}
