//! `sq journal dump` and `grep`: every wanted record, one line each, from the start. Needs no more memory for a large journal than for a small one.

use super::say_fault;
use crate::filter::FilterArgs;
use crate::run::{Run, RunArgs};
use crate::text;
use anyhow::Result;
use clap::Args;
use std::io::Write;
use std::process::ExitCode;

/// Print every record.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq journal dump\n  sq journal dump --not frame,timer runs/20261121-101500\n  \
                        sq journal dump --kind order,command --from +10s --to +20s --json\n  sq journal dump --order 1a --full\n  \
                        sq journal dump --slower 5ms --kind sent,order")]
pub struct DumpArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Frames in whole.
    #[arg(long)]
    full: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Print the records whose whole line contains a text.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 when nothing was found.\n\nExamples:\n  sq journal grep what=rejected\n  \
                        sq journal grep --kind frame '\"e\":\"aggTrade\"'\n  sq journal grep -i cause=stop-loss --json runs/20261121-101500")]
pub struct GrepArgs {
    /// The text, as it stands in the line that `dump --full` prints.
    #[arg(value_name = "TEXT")]
    pattern: String,
    /// Upper and lower case are the same.
    #[arg(short, long)]
    ignore_case: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Frames in whole.
    #[arg(long)]
    full: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Prints every wanted record.
pub fn dump(args: &DumpArgs, run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    print(&args.filter, run, out, (args.limit, args.full, args.json), |_| true)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints every wanted record that has the text.
pub fn grep(args: &GrepArgs, run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    let fold = |text: &str| if args.ignore_case { text.to_lowercase() } else { text.to_owned() };
    let pattern = fold(&args.pattern);
    let found =
        print(&args.filter, run, out, (args.limit, args.full, args.json), |line| fold(line).contains(&pattern))?;
    Ok(if found > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(
    filter: &FilterArgs,
    run: &Run,
    out: &mut dyn Write,
    (limit, full, json): (Option<u64>, bool, bool),
    wanted: impl Fn(&str) -> bool,
) -> Result<u64> {
    say_fault(run);
    let mut printed = 0;
    filter.of(run)?.each(run, |row| {
        if limit.is_some_and(|limit| printed >= limit) {
            return Ok(false);
        }
        let line = row.line(true);
        if wanted(&line) {
            match json {
                true => text::json(out, &row.json(), false)?,
                false if full => writeln!(out, "{line}")?,
                false => writeln!(out, "{}", row.line(false))?,
            }
            printed += 1;
        }
        Ok(true)
    })?;
    Ok(printed)
}
