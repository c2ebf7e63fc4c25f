//! Many backtests over one set of settings: which points there are, which of them a shard runs, and how results are kept, joined and
//! sorted. Runs none itself.

mod points;
mod results;
mod table;

pub use points::{Axis, POINTS_MAX, Point, Shard, SweepError, Values, points, with_setting};
pub use results::{Finished, Results};
pub use table::{Column, Table, TableError};
