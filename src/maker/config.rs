//! The settings of the core, as plain values. Reading them from files is `config`'s part.

use super::risk::RiskLimits;
use super::strategy::{Cadence, Strategy};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::Nanos;

/// What becomes of open orders that earlier runs left at the venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Leftovers {
    /// They are cancelled.
    #[default]
    Cancel,
    /// They are taken over as [`Purpose::Adopted`](super::strategy::Purpose::Adopted) and shown to the strategy.
    Adopt,
}

/// The settings of one account's maker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MakerConfig {
    /// The run's number in client order ids. Not zero, never used before on the account.
    pub run: u32,
    /// The limits of the risk gate.
    pub limits: RiskLimits,
    /// Amend where a cancel and a new order would do the same.
    pub amend: bool,
    /// What becomes of orders of earlier runs.
    pub leftovers: Leftovers,
    /// A request without an answer for this long has an unknown outcome and is asked for.
    pub ack_timeout: Nanos,
    /// "No such order" is only believed of a query sent this long after the doubt arose.
    pub query_grace: Nanos,
    /// Book data (diffs, best quotes) older than this by arrival withdraw the quotes.
    pub market_stale: Nanos,
    /// A snapshot that has not come after this is asked for again.
    pub snapshot_retry: Nanos,
    /// A reconciliation that has not ended after this, or failed, is asked for again.
    pub reconcile_retry: Nanos,
    /// A position or fill count that differs from the venue's for this long is reconciled.
    pub mismatch_after: Nanos,
    /// A quote level waits this long after a refusal by the venue; entries twice as long after each further one, up to 64 times,
    /// until there was none for 64 times as long.
    pub reject_delay: Nanos,
    /// A done order stays findable for late events this long.
    pub slot_quiet: Nanos,
    /// Most market orders of one flatten.
    pub flatten_tries: u32,
}

impl MakerConfig {
    /// The defaults around the given limits.
    #[must_use]
    pub fn new(run: u32, limits: RiskLimits) -> Self {
        Self {
            run,
            limits,
            amend: true,
            leftovers: Leftovers::Cancel,
            ack_timeout: Nanos::from_secs(3),
            query_grace: Nanos::from_secs(1),
            market_stale: Nanos::from_secs(3),
            snapshot_retry: Nanos::from_secs(5),
            reconcile_retry: Nanos::from_secs(5),
            mismatch_after: Nanos::from_secs(2),
            reject_delay: Nanos::from_millis(50),
            slot_quiet: Nanos::from_secs(2),
            flatten_tries: 10,
        }
    }
}

/// One instrument to trade. Its [`InstrumentId`] is its place in the list given to the maker.
pub struct InstrumentSetup {
    /// The contract.
    pub instrument: Instrument,
    /// What quotes it.
    pub strategy: Box<dyn Strategy>,
    /// When it decides.
    pub cadence: Cadence,
    /// Where the strategy's reference price comes from besides its own market.
    pub source: Option<Source>,
}

/// A second source of the reference price. While it fails (silent for too long, out of sync, no price yet) entries are withdrawn;
/// exits rest on the entry price and the own book, so they are managed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Another instrument's book and prints: one that is watched, or another one that is traded.
    Market {
        /// Which one.
        instrument: InstrumentId,
        /// Its book's data may be this old by arrival.
        stale_after: Nanos,
    },
    /// A price polled outside ([`Event::External`](crate::event::Event::External)).
    Polled {
        /// It may be this old by arrival.
        stale_after: Nanos,
    },
}
