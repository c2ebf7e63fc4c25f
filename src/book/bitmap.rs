//! Three levels of 64-way bitmaps over the slots of a ladder window: the next occupied slot in at most five word reads.

use crate::wire::buf::touched;

/// Which of up to 64^3 slots are occupied.
#[derive(Debug)]
pub(super) struct Bitmap {
    slots: Box<[u64]>,
    words: Box<[u64]>,
    blocks: u64,
}

/// Most slots that three levels cover.
pub(super) const SLOTS_MAX: usize = 64 * 64 * 64;

impl Bitmap {
    pub(super) fn new(slots: usize) -> Self {
        assert!((64..=SLOTS_MAX).contains(&slots) && slots.is_power_of_two());
        let words = slots / 64;
        Self { slots: touched(0, words), words: touched(0, words.div_ceil(64)), blocks: 0 }
    }

    #[inline]
    pub(super) fn insert(&mut self, slot: usize) {
        self.slots[slot >> 6] |= 1 << (slot & 63);
        self.words[slot >> 12] |= 1 << ((slot >> 6) & 63);
        self.blocks |= 1 << (slot >> 12);
    }

    /// A word for each 64 slots, of which [`assigned`] makes new ones.
    #[inline(always)]
    pub(super) fn words_of_slots(&mut self) -> &mut [u64] {
        &mut self.slots
    }

    /// [`Bitmap::insert`] or [`Bitmap::remove`].
    #[inline]
    pub(super) fn assign(&mut self, slot: usize, occupied: bool) {
        if occupied {
            self.insert(slot);
        } else {
            self.remove(slot);
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, slot: usize) {
        let word = &mut self.slots[slot >> 6];
        *word &= !(1 << (slot & 63));
        if *word == 0 {
            let block = &mut self.words[slot >> 12];
            *block &= !(1 << ((slot >> 6) & 63));
            if *block == 0 {
                self.blocks &= !(1 << (slot >> 12));
            }
        }
    }

    /// The first occupied slot at or above `slot`, without wrapping.
    #[inline]
    pub(super) fn at_or_after(&self, slot: usize) -> Option<usize> {
        let word = slot >> 6;
        let here = self.slots.get(word)? & (!0 << (slot & 63));
        if here != 0 {
            return Some((word << 6) | here.trailing_zeros() as usize);
        }
        let next = word + 1;
        let block = next >> 6;
        let here = self.words.get(block)? & (!0 << (next & 63));
        let word = if here != 0 {
            (block << 6) | here.trailing_zeros() as usize
        } else {
            // Shifted in two steps: `block + 1` may be 64.
            let rest = self.blocks & (!0 << block << 1);
            if rest == 0 {
                return None;
            }
            let block = rest.trailing_zeros() as usize;
            (block << 6) | self.words[block].trailing_zeros() as usize
        };
        Some((word << 6) | self.slots[word].trailing_zeros() as usize)
    }

    /// How many are occupied.
    pub(super) fn count(&self) -> usize {
        self.slots.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.words.fill(0);
        self.blocks = 0;
    }
}

/// A slot's word once the slot is occupied or free, without a branch on which. `None` where the word was empty or becomes it: then
/// the levels above may change too, see [`Bitmap::assign`].
#[inline(always)]
pub(super) const fn assigned(word: u64, slot: usize, occupied: bool) -> Option<u64> {
    let bit = 1 << (slot & 63);
    let after = if occupied { word | bit } else { word & !bit };
    if word == 0 || after == 0 { None } else { Some(after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn finds_what_a_sorted_set_finds(
            size in prop::sample::select(vec![64_usize, 4096, 16_384, SLOTS_MAX]),
            ops in prop::collection::vec((any::<u32>(), any::<bool>()), 1..200),
        ) {
            let (mut fast, mut naive) = (Bitmap::new(size), BTreeSet::new());
            for (raw, insert) in ops {
                let slot = raw as usize % size;
                if let Some(word) = assigned(fast.slots[slot >> 6], slot, insert).filter(|_| raw % 3 > 0) {
                    fast.words_of_slots()[slot >> 6] = word;
                } else if raw % 5 == 0 {
                    fast.assign(slot, insert);
                } else if insert {
                    fast.insert(slot);
                } else {
                    fast.remove(slot);
                }
                if insert { naive.insert(slot); } else { naive.remove(&slot); }
                prop_assert_eq!(fast.count(), naive.len());
                for probe in [0, slot, slot + 1, size - 1] {
                    prop_assert_eq!(fast.at_or_after(probe), naive.range(probe..).next().copied());
                }
            }
        }
    }
}
