//! The ways to the venue change under a run that quotes: connections are replaced before they are too old, and orders go by REST where
//! there is no order socket. No quote is withdrawn for it, nothing is lost.

#[path = "support/session.rs"]
mod session;

use session::{PATIENCE, Plan, Session, lively, synthetic};
use spinquote::journal::{Reader, RunDir, record};
use spinquote::maker::{Blocks, DecisionKind};
use spinquote::unit::Nanos;
use std::path::Path;

/// Withdrawals in the journal that were not the end of the run.
fn withdrawals(run: &Path) -> usize {
    let mut reader = Reader::open(RunDir::new(run)).unwrap();
    let mut count = 0;
    while let Ok(Some(record)) = reader.next() {
        if record.kind == record::DECISION && record.payload[50] == DecisionKind::Withdrawn as u8 {
            let detail = i64::from_le_bytes(record.payload[40..48].try_into().unwrap());
            count += usize::from(detail & i64::from(Blocks::STOP) == 0);
        }
    }
    count
}

#[test]
fn connections_are_replaced_before_they_are_given_up() {
    let session = Session::start(Plan { connection_life: Nanos::from_secs(3), ..Plan::on(synthetic(8)) });
    session.until("quotes on both sides", PATIENCE, Session::quotes);
    let made = session.count("housekeeper.handshakes");
    assert_eq!(made, 4, "public, market, private, order entry; {}", session.describe());
    let resyncs = session.of("book.resyncs");
    // Each of them twice.
    session.until("connections are replaced", PATIENCE, |session| {
        assert_eq!(session.count("engine.paused"), 0, "quotes were withdrawn; {}", session.describe());
        session.count("housekeeper.handshakes") >= made + 8
    });
    // And what was replaced was heard on, as long as the venue had something under way on it.
    let frames = session.count("engine.frames");
    session.until("the new ones bring data", PATIENCE, |session| session.count("engine.frames") > frames + 200);
    session.until("and orders go out on them", PATIENCE, |session| session.quotes());
    assert_eq!((session.of("book.gaps"), session.of("book.resyncs")), (0, resyncs), "{}", session.describe());
    assert_eq!(session.count("engine.reconnects"), 0, "no connection in use was lost; {}", session.describe());
    assert_eq!(session.count("engine.links_up"), 4, "{}", session.describe());
    let end = session.stop();
    end.is_whole();
    end.earned_what_the_venue_booked();
    assert_eq!(withdrawals(&end.dir.path().join("run")), 0, "{}", end.describe);
}

#[test]
fn without_an_order_socket_orders_go_by_rest() {
    let session = Session::start(Plan {
        // Nobody listens there.
        engine: |settings| settings.venue.order_ws_url = "wss://127.0.0.1:1/ws-fapi/v1".to_owned(),
        ..Plan::on(lively(9))
    });
    session.until("quotes rest at the venue", PATIENCE, |session| session.quotes() && session.venue_orders().len() > 2);
    let both = |session: &Session| session.of("fills.buy") > 1 && session.of("fills.sell") > 1;
    session.until("fills on both sides", PATIENCE, both);
    let sent = |session: &Session, what: &str| session.count(&format!("sender.orders_{what}"));
    session.until("messages of every kind", PATIENCE, |session| {
        sent(session, "new") > 20 && sent(session, "amend") > 2 && sent(session, "cancel") > 5
    });
    assert!(session.count("housekeeper.handshakes_failed") > 0, "{}", session.describe());
    assert_eq!(session.server.counts().ws_api, 0, "{}", session.describe());
    let end = session.stop();
    end.is_whole();
    end.earned_what_the_venue_booked();
}
