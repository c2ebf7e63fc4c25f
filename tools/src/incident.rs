//! `sq incident`: the minutes around an event as one bundle for others to look at: journal slice, counters, histograms, settings, alerts, log.
//! Writes only the bundle; nothing in it is a secret.

mod bundle;
mod redact;

use crate::filter::FilterArgs;
use crate::run::{Run, RunArgs};
use crate::text;
use anyhow::{Context, Result};
use bundle::Bundle;
use clap::Args;
use redact::Redactor;
use spinquote::unit::Nanos;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Bundle the minutes around an event, secrets excluded.
#[derive(Debug, Args)]
#[command(
    after_help = "The bundle holds journal.jsonl (every record in the time, decoded), counters.json, histograms.json, status.txt, alerts.jsonl,\n\
                  meta.json, bundle.json (what was taken and how often something was blacked out) and, with --log, log.txt.\n\
                  Without -o it is named RUN-incident.tar.zst and lies beside you; a name that does not end in .tar.zst makes a folder.\n\
                  Blacked out: values of keys that name a secret, parameters of signed requests, private keys in PEM, and the values of the\n\
                  variables that hold the credentials, where they are set. Look through it all the same before you give it away.\n\n\
                  Examples:\n  sq incident --at 10:15:00\n  sq incident --at 2026-11-21T10:15:00Z --around 30s -o odd-fill.tar.zst runs/20261121-101500\n  \
                  journalctl -u spinquote -o cat > log.txt; sq incident --at +90s --log log.txt -o folder"
)]
pub struct IncidentArgs {
    /// The moment: 2026-11-21T10:15:00Z, 10:15:00 on the run's first day (UTC), or +90s after its start. The run's end otherwise.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// How much before and after it.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = spinquote::config::value::duration)]
    around: Nanos,
    /// The bundle: a name in .tar.zst, or a folder.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What the run logged (its stderr); lines of the time are taken, all where their times cannot be read.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Variables whose values are blacked out wherever they stand.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "SPINQUOTE_API_KEY,SPINQUOTE_API_SECRET,SPINQUOTE_ALERT_WEBHOOK"
    )]
    secret_env: Vec<String>,
    /// Write over a bundle that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Writes the bundle.
pub fn run(args: &IncidentArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let at = moment(args, &run)?;
    let (from, to) = (Nanos(at.0 - args.around.0), Nanos(at.0.saturating_add(args.around.0)));
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-incident.tar.zst", run.name)));
    let mut redactor = Redactor::new(args.secret_env.iter().filter_map(|name| std::env::var(name).ok()));
    let mut bundle = Bundle::create(&path, &format!("{}-incident", run.name), args.force)?;

    let (journal, records, damage) = slice(&run, from, to, &mut redactor)?;
    bundle.add("journal.jsonl", &journal)?;
    for (name, command) in [
        ("counters.json", vec!["status", "--json"]),
        ("status.txt", vec!["status"]),
        ("histograms.json", vec!["hist", "--json"]),
    ] {
        let text = said(&run, &command);
        bundle.add(name, redactor.text(&text).as_bytes())?;
    }
    for (name, path) in [("meta.json", run.dir.meta()), ("alerts.jsonl", run.dir.alerts())] {
        if let Ok(text) = fs::read_to_string(&path) {
            bundle.add(name, redactor.text(&text).as_bytes())?;
        }
    }
    let mut logged = 0;
    if let Some(path) = &args.log {
        let (text, lines) = log(path, from, to, &mut redactor)?;
        logged = lines;
        bundle.add("log.txt", &text)?;
    }
    let about = serde_json::json!({
        "run": run.name,
        "at": text::time(at),
        "from": text::time(from),
        "to": text::time(to),
        "records": records,
        "log_lines": logged,
        "blacked_out": redactor.count(),
        "journal_damage": damage,
        "made_by": concat!("sq ", env!("CARGO_PKG_VERSION")),
    });
    bundle.add("bundle.json", format!("{about:#}\n").as_bytes())?;
    bundle.finish()?;
    writeln!(
        out,
        "wrote {}: {records} records from {} to {}, {} places blacked out",
        path.display(),
        text::time(from),
        text::time(to),
        redactor.count()
    )?;
    if let Some(damage) = damage {
        writeln!(out, "the journal is damaged there: {damage}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The moment that was asked for, or the run's last record.
fn moment(args: &IncidentArgs, run: &Run) -> Result<Nanos> {
    if let Some(text) = &args.at {
        return crate::filter::parse_time(text, run);
    }
    let last = run.segments().last().map_or(0, |&(index, _)| index);
    let mut reader = run.journal_at(last)?;
    let mut end = Nanos(reader.segment().base_time);
    while let Ok(Some(found)) = reader.next() {
        end = found.time;
    }
    Ok(end)
}

/// The records of the time as JSON lines; damage ends them and is said.
fn slice(run: &Run, from: Nanos, to: Nanos, redactor: &mut Redactor) -> Result<(Vec<u8>, u64, Option<String>)> {
    let (mut lines, mut records) = (Vec::new(), 0);
    let filter = FilterArgs { from: Some(text::time(from)), to: Some(text::time(to)), ..FilterArgs::default() };
    let end = filter.of(run)?.each(run, |row| {
        records += 1;
        let line = redactor.text(&row.json().to_string());
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
        Ok(true)
    });
    Ok((lines, records, end.err().map(|error| format!("{error:#}"))))
}

/// What another command of this program says of the run; a run without that file says so in its place.
fn said(run: &Run, command: &[&str]) -> String {
    let made = std::env::current_exe()
        .and_then(|sq| std::process::Command::new(sq).args(command).arg(run.dir.path()).output());
    match made {
        Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Err(error) => format!("not known: {error}\n"),
    }
}

/// Lines of the time. A line without a time belongs to the one before it.
fn log(path: &std::path::Path, from: Nanos, to: Nanos, redactor: &mut Redactor) -> Result<(Vec<u8>, u64)> {
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let (mut text, mut lines, mut wanted) = (Vec::new(), 0, true);
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| path.display().to_string())?;
        let line = String::from_utf8_lossy(&line);
        let stamp = line.split_whitespace().next().and_then(|word| word.parse::<jiff::Timestamp>().ok());
        if let Some(stamp) = stamp {
            wanted = (i128::from(from.0)..=i128::from(to.0)).contains(&stamp.as_nanosecond());
        }
        if wanted {
            text.extend_from_slice(redactor.text(&line).as_bytes());
            text.push(b'\n');
            lines += 1;
        }
    }
    Ok((text, lines))
}
