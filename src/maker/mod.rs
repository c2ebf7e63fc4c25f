//! The decision: from an event to gate-checked commands, as a pure function of its state. No I/O, no clock, no randomness.
//!
//! [`Maker::step`] takes one event at one time and fills an [`Output`]: it allocates nothing, and the same events at the same
//! times give the same output, so a journal replays bit for bit. Quotes stand only while the book is in sync, the data are
//! fresh, all links are up, nothing is to be reconciled and the kill ladder allows it; otherwise they are withdrawn first.

pub mod account;
pub mod config;
mod desk;
pub mod margin;
pub mod order;
pub mod output;
pub mod position;
pub mod recipe;
pub mod risk;
pub mod strategy;

pub use config::{InstrumentSetup, Leftovers, MakerConfig, Source};
pub use margin::{MarginLevel, MarginStatus};
pub use output::{Blocks, Counters, Decision, DecisionKind, Held, OrderStatus, Output, Status};
pub use position::Pnl;
pub use recipe::{Recipe, RecipeError};
pub use risk::{KillReason, Ladder, Refusal, RiskLimits};

#[cfg(test)]
mod tests;

use crate::config::load::Strategy as Settings;
use crate::event::{AccountEvent, Event, Link, LinkState, Operator};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Money, Nanos, Rate, Ticks};
use account::Account;
use desk::{Desk, Flatten, Valued, Wake};
use strategy::{Cause, OwnEvent};

/// Which desks an event wakes.
enum Touched {
    One(InstrumentId),
    All,
}

/// The maker of one account's instruments.
pub struct Maker {
    account: Account,
    /// Traded ones first, then those that are only watched.
    desks: Vec<Desk>,
    traded: usize,
    /// Step time never runs backwards inside.
    now: Nanos,
    /// The holdings' revisions (their sum) at which the loss was last found within its limit.
    solvent_at: u64,
    /// What the margin ratio was last made of: wallet, and the only desk.
    margin_seen: Option<(Money, Valued)>,
}

impl Maker {
    /// Nothing known, links down, a reconciliation due. All memory is taken here.
    ///
    /// # Panics
    /// For an empty list of instruments, a source outside it, or settings that no run can have (run 0, an empty interval).
    #[must_use]
    pub fn new(config: MakerConfig, instruments: Vec<InstrumentSetup>) -> Self {
        Self::watching(config, instruments, Vec::new())
    }

    /// [`Maker::new`] with markets that are only looked at, as price sources of the others. Their ids follow those of the instruments.
    ///
    /// # Panics
    /// As [`Maker::new`].
    #[must_use]
    pub fn watching(config: MakerConfig, instruments: Vec<InstrumentSetup>, watched: Vec<Instrument>) -> Self {
        assert!(!instruments.is_empty(), "a maker without an instrument");
        let traded = instruments.len();
        let count = traded + watched.len();
        assert!(u16::try_from(count).is_ok(), "{count} instruments");
        let account = Account::new(config);
        let inside = |source: &Source| match source {
            Source::Market { instrument, .. } => usize::from(instrument.0) < count,
            Source::Polled { .. } => true,
        };
        let desks = instruments.into_iter().enumerate().map(|(at, setup)| {
            assert!(setup.source.as_ref().is_none_or(inside), "a source outside the list");
            Desk::new(InstrumentId(at as u16), setup, &account)
        });
        let watched = (traded..).zip(watched).map(|(at, one)| Desk::watching(InstrumentId(at as u16), one, &account));
        let desks = desks.chain(watched).collect();
        Self { account, desks, traded, now: Nanos::ZERO, solvent_at: 0, margin_seen: None }
    }

    /// One event at one time. `out` is cleared first. An event of an instrument outside the list panics: a bug of the caller.
    pub fn step(&mut self, now: Nanos, event: &Event<'_>, out: &mut Output) {
        out.clear();
        self.now = self.now.max(now);
        let now = self.now;
        let mut touched = self.take_in(now, event, out);
        let wake = match event {
            Event::Timer | Event::Kill | Event::Lapse { .. } | Event::Operator(_) | Event::Account(_) => Wake::Timer,
            _ => Wake::Event,
        };
        if self.check_loss(out) {
            touched = Touched::All;
        }
        if !matches!(event, Event::Timer) {
            match touched {
                Touched::One(id) => self.desk(id).unseen = true,
                Touched::All => self.desks.iter_mut().for_each(|desk| desk.unseen = true),
            }
        }
        match touched {
            Touched::One(id) => {
                self.advance(usize::from(id.0), now, wake, out);
                for at in 0..self.traded {
                    if self.desks[at].reads(id) {
                        self.advance(at, now, wake, out);
                    }
                }
            }
            Touched::All => (0..self.desks.len()).for_each(|at| self.advance(at, now, wake, out)),
        }
        if matches!(event, Event::Timer | Event::Mark(_) | Event::Order(_) | Event::Account(_)) {
            self.watch_margin(out);
        }
        // Quotes go first, recovery second.
        self.account.pump(now, out);
        if self.desks.iter().any(Desk::doubts_clock) {
            self.account.ask_time(now, out);
        }
    }

    /// Until when a timer would change nothing but the time, if no event comes before it: who plays the past need not step such timers,
    /// but for the last one before an event, with [`Maker::pass`]. Rather too early than too late; the beginning of time where nothing is
    /// known.
    #[must_use]
    pub fn idle_until(&self) -> Nanos {
        let reconciliation = &self.account.reconciliation;
        if reconciliation.due || reconciliation.asked.is_some() {
            return Nanos(i64::MIN);
        }
        self.desks.iter().map(|desk| desk.idle_until(&self.account)).min().unwrap_or(Nanos(i64::MIN))
    }

    /// A timer before [`Maker::idle_until`].
    pub fn pass(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        let now = self.now;
        self.desks.iter_mut().for_each(|desk| desk.pass(now));
    }

    /// New settings of an instrument's strategy, at one time. Those that cannot change at run time stay; what is replaced goes into
    /// `new`, so that nothing is freed here. `out` is cleared first.
    pub fn reconfigure(&mut self, now: Nanos, instrument: InstrumentId, new: &mut Settings, out: &mut Output) {
        out.clear();
        self.now = self.now.max(now);
        let now = self.now;
        self.desk(instrument).reconfigure(new);
        self.advance(usize::from(instrument.0), now, Wake::Timer, out);
        self.account.pump(now, out);
    }

    fn advance(&mut self, at: usize, now: Nanos, wake: Wake, out: &mut Output) {
        let source = match self.desks[at].source {
            Some(Source::Market { instrument, stale_after }) => {
                Some(self.desks[usize::from(instrument.0)].as_source(now, stale_after))
            }
            _ => None,
        };
        self.desks[at].advance(&mut self.account, now, wake, source, out);
    }

    fn take_in(&mut self, now: Nanos, event: &Event<'_>, out: &mut Output) -> Touched {
        match *event {
            Event::Depth(ref update) => {
                self.desk(update.instrument).on_depth(now, update, out);
                Touched::One(update.instrument)
            }
            Event::Snapshot(ref snapshot) => {
                self.desk(snapshot.instrument).on_snapshot(now, snapshot, out);
                Touched::One(snapshot.instrument)
            }
            Event::Quote(ref quote) => {
                self.desk(quote.instrument).on_quote(now, quote, out);
                Touched::One(quote.instrument)
            }
            Event::Trade(ref trade) => {
                self.desk(trade.instrument).on_trade(trade);
                Touched::One(trade.instrument)
            }
            Event::Mark(ref mark) => {
                self.desk(mark.instrument).on_mark(mark);
                Touched::One(mark.instrument)
            }
            Event::External { instrument, price } => {
                self.desk(instrument).on_external(now, price);
                Touched::One(instrument)
            }
            Event::Link { instrument, link: Link::Market, state } => {
                self.desk(instrument).on_market_link(now, state);
                Touched::One(instrument)
            }
            Event::Link { link, state, .. } => {
                self.account.link(link == Link::Private, state);
                Touched::All
            }
            Event::Order(ref order) => {
                let desk = &mut self.desks[usize::from(order.instrument.0)];
                desk.on_order(&mut self.account, now, order, out);
                Touched::One(order.instrument)
            }
            Event::Account(ref account) => self.on_account(now, account, out),
            Event::Operator(word) => {
                self.on_operator(now, word, out);
                Touched::All
            }
            Event::Kill => {
                self.kill(KillReason::Flag, out);
                Touched::All
            }
            Event::Lapse { .. } => {
                // What an answer under way says is older than the gap.
                self.account.reconciliation.asked = None;
                self.account.reconciliation.begun = false;
                self.account.reconciliation.not_before = Nanos(i64::MIN);
                self.account.mismatch();
                Touched::All
            }
            Event::Timer => {
                for desk in &mut self.desks {
                    desk.on_timer(&mut self.account, now, out);
                }
                Touched::All
            }
        }
    }

    fn desk(&mut self, id: InstrumentId) -> &mut Desk {
        &mut self.desks[usize::from(id.0)]
    }

    fn on_account(&mut self, now: Nanos, event: &AccountEvent, out: &mut Output) -> Touched {
        let reconciliation = &mut self.account.reconciliation;
        match *event {
            AccountEvent::Position { instrument, side, qty, entry, snapshot, venue_time } => {
                let asked = reconciliation.asked.filter(|_| reconciliation.begun);
                let desk = self.desk(instrument);
                match asked {
                    Some(asked) if snapshot => {
                        let settled = desk.reconcile_position(side, qty, entry, venue_time, asked, out);
                        self.account.reconciliation.doubtful |= !settled;
                    }
                    // An answer that nobody waits for any more says no more than the stream does.
                    _ => desk.holdings.report(side, qty, now),
                }
                return Touched::One(instrument);
            }
            AccountEvent::Balance { wallet, available } => {
                self.account.wallet = wallet;
                self.account.available = available;
            }
            AccountEvent::Funding { instrument, amount } => {
                self.desk(instrument).holdings.funding(amount);
                return Touched::One(instrument);
            }
            AccountEvent::ReconcileBegin => {
                // The answer before may have been that to an earlier question, and this one the last word.
                reconciliation.asked = reconciliation.asked.or(reconciliation.last_asked);
                if reconciliation.asked.is_some() {
                    (reconciliation.begun, reconciliation.doubtful) = (true, false);
                    self.desks.iter_mut().for_each(Desk::reconcile_begin);
                }
            }
            AccountEvent::ReconcileEnd => {
                if let (Some(asked), true) = (reconciliation.asked, reconciliation.begun) {
                    reconciliation.asked = None;
                    reconciliation.begun = false;
                    reconciliation.mismatch = false;
                    let mut doubtful = reconciliation.doubtful;
                    for desk in &mut self.desks {
                        doubtful |= !desk.reconcile_end(now, asked, out);
                    }
                    if doubtful {
                        self.account.mismatch();
                    }
                }
            }
            AccountEvent::ReconcileFailed => {
                if reconciliation.asked.take().is_some() {
                    reconciliation.begun = false;
                    reconciliation.due = true;
                    reconciliation.not_before = now + self.account.config.reconcile_retry;
                }
            }
            AccountEvent::PositionMode { hedge } => {
                for desk in &mut self.desks {
                    desk.tell(now, &OwnEvent::PositionMode { hedge, ok: true });
                }
            }
            AccountEvent::MarginCall => {
                // Thin margin: nothing that adds, until an operator resumes.
                if self.account.gate.ladder == Ladder::Quoting {
                    self.on_operator(now, Operator::ReduceOnly, out);
                }
            }
            AccountEvent::Leverage { instrument, leverage } => {
                self.desk(instrument).on_leverage(leverage);
                return Touched::One(instrument);
            }
            AccountEvent::VenueClock { offset } => self.account.clock_offset = offset,
        }
        Touched::All
    }

    fn on_operator(&mut self, now: Nanos, word: Operator, out: &mut Output) {
        self.account.gate.ladder = self.account.gate.ladder.after(word);
        match word {
            Operator::Resume => self.desks.iter_mut().for_each(|desk| desk.flatten = None),
            Operator::Stop => self.account.stopping = true,
            Operator::Flatten => {
                for desk in &mut self.desks[..self.traded] {
                    desk.flatten = Some(Flatten { tries: 0, not_before: now });
                }
            }
            // What rests may add to the position; what may stay is quoted anew.
            Operator::ReduceOnly => {
                for desk in &mut self.desks {
                    desk.withdraw(now, Cause::Operator);
                }
            }
            // What rests is too near now, or farther than need be.
            Operator::Widen { percent } => {
                self.account.widened = percent.max(Operator::WIDEN_MIN);
                for desk in &mut self.desks {
                    desk.withdraw(now, Cause::Operator);
                }
            }
            Operator::Pause | Operator::CancelAll | Operator::Reload => {}
        }
        out.note(Decision {
            detail: i64::from(word.code()),
            ..Decision::of(DecisionKind::Operator, InstrumentId(0), Cause::Operator)
        });
    }

    fn kill(&mut self, reason: KillReason, out: &mut Output) {
        if !self.account.is_killed() {
            out.note(Decision {
                detail: reason as i64,
                ..Decision::of(DecisionKind::Killed, InstrumentId(0), Cause::Operator)
            });
        }
        self.account.gate.ladder = self.account.gate.ladder.killed(reason);
    }

    /// True if the loss limit killed just now.
    fn check_loss(&mut self, out: &mut Output) -> bool {
        let limit = self.account.config.limits.loss_max;
        if limit.is_zero() || self.account.is_killed() {
            return false;
        }
        // Revisions only count up, so an equal sum means that no P&L has changed.
        let revision = self.desks.iter().map(|desk| desk.holdings.revision()).sum();
        if self.solvent_at == revision {
            return false;
        }
        if self.pnl_total() > -limit {
            self.solvent_at = revision;
            return false;
        }
        self.kill(KillReason::Loss, out);
        true
    }

    /// How many instruments are traded; the ids behind them are of watched markets.
    #[must_use]
    pub const fn traded(&self) -> usize {
        self.traded
    }

    /// Tells a margin ratio that crossed a threshold. Only a warning: the venue's margin call is what takes orders away.
    fn watch_margin(&mut self, out: &mut Output) {
        // Before the wallet is known any position would look like ruin.
        if !self.is_reconciled() {
            return;
        }
        // Timers come far more often than anything that the ratio is made of changes.
        if let [desk] = &self.desks[..] {
            let seen = (self.account.wallet, desk.valued());
            if self.margin_seen.replace(seen) == Some(seen) {
                return;
            }
        }
        let ratio = self.margin().ratio;
        if let Some(level) = self.account.margin.see(ratio) {
            out.note(Decision {
                level: level as u8,
                detail: ratio.map_or(0, |ratio| ratio.0 / Rate::from_bps(1).0),
                ..Decision::of(DecisionKind::Margin, InstrumentId(0), Cause::Risk)
            });
        }
    }

    /// Equity, margin used and the warning that stands.
    #[must_use]
    pub fn margin(&self) -> MarginStatus {
        let (wallet, available) = (self.account.wallet, self.account.available);
        let (unrealized, used) = self
            .desks
            .iter()
            .map(Desk::margin)
            .fold((Money::ZERO, Money::ZERO), |sum, desk| (sum.0 + desk.0, sum.1 + desk.1));
        let equity = wallet + unrealized;
        let ratio = margin::ratio(equity, used);
        MarginStatus { wallet, available, equity, used, ratio, level: self.account.margin.level() }
    }

    /// Live orders of one instrument, in creation order.
    pub fn orders(&self, instrument: InstrumentId) -> impl Iterator<Item = OrderStatus> {
        self.desks[usize::from(instrument.0)].orders()
    }

    /// Total P&L of all instruments.
    #[must_use]
    pub fn pnl_total(&self) -> Money {
        self.desks.iter().fold(Money::ZERO, |sum, desk| sum + desk.holdings.earned())
    }

    /// Nothing of ours rests, is under way or is unknown: a stopping engine may leave.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.desks.iter().all(Desk::is_quiet)
    }

    /// What an operator multiplies every spread with, in percent.
    #[must_use]
    pub fn widened_percent(&self) -> u16 {
        self.account.widened
    }

    /// Refusals of the gate so far, by `Refusal as usize`.
    #[must_use]
    pub fn refusals(&self) -> &[u64; Refusal::COUNT] {
        self.account.gate.refusals()
    }

    /// Private stream and order entry, if they are up.
    #[must_use]
    pub fn links_up(&self) -> usize {
        [self.account.private, self.account.entry].iter().filter(|&&link| link == LinkState::Up).count()
    }

    /// One instrument as it is now.
    #[must_use]
    pub fn status(&self, instrument: InstrumentId) -> Status {
        self.desks[usize::from(instrument.0)].status(&self.account, self.now)
    }

    /// Best bid and ask of the book while it can be quoted on.
    #[must_use]
    #[inline]
    pub fn touch(&self, instrument: InstrumentId) -> Option<(Ticks, Ticks)> {
        self.desks[usize::from(instrument.0)].touch().map(|[bid, ask]| (bid.price, ask.price))
    }

    /// Net position and P&L of one instrument.
    #[must_use]
    pub fn holding(&self, instrument: InstrumentId) -> (Lots, Pnl) {
        let holdings = &self.desks[usize::from(instrument.0)].holdings;
        (holdings.net(), holdings.pnl())
    }

    /// The reconciliation is done and nothing is due: the account's state is known.
    #[must_use]
    pub fn is_reconciled(&self) -> bool {
        !self.account.blocks().any(Blocks::RECONCILE | Blocks::MISMATCH) && self.account.private == LinkState::Up
    }
}
