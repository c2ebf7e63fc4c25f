//! What every venue's codec shares: the level buffer, the faults a peer can commit, and the trait that a market decoder fills.
//! Knows no venue.

use crate::event::{DepthSnapshot, Event, Level};
use crate::instrument::{InstrumentId, Symbol};
use crate::unit::{DecimalError, Lots, Ticks};
use crate::wire::buf::touched;
use crate::wire::simd::LevelSink;

/// Price levels of one message, bids then asks, in memory taken at construction.
#[derive(Debug)]
pub struct LevelBuf {
    levels: Box<[Level]>,
    used: usize,
    bids: usize,
}

impl LevelBuf {
    /// Room for `limit` levels, both sides together.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { levels: touched(Level::default(), limit), used: 0, bids: 0 }
    }

    /// Forgets all levels.
    #[inline]
    pub fn clear(&mut self) {
        self.used = 0;
        self.bids = 0;
    }

    /// Appends a level; `false` when full.
    #[inline]
    #[must_use]
    pub fn push(&mut self, level: Level) -> bool {
        match self.levels.get_mut(self.used) {
            Some(slot) => {
                *slot = level;
                self.used += 1;
                true
            }
            None => false,
        }
    }

    /// What was pushed so far are the bids; asks follow.
    #[inline]
    pub fn end_bids(&mut self) {
        self.bids = self.used;
    }

    /// Most levels that fit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.levels.len()
    }

    /// The bid levels.
    #[inline]
    #[must_use]
    pub fn bids(&self) -> &[Level] {
        &self.levels[..self.bids]
    }

    /// The ask levels.
    #[inline]
    #[must_use]
    pub fn asks(&self) -> &[Level] {
        &self.levels[self.bids..self.used]
    }
}

impl LevelSink for LevelBuf {
    #[inline]
    fn push(&mut self, price: Ticks, qty: Lots) -> bool {
        Self::push(self, Level { price, qty })
    }

    #[inline]
    fn push_two(&mut self, [price, qty, price2, qty2]: [i64; 4]) -> bool {
        let Some(slots) = self.levels.get_mut(self.used..self.used + 2) else {
            return LevelSink::push(self, Ticks(price), Lots(qty)) && LevelSink::push(self, Ticks(price2), Lots(qty2));
        };
        slots[0] = Level { price: Ticks(price), qty: Lots(qty) };
        slots[1] = Level { price: Ticks(price2), qty: Lots(qty2) };
        self.used += 2;
        true
    }
}

/// Why a message of a venue could not be understood. Nothing of such a message was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a JSON document, or cut short.
    #[error("the message is not a whole JSON document")]
    NotJson,
    /// JSON, but not an object (or array, where one is due).
    #[error("the message has the wrong shape: {expected} is due")]
    WrongShape {
        /// What would be right.
        expected: &'static str,
    },
    /// A key that the message must have.
    #[error("the key {key:?} is missing")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A value of another type than the key has.
    #[error("the value of {key:?} is not {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A decimal text that is not an exact quantity of the instrument.
    #[error("the number in {key:?}: {fault}")]
    BadNumber {
        /// The key it stands under.
        key: &'static str,
        /// What is wrong.
        fault: DecimalError,
    },
    /// A number below zero where none can be.
    #[error("the number in {key:?} is negative")]
    Negative {
        /// The key it stands under.
        key: &'static str,
    },
    /// A word outside the venue's list.
    #[error("the word in {key:?} is not one the venue documents")]
    UnknownWord {
        /// The key it stands under.
        key: &'static str,
    },
    /// A symbol that is not traded here.
    #[error("no instrument is set up for the symbol {symbol:?}")]
    UnknownSymbol {
        /// The symbol, cut at 24 bytes.
        symbol: Symbol,
    },
    /// More levels in one message than there is room for.
    #[error("more than {limit} levels in one message")]
    TooManyLevels {
        /// The room there is.
        limit: usize,
    },
    /// A longer message than there is room for.
    #[error("a message of {len} bytes; at most {limit} are taken")]
    TooLong {
        /// Its length.
        len: usize,
        /// The bound.
        limit: usize,
    },
    /// More facts in one message than there is room for.
    #[error("more than {limit} entries in one message")]
    TooManyEntries {
        /// The room there is.
        limit: usize,
    },
}

/// What a market-data message means.
#[derive(Debug, Clone, Copy)]
pub enum MarketMessage<'a> {
    /// Something happened in the market.
    Event(Event<'a>),
    /// Answer to a subscribe request.
    Response {
        /// The request's number; 0 where the answer carries none.
        id: u64,
        /// The venue's error code; 0 is success.
        code: i32,
    },
    /// Understood to be of no concern: another event type, or a print that is not of the market.
    Ignored,
}

/// A venue's market data, from bytes to events. Order entry differs too much between venues for one trait
/// (an answer is the outcome here and a mere receipt there), so the engine's wiring names the venue for it.
pub trait MarketCodec {
    /// `buf[..len]` is one message, with [`crate::wire::simd::SPARE`] bytes behind it. May change the message in place, so journal
    /// it first; never changes bytes behind `len`. Allocates nothing.
    ///
    /// # Errors
    /// Any fault of the message, precisely.
    fn decode<'a>(&'a mut self, buf: &'a mut [u8], len: usize) -> Result<MarketMessage<'a>, DecodeError>;

    /// A polled book, for venues whose diffs need one. Same rules as [`MarketCodec::decode`].
    ///
    /// # Errors
    /// Any fault of the message, precisely.
    fn decode_snapshot<'a>(
        &'a mut self,
        instrument: InstrumentId,
        body: &'a mut [u8],
        len: usize,
    ) -> Result<DepthSnapshot<'a>, DecodeError>;
}
