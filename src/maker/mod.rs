//! The decision: from an event to gate-checked commands, as a pure function of its state. No I/O, no clock, no randomness.
pub mod strategy;
