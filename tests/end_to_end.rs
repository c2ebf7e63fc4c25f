//! Whole runs without faults, over TLS WebSockets on loopback: from the first frame to the last cancel, and what both sides say of it.

#[path = "support/process.rs"]
mod process;
#[path = "support/session.rs"]
mod session;

use session::{Plan, Session, recorded, recording, synthetic};
use spinquote::engine::memory::CountingAllocator;
use spinquote::engine::turn::WARM_UP_FRAMES;
use spinquote::sim::capture::CaptureMarket;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Page faults that a run may have after its warm-up: pages of the program itself, mapped when their code first runs. Every buffer
/// is there before the first frame (hundreds of faults otherwise); only `threads.mlock` brings the code in ahead too.
const CODE_PAGES_MAX: i64 = 32;

/// A run quotes both sides within two seconds of its start. A host that is busy with others may take that time away from it, but
/// hardly three times in a row.
fn quoting_in_time(plan: impl Fn() -> Plan) -> Session {
    const IN_TIME: Duration = Duration::from_secs(2);
    for _ in 0..2 {
        let session = Session::start(plan());
        if session.comes_to("quotes on both sides", IN_TIME, Session::quotes) {
            return session;
        }
        eprintln!("not within {IN_TIME:?}; {}", session.describe());
        session.stop();
    }
    let session = Session::start(plan());
    session.until("quotes on both sides", IN_TIME, Session::quotes);
    session
}

/// Runs for `seconds` and holds the run to everything that a calm market allows to demand.
fn calm_run(plan: impl Fn() -> Plan, seconds: u64) {
    let session = quoting_in_time(plan);
    while session.started.elapsed() < Duration::from_secs(seconds) {
        assert_eq!(session.of("in_sync"), 1, "{}", session.describe());
        assert!(!session.is_over(), "the engine ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    let end = session.stop();
    end.is_whole();
    end.earned_what_the_venue_booked();
    let counters = &end.status.counters;
    assert!(counters.fills_buy > 0 && counters.fills_sell > 0, "fills on one side only: {}", end.describe);
    assert!(end.sent >= 40, "only {} order messages; {}", end.sent, end.describe);
    assert_eq!((counters.gaps, counters.crossed, counters.corrections), (0, 0, 0), "{}", end.describe);
    assert_eq!(end.allocations, 0, "allocations on the engine thread after its warm-up");
}

/// A whole recording, many times faster than it happened, with the maker quoting into it.
fn whole_recording(name: &str) {
    let Some(path) = recording(name) else {
        return calm_run(|| Plan::on(synthetic(4)), 12);
    };
    let market = Box::new(CaptureMarket::open(&path, None).unwrap());
    let session = Session::start(Plan { server: |config| config.speed = 20, in_memory: true, ..Plan::on(market) });
    session.until("quotes on both sides", Duration::from_secs(30), Session::quotes);
    session.until("the end of the recording", Duration::from_secs(60), |session| session.server.counts().markets_ended);
    let end = session.stop();
    end.is_whole();
    end.earned_what_the_venue_booked();
    let counters = &end.status.counters;
    // Most of them behind the warm-up, which alone the next assertions leave out.
    assert!(end.ended.engine.frames > 20 * WARM_UP_FRAMES, "{}", end.describe);
    assert_eq!((counters.gaps, counters.crossed), (0, 0), "{}", end.describe);
    assert!(counters.fills_buy > 0 && counters.fills_sell > 0, "{}", end.describe);
    assert_eq!(end.allocations, 0, "allocations on the engine thread after its warm-up; {}", end.describe);
    assert!(end.page_faults <= CODE_PAGES_MAX, "{} page faults after the warm-up; {}", end.page_faults, end.describe);
}

#[test]
fn the_whole_recording_of_2023_passes_without_an_allocation() {
    whole_recording("btcusdt_20230405.dat.gz");
}

#[test]
fn the_whole_recording_of_2024_passes_without_an_allocation() {
    whole_recording("btcusdt_20240808.gz");
}

#[test]
fn a_synthetic_market_is_quoted_from_the_first_frame_to_the_last_cancel() {
    calm_run(|| Plan::on(synthetic(3)), 12);
}

#[test]
fn a_recording_of_bitcoin_2023_is_quoted_like_the_live_market() {
    calm_run(|| Plan::on(recorded("btcusdt_20230405.dat.gz")), 12);
}

#[test]
fn a_recording_of_bitcoin_2024_is_quoted_like_the_live_market() {
    calm_run(|| Plan::on(recorded("btcusdt_20240808.gz")), 12);
}

/// The program as a user starts it: exit code, and a summary with everything that others rely on.
#[test]
fn the_demo_ends_with_its_summary_and_no_order_left() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["demo", "--for", "6s", "--seed", "5", "--run-dir", "run", "--json"];
    let output = process::spinquote(dir.path(), &args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    for pointer in [
        "/fills/buy",
        "/fills/sell",
        "/orders/new",
        "/orders/amend",
        "/orders/cancel",
        "/orders/rejected",
        "/protocol_errors",
        "/book/gaps",
        "/book/resyncs",
        "/book/crossed",
        "/position",
        "/venue_position",
        "/open_orders_at_venue",
        "/pnl/spread",
        "/pnl/inventory",
        "/pnl/fees",
        "/pnl/funding",
        "/pnl/total",
        "/latency_ns/tick_to_order/count",
        "/latency_ns/tick_to_order/p50",
        "/latency_ns/tick_to_order/p99",
        "/latency_ns/tick_to_order/p999",
        "/latency_ns/tick_to_order/max",
        "/frames",
        "/allocations_after_warmup",
    ] {
        assert!(summary.pointer(pointer).is_some_and(serde_json::Value::is_number), "{pointer}: {summary}");
    }
    for (pointer, wanted) in
        [("/protocol_errors", 0), ("/book/gaps", 0), ("/open_orders_at_venue", 0), ("/allocations_after_warmup", 0)]
    {
        assert_eq!(summary.pointer(pointer).unwrap(), wanted, "{pointer}: {summary}");
    }
    assert_eq!(summary["position"], summary["venue_position"]);
    let run = summary["run_dir"].as_str().unwrap();
    let replay = process::spinquote(dir.path(), &["replay", run, "--json"]).output().unwrap();
    let verdict: serde_json::Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert!(
        replay.status.success() && verdict["identical"] == true && verdict["first_difference"].is_null(),
        "{verdict}"
    );
}
