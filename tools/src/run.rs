//! Finds run directories and opens what lies in them. Never writes; every refusal says what is there and what should be.

use crate::meta::Meta;
use crate::text;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use spinquote::journal::command_page::{self, CommandPage};
use spinquote::journal::counters::CounterReader;
use spinquote::journal::histogram::HistogramReader;
use spinquote::journal::layout::segment_index;
use spinquote::journal::{ClockSource, JournalError, ReadError, Reader, RunDir, SegmentHeader, record};
use spinquote::unit::Nanos;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A heartbeat older than this is silence.
pub const SILENT_AFTER: Nanos = Nanos::from_secs(3);

/// Which run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The directory that holds runs; the newest of them is the default RUN.
    #[arg(long, value_name = "DIR", env = "SPINQUOTE_RUNS", default_value = "runs", global = true)]
    pub runs: PathBuf,
    /// The run directory, or the name of one in --runs; the newest one otherwise.
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
}

/// A run directory.
#[derive(Debug)]
pub struct Run {
    pub dir: RunDir,
    /// The directory's own name.
    pub name: String,
    pub meta: Meta,
}

/// Whether somebody is at work in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// The engine's heartbeat is this old.
    Live(Nanos),
    /// No end record, and the engine's last heartbeat is this old.
    Silent(Nanos),
    /// Ended in order.
    Ended { at: Nanos, reason: u8 },
    /// No heartbeat was ever written.
    Unborn,
}

impl Life {
    /// One word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live(_) => "live",
            Self::Silent(_) => "silent",
            Self::Ended { .. } => "ended",
            Self::Unborn => "unborn",
        }
    }

    /// For people.
    pub fn sentence(self) -> String {
        match self {
            Self::Live(age) => format!("live, heartbeat {} ago", text::span(age.0)),
            Self::Silent(age) => format!(
                "silent: no heartbeat for {} and no end in the journal; it was killed, is stopped, or is stuck",
                text::span(age.0)
            ),
            Self::Ended { at, reason: 0 } => format!("ended {}", text::time(at)),
            Self::Ended { at, .. } => format!("ended {}, but with orders live or in doubt", text::time(at)),
            Self::Unborn => "no heartbeat yet, and no end in the journal".to_owned(),
        }
    }
}

impl Run {
    /// The run that the arguments name.
    pub fn find(args: &RunArgs) -> Result<Self> {
        let path = match &args.run {
            None => newest(&args.runs)?,
            Some(path) if path.is_dir() => path.clone(),
            Some(name) => {
                let inside = args.runs.join(name);
                if !inside.is_dir() {
                    bail!("{}: no such directory, and no run of this name in {}", name.display(), args.runs.display());
                }
                inside
            }
        };
        if !is_run(&path) {
            let inside = runs_in(&path);
            let hint = match inside.as_slice() {
                [] => String::new(),
                [(_, one), ..] => format!("; it holds {} of them, such as {}", inside.len(), one.display()),
            };
            bail!(
                "{}: not a run directory: none of meta.json, events-*.sqj, counters.sqc is in it{hint}",
                path.display()
            );
        }
        let full = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = full.file_name().map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned());
        let dir = RunDir::new(path);
        let mut meta = Meta::load(&dir.meta());
        if meta.contracts.is_empty()
            && let Ok(page) = CounterReader::open(&dir.counters())
        {
            meta.symbols_from(&page);
        }
        Ok(Self { dir, name, meta })
    }

    /// The counters page.
    pub fn counters(&self) -> Result<CounterReader> {
        let path = self.dir.counters();
        CounterReader::open(&path).map_err(|error| page_fault(&path, "counters page", 1, error))
    }

    /// The latency histograms.
    pub fn histograms(&self) -> Result<HistogramReader> {
        let path = self.dir.histograms();
        HistogramReader::open(&path).map_err(|error| page_fault(&path, "histogram file", 1, error))
    }

    /// The journal from its first segment.
    pub fn journal(&self) -> Result<Reader> {
        Reader::open(self.dir.clone()).map_err(read_fault)
    }

    /// The journal from this segment on.
    pub fn journal_at(&self, index: u64) -> Result<Reader> {
        Reader::open_at(self.dir.clone(), index).map_err(read_fault)
    }

    /// Index and header of the segments that were taken into use, in order.
    pub fn segments(&self) -> Vec<(u64, SegmentHeader)> {
        let listing = fs::read_dir(self.dir.path()).into_iter().flatten();
        let mut indices: Vec<u64> =
            listing.filter_map(|entry| segment_index(entry.ok()?.file_name().to_str()?)).collect();
        indices.sort_unstable();
        let used = |index: u64| Some((index, header(&self.dir.segment(index))?)).filter(|(_, head)| head.first_seq > 0);
        indices.into_iter().filter_map(used).collect()
    }

    /// Whether somebody is at work in it at this moment.
    pub fn life(&self) -> Life {
        let segments = self.segments();
        let beat = self.counters().ok().and_then(|page| page.named("engine.heartbeat")).unwrap_or(0);
        let age = Nanos((now().0 - beat).max(0));
        let fresh = beat != 0 && age < SILENT_AFTER;
        // A journal is cut behind its last record when it is closed; while it is not, a live run need not be read for its end.
        let last = segments.last().filter(|(index, header)| {
            let len = fs::metadata(self.dir.segment(*index)).map_or(0, |file| file.len());
            !fresh || len < header.size
        });
        if let Some(ended) = last.and_then(|&(index, _)| self.ended(index)) {
            return ended;
        }
        let pretended = segments.first().is_some_and(|(_, header)| header.clock == ClockSource::Virtual);
        match fresh {
            _ if beat == 0 || pretended => Life::Unborn,
            true => Life::Live(age),
            false => Life::Silent(age),
        }
    }

    fn ended(&self, segment: u64) -> Option<Life> {
        let mut reader = self.journal_at(segment).ok()?;
        let mut end = None;
        while let Ok(Some(found)) = reader.next() {
            end = (found.kind == record::RUN_END).then(|| {
                let reason = record::RunEnd::decode(found.payload).map_or(0, |end| end.reason);
                Life::Ended { at: found.time, reason }
            });
        }
        end
    }
}

/// The system clock.
pub fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn header(path: &Path) -> Option<SegmentHeader> {
    let mut bytes = [0; spinquote::journal::layout::SEGMENT_HEADER];
    File::open(path).ok()?.read_exact(&mut bytes).ok()?;
    SegmentHeader::decode(&bytes).ok()
}

fn is_run(path: &Path) -> bool {
    let dir = RunDir::new(path);
    dir.counters().is_file()
        || dir.meta().is_file()
        || fs::read_dir(path).is_ok_and(|mut list| {
            list.any(|entry| entry.is_ok_and(|e| e.file_name().to_str().and_then(segment_index).is_some()))
        })
}

/// The runs in a directory with the times of their starts.
fn runs_in(path: &Path) -> Vec<(i128, PathBuf)> {
    let born = |path: &Path| {
        let dir = RunDir::new(path);
        header(&dir.segment(0)).map(|header| i128::from(header.base_time)).or_else(|| {
            let changed = fs::metadata(path).ok()?.modified().ok()?;
            i128::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
        })
    };
    let listing = fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut runs: Vec<_> =
        listing.filter(|path| path.is_dir() && is_run(path)).map(|path| (born(&path).unwrap_or(0), path)).collect();
    runs.sort();
    runs
}

fn newest(runs: &Path) -> Result<PathBuf> {
    if !runs.is_dir() {
        bail!(
            "{}: no such directory, so there is no newest run; name a run directory, or set --runs DIR or SPINQUOTE_RUNS",
            runs.display()
        );
    }
    runs_in(runs).pop().map(|(_, path)| path).ok_or_else(|| {
        anyhow!("{}: holds no run directory; name one, or set --runs DIR or SPINQUOTE_RUNS", runs.display())
    })
}

/// What a journal that cannot be read means to its user.
pub fn read_fault(error: ReadError) -> anyhow::Error {
    use spinquote::journal::layout::HeaderError;
    let hint = match &error {
        ReadError::Header { error: HeaderError::Version(_), .. } => {
            Some("it was written by another version of spinquote; use the sq that came with it")
        }
        ReadError::Header { error: HeaderError::Unready | HeaderError::Short(0), .. } => {
            Some("the run is only being set up, or its start failed; try again in a moment")
        }
        ReadError::Header { error: HeaderError::Short(_), .. } => Some("the file is cut short"),
        ReadError::NoSegments(_) => Some("the run has not started to write, or its journal was moved away"),
        _ => None,
    };
    let error = anyhow!(error);
    match hint {
        Some(hint) => anyhow!("{error}: {hint}"),
        None => error,
    }
}

/// The operators' page of a run.
pub fn command_page(run: &Run) -> Result<CommandPage> {
    let path = run.dir.command();
    CommandPage::open(&path).map_err(|error| page_fault(&path, "command page", command_page::VERSION, error))
}

/// Why a page cannot be used, told from its first bytes. `known` is the layout version that this program reads.
fn page_fault(path: &Path, what: &str, known: u32, error: JournalError) -> anyhow::Error {
    let JournalError::Foreign { .. } = &error else {
        let missing =
            matches!(&error, JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
        // The error names the file and the system's own words.
        let hint = if missing { format!("this run has no {what}") } else { format!("the {what} cannot be read") };
        return anyhow!("{hint}: {error}");
    };
    let head = File::open(path).map(|mut file| {
        let mut head = [0; 12];
        file.read_exact(&mut head).map(|()| head)
    });
    let path = path.display();
    match head {
        Ok(Ok(head)) if head == [0; 12] => {
            anyhow!("{path}: the {what} is only being set up; try again in a moment")
        }
        Ok(Ok([b'S', b'Q', .., a, b, c, d])) => match u32::from_le_bytes([a, b, c, d]) {
            version if version == known => anyhow!("{path}: the {what} is cut short or damaged"),
            version => anyhow!(
                "{path}: the {what} has layout version {version}, this sq reads {known}; use the sq that came with the spinquote that wrote it"
            ),
        },
        Ok(Err(_)) => anyhow!("{path}: the {what} is cut short: it has less than its first 12 bytes"),
        _ => anyhow!("{path}: not a {what}"),
    }
}

/// Reads the whole journal and hands every record to `each`; at damage says so and stops.
pub fn each_record(
    mut reader: Reader,
    mut each: impl FnMut(&spinquote::journal::Record<'_>) -> Result<bool>,
) -> Result<()> {
    loop {
        match reader.next() {
            Ok(Some(found)) => {
                if !each(&found)? {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => return Err(read_fault(error)).context("the journal is damaged; what came before is good"),
        }
    }
}
