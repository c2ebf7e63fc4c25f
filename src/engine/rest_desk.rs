//! Sends orders by REST while there is no order socket: a thread of its own, because each call blocks. Several that wait go in one call.
//! Never retries; an order that has waited too long for its turn is not sent at all.

use super::clock::Clock;
use super::errand::Delivery;
use super::rest::{Caller, RestError};
use super::ring::Outgoing;
use super::wait::WakeHandle;
use crate::event::{Command, CommandKind, OrderEventKind, OrderSource};
use crate::instrument::Instrument;
use crate::unit::Nanos;
use crate::venue::binance::usdm::answer::{Hint, bare};
use crate::venue::binance::usdm::batch;
use crate::venue::binance::usdm::client_id::Prefix;
use crate::venue::binance::usdm::order::EncodeError;
use crate::venue::binance::usdm::rest::{RestRequest, order, order_event};
use crossbeam::channel::{Receiver, Sender};

/// New risk that has waited longer behind slow calls is stale, and the core may already have asked for it by another way: it must not
/// appear at the venue after it was not found there. Below the core's grace for such an answer.
const WAIT_MAX: Nanos = Nanos::from_millis(500);

/// The thread's state. Built by `wiring`.
pub struct RestDesk {
    /// The time source.
    pub clock: Clock,
    /// REST of the account.
    pub caller: Caller,
    /// What is traded, by id.
    pub instruments: Vec<Instrument>,
    /// Marks our orders.
    pub prefix: Prefix,
    /// Position mode.
    pub hedge: bool,
    /// From the I/O thread.
    pub orders: Receiver<Outgoing>,
    /// To the I/O thread.
    pub deliveries: Sender<Delivery>,
    /// Wakes it.
    pub wake: WakeHandle,
}

impl RestDesk {
    /// Runs until the I/O thread is gone.
    pub fn run(self) {
        let mut next = self.orders.recv().ok();
        while let Some(first) = next {
            let mut commands = vec![first.command];
            let late = self.is_late(&first);
            next = None;
            while commands.len() < batch::most(first.command.kind) {
                let Ok(outgoing) = self.orders.try_recv() else { break };
                let fits = |c: &Command| (c.kind, c.instrument) == (first.command.kind, first.command.instrument);
                if !fits(&outgoing.command) || self.is_late(&outgoing) != late {
                    next = Some(outgoing);
                    break;
                }
                commands.push(outgoing.command);
            }
            let deliveries = if late { all(&commands, OrderEventKind::NotSent) } else { self.send(&commands) };
            for delivery in deliveries {
                if self.deliveries.send(delivery).is_err() {
                    return;
                }
            }
            self.wake.wake();
            next = next.or_else(|| self.orders.recv().ok());
        }
    }

    fn is_late(&self, outgoing: &Outgoing) -> bool {
        matches!(outgoing.command.kind, CommandKind::New | CommandKind::Amend)
            && self.clock.now() - outgoing.pushed_at > WAIT_MAX
    }

    fn request(&self, commands: &[Command], terms: &Instrument) -> Result<RestRequest, EncodeError> {
        match commands {
            [one] => order(one, terms, &self.prefix, self.hedge),
            several => batch::request(several, terms, &self.prefix, self.hedge),
        }
    }

    /// One call for commands of one kind and instrument.
    fn send(&self, commands: &[Command]) -> Vec<Delivery> {
        let terms = &self.instruments[usize::from(commands[0].instrument.0)];
        let request = match self.request(commands, terms) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!("order by REST: {error}");
                return all(commands, OrderEventKind::NotSent);
            }
        };
        match (self.caller.call(&request), commands) {
            (Ok(reply), [one]) => {
                let (event, hint) = order_event(one, terms, &self.prefix, reply.status, &reply.body, reply.retry_after);
                vec![Delivery::Order(event, hint)]
            }
            (Ok(reply), several) => {
                let (events, hint) =
                    batch::events(several, terms, &self.prefix, reply.status, &reply.body, reply.retry_after);
                // The hint is about the call, so it is given once.
                let mut hint = Some(hint);
                events.into_iter().map(|event| Delivery::Order(event, hint.take().unwrap_or(Hint::None))).collect()
            }
            (Err(error), _) => {
                tracing::error!("order by REST: {error}");
                all(
                    commands,
                    match error {
                        RestError::NotSent { .. } | RestError::Held { .. } => OrderEventKind::NotSent,
                        RestError::Unknown { .. } => OrderEventKind::Unknown,
                    },
                )
            }
        }
    }
}

fn all(commands: &[Command], kind: OrderEventKind) -> Vec<Delivery> {
    let told = |c: &Command| {
        Delivery::Order(bare(kind, OrderSource::Engine, c.instrument, c.client_id, c.generation), Hint::None)
    };
    commands.iter().map(told).collect()
}
