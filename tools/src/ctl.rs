//! `sq ctl`: the kill ladder for a human. The only command that writes, and only the command page; destructive verbs show what will happen
//! and want the run's name typed back.

use crate::account::ticks_text;
use crate::page::Page;
use crate::run::{Life, Run, RunArgs, now, page_fault};
use crate::text;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use spinquote::event::Operator;
use spinquote::instrument::InstrumentId;
use spinquote::journal::command_page::{CommandPage, Watcher};
use spinquote::unit::{Lots, Nanos};
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Verb {
    /// Withdraw quotes; orders and position stay known.
    Pause,
    /// Quote again; after a kill, clears the flag first.
    Resume,
    /// Quote only what shrinks the position.
    ReduceOnly,
    /// Cancel our orders and pause.
    CancelAll,
    /// Cancel our orders, close the position with reduce-only market orders, pause.
    Flatten,
    /// Cancel our orders and end the run.
    Stop,
    /// Set the kill flag: needs no live engine loop, waits for nothing.
    Kill,
}

/// Command a live run: pause, resume, reduce-only, cancel-all, flatten, stop, kill.
#[derive(Debug, Args)]
#[command(
    after_help = "cancel-all, flatten, stop, kill, and resume after a kill show what will happen and want the run's name typed back;\n\
                  scripts give it with --yes RUN-NAME.\nExit code 0: both threads took the command. 1: not sent, or not taken in time.\n\n\
                  Examples:\n  sq ctl pause\n  sq ctl reduce-only runs/20261121-101500\n  \
                  sq ctl cancel-all --yes 20261121-101500\n  sq ctl kill --yes 20261121-101500 --by \"night desk\""
)]
pub struct CtlArgs {
    /// What to do.
    #[arg(value_enum)]
    verb: Verb,
    /// The run's name, instead of typing it.
    #[arg(long, value_name = "RUN-NAME")]
    yes: Option<String>,
    /// Who asks and why, for the page; otherwise the user's name.
    #[arg(long, value_name = "TEXT")]
    by: Option<String>,
    /// How long to wait for both threads.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = spinquote::config::value::duration)]
    timeout: Nanos,
    #[command(flatten)]
    run: RunArgs,
}

impl Verb {
    const fn operator(self) -> Option<Operator> {
        Some(match self {
            Self::Pause => Operator::Pause,
            Self::Resume => Operator::Resume,
            Self::ReduceOnly => Operator::ReduceOnly,
            Self::CancelAll => Operator::CancelAll,
            Self::Flatten => Operator::Flatten,
            Self::Stop => Operator::Stop,
            Self::Kill => return None,
        })
    }

    const fn effect(self) -> &'static str {
        match self {
            Self::Pause => "withdraws the quotes",
            Self::Resume => "quotes again",
            Self::ReduceOnly => "quotes only what shrinks the position",
            Self::CancelAll => "cancels all our orders and pauses",
            Self::Flatten => "cancels all our orders, closes the position AT MARKET, and pauses",
            Self::Stop => "cancels all our orders and ends the run; the position stays",
            Self::Kill => "sets the kill flag: both threads stop trading and cancel; only `sq ctl resume` ends it",
        }
    }
}

/// Carries it out.
pub fn run(args: &CtlArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let life = run.life();
    if let Life::Ended { .. } = life {
        bail!("run {} has {}; there is nothing to command", run.name, life.sentence());
    }
    let path = run.dir.command();
    let mut page = CommandPage::open(&path).map_err(|error| page_fault(&path, "command page", error))?;
    let killed = page.killed_at();
    let rearms = args.verb == Verb::Resume
        && (killed.is_some() || Page::open(&run).is_ok_and(|page| page.count("engine.killed") != 0));
    let destructive = rearms || matches!(args.verb, Verb::CancelAll | Verb::Flatten | Verb::Stop | Verb::Kill);
    let verb = text::name(args.verb);
    preview(args.verb, &run, life, killed, out)?;
    out.flush()?;
    if destructive || args.yes.is_some() {
        confirm(&run.name, args.yes.as_deref(), out)?;
    }
    let by = args.by.clone().unwrap_or_else(|| std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()));
    let Some(operator) = args.verb.operator() else {
        page.kill(now());
        writeln!(out, "kill: the flag is set")?;
        return seen_killed(args.timeout, &run, life, out);
    };
    if rearms {
        page.clear_kill();
        writeln!(out, "the kill flag is cleared")?;
    }
    let seq = page.request(operator, &by).map_err(|error| anyhow::anyhow!(error))?;
    writeln!(out, "{verb}: asked as command {seq} by {by}")?;
    out.flush()?;
    let until = Instant::now() + wait(args.timeout);
    while !page.taken(seq) && Instant::now() < until {
        sleep(Duration::from_millis(2));
    }
    let watchers = [(Watcher::Engine, "engine"), (Watcher::Sender, "sender")];
    let late: Vec<&str> =
        watchers.into_iter().filter(|&(watcher, _)| !page.taken_by(watcher, seq)).map(|(_, name)| name).collect();
    if late.is_empty() {
        writeln!(out, "{verb}: taken by the engine and the I/O thread")?;
        return Ok(ExitCode::SUCCESS);
    }
    for name in late {
        writeln!(
            out,
            "{verb}: NOT taken by the {} within {}; {}",
            thread(name),
            text::span(args.timeout.0),
            beat(&run, name)
        )?;
    }
    writeln!(
        out,
        "It stays on the page and counts as soon as the thread looks. `sq ctl kill` works past a stuck engine."
    )?;
    Ok(ExitCode::FAILURE)
}

fn wait(timeout: Nanos) -> Duration {
    Duration::from_nanos(timeout.0.max(0).unsigned_abs())
}

const fn thread(name: &str) -> &'static str {
    match name.as_bytes() {
        b"engine" => "engine thread",
        _ => "I/O thread",
    }
}

/// The thread's last sign of life.
fn beat(run: &Run, name: &str) -> String {
    match Page::open(run).ok().and_then(|page| page.value(&format!("{name}.heartbeat"))) {
        None | Some(0) => "it has shown no heartbeat".to_owned(),
        Some(at) => format!("its last heartbeat is {} old", text::span((now().0 - at).max(0))),
    }
}

/// Says what stands now and what the verb does.
fn preview(verb: Verb, run: &Run, life: Life, killed: Option<Nanos>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "run {}: {}", run.name, life.sentence())?;
    if let Some(at) = killed {
        writeln!(out, "the kill flag is set since {}", text::time(at))?;
    }
    // A page that cannot be read must not keep anybody from stopping a run.
    match Page::open(run) {
        Ok(page) => {
            for (at, symbol) in page.symbols.iter().enumerate() {
                let on = InstrumentId(at as u16);
                let qty = run.meta.qty_text(on, Lots(page.of(at, "position").unwrap_or(0)));
                let live = page.of(at, "orders_live").unwrap_or(0);
                let (bid, ask) = (ticks_text(run, at, page.of(at, "bid")), ticks_text(run, at, page.of(at, "ask")));
                writeln!(out, "{symbol}: position {qty}, {live} live orders, market {bid} / {ask}")?;
            }
        }
        Err(error) => writeln!(out, "what stands now is not known: {error:#}")?,
    }
    writeln!(out, "{}: {}", text::name(verb), verb.effect())?;
    Ok(())
}

/// The run's name, given or typed, must be right.
fn confirm(name: &str, given: Option<&str>, out: &mut dyn Write) -> Result<()> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None => {
            write!(out, "type the run's name to go on: ")?;
            out.flush()?;
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).context("reading the run's name")?;
            line.trim().to_owned()
        }
    };
    if typed != name {
        bail!("{typed:?} is not the run's name, {name:?}: nothing was sent");
    }
    Ok(())
}

/// The flag has no acknowledgement of its own; the engine shows on the counters page that it obeys.
fn seen_killed(timeout: Nanos, run: &Run, life: Life, out: &mut dyn Write) -> Result<ExitCode> {
    let Ok(page) = Page::open(run) else {
        writeln!(out, "kill: without a counters page nobody can say whether it was seen")?;
        return Ok(ExitCode::FAILURE);
    };
    let until = Instant::now() + wait(timeout);
    while page.count("engine.killed") == 0 && Instant::now() < until {
        sleep(Duration::from_millis(2));
    }
    if page.count("engine.killed") != 0 {
        writeln!(out, "kill: the engine shows that it is killed; {} live orders are left", live_orders(&page))?;
        return Ok(ExitCode::SUCCESS);
    }
    let gone = if matches!(life, Life::Live(_)) { "" } else { "; if the process is gone, cancel at the venue" };
    writeln!(
        out,
        "kill: NOT shown by the engine thread within {}; {}. The I/O thread reads the flag by itself ({}){gone}",
        text::span(timeout.0),
        beat(run, "engine"),
        beat(run, "sender")
    )?;
    Ok(ExitCode::FAILURE)
}

fn live_orders(page: &Page) -> i64 {
    (0..page.symbols.len()).filter_map(|at| page.of(at, "orders_live")).sum()
}
