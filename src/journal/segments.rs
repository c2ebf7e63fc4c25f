//! Makes segments ahead of the writer, and files away the full ones. Runs on the housekeeper's thread; the only part of the journal that
//! creates, copies, flushes or removes files.

use super::error::JournalError;
use super::layout::{
    ClockSource, FIRST_SEQ_AT, RunDir, SEGMENT_HEADER, SEGMENT_MAX, SEGMENT_MIN, SegmentHeader, segment_name,
};
use super::mapped::{Ahead, Mapped};
use super::writer::{Segment, Writer};
use crate::unit::Nanos;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What to do when the journal reaches its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// Make no further segment: the writer runs full and the engine stops quoting. The run stays whole and can be replayed.
    Stop,
    /// Remove the oldest sealed segments. The run cannot be replayed from its start any more.
    DropOldest,
}

/// Settings of a journal.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// The run directory, which exists.
    pub run_dir: RunDir,
    /// Where segments live while they are written: the run directory itself (`None`), or a directory in memory such as
    /// `/dev/shm/spinquote`, from which sealed ones are copied. In memory the kernel's write-back cannot stall the engine; a power cut
    /// then costs up to `segments_ready + 1` segments, a killed process nothing.
    pub live_dir: Option<PathBuf>,
    /// Bytes of a segment: a multiple of 4096 from 4096 to 1 GiB.
    pub segment_bytes: usize,
    /// Prepared segments kept ready.
    pub segments_ready: usize,
    /// Most bytes of all segments of the run.
    pub bytes_max: u64,
    /// What happens then.
    pub retention: Retention,
    /// The run's number.
    pub run: u32,
    /// Where record times come from.
    pub clock: ClockSource,
    /// Keep live segments in memory with `mlock`.
    pub lock: bool,
}

impl JournalSettings {
    /// Defaults: 64 MiB segments in the run directory, two ready, 8 GiB, stop at the bound, locked.
    #[must_use]
    pub fn new(run_dir: RunDir, run: u32, clock: ClockSource) -> Self {
        Self {
            run_dir,
            live_dir: None,
            segment_bytes: 64 << 20,
            segments_ready: 2,
            bytes_max: 8 << 30,
            retention: Retention::Stop,
            run,
            clock,
            lock: true,
        }
    }
}

/// What one round of housekeeping did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Housekept {
    /// Segments prepared.
    pub made: usize,
    /// Full segments filed away.
    pub sealed: usize,
    /// Old segments removed.
    pub removed: usize,
}

/// A segment that the writer has or may take.
#[derive(Debug)]
struct Live {
    index: u64,
    /// For flushing.
    file: File,
    /// For going ahead of the writer.
    pages: Ahead,
}

/// How far ahead of the writer pages are kept writable: what a burst writes between two rounds of the housekeeper.
const AHEAD: usize = 256 << 10;

/// The housekeeper's end of the journal.
#[derive(Debug)]
pub struct Segments {
    settings: JournalSettings,
    ready: rtrb::Producer<Segment>,
    sealed: rtrb::Consumer<Segment>,
    next_index: u64,
    /// Segments that the writer has or may take, oldest first.
    live: VecDeque<Live>,
    /// Segments filed away and their sizes, oldest first.
    filed: VecDeque<(u64, u64)>,
    lock_refused: Option<io::Error>,
}

/// Starts a journal: the first segment is in use, the others are ready.
///
/// # Errors
/// A segment cannot be made.
///
/// # Panics
/// The settings are out of their ranges.
pub fn start(settings: JournalSettings, now: Nanos) -> Result<(Writer, Segments), JournalError> {
    let bytes = settings.segment_bytes;
    assert!(
        bytes.is_multiple_of(4096) && (SEGMENT_MIN..=SEGMENT_MAX).contains(&bytes),
        "a journal segment has {bytes} bytes; it must be a multiple of 4096 from {SEGMENT_MIN} to {SEGMENT_MAX}"
    );
    assert!(settings.segments_ready > 0, "at least one journal segment must be kept ready");
    if let Some(live) = &settings.live_dir {
        fs::create_dir_all(live).map_err(|source| JournalError::at(live, 0, source))?;
    }
    let (ready, ready_out) = rtrb::RingBuffer::new(settings.segments_ready);
    // Every segment that exists can be in this ring at once: ready, in use, and those that fill between two rounds of housekeeping.
    let (sealed_in, sealed) = rtrb::RingBuffer::new(2 * settings.segments_ready + 2);
    let mut segments = Segments {
        settings,
        ready,
        sealed,
        next_index: 0,
        live: VecDeque::new(),
        filed: VecDeque::new(),
        lock_refused: None,
    };
    let first = segments.make(now)?;
    segments.housekeep(now)?;
    Ok((Writer::new(first, 1, ready_out, sealed_in), segments))
}

impl Segments {
    /// One round: files full segments away, removes old ones if the setting says so, prepares new ones.
    ///
    /// # Errors
    /// The first thing that failed; the next round tries again. While none can be made the writer runs on what is ready, then full.
    pub fn housekeep(&mut self, now: Nanos) -> Result<Housekept, JournalError> {
        let mut done = Housekept::default();
        while let Ok(segment) = self.sealed.pop() {
            self.file_away(segment)?;
            done.sealed += 1;
        }
        while self.ready.slots() > 0 {
            done.removed += self.keep_bound()?;
            let segment = self.make(now)?;
            assert!(self.ready.push(segment).is_ok(), "the slot was seen free and nobody else pushes");
            done.made += 1;
        }
        Ok(done)
    }

    /// Takes the page faults of what the writer at `position` ([`Writer::position`]) writes next, in its segment and the one behind it.
    pub fn populate_ahead(&self, position: u64) {
        let bytes = self.settings.segment_bytes;
        let (index, used) = (position / bytes as u64, (position % bytes as u64) as usize);
        for live in self.live.iter().filter(|live| live.index == index) {
            live.pages.populate(used, AHEAD);
        }
        if used + AHEAD > bytes {
            for live in self.live.iter().filter(|live| live.index == index + 1) {
                live.pages.populate(0, AHEAD);
            }
        }
    }

    /// Writes what the live segments hold to the storage. Milliseconds; a power cut costs what came after the last flush.
    ///
    /// # Errors
    /// The storage refused.
    pub fn flush(&self) -> Result<(), JournalError> {
        for Live { index, file, .. } in &self.live {
            file.sync_data().map_err(|source| JournalError::at(&self.settings.run_dir.segment(*index), 0, source))?;
        }
        Ok(())
    }

    /// Ends the journal after [`Writer::close`]: files the last segment away and removes the ones that were never used. Without a close
    /// the last segment stays as it is.
    ///
    /// # Errors
    /// A file cannot be copied or removed; no record is lost by that.
    pub fn finish(mut self) -> Result<(), JournalError> {
        while let Ok(segment) = self.sealed.pop() {
            self.file_away(segment)?;
        }
        for Live { index, file, .. } in std::mem::take(&mut self.live) {
            let mut first_seq = [0; 8];
            let untouched = file.read_exact_at(&mut first_seq, FIRST_SEQ_AT as u64).is_ok() && first_seq == [0; 8];
            if !untouched {
                // A writer that was not closed: its records stay where they are.
                continue;
            }
            let path = self.settings.run_dir.segment(index);
            remove(&path)?;
            if let Some(live) = &self.settings.live_dir {
                remove(&live.join(segment_name(index)))?;
            }
        }
        Ok(())
    }

    /// Why segments are not locked in memory, once: `None` when they are, or when it was said already.
    pub fn lock_refused(&mut self) -> Option<io::Error> {
        self.lock_refused.take()
    }

    /// Bytes of all segments of the run that exist now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let filed: u64 = self.filed.iter().map(|&(_, bytes)| bytes).sum();
        filed + self.live.len() as u64 * self.settings.segment_bytes as u64
    }

    fn make(&mut self, now: Nanos) -> Result<Segment, JournalError> {
        let JournalSettings { run_dir, live_dir, segment_bytes, run, clock, .. } = &self.settings;
        let index = self.next_index;
        let named = run_dir.segment(index);
        let path = live_dir.as_ref().map_or_else(|| named.clone(), |live| live.join(segment_name(index)));
        let (mut mapped, file) = Mapped::create(&path, *segment_bytes)?;
        if live_dir.is_some() {
            // Readers look in the run directory only.
            std::os::unix::fs::symlink(&path, &named).map_err(|source| {
                let _ = fs::remove_file(&path);
                JournalError::at(&named, 0, source)
            })?;
        }
        let header = SegmentHeader {
            run: *run,
            clock: *clock,
            index,
            base_time: now.0,
            size: *segment_bytes as u64,
            first_seq: 0,
        };
        mapped.write(0, &header.encode());
        if self.settings.lock
            && let Err(refused) = mapped.lock()
        {
            // Said once; the next segments are not even tried.
            self.settings.lock = false;
            self.lock_refused = Some(refused);
        }
        self.next_index += 1;
        self.live.push_back(Live { index, file, pages: mapped.ahead() });
        Ok(Segment { mapped, index, used: SEGMENT_HEADER })
    }

    fn file_away(&mut self, segment: Segment) -> Result<(), JournalError> {
        let Segment { mapped, index, used } = segment;
        self.live.retain(|live| live.index != index);
        // Unmapped before the file is cut: no mapping may outlive its storage.
        drop(mapped);
        let named = self.settings.run_dir.segment(index);
        self.filed.push_back((index, used as u64));
        match &self.settings.live_dir {
            None => {
                let file = fs::OpenOptions::new().write(true).open(&named);
                file.and_then(|file| file.set_len(used as u64).and_then(|()| file.sync_data()))
                    .map_err(|source| JournalError::at(&named, used, source))
            }
            Some(live) => {
                let from = live.join(segment_name(index));
                let part = named.with_extension("part");
                copy(&from, &part, used as u64)
                    .and_then(|()| fs::rename(&part, &named))
                    .map_err(|source| JournalError::at(&part, used, source))?;
                remove(&from)
            }
        }
    }

    /// Makes room for one more segment under the bound; returns how many old ones were removed.
    fn keep_bound(&mut self) -> Result<usize, JournalError> {
        let mut removed = 0;
        let (need, bytes_max) = (self.settings.segment_bytes as u64, self.settings.bytes_max);
        while self.bytes() + need > bytes_max {
            let oldest = match self.settings.retention {
                Retention::Stop => None,
                Retention::DropOldest => self.filed.pop_front(),
            };
            let Some((index, _)) = oldest else {
                return Err(JournalError::BytesMax { bytes: self.bytes(), bytes_max });
            };
            remove(&self.settings.run_dir.segment(index))?;
            removed += 1;
        }
        Ok(removed)
    }
}

fn copy(from: &Path, to: &Path, bytes: u64) -> io::Result<()> {
    use std::io::Read;
    let mut target = File::create(to)?;
    let copied = io::copy(&mut File::open(from)?.take(bytes), &mut target)?;
    if copied != bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{copied} of {bytes} bytes copied")));
    }
    target.sync_data()
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(JournalError::at(path, 0, source)),
        _ => Ok(()),
    }
}
