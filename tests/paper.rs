//! `spinquote run --paper` against a pretend venue: it fills on its own exchange, the venue hears no order and no key, and what the
//! venue loses is not quoted on.

#[path = "support/venue.rs"]
mod venue;

use serde_json::Value;
use spinquote::sim::order::AccountId;
use spinquote::sim::server::Server;
use std::path::Path;
use venue::{pem, spinquote, start, stderr};

const STRATEGY: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 10\n\
    position_mode: One-way\nbid_spread: 0.004\nask_spread: 0.004\norder_levels: 3\norder_level_spread: 0.004\norder_amount: 0.005\n\
    order_refresh_time: 0.5\nfilled_order_delay: 0.5\nlong_profit_taking_spread: 0.004\nshort_profit_taking_spread: 0.004\n\
    stop_loss_spread: 3\ntime_between_stop_loss_orders: 2\nstop_loss_slippage_buffer: 0.05\n";

/// Paper settings for a venue; no credentials are set.
fn settings(dir: &Path, venue: &Server) {
    pem(dir, venue);
    let (rest, ws) = (venue.rest_url(), venue.ws_url());
    let engine = format!(
        "[venue]\nrest_url = \"{rest}\"\npublic_ws_url = \"{ws}/public\"\nmarket_ws_url = \"{ws}/market\"\n\
         private_ws_url = \"{ws}/private\"\norder_ws_url = \"{ws}/ws-fapi/v1\"\nca_file = \"venue.pem\"\n\
         [market]\ndepth_stream = \"0ms\"\n\
         [risk]\nposition_max = 5\norder_qty_max = 0.1\norder_notional_max = 50000\nprice_band = 2\nloss_max = 5000\n"
    );
    std::fs::write(dir.join("engine.toml"), engine).unwrap();
    std::fs::write(dir.join("s.yml"), STRATEGY).unwrap();
}

/// Runs on paper and gives the summary and what was said.
fn paper(dir: &Path, span: &str) -> (Value, String) {
    let args = ["run", "s.yml", "--engine", "engine.toml", "--paper", "--for", span, "--run-dir", "run", "--json"];
    let output = spinquote(dir, &args);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

/// Nothing but public data was asked of the venue, and the run replays.
fn nothing_left_and_identical(dir: &Path, venue: &Server) {
    let counts = venue.counts();
    assert_eq!((counts.ws_api, counts.signed, counts.private_frames), (0, 0, 0), "{counts:?}");
    assert!(counts.market_frames > 0 && counts.rest >= 2, "{counts:?}");
    let orders = venue.with(|exchange, _| {
        let book = exchange.orders();
        book.open(AccountId(0)).count() + book.closed(AccountId(0)).count()
    });
    assert_eq!(orders, 0, "orders at the venue");
    let output = spinquote(dir, &["replay", "run", "--json"]);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!(verdict["identical"], true, "{verdict:#}");
}

#[test]
fn paper_fills_here_and_the_venue_hears_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let venue = start("", 3);
    settings(dir.path(), &venue);
    let (summary, said) = paper(dir.path(), "12s");
    let fills = summary["fills"]["buy"].as_u64().unwrap() + summary["fills"]["sell"].as_u64().unwrap();
    assert!(fills > 0, "{summary:#}\n{said}");
    assert_eq!((&summary["protocol_errors"], &summary["book"]["gaps"]), (&0.into(), &0.into()), "{summary:#}");
    assert_eq!(summary["position"], summary["venue_position"]);
    assert!(!said.contains("lost"), "{said}");
    nothing_left_and_identical(dir.path(), &venue);
}

#[test]
fn a_lost_venue_and_a_gap_withdraw_the_quotes_and_heal() {
    let dir = tempfile::tempdir().unwrap();
    // Counted from the venue's start: the run needs the first seconds to begin.
    let venue = start("at=5s gap; at=8s disconnect", 3);
    settings(dir.path(), &venue);
    let (summary, said) = paper(dir.path(), "12s");
    assert!(said.contains("depth frames do not join"), "{said}");
    assert!(said.contains("the venue is lost") && said.contains("the venue is back"), "{said}");
    assert!(said.contains("lost 2 times"), "{said}");
    assert!(summary["withdrawals"].as_u64().unwrap() >= 2, "{summary:#}");
    assert_eq!((&summary["protocol_errors"], &summary["open_orders_at_venue"]), (&0.into(), &0.into()), "{summary:#}");
    nothing_left_and_identical(dir.path(), &venue);
}

#[test]
fn a_venue_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let venue = start("", 3);
    settings(dir.path(), &venue);
    venue.stop();
    drop(venue);
    let args = ["run", "s.yml", "--engine", "engine.toml", "--paper", "--for", "5s"];
    let output = spinquote(dir.path(), &args);
    assert!(!output.status.success() && stderr(&output).contains("could not connect"), "{}", stderr(&output));
}
