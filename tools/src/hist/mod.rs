//! `sq hist`: latency percentiles per stage, two runs side by side, and exports. Refuses to compare unlike hosts unless told to.

mod hlog;
mod html;
mod kinds;
mod png;
mod svg;

use crate::run::{Run, RunArgs};
use crate::text::{self, Table};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use spinquote::journal::histogram::{Snapshot, Stage};
use spinquote::unit::Nanos;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Latency percentiles per stage.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq hist\n  sq hist --stage tick_to_order,decode --json\n  \
                        sq hist --compare runs/20261120-101500 runs/20261121-101500\n  \
                        sq hist --hlog latency.hlog --svg latency.svg\n  \
                        sq hist --merge 20261119-101500,20261120-101500 --html latency.html\n  \
                        sq hist --by-kind --interval 10s --stage round_trip\n\n\
                        --by-kind and --interval read the journal: to_wire is decided to written, round_trip written to answered, frame_age the\n\
                        venue's time to ours. Without them the engine's own histograms are read. Runs of unlike hosts are neither compared nor merged.\n\
                        A value is below its percentile by at most 1/128. The stages are explained by `sq hist --explain`.")]
pub struct HistArgs {
    /// Only these stages.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    stage: Vec<String>,
    /// Another run, or its name in --runs, to stand before this one.
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// Other runs, or their names in --runs, whose values are added.
    #[arg(long, value_name = "OTHER", value_delimiter = ',', conflicts_with_all = ["compare", "by_kind", "interval"])]
    merge: Vec<PathBuf>,
    /// Compare or merge although the hosts differ or are not known.
    #[arg(long)]
    force: bool,
    /// From the journal, each kind of message apart.
    #[arg(long, conflicts_with = "compare")]
    by_kind: bool,
    /// From the journal, in intervals of this length.
    #[arg(long, value_name = "DURATION", conflicts_with = "compare", value_parser = spinquote::config::value::duration)]
    interval: Option<Nanos>,
    /// Write an interval log that HdrHistogram's tools read; its values are nanoseconds.
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Write a plot of the percentiles.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by_kind", "interval"])]
    svg: Option<PathBuf>,
    /// The same plot as pixels.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by_kind", "interval"])]
    png: Option<PathBuf>,
    /// The same plot and the table as one page.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by_kind", "interval"])]
    html: Option<PathBuf>,
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
pub const PERCENTILES: [(&str, u32); 5] =
    [("p50", 500_000), ("p90", 900_000), ("p99", 990_000), ("p999", 999_000), ("p9999", 999_900)];

/// A percentile's name for people: `p999` is `p99.9`.
pub fn shown(name: &str) -> String {
    match name.split_at_checked(3) {
        Some((whole, rest)) if !rest.is_empty() => format!("{whole}.{rest}"),
        _ => name.to_owned(),
    }
}

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
    if args.by_kind || args.interval.is_some() {
        return journalled(args, &run, out);
    }
    let mut stages = stages(&run, &args.stage)?;
    for other in &args.merge {
        let other = named(args, other)?;
        if !args.force {
            alike(&other, &run)?;
        }
        for more in self::stages(&other, &args.stage)? {
            match stages.iter_mut().find(|stage| stage.name == more.name) {
                Some(stage) => stage.merge(&more),
                None => stages.push(more),
            }
        }
    }
    if let Some(path) = &args.hlog {
        hlog::write(path, &run, &stages)?;
        writeln!(out, "wrote {}", path.display())?;
    }
    let title = match args.merge.len() {
        0 => run.name.clone(),
        more => format!("{} and {more} more", run.name),
    };
    let plots: [(&Option<PathBuf>, Draw); 3] = [
        (&args.svg, |title, stages| svg::plot(title, stages).into_bytes()),
        (&args.png, png::plot),
        (&args.html, |title, stages| html::page(title, &svg::plot(title, stages), stages).into_bytes()),
    ];
    let mut written = args.hlog.is_some();
    for (path, draw) in plots {
        let Some(path) = path else { continue };
        std::fs::write(path, draw(&title, &stages)).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        writeln!(out, "wrote {}", path.display())?;
        written = true;
    }
    match &args.compare {
        Some(other) => {
            let other = named(args, other)?;
            if !args.force {
                alike(&other, &run)?;
            }
            compare(args, (&other, &self::stages(&other, &args.stage)?), (&run, &stages), out)?;
        }
        None if args.json => {
            let all: serde_json::Map<_, _> = stages.iter().map(|stage| (stage.name.clone(), to_json(stage))).collect();
            text::json(out, &json!({"run": title, "unit": "ns", "stages": all}), true)?;
        }
        None if written => {}
        None => print(&title, &stages, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws a plot into the bytes of a file.
type Draw = fn(&str, &[Snapshot]) -> Vec<u8>;

/// Another run, by its directory or its name.
fn named(args: &HistArgs, other: &std::path::Path) -> Result<Run> {
    Run::find(&RunArgs { runs: args.run.runs.clone(), run: Some(other.to_path_buf()) })
}

/// From the journal.
fn journalled(args: &HistArgs, run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    let intervals = kinds::intervals(run, &args.stage, args.by_kind, args.interval)?;
    if let Some(path) = &args.hlog {
        kinds::write_hlog(path, run, &intervals)?;
        writeln!(out, "wrote {}", path.display())?;
    } else if args.json {
        text::json(out, &kinds::to_json(run, &intervals), true)?;
    } else {
        kinds::print(run, &intervals, args.interval.is_some(), out)?;
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

fn print(title: &str, stages: &[Snapshot], out: &mut dyn Write) -> Result<()> {
    writeln!(out, "run {title}")?;
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
            table.row([stage, shown(name), span(before), span(after), change(before, after)]);
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
