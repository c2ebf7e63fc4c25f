//! What the market of one instrument told lately: prints, aggregate prints, candles, the day's figures, and depth changes gathered
//! for the slower depth streams. Bounded; knows no order and no client.

use crate::event::{DepthUpdate, Level, Side, Trade};
use crate::instrument::Instrument;
use crate::sim::frames::AggTrade;
use crate::unit::{Lots, Money, Nanos, Seq, Ticks};
use std::collections::{BTreeMap, VecDeque};

/// Prints remembered.
pub const PRINTS_MAX: usize = 1000;
/// One-minute candles remembered: a day and a bit.
pub const CANDLES_MAX: usize = 1500;
/// An aggregate print gathers for this long at most.
const AGGREGATE: Nanos = Nanos::from_millis(100);
const MINUTE: i64 = 60_000_000_000;
/// Names and minutes of the candle intervals that have a stream.
pub const INTERVALS: [(&str, i64); 14] = [
    ("1m", 1),
    ("3m", 3),
    ("5m", 5),
    ("15m", 15),
    ("30m", 30),
    ("1h", 60),
    ("2h", 120),
    ("4h", 240),
    ("6h", 360),
    ("8h", 480),
    ("12h", 720),
    ("1d", 1_440),
    ("3d", 4_320),
    ("1w", 10_080),
];

/// One candle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candle {
    /// Beginning.
    pub open_time: Nanos,
    /// First price.
    pub open: Ticks,
    /// Highest.
    pub high: Ticks,
    /// Lowest.
    pub low: Ticks,
    /// Last.
    pub close: Ticks,
    /// Quantity.
    pub volume: Lots,
    /// Value.
    pub quote: Money,
    /// Quantity that buyers took.
    pub taker_buy: Lots,
    /// Value that buyers took.
    pub taker_quote: Money,
    /// Number of prints.
    pub trades: u64,
    /// Id of the first print.
    pub first_id: u64,
    /// Id of the last print.
    pub last_id: u64,
}

impl Candle {
    fn of(trade: &Trade, quote: Money, open_time: Nanos) -> Self {
        let bought = trade.taker == Side::Buy;
        Self {
            open_time,
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            volume: trade.qty,
            quote,
            taker_buy: if bought { trade.qty } else { Lots::ZERO },
            taker_quote: if bought { quote } else { Money::ZERO },
            trades: 1,
            first_id: trade.id,
            last_id: trade.id,
        }
    }

    /// Extends it by a later one.
    pub fn join(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume += later.volume;
        self.quote += later.quote;
        self.taker_buy += later.taker_buy;
        self.taker_quote += later.taker_quote;
        self.trades += later.trades;
        self.last_id = later.last_id;
    }
}

/// The recent past of one instrument.
#[derive(Debug, Default)]
pub struct Tape {
    /// Latest prints, oldest first.
    pub prints: VecDeque<Trade>,
    /// Latest aggregate prints, oldest first.
    pub aggregates: VecDeque<AggTrade>,
    /// One-minute candles, oldest first.
    pub candles: VecDeque<Candle>,
    /// The figures since the start, as one candle.
    pub day: Option<Candle>,
    gathering: Option<(AggTrade, Nanos)>,
    next_aggregate: u64,
}

impl Tape {
    /// Takes a print; returns the aggregate that it ended, if it did.
    pub fn print(&mut self, instrument: &Instrument, trade: &Trade, now: Nanos) -> Option<AggTrade> {
        push(&mut self.prints, *trade, PRINTS_MAX);
        let quote = instrument.notional(trade.price, trade.qty);
        let open_time = Nanos(trade.venue_time.0 / MINUTE * MINUTE);
        let candle = Candle::of(trade, quote, open_time);
        match self.candles.back_mut() {
            Some(last) if last.open_time >= open_time => last.join(&candle),
            _ => push(&mut self.candles, candle, CANDLES_MAX),
        }
        match &mut self.day {
            Some(day) => day.join(&candle),
            None => self.day = Some(candle),
        }
        let ended = self
            .gathering
            .filter(|(a, since)| a.price != trade.price || a.taker != trade.taker || now - *since >= AGGREGATE);
        if ended.is_none()
            && let Some((open, _)) = &mut self.gathering
        {
            open.last = trade.id;
            open.qty += trade.qty;
            open.venue_time = trade.venue_time;
            return None;
        }
        self.next_aggregate += 1;
        let open = AggTrade {
            id: self.next_aggregate,
            first: trade.id,
            last: trade.id,
            price: trade.price,
            qty: trade.qty,
            taker: trade.taker,
            venue_time: trade.venue_time,
        };
        self.gathering = Some((open, now));
        ended.map(|(a, _)| self.aggregated(a))
    }

    /// The candle of `minutes` that holds `at`, from the minutes that are remembered; `None` if nothing was printed in it.
    #[must_use]
    pub fn candle(&self, minutes: i64, at: Nanos) -> Option<Candle> {
        let span = minutes * MINUTE;
        let open_time = Nanos(at.0 / span * span);
        let within = |candle: &&Candle| candle.open_time >= open_time && candle.open_time.0 < open_time.0 + span;
        let from = self.candles.partition_point(|candle| candle.open_time < open_time);
        self.candles
            .iter()
            .skip(from)
            .take_while(within)
            .copied()
            .reduce(|mut whole, later| {
                whole.join(&later);
                whole
            })
            .map(|candle| Candle { open_time, ..candle })
    }

    /// The aggregate that time has ended, if there is one.
    pub fn flush(&mut self, now: Nanos) -> Option<AggTrade> {
        let (aggregate, _) = self.gathering.take_if(|(_, since)| now - *since >= AGGREGATE)?;
        Some(self.aggregated(aggregate))
    }

    /// When [`Tape::flush`] will have something.
    #[must_use]
    pub fn flush_due(&self) -> Nanos {
        self.gathering.map_or(Nanos::MAX, |(_, since)| since + AGGREGATE)
    }

    fn aggregated(&mut self, aggregate: AggTrade) -> AggTrade {
        push(&mut self.aggregates, aggregate, PRINTS_MAX);
        aggregate
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}

/// Depth changes gathered over an interval, with unbroken `U`/`u`/`pu` of its own.
#[derive(Debug)]
pub struct Gathered {
    /// The interval.
    pub interval: Nanos,
    sides: [BTreeMap<Ticks, Lots>; 2],
    ids: Option<(Seq, Seq, Nanos)>,
    prev: Option<Seq>,
    due: Nanos,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Gathered {
    /// Nothing gathered.
    #[must_use]
    pub fn new(interval: Nanos) -> Self {
        let sides = [BTreeMap::new(), BTreeMap::new()];
        Self { interval, sides, ids: None, prev: None, due: Nanos::MAX, bids: Vec::new(), asks: Vec::new() }
    }

    /// Takes an update.
    pub fn add(&mut self, update: &DepthUpdate<'_>, now: Nanos) {
        for (side, levels) in [(Side::Buy, update.bids), (Side::Sell, update.asks)] {
            self.sides[side.index()].extend(levels.iter().map(|l| (l.price, l.qty)));
        }
        let first = self.ids.map_or(update.first, |(first, ..)| first);
        self.prev.get_or_insert(update.prev);
        self.ids = Some((first, update.last, update.venue_time));
        if self.due == Nanos::MAX {
            self.due = Nanos((now.0 / self.interval.0 + 1) * self.interval.0);
        }
    }

    /// When [`Gathered::take`] will have something.
    #[must_use]
    pub fn due(&self) -> Nanos {
        self.due
    }

    /// The gathered update, if it is due.
    pub fn take(&mut self, now: Nanos, instrument: crate::instrument::InstrumentId) -> Option<DepthUpdate<'_>> {
        if now < self.due {
            return None;
        }
        let (first, last, venue_time) = self.ids.take()?;
        self.due = Nanos::MAX;
        let prev = self.prev.replace(last)?;
        for (levels, side) in [(&mut self.bids, Side::Buy), (&mut self.asks, Side::Sell)] {
            levels.clear();
            levels.extend(self.sides[side.index()].iter().map(|(&price, &qty)| Level { price, qty }));
            self.sides[side.index()].clear();
        }
        Some(DepthUpdate { instrument, first, last, prev, venue_time, bids: &self.bids, asks: &self.asks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::InstrumentId;

    fn trade(id: u64, price: i64, qty: i64, taker: Side, at: i64) -> Trade {
        let (price, qty, venue_time) = (Ticks(price), Lots(qty), Nanos::from_millis(at));
        Trade { instrument: InstrumentId(0), id, price, qty, taker, aggregate: false, venue_time }
    }

    #[test]
    fn prints_of_one_price_and_side_aggregate_for_100_ms() {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mut tape = Tape::default();
        let mut print = |t: Trade| tape.print(&btc, &t, t.venue_time);
        assert_eq!(print(trade(1, 100, 1, Side::Buy, 0)), None);
        assert_eq!(print(trade(2, 100, 2, Side::Buy, 50)), None);
        let first = print(trade(3, 100, 4, Side::Buy, 100)).unwrap();
        assert_eq!((first.first, first.last, first.qty), (1, 2, Lots(3)));
        assert_eq!(print(trade(4, 101, 8, Side::Buy, 110)).unwrap().qty, Lots(4));
        assert_eq!(tape.flush(Nanos::from_millis(209)), None);
        assert_eq!(tape.flush(Nanos::from_millis(210)).unwrap().first, 4);
        let day = tape.day.unwrap();
        assert_eq!((day.open, day.high, day.volume, day.trades), (Ticks(100), Ticks(101), Lots(15), 4));
    }

    #[test]
    fn a_longer_candle_is_joined_from_its_minutes() {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mut tape = Tape::default();
        for (id, minute, price) in [(1, 0, 100), (2, 1, 104), (3, 2, 97), (4, 3, 101)] {
            let t = trade(id, price, 1, Side::Buy, minute * 60_000 + 5);
            tape.print(&btc, &t, t.venue_time);
        }
        let shape = |c: Candle| (c.open_time.as_millis(), c.open.0, c.high.0, c.low.0, c.close.0, c.trades);
        assert_eq!(tape.candle(1, Nanos::from_millis(61_000)).map(shape), Some((60_000, 104, 104, 104, 104, 1)));
        assert_eq!(tape.candle(3, Nanos::from_millis(100_000)).map(shape), Some((0, 100, 104, 97, 97, 3)));
        assert_eq!(tape.candle(3, Nanos::from_millis(200_000)).map(shape), Some((180_000, 101, 101, 101, 101, 1)));
        assert_eq!(tape.candle(1, Nanos::from_millis(300_000)), None);
    }

    #[test]
    fn gathered_depth_keeps_the_chain_of_ids() {
        let level = |p, q| Level { price: Ticks(p), qty: Lots(q) };
        let mut gathered = Gathered::new(Nanos::from_millis(100));
        let mut add = |first, last, prev, bids: &[Level], at| {
            let update = DepthUpdate {
                instrument: InstrumentId(0),
                first: Seq(first),
                last: Seq(last),
                prev: Seq(prev),
                venue_time: Nanos::from_millis(at),
                bids,
                asks: &[],
            };
            gathered.add(&update, Nanos::from_millis(at));
            gathered
                .take(Nanos::from_millis(at), InstrumentId(0))
                .map(|u| (u.first.0, u.last.0, u.prev.0, u.bids.to_vec()))
        };
        assert_eq!(add(5, 6, 4, &[level(9, 1)], 10), None);
        assert_eq!(add(7, 8, 6, &[level(9, 2), level(8, 3)], 60), None);
        let expected = (5, 9, 4, vec![level(8, 3), level(9, 2), level(10, 1)]);
        assert_eq!(add(9, 9, 8, &[level(10, 1)], 110), Some(expected));
        assert_eq!(add(11, 12, 9, &[level(10, 0)], 120), None);
        assert_eq!(add(13, 14, 12, &[], 230), Some((11, 14, 9, vec![level(10, 0)])));
    }
}
