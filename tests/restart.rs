//! A run that is killed with SIGKILL in the middle, and the run after it on the same account: the journal is good to its last record,
//! the old orders are found, and the venue's position is ours.

#[path = "support/process.rs"]
mod process;
#[path = "support/session.rs"]
mod session;

use process::{Files, run_of};
use session::{Session, Venue, near_touch, synthetic};
use spinquote::config::engine::Leftovers;
use spinquote::event::{PositionSide, Side};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::counters::CounterReader;
use spinquote::journal::{End, Reader, RunDir};
use spinquote::sim::order::{AccountId, Order};
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::unit::{Lots, Ticks};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const ACCOUNT: AccountId = AccountId(0);

/// A venue whose account holds a position and open orders of a run that was killed, and an order of somebody else.
struct Aftermath {
    server: Server,
    terms: Instrument,
    files: Files,
    strategy: String,
    left: BTreeSet<u64>,
    foreign: Order,
}

fn position(server: &Server) -> Lots {
    server.position(ACCOUNT, InstrumentId(0), PositionSide::Net)
}

fn ours(server: &Server) -> Vec<Order> {
    server.open_orders(ACCOUNT).into_iter().filter(|order| !order.client_id.starts_with("other")).collect()
}

/// Runs `spinquote run` until it has orders open and a position, then kills it.
fn killed(seed: u64) -> Aftermath {
    let market = synthetic(seed);
    let terms = market.instrument().clone();
    let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
    let strategy = near_touch(&terms, bid, &[("order_levels", "6"), ("order_level_spread", "0.01")]);
    let config = ServerConfig::new(vec![market], vec![AccountConfig::new(session::KEY, session::SECRET)]);
    let server = Server::start(config).unwrap();
    let venue = Venue::at(&server, &terms);
    venue.place("other-", 1, Side::Buy, Ticks(bid.0 - 20_000), Lots(7));
    let foreign = server.open_orders(ACCOUNT)[0];
    let files = Files::new(&server.rest_url(), &server.ws_url(), server.cert_pem(), &strategy, "");
    let mut child = run_of(&files, "first", &[]).spawn().expect("the program starts");
    let begun = Instant::now();
    while ours(&server).is_empty() || position(&server).is_zero() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        assert!(begun.elapsed() < Duration::from_secs(30), "no orders and position: {:?}", server.counts());
        std::thread::sleep(Duration::from_millis(5));
    }
    // SIGKILL: no handler runs, nothing is written any more.
    child.kill().unwrap();
    child.wait().unwrap();
    // What was on its way at that moment arrives first.
    std::thread::sleep(Duration::from_millis(200));
    let left = ours(&server).iter().map(|order| order.id).collect();
    Aftermath { server, terms, files, strategy, left, foreign }
}

/// The journal of the killed run is good to its last committed record, and its decisions are what the maker decides again.
#[track_caller]
fn journal_is_good(files: &Files) {
    let run = files.dir().join("first");
    let published = CounterReader::open(&RunDir::new(&run).counters()).unwrap().named("engine.journal_seq").unwrap();
    let report = Reader::verify(RunDir::new(&run)).unwrap();
    assert!(matches!(report.end, End::Open), "{:?}", report.end);
    assert!(report.last_seq >= published.cast_unsigned(), "{published} were committed, {report:?}");
    assert!(report.records > 100 && report.lost == 0, "{report:?}");
    let again = spinquote::replay::replay(&run, |_| {}).unwrap();
    assert!(again.identical, "{:?}", again.first_difference);
}

#[test]
fn a_restart_cancels_the_orders_of_the_killed_run() {
    let Aftermath { server, files, left, foreign, .. } = killed(21);
    journal_is_good(&files);
    assert!(!left.is_empty(), "the kill left no order to find");
    let output = run_of(&files, "second", &["--for", "4s", "--json"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(summary["open_orders_at_venue"], 0, "{summary}");
    assert_eq!(summary["position"], summary["venue_position"], "{summary}");
    let venue = position(&server).0 as f64 / 1000.0;
    assert!((summary["position"].as_f64().unwrap() - venue).abs() < 1e-9, "{venue}: {summary}");
    assert!(summary["orders"]["new"].as_u64().unwrap() > 0, "the second run did not trade: {summary}");
    assert_eq!(server.open_orders(ACCOUNT), [foreign]);
}

#[test]
fn a_restart_adopts_the_orders_of_the_killed_run() {
    let Aftermath { server, terms, files, strategy, left, foreign } = killed(22);
    journal_is_good(&files);
    let session = Session::attach(server, terms, strategy, |settings| settings.risk.leftovers = Leftovers::Adopt);
    let mut adopted = BTreeSet::new();
    session.until("an old order is ours again", Duration::from_secs(5), |session| {
        let open = session.venue_orders();
        if session.of("orders_live") > 0 && session.count("engine.paused") == 0 {
            adopted.extend(open.iter().map(|order| order.id).filter(|id| left.contains(id)));
        }
        // All are filled by now if the market ran through them.
        !adopted.is_empty() || open.iter().all(|order| !left.contains(&order.id))
    });
    session.run_until(Duration::from_secs(3));
    let end = session.stop();
    assert!(end.status.counters.leftovers > 0, "{}", end.describe);
    end.is_whole();
    assert_eq!(end.foreign, [foreign]);
}
