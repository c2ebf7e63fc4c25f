//! The exchange in the same process, for paper trading and backtests: commands in, events out, both after a modelled time under way.
//! No clock, no I/O; per direction nothing overtakes, as on one connection.

use crate::event::{
    AccountEvent, ClientId, Command, CommandKind, Event, Fill, OrderEvent, OrderEventKind, OrderSource, PositionSide,
    TimeInForce,
};
use crate::instrument::InstrumentId;
use crate::sim::account::POSITION_SIDES;
use crate::sim::exchange::Exchange;
use crate::sim::latency::{Delays, Dice};
use crate::sim::order::{
    AccountId, AccountReason, Execution, NewOrder, Notice, Order, OrderRef, OrderType, PrivateEvent, Reject, Request,
    Response, Status, Tif,
};
use crate::unit::{Lots, Nanos};
use crate::venue::binance::usdm::client_id::Prefix;
use std::collections::VecDeque;

/// What comes back from the exchange; it borrows nothing, so it can be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// About an order.
    Order(OrderEvent),
    /// About the account.
    Account(AccountEvent),
}

impl Answer {
    /// As the event that the core takes.
    #[must_use]
    pub fn event(&self) -> Event<'static> {
        match *self {
            Self::Order(order) => Event::Order(order),
            Self::Account(account) => Event::Account(account),
        }
    }
}

/// One account at an exchange in the same process.
#[derive(Debug)]
pub struct Embedded {
    exchange: Exchange,
    account: AccountId,
    prefix: Prefix,
    delays: Delays,
    dice: Dice,
    silent_until: Nanos,
    /// [`Exchange::next_due`] as of now.
    rule_due: Nanos,
    commands: VecDeque<(Nanos, Command)>,
    answers: VecDeque<(Nanos, Answer)>,
    notices: Vec<Notice>,
}

impl Embedded {
    /// Trades for `account` of `exchange`; messages take their time under way. Orders carry `prefix`.
    #[must_use]
    pub fn new(exchange: Exchange, account: AccountId, prefix: Prefix, delays: Delays, seed: u64) -> Self {
        let rule_due = exchange.next_due();
        let (commands, answers) = (VecDeque::with_capacity(256), VecDeque::with_capacity(1024));
        Self {
            exchange,
            account,
            prefix,
            delays,
            dice: Dice::new(seed),
            silent_until: Nanos::ZERO,
            rule_due,
            commands,
            answers,
            notices: Vec::with_capacity(64),
        }
    }

    /// The exchange.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Nothing comes back before `until`: what comes earlier comes then.
    pub fn silence(&mut self, until: Nanos) {
        self.silent_until = until;
    }

    /// The market told something at `now`. Call [`Embedded::advance`] with the same `now` first, so that commands that arrived
    /// before it are carried out before it.
    pub fn market(&mut self, now: Nanos, event: &Event<'_>) {
        self.exchange.market(now, event);
        // Of what the market tells, mark prices schedule the funding; else an order must have ended.
        if matches!(event, Event::Mark(_)) || !self.exchange.is_silent() {
            self.rule_due = self.exchange.next_due();
        }
        self.collect(now);
    }

    /// Looks at the accounts' margins now, where no mark prices come that would be the moment for it.
    pub fn watch_margins(&mut self, now: Nanos) {
        self.exchange.watch_margins(now);
        self.rule_due = self.exchange.next_due();
        self.collect(now);
    }

    /// Sends a command. [`CommandKind::Snapshot`] is not for the exchange: who plays the market has the book.
    pub fn submit(&mut self, now: Nanos, command: &Command) {
        let arrival = now + self.delays.there(command.kind, now, &mut self.dice);
        let arrival = self.commands.back().map_or(arrival, |(last, _)| arrival.max(*last));
        self.commands.push_back((arrival, *command));
    }

    /// When the next command arrives, answer comes back or rule of the exchange is due; `Nanos::MAX` if nothing is under way.
    #[must_use]
    pub fn next_due(&self) -> Nanos {
        self.next_arrival().min(self.next_answer())
    }

    /// When the next command arrives or rule of the exchange is due; `Nanos::MAX` if nothing is.
    #[must_use]
    pub fn next_arrival(&self) -> Nanos {
        self.commands.front().map_or(Nanos::MAX, |(at, _)| *at).min(self.rule_due)
    }

    /// When the next answer comes back; `Nanos::MAX` if none is under way.
    #[must_use]
    pub fn next_answer(&self) -> Nanos {
        self.answers.front().map_or(Nanos::MAX, |(at, _)| *at)
    }

    /// Lets time pass up to `now`: carries out what has arrived and hands over what has come back, with its time.
    pub fn advance(&mut self, now: Nanos, mut hand_over: impl FnMut(Nanos, &Answer)) {
        self.arrive(now);
        while let Some((at, answer)) = self.take_answer(now) {
            hand_over(at, &answer);
        }
    }

    /// The oldest answer that has come back by `now`, with its time.
    pub fn take_answer(&mut self, now: Nanos) -> Option<(Nanos, Answer)> {
        self.answers.pop_front_if(|(at, _)| *at <= now)
    }

    /// Carries out what has arrived at the exchange by `now`, and its rules.
    pub fn arrive(&mut self, now: Nanos) {
        loop {
            let command = self.commands.front().map_or(Nanos::MAX, |(at, _)| *at);
            let rule = self.rule_due;
            let due = command.min(rule);
            if due > now {
                break;
            }
            if rule <= command {
                self.exchange.tick(rule);
                self.collect(rule);
            } else {
                let (at, command) = self.commands.pop_front().expect("just seen");
                self.carry_out(at, &command);
            }
            self.rule_due = self.exchange.next_due();
        }
    }

    fn answer(&mut self, now: Nanos, answer: Answer) {
        let arrival = (now + self.delays.back(now, &mut self.dice)).max(self.silent_until);
        let arrival = self.answers.back().map_or(arrival, |(last, _)| arrival.max(*last));
        self.answers.push_back((arrival, answer));
    }

    fn carry_out(&mut self, now: Nanos, command: &Command) {
        let Some(request) = self.request(command) else {
            if command.kind == CommandKind::Reconcile {
                self.reconcile(now);
            }
            return;
        };
        let done = self.exchange.request(now, self.account, &request);
        if let Some(event) = self.response(command, done) {
            self.answer(now, Answer::Order(event));
        }
        self.collect(now);
    }

    fn request(&self, command: &Command) -> Option<Request> {
        let client_id = self.prefix.text(command.client_id);
        let (instrument, order) = (command.instrument, OrderRef::Client(client_id));
        let new = |kind, tif| {
            Request::Place(NewOrder {
                client_id,
                position_side: command.position_side,
                kind,
                tif,
                reduce_only: command.reduce_only && command.position_side == PositionSide::Net,
                ..NewOrder::limit(instrument, command.side, command.price, command.qty)
            })
        };
        Some(match command.kind {
            CommandKind::New => {
                let tif = match command.tif {
                    TimeInForce::PostOnly => Tif::Gtx,
                    TimeInForce::Gtc => Tif::Gtc,
                    TimeInForce::Ioc => Tif::Ioc,
                };
                new(OrderType::Limit, tif)
            }
            CommandKind::Market => new(OrderType::Market, Tif::Gtc),
            CommandKind::Amend => {
                Request::Amend { instrument, order, side: command.side, price: command.price, qty: command.qty }
            }
            CommandKind::Cancel => Request::Cancel { instrument, order },
            CommandKind::Query => Request::Query { instrument, order },
            CommandKind::CancelAll => Request::CancelAll { instrument },
            CommandKind::Reconcile | CommandKind::Snapshot | CommandKind::SyncTime => return None,
        })
    }

    /// The direct answer; what the private stream tells comes besides.
    fn response(&self, command: &Command, done: Result<Response, Reject>) -> Option<OrderEvent> {
        use CommandKind as C;
        use OrderEventKind as E;
        let source = if command.kind == C::Query { OrderSource::Query } else { OrderSource::Response };
        match done {
            Ok(Response::Order(order)) => {
                let kind = match (command.kind, order.status) {
                    (C::New | C::Market, _) => E::Accepted,
                    (C::Amend, Status::Canceled) | (C::Cancel, _) => E::Canceled,
                    (C::Amend, _) => E::Amended,
                    (_, status) if status.is_open() => E::Open,
                    _ => E::Closed,
                };
                let mut event = self.order_event(kind, source, &order);
                event.generation = command.generation;
                if kind == E::Accepted {
                    event.filled = Lots::ZERO; // An acknowledgement does not tell what came of it.
                }
                Some(event)
            }
            Ok(_) => None,
            Err(reject) => {
                let kind = match command.kind {
                    C::New | C::Market => E::Rejected,
                    C::Amend => E::AmendRejected,
                    C::Cancel => E::CancelRejected,
                    C::Query => E::NotFound,
                    _ => return None,
                };
                Some(OrderEvent {
                    kind,
                    source,
                    side: command.side,
                    position_side: command.position_side,
                    tif: command.tif,
                    reduce_only: command.reduce_only,
                    instrument: command.instrument,
                    generation: command.generation,
                    code: reject.code(),
                    client_id: command.client_id,
                    venue_id: 0,
                    price: command.price,
                    qty: command.qty,
                    filled: Lots::ZERO,
                    fill: Fill::default(),
                    venue_time: Nanos::ZERO,
                })
            }
        }
    }

    fn order_event(&self, kind: OrderEventKind, source: OrderSource, order: &Order) -> OrderEvent {
        OrderEvent {
            kind,
            source,
            side: order.side,
            position_side: order.position_side,
            tif: match order.tif {
                Tif::Gtx => TimeInForce::PostOnly,
                Tif::Gtc | Tif::Gtd => TimeInForce::Gtc,
                Tif::Ioc | Tif::Fok => TimeInForce::Ioc,
            },
            reduce_only: order.reduce_only,
            instrument: order.instrument,
            generation: 0,
            code: 0,
            client_id: self.prefix.parse(&order.client_id).unwrap_or_default(),
            venue_id: order.id,
            price: order.price,
            qty: order.qty,
            filled: order.filled,
            fill: Fill::default(),
            venue_time: order.updated_at,
        }
    }

    /// Sends back what the private stream of the account tells.
    fn collect(&mut self, now: Nanos) {
        if self.exchange.is_silent() {
            return;
        }
        let mut notices = std::mem::take(&mut self.notices);
        notices.extend(self.exchange.drain().filter(|n| n.account == self.account));
        for notice in &notices {
            match notice.event {
                PrivateEvent::Order { execution, order, trade } => {
                    let kind = match execution {
                        Execution::New => OrderEventKind::Accepted,
                        Execution::Trade | Execution::Calculated => OrderEventKind::Fill,
                        Execution::Amendment => OrderEventKind::Amended,
                        Execution::Canceled => OrderEventKind::Canceled,
                        Execution::Expired => OrderEventKind::Expired,
                    };
                    let mut event = self.order_event(kind, OrderSource::Stream, &order);
                    if event.client_id == ClientId::default() {
                        continue; // A liquidation: its position is told below.
                    }
                    if let Some(t) = trade {
                        let price = self.exchange.instrument(order.instrument).floor(t.price);
                        let (trade_id, qty, fee, maker) = (t.id, t.qty, t.fee, t.maker);
                        event.fill = Fill { trade_id, price, qty, fee, fee_known: true, maker };
                    }
                    self.answer(now, Answer::Order(event));
                }
                PrivateEvent::Account { reason, change, position, .. } => {
                    if let Some(p) = position {
                        self.answer(now, Answer::Account(self.position(p.instrument, p.side, false, now)));
                    }
                    if reason == AccountReason::Funding {
                        let instrument = InstrumentId::default();
                        self.answer(now, Answer::Account(AccountEvent::Funding { instrument, amount: change }));
                    }
                    self.answer(now, Answer::Account(self.balance()));
                }
                PrivateEvent::Leverage { instrument, leverage } => {
                    self.answer(now, Answer::Account(AccountEvent::Leverage { instrument, leverage }));
                }
                PrivateEvent::MultiAssets { .. } => {}
                PrivateEvent::MarginCall { .. } => self.answer(now, Answer::Account(AccountEvent::MarginCall)),
            }
        }
        notices.clear();
        self.notices = notices;
    }

    fn position(&self, instrument: InstrumentId, side: PositionSide, snapshot: bool, now: Nanos) -> AccountEvent {
        let report = self.exchange.position(self.account, instrument, side);
        AccountEvent::Position { instrument, side, qty: report.qty, entry: report.entry, snapshot, venue_time: now }
    }

    fn balance(&self) -> AccountEvent {
        let margin = self.exchange.margin(self.account);
        AccountEvent::Balance { wallet: margin.wallet, available: margin.available() }
    }

    fn reconcile(&mut self, now: Nanos) {
        self.answer(now, Answer::Account(AccountEvent::ReconcileBegin));
        let open: Vec<Order> = self.exchange.orders().open(self.account).copied().collect();
        for order in &open {
            let event = self.order_event(OrderEventKind::Open, OrderSource::Query, order);
            self.answer(now, Answer::Order(event));
        }
        let hedge = self.exchange.account(self.account).hedge();
        let sides = if hedge { &POSITION_SIDES[1..] } else { &POSITION_SIDES[..1] };
        for at in 0..self.exchange.instruments() {
            for &side in sides {
                self.answer(now, Answer::Account(self.position(InstrumentId(at as u16), side, true, now)));
            }
        }
        self.answer(now, Answer::Account(self.balance()));
        self.answer(now, Answer::Account(AccountEvent::ReconcileEnd));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DepthUpdate, Level, Side, Trade};
    use crate::instrument::Instrument;
    use crate::sim::latency::Latency;
    use crate::sim::queue::QueueModel;
    use crate::unit::{Money, Seq, Ticks};

    const BTC: InstrumentId = InstrumentId(0);

    fn at(micros: i64) -> Nanos {
        Nanos::from_secs(1_700_000_000) + Nanos::from_micros(micros)
    }

    fn embedded() -> Embedded {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mut exchange = Exchange::new(vec![btc], 1, QueueModel::RiskAverse);
        let account = exchange.open_account(at(0), Money::parse(b"10000").unwrap());
        let latency = Latency::Constant(Nanos::from_micros(100));
        let mut embedded =
            Embedded::new(exchange, account, Prefix::new("sq").unwrap(), Delays::both(latency, latency), 1);
        let level = |p| [Level { price: Ticks(p), qty: Lots(5) }];
        let update = DepthUpdate {
            instrument: BTC,
            first: Seq(1),
            last: Seq(1),
            prev: Seq(0),
            venue_time: at(0),
            bids: &level(600_000),
            asks: &level(600_001),
        };
        embedded.market(at(0), &Event::Depth(update));
        embedded
    }

    fn command(kind: CommandKind, price: i64) -> Command {
        Command {
            kind,
            side: Side::Buy,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: BTC,
            generation: 3,
            client_id: ClientId { run: 9, seq: 1 },
            price: Ticks(price),
            qty: Lots(10),
            decided_at: at(0),
        }
    }

    fn heard(embedded: &mut Embedded, micros: i64) -> Vec<String> {
        let mut lines = Vec::new();
        embedded.advance(at(micros), |time, answer| {
            let after = (time - at(0)).0 / 1000;
            lines.push(match answer {
                Answer::Order(o) => format!("{after} {:?} {:?} {} {}", o.source, o.kind, o.generation, o.filled.0),
                Answer::Account(a) => format!("{after} {a:?}").split([' ', '{']).take(2).collect::<Vec<_>>().join(" "),
            });
        });
        lines
    }

    #[test]
    fn commands_and_answers_take_their_time_and_keep_their_order() {
        let mut e = embedded();
        e.submit(at(0), &command(CommandKind::New, 600_000));
        assert_eq!((e.next_due(), heard(&mut e, 199)), (at(100), vec![]));
        assert_eq!(heard(&mut e, 200), ["200 Response Accepted 3 0", "200 Stream Accepted 0 0"]);
        let trade = Trade {
            instrument: BTC,
            id: 1,
            price: Ticks(600_000),
            qty: Lots(7),
            taker: Side::Sell,
            aggregate: false,
            venue_time: at(300),
        };
        e.market(at(300), &Event::Trade(trade));
        assert_eq!(heard(&mut e, 400), ["400 Stream Fill 0 2", "400 Position", "400 Balance"]);
        e.submit(at(400), &command(CommandKind::Cancel, 0));
        e.submit(at(400), &command(CommandKind::Query, 0));
        let lines = heard(&mut e, 600);
        assert_eq!(lines, ["600 Response Canceled 3 2", "600 Stream Canceled 0 2", "600 Query Closed 3 2"]);
    }

    #[test]
    fn refusals_and_reconciliations_are_answered() {
        let mut e = embedded();
        e.submit(at(0), &command(CommandKind::New, 600_001));
        e.submit(at(0), &command(CommandKind::Amend, 600_001));
        e.submit(at(0), &command(CommandKind::Cancel, 0));
        e.submit(at(0), &command(CommandKind::Query, 0));
        e.submit(at(0), &command(CommandKind::New, 599_000));
        e.submit(at(0), &command(CommandKind::Reconcile, 0));
        let kinds: Vec<String> =
            heard(&mut e, 200).iter().map(|l| l.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            kinds,
            [
                "Response Rejected",
                "Response AmendRejected",
                "Response CancelRejected",
                "Query NotFound",
                "Response Accepted",
                "Stream Accepted",
                "ReconcileBegin",
                "Query Open",
                "Position",
                "Balance",
                "ReconcileEnd"
            ]
        );
    }
}
