//! The market frames of a recording as their texts: kind, symbol and numbers still undigested, because the grid of a recorded
//! contract is only known after its numbers were seen. Off the hot path; `venue` has the fast decoder.

use serde::Deserialize;

/// A level as texts: price, quantity.
pub(super) type Texts<'a> = [&'a str; 2];

/// A frame, or what else stands in a recording.
pub(super) enum Frame<'a> {
    Depth(Depth<'a>),
    Quote(Quote<'a>),
    Trade(Trade<'a>),
    Mark(Mark<'a>),
    /// A REST snapshot; it does not name its symbol.
    Snapshot(Snapshot<'a>),
    /// Another kind of message.
    Other,
}

#[derive(Deserialize)]
pub(super) struct Depth<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    /// USD-M has it; spot's only time is that of sending.
    #[serde(rename = "T")]
    matched_ms: Option<i64>,
    #[serde(rename = "E")]
    sent_ms: i64,
    #[serde(rename = "U")]
    pub first: u64,
    #[serde(rename = "u")]
    pub last: u64,
    /// USD-M has it; the ids of spot diffs are consecutive.
    #[serde(rename = "pu")]
    prev: Option<u64>,
    #[serde(rename = "b", borrow)]
    pub bids: Vec<Texts<'a>>,
    #[serde(rename = "a", borrow)]
    pub asks: Vec<Texts<'a>>,
}

impl Depth<'_> {
    pub(super) fn time_ms(&self) -> i64 {
        self.matched_ms.unwrap_or(self.sent_ms)
    }

    /// The update that it follows.
    pub(super) fn prev(&self) -> u64 {
        self.prev.unwrap_or(self.first.saturating_sub(1))
    }
}

#[derive(Deserialize)]
pub(super) struct Quote<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "u")]
    pub seq: u64,
    /// Spot has none.
    #[serde(rename = "T")]
    pub time_ms: Option<i64>,
    #[serde(rename = "b")]
    pub bid: &'a str,
    #[serde(rename = "B")]
    pub bid_qty: &'a str,
    #[serde(rename = "a")]
    pub ask: &'a str,
    #[serde(rename = "A")]
    pub ask_qty: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Trade<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "T")]
    pub time_ms: i64,
    /// Single prints have it.
    #[serde(rename = "t")]
    pub id: Option<u64>,
    /// Aggregates have it.
    #[serde(rename = "a")]
    pub aggregate_id: Option<u64>,
    #[serde(rename = "p")]
    pub price: &'a str,
    #[serde(rename = "q")]
    pub qty: &'a str,
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
    /// Only `MARKET` is a print of the order book.
    #[serde(rename = "X")]
    pub origin: Option<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct Mark<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "E")]
    pub time_ms: i64,
    #[serde(rename = "p")]
    pub mark: &'a str,
    #[serde(rename = "i")]
    pub index: &'a str,
    #[serde(rename = "P")]
    pub settle: &'a str,
    #[serde(rename = "r")]
    pub rate: &'a str,
    #[serde(rename = "T")]
    pub next_funding_ms: i64,
}

#[derive(Deserialize)]
pub(super) struct Snapshot<'a> {
    #[serde(borrow)]
    pub bids: Vec<Texts<'a>>,
    #[serde(borrow)]
    pub asks: Vec<Texts<'a>>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    e: Option<&'a str>,
    #[serde(rename = "lastUpdateId")]
    snapshot: Option<u64>,
    /// The bid's quantity of a spot best quote, which does not say what it is.
    #[serde(rename = "B", borrow)]
    bid_qty: Option<&'a str>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

impl Frame<'_> {
    /// The contract it is about, where the frame says.
    pub(super) fn symbol(&self) -> Option<&str> {
        match self {
            Self::Depth(frame) => Some(frame.symbol),
            Self::Quote(frame) => Some(frame.symbol),
            Self::Trade(frame) => Some(frame.symbol),
            Self::Mark(frame) => Some(frame.symbol),
            Self::Snapshot(_) | Self::Other => None,
        }
    }
}

/// Parses one frame, in the combined envelope or bare.
pub(super) fn parse(json: &[u8]) -> Result<Frame<'_>, serde_json::Error> {
    fn body<'a, T: Deserialize<'a>>(json: &'a [u8], wrapped: bool) -> Result<T, serde_json::Error> {
        if wrapped {
            serde_json::from_slice::<Envelope<T>>(json).map(|envelope| envelope.data)
        } else {
            serde_json::from_slice(json)
        }
    }
    let wrapped = json.starts_with(b"{\"stream\"");
    let head: Head<'_> = body(json, wrapped)?;
    Ok(match head.e {
        Some("depthUpdate") => Frame::Depth(body(json, wrapped)?),
        Some("bookTicker") => Frame::Quote(body(json, wrapped)?),
        Some("trade" | "aggTrade") => Frame::Trade(body(json, wrapped)?),
        Some("markPriceUpdate") => Frame::Mark(body(json, wrapped)?),
        None if head.bid_qty.is_some() => Frame::Quote(body(json, wrapped)?),
        None if head.snapshot.is_some() => Frame::Snapshot(body(json, wrapped)?),
        _ => Frame::Other,
    })
}
