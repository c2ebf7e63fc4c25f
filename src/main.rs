//! `spinquote`: arguments to settings to a command. Holds no logic of the trade.

mod cli;
mod commands;
mod diagnose;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spinquote: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Some(Command::Check(args)) => commands::check::run(&args),
        Some(Command::Init(args)) => commands::init::run(&args),
        _ => anyhow::bail!("this command is not in this build; `check` and `init` are"),
    }
}
