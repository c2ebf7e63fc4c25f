//! What the instruments of an account share: links, gate, ids, reconciliation, balances. Decides nothing about quotes.

use super::config::MakerConfig;
use super::margin::MarginWatch;
use super::order::ClientIds;
use super::output::{Blocks, Decision, DecisionKind, Output};
use super::risk::{Gate, Ladder};
use super::strategy::Cause;
use crate::event::{ClientId, Command, CommandKind, LinkState, Operator, PositionSide, Side, TimeInForce};
use crate::instrument::InstrumentId;
use crate::unit::{Lots, Money, Nanos, Rate, Ticks};

/// Where the question "what is true at the venue?" stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reconciliation {
    /// One must be asked for.
    pub due: bool,
    /// When the one under way was asked for.
    pub asked: Option<Nanos>,
    /// When the last one was asked for: an answer that nobody waits for any more is still the newest word of the venue.
    pub last_asked: Option<Nanos>,
    /// Its answer has begun.
    pub begun: bool,
    /// Of one of its positions it cannot be told which executions it has.
    pub doubtful: bool,
    /// The next one is not asked for before this.
    pub not_before: Nanos,
    /// Our figures differ from the venue's: quotes go until the answer is in.
    pub mismatch: bool,
}

/// State of the account.
#[derive(Debug)]
pub struct Account {
    /// Settings.
    pub config: MakerConfig,
    /// The risk gate, and the kill ladder in it.
    pub gate: Gate,
    /// Client order ids.
    pub ids: ClientIds,
    /// The private stream.
    pub private: LinkState,
    /// Order entry.
    pub entry: LinkState,
    /// Reconciliation.
    pub reconciliation: Reconciliation,
    /// Wallet balance.
    pub wallet: Money,
    /// Free balance.
    pub available: Money,
    /// What an operator multiplies every spread with, in percent; never less than 100.
    pub widened: u16,
    /// The margin warning that stands.
    pub margin: MarginWatch,
    /// The run ends.
    pub stopping: bool,
    /// The venue's clock minus ours, as last told.
    pub clock_offset: Nanos,
    /// When the venue's time was last asked for.
    clock_asked: Option<Nanos>,
}

/// The venue's time is asked for at most this often.
const CLOCK_RETRY: Nanos = Nanos::from_secs(1);

impl Account {
    /// Nothing known, links down, a reconciliation due.
    #[must_use]
    pub fn new(config: MakerConfig) -> Self {
        Self {
            gate: Gate::new(config.limits),
            ids: ClientIds::new(config.run),
            config,
            private: LinkState::Down,
            entry: LinkState::Down,
            reconciliation: Reconciliation {
                due: true,
                asked: None,
                last_asked: None,
                begun: false,
                doubtful: false,
                not_before: Nanos(i64::MIN),
                mismatch: false,
            },
            wallet: Money::ZERO,
            available: Money::ZERO,
            widened: Operator::WIDEN_MIN,
            margin: MarginWatch::default(),
            stopping: false,
            clock_offset: Nanos::ZERO,
            clock_asked: None,
        }
    }

    /// What of the account stands in the way of quoting.
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        let reconciliation = &self.reconciliation;
        Blocks::default()
            .with(Blocks::PRIVATE, self.private != LinkState::Up)
            .with(Blocks::ENTRY, self.entry != LinkState::Up)
            .with(Blocks::RECONCILE, reconciliation.due || reconciliation.asked.is_some())
            .with(Blocks::MISMATCH, reconciliation.mismatch)
            .with(Blocks::LADDER, !self.gate.ladder.may_quote())
            .with(Blocks::STOP, self.stopping)
    }

    /// What an operator multiplies every spread with.
    #[must_use]
    pub const fn widen(&self) -> Rate {
        Rate::from_bps(self.widened as i64 * 100)
    }

    /// A private link is in this state now. Anything but up makes what we know doubtful.
    pub fn link(&mut self, private: bool, state: LinkState) {
        let link = if private { &mut self.private } else { &mut self.entry };
        *link = state;
        self.reconciliation.due = true;
        self.reconciliation.not_before = Nanos(i64::MIN);
        if state != LinkState::Up {
            // Its answer, if one still comes, may miss what happened meanwhile.
            self.reconciliation.asked = None;
            self.reconciliation.begun = false;
        }
    }

    /// Our figures differ from the venue's.
    pub fn mismatch(&mut self) {
        self.reconciliation.mismatch = true;
        if self.reconciliation.asked.is_none() {
            self.reconciliation.due = true;
        }
    }

    /// Asks for a reconciliation if one is due and can be answered.
    pub fn pump(&mut self, now: Nanos, out: &mut Output) {
        let retry = self.config.reconcile_retry;
        let reconciliation = &mut self.reconciliation;
        if reconciliation.asked.is_some_and(|asked| now - asked >= retry) {
            reconciliation.asked = None;
            reconciliation.begun = false;
            reconciliation.due = true;
        }
        let links_up = self.private == LinkState::Up && self.entry == LinkState::Up;
        if !reconciliation.due || reconciliation.asked.is_some() || !links_up || now < reconciliation.not_before {
            return;
        }
        let command = plain(CommandKind::Reconcile, InstrumentId(0), now);
        if out.commands.is_full() || self.gate.check_plain(now).is_err() {
            return;
        }
        out.commands.push(command);
        out.note(Decision::of(DecisionKind::Reconcile, InstrumentId(0), Cause::Reconcile));
        let reconciliation = &mut self.reconciliation;
        reconciliation.due = false;
        reconciliation.begun = false;
        (reconciliation.asked, reconciliation.last_asked) = (Some(now), Some(now));
    }

    /// Asks for the venue's time; an answer that does not settle the doubt, or none, is followed by the next question.
    pub fn ask_time(&mut self, now: Nanos, out: &mut Output) {
        let asked = self.clock_asked.is_some_and(|asked| now - asked < CLOCK_RETRY);
        if asked || out.commands.is_full() || self.gate.check_plain(now).is_err() {
            return;
        }
        out.commands.push(plain(CommandKind::SyncTime, InstrumentId(0), now));
        self.clock_asked = Some(now);
    }

    /// Is killed.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        matches!(self.gate.ladder, Ladder::Killed(_))
    }
}

/// A command that is about no order.
#[must_use]
pub fn plain(kind: CommandKind, instrument: InstrumentId, now: Nanos) -> Command {
    Command {
        kind,
        side: Side::Buy,
        tif: TimeInForce::PostOnly,
        position_side: PositionSide::Net,
        reduce_only: false,
        instrument,
        generation: 0,
        client_id: ClientId::default(),
        price: Ticks::ZERO,
        qty: Lots::ZERO,
        decided_at: now,
    }
}
