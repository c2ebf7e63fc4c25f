//! `spinquote capture`: records a session of public market data in the layout that `--capture` plays. Changes no frame, decodes none.
//!
//! A line is `<receive time, ns> <frame>`; the body of one REST depth snapshot stands inline soon after the start. Where the streams
//! were lost and opened again stands a line `{"spinquote":{"gap":"<why>"}}` with the time at which they were back, followed soon by a
//! fresh snapshot: players skip what they do not know, and the frames behind it do not join those before.

use super::listen::{Heard, Listener, Pauses, Venue};
use super::trade;
use crate::cli::CaptureArgs;
use anyhow::{Result, bail, ensure};
use spinquote::engine::clock::Clock;
use spinquote::sim::capture::{CaptureError, CaptureWriter};
use spinquote::unit::Nanos;
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often what was written is brought to the file.
const FLUSH_EVERY: Nanos = Nanos::from_secs(1);
/// How often progress is shown on a terminal, and elsewhere.
const SHOW_EVERY: [Nanos; 2] = [Nanos::from_secs(1), Nanos::from_secs(10)];

/// A recording under way.
struct Recorder {
    writer: CaptureWriter,
    frames: u64,
    snapshots: u64,
    gaps: u64,
    failed: Option<CaptureError>,
}

impl Recorder {
    fn append(&mut self, at: Nanos, line: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.writer.append(at, line).err();
        }
    }

    fn hear(&mut self, at: Nanos, heard: &Heard<'_>) {
        match heard {
            Heard::Frame(frame) => {
                self.append(at, frame);
                self.frames += 1;
            }
            Heard::Snapshot(body) => {
                self.append(at, body);
                self.snapshots += 1;
            }
        }
    }

    /// Where the recording has a hole, and why.
    fn gap(&mut self, at: Nanos, why: &str) {
        self.gaps += 1;
        self.append(at, serde_json::json!({"spinquote": {"gap": why}}).to_string().as_bytes());
    }
}

pub fn run(args: &CaptureArgs) -> Result<()> {
    trade::log("info");
    let interrupted = trade::interrupted()?;
    let venue = match (&args.engine, &args.url) {
        (Some(path), _) => Venue::of_settings(&super::run::engine(path)?)?,
        (None, Some(url)) => Venue::of_url(url, args.ca.as_deref())?,
        (None, None) => bail!("--url or --engine says where to record from"),
    };
    let out = args.out.display();
    ensure!(!args.out.exists(), "{out} exists; a recording never replaces a file");
    let clock = Clock::new();
    let mut listener = Listener::open(&venue, &args.symbol, &clock)?;
    let writer = CaptureWriter::create(&args.out)?;
    trade::say(&format!("recording {} of {} to {out}", args.symbol, venue.rest_url()));
    listener.ask_snapshot();
    let mut recorder = Recorder { writer, frames: 0, snapshots: 0, gaps: 0, failed: None };
    let started = clock.now();
    let ends = args.run_for.map(|span| started + span);
    let over = || interrupted.load(Ordering::Acquire) || ends.is_some_and(|end| clock.now() >= end);
    let terminal = std::io::stderr().is_terminal();
    let (mut flush, mut show) = (started, started + SHOW_EVERY[usize::from(!terminal)]);
    while !over() && recorder.failed.is_none() {
        if let Err(error) = listener.turn(Duration::from_millis(20), |at, heard| recorder.hear(at, &heard)) {
            let why = format!("{error:#}");
            trade::say(&format!("lost: {why}"));
            recorder.failed = recorder.failed.take().or(recorder.writer.flush().err());
            let Some(again) = reconnect(&venue, &args.symbol, &clock, &over) else { break };
            listener = again;
            recorder.gap(clock.now(), &why);
            listener.ask_snapshot();
            trade::say("connected again; the recording has a gap here");
        }
        let now = clock.now();
        if now >= flush {
            flush = now + FLUSH_EVERY;
            recorder.failed = recorder.failed.take().or(recorder.writer.flush().err());
        }
        if now >= show {
            show = now + SHOW_EVERY[usize::from(!terminal)];
            let line = progress(&recorder, now - started);
            if terminal {
                let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
            } else {
                trade::say(&line);
            }
        }
    }
    if terminal {
        trade::say("");
    }
    let line = progress(&recorder, clock.now() - started);
    let Recorder { writer, frames, snapshots, gaps, failed } = recorder;
    let finished = writer.finish();
    trade::say(&format!("{out}: {line}, {gaps} gaps, {snapshots} snapshots"));
    if let Some(error) = failed {
        return Err(error.into());
    }
    finished?;
    if frames == 0 {
        // Nothing is lost with it, and the same command can be given again.
        let _ = std::fs::remove_file(&args.out);
        bail!("no frame came; is {} the venue's symbol?", args.symbol);
    }
    if snapshots == 0 {
        trade::say(
            "warning: there is no depth snapshot in it; the book at its start will be rebuilt from its frames alone",
        );
    }
    Ok(())
}

/// Connects until it works; `None` when the recording is over before.
fn reconnect(venue: &Venue, symbol: &str, clock: &Clock, over: &impl Fn() -> bool) -> Option<Listener> {
    let mut pauses = Pauses::default();
    while !over() {
        match Listener::open(venue, symbol, clock) {
            Ok(listener) => return Some(listener),
            Err(error) => trade::say(&format!("{error:#}")),
        }
        let until = clock.now() + Nanos(i64::try_from(pauses.next().as_nanos()).expect("seconds"));
        while !over() && clock.now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    None
}

fn progress(recorder: &Recorder, span: Nanos) -> String {
    let seconds = span.as_millis() as f64 / 1e3;
    format!("{} frames, {} bytes in {seconds:.1} s", recorder.frames, recorder.writer.bytes())
}
