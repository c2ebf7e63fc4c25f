//! Which executions are already counted. Bounded: the last [`FillLog::CAPACITY`] trade ids of an instrument.
//!
//! Policy at the bound: the oldest id is forgotten. A venue that repeats an execution after a thousand newer ones of ours
//! would be counted twice; the position check against the venue then corrects it.

use crate::wire::buf::touched;

/// What a fill event adds to what is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Novelty {
    /// First sight: count the quantity, and the fee if the event knows it.
    First,
    /// The quantity is counted already, the fee is new.
    Fee,
    /// Nothing new.
    Repeat,
}

/// Trade ids seen, newest last.
#[derive(Debug)]
pub struct FillLog {
    seen: Box<[(u64, bool)]>,
    /// Ids ever written; the next one goes to `count % CAPACITY`.
    count: usize,
}

impl Default for FillLog {
    fn default() -> Self {
        Self::new()
    }
}

impl FillLog {
    /// Ids remembered.
    pub const CAPACITY: usize = 1024;

    /// Nothing seen; all memory taken.
    #[must_use]
    pub fn new() -> Self {
        Self { seen: touched((0, false), Self::CAPACITY), count: 0 }
    }

    /// Notes an execution. The search starts at the newest: a repeat follows its original closely.
    pub fn note(&mut self, trade_id: u64, fee_known: bool) -> Novelty {
        let known = self.count.min(Self::CAPACITY);
        for back in 1..=known {
            let entry = &mut self.seen[(self.count - back) % Self::CAPACITY];
            if entry.0 == trade_id {
                if fee_known && !entry.1 {
                    entry.1 = true;
                    return Novelty::Fee;
                }
                return Novelty::Repeat;
            }
        }
        self.seen[self.count % Self::CAPACITY] = (trade_id, fee_known);
        self.count += 1;
        Novelty::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantity_once_and_fee_once() {
        let mut log = FillLog::new();
        assert_eq!(log.note(9, false), Novelty::First);
        assert_eq!(log.note(9, false), Novelty::Repeat);
        assert_eq!(log.note(9, true), Novelty::Fee);
        assert_eq!(log.note(9, true), Novelty::Repeat);
        assert_eq!(log.note(8, true), Novelty::First, "an older id that comes late is new");
        assert_eq!(log.note(8, false), Novelty::Repeat);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut log = FillLog::new();
        for id in 0..=FillLog::CAPACITY as u64 {
            assert_eq!(log.note(id, true), Novelty::First);
        }
        assert_eq!(log.note(1, true), Novelty::Repeat);
        assert_eq!(log.note(0, true), Novelty::First);
    }
}
