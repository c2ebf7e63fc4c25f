//! `spinquote backtest`, `sweep` and `merge` as people run them: golden outcomes, one seed one run, shards, resumption, and a run of the
//! simulator beside its backtest. Recordings are used where they are present.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PERPETUAL: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 10\n\
                         position_mode: One-way\nbid_spread: 0.005\nask_spread: 0.005\norder_levels: 3\norder_level_spread: 0.002\n\
                         order_amount: 0.005\norder_refresh_time: 1\nfilled_order_delay: 1\nlong_profit_taking_spread: 0.01\n\
                         short_profit_taking_spread: 0.01\nstop_loss_spread: 0.05\ntime_between_stop_loss_orders: 5\n\
                         stop_loss_slippage_buffer: 0.02\n";
const PMM: &str = "controller_name: pmm\nconnector_name: binance_perpetual\ntrading_pair: BTC-USDT\ntotal_amount_quote: 5000\n\
                   portfolio_allocation: 0.5\nbuy_spreads: [0.0001, 0.0002]\nsell_spreads: [0.0001, 0.0002]\nmin_base_pct: 0\n\
                   max_base_pct: 1\nexecutor_refresh_time: 10\ncooldown_time: 0\nleverage: 10\nposition_mode: ONEWAY\n\
                   take_profit: 0.001\n";
const FUNDING_AWARE: &str = r#"{"market": "BTC", "trading": {"base_order_size": 500, "base_spread_bps": 1, "min_spread_bps": 1},
    "position": {"max_position_usd": 20000, "leverage": 10},
    "timing": {"update_threshold_bps": 0.1, "fallback_check_seconds": 1}, "safety": {"smart_order_mgmt_enabled": false}}"#;
const STRATEGIES: [(&str, &str); 3] =
    [("perpetual.yml", PERPETUAL), ("pmm.yml", PMM), ("funding_aware.json", FUNDING_AWARE)];

fn spinquote(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spinquote")).args(args).current_dir(dir).output().expect("the binary starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in STRATEGIES {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

/// One line of the golden table.
fn line(name: &str, value: &Value) -> String {
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    format!(
        "{name:<20} fills {:>3} + {:>3}  P&L {:>10.4} = spread {:>9.4} inventory {:>9.4} fees {:>9.4} funding {:>8.4}  \
         position {:>7.3} ({:.3} to {:.3})  new {:>4} amend {:>4} cancel {:>4} rejected {:>3} refused {:>3}",
        number("/fills/buy"),
        number("/fills/sell"),
        number("/pnl/total"),
        number("/pnl/spread"),
        number("/pnl/inventory"),
        number("/pnl/fees"),
        number("/pnl/funding"),
        number("/position"),
        number("/position_min"),
        number("/position_max"),
        number("/orders/new"),
        number("/orders/amend"),
        number("/orders/cancel"),
        number("/orders/rejected"),
        number("/orders/refused"),
    )
}

/// The parts of the split are the total, the exchange agrees, and nothing is unknown.
#[track_caller]
fn sound(name: &str, value: &Value) {
    let money = |key: &str| value["pnl"][key].as_f64().unwrap();
    let sum = money("spread") + money("inventory") + money("fees") + money("funding");
    assert!((sum - money("total")).abs() < 1e-6, "{name}: {}", value["pnl"]);
    assert_eq!(value["position"], value["venue_position"], "{name}");
    assert_eq!((&value["corrections"], &value["orders"]["unknown"]), (&Value::from(0), &Value::from(0)), "{name}");
}

#[test]
fn the_strategies_over_a_seeded_session_come_to_the_golden_table() {
    let dir = folder();
    let mut table = String::new();
    for (file, _) in STRATEGIES {
        let value = json(&spinquote(dir.path(), &["backtest", file, "--synthetic", "5m", "--json"]));
        sound(file, &value);
        assert!(value["fills"]["buy"].as_u64().unwrap() + value["fills"]["sell"].as_u64().unwrap() > 0, "{file}");
        table.push_str(&line(file, &value));
        table.push('\n');
    }
    insta::assert_snapshot!("backtest_synthetic", table);
}

#[test]
fn the_strategies_over_the_recordings_come_to_the_golden_table() {
    let data = std::env::var_os("SPINQUOTE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let recording = data.join("binance_usdm/btcusdt_20240808.gz");
    if !recording.exists() {
        eprintln!("{}: not there; nothing is backtested over recordings", recording.display());
        return;
    }
    let dir = folder();
    let feed = dir.path().join("feed.sqf");
    let (recording, feed) = (recording.to_str().unwrap(), feed.to_str().unwrap());
    json(&spinquote(dir.path(), &["convert", recording, "-o", feed, "--json"]));
    let mut table = String::new();
    for (file, _) in STRATEGIES {
        let value = json(&spinquote(dir.path(), &["backtest", file, "--data", feed, "--json"]));
        sound(file, &value);
        let raw = json(&spinquote(dir.path(), &["backtest", file, "--data", recording, "--json"]));
        assert_eq!(raw["digest"], value["digest"], "{file}: raw frames and their feed are one run");
        table.push_str(&line(file, &value));
        table.push('\n');
    }
    insta::assert_snapshot!("backtest_recordings", table);
}

#[test]
fn one_seed_is_one_run_to_the_byte_and_another_is_not() {
    let dir = folder();
    let run = |seed: &str, out: &str| {
        let args = ["backtest", "perpetual.yml", "--synthetic", "2m", "--seed", seed, "--json", "-o", out];
        let mut value = json(&spinquote(dir.path(), &args));
        for wall in ["seconds", "events_per_second"] {
            assert!(value.as_object_mut().unwrap().remove(wall).unwrap().as_f64().unwrap() > 0.0);
        }
        (value.to_string(), std::fs::read(dir.path().join(out)).unwrap())
    };
    let (a, b, c) = (run("1", "a.html"), run("1", "b.html"), run("2", "c.html"));
    assert_eq!(a.0, b.0);
    assert!(a.1 == b.1, "the reports differ");
    let digest = |text: &str| serde_json::from_str::<Value>(text).unwrap()["digest"].clone();
    assert_ne!(digest(&a.0), digest(&c.0));
    assert!(a.1.starts_with(b"<!doctype html>") && a.1 != c.1);
}

#[test]
fn models_fees_and_latencies_change_the_outcome_as_they_must() {
    let dir = folder();
    let run = |more: &[&str]| {
        let args = [&["backtest", "perpetual.yml", "--synthetic", "3m", "--json"], more].concat();
        json(&spinquote(dir.path(), &args))
    };
    let fills = |value: &Value| value["fills"]["buy"].as_u64().unwrap() + value["fills"]["sell"].as_u64().unwrap();
    let plain = run(&["--latency", "1ms"]);
    let rebate = run(&["--latency", "1ms", "--fees", "-0.01%,0.05%"]);
    assert_eq!(fills(&plain), fills(&rebate), "fees move no order of this strategy");
    assert!(plain["pnl"]["fees"].as_f64().unwrap() < rebate["pnl"]["fees"].as_f64().unwrap());
    assert_ne!(run(&["--latency", "1ms", "--queue", "risk-averse"])["digest"], plain["digest"]);
    assert_ne!(run(&["--latency", "order=80ms,ack=80ms"])["digest"], plain["digest"]);
    let nothing = spinquote(dir.path(), &["backtest", "perpetual.yml"]);
    assert!(!nothing.status.success() && said(&nothing).contains("--data"), "{}", said(&nothing));
    let wrong = spinquote(dir.path(), &["backtest", "perpetual.yml", "--synthetic", "1m", "--latency", "fast"]);
    assert!(!wrong.status.success() && said(&wrong).contains("--latency"), "{}", said(&wrong));
}

#[test]
fn shards_make_the_whole_and_a_sweep_goes_on_where_it_stopped() {
    let dir = folder();
    let base = [
        "sweep",
        "perpetual.yml",
        "--synthetic",
        "20s",
        "--set",
        "bid_spread=0.005,0.01,0.02",
        "--set",
        "order_levels=1,2",
    ];
    let sweep = |more: &[&str]| spinquote(dir.path(), &[&base, more].concat());
    let whole = sweep(&["-o", "whole.parquet"]);
    assert!(whole.status.success(), "{}", said(&whole));
    assert!(said(&whole).contains("6 of 6 points by pnl_total"), "{}", said(&whole));
    for part in ["1", "2", "3", "4"] {
        let out = sweep(&["--shard", &format!("{part}/4"), "-o", &format!("part{part}.parquet"), "--jobs", "1"]);
        assert!(out.status.success(), "{}", said(&out));
    }
    let some = spinquote(dir.path(), &["merge", "part1.parquet", "part3.parquet", "-o", "some.parquet"]);
    assert!(!some.status.success() && said(&some).contains("missing"), "{}", said(&some));
    let parts = ["part4.parquet", "part1.parquet", "part3.parquet", "part2.parquet"];
    let merged = spinquote(dir.path(), &[&["merge"], &parts[..], &["-o", "merged.parquet"]].concat());
    assert!(merged.status.success(), "{}", said(&merged));
    let read = |name: &str| {
        let mut table = spinquote::replay::sweep::Table::read(&dir.path().join(name)).unwrap();
        table.columns.retain(|(name, _)| name != "seconds");
        table
    };
    assert_eq!(read("whole.parquet"), read("merged.parquet"));

    // Half of the results are lost, as if it had been stopped then.
    let kept: Vec<String> =
        std::fs::read_to_string(dir.path().join("whole.jsonl")).unwrap().lines().take(4).map(str::to_owned).collect();
    std::fs::write(dir.path().join("again.jsonl"), kept.join("\n") + "\n").unwrap();
    let again = sweep(&["-o", "again.parquet"]);
    assert!(again.status.success() && said(&again).contains("3 of 6 points were finished before"), "{}", said(&again));
    assert_eq!(read("again.parquet"), read("whole.parquet"));
    let other = spinquote(
        dir.path(),
        &["sweep", "perpetual.yml", "--synthetic", "20s", "--set", "bid_spread=9", "-o", "again.parquet"],
    );
    assert!(!other.status.success() && said(&other).contains("another sweep"), "{}", said(&other));
    let unknown = sweep(&["--set", "no_such_key=1", "-o", "x.parquet"]);
    assert!(!unknown.status.success() && said(&unknown).contains("no_such_key"), "{}", said(&unknown));
}

/// Of the fills of a run at the simulator, its backtest tells at least this share (README states it), and it makes up at most as many.
const TOLERANCE: f64 = 0.8;

#[test]
fn a_run_at_the_simulator_and_its_backtest_agree_within_the_tolerance() {
    let dir = folder();
    // A seed whose market moves early; where little trades all the same, longer and longer runs until enough has.
    for (number, span) in ["10s", "20s", "40s"].into_iter().enumerate() {
        let run = format!("run{number}");
        let demo = json(&spinquote(
            dir.path(),
            &["demo", "--strategy", "perpetual.yml", "--for", span, "--seed", "1", "--run-dir", &run, "--json"],
        ));
        let there = demo["fills"]["buy"].as_u64().unwrap() + demo["fills"]["sell"].as_u64().unwrap();
        if there < 6 {
            continue;
        }
        let value = json(&spinquote(dir.path(), &["backtest", &run, "--json"]));
        let fills = &value["agreement"]["fills"];
        let count = |key: &str| fills[key].as_f64().unwrap();
        assert_eq!(fills["run"].as_u64(), Some(there), "{}", value["agreement"]);
        assert!(count("matched") >= TOLERANCE * there as f64, "{}", value["agreement"]);
        assert!(count("backtest") <= (2.0 - TOLERANCE) * there as f64 + 1.0, "{}", value["agreement"]);
        // Both are ready at one time with one book, so the first quotes at least are the same.
        let parted = value["agreement"]["first_divergence"]["after_commands"].as_u64();
        assert!(parted.is_none_or(|after| after >= 6), "{}", value["agreement"]);
        let commands = &value["agreement"]["commands"];
        if commands["run"] != commands["backtest"] {
            assert!(value["agreement"]["first_divergence"]["run"].is_string(), "{}", value["agreement"]);
        }
        eprintln!("{}", value["agreement"]);
        return;
    }
    panic!("no run of the simulator traded");
}
