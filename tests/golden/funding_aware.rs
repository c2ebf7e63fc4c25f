//! Drives `FundingAware` through single updates, prices, settings and wake-ups: the venue's side of FORMAT.md (its replies as the
//! strategy's inputs, its orders from the plan).
//!
//! Left out of the comparison: the half second that simple mode waits between cancel and placement (G12 of the strategy's table).
//! Values before rounding agree to 1e-9. Where the calls differ, the step runs again with its inputs (mark and mid, position value,
//! account value, prices and sizes of live bids and asks) moved by one part in 1e12, each up, down or not. Only if the calls are
//! then exactly the recorded ones, the case lies on a boundary of rounding or decision and counts as a float artifact; it is listed.
//! Prices of the circuit breaker and mids of the wake-ups likewise, one at a time.

use super::{Outcome, funding_loop};
use serde_json::Value;
use spinquote::config::funding_aware::FundingAwareSettings;
use spinquote::config::load::{self, Strategy as Loaded, Target};
use spinquote::event::{ClientId, Side, TimeInForce};
use spinquote::instrument::Instrument;
use spinquote::maker::strategy::funding_aware::{Blocked, FundingAware, Holding, Inputs, Resting, Targets};
use spinquote::maker::strategy::{FundingView, Plan};
use spinquote::unit::{Amount, Money, Nanos, Price, Rate, decimal_text};

/// What the cases of this strategy are called.
pub const KINDS: &[&str] = &["config", "skewed_mid", "update_quotes", "volatility", "ws_trigger", "loop"];

pub fn run(case: &Value) -> Outcome {
    let expected = if case["intended"].is_object() { &case["intended"] } else { &case["original"] };
    let result = match case["kind"].as_str() {
        Some("config") => config(case, expected).map(|()| None),
        Some("ws_trigger") => funding_loop::wake_ups(case, expected),
        Some(kind) => match (settings(&case["config"]), expected["config_error"].is_object()) {
            (Err(_), true) => Ok(None),
            (Ok(_), true) => Err("the settings are accepted".to_owned()),
            (Err(problems), false) => Err(format!("the settings are refused: {problems}")),
            (Ok(settings), false) => match kind {
                "skewed_mid" => skewed_mid(case, expected, settings).map(|()| None),
                "update_quotes" => update(case, expected, settings),
                "volatility" => funding_loop::volatility(expected),
                "loop" => funding_loop::run(case, expected, settings),
                other => Err(format!("unknown kind {other}")),
            },
        },
        None => Err("no kind".to_owned()),
    };
    match result {
        Ok(None) => Outcome::Equal(Vec::new()),
        Ok(Some(artifact)) => Outcome::Artifact(artifact),
        Err(what) => Outcome::Different(what),
    }
}

/// Numbers stand as text or as JSON numbers.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A decimal, also with an exponent, with 18 places; finer digits are cut. `None` for what is no number.
pub fn atto(value: &Value) -> Option<i128> {
    let text = text(value);
    let (front, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let negative = front.starts_with('-');
    let (whole, fraction) =
        front.trim_start_matches('-').split_once('.').unwrap_or((front.trim_start_matches('-'), ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 18 + exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
    let scale = 10_i128.checked_pow(shift.unsigned_abs())?;
    let value = if shift < 0 { digits / scale } else { digits.checked_mul(scale)? };
    Some(if negative { -value } else { value })
}

/// Seconds to nanoseconds; the recorded times are doubles, so a microsecond is as fine as they are.
pub fn nanos(seconds: &Value) -> Nanos {
    let micros = (text(seconds).parse::<f64>().expect("a time") * 1e6).round();
    Nanos::from_micros(micros as i64)
}

fn settings(config: &Value) -> Result<FundingAwareSettings, String> {
    match load::strategy_text("config.json", &config.to_string(), Target::Demo) {
        Ok(loaded) => match loaded.settings {
            Loaded::FundingAware(settings) => Ok(settings),
            _ => Err("another strategy".to_owned()),
        },
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

fn config(case: &Value, expected: &Value) -> Result<(), String> {
    let s = match (settings(&case["config"]), expected["ok"] == true) {
        (Ok(settings), true) => settings,
        (Ok(_), false) => return Err(format!("accepted, but: {}", expected["message"])),
        (Err(problems), true) => return Err(problems),
        (Err(problems), false) => {
            // "in intended refusals the message names the section or field"
            let message = text(&expected["message"]);
            let named = message
                .split_whitespace()
                .filter(|word| word.contains('_') || word.contains('.'))
                .all(|word| problems.contains(word.trim_end_matches([':', ','])));
            return if case["intended"].is_null() || named { Ok(()) } else { Err(problems) };
        }
    };
    let money = |value: Money| value.0;
    let rate = |value: Rate, places: u32| i128::from(value.0) * 10_i128.pow(6 + places);
    let count = |value: u32| i128::from(value) * 10_i128.pow(18);
    for (name, ours) in [
        ("BASE_ORDER_SIZE", money(s.base_order_usd)),
        ("BASE_SPREAD_BPS", rate(s.base_spread, 4)),
        ("EMERGENCY_STOP_LOSS_PCT", rate(s.emergency_stop_loss, 2)),
        ("FALLBACK_CHECK_SECONDS", i128::from(s.fallback_check.0) * 10_i128.pow(9)),
        ("FUNDING_SKEW_MULTIPLIER", rate(s.funding_multiplier, 0)),
        ("INVENTORY_SKEW_BPS_PER_1K", rate(s.skew_per_1k, 4)),
        ("INVENTORY_SKEW_THRESHOLD_USD", money(s.skew_threshold_usd)),
        ("LEVERAGE", count(s.leverage)),
        ("MAX_FUNDING_RATE_PCT_8H", rate(s.max_funding_8h, 2)),
        ("MAX_POSITION_USD", money(s.max_position_usd)),
        ("MAX_QUOTE_COUNT", count(s.max_quote_count)),
        ("MAX_SKEW_BPS", rate(s.max_skew, 4)),
        ("MAX_SPREAD_BPS", rate(s.max_spread.expect("settled"), 4)),
        ("MIN_MARGIN_RATIO_PCT", rate(s.min_margin_ratio, 2)),
        ("MIN_ORDER_SIZE", s.min_order_size.0),
        ("MIN_SPREAD_BPS", rate(s.min_spread.expect("settled"), 4)),
        ("PRICE_DECIMALS", count(s.price_decimals.into())),
        ("PROFIT_TAKE_AGGRESSION_BPS", rate(s.profit_aggression, 4)),
        ("PROFIT_TAKE_THRESHOLD_USD", money(s.profit_threshold_usd)),
        ("SIZE_DECIMALS", count(s.size_decimals.into())),
        ("SIZE_INCREMENT", s.size_increment.0),
        ("TARGET_POSITION_USD", money(s.target_position_usd)),
        ("UPDATE_THRESHOLD_BPS", rate(s.update_threshold, 4)),
    ] {
        let theirs = &expected["values"][name];
        if !theirs.is_null() && atto(theirs) != Some(ours) {
            return Err(format!("{name} is {}, expected {theirs}", decimal_text(ours, 18)));
        }
    }
    for (name, ours) in [
        ("IS_SUBACCOUNT", Value::from(s.is_subaccount)),
        ("SMART_ORDER_MGMT_ENABLED", Value::from(s.smart_order_mgmt)),
        ("SUBACCOUNT_ADDRESS", s.subaccount_address.map_or(Value::Null, Value::from)),
    ] {
        if expected["values"].get(name).is_some_and(|theirs| *theirs != ours) {
            return Err(format!("{name} is {ours}, expected {}", expected["values"][name]));
        }
    }
    Ok(())
}

fn skewed_mid(case: &Value, expected: &Value, settings: FundingAwareSettings) -> Result<(), String> {
    let input = |name: &str| atto(&case["input"][name]).expect("a number");
    let funding = per_8h(input("funding_rate"));
    let strategy = FundingAware::new(settings);
    let found = strategy.skewed_mid(Price(input("mark_price")), Money(input("position_usd")), &funding);
    let (mid, _) = found.ok_or("no figure")?;
    near("skewed_mid", mid.0, &expected["skewed_mid"])
}

/// Percent per 8 hours as funding terms.
fn per_8h(percent: i128) -> FundingView {
    FundingView {
        rate: Rate(i64::try_from(percent / 10_i128.pow(8)).expect("a rate")),
        next: Nanos::ZERO,
        interval_hours: 8,
    }
}

/// Equal to 1e-9, of the value where that is above one.
pub fn near(name: &str, ours: i128, theirs: &Value) -> Result<(), String> {
    if theirs.is_null() {
        return Ok(());
    }
    let value = atto(theirs).ok_or_else(|| format!("{name}: {theirs} is no number"))?;
    let allowed = 10_i128.pow(9).max(value.abs() / 10_i128.pow(9));
    if (ours - value).abs() <= allowed {
        Ok(())
    } else {
        Err(format!("{name} is {}, expected {theirs}", decimal_text(ours, 18)))
    }
}

/// What the venue replied, as the strategy's inputs.
pub struct Venue {
    pub instrument: Instrument,
    pub orders: Option<Vec<Resting>>,
    mid: Option<Price>,
    touch: Option<[Price; 2]>,
    position: Option<Holding>,
    account_value: Money,
    margin_used: Money,
}

impl Venue {
    pub fn new(replies: &Value, settings: &FundingAwareSettings) -> Self {
        let decimals = |places: u8| decimal_text(1, places.into());
        let rule = |name: &str, places: u8| {
            replies["venue_rules"][name].as_str().map_or_else(|| decimals(places), str::to_owned)
        };
        let (tick, lot) = (rule("price_tick", settings.price_decimals), rule("size_step", settings.size_decimals));
        let failed =
            |name: &str| replies["api_failures"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
        let streamed = &replies["ws_book"];
        let touch =
            streamed.is_object().then(|| ["best_bid", "best_ask"].map(|name| Price(atto(&streamed[name]).unwrap())));
        let polled = || {
            let [bid, ask] = [0, 1].map(|side| atto(&replies["rest_l2"]["levels"][side][0]["px"]));
            Some(Price((bid? + ask?) / 2)).filter(|_| !failed("l2"))
        };
        let state = &replies["user_state"];
        let held = state["assetPositions"].as_array().into_iter().flatten().map(|entry| &entry["position"]);
        let held = held.into_iter().find(|position| bare(&position["coin"]) == bare(&settings.market.as_str().into()));
        let position = held.map_or_else(Holding::default, |position| {
            let size = atto(&position["szi"]).expect("a size");
            Holding {
                size: Amount(size),
                usd: Money(atto(&position["positionValue"]).expect("a value").abs() * size.signum()),
                unrealized: Money(atto(&position["unrealizedPnl"]).expect("a profit")),
            }
        });
        let cross = &state["crossMarginSummary"];
        let summary =
            if cross.as_object().is_some_and(|map| !map.is_empty()) { cross } else { &state["marginSummary"] };
        let mut account_value = atto(&summary["accountValue"]).unwrap_or(0);
        if account_value == 0 {
            let history = &replies["portfolio"][0][1]["accountValueHistory"];
            account_value = history.as_array().and_then(|list| atto(&list.last()?[1])).unwrap_or(0);
        }
        let orders = replies["open_orders"].as_array().into_iter().flatten();
        let orders = orders.filter(|order| bare(&order["coin"]) == bare(&settings.market.as_str().into()));
        let orders = orders.map(|order| Resting {
            id: ClientId { run: 1, seq: order["oid"].as_u64().expect("an order id") as u32 },
            side: if order["side"] == "B" { Side::Buy } else { Side::Sell },
            price: Price(atto(&order["limitPx"]).expect("a price")),
            rest: Amount(atto(&order["sz"]).expect("a size")),
        });
        let known = !failed("user_state");
        Self {
            instrument: Instrument::synthetic("COINUSDT", &tick, &lot),
            orders: (!failed("open_orders")).then(|| orders.collect()),
            mid: if streamed.is_object() { atto(&streamed["mid"]).map(Price) } else { polled() },
            touch,
            position: known.then_some(position),
            account_value: Money(if known { account_value } else { 0 }),
            margin_used: Money(if known { atto(&summary["totalMarginUsed"]).unwrap_or(0) } else { 0 }),
        }
    }

    pub fn inputs(&self, now: Nanos, info: &Info) -> Inputs<'_> {
        Inputs {
            now,
            instrument: &self.instrument,
            mid: self.mid,
            touch: self.touch,
            mark: info.mark,
            position: self.position,
            account_value: self.account_value,
            margin_used: self.margin_used,
            funding: info.funding,
            widen: Rate::ONE,
        }
    }
}

/// The venue's market info.
#[derive(Clone, Copy, Default)]
pub struct Info {
    mark: Option<Price>,
    funding: FundingView,
}

impl Info {
    /// The first entry of the market's name; `None` where the call failed.
    pub fn of(replies: &Value, market: &str) -> Option<Self> {
        if replies["api_failures"].as_array().is_some_and(|list| list.iter().any(|one| one == "meta")) {
            return None;
        }
        let universe = replies["meta_universe"].as_array()?;
        let own = universe.iter().find(|entry| bare(&entry["name"]) == bare(&market.into()))?;
        Some(Self { mark: atto(&own["markPx"]).map(Price), funding: per_8h(atto(&own["funding"]).unwrap_or(0)) })
    }
}

/// A market's name without its builder venue.
fn bare(name: &Value) -> String {
    text(name).rsplit(':').next().unwrap_or_default().to_owned()
}

/// The calls of a plan, in the words that [`recorded`] uses.
pub fn calls(plan: &Plan, instrument: &Instrument) -> Vec<String> {
    let cancels = plan.cancel.iter().map(|(id, _)| format!("cancel {}", id.seq));
    let orders = plan.place.iter().map(|(quote, _)| {
        let side = if quote.side == Side::Buy { "buy" } else { "sell" };
        let size = decimal_text(i128::from(quote.qty.0) * instrument.lot.atto(), 18);
        let price = decimal_text(instrument.price(quote.price).0, 18);
        let terms = if quote.tif == TimeInForce::Ioc { "Ioc" } else { "Alo" };
        format!("{side} {size} at {price} {terms}{}", if quote.reduce_only { " reduce-only" } else { "" })
    });
    cancels.chain(orders).collect()
}

/// A recorded call as text; `None` for waiting.
pub fn recorded(call: &Value) -> Option<String> {
    match call["fn"].as_str() {
        Some("cancel") => Some(format!("cancel {}", call["oid"])),
        Some("order") => {
            let side = if call["is_buy"] == true { "buy" } else { "sell" };
            let number = |name: &str| decimal_text(atto(&call[name]).expect("a number"), 18);
            let reduce = if call["reduce_only"] == true { " reduce-only" } else { "" };
            Some(format!("{side} {} at {} {}{reduce}", number("sz"), number("px"), text(&call["tif"])))
        }
        _ => None,
    }
}

fn update(case: &Value, expected: &Value, settings: FundingAwareSettings) -> Result<Option<String>, String> {
    let input = &case["input"];
    let venue = Venue::new(input, &settings);
    let info = Info::of(input, &settings.market).unwrap_or_default();
    let mut strategy = FundingAware::new(settings).unguarded();
    let mut plan = Plan::default();
    if input["emergency_stop"] == true {
        // Latched in an earlier update.
        let loss = Holding { unrealized: Money(-(10_i128.pow(30))), ..Holding::default() };
        let earlier = Inputs {
            position: Some(loss),
            account_value: Money(1),
            mid: Some(Price(10_i128.pow(18))),
            ..venue.inputs(Nanos::ZERO, &info)
        };
        strategy.update(&earlier, Some(&[]), &mut plan);
        assert!(plan.cancel.is_empty() && plan.place.is_empty());
    }
    let calls = expected["calls"].as_array().ok_or("no calls")?;
    let theirs: Vec<String> = calls.iter().filter_map(recorded).collect();
    let verdict = compare(&mut strategy, &venue, &info, nanos(&input["now"]), FundingAware::update, &theirs)?;
    let derived = &expected["derived"];
    if let Some(targets) = strategy.targets() {
        near("skewed_mid", targets.skewed_mid.0, &derived["skewed_mid"])?;
        near("mark_price", targets.mark.0, &derived["mark_price"])?;
        near("bid_spread_half", targets.half[0].0 * 10_000, &derived["bid_spread_half"])?;
        near("ask_spread_half", targets.half[1].0 * 10_000, &derived["ask_spread_half"])?;
        if derived["mark_price"].is_string() && targets.venue_mark != (expected["mark_source"] == "venue") {
            return Err("the mark price is of another source".to_owned());
        }
        if verdict.is_none() {
            targets_differ(targets, &venue.instrument, derived)?;
        }
    }
    let killed = strategy.halt() == Some(spinquote::maker::strategy::funding_aware::Halt::Killed);
    if expected["state_after"]["emergency_stop"] != killed {
        return Err(format!("the kill switch is {killed}"));
    }
    Ok(verdict)
}

/// Prices, sizes and sides of the quotes as derived.
fn targets_differ(targets: &Targets, instrument: &Instrument, derived: &Value) -> Result<(), String> {
    let size = i128::from(targets.size.0) * instrument.lot.atto();
    for (side, [price, amount, allow]) in [
        (Side::Buy, ["target_bid", "bid_size_contracts", "allow_bid"]),
        (Side::Sell, ["target_ask", "ask_size_contracts", "allow_ask"]),
    ] {
        near(amount, size, &derived[amount])?;
        if let Some(ticks) = targets.price[side.index()] {
            near(price, instrument.price(ticks).0, &derived[price])?;
        }
        let allowed = !matches!(targets.blocked[side.index()], Some(Blocked::NearCap | Blocked::Cap));
        if derived[allow].as_bool().is_some_and(|theirs| theirs != allowed) {
            return Err(format!("{allow} is {allowed}"));
        }
    }
    Ok(())
}

/// What is asked for: `update` alone, or `act` with the circuit breaker before it.
pub type Step = fn(&mut FundingAware, &Inputs<'_>, Option<&[Resting]>, &mut Plan);

/// Runs a step and compares its calls: equal, equal with some inputs moved by one part in 1e12 (a float artifact, with its place;
/// the strategy is then in the state of that run), or different.
pub fn compare(
    strategy: &mut FundingAware,
    venue: &Venue,
    info: &Info,
    now: Nanos,
    step: Step,
    theirs: &[String],
) -> Result<Option<String>, String> {
    let before = strategy.clone();
    let run = |strategy: &mut FundingAware, venue: &Venue, info: &Info| {
        let mut plan = Plan::default();
        step(strategy, &venue.inputs(now, info), venue.orders.as_deref(), &mut plan);
        calls(&plan, &venue.instrument)
    };
    let ours = run(strategy, venue, info);
    if theirs == ours {
        return Ok(None);
    }
    let what = format!("expected {theirs:?}, came {ours:?}");
    for n in 0..3_i128.pow(7) {
        let signs = [0, 1, 2, 3, 4, 5, 6].map(|digit| [0, 1, -1][(n / 3_i128.pow(digit) % 3) as usize]);
        let (moved, info) =
            (venue.moved(signs), Info { mark: info.mark.map(|mark| Price(moved(mark.0, signs[0]))), ..*info });
        let mut other = before.clone();
        if run(&mut other, &moved, &info) == theirs {
            *strategy = other;
            return Ok(Some(format!("on a boundary, inputs moved by 1e-12 {signs:?}: {what}")));
        }
    }
    Err(what)
}

/// By one part in 1e12, up or down or not at all.
pub fn moved(value: i128, sign: i128) -> i128 {
    value + value.abs() / 10_i128.pow(12) * sign
}

impl Venue {
    /// With its prices, its position's value, its account's value, its orders' prices and their sizes moved.
    fn moved(&self, [price, usd, account, bid, ask, bid_size, ask_size]: [i128; 7]) -> Self {
        let orders = self.orders.as_ref().map(|orders| {
            let order = |order: &Resting| {
                let (price, size) = if order.side == Side::Buy { (bid, bid_size) } else { (ask, ask_size) };
                Resting { price: Price(moved(order.price.0, price)), rest: Amount(moved(order.rest.0, size)), ..*order }
            };
            orders.iter().map(order).collect()
        });
        Self {
            instrument: self.instrument.clone(),
            orders,
            mid: self.mid.map(|mid| Price(moved(mid.0, price))),
            touch: self.touch,
            position: self.position.map(|held| Holding { usd: Money(moved(held.usd.0, usd)), ..held }),
            account_value: Money(moved(self.account_value.0, account)),
            margin_used: self.margin_used,
        }
    }
}
