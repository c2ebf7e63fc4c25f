//! `sq export`: a run's records as one file per kind, CSV or JSON lines, streaming. Names and units of columns are those of `row` and stay.

use crate::decided::Decided;
use crate::filter::FilterArgs;
use crate::meta::Meta;
use crate::progress::{bar, place};
use crate::row::{KINDS, Row, kind_name};
use crate::run::{Run, RunArgs};
use crate::text::{self, Table};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use spinquote::journal::record::{self, FIXED_MAX};
use spinquote::journal::Record;
use spinquote::unit::Nanos;
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
}

/// Write the records as tables, one file per kind.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns: NAME_ns is nanoseconds (times since the Unix epoch), NAME_ticks and NAME_lots are whole steps, prices, quantities\n\
                        and money are exact decimal text; --columns lists all. An empty CSV cell or a JSON null does not apply or is not known.\n\
                        Records that cannot be decoded go to undecoded.csv or .jsonl.\n\n\
                        Examples:\n  sq export -o out\n  sq export -o out --format jsonl --not frame,timer runs/20261121-101500\n  \
                        duckdb -c \"select sum(fill_qty) from 'out/order.csv' where what = 'fill'\""
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
/// The columns that every kind begins with.
const HEAD: [&str; 2] = ["seq", "time_ns"];

/// Writes the files.
pub fn run(args: &ExportArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let Some(dir) = args.out.as_ref().filter(|_| !args.columns) else {
        let mut table = Table::new(&["<kind", "<columns"]);
        for (kind, name) in KINDS {
            table.row([name.to_owned(), [&HEAD.map(str::to_owned)[..], &columns(kind)].concat().join(" ")]);
        }
        table.print(out)?;
        return Ok(ExitCode::SUCCESS);
    };
    let run = Run::find(&args.run)?;
    if let Some(fault) = &run.meta.fault {
        crate::warn(fault);
    }
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let mut files = Files { dir, format: args.format, force: args.force, open: BTreeMap::new() };
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
    open: BTreeMap<String, (BufWriter<File>, Vec<String>, u64)>,
}

impl Files<'_> {
    fn write(&mut self, row: &Row) -> Result<()> {
        let decoded = !row.fields.contains_key("payload");
        let kind = if decoded { kind_name(row.kind) } else { UNDECODED.to_owned() };
        if !self.open.contains_key(&kind) {
            let columns =
                if decoded { columns(row.kind) } else { ["kind", "error", "payload"].map(str::to_owned).into() };
            let file = self.create(&kind, &columns)?;
            self.open.insert(kind.clone(), (file, columns, 0));
        }
        let Some((file, columns, count)) = self.open.get_mut(&kind) else { unreachable!("it was just put there") };
        *count += 1;
        match self.format {
            Format::Jsonl => text::json(file, &row.json(), false)?,
            Format::Csv => {
                write!(file, "{},{}", row.seq, row.time.0)?;
                for column in columns {
                    file.write_all(b",")?;
                    match row.fields.get(column) {
                        _ if !decoded && column == "kind" => write!(file, "{}", kind_name(row.kind))?,
                        None | Some(Value::Null) => {}
                        Some(Value::String(text)) => cell(file, text)?,
                        Some(other) => write!(file, "{other}")?,
                    }
                }
                file.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn create(&self, kind: &str, columns: &[String]) -> Result<BufWriter<File>> {
        let end = if self.format == Format::Csv { "csv" } else { "jsonl" };
        let path = self.dir.join(format!("{kind}.{end}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).create_new(!self.force).open(&path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{}: is there already; --force writes over it", path.display())
            }
            other => other.with_context(|| path.display().to_string())?,
        };
        let mut file = BufWriter::new(file);
        if self.format == Format::Csv {
            let names: Vec<&str> = HEAD.into_iter().chain(columns.iter().map(String::as_str)).collect();
            writeln!(file, "{}", names.join(","))?;
        }
        Ok(file)
    }

    /// Writes out what is held, and says what there is.
    fn finish(self, out: &mut dyn Write) -> Result<()> {
        let mut table = Table::new(&["<file", "records"]);
        let end = if self.format == Format::Csv { "csv" } else { "jsonl" };
        for (kind, (mut file, _, count)) in self.open {
            let path = self.dir.join(format!("{kind}.{end}"));
            file.flush().with_context(|| path.display().to_string())?;
            table.row([path.display().to_string(), count.to_string()]);
        }
        table.print(out)?;
        Ok(())
    }
}

/// A cell, quoted where it must be.
fn cell(file: &mut impl Write, text: &str) -> io::Result<()> {
    if text.contains([',', '"', '\n', '\r']) {
        write!(file, "\"{}\"", text.replace('"', "\"\""))
    } else {
        file.write_all(text.as_bytes())
    }
}

/// The columns of a kind after [`HEAD`]: those of a made-up record, because all of a kind have the same.
fn columns(kind: u16) -> Vec<String> {
    let zeros = [0_u8; FIXED_MAX];
    let payload: &[u8] = match kind {
        record::FRAME | record::SNAPSHOT | record::SETTINGS => &zeros[..record::Origin::SIZE],
        record::ORDER => &zeros[..record::ORDER_SIZE],
        // A reconciliation begins; a human pauses.
        record::ACCOUNT => &[3],
        record::OPERATOR => &[1],
        record::LINK => &zeros[..4],
        record::EXTERNAL => &zeros[..18],
        record::COMMAND => &zeros[..record::COMMAND_SIZE],
        record::DECISION => &zeros[..Decided::SIZE],
        record::CLOCK => &zeros[..record::Calibration::SIZE],
        record::RUN_START => &zeros[..record::RunStart::SIZE],
        record::RUN_END => &zeros[..record::RunEnd::SIZE],
        record::LOSS => &zeros[..record::Loss::SIZE],
        record::SENT => &zeros[..record::Sent::SIZE],
        record::GAP => &zeros[..record::FeedGap::SIZE],
        _ => &[],
    };
    let found = Record { kind, flags: 0, seq: 0, time: Nanos::ZERO, payload };
    Row::of(&found, &Meta::default()).fields.keys().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_columns() {
        for (kind, name) in KINDS {
            let bare = matches!(kind, record::KILL | record::TIMER | record::SEAL);
            assert_eq!(columns(kind).is_empty(), bare, "{name}");
            assert!(!columns(kind).contains(&"error".to_owned()), "{name}: {:?}", columns(kind));
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let quoted = |text: &str| {
            let mut out = Vec::new();
            cell(&mut out, text).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            ["a b", "a,b", "say \"x\"", "two\nlines"].map(quoted),
            ["a b", "\"a,b\"", "\"say \"\"x\"\"\"", "\"two\nlines\""]
        );
    }
}
