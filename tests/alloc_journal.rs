//! The engine's side of the journal allocates nothing and finds its pages mapped: appends over many segments, histograms, counters, the
//! operators' page.
#![allow(unsafe_code)] // The fault count comes from a C call.

#[path = "support/alloc.rs"]
mod alloc;

use alloc::{Counting, allocations};
use spinquote::journal::counters::{self, InstrumentSlot, Slot};
use spinquote::journal::histogram::{self, Stage};
use spinquote::journal::record::{self, Origin};
use spinquote::journal::{AppendError, ClockSource, JournalSettings, RunDir, command_page, start};
use spinquote::unit::Nanos;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Page faults of this thread so far.
fn faults() -> i64 {
    // SAFETY: a `rusage` of zeros is valid, and the call only writes it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage.ru_minflt + usage.ru_majflt
    }
}

#[test]
fn appending_and_measuring_allocate_nothing() {
    // In memory, where write-back does not protect pages again.
    let memory = std::path::Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let run = RunDir::new(dir.path());
    let mut settings = JournalSettings::new(run.clone(), 1, ClockSource::Virtual);
    settings.segment_bytes = 64 << 10;
    settings.segments_ready = 4;
    let (mut writer, mut segments) = start(settings, Nanos(0)).unwrap();
    let [counters, ..] = counters::create(&run.counters(), &["BTCUSDT"]).unwrap();
    let mut stages = histogram::create(&run.histograms()).unwrap();
    let mut append_stage = stages.take(Stage::Journal);
    let [mut watch, _sender] = command_page::create(&run.command()).unwrap();
    let stop = AtomicBool::new(false);
    let body = [7_u8; 900];
    let (mut appended, mut refused, mut taken) = (0_u64, 0_u64, 0);
    let mut faulted = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                segments.housekeep(Nanos(0)).unwrap();
                std::thread::yield_now();
            }
        });
        let faults_before = faults();
        taken = allocations(|| {
            while appended < 2_000 {
                let now = Nanos(appended as i64);
                let origin = Origin::default().encode();
                match writer.append(record::FRAME, now, &[&origin, &body]) {
                    Ok(_) => appended += 1,
                    Err(AppendError::Full) => {
                        refused += 1;
                        std::thread::yield_now();
                    }
                    Err(error) => panic!("{error}"),
                }
                append_stage.record(appended as i64 * 31);
                counters.add(Slot::Frames, 1);
                counters.set_of(0, InstrumentSlot::Mid, now.0);
                assert_eq!((watch.killed(), watch.poll()), (false, None));
            }
        });
        faulted = faults() - faults_before;
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(taken, 0, "{appended} appends, {refused} refused");
    assert_eq!(writer.lost_total(), refused);
    // The records fill 460 pages and more; a few faults are the thread's own (stack, code).
    assert!(faulted < 50, "{faulted} page faults");
    // The count counts: taking and giving back.
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 2);
}
