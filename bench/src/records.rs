//! What remembering costs: a journal append, a histogram count, a time stamp, and all of them as the engine does for one frame.

use crate::measure::{Bar, Candidate, Report, Row, Timed, race};
use spinquote::engine::clock::Clock;
use spinquote::instrument::InstrumentId;
use spinquote::journal::histogram::{Stage, StageWriter};
use spinquote::journal::record::{self, Origin};
use spinquote::journal::{self, ClockSource, JournalSettings, RunDir, Segments, Writer, histogram};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

const EVENTS: usize = 256;
const OURS: &str = "ours";
/// Stamps and counts that `engine::core` makes for a frame with `stamps: true`.
const STAMPS: usize = 4;
const COUNTS: usize = 5;

/// A journal and a histogram in a temporary folder.
struct Ours {
    journal: Writer,
    segments: Segments,
    stages: Vec<StageWriter>,
    clock: Clock,
    appended: usize,
    _folder: tempfile::TempDir,
}

impl Ours {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        let clock = Clock::new();
        let mut settings = JournalSettings::new(run.clone(), 1, ClockSource::Counter);
        settings.lock = false;
        settings.segment_bytes = 16 << 20;
        let (journal, segments) = journal::start(settings, clock.now()).expect("a journal");
        let mut stages = histogram::create(&run.histograms()).expect("histograms");
        let wanted = [Stage::Decode, Stage::Decide, Stage::Frame, Stage::TickToOrder, Stage::FeedAge];
        let stages = wanted.map(|stage| stages.take(stage)).into();
        Self { journal, segments, stages, clock, appended: 0, _folder: folder }
    }

    #[inline]
    fn append(&mut self, frame: &[u8]) -> u64 {
        let origin = Origin { feed: 0, instrument: InstrumentId(0) }.encode();
        self.journal.append(record::FRAME, self.clock.now(), &[&origin, frame]).expect("room");
        frame.len() as u64
    }

    /// Between rounds, on the same thread: prepared segments are the housekeeper's work.
    fn housekeep(&mut self) {
        self.appended += 1;
        if self.appended.is_multiple_of(16) {
            self.segments.housekeep(self.clock.now()).expect("room");
        }
    }
}

/// What a program without a plan does: a buffered log file, an `hdrhistogram`, `Instant`.
struct Naive {
    log: BufWriter<File>,
    stages: Vec<hdrhistogram::Histogram<u64>>,
    start: Instant,
}

impl Naive {
    fn new() -> Self {
        let histogram = || hdrhistogram::Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
        Self {
            log: BufWriter::with_capacity(1 << 16, tempfile::tempfile().expect("a temporary file")),
            stages: (0..COUNTS).map(|_| histogram()).collect(),
            start: Instant::now(),
        }
    }

    #[inline]
    fn append(&mut self, frame: &[u8]) -> u64 {
        let now = self.start.elapsed().as_nanos() as u64;
        self.log.write_all(&now.to_le_bytes()).expect("room");
        self.log.write_all(&(frame.len() as u64).to_le_bytes()).expect("room");
        self.log.write_all(frame).expect("room");
        frame.len() as u64
    }
}

struct Both {
    ours: Ours,
    naive: Naive,
    frame: Vec<u8>,
}

fn run(
    rounds: usize,
    both: &mut Both,
    peer: &str,
    mut ours: impl FnMut(&mut Ours, &[u8], u64) -> u64,
    mut naive: impl FnMut(&mut Naive, &[u8], u64) -> u64,
) -> Vec<Timed> {
    let candidates = vec![
        Candidate::new(OURS, move |both: &mut Both| {
            (0..EVENTS as u64).fold(0_u64, |sum, at| sum.wrapping_add(ours(&mut both.ours, &both.frame, at)))
        }),
        Candidate::new(peer, move |both: &mut Both| {
            (0..EVENTS as u64).fold(0_u64, |sum, at| sum.wrapping_add(naive(&mut both.naive, &both.frame, at)))
        }),
    ];
    let prepare = |both: &mut Both, _| {
        both.ours.housekeep();
        EVENTS
    };
    race(rounds, both, prepare, candidates)
}

/// A value to count, spread over the sizes that occur.
fn value(at: u64) -> u64 {
    100 + (at * 7919) % 4096
}

/// Each part, and all parts of one event together.
///
/// # Panics
/// A temporary file cannot be made.
pub fn remember(frame: &[u8], rounds: usize, report: &mut Report) {
    const LOG: &str = "BufWriter<File>";
    const HDR: &str = "hdrhistogram";
    const INSTANT: &str = "Instant::now";
    const ALL: &str = "BufWriter, hdrhistogram, Instant";
    let both = &mut Both { ours: Ours::new(), naive: Naive::new(), frame: frame.to_vec() };

    let timed = run(rounds, both, LOG, |ours, frame, _| ours.append(frame), |naive, frame, _| naive.append(frame));
    report.compare(&format!("journal a frame of {} B with its stamp", frame.len()), "ns", &timed, OURS, LOG, None);

    let timed = run(
        rounds,
        both,
        HDR,
        |ours, _, at| {
            ours.stages[0].record(value(at).cast_signed());
            value(at)
        },
        |naive, _, at| {
            naive.stages[0].record(value(at)).expect("in bounds");
            value(at)
        },
    );
    report.compare("histogram count", "ns", &timed, OURS, HDR, None);

    let timed = run(
        rounds,
        both,
        INSTANT,
        |ours, _, _| u64::from(ours.clock.now().0 > 0),
        |naive, _, _| u64::from(Instant::now() > naive.start),
    );
    report.compare("time stamp", "ns", &timed, OURS, INSTANT, None);

    let timed = run(
        rounds,
        both,
        ALL,
        |ours, frame, _| {
            let start = ours.clock.now();
            let sum = ours.append(frame);
            for at in 0..COUNTS {
                let end = if at + 2 < STAMPS { ours.clock.now() } else { start };
                ours.stages[at].record((end - start).0);
            }
            sum
        },
        |naive, frame, _| {
            let start = Instant::now();
            let sum = naive.append(frame);
            for at in 0..COUNTS {
                let end = if at + 2 < STAMPS { Instant::now() } else { start };
                let span = (end - start).as_nanos() as u64;
                naive.stages[at].record(span.max(1)).expect("in bounds");
            }
            sum
        },
    );
    let what = format!("per event: 1 append, {STAMPS} stamps, {COUNTS} counts");
    report.compare(&what, "ns", &timed, OURS, ALL, None);
    against_the_bar(&what, &timed[0], report);

    let timed = run(
        rounds,
        both,
        LOG,
        |ours, frame, at| {
            ours.stages[0].record(value(at).cast_signed());
            ours.append(frame)
        },
        |naive, frame, at| {
            naive.stages[0].record(value(at)).expect("in bounds");
            naive.append(frame)
        },
    );
    against_the_bar("per event: 1 append, 1 stamp, 1 count", &timed[0], report);
}

/// 25 ns together.
fn against_the_bar(what: &str, timed: &Timed, report: &mut Report) {
    const MOST: f64 = 25.0;
    report.rows.push(Row {
        name: format!("{what}: ours"),
        unit: "ns",
        value: timed.median(),
        peer: "the bar itself".into(),
        peer_value: MOST,
        ratio: MOST / timed.median(),
        bar: Some(Bar::Within(1.0)),
        checksum: timed.checksum,
    });
}

/// Appends or counts, all inside one call of `count`; returns how many.
///
/// # Panics
/// A temporary file cannot be made.
pub fn counted(histogram: bool, mut count: impl FnMut(&mut dyn FnMut())) -> u64 {
    const MANY: u64 = 4_096;
    let mut ours = Ours::new();
    let frame = [b'7'; 179];
    count(&mut || {
        for at in 0..MANY {
            if histogram {
                ours.stages[0].record(value(at).cast_signed());
            } else {
                ours.append(&frame);
            }
        }
    });
    MANY
}
