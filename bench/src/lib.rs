//! Measurements of the hot path, each beside a naive peer in the same run on the same frames; never part of the engine.
//!
//! `cargo bench -p spinquote-bench` runs [`suite::run`] in full; the tests run it small and demand that ours and the peers
//! compute the same results. `README.md` says what each number includes.

pub mod frames;
pub mod icount;
pub mod loopback;
pub mod market;
pub mod measure;
pub mod peers;
pub mod quoter;
pub mod records;
pub mod rings;
pub mod suite;
pub mod tick;
pub mod wire;
