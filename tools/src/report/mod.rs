//! `sq report`: a run as one self-contained HTML page, or as JSON, in one pass over its journal. Reads only; writes the one file asked for.

pub mod read;
pub mod replica;

use crate::run::{Run, RunArgs};
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A run as one HTML page: P&L, quotes and fills, markouts, latency, message budgets, incidents.
#[derive(Debug, Args)]
#[command(
    after_help = "The page opens from a file, asks nothing of any server, and holds the same figures as --json. A live run is shown up to its\n\
                        last record. A damaged journal is shown up to the damage, and the exit code is 1.\n\n\
                        Examples:\n  sq report\n  sq report -o run.html runs/20261121-101500\n  sq report --json | jq .markets[0].summary"
)]
pub struct ReportArgs {
    /// The page to write; without it and --json, report-RUN.html here. An older one is replaced.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the figures as JSON; a page is then only written where -o names one.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Writes the page, prints the JSON.
pub fn run(args: &ReportArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let (report, damage) = read::report(&run)?;
    let path = args.out.clone().or_else(|| (!args.json).then(|| PathBuf::from(format!("report-{}.html", run.name))));
    if let Some(path) = &path {
        std::fs::write(path, report.html()).with_context(|| path.display().to_string())?;
    }
    if args.json {
        writeln!(out, "{}", report.json())?;
    } else if let Some(path) = &path {
        writeln!(out, "wrote {}", path.display())?;
    }
    match damage {
        Some(error) => Err(error.context("the journal ends in damage; the report shows all before it")),
        None => Ok(ExitCode::SUCCESS),
    }
}
