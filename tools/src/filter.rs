//! Which records of a journal are wanted: kinds, an order, a range of time. Skips whole segments before the range.

use crate::latency::Tracker;
use crate::row::{KINDS, Row};
use crate::run::{Run, read_fault};
use crate::text;
use anyhow::{Context, Result, bail};
use clap::Args;
use spinquote::event::ClientId;
use spinquote::journal::{Reader, Record};
use spinquote::unit::Nanos;
use std::cell::RefCell;

/// The filter's arguments.
#[derive(Debug, Default, Args)]
pub struct FilterArgs {
    /// Only these kinds, such as command,decision,order (see `sq journal stat` for all).
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,
    /// Without these kinds, such as frame,timer.
    #[arg(long = "not", value_name = "KIND", value_delimiter = ',')]
    pub not: Vec<String>,
    /// Only records of this order: its whole id, or its last part, such as 1a.
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// From this time on: 2026-11-21T10:15:00Z, 10:15:00 on the run's first day (UTC), or +90s after its start.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Up to this time, inclusive.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Only records that end a latency of this or more: a sent command, an answer, a frame older than this when it came.
    #[arg(long, value_name = "DURATION", value_parser = spinquote::config::value::duration)]
    pub slower: Option<Nanos>,
}

/// The filter.
pub struct Filter {
    kinds: Vec<u16>,
    order: Option<ClientId>,
    from: Nanos,
    to: Nanos,
    slower: Option<Nanos>,
    tracker: RefCell<Tracker>,
}

impl FilterArgs {
    /// Understands the arguments for a run.
    pub fn of(&self, run: &Run) -> Result<Filter> {
        let mut kinds: Vec<u16> = match self.kind.as_slice() {
            [] => KINDS.iter().map(|&(kind, _)| kind).collect(),
            names => names.iter().map(|name| kind_of(name)).collect::<Result<_>>()?,
        };
        for name in &self.not {
            let kind = kind_of(name)?;
            kinds.retain(|&kept| kept != kind);
        }
        let order = self.order.as_deref().map(|text| parse_order(text, run)).transpose()?;
        let time = |text: &Option<String>, open: Nanos| text.as_deref().map_or(Ok(open), |text| parse_time(text, run));
        let (from, to) = (time(&self.from, Nanos(i64::MIN))?, time(&self.to, Nanos::MAX)?);
        Ok(Filter { kinds, order, from, to, slower: self.slower, tracker: RefCell::default() })
    }
}

impl Filter {
    /// Wanted? Records must come in their order.
    pub fn takes(&self, found: &Record<'_>) -> bool {
        self.is_slow(found)
            && (self.from..=self.to).contains(&found.time)
            && self.takes_kind(found)
            && self.order.is_none_or(|order| crate::row::order_of(found) == Some(order))
    }

    /// A latency that ends with this record is long enough; the tracker sees every record, wanted or not.
    fn is_slow(&self, found: &Record<'_>) -> bool {
        self.slower.is_none_or(|least| self.tracker.borrow_mut().take(found).is_some_and(|took| took.time >= least))
    }

    fn takes_kind(&self, found: &Record<'_>) -> bool {
        self.kinds.contains(&found.kind) || !KINDS.iter().any(|&(known, _)| known == found.kind)
    }

    /// Everything after this record is too late.
    pub fn is_past(&self, found: &Record<'_>) -> bool {
        found.time > self.to
    }

    /// A reader that stands at or before the first wanted record.
    pub fn start(&self, run: &Run) -> Result<Reader> {
        let first = run.journal()?;
        let mut start = first.segment().index;
        if self.from > Nanos(i64::MIN) {
            for (index, _) in run.segments() {
                let mut reader = run.journal_at(index)?;
                match reader.next() {
                    Ok(Some(found)) if found.time < self.from => start = index,
                    _ => break,
                }
            }
        }
        run.journal_at(start)
    }

    /// Hands every wanted row to `each` until it says false; the error of a damaged journal comes last.
    pub fn each(&self, run: &Run, mut each: impl FnMut(Row) -> Result<bool>) -> Result<()> {
        let mut reader = self.start(run)?;
        loop {
            match reader.next() {
                Ok(Some(found)) if self.is_past(&found) => return Ok(()),
                Ok(Some(found)) => {
                    if self.takes(&found) && !each(Row::of(&found, &run.meta))? {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    return Err(read_fault(error)).context("the journal ends in damage; all before it was shown");
                }
            }
        }
    }
}

/// The kind of this name.
pub fn kind_of(name: &str) -> Result<u16> {
    let known = KINDS.iter().find(|(_, known)| *known == name);
    known.map(|&(kind, _)| kind).with_context(|| {
        let names: Vec<&str> = KINDS.iter().map(|&(_, name)| name).collect();
        format!("{name:?} is no kind of record; there are {}", names.join(", "))
    })
}

/// An order's id: `RUN-SEQ` in hex, with or without the prefix that the venue sees, or `SEQ` alone.
pub fn parse_order(text: &str, run: &Run) -> Result<ClientId> {
    let hex = |part: &str| u32::from_str_radix(part, 16).ok().filter(|_| !part.is_empty() && part.len() <= 8);
    let id = match text.rsplit_once('-') {
        Some((head, seq)) => {
            let digits = head.get(head.len().saturating_sub(8)..).unwrap_or(head);
            hex(digits).zip(hex(seq)).map(|(run, seq)| ClientId { run, seq })
        }
        None => match hex(text) {
            Some(seq) => Some(ClientId { run: run.journal()?.segment().run, seq }),
            None => None,
        },
    };
    match id {
        Some(id) if id != ClientId::default() => Ok(id),
        _ => bail!(
            "{text:?} is no order id: want RUN-SEQ in hex, such as 00000007-0000001a, or its last part, such as 1a"
        ),
    }
}

/// A time: a whole one, one of the run's first day, or one after its start.
pub fn parse_time(text: &str, run: &Run) -> Result<Nanos> {
    let nanos = |stamp: jiff::Timestamp| i64::try_from(stamp.as_nanosecond()).map(Nanos).ok();
    let start = || -> Result<Nanos> {
        let mut reader = run.journal()?;
        let first = reader.next().map_err(read_fault)?.map(|found| found.time);
        Ok(first.unwrap_or_else(|| Nanos(reader.segment().base_time)))
    };
    let wrong = || format!("{text:?} is no time: want 2026-11-21T10:15:00Z, 10:15:00 (UTC), or +90s after the start");
    if let Some(after) = text.strip_prefix('+') {
        let after =
            spinquote::config::value::duration(after).map_err(|error| anyhow::anyhow!("{}: {error}", wrong()))?;
        return start()?.checked_add(after).with_context(wrong);
    }
    let whole = if text.contains('T') {
        text.to_owned()
    } else {
        let day = text::time(start()?);
        format!("{}T{text}Z", day.get(..10).unwrap_or_default())
    };
    whole.parse().ok().and_then(nanos).with_context(wrong)
}
