//! A venue's live market as the pretend venue's own: raw frames out of a bounded channel, decoded, with the book kept beside them.
//! Connects nothing and reads no clock: whoever feeds the channel does. Never goes on over a hole: a gap, a frame that cannot be
//! read or a lost venue is told as [`MarketKind::Lost`], and nothing more until a fresh snapshot has joined.

use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Event, Level, MarkPrice, Side, Trade};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::market::{MarketError, MarketEvent, MarketKind, MarketSource, TrueBook};
use crate::unit::{Nanos, Seq};
use crate::venue::binance::usdm::market::MarketDecoder;
use crate::venue::codec::MarketMessage;
use crate::wire::buf::SPARE;
use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};

/// Messages that may wait: half a minute of the busiest second recorded. Who finds it full has lost the market.
pub const WAITING_MAX: usize = 1 << 16;

/// What the feeder brings. After a start, a loss or a request for it comes a snapshot, then the frames that came since it was
/// asked for, then the rest.
pub enum Live {
    /// A frame as the venue sent it.
    Frame {
        /// When it came.
        at: Nanos,
        /// Its bytes.
        text: Vec<u8>,
    },
    /// The body of a depth snapshot.
    Snapshot {
        /// When it came.
        at: Nanos,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// The venue is lost.
    Lost {
        /// When.
        at: Nanos,
    },
}

/// What holds between the book and the frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing is known; only a snapshot helps.
    Waiting,
    /// A snapshot, and no depth frame has joined it yet.
    Snapshot,
    /// Every depth frame joined the one before.
    Synced,
}

/// The next thing to tell; levels and bytes are in the market's buffers.
#[derive(Clone, Copy)]
enum Held {
    Snapshot { venue_time: Nanos },
    Depth { first: Seq, last: Seq, prev: Seq, venue_time: Nanos },
    Quote(BestQuote),
    Trade(Trade),
    Mark(MarkPrice),
    Lost,
}

/// See the module's text.
pub struct LiveMarket {
    instrument: Instrument,
    decoder: MarketDecoder,
    feed: Receiver<Live>,
    resync: Sender<()>,
    state: State,
    book: TrueBook,
    last: Seq,
    ahead: Option<(Nanos, Held)>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    raw: Vec<u8>,
    work: Vec<u8>,
}

/// The feeder's ends of the channels.
pub struct LiveFeeder {
    /// Takes what the venue says.
    pub feed: Sender<Live>,
    /// A fresh snapshot is needed.
    pub resync: Receiver<()>,
}

impl LiveMarket {
    /// A market that knows nothing yet, and the ends that feed it.
    #[must_use]
    pub fn new(instrument: Instrument) -> (Self, LiveFeeder) {
        let (feed_in, feed) = bounded(WAITING_MAX);
        let (resync, resync_out) = bounded(1);
        let market = Self {
            decoder: MarketDecoder::new(std::slice::from_ref(&instrument)),
            instrument,
            feed,
            resync,
            state: State::Waiting,
            book: TrueBook::default(),
            last: Seq(0),
            ahead: None,
            bids: Vec::with_capacity(4_096),
            asks: Vec::with_capacity(4_096),
            raw: Vec::new(),
            work: Vec::new(),
        };
        (market, LiveFeeder { feed: feed_in, resync: resync_out })
    }

    /// Takes messages until one is to be told; false when there is none now.
    fn look_ahead(&mut self) -> Result<bool, MarketError> {
        while self.ahead.is_none() {
            match self.feed.try_recv() {
                Ok(Live::Frame { at, text }) => {
                    self.raw = text;
                    let held = self.frame();
                    self.ahead = held.map(|held| (at, held));
                }
                Ok(Live::Snapshot { at, body }) => {
                    self.raw = body;
                    let held = self.snapshot();
                    self.ahead = held.map(|held| (at, held));
                }
                Ok(Live::Lost { at }) => {
                    let known = self.state != State::Waiting;
                    self.forget();
                    self.ahead = known.then_some((at, Held::Lost));
                }
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(MarketError("the live feed has ended".into())),
            }
        }
        Ok(true)
    }

    fn forget(&mut self) {
        self.state = State::Waiting;
        self.book = TrueBook::default();
        self.last = Seq(0);
    }

    /// What is known cannot be continued: it is forgotten, and a snapshot asked for.
    fn hole(&mut self) -> Option<Held> {
        let known = self.state != State::Waiting;
        self.forget();
        // One request is enough; a second one would say the same.
        let _ = self.resync.try_send(());
        known.then_some(Held::Lost)
    }

    fn frame(&mut self) -> Option<Held> {
        if self.state == State::Waiting {
            return None;
        }
        let len = self.raw.len();
        self.work.clear();
        self.work.extend_from_slice(&self.raw);
        self.work.resize(len + SPARE, 0);
        let (state, known) = (self.state, self.last);
        let held = match self.decoder.decode(&mut self.work, len) {
            Ok(MarketMessage::Event(Event::Depth(update))) => match joins(state, known, &update) {
                Joins::Old => return None,
                Joins::Not => None,
                Joins::Next => {
                    for (levels, out) in [(update.bids, &mut self.bids), (update.asks, &mut self.asks)] {
                        out.clear();
                        out.extend_from_slice(levels);
                    }
                    let DepthUpdate { first, last, prev, venue_time, .. } = update;
                    Some(Held::Depth { first, last, prev, venue_time })
                }
            },
            // Before the book's time: it would take the touch back.
            Ok(MarketMessage::Event(Event::Quote(quote))) if state == State::Snapshot && quote.seq < known => {
                return None;
            }
            Ok(MarketMessage::Event(Event::Quote(quote))) => Some(Held::Quote(quote)),
            Ok(MarketMessage::Event(Event::Trade(trade))) => Some(Held::Trade(trade)),
            Ok(MarketMessage::Event(Event::Mark(mark))) => Some(Held::Mark(mark)),
            Ok(_) => return None,
            Err(_) => None,
        };
        if held.is_none() {
            return self.hole();
        }
        if let Some(Held::Depth { last, .. }) = held {
            for (side, levels) in [(Side::Buy, &self.bids), (Side::Sell, &self.asks)] {
                levels.iter().for_each(|level| self.book.set(side, level.price, level.qty));
            }
            (self.state, self.last) = (State::Synced, last);
        }
        held
    }

    fn snapshot(&mut self) -> Option<Held> {
        let len = self.raw.len();
        self.work.clear();
        self.work.extend_from_slice(&self.raw);
        self.work.resize(len + SPARE, 0);
        let Ok(snapshot) = self.decoder.decode_snapshot(InstrumentId(0), &mut self.work, len) else {
            return self.hole();
        };
        if self.state != State::Waiting {
            return None;
        }
        self.book = TrueBook::default();
        for (side, levels, out) in
            [(Side::Buy, snapshot.bids, &mut self.bids), (Side::Sell, snapshot.asks, &mut self.asks)]
        {
            out.clear();
            out.extend_from_slice(levels);
            levels.iter().for_each(|level| self.book.set(side, level.price, level.qty));
        }
        (self.state, self.last) = (State::Snapshot, snapshot.last);
        Some(Held::Snapshot { venue_time: snapshot.venue_time })
    }
}

/// How a depth frame stands to what is known.
enum Joins {
    Next,
    Old,
    Not,
}

/// The venue's rule for a local book: drop what ends before the snapshot, begin with the frame that spans it, then each follows the last.
fn joins(state: State, known: Seq, update: &DepthUpdate<'_>) -> Joins {
    let next = match state {
        State::Waiting => false,
        State::Snapshot => update.prev == known || (update.first <= known && known <= update.last),
        State::Synced => update.prev == known,
    };
    if next {
        Joins::Next
    } else if update.last < known || (state == State::Synced && update.last == known) {
        Joins::Old
    } else {
        Joins::Not
    }
}

impl MarketSource for LiveMarket {
    fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    fn due(&mut self) -> Result<Option<Nanos>, MarketError> {
        // What has come is due at once, whatever the clock that stamped it says.
        Ok(self.look_ahead()?.then_some(Nanos::ZERO))
    }

    fn next(&mut self) -> Result<Option<MarketEvent<'_>>, MarketError> {
        self.look_ahead()?;
        let Some((at, held)) = self.ahead.take() else { return Ok(None) };
        let instrument = InstrumentId(0);
        let (bids, asks) = (&self.bids[..], &self.asks[..]);
        let kind = match held {
            Held::Snapshot { venue_time } => {
                MarketKind::Snapshot(DepthSnapshot { instrument, last: self.last, venue_time, bids, asks })
            }
            Held::Depth { first, last, prev, venue_time } => {
                MarketKind::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids, asks })
            }
            Held::Quote(quote) => MarketKind::Quote(quote),
            Held::Trade(trade) => MarketKind::Trade(trade),
            // The frame itself is passed on, with the venue's estimate in it.
            Held::Mark(mark) => MarketKind::Mark { mark, settle: mark.index },
            Held::Lost => MarketKind::Lost,
        };
        Ok(Some(MarketEvent { at, kind, raw: &self.raw }))
    }

    fn book(&self) -> &TrueBook {
        &self.book
    }

    fn last_update(&self) -> Seq {
        self.last
    }

    fn is_live(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Nanos = Nanos(1_700_000_000_000_000_000);

    fn market() -> (LiveMarket, LiveFeeder) {
        LiveMarket::new(Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") })
    }

    fn depth(first: u64, last: u64, prev: u64, bid: &str) -> Live {
        let text = format!(
            r#"{{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":1700000000000,"T":1700000000000,"s":"BTCUSDT","U":{first},"u":{last},"pu":{prev},"b":[["{bid}","1.000"]],"a":[]}}}}"#
        );
        Live::Frame { at: AT, text: text.into_bytes() }
    }

    fn snapshot(last: u64) -> Live {
        let body = format!(
            r#"{{"lastUpdateId":{last},"E":1700000000000,"T":1700000000000,"bids":[["100.00","2.000"]],"asks":[["101.00","3.000"]]}}"#
        );
        Live::Snapshot { at: AT, body: body.into_bytes() }
    }

    fn quote(seq: u64) -> Live {
        let text = format!(
            r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{seq},"s":"BTCUSDT","b":"100.00","B":"2.000","a":"101.00","A":"3.000","T":1700000000000,"E":1700000000000}}}}"#
        );
        Live::Frame { at: AT, text: text.into_bytes() }
    }

    /// What the market tells for these messages, in short.
    fn told(market: &mut LiveMarket, feeder: &LiveFeeder, messages: Vec<Live>) -> Vec<String> {
        messages.into_iter().for_each(|message| feeder.feed.send(message).unwrap());
        let mut out = Vec::new();
        while market.due().unwrap().is_some() {
            let event = market.next().unwrap().unwrap();
            assert!(!event.raw.is_empty() || event.kind == MarketKind::Lost);
            out.push(match event.kind {
                MarketKind::Snapshot(snapshot) => format!("snapshot {}", snapshot.last.0),
                MarketKind::Depth(update) => format!("depth {}", update.last.0),
                MarketKind::Quote(quote) => format!("quote {}", quote.seq.0),
                MarketKind::Lost => "lost".to_owned(),
                other => format!("{other:?}"),
            });
        }
        out
    }

    #[test]
    fn nothing_is_told_before_a_snapshot_and_then_only_what_joins_it() {
        let (mut market, feeder) = market();
        assert_eq!(told(&mut market, &feeder, vec![depth(1, 5, 0, "99.00"), quote(5)]), [""; 0]);
        let messages = vec![
            snapshot(10),
            depth(6, 8, 5, "98.00"),
            quote(9),
            depth(9, 12, 8, "100.50"),
            quote(13),
            depth(13, 14, 12, "99.50"),
        ];
        assert_eq!(told(&mut market, &feeder, messages), ["snapshot 10", "depth 12", "quote 13", "depth 14"]);
        assert_eq!(market.book().best(Side::Buy).unwrap().price.0, 1005);
        assert_eq!((market.book().len(Side::Buy), market.last_update()), (3, Seq(14)));
        assert!(feeder.resync.is_empty());
    }

    #[test]
    fn a_gap_a_garbled_frame_and_a_lost_venue_are_told_once_and_healed_by_a_snapshot() {
        let garbled = Live::Frame { at: AT, text: br#"{"stream":"btcusdt@depth@0ms","data":{"e":"depth"#.to_vec() };
        for (hole, asks) in [(depth(20, 21, 19, "99.00"), true), (garbled, true), (Live::Lost { at: AT }, false)] {
            let (mut market, feeder) = market();
            let messages =
                vec![snapshot(10), depth(9, 12, 8, "99.00"), hole, depth(22, 23, 21, "99.00"), Live::Lost { at: AT }];
            assert_eq!(told(&mut market, &feeder, messages), ["snapshot 10", "depth 12", "lost"]);
            assert_eq!(feeder.resync.try_recv().is_ok(), asks);
            assert!(market.book().is_empty(), "what is not known is not shown");
            let messages = vec![snapshot(30), depth(24, 31, 23, "99.00")];
            assert_eq!(told(&mut market, &feeder, messages), ["snapshot 30", "depth 31"]);
        }
    }

    #[test]
    fn a_snapshot_older_than_the_frames_behind_it_is_asked_for_again() {
        let (mut market, feeder) = market();
        assert_eq!(told(&mut market, &feeder, vec![snapshot(10), depth(15, 16, 14, "99.00")]), ["snapshot 10", "lost"]);
        assert!(feeder.resync.try_recv().is_ok());
    }

    #[test]
    fn a_feeder_that_is_gone_ends_the_market() {
        let (mut market, feeder) = market();
        assert!(market.due().unwrap().is_none());
        drop(feeder);
        assert!(market.due().is_err());
    }
}
