//! `spinquote replay RUN`: the run again, and whether every decision is the same bit for bit. Changes nothing.

use crate::cli::ReplayArgs;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use spinquote::journal::End;
use spinquote::replay::{self, Outcome};
use std::io::Write;
use std::process::ExitCode;

/// The run is different.
const DIFFERENT: u8 = 1;
/// The run cannot be read, or not to its end.
const UNREADABLE: u8 = 2;

pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    // Shown on a terminal only.
    let bar = ProgressBar::new_spinner();
    let outcome = replay::replay(&args.run, |progress| {
        bar.set_message(format!("{} records", progress.records));
        bar.tick();
    });
    bar.finish_and_clear();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            writeln!(std::io::stderr(), "spinquote: {error}").context("stderr")?;
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let text = if args.json { format!("{:#}\n", outcome.to_json()) } else { summary(&outcome) };
    std::io::stdout().write_all(text.as_bytes()).context("stdout")?;
    Ok(match (&outcome.end, outcome.identical) {
        (_, false) => ExitCode::from(DIFFERENT),
        (End::Damaged(_), true) => ExitCode::from(UNREADABLE),
        (End::Clean | End::Open, true) => ExitCode::SUCCESS,
    })
}

fn summary(outcome: &Outcome) -> String {
    let Outcome { records, inputs, commands, decisions, .. } = outcome;
    let counts = format!("{inputs} inputs, {commands} commands, {decisions} decisions in {records} records");
    let verdict = match &outcome.first_difference {
        None => format!("identical: {counts}\n"),
        Some(found) => format!(
            "different at record {}, time {} ns (identical before: {counts})\n  journal: {}\n  replay:  {}\n",
            found.record_seq, found.time.0, found.expected, found.got
        ),
    };
    match &outcome.end {
        End::Clean => verdict,
        End::Open => verdict + "the run did not end in order, or has not ended: compared up to its last record\n",
        End::Damaged(error) => verdict + &format!("compared up to the damage: {error}\n"),
    }
}
