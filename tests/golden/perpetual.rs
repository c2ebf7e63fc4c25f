//! Drives `Perpetual` through a scenario: the exchange's side of FORMAT.md (order ids, confirmations, positions, handshake).
//!
//! A scenario runs on exact decimals first. Where that differs, it runs again with the two inputs that the originals hold in
//! binary doubles (the last trade's price, running sums of book sizes) held likewise. Only if that second run is equal tick by
//! tick, and the first difference is one that such an input can make (the last price is the reference and a price or decision
//! falls on a boundary, or the exact sum meets a depth exactly and the double sum misses it), the case counts as a float
//! artifact; it is listed with its tick. A margin that does not terminate is rounded to 28 digits by the originals, which matters
//! only where it meets the free balance exactly: such a case is equal with that balance moved by 1e-18, and is listed likewise.
//!
//! A stop also cancels the entries that would add to the position (W13 in the strategy's table), which the originals leave. Such a
//! cancel is recognised by its cause and its order's purpose, counted and listed, and not carried out: the rest of the scenario
//! goes on with the order, as it was recorded.

use super::Outcome;
use super::pmm::atto;
use serde_json::Value;
use spinquote::config::perpetual::{KEYS, PerpetualSettings, PriceSource};
use spinquote::event::{ClientId, Level, PositionSide, Side};
use spinquote::instrument::Instrument;
use spinquote::maker::strategy::perpetual::{Act, Collateral, Perpetual};
use spinquote::maker::strategy::{
    AccountRequest, BookView, Cadence, Cause, External, ORDERS_MAX, OwnEvent, OwnOrder, Plan, PositionView, Purpose,
    Strategy, View,
};
use spinquote::unit::{Amount, Lots, Money, Nanos, Price, Rate, Ticks, parse_scaled};
use std::cell::Cell;
use std::collections::HashMap;

/// A step with its expected and its actual actions, as text.
struct Difference {
    at: f64,
    expected: Vec<String>,
    actual: Vec<String>,
    depth_boundary: bool,
}

pub fn run(case: &Value) -> Outcome {
    if case["validation"].is_array() {
        return validate(case);
    }
    let mut notes = Vec::new();
    let Err(exact) = play(case, &Held::default(), &mut notes) else { return Outcome::Equal(notes) };
    let place = format!("t={} expected {:?}, came {:?}", exact.at, exact.expected, exact.actual);
    for binary in [false, true] {
        if let Some(moved) = balances_moved(case, binary) {
            return Outcome::Artifact(format!(
                "free balance equals the margin, moved by 1e-18 at {moved} ticks: {place}"
            ));
        }
    }
    match play(case, &Held { binary: true, ..Held::default() }, &mut Vec::new()) {
        Ok(()) if exact.depth_boundary => Outcome::Artifact(format!("exact sum of sizes meets the depth, {place}")),
        Ok(()) if one_tick_apart(case, &exact) => Outcome::Artifact(format!("last price on a tick boundary, {place}")),
        // The two inputs differ by 1e-16 of the price at most, so a different decision means that it fell on a boundary.
        Ok(()) if case["config"]["price_type"] == "last_price" => {
            Outcome::Artifact(format!("last price on a decision's boundary, {place}"))
        }
        Ok(()) => Outcome::Different(format!("equal in doubles, but not on a boundary: {place}")),
        Err(_) => Outcome::Different(place),
    }
}

/// How a run holds its inputs: the last price and sums of sizes in doubles or exactly; by how many 1e-18 the balances are moved, by tick.
#[derive(Clone, Default)]
struct Held {
    binary: bool,
    moved: HashMap<usize, i128>,
}

/// The ticks at which the balances have to be moved by 1e-18 for the scenario to be equal; `None` where that is not possible. They are
/// moved where the run first differs, and only if it is then equal for longer.
fn balances_moved(case: &Value, binary: bool) -> Option<usize> {
    let mut held = Held { binary, ..Held::default() };
    let mut at = match play(case, &held, &mut Vec::new()) {
        Ok(()) => return None,
        Err(difference) => difference.at,
    };
    let steps = case["steps"].as_array().expect("steps");
    while let Some(tick) = steps.iter().position(|step| step["t"].as_f64() == Some(at)) {
        let longer = [-1, 1].into_iter().find_map(|by| {
            let mut other = held.clone();
            other.moved.insert(tick, by);
            match play(case, &other, &mut Vec::new()) {
                Ok(()) => Some((other, None)),
                Err(difference) => (difference.at > at).then_some((other, Some(difference.at))),
            }
        });
        match longer? {
            (other, None) => return Some(other.moved.len()),
            (other, Some(later)) => (held, at) = (other, later),
        }
    }
    None
}

/// What happens before a tick.
fn events(step: &Value) -> &Vec<Value> {
    let own = if step["intended_events"].is_array() { &step["intended_events"] } else { &step["events"] };
    own.as_array().expect("events")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The exact value of the nearest double, cut at 1e-18.
fn binary(value: &Value) -> i128 {
    let bits = text(value).parse::<f64>().expect("a number").to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    let mantissa = i128::from((bits & ((1 << 52) - 1)) | (1 << 52)) * 10_i128.pow(18);
    if exponent < 0 { mantissa >> (-exponent).min(127) } else { mantissa << exponent }
}

fn nanos(seconds: &Value) -> Nanos {
    Nanos::from_micros((seconds.as_f64().expect("a time") * 1e6).round() as i64)
}

/// Prices in 1e-18, possibly off the tick; sizes likewise.
#[derive(Default)]
struct Book {
    levels: [Vec<(i128, i128)>; 2],
    tick: i128,
    lot: i128,
    /// What the strategy's depths of bids and asks, in whole lots, are more than the stated ones: sizes here may be off the lot.
    above_depth: [i128; 2],
    binary: bool,
    depth_boundary: Cell<bool>,
}

impl Book {
    fn set(&mut self, event: &Value) {
        for (side, name) in ["bids", "asks"].into_iter().enumerate() {
            let levels = event[name].as_array().expect("levels");
            self.levels[side] = levels.iter().map(|level| (atto(&level[0]), atto(&level[1]))).collect();
        }
    }

    /// The best price truncated to the tick.
    fn best_price(&self, side: Side) -> Option<Price> {
        self.levels[side.index()].first().map(|(price, _)| Price(price - price % self.tick))
    }

    fn level(&self, (price, size): (i128, i128)) -> Level {
        Level { price: Ticks((price / self.tick) as i64), qty: Lots((size / self.lot) as i64) }
    }
}

impl BookView for Book {
    fn best(&self, side: Side) -> Option<Level> {
        self.levels[side.index()].first().map(|level| self.level(*level))
    }

    fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        self.levels[side.index()]
            .iter()
            .map(|level| self.level(*level))
            .find(|level| if side == Side::Buy { level.price < price } else { level.price > price })
    }

    /// Levels off the tick count away from the middle's side: bids up, asks down, as the document's ceil and floor.
    fn reach(&self, side: Side, qty: Lots) -> Option<Ticks> {
        let target = i128::from(qty.0) * self.lot - self.above_depth[side.index()];
        let as_double = |atto: i128| spinquote::unit::decimal_text(atto, 18).parse::<f64>().expect("a number");
        let (mut exact_sum, mut double_sum, mut exact, mut double) = (0_i128, 0.0_f64, None, None);
        for (price, size) in &self.levels[side.index()] {
            let price = if side == Side::Buy { -(-price).div_euclid(self.tick) } else { price.div_euclid(self.tick) };
            exact_sum += size;
            double_sum += as_double(*size);
            if exact_sum >= target && exact.is_none() {
                exact = Some((Ticks(price as i64), exact_sum == target));
            }
            if double_sum >= as_double(target) && double.is_none() {
                double = Some(Ticks(price as i64));
            }
        }
        if let Some((_, true)) = exact
            && exact.map(|(price, _)| price) != double
        {
            self.depth_boundary.set(true);
        }
        if self.binary { double } else { exact.map(|(price, _)| price) }
    }
}

/// One reported position: key, pair, view of it.
type Position = (String, String, PositionView);

/// The exchange's side of a scenario, and the originals' start-up (D6).
struct Exchange {
    instrument: Instrument,
    pair: String,
    book: Book,
    external: Book,
    last_trade: Option<Price>,
    external_last: Option<Price>,
    custom: Price,
    orders: Vec<OwnOrder>,
    positions: Vec<Position>,
    available: HashMap<String, Money>,
    /// What is added to the balances of this tick.
    moved: Money,
    /// Ids given out, and orders placed and cancelled in one decision (W1).
    ids: u32,
    revoked: u32,
    /// Entries that a stop cancelled (W13).
    guarded: Vec<ClientId>,
    mode_ready: bool,
    mode_counter: u32,
    market_ready: bool,
    external_ready: bool,
    api_connected: bool,
    all_ready: bool,
}

fn settings(config: &Value) -> PerpetualSettings {
    let mut settings = PerpetualSettings::default();
    for name in config.as_object().expect("a configuration").keys() {
        assert!(name == "strategy" || KEYS.iter().any(|key| key.name == name), "unknown parameter {name}");
    }
    for key in KEYS {
        match &config[key.name] {
            Value::Null => {}
            value => {
                (key.set)(&mut settings, &text(value)).unwrap_or_else(|e| panic!("{}: {e}", key.name));
            }
        }
    }
    settings.settle();
    assert_eq!(settings.check(), Vec::<String>::new(), "settings of a scenario");
    settings
}

fn play(case: &Value, held: &Held, notes: &mut Vec<String>) -> Result<(), Difference> {
    let settings = settings(&case["config"]);
    let market = &case["market"];
    let step = |name: &str| market[name].as_str().expect("a step").to_owned();
    let pair = text(&market["pair"]);
    let (base, quote) = pair.split_once('-').expect("BASE-QUOTE");
    let mut instrument = Instrument::synthetic(&pair.replace('-', ""), &step("price_tick"), &step("lot_size"));
    instrument.maker_fee = Rate::parse(text(&market["maker_fee"]).as_bytes()).expect("a fee");
    let collateral = |side: &str| match text(&market[side]) {
        token if token == base => Collateral::Base,
        token if token == quote => Collateral::Quote,
        token => panic!("collateral {token} is neither base nor quote"),
    };
    let mut strategy = Perpetual::new(settings, Cadence::Interval(nanos(&case["tick_size"])))
        .with_collateral(collateral("buy_collateral"), collateral("sell_collateral"));
    let sync = case["cancel_ack"] == "sync";
    if sync {
        strategy = strategy.with_cancels_at_once();
    }
    let external_tick = market["ext_price_tick"].as_str().map_or(10_i128.pow(16), |tick| atto(&tick.into()));
    let lot = instrument.lot.atto();
    let above = |depth: Amount| (lot - depth.0 % lot) % lot;
    let above_depth = [above(strategy.settings().bid_depth), above(strategy.settings().ask_depth)];
    let book = |tick| Book { tick, lot, above_depth, binary: held.binary, ..Book::default() };
    let mut exchange = Exchange {
        book: book(instrument.tick.atto()),
        external: book(external_tick),
        instrument,
        pair,
        last_trade: None,
        external_last: None,
        custom: Price::ZERO,
        orders: Vec::new(),
        positions: Vec::new(),
        available: HashMap::new(),
        moved: Money::ZERO,
        ids: 0,
        revoked: 0,
        guarded: Vec::new(),
        mode_ready: false,
        mode_counter: 0,
        market_ready: true,
        external_ready: true,
        api_connected: false,
        all_ready: false,
    };
    let start = nanos(&case["start_timestamp"]);
    let mut plan = Plan::default();
    strategy.start(start, &mut plan);
    let mut now = start;
    let started: Vec<String> = plan.account.iter().filter_map(account_text).collect();
    compare(-1.0, &case["start_actions"], started, &exchange)?;
    for (tick, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
        exchange.moved = Money(held.moved.get(&tick).copied().unwrap_or(0));
        for event in events(step) {
            exchange.apply(event, now, held, &mut strategy);
        }
        now = start + nanos(&step["t"]);
        let expected = if step["intended"].is_array() { &step["intended"] } else { &step["original"] };
        let actual = exchange.tick(now, sync, &mut strategy);
        compare(step["t"].as_f64().expect("a time"), expected, actual, &exchange)?;
    }
    if !exchange.guarded.is_empty() {
        let ids: Vec<String> = exchange.guarded.iter().map(|id| format!("o{}", id.seq)).collect();
        notes.push(format!("W13: {} cancelled with a stop, left where the originals leave them", ids.join(", ")));
    }
    if exchange.revoked > 0 {
        notes.push(format!("W1: {} placed and cancelled in one decision, not sent", exchange.revoked));
    }
    Ok(())
}

/// The mode is asked for at the start of a live run; the scenarios wait ten ticks for it (W10).
fn account_text(request: &AccountRequest) -> Option<String> {
    match request {
        AccountRequest::Leverage(leverage) => Some(format!("set_leverage {leverage}")),
        AccountRequest::PositionMode(_) => None,
    }
}

fn compare(at: f64, expected: &Value, actual: Vec<String>, exchange: &Exchange) -> Result<(), Difference> {
    let expected: Vec<String> = expected
        .as_array()
        .expect("actions")
        .iter()
        .map(|action| {
            let field = |name: &str| text(&action[name]);
            let number = |name: &str| spinquote::unit::decimal_text(atto(&action[name]), 18);
            match action["op"].as_str().expect("an op") {
                "cancel" => format!("cancel {}", field("id")),
                "create" => format!(
                    "{} {} {} {} at {} {}",
                    field("id"),
                    field("position_action"),
                    field("order_type"),
                    field("side"),
                    number("price"),
                    number("amount")
                ),
                "set_leverage" => format!("set_leverage {}", field("leverage")),
                "set_position_mode" => format!("set_position_mode {}", field("mode")),
                other => panic!("unknown op {other}"),
            }
        })
        .collect();
    if expected == actual {
        return Ok(());
    }
    Err(Difference { at, expected, actual, depth_boundary: exchange.book.depth_boundary.get() })
}

/// Same actions, and each price equal or off by exactly one tick.
fn one_tick_apart(case: &Value, difference: &Difference) -> bool {
    let tick = atto(&case["market"]["price_tick"]);
    let price_at = |line: &str| line.split(' ').position(|word| word == "at").map(|at| at + 1);
    difference.expected.len() == difference.actual.len()
        && difference.expected.iter().zip(&difference.actual).all(|(expected, actual)| {
            let Some(at) = price_at(expected) else { return expected == actual };
            let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let (mut expected, mut actual) = (words(expected), words(actual));
            if expected.len() != actual.len() {
                return false;
            }
            let (left, right) = (expected.remove(at), actual.remove(at));
            let apart = parse_scaled(left.as_bytes(), 18).unwrap() - parse_scaled(right.as_bytes(), 18).unwrap();
            expected == actual && (apart == 0 || apart.abs() == tick)
        })
}

fn seq(id: &str) -> ClientId {
    ClientId { run: 1, seq: id.trim_start_matches('o').parse().expect("an order id") }
}

impl Exchange {
    fn apply(&mut self, event: &Value, now: Nanos, held: &Held, strategy: &mut Perpetual) {
        let trade = || Some(Price(if held.binary { binary(&event["price"]) } else { atto(&event["price"]) }));
        match event["type"].as_str().expect("an event type") {
            "book" => self.book.set(event),
            "ext_book" => self.external.set(event),
            "last_trade" => self.last_trade = trade(),
            "ext_last_trade" => self.external_last = trade(),
            "balance" => {
                self.available.insert(text(&event["token"]), Money(atto(&event["available"])));
            }
            "position" | "position_removed" => self.position(event),
            "fill" => {
                let id = seq(event["id"].as_str().expect("an id"));
                if let Some(order) = self.orders.iter_mut().find(|order| order.id == id) {
                    order.filled += Lots((atto(&event["amount"]) / self.instrument.lot.atto()) as i64);
                }
            }
            kind @ ("completed" | "cancelled" | "expired" | "failed") => {
                let id = seq(event["id"].as_str().expect("an id"));
                if let Some(at) = self.orders.iter().position(|order| order.id == id) {
                    let order = self.orders.remove(at);
                    let own = match kind {
                        "completed" => OwnEvent::Filled { order, price: order.price, qty: order.qty, complete: true },
                        _ => OwnEvent::Gone { order, rejected: kind == "failed" },
                    };
                    strategy.on_own(now, &own);
                }
            }
            "position_mode" => {
                let (hedge, ok) = (event["mode"] == "HEDGE", event["success"] == true);
                self.mode_ready = ok && hedge == strategy.settings().hedge;
                strategy.on_own(now, &OwnEvent::PositionMode { hedge, ok });
            }
            "market_ready" => self.market_ready = event["ready"] == true,
            "ext_ready" => self.external_ready = event["ready"] == true,
            "api_price" => self.custom = Price(atto(&event["price"])),
            "api_status" => self.api_connected = event["connected"] == true,
            "funding_payment" => {}
            "set_param" => set_param(strategy, &text(&event["name"]), &event["value"]),
            other => panic!("unknown event {other}"),
        }
    }

    fn position(&mut self, event: &Value) {
        let pair = event["pair"].as_str().unwrap_or(&self.pair).to_owned();
        let hedge = event["mode"] == "HEDGE";
        let key = match event["key"].as_str() {
            Some(key) => key.to_owned(),
            None if hedge => format!("{pair} {}", text(&event["side"])),
            None => pair.clone(),
        };
        let known = self.positions.iter().position(|(other, ..)| *other == key);
        if event["type"] == "position_removed" {
            if let Some(at) = known {
                self.positions.remove(at);
            }
            return;
        }
        let amount = atto(&event["amount"]);
        let view = PositionView {
            // Below one lot only the label is left of the direction.
            side: match amount.signum() {
                1 => PositionSide::Long,
                -1 => PositionSide::Short,
                _ => PositionSide::Net,
            },
            qty: Lots((amount / self.instrument.lot.atto()) as i64),
            entry: Price(atto(&event["entry_price"])),
        };
        match known {
            Some(at) => self.positions[at] = (key, pair, view),
            None => self.positions.push((key, pair, view)),
        }
    }

    /// One tick: the start-up of the originals, then the strategy; returns the actions as text.
    fn tick(&mut self, now: Nanos, sync: bool, strategy: &mut Perpetual) -> Vec<String> {
        if !self.mode_ready {
            self.mode_counter += 1;
            let mut actions = Vec::new();
            if self.mode_counter >= 10 {
                self.mode_counter = 0;
                if self.market_ready {
                    let mode = if strategy.settings().hedge { "HEDGE" } else { "ONEWAY" };
                    actions.push(format!("set_leverage {}", strategy.settings().leverage));
                    actions.push(format!("set_position_mode {mode}"));
                }
            }
            return actions;
        }
        self.mode_counter = 0;
        self.all_ready |= self.market_ready
            && match strategy.settings().price_source {
                PriceSource::CurrentMarket => true,
                PriceSource::ExternalMarket => self.external_ready,
                PriceSource::CustomApi => self.api_connected,
            };
        if !self.all_ready {
            return Vec::new();
        }
        let positions: Vec<PositionView> =
            self.positions.iter().filter(|(_, pair, _)| *pair == self.pair).map(|(_, _, view)| *view).collect();
        let (base, quote) = self.pair.split_once('-').expect("BASE-QUOTE");
        let free = |token: &str| self.available.get(token).copied().unwrap_or(Money::ZERO) + self.moved;
        let view = View {
            now,
            instrument: &self.instrument,
            book: &self.book,
            last_trade: self.last_trade,
            mark: None,
            funding: None,
            external: External {
                bid: self.external.best_price(Side::Buy),
                ask: self.external.best_price(Side::Sell),
                last: self.external_last,
                custom: Some(self.custom),
            },
            orders: &self.orders,
            positions: &positions,
            available: free(quote),
            available_base: Amount(free(base).0),
            wallet: free(quote),
            unrealized: Money::ZERO,
            widen: Rate::ONE,
        };
        let mut plan = Plan::default();
        strategy.decide(&view, &mut plan);
        self.check_plan(strategy.script(), &plan);
        self.carry_out(now, sync, strategy.script())
    }

    /// The plan is the script without what was revoked.
    fn check_plan(&self, script: &[Act], plan: &Plan) {
        let revoked = |n: usize| script.iter().any(|act| matches!(act, Act::Revoke(at, _) if *at == n));
        let mut cancels = plan.cancel.iter();
        let mut places = plan.place.iter();
        for (n, act) in script.iter().enumerate() {
            match act {
                Act::Cancel(id, _) => assert_eq!(cancels.next().map(|(id, _)| id), Some(id)),
                Act::Place(quote, _) if !revoked(n) => assert_eq!(places.next().map(|(quote, _)| quote), Some(quote)),
                Act::Place(..) | Act::Revoke(..) => {}
            }
        }
        assert!(cancels.next().is_none() && places.next().is_none());
    }

    fn is_entry(&self, id: ClientId) -> bool {
        self.orders.iter().any(|order| order.id == id && order.purpose == Purpose::Entry)
    }

    fn carry_out(&mut self, now: Nanos, sync: bool, script: &[Act]) -> Vec<String> {
        let mut actions = Vec::new();
        let mut placed = HashMap::new();
        for (n, act) in script.iter().enumerate() {
            let canceled = match act {
                Act::Cancel(id, Cause::StopLoss) if self.is_entry(*id) => {
                    self.guarded.push(*id);
                    continue;
                }
                Act::Cancel(id, _) => *id,
                Act::Revoke(at, _) => {
                    self.revoked += 1;
                    placed[at]
                }
                Act::Place(quote, _) => {
                    self.ids += 1;
                    let id = ClientId { run: 1, seq: self.ids };
                    placed.insert(n, id);
                    let number = |count: i64, step: i128| spinquote::unit::decimal_text(i128::from(count) * step, 18);
                    actions.push(format!(
                        "o{} {} LIMIT {} at {} {}",
                        self.ids,
                        if quote.reduce_only { "CLOSE" } else { "OPEN" },
                        if quote.side == Side::Buy { "buy" } else { "sell" },
                        number(quote.price.0, self.instrument.tick.atto()),
                        number(quote.qty.0, self.instrument.lot.atto())
                    ));
                    self.orders.push(OwnOrder {
                        id,
                        side: quote.side,
                        position_side: quote.position_side,
                        purpose: quote.purpose,
                        level: quote.level,
                        price: quote.price,
                        qty: quote.qty,
                        filled: Lots::ZERO,
                        created_at: now,
                        cancel_sent: None,
                        resting: true,
                    });
                    assert!(self.orders.len() <= ORDERS_MAX);
                    continue;
                }
            };
            actions.push(format!("cancel o{}", canceled.seq));
            let at = self.orders.iter().position(|order| order.id == canceled).expect("a live order");
            if sync {
                self.orders.remove(at);
            } else {
                self.orders[at].cancel_sent = Some(now);
            }
        }
        actions
    }
}

/// Run-time changes; spreads are fractions here.
fn set_param(strategy: &mut Perpetual, name: &str, value: &Value) {
    let mut settings = strategy.settings().clone();
    let rate = || Rate::parse(text(value).as_bytes()).expect("a fraction");
    let count = || (atto(value) / 10_i128.pow(18)) as u32;
    let time = || Nanos((atto(value) / 10_i128.pow(9)) as i64);
    let band = || Some(Price(atto(value))).filter(|price| *price > Price::ZERO);
    match name {
        "bid_spread" => settings.bid_spread = rate(),
        "ask_spread" => settings.ask_spread = rate(),
        "order_refresh_tolerance_pct" => settings.order_refresh_tolerance = rate(),
        "order_level_spread" => settings.order_level_spread = rate(),
        "order_amount" => settings.order_amount = Amount(atto(value)),
        "order_level_amount" => settings.order_level_amount = Amount(atto(value)),
        "order_levels" => {
            settings.order_levels = count();
            settings.buy_levels = count();
            settings.sell_levels = count();
        }
        "buy_levels" => settings.buy_levels = count(),
        "sell_levels" => settings.sell_levels = count(),
        "order_optimization_enabled" => settings.order_optimization_enabled = text(value).eq_ignore_ascii_case("true"),
        "order_refresh_time" => settings.order_refresh_time = time(),
        "filled_order_delay" => settings.filled_order_delay = time(),
        "price_ceiling" => settings.price_ceiling = band(),
        "price_floor" => settings.price_floor = band(),
        other => panic!("unknown parameter {other}"),
    }
    strategy.apply(&settings);
}

/// Verdicts on single values, pairs of band prices, and the defaults.
fn validate(case: &Value) -> Outcome {
    let mut notes = Vec::new();
    let mut wrong = Vec::new();
    let list = |name: &str| case[name].as_array().cloned().unwrap_or_default();
    let set = |settings: &mut PerpetualSettings, name: &str, value: &str| {
        let key = KEYS.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key {name}"));
        (key.set)(settings, value)
    };
    for verdict in list("validation") {
        let (param, raw) = (text(&verdict["param"]), text(&verdict["raw"]));
        let mut settings = PerpetualSettings::default();
        if let Some(source) = verdict["price_source"].as_str() {
            set(&mut settings, "price_source", source).expect("a price source");
        }
        let mut accepted = set(&mut settings, &param, &raw).is_ok();
        if param == "price_type" {
            accepted &= settings.check_price_type().is_none();
        }
        if verdict["accepted"] != accepted {
            if param == "stop_loss_spread" && accepted && settings.stop_loss_spread.is_zero() {
                notes.push("stop_loss_spread 0 is accepted and means no stop loss (section 19, row 5)".into());
            } else {
                wrong.push(format!("{param} {raw:?} is accepted: {accepted}"));
            }
        }
    }
    for verdict in list("init") {
        let mut settings = PerpetualSettings::default();
        for name in ["price_ceiling", "price_floor"] {
            set(&mut settings, name, &text(&verdict[name])).expect("a band price");
        }
        let accepted = !settings.check().iter().any(|message| message.starts_with("price_ceiling"));
        if verdict["accepted"] != accepted {
            wrong.push(format!("{verdict} is accepted: {accepted}"));
        }
    }
    for (param, expected) in case["defaults"].as_object().into_iter().flatten() {
        let Some(key) = KEYS.iter().find(|key| key.name == param) else {
            // The key that names the strategy is the loader's: it chooses this table.
            assert_eq!(param, "strategy");
            continue;
        };
        let default = key.default.filter(|text| !text.is_empty());
        let same = match (expected["default"].as_str(), default) {
            (None, None) => true,
            (Some(theirs), Some(ours)) => {
                let (mut left, mut right) = (PerpetualSettings::default(), PerpetualSettings::default());
                (key.set)(&mut left, theirs).expect("their default");
                (key.set)(&mut right, ours).expect("our default");
                left == right
            }
            _ => false,
        };
        if !same {
            wrong.push(format!("the default of {param} is {:?}, not {}", key.default, expected["default"]));
        }
    }
    if wrong.is_empty() { Outcome::Equal(notes) } else { Outcome::Different(wrong.join("; ")) }
}
