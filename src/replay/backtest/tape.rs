//! What a backtest reads: events with their two times. Knows no strategy and no exchange.

use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Level, Link, LinkState, MarkPrice, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::replay::feed::{Cursor, DataReport, Record, Source, Timed};
use crate::sim::latency::{Dice, Latency};
use crate::sim::market::{MarketSource, SyntheticMarket};
use crate::unit::Nanos;

/// Why the data end before their end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TapeError(pub Box<dyn std::error::Error + Send + Sync>);

/// An event that can wait for its times to come.
pub trait Held {
    /// Shows the event to `look`. It is not given back, for it is large and mostly lies somewhere already.
    fn with<R>(&self, look: impl FnOnce(&Event<'_>) -> R) -> R;

    /// When our host received it, and when the venue made it.
    fn times(&self) -> (Nanos, Nanos);

    /// Whose book it changes, tells, loses or finds again.
    fn book(&self) -> Option<InstrumentId>;
}

/// Events in the order of their local times.
pub trait Tape {
    /// What waits.
    type Item: Held;

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// The data cannot be read further.
    fn next(&mut self) -> Result<Option<Self::Item>, TapeError>;

    /// Takes back what is no longer needed, for its memory.
    fn reuse(&mut self, item: Self::Item) {
        drop(item);
    }
}

/// An event with its own copy of its levels.
#[derive(Debug)]
pub struct Owned {
    local: Nanos,
    venue: Nanos,
    event: Event<'static>,
    levels: Vec<Level>,
    bids: usize,
}

impl Owned {
    /// Copies an event, into the memory of `old` where there is one.
    #[inline]
    #[must_use]
    pub fn copy(timed: &Timed<'_>, old: Option<Box<Self>>) -> Box<Self> {
        let mut own = old.unwrap_or_default();
        (own.local, own.venue, own.bids) = (timed.local, timed.venue, 0);
        own.levels.clear();
        // Each into its place: an event is as large as its largest kind, and most are of smaller ones.
        match timed.event {
            Event::Depth(DepthUpdate { bids, asks, instrument, first, last, prev, venue_time }) => {
                own.take(bids, asks);
                own.event =
                    Event::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids: &[], asks: &[] });
            }
            Event::Snapshot(DepthSnapshot { bids, asks, instrument, last, venue_time }) => {
                own.take(bids, asks);
                own.event = Event::Snapshot(DepthSnapshot { instrument, last, venue_time, bids: &[], asks: &[] });
            }
            Event::Quote(quote) => own.event = Event::Quote(quote),
            Event::Trade(trade) => own.event = Event::Trade(trade),
            Event::Mark(mark) => own.event = Event::Mark(mark),
            Event::External { instrument, price } => own.event = Event::External { instrument, price },
            Event::Link { instrument, link, state } => own.event = Event::Link { instrument, link, state },
            Event::Order(order) => own.event = Event::Order(order),
            Event::Account(account) => own.event = Event::Account(account),
            Event::Operator(word) => own.event = Event::Operator(word),
            Event::Kill => own.event = Event::Kill,
            Event::Lapse { lost } => own.event = Event::Lapse { lost },
            Event::Timer => own.event = Event::Timer,
        }
        own
    }

    fn take(&mut self, bids: &[Level], asks: &[Level]) {
        self.levels.extend_from_slice(bids);
        self.levels.extend_from_slice(asks);
        self.bids = bids.len();
    }
}

impl Default for Owned {
    fn default() -> Self {
        Self { local: Nanos::ZERO, venue: Nanos::ZERO, event: Event::Timer, levels: Vec::new(), bids: 0 }
    }
}

impl Held for Box<Owned> {
    #[inline]
    fn with<R>(&self, look: impl FnOnce(&Event<'_>) -> R) -> R {
        let (bids, asks) = self.levels.split_at(self.bids);
        let patched = match &self.event {
            Event::Depth(update) => Event::Depth(DepthUpdate { bids, asks, ..*update }),
            Event::Snapshot(snapshot) => Event::Snapshot(DepthSnapshot { bids, asks, ..*snapshot }),
            whole => return look(whole),
        };
        look(&patched)
    }

    #[inline]
    fn times(&self) -> (Nanos, Nanos) {
        (self.local, self.venue)
    }

    #[inline]
    fn book(&self) -> Option<InstrumentId> {
        match self.event {
            Event::Depth(DepthUpdate { instrument, .. })
            | Event::Snapshot(DepthSnapshot { instrument, .. })
            | Event::Link { instrument, .. } => Some(instrument),
            _ => None,
        }
    }
}

/// The synthetic market for a span of time, with a feed latency.
pub struct SyntheticTape {
    market: SyntheticMarket,
    until: Nanos,
    feed: Latency,
    dice: Dice,
    local: Nanos,
    /// Of the beginning, what was told: the link, then the book.
    told: u8,
    #[allow(clippy::vec_box, reason = "what is handed back stays in its box for the next event")]
    spare: Vec<Box<Owned>>,
}

impl SyntheticTape {
    /// Plays `market` up to `until`; frames take `feed` to us, and none overtakes another.
    #[must_use]
    pub fn new(market: SyntheticMarket, until: Nanos, feed: Latency, seed: u64) -> Self {
        Self { market, until, feed, dice: Dice::new(seed ^ 0xfeed), local: Nanos::ZERO, told: 0, spare: Vec::new() }
    }

    /// What is played.
    #[must_use]
    pub fn instrument(&self) -> &Instrument {
        self.market.instrument()
    }
}

impl Tape for SyntheticTape {
    type Item = Box<Owned>;

    fn next(&mut self) -> Result<Option<Box<Owned>>, TapeError> {
        let failed = |error| TapeError(Box::new(error));
        let Some(due) = self.market.due().map_err(failed)?.filter(|due| *due <= self.until) else { return Ok(None) };
        self.local = self.local.max(due + self.feed.draw(&mut self.dice));
        let (local, old) = (self.local, self.spare.pop());
        if self.told < 2 {
            // A session begins as the streams of data files do.
            self.told += 1;
            let instrument = InstrumentId(0);
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            let event = if self.told == 1 {
                Event::Link { instrument, link: Link::Market, state: LinkState::Up }
            } else {
                let last = self.market.snapshot(1000, &mut bids, &mut asks);
                Event::Snapshot(DepthSnapshot { instrument, last, venue_time: due, bids: &bids, asks: &asks })
            };
            return Ok(Some(Owned::copy(&Timed { local, venue: due, event }, old)));
        }
        let Some(told) = self.market.next().map_err(failed)? else { return Ok(None) };
        let timed = Timed { local, venue: told.at, event: told.kind.event(InstrumentId(0)) };
        Ok(Some(Owned::copy(&timed, old)))
    }

    fn reuse(&mut self, item: Box<Owned>) {
        self.spare.push(item);
    }
}

/// A compact feed; nothing is copied.
pub struct FeedTape<'f> {
    cursor: Cursor<'f>,
    only: InstrumentId,
}

impl<'f> FeedTape<'f> {
    /// One instrument of a feed, which becomes number zero.
    #[must_use]
    pub const fn new(cursor: Cursor<'f>, only: InstrumentId) -> Self {
        Self { cursor, only }
    }
}

impl<'f> Tape for FeedTape<'f> {
    type Item = Record<'f>;

    #[inline]
    fn next(&mut self) -> Result<Option<Record<'f>>, TapeError> {
        while let Some(record) = self.cursor.record() {
            if record.instrument() == self.only {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

impl Held for Record<'_> {
    #[inline]
    fn with<R>(&self, look: impl FnOnce(&Event<'_>) -> R) -> R {
        let event = self.timed().event;
        match self.instrument() {
            InstrumentId(0) => look(&event),
            other => look(&numbered(event, other).unwrap_or(event)),
        }
    }

    #[inline]
    fn times(&self) -> (Nanos, Nanos) {
        Record::times(self)
    }

    #[inline]
    fn book(&self) -> Option<InstrumentId> {
        self.is_of_book().then_some(InstrumentId(0))
    }
}

/// Files of any kind, as they are read.
pub struct SourceTape {
    source: Source,
    only: InstrumentId,
    alone: bool,
    #[allow(clippy::vec_box, reason = "what is handed back stays in its box for the next event")]
    spare: Vec<Box<Owned>>,
}

impl SourceTape {
    /// One instrument of the files, which becomes number zero.
    #[must_use]
    pub fn new(source: Source, only: InstrumentId) -> Self {
        let alone = source.instruments().len() == 1;
        Self { source, only, alone, spare: Vec::new() }
    }

    /// What was found in the files.
    #[must_use]
    pub fn report(&self) -> &DataReport {
        self.source.report()
    }
}

impl Tape for SourceTape {
    type Item = Box<Owned>;

    fn next(&mut self) -> Result<Option<Box<Owned>>, TapeError> {
        while let Some(timed) = self.source.next().map_err(|fault| TapeError(Box::new(fault)))? {
            if self.alone {
                return Ok(Some(Owned::copy(&timed, self.spare.pop())));
            }
            if let Some(event) = numbered(timed.event, self.only) {
                return Ok(Some(Owned::copy(&Timed { event, ..timed }, self.spare.pop())));
            }
        }
        Ok(None)
    }

    fn reuse(&mut self, item: Box<Owned>) {
        self.spare.push(item);
    }
}

/// The event as one of instrument zero; `None` for another instrument's.
#[inline]
fn numbered(event: Event<'_>, only: InstrumentId) -> Option<Event<'_>> {
    let zero = InstrumentId(0);
    let own = |id: InstrumentId| id == only;
    Some(match event {
        Event::Depth(update) if own(update.instrument) => Event::Depth(DepthUpdate { instrument: zero, ..update }),
        Event::Snapshot(book) if own(book.instrument) => Event::Snapshot(DepthSnapshot { instrument: zero, ..book }),
        Event::Quote(quote) if own(quote.instrument) => Event::Quote(BestQuote { instrument: zero, ..quote }),
        Event::Trade(trade) if own(trade.instrument) => Event::Trade(Trade { instrument: zero, ..trade }),
        Event::Mark(mark) if own(mark.instrument) => Event::Mark(MarkPrice { instrument: zero, ..mark }),
        Event::External { instrument, price } if own(instrument) => Event::External { instrument: zero, price },
        Event::Link { instrument, link, state } if own(instrument) => Event::Link { instrument: zero, link, state },
        _ => return None,
    })
}
