//! The synthetic market: seeded, endless, deterministic, in flat memory. Draws orders against a full book, so that prints,
//! best quotes and depth always agree. Sees no own order: the matching model lays those over it.
//!
//! It is phenomenological. Taker orders arrive in bursts and with persistent signs and eat the true book, which is thin
//! behind the touch, so large ones sweep many levels; makers close the wide spread again, mostly by following; the far
//! book is redrawn at every depth frame. One slow factor (`activity`) and rare one-sided episodes modulate all rates.
//! The figures it is calibrated to stand in `tests/synthetic_statistics.rs`.

mod depth;
mod makers;
mod takers;
#[cfg(test)]
mod tests;

use super::mark::MarkModel;
use super::profile::{self, Profile, SCALE};
use super::random::{Random, exp2};
use super::schedule::{Regime, Schedule};
use super::{MarketError, MarketEvent, MarketKind, MarketSource, TrueBook};
use crate::event::{BestQuote, DepthUpdate, Level, MarkPrice, Side, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Price, RATE_ONE, Seq, Ticks};
use std::collections::VecDeque;

const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// Prints of one sweep at most; what is left of the order is cancelled, as an order with a price limit would be.
const SWEEP_PRINTS_MAX: usize = 350;
/// Levels a side that the pretend venue holds at most; beyond it the furthest goes.
const LEVELS_MAX: usize = 7_000;
/// Levels a side that are always left, so that there is a touch on both.
const LEVELS_MIN: usize = 64;
/// Levels changed in one depth frame at most; the rest of a burst comes with the next one.
const FRAME_CHANGES_MAX: i64 = 1_400;

#[derive(Clone, Copy, Debug)]
enum Ready {
    Trade(Trade),
    Quote(BestQuote),
    Depth { first: Seq, last: Seq, prev: Seq },
    Mark(MarkPrice, Price),
}

/// A straight line that the price is driven along (trend, crash).
#[derive(Clone, Copy, Debug)]
struct Drift {
    from: i64,
    change: i64,
    start: i64,
    span: i64,
    /// Multiplies the rate of taker orders.
    urgency: i64,
}

/// A few one-sided, busy seconds.
#[derive(Clone, Copy, Debug)]
struct Episode {
    until: i64,
    direction: Side,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct SyntheticMarket {
    instrument: Instrument,
    profile: Profile,
    random: Random,
    book: TrueBook,
    schedule: Schedule,
    schedule_next: usize,
    started: i64,
    now: i64,
    sent: i64,
    ready: VecDeque<(i64, Ready)>,
    bids: Vec<Level>,
    asks: Vec<Level>,

    due_taker: i64,
    due_cluster: i64,
    due_refill: i64,
    due_depth: i64,
    due_mark: i64,
    due_activity: i64,

    /// Octaves in 1/65536 around the median.
    activity_octaves: i64,
    /// Factor in 1/65536.
    activity: i64,
    direction: Side,
    episode: Option<Episode>,
    drift: Option<Drift>,
    /// The price that the market weakly returns to, so that it stays in range for ever.
    anchor: i64,
    /// Level changes that the last moves of the touch called for and that are not in a frame yet.
    backlog: i64,
    touch_target: [i64; 2],
    swept: Side,
    quoted: Option<(Level, Level)>,
    mark: MarkModel,

    seq: u64,
    seq_at: i64,
    trade_id: u64,
    depth_prev: u64,
    depth_at: i64,
    /// The first change since the last depth frame, 0 if none.
    depth_first: u64,
    changed: [Vec<i64>; 2],
}

impl SyntheticMarket {
    /// A market in `instrument` from `start` on, with the parameters of [`Profile::for_instrument`].
    #[must_use]
    pub fn new(instrument: Instrument, seed: u64, start: Nanos, schedule: Schedule) -> Self {
        let profile = Profile::for_instrument(&instrument);
        Self::with_profile(instrument, profile, seed, start, schedule)
    }

    /// The same with given parameters.
    #[must_use]
    pub fn with_profile(instrument: Instrument, profile: Profile, seed: u64, start: Nanos, schedule: Schedule) -> Self {
        let mut random = Random::new(seed);
        let now = start.0;
        let seq = 5_000_000_000_000 + random.next() % 100_000_000_000;
        let mark = MarkModel::new(instrument.price(profile.start));
        let mut market = Self {
            due_taker: now + random.exponential(20 * MILLI),
            due_cluster: now + MILLI,
            due_refill: i64::MAX,
            due_depth: now + 5 * MILLI,
            due_mark: (now / SECOND + 1) * SECOND,
            due_activity: now,
            activity_octaves: 0,
            activity: SCALE,
            direction: Side::Buy,
            episode: None,
            drift: None,
            anchor: profile.start.0,
            backlog: 0,
            touch_target: [profile.lots(3_000); 2],
            swept: Side::Sell,
            quoted: None,
            mark,
            seq,
            seq_at: now,
            trade_id: 5_000_000_000 + random.next() % 1_000_000_000,
            depth_prev: seq,
            depth_at: now,
            depth_first: 0,
            changed: [Vec::with_capacity(8_192), Vec::with_capacity(8_192)],
            book: TrueBook::default(),
            schedule,
            schedule_next: 0,
            started: now,
            now,
            sent: now,
            ready: VecDeque::with_capacity(1_024),
            bids: Vec::with_capacity(4_096),
            asks: Vec::with_capacity(4_096),
            instrument,
            profile,
            random,
        };
        market.populate();
        market
    }

    fn either_side(&mut self) -> Side {
        if self.random.percent(50) { Side::Buy } else { Side::Sell }
    }

    fn level_lots(&mut self, distance: i64) -> i64 {
        if distance < self.profile.ticks(3_000) {
            self.draw_lots(&profile::NEAR_LOTS)
        } else {
            self.draw_lots(&profile::FAR_LOTS)
        }
    }

    fn best(&self, side: Side) -> Level {
        self.book.best(side).expect("a side of the synthetic book is never empty")
    }

    fn spread(&self) -> i64 {
        self.best(Side::Sell).price.0 - self.best(Side::Buy).price.0
    }

    fn mid(&self) -> i64 {
        (self.best(Side::Sell).price.0 + self.best(Side::Buy).price.0) / 2
    }

    /// Advances until something is ready to be read.
    fn fill(&mut self) {
        while self.ready.is_empty() {
            let due = [
                (self.due_activity, 0),
                (self.due_mark, 1),
                (self.due_depth, 2),
                (self.due_refill, 3),
                (self.due_taker, 4),
                (self.due_cluster, 5),
            ];
            let &(at, which) = due.iter().min().expect("six processes");
            self.now = self.now.max(at);
            match which {
                0 => self.modulate(),
                1 => self.tell_mark(),
                2 => self.cut_depth(),
                3 => self.refill(),
                4 => self.take(),
                _ => self.cluster(),
            }
        }
    }

    /// Ten times a second: activity, direction, episodes, the script.
    fn modulate(&mut self) {
        self.due_activity = self.now + 100 * MILLI;
        // An Ornstein-Uhlenbeck walk in octaves: relaxation about 3 s, standard deviation about 0.95 octaves.
        self.activity_octaves += self.random.normal() * 24 / 100 - self.activity_octaves * 33 / 1_000;
        self.activity = exp2(self.activity_octaves).clamp(SCALE * 3 / 8, SCALE * 10);
        match self.episode {
            Some(episode) if episode.until <= self.now => self.episode = None,
            None if self.random.below(420) == 0 => {
                let direction = self.either_side();
                self.episode =
                    Some(Episode { until: self.now + 300 * MILLI + self.random.exponential(600 * MILLI), direction });
            }
            _ => {}
        }
        while let Some((at, regime)) = self.schedule.entry(self.schedule_next) {
            if self.started + at.0 > self.now {
                break;
            }
            self.schedule_next += 1;
            self.enter(regime);
        }
        if let Some(drift) = self.drift
            && self.now >= drift.start + drift.span
        {
            // A trend goes on from there at the same rate; a crash is over.
            let from = drift.from + drift.change;
            let change = i64::try_from(i128::from(drift.change) * i128::from(from) / i128::from(drift.from.max(1)));
            let change = change.expect("as large as the change before");
            self.drift = (drift.urgency == 1).then_some(Drift { from, change, start: self.now, ..drift });
            self.anchor = from;
        }
    }

    fn enter(&mut self, regime: Regime) {
        let from = self.mid();
        let part = |rate: i64| {
            i64::try_from(i128::from(from) * i128::from(rate) / i128::from(RATE_ONE)).expect("within the price")
        };
        self.drift = None;
        self.anchor = from;
        match regime {
            Regime::Calm => {}
            Regime::Trend { per_minute } => {
                let change = part(per_minute.0);
                self.drift = Some(Drift { from, change, start: self.now, span: 60 * SECOND, urgency: 1 });
            }
            Regime::Crash { drop, within } => {
                self.drift = Some(Drift { from, change: -part(drop.0), start: self.now, span: within.0, urgency: 8 });
            }
            Regime::FundingFlip { rate } => self.mark.set_rate(rate),
        }
    }

    /// How many ticks the price is behind the scripted line, in the line's direction.
    fn lag(&self) -> Option<(Side, i64)> {
        let drift = self.drift?;
        let done = (self.now - drift.start).min(drift.span);
        let line =
            drift.from + i64::try_from(i128::from(drift.change) * i128::from(done) / i128::from(drift.span)).ok()?;
        let side = if drift.change >= 0 { Side::Buy } else { Side::Sell };
        let lag = (line - self.mid()) * side.sign();
        (lag > self.profile.ticks(20)).then_some((side, lag))
    }

    /// Ids run over all contracts of the venue, so they advance with time as well as with our changes.
    fn advance_seq(&mut self) {
        let others = (self.now - self.seq_at) * 79 / MILLI;
        let drawn = others / 2 + self.random.below(others + 3);
        self.seq += 1 + drawn as u64;
        self.seq_at = self.now;
        if self.depth_first == 0 {
            self.depth_first = self.seq;
        }
    }

    fn set(&mut self, side: Side, price: i64, lots: i64) {
        self.book.set(side, Ticks(price), Lots(lots));
        self.changed[side.index()].push(price);
    }

    fn push(&mut self, delay: i64, ready: Ready) {
        self.sent = self.sent.max(self.now + delay);
        self.ready.push_back((self.sent, ready));
    }

    /// The venue's time of the present: whole milliseconds.
    fn stamp(&self) -> Nanos {
        Nanos(self.now / MILLI * MILLI)
    }

    /// Tells the touch if it differs from what was told last.
    fn quote(&mut self, delay: i64) {
        let (bid, ask) = (self.best(Side::Buy), self.best(Side::Sell));
        if self.quoted == Some((bid, ask)) {
            return;
        }
        self.quoted = Some((bid, ask));
        let quote = BestQuote { instrument: InstrumentId(0), seq: Seq(self.seq), bid, ask, venue_time: self.stamp() };
        self.push(delay, Ready::Quote(quote));
    }

    fn tell_mark(&mut self) {
        self.due_mark += SECOND;
        let mid = self.instrument.mid(self.best(Side::Buy).price, self.best(Side::Sell).price);
        let noise = self.random.normal() / 8;
        let (mark, settle) = self.mark.second(&self.instrument, Nanos(self.now), mid, noise);
        self.push(0, Ready::Mark(mark, settle));
    }

    /// The next event; there always is one.
    pub fn next_event(&mut self) -> MarketEvent<'_> {
        self.fill();
        let (at, ready) = self.ready.pop_front().expect("filled above");
        let kind = match ready {
            Ready::Trade(trade) => MarketKind::Trade(trade),
            Ready::Quote(quote) => MarketKind::Quote(quote),
            Ready::Mark(mark, settle) => MarketKind::Mark { mark, settle },
            Ready::Depth { first, last, prev } => MarketKind::Depth(DepthUpdate {
                instrument: InstrumentId(0),
                first,
                last,
                prev,
                venue_time: Nanos(at / MILLI * MILLI),
                bids: &self.bids,
                asks: &self.asks,
            }),
        };
        MarketEvent { at: Nanos(at), kind, raw: &[] }
    }
}

impl MarketSource for SyntheticMarket {
    fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    fn due(&mut self) -> Result<Option<Nanos>, MarketError> {
        self.fill();
        Ok(self.ready.front().map(|&(at, _)| Nanos(at)))
    }

    fn next(&mut self) -> Result<Option<MarketEvent<'_>>, MarketError> {
        Ok(Some(self.next_event()))
    }

    fn book(&self) -> &TrueBook {
        &self.book
    }

    fn last_update(&self) -> Seq {
        Seq(self.seq)
    }
}
