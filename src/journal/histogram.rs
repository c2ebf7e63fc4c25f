//! Latency histograms in a mapped file: HdrHistogram's bucket layout at two significant digits (no value is off by more than 1/128),
//! 1 ns to 60 s. One writer per stage, one relaxed add per value, no allocation. Never corrects for coordinated omission: the stamp is
//! taken at the intended time.
//!
//! Two digits because a stage then touches 1 kB for values up to a microsecond; at three it would be 8 kB of the first cache.
//!
//! ```text
//!   0        8    12      16       20       24       32       64
//!   | magic  | ver| stages| buckets| sub    | max ns | zero   | stage names, 32 bytes each, zero-padded
//!   blocks (at a multiple of 128), one per stage:
//!   | count u64 | sum u64 | min u64 (0: none) | max u64 | clamped u64 | zero up to 64 | counts, u64 each, zero up to a multiple of 128 |
//! ```

use super::error::JournalError;
use super::mapped::Mapped;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MAGIC: [u8; 8] = *b"SQHISTO\n";
const VERSION: u32 = 1;
const HEADER: usize = 64;
const NAME: usize = 32;
const BLOCK_HEADER: usize = 64;
const LINE: usize = 128;

/// Significant digits of the layout.
pub const DIGITS: u8 = 2;
/// Largest value; longer ones are counted as this and in `clamped`.
pub const VALUE_MAX: u64 = 60_000_000_000;
/// Linear steps of the first bucket: the power of two above 2 * 10^DIGITS.
const SUB: usize = 256;
const HALF: usize = SUB / 2;
/// Doublings until [`VALUE_MAX`] is covered.
const BUCKETS: usize = {
    let (mut buckets, mut covered) = (1, SUB as u64);
    while covered <= VALUE_MAX {
        covered <<= 1;
        buckets += 1;
    }
    buckets
};
/// Counts of one histogram.
pub const COUNTS: usize = (BUCKETS + 1) * HALF;
const BLOCK: usize = (BLOCK_HEADER + COUNTS * 8).div_ceil(LINE) * LINE;

const _: () = assert!(SUB as u64 > 2 * 10_u64.pow(DIGITS as u32) && SUB.is_power_of_two());

/// Index of the count that a value belongs to.
#[inline]
const fn index_of(value: u64) -> usize {
    // The first bucket has SUB steps of one, each further one HALF steps, twice as wide as before.
    let bucket = (64 - HALF.trailing_zeros() - 1) - (value | (SUB as u64 - 1)).leading_zeros();
    let sub = (value >> bucket) as usize;
    (bucket as usize + 1) * HALF + sub - HALF
}

/// Smallest value of a count.
const fn value_of(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let bucket = index / HALF - 1;
    ((index % HALF + HALF) as u64) << bucket
}

/// Largest value of a count.
const fn value_last(index: usize) -> u64 {
    let bucket = if index < SUB { 0 } else { index / HALF - 1 };
    value_of(index) + (1 << bucket) - 1
}

const _: () = assert!(index_of(VALUE_MAX) < COUNTS && value_of(index_of(1 << 30)) == 1 << 30);

macro_rules! stages {
    ($($name:ident = $text:literal, $help:literal;)*) => {
        /// What is timed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(usize)]
        pub enum Stage { $(#[doc = $help] $name),* }
        impl Stage {
            /// Every stage, in file order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// Its name in the file and in summaries.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$name => $text),* } }
            /// What it means.
            #[must_use]
            pub const fn help(self) -> &'static str { match self { $(Self::$name => $help),* } }
        }
    };
}
stages! {
    Read = "read", "One socket read that brought bytes.";
    Open = "open", "TLS records opened.";
    Decode = "decode", "Frame text to event.";
    Book = "book", "Event applied to the book.";
    Decide = "decide", "The maker's step.";
    Journal = "journal", "One append.";
    Frame = "frame", "From a frame's bytes being there to the end of its processing.";
    TickToOrder = "tick_to_order", "From a frame's bytes being there to its order in the ring.";
    RingWait = "ring_wait", "From the order ring to the I/O thread.";
    Encode = "encode", "Order encoded, signed and sealed.";
    Write = "write", "The socket write.";
    TickToWire = "tick_to_wire", "From a frame's bytes being there to the end of the socket write of its order.";
    OrderRoundTrip = "order_round_trip", "From the socket write to the venue's answer.";
    FeedAge = "feed_age", "The venue's time of an event to its receipt, by the corrected clock.";
}

/// The hand that records into one stage.
#[derive(Debug)]
pub struct StageWriter {
    page: Arc<Mapped>,
    at: usize,
}

/// The hands of all stages; each is taken once, by the thread that records into it.
#[derive(Debug)]
pub struct StageWriters {
    page: Arc<Mapped>,
    taken: Vec<bool>,
}

const fn blocks_at(stages: usize) -> usize {
    (HEADER + stages * NAME).div_ceil(LINE) * LINE
}

/// Creates the file.
///
/// # Errors
/// It exists or cannot be made.
pub fn create(path: &Path) -> Result<StageWriters, JournalError> {
    let stages = Stage::ALL.len();
    let mut head = vec![0; blocks_at(stages)];
    head[..8].copy_from_slice(&MAGIC);
    for (at, value) in [VERSION, stages as u32, BUCKETS as u32, SUB as u32].into_iter().enumerate() {
        head[8 + at * 4..12 + at * 4].copy_from_slice(&value.to_le_bytes());
    }
    head[24..32].copy_from_slice(&VALUE_MAX.to_le_bytes());
    for (entry, stage) in head[HEADER..].chunks_exact_mut(NAME).zip(Stage::ALL) {
        entry[..stage.name().len()].copy_from_slice(stage.name().as_bytes());
    }
    let (mut page, _) = Mapped::create(path, blocks_at(stages) + stages * BLOCK)?;
    page.write(0, &head);
    Ok(StageWriters { page: Arc::new(page), taken: vec![false; stages] })
}

impl StageWriters {
    /// The hand of a stage.
    ///
    /// # Panics
    /// It was taken before: a stage has one writer.
    pub fn take(&mut self, stage: Stage) -> StageWriter {
        let taken = std::mem::replace(&mut self.taken[stage as usize], true);
        assert!(!taken, "stage {} has one writer", stage.name());
        StageWriter { page: Arc::clone(&self.page), at: blocks_at(Stage::ALL.len()) + stage as usize * BLOCK }
    }
}

impl StageWriter {
    /// Counts one value in nanoseconds; negative ones (a clock that stepped) count as 0.
    #[inline]
    pub fn record(&mut self, ns: i64) {
        self.record_many(ns, 1);
    }

    /// Counts `many` equal values, at least one.
    #[inline]
    pub fn record_many(&mut self, ns: i64, many: u64) {
        let value = ns.max(0).cast_unsigned();
        let clamped = value.min(VALUE_MAX);
        let words = self.page.words(self.at, BLOCK / 8);
        let word = |at: usize| words[at].load(Ordering::Relaxed);
        let set = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
        let slot = BLOCK_HEADER / 8 + index_of(clamped);
        set(slot, word(slot).wrapping_add(many));
        set(1, word(1).wrapping_add(clamped.wrapping_mul(many)));
        let (count, min, max) = (word(0), word(2), word(3));
        if count == 0 || clamped < min {
            set(2, clamped);
        }
        if clamped > max {
            set(3, clamped);
        }
        if clamped < value {
            set(4, word(4).wrapping_add(many));
        }
        set(0, count.wrapping_add(many));
    }
}

/// The file as an observer sees it.
#[derive(Debug)]
pub struct HistogramReader {
    page: Mapped,
    names: Vec<String>,
}

/// One stage at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The stage's name.
    pub name: String,
    /// Values counted.
    pub count: u64,
    /// Their sum, ns (wraps after 584 years).
    pub sum: u64,
    /// Smallest value, ns, exact.
    pub min: u64,
    /// Largest value, ns, exact.
    pub max: u64,
    /// Values longer than [`VALUE_MAX`].
    pub clamped: u64,
    counts: Vec<u64>,
}

impl Snapshot {
    /// Adds another snapshot's values: both count the same stage.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.clamped += other.clamped;
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }
}

impl HistogramReader {
    /// Opens a file read-only.
    ///
    /// # Errors
    /// There is none, or it is damaged or of another version.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let head = fs::read(path).map_err(|source| JournalError::at(path, 0, source))?;
        let page = Mapped::open(path, false)?;
        let names = names(&head).filter(|_| page.len() == head.len()).ok_or_else(|| JournalError::Foreign {
            path: path.to_path_buf(),
            what: format!("not a histogram file of layout version {VERSION}"),
        })?;
        Ok(Self { page, names })
    }

    /// Every stage now.
    #[must_use]
    pub fn stages(&self) -> Vec<Snapshot> {
        (0..self.names.len()).map(|stage| self.snapshot(stage)).collect()
    }

    /// One stage now; `None` where the file has none of this name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<Snapshot> {
        self.names.iter().position(|known| known == name).map(|stage| self.snapshot(stage))
    }

    fn snapshot(&self, stage: usize) -> Snapshot {
        let at = blocks_at(self.names.len()) + stage * BLOCK;
        let word = |offset: usize| self.page.load(at + offset, Ordering::Relaxed);
        let counts: Vec<u64> = (0..COUNTS).map(|index| word(BLOCK_HEADER + index * 8)).collect();
        // The counts are what percentiles are made of, so their own sum is the count: the header's may be one value ahead or behind.
        let count = counts.iter().fold(0_u64, |sum, &count| sum.saturating_add(count));
        let name = self.names[stage].clone();
        Snapshot { name, count, sum: word(8), min: word(16), max: word(24), clamped: word(32), counts }
    }
}

fn names(head: &[u8]) -> Option<Vec<String>> {
    let number =
        |at: usize| -> Option<usize> { Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?) as usize) };
    let stages = number(12)?;
    let known = head.get(..8)? == MAGIC
        && (number(8)?, number(16)?, number(20)?) == (VERSION as usize, BUCKETS, SUB)
        && stages <= 256
        && head.len() == blocks_at(stages) + stages * BLOCK;
    if !known {
        return None;
    }
    let name = |entry: &[u8]| {
        let end = entry.iter().position(|&byte| byte == 0).unwrap_or(NAME);
        std::str::from_utf8(&entry[..end]).ok().map(str::to_owned)
    };
    head[HEADER..HEADER + stages * NAME].chunks_exact(NAME).map(name).collect()
}

impl Snapshot {
    /// The value below or at which `millionths` of all values lie (p99.9 is 999,000), ns: the largest value of its bucket, for 0 the
    /// smallest of the first. 0 while empty.
    #[must_use]
    pub fn percentile(&self, millionths: u32) -> u64 {
        let rank = (u128::from(self.count) * u128::from(millionths)).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u128::from(count);
            if seen >= rank {
                return if millionths == 0 { value_of(index) } else { value_last(index) };
            }
        }
        0
    }

    /// Smallest value and number of values of each bucket that holds any.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().enumerate().filter(|&(_, &count)| count > 0).map(|(index, &count)| (value_of(index), count))
    }

    /// As a histogram of the `hdrhistogram` crate, for analysis and `.hlog` export.
    #[must_use]
    pub fn to_hdr(&self) -> hdrhistogram::Histogram<u64> {
        let mut out =
            hdrhistogram::Histogram::new_with_bounds(1, VALUE_MAX, DIGITS).expect("constant bounds are valid");
        for (value, count) in self.buckets() {
            out.saturating_record_n(value, count);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn percentiles_equal_those_of_hdrhistogram(
            values in prop::collection::vec(prop_oneof![0_i64..300, 0_i64..100_000, 0_i64..70_000_000_000], 1..300),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("h");
            let mut writer = create(&path).unwrap().take(Stage::Decode);
            let mut oracle = hdrhistogram::Histogram::<u64>::new_with_bounds(1, VALUE_MAX, DIGITS).unwrap();
            for &value in &values {
                writer.record(value);
                oracle.record(value.cast_unsigned().min(VALUE_MAX)).unwrap();
            }
            let ours = HistogramReader::open(&path).unwrap().stage("decode").unwrap();
            let hdr = ours.to_hdr();
            for millionths in [0, 1, 10_000, 500_000, 900_000, 990_000, 999_000, 999_900, 1_000_000] {
                let quantile = f64::from(millionths) / 1e6;
                prop_assert_eq!(ours.percentile(millionths), oracle.value_at_quantile(quantile));
                prop_assert_eq!(ours.percentile(millionths), hdr.value_at_quantile(quantile));
            }
            prop_assert_eq!(ours.count, values.len() as u64);
            let clamp = |value: &i64| value.cast_unsigned().min(VALUE_MAX);
            prop_assert_eq!(ours.min, values.iter().map(clamp).min().unwrap());
            prop_assert_eq!(ours.max, values.iter().map(clamp).max().unwrap());
            prop_assert_eq!(ours.sum, values.iter().map(clamp).sum::<u64>());
            prop_assert_eq!(ours.clamped, values.iter().filter(|&&value| value.cast_unsigned() > VALUE_MAX).count() as u64);
        }

        #[test]
        fn every_value_lies_in_its_bucket_within_the_promised_error(value in 0..=VALUE_MAX) {
            let index = index_of(value);
            prop_assert!(value_of(index) <= value && value <= value_last(index));
            prop_assert!((value_last(index) - value_of(index)) * 128 <= value);
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_hole() {
        for index in 1..COUNTS {
            assert_eq!(value_of(index), value_last(index - 1) + 1);
            assert_eq!((index_of(value_of(index)), index_of(value_last(index))), (index, index));
        }
    }

    #[test]
    #[should_panic(expected = "stage write has one writer")]
    fn a_stage_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut writers = create(&dir.path().join("h")).unwrap();
        let _first = writers.take(Stage::Write);
        let _second = writers.take(Stage::Write);
    }

    #[test]
    fn an_empty_stage_and_a_clock_that_stepped_back_are_zero() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h");
        let mut writer = create(&path).unwrap().take(Stage::Write);
        let reader = HistogramReader::open(&path).unwrap();
        assert_eq!(reader.stage("write").unwrap().percentile(500_000), 0);
        writer.record(-5);
        let one = reader.stage("write").unwrap();
        assert_eq!((one.count, one.max, one.percentile(1_000_000)), (1, 0, 0));
        assert_eq!((reader.stages().len(), reader.stage("no such stage")), (Stage::ALL.len(), None));
    }

    #[test]
    fn merged_snapshots_are_as_if_one_had_counted_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut writers = ["a", "b", "both"].map(|name| create(&path(name)).unwrap().take(Stage::Decode));
        for value in [3, 900, 90_000, 7, 7, 123_456_789] {
            writers[usize::from(value % 2 == 0)].record(value);
            writers[2].record(value);
        }
        let read = |name: &str| HistogramReader::open(&path(name)).unwrap().stage("decode").unwrap();
        let (mut sum, empty) = (read("a"), HistogramReader::open(&path("a")).unwrap().stage("decide").unwrap());
        sum.merge(&read("b"));
        sum.merge(&empty);
        let both = read("both");
        assert_eq!((sum.count, sum.sum, sum.min, sum.max), (both.count, both.sum, both.min, both.max));
        assert!(sum.buckets().eq(both.buckets()));
        let mut start = empty;
        start.merge(&both);
        assert_eq!((start.min, start.max), (both.min, both.max));
    }

    #[test]
    fn a_cut_or_foreign_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h");
        create(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        for (cut, at) in [(bytes.len() - 8, 0), (10, 0), (bytes.len(), 3), (bytes.len(), 9), (bytes.len(), 13)] {
            let mut damaged = bytes[..cut].to_vec();
            damaged[at] ^= u8::from(cut == bytes.len());
            fs::write(&path, &damaged).unwrap();
            assert!(matches!(HistogramReader::open(&path), Err(JournalError::Foreign { .. })));
        }
    }
}
