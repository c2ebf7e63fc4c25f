//! The alerts of a run as its file tells them: which hold now. Reads only; what is no line of it is left out.

use crate::run::Run;
use serde_json::Value;
use spinquote::unit::Nanos;
use std::collections::BTreeMap;

/// An alert that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// The rule.
    pub name: String,
    /// `warning`, `critical` or `emergency`.
    pub severity: String,
    /// Since when it has this severity.
    pub since: Nanos,
    pub text: String,
    /// A human has seen it.
    pub acknowledged: bool,
}

/// What holds, the worst and then the oldest first.
pub fn active(run: &Run) -> Vec<Active> {
    fold(&std::fs::read_to_string(run.dir.alerts()).unwrap_or_default())
}

/// What a person does about an alert of this name.
pub fn advice(name: &str) -> Option<&'static str> {
    Some(match name {
        "loss" => {
            "`sq positions` says where it went; at the limit the run is killed. `sq ctl widen 150`, `reduce-only` or `flatten` before that"
        }
        "position" => "`sq ctl reduce-only` shrinks it with quotes, `sq ctl flatten` at market",
        "killed" => "`sq ctl flatten` closes what is held, `sq ctl resume` re-arms",
        "margin" => "`sq ctl reduce-only`, or more collateral",
        "margin-danger" => "`sq ctl flatten`, or more collateral at once",
        "engine-silent" => "`sq ctl cancel-all` works past it; `sq status` says whether the process runs",
        "io-silent" => "no message leaves; if it lasts, end the process: the dead-man switch cancels",
        "took-over" => "the engine was stuck: look at the venue's page, then start the run anew",
        "lapse" => "the process was stopped or starved of its core: `sq doctor --jitter 10s`",
        "dead-man" => {
            "REST does not get through, and the venue may have cancelled everything: look at its page and the run's log"
        }
        "not-quoting" => "the lines below the state in `sq status` name what stands in the way",
        "orders" => "`sq ctl widen 150` sends less; so do longer refresh times and fewer levels",
        "weight" => "reconnects and resyncs use it up: the feed line of `sq status`, and the run's log",
        "rest" => "the venue, or the way to it: the run's log has the answers",
        "ring" => "the I/O thread does not keep up: `sq hist --stage ring_wait,write`",
        "clock" => "`chronyc tracking`; quotes stay out until the clocks agree",
        "journal" => {
            "at the limit the run stops: end it in order and start a new one, or raise journal.bytes_max for the next"
        }
        "journal-lost" => "a slow or full disk; the run trades on, but cannot be replayed",
        "disk" => "make room: `sq export` older runs and move them away",
        "allocations" => "a defect of the program: `sq incident` bundles it; the run trades on",
        _ => return None,
    })
}

fn fold(lines: &str) -> Vec<Active> {
    let mut held: BTreeMap<String, Active> = BTreeMap::new();
    for line in lines.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let (name, change) = (word("alert"), word("change"));
        match change.as_str() {
            "cleared" => drop(held.remove(&name)),
            "acknowledged" => drop(held.get_mut(&name).map(|alert| alert.acknowledged = true)),
            "raised" | "worse" | "escalated" => {
                let since = Nanos(line["time_ns"].as_i64().unwrap_or(0));
                let alert = Active {
                    name: name.clone(),
                    severity: word("severity"),
                    since,
                    text: word("text"),
                    acknowledged: false,
                };
                held.insert(name, alert);
            }
            _ => {}
        }
    }
    let mut all: Vec<Active> = held.into_values().collect();
    let rank = |alert: &Active| ["emergency", "critical", "warning"].iter().position(|&name| name == alert.severity);
    all.sort_by_key(|alert| (rank(alert).unwrap_or(usize::MAX), alert.since));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_engine_has_an_advice() {
        for name in spinquote::engine::alerts::names() {
            assert!(advice(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_last_word_of_each_alert_counts() {
        let line = |name: &str, severity: &str, change: &str, at: i64| {
            format!(r#"{{"time_ns":{at},"alert":"{name}","severity":"{severity}","change":"{change}","text":"t{at}"}}"#)
        };
        let lines = [
            line("clock", "warning", "raised", 1),
            line("loss", "warning", "raised", 2),
            line("loss", "critical", "worse", 3),
            line("ring", "critical", "raised", 4),
            line("ring", "critical", "acknowledged", 5),
            line("disk", "warning", "raised", 6),
            line("disk", "warning", "cleared", 7),
            line("loss", "emergency", "escalated", 8),
            "cut off {".to_owned(),
        ];
        let found: Vec<_> = fold(&lines.join("\n"))
            .into_iter()
            .map(|alert| format!("{} {} {} {}", alert.severity, alert.name, alert.text, alert.acknowledged))
            .collect();
        assert_eq!(found, ["emergency loss t8 false", "critical ring t4 true", "warning clock t1 false"]);
        assert!(fold("").is_empty());
    }
}
