//! The command line, as people type it. Defines and explains the arguments; does nothing with them.

use clap::{Args, Parser, Subcommand};
use spinquote::config::{reference, value};
use spinquote::unit::Nanos;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Rows of a sweep's table that are printed, unless asked otherwise.
const SWEEP_TOP: usize = 20;

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
    CancelAccount(CancelAccountArgs),
    Convert(ConvertArgs),
    Backtest(BacktestArgs),
    Sweep(SweepArgs),
    Merge(MergeArgs),
}

/// What a fault script is: shared by the commands that play one.
macro_rules! fault_help {
    () => {
        "A fault script has one fault a line, or several with `;` between them: [at=TIME] [for=TIME] [every=TIME] [count=N] KIND,\n\
         with times such as 50ms or 5s from the start. Without `for` a fault strikes the next `count` (1) happenings from `at` on,\n\
         with `for` each one in that window; `every` repeats it. Kinds: gap, silence (with for=), private-loss, disconnect,\n\
         disconnect-pending, close, duplicate-fills, reorder, post-only-reject, reject, 429, 418, unknown, partial-fill,\n\
         delay=TIME, clock-skew=TIME, spot-silence, spot-gap.\n\n"
    };
}

/// Quote at the embedded exchange on this machine; needs no file, no key and no network.
#[derive(Debug, Args)]
#[command(after_help = concat!(fault_help!(), "Examples:\n  spinquote demo\n  spinquote demo --for 2m --seed 7 --json\n  \
                        spinquote demo --strategy my.yml --capture ethusdt.gz --symbol ETHUSDT\n  \
                        spinquote demo --for 30s --fault \"at=5s gap; at=10s for=3s silence; at=15s count=3 post-only-reject; at=20s private-loss\""))]
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
    /// Faults to play, such as disconnects, gaps and rejects: a script file, or the script itself (see below).
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

/// Emergency: cancel every open order of a symbol on the account, whoever placed it.
#[derive(Debug, Args)]
#[command(
    after_help = "`sq ctl cancel-all` and the end of a run cancel the engine's own orders only; this does not ask whose they are.\n\n\
                        Examples:\n  spinquote cancel-account --engine engine.toml --symbol BTCUSDT\n  \
                        spinquote cancel-account --engine engine.toml --symbol BTCUSDT --yes BTCUSDT"
)]
pub struct CancelAccountArgs {
    /// Venue and credentials.
    #[arg(long, value_name = "FILE")]
    pub engine: PathBuf,
    /// The symbol; otherwise the engine file's.
    #[arg(long)]
    pub symbol: Option<String>,
    /// The symbol once more, for scripts; people are asked to type it.
    #[arg(long, value_name = "SYMBOL")]
    pub yes: Option<String>,
}

/// Check settings files and report every fault at once; starts nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "A file that ends in .toml is an engine file (or, with nothing but `key` and `secret` in it, a credentials file);\n\
                        any other is a strategy.\n\nExamples:\n  spinquote check strategy.yml engine.toml\n  spinquote check credentials.toml"
)]
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
#[command(after_help = concat!(fault_help!(), "The first line on stdout is `listening https://ADDRESS` (port 0 picks one). The next ones on stderr say\n\
                        which paths there are and where the certificate lies that clients must trust.\n\nExamples:\n  \
                        spinquote sim --listen 127.0.0.1:8443 --symbol BTCUSDT\n  \
                        spinquote sim --listen 127.0.0.1:8443 --key mykey --secret mysecret --fault \"at=1m every=1m disconnect\"\n  \
                        spinquote sim --listen 127.0.0.1:0 --no-tls --for 60s --seed 7"))]
pub struct SimArgs {
    /// Address that serves REST and all WebSocket paths.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub market: MarketArgs,
    /// Serve a spot market too, as a second price source: streams below /spot, requests below /api/v3.
    #[arg(long)]
    pub spot: bool,
    /// API key that clients must use [default: testkey].
    #[arg(long, value_name = "KEY", requires = "secret")]
    pub key: Option<String>,
    /// Secret that signatures are checked with [default: testsecret].
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
                        spinquote capture --url wss://127.0.0.1:8443 --ca /tmp/spinquote-sim-8443.pem --symbol BTCUSDT --out btcusdt.gz --for 60s"
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
#[derive(Debug, Clone, Args)]
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

/// Run a strategy over recorded or synthetic market data in virtual time.
#[derive(Debug, Args)]
#[command(
    after_help = "Latencies are a duration (500us), MIN..MAX (uniform) or BASE+STEP*PERMILLE (a tail), for all messages or per kind:\n  \
                        --latency 1ms   --latency order=800us,cancel=600us,ack=500us..900us,feed=2ms\n\nExamples:\n  \
                        spinquote backtest strategy.yml --data btcusdt.gz\n  \
                        spinquote backtest strategy.yml --data day.sqf --queue log --fees vip3 -o report.html\n  \
                        spinquote backtest strategy.yml --synthetic 1h --seed 7 --json"
)]
pub struct BacktestArgs {
    /// The strategy file (YAML or JSON); or a run directory: the run again as a backtest, beside what happened; or `requote`, the
    /// benchmark's own.
    #[arg(value_name = "STRATEGY")]
    pub strategy: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write the report, one self-contained HTML page (or, with a name that ends in .json, its data).
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Backtest a strategy with many settings, on all cores; a stopped sweep goes on with the same command.
#[derive(Debug, Args)]
#[command(
    after_help = "Results are written to OUT when all points are done, and as they come to a file of the same name that ends in \
                        .jsonl.\n\nExamples:\n  \
                        spinquote sweep s.yml --data day.sqf --set bid_spread=0.01,0.02 --set ask_spread=0.01,0.02 -o results.parquet\n  \
                        spinquote sweep s.yml --data day.sqf --random 500 --set bid_spread=0.005..0.05 -o results.parquet\n  \
                        spinquote sweep s.yml --data day.sqf --set bid_spread=0.01,0.02 --shard 1/8 -o part1.parquet"
)]
pub struct SweepArgs {
    /// The strategy file (YAML or JSON).
    #[arg(value_name = "STRATEGY")]
    pub strategy: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// A key and its values: key=a,b,c, or with --random key=lo..hi (decimals are drawn; list whole numbers). A dot goes into a section of a JSON file.
    #[arg(long, value_name = "KEY=VALUES", required = true)]
    pub set: Vec<String>,
    /// So many draws instead of every combination.
    #[arg(long, value_name = "N")]
    pub random: Option<u64>,
    /// Run only part i of n.
    #[arg(long, value_name = "I/N", value_parser = spinquote::replay::sweep::Shard::parse)]
    pub shard: Option<spinquote::replay::sweep::Shard>,
    /// Points at a time; otherwise as many as there are cores.
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Where the table of results goes (Parquet).
    #[arg(short = 'o', long = "out", value_name = "OUT")]
    pub out: PathBuf,
    /// Column that the printed table is sorted by, largest first.
    #[arg(long, value_name = "COLUMN", default_value = "pnl_total")]
    pub by: String,
    /// Rows printed.
    #[arg(long, value_name = "N", default_value_t = SWEEP_TOP)]
    pub top: usize,
}

/// Join the parts of a sweep that was run in shards.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  spinquote merge part*.parquet -o results.parquet")]
pub struct MergeArgs {
    /// Results of `sweep --shard`.
    #[arg(value_name = "PART", required = true)]
    pub parts: Vec<PathBuf>,
    /// Where the whole table goes (Parquet).
    #[arg(short = 'o', long = "out", value_name = "OUT")]
    pub out: PathBuf,
    /// Column that the printed table is sorted by, largest first.
    #[arg(long, value_name = "COLUMN", default_value = "pnl_total")]
    pub by: String,
    /// Rows printed.
    #[arg(long, value_name = "N", default_value_t = SWEEP_TOP)]
    pub top: usize,
}

/// Data and models of a backtest.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Market data: recorded frames, run directories, Tardis CSV, npz, or feeds of `convert`; several are merged by time.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "synthetic")]
    pub data: Vec<PathBuf>,
    /// The synthetic market for so long instead of data.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub synthetic: Option<Nanos>,
    /// The synthetic market's own seed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub market_seed: u64,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Risk limits and decision interval from this engine file; otherwise the demo's.
    #[arg(long, value_name = "FILE")]
    pub engine: Option<PathBuf>,
    /// Place in the queue: risk-averse, power1 (uniform), power2, power3, log or calibrated.
    #[arg(long, value_name = "MODEL", default_value = "power1", value_parser = spinquote::sim::queue::QueueModel::parse)]
    pub queue: spinquote::sim::queue::QueueModel,
    /// How long messages take; or the run directory whose measured order latencies are taken.
    #[arg(long, value_name = "MODEL")]
    pub latency: Option<String>,
    /// Fees: vip0 to vip9, or MAKER%,TAKER%; otherwise those of the instrument's terms.
    #[arg(long, value_name = "FEES", value_parser = spinquote::replay::backtest::parse_fees, allow_hyphen_values = true)]
    pub fees: Option<(spinquote::unit::Rate, spinquote::unit::Rate)>,
    /// Wallet at the start, in quote currency.
    #[arg(long, value_name = "AMOUNT", default_value = "10000", value_parser = money)]
    pub deposit: spinquote::unit::Money,
    /// The strategy decides on this interval instead of on every event.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub tick: Option<Nanos>,
    /// Longest time between two timer events; live it is 5ms.
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = duration)]
    pub timer: Nanos,
    /// One seed, one run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

fn money(text: &str) -> Result<spinquote::unit::Money, String> {
    spinquote::unit::Money::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"))
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
            "backtest",
            "backtest S --data A --queue nonsense",
            "sweep S --data A -o R",
            "sweep S --data A --set a=1 --shard 3/2 -o R",
            "merge -o R",
            "backtest S --data A --synthetic 1h",
            "convert -o O",
            "convert A",
            "convert A -o O --base-latency 1",
            "capture --url u --engine e --symbol S --out O",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
