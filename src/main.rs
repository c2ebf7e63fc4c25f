//! `spinquote`: arguments to settings to a command. Holds no logic of the trade.

mod cli;
mod commands;
mod diagnose;

use clap::Parser;
use cli::{Cli, Command};
use spinquote::engine::memory::CountingAllocator;
use std::process::ExitCode;

/// Counts per thread: the run's summary says how often the engine thread allocated after its warm-up.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("spinquote: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, but for those that the text before them has told already.
fn with_causes(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .reduce(|told, cause| match told.contains(&cause) {
            true => told,
            false => format!("{told}: {cause}"),
        })
        .unwrap_or_default()
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let command = cli.command.unwrap_or_else(|| Command::Demo(cli::DemoArgs::default()));
    match command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Check(args) => commands::check::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Init(args) => commands::init::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Sim(args) => commands::sim::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => commands::replay::run(&args),
        Command::CancelAccount(args) => commands::cancel_account::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Capture(args) => commands::capture::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Convert(args) => commands::convert::run(&args),
        Command::Backtest(args) => commands::backtest::run(&args),
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::Merge(args) => commands::merge::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let cause = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let told = anyhow::anyhow!(cause()).context(format!("f: cannot be opened: {}", cause()));
        assert_eq!(with_causes(&told), format!("f: cannot be opened: {}", cause()));
        let error = Err::<(), _>(cause()).context("reading f").context("the market").unwrap_err();
        assert_eq!(with_causes(&error), format!("the market: reading f: {}", cause()));
    }
}
