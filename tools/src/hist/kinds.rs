//! `sq hist --by-kind` and `--interval`: latencies from the journal, told apart by message kind and by time. Holds one histogram per stage and
//! kind of the interval under way.

use crate::latency::Tracker;
use crate::run::{Run, each_record};
use crate::text::{self, Table};
use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::{Value, json};
use spinquote::unit::Nanos;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Longest latency that is told apart, as in the engine's own histograms.
const LONGEST: u64 = 60_000_000_000;
/// Intervals of a run: more would be no table.
const INTERVALS_MAX: i64 = 100_000;

/// The latencies of one interval by stage and kind.
pub struct Interval {
    pub from: Nanos,
    pub to: Nanos,
    pub kinds: BTreeMap<(String, String), Histogram<u64>>,
}

/// Reads the journal; without `every` the whole run is one interval, without `by_kind` all kinds of a stage are one.
pub fn intervals(run: &Run, stages: &[String], by_kind: bool, every: Option<Nanos>) -> Result<Vec<Interval>> {
    let (mut tracker, mut all): (Tracker, Vec<Interval>) = (Tracker::default(), Vec::new());
    let mut fault = None;
    let end = each_record(run.journal()?, |found| {
        let begun = all.first().map_or(found.time, |first| first.from);
        let number = every.map_or(0, |every| (found.time - begun).0.max(0) / every.0.max(1));
        if number >= INTERVALS_MAX {
            fault = Some(anyhow!("more than {INTERVALS_MAX} intervals; a longer --interval makes fewer"));
            return Ok(false);
        }
        let from = Nanos(begun.0 + number * every.map_or(0, |every| every.0));
        if all.last().is_none_or(|last| last.from < from) {
            all.push(Interval { from, to: found.time, kinds: BTreeMap::new() });
        }
        let interval = all.last_mut().expect("one was just made if there was none");
        interval.to = interval.to.max(found.time);
        let Some(took) =
            tracker.take(found).filter(|took| stages.is_empty() || stages.iter().any(|name| name == took.stage))
        else {
            return Ok(true);
        };
        let kind = if by_kind { took.kind } else { String::new() };
        let histogram = interval
            .kinds
            .entry((took.stage.to_owned(), kind))
            .or_insert_with(|| Histogram::new_with_max(LONGEST, 3).expect("bounds that a histogram can have"));
        // A frame's age is below zero where the clocks differ; that is no latency.
        histogram.saturating_record(took.time.0.max(0).unsigned_abs());
        Ok(true)
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    if let Err(error) = end {
        crate::warn(&format!("{error:#}"));
    }
    Ok(all)
}

/// For people.
pub fn print(run: &Run, intervals: &[Interval], by_interval: bool, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "run {}, from its journal", run.name)?;
    let mut table = Table::new(&["<from", "<stage", "<kind", "count", "p50", "p90", "p99", "p99.9", "max"]);
    for interval in intervals {
        for ((stage, kind), histogram) in &interval.kinds {
            let at = |quantile: f64| text::span(histogram.value_at_quantile(quantile).cast_signed());
            let from = if by_interval { text::clock(interval.from) } else { "start".to_owned() };
            let row =
                [from, stage.clone(), kind.clone(), histogram.len().to_string(), at(0.5), at(0.9), at(0.99), at(0.999)];
            let [from, stage, kind, count, p50, p90, p99, p999] = row;
            let max = text::span(histogram.max().cast_signed());
            table.row([from, stage, kind, count, p50, p90, p99, p999, max]);
        }
    }
    if table.is_empty() {
        writeln!(out, "nothing in it was timed")?;
        return Ok(());
    }
    Ok(table.print(out)?)
}

/// For programs, in nanoseconds.
pub fn to_json(run: &Run, intervals: &[Interval]) -> Value {
    let one = |interval: &Interval| {
        let kinds: Vec<Value> = interval
            .kinds
            .iter()
            .map(|((stage, kind), histogram)| {
                let at = |quantile: f64| histogram.value_at_quantile(quantile);
                json!({
                    "stage": stage, "kind": kind, "count": histogram.len(), "min": histogram.min(),
                    "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": histogram.max(),
                })
            })
            .collect();
        json!({"from_time_ns": interval.from.0, "to_time_ns": interval.to.0, "kinds": kinds})
    };
    json!({"run": run.name, "unit": "ns", "intervals": intervals.iter().map(one).collect::<Vec<_>>()})
}

/// Writes an interval log: a line per interval, stage and kind, tagged `stage.kind`.
pub fn write_hlog(path: &Path, run: &Run, intervals: &[Interval]) -> Result<()> {
    let since = |at: Nanos| Duration::from_nanos(at.0.max(0).unsigned_abs());
    let start = intervals.first().map_or(Nanos::ZERO, |first| first.from);
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("spinquote run {}, from its journal", run.name))
        .with_start_time(UNIX_EPOCH + since(start))
        .with_base_time(UNIX_EPOCH + since(start))
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut file, &mut serializer)
        .with_context(|| path.display().to_string())?;
    for interval in intervals {
        let (offset, length) = (since(interval.from - start), since(interval.to - interval.from));
        for ((stage, kind), histogram) in &interval.kinds {
            let name = if kind.is_empty() { stage.clone() } else { format!("{stage}.{kind}") };
            let tag = Tag::new(&name).ok_or_else(|| anyhow!("{name:?} cannot be a tag of an interval log"))?;
            log.write_histogram(histogram, offset, length, Some(tag))
                .map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
        }
    }
    file.flush().with_context(|| path.display().to_string())
}
