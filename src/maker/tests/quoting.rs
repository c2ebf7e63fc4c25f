//! Quoting as it should go: first quotes, keeps, amends, holds, cadence, gate.

use super::*;
use crate::maker::strategy::External;
use OrderEventKind::{Accepted, AmendRejected, Canceled, Open};
use Side::{Buy, Sell};

#[test]
fn nothing_is_quoted_before_links_reconciliation_and_book() {
    let mut rig = Rig::new(Rig::config());
    rig.desire.lock().unwrap().quotes = vec![quote(Buy, 1000, 5)];
    assert!(rig.link(Link::Private, LinkState::Up).is_empty());
    assert_eq!(rig.link(Link::OrderEntry, LinkState::Up), ["reconcile"]);
    rig.link(Link::Market, LinkState::Up);
    assert_eq!(rig.depth(&[], &[]), ["snapshot"]);
    assert!(rig.snapshot().is_empty());
    assert_eq!(rig.status().blocks, Blocks(Blocks::RECONCILE));
    assert!(rig.reconciled(0, &[]).is_empty());
    assert_eq!(rig.depth(&[], &[]), ["new 1 buy 1000x5"]);
    assert!(rig.depth(&[], &[]).is_empty(), "a pending order is not placed twice");
}

#[test]
fn moves_are_amends_held_while_one_is_outstanding() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.want(&[(Buy, 999, 5), (Sell, 1010, 5)]), ["amend 1 999x5"]);
    assert!(rig.want(&[(Buy, 998, 5), (Sell, 1010, 5)]).is_empty(), "held");
    assert!(rig.want(&[(Buy, 997, 6), (Sell, 1010, 5)]).is_empty(), "the newest wish stands");
    assert_eq!(rig.amended(1, 999, 5), ["amend 1 997x6"]);
    assert!(rig.amended(1, 999, 5).is_empty(), "said twice");
    assert!(rig.amended(1, 997, 6).is_empty());
    let status = rig.status();
    assert_eq!(status.own.map(|level| level.unwrap().price.0), [997, 1010]);
    assert_eq!((status.counters.new, status.counters.amend, status.counters.cancel), (2, 2, 0));
}

#[test]
fn without_amends_a_move_is_a_cancel_and_a_new_order() {
    let mut rig = Rig::quoting(MakerConfig { amend: false, ..Rig::config() });
    assert_eq!(rig.want(&[(Buy, 999, 5), (Sell, 1010, 5)]), ["cancel 1", "new 3 buy 999x5"]);
    assert!(rig.say(Canceled, 1).is_empty());
    assert!(rig.say(Canceled, 1).is_empty());
    assert_eq!(rig.told(), ["gone 1"]);
}

#[test]
fn a_cancel_waits_for_the_ack_of_a_new_order_but_not_for_an_amends() {
    let mut rig = Rig::ready(Rig::config());
    assert_eq!(rig.want(&[(Buy, 1000, 5)]), ["new 1 buy 1000x5"]);
    assert!(rig.want(&[]).is_empty());
    assert_eq!(rig.say(Accepted, 1), ["cancel 1"]);
    rig.say(Canceled, 1);
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.want(&[(Buy, 999, 5), (Sell, 1010, 5)]), ["amend 1 999x5"]);
    assert_eq!(rig.want(&[(Sell, 1010, 5)]), ["cancel 1"]);
    assert!(rig.amended(1, 999, 5).is_empty());
    rig.say(Canceled, 1);
    assert_eq!(rig.status().live_orders, 1);
}

#[test]
fn an_amend_of_a_partly_filled_order_asks_for_the_wanted_rest() {
    let mut rig = Rig::quoting(Rig::config());
    rig.desire.lock().unwrap().quotes = vec![quote(Buy, 999, 5), quote(Sell, 1010, 5)];
    assert_eq!(rig.full_fill(1, 1, 1000, 2, 2, 5), ["amend 1 999x7"]);
    rig.amended(1, 999, 7);
    assert_eq!(rig.status().own[0], Some(Level { price: Ticks(999), qty: Lots(5) }));
    rig.desire.lock().unwrap().quotes.clear();
    rig.full_fill(1, 2, 999, 5, 7, 7);
    assert_eq!(rig.told(), ["filled 1 2", "filled 1 5 complete"]);
    assert_eq!(rig.status().position, Lots(7));
}

#[test]
fn a_refused_amend_is_asked_about_and_the_side_waits() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.want(&[(Buy, 999, 5), (Sell, 1010, 5)]), ["amend 1 999x5"]);
    rig.desire.lock().unwrap().quotes = vec![quote(Buy, 1000, 5), quote(Sell, 1010, 5)];
    assert_eq!(rig.say(AmendRejected, 1), ["query 1"]);
    let open = OrderEvent { generation: 3, price: Ticks(1000), qty: Lots(5), ..rig.order(Open, 1) };
    assert!(rig.step(&Event::Order(open)).is_empty());
    assert_eq!(rig.status().own[0].unwrap().price, Ticks(1000));
}

#[test]
fn an_interval_strategy_decides_on_whole_ticks() {
    let mut rig = Rig::with_cadence(Rig::config(), Cadence::Interval(Nanos::from_secs(1)));
    rig.link(Link::Private, LinkState::Up);
    rig.link(Link::OrderEntry, LinkState::Up);
    rig.reconciled(0, &[]);
    rig.sync_book();
    rig.now = Nanos::from_millis(2_000_400);
    rig.step(&Event::Timer);
    let before = rig.desire.lock().unwrap().decided;
    for (at, decided) in [(500, 0), (1_000, 1), (1_600, 1), (2_100, 2), (4_900, 3), (5_000, 4)] {
        rig.now = Nanos::from_millis(2_000_000 + at);
        rig.depth(&[], &[]);
        assert_eq!(rig.desire.lock().unwrap().decided - before, decided, "at {at}");
    }
}

#[test]
fn the_gate_refuses_and_says_why() {
    type Case = (&'static str, RiskLimits, (Side, i64, i64), Refusal);
    let cases: [Case; 7] = [
        ("quantity", limits(), (Buy, 1000, 51), Refusal::OrderQty),
        ("crossing", limits(), (Buy, 1010, 5), Refusal::Crossing),
        ("crossing", limits(), (Sell, 1000, 5), Refusal::Crossing),
        ("band", limits(), (Buy, 800, 5), Refusal::PriceBand),
        ("grid", limits(), (Buy, 0, 5), Refusal::PriceRange),
        ("worst case", RiskLimits { position_max: Lots(4), ..limits() }, (Buy, 1000, 5), Refusal::Position),
        ("rate", RiskLimits { messages_max: 102, ..limits() }, (Buy, 1000, 5), Refusal::MessageRate),
    ];
    for (what, limits, wanted, refusal) in cases {
        let mut rig = Rig::ready(MakerConfig::new(RUN, limits));
        assert!(rig.want(&[wanted]).is_empty(), "{what}");
        assert_eq!(rig.out.decisions.last().unwrap().refusal, Some(refusal), "{what}");
        assert!(rig.depth(&[], &[]).is_empty());
        assert!(rig.noted().is_empty(), "the same refusal is journalled once a second");
        assert_eq!(rig.maker.refusals()[refusal as usize], 2, "{what}");
    }
}

#[test]
fn the_worst_case_counts_unconfirmed_orders_and_the_larger_leg() {
    let config = MakerConfig::new(RUN, RiskLimits { position_max: Lots(12), ..limits() });
    let mut rig = Rig::ready(config);
    assert_eq!(rig.want(&[(Buy, 1000, 5), (Buy, 999, 5), (Buy, 998, 5)]), ["new 1 buy 1000x5", "new 2 buy 999x5"]);
    rig.say(Accepted, 1);
    rig.say(Accepted, 2);
    // 1 shrinks from 5 to 2: until the venue says so it counts as 5, so 3 more do not fit.
    assert_eq!(rig.want(&[(Buy, 997, 2), (Buy, 999, 5), (Buy, 996, 3)]), ["amend 1 997x2"]);
    assert_eq!(rig.amended(1, 997, 2), ["new 3 buy 996x3"]);
}

/// A rig of two instruments and what each wants.
fn two() -> (Maker, Output, [Arc<Mutex<Desire>>; 2]) {
    let desires = [Arc::new(Mutex::new(Desire::default())), Arc::new(Mutex::new(Desire::default()))];
    let setups = desires.iter().zip(["BTCUSDT", "ETHUSDT"]).map(|(desire, symbol)| InstrumentSetup {
        instrument: Instrument { notional_min: Money::ZERO, ..Instrument::synthetic(symbol, "0.10", "0.001") },
        strategy: Box::new(Wanting(desire.clone())),
        cadence: Cadence::EveryEvent,
        source: None,
    });
    (Maker::new(Rig::config(), setups.collect()), Output::default(), desires)
}

#[test]
fn instruments_are_apart_but_share_ids_links_and_the_kill() {
    let (mut maker, mut out, desires) = two();
    let now = Nanos::from_secs(1);
    let mut step = |event: Event<'_>| {
        maker.step(now, &event, &mut out);
        out.commands.iter().map(|c| (c.kind, c.instrument.0, c.client_id.seq)).collect::<Vec<_>>()
    };
    for link in [Link::Private, Link::OrderEntry] {
        step(Event::Link { instrument: ID, link, state: LinkState::Up });
    }
    step(Event::Account(AccountEvent::ReconcileBegin));
    step(Event::Account(AccountEvent::ReconcileEnd));
    let level = |price| [Level { price: Ticks(price), qty: Lots(5) }];
    for id in [0, 1] {
        let (instrument, venue_time) = (InstrumentId(id), now);
        step(Event::Link { instrument, link: Link::Market, state: LinkState::Up });
        let (first, last, prev) = (Seq(1), Seq(1), Seq(0));
        let diff = DepthUpdate { instrument, first, last, prev, venue_time, bids: &[], asks: &[] };
        assert_eq!(step(Event::Depth(diff)), [(CommandKind::Snapshot, id, 0)]);
        desires[usize::from(id)].lock().unwrap().quotes = vec![quote(Buy, 1000, 5)];
        let (bids, asks) = (level(1000), level(1010));
        let snapshot = DepthSnapshot { instrument, last, venue_time, bids: &bids, asks: &asks };
        assert_eq!(step(Event::Snapshot(snapshot)), [(CommandKind::New, id, u32::from(id) + 1)]);
    }
    let accepted = |id: u16| OrderEvent {
        kind: Accepted,
        source: OrderSource::Response,
        side: Buy,
        position_side: PositionSide::Net,
        tif: TimeInForce::PostOnly,
        reduce_only: false,
        instrument: InstrumentId(id),
        generation: 1,
        code: 0,
        client_id: ClientId { run: RUN, seq: u32::from(id) + 1 },
        venue_id: 1,
        price: Ticks(1000),
        qty: Lots(5),
        filled: Lots(0),
        fill: Fill::default(),
        venue_time: now,
    };
    for id in [0, 1] {
        assert_eq!(step(Event::Order(accepted(id))), []);
    }
    let lost = |id| Event::Link { instrument: InstrumentId(id), link: Link::Market, state: LinkState::Down };
    assert_eq!(step(lost(1)), [(CommandKind::Cancel, 1, 2)], "the other one quotes on");
    assert_eq!(step(Event::Kill), [(CommandKind::Cancel, 0, 1)]);
}

#[test]
fn a_hedge_leg_is_limited_by_itself_and_closing_adds_nothing() {
    let config = MakerConfig::new(RUN, RiskLimits { position_max: Lots(10), ..limits() });
    let mut rig = Rig::ready(config);
    let leg = |side, position_side, price, qty| Quote { position_side, ..quote(side, price, qty) };
    rig.desire.lock().unwrap().quotes = vec![
        leg(Buy, PositionSide::Long, 1000, 10),
        leg(Sell, PositionSide::Short, 1010, 10),
        leg(Buy, PositionSide::Long, 999, 1),
        leg(Sell, PositionSide::Long, 1012, 10),
        leg(Buy, PositionSide::Short, 998, 10),
    ];
    let commands = ["new 1 buy 1000x10", "new 2 sell 1010x10", "new 3 sell 1012x10", "new 4 buy 998x10"];
    assert_eq!(rig.depth(&[], &[]), commands);
    rig.desire.lock().unwrap().quotes.clear();
    for (seq, position_side, trade_id) in [(1, PositionSide::Long, 1), (2, PositionSide::Short, 2)] {
        let price = Ticks(if seq == 1 { 1000 } else { 1010 });
        let fill = Fill { trade_id, price, qty: Lots(10), ..Fill::default() };
        let event = OrderEvent { position_side, fill, ..rig.order(OrderEventKind::Fill, seq) };
        rig.step(&Event::Order(event));
    }
    let status = rig.status();
    assert_eq!((status.position, status.legs), (Lots(0), [Lots(10), Lots(-10)]));
}

#[test]
fn an_execution_that_names_no_position_side_belongs_to_its_orders() {
    let mut rig = Rig::ready(Rig::config());
    let leg = |side, position_side, price| Quote { position_side, ..quote(side, price, 5) };
    rig.desire.lock().unwrap().quotes = vec![leg(Buy, PositionSide::Long, 1000), leg(Sell, PositionSide::Short, 1010)];
    rig.depth(&[], &[]);
    rig.desire.lock().unwrap().quotes.clear();
    rig.lite_fill(1, 1, 1000, 5);
    rig.lite_fill(2, 2, 1010, 2);
    let status = rig.status();
    assert_eq!((status.position, status.legs), (Lots(3), [Lots(5), Lots(-2)]));
}

#[test]
fn a_strategy_reads_another_market_only_while_it_can_be_trusted() {
    let (maker, ..) = two();
    assert_eq!(maker.desks[1].as_source(Nanos(0), Nanos(1)), External::default());
    let rig = Rig::ready(Rig::config());
    let desk = &rig.maker.desks[0];
    let seen = desk.as_source(rig.now, Nanos::from_secs(3));
    assert_eq!((seen.bid, seen.ask), (Some(Price::parse(b"100").unwrap()), Some(Price::parse(b"101").unwrap())));
    assert_eq!(desk.as_source(rig.now + Nanos::from_secs(4), Nanos::from_secs(3)), External::default());
}
