//! The threads that run the decision live: sockets, rings, clocks, cores. The only place besides `sim::server` that touches the world.

pub mod clock;
pub mod memory;
pub mod pin;
pub mod rest;
pub mod wait;
