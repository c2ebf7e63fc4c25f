//! What a run came to, for people: a data model, a collector that fills it in one pass, and one self-contained HTML page. Money enters
//! exact and becomes a float only here, for presentation; nothing here trades, reads a clock or opens a file.

mod collector;
mod markout;
pub mod model;
mod orders;
pub mod page;
mod tally;
mod timeline;

pub use collector::{Collector, Setup};
pub use model::{Kind, Report, Severity, Stage};
pub use tally::{Counted, LimitOf};

use crate::unit::Money;

/// The exact parts of a net profit in quote currency, as the maker's books have them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Split {
    /// Gained at executions against the mid.
    pub spread: Money,
    /// Gained on what was held, by moves of the mid.
    pub inventory: Money,
    /// Fees paid; negative is rebates.
    pub fees: Money,
    /// Funding received; negative is paid.
    pub funding: Money,
}

impl Split {
    /// Spread + inventory - fees + funding.
    #[must_use]
    pub fn total(&self) -> Money {
        self.spread + self.inventory - self.fees + self.funding
    }
}
