//! A run that happened beside its backtest: the latencies it measured, what it sent and what was filled, and where the two part.
//! Reads the journal only; changes nothing.

use super::watch::Watch;
use crate::event::{
    AccountEvent, ClientId, Command, CommandKind, Event, Link, LinkState, Operator, OrderEvent, OrderEventKind,
    OrderSource, Side,
};
use crate::journal::record::{self, RecordError, Sent};
use crate::journal::{ReadError, Reader, RunDir};
use crate::maker::{Maker, Output};
use crate::sim::latency::Measured;
use crate::unit::{Lots, Money, Nanos, Ticks};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Requests whose answer is awaited at most; an older one has none.
const AWAITED_MAX: usize = 4_096;

/// Why a run tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// A record of it cannot.
    #[error("record {seq}: {source}")]
    Record {
        /// Its sequence number.
        seq: u64,
        /// Why.
        source: RecordError,
    },
    /// No request of the run was answered.
    #[error("the run measured no latency: no answer to an order of its own is in its journal")]
    NoLatency,
}

/// The order latencies that a run measured: from the bytes' hand-over to the kernel to the answer's arrival. Nobody outside sees when
/// the venue had it, so half of each is taken for the way there.
///
/// # Errors
/// The journal cannot be read or holds no answered request.
pub fn measured(run: &Path) -> Result<Vec<Measured>, TruthError> {
    let mut reader = Reader::open(RunDir::new(run))?;
    let mut sent: HashMap<(ClientId, u32), Nanos> = HashMap::new();
    let mut found = Vec::new();
    while let Some(entry) = reader.next()? {
        let faulty = |source| TruthError::Record { seq: entry.seq, source };
        match entry.kind {
            record::SENT => {
                let told = Sent::decode(entry.payload).map_err(faulty)?;
                if sent.len() >= AWAITED_MAX {
                    sent.clear();
                }
                sent.insert((told.client_id, told.generation), told.at);
            }
            record::ORDER => {
                let Event::Order(order) = record::decode_event(entry.kind, entry.payload).map_err(faulty)? else {
                    continue;
                };
                if order.source != OrderSource::Response {
                    continue;
                }
                if let Some(at) = sent.remove(&(order.client_id, order.generation)) {
                    let trip = (entry.time - at).0.max(0);
                    found.push(Measured { at, there: Nanos(trip / 2), back: Nanos(trip - trip / 2) });
                }
            }
            _ => {}
        }
    }
    if found.is_empty() {
        return Err(TruthError::NoLatency);
    }
    found.sort_by_key(|point| point.at);
    Ok(found)
}

/// One execution of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Executed {
    /// When we heard of it.
    pub at: Nanos,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub qty: Lots,
    /// As maker.
    pub maker: bool,
}

/// What was sent and what was filled.
///
/// Kept whole: some hundred bytes per command of a run.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// New orders, amends, cancels and market orders.
    pub commands: Vec<(Nanos, Command)>,
    /// Executions, each once.
    pub fills: Vec<Executed>,
    /// When the last of the account's links came up first, by the journal.
    pub links_at: Option<Nanos>,
    /// When the first reconciliation was answered, by the journal: REST calls, whose latencies are not those of orders.
    pub answered_at: Option<Nanos>,
    /// The wallet that the venue told first, by the journal.
    pub wallet: Option<Money>,
    /// When an operator ended the run, by the journal.
    pub stop_at: Option<Nanos>,
    trades: HashSet<u64>,
}

impl Deeds {
    fn command(&mut self, at: Nanos, command: &Command) {
        if matches!(command.kind, CommandKind::New | CommandKind::Amend | CommandKind::Cancel | CommandKind::Market) {
            self.commands.push((at, *command));
        }
    }

    fn order(&mut self, at: Nanos, order: &OrderEvent) {
        if order.kind == OrderEventKind::Fill && self.trades.insert(order.fill.trade_id) {
            let fill = order.fill;
            self.fills.push(Executed { at, side: order.side, price: fill.price, qty: fill.qty, maker: fill.maker });
        }
    }

    /// What a run did, by its journal.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn of_run(run: &Path) -> Result<Self, TruthError> {
        let mut reader = Reader::open(RunDir::new(run))?;
        let (mut deeds, mut links) = (Self::default(), 0);
        while let Some(entry) = reader.next()? {
            let faulty = |source| TruthError::Record { seq: entry.seq, source };
            match entry.kind {
                record::COMMAND => {
                    let command = record::decode_command(entry.payload).map_err(faulty)?;
                    deeds.command(entry.time, &command);
                }
                record::ORDER => {
                    let event = record::decode_event(entry.kind, entry.payload).map_err(faulty)?;
                    if let Event::Order(order) = event {
                        deeds.order(entry.time, &order);
                    }
                }
                record::LINK | record::ACCOUNT | record::OPERATOR => {
                    match record::decode_event(entry.kind, entry.payload).map_err(faulty)? {
                        Event::Link { link: Link::Private | Link::OrderEntry, state: LinkState::Up, .. }
                            if links < 2 =>
                        {
                            links += 1;
                            deeds.links_at = Some(entry.time);
                        }
                        Event::Account(AccountEvent::Balance { wallet, .. }) => {
                            deeds.wallet.get_or_insert(wallet);
                        }
                        Event::Account(AccountEvent::ReconcileEnd) => {
                            deeds.answered_at.get_or_insert(entry.time);
                        }
                        Event::Operator(Operator::Stop) => deeds.stop_at = Some(entry.time),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(deeds)
    }
}

impl Watch for Deeds {
    fn stepped(&mut self, now: Nanos, event: &Event<'_>, out: &Output, _: &Maker) {
        if let Event::Order(order) = event {
            self.order(now, order);
        }
        for command in &out.commands {
            self.command(now, command);
        }
    }
}

/// How well a backtest tells what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Executions of the run and of the backtest.
    pub fills: [usize; 2],
    /// Lots executed in both.
    pub lots: [i64; 2],
    /// Executions of the run that the backtest has too: same side, price and order of lots within [`Agreement::WITHIN`].
    pub matched: usize,
    /// Commands of both.
    pub commands: [usize; 2],
    /// The first command that is not the same in both, and when.
    pub divergence: Option<Divergence>,
}

/// Where run and backtest part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Commands before it were the same.
    pub after: usize,
    /// Its time in the run, or in the backtest where the run has none.
    pub at: Nanos,
    /// What the run sent.
    pub run: String,
    /// What the backtest sent.
    pub backtest: String,
}

impl Agreement {
    /// Executions this far apart in time can be the same.
    pub const WITHIN: Nanos = Nanos::from_millis(500);

    /// Of a run and its backtest.
    #[must_use]
    pub fn of(run: &Deeds, backtest: &Deeds) -> Self {
        let lots = |deeds: &Deeds| deeds.fills.iter().map(|fill| fill.qty.0).sum();
        let mut free: Vec<&Executed> = backtest.fills.iter().collect();
        let mut matched = 0;
        for fill in &run.fills {
            let near = |other: &&Executed| (other.at - fill.at).abs() <= Self::WITHIN;
            let same = |other: &&Executed| other.side == fill.side && other.price == fill.price && near(other);
            if let Some(at) = free.iter().position(same) {
                free.remove(at);
                matched += 1;
            }
        }
        let key = |command: &Command| {
            (command.kind as u8, command.side as u8, command.price, command.qty, command.client_id.seq)
        };
        let count = run.commands.len().max(backtest.commands.len());
        let parted = (0..count).find(|&at| {
            let [a, b] = [run, backtest].map(|deeds| deeds.commands.get(at).map(|(_, command)| key(command)));
            a != b
        });
        let divergence = parted.map(|at| {
            let [a, b] = [run, backtest].map(|deeds| deeds.commands.get(at));
            let text = |found: Option<&(Nanos, Command)>| {
                found.map_or_else(
                    || "nothing more".to_owned(),
                    |(at, command)| {
                        let Command { kind, side, price, qty, client_id, .. } = command;
                        format!(
                            "{kind:?} {side:?} {} lots at {} ticks, order {}, at {}",
                            qty.0, price.0, client_id.seq, at.0
                        )
                    },
                )
            };
            let time = a.or(b).map_or(Nanos::ZERO, |(at, _)| *at);
            Divergence { after: at, at: time, run: text(a), backtest: text(b) }
        });
        Self {
            fills: [run.fills.len(), backtest.fills.len()],
            lots: [lots(run), lots(backtest)],
            matched,
            commands: [run.commands.len(), backtest.commands.len()],
            divergence,
        }
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "fills": {"run": self.fills[0], "backtest": self.fills[1], "matched": self.matched},
            "lots": {"run": self.lots[0], "backtest": self.lots[1]},
            "commands": {"run": self.commands[0], "backtest": self.commands[1]},
            "first_divergence": self.divergence.as_ref().map(|found| json!({
                "after_commands": found.after, "time_ns": found.at.0, "run": found.run, "backtest": found.backtest,
            })),
        })
    }
}
