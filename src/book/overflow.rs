//! The levels outside a ladder's window: a fixed-capacity hash table, so that the 4-10 % of updates that land here cost one
//! or two cache lines. Never allocates after construction; order is found by scanning, which only the rare walk past the window needs.

use crate::wire::buf::touched;

/// Keys and quantities; quantity zero marks a free slot.
#[derive(Debug)]
pub(super) struct Overflow {
    slots: Box<[(i64, i64)]>,
    len: usize,
    len_max: usize,
}

impl Overflow {
    /// Room for `len_max` levels; the table keeps at least three eighths of its slots free so that probes stay short.
    pub(super) fn new(len_max: usize) -> Self {
        assert!(len_max > 0);
        let slots = (len_max * 8 / 5 + 1).next_power_of_two();
        Self { slots: touched((0, 0), slots), len: 0, len_max }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill((0, 0));
            self.len = 0;
        }
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    fn home(&self, key: i64) -> usize {
        // Fibonacci hashing: the high bits of the product are the well-mixed ones.
        ((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// The slot that holds `key`, or the free slot where it belongs.
    fn find(&self, key: i64) -> usize {
        let mut at = self.home(key);
        while self.slots[at].1 != 0 && self.slots[at].0 != key {
            at = (at + 1) & self.mask();
        }
        at
    }

    pub(super) fn qty(&self, key: i64) -> i64 {
        self.slots[self.find(key)].1
    }

    /// Sets or deletes (`qty` zero). Returns how many levels were dropped to make room: when full, the farthest level goes,
    /// which may be the new one.
    pub(super) fn set(&mut self, key: i64, qty: i64) -> u64 {
        let at = self.find(key);
        let present = self.slots[at].1 != 0;
        match (present, qty) {
            (true, 0) => self.remove_at(at),
            (true, _) => self.slots[at].1 = qty,
            (false, 0) => {}
            (false, _) if self.len < self.len_max => {
                self.slots[at] = (key, qty);
                self.len += 1;
            }
            (false, _) => {
                let farthest = self.occupied().map(|(key, _)| key).max().unwrap_or(i64::MIN);
                if key < farthest {
                    self.remove_at(self.find(farthest));
                    // The removal may have shifted the free slot.
                    let at = self.find(key);
                    self.slots[at] = (key, qty);
                    self.len += 1;
                }
                return 1;
            }
        }
        0
    }

    /// Linear probing with backward shift: no tombstones, so the table never degrades.
    fn remove_at(&mut self, mut hole: usize) {
        let mask = self.mask();
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            if self.slots[at].1 == 0 {
                break;
            }
            let home = self.home(self.slots[at].0);
            // It may move into the hole only if its home is not behind the hole, cyclically.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
        }
        self.slots[hole] = (0, 0);
        self.len -= 1;
    }

    fn occupied(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.slots.iter().copied().filter(|&(_, qty)| qty != 0)
    }

    /// The smallest key above `key`: a scan of the table.
    pub(super) fn after(&self, key: i64) -> Option<(i64, i64)> {
        if self.len == 0 {
            return None;
        }
        self.occupied().filter(|&(found, _)| found > key).min()
    }

    /// Removes every level with a key below `end` and hands it to `take`: one pass over the table.
    pub(super) fn drain_below(&mut self, end: i64, mut take: impl FnMut(i64, i64)) {
        if self.len == 0 {
            return;
        }
        let mut at = 0;
        while at < self.slots.len() {
            let (key, qty) = self.slots[at];
            if qty != 0 && key < end {
                take(key, qty);
                // A later level may move into this slot: look at it again. Levels that wrap round to the table's end were seen.
                self.remove_at(at);
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map_that_drops_its_last(
            ops in prop::collection::vec((-40_i64..40, 0_i64..3, any::<bool>()), 1..300),
        ) {
            let (mut fast, mut naive) = (Overflow::new(20), BTreeMap::new());
            for (key, qty, drain) in ops {
                if drain && qty == 1 {
                    let mut drained = Vec::new();
                    fast.drain_below(key, |key, qty| drained.push((key, qty)));
                    drained.sort_unstable();
                    let rest = naive.split_off(&key);
                    prop_assert_eq!(drained, naive.into_iter().collect::<Vec<_>>());
                    naive = rest;
                } else {
                    let mut dropped = 0;
                    if qty == 0 { naive.remove(&key); } else {
                        naive.insert(key, qty);
                        if naive.len() > 20 { naive.pop_last(); dropped = 1; }
                    }
                    prop_assert_eq!(fast.set(key, qty), dropped);
                }
                prop_assert_eq!(fast.len(), naive.len());
                prop_assert_eq!(fast.qty(key), naive.get(&key).copied().unwrap_or(0));
                prop_assert_eq!(fast.after(key), naive.range(key + 1..).next().map(|(&k, &q)| (k, q)));
            }
        }
    }
}
