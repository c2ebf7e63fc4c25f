//! A strategy over the past in virtual time: the same `maker::step` that trades live, against the simulator's matching model. Every
//! message takes its modelled time under way; one seed is one run. Reads no clock, draws no randomness but the seeded one.
//!
//! ```text
//!            venue time                                        local time
//!  tape --> [ in order of venue time ] --> Exchange   [ in order of arrival ] --> Maker::step --> commands
//!                                            ^  |                                                    |
//!                                            |  +-- answers, fills: ack latency -------> Maker       |
//!                                            +--------------------------- order latency <------------+
//! ```

mod requote;
mod settings;
mod tape;
mod truth;
mod watch;
mod world;

pub use requote::Requote;
pub use settings::{FEE_TIERS, FeedLatency, Settings, latency_text, parse_fees, parse_latency};
pub use tape::{FeedTape, Held, Owned, SourceTape, SyntheticTape, Tape, TapeError};
pub use truth::{Agreement, Deeds, Divergence, Executed, TruthError, measured};
pub use watch::{ReportWatch, Watch};
pub use world::{Outcome, World};

#[cfg(test)]
mod tests;
