//! `sq export`: a run's records as one file per kind, CSV, JSON lines or Parquet, streaming. Names, types and units of columns stay.

mod columns;
mod table;

use crate::filter::FilterArgs;
use crate::progress::{bar, place};
use crate::row::{KINDS, Row, kind_name};
use crate::run::{Run, RunArgs};
use crate::text::{self, Table};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use columns::Column;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The form of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// A header line, then one line a record (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Columns of numbers, exact decimals and text, zstd-compressed.
    Parquet,
}

impl Format {
    /// The files' end.
    const fn end(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// Write the records as tables, one file per kind.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns: NAME_ns is nanoseconds (times since the Unix epoch), NAME_ticks and NAME_lots are whole steps, prices, quantities\n\
                        and money are exact decimals (text in CSV and JSON); --columns lists all with type and unit. An empty CSV cell or a null does not\n\
                        apply or is not known. Records that cannot be decoded go to undecoded.csv, .jsonl or .parquet.\n\n\
                        Examples:\n  sq export -o out\n  sq export -o out --format jsonl --not frame,timer runs/20261121-101500\n  sq export -o out --format parquet\n  \
                        duckdb -c \"select sum(fill_qty) from 'out/order.parquet' where what = 'fill'\""
)]
pub struct ExportArgs {
    /// The directory for the files; made if it is not there.
    #[arg(short, long, value_name = "DIR", required_unless_present = "columns")]
    out: Option<PathBuf>,
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    #[command(flatten)]
    filter: FilterArgs,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
    /// List the columns of every kind and write nothing.
    #[arg(long)]
    columns: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// The name of the file for records that cannot be decoded.
const UNDECODED: &str = "undecoded";
/// Writes the files.
pub fn run(args: &ExportArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let Some(dir) = args.out.as_ref().filter(|_| !args.columns) else {
        let mut table = Table::new(&["<kind", "<column", "<type", "<what"]);
        for (kind, name) in KINDS {
            for column in columns::of(Some(kind)) {
                table.row([name.to_owned(), column.name, column.form.name().to_owned(), column.what.to_owned()]);
            }
        }
        table.print(out)?;
        return Ok(ExitCode::SUCCESS);
    };
    let run = Run::find(&args.run)?;
    if let Some(fault) = &run.meta.fault {
        crate::warn(fault);
    }
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let mut files = Files { dir, format: args.format, force: args.force, run: &run.name, open: BTreeMap::new() };
    let filter = args.filter.of(&run)?;
    let progress = bar(&run);
    let mut reader = filter.start(&run)?;
    let start = place(&reader, &run);
    let damage = loop {
        match reader.next() {
            Ok(Some(found)) if filter.is_past(&found) => break None,
            Ok(Some(found)) => {
                if filter.takes(&found) {
                    files.write(&Row::of(&found, &run.meta))?;
                }
                if found.seq.is_multiple_of(4096) {
                    progress.set_position(place(&reader, &run).saturating_sub(start));
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(crate::run::read_fault(error)),
        }
    };
    progress.finish_and_clear();
    files.finish(out)?;
    match damage {
        Some(error) => Err(error.context("the journal ends in damage; all before it was written")),
        None => Ok(ExitCode::SUCCESS),
    }
}

struct Files<'a> {
    dir: &'a Path,
    format: Format,
    force: bool,
    run: &'a str,
    open: BTreeMap<String, Open>,
}

/// One kind's file and how many records are in it.
struct Open {
    sink: Sink,
    count: u64,
}

enum Sink {
    Csv(BufWriter<File>, Vec<Column>),
    Jsonl(BufWriter<File>),
    Parquet(Box<table::Table>),
}

impl Files<'_> {
    fn write(&mut self, row: &Row) -> Result<()> {
        let decoded = !row.fields.contains_key("payload");
        let kind = if decoded { kind_name(row.kind) } else { UNDECODED.to_owned() };
        if !self.open.contains_key(&kind) {
            let sink = self.create(&kind, columns::of(decoded.then_some(row.kind)))?;
            self.open.insert(kind.clone(), Open { sink, count: 0 });
        }
        let Some(open) = self.open.get_mut(&kind) else { unreachable!("it was just put there") };
        open.count += 1;
        let cell = |name: &str| match name {
            "seq" => Some(Cow::Owned(row.seq.into())),
            "time_ns" => Some(Cow::Owned(row.time.0.into())),
            "kind" if !decoded => Some(Cow::Owned(kind_name(row.kind).into())),
            name => row.fields.get(name).map(Cow::Borrowed),
        };
        match &mut open.sink {
            Sink::Jsonl(file) => text::json(file, &row.json(), false)?,
            Sink::Csv(file, columns) => {
                for (at, column) in columns.iter().enumerate() {
                    if at > 0 {
                        file.write_all(b",")?;
                    }
                    match cell(&column.name).as_deref() {
                        None | Some(Value::Null) => {}
                        Some(Value::String(text)) => quoted(file, text)?,
                        Some(other) => write!(file, "{other}")?,
                    }
                }
                file.write_all(b"\n")?;
            }
            Sink::Parquet(table) => table.row(cell).with_context(|| format!("record {}", row.seq))?,
        }
        Ok(())
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.dir.join(format!("{kind}.{}", self.format.end()))
    }

    fn create(&self, kind: &str, columns: Vec<Column>) -> Result<Sink> {
        let path = self.path(kind);
        let file = OpenOptions::new().write(true).create(true).truncate(true).create_new(!self.force).open(&path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{}: is there already; --force writes over it", path.display())
            }
            other => other.with_context(|| path.display().to_string())?,
        };
        Ok(match self.format {
            Format::Jsonl => Sink::Jsonl(BufWriter::new(file)),
            Format::Parquet => Sink::Parquet(Box::new(table::Table::new(file, kind, columns, self.run)?)),
            Format::Csv => {
                let mut file = BufWriter::new(file);
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                writeln!(file, "{}", names.join(","))?;
                Sink::Csv(file, columns)
            }
        })
    }

    /// Writes out what is held, and says what there is.
    fn finish(mut self, out: &mut dyn Write) -> Result<()> {
        let mut table = Table::new(&["<file", "records"]);
        for (kind, Open { sink, count }) in std::mem::take(&mut self.open) {
            let path = self.path(&kind).display().to_string();
            match sink {
                Sink::Csv(mut file, _) | Sink::Jsonl(mut file) => file.flush().with_context(|| path.clone())?,
                Sink::Parquet(table) => table.finish().with_context(|| path.clone())?,
            }
            table.row([path, count.to_string()]);
        }
        table.print(out)?;
        Ok(())
    }
}

/// A cell, quoted where it must be.
fn quoted(file: &mut impl Write, text: &str) -> io::Result<()> {
    if text.contains([',', '"', '\n', '\r']) {
        write!(file, "\"{}\"", text.replace('"', "\"\""))
    } else {
        file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cell = |text: &str| {
            let mut out = Vec::new();
            quoted(&mut out, text).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            ["a b", "a,b", "say \"x\"", "two\nlines"].map(cell),
            ["a b", "\"a,b\"", "\"say \"\"x\"\"\"", "\"two\nlines\""]
        );
    }
}
