//! `cargo bench -p spinquote-bench`: runs everything in full, prints the table and writes the summary. Measures nothing itself.
#![allow(clippy::print_stdout)] // A program's report.

use spinquote_bench::frames::Session;
use spinquote_bench::{measure, suite};

/// Frames of the session that are used, at most.
const FRAMES: usize = 100_000;
/// Rounds of every race.
const ROUNDS: usize = 200;

/// Values of the options `--NAME VALUE`; `cargo bench` adds options of its own, which are passed over.
fn values<'a>(arguments: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    arguments.windows(2).filter(move |pair| pair[0] == name).map(|pair| pair[1].as_str())
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only: Vec<&str> = values(&arguments, "--only").collect();
    if let Some(unknown) = only.iter().find(|part| !suite::PARTS.contains(part)) {
        let what = format!("--only {unknown}: there is no such part; the parts are {}", suite::PARTS.join(", "));
        return Err(std::io::Error::other(what));
    }
    let wanted = |part: &str| only.is_empty() || only.contains(&part);
    let session = Session::load(FRAMES);
    let json = arguments.iter().any(|argument| argument == "--json");
    if !json {
        println!("host: {}", measure::host());
        println!("frames: {}", session.source);
    }
    let report = suite::run(&session, ROUNDS, wanted);
    if only.is_empty() {
        report.write_summary()?;
    }
    if json {
        print!("{}", report.json());
        return Ok(());
    }
    println!("\n{}", report.table());
    let missed: Vec<_> = report.rows.iter().filter(|row| row.verdict().is_some_and(|verdict| !verdict.1)).collect();
    for row in &missed {
        println!("bar not met: {} against {}: {:.2}x", row.name, row.peer, row.ratio);
    }
    println!("host at the end: {}", measure::host());
    if only.is_empty() {
        println!("written: {}", measure::summary_path().display());
    }
    Ok(())
}
