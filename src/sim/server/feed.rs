//! One market as the server plays it: events at their recorded pace from now on, told to the exchange and made into frames.

use super::stream::Channel;
use crate::event::{Event, Level};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::exchange::Exchange;
use crate::sim::frames;
use crate::sim::market::{MarketError, MarketKind, MarketSource, begins};
use crate::sim::protocol::Object;
use crate::sim::tape::{Candle, Gathered, INTERVALS, Tape};
use crate::unit::{Nanos, Seq};

/// Intervals for which depth is gathered, in milliseconds.
const GATHERED: [u16; 3] = [100, 250, 500];
/// How often candles are told, if something was printed.
const KLINE_EVERY: Nanos = Nanos::from_millis(250);

/// A frame without its envelope, and the channel that it belongs to.
pub type Emit<'a> = &'a mut dyn FnMut(Channel, &[u8]);

/// One market being played.
pub struct Feed {
    source: Box<dyn MarketSource + Send>,
    id: InstrumentId,
    /// The source's time of its first event.
    first: Nanos,
    /// When that is played.
    started: Nanos,
    /// How many times faster than recorded.
    speed: i64,
    /// The times inside frames become those of now.
    shifts: bool,
    /// What is added to the times inside the frame that is being played.
    shift: Nanos,
    gathered: Vec<(u16, Gathered)>,
    /// A gap struck: the gathered frame of each interval that has not been left out yet.
    gaps: [bool; GATHERED.len()],
    next_ticker: Nanos,
    next_kline: Nanos,
    /// What each candle stream told last: the candle's beginning, and the print it ends with.
    klines: [(Nanos, u64); INTERVALS.len()],
    seconds: i64,
    scratch: Vec<u8>,
    ended: bool,
    /// The source has lost its market and nobody was told yet.
    lost: bool,
}

impl Feed {
    /// Plays `source` as instrument `id` from `now` on, `speed` times as fast as it happened; `shifts` says that the times in
    /// frames are made those of now.
    ///
    /// # Errors
    /// The source has nothing to begin with.
    pub fn new(
        mut source: Box<dyn MarketSource + Send>,
        id: InstrumentId,
        now: Nanos,
        shifts: bool,
        speed: u32,
    ) -> Result<Self, MarketError> {
        let first = if source.is_live() { now } else { source.due()?.unwrap_or(now) };
        let gathered = GATHERED.map(|ms| (ms, Gathered::new(Nanos::from_millis(i64::from(ms)))));
        Ok(Self {
            source,
            id,
            first,
            started: begins(first, now),
            speed: i64::from(speed.max(1)),
            shifts,
            shift: Nanos::ZERO,
            gathered: gathered.into(),
            gaps: [false; GATHERED.len()],
            next_ticker: now,
            next_kline: now,
            klines: [(Nanos::ZERO, 0); INTERVALS.len()],
            seconds: 0,
            scratch: Vec::with_capacity(64 * 1024),
            ended: false,
            lost: false,
        })
    }

    /// Tells the exchange the book that the source begins with.
    pub fn prime(&self, now: Nanos, exchange: &mut Exchange) {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let last = self.source.snapshot(usize::MAX, &mut bids, &mut asks);
        if bids.is_empty() && asks.is_empty() {
            return;
        }
        let (bids, asks) = (&bids[..], &asks[..]);
        let snapshot = crate::event::DepthSnapshot { instrument: self.id, last, venue_time: now, bids, asks };
        exchange.market(now, &Event::Snapshot(snapshot));
    }

    /// The recording is at its end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// True once after the source has lost its market: who listens to it must be cut off, as the venue cut off the source.
    pub fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Depth as the venue would answer it now.
    pub fn snapshot(&self, limit: usize, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Seq {
        self.source.snapshot(limit, bids, asks)
    }

    /// What is added to the source's time `at` to make it that of its playing. Whole milliseconds, so that shifted times in frames
    /// and shifted times of events are the same.
    fn offset(&self, at: Nanos) -> Nanos {
        let played = self.started.0 + (at.0 - self.first.0) / self.speed;
        Nanos((played - at.0) / 1_000_000 * 1_000_000)
    }

    /// When the next event or frame is due.
    ///
    /// # Errors
    /// The recording is damaged.
    pub fn due(&mut self, tape: &Tape) -> Result<Nanos, MarketError> {
        let event = match self.source.due()? {
            Some(at) => at + self.offset(at),
            None => {
                self.ended = !self.source.is_live();
                Nanos::MAX
            }
        };
        let gathered = self.gathered.iter().map(|(_, g)| g.due()).min().unwrap_or(Nanos::MAX);
        Ok(event.min(gathered).min(tape.flush_due()).min(self.next_ticker).min(self.next_kline))
    }

    /// Plays the next event if it is due; false if none is. `skew` is what the venue's clock is off by; `gap` is asked at each depth frame.
    ///
    /// # Errors
    /// The recording is damaged.
    pub fn play(
        &mut self,
        now: Nanos,
        skew: Nanos,
        exchange: &mut Exchange,
        tape: &mut Tape,
        gap: &mut dyn FnMut() -> bool,
        emit: Emit<'_>,
    ) -> Result<bool, MarketError> {
        match self.source.due()? {
            Some(at) if at + self.offset(at) <= now => {
                self.shift = if self.shifts { self.offset(at) } else { Nanos::ZERO }
            }
            _ => return Ok(false),
        }
        let Some(event) = self.source.next()? else { return Ok(false) };
        let (id, shift, out) = (self.id, self.shift + skew, &mut self.scratch);
        let contract = exchange.instrument(id).clone();
        let sent = event.at + shift;
        out.clear();
        let mut raw = |stream: &str| {
            let data = raw_data(event.raw, &contract.symbol, stream)?;
            out.extend_from_slice(data);
            shift_times(out, shift.as_millis());
            Some(())
        };
        match event.kind {
            MarketKind::Trade(mut trade) => {
                let stream = if trade.aggregate { "aggTrade" } else { "trade" };
                let had = raw(stream).is_some();
                (trade.instrument, trade.venue_time) = (id, trade.venue_time + shift);
                exchange.market(now, &Event::Trade(trade));
                let ended = if trade.aggregate && had {
                    emit(Channel::AggTrade, out);
                    None
                } else {
                    if !had {
                        frames::trade(out, None, &contract, &trade, sent);
                    }
                    emit(Channel::Trade, out);
                    tape.print(&contract, &trade, now)
                };
                if let Some(aggregate) = ended {
                    out.clear();
                    frames::agg_trade(out, None, &contract, &aggregate, sent);
                    emit(Channel::AggTrade, out);
                }
            }
            MarketKind::Quote(mut quote) => {
                let had = raw("bookTicker").is_some();
                (quote.instrument, quote.venue_time) = (id, quote.venue_time + shift);
                exchange.market(now, &Event::Quote(quote));
                if !had {
                    frames::book_ticker(out, None, &contract, &quote, sent);
                }
                emit(Channel::BookTicker, out);
            }
            MarketKind::Depth(mut update) => {
                let had = raw("depth@0ms").is_some();
                (update.instrument, update.venue_time) = (id, update.venue_time + shift);
                exchange.market(now, &Event::Depth(update));
                for (_, gathered) in &mut self.gathered {
                    gathered.add(&update, now);
                }
                if gap() {
                    self.gaps = [true; GATHERED.len()];
                } else {
                    if !had {
                        frames::depth_update(out, None, &contract, &update, sent);
                    }
                    emit(Channel::Depth(0), out);
                }
            }
            MarketKind::Mark { mut mark, settle } => {
                let had = raw("markPrice@1s").is_some();
                mark.instrument = id;
                mark.venue_time += shift;
                if mark.next_funding > Nanos::ZERO {
                    mark.next_funding += shift;
                }
                exchange.market(now, &Event::Mark(mark));
                if !had {
                    frames::mark_price(out, None, &contract, &mark, settle);
                }
                emit(Channel::Mark(1), out);
                self.seconds += 1;
                if self.seconds % 3 == 0 {
                    emit(Channel::Mark(3), out);
                }
            }
            MarketKind::Snapshot(snapshot) => {
                exchange.market(now, &Event::Snapshot(crate::event::DepthSnapshot { instrument: id, ..snapshot }));
            }
            MarketKind::Lost => {
                self.lost = true;
                // Half a gathered frame would hide the hole.
                for (millis, gathered) in &mut self.gathered {
                    *gathered = Gathered::new(Nanos::from_millis(i64::from(*millis)));
                }
            }
        }
        Ok(true)
    }

    /// Emits what time has completed: gathered depth, aggregate prints, tickers.
    pub fn flush(&mut self, now: Nanos, skew: Nanos, exchange: &Exchange, tape: &mut Tape, emit: Emit<'_>) {
        let contract = exchange.instrument(self.id);
        // Verbatim times are those of the recording.
        let sent = if self.shifts { now + skew } else { now + skew - self.offset(self.first) };
        for (at, (millis, gathered)) in self.gathered.iter_mut().enumerate() {
            let Some(update) = gathered.take(now, self.id) else { continue };
            for levels in [5, 10, 20] {
                partial(&mut self.scratch, exchange, self.id, levels, &update, sent);
                emit(Channel::Partial(levels, *millis), &self.scratch);
            }
            if std::mem::take(&mut self.gaps[at]) {
                continue;
            }
            self.scratch.clear();
            frames::depth_update(&mut self.scratch, None, contract, &update, sent);
            emit(Channel::Depth(*millis), &self.scratch);
        }
        if let Some(aggregate) = tape.flush(now) {
            self.scratch.clear();
            frames::agg_trade(&mut self.scratch, None, contract, &aggregate, sent);
            emit(Channel::AggTrade, &self.scratch);
        }
        if now >= self.next_ticker {
            self.next_ticker = Nanos((now.0 / 1_000_000_000 + 1) * 1_000_000_000);
            for (channel, full) in [(Channel::MiniTicker, false), (Channel::Ticker, true)] {
                if ticker(&mut self.scratch, exchange, self.id, tape, full, sent) {
                    emit(channel, &self.scratch);
                }
            }
        }
        if now >= self.next_kline {
            self.next_kline = Nanos((now.0 / KLINE_EVERY.0 + 1) * KLINE_EVERY.0);
            self.tell_klines(exchange, tape, sent, emit);
        }
    }

    /// The candle of each interval, if it has a new print; before the first one of a new candle the end of the old one.
    fn tell_klines(&mut self, exchange: &Exchange, tape: &Tape, sent: Nanos, emit: Emit<'_>) {
        let Some(last) = tape.prints.back() else { return };
        let contract = exchange.instrument(self.id);
        for (at, (told, (name, minutes))) in self.klines.iter_mut().zip(INTERVALS).enumerate() {
            if told.1 == last.id {
                continue;
            }
            let Some(candle) = tape.candle(minutes, last.venue_time) else { continue };
            let channel = Channel::Kline(u8::try_from(at).expect("a handful"));
            if told.0 != candle.open_time
                && told.0 != Nanos::ZERO
                && let Some(ended) = tape.candle(minutes, told.0)
            {
                kline(&mut self.scratch, contract, (name, minutes), &ended, true, sent);
                emit(channel, &self.scratch);
            }
            *told = (candle.open_time, last.id);
            kline(&mut self.scratch, contract, (name, minutes), &candle, false, sent);
            emit(channel, &self.scratch);
        }
    }
}

/// The bare document of a recorded frame, if it is of that stream.
fn raw_data<'a>(raw: &'a [u8], symbol: &str, stream: &str) -> Option<&'a [u8]> {
    let rest = raw.strip_prefix(b"{\"stream\":\"")?;
    let end = rest.iter().position(|&b| b == b'"')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let (of, kind) = name.split_once('@')?;
    if !of.eq_ignore_ascii_case(symbol) || kind != stream {
        return None;
    }
    rest[end..].strip_prefix(b"\",\"data\":")?.strip_suffix(b"}")
}

/// Adds `millis` to the 13-digit times behind `"E":` and `"T":`, in place; the length stays.
fn shift_times(frame: &mut [u8], millis: i64) {
    if millis == 0 {
        return;
    }
    let mut at = 0;
    while at + 17 <= frame.len() {
        let key = &frame[at..at + 4];
        if key != b"\"E\":" && key != b"\"T\":" {
            at += 1;
            continue;
        }
        let digits = &mut frame[at + 4..at + 17];
        if let Some(time) = std::str::from_utf8(digits).ok().and_then(|t| t.parse::<i64>().ok()) {
            let mut rest = time + millis;
            if (1_000_000_000_000..10_000_000_000_000).contains(&rest) {
                for digit in digits.iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
            }
        }
        at += 17;
    }
}

/// A depth frame with the best levels only, as the partial streams send them.
fn partial(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    id: InstrumentId,
    levels: u8,
    update: &crate::event::DepthUpdate<'_>,
    sent: Nanos,
) {
    use crate::event::Side;
    let best = |side| exchange.matching(id).levels(side).take(usize::from(levels)).collect::<Vec<_>>();
    let (bids, asks) = (best(Side::Buy), best(Side::Sell));
    out.clear();
    let update = crate::event::DepthUpdate { bids: &bids, asks: &asks, ..*update };
    frames::depth_update(out, None, exchange.instrument(id), &update, sent);
}

/// A `kline` frame; `ended` says that nothing more comes to the candle.
fn kline(
    out: &mut Vec<u8>,
    contract: &Instrument,
    (name, minutes): (&str, i64),
    candle: &Candle,
    ended: bool,
    sent: Nanos,
) {
    out.clear();
    let mut object = Object::new(out);
    object.str("e", "kline").int("E", sent.as_millis()).str("s", &contract.symbol);
    Object::new(object.key("k"))
        .int("t", candle.open_time.as_millis())
        .int("T", candle.open_time.as_millis() + minutes * 60_000 - 1)
        .str("s", &contract.symbol)
        .str("i", name)
        .id("f", candle.first_id)
        .id("L", candle.last_id)
        .price("o", contract, candle.open)
        .price("c", contract, candle.close)
        .price("h", contract, candle.high)
        .price("l", contract, candle.low)
        .qty("v", contract, candle.volume)
        .id("n", candle.trades)
        .bool("x", ended)
        .money("q", candle.quote)
        .qty("V", contract, candle.taker_buy)
        .money("Q", candle.taker_quote)
        .str("B", "0")
        .end();
    object.end();
}

/// `24hrMiniTicker` or `24hrTicker` since the start; false before the first print.
fn ticker(out: &mut Vec<u8>, exchange: &Exchange, id: InstrumentId, tape: &Tape, full: bool, sent: Nanos) -> bool {
    let Some(day) = tape.day else { return false };
    let contract = exchange.instrument(id);
    out.clear();
    let mut object = Object::new(out);
    object
        .str("e", if full { "24hrTicker" } else { "24hrMiniTicker" })
        .int("E", sent.as_millis())
        .str("s", &contract.symbol);
    if full {
        object.price("p", contract, crate::unit::Ticks(day.close.0 - day.open.0));
    }
    object
        .price("c", contract, day.close)
        .price("o", contract, day.open)
        .price("h", contract, day.high)
        .price("l", contract, day.low)
        .qty("v", contract, day.volume)
        .money("q", day.quote);
    if full {
        object
            .int("O", day.open_time.as_millis())
            .int("C", sent.as_millis())
            .id("F", day.first_id)
            .id("L", day.last_id)
            .id("n", day.trades);
    }
    object.end();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_shift_in_place() {
        let mut frame = br#"{"e":"x","E":1680652800010,"s":"BTCUSDT","T":1680652800999,"t":5}"#.to_vec();
        shift_times(&mut frame, 1001);
        assert_eq!(frame, br#"{"e":"x","E":1680652801011,"s":"BTCUSDT","T":1680652802000,"t":5}"#);
        let mut short = br#"{"E":12,"T":"x"}"#.to_vec();
        shift_times(&mut short, 5);
        assert_eq!(short, br#"{"E":12,"T":"x"}"#);
    }

    #[test]
    fn the_data_of_a_recorded_frame_is_found() {
        let raw = br#"{"stream":"btcusdt@trade","data":{"e":"trade"}}"#;
        assert_eq!(raw_data(raw, "BTCUSDT", "trade"), Some(&br#"{"e":"trade"}"#[..]));
        assert_eq!(raw_data(raw, "BTCUSDT", "aggTrade"), None);
        assert_eq!(raw_data(raw, "ETHUSDT", "trade"), None);
        assert_eq!(raw_data(b"", "BTCUSDT", "trade"), None);
    }
}
