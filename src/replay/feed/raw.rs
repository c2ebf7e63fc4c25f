//! Recorded frames of a venue (`<time> <JSON>` lines): each through the venue's own decoder, inline REST snapshots too.
//! Checks lines; leaves sequences to the guard.

use super::DataFault;
use super::frame::{Body, Frame, FrameReader};
use super::report::{FaultKind, FileReport};
use super::survey::{Found, fine_terms};
use crate::event::{DepthSnapshot, Event};
use crate::instrument::{Instrument, InstrumentId, Symbol};
use crate::sim::capture::{CaptureError, CaptureReader};
use crate::unit::{Nanos, Ticks};
use crate::venue::binance::Product;
use crate::venue::binance::spot::market::SpotDecoder;
use crate::venue::binance::usdm::market::MarketDecoder;
use crate::venue::codec::{DecodeError, MarketCodec, MarketMessage};
use crate::wire::simd::SPARE;
use std::path::Path;

/// What a hole in a recording of ours begins with; see `commands::capture`.
const GAP_MARK: &[u8] = b"{\"spinquote\":{\"gap\"";

/// Lines that are looked at to tell the product whose frames a recording holds.
const LOOK: usize = 1_000;

/// A decoder and the room that it may change a document in.
pub(super) struct Documents {
    decoder: Box<dyn MarketCodec + Send>,
    document: Vec<u8>,
    /// A price of each instrument that was heard last: tells whose book a snapshot is, which names none.
    prices: Vec<Option<Ticks>>,
}

/// What a document is.
pub(super) enum Document<'a> {
    Event(Event<'a>),
    Snapshot(DepthSnapshot<'a>),
    /// The recording says that it has a hole here.
    Hole,
    Other,
}

impl Documents {
    pub(super) fn new(product: Product, instruments: &[Instrument]) -> Self {
        let decoder: Box<dyn MarketCodec + Send> = match product {
            Product::Usdm => Box::new(MarketDecoder::new(instruments)),
            Product::Spot => Box::new(SpotDecoder::new(instruments)),
        };
        Self::with(decoder, instruments.len())
    }

    /// With a decoder whose events bear ids below `ids`.
    pub(super) fn with(decoder: Box<dyn MarketCodec + Send>, ids: usize) -> Self {
        Self { decoder, document: Vec::with_capacity(1 << 16), prices: vec![None; ids] }
    }

    /// Goes on with these symbols, of which one is new, on the fine grid.
    fn restart(&mut self, product: Product, names: &[Symbol]) {
        let terms: Vec<Instrument> = names.iter().map(|name| fine_terms(name)).collect();
        let prices = std::mem::take(&mut self.prices);
        *self = Self::new(product, &terms);
        self.prices[..prices.len()].copy_from_slice(&prices);
    }

    pub(super) fn read(&mut self, json: &[u8]) -> Result<Document<'_>, DecodeError> {
        fill(&mut self.document, json);
        // A decoded event cannot be handed on from inside a branch whose other arms use the decoder again.
        if json.starts_with(b"{\"lastUpdateId\"") {
            return self.snapshot(json);
        }
        if json.starts_with(GAP_MARK) {
            return Ok(Document::Hole);
        }
        match self.decoder.decode(&mut self.document, json.len())? {
            MarketMessage::Event(event) => {
                let heard = match &event {
                    Event::Quote(quote) => Some((quote.instrument, quote.bid.price)),
                    Event::Trade(trade) => Some((trade.instrument, trade.price)),
                    _ => None,
                };
                if let Some((instrument, price)) = heard {
                    self.prices[usize::from(instrument.0)] = Some(price);
                }
                Ok(Document::Event(event))
            }
            MarketMessage::Response { .. } | MarketMessage::Ignored => Ok(Document::Other),
        }
    }

    /// The body of a REST snapshot: of the only instrument, or of the one whose last price lies within a percent of its best bid.
    fn snapshot(&mut self, json: &[u8]) -> Result<Document<'_>, DecodeError> {
        let mut whose = (self.prices.len() == 1).then_some(InstrumentId(0));
        for (id, price) in (0..).zip(&self.prices) {
            let (None, Some(price)) = (whose, price) else { continue };
            fill(&mut self.document, json);
            let read = self.decoder.decode_snapshot(InstrumentId(id), &mut self.document, json.len());
            let best = read.ok().and_then(|book| book.bids.first().copied());
            if best.is_some_and(|best| (best.price - *price).abs().0 <= price.0 / 100) {
                whose = Some(InstrumentId(id));
            }
        }
        self.snapshot_of(whose, json)
    }

    /// The body of a REST snapshot of one instrument; of none it is of no use.
    pub(super) fn snapshot_of(
        &mut self,
        whose: Option<InstrumentId>,
        json: &[u8],
    ) -> Result<Document<'_>, DecodeError> {
        let Some(whose) = whose.filter(|whose| usize::from(whose.0) < self.prices.len()) else {
            return Ok(Document::Other);
        };
        fill(&mut self.document, json);
        self.decoder.decode_snapshot(whose, &mut self.document, json.len()).map(Document::Snapshot)
    }
}

/// Copies a document to where a decoder may change it.
fn fill(document: &mut Vec<u8>, json: &[u8]) {
    document.clear();
    document.extend_from_slice(json);
    document.resize(json.len() + SPARE, 0);
}

/// A recording being read.
pub(super) struct RawReader {
    lines: CaptureReader,
    documents: Documents,
    product: Product,
    /// The symbols found, if it was opened to find them.
    found: Option<Found>,
    at: Nanos,
    over: bool,
}

impl RawReader {
    pub(super) fn open(path: &Path, product: Product, instruments: &[Instrument]) -> Result<Self, DataFault> {
        let lines = CaptureReader::open(path)?;
        let documents = Documents::new(product, instruments);
        Ok(Self { lines, documents, product, found: None, at: Nanos::ZERO, over: false })
    }

    /// Opens a recording to find its symbols; numbers are on the fine grid.
    pub(super) fn find(path: &Path, product: Product) -> Result<Self, DataFault> {
        Ok(Self { found: Some(Found::default()), ..Self::open(path, product, &[])? })
    }
}

impl FrameReader for RawReader {
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault> {
        loop {
            if self.over {
                return Ok(false);
            }
            let line = match self.lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(false),
                Err(CaptureError::Layout { line, why, .. }) => {
                    report.fault(FaultKind::Malformed, line, || why.to_owned());
                    continue;
                }
                Err(error) => {
                    self.over = true;
                    (frame.at, frame.venue, frame.line) = (self.at, Nanos::ZERO, self.lines.line());
                    frame.body = Body::Lost { instrument: None };
                    report.fault(FaultKind::Cut, frame.line, || error.what());
                    return Ok(true);
                }
            };
            report.frames += 1;
            report.resolution = line.resolution;
            self.at = line.received;
            (frame.at, frame.line) = (line.received, line.number);
            match self.documents.read(line.json) {
                Ok(Document::Event(event)) if frame.take(&event) => return Ok(true),
                Ok(Document::Event(_) | Document::Other) => {}
                Ok(Document::Snapshot(book)) => {
                    frame.take(&Event::Snapshot(book));
                    return Ok(true);
                }
                Ok(Document::Hole) => {
                    report.fault(FaultKind::Gap, frame.line, || "the recording has a hole here".to_owned());
                    (frame.venue, frame.body) = (Nanos::ZERO, Body::Lost { instrument: None });
                    return Ok(true);
                }
                // A name that is too long for a symbol comes cut, and is never found.
                Err(DecodeError::UnknownSymbol { symbol })
                    if !symbol.is_full() && self.found.as_mut().is_some_and(|found| found.place(&symbol).is_some()) =>
                {
                    let names = self.found.as_ref().map(Found::names).unwrap_or_default();
                    self.documents.restart(self.product, names);
                    match self.documents.read(line.json) {
                        Ok(Document::Event(event)) if frame.take(&event) => return Ok(true),
                        Ok(_) => {}
                        Err(error) => report.fault(FaultKind::Malformed, frame.line, || error.to_string()),
                    }
                }
                Err(error @ DecodeError::UnknownSymbol { .. }) => {
                    report.fault(FaultKind::UnknownInstrument, frame.line, || error.to_string());
                }
                Err(error) => report.fault(FaultKind::Malformed, frame.line, || error.to_string()),
            }
        }
    }

    fn position(&self) -> u64 {
        self.lines.position()
    }

    fn found(&self) -> &[Symbol] {
        self.found.as_ref().map(Found::names).unwrap_or_default()
    }
}

/// Whose frames a recording holds: those of spot have other keys. What tells nothing is taken for USD-M.
pub(super) fn product(path: &Path) -> Result<Product, DataFault> {
    let mut lines = CaptureReader::open(path)?;
    for _ in 0..LOOK {
        let json = match lines.next_line() {
            Ok(Some(line)) => line.json,
            Err(CaptureError::Layout { .. }) => continue,
            Ok(None) | Err(_) => break,
        };
        let has = |word: &[u8]| json.windows(word.len()).any(|window| window == word);
        if has(b"\"e\":\"depthUpdate\"") {
            return Ok(if has(b"\"pu\":") { Product::Usdm } else { Product::Spot });
        }
        if has(b"@bookTicker\"") {
            return Ok(if has(b"\"e\":\"bookTicker\"") { Product::Usdm } else { Product::Spot });
        }
    }
    Ok(Product::Usdm)
}
