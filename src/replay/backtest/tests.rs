use super::*;
use crate::instrument::Instrument;
use crate::maker::Maker;
use crate::maker::recipe::{InstrumentRecipe, Recipe, StrategyKind, StrategyText};
use crate::maker::strategy::Cadence;
use crate::maker::{InstrumentSetup, MakerConfig, RiskLimits};
use crate::sim::latency::Latency;
use crate::sim::market::{Schedule, SyntheticMarket};
use crate::unit::{Lots, Money, Nanos, Rate};

const START: Nanos = Nanos(1_700_000_000_000_000_000);

fn terms() -> Instrument {
    Instrument::synthetic("BTCUSDT", "0.1", "0.001")
}

fn limits() -> RiskLimits {
    RiskLimits {
        position_max: Lots(1_000),
        order_qty_max: Lots(100),
        order_notional_max: Money::parse(b"100000").unwrap(),
        price_band: Rate::parse(b"0.05").unwrap(),
        orders_max: 300,
        messages_max: 400,
        cancel_headroom: 50,
        interval: Nanos::from_secs(1),
        loss_max: Money::ZERO,
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    }
}

fn maker(strategy: &str) -> Maker {
    let text = StrategyText { kind: StrategyKind::PerpetualMarketMaking, file: "s.yml".into(), text: strategy.into() };
    let part = InstrumentRecipe { instrument: terms(), strategy: text, cadence: Cadence::EveryEvent, source: None };
    Recipe { config: MakerConfig::new(1, limits()), instruments: vec![part], watched: Vec::new() }.build().unwrap()
}

const NEAR: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 10\n\
                    position_mode: One-way\nbid_spread: 0.005\nask_spread: 0.005\norder_levels: 3\norder_level_spread: 0.002\n\
                    order_amount: 0.005\norder_refresh_time: 0.3\nfilled_order_delay: 0.3\n";

fn run(seed: u64, secs: i64) -> Outcome {
    let market = SyntheticMarket::new(terms(), 7, START, Schedule::calm());
    let tape = SyntheticTape::new(market, START + Nanos::from_secs(secs), Latency::Constant(Nanos::from_millis(1)), 1);
    let settings = Settings { seed, ..Settings::default() };
    let mut world = World::new(tape, (), maker(NEAR), vec![terms()], settings).unwrap();
    world.run(|_| true).unwrap();
    world.finish().0
}

#[test]
fn a_synthetic_minute_trades_and_agrees_with_the_venue() {
    let outcome = run(1, 60);
    let status = &outcome.statuses[0];
    assert!(status.counters.fills_buy + status.counters.fills_sell > 10, "{:?}", status.counters);
    assert_eq!(status.position, outcome.venue_positions[0]);
    assert_eq!(status.counters.corrections + status.counters.unknown + status.counters.gaps, 0);
    assert!(outcome.events > 10_000);
    let (low, high) = outcome.position_range[0];
    assert!(low <= status.position && status.position <= high && low < high);
}

#[test]
fn one_seed_is_one_run() {
    let (a, b, c) = (run(1, 20), run(1, 20), run(2, 20));
    assert_eq!((a.digest, &a.statuses), (b.digest, &b.statuses));
    assert_ne!(a.digest, c.digest);
}

/// A requoting maker, or one of [`NEAR`], at this cadence.
fn ticking(requote: bool, cadence: Cadence) -> Maker {
    let text = StrategyText { kind: StrategyKind::PerpetualMarketMaking, file: "s.yml".into(), text: NEAR.into() };
    let part = InstrumentRecipe { instrument: terms(), strategy: text, cadence, source: None };
    let config = MakerConfig::new(1, limits());
    if requote {
        let strategy = Box::new(Requote::new(1, Lots(5)));
        let setup = InstrumentSetup { instrument: terms(), strategy, cadence, source: None };
        return Maker::new(config, vec![setup]);
    }
    Recipe { config, instruments: vec![part], watched: Vec::new() }.build().unwrap()
}

#[test]
fn timers_that_are_left_out_change_nothing() {
    let millisecond = Nanos::from_millis(1);
    for (requote, cadence, fewer) in [
        (true, Cadence::Interval(millisecond), true),
        (true, Cadence::Interval(Nanos::from_millis(10)), true),
        (false, Cadence::EveryEvent, true),
        (false, Cadence::Interval(millisecond), false),
    ] {
        let market = || SyntheticMarket::new(terms(), 7, START, Schedule::calm());
        let feed = Latency::Constant(millisecond);
        let tape = || SyntheticTape::new(market(), START + Nanos::from_secs(20), feed, 1);
        let settings = Settings { timer: millisecond, ..Settings::default() };
        let mut all = World::new(tape(), (), ticking(requote, cadence), vec![terms()], settings.clone()).unwrap();
        all.every_timer = true;
        all.run(|_| true).unwrap();
        let mut few = World::new(tape(), (), ticking(requote, cadence), vec![terms()], settings).unwrap();
        few.run(|_| true).unwrap();
        let (all, few) = (all.finish().0, few.finish().0);
        assert_eq!((all.digest, &all.statuses, all.span), (few.digest, &few.statuses, few.span));
        let counters = &all.statuses[0].counters;
        assert!(counters.new + counters.amend > 10, "{:?}", all.statuses);
        assert!(all.records == few.records, "{cadence:?}: other records");
        // On a tick a strategy that does not say that it is settled is asked every time.
        assert_eq!(few.steps * 3 < all.steps * 2, fewer, "{} steps, {} with every timer", few.steps, all.steps);
    }
}
