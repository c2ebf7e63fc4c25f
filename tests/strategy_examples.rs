//! Users' files: each loads unchanged and trades in the simulator; one for a venue that comes later, or for spot, stops with a message
//! that says so and how to run it meanwhile, and does run so. The files here are of our own writing, of the shapes that users have;
//! the users' own are read besides, from the folder that `SPINQUOTE_EXAMPLES` names, else from `../shared/strategies/examples`.

#[path = "support/virtual_session.rs"]
mod virtual_session;

use spinquote::config::load::{self, Strategy, Target};
use spinquote::instrument::Instrument;
use spinquote::maker::recipe::StrategyKind;
use spinquote::maker::strategy::{Cadence, Phase, WhyNot};
use spinquote::sim::market::{Regime, Schedule, SyntheticMarket};
use spinquote::unit::{Money, Nanos, Rate};
use std::path::PathBuf;
use virtual_session::{Plan, Played, play, play_beside_its_source};

/// The demo's contract of a pair in a market that goes down and up by half a percent a minute.
fn market(symbol: &str) -> Box<SyntheticMarket> {
    let tick = if symbol == "BTCUSDT" { "0.1" } else { "0.01" };
    let mut terms = Instrument { price_places: 2, ..Instrument::synthetic(symbol, tick, "0.001") };
    if symbol != "BTCUSDT" {
        terms.notional_min = Money::parse(b"5").unwrap();
    }
    // Down first: what is below its base share only buys.
    let trend = |minute: i64| {
        let per_minute = Rate::from_bps(if minute % 2 == 0 { -50 } else { 50 });
        (Nanos::from_secs(60 * minute), Regime::Trend { per_minute })
    };
    let schedule = Schedule::new((0..5).map(trend).collect()).unwrap();
    Box::new(SyntheticMarket::new(terms, 3, Nanos::from_secs(1_723_190_500), schedule))
}

/// Five minutes in the simulator.
fn plan<'a>(file: &'a str, text: &'a str) -> Plan<'a> {
    let settings = load::strategy_text(file, text, Target::Demo).unwrap_or_else(|found| panic!("{found:?}")).settings;
    let kind = match settings {
        Strategy::Perpetual(_) => StrategyKind::PerpetualMarketMaking,
        Strategy::FundingAware(_) => StrategyKind::FundingAware,
        Strategy::Pmm(_) => StrategyKind::PmmController,
    };
    let market = market(&settings.symbol());
    let (cadence, deposit, lasts) = (Cadence::EveryEvent, "1000000", Nanos::from_secs(300));
    let (leverage, hedge) = (settings.leverage(), settings.hedge());
    Plan { market, kind, file: (file, text), cadence, leverage, hedge, deposit, lasts }
}

fn trade(file: &str, text: &str) -> Played {
    let played = play(plan(file, text));
    eprintln!("{file}: {}", played.line());
    played
}

/// What a file is for: where it runs, or which words its refusal must have and what replaces what to run it meanwhile.
enum Runs {
    AtTheVenue,
    InTheDemo,
    Spot,
}

#[track_caller]
fn is_as_promised(file: &str, text: &str, runs: Runs) {
    let at_venue = load::strategy_text(file, text, Target::Venue);
    let text = match runs {
        Runs::AtTheVenue => {
            assert!(at_venue.is_ok(), "{file}: {at_venue:?}");
            text.to_owned()
        }
        Runs::InTheDemo => {
            let said = at_venue.expect_err("a refusal")[0].to_string();
            for part in
                ["bybit_perpetual, a venue that comes in a later version", "binance_perpetual", "spinquote demo"]
            {
                assert!(said.contains(part), "{file}: {part} in {said}");
            }
            text.to_owned()
        }
        Runs::Spot => refused_for_spot(file, text),
    };
    let played = trade(file, &text);
    assert!(!played.fills.is_empty(), "{file}: {}", played.line());
}

/// Spot is refused everywhere; the text as the message says to change it.
#[track_caller]
fn refused_for_spot(file: &str, text: &str) -> String {
    for target in [Target::Venue, Target::Demo] {
        let problems = load::strategy_text(file, text, target).expect_err("a refusal");
        let said = problems[0].to_string();
        let parts = ["binance, a spot connector; spot comes in a later version", "`connector_name: binance_perpetual`"];
        assert!(problems.len() == 1 && parts.iter().all(|part| said.contains(part)), "{file}: {said}");
    }
    text.replace("connector_name: binance", "connector_name: binance_perpetual")
}

#[test]
fn a_one_way_maker_with_take_profit_and_stop() {
    let text = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: ETH-USDT\nleverage: 4\n\
        position_mode: One-way\nbid_spread: 0.12\nask_spread: 0.12\norder_amount: 0.2\norder_refresh_time: 25.0\n\
        long_profit_taking_spread: 0.9\nshort_profit_taking_spread: 0.9\nstop_loss_spread: 2.5\nstop_loss_slippage_buffer: 0.4\n";
    is_as_promised("one_way.yml", text, Runs::AtTheVenue);
}

#[test]
fn a_hedging_maker_of_many_levels_for_a_later_venue() {
    let text = "strategy: perpetual_market_making\nderivative: bybit_perpetual\nmarket: BTC-USDT\nleverage: 8\n\
        position_mode: Hedge\nbid_spread: 0.06\nask_spread: 0.06\norder_amount: 0.02\norder_levels: 4\norder_level_spread: 0.04\n\
        order_level_amount: 0.004\norder_refresh_time: 12.0\nlong_profit_taking_spread: 0.4\nshort_profit_taking_spread: 0.4\n\
        stop_loss_spread: 1.8\norder_optimization_enabled: true\n";
    is_as_promised("levels.yml", text, Runs::InTheDemo);
}

#[test]
fn a_controller_on_a_perpetual_in_hedge_mode() {
    let text = "controller_name: pmm\ncontroller_type: generic\nconnector_name: binance_perpetual\ntrading_pair: ETH-USDT\n\
        portfolio_allocation: 0.06\ntotal_amount_quote: 6000\nbuy_spreads: [0.0006, 0.0012]\nsell_spreads: [0.0006, 0.0012]\n\
        buy_amounts_pct: [1.5, 0.75]\nsell_amounts_pct: [1.5, 0.75]\ntarget_base_pct: 0.5\nmin_base_pct: 0.25\nmax_base_pct: 0.75\n\
        max_skew: 0.6\nexecutor_refresh_time: 240\ncooldown_time: 12\nleverage: 8\nposition_mode: HEDGE\ntake_profit: 0.015\n\
        take_profit_order_type: LIMIT_MAKER\nglobal_take_profit: 0.06\nglobal_stop_loss: 0.09\n";
    is_as_promised("controller.yml", text, Runs::AtTheVenue);
}

#[test]
fn a_controller_for_spot() {
    let text = "controller_name: pmm\ncontroller_type: generic\nconnector_name: binance\ntrading_pair: BTC-USDT\n\
        portfolio_allocation: 0.05\ntotal_amount_quote: 20000\nbuy_spreads: [0.0015, 0.003]\nsell_spreads: [0.0015, 0.003]\n\
        buy_amounts_pct: [1, 1]\nsell_amounts_pct: [1, 1]\ntarget_base_pct: 0.5\nmin_base_pct: 0.3\nmax_base_pct: 0.7\nmax_skew: 0.4\n\
        executor_refresh_time: 600\ncooldown_time: 20\nleverage: 1\ntake_profit: 0.012\nglobal_take_profit: 0.02\nglobal_stop_loss: 0.04\n";
    is_as_promised("spot.yml", text, Runs::Spot);
}

#[test]
fn a_funding_aware_maker_with_little_more_than_what_is_required() {
    let text = r#"{"market": "ICP", "trading": {"base_order_size": 80, "base_spread_bps": 12},
        "position": {"target_position_usd": 0, "max_position_usd": 600, "leverage": 4},
        "funding": {"max_funding_rate_pct_8h": 0.4, "funding_skew_multiplier": 80}}"#;
    is_as_promised("funding.json", text, Runs::AtTheVenue);
}

/// Without its price source it quotes nothing and says why; with it, it trades.
#[track_caller]
fn follows_another_market(file: &str, text: &str) {
    assert!(load::strategy_text(file, text, Target::Venue).is_ok());
    let alone = trade(file, text);
    assert_eq!((alone.fills.len(), alone.status.counters.new, alone.status.internals.phase), (0, 0, Phase::NoPrice));
    let played = play_beside_its_source(plan(file, text));
    eprintln!("{file} with its source: {}", played.line());
    assert!(!played.fills.is_empty(), "{file}: {}", played.line());
}

#[test]
fn a_maker_that_follows_another_market() {
    let text = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: SOL-USDT\nleverage: 4\n\
        bid_spread: 0.15\nask_spread: 0.15\norder_amount: 2\norder_refresh_time: 15.0\nprice_source: external_market\n\
        price_type: mid_price\nprice_source_derivative: binance\nprice_source_market: SOL-USDT\nstop_loss_spread: 3.0\n";
    follows_another_market("source.yml", text);
}

#[test]
fn the_users_own_files() {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/strategies/examples");
    let folder = std::env::var_os("SPINQUOTE_EXAMPLES").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "no examples at {} (SPINQUOTE_EXAMPLES names the folder): only our own files are run",
            folder.display()
        );
        return;
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let (file, text) =
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap());
        seen += 1;
        match file.as_str() {
            "perpetual_aggressive_multi_level.yml" => is_as_promised(&file, &text, Runs::InTheDemo),
            // On a perpetual of bitcoin its levels of 4 USDT are below the smallest order, and the status says so.
            "pmm_conservative.yml" => {
                let played = trade(&file, &refused_for_spot(&file, &text));
                let internals = played.status.internals;
                assert_eq!((internals.phase, played.fills.len()), (Phase::Quoting, 0));
                assert_eq!(internals.blocked, [Some(WhyNot::TooSmall), Some(WhyNot::BelowBase)]);
            }
            // It quotes 1 % away and more, where this market does not come.
            "pmm_volatile.yml" => {
                let text = refused_for_spot(&file, &text);
                assert!(load::strategy_text(&file, &text, Target::Venue).is_ok());
            }
            "perpetual_price_from_spot.yml" => follows_another_market(&file, &text),
            _ => is_as_promised(&file, &text, Runs::AtTheVenue),
        }
    }
    assert!(seen > 0, "no file in {}", folder.display());
}
