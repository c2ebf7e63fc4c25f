//! `sq journal`: the records of a run, decoded. Reads only.

mod dump;
mod stat;
mod tail;
mod verify;

use crate::run::Run;
use anyhow::Result;
use clap::Subcommand;
use std::io::Write;
use std::process::ExitCode;

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    Tail(tail::TailArgs),
    Dump(dump::DumpArgs),
    Grep(dump::GrepArgs),
    Verify(verify::VerifyArgs),
    Stat(stat::StatArgs),
}

impl JournalCommand {
    /// Carries it out.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode> {
        match self {
            Self::Tail(args) => tail::run(args, &Run::find(&args.run)?, out),
            Self::Dump(args) => dump::dump(args, &Run::find(&args.run)?, out),
            Self::Grep(args) => dump::grep(args, &Run::find(&args.run)?, out),
            Self::Verify(args) => verify::run(args, &Run::find(&args.run)?, out),
            Self::Stat(args) => stat::run(args, &Run::find(&args.run)?, out),
        }
    }
}

/// Says once on stderr what the run's directory does not tell.
fn say_fault(run: &Run) {
    if let Some(fault) = &run.meta.fault {
        crate::warn(fault);
    }
}
