//! `sq ctl` against a real run whose engine thread is stuck, and readers against one that is not.

#[path = "../../tests/support/session.rs"]
mod session;
mod support;

use session::{Plan, Session, lively, synthetic};
use std::path::Path;
use std::time::{Duration, Instant};
use support::sq_args;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn cancel_all_and_flatten_by_sq_while_the_engine_is_stuck() {
    let session = Session::start(Plan { strategy: vec![("order_level_spread", "0.5")], ..Plan::on(lively(41)) });
    session.until("orders rest", 8 * SECOND, |session| session.venue_orders().len() > 4);
    session.wedge(true);
    let run = session.run_dir().to_str().unwrap().to_owned();
    let ctl = |verb: &str| {
        sq_args(Path::new("."), &["ctl", verb, &run, "--yes", "run", "--why", "a test", "--timeout", "600ms"])
    };
    let said = ctl("cancel-all");
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("cancel-all: NOT taken by the engine thread within 600 ms"), "{}", said.out);
    assert!(said.out.contains("the I/O thread carries it out in the engine's place"), "{}", said.out);
    session.until("nothing rests", 5 * SECOND, |session| session.venue_orders().is_empty());
    let said = ctl("flatten");
    assert!(said.out.contains("the I/O thread carries it out"), "{}", said.out);
    session.until("the position is closed", 10 * SECOND, |session| session.venue_position().is_zero());
    // A critical alert says what happened.
    session.until("the housekeeper alerts", 10 * SECOND, |session| {
        let alerts = std::fs::read_to_string(session.run_dir().join("alerts.jsonl")).unwrap();
        alerts.contains("took-over") && alerts.contains("engine-silent")
    });
    let status = sq_args(Path::new("."), &["status", &run]).out;
    assert!(status.contains("ALERT   critical took-over since "), "{status}");
    assert!(sq_args(Path::new("."), &["ctl", "ack", &run]).out.contains("ack: critical took-over"));
    session.until("the acknowledgement is told", 5 * SECOND, |session| {
        std::fs::read_to_string(session.run_dir().join("alerts.jsonl")).unwrap().contains("acknowledged")
    });
    session.wedge(false);
    let end = session.stop();
    assert_eq!((end.open.len(), end.status.position), (0, end.position), "{}", end.describe);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}

/// Median of the engine's own work on a frame, ns, with nothing else or with every reader at work; and how often they looked.
fn frame_median(seed: u64, readers: bool) -> (u64, u64) {
    let session = Session::start(Plan { in_memory: true, ..Plan::on(synthetic(seed)) });
    session.until("quotes", 8 * SECOND, Session::quotes);
    let run = session.run_dir().to_str().unwrap().to_owned();
    let begun = Instant::now();
    let mut looks = 0;
    while begun.elapsed() < 3 * SECOND {
        if readers {
            for args in [["top", "--plain", &run], ["prom", "--once", &run], ["status", "--json", &run]] {
                let said = sq_args(Path::new("."), &args);
                assert_eq!(said.code, 0, "{}", said.err);
                looks += 1;
            }
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let end = session.stop();
    end.is_whole();
    assert_eq!(end.ended.problems, Vec::<String>::new());
    let histograms =
        spinquote::journal::histogram::HistogramReader::open(&end.dir.path().join("run/histograms.sqh")).unwrap();
    (histograms.stage("frame").unwrap().percentile(500_000), looks)
}

/// What a reader costs the engine where it could cost something: cache and memory, not the share of a core that this machine's scheduler
/// takes away. So it is the median that must stay; a lock, a flush or a copy at the reader's wish would show in it.
#[test]
fn readers_leave_the_engines_work_as_it_is() {
    let mut ratios = Vec::new();
    for seed in 51..53 {
        let (alone, _) = frame_median(seed, false);
        let (watched, looks) = frame_median(seed, true);
        assert!(looks >= 3, "{looks} looks");
        ratios.push(watched as f64 / alone as f64);
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[0] < 1.5, "watched over alone, the better of two: {ratios:?}");
}
