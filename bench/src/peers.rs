//! What a competent programmer writes on a first day: general JSON parsers, `BTreeMap` books, decimals. Written for comparison only.

use rust_decimal::Decimal;
use serde::Deserialize;
use simd_json::prelude::*;
use simd_json::{Buffers, Tape, tape};
use spinquote::event::{BestQuote, Event, Level, Side, Trade};
use spinquote::unit::{Lots, Ticks};
use spinquote::venue::codec::MarketMessage;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Decimals of the tick (0.1) of the contract in use.
const TICK_PLACES: u32 = 1;
/// Decimals of the lot (0.001).
const LOT_PLACES: u32 = 3;

/// A number that both sides of a comparison compute of a diff.
#[inline]
#[must_use]
pub fn sum_depth(ids: [u64; 3], bids: &[Level], asks: &[Level]) -> u64 {
    let side =
        |levels: &[Level]| levels.iter().fold(0_u64, |sum, level| sum.wrapping_add(mix(level.price.0, level.qty.0)));
    (side(bids) ^ side(asks).rotate_left(32)).wrapping_add(ids[0] ^ ids[1].rotate_left(20) ^ ids[2].rotate_left(40))
}

/// Of a best quote.
#[inline]
#[must_use]
pub fn sum_quote(seq: u64, bid: (i64, i64), ask: (i64, i64)) -> u64 {
    seq.wrapping_add(mix(bid.0, bid.1)) ^ mix(ask.0, ask.1).rotate_left(32)
}

/// Of a print.
#[inline]
#[must_use]
pub fn sum_trade(id: u64, price: i64, qty: i64, taker: Side) -> u64 {
    id.wrapping_add(mix(price, qty)).rotate_left(taker as u32)
}

#[inline]
fn mix(price: i64, qty: i64) -> u64 {
    price.wrapping_mul(1_000_003).wrapping_add(qty).cast_unsigned()
}

/// The same numbers of what our decoder says.
#[inline]
#[must_use]
pub fn sum_message(message: &MarketMessage<'_>) -> u64 {
    match message {
        MarketMessage::Event(Event::Depth(update)) => {
            sum_depth([update.first.0, update.last.0, update.prev.0], update.bids, update.asks)
        }
        MarketMessage::Event(Event::Quote(BestQuote { seq, bid, ask, .. })) => {
            sum_quote(seq.0, (bid.price.0, bid.qty.0), (ask.price.0, ask.qty.0))
        }
        MarketMessage::Event(Event::Trade(Trade { id, price, qty, taker, .. })) => {
            sum_trade(*id, price.0, qty.0, *taker)
        }
        _ => 0,
    }
}

/// `61800.20` as a count of units with `places` decimals; further decimals must be zeros.
fn fixed(text: &str, places: u32) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut value: i64 = 0;
    for digit in whole.bytes() {
        value = value * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    for place in 0..places as usize {
        let digit = fraction.as_bytes().get(place).copied().unwrap_or(b'0');
        value = value * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    fraction.bytes().skip(places as usize).all(|digit| digit == b'0').then_some(value)
}

/// What a peer understood; the levels of a diff are in its vectors.
pub enum Understood {
    /// A diff: `U`, `u`, `pu`.
    Depth([u64; 3]),
    /// Update id, bid and ask as price and quantity.
    Quote(u64, (i64, i64), (i64, i64)),
    /// Id, price, quantity, aggressor.
    Trade(u64, i64, i64, Side),
    /// Nothing to act on.
    Other,
}

/// simd-json's tape with reused buffers, and a reader of it.
pub struct SimdJson {
    buffers: Buffers,
    tape: Tape<'static>,
    /// Bids of the last diff or snapshot.
    pub bids: Vec<Level>,
    /// Asks of it.
    pub asks: Vec<Level>,
}

impl Default for SimdJson {
    fn default() -> Self {
        Self {
            buffers: Buffers::new(1 << 17),
            tape: Tape(Vec::with_capacity(1 << 16)),
            bids: Vec::with_capacity(8192),
            asks: Vec::with_capacity(8192),
        }
    }
}

impl SimdJson {
    /// Only fills the tape.
    ///
    /// # Panics
    /// Not JSON.
    pub fn tape_only(&mut self, document: &mut [u8]) -> u64 {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        simd_json::fill_tape(document, &mut self.buffers, &mut tape).expect("JSON");
        let nodes = tape.0.len() as u64;
        self.tape = tape.reset();
        nodes
    }

    /// Reads a market frame.
    ///
    /// # Panics
    /// Not a frame of the session.
    pub fn decode(&mut self, document: &mut [u8]) -> Understood {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        simd_json::fill_tape(document, &mut self.buffers, &mut tape).expect("JSON");
        let root = tape.as_value();
        let data = root.get("data").expect("an envelope");
        let understood = self.read(data).expect("a frame of the session");
        self.tape = tape.reset();
        understood
    }

    /// The body of a REST snapshot; returns its update id.
    ///
    /// # Panics
    /// Not a snapshot.
    pub fn snapshot(&mut self, body: &mut [u8]) -> u64 {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        simd_json::fill_tape(body, &mut self.buffers, &mut tape).expect("JSON");
        let root = tape.as_value();
        let last = root.get("lastUpdateId").and_then(|id| id.as_u64()).expect("an update id");
        levels(root, "bids", &mut self.bids).expect("bids");
        levels(root, "asks", &mut self.asks).expect("asks");
        self.tape = tape.reset();
        last
    }

    fn read(&mut self, data: tape::Value<'_, '_>) -> Option<Understood> {
        let integer = |key: &str| data.get(key)?.as_u64();
        let price = |key: &str| fixed(data.get(key)?.into_string()?, TICK_PLACES);
        let qty = |key: &str| fixed(data.get(key)?.into_string()?, LOT_PLACES);
        Some(match data.get("e")?.into_string()? {
            "depthUpdate" => {
                levels(data, "b", &mut self.bids)?;
                levels(data, "a", &mut self.asks)?;
                Understood::Depth([integer("U")?, integer("u")?, integer("pu")?])
            }
            "bookTicker" => Understood::Quote(integer("u")?, (price("b")?, qty("B")?), (price("a")?, qty("A")?)),
            "trade" if data.get("X")?.into_string()? == "MARKET" => {
                let taker = if data.get("m")?.as_bool()? { Side::Sell } else { Side::Buy };
                Understood::Trade(integer("t")?, price("p")?, qty("q")?, taker)
            }
            _ => Understood::Other,
        })
    }

    /// [`SimdJson::decode`] as a checksum.
    pub fn sum(&mut self, document: &mut [u8]) -> u64 {
        match self.decode(document) {
            Understood::Depth(ids) => sum_depth(ids, &self.bids, &self.asks),
            Understood::Quote(seq, bid, ask) => sum_quote(seq, bid, ask),
            Understood::Trade(id, price, qty, taker) => sum_trade(id, price, qty, taker),
            Understood::Other => 0,
        }
    }
}

fn levels(data: tape::Value<'_, '_>, key: &str, out: &mut Vec<Level>) -> Option<()> {
    out.clear();
    for level in &data.get(key)?.as_array()? {
        let level = level.as_array()?;
        let mut parts = level.iter();
        let price = fixed(parts.next()?.into_string()?, TICK_PLACES)?;
        let qty = fixed(parts.next()?.into_string()?, LOT_PLACES)?;
        out.push(Level { price: Ticks(price), qty: Lots(qty) });
    }
    Some(())
}

/// A book of two sorted maps.
#[derive(Default)]
pub struct TreeBook<P, Q> {
    /// Quantity by price.
    pub bids: BTreeMap<P, Q>,
    /// Quantity by price.
    pub asks: BTreeMap<P, Q>,
}

impl<P: Ord + Copy, Q: PartialEq + Copy + Default> TreeBook<P, Q> {
    /// Sets absolute levels; a quantity of zero removes.
    pub fn apply(&mut self, side: Side, levels: impl Iterator<Item = (P, Q)>) {
        let book = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
        for (price, qty) in levels {
            if qty == Q::default() {
                book.remove(&price);
            } else {
                book.insert(price, qty);
            }
        }
    }

    /// Best bid and best ask.
    #[must_use]
    pub fn best(&self) -> (Option<P>, Option<P>) {
        let bid = self.bids.last_key_value().map(|(price, _)| *price);
        (bid, self.asks.first_key_value().map(|(price, _)| *price))
    }
}

/// Prices and quantities of levels as plain numbers.
pub fn plain(levels: &[Level]) -> impl Iterator<Item = (i64, i64)> + '_ {
    levels.iter().map(|level| (level.price.0, level.qty.0))
}

/// serde_json into typed structures, numbers as `Decimal`.
#[derive(Default)]
pub struct SerdeJson {
    /// Bids of the last diff or snapshot.
    pub bids: Vec<(Decimal, Decimal)>,
    /// Asks of it.
    pub asks: Vec<(Decimal, Decimal)>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
#[expect(non_snake_case, reason = "the venue's keys")]
struct Depth<'a> {
    U: u64,
    u: u64,
    pu: u64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    a: Vec<[&'a str; 2]>,
}

#[derive(Deserialize)]
#[expect(non_snake_case, reason = "the venue's keys")]
struct Ticker<'a> {
    u: u64,
    b: &'a str,
    B: &'a str,
    a: &'a str,
    A: &'a str,
}

#[derive(Deserialize)]
#[expect(non_snake_case, reason = "the venue's keys")]
struct Print<'a> {
    t: u64,
    p: &'a str,
    q: &'a str,
    X: &'a str,
    m: bool,
}

#[derive(Deserialize)]
#[expect(non_snake_case, reason = "the venue's keys")]
struct Rest<'a> {
    lastUpdateId: u64,
    #[serde(borrow)]
    bids: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    asks: Vec<[&'a str; 2]>,
}

/// What [`SerdeJson`] understood.
pub enum Typed {
    /// A diff: `U`, `u`, `pu`.
    Depth([u64; 3]),
    /// Update id, bid and ask as price and quantity.
    Quote(u64, (Decimal, Decimal), (Decimal, Decimal)),
    /// Id, price, quantity, aggressor.
    Trade(u64, Decimal, Decimal, Side),
    /// Nothing to act on.
    Other,
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str(text).expect("a decimal number")
}

fn pairs(from: &[[&str; 2]], to: &mut Vec<(Decimal, Decimal)>) {
    to.clear();
    to.extend(from.iter().map(|[price, qty]| (decimal(price), decimal(qty))));
}

/// Whole units with `places` decimals in a number that has no finer ones.
fn units(number: Decimal, places: u32) -> i64 {
    let mut value = number.mantissa() as i64;
    for _ in places..number.scale() {
        value /= 10;
    }
    for _ in number.scale()..places {
        value *= 10;
    }
    value
}

/// Ticks in a price.
#[must_use]
pub fn ticks(price: Decimal) -> i64 {
    units(price, TICK_PLACES)
}

/// Lots in a quantity.
#[must_use]
pub fn lots(qty: Decimal) -> i64 {
    units(qty, LOT_PLACES)
}

impl SerdeJson {
    /// Reads a market frame. Which structure is due is told by the stream's name at a fixed place, which costs it nothing.
    ///
    /// # Panics
    /// Not a frame of the session.
    pub fn decode(&mut self, document: &[u8]) -> Typed {
        const WRONG: &str = "a frame of the session";
        match document["{\"stream\":\"btcusdt@".len()] {
            b'd' => {
                let Depth { U, u, pu, b, a } =
                    serde_json::from_slice::<Envelope<Depth<'_>>>(document).expect(WRONG).data;
                pairs(&b, &mut self.bids);
                pairs(&a, &mut self.asks);
                Typed::Depth([U, u, pu])
            }
            b'b' => {
                let ticker = serde_json::from_slice::<Envelope<Ticker<'_>>>(document).expect(WRONG).data;
                let Ticker { u, b, B, a, A } = ticker;
                Typed::Quote(u, (decimal(b), decimal(B)), (decimal(a), decimal(A)))
            }
            _ => {
                let Print { t, p, q, X, m } =
                    serde_json::from_slice::<Envelope<Print<'_>>>(document).expect(WRONG).data;
                if X != "MARKET" {
                    return Typed::Other;
                }
                Typed::Trade(t, decimal(p), decimal(q), if m { Side::Sell } else { Side::Buy })
            }
        }
    }

    /// The body of a REST snapshot; returns its update id.
    ///
    /// # Panics
    /// Not a snapshot.
    pub fn snapshot(&mut self, body: &[u8]) -> u64 {
        let Rest { lastUpdateId, bids, asks } = serde_json::from_slice(body).expect("a snapshot");
        pairs(&bids, &mut self.bids);
        pairs(&asks, &mut self.asks);
        lastUpdateId
    }

    /// [`SerdeJson::decode`] as a checksum.
    pub fn sum(&mut self, document: &[u8]) -> u64 {
        let number = |(price, qty): (Decimal, Decimal)| (ticks(price), lots(qty));
        match self.decode(document) {
            Typed::Depth(ids) => {
                let side = |levels: &[(Decimal, Decimal)]| {
                    let sums = levels.iter().map(|level| number(*level)).map(|(price, qty)| mix(price, qty));
                    sums.fold(0_u64, u64::wrapping_add)
                };
                let (bids, asks) = (side(&self.bids), side(&self.asks));
                (bids ^ asks.rotate_left(32)).wrapping_add(ids[0] ^ ids[1].rotate_left(20) ^ ids[2].rotate_left(40))
            }
            Typed::Quote(seq, bid, ask) => sum_quote(seq, number(bid), number(ask)),
            Typed::Trade(id, price, qty, taker) => sum_trade(id, ticks(price), lots(qty), taker),
            Typed::Other => 0,
        }
    }
}
