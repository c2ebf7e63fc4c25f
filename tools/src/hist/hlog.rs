//! A standard `.hlog` interval log: one line per stage, tagged with its name. The whole run is one interval, because the run keeps sums.

use crate::run::Run;
use anyhow::{Context, Result, anyhow};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use spinquote::journal::histogram::Snapshot;
use spinquote::unit::Nanos;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Writes the log. Values in it are nanoseconds; the column of largest values is in the tools' usual millionth, so in milliseconds.
pub fn write(path: &Path, run: &Run, stages: &[Snapshot]) -> Result<()> {
    let (start, end) = times(run);
    let since = |at: Nanos| Duration::from_nanos(at.0.max(0).unsigned_abs());
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("spinquote run {}", run.name))
        .with_start_time(UNIX_EPOCH + since(start))
        .with_base_time(UNIX_EPOCH + since(start))
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut file, &mut serializer)
        .with_context(|| path.display().to_string())?;
    for stage in stages {
        let tag =
            Tag::new(&stage.name).ok_or_else(|| anyhow!("{:?} cannot be a tag of an interval log", stage.name))?;
        let length = Duration::from_nanos((end.0 - start.0).max(0).unsigned_abs());
        log.write_histogram(&stage.to_hdr(), Duration::ZERO, length, Some(tag))
            .map_err(|error| anyhow!("{}: {error:?}", path.display()))?;
    }
    file.flush().with_context(|| path.display().to_string())
}

/// First and last time of the run, as far as its journal tells.
fn times(run: &Run) -> (Nanos, Nanos) {
    let segments = run.segments();
    let Some(&(last, _)) = segments.last() else { return (Nanos::ZERO, Nanos::ZERO) };
    let start = run.journal().ok().and_then(|mut reader| reader.next().ok().flatten().map(|found| found.time));
    let mut end = start;
    if let Ok(mut reader) = run.journal_at(last) {
        while let Ok(Some(found)) = reader.next() {
            end = Some(found.time);
        }
    }
    (start.unwrap_or(Nanos::ZERO), end.unwrap_or(Nanos::ZERO))
}
