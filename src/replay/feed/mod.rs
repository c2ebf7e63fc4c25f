//! Market data of the past as a stream of events: read from what people have, corrected, checked, merged by time, and kept in a
//! compact mapped file. Never fills a hole with a guess: where the data are broken the stream says that the market was lost.

mod cache;
mod frame;
mod guard;
pub mod layout;
mod npz;
mod raw;
mod reader;
mod report;
mod run;
mod source;
mod survey;
mod tardis;
mod writer;

pub use cache::CACHE_MAX;
pub use guard::{AGREED, AGREED_SPAN, UNAGREED_SPAN};
pub use reader::{Cursor, Feed, FeedError, Record};
pub use report::{BookReport, DataReport, Fault, FaultKind, FileKind, FileReport, PLACES_MAX};
pub use source::{DataFault, Source, SourceOptions, UNSORTED_MAX};
pub use writer::{FeedWriter, Written};

use crate::event::Event;
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
