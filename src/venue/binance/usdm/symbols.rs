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
    let mut state = name.len() as u64;
    for byte in name {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (state ^ (state >> 29)) as usize
}
