//! A spot market of the pretend venue: any market source told in spot frames, to be looked at only. No orders, no accounts, no clock.

use crate::event::DepthSnapshot;
use crate::instrument::{Instrument, InstrumentId, Symbol};
use crate::sim::frames::spot as frames;
use crate::sim::market::{MarketError, MarketKind, MarketSource, begins};
use crate::sim::protocol::{Object, Reply, array};
use crate::sim::tape::Gathered;
use crate::unit::{Lots, Nanos, Ticks};
use crate::wire::http;

/// The venue gathers spot depth over this.
const DEPTH_EVERY: Nanos = Nanos::from_millis(100);
/// Every decimal of a spot price or quantity that the venue prints.
const PLACES: u8 = 8;
const ONLY: InstrumentId = InstrumentId(0);

/// What a spot stream carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SpotChannel {
    /// Depth changes of 100 ms.
    Depth,
    /// The touch.
    BookTicker,
    /// Prints.
    Trade,
}

/// What spot market to play.
pub struct SpotConfig {
    /// Where it comes from; a perpetual's will do, it is told as a spot market.
    pub source: Box<dyn MarketSource + Send>,
    /// Its symbol, where it is not the source's.
    pub symbol: Option<Symbol>,
}

/// One spot market being played.
pub struct SpotMarket {
    source: Box<dyn MarketSource + Send>,
    contract: Instrument,
    /// The source's time of its first event.
    first: Nanos,
    /// When that is played.
    started: Nanos,
    speed: i64,
    gathered: Gathered,
    scratch: Vec<u8>,
}

impl SpotMarket {
    /// Plays from `now` on, `speed` times as fast as it happened.
    ///
    /// # Errors
    /// The source has nothing to begin with.
    pub fn new(config: SpotConfig, now: Nanos, speed: u32) -> Result<Self, MarketError> {
        let SpotConfig { mut source, symbol } = config;
        let own = source.instrument().clone();
        let contract =
            Instrument { symbol: symbol.unwrap_or(own.symbol), price_places: PLACES, qty_places: PLACES, ..own };
        let first = source.due()?.unwrap_or(now);
        let (speed, gathered) = (i64::from(speed.max(1)), Gathered::new(DEPTH_EVERY));
        Ok(Self {
            source,
            contract,
            first,
            started: begins(first, now),
            speed,
            gathered,
            scratch: Vec::with_capacity(64 * 1024),
        })
    }

    /// What is played.
    #[must_use]
    pub const fn contract(&self) -> &Instrument {
        &self.contract
    }

    /// What a stream name means; `None` for one that this market has nothing for.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<SpotChannel> {
        let (symbol, kind) = name.split_once('@')?;
        if !symbol.eq_ignore_ascii_case(&self.contract.symbol) {
            return None;
        }
        match kind {
            "depth@100ms" => Some(SpotChannel::Depth),
            "bookTicker" => Some(SpotChannel::BookTicker),
            "trade" => Some(SpotChannel::Trade),
            _ => None,
        }
    }

    /// What is added to the source's time `at` to make it that of its playing.
    fn offset(&self, at: Nanos) -> Nanos {
        Nanos(self.started.0 + (at.0 - self.first.0) / self.speed - at.0)
    }

    /// When the next event or frame is due.
    ///
    /// # Errors
    /// The recording is damaged.
    pub fn due(&mut self) -> Result<Nanos, MarketError> {
        let event = self.source.due()?.map_or(Nanos::MAX, |at| at + self.offset(at));
        Ok(event.min(self.gathered.due()))
    }

    /// Plays the next event if it is due, and emits what it makes; false if none is.
    ///
    /// # Errors
    /// The recording is damaged.
    pub fn play(&mut self, now: Nanos, emit: &mut dyn FnMut(SpotChannel, &[u8])) -> Result<bool, MarketError> {
        let shift = match self.source.due()? {
            Some(at) if at + self.offset(at) <= now => self.offset(at),
            _ => return Ok(false),
        };
        let (contract, out) = (&self.contract, &mut self.scratch);
        let Some(event) = self.source.next()? else { return Ok(false) };
        let sent = event.at + shift;
        out.clear();
        match event.kind {
            MarketKind::Trade(mut trade) => {
                trade.venue_time = sent;
                frames::trade(out, None, contract, &trade, sent);
                emit(SpotChannel::Trade, out);
            }
            MarketKind::Quote(quote) => {
                frames::book_ticker(out, None, contract, &quote);
                emit(SpotChannel::BookTicker, out);
            }
            MarketKind::Depth(update) => self.gathered.add(&update, now),
            // Spot has no mark price; a source that is told as spot is not live.
            MarketKind::Mark { .. } | MarketKind::Snapshot(_) | MarketKind::Lost => {}
        }
        Ok(true)
    }

    /// Emits gathered depth when its time has come, unless `gap` says that it is to be left out.
    pub fn flush(&mut self, now: Nanos, gap: &mut dyn FnMut() -> bool, emit: &mut dyn FnMut(SpotChannel, &[u8])) {
        let Some(update) = self.gathered.take(now, ONLY) else { return };
        if !gap() {
            self.scratch.clear();
            frames::depth_update(&mut self.scratch, None, &self.contract, &update, now);
            emit(SpotChannel::Depth, &self.scratch);
        }
    }

    /// Answers a REST request below `/api/v3`.
    #[must_use]
    pub fn rest(&self, now: Nanos, method: &str, path: &str, query: &str) -> Reply {
        let mut reply = Reply { status: 200, ..Reply::default() };
        let mut refuse = |status: u16, code: i64, msg: &str| {
            reply.status = status;
            reply.body.clear();
            Object::new(&mut reply.body).int("code", code).str("msg", msg).end();
        };
        let wanted = |key: &str| http::pairs(query).find(|(name, _)| *name == key).map(|(_, value)| value);
        let known = wanted("symbol").is_none_or(|symbol| symbol == self.contract.symbol.as_str());
        match (method, path.strip_prefix("/api/v3").unwrap_or(path)) {
            ("GET", "/ping") => reply.body.extend_from_slice(b"{}"),
            ("GET", "/time") => Object::new(&mut reply.body).int("serverTime", now.as_millis()).end(),
            ("GET", "/exchangeInfo" | "/depth") if !known => refuse(400, -1121, "Invalid symbol."),
            ("GET", "/exchangeInfo") => self.exchange_info(now, &mut reply.body),
            ("GET", "/depth") => match wanted("limit").map_or(Ok(100), str::parse::<usize>) {
                Ok(limit @ 1..=5000) if wanted("symbol").is_some() => self.snapshot(limit, &mut reply.body),
                _ => refuse(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
            },
            _ => refuse(404, -1000, "no such path of the pretend spot market"),
        }
        reply
    }

    fn snapshot(&self, limit: usize, out: &mut Vec<u8>) {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let last = self.source.snapshot(limit, &mut bids, &mut asks);
        let (bids, asks) = (&bids[..], &asks[..]);
        let snapshot = DepthSnapshot { instrument: ONLY, last, venue_time: Nanos::ZERO, bids, asks };
        frames::depth_snapshot(out, &self.contract, &snapshot);
    }

    fn exchange_info(&self, now: Nanos, out: &mut Vec<u8>) {
        let contract = &self.contract;
        let mut object = Object::new(out);
        object.str("timezone", "UTC").int("serverTime", now.as_millis());
        object.raw("rateLimits", "[]").raw("exchangeFilters", "[]");
        array(object.key("symbols"), [contract], |out, contract| {
            let mut entry = Object::new(out);
            entry
                .str("symbol", &contract.symbol)
                .str("status", "TRADING")
                .str("baseAsset", &contract.base)
                .int("baseAssetPrecision", i64::from(PLACES))
                .str("quoteAsset", &contract.quote)
                .int("quotePrecision", i64::from(PLACES));
            let filters = entry.key("filters");
            filters.push(b'[');
            Object::new(filters)
                .str("filterType", "PRICE_FILTER")
                .price("minPrice", contract, Ticks(1))
                .price("maxPrice", contract, contract.price_max)
                .price("tickSize", contract, Ticks(1))
                .end();
            filters.push(b',');
            Object::new(filters)
                .str("filterType", "LOT_SIZE")
                .qty("minQty", contract, Lots(1))
                .qty("maxQty", contract, contract.qty_max)
                .qty("stepSize", contract, Lots(1))
                .end();
            filters.push(b']');
            entry.end();
        });
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Book;
    use crate::event::{Event, Side};
    use crate::sim::market::{Schedule, SyntheticMarket};
    use crate::venue::binance::spot::instrument::instrument;
    use crate::venue::binance::spot::market::SpotDecoder;
    use crate::venue::codec::{MarketCodec, MarketMessage};
    use crate::wire::buf::SPARE;

    const START: Nanos = Nanos(1_723_161_256_000_000_000);

    fn market(symbol: Option<&str>) -> SpotMarket {
        let terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
        let source = Box::new(SyntheticMarket::new(terms, 5, START, Schedule::calm()));
        let symbol = symbol.map(|name| Symbol::from(name).unwrap());
        SpotMarket::new(SpotConfig { source, symbol }, START, 1).unwrap()
    }

    fn spare(bytes: &[u8]) -> (Vec<u8>, usize) {
        let mut all = bytes.to_vec();
        all.resize(bytes.len() + SPARE, 0);
        (all, bytes.len())
    }

    /// A client that keeps a book from the frames by the spot rules: it stays in sync and shows the source's best prices.
    #[test]
    fn a_book_kept_from_its_frames_stays_in_sync() {
        let mut market = market(Some("BTCUSDC"));
        let info = market.rest(START, "GET", "/api/v3/exchangeInfo", "symbol=BTCUSDC");
        let terms = instrument(&info.body, "BTCUSDC").unwrap();
        let (mut decoder, mut book) = (SpotDecoder::new(std::slice::from_ref(&terms)), Book::new(&terms));
        let (mut frames, mut synced) = (0, 0);
        for step in 1..6_000 {
            let now = START + Nanos::from_millis(step);
            let mut told = Vec::new();
            while market.play(now, &mut |_, frame| told.push(frame.to_vec())).unwrap() {}
            market.flush(now, &mut || false, &mut |_, frame| told.push(frame.to_vec()));
            for frame in told {
                frames += 1;
                let (mut bytes, len) = spare(&frame);
                match decoder.decode(&mut bytes, len) {
                    Ok(MarketMessage::Event(Event::Depth(update))) => {
                        let _ = book.on_depth(&update);
                    }
                    Ok(MarketMessage::Event(Event::Quote(quote))) => {
                        let _ = book.on_quote(&quote);
                    }
                    Ok(MarketMessage::Event(Event::Trade(_))) => {}
                    other => panic!("{}: {other:?}", String::from_utf8_lossy(&frame)),
                }
            }
            if book.wants_snapshot() {
                let body = market.rest(now, "GET", "/api/v3/depth", "symbol=BTCUSDC&limit=1000").body;
                let (mut body, len) = spare(&body);
                let _ = book.on_snapshot(&decoder.decode_snapshot(ONLY, &mut body, len).unwrap());
            }
            if book.quotable() {
                synced += 1;
                let best = |side| market.source.book().best(side).unwrap().price;
                // The touch is told before a sweep's prints are read, so that the source may be ahead, but not beyond a sweep.
                assert!((book.best(Side::Buy).unwrap().price.0 - best(Side::Buy).0).abs() < 2_000);
            }
        }
        let counters = book.counters();
        assert!(frames > 500 && synced > 5_000, "{frames} frames, in sync at {synced} of 6000 looks");
        assert_eq!((counters.gaps, counters.mismatches, counters.crossed), (0, 0, 0), "{counters:?}");
    }

    #[test]
    fn only_its_own_streams_and_paths_are_known() {
        let market = market(None);
        assert_eq!(market.channel("btcusdt@depth@100ms"), Some(SpotChannel::Depth));
        assert_eq!(market.channel("btcusdt@bookTicker"), Some(SpotChannel::BookTicker));
        assert_eq!((market.channel("ethusdt@trade"), market.channel("btcusdt@markPrice")), (None, None));
        for (path, query, status) in [
            ("/api/v3/time", "", 200),
            ("/api/v3/depth", "symbol=BTCUSDT&limit=5", 200),
            ("/api/v3/depth", "symbol=ETHUSDT", 400),
            ("/api/v3/depth", "limit=5", 400),
            ("/api/v3/order", "", 404),
        ] {
            assert_eq!(market.rest(START, "GET", path, query).status, status, "{path}?{query}");
        }
    }
}
