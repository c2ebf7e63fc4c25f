//! `sq hist`: latency percentiles per stage, two runs side by side, and exports. Refuses to compare unlike hosts unless told to.

mod hlog;
mod svg;

use crate::run::{Run, RunArgs};
use crate::text::{self, Table};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use spinquote::journal::histogram::{Snapshot, Stage};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Latency percentiles per stage.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq hist\n  sq hist --stage tick_to_order,decode --json\n  \
                        sq hist --compare runs/20261120-101500 runs/20261121-101500\n  \
                        sq hist --hlog latency.hlog --svg latency.svg\n\n\
                        A value is below its percentile by at most 1/128. The stages are explained by `sq hist --explain`.")]
pub struct HistArgs {
    /// Only these stages.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    stage: Vec<String>,
    /// Another run, or its name in --runs, to stand before this one.
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// Compare although the hosts differ or are not known.
    #[arg(long)]
    force: bool,
    /// Write an interval log that HdrHistogram's tools read; its values are nanoseconds.
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Write a plot of the percentiles.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Say what each stage is.
    #[arg(long)]
    explain: bool,
    /// As JSON, in nanoseconds.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the columns show, in millionths.
const PERCENTILES: [(&str, u32); 5] =
    [("p50", 500_000), ("p90", 900_000), ("p99", 990_000), ("p999", 999_000), ("p9999", 999_900)];

/// Prints and writes what is asked for.
pub fn run(args: &HistArgs, out: &mut dyn Write) -> Result<ExitCode> {
    if args.explain {
        let mut table = Table::new(&["<stage", "<what is timed"]);
        for stage in Stage::ALL {
            table.row([stage.name().to_owned(), stage.help().to_owned()]);
        }
        table.print(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = Run::find(&args.run)?;
    let stages = stages(&run, &args.stage)?;
    if let Some(path) = &args.hlog {
        hlog::write(path, &run, &stages)?;
        writeln!(out, "wrote {}", path.display())?;
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, svg::plot(&run.name, &stages))
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        writeln!(out, "wrote {}", path.display())?;
    }
    match &args.compare {
        Some(other) => {
            let other = Run::find(&RunArgs { runs: args.run.runs.clone(), run: Some(other.clone()) })?;
            if !args.force {
                alike(&other, &run)?;
            }
            compare(args, (&other, &self::stages(&other, &args.stage)?), (&run, &stages), out)?;
        }
        None if args.json => {
            let all: serde_json::Map<_, _> = stages.iter().map(|stage| (stage.name.clone(), to_json(stage))).collect();
            text::json(out, &json!({"run": run.name, "unit": "ns", "stages": all}), true)?;
        }
        None if args.hlog.is_some() || args.svg.is_some() => {}
        None => print(&run, &stages, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn stages(run: &Run, names: &[String]) -> Result<Vec<Snapshot>> {
    let page = run.histograms()?;
    if names.is_empty() {
        return Ok(page.stages().into_iter().filter(|stage| stage.count > 0).collect());
    }
    let find = |name: &String| {
        page.stage(name).ok_or_else(|| {
            let known: Vec<String> = page.stages().into_iter().map(|stage| stage.name).collect();
            anyhow::anyhow!("{name:?} is no stage of run {}; there are {}", run.name, known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Times of unlike hosts say nothing about each other.
fn alike(a: &Run, b: &Run) -> Result<()> {
    match (a.meta.fingerprint(), b.meta.fingerprint()) {
        (Some(one), Some(other)) if one == other => Ok(()),
        (Some(one), Some(other)) => bail!(
            "runs {} and {} are of unlike hosts ({one} and {other}): their times say nothing about each other; --force compares them all the same",
            a.name,
            b.name
        ),
        (one, _) => {
            let silent = if one.is_none() { a } else { b };
            bail!("meta.json of run {} does not say on which host it ran; --force compares all the same", silent.name)
        }
    }
}

fn mean(stage: &Snapshot) -> u64 {
    stage.sum.checked_div(stage.count).unwrap_or(0)
}

fn to_json(stage: &Snapshot) -> Value {
    let mut all = serde_json::Map::new();
    all.insert("count".to_owned(), stage.count.into());
    all.insert("min".to_owned(), stage.min.into());
    all.insert("mean".to_owned(), mean(stage).into());
    for (name, millionths) in PERCENTILES {
        all.insert(name.to_owned(), stage.percentile(millionths).min(stage.max).into());
    }
    all.insert("max".to_owned(), stage.max.into());
    all.insert("clamped".to_owned(), stage.clamped.into());
    Value::Object(all)
}

fn span(ns: u64) -> String {
    text::span(ns.cast_signed())
}

fn print(run: &Run, stages: &[Snapshot], out: &mut dyn Write) -> Result<()> {
    writeln!(out, "run {}", run.name)?;
    if stages.is_empty() {
        writeln!(out, "nothing was timed yet")?;
        return Ok(());
    }
    let mut table = Table::new(&["<stage", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"]);
    for stage in stages {
        let [p50, p90, p99, p999, p9999] =
            PERCENTILES.map(|(_, millionths)| span(stage.percentile(millionths).min(stage.max)));
        table.row([
            stage.name.clone(),
            stage.count.to_string(),
            span(stage.min),
            span(mean(stage)),
            p50,
            p90,
            p99,
            p999,
            p9999,
            span(stage.max),
        ]);
    }
    table.print(out)?;
    for stage in stages.iter().filter(|stage| stage.clamped > 0) {
        writeln!(out, "{}: {} values were longer than 60 s and count as 60 s", stage.name, stage.clamped)?;
    }
    Ok(())
}

fn compare(
    args: &HistArgs,
    (before, old): (&Run, &[Snapshot]),
    (after, new): (&Run, &[Snapshot]),
    out: &mut dyn Write,
) -> Result<()> {
    let pairs: Vec<(&Snapshot, &Snapshot)> =
        new.iter().filter_map(|stage| Some((old.iter().find(|other| other.name == stage.name)?, stage))).collect();
    if args.json {
        let pair = |(old, new): &(&Snapshot, &Snapshot)| {
            (new.name.clone(), json!({"before": to_json(old), "after": to_json(new)}))
        };
        let stages: serde_json::Map<_, _> = pairs.iter().map(pair).collect();
        text::json(out, &json!({"before": before.name, "after": after.name, "unit": "ns", "stages": stages}), true)?;
        return Ok(());
    }
    writeln!(out, "before: run {}, after: run {}", before.name, after.name)?;
    let mut table = Table::new(&["<stage", "<", "before", "after", "change"]);
    for (old, new) in pairs {
        let columns = PERCENTILES.iter().take(4).map(|&(name, at)| (name, old.percentile(at), new.percentile(at)));
        for (row, (name, before, after)) in columns.chain([("max", old.max, new.max)]).enumerate() {
            let stage = if row == 0 { new.name.clone() } else { String::new() };
            table.row([stage, name.to_owned(), span(before), span(after), change(before, after)]);
        }
    }
    table.print(out)?;
    Ok(())
}

/// The change in percent, to a tenth.
fn change(before: u64, after: u64) -> String {
    if before == 0 {
        return "-".to_owned();
    }
    let permille = (i128::from(after) - i128::from(before)) * 1000 / i128::from(before);
    let sign = if permille < 0 { "-" } else { "+" };
    let size = permille.unsigned_abs();
    format!("{sign}{}.{}%", size / 10, size % 10)
}
