//! Every recorded outcome of the documented strategies against this engine's: the same orders and cancels in the same order.
//!
//! Runs the vectors beside this file, or those under `SPINQUOTE_GOLDEN_DIR` (plain files in the same format, one folder per
//! strategy, or one strategy's files directly). Prints per strategy how many cases ran, were equal, and were not.

#[path = "golden/funding_aware.rs"]
mod funding_aware;
#[path = "golden/funding_loop.rs"]
mod funding_loop;
#[path = "golden/perpetual.rs"]
mod perpetual;
#[path = "golden/pmm.rs"]
mod pmm;
#[path = "golden/pmm_runs.rs"]
mod pmm_runs;

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

/// What became of one case.
enum Outcome {
    /// Equal everywhere. Each note names a documented difference that the comparison had to take into account.
    Equal(Vec<String>),
    /// Equal but for binary floating point in the originals, recognised by the driver's rule, which the text names.
    Artifact(String),
    /// Not run, for this reason.
    #[allow(dead_code, reason = "no case of the strategies here is left out")]
    Skipped(&'static str),
    /// Not equal: where, what was expected, what came.
    Different(String),
}

struct Family {
    name: &'static str,
    vectors: &'static [u8],
    run: fn(&Value) -> Outcome,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "perpetual_market_making",
        vectors: include_bytes!("golden/perpetual_market_making/vectors.jsonl.gz"),
        run: perpetual::run,
    },
    Family { name: "pmm_controller", vectors: include_bytes!("golden/pmm_controller/vectors.jsonl.gz"), run: pmm::run },
    Family {
        name: "funding_aware",
        vectors: include_bytes!("golden/funding_aware/vectors.jsonl.gz"),
        run: funding_aware::run,
    },
];

type Case = (String, Value);

fn bundled(family: &Family) -> Vec<Case> {
    let mut text = String::new();
    GzDecoder::new(family.vectors).read_to_string(&mut text).expect("the bundled vectors unpack");
    text.lines()
        .map(|line| {
            let mut case: Value = serde_json::from_str(line).expect("a bundled case is JSON");
            (case["file"].as_str().expect("a file name").to_owned(), case["case"].take())
        })
        .collect()
}

fn folder(path: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
        let path = entry.expect("a directory entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".json") && name != "INDEX.json" {
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let mut file: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            match file["cases"].take() {
                // A file of many cases, each with its own name.
                Value::Array(list) => cases.extend(list.into_iter().map(|case| (id(&case), case))),
                _ => cases.push((name, file)),
            }
        }
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// Folders of strategies that have no driver here.
fn strangers(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| FAMILIES.iter().all(|family| family.name != name))
        .collect()
}

fn id(case: &Value) -> String {
    case["id"].as_str().unwrap_or("a case without an id").to_owned()
}

/// Runs the cases; true when none differs. Writes past the test harness, so that the counts are seen without a flag.
fn judge(family: &Family, cases: &[Case]) -> bool {
    let (mut equal, mut notes, mut artifacts, mut different, mut skipped) = (0, vec![], vec![], vec![], vec![]);
    for (file, case) in cases {
        match (family.run)(case) {
            Outcome::Equal(taken) => {
                equal += 1;
                notes.extend(taken.into_iter().map(|note| format!("{file}: {note}")));
            }
            Outcome::Artifact(why) => artifacts.push(format!("{file}: {why}")),
            Outcome::Skipped(reason) => skipped.push(format!("{file}: {reason}")),
            Outcome::Different(what) => different.push(format!("{file}: {what}")),
        }
    }
    let mut out = std::io::stderr().lock();
    let run = cases.len() - skipped.len();
    writeln!(
        out,
        "golden {}: {run} run, {equal} equal, {} float artifacts, {} different, {} skipped",
        family.name,
        artifacts.len(),
        different.len(),
        skipped.len()
    )
    .expect("stderr");
    let lists =
        [("documented", &notes), ("float artifact", &artifacts), ("skipped", &skipped), ("DIFFERENT", &different)];
    for (title, lines) in lists {
        for line in lines {
            writeln!(out, "  {title}: {line}").expect("stderr");
        }
    }
    different.is_empty()
}

#[test]
fn every_vector_is_equal() {
    let mut good = true;
    match std::env::var_os("SPINQUOTE_GOLDEN_DIR") {
        None => {
            for family in FAMILIES {
                good &= judge(family, &bundled(family));
            }
        }
        Some(dir) => {
            let dir = Path::new(&dir);
            let mut ran = 0;
            for family in FAMILIES {
                let path = dir.join(family.name);
                let own = dir.file_name().is_some_and(|name| name == family.name);
                let mut cases = if path.is_dir() { folder(&path) } else { Vec::new() };
                if own || (!path.is_dir() && FAMILIES.iter().all(|other| !dir.join(other.name).is_dir())) {
                    // Files directly in the folder: those that name this strategy, or all where the folder's name does.
                    cases.extend(folder(dir).into_iter().filter(|(_, case)| own || names(case, family.name)));
                }
                if !cases.is_empty() {
                    ran += cases.len();
                    good &= judge(family, &cases);
                }
            }
            for name in strangers(dir) {
                writeln!(std::io::stderr(), "golden {name}: not run, this strategy is not built yet").expect("stderr");
            }
            assert!(ran > 0, "no vector of a known strategy under {}", dir.display());
        }
    }
    assert!(good, "some vectors differ, see above");
}

/// A case states its strategy in its settings; a validation file is recognised by its parameters, others by their kinds.
fn names(case: &Value, strategy: &str) -> bool {
    let own = match case["config"]["strategy"].as_str() {
        Some(name) => name,
        None if case["defaults"]["derivative"].is_object() => "perpetual_market_making",
        None if case["config"]["controller_name"] == "pmm" => "pmm_controller",
        None if funding_aware::KINDS.iter().any(|kind| case["kind"] == *kind) => "funding_aware",
        None if case["kind"].is_string() => "pmm_controller",
        None => return false,
    };
    own == strategy
}
