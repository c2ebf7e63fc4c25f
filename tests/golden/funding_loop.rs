//! Drives `FundingAware` through time: the circuit breaker, the wake-ups, and whole scripts of the original's main loop.
//!
//! The loop itself (waiting, reconnecting, polling by REST, the interrupt at the end) is the engine's in this program; here it is the
//! script's: the driver asks the strategy for an update wherever the loop acts, and compares what the strategy asks for.

use super::funding_aware::{Info, Venue, atto, compare, moved, nanos, near, recorded, text};
use serde_json::Value;
use spinquote::config::funding_aware::FundingAwareSettings;
use spinquote::maker::strategy::funding_aware::{FundingAware, Halt, Volatility, Wake};
use spinquote::maker::strategy::{AccountRequest, Plan, Strategy};
use spinquote::unit::{Nanos, Price, Rate};
use std::collections::HashMap;

/// Where a run differs, with the values that a hair may have decided there.
struct Different {
    step: usize,
    what: String,
    values: Vec<Price>,
}

/// By how many parts in 1e12 a value is moved wherever it occurs.
type Moved = HashMap<Price, i128>;

/// Runs on the exact values; where that differs, with the values of the first difference moved one by one, as long as the run is equal
/// for longer. Equal in the end is an artifact.
fn on_a_hair(run: impl Fn(&Moved) -> Result<(), Different>) -> Result<Option<String>, String> {
    let Err(first) = run(&Moved::new()) else { return Ok(None) };
    let (mut hair, mut now) = (Moved::new(), Different { step: first.step, what: String::new(), values: first.values });
    'longer: while hair.len() < 16 {
        for value in now.values.clone().into_iter().filter(|value| !hair.contains_key(value)).collect::<Vec<_>>() {
            for by in [-1, 1, -2, 2] {
                let mut other = hair.clone();
                other.insert(value, by);
                match run(&other) {
                    Ok(()) => {
                        let what = first.what;
                        return Ok(Some(format!("on a boundary, {} values moved by 1e-12: {what}", other.len())));
                    }
                    Err(different) if different.step > now.step => {
                        (hair, now) = (other, different);
                        continue 'longer;
                    }
                    Err(_) => {}
                }
            }
        }
        break;
    }
    Err(first.what)
}

fn by_a_hair(price: Price, hair: &Moved) -> Price {
    Price(moved(price.0, hair.get(&price).copied().unwrap_or(0)))
}

/// Steps of the circuit breaker alone.
pub fn volatility(expected: &Value) -> Result<Option<String>, String> {
    on_a_hair(|hair| breaker(expected, hair))
}

fn breaker(expected: &Value, hair: &Moved) -> Result<(), Different> {
    let mut breaker = Volatility::default();
    let mut prices: Vec<(Nanos, Price)> = Vec::new();
    for (n, step) in expected["steps"].as_array().expect("steps").iter().enumerate() {
        let now = nanos(&step["t"]);
        let verdict = breaker.check(now);
        let added = prices.clone();
        let at = |what: &str| {
            // A range that decides is between prices of the last quarter of an hour.
            let young = added.iter().filter(|(added, _)| now - *added <= Nanos::from_secs(900));
            let mut values: Vec<Price> = young.map(|(_, price)| *price).collect();
            values.sort_unstable();
            values.dedup();
            Different { step: n, what: format!("t={}: {what}", text(&step["t"])), values }
        };
        if step["pause"] != verdict.pause {
            return Err(at("pause"));
        }
        let canceled = step["cancelled"].as_array().is_some_and(|list| !list.is_empty());
        if canceled != verdict.tripped || step["active_after"] != breaker.active_since().is_some() {
            return Err(at("tripped or active"));
        }
        if step["pause"] == true {
            let (low, high) = verdict.range.ok_or_else(|| at("no range"))?;
            let percent = (high - low).0 * 10_i128.pow(14) / (low.0 / 1_000_000);
            near("vol_pct", percent, &step["vol_pct"]).map_err(|what| at(&what))?;
            if step["window_min"].as_i64() != Some(verdict.window.0 / Nanos::from_secs(60).0) {
                return Err(at("window"));
            }
        }
        if let Some(price) = atto(&step["price_added_after_check"]).map(Price) {
            breaker.add(now, by_a_hair(price, hair));
            prices.push((now, price));
        }
        if step["history_len"].as_u64() != Some(breaker.prices() as u64) {
            return Err(at(&format!("{} prices, expected {}", breaker.prices(), step["history_len"])));
        }
    }
    Ok(())
}

/// Books, fills and polls; a poll with a flag counts as a requote at the current mid. Health is the engine's.
pub fn wake_ups(case: &Value, expected: &Value) -> Result<Option<String>, String> {
    on_a_hair(|hair| woken(case, expected, hair))
}

fn woken(case: &Value, expected: &Value, hair: &Moved) -> Result<(), Different> {
    let threshold = atto(&case["input"]["update_threshold_bps"]).expect("a threshold") / 10_i128.pow(10);
    let threshold = Rate(i64::try_from(threshold).expect("a rate"));
    let coin = text(&case["input"]["coin"]);
    let bare = coin.rsplit(':').next().unwrap_or_default();
    let (mut wake, mut mid, mut fills) = (Wake::default(), None, 0);
    let mut since_poll: Vec<Price> = Vec::new();
    for (n, step) in expected["steps"].as_array().expect("steps").iter().enumerate() {
        let at = |what: &str, values: &[Price]| {
            let what = format!("t={} {}: {what}", text(&step["t"]), step["event"]);
            Different { step: n, what, values: values.to_vec() }
        };
        match step["event"].as_str() {
            Some("book") => {
                let [bid, ask] = [0, 1].map(|side| atto(&step["levels"][side][0]["px"]));
                if let (Some(bid), Some(ask)) = (bid, ask) {
                    mid = Some(Price((bid + ask) / 2));
                    since_poll.extend(mid);
                    wake.on_book(by_a_hair(Price((bid + ask) / 2), hair), threshold);
                }
            }
            Some("fill") => {
                // "Fills wake when their coin is the market, its bare name or the pair name."
                let name = text(&step["fill_coin"]);
                if name == coin
                    || name == bare
                    || name.split(['-', '/']).next() == Some(bare) && name.contains(['-', '/'])
                {
                    wake.on_fill();
                    fills += 1;
                }
            }
            Some("poll") => {
                let (book, fill) = wake.flags();
                if step["updates"]["orderbook"] != book
                    || step["updates"]["fills"] != fill
                    || step["woken"] != wake.is_due()
                {
                    let what = format!("book {book}, fill {fill}, expected {}", step["updates"]);
                    return Err(at(&what, &since_poll));
                }
                if step["new_fills"].as_u64().is_some_and(|count| count != fills) {
                    return Err(at(&format!("{fills} fills, expected {}", step["new_fills"]), &[]));
                }
                if let (Some(mid), true) = (mid, wake.is_due()) {
                    wake.quoted(by_a_hair(mid, hair));
                }
                wake.clear();
                fills = 0;
                since_poll.clear();
                since_poll.extend(mid);
            }
            Some("empty") => {}
            other => return Err(at(&format!("unknown event {other:?}"), &[])),
        }
        if let Some(mid) = mid {
            near("mid", mid.0, &step["mid"]).map_err(|what| at(&what, &[]))?;
        }
    }
    Ok(())
}

/// A whole script.
pub fn run(case: &Value, expected: &Value, settings: FundingAwareSettings) -> Result<Option<String>, String> {
    let mut log = expected["log"].as_array().expect("a log").as_slice();
    let mut strategy = FundingAware::new(settings).unguarded();
    let mut plan = Plan::default();
    strategy.start(Nanos::ZERO, &mut plan);
    let asked = plan.account.iter().find_map(|request| match request {
        AccountRequest::Leverage(leverage) => Some(u64::from(*leverage)),
        AccountRequest::PositionMode(_) => None,
    });
    let recorded_leverage =
        log.iter().find(|call| call["fn"] == "update_leverage").and_then(|call| call["leverage"].as_u64());
    if recorded_leverage.is_some() && asked != recorded_leverage {
        return Err(format!("leverage {asked:?}, expected {recorded_leverage:?}"));
    }
    let (mut completed, mut info, mut artifact) = (None, None::<(Nanos, Info)>, None);
    for (index, step) in case["input"]["script"].as_array().expect("a script").iter().enumerate() {
        let Some(start) = log.iter().position(|call| call["fn"] == "step" && call["index"] == index) else {
            // The loop ended before: a refusal about cumulative requests.
            return if expected["rate_limit_hit"] == true { Ok(artifact) } else { Err(format!("no step {index}")) };
        };
        log = &log[start + 1..];
        let end = log.iter().position(|call| matches!(call["fn"].as_str(), Some("step" | "script_end_interrupt")));
        let theirs: Vec<String> = log[..end.unwrap_or(log.len())].iter().filter_map(recorded).collect();
        let settings = strategy.settings().clone();
        let healthy = step["healthy"] == true;
        if !healthy && step["reconnect_ok"] == true {
            if !theirs.is_empty() {
                return Err(format!("step {index}: calls without an update"));
            }
            continue;
        }
        // An unhealthy pass that cannot reconnect works by REST and does not count as a completed update.
        let now = nanos(if healthy { &step["t_wake"] } else { &step["t"] });
        let flagged = step["updates"]["orderbook"] == true || step["updates"]["fills"] == true;
        let overdue = completed.is_none_or(|at| now - at > settings.fallback_check);
        let venue = Venue::new(step, &settings);
        if !healthy || flagged || overdue {
            // "The info is read at this point and cached 5 s."
            if info.is_none_or(|(at, _)| now - at >= Nanos::from_secs(5)) {
                info = Info::of(step, &settings.market).map(|info| (now, info));
            }
            let known = info.map(|(_, info)| info).unwrap_or_default();
            let verdict = compare(&mut strategy, &venue, &known, now, FundingAware::act, &theirs);
            artifact = artifact.or(verdict.map_err(|what| format!("step {index}: {what}"))?);
            if healthy {
                // Simple mode waited half a second between its cancels and its placements.
                let waited = !settings.smart_order_mgmt && strategy.targets().is_some() && venue.orders.is_some();
                completed = Some(now + Nanos::from_millis(if waited { 500 } else { 0 }));
            }
        } else if !theirs.is_empty() {
            return Err(format!("step {index}: expected {theirs:?}, no update is due"));
        }
    }
    let active = strategy.volatility().active_since().is_some();
    if expected["circuit_breaker_active"] != active {
        return Err(format!("the breaker is active: {active}"));
    }
    let killed = strategy.halt() == Some(Halt::Killed);
    if (expected["emergency_stop"] == true) != killed && strategy.halt() != Some(Halt::Volatility) {
        return Err(format!("the kill switch is {killed}"));
    }
    Ok(artifact)
}
