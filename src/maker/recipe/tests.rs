//! A recipe goes through JSON and back, and its faults have names.

use super::*;
use crate::config::reference;
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

fn recipe() -> Recipe {
    let limits = RiskLimits {
        position_max: Lots(10),
        order_qty_max: Lots(5),
        order_notional_max: Money::parse(b"5000.5").unwrap(),
        price_band: Rate::parse(b"0.02").unwrap(),
        orders_max: 300,
        messages_max: 600,
        cancel_headroom: 100,
        interval: Nanos::from_secs(10),
        loss_max: Money::ZERO,
        data_age_max: Nanos::from_secs(1),
        skew_max: Nanos::ZERO,
    };
    let part = |symbol, tick, lot, cadence, source| InstrumentRecipe {
        instrument: Instrument::synthetic(symbol, tick, lot),
        strategy: StrategyText {
            kind: StrategyKind::PerpetualMarketMaking,
            file: "pmm.yml".to_owned(),
            text: reference::template("perpetual_market_making").unwrap(),
        },
        cadence,
        source,
    };
    let instruments = vec![
        part("BTCUSDT", "0.10", "0.001", Cadence::EveryEvent, Some(market(1))),
        part("ETHUSDT", "0.25", "0.5", Cadence::Interval(Nanos::from_secs(1)), None),
    ];
    let watched = vec![WatchedRecipe {
        instrument: Instrument::synthetic("SOLUSDT", "0.01", "0.1"),
        product: "binance_spot".to_owned(),
    }];
    Recipe { config: MakerConfig::new(7, limits), instruments, watched }
}

fn market(instrument: u16) -> Source {
    Source::Market { instrument: InstrumentId(instrument), stale_after: Nanos(5) }
}

/// The JSON form with one place changed.
fn changed(pointer: &str, value: Value) -> Result<Recipe, RecipeError> {
    let mut json = recipe().to_json();
    *json.pointer_mut(pointer).unwrap() = value;
    Recipe::from_json(&json)
}

fn said<T>(result: Result<T, RecipeError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_recipe_that_went_through_a_file_makes_a_maker() {
    let text = serde_json::to_string_pretty(&recipe().to_json()).unwrap();
    let read = Recipe::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(read, recipe());
    assert_eq!(read.build().unwrap().status(InstrumentId(1)).position, Lots::ZERO);
    assert_eq!(recipe().to_json()["instruments"][1]["instrument"]["price_max"], "25000000.00");
}

#[test]
fn every_strategy_goes_through_a_file_and_makes_a_maker() {
    for kind in StrategyKind::ALL {
        let mut recipe = recipe();
        for part in &mut recipe.instruments {
            part.strategy.kind = kind;
            part.strategy.text = reference::template(kind.name()).unwrap();
        }
        let json = recipe.to_json();
        assert_eq!(json["instruments"][0]["strategy"]["kind"], kind.name());
        let read = Recipe::from_json(&serde_json::from_str(&json.to_string()).unwrap()).unwrap();
        assert_eq!(read, recipe);
        assert!(read.build().is_ok(), "{kind:?}");
        recipe.instruments[1].strategy.text = reference::template("perpetual_market_making").unwrap();
        let other = said(recipe.build().map(drop));
        let expected = format!("instruments[1].strategy: the text is of another strategy than {}", kind.name());
        assert_eq!(other, if kind == StrategyKind::PerpetualMarketMaking { "" } else { &expected });
    }
}

#[test]
fn the_faulty_field_is_named() {
    assert_eq!(said(changed("/version", json!(1))), "the recipe has version 1, this program reads 2");
    assert_eq!(
        said(changed("/instruments/1/instrument/price_min", json!("0.3"))),
        "instruments[1].instrument.price_min: \"0.3\": the number is not a multiple of the step 0.25"
    );
    assert_eq!(said(changed("/maker/limits/orders_max", json!(-1))), "maker.limits.orders_max: -1 is out of range");
    assert_eq!(said(changed("/maker/limits", json!([]))), "maker.limits: found a list, expected an object");
    assert_eq!(
        said(changed("/maker/leftovers", json!("keep"))),
        "maker.leftovers: found \"keep\"; must be cancel or adopt"
    );
    assert_eq!(
        said(changed("/instruments/0/cadence", json!("hourly"))),
        "instruments[0].cadence: found \"hourly\"; must be every_event"
    );
    let mut json = recipe().to_json();
    json["maker"].as_object_mut().unwrap().remove("amend");
    assert_eq!(said(Recipe::from_json(&json)), "maker.amend: missing");
    json["maker"]["amend"] = json!(true);
    json["maker"]["boost"] = json!(2);
    assert_eq!(said(Recipe::from_json(&json)), "maker.boost: unknown");
    assert_eq!(said(Recipe::from_json(&json!(null))), "recipe: found null, expected an object");
}

#[test]
fn what_no_maker_can_have_is_an_error_and_no_panic() {
    let built = |change: fn(&mut Recipe)| {
        let mut recipe = recipe();
        change(&mut recipe);
        said(recipe.build().map(drop))
    };
    assert_eq!(built(|_| ()), "");
    assert_eq!(built(|recipe| recipe.config.run = 0), "maker.run: must not be 0");
    assert!(built(|recipe| recipe.config.limits.interval = Nanos(15)).starts_with("maker.limits.interval_ns: "));
    assert!(built(|recipe| recipe.instruments.clear()).starts_with("instruments: 0 of them"));
    let alone = |recipe: &mut Recipe| {
        recipe.instruments.truncate(1);
        recipe.watched.clear();
    };
    assert!(built(alone).starts_with("instruments[0].source.instrument: "));
    assert!(
        built(|recipe| recipe.instruments[1].cadence = Cadence::Interval(Nanos::ZERO))
            .starts_with("instruments[1].cadence: ")
    );
    assert!(
        built(|recipe| recipe.instruments[0].instrument.lot = Step::parse(b"0.000000000000000001").unwrap())
            .starts_with("instruments[0].instrument.lot: 0.000000000000000001, with a tick of 0.1: ")
    );
    let error = built(|recipe| recipe.instruments[1].strategy.text.push_str("order_levles: 2\n"));
    assert!(error.starts_with("instruments[1].strategy: pmm.yml:") && error.contains("order_levels"), "{error}");
}

#[test]
fn a_text_of_another_strategy_than_its_kind_is_refused() {
    let text = r#"{"market": "BTC", "trading": {"base_order_size": 50, "base_spread_bps": 15},
        "position": {"max_position_usd": 500}}"#;
    let mut recipe = recipe();
    recipe.instruments[0].strategy =
        StrategyText { kind: StrategyKind::FundingAware, file: "s.json".to_owned(), text: text.to_owned() };
    assert!(recipe.build().is_ok());
    recipe.instruments[0].strategy.kind = StrategyKind::PerpetualMarketMaking;
    let Err(RecipeError::Value { field, what }) = recipe.build().map(|_| ()) else { panic!("it was built") };
    assert_eq!(field, "instruments[0].strategy");
    assert!(what.contains("perpetual_market_making"), "{what}");
}

proptest! {
    #[test]
    fn every_value_goes_through_json_unchanged(
        steps in (1_u32.., 0_usize..=9, 1_u32.., 0_usize..=9),
        counts in prop::array::uniform5(any::<i64>()),
        money in prop::array::uniform3(-(1_i128 << 100)..1 << 100),
        rates in prop::array::uniform6(any::<i64>()),
        times in prop::array::uniform12(any::<i64>()),
        numbers in prop::array::uniform8(any::<u32>()),
        bytes in prop::array::uniform3(any::<u8>()),
        flags in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        source in any::<Option<u16>>(),
        (file, text) in (".{0,20}", "(?s).{0,60}"),
    ) {
        // The largest counts times the largest steps are beyond any decimal text that can be read back.
        let count = |at: usize| counts[at] >> 2;
        let step = |mantissa: u32, places: usize| {
            let digits = format!("{mantissa:010}");
            Step::parse(format!("{}.{}", &digits[..10 - places], &digits[10 - places..]).trim_end_matches('.').as_bytes()).unwrap()
        };
        let rate = |at: usize| Rate(rates[at]);
        let limits = RiskLimits {
            position_max: Lots(count(0)),
            order_qty_max: Lots(count(1)),
            order_notional_max: Money(money[0]),
            price_band: rate(0),
            orders_max: numbers[0],
            messages_max: numbers[1],
            cancel_headroom: numbers[2],
            interval: Nanos(times[0]),
            loss_max: Money(money[1]),
            data_age_max: Nanos(times[1]),
            skew_max: Nanos(times[2]),
        };
        let config = MakerConfig {
            run: numbers[3],
            limits,
            amend: flags.0,
            leftovers: if flags.1 { Leftovers::Adopt } else { Leftovers::Cancel },
            ack_timeout: Nanos(times[3]),
            query_grace: Nanos(times[4]),
            market_stale: Nanos(times[5]),
            snapshot_retry: Nanos(times[6]),
            reconcile_retry: Nanos(times[7]),
            mismatch_after: Nanos(times[8]),
            reject_delay: Nanos(times[9]),
            slot_quiet: Nanos(times[10]),
            flatten_tries: numbers[4],
        };
        let instrument = Instrument {
            tick: step(steps.0, steps.1),
            lot: step(steps.2, steps.3),
            price_places: bytes[0],
            qty_places: bytes[1],
            price_min: Ticks(count(0)),
            price_max: Ticks(count(1)),
            qty_min: Lots(count(2)),
            qty_max: Lots(count(3)),
            market_qty_max: Lots(count(4)),
            notional_min: Money(money[2]),
            percent_up: rate(1),
            percent_down: rate(2),
            orders_max: numbers[5],
            maker_fee: rate(3),
            taker_fee: rate(4),
            maintenance_margin: rate(5),
            funding_interval_hours: bytes[2],
            ..Instrument::synthetic("1000SHIBUSDT", "1", "1")
        };
        let strategy = StrategyText { kind: StrategyKind::PerpetualMarketMaking, file, text };
        let cadence = if flags.2 { Cadence::EveryEvent } else { Cadence::Interval(Nanos(times[11])) };
        let part = InstrumentRecipe { instrument, strategy, cadence, source: source.map(market) };
        let recipe = Recipe { config, instruments: vec![part; usize::from(flags.3) + 1], watched: recipe().watched };
        let text = recipe.to_json().to_string();
        prop_assert_eq!(Recipe::from_json(&serde_json::from_str(&text).unwrap()), Ok(recipe));
    }
}
