//! `cargo bench -p spinquote-bench`: runs everything in full, prints the table and writes the summary. Measures nothing itself.
#![allow(clippy::print_stdout)] // A program's report.

use spinquote_bench::frames::Session;
use spinquote_bench::{measure, suite};

/// Frames of the session that are used, at most.
const FRAMES: usize = 100_000;
/// Rounds of every race.
const ROUNDS: usize = 200;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only: Vec<&str> = measure::values(&arguments, "--only").collect();
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
    // Of a run of one part the other rows stay; a whole run is what the other benches add to.
    if only.is_empty() {
        report.begin_summary()?
    } else {
        report.add_to_summary()?
    }
    if json {
        print!("{}", report.json());
        return Ok(());
    }
    println!("\n{}", report.table());
    report.say_missed();
    println!("host at the end: {}", measure::host());
    println!("written: {}", measure::summary_path().display());
    Ok(())
}
