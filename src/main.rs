//! `spinquote`: arguments to settings to a command. Holds no logic of the trade.

mod cli;
mod commands;
mod diagnose;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

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
    match cli.command {
        Some(Command::Check(args)) => commands::check::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Command::Init(args)) => commands::init::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Command::Replay(args)) => commands::replay::run(&args),
        _ => anyhow::bail!("this command is not in this build; `check`, `init` and `replay` are"),
    }
}
