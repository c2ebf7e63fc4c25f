//! `sq journal verify`: structure and checksums of the whole journal, and where and why it stops. Exit code 1 for damage.

use crate::run::{Run, RunArgs, read_fault};
use crate::text;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use spinquote::journal::{End, ReadError, Reader, Report};
use std::io::Write;
use std::process::ExitCode;

/// Check every record; say where and why a damaged journal stops.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0: every record is good. 1: the journal is damaged or cannot be read; what stands before the damage is good.\n\n\
                        Examples:\n  sq journal verify\n  sq journal verify --json runs/20261121-101500"
)]
pub struct VerifyArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Checks the run's journal.
pub fn run(args: &VerifyArgs, run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    let report = Reader::verify(run.dir.clone()).map_err(read_fault)?;
    if args.json {
        text::json(out, &to_json(run, &report), true)?;
    } else {
        print(run, &report, out)?;
    }
    Ok(if matches!(report.end, End::Damaged(_)) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(run: &Run, report: &Report, out: &mut dyn Write) -> Result<()> {
    let Report { first_segment, segments, records, bytes, first_seq, last_seq, last_time, lost, ref end } = *report;
    writeln!(out, "run        {}", run.name)?;
    writeln!(out, "segments   {segments}, from {first_segment}")?;
    if first_segment > 0 {
        writeln!(out, "           older ones were removed: the run cannot be replayed from its start")?;
    }
    writeln!(out, "records    {records} good, {first_seq} to {last_seq}, {}", text::bytes(bytes))?;
    if records > 0 {
        writeln!(out, "last       {}", text::time(last_time))?;
    }
    if lost > 0 {
        writeln!(out, "lost       {lost} records found no segment, as the writer says itself")?;
    }
    match end {
        End::Clean => writeln!(out, "end        in order")?,
        End::Open => writeln!(out, "end        open after the last record: the run is live, or was killed")?,
        End::Damaged(error) => writeln!(out, "end        DAMAGED: {error}")?,
    }
    Ok(())
}

fn to_json(run: &Run, report: &Report) -> Value {
    let (end, damage) = match &report.end {
        End::Clean => ("clean", None),
        End::Open => ("open", None),
        End::Damaged(error) => ("damaged", Some(error)),
    };
    let place = match damage {
        Some(ReadError::Damaged { path, place, damage, .. }) => {
            json!({"file": path, "segment": place.segment, "offset": place.offset, "what": damage.to_string()})
        }
        Some(other) => json!({"what": other.to_string()}),
        None => Value::Null,
    };
    json!({
        "run": run.name,
        "first_segment": report.first_segment,
        "segments": report.segments,
        "records": report.records,
        "bytes": report.bytes,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "last_time_ns": report.last_time.0,
        "lost": report.lost,
        "end": end,
        "damage": place,
    })
}
