//! The synthetic market: seeded, endless, deterministic, in flat memory. Draws orders against a full book, so that prints,
//! best quotes and depth always agree. Sees no own order: the matching model lays those over it.
//!
//! It is phenomenological. Taker orders arrive in bursts and with persistent signs and eat the true book, which is thin
//! behind the touch, so large ones sweep many levels; makers close the wide spread again, mostly by following; the far
//! book is redrawn at every depth frame. One slow factor (`activity`) and rare one-sided episodes modulate all rates.
//! The figures it is calibrated to stand in `tests/synthetic_statistics.rs`.

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

    /// Fills the book to its usual density, one tick wide.
    fn populate(&mut self) {
        let touch = self.profile.start.0;
        for side in [Side::Buy, Side::Sell] {
            let outward = -side.sign();
            let (best, mut distance) = (if side == Side::Buy { touch } else { touch + 1 }, 0);
            let lots = self.draw_lots(&profile::TOUCH_LOTS);
            self.book.set(side, Ticks(best), Lots(lots));
            while self.book.len(side) < LEVELS_MAX - 1_500 {
                distance += 1 + self.random.exponential(self.profile.spacing(distance + 1) - 1);
                let price = best + outward * distance;
                if distance >= touch * 9 / 10 || price < 1 {
                    break;
                }
                let lots = self.level_lots(distance);
                self.book.set(side, Ticks(price), Lots(lots));
            }
        }
        for (price, lots) in self.anchors() {
            self.book.set(Side::Buy, Ticks(price), Lots(lots));
        }
    }

    /// Two bids far down that people never stop changing (1,000 and 5,000 in the recording).
    fn anchors(&self) -> [(i64, i64); 2] {
        let price = self.profile.start.0;
        [((price * 10 / 617).max(1), self.profile.lots(606_675)), ((price * 50 / 617).max(2), self.profile.lots(2_301))]
    }

    fn draw_lots(&mut self, table: &[(i64, i64)]) -> i64 {
        let recorded = self.random.draw(table);
        self.profile.lots(recorded)
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
        self.activity = exp2(self.activity_octaves).clamp(SCALE / 3, SCALE * 10);
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
            // A trend goes on from where it is; a crash is over.
            self.drift =
                (drift.urgency == 1).then_some(Drift { from: drift.from + drift.change, start: self.now, ..drift });
            self.anchor = drift.from + drift.change;
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

    /// One taker order.
    fn take(&mut self) {
        let busy = if self.episode.is_some() { 7 } else { 1 } * self.drift.map_or(1, |drift| drift.urgency);
        let mean = if self.random.percent(33) { 3 * MILLI } else { 135 * MILLI / busy };
        let gap = self.random.exponential(mean);
        self.due_taker = self.now + 100_000 + gap * SCALE / self.activity;
        if let Some((side, lag)) = self.lag() {
            let urgent = self.random.percent(if busy > 1 { 85 } else { 30 });
            if urgent {
                let reach = lag.min(self.profile.ticks(400) * busy);
                let to = self.best(side.opposite()).price.0 + side.sign() * reach;
                return self.sweep(side, i64::MAX, to);
            }
        }
        let lots = self.draw_lots(&profile::TAKER_LOTS);
        let (with, side) = match self.episode {
            Some(episode) => (88, episode.direction),
            None => {
                if self.random.below(40) == 0 {
                    self.direction = self.turn();
                }
                (74, self.direction)
            }
        };
        let side = if self.random.percent(with) { side } else { side.opposite() };
        // An ordinary order has a price limit: it does not chase the price without end.
        let to = self.best(side.opposite()).price.0 + side.sign() * self.profile.ticks(600);
        self.sweep(side, lots, to);
    }

    /// A new prevailing direction: even odds, leaning to the anchor by 5 % for each percent away from it.
    fn turn(&mut self) -> Side {
        let away = (self.mid() - self.anchor) * 500 / self.anchor.max(1);
        let up = 50 - away.clamp(-35, 35);
        if self.random.percent(up) { Side::Buy } else { Side::Sell }
    }

    /// Eats the book up to `lots` or past the price `to`; prints, then tells the touch.
    fn sweep(&mut self, taker: Side, mut lots: i64, to: i64) {
        let resting = taker.opposite();
        let small = self.profile.lots(200);
        self.advance_seq();
        let (mut prints, mut delay, mut depleted) = (0, 0, false);
        while lots > 0 && prints < SWEEP_PRINTS_MAX && self.book.len(resting) > LEVELS_MIN {
            let level = self.best(resting);
            if (level.price.0 - to) * taker.sign() > 0 {
                break;
            }
            let drawn = self.draw_lots(&profile::MAKER_LOTS) * 2;
            let whole = prints == 0 && lots <= small && self.random.percent(50);
            let piece = if whole { lots } else { drawn }.min(lots).min(level.qty.0);
            lots -= piece;
            prints += 1;
            self.trade_id += 1;
            let trade = Trade {
                instrument: InstrumentId(0),
                id: self.trade_id,
                price: level.price,
                qty: Lots(piece),
                taker,
                aggregate: false,
                venue_time: self.stamp(),
            };
            self.push(delay, Ready::Trade(trade));
            delay += self.random.draw(&profile::WITHIN_CLUSTER_NS).min(5_000);
            depleted |= piece == level.qty.0;
            self.set(resting, level.price.0, level.qty.0 - piece);
        }
        if depleted {
            self.touch_moved(resting);
        }
        self.quote(delay);
    }

    /// The touch of `side` went away: makers react.
    fn touch_moved(&mut self, side: Side) {
        self.swept = side;
        if self.random.percent(40) {
            // Who stands next in line sees it coming and steps back.
            let pulled = self.profile.ticks(4) + self.random.exponential(self.profile.ticks(30));
            let to = self.best(side).price.0 - side.sign() * pulled;
            for _ in 0..24.min(self.book.len(side).saturating_sub(LEVELS_MIN)) {
                let level = self.best(side);
                if (level.price.0 - to) * side.sign() < 0 {
                    break;
                }
                self.set(side, level.price.0, 0);
            }
        }
        self.touch_target[side.index()] = self.draw_lots(&profile::TOUCH_LOTS);
        let gap = self.spread();
        self.call_for_changes(gap);
        if gap > 1 {
            self.due_refill = self.now + 60_000 + self.random.exponential(2_800_000);
        }
    }

    /// A move of `ticks` makes the makers redo their ladders.
    fn call_for_changes(&mut self, ticks: i64) {
        let moved = (ticks * SCALE / self.profile.reach).clamp(1, 120);
        self.backlog = (self.backlog + 14 + moved * 5).min(4 * FRAME_CHANGES_MAX);
    }

    /// Someone steps into a wide spread.
    fn refill(&mut self) {
        self.due_refill = i64::MAX;
        let spread = self.spread();
        if spread <= 1 {
            return;
        }
        let dice = self.random.below(100);
        let follows = match self.lag() {
            Some((direction, _)) if direction == self.swept.opposite() => 92,
            _ if self.episode.is_some() => 82,
            _ => 68,
        };
        let (side, inside) = if dice < follows {
            (self.swept.opposite(), spread - 1)
        } else if dice < follows + (100 - follows) / 2 {
            (self.swept, spread - 1)
        } else {
            let side = self.either_side();
            (side, 1 + self.random.below(spread - 1))
        };
        let old = self.best(side);
        self.advance_seq();
        // Whoever stood at the old touch has moved with it: what stays there is an ordinary level.
        let stays = self.draw_lots(&profile::NEAR_LOTS).min(old.qty.0);
        self.set(side, old.price.0, stays);
        let lots = self.draw_lots(&profile::TOUCH_CHANGE_LOTS);
        self.set(side, old.price.0 + side.sign() * inside, lots);
        self.touch_target[side.index()] = self.draw_lots(&profile::TOUCH_LOTS);
        self.call_for_changes(inside);
        self.quote(0);
        if self.spread() > 1 {
            self.due_refill = self.now + 60_000 + self.random.exponential(2_800_000);
        }
        self.due_cluster = self.due_cluster.min(self.now + self.random.exponential(1_500_000));
    }

    /// Some best-quote changes in a row.
    fn cluster(&mut self) {
        let busy = if self.episode.is_some() { 3 } else { 1 };
        let gap = self.random.draw(&profile::CLUSTER_GAP_NS);
        self.due_cluster = self.now + gap * 17 / 10 / busy * SCALE / self.activity + 1_000;
        let mut side = self.either_side();
        let mut delay = 0;
        for _ in 0..self.random.draw(&profile::CLUSTER_COUNT) {
            if self.random.percent(20) {
                side = side.opposite();
            }
            let alive = self.change_touch(side);
            self.quote(delay);
            if !alive {
                break;
            }
            delay += self.random.draw(&profile::WITHIN_CLUSTER_NS);
        }
    }

    /// One order joins or leaves the touch of `side`; false if that emptied it.
    fn change_touch(&mut self, side: Side) -> bool {
        let touch = self.best(side);
        let (lots, target) = (touch.qty.0, self.touch_target[side.index()]);
        if self.random.below(60) == 0 {
            self.touch_target[side.index()] = self.draw_lots(&profile::TOUCH_LOTS);
        }
        let pull = 45 * (target - lots) / target.max(lots);
        let mut change = self.draw_lots(&profile::TOUCH_CHANGE_LOTS);
        if lots > 3 * target {
            // A far outsized level was meant for where it stood, not for the touch.
            change = change.max(lots / 8);
        }
        self.advance_seq();
        if self.random.percent(50 + pull) {
            self.set(side, touch.price.0, lots + change);
        } else if change < lots {
            self.set(side, touch.price.0, lots - change);
        } else if self.book.len(side) > LEVELS_MIN && self.random.percent(50) {
            self.set(side, touch.price.0, 0);
            self.touch_moved(side);
            return false;
        } else {
            let rest = 1 + self.random.below(lots);
            self.set(side, touch.price.0, rest);
        }
        true
    }

    /// Redraws part of the book behind the touch and tells all that changed since the last frame.
    fn cut_depth(&mut self) {
        let since = self.now - self.depth_at;
        let busy = if self.episode.is_some() { 2 } else { 1 };
        let quiet = 520 * since / SECOND * self.activity / SCALE * busy;
        let burst = self.backlog * 2 / 3;
        let changes = (quiet + burst).min(FRAME_CHANGES_MAX);
        self.backlog = (self.backlog - burst).max(0);
        for _ in 0..changes {
            self.change_level();
        }
        for ((price, lots), often) in self.anchors().into_iter().zip([55, 95]) {
            if self.random.percent(often) && price < self.best(Side::Buy).price.0 {
                let lots = lots + self.profile.lots(20) * self.random.below(30);
                self.set(Side::Buy, price, lots);
            }
        }
        self.prune();
        // Now and then the last change in a frame is one of the touch: then both carry the same id.
        if self.random.percent(8) && self.spread() == 1 {
            let side = self.either_side();
            self.change_touch(side);
            self.quote(0);
        } else {
            self.advance_seq();
        }
        for (side, out) in [(Side::Buy, &mut self.bids), (Side::Sell, &mut self.asks)] {
            let prices = &mut self.changed[side.index()];
            prices.sort_unstable();
            prices.dedup();
            out.clear();
            out.extend(
                prices.drain(..).map(|price| Level { price: Ticks(price), qty: self.book.qty(side, Ticks(price)) }),
            );
        }
        // The first id lies anywhere between the frame before and the first change in this one.
        let room = (self.depth_first - self.depth_prev - 1).min(460) as i64;
        let first = Seq(self.depth_prev + 1 + self.random.below(room + 1) as u64);
        let (last, prev) = (Seq(self.seq), Seq(self.depth_prev));
        self.depth_prev = self.seq;
        self.depth_first = 0;
        self.depth_at = self.now;
        self.due_depth = self.now + self.random.draw(&profile::DEPTH_GAP_NS);
        self.push(0, Ready::Depth { first, last, prev });
    }

    /// One change behind the touch: a level comes, goes or takes another size, so that the density stays what it is.
    fn change_level(&mut self) {
        let drawn = self.random.draw(&profile::DISTANCE_TICKS);
        let side = self.either_side();
        let distance = self.profile.ticks(drawn);
        let touch = self.best(side).price.0;
        let price = touch - side.sign() * distance;
        if price < 1 {
            return;
        }
        let mut beyond = self.book.beyond(side, Ticks(price));
        let nearest = beyond.next();
        let span = beyond.nth(2).map_or(i64::MAX / 8, |level| (level.price.0 - price).abs());
        drop(beyond);
        let sparse = span > 4 * self.profile.spacing(distance);
        let (come, go) = if sparse { (40, 10) } else { (8, 42) };
        let dice = self.random.below(100);
        let lots = self.level_lots(distance);
        match nearest {
            Some(level) if dice >= 100 - go && self.book.len(side) > LEVELS_MIN => self.set(side, level.price.0, 0),
            Some(level) if dice >= come => self.set(side, level.price.0, lots),
            _ => self.set(side, price, lots),
        }
    }

    /// Bounds the book: beyond the largest number of levels the furthest go.
    fn prune(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            while self.book.len(side) > LEVELS_MAX {
                let level = self.book.furthest(side).expect("a full side has a level");
                self.set(side, level.price.0, 0);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Rate;

    const START: Nanos = Nanos(1_723_161_256_000_000_000);

    fn market(symbol: &str, tick: &str, seed: u64, schedule: Vec<(Nanos, Regime)>) -> SyntheticMarket {
        let instrument = Instrument::synthetic(symbol, tick, "0.001");
        SyntheticMarket::new(instrument, seed, START, Schedule::new(schedule).unwrap())
    }

    fn secs(n: i64) -> Nanos {
        Nanos::from_secs(n)
    }

    /// Mids at whole seconds, for `seconds`.
    fn mids(market: &mut SyntheticMarket, seconds: i64) -> Vec<i64> {
        let mut mids = Vec::new();
        while (mids.len() as i64) < seconds {
            if market.next_event().at > START + secs(mids.len() as i64 + 1) {
                mids.push(market.mid());
            }
        }
        mids
    }

    #[test]
    fn a_seed_is_one_market() {
        let told = |seed| {
            let mut market = market("BTCUSDT", "0.10", seed, vec![]);
            (0..5_000).map(|_| format!("{:?}", market.next_event())).collect::<Vec<_>>()
        };
        let first = told(3);
        assert_eq!(first, told(3));
        assert_ne!(first, told(4));
    }

    #[test]
    fn everything_told_is_consistent() {
        for (symbol, tick) in [("BTCUSDT", "0.10"), ("ETHUSDT", "0.01"), ("DOGEUSDT", "0.00001"), ("XUSDT", "1")] {
            let mut market = market(symbol, tick, 11, vec![]);
            let mut told = market.book().clone();
            let (mut at, mut seq, mut trade_id) = (START, market.last_update(), 0);
            let (mut events, mut same) = (0, 0);
            let mut quoted = None;
            while events < 30_000 {
                events += 1;
                market.fill();
                let (bid, ask) = (market.best(Side::Buy), market.best(Side::Sell));
                assert!(bid.price < ask.price, "{symbol}: crossed at event {events}");
                let event = market.next_event();
                assert!(event.at >= at, "{symbol}: back in time at event {events}");
                at = event.at;
                match event.kind {
                    MarketKind::Trade(trade) => {
                        assert!(trade.qty > Lots(0) && trade.id > trade_id);
                        trade_id = trade.id;
                    }
                    MarketKind::Quote(quote) => {
                        assert!(
                            quote.bid.qty > Lots(0) && quote.ask.qty > Lots(0) && quote.bid.price < quote.ask.price
                        );
                        quoted = Some(quote);
                    }
                    MarketKind::Depth(update) => {
                        assert_eq!(update.prev, seq, "{symbol}: a gap at event {events}");
                        assert!(update.prev < update.first && update.first <= update.last);
                        seq = update.last;
                        for (side, levels) in [(Side::Buy, update.bids), (Side::Sell, update.asks)] {
                            assert!(levels.is_sorted_by(|a, b| a.price < b.price), "ascending, each price once");
                            levels.iter().for_each(|level| told.set(side, level.price, level.qty));
                        }
                        if let Some(quote) = quoted
                            && quote.seq == update.last
                        {
                            same += 1;
                            assert_eq!(
                                (told.best(Side::Buy), told.best(Side::Sell)),
                                (Some(quote.bid), Some(quote.ask))
                            );
                        }
                        for side in [Side::Buy, Side::Sell] {
                            assert!(
                                told.levels(side).eq(market.book().levels(side)),
                                "{symbol}: diffs rebuild the book"
                            );
                        }
                    }
                    MarketKind::Mark { mark, .. } => assert!(mark.next_funding > mark.venue_time),
                }
            }
            assert!(same > 10, "{symbol}: {same} frames share their id with a quote");
        }
    }

    #[test]
    fn a_snapshot_is_the_best_levels_at_the_last_id() {
        let mut market = market("BTCUSDT", "0.10", 1, vec![]);
        (0..1_000).for_each(|_| drop(market.next_event()));
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let seq = market.snapshot(1_000, &mut bids, &mut asks);
        assert_eq!((bids.len(), asks.len(), seq), (1_000, 1_000, market.last_update()));
        assert_eq!(market.resting(Side::Buy, bids[0].price), bids[0].qty);
        // The next frame covers the snapshot's id, or follows right on it.
        loop {
            if let MarketKind::Depth(update) = market.next_event().kind {
                assert!(update.last >= seq && (update.first <= seq || update.prev == seq));
                break;
            }
        }
    }

    #[test]
    fn a_crash_takes_its_part_of_the_price_in_its_time_and_trends_go_their_way() {
        let crash = Regime::Crash { drop: Rate::from_bps(500), within: secs(5) };
        let mut market = market("BTCUSDT", "0.10", 2, vec![(secs(10), crash)]);
        let path = mids(&mut market, 30);
        let (before, after) = (path[8], path[17]);
        let drop = (before - after) * 10_000 / before;
        assert!((430..600).contains(&drop), "{drop} bps: {path:?}");
        assert!((path[29] - after).abs() < after / 100, "it stays there: {path:?}");

        for bps in [50, -50] {
            let trend = Regime::Trend { per_minute: Rate::from_bps(bps) };
            let mut market = self::market("ETHUSDT", "0.01", 2, vec![(Nanos(0), trend)]);
            let path = mids(&mut market, 120);
            let moved = (path[119] - path[0]) * 10_000 / path[0];
            assert!((moved - 2 * bps).abs() < 40, "{moved} bps instead of {}", 2 * bps);
        }
    }

    #[test]
    fn a_funding_flip_turns_rate_and_premium() {
        let flip = Regime::FundingFlip { rate: Rate::from_bps(-3) };
        let mut market = market("BTCUSDT", "0.10", 2, vec![(Nanos::from_millis(5_500), flip)]);
        let mut signs = Vec::new();
        while signs.len() < 10 {
            if let MarketKind::Mark { mark, .. } = market.next_event().kind {
                signs.push((mark.funding_rate.signum(), (mark.mark - mark.index).signum()));
            }
        }
        assert_eq!(signs[..5], [(1, 1); 5]);
        assert_eq!(signs[5..], [(-1, -1); 5]);
    }

    #[test]
    fn memory_stays_flat() {
        let mut market =
            market("BTCUSDT", "0.10", 2, vec![(secs(30), Regime::Trend { per_minute: Rate::from_bps(200) })]);
        let (mut levels_most, mut ready_most) = (0, 0);
        while market.next_event().at < START + secs(1_200) {
            levels_most = levels_most.max(market.book.len(Side::Buy).max(market.book.len(Side::Sell)));
            ready_most = ready_most.max(market.ready.len());
        }
        assert!(levels_most <= LEVELS_MAX + FRAME_CHANGES_MAX as usize, "{levels_most}");
        assert!(ready_most <= SWEEP_PRINTS_MAX + 2, "{ready_most}");
        assert_eq!((market.bids.capacity(), market.ready.capacity()), (4_096, 1_024), "no buffer grew");
    }
}
