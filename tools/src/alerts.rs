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
