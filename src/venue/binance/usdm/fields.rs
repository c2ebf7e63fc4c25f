//! Fields of JSON objects by key, with the precise fault when one is not as the venue documents it.

use crate::unit::Nanos;
use crate::venue::codec::DecodeError;
use simd_json::prelude::*;
use simd_json::{Buffers, Tape, tape};

/// The general JSON parser with memory that is taken once.
pub(in crate::venue::binance) struct Json {
    buffers: Buffers,
    /// INVARIANT: empty between calls; only its capacity is kept.
    tape: Tape<'static>,
    limit: usize,
}

impl Json {
    /// A parser for documents of up to `limit` bytes.
    pub(in crate::venue::binance) fn new(limit: usize) -> Self {
        let mut json = Self { buffers: Buffers::new(limit), tape: Tape(Vec::with_capacity(limit / 2 + 8)), limit };
        // The parser sizes its index and stack by a heuristic; the densest and the deepest document make them final.
        let mut dense = vec![b' '; limit + simd_json::INPUT_PADDING];
        dense[0] = b'[';
        for at in (1..limit - 2).step_by(2) {
            dense[at] = b'1';
            dense[at + 1] = b',';
        }
        let end = if limit.is_multiple_of(2) { limit - 2 } else { limit - 3 };
        dense[end..limit].fill(b' ');
        dense[end] = b']';
        dense[end - 1] = b'1';
        let _ = json.with(&mut dense, limit, |_| Ok(()));
        json
    }

    /// Parses `buf[..len]` and shows its root to `read`.
    pub(in crate::venue::binance) fn with<T>(
        &mut self,
        buf: &mut [u8],
        len: usize,
        read: impl FnOnce(tape::Value<'_, '_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if len > self.limit {
            return Err(DecodeError::TooLong { len, limit: self.limit });
        }
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let result = match simd_json::fill_tape_padded(buf, len, &mut self.buffers, &mut tape) {
            Ok(()) => read(tape.as_value()),
            Err(_) => Err(DecodeError::NotJson),
        };
        self.tape = tape.reset();
        result
    }
}

pub(in crate::venue::binance) fn field<'t, 'i>(
    data: tape::Value<'t, 'i>,
    key: &'static str,
) -> Result<tape::Value<'t, 'i>, DecodeError> {
    data.get(key).ok_or(DecodeError::MissingKey { key })
}

pub(in crate::venue::binance) fn text<'i>(
    data: tape::Value<'_, 'i>,
    key: &'static str,
) -> Result<&'i str, DecodeError> {
    field(data, key)?.into_string().ok_or(DecodeError::WrongType { key, expected: "a string" })
}

pub(in crate::venue::binance) fn integer_u64(data: tape::Value<'_, '_>, key: &'static str) -> Result<u64, DecodeError> {
    field(data, key)?.as_u64().ok_or(DecodeError::WrongType { key, expected: "a whole number" })
}

/// A time in ms since the Unix epoch.
pub(in crate::venue::binance) fn unsigned_millis(
    data: tape::Value<'_, '_>,
    key: &'static str,
) -> Result<Nanos, DecodeError> {
    let wrong = DecodeError::WrongType { key, expected: "a time in milliseconds" };
    let millis = i64::try_from(integer_u64(data, key)?).map_err(|_| wrong)?;
    millis.checked_mul(1_000_000).map(Nanos).ok_or(wrong)
}
