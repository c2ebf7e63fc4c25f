//! A session in this process and in virtual time: a market, the exchange over it, and the maker as the engine would drive it.
#![allow(dead_code, reason = "each test binary uses its part")]

use spinquote::event::{
    AccountEvent, ClientId, Command, CommandKind, DepthSnapshot, Event, Fill, Link, LinkState, MarkPrice, Operator,
    OrderEventKind, Side,
};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::maker::recipe::{InstrumentRecipe, Recipe, StrategyKind, StrategyText, WatchedRecipe};
use spinquote::maker::strategy::{Cadence, Cause, Purpose};
use spinquote::maker::{Decision, DecisionKind, Maker, MakerConfig, Output, RiskLimits, Source, Status};
use spinquote::sim::account::{EntryKind, in_venue_places};
use spinquote::sim::embedded::{Answer, Embedded};
use spinquote::sim::exchange::Exchange;
use spinquote::sim::latency::{Delays, Latency};
use spinquote::sim::market::MarketSource;
use spinquote::sim::order::{AccountId, Order, Request};
use spinquote::sim::queue::QueueModel;
use spinquote::unit::{Lots, Money, Nanos, Rate, Ticks};
use spinquote::venue::binance::usdm::client_id::Prefix;
use std::collections::HashMap;

pub const ID: InstrumentId = InstrumentId(0);
const SOURCE: InstrumentId = InstrumentId(1);
const ACCOUNT: AccountId = AccountId(0);
const TIMER: Nanos = Nanos::from_millis(100);
const UNDER_WAY_TIME: Nanos = Nanos::from_millis(2);
const UNDER_WAY: Latency = Latency::Constant(UNDER_WAY_TIME);

/// What is played, and with which account.
pub struct Plan<'a> {
    pub market: Box<dyn MarketSource + Send>,
    pub kind: StrategyKind,
    /// Name and text of the settings file.
    pub file: (&'a str, &'a str),
    pub cadence: Cadence,
    pub leverage: u32,
    pub hedge: bool,
    pub deposit: &'a str,
    pub lasts: Nanos,
}

/// One execution of ours, with why its order existed.
#[derive(Clone, Copy, Debug)]
pub struct Executed {
    pub at: Nanos,
    pub side: Side,
    pub purpose: Purpose,
    pub fill: Fill,
}

/// A decision, with the touch that it was made on.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    pub at: Nanos,
    pub what: Decision,
    pub touch: [Ticks; 2],
}

/// A session that has ended.
pub struct Played {
    pub terms: Instrument,
    pub status: Status,
    pub fills: Vec<Executed>,
    pub funding: Vec<(Nanos, Money)>,
    pub decisions: Vec<Decided>,
    /// Mark prices with funding, and when they were told.
    pub marks: Vec<(Nanos, MarkPrice)>,
    pub venue: Embedded,
    pub started: Nanos,
    pub ended: Nanos,
}

/// Limits that stand in nobody's way, but for a band that lets an order at market reach half a percent through the touch.
pub fn limits() -> RiskLimits {
    RiskLimits {
        position_max: Lots(1_000_000),
        order_qty_max: Lots(1_000_000),
        order_notional_max: Money::parse(b"100000000").unwrap(),
        price_band: Rate::parse(b"0.1").unwrap(),
        orders_max: 1_000,
        messages_max: 2_000,
        cancel_headroom: 100,
        interval: Nanos::from_secs(1),
        loss_max: Money::ZERO,
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    }
}

/// What a watcher sees after every step.
pub struct Watched<'a> {
    pub now: Nanos,
    pub limits: &'a RiskLimits,
    pub status: Status,
    pub commands: &'a [Command],
    /// Our orders that are open at the venue.
    pub open: Vec<&'a Order>,
}

/// A step that concerns our orders, looked at.
pub type Watch = fn(&Watched<'_>);

struct Table {
    watch: Option<Watch>,
    limits: RiskLimits,
    /// Our orders or fills may have changed since the last look.
    stirred: bool,
    maker: Maker,
    venue: Embedded,
    out: Output,
    fills: Vec<Executed>,
    funding: Vec<(Nanos, Money)>,
    decisions: Vec<Decided>,
    marks: Vec<(Nanos, MarkPrice)>,
    purposes: HashMap<ClientId, Purpose>,
    wants_snapshot: Vec<InstrumentId>,
}

impl Table {
    fn step(&mut self, now: Nanos, event: &Event<'_>) {
        self.maker.step(now, event, &mut self.out);
        assert_eq!(self.out.decisions_lost, 0, "decisions found no room at {now:?}");
        for &decision in &self.out.decisions {
            if decision.kind == DecisionKind::Placed {
                self.purposes.insert(decision.client_id, decision.purpose);
            }
            if decision.kind != DecisionKind::Kept {
                let touch = self.maker.status(ID).best.map(|level| level.unwrap_or_default().price);
                self.decisions.push(Decided { at: now, what: decision, touch });
            }
        }
        for command in &self.out.commands {
            match command.kind {
                CommandKind::Snapshot => self.wants_snapshot.push(command.instrument),
                _ => self.venue.submit(now, command),
            }
        }
        let stirred = std::mem::take(&mut self.stirred) || !self.out.commands.is_empty();
        if let (Some(watch), true) = (self.watch, stirred) {
            let open = self.venue.exchange().orders().open(ACCOUNT).collect();
            let (status, commands) = (self.maker.status(ID), &self.out.commands);
            watch(&Watched { now, limits: &self.limits, status, commands, open });
        }
    }

    /// Time passes at the venue; what comes back goes to the maker.
    fn advance(&mut self, now: Nanos) {
        let mut answers = Vec::new();
        self.venue.advance(now, |at, answer| answers.push((at, *answer)));
        self.stirred |= !answers.is_empty();
        for (at, answer) in answers {
            match answer {
                Answer::Order(order) if order.kind == OrderEventKind::Fill => {
                    let purpose = self.purposes[&order.client_id];
                    self.fills.push(Executed { at, side: order.side, purpose, fill: order.fill });
                }
                Answer::Account(AccountEvent::Funding { amount, .. }) => self.funding.push((at, amount)),
                _ => {}
            }
            self.step(at, &answer.event());
        }
    }

    fn snapshot(&mut self, now: Nanos, market: &dyn MarketSource) {
        for instrument in std::mem::take(&mut self.wants_snapshot) {
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            let last = market.snapshot(1_000, &mut bids, &mut asks);
            let snapshot = DepthSnapshot { instrument, last, venue_time: now, bids: &bids, asks: &asks };
            self.step(now, &Event::Snapshot(snapshot));
        }
    }
}

/// Plays it to its end, stops in order, and holds the books of both sides against each other.
pub fn play(plan: Plan<'_>) -> Played {
    play_with(plan, limits(), None, false)
}

/// The same with the market as its own price source besides: a watched instrument that shows what the traded one does.
pub fn play_beside_its_source(plan: Plan<'_>) -> Played {
    play_with(plan, limits(), None, true)
}

/// The same within `limits`, watched.
pub fn play_watched(plan: Plan<'_>, limits: RiskLimits, watch: Watch) -> Played {
    play_with(plan, limits, Some(watch), false)
}

fn play_with(plan: Plan<'_>, limits: RiskLimits, watch: Option<Watch>, sourced: bool) -> Played {
    let Plan { mut market, kind, file, cadence, leverage, hedge, deposit, lasts } = plan;
    let terms = market.instrument().clone();
    let started = market.due().unwrap().expect("a market with an event");
    let mut exchange = Exchange::new(vec![terms.clone()], 1, QueueModel::RiskAverse);
    exchange.open_account(started, Money::parse(deposit.as_bytes()).unwrap());
    let mut settings = vec![Request::Leverage { instrument: ID, leverage }];
    settings.extend(hedge.then_some(Request::PositionMode { hedge }));
    for request in settings {
        exchange.request(started, ACCOUNT, &request).unwrap();
    }
    let strategy = StrategyText { kind, file: file.0.to_owned(), text: file.1.to_owned() };
    let source = Source::Market { instrument: SOURCE, stale_after: Nanos::from_secs(3) };
    let part = InstrumentRecipe { instrument: terms.clone(), strategy, cadence, source: sourced.then_some(source) };
    let watched = if sourced {
        vec![WatchedRecipe { instrument: terms.clone(), product: "binance_spot".to_owned() }]
    } else {
        Vec::new()
    };
    let recipe = Recipe { config: MakerConfig::new(7, limits), instruments: vec![part], watched };
    let mut table = Table {
        watch,
        limits,
        stirred: false,
        maker: recipe.build().unwrap_or_else(|error| panic!("{}: {error}", file.0)),
        venue: Embedded::new(exchange, ACCOUNT, Prefix::new("sq").unwrap(), Delays::both(UNDER_WAY, UNDER_WAY), 1),
        out: Output::default(),
        fills: Vec::new(),
        funding: Vec::new(),
        decisions: Vec::new(),
        marks: Vec::new(),
        purposes: HashMap::new(),
        wants_snapshot: Vec::new(),
    };
    if sourced {
        table.step(started, &Event::Link { instrument: SOURCE, link: Link::Market, state: LinkState::Up });
    }
    for link in [Link::Market, Link::Private, Link::OrderEntry] {
        table.step(started, &Event::Link { instrument: ID, link, state: LinkState::Up });
    }
    let (end, mut timer, mut now) = (started + lasts, started, started);
    let mut stopping = false;
    // A recording that is shorter ends the session; the stop takes a second.
    while let Some(due) = market.due().unwrap().filter(|due| *due <= end + Nanos::from_secs(1)) {
        now = due.min(timer).min(table.venue.next_due()).max(now);
        if now > end && !std::mem::replace(&mut stopping, true) {
            table.step(now, &Event::Operator(Operator::Stop));
        }
        table.advance(now);
        if timer <= now {
            table.step(now, &Event::Timer);
            timer = now + TIMER;
        } else if due <= now {
            let kind = market.next().unwrap().expect("just seen").kind;
            if sourced {
                table.step(now, &kind.event(SOURCE));
            }
            let event = kind.event(ID);
            if let Event::Mark(mark) = event {
                table.marks.push((now, mark));
            }
            table.venue.market(now, &event);
            table.step(now, &event);
        }
        table.snapshot(now, market.as_ref());
    }
    if !stopping {
        table.step(now, &Event::Operator(Operator::Stop));
        for _ in 0..10 {
            now += TIMER;
            table.advance(now);
            table.step(now, &Event::Timer);
        }
    }
    let status = table.maker.status(ID);
    let Table { fills, funding, decisions, marks, venue, .. } = table;
    let played = Played { terms, status, fills, funding, decisions, marks, venue, started, ended: now };
    played.books_agree();
    played
}

impl Played {
    /// Positions, money and executions are the venue's, exactly; nothing of ours is left there.
    fn books_agree(&self) {
        let (exchange, pnl) = (self.venue.exchange(), &self.status.pnl);
        let account = exchange.account(ACCOUNT);
        let (ledger, holding) = (account.ledger(), account.holding(ID));
        assert_eq!(exchange.orders().open(ACCOUNT).count(), 0, "orders are left");
        let counters = &self.status.counters;
        assert_eq!([counters.unknown, counters.corrections, counters.strays], [0; 3], "{counters:?}");
        assert_eq!(exchange.orders().trades(ACCOUNT).count(), self.fills.len(), "executions");
        let [net, long, short] = holding.positions.map(|position| position.qty);
        assert_eq!((self.status.position, self.status.legs), (net + long + short, [long, short]));
        assert_eq!(pnl.fees, -ledger.sum(EntryKind::Fee));
        assert_eq!(pnl.funding, ledger.sum(EntryKind::Funding));
        let open = |sum: Money, position: &spinquote::sim::account::Position| {
            sum + position.unrealized(&self.terms, self.status.mid)
        };
        let unrealized = holding.positions.iter().fold(Money::ZERO, open);
        assert_eq!(pnl.total(), ledger.profit() + unrealized, "to the last digit: {pnl:?}");
        // What a partial close realises the venue books with eight places and keeps the rest in the entry price.
        let rounding = Money(self.fills.len() as i128 * 10_i128.pow(10));
        let off = (pnl.trading() - ledger.sum(EntryKind::Trade)).abs();
        assert!(off <= rounding, "{:?} {:?}", pnl.trading(), ledger.sum(EntryKind::Trade));
        assert_eq!((pnl.mark_to_market - unrealized).abs(), off);
    }

    /// Executions for a purpose.
    pub fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Executed> {
        self.fills.iter().filter(move |fill| fill.purpose == purpose)
    }

    /// Decisions of a kind with a cause, in order.
    pub fn decided(&self, kind: DecisionKind, cause: Cause) -> impl Iterator<Item = &Decided> {
        self.decisions.iter().filter(move |decided| (decided.what.kind, decided.what.cause) == (kind, cause))
    }

    /// Net position and its average entry price in ticks as counted from the executions up to and with `at`: the naive twin of
    /// the maker's own count, for one-way mode.
    pub fn held_at(&self, at: Nanos) -> (i64, f64) {
        let (mut held, mut entry) = (0_i64, 0.0);
        for fill in self.fills.iter().take_while(|fill| fill.at <= at) {
            let signed = fill.fill.qty.0 * fill.side.sign();
            let after = held + signed;
            if held.signum() * signed.signum() >= 0 {
                entry =
                    (entry * held.abs() as f64 + fill.fill.price.0 as f64 * signed.abs() as f64) / after.abs() as f64;
            } else if after.signum() != held.signum() {
                entry = fill.fill.price.0 as f64;
            }
            held = after;
        }
        (held, entry)
    }

    /// What funding that was heard of at `heard` must have been: on the position before it, at the last mark and rate before it.
    pub fn funding_due(&self, heard: Nanos) -> Money {
        let at = heard - UNDER_WAY_TIME;
        let (_, mark) = self.marks.iter().rfind(|(told, _)| *told < at).expect("a mark before funding");
        let trades = self.venue.exchange().orders().trades(ACCOUNT).filter(|trade| trade.time < at);
        let amount = trades
            .map(|trade| self.terms.notional_at(mark.mark, Lots(trade.qty.0 * trade.side.sign())))
            .fold(Money::ZERO, |sum, value| sum - value);
        in_venue_places(amount.times(mark.funding_rate))
    }

    /// Largest position held, and how often it was closed or turned.
    pub fn round_trips(&self) -> (Lots, usize) {
        let (mut held, mut largest, mut closed) = (0_i64, 0, 0);
        for fill in &self.fills {
            let before = held;
            held += fill.fill.qty.0 * fill.side.sign();
            largest = largest.max(held.abs());
            closed += usize::from(before != 0 && before.signum() != held.signum());
        }
        (Lots(largest), closed)
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let (largest, trips) = self.round_trips();
        let of = |purpose| self.of(purpose).count();
        format!(
            "{:.0} s: {} fills ({} entries, {} take-profits, {} stops), largest position {} lots, flat again {trips} times; \
             trading {}, mark to market {}, fees {}, funding {}, total {}",
            (self.ended - self.started).as_millis() as f64 / 1e3,
            self.fills.len(),
            of(Purpose::Entry),
            of(Purpose::TakeProfit),
            of(Purpose::StopLoss),
            largest.0,
            self.status.pnl.trading(),
            self.status.pnl.mark_to_market,
            self.status.pnl.fees,
            self.status.pnl.funding,
            self.status.pnl.total(),
        )
    }
}
