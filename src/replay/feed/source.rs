//! What a backtest reads: files of any known kind, opened, corrected, guarded, and merged by local time. Keeps one message of each file
//! in memory, whatever their length.

use super::cache::{CACHE_MAX, Cache, CachedReader, Scaled};
use super::frame::{Body, Frame, FrameReader};
use super::guard::{self, Guard};
use super::layout::{MAGIC, weight};
use super::npz::NpzReader;
use super::raw::RawReader;
use super::reader::{Feed, FeedError};
use super::report::{DataReport, FaultKind, FileKind, FileReport};
use super::run::RunReader;
use super::survey::{Grids, cut, found_terms, stream_name, venue_symbol};
use super::tardis::TardisReader;
use super::{Timed, cache, raw, run, tardis};
use crate::event::{DepthSnapshot, DepthUpdate, Event, Link, LinkState};
use crate::instrument::{Instrument, InstrumentId, Symbol};
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
    /// Most bytes of messages that are kept between the first pass over the files and the second; what is larger is read twice.
    pub cache_max: usize,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { terms: None, symbol: None, base_latency: Nanos::from_millis(1), cache_max: CACHE_MAX }
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
    /// Not one byte, or not one line in what was compressed.
    #[error("{}: the file is empty", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
    },
    /// A Tardis file, but not all of it.
    #[error("{}, line 1: of kind {kind}, but without {}", path.display(), missing.join(", "))]
    Columns {
        /// The file.
        path: PathBuf,
        /// What it would be.
        kind: &'static str,
        /// What it does not have.
        missing: Vec<&'static str>,
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
    #[error("{}: `{symbol}` is no symbol: it is longer than 24 bytes; give one", path.display())]
    Symbol {
        /// The file.
        path: PathBuf,
        /// The name.
        symbol: String,
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
        let mut looked = Vec::with_capacity(files.len());
        let (mut joined, mut room) = (Joined::default(), options.cache_max);
        for path in files {
            let mut look = Look::at(path, options, room)?;
            room -= look.cache.as_ref().map_or(0, Cache::bytes);
            let ids = match std::mem::take(&mut look.terms) {
                Some(stated) => stated
                    .into_iter()
                    .map(|stated| joined.id(stated, path, true).map(Some))
                    .collect::<Result<_, _>>()?,
                None => {
                    let found = look.names.iter().zip(&look.grids).map(|(name, grids)| match &terms {
                        // With terms that were given, the data of a contract without any are left out and counted.
                        Some(terms) if venue_symbol(name) == name.as_str() => {
                            terms.of(name)?.map(|stated| joined.id(stated, path, true)).transpose()
                        }
                        _ => joined.id(found_terms(*name, grids), path, false).map(Some),
                    });
                    found.collect::<Result<Vec<Option<InstrumentId>>, DataFault>>()?
                }
            };
            if ids.iter().all(Option::is_none) {
                return Err(DataFault::Empty { path: path.clone() });
            }
            looked.push((look, ids));
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
        for (look, ids) in looked {
            source.add(look, &ids, options)?;
        }
        Ok(source)
    }

    fn add(&mut self, look: Look, ids: &[Option<InstrumentId>], options: &SourceOptions) -> Result<(), DataFault> {
        let Look { path, kind, feed, names, grids, latency_min, cache, mut report, .. } = look;
        let behind = latency_min.filter(|latency| *latency < Nanos::ZERO);
        let shift = behind.map_or(Nanos::ZERO, |latency| options.base_latency - latency);
        let bytes = size(&path);
        let scaled = |(at, id): (usize, &Option<InstrumentId>)| match (id, grids.get(at).filter(|_| !names.is_empty()))
        {
            (Some(id), Some(seen)) => Scaled::of(*id, &self.instruments[usize::from(id.0)], seen).map(Some),
            (Some(id), None) => Some(Some(Scaled::plain(*id))),
            (None, _) => Some(None),
        };
        let scaled: Option<Vec<_>> = ids.iter().enumerate().map(scaled).collect();
        let input = match (feed, cache, scaled) {
            (Some(feed), ..) => {
                let ids = ids.iter().copied().flatten().collect();
                Input::Feed { left: feed.cursor().left(), feed: Box::new(feed), ids }
            }
            (None, Some(cache), Some(scaled)) => {
                let names = names.iter().map(ToString::to_string).collect();
                let reader = Box::new(CachedReader::new(cache, scaled, names, bytes));
                Input::Frames { reader, frame: Box::new(Frame::new()) }
            }
            (None, ..) => {
                report = FileReport::new(&path, kind);
                Input::Frames { reader: reopen(&path, kind, ids, &self.instruments)?, frame: Box::new(Frame::new()) }
            }
        };
        (report.latency_min, report.shift) = (latency_min, shift);
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
    #[inline]
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
                Input::Frames { frame, .. } => match frame.body.instrument() {
                    Some(id) => {
                        file.spoke[usize::from(id.0)] = true;
                        // Mostly the frame itself is all.
                        let steps = self.guards[usize::from(id.0)].take(due, frame, report);
                        if let [step] = steps[..] {
                            break Told::Step(at, step, id);
                        }
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
                cursor.next().map(|timed| timed.local)
            }
            Input::Frames { reader, frame } => {
                let there = reader.next(frame, report)?;
                there.then(|| Nanos(frame.at.0.saturating_add(self.shift.0)))
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
                format!("received {} us before the one in front of it; raised to its time", by.0 / 1_000)
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
        if let (true, Some(own)) = (there, frame.body.instrument()) {
            frame.body.rename(self.ids[usize::from(own.0)]);
        }
        Ok(there)
    }

    fn position(&self) -> u64 {
        self.reader.position()
    }
}

/// Opens a file for its second pass.
fn reopen(
    path: &Path,
    kind: FileKind,
    ids: &[Option<InstrumentId>],
    instruments: &[Instrument],
) -> Result<Box<dyn FrameReader>, DataFault> {
    let known: Vec<InstrumentId> = ids.iter().copied().flatten().collect();
    // Frames name the venue's own symbols, so a recording has instruments of its own numbering.
    let own = |id: &InstrumentId| {
        let terms = instruments[usize::from(id.0)].clone();
        Instrument { symbol: cut(venue_symbol(&terms.symbol)), ..terms }
    };
    let own: Vec<Instrument> = known.iter().map(own).collect();
    let reader: Box<dyn FrameReader> = match kind {
        FileKind::Raw => Box::new(RawReader::open(path, Product::Usdm, &own)?),
        FileKind::RawSpot => Box::new(RawReader::open(path, Product::Spot, &own)?),
        FileKind::Run => Box::new(RunReader::open(path)?),
        FileKind::Hftbacktest => Box::new(NpzReader::open(path, InstrumentId(0), &own[0])?),
        FileKind::TardisDepth | FileKind::TardisTrades | FileKind::TardisQuotes => {
            return Ok(Box::new(TardisReader::open(path, instruments)?));
        }
        FileKind::Feed => return Err(DataFault::Unknown { path: path.to_owned() }),
    };
    Ok(Box::new(Renamed { reader, ids: known }))
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
    if !lines.advance()? {
        return Err(DataFault::Nothing { path: path.to_owned() });
    }
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
    if let Some((kind, missing)) = tardis::missing(lines.text()) {
        return Err(DataFault::Columns { path: path.to_owned(), kind, missing });
    }
    Err(DataFault::Unknown { path: path.to_owned() })
}

/// What the first pass over a file found.
struct Look {
    path: PathBuf,
    kind: FileKind,
    feed: Option<Feed>,
    /// Terms that it carries.
    terms: Option<Vec<Instrument>>,
    /// Symbols and grids, where it carries none.
    names: Vec<Symbol>,
    grids: Vec<Grids>,
    latency_min: Option<Nanos>,
    cache: Option<Cache>,
    report: FileReport,
}

impl Look {
    /// Reads the file once, but a feed: that was looked at when it was converted.
    fn at(path: &Path, options: &SourceOptions, room: usize) -> Result<Self, DataFault> {
        let kind = kind(path)?;
        let mut report = FileReport::new(path, kind);
        let mut look = Self {
            path: path.to_owned(),
            kind,
            feed: None,
            terms: None,
            names: Vec::new(),
            grids: Vec::new(),
            latency_min: None,
            cache: None,
            report: report.clone(),
        };
        let mut reader: Box<dyn FrameReader> = match kind {
            FileKind::Feed => {
                let feed = Feed::open(path)?;
                look.terms = Some(feed.instruments().to_vec());
                look.feed = Some(feed);
                return Ok(look);
            }
            FileKind::Run => {
                look.terms = Some(run::terms(path)?);
                Box::new(RunReader::open(path)?)
            }
            FileKind::Raw => Box::new(RawReader::find(path, Product::Usdm)?),
            FileKind::RawSpot => Box::new(RawReader::find(path, Product::Spot)?),
            FileKind::TardisDepth | FileKind::TardisTrades | FileKind::TardisQuotes => {
                Box::new(TardisReader::find(path)?)
            }
            FileKind::Hftbacktest => Box::new(NpzReader::find(path, &named(path, options))?),
        };
        let (survey, cache) = cache::survey(reader.as_mut(), &mut report, room)?;
        let product = if kind == FileKind::RawSpot { Product::Spot } else { Product::Usdm };
        look.names = survey.names.iter().map(|name| stream_name(product, name)).collect();
        (look.grids, look.latency_min) = (survey.grids, survey.latency_min);
        (look.cache, look.report) = (cache, report);
        Ok(look)
    }
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

    /// `None` for a symbol that is not in them.
    fn of(&self, symbol: &str) -> Result<Option<Instrument>, DataFault> {
        match instrument::instrument(&self.body, symbol) {
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
