//! `sq journal tail`: the last records, and with `--follow` those that come. Reads from the end backwards, a segment at a time.

use super::say_fault;
use crate::filter::{Filter, FilterArgs};
use crate::row::Row;
use crate::run::{Life, Run, RunArgs, read_fault};
use crate::text;
use anyhow::Result;
use clap::Args;
use spinquote::journal::Reader;
use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Print the last records; follow a live run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq journal tail\n  sq journal tail -n 50 --not frame,timer\n  \
                        sq journal tail --follow --kind command,order,decision runs/20261121-101500")]
pub struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Go on with new records until the run ends or Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Frames in whole.
    #[arg(long)]
    full: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// How often a follower looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Prints them.
pub fn run(args: &TailArgs, run: &Run, out: &mut dyn Write) -> Result<ExitCode> {
    say_fault(run);
    let filter = args.filter.of(run)?;
    let print = |row: &Row, out: &mut dyn Write| {
        if args.json { text::json(out, &row.json(), false) } else { writeln!(out, "{}", row.line(args.full)) }
    };
    let (rows, end) = last(run, &filter, args.lines)?;
    for row in &rows {
        print(row, out)?;
    }
    let mut reader = end?;
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    let mut ended = false;
    loop {
        match reader.next().map_err(read_fault)? {
            Some(found) if filter.takes(&found) => print(&Row::of(&found, &run.meta), out)?,
            Some(_) => {}
            // What came between the last look and the end is read before this is left.
            None if ended => return Ok(ExitCode::SUCCESS),
            None => {
                out.flush()?;
                ended = matches!(run.life(), Life::Ended { .. });
                if !ended {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        }
    }
}

/// The last rows, oldest first, and a reader behind them or the damage that ends the journal.
fn last(run: &Run, filter: &Filter, lines: usize) -> Result<(VecDeque<Row>, Result<Reader>)> {
    let segments = run.segments();
    let mut rows: VecDeque<Row> = VecDeque::new();
    // A run without a used segment says so here.
    let mut end = run.journal();
    let mut next_first = u64::MAX;
    for (at, &(index, header)) in segments.iter().enumerate().rev() {
        let mut reader = run.journal_at(index)?;
        let mut here: VecDeque<Row> = VecDeque::new();
        let damage = loop {
            match reader.next() {
                Ok(Some(found)) if found.seq >= next_first => break None,
                Ok(Some(found)) => {
                    if lines > 0 && filter.takes(&found) {
                        if here.len() + rows.len() >= lines {
                            here.pop_front();
                        }
                        if here.len() + rows.len() < lines {
                            here.push_back(Row::of(&found, &run.meta));
                        }
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(read_fault(error)),
            }
        };
        if at + 1 == segments.len() || damage.is_some() {
            end = damage.map_or(Ok(reader), Err);
        }
        here.append(&mut rows);
        rows = here;
        next_first = header.first_seq;
        if rows.len() >= lines {
            break;
        }
    }
    Ok((rows, end))
}
