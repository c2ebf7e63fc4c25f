//! The funding-aware maker takes all its memory at construction, the price history of its circuit breaker included; and no strategy
//! allocates when it takes new settings over.

#[path = "support/alloc.rs"]
mod alloc;

use alloc::{Counting, allocations};
use spinquote::config::load::{self, Strategy as Settings, Target};
use spinquote::config::reference;
use spinquote::event::{ClientId, Level, PositionSide, Side};
use spinquote::instrument::Instrument;
use spinquote::maker::strategy::funding_aware::FundingAware;
use spinquote::maker::strategy::perpetual::Perpetual;
use spinquote::maker::strategy::pmm::Pmm;
use spinquote::maker::strategy::{
    BookView, Cadence, External, FundingView, ORDERS_MAX, OwnOrder, Plan, PositionView, Strategy, View,
};
use spinquote::unit::{Amount, Lots, Money, Nanos, Price, Rate, Ticks};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Touch(i64);

impl BookView for Touch {
    fn best(&self, side: Side) -> Option<Level> {
        Some(Level { price: Ticks(self.0 - side.sign()), qty: Lots(1_000) })
    }
    fn behind(&self, _: Side, _: Ticks) -> Option<Level> {
        None
    }
}

#[test]
fn a_long_run_of_the_funding_aware_maker_allocates_nothing() {
    let text = r#"{"market": "ICP", "trading": {"base_order_size": 50, "base_spread_bps": 15},
        "position": {"max_position_usd": 500}, "timing": {"update_threshold_bps": 0}}"#;
    let Ok(Settings::FundingAware(settings)) =
        load::strategy_text("s.json", text, Target::Demo).map(|loaded| loaded.settings)
    else {
        panic!("the settings are good")
    };
    let instrument = Instrument::synthetic("ICPUSDT", "0.01", "0.01");
    let mut strategy = FundingAware::new(settings);
    let (mut plan, mut orders) = (Plan::default(), Vec::with_capacity(2 * ORDERS_MAX));
    let (mut seq, mut placed, mut canceled) = (0, 0, 0);
    let count = allocations(|| {
        for turn in 0..200_000_i64 {
            // Twenty minutes of a hundred events a second, with a jump that trips the breaker and funding that stops.
            let middle = 1_000 + turn % 7 + if turn / 40_000 == 2 { 80 } else { 0 };
            let positions =
                [PositionView { side: PositionSide::Net, qty: Lots(turn % 11_000 - 5_500), entry: Price(1) }];
            let now = Nanos::from_millis(6 * turn);
            let view = View {
                now,
                instrument: &instrument,
                book: &Touch(middle),
                last_trade: None,
                mark: Some(instrument.price(Ticks(middle))),
                funding: Some(FundingView {
                    rate: Rate::from_bps(turn / 1_000 % 60),
                    next: Nanos::ZERO,
                    interval_hours: 8,
                }),
                external: External::default(),
                orders: &orders,
                positions: &positions,
                available: Money::ZERO,
                available_base: Amount::ZERO,
                wallet: Money(1_000 * 10_i128.pow(18)),
                unrealized: Money::ZERO,
                widen: Rate::ONE,
            };
            plan.clear();
            strategy.decide(&view, &mut plan);
            canceled += plan.cancel.len();
            placed += plan.place.len();
            orders.retain(|order: &OwnOrder| !plan.cancel.iter().any(|(id, _)| *id == order.id));
            for (quote, _) in &plan.place {
                seq += 1;
                orders.push(OwnOrder {
                    id: ClientId { run: 1, seq },
                    side: quote.side,
                    position_side: quote.position_side,
                    purpose: quote.purpose,
                    level: 0,
                    price: quote.price,
                    qty: quote.qty,
                    filled: Lots::ZERO,
                    created_at: now,
                    cancel_sent: None,
                    resting: true,
                });
            }
        }
    });
    assert_eq!(count, 0);
    assert!(placed > 1_000 && canceled > 1_000, "{placed} placed, {canceled} cancelled");
}

fn settings(name: &str) -> Settings {
    let text = reference::template(name).expect("a template");
    load::strategy_text("s.yml", &text, Target::Demo).unwrap_or_else(|problems| panic!("{problems:?}")).settings
}

/// The settings after `new` was taken over, and what came back in it. Counts no allocation.
fn taken_over(strategy: &mut dyn Strategy, new: &Settings) -> Settings {
    let mut new = new.clone();
    assert_eq!(allocations(|| strategy.reconfigure(&mut new)), 0);
    new
}

#[test]
fn new_settings_are_taken_over_without_an_allocation() {
    let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
    let (old, mut new) = (settings("perpetual_market_making"), settings("perpetual_market_making"));
    let (Settings::Perpetual(was), Settings::Perpetual(is)) = (&old, &mut new) else { panic!("another strategy") };
    (is.order_levels, is.leverage) = (7, was.leverage + 1);
    let mut strategy = Perpetual::new(was.clone(), Cadence::EveryEvent);
    taken_over(&mut strategy, &new);
    assert_eq!((strategy.settings().order_levels, strategy.settings().leverage), (7, was.leverage));

    let (old, mut new) = (settings("funding_aware"), settings("funding_aware"));
    let (Settings::FundingAware(was), Settings::FundingAware(is)) = (&old, &mut new) else {
        panic!("another strategy")
    };
    (is.max_quote_count, is.market) = (9, "ANOTHER-COIN".to_owned());
    let mut strategy = FundingAware::new(was.clone());
    let Settings::FundingAware(back) = taken_over(&mut strategy, &new) else { panic!("another strategy") };
    assert_eq!((strategy.settings().max_quote_count, &strategy.settings().market), (9, &was.market));
    assert_eq!(back.market, "ANOTHER-COIN");

    let (old, mut new) = (settings("pmm"), settings("pmm"));
    let (Settings::Pmm(was), Settings::Pmm(is)) = (&old, &mut new) else { panic!("another strategy") };
    is.buy_spreads = vec![Rate::from_bps(3); 9];
    is.trading_pair = "ANOTHER-PAIR".to_owned();
    let mut strategy = Pmm::new(was.clone(), instrument);
    let Settings::Pmm(back) = taken_over(&mut strategy, &new) else { panic!("another strategy") };
    assert_eq!((strategy.settings().buy_spreads.len(), &strategy.settings().trading_pair), (9, &was.trading_pair));
    assert_eq!((back.buy_spreads, back.trading_pair.as_str()), (was.buy_spreads.clone(), "ANOTHER-PAIR"));

    // Another strategy's settings change nothing.
    taken_over(&mut strategy, &settings("funding_aware"));
    assert_eq!(strategy.settings().buy_spreads.len(), 9);
}
