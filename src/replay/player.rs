//! Feeds a run's journalled inputs to a maker built from the run's recipe and compares what it decides with what was journalled,
//! byte for byte. Changes nothing in the run directory; a live run can be replayed up to its last record.

use super::describe;
use crate::config::problem::Problem;
use crate::event::{AccountEvent, Event};
use crate::instrument::InstrumentId;
use crate::journal::record::{self, Encoded, Origin, RecordError};
use crate::journal::{End, ReadError, Reader, Record, RunDir};
use crate::maker::recipe::{StrategyText, WatchedRecipe};
use crate::maker::{Maker, Output, Recipe, RecipeError};
use crate::unit::Nanos;
use crate::venue::binance::usdm::market::MarketDecoder;
use crate::venue::binance::{Product, WatchedDecoder};
use crate::venue::codec::{MarketCodec, MarketMessage};
use crate::wire::simd::SPARE;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// Records between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 16;

/// Where the first difference is and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The journal's record that is not what the maker decided now.
    pub record_seq: u64,
    /// Its time.
    pub time: Nanos,
    /// What the journal says.
    pub expected: String,
    /// What the maker decided now.
    pub got: String,
}

/// What a replay found.
#[derive(Debug)]
pub struct Outcome {
    /// Every output in the journal is what the maker decides now, and it decides nothing else.
    pub identical: bool,
    /// Records read, without seals.
    pub records: u64,
    /// Inputs fed to the maker; like the next two, up to the first difference.
    pub inputs: u64,
    /// Commands compared.
    pub commands: u64,
    /// Decisions compared.
    pub decisions: u64,
    /// The first difference.
    pub first_difference: Option<Difference>,
    /// How the journal ends. What the maker decided on the last input may be missing in one that does not end in order.
    pub end: End,
}

impl Outcome {
    /// The verdict for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (end, damage) = match &self.end {
            End::Clean => ("clean", None),
            End::Open => ("open", None),
            End::Damaged(error) => ("damaged", Some(error.to_string())),
        };
        json!({
            "identical": self.identical,
            "records": self.records,
            "inputs": self.inputs,
            "commands": self.commands,
            "decisions": self.decisions,
            "first_difference": self.first_difference.as_ref().map(|found| json!({
                "record_seq": found.record_seq,
                "time_ns": found.time.0,
                "expected": found.expected,
                "got": found.got,
            })),
            "end": end,
            "damage": damage,
        })
    }
}

/// How far a replay is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Records read.
    pub records: u64,
    /// Time of the last one.
    pub time: Nanos,
}

/// Why a run cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No description of the run.
    #[error("{}: cannot be read: {source}; a run directory holds one", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The description is not JSON.
    #[error("{}: not JSON: {source}", path.display())]
    MetaJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The description does not say what the maker was built from.
    #[error("{}: no \"recipe\" in it: the run is of a version that could not be replayed", .0.display())]
    NoRecipe(PathBuf),
    /// The recipe is faulty or of another version.
    #[error("{}: {source}", path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: RecipeError,
    },
    /// No journal.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The journal's first segments were removed.
    #[error(
        "the journal starts at segment {0}: older ones were removed, and a run can only be replayed from its start"
    )]
    StartRemoved(u64),
    /// Journal and description are of different runs.
    #[error("the journal is of run {journal:08x}, meta.json of run {meta:08x}")]
    OtherRun {
        /// In the segment's header.
        journal: u32,
        /// In the recipe.
        meta: u32,
    },
    /// An input that this program cannot read.
    #[error("record {seq}: {source}")]
    Record {
        /// Its sequence number.
        seq: u64,
        /// Why.
        source: RecordError,
    },
    /// Settings that were taken over while the run went on cannot be read.
    #[error("record {seq}: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// Its sequence number.
        seq: u64,
        /// Every fault.
        problems: Vec<Problem>,
    },
    /// An input for an instrument that the recipe does not have.
    #[error("record {seq}: for instrument {}, the recipe has {count}", instrument.0)]
    NoInstrument {
        /// Its sequence number.
        seq: u64,
        /// The instrument.
        instrument: InstrumentId,
        /// How many there are.
        count: usize,
    },
}

/// Replays the run in `run_dir`, and reports progress on the way. Memory does not grow with the run.
///
/// # Errors
/// The run cannot be replayed at all, or one of its inputs not be read. A difference or a damaged end is an [`Outcome`].
pub fn replay(run_dir: &Path, mut progress: impl FnMut(Progress)) -> Result<Outcome, ReplayError> {
    let dir = RunDir::new(run_dir);
    let recipe = read_recipe(&dir.meta())?;
    let mut player = Player::new(&recipe).map_err(|source| ReplayError::Recipe { path: dir.meta(), source })?;
    let mut reader = Reader::open(dir)?;
    let segment = reader.segment();
    if segment.index > 0 {
        return Err(ReplayError::StartRemoved(segment.index));
    }
    if segment.run != recipe.config.run {
        return Err(ReplayError::OtherRun { journal: segment.run, meta: recipe.config.run });
    }
    let (mut records, mut clean) = (0, false);
    let end = loop {
        match reader.next() {
            Ok(Some(record)) => {
                records += 1;
                clean = record.kind == record::RUN_END;
                if player.first_difference.is_none() {
                    player.take(&record)?;
                }
                if records % PROGRESS_EVERY == 0 {
                    progress(Progress { records, time: record.time });
                }
            }
            Ok(None) => break if clean { End::Clean } else { End::Open },
            Err(error) => break End::Damaged(error),
        }
    };
    let Player { inputs, commands, decisions, first_difference, .. } = player;
    Ok(Outcome { identical: first_difference.is_none(), records, inputs, commands, decisions, first_difference, end })
}

/// What the run of this `meta.json` was built from.
///
/// # Errors
/// The file cannot be read, or holds no recipe that this program can use.
pub fn read_recipe(path: &Path) -> Result<Recipe, ReplayError> {
    let text = std::fs::read(path).map_err(|source| ReplayError::Meta { path: path.to_path_buf(), source })?;
    let meta: Value =
        serde_json::from_slice(&text).map_err(|source| ReplayError::MetaJson { path: path.to_path_buf(), source })?;
    let recipe = meta.get("recipe").ok_or_else(|| ReplayError::NoRecipe(path.to_path_buf()))?;
    Recipe::from_json(recipe).map_err(|source| ReplayError::Recipe { path: path.to_path_buf(), source })
}

/// The maker and what it decided on the last input.
struct Player {
    maker: Maker,
    instruments: usize,
    decoder: MarketDecoder,
    watched: Vec<WatchedDecoder>,
    /// By instrument: whose texts new settings are.
    strategies: Vec<StrategyText>,
    document: Vec<u8>,
    out: Output,
    /// Time of the last input.
    time: Nanos,
    /// Outputs of `out` that were compared: first the decisions, then the commands.
    compared: usize,
    inputs: u64,
    commands: u64,
    decisions: u64,
    first_difference: Option<Difference>,
}

impl Player {
    fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        Ok(Self {
            maker: recipe.build()?,
            instruments: recipe.instruments.len() + recipe.watched.len(),
            decoder: MarketDecoder::new(&recipe.contracts()),
            watched: watched_decoders(recipe)?,
            strategies: recipe.instruments.iter().map(|part| part.strategy.clone()).collect(),
            document: Vec::new(),
            out: Output::default(),
            time: Nanos::ZERO,
            compared: 0,
            inputs: 0,
            commands: 0,
            decisions: 0,
            first_difference: None,
        })
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        match record.kind {
            record::COMMAND | record::DECISION => self.compare(record),
            // After a loss nothing can be said: an input or an output is missing.
            record::LOSS => self.differs(record),
            record::RUN_END if self.next_output().is_some() => self.differs(record),
            record::CLOCK | record::RUN_START | record::RUN_END | record::SENT | record::GAP | record::ASKED => {}
            _ if self.next_output().is_some() => self.differs(record),
            _ => {
                self.inputs += 1;
                self.time = record.time;
                self.compared = 0;
                self.out.clear();
                self.feed(record)?;
            }
        }
        Ok(())
    }

    fn feed(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        let faulty = |source| ReplayError::Record { seq: record.seq, source };
        match record.kind {
            record::FRAME => {
                let (origin, len) = self.document(record.payload).map_err(faulty)?;
                self.known(record.seq, origin.instrument)?;
                let (decoder, document) =
                    (codec(&mut self.decoder, &mut self.watched, self.instruments, origin), &mut self.document);
                // What is no event was no step in the run either.
                if let Ok(MarketMessage::Event(event)) = decoder.decode(document, len) {
                    self.maker.step(record.time, &event, &mut self.out);
                }
            }
            record::SNAPSHOT => {
                let (origin, len) = self.document(record.payload).map_err(faulty)?;
                self.known(record.seq, origin.instrument)?;
                let (decoder, document) =
                    (codec(&mut self.decoder, &mut self.watched, self.instruments, origin), &mut self.document);
                if let Ok(snapshot) = decoder.decode_snapshot(origin.instrument, document, len) {
                    self.maker.step(record.time, &Event::Snapshot(snapshot), &mut self.out);
                }
            }
            record::SETTINGS => {
                let (origin, text) =
                    record.payload.split_at_checked(Origin::SIZE).ok_or(RecordError::Short).map_err(faulty)?;
                let instrument = Origin::decode(origin).map_err(faulty)?.instrument;
                let Some(strategy) = self.strategies.get(usize::from(instrument.0)) else {
                    return Err(ReplayError::NoInstrument {
                        seq: record.seq,
                        instrument,
                        count: self.strategies.len(),
                    });
                };
                let text = String::from_utf8_lossy(text);
                let mut settings =
                    strategy.settings(&text).map_err(|problems| ReplayError::Settings { seq: record.seq, problems })?;
                self.maker.reconfigure(record.time, instrument, &mut settings, &mut self.out);
            }
            kind => {
                let event = record::decode_event(kind, record.payload).map_err(faulty)?;
                if let Some(instrument) = instrument_of(&event) {
                    self.known(record.seq, instrument)?;
                }
                self.maker.step(record.time, &event, &mut self.out);
            }
        }
        Ok(())
    }

    /// Copies the bytes behind the origin to where the decoder may change them; returns their number.
    fn document(&mut self, payload: &[u8]) -> Result<(Origin, usize), RecordError> {
        let (origin, bytes) = payload.split_at_checked(Origin::SIZE).ok_or(RecordError::Short)?;
        self.document.clear();
        self.document.extend_from_slice(bytes);
        self.document.resize(bytes.len() + SPARE, 0);
        Ok((Origin::decode(origin)?, bytes.len()))
    }

    fn known(&self, seq: u64, instrument: InstrumentId) -> Result<(), ReplayError> {
        if usize::from(instrument.0) < self.instruments {
            return Ok(());
        }
        Err(ReplayError::NoInstrument { seq, instrument, count: self.instruments })
    }

    /// The first output of the last step that was not compared yet.
    fn next_output(&self) -> Option<(u16, Encoded)> {
        let Output { decisions, commands, .. } = &self.out;
        match decisions.get(self.compared) {
            Some(decision) => Some((record::DECISION, decision.to_bytes().into_iter().collect())),
            None => commands
                .get(self.compared - decisions.len())
                .map(|command| (record::COMMAND, record::encode_command(command))),
        }
    }

    fn compare(&mut self, record: &Record<'_>) {
        let same =
            self.next_output().is_some_and(|(kind, payload)| kind == record.kind && payload[..] == *record.payload);
        if !same || record.time != self.time {
            return self.differs(record);
        }
        self.compared += 1;
        match record.kind {
            record::COMMAND => self.commands += 1,
            _ => self.decisions += 1,
        }
    }

    fn differs(&mut self, record: &Record<'_>) {
        let mut expected = describe::line(record.kind, record.payload);
        let mut got = match self.next_output() {
            Some((kind, payload)) if describe::line(kind, &payload) != expected => describe::line(kind, &payload),
            Some((kind, payload)) => {
                expected = describe::bytes(record.kind, record.payload);
                describe::bytes(kind, &payload)
            }
            None => "nothing".to_owned(),
        };
        if expected == got {
            expected.push_str(&format!(", at {}", record.time.0));
            got.push_str(&format!(", at {}", self.time.0));
        }
        self.first_difference = Some(Difference { record_seq: record.seq, time: record.time, expected, got });
    }
}

/// The decoder of the instrument that a frame is of. `instruments` counts the watched ones too.
fn codec<'a>(
    traded: &'a mut MarketDecoder,
    watched: &'a mut [WatchedDecoder],
    instruments: usize,
    origin: Origin,
) -> &'a mut dyn MarketCodec {
    let first = instruments - watched.len();
    match usize::from(origin.instrument.0).checked_sub(first) {
        Some(at) => &mut watched[at],
        None => traded,
    }
}

/// A decoder of each market that the run only looked at.
pub(super) fn watched_decoders(recipe: &Recipe) -> Result<Vec<WatchedDecoder>, RecipeError> {
    let first = recipe.instruments.len();
    let decoder = |(at, part): (usize, &WatchedRecipe)| {
        let product = Product::named(&part.product).ok_or_else(|| RecipeError::Value {
            field: format!("watched[{at}].product"),
            what: format!("found {:?}, which no decoder reads", part.product),
        })?;
        Ok(WatchedDecoder::new(product, InstrumentId((first + at) as u16), &part.instrument))
    };
    recipe.watched.iter().enumerate().map(decoder).collect()
}

fn instrument_of(event: &Event<'_>) -> Option<InstrumentId> {
    match *event {
        Event::Depth(ref update) => Some(update.instrument),
        Event::Snapshot(ref snapshot) => Some(snapshot.instrument),
        Event::Quote(ref quote) => Some(quote.instrument),
        Event::Trade(ref trade) => Some(trade.instrument),
        Event::Mark(ref mark) => Some(mark.instrument),
        Event::External { instrument, .. } | Event::Link { instrument, .. } => Some(instrument),
        Event::Order(ref order) => Some(order.instrument),
        Event::Account(ref account) => match *account {
            AccountEvent::Position { instrument, .. }
            | AccountEvent::Funding { instrument, .. }
            | AccountEvent::Leverage { instrument, .. } => Some(instrument),
            AccountEvent::Balance { .. }
            | AccountEvent::ReconcileBegin
            | AccountEvent::ReconcileEnd
            | AccountEvent::ReconcileFailed
            | AccountEvent::PositionMode { .. }
            | AccountEvent::MarginCall
            | AccountEvent::VenueClock { .. } => None,
        },
        Event::Operator(_) | Event::Lapse { .. } | Event::Kill | Event::Timer => None,
    }
}
