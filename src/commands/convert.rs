//! `spinquote convert`: market data of any known kind into one compact feed. Leaves no half-written feed under the name that was asked for.

use crate::cli::{ConvertArgs, SourceArgs};
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use spinquote::replay::feed::{DataReport, FaultKind, FeedWriter, FileReport, Source, SourceOptions, Written};
use spinquote::unit::Nanos;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Events between two looks at the progress.
const PROGRESS_EVERY: u64 = 1 << 14;

/// How the files are read.
pub fn options(args: &SourceArgs) -> SourceOptions {
    SourceOptions {
        terms: args.instrument.clone(),
        symbol: args.symbol.clone(),
        base_latency: args.base_latency,
        ..SourceOptions::default()
    }
}

pub fn run(args: &ConvertArgs) -> Result<ExitCode> {
    let out = &args.out;
    ensure!(!out.exists(), "{} exists; a feed never replaces a file", out.display());
    let started = Instant::now();
    // Shown on a terminal only.
    let bar = ProgressBar::new_spinner().with_message("looking at the files");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let source = Source::open(&args.files, &options(&args.source))?;
    let mut part = out.clone().into_os_string();
    part.push(".part");
    let part = Path::new(&part);
    let converted = write(source, part, &bar);
    bar.finish_and_clear();
    let (report, written) = match converted {
        Ok((report, written)) if written.records == 0 => {
            let _ = fs::remove_file(part);
            bail!("nothing in the files is an event of a market:\n{}", summary(&report, &written, out, 1.0));
        }
        Ok(converted) => converted,
        Err(error) => {
            // Nobody can read it; an older left-over under this name was ours too.
            let _ = fs::remove_file(part);
            return Err(error);
        }
    };
    fs::rename(part, out).with_context(|| format!("{}: cannot take its name", out.display()))?;
    let seconds = started.elapsed().as_secs_f64();
    let text = if args.json { json(&report, &written, out, seconds) } else { summary(&report, &written, out, seconds) };
    std::io::stdout().write_all(text.as_bytes()).context("stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn write(mut source: Source, part: &Path, bar: &ProgressBar) -> Result<(DataReport, Written)> {
    let name = || part.display().to_string();
    let file = File::create(part).with_context(name)?;
    let mut writer = FeedWriter::new(BufWriter::new(file), source.instruments()).with_context(name)?;
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {eta} left  {msg}").context("the bar's form")?,
    );
    bar.set_length(source.progress().1);
    let mut records = 0_u64;
    while let Some(timed) = source.next()? {
        writer.append(&timed).with_context(name)?;
        records += 1;
        if records.is_multiple_of(PROGRESS_EVERY) {
            bar.set_position(source.progress().0);
            bar.set_message(format!("{records} records"));
        }
    }
    let (file, written) = writer.finish().with_context(name)?;
    file.into_inner().context("the last bytes")?.sync_all().with_context(name)?;
    Ok((source.report().clone(), written))
}

fn json(report: &DataReport, written: &Written, out: &Path, seconds: f64) -> String {
    let mut value = report.to_json();
    value["out"] = serde_json::json!({
        "path": out.display().to_string(),
        "records": written.records,
        "events": written.events,
        "bytes": written.bytes,
    });
    value["seconds"] = serde_json::json!(seconds);
    format!("{value:#}\n")
}

fn summary(report: &DataReport, written: &Written, out: &Path, seconds: f64) -> String {
    let mut text = String::new();
    let rows: Vec<[String; 8]> = report.files.iter().map(row).collect();
    let head = ["file", "kind", "frames", "events", "first", "last", "clock", "faults"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in [&head].into_iter().chain(&rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    for book in &report.books {
        let _ = writeln!(
            text,
            "book of {}: known {} times ({} rebuilt without a snapshot), lost {} times; tick {}, lot {}",
            book.symbol, book.known, book.rebuilt, book.lost, book.tick, book.lot
        );
        if book.known == 0 {
            let _ = writeln!(
                text,
                "  no snapshot joins its changes and no book could be rebuilt: nothing can be quoted on it"
            );
        }
    }
    for file in &report.files {
        for fault in file.faults() {
            let _ = writeln!(text, "{}", file.describe(fault));
        }
        for kind in FaultKind::ALL {
            let more = file.count(kind) - file.faults().iter().filter(|fault| fault.kind == kind).count() as u64;
            if more > 0 {
                let _ = writeln!(text, "{}: {more} more of kind {}", file.path.display(), kind.name());
            }
        }
    }
    let Written { records, events, bytes } = written;
    let rate = *events as f64 / seconds.max(1e-9) / 1e6;
    let _ = writeln!(
        text,
        "{}: {events} events in {records} records, {bytes} bytes; {seconds:.2} s, {rate:.1} million events/s",
        out.display()
    );
    text
}

fn row(file: &FileReport) -> [String; 8] {
    let clock = match (file.shift, file.latency_min) {
        (Nanos::ZERO, None) => "as is".to_owned(),
        (Nanos::ZERO, Some(least)) => format!("sound, least latency {}", ms(least)),
        (shift, Some(least)) => format!("{} behind, shifted by {}", ms(-least), ms(shift)),
        (shift, None) => format!("shifted by {}", ms(shift)),
    };
    let clock = match file.resolution.0 {
        1 => clock,
        1_000 => clock + ", in us",
        _ => clock + ", in ms",
    };
    let faults = FaultKind::ALL.into_iter().filter(|&kind| file.count(kind) > 0);
    let faults: Vec<String> = faults.map(|kind| format!("{} {}", file.count(kind), kind.name())).collect();
    [
        file.path.file_name().unwrap_or(file.path.as_os_str()).to_string_lossy().into_owned(),
        file.kind.name().to_owned(),
        file.frames.to_string(),
        file.events.to_string(),
        time(file.first),
        time(file.last),
        clock,
        if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
    ]
}

fn ms(time: Nanos) -> String {
    format!("{:.3} ms", time.0 as f64 / 1e6)
}

fn time(time: Option<Nanos>) -> String {
    let Some(time) = time else { return "-".to_owned() };
    match jiff::Timestamp::from_nanosecond(time.0.into()) {
        Ok(stamp) => format!("{stamp:.3}"),
        Err(_) => format!("{} ns", time.0),
    }
}
