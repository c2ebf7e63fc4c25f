//! Names of streams and addresses of WebSocket endpoints. Pure text.

use crate::instrument::InstrumentId;
use crate::sim::exchange::Exchange;
use crate::sim::protocol::{Credentials, KeyId};
use crate::sim::spot::{SpotChannel, SpotMarket};
use crate::sim::tape::INTERVALS;
use crate::unit::Nanos;
use crate::wire::http;

/// What a stream carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Channel {
    /// Depth changes, gathered over so many milliseconds; 0 as they come.
    Depth(u16),
    /// The best levels, so many a side, every so many milliseconds.
    Partial(u8, u16),
    /// The touch.
    BookTicker,
    /// Prints.
    Trade,
    /// Aggregate prints.
    AggTrade,
    /// Mark price every so many seconds: 1 or 3.
    Mark(u8),
    /// The day's figures, short.
    MiniTicker,
    /// The day's figures.
    Ticker,
    /// Candles, by their place in [`INTERVALS`].
    Kline(u8),
    /// The private stream of a key.
    Private(KeyId),
    /// Of the spot market.
    Spot(SpotChannel),
    /// A name that the venue accepts and this server has nothing for.
    Nothing,
}

/// One subscription of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// As the client wrote it.
    pub name: String,
    /// Which market; meaningless for private streams.
    pub instrument: InstrumentId,
    /// Every market, not only that one.
    pub every: bool,
    /// What.
    pub channel: Channel,
}

/// Understands a stream name.
#[must_use]
pub fn parse(name: &str, now: Nanos, exchange: &Exchange, credentials: &Credentials) -> Subscription {
    let (text, instrument) = (name.to_owned(), InstrumentId(0));
    let nothing = Subscription { name: text, instrument, every: false, channel: Channel::Nothing };
    if let Some(key) = credentials.listener(now, name) {
        return Subscription { channel: Channel::Private(key), ..nothing };
    }
    let every = match name {
        "!bookTicker" => Some(Channel::BookTicker),
        "!ticker@arr" => Some(Channel::Ticker),
        "!miniTicker@arr" => Some(Channel::MiniTicker),
        "!markPrice@arr" => Some(Channel::Mark(3)),
        "!markPrice@arr@1s" => Some(Channel::Mark(1)),
        _ => None,
    };
    if let Some(channel) = every {
        return Subscription { channel, every: true, ..nothing };
    }
    let mut parts = name.split('@');
    let symbol = parts.next().unwrap_or_default().to_ascii_uppercase();
    let Some(instrument) = exchange.instrument_by_symbol(&symbol) else { return nothing };
    let kind = parts.next().unwrap_or_default();
    let speed = parts.next();
    let millis = |speed: Option<&str>| match speed {
        None | Some("250ms") => Some(250),
        Some("100ms") => Some(100),
        Some("500ms") => Some(500),
        Some("0ms") => Some(0),
        Some(_) => None,
    };
    let channel = match (kind, speed) {
        ("depth" | "rpiDepth", speed) => millis(speed).map(Channel::Depth),
        ("depth5", speed) => millis(speed).map(|m| Channel::Partial(5, m.max(100))),
        ("depth10", speed) => millis(speed).map(|m| Channel::Partial(10, m.max(100))),
        ("depth20", speed) => millis(speed).map(|m| Channel::Partial(20, m.max(100))),
        ("bookTicker", None) => Some(Channel::BookTicker),
        ("trade", None) => Some(Channel::Trade),
        ("aggTrade", None) => Some(Channel::AggTrade),
        ("markPrice", None | Some("3s")) => Some(Channel::Mark(3)),
        ("markPrice", Some("1s")) => Some(Channel::Mark(1)),
        ("miniTicker", None) => Some(Channel::MiniTicker),
        ("ticker", None) => Some(Channel::Ticker),
        (kind, None) => kind.strip_prefix("kline_").and_then(|name| {
            let at = INTERVALS.iter().position(|(known, _)| *known == name)?;
            Some(Channel::Kline(u8::try_from(at).expect("a handful")))
        }),
        _ => None,
    };
    match channel {
        Some(channel) => Subscription { instrument, channel, ..nothing },
        None => nothing,
    }
}

/// Understands a stream name of the spot market.
#[must_use]
pub fn parse_spot(name: &str, market: Option<&SpotMarket>) -> Subscription {
    let channel = market.and_then(|market| market.channel(name)).map_or(Channel::Nothing, Channel::Spot);
    // No market of the exchange has this number.
    Subscription { name: name.to_owned(), instrument: InstrumentId(u16::MAX), every: false, channel }
}

/// What a WebSocket address means.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Endpoint {
    /// The WebSocket API, not streams.
    pub api: bool,
    /// Frames come in the envelope `{"stream":..,"data":..}`.
    pub combined: bool,
    /// Streams of the spot market.
    pub spot: bool,
    /// Streams to begin with.
    pub streams: Vec<String>,
    /// Private events wanted; empty for all.
    pub events: Vec<String>,
}

/// Understands the path and query of an upgrade; `None` for an address that does not exist.
#[must_use]
pub fn endpoint(path: &str, query: &str) -> Option<Endpoint> {
    let mut endpoint = Endpoint::default();
    let path = path.trim_end_matches('/');
    if path == "/ws-fapi/v1" {
        return Some(Endpoint { api: true, ..endpoint });
    }
    endpoint.spot = path.starts_with("/spot/");
    let path = ["/spot", "/public", "/market", "/private"].iter().find_map(|p| path.strip_prefix(p)).unwrap_or(path);
    let names = |text: &str| text.split('/').filter(|n| !n.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    if path == "/stream" {
        endpoint.combined = true;
    } else if path == "/ws" {
        endpoint.combined = false;
    } else {
        endpoint.streams = names(path.strip_prefix("/ws/")?);
    }
    for (key, value) in http::pairs(query) {
        let value = http::decode_percent(value)?;
        match key {
            "streams" => endpoint.streams.extend(names(&value)),
            "listenKey" => endpoint.streams.push(value.into_owned()),
            "events" => endpoint.events.extend(names(&value)),
            _ => {}
        }
    }
    Some(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::Instrument;
    use crate::sim::order::AccountId;
    use crate::sim::queue::QueueModel;

    #[test]
    fn stream_names_are_understood() {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let exchange = Exchange::new(vec![btc], 1, QueueModel::RiskAverse);
        let mut credentials = Credentials::default();
        let id = credentials.add(AccountId(0), "k", "s", None).unwrap();
        let listen = credentials.start_listening(Nanos(1), id).to_owned();
        for (name, channel) in [
            ("btcusdt@depth", Channel::Depth(250)),
            ("btcusdt@depth@0ms", Channel::Depth(0)),
            ("btcusdt@depth@500ms", Channel::Depth(500)),
            ("btcusdt@depth5@100ms", Channel::Partial(5, 100)),
            ("btcusdt@bookTicker", Channel::BookTicker),
            ("BTCUSDT@trade", Channel::Trade),
            ("btcusdt@markPrice", Channel::Mark(3)),
            ("btcusdt@markPrice@1s", Channel::Mark(1)),
            ("btcusdt@kline_1m", Channel::Kline(0)),
            ("btcusdt@kline_1h", Channel::Kline(5)),
            ("btcusdt@kline_7m", Channel::Nothing),
            ("!bookTicker", Channel::BookTicker),
            ("!markPrice@arr@1s", Channel::Mark(1)),
            ("xyz@trade", Channel::Nothing),
            ("0", Channel::Nothing),
            (listen.as_str(), Channel::Private(id)),
        ] {
            assert_eq!(parse(name, Nanos(2), &exchange, &credentials).channel, channel, "{name}");
        }
    }

    #[test]
    fn every_form_of_address_is_taken() {
        let streams = |e: &Endpoint| e.streams.join(" ");
        for (path, query, combined, names) in [
            ("/ws", "", false, ""),
            ("/ws/a@b/c@d", "", false, "a@b c@d"),
            ("/stream", "streams=a@b/c@d", true, "a@b c@d"),
            ("/public/ws/0", "", false, "0"),
            ("/public/stream", "streams=btcusdt@depth&timeUnit=MICROSECOND", true, "btcusdt@depth"),
            ("/market/ws/", "", false, ""),
            ("/private/ws", "listenKey=kk&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE", false, "kk"),
            ("/private/stream", "listenKey=kk", true, "kk"),
            ("/ws/kk", "", false, "kk"),
        ] {
            let e = endpoint(path, query).unwrap();
            assert_eq!((e.combined, streams(&e).as_str(), e.api), (combined, names, false), "{path}?{query}");
        }
        let spot = endpoint("/spot/stream", "streams=btcusdt@trade").unwrap();
        assert!(spot.spot && spot.combined && !endpoint("/stream", "").unwrap().spot);
        assert!(endpoint("/ws-fapi/v1", "").unwrap().api);
        assert_eq!(endpoint("/private/ws", "listenKey=k&events=A/B").unwrap().events, ["A", "B"]);
        assert_eq!(endpoint("/fapi/v1/order", ""), None);
        assert_eq!(endpoint("/wsx", ""), None);
    }
}
