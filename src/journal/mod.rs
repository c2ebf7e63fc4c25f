//! What is remembered: events, counters and histograms in memory-mapped files. Knows records, not their meaning.
//!
//! The engine appends with a [`Writer`]; the housekeeper keeps segments ready with [`Segments`]; observers read with a [`Reader`] in
//! their own processes and can neither slow nor stop the engine. `layout` draws the files.

pub mod command_page;
pub mod counters;
mod error;
mod finished;
pub mod histogram;
pub mod layout;
mod mapped;
mod reader;
pub mod record;
mod segments;
mod writer;

pub use error::{AppendError, JournalError};
pub use finished::FinishedFile;
pub use layout::{ClockSource, RunDir, SegmentHeader};
pub use reader::{Damage, End, Place, ReadError, Reader, Record, Report};
pub use segments::{Housekept, JournalSettings, Retention, Segments, start};
pub use writer::{Segment, Writer};
