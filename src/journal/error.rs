//! What can go wrong while a journal is written; what can be wrong in one that is read stands in `reader`.

use std::io;
use std::path::{Path, PathBuf};

/// A journal file cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The storage is full, or a quota or a file-size limit is reached.
    #[error("{}: no room for {bytes} bytes ({source}); free some, or set a smaller segment or another directory", path.display())]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Bytes needed.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Any other refusal of the system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what its name says, or of another version.
    #[error("{}: {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The run's journal has reached its bound, and the setting says not to remove old segments.
    #[error(
        "the journal has {bytes} bytes and would pass its bound of {bytes_max}; raise the bound or let it drop the oldest segments"
    )]
    BytesMax {
        /// Bytes now.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
}

impl JournalError {
    pub(super) fn at(path: &Path, bytes: usize, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::NoSpace { path, bytes: bytes as u64, source }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// An append that did not happen. Plain values: the engine's thread makes them without allocating.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// No prepared segment is ready. The record is lost and counted; the engine stops quoting.
    #[error("the journal is full: no prepared segment is ready")]
    Full,
    /// The record does not fit any segment.
    #[error("a record of {bytes} bytes does not fit a segment, which holds records of {max}")]
    TooLarge {
        /// Payload bytes.
        bytes: usize,
        /// Most payload bytes.
        max: usize,
    },
}
