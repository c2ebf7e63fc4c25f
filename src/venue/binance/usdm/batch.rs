//! Several orders in one REST call (notes section 4): 5 placements or amends, 10 cancels, all of one kind and one symbol. Each has its own
//! outcome in the answer, in the order of the call. Pure; a batch that cannot be read leaves every outcome open.

use super::answer::{Hint, bare};
use super::client_id::Prefix;
use super::limits::Priority;
use super::order::{EncodeError, order_params};
use super::rest::{Method, RestRequest, body, order_event};
use crate::event::{ClientId, Command, CommandKind, OrderEvent, OrderEventKind, OrderSource};
use crate::instrument::Instrument;
use crate::wire::http::encode_percent;
use serde_json::Value;

/// Placements or amends of one call.
pub const ORDERS_MAX: usize = 5;
/// Cancels of one call.
pub const CANCELS_MAX: usize = 10;

const PATH: &str = "/fapi/v1/batchOrders";

/// How many commands of a kind one call takes; 1 for those that have no batch.
#[must_use]
pub const fn most(kind: CommandKind) -> usize {
    match kind {
        CommandKind::New | CommandKind::Amend => ORDERS_MAX,
        CommandKind::Cancel => CANCELS_MAX,
        _ => 1,
    }
}

/// Commands of one kind on one instrument as one call.
///
/// # Errors
/// A command cannot be said to this account: then nothing is to be sent.
///
/// # Panics
/// No command, more than [`most`], or commands of several kinds: bugs of the caller.
pub fn request(
    commands: &[Command],
    terms: &Instrument,
    prefix: &Prefix,
    hedge: bool,
) -> Result<RestRequest, EncodeError> {
    let first = commands.first().expect("a batch has a command");
    assert!(commands.len() <= most(first.kind), "{} commands in a batch", commands.len());
    assert!(commands.iter().all(|c| (c.kind, c.instrument) == (first.kind, first.instrument)), "a batch of one kind");
    let method = match first.kind {
        CommandKind::New => Method::Post,
        CommandKind::Amend => Method::Put,
        CommandKind::Cancel => {
            let ids: Vec<ClientId> = commands.iter().map(|command| command.client_id).collect();
            return Ok(cancels(&terms.symbol, &ids, prefix));
        }
        kind => return Err(EncodeError::NotAnOrder(kind)),
    };
    let mut list = Vec::with_capacity(commands.len());
    for command in commands {
        let params = order_params(command, terms, prefix, hedge)?;
        let object = params.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        list.push(Value::Object(object.collect()));
    }
    Ok(call(method, 5, &[("batchOrders", &Value::Array(list).to_string())]))
}

/// The cancel of up to ten orders of ours by their ids; nobody else's can be named.
#[must_use]
pub fn cancels(symbol: &str, ids: &[ClientId], prefix: &Prefix) -> RestRequest {
    let ids: Vec<Value> = ids.iter().map(|&id| Value::from(prefix.text(id).as_str())).collect();
    call(Method::Delete, 1, &[("symbol", symbol), ("origClientOrderIdList", &Value::Array(ids).to_string())])
}

fn call(method: Method, weight: u32, params: &[(&str, &str)]) -> RestRequest {
    let mut query = Vec::new();
    for (name, value) in params {
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(name.as_bytes());
        query.push(b'=');
        encode_percent(value, &mut query);
    }
    let query = String::from_utf8(query).expect("escaped text is ASCII");
    RestRequest { method, path: PATH, query, signed: true, weight, priority: Priority::Urgent }
}

/// What an answer says of each command; the hint is that of the whole call.
#[must_use]
pub fn events(
    commands: &[Command],
    terms: &Instrument,
    prefix: &Prefix,
    status: u16,
    text: &[u8],
    retry_after: Option<u32>,
) -> (Vec<OrderEvent>, Hint) {
    let of = |command: &Command, status, text: &[u8]| order_event(command, terms, prefix, status, text, retry_after);
    if !(200..300).contains(&status) {
        let mut hint = Hint::None;
        let events = commands.iter().map(|command| {
            let (event, said) = of(command, status, text);
            hint = said;
            event
        });
        return (events.collect(), hint);
    }
    match outcomes(status, text) {
        Ok(outcomes) if outcomes.len() == commands.len() => {
            let mut hint = Hint::None;
            let events = commands.iter().zip(outcomes).map(|(command, outcome)| {
                let (event, said) = match outcome {
                    Ok(order) => of(command, 200, order.to_string().as_bytes()),
                    Err(refused) => of(command, 400, refused.to_string().as_bytes()),
                };
                if said != Hint::None {
                    hint = said;
                }
                event
            });
            (events.collect(), hint)
        }
        // A success that cannot be read is still a success of unknown content: each is asked for.
        _ => {
            let unknown = |c: &Command| {
                bare(OrderEventKind::Unknown, OrderSource::Response, c.instrument, c.client_id, c.generation)
            };
            (commands.iter().map(unknown).collect(), Hint::None)
        }
    }
}

/// The elements of an answer in the order of the call: the order's object, or the venue's refusal as it stands there.
///
/// # Errors
/// The whole call was refused, or the answer is no list.
pub fn outcomes(status: u16, text: &[u8]) -> Result<Vec<Result<Value, Value>>, super::rest::VenueError> {
    match body(status, text)? {
        Value::Array(list) => Ok(list
            .into_iter()
            .map(|one| if one.get("orderId").is_none() && one.get("code").is_some() { Err(one) } else { Ok(one) })
            .collect()),
        other => {
            let message = format!("a batch is answered by a list, not by {other}").chars().take(200).collect();
            Err(super::rest::VenueError { status, code: 0, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PositionSide, Side, TimeInForce};
    use crate::instrument::InstrumentId;
    use crate::unit::{Lots, Nanos, Ticks};
    use crate::wire::http::{decode_percent, pairs};

    fn terms() -> Instrument {
        Instrument::synthetic("BTCUSDT", "0.1", "0.001")
    }

    fn command(kind: CommandKind, seq: u32) -> Command {
        Command {
            kind,
            side: Side::Buy,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: InstrumentId(0),
            generation: 3,
            client_id: ClientId { run: 1, seq },
            price: Ticks(10),
            qty: Lots(3),
            decided_at: Nanos::ZERO,
        }
    }

    fn commands(kind: CommandKind, count: u32) -> Vec<Command> {
        (1..=count).map(|seq| command(kind, seq)).collect()
    }

    #[test]
    fn a_batch_is_one_call_whose_list_is_escaped() {
        let prefix = Prefix::new("sq").unwrap();
        let of = |kind, count| request(&commands(kind, count), &terms(), &prefix, false).unwrap();
        let place = of(CommandKind::New, 5);
        assert_eq!((place.method, place.path, place.weight), (Method::Post, PATH, 5));
        assert!(!place.query.contains(['"', '[', '{', ',']), "{}", place.query);
        let (name, value) = pairs(&place.query).next().unwrap();
        let list: Value = serde_json::from_str(&decode_percent(value).unwrap()).unwrap();
        assert_eq!((name, list.as_array().unwrap().len()), ("batchOrders", 5));
        assert_eq!(list[4]["newClientOrderId"], "sq00000001-00000005");
        assert_eq!((&list[0]["timeInForce"], &list[0]["price"]), (&Value::from("GTX"), &Value::from("1.0")));
        assert_eq!(of(CommandKind::Amend, 2).method, Method::Put);
        let cancel = of(CommandKind::Cancel, 2);
        assert_eq!((cancel.method, cancel.weight), (Method::Delete, 1));
        let expected =
            "symbol=BTCUSDT&origClientOrderIdList=%5B%22sq00000001-00000001%22%2C%22sq00000001-00000002%22%5D";
        assert_eq!(cancel.query, expected);
        let query = request(&commands(CommandKind::Query, 1), &terms(), &prefix, false);
        assert_eq!(query, Err(EncodeError::NotAnOrder(CommandKind::Query)));
        assert_eq!([CommandKind::New, CommandKind::Cancel, CommandKind::Market].map(most), [5, 10, 1]);
    }

    #[test]
    fn each_command_has_its_own_outcome() {
        let prefix = Prefix::new("sq").unwrap();
        let two = commands(CommandKind::Cancel, 2);
        let kinds = |status, text: &[u8]| {
            let (events, hint) = events(&two, &terms(), &prefix, status, text, None);
            (events.iter().map(|event| (event.client_id.seq, event.kind, event.code)).collect::<Vec<_>>(), hint)
        };
        let answer = br#"[{"orderId":7,"symbol":"BTCUSDT","status":"CANCELED","clientOrderId":"sq00000001-00000001","price":"1.0",
            "origQty":"0.003","executedQty":"0","side":"BUY"},{"code":-2011,"msg":"Unknown order sent."}]"#;
        use OrderEventKind::{CancelRejected, Canceled, Unknown};
        assert_eq!(kinds(200, answer), (vec![(1, Canceled, 0), (2, CancelRejected, -2011)], Hint::None));
        // One outcome is missing: whose, nobody can tell.
        assert_eq!(kinds(200, br#"[{"code":-2011,"msg":"x"}]"#).0, [(1, Unknown, 0), (2, Unknown, 0)]);
        assert_eq!(kinds(200, b"<html>").0, [(1, Unknown, 0), (2, Unknown, 0)]);
        assert_eq!(
            kinds(503, br#"{"code":-1007,"msg":"Unknown error"}"#).0,
            [(1, Unknown, -1007), (2, Unknown, -1007)]
        );
        let (events, hint) = kinds(429, br#"{"code":-1003,"msg":"many"}"#);
        assert!(matches!(hint, Hint::BackOff(_)), "{hint:?}");
        assert_eq!(events.iter().map(|event| event.1).collect::<Vec<_>>(), [OrderEventKind::NotSent; 2]);
    }
}
