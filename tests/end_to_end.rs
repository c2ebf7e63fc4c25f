//! Whole runs without faults, over TLS WebSockets on loopback: from the first frame to the last cancel, and what both sides say of it.

#[path = "support/session.rs"]
mod session;

use session::{Plan, Session, recorded, recording, synthetic};
use spinquote::engine::memory::CountingAllocator;
use spinquote::sim::capture::CaptureMarket;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Runs for `seconds` and holds the run to everything that a calm market allows to demand.
fn calm_run(plan: Plan, seconds: u64) {
    let session = Session::start(plan);
    session.until("quotes on both sides", Duration::from_secs(2), Session::quotes);
    while session.started.elapsed() < Duration::from_secs(seconds) {
        assert_eq!(session.of("in_sync"), 1, "{}", session.describe());
        assert!(!session.is_over(), "the engine ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    let end = session.stop();
    end.is_whole();
    end.earned_what_the_venue_booked();
    let counters = &end.status.counters;
    eprintln!(
        "{} sent, {}+{} fills, {} allocations, {} page faults, {}",
        end.sent, counters.fills_buy, counters.fills_sell, end.allocations, end.page_faults, end.describe
    );
    assert!(counters.fills_buy > 0 && counters.fills_sell > 0, "fills on one side only: {}", end.describe);
    assert!(end.sent >= 60, "only {} order messages; {}", end.sent, end.describe);
    assert_eq!((counters.gaps, counters.crossed, counters.corrections), (0, 0, 0), "{}", end.describe);
    assert_eq!(end.allocations, 0, "allocations on the engine thread after its warm-up");
}

/// A whole recording, many times faster than it happened, with the maker quoting into it.
fn whole_recording(name: &str, speed: u32) {
    let Some(path) = recording(name) else {
        return calm_run(Plan::on(synthetic(4)), 12);
    };
    let market = Box::new(CaptureMarket::open(&path, None).unwrap());
    let session = Session::start(Plan {
        server: match speed {
            16 => |config| config.speed = 16,
            _ => |config| config.speed = 24,
        },
        // The store to a page of a file that the kernel is writing back faults; this is the setting against it.
        engine: |settings| settings.journal.live_dir = Some("/dev/shm".into()),
        ..Plan::on(market)
    });
    session.until("quotes on both sides", Duration::from_secs(2), Session::quotes);
    session.until("the end of the recording", Duration::from_secs(60), |session| session.server.counts().markets_ended);
    let took = session.started.elapsed();
    let end = session.stop();
    end.is_whole();
    end.earned_what_the_venue_booked();
    eprintln!(
        "{took:?}: {} sent, {} allocations, {} page faults; {}",
        end.sent, end.allocations, end.page_faults, end.describe
    );
    let counters = &end.status.counters;
    assert_eq!((counters.gaps, counters.crossed), (0, 0), "{}", end.describe);
    assert!(counters.fills_buy > 0 && counters.fills_sell > 0, "{}", end.describe);
    assert_eq!(
        (end.allocations, end.page_faults),
        (0, 0),
        "allocations and page faults on the engine thread after its warm-up"
    );
}

#[test]
fn the_whole_recording_of_2023_passes_without_an_allocation() {
    whole_recording("btcusdt_20230405.dat.gz", 24);
}

#[test]
fn the_whole_recording_of_2024_passes_without_an_allocation() {
    whole_recording("btcusdt_20240808.gz", 16);
}

#[test]
fn a_synthetic_market_is_quoted_from_the_first_frame_to_the_last_cancel() {
    calm_run(Plan::on(synthetic(3)), 12);
}

#[test]
fn a_recording_of_bitcoin_2023_is_quoted_like_the_live_market() {
    calm_run(Plan::on(recorded("btcusdt_20230405.dat.gz")), 12);
}

#[test]
fn a_recording_of_bitcoin_2024_is_quoted_like_the_live_market() {
    calm_run(Plan::on(recorded("btcusdt_20240808.gz")), 12);
}
