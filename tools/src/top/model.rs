//! What `sq top` shows: the pages now, the changes since the last look, and what the journal's end says. Bounded, whatever the run's length.

use super::book::Seen;
use crate::advice;
use crate::alerts::{self, Active};
use crate::ledger::Ledger;
use crate::page::Page;
use crate::row::Row;
use crate::run::{Life, Run, now};
use anyhow::Result;
use serde_json::Value;
use spinquote::journal::histogram::{HistogramReader, Snapshot};
use spinquote::journal::{Reader, record};
use spinquote::unit::Nanos;
use std::collections::{HashMap, VecDeque};

/// Rows of events kept.
const EVENTS: usize = 100;
/// Looks kept for a sparkline.
const LOOKS: usize = 60;
/// Most journal records of one look: the picture comes first.
const RECORDS: usize = 200_000;

/// The counters whose change a second is shown.
pub const RATES: [&str; 8] = [
    "engine.frames",
    "engine.frame_bytes",
    "engine.decisions",
    "engine.commands",
    "engine.turns",
    "engine.turns_idle",
    "engine.journal_seq",
    "sender.writes",
];

/// Counters that do not grow in a quiet run: each is told in red for a minute after it grew. Not among them: answers that refuse, for
/// a cancel that comes after the fill is everyday.
pub const TROUBLE: [&str; 6] = [
    "engine.reconnects",
    "engine.decode_errors",
    "engine.protocol_errors",
    "engine.refusals",
    "sender.unknown_outcomes",
    "sender.rate_limited",
];
const RED: Nanos = Nanos::from_secs(60);

/// Latency of one stage.
pub struct Stage {
    pub whole: Snapshot,
    /// Buckets of the last interval: smallest value and count.
    pub recent: Vec<(u64, u64)>,
    /// p99 of each of the last intervals, ns; 0 where nothing was timed.
    pub p99: VecDeque<u64>,
}

/// Mark price, and what is paid for holding.
#[derive(Clone, Default)]
pub struct Funding {
    pub rate: String,
    pub next: Nanos,
    pub mark: String,
}

/// Everything.
pub struct Model {
    pub run: Run,
    pub page: Page,
    pub life: Life,
    pub now: Nanos,
    pub stages: Vec<Stage>,
    pub ledger: Ledger,
    /// The last events worth a line, oldest first.
    pub events: VecDeque<Row>,
    pub funding: HashMap<String, Funding>,
    /// The market's levels as far as they were seen.
    pub book: Seen,
    /// Alerts that hold, the worst first.
    pub alerts: Vec<Active>,
    /// What to do about a run that does not quote.
    pub advice: Vec<String>,
    /// Time of the last frame, 0 before the first.
    pub frame_time: Nanos,
    /// What cannot be read.
    pub fault: Option<String>,
    histograms: Option<HistogramReader>,
    reader: Option<Reader>,
    before: HashMap<&'static str, i64>,
    rates: HashMap<&'static str, i64>,
    /// When each of [`TROUBLE`] last grew under these eyes.
    grew: HashMap<&'static str, Nanos>,
    looked: Option<Nanos>,
}

impl Model {
    /// Opens the run's pages; a journal or histograms that are not there are only left out.
    pub fn open(run: Run) -> Result<Self> {
        let page = Page::open(&run)?;
        let mut fault = run.meta.fault.clone();
        let histograms = run.histograms().map_err(|error| fault = Some(format!("{error:#}"))).ok();
        // The end of the journal is enough for what is shown; orders that are older than it are only counted.
        let segments = run.segments();
        let from = segments.len().saturating_sub(2);
        let reader = match segments.get(from) {
            Some(&(index, _)) => run.journal_at(index),
            None => run.journal(),
        };
        let reader = reader.map_err(|error| fault = Some(format!("{error:#}"))).ok();
        Ok(Self {
            life: run.life(),
            run,
            page,
            now: now(),
            stages: Vec::new(),
            ledger: Ledger::default(),
            events: VecDeque::new(),
            funding: HashMap::new(),
            book: Seen::default(),
            alerts: Vec::new(),
            advice: Vec::new(),
            frame_time: Nanos::ZERO,
            fault,
            histograms,
            reader,
            before: HashMap::new(),
            rates: HashMap::new(),
            grew: HashMap::new(),
            looked: None,
        })
    }

    /// Looks again.
    pub fn look(&mut self) {
        self.now = now();
        if !matches!(self.life, Life::Ended { .. }) {
            self.life = self.run.life();
        }
        // What is still to come of an ended run is counted from its end.
        if let Life::Ended { at, .. } = self.life {
            self.now = at;
        }
        self.follow();
        self.book.settle(&self.run.meta);
        self.alerts = alerts::active(&self.run);
        self.advice = advice::of(&self.run, &self.page, self.life);
        for name in TROUBLE {
            let value = self.page.count(name);
            if self.before.insert(name, value).is_some_and(|before| value > before) {
                self.grew.insert(name, self.now);
            }
        }
        let elapsed = self.looked.map_or(0, |looked| self.now.0 - looked.0);
        for name in RATES {
            let value = self.page.count(name);
            if let Some(before) = self.before.insert(name, value).filter(|_| elapsed > 0) {
                let rate = i128::from(value - before) * 1_000_000_000 / i128::from(elapsed);
                self.rates.insert(name, i64::try_from(rate).unwrap_or(0));
            }
        }
        self.looked = Some(self.now);
        let Some(histograms) = &self.histograms else { return };
        for (at, whole) in histograms.stages().into_iter().enumerate() {
            match self.stages.get_mut(at) {
                None => self.stages.push(Stage { whole, recent: Vec::new(), p99: VecDeque::new() }),
                Some(stage) => {
                    stage.recent = change(&stage.whole, &whole);
                    stage.whole = whole;
                    stage.p99.push_back(percentile(&stage.recent, 990));
                    if stage.p99.len() > LOOKS {
                        stage.p99.pop_front();
                    }
                }
            }
        }
    }

    /// The change a second, once two looks were taken.
    pub fn rate(&self, name: &str) -> Option<i64> {
        self.rates.get(name).copied()
    }

    /// It grew within the last minute.
    pub fn is_fresh(&self, name: &str) -> bool {
        self.grew.get(name).is_some_and(|&grew| self.now - grew < RED)
    }

    fn follow(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        for _ in 0..RECORDS {
            let found = match reader.next() {
                Ok(Some(found)) => found,
                Ok(None) => return,
                Err(error) => {
                    self.fault = Some(error.to_string());
                    self.reader = None;
                    return;
                }
            };
            if matches!(found.kind, record::GAP | record::LAPSE | record::LINK) {
                self.book.forget();
            }
            let fills = self.ledger.fills.len();
            self.ledger.take(&found);
            match found.kind {
                record::FRAME => {
                    self.frame_time = found.time;
                    self.book.take(found.payload.get(record::Origin::SIZE..).unwrap_or_default());
                    let head = &found.payload[..found.payload.len().min(160)];
                    if head.windows(15).any(|window| window == b"markPriceUpdate")
                        && let Some((symbol, funding)) = funding(&found.payload[record::Origin::SIZE..])
                    {
                        self.funding.insert(symbol, funding);
                    }
                }
                record::SNAPSHOT | record::TIMER | record::CLOCK | record::COMMAND | record::SENT => {}
                _ => {
                    let row = Row::of(&found, &self.run.meta);
                    // An execution is told more than once; once is news.
                    let fill = row.kind == record::ORDER && row.fields.get("what").is_some_and(|what| what == "fill");
                    let news = if fill { self.ledger.fills.len() > fills } else { worth_a_line(&row) };
                    if news {
                        self.events.push_back(row);
                        if self.events.len() > EVENTS {
                            self.events.pop_front();
                        }
                    }
                }
            }
        }
    }
}

/// Fills, faults, and what an operator or the venue did; not the everyday coming and going of quotes.
fn worth_a_line(row: &Row) -> bool {
    let what = row.fields.get("what").and_then(Value::as_str).unwrap_or_default();
    match row.kind {
        record::ORDER => !matches!(what, "accepted" | "amended" | "canceled" | "open"),
        record::DECISION => !matches!(what, "placed" | "amended" | "canceled" | "kept"),
        record::ACCOUNT => !matches!(what, "position" | "balance"),
        _ => true,
    }
}

fn funding(frame: &[u8]) -> Option<(String, Funding)> {
    let frame: Value = serde_json::from_slice(frame).ok()?;
    let data = frame.get("data").unwrap_or(&frame);
    let next = Nanos::from_millis(data.get("T")?.as_i64()?);
    let text = |name: &str| Some(data.get(name)?.as_str()?.to_owned());
    Some((text("s")?, Funding { rate: text("r")?, next, mark: text("p")? }))
}

/// What was counted between two snapshots.
fn change(before: &Snapshot, after: &Snapshot) -> Vec<(u64, u64)> {
    if before.count == after.count {
        return Vec::new();
    }
    let old: HashMap<u64, u64> = before.buckets().collect();
    let more = |(value, count): (u64, u64)| (value, count.saturating_sub(old.get(&value).copied().unwrap_or(0)));
    after.buckets().map(more).filter(|&(_, count)| count > 0).collect()
}

/// The value of the bucket below or at which this many thousandths lie; 0 while empty.
pub fn percentile(buckets: &[(u64, u64)], permille: u64) -> u64 {
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let rank = (all * permille).div_ceil(1000).max(1);
    let mut seen = 0;
    for &(value, count) in buckets {
        seen += count;
        if seen >= rank {
            return value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_an_interval_and_funding_of_a_frame() {
        assert_eq!(percentile(&[], 990), 0);
        let buckets = [(100, 98), (200, 1), (900, 1)];
        assert_eq!([500, 990, 1000].map(|permille| percentile(&buckets, permille)), [100, 200, 900]);
        let frame = br#"{"data":{"e":"markPriceUpdate","s":"BTCUSDT","p":"1","r":"0.0001","T":1700000000000}}"#;
        let (symbol, found) = funding(frame).unwrap();
        assert_eq!(
            (symbol.as_str(), found.rate.as_str(), found.next.0),
            ("BTCUSDT", "0.0001", 1_700_000_000_000_000_000)
        );
        assert!(funding(b"not json").is_none());
    }
}
