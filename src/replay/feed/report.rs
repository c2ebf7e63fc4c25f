//! What was found in the files: counts, clock corrections, and every kind of fault with the places of the first ones. Judges nothing.

use crate::unit::Nanos;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Places kept of each kind of fault in each file; further ones are only counted.
pub const PLACES_MAX: usize = 8;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Recorded frames of Binance USD-M, `<time> <JSON>` lines.
    Raw,
    /// Those of Binance spot.
    RawSpot,
    /// A run directory of ours.
    Run,
    /// Tardis `incremental_book_L2`.
    TardisDepth,
    /// Tardis `trades`.
    TardisTrades,
    /// Tardis `quotes`.
    TardisQuotes,
    /// hftbacktest's event array.
    Hftbacktest,
    /// A feed that `spinquote convert` wrote.
    Feed,
}

impl FileKind {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw frames",
            Self::RawSpot => "raw spot frames",
            Self::Run => "run",
            Self::TardisDepth => "Tardis incremental_book_L2",
            Self::TardisTrades => "Tardis trades",
            Self::TardisQuotes => "Tardis quotes",
            Self::Hftbacktest => "hftbacktest npz",
            Self::Feed => "feed",
        }
    }

    /// What a place in it is counted in.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Raw | Self::RawSpot | Self::TardisDepth | Self::TardisTrades | Self::TardisQuotes => "line",
            Self::Run | Self::Feed => "record",
            Self::Hftbacktest => "row",
        }
    }
}

/// What can be wrong with a place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Update ids that do not join, or a hole that the file itself tells of.
    Gap,
    /// The best bid is not below the best ask.
    Crossed,
    /// A best quote that contradicts the book at the same update id.
    Mismatch,
    /// A receive time before the one in front of it.
    Unsorted,
    /// An instrument whose terms are not known.
    UnknownInstrument,
    /// Not understood.
    Malformed,
    /// The file ends too early.
    Cut,
    /// Known already: another file, or the venue, told it before.
    Duplicate,
}

impl FaultKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Gap,
        Self::Crossed,
        Self::Mismatch,
        Self::Unsorted,
        Self::UnknownInstrument,
        Self::Malformed,
        Self::Cut,
        Self::Duplicate,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Crossed => "crossed",
            Self::Mismatch => "mismatch",
            Self::Unsorted => "unsorted",
            Self::UnknownInstrument => "unknown_instrument",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The line, row or record, counted from 1.
    pub line: u64,
    /// What is wrong, for people.
    pub what: String,
}

/// What was found in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Lines of recorded frames, records of a feed, else messages as the venue sent them (rows of one time are one).
    pub frames: u64,
    /// Frames with book changes.
    pub depth: u64,
    /// Frames with whole books.
    pub snapshots: u64,
    /// Frames with best quotes.
    pub quotes: u64,
    /// Frames with prints of the market.
    pub trades: u64,
    /// Frames with mark prices.
    pub marks: u64,
    /// What it gave to the stream: each level change and each print is one.
    pub events: u64,
    /// Corrected receive time of the first frame.
    pub first: Option<Nanos>,
    /// Corrected receive time of the last frame.
    pub last: Option<Nanos>,
    /// What one step of its receive times is.
    pub resolution: Nanos,
    /// Smallest difference of receive time and venue time as the file has it.
    pub latency_min: Option<Nanos>,
    /// Added to its receive times.
    pub shift: Nanos,
    counts: [u64; FaultKind::ALL.len()],
    faults: Vec<Fault>,
}

impl FileReport {
    pub(super) fn new(path: &Path, kind: FileKind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            frames: 0,
            depth: 0,
            snapshots: 0,
            quotes: 0,
            trades: 0,
            marks: 0,
            events: 0,
            first: None,
            last: None,
            resolution: Nanos(1),
            latency_min: None,
            shift: Nanos::ZERO,
            counts: [0; FaultKind::ALL.len()],
            faults: Vec::new(),
        }
    }

    /// Counts a fault; its text is only made while its place is kept.
    pub(super) fn fault(&mut self, kind: FaultKind, line: u64, what: impl FnOnce() -> String) {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        if *count <= PLACES_MAX as u64 {
            let at = self.faults.partition_point(|fault| fault.line <= line);
            self.faults.insert(at, Fault { kind, line, what: what() });
        }
    }

    /// How many faults of a kind there are.
    #[must_use]
    pub const fn count(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    /// The first faults of each kind, in the order of the file.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// A fault as a line for people.
    #[must_use]
    pub fn describe(&self, fault: &Fault) -> String {
        format!("{}, {} {}: {}: {}", self.path.display(), self.kind.unit(), fault.line, fault.kind.name(), fault.what)
    }

    fn to_json(&self) -> Value {
        let counts = FaultKind::ALL.map(|kind| (kind.name().to_owned(), json!(self.count(kind))));
        let place = |fault: &Fault| json!({ "kind": fault.kind.name(), "line": fault.line, "what": fault.what });
        json!({
            "path": self.path.display().to_string(),
            "kind": self.kind.name(),
            "frames": self.frames,
            "depth": self.depth,
            "snapshots": self.snapshots,
            "quotes": self.quotes,
            "trades": self.trades,
            "marks": self.marks,
            "events": self.events,
            "first_ns": self.first.map(|time| time.0),
            "last_ns": self.last.map(|time| time.0),
            "resolution_ns": self.resolution.0,
            "latency_min_ns": self.latency_min.map(|time| time.0),
            "clock_shift_ns": self.shift.0,
            "faults": Value::Object(counts.into_iter().collect()),
            "places": self.faults.iter().map(place).collect::<Vec<_>>(),
        })
    }
}

/// What became of one instrument's book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookReport {
    /// Its symbol.
    pub symbol: String,
    /// Its price step: as stated, or found in the data, where one odd number makes it finer.
    pub tick: String,
    /// Its quantity step, likewise.
    pub lot: String,
    /// Times that the book became known: by a snapshot, or rebuilt.
    pub known: u64,
    /// Of those, without a snapshot: from the changes since the loss, see [`super::Source`].
    pub rebuilt: u64,
    /// Times that the book was lost.
    pub lost: u64,
    /// Snapshots that nobody needed.
    pub unneeded: u64,
}

/// What was found in all files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataReport {
    /// By file, in the order in which they were named.
    pub files: Vec<FileReport>,
    /// By instrument; not of feeds, which were checked when they were converted.
    pub books: Vec<BookReport>,
}

impl DataReport {
    /// Events of all files.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.files.iter().map(|file| file.events).sum()
    }

    /// Faults of a kind in all files.
    #[must_use]
    pub fn count(&self, kind: FaultKind) -> u64 {
        self.files.iter().map(|file| file.count(kind)).sum()
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let book = |book: &BookReport| {
            json!({
                "symbol": book.symbol,
                "tick": book.tick,
                "lot": book.lot,
                "known": book.known,
                "rebuilt": book.rebuilt,
                "lost": book.lost,
                "unneeded_snapshots": book.unneeded,
            })
        };
        json!({
            "files": self.files.iter().map(FileReport::to_json).collect::<Vec<_>>(),
            "books": self.books.iter().map(book).collect::<Vec<_>>(),
        })
    }
}
