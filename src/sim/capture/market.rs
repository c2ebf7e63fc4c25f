//! A recording as a market: its frames in their order and at their pace, verbatim, with the book rebuilt beside them.

use super::frame::{self, Frame, Texts};
use super::survey::{Survey, survey};
use super::{CaptureError, CaptureReader};
use crate::event::{BestQuote, DepthUpdate, Level, MarkPrice, Side, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::market::{MarkModel, MarketError, MarketEvent, MarketKind, MarketSource, TrueBook};
use crate::unit::{DecimalError, Lots, Nanos, Price, Rate, Seq, Ticks};
use std::path::Path;

const SECOND: i64 = 1_000_000_000;

/// A recording being played. Times are the recorder's (`at`) and the venue's (`venue_time`), as they are in the file.
///
/// The frames of the chosen symbol are passed on with their bytes; inline snapshots, other kinds and other symbols are left out.
/// A recording without mark prices gets one a second, made from its mid, with the venue's usual funding rate.
pub struct CaptureMarket {
    reader: CaptureReader,
    instrument: Instrument,
    book: TrueBook,
    last: Seq,
    ahead: Option<(Nanos, Held)>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    at: Nanos,
    /// Added to receive times, which a recorder with a late clock has written before the venue's own.
    behind: Nanos,
    /// Venue's clock minus the recorder's at the last quote.
    offset: Nanos,
    touch: Option<(Ticks, Ticks)>,
    /// Present when the recording has no marks of its own: the model and the next whole second.
    marks: Option<(MarkModel, Nanos)>,
    damage: Option<CaptureError>,
}

/// A decoded frame whose levels, if any, are in the market's buffers and whose bytes are in the reader's.
#[derive(Clone, Copy)]
enum Held {
    Depth { first: Seq, last: Seq, prev: Seq, venue_time: Nanos },
    Quote(BestQuote),
    Trade(Trade),
    Mark(MarkPrice, Price),
}

impl CaptureMarket {
    /// Opens a recording to play `symbol`, or its only symbol. Reads it once in full to find the grid and the book at its start.
    ///
    /// # Errors
    /// The file cannot be read, has another symbol, several and none was named, or no depth and best quotes.
    pub fn open(path: &Path, symbol: Option<&str>) -> Result<Self, CaptureError> {
        let found = survey(path, symbol)?;
        if found.spot { Err(CaptureError::Spot { path: path.to_owned() }) } else { Self::surveyed(path, found) }
    }

    /// [`CaptureMarket::open`] for a market that is told as a spot market: the recording may be one. Its frames are not passed on.
    ///
    /// # Errors
    /// As [`CaptureMarket::open`].
    pub fn open_any(path: &Path, symbol: Option<&str>) -> Result<Self, CaptureError> {
        Self::surveyed(path, survey(path, symbol)?)
    }

    fn surveyed(path: &Path, found: Survey) -> Result<Self, CaptureError> {
        let Survey { instrument, book, start, marks, spot: _, behind, damage } = found;
        let touch = book.best(Side::Buy).zip(book.best(Side::Sell));
        let mid = touch.map_or(Price::ZERO, |(bid, ask)| instrument.mid(bid.price, ask.price));
        Ok(Self {
            reader: CaptureReader::open(path)?,
            instrument,
            book,
            last: start,
            ahead: None,
            bids: Vec::with_capacity(4_096),
            asks: Vec::with_capacity(4_096),
            at: Nanos::ZERO,
            offset: Nanos::ZERO,
            touch: None,
            behind,
            marks: (!marks).then(|| (MarkModel::new(mid), Nanos::ZERO)),
            damage,
        })
    }

    /// What the first pass found broken: the recording plays up to there and then fails with this. `None` for a sound one.
    #[must_use]
    pub fn damage(&self) -> Option<&CaptureError> {
        self.damage.as_ref()
    }

    /// What was added to receive times because the recorder's clock ran behind the venue's.
    #[must_use]
    pub const fn behind(&self) -> Nanos {
        self.behind
    }

    /// Reads on to the next frame that is played.
    fn look_ahead(&mut self) -> Result<(), CaptureError> {
        while self.ahead.is_none() {
            let Some(line) = self.reader.next_line()? else { return Ok(()) };
            let (received, number) = (line.received, line.number);
            let held = hold(line.json, &self.instrument, &mut self.bids, &mut self.asks)
                .map_err(|why| CaptureError::Frame { path: self.reader.path().to_owned(), line: number, why })?;
            if let Some(held) = held {
                self.at = self.at.max(received + self.behind);
                self.ahead = Some((self.at, held));
                if let Some((_, due)) = self.marks.as_mut()
                    && (self.at - *due).0 > 10 * SECOND
                {
                    // The first second, or behind a hole in the recording.
                    *due = Nanos((self.at.0 / SECOND + 1) * SECOND);
                }
            }
        }
        Ok(())
    }

    /// The second whose mark is due before the next frame.
    fn mark_due(&self) -> Option<Nanos> {
        let (_, due) = self.marks.as_ref()?;
        let (at, _) = self.ahead.as_ref()?;
        self.touch.and((*due <= *at).then_some(*due))
    }

    fn tell_mark(&mut self, at: Nanos) -> MarketEvent<'_> {
        let mid = self.touch.map_or(Price::ZERO, |(bid, ask)| self.instrument.mid(bid, ask));
        let (model, due) = self.marks.as_mut().expect("asked for by mark_due");
        *due = at + Nanos(SECOND);
        let (mark, settle) = model.second(&self.instrument, at + self.offset, mid, 0);
        MarketEvent { at, kind: MarketKind::Mark { mark, settle }, raw: &[] }
    }
}

impl MarketSource for CaptureMarket {
    fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    fn due(&mut self) -> Result<Option<Nanos>, MarketError> {
        self.look_ahead().map_err(|error| MarketError(Box::new(error)))?;
        Ok(self.mark_due().or(self.ahead.as_ref().map(|&(at, _)| at)))
    }

    fn next(&mut self) -> Result<Option<MarketEvent<'_>>, MarketError> {
        self.look_ahead().map_err(|error| MarketError(Box::new(error)))?;
        if let Some(at) = self.mark_due() {
            return Ok(Some(self.tell_mark(at)));
        }
        let Some((at, held)) = self.ahead.take() else { return Ok(None) };
        let kind = match held {
            Held::Trade(trade) => MarketKind::Trade(trade),
            Held::Mark(mark, settle) => MarketKind::Mark { mark, settle },
            Held::Quote(quote) => {
                self.touch = Some((quote.bid.price, quote.ask.price));
                if !quote.venue_time.is_zero() {
                    self.offset = quote.venue_time - at;
                }
                MarketKind::Quote(quote)
            }
            Held::Depth { first, last, prev, venue_time } => {
                for (side, levels) in [(Side::Buy, &self.bids), (Side::Sell, &self.asks)] {
                    levels.iter().for_each(|level| self.book.set(side, level.price, level.qty));
                }
                self.last = last;
                let (instrument, bids, asks) = (InstrumentId(0), &self.bids[..], &self.asks[..]);
                MarketKind::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids, asks })
            }
        };
        Ok(Some(MarketEvent { at, kind, raw: self.reader.json() }))
    }

    fn book(&self) -> &TrueBook {
        &self.book
    }

    fn last_update(&self) -> Seq {
        self.last
    }
}

/// Decodes a frame of our symbol; levels go to the buffers.
fn hold(
    json: &[u8],
    instrument: &Instrument,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<Option<Held>, String> {
    let frame = frame::parse(json).map_err(|error| format!("not a frame of the venue: {error}"))?;
    if frame.symbol() != Some(instrument.symbol.as_str()) {
        return Ok(None);
    }
    convert(&frame, instrument, bids, asks).map_err(|error| error.to_string())
}

fn convert(
    frame: &Frame<'_>,
    instrument: &Instrument,
    bids: &mut Vec<Level>,
    asks: &mut Vec<Level>,
) -> Result<Option<Held>, DecimalError> {
    let id = InstrumentId(0);
    let price = |text: &str| instrument.tick.parse_count(text.as_bytes()).map(Ticks);
    let lots = |text: &str| instrument.lot.parse_count(text.as_bytes()).map(Lots);
    let level = |[at, qty]: Texts<'_>| Ok(Level { price: price(at)?, qty: lots(qty)? });
    Ok(Some(match frame {
        Frame::Depth(depth) => {
            for (texts, out) in [(&depth.bids, bids), (&depth.asks, asks)] {
                out.clear();
                for &text in texts {
                    out.push(level(text)?);
                }
            }
            let venue_time = Nanos::from_millis(depth.time_ms());
            Held::Depth { first: Seq(depth.first), last: Seq(depth.last), prev: Seq(depth.prev()), venue_time }
        }
        Frame::Quote(quote) => Held::Quote(BestQuote {
            instrument: id,
            seq: Seq(quote.seq),
            bid: level([quote.bid, quote.bid_qty])?,
            ask: level([quote.ask, quote.ask_qty])?,
            venue_time: quote.time_ms.map_or(Nanos::ZERO, Nanos::from_millis),
        }),
        // Insurance fund, liquidations by ADL and placeholder rows are no prints of the book.
        Frame::Trade(trade) if trade.origin.is_some_and(|origin| origin != "MARKET") => return Ok(None),
        Frame::Trade(trade) => Held::Trade(Trade {
            instrument: id,
            id: trade.id.or(trade.aggregate_id).unwrap_or(0),
            price: price(trade.price)?,
            qty: lots(trade.qty)?,
            taker: if trade.buyer_is_maker { Side::Sell } else { Side::Buy },
            aggregate: trade.id.is_none(),
            venue_time: Nanos::from_millis(trade.time_ms),
        }),
        Frame::Mark(mark) => Held::Mark(
            MarkPrice {
                instrument: id,
                mark: Price::parse(mark.mark.as_bytes())?,
                index: Price::parse(mark.index.as_bytes())?,
                funding_rate: Rate::parse(mark.rate.as_bytes())?,
                next_funding: Nanos::from_millis(mark.next_funding_ms),
                venue_time: Nanos::from_millis(mark.time_ms),
            },
            Price::parse(mark.settle.as_bytes())?,
        ),
        Frame::Snapshot(_) | Frame::Other => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::CaptureWriter;
    use super::*;
    use crate::sim::frames;
    use crate::sim::market::{Schedule, SyntheticMarket};
    use std::path::PathBuf;

    const START: Nanos = Nanos(1_723_161_256_000_000_000);

    fn btc() -> Instrument {
        Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") }
    }

    /// Writes `seconds` of the synthetic market as a recording; without its marks if `marks` is false.
    fn record(folder: &tempfile::TempDir, seconds: i64, marks: bool) -> (PathBuf, SyntheticMarket) {
        let path = folder.path().join("session.gz");
        let mut writer = CaptureWriter::create(&path).unwrap();
        let (mut market, btc) = (SyntheticMarket::new(btc(), 5, START, Schedule::calm()), btc());
        let mut frame = Vec::new();
        while market.due().unwrap().unwrap() < START + Nanos::from_secs(seconds) {
            frame.clear();
            let event = market.next_event();
            match event.kind {
                MarketKind::Trade(trade) => frames::trade(&mut frame, Some("btcusdt@trade"), &btc, &trade, event.at),
                MarketKind::Quote(quote) => frames::book_ticker(&mut frame, None, &btc, &quote, event.at),
                MarketKind::Depth(update) => {
                    frames::depth_update(&mut frame, Some("btcusdt@depth@0ms"), &btc, &update, event.at);
                }
                MarketKind::Mark { .. } if !marks => continue,
                MarketKind::Mark { mark, settle } => frames::mark_price(&mut frame, None, &btc, &mark, settle),
                MarketKind::Snapshot(_) | MarketKind::Lost => panic!("a made market is always known"),
            }
            writer.append(event.at, &frame).unwrap();
        }
        writer.finish().unwrap();
        (path, market)
    }

    #[test]
    fn a_recorded_synthetic_market_plays_the_same_events_from_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut after) = record(&folder, 20, true);
        let mut played = CaptureMarket::open(&path, Some("btcusdt")).unwrap();
        assert!(played.damage().is_none());
        let expected = Instrument { tick: btc().tick, lot: btc().lot, ..btc() };
        assert_eq!(played.instrument(), &expected, "the grid is found again");
        let mut market = SyntheticMarket::new(btc(), 5, START, Schedule::calm());
        let mut events = 0;
        while let Some(due) = played.due().unwrap() {
            let event = played.next().unwrap().unwrap();
            assert_eq!(event.at, due);
            assert!(event.raw.starts_with(b"{\"") && event.raw.ends_with(b"}"));
            let told = market.next_event();
            assert_eq!((event.at, event.kind), (told.at, told.kind), "event {events}");
            events += 1;
        }
        assert!(events > 2_000, "{events}");
        let touch = |book: &TrueBook| (book.best(Side::Buy), book.best(Side::Sell));
        let (mut last, mut frames) = (played.last_update(), 0);
        while frames < 1 {
            if let MarketKind::Depth(update) = after.next_event().kind {
                assert_eq!(update.prev, last, "the book's id is the last frame's");
                last = update.last;
                frames += 1;
            }
        }
        assert!(touch(played.book()).0.is_some() && touch(played.book()).1.is_some());
    }

    #[test]
    fn a_recording_without_marks_gets_one_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = record(&folder, 5, false);
        let mut played = CaptureMarket::open(&path, None).unwrap();
        let mut marks = Vec::new();
        while let Some(event) = played.next().unwrap() {
            if let MarketKind::Mark { mark, .. } = event.kind {
                assert!(event.raw.is_empty());
                marks.push((event.at.0 - START.0, mark.next_funding.0 - mark.venue_time.0 < 8 * 3_600 * SECOND));
            }
        }
        assert_eq!(marks, (1..5).map(|n| (n * SECOND, true)).collect::<Vec<_>>());
    }

    #[test]
    fn the_start_book_is_what_cannot_have_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let quote = |u: u64, b: &str, a: &str| {
            format!(r#"{{"e":"bookTicker","u":{u},"s":"XUSDT","b":"{b}","B":"5","a":"{a}","A":"7","T":1000,"E":1000}}"#)
        };
        let depth = |u: u64, b: &str, a: &str| {
            format!(
                r#"{{"e":"depthUpdate","E":1,"T":1,"s":"XUSDT","U":{u},"u":{u},"pu":{},"b":[{b}],"a":[{a}]}}"#,
                u - 1
            )
        };
        let mut writer = CaptureWriter::create(&path).unwrap();
        let frames = [
            quote(10, "1.00", "1.05"),
            depth(11, r#"["0.90","3"]"#, r#"["1.10","4"],["1.15","0"]"#),
            quote(12, "0.85", "0.95"),
            // 0.99 stood above the best bid a moment ago, so nobody had bid there from the start; 0.80 may have been there.
            depth(13, r#"["0.80","9"],["0.99","2"],["1.00","0"]"#, r#"["0.95","1"],["1.20","6"]"#),
        ];
        for (nth, frame) in frames.iter().enumerate() {
            writer.append(START + Nanos(nth as i64), frame.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        let played = CaptureMarket::open(&path, None).unwrap();
        assert_eq!((played.instrument().tick.to_string(), played.instrument().price_places), ("0.01".to_owned(), 2));
        let levels = |side| played.book().levels(side).map(|level| (level.price.0, level.qty.0)).collect::<Vec<_>>();
        assert_eq!(levels(Side::Buy), [(100, 5), (90, 3), (85, 5), (80, 9)]);
        assert_eq!(levels(Side::Sell), [(105, 7), (110, 4), (120, 6)]);
        assert_eq!(played.last_update(), Seq(10));
    }

    #[test]
    fn another_symbol_is_named_and_a_cut_recording_plays_up_to_the_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = record(&folder, 5, true);
        let error = CaptureMarket::open(&path, Some("ETHUSDT")).err().unwrap().to_string();
        assert!(error.contains("no frames of ETHUSDT; it holds BTCUSDT"), "{error}");

        let bytes = std::fs::read(&path).unwrap();
        let cut = folder.path().join("cut.gz");
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        let mut played = CaptureMarket::open(&cut, None).unwrap();
        let damage = played.damage().unwrap().to_string();
        let mut events = 0;
        let error = loop {
            match played.next() {
                Ok(Some(_)) => events += 1,
                Ok(None) => panic!("the cut was not told"),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(error, damage);
        assert!(error.contains(&format!("line {}: the compressed file is cut off", events + 1)), "{events}: {error}");
    }
}
