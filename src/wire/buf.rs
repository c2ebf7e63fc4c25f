//! Byte buffers of fixed capacity between a socket and the layers above. They never grow, and they never touch the socket.
//!
//! ```text
//! RecvBuf   | consumed | plaintext pending | gap | raw, not opened yet | free | 64 spare |
//!           0          start               plain raw                   filled capacity
//! ```
//! The gap is what is left of record headers and tags once a record was opened in place.

use std::ops::Range;

/// Readable bytes that always exist behind any range of a [`RecvBuf`], so that a scanner may load whole vectors.
pub const SPARE: usize = 64;

/// The receive buffer holds nothing but one unfinished message: the message is larger than the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a message does not fit the receive buffer: {pending} bytes are waiting for its end, the capacity is {capacity}"
)]
pub struct RecvFull {
    /// Bytes held: opened and waiting for the end of a message, or raw and waiting for the end of a record.
    pub pending: usize,
    /// The buffer's capacity.
    pub capacity: usize,
}

/// The bytes waiting for the socket leave too little room. The peer reads too slowly; nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the send buffer is full: {needed} bytes needed, {free} free of {capacity}")]
pub struct SendFull {
    /// Bytes that were to be written.
    pub needed: usize,
    /// Bytes free.
    pub free: usize,
    /// The buffer's capacity.
    pub capacity: usize,
}

/// What came from the socket: raw bytes at the back, opened plaintext in front of them.
pub struct RecvBuf {
    bytes: Box<[u8]>,
    start: usize,
    plain: usize,
    raw: usize,
    filled: usize,
}

/// `len` copies of `value` in memory that is there: asked for alone, zeroes are mapped page by page at their first store, and that
/// store must not be the engine thread's.
#[must_use]
pub fn touched<T: Copy>(value: T, len: usize) -> Box<[T]> {
    let mut memory = vec![value; len].into_boxed_slice();
    // What the compiler cannot see it cannot leave out.
    memory.fill(std::hint::black_box(value));
    memory
}

impl RecvBuf {
    /// Takes `capacity` + [`SPARE`] bytes. For TLS choose at least the largest message plus one record of 17 KiB.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: touched(0, capacity + SPARE), start: 0, plain: 0, raw: 0, filled: 0 }
    }

    /// Bytes this buffer can hold.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len() - SPARE
    }

    /// The room behind the raw bytes, for one socket read. Moves what is held to the front when less than a quarter of the
    /// capacity is free behind it, or when it is little and much was consumed (the same memory stays in the nearest cache); that
    /// ends the validity of all ranges handed out before.
    ///
    /// # Errors
    /// No byte is free: the unfinished message or record is as large as the buffer. Give up the connection.
    #[inline]
    pub fn space(&mut self) -> Result<&mut [u8], RecvFull> {
        let capacity = self.capacity();
        if self.start == self.plain && self.raw == self.filled {
            (self.start, self.plain, self.raw, self.filled) = (0, 0, 0, 0);
        } else if capacity - self.filled < capacity / 4 || (self.start >= Self::MUCH && self.held() <= Self::LITTLE) {
            self.compact();
        }
        if self.filled == capacity {
            return Err(RecvFull { pending: self.filled - self.start, capacity });
        }
        Ok(&mut self.bytes[self.filled..capacity])
    }

    /// Bytes consumed that are worth moving [`RecvBuf::LITTLE`] of them.
    const MUCH: usize = 1 << 12;
    const LITTLE: usize = 1 << 9;

    /// Bytes that wait for the rest of a message or a record.
    #[inline]
    fn held(&self) -> usize {
        self.plain - self.start + self.filled - self.raw
    }

    fn compact(&mut self) {
        if self.start == 0 && self.plain == self.raw {
            return;
        }
        let pending = self.plain - self.start;
        self.bytes.copy_within(self.start..self.plain, 0);
        self.bytes.copy_within(self.raw..self.filled, pending);
        self.filled -= self.raw - pending;
        (self.start, self.plain, self.raw) = (0, pending, pending);
    }

    /// `n` bytes were read into [`RecvBuf::space`].
    ///
    /// # Panics
    /// `n` is more than the space was.
    #[inline]
    pub fn filled(&mut self, n: usize) {
        assert!(self.filled + n <= self.capacity(), "more bytes read than there was space for");
        self.filled += n;
    }

    /// Appends bytes as if they were read from a socket.
    ///
    /// # Errors
    /// They do not fit; nothing was taken.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), RecvFull> {
        let (pending, capacity) = (self.held(), self.capacity());
        if self.space()?.len() < bytes.len() {
            self.compact();
        }
        let space = self.space()?;
        let room = space.get_mut(..bytes.len()).ok_or(RecvFull { pending, capacity })?;
        room.copy_from_slice(bytes);
        self.filled(bytes.len());
        Ok(())
    }

    /// Plaintext that no layer has consumed yet.
    #[inline]
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        &self.bytes[self.start..self.plain]
    }

    /// Where [`RecvBuf::plain`] lies; valid until the next [`RecvBuf::space`] or [`RecvBuf::feed`].
    #[inline]
    #[must_use]
    pub fn plain_range(&self) -> Range<usize> {
        self.start..self.plain
    }

    /// The first `n` bytes of the plaintext are done with. They stay readable by range until the next [`RecvBuf::space`].
    ///
    /// # Panics
    /// There are fewer than `n`.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.plain - self.start, "consumed more than was there");
        self.start += n;
    }

    /// Bytes by range, as a message gave it.
    #[inline]
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Bytes by range, to be changed in place.
    #[inline]
    #[must_use]
    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// The bytes of `range` and [`SPARE`] bytes behind them. Those behind may be the next message: read, never written.
    #[inline]
    #[must_use]
    pub fn with_spare(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range.start..range.end + SPARE]
    }

    /// Moves `range` so that it begins at `to`; both inside the pending plaintext.
    pub(super) fn move_bytes(&mut self, range: Range<usize>, to: usize) {
        debug_assert!(range.end <= self.plain && to >= self.start);
        self.bytes.copy_within(range, to);
    }

    /// Raw bytes that no record layer has opened yet.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.bytes[self.raw..self.filled]
    }

    /// The first `n` raw bytes, mutable.
    pub(super) fn raw_mut(&mut self, n: usize) -> &mut [u8] {
        &mut self.bytes[self.raw..self.raw + n]
    }

    /// The first `n` raw bytes are done with and hold no plaintext.
    pub(super) fn skip_raw(&mut self, n: usize) {
        assert!(n <= self.filled - self.raw, "skipped more than was there");
        self.raw += n;
        if self.start == self.plain {
            (self.start, self.plain) = (self.raw, self.raw);
        }
    }

    /// All raw bytes are plaintext as they are.
    #[inline]
    pub(super) fn raw_is_plain(&mut self) {
        if self.start == self.plain {
            (self.start, self.plain) = (self.raw, self.raw);
        }
        debug_assert_eq!(self.plain, self.raw, "a plain connection has no gap");
        (self.plain, self.raw) = (self.filled, self.filled);
    }

    /// A record of `len` raw bytes whose sealed body begins at `body`: the region in which to open it and the offset of the body
    /// therein. The offset is zero when no plaintext is pending, else opening shifts the plaintext next to the pending one.
    pub(super) fn record(&mut self, body: usize, len: usize) -> (&mut [u8], usize) {
        let end = self.raw + len;
        let from = if self.start == self.plain { self.raw + body } else { self.plain };
        (&mut self.bytes[from..end], self.raw + body - from)
    }

    /// The record of [`RecvBuf::record`] was opened into `n` bytes of plaintext.
    pub(super) fn opened(&mut self, body: usize, len: usize, n: usize) {
        if self.start == self.plain {
            (self.start, self.plain) = (self.raw + body, self.raw + body);
        }
        self.plain += n;
        self.raw += len;
        debug_assert!(self.plain <= self.raw && self.raw <= self.filled);
    }
}

/// Bytes waiting for the socket.
pub struct SendBuf {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl SendBuf {
    /// Takes `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: touched(0, capacity), start: 0, end: 0 }
    }

    /// Bytes this buffer can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.bytes.len() - (self.end - self.start)
    }

    /// All the free room, to be followed by [`SendBuf::commit`].
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.bytes[self.end..]
    }

    /// Exactly `n` free bytes, to be followed by [`SendBuf::commit`]. Moves the pending bytes only when it must.
    ///
    /// # Errors
    /// Fewer than `n` bytes are free.
    pub fn reserve(&mut self, n: usize) -> Result<&mut [u8], SendFull> {
        if self.free() < n {
            return Err(SendFull { needed: n, free: self.free(), capacity: self.capacity() });
        }
        if self.bytes.len() - self.end < n {
            self.space();
        }
        Ok(&mut self.bytes[self.end..self.end + n])
    }

    /// The first `n` bytes of the space were written.
    ///
    /// # Panics
    /// `n` is more than the space was.
    pub fn commit(&mut self, n: usize) {
        assert!(self.end + n <= self.bytes.len(), "more bytes committed than there was space for");
        self.end += n;
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// They do not fit; nothing was written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SendFull> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        self.commit(bytes.len());
        Ok(())
    }

    /// What the socket should take next.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The socket took `n` bytes.
    ///
    /// # Panics
    /// Fewer than `n` were pending.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.end - self.start, "consumed more than was pending");
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_buffer_is_an_error_and_not_an_end_of_file() {
        let mut buf = RecvBuf::new(8);
        buf.feed(b"12345678").unwrap();
        buf.raw_is_plain();
        assert_eq!(buf.space().unwrap_err(), RecvFull { pending: 8, capacity: 8 });
        buf.consume(3);
        assert_eq!(buf.space().unwrap().len(), 3);
        assert_eq!(buf.plain(), b"45678");
        assert_eq!(buf.with_spare(buf.plain_range()).len(), 5 + SPARE);
    }

    #[test]
    fn little_that_is_far_from_the_front_moves_to_it() {
        let mut buf = RecvBuf::new(1 << 14);
        let bytes: Vec<u8> = (0..6_000_u32).map(|at| (at % 251) as u8).collect();
        buf.feed(&bytes).unwrap();
        buf.raw_is_plain();
        for (consumed, start) in [(4_000, 4_000), (1_400, 5_400), (100, 0)] {
            buf.consume(consumed);
            buf.space().unwrap();
            assert_eq!(buf.plain_range().start, start);
        }
        assert_eq!(buf.plain(), &bytes[5_500..]);
    }

    #[test]
    fn a_record_opens_in_place_or_next_to_pending_plaintext() {
        let mut buf = RecvBuf::new(64);
        buf.feed(b"hhAAAtthhBBtt").unwrap();
        let (region, offset) = buf.record(2, 7);
        assert_eq!((&region[offset..], offset), (&b"AAAtt"[..], 0));
        buf.opened(2, 7, 3);
        let (region, offset) = buf.record(2, 6);
        region.copy_within(offset.., 0);
        buf.opened(2, 6, 2);
        assert_eq!(buf.plain(), b"AAABB");
    }

    #[test]
    fn a_send_buffer_refuses_whole_or_takes_whole() {
        let mut out = SendBuf::new(4);
        out.write(b"abc").unwrap();
        assert_eq!(out.write(b"de"), Err(SendFull { needed: 2, free: 1, capacity: 4 }));
        out.consume(2);
        out.write(b"de").unwrap();
        assert_eq!(out.pending(), b"cde");
    }

    proptest! {
        #[test]
        fn a_plain_stream_passes_unchanged_through_any_pattern_of_reads(
            steps in prop::collection::vec((1_usize..40, 0_usize..60), 1..200),
        ) {
            let (mut recv, mut send) = (RecvBuf::new(64), SendBuf::new(64));
            let (mut next, mut wanted) = (0_u8, 0_u8);
            for (read, consume) in steps {
                if let Ok(space) = recv.space() {
                    let n = read.min(space.len());
                    for byte in &mut space[..n] {
                        *byte = next;
                        next = next.wrapping_add(1);
                    }
                    recv.filled(n);
                    recv.raw_is_plain();
                }
                let n = consume.min(recv.plain().len()).min(send.free());
                send.write(&recv.plain()[..n]).unwrap();
                recv.consume(n);
                let n = send.pending().len().min(read);
                for byte in &send.pending()[..n] {
                    prop_assert_eq!(*byte, wanted);
                    wanted = wanted.wrapping_add(1);
                }
                send.consume(n);
            }
        }
    }
}
