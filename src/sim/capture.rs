//! Recorded market sessions: read from a file, written to one, and played as a market. Touches files; knows no account and no order.
//!
//! A recording is text, one frame a line: `<receive time> <frame as JSON>`, the time in ns, us or ms since the epoch
//! (told apart by their size), plain or compressed with gzip or zstd (told apart by their first bytes). A line may also hold
//! the body of a REST depth snapshot.

mod frame;
mod market;
mod reader;
mod survey;
mod writer;

pub use market::CaptureMarket;
pub use reader::{CaptureReader, Line, TextLines};
pub use writer::CaptureWriter;

use std::io;
use std::path::PathBuf;

/// What is wrong with a recording, and where.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened or created.
    #[error("{path}: cannot be opened: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("{path}, line {line}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The line that was being read or written, counted from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// The compressed file ends before its end mark.
    #[error("{path}, line {line}: the compressed file is cut off here; the {} lines before it are intact", .line - 1)]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The first line that is not whole.
        line: u64,
    },
    /// The last line has no end.
    #[error("{path}, line {line}: the line is cut off after {bytes} bytes; the {} lines before it are intact", .line - 1)]
    CutLine {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// Its length as far as it goes.
        bytes: usize,
    },
    /// The line is not `<receive time> <JSON>`.
    #[error("{path}, line {line}: {why}; a line is `<receive time in ns, us or ms> <frame as JSON>`")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The frame is not one of the venue's.
    #[error("{path}, line {line}: {why}")]
    Frame {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The wanted symbol is not recorded there.
    #[error("{path}: has no frames of {wanted}; it holds {found}")]
    OtherSymbol {
        /// The file.
        path: PathBuf,
        /// The symbol that was asked for.
        wanted: String,
        /// The symbols in the file, or that there is none.
        found: String,
    },
    /// Several symbols are recorded and none was asked for.
    #[error("{path}: holds several symbols ({found}); name one of them")]
    ManySymbols {
        /// The file.
        path: PathBuf,
        /// The symbols in the file.
        found: String,
    },
    /// A spot session, where a session of contracts is due.
    #[error(
        "{path}: a recorded spot session; it can be a second price source (--spot-capture), not the market that is traded"
    )]
    Spot {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to rebuild a book from.
    #[error("{path}: has no {missing} frame of {symbol}; a market needs depth and bookTicker frames")]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// The symbol.
        symbol: String,
        /// Which kind of frame.
        missing: &'static str,
    },
}

impl CaptureError {
    /// What is wrong, for a report that names file and line itself.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Truncated { .. } => "the compressed file is cut off here; the lines before it are intact".to_owned(),
            Self::CutLine { bytes, .. } => {
                format!("the line is cut off after {bytes} bytes; the lines before it are intact")
            }
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}
