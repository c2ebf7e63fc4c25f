//! One message of a file, of whatever kind, as the readers hand it on: owned, so that several files can wait for their turn.

use super::{DataFault, FileReport};
use crate::event::{BestQuote, DepthUpdate, Event, Level, MarkPrice, Trade};
use crate::instrument::{InstrumentId, Symbol};
use crate::unit::{Nanos, Price, Seq};

/// Update ids of a book change: first, last, and the last of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub first: Seq,
    pub last: Seq,
    pub prev: Seq,
}

/// What a message says; levels are in the frame's buffers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// A book change; data without update ids are numbered later.
    Depth { instrument: InstrumentId, ids: Option<Ids> },
    /// A whole book, or (`whole` is false) all levels from the best to the worst one named.
    Snapshot { instrument: InstrumentId, last: Option<Seq>, whole: bool },
    /// A best quote, with the venue's update id or none.
    Quote { quote: BestQuote, numbered: bool },
    /// A print.
    Trade(Trade),
    /// Mark price and funding.
    Mark(MarkPrice),
    /// A polled price.
    External { instrument: InstrumentId, price: Price },
    /// From here on something is missing: for one instrument, or for all of the file.
    Lost { instrument: Option<InstrumentId> },
}

/// A message and its times.
#[derive(Debug)]
pub(super) struct Frame {
    /// Receive time as the file has it.
    pub at: Nanos,
    /// The venue's time, 0 if not known.
    pub venue: Nanos,
    /// Line, row or record.
    pub line: u64,
    pub body: Body,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
}

impl Frame {
    pub(super) fn new() -> Self {
        Self {
            at: Nanos::ZERO,
            venue: Nanos::ZERO,
            line: 0,
            body: Body::Lost { instrument: None },
            bids: Vec::with_capacity(4_096),
            asks: Vec::with_capacity(4_096),
        }
    }

    /// Takes an event of a decoder. False for one that is not of a market.
    pub(super) fn take(&mut self, event: &Event<'_>) -> bool {
        (self.venue, self.body) = match *event {
            Event::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids, asks }) => {
                self.levels(bids, asks);
                (venue_time, Body::Depth { instrument, ids: Some(Ids { first, last, prev }) })
            }
            Event::Snapshot(ref book) => {
                self.levels(book.bids, book.asks);
                let body = Body::Snapshot { instrument: book.instrument, last: Some(book.last), whole: true };
                (book.venue_time, body)
            }
            Event::Quote(quote) => (quote.venue_time, Body::Quote { quote, numbered: true }),
            Event::Trade(trade) => (trade.venue_time, Body::Trade(trade)),
            Event::Mark(mark) => (mark.venue_time, Body::Mark(mark)),
            Event::External { instrument, price } => (self.at, Body::External { instrument, price }),
            _ => return false,
        };
        true
    }

    fn levels(&mut self, bids: &[Level], asks: &[Level]) {
        self.clear();
        self.bids.extend_from_slice(bids);
        self.asks.extend_from_slice(asks);
    }

    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

impl Body {
    /// The instrument that it is about, if it is about one.
    pub(super) fn instrument(&self) -> Option<InstrumentId> {
        match *self {
            Self::Depth { instrument, .. } | Self::Snapshot { instrument, .. } | Self::External { instrument, .. } => {
                Some(instrument)
            }
            Self::Quote { quote, .. } => Some(quote.instrument),
            Self::Trade(trade) => Some(trade.instrument),
            Self::Mark(mark) => Some(mark.instrument),
            Self::Lost { instrument } => instrument,
        }
    }

    /// Makes it one of another instrument; what is about all of a file stays.
    pub(super) fn rename(&mut self, id: InstrumentId) {
        let slot = match self {
            Self::Depth { instrument, .. }
            | Self::Snapshot { instrument, .. }
            | Self::External { instrument, .. }
            | Self::Lost { instrument: Some(instrument) } => instrument,
            Self::Quote { quote, .. } => &mut quote.instrument,
            Self::Trade(trade) => &mut trade.instrument,
            Self::Mark(mark) => &mut mark.instrument,
            Self::Lost { instrument: None } => return,
        };
        *slot = id;
    }

    /// Whether levels in the frame's buffers belong to it.
    pub(super) const fn has_levels(&self) -> bool {
        matches!(self, Self::Depth { .. } | Self::Snapshot { .. })
    }
}

/// A file that gives messages, one by one. What it passes over, it reports.
pub(super) trait FrameReader: Send {
    /// Reads the next message into `frame`; false at the end. A file that ends too early gives a last message that says so.
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault>;

    /// Bytes of the file read so far.
    fn position(&self) -> u64;

    /// The symbols that it found so far, if it was opened to find them; their places are their ids.
    fn found(&self) -> &[Symbol] {
        &[]
    }
}
