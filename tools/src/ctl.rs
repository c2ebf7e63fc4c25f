//! `sq ctl`: the kill ladder for a human. The only command that writes, and only the command page; destructive verbs show what will happen
//! and want the run's name typed back.

use crate::account::ticks_text;
use crate::advice;
use crate::alerts;
use crate::detail;
use crate::page::{Page, money};
use crate::run::{Life, Run, RunArgs, command_page, now};
use crate::text;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use spinquote::event::{ClientId, Operator};
use spinquote::instrument::InstrumentId;
use spinquote::journal::command_page::{CommandPage, Signature, Watcher};
use spinquote::unit::{Lots, Nanos, Ticks};
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Withdraw quotes; orders and position stay known.
    Pause(RunArgs),
    /// Quote again; after a kill, clears the flag first.
    Resume(RunArgs),
    /// Multiply every spread: 150 is half as wide again, 100 the strategy's own; never narrower.
    Widen {
        /// Percent of the strategy's own spreads.
        #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(100..=10_000))]
        percent: u16,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Quote only what shrinks the position.
    ReduceOnly(RunArgs),
    /// Cancel our orders and pause.
    CancelAll(RunArgs),
    /// Cancel our orders, close the position with reduce-only market orders, pause.
    Flatten(RunArgs),
    /// Cancel our orders and end the run.
    Stop(RunArgs),
    /// Read the settings files again.
    Reload(RunArgs),
    /// Set the kill flag: needs no live engine loop, waits for nothing.
    Kill(RunArgs),
    /// Acknowledge every alert raised so far: none of them escalates any more.
    Ack(RunArgs),
}

/// Command a live run: pause, resume, widen, reduce-only, cancel-all, flatten, stop, reload, kill, ack.
#[derive(Debug, Args)]
#[command(
    override_usage = "sq ctl [OPTIONS] VERB [RUN]\n       sq ctl [OPTIONS] widen PERCENT [RUN]",
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    after_help = "cancel-all, flatten, stop, kill, and resume after a kill show what will happen and want the run's name typed back;\n\
                  scripts give it with --yes RUN-NAME. Who asked and why is journalled with the command.\n\
                  cancel-all, flatten and stop work while the engine thread is stuck: the I/O thread cancels, and closes the position.\n\
                  Exit code 0: both threads took the command. 1: not sent, or not taken in time.\n\n\
                  Examples:\n  sq ctl pause\n  sq ctl widen 150 --why \"CPI in five minutes\"\n  sq ctl reduce-only runs/20261121-101500\n  \
                  sq ctl cancel-all --yes 20261121-101500\n  sq ctl kill --yes 20261121-101500 --by \"night desk\" --why \"odd fills\"\n  sq ctl ack"
)]
pub struct CtlArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The run's name, instead of typing it.
    #[arg(long, value_name = "RUN-NAME", global = true)]
    yes: Option<String>,
    /// Who asks; otherwise the user's name. Process and terminal are added.
    #[arg(long, value_name = "TEXT", global = true)]
    by: Option<String>,
    /// Why, for the journal.
    #[arg(long, value_name = "TEXT", global = true, default_value = "")]
    why: String,
    /// How long to wait for both threads.
    #[arg(long, value_name = "DURATION", default_value = "3s", global = true, value_parser = spinquote::config::value::duration)]
    timeout: Nanos,
}

impl Verb {
    const fn run(&self) -> &RunArgs {
        match self {
            Self::Pause(run)
            | Self::Resume(run)
            | Self::Widen { run, .. }
            | Self::ReduceOnly(run)
            | Self::CancelAll(run)
            | Self::Flatten(run)
            | Self::Stop(run)
            | Self::Reload(run)
            | Self::Kill(run)
            | Self::Ack(run) => run,
        }
    }

    /// The command; `None` for what is none: a flag, or a word about alerts.
    const fn operator(&self) -> Option<Operator> {
        Some(match self {
            Self::Pause(_) => Operator::Pause,
            Self::Resume(_) => Operator::Resume,
            Self::Widen { percent, .. } => Operator::Widen { percent: *percent },
            Self::ReduceOnly(_) => Operator::ReduceOnly,
            Self::CancelAll(_) => Operator::CancelAll,
            Self::Flatten(_) => Operator::Flatten,
            Self::Stop(_) => Operator::Stop,
            Self::Reload(_) => Operator::Reload,
            Self::Kill(_) | Self::Ack(_) => return None,
        })
    }

    const fn effect(&self) -> &'static str {
        match self {
            Self::Pause(_) => "withdraws the quotes",
            Self::Resume(_) => "quotes again",
            Self::Widen { .. } => "multiplies every spread of the strategy and quotes anew",
            Self::ReduceOnly(_) => "quotes only what shrinks the position",
            Self::CancelAll(_) => "cancels all our orders and pauses",
            Self::Flatten(_) => "cancels all our orders, closes the position AT MARKET, and pauses",
            Self::Stop(_) => "cancels all our orders and ends the run; the position stays",
            Self::Reload(_) => "reads the settings files again",
            Self::Kill(_) => "sets the kill flag: both threads stop trading and cancel; only `sq ctl resume` ends it",
            Self::Ack(_) => "acknowledges every alert raised so far",
        }
    }

    const fn is_destructive(&self) -> bool {
        matches!(self, Self::CancelAll(_) | Self::Flatten(_) | Self::Stop(_) | Self::Kill(_))
    }

    const fn cancels(&self) -> bool {
        self.is_destructive()
    }

    /// As it is typed.
    const fn name(&self) -> &'static str {
        match self {
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Widen { .. } => "widen",
            Self::ReduceOnly(_) => "reduce-only",
            Self::CancelAll(_) => "cancel-all",
            Self::Flatten(_) => "flatten",
            Self::Stop(_) => "stop",
            Self::Reload(_) => "reload",
            Self::Kill(_) => "kill",
            Self::Ack(_) => "ack",
        }
    }
}

/// Carries it out.
pub fn run(args: &CtlArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(args.verb.run())?;
    let life = run.life();
    if let Life::Ended { .. } = life {
        bail!("run {} has {}; there is nothing to command", run.name, life.sentence());
    }
    let mut page = command_page(&run)?;
    if let Verb::Ack(_) = args.verb {
        return acknowledge(&run, &page, out);
    }
    let killed = page.killed_at();
    let rearms = matches!(args.verb, Verb::Resume(_))
        && (killed.is_some() || Page::open(&run).is_ok_and(|page| page.count("engine.killed") != 0));
    let verb = args.verb.name();
    preview(&args.verb, &run, life, &page, out)?;
    out.flush()?;
    if rearms || args.verb.is_destructive() || args.yes.is_some() {
        confirm(&run.name, args.yes.as_deref(), out)?;
    }
    let signature = Signature::new(&who(args.by.as_deref()), &args.why);
    let Some(operator) = args.verb.operator() else {
        page.kill(now(), &signature);
        writeln!(out, "kill: the flag is set by {}", signature.by)?;
        return seen_killed(args.timeout, &run, life, out);
    };
    if rearms {
        page.clear_kill();
        writeln!(out, "the kill flag is cleared")?;
    }
    let (taken_over, settings) = (taken_over(&run), settings_seen(&run));
    let seq = page.request(operator, &signature).map_err(|error| anyhow::anyhow!(error))?;
    writeln!(out, "{verb}: asked as command {seq} by {}", signature.by)?;
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
        return match args.verb {
            Verb::Reload(_) => reloaded(&run, settings, out),
            Verb::Resume(_) if rearms => rearmed(&run, out),
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    for name in &late {
        writeln!(
            out,
            "{verb}: NOT taken by the {} within {}; {}",
            thread(name),
            text::span(args.timeout.0),
            beat(&run, name)
        )?;
    }
    if advice::is_abandoned(&run) {
        let name = &run.name;
        writeln!(
            out,
            "No process that can be seen has this run open, so nobody may take it: `sq status {name}` says what is left."
        )?;
    } else if taken_over.is_some_and(|before| self::taken_over(&run) > Some(before)) {
        writeln!(out, "{verb}: the I/O thread carries it out in the engine's place; look at the venue")?;
    } else {
        writeln!(
            out,
            "It stays on the page and counts as soon as the thread looks. `sq ctl kill` works past a stuck engine."
        )?;
    }
    Ok(ExitCode::FAILURE)
}

/// User, process and terminal, or what was given for the user.
fn who(given: Option<&str>) -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = given.map(str::to_owned).or_else(|| set("USER")).or_else(|| set("LOGNAME"));
    let user = user.unwrap_or_else(|| {
        let id = std::fs::metadata("/proc/self").map(|this| std::os::unix::fs::MetadataExt::uid(&this));
        id.map_or_else(|_| "unknown".to_owned(), |id| format!("uid {id}"))
    });
    // The human behind a root shell.
    let user = set("SUDO_USER").filter(|_| given.is_none()).map_or(user.clone(), |human| format!("{human} as {user}"));
    let terminal = if io::stdin().is_terminal() { std::fs::read_link("/proc/self/fd/0").ok() } else { None };
    let terminal = terminal.map_or_else(|| "no terminal".to_owned(), |path| path.display().to_string());
    format!("{user}, pid {}, {terminal}", std::process::id())
}

fn acknowledge(run: &Run, page: &CommandPage, out: &mut dyn Write) -> Result<ExitCode> {
    let active: Vec<_> = alerts::active(run).into_iter().filter(|alert| !alert.acknowledged).collect();
    page.see_alerts(now());
    if active.is_empty() {
        writeln!(out, "ack: no alert waits for it")?;
    }
    for alert in active {
        writeln!(out, "ack: {} {}: {}", alert.severity, alert.name, alert.text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Commands that the I/O thread carried out for a stuck engine; `None` where the page does not say.
fn taken_over(run: &Run) -> Option<i64> {
    Page::open(run).ok()?.value("sender.takeovers")
}

/// How often changed settings were taken over and refused so far.
fn settings_seen(run: &Run) -> [i64; 2] {
    let count =
        |page: &Page| ["housekeeper.settings_taken", "housekeeper.settings_refused"].map(|name| page.count(name));
    Page::open(run).map_or([0; 2], |page| count(&page))
}

/// What became of the settings.
fn reloaded(run: &Run, before: [i64; 2], out: &mut dyn Write) -> Result<ExitCode> {
    // The housekeeper looks within milliseconds, unless a call to the venue keeps it.
    let until = Instant::now() + Duration::from_secs(1);
    while settings_seen(run) == before && Instant::now() < until {
        sleep(Duration::from_millis(5));
    }
    let [taken, refused] = settings_seen(run);
    if refused > before[1] {
        writeln!(out, "reload: the changed settings are REFUSED, everything stays as it is; the run's log says why")?;
        return Ok(ExitCode::FAILURE);
    }
    let what =
        if taken > before[0] { "the changed settings are taken over" } else { "nothing new in the settings file" };
    writeln!(out, "reload: {what}")?;
    Ok(ExitCode::SUCCESS)
}

/// A reason that still holds kills again at once: the loss of the run counts to its end.
fn rearmed(run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    sleep(Duration::from_millis(500));
    if Page::open(run).is_ok_and(|page| page.count("engine.killed") == 0) {
        writeln!(out, "resume: the engine is armed again")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "resume: the engine is KILLED AGAIN: what killed it still holds (`sq journal grep what=killed {name}`). A loss at risk.loss_max \
         counts to the end of the run: `sq ctl flatten {name}`, `sq ctl stop {name}`, and a new run",
        name = run.name
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
fn preview(verb: &Verb, run: &Run, life: Life, command: &CommandPage, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "run {}: {}", run.name, life.sentence())?;
    if let Some(at) = command.killed_at() {
        writeln!(out, "the kill flag is set since {}", text::time(at))?;
    }
    // A page that cannot be read must not keep anybody from stopping a run.
    let page = match Page::open(run) {
        Ok(page) => page,
        Err(error) => {
            writeln!(out, "what stands now is not known: {error:#}")?;
            writeln!(out, "{}: {}", verb.name(), verb.effect())?;
            return Ok(());
        }
    };
    for (at, symbol) in page.symbols.iter().enumerate() {
        let on = InstrumentId(at as u16);
        let qty = run.meta.qty_text(on, Lots(page.of(at, "position").unwrap_or(0)));
        let live = page.of(at, "orders_live").unwrap_or(0);
        let (bid, ask) = (ticks_text(run, at, page.of(at, "bid")), ticks_text(run, at, page.of(at, "ask")));
        writeln!(out, "{symbol}: position {qty}, {live} live orders, market {bid} / {ask}")?;
    }
    match verb {
        Verb::Widen { percent, .. } => {
            let before = page.count("engine.widened").max(100);
            writeln!(out, "widen: {}, {before}% -> {percent}%", verb.effect())?;
        }
        _ => writeln!(out, "{}: {}", verb.name(), verb.effect())?,
    }
    if verb.cancels() {
        will_cancel(run, &page, out)?;
    }
    if let Verb::Flatten(_) = verb {
        (0..page.symbols.len()).try_for_each(|at| will_close(run, &page, at, out))?;
    }
    Ok(())
}

/// The orders that would go; a few of many. From the counters page, which is there at once however long the journal is.
fn will_cancel(run: &Run, page: &Page, out: &mut dyn Write) -> Result<()> {
    const SHOWN: usize = 8;
    let number = run.segments().first().map(|(_, header)| header.run);
    let mut told = 0;
    for at in 0..page.symbols.len() {
        let on = InstrumentId(at as u16);
        for (side, of) in detail::rows(page, at) {
            told += 1;
            if told > SHOWN {
                continue;
            }
            let seq = u32::try_from(of("id")).unwrap_or(0);
            let id = number.map_or_else(|| format!("#{seq:x}"), |run| text::order_id(ClientId { run, seq }));
            let (side, price) = (if side == "bid" { "buy" } else { "sell" }, ticks_text(run, at, Some(of("price"))));
            writeln!(out, "  cancels {id} {side} {} @ {price}", run.meta.qty_text(on, Lots(of("qty"))))?;
        }
    }
    let live = usize::try_from(live_orders(page)).unwrap_or(0).max(told);
    if live > told.min(SHOWN) {
        writeln!(out, "  and {} more", live - told.min(SHOWN))?;
    }
    Ok(())
}

/// What closing the position means at the best price there is now.
fn will_close(run: &Run, page: &Page, at: usize, out: &mut dyn Write) -> Result<()> {
    let on = InstrumentId(at as u16);
    let held = Lots(page.of(at, "position").unwrap_or(0));
    if held.is_zero() {
        writeln!(out, "  {}: no position to close", page.symbols[at])?;
        return Ok(());
    }
    let (side, best) = if held.0 > 0 { ("sells", "bid") } else { ("buys", "ask") };
    let best = Ticks(page.of(at, best).unwrap_or(0));
    let worth = run.meta.worth(on, best, held.abs()).map(|worth| format!(", about {}", money(worth)));
    writeln!(
        out,
        "  {}: {side} {} at {} or worse{}",
        page.symbols[at],
        run.meta.qty_text(on, held.abs()),
        run.meta.price_text(on, best),
        worth.unwrap_or_default()
    )?;
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
