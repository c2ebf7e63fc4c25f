//! `cargo bench -p spinquote-bench --bench loopback`: tick-to-order over 127.0.0.1 with TLS, beside a ping-pong of the same bytes.
//! `-- --rate N` (repeatable), `--levels N` (repeatable), `--steps N`, `--rounds N`, `--wait spin|yield|park`, `--poll direct|poll`,
//! `--cores PEER,ENGINE,IO`, `--json`. Measures nothing itself.
#![allow(clippy::print_stdout)] // A program's report.

use spinquote_bench::frames::Session;
use spinquote_bench::loopback::{self, Options};
use spinquote_bench::measure::{self, Report};

/// Frames of the session that are looked at, at most.
const FRAMES: usize = 100_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::parse(&arguments)?;
    let session = Session::load(FRAMES);
    let json = arguments.iter().any(|argument| argument == "--json");
    if !json {
        println!("host: {}", measure::host());
        println!("frames: {}", session.source);
        println!("threads: {}", options.layout.text(options.peer_core));
    }
    let found = loopback::run(&session, &options)?;
    let mut report = Report::default();
    loopback::rows(&found.windows, &mut report);
    report.add_to_summary()?;
    if json {
        print!("{}", report.json());
        return Ok(());
    }
    println!("\n{}\n{}", report.table(), loopback::notes(&found));
    report.say_missed();
    println!("host at the end: {}", measure::host());
    println!("written: {}", measure::summary_path().display());
    Ok(())
}
