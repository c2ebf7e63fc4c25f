//! The market that the pretend venue plays: events in the venue's words and times, from a seed or from a recording.
//! Pure: no clock, no I/O, no float; knows neither own orders nor accounts.

mod aggregate;
mod book;
mod mark;
mod profile;
mod random;
mod schedule;
mod synthetic;

pub use aggregate::Aggregator;
pub use book::TrueBook;
pub(in crate::sim) use mark::MarkModel;
pub use profile::Profile;
pub use schedule::{Regime, Schedule};
pub use synthetic::SyntheticMarket;

use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Level, Link, LinkState, MarkPrice, Side, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Price, Seq, Ticks};

/// What happened in the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketKind<'a> {
    /// A print against the book.
    Trade(Trade),
    /// The touch changed, in price or size.
    Quote(BestQuote),
    /// The levels that changed since the last one, absolute, ascending by price.
    Depth(DepthUpdate<'a>),
    /// Mark price and funding, once a second.
    Mark {
        /// The normalised part.
        mark: MarkPrice,
        /// Estimated settle price, which only the frame carries.
        settle: Price,
    },
    /// The whole book anew, after the market was not known (live sources only).
    Snapshot(DepthSnapshot<'a>),
    /// The market is not known from here on until the next [`MarketKind::Snapshot`] (live sources only).
    Lost,
}

impl<'a> MarketKind<'a> {
    /// The same as an event of `instrument`: sources number their only instrument zero.
    #[must_use]
    pub fn event(self, instrument: InstrumentId) -> Event<'a> {
        match self {
            Self::Trade(trade) => Event::Trade(Trade { instrument, ..trade }),
            Self::Quote(quote) => Event::Quote(BestQuote { instrument, ..quote }),
            Self::Depth(update) => Event::Depth(DepthUpdate { instrument, ..update }),
            Self::Mark { mark, .. } => Event::Mark(MarkPrice { instrument, ..mark }),
            Self::Snapshot(snapshot) => Event::Snapshot(DepthSnapshot { instrument, ..snapshot }),
            Self::Lost => Event::Link { instrument, link: Link::Market, state: LinkState::Down },
        }
    }
}

/// A source whose first event is this near to the present was made for it.
const PRESENT: Nanos = Nanos::from_secs(2);

/// When a source with its `first` event is begun to be played: `now`. A market that was made for the present keeps its own times, so
/// that its marks stand on whole seconds and its funding on whole hours; what is due already is told at once.
pub(in crate::sim) fn begins(first: Nanos, now: Nanos) -> Nanos {
    if (now - first).0.abs() < PRESENT.0 { first } else { now }
}

/// One fact of the market at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketEvent<'a> {
    /// When the venue sends it. Never decreases. `venue_time` in the data is the same cut to the venue's milliseconds
    /// (or, in a recording, what the frame says).
    pub at: Nanos,
    /// The fact.
    pub kind: MarketKind<'a>,
    /// The frame as it was recorded; empty for a synthetic event, which has none.
    pub raw: &'a [u8],
}

/// Why a source of market events cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MarketError(pub Box<dyn std::error::Error + Send + Sync>);

/// Where the pretend venue takes its market from.
pub trait MarketSource {
    /// The contract that is played.
    fn instrument(&self) -> &Instrument;

    /// When the next event is due; `None` after the last.
    ///
    /// # Errors
    /// The recording is damaged from here on.
    fn due(&mut self) -> Result<Option<Nanos>, MarketError>;

    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// The recording is damaged from here on.
    fn next(&mut self) -> Result<Option<MarketEvent<'_>>, MarketError>;

    /// The book that the venue would show, own orders not in it. A sweep leaves it at once, before its prints are read.
    fn book(&self) -> &TrueBook;

    /// The update id that [`MarketSource::book`] is true at.
    fn last_update(&self) -> Seq;

    /// Writes the best `limit` levels a side, best first; returns the update id they are true at.
    fn snapshot(&self, limit: usize, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Seq {
        self.book().top(Side::Buy, limit, bids);
        self.book().top(Side::Sell, limit, asks);
        self.last_update()
    }

    /// True for a market that goes on outside: no event now does not mean that none comes, and its times are those of now.
    fn is_live(&self) -> bool {
        false
    }

    /// Resting quantity at a price.
    fn resting(&self, side: Side, price: Ticks) -> Lots {
        self.book().qty(side, price)
    }
}
