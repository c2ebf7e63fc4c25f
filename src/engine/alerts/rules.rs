//! What is watched: the facts of one look at the counters page, and the rules over them. Knows how far to a limit a thing is; whom to tell
//! is not its part.

use super::Severity;
use crate::config::engine::{EngineSettings, Keep};
use crate::engine::ring::ORDERS_CAPACITY;
use crate::instrument::Instrument;
use crate::journal::counters::{CounterReader, Slot};
use crate::unit::{Money, Nanos, decimal_text};
use std::collections::VecDeque;
use std::path::Path;

/// A thread of the run whose heartbeat is this old does not turn.
const SILENT: Nanos = Nanos::from_secs(2);
/// Not quoting for this long, though nobody paused it, is worth a human.
const UNQUOTED_MAX: Nanos = Nanos::from_secs(60);
/// So many failed REST calls in a minute mean that the venue or the way to it is broken.
const REST_FAILURES_MAX: i64 = 10;
/// What happened once is an alert for this long.
const RECENT: Nanos = Nanos::from_secs(60);

/// One thing to watch.
pub(super) struct Rule {
    /// Its name in files and messages.
    pub name: &'static str,
    /// How bad it can get.
    pub worst: Severity,
    /// It must be bad for this long first.
    pub hold: Nanos,
    /// Thousandths of the limit, and what to say; `None` where it does not apply.
    pub measure: fn(&Facts) -> Option<(i64, String)>,
}

/// The limits of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    loss_max: i64,
    /// Symbol and largest position in lots.
    instruments: Vec<(String, i64)>,
    orders_10s: i64,
    weight_1m: i64,
    journal_bytes: Option<i64>,
    segment_bytes: i64,
    skew_max: i64,
}

impl Limits {
    pub(super) fn new(settings: &EngineSettings, instruments: &[Instrument], weight_max: u32) -> Self {
        let (risk, journal) = (&settings.risk, &settings.journal);
        let lots = |terms: &Instrument| i64::try_from(risk.position_max.0 / terms.lot.atto()).unwrap_or(i64::MAX);
        let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            loss_max: page_money(risk.loss_max),
            instruments: instruments.iter().map(|terms| (terms.symbol.to_string(), lots(terms))).collect(),
            orders_10s: i64::from(risk.orders_per_10s),
            weight_1m: i64::from(weight_max),
            journal_bytes: (journal.keep == Keep::Stop).then(|| bytes(journal.bytes_max)),
            segment_bytes: bytes(journal.segment_bytes),
            skew_max: risk.clock_skew_max.0,
        }
    }
}

/// The page's money has eight decimals.
fn page_money(money: Money) -> i64 {
    i64::try_from(money.0 / 10_i128.pow(10)).unwrap_or(i64::MAX)
}

/// What earlier looks saw.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Since when nothing was quoted.
    unquoted: Option<Nanos>,
    /// Failed REST calls at earlier times of the last minute.
    rest_failed: VecDeque<(Nanos, i64)>,
    /// The last counts of things that happen once, and when they last grew.
    once: [(i64, Option<Nanos>); 2],
}

/// One look.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub now: Nanos,
    /// Thousandths of the loss limit.
    pub loss: i64,
    pub loss_text: String,
    /// The position nearest to its limit, in thousandths.
    pub position: i64,
    pub position_text: String,
    pub orders: i64,
    pub weight: i64,
    pub journal: i64,
    pub disk: i64,
    pub clock: i64,
    pub ring: i64,
    /// Ages of the heartbeats, zero before the first.
    pub engine_age: Nanos,
    pub sender_age: Nanos,
    pub unquoted_ms: i64,
    pub rest_failed: i64,
    pub killed: bool,
    /// 0 fine, 1 below 30 %, 2 below 20 %.
    pub margin_level: i64,
    pub margin_text: String,
    pub lost: i64,
    pub allocations: i64,
    pub lapsed: bool,
    pub taken_over: bool,
    /// When the venue's switch fires, 0 while not armed.
    pub dead_man_at: i64,
}

/// `part` of `whole` in thousandths.
fn thousandths(part: i64, whole: i64) -> i64 {
    let share = i128::from(part.max(0)) * 1000 / i128::from(whole.max(1));
    i64::try_from(share).unwrap_or(i64::MAX)
}

impl Facts {
    /// Reads the page.
    pub(super) fn read(now: Nanos, page: &CounterReader, limits: &Limits, before: &mut Before, run_dir: &Path) -> Self {
        let word = |slot: Slot| page.named(slot.name()).unwrap_or(0);
        let of = |symbol: &str, name: &str| page.named(&format!("{symbol}/{name}")).unwrap_or(0);
        let money = |value: i64| decimal_text(i128::from(value), 8);
        let age = |slot: Slot| match word(slot) {
            0 => Nanos::ZERO,
            beat => Nanos((now.0 - beat).max(0)),
        };
        let pnl: i64 = limits.instruments.iter().map(|(symbol, _)| of(symbol, "pnl.total")).sum();
        let nearest = limits.instruments.iter().map(|(symbol, most)| {
            let held = of(symbol, "position");
            (thousandths(held.saturating_abs(), *most), format!("{symbol}: {held} of {most} lots"))
        });
        let (position, position_text) = nearest.max_by_key(|&(level, _)| level).unwrap_or_default();
        let quiet = word(Slot::Paused) != 0 && word(Slot::EngineHeartbeat) != 0;
        let since = if quiet { Some(*before.unquoted.get_or_insert(now)) } else { None };
        before.unquoted = since;
        let failed = word(Slot::RestFailed);
        before.rest_failed.push_back((now, failed));
        while before.rest_failed.front().is_some_and(|&(at, _)| now - at > RECENT) {
            before.rest_failed.pop_front();
        }
        let mut recent = [false; 2];
        for (at, slot) in [Slot::Lapses, Slot::Takeovers].into_iter().enumerate() {
            let (last, grew) = &mut before.once[at];
            let count = word(slot);
            if count > *last {
                (*last, *grew) = (count, Some(now));
            }
            recent[at] = grew.is_some_and(|grew| now - grew < RECENT);
        }
        let free = rustix::fs::statvfs(run_dir)
            .map_or(i64::MAX, |fs| i64::try_from(fs.f_bavail.saturating_mul(fs.f_frsize)).unwrap_or(i64::MAX));
        let capacity = ORDERS_CAPACITY as i64;
        Self {
            now,
            loss: thousandths(-pnl, limits.loss_max),
            loss_text: format!("P&L {} of at most -{}", money(pnl), money(limits.loss_max)),
            position,
            position_text,
            orders: thousandths(word(Slot::OrdersUsed), limits.orders_10s),
            weight: thousandths(word(Slot::WeightUsed), limits.weight_1m),
            journal: limits.journal_bytes.map_or(0, |most| thousandths(word(Slot::JournalBytes), most)),
            // Four segments free is the limit, five the band's begin.
            disk: thousandths(limits.segment_bytes.saturating_mul(4), free),
            clock: thousandths(word(Slot::ClockOffset).saturating_abs(), limits.skew_max),
            // Before the engine's first word the ring is said to have no place free.
            ring: if word(Slot::EngineHeartbeat) == 0 {
                0
            } else {
                thousandths(capacity - word(Slot::RingFree), capacity)
            },
            engine_age: age(Slot::EngineHeartbeat),
            sender_age: age(Slot::SenderHeartbeat),
            unquoted_ms: since.map_or(0, |since| (now - since).as_millis()),
            rest_failed: failed - before.rest_failed.front().map_or(failed, |&(_, first)| first),
            killed: word(Slot::Killed) != 0,
            margin_level: word(Slot::MarginLevel),
            margin_text: format!("equity is {} times the margin used", money(word(Slot::MarginRatio))),
            lost: word(Slot::JournalLost),
            allocations: word(Slot::Allocations),
            lapsed: recent[0],
            taken_over: recent[1],
            dead_man_at: word(Slot::DeadManAt),
        }
    }
}

const NOW: Nanos = Nanos::ZERO;

const fn rule(name: &'static str, worst: Severity, hold: Nanos, measure: fn(&Facts) -> Option<(i64, String)>) -> Rule {
    Rule { name, worst, hold, measure }
}

fn yes(bad: bool, text: impl Into<String>) -> Option<(i64, String)> {
    Some((if bad { 1000 } else { 0 }, text.into()))
}

fn share(level: i64, of: &str) -> Option<(i64, String)> {
    Some((level, format!("{}.{}% of {of}", level / 10, level % 10)))
}

/// Everything that is watched.
pub(super) static RULES: &[Rule] = &[
    rule("loss", Severity::Critical, NOW, |facts| Some((facts.loss, facts.loss_text.clone()))),
    rule("position", Severity::Critical, NOW, |facts| Some((facts.position, facts.position_text.clone()))),
    rule("killed", Severity::Critical, NOW, |facts| {
        yes(facts.killed, "nothing is sent any more until a human says `sq ctl resume`")
    }),
    rule("margin", Severity::Warning, NOW, |facts| {
        yes(facts.margin_level >= 1, format!("{}, below 0.30", facts.margin_text))
    }),
    rule("margin-danger", Severity::Critical, NOW, |facts| {
        yes(facts.margin_level >= 2, format!("{}, below 0.20", facts.margin_text))
    }),
    rule("engine-silent", Severity::Critical, NOW, |facts| {
        let age = facts.engine_age;
        Some((thousandths(age.0, SILENT.0), format!("the engine thread has not turned for {} ms", age.as_millis())))
    }),
    rule("io-silent", Severity::Critical, NOW, |facts| {
        let age = facts.sender_age;
        Some((thousandths(age.0, SILENT.0), format!("the I/O thread has not turned for {} ms", age.as_millis())))
    }),
    rule("took-over", Severity::Critical, NOW, |facts| {
        yes(facts.taken_over, "the I/O thread carried out a command that the engine did not take")
    }),
    rule("lapse", Severity::Warning, NOW, |facts| yes(facts.lapsed, "the engine did not run for more than a second")),
    rule("dead-man", Severity::Critical, NOW, |facts| {
        yes(
            facts.dead_man_at != 0 && facts.now.0 > facts.dead_man_at,
            "the venue's dead-man switch was not refreshed in time",
        )
    }),
    rule("not-quoting", Severity::Warning, NOW, |facts| {
        let seconds = facts.unquoted_ms / 1000;
        let level = thousandths(facts.unquoted_ms, UNQUOTED_MAX.as_millis());
        Some((level, format!("nothing was quoted for {seconds} s; `sq journal grep withdrawn` says why")))
    }),
    rule("orders", Severity::Critical, NOW, |facts| share(facts.orders, "risk.orders_per_10s")),
    rule("weight", Severity::Critical, NOW, |facts| share(facts.weight, "the venue's request weight a minute")),
    rule("rest", Severity::Warning, NOW, |facts| {
        let level = thousandths(facts.rest_failed, REST_FAILURES_MAX);
        Some((level, format!("{} REST calls failed within a minute", facts.rest_failed)))
    }),
    rule("ring", Severity::Critical, NOW, |facts| share(facts.ring, "the order ring")),
    rule("clock", Severity::Critical, Nanos::from_secs(2), |facts| {
        share(facts.clock, "risk.clock_skew_max lies between the venue's clock and ours")
    }),
    rule("journal", Severity::Critical, NOW, |facts| share(facts.journal, "journal.bytes_max")),
    rule("journal-lost", Severity::Critical, NOW, |facts| {
        yes(facts.lost != 0, format!("{} records found no journal segment: the run cannot be replayed", facts.lost))
    }),
    rule("disk", Severity::Critical, NOW, |facts| {
        let of = "the free disk space is what four journal segments need";
        share(facts.disk.min(100_000), of)
    }),
    rule("allocations", Severity::Warning, NOW, |facts| {
        yes(facts.allocations != 0, format!("{} allocations on the engine thread after its warm-up", facts.allocations))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::counters::{self, InstrumentSlot};

    fn level(name: &str, facts: &Facts) -> i64 {
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap_or_else(|| panic!("{name}"));
        (rule.measure)(facts).map_or(0, |(level, _)| level)
    }

    #[test]
    fn every_limit_is_read_from_the_page_and_the_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters.sqc");
        let [engine, sender, housekeeper] = counters::create(&path, &["BTCUSDT"]).unwrap();
        let page = CounterReader::open(&path).unwrap();
        let terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let mut settings = EngineSettings::demo();
        settings.risk.position_max = crate::config::value::amount("2").unwrap();
        settings.risk.loss_max = Money::parse(b"500").unwrap();
        let limits = Limits::new(&settings, std::slice::from_ref(&terms), 2400);
        let mut before = Before::default();
        let mut look = |at: i64| Facts::read(Nanos::from_secs(at), &page, &limits, &mut before, dir.path());

        let calm = look(100);
        let loud: Vec<&str> = RULES.iter().map(|rule| rule.name).filter(|name| level(name, &calm) != 0).collect();
        assert!(loud.is_empty() || loud == ["disk"], "{loud:?}");
        let beat = Nanos::from_secs(100).0;
        for (slot, value) in [
            (Slot::EngineHeartbeat, beat),
            (Slot::RingFree, 256),
            (Slot::Paused, 1),
            (Slot::Killed, 1),
            (Slot::JournalLost, 3),
            (Slot::Allocations, 1),
            (Slot::Lapses, 1),
            (Slot::MarginLevel, 1),
        ] {
            engine.set(slot, value);
        }
        engine.set_of(0, InstrumentSlot::Position, -1800);
        engine.set_of(0, InstrumentSlot::PnlTotal, -250 * 100_000_000);
        for (slot, value) in [
            (Slot::SenderHeartbeat, Nanos::from_secs(101).0),
            (Slot::OrdersUsed, 190),
            (Slot::WeightUsed, 1200),
            (Slot::Takeovers, 1),
        ] {
            sender.set(slot, value);
        }
        housekeeper.set(Slot::ClockOffset, -settings.risk.clock_skew_max.0);
        housekeeper.set(Slot::RestFailed, 4);
        housekeeper.set(Slot::DeadManAt, beat);
        housekeeper.set(Slot::JournalBytes, (settings.journal.bytes_max / 2) as i64);
        let facts = look(102);
        for (name, wanted) in [
            ("loss", 500),
            ("position", 900),
            ("killed", 1000),
            ("margin", 1000),
            ("margin-danger", 0),
            ("engine-silent", 1000),
            ("io-silent", 500),
            ("took-over", 1000),
            ("lapse", 1000),
            ("dead-man", 1000),
            ("not-quoting", 0),
            ("orders", 950),
            ("weight", 500),
            ("rest", 400),
            ("ring", 750),
            ("clock", 1000),
            ("journal", 500),
            ("journal-lost", 1000),
            ("allocations", 1000),
        ] {
            assert_eq!(level(name, &facts), wanted, "{name}: {facts:?}");
        }
        let later = look(165);
        assert_eq!((level("not-quoting", &later), level("lapse", &later)), (1050, 0));
        assert_eq!(level("rest", &later), 0, "a minute later");
        engine.set(Slot::MarginLevel, 2);
        assert_eq!(level("margin-danger", &look(166)), 1000);
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
