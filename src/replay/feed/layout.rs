//! The compact feed file, drawn byte by byte. All numbers are little-endian and aligned to their size, so a mapped file is read in place.
//!
//! ```text
//! 0      8    12    16        24         32        40       48      56          64         72     76           80
//! | magic | ver | hlen | file len | terms len | body len | records | events | first local | last local | block | terms check |
//! 80            84  88      92  96
//! | table check | 0 | check | 0 | terms | body | table |
//!   terms  the instruments as a JSON list (place in it = instrument id), padded with spaces to a multiple of 8
//!   body   records back to back
//!   table  one checksum (u32) per `block` bytes of the body, the last block may be shorter; padded with zeros to a multiple of 8
//!   check  of the bytes 0 to 88. A file whose length word is 0 was never finished.
//!
//! record: starts at a multiple of 8
//!   0     4      5       6            8       16      24
//!   | len | kind | flags | instrument | local | venue | what the kind says ... |
//!     len    bytes of the whole record      local, venue  nanoseconds since the Unix epoch: received here, made there
//!
//! kind 1 depth      24 first | 32 last | 40 prev | 48 bids n, asks m (u32 each) | 56 n + m levels
//!      2 snapshot   24 last | 32 bids n, asks m | 40 n + m levels
//!      3 quote      24 seq | 32 bid level | 48 ask level
//!      4 trade      24 id | 32 price | 40 quantity              flags: 1 the taker sold, 2 aggregate
//!      5 mark       24 mark (i128) | 40 index (i128) | 56 rate | 64 next funding
//!      6 link                                                   flags: bits 0-3 link, bits 4-7 state
//!      7 external   24 price (i128)
//!   level: price in ticks (i64) | quantity in lots (i64)
//! ```

use crate::event::{Event, Level};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of a feed.
pub const MAGIC: [u8; 8] = *b"SQFEED\r\n";
/// Version of the layout.
pub const VERSION: u32 = 1;
/// Bytes of the body under one checksum.
pub const BLOCK: usize = 1 << 20;
/// How a feed's name ends.
pub const EXTENSION: &str = "sqfeed";

/// A depth change.
pub const DEPTH: u8 = 1;
/// A whole book.
pub const SNAPSHOT: u8 = 2;
/// Best bid and ask.
pub const QUOTE: u8 = 3;
/// A print.
pub const TRADE: u8 = 4;
/// Mark price and funding.
pub const MARK: u8 = 5;
/// A connection changed state.
pub const LINK: u8 = 6;
/// A polled price.
pub const EXTERNAL: u8 = 7;

/// Flag of a print whose taker sold.
pub const TAKER_SOLD: u8 = 1;
/// Flag of an aggregate print.
pub const AGGREGATE: u8 = 2;

/// What stands at the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// Bytes of this header.
    pub header_len: u32,
    /// Bytes of the file; 0 while it is being written.
    pub file_len: u64,
    /// Bytes of the terms, padding included.
    pub terms_len: u64,
    /// Bytes of the records.
    pub body_len: u64,
    /// Records.
    pub records: u64,
    /// Each level change and each print is one.
    pub events: u64,
    /// Local time of the first record; 0 in an empty feed.
    pub first_local: i64,
    /// Local time of the last record.
    pub last_local: i64,
    /// Bytes under one checksum of the table.
    pub block: u32,
    /// Checksum of the terms.
    pub terms_check: u32,
    /// Checksum of the table.
    pub table_check: u32,
    /// Zero.
    pub reserved: u32,
    /// Checksum of everything before it.
    pub check: u32,
    /// Zero.
    pub padding: u32,
}

/// Bytes of the header.
pub const HEADER: usize = size_of::<Header>();
/// Bytes of it under its checksum.
pub const HEADER_CHECKED: usize = 88;

/// What every record starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Head {
    /// Bytes of the record.
    pub len: u32,
    /// One of the kinds above.
    pub kind: u8,
    /// What the kind says.
    pub flags: u8,
    /// Place in the terms.
    pub instrument: u16,
    /// When it was received.
    pub local: i64,
    /// When the venue made it.
    pub venue: i64,
}

/// Behind the head of a depth change; levels follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DepthPart {
    /// First update id in it.
    pub first: u64,
    /// Last update id in it.
    pub last: u64,
    /// Last update id of the one before.
    pub prev: u64,
    /// Bid levels.
    pub bids: u32,
    /// Ask levels.
    pub asks: u32,
}

/// Behind the head of a whole book; levels follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SnapshotPart {
    /// The update id it is true at.
    pub last: u64,
    /// Bid levels.
    pub bids: u32,
    /// Ask levels.
    pub asks: u32,
}

/// Behind the head of a best quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QuotePart {
    /// Update id.
    pub seq: u64,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

/// Behind the head of a print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TradePart {
    /// The venue's trade id.
    pub id: u64,
    /// Price and quantity.
    pub level: Level,
}

/// Behind the head of a mark price. An `i128` is its 16 bytes: a record is aligned to 8 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MarkPart {
    /// Mark price.
    pub mark: [u8; 16],
    /// Index price.
    pub index: [u8; 16],
    /// Funding rate.
    pub rate: i64,
    /// When funding is charged next.
    pub next_funding: i64,
}

const _: () = {
    assert!(cfg!(target_endian = "little"), "levels lie in the file as they lie in memory");
    assert!(HEADER == 96 && HEADER_CHECKED.is_multiple_of(8) && BLOCK.is_multiple_of(8));
    assert!(size_of::<Head>() == 24 && size_of::<DepthPart>() == 32 && size_of::<SnapshotPart>() == 16);
    assert!(size_of::<QuotePart>() == 40 && size_of::<TradePart>() == 24 && size_of::<MarkPart>() == 48);
};

/// How much an event counts: each level change and each print is one, everything else nothing.
#[inline]
#[must_use]
pub const fn weight(event: &Event<'_>) -> u64 {
    match event {
        Event::Depth(depth) => (depth.bids.len() + depth.asks.len()) as u64,
        Event::Snapshot(book) => (book.bids.len() + book.asks.len()) as u64,
        Event::Trade(_) => 1,
        _ => 0,
    }
}
