//! Alerts of the housekeeper: rules over the counters page, told once to a file, a program and an address. Reads, tells, and never acts on
//! what it finds: stopping is the risk gate's and the operator's part.
//!
//! Every rule says how far a thing is to its limit, in thousandths. Before the limit lies a warning band; an alert ends only well
//! below where it began; and it is told when it begins, worsens, escalates or ends, not again while it lasts.

mod rules;
mod sinks;

pub use sinks::Sinks;

use crate::config::engine::EngineSettings;
use crate::journal::command_page::AlertsSeen;
use crate::journal::counters::CounterReader;
use crate::unit::Nanos;
use rules::{Facts, RULES, Rule};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How often the rules are looked at.
const LOOK_EVERY: Nanos = Nanos::from_millis(250);
/// The limit itself, in thousandths.
const AT_LIMIT: i64 = 1000;
/// How far below the place where it began an alert ends.
const HYSTERESIS: i64 = 100;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// In the band before a limit, or a thing to look at.
    Warning,
    /// At the limit, or broken.
    Critical,
    /// Critical, and nobody has acknowledged it for the set time.
    Emergency,
}

impl Severity {
    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Emergency => "emergency",
        }
    }
}

/// What is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It begins.
    Raised,
    /// It became more severe.
    Worse,
    /// Critical, and nobody acknowledged it.
    Escalated,
    /// A human has seen it.
    Acknowledged,
    /// It is over.
    Cleared,
}

impl Change {
    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worse => "worse",
            Self::Escalated => "escalated",
            Self::Acknowledged => "acknowledged",
            Self::Cleared => "cleared",
        }
    }
}

/// One thing to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// When.
    pub at: Nanos,
    /// Which rule.
    pub alert: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What happened to the alert.
    pub change: Change,
    /// For people, with the figures.
    pub text: String,
}

impl Notice {
    /// One line of the file, and what programs and addresses get.
    #[must_use]
    pub fn to_json(&self, run: &str) -> Value {
        json!({
            "time_ns": self.at.0,
            "run": run,
            "alert": self.alert,
            "severity": self.severity.name(),
            "change": self.change.name(),
            "text": self.text,
        })
    }
}

/// The names of all alerts there are.
pub fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

/// An alert that holds.
#[derive(Clone, Copy, Debug)]
struct Raised {
    severity: Severity,
    /// Since when it has this severity.
    since: Nanos,
    acknowledged: bool,
}

/// Where one rule stands.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Bad, but not yet for long enough: since when.
    pending: Option<Nanos>,
    raised: Option<Raised>,
}

/// What the settings say of alerts.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Where the warning band begins, thousandths of a limit.
    pub warn_at: i64,
    /// After this a critical alert that nobody acknowledged escalates.
    pub escalate_after: Option<Nanos>,
}

/// All rules and where they stand. Pure: facts and time come in.
struct Watch {
    terms: Terms,
    standing: Vec<(&'static Rule, Standing)>,
}

impl Watch {
    fn new(terms: Terms, rules: &'static [Rule]) -> Self {
        Self { terms, standing: rules.iter().map(|rule| (rule, Standing::default())).collect() }
    }

    fn look(&mut self, facts: &Facts, seen: Nanos) -> Vec<Notice> {
        let (terms, now) = (self.terms, facts.now);
        let mut notices = Vec::new();
        for (rule, standing) in &mut self.standing {
            let (level, text) = (rule.measure)(facts).unwrap_or_default();
            let mut tell = |severity, change| {
                notices.push(Notice { at: now, alert: rule.name, severity, change, text: text.clone() });
            };
            let band = terms.warn_at.min(AT_LIMIT);
            let held = standing.raised.map(|raised| raised.severity);
            // An alert that holds gives way later than it began.
            let begins = |at: i64, from: Severity| if held >= Some(from) { at - HYSTERESIS } else { at };
            let wanted = if rule.worst == Severity::Critical && level >= begins(AT_LIMIT, Severity::Critical) {
                Some(Severity::Critical)
            } else if level >= begins(band, Severity::Warning) {
                Some(Severity::Warning)
            } else {
                None
            };
            let Some(wanted) = wanted else {
                standing.pending = None;
                if let Some(raised) = standing.raised.take() {
                    tell(raised.severity, Change::Cleared);
                }
                continue;
            };
            let Some(raised) = &mut standing.raised else {
                if now - *standing.pending.get_or_insert(now) >= rule.hold {
                    standing.raised = Some(Raised { severity: wanted, since: now, acknowledged: false });
                    tell(wanted, Change::Raised);
                }
                continue;
            };
            if wanted > raised.severity {
                *raised = Raised { severity: wanted, since: now, acknowledged: false };
                tell(wanted, Change::Worse);
            } else if wanted < raised.severity && wanted == Severity::Warning {
                // Better, not over: the file shows it when it ends.
                *raised = Raised { severity: wanted, since: now, acknowledged: raised.acknowledged };
            }
            if !raised.acknowledged && seen >= raised.since {
                raised.acknowledged = true;
                tell(raised.severity, Change::Acknowledged);
            }
            let waited = terms.escalate_after.is_some_and(|after| now - raised.since >= after);
            if raised.severity == Severity::Critical && !raised.acknowledged && waited {
                *raised = Raised { severity: Severity::Emergency, since: now, acknowledged: false };
                tell(Severity::Emergency, Change::Escalated);
            }
        }
        notices
    }
}

/// The watch at work.
pub struct Alerts {
    watch: Watch,
    page: CounterReader,
    seen: AlertsSeen,
    limits: rules::Limits,
    run_dir: PathBuf,
    before: rules::Before,
    sinks: Sinks,
    due: Nanos,
}

impl Alerts {
    /// Watches a run's page. `weight_max` is the venue's request weight a minute.
    #[must_use]
    pub fn new(
        settings: &EngineSettings,
        instruments: &[crate::instrument::Instrument],
        weight_max: u32,
        page: CounterReader,
        seen: AlertsSeen,
        run_dir: PathBuf,
        sinks: Sinks,
    ) -> Self {
        let alerts = &settings.alerts;
        let terms = Terms { warn_at: i64::from(alerts.warn_at) * 10, escalate_after: alerts.escalate_after };
        Self {
            watch: Watch::new(terms, RULES),
            limits: rules::Limits::new(settings, instruments, weight_max),
            page,
            seen,
            run_dir,
            before: rules::Before::default(),
            sinks,
            due: Nanos::ZERO,
        }
    }

    /// Looks if it is time, and tells what is new.
    pub fn look(&mut self, now: Nanos) {
        if now < self.due {
            return;
        }
        self.due = now + LOOK_EVERY;
        let facts = Facts::read(now, &self.page, &self.limits, &mut self.before, &self.run_dir);
        for notice in self.watch.look(&facts, self.seen.up_to()) {
            match notice.severity {
                _ if matches!(notice.change, Change::Cleared | Change::Acknowledged) => {
                    tracing::info!("alert {} {}: {}", notice.alert, notice.change.name(), notice.text);
                }
                Severity::Warning => tracing::warn!("alert {}: {}", notice.alert, notice.text),
                severity => tracing::error!("{} alert {}: {}", severity.name(), notice.alert, notice.text),
            }
            self.sinks.tell(&notice);
        }
    }

    /// Ends it; what is under way gets a moment.
    pub fn finish(self) {
        self.sinks.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LOSS: [Rule; 2] = [
        Rule {
            name: "loss",
            worst: Severity::Critical,
            hold: Nanos::ZERO,
            measure: |facts| Some((facts.loss, format!("{}", facts.loss))),
        },
        Rule {
            name: "slow",
            worst: Severity::Warning,
            hold: Nanos::from_secs(3),
            measure: |facts| Some((facts.unquoted_ms, String::new())),
        },
    ];

    /// Looks at these levels second by second; what is told as `second alert severity change`.
    fn told(levels: &[(i64, i64)], seen: impl Fn(i64) -> i64) -> Vec<String> {
        let terms = Terms { warn_at: 800, escalate_after: Some(Nanos::from_secs(5)) };
        let mut watch = Watch::new(terms, &LOSS);
        let mut said = Vec::new();
        for (at, &(loss, unquoted_ms)) in (1..).zip(levels) {
            let facts = Facts { now: Nanos::from_secs(at), loss, unquoted_ms, ..Facts::default() };
            for notice in watch.look(&facts, Nanos::from_secs(seen(at))) {
                said.push(format!("{at} {} {} {}", notice.alert, notice.severity.name(), notice.change.name()));
            }
        }
        said
    }

    #[test]
    fn a_band_before_the_limit_told_once_and_over_only_well_below() {
        let levels = [700, 800, 850, 799, 750, 1000, 1200, 950, 899, 701, 700, 699, 800];
        let levels: Vec<_> = levels.map(|loss| (loss, 0)).into();
        assert_eq!(
            told(&levels, |_| 0),
            ["2 loss warning raised", "6 loss critical worse", "12 loss warning cleared", "13 loss warning raised"]
        );
    }

    #[test]
    fn a_critical_alert_that_nobody_saw_escalates_one_level_once() {
        let levels = vec![(1000, 0); 20];
        assert_eq!(told(&levels, |_| 0), ["1 loss critical raised", "6 loss emergency escalated"]);
        assert_eq!(
            told(&levels, |at| if at >= 4 { 4 } else { 0 }),
            ["1 loss critical raised", "4 loss critical acknowledged"]
        );
        // What was seen before it began is no acknowledgement of it.
        let later = [vec![(0, 0); 2], vec![(1000, 0); 9]].concat();
        assert_eq!(told(&later, |_| 2), ["3 loss critical raised", "8 loss emergency escalated"]);
    }

    #[test]
    fn a_rule_that_waits_hears_only_what_lasts_and_stays_below_its_worst() {
        let levels = [900, 900, 0, 5000, 5000, 5000, 5000, 5000, 0].map(|slow| (0, slow));
        assert_eq!(told(&levels, |_| 0), ["7 slow warning raised", "9 slow warning cleared"]);
    }
}
