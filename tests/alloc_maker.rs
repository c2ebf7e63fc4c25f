//! The core takes all its memory at construction, and the same events give the same commands.

#[path = "support/alloc.rs"]
mod alloc;

use alloc::{Counting, allocations};
use spinquote::event::{
    AccountEvent, Command, CommandKind, DepthSnapshot, DepthUpdate, Event, Fill, Level, Link, LinkState, OrderEvent,
    OrderEventKind, OrderSource, PositionSide, Side, TimeInForce,
};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::maker::strategy::{Cadence, Cause, OwnEvent, Plan, Purpose, Quote, Strategy, View};
use spinquote::maker::{Counters, InstrumentSetup, Maker, MakerConfig, Output, RiskLimits};
use spinquote::unit::{Lots, Money, Nanos, Price, Rate, Seq, Ticks};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ID: InstrumentId = InstrumentId(0);

/// Five quotes a side behind the touch, moved with it.
struct Five;

impl Strategy for Five {
    fn start(&mut self, _: Nanos, _: &mut Plan) {}
    fn on_own(&mut self, _: Nanos, _: &OwnEvent) {}
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan) {
        for side in [Side::Buy, Side::Sell] {
            let Some(best) = view.book.best(side) else { continue };
            for level in 0..5_u8 {
                let price = Ticks(best.price.0 - i64::from(level) * side.sign());
                let known = view.orders.iter().find(|order| (order.side, order.level) == (side, level));
                if known.is_some_and(|order| order.price == price) {
                    continue;
                }
                if let Some(order) = known {
                    plan.cancel.push((order.id, Cause::Reprice));
                }
                let quote = Quote {
                    side,
                    position_side: PositionSide::Net,
                    purpose: Purpose::Entry,
                    level,
                    price,
                    qty: Lots(10),
                    tif: TimeInForce::PostOnly,
                    reduce_only: false,
                };
                plan.place.push((quote, Cause::Reprice));
            }
        }
    }
    fn next_timer(&self) -> Nanos {
        Nanos::MAX
    }
}

struct Run {
    maker: Maker,
    out: Output,
    now: Nanos,
    update: u64,
    trades: u64,
    /// Commands not yet answered.
    open: Vec<Command>,
    checksum: u64,
}

impl Run {
    fn new() -> Self {
        let mut instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        instrument.notional_min = Money::ZERO;
        let limits = RiskLimits {
            position_max: Lots(5_000),
            order_qty_max: Lots(100),
            order_notional_max: Money::parse(b"1000000").unwrap(),
            price_band: Rate::parse(b"0.1").unwrap(),
            orders_max: 100_000,
            messages_max: 100_000,
            cancel_headroom: 100,
            interval: Nanos::from_secs(10),
            loss_max: Money::ZERO,
            data_age_max: Nanos::ZERO,
            skew_max: Nanos::ZERO,
        };
        let setup =
            InstrumentSetup { instrument, strategy: Box::new(Five), cadence: Cadence::EveryEvent, source: None };
        let mut run = Self {
            maker: Maker::new(MakerConfig::new(1, limits), vec![setup]),
            out: Output::default(),
            now: Nanos::from_secs(1_000),
            update: 0,
            trades: 0,
            open: Vec::with_capacity(1024),
            checksum: 0,
        };
        for link in [Link::Market, Link::Private, Link::OrderEntry] {
            run.step(&Event::Link { instrument: ID, link, state: LinkState::Up });
        }
        for event in [AccountEvent::ReconcileBegin, AccountEvent::ReconcileEnd] {
            run.step(&Event::Account(event));
        }
        run.depth(&[], &[]);
        run.snapshot(600_000);
        run
    }

    fn step(&mut self, event: &Event<'_>) {
        self.now += Nanos::from_micros(200);
        self.maker.step(self.now, event, &mut self.out);
        for command in &self.out.commands {
            self.open.push(*command);
            let words = [command.kind as u64, command.client_id.seq.into(), command.price.0.cast_unsigned()];
            for word in words {
                self.checksum = (self.checksum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
            }
        }
        for decision in &self.out.decisions {
            self.checksum ^= u64::from_le_bytes(decision.to_bytes()[48..56].try_into().unwrap());
        }
    }

    fn depth(&mut self, bids: &[Level], asks: &[Level]) {
        let prev = Seq(self.update);
        self.update += 1;
        let (first, last) = (Seq(self.update), Seq(self.update));
        let venue_time = self.now;
        self.step(&Event::Depth(DepthUpdate { instrument: ID, first, last, prev, venue_time, bids, asks }));
    }

    fn snapshot(&mut self, top: i64) {
        let bids = [Level { price: Ticks(top), qty: Lots(5) }, Level { price: Ticks(top - 1), qty: Lots(5) }];
        let asks = [Level { price: Ticks(top + 1), qty: Lots(5) }, Level { price: Ticks(top + 2), qty: Lots(5) }];
        let (last, venue_time) = (Seq(self.update), self.now);
        self.step(&Event::Snapshot(DepthSnapshot { instrument: ID, last, venue_time, bids: &bids, asks: &asks }));
    }

    /// Answers everything asked; the first order of a batch is partly executed, the fourth refused.
    fn answer(&mut self) {
        let mut at = 0;
        while at < self.open.len() {
            let command = self.open[at];
            if command.kind == CommandKind::Snapshot {
                at += 1;
                continue;
            }
            let kind = match command.kind {
                CommandKind::New if at == 3 => OrderEventKind::Rejected,
                CommandKind::New => OrderEventKind::Accepted,
                CommandKind::Amend => OrderEventKind::Amended,
                CommandKind::Cancel => OrderEventKind::Canceled,
                _ => OrderEventKind::NotFound,
            };
            let event = OrderEvent {
                kind,
                source: OrderSource::Response,
                side: command.side,
                position_side: command.position_side,
                tif: command.tif,
                reduce_only: false,
                instrument: ID,
                generation: command.generation,
                code: 0,
                client_id: command.client_id,
                venue_id: 1,
                price: command.price,
                qty: command.qty,
                filled: Lots(0),
                fill: Fill::default(),
                venue_time: self.now,
            };
            self.step(&Event::Order(event));
            if at == 0 && command.kind != CommandKind::Cancel {
                self.trades += 1;
                let fill = Fill {
                    trade_id: self.trades,
                    price: command.price,
                    qty: Lots(3),
                    fee: Money(1),
                    fee_known: true,
                    maker: true,
                };
                let filled = OrderEvent { kind: OrderEventKind::Fill, generation: 0, qty: Lots(0), fill, ..event };
                self.step(&Event::Order(filled));
            }
            at += 1;
        }
        self.open.clear();
    }

    fn play(&mut self, turns: i64) {
        for turn in 0..turns {
            self.now += Nanos::from_millis(10);
            // The touch walks down and up by a tick.
            let top = 600_000 - (turn % 20 - 10).abs();
            let bids = [-1, 0, 1].map(|at| Level { price: Ticks(top + at), qty: Lots(if at > 0 { 0 } else { 5 }) });
            let asks = [0, 1, 2].map(|at| Level { price: Ticks(top + at), qty: Lots(if at < 1 { 0 } else { 5 }) });
            self.depth(&bids, &asks);
            self.answer();
            if turn % 50 == 49 {
                // A gap and the way back.
                self.update += 1;
                self.depth(&[], &[]);
                self.answer();
                self.snapshot(top);
            }
            self.step(&Event::Account(AccountEvent::Position {
                instrument: ID,
                side: PositionSide::Net,
                qty: self.maker.status(ID).position,
                entry: Price(0),
                snapshot: false,
                venue_time: self.now,
            }));
            self.step(&Event::Timer);
        }
    }

    fn counters(&self) -> Counters {
        self.maker.status(ID).counters
    }
}

#[test]
fn no_allocation_after_construction_and_the_same_events_give_the_same_commands() {
    let (mut first, mut second) = (Run::new(), Run::new());
    assert_eq!(allocations(|| first.play(2_000)), 0);
    second.play(2_000);
    assert_eq!((first.checksum, first.counters()), (second.checksum, second.counters()));
    let counters = first.counters();
    for (what, count, least) in [
        ("new", counters.new, 500),
        ("amend", counters.amend, 2_000),
        ("cancel", counters.cancel, 100),
        ("fills", counters.fills_buy + counters.fills_sell, 500),
        ("rejected", counters.rejected, 20),
        ("gaps", counters.gaps, 40),
    ] {
        assert!(count >= least, "{what}: {count}, so little was tried: {counters:?}");
    }
}
