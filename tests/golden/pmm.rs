//! Drives the PMM controller, its executors and its held records through the cases of FORMAT.md.
//!
//! Orders, amounts and every choice must be equal; computed figures and unrounded prices to 1e-9, since the originals compute in
//! 28 digits with spreads that are doubles. An amount one lot off counts as a float artifact only where the original's own
//! unrounded amount lies within 1e-9 (relative) of a whole lot; a decision only where it is the recorded one with what it is made on
//! moved by one part in 1e12. Each is listed, and a run goes on with the recorded figures.

use super::{Outcome, pmm_runs as runs};
use serde_json::{Value, json};
use spinquote::config::pmm::{KEYS, PmmSettings, TakeProfitOrder};
use spinquote::event::Side;
use spinquote::instrument::Instrument;
use spinquote::maker::strategy::pmm::controller::{
    CloseType, Create, Decision, Inventory, Job, Level, Record, Report, Skip, Status, Touch, budget, evaluate, weight,
};
use spinquote::maker::strategy::pmm::held::Held;
use spinquote::unit::{Amount, Lots, Money, Nanos, Price, Rate, Ticks, decimal_text, parse_scaled};

pub fn run(case: &Value) -> Outcome {
    match case["kind"].as_str().expect("a kind") {
        "config" => config(case),
        "update_config" => update_config(case),
        "tick" => tick(case),
        "position_hold" => position_hold(case),
        "executor" => runs::executor(case),
        "engine" => runs::engine(case),
        other => Outcome::Different(format!("unknown kind {other}")),
    }
}

pub fn outcome(case: &Value) -> &Value {
    if case["intended"].is_null() { &case["original"] } else { &case["intended"] }
}

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn number(value: &Value) -> f64 {
    text(value).parse().unwrap_or(f64::NAN)
}

/// A decimal, with or without exponent, cut at 1e-18.
pub fn atto(value: &Value) -> i128 {
    let text = text(value);
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().expect("an exponent")),
        None => (text.as_str(), 0),
    };
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = format!("{whole}{fraction}");
    let places = fraction.len() as i32 - exponent;
    match places {
        ..=18 => all.push_str(&"0".repeat((18 - places) as usize)),
        _ => all.truncate(all.len().saturating_sub((places - 18) as usize)),
    }
    let value =
        if all.is_empty() { 0 } else { parse_scaled(all.as_bytes(), 0).unwrap_or_else(|e| panic!("{text}: {e}")) };
    if negative { -value } else { value }
}

/// Times are doubles; their exact binary value is kept to the nanosecond, so that differences of whole seconds stay whole.
pub fn nanos(value: &Value) -> Nanos {
    let seconds = number(value);
    Nanos(seconds.trunc() as i64 * 1_000_000_000 + (seconds.fract() * 1e9).round() as i64)
}

pub fn maybe_nanos(value: &Value) -> Option<Nanos> {
    (!value.is_null()).then(|| nanos(value))
}

pub fn side(value: &Value) -> Side {
    match value.as_str() {
        Some("BUY") => Side::Buy,
        Some("SELL") => Side::Sell,
        other => panic!("side {other:?}"),
    }
}

pub fn side_text(side: Side) -> &'static str {
    if side == Side::Buy { "BUY" } else { "SELL" }
}

/// The settings, or the refused keys, sorted.
pub fn settings(config: &Value) -> Result<PmmSettings, Vec<String>> {
    let mut settings = PmmSettings::default();
    let mut refused: Vec<&str> = Vec::new();
    let mut named: Vec<String> = Vec::new();
    for (name, value) in config.as_object().expect("a configuration") {
        if name == "controller_name" {
            // The key that names the strategy is the loader's.
            continue;
        }
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) if (key.set)(&mut settings, &text(value)).is_ok() => {}
            Some(key) => refused.push(key.name),
            None => named.push(name.clone()),
        }
    }
    let first = |message: String| message.split(' ').next().expect("a key").to_owned();
    named.extend(settings.check_except(&refused).into_iter().map(first));
    named.extend(refused.into_iter().map(str::to_owned));
    named.sort();
    named.dedup();
    if named.is_empty() { Ok(settings) } else { Err(named) }
}

pub fn instrument(market: &Value) -> Instrument {
    let pair = text(&market["trading_pair"]).replace('-', "");
    let mut instrument = Instrument::synthetic(&pair, &text(&market["price_tick"]), &text(&market["amount_step"]));
    let lot = instrument.lot.atto();
    instrument.qty_min = Lots(((atto(&market["min_order_size"]) + lot - 1) / lot) as i64);
    instrument.notional_min = Money(atto(&market["min_notional"]));
    instrument.maker_fee = Rate::parse(b"0.0002").expect("literal");
    instrument.taker_fee = Rate::parse(b"0.0005").expect("literal");
    instrument
}

pub fn ticks(instrument: &Instrument, price: &Value) -> Option<Ticks> {
    (text(price) != "NaN").then(|| Ticks((atto(price) / instrument.tick.atto()) as i64)).filter(|t| *t > Ticks::ZERO)
}

pub fn same(expected: &Value, actual: i128) -> bool {
    let (expected, actual) = (number(expected), decimal_text(actual, 18).parse::<f64>().expect("a number"));
    (expected - actual).abs() <= 1e-9 * expected.abs().max(1.0)
}

/// Values of a configuration as the case states them; the first difference.
fn values_differ(settings: &PmmSettings, values: &Value) -> Option<String> {
    for (name, expected) in values.as_object().expect("values") {
        let key = KEYS.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key {name}"));
        let mut other = settings.clone();
        let shown = (key.show)(settings);
        let weights = match name.as_str() {
            "buy_amounts_pct" => Some((Side::Buy, settings.buy_spreads.len())),
            "sell_amounts_pct" => Some((Side::Sell, settings.sell_spreads.len())),
            _ => None,
        };
        let equal = match weights {
            // What is omitted weighs 1 per level.
            Some((side, count)) => {
                let list = expected.as_array().expect("weights");
                list.len() == count && list.iter().enumerate().all(|(n, w)| weight(settings, side, n).0 == atto(w))
            }
            None => (key.set)(&mut other, &text(expected)).is_ok() && other == *settings,
        };
        // A generated name is not the engine's business.
        if !equal && name != "id" {
            return Some(format!("{name} is {shown}, expected {expected}"));
        }
    }
    None
}

fn judged(wrong: Option<String>) -> Outcome {
    wrong.map_or_else(|| Outcome::Equal(Vec::new()), Outcome::Different)
}

fn config(case: &Value) -> Outcome {
    let expected = outcome(case);
    judged(match (settings(&case["config"]), expected["ok"].as_bool() == Some(true)) {
        (Ok(settings), true) => values_differ(&settings, &expected["values"]),
        (Ok(_), false) => Some(format!("accepted, expected {}", expected["fields"])),
        (Err(fields), true) => Some(format!("refused for {fields:?}")),
        (Err(fields), false) => {
            (json!(fields) != expected["fields"]).then(|| format!("{fields:?}, expected {expected}"))
        }
    })
}

fn update_config(case: &Value) -> Outcome {
    let expected = outcome(case);
    let rejected = expected["rejected"].as_str();
    let Ok(mut running) = settings(&case["config"]) else {
        return judged((rejected != Some("config")).then(|| "the running configuration is refused".to_owned()));
    };
    match settings(&case["new_config"]) {
        Ok(mut new) if rejected.is_none() => running.take_over(&mut new),
        Err(_) if rejected == Some("new_config") => {}
        Ok(_) => return Outcome::Different("the new configuration is accepted".into()),
        Err(fields) => return Outcome::Different(format!("the new configuration is refused for {fields:?}")),
    }
    judged(values_differ(&running, &expected["values"]))
}

fn level_text(level: Level) -> String {
    format!("{}_{}", if level.side == Side::Buy { "buy" } else { "sell" }, level.index)
}

fn job(level_id: &Value) -> Job {
    let text = level_id.as_str().expect("a level");
    match text.split_once('_') {
        Some(("buy", index)) => Job::Level(Level { side: Side::Buy, index: index.parse().expect("an index") }),
        Some(("sell", index)) => Job::Level(Level { side: Side::Sell, index: index.parse().expect("an index") }),
        _ => Job::Closing,
    }
}

pub fn close_type(value: &Value) -> Option<CloseType> {
    Some(match value.as_str()? {
        "TAKE_PROFIT" => CloseType::TakeProfit,
        "STOP_LOSS" => CloseType::StopLoss,
        "TRAILING_STOP" => CloseType::TrailingStop,
        "TIME_LIMIT" => CloseType::TimeLimit,
        "EARLY_STOP" => CloseType::EarlyStop,
        "POSITION_HOLD" => CloseType::PositionHold,
        "INSUFFICIENT_BALANCE" => CloseType::InsufficientBalance,
        "FAILED" => CloseType::Failed,
        other => panic!("close type {other}"),
    })
}

fn report((n, executor): (usize, &Value)) -> Report {
    let inventory = &executor["inventory"];
    Report {
        id: n as u32,
        job: job(&executor["level_id"]),
        side: side(&executor["side"]),
        created_at: nanos(&executor["timestamp"]),
        status: match executor["status"].as_str().expect("a status") {
            "NOT_STARTED" => Status::NotStarted,
            "RUNNING" => Status::Running,
            "SHUTTING_DOWN" => Status::ShuttingDown,
            "TERMINATED" => Status::Terminated,
            other => panic!("status {other}"),
        },
        active: executor["is_active"] == true,
        trading: executor["is_trading"] == true,
        close: close_type(&executor["close_type"]),
        closed_at: maybe_nanos(&executor["close_timestamp"]),
        entry_complete: executor["entry_complete"] == true,
        last_entry_fill: maybe_nanos(&executor["last_entry_fill"]),
        inventory: inventory.is_object().then(|| Inventory {
            amount: Amount(atto(&inventory["amount"])),
            price: Price(atto(&inventory["entry_price"])),
        }),
    }
}

fn records(case: &Value) -> Vec<Record> {
    let own = |position: &&Value| {
        let elsewhere = |field: &str, own: &Value| !position[field].is_null() && position[field] != *own;
        !elsewhere("trading_pair", &case["config"]["trading_pair"])
            && !elsewhere("connector_name", &case["config"]["connector_name"])
    };
    let positions = case["positions"].as_array().expect("positions");
    positions
        .iter()
        .filter(own)
        .map(|position| Record {
            side: side(&position["side"]),
            amount: Amount(atto(&position["amount"])),
            price: Price(atto(&position["breakeven_price"])),
            unrealized: Money(atto(&position["unrealized_pnl_quote"])),
        })
        .collect()
}

fn tick(case: &Value) -> Outcome {
    let expected = outcome(case);
    let settings = match (settings(&case["config"]), &expected["config_error"]) {
        (Ok(settings), Value::Null) => settings,
        (Err(fields), error) => {
            return judged((json!(fields) != error["fields"]).then(|| format!("{fields:?}, expected {error}")));
        }
        (Ok(_), error) => return Outcome::Different(format!("accepted, expected {error}")),
    };
    let instrument = instrument(&case["market"]);
    let touch = Touch {
        instrument: &instrument,
        bid: ticks(&instrument, &case["market"]["best_bid"]),
        ask: ticks(&instrument, &case["market"]["best_ask"]),
    };
    let executors: Vec<Report> =
        case["executors"].as_array().expect("executors").iter().enumerate().map(report).collect();
    let now = nanos(&case["now"]);
    let reference = |id: u32| text(&case["executors"][id as usize]["id"]);
    let inputs = Evaluation { settings: &settings, touch, now, records: &records(case), executors: &executors };
    match inputs.judge(expected, &reference) {
        Ok((_, None)) => Outcome::Equal(Vec::new()),
        Ok((_, Some(artifact))) => Outcome::Artifact(artifact),
        Err(wrong) => Outcome::Different(wrong),
    }
}

/// What an evaluation is made on.
pub struct Evaluation<'a> {
    pub settings: &'a PmmSettings,
    pub touch: Touch<'a>,
    pub now: Nanos,
    pub records: &'a [Record],
    pub executors: &'a [Report],
}

impl Evaluation<'_> {
    /// The decision, and what is an artifact in it. Where it differs, it is made again with what is held, with the profit, and with the
    /// spreads moved by one part in 1e12, each up, down or not: only where one of them lies on a bound does that change anything.
    pub fn judge(
        &self,
        expected: &Value,
        executor: &dyn Fn(u32) -> String,
    ) -> Result<(Decision, Option<String>), String> {
        let decide = |signs: [i128; 5]| {
            let (settings, records, executors) = self.moved(signs);
            let decision = evaluate(&settings, &self.touch, self.now, Rate::ONE, &records, &executors);
            decision_differs(self.settings, self.touch.instrument, &decision, expected, executor)
                .map(|artifact| (decision, artifact))
        };
        let wrong = match decide([0; 5]) {
            Err(wrong) => wrong,
            equal => return equal,
        };
        let signs = |n: i128| [0, 1, 2, 3, 4].map(|digit| [0, 1, -1][(n / 3_i128.pow(digit) % 3) as usize]);
        let found = (0..3_i128.pow(5)).find_map(|n| Some((signs(n), decide(signs(n)).ok()?.0)));
        let (signs, decision) = found.ok_or_else(|| wrong.clone())?;
        Ok((decision, Some(format!("on a boundary, inputs moved by 1e-12 {signs:?}: {wrong}"))))
    }

    fn moved(&self, [held, inventory, profit, buys, sells]: [i128; 5]) -> (PmmSettings, Vec<Record>, Vec<Report>) {
        let moved = |value: i128, sign: i128| value + value.abs() / 10_i128.pow(12) * sign;
        let mut settings = self.settings.clone();
        for (spreads, sign) in [(&mut settings.buy_spreads, buys), (&mut settings.sell_spreads, sells)] {
            spreads.iter_mut().for_each(|spread| spread.0 += sign as i64);
        }
        let record = |record: &Record| Record {
            amount: Amount(moved(record.amount.0, held)),
            unrealized: Money(moved(record.unrealized.0, profit)),
            ..*record
        };
        let report = |report: &Report| Report {
            inventory: report.inventory.map(|own| Inventory { amount: Amount(moved(own.amount.0, inventory)), ..own }),
            ..*report
        };
        (settings, self.records.iter().map(record).collect(), self.executors.iter().map(report).collect())
    }
}

/// Compares one evaluation; `Ok(Some)` names a float artifact.
pub fn decision_differs(
    settings: &PmmSettings,
    instrument: &Instrument,
    decision: &Decision,
    expected: &Value,
    executor: &dyn Fn(u32) -> String,
) -> Result<Option<String>, String> {
    let figures = &decision.figures;
    let data = &expected["processed_data"];
    let check = |name: &str, actual: Option<i128>| {
        let nan = text(&data[name]) == "NaN";
        let equal = actual.map_or(nan, |actual| !nan && same(&data[name], actual));
        if equal { Ok(()) } else { Err(format!("{name} is {actual:?}e-18, expected {}", data[name])) }
    };
    check("reference_price", figures.reference.map(|price| price.0))?;
    check("deviation", Some(figures.deviation.0))?;
    check("current_base_pct", Some(figures.base_pct.0))?;
    check("unrealized_pnl_pct", figures.pnl_pct.map(|ratio| ratio.0))?;
    check("position_amount", Some(figures.position.0))?;
    let levels = decision.levels.as_ref().map(|levels| levels.iter().map(|l| level_text(*l)).collect::<Vec<_>>());
    if json!(levels) != expected["levels_to_execute"] {
        return Err(format!("levels {levels:?}, expected {}", expected["levels_to_execute"]));
    }
    if let Some([buy, sell]) = decision.skew {
        if !same(&expected["skew"]["buy"], buy.0) || !same(&expected["skew"]["sell"], sell.0) {
            return Err(format!("skew {buy:?} {sell:?}, expected {}", expected["skew"]));
        }
        for (name, side) in [("buy", Side::Buy), ("sell", Side::Sell)] {
            let amounts = expected["amounts_quote"][name].as_array().expect("amounts");
            for (index, amount) in amounts.iter().enumerate() {
                let actual = budget(settings, Level { side, index: index as u8 });
                if !same(amount, actual.0) {
                    return Err(format!("budget of {name}_{index} {actual}, expected {amount}"));
                }
            }
        }
    }
    let skipped: Vec<Value> = decision
        .skipped
        .iter()
        .map(|(level, reason)| {
            let reason = match reason {
                Skip::InsufficientBalanceCooldown => "insufficient_balance_cooldown",
                Skip::NoReferencePrice => "no_reference_price",
                Skip::AmountZero => "amount_zero",
                Skip::BelowMinOrderSize => "below_min_order_size",
                Skip::BelowMinNotional => "below_min_notional",
            };
            json!({"level_id": level_text(*level), "reason": reason})
        })
        .collect();
    let none = Value::Array(Vec::new());
    let expected_skipped = if expected["skipped"].is_null() { &none } else { &expected["skipped"] };
    if json!(skipped) != *expected_skipped {
        return Err(format!("skipped {}, expected {expected_skipped}", json!(skipped)));
    }
    let actions = expected["actions"].as_array().expect("actions");
    if actions.len() != decision.creates.len() + decision.stops.len() {
        return Err(format!("{:?} {:?}, expected {actions:?}", decision.creates, decision.stops));
    }
    let mut artifact = None;
    for (create, expected_create) in decision.creates.iter().zip(actions) {
        if let Some(found) = create_differs(settings, instrument, decision, create, expected_create, expected)? {
            artifact = Some(found);
        }
    }
    for (stop, expected) in decision.stops.iter().zip(&actions[decision.creates.len()..]) {
        let actual = json!({"action": "stop", "executor": executor(stop.id), "keep_position": stop.keep_position});
        if actual != *expected {
            return Err(format!("{actual}, expected {expected}"));
        }
    }
    Ok(artifact)
}

fn create_differs(
    settings: &PmmSettings,
    instrument: &Instrument,
    decision: &Decision,
    create: &Create,
    expected: &Value,
    whole: &Value,
) -> Result<Option<String>, String> {
    let wrong = |what: &str| Err(format!("{what} of {create:?}, expected {expected}"));
    if expected["leverage"] != settings.leverage {
        return wrong("leverage");
    }
    match *create {
        Create::Closing { side, qty } => {
            let fits = expected["type"] == "order_executor"
                && expected["side"] == side_text(side)
                && atto(&expected["amount"]) == i128::from(qty.0) * instrument.lot.atto()
                && decision.figures.reference.is_some_and(|price| same(&expected["price"], price.0));
            if fits { Ok(None) } else { wrong("closing order") }
        }
        Create::Level { level, price, qty, take_profit } => {
            let barrier = &expected["triple_barrier"];
            let kind = match settings.take_profit_order {
                TakeProfitOrder::Market => "MARKET",
                TakeProfitOrder::Limit => "LIMIT",
                TakeProfitOrder::LimitMaker => "LIMIT_MAKER",
            };
            let profit = match take_profit {
                None => barrier["take_profit"].is_null(),
                Some(rate) => same(&barrier["take_profit"], i128::from(rate.0) * 1_000_000),
            };
            if expected["level_id"] != level_text(level)
                || expected["side"] != side_text(level.side)
                || !same_price(instrument, price, &expected["entry_price"])
                || barrier["take_profit_order_type"] != kind
                || !profit
            {
                return wrong("level");
            }
            let (lots, lot) = (i128::from(qty.0), instrument.lot.atto());
            if atto(&expected["amount"]) % lot != 0 {
                return wrong("amount off the lot");
            }
            let expected_lots = atto(&expected["amount"]) / lot;
            if expected_lots == lots {
                return Ok(tick_boundary(instrument, price, &expected["entry_price"]));
            }
            let (name, index) =
                expected["level_id"].as_str().expect("a level").split_once('_').expect("side and index");
            let budget = number(&whole["amounts_quote"][name][index.parse::<usize>().expect("an index")]);
            let step = decimal_text(lot, 18).parse::<f64>().expect("a number");
            let unrounded = budget / number(&expected["entry_price"]) * number(&whole["skew"][name]) / step;
            if (expected_lots - lots).abs() == 1 && (unrounded - unrounded.round()).abs() <= 1e-9 * unrounded {
                Ok(Some(format!("{} lots of {} lie on a whole lot", unrounded, level_text(level))))
            } else {
                wrong("amount")
            }
        }
    }
}

/// Agrees to 1e-9 of the price itself, and on the tick as well unless they lie within a millionth of a tick on its two sides.
pub fn same_price(instrument: &Instrument, exact: Price, original: &Value) -> bool {
    let (tick, theirs) = (instrument.tick.atto(), atto(original));
    let apart = (exact.0 - theirs).abs();
    apart <= theirs.abs() / 10_i128.pow(9) && (exact.0 / tick == theirs / tick || apart <= tick / 10_i128.pow(6))
}

/// Two prices that agree to 1e-9 and round to different ticks: the exact one lies on a tick, the other a hair beside it.
pub fn tick_boundary(instrument: &Instrument, exact: Price, original: &Value) -> Option<String> {
    let tick = instrument.tick.atto();
    (exact.0 / tick != atto(original) / tick).then(|| format!("price {exact} lies on a tick, {original} below it"))
}

fn position_hold(case: &Value) -> Outcome {
    let steps = outcome(case)["steps"].as_array().expect("steps");
    let initial = &case["initial_position"];
    let mut held = match initial.is_object() {
        true => Held::stated(side(&initial["side"]), Amount(atto(&initial["amount"]))),
        false => Held::default(),
    };
    let mut counted: Vec<String> = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let mid = Price(atto(&step["mid"]));
        for order in step["orders"].as_array().expect("orders") {
            let id = text(&order["client_order_id"]);
            if counted.contains(&id) {
                continue;
            }
            let figures = ["executed_amount_base", "executed_amount_quote", "cumulative_fee_paid_quote"];
            let [base, quote, fee] = figures.map(|name| atto(&order[name]));
            held.add(side(&order["trade_type"]), Amount(base), Money(quote), Money(fee));
            counted.push(id);
        }
        held.see(mid);
        if let Some(wrong) = summary_differs(&held, mid, &step["summary"]) {
            return Outcome::Different(format!("step {n}: {wrong}"));
        }
    }
    Outcome::Equal(Vec::new())
}

/// The first figure of a record that differs.
pub fn summary_differs(held: &Held, mid: Price, expected: &Value) -> Option<String> {
    let summary = held.summary(mid);
    let cost = summary.cost();
    for (name, actual) in [
        ("amount", summary.amount.0),
        ("breakeven_price", summary.breakeven.0),
        ("amount_quote", cost.0),
        ("unrealized_pnl_quote", summary.unrealized.0),
        ("realized_pnl_quote", summary.realized.0),
        ("volume_traded_quote", summary.volume.0),
        ("cum_fees_quote", summary.fees.0),
        ("global_pnl_quote", summary.total().0),
    ] {
        if !same(&expected[name], actual) {
            return Some(format!("{name} is {}, expected {}", decimal_text(actual, 18), expected[name]));
        }
    }
    (expected["side"] != side_text(summary.side))
        .then(|| format!("side {:?}, expected {}", summary.side, expected["side"]))
}
