//! Every recorded outcome of the documented strategies against this engine's: the same orders and cancels in the same order.
//!
//! Runs the vectors beside this file, or all those at any depth under `SPINQUOTE_GOLDEN_DIR` (`.json`, one case or a list of them a
//! file; `.jsonl`, a case a line as here; either also as `.gz` or `.zst`). What a file is for is what it says, else its folder.
//! Prints per folder how many cases ran, were equal, and were not; a case that stops the driver counts as different. A field that
//! neither FORMAT.md nor any vector here knows is listed.

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
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    format: &'static str,
    vectors: &'static [u8],
    run: fn(&Value) -> Outcome,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "perpetual_market_making",
        format: include_str!("golden/perpetual_market_making/FORMAT.md"),
        vectors: include_bytes!("golden/perpetual_market_making/vectors.jsonl.gz"),
        run: perpetual::run,
    },
    Family {
        name: "pmm_controller",
        format: include_str!("golden/pmm_controller/FORMAT.md"),
        vectors: include_bytes!("golden/pmm_controller/vectors.jsonl.gz"),
        run: pmm::run,
    },
    Family {
        name: "funding_aware",
        format: include_str!("golden/funding_aware/FORMAT.md"),
        vectors: include_bytes!("golden/funding_aware/vectors.jsonl.gz"),
        run: funding_aware::run,
    },
];

/// Where it is from, and the case.
type Case = (String, Value);

fn lines(text: &str) -> Vec<Case> {
    text.lines()
        .map(|line| {
            let mut case: Value = serde_json::from_str(line).expect("a case of a line is JSON");
            (case["file"].as_str().expect("a file name").to_owned(), case["case"].take())
        })
        .collect()
}

fn bundled(family: &Family) -> Vec<Case> {
    let mut text = String::new();
    GzDecoder::new(family.vectors).read_to_string(&mut text).expect("the bundled vectors unpack");
    lines(&text)
}

/// The text of a file of vectors, unpacked, and its name without the packing; `None` for what is no such file.
fn vectors_text(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
    if !(plain.ends_with(".json") || plain.ends_with(".jsonl")) || plain == "INDEX.json" {
        return None;
    }
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    let read = match name.rsplit('.').next() {
        Some("gz") => GzDecoder::new(bytes.as_slice()).read_to_string(&mut text),
        Some("zst") => zstd::Decoder::new(bytes.as_slice()).and_then(|mut file| file.read_to_string(&mut text)),
        _ => bytes.as_slice().read_to_string(&mut text),
    };
    read.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some((plain.to_owned(), text))
}

/// Every vector under a folder, by the folder it lies in and its family; and the files that are none.
#[derive(Default)]
struct Found {
    cases: BTreeMap<(String, usize), Vec<Case>>,
    others: Vec<String>,
}

impl Found {
    fn under(dir: &Path) -> Self {
        let mut found = Self::default();
        found.walk(dir, dir);
        found.cases.values_mut().for_each(|cases| cases.sort_by(|a, b| a.0.cmp(&b.0)));
        found
    }

    fn walk(&mut self, top: &Path, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                self.walk(top, &path);
            } else if let Some((name, text)) = vectors_text(&path) {
                let place = dir.strip_prefix(top).expect("below the top").display().to_string();
                for (id, system, case) in cases_of(&path, &name, &text) {
                    match family_of(&case, system.as_deref(), dir) {
                        Some(family) => self.cases.entry((place.clone(), family)).or_default().push((id, case)),
                        None => self.others.push(format!("{}: {id}", path.display())),
                    }
                }
            } else if !matches!(path.extension().and_then(|kind| kind.to_str()), Some("md"))
                && !path.ends_with("INDEX.json")
            {
                self.others.push(path.display().to_string());
            }
        }
    }
}

/// A file's cases, each with its name and what the file says that it is for.
fn cases_of(path: &Path, name: &str, text: &str) -> Vec<(String, Option<String>, Value)> {
    if name.ends_with(".jsonl") {
        return lines(text).into_iter().map(|(file, case)| (file, None, case)).collect();
    }
    let mut file: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let system = file["system"].as_str().map(str::to_owned);
    match file.get_mut("cases").map(Value::take) {
        // A file of many cases, each with its own name.
        Some(Value::Array(list)) => list.into_iter().map(|case| (id(&case), system.clone(), case)).collect(),
        _ => vec![(name.to_owned(), system, file)],
    }
}

fn id(case: &Value) -> String {
    case["id"].as_str().unwrap_or("a case without an id").to_owned()
}

/// What the file says, else what the case says, else the nearest folder of a family's name.
fn family_of(case: &Value, system: Option<&str>, dir: &Path) -> Option<usize> {
    let named = |name: &str| FAMILIES.iter().position(|family| family.name == name);
    let folder = || dir.ancestors().find_map(|folder| named(folder.file_name()?.to_str()?));
    system.and_then(named).or_else(|| named(strategy_of(case)?)).or_else(folder)
}

/// A case states its strategy in its settings; a validation file is recognised by its parameters, others by their kinds.
fn strategy_of(case: &Value) -> Option<&'static str> {
    let kind = case["kind"].as_str();
    match (case["config"]["strategy"].as_str(), kind) {
        (Some("perpetual_market_making"), _) => Some("perpetual_market_making"),
        _ if case["validation"].is_array() || case["defaults"]["derivative"].is_object() => {
            Some("perpetual_market_making")
        }
        (None, Some(_)) if case["config"]["controller_name"].is_string() => Some("pmm_controller"),
        (None, Some("tick" | "position_hold" | "executor" | "engine" | "update_config")) => Some("pmm_controller"),
        (None, Some(kind)) if kind != "config" && funding_aware::KINDS.contains(&kind) => Some("funding_aware"),
        _ => None,
    }
}

/// Names of fields, except in what is a map by itself and in settings, which are strict.
fn field_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                names.insert(name.clone());
                let own_rules = ["config", "new_config", "values", "balances", "derived", "defaults"];
                if !own_rules.contains(&name.as_str()) {
                    field_names(inner, names);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| field_names(inner, names)),
        _ => {}
    }
}

/// What became of a case; what stops the driver is a difference like any other.
fn outcome(family: &Family, case: &Value) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (family.run)(case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Outcome::Different(format!("the driver stopped: {}", text.unwrap_or_default()))
    })
}

/// Runs the cases; true when none differs. Writes past the test harness, so that the counts are seen without a flag.
fn judge(family: &Family, place: &str, cases: &[Case], known: &BTreeSet<String>) -> bool {
    let (mut equal, mut notes, mut artifacts, mut different, mut skipped) = (0, vec![], vec![], vec![], vec![]);
    let mut unknown = Vec::new();
    for (file, case) in cases {
        match outcome(family, case) {
            Outcome::Equal(taken) => {
                equal += 1;
                notes.extend(taken.into_iter().map(|note| format!("{file}: {note}")));
            }
            Outcome::Artifact(why) => artifacts.push(format!("{file}: {why}")),
            Outcome::Skipped(reason) => skipped.push(format!("{file}: {reason}")),
            Outcome::Different(what) => different.push(format!("{file}: {what}")),
        }
        let mut names = BTreeSet::new();
        field_names(case, &mut names);
        let strange = |name: &&String| !known.contains(*name) && !family.format.contains(name.as_str());
        unknown.extend(names.iter().filter(strange).map(|name| format!("{file}: {name}")));
    }
    let mut out = std::io::stderr().lock();
    let run = cases.len() - skipped.len();
    writeln!(
        out,
        "golden {}{place}: {run} run, {equal} equal, {} float artifacts, {} different, {} skipped",
        family.name,
        artifacts.len(),
        different.len(),
        skipped.len()
    )
    .expect("stderr");
    let lists = [
        ("documented", &notes),
        ("float artifact", &artifacts),
        ("skipped", &skipped),
        ("unknown field", &unknown),
        ("DIFFERENT", &different),
    ];
    for (title, lines) in lists {
        for line in lines {
            writeln!(out, "  {title}: {line}").expect("stderr");
        }
    }
    different.is_empty()
}

#[test]
fn every_vector_is_equal() {
    let own: Vec<Vec<Case>> = FAMILIES.iter().map(bundled).collect();
    let known = |at: usize| {
        let mut names = BTreeSet::new();
        own[at].iter().for_each(|(_, case)| field_names(case, &mut names));
        names
    };
    let mut good = true;
    match std::env::var_os("SPINQUOTE_GOLDEN_DIR") {
        None => {
            for (at, family) in FAMILIES.iter().enumerate() {
                good &= judge(family, "", &own[at], &known(at));
            }
        }
        Some(dir) => {
            let found = Found::under(Path::new(&dir));
            for ((place, at), cases) in &found.cases {
                let family = &FAMILIES[*at];
                let shown =
                    if place.is_empty() || place == family.name { String::new() } else { format!(" in {place}") };
                good &= judge(family, &shown, cases, &known(*at));
            }
            for other in &found.others {
                writeln!(std::io::stderr(), "golden: not run, of no known strategy: {other}").expect("stderr");
            }
            assert!(!found.cases.is_empty(), "no vector of a known strategy under {}", Path::new(&dir).display());
        }
    }
    assert!(good, "some vectors differ, see above");
}

/// What a folder of vectors may look like, and that each way to be wrong is seen.
#[test]
fn vectors_are_found_at_any_depth_and_packed_in_any_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, case) = &bundled(&FAMILIES[0])[0];
    let one = case.to_string();
    let (_, tick) = &bundled(&FAMILIES[1])[0];
    let many = serde_json::json!({"system": "pmm_controller", "cases": [tick]}).to_string();
    let deep = dir.path().join("set/one/deep");
    fs::create_dir_all(&deep).expect("folders");
    fs::write(deep.join("anything.json"), &one).expect("a file");
    fs::write(deep.join("packed.json.zst"), zstd::encode_all(one.as_bytes(), 1).expect("packing")).expect("a file");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(many.as_bytes()).expect("packing");
    fs::write(dir.path().join("list.json.gz"), packer.finish().expect("packing")).expect("a file");
    fs::write(dir.path().join("INDEX.json"), "{}").expect("a file");
    fs::write(dir.path().join("FORMAT.md"), "").expect("a file");
    fs::write(dir.path().join("stranger.json"), "{\"kind\": \"nothing known\"}").expect("a file");
    let found = Found::under(dir.path());
    let counts: Vec<_> = found.cases.iter().map(|((place, at), cases)| (place.as_str(), *at, cases.len())).collect();
    assert_eq!(counts, [("", 1, 1), ("set/one/deep", 0, 2)]);
    assert_eq!(found.others.len(), 1, "{:?}", found.others);
}

/// The tests of this file may not pass because they compare nothing: a changed expectation of each kind is seen.
#[test]
fn a_changed_expectation_is_a_difference() {
    let differs = |family: usize, case: &Value| matches!(outcome(&FAMILIES[family], case), Outcome::Different(_));
    let (mut seen, mut missed) = (0, Vec::new());
    for (at, family) in FAMILIES.iter().enumerate() {
        for (file, case) in bundled(family).iter().step_by(7) {
            if matches!(outcome(family, case), Outcome::Equal(notes) if notes.is_empty()) {
                for (what, other) in perturbed(case) {
                    seen += 1;
                    if !differs(at, &other) {
                        missed.push(format!("{file}: {what}"));
                    }
                }
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert_eq!(missed, Vec::<String>::new());
}

/// The outcome that counts, with one of its actions changed, taken away, or exchanged with its neighbour.
fn perturbed(case: &Value) -> Vec<(&'static str, Value)> {
    let mut changed = Vec::new();
    let mut change = |what: &'static str, edit: &dyn Fn(&mut Value) -> bool| {
        let mut other = case.clone();
        if edit_actions(&mut other, edit) {
            changed.push((what, other));
        }
    };
    change("an action is missing", &|actions| {
        let list = actions.as_array_mut().expect("actions");
        list.pop().is_some_and(|last| last["fn"] != "sleep")
    });
    change("two actions are exchanged", &|actions| {
        let list = actions.as_array_mut().expect("actions");
        // A wait is no action.
        let action = |at: usize| list[at]["fn"] != "sleep";
        let at = (1..list.len()).find(|&at| list[at] != list[at - 1] && action(at) && action(at - 1));
        at.inspect(|&at| list.swap(at, at - 1)).is_some()
    });
    for (what, names) in [("a price", ["price", "px", "entry_price"]), ("an amount", ["amount", "sz", "amount"])] {
        change(what, &|actions| {
            let list = actions.as_array_mut().expect("actions");
            list.iter_mut().any(|action| {
                // A market order's price is of no consequence.
                let market = ["order_type", "execution_strategy"].iter().any(|kind| action[*kind] == "MARKET");
                let name = names.iter().find(|name| action[**name].is_string() && !(market && what == "a price"));
                name.is_some_and(|name| {
                    let old: f64 = action[*name].as_str().expect("text").parse().expect("a number");
                    action[*name] = Value::from((old * 1.01).to_string());
                    true
                })
            })
        });
    }
    changed
}

/// Edits the first list of actions that takes the edit.
fn edit_actions(case: &mut Value, edit: &dyn Fn(&mut Value) -> bool) -> bool {
    fn lists<'a>(value: &'a mut Value, out: &mut Vec<&'a mut Value>) {
        match value {
            Value::Object(map) => {
                let intended = map.get("intended").is_some_and(|value| !value.is_null());
                for (name, inner) in map.iter_mut() {
                    match name.as_str() {
                        "original" if intended => {}
                        "original" | "intended" | "calls" | "orders" | "cancels" | "actions" if inner.is_array() => {
                            out.push(inner);
                        }
                        "original" | "intended" | "steps" | "expect" | "controller" => lists(inner, out),
                        _ => {}
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|inner| lists(inner, out)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if case["kind"] != "position_hold" {
        lists(case, &mut found);
    }
    found.into_iter().any(edit)
}
