//! Whether a message may go out. Owns the limits; the strategy does not. Knows nothing of strategies or of the P&L's making.

pub mod gate;
pub mod kill;
pub mod limits;

pub use gate::{Exposure, Facts, Gate, Moment, Moves, Refusal};
pub use kill::{KillReason, Ladder};
pub use limits::RiskLimits;
