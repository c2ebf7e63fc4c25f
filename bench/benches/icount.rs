//! `cargo bench -p spinquote-bench --bench icount`: counts instructions under callgrind and compares them with `bench/icount.json`.
//! Fails on a change of more than 3 %, with both numbers. `-- --write` stores the counts instead; `-- --work NAME` does one work
//! (what runs under callgrind). Where valgrind is missing it says so and checks nothing.
#![allow(clippy::print_stdout)] // A program's report.

use serde_json::{Map, Value, json};
use spinquote_bench::icount::{WORK, run};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Largest change that passes, in thousandths.
const TOLERANCE: i64 = 30;

/// Instructions of one work, and its operations.
fn count(name: &str) -> Result<(u64, u64), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let profile = folder.path().join("callgrind");
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*spinquote_counted*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(this)
        .args(["--work", name])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let operations = said.lines().find_map(|line| line.strip_prefix("operations: ")).and_then(|n| n.parse().ok());
    let text = std::fs::read_to_string(&profile).unwrap_or_default();
    let summary =
        text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    let instructions = summary.and_then(|n| n.trim().parse().ok());
    match (instructions, operations) {
        (Some(instructions), Some(operations)) if operations > 0 && instructions > 0 => Ok((instructions, operations)),
        _ => Err(format!("{name}: no counts from callgrind: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn stored(path: &Path) -> Map<String, Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--work") {
        println!("operations: {}", run(arguments.get(at + 1).map_or("", String::as_str)));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instruction counts: skipped, valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("icount.json");
    let (write, mut known, mut passed) = (arguments.iter().any(|word| word == "--write"), stored(&path), true);
    let mut counts = Map::new();
    for &(name, unit) in WORK {
        // A host that stops the process for a second disturbs the engine, which has the real clock; the work then says so.
        let counted = count(name).or_else(|_| count(name)).or_else(|_| count(name));
        let (instructions, operations) = match counted {
            Ok(found) => found,
            Err(what) => {
                println!("{what}");
                return ExitCode::FAILURE;
            }
        };
        let now = instructions / operations;
        let before = known.remove(name).and_then(|entry| entry["instructions"].as_u64());
        let verdict = match before {
            _ if write => "stored".to_owned(),
            None => "NOT STORED: run with --write and commit bench/icount.json".to_owned(),
            Some(before) => {
                let change = (now.cast_signed() - before.cast_signed()) * 1000 / before.max(1).cast_signed();
                let verdict = if change.abs() > TOLERANCE { "CHANGED by more than 3 %" } else { "as stored" };
                format!("{verdict}: stored {before}, now {now}")
            }
        };
        passed &= verdict.starts_with("as stored") || write;
        println!("{now:>8} instructions a {unit:<7} {name}: {verdict}");
        counts.insert(name.to_owned(), json!({ "instructions": now, "per": unit }));
    }
    if let Some(name) = known.keys().next().filter(|_| !write) {
        println!("{name}: stored, but no longer counted");
        passed = false;
    }
    if write {
        let text = serde_json::to_string_pretty(&counts).expect("plain values") + "\n";
        if let Err(error) = std::fs::write(&path, text) {
            println!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
