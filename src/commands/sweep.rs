//! `spinquote sweep`: one strategy with many settings over the same data, on all cores, resumable. Decides nothing.

use super::backtest::{self, Data, Job};
use super::trade;
use crate::cli::SweepArgs;
use crate::diagnose;
use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use spinquote::config::load;
use spinquote::replay::backtest::Outcome;
use spinquote::replay::sweep::{Axis, Finished, Point, Results, Shard, Table, points, with_setting};
use spinquote::report::Report;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Points whose settings are looked at before anything runs; of a larger sweep these, which takes some seconds.
const CHECKED_MAX: usize = 100_000;

pub fn run(args: &SweepArgs) -> Result<ExitCode> {
    trade::log("error");
    let text = load::read_text(&args.strategy).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let file = args.strategy.display().to_string();
    let axes = args.set.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let all = points(&axes, args.random, args.model.seed)?;
    let keys: Vec<String> = axes.iter().map(|axis| axis.key.clone()).collect();
    let texts = |point: &Point| -> Result<String> {
        keys.iter()
            .zip(&point.values)
            .try_fold(text.clone(), |text, (key, value)| Ok(with_setting(&file, &text, key, value)?))
    };
    let first = all.first().context("no points")?;
    let (_, strategy, warnings) =
        backtest::parsed(&file, texts(first)?).with_context(|| wrong_point(&keys, &axes, first))?;
    diagnose::warnings(&warnings);
    // A key or value that the strategy does not take is found now, not after hours.
    for point in all.iter().take(CHECKED_MAX) {
        backtest::parsed(&file, texts(point)?).with_context(|| wrong_point(&keys, &axes, point))?;
    }
    let data = Data::open(&args.model, &strategy)?;

    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let rest = args.out.with_extension("jsonl");
    let mut results = Results::open(&rest, definition(args, &text, all.len()))?;
    let due: Vec<&Point> = all.iter().filter(|point| shard.has(point.number) && !results.has(point.number)).collect();
    let mine = all.iter().filter(|point| shard.has(point.number)).count();
    if due.len() < mine {
        trade::say(&format!("{} of {mine} points were finished before", mine - due.len()));
    }
    let bar = ProgressBar::new(mine as u64).with_position((mine - due.len()) as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len}  {eta} left").context("the bar's form")?);
    bar.reset_eta();

    let interrupted = trade::interrupted()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.jobs.unwrap_or(cores).clamp(1, due.len().max(1));
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let shared = Mutex::new(&mut results);
    let work = || -> Result<()> {
        while !failed.load(Ordering::Relaxed) && !interrupted.load(Ordering::Relaxed) {
            let Some(point) = due.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let done = one(args, &file, texts(point)?, &data).with_context(|| wrong_point(&keys, &axes, point))?;
            let finished = Finished { number: point.number, values: point.values.clone(), figures: done };
            let mut results = shared.lock().map_err(|_| anyhow::anyhow!("another thread panicked"))?;
            results.put(finished)?;
            bar.inc(1);
        }
        Ok(())
    };
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let outcome = work();
                    failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
                    outcome
                })
            })
            .collect();
        spawned
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
            .collect()
    });
    bar.finish_and_clear();
    outcomes.into_iter().collect::<Result<()>>()?;
    let finished = results.len();
    if finished < mine {
        trade::say(&format!("stopped: {finished} of {mine} points are finished; the same command goes on from here"));
        return Ok(ExitCode::FAILURE);
    }
    let table = results.table(&axes);
    table.write(&args.out)?;
    print(&table, &args.by, args.top, &args.out)?;
    Ok(ExitCode::SUCCESS)
}

/// Which point is wrong, and what is easily overlooked.
fn wrong_point(keys: &[String], axes: &[Axis], point: &Point) -> String {
    let ranges: Vec<&str> = axes.iter().filter(|axis| axis.is_range()).map(|axis| axis.key.as_str()).collect();
    let hint = if ranges.is_empty() {
        String::new()
    } else {
        format!(" ({} drawn with decimals: list the values of a key that takes whole numbers)", ranges.join(", "))
    };
    format!("point {}: {}{hint}", point.number, described(keys, &point.values))
}

fn described(keys: &[String], values: &[String]) -> String {
    keys.iter().zip(values).map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// What makes two results belong to one sweep. The shard is no part of it.
fn definition(args: &SweepArgs, text: &str, count: usize) -> Value {
    let model = &args.model;
    let names = |paths: &[PathBuf]| {
        paths.iter().map(|path| path.file_name().map(|n| n.to_string_lossy().into_owned())).collect::<Vec<_>>()
    };
    let engine = model.engine.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    json!({
        "sweep": 1,
        "strategy": text,
        "set": args.set,
        "random": args.random,
        "points": count,
        "data": names(&model.data),
        "synthetic_ns": model.synthetic.map(|span| span.0),
        "market_seed": model.market_seed,
        "engine": engine,
        "queue": model.queue.name(),
        "latency": model.latency,
        "fees": model.fees.map(|(maker, taker)| [maker.to_string(), taker.to_string()]),
        "deposit": model.deposit.to_string(),
        "tick_ns": model.tick.map(|tick| tick.0),
        "timer_ns": model.timer.0,
        "seed": model.seed,
    })
}

fn one(args: &SweepArgs, file: &str, text: String, data: &Data) -> Result<Map<String, Value>> {
    let (text, strategy, _) = backtest::parsed(file, text)?;
    let job = Job::new(&args.model, data, text, &strategy)?;
    let done = job.run(data, job.watch(file, &args.model), &ProgressBar::hidden())?;
    let report = backtest::finish(done.watch, &done.maker, &done.outcome, done.data.as_ref());
    Ok(row(&backtest::figures(&job, &done.outcome, done.seconds, &report, None), &done.outcome, &report))
}

/// The figures of one point, flat.
fn row(figures: &Value, outcome: &Outcome, report: &Report) -> Map<String, Value> {
    let mut row = Map::new();
    for (name, pointer) in [
        ("pnl_total", "/pnl/total"),
        ("pnl_spread", "/pnl/spread"),
        ("pnl_inventory", "/pnl/inventory"),
        ("pnl_fees", "/pnl/fees"),
        ("pnl_funding", "/pnl/funding"),
        ("max_drawdown", "/summary/max_drawdown"),
        ("sharpe_annual", "/summary/sharpe/annual"),
        ("turnover", "/summary/turnover"),
        ("fill_ratio", "/summary/fill_ratio"),
        ("two_sided", "/summary/two_sided"),
        ("position", "/position"),
        ("position_min", "/position_min"),
        ("position_max", "/position_max"),
        ("fills_buy", "/fills/buy"),
        ("fills_sell", "/fills/sell"),
        ("orders_new", "/orders/new"),
        ("orders_amend", "/orders/amend"),
        ("orders_cancel", "/orders/cancel"),
        ("orders_rejected", "/orders/rejected"),
        ("orders_refused", "/orders/refused"),
    ] {
        row.insert(name.to_owned(), figures.pointer(pointer).cloned().unwrap_or(Value::Null));
    }
    row.insert("liquidated".to_owned(), json!(i64::from(outcome.liquidated)));
    row.insert("market_seconds".to_owned(), json!(report.seconds));
    row.insert("events".to_owned(), json!(outcome.events));
    row.insert("digest".to_owned(), json!(format!("{:016x}", outcome.digest)));
    row.insert("seconds".to_owned(), figures["seconds"].clone());
    row
}

/// The best rows for people.
pub fn print(table: &Table, by: &str, top: usize, out: &Path) -> Result<()> {
    let names = || table.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let sorted = table.sorted(by).with_context(|| format!("--by {by}: no such column; there are {}", names()))?;
    ensure!(sorted.rows() > 0, "no results");
    let shown = [
        "pnl_total",
        "pnl_spread",
        "pnl_inventory",
        "pnl_fees",
        "max_drawdown",
        "fills_buy",
        "fills_sell",
        "orders_new",
    ];
    let first = sorted.columns.iter().position(|(name, _)| name == "pnl_total").unwrap_or(1);
    let columns: Vec<_> = (sorted.columns[..first].iter())
        .chain(sorted.columns[first..].iter().filter(|(name, _)| shown.contains(&name.as_str()) || name == by))
        .collect();
    let rows = sorted.rows().min(top);
    // Settings as they were set, figures rounded.
    let cell = |at: usize, row: usize| {
        let column = &columns[at].1;
        if at < first { column.exact(row) } else { column.text(row) }
    };
    let width = |at: usize| (0..rows).map(|row| cell(at, row).len()).chain([columns[at].0.len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for ((name, _), width) in columns.iter().zip(&widths) {
        let _ = write!(text, "{name:>width$}  ");
    }
    text.push('\n');
    for row in 0..rows {
        for (at, width) in widths.iter().enumerate() {
            let _ = write!(text, "{:>width$}  ", cell(at, row));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{} of {} points by {by}; all of them in {}", rows, sorted.rows(), out.display());
    std::io::stdout().write_all(text.as_bytes()).context("stdout")
}
