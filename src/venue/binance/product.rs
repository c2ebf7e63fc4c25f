//! The venue's products as second price sources: where each is, what is asked of it, and a decoder for any. Places no orders.

use super::spot::{self, market::SpotDecoder};
use super::usdm::instrument::{self, TermsError};
use super::usdm::limits::Priority;
use super::usdm::market::MarketDecoder;
use super::usdm::public_path;
use super::usdm::rest::{self, Method, RestRequest};
use crate::event::{DepthSnapshot, Event};
use crate::instrument::{Instrument, InstrumentId};
use crate::venue::codec::{DecodeError, MarketCodec, MarketMessage};

/// A product whose market data can be a price source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Product {
    /// Spot.
    Spot,
    /// USD-M futures.
    Usdm,
}

impl Product {
    /// Its name in recipes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "binance_spot",
            Self::Usdm => "binance_usdm",
        }
    }

    /// The product of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Spot, Self::Usdm].into_iter().find(|product| product.name() == name)
    }

    /// The product that a connector trades: perpetuals say so in their name.
    #[must_use]
    pub fn of_connector(connector: &str) -> Self {
        if connector.contains("_perpetual") { Self::Usdm } else { Self::Spot }
    }

    /// Public addresses of REST and of the market streams; `None` for a connector without known ones, such as a testnet's.
    #[must_use]
    pub fn addresses(connector: &str) -> Option<[&'static str; 2]> {
        match connector {
            "binance" => Some(["https://api.binance.com", "wss://stream.binance.com:9443"]),
            "binance_perpetual" => Some(["https://fapi.binance.com", "wss://fstream.binance.com/public"]),
            _ => None,
        }
    }

    /// What follows the stream address for depth, best quote and trades of a symbol.
    #[must_use]
    pub fn stream_path(self, symbol: &str) -> String {
        match self {
            Self::Spot => spot::stream_path(symbol),
            Self::Usdm => public_path(&[symbol], "100ms"),
        }
    }

    /// Asks for the terms of a symbol (spot: weight 20, venue's page of the call).
    #[must_use]
    pub fn exchange_info(self, symbol: &str) -> RestRequest {
        match self {
            Self::Spot => get("/api/v3/exchangeInfo", format!("symbol={symbol}"), 20),
            Self::Usdm => rest::exchange_info(),
        }
    }

    /// Asks for a depth snapshot of 1,000 levels a side (spot: weight 50, venue's page of the call).
    #[must_use]
    pub fn depth(self, symbol: &str) -> RestRequest {
        match self {
            Self::Spot => get("/api/v3/depth", format!("symbol={symbol}&limit=1000"), 50),
            Self::Usdm => rest::depth(symbol),
        }
    }

    /// The terms in the answer to [`Product::exchange_info`].
    ///
    /// # Errors
    /// See [`TermsError`].
    pub fn instrument(self, body: &[u8], symbol: &str) -> Result<Instrument, TermsError> {
        match self {
            Self::Spot => spot::instrument::instrument(body, symbol),
            Self::Usdm => instrument::instrument(body, symbol),
        }
    }
}

fn get(path: &'static str, query: String, weight: u32) -> RestRequest {
    RestRequest { method: Method::Get, path, query, signed: false, weight, priority: Priority::Low }
}

enum Codec {
    Spot(SpotDecoder),
    Usdm(MarketDecoder),
}

/// Decodes the frames of one watched market: its symbol may be that of a traded instrument, so it has a decoder of its own.
pub struct WatchedDecoder {
    id: InstrumentId,
    codec: Codec,
}

impl WatchedDecoder {
    /// A decoder whose events bear `id`.
    #[must_use]
    pub fn new(product: Product, id: InstrumentId, instrument: &Instrument) -> Self {
        let only = std::slice::from_ref(instrument);
        let codec = match product {
            Product::Spot => Codec::Spot(SpotDecoder::new(only)),
            Product::Usdm => Codec::Usdm(MarketDecoder::new(only)),
        };
        Self { id, codec }
    }

    /// What its events bear.
    #[must_use]
    pub const fn id(&self) -> InstrumentId {
        self.id
    }
}

impl MarketCodec for WatchedDecoder {
    fn decode<'a>(&'a mut self, buf: &'a mut [u8], len: usize) -> Result<MarketMessage<'a>, DecodeError> {
        let message = match &mut self.codec {
            Codec::Spot(decoder) => decoder.decode(buf, len),
            Codec::Usdm(decoder) => decoder.decode(buf, len),
        }?;
        Ok(match message {
            MarketMessage::Event(event) => MarketMessage::Event(labelled(event, self.id)),
            other => other,
        })
    }

    fn decode_snapshot<'a>(
        &'a mut self,
        instrument: InstrumentId,
        body: &'a mut [u8],
        len: usize,
    ) -> Result<DepthSnapshot<'a>, DecodeError> {
        let only = InstrumentId(0);
        let snapshot = match &mut self.codec {
            Codec::Spot(decoder) => decoder.decode_snapshot(only, body, len),
            Codec::Usdm(decoder) => decoder.decode_snapshot(only, body, len),
        }?;
        Ok(DepthSnapshot { instrument, ..snapshot })
    }
}

/// The market event with another instrument's number: a decoder of one instrument calls it zero.
fn labelled(event: Event<'_>, instrument: InstrumentId) -> Event<'_> {
    match event {
        Event::Depth(mut update) => {
            update.instrument = instrument;
            Event::Depth(update)
        }
        Event::Quote(mut quote) => {
            quote.instrument = instrument;
            Event::Quote(quote)
        }
        Event::Trade(mut trade) => {
            trade.instrument = instrument;
            Event::Trade(trade)
        }
        Event::Mark(mut mark) => {
            mark.instrument = instrument;
            Event::Mark(mark)
        }
        other => other,
    }
}
