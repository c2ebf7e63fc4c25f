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
            eprintln!("spinquote: {error:#}");
            ExitCode::FAILURE
        }
    }
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
