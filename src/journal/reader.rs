//! Reads a run's journal, while it is written or after. Uses plain file reads, never a mapping, so a cut file is an error value and not a
//! fault; looks twice before it calls a record damaged, because a live one may be half visible. Never panics on any bytes.

use super::layout::{
    HeaderError, RECORD_HEADER, RecordHeader, RunDir, SEGMENT_HEADER, SEGMENT_MAX, SegmentHeader, checksum, padded,
    segment_index, u32_at,
};
use super::record;
use crate::unit::Nanos;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// What the payload is: a constant of `record`.
    pub kind: u16,
    /// Reserved.
    pub flags: u16,
    /// Sequence number.
    pub seq: u64,
    /// Engine clock.
    pub time: Nanos,
    /// The payload.
    pub payload: &'a [u8],
}

/// Where a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Segment index.
    pub segment: u64,
    /// Byte offset in it.
    pub offset: u64,
}

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// Its length is impossible.
    #[error("a record cannot have {0} bytes here")]
    Length(u32),
    /// The file ends inside it.
    #[error("the file ends inside a record of {len} bytes, after {there}")]
    Cut {
        /// The record's length.
        len: u32,
        /// Bytes there.
        there: u64,
    },
    /// Its checksum does not hold.
    #[error("the checksum does not hold")]
    Checksum,
    /// Its sequence number is not the next one.
    #[error("record {got} stands where {expected} belongs")]
    Seq {
        /// The next one.
        expected: u64,
        /// What stands there.
        got: u64,
    },
    /// The segment has no seal, but a later one is in use.
    #[error("the segment stops without a seal although the next one is in use")]
    Unsealed,
}

/// Why a journal cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No segment in the directory.
    #[error("{}: no journal segment (events-000000.sqj) here", .0.display())]
    NoSegments(PathBuf),
    /// A segment between two others is gone.
    #[error("{}: missing, although later segments exist", .0.display())]
    Missing(PathBuf),
    /// A segment's header.
    #[error("{}: {error}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: HeaderError,
    },
    /// A segment of another run or place.
    #[error("{}: it belongs to another place or run than its name says", .0.display())]
    Foreign(PathBuf),
    /// A record. Everything before it was good.
    #[error("{}: at byte {}: {damage}; the last good record is {last_seq}", path.display(), place.offset)]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record stands.
        place: Place,
        /// What is wrong.
        damage: Damage,
        /// Sequence number of the record before, 0 if none.
        last_seq: u64,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// How a journal ends.
#[derive(Debug)]
pub enum End {
    /// With the run's end record.
    Clean,
    /// After the last committed record: the run is live, or was killed.
    Open,
    /// At damage.
    Damaged(ReadError),
}

/// What `verify` found.
#[derive(Debug)]
pub struct Report {
    /// Index of the first segment; above 0 when old ones were removed.
    pub first_segment: u64,
    /// Segments read.
    pub segments: u64,
    /// Good records.
    pub records: u64,
    /// Their bytes, record headers and padding included.
    pub bytes: u64,
    /// Sequence number of the first record.
    pub first_seq: u64,
    /// Sequence number of the last good record.
    pub last_seq: u64,
    /// Time of the last good record.
    pub last_time: Nanos,
    /// Records that the writer had to drop, as it says itself.
    pub lost: u64,
    /// How it ends.
    pub end: End,
}

/// Bytes read from a file at once.
const CHUNK: usize = 1 << 20;

/// A place in a journal.
#[derive(Debug)]
pub struct Reader {
    dir: RunDir,
    first_segment: u64,
    header: SegmentHeader,
    file: File,
    path: PathBuf,
    offset: u64,
    next_seq: u64,
    sealed: bool,
    cache: Vec<u8>,
    cache_at: u64,
}

enum Step {
    Record { header: RecordHeader, at: usize, len: usize },
    Nothing,
}

impl Reader {
    /// Opens the run at its first segment.
    ///
    /// # Errors
    /// There is none, or it is not a segment.
    pub fn open(dir: RunDir) -> Result<Self, ReadError> {
        let listing =
            fs::read_dir(dir.path()).map_err(|source| ReadError::Io { path: dir.path().to_path_buf(), source })?;
        let first = listing
            .filter_map(|entry| segment_index(entry.ok()?.file_name().to_str()?))
            .min()
            .ok_or_else(|| ReadError::NoSegments(dir.path().to_path_buf()))?;
        Self::open_at(dir, first)
    }

    /// Opens the run at segment `first`, as if there were none before it.
    ///
    /// # Errors
    /// It is not there, or not a segment.
    pub fn open_at(dir: RunDir, first: u64) -> Result<Self, ReadError> {
        let path = dir.segment(first);
        let (file, header) = open_segment(&path, first)?;
        Ok(Self {
            first_segment: first,
            next_seq: header.first_seq.max(1),
            dir,
            header,
            file,
            path,
            offset: SEGMENT_HEADER as u64,
            sealed: false,
            cache: Vec::new(),
            cache_at: 0,
        })
    }

    /// The header of the segment that is being read.
    #[must_use]
    pub fn segment(&self) -> &SegmentHeader {
        &self.header
    }

    /// Where the next record stands or will stand.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { segment: self.header.index, offset: self.offset }
    }

    /// The next record; seals are passed over. `None` is the end for now: ask again while the run is live.
    ///
    /// # Errors
    /// Damage, which is final: the same error comes again.
    #[allow(clippy::should_implement_trait)] // It lends the payload, which `Iterator` cannot.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        loop {
            if self.sealed && !self.next_segment()? {
                return Ok(None);
            }
            let Step::Record { header, at, len } = self.step()? else { return Ok(None) };
            self.offset += padded(len) as u64;
            if header.kind == record::SEAL {
                self.sealed = true;
                continue;
            }
            self.next_seq = header.seq.wrapping_add(1);
            let payload = &self.cache[at + RECORD_HEADER..at + len];
            let RecordHeader { kind, flags, seq, time } = header;
            return Ok(Some(Record { kind, flags, seq, time: Nanos(time), payload }));
        }
    }

    /// Reads the whole run and says how far it is good.
    ///
    /// # Errors
    /// Only where there is no journal at all; damage is part of the report.
    pub fn verify(dir: RunDir) -> Result<Report, ReadError> {
        let mut reader = Self::open(dir)?;
        let first_seq = reader.next_seq;
        let (mut last_time, mut lost, mut clean) = (Nanos(0), 0, false);
        let mut records = 0;
        let mut bytes = 0;
        let end = loop {
            match reader.next() {
                Ok(Some(found)) => {
                    records += 1;
                    bytes += padded(RECORD_HEADER + found.payload.len()) as u64;
                    last_time = found.time;
                    clean = found.kind == record::RUN_END;
                    if found.kind == record::LOSS {
                        lost += record::Loss::decode(found.payload).map_or(0, |loss| loss.records);
                    }
                }
                Ok(None) => break if clean { End::Clean } else { End::Open },
                Err(error) => break End::Damaged(error),
            }
        };
        Ok(Report {
            first_segment: reader.first_segment,
            segments: reader.header.index - reader.first_segment + 1,
            records,
            bytes,
            first_seq,
            last_seq: reader.next_seq.saturating_sub(1),
            last_time,
            lost,
            end,
        })
    }

    fn damaged(&self, damage: Damage) -> ReadError {
        let (path, last_seq) = (self.path.clone(), self.next_seq.saturating_sub(1));
        ReadError::Damaged { path, place: self.place(), damage, last_seq }
    }

    /// Looks at the current offset: first in what was read before, then in the file afresh.
    fn step(&mut self) -> Result<Step, ReadError> {
        match self.look(false)? {
            Ok(found @ Step::Record { .. }) => return Ok(found),
            Ok(Step::Nothing) | Err(_) => {}
        }
        match self.look(true)? {
            Ok(found @ Step::Record { .. }) => Ok(found),
            Err(damage) => Err(self.damaged(damage)),
            Ok(Step::Nothing) => {
                // The writer seals a segment before it takes the next into use: so first the next one, then once more this one.
                if self.in_use(self.header.index + 1) {
                    return match self.look(true)? {
                        Ok(found @ Step::Record { .. }) => Ok(found),
                        Ok(Step::Nothing) => Err(self.damaged(Damage::Unsealed)),
                        Err(damage) => Err(self.damaged(damage)),
                    };
                }
                Ok(Step::Nothing)
            }
        }
    }

    fn look(&mut self, afresh: bool) -> Result<Result<Step, Damage>, ReadError> {
        if afresh {
            self.cache.clear();
        }
        let offset = self.offset;
        let (at, there) = self.fill(offset, RECORD_HEADER)?;
        if there < 4 {
            return Ok(Ok(Step::Nothing));
        }
        let len = u32_at(&self.cache, at);
        if len == 0 {
            return Ok(Ok(Step::Nothing));
        }
        let whole = padded(len as usize);
        if (len as usize) < RECORD_HEADER || whole > SEGMENT_MAX || offset + whole as u64 > self.header.size {
            return Ok(Err(Damage::Length(len)));
        }
        let (at, there) = self.fill(offset, whole)?;
        if there < whole {
            return Ok(Err(Damage::Cut { len, there: there as u64 }));
        }
        let bytes = &self.cache[at..at + whole];
        if checksum(len, &bytes[8..]) != u32_at(bytes, 4) {
            return Ok(Err(Damage::Checksum));
        }
        let header = RecordHeader::decode(bytes[8..RECORD_HEADER].try_into().expect("sliced to its size"));
        if header.seq != self.next_seq {
            return Ok(Err(Damage::Seq { expected: self.next_seq, got: header.seq }));
        }
        Ok(Ok(Step::Record { header, at, len: len as usize }))
    }

    /// Makes `need` bytes from `offset` present in the cache, fewer where the file ends; returns where they start and how many there are.
    fn fill(&mut self, offset: u64, need: usize) -> Result<(usize, usize), ReadError> {
        let have = self.cache_at + self.cache.len() as u64;
        if !(self.cache_at <= offset && offset + need as u64 <= have) {
            self.cache.resize(need.max(CHUNK), 0);
            self.cache_at = offset;
            let filled = match read_full(&self.file, &mut self.cache, offset) {
                Ok(filled) => filled,
                Err(source) => {
                    self.cache.clear();
                    return Err(ReadError::Io { path: self.path.clone(), source });
                }
            };
            self.cache.truncate(filled);
        }
        let at = (offset - self.cache_at) as usize;
        Ok((at, (self.cache.len() - at).min(need)))
    }

    fn in_use(&self, index: u64) -> bool {
        open_segment(&self.dir.segment(index), index).is_ok_and(|(_, header)| header.first_seq != 0)
    }

    /// Goes on to the next segment; false while it is not in use.
    fn next_segment(&mut self) -> Result<bool, ReadError> {
        let index = self.header.index + 1;
        let path = self.dir.segment(index);
        let (file, header) = match open_segment(&path, index) {
            Err(ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let later = fs::read_dir(self.dir.path()).into_iter().flatten().any(|entry| {
                    entry.is_ok_and(|entry| entry.file_name().to_str().and_then(segment_index) > Some(index))
                });
                return if later { Err(ReadError::Missing(path)) } else { Ok(false) };
            }
            // A maker creates the file, then its storage, then its header.
            Err(ReadError::Header { error: HeaderError::Short(0) | HeaderError::Unready, .. }) => return Ok(false),
            other => other?,
        };
        if header.first_seq == 0 {
            return Ok(false);
        }
        if header.run != self.header.run || header.first_seq != self.next_seq {
            return Err(ReadError::Foreign(path));
        }
        (self.file, self.header, self.path) = (file, header, path);
        self.offset = SEGMENT_HEADER as u64;
        self.sealed = false;
        self.cache.clear();
        Ok(true)
    }
}

fn open_segment(path: &std::path::Path, index: u64) -> Result<(File, SegmentHeader), ReadError> {
    let failed = |source| ReadError::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = [0; SEGMENT_HEADER];
    let filled = read_full(&file, &mut bytes, 0).map_err(failed)?;
    let header = SegmentHeader::decode(&bytes[..filled])
        .map_err(|error| ReadError::Header { path: path.to_path_buf(), error })?;
    if header.index == index { Ok((file, header)) } else { Err(ReadError::Foreign(path.to_path_buf())) }
}

/// Fills `out` from `offset` as far as the file goes.
fn read_full(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match file.read_at(&mut out[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
