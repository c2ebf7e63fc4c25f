//! Executors on their own, and the controller with its executors, step by step: the exchange's side of FORMAT.md.

use super::Outcome;
use super::pmm::{
    Evaluation, atto, close_type, instrument, maybe_nanos, nanos, number, outcome, same, same_price, settings, side,
    side_text, summary_differs, text, tick_boundary, ticks,
};
use serde_json::{Value, json};
use spinquote::config::pmm::PmmSettings;
use spinquote::event::Side;
use spinquote::instrument::Instrument;
use spinquote::maker::strategy::pmm::controller::{Create, Job, Level, Record, Report, Status, Touch};
use spinquote::maker::strategy::pmm::executor::{
    Ask, Asks, Mission, News, OrderExecutor, OrderKind, PositionExecutor, Tracked,
};
use spinquote::maker::strategy::pmm::held::Held;
use spinquote::unit::{Amount, Lots, Money, Nanos, Price, Rate};
use std::collections::HashMap;

enum Executor {
    Position(Box<PositionExecutor>),
    Order(Box<OrderExecutor>),
}

impl Executor {
    fn status(&self) -> Status {
        match self {
            Self::Position(executor) => executor.status(),
            Self::Order(executor) => executor.status(),
        }
    }

    fn report(&self, touch: &Touch<'_>) -> Report {
        match self {
            Self::Position(executor) => executor.report(touch),
            Self::Order(executor) => executor.report(),
        }
    }

    fn owns(&self, order: u32) -> bool {
        match self {
            Self::Position(executor) => executor.owns(order),
            Self::Order(executor) => executor.owns(order),
        }
    }

    fn hear(&mut self, now: Nanos, order: u32, news: News) {
        match self {
            Self::Position(executor) => executor.hear(now, order, news),
            Self::Order(executor) => executor.hear(now, order, news),
        }
    }

    fn stop(&mut self, now: Nanos, keep_position: bool) {
        match self {
            Self::Position(executor) => executor.stop(now, keep_position),
            Self::Order(executor) => executor.stop(),
        }
    }

    fn executed(&self) -> Vec<(Side, Tracked)> {
        match self {
            Self::Position(executor) => executor.executed().map(|(side, order)| (side, *order)).collect(),
            Self::Order(executor) => executor.executed().map(|(side, order)| (side, *order)).collect(),
        }
    }

    fn record_side(&self) -> Side {
        match self {
            Self::Position(executor) => executor.mission().side,
            Self::Order(executor) => executor.record_side(),
        }
    }

    /// The order as the executor last knew it, whether still followed or kept as a partial one.
    fn retries(&self) -> u32 {
        match self {
            Self::Position(executor) => executor.retries(),
            Self::Order(executor) => executor.retries(),
        }
    }
}

/// The venue and the executors' owner.
struct Run {
    instrument: Instrument,
    base: String,
    quote: String,
    balances: Value,
    perpetual: bool,
    hedge: bool,
    leverage: u32,
    bid: Value,
    ask: Value,
    executors: Vec<Executor>,
    /// Requested sizes and executions by order.
    sizes: HashMap<u32, (i128, i128)>,
    next: u32,
    records: Vec<(Option<Side>, Held)>,
    handed_over: Vec<usize>,
}

fn order_number(value: &Value) -> u32 {
    value.as_str().and_then(|text| text.strip_prefix('O')).and_then(|text| text.parse().ok()).expect("an order")
}

fn kind(value: &Value) -> OrderKind {
    match value.as_str().expect("an order type") {
        "MARKET" => OrderKind::Market,
        "LIMIT" => OrderKind::Limit,
        "LIMIT_MAKER" => OrderKind::LimitMaker,
        other => panic!("order type {other}"),
    }
}

fn kind_text(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Market => "MARKET",
        OrderKind::Limit => "LIMIT",
        OrderKind::LimitMaker => "LIMIT_MAKER",
    }
}

impl Run {
    fn new(case: &Value, connector: &str, hedge: bool, leverage: u32) -> Self {
        let pair = text(&case["market"]["trading_pair"]);
        let (base, quote) = pair.split_once('-').expect("BASE-QUOTE");
        Self {
            instrument: instrument(&case["market"]),
            base: base.to_owned(),
            quote: quote.to_owned(),
            balances: case["balances"].clone(),
            perpetual: connector.contains("perpetual"),
            hedge,
            leverage,
            bid: Value::Null,
            ask: Value::Null,
            executors: Vec::new(),
            sizes: HashMap::new(),
            next: 0,
            records: Vec::new(),
            handed_over: Vec::new(),
        }
    }

    fn touch(&self) -> Touch<'_> {
        let price = |value| ticks(&self.instrument, value);
        Touch { instrument: &self.instrument, bid: price(&self.bid), ask: price(&self.ask) }
    }

    fn hear(&mut self, now: Nanos, event: &Value) {
        let order = order_number(&event["order"]);
        let news = match event["ev"].as_str().expect("an event") {
            "ack" if event["result"]["accepted"] == true => {
                self.sizes.entry(order).or_default().0 = atto(&event["result"]["amount"]);
                News::Accepted
            }
            "ack" | "fail" => News::Failed,
            "cancelled" => News::Canceled,
            "fill" => {
                let amount = atto(&event["amount"]);
                let (size, executed) = self.sizes.entry(order).or_default();
                *executed += amount;
                News::Filled {
                    amount: Amount(amount),
                    price: Price(atto(&event["price"])),
                    fee: Money(atto(&event["fee_quote"])),
                    fee_base: Amount(event["fee_base"].as_str().map_or(0, |fee| atto(&fee.into()))),
                    complete: executed >= size,
                }
            }
            other => panic!("event {other}"),
        };
        if let Some(executor) = self.executors.iter_mut().find(|executor| executor.owns(order)) {
            executor.hear(now, order, news);
        }
    }

    fn affordable(&self, at: usize) -> bool {
        let Value::Object(balances) = &self.balances else { return true };
        let touch = self.touch();
        let (quote, base) = match &self.executors[at] {
            Executor::Position(executor) => executor.needs(&touch, self.perpetual),
            Executor::Order(executor) => executor.needs(&touch, self.perpetual, self.leverage),
        };
        let free = |token: &str| balances.get(token).map_or(0, atto);
        quote.0 <= free(&self.quote) && base.0 <= free(&self.base)
    }

    /// One pass of one executor; placements and cancels as text.
    fn pass(&mut self, at: usize, now: Nanos, orders: &mut Vec<Value>, cancels: &mut Vec<Value>) {
        let affordable = self.affordable(at);
        let mut asks = Asks::new();
        let price = |value: &Value| ticks(&self.instrument, value);
        let touch = Touch { instrument: &self.instrument, bid: price(&self.bid), ask: price(&self.ask) };
        match &mut self.executors[at] {
            Executor::Position(executor) => executor.pass(now, &touch, affordable, &mut self.next, &mut asks),
            Executor::Order(executor) => executor.pass(now, &touch, affordable, &mut self.next, &mut asks),
        }
        let name = format!("E{}", at + 1);
        for ask in asks {
            match ask {
                Ask::Place { order, side, kind, closing, amount, price } => {
                    self.sizes.insert(order, (amount.0, 0));
                    orders.push(json!({
                        "order": format!("O{order}"), "executor": name, "side": side_text(side),
                        "order_type": kind_text(kind), "position_action": if closing { "CLOSE" } else { "OPEN" },
                        "amount": amount.0.to_string(), "price": price.map(|price| price.0.to_string()),
                    }));
                }
                Ask::Cancel(order) => cancels.push(json!({"order": format!("O{order}"), "executor": name})),
            }
        }
    }

    /// Takes over what executors have handed over since.
    fn refresh_records(&mut self) {
        for at in 0..self.executors.len() {
            let hold = Some(spinquote::maker::strategy::pmm::controller::CloseType::PositionHold);
            let report = self.executors[at].report(&self.touch());
            if report.status != Status::Terminated || report.close != hold || self.handed_over.contains(&at) {
                continue;
            }
            self.handed_over.push(at);
            let executor = &self.executors[at];
            let key = (self.perpetual && self.hedge).then(|| executor.record_side());
            let executed = executor.executed();
            let place = match self.records.iter().position(|(other, _)| *other == key) {
                Some(place) => place,
                None => {
                    self.records.push((key, Held::default()));
                    self.records.len() - 1
                }
            };
            for (side, order) in executed {
                self.records[place].1.add(side, order.executed, order.quote, order.fee);
            }
        }
    }

    fn orders_differ(&self, orders: &[Value], cancels: &[Value], expect: &Value) -> Option<String> {
        let wanted = expect["orders"].as_array().expect("orders");
        let same_order = |(actual, wanted): (&Value, &Value)| {
            let plain = ["order", "executor", "side", "order_type", "position_action"];
            let price = match actual["price"].as_str() {
                // A market order's price is of no consequence.
                None => actual["order_type"] == "MARKET",
                Some(price) => same_price(&self.instrument, Price(price.parse().expect("a number")), &wanted["price"]),
            };
            plain.iter().all(|name| actual[name] == wanted[name])
                && actual["amount"].as_str() == Some(atto(&wanted["amount"]).to_string().as_str())
                && price
        };
        if wanted.len() != orders.len() || !orders.iter().zip(wanted).all(same_order) {
            return Some(format!("orders {}, expected {}", json!(orders), expect["orders"]));
        }
        (json!(cancels) != expect["cancels"])
            .then(|| format!("cancels {}, expected {}", json!(cancels), expect["cancels"]))
    }

    /// An order whose price rounds to another tick than the original's, which it otherwise equals.
    fn boundary(&self, orders: &[Value], expect: &Value) -> Option<String> {
        orders.iter().zip(expect["orders"].as_array()?).find_map(|(actual, wanted)| {
            let exact = Price(actual["price"].as_str()?.parse().expect("a number"));
            tick_boundary(&self.instrument, exact, &wanted["price"])
        })
    }

    fn executor_differs(&self, at: usize, expect: &Value) -> Option<String> {
        let executor = &self.executors[at];
        let report = executor.report(&self.touch());
        let status = match report.status {
            Status::NotStarted => "NOT_STARTED",
            Status::Running => "RUNNING",
            Status::ShuttingDown => "SHUTTING_DOWN",
            Status::Terminated => "TERMINATED",
        };
        let held: Vec<String> = match self.handed_over.contains(&at) {
            true => executor.executed().iter().map(|(_, order)| format!("O{}", order.order)).collect(),
            false => Vec::new(),
        };
        let fits = expect["status"] == status
            && close_type(&expect["close_type"]) == report.close
            && maybe_nanos(&expect["close_timestamp"]) == report.closed_at
            && expect["is_active"] == report.active
            && expect["is_trading"] == report.trading
            && expect["retries"] == executor.retries()
            && expect["held_orders"] == json!(held);
        if !fits {
            return Some(format!("E{} {report:?} {} {held:?}, expected {expect}", at + 1, executor.retries()));
        }
        let Executor::Position(executor) = executor else { return None };
        let figures = executor.performance(&self.touch());
        let same_figures = same(&expect["net_pnl_pct"], figures.net_pct.0)
            && same(&expect["net_pnl_quote"], figures.net.0)
            && same(&expect["filled_amount_quote"], figures.volume.0)
            && same(&expect["cum_fees_quote"], figures.fees.0);
        (!same_figures).then(|| format!("E{} {figures:?}, expected {expect}", at + 1))
    }

    fn records_differ(&self, expect: &Value) -> Option<String> {
        let wanted = expect.as_array().expect("positions");
        if wanted.len() != self.records.len() {
            return Some(format!("{} records, expected {expect}", self.records.len()));
        }
        let mid = self.touch().reference()?;
        self.records.iter().zip(wanted).find_map(|((_, held), wanted)| summary_differs(held, mid, wanted))
    }
}

pub fn executor(case: &Value) -> Outcome {
    let config = &case["executor_config"];
    let connector = text(&case["connector_name"]);
    let hedge = text(&case["position_mode"]).eq_ignore_ascii_case("hedge");
    let created_at = Nanos::from_secs(1_700_000_000);
    let rate = |value: &Value| value.as_str().map(|text| Rate::parse(text.as_bytes()).expect("a fraction"));
    let leverage = config["leverage"].as_u64().expect("a leverage") as u32;
    let mut run = Run::new(case, &connector, hedge, leverage);
    let (amount, price) = (Amount(atto(&config["amount"])), Price(atto_of(&config["entry_price"], &config["price"])));
    run.executors.push(if config["type"] == "order_executor" {
        let kind = kind(&config["execution_strategy"]);
        let closing = config["position_action"] == "CLOSE";
        let order = OrderExecutor::new(1, side(&config["side"]), amount, kind, price, closing, created_at);
        Executor::Order(Box::new(order))
    } else {
        let barrier = &config["triple_barrier"];
        Executor::Position(Box::new(PositionExecutor::new(
            1,
            Mission {
                job: Job::Level(Level { side: side(&config["side"]), index: 0 }),
                side: side(&config["side"]),
                amount,
                price,
                leverage,
                entry: kind(&barrier["open_order_type"]),
                take_profit: rate(&barrier["take_profit"]),
                take_profit_kind: kind(&barrier["take_profit_order_type"]),
                stop_loss: rate(&barrier["stop_loss"]),
                time_limit: barrier["time_limit"].as_i64().map(Nanos::from_secs),
                created_at,
            },
        )))
    });
    let mut artifact = None;
    for step in outcome(case)["steps"].as_array().expect("steps") {
        let now = nanos(&step["now"]);
        (run.bid, run.ask) = (step["best_bid"].clone(), step["best_ask"].clone());
        for event in step["events"].as_array().expect("events") {
            run.hear(now, event);
        }
        if step["command"]["stop"] == true {
            run.executors[0].stop(now, step["command"]["keep_position"] == true);
        }
        let (mut orders, mut cancels) = (Vec::new(), Vec::new());
        run.pass(0, now, &mut orders, &mut cancels);
        run.refresh_records();
        let expect = &step["expect"];
        let wrong = run
            .orders_differ(&orders, &cancels, expect)
            .or_else(|| run.executor_differs(0, &expect["executor"]))
            .or_else(|| run.records_differ(&expect["positions"]));
        if let Some(wrong) = wrong {
            return Outcome::Different(format!("at {}: {wrong}", step["now"]));
        }
        artifact = artifact.or(run.boundary(&orders, expect));
    }
    artifact.map_or_else(|| Outcome::Equal(Vec::new()), Outcome::Artifact)
}

fn atto_of(first: &Value, second: &Value) -> i128 {
    if first.is_null() { atto(second) } else { atto(first) }
}

fn create(run: &mut Run, settings: &PmmSettings, create: &Create, reference: Price, now: Nanos) {
    let id = run.executors.len() as u32;
    run.executors.push(match *create {
        Create::Closing { side, qty } => {
            let amount = Amount(i128::from(qty.0) * run.instrument.lot.atto());
            Executor::Order(Box::new(OrderExecutor::new(id, side, amount, OrderKind::Market, reference, true, now)))
        }
        Create::Level { level, price, qty, take_profit } => Executor::Position(Box::new(PositionExecutor::new(
            id,
            Mission {
                job: Job::Level(level),
                side: level.side,
                amount: Amount(i128::from(qty.0) * run.instrument.lot.atto()),
                price,
                leverage: settings.leverage,
                entry: OrderKind::LimitMaker,
                take_profit,
                take_profit_kind: settings.take_profit_order.into(),
                stop_loss: None,
                time_limit: None,
                created_at: now,
            },
        ))),
    });
}

/// A level with the recorded price and amount, which agree with ours to 1e-9: the rest of the run has no part in a rounding.
fn as_recorded(create: &Create, recorded: &Value, instrument: &Instrument) -> Create {
    match *create {
        Create::Level { level, take_profit, .. } => Create::Level {
            level,
            price: Price(atto(&recorded["entry_price"])),
            qty: Lots((atto(&recorded["amount"]) / instrument.lot.atto()) as i64),
            take_profit,
        },
        closing @ Create::Closing { .. } => closing,
    }
}

pub fn engine(case: &Value) -> Outcome {
    let expected = outcome(case);
    let settings = match (settings(&case["config"]), &expected["config_error"]) {
        (Ok(settings), Value::Null) => settings,
        (Err(fields), error) if json!(fields) == error["fields"] => return Outcome::Equal(Vec::new()),
        (other, error) => return Outcome::Different(format!("{:?}, expected {error}", other.err())),
    };
    let mut run = Run::new(case, &settings.connector_name, settings.hedge, settings.leverage);
    let mut artifact = None;
    for step in expected["steps"].as_array().expect("steps") {
        let now = nanos(&step["now"]);
        let expect = &step["expect"];
        (run.bid, run.ask) = (step["best_bid"].clone(), step["best_ask"].clone());
        for event in step["events"].as_array().expect("events") {
            run.hear(now, event);
        }
        run.refresh_records();
        let at = |wrong: String| Outcome::Different(format!("at {}: {wrong}", step["now"]));
        if let Some(wrong) = run.records_differ(&expect["positions"]) {
            return at(wrong);
        }
        let touch = run.touch();
        let reference = touch.reference();
        let records: Vec<Record> = run
            .records
            .iter()
            .map(|(_, held)| {
                let summary = held.summary(reference.unwrap_or(Price::ZERO));
                let (side, amount, price) = (summary.side, summary.amount, summary.breakeven);
                Record { side, amount, price, unrealized: summary.unrealized }
            })
            .collect();
        let reports: Vec<Report> = run.executors.iter().map(|executor| executor.report(&touch)).collect();
        let name = |id: u32| format!("E{}", id + 1);
        let inputs = Evaluation { settings: &settings, touch, now, records: &records, executors: &reports };
        let (decision, found) = match inputs.judge(&expect["controller"], &name) {
            Ok(judged) => judged,
            Err(wrong) => return at(wrong),
        };
        if let Some(found) = found {
            artifact = artifact.or(Some(format!("at {}: {found}", step["now"])));
        }
        let recorded = expect["controller"]["actions"].as_array().expect("actions");
        for (wanted, recorded) in decision.creates.iter().zip(recorded) {
            let wanted = as_recorded(wanted, recorded, &run.instrument);
            create(&mut run, &settings, &wanted, reference.unwrap_or(Price::ZERO), now);
        }
        for stop in &decision.stops {
            run.executors[stop.id as usize].stop(now, stop.keep_position);
        }
        let (mut orders, mut cancels) = (Vec::new(), Vec::new());
        for at in 0..run.executors.len() {
            if run.executors[at].status() != Status::Terminated {
                run.pass(at, now, &mut orders, &mut cancels);
            }
        }
        run.refresh_records();
        let wrong = run.orders_differ(&orders, &cancels, expect).or_else(|| {
            let listed = expect["executors"].as_array().expect("executors");
            listed.iter().find_map(|wanted| {
                let number = number(&wanted["ref"].as_str()?.trim_start_matches('E').into()) as usize;
                run.executor_differs(number - 1, wanted)
            })
        });
        if let Some(wrong) = wrong {
            return at(wrong);
        }
        artifact = artifact.or(run.boundary(&orders, expect));
    }
    artifact.map_or_else(|| Outcome::Equal(Vec::new()), Outcome::Artifact)
}
