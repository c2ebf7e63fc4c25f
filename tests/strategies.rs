//! Every strategy as people run it: the binary with its file in the demo. It quotes, trades, leaves no order, agrees with the venue
//! about the position, and replays.

use serde_json::Value;
use spinquote::engine::turn::WARM_UP_FRAMES;
use std::path::Path;
use std::process::{Command, Output};

const PERPETUAL: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 10\n\
    position_mode: One-way\nbid_spread: 0.004\nask_spread: 0.004\norder_levels: 3\norder_level_spread: 0.004\norder_amount: 0.005\n\
    order_refresh_time: 0.5\nfilled_order_delay: 0.5\nlong_profit_taking_spread: 0.004\nshort_profit_taking_spread: 0.004\n\
    stop_loss_spread: 3\ntime_between_stop_loss_orders: 2\nstop_loss_slippage_buffer: 0.05\n";
/// Nearest spreads that the controller allows; `MODE` is its position mode.
const PMM: &str = "controller_name: pmm\nconnector_name: binance_perpetual\ntrading_pair: BTC-USDT\ntotal_amount_quote: 10000\n\
    portfolio_allocation: 0.5\nbuy_spreads: [0.0001, 0.0002]\nsell_spreads: [0.0001, 0.0002]\nmin_base_pct: 0\nmax_base_pct: 1\n\
    executor_refresh_time: 10\ncooldown_time: 0\nleverage: 10\nposition_mode: MODE\ntake_profit: 0.001\n";
const FUNDING_AWARE: &str = r#"{"market": "BTC", "trading": {"base_order_size": 500, "base_spread_bps": 1, "min_spread_bps": 1},
    "position": {"max_position_usd": 20000, "leverage": 10},
    "timing": {"update_threshold_bps": 0.1, "fallback_check_seconds": 1}, "safety": {"smart_order_mgmt_enabled": false}}"#;

fn spinquote(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spinquote")).args(args).current_dir(dir).output().expect("the binary starts")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Runs the file for longer and longer until it has traded: in a calm stretch of the market nothing reaches the quotes.
#[track_caller]
fn trades(file: &str, text: &str) {
    let fills =
        ["6s", "12s", "24s", "48s"].into_iter().map(|span| run_in_order(file, text, span)).find(|fills| *fills > 0);
    assert!(fills.is_some(), "no fill in any run");
}

/// One run that is held to everything but fills, which it counts.
#[track_caller]
fn run_in_order(file: &str, text: &str, span: &str) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file), text).unwrap();
    let args = ["demo", "--for", span, "--strategy", file, "--run-dir", "run", "--json"];
    let summary = json(&spinquote(dir.path(), &args));
    let count = |pointer: &str| summary.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"));
    assert!(summary["quoting_after_ms"].is_u64() && count("/orders/new") >= 2, "{summary:#}");
    for pointer in ["/orders/unknown", "/protocol_errors", "/corrections", "/open_orders_at_venue"] {
        assert_eq!(count(pointer), 0, "{pointer}: {summary:#}");
    }
    assert_eq!(summary["position"], summary["venue_position"], "{summary:#}");
    assert_eq!(summary["fault"], Value::Null, "{summary:#}");
    // A run that never left its warm-up has nothing to say of what comes after it.
    let allocations = if count("/frames") > WARM_UP_FRAMES { 0.into() } else { Value::Null };
    assert_eq!(summary["allocations_after_warmup"], allocations, "{summary:#}");
    let verdict = json(&spinquote(dir.path(), &["replay", "run", "--json"]));
    assert_eq!(verdict["identical"], true, "{verdict:#}");
    count("/fills/buy") + count("/fills/sell")
}

#[test]
fn perpetual_market_making_trades_in_the_demo() {
    trades("perpetual.yml", PERPETUAL);
}

#[test]
fn the_pmm_controller_trades_in_the_demo_with_one_net_position() {
    trades("pmm.yml", &PMM.replace("MODE", "ONEWAY"));
}

#[test]
fn the_pmm_controller_trades_in_the_demo_with_a_long_and_a_short_position() {
    trades("pmm.yml", &PMM.replace("MODE", "HEDGE"));
}

#[test]
fn the_funding_aware_maker_trades_in_the_demo() {
    trades("funding_aware.json", FUNDING_AWARE);
}
