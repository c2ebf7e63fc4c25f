//! REST calls as values, and what their answers say. Who sends them, and when, is the engine's business.

use super::answer::{Hint, position_side};
use super::answer::{OrderObject, bare, refusal};
use super::client_id::Prefix;
use super::limits::{Priority, command_weight};
use super::order::{EncodeError, order_params};
use crate::event::{AccountEvent, Command, CommandKind, MarkPrice, OrderEvent, OrderEventKind, OrderSource};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Money, Nanos, Price, Rate};
use serde_json::Value;

/// HTTP method of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

/// One call; `signed` ones get time stamp and signature behind their query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestRequest {
    /// Method.
    pub method: Method,
    /// Path.
    pub path: &'static str,
    /// Parameters without signature.
    pub query: String,
    /// Must be signed.
    pub signed: bool,
    /// What it costs of the address's request weight (notes sections 2, 4 and 6, else the venue's page of the call).
    pub weight: u32,
    /// Whether it may use the end of the weight.
    pub priority: Priority,
}

fn call(method: Method, path: &'static str, query: impl Into<String>, signed: bool) -> RestRequest {
    RestRequest { method, path, query: query.into(), signed, weight: 1, priority: Priority::Urgent }
}

impl RestRequest {
    fn weighs(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    fn can_wait(self) -> Self {
        Self { priority: Priority::Low, ..self }
    }
}

/// Path of the server time, which needs no signature.
pub const TIME_PATH: &str = "/fapi/v1/time";

/// The venue's clock.
#[must_use]
pub fn server_time() -> RestRequest {
    call(Method::Get, TIME_PATH, "", false).can_wait()
}

/// All symbols' terms.
#[must_use]
pub fn exchange_info() -> RestRequest {
    call(Method::Get, "/fapi/v1/exchangeInfo", "", false).can_wait()
}

/// A depth snapshot of 1,000 levels a side (weight 20).
#[must_use]
pub fn depth(symbol: &str) -> RestRequest {
    call(Method::Get, "/fapi/v1/depth", format!("symbol={symbol}&limit=1000"), false).weighs(20).can_wait()
}

/// Makes or prolongs the private stream's key: `Post` makes, `Put` prolongs, `Delete` ends it.
#[must_use]
pub fn listen_key(method: Method) -> RestRequest {
    call(method, "/fapi/v1/listenKey", "", false)
}

/// Open orders of a symbol.
#[must_use]
pub fn open_orders(symbol: &str) -> RestRequest {
    call(Method::Get, "/fapi/v1/openOrders", format!("symbol={symbol}"), true)
}

/// Positions of a symbol.
#[must_use]
pub fn positions(symbol: &str) -> RestRequest {
    call(Method::Get, "/fapi/v3/positionRisk", format!("symbol={symbol}"), true).weighs(5)
}

/// Balances.
#[must_use]
pub fn account() -> RestRequest {
    call(Method::Get, "/fapi/v3/account", "", true).weighs(5)
}

/// Fees of the account on a symbol.
#[must_use]
pub fn commission_rate(symbol: &str) -> RestRequest {
    call(Method::Get, "/fapi/v1/commissionRate", format!("symbol={symbol}"), true).weighs(20).can_wait()
}

/// Sets the leverage.
#[must_use]
pub fn leverage(symbol: &str, leverage: u32) -> RestRequest {
    call(Method::Post, "/fapi/v1/leverage", format!("symbol={symbol}&leverage={leverage}"), true)
}

/// Sets the position mode of the whole account.
#[must_use]
pub fn position_mode(hedge: bool) -> RestRequest {
    call(Method::Post, "/fapi/v1/positionSide/dual", format!("dualSidePosition={hedge}"), true)
}

/// Cancels every open order of a symbol, whoever placed it. No run does this: it is for an account that is in danger as a whole, on the
/// word of its owner.
#[must_use]
pub fn cancel_everything(symbol: &str) -> RestRequest {
    call(Method::Delete, "/fapi/v1/allOpenOrders", format!("symbol={symbol}"), true)
}

/// Mark price and funding of a symbol, as its stream tells them.
#[must_use]
pub fn premium_index(symbol: &str) -> RestRequest {
    call(Method::Get, "/fapi/v1/premiumIndex", format!("symbol={symbol}"), false)
}

/// Arms the dead-man switch: the venue cancels the symbol's orders after `countdown` unless it is called again; zero disarms.
/// It concerns every order of the symbol on the account, so it is only for accounts that the engine has to itself.
#[must_use]
pub fn dead_man(symbol: &str, countdown: Nanos) -> RestRequest {
    let query = format!("symbol={symbol}&countdownTime={}", countdown.as_millis());
    call(Method::Post, "/fapi/v1/countdownCancelAll", query, true).weighs(10)
}

/// An order command by REST.
///
/// # Errors
/// The command is no request about one order, or cannot be said to this account.
pub fn order(command: &Command, terms: &Instrument, prefix: &Prefix, hedge: bool) -> Result<RestRequest, EncodeError> {
    let method = match command.kind {
        CommandKind::New | CommandKind::Market => Method::Post,
        CommandKind::Amend => Method::Put,
        CommandKind::Cancel => Method::Delete,
        CommandKind::Query => Method::Get,
        CommandKind::CancelAll | CommandKind::Reconcile | CommandKind::Snapshot | CommandKind::SyncTime => {
            return Err(EncodeError::NotAnOrder(command.kind));
        }
    };
    let params: Vec<String> =
        order_params(command, terms, prefix, hedge)?.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(call(method, "/fapi/v1/order", params.join("&"), true).weighs(command_weight(command.kind)))
}

/// The venue's error body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {status}, code {code}: {message}")]
pub struct VenueError {
    /// HTTP status.
    pub status: u16,
    /// The venue's code; 0 if the body has none.
    pub code: i32,
    /// The venue's words.
    pub message: String,
}

/// The body of a successful answer as JSON, or the venue's error.
///
/// # Errors
/// The status is not 2xx, or the body is not JSON.
pub fn body(status: u16, body: &[u8]) -> Result<Value, VenueError> {
    let parsed = serde_json::from_slice::<Value>(body);
    if (200..300).contains(&status) {
        return parsed.map_err(|error| VenueError { status, code: 0, message: format!("not JSON: {error}") });
    }
    let parsed = parsed.unwrap_or(Value::Null);
    let code = parsed["code"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    let text = String::from_utf8_lossy(body);
    let message = parsed["msg"].as_str().map_or_else(|| text.chars().take(200).collect(), str::to_owned);
    Err(VenueError { status, code, message })
}

/// What a REST order answer says.
#[must_use]
pub fn order_event(
    command: &Command,
    terms: &Instrument,
    prefix: &Prefix,
    status: u16,
    text: &[u8],
    retry_after: Option<u32>,
) -> (OrderEvent, Hint) {
    let unknown =
        bare(OrderEventKind::Unknown, OrderSource::Response, command.instrument, command.client_id, command.generation);
    if (200..300).contains(&status) {
        // A success that cannot be read is still a success of unknown content: it is asked for.
        let event = serde_json::from_slice::<OrderObject<'_>>(text).ok().and_then(|order| {
            let kind = order.outcome(command.kind);
            order.event(kind, OrderSource::Response, command.instrument, terms, prefix, command.generation)
        });
        // Of another order than was asked about it says nothing of this one.
        return (event.filter(|event| event.client_id == command.client_id).unwrap_or(unknown), Hint::None);
    }
    let code = body(status, text).err().map_or(0, |error| error.code);
    let retry_after = retry_after.map(|seconds| Nanos::from_secs(i64::from(seconds)));
    let (kind, hint) = refusal(command.kind, status, code, retry_after);
    (OrderEvent { kind, code, ..unknown }, hint)
}

/// The open orders of an answer; those that are not ours have a zero client id.
///
/// # Errors
/// An order cannot be read: then none is believed.
pub fn open_order_events(
    value: &[u8],
    instrument: InstrumentId,
    terms: &Instrument,
    prefix: &Prefix,
) -> Result<Vec<OrderEvent>, String> {
    let orders: Vec<OrderObject<'_>> =
        serde_json::from_slice(value).map_err(|error| format!("open orders: {error}"))?;
    let event = |order: &OrderObject<'_>| {
        order
            .event(OrderEventKind::Open, OrderSource::Query, instrument, terms, prefix, 0)
            .ok_or_else(|| format!("open orders: order {} has numbers off the grid", order.order_id))
    };
    orders.iter().filter(|order| order.symbol == terms.symbol.as_str()).map(event).collect()
}

/// The positions of an answer as snapshot events; a symbol that it leaves out is flat.
///
/// # Errors
/// A position cannot be read.
pub fn position_events(
    value: &Value,
    instrument: InstrumentId,
    terms: &Instrument,
) -> Result<Vec<AccountEvent>, String> {
    let bad = |what: &str| format!("positions: {what} is missing or unreadable");
    let mut events = Vec::new();
    for entry in value.as_array().ok_or_else(|| bad("the list"))? {
        if entry["symbol"] != terms.symbol.as_str() {
            continue;
        }
        let text = |key: &str| entry[key].as_str().ok_or_else(|| bad(key));
        events.push(AccountEvent::Position {
            instrument,
            side: position_side(entry["positionSide"].as_str().unwrap_or("BOTH")),
            qty: Lots(terms.lot.parse_count(text("positionAmt")?.as_bytes()).map_err(|_| bad("positionAmt"))?),
            entry: Price::parse(text("entryPrice")?.as_bytes()).map_err(|_| bad("entryPrice"))?,
            snapshot: true,
            venue_time: Nanos::from_millis(entry["updateTime"].as_i64().unwrap_or(0)),
        });
    }
    Ok(events)
}

/// The balance of an asset in an account answer.
///
/// # Errors
/// The asset is missing or unreadable.
pub fn balance_event(value: &Value, asset: &str) -> Result<AccountEvent, String> {
    let entry = value["assets"].as_array().into_iter().flatten().find(|entry| entry["asset"] == asset);
    let money = |key: &str| {
        let text = entry.and_then(|entry| entry[key].as_str());
        text.and_then(|text| Money::parse(text.as_bytes()).ok())
            .ok_or_else(|| format!("account: {asset} {key} is missing"))
    };
    Ok(AccountEvent::Balance { wallet: money("walletBalance")?, available: money("availableBalance")? })
}

/// The mark price and funding terms of a [`premium_index`] answer.
///
/// # Errors
/// A figure is missing or unreadable.
pub fn mark_price(value: &Value, instrument: InstrumentId) -> Result<MarkPrice, String> {
    let bad = |key: &str| format!("premium index: {key} is missing or unreadable");
    let text = |key: &str| value[key].as_str().ok_or_else(|| bad(key));
    // A contract without funding, or one whose first price is not made yet, answers 0.
    let time = |key: &str| value[key].as_i64().filter(|&ms| ms > 0).map(Nanos::from_millis).ok_or_else(|| bad(key));
    let price =
        |key: &str| Price::parse(text(key)?.as_bytes()).ok().filter(|price| price.0 > 0).ok_or_else(|| bad(key));
    Ok(MarkPrice {
        instrument,
        mark: price("markPrice")?,
        index: price("indexPrice")?,
        funding_rate: Rate::parse(text("lastFundingRate")?.as_bytes()).map_err(|_| bad("lastFundingRate"))?,
        next_funding: time("nextFundingTime")?,
        venue_time: time("time")?,
    })
}

/// Maker and taker fee of a commission answer.
#[must_use]
pub fn commission(value: &Value) -> Option<(Rate, Rate)> {
    let rate = |key: &str| Rate::parse(value[key].as_str()?.as_bytes()).ok();
    Some((rate("makerCommissionRate")?, rate("takerCommissionRate")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ClientId, PositionSide, Side, TimeInForce};
    use crate::unit::Ticks;

    fn terms() -> Instrument {
        Instrument::synthetic("BTCUSDT", "0.1", "0.001")
    }

    fn command(kind: CommandKind) -> Command {
        Command {
            kind,
            side: Side::Buy,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: true,
            instrument: InstrumentId(0),
            generation: 4,
            client_id: ClientId { run: 1, seq: 2 },
            price: Ticks(10),
            qty: Lots(3),
            decided_at: Nanos::ZERO,
        }
    }

    #[test]
    fn commands_become_calls() {
        let prefix = Prefix::new("sq").unwrap();
        let call = |kind| order(&command(kind), &terms(), &prefix, false);
        let new = call(CommandKind::New).unwrap();
        assert_eq!((new.method, new.path, new.signed), (Method::Post, "/fapi/v1/order", true));
        assert!(new.query.contains("price=1.0&timeInForce=GTX&reduceOnly=true"), "{}", new.query);
        let cancel = call(CommandKind::Cancel).unwrap();
        assert_eq!(
            (cancel.method, &*cancel.query),
            (Method::Delete, "symbol=BTCUSDT&origClientOrderId=sq00000001-00000002")
        );
        assert_eq!(call(CommandKind::CancelAll), Err(EncodeError::NotAnOrder(CommandKind::CancelAll)));
        assert_eq!((new.weight, cancel.weight, depth("BTCUSDT").weight), (0, 1, 20));
        assert_eq!((cancel.priority, depth("BTCUSDT").priority), (Priority::Urgent, Priority::Low));
    }

    #[test]
    fn a_success_that_cannot_be_read_is_unknown_and_never_a_refusal() {
        let prefix = Prefix::new("sq").unwrap();
        let (event, _) = order_event(&command(CommandKind::New), &terms(), &prefix, 200, b"<html>", None);
        assert_eq!((event.kind, event.generation), (OrderEventKind::Unknown, 4));
        let other = br#"{"orderId":7,"symbol":"BTCUSDT","status":"CANCELED","clientOrderId":"sq00000001-00000003","side":"BUY"}"#;
        let (event, _) = order_event(&command(CommandKind::Cancel), &terms(), &prefix, 200, other, None);
        assert_eq!((event.kind, event.client_id.seq), (OrderEventKind::Unknown, 2), "it is about another order");
        let (event, hint) =
            order_event(&command(CommandKind::New), &terms(), &prefix, 429, br#"{"code":-1003,"msg":"x"}"#, Some(3));
        assert_eq!((event.kind, hint), (OrderEventKind::NotSent, Hint::BackOff(Nanos::from_secs(3))));
    }

    #[test]
    fn other_clients_orders_are_told_but_not_owned() {
        let body = br#"[{"orderId":1,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"web_1","price":"1.0","origQty":"0.002","executedQty":"0","side":"BUY"},
            {"orderId":2,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"sq00000001-00000002","price":"1.1","origQty":"0.002","executedQty":"0.001","side":"SELL"},
            {"orderId":3,"symbol":"ETHUSDT","status":"NEW","clientOrderId":"sq00000001-00000003","price":"0.001","origQty":"1","executedQty":"0","side":"SELL"}]"#;
        let events = open_order_events(body, InstrumentId(0), &terms(), &Prefix::new("sq").unwrap()).unwrap();
        let ids: Vec<_> = events.iter().map(|event| (event.venue_id, event.client_id, event.filled)).collect();
        assert_eq!(ids, [(1, ClientId::default(), Lots(0)), (2, ClientId { run: 1, seq: 2 }, Lots(1))]);
    }

    #[test]
    fn a_premium_index_is_a_mark_price() {
        let answer = serde_json::json!({"symbol":"BTCUSDT","markPrice":"61000.50000000","indexPrice":"60999.1","estimatedSettlePrice":"0",
            "lastFundingRate":"0.00010000","interestRate":"0.0001","nextFundingTime":1_700_006_400_000_i64,"time":1_700_000_000_123_i64});
        let mark = mark_price(&answer, InstrumentId(2)).unwrap();
        assert_eq!((mark.instrument, mark.mark), (InstrumentId(2), Price::parse(b"61000.5").unwrap()));
        assert_eq!(mark.funding_rate, Rate::parse(b"0.0001").unwrap());
        assert_eq!(mark.venue_time, Nanos::from_millis(1_700_000_000_123));
        // An expiring contract has no funding.
        let expiring =
            serde_json::json!({"markPrice":"1","indexPrice":"1","lastFundingRate":"","nextFundingTime":0,"time":1});
        assert_eq!(
            mark_price(&expiring, InstrumentId(0)).unwrap_err(),
            "premium index: lastFundingRate is missing or unreadable"
        );
    }

    #[test]
    fn error_bodies_are_quoted_and_html_is_cut() {
        let error = body(400, br#"{"code":-4059,"msg":"No need to change position side."}"#).unwrap_err();
        assert_eq!(error.to_string(), "HTTP 400, code -4059: No need to change position side.");
        assert_eq!(body(502, "x".repeat(900).as_bytes()).unwrap_err().message.len(), 200);
    }

    #[test]
    fn balances_and_positions_are_exact() {
        let account =
            serde_json::json!({"assets":[{"asset":"USDT","walletBalance":"100.25","availableBalance":"90.5"}]});
        let money = |text: &str| Money::parse(text.as_bytes()).unwrap();
        let expected = AccountEvent::Balance { wallet: money("100.25"), available: money("90.5") };
        assert_eq!(balance_event(&account, "USDT"), Ok(expected));
        let positions = serde_json::json!([{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"-0.005","entryPrice":"61000.5"}]);
        let [AccountEvent::Position { qty, snapshot, .. }] =
            position_events(&positions, InstrumentId(0), &terms()).unwrap()[..]
        else {
            panic!()
        };
        assert_eq!((qty, snapshot), (Lots(-5), true));
    }
}
