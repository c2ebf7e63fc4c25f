//! Every fault that the pretend venue can commit, struck during a run: quotes go where they must, the run recovers, and both sides
//! agree at the end. One test a fault, struck once the engine quotes; what follows is waited for, however slow the host is.

#[path = "support/session.rs"]
mod session;

use session::{Finished, PATIENCE, Plan, Session, lively, synthetic};
use spinquote::event::Side;
use spinquote::sim::order::Order;
use spinquote::unit::{Lots, Nanos, Ticks};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A run that quotes both sides.
fn start() -> Session {
    start_with(|plan| plan)
}

fn start_with(change: fn(Plan) -> Plan) -> Session {
    let engine = |settings: &mut spinquote::config::engine::EngineSettings| {
        settings.orders.ack_timeout = Nanos::from_millis(500);
    };
    let session = Session::start(change(Plan { engine, ..Plan::on(lively(5)) }));
    session.until("quotes on both sides", PATIENCE, Session::quotes);
    session
}

fn ids(orders: &[Order]) -> Vec<u64> {
    orders.iter().map(|order| order.id).collect()
}

/// Strikes while something of ours rests, and waits until none of that is open at the venue any more.
#[track_caller]
fn strike_and_withdraw(session: &Session, faults: &str) {
    let mut old = Vec::new();
    session.until("something rests at the venue", PATIENCE, |session| {
        old = ids(&session.venue_orders());
        !old.is_empty()
    });
    session.strike(faults);
    session.until("the quotes of before are withdrawn", PATIENCE, |session| {
        session.venue_orders().iter().all(|order| !old.contains(&order.id))
    });
}

/// Strikes, and waits until the engine has made at least `count` new connections.
#[track_caller]
fn strike_connections(session: &Session, faults: &str, count: i64) {
    let before = session.count("housekeeper.handshakes");
    strike_and_withdraw(session, faults);
    session.until("connections are made anew", PATIENCE, |session| {
        session.count("housekeeper.handshakes") >= before + count
    });
}

/// Trades again: nothing stands in the way, and an order rests at the venue (with a position only its exit is
/// quoted, so both sides cannot be demanded).
#[track_caller]
fn recovered(session: &Session) {
    session.until("nothing stands in the way of quoting", PATIENCE, |session| {
        session.of("in_sync") == 1 && session.count("engine.paused") == 0
    });
    session.until("an order rests at the venue", PATIENCE, |session| {
        session.count("engine.paused") == 0 && session.of("orders_live") > 0 && !session.venue_orders().is_empty()
    });
}

/// New orders, amends and cancels that left.
fn sent(session: &Session) -> i64 {
    ["new", "amend", "cancel"].iter().map(|what| session.count(&format!("sender.orders_{what}"))).sum()
}

/// For `span`, nothing leaves. `span` is well below what the venue asked for.
#[track_caller]
fn silent_for(session: &Session, span: Duration) {
    let (before, begun) = (sent(session), Instant::now());
    while begun.elapsed() < span {
        assert_eq!(sent(session), before, "sent during the back-off: {}", session.describe());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn whole(session: Session) -> Finished {
    let end = session.stop();
    end.is_whole();
    end
}

#[test]
fn a_gap_in_the_feed_withdraws_the_quotes_and_the_book_comes_back() {
    let session = start();
    strike_and_withdraw(&session, "gap");
    session.until("the gap is seen", PATIENCE, |session| session.of("book.gaps") > 0);
    recovered(&session);
    assert_eq!(session.of("book.gaps"), 1);
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 1 && end.status.counters.resyncs >= 1, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_silent_feed_withdraws_the_quotes_until_it_speaks() {
    let session =
        start_with(|plan| Plan { engine: |settings| settings.risk.stale_after = Nanos::from_millis(800), ..plan });
    session.strike("for=1h silence");
    session.until("nothing rests on stale data", PATIENCE, |session| {
        session.count("engine.paused") == 1 && session.venue_orders().is_empty()
    });
    let begun = Instant::now();
    while begun.elapsed() < SECOND {
        assert!(session.venue_orders().is_empty(), "quoted on stale data: {}", session.describe());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(session.count("engine.paused"), 1);
    session.strike("");
    recovered(&session);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn a_lost_private_stream_withdraws_the_quotes_and_the_account_is_asked() {
    let session = start();
    strike_connections(&session, "private-loss", 1);
    recovered(&session);
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 1, "{}", end.describe);
}

#[test]
fn a_connection_that_dies_before_an_answer_leaves_an_order_to_ask_for() {
    let session = start();
    session.strike("disconnect-pending");
    session.until("an outcome is unknown", PATIENCE, |session| session.count("sender.unknown_outcomes") > 0);
    recovered(&session);
    // The private stream may have told of the order before its connection was lost; if not, it was asked for.
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 1, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn all_connections_at_once_come_back() {
    let session = start();
    for _ in 0..2 {
        strike_connections(&session, "disconnect", 4);
        recovered(&session);
    }
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 2, "{}", end.describe);
}

#[test]
fn an_orderly_close_of_the_feed_is_repaired() {
    let session = start();
    strike_connections(&session, "close", 2);
    recovered(&session);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn a_fill_that_comes_twice_counts_once() {
    let session = start();
    session.strike("for=1h duplicate-fills");
    session
        .until("fills on both sides", PATIENCE, |session| session.of("fills.buy") > 1 && session.of("fills.sell") > 1);
    let end = whole(session);
    assert!(end.status.counters.fills_repeated > 0, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn events_out_of_order_end_in_the_same_state() {
    let session = start();
    session.strike("for=1h reorder");
    session
        .until("fills on both sides", PATIENCE, |session| session.of("fills.buy") > 1 && session.of("fills.sell") > 1);
    recovered(&session);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn refused_quotes_are_placed_again() {
    let session = start();
    session.strike("count=4 post-only-reject; count=4 reject");
    session.until("eight refusals", PATIENCE, |session| session.server.counts().faults >= 8);
    recovered(&session);
    let end = whole(session);
    assert!(end.status.counters.rejected >= 8, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_rate_limit_stops_everything_for_its_time() {
    let session = start();
    session.strike("count=2 429");
    session.until("the limit is heard", PATIENCE, |session| session.count("sender.rate_limited") > 0);
    // Five seconds, as the venue's answer said.
    silent_for(&session, SECOND);
    let before = sent(&session);
    session.until("sends again", PATIENCE, |session| sent(session) > before);
    recovered(&session);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn a_ban_stops_everything_and_the_end_is_still_orderly() {
    let session = start();
    session.strike("418");
    session.until("the ban is heard", PATIENCE, |session| session.count("sender.rate_limited") > 0);
    silent_for(&session, SECOND);
    let end = session.stop();
    assert!(end.counts.faults > 0);
    assert_eq!(end.ended.open_orders, Some(0), "{}", end.describe);
    assert_eq!(end.open, [], "{}", end.describe);
    // A ban delays the cancels past the engine's last word, and an order may execute until then: what the run says of the position
    // at its end is what the venue answered last.
    assert_eq!(end.ended.position, Some(end.position), "{}", end.describe);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}

#[test]
fn an_unknown_outcome_is_asked_for_and_never_guessed() {
    let session = start();
    session.strike("count=6 unknown");
    session.until("outcomes are unknown", PATIENCE, |session| session.count("sender.unknown_outcomes") > 0);
    session.until("they are asked for", PATIENCE, |session| session.count("sender.queries") > 0);
    recovered(&session);
    let end = whole(session);
    assert!(end.status.counters.unknown >= 1 && end.status.counters.query >= 1, "{}", end.describe);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_venue_whose_clock_jumps_is_followed() {
    let session = start();
    let offset = |session: &Session| session.count("housekeeper.clock_offset");
    strike_and_withdraw(&session, "clock-skew=9s");
    session.until("the clocks are compared", PATIENCE, |session| offset(session) > 8_000_000_000);
    // The difference is known now, so it stands in nobody's way.
    recovered(&session);
    strike_and_withdraw(&session, "");
    session.until("and again", PATIENCE, |session| offset(session).abs() < 1_000_000_000);
    recovered(&session);
    let end = whole(session);
    assert!(end.status.counters.withdrawn >= 2, "{}", end.describe);
}

#[test]
fn partial_fills_add_up() {
    let session = start();
    session.strike("every=100ms partial-fill");
    session.until("some fills", PATIENCE, |session| session.fills() > 10);
    let end = whole(session);
    end.earned_what_the_venue_booked();
}

#[test]
fn a_slow_way_to_the_venue_costs_time_only() {
    let session = start();
    session.strike("delay=250ms");
    session.until("an answer was delayed", PATIENCE, |session| session.stage_max("order_round_trip") >= 250_000_000);
    let fills = session.fills();
    session.until("it trades all the same", PATIENCE, |session| session.fills() > fills);
    recovered(&session);
    whole(session).earned_what_the_venue_booked();
}

#[test]
fn orders_of_others_on_the_account_are_never_touched() {
    let market = synthetic(6);
    let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
    let session = Session::start(Plan {
        engine: |settings| settings.orders.ack_timeout = Nanos::from_millis(500),
        before: Some(Box::new(move |venue| {
            venue.place("other-", 1, Side::Buy, Ticks(bid.0 - 20_000), Lots(7));
            // A prefix of ours that is longer is still somebody else's.
            venue.place("sq-other", 2, Side::Sell, Ticks(bid.0 + 20_000), Lots(9));
        })),
        ..Plan::on(market)
    });
    session.until("quotes on both sides", PATIENCE, Session::quotes);
    let foreign =
        |orders: &[Order]| orders.iter().filter(|order| order.client_id.contains("other")).copied().collect::<Vec<_>>();
    let before = foreign(&session.venue_orders());
    assert_eq!(before.len(), 2);
    let doubts = |session: &Session| session.count("sender.unknown_outcomes");
    session.strike("gap");
    session.until("the gap is seen", PATIENCE, |session| session.of("book.gaps") > 0);
    recovered(&session);
    for (faults, connections) in [("private-loss", 1), ("disconnect", 4)] {
        let made = session.count("housekeeper.handshakes");
        session.strike(faults);
        session.until("connections are made anew", PATIENCE, |session| {
            session.count("housekeeper.handshakes") >= made + connections
        });
        recovered(&session);
    }
    for faults in ["count=2 unknown", "disconnect-pending"] {
        let known = doubts(&session);
        session.strike(faults);
        session.until("an outcome is unknown", PATIENCE, |session| doubts(session) > known);
        recovered(&session);
    }
    assert_eq!(foreign(&session.venue_orders()), before);
    // The kill flag cancels what is ours, from the I/O side.
    session.kill();
    session.until("ours are cancelled", PATIENCE, |session| session.venue_orders().len() == 2);
    assert_eq!(foreign(&session.venue_orders()), before);
    let end = session.stop();
    assert_eq!(end.foreign, before, "{}", end.describe);
    assert_eq!(end.open, [], "{}", end.describe);
    assert_eq!(end.ended.open_orders, Some(0));
    assert_eq!(end.status.position, end.position);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}
