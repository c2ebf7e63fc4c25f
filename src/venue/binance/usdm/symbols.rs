//! Symbol bytes to instrument, without allocation and in constant time.

use crate::instrument::{Instrument, InstrumentId, Symbol};
use crate::venue::codec::DecodeError;

/// The symbols that are set up. A table at most half full, probed linearly.
#[derive(Debug, Clone)]
pub struct Symbols {
    slots: Box<[Option<(Symbol, InstrumentId)>]>,
    /// INVARIANT: `slots.len() - 1`, all ones.
    mask: usize,
}

impl Symbols {
    /// One entry per instrument; its id is its place in the slice.
    ///
    /// # Panics
    /// When there are more instruments than ids (65,536).
    #[must_use]
    pub fn new(instruments: &[Instrument]) -> Self {
        let size = (2 * instruments.len()).next_power_of_two().max(2);
        let mut slots = vec![None; size].into_boxed_slice();
        let mask = size - 1;
        for (index, instrument) in instruments.iter().enumerate() {
            let id = InstrumentId(u16::try_from(index).expect("at most 65,536 instruments"));
            let mut at = hash(instrument.symbol.as_bytes()) & mask;
            while slots[at].is_some() {
                at = (at + 1) & mask;
            }
            slots[at] = Some((instrument.symbol, id));
        }
        Self { slots, mask }
    }

    /// The instrument named so, exactly as the venue spells it.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<InstrumentId> {
        let mut at = hash(name) & self.mask;
        while let Some((symbol, id)) = &self.slots[at] {
            if symbol.as_bytes() == name {
                return Some(*id);
            }
            at = (at + 1) & self.mask;
        }
        None
    }

    /// [`Symbols::find`] with the fault that names the symbol.
    ///
    /// # Errors
    /// No such symbol.
    pub fn require(&self, name: &str) -> Result<InstrumentId, DecodeError> {
        self.find(name.as_bytes()).ok_or_else(|| {
            let mut symbol = Symbol::new();
            for letter in name.chars() {
                if symbol.try_push(letter).is_err() {
                    break;
                }
            }
            DecodeError::UnknownSymbol { symbol }
        })
    }
}

#[inline]
fn hash(name: &[u8]) -> usize {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let four = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
    // Both ends; between them long names have what they share anyway.
    let (first, last) = if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (four(*first), four(*last))
    } else {
        name.iter().fold((0, 0), |(sum, _), byte| (sum << 8 | u64::from(*byte), 0))
    };
    let state = (first ^ last.rotate_left(32) ^ name.len() as u64).wrapping_mul(K);
    (state ^ (state >> 32)) as usize
}
