//! The command line, as people type it. Defines and explains the arguments; does nothing with them.

use clap::{Args, Parser, Subcommand};
use spinquote::config::{reference, value};
use spinquote::unit::Nanos;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Quotes perpetual futures on both sides: at an embedded exchange (demo), on paper, or at a venue.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Without a command, the demo runs for 60 s.\n\nExamples:\n  spinquote\n  spinquote demo --for 10s --json\n  \
                  spinquote init perpetual_market_making > strategy.yml\n  spinquote check strategy.yml engine.toml\n  \
                  spinquote run strategy.yml --engine engine.toml --paper"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(DemoArgs),
    Run(RunArgs),
    Check(CheckArgs),
    Init(InitArgs),
    Sim(SimArgs),
    Replay(ReplayArgs),
    Capture(CaptureArgs),
    Convert(ConvertArgs),
}

/// Quote at the embedded exchange on this machine; needs no file, no key and no network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  spinquote demo\n  spinquote demo --for 2m --seed 7 --json\n  \
                        spinquote demo --strategy my.yml --capture ethusdt.gz --symbol ETHUSDT")]
pub struct DemoArgs {
    /// How long to run, such as 30s, 2m or 1h.
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub run_for: Nanos,
    #[command(flatten)]
    pub market: MarketArgs,
    /// A strategy file instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub strategy: Option<PathBuf>,
    /// Where the run directory goes; otherwise a new one under runs/.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Default for DemoArgs {
    /// What the demo does without any argument.
    fn default() -> Self {
        #[derive(Parser)]
        struct Bare {
            #[command(flatten)]
            demo: DemoArgs,
        }
        Bare::parse_from(["spinquote"]).demo
    }
}

/// The market that the embedded or stand-alone exchange plays.
#[derive(Debug, Args)]
pub struct MarketArgs {
    /// Play this recorded session, frame by frame at its own pace, instead of the synthetic market.
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// The symbol to play, such as ETHUSDT; with --capture, the one that was recorded.
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// Faults to play, such as disconnects, gaps and rejects, as a script file.
    #[arg(long, value_name = "SCRIPT")]
    pub fault: Option<PathBuf>,
    /// One seed, one market: the same seed plays the same session.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Play this recorded spot session as the second price source; otherwise the market itself is told as a spot market too.
    #[arg(long, value_name = "FILE")]
    pub spot_capture: Option<PathBuf>,
}

/// Quote at the venue that engine.toml names: live, testnet, or a stand-alone simulator.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  spinquote run strategy.yml --engine engine.toml --paper\n  \
                        spinquote run strategy.yml --engine engine.toml --for 8h --json")]
pub struct RunArgs {
    /// The strategy file (YAML or JSON).
    #[arg(value_name = "STRATEGY")]
    pub strategy: PathBuf,
    /// Venue, credentials, threads, risk limits and journal.
    #[arg(long, value_name = "FILE")]
    pub engine: PathBuf,
    /// Take live market data but fill on the built-in matching model: no order leaves, no key is needed.
    #[arg(long)]
    pub paper: bool,
    /// How long to run; otherwise until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Nanos>,
    /// Where the run directory goes; otherwise a new one under journal.dir.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Check settings files and report every fault at once; starts nothing.
#[derive(Debug, Args)]
#[command(after_help = "A file that ends in .toml is an engine file, any other a strategy.\n\nExamples:\n  \
                        spinquote check strategy.yml engine.toml")]
pub struct CheckArgs {
    /// Strategy files and engine files.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Print a commented settings file with every key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  spinquote init perpetual_market_making > strategy.yml\n  \
                        spinquote init engine > engine.toml")]
pub struct InitArgs {
    /// Which file.
    #[arg(value_name = "NAME", value_parser = templates())]
    pub name: String,
}

/// Run the exchange alone, for any client that speaks the venue's protocol.
#[derive(Debug, Args)]
#[command(after_help = "The first line on stdout is `listening https://ADDRESS` (port 0 picks one).\n\nExamples:\n  \
                        spinquote sim --listen 127.0.0.1:8443 --symbol BTCUSDT\n  \
                        spinquote sim --listen 127.0.0.1:0 --no-tls --for 60s --seed 7")]
pub struct SimArgs {
    /// Address that serves REST and all WebSocket paths.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub market: MarketArgs,
    /// Serve a spot market too, as a second price source: streams below /spot, requests below /api/v3.
    #[arg(long)]
    pub spot: bool,
    /// API key that clients must use; otherwise any key is accepted.
    #[arg(long, value_name = "KEY", requires = "secret")]
    pub key: Option<String>,
    /// Secret that signatures are checked with.
    #[arg(long, value_name = "SECRET", requires = "key")]
    pub secret: Option<String>,
    /// Serve http:// and ws:// instead of TLS.
    #[arg(long)]
    pub no_tls: bool,
    /// How long to run; otherwise until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Nanos>,
}

/// Feed a run's journal to the core again and compare every decision bit for bit.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  spinquote replay runs/20261121-101500\n  spinquote replay runs/20261121-101500 --json"
)]
pub struct ReplayArgs {
    /// The run directory.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Record a session's market data, to be played with --capture.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  spinquote capture --engine engine.toml --symbol ETHUSDT --out ethusdt.gz --for 10m\n  \
                        spinquote capture --url wss://127.0.0.1:8443 --ca sim.pem --symbol BTCUSDT --out btcusdt.gz --for 60s"
)]
pub struct CaptureArgs {
    /// The endpoint to record from.
    #[arg(long, value_name = "URL", required_unless_present = "engine", conflicts_with = "engine")]
    pub url: Option<String>,
    /// Take the endpoints from this engine file.
    #[arg(long, value_name = "FILE")]
    pub engine: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the public roots, such as a simulator's own.
    #[arg(long, value_name = "FILE", conflicts_with = "engine")]
    pub ca: Option<PathBuf>,
    /// The symbol to record, such as ETHUSDT.
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: String,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How long to record; otherwise until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Nanos>,
}

/// Turn market data of any known kind into one compact feed that is read at full speed.
#[derive(Debug, Args)]
#[command(
    after_help = "Files are recorded frames (<time> <JSON> lines, plain, gz or zst), run directories, Tardis CSV\n(incremental_book_L2, trades, \
                  quotes), hftbacktest arrays (npz, npy), and feeds; their kind is told by their content.\nThey are merged by the local time \
                  of their messages. What is wrong in them is listed with its place.\n\nExamples:\n  \
                  spinquote convert btcusdt.gz -o btcusdt.sqfeed\n  \
                  spinquote convert BTCUSDT_trades.csv.gz BTCUSDT_incremental_book_L2.csv.gz -o btcusdt.sqfeed --instrument exchangeInfo.json"
)]
pub struct ConvertArgs {
    /// Market data; several files are merged by time.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The feed to write; it must not exist.
    #[arg(short = 'o', long = "out", value_name = "OUT")]
    pub out: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How market data files are read.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// The venue's exchangeInfo (JSON) for files that carry no terms; otherwise the grid is found in the data, and fees and limits are Binance's usual ones.
    #[arg(long, value_name = "FILE")]
    pub instrument: Option<PathBuf>,
    /// The symbol of files that name none (npz); otherwise the first part of the file's name.
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// What the smallest feed latency becomes where the receive clock ran behind the venue's.
    #[arg(long, value_name = "DURATION", default_value = "1ms", value_parser = value::duration)]
    pub base_latency: Nanos,
}

fn duration(text: &str) -> Result<Nanos, String> {
    match value::duration(text)? {
        Nanos::ZERO => Err("must be longer than nothing".to_owned()),
        time => Ok(time),
    }
}

fn templates() -> clap::builder::PossibleValuesParser {
    let value = |&(name, help)| clap::builder::PossibleValue::new(name).help(help);
    reference::TEMPLATES.iter().map(value).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("spinquote").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_line_is_understood() {
        for line in [
            "",
            "demo --for 60s --capture F --symbol ETHUSDT --strategy S --fault X --seed 1 --run-dir D --json",
            "run S --engine E --paper --for 1h --run-dir D --json",
            "check a b c",
            "init engine",
            "sim --listen 127.0.0.1:0 --spot --spot-capture G --capture F --symbol S --key K --secret T --no-tls --for 2m --fault X --seed 1",
            "replay RUN --json",
            "capture --url wss://h --ca C --symbol S --out O --for 1m",
            "capture --engine E --symbol S --out O",
            "convert A B -o O --instrument I --symbol S --base-latency 2ms --json",
            "convert A --out O --base-latency 0s",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "demo --for 60",
            "demo --for 0s",
            "run S",
            "check",
            "init nonsense",
            "sim --key K",
            "sim --listen nowhere",
            "capture --symbol S --out O",
            "convert -o O",
            "convert A",
            "convert A -o O --base-latency 1",
            "capture --url u --engine e --symbol S --out O",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
