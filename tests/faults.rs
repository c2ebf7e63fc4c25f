//! Every fault that the pretend venue can commit, struck during a run: quotes go where they must, the run recovers, and both sides
//! agree at the end. One test a fault; times in the scripts count from the start of the venue, a moment before the engine's.

#[path = "support/session.rs"]
mod session;

use session::{Finished, Plan, Session, lively, synthetic};
use spinquote::event::Side;
use spinquote::sim::order::Order;
use spinquote::unit::{Lots, Nanos, Ticks};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn start(faults: &'static str) -> Session {
    start_with(faults, |plan| plan)
}

fn start_with(faults: &'static str, change: fn(Plan) -> Plan) -> Session {
    let plan = Plan {
        faults,
        engine: |settings| settings.orders.ack_timeout = Nanos::from_millis(500),
        ..Plan::on(lively(5))
    };
    let session = Session::start(change(plan));
    session.until("quotes on both sides", 4 * SECOND, Session::quotes);
    session
}

fn ids(orders: &[Order]) -> Vec<u64> {
    orders.iter().map(|order| order.id).collect()
}

/// Waits until none of `old` is open at the venue any more.
#[track_caller]
fn withdrawn(session: &Session, old: &[u64], within: Duration) {
    assert!(!old.is_empty(), "nothing was open before the fault; {}", session.describe());
    session.until("the quotes of before are withdrawn", within, |session| {
        session.venue_orders().iter().all(|order| !old.contains(&order.id))
    });
}

/// Trades again: nothing stands in the way, and an order rests at the venue (with a position only its exit is
/// quoted, so both sides cannot be demanded).
#[track_caller]
fn recovered(session: &Session, within: Duration) {
    session.until("nothing stands in the way of quoting", within, |session| {
        session.of("in_sync") == 1 && session.count("engine.paused") == 0
    });
    session.until("an order rests at the venue", 4 * SECOND, |session| {
        session.count("engine.paused") == 0 && session.of("orders_live") > 0 && !session.venue_orders().is_empty()
    });
}

/// Orders that rest just before `at` after the engine's start; the fault strikes a moment later.
fn just_before(session: &Session, at: Duration) -> Vec<u64> {
    let mut last = Vec::new();
    while session.started.elapsed() < at {
        let open = ids(&session.venue_orders());
        if !open.is_empty() {
            last = open;
        }
        std::thread::sleep(ms(5));
    }
    last
}

#[track_caller]
fn whole(session: Session) -> Finished {
    let end = session.stop();
    end.is_whole();
    end
}

#[test]
fn a_gap_in_the_feed_withdraws_the_quotes_and_the_book_comes_back() {
    let session = start("at=3s gap");
    let old = just_before(&session, ms(2900));
    session.until("the gap is seen", 2 * SECOND, |session| session.of("book.gaps") > 0);
    withdrawn(&session, &old, SECOND);
    recovered(&session, 2 * SECOND);
    assert_eq!(session.of("book.gaps"), 1);
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 1 && end.status.counters.resyncs >= 1, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_silent_feed_withdraws_the_quotes_until_it_speaks() {
    let session = start_with("at=3s for=3s silence", |plan| Plan {
        engine: |settings| settings.risk.stale_after = Nanos::from_millis(800),
        ..plan
    });
    session.run_until(ms(2900));
    session.until("nothing rests on stale data", 2 * SECOND, |session| {
        session.count("engine.paused") == 1 && session.venue_orders().is_empty()
    });
    assert!(session.started.elapsed() < ms(5000), "withdrawn too late: {}", session.describe());
    while session.started.elapsed() < ms(5500) {
        assert!(session.venue_orders().is_empty(), "quoted on stale data: {}", session.describe());
        std::thread::sleep(ms(10));
    }
    assert_eq!(session.count("engine.paused"), 1);
    recovered(&session, 4 * SECOND);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn a_lost_private_stream_withdraws_the_quotes_and_the_account_is_asked() {
    let session = start("at=3s private-loss");
    let old = just_before(&session, ms(2900));
    withdrawn(&session, &old, 2 * SECOND);
    recovered(&session, 3 * SECOND);
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 1, "{}", end.describe);
}

#[test]
fn a_connection_that_dies_before_an_answer_leaves_an_order_to_ask_for() {
    let session = start("at=3s disconnect-pending");
    session.until("an outcome is unknown", 12 * SECOND, |session| session.count("sender.unknown_outcomes") > 0);
    recovered(&session, 4 * SECOND);
    // The private stream may have told of the order before its connection was lost; if not, it was asked for.
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 1, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn all_connections_at_once_come_back() {
    let session = start("at=3s disconnect; at=6s disconnect");
    let old = just_before(&session, ms(2900));
    withdrawn(&session, &old, 2 * SECOND);
    recovered(&session, 4 * SECOND);
    session.run_until(ms(6500));
    recovered(&session, 4 * SECOND);
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 2, "{}", end.describe);
}

#[test]
fn an_orderly_close_of_the_feed_is_repaired() {
    let session = start("at=3s close");
    let old = just_before(&session, ms(2900));
    withdrawn(&session, &old, 2 * SECOND);
    recovered(&session, 3 * SECOND);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn a_fill_that_comes_twice_counts_once() {
    let session = start("at=0s for=1h duplicate-fills");
    session.until("fills on both sides", 15 * SECOND, |session| {
        session.of("fills.buy") > 1 && session.of("fills.sell") > 1
    });
    let end = whole(session);
    assert!(end.status.counters.fills_repeated > 0, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn events_out_of_order_end_in_the_same_state() {
    let session = start("at=0s for=1h reorder");
    session.until("fills on both sides", 15 * SECOND, |session| {
        session.of("fills.buy") > 1 && session.of("fills.sell") > 1
    });
    recovered(&session, 3 * SECOND);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn refused_quotes_are_placed_again() {
    let session = start("at=3s count=4 post-only-reject; at=4s count=4 reject");
    session.until("eight refusals", 12 * SECOND, |session| session.server.counts().faults >= 8);
    recovered(&session, 4 * SECOND);
    let end = whole(session);
    assert!(end.status.counters.rejected >= 8, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_rate_limit_stops_everything_for_its_time() {
    let session = start("at=3s count=2 429");
    session.until("the limit is heard", 12 * SECOND, |session| session.count("sender.rate_limited") > 0);
    std::thread::sleep(ms(100));
    let sent = |session: &Session| {
        session.count("sender.orders_new")
            + session.count("sender.orders_amend")
            + session.count("sender.orders_cancel")
    };
    let before = sent(&session);
    std::thread::sleep(SECOND);
    assert_eq!(sent(&session), before, "sent during the back-off: {}", session.describe());
    // Five seconds, as the venue's answer said.
    session.until("sends again", 12 * SECOND, |session| sent(session) > before);
    recovered(&session, 4 * SECOND);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn a_ban_stops_everything_and_the_end_is_still_orderly() {
    let session = start("at=3s 418");
    session.until("the ban is heard", 12 * SECOND, |session| session.count("sender.rate_limited") > 0);
    std::thread::sleep(ms(100));
    let sent = session.count("sender.orders_new") + session.count("sender.orders_amend");
    std::thread::sleep(2 * SECOND);
    assert_eq!(
        session.count("sender.orders_new") + session.count("sender.orders_amend"),
        sent,
        "{}",
        session.describe()
    );
    let end = session.stop();
    assert!(end.counts.faults > 0);
    assert_eq!(end.ended.open_orders, Some(0), "{}", end.describe);
    assert_eq!(end.open, [], "{}", end.describe);
    assert_eq!(end.status.position, end.position);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}

#[test]
fn an_unknown_outcome_is_asked_for_and_never_guessed() {
    let session = start("at=3s count=6 unknown");
    session.until("outcomes are unknown", 12 * SECOND, |session| session.count("sender.unknown_outcomes") > 0);
    session.until("they are asked for", 12 * SECOND, |session| session.count("sender.queries") > 0);
    recovered(&session, 5 * SECOND);
    let end = whole(session);
    assert!(end.status.counters.unknown >= 1 && end.status.counters.query >= 1, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_venue_whose_clock_jumps_is_followed() {
    let session = start("at=3s for=3s clock-skew=9s");
    session.until("the clocks are compared", 12 * SECOND, |session| {
        session.count("housekeeper.clock_offset") > 8_000_000_000
    });
    session.run_until(ms(6200));
    session.until("and again", 6 * SECOND, |session| session.count("housekeeper.clock_offset").abs() < 1_000_000_000);
    recovered(&session, 5 * SECOND);
    whole(session);
}

#[test]
fn partial_fills_add_up() {
    let session = start("at=1s every=400ms partial-fill");
    session.run_until(ms(7000));
    assert!(session.fills() > 5, "{}", session.describe());
    let end = whole(session);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_slow_way_to_the_venue_costs_time_only() {
    let session = start("at=4s delay=250ms");
    session.until("an answer was delayed", 12 * SECOND, |session| session.stage_max("order_round_trip") >= 250_000_000);
    session.run_until(ms(6500));
    recovered(&session, 4 * SECOND);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn orders_of_others_on_the_account_are_never_touched() {
    let market = synthetic(6);
    let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
    let session = Session::start(Plan {
        faults: "at=3s gap; at=4s private-loss; at=5s count=2 unknown; at=6s disconnect; at=7s disconnect-pending",
        engine: |settings| settings.orders.ack_timeout = Nanos::from_millis(500),
        before: Some(Box::new(move |venue| {
            venue.place("other-", 1, Side::Buy, Ticks(bid.0 - 20_000), Lots(7));
            // A prefix of ours that is longer is still somebody else's.
            venue.place("sq-other", 2, Side::Sell, Ticks(bid.0 + 20_000), Lots(9));
        })),
        ..Plan::on(market)
    });
    session.until("quotes on both sides", 4 * SECOND, Session::quotes);
    let foreign =
        |orders: &[Order]| orders.iter().filter(|order| order.client_id.contains("other")).copied().collect::<Vec<_>>();
    let before = foreign(&session.venue_orders());
    assert_eq!(before.len(), 2);
    session.run_until(ms(8000));
    recovered(&session, 4 * SECOND);
    // The kill flag cancels what is ours, from the I/O side.
    session.kill();
    session.until("ours are cancelled", 3 * SECOND, |session| session.venue_orders().len() == 2);
    assert_eq!(foreign(&session.venue_orders()), before);
    let end = session.stop();
    assert_eq!(end.foreign, before, "{}", end.describe);
    assert_eq!(end.open, [], "{}", end.describe);
    assert_eq!(end.ended.open_orders, Some(0));
    assert_eq!(end.status.position, end.position);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}
