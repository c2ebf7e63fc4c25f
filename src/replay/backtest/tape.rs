//! What a backtest reads: events with their two times. Knows no strategy and no exchange.

use crate::event::{DepthSnapshot, DepthUpdate, Event, Level};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::latency::{Dice, Latency};
use crate::sim::market::{MarketSource, SyntheticMarket};
use crate::unit::Nanos;

/// An event and its two times.
#[derive(Clone, Copy, Debug)]
pub struct Timed<'f> {
    /// When our host received it, by its corrected clock. Never runs backwards.
    pub local: Nanos,
    /// When the venue made it.
    pub venue: Nanos,
    /// What happened.
    pub event: Event<'f>,
}

/// Why the data end before their end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TapeError(pub Box<dyn std::error::Error + Send + Sync>);

/// An event that can wait for its times to come.
pub trait Held {
    /// The event and its times.
    fn timed(&self) -> Timed<'_>;
}

impl Held for Timed<'_> {
    #[inline]
    fn timed(&self) -> Timed<'_> {
        *self
    }
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
    #[must_use]
    pub fn copy(timed: &Timed<'_>, old: Option<Self>) -> Self {
        let mut levels = old.map_or_else(Vec::new, |old| old.levels);
        levels.clear();
        let mut keep = |bids: &[Level], asks: &[Level]| {
            levels.extend_from_slice(bids);
            levels.extend_from_slice(asks);
            bids.len()
        };
        let (event, bids) = match timed.event {
            Event::Depth(update) => {
                let bids = keep(update.bids, update.asks);
                (Event::Depth(DepthUpdate { bids: &[], asks: &[], ..update }), bids)
            }
            Event::Snapshot(snapshot) => {
                let bids = keep(snapshot.bids, snapshot.asks);
                (Event::Snapshot(DepthSnapshot { bids: &[], asks: &[], ..snapshot }), bids)
            }
            Event::Quote(quote) => (Event::Quote(quote), 0),
            Event::Trade(trade) => (Event::Trade(trade), 0),
            Event::Mark(mark) => (Event::Mark(mark), 0),
            Event::External { instrument, price } => (Event::External { instrument, price }, 0),
            Event::Link { instrument, link, state } => (Event::Link { instrument, link, state }, 0),
            Event::Order(order) => (Event::Order(order), 0),
            Event::Account(account) => (Event::Account(account), 0),
            Event::Operator(word) => (Event::Operator(word), 0),
            Event::Kill => (Event::Kill, 0),
            Event::Timer => (Event::Timer, 0),
        };
        Self { local: timed.local, venue: timed.venue, event, levels, bids }
    }
}

impl Held for Owned {
    fn timed(&self) -> Timed<'_> {
        let (bids, asks) = self.levels.split_at(self.bids);
        let event = match self.event {
            Event::Depth(update) => Event::Depth(DepthUpdate { bids, asks, ..update }),
            Event::Snapshot(snapshot) => Event::Snapshot(DepthSnapshot { bids, asks, ..snapshot }),
            other => other,
        };
        Timed { local: self.local, venue: self.venue, event }
    }
}

/// The synthetic market for a span of time, with a feed latency.
pub struct SyntheticTape {
    market: SyntheticMarket,
    until: Nanos,
    feed: Latency,
    dice: Dice,
    local: Nanos,
    started: bool,
    spare: Vec<Owned>,
}

impl SyntheticTape {
    /// Plays `market` up to `until`; frames take `feed` to us, and none overtakes another.
    #[must_use]
    pub fn new(market: SyntheticMarket, until: Nanos, feed: Latency, seed: u64) -> Self {
        Self { market, until, feed, dice: Dice::new(seed ^ 0xfeed), local: Nanos::ZERO, started: false, spare: Vec::new() }
    }

    /// What is played.
    #[must_use]
    pub fn instrument(&self) -> &Instrument {
        self.market.instrument()
    }
}

impl Tape for SyntheticTape {
    type Item = Owned;

    fn next(&mut self) -> Result<Option<Owned>, TapeError> {
        let failed = |error| TapeError(Box::new(error));
        let Some(due) = self.market.due().map_err(failed)?.filter(|due| *due <= self.until) else { return Ok(None) };
        self.local = self.local.max(due + self.feed.draw(&mut self.dice));
        let (local, old) = (self.local, self.spare.pop());
        if !self.started {
            // A session begins with a snapshot, as a connection does.
            self.started = true;
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            let last = self.market.snapshot(1000, &mut bids, &mut asks);
            let instrument = InstrumentId(0);
            let snapshot = DepthSnapshot { instrument, last, venue_time: due, bids: &bids, asks: &asks };
            return Ok(Some(Owned::copy(&Timed { local, venue: due, event: Event::Snapshot(snapshot) }, old)));
        }
        let Some(told) = self.market.next().map_err(failed)? else { return Ok(None) };
        let timed = Timed { local, venue: told.at, event: told.kind.event(InstrumentId(0)) };
        Ok(Some(Owned::copy(&timed, old)))
    }

    fn reuse(&mut self, item: Owned) {
        self.spare.push(item);
    }
}
