//! Each strategy through whole sessions in virtual time, synthetic and recorded: it opens and closes positions by its own rules, a
//! crash of five percent triggers its stop, funding is charged and attributed, and the books are the venue's to the last digit
//! (`virtual_session::play` holds them against each other at the end of every session).

#[path = "support/virtual_session.rs"]
mod virtual_session;

use spinquote::event::Side;
use spinquote::instrument::Instrument;
use spinquote::maker::DecisionKind;
use spinquote::maker::recipe::StrategyKind;
use spinquote::maker::strategy::{Cadence, Cause, Purpose};
use spinquote::sim::capture::CaptureMarket;
use spinquote::sim::market::{MarketSource, Regime, Schedule, SyntheticMarket};
use spinquote::unit::{Nanos, Rate};
use std::path::PathBuf;
use virtual_session::{Decided, Plan, Played, play};

const fn minutes(n: i64) -> Nanos {
    Nanos::from_secs(60 * n)
}

const SECOND: Nanos = Nanos::from_secs(1);
/// 2024-08-09 08:00 UTC: funding is charged.
const FUNDING_TIME: Nanos = Nanos::from_secs(1_723_190_400);
const START: Nanos = Nanos(FUNDING_TIME.0 - minutes(5).0);
const CRASH: Nanos = Nanos(START.0 + minutes(8).0);

fn contract() -> Instrument {
    Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.1", "0.001") }
}

fn synthetic(regimes: Vec<(Nanos, Regime)>) -> Box<dyn MarketSource + Send> {
    Box::new(SyntheticMarket::new(contract(), 1, START, Schedule::new(regimes).unwrap()))
}

/// Ten minutes: the price rises by half a percent from the second to the seventh, funding of 0.05 % is charged after five, and
/// the price falls by 5 % in 20 s after eight.
fn with_crash() -> Box<dyn MarketSource + Send> {
    synthetic(vec![
        (minutes(1), Regime::FundingFlip { rate: Rate::from_bps(5) }),
        (minutes(2), Regime::Trend { per_minute: Rate::from_bps(10) }),
        (minutes(7), Regime::Calm),
        (minutes(8), Regime::Crash { drop: Rate::from_bps(500), within: Nanos::from_secs(20) }),
        (minutes(9), Regime::Calm),
    ])
}

/// The recorded session of 2024-08-08, or as long a synthetic one.
fn recorded() -> Box<dyn MarketSource + Send> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SPINQUOTE_DATA").map_or_else(beside, PathBuf::from);
    let path = folder.join("binance_usdm/btcusdt_20240808.gz");
    if path.is_file() {
        return Box::new(CaptureMarket::open(&path, None).expect("a recording that can be played"));
    }
    eprintln!("no recording at {} (SPINQUOTE_DATA names the folder): a synthetic market instead", path.display());
    synthetic(Vec::new())
}

const PERPETUAL: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 10\n\
    position_mode: One-way\nbid_spread: 0.01\nask_spread: 0.01\norder_levels: 2\norder_level_spread: 0.01\norder_amount: 0.02\n\
    order_refresh_time: 2\nfilled_order_delay: 1\nlong_profit_taking_spread: 0.02\nshort_profit_taking_spread: 0.02\n\
    stop_loss_spread: 1\ntime_between_stop_loss_orders: 2\nstop_loss_slippage_buffer: 0.2\n";
/// Nearest spreads that the controller allows; `MODE` is its position mode.
const PMM: &str = "controller_name: pmm\nconnector_name: binance_perpetual\ntrading_pair: BTC-USDT\ntotal_amount_quote: 10000\n\
    portfolio_allocation: 0.5\nbuy_spreads: [0.0001, 0.0002]\nsell_spreads: [0.0001, 0.0002]\nmin_base_pct: 0\nmax_base_pct: 1\n\
    executor_refresh_time: 10\ncooldown_time: 0\nleverage: 10\nposition_mode: MODE\ntake_profit: 0.001\nglobal_stop_loss: 0.01\n";
/// The default multiplier of 100 makes the venue's usual 0.01 % a skew of 100 bps, so that one side is never near the market; this
/// one makes a tenth of a basis point of it.
const FUNDING_AWARE: &str = r#"{"market": "BTC", "trading": {"base_order_size": 1000, "base_spread_bps": 2, "min_spread_bps": 1},
    "position": {"max_position_usd": 20000, "leverage": 10}, "inventory": {"inventory_skew_bps_per_1k": 0.5},
    "timing": {"update_threshold_bps": 0.5, "fallback_check_seconds": 5},
    "funding": {"max_funding_rate_pct_8h": 0.5, "funding_skew_multiplier": 0.1}}"#;

fn session<'a>(market: Box<dyn MarketSource + Send>, kind: StrategyKind, text: &'a str) -> Plan<'a> {
    let (cadence, leverage, lasts) = (Cadence::EveryEvent, 10, minutes(10));
    let file = if kind == StrategyKind::FundingAware { "settings.json" } else { "settings.yml" };
    let hedge = text.contains("HEDGE");
    Plan { market, kind, file: (file, text), cadence, leverage, hedge, deposit: "100000", lasts }
}

#[track_caller]
fn trades(played: &Played, fills: usize, trips: usize) {
    eprintln!("{}", played.line());
    let (_, closed) = played.round_trips();
    assert!(played.fills.len() >= fills && closed >= trips, "{}", played.line());
    assert!([Side::Buy, Side::Sell].iter().all(|side| played.fills.iter().any(|fill| fill.side == *side)));
}

/// One charge, on what was held, at the mark and the rate of the moment; and in the split as funding.
#[track_caller]
fn is_charged_funding(played: &Played) {
    let [(at, amount)] = played.funding[..] else { panic!("{:?}", played.funding) };
    assert!(at - FUNDING_TIME < SECOND && !amount.is_zero());
    assert_eq!(amount, played.funding_due(at));
    assert_eq!(played.status.pnl.funding, amount);
    let pnl = &played.status.pnl;
    assert_eq!(pnl.total(), pnl.trading() + pnl.mark_to_market - pnl.fees + amount);
}

#[test]
fn perpetual_market_making_takes_profits_and_stops_the_loss_of_a_crash() {
    let played = play(session(with_crash(), StrategyKind::PerpetualMarketMaking, PERPETUAL));
    trades(&played, 30, 5);
    is_charged_funding(&played);
    // A take-profit closes at 0.02 % from the entry price or better, to the tick.
    assert!(played.of(Purpose::TakeProfit).count() >= 5);
    for fill in played.of(Purpose::TakeProfit) {
        let (held, entry) = played.held_at(Nanos(fill.at.0 - 1));
        let gain = (fill.fill.price.0 as f64 - entry) * held.signum() as f64;
        assert!(fill.side.sign() == -held.signum() && gain >= entry * 0.0002 - 1.0, "{fill:?} of {held} at {entry}");
    }
    // The stop: no earlier than the crash, when the bid is 1 % below the entry price, priced 0.2 % through it.
    let stop = played.decided(DecisionKind::Placed, Cause::StopLoss).next().expect("a stop");
    let (held, entry) = played.held_at(stop.at);
    let bid = stop.touch[0].0;
    assert!(stop.at > CRASH && held > 0 && stop.what.side == Side::Sell, "{stop:?}");
    assert!(bid as f64 <= entry * 0.99 && bid as f64 > entry * 0.985, "stopped at {bid}, entered at {entry}");
    assert_eq!(stop.what.price.0, bid * 998 / 1000);
    let quotes_left = played.decisions.iter().filter(|d| d.at == stop.at && d.what.kind == DecisionKind::Canceled);
    assert!(quotes_left.count() > 0, "what would add to the position goes with the stop");
    let closed = played.of(Purpose::StopLoss).take_while(|fill| fill.at < stop.at + SECOND);
    let closed: i64 = closed.map(|fill| fill.fill.qty.0).sum();
    assert_eq!(closed, held, "all of it is closed within a second");
}

/// The first closing of everything held: its time, what was held then, and the loss in it.
fn global_stop(played: &Played) -> (Nanos, i64, f64) {
    let closing = |purpose| purpose == Purpose::StopLoss;
    let stop = played.decisions.iter().find(|d| d.what.kind == DecisionKind::Placed && closing(d.what.purpose));
    let stop = stop.expect("a global stop");
    let (held, entry) = played.held_at(stop.at);
    (stop.at, held, (stop.touch[0].0 + stop.touch[1].0) as f64 / 2.0 / entry - 1.0)
}

#[test]
fn the_pmm_controller_closes_everything_in_a_crash_with_one_net_position() {
    let played = play(session(with_crash(), StrategyKind::PmmController, &PMM.replace("MODE", "ONEWAY")));
    trades(&played, 100, 10);
    is_charged_funding(&played);
    assert!(played.of(Purpose::TakeProfit).count() >= 5);
    let (at, held, loss) = global_stop(&played);
    // The controller measures on its own lots, bought and sold apart, so not at exactly 1 % of the net position.
    assert!(at > CRASH && held > 0 && (-0.012..-0.008).contains(&loss), "{at:?} {held} {loss}");
    let flat = played.fills.iter().find(|fill| fill.at >= at && played.held_at(fill.at).0 == 0);
    assert!(flat.is_some_and(|fill| fill.at - at < Nanos::from_secs(5)), "{flat:?}");
}

#[test]
fn the_pmm_controller_closes_the_losing_leg_in_a_crash_in_the_originals_cadence() {
    // Both legs together lose nothing in a crash: the asks stand far away.
    let text = PMM.replace("MODE", "HEDGE").replace("sell_spreads: [0.0001, 0.0002]", "sell_spreads: [0.03]");
    // A level lives long enough for the trend to reach its take-profit, a tenth of a percent away.
    let text = text.replace("executor_refresh_time: 10", "executor_refresh_time: 120");
    let plan = session(with_crash(), StrategyKind::PmmController, &text);
    let played = play(Plan { cadence: Cadence::Interval(SECOND), ..plan });
    eprintln!("{}", played.line());
    is_charged_funding(&played);
    assert!(played.of(Purpose::TakeProfit).count() >= 3 && played.of(Purpose::Entry).count() >= 20);
    let (at, held, loss) = global_stop(&played);
    assert!(at > CRASH && held > 0 && (-0.013..-0.01).contains(&loss), "{at:?} {held} {loss}");
    let flat = played.fills.iter().find(|fill| fill.at >= at && played.held_at(fill.at).0 == 0);
    assert!(flat.is_some_and(|fill| fill.at - at < Nanos::from_secs(10)), "{flat:?}");
    assert!(played.of(Purpose::StopLoss).all(|fill| fill.side == Side::Sell));
}

#[test]
fn the_funding_aware_maker_pauses_in_a_crash() {
    let played = play(session(with_crash(), StrategyKind::FundingAware, FUNDING_AWARE));
    trades(&played, 50, 5);
    is_charged_funding(&played);
    // The mark has ranged over more than 5 %, and a second before it had not: what rests goes, and nothing comes while the range
    // stays above 2 %.
    let trip = played.decided(DecisionKind::Canceled, Cause::Withdraw).find(|d| d.at > CRASH).expect("a pause").at;
    let exceeds = |until: Nanos| {
        let marks = || played.marks.iter().filter(|(told, _)| *told <= until).map(|(_, mark)| mark.mark.0);
        (marks().max().unwrap() - marks().min().unwrap()) * 100 > marks().min().unwrap() * 5
    };
    assert!(exceeds(trip) && !exceeds(trip - SECOND), "tripped at {trip:?}");
    let quoted = |d: &&Decided| matches!(d.what.kind, DecisionKind::Placed | DecisionKind::Amended);
    assert_eq!(played.decisions.iter().filter(quoted).filter(|d| d.at > trip).count(), 0);
    assert_ne!(played.status.position.0, 0, "a pause leaves the position");
}

#[test]
fn the_funding_aware_makers_kill_switch_ends_quoting_in_a_crash() {
    // 20,000 USD on a deposit of 5,000: 5 % of the one is 20 % of the other.
    let plan = session(with_crash(), StrategyKind::FundingAware, FUNDING_AWARE);
    let played = play(Plan { deposit: "5000", ..plan });
    eprintln!("{}", played.line());
    let stop = played.decided(DecisionKind::Canceled, Cause::StopLoss).next().expect("a latched kill switch");
    let (held, entry) = played.held_at(stop.at);
    let loss = held as f64 * (entry - stop.touch[0].0 as f64) * 0.0001;
    assert!(stop.at > CRASH && held > 0 && loss > 400.0, "a loss of {loss} on {held} lots");
    let after = |d: &&Decided| d.at > stop.at && d.what.kind == DecisionKind::Placed;
    assert_eq!(played.decisions.iter().filter(after).count(), 0, "until restart");
    assert_eq!(played.status.position.0, held, "the position is left as it is");
}

#[test]
fn the_funding_aware_maker_stays_away_while_funding_is_too_high() {
    let high = Rate::from_bps(60);
    let regimes = vec![
        (minutes(2), Regime::FundingFlip { rate: high }),
        (minutes(4), Regime::FundingFlip { rate: Rate::from_bps(1) }),
    ];
    let plan = session(synthetic(regimes), StrategyKind::FundingAware, FUNDING_AWARE);
    let played = play(Plan { lasts: minutes(6), ..plan });
    trades(&played, 20, 2);
    let (from, until) = (START + minutes(2) + SECOND * 2, START + minutes(4));
    let placed = |d: &&Decided| d.what.kind == DecisionKind::Placed;
    assert!(played.decided(DecisionKind::Canceled, Cause::Risk).any(|d| d.at < from));
    assert_eq!(played.decisions.iter().filter(placed).filter(|d| d.at > from && d.at < until).count(), 0);
    assert!(played.decisions.iter().filter(placed).any(|d| d.at > until));
    is_charged_funding(&played);
}

#[test]
fn every_strategy_trades_the_recorded_session() {
    let perpetual = PERPETUAL.replace("_spread: 0.02", "_spread: 0.005");
    let cases = [
        (StrategyKind::PerpetualMarketMaking, perpetual, 10, 1),
        (StrategyKind::PmmController, PMM.replace("MODE", "ONEWAY"), 50, 5),
        (StrategyKind::FundingAware, FUNDING_AWARE.to_owned(), 20, 2),
    ];
    for (kind, text, fills, trips) in cases {
        let played = play(session(recorded(), kind, &text));
        trades(&played, fills, trips);
        assert!(played.funding.len() <= 1);
        for &(at, amount) in &played.funding {
            assert_eq!(amount, played.funding_due(at));
        }
    }
}
