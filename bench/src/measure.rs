//! Candidates in turn over the same rounds, medians, ratios and the report. Knows nothing of what is measured.
//!
//! Every round runs every candidate once, and the order rotates, so that a slow moment of the machine hits all of them alike. A ratio
//! is the median of the rounds' ratios, not the ratio of two medians taken at different times.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One way to do the work of a round.
pub struct Candidate<'a, C> {
    name: String,
    run: Box<dyn FnMut(&mut C) -> u64 + 'a>,
    /// Its checksum must equal the others'.
    checked: bool,
}

impl<'a, C> Candidate<'a, C> {
    /// A candidate that returns a checksum of its results, the same as every other checked one.
    pub fn new(name: impl Into<String>, run: impl FnMut(&mut C) -> u64 + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run), checked: true }
    }

    /// One that does less or other work than the rest: its checksum is only kept alive.
    pub fn unchecked(name: impl Into<String>, run: impl FnMut(&mut C) -> u64 + 'a) -> Self {
        Self { checked: false, ..Self::new(name, run) }
    }
}

/// What a candidate took.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Its name.
    pub name: String,
    /// Nanoseconds for one operation, by round.
    pub rounds: Vec<f64>,
    /// Of all results.
    pub checksum: u64,
}

impl Timed {
    /// Median nanoseconds for one operation.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(self.rounds.clone())
    }

    /// How many times as long `peer` takes.
    #[must_use]
    pub fn ratio(&self, peer: &Self) -> f64 {
        median(self.rounds.iter().zip(&peer.rounds).map(|(ours, peer)| peer / ours).collect())
    }
}

/// Races the candidates. `prepare` puts the context into the state at the start of the round it is given and says how many operations
/// the round has; it is called before every run and is not timed.
///
/// # Panics
/// Two checked candidates compute different results.
pub fn race<C>(
    rounds: usize,
    context: &mut C,
    mut prepare: impl FnMut(&mut C, usize) -> usize,
    mut candidates: Vec<Candidate<'_, C>>,
) -> Vec<Timed> {
    let count = candidates.len();
    let mut timed: Vec<Timed> = candidates
        .iter()
        .map(|candidate| Timed { name: candidate.name.clone(), rounds: Vec::with_capacity(rounds), checksum: 0 })
        .collect();
    // Stateful candidates see every round; the first ones warm caches and predictors and are not reported.
    let warm_up = rounds / 10;
    for round in 0..rounds {
        let mut expected: Option<(usize, u64)> = None;
        for turn in 0..count {
            let at = (round + turn) % count;
            let operations = prepare(context, round).max(1);
            let start = Instant::now();
            let checksum = std::hint::black_box((candidates[at].run)(context));
            let took = start.elapsed();
            timed[at].checksum = timed[at].checksum.rotate_left(1) ^ checksum;
            if round >= warm_up {
                timed[at].rounds.push(took.as_nanos() as f64 / operations as f64);
            }
            if candidates[at].checked {
                let (first, agreed) = *expected.get_or_insert((at, checksum));
                assert_eq!(
                    checksum, agreed,
                    "round {round}: {} and {} compute different results",
                    candidates[at].name, candidates[first].name
                );
            }
        }
    }
    timed
}

/// The middle one.
///
/// # Panics
/// There is none.
#[must_use]
pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50.0)
}

/// The smallest value that `percent` of the values do not exceed.
///
/// # Panics
/// There are no values.
#[must_use]
pub fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_unstable_by(f64::total_cmp);
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// What a ratio has to reach.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    /// At least so many times as fast as the peer.
    Faster(f64),
    /// At most so many times the peer's time.
    Within(f64),
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Unit of both values.
    pub unit: &'static str,
    /// Ours.
    pub value: f64,
    /// What it is compared with.
    pub peer: String,
    /// The peer's.
    pub peer_value: f64,
    /// More than 1: ours is faster.
    pub ratio: f64,
    /// What is demanded, where something is.
    pub bar: Option<Bar>,
    /// Of our results.
    pub checksum: u64,
}

impl Row {
    /// The bar in words, and whether it is met.
    #[must_use]
    pub fn verdict(&self) -> Option<(String, bool)> {
        self.bar.map(|bar| match bar {
            Bar::Faster(least) => (format!(">= {least}x"), self.ratio >= least),
            Bar::Within(most) => (format!("<= {most}x its time"), self.ratio * most >= 1.0),
        })
    }
}

/// All comparisons of a run.
#[derive(Default)]
pub struct Report {
    /// In the order in which they were made.
    pub rows: Vec<Row>,
}

impl Report {
    /// Compares the candidate `ours` with `peer`, in nanoseconds.
    ///
    /// # Panics
    /// One of them did not run.
    pub fn compare(
        &mut self,
        what: &str,
        unit: &'static str,
        timed: &[Timed],
        ours: &str,
        peer: &str,
        bar: Option<Bar>,
    ) {
        let find =
            |name: &str| timed.iter().find(|timed| timed.name == name).unwrap_or_else(|| panic!("{name} did not run"));
        let (ours, peer) = (find(ours), find(peer));
        self.rows.push(Row {
            name: format!("{what}: {}", ours.name),
            unit,
            value: ours.median(),
            peer: peer.name.clone(),
            peer_value: peer.median(),
            ratio: ours.ratio(peer),
            bar,
            checksum: ours.checksum,
        });
    }

    /// The table for people, as Markdown, ratios first.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from("| ratio | bar | met | what: ours | ours | peer | peer's | unit | checksum |\n");
        text.push_str("|---:|---|---|---|---:|---|---:|---|---|\n");
        for row in &self.rows {
            let (bar, met) = match row.verdict() {
                Some((bar, met)) => (bar, if met { "yes" } else { "**no**" }),
                None => (String::new(), ""),
            };
            let Row { name, unit, value, peer, peer_value, ratio, checksum, .. } = row;
            let _ = writeln!(
                text,
                "| {ratio:.2}x | {bar} | {met} | {name} | {value:.1} | {peer} | {peer_value:.1} | {unit} | {checksum:016x} |"
            );
        }
        text
    }

    /// A line for each bar that is not met.
    #[allow(clippy::print_stdout)] // Of a program's report.
    pub fn say_missed(&self) {
        for row in self.rows.iter().filter(|row| row.verdict().is_some_and(|verdict| !verdict.1)) {
            println!("bar not met: {} against {}: {:.2}x", row.name, row.peer, row.ratio);
        }
    }

    /// The machine-readable form.
    #[must_use]
    pub fn json(&self) -> String {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "unit": row.unit, "value": round(row.value), "peer": row.peer,
                    "peer_value": round(row.peer_value), "ratio": round(row.ratio),
                })
            })
            .collect();
        serde_json::to_string_pretty(&rows).expect("plain values") + "\n"
    }

    /// Puts the rows into `bench/summary.json` in the target directory: in the place of rows of the same name and peer, the others
    /// behind what other benches have left there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_to_summary(&self) -> std::io::Result<()> {
        let known = std::fs::read_to_string(summary_path()).unwrap_or_default();
        write_summary(&merged(&known, &self.json()))
    }

    /// Begins `bench/summary.json` anew.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin_summary(&self) -> std::io::Result<()> {
        write_summary(&self.json())
    }
}

fn write_summary(text: &str) -> std::io::Result<()> {
    let path = summary_path();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

/// The rows of `known` that `new` does not replace, then those of `new`. What is not an array of rows counts as none.
fn merged(known: &str, new: &str) -> String {
    let rows = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap_or_default();
    let same = |one: &Value, other: &Value| (&one["name"], &one["peer"]) == (&other["name"], &other["peer"]);
    let (mut all, new) = (rows(known), rows(new));
    all.retain(|row| !new.iter().any(|newer| same(row, newer)));
    all.extend(new);
    serde_json::to_string_pretty(&all).expect("plain values") + "\n"
}

/// Values of the options `--NAME VALUE`; `cargo bench` adds options of its own, which are passed over.
pub fn values<'a>(arguments: &'a [String], name: &'a str) -> impl Iterator<Item = &'a str> {
    arguments.windows(2).filter(move |pair| pair[0] == name).map(|pair| pair[1].as_str())
}

/// Where [`Report::begin_summary`] writes.
#[must_use]
pub fn summary_path() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
        .join("bench/summary.json")
}

/// What the numbers were measured on, in one line: processor, cores, kernel, load, compiler profile.
#[must_use]
pub fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field = |key: &str| {
        info.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(": "))
            .map_or("?", |pair| pair.1)
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let governor = if governor.trim().is_empty() { "unknown" } else { governor.trim() };
    let virtual_machine =
        if field("flags").split(' ').any(|flag| flag == "hypervisor") { ", virtual machine" } else { "" };
    format!(
        "{} (family {} model {}), {cores} cores{virtual_machine}, Linux {}, governor {governor}, load {}, {} build",
        field("model name"),
        field("cpu family"),
        field("model\t"),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or("?"),
        if cfg!(debug_assertions) { "DEBUG" } else { "optimised" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = || (1..=10).map(f64::from).collect::<Vec<_>>();
        for (percent, value) in [(50.0, 5.0), (99.0, 10.0), (100.0, 10.0), (0.0, 1.0), (10.0, 1.0), (10.1, 2.0)] {
            assert!((percentile(values(), percent) - value).abs() < 1e-9, "{percent}");
        }
    }

    #[test]
    fn a_new_row_replaces_its_older_self_and_no_other() {
        let rows = |text: &str| format!("[{}]", text.replace('\'', "\""));
        let old = rows(
            "{'name':'a','peer':'p','ratio':1},{'name':'a','peer':'q','ratio':2},{'name':'b','peer':'p','ratio':3}",
        );
        let new = rows("{'name':'a','peer':'q','ratio':9}");
        let ratios = |text: &str| -> Vec<i64> {
            let rows: Vec<Value> = serde_json::from_str(text).unwrap();
            rows.iter().map(|row| row["ratio"].as_i64().unwrap()).collect()
        };
        assert_eq!(ratios(&merged(&old, &new)), [1, 3, 9]);
        assert_eq!(ratios(&merged("damaged", &new)), [9]);
    }

    #[test]
    #[should_panic(expected = "compute different results")]
    fn candidates_that_disagree_are_no_result() {
        let candidates = vec![Candidate::new("one", |_: &mut ()| 1), Candidate::new("two", |_: &mut ()| 2)];
        race(1, &mut (), |(), _| 1, candidates);
    }

    #[test]
    fn a_slower_peer_is_a_ratio_above_one_and_bars_read_both_ways() {
        let timed = |name: &str, ns: f64| Timed { name: name.into(), rounds: vec![ns; 3], checksum: 7 };
        let mut report = Report::default();
        let all = [timed("ours", 2.0), timed("peer", 9.0)];
        report.compare("work", "ns", &all, "ours", "peer", Some(Bar::Faster(4.0)));
        report.compare("work", "ns", &all, "peer", "ours", Some(Bar::Within(4.0)));
        let met: Vec<_> = report.rows.iter().map(|row| row.verdict().unwrap().1).collect();
        assert_eq!(met, [true, false]);
        assert!(report.json().contains("\"ratio\": 4.5"), "{}", report.json());
    }
}
