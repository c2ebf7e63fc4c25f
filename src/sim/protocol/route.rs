//! What can be asked: paths and methods, what each must show, and its weight.

use super::Rest;
use super::params::{ApiError, Params};

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs, reason = "named after the endpoints")]
pub enum Op {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    PremiumIndex,
    FundingRate,
    FundingInfo,
    BookTicker,
    TickerPrice,
    TickerDay,
    Trades,
    AggTrades,
    Klines,
    LeverageBracket,
    CommissionRate,
    Account { v3: bool },
    AccountConfig,
    SymbolConfig,
    Balance,
    PositionRisk { v3: bool },
    PositionMode,
    SetPositionMode,
    MultiAssets,
    SetMultiAssets,
    SetMarginType,
    SetLeverage,
    StartListening,
    ExtendListening,
    StopListening,
    Place,
    TestOrder,
    Amend,
    Cancel,
    QueryOrder,
    BatchPlace,
    BatchAmend,
    BatchCancel,
    OpenOrder,
    OpenOrders,
    AllOrders,
    CancelAll,
    Countdown,
    UserTrades,
    Income,
}

impl Op {
    /// It could have placed, changed or cancelled an order.
    #[must_use]
    pub const fn is_order(self) -> bool {
        matches!(
            self,
            Self::Place
                | Self::Amend
                | Self::Cancel
                | Self::BatchPlace
                | Self::BatchAmend
                | Self::BatchCancel
                | Self::CancelAll
        )
    }

    /// It places orders.
    #[must_use]
    pub const fn places(self) -> bool {
        matches!(self, Self::Place | Self::BatchPlace)
    }
}

/// What a request must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// Nothing.
    Public,
    /// An API key.
    Key,
    /// A key and a signature.
    Signed,
}

/// A row of [`ROUTES`].
pub(super) type Route = (&'static str, &'static str, Op, Security, u32);

/// Method, path below `/fapi`, what it is, what it must show, its weight (venue's tables, 2026).
pub(super) const ROUTES: &[Route] = &[
    ("GET", "/v1/ping", Op::Ping, Security::Public, 1),
    ("GET", "/v1/time", Op::Time, Security::Public, 1),
    ("GET", "/v1/exchangeInfo", Op::ExchangeInfo, Security::Public, 1),
    ("GET", "/v1/depth", Op::Depth, Security::Public, 0),
    ("GET", "/v1/rpiDepth", Op::Depth, Security::Public, 20),
    ("GET", "/v1/premiumIndex", Op::PremiumIndex, Security::Public, 1),
    ("GET", "/v1/fundingRate", Op::FundingRate, Security::Public, 1),
    ("GET", "/v1/fundingInfo", Op::FundingInfo, Security::Public, 1),
    ("GET", "/v1/ticker/bookTicker", Op::BookTicker, Security::Public, 2),
    ("GET", "/v1/ticker/price", Op::TickerPrice, Security::Public, 1),
    ("GET", "/v2/ticker/price", Op::TickerPrice, Security::Public, 1),
    ("GET", "/v1/ticker/24hr", Op::TickerDay, Security::Public, 1),
    ("GET", "/v1/trades", Op::Trades, Security::Public, 5),
    ("GET", "/v1/historicalTrades", Op::Trades, Security::Key, 20),
    ("GET", "/v1/aggTrades", Op::AggTrades, Security::Public, 20),
    ("GET", "/v1/klines", Op::Klines, Security::Public, 5),
    ("GET", "/v1/leverageBracket", Op::LeverageBracket, Security::Signed, 1),
    ("GET", "/v1/commissionRate", Op::CommissionRate, Security::Signed, 20),
    ("GET", "/v2/account", Op::Account { v3: false }, Security::Signed, 5),
    ("GET", "/v3/account", Op::Account { v3: true }, Security::Signed, 5),
    ("GET", "/v1/accountConfig", Op::AccountConfig, Security::Signed, 5),
    ("GET", "/v1/symbolConfig", Op::SymbolConfig, Security::Signed, 5),
    ("GET", "/v2/balance", Op::Balance, Security::Signed, 5),
    ("GET", "/v3/balance", Op::Balance, Security::Signed, 5),
    ("GET", "/v2/positionRisk", Op::PositionRisk { v3: false }, Security::Signed, 5),
    ("GET", "/v3/positionRisk", Op::PositionRisk { v3: true }, Security::Signed, 5),
    ("GET", "/v1/positionSide/dual", Op::PositionMode, Security::Signed, 30),
    ("POST", "/v1/positionSide/dual", Op::SetPositionMode, Security::Signed, 1),
    ("GET", "/v1/multiAssetsMargin", Op::MultiAssets, Security::Signed, 30),
    ("POST", "/v1/multiAssetsMargin", Op::SetMultiAssets, Security::Signed, 1),
    ("POST", "/v1/marginType", Op::SetMarginType, Security::Signed, 1),
    ("POST", "/v1/leverage", Op::SetLeverage, Security::Signed, 1),
    ("POST", "/v1/listenKey", Op::StartListening, Security::Key, 1),
    ("PUT", "/v1/listenKey", Op::ExtendListening, Security::Key, 1),
    ("DELETE", "/v1/listenKey", Op::StopListening, Security::Key, 1),
    ("POST", "/v1/order", Op::Place, Security::Signed, 0),
    ("POST", "/v1/order/test", Op::TestOrder, Security::Signed, 0),
    ("PUT", "/v1/order", Op::Amend, Security::Signed, 1),
    ("DELETE", "/v1/order", Op::Cancel, Security::Signed, 1),
    ("GET", "/v1/order", Op::QueryOrder, Security::Signed, 1),
    ("POST", "/v1/batchOrders", Op::BatchPlace, Security::Signed, 5),
    ("PUT", "/v1/batchOrders", Op::BatchAmend, Security::Signed, 5),
    ("DELETE", "/v1/batchOrders", Op::BatchCancel, Security::Signed, 1),
    ("GET", "/v1/openOrder", Op::OpenOrder, Security::Signed, 1),
    ("GET", "/v1/openOrders", Op::OpenOrders, Security::Signed, 1),
    ("GET", "/v1/allOrders", Op::AllOrders, Security::Signed, 5),
    ("DELETE", "/v1/allOpenOrders", Op::CancelAll, Security::Signed, 1),
    ("POST", "/v1/countdownCancelAll", Op::Countdown, Security::Signed, 10),
    ("GET", "/v1/userTrades", Op::UserTrades, Security::Signed, 5),
    ("GET", "/v1/income", Op::Income, Security::Signed, 30),
];

/// WebSocket API methods.
pub(super) const METHODS: &[(&str, Op, Security, u32)] = &[
    ("ping", Op::Ping, Security::Public, 1),
    ("time", Op::Time, Security::Public, 1),
    ("exchangeInfo", Op::ExchangeInfo, Security::Public, 1),
    ("depth", Op::Depth, Security::Public, 0),
    ("ticker.price", Op::TickerPrice, Security::Public, 1),
    ("ticker.book", Op::BookTicker, Security::Public, 2),
    ("order.place", Op::Place, Security::Signed, 0),
    ("order.modify", Op::Amend, Security::Signed, 1),
    ("order.cancel", Op::Cancel, Security::Signed, 1),
    ("order.status", Op::QueryOrder, Security::Signed, 1),
    ("account.position", Op::PositionRisk { v3: false }, Security::Signed, 5),
    ("v2/account.position", Op::PositionRisk { v3: true }, Security::Signed, 5),
    ("account.balance", Op::Balance, Security::Signed, 5),
    ("v2/account.balance", Op::Balance, Security::Signed, 5),
    ("account.status", Op::Account { v3: false }, Security::Signed, 5),
    ("v2/account.status", Op::Account { v3: true }, Security::Signed, 5),
    ("userDataStream.start", Op::StartListening, Security::Key, 5),
    ("userDataStream.ping", Op::ExtendListening, Security::Key, 1),
    ("userDataStream.stop", Op::StopListening, Security::Key, 1),
];

/// The route of a request.
///
/// # Errors
/// 404: no such path or method.
pub(super) fn find_route(rest: &Rest<'_>) -> Result<&'static Route, ApiError> {
    let missing =
        || ApiError::with_status(404, -5000, format!("Path {}, Method {} is invalid", rest.path, rest.method));
    let path = rest.path.strip_prefix("/fapi").ok_or_else(missing)?;
    ROUTES.iter().find(|r| r.0 == rest.method && r.1 == path).ok_or_else(missing)
}

/// Weight that depends on the parameters.
pub(super) fn extra_weight(op: Op, params: &Params) -> u32 {
    match op {
        Op::Depth => match params.find("limit").and_then(|l| l.parse().ok()).unwrap_or(500) {
            0..=50 => 2,
            51..=100 => 5,
            101..=500 => 10,
            _ => 20,
        },
        Op::OpenOrders if params.find("symbol").is_none() => 39,
        Op::PremiumIndex if params.find("symbol").is_none() => 9,
        Op::TickerDay if params.find("symbol").is_none() => 39,
        _ => 0,
    }
}
