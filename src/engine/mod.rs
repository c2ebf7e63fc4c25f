//! The threads that run the decision live: sockets, rings, clocks, cores. The only place besides `sim::server` that touches the world.
//!
//! | thread | file | it never |
//! |---|---|---|
//! | engine | `turn`, `core` | allocates, waits or sends |
//! | I/O | `sender` | decides |
//! | housekeeper | `housekeeper` | is waited for |
//! | price source | `source` | makes a price up |

pub mod alerts;
pub mod breakage;
pub mod clock;
pub mod connection;
pub mod core;
pub mod errand;
pub mod housekeeper;
pub mod memory;
pub mod pin;
pub mod place;
pub mod rest;
mod rest_desk;
pub mod ring;
pub mod sender;
pub mod settings;
pub mod source;
pub mod takeover;
pub mod turn;
pub mod wait;
pub mod wiring;
