//! Appends records to prepared segments. One writer; never blocks, never allocates, never calls the system. Making, sealing and
//! removing segments is the work of `segments` on another thread.

use super::error::AppendError;
use super::layout::{
    Checksum, FIRST_SEQ_AT, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, checksum, last_word, padded, words_of,
};
use super::mapped::Mapped;
use super::record::{self, Loss};
use crate::unit::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// A prepared or full segment on its way between the writer and the segment maker.
#[derive(Debug)]
pub struct Segment {
    pub(super) mapped: Mapped,
    pub(super) index: u64,
    /// Bytes used, header included.
    pub(super) used: usize,
}

/// The engine's end of the journal.
#[derive(Debug)]
pub struct Writer {
    segment: Segment,
    next_seq: u64,
    ready: rtrb::Consumer<Segment>,
    sealed: rtrb::Producer<Segment>,
    /// Records lost since the last one that got in, and the time of the first of them.
    lost: u64,
    lost_since: Nanos,
    lost_total: u64,
}

impl Writer {
    pub(super) fn new(
        mut first: Segment,
        next_seq: u64,
        ready: rtrb::Consumer<Segment>,
        sealed: rtrb::Producer<Segment>,
    ) -> Self {
        take_into_use(&mut first, next_seq);
        Self { segment: first, next_seq, ready, sealed, lost: 0, lost_since: Nanos(0), lost_total: 0 }
    }

    /// Appends one record whose payload is `parts` back to back; returns its sequence number. It is in the journal, for any reader and
    /// after the death of this process, when this returns.
    ///
    /// # Errors
    /// Nothing was written: no segment is ready, or the record is larger than a segment. Lost records are counted, and the next one
    /// that gets in has a [`record::LOSS`] record before it.
    #[inline]
    pub fn append(&mut self, kind: u16, now: Nanos, parts: &[&[u8]]) -> Result<u64, AppendError> {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        if !self.has_room(padded(RECORD_HEADER + payload)) {
            self.turn_over(now, payload)?;
        }
        Ok(self.put(kind, now, parts, RECORD_HEADER + payload))
    }

    /// [`Writer::append`] of a payload of `bytes` bytes, given as the words that they fill, zeros behind them.
    ///
    /// # Errors
    /// As [`Writer::append`].
    #[inline]
    pub fn append_words<const N: usize>(
        &mut self,
        kind: u16,
        now: Nanos,
        bytes: usize,
        words: [u64; N],
    ) -> Result<u64, AppendError> {
        const { assert!(N > 0) };
        assert!(padded(bytes) == 8 * N, "{bytes} bytes in {N} words");
        if !self.has_room(RECORD_HEADER + 8 * N) {
            self.turn_over(now, bytes)?;
        }
        Ok(self.put_words(kind, now, RECORD_HEADER + bytes, words))
    }

    /// Records of together `bytes` bytes (headers and paddings counted) certainly get in.
    #[inline]
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        // Room for the seal is always kept. After a loss only a new segment will do: a small record must not slip in behind a lost one
        // without the mark between them.
        self.lost == 0 && self.segment.used + bytes + RECORD_HEADER <= self.segment.mapped.len()
    }

    /// Sequence number of the last record, 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// Where the next record goes, counted from the start of the first segment.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.segment.index * self.segment.mapped.len() as u64 + self.segment.used as u64
    }

    /// Records lost so far for want of a segment.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost_total
    }

    /// Most payload bytes of one record.
    #[must_use]
    pub fn payload_max(&self) -> usize {
        // A segment holds at least its header, a loss mark, the record and the seal.
        self.segment.mapped.len() - SEGMENT_HEADER - padded(RECORD_HEADER + Loss::SIZE) - 2 * RECORD_HEADER - 7
    }

    /// Ends the journal in order: hands the current segment over. Nothing can be appended afterwards.
    pub fn close(self) {
        let Self { segment, mut sealed, .. } = self;
        // Without a place in the ring the file only keeps its unused end: no record is lost.
        let _ = sealed.push(segment);
    }

    #[inline]
    fn put(&mut self, kind: u16, now: Nanos, parts: &[&[u8]], len: usize) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let at = self.segment.used;
        let mapped = &mut self.segment.mapped;
        let header = RecordHeader { kind, flags: 0, seq, time: now.0 }.words();
        let quick = fourth_word(parts)
            .map(|(fourth, body)| put_summed(mapped.words(at + 8, padded(len) / 8 - 1), len, header, fourth, body));
        let check = quick.unwrap_or_else(|| {
            for (place, word) in header.into_iter().enumerate() {
                mapped.store(at + 8 + 8 * place, word, Ordering::Relaxed);
            }
            let mut end = at + RECORD_HEADER;
            for part in parts {
                mapped.write(end, part);
                end += part.len();
            }
            // The padding is zero already: a segment is written once.
            checksum(len as u32, mapped.bytes(at + 8, padded(len) - 8))
        });
        mapped.store32(at + 4, check, Ordering::Relaxed);
        mapped.store32(at, len as u32, Ordering::Release);
        self.segment.used = at + padded(len);
        seq
    }

    #[inline]
    fn put_words<const N: usize>(&mut self, kind: u16, now: Nanos, len: usize, payload: [u64; N]) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let at = self.segment.used;
        let [kind, number, time] = RecordHeader { kind, flags: 0, seq, time: now.0 }.words();
        let mut sum = Checksum::new(len as u32, RECORD_HEADER - 8 + 8 * N);
        sum.block([kind, number, time, payload[0]]);
        sum.words(&payload[1..]);
        let mapped = &self.segment.mapped;
        let places = mapped.words(at + 8, 3 + N);
        for (place, word) in places.iter().zip([kind, number, time].iter().chain(&payload)) {
            place.store(*word, Ordering::Relaxed);
        }
        mapped.store32(at + 4, sum.finish(), Ordering::Relaxed);
        mapped.store32(at, len as u32, Ordering::Release);
        self.segment.used = at + RECORD_HEADER + 8 * N;
        seq
    }

    #[cold]
    fn turn_over(&mut self, now: Nanos, payload: usize) -> Result<(), AppendError> {
        let max = self.payload_max();
        let too_large = payload > max;
        // A sealed segment needs a place to go, so that this thread never unmaps one.
        let next = if too_large || self.sealed.slots() == 0 { None } else { self.ready.pop().ok() };
        let Some(mut next) = next else {
            if self.lost == 0 {
                self.lost_since = now;
            }
            self.lost += 1;
            self.lost_total += 1;
            return Err(if too_large { AppendError::TooLarge { bytes: payload, max } } else { AppendError::Full });
        };
        // The seal bears the number of the record behind it and uses none up.
        self.next_seq = self.put(record::SEAL, now, &[], RECORD_HEADER);
        take_into_use(&mut next, self.next_seq);
        let full = std::mem::replace(&mut self.segment, next);
        assert!(self.sealed.push(full).is_ok(), "the place was seen free and nobody else pushes");
        if self.lost > 0 {
            let loss = Loss { records: std::mem::take(&mut self.lost), since: self.lost_since };
            self.put(record::LOSS, now, &[&loss.encode()], RECORD_HEADER + Loss::SIZE);
        }
        Ok(())
    }
}

/// The first word of a payload, and its further bytes: all of the first part and as much of the second as is missing to eight bytes. `None`
/// for shapes that do not occur often: more than one part behind a word's worth of others.
#[inline]
fn fourth_word<'a>(parts: &[&'a [u8]]) -> Option<(u64, &'a [u8])> {
    let (first, body): (&[u8], &[u8]) = match *parts {
        [body] => (&[], body),
        [first, body] => (first, body),
        _ => return None,
    };
    let (filling, body) = body.split_at_checked(8_usize.checked_sub(first.len())?)?;
    let mut fourth = [0; 8];
    fourth[..first.len()].copy_from_slice(first);
    fourth[first.len()..].copy_from_slice(filling);
    Some((u64::from_le_bytes(fourth), body))
}

/// Stores a record from its ninth byte on, and returns its checksum: copied and summed word by word in one go. Reading the copy back would
/// wait for stores that are still on their way.
#[inline]
fn put_summed(places: &[AtomicU64], len: usize, header: [u64; 3], fourth: u64, body: &[u8]) -> u32 {
    let mut sum = Checksum::new(len as u32, padded(len) - 8);
    let set = |places: &[AtomicU64], words: &[u64]| {
        places.iter().zip(words).for_each(|(place, word)| place.store(*word, Ordering::Relaxed));
    };
    let (places, rest) = places.as_chunks::<4>();
    let (blocks, tail) = body.as_chunks::<32>();
    let [first, places @ ..] = places else { unreachable!("a record has a header and a word") };
    let block = [header[0], header[1], header[2], fourth];
    set(first, &block);
    sum.block(block);
    for (places, block) in places.iter().zip(blocks) {
        let block = words_of(block);
        set(places, &block);
        sum.block(block);
    }
    // With three words and an odd one the tail fills a block.
    let rest = places.get(blocks.len()).map_or(rest, |last| &last[..]);
    let (words, odd) = tail.as_chunks::<8>();
    for (place, word) in rest.iter().zip(words) {
        place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
    }
    if !odd.is_empty() {
        rest[words.len()].store(last_word(body, odd), Ordering::Relaxed);
    }
    sum.rest_behind(body, tail);
    sum.finish()
}

fn take_into_use(segment: &mut Segment, first_seq: u64) {
    segment.used = SEGMENT_HEADER;
    segment.mapped.store(FIRST_SEQ_AT, first_seq, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is stored of the parts is the record they make, and summed as such.
        #[test]
        fn a_record_is_stored_and_summed_alike_in_parts_and_whole(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..4),
            small in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
            kind: u16, seq: u64, time: i64,
        ) {
            let parts: Vec<&[u8]> = small.iter().chain(&parts).map(Vec::as_slice).collect();
            let header = RecordHeader { kind, flags: 0, seq, time };
            let mut record = header.encode().to_vec();
            parts.iter().for_each(|part| record.extend_from_slice(part));
            let len = record.len() + 8;
            record.resize(padded(len) - 8, 0);
            let places: Vec<AtomicU64> = (0..record.len() / 8).map(|_| AtomicU64::new(0)).collect();
            let quick = fourth_word(&parts).map(|(fourth, body)| put_summed(&places, len, header.words(), fourth, body));
            let stored: Vec<u8> = places.iter().flat_map(|place| place.load(Ordering::Relaxed).to_le_bytes()).collect();
            prop_assert!(quick.is_none() || (quick, &stored) == (Some(checksum(len as u32, &record)), &record));
            let usual = parts.len() == 1 && parts[0].len() >= 8
                || parts.len() == 2 && parts[0].len() == 4 && parts[1].len() >= 4;
            prop_assert!(!usual || quick.is_some());
        }

        #[test]
        fn words_are_summed_as_their_bytes(words in prop::collection::vec(any::<u64>(), 1..20), seed: u32) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let (block, rest) = words.split_at(words.len().min(4));
            let mut sum = Checksum::new(seed, bytes.len());
            if let Ok(block) = block.try_into() {
                sum.block(block);
                sum.words(rest);
            } else {
                sum.words(block);
            }
            prop_assert_eq!(sum.finish(), checksum(seed, &bytes));
        }
    }
}
