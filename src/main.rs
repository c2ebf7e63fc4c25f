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
    log(match &command {
        Command::Demo(_) => "error",
        _ => "info",
    });
    match command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Check(args) => commands::check::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Init(args) => commands::init::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Sim(args) => commands::sim::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => commands::replay::run(&args),
        Command::Capture(_) => anyhow::bail!("not in this build"),
    }
}

/// Logs of the slow threads go to stderr; `SPINQUOTE_LOG` overrides the level.
fn log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SPINQUOTE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).try_init();
}
