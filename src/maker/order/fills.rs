//! Which executions are already counted. Bounded: the last [`FillLog::CAPACITY`] trade ids of an instrument. An order of ours that met
//! another one of ours is one trade and two executions, so the side belongs to the id.
//!
//! Policy at the bound: the oldest id is forgotten. A venue that repeats an execution after a thousand newer ones of ours
//! would be counted twice; the position check against the venue then corrects it.

use crate::event::Side;
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
    seen: Box<[(u64, Side, bool)]>,
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
        Self { seen: touched((0, Side::Buy, false), Self::CAPACITY), count: 0 }
    }

    /// Notes an execution. The search starts at the newest: a repeat follows its original closely.
    pub fn note(&mut self, trade_id: u64, side: Side, fee_known: bool) -> Novelty {
        let known = self.count.min(Self::CAPACITY);
        for back in 1..=known {
            let entry = &mut self.seen[(self.count - back) % Self::CAPACITY];
            if (entry.0, entry.1) == (trade_id, side) {
                if fee_known && !entry.2 {
                    entry.2 = true;
                    return Novelty::Fee;
                }
                return Novelty::Repeat;
            }
        }
        self.seen[self.count % Self::CAPACITY] = (trade_id, side, fee_known);
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
        assert_eq!(log.note(9, Side::Buy, false), Novelty::First);
        assert_eq!(log.note(9, Side::Buy, false), Novelty::Repeat);
        assert_eq!(log.note(9, Side::Buy, true), Novelty::Fee);
        assert_eq!(log.note(9, Side::Buy, true), Novelty::Repeat);
        assert_eq!(log.note(8, Side::Buy, true), Novelty::First, "an older id that comes late is new");
        assert_eq!(log.note(8, Side::Buy, false), Novelty::Repeat);
    }

    #[test]
    fn both_sides_of_a_trade_with_ourselves_are_executions() {
        let mut log = FillLog::new();
        assert_eq!([log.note(9, Side::Buy, true), log.note(9, Side::Sell, true)], [Novelty::First; 2]);
        assert_eq!([log.note(9, Side::Buy, true), log.note(9, Side::Sell, true)], [Novelty::Repeat; 2]);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut log = FillLog::new();
        for id in 0..=FillLog::CAPACITY as u64 {
            assert_eq!(log.note(id, Side::Buy, true), Novelty::First);
        }
        assert_eq!(log.note(1, Side::Buy, true), Novelty::Repeat);
        assert_eq!(log.note(0, Side::Buy, true), Novelty::First);
    }
}
