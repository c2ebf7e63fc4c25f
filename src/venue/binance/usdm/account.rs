//! The private stream: frames to order and account events. Reports only our own orders (by id prefix); positions and balances are
//! the account's, whoever moved them.

use super::answer::{bare, position_side, side, time_in_force};
use super::client_id::Prefix;
use crate::event::{AccountEvent, ClientId, Fill, OrderEvent, OrderEventKind, OrderSource};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{DecimalError, Lots, Money, Nanos, Price, Step, Ticks};
use serde::Deserialize;
use std::borrow::Cow;

/// Something a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrivateEvent {
    /// About one of our orders.
    Order(OrderEvent),
    /// About the account.
    Account(AccountEvent),
    /// The stream's key lapsed: nothing more will come on it.
    ListenKeyExpired,
}

/// Why a frame is not understood. The stream's later frames are not harmed by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateError {
    /// Not the JSON of a private event.
    #[error("not a private stream event: {0}")]
    Malformed(String),
    /// A number is off the instrument's grid or no number.
    #[error("{key}: {reason}")]
    Number {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        reason: DecimalError,
    },
    /// A side that is neither.
    #[error("side {0:?}")]
    Side(String),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    e: Cow<'a, str>,
    #[serde(rename = "T", default)]
    transaction_ms: i64,
}

#[derive(Deserialize)]
struct OrderFrame<'a> {
    #[serde(borrow)]
    o: OrderBody<'a>,
}

#[derive(Deserialize)]
struct OrderBody<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    #[serde(borrow)]
    c: Cow<'a, str>,
    #[serde(rename = "S", borrow)]
    side: Cow<'a, str>,
    #[serde(borrow, default)]
    f: Cow<'a, str>,
    #[serde(borrow)]
    q: Cow<'a, str>,
    #[serde(borrow)]
    p: Cow<'a, str>,
    #[serde(borrow)]
    x: Cow<'a, str>,
    #[serde(rename = "X", borrow)]
    status: Cow<'a, str>,
    i: u64,
    #[serde(borrow)]
    l: Cow<'a, str>,
    #[serde(borrow)]
    z: Cow<'a, str>,
    #[serde(rename = "L", borrow)]
    last_price: Cow<'a, str>,
    #[serde(rename = "N", borrow, default)]
    fee_asset: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    n: Option<Cow<'a, str>>,
    #[serde(default)]
    t: i64,
    #[serde(default)]
    m: bool,
    #[serde(rename = "R", default)]
    reduce_only: bool,
    #[serde(borrow, default)]
    ps: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Lite<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    #[serde(borrow)]
    c: Cow<'a, str>,
    #[serde(rename = "S", borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    q: Cow<'a, str>,
    #[serde(borrow)]
    p: Cow<'a, str>,
    #[serde(rename = "L", borrow)]
    last_price: Cow<'a, str>,
    #[serde(borrow)]
    l: Cow<'a, str>,
    #[serde(default)]
    m: bool,
    t: i64,
    i: u64,
}

#[derive(Deserialize)]
struct AccountFrame<'a> {
    #[serde(borrow)]
    a: AccountBody<'a>,
}

#[derive(Deserialize)]
struct AccountBody<'a> {
    #[serde(borrow, default)]
    m: Cow<'a, str>,
    #[serde(rename = "B", borrow, default)]
    balances: Vec<Balance<'a>>,
    #[serde(rename = "P", borrow, default)]
    positions: Vec<Position<'a>>,
}

#[derive(Deserialize)]
struct Balance<'a> {
    #[serde(borrow)]
    a: Cow<'a, str>,
    #[serde(borrow)]
    wb: Cow<'a, str>,
    #[serde(borrow, default)]
    bc: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Position<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    #[serde(borrow)]
    pa: Cow<'a, str>,
    #[serde(borrow)]
    ep: Cow<'a, str>,
    #[serde(borrow, default)]
    ps: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ConfigFrame<'a> {
    #[serde(borrow, default)]
    ac: Option<LeverageChange<'a>>,
}

#[derive(Deserialize)]
struct LeverageChange<'a> {
    #[serde(borrow)]
    s: Cow<'a, str>,
    l: u32,
}

/// Reads the private stream of one account.
pub struct PrivateDecoder {
    instruments: Vec<Instrument>,
    prefix: Prefix,
}

impl PrivateDecoder {
    /// For the account's instruments, in the order of their ids.
    #[must_use]
    pub fn new(instruments: &[Instrument], prefix: Prefix) -> Self {
        Self { instruments: instruments.to_vec(), prefix }
    }

    /// Reads one frame, bare or in its envelope, and calls `tell` for each thing it says, in the frame's order. Kinds of frames
    /// that the engine has no use for say nothing.
    ///
    /// # Errors
    /// The frame is not understood; what it said before the fault has been told.
    pub fn decode(&self, text: &[u8], mut tell: impl FnMut(PrivateEvent)) -> Result<(), PrivateError> {
        let text = strip_envelope(text);
        let head: Head<'_> = parse(text)?;
        let at = Nanos::from_millis(head.transaction_ms);
        match &*head.e {
            "ORDER_TRADE_UPDATE" => {
                if let Some(event) = self.order(&parse::<OrderFrame<'_>>(text)?.o, at)? {
                    tell(PrivateEvent::Order(event));
                }
            }
            "TRADE_LITE" => {
                if let Some(event) = self.lite(&parse(text)?, at)? {
                    tell(PrivateEvent::Order(event));
                }
            }
            "ACCOUNT_UPDATE" => self.account(&parse::<AccountFrame<'_>>(text)?.a, at, &mut tell)?,
            "ACCOUNT_CONFIG_UPDATE" => {
                let change = parse::<ConfigFrame<'_>>(text)?.ac;
                if let Some((change, (instrument, _))) = change.and_then(|it| Some((it.l, self.find(&it.s)?))) {
                    tell(PrivateEvent::Account(AccountEvent::Leverage { instrument, leverage: change }));
                }
            }
            "MARGIN_CALL" => tell(PrivateEvent::Account(AccountEvent::MarginCall)),
            "listenKeyExpired" => tell(PrivateEvent::ListenKeyExpired),
            _ => {}
        }
        Ok(())
    }

    fn find(&self, symbol: &str) -> Option<(InstrumentId, &Instrument)> {
        let at = self.instruments.iter().position(|terms| terms.symbol.as_str() == symbol)?;
        Some((InstrumentId(u16::try_from(at).ok()?), &self.instruments[at]))
    }

    /// Our id and the instrument; `None` for other clients' orders and for instruments that are not ours.
    fn ours(&self, symbol: &str, client_id: &str) -> Option<(InstrumentId, &Instrument, ClientId)> {
        let (instrument, terms) = self.find(symbol)?;
        Some((instrument, terms, self.prefix.parse(client_id)?))
    }

    fn order(&self, body: &OrderBody<'_>, at: Nanos) -> Result<Option<OrderEvent>, PrivateError> {
        let Some((instrument, terms, id)) = self.ours(&body.s, &body.c) else { return Ok(None) };
        let kind = match (&*body.x, &*body.status) {
            ("NEW", "EXPIRED") => OrderEventKind::Expired,
            ("NEW", _) => OrderEventKind::Accepted,
            ("AMENDMENT", _) => OrderEventKind::Amended,
            ("TRADE", _) => OrderEventKind::Fill,
            ("CANCELED", _) => OrderEventKind::Canceled,
            ("EXPIRED", _) => OrderEventKind::Expired,
            // Whatever else ends an order (self-trade prevention has had several names): the status says that it is gone.
            (_, "CANCELED") => OrderEventKind::Canceled,
            (_, "EXPIRED" | "EXPIRED_IN_MATCH") => OrderEventKind::Expired,
            // CALCULATED is a liquidation; its orders carry the venue's ids, never ours.
            _ => return Ok(None),
        };
        let mut event = OrderEvent {
            side: side(&body.side).ok_or_else(|| PrivateError::Side(body.side.to_string()))?,
            position_side: position_side(&body.ps),
            tif: time_in_force(&body.f),
            reduce_only: body.reduce_only,
            venue_id: body.i,
            price: Ticks(count("p", terms.tick, &body.p)?),
            qty: Lots(count("q", terms.lot, &body.q)?),
            filled: Lots(count("z", terms.lot, &body.z)?),
            venue_time: at,
            ..bare(kind, OrderSource::Stream, instrument, id, 0)
        };
        if kind == OrderEventKind::Fill {
            let in_quote = body.fee_asset.as_deref() == Some(terms.quote.as_str());
            event.fill = Fill {
                trade_id: body.t.unsigned_abs(),
                price: Ticks(count("L", terms.tick, &body.last_price)?),
                qty: Lots(count("l", terms.lot, &body.l)?),
                fee: match &body.n {
                    Some(fee) if in_quote => number("n", Money::parse(fee.as_bytes()))?,
                    _ => Money::ZERO,
                },
                fee_known: in_quote,
                maker: body.m,
            };
        }
        Ok(Some(event))
    }

    fn lite(&self, body: &Lite<'_>, at: Nanos) -> Result<Option<OrderEvent>, PrivateError> {
        let Some((instrument, terms, id)) = self.ours(&body.s, &body.c) else { return Ok(None) };
        Ok(Some(OrderEvent {
            side: side(&body.side).ok_or_else(|| PrivateError::Side(body.side.to_string()))?,
            venue_id: body.i,
            price: Ticks(count("p", terms.tick, &body.p)?),
            qty: Lots(count("q", terms.lot, &body.q)?),
            fill: Fill {
                trade_id: body.t.unsigned_abs(),
                price: Ticks(count("L", terms.tick, &body.last_price)?),
                qty: Lots(count("l", terms.lot, &body.l)?),
                fee: Money::ZERO,
                fee_known: false,
                maker: body.m,
            },
            venue_time: at,
            ..bare(OrderEventKind::Fill, OrderSource::Stream, instrument, id, 0)
        }))
    }

    fn account(
        &self,
        body: &AccountBody<'_>,
        at: Nanos,
        tell: &mut impl FnMut(PrivateEvent),
    ) -> Result<(), PrivateError> {
        let mut say = |event| tell(PrivateEvent::Account(event));
        for balance in &body.balances {
            let quoted_in = |terms: &Instrument| terms.quote.as_str() == balance.a;
            let Some(instrument) = self.instruments.iter().position(quoted_in) else { continue };
            let wallet = number("wb", Money::parse(balance.wb.as_bytes()))?;
            say(AccountEvent::Balance { wallet, available: wallet });
            if let (true, Some(change)) = (body.m == "FUNDING_FEE", &balance.bc) {
                let amount = number("bc", Money::parse(change.as_bytes()))?;
                // Cross-margin funding names no symbol; an isolated one comes with its position.
                let named = body.positions.first().and_then(|position| self.find(&position.s));
                let instrument = named.map_or(InstrumentId(instrument as u16), |(id, _)| id);
                say(AccountEvent::Funding { instrument, amount });
            }
        }
        for position in &body.positions {
            let Some((instrument, terms)) = self.find(&position.s) else { continue };
            say(AccountEvent::Position {
                instrument,
                side: position_side(&position.ps),
                qty: Lots(count("pa", terms.lot, &position.pa)?),
                entry: number("ep", Price::parse(position.ep.as_bytes()))?,
                snapshot: false,
                venue_time: at,
            });
        }
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, PrivateError> {
    serde_json::from_slice(text).map_err(|error| PrivateError::Malformed(error.to_string()))
}

fn number<T>(key: &'static str, value: Result<T, DecimalError>) -> Result<T, PrivateError> {
    value.map_err(|reason| PrivateError::Number { key, reason })
}

fn count(key: &'static str, step: Step, text: &str) -> Result<i64, PrivateError> {
    number(key, step.parse_count(text.as_bytes()))
}

/// `{"stream":"..","data":X}` to X; anything else stays as it is.
fn strip_envelope(text: &[u8]) -> &[u8] {
    const DATA: &[u8] = b"\"data\":";
    if !text.starts_with(b"{\"stream\":") {
        return text;
    }
    let Some(at) = text.windows(DATA.len()).position(|window| window == DATA) else { return text };
    text[at + DATA.len()..].strip_suffix(b"}").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Side;

    fn told(frame: &str) -> Vec<PrivateEvent> {
        let terms = [Instrument::synthetic("BTCUSDT", "0.1", "0.001")];
        let mut events = Vec::new();
        PrivateDecoder::new(&terms, Prefix::new("sq").unwrap())
            .decode(frame.as_bytes(), |event| events.push(event))
            .unwrap();
        events
    }

    fn order_frame(x: &str, status: &str, id: &str) -> String {
        format!(
            r#"{{"e":"ORDER_TRADE_UPDATE","E":1700000000001,"T":1700000000000,"o":{{"s":"BTCUSDT","c":"{id}","S":"SELL","o":"LIMIT",
            "f":"GTX","q":"0.005","p":"61800.20","ap":"0","sp":"0","x":"{x}","X":"{status}","i":77,"l":"0.002","z":"0.003","L":"61800.20",
            "n":"0.02472008","N":"USDT","T":1700000000000,"t":991,"b":"0","a":"9","m":true,"R":false,"wt":"CONTRACT_PRICE","ot":"LIMIT",
            "ps":"BOTH","cp":false,"rp":"0.1","st":1}}}}"#
        )
    }

    #[test]
    fn every_execution_type_has_its_event() {
        for (x, status, kind) in [
            ("NEW", "NEW", OrderEventKind::Accepted),
            ("TRADE", "PARTIALLY_FILLED", OrderEventKind::Fill),
            ("AMENDMENT", "NEW", OrderEventKind::Amended),
            ("CANCELED", "CANCELED", OrderEventKind::Canceled),
            ("EXPIRED", "EXPIRED", OrderEventKind::Expired),
            ("EXPIRED", "EXPIRED_IN_MATCH", OrderEventKind::Expired),
            ("TRADE_PREVENTION", "EXPIRED_IN_MATCH", OrderEventKind::Expired),
            ("SOMETHING_NEW", "CANCELED", OrderEventKind::Canceled),
        ] {
            let events = told(&order_frame(x, status, "sq00000010-00000002"));
            let [PrivateEvent::Order(event)] = events[..] else { panic!("{x}: {events:?}") };
            assert_eq!((event.kind, event.client_id.seq, event.filled), (kind, 2, Lots(3)), "{x}");
        }
        assert_eq!(told(&order_frame("NEW", "NEW", "x-other")), []);
        assert_eq!(told(&order_frame("CALCULATED", "FILLED", "autoclose-1")), []);
    }

    #[test]
    fn a_fill_has_its_fee_once_and_exactly() {
        let [PrivateEvent::Order(event)] = told(&order_frame("TRADE", "FILLED", "sq00000010-00000002"))[..] else {
            panic!()
        };
        let fee = Money::parse(b"0.02472008").unwrap();
        let fill = Fill { trade_id: 991, price: Ticks(618_002), qty: Lots(2), fee, fee_known: true, maker: true };
        assert_eq!((event.fill, event.side), (fill, Side::Sell));
        let lite = r#"{"e":"TRADE_LITE","E":1,"T":1,"s":"BTCUSDT","q":"0.005","p":"61800.20","m":true,"c":"sq00000010-00000002",
            "S":"SELL","L":"61800.20","l":"0.002","t":991,"i":77}"#;
        let [PrivateEvent::Order(event)] = told(lite)[..] else { panic!() };
        assert_eq!(event.fill, Fill { fee: Money::ZERO, fee_known: false, ..fill });
    }

    #[test]
    fn account_updates_give_balances_positions_and_funding() {
        let frame = r#"{"stream":"key","data":{"e":"ACCOUNT_UPDATE","E":2,"T":1,"a":{"m":"FUNDING_FEE",
            "B":[{"a":"USDT","wb":"99.5","cw":"99.5","bc":"-0.5"},{"a":"BNB","wb":"1","cw":"1","bc":"0"}],
            "P":[{"s":"BTCUSDT","pa":"-0.020","ep":"61000.05","bep":"0","cr":"0","up":"0","mt":"cross","iw":"0","ps":"BOTH"},
                 {"s":"OTHERUSDT","pa":"1","ep":"1","ps":"BOTH"}]}}}"#;
        let wallet = Money::parse(b"99.5").unwrap();
        let (instrument, amount) = (InstrumentId(0), Money::parse(b"-0.5").unwrap());
        let position = AccountEvent::Position {
            instrument,
            side: crate::event::PositionSide::Net,
            qty: Lots(-20),
            entry: Price::parse(b"61000.05").unwrap(),
            snapshot: false,
            venue_time: Nanos::from_millis(1),
        };
        let expected = [
            AccountEvent::Balance { wallet, available: wallet },
            AccountEvent::Funding { instrument, amount },
            position,
        ];
        assert_eq!(told(frame), expected.map(PrivateEvent::Account));
    }

    #[test]
    fn other_frames_say_what_they_mean_or_nothing() {
        assert_eq!(told(r#"{"e":"listenKeyExpired","E":1,"listenKey":"k"}"#), [PrivateEvent::ListenKeyExpired]);
        assert_eq!(
            told(r#"{"e":"MARGIN_CALL","E":1,"cw":"3","p":[]}"#),
            [PrivateEvent::Account(AccountEvent::MarginCall)]
        );
        assert_eq!(told(r#"{"e":"STRATEGY_UPDATE","E":1}"#), []);
        let leverage = AccountEvent::Leverage { instrument: InstrumentId(0), leverage: 25 };
        let frame = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":25}}"#;
        assert_eq!(told(frame), [PrivateEvent::Account(leverage)]);
    }

    #[test]
    fn wrong_numbers_and_cut_frames_are_errors() {
        let decoder =
            PrivateDecoder::new(&[Instrument::synthetic("BTCUSDT", "0.1", "0.001")], Prefix::new("sq").unwrap());
        let frame = order_frame("TRADE", "FILLED", "sq00000010-00000002");
        for cut in 1..frame.len() {
            assert!(decoder.decode(&frame.as_bytes()[..cut], |_| {}).is_err(), "cut at {cut}");
        }
        let odd = frame.replace("\"l\":\"0.002\"", "\"l\":\"0.0021\"");
        assert!(matches!(decoder.decode(odd.as_bytes(), |_| {}), Err(PrivateError::Number { key: "l", .. })));
    }
}
