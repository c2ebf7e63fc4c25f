//! A run from its start to its summary, the same for demo, paper and venue: progress, status line, Ctrl-C, end. Decides nothing.

use super::summary::{Summary, span};
use anyhow::Result;
use spinquote::engine::clock::Clock;
use spinquote::engine::wiring::{self, Launch, Running};
use spinquote::journal::counters::CounterReader;
use spinquote::journal::histogram::HistogramReader;
use spinquote::unit::Nanos;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the status line changes on a terminal, and elsewhere.
const STATUS_EVERY: [Nanos; 2] = [Nanos::from_secs(1), Nanos::from_secs(10)];

/// Set by Ctrl-C, by a polite kill, and by a terminal that goes away.
pub fn interrupted() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the process at once: the dead-man switch and the next start clean up after it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    // A shell and the kernel may both tell of the terminal's end, so a second word of it ends nothing. `nohup` wants it unheard.
    if !is_ignored(signal_hook::consts::SIGHUP) {
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// The process was started with this signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (signal - 1) != 0
}

/// Logs of the slow threads go to stderr; `SPINQUOTE_LOG` overrides the level. Ours only: at the finest level libraries write down whole
/// requests, and signatures, listen keys and tokens are in those.
pub fn log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SPINQUOTE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .finish();
    // Not `try_init`, which would take the records of the `log` crate as well.
    let _ = tracing::subscriber::set_global_default(lines);
}

/// Says a step on stderr.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs until `run_for` is over, the engine ends by itself, the user stops it, or `broken` (there is nothing left to trade at); prints
/// the summary.
pub fn run(
    launch: Launch,
    run_for: Option<Nanos>,
    json: bool,
    interrupted: &AtomicBool,
    broken: impl Fn() -> bool,
) -> Result<ExitCode> {
    let clock = Clock::new();
    let started = clock.now();
    let running = wiring::start(launch, say)?;
    for notice in &running.notices {
        say(&format!("note: {notice}"));
    }
    let terminal = std::io::stderr().is_terminal();
    let mut line = StatusLine::new(&running)?;
    let mut due = started;
    let mut quoting_after = None;
    while !running.is_over() && !interrupted.load(Ordering::Acquire) && !broken() {
        let now = clock.now();
        if run_for.is_some_and(|span| now - started >= span) {
            break;
        }
        if quoting_after.is_none() && line.quotes() {
            quoting_after = Some(now - started);
        }
        if now >= due {
            due = now + STATUS_EVERY[usize::from(!terminal)];
            line.show(terminal, now);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let lasted = clock.now() - started;
    if terminal {
        say("");
    }
    say("cancelling every order");
    running.stop();
    let (terms, run_dir) = (running.instruments[0].clone(), running.run_dir.clone());
    let ended = running.join()?;
    let summary = Summary::new(&terms, ended, &run_dir, lasted, quoting_after)?;
    let text = if json { format!("{:#}\n", summary.json()) } else { summary.text() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The live line, read from the run directory like any observer.
struct StatusLine {
    page: CounterReader,
    histograms: HistogramReader,
    terms: spinquote::instrument::Instrument,
    frames: i64,
    at: Nanos,
}

impl StatusLine {
    fn new(running: &Running) -> Result<Self> {
        Ok(Self {
            page: CounterReader::open(&running.run_dir.counters())?,
            histograms: HistogramReader::open(&running.run_dir.histograms())?,
            terms: running.instruments[0].clone(),
            frames: 0,
            at: Nanos::ZERO,
        })
    }

    fn of(&self, name: &str) -> i64 {
        self.page.named(&format!("{}/{name}", self.terms.symbol)).unwrap_or(0)
    }

    fn quotes(&self) -> bool {
        self.of("own_bid") != 0 && self.of("own_ask") != 0
    }

    /// What is not always there: funding, the liquidation price of a position, a margin warning, and why nothing is quoted.
    fn notes(&self, now: Nanos) -> String {
        let mut notes = String::new();
        if self.of("funding.hours") != 0 {
            let minutes = (self.of("funding.next") - now.0).max(0) / 60_000_000_000;
            let percent = self.of("funding.rate") as f64 / 1e6;
            notes.push_str(&format!(" | funding {percent:.4}% in {}h{:02}", minutes / 60, minutes % 60));
        }
        if self.of("liquidation") != 0 {
            notes.push_str(&format!(" | liquidation {:.2}", self.of("liquidation") as f64 / 1e8));
        }
        if self.page.named("margin.level").is_some_and(|level| level > 0) {
            let percent = self.page.named("margin.ratio").unwrap_or(0) as f64 / 1e6;
            notes.push_str(&format!(" | MARGIN {percent:.1}%"));
        }
        for (word, side) in [("strategy.blocked_bid", "bids"), ("strategy.blocked_ask", "asks")] {
            if self.of(word) > 1 {
                notes.push_str(&format!(" | no {side} (`sq status` says why)"));
            }
        }
        if self.page.named("engine.paused") == Some(1) {
            notes.push_str(" | NOT QUOTING");
        }
        notes
    }

    fn show(&mut self, terminal: bool, now: Nanos) {
        let frames = self.page.named("engine.frames").unwrap_or(0);
        let seconds = ((now - self.at).0 as f64 / 1e9).max(1e-3);
        let rate = if self.at.is_zero() { 0.0 } else { (frames - self.frames) as f64 / seconds };
        (self.frames, self.at) = (frames, now);
        let price = |name: &str| match self.of(name) {
            0 => "-".to_owned(),
            ticks => self.terms.tick.text(ticks),
        };
        let money = |name: &str| self.of(name) as f64 / 1e8;
        let order = self.histograms.stage("tick_to_order");
        let latency = order.filter(|stage| stage.count > 0).map_or_else(
            || "-".to_owned(),
            |stage| {
                format!("{}/{}/{}", span(stage.percentile(500_000)), span(stage.percentile(990_000)), span(stage.max))
            },
        );
        let line = format!(
            "{} mid {} | ours {} / {} | position {} | P&L {:+.2} | fills {}+{} | tick-to-order p50/p99/max {latency} | {rate:.0} msg/s{}",
            self.terms.symbol,
            if self.of("mid") == 0 { "-".to_owned() } else { format!("{:.2}", money("mid")) },
            price("own_bid"),
            price("own_ask"),
            self.terms.lot.text(self.of("position")),
            money("pnl.total"),
            self.of("fills.buy"),
            self.of("fills.sell"),
            self.notes(now),
        );
        if terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
        } else {
            say(&line);
        }
    }
}
