//! Scripted, seeded faults of the pretend venue: a small text format, and a clock that says when each strikes. Acts on nothing itself.
//!
//! One fault per line or between `;`, `#` starts a comment: `[at=TIME] [for=TIME] [every=TIME] [count=N] KIND`,
//! with times such as `50ms`, `5s`, `2m` counted from the start of the run. Without `for` a fault strikes the next `count`
//! (default 1) happenings from `at` on; with `for` it strikes every one in that window. `every` repeats it. `silence` needs `for`;
//! `delay` and `clock-skew` without it last to the end.

use crate::sim::latency::Dice;
use crate::unit::Nanos;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FaultKind {
    /// A depth frame is left out.
    Gap,
    /// No market frame is sent.
    Silence,
    /// Private stream connections are dropped.
    PrivateLoss,
    /// All WebSocket connections are dropped.
    Disconnect,
    /// The connection is dropped after an order was carried out and before its answer.
    DisconnectPending,
    /// A fill event is sent twice.
    DuplicateFills,
    /// A private event is sent after the one that follows it.
    Reorder,
    /// A placement is refused as post-only that would take (-5022).
    PostOnlyReject,
    /// A placement is refused (-2010).
    Reject,
    /// A request is answered 429.
    RateLimit,
    /// A request is answered 418 with Retry-After.
    Ban,
    /// A request is answered 503 "Unknown error"; carried out or not by the seed.
    Unknown,
    /// Half of a resting order is filled.
    PartialFill,
    /// What is sent to clients is held back for this long.
    Delay(Nanos),
    /// The venue's clock is off by this (may be negative).
    ClockSkew(Nanos),
    /// The connection that carries market data is closed in an orderly way.
    Close,
    /// No frame of the spot market is sent.
    SpotSilence,
    /// A depth frame of the spot market is left out.
    SpotGap,
}

/// Names in the script, in the order of the documentation.
const NAMES: [(&str, FaultKind); 18] = [
    ("gap", FaultKind::Gap),
    ("silence", FaultKind::Silence),
    ("private-loss", FaultKind::PrivateLoss),
    ("disconnect-pending", FaultKind::DisconnectPending),
    ("disconnect", FaultKind::Disconnect),
    ("close", FaultKind::Close),
    ("spot-silence", FaultKind::SpotSilence),
    ("spot-gap", FaultKind::SpotGap),
    ("duplicate-fills", FaultKind::DuplicateFills),
    ("reorder", FaultKind::Reorder),
    ("post-only-reject", FaultKind::PostOnlyReject),
    ("reject", FaultKind::Reject),
    ("429", FaultKind::RateLimit),
    ("418", FaultKind::Ban),
    ("unknown", FaultKind::Unknown),
    ("partial-fill", FaultKind::PartialFill),
    ("delay", FaultKind::Delay(Nanos::ZERO)),
    ("clock-skew", FaultKind::ClockSkew(Nanos::ZERO)),
];

/// One line of the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// From when on, after the start.
    pub at: Nanos,
    /// How long; zero: by count.
    pub lasts: Nanos,
    /// Again after this; zero: once.
    pub every: Nanos,
    /// How many happenings it strikes.
    pub count: u32,
}

/// Why a script is not valid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("fault {number} (`{text}`): {problem}")]
pub struct FaultError {
    /// Which one, from 1.
    pub number: usize,
    /// Its text.
    pub text: String,
    /// What is wrong, and what would be right.
    pub problem: FaultProblem,
}

/// What is wrong with one fault of a script.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FaultProblem {
    /// No kind in it.
    #[error("names no fault; one of {names}", names = names())]
    NoKind,
    /// Not a kind.
    #[error("`{0}` is not a fault; one of {names}", names = names())]
    UnknownKind(String),
    /// Two kinds.
    #[error("`{0}` is a second fault; put it on its own line or behind a `;`")]
    SecondKind(String),
    /// Not a key.
    #[error("`{0}` is not a key; one of at=, for=, every=, count=, delay=, clock-skew=")]
    UnknownKey(String),
    /// Not a time.
    #[error("`{0}` is not a time; write a whole number with ns, us, ms, s, m or h, such as 50ms")]
    BadTime(String),
    /// Not a count.
    #[error("`{0}` is not a count; write a whole number from 1 to 1000000")]
    BadCount(String),
    /// Given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A kind that needs a time.
    #[error("`{0}` needs a time, such as {0}=50ms")]
    NeedsTime(&'static str),
    /// A kind that is nothing without a length.
    #[error("`{0}` needs a length, such as for=3s")]
    NeedsLength(&'static str),
    /// A repetition shorter than its length.
    #[error("every= must be longer than for=")]
    Overlap,
}

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

/// A checked script.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FaultScript {
    /// The faults, in the script's order.
    pub faults: Vec<Fault>,
}

impl FaultScript {
    /// Parses a script.
    ///
    /// # Errors
    /// The first fault that is not valid, with what would be.
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let mut faults = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            for item in line.split(';').map(str::trim).filter(|i| !i.is_empty()) {
                let number = faults.len() + 1;
                let fault = parse_one(item).map_err(|problem| FaultError { number, text: item.to_owned(), problem })?;
                faults.push(fault);
            }
        }
        Ok(Self { faults })
    }
}

fn parse_one(text: &str) -> Result<Fault, FaultProblem> {
    let mut fault = Fault { kind: FaultKind::Gap, at: Nanos::ZERO, lasts: Nanos::ZERO, every: Nanos::ZERO, count: 0 };
    let mut kind = None;
    let mut seen: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        if seen.contains(&key) {
            return Err(FaultProblem::Twice(key.to_owned()));
        }
        seen.push(key);
        let named = match (key, value) {
            ("at", Some(v)) => {
                fault.at = time(v)?;
                continue;
            }
            ("for", Some(v)) => {
                fault.lasts = time(v)?;
                continue;
            }
            ("every", Some(v)) => {
                fault.every = time(v)?;
                continue;
            }
            ("count", Some(v)) => {
                let count = v.parse().ok().filter(|n| (1..=1_000_000).contains(n));
                fault.count = count.ok_or_else(|| FaultProblem::BadCount(v.to_owned()))?;
                continue;
            }
            ("delay", Some(v)) => FaultKind::Delay(time(v)?),
            ("clock-skew", Some(v)) => FaultKind::ClockSkew(match v.strip_prefix('-') {
                Some(rest) => -time(rest)?,
                None => time(v)?,
            }),
            ("delay", None) => return Err(FaultProblem::NeedsTime("delay")),
            ("clock-skew", None) => return Err(FaultProblem::NeedsTime("clock-skew")),
            (key, Some(_)) => return Err(FaultProblem::UnknownKey(key.to_owned())),
            (key, None) => {
                let found = NAMES.iter().find(|(name, _)| *name == key);
                found.ok_or_else(|| FaultProblem::UnknownKind(key.to_owned()))?.1
            }
        };
        if kind.is_some() {
            return Err(FaultProblem::SecondKind(key.to_owned()));
        }
        kind = Some(named);
    }
    fault.kind = kind.ok_or(FaultProblem::NoKind)?;
    fault.count = fault.count.max(1);
    if matches!(fault.kind, FaultKind::Silence | FaultKind::SpotSilence) && fault.lasts.is_zero() {
        return Err(FaultProblem::NeedsLength("silence"));
    }
    if !fault.every.is_zero() && fault.every <= fault.lasts {
        return Err(FaultProblem::Overlap);
    }
    Ok(fault)
}

fn time(text: &str) -> Result<Nanos, FaultProblem> {
    let bad = || FaultProblem::BadTime(text.to_owned());
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: i64 = text[..digits].parse().map_err(|_| bad())?;
    let unit: i64 = match &text[digits..] {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(bad()),
    };
    number.checked_mul(unit).map(Nanos).ok_or_else(bad)
}

/// State of one fault in a run.
#[derive(Clone, Copy, Debug)]
struct Pending {
    fault: Fault,
    start: Nanos,
    left: u32,
}

fn pending(script: &FaultScript, start: Nanos) -> Vec<Pending> {
    let one = |&fault: &Fault| Pending { fault, start: start + fault.at, left: fault.count };
    script.faults.iter().map(one).collect()
}

/// Says when a fault strikes, in one run.
#[derive(Clone, Debug)]
pub struct Faults {
    pending: Vec<Pending>,
    dice: Dice,
    struck: u64,
}

impl Faults {
    /// A run of the script that starts at `start`.
    #[must_use]
    pub fn new(script: &FaultScript, seed: u64, start: Nanos) -> Self {
        Self { pending: pending(script, start), dice: Dice::new(seed ^ 0xfa17), struck: 0 }
    }

    /// From `start` on goes wrong what `script` says and nothing of before; what has struck stays counted.
    pub fn replace(&mut self, script: &FaultScript, start: Nanos) {
        self.pending = pending(script, start);
    }

    /// Something happens that `kind` could strike: does it? Uses up one of its counts. The time inside `kind` is ignored.
    pub fn strikes(&mut self, now: Nanos, kind: FaultKind) -> bool {
        self.strike(now, kind).is_some()
    }

    /// As [`Faults::strikes`], for faults with a time of their own: returns it.
    pub fn strike(&mut self, now: Nanos, kind: FaultKind) -> Option<Fault> {
        for pending in &mut self.pending {
            if std::mem::discriminant(&pending.fault.kind) != std::mem::discriminant(&kind) {
                continue;
            }
            pending.advance(now);
            if now < pending.start {
                continue;
            }
            if pending.fault.lasts > Nanos::ZERO {
                if now < pending.start + pending.fault.lasts {
                    self.struck += 1;
                    return Some(pending.fault);
                }
            } else if pending.left > 0 {
                pending.left -= 1;
                self.struck += 1;
                return Some(pending.fault);
            }
        }
        None
    }

    /// The time of the fault of this kind that is active now, without using it up.
    #[must_use]
    pub fn active(&self, now: Nanos, kind: FaultKind) -> Option<Fault> {
        let same = |p: &&Pending| std::mem::discriminant(&p.fault.kind) == std::mem::discriminant(&kind);
        self.pending.iter().filter(same).find_map(|pending| {
            let mut pending = *pending;
            pending.advance(now);
            let lasting = pending.fault.lasts.is_zero() || now < pending.start + pending.fault.lasts;
            (now >= pending.start && lasting && pending.left > 0).then_some(pending.fault)
        })
    }

    /// The next time at which any fault begins; `Nanos::MAX` if none.
    #[must_use]
    pub fn next_due(&self, now: Nanos) -> Nanos {
        let mut due = Nanos::MAX;
        for pending in &self.pending {
            let mut pending = *pending;
            pending.advance(now);
            if pending.start > now {
                due = due.min(pending.start);
            } else if !pending.fault.every.is_zero() {
                due = due.min(pending.start + pending.fault.every);
            }
        }
        due
    }

    /// A coin of the seed: what an unknown outcome was.
    pub fn coin(&mut self) -> bool {
        self.dice.chance(500)
    }

    /// How often faults struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck
    }
}

impl Pending {
    /// Moves on to the latest repetition that has begun.
    fn advance(&mut self, now: Nanos) {
        let every = self.fault.every;
        if !every.is_zero() && now >= self.start + every {
            self.start += every * ((now - self.start).0 / every.0);
            self.left = self.fault.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_lines_or_semicolons() {
        let script =
            FaultScript::parse("at=5s gap; at=10s for=3s silence # quiet\n\n every=2s count=3 429\ndelay=50ms")
                .unwrap();
        let fault = |kind, at, lasts, every, count| Fault {
            kind,
            at: Nanos::from_secs(at),
            lasts: Nanos::from_secs(lasts),
            every: Nanos::from_secs(every),
            count,
        };
        assert_eq!(
            script.faults,
            [
                fault(FaultKind::Gap, 5, 0, 0, 1),
                fault(FaultKind::Silence, 10, 3, 0, 1),
                fault(FaultKind::RateLimit, 0, 0, 2, 3),
                fault(FaultKind::Delay(Nanos::from_millis(50)), 0, 0, 0, 1),
            ]
        );
    }

    #[test]
    fn every_name_parses() {
        for (name, kind) in NAMES {
            let timed = matches!(kind, FaultKind::Delay(_) | FaultKind::ClockSkew(_));
            let text = if timed { format!("{name}=0s") } else { format!("for=1s {name}") };
            assert_eq!(FaultScript::parse(&text).unwrap().faults[0].kind, kind);
        }
    }

    #[test]
    fn errors_name_the_place_and_what_would_be_right() {
        for (text, number, message) in [
            ("gap; at=5 gap", 2, "`5` is not a time"),
            ("at=5s", 1, "names no fault; one of gap"),
            ("at=5s gapp", 1, "`gapp` is not a fault"),
            ("gap silence", 1, "`silence` is a second fault"),
            ("on=5s gap", 1, "`on` is not a key"),
            ("count=0 gap", 1, "`0` is not a count"),
            ("at=1s at=2s gap", 1, "`at` is given twice"),
            ("delay", 1, "such as delay=50ms"),
            ("at=1s silence", 1, "such as for=3s"),
            ("for=5s every=5s silence", 1, "every= must be longer"),
            ("at=99999999999999h gap", 1, "is not a time"),
        ] {
            let error = FaultScript::parse(text).unwrap_err();
            assert_eq!(error.number, number, "{text}");
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn faults_strike_by_count_by_window_and_again() {
        let at = |s| Nanos::from_secs(s);
        let run = |text: &str| Faults::new(&FaultScript::parse(text).unwrap(), 1, at(100));
        let mut faults = run("at=5s count=2 gap");
        assert!(!faults.strikes(at(104), FaultKind::Gap));
        assert_eq!(faults.next_due(at(104)), at(105));
        assert_eq!([106, 106, 107].map(|t| faults.strikes(at(t), FaultKind::Gap)), [true, true, false]);
        let mut faults = run("at=5s for=2s silence");
        assert_eq!([104, 105, 106, 107].map(|t| faults.strikes(at(t), FaultKind::Silence)), [false, true, true, false]);
        let mut faults = run("at=1s every=10s reject");
        let hits = [101, 102, 111, 112, 135, 136].map(|t| faults.strikes(at(t), FaultKind::Reject));
        assert_eq!(hits, [true, false, true, false, true, false]);
        assert_eq!(faults.next_due(at(136)), at(141));
        assert_eq!(faults.struck(), 3);
    }
}
