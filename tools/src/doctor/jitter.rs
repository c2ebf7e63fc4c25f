//! How often a spinning thread is kept from its core: the gaps between two looks at the clock. Measures; judges nothing.

use crate::text;
use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use spinquote::engine::clock::Clock;
use spinquote::engine::pin;
use spinquote::unit::Nanos;
use std::io::Write;

/// Gaps, and where they were measured.
pub struct Jitter {
    gaps: Histogram<u64>,
    lasted: Nanos,
    core: usize,
    /// Why it was not that core alone.
    notice: Option<String>,
}

/// Longest gap that is told apart.
const GAP_MAX: u64 = 10_000_000_000;

/// Spins for this long on the core, or on any if it cannot be had.
pub fn measure(core: usize, lasts: Nanos) -> Jitter {
    let measured = std::thread::spawn(move || {
        let notice = pin::pin("measuring", Some(core)).err();
        let mut gaps = Histogram::new_with_max(GAP_MAX, 3).expect("bounds that a histogram can have");
        let clock = Clock::new();
        let begun = clock.now();
        let mut last = begun;
        while last - begun < lasts {
            let now = clock.now();
            gaps.saturating_record((now - last).0.max(0).unsigned_abs());
            last = now;
        }
        Jitter { gaps, lasted: last - begun, core, notice }
    });
    measured.join().expect("the measuring thread does not panic")
}

/// Upper ends of the lines of the histogram, ns.
const EDGES: [u64; 9] = [100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000, 10_000_000];

impl Jitter {
    /// Gaps and the time they took, line by line.
    fn lines(&self) -> Vec<(u64, u64, u64)> {
        let mut from = 0;
        let mut lines = Vec::new();
        for edge in EDGES.into_iter().chain([GAP_MAX]) {
            let inside = self.gaps.iter_recorded().filter(|found| (from..edge).contains(&found.value_iterated_to()));
            let (mut count, mut sum) = (0, 0);
            for found in inside {
                count += found.count_since_last_iteration();
                sum += found.count_since_last_iteration() * found.value_iterated_to();
            }
            lines.push((edge, count, sum));
            from = edge;
        }
        lines
    }

    /// For people.
    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        let at = |quantile: f64| text::span(self.gaps.value_at_quantile(quantile).cast_signed());
        let lasted = text::span(self.lasted.0);
        let place = match &self.notice {
            None => format!("on core {}", self.core),
            Some(_) => "that is pinned to no core".to_owned(),
        };
        writeln!(out, "jitter of a spinning thread {place}, {lasted}: {} looks at the clock", self.gaps.len())?;
        if let Some(notice) = &self.notice {
            writeln!(out, "      {notice}")?;
        }
        let max = text::span(self.gaps.max().cast_signed());
        writeln!(
            out,
            "      gap p50 {}, p99 {}, p99.99 {}, p99.9999 {}, max {max}",
            at(0.5),
            at(0.99),
            at(0.9999),
            at(0.999_999)
        )?;
        let lines = self.lines();
        let all = self.lasted.0.max(1).unsigned_abs();
        for (edge, count, sum) in lines {
            let share = sum.saturating_mul(1_000_000) / all;
            let bar = if count == 0 { 0 } else { count.ilog2() as usize + 1 };
            writeln!(
                out,
                "      below {:>8} {:>12}  {:>3}.{:04}% of the time  {}",
                text::span(edge.cast_signed()),
                text::count(i64::try_from(count).unwrap_or(i64::MAX)),
                share / 10_000,
                share % 10_000,
                "#".repeat(bar)
            )?;
        }
        Ok(())
    }

    /// For programs, in nanoseconds.
    pub fn to_json(&self) -> Value {
        let at = |quantile: f64| self.gaps.value_at_quantile(quantile);
        let lines: Vec<Value> =
            self.lines().iter().map(|(edge, count, sum)| json!({"below": edge, "count": count, "sum": sum})).collect();
        json!({
            "core": self.core,
            "pinned": self.notice.is_none(),
            "notice": self.notice,
            "lasted": self.lasted.0,
            "looks": self.gaps.len(),
            "p50": at(0.5),
            "p99": at(0.99),
            "p9999": at(0.9999),
            "p999999": at(0.999_999),
            "max": self.gaps.max(),
            "histogram": lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_is_in_one_line_and_they_fill_the_time() {
        let jitter = measure(4_000, Nanos::from_millis(20));
        assert!(jitter.notice.as_ref().is_some_and(|notice| notice.contains("core 4000")));
        let lines = jitter.lines();
        assert_eq!(lines.iter().map(|line| line.1).sum::<u64>(), jitter.gaps.len());
        let (sum, lasted) = (lines.iter().map(|line| line.2).sum::<u64>(), jitter.lasted.0.unsigned_abs());
        assert!(sum.abs_diff(lasted) <= lasted / 50, "{sum} of {lasted}");
    }
}
