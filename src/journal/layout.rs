//! The files of a run directory, drawn byte by byte. All numbers are little-endian; every file starts with a magic and a version.
//!
//! ```text
//! RUN/  meta.json            what ran: settings, instruments, build, host, clock (text, written by the program's start)
//!       events-000000.sqj    event segments, in order (this file)
//!       counters.sqc         counters page            (drawn in counters.rs)
//!       histograms.sqh       latency histograms       (drawn in histogram.rs)
//!       command.sqm          operator commands        (drawn in command_page.rs)
//!       alerts.jsonl         alerts, a JSON object a line, in the order they were told
//!
//! segment: a header, then records back to back; unwritten bytes are zero
//!   0        8    12     16   20     24       32         40      48    52   56         64
//!   | magic  | ver| hlen | run| clock| index  | base time| size  | crc | 0  | first seq | records ...
//!     first seq is stored last, when the segment is taken into use: 0 means prepared but never used
//!
//! record: starts at a multiple of 8
//!   0      4        8     10     12  16     24      32                 32+n
//!   | len  | check  | kind| flags| 0 | seq  | time  | payload, n bytes | zeros up to a multiple of 8
//!     len   = 32 + n, stored last with release order: a reader that sees it sees the rest; 0 means nothing here yet
//!     check = `checksum` of the bytes from 8 to the padded end, seeded with len
//!     seq   counts up by one over all segments of a run, from 1
//!     time  = engine clock, nanoseconds since the Unix epoch
//!   The last record of a full segment has the kind SEAL, no payload, and the seq of the record that follows in the next segment.
//! ```

use std::path::{Path, PathBuf};

/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"SQJRNL\r\n";
/// Version of the segment layout.
pub const SEGMENT_VERSION: u32 = 1;
/// Bytes of a segment's header.
pub const SEGMENT_HEADER: usize = 64;
/// Offset of the first-seq word in it.
pub const FIRST_SEQ_AT: usize = 56;
/// Bytes of a record's header.
pub const RECORD_HEADER: usize = 32;
/// Smallest size of a segment.
pub const SEGMENT_MIN: usize = 4096;
/// Largest size of a segment: offsets and lengths fit 32 bits with room to spare.
pub const SEGMENT_MAX: usize = 1 << 30;

const _: () = {
    assert!(SEGMENT_HEADER.is_multiple_of(8) && RECORD_HEADER.is_multiple_of(8));
    assert!(FIRST_SEQ_AT + 8 == SEGMENT_HEADER);
    assert!(SEGMENT_MIN > SEGMENT_HEADER + 3 * RECORD_HEADER);
    assert!(SEGMENT_MAX <= u32::MAX as usize);
};

/// Where times in a segment come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ClockSource {
    /// The processor's counter, calibrated against the system clock (calibrations are records).
    Counter = 0,
    /// The system clock.
    System = 1,
    /// A pretended clock: backtest, replay, test.
    Virtual = 2,
}

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Which run; the same number as in its client order ids.
    pub run: u32,
    /// Where its times come from.
    pub clock: ClockSource,
    /// Place in the run, from 0.
    pub index: u64,
    /// When the segment was prepared, nanoseconds since the Unix epoch.
    pub base_time: i64,
    /// Bytes of the whole segment as prepared; a sealed one may be cut behind its last record.
    pub size: u64,
    /// Sequence number of its first record, 0 while unused.
    pub first_seq: u64,
}

/// Why a segment's header is not one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    #[error("the file has {0} bytes, a segment starts with {SEGMENT_HEADER}")]
    Short(usize),
    /// Prepared by its maker at this moment, not in use.
    #[error("the segment is not prepared yet")]
    Unready,
    /// Other first bytes.
    #[error("it does not start as a journal segment does")]
    Magic,
    /// Written by another version.
    #[error("layout version {0}, this program reads {SEGMENT_VERSION}")]
    Version(u32),
    /// The header's checksum does not hold.
    #[error("the header is damaged (checksum)")]
    Checksum,
    /// A field that this version never writes.
    #[error("the header has an impossible field")]
    Field,
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(SEGMENT_HEADER as u32).to_le_bytes());
        out[16..20].copy_from_slice(&self.run.to_le_bytes());
        out[20..24].copy_from_slice(&(self.clock as u32).to_le_bytes());
        out[24..32].copy_from_slice(&self.index.to_le_bytes());
        out[32..40].copy_from_slice(&self.base_time.to_le_bytes());
        out[40..48].copy_from_slice(&self.size.to_le_bytes());
        let check = checksum(0, &out[..48]);
        out[48..52].copy_from_slice(&check.to_le_bytes());
        out[FIRST_SEQ_AT..].copy_from_slice(&self.first_seq.to_le_bytes());
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// One variant per defect of the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; SEGMENT_HEADER] = bytes
            .get(..SEGMENT_HEADER)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(HeaderError::Short(bytes.len()))?;
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(HeaderError::Unready);
        }
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(HeaderError::Magic);
        }
        if u32_at(bytes, 8) != SEGMENT_VERSION {
            return Err(HeaderError::Version(u32_at(bytes, 8)));
        }
        if checksum(0, &bytes[..48]) != u32_at(bytes, 48) {
            return Err(HeaderError::Checksum);
        }
        let clock = match u32_at(bytes, 20) {
            0 => ClockSource::Counter,
            1 => ClockSource::System,
            2 => ClockSource::Virtual,
            _ => return Err(HeaderError::Field),
        };
        if u32_at(bytes, 12) != SEGMENT_HEADER as u32 || u32_at(bytes, 52) != 0 {
            return Err(HeaderError::Field);
        }
        Ok(Self {
            run: u32_at(bytes, 16),
            clock,
            index: u64_at(bytes, 24),
            base_time: u64_at(bytes, 32).cast_signed(),
            size: u64_at(bytes, 40),
            first_seq: u64_at(bytes, FIRST_SEQ_AT),
        })
    }
}

/// What stands in a record's header, without its length and checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    /// What the payload is: a constant of `record`.
    pub kind: u16,
    /// Reserved, zero.
    pub flags: u16,
    /// Counts up by one.
    pub seq: u64,
    /// Engine clock, nanoseconds since the Unix epoch.
    pub time: i64,
}

impl RecordHeader {
    /// The bytes from 8 to 32 of a record, as words.
    #[inline]
    pub(super) const fn words(&self) -> [u64; 3] {
        [self.kind as u64 | (self.flags as u64) << 16, self.seq, self.time.cast_unsigned()]
    }

    /// The bytes from 8 to 32 of a record.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_HEADER - 8] {
        let mut out = [0; RECORD_HEADER - 8];
        out[..2].copy_from_slice(&self.kind.to_le_bytes());
        out[2..4].copy_from_slice(&self.flags.to_le_bytes());
        out[8..16].copy_from_slice(&self.seq.to_le_bytes());
        out[16..].copy_from_slice(&self.time.to_le_bytes());
        out
    }

    /// Reads the bytes from 8 to 32 of a record.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_HEADER - 8]) -> Self {
        Self {
            kind: u16::from_le_bytes([bytes[0], bytes[1]]),
            flags: u16::from_le_bytes([bytes[2], bytes[3]]),
            seq: u64_at(bytes, 8),
            time: u64_at(bytes, 16).cast_signed(),
        }
    }
}

/// The next multiple of 8.
#[must_use]
pub const fn padded(len: usize) -> usize {
    (len + 7) & !7
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Checksum of bytes whose number is a multiple of 8. Two folded 64x64 multiplications per 32 bytes, off the critical path of the
/// accumulators: 4 / 16 / 80 ns for 64 / 304 / 1,600 bytes on a virtual machine, half of what a CRC-32C with the processor's
/// instruction takes on the long ones, at the same chance (2^-32) to miss damage. It guards against torn and rotten storage, not against
/// an adversary.
#[must_use]
pub fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut sum = Checksum::new(seed, bytes.len());
    sum.rest(bytes);
    sum.finish()
}

/// The words of 32 bytes.
#[inline]
pub(super) fn words_of(block: &[u8; 32]) -> [u64; 4] {
    let word = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
    [word(0), word(8), word(16), word(24)]
}

/// The last word of `bytes`, whose last `odd` do not fill one; zeros behind them.
#[inline]
pub(super) fn last_word(bytes: &[u8], odd: &[u8]) -> u64 {
    match bytes.last_chunk::<8>() {
        // The word that ends with them, shifted to where it starts with them.
        Some(last) if !odd.is_empty() => u64::from_le_bytes(*last) >> (8 * (8 - odd.len())),
        _ => odd.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// [`checksum`] in steps, for bytes that are not all in one place.
pub(super) struct Checksum {
    left: u64,
    right: u64,
}

impl Checksum {
    const K: [u64; 4] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x27D4_EB2F_1656_67C5];

    /// Of `len` bytes, a multiple of 8.
    #[inline]
    pub(super) fn new(seed: u32, len: usize) -> Self {
        Self { left: u64::from(seed) ^ Self::K[0], right: len as u64 ^ Self::K[1] }
    }

    #[inline]
    fn fold(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    }

    /// The next 32 bytes.
    #[inline]
    pub(super) fn block(&mut self, words: [u64; 4]) {
        let k = Self::K;
        self.left = self.left.rotate_left(29).wrapping_add(Self::fold(words[0] ^ k[0], words[1] ^ k[1]));
        self.right = self.right.rotate_left(31).wrapping_add(Self::fold(words[2] ^ k[2], words[3] ^ k[3]));
    }

    /// All further words, behind whole blocks: as [`Checksum::rest`] of their bytes.
    #[inline]
    pub(super) fn words(&mut self, words: &[u64]) {
        let (blocks, rest) = words.as_chunks::<4>();
        blocks.iter().for_each(|block| self.block(*block));
        rest.iter().for_each(|word| self.single(*word));
    }

    /// All further bytes, behind whole blocks; those missing to a multiple of 8 are zero.
    #[inline]
    pub(super) fn rest(&mut self, bytes: &[u8]) {
        let (blocks, tail) = bytes.as_chunks::<32>();
        blocks.iter().for_each(|block| self.block(words_of(block)));
        self.rest_behind(bytes, tail);
    }

    /// The tail of `bytes` behind their last whole block.
    #[inline]
    pub(super) fn rest_behind(&mut self, bytes: &[u8], tail: &[u8]) {
        let (words, odd) = tail.as_chunks::<8>();
        if let ([first, second, third], false) = (words, odd.is_empty()) {
            let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
            return self.block([word(first), word(second), word(third), last_word(bytes, odd)]);
        }
        words.iter().for_each(|word| self.single(u64::from_le_bytes(*word)));
        if !odd.is_empty() {
            self.single(last_word(bytes, odd));
        }
    }

    #[inline]
    fn single(&mut self, word: u64) {
        self.left = Self::fold(self.left ^ word, Self::K[2]).wrapping_add(self.left.rotate_left(17));
    }

    #[inline]
    pub(super) fn finish(self) -> u32 {
        let sum = Self::fold(self.left ^ Self::K[3], self.right ^ Self::K[2]);
        (sum ^ (sum >> 32)) as u32
    }
}

/// Names of the files of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The run in this directory, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What ran.
    #[must_use]
    pub fn meta(&self) -> PathBuf {
        self.0.join("meta.json")
    }

    /// Event segment `index`.
    #[must_use]
    pub fn segment(&self, index: u64) -> PathBuf {
        self.0.join(segment_name(index))
    }

    /// Counters page.
    #[must_use]
    pub fn counters(&self) -> PathBuf {
        self.0.join("counters.sqc")
    }

    /// Latency histograms.
    #[must_use]
    pub fn histograms(&self) -> PathBuf {
        self.0.join("histograms.sqh")
    }

    /// Alerts.
    #[must_use]
    pub fn alerts(&self) -> PathBuf {
        self.0.join("alerts.jsonl")
    }

    /// Operator commands.
    #[must_use]
    pub fn command(&self) -> PathBuf {
        self.0.join("command.sqm")
    }
}

/// File name of segment `index`.
#[must_use]
pub fn segment_name(index: u64) -> String {
    format!("events-{index:06}.sqj")
}

/// The index in a segment's file name.
#[must_use]
pub fn segment_index(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("events-")?.strip_suffix(".sqj")?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_header_round_trips_and_each_defect_has_its_name() {
        let header =
            SegmentHeader { run: 7, clock: ClockSource::Virtual, index: 3, base_time: -5, size: 4096, first_seq: 9 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        assert_eq!(SegmentHeader::decode(&bytes[..63]), Err(HeaderError::Short(63)));
        for (at, error) in [(0, HeaderError::Magic), (8, HeaderError::Version(0)), (16, HeaderError::Checksum)] {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), Err(error));
        }
    }

    #[test]
    fn a_checksum_sees_every_flipped_bit_and_every_swapped_word() {
        for len in [8, 24, 32, 40, 104, 320] {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 37) as u8).collect();
            let sum = checksum(1, &bytes);
            assert_ne!(sum, checksum(2, &bytes));
            for bit in 0..len * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(checksum(1, &damaged), sum, "bit {bit} of {len} bytes");
            }
            for word in 1..len / 8 {
                let mut damaged = bytes.clone();
                damaged.swap(0, word * 8);
                assert!(damaged == bytes || checksum(1, &damaged) != sum);
            }
        }
    }

    #[test]
    fn segment_names_order_and_parse() {
        assert_eq!(segment_name(12), "events-000012.sqj");
        assert_eq!(segment_index("events-000012.sqj"), Some(12));
        assert_eq!(segment_index("events-1234567.sqj"), Some(1_234_567));
        assert_eq!((segment_index("events-12.sqj"), segment_index("events-00001x.sqj")), (None, None));
    }
}
