//! What the first pass over a file read, kept for the second as long as it is small, so that a session of ordinary length is inflated and
//! decoded once. Bounded; never changes what is told.

use super::DataFault;
use super::frame::{Body, Frame, FrameReader};
use super::report::{FaultKind, FileReport};
use super::survey::{Divisor, FINE_PLACES, Grids, Survey};
use crate::event::Level;
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, MONEY_PLACES, Nanos, Step, Ticks, pow10};

/// Most bytes that all files of a stream together keep, if nothing else is said. Six minutes of the busiest contract take 20 MB.
pub const CACHE_MAX: usize = 128 << 20;

/// A message without its levels.
#[derive(Clone, Copy, Debug)]
struct Kept {
    at: Nanos,
    venue: Nanos,
    line: u64,
    body: Body,
    bids: usize,
    asks: usize,
}

/// Messages of a file, numbers on the grid of the reader that gave them.
#[derive(Debug, Default)]
pub(super) struct Cache {
    frames: Vec<Kept>,
    /// Of all messages, back to back, bids first.
    levels: Vec<Level>,
}

impl Cache {
    fn keep(&mut self, frame: &Frame) {
        let Frame { at, venue, line, body, .. } = *frame;
        let [bids, asks] = if body.has_levels() { [&frame.bids[..], &frame.asks[..]] } else { [&[][..]; 2] };
        self.frames.push(Kept { at, venue, line, body, bids: bids.len(), asks: asks.len() });
        self.levels.extend_from_slice(bids);
        self.levels.extend_from_slice(asks);
    }

    pub(super) fn bytes(&self) -> usize {
        self.frames.len() * size_of::<Kept>() + self.levels.len() * size_of::<Level>()
    }
}

/// Reads a file to its end: what it holds, and its messages if they take at most `room` bytes. Instruments that the reader finds
/// are on the fine grid.
pub(super) fn survey(
    reader: &mut dyn FrameReader,
    report: &mut FileReport,
    room: usize,
) -> Result<(Survey, Option<Cache>), DataFault> {
    let mut survey = Survey::default();
    let (mut frame, mut cache) = (Frame::new(), Some(Cache::default()));
    while reader.next(&mut frame, report)? {
        survey.take(&frame);
        if let Some(kept) = &mut cache {
            kept.keep(&frame);
            if kept.bytes() > room {
                cache = None;
            }
        }
    }
    survey.names = reader.found().to_vec();
    survey.grids.resize(survey.names.len(), Default::default());
    Ok((survey, cache))
}

/// How an instrument of the first pass is called and counted in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    id: InstrumentId,
    tick: Divisor,
    lot: Divisor,
}

impl Scaled {
    /// Numbers as they are.
    pub(super) fn plain(id: InstrumentId) -> Self {
        Self { id, tick: Divisor::new(1), lot: Divisor::new(1) }
    }

    /// From the fine grid to that of the terms; `None` where not all numbers seen are on both, so that the file is read again to name the
    /// places.
    pub(super) fn of(id: InstrumentId, terms: &Instrument, seen: &Grids) -> Option<Self> {
        let fine = pow10(MONEY_PLACES - FINE_PLACES);
        let steps = |step: Step| (step.atto() % fine == 0).then(|| i64::try_from(step.atto() / fine).ok())?;
        let (tick, lot) = (steps(terms.tick)?, steps(terms.lot)?);
        let on = seen.prices.is_on(tick) && seen.quantities.is_on(lot);
        on.then(|| Self { id, tick: Divisor::new(tick), lot: Divisor::new(lot) })
    }

    #[inline]
    fn level(&self, level: Level) -> Level {
        Level { price: Ticks(self.tick.exact(level.price.0)), qty: Lots(self.lot.exact(level.qty.0)) }
    }
}

/// The messages again.
pub(super) struct CachedReader {
    cache: Cache,
    /// By the instruments of the first pass; `None` for one without terms.
    scaled: Vec<Option<Scaled>>,
    names: Vec<String>,
    bytes: u64,
    next: usize,
    level: usize,
}

impl CachedReader {
    /// `names` are for people, `bytes` is the size of the file.
    pub(super) fn new(cache: Cache, scaled: Vec<Option<Scaled>>, names: Vec<String>, bytes: u64) -> Self {
        Self { cache, scaled, names, bytes, next: 0, level: 0 }
    }
}

impl FrameReader for CachedReader {
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault> {
        while let Some(kept) = self.cache.frames.get(self.next) {
            let &Kept { at, venue, line, ref body, bids, asks } = kept;
            self.next += 1;
            let levels = &self.cache.levels[self.level..self.level + bids + asks];
            self.level += bids + asks;
            (frame.at, frame.venue, frame.line, frame.body) = (at, venue, line, *body);
            frame.clear();
            let Some(old) = body.instrument() else { return Ok(true) };
            let Some(scaled) = self.scaled[usize::from(old.0)] else {
                let name = &self.names[usize::from(old.0)];
                report.fault(FaultKind::UnknownInstrument, line, || format!("no terms of {name} are known"));
                continue;
            };
            frame.body.rename(scaled.id);
            if !levels.is_empty() {
                let (own_bids, own_asks) = levels.split_at(bids);
                frame.bids.extend(own_bids.iter().map(|level| scaled.level(*level)));
                frame.asks.extend(own_asks.iter().map(|level| scaled.level(*level)));
                return Ok(true);
            }
            match &mut frame.body {
                Body::Quote { quote, .. } => {
                    (quote.bid, quote.ask) = (scaled.level(quote.bid), scaled.level(quote.ask))
                }
                Body::Trade(trade) => {
                    let level = scaled.level(Level { price: trade.price, qty: trade.qty });
                    (trade.price, trade.qty) = (level.price, level.qty);
                }
                _ => {}
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn position(&self) -> u64 {
        self.bytes * self.next as u64 / (self.cache.frames.len() as u64).max(1)
    }
}
