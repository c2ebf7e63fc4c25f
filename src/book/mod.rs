//! The order book: fixed point, rebuilt from snapshot and diffs, quoted only while provably in sync. Knows no venue and no strategy.
