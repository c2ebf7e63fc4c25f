//! A run's journal, record by record, into a report. One pass, bounded memory; a record that cannot be decoded is passed over and counted.

use super::replica::{Frames, Reconciling, Replica, Undecoded};
use crate::decided::Decided;
use crate::meta::Meta;
use crate::progress;
use crate::row::Row;
use crate::run::{Run, read_fault};
use crate::text;
use anyhow::{Result, bail};
use serde_json::Value;
use spinquote::event::{AccountEvent, Event, Link, LinkState, OrderEventKind};
use spinquote::instrument::{Instrument, InstrumentId, Symbol};
use spinquote::journal::record;
use spinquote::journal::{ReadError, Record};
use spinquote::report::{Collector, Counted, Kind, LimitOf, Report, Setup, Severity, Stage};
use spinquote::unit::Nanos;

/// The report, and the damage that ended the journal, if any.
pub fn report(run: &Run) -> Result<(Report, Option<anyhow::Error>)> {
    let instruments = instruments(&run.meta)?;
    let mut reader = run.journal()?;
    let truncated = reader.segment().index > 0;
    let mut reading = Reading {
        meta: &run.meta,
        collector: Collector::new(setup(run, &instruments)),
        replicas: instruments.iter().map(|instrument| Replica::new(instrument, truncated)).collect(),
        frames: Frames::new(&instruments),
        reconciling: Reconciling::default(),
        undecoded: 0,
        refused: 0,
    };
    if truncated {
        reading.collector.note(
            "The journal's first segments were removed: what came before is not in these figures, and the P&L counts from here.",
        );
    }
    let bar = progress::bar(run);
    let damage = loop {
        match reader.next() {
            Ok(Some(found)) => {
                reading.take(&found);
                if found.seq.is_multiple_of(4096) {
                    bar.set_position(progress::place(&reader, run));
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    bar.finish_and_clear();
    Ok((reading.finish(run, damage.as_ref()), damage.map(read_fault)))
}

/// The contracts of the run, as far as decoding and sums need them.
pub fn instruments(meta: &Meta) -> Result<Vec<Instrument>> {
    let mut out = Vec::new();
    for contract in &meta.contracts {
        let (Some(tick), Some(lot)) = (contract.tick, contract.lot) else {
            bail!(
                "meta.json does not say the tick and the lot of {}, without which nothing can be summed",
                contract.symbol
            );
        };
        let name = |text: &str| Symbol::from(text).unwrap_or_default();
        let grid = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let base = contract.symbol.strip_suffix(contract.quote.as_str()).unwrap_or(&contract.symbol);
        let (symbol, base, quote) = (name(&contract.symbol), name(base), name(&contract.quote));
        out.push(Instrument { symbol, base, quote, tick, lot, ..grid });
    }
    if out.is_empty() {
        bail!(
            "meta.json names no instrument{}",
            meta.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default()
        );
    }
    Ok(out)
}

fn setup(run: &Run, instruments: &[Instrument]) -> Setup {
    let all: Value =
        std::fs::read(run.dir.meta()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let text_at = |path: &str| match all.pointer(path)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let command = text_at("/run/command");
    let kind = match command.as_deref() {
        Some("paper") => Kind::Paper,
        Some("backtest") => Kind::Backtest,
        _ => Kind::Live,
    };
    let mut facts = vec![("run".to_owned(), run.name.clone())];
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
    };
    fact("state", Some(run.life().sentence()));
    fact("command", command);
    for name in ["venue", "market", "seed"] {
        fact(name, text_at(&format!("/run/{name}")));
    }
    for (at, instrument) in instruments.iter().enumerate() {
        let (symbol, tick, lot) = (instrument.symbol, instrument.tick.text(1), instrument.lot.text(1));
        fact("instrument", Some(format!("{symbol}, tick {tick} {}, lot {lot} {}", instrument.quote, instrument.base)));
        fact("strategy", text_at(&format!("/recipe/instruments/{at}/strategy/kind")));
        fact("strategy file", text_at(&format!("/recipe/instruments/{at}/strategy/file")));
    }
    fact("spinquote", text_at("/spinquote"));
    let host = ["/host/cpu", "/host/cores", "/host/kernel", "/host/clocksource"].map(text_at);
    if let [Some(cpu), Some(cores), Some(kernel), Some(clock)] = host {
        fact("host", Some(format!("{cpu}, {cores} cores, {kernel}, clock {clock}")));
    }
    let number = |name: &str| all.pointer(&format!("/recipe/maker/limits/{name}")).and_then(Value::as_i64);
    let most = |name: &str| number(name).and_then(|most| u64::try_from(most).ok());
    let window = number("interval_ns").filter(|&ns| ns > 0).map_or(Nanos::from_secs(1), Nanos);
    let limit = |what, window, max| LimitOf { what, window, max };
    let mut limits = vec![
        limit(Counted::Orders, window, most("orders_max")),
        limit(Counted::Messages, window, most("messages_max")),
    ];
    // The venue's own windows, so that a report can be held against them; its usual limits.
    for (seconds, max) in [(10, 300), (60, 1200)] {
        limits.push(limit(Counted::Orders, Nanos::from_secs(seconds), Some(max)));
    }
    let symbols: Vec<&str> = instruments.iter().map(|instrument| instrument.symbol.as_str()).collect();
    Setup {
        title: format!("{} · run {}", symbols.join(", "), run.name),
        kind,
        facts,
        instruments: instruments.to_vec(),
        limits,
    }
}

struct Reading<'a> {
    meta: &'a Meta,
    collector: Collector,
    replicas: Vec<Replica>,
    frames: Frames,
    reconciling: Reconciling,
    undecoded: u64,
    refused: u64,
}

impl Reading<'_> {
    fn take(&mut self, found: &Record<'_>) {
        self.collector.passed(found.time);
        match found.kind {
            record::FRAME | record::SNAPSHOT => self.market(found),
            record::COMMAND => match record::decode_command(found.payload) {
                Ok(command) => {
                    self.reconciling.command(found.time, &command);
                    self.collector.command(found.time, &command);
                }
                Err(_) => self.undecoded += 1,
            },
            record::DECISION => self.decision(found),
            record::LOSS => {
                let lost = record::Loss::decode(found.payload).map_or(0, |loss| loss.records);
                let detail = format!("{lost} records found no journal segment; these figures miss them");
                self.collector.incident(found.time, Severity::Critical, "journal lost records", detail);
            }
            record::GAP => self.told(found, Severity::Warning, "feed gap"),
            record::RUN_END => {
                if record::RunEnd::decode(found.payload).is_ok_and(|end| end.reason != 0) {
                    let detail = "orders were live or in doubt";
                    self.collector.incident(found.time, Severity::Critical, "ended with open orders", detail);
                }
            }
            record::TIMER | record::CLOCK | record::RUN_START | record::SENT | record::SEAL => {}
            record::SETTINGS => self.collector.incident(found.time, Severity::Info, "settings reloaded", ""),
            record::ASKED => {
                if let Ok((_, by, why)) = record::Asked::split(found.payload) {
                    self.collector.incident(found.time, Severity::Info, "asked for by", [by, why].join(": "));
                }
            }
            kind => match record::decode_event(kind, found.payload) {
                Ok(event) => self.event(found, &event),
                Err(_) => self.undecoded += 1,
            },
        }
    }

    /// A frame or a snapshot of a market that is traded.
    fn market(&mut self, found: &Record<'_>) {
        let (on, event) = match self.frames.event(found) {
            Ok(Some(heard)) => heard,
            Ok(None) => return,
            Err(Undecoded) => return self.undecoded += 1,
        };
        let replica = &mut self.replicas[usize::from(on.0)];
        replica.market(&event);
        let touch = replica.touch();
        self.collector.quote(found.time, on, touch);
        if !replica.position().is_zero() {
            self.collector.ledger(found.time, on, replica.position(), replica.split());
        }
    }

    fn event(&mut self, found: &Record<'_>, event: &Event<'_>) {
        let now = found.time;
        match event {
            Event::Order(order) => {
                let Some(replica) = self.replicas.get_mut(usize::from(order.instrument.0)) else { return };
                replica.order(now, order);
                self.collector.order(now, order);
                if order.kind == OrderEventKind::Fill {
                    self.collector.ledger(now, order.instrument, replica.position(), replica.split());
                }
                if matches!(order.kind, OrderEventKind::Rejected | OrderEventKind::Unknown) {
                    self.told(found, Severity::Warning, &format!("order {}", text::name(order.kind)));
                }
            }
            Event::Account(account) => self.account(found, account),
            Event::Link { instrument, link, state } => {
                let severity = if *state == LinkState::Up { Severity::Info } else { Severity::Warning };
                let detail = self.meta.symbol(*instrument);
                let what = format!("{} {}", text::name(link), text::name(state));
                self.collector.incident(now, severity, what, detail);
                if *link == Link::Market
                    && let Some(replica) = self.replicas.get_mut(usize::from(instrument.0))
                {
                    replica.link(*state);
                    self.collector.quote(now, *instrument, replica.touch());
                }
            }
            Event::Operator(_) => self.told(found, Severity::Info, "operator"),
            Event::Kill => self.collector.incident(now, Severity::Critical, "kill flag", ""),
            Event::Lapse { lost } => {
                let detail = format!("the engine did not run for {}", text::span(lost.0));
                self.collector.incident(now, Severity::Critical, "lapse", detail);
            }
            _ => {}
        }
    }

    fn account(&mut self, found: &Record<'_>, event: &AccountEvent) {
        let now = found.time;
        match event {
            AccountEvent::MarginCall => self.collector.incident(now, Severity::Critical, "margin call", ""),
            AccountEvent::ReconcileFailed => {
                self.collector.incident(now, Severity::Warning, "reconciliation failed", "");
            }
            _ => {}
        }
        let asked = self.reconciling.account(event);
        let only = match *event {
            AccountEvent::Position { instrument, .. } | AccountEvent::Funding { instrument, .. } => Some(instrument),
            _ => None,
        };
        for (at, replica) in self.replicas.iter_mut().enumerate() {
            let on = InstrumentId(at as u16);
            if only.is_none_or(|only| only == on) {
                let (before, split) = (replica.position(), replica.split());
                replica.account(now, event, asked);
                if (before, split) != (replica.position(), replica.split()) {
                    self.collector.ledger(now, on, replica.position(), replica.split());
                }
            }
        }
    }

    fn decision(&mut self, found: &Record<'_>) {
        let Ok(decided) = Decided::decode(found.payload) else {
            self.undecoded += 1;
            return;
        };
        let what = decided.what();
        let severity = match what.as_str() {
            "refused" => {
                self.refused += 1;
                return;
            }
            "withdrawn" | "corrected" | "gap" | "foreign" | "leftover" => Severity::Warning,
            "killed" | "flatten-failed" => Severity::Critical,
            "ready" | "flat" => Severity::Info,
            _ => return,
        };
        self.told(found, severity, &what);
    }

    /// An incident with the record's own fields.
    fn told(&mut self, found: &Record<'_>, severity: Severity, what: &str) {
        let row = Row::of(found, self.meta);
        self.collector.incident(found.time, severity, what, row.pairs(false).trim());
    }

    /// The housekeeper's alerts stand in a file of their own.
    fn alerts(&mut self, run: &Run) {
        let lines = std::fs::read_to_string(run.dir.alerts()).unwrap_or_default();
        for line in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let word = |name: &str| line[name].as_str().unwrap_or_default();
            let severity = match (word("change"), word("severity")) {
                ("raised" | "worse" | "escalated", "warning") => Severity::Warning,
                ("raised" | "worse" | "escalated", _) => Severity::Critical,
                _ => continue,
            };
            let at = Nanos(line["time_ns"].as_i64().unwrap_or(0));
            self.collector.incident(at, severity, format!("alert {}", word("alert")), word("text"));
        }
    }

    fn finish(mut self, run: &Run, damage: Option<&ReadError>) -> Report {
        self.alerts(run);
        // The engine counts every refusal; the journal has one line for a series of the same.
        let counted = run.counters().ok().and_then(|page| page.named("engine.refusals"));
        let refused = counted.and_then(|count| u64::try_from(count).ok()).unwrap_or(0).max(self.refused);
        self.collector.refused(refused);
        match run.histograms() {
            Ok(page) => self.collector.latency(page.stages().iter().filter_map(Stage::of).collect()),
            Err(error) => self.collector.note(format!("No latencies: {error:#}.")),
        }
        if self.undecoded > 0 {
            self.collector.note(format!("{} records could not be decoded and are not in the figures.", self.undecoded));
        }
        if let Some(damage) = damage {
            self.collector.note(format!("The journal is damaged, and the report ends there: {damage}."));
        }
        self.collector.finish()
    }
}
