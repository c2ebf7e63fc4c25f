//! `sq doctor`: every entry of `tuning.md` checked on this host, and the jitter of a spinning core measured. Changes nothing; what needs
//! root to be seen is said not to be seen.

mod checks;
mod guide;
mod host;
mod jitter;

use crate::text;
use anyhow::{Context, Result, bail};
use checks::{CHECKS, Check, Finding, Policy, Verdict};
use clap::Args;
use guide::Entry;
use host::Host;
use serde_json::{Value, json};
use spinquote::unit::Nanos;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check this host against tuning.md, entry by entry, and measure how often a spinning core is interrupted.
#[derive(Debug, Args)]
#[command(
    after_help = "Marks: ok; FIX is required, fix worth doing, opt a choice; ? could not be seen; - does not apply here.\n\
                  --strict exits 1 when a required entry is not met, or one that --require names; --allow excuses entries. What could not be\n\
                  seen does not fail unless --require names it.\n\n\
                  Examples:\n  sq doctor\n  sq doctor --engine engine.toml --jitter 10s\n  sq doctor --cores 4,5 --nic ens5 --json\n  \
                  sq doctor --strict --engine engine.toml --allow T-SMT,T-TIME-SYNC --jitter 0s"
)]
pub struct DoctorArgs {
    /// Exit with 1 where policy is not met: for a unit's ExecStartPre.
    #[arg(long)]
    strict: bool,
    /// Entries that --strict demands besides the required ones, such as T-BUSY-POLL.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    require: Vec<String>,
    /// Entries that --strict excuses.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    allow: Vec<String>,
    /// Settings whose cores and journal are meant.
    #[arg(long, value_name = "FILE")]
    engine: Option<PathBuf>,
    /// Cores of the engine and the I/O thread, instead of the settings'.
    #[arg(long, value_name = "ENGINE,IO", value_parser = cores)]
    cores: Option<(usize, usize)>,
    /// The market-data interface; that of the default route otherwise.
    #[arg(long, value_name = "NAME")]
    nic: Option<String>,
    /// How long to spin on the engine's core and look for gaps; 0s does not.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = spinquote::config::value::duration)]
    jitter: Nanos,
    /// Only these entries.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Read the host below this directory instead of /.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn cores(text: &str) -> Result<(usize, usize), String> {
    let pair = text.split_once(',').and_then(|(engine, io)| Some((engine.parse().ok()?, io.parse().ok()?)));
    pair.ok_or_else(|| "want two numbers such as 2,3".to_owned())
}

/// An entry of the guide with what was found.
struct Row {
    entry: Entry,
    policy: Policy,
    finding: Finding,
    fix: String,
}

impl Row {
    const fn mark(&self) -> &'static str {
        match (self.finding.verdict, self.policy) {
            (Verdict::Good, _) => "ok",
            (Verdict::Bad, Policy::Required) => "FIX",
            (Verdict::Bad, Policy::Recommended) => "fix",
            (Verdict::Bad, Policy::Optional) => "opt",
            (Verdict::Unseen, _) => "?",
            (Verdict::NotHere, _) => "-",
        }
    }

    const fn word(&self) -> &'static str {
        match self.finding.verdict {
            Verdict::Good => "ok",
            Verdict::Bad => "not met",
            Verdict::Unseen => "not seen",
            Verdict::NotHere => "does not apply",
        }
    }
}

/// Looks and says.
pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let guide = guide::entries()?;
    for id in args.require.iter().chain(&args.allow).chain(&args.only) {
        if !guide.iter().any(|entry| entry.id == *id) {
            let known: Vec<&str> = guide.iter().map(|entry| entry.id.as_str()).collect();
            bail!("{id:?} is no entry of tuning.md; there are {}", known.join(", "));
        }
    }
    let (host, notes) = host(args)?;
    let rows: Vec<Row> = guide
        .into_iter()
        .filter(|entry| args.only.is_empty() || args.only.contains(&entry.id))
        .map(|entry| {
            let Check { policy, look, .. } = check_of(&entry.id)?;
            let fix = guide::fix(&entry, &host);
            Ok(Row { finding: look(&host), policy: *policy, fix, entry })
        })
        .collect::<Result<_>>()?;
    let jitter = (args.jitter.0 > 0).then(|| jitter::measure(host.engine_core, args.jitter));
    let failed: Vec<&str> = rows.iter().filter(|row| fails(args, row)).map(|row| row.entry.id.as_str()).collect();
    if args.json {
        let list: Vec<Value> = rows.iter().map(to_json).collect();
        let all = json!({
            "engine_core": host.engine_core,
            "io_core": host.io_core,
            "nic": host.nic,
            "root": host.is_root,
            "notes": notes,
            "entries": list,
            "jitter": jitter.as_ref().map(jitter::Jitter::to_json),
            "strict_failed": failed,
        });
        text::json(out, &all, true)?;
    } else {
        print(&host, &notes, &rows, out)?;
        if let Some(jitter) = &jitter {
            jitter.print(out)?;
        }
        summary(&host, &rows, out)?;
    }
    if !args.strict || failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.json {
        writeln!(out, "strict: not met: {}", failed.join(", "))?;
    }
    Ok(ExitCode::FAILURE)
}

/// How many of each kind; those that are required and not met by name.
fn summary(host: &Host, rows: &[Row], out: &mut dyn Write) -> Result<()> {
    let with = |mark: &str| rows.iter().filter(|row| row.mark() == mark).map(|row| row.entry.id.as_str()).collect();
    let [good, must, worth, choice, unseen, not_here]: [Vec<&str>; 6] = ["ok", "FIX", "fix", "opt", "?", "-"].map(with);
    let mut parts = vec![format!("{} of {} ok", good.len(), rows.len())];
    if !must.is_empty() {
        parts.push(format!("FIX {}", must.join(", ")));
    }
    for (which, what) in [(worth, "worth doing"), (choice, "a choice"), (not_here, "not on this host")] {
        if !which.is_empty() {
            parts.push(format!("{} {what}", which.len()));
        }
    }
    if !unseen.is_empty() {
        let who = if host.is_root { "" } else { ", more as root" };
        parts.push(format!("{} could not be seen{who}", unseen.len()));
    }
    writeln!(out, "{}", parts.join("; "))?;
    Ok(())
}

fn fails(args: &DoctorArgs, row: &Row) -> bool {
    let id = &row.entry.id;
    let demanded = args.require.contains(id);
    let bad = row.finding.verdict == Verdict::Bad && (demanded || row.policy == Policy::Required);
    let unseen = row.finding.verdict == Verdict::Unseen && demanded;
    (bad || unseen) && !args.allow.contains(id)
}

fn check_of(id: &str) -> Result<&'static Check> {
    CHECKS.iter().find(|check| check.id == id).with_context(|| format!("{id} of tuning.md has no check"))
}

/// The host, and what a person must know of the cores that are looked at.
fn host(args: &DoctorArgs) -> Result<(Host, Vec<String>)> {
    let settings = match &args.engine {
        None => None,
        Some(path) => match spinquote::config::load::engine(path) {
            Ok(loaded) => Some(loaded.settings),
            Err(problems) => {
                let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
                bail!("{}: {}", path.display(), said.join("; "));
            }
        },
    };
    let threads = settings.as_ref().map(|settings| &settings.threads);
    let set = threads.and_then(|threads| Some((threads.engine_core? as usize, threads.io_core? as usize)));
    // Those of the guide.
    let (engine_core, io_core) = args.cores.or(set).unwrap_or((2, 3));
    let live_dir = settings.as_ref().and_then(|settings| settings.journal.live_dir.clone());
    let host = Host::new(args.root.clone(), engine_core, io_core, args.nic.clone(), live_dir);
    let mut notes = Vec::new();
    if args.cores.or(set).is_none() {
        let place = args.engine.as_ref().map_or_else(String::new, |path| format!(" in {}", path.display()));
        notes.push(format!("no cores are named{place}: the guide's are meant; --cores ENGINE,IO or threads.engine_core and io_core name others"));
    }
    let cores = host.cores();
    if !cores.is_empty() && ![engine_core, io_core].iter().all(|core| cores.contains(core)) {
        notes.push(format!(
            "this host has cores {} only: do NOT apply fixes that name {engine_core} and {io_core}; two for the engine want four in all",
            host::list(&cores)
        ));
        notes.push("with fewer, name no cores and run with threads.wait = \"yield\"".to_owned());
    }
    Ok((host, notes))
}

fn print(host: &Host, notes: &[String], rows: &[Row], out: &mut dyn Write) -> Result<()> {
    let nic = host.nic.as_deref().unwrap_or("none found");
    writeln!(
        out,
        "engine thread on core {}, I/O thread on core {}, network interface {nic}",
        host.engine_core, host.io_core
    )?;
    for note in notes {
        writeln!(out, "    {note}")?;
    }
    for row in rows {
        writeln!(out, "{:<4}{:<16}{}", row.mark(), row.entry.id, row.entry.title)?;
        writeln!(out, "      is      {}", row.finding.is)?;
        if row.finding.verdict == Verdict::Good {
            continue;
        }
        writeln!(out, "      should  {}", row.finding.should)?;
        if row.finding.verdict == Verdict::Bad {
            for (at, line) in row.fix.lines().enumerate() {
                writeln!(out, "      {}{line}", if at == 0 { "fix     " } else { "        " })?;
            }
        }
    }
    Ok(())
}

fn to_json(row: &Row) -> Value {
    json!({
        "id": row.entry.id,
        "title": row.entry.title,
        "why": row.entry.why,
        "policy": match row.policy {
            Policy::Required => "required",
            Policy::Recommended => "recommended",
            Policy::Optional => "optional",
        },
        "verdict": row.word(),
        "is": row.finding.is,
        "should": row.finding.should,
        "fix": row.fix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_are_the_entries_of_the_guide_in_its_order() {
        let guide: Vec<String> = guide::entries().unwrap().into_iter().map(|entry| entry.id).collect();
        let checks: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(guide, checks);
    }
}
