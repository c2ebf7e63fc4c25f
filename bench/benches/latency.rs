//! `cargo bench -p spinquote-bench`: runs everything in full, prints the table and writes the summary. Measures nothing itself.
#![allow(clippy::print_stdout)] // A program's report.

use spinquote_bench::frames::Session;
use spinquote_bench::{measure, suite};

/// Frames of the session that are used, at most.
const FRAMES: usize = 100_000;
/// Rounds of every race.
const ROUNDS: usize = 200;

fn main() -> std::io::Result<()> {
    let session = Session::load(FRAMES);
    println!("host: {}", measure::host());
    println!("frames: {}", session.source);
    let report = suite::run(&session, ROUNDS);
    println!("\n{}", report.table());
    let missed: Vec<_> = report.rows.iter().filter(|row| row.verdict().is_some_and(|verdict| !verdict.1)).collect();
    for row in &missed {
        println!("bar not met: {} against {}: {:.2}x", row.name, row.peer, row.ratio);
    }
    println!("host at the end: {}", measure::host());
    println!("written: {}", report.write_summary()?.display());
    Ok(())
}
