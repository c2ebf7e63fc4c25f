//! Reads a compact feed in place: the levels of its events are slices of the mapping. Everything is checked once, when the feed is opened.

use super::Timed;
use super::layout::{
    AGGREGATE, DEPTH, DepthPart, EXTERNAL, HEADER, HEADER_CHECKED, Head, Header, LINK, MAGIC, MARK, MarkPart, QUOTE,
    QuotePart, SNAPSHOT, SnapshotPart, TAKER_SOLD, TRADE, TradePart, VERSION, weight,
};
use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Level, Link, LinkState, MarkPrice, Side, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::FinishedFile;
use crate::journal::layout::{checksum, padded};
use crate::maker::recipe::instrument_from_json;
use crate::unit::{Nanos, Price, Rate, Seq};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, IntoBytes};

/// Why a feed cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file cannot be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// [`FeedError`] of a file.
    #[error("{}: {error}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<FeedError>,
    },
    /// Other first bytes.
    #[error("not a feed: it does not start as `spinquote convert` begins one")]
    Foreign,
    /// Written by a version that is no more.
    #[error("a feed of layout version {0}; this program reads {VERSION}: convert the data again")]
    Older(u32),
    /// Written by a version to come.
    #[error(
        "a feed of layout version {0}; this program reads {VERSION}: use the program that wrote it, or a newer one"
    )]
    Newer(u32),
    /// Its writer did not end.
    #[error("the feed was never finished: the conversion was stopped; convert the data again")]
    Unfinished,
    /// Bytes are missing at the end.
    #[error("the feed is cut short: {there} of {len} bytes are there")]
    Short {
        /// Bytes there.
        there: u64,
        /// Bytes due.
        len: u64,
    },
    /// Bytes were changed.
    #[error("the feed is damaged at byte {at}: {what}")]
    Damaged {
        /// Offset in the file.
        at: u64,
        /// What does not hold.
        what: &'static str,
    },
    /// The terms are not readable.
    #[error("the instruments of the feed: {0}")]
    Terms(String),
    /// An event older than the one before.
    #[error("an event at {} ns behind one at {} ns: a feed is in the order of its local times", now.0, before.0)]
    Order {
        /// The one before.
        before: Nanos,
        /// This one.
        now: Nanos,
    },
    /// An instrument outside the list.
    #[error("an event of instrument {}, the feed has {count}", instrument.0)]
    Instrument {
        /// Of the event.
        instrument: InstrumentId,
        /// In the feed.
        count: usize,
    },
    /// Not an event of a market.
    #[error("only market data are kept in a feed")]
    NotMarket,
    /// Beyond 4 GiB.
    #[error("an event too long for a feed")]
    TooLong,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bytes of a file that stay in memory behind the place that is read, so that a feed's length costs none.
const KEPT: usize = 16 << 20;

/// Where the bytes are; both begin at a multiple of 8.
#[derive(Debug)]
enum Bytes {
    Mapped(FinishedFile),
    Owned { words: Box<[u64]>, len: usize },
}

/// A feed, checked and ready to be read any number of times, also from several threads.
#[derive(Debug)]
pub struct Feed {
    bytes: Bytes,
    header: Header,
    instruments: Vec<Instrument>,
    body_at: usize,
    body_end: usize,
}

impl Feed {
    /// Maps a file and checks all of it: checksums, and every record's form.
    ///
    /// # Errors
    /// It is no feed, of another version, cut short or damaged.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let file = FinishedFile::open(path).map_err(|source| FeedError::Open { path: path.to_path_buf(), source })?;
        Self::check(Bytes::Mapped(file))
            .map_err(|error| FeedError::In { path: path.to_path_buf(), error: Box::new(error) })
    }

    /// A feed in memory; as [`Feed::open`].
    ///
    /// # Errors
    /// As [`Feed::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FeedError> {
        // A vector of bytes may begin anywhere; levels may not.
        let mut words = vec![0_u64; bytes.len().div_ceil(8)].into_boxed_slice();
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
        Self::check(Bytes::Owned { words, len: bytes.len() })
    }

    fn check(bytes: Bytes) -> Result<Self, FeedError> {
        let all = bytes.all();
        let header = read_header(all)?;
        let damaged = |at: usize, what| FeedError::Damaged { at: at as u64, what };
        let len = |word: u64| usize::try_from(word).map_err(|_| FeedError::TooLong);
        let (terms_len, body_len, block) = (len(header.terms_len)?, len(header.body_len)?, header.block as usize);
        if all.len() as u64 != header.file_len {
            return Err(if (all.len() as u64) < header.file_len {
                FeedError::Short { there: all.len() as u64, len: header.file_len }
            } else {
                damaged(len(header.file_len)?, "bytes stand behind its end")
            });
        }
        let sound = |sum: usize| terms_len.is_multiple_of(8) && body_len.is_multiple_of(8) && sum == all.len();
        if block == 0 || !block.is_multiple_of(8) {
            return Err(damaged(72, "an impossible block size"));
        }
        let table_len = padded(body_len.div_ceil(block) * 4);
        let sum = [HEADER, terms_len, body_len, table_len].into_iter().try_fold(0_usize, usize::checked_add);
        if !sum.is_some_and(sound) {
            return Err(damaged(16, "the lengths of its parts do not make its length"));
        }
        let (terms, rest) = all[HEADER..].split_at(terms_len);
        let (body, table) = rest.split_at(body_len);
        if checksum(1, terms) != header.terms_check {
            return Err(damaged(HEADER, "the checksum of the instruments"));
        }
        let (body_at, table_at) = (HEADER + terms_len, HEADER + terms_len + body_len);
        if checksum(2, table) != header.table_check {
            return Err(damaged(table_at, "the checksum of the checksums"));
        }
        let checks = <[u32]>::ref_from_bytes(table).map_err(|_| damaged(table_at, "the place of the checksums"))?;
        for (at, (block_bytes, check)) in body.chunks(block).zip(checks).enumerate() {
            if checksum(at as u32, block_bytes) != *check {
                return Err(damaged(body_at + at * block, "the checksum of the block that begins here"));
            }
            bytes.release_behind(body_at, at * block, block_bytes.len());
        }
        let instruments = read_terms(terms)?;
        let feed = Self { body_at, body_end: table_at, instruments, header, bytes };
        feed.check_records()?;
        Ok(feed)
    }

    /// Whole bytes can still have been written by a faulty writer: after this, a cursor ends only at the end.
    fn check_records(&self) -> Result<(), FeedError> {
        let damaged = |at: usize, what| FeedError::Damaged { at: (self.body_at + at) as u64, what };
        let body = self.body();
        let (mut at, mut records, mut events, mut last) = (0, 0, 0, i64::MIN);
        let mut first = 0;
        while at < body.len() {
            let (timed, len) = read(&body[at..]).ok_or_else(|| damaged(at, "not a record"))?;
            let Ok((head, _)) = Head::ref_from_prefix(&body[at..]) else { return Err(damaged(at, "not a record")) };
            if usize::from(head.instrument) >= self.instruments.len() {
                return Err(damaged(at, "a record of an instrument that is not in the list"));
            }
            if head.local < last {
                return Err(damaged(at, "a record older than the one before"));
            }
            if records == 0 {
                first = head.local;
            }
            last = head.local;
            records += 1;
            events += weight(&timed.event);
            self.bytes.release_behind(self.body_at, at, len);
            at += len;
        }
        let last = if records == 0 { 0 } else { last };
        let Header { first_local, last_local, .. } = self.header;
        if (records, events, first, last) != (self.header.records, self.header.events, first_local, last_local) {
            return Err(FeedError::Damaged { at: 40, what: "the counts are not those of its records" });
        }
        Ok(())
    }

    /// The instruments; the place of one is its id in the events.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Each level change and each print is one.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.header.events
    }

    /// Records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.header.records
    }

    /// Local times of the first and the last record; `None` for an empty feed.
    #[must_use]
    pub fn span(&self) -> Option<(Nanos, Nanos)> {
        (self.header.records > 0).then_some((Nanos(self.header.first_local), Nanos(self.header.last_local)))
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.header.file_len
    }

    /// From the first event on.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { rest: self.body(), feed: self }
    }

    /// From a place that [`Cursor::left`] gave.
    pub(super) fn resume(&self, left: usize) -> Cursor<'_> {
        let body = self.body();
        Cursor { rest: &body[body.len() - left..], feed: self }
    }

    #[inline]
    fn body(&self) -> &[u8] {
        &self.bytes.all()[self.body_at..self.body_end]
    }
}

impl Bytes {
    /// Every [`KEPT`] bytes, those before are let go: `len` more were read at `at` of the part that begins at `start`.
    #[inline]
    fn release_behind(&self, start: usize, at: usize, len: usize) {
        if at / KEPT != (at + len) / KEPT
            && let Self::Mapped(file) = self
        {
            file.release(start + (at / KEPT) * KEPT, KEPT);
        }
    }

    #[inline]
    fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file.bytes(),
            Self::Owned { words, len } => &words.as_bytes()[..*len],
        }
    }
}

fn read_header(all: &[u8]) -> Result<Header, FeedError> {
    let start = &all[..all.len().min(8)];
    if start.is_empty() || *start != MAGIC[..start.len()] {
        return Err(FeedError::Foreign);
    }
    let Ok((header, _)) = Header::read_from_prefix(all) else {
        return Err(FeedError::Short { there: all.len() as u64, len: HEADER as u64 });
    };
    match header.version {
        version if version < VERSION => return Err(FeedError::Older(version)),
        version if version > VERSION => return Err(FeedError::Newer(version)),
        _ => {}
    }
    if header.file_len == 0 && header.check == 0 {
        return Err(FeedError::Unfinished);
    }
    if checksum(0, &header.as_bytes()[..HEADER_CHECKED]) != header.check
        || header.header_len != HEADER as u32
        || (header.reserved, header.padding) != (0, 0)
    {
        return Err(FeedError::Damaged { at: 0, what: "the checksum of the header" });
    }
    Ok(header)
}

fn read_terms(terms: &[u8]) -> Result<Vec<Instrument>, FeedError> {
    let list: Vec<Value> = serde_json::from_slice(terms).map_err(|error| FeedError::Terms(error.to_string()))?;
    let read = |(at, value): (usize, &Value)| instrument_from_json(value, &format!("instruments[{at}]"));
    list.iter().enumerate().map(read).collect::<Result<_, _>>().map_err(|error| FeedError::Terms(error.to_string()))
}

/// A place in a feed.
#[derive(Clone, Debug)]
pub struct Cursor<'f> {
    rest: &'f [u8],
    feed: &'f Feed,
}

impl<'f> Cursor<'f> {
    /// The next event; `None` at the end. Allocates nothing; levels are not copied.
    #[inline]
    #[allow(clippy::should_implement_trait)] // Named by what it does; an iterator's adapters are of no use here.
    pub fn next(&mut self) -> Option<Timed<'f>> {
        self.record().map(|record| record.timed())
    }

    /// [`Cursor::next`], where it lies.
    #[inline]
    pub fn record(&mut self) -> Option<Record<'f>> {
        let (head, _) = Head::ref_from_prefix(self.rest).ok()?;
        let len = head.len as usize;
        let (bytes, behind) = self.rest.split_at_checked(len)?;
        let Feed { bytes: all, body_at, body_end, .. } = self.feed;
        all.release_behind(*body_at, body_end - body_at - self.rest.len(), len);
        self.rest = behind;
        Some(Record { head, bytes })
    }

    /// Bytes behind it.
    #[inline]
    #[must_use]
    pub fn left(&self) -> usize {
        self.rest.len()
    }
}

/// A record of a feed that was checked: an event to come, which is read when it is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Record<'f> {
    head: &'f Head,
    bytes: &'f [u8],
}

impl<'f> Record<'f> {
    /// The event and its times.
    #[inline]
    #[must_use]
    pub fn timed(&self) -> Timed<'f> {
        read(self.bytes).expect("every record was checked when the feed was opened").0
    }

    /// When our host received it, and when the venue made it.
    #[inline]
    #[must_use]
    pub fn times(&self) -> (Nanos, Nanos) {
        (Nanos(self.head.local), Nanos(self.head.venue))
    }

    /// Whose it is.
    #[inline]
    #[must_use]
    pub fn instrument(&self) -> InstrumentId {
        InstrumentId(self.head.instrument)
    }

    /// It is a change of a book, a whole one, or the loss or return of one.
    #[inline]
    #[must_use]
    pub fn is_of_book(&self) -> bool {
        matches!(self.head.kind, DEPTH | SNAPSHOT | LINK)
    }
}

/// The record at the start of `bytes` and its length; `None` if there is none.
#[inline]
fn read(bytes: &[u8]) -> Option<(Timed<'_>, usize)> {
    let (head, _) = Head::ref_from_prefix(bytes).ok()?;
    let len = head.len as usize;
    let part = bytes.get(size_of::<Head>()..len)?;
    let instrument = InstrumentId(head.instrument);
    let venue_time = Nanos(head.venue);
    let event = match head.kind {
        DEPTH => {
            let (part, levels) = DepthPart::ref_from_prefix(part).ok()?;
            let (bids, asks) = sides(levels, part.bids, part.asks)?;
            let (first, last, prev) = (Seq(part.first), Seq(part.last), Seq(part.prev));
            Event::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids, asks })
        }
        QUOTE => {
            let part = QuotePart::ref_from_bytes(part).ok()?;
            Event::Quote(BestQuote { instrument, seq: Seq(part.seq), bid: part.bid, ask: part.ask, venue_time })
        }
        TRADE => {
            let part = TradePart::ref_from_bytes(part).ok()?;
            Event::Trade(Trade {
                instrument,
                id: part.id,
                price: part.level.price,
                qty: part.level.qty,
                taker: if head.flags & TAKER_SOLD == 0 { Side::Buy } else { Side::Sell },
                aggregate: head.flags & AGGREGATE != 0,
                venue_time,
            })
        }
        SNAPSHOT => {
            let (part, levels) = SnapshotPart::ref_from_prefix(part).ok()?;
            let (bids, asks) = sides(levels, part.bids, part.asks)?;
            Event::Snapshot(DepthSnapshot { instrument, last: Seq(part.last), venue_time, bids, asks })
        }
        MARK => {
            let part = MarkPart::ref_from_bytes(part).ok()?;
            Event::Mark(MarkPrice {
                instrument,
                mark: Price(i128::from_le_bytes(part.mark)),
                index: Price(i128::from_le_bytes(part.index)),
                funding_rate: Rate(part.rate),
                next_funding: Nanos(part.next_funding),
                venue_time,
            })
        }
        LINK => Event::Link { instrument, link: link(head.flags & 15)?, state: state(head.flags >> 4)? },
        EXTERNAL => Event::External { instrument, price: Price(i128::from_le_bytes(part.try_into().ok()?)) },
        _ => return None,
    };
    Some((Timed { local: Nanos(head.local), venue: venue_time, event }, len))
}

#[inline]
fn sides(levels: &[u8], bids: u32, asks: u32) -> Option<(&[Level], &[Level])> {
    let levels = <[Level]>::ref_from_bytes(levels).ok()?;
    (levels.len() as u64 == u64::from(bids) + u64::from(asks)).then(|| levels.split_at(bids as usize))
}

fn link(code: u8) -> Option<Link> {
    [Link::Market, Link::Private, Link::OrderEntry].into_iter().find(|link| *link as u8 == code)
}

fn state(code: u8) -> Option<LinkState> {
    [LinkState::Up, LinkState::Down, LinkState::Stale].into_iter().find(|state| *state as u8 == code)
}
