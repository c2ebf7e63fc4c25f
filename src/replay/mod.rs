//! The past again: recordings played, journals replayed bit for bit. Never talks to a venue.

pub mod backtest;
mod describe;
pub mod feed;
pub mod player;
pub mod sweep;

pub use player::{Difference, Outcome, Progress, ReplayError, replay};
