//! Orders, fills and the account as a run's journal tells them, folded record by record. Knows only what was said; decides nothing.

use crate::run::{Run, each_record};
use anyhow::Result;
use spinquote::event::{
    AccountEvent, ClientId, Command, CommandKind, Event, LinkState, OrderEvent, OrderEventKind, PositionSide, Side,
};
use spinquote::instrument::InstrumentId;
use spinquote::journal::{Record, record};
use spinquote::unit::{Lots, Money, Nanos, Price, Ticks};
use std::collections::{BTreeMap, HashSet};

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Asked for, no answer yet.
    Pending,
    /// Rests at the venue.
    Live,
    /// The outcome of the last request is not known.
    Unknown,
    /// All of it was executed.
    Filled,
    Canceled,
    Expired,
    Rejected,
    /// Never left.
    NotSent,
    /// The venue says that it is complete, and no more.
    Closed,
    /// The venue does not know it.
    NotFound,
}

impl Standing {
    /// It may still trade.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Live | Self::Unknown)
    }
}

/// An order of ours.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub id: ClientId,
    pub instrument: InstrumentId,
    pub side: Side,
    pub price: Ticks,
    pub qty: Lots,
    pub filled: Lots,
    pub standing: Standing,
    /// A request on it that is not answered.
    pub asked: Option<CommandKind>,
    pub reduce_only: bool,
    pub created: Nanos,
    pub updated: Nanos,
    /// The venue's id, 0 if not known.
    pub venue_id: u64,
    /// The venue's last error code, else 0.
    pub code: i32,
    /// The venue's time of the newest fact: an older one does not change price and quantity back.
    as_of: Nanos,
    /// Sum of its executions, each counted once.
    traded: Lots,
}

/// One execution, counted once.
#[derive(Clone, Copy, Debug)]
pub struct FillRow {
    pub seq: u64,
    pub time: Nanos,
    pub instrument: InstrumentId,
    pub id: ClientId,
    pub side: Side,
    pub fill: spinquote::event::Fill,
}

/// A position as the venue last said it.
#[derive(Clone, Copy, Debug)]
pub struct VenuePosition {
    pub qty: Lots,
    pub entry: Price,
    pub time: Nanos,
}

/// What the venue last said of the money.
#[derive(Clone, Copy, Debug)]
pub struct Balance {
    pub wallet: Money,
    pub available: Money,
    pub time: Nanos,
}

/// Everything folded.
#[derive(Debug, Default)]
pub struct Ledger {
    pub orders: BTreeMap<ClientId, Order>,
    pub fills: Vec<FillRow>,
    pub positions: BTreeMap<(InstrumentId, u8), VenuePosition>,
    pub first_balance: Option<Balance>,
    pub balance: Option<Balance>,
    pub funding: Money,
    /// Time of the last record.
    pub time: Nanos,
    /// Connections as last said, by their names.
    pub links: BTreeMap<(InstrumentId, String), LinkState>,
    trades: HashSet<(InstrumentId, u64)>,
}

impl Ledger {
    /// The whole run. Damage ends it: what stands before counts, and the error is given with it.
    pub fn of(run: &Run) -> Result<(Self, Option<anyhow::Error>)> {
        let mut ledger = Self::default();
        let end = each_record(run.journal()?, |found| {
            ledger.take(found);
            Ok(true)
        });
        Ok((ledger, end.err()))
    }

    /// The next record. One that cannot be decoded is passed over: `sq journal dump` shows it.
    pub fn take(&mut self, found: &Record<'_>) {
        self.time = found.time;
        match found.kind {
            record::COMMAND => {
                if let Ok(command) = record::decode_command(found.payload) {
                    self.command(&command, found.time);
                }
            }
            record::ORDER | record::ACCOUNT | record::LINK => match record::decode_event(found.kind, found.payload) {
                Ok(Event::Order(order)) => self.order(&order, found),
                Ok(Event::Account(account)) => self.account(&account, found.time),
                Ok(Event::Link { instrument, link, state }) => {
                    self.links.insert((instrument, crate::text::name(link)), state);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Orders that may still trade.
    pub fn open(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(|order| order.standing.is_open())
    }

    /// Known fees paid.
    pub fn fees(&self) -> Money {
        self.fills.iter().filter(|row| row.fill.fee_known).fold(Money::ZERO, |sum, row| sum + row.fill.fee)
    }

    fn command(&mut self, command: &Command, time: Nanos) {
        let Command { kind, side, reduce_only, instrument, client_id: id, price, qty, .. } = *command;
        match kind {
            CommandKind::New | CommandKind::Market => {
                let standing = Standing::Pending;
                let order = Order {
                    id,
                    instrument,
                    side,
                    price,
                    qty,
                    filled: Lots::ZERO,
                    standing,
                    asked: Some(kind),
                    reduce_only,
                    created: time,
                    updated: time,
                    venue_id: 0,
                    code: 0,
                    as_of: Nanos::ZERO,
                    traded: Lots::ZERO,
                };
                self.orders.insert(id, order);
            }
            CommandKind::Amend | CommandKind::Cancel | CommandKind::Query => {
                if let Some(order) = self.orders.get_mut(&id) {
                    (order.asked, order.updated) = (Some(kind), time);
                }
            }
            CommandKind::CancelAll | CommandKind::Reconcile | CommandKind::Snapshot | CommandKind::SyncTime => {}
        }
    }

    fn order(&mut self, event: &OrderEvent, found: &Record<'_>) {
        use OrderEventKind as Kind;
        let id = event.client_id;
        // Orders of others are reported and never owned.
        if id == ClientId::default() {
            return;
        }
        let order = self.orders.entry(id).or_insert(Order {
            id,
            instrument: event.instrument,
            side: event.side,
            price: event.price,
            qty: event.qty,
            filled: Lots::ZERO,
            standing: Standing::Pending,
            asked: None,
            reduce_only: event.reduce_only,
            created: found.time,
            updated: found.time,
            venue_id: 0,
            code: 0,
            as_of: Nanos::ZERO,
            traded: Lots::ZERO,
        });
        order.updated = found.time;
        if event.kind == Kind::Fill {
            if self.trades.insert((event.instrument, event.fill.trade_id)) {
                order.traded += event.fill.qty;
                let (seq, time, instrument, side, fill) =
                    (found.seq, found.time, event.instrument, event.side, event.fill);
                self.fills.push(FillRow { seq, time, instrument, id, side, fill });
            } else if event.fill.fee_known {
                // The same execution told again, now with its fee.
                let same =
                    |row: &&mut FillRow| row.instrument == event.instrument && row.fill.trade_id == event.fill.trade_id;
                if let Some(row) = self.fills.iter_mut().rev().find(same) {
                    row.fill = event.fill;
                }
            }
        }
        order.filled = order.filled.max(event.filled).max(order.traded);
        // The venue may make an order smaller than it was asked for (reduce-only).
        let newest = event.venue_time >= order.as_of;
        if newest
            && !event.qty.is_zero()
            && matches!(event.kind, Kind::Accepted | Kind::Amended | Kind::Open | Kind::Fill)
        {
            order.qty = event.qty;
        }
        order.as_of = order.as_of.max(event.venue_time);
        if event.venue_id != 0 {
            order.venue_id = event.venue_id;
        }
        if event.code != 0 {
            order.code = event.code;
        }
        let answered = |order: &mut Order, kind: CommandKind| {
            if order.asked == Some(kind) {
                order.asked = None;
            }
        };
        let standing = match event.kind {
            Kind::Accepted => {
                answered(order, CommandKind::New);
                Some(Standing::Live)
            }
            Kind::Amended | Kind::Open => {
                if newest && !event.price.is_zero() {
                    order.price = event.price;
                }
                order.asked = None;
                Some(Standing::Live)
            }
            Kind::AmendRejected | Kind::CancelRejected => {
                order.asked = None;
                None
            }
            Kind::Fill => {
                let done = !order.qty.is_zero() && order.filled >= order.qty;
                Some(if done { Standing::Filled } else { Standing::Live })
            }
            Kind::Canceled => Some(Standing::Canceled),
            Kind::Expired => Some(Standing::Expired),
            Kind::Rejected => Some(Standing::Rejected),
            Kind::NotFound => Some(Standing::NotFound),
            Kind::Closed => Some(Standing::Closed),
            Kind::Unknown => Some(Standing::Unknown),
            Kind::NotSent if matches!(order.asked, Some(CommandKind::New | CommandKind::Market)) => {
                Some(Standing::NotSent)
            }
            Kind::NotSent => {
                order.asked = None;
                None
            }
        };
        // The end of an order is final, whatever comes late.
        if let Some(standing) = standing.filter(|_| order.standing.is_open()) {
            order.standing = standing;
        }
        if !order.standing.is_open() {
            order.asked = None;
        }
    }

    fn account(&mut self, event: &AccountEvent, time: Nanos) {
        match *event {
            AccountEvent::Position { instrument, side, qty, entry, .. } => {
                self.positions.insert((instrument, side as u8), VenuePosition { qty, entry, time });
            }
            AccountEvent::Balance { wallet, available } => {
                let balance = Balance { wallet, available, time };
                self.first_balance.get_or_insert(balance);
                self.balance = Some(balance);
            }
            AccountEvent::Funding { amount, .. } => self.funding += amount,
            _ => {}
        }
    }
}

/// The position side of a code in [`Ledger::positions`].
pub const fn position_side(code: u8) -> PositionSide {
    match code {
        1 => PositionSide::Long,
        2 => PositionSide::Short,
        _ => PositionSide::Net,
    }
}
