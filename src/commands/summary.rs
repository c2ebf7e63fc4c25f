//! What a run came to: the figures of its end, as text for people and as JSON for programs. Reads the run directory like any observer.

use anyhow::Result;
use serde_json::{Map, Value, json};
use spinquote::engine::turn::WARM_UP_FRAMES;
use spinquote::engine::wiring::Ended;
use spinquote::instrument::Instrument;
use spinquote::journal::RunDir;
use spinquote::journal::counters::CounterReader;
use spinquote::journal::histogram::{HistogramReader, Snapshot};
use spinquote::unit::{Lots, Money, Nanos};
use std::fmt::Write as _;

/// The figures.
pub struct Summary {
    terms: Instrument,
    ended: Ended,
    /// Allocations and page faults after warm-up, if the run left it.
    warm: Option<[i64; 2]>,
    protocol_errors: i64,
    stages: Vec<Snapshot>,
    run_dir: RunDir,
    lasted: Nanos,
    quoting_after: Option<Nanos>,
}

impl Summary {
    /// Reads what the run left.
    pub fn new(
        terms: &Instrument,
        ended: Ended,
        run_dir: &RunDir,
        lasted: Nanos,
        quoting_after: Option<Nanos>,
    ) -> Result<Self> {
        let page = CounterReader::open(&run_dir.counters())?;
        let count = |name: &str| page.named(name).unwrap_or(0);
        Ok(Self {
            terms: terms.clone(),
            warm: ended.engine.warmed.then(|| [count("engine.allocations"), count("engine.page_faults")]),
            protocol_errors: count("engine.protocol_errors") + count("engine.decode_errors"),
            stages: HistogramReader::open(&run_dir.histograms())?.stages(),
            run_dir: run_dir.clone(),
            ended,
            lasted,
            quoting_after,
        })
    }

    /// True when the run ended as it should: nothing of ours left at the venue, nothing lost, nothing unknown.
    pub fn is_clean(&self) -> bool {
        self.ended.engine.fault.is_none() && self.ended.open_orders == Some(0) && self.ended.engine.quiet
    }

    /// The JSON form; decimals are numbers rounded to eight places.
    pub fn json(&self) -> Value {
        let status = &self.ended.engine.statuses[0];
        let counters = &status.counters;
        let pnl = &status.pnl;
        let mut latency = Map::new();
        for stage in self.stages.iter().filter(|stage| stage.count > 0) {
            let at = |millionths| stage.percentile(millionths);
            latency.insert(
                stage.name.clone(),
                json!({"count": stage.count, "p50": at(500_000), "p99": at(990_000), "p999": at(999_000), "max": stage.max}),
            );
        }
        json!({
            "symbol": self.terms.symbol.as_str(),
            "seconds": self.lasted.as_millis() as f64 / 1e3,
            "quoting_after_ms": self.quoting_after.map(Nanos::as_millis),
            "fills": {"buy": counters.fills_buy, "sell": counters.fills_sell},
            "volume": {"buy": self.base(Lots(counters.bought.cast_signed())), "sell": self.base(Lots(counters.sold.cast_signed()))},
            "orders": {
                "new": counters.new, "amend": counters.amend, "cancel": counters.cancel, "rejected": counters.rejected,
                "refused": counters.refused, "unknown": counters.unknown, "queries": counters.query,
            },
            "protocol_errors": self.protocol_errors,
            "book": {"gaps": counters.gaps, "resyncs": counters.resyncs, "crossed": counters.crossed},
            "withdrawals": counters.withdrawn,
            "corrections": counters.corrections,
            "position": self.base(status.position),
            "venue_position": self.ended.position.map(|position| self.base(position)),
            "open_orders_at_venue": self.ended.open_orders,
            "pnl": {
                "spread": number(pnl.spread), "inventory": number(pnl.inventory), "fees": -number(pnl.fees),
                "funding": number(pnl.funding), "total": number(pnl.total()),
            },
            "latency_ns": latency,
            "frames": self.ended.engine.frames,
            "allocations_after_warmup": self.warm.map(|[allocations, _]| allocations),
            "page_faults_after_warmup": self.warm.map(|[_, faults]| faults),
            "fault": self.ended.engine.fault.as_ref().map(ToString::to_string),
            "problems": self.ended.problems,
            "run_dir": self.run_dir.path().display().to_string(),
        })
    }

    fn base(&self, lots: Lots) -> f64 {
        self.terms.lot.text(lots.0).parse().unwrap_or(f64::NAN)
    }

    /// The text form.
    pub fn text(&self) -> String {
        let status = &self.ended.engine.statuses[0];
        let counters = &status.counters;
        let (base, quote) = (self.terms.base.as_str(), self.terms.quote.as_str());
        let mut out = String::new();
        let position = self.terms.lot.text(status.position.0);
        let flat = if status.position.is_zero() { "flat".to_owned() } else { format!("not flat: {position} {base}") };
        let open = match self.ended.open_orders {
            Some(0) => "no order of ours is open at the venue".to_owned(),
            Some(n) => format!("{n} ORDERS OF OURS ARE STILL OPEN AT THE VENUE"),
            None => "WHETHER ORDERS ARE OPEN AT THE VENUE IS NOT KNOWN".to_owned(),
        };
        let _ = writeln!(
            out,
            "\n{} after {:.1} s: {flat}; {open}",
            self.terms.symbol,
            self.lasted.as_millis() as f64 / 1e3
        );
        match self.ended.position {
            Some(venue) if venue == status.position => {}
            Some(venue) => {
                let _ = writeln!(out, "THE VENUE'S POSITION DIFFERS: {} {base}", self.terms.lot.text(venue.0));
            }
            None => out.push_str("the venue's position is not known\n"),
        }
        let pnl = &status.pnl;
        let _ = writeln!(
            out,
            "P&L {:+.4} {quote} = spread {:+.4}, inventory {:+.4}, fees {:+.4}, funding {:+.4}",
            number(pnl.total()),
            number(pnl.spread),
            number(pnl.inventory),
            -number(pnl.fees),
            number(pnl.funding)
        );
        let _ = writeln!(
            out,
            "orders {} new, {} amends, {} cancels, {} rejected; fills {} buys, {} sells",
            counters.new, counters.amend, counters.cancel, counters.rejected, counters.fills_buy, counters.fills_sell
        );
        let _ = writeln!(
            out,
            "book {} gaps, {} resyncs, {} crossed; {} frames, {} protocol errors; {}",
            counters.gaps,
            counters.resyncs,
            counters.crossed,
            self.ended.engine.frames,
            self.protocol_errors,
            after_warm_up(self.warm, self.ended.engine.frames)
        );
        let _ =
            writeln!(out, "\n{:<18}{:>10}{:>10}{:>10}{:>10}{:>12}", "latency", "count", "p50", "p99", "p99.9", "max");
        for stage in self.stages.iter().filter(|stage| stage.count > 0) {
            let at = |millionths| span(stage.percentile(millionths));
            let _ = writeln!(
                out,
                "{:<18}{:>10}{:>10}{:>10}{:>10}{:>12}",
                stage.name,
                stage.count,
                at(500_000),
                at(990_000),
                at(999_000),
                span(stage.max)
            );
        }
        for problem in &self.ended.problems {
            let _ = writeln!(out, "problem: {problem}");
        }
        if let Some(fault) = &self.ended.engine.fault {
            let _ = writeln!(out, "fault: {fault}");
        }
        let dir = self.run_dir.path().display();
        let _ = writeln!(
            out,
            "\nrun directory {dir}\n  spinquote replay {dir}    verifies it bit for bit\n  sq journal stat {dir}    says what is in it"
        );
        out
    }
}

/// What a run says of its allocations: nothing, if it was too short to have any worth the name.
fn after_warm_up(warm: Option<[i64; 2]>, frames: u64) -> String {
    match warm {
        Some([allocations, faults]) => format!("{allocations} allocations and {faults} page faults after warm-up"),
        None => format!(
            "allocations and page faults after warm-up not measured: {frames} frames, warm-up is {WARM_UP_FRAMES}"
        ),
    }
}

/// Money as a number for people and JSON, rounded to eight places.
pub fn number(money: Money) -> f64 {
    (money.0 / 10_i128.pow(10)) as f64 / 1e8
}

/// Nanoseconds in the unit that people read best.
pub fn span(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_inside_its_warm_up_claims_nothing() {
        let text = after_warm_up(None, 431);
        assert_eq!(text, "allocations and page faults after warm-up not measured: 431 frames, warm-up is 500");
        assert_eq!(after_warm_up(Some([0, 3]), 9_000), "0 allocations and 3 page faults after warm-up");
    }
}
