//! Order entry by the WebSocket API: commands to signed requests, answers to events. Keeps no table: a request's id says which
//! order, intent and instrument it is about, and the answer brings it back. Pure; time stamps come in.

use super::answer::{Hint, OrderObject, bare, refusal};
use super::client_id::{Prefix, hex};
use super::sign::{KeyKind, Signer};
pub use super::template::REQUEST_MAX;
use super::template::{Template, Values};
use crate::event::{
    ClientId, Command, CommandKind, OrderEvent, OrderEventKind, OrderSource, PositionSide, Side, TimeInForce,
};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Nanos, Step};
use arrayvec::{ArrayString, ArrayVec};
use serde::Deserialize;
use std::borrow::Cow;

/// Parameters: name and text.
pub type Params = ArrayVec<(&'static str, ArrayString<64>), 16>;

/// What makes requests differ in more than ids, numbers and the time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    kind: CommandKind,
    side: Side,
    tif: TimeInForce,
    position_side: PositionSide,
    reduce_only: bool,
    signed: bool,
}

/// Builds requests into fixed memory.
pub struct OrderEncoder {
    prefix: Prefix,
    hedge: bool,
    /// How long a request may be under way before the venue refuses it: a late order is a wrong order.
    recv_window: Nanos,
    signer: Signer,
    /// The connection has logged on: requests need neither key nor signature.
    pub logged_on: bool,
    /// The kinds of requests made so far, by instrument: a few dozen, each kept as its text.
    templates: Vec<Vec<(Shape, Template)>>,
    /// The last time stamp and its text: many orders leave in one millisecond.
    timestamp: (i64, ArrayString<64>),
}

impl OrderEncoder {
    /// For one account.
    #[must_use]
    pub fn new(prefix: Prefix, hedge: bool, recv_window: Nanos, signer: Signer) -> Self {
        let timestamp = (0, decimal(Step::ONE, 0));
        Self { prefix, hedge, recv_window, signer, logged_on: false, templates: Vec::new(), timestamp }
    }

    /// True when the connection should log on first (Ed25519 keys only).
    #[must_use]
    pub fn wants_log_on(&self) -> bool {
        self.signer.kind() == KeyKind::Ed25519
    }

    /// `session.logon`.
    pub fn log_on<'a>(&mut self, timestamp_ms: i64, out: &'a mut ArrayString<REQUEST_MAX>) -> &'a str {
        self.logged_on = false;
        let template = self.template("session.logon", Params::new());
        let timestamp = decimal(Step::ONE, timestamp_ms);
        template.fill(&Values { request_id: "logon", timestamp: &timestamp, ..Values::default() }, &self.signer, out);
        out.as_str()
    }

    /// One command.
    ///
    /// # Errors
    /// The command is no request about one order, or cannot be said to this account.
    pub fn encode<'a>(
        &mut self,
        command: &Command,
        terms: &Instrument,
        timestamp_ms: i64,
        out: &'a mut ArrayString<REQUEST_MAX>,
    ) -> Result<&'a str, EncodeError> {
        let (letter, method) = match command.kind {
            CommandKind::New => (b'n', "order.place"),
            CommandKind::Market => (b'm', "order.place"),
            CommandKind::Amend => (b'a', "order.modify"),
            CommandKind::Cancel => (b'c', "order.cancel"),
            CommandKind::Query => (b'q', "order.status"),
            CommandKind::CancelAll | CommandKind::Reconcile | CommandKind::Snapshot | CommandKind::SyncTime => {
                return Err(EncodeError::NotAnOrder(command.kind));
            }
        };
        let Command { kind, side, tif, position_side, reduce_only, .. } = *command;
        let shape = Shape { kind, side, tif, position_side, reduce_only, signed: !self.logged_on };
        let number = usize::from(command.instrument.0);
        let known = self.templates.get(number).and_then(|known| known.iter().position(|(of, _)| *of == shape));
        let at = match known {
            Some(at) => at,
            None => {
                let template = self.template(method, order_params(command, terms, &self.prefix, self.hedge)?);
                if self.templates.len() <= number {
                    self.templates.resize_with(number + 1, Vec::new);
                }
                self.templates[number].push((shape, template));
                self.templates[number].len() - 1
            }
        };
        if self.timestamp.0 != timestamp_ms {
            self.timestamp = (timestamp_ms, decimal(Step::ONE, timestamp_ms));
        }
        let values = Values {
            request_id: &request_id(letter, command),
            client_id: &self.prefix.text(command.client_id),
            quantity: &decimal(terms.lot, command.qty.0),
            price: &decimal(terms.tick, command.price.0),
            timestamp: &self.timestamp.1,
        };
        self.templates[number][at].1.fill(&values, &self.signer, out);
        Ok(out.as_str())
    }

    /// A kind of request, of what one such request says of its order.
    fn template(&self, method: &str, mut params: Params) -> Template {
        params.push(("timestamp", ArrayString::new()));
        params.push(("recvWindow", decimal(Step::ONE, self.recv_window.as_millis())));
        let signed = !self.logged_on;
        if signed {
            params.push(("apiKey", ArrayString::from(self.signer.api_key()).unwrap_or_default()));
        }
        Template::new(method, params, signed)
    }
}

/// Why a command cannot be a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is not about one order.
    #[error("{0:?} is not a request about one order")]
    NotAnOrder(CommandKind),
    /// In hedge mode an order belongs to the long or to the short position.
    #[error("an order in hedge mode must name its position, long or short, and not the net one")]
    NetInHedgeMode,
}

/// The parameters of an order command, without time stamp and signature; the same for REST and WebSocket.
///
/// # Errors
/// [`EncodeError::NetInHedgeMode`].
pub fn order_params(
    command: &Command,
    terms: &Instrument,
    prefix: &Prefix,
    hedge: bool,
) -> Result<Params, EncodeError> {
    let mut params = Params::new();
    let mut add = |name: &'static str, value: &str| {
        params.push((name, ArrayString::from(value).expect("values are shorter than 64 bytes")));
    };
    let id = prefix.text(command.client_id);
    let side = if command.side == Side::Buy { "BUY" } else { "SELL" };
    add("symbol", &terms.symbol);
    match command.kind {
        CommandKind::Cancel | CommandKind::Query => add("origClientOrderId", &id),
        CommandKind::Amend => {
            add("origClientOrderId", &id);
            add("side", side);
            add("quantity", &decimal(terms.lot, command.qty.0));
            add("price", &decimal(terms.tick, command.price.0));
        }
        _ => {
            add("newClientOrderId", &id);
            add("side", side);
            add("quantity", &decimal(terms.lot, command.qty.0));
            add("newOrderRespType", "ACK");
            // Of two orders of the same account that would trade with each other one goes: a quote rather than the one that
            // rests, but never what takes a position down.
            let closes = command.reduce_only || command.kind == CommandKind::Market;
            add("selfTradePreventionMode", if closes { "EXPIRE_MAKER" } else { "EXPIRE_TAKER" });
            if command.kind == CommandKind::Market {
                add("type", "MARKET");
            } else {
                add("type", "LIMIT");
                add("price", &decimal(terms.tick, command.price.0));
                add(
                    "timeInForce",
                    match command.tif {
                        TimeInForce::PostOnly => "GTX",
                        TimeInForce::Gtc => "GTC",
                        TimeInForce::Ioc => "IOC",
                    },
                );
            }
            if hedge {
                add(
                    "positionSide",
                    match command.position_side {
                        PositionSide::Short => "SHORT",
                        PositionSide::Long => "LONG",
                        PositionSide::Net => return Err(EncodeError::NetInHedgeMode),
                    },
                );
            } else if closes {
                // Refused by the venue in hedge mode, where the position side says the same.
                add("reduceOnly", "true");
            }
        }
    }
    Ok(params)
}

/// As [`Step::format`], whose division by ten is of 128 bits: numbers that fit 64 bits, as all real ones do, are written with less.
fn decimal(step: Step, count: i64) -> ArrayString<64> {
    let mut bytes = [0_u8; 64];
    let small = count.checked_mul(step.mantissa()).and_then(|value| u64::try_from(value).ok());
    let Some(mut value) = small else {
        let len = step.format(count, &mut bytes);
        return ArrayString::from(std::str::from_utf8(&bytes[..len]).expect("digits")).expect("at most 64 bytes");
    };
    let (places, mut at, mut written) = (step.places(), bytes.len(), 0);
    // At least one digit stands before the point.
    while value > 0 || written <= places {
        if written == places && places > 0 {
            at -= 1;
            bytes[at] = b'.';
        }
        at -= 1;
        bytes[at] = b'0' + (value % 10) as u8;
        value /= 10;
        written += 1;
    }
    ArrayString::from(std::str::from_utf8(&bytes[at..]).expect("digits")).expect("at most 64 bytes")
}

/// `<letter><instrument>-<run>-<seq>-<generation>` in hex digits of fixed width.
fn request_id(letter: u8, command: &Command) -> ArrayString<40> {
    let ClientId { run, seq } = command.client_id;
    let mut id = [b'-'; 32];
    id[0] = letter;
    id[1..5].copy_from_slice(&hex(u32::from(command.instrument.0))[4..]);
    id[6..14].copy_from_slice(&hex(run));
    id[15..23].copy_from_slice(&hex(seq));
    id[24..].copy_from_slice(&hex(command.generation));
    ArrayString::from(std::str::from_utf8(&id).expect("ASCII")).expect("32 characters")
}

/// What a request id says.
fn parse_request_id(id: &str) -> Option<(CommandKind, InstrumentId, ClientId, u32)> {
    let kind = match id.as_bytes().first()? {
        b'n' => CommandKind::New,
        b'm' => CommandKind::Market,
        b'a' => CommandKind::Amend,
        b'c' => CommandKind::Cancel,
        b'q' => CommandKind::Query,
        _ => return None,
    };
    let mut parts = id.get(1..)?.split('-').map(|part| u32::from_str_radix(part, 16).ok());
    let instrument = InstrumentId(u16::try_from(parts.next()??).ok()?);
    let client_id = ClientId { run: parts.next()??, seq: parts.next()?? };
    Some((kind, instrument, client_id, parts.next()??))
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    status: u16,
    #[serde(borrow)]
    result: Option<AnswerResult<'a>>,
    #[serde(borrow)]
    error: Option<AnswerError<'a>>,
    #[serde(borrow, default, rename = "rateLimits")]
    rate_limits: Vec<RateLimit<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AnswerResult<'a> {
    #[serde(borrow)]
    Order(Box<OrderObject<'a>>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct AnswerError<'a> {
    code: i32,
    #[serde(borrow, default)]
    msg: Cow<'a, str>,
    #[serde(default)]
    data: Option<RetryData>,
}

#[derive(Deserialize)]
struct RetryData {
    #[serde(default, rename = "serverTime")]
    server_time_ms: Option<i64>,
    /// A point in time, not a span.
    #[serde(default, rename = "retryAfter")]
    retry_after_ms: Option<i64>,
}

impl RetryData {
    /// How long to wait, by the venue's own clock where it tells it, else by what we think it is.
    fn span(&self, venue_now: Nanos) -> Option<Nanos> {
        let now = self.server_time_ms.map_or(venue_now, Nanos::from_millis);
        self.retry_after_ms.map(|at| (Nanos::from_millis(at) - now).max(Nanos::ZERO))
    }
}

#[derive(Deserialize)]
struct RateLimit<'a> {
    #[serde(borrow, rename = "rateLimitType")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    interval: Cow<'a, str>,
    #[serde(default)]
    count: u32,
}

/// An answer of the WebSocket API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// What it means for an order; `None` for a log-on.
    pub event: Option<OrderEvent>,
    /// The log-on went through (`Some(true)`) or was refused.
    pub logged_on: Option<bool>,
    /// What else to do.
    pub hint: Hint,
    /// The venue's order count of the last 10 s.
    pub orders_10s: Option<u32>,
    /// The venue's order count of the last minute.
    pub orders_1m: Option<u32>,
    /// The venue's words for a refusal, for people.
    pub message: String,
}

/// The bytes are not an answer of the WebSocket API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an answer of the WebSocket API: {0}")]
pub struct NotAnAnswer(pub String);

/// Reads one answer; `venue_now` is the venue's time as we think it is. Runs on the I/O thread; allocates only for refusals.
///
/// # Errors
/// Not JSON, or an id that is not ours.
pub fn decode(
    text: &[u8],
    instruments: &[Instrument],
    prefix: &Prefix,
    venue_now: Nanos,
) -> Result<Response, NotAnAnswer> {
    let answer: Answer<'_> = serde_json::from_slice(text).map_err(|error| NotAnAnswer(error.to_string()))?;
    let id = answer.id.as_deref().unwrap_or("");
    let count = |interval: &str| {
        let wanted = answer.rate_limits.iter().find(|limit| limit.kind == "ORDERS" && limit.interval == interval);
        wanted.map(|limit| limit.count)
    };
    let mut response = Response {
        event: None,
        logged_on: None,
        hint: Hint::None,
        orders_10s: count("SECOND"),
        orders_1m: count("MINUTE"),
        message: String::new(),
    };
    if let Some(error) = &answer.error {
        response.message = format!("{} {}: {}", answer.status, error.code, error.msg);
    }
    if id == "logon" {
        response.logged_on = Some(answer.status == 200);
        return Ok(response);
    }
    let error = answer.error.as_ref();
    let code = error.map_or(0, |error| error.code);
    let retry = error.and_then(|error| error.data.as_ref()?.span(venue_now));
    let Some((asked, instrument, client_id, generation)) = parse_request_id(id) else {
        // The venue's word to wait holds for all requests, whichever it names.
        let (_, hint) = refusal(CommandKind::Query, answer.status, code, retry);
        if hint != Hint::None {
            response.hint = hint;
            return Ok(response);
        }
        return Err(NotAnAnswer(format!("id {id:?} is not one of our requests' ({})", response.message)));
    };
    let terms =
        instruments.get(usize::from(instrument.0)).ok_or_else(|| NotAnAnswer(format!("instrument of id {id:?}")))?;
    if answer.status == 200 {
        let event = match &answer.result {
            Some(AnswerResult::Order(order)) => {
                let kind = order.outcome(asked);
                order.event(kind, OrderSource::Response, instrument, terms, prefix, generation)
            }
            _ => None,
        };
        // A success without an order, with numbers off the grid, or about another order is one of unknown content: it is asked for.
        response.event = event.filter(|event| event.client_id == client_id).or_else(|| {
            response.message = format!("id {id:?} is answered by what is no state of its order");
            Some(bare(OrderEventKind::Unknown, OrderSource::Response, instrument, client_id, generation))
        });
        return Ok(response);
    }
    let (kind, hint) = refusal(asked, answer.status, code, retry);
    response.hint = hint;
    response.event = Some(OrderEvent { code, ..bare(kind, OrderSource::Response, instrument, client_id, generation) });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::super::sign::Credentials;
    use super::*;
    use crate::unit::{Lots, Ticks};

    const NOW: Nanos = Nanos(1_700_000_000_000_000_000);

    fn signer() -> Signer {
        Signer::new(&Credentials { api_key: "K".into(), secret: "S".into(), kind: KeyKind::Hmac }).unwrap()
    }

    fn encoder() -> OrderEncoder {
        OrderEncoder::new(Prefix::new("sq").unwrap(), false, Nanos::from_secs(5), signer())
    }

    fn command(kind: CommandKind) -> Command {
        Command {
            kind,
            side: Side::Sell,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: InstrumentId(0),
            generation: 3,
            client_id: ClientId { run: 0x10, seq: 2 },
            price: Ticks(618_002),
            qty: Lots(5),
            decided_at: Nanos::ZERO,
        }
    }

    #[test]
    fn a_request_is_signed_over_its_sorted_parameters() {
        let terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let mut out = ArrayString::new();
        let text = encoder().encode(&command(CommandKind::New), &terms, 1_700_000_000_000, &mut out).unwrap();
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["id"], "n0000-00000010-00000002-00000003");
        assert_eq!(json["method"], "order.place");
        let params = json["params"].as_object().unwrap();
        assert_eq!((params["price"].as_str(), params["quantity"].as_str()), (Some("61800.2"), Some("0.005")));
        assert_eq!((params["timeInForce"].as_str(), params["side"].as_str()), (Some("GTX"), Some("SELL")));
        assert_eq!(params["selfTradePreventionMode"], "EXPIRE_TAKER");
        let names: Vec<_> = params.keys().filter(|name| *name != "signature").cloned().collect();
        assert!(names.is_sorted(), "{names:?}");
        let payload: Vec<_> = names
            .iter()
            .map(|name| format!("{name}={}", params[name].as_str().map_or(params[name].to_string(), str::to_owned)))
            .collect();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"S");
        let tag = ring::hmac::sign(&key, payload.join("&").as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(params["signature"].as_str(), Some(hex.as_str()));
    }

    /// The request as its parameters say, put together anew.
    fn plain(order: &Command, terms: &Instrument, time: i64, hedge: bool, signer: Option<&Signer>) -> String {
        let (letter, method) = match order.kind {
            CommandKind::New => ('n', "order.place"),
            CommandKind::Market => ('m', "order.place"),
            CommandKind::Amend => ('a', "order.modify"),
            CommandKind::Cancel => ('c', "order.cancel"),
            _ => ('q', "order.status"),
        };
        let mut params: Vec<(&str, String)> = order_params(order, terms, &Prefix::new("sq").unwrap(), hedge)
            .unwrap()
            .iter()
            .map(|(name, value)| (*name, format!("{:?}", value.as_str())))
            .collect();
        params.extend([("timestamp", time.to_string()), ("recvWindow", "5000".to_owned())]);
        params.extend(signer.map(|signer| ("apiKey", format!("{:?}", signer.api_key()))));
        params.sort();
        if let Some(signer) = signer {
            let payload: Vec<_> =
                params.iter().map(|(name, value)| format!("{name}={}", value.trim_matches('"'))).collect();
            let mut signature = [0; 88];
            let len = signer.sign(payload.join("&").as_bytes(), &mut signature);
            params.push(("signature", format!("{:?}", std::str::from_utf8(&signature[..len]).unwrap())));
        }
        let params: Vec<_> = params.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        let ClientId { run, seq } = order.client_id;
        let id = format!("{letter}{:04x}-{run:08x}-{seq:08x}-{:08x}", order.instrument.0, order.generation);
        format!(r#"{{"id":"{id}","method":"{method}","params":{{{}}}}}"#, params.join(","))
    }

    #[test]
    fn a_filled_template_reads_as_its_parameters_put_together_anew() {
        let terms = [("BTCUSDT", "0.1", "0.001"), ("ETHUSDT", "0.01", "1")]
            .map(|(symbol, tick, lot)| Instrument::synthetic(symbol, tick, lot));
        let mut said = 0_u32;
        for (hedge, logged_on) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut encoder = OrderEncoder { hedge, ..encoder() };
            encoder.logged_on = logged_on;
            let signer = signer();
            let kinds =
                [CommandKind::New, CommandKind::Market, CommandKind::Amend, CommandKind::Cancel, CommandKind::Query];
            for round in 0..2 {
                for kind in kinds {
                    for number in 0..36_u16 {
                        said += 1;
                        let order = Command {
                            side: [Side::Buy, Side::Sell][usize::from(number % 2)],
                            tif: [TimeInForce::PostOnly, TimeInForce::Gtc, TimeInForce::Ioc]
                                [usize::from(number / 2 % 3)],
                            position_side: [PositionSide::Long, PositionSide::Short, PositionSide::Net]
                                [usize::from(number / 6 % 3)],
                            reduce_only: number / 18 == 1,
                            instrument: InstrumentId(number % 2),
                            generation: said,
                            client_id: ClientId { run: 0xfedc_ba98, seq: said.wrapping_mul(0x9e37_79b9) },
                            price: Ticks(i64::from(said) * 977),
                            qty: Lots(1 << (said % 40)),
                            ..command(kind)
                        };
                        let terms = &terms[usize::from(number % 2)];
                        let time = 1_700_000_000_000 + i64::from(said / 7) + round;
                        let mut out = ArrayString::new();
                        let Ok(text) = encoder.encode(&order, terms, time, &mut out) else {
                            assert!(hedge && order.position_side == PositionSide::Net);
                            continue;
                        };
                        assert_eq!(text, plain(&order, terms, time, hedge, (!logged_on).then_some(&signer)));
                    }
                }
            }
        }
        assert_eq!(said, 4 * 2 * 5 * 36);
    }

    #[test]
    fn numbers_and_ids_read_as_the_plain_way_writes_them() {
        for step in ["1", "0.1", "0.25", "0.001", "5", "0.000000000000000001"] {
            let step = Step::parse(step.as_bytes()).unwrap();
            for count in [0, 1, 9, 10, 618_002, 1_700_000_000_123, i64::MAX, -1, -618_002] {
                assert_eq!(decimal(step, count).as_str(), step.text(count), "{count} of {step}");
            }
        }
        let order = Command { instrument: InstrumentId(0xab), generation: u32::MAX, ..command(CommandKind::Amend) };
        assert_eq!(request_id(b'a', &order).as_str(), "a00ab-00000010-00000002-ffffffff");
    }

    #[test]
    fn hedge_mode_names_the_position_and_not_reduce_only() {
        let terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let order = Command { reduce_only: true, position_side: PositionSide::Short, ..command(CommandKind::New) };
        let names = |hedge| -> Vec<&str> {
            order_params(&order, &terms, &Prefix::new("sq").unwrap(), hedge)
                .unwrap()
                .iter()
                .map(|(name, _)| *name)
                .collect()
        };
        assert!(names(true).contains(&"positionSide") && !names(true).contains(&"reduceOnly"));
        assert!(!names(false).contains(&"positionSide") && names(false).contains(&"reduceOnly"));
    }

    #[test]
    fn in_hedge_mode_an_order_without_a_position_is_an_error_and_a_cancel_needs_none() {
        let terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let params = |kind| order_params(&command(kind), &terms, &Prefix::new("sq").unwrap(), true);
        assert_eq!(params(CommandKind::New), Err(EncodeError::NetInHedgeMode));
        assert_eq!(params(CommandKind::Market), Err(EncodeError::NetInHedgeMode));
        assert!(params(CommandKind::Cancel).is_ok() && params(CommandKind::Query).is_ok());
        let mut out = ArrayString::new();
        let error = encoder().encode(&command(CommandKind::Snapshot), &terms, 0, &mut out);
        assert_eq!(error, Err(EncodeError::NotAnOrder(CommandKind::Snapshot)));
    }

    #[test]
    fn what_takes_a_position_down_never_goes_for_a_quote_of_ours() {
        let terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let mode = |order: Command| {
            let params = order_params(&order, &terms, &Prefix::new("sq").unwrap(), false).unwrap();
            params.iter().find(|(name, _)| *name == "selfTradePreventionMode").unwrap().1
        };
        assert_eq!(mode(command(CommandKind::New)).as_str(), "EXPIRE_TAKER");
        assert_eq!(mode(command(CommandKind::Market)).as_str(), "EXPIRE_MAKER");
        assert_eq!(mode(Command { reduce_only: true, ..command(CommandKind::New) }).as_str(), "EXPIRE_MAKER");
    }

    #[test]
    fn the_venues_point_in_time_is_obeyed() {
        let terms = [Instrument::synthetic("BTCUSDT", "0.1", "0.001")];
        let hint = |status: u16, code: i32, data: &str| {
            let text = format!(
                r#"{{"id":"c0000-00000010-00000002-00000003","status":{status},"error":{{"code":{code},"msg":"x"{data}}}}}"#
            );
            decode(text.as_bytes(), &terms, &Prefix::new("sq").unwrap(), NOW).unwrap().hint
        };
        let until = |ms: i64| format!(r#","data":{{"retryAfter":{}}}"#, NOW.as_millis() + ms);
        assert_eq!(hint(418, -1003, &until(345_678)), Hint::BackOff(Nanos::from_millis(345_678)));
        assert_eq!(hint(429, -1003, &until(-5)), Hint::BackOff(Nanos::ZERO), "it is over");
        assert_eq!(hint(429, -1015, &until(2_500)), Hint::OrdersFull(Nanos::from_millis(2_500)));
        assert_eq!(hint(418, -1003, ""), Hint::BackOff(Nanos::from_secs(120)));
        // The venue's own clock, where it tells it, and not ours.
        let both = r#","data":{"serverTime":1000,"retryAfter":4000}"#;
        assert_eq!(hint(429, -1003, both), Hint::BackOff(Nanos::from_secs(3)));
        // A ban may come without an id: the request was not even read.
        let nameless = br#"{"id":null,"status":418,"error":{"code":-1003,"msg":"banned"}}"#;
        let response = decode(nameless, &terms, &Prefix::new("sq").unwrap(), NOW).unwrap();
        assert_eq!((response.event, response.hint), (None, Hint::BackOff(Nanos::from_secs(120))));
    }

    #[test]
    fn an_amend_that_the_venue_calls_needless_is_looked_at_and_not_believed() {
        let terms = [Instrument::synthetic("BTCUSDT", "0.1", "0.001")];
        let text = r#"{"id":"a0000-00000010-00000002-00000003","status":400,"error":{"code":-5027,"msg":"No need to modify the order."}}"#;
        let event = decode(text.as_bytes(), &terms, &Prefix::new("sq").unwrap(), NOW).unwrap().event.unwrap();
        assert_eq!((event.kind, event.generation, event.code), (OrderEventKind::Unknown, 3, -5027));
    }

    #[test]
    fn answers_come_back_to_their_order_and_intent() {
        let terms = [Instrument::synthetic("BTCUSDT", "0.1", "0.001")];
        let prefix = Prefix::new("sq").unwrap();
        let good = r#"{"id":"a0000-00000010-00000002-00000003","status":200,"result":{"orderId":77,"symbol":"BTCUSDT","status":"NEW",
            "clientOrderId":"sq00000010-00000002","price":"61800.20","avgPrice":"0.00","origQty":"0.005","executedQty":"0.001","side":"SELL",
            "positionSide":"BOTH","timeInForce":"GTX","reduceOnly":false,"updateTime":1700000000123},
            "rateLimits":[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300,"count":12}]}"#;
        let response = decode(good.as_bytes(), &terms, &prefix, NOW).unwrap();
        let event = response.event.unwrap();
        assert_eq!((event.kind, event.generation), (OrderEventKind::Amended, 3));
        assert_eq!((event.client_id, event.venue_id), (ClientId { run: 0x10, seq: 2 }, 77));
        assert_eq!((event.price, event.qty, event.filled), (Ticks(618_002), Lots(5), Lots(1)));
        assert_eq!(response.orders_10s, Some(12));

        let bad = r#"{"id":"n0000-00000010-00000002-00000001","status":400,"error":{"code":-5022,"msg":"post only"}}"#;
        let response = decode(bad.as_bytes(), &terms, &prefix, NOW).unwrap();
        let event = response.event.unwrap();
        assert_eq!((event.kind, event.code), (OrderEventKind::Rejected, -5022));
        assert_eq!(response.message, "400 -5022: post only");
        assert!(decode(br#"{"id":"x","status":200,"result":{}}"#, &terms, &prefix, NOW).is_err());
        assert!(decode(b"{", &terms, &prefix, NOW).is_err());
    }

    #[test]
    fn a_success_that_says_nothing_of_its_order_leaves_the_outcome_open() {
        let terms = [Instrument::synthetic("BTCUSDT", "0.1", "0.001")];
        let kind = |id: &str, rest: &str| {
            let text = format!(r#"{{"id":"{id}"{rest}}}"#);
            let event = decode(text.as_bytes(), &terms, &Prefix::new("sq").unwrap(), NOW).unwrap().event.unwrap();
            (event.kind, event.client_id.seq, event.generation)
        };
        let order = |client_id: &str, qty: &str| {
            format!(
                r#","status":200,"result":{{"orderId":77,"status":"CANCELED","clientOrderId":"{client_id}","origQty":"{qty}"}}"#
            )
        };
        let (id, unknown) = ("c0000-00000010-00000002-00000003", (OrderEventKind::Unknown, 2, 3));
        assert_eq!(kind(id, &order("sq00000010-00000002", "0.005")), (OrderEventKind::Canceled, 2, 3));
        assert_eq!(kind(id, &order("sq00000010-00000004", "0.005")), unknown, "another order");
        assert_eq!(kind(id, &order("sq00000010-00000002", "0.0051")), unknown, "off the grid");
        assert_eq!(kind(id, r#","status":200,"result":{}"#), unknown);
        assert_eq!(kind(id, r#","status":200"#), unknown);
        assert_eq!(kind(id, ""), unknown, "no status either");
    }

    #[test]
    fn a_log_on_is_no_order() {
        let response =
            decode(br#"{"id":"logon","status":200,"result":{"apiKey":"K"}}"#, &[], &Prefix::new("sq").unwrap(), NOW)
                .unwrap();
        assert_eq!((response.event, response.logged_on), (None, Some(true)));
    }
}
