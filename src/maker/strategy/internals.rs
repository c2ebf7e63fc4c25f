//! What a strategy says of itself, for the status: plain values that decide nothing.

use crate::unit::{Nanos, Rate};

/// What a strategy is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Phase {
    /// It has not decided yet.
    #[default]
    Starting = 0,
    /// Quotes stand or are due.
    Quoting = 1,
    /// No quotes until a timer has run out.
    Waiting = 2,
    /// A position is open: only exits.
    Holding = 3,
    /// The loss of a position is being stopped.
    Stopping = 4,
    /// Everything held is being closed.
    Closing = 5,
    /// The position is beyond its maximum and is being reduced.
    Reducing = 6,
    /// Stopped for good, until restart: the loss was too large.
    Killed = 7,
    /// Funding is too high.
    HighFunding = 8,
    /// The margin ratio is too low.
    LowMargin = 9,
    /// The price moves too much.
    Volatile = 10,
    /// The position is not known.
    NoPosition = 11,
    /// No usable price.
    NoPrice = 12,
    /// The account's position mode is not the one asked for.
    WrongMode = 13,
    /// The settings' own switch is on.
    SwitchedOff = 14,
}

/// Why a side is not quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum WhyNot {
    /// The whole strategy does not quote; its phase says why.
    Phase = 1,
    /// The price is at or above the ceiling.
    Ceiling = 2,
    /// The price is at or below the floor.
    Floor = 3,
    /// Price or size rounds to nothing on the venue's grid, or is below its minimum.
    TooSmall = 4,
    /// The free balance does not cover it.
    Balance = 5,
    /// It would take.
    WouldTake = 6,
    /// The book is thinner than the depth that the optimisation is to ignore.
    ThinBook = 7,
    /// A full fill would bring the position near its maximum.
    NearCap = 8,
    /// A full fill would bring the position beyond its maximum.
    Cap = 9,
    /// The base share is below its minimum: only buys.
    BelowBase = 10,
    /// The base share is above its maximum: only sells.
    AboveBase = 11,
    /// No usable price.
    NoPrice = 12,
}

/// The state behind the quotes. What a strategy does not have is zero or `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Internals {
    /// What it is about.
    pub phase: Phase,
    /// When new quotes may be placed, or an update is due, at the latest.
    pub quotes_due: Nanos,
    /// When live quotes are due for a refresh.
    pub refresh_due: Nanos,
    /// Size factor of buys and sells (controller).
    pub size_factor: Option<[Rate; 2]>,
    /// Skew of both quotes against the position and against funding; positive lowers them (funding-aware).
    pub skew: Option<[Rate; 2]>,
    /// Exposure over the capital, and unrealised profit over the cost of what is held (controller).
    pub base_share: Option<Rate>,
    /// See `base_share`.
    pub profit_share: Option<Rate>,
    /// Why bids or asks are not quoted.
    pub blocked: [Option<WhyNot>; 2],
}

/// A computed fraction with 18 places as a rate, cut to what a rate holds.
pub(super) fn rate(fraction: i128) -> Rate {
    Rate((fraction / 1_000_000).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
