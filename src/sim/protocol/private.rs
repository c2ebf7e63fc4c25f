//! Frames of the private stream, with the venue's keys in its order.

use super::text::Object;
use super::trade::{
    average, execution_name, position_side_name, self_trade_name, side_name, status_name, tif_name, type_name,
};
use crate::sim::exchange::Exchange;
use crate::sim::order::{
    AccountReason, Execution, Notice, Order, OrderType, OwnTrade, PositionReport, PrivateEvent, Status,
};
use crate::unit::{Lots, Money, Nanos, Price};

/// Writes the frames of a notice, in the order in which the venue sends them; `emit` gets each with its event name.
pub fn frames(notice: &Notice, exchange: &Exchange, sent: Nanos, mut emit: impl FnMut(&'static str, &[u8])) {
    let mut out = Vec::with_capacity(1024);
    match &notice.event {
        PrivateEvent::Order { execution, order, trade } => {
            if let Some(trade) = trade {
                trade_lite(&mut out, exchange, order, trade, sent);
                emit("TRADE_LITE", &out);
                out.clear();
            }
            order_update(&mut out, exchange, *execution, order, trade.as_ref(), sent);
            emit("ORDER_TRADE_UPDATE", &out);
        }
        PrivateEvent::Account { reason, wallet, change, position } => {
            account_update(&mut out, exchange, notice, *reason, *wallet, *change, position.as_ref(), sent);
            emit("ACCOUNT_UPDATE", &out);
        }
        PrivateEvent::Leverage { instrument, leverage } => {
            let mut object = head(&mut out, "ACCOUNT_CONFIG_UPDATE", notice.time, sent);
            let symbol = &exchange.instrument(*instrument).symbol;
            Object::new(object.key("ac")).str("s", symbol).int("l", i64::from(*leverage)).end();
            object.end();
            emit("ACCOUNT_CONFIG_UPDATE", &out);
        }
        PrivateEvent::MultiAssets { on } => {
            let mut object = head(&mut out, "ACCOUNT_CONFIG_UPDATE", notice.time, sent);
            Object::new(object.key("ai")).bool("j", *on).end();
            object.end();
            emit("ACCOUNT_CONFIG_UPDATE", &out);
        }
        PrivateEvent::MarginCall { wallet, position, mark, maintenance } => {
            margin_call(&mut out, exchange, *wallet, position, *mark, *maintenance, sent);
            emit("MARGIN_CALL", &out);
        }
    }
}

/// The frame that tells that a listen key lapsed.
pub fn listen_key_expired(out: &mut Vec<u8>, listen_key: &str, sent: Nanos) {
    Object::new(out).str("e", "listenKeyExpired").int("E", sent.as_millis()).str("listenKey", listen_key).end();
}

fn head<'a>(out: &'a mut Vec<u8>, name: &str, time: Nanos, sent: Nanos) -> Object<'a> {
    let mut object = Object::new(out);
    object.str("e", name).int("T", time.as_millis()).int("E", sent.as_millis());
    object
}

fn trade_lite(out: &mut Vec<u8>, exchange: &Exchange, order: &Order, trade: &OwnTrade, sent: Nanos) {
    let contract = exchange.instrument(order.instrument);
    Object::new(out)
        .str("e", "TRADE_LITE")
        .int("E", sent.as_millis())
        .int("T", trade.time.as_millis())
        .str("s", &contract.symbol)
        .qty("q", contract, order.qty)
        .price("p", contract, order.price)
        .bool("m", trade.maker)
        .str("c", &order.client_id)
        .str("S", side_name(order.side))
        .price("L", contract, contract.floor(trade.price))
        .qty("l", contract, trade.qty)
        .id("t", trade.id)
        .id("i", order.id)
        .end();
}

fn order_update(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    execution: Execution,
    order: &Order,
    trade: Option<&OwnTrade>,
    sent: Nanos,
) {
    let contract = exchange.instrument(order.instrument);
    let mut object = Object::new(out);
    object.str("e", "ORDER_TRADE_UPDATE").int("E", sent.as_millis()).int("T", order.updated_at.as_millis());
    let mut o = Object::new(object.key("o"));
    o.str("s", &contract.symbol)
        .str("c", &order.client_id)
        .str("S", side_name(order.side))
        .str("o", type_name(order.kind))
        .str("f", tif_name(order.tif))
        .qty("q", contract, order.qty)
        .price("p", contract, order.price)
        .real("ap", average(contract, order.filled, order.quote))
        .str("sp", "0")
        .str("x", execution_name(execution))
        .str("X", status_name(order.status))
        .id("i", order.id)
        .qty("l", contract, trade.map_or(Lots::ZERO, |t| t.qty))
        .qty("z", contract, order.filled);
    match trade {
        // A liquidation at the mark price trades off the grid.
        Some(t) if order.kind == OrderType::Liquidation => o.real("L", t.price),
        Some(t) => o.price("L", contract, contract.floor(t.price)),
        None => o.str("L", "0"),
    };
    o.money("n", trade.map_or(Money::ZERO, |t| t.fee));
    match trade {
        Some(_) => o.str("N", &contract.quote),
        None => o.raw("N", "null"),
    };
    let expiry = match (execution, order.status) {
        (Execution::Expired, Status::ExpiredInMatch) => "4",
        (Execution::Expired, _) => "8",
        _ => "0",
    };
    o.int("T", trade.map_or(order.updated_at, |t| t.time).as_millis())
        .id("t", trade.map_or(0, |t| t.id))
        .str("b", "0")
        .str("a", "0")
        .bool("m", trade.is_some_and(|t| t.maker))
        .bool("R", order.reduce_only)
        .str("wt", "CONTRACT_PRICE")
        .str("ot", type_name(order.kind))
        .str("ps", position_side_name(order.position_side))
        .bool("cp", false)
        .money("rp", trade.map_or(Money::ZERO, |t| t.realized))
        .bool("pP", false)
        .int("si", 0)
        .int("ss", 0)
        .str("V", self_trade_name(order.self_trade))
        .str("pm", "NONE")
        .int("gtd", order.good_till.as_millis())
        .str("er", expiry)
        .end();
    object.end();
}

#[allow(clippy::too_many_arguments, reason = "the fields of one frame")]
fn account_update(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    notice: &Notice,
    reason: AccountReason,
    wallet: Money,
    change: Money,
    position: Option<&PositionReport>,
    sent: Nanos,
) {
    let name = match reason {
        AccountReason::Order => "ORDER",
        AccountReason::Funding => "FUNDING_FEE",
        AccountReason::Deposit => "DEPOSIT",
        AccountReason::Insurance => "INSURANCE_CLEAR",
        AccountReason::MarginType => "MARGIN_TYPE_CHANGE",
    };
    let asset = exchange.instrument(position.map(|p| p.instrument).unwrap_or_default()).quote;
    let mut object = Object::new(out);
    object.str("e", "ACCOUNT_UPDATE").int("E", sent.as_millis()).int("T", notice.time.as_millis());
    let mut a = Object::new(object.key("a"));
    a.str("m", name);
    let balances = a.key("B");
    balances.push(b'[');
    Object::new(balances).str("a", &asset).money("wb", wallet).money("cw", wallet).money("bc", change).end();
    balances.push(b']');
    let positions = a.key("P");
    positions.push(b'[');
    if let Some(p) = position {
        let contract = exchange.instrument(p.instrument);
        Object::new(positions)
            .str("s", &contract.symbol)
            .qty("pa", contract, p.qty)
            .real("ep", p.entry)
            .real("bep", p.entry)
            .money("cr", p.realized)
            .money("up", p.unrealized)
            .str("mt", if p.isolated { "isolated" } else { "cross" })
            .str("iw", "0")
            .str("ps", position_side_name(p.side))
            .str("ma", &contract.quote)
            .end();
    }
    positions.push(b']');
    a.end();
    object.end();
}

fn margin_call(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    wallet: Money,
    p: &PositionReport,
    mark: Price,
    maintenance: Money,
    sent: Nanos,
) {
    let contract = exchange.instrument(p.instrument);
    let mut object = Object::new(out);
    object.str("e", "MARGIN_CALL").int("E", sent.as_millis()).money("cw", wallet);
    let positions = object.key("p");
    positions.push(b'[');
    Object::new(positions)
        .str("s", &contract.symbol)
        .str("ps", position_side_name(p.side))
        .qty("pa", contract, p.qty)
        .str("mt", if p.isolated { "ISOLATED" } else { "CROSSED" })
        .str("iw", "0")
        .real("mp", mark)
        .money("up", p.unrealized)
        .money("mm", maintenance)
        .end();
    positions.push(b']');
    object.end();
}
