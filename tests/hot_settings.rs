//! A strategy file that changes while its run goes on: taken over whole or refused whole, and replayed at the same place.

#[path = "support/session.rs"]
mod session;

use session::{Finished, Plan, Session, synthetic};
use spinquote::engine::memory::CountingAllocator;
use spinquote::engine::turn::WARM_UP_FRAMES;
use spinquote::event::Operator;
use spinquote::journal::{Reader, RunDir, record};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_secs(20);

/// One quote a side far from the touch, so that nothing is filled.
fn far(percent: &'static str) -> Plan {
    let strategy = vec![("bid_spread", percent), ("ask_spread", percent), ("order_levels", "1")];
    Plan { strategy, in_memory: true, ..Plan::on(synthetic(21)) }
}

/// How far our bid stands below the best one, in 1/100 percent of it.
fn distance(session: &Session) -> i64 {
    let (own, best) = (session.of("own_bid"), session.of("bid"));
    if own == 0 || best == 0 { -1 } else { (best - own) * 10_000 / best }
}

fn set(session: &Session, key: &str, value: &str) {
    session.rewrite(|text| {
        let line = text.lines().find(|line| line.starts_with(&format!("{key}:"))).expect("the key stands in the file");
        text.replace(line, &format!("{key}: {value}"))
    });
}

/// The texts that were taken over, in their order.
fn taken(end: &Finished) -> Vec<String> {
    let mut reader = Reader::open(RunDir::new(end.dir.path().join("run"))).unwrap();
    let mut texts = Vec::new();
    while let Ok(Some(record)) = reader.next() {
        if record.kind == record::SETTINGS {
            texts.push(String::from_utf8(record.payload[record::Origin::SIZE..].to_vec()).unwrap());
        }
    }
    texts
}

#[test]
fn a_changed_spread_moves_the_quotes_and_a_bad_file_changes_nothing() {
    let session = Session::start(far("0.5"));
    session.until("quotes at half a percent", SOON, |s| s.quotes() && distance(s) >= 45);
    session.until("the end of the warm-up", SOON, |s| s.count("engine.frames") > WARM_UP_FRAMES.cast_signed());
    set(&session, "bid_spread", "0.2");
    session.until("the change is taken over", SOON, |s| s.count("housekeeper.settings_taken") == 1);
    session.until("our bid comes nearer", SOON, |s| (15..30).contains(&distance(s)));

    // Both the value and the cold key are wrong; and then only a cold key is changed, with a hot one beside it.
    for (nth, (key, value)) in [("bid_spread", "-1"), ("leverage", "19")].into_iter().enumerate() {
        set(&session, key, value);
        set(&session, "ask_spread", "0.9");
        session.until("the file is refused", SOON, |s| s.count("housekeeper.settings_refused") == nth as i64 + 1);
        set(&session, "bid_spread", "0.2");
    }
    std::thread::sleep(Duration::from_millis(1500));
    let ask = (session.of("own_ask") - session.of("ask")) * 10_000 / session.of("ask");
    assert!((45..60).contains(&ask), "the ask has moved to {ask}: {}", session.describe());
    assert_eq!(session.count("housekeeper.settings_taken"), 1, "{}", session.describe());

    let end = session.stop();
    end.is_whole();
    let texts = taken(&end);
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("bid_spread: 0.2") && texts[0].contains("ask_spread: 0.5"), "{}", texts[0]);
    assert_eq!(end.allocations, 0, "allocations on the engine thread after its warm-up; {}", end.describe);
}

#[test]
fn an_operator_has_the_file_read_at_once() {
    let session = Session::start(far("0.4"));
    session.until("quotes", SOON, Session::quotes);
    set(&session, "order_levels", "3");
    session.ask(Operator::Reload);
    session.until("the change is taken over", SOON, |s| s.count("housekeeper.settings_taken") == 1);
    session.until("three quotes a side", SOON, |s| s.venue_orders().len() == 6);
    let end = session.stop();
    end.is_whole();
    assert_eq!(taken(&end).len(), 1);
}
