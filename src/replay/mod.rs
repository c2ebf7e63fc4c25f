//! The past again: recordings played, journals replayed bit for bit. Never talks to a venue.

mod describe;
pub mod feed;
pub mod player;

pub use player::{Difference, Outcome, Progress, ReplayError, replay};
