//! What the venue's answers mean for an order, whichever way they came: order objects and error codes. Guesses nothing: an answer
//! that leaves the outcome open says [`OrderEventKind::Unknown`].

use super::client_id::Prefix;
use crate::event::ClientId;
use crate::event::{CommandKind, Fill, OrderEvent, OrderEventKind, OrderSource, PositionSide, Side, TimeInForce};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Ticks};
use serde::Deserialize;
use std::borrow::Cow;

/// The order object of REST and WebSocket API answers (notes section 4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderObject<'a> {
    /// The venue's id.
    #[serde(default)]
    pub order_id: u64,
    /// Symbol.
    #[serde(borrow, default)]
    pub symbol: Cow<'a, str>,
    /// NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, EXPIRED_IN_MATCH, REJECTED.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// Ours, or another client's.
    #[serde(borrow)]
    pub client_order_id: Cow<'a, str>,
    /// Limit price.
    #[serde(borrow, default)]
    pub price: Cow<'a, str>,
    /// Total quantity.
    #[serde(borrow, default)]
    pub orig_qty: Cow<'a, str>,
    /// Executed quantity.
    #[serde(borrow, default)]
    pub executed_qty: Cow<'a, str>,
    /// BUY or SELL.
    #[serde(borrow, default)]
    pub side: Cow<'a, str>,
    /// BOTH, LONG or SHORT.
    #[serde(borrow, default)]
    pub position_side: Cow<'a, str>,
    /// GTC, GTX, IOC, ...
    #[serde(borrow, default)]
    pub time_in_force: Cow<'a, str>,
    /// Only shrinks the position.
    #[serde(default)]
    pub reduce_only: bool,
    /// The venue's time, ms.
    #[serde(default)]
    pub update_time: i64,
}

/// An event with nothing in it but its identity.
#[must_use]
pub fn bare(
    kind: OrderEventKind,
    source: OrderSource,
    instrument: InstrumentId,
    id: ClientId,
    generation: u32,
) -> OrderEvent {
    OrderEvent {
        kind,
        source,
        side: Side::Buy,
        position_side: PositionSide::Net,
        tif: TimeInForce::PostOnly,
        reduce_only: false,
        instrument,
        generation,
        code: 0,
        client_id: id,
        venue_id: 0,
        price: Ticks::ZERO,
        qty: Lots::ZERO,
        filled: Lots::ZERO,
        fill: Fill::default(),
        venue_time: Nanos::ZERO,
    }
}

/// BUY or SELL.
#[must_use]
pub fn side(text: &str) -> Option<Side> {
    match text {
        "BUY" => Some(Side::Buy),
        "SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// BOTH, LONG or SHORT.
#[must_use]
pub fn position_side(text: &str) -> PositionSide {
    match text {
        "LONG" => PositionSide::Long,
        "SHORT" => PositionSide::Short,
        _ => PositionSide::Net,
    }
}

/// Time in force; what we never send counts as good till cancelled.
#[must_use]
pub fn time_in_force(text: &str) -> TimeInForce {
    match text {
        "GTX" => TimeInForce::PostOnly,
        "IOC" | "FOK" => TimeInForce::Ioc,
        _ => TimeInForce::Gtc,
    }
}

impl OrderObject<'_> {
    /// The facts of the object as an event of the given kind. `None` when a number is not on the instrument's grid: such an
    /// object is not believed at all.
    #[must_use]
    pub fn event(
        &self,
        kind: OrderEventKind,
        source: OrderSource,
        instrument: InstrumentId,
        terms: &Instrument,
        prefix: &Prefix,
        generation: u32,
    ) -> Option<OrderEvent> {
        let count = |step: crate::unit::Step, text: &str| {
            if text.is_empty() { Some(0) } else { step.parse_count(text.as_bytes()).ok() }
        };
        let id = prefix.parse(&self.client_order_id).unwrap_or_default();
        Some(OrderEvent {
            side: side(&self.side).unwrap_or(Side::Buy),
            position_side: position_side(&self.position_side),
            tif: time_in_force(&self.time_in_force),
            reduce_only: self.reduce_only,
            venue_id: self.order_id,
            price: Ticks(count(terms.tick, &self.price)?),
            qty: Lots(count(terms.lot, &self.orig_qty)?),
            filled: Lots(count(terms.lot, &self.executed_qty)?),
            venue_time: Nanos::from_millis(self.update_time),
            ..bare(kind, source, instrument, id, generation)
        })
    }

    /// What a successful answer to `asked` says.
    #[must_use]
    pub fn outcome(&self, asked: CommandKind) -> OrderEventKind {
        let live = matches!(&*self.status, "NEW" | "PARTIALLY_FILLED");
        match (asked, live) {
            (CommandKind::Query, true) => OrderEventKind::Open,
            (CommandKind::Query, false) => OrderEventKind::Closed,
            // Gone is gone, whatever was asked: an amend to no more than what is executed, or of a post-only order to a price that
            // would take, ends the order.
            _ if matches!(&*self.status, "EXPIRED" | "EXPIRED_IN_MATCH") => OrderEventKind::Expired,
            _ if &*self.status == "CANCELED" => OrderEventKind::Canceled,
            (CommandKind::New | CommandKind::Market, _) if &*self.status == "REJECTED" => OrderEventKind::Rejected,
            (CommandKind::New | CommandKind::Market, _) if live || &*self.status == "FILLED" => {
                OrderEventKind::Accepted
            }
            (CommandKind::Amend, _) if live || &*self.status == "FILLED" => OrderEventKind::Amended,
            // No documented answer: ask.
            _ => OrderEventKind::Unknown,
        }
    }
}

/// What else an answer asks of the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hint {
    /// Nothing.
    #[default]
    None,
    /// Send nothing for this long.
    BackOff(Nanos),
    /// Send no orders for this long; cancels and questions go on.
    OrdersFull(Nanos),
    /// Our time stamps are off.
    SyncTime,
}

/// How long a ban lasts at least (notes section 6), where the venue does not say.
const BAN_SECONDS: i64 = 120;
/// Pause after 429 where the venue does not say: it counts by the minute and bans who goes on.
const TOO_MANY_SECONDS: i64 = 10;

/// How long no request may go out after a REST answer, whatever was asked. `retry_after` as in [`refusal`].
#[must_use]
pub fn back_off(status: u16, code: i32, retry_after: Option<Nanos>) -> Option<Nanos> {
    match refusal(CommandKind::Query, status, code, retry_after) {
        (_, Hint::BackOff(span)) => Some(span),
        _ => None,
    }
}

/// What an error answer says. `status` is HTTP's, `code` the venue's (0 if there was none), `retry_after` is how long the venue
/// asks us to wait, if it does.
/// Sources: notes section 6; <https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code>.
#[must_use]
pub fn refusal(asked: CommandKind, status: u16, code: i32, retry_after: Option<Nanos>) -> (OrderEventKind, Hint) {
    let wait = |seconds: i64| retry_after.unwrap_or(Nanos::from_secs(seconds));
    match (status, code) {
        (418, _) => return (OrderEventKind::NotSent, Hint::BackOff(wait(BAN_SECONDS))),
        // Too many orders of the account, which is no word about requests: before 429, the status that comes with it.
        (_, -1015) => return (OrderEventKind::NotSent, Hint::OrdersFull(wait(1))),
        (429, _) | (_, -1003) => return (OrderEventKind::NotSent, Hint::BackOff(wait(TOO_MANY_SECONDS))),
        // Overload: "Service Unavailable." (and -1008) means that nothing was done.
        (_, -1008) => return (OrderEventKind::NotSent, Hint::None),
        (_, -1021 | -5028) => return (OrderEventKind::NotSent, Hint::SyncTime),
        // Unknown, disconnected, unexpected response, time-out. A duplicate id means that an order with it may be there.
        (_, -1000 | -1001 | -1006 | -1007 | -4116) => return (OrderEventKind::Unknown, Hint::None),
        // The venue failed inside, or something between us did not wait for it or sent us elsewhere, or there is no status at all:
        // whatever else is said, the order may have been carried out.
        (..400 | 408 | 500.., _) => return (OrderEventKind::Unknown, Hint::None),
        _ => {}
    }
    let kind = match asked {
        CommandKind::New | CommandKind::Market => OrderEventKind::Rejected,
        // "No need to modify" comes without the order's terms, and we only ask when ours differ: the order has to be looked at.
        CommandKind::Amend if code == -5027 => OrderEventKind::Unknown,
        CommandKind::Amend => OrderEventKind::AmendRejected,
        CommandKind::Query if matches!(code, -2013 | -2011) => OrderEventKind::NotFound,
        CommandKind::Cancel => OrderEventKind::CancelRejected,
        _ => OrderEventKind::NotSent,
    };
    (kind, Hint::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_one_meaning() {
        use CommandKind::{Amend, Cancel, New, Query};
        use OrderEventKind as Kind;
        let seconds = |n| Hint::BackOff(Nanos::from_secs(n));
        let full = |n| Hint::OrdersFull(Nanos::from_secs(n));
        for (asked, status, code, retry, kind, hint) in [
            (New, 400, -5022, None, Kind::Rejected, Hint::None),
            (New, 400, -2019, None, Kind::Rejected, Hint::None),
            (New, 400, -1021, None, Kind::NotSent, Hint::SyncTime),
            (New, 429, -1003, Some(7), Kind::NotSent, seconds(7)),
            (New, 429, -1003, None, Kind::NotSent, seconds(10)),
            (New, 429, -1015, None, Kind::NotSent, full(1)),
            (New, 400, -1015, Some(4), Kind::NotSent, full(4)),
            (Cancel, 418, -1003, Some(300), Kind::NotSent, seconds(300)),
            (Cancel, 418, -1003, None, Kind::NotSent, seconds(120)),
            (New, 503, 0, None, Kind::Unknown, Hint::None),
            (New, 503, -1008, None, Kind::NotSent, Hint::None),
            (New, 503, -1000, None, Kind::Unknown, Hint::None),
            (New, 500, -9999, None, Kind::Unknown, Hint::None),
            (New, 400, -1001, None, Kind::Unknown, Hint::None),
            (New, 400, -4116, None, Kind::Unknown, Hint::None),
            (New, 408, -1007, None, Kind::Unknown, Hint::None),
            (New, 408, 0, None, Kind::Unknown, Hint::None),
            (New, 302, 0, None, Kind::Unknown, Hint::None),
            (Amend, 0, 0, None, Kind::Unknown, Hint::None),
            (New, 403, 0, None, Kind::Rejected, Hint::None),
            (Amend, 400, -5027, None, Kind::Unknown, Hint::None),
            (Amend, 400, -2013, None, Kind::AmendRejected, Hint::None),
            (Cancel, 400, -2011, None, Kind::CancelRejected, Hint::None),
            (Query, 400, -2013, None, Kind::NotFound, Hint::None),
        ] {
            assert_eq!(
                refusal(asked, status, code, retry.map(Nanos::from_secs)),
                (kind, hint),
                "{asked:?} {status} {code}"
            );
        }
    }

    #[test]
    fn only_a_word_about_requests_stops_requests() {
        let seconds = Nanos::from_secs;
        assert_eq!(back_off(429, -1003, Some(seconds(7))), Some(seconds(7)));
        assert_eq!(back_off(418, -1003, None), Some(seconds(120)));
        assert_eq!([back_off(429, -1015, None), back_off(400, -2011, None), back_off(503, -1008, None)], [None; 3]);
    }

    #[test]
    fn an_order_that_is_gone_is_never_called_live() {
        use CommandKind::{Amend, Cancel, Market, New, Query};
        use OrderEventKind as Kind;
        for (asked, status, kind) in [
            (New, "NEW", Kind::Accepted),
            (New, "FILLED", Kind::Accepted),
            (New, "CANCELED", Kind::Canceled),
            (New, "EXPIRED", Kind::Expired),
            (New, "REJECTED", Kind::Rejected),
            (Market, "EXPIRED_IN_MATCH", Kind::Expired),
            (Amend, "PARTIALLY_FILLED", Kind::Amended),
            (Amend, "CANCELED", Kind::Canceled),
            (Amend, "EXPIRED", Kind::Expired),
            (Cancel, "CANCELED", Kind::Canceled),
            (Cancel, "FILLED", Kind::Unknown),
            (Query, "PARTIALLY_FILLED", Kind::Open),
            (Query, "EXPIRED", Kind::Closed),
            (New, "MELTED", Kind::Unknown),
        ] {
            let text = format!(r#"{{"status":"{status}","clientOrderId":"x"}}"#);
            let order: OrderObject<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(order.outcome(asked), kind, "{asked:?} {status}");
        }
    }
}
