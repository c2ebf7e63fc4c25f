//! The frames that everything is measured on: a recorded session where there is one, else the synthetic market. Decodes nothing.

use flate2::read::MultiGzDecoder;
use spinquote::event::DepthSnapshot;
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::sim::frames;
use spinquote::sim::market::{MarketKind, MarketSource, Schedule, SyntheticMarket};
use spinquote::unit::Nanos;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// The recorded session, below the data folder.
const RECORDING: &str = "binance_usdm/btcusdt_20240808.gz";
/// Readable bytes that every decoder may expect behind a document.
pub const SPARE: usize = 64;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A diff of the book.
    Depth,
    /// Best bid and ask.
    Quote,
    /// A print.
    Trade,
}

/// One frame as it came off the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// When it was received.
    pub at: Nanos,
    /// The JSON document.
    pub bytes: Vec<u8>,
}

/// A book snapshot and the frames that follow it.
pub struct Session {
    /// Where the frames come from, for the reader of the numbers.
    pub source: String,
    /// The contract.
    pub instrument: Instrument,
    /// The body of the REST snapshot.
    pub snapshot: Vec<u8>,
    /// From the first diff that joins the snapshot on.
    pub frames: Vec<Frame>,
}

impl Session {
    /// The first `limit` frames of the recorded session in the folder that `SPINQUOTE_DATA` names, else in `../shared/data`; of
    /// the synthetic market where there is none.
    ///
    /// # Panics
    /// The recording is there and damaged.
    #[must_use]
    pub fn load(limit: usize) -> Self {
        let folder = std::env::var_os("SPINQUOTE_DATA")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
        match File::open(folder.join(RECORDING)) {
            Ok(file) => Self::recorded(BufReader::new(MultiGzDecoder::new(file)), limit),
            Err(_) => Self::synthetic(limit),
        }
    }

    fn recorded(lines: impl BufRead, limit: usize) -> Self {
        let (mut snapshot, mut last, mut joined) = (Vec::new(), 0, false);
        let (mut before, mut frames) = (Vec::new(), Vec::new());
        for line in lines.lines() {
            let line = line.expect("a readable recording");
            let (at, document) = line.split_once(' ').expect("a receive time and a frame");
            if document.starts_with("{\"lastUpdateId\"") {
                last = number(document, "\"lastUpdateId\":").expect("an update id");
                snapshot = document.as_bytes().to_vec();
                for frame in std::mem::take(&mut before) {
                    joined |= joins(&frame, last);
                    if joined {
                        frames.push(frame);
                    }
                }
                continue;
            }
            let Some(kind) = kind(document) else { continue };
            let at = Nanos(at.parse().expect("nanoseconds"));
            let frame = Frame { kind, at, bytes: document.as_bytes().to_vec() };
            if snapshot.is_empty() {
                before.push(frame);
                continue;
            }
            joined |= joins(&frame, last);
            if joined {
                frames.push(frame);
            }
            if frames.len() == limit {
                break;
            }
        }
        assert!(!snapshot.is_empty(), "the recording has no snapshot");
        frames.truncate(limit);
        let source = format!("recorded session {RECORDING}, {} frames", frames.len());
        Self { source, instrument: btcusdt(), snapshot, frames }
    }

    /// The first `limit` frames of the synthetic market with a fixed seed.
    #[must_use]
    pub fn synthetic(limit: usize) -> Self {
        let instrument = btcusdt();
        let mut market = SyntheticMarket::new(instrument.clone(), 8, Nanos::from_secs(1_700_000_000), Schedule::calm());
        let (mut bids, mut asks, mut snapshot) = (Vec::new(), Vec::new(), Vec::new());
        let last = market.snapshot(1000, &mut bids, &mut asks);
        let body = DepthSnapshot {
            instrument: InstrumentId(0),
            last,
            venue_time: Nanos::from_secs(1_700_000_000),
            bids: &bids,
            asks: &asks,
        };
        frames::depth_snapshot(&mut snapshot, &instrument, &body, body.venue_time);
        let mut made = Vec::with_capacity(limit);
        while made.len() < limit {
            let event = market.next_event();
            let (at, mut bytes) = (event.at, Vec::new());
            let kind = match event.kind {
                MarketKind::Depth(update) => {
                    frames::depth_update(&mut bytes, Some("btcusdt@depth@0ms"), &instrument, &update, at);
                    Kind::Depth
                }
                MarketKind::Quote(quote) => {
                    frames::book_ticker(&mut bytes, Some("btcusdt@bookTicker"), &instrument, &quote, at);
                    Kind::Quote
                }
                MarketKind::Trade(trade) => {
                    frames::trade(&mut bytes, Some("btcusdt@trade"), &instrument, &trade, at);
                    Kind::Trade
                }
                MarketKind::Mark { .. } | MarketKind::Snapshot(_) | MarketKind::Lost => continue,
            };
            // As in the recording: nothing is quoted before the first diff has joined the snapshot.
            if kind == Kind::Depth || !made.is_empty() {
                made.push(Frame { kind, at, bytes });
            }
        }
        let source = format!("SYNTHETIC market (no recording found), {} frames", made.len());
        Self { source, instrument, snapshot, frames: made }
    }

    /// The documents of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().filter(move |frame| frame.kind == kind).map(|frame| frame.bytes.as_slice())
    }
}

fn btcusdt() -> Instrument {
    Instrument::synthetic("BTCUSDT", "0.10", "0.001")
}

fn kind(document: &str) -> Option<Kind> {
    let (_, stream) = document.split_at_checked("{\"stream\":\"btcusdt@".len())?;
    [("depth@", Kind::Depth), ("bookTicker\"", Kind::Quote), ("trade\"", Kind::Trade)]
        .into_iter()
        .find_map(|(name, kind)| stream.starts_with(name).then_some(kind))
}

/// A diff that is not wholly in the snapshot.
fn joins(frame: &Frame, last: u64) -> bool {
    let text = || std::str::from_utf8(&frame.bytes).expect("JSON is UTF-8");
    frame.kind == Kind::Depth && number(text(), "\"u\":").is_some_and(|update| update >= last)
}

fn number(document: &str, key: &str) -> Option<u64> {
    let (_, value) = document.split_once(key)?;
    value[..value.find(|letter: char| !letter.is_ascii_digit())?].parse().ok()
}

/// Some documents back to back, each with [`SPARE`] bytes behind it, that can be put back after decoders changed them.
pub struct Batch {
    bytes: Vec<u8>,
    pristine: Vec<u8>,
    spans: Vec<(usize, usize)>,
}

impl Batch {
    /// Copies the documents.
    #[must_use]
    pub fn new<'a>(documents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut pristine, mut spans) = (Vec::new(), Vec::new());
        for document in documents {
            spans.push((pristine.len(), document.len()));
            pristine.extend_from_slice(document);
            pristine.resize(pristine.len() + SPARE, 0);
        }
        Self { bytes: pristine.clone(), pristine, spans }
    }

    /// Undoes every change.
    pub fn restore(&mut self) {
        self.bytes.copy_from_slice(&self.pristine);
    }

    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// No documents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Adds up what `read` makes of every document: of its bytes with the spare ones, and its length.
    #[inline]
    pub fn each(&mut self, mut read: impl FnMut(&mut [u8], usize) -> u64) -> u64 {
        let mut sum = 0_u64;
        for &(at, len) in &self.spans {
            sum = sum.rotate_left(1).wrapping_add(read(&mut self.bytes[at..at + len + SPARE], len));
        }
        sum
    }
}
