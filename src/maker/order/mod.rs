//! Our own orders: ids, the automaton of a slot, the table of slots, fills counted once, and the step from a plan to intents.
//! It decides what is true of an order; it never decides whether an order may go out (that is `risk`).

pub mod diff;
pub mod fills;
pub mod id;
pub mod state;
pub mod table;

pub use diff::Intent;
pub use fills::{FillLog, Novelty};
pub use id::ClientIds;
pub use state::{Input, State, Step};
pub use table::{Leg, Slot, Table, Wish};
