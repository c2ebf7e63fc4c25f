//! Formulas against figures worked out by hand, scripts on a small venue for the sharp edges, random markets and settings.

use super::exact::{ONE, nearest, on_tick};
use super::pricing::{allowed, funding_skew, funding_too_high, inventory_skew};
use super::*;
use crate::config::funding_aware::KEYS;
use crate::config::schema::Settings;
use crate::event::{Level, PositionSide, TimeInForce};
use crate::maker::strategy::{BookView, External, PositionView, Quote, Strategy};
use crate::unit::{Step, Ticks, decimal_text, parse_scaled, pow10};
use proptest::prelude::*;

fn usd(text: &str) -> Money {
    Money::parse(text.as_bytes()).unwrap()
}

fn price(text: &str) -> Price {
    Price::parse(text.as_bytes()).unwrap()
}

/// Settings around the defaults, as a file would give them: 50 USD quotes, 20 bps wide, at most 500 USD.
fn settings(changes: &[(&str, &str)]) -> FundingAwareSettings {
    let mut settings = FundingAwareSettings::default();
    let base = [
        ("market", "ICP"),
        ("trading.base_order_size", "50"),
        ("trading.base_spread_bps", "20"),
        ("position.max_position_usd", "500"),
    ];
    for (name, value) in base.iter().chain(changes) {
        let key = KEYS.iter().find(|key| key.name == *name).expect("a key of the table");
        (key.set)(&mut settings, value).expect("a valid value");
    }
    settings.settle();
    assert_eq!(settings.check(), Vec::<String>::new());
    settings
}

#[derive(Default)]
struct Book([Option<Level>; 2]);

impl BookView for Book {
    fn best(&self, side: Side) -> Option<Level> {
        self.0[side.index()]
    }
    fn behind(&self, _side: Side, _price: Ticks) -> Option<Level> {
        None
    }
}

/// Tick 0.01, lot 0.01, the book 9.99 / 10.01, 1000 USD in the wallet.
struct Venue {
    now: Nanos,
    instrument: Instrument,
    book: Book,
    mark: Option<Price>,
    funding: Option<FundingView>,
    orders: Vec<OwnOrder>,
    position: i64,
    wallet: Money,
    unrealized: Money,
    widen: Rate,
    seq: u32,
    strategy: FundingAware,
}

impl Venue {
    fn new(changes: &[(&str, &str)]) -> Self {
        let mut venue = Self {
            now: Nanos::from_secs(1_000),
            instrument: Instrument::synthetic("ICPUSDT", "0.01", "0.01"),
            book: Book::default(),
            mark: None,
            funding: Some(FundingView { interval_hours: 8, ..FundingView::default() }),
            orders: Vec::new(),
            position: 0,
            wallet: usd("1000"),
            unrealized: Money::ZERO,
            widen: Rate::ONE,
            seq: 0,
            strategy: FundingAware::new(settings(changes)),
        };
        venue.touch(999, 1_001);
        venue
    }

    fn touch(&mut self, bid: i64, ask: i64) -> &mut Self {
        self.book.0 = [bid, ask].map(|price| Some(Level { price: Ticks(price), qty: Lots(1_000) }));
        self
    }

    /// The rate of one interval, in basis points.
    fn funding(&mut self, bps: i64, interval_hours: u8) -> &mut Self {
        self.funding = Some(FundingView { rate: Rate::from_bps(bps), next: Nanos::ZERO, interval_hours });
        self
    }

    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        let positions = [PositionView { side: PositionSide::Net, qty: Lots(self.position), entry: price("10") }];
        let view = View {
            now: self.now,
            instrument: &self.instrument,
            book: &self.book,
            last_trade: None,
            mark: self.mark,
            funding: self.funding,
            external: External::default(),
            orders: &self.orders,
            positions: if self.position == 0 { &[] } else { &positions },
            available: self.wallet,
            available_base: Amount::ZERO,
            wallet: self.wallet,
            unrealized: self.unrealized,
            widen: self.widen,
        };
        self.strategy.decide(&view, &mut plan);
        plan
    }

    /// Decides and carries it out; what was asked for, as text: `-1` cancels order 1, `+2 buy 9.99 x 5.00` places order 2.
    fn decide(&mut self) -> Vec<String> {
        let plan = self.plan();
        let mut said: Vec<String> = plan.cancel.iter().map(|(id, _)| format!("-{}", id.seq)).collect();
        for (quote, _) in &plan.place {
            let side = if quote.side == Side::Buy { "buy" } else { "sell" };
            let (price, qty) = (self.instrument.tick.text(quote.price.0), self.instrument.lot.text(quote.qty.0));
            let terms = match (quote.tif, quote.reduce_only) {
                (TimeInForce::PostOnly, false) => "",
                (TimeInForce::Ioc, true) => " taking",
                other => panic!("{other:?}"),
            };
            said.push(format!("+{} {side} {price} x {qty}{terms}", self.seq + 1));
            self.rest(quote);
        }
        for (id, _) in &plan.cancel {
            self.orders.iter_mut().find(|order| order.id == *id).unwrap().cancel_sent = Some(self.now);
        }
        said
    }

    fn rest(&mut self, quote: &Quote) {
        self.seq += 1;
        self.orders.push(OwnOrder {
            id: ClientId { run: 1, seq: self.seq },
            side: quote.side,
            position_side: quote.position_side,
            purpose: quote.purpose,
            level: quote.level,
            price: quote.price,
            qty: quote.qty,
            filled: Lots::ZERO,
            created_at: self.now,
            cancel_sent: None,
            resting: true,
        });
    }

    /// An order of ours that already rests, in ticks and lots.
    fn resting(&mut self, side: Side, price: i64, qty: i64) -> &mut Self {
        self.rest(&Quote { price: Ticks(price), qty: Lots(qty), ..passive(side) });
        self
    }

    /// Confirms every cancel under way, then lets time pass.
    fn later(&mut self, seconds: i64) -> &mut Self {
        self.orders.retain(|order| order.cancel_sent.is_none());
        self.now += Nanos::from_secs(seconds);
        self
    }

    /// Executes an order wholly; the position follows at once.
    fn fill(&mut self, seq: u32) -> &mut Self {
        let at = self.orders.iter().position(|order| order.id.seq == seq).unwrap();
        let order = self.orders.remove(at);
        self.position += order.qty.0 * order.side.sign();
        let event = OwnEvent::Filled { order, price: order.price, qty: order.qty, complete: true };
        self.strategy.on_own(self.now, &event);
        self
    }

    fn halt(&self) -> Option<Halt> {
        self.strategy.halt()
    }
}

const NOTHING: [&str; 0] = [];

// ---- formulas, section 4 ----

#[test]
fn rounding_is_to_the_nearest_even_tick() {
    for (n, d, expected) in [
        (5, 2, 2), // 2.5: the even neighbour below
        (7, 2, 4), // 3.5: the even neighbour above
        (-5, 2, -2),
        (-7, 2, -4),
        (11, 4, 3), // 2.75
        (9, 4, 2),  // 2.25
        (0, 7, 0),
    ] {
        assert_eq!(nearest(n, d), expected, "{n}/{d}");
    }
    // A tick of 0.25: 10.375 lies between 10.25 (41) and 10.50 (42), the even count is 42; 10.125 between 40 and 41: 40.
    let quarter = Instrument::synthetic("XUSDT", "0.25", "1");
    assert_eq!(on_tick(&quarter, price("10.375")), Some(Ticks(42)));
    assert_eq!(on_tick(&quarter, price("10.125")), Some(Ticks(40)));
    assert_eq!(on_tick(&quarter, price("0.125")), None, "rounds to zero: no price");
    assert_eq!(on_tick(&quarter, price("-3")), None);
}

#[test]
fn inventory_skew_counts_from_the_threshold_and_is_capped() {
    // e = dev -/+ threshold; k = e / 1000 x bps per 1k. Threshold 100, 20 bps per 1k, target 50, cap 5 bps.
    let s = settings(&[
        ("inventory.inventory_skew_threshold_usd", "100"),
        ("inventory.inventory_skew_bps_per_1k", "20"),
        ("inventory.max_skew_bps", "5"),
        ("position.target_position_usd", "50"),
    ]);
    for (position, bps) in [
        ("150", "0"),      // dev 100 is not beyond the threshold
        ("150.5", "0.01"), // dev 100.5, e 0.5: 0.5 / 1000 x 20
        ("350", "4"),      // dev 300, e 200: 0.2 x 20
        ("450", "5"),      // dev 400, e 300: 6, capped
        ("-50", "0"),      // dev -100
        ("-150", "-2"),    // dev -200, e -100
        ("-9000", "-5"),
    ] {
        let skew = inventory_skew(&s, usd(position)).unwrap();
        assert_eq!(decimal_text(skew.0 * 10_000, 18), bps, "{position}");
    }
}

#[test]
fn funding_skew_is_per_8_hours_whatever_the_interval() {
    // f = funding per 8 h in percent x 100 x multiplier; 0.01 percent with 100 is 100 bps. Cap 500 bps.
    let s = settings(&[]);
    for (rate, hours, bps) in [
        ("0.0001", 8, "100"),      // 0.01 percent per 8 h
        ("0.0000125", 1, "100"),   // FORMAT.md's example: 0.0000125 an hour is 0.01 percent per 8 h
        ("0.00005", 4, "100"),     // 0.005 percent per 4 h
        ("0.00000001", 8, "0.01"), // always, however small (F2)
        ("-0.0002", 8, "-200"),
        ("0.0006", 8, "500"),            // 600, capped
        ("-0.0003", 4, "-500"),          // -600, capped
        ("0.0001", 3, "266.6666666666"), // a third is cut at 18 places of the fraction
    ] {
        let skew = funding_skew(&s, Rate::parse(rate.as_bytes()).unwrap(), hours);
        let text = decimal_text(skew.0 * 10_000, 18);
        assert!(text == bps || (bps.len() > 9 && text.starts_with(bps)), "{rate} per {hours} h: {text}");
    }
}

#[test]
fn the_funding_stop_compares_the_raw_rate_strictly() {
    // 0.5 percent per 8 h: 0.005 per 8 h, 0.000625 per hour.
    let s = settings(&[]);
    for (rate, hours, stops) in [
        ("0.005", 8, false),
        ("0.005000000001", 8, true),
        ("-0.005000000001", 8, true),
        ("0.000625", 1, false),
        ("0.000625000001", 1, true),
        ("0.0025", 4, false),
    ] {
        assert_eq!(funding_too_high(&s, Rate::parse(rate.as_bytes()).unwrap(), hours), stops, "{rate} per {hours} h");
    }
}

#[test]
fn sides_are_blocked_near_the_cap_and_where_a_fill_would_pass_it() {
    // Cap 500, orders worth 50: long, no bid above 450 after the fill; any side, not beyond 500 after it.
    let s = settings(&[]);
    for (position, order, bid, ask) in [
        ("0", "50", None, None),
        ("0", "500", None, None),
        ("0", "500.01", Some(Blocked::Cap), Some(Blocked::Cap)),
        ("400", "50", None, None), // 450 is not above 450
        ("400.01", "50", Some(Blocked::NearCap), None),
        ("-400.01", "50", None, Some(Blocked::NearCap)),
        ("300", "800", Some(Blocked::NearCap), None), // the ask ends at -500
        ("300", "801", Some(Blocked::NearCap), Some(Blocked::Cap)),
    ] {
        let (usd, order) = (usd(position), usd(order).0);
        assert_eq!(
            (allowed(&s, usd, order, Side::Buy), allowed(&s, usd, order, Side::Sell)),
            (bid, ask),
            "{position} {order}"
        );
    }
}

#[test]
fn quotes_stand_half_the_spread_around_the_skewed_mark() {
    // Mark 10, half spread 10 bps: 9.99 and 10.01 meet the touch of 9.99 / 10.01 and step a tick behind it: 9.98, 10.02.
    assert_eq!(Venue::new(&[]).decide(), ["+1 buy 9.98 x 5.00", "+2 sell 10.02 x 5.00"]);
    // 200 bps wide: 10 x 0.99, 10 x 1.01.
    let wide = [("trading.base_spread_bps", "200")];
    assert_eq!(Venue::new(&wide).decide(), ["+1 buy 9.90 x 5.00", "+2 sell 10.10 x 5.00"]);
    // Funding of 1 bp per 8 h with a multiplier of 100 is 100 bps: mid 9.90; 9.801 and 9.999, which steps behind the ask.
    let mut venue = Venue::new(&wide);
    assert_eq!(venue.funding(1, 8).decide(), ["+1 buy 9.80 x 5.00", "+2 sell 10.02 x 5.00"]);
    let targets = *venue.strategy.targets().unwrap();
    assert_eq!((targets.skewed_mid, targets.funding_skew), (price("9.9"), Fraction::of(Rate::from_bps(100))));
    // Negative funding raises both: mid 10.1; 9.999 steps behind the bid, 10.201.
    assert_eq!(Venue::new(&wide).funding(-1, 8).decide(), ["+1 buy 9.98 x 5.00", "+2 sell 10.20 x 5.00"]);
    // Long 200 USD at 2000 bps per 1k: 400 bps, mid 9.60: 9.504 and 9.696.
    let mut venue = Venue::new(&[wide[0], ("inventory.inventory_skew_bps_per_1k", "2000")]);
    venue.position = 2_000;
    assert_eq!(venue.decide(), ["+1 buy 9.50 x 5.00", "+2 sell 10.02 x 5.00"]);
    // Both, one after the other: 10 x 0.96 x 0.99 = 9.504.
    let mut venue = Venue::new(&[wide[0], ("inventory.inventory_skew_bps_per_1k", "2000")]);
    venue.position = 2_000;
    venue.funding(1, 8).decide();
    assert_eq!(venue.strategy.targets().unwrap().skewed_mid, price("9.504"));
    // An operator doubles the spread: 9.80, 10.20.
    let mut venue = Venue::new(&wide);
    venue.widen = Rate(2 * Rate::ONE.0);
    assert_eq!(venue.decide(), ["+1 buy 9.80 x 5.00", "+2 sell 10.20 x 5.00"]);
}

#[test]
fn the_marks_source_is_the_venue_where_it_has_a_positive_one() {
    let wide = [("trading.base_spread_bps", "200")];
    // Mark 10.5: 10.395 ends at best bid - 1 tick; 10.605 is exactly between ticks 1060 and 1061: the even one. Size 50/10.5 = 4.76.
    let mut venue = Venue::new(&wide);
    venue.mark = Some(price("10.5"));
    assert_eq!(venue.decide(), ["+1 buy 9.98 x 4.76", "+2 sell 10.60 x 4.76"]);
    assert!(venue.strategy.targets().unwrap().venue_mark);
    venue = Venue::new(&wide);
    venue.mark = Some(Price::ZERO);
    assert_eq!(venue.decide(), ["+1 buy 9.90 x 5.00", "+2 sell 10.10 x 5.00"]);
    assert!(!venue.strategy.targets().unwrap().venue_mark);
}

#[test]
fn the_closing_side_moves_nearer_above_the_profit_threshold() {
    // Half spread 100 bps, aggression 15 bps: 85 bps on the closing side. Threshold 10 USD, strict. No inventory skew.
    let changes = |aggression| {
        [
            ("trading.base_spread_bps", "200"),
            ("inventory.inventory_skew_bps_per_1k", "0"),
            ("profit_taking.aggression_bps", aggression),
        ]
    };
    for (position, profit, aggression, bid, ask) in [
        (1_000, "10", "15", "100", "100"),
        (1_000, "10.01", "15", "100", "85"),
        (-1_000, "10.01", "15", "85", "100"),
        (1_000, "-50", "15", "100", "100"),
        (0, "50", "15", "100", "100"),
        (1_000, "50", "300", "100", "1"), // at least 1 bp
        (1_000, "50", "-4", "100", "104"),
    ] {
        let mut venue = Venue::new(&changes(aggression));
        venue.position = position;
        venue.unrealized = usd(profit);
        venue.decide();
        let half = venue.strategy.targets().unwrap().half.map(|half| decimal_text(half.0 * 10_000, 18));
        assert_eq!(half, [bid, ask], "{position} {profit} {aggression}");
    }
}

// ---- stops, sections 3 and 5 ----

#[test]
fn a_loss_latches_the_kill_switch_until_restart() {
    let mut venue = Venue::new(&[]);
    venue.position = 1_000;
    assert_eq!(venue.decide().len(), 2);
    // Account value = wallet + unrealised. -10 percent of it: x / (1000 + x) = -0.1 at x = -90.909...
    venue.unrealized = usd("-90.909090909090909090");
    assert_eq!(venue.later(1).decide(), NOTHING, "one part in 1e20 short of it");
    venue.unrealized = usd("-90.909090909090909091");
    assert_eq!(venue.decide(), ["-1", "-2"]);
    assert_eq!(venue.halt(), Some(Halt::Killed));
    venue.unrealized = Money::ZERO;
    assert_eq!(venue.later(3_600).decide(), NOTHING);
    assert_eq!((venue.halt(), venue.strategy.next_timer()), (Some(Halt::Killed), Nanos::MAX));
    venue.resting(Side::Buy, 900, 1);
    assert_eq!(venue.decide(), ["-3"], "whatever rests is cancelled");
}

#[test]
fn stops_do_not_wait_for_an_update() {
    let mut venue = Venue::new(&[]);
    venue.decide();
    // Neither the mid moved nor the fallback is due; 51 bps per 8 h is above 50.
    assert_eq!(venue.later(1).funding(50, 8).decide(), NOTHING);
    assert_eq!(venue.funding(51, 8).decide(), ["-1", "-2"]);
    assert_eq!((venue.halt(), venue.decide()), (Some(Halt::Funding), vec![]));
    // Re-evaluated at every update: it ends by itself.
    assert_eq!(venue.later(31).funding(0, 8).decide().len(), 2);
    assert_eq!(venue.halt(), None);
}

#[test]
fn a_low_margin_ratio_pauses_and_ends_by_itself() {
    // Position 400 USD at leverage 5: 80 used. 10 percent of it: 8.
    let mut venue = Venue::new(&[]);
    venue.position = 4_000;
    venue.wallet = usd("8");
    assert_eq!(venue.decide().len(), 2, "a ratio at the limit is not below it");
    venue.wallet = usd("7.99");
    assert_eq!(venue.decide(), ["-1", "-2"]);
    assert_eq!(venue.halt(), Some(Halt::Margin));
    venue.wallet = usd("8");
    assert_eq!(venue.later(31).decide().len(), 2);
}

#[test]
fn margin_follows_our_own_fills() {
    let mut venue = Venue::new(&[("safety.min_margin_ratio_pct", "5000")]);
    // 50 USD bought at leverage 5 use 10; 5000 percent of that is 500.
    venue.wallet = usd("499");
    assert_eq!(venue.decide().len(), 2, "nothing is used while flat");
    assert_eq!(venue.fill(1).decide(), ["-2"]);
    assert_eq!(venue.halt(), Some(Halt::Margin));
}

#[test]
fn beyond_the_cap_a_sound_account_reduces_passively() {
    // Long 60 x 10 = 600 of at most 500, equity 1000, leverage 5: free = 1000 - 120 = 880; x 0.8 x 5 = 3520; half the position
    // is 300 and less: 30.00 at mark x 1.001 = 10.01.
    let mut venue = Venue::new(&[]);
    venue.decide();
    venue.position = 6_000;
    assert_eq!(venue.decide(), ["-1", "-2", "+3 sell 10.01 x 30.00"], "seen at once");
    // Short: buy at mark x 0.999.
    let mut venue = Venue::new(&[]);
    venue.position = -6_000;
    assert_eq!(venue.decide(), ["+1 buy 9.99 x 30.00"]);
    // Equity 130: free 10; 40 USD: 4.00.
    let mut venue = Venue::new(&[]);
    (venue.position, venue.wallet) = (6_000, usd("130"));
    assert_eq!(venue.decide(), ["+1 sell 10.01 x 4.00"]);
    // Equity 120 is all used: nothing to place, the quotes go all the same.
    let mut venue = Venue::new(&[]);
    venue.decide();
    (venue.position, venue.wallet) = (6_000, usd("120"));
    assert_eq!(venue.decide(), ["-1", "-2"]);
}

#[test]
fn beyond_the_cap_an_account_short_of_margin_takes() {
    // Long 600 of 500: 120 used, equity 119.99 below it. (100 + 50) / 10 = 15.00, down to 10 x 0.95.
    let mut venue = Venue::new(&[]);
    (venue.position, venue.wallet) = (6_000, usd("119.99"));
    venue.resting(Side::Buy, 998, 100);
    assert_eq!(venue.decide(), ["-1", "+2 sell 9.50 x 15.00 taking"]);
    let mut venue = Venue::new(&[]);
    (venue.position, venue.wallet) = (-6_000, usd("119.99"));
    assert_eq!(venue.decide(), ["+1 buy 10.50 x 15.00 taking"]);
}

#[test]
fn taking_is_limited_to_the_position() {
    // Long 30 of 20: (10 + 50) / 10 = 6.00, but 3.00 are held. Mark 10.01: 10.01 x 0.95 = 9.5095 rounds to 9.51 upwards.
    let mut venue = Venue::new(&[("position.max_position_usd", "20"), ("trading.base_order_size", "5")]);
    (venue.position, venue.wallet, venue.mark) = (300, usd("1"), Some(price("10.01")));
    assert_eq!(venue.decide(), ["+1 sell 9.51 x 3.00 taking"]);
    // Short: 10.01 x 1.05 = 10.5105, the nearest tick 10.51 is within 5 percent; at 10.02, 10.521 would round to 10.52.
    let mut venue = Venue::new(&[("position.max_position_usd", "20"), ("trading.base_order_size", "5")]);
    (venue.position, venue.wallet, venue.mark) = (-300, usd("1"), Some(price("10.0148")));
    assert_eq!(venue.decide(), ["+1 buy 10.51 x 3.00 taking"], "10.51554 would round to 10.52");
}

#[test]
fn taking_is_not_repeated_while_under_way() {
    let mut venue = Venue::new(&[]);
    (venue.position, venue.wallet) = (6_000, usd("119.99"));
    assert_eq!(venue.decide(), ["+1 sell 9.50 x 15.00 taking"]);
    venue.touch(989, 991);
    assert_eq!(venue.decide(), NOTHING, "the mid moved, but what became of order 1 is not known");
    venue.fill(1);
    assert_eq!(venue.decide().len(), 1, "its fill makes an update due: 450 are held, the ask is quoted");
}

#[test]
fn reducing_passively_never_takes() {
    // Mark 9.80 and a best bid of 9.99: 9.80 x 1.001 would take; a tick behind the bid is 10.00.
    let mut venue = Venue::new(&[]);
    (venue.position, venue.mark) = (6_000, Some(price("9.80")));
    assert_eq!(venue.decide(), ["+1 sell 10.00 x 30.00"]);
    let mut venue = Venue::new(&[]);
    (venue.position, venue.mark) = (-6_000, Some(price("10.20")));
    assert_eq!(venue.decide(), ["+1 buy 10.00 x 30.00"]);
}

#[test]
fn an_unknown_position_withdraws_everything() {
    let mut venue = Venue::new(&[]);
    venue.decide();
    // Its value does not fit: 9e18 lots at 1000.
    (venue.position, venue.mark) = (i64::MAX, Some(price("1000")));
    assert_eq!(venue.decide(), ["-1", "-2"]);
    assert_eq!(venue.halt(), Some(Halt::Position));
}

#[test]
fn another_position_mode_withdraws_everything() {
    let mut venue = Venue::new(&[]);
    let mut plan = Plan::default();
    venue.strategy.start(venue.now, &mut plan);
    assert_eq!(plan.account.as_slice(), [AccountRequest::Leverage(5), AccountRequest::PositionMode(false)]);
    venue.decide();
    venue.strategy.on_own(venue.now, &OwnEvent::PositionMode { hedge: true, ok: true });
    assert_eq!(venue.decide(), ["-1", "-2"]);
    assert_eq!(venue.halt(), Some(Halt::Mode));
}

// ---- the circuit breaker ----

#[test]
fn the_breaker_trips_strictly_above_5_percent_and_calms_below_2() {
    let at = |seconds| Nanos::from_secs(seconds);
    let mut breaker = Volatility::default();
    breaker.add(at(0), price("100"));
    assert_eq!(breaker.check(at(1)), Verdict::default(), "one price is no range");
    breaker.add(at(10), price("105"));
    assert!(!breaker.check(at(11)).pause, "5 percent is not above 5");
    breaker.add(at(20), price("105.01"));
    let verdict = breaker.check(at(21));
    assert!(verdict.pause && verdict.tripped && verdict.range == Some((price("100"), price("105.01"))));
    assert!(!breaker.check(at(22)).tripped, "once");
    // 100 is as old as the window of 10 minutes at 600 and leaves it; the 15 minutes still hold it.
    assert_eq!(breaker.check(at(599)).window, at(600));
    assert_eq!((breaker.check(at(600)).pause, breaker.check(at(600)).window), (true, at(900)));
    // Without it 105 and 105.01 are calm.
    assert!(!breaker.check(at(900)).pause);
    assert_eq!(breaker.active_since(), None);
}

#[test]
fn the_breaker_lets_go_without_prices_but_remembers() {
    let at = |seconds| Nanos::from_secs(seconds);
    let mut breaker = Volatility::default();
    breaker.add(at(0), price("100"));
    breaker.add(at(1), price("106"));
    assert!(breaker.check(at(2)).pause);
    assert!(!breaker.check(at(901)).pause, "fewer than two prices in 15 minutes");
    assert_eq!(breaker.active_since(), Some(at(2)));
    breaker.add(at(902), price("100"));
    breaker.add(at(903), price("103"));
    assert!(breaker.check(at(904)).pause, "still tripped: 3 percent is not below 2");
}

#[test]
fn the_breakers_memory_is_bounded_and_misses_no_range() {
    let mut breaker = Volatility::default();
    let capacity = breaker.prices();
    assert_eq!(capacity, 0);
    // 100 prices a second for 20 minutes, one of them 6 percent away for a moment.
    for n in 0..120_000_i64 {
        let odd = n == 100_000;
        breaker.add(Nanos::from_millis(10 * n), if odd { price("106") } else { price("100") });
    }
    let now = Nanos::from_secs(1_200);
    assert!(breaker.check(now).pause, "seen 200 s ago");
    // 15 minutes of them, and what shares the oldest second.
    assert!((90_000..90_100).contains(&breaker.prices()), "{}", breaker.prices());
    assert!(!breaker.check(Nanos::from_secs(1_000 + 902)).pause, "forgotten at most a second late");
}

#[test]
fn the_breaker_cancels_whatever_rests_while_it_lasts() {
    let mut venue = Venue::new(&[]);
    assert_eq!(venue.decide().len(), 2);
    venue.touch(1_059, 1_061);
    assert_eq!(venue.later(1).decide().len(), 4, "the price is remembered by the update that it causes");
    assert_eq!(venue.later(1).touch(1_049, 1_051).decide(), ["-3", "-4"], "6 percent in 10 minutes");
    assert_eq!(venue.halt(), Some(Halt::Volatility));
    venue.later(1).resting(Side::Buy, 900, 1);
    assert_eq!(venue.touch(1_059, 1_061).decide(), ["-5"]);
}

// ---- when, and which orders: sections 6 and 7 ----

#[test]
fn updates_are_due_on_moves_fills_and_time() {
    let mut venue = Venue::new(&[("trading.base_spread_bps", "200"), ("inventory.inventory_skew_bps_per_1k", "0")]);
    venue.touch(99_999, 100_001).decide();
    // 10 bps of 1000 is 1.00: at it nothing is due, beyond it an update; within 3 bps quotes would stay.
    assert_eq!(venue.touch(100_099, 100_101).decide(), NOTHING);
    assert_eq!(venue.touch(100_100, 100_102).decide().len(), 4);
    // Slow drift is measured from the last quotes, not from the last book.
    for step in 1..=20 {
        let said = venue.touch(100_100 + 5 * step, 100_102 + 5 * step).decide();
        assert_eq!(said, NOTHING, "{step}");
    }
    assert_eq!(venue.touch(100_201, 100_204).decide().len(), 4);
    // Every 30 s, strictly, whatever the market does: 0.20 percent away in mark, not in mid.
    venue.mark = Some(price("1004"));
    let due = venue.strategy.next_timer();
    assert_eq!(due, venue.now + Nanos::from_secs(30) + Nanos(1));
    assert_eq!(venue.later(30).decide(), NOTHING);
    venue.now = due;
    assert_eq!(venue.decide().len(), 4);
    // A fill: the ask is gone and placed anew.
    let ask = venue.orders.last().unwrap().id.seq;
    assert_eq!(venue.later(1).fill(ask).decide().len(), 1);
}

#[test]
fn the_first_funding_rate_makes_an_update_due() {
    let mut venue = Venue::new(&[("trading.base_spread_bps", "200")]);
    venue.funding = None;
    assert_eq!(venue.decide(), ["+1 buy 9.90 x 5.00", "+2 sell 10.10 x 5.00"]);
    assert_eq!(venue.funding(1, 8).decide(), ["-1", "-2", "+3 buy 9.80 x 5.00", "+4 sell 10.02 x 5.00"]);
    assert_eq!(venue.funding(2, 8).decide(), NOTHING, "a change waits for the next update");
}

#[test]
fn quotes_inside_the_requote_band_stay() {
    // Bid target 990.00, ask 1010.00, size 0.05 x 10 = 50 lots of 0.001. 3 bps of 990 are 0.297.
    for (bid, qty, kept) in [
        (99_000, 50, true),
        (98_971, 50, true),  // 0.29 away
        (98_970, 50, false), // 0.30
        (99_029, 50, true),
        (99_000, 46, true),  // 8 percent
        (99_000, 45, false), // exactly 10 percent is outside
        (99_000, 54, true),
        (99_000, 55, false),
    ] {
        let mut venue = Venue::new(&[("trading.base_spread_bps", "200")]);
        venue.instrument = Instrument::synthetic("ICPUSDT", "0.01", "0.001");
        venue.touch(99_999, 100_001).resting(Side::Buy, bid, qty).resting(Side::Sell, 101_000, 50);
        let expected: &[&str] = if kept { &[] } else { &["-1", "+3 buy 990.00 x 0.050"] };
        assert_eq!(venue.decide(), expected, "{bid} x {qty}");
    }
}

#[test]
fn no_more_than_the_most_orders_of_a_side_stay() {
    for (most, expected) in [("1", vec!["-1", "-2"]), ("2", vec!["-1"]), ("3", vec![])] {
        let mut venue = Venue::new(&[("trading.base_spread_bps", "200"), ("safety.max_quote_count", most)]);
        venue.resting(Side::Buy, 980, 500).resting(Side::Buy, 970, 500).resting(Side::Buy, 990, 500);
        venue.resting(Side::Sell, 1_010, 500);
        assert_eq!(venue.decide(), expected, "{most}");
    }
}

#[test]
fn an_older_order_that_is_too_near_goes() {
    let mut venue = Venue::new(&[("trading.base_spread_bps", "200")]);
    venue.resting(Side::Buy, 991, 500).resting(Side::Buy, 990, 500);
    venue.resting(Side::Sell, 1_009, 500).resting(Side::Sell, 1_010, 500);
    assert_eq!(venue.decide(), ["-1", "-3"]);
}

#[test]
fn a_kept_quote_never_meets_the_other_side() {
    // A spread of 2 bps at 1000: 999.9 and 1000.1 become 999.98 and 1000.02 behind the touch of 999.99 / 1000.01. Our old bid at
    // 1000.02 is within 3 bps of its target, and would meet the new ask.
    let mut venue = Venue::new(&[("trading.base_spread_bps", "0"), ("trading.min_spread_bps", "0")]);
    venue.touch(99_999, 100_001).resting(Side::Buy, 100_002, 5);
    assert_eq!(venue.decide(), ["-1", "+2 buy 999.98 x 0.05", "+3 sell 1000.02 x 0.05"]);
    // And an old ask below the bid that is kept.
    let mut venue = Venue::new(&[("trading.base_spread_bps", "0"), ("trading.min_spread_bps", "0")]);
    venue.touch(99_999, 100_001).resting(Side::Buy, 100_001, 5).resting(Side::Sell, 100_000, 5);
    assert_eq!(venue.decide(), ["-2", "+3 sell 1000.02 x 0.05"]);
}

#[test]
fn a_blocked_side_is_cancelled_once_and_said() {
    let mut venue = Venue::new(&[]);
    venue.position = 4_600;
    venue.resting(Side::Buy, 998, 500).resting(Side::Buy, 997, 500).resting(Side::Sell, 1_002, 500);
    assert_eq!(venue.decide(), ["-1", "-2"]);
    assert_eq!(venue.strategy.targets().unwrap().blocked, [Some(Blocked::NearCap), None]);
    // Too small for the file's minimum: 5.00 of 6.
    let mut venue = Venue::new(&[("trading.min_order_size", "6")]);
    assert_eq!(venue.resting(Side::Buy, 998, 500).decide(), ["-1"]);
    assert_eq!(venue.strategy.targets().unwrap().blocked, [Some(Blocked::TooSmall); 2]);
    // Rounds to no lot at all, and the file has no minimum.
    let mut venue = Venue::new(&[("trading.min_order_size", "0"), ("trading.base_order_size", "0.05")]);
    assert_eq!(venue.decide(), NOTHING);
    // A skew of 100 percent leaves no price.
    let mut venue = Venue::new(&[("inventory.max_skew_bps", "10000"), ("funding.funding_skew_multiplier", "1000000")]);
    assert_eq!(venue.funding(1, 8).decide(), ["+1 sell 10.02 x 5.00"][1..].to_vec());
}

#[test]
fn simple_mode_replaces_in_one_step() {
    let mut venue = Venue::new(&[("safety.smart_order_mgmt_enabled", "false")]);
    assert_eq!(venue.decide().len(), 2);
    assert_eq!(venue.later(31).decide(), ["-1", "-2", "+3 buy 9.98 x 5.00", "+4 sell 10.02 x 5.00"]);
}

#[test]
fn orders_are_bounded() {
    let mut venue = Venue::new(&[("safety.smart_order_mgmt_enabled", "false")]);
    for _ in 0..ORDERS_MAX - 1 {
        venue.resting(Side::Buy, 900, 1);
    }
    let said = venue.decide();
    assert_eq!(said.len(), ORDERS_MAX, "every cancel, and the one placement that has room beside what is leaving");
}

#[test]
fn a_refused_quote_is_asked_for_again() {
    let mut venue = Venue::new(&[]);
    assert_eq!(venue.decide(), ["+1 buy 9.98 x 5.00", "+2 sell 10.02 x 5.00"]);
    venue.orders.remove(0);
    assert_eq!(venue.decide(), NOTHING, "not in the same moment");
    assert_eq!(venue.strategy.next_timer(), venue.now + Nanos::from_secs(1) + Nanos(1));
    venue.now = venue.strategy.next_timer();
    assert_eq!(venue.decide(), ["+3 buy 9.98 x 5.00"]);
    // A side that is not to be quoted is not missing.
    venue.position = 4_600;
    venue.later(31).decide();
    assert_eq!(venue.later(2).decide(), NOTHING);
}

#[test]
fn settings_that_may_change_take_effect_at_once_and_the_others_stay() {
    let mut venue = Venue::new(&[("trading.base_spread_bps", "200")]);
    venue.decide();
    let new = settings(&[("trading.base_spread_bps", "400"), ("market", "SOL"), ("position.leverage", "9")]);
    venue.strategy.take_over(&mut new.clone());
    assert_eq!(venue.decide(), ["-1", "-2", "+3 buy 9.80 x 5.00", "+4 sell 10.20 x 5.00"]);
    assert_eq!((venue.strategy.settings().market.as_str(), venue.strategy.settings().leverage), ("ICP", 5));
    for key in KEYS.iter().filter(|key| key.hot) {
        assert_eq!((key.show)(venue.strategy.settings()), (key.show)(&new), "{}", key.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_quotient_is_rounded_to_its_nearest_integer(n in -10_i128.pow(30)..10_i128.pow(30), d in 1..10_i128.pow(20)) {
        let found = nearest(n, d);
        let twice = (2 * (n - found * d)).abs();
        prop_assert!(twice < d || (twice == d && found % 2 == 0));
    }

    #[test]
    fn a_product_is_the_exact_one_rounded_down(value in -10_i128.pow(20)..10_i128.pow(20), factor in -10_i128.pow(18)..10_i128.pow(18)) {
        prop_assert_eq!(times(value, factor), Some((value * factor).div_euclid(ONE)));
    }

    /// Random settings, prices from 1e-8 to 1e7, funding, moves, fills, losses and slow cancels: placements on the grid, positive,
    /// never through the book unless they take over the cap, the two sides never meet, a full fill stays within the largest
    /// position, nothing panics.
    #[test]
    fn quotes_are_always_sound(
        tick in prop::sample::select(vec!["0.00000001", "0.0001", "0.05", "0.1", "1", "25"]),
        lot in prop::sample::select(vec!["0.001", "0.1", "1", "100"]),
        start in prop_oneof![2..200_i64, 2..100_000_i64, 2..1_000_000_000_i64],
        sizes in (0..1_000_u64, 0..10_000_u64, -100..101_i64),
        spreads in (0..2_000_u32, prop_oneof![Just(0_u32), 0..100_u32, 0..100_000_u32], -500..500_i32),
        skews in (prop_oneof![0..100_u32, 0..100_000_u32], 0..1_000_000_u32, 0..1_000_u32),
        safety in (1..5_u32, 1..1_000_u32, 0..1_000_u32, any::<bool>()),
        leverage in 1..1_000_u32,
        wallet in prop_oneof![0..100_u64, 0..1_000_000_u64],
        steps in prop::collection::vec((any::<u8>(), -50..50_i64, 1..20_i64, any::<u8>(), -20_000_000_i64..20_000_000), 1..40),
    ) {
        let (order, cap) = (sizes.0, sizes.1);
        let target = i128::from(cap) * i128::from(sizes.2) / 100;
        let mut venue = Venue::new(&[
            ("trading.base_order_size", &order.to_string()),
            ("trading.base_spread_bps", &spreads.0.to_string()),
            ("trading.min_order_size", "0"),
            ("position.max_position_usd", &cap.to_string()),
            ("position.target_position_usd", &target.to_string()),
            ("position.leverage", &leverage.to_string()),
            ("inventory.max_skew_bps", &spreads.1.to_string()),
            ("inventory.inventory_skew_bps_per_1k", &skews.0.to_string()),
            ("funding.funding_skew_multiplier", &skews.1.to_string()),
            ("funding.max_funding_rate_pct_8h", &skews.2.to_string()),
            ("profit_taking.aggression_bps", &spreads.2.to_string()),
            ("profit_taking.threshold_usd", "0"),
            ("safety.max_quote_count", &safety.0.to_string()),
            ("safety.emergency_stop_loss_pct", &format!("-{}", safety.1)),
            ("safety.min_margin_ratio_pct", &safety.2.to_string()),
            ("safety.smart_order_mgmt_enabled", if safety.3 { "true" } else { "false" }),
        ]);
        venue.instrument = Instrument::synthetic("XUSDT", tick, lot);
        venue.wallet = Money(i128::from(wallet) * pow10(18));
        let highest = 10_000_000 * pow10(18) / Step::parse(tick.as_bytes()).unwrap().atto();
        let start = start.min(i64::try_from(highest).unwrap_or(i64::MAX));
        let mut middle = start;
        for (kind, shift, width, pick, rate) in steps {
            middle = (middle + shift * (start / 1_000).max(1)).clamp(2, start.saturating_mul(3).max(3));
            let (bid, ask) = ((middle - width).max(1), middle + 1);
            venue.touch(bid, ask);
            venue.mark = (kind % 4 != 0).then(|| Price(venue.instrument.price(Ticks(middle)).0 + i128::from(shift)));
            venue.funding(rate / 1_000, 1 + kind % 8);
            venue.unrealized = Money(i128::from(rate) * pow10(12));
            if kind % 5 == 0 && !venue.orders.is_empty() {
                let order = venue.orders[usize::from(pick) % venue.orders.len()];
                venue.fill(order.id.seq);
            }
            if kind % 3 != 0 {
                venue.later(i64::from(pick));
            } else {
                venue.now += Nanos::from_secs(1);
            }
            let before = venue.orders.clone();
            let plan = venue.plan();
            let canceled = |id: ClientId| plan.cancel.iter().filter(|(other, _)| *other == id).count();
            prop_assert!(before.iter().all(|order| canceled(order.id) <= usize::from(order.cancel_sent.is_none())));
            let mark = venue.mark.filter(|mark| *mark > Price::ZERO)
                .unwrap_or_else(|| venue.instrument.mid(Ticks(bid), Ticks(ask)));
            let held = value(&venue.instrument, Lots(venue.position), mark).unwrap();
            for (quote, _) in &plan.place {
                prop_assert!(quote.price > Ticks::ZERO && quote.qty > Lots::ZERO, "{quote:?}");
                let after = venue.position + quote.qty.0 * quote.side.sign();
                if quote.reduce_only {
                    prop_assert!(quote.qty.0 <= venue.position.abs() && quote.side.sign() * venue.position < 0);
                    continue;
                }
                let takes = if quote.side == Side::Buy { quote.price.0 >= ask } else { quote.price.0 <= bid };
                prop_assert!(!takes && quote.tif == TimeInForce::PostOnly, "takes: {quote:?}");
                // To a unit in the last place: two values are rounded.
                let worth = value(&venue.instrument, Lots(after), mark).unwrap().abs();
                let cap = i128::from(cap) * pow10(18);
                prop_assert!(worth <= cap.max(held.abs()) + 2, "{quote:?} at {mark:?} holding {held}");
            }
            let live = |order: &&OwnOrder| order.cancel_sent.is_none() && canceled(order.id) == 0;
            let mut quotes: Vec<(Side, Ticks)> = before.iter().filter(live).map(|order| (order.side, order.price)).collect();
            if !plan.place.is_empty() {
                quotes.extend(plan.place.iter().map(|(quote, _)| (quote.side, quote.price)));
                let of = |side| quotes.iter().filter(move |entry| entry.0 == side).map(|entry| entry.1);
                if let (Some(buy), Some(sell)) = (of(Side::Buy).max(), of(Side::Sell).min()) {
                    prop_assert!(buy < sell, "buy {buy:?} meets sell {sell:?}");
                }
            }
            if venue.halt().is_some() {
                prop_assert!(plan.place.is_empty());
                prop_assert!(quotes.is_empty(), "a stop cancels all");
            }
            for side in [Side::Buy, Side::Sell] {
                let of_side = quotes.iter().filter(|entry| entry.0 == side).count();
                prop_assert!(plan.place.is_empty() || of_side <= safety.0 as usize);
            }
            for (id, _) in &plan.cancel {
                venue.orders.iter_mut().find(|order| order.id == *id).unwrap().cancel_sent = Some(venue.now);
            }
            for (quote, _) in &plan.place {
                venue.rest(quote);
            }
            // What takes ends by itself.
            venue.orders.retain(|order| order.purpose != Purpose::StopLoss);
            prop_assert!(venue.orders.len() <= ORDERS_MAX);
        }
    }
}

#[test]
fn equal_inputs_give_equal_decisions() {
    let run = || {
        let mut venue = Venue::new(&[]);
        let mut said = Vec::new();
        for step in 0..200_i64 {
            venue.funding(step % 7, 8).touch(990 + step % 19, 995 + step % 19);
            venue.position = (step * 37) % 800 - 400;
            said.extend(venue.later(1).decide());
        }
        said
    };
    assert_eq!(run(), run());
}

#[test]
fn a_price_beyond_all_bounds_is_not_quoted() {
    let mut venue = Venue::new(&[]);
    venue.decide();
    venue.mark = Some(Price(parse_scaled(b"1000000000000.1", 18).unwrap()));
    assert_eq!(venue.later(31).decide(), ["-1", "-2"]);
    assert_eq!(venue.halt(), Some(Halt::Price));
    venue.book = Book::default();
    venue.mark = None;
    assert_eq!(venue.decide(), NOTHING, "the engine does not even ask without a book");
}
