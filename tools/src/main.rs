//! `sq`: reads run directories from the mapped files alone; never talks to the engine, and only `sq ctl` writes (the command page).

mod account;
mod advice;
mod alerts;
mod ctl;
mod decided;
mod detail;
mod doctor;
mod export;
mod filter;
mod gate;
mod hist;
mod incident;
mod journal;
mod latency;
mod ledger;
mod meta;
mod orders;
mod page;
mod progress;
mod prom;
mod report;
mod row;
mod run;
mod status;
mod text;
mod top;
mod unit;
mod web;
mod why;

use clap::{Parser, Subcommand};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// What an operator needs to know of a spinquote run, from its directory alone: live or long dead, without hurting the engine.
#[derive(Debug, Parser)]
#[command(
    name = "sq",
    version,
    after_help = "Every command takes the run directory as its last argument; the default is the newest run under --runs (SPINQUOTE_RUNS, \
                  else runs/).\nIs something wrong? `sq status`: its lines with -> say what to do. `sq COMMAND --help` has examples.\nTimes are UTC. Ids are RUN-SEQ in hex."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::StatusArgs),
    Top(top::TopArgs),
    Orders(orders::OrdersArgs),
    Fills(orders::FillsArgs),
    Positions(account::PositionsArgs),
    Balance(account::BalanceArgs),
    Why(why::WhyArgs),
    /// Every record of a run, decoded.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    Hist(hist::HistArgs),
    Ctl(ctl::CtlArgs),
    Report(report::ReportArgs),
    Export(export::ExportArgs),
    Prom(prom::PromArgs),
    Web(web::WebArgs),
    Incident(incident::IncidentArgs),
    Doctor(doctor::DoctorArgs),
    Unit(unit::UnitArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = run(&cli, &mut out).and_then(|code| Ok(out.flush().map(|()| code)?));
    match done {
        Ok(code) => code,
        // `sq ... | head`: the reader has seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // What was found before the fault comes first.
            let _ = out.flush();
            warn(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Journal(command) => command.run(out),
        Command::Hist(args) => hist::run(args, out),
        Command::Status(args) => status::run(args, out),
        Command::Orders(args) => orders::orders(args, out),
        Command::Fills(args) => orders::fills(args, out),
        Command::Positions(args) => account::positions(args, out),
        Command::Balance(args) => account::balance(args, out),
        Command::Ctl(args) => ctl::run(args, out),
        Command::Why(args) => why::run(args, out),
        Command::Top(args) => top::run(args, out),
        Command::Report(args) => report::run(args, out),
        Command::Export(args) => export::run(args, out),
        Command::Prom(args) => prom::run(args, out),
        Command::Web(args) => web::run(args, out),
        Command::Incident(args) => incident::run(args, out),
        Command::Doctor(args) => doctor::run(args, out),
        Command::Unit(args) => unit::run(args, out),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe))
}

/// One line for people on stderr.
fn warn(what: &str) {
    let _ = writeln!(io::stderr(), "sq: {what}");
}
