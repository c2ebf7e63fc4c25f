//! An omitted key takes its documented default: per strategy a table of every optional key, from the strategies' documents. Writing
//! the default out changes nothing, another value does, and no optional key is missing from the table.

use serde_json::{Value, json};
use spinquote::config::load::{self, Strategy, Target};
use spinquote::config::{funding_aware, perpetual, pmm};

/// The key, its documented default, and another value that is valid and has an effect (`None`: none alone has).
type Row = (&'static str, &'static str, Option<&'static str>);

const PERPETUAL: &str = "derivative: binance_perpetual\nmarket: ETH-USDT\nleverage: 3\nbid_spread: 0.1\nask_spread: 0.1\n\
    order_amount: 0.1\norder_refresh_time: 30\nstrategy: perpetual_market_making\n";
const PERPETUAL_DEFAULTS: &[Row] = &[
    ("position_mode", "One-way", Some("Hedge")),
    ("minimum_spread", "-100", Some("0.05")),
    ("order_refresh_tolerance_pct", "0", Some("-1")),
    ("long_profit_taking_spread", "0", Some("1")),
    ("short_profit_taking_spread", "0", Some("1")),
    ("stop_loss_spread", "0", Some("1")),
    ("time_between_stop_loss_orders", "60", Some("30")),
    ("stop_loss_slippage_buffer", "0.5", Some("0")),
    ("price_ceiling", "-1", Some("3000")),
    ("price_floor", "-1", Some("2000")),
    ("order_levels", "1", Some("2")),
    ("order_level_amount", "0", Some("-0.01")),
    ("order_level_spread", "1", Some("2")),
    ("filled_order_delay", "60", Some("1")),
    ("order_optimization_enabled", "false", Some("yes")),
    ("ask_order_optimization_depth", "0", Some("1")),
    ("bid_order_optimization_depth", "0", Some("1")),
    ("price_type", "mid_price", Some("last_price")),
    ("price_source", "current_market", None),
    ("price_source_derivative", "null", None),
    ("price_source_market", "null", None),
    ("price_source_custom_api", "null", None),
    ("custom_api_update_interval", "5", Some("1")),
    ("order_override", "null", Some("{a: [buy, 0.5, 0.1]}")),
];

/// The connector's own default is a spot connector, which is refused until spot comes.
const PMM: &str = "controller_name: pmm\nconnector_name: binance_perpetual\n";
const PMM_DEFAULTS: &[Row] = &[
    ("id", "\"\"", Some("mine")),
    ("controller_type", "generic", None),
    ("total_amount_quote", "2000", Some("1000")),
    ("manual_kill_switch", "false", Some("true")),
    ("initial_positions", "[]", None),
    ("trading_pair", "BTC-FDUSD", Some("ETH-USDT")),
    ("portfolio_allocation", "0.05", Some("1")),
    ("target_base_pct", "0.2", Some("0.3")),
    ("min_base_pct", "0.1", Some("0")),
    ("max_base_pct", "0.4", Some("1")),
    ("buy_spreads", "[0.01, 0.02]", Some("[0.01]")),
    ("sell_spreads", "[0.01, 0.02]", Some("[0.01, 0.03]")),
    ("buy_amounts_pct", "null", Some("[1, 2]")),
    ("sell_amounts_pct", "null", Some("[1, 2]")),
    ("executor_refresh_time", "300", Some("10")),
    ("cooldown_time", "15", Some("0")),
    ("leverage", "20", Some("1")),
    ("position_mode", "HEDGE", Some("oneway")),
    ("take_profit", "0.02", Some("null")),
    ("take_profit_order_type", "LIMIT_MAKER", Some("1")),
    ("max_skew", "1.0", Some("0")),
    ("global_take_profit", "0.02", Some("0.1")),
    ("global_stop_loss", "0.05", Some("0.1")),
];

/// A base spread between the defaults of the two limits.
const FUNDING_AWARE: &str = r#"{"market": "ICP", "trading": {"base_order_size": 50, "base_spread_bps": 15},
    "position": {"max_position_usd": 500}}"#;
const FUNDING_AWARE_DEFAULTS: &[Row] = &[
    ("dex", "\"\"", None),
    ("trading.min_order_size", "0.0001", Some("1")),
    ("trading.min_spread_bps", "8", Some("9")),
    ("trading.max_spread_bps", "200", Some("100")),
    ("trading.size_increment", "0.001", Some("0.1")),
    ("position.target_position_usd", "0", Some("-100")),
    ("position.leverage", "5", Some("1")),
    ("timing.update_threshold_bps", "10", Some("1")),
    ("timing.fallback_check_seconds", "30", Some("1")),
    ("inventory.inventory_skew_threshold_usd", "0", Some("1")),
    ("inventory.inventory_skew_bps_per_1k", "20", Some("0")),
    ("inventory.max_skew_bps", "500", Some("50")),
    ("funding.max_funding_rate_pct_8h", "0.5", Some("0.1")),
    ("funding.funding_skew_multiplier", "100", Some("1")),
    ("profit_taking.threshold_usd", "10", Some("1")),
    ("profit_taking.aggression_bps", "15", Some("0")),
    ("safety.max_quote_count", "2", Some("1")),
    ("safety.emergency_stop_loss_pct", "-10", Some("-5")),
    ("safety.smart_order_mgmt_enabled", "true", Some("false")),
    ("safety.min_margin_ratio_pct", "10", Some("20")),
    ("exchange.price_decimals", "2", Some("4")),
    ("exchange.size_decimals", "4", Some("2")),
    ("account.subaccount_address", "null", Some("\"0xabc\"")),
    ("account.is_subaccount", "false", Some("true")),
];

fn read(file: &str, text: &str) -> Strategy {
    let loaded = load::strategy_text(file, text, Target::Venue);
    loaded.unwrap_or_else(|problems| panic!("{text}: {problems:?}")).settings
}

/// `with` writes a key and its value into the smallest file.
#[track_caller]
fn holds(file: &str, smallest: &str, rows: &[Row], optional: Vec<&str>, with: impl Fn(&str, &str) -> String) {
    let omitted = read(file, smallest);
    for (key, default, other) in rows {
        assert_eq!(
            read(file, &with(key, default)),
            omitted,
            "{key}: its default {default} is not what omitting it means"
        );
        if let Some(other) = other {
            assert_ne!(read(file, &with(key, other)), omitted, "{key}: {other} has no effect");
        }
    }
    let listed: Vec<&str> = rows.iter().map(|(key, ..)| *key).collect();
    assert_eq!(listed, optional, "every optional key has its row, in the order of the reference");
}

#[test]
fn of_perpetual_market_making() {
    let optional = perpetual::KEYS.iter().filter(|key| key.default.is_some()).map(|key| key.name).collect();
    let with = |key: &str, value: &str| format!("{PERPETUAL}{key}: {value}\n");
    holds("p.yml", PERPETUAL, PERPETUAL_DEFAULTS, optional, with);
}

#[test]
fn of_the_pmm_controller() {
    let optional = pmm::KEYS.iter().map(|key| key.name).filter(|name| *name != "connector_name").collect();
    holds("m.yml", PMM, PMM_DEFAULTS, optional, |key, value| format!("{PMM}{key}: {value}\n"));
    let problems = load::strategy_text("m.yml", "controller_name: pmm\n", Target::Venue).unwrap_err();
    assert!(problems[0].to_string().contains("stands for binance, a spot connector"), "{problems:?}");
}

#[test]
fn of_the_funding_aware_maker() {
    let optional = funding_aware::KEYS.iter().filter(|key| key.default.is_some()).map(|key| key.name).collect();
    let with = |key: &str, value: &str| {
        let mut file: Value = serde_json::from_str(FUNDING_AWARE).unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        match key.split_once('.') {
            None => file[key] = value,
            Some((section, key)) => {
                if file[section].is_null() {
                    file[section] = json!({});
                }
                file[section][key] = value;
            }
        }
        file.to_string()
    };
    holds("f.json", FUNDING_AWARE, FUNDING_AWARE_DEFAULTS, optional, with);
}
