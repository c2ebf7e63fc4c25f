//! spinquote, a market-making engine for perpetual futures. The map, from the ground up; a room may use lower floors only:
//!
//! `unit` < `wire`, `instrument` < `event`, `config` < `venue`, `journal`, `book` < `maker`, `sim`, `report` < `engine`, `replay` < `main`
//!
//! The invariants are listed in README.md and held by `tests/tidy.rs`.

pub mod book;
pub mod config;
pub mod engine;
pub mod event;
pub mod instrument;
pub mod journal;
pub mod maker;
pub mod replay;
pub mod report;
pub mod sim;
pub mod unit;
pub mod venue;
pub mod wire;
