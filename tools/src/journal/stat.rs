//! `sq journal stat`: how many records of each kind, how many bytes, over what time. Counts only.

use crate::row::{KINDS, kind_name};
use crate::run::{Run, RunArgs, each_record};
use crate::text::{self, Table};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use spinquote::journal::layout::{RECORD_HEADER, padded};
use spinquote::unit::Nanos;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

/// Count the records of each kind.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq journal stat\n  sq journal stat --json runs/20261121-101500")]
pub struct StatArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Of one kind.
#[derive(Clone, Copy, Default)]
struct Sum {
    records: u64,
    bytes: u64,
    first: Nanos,
    last: Nanos,
}

/// Counts the run's records.
pub fn run(args: &StatArgs, run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    let mut sums: BTreeMap<u16, Sum> = BTreeMap::new();
    let mut all = Sum::default();
    let end = each_record(run.journal()?, |found| {
        for sum in [sums.entry(found.kind).or_default(), &mut all] {
            if sum.records == 0 {
                sum.first = found.time;
            }
            sum.records += 1;
            sum.bytes += padded(RECORD_HEADER + found.payload.len()) as u64;
            sum.last = found.time;
        }
        Ok(true)
    });
    // In the order of the table of kinds; unknown ones last.
    let place = |kind: u16| KINDS.iter().position(|&(known, _)| known == kind).unwrap_or(KINDS.len());
    let mut rows: Vec<(u16, Sum)> = sums.into_iter().collect();
    rows.sort_by_key(|&(kind, _)| place(kind));
    if args.json {
        let of = |sum: Sum| json!({"records": sum.records, "bytes": sum.bytes, "first_time_ns": sum.first.0, "last_time_ns": sum.last.0});
        let kinds: serde_json::Map<_, _> = rows.iter().map(|&(kind, sum)| (kind_name(kind), of(sum))).collect();
        text::json(out, &json!({"run": run.name, "kinds": kinds, "all": of(all)}), true)?;
    } else {
        print(run, &rows, all, out)?;
    }
    end?;
    Ok(ExitCode::SUCCESS)
}

fn print(run: &Run, rows: &[(u16, Sum)], all: Sum, out: &mut dyn Write) -> Result<()> {
    let span = (all.last.0 - all.first.0).max(0);
    writeln!(out, "run {}: {} to {}, {}", run.name, text::time(all.first), text::time(all.last), text::span(span))?;
    let mut table = Table::new(&["<kind", "records", "a second", "bytes", "<first", "<last"]);
    let named = rows.iter().map(|&(kind, sum)| (kind_name(kind), sum));
    for (name, sum) in named.chain([("all".to_owned(), all)]) {
        let tenths = u128::from(sum.records) * 10_000_000_000 / u128::from(span.max(1).unsigned_abs());
        table.row([
            name,
            sum.records.to_string(),
            if span == 0 { "-".to_owned() } else { format!("{}.{}", tenths / 10, tenths % 10) },
            text::bytes(sum.bytes),
            text::clock(sum.first),
            text::clock(sum.last),
        ]);
    }
    table.print(out)?;
    Ok(())
}
