//! Random settings in random markets, for all three strategies. Two layers: the strategy alone before views that no market would
//! show (extreme prices, positions, funding, balances), and the whole maker at the exchange in lively markets, where after every step
//! no own bid meets an own ask, and neither the position nor its worst case is beyond the limits.

#[path = "support/virtual_session.rs"]
mod virtual_session;

use arrayvec::ArrayVec;
use proptest::prelude::*;
use spinquote::config::load::{self, Target};
use spinquote::event::{ClientId, Level, PositionSide, Side};
use spinquote::instrument::Instrument;
use spinquote::maker::RiskLimits;
use spinquote::maker::recipe::StrategyKind;
use spinquote::maker::strategy::funding_aware::FundingAware;
use spinquote::maker::strategy::perpetual::Perpetual;
use spinquote::maker::strategy::pmm::Pmm;
use spinquote::maker::strategy::{
    BookView, Cadence, External, FundingView, ORDERS_MAX, OwnEvent, OwnOrder, Plan, PositionView, Purpose, Strategy,
    View,
};
use spinquote::sim::market::{Regime, Schedule, SyntheticMarket};
use spinquote::unit::{Amount, Lots, Money, Nanos, Price, Rate, Ticks};
use virtual_session::{Plan as Session, Watched, limits, play_watched};

/// A seeded generator, so that one number is one case.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len() as u64) as usize]
    }
    /// Any size, small and huge ones as often as usual ones, of either sign.
    fn wild(&mut self, most: i128) -> i128 {
        let digits = most.ilog10();
        let size = 10_i128.pow(self.roll(u64::from(digits) + 1) as u32);
        let value = (size * (1 + i128::from(self.roll(9)))).min(most) + i128::from(self.roll(3)) - 1;
        match self.roll(8) {
            0 => 0,
            1 | 2 => -value,
            _ => value,
        }
    }
}

fn perpetual(dice: &mut Dice, hedge: bool, extreme: bool) -> String {
    let percent: &[&str] =
        if extreme { &["0.0000001", "0.01", "5", "99.9999"] } else { &["0.001", "0.005", "0.02", "0.1"] };
    let amount: &[&str] = if extreme { &["0.00000001", "0.001", "3", "999999999"] } else { &["0.002", "0.01", "0.05"] };
    let levels: &[&str] = if extreme { &["1", "2", "30"] } else { &["1", "2", "4"] };
    let seconds: &[&str] = if extreme { &["0.001", "1", "3600"] } else { &["0.2", "1", "5"] };
    let exit: &[&str] = if extreme { &["0", "0.01", "100"] } else { &["0.002", "0.02"] };
    let mut text = format!(
        "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: {}\nposition_mode: {}\n",
        dice.pick(if extreme { &["1", "20", "1000000"] } else { &["5", "20"] }),
        if hedge { "Hedge" } else { "One-way" }
    );
    for (key, values) in [
        ("bid_spread", percent),
        ("ask_spread", percent),
        ("order_level_spread", percent),
        ("order_amount", amount),
        ("order_levels", levels),
        ("order_refresh_time", seconds),
        ("filled_order_delay", seconds),
        ("time_between_stop_loss_orders", seconds),
        ("long_profit_taking_spread", exit),
        ("short_profit_taking_spread", exit),
        ("stop_loss_spread", exit),
        ("stop_loss_slippage_buffer", exit),
        ("minimum_spread", &["-100", "-1", "0.001", "100"]),
        ("order_refresh_tolerance_pct", &["-1", "0", "0.01", "10"]),
        ("order_level_amount", if extreme { &["0", "-1", "1000000"] } else { &["0", "0.001"] }),
        ("order_optimization_enabled", &["true", "false"]),
        ("ask_order_optimization_depth", &["0", "1", "1000000000"]),
    ] {
        text += &format!("{key}: {}\n", dice.pick(values));
    }
    text += match if extreme { dice.roll(3) } else { 2 } {
        0 => "price_source: custom_api\nprice_source_custom_api: http://127.0.0.1:1/price\n",
        1 => "price_source: external_market\nprice_source_derivative: binance\nprice_source_market: BTC-USDT\n",
        _ => "price_source: current_market\n",
    };
    if !text.contains("custom_api\n") {
        let types = ["mid_price", "last_price", "last_own_trade_price", "best_bid", "best_ask"];
        text += &format!("price_type: {}\n", dice.pick(&types));
    }
    if extreme && dice.one_in(5) {
        let amount = dice.pick(amount);
        text += "order_override:\n";
        for (n, side) in ["buy", "sell", "sell", "buy", "Buy"].into_iter().enumerate() {
            text += &format!("  n{n}: [{side}, {}, {amount}]\n", dice.pick(&["0.01", "0.0000001", "99.99", "250"]));
        }
    }
    if dice.one_in(4) {
        text += &format!("price_floor: {}\n", dice.pick(&["0.01", "0.1"]));
    }
    if dice.one_in(4) {
        text += &format!("price_ceiling: {}\n", dice.pick(&["0.1", "61000", "1000000000000"]));
    }
    text
}

fn pmm(dice: &mut Dice, hedge: bool, extreme: bool) -> String {
    let spreads: &[&str] = if extreme {
        &["null", "[0.0001]", "[0.0001, 0.0001, 0.1]", "[0.05, 0.0002]"]
    } else {
        &["[0.0001]", "[0.0001, 0.0002]", "[0.0003, 0.0001, 0.001]"]
    };
    let mut text = format!(
        "controller_name: pmm\nconnector_name: binance_perpetual\ntrading_pair: BTC-USDT\nposition_mode: {}\n",
        if hedge { "HEDGE" } else { "ONEWAY" }
    );
    for (key, values) in [
        ("total_amount_quote", if extreme { &["0.0001", "1000", "1000000000000"][..] } else { &["3000", "20000"][..] }),
        ("portfolio_allocation", &["0.01", "0.3", "1"]),
        ("min_base_pct", &["0", "0.1"]),
        ("target_base_pct", &["0.1", "0.2"]),
        ("max_base_pct", &["0.2", "1"]),
        ("buy_spreads", spreads),
        ("sell_spreads", spreads),
        ("executor_refresh_time", &["10", "60"]),
        ("cooldown_time", &["0", "1", "30"]),
        ("leverage", &["1", "20", "125"]),
        ("take_profit", &["null", "0.001", "0.1"]),
        ("take_profit_order_type", &["MARKET", "LIMIT", "LIMIT_MAKER"]),
        ("max_skew", &["0", "0.5", "1"]),
        ("global_take_profit", &["0.01", "0.2"]),
        ("global_stop_loss", &["0.01", "0.2"]),
    ] {
        text += &format!("{key}: {}\n", dice.pick(values));
    }
    text
}

fn funding_aware(dice: &mut Dice, extreme: bool) -> String {
    let usd: &[&str] = if extreme { &["0", "0.01", "5000", "1000000000"] } else { &["200", "1000", "5000"] };
    let bps: &[&str] = if extreme { &["0.01", "10", "100000"] } else { &["1", "2", "5"] };
    let max = dice.pick(usd);
    format!(
        r#"{{"market": "BTC", "trading": {{"base_order_size": {}, "base_spread_bps": {}}},
            "position": {{"max_position_usd": {max}, "target_position_usd": {}, "leverage": {}}},
            "timing": {{"update_threshold_bps": {}, "fallback_check_seconds": {}}},
            "inventory": {{"inventory_skew_bps_per_1k": {}, "max_skew_bps": {}}},
            "funding": {{"max_funding_rate_pct_8h": {}, "funding_skew_multiplier": {}}},
            "profit_taking": {{"threshold_usd": {}, "aggression_bps": {}}},
            "safety": {{"max_quote_count": {}, "smart_order_mgmt_enabled": {}}}}}"#,
        dice.pick(usd),
        dice.pick(bps),
        if dice.one_in(3) { "0" } else { max },
        dice.pick(&["1", "5", "1000"]),
        dice.pick(&["0", "0.1", "5"]),
        dice.pick(&["0", "1", "30"]),
        dice.pick(if extreme { &["0", "20", "100000"] } else { &["0", "1"] }),
        dice.pick(if extreme { &["0", "500", "100000"] } else { &["3", "50"] }),
        dice.pick(&["0", "0.5", "1000"]),
        dice.pick(if extreme { &["0", "100", "1000"] } else { &["0", "0.1"] }),
        dice.pick(&["0", "10"]),
        dice.pick(&["0", "15", "100000"]),
        dice.pick(&["1", "2", "5"]),
        dice.pick(&["true", "false"]),
    )
}

const KINDS: [StrategyKind; 3] =
    [StrategyKind::PerpetualMarketMaking, StrategyKind::PmmController, StrategyKind::FundingAware];

/// File name and text of random settings that the loader accepts; which strategy, and whether in hedge mode.
fn settings(dice: &mut Dice, kind: StrategyKind, extreme: bool) -> (&'static str, String, bool) {
    let hedge = kind != StrategyKind::FundingAware && dice.one_in(2);
    let (file, text) = settings_in(dice, kind, hedge, extreme);
    (file, text, hedge)
}

fn settings_in(dice: &mut Dice, kind: StrategyKind, hedge: bool, extreme: bool) -> (&'static str, String) {
    loop {
        let (file, text) = match kind {
            StrategyKind::PerpetualMarketMaking => ("s.yml", perpetual(dice, hedge, extreme)),
            StrategyKind::PmmController => ("s.yml", pmm(dice, hedge, extreme)),
            StrategyKind::FundingAware => ("s.json", funding_aware(dice, extreme)),
        };
        // Contradictions (a target beyond the maximum) are the loader's to refuse.
        if load::strategy_text(file, &text, Target::Venue).is_ok() {
            return (file, text);
        }
    }
}

// ---- the strategy alone ----

#[derive(Default)]
struct Book([Vec<Level>; 2]);

impl BookView for Book {
    fn best(&self, side: Side) -> Option<Level> {
        self.0[side.index()].first().copied()
    }
    fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        self.0[side.index()].iter().copied().find(|level| (level.price - price).0 * side.sign() < 0)
    }
}

fn strategy(file: &str, text: &str, terms: &Instrument, cadence: Cadence) -> Box<dyn Strategy> {
    match load::strategy_text(file, text, Target::Venue).unwrap().settings {
        load::Strategy::Perpetual(settings) => Box::new(Perpetual::new(settings, cadence)),
        load::Strategy::Pmm(settings) => Box::new(Pmm::new(settings, terms.clone())),
        load::Strategy::FundingAware(settings) => Box::new(FundingAware::new(settings)),
    }
}

/// Largest price, in ticks, that the venue's limits could ever name: a thousand times the contract's own.
const TICKS_MAX: i128 = 100_000_000_000;

/// Largest order that a gate lets through and largest position that can come of it, in base units: ten thousand and a million
/// coins, whatever their price.
const ORDER_MAX: i128 = 10_000;
const POSITION_MAX: i128 = 1_000_000;

/// A strategy that sees anything at all keeps to its contract.
fn before_wild_views(seed: u64) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let terms =
        Instrument::synthetic("BTCUSDT", dice.pick(&["0.1", "0.00001", "5"]), dice.pick(&["0.001", "1", "0.00001"]));
    let kind = KINDS[dice.roll(3) as usize];
    let (file, text, hedge) = settings(&mut dice, kind, true);
    let every_event = dice.one_in(2);
    let cadence = if every_event { Cadence::EveryEvent } else { Cadence::Interval(Nanos::from_secs(1)) };
    let mut strategy = strategy(file, &text, &terms, cadence);
    let mut plan = Plan::default();
    strategy.start(Nanos::from_secs(1_000), &mut plan);
    let (mut now, mut seq, mut orders): (_, _, ArrayVec<OwnOrder, ORDERS_MAX>) =
        (Nanos::from_secs(1_000), 0_u32, ArrayVec::new());
    for _ in 0..40 {
        if dice.one_in(15) {
            // A file that was changed meanwhile, taken over between two events.
            let mut changed =
                load::strategy_text(file, &settings_in(&mut dice, kind, hedge, true).1, Target::Venue).unwrap();
            strategy.reconfigure(&mut changed.settings);
        }
        now += Nanos(dice.wild(4_000_000_000_000).abs() as i64);
        let mut book = Book::default();
        let bid = dice.wild(TICKS_MAX).abs().max(1) as i64;
        for (side, best) in [(Side::Buy, bid), (Side::Sell, bid + 1 + dice.roll(50) as i64)] {
            let levels = if dice.one_in(12) { 0 } else { dice.roll(4) + 1 };
            let level = |n: u64| best - side.sign() * n as i64;
            let mut qty = || Lots(dice.wild(1_000_000_000_000).abs().max(1) as i64);
            book.0[side.index()] =
                (0..levels).filter(|n| level(*n) > 0).map(|n| Level { price: Ticks(level(n)), qty: qty() }).collect();
        }
        let price = |dice: &mut Dice| match dice.roll(3) {
            0 => None,
            1 => Some(terms.price(Ticks(bid))),
            _ => Some(Price(dice.wild(TICKS_MAX * terms.tick.atto()).abs())),
        };
        let (last_trade, mark, entry) = (price(&mut dice), price(&mut dice), price(&mut dice));
        let sides: &[PositionSide] =
            if hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Net] };
        let positions: ArrayVec<PositionView, 3> = sides
            .iter()
            .filter_map(|&side| {
                let qty = dice.wild(POSITION_MAX * 10_i128.pow(18) / terms.lot.atto()) as i64;
                let qty = match side {
                    PositionSide::Net => qty,
                    PositionSide::Long => qty.abs(),
                    PositionSide::Short => -qty.abs(),
                };
                let entry = entry.filter(|entry| *entry > Price::ZERO)?;
                (qty != 0).then_some(PositionView { side, qty: Lots(qty), entry })
            })
            .collect();
        let external =
            External { bid: price(&mut dice), ask: price(&mut dice), last: price(&mut dice), custom: price(&mut dice) };
        let money = |dice: &mut Dice| Money(dice.wild(10_i128.pow(33)));
        let view = View {
            now,
            instrument: &terms,
            book: &book,
            last_trade,
            mark,
            funding: (!dice.one_in(4)).then(|| FundingView {
                rate: Rate(dice.wild(10_i128.pow(13)) as i64),
                next: now,
                interval_hours: dice.roll(9) as u8,
            }),
            external,
            orders: &orders,
            positions: &positions,
            available: money(&mut dice),
            available_base: Amount::ZERO,
            wallet: money(&mut dice),
            unrealized: money(&mut dice),
            widen: Rate(1_000_000_000_000 * (1 + dice.roll(3) as i64)),
        };
        plan.clear();
        strategy.decide(&view, &mut plan);
        let _ = (strategy.internals(), strategy.next_timer());
        let gone = |order: &OwnOrder| order.cancel_sent.is_some() || plan.cancel.iter().any(|(id, _)| *id == order.id);
        // A controller's older quotes stay until their refresh, wherever the price is: a market beyond them has executed them.
        let stays = |order: &&OwnOrder| kind != StrategyKind::PmmController && !gone(order);
        let staying = orders.iter().filter(|order| order.purpose == Purpose::Entry).filter(stays);
        let placed = plan.place.iter().map(|(quote, _)| quote).filter(|quote| quote.purpose == Purpose::Entry);
        let entries: Vec<_> = staying.map(|o| (o.side, o.price)).chain(placed.map(|q| (q.side, q.price))).collect();
        let best = |side: Side| entries.iter().filter(|(s, _)| *s == side).map(|(_, p)| p.0 * side.sign()).max();
        for (quote, _) in &plan.place {
            prop_assert!(quote.price > Ticks::ZERO && quote.qty > Lots::ZERO, "{quote:?}");
            prop_assert!(!quote.reduce_only || quote.purpose != Purpose::Entry, "{quote:?}");
        }
        // In the originals' cadence equal prices after rounding both stay. Without a whole touch the engine asks for no decision.
        let apart = every_event && !book.0.iter().any(Vec::is_empty);
        if let (Some(bid), Some(ask), true) = (best(Side::Buy), best(Side::Sell), apart) {
            prop_assert!(bid < -ask, "bid {bid} meets ask {}: {text}", -ask);
        }
        prop_assert!(plan.place.len() + orders.len() <= ORDERS_MAX);
        // What was asked for happens, or is refused; what rests is filled, cancelled, or stays.
        let mut heard: Vec<OwnEvent> = Vec::new();
        let mut next: ArrayVec<OwnOrder, ORDERS_MAX> = ArrayVec::new();
        for order in &orders {
            if gone(order) && dice.one_in(2) {
                heard.push(OwnEvent::Gone { order: *order, rejected: false });
            } else if dice.one_in(5) {
                let qty = order.qty - order.filled;
                let order = OwnOrder { filled: order.qty, ..*order };
                heard.push(OwnEvent::Filled { order, price: order.price, qty, complete: true });
            } else {
                let sent = if gone(order) { Some(order.cancel_sent.unwrap_or(now)) } else { None };
                next.push(OwnOrder { cancel_sent: sent, resting: true, ..*order });
            }
        }
        for (quote, _) in &plan.place {
            seq += 1;
            let order = OwnOrder {
                id: ClientId { run: 1, seq },
                side: quote.side,
                position_side: quote.position_side,
                purpose: quote.purpose,
                level: quote.level,
                price: quote.price,
                qty: quote.qty,
                filled: Lots::ZERO,
                created_at: now,
                cancel_sent: None,
                resting: false,
            };
            let too_large = i128::from(quote.qty.0) * terms.lot.atto() > ORDER_MAX * 10_i128.pow(18);
            if too_large || dice.one_in(6) {
                heard.push(OwnEvent::Gone { order, rejected: !too_large && dice.one_in(2) });
            } else {
                next.push(order);
            }
        }
        orders = next;
        heard.iter().for_each(|event| strategy.on_own(now, event));
    }
    Ok(())
}

// ---- the maker at the exchange ----

fn watch(seen: &Watched<'_>) {
    let price_of = |side: Side| move |order: &&spinquote::sim::order::Order| order.side == side;
    let open: Vec<_> = seen.open.clone();
    let bid = open.iter().copied().filter(price_of(Side::Buy)).map(|order| order.price).max();
    let ask = open.iter().copied().filter(price_of(Side::Sell)).map(|order| order.price).min();
    if let (Some(bid), Some(ask)) = (bid, ask) {
        assert!(bid < ask, "own bid {bid:?} meets own ask {ask:?} at {:?}", seen.now);
    }
    let most = seen.limits.position_max;
    for held in [seen.status.position, seen.status.worst, seen.status.legs[0], seen.status.legs[1]] {
        assert!(held.abs() <= most, "{held:?} beyond {most:?} at {:?}", seen.now);
    }
    for command in seen.commands.iter().filter(|command| command.client_id.seq != 0) {
        assert!(command.qty > Lots::ZERO && command.qty <= seen.limits.order_qty_max, "{command:?}");
        assert!(command.price > Ticks::ZERO, "{command:?}");
    }
}

/// A lively market of a minute with a jump and a turn of funding in it.
fn in_a_lively_market(seed: u64) {
    let mut dice = Dice(seed);
    let kind = KINDS[dice.roll(3) as usize];
    let (file, text, hedge) = settings(&mut dice, kind, false);
    let bps = |dice: &mut Dice, most: u64| Rate::from_bps(dice.roll(2 * most + 1) as i64 - most as i64);
    let jump = Regime::Crash { drop: bps(&mut dice, 800), within: Nanos::from_secs(1 + dice.roll(8) as i64) };
    let regimes = vec![
        (Nanos::from_secs(2), Regime::Trend { per_minute: bps(&mut dice, 200) }),
        (Nanos::from_secs(10), Regime::FundingFlip { rate: bps(&mut dice, 60) }),
        (Nanos::from_secs(15), jump),
        (Nanos::from_secs(24), Regime::Calm),
    ];
    let terms = Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.1", "0.001") };
    let start = Nanos::from_secs(1_723_190_385);
    let market = Box::new(SyntheticMarket::new(terms, seed, start, Schedule::new(regimes).unwrap()));
    let cadence = if dice.one_in(3) { Cadence::Interval(Nanos::from_secs(1)) } else { Cadence::EveryEvent };
    // Now and then the limits bind.
    let most = Lots([40, 200, 5_000][dice.roll(3) as usize]);
    let limits = RiskLimits { position_max: most, order_qty_max: most, ..limits() };
    let (deposit, lasts) = (dice.pick(&["2000", "100000"]), Nanos::from_secs(30));
    let plan = Session { market, kind, file: (file, &text), cadence, leverage: 20, hedge, deposit, lasts };
    eprintln!("seed {seed}: {kind:?} {cadence:?} hedge {hedge} position_max {} deposit {deposit}\n{text}", most.0);
    let played = play_watched(plan, limits, watch);
    eprintln!("{}", played.line());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_strategy_keeps_to_its_contract_whatever_it_sees(seed in any::<u64>()) {
        before_wild_views(seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quotes_never_meet_and_limits_hold_in_a_lively_market(seed in any::<u64>()) {
        in_a_lively_market(seed);
    }
}

#[test]
fn seeds_that_once_failed() {
    for seed in [375_477_909_400_694_226, 10_815_946_309_958_013_919] {
        before_wild_views(seed).unwrap();
    }
}
