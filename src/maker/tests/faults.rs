//! The world's faults, each as a script.

use super::*;
use OrderEventKind::{Accepted, CancelRejected, Canceled, Closed, Expired, NotFound, NotSent, Open, Rejected, Unknown};
use Side::{Buy, Sell};

const BOTH: [(Side, i64, i64); 2] = [(Side::Buy, 1000, 5), (Side::Sell, 1010, 5)];

#[test]
fn a_feed_gap_withdraws_asks_for_a_snapshot_and_comes_back() {
    let mut rig = Rig::quoting(Rig::config());
    rig.skip();
    assert_eq!(rig.depth(&[], &[]), ["cancel 1", "cancel 2", "snapshot"]);
    assert!(rig.depth(&[], &[]).is_empty(), "one snapshot per gap");
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    assert_eq!(rig.pass_ms(5_000), ["snapshot"], "no answer: asked again");
    assert_eq!(rig.snapshot(), ["new 3 buy 1000x5", "new 4 sell 1010x5"]);
    assert_eq!((rig.status().counters.gaps, rig.status().counters.resyncs), (1, 1));
}

#[test]
fn silence_and_a_lost_market_link_withdraw() {
    let mut rig = Rig::quoting(Rig::config());
    assert!(rig.pass_ms(3_000).is_empty());
    assert_eq!(rig.pass_ms(1), ["cancel 1", "cancel 2"]);
    assert!(rig.status().blocks.any(Blocks::STALE));
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.link(Link::Market, LinkState::Stale), ["cancel 1", "cancel 2"]);
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.link(Link::Market, LinkState::Down), ["cancel 1", "cancel 2"]);
}

#[test]
fn a_jump_of_the_venues_clock_withdraws_until_the_difference_is_known() {
    let (skew_max, data_age_max) = (Nanos::from_millis(500), Nanos::from_millis(5_500));
    let limits = RiskLimits { skew_max, data_age_max, ..limits() };
    let config = MakerConfig { limits, ..Rig::config() };
    let clock = |rig: &mut Rig, seconds| {
        rig.step(&Event::Account(AccountEvent::VenueClock { offset: Nanos::from_secs(seconds) }))
    };
    let mut rig = Rig::quoting(config);
    for lead in [skew_max, -data_age_max] {
        rig.lead = lead;
        assert!(rig.depth(&[], &[]).is_empty(), "{lead:?} is within the limits");
    }
    rig.lead = Nanos::from_secs(9);
    assert_eq!(rig.depth(&[], &[]), ["cancel 1", "cancel 2", "sync time"]);
    assert_eq!(rig.status().blocks, Blocks(Blocks::CLOCK));
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    assert!(rig.pass_ms(999).is_empty(), "asked once a second");
    assert_eq!(rig.pass_ms(1), ["sync time"]);
    assert!(rig.depth(&[], &[]).is_empty(), "nothing is quoted meanwhile");
    assert!(clock(&mut rig, 9).is_empty());
    assert!(rig.status().blocks.is_empty());
    assert_eq!(rig.depth(&[], &[]), ["new 3 buy 1000x5", "new 4 sell 1010x5"]);
    // Back again: by the known difference the data are nine seconds old now.
    rig.pass_ms(1_000);
    rig.lead = Nanos::ZERO;
    assert_eq!(rig.depth(&[], &[]), ["sync time"], "orders under way are cancelled once they are known");
    assert_eq!(rig.say(Accepted, 3), ["cancel 3"]);
    assert_eq!(rig.say(Accepted, 4), ["cancel 4"]);
    rig.say(Canceled, 3);
    rig.say(Canceled, 4);
    assert!(clock(&mut rig, 0).is_empty());
    assert_eq!(rig.depth(&[], &[]), ["new 5 buy 1000x5", "new 6 sell 1010x5"]);
}

#[test]
fn a_crossed_or_empty_book_withdraws() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.depth(&[(1015, 1)], &[]), ["cancel 1", "cancel 2"]);
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.depth(&[], &[(1010, 0), (1020, 0)]), ["cancel 1", "cancel 2"]);
}

#[test]
fn a_lost_private_stream_withdraws_and_reconciles_when_it_is_back() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.link(Link::Private, LinkState::Down), ["cancel 1", "cancel 2"]);
    rig.desire.lock().unwrap().quotes.clear();
    rig.now += Nanos(1);
    assert_eq!(rig.link(Link::Private, LinkState::Up), ["reconcile"]);
    // 1 was cancelled, 2 was filled while nobody listened: neither is open, the position says so.
    assert_eq!(rig.reconciled(-5, &[]), ["query 1", "query 2"]);
    assert_eq!(rig.status().position, Lots(-5));
    let closed = |rig: &Rig, seq, filled| OrderEvent { filled: Lots(filled), qty: Lots(5), ..rig.order(Closed, seq) };
    let event = closed(&rig, 1, 0);
    rig.step(&Event::Order(event));
    let event = closed(&rig, 2, 5);
    rig.step(&Event::Order(event));
    assert!(rig.maker.is_quiet());
    // The execution is not told any more; after a while the venue is asked once more and agrees.
    assert!(rig.status().blocks.is_empty());
    assert_eq!(rig.pass_ms(2_000), ["reconcile"]);
    rig.reconciled(-5, &[]);
    assert_eq!((rig.status().position, rig.status().counters.corrections), (Lots(-5), 1));
    assert_eq!(rig.told(), ["gone 1", "gone 2"]);
}

#[test]
fn without_order_entry_cancels_go_another_way_and_nothing_else_does() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.want(&[(Buy, 999, 5), (Sell, 1010, 5)]), ["amend 1 999x5"]);
    // The amended one counts as the newer.
    assert_eq!(rig.link(Link::OrderEntry, LinkState::Down), ["cancel 2", "cancel 1"], "not when it is repaired");
    // The other way fails too: tried again, but in no hurry.
    assert!(rig.say(NotSent, 2).is_empty());
    assert!(rig.pass_ms(499).is_empty());
    assert_eq!(rig.pass_ms(1), ["cancel 2"]);
    assert_eq!(rig.say(CancelRejected, 1), ["query 1"]);
    assert_eq!(rig.link(Link::OrderEntry, LinkState::Up), ["reconcile"]);
    let mut rig = Rig::ready(Rig::config());
    rig.want(&BOTH[..1]);
    assert!(rig.link(Link::OrderEntry, LinkState::Down).is_empty());
    assert_eq!(rig.say(Unknown, 1), ["query 1"]);
    let open = OrderEvent { price: Ticks(1000), qty: Lots(5), ..rig.order(Open, 1) };
    assert_eq!(rig.step(&Event::Order(open)), ["cancel 1"]);
}

#[test]
fn a_disconnect_during_a_pending_order_asks_and_never_sends_again() {
    let mut rig = Rig::ready(Rig::config());
    assert_eq!(rig.want(&BOTH[..1]), ["new 1 buy 1000x5"]);
    assert_eq!(rig.say(Unknown, 1), ["query 1"]);
    // Too early to be believed, and a new order must be missed twice.
    assert!(rig.say(NotFound, 1).is_empty());
    assert!(rig.pass_ms(999).is_empty());
    assert_eq!(rig.pass_ms(1), ["query 1"]);
    rig.desire.lock().unwrap().quotes.clear();
    assert!(rig.say(NotFound, 1).is_empty());
    assert_eq!((rig.told(), rig.maker.is_quiet()), (vec!["gone 1".to_owned()], true));
    // It was there after all.
    assert_eq!(rig.say(Accepted, 1), ["cancel 1"]);
    rig.say(Canceled, 1);
    assert_eq!(rig.told(), ["gone 1"]);
}

#[test]
fn an_unknown_order_that_is_open_or_closed_is_settled_by_the_answer() {
    let mut rig = Rig::ready(Rig::config());
    rig.want(&BOTH[..1]);
    assert_eq!(rig.say(Unknown, 1), ["query 1"]);
    let open = OrderEvent { price: Ticks(1000), qty: Lots(5), ..rig.order(Open, 1) };
    assert!(rig.step(&Event::Order(open)).is_empty());
    assert_eq!(rig.status().own[0].unwrap().price, Ticks(1000));
    assert_eq!(rig.want(&[]), ["cancel 1"]);
    assert_eq!(rig.say(CancelRejected, 1), ["query 1"]);
    let closed = OrderEvent { filled: Lots(3), qty: Lots(5), ..rig.order(Closed, 1) };
    assert!(rig.step(&Event::Order(closed)).is_empty());
    assert!(rig.maker.is_quiet());
    // Three executed lots are not told of: after a while this is reconciled.
    assert!(rig.pass_ms(1_999).is_empty());
    assert_eq!(rig.pass_ms(1), ["reconcile"]);
    rig.reconciled(3, &[]);
    assert_eq!(rig.status().position, Lots(3));
}

#[test]
fn a_request_without_an_answer_is_asked_about() {
    let mut rig = Rig::ready(Rig::config());
    rig.want(&BOTH[..1]);
    rig.desire.lock().unwrap().quotes.clear();
    assert!(rig.pass_ms(2_999).is_empty());
    assert_eq!(rig.pass_ms(1), ["query 1"]);
    assert_eq!(rig.pass_ms(3_000), ["query 1"], "the query itself was lost");
}

#[test]
fn fills_in_any_order_and_number_count_once() {
    let scripts: [&[&str]; 4] = [
        &["lite", "otu", "lite", "otu"],
        &["otu", "lite", "ack"],
        &["ack", "lite", "lite", "otu"],
        &["lite", "ack", "otu", "otu"],
    ];
    for script in scripts {
        let mut rig = Rig::ready(Rig::config());
        rig.want(&BOTH[..1]);
        rig.desire.lock().unwrap().quotes.clear();
        for word in script {
            match *word {
                "lite" => rig.lite_fill(1, 77, 1000, 5),
                "otu" => rig.full_fill(1, 77, 1000, 5, 5, 5),
                _ => rig.say(Accepted, 1),
            };
        }
        let status = rig.status();
        assert_eq!((status.position, status.live_orders), (Lots(5), 0), "{script:?}");
        assert_eq!(status.pnl.fees, Money::parse(b"0.01").unwrap(), "{script:?}");
        assert_eq!(rig.told(), ["filled 1 5 complete"], "{script:?}");
    }
}

#[test]
fn reordered_fills_add_up_and_complete_once() {
    let mut rig = Rig::quoting(Rig::config());
    rig.desire.lock().unwrap().quotes.clear();
    rig.full_fill(1, 2, 1000, 3, 5, 5);
    assert_eq!(rig.status().counters.fills_buy, 1);
    rig.full_fill(1, 1, 1000, 2, 2, 5);
    assert_eq!((rig.status().position, rig.status().counters.fills_buy), (Lots(5), 2));
    assert_eq!(rig.told(), ["filled 1 3", "filled 1 2 complete"]);
}

#[test]
fn a_refused_post_only_order_is_no_storm() {
    for (kind, told) in [(Rejected, "gone 1 rejected"), (Expired, "gone 1")] {
        let mut rig = Rig::ready(Rig::config());
        rig.want(&BOTH[..1]);
        assert!(rig.say(kind, 1).is_empty());
        assert_eq!(rig.told(), [told]);
        assert!(rig.depth(&[], &[]).is_empty());
        rig.now += Nanos::from_millis(50);
        assert_eq!(rig.depth(&[], &[]), ["new 2 buy 1000x5"]);
        assert!(rig.say(kind, 2).is_empty());
        rig.now += Nanos::from_millis(99);
        assert!(rig.depth(&[], &[]).is_empty(), "twice as long");
        rig.now += Nanos::from_millis(1);
        assert_eq!(rig.depth(&[], &[]), ["new 3 buy 1000x5"]);
        rig.say(Accepted, 3);
        assert_eq!(rig.maker.refusals()[Refusal::BackOff as usize], 4);
    }
}

#[test]
fn a_refused_level_holds_no_other_level() {
    for (refused, other) in [(0, 16), (79, 95), (255, 239)] {
        let mut rig = Rig::ready(Rig::config());
        rig.desire.lock().unwrap().quotes = vec![Quote { level: refused, ..quote(Buy, 1000, 5) }];
        rig.depth(&[], &[]);
        assert!(rig.say(Rejected, 1).is_empty());
        rig.desire.lock().unwrap().quotes.push(Quote { level: other, ..quote(Buy, 999, 5) });
        assert_eq!(rig.depth(&[], &[]), ["new 2 buy 999x5"], "{refused} waits alone");
        assert_eq!(rig.maker.refusals()[Refusal::BackOff as usize], 2);
    }
}

#[test]
fn what_was_not_sent_is_wished_again_later() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.want(&[(Sell, 1010, 5)]), ["cancel 1"]);
    assert!(rig.say(NotSent, 1).is_empty());
    assert!(rig.pass_ms(49).is_empty());
    assert_eq!(rig.pass_ms(1), ["cancel 1"]);
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.want(&[(Buy, 999, 5), (Sell, 1010, 5)]), ["amend 1 999x5"]);
    rig.desire.lock().unwrap().quotes = vec![quote(Buy, 1000, 5), quote(Sell, 1010, 5)];
    assert!(rig.say(NotSent, 1).is_empty(), "nothing happened: the order is as it was");
    assert_eq!(rig.status().own[0].unwrap().price, Ticks(1000));
}

#[test]
fn a_position_that_keeps_differing_is_reconciled_and_the_venue_wins() {
    let mut rig = Rig::quoting(Rig::config());
    rig.position(4, false);
    rig.depth(&[], &[]);
    assert!(rig.pass_ms(1_999).is_empty());
    assert_eq!(rig.pass_ms(1), ["cancel 1", "cancel 2", "reconcile"]);
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    rig.step(&Event::Account(AccountEvent::ReconcileBegin));
    rig.position(4, true);
    assert!(rig.noted().contains(&DecisionKind::Corrected));
    rig.step(&Event::Account(AccountEvent::ReconcileEnd));
    assert_eq!((rig.status().position, rig.status().counters.corrections), (Lots(4), 1));
    assert!(rig.status().blocks.is_empty());
}

#[test]
fn a_snapshot_that_may_or_may_not_have_an_execution_is_asked_for_again() {
    let mut rig = Rig::quoting(Rig::config());
    rig.position(4, false);
    assert_eq!(rig.pass_ms(2_000), ["cancel 1", "cancel 2", "reconcile"]);
    rig.say(Canceled, 2);
    // Bought 2 while it is asked: neither 7 nor 7 + 2 is what we hold.
    rig.now += Nanos::from_millis(1);
    rig.full_fill(1, 1, 1000, 2, 2, 5);
    rig.say(Canceled, 1);
    assert_eq!(rig.reconciled(7, &[]), ["reconcile"]);
    assert_eq!((rig.status().position, rig.status().counters.corrections), (Lots(2), 0));
    assert!(rig.depth(&[], &[]).is_empty(), "nothing is quoted meanwhile");
    rig.now += Nanos::from_millis(1);
    rig.reconciled(7, &[]);
    assert_eq!((rig.status().position, rig.status().counters.corrections), (Lots(7), 1));
    assert!(rig.status().blocks.is_empty());
}

#[test]
fn a_refused_close_asks_whether_there_is_anything_to_close_and_does_so_in_moderation() {
    for (tif, asks) in [(TimeInForce::Gtc, true), (TimeInForce::PostOnly, false)] {
        let mut rig = Rig::ready(Rig::config());
        rig.now += Nanos::from_secs(2);
        rig.desire.lock().unwrap().quotes = vec![Quote { tif, reduce_only: true, ..quote(Buy, 1000, 5) }];
        rig.maker.desks[0].holdings.fill(Sell, PositionSide::Net, Ticks(1000), Lots(5), Nanos(0), rig.now);
        assert_eq!(rig.depth(&[], &[]), ["new 1 buy 1000x5"]);
        assert_eq!(
            rig.say(Rejected, 1).contains(&"reconcile".to_owned()),
            asks,
            "a post-only order may not have found room to rest"
        );
        if asks {
            rig.now += Nanos::from_millis(100);
            rig.reconciled(-5, &[]);
            assert_eq!(rig.depth(&[], &[]), ["new 2 buy 1000x5"]);
            assert!(rig.say(Rejected, 2).is_empty(), "the answer was that there is");
            rig.desire.lock().unwrap().quotes.clear();
        }
    }
}

#[test]
fn a_failed_or_silent_reconciliation_is_asked_for_again() {
    let mut rig = Rig::new(Rig::config());
    rig.link(Link::Private, LinkState::Up);
    assert_eq!(rig.link(Link::OrderEntry, LinkState::Up), ["reconcile"]);
    assert!(rig.step(&Event::Account(AccountEvent::ReconcileFailed)).is_empty());
    assert!(rig.pass_ms(4_999).is_empty());
    assert_eq!(rig.pass_ms(1), ["reconcile"]);
    assert_eq!(rig.pass_ms(5_000), ["reconcile"]);
}

#[test]
fn leftovers_are_cancelled_or_adopted_and_foreign_orders_left_alone() {
    for (leftovers, commands, live) in [(Leftovers::Cancel, vec!["cancel 9"], 1), (Leftovers::Adopt, vec![], 1)] {
        let mut rig = Rig::new(MakerConfig { leftovers, ..Rig::config() });
        rig.link(Link::Private, LinkState::Up);
        rig.link(Link::OrderEntry, LinkState::Up);
        let open = OrderEvent { price: Ticks(990), qty: Lots(5), ..rig.order(Open, 9) };
        let theirs = OrderEvent { client_id: ClientId::default(), venue_id: 5, ..open };
        let old = OrderEvent { client_id: ClientId { run: 3, seq: 9 }, filled: Lots(1), ..open };
        assert_eq!(rig.reconciled(1, &[theirs, old]), commands);
        let status = rig.status();
        assert_eq!((status.counters.foreign, status.counters.leftovers, status.live_orders), (1, 1, live));
        assert_eq!((status.position, status.counters.corrections), (Lots(1), 1));
    }
}

#[test]
fn a_trade_with_ourselves_is_two_executions() {
    let mut rig = Rig::quoting(Rig::config());
    rig.desire.lock().unwrap().quotes.clear();
    for _ in 0..2 {
        rig.full_fill(1, 77, 1000, 5, 5, 5);
        rig.full_fill(2, 77, 1010, 5, 5, 5);
    }
    let status = rig.status();
    assert_eq!((status.position, status.counters.fills_buy, status.counters.fills_sell), (Lots(0), 1, 1));
}

#[test]
fn an_execution_from_before_an_order_was_adopted_is_not_taken_off_its_rest_again() {
    let mut rig = Rig::new(MakerConfig { leftovers: Leftovers::Adopt, ..Rig::config() });
    rig.link(Link::Private, LinkState::Up);
    rig.link(Link::OrderEntry, LinkState::Up);
    let old = ClientId { run: 3, seq: 9 };
    let open = OrderEvent {
        client_id: old,
        price: Ticks(990),
        qty: Lots(10),
        filled: Lots(4),
        venue_time: Nanos::from_millis(50),
        ..rig.order(Open, 9)
    };
    rig.reconciled(4, &[open]);
    let rest = |rig: &Rig| rig.maker.orders(ID).map(|order| order.rest.0).collect::<Vec<_>>();
    assert_eq!(rest(&rig), [6]);
    let fill = |rig: &mut Rig, trade_id, qty, filled| {
        let fill = Fill { trade_id, price: Ticks(990), qty: Lots(qty), fee: Money(1), fee_known: true, maker: true };
        let event = OrderEvent { kind: OrderEventKind::Fill, fill, filled: Lots(filled), ..open };
        rig.step(&Event::Order(event));
    };
    fill(&mut rig, 1, 4, 4);
    assert_eq!(rest(&rig), [6], "the list had it");
    fill(&mut rig, 2, 1, 5);
    assert_eq!(rest(&rig), [5]);
    fill(&mut rig, 3, 5, 10);
    assert!(rig.maker.is_quiet());
}

#[test]
fn a_sign_of_life_of_an_order_that_no_slot_holds_is_looked_into() {
    let mut rig = Rig::quoting(Rig::config());
    for kind in [Canceled, Expired, Rejected] {
        assert!(rig.say(kind, 99).is_empty(), "{kind:?} leaves nothing at the venue");
    }
    assert_eq!(rig.say(Accepted, 99), ["cancel 1", "cancel 2", "reconcile"]);
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    rig.desire.lock().unwrap().quotes.clear();
    let open = OrderEvent { price: Ticks(995), qty: Lots(5), ..rig.order(Open, 99) };
    assert_eq!(rig.reconciled(0, &[open]), ["cancel 99"]);
}

#[test]
fn an_order_that_was_thought_done_and_is_listed_later_goes() {
    let mut rig = Rig::quoting(Rig::config());
    rig.desire.lock().unwrap().quotes.clear();
    // By our count it is complete; an amend that was given up had made it larger.
    rig.lite_fill(1, 1, 1000, 5);
    rig.want(&[]);
    rig.say(Canceled, 2);
    assert!(rig.maker.is_quiet());
    rig.now += Nanos(1);
    rig.link(Link::Private, LinkState::Down);
    assert_eq!(rig.link(Link::Private, LinkState::Up), ["reconcile"]);
    let venue_time = rig.now;
    let open = OrderEvent { price: Ticks(1000), qty: Lots(9), filled: Lots(5), venue_time, ..rig.order(Open, 1) };
    assert_eq!(rig.reconciled(5, &[open]), ["cancel 1"]);
    assert_eq!(rig.maker.orders(ID).map(|order| order.rest.0).collect::<Vec<_>>(), [4]);
}

#[test]
fn an_execution_without_an_order_waits_for_the_report_that_names_its_position() {
    let mut rig = Rig::ready(Rig::config());
    let fill = Fill { trade_id: 5, price: Ticks(1000), qty: Lots(2), ..Fill::default() };
    let lite = OrderEvent { fill, qty: Lots(2), ..rig.order(OrderEventKind::Fill, 99) };
    rig.step(&Event::Order(lite));
    let whole = OrderEvent { position_side: PositionSide::Long, filled: Lots(2), ..lite };
    rig.step(&Event::Order(whole));
    assert_eq!((rig.status().position, rig.status().legs), (Lots(2), [Lots(2), Lots(0)]));
}
