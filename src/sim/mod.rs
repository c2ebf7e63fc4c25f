//! A pretend venue: market, matching, account and protocol. Only `server` and `capture` touch the world; the rest is pure.

pub mod frames;
pub mod market;
