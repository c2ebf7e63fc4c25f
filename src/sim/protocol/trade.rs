//! Orders in the venue's words: parameters into requests, orders into answers.

use super::params::{ApiError, Params, client_id};
use super::text::{Object, array};
use crate::event::{PositionSide, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::exchange::Exchange;
use crate::sim::order::{
    AccountId, Execution, NewOrder, Order, OrderRef, OrderType, Reject, Request, Response, SelfTrade, Status, Tif,
};
use crate::unit::{Lots, MONEY_PLACES, Money, Nanos, Price, Ticks, pow10};

/// Name of a side.
#[must_use]
pub const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// Name of a position side.
#[must_use]
pub const fn position_side_name(side: PositionSide) -> &'static str {
    match side {
        PositionSide::Net => "BOTH",
        PositionSide::Long => "LONG",
        PositionSide::Short => "SHORT",
    }
}

/// Name of an order type.
#[must_use]
pub const fn type_name(kind: OrderType) -> &'static str {
    match kind {
        OrderType::Limit => "LIMIT",
        OrderType::Market => "MARKET",
        OrderType::Liquidation => "LIQUIDATION",
    }
}

/// Name of a time in force.
#[must_use]
pub const fn tif_name(tif: Tif) -> &'static str {
    match tif {
        Tif::Gtc => "GTC",
        Tif::Ioc => "IOC",
        Tif::Fok => "FOK",
        Tif::Gtx => "GTX",
        Tif::Gtd => "GTD",
    }
}

/// Name of a status.
#[must_use]
pub const fn status_name(status: Status) -> &'static str {
    match status {
        Status::New => "NEW",
        Status::PartiallyFilled => "PARTIALLY_FILLED",
        Status::Filled => "FILLED",
        Status::Canceled => "CANCELED",
        Status::Expired => "EXPIRED",
        Status::ExpiredInMatch => "EXPIRED_IN_MATCH",
    }
}

/// Name of an execution type.
#[must_use]
pub const fn execution_name(execution: Execution) -> &'static str {
    match execution {
        Execution::New => "NEW",
        Execution::Trade => "TRADE",
        Execution::Amendment => "AMENDMENT",
        Execution::Canceled => "CANCELED",
        Execution::Expired => "EXPIRED",
        Execution::Calculated => "CALCULATED",
    }
}

/// Name of a self-trade prevention mode.
#[must_use]
pub const fn self_trade_name(mode: SelfTrade) -> &'static str {
    match mode {
        SelfTrade::None => "NONE",
        SelfTrade::ExpireTaker => "EXPIRE_TAKER",
        SelfTrade::ExpireMaker => "EXPIRE_MAKER",
        SelfTrade::ExpireBoth => "EXPIRE_BOTH",
    }
}

/// Average price of what is executed, zero if nothing is.
#[must_use]
pub fn average(instrument: &Instrument, filled: Lots, quote: Money) -> Price {
    if filled.is_zero() {
        return Price::ZERO;
    }
    let lots = i128::from(filled.0) * i128::from(instrument.lot.mantissa());
    let scale = pow10(instrument.lot.places());
    Price(quote.0 / lots * scale + quote.0 % lots * scale / lots)
}

/// Writes an order as the order endpoints do; `query` adds what only queries show.
pub fn order(out: &mut Vec<u8>, instrument: &Instrument, order: &Order, query: bool) {
    let mut object = Object::new(out);
    object
        .id("orderId", order.id)
        .str("symbol", &instrument.symbol)
        .str("status", status_name(order.status))
        .str("clientOrderId", &order.client_id)
        .price("price", instrument, order.price)
        .real("avgPrice", average(instrument, order.filled, order.quote))
        .qty("origQty", instrument, order.qty)
        .qty("executedQty", instrument, order.filled);
    if !query {
        object.qty("cumQty", instrument, order.filled);
    }
    object
        .money("cumQuote", order.quote)
        .str("timeInForce", tif_name(order.tif))
        .str("type", type_name(order.kind))
        .bool("reduceOnly", order.reduce_only)
        .bool("closePosition", false)
        .str("side", side_name(order.side))
        .str("positionSide", position_side_name(order.position_side))
        .str("stopPrice", "0.00")
        .str("workingType", "CONTRACT_PRICE")
        .bool("priceProtect", false)
        .str("origType", type_name(order.kind))
        .str("priceMatch", "NONE")
        .str("selfTradePreventionMode", self_trade_name(order.self_trade))
        .int("goodTillDate", order.good_till.as_millis());
    if query {
        object.int("time", order.created_at.as_millis());
    }
    object.int("updateTime", order.updated_at.as_millis()).end();
}

/// Reads a placement. The second value says that the client wants the outcome, not only the acknowledgement.
///
/// # Errors
/// A parameter that is missing or wrong.
pub fn new_order(params: &Params, exchange: &Exchange) -> Result<(NewOrder, bool), ApiError> {
    let instrument = params.symbol(exchange)?;
    let contract = exchange.instrument(instrument);
    let side = params.side()?;
    let kind = match params.need("type")? {
        "LIMIT" => OrderType::Limit,
        "MARKET" => OrderType::Market,
        "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET" => {
            let msg = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.";
            return Err(ApiError::new(-4120, msg));
        }
        _ => return Err(ApiError::new(-1116, "Invalid orderType.")),
    };
    let qty = params.qty("quantity", contract)?;
    let price_match = params.find("priceMatch").filter(|m| *m != "NONE");
    let (mut tif, mut price, mut good_till) = (Tif::Gtc, Ticks::ZERO, Nanos::ZERO);
    if kind == OrderType::Limit {
        tif = match params.need("timeInForce")? {
            "GTC" => Tif::Gtc,
            "IOC" => Tif::Ioc,
            "FOK" => Tif::Fok,
            "GTX" | "RPI" => Tif::Gtx,
            "GTD" => Tif::Gtd,
            _ => return Err(ApiError::new(-1115, "Invalid timeInForce.")),
        };
        price = match price_match {
            Some(_) if params.find("price").is_some() => {
                return Err(ApiError::new(-5038, "price and priceMatch cannot be sent together."));
            }
            Some(how) => matched_price(how, side, instrument, exchange)?,
            None => params.price("price", contract)?,
        };
        if tif == Tif::Gtd {
            let millis = params.int("goodTillDate")?.ok_or_else(|| ApiError::missing("goodTillDate"))?;
            let second = millis.checked_div(1000).and_then(|s| s.checked_mul(1_000_000_000));
            good_till = Nanos(second.ok_or_else(|| ApiError::missing("goodTillDate"))?);
        }
    } else if params.find("price").is_some() {
        return Err(ApiError::new(-1106, "Parameter 'price' sent when not required."));
    }
    let self_trade = match params.find("selfTradePreventionMode") {
        None | Some("EXPIRE_MAKER") => SelfTrade::ExpireMaker,
        Some("EXPIRE_TAKER") => SelfTrade::ExpireTaker,
        Some("EXPIRE_BOTH") => SelfTrade::ExpireBoth,
        Some("NONE") => SelfTrade::None,
        Some(_) => return Err(ApiError::new(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")),
    };
    let result = match params.find("newOrderRespType") {
        None | Some("ACK") => false,
        Some("RESULT" | "FULL") => true,
        Some(_) => return Err(ApiError::new(-1122, "Invalid newOrderRespType.")),
    };
    let client_id = params.find("newClientOrderId").map(client_id).transpose()?.unwrap_or_default();
    let reduce_only = params.flag("reduceOnly")?.unwrap_or(false);
    let position_side = params.position_side()?;
    let new = NewOrder {
        instrument,
        client_id,
        side,
        position_side,
        kind,
        tif,
        reduce_only,
        self_trade,
        price,
        qty,
        good_till,
    };
    Ok((new, result))
}

fn matched_price(how: &str, side: Side, id: InstrumentId, exchange: &Exchange) -> Result<Ticks, ApiError> {
    let (name, depth) = how.rsplit_once('_').map_or((how, "1"), |(name, depth)| (name, depth));
    let book_side = match name {
        "OPPONENT" => side.opposite(),
        "QUEUE" => side,
        _ => return Err(ApiError::new(-5037, "Invalid price match")),
    };
    let depth: usize = match depth {
        "1" | "5" | "10" | "20" => depth.parse().expect("one of four numbers"),
        _ => return Err(ApiError::new(-5037, "Invalid price match")),
    };
    let level = exchange.matching(id).levels(book_side).nth(depth - 1);
    level.map(|l| l.price).ok_or_else(|| ApiError::new(-5039, "No depth matches this BBO order"))
}

/// Carries out a placement and writes the answer.
///
/// # Errors
/// A bad parameter or the exchange's refusal.
pub fn place(
    now: Nanos,
    account: AccountId,
    params: &Params,
    exchange: &mut Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let (new, result) = new_order(params, exchange)?;
    let Response::Order(mut placed) = exchange.request(now, account, &Request::Place(new))? else {
        unreachable!("a placement is answered by an order");
    };
    if !result {
        // An acknowledgement tells that it was accepted, not what came of it.
        (placed.status, placed.filled, placed.quote) = (Status::New, Lots::ZERO, Money::ZERO);
    }
    order(out, exchange.instrument(new.instrument), &placed, false);
    Ok(())
}

/// Carries out an amend and writes the answer.
///
/// # Errors
/// As [`place`].
pub fn amend(
    now: Nanos,
    account: AccountId,
    params: &Params,
    exchange: &mut Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let instrument = params.symbol(exchange)?;
    let contract = exchange.instrument(instrument);
    let request = Request::Amend {
        instrument,
        order: params.order()?,
        side: params.side()?,
        price: params.price("price", contract)?,
        qty: params.qty("quantity", contract)?,
    };
    simple(now, account, instrument, &request, exchange, out)
}

/// Carries out a cancel and writes the answer.
///
/// # Errors
/// As [`place`].
pub fn cancel(
    now: Nanos,
    account: AccountId,
    params: &Params,
    exchange: &mut Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let instrument = params.symbol(exchange)?;
    let request = Request::Cancel { instrument, order: params.order()? };
    simple(now, account, instrument, &request, exchange, out)
}

fn simple(
    now: Nanos,
    account: AccountId,
    instrument: InstrumentId,
    request: &Request,
    exchange: &mut Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let Response::Order(done) = exchange.request(now, account, request)? else {
        unreachable!("answered by an order");
    };
    order(out, exchange.instrument(instrument), &done, false);
    Ok(())
}

/// Writes the state of one order; only open ones where `open` says so.
///
/// # Errors
/// No such order.
pub fn query(
    account: AccountId,
    params: &Params,
    exchange: &Exchange,
    open: bool,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let instrument = params.symbol(exchange)?;
    let found = exchange.orders().find(account, instrument, &params.order()?);
    let found = found.filter(|o| !open || o.status.is_open()).ok_or(Reject::NoSuchOrder)?;
    order(out, exchange.instrument(instrument), found, true);
    Ok(())
}

/// Writes the open orders.
///
/// # Errors
/// An unknown symbol.
pub fn open_orders(
    account: AccountId,
    params: &Params,
    exchange: &Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let instrument = params.symbol_if(exchange)?;
    let open = exchange.orders().open(account).filter(|o| instrument.is_none_or(|i| i == o.instrument));
    array(out, open, |out, o| order(out, exchange.instrument(o.instrument), o, true));
    Ok(())
}

/// Writes open and remembered closed orders of an instrument by id.
///
/// # Errors
/// A bad parameter.
pub fn all_orders(account: AccountId, params: &Params, exchange: &Exchange, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let instrument = params.symbol(exchange)?;
    let from = params.int("orderId")?.unwrap_or(0).unsigned_abs();
    let (start, end) = (params.int("startTime")?.unwrap_or(0), params.int("endTime")?.unwrap_or(i64::MAX));
    let limit = usize::try_from(params.int("limit")?.unwrap_or(500).clamp(1, 1000)).expect("at most 1000");
    let wanted =
        |o: &&Order| o.instrument == instrument && o.id >= from && (start..=end).contains(&o.created_at.as_millis());
    let orders = exchange.orders();
    let mut all: Vec<&Order> = orders.closed(account).chain(orders.open(account)).filter(wanted).collect();
    all.sort_by_key(|o| o.id);
    let skip = if from > 0 { 0 } else { all.len().saturating_sub(limit) };
    array(out, all.into_iter().skip(skip).take(limit), |out, o| order(out, exchange.instrument(instrument), o, true));
    Ok(())
}

/// The elements of `batchOrders`, each as the parameters of one request.
///
/// # Errors
/// Not a JSON array of 1 to 5 objects.
pub fn batch(params: &Params) -> Result<Vec<Params>, ApiError> {
    let list: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(params.need("batchOrders")?).map_err(|_| ApiError::missing("batchOrders"))?;
    if list.is_empty() || list.len() > 5 {
        return Err(ApiError::new(-4082, "Invalid number of batch place orders."));
    }
    Ok(list.iter().map(Params::from_json).collect())
}

/// The cancels of a batch: `orderIdList` or `origClientOrderIdList`; ccxt and python-binance write them in lower case.
///
/// # Errors
/// Neither, or not a JSON array of 1 to 10.
pub fn batch_cancels(params: &Params) -> Result<Vec<OrderRef>, ApiError> {
    let ids = if let Some(list) = params.find("orderIdList").or_else(|| params.find("orderidlist")) {
        let ids: Vec<u64> = serde_json::from_str(list).map_err(|_| ApiError::missing("orderIdList"))?;
        ids.into_iter().map(OrderRef::Id).collect::<Vec<_>>()
    } else {
        let list = match params.find("origclientorderidlist") {
            Some(list) => list,
            None => params.need("origClientOrderIdList")?,
        };
        let ids: Vec<String> = serde_json::from_str(list).map_err(|_| ApiError::missing("origClientOrderIdList"))?;
        ids.iter().map(|id| client_id(id).map(OrderRef::Client)).collect::<Result<_, _>>()?
    };
    if ids.is_empty() || ids.len() > 10 {
        return Err(ApiError::new(-4083, "Invalid number of batch cancel orders."));
    }
    Ok(ids)
}

const _: () = assert!(MONEY_PLACES == 18, "average prices are computed at money's scale");
