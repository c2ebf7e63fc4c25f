//! The loopback rig run small: the orders that the peer reads are those that the maker decides in memory, and those of one frame leave
//! together. Facts, not times.

use spinquote_bench::frames::Session;
use spinquote_bench::loopback::{self, Lane, Options, Plan};
use spinquote_bench::measure::{Report, Row};

fn options(plan: Plan) -> Options {
    let words = ["--wait", "yield", "--cores", "-,-,-"].map(str::to_owned);
    Options { plans: vec![plan], rounds: 1, ..Options::parse(&words).unwrap() }
}

#[test]
fn every_lane_answers_with_the_orders_that_the_maker_decides_in_memory() {
    let session = Session::synthetic(3_000);
    let found = loopback::run(&session, &options(Plan { levels: 5, rate: 100, steps: 120 })).unwrap();
    let mut report = Report::default();
    loopback::rows(&found.windows, &mut report);
    eprintln!("{}\n{}", report.table(), loopback::notes(&found));
    assert_eq!(found.windows.len(), Lane::ALL.len());
    // The relay sends bytes and no orders.
    let counts = |row: &Row| row.checksum != 0 || row.name.ends_with("reader, ring, writer");
    assert!(report.rows.iter().all(|row| row.ratio.is_finite() && counts(row)), "{}", report.table());
    let frames = found.windows[0].intended.len();
    assert!(frames > 20, "{frames} frames send");
    for window in &found.windows[1..] {
        // An answer that is late on a busy host defers an order to the next frame, which overtakes it.
        assert_eq!(window.intended.len() + window.overtaken, frames, "{}", window.lane);
        assert!(!window.intended.is_empty(), "{}: {} of {frames} overtaken", window.lane, window.overtaken);
    }
}

#[test]
fn the_orders_decided_on_one_frame_leave_in_one_write_and_one_record() {
    let session = Session::synthetic(3_000);
    let options = Options { lanes: vec![Lane::Full], ..options(Plan { levels: 5, rate: 40, steps: 60 }) };
    let found = loopback::run(&session, &options).unwrap();
    let (window, inside) = (&found.windows[0], &found.inside[0].2);
    assert!(window.several >= 10, "{} frames send several orders", window.several);
    // Slowly enough for a busy host to answer before the next frame; one that stops a thread amid its pushes may split a burst.
    assert!(window.whole * 10 >= window.several * 9, "{} of {} came in one record", window.whole, window.several);
    assert!(inside.writes * 6 <= inside.commands, "{} requests in {} writes", inside.commands, inside.writes);
}

#[test]
fn a_plan_is_what_its_text_says() {
    let plan = Plan { levels: 5, rate: 4_000, steps: 12 };
    assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan);
    assert!("levels=5&rate=x&steps=1".parse::<Plan>().is_err() && "".parse::<Plan>().is_err());
}
