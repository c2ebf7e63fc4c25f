//! What a backtest reads: files of any known kind, opened, corrected, guarded, and merged by local time. Keeps one message of each file
//! in memory, whatever their length.

use super::frame::{Body, Frame, FrameReader};
use super::guard::{self, Guard};
use super::layout::{MAGIC, weight};
use super::npz::NpzReader;
use super::raw::RawReader;
use super::reader::{Feed, FeedError};
use super::report::{DataReport, FaultKind, FileKind, FileReport};
use super::run::RunReader;
use super::survey::{Seen, Survey, cut, found_terms, stream_name, venue_symbol};
use super::tardis::TardisReader;
use super::{Timed, npz, raw, run, tardis};
use crate::event::{DepthSnapshot, DepthUpdate, Event, Link, LinkState};
use crate::instrument::{Instrument, InstrumentId};
use crate::replay::player::ReplayError;
use crate::sim::capture::{CaptureError, TextLines};
use crate::unit::{MONEY_PLACES, Nanos, Step, decimal_text};
use crate::venue::binance::Product;
use crate::venue::binance::usdm::instrument::{self, TermsError};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Receive times that run back by up to this are raised to the time before; beyond it a file is not in order.
pub const UNSORTED_MAX: Nanos = Nanos::from_secs(1);

/// How files are read.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The exchangeInfo (JSON) of Binance USD-M, for its instruments in files that carry no terms. Without it the grid is found in the data, and the other terms are the
    /// usual ones of Binance USD-M.
    pub terms: Option<PathBuf>,
    /// Symbol of files that name none (hftbacktest's); otherwise the first part of the file's name, in capitals.
    pub symbol: Option<String>,
    /// What the smallest feed latency becomes in a file whose clock runs behind the venue's.
    pub base_latency: Nanos,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { terms: None, symbol: None, base_latency: Nanos::from_millis(1) }
    }
}

/// Why data cannot be read, or not further. What is only wrong in places stands in the [`DataReport`].
#[derive(Debug, thiserror::Error)]
pub enum DataFault {
    /// Nothing to read.
    #[error("no data files were named")]
    NoFiles,
    /// The file cannot be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// None of the known kinds.
    #[error(
        "{}: of no known kind; read are recorded frames (`<time> <JSON>` lines, plain, gz or zst), run directories, Tardis CSV \
         (incremental_book_L2, trades, quotes), hftbacktest arrays (npz, npy) and feeds of `spinquote convert`",
        path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// A recording.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A run directory.
    #[error(transparent)]
    Run(#[from] Box<ReplayError>),
    /// An array of another form than hftbacktest's.
    #[error("{}: {why}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A name that no instrument can have.
    #[error("{}: {why}", path.display())]
    Symbol {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The terms that were given.
    #[error("{}: {source}", path.display())]
    Terms {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TermsError,
    },
    /// No instrument at all.
    #[error("{}: holds no market data of an instrument with known terms", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Two files state different grids for one instrument.
    #[error(
        "{}: {symbol} has ticks of {tick} and lots of {lot} here, {other_tick} and {other_lot} in an earlier file; give the venue's \
         own terms, or convert the files together",
        path.display()
    )]
    OtherTerms {
        /// The file.
        path: PathBuf,
        /// Whose.
        symbol: String,
        /// Here.
        tick: Step,
        /// Here.
        lot: Step,
        /// Earlier.
        other_tick: Step,
        /// Earlier.
        other_lot: Step,
    },
    /// More than ids.
    #[error("more than 65,535 instruments")]
    TooMany,
    /// Not in the order of its times.
    #[error(
        "{}, {unit} {line}: received {} ms before the one in front of it; up to {} ms are put right, a file beyond that must be sorted",
        path.display(),
        by.as_millis(),
        UNSORTED_MAX.as_millis()
    )]
    Unsorted {
        /// The file.
        path: PathBuf,
        /// What places are counted in.
        unit: &'static str,
        /// The place.
        line: u64,
        /// How far back.
        by: Nanos,
    },
}

/// Where the messages of a file come from.
enum Input {
    /// Messages that are guarded here.
    Frames { reader: Box<dyn FrameReader>, frame: Box<Frame> },
    /// Records that were guarded when they were converted: where it is, by what is left, and its ids as ours.
    Feed { feed: Box<Feed>, left: usize, ids: Vec<InstrumentId> },
}

struct OpenFile {
    input: Input,
    /// Corrected local time of its next message; `None` at its end.
    due: Option<Nanos>,
    shift: Nanos,
    /// Instruments that it spoke of: what is lost with it.
    spoke: Vec<bool>,
    bytes: u64,
}

/// Market data of the past as one stream.
///
/// The stream's rules: local times never run backwards. An instrument begins lost. `Link Up` and a `Snapshot` (the whole book as of that
/// moment, whose update id the next change follows) come when its book is known, `Link Down` when it is not any more: at a gap in the
/// update ids, a contradiction between book and best quotes, a crossed book, a hole that the file tells of, a row that cannot be
/// read in data without update ids, and at the end of a cut file. Changes go on in between; they are no book. Without a snapshot the book is
/// rebuilt from the changes (see `guard`). Data without update ids are numbered; a snapshot of a known book comes as the change it makes.
pub struct Source {
    files: Vec<OpenFile>,
    instruments: Vec<Instrument>,
    guards: Vec<Guard>,
    /// What of the current file's message is still to be told.
    steps: VecDeque<(guard::Step, InstrumentId)>,
    current: Option<usize>,
    report: DataReport,
}

/// What is done with a message.
enum Told {
    Step(usize, guard::Step, InstrumentId),
    Record(usize),
}

impl Source {
    /// Opens the files. Those that carry no terms, or whose clock is not known to be right, are read once in full here.
    ///
    /// # Errors
    /// A file cannot be opened, is of no known kind, or the terms of its instruments are not to be had.
    pub fn open(files: &[PathBuf], options: &SourceOptions) -> Result<Self, DataFault> {
        if files.is_empty() {
            return Err(DataFault::NoFiles);
        }
        let terms = options.terms.as_deref().map(Terms::read).transpose()?;
        let mut surveyed = Vec::with_capacity(files.len());
        let mut joined = Joined::default();
        for path in files {
            let kind = kind(path)?;
            let (feed, mut survey) = survey(path, kind, options)?;
            // With terms that were given, the data of a contract without any are left out and counted.
            let found = match &terms {
                Some(terms) if survey.terms.is_empty() => {
                    survey.seen.iter().filter_map(|seen| terms.of(seen).transpose()).collect::<Result<_, _>>()?
                }
                _ if survey.terms.is_empty() => survey.seen.iter().map(found_terms).collect(),
                _ => std::mem::take(&mut survey.terms),
            };
            if found.is_empty() {
                return Err(DataFault::Empty { path: path.clone() });
            }
            let carried = survey.seen.is_empty();
            let ids = found.into_iter().map(|found| {
                let stated = carried || (terms.is_some() && venue_symbol(&found.symbol) == found.symbol.as_str());
                joined.id(found, path, stated)
            });
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            surveyed.push((path, kind, feed, survey.latency_min, ids));
        }
        let instruments = joined.instruments;
        let guards = instruments.iter().enumerate().map(|(at, terms)| Guard::new(InstrumentId(at as u16), terms));
        let mut source = Self {
            files: Vec::with_capacity(files.len()),
            guards: guards.collect(),
            steps: VecDeque::with_capacity(4 * instruments.len()),
            current: None,
            report: DataReport::default(),
            instruments,
        };
        for (path, kind, feed, latency_min, ids) in surveyed {
            source.add(path, kind, feed, latency_min, ids, options)?;
        }
        Ok(source)
    }

    fn add(
        &mut self,
        path: &Path,
        kind: FileKind,
        feed: Option<Feed>,
        latency_min: Option<Nanos>,
        ids: Vec<InstrumentId>,
        options: &SourceOptions,
    ) -> Result<(), DataFault> {
        let behind = latency_min.filter(|latency| *latency < Nanos::ZERO);
        let shift = behind.map_or(Nanos::ZERO, |latency| options.base_latency - latency);
        let mut report = FileReport::new(path, kind);
        (report.latency_min, report.shift) = (latency_min, shift);
        let instruments = &self.instruments;
        // Frames name the venue's own symbols, so a recording has instruments of its own numbering.
        let own = |id: &InstrumentId| {
            let terms = instruments[usize::from(id.0)].clone();
            Instrument { symbol: cut(venue_symbol(&terms.symbol)), ..terms }
        };
        let own: Vec<Instrument> = ids.iter().map(own).collect();
        let renamed = |reader| Some(Box::new(Renamed { reader, ids: ids.clone() }) as Box<dyn FrameReader>);
        let reader: Option<Box<dyn FrameReader>> = match kind {
            FileKind::Feed => None,
            FileKind::Raw => renamed(Box::new(RawReader::open(path, Product::Usdm, &own)?)),
            FileKind::RawSpot => renamed(Box::new(RawReader::open(path, Product::Spot, &own)?)),
            FileKind::Run => renamed(Box::new(RunReader::open(path)?)),
            FileKind::TardisDepth | FileKind::TardisTrades | FileKind::TardisQuotes => {
                Some(Box::new(TardisReader::open(path, instruments)?))
            }
            FileKind::Hftbacktest => {
                Some(Box::new(NpzReader::open(path, ids[0], &instruments[usize::from(ids[0].0)])?))
            }
        };
        let bytes = size(path);
        let input = match (reader, feed) {
            (Some(reader), _) => Input::Frames { reader, frame: Box::new(Frame::new()) },
            (None, Some(feed)) => Input::Feed { left: feed.cursor().left(), feed: Box::new(feed), ids },
            (None, None) => return Err(DataFault::Unknown { path: path.to_owned() }),
        };
        let spoke = vec![false; self.instruments.len()];
        let mut file = OpenFile { input, due: Some(Nanos(i64::MIN)), shift, spoke, bytes };
        file.advance(&mut report)?;
        self.files.push(file);
        self.report.files.push(report);
        Ok(())
    }

    /// The instruments; the place of one is its id in the events.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The next event in the order of local time (of one time, in the order of the files as named); `None` at the end of all files.
    ///
    /// # Errors
    /// A file cannot be read, or is not in order. What is only wrong in places is reported and told by the stream.
    #[allow(clippy::should_implement_trait)] // It lends the levels, which `Iterator` cannot.
    pub fn next(&mut self) -> Result<Option<Timed<'_>>, DataFault> {
        let told = loop {
            if let (Some((step, id)), Some(at)) = (self.steps.pop_front(), self.current) {
                break Told::Step(at, step, id);
            }
            if let Some(at) = self.current.take() {
                self.files[at].advance(&mut self.report.files[at])?;
            }
            let Some(at) = self.earliest() else {
                self.report.books = self.guards.iter().map(|guard| guard.report.clone()).collect();
                return Ok(None);
            };
            self.current = Some(at);
            let (file, report) = (&mut self.files[at], &mut self.report.files[at]);
            let due = file.due.unwrap_or_default();
            report.first.get_or_insert(due);
            report.last = Some(due);
            match &mut file.input {
                Input::Feed { .. } => {
                    report.frames += 1;
                    break Told::Record(at);
                }
                Input::Frames { frame, .. } => match frame.instrument() {
                    Some(id) => {
                        file.spoke[usize::from(id.0)] = true;
                        let steps = self.guards[usize::from(id.0)].take(due, frame, report);
                        self.steps.extend(steps.into_iter().map(|step| (step, id)));
                    }
                    None => {
                        for (guard, at) in
                            self.guards.iter_mut().zip(0..).filter(|(_, at)| file.spoke[usize::from(*at)])
                        {
                            let steps = guard.take(due, frame, report);
                            self.steps.extend(steps.into_iter().map(|step| (step, InstrumentId(at))));
                        }
                    }
                },
            }
        };
        let (Told::Step(at, ..) | Told::Record(at)) = told;
        let timed = tell(&self.files[at], &self.guards, &told);
        self.report.files[at].events += weight(&timed.event);
        Ok(Some(timed))
    }

    /// The file whose next message is due first.
    #[inline]
    fn earliest(&self) -> Option<usize> {
        let due = self.files.iter().enumerate().filter_map(|(at, file)| Some((file.due?, at)));
        due.min().map(|(_, at)| at)
    }

    /// What was found so far; complete once the stream has ended.
    #[must_use]
    pub fn report(&self) -> &DataReport {
        &self.report
    }

    /// Bytes of the files read so far and altogether, compressed as they are. A system call per file.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let done = |file: &OpenFile| match &file.input {
            Input::Frames { reader, .. } => reader.position().min(file.bytes),
            Input::Feed { left, .. } => file.bytes.saturating_sub(*left as u64),
        };
        self.files.iter().fold((0, 0), |(sum, all), file| (sum + done(file), all + file.bytes))
    }
}

impl OpenFile {
    /// Reads its next message and finds when it is due.
    fn advance(&mut self, report: &mut FileReport) -> Result<(), DataFault> {
        let before = self.due.unwrap_or(Nanos(i64::MIN));
        let at = match &mut self.input {
            Input::Feed { feed, left, .. } => {
                let mut cursor = feed.resume(*left);
                if before.0 != i64::MIN {
                    cursor.next();
                }
                *left = cursor.left();
                cursor.next().map(|timed| timed.local + self.shift)
            }
            Input::Frames { reader, frame } => {
                let there = reader.next(frame, report)?;
                there.then(|| frame.at + self.shift)
            }
        };
        self.due = at.map(|at| at.max(before));
        if let (Some(at), Input::Frames { frame, .. }) = (at, &self.input)
            && at < before
        {
            let by = before - at;
            let line = frame.line;
            if by > UNSORTED_MAX {
                let (path, unit) = (report.path.clone(), report.kind.unit());
                return Err(DataFault::Unsorted { path, unit, line, by });
            }
            report.fault(FaultKind::Unsorted, line, || {
                format!("received {} us before the one in front of it; taken for of its time", by.0 / 1_000)
            });
        }
        Ok(())
    }
}

/// The event of a step.
#[inline]
fn tell<'a>(file: &'a OpenFile, guards: &'a [Guard], told: &Told) -> Timed<'a> {
    let local = file.due.unwrap_or_default();
    match (&file.input, told) {
        (Input::Feed { feed, left, ids }, _) => {
            let timed = feed.resume(*left).next().expect("a message is due");
            Timed { local, venue: timed.venue, event: renamed(timed.event, ids) }
        }
        (Input::Frames { frame, .. }, Told::Step(_, step, instrument)) => {
            let guard = &guards[usize::from(instrument.0)];
            Timed { local, venue: frame.venue, event: step_event(*step, *instrument, frame, guard) }
        }
        (Input::Frames { .. }, Told::Record(_)) => unreachable!("records are of feeds"),
    }
}

#[inline]
fn step_event<'a>(step: guard::Step, instrument: InstrumentId, frame: &'a Frame, guard: &'a Guard) -> Event<'a> {
    let venue_time = frame.venue;
    let link = |state| Event::Link { instrument, link: Link::Market, state };
    let change = |ids: super::frame::Ids, bids, asks| {
        let (first, last, prev) = (ids.first, ids.last, ids.prev);
        Event::Depth(DepthUpdate { instrument, first, last, prev, venue_time, bids, asks })
    };
    match step {
        guard::Step::Down => link(LinkState::Down),
        guard::Step::Up => link(LinkState::Up),
        guard::Step::Change(ids) => change(ids, &guard.bids[..], &guard.asks[..]),
        guard::Step::Book(last) => {
            Event::Snapshot(DepthSnapshot { instrument, last, venue_time, bids: &guard.bids, asks: &guard.asks })
        }
        guard::Step::Frame => match frame.body {
            Body::Depth { ids: Some(ids), .. } => change(ids, &frame.bids[..], &frame.asks[..]),
            Body::Quote { quote, .. } => Event::Quote(quote),
            Body::Trade(trade) => Event::Trade(trade),
            Body::Mark(mark) => Event::Mark(mark),
            Body::External { price, .. } => Event::External { instrument, price },
            Body::Depth { ids: None, .. } | Body::Snapshot { .. } | Body::Lost { .. } => {
                unreachable!("the guard numbers changes and tells books and losses itself")
            }
        },
    }
}

/// The event with the ids of the stream instead of its file's.
fn renamed<'a>(mut event: Event<'a>, ids: &[InstrumentId]) -> Event<'a> {
    let slot = match &mut event {
        Event::Depth(depth) => &mut depth.instrument,
        Event::Snapshot(book) => &mut book.instrument,
        Event::Quote(quote) => &mut quote.instrument,
        Event::Trade(trade) => &mut trade.instrument,
        Event::Mark(mark) => &mut mark.instrument,
        Event::External { instrument, .. } | Event::Link { instrument, .. } => instrument,
        _ => return event,
    };
    *slot = ids[usize::from(slot.0)];
    event
}

/// A reader whose instruments are numbered by its file.
struct Renamed {
    reader: Box<dyn FrameReader>,
    ids: Vec<InstrumentId>,
}

impl FrameReader for Renamed {
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault> {
        let there = self.reader.next(frame, report)?;
        let slot = match &mut frame.body {
            Body::Depth { instrument, .. }
            | Body::Snapshot { instrument, .. }
            | Body::External { instrument, .. }
            | Body::Lost { instrument: Some(instrument) } => instrument,
            Body::Quote { quote, .. } => &mut quote.instrument,
            Body::Trade(trade) => &mut trade.instrument,
            Body::Mark(mark) => &mut mark.instrument,
            Body::Lost { instrument: None } => return Ok(there),
        };
        // A frame that was not read anew at the end still has its old name; nobody looks at it.
        *slot = self.ids.get(usize::from(slot.0)).copied().unwrap_or_default();
        Ok(there)
    }

    fn position(&self) -> u64 {
        self.reader.position()
    }
}

/// What kind of file it is, by its content.
fn kind(path: &Path) -> Result<FileKind, DataFault> {
    let failed = |source| DataFault::Open { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(FileKind::Run);
    }
    let mut start = Vec::new();
    File::open(path).map_err(failed)?.take(8).read_to_end(&mut start).map_err(failed)?;
    if start == MAGIC {
        return Ok(FileKind::Feed);
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x93NUMPY") {
        return Ok(FileKind::Hftbacktest);
    }
    let mut lines = TextLines::open(path)?;
    // A damaged start is damage and not another kind.
    if lines.advance()? {
        if let Some(kind) = tardis::kind(lines.text()) {
            return Ok(kind);
        }
        let digits = lines.text().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits >= 13 && lines.text()[digits..].starts_with(b" {") {
            return Ok(match raw::product(path)? {
                Product::Usdm => FileKind::Raw,
                Product::Spot => FileKind::RawSpot,
            });
        }
    }
    Err(DataFault::Unknown { path: path.to_owned() })
}

fn survey(path: &Path, kind: FileKind, options: &SourceOptions) -> Result<(Option<Feed>, Survey), DataFault> {
    Ok(match kind {
        FileKind::Feed => {
            let feed = Feed::open(path)?;
            // Its clock was corrected when it was converted.
            let survey = Survey { terms: feed.instruments().to_vec(), ..Survey::default() };
            (Some(feed), survey)
        }
        FileKind::Raw => (None, raw::survey(path, Product::Usdm)?),
        FileKind::RawSpot => {
            let mut survey = raw::survey(path, Product::Spot)?;
            survey.seen.iter_mut().for_each(|seen| seen.symbol = stream_name(Product::Spot, &seen.symbol));
            (None, survey)
        }
        FileKind::Run => (None, run::survey(path)?),
        FileKind::TardisDepth | FileKind::TardisTrades | FileKind::TardisQuotes => (None, tardis::survey(path)?),
        FileKind::Hftbacktest => (None, npz::survey(path, &named(path, options))?),
    })
}

/// The symbol of a file that names none.
fn named(path: &Path, options: &SourceOptions) -> String {
    options.symbol.clone().unwrap_or_else(|| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
    })
}

/// The instruments of all files, by symbol.
#[derive(Default)]
struct Joined {
    instruments: Vec<Instrument>,
    /// Whose terms are stated, and not found in the data.
    stated: Vec<bool>,
}

impl Joined {
    /// The id of an instrument in the stream. A grid that was found in the data may be too coarse, so it is refined by those of other files; a
    /// stated one is the grid.
    fn id(&mut self, found: Instrument, path: &Path, stated: bool) -> Result<InstrumentId, DataFault> {
        let at = self.instruments.iter().position(|known| known.symbol == found.symbol).unwrap_or_else(|| {
            self.instruments.push(found.clone());
            self.stated.push(stated);
            self.instruments.len() - 1
        });
        let known = &mut self.instruments[at];
        let grid = (common(known.tick, found.tick), common(known.lot, found.lot));
        let of = |terms: &Instrument| (Some(terms.tick), Some(terms.lot));
        let fits = match (self.stated[at], stated) {
            (true, true) => of(known) == of(&found),
            (true, false) => grid == of(known),
            (false, true) => grid == of(&found),
            (false, false) => grid.0.is_some() && grid.1.is_some(),
        };
        if !fits {
            return Err(DataFault::OtherTerms {
                path: path.to_owned(),
                symbol: found.symbol.to_string(),
                tick: found.tick,
                lot: found.lot,
                other_tick: known.tick,
                other_lot: known.lot,
            });
        }
        if stated && !self.stated[at] {
            *known = found;
            self.stated[at] = true;
        } else if let (false, (Some(tick), Some(lot))) = (self.stated[at], grid) {
            *known = Instrument {
                price_places: tick.places() as u8,
                qty_places: lot.places() as u8,
                tick,
                lot,
                ..known.clone()
            };
        }
        u16::try_from(at).map(InstrumentId).map_err(|_| DataFault::TooMany)
    }
}

/// The coarsest step that both are multiples of.
fn common(a: Step, b: Step) -> Option<Step> {
    let (mut a, mut b) = (a.atto(), b.atto());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Step::parse(decimal_text(a, MONEY_PLACES).as_bytes()).ok()
}

/// The venue's terms as they were given.
struct Terms {
    path: PathBuf,
    body: Vec<u8>,
}

impl Terms {
    fn read(path: &Path) -> Result<Self, DataFault> {
        let body = fs::read(path).map_err(|source| DataFault::Open { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), body })
    }

    /// `None` for a symbol that is not in them. Another venue's instrument has the grid that was found.
    fn of(&self, seen: &Seen) -> Result<Option<Instrument>, DataFault> {
        if venue_symbol(&seen.symbol) != seen.symbol.as_str() {
            return Ok(Some(found_terms(seen)));
        }
        match instrument::instrument(&self.body, &seen.symbol) {
            Ok(terms) => Ok(Some(terms)),
            Err(TermsError::UnknownSymbol { .. }) => Ok(None),
            Err(source) => Err(DataFault::Terms { path: self.path.clone(), source }),
        }
    }
}

/// Bytes of a file, or of a run's journal.
fn size(path: &Path) -> u64 {
    let of = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    if !path.is_dir() {
        return of(path);
    }
    let files = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|end| end == "sqj")).map(|path| of(&path)).sum()
}
