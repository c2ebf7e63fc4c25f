//! Writes a compact feed record by record, in bounded memory. Decides nothing about the events.

use super::Timed;
use super::layout::{
    AGGREGATE, BLOCK, DEPTH, DepthPart, EXTERNAL, HEADER, HEADER_CHECKED, Head, Header, LINK, MAGIC, MARK, MarkPart,
    QUOTE, QuotePart, SNAPSHOT, SnapshotPart, TAKER_SOLD, TRADE, TradePart, VERSION, weight,
};
use super::reader::FeedError;
use crate::event::{Event, Level, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::layout::{checksum, padded};
use crate::maker::recipe::instrument_to_json;
use crate::unit::Nanos;
use serde_json::Value;
use std::io::{Seek, SeekFrom, Write};
use zerocopy::{FromZeros, IntoBytes};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Records.
    pub records: u64,
    /// Each level change and each print is one.
    pub events: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A feed being written. Without [`FeedWriter::finish`] the file says itself that it is unfinished.
pub struct FeedWriter<W: Write + Seek> {
    out: W,
    instruments: usize,
    /// What is not written yet: less than a block between two calls, and its records.
    pending: Vec<u8>,
    checks: Vec<u32>,
    header: Header,
}

impl<W: Write + Seek> FeedWriter<W> {
    /// Starts a feed of these instruments at the start of `out`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(mut out: W, instruments: &[Instrument]) -> Result<Self, FeedError> {
        let list: Vec<Value> = instruments.iter().map(instrument_to_json).collect();
        let mut terms = Value::Array(list).to_string().into_bytes();
        terms.resize(padded(terms.len()), b' ');
        let mut header = Header::new_zeroed();
        header.magic = MAGIC;
        header.version = VERSION;
        header.header_len = HEADER as u32;
        header.terms_len = terms.len() as u64;
        header.block = BLOCK as u32;
        header.terms_check = checksum(1, &terms);
        out.write_all(header.as_bytes())?;
        out.write_all(&terms)?;
        let pending = Vec::with_capacity(2 * BLOCK);
        Ok(Self { out, instruments: instruments.len(), pending, checks: Vec::new(), header })
    }

    /// Appends an event of the market.
    ///
    /// # Errors
    /// It is older than the one before, of an instrument that the feed has not, no event of a market, or cannot be written.
    pub fn append(&mut self, timed: &Timed<'_>) -> Result<(), FeedError> {
        let local = timed.local.0;
        if self.header.records > 0 && local < self.header.last_local {
            return Err(FeedError::Order { before: Nanos(self.header.last_local), now: timed.local });
        }
        let start = self.pending.len();
        let coded = encode(&mut self.pending, timed).and_then(|instrument| {
            if usize::from(instrument.0) < self.instruments {
                Ok(())
            } else {
                Err(FeedError::Instrument { instrument, count: self.instruments })
            }
        });
        if let Err(error) = coded {
            self.pending.truncate(start);
            return Err(error);
        }
        if self.header.records == 0 {
            self.header.first_local = local;
        }
        self.header.last_local = local;
        self.header.records += 1;
        self.header.events += weight(&timed.event);
        if self.pending.len() >= BLOCK {
            self.write_blocks()?;
        }
        Ok(())
    }

    fn write_blocks(&mut self) -> Result<(), FeedError> {
        let whole = self.pending.len() / BLOCK * BLOCK;
        for block in self.pending[..whole].chunks(BLOCK) {
            self.checks.push(checksum(self.checks.len() as u32, block));
        }
        self.out.write_all(&self.pending[..whole])?;
        self.header.body_len += whole as u64;
        self.pending.drain(..whole);
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// It cannot be written; what is there then says that it is unfinished.
    pub fn finish(mut self) -> Result<(W, Written), FeedError> {
        self.write_blocks()?;
        if !self.pending.is_empty() {
            self.checks.push(checksum(self.checks.len() as u32, &self.pending));
            self.out.write_all(&self.pending)?;
            self.header.body_len += self.pending.len() as u64;
        }
        let mut table = self.checks.as_bytes().to_vec();
        table.resize(padded(table.len()), 0);
        self.out.write_all(&table)?;
        // The header says last that the file is whole.
        self.out.flush()?;
        let header = &mut self.header;
        header.table_check = checksum(2, &table);
        header.file_len = HEADER as u64 + header.terms_len + header.body_len + table.len() as u64;
        header.check = checksum(0, &header.as_bytes()[..HEADER_CHECKED]);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(header.as_bytes())?;
        self.out.flush()?;
        let Header { records, events, file_len, .. } = *header;
        Ok((self.out, Written { records, events, bytes: file_len }))
    }
}

/// Appends the record of an event; returns its instrument.
fn encode(out: &mut Vec<u8>, timed: &Timed<'_>) -> Result<InstrumentId, FeedError> {
    let start = out.len();
    let mut head = Head { len: 0, kind: 0, flags: 0, instrument: 0, local: timed.local.0, venue: timed.venue.0 };
    out.extend_from_slice(head.as_bytes());
    let count = |levels: &[Level]| u32::try_from(levels.len()).map_err(|_| FeedError::TooLong);
    let instrument = match &timed.event {
        Event::Depth(depth) => {
            head.kind = DEPTH;
            let part = DepthPart {
                first: depth.first.0,
                last: depth.last.0,
                prev: depth.prev.0,
                bids: count(depth.bids)?,
                asks: count(depth.asks)?,
            };
            for bytes in [part.as_bytes(), depth.bids.as_bytes(), depth.asks.as_bytes()] {
                out.extend_from_slice(bytes);
            }
            depth.instrument
        }
        Event::Snapshot(book) => {
            head.kind = SNAPSHOT;
            let part = SnapshotPart { last: book.last.0, bids: count(book.bids)?, asks: count(book.asks)? };
            for bytes in [part.as_bytes(), book.bids.as_bytes(), book.asks.as_bytes()] {
                out.extend_from_slice(bytes);
            }
            book.instrument
        }
        Event::Quote(quote) => {
            head.kind = QUOTE;
            out.extend_from_slice(QuotePart { seq: quote.seq.0, bid: quote.bid, ask: quote.ask }.as_bytes());
            quote.instrument
        }
        Event::Trade(trade) => {
            head.kind = TRADE;
            head.flags = if trade.taker == Side::Sell { TAKER_SOLD } else { 0 };
            head.flags |= if trade.aggregate { AGGREGATE } else { 0 };
            let level = Level { price: trade.price, qty: trade.qty };
            out.extend_from_slice(TradePart { id: trade.id, level }.as_bytes());
            trade.instrument
        }
        Event::Mark(mark) => {
            head.kind = MARK;
            let part = MarkPart {
                mark: mark.mark.0.to_le_bytes(),
                index: mark.index.0.to_le_bytes(),
                rate: mark.funding_rate.0,
                next_funding: mark.next_funding.0,
            };
            out.extend_from_slice(part.as_bytes());
            mark.instrument
        }
        Event::Link { instrument, link, state } => {
            head.kind = LINK;
            head.flags = *link as u8 | (*state as u8) << 4;
            *instrument
        }
        Event::External { instrument, price } => {
            head.kind = EXTERNAL;
            out.extend_from_slice(&price.0.to_le_bytes());
            *instrument
        }
        Event::Order(_) | Event::Account(_) | Event::Operator(_) | Event::Kill | Event::Lapse { .. } | Event::Timer => {
            return Err(FeedError::NotMarket);
        }
    };
    head.instrument = instrument.0;
    head.len = u32::try_from(out.len() - start).map_err(|_| FeedError::TooLong)?;
    out[start..start + size_of::<Head>()].copy_from_slice(head.as_bytes());
    Ok(instrument)
}
