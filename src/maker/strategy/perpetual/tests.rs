//! Scripts on a small venue: a book of a few levels, cancels confirmed between decisions, positions from fills at once.

use super::*;
use crate::config::perpetual::KEYS;
use crate::event::Level;
use crate::instrument::Instrument;
use crate::maker::strategy::exact::{PRICE_MAX, scale};
use crate::maker::strategy::{BookView, External, PositionView, Strategy};
use crate::unit::{Amount, Money, Step, pow10};
use proptest::prelude::*;

#[derive(Default)]
struct Book([Vec<Level>; 2]);

impl BookView for Book {
    fn best(&self, side: Side) -> Option<Level> {
        self.0[side.index()].first().copied()
    }
    fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        let worse = |level: &&Level| if side == Side::Buy { level.price < price } else { level.price > price };
        self.0[side.index()].iter().find(worse).copied()
    }
}

struct Venue {
    now: Nanos,
    instrument: Instrument,
    book: Book,
    orders: Vec<OwnOrder>,
    positions: Vec<PositionView>,
    available: Money,
    widen: Rate,
    seq: u32,
    strategy: Perpetual,
}

/// Settings around the defaults, as a file would give them.
fn settings(changes: &[(&str, &str)]) -> PerpetualSettings {
    let mut settings = PerpetualSettings::default();
    let base = [
        ("derivative", "binance_perpetual"),
        ("market", "BTC-USDT"),
        ("leverage", "10"),
        ("bid_spread", "1"),
        ("ask_spread", "1"),
        ("order_refresh_time", "10"),
        ("order_amount", "1"),
    ];
    for (name, value) in base.iter().chain(changes) {
        let key = KEYS.iter().find(|key| key.name == *name).expect("a key of the table");
        (key.set)(&mut settings, value).expect("a valid value");
    }
    assert_eq!(settings.check(), Vec::<String>::new());
    settings
}

impl Venue {
    /// Tick 0.01, lot 0.001; the book is 99.5 / 100.5.
    fn new(cadence: Cadence, changes: &[(&str, &str)]) -> Self {
        let mut venue = Self {
            now: Nanos::from_secs(1_000),
            instrument: Instrument { maker_fee: Rate::ZERO, ..Instrument::synthetic("BTCUSDT", "0.01", "0.001") },
            book: Book::default(),
            orders: Vec::new(),
            positions: Vec::new(),
            available: Money::parse(b"1000000").unwrap(),
            widen: Rate::ONE,
            seq: 0,
            strategy: Perpetual::new(settings(changes), cadence),
        };
        venue.touch(9_950, 10_050);
        venue
    }

    fn every_event(changes: &[(&str, &str)]) -> Self {
        Self::new(Cadence::EveryEvent, changes)
    }

    fn touch(&mut self, bid: i64, ask: i64) {
        let level = |price| Level { price: Ticks(price), qty: Lots(5_000) };
        self.book.0 = [vec![level(bid), level(bid - 100)], vec![level(ask), level(ask + 100)]];
    }

    fn plan(&mut self) -> Plan {
        self.plan_as(false)
    }

    /// `again`: orders and positions are those of the last decision.
    fn plan_as(&mut self, again: bool) -> Plan {
        let mut plan = Plan::default();
        let view = View {
            now: self.now,
            instrument: &self.instrument,
            book: &self.book,
            last_trade: None,
            mark: None,
            funding: None,
            external: External::default(),
            orders: &self.orders,
            positions: &self.positions,
            available: self.available,
            available_base: Amount::ZERO,
            wallet: Money::parse(b"1000000").unwrap(),
            unrealized: Money::ZERO,
            widen: self.widen,
        };
        if again {
            self.strategy.decide_again(&view, &mut plan);
        } else {
            self.strategy.decide(&view, &mut plan);
        }
        plan
    }

    /// Decides and carries it out; what was asked for, as text: `-1` cancels order 1, `+2 buy 99.00 x 1.000` places order 2.
    fn decide(&mut self) -> Vec<String> {
        let plan = self.plan();
        let mut said = Vec::new();
        for (id, _) in &plan.cancel {
            said.push(format!("-{}", id.seq));
        }
        for (at, (quote, _)) in plan.place.iter().enumerate() {
            let side = if quote.side == Side::Buy { "buy" } else { "sell" };
            let exit = if quote.reduce_only { " exit" } else { "" };
            let (price, qty) = (self.instrument.tick.text(quote.price.0), self.instrument.lot.text(quote.qty.0));
            said.push(format!("+{} {side} {price} x {qty}{exit}", self.seq + 1 + at as u32));
        }
        carry_out(self, &plan);
        said
    }

    /// Confirms every cancel under way, then lets time pass.
    fn later(&mut self, seconds: i64) -> &mut Self {
        let (gone, left) = self.orders.drain(..).partition(|order| order.cancel_sent.is_some());
        self.orders = left;
        let gone: Vec<OwnOrder> = gone;
        for order in gone {
            self.strategy.on_own(self.now, &OwnEvent::Gone { order, rejected: false });
        }
        self.now += Nanos::from_secs(seconds);
        self
    }

    /// Executes `qty` lots of order `seq`; the position follows at once, at an entry of the order's price.
    fn fill(&mut self, seq: u32, qty: i64) {
        let at = self.orders.iter().position(|order| order.id.seq == seq).unwrap();
        self.orders[at].filled += Lots(qty);
        let order = self.orders[at];
        let complete = order.filled == order.qty;
        if complete {
            self.orders.remove(at);
        }
        let event = OwnEvent::Filled { order, price: order.price, qty: Lots(qty), complete };
        self.strategy.on_own(self.now, &event);
        let held = self.positions.first().map_or(Lots::ZERO, |position| position.qty);
        let qty = held + Lots(qty * order.side.sign());
        let entry = self.positions.first().map_or(self.instrument.price(order.price), |position| position.entry);
        self.positions.clear();
        if !qty.is_zero() {
            self.positions.push(PositionView { side: PositionSide::Net, qty, entry });
        }
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_refresh_is_one_step_and_leaves_unchanged_quotes_alone() {
    let mut venue = Venue::every_event(&[("order_refresh_tolerance_pct", "-1")]);
    assert_eq!(venue.decide(), ["+1 buy 99.00 x 1.000", "+2 sell 101.00 x 1.000"]);
    venue.touch(9_960, 10_060);
    assert_eq!(venue.later(9).decide(), NOTHING, "not due");
    assert_eq!(venue.strategy.next_timer(), venue.now + Nanos::from_secs(1));
    venue.touch(9_950, 10_050);
    assert_eq!(venue.later(1).decide(), NOTHING, "due, but the quotes are what they should be");
    venue.touch(9_970, 10_070);
    assert_eq!(venue.later(10).decide(), ["-1", "-2", "+3 buy 99.19 x 1.000", "+4 sell 101.20 x 1.000"]);
}

#[test]
fn an_interval_refresh_cancels_on_one_tick_and_places_on_a_later_one() {
    let mut venue = Venue::new(Cadence::Interval(Nanos::from_secs(1)), &[("order_refresh_tolerance_pct", "-1")]);
    assert_eq!(venue.decide().len(), 2);
    assert_eq!(venue.later(10).decide(), ["-1", "-2"]);
    assert_eq!(venue.later(1).decide(), ["+3 buy 99.00 x 1.000", "+4 sell 101.00 x 1.000"]);
}

#[test]
fn quotes_are_created_at_their_time_and_a_tick_later_in_the_originals_cadence() {
    for (cadence, later) in [(Cadence::EveryEvent, 0), (Cadence::Interval(Nanos::from_secs(1)), 1)] {
        let mut venue = Venue::new(cadence, &[("filled_order_delay", "20"), ("order_refresh_time", "100")]);
        assert_eq!(venue.decide().len(), 2);
        venue.fill(1, 1_000);
        venue.positions.clear();
        venue.orders.clear();
        assert_eq!(venue.later(19).decide(), NOTHING);
        assert_eq!(venue.later(1).decide().len(), if later == 0 { 2 } else { 0 }, "{cadence:?}");
        assert_eq!(venue.later(1).decide().len(), if later == 0 { 0 } else { 2 }, "{cadence:?}");
    }
}

#[test]
fn the_position_mode_is_asked_for_at_the_start() {
    let mut strategy = Perpetual::new(settings(&[("position_mode", "Hedge")]), Cadence::EveryEvent);
    let mut plan = Plan::default();
    strategy.start(Nanos::ZERO, &mut plan);
    assert_eq!(plan.account.as_slice(), [AccountRequest::Leverage(10), AccountRequest::PositionMode(true)]);
}

/// Bounds that a rule includes or leaves out, each at the bound and one tick beside it.
#[test]
fn the_band_and_the_tolerance_include_their_bounds() {
    // The reference is 100.
    for (ceiling, floor, quoted) in
        [("100", "-1", "sell"), ("100.01", "-1", "buy sell"), ("-1", "100", "buy"), ("-1", "99.99", "buy sell")]
    {
        let mut venue = Venue::every_event(&[("price_ceiling", ceiling), ("price_floor", floor)]);
        let sides: Vec<String> =
            venue.decide().iter().map(|said| said.split(' ').nth(1).unwrap_or_default().to_owned()).collect();
        assert_eq!(sides.join(" "), quoted, "ceiling {ceiling}, floor {floor}");
    }
    // Bid 99.00: 0.99 of 99.00 is exactly 1 %.
    for (tolerance, kept) in [("1", true), ("0.9999", false)] {
        let changes = [("order_refresh_tolerance_pct", tolerance)];
        let mut venue = Venue::new(Cadence::Interval(Nanos::from_secs(1)), &changes);
        venue.strategy.apply(&PerpetualSettings { sell_levels: 0, ..venue.strategy.settings().clone() });
        assert_eq!(venue.decide(), ["+1 buy 99.00 x 1.000"]);
        venue.touch(10_050, 10_150);
        assert_eq!(venue.later(10).decide().is_empty(), kept, "99.99 against 99.00 with {tolerance} %");
    }
}

#[test]
fn a_quote_that_became_too_near_is_cancelled_within_the_event() {
    let mut venue = Venue::every_event(&[("minimum_spread", "0.5")]);
    assert_eq!(venue.decide().len(), 2);
    venue.touch(9_900, 9_998);
    assert_eq!(venue.later(0).decide(), ["-1"], "99.00 is 0.49 % below 99.49, 101.00 is far enough");
    venue.touch(9_950, 10_050);
    assert_eq!(venue.later(0).decide(), NOTHING, "its place is filled by the refresh");
    assert_eq!(venue.later(10).decide(), ["+3 buy 99.00 x 1.000"], "and the other side keeps its queue place");
}

#[test]
fn a_fill_clears_the_closing_side_and_places_the_take_profit_in_one_plan() {
    let mut venue = Venue::every_event(&[("long_profit_taking_spread", "2"), ("order_levels", "2")]);
    assert_eq!(venue.decide().len(), 4);
    venue.fill(1, 500);
    assert_eq!(venue.later(0).decide(), ["-3", "-4", "+5 sell 100.98 x 0.500 exit"]);
    venue.fill(5, 200);
    assert_eq!(venue.later(0).decide(), NOTHING, "its open rest is the position");
    venue.fill(1, 500);
    assert_eq!(venue.later(0).decide(), ["-5", "+6 sell 100.98 x 0.800 exit"]);
    venue.fill(6, 800);
    let closed = venue.now;
    assert_eq!(venue.later(1).decide(), NOTHING);
    assert_eq!(venue.strategy.timers().0, closed + Nanos::from_secs(60), "filled_order_delay");
}

#[test]
fn an_exit_that_outlives_its_position_is_cancelled_at_once() {
    let mut venue = Venue::every_event(&[("long_profit_taking_spread", "2")]);
    venue.decide();
    venue.fill(1, 1_000);
    assert_eq!(venue.later(0).decide(), ["-2", "+3 sell 100.98 x 1.000 exit"]);
    venue.positions.clear();
    assert_eq!(venue.later(1).decide(), ["-3"]);
}

#[test]
fn a_stop_is_priced_through_the_touch_takes_the_rest_away_and_is_renewed_in_time() {
    let changes = [("stop_loss_spread", "2"), ("order_levels", "2"), ("time_between_stop_loss_orders", "30")];
    let mut venue = Venue::every_event(&changes);
    venue.decide();
    venue.fill(1, 1_000);
    assert_eq!(venue.later(0).decide(), ["-3", "-4", "+5 sell 99.00 x 1.000 exit"]);
    venue.touch(9_703, 9_710);
    assert_eq!(venue.later(1).decide(), NOTHING, "the stop is at 97.02");
    venue.touch(9_702, 9_710);
    assert_eq!(venue.later(1).decide(), ["-5", "-2", "+6 sell 96.53 x 1.000 exit"], "entries that would add go too");
    venue.touch(9_600, 9_610);
    assert_eq!(venue.later(29).decide(), NOTHING);
    assert_eq!(venue.strategy.next_timer(), venue.now + Nanos::from_secs(1));
    assert_eq!(venue.later(1).decide(), ["-6", "+7 sell 95.52 x 1.000 exit"]);
    venue.touch(9_800, 9_810);
    assert_eq!(venue.later(30).decide(), ["-7"], "due, but no longer triggered");
}

#[test]
fn a_take_profit_that_the_stop_of_the_same_decision_cancels_is_never_sent() {
    let mut venue = Venue::every_event(&[("stop_loss_spread", "2")]);
    venue.positions.push(PositionView { side: PositionSide::Net, qty: Lots(1_000), entry: Price(100 * pow10(18)) });
    venue.touch(9_700, 10_100);
    assert_eq!(venue.decide(), ["+1 sell 96.51 x 1.000 exit"]);
    assert!(matches!(venue.strategy.script(), [Act::Place(..), Act::Revoke(0, _), Act::Place(..)]));
}

#[test]
fn no_stop_loss_spread_means_no_stop() {
    let mut venue = Venue::every_event(&[]);
    venue.positions.push(PositionView { side: PositionSide::Net, qty: Lots(1_000), entry: Price(100 * pow10(18)) });
    venue.touch(1_000, 1_010);
    assert_eq!(venue.decide(), NOTHING);
}

#[test]
fn a_lost_position_mode_takes_every_order_away_until_it_is_confirmed() {
    let mut venue = Venue::every_event(&[]);
    venue.decide();
    venue.strategy.on_own(venue.now, &OwnEvent::PositionMode { hedge: true, ok: true });
    assert_eq!(venue.later(0).decide(), ["-1", "-2"]);
    assert_eq!(venue.later(20).decide(), NOTHING);
    venue.strategy.on_own(venue.now, &OwnEvent::PositionMode { hedge: false, ok: true });
    assert_eq!(venue.decide().len(), 2);
}

#[test]
fn hedge_mode_labels_orders_and_leaves_the_other_side_alone() {
    let mut venue = Venue::every_event(&[("position_mode", "Hedge"), ("long_profit_taking_spread", "3")]);
    let plan = venue.plan();
    let sides: Vec<_> = plan.place.iter().map(|(quote, _)| (quote.side, quote.position_side, quote.tif)).collect();
    let entry = ENTRY_TIF;
    assert_eq!(sides, [(Side::Buy, PositionSide::Long, entry), (Side::Sell, PositionSide::Short, entry)]);
    let mut venue = Venue::every_event(&[("position_mode", "Hedge"), ("long_profit_taking_spread", "3")]);
    venue.decide();
    let entry = Price(99 * pow10(18));
    venue.positions.push(PositionView { side: PositionSide::Long, qty: Lots(500), entry });
    let plan = venue.plan();
    assert!(plan.cancel.is_empty());
    let [(quote, Cause::TakeProfit)] = plan.place.as_slice() else { panic!("one take-profit") };
    assert_eq!((quote.position_side, quote.price, quote.tif), (PositionSide::Long, Ticks(10_197), EXIT_TIF));
}

#[test]
fn a_refresh_counts_what_the_old_quotes_lock_as_free() {
    let mut venue = Venue::every_event(&[("order_refresh_tolerance_pct", "-1")]);
    venue.available = Money::parse(b"20").unwrap();
    assert_eq!(venue.decide(), ["+1 buy 99.00 x 1.000", "+2 sell 101.00 x 1.000"], "9.9 + 10.1 at ten times");
    venue.available = Money::ZERO;
    venue.touch(9_940, 10_040);
    assert_eq!(venue.later(10).decide(), ["-1", "-2", "+3 buy 98.90 x 1.000", "+4 sell 100.89 x 1.000"]);
    let mut originals = Venue::new(Cadence::Interval(Nanos::from_secs(1)), &[]);
    originals.available = Money::parse(b"19.99").unwrap();
    assert_eq!(originals.decide(), ["+1 buy 99.00 x 1.000"], "one quote short by a cent is dropped");
}

#[test]
fn quotes_that_round_to_one_tick_do_not_meet() {
    let mut venue = Venue::every_event(&[("bid_spread", "0.001"), ("ask_spread", "0.001")]);
    venue.touch(9_998, 10_003);
    assert_eq!(venue.decide(), ["+1 buy 100.00 x 1.000", "+2 sell 100.01 x 1.000"]);
}

#[test]
fn an_operator_can_widen_every_spread() {
    let mut venue = Venue::every_event(&[("order_levels", "2")]);
    venue.widen = Rate(2 * RATE_ONE);
    assert_eq!(
        venue.decide(),
        ["+1 buy 98.00 x 1.000", "+2 buy 96.00 x 1.000", "+3 sell 102.00 x 1.000", "+4 sell 104.00 x 1.000"]
    );
}

#[test]
fn a_cancel_is_not_repeated_within_a_minute() {
    let mut venue = Venue::every_event(&[("order_refresh_tolerance_pct", "-1")]);
    venue.decide();
    venue.orders[0].cancel_sent = Some(venue.now);
    venue.now += Nanos::from_secs(10);
    assert_eq!(venue.decide(), ["-2"], "the other cancel is under way, so no new quotes either");
    venue.orders.remove(1);
    venue.now += Nanos::from_secs(50);
    assert_eq!(venue.decide(), NOTHING);
    venue.now += Nanos(1);
    assert_eq!(venue.decide(), ["-1"]);
}

#[test]
fn a_side_without_prices_stops_new_quotes_and_takes_old_ones_away_at_the_refresh() {
    let mut venue = Venue::every_event(&[]);
    venue.decide();
    venue.book.0[1].clear();
    assert_eq!(venue.later(9).decide(), NOTHING);
    assert_eq!(venue.later(1).decide(), ["-1", "-2"]);
    assert_eq!(venue.later(10).decide(), NOTHING);
    venue.touch(9_950, 10_050);
    assert_eq!(venue.decide().len(), 2);
}

#[test]
fn exactly_the_hot_keys_can_be_changed_at_run_time() {
    let new = settings(&[
        ("leverage", "3"),
        ("position_mode", "Hedge"),
        ("bid_spread", "2"),
        ("ask_spread", "3"),
        ("minimum_spread", "-5"),
        ("order_refresh_time", "11"),
        ("order_refresh_tolerance_pct", "1"),
        ("order_amount", "2"),
        ("long_profit_taking_spread", "1"),
        ("short_profit_taking_spread", "1"),
        ("stop_loss_spread", "1"),
        ("time_between_stop_loss_orders", "1"),
        ("stop_loss_slippage_buffer", "1"),
        ("price_ceiling", "200"),
        ("price_floor", "20"),
        ("order_levels", "3"),
        ("order_level_amount", "1"),
        ("order_level_spread", "2"),
        ("filled_order_delay", "1"),
        ("order_optimization_enabled", "yes"),
        ("ask_order_optimization_depth", "1"),
        ("bid_order_optimization_depth", "1"),
        ("price_type", "best_bid"),
        ("custom_api_update_interval", "1"),
    ]);
    let old = settings(&[]);
    let mut strategy = Perpetual::new(old.clone(), Cadence::EveryEvent);
    strategy.apply(&new);
    for key in KEYS.iter().filter(|key| (key.show)(&old) != (key.show)(&new)) {
        let expected = if key.hot { &new } else { &old };
        assert_eq!((key.show)(strategy.settings()), (key.show)(expected), "{}", key.name);
    }
}

/// Thousandths of a percent, small ones often.
fn some_spread() -> impl proptest::strategy::Strategy<Value = u32> {
    prop_oneof![1..100_u32, 1..3_000_u32, 1..99_999_u32]
}

proptest! {
    /// The split product is the plain one wherever that fits.
    #[test]
    fn a_scaled_price_is_rounded_to_its_two_neighbours(price in 0..10_i128.pow(25), factor in -2 * RATE_ONE..10 * RATE_ONE) {
        let (exact, one) = (price * i128::from(factor), i128::from(RATE_ONE));
        let scaled = scale(Price(price), Rate(factor));
        prop_assert_eq!(scaled.floor.0, exact.div_euclid(one));
        prop_assert_eq!(scaled.ceil.0, -(-exact).div_euclid(one));
    }

    /// Where the quick look says that no quote is too near, the full check finds none.
    #[test]
    fn quiet_is_never_wrong(
        prices in prop::collection::vec((1..2_000_000_i64, any::<bool>()), 0..5),
        bid in 1..1_000_000_i64,
        width in 1..1_000_i64,
        minimum in prop_oneof![Just(-RATE_ONE), Just(RATE_ONE), -RATE_ONE..RATE_ONE, -RATE_ONE / 50..RATE_ONE / 50],
    ) {
        let mut venue = Venue::every_event(&[("order_refresh_time", "1000")]);
        venue.strategy.settings.minimum_spread = Rate(minimum);
        venue.touch(bid, bid + width);
        venue.strategy.create_at = Nanos::MAX;
        venue.strategy.cancel_at = Nanos::MAX;
        for (at, (price, buy)) in prices.iter().enumerate() {
            venue.orders.push(OwnOrder {
                id: ClientId { run: 1, seq: at as u32 + 1 },
                side: if *buy { Side::Buy } else { Side::Sell },
                position_side: PositionSide::Net,
                purpose: Purpose::Entry,
                level: 0,
                price: Ticks(*price),
                qty: Lots(1),
                filled: Lots(0),
                created_at: venue.now,
                cancel_sent: None,
                resting: true,
            });
        }
        let full = venue.plan().cancel.len();
        let reference = venue.instrument.mid(Ticks(bid), Ticks(bid + width));
        let quick = venue.strategy.quiet.holds(Quiet::nearest(&venue.orders), Some(reference));
        prop_assert!(!quick || full == 0);
        // And the other way round, except where the bound has no exact form.
        prop_assert!(quick || full > 0 || minimum.abs() == RATE_ONE || prices.is_empty() || near(&venue, reference, minimum));
    }

    /// Random settings, prices from 1e-8 to 1e7, moves, fills and slow cancels: quotes on the grid, positive, the two sides never
    /// meet, exits only shrink, nothing panics.
    #[test]
    fn quotes_are_always_sound(
        cadence in prop_oneof![Just(Cadence::EveryEvent), Just(Cadence::Interval(Nanos::from_secs(1)))],
        tick in prop::sample::select(vec!["0.00000001", "0.0001", "0.05", "0.1", "1", "25"]),
        lot in prop::sample::select(vec!["0.001", "0.1", "1", "100"]),
        start in prop_oneof![2..200_i64, 2..100_000_i64, 2..1_000_000_000_i64],
        spreads in (some_spread(), some_spread(), some_spread()),
        exits in (0..100_u32, 0..100_u32, 0..101_u32, 0..150_u32),
        levels in 1..31_u32,
        amounts in (1..10_000_000_000_u64, -1_000_000_i64..1_000_000),
        flags in (any::<bool>(), any::<bool>(), -10..10_i32, -100..100_i32),
        leverage in 1..1_000_u32,
        steps in prop::collection::vec((any::<u8>(), -50..50_i64, 1..20_i64, any::<u8>()), 1..40),
    ) {
        let percent = |thousandths: u32| format!("{thousandths}e-3");
        let highest = 10_000_000 * pow10(18) / Step::parse(tick.as_bytes()).unwrap().atto();
        let start = start.min(i64::try_from(highest).unwrap_or(i64::MAX));
        let mut venue = Venue::new(cadence, &[
            ("leverage", &leverage.to_string()),
            ("bid_spread", &percent(spreads.0)),
            ("ask_spread", &percent(spreads.1)),
            ("order_level_spread", &percent(spreads.2)),
            ("order_levels", &levels.to_string()),
            ("order_amount", &format!("{}e-4", amounts.0)),
            ("order_level_amount", &format!("{}e-2", amounts.1)),
            ("long_profit_taking_spread", &exits.0.to_string()),
            ("short_profit_taking_spread", &exits.1.to_string()),
            ("stop_loss_spread", &exits.2.to_string()),
            ("stop_loss_slippage_buffer", &exits.3.to_string()),
            ("position_mode", if flags.0 { "Hedge" } else { "One-way" }),
            ("order_optimization_enabled", if flags.1 { "yes" } else { "no" }),
            ("order_refresh_tolerance_pct", &flags.2.to_string()),
            ("minimum_spread", &flags.3.to_string()),
            ("order_refresh_time", "2"),
            ("filled_order_delay", "1"),
        ]);
        venue.instrument = Instrument { maker_fee: Rate::from_bps(2), ..Instrument::synthetic("BTCUSDT", tick, lot) };
        venue.available = Money(i128::from(amounts.0) * pow10(22));
        let mut middle = start;
        for (kind, shift, width, pick) in steps {
            middle = (middle + shift * (start / 1_000).max(1)).clamp(2, start.saturating_mul(3).max(3));
            venue.touch((middle - width).max(1), middle + 1);
            if kind % 5 == 0 && !venue.orders.is_empty() {
                let order = venue.orders[usize::from(pick) % venue.orders.len()];
                let rest = (order.qty - order.filled).0;
                let room = venue.positions.first().map_or(i64::MAX, |position| position.qty.abs().0);
                let most = if order.purpose == Purpose::Entry { rest } else { rest.min(room) };
                if order.purpose == Purpose::Entry || !venue.positions.is_empty() {
                    venue.fill(order.id.seq, if kind % 2 == 0 { most } else { (most / 2).max(1) });
                }
            }
            if kind % 3 != 0 {
                venue.later(1);
            } else {
                venue.now += Nanos::from_secs(1);
            }
            let plan = venue.plan();
            let canceled = |id: ClientId| plan.cancel.iter().any(|(other, _)| *other == id);
            for (quote, _) in &plan.place {
                prop_assert!(quote.price > Ticks::ZERO && quote.qty > Lots::ZERO, "{quote:?}");
                if quote.purpose == Purpose::Entry {
                    let opposite = venue.book.best(quote.side.opposite()).unwrap().price;
                    prop_assert!((opposite - quote.price).0 * quote.side.sign() > 0, "takes: {quote:?}");
                    prop_assert!(venue.positions.is_empty() && !quote.reduce_only);
                } else {
                    prop_assert!(quote.reduce_only);
                    let held = venue.positions[0].qty;
                    prop_assert_eq!((quote.qty, -quote.side.sign()), (held.abs(), held.signum()));
                }
            }
            if cadence == Cadence::EveryEvent && venue.positions.is_empty() {
                let kept = venue.orders.iter().filter(|order| order.cancel_sent.is_none() && !canceled(order.id));
                let mut entries: Vec<(Side, Ticks)> = kept.map(|order| (order.side, order.price)).collect();
                entries.extend(plan.place.iter().map(|(quote, _)| (quote.side, quote.price)));
                let of = |side| entries.iter().filter(move |entry| entry.0 == side).map(|entry| entry.1);
                if let (Some(buy), Some(sell)) = (of(Side::Buy).max(), of(Side::Sell).min()) {
                    prop_assert!(buy < sell, "buy {buy:?} meets sell {sell:?}");
                }
            }
            carry_out(&mut venue, &plan);
            prop_assert!(venue.orders.len() <= ORDERS_MAX);
        }
    }
}

/// The reference lies within one unit of a bound, where the quick look is allowed to ask for the full check.
fn near(venue: &Venue, reference: Price, minimum: i64) -> bool {
    venue.orders.iter().any(|order| {
        let price = venue.instrument.price(order.price).0;
        let factor = if order.side == Side::Buy { RATE_ONE - minimum } else { RATE_ONE + minimum };
        factor > 0 && (price * i128::from(RATE_ONE) / i128::from(factor) - reference.0).abs() <= 1
    })
}

fn carry_out(venue: &mut Venue, plan: &Plan) {
    for (id, _) in &plan.cancel {
        venue.orders.iter_mut().find(|order| order.id == *id).unwrap().cancel_sent = Some(venue.now);
    }
    for (quote, _) in &plan.place {
        venue.seq += 1;
        venue.orders.push(OwnOrder {
            id: ClientId { run: 1, seq: venue.seq },
            side: quote.side,
            position_side: quote.position_side,
            purpose: quote.purpose,
            level: quote.level,
            price: quote.price,
            qty: quote.qty,
            filled: Lots::ZERO,
            created_at: venue.now,
            cancel_sent: None,
            resting: true,
        });
    }
}

#[test]
fn a_reference_beyond_all_bounds_is_not_quoted() {
    let mut venue = Venue::every_event(&[]);
    venue.instrument = Instrument::synthetic("BTCUSDT", "25", "0.001");
    venue.touch(i64::MAX / 4, i64::MAX / 4 + 1);
    assert!(venue.instrument.price(Ticks(i64::MAX / 4)) > PRICE_MAX);
    assert_eq!(venue.decide(), NOTHING);
}

/// What a random market and venue do between two decisions.
#[derive(Clone, Debug)]
enum Happening {
    Nothing,
    Touch(i64, i64),
    Later(i64),
    Available(i64),
    Fill(usize, i64),
    Widen(i64),
}

fn happening() -> impl proptest::strategy::Strategy<Value = Happening> {
    use proptest::strategy::Strategy as _;
    prop_oneof![
        3 => Just(Happening::Nothing),
        3 => (9_940..9_960_i64, 1..120_i64).prop_map(|(bid, width)| Happening::Touch(bid, bid + width)),
        4 => (0..12_i64).prop_map(Happening::Later),
        1 => (0..60_i64).prop_map(Happening::Available),
        1 => (0..4_usize, 1..1_001_i64).prop_map(|(at, qty)| Happening::Fill(at, qty)),
        1 => (1..3_i64).prop_map(Happening::Widen),
    ]
}

proptest! {
    /// One strategy is told when orders and positions are as before, its twin never: they ask for the same at the same times.
    #[test]
    fn deciding_again_is_deciding(
        happenings in prop::collection::vec(happening(), 1..60),
        tolerance in prop::sample::select(vec!["-1", "0", "0.02"]),
        levels in prop::sample::select(vec!["1", "2"]),
        optimized in prop::sample::select(vec!["no", "yes"]),
        minimum in prop::sample::select(vec!["-100", "0.9"]),
    ) {
        let changes = [
            ("order_refresh_tolerance_pct", tolerance),
            ("order_levels", levels),
            ("order_optimization_enabled", optimized),
            ("minimum_spread", minimum),
            ("long_profit_taking_spread", "2"),
        ];
        let (mut told, mut twin) = (Venue::every_event(&changes), Venue::every_event(&changes));
        let mut shown = None;
        for happening in happenings {
            for venue in [&mut told, &mut twin] {
                match happening {
                    Happening::Nothing => venue.now += Nanos(1),
                    Happening::Touch(bid, ask) => venue.touch(bid, ask),
                    Happening::Later(seconds) => {
                        venue.later(seconds);
                    }
                    Happening::Available(units) => venue.available = Money(i128::from(units) * pow10(18)),
                    Happening::Fill(at, qty) => {
                        if let Some(order) = venue.orders.get(at).copied() {
                            venue.fill(order.id.seq, qty.min((order.qty - order.filled).0));
                        }
                    }
                    Happening::Widen(times) => venue.widen = Rate(times * RATE_ONE),
                }
            }
            let current = Some((told.orders.clone(), told.positions.clone()));
            let plan = told.plan_as(shown == current);
            shown = current;
            let expected = twin.plan();
            prop_assert_eq!(plan.cancel.as_slice(), expected.cancel.as_slice());
            prop_assert_eq!(plan.place.as_slice(), expected.place.as_slice());
            prop_assert_eq!(plan.reference, expected.reference);
            prop_assert_eq!(told.strategy.timers(), twin.strategy.timers());
            prop_assert_eq!(told.strategy.next_timer(), twin.strategy.next_timer());
            carry_out(&mut told, &plan);
            carry_out(&mut twin, &expected);
        }
    }

    /// Where one comparison says that everything can be paid, order by order nothing is dropped.
    #[test]
    fn what_is_covered_as_a_whole_is_covered_order_by_order(
        levels in 1..6_u32,
        available in 0..1_000_i64,
        fee in -500_000_000..1_000_000_000_i64,
        locked in prop::collection::vec((9_000..11_000_i64, 1..5_000_i64, 0..5_000_i64), 0..5),
    ) {
        let mut venue = Venue::every_event(&[]);
        venue.strategy.settings.buy_levels = levels;
        venue.strategy.settings.sell_levels = levels;
        venue.instrument.maker_fee = Rate(fee);
        venue.available = Money(i128::from(available) * pow10(18));
        for (at, (price, qty, filled)) in locked.into_iter().enumerate() {
            let quote = Quote {
                side: Side::Buy,
                position_side: PositionSide::Net,
                purpose: Purpose::Entry,
                level: at as u8,
                price: Ticks(price),
                qty: Lots(qty),
                tif: ENTRY_TIF,
                reduce_only: false,
            };
            let mut plan = Plan::default();
            plan.place.push((quote, Cause::Quote));
            carry_out(&mut venue, &plan);
            venue.orders[at].filled = Lots(filled.min(qty));
        }
        let reference = Some(venue.instrument.mid(Ticks(9_950), Ticks(10_050)));
        let rich = Money(pow10(30));
        let Venue { instrument, book, orders, positions, available, now, strategy, .. } = &mut venue;
        let mut view = View {
            now: *now,
            instrument,
            book,
            last_trade: None,
            mark: None,
            funding: None,
            external: External::default(),
            orders,
            positions,
            available: rich,
            available_base: Amount::ZERO,
            wallet: Money(pow10(24)),
            unrealized: Money::ZERO,
            widen: Rate::ONE,
        };
        let mut all = Vec::new();
        strategy.propose(&view, reference, true, &mut all).unwrap();
        view.available = *available;
        let mut kept = all.clone();
        strategy.keep_affordable(&view, &mut kept);
        prop_assert_eq!(kept == all, strategy.covers_all(&view, &all).unwrap_or(kept == all));
    }
}
