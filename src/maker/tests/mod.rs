//! Scripts: events in, commands out as text. One rig for all of them.

mod faults;
mod operator;
mod quoting;
mod reprice;
mod sources;
mod standing;
mod venue;

use super::strategy::{Cadence, Cause, OwnEvent, Plan, Purpose, Quote, Strategy, View};
use super::*;
use crate::event::{
    ClientId, CommandKind, DepthSnapshot, DepthUpdate, Fill, Level, LinkState, OrderEvent, OrderEventKind, OrderSource,
    PositionSide, Side, TimeInForce,
};
use crate::instrument::Instrument;
use crate::unit::{Lots, Nanos, Price, Rate, Seq, Ticks};
use std::sync::{Arc, Mutex};

pub(super) const ID: InstrumentId = InstrumentId(0);
pub(super) const RUN: u32 = 7;

pub(super) fn limits() -> RiskLimits {
    RiskLimits {
        position_max: Lots(100),
        order_qty_max: Lots(50),
        order_notional_max: Money::parse(b"1000000").unwrap(),
        price_band: Rate::parse(b"0.1").unwrap(),
        orders_max: 1000,
        messages_max: 2000,
        cancel_headroom: 100,
        interval: Nanos::from_secs(10),
        loss_max: Money::ZERO,
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    }
}

pub(super) fn quote(side: Side, price: i64, qty: i64) -> Quote {
    Quote {
        side,
        position_side: PositionSide::Net,
        purpose: Purpose::Entry,
        level: 0,
        price: Ticks(price),
        qty: Lots(qty),
        tif: TimeInForce::PostOnly,
        reduce_only: false,
    }
}

/// What the test wants quoted, and what the strategy was told.
#[derive(Default)]
pub(super) struct Desire {
    pub(super) quotes: Vec<Quote>,
    pub(super) told: Vec<String>,
    pub(super) decided: u32,
    widen: Rate,
}

/// Quotes exactly what is desired: keeps what matches, cancels the rest, places what is missing.
struct Wanting(Arc<Mutex<Desire>>);

impl Strategy for Wanting {
    fn start(&mut self, _: Nanos, _: &mut Plan) {}

    fn on_own(&mut self, _: Nanos, event: &OwnEvent) {
        self.0.lock().unwrap().told.push(match event {
            OwnEvent::Filled { order, qty, complete, .. } => {
                format!("filled {} {}{}", order.id.seq, qty.0, if *complete { " complete" } else { "" })
            }
            OwnEvent::Gone { order, rejected } => {
                format!("gone {}{}", order.id.seq, if *rejected { " rejected" } else { "" })
            }
            OwnEvent::PositionMode { hedge, .. } => format!("hedge {hedge}"),
        });
    }

    fn decide(&mut self, view: &View<'_>, plan: &mut Plan) {
        let mut desire = self.0.lock().unwrap();
        desire.decided += 1;
        desire.widen = view.widen;
        let mut missing = desire.quotes.clone();
        for order in view.orders {
            let same = missing
                .iter()
                .position(|q| (q.side, q.price, q.qty) == (order.side, order.price, order.qty - order.filled));
            match same {
                Some(at) if order.cancel_sent.is_none() => drop(missing.remove(at)),
                _ => plan.cancel.push((order.id, Cause::Refresh)),
            }
        }
        plan.place.extend(missing.into_iter().map(|quote| (quote, Cause::Refresh)));
    }

    fn next_timer(&self) -> Nanos {
        Nanos::MAX
    }
}

pub(super) struct Rig {
    pub(super) maker: Maker,
    pub(super) out: Output,
    pub(super) now: Nanos,
    pub(super) desire: Arc<Mutex<Desire>>,
    /// The venue's clock minus ours, in the book's data.
    pub(super) lead: Nanos,
    update: u64,
}

impl Rig {
    pub(super) fn new(config: MakerConfig) -> Self {
        Self::with_cadence(config, Cadence::EveryEvent)
    }

    pub(super) fn with_cadence(config: MakerConfig, cadence: Cadence) -> Self {
        let desire = Arc::new(Mutex::new(Desire::default()));
        let mut instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        instrument.notional_min = Money::ZERO;
        let setup = InstrumentSetup { instrument, strategy: Box::new(Wanting(desire.clone())), cadence, source: None };
        let now = Nanos::from_secs(1_000);
        Self {
            maker: Maker::new(config, vec![setup]),
            out: Output::default(),
            now,
            desire,
            lead: Nanos::ZERO,
            update: 10,
        }
    }

    /// Links up, reconciled and flat, book in sync at 1000 / 1010; nothing wanted yet.
    pub(super) fn ready(config: MakerConfig) -> Self {
        let mut rig = Self::new(config);
        rig.link(Link::Private, LinkState::Up);
        assert_eq!(rig.link(Link::OrderEntry, LinkState::Up), ["reconcile"]);
        assert!(rig.reconciled(0, &[]).is_empty());
        rig.sync_book();
        assert!(rig.status().blocks.is_empty(), "{:?}", rig.status().blocks);
        rig
    }

    /// [`Rig::ready`] with a resting bid 1 at 1000 x 5 and ask 2 at 1010 x 5.
    pub(super) fn quoting(config: MakerConfig) -> Self {
        let mut rig = Self::ready(config);
        assert_eq!(rig.want(&[(Side::Buy, 1000, 5), (Side::Sell, 1010, 5)]), ["new 1 buy 1000x5", "new 2 sell 1010x5"]);
        for seq in [1, 2] {
            assert!(rig.say(OrderEventKind::Accepted, seq).is_empty());
        }
        rig
    }

    pub(super) fn config() -> MakerConfig {
        MakerConfig::new(RUN, limits())
    }

    pub(super) fn step(&mut self, event: &Event<'_>) -> Vec<String> {
        self.maker.step(self.now, event, &mut self.out);
        self.out
            .commands
            .iter()
            .map(|c| {
                let (seq, terms) = (c.client_id.seq, format!("{}x{}", c.price.0, c.qty.0));
                let side = if c.side == Side::Buy { "buy" } else { "sell" };
                match c.kind {
                    CommandKind::New => format!("new {seq} {side} {terms}"),
                    CommandKind::Amend => format!("amend {seq} {terms}"),
                    CommandKind::Cancel => format!("cancel {seq}"),
                    CommandKind::Query => format!("query {seq}"),
                    CommandKind::CancelAll => "cancel all".to_owned(),
                    CommandKind::Reconcile => "reconcile".to_owned(),
                    CommandKind::Market => format!("market {seq} {side} {}", c.qty.0),
                    CommandKind::Snapshot => "snapshot".to_owned(),
                    CommandKind::SyncTime => "sync time".to_owned(),
                }
            })
            .collect()
    }

    pub(super) fn pass(&mut self, span: Nanos) -> Vec<String> {
        self.now += span;
        self.step(&Event::Timer)
    }

    pub(super) fn pass_ms(&mut self, ms: i64) -> Vec<String> {
        self.pass(Nanos::from_millis(ms))
    }

    pub(super) fn link(&mut self, link: Link, state: LinkState) -> Vec<String> {
        self.step(&Event::Link { instrument: ID, link, state })
    }

    /// A diff that sets these levels (quantity 0 deletes).
    pub(super) fn depth(&mut self, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Vec<String> {
        let level = |&(price, qty): &(i64, i64)| Level { price: Ticks(price), qty: Lots(qty) };
        let (bids, asks): (Vec<_>, Vec<_>) = (bids.iter().map(level).collect(), asks.iter().map(level).collect());
        let prev = Seq(self.update);
        self.update += 1;
        let last = Seq(self.update);
        let venue_time = self.now + self.lead;
        self.step(&Event::Depth(DepthUpdate {
            instrument: ID,
            first: last,
            last,
            prev,
            venue_time,
            bids: &bids,
            asks: &asks,
        }))
    }

    /// Loses one update.
    pub(super) fn skip(&mut self) {
        self.update += 1;
    }

    pub(super) fn snapshot(&mut self) -> Vec<String> {
        let bids = [Level { price: Ticks(1000), qty: Lots(9) }, Level { price: Ticks(990), qty: Lots(9) }];
        let asks = [Level { price: Ticks(1010), qty: Lots(9) }, Level { price: Ticks(1020), qty: Lots(9) }];
        let (last, venue_time) = (Seq(self.update), self.now + self.lead);
        self.step(&Event::Snapshot(DepthSnapshot { instrument: ID, last, venue_time, bids: &bids, asks: &asks }))
    }

    pub(super) fn sync_book(&mut self) {
        self.link(Link::Market, LinkState::Up);
        assert_eq!(self.depth(&[], &[]), ["snapshot"]);
        self.snapshot();
    }

    /// Sets what is wanted and lets a diff wake the strategy.
    pub(super) fn want(&mut self, quotes: &[(Side, i64, i64)]) -> Vec<String> {
        self.desire.lock().unwrap().quotes = quotes.iter().map(|&(side, price, qty)| quote(side, price, qty)).collect();
        self.depth(&[], &[])
    }

    pub(super) fn order(&self, kind: OrderEventKind, seq: u32) -> OrderEvent {
        let source = match kind {
            OrderEventKind::Open | OrderEventKind::Closed | OrderEventKind::NotFound => OrderSource::Query,
            OrderEventKind::Unknown | OrderEventKind::NotSent => OrderSource::Engine,
            _ => OrderSource::Stream,
        };
        let slot = self.maker.desks[0]
            .table
            .find(ClientId { run: RUN, seq })
            .map(|place| *self.maker.desks[0].table.at(place));
        OrderEvent {
            kind,
            source,
            side: slot.map_or(Side::Buy, |slot| slot.side),
            position_side: PositionSide::Net,
            tif: TimeInForce::PostOnly,
            reduce_only: false,
            instrument: ID,
            generation: 0,
            code: 0,
            client_id: ClientId { run: RUN, seq },
            venue_id: 0,
            price: Ticks(0),
            qty: Lots(0),
            filled: Lots(0),
            fill: Fill::default(),
            venue_time: Nanos(0),
        }
    }

    pub(super) fn say(&mut self, kind: OrderEventKind, seq: u32) -> Vec<String> {
        let event = self.order(kind, seq);
        self.step(&Event::Order(event))
    }

    /// The amend under way was carried out.
    pub(super) fn amended(&mut self, seq: u32, price: i64, qty: i64) -> Vec<String> {
        let event = OrderEvent { price: Ticks(price), qty: Lots(qty), ..self.order(OrderEventKind::Amended, seq) };
        self.step(&Event::Order(event))
    }

    /// An execution as `ORDER_TRADE_UPDATE` tells it: cumulative figure and fee.
    pub(super) fn full_fill(
        &mut self,
        seq: u32,
        trade_id: u64,
        price: i64,
        qty: i64,
        filled: i64,
        total: i64,
    ) -> Vec<String> {
        let fee = Money::parse(b"0.01").unwrap();
        let fill = Fill { trade_id, price: Ticks(price), qty: Lots(qty), fee, fee_known: true, maker: true };
        let order = self.order(OrderEventKind::Fill, seq);
        let event = OrderEvent { fill, filled: Lots(filled), qty: Lots(total), ..order };
        self.step(&Event::Order(event))
    }

    /// An execution as `TRADE_LITE` tells it.
    pub(super) fn lite_fill(&mut self, seq: u32, trade_id: u64, price: i64, qty: i64) -> Vec<String> {
        let fill =
            Fill { trade_id, price: Ticks(price), qty: Lots(qty), fee: Money::ZERO, fee_known: false, maker: true };
        let event = OrderEvent { fill, ..self.order(OrderEventKind::Fill, seq) };
        self.step(&Event::Order(event))
    }

    pub(super) fn position(&mut self, qty: i64, snapshot: bool) -> Vec<String> {
        let (side, entry) = (PositionSide::Net, Price(0));
        let venue_time = Nanos::ZERO;
        let qty = Lots(qty);
        self.step(&Event::Account(AccountEvent::Position { instrument: ID, side, qty, entry, snapshot, venue_time }))
    }

    /// The whole answer to a reconciliation; returns the commands of all its steps.
    pub(super) fn reconciled(&mut self, position: i64, open: &[OrderEvent]) -> Vec<String> {
        let mut commands = self.step(&Event::Account(AccountEvent::ReconcileBegin));
        for order in open {
            commands.extend(self.step(&Event::Order(*order)));
        }
        commands.extend(self.position(position, true));
        commands.extend(self.step(&Event::Account(AccountEvent::ReconcileEnd)));
        commands
    }

    pub(super) fn status(&self) -> Status {
        self.maker.status(ID)
    }

    /// What the strategy was last told to multiply its spreads with.
    pub(super) fn widened(&self) -> Rate {
        self.desire.lock().unwrap().widen
    }

    pub(super) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.desire.lock().unwrap().told)
    }

    pub(super) fn noted(&self) -> Vec<DecisionKind> {
        self.out.decisions.iter().map(|decision| decision.kind).collect()
    }
}
