//! A pretend venue: market, matching, account and protocol. Only `server` and `capture` touch the world; the rest is pure.

pub mod account;
pub mod capture;
pub mod embedded;
pub mod exchange;
pub mod fault;
pub mod frames;
pub mod latency;
pub mod live;
pub mod market;
pub mod matching;
pub mod order;
pub mod orders;
pub mod protocol;
pub mod queue;
pub mod reject;
pub mod server;
pub mod spot;
pub mod tape;
