//! Looks on while a backtest runs and fills a report. Changes nothing of the run.

use crate::event::{AccountEvent, Event, LinkState, OrderEventKind};
use crate::instrument::InstrumentId;
use crate::maker::{DecisionKind, Maker, Output};
use crate::report::{Collector, Severity, Split};
use crate::unit::Nanos;

/// Position and profit are sampled this often while a position is held.
const LEDGER_EVERY: Nanos = Nanos::from_millis(100);

/// Told after every step of the maker.
pub trait Watch {
    /// The maker took `event` at `now` and decided `out`.
    fn stepped(&mut self, now: Nanos, event: &Event<'_>, out: &Output, maker: &Maker);

    /// From when on it wants to be told of a timer, even of one that changed nothing.
    fn due(&self) -> Nanos {
        Nanos::MAX
    }
}

impl Watch for () {
    #[inline]
    fn stepped(&mut self, _: Nanos, _: &Event<'_>, _: &Output, _: &Maker) {}
}

impl<A: Watch, B: Watch> Watch for (A, B) {
    fn stepped(&mut self, now: Nanos, event: &Event<'_>, out: &Output, maker: &Maker) {
        self.0.stepped(now, event, out, maker);
        self.1.stepped(now, event, out, maker);
    }

    fn due(&self) -> Nanos {
        self.0.due().min(self.1.due())
    }
}

/// Fills a report.
#[derive(Debug)]
pub struct ReportWatch {
    /// What it fills.
    pub collector: Collector,
    instruments: u16,
    ledger_due: Nanos,
}

impl ReportWatch {
    /// For this many instruments.
    #[must_use]
    pub fn new(collector: Collector, instruments: usize) -> Self {
        Self { collector, instruments: instruments as u16, ledger_due: Nanos::ZERO }
    }

    /// Position and profit of every instrument, as they are now.
    pub fn ledger(&mut self, now: Nanos, maker: &Maker) {
        for id in (0..self.instruments).map(InstrumentId) {
            let (position, pnl) = maker.holding(id);
            let split = Split { spread: pnl.spread, inventory: pnl.inventory, fees: pnl.fees, funding: pnl.funding };
            self.collector.ledger(now, id, position, split);
        }
        self.ledger_due = now + LEDGER_EVERY;
    }
}

impl Watch for ReportWatch {
    fn due(&self) -> Nanos {
        self.ledger_due
    }

    #[inline]
    fn stepped(&mut self, now: Nanos, event: &Event<'_>, out: &Output, maker: &Maker) {
        let touched = match event {
            Event::Depth(update) => Some(update.instrument),
            Event::Snapshot(snapshot) => Some(snapshot.instrument),
            Event::Quote(quote) => Some(quote.instrument),
            Event::Link { instrument, state, .. } => {
                if *state != LinkState::Up {
                    self.collector.incident(now, Severity::Warning, "market lost", "the data have a hole here");
                }
                Some(*instrument)
            }
            _ => None,
        };
        if let Some(id) = touched {
            self.collector.quote(now, id, maker.touch(id));
        }
        for command in &out.commands {
            self.collector.command(now, command);
        }
        for decision in &out.decisions {
            match decision.kind {
                DecisionKind::Refused => self.collector.refused(1),
                DecisionKind::Killed => {
                    self.collector.incident(now, Severity::Critical, "killed", "a limit of the risk gate was reached");
                }
                _ => {}
            }
        }
        let booked = match event {
            Event::Order(order) => {
                self.collector.order(now, order);
                order.kind == OrderEventKind::Fill
            }
            Event::Account(AccountEvent::Funding { .. }) => true,
            Event::Account(AccountEvent::MarginCall) => {
                self.collector.incident(now, Severity::Critical, "margin call", "the venue warns that margin is thin");
                false
            }
            _ => false,
        };
        if booked || now >= self.ledger_due {
            self.ledger(now, maker);
        }
    }
}
