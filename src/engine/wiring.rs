//! Puts a run together: terms from the venue, the run directory, rings, threads; and takes it apart in order. Decides nothing.

use super::alerts::{Alerts, Sinks};
use super::breakage::Breakage;
use super::clock::{Clock, wall};
use super::connection::Endpoint;
use super::core::{Core, CoreParts, Finished};
use super::errand::ERRANDS_CAPACITY;
use super::housekeeper::{Addresses, CONNECTION_LIFE, Housekeeper, MARKET_FEED, PUBLIC_FEED, SOURCE_FEED, cancel_ours};
use super::place::Place;
use super::rest::{Budget, CallError, Caller, Rest};
use super::rest_desk::RestDesk;
use super::ring::{ANSWERS_CAPACITY, CONTROL_CAPACITY, ORDERS_CAPACITY, OrderSink};
use super::sender::{Measured, Sender};
use super::settings::{ReloadRequest, SettingsFile};
use super::source::{self, NEWS_CAPACITY, Poller as PricePoller, SourcePlan, WatchedMarket};
use super::turn::{Feed, Turn};
use super::wait::Poller;
use super::{memory, pin};
use crate::config::engine::{self as settings, EngineSettings};
use crate::event::{AccountEvent, ClientId};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::histogram::{self, Stage};
use crate::journal::record::Origin;
use crate::journal::{self, ClockSource, JournalSettings, Retention, RunDir, Segments, command_page, counters};
use crate::maker::recipe::{InstrumentRecipe, Recipe, StrategyText, WatchedRecipe};
use crate::maker::strategy::Cadence;
use crate::maker::{Leftovers, MakerConfig, RiskLimits, Source};
use crate::unit::{Lots, Nanos};
use crate::venue::binance::WatchedDecoder;
use crate::venue::binance::usdm::account::PrivateDecoder;
use crate::venue::binance::usdm::client_id::Prefix;
use crate::venue::binance::usdm::instrument::{instrument, quotas};
use crate::venue::binance::usdm::limits::{Limits, Quotas};
use crate::venue::binance::usdm::market::MarketDecoder;
use crate::venue::binance::usdm::order::OrderEncoder;
use crate::venue::binance::usdm::rest;
use crate::venue::binance::usdm::sign::{Credentials, Signer};
use crate::wire::tls::{self, Roots};
use anyhow::{Context, Result};
use crossbeam::channel::bounded;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the end of a run waits for a venue that wants silence.
const HEARING_MAX: Duration = Duration::from_secs(10);
/// How long the end of a run waits for each thread: an engine takes five seconds for its last cancels, the housekeeper may be in a call.
const ENGINE_END_MAX: Duration = Duration::from_secs(12);
const OTHERS_END_MAX: Duration = Duration::from_secs(30);
/// How long a kill may take to be carried out by the I/O thread.
const KILL_HEARD_MAX: Duration = Duration::from_secs(2);
/// How often, and how far apart, the end of a run looks for open orders at a venue that does not answer.
const LAST_TRIES: u32 = 3;
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Bound of one REST call and of each step of connecting.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A feed silent for this long, and for twice `risk.stale_after`, is made anew: the venue pings more seldom, but every market
/// that can be quoted moves more often.
const FEED_SILENCE: Nanos = Nanos::from_secs(60);

/// What a run is made from.
pub struct Launch {
    /// `engine.toml`.
    pub settings: EngineSettings,
    /// Key and secret.
    pub credentials: Credentials,
    /// Certificates to trust instead of the public roots, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The venue's symbol.
    pub symbol: String,
    /// The strategy's file.
    pub strategy: StrategyText,
    /// Leverage to set.
    pub leverage: u32,
    /// Hedge mode to set.
    pub hedge: bool,
    /// Where the run is remembered; must not exist.
    pub run_dir: PathBuf,
    /// A connection is replaced when it is this old, its successor first; at most [`CONNECTION_LIFE`].
    pub connection_life: Nanos,
    /// What meta.json says besides: how the run came about.
    pub description: serde_json::Value,
}

/// A run under way.
pub struct Running {
    /// The run directory.
    pub run_dir: RunDir,
    /// What is traded.
    pub instruments: Vec<Instrument>,
    /// What could not be done for speed, a line each.
    pub notices: Vec<String>,
    stop: Arc<AtomicBool>,
    prefix: Prefix,
    engine: JoinHandle<Finished>,
    sender: JoinHandle<()>,
    housekeeper: JoinHandle<Segments>,
    /// For the last look at the venue, whatever became of the threads.
    caller: Caller,
    engine_gone: Arc<AtomicBool>,
    dead_man: bool,
    live_dir: Option<PathBuf>,
    breakage: Arc<Breakage>,
}

/// How a run ended.
pub struct Ended {
    /// The engine's last state.
    pub engine: Finished,
    /// Orders of ours that are open at the venue, if it could be asked.
    pub open_orders: Option<usize>,
    /// The venue's net position, if it could be asked.
    pub position: Option<Lots>,
    /// What went wrong on the way out, a line each.
    pub problems: Vec<String>,
}

/// Starts a run; `progress` is told each step that takes time.
///
/// # Errors
/// The first thing that cannot be done, with its address or file. Nothing is traded then.
pub fn start(launch: Launch, mut progress: impl FnMut(&str)) -> Result<Running> {
    let settings = &launch.settings;
    let clock = Clock::new();
    let offset = Arc::new(AtomicI64::new(0));
    let prefix = Prefix::new(&settings.orders.id_prefix).map_err(anyhow::Error::msg)?;
    let budget = Arc::new(Budget::default());
    let caller = || -> Result<Caller> {
        let signer = Signer::new(&launch.credentials)?;
        let rest = Rest::new(&settings.venue.rest_url, launch.ca_pem.as_deref(), Some(signer.api_key()), CALL_TIMEOUT)
            .map_err(anyhow::Error::msg)?;
        Ok(Caller::new(rest, Some(signer), clock.clone(), Arc::clone(&offset), settings.orders.recv_window)
            .sharing(&budget))
    };
    let (desk, last) = (caller()?, caller()?);

    progress(&format!("asking {} for its time and the terms of {}", settings.venue.rest_url, launch.symbol));
    let skew = desk.sync_time().context("the venue's time")?;
    let (instrument, quotas) = terms(&desk, &launch.symbol)?;
    budget.set_most(quotas.weight_1m);
    check_skew(skew, settings.risk.clock_skew_max)?;
    progress("setting leverage and position mode");
    prepare_account(&desk, &instrument, launch.leverage, launch.hedge)?;

    let instruments = vec![instrument];
    let run = run_number(clock.now());
    let settled = launch.strategy.settings(&launch.strategy.text);
    let source_plan = match &settled {
        Ok(strategy) => source::plan(strategy, &settings.source, launch.ca_pem.as_deref())?,
        // Said with its place when the maker is built.
        Err(_) => None,
    };
    let second = SecondSource::open(source_plan, &clock, instruments.len(), &mut progress)?;
    let mut recipe = recipe(&launch.settings, &launch.strategy, &instruments, run)?;
    recipe.instruments[0].source = second.source;
    recipe.watched.extend(second.watched);
    let maker = recipe.build()?;
    let mut known = instruments.clone();
    known.extend(recipe.watched.iter().map(|part| part.instrument.clone()));

    progress(&format!("making the run directory {}", launch.run_dir.display()));
    let symbols: Vec<String> = instruments
        .iter()
        .map(|terms| terms.symbol.to_string())
        .chain(recipe.watched.iter().map(|part| format!("{}@{}", part.instrument.symbol, part.product)))
        .collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut half_made = HalfMade(None);
    let run_dir = make_run_dir(&launch, &recipe, &mut half_made)?;
    let (writer, segments) = journal::start(journal_settings(settings, &run_dir, run), clock.now())?;
    let [engine_counters, sender_counters, housekeeper_counters] = counters::create(&run_dir.counters(), &symbols)?;
    sender_counters.set(counters::Slot::OrdersLimit, i64::from(quotas.orders_10s.min(settings.risk.orders_per_10s)));
    sender_counters.set(counters::Slot::WeightLimit, i64::from(quotas.weight_1m));
    let mut stages = histogram::create(&run_dir.histograms())?;
    let [engine_watch, sender_watch] = command_page::create(&run_dir.command())?;

    let run_name = run_dir.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let alerts = Alerts::new(
        settings,
        &instruments,
        quotas.weight_1m,
        counters::CounterReader::open(&run_dir.counters())?,
        engine_watch.alerts_seen(),
        run_dir.path().to_path_buf(),
        Sinks::open(&run_dir.alerts(), &run_name, &settings.alerts),
    );

    let mut notices = Vec::new();
    if settings.threads.mlock {
        notices.extend(memory::lock_memory().err());
    }

    let (orders_in, orders_out) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
    let (answers_in, answers_out) = rtrb::RingBuffer::new(ANSWERS_CAPACITY);
    let (control_in, control_out) = rtrb::RingBuffer::new(CONTROL_CAPACITY);
    let (used_in, used_out) = rtrb::RingBuffer::new(CONTROL_CAPACITY);
    let (errands_in, errands_out) = bounded(ERRANDS_CAPACITY);
    let (deliveries_in, deliveries_out) = bounded(ERRANDS_CAPACITY);
    let (rest_in, rest_out) = bounded(ERRANDS_CAPACITY);
    let (news_in, news_out) = bounded(NEWS_CAPACITY);
    let (wishes_in, wishes_out) = bounded(NEWS_CAPACITY);

    let engine_poller = Poller::new(settings.threads.wait).context("poll set of the engine")?;
    let sender_poller = Poller::new(settings.threads.wait).context("poll set of the I/O thread")?;
    let (engine_wake, sender_wake) = (engine_poller.wake_handle(), sender_poller.wake_handle());
    let stop = Arc::new(AtomicBool::new(false));
    let reload = ReloadRequest::default();
    let engine_gone = Arc::new(AtomicBool::new(false));
    let breakage = Arc::new(Breakage::default());
    let faults = memory::FaultWatch::default();
    let rest_only = settings.orders.entry == settings::OrderEntry::Rest;

    let core = Core::new(CoreParts {
        maker,
        instruments: known,
        journal: writer,
        orders: OrderSink::new(orders_in),
        io_wake: sender_wake.clone(),
        counters: engine_counters,
        stages: &mut stages,
        watch: engine_watch,
        stamps: settings.journal.stamps,
    });
    let feed = |number: usize, instrument: InstrumentId| Feed {
        origin: Origin { feed: number as u16, instrument },
        carries_book: number != MARKET_FEED,
        place: Place::default(),
    };
    let mut feeds = vec![feed(PUBLIC_FEED, InstrumentId(0)), feed(MARKET_FEED, InstrumentId(0))];
    let watched: Vec<WatchedDecoder> = second.decoder.into_iter().collect();
    feeds.extend(watched.iter().map(|decoder| feed(SOURCE_FEED, decoder.id())));
    let turn = Turn {
        clock: clock.clone(),
        poller: engine_poller,
        feeds,
        decoder: MarketDecoder::new(&instruments),
        watched,
        traded: instruments.len(),
        core,
        answers: answers_out,
        control: control_out,
        used: used_in,
        run,
        direct: settings.market.poll == settings::Poll::Direct,
        silence_max: Nanos((settings.risk.stale_after * 2).0.max(FEED_SILENCE.0)),
        passes: 0,
        stop: Arc::clone(&stop),
        breakage: Arc::clone(&breakage),
        faults: faults.clone(),
    };
    let sender = Sender {
        clock: clock.clone(),
        poller: sender_poller,
        instruments: instruments.clone(),
        prefix,
        orders: orders_out,
        answers: answers_in,
        engine_wake: engine_wake.clone(),
        deliveries: deliveries_out,
        errands: errands_in,
        rest_orders: rest_in,
        encoder: OrderEncoder::new(
            prefix,
            launch.hedge,
            settings.orders.recv_window,
            Signer::new(&launch.credentials)?,
        ),
        decoder: PrivateDecoder::new(&instruments, prefix),
        limits: Limits::new(Quotas {
            orders_10s: quotas.orders_10s.min(settings.risk.orders_per_10s),
            orders_1m: quotas.orders_1m.min(settings.risk.orders_per_min),
            ..quotas
        }),
        budget: Arc::clone(&budget),
        offset: Arc::clone(&offset),
        watch: sender_watch,
        counters: sender_counters,
        page: counters::CounterReader::open(&run_dir.counters())?,
        measured: Measured {
            ring_wait: stages.take(Stage::RingWait),
            encode: stages.take(Stage::Encode),
            write: stages.take(Stage::Write),
            tick_to_wire: stages.take(Stage::TickToWire),
            round_trip: stages.take(Stage::OrderRoundTrip),
        },
        reload: reload.clone(),
        rest_only,
        breakage: Arc::clone(&breakage),
    };
    let roots = launch.ca_pem.as_deref().map_or(Roots::WebPki, Roots::Pem);
    let endpoint = Endpoint { url: String::new(), tls: tls::client_config(roots)?, timeout: CALL_TIMEOUT };
    let housekeeper = Housekeeper {
        clock: clock.clone(),
        caller: desk,
        instruments: instruments.clone(),
        prefix,
        addresses: addresses(settings),
        endpoint,
        control: control_in,
        engine_wake,
        used: used_out,
        errands: errands_out,
        deliveries: deliveries_in.clone(),
        sender_wake: sender_wake.clone(),
        segments,
        counters: housekeeper_counters,
        page: counters::CounterReader::open(&run_dir.counters())?,
        alerts,
        run,
        dead_man: settings.orders.dead_man,
        rest_only,
        connection_life: launch.connection_life.min(CONNECTION_LIFE),
        stop: Arc::clone(&stop),
        breakage: Arc::clone(&breakage),
        engine_gone: Arc::clone(&engine_gone),
        engine_faults: faults,
        settings: SettingsFile::watch(&launch.strategy, InstrumentId(0), reload.clone()),
        source_news: news_out,
        source_wishes: wishes_in,
    };
    let rest_desk = RestDesk {
        clock: clock.clone(),
        caller: caller()?,
        instruments: instruments.clone(),
        prefix,
        hedge: launch.hedge,
        orders: rest_out,
        deliveries: deliveries_in,
        wake: sender_wake,
    };

    progress("connecting market data, private stream and order entry");
    let (engine_core, io_core) = (settings.threads.engine_core, settings.threads.io_core);
    let (pinned_in, pinned_out) = bounded(2);
    let engine_pinned = pinned_in.clone();
    half_made.0 = None;
    let housekeeper = spawn("housekeeper", move || housekeeper.run())?;
    // Nobody waits for these at the end: they may hang in a call, and hold nothing that must be finished.
    drop(spawn("rest-orders", move || rest_desk.run())?);
    let over = Arc::clone(&engine_gone);
    match second.work {
        Some(SourceWork::Market(market)) => drop(spawn("source", move || market.run(&wishes_out, &news_in, &over))?),
        Some(SourceWork::Polled(poller)) => drop(spawn("source", move || poller.run(&news_in, &over))?),
        None => {}
    }
    let sender = spawn("io", move || {
        let _ = pinned_in.send(pin::pin("I/O", io_core.map(|core| core as usize)));
        sender.run();
    })?;
    let gone = RaiseAtEnd(Arc::clone(&engine_gone));
    let engine = spawn("engine", move || {
        let _ = engine_pinned.send(pin::pin("engine", engine_core.map(|core| core as usize)));
        let _gone = gone;
        turn.run()
    })?;
    notices.extend(pinned_out.iter().take(2).filter_map(Result::err));
    let dead_man = settings.orders.dead_man.is_some();
    let live_dir = live_dir(settings, &run_dir);
    Ok(Running {
        run_dir,
        instruments,
        notices,
        stop,
        prefix,
        engine,
        sender,
        housekeeper,
        caller: last,
        engine_gone,
        dead_man,
        live_dir,
        breakage,
    })
}

impl Running {
    /// Asks for an orderly end: orders are cancelled first.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// For tests of what must work when a thread does not. Nothing outside this process can break one.
    #[must_use]
    pub fn breakage(&self) -> Arc<Breakage> {
        Arc::clone(&self.breakage)
    }

    /// True once the engine thread has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.engine.is_finished()
    }

    /// Waits for the threads, makes sure at the venue that nothing of ours is left, and files the journal away.
    ///
    /// # Errors
    /// A thread panicked, or does not end. Orders are cancelled by REST even then; the message says what is known of them.
    pub fn join(self) -> Result<Ended> {
        let Self { run_dir, instruments, prefix, engine, sender, housekeeper, engine_gone, dead_man, live_dir, .. } =
            self;
        let mut caller = self.caller;
        let mut broken = Vec::new();
        let engine = end_of("engine", engine, ENGINE_END_MAX, &mut broken);
        let stuck = engine.is_none() && !engine_gone.load(Ordering::Acquire);
        // Whatever is left of an engine that did not end as it should must not add anything, and is not waited for.
        if engine.is_none() {
            let why = command_page::Signature::new("the end of the run", &broken.join(", "));
            let killed = command_page::CommandPage::open(&run_dir.command()).map(|page| page.kill(wall(), &why));
            broken.extend(killed.err().map(|error| format!("the kill flag cannot be raised: {error}")));
            engine_gone.store(true, Ordering::Release);
        }
        if stuck {
            // Nor does the I/O thread then, which serves it: it gets the time to hear of the kill.
            end_of("I/O", sender, KILL_HEARD_MAX, &mut Vec::new());
        } else {
            end_of("I/O", sender, OTHERS_END_MAX, &mut broken);
        }
        let mut problems = Vec::new();
        if !caller.wait_for_hearing(HEARING_MAX) {
            problems.push(
                "the venue wants silence for longer; it was asked all the same, because orders may be open".to_owned(),
            );
            caller = caller.insisting();
        }
        // Before anything that may take long.
        let mut sweep = Sweep::of(&caller, &instruments, &prefix);
        let segments = end_of("housekeeper", housekeeper, OTHERS_END_MAX, &mut broken);
        if !broken.is_empty() {
            // It may have been in the middle of a call.
            let again = Sweep::of(&caller, &instruments, &prefix);
            sweep = Sweep { cancelled: sweep.cancelled + again.cancelled, ..again };
        }
        if sweep.cancelled > 0 {
            problems.push(format!("{} orders were still open and were cancelled by REST", sweep.cancelled));
        }
        problems.extend(sweep.errors);
        // Only with nothing of ours open: the switch is our last safety.
        for terms in instruments.iter().filter(|_| dead_man && sweep.open == Some(0)) {
            if let Err(error) = caller.json(&rest::dead_man(&terms.symbol, Nanos::ZERO)) {
                problems.push(format!("the dead-man switch is still armed: {error}"));
            }
        }
        match segments.map(Segments::finish) {
            Some(Err(error)) => problems.push(format!("journal: {error}")),
            // Empty now; what is not empty stays.
            Some(Ok(())) => drop(live_dir.map(std::fs::remove_dir)),
            None => problems.push("the journal's last segment stays as it is".to_owned()),
        }
        match engine {
            Some(engine) if broken.is_empty() => {
                Ok(Ended { engine, open_orders: sweep.open, position: sweep.position, problems })
            }
            _ => {
                let open = match sweep.open {
                    Some(0) => "no order of ours is open at the venue".to_owned(),
                    Some(count) => format!("{count} ORDERS OF OURS ARE STILL OPEN AT THE VENUE"),
                    None => "WHETHER ORDERS ARE OPEN AT THE VENUE IS NOT KNOWN".to_owned(),
                };
                problems.insert(0, open);
                anyhow::bail!("{}: {}", broken.join(", "), problems.join("; "))
            }
        }
    }
}

/// What the venue says at the end of a run, once everything of ours was cancelled.
struct Sweep {
    cancelled: usize,
    /// Orders of ours that are still open, if the venue could be asked.
    open: Option<usize>,
    /// The net position, if the venue could be asked.
    position: Option<Lots>,
    errors: Vec<String>,
}

impl Sweep {
    /// Asks again where there is no answer: nobody looks after us.
    fn of(caller: &Caller, instruments: &[Instrument], prefix: &Prefix) -> Self {
        let mut all = Self { cancelled: 0, open: Some(0), position: Some(Lots::ZERO), errors: Vec::new() };
        for (at, terms) in instruments.iter().enumerate() {
            let id = InstrumentId(at as u16);
            let mut look = || -> Result<(usize, Lots)> {
                all.cancelled += cancel_ours(caller, id, terms, prefix)?;
                leftovers(caller, id, terms, prefix)
            };
            let mut found = look();
            for _ in 1..LAST_TRIES {
                if found.is_ok() {
                    break;
                }
                std::thread::sleep(LAST_PAUSE);
                found = look();
            }
            match found {
                Ok((open, net)) => {
                    all.open = all.open.map(|sum| sum + open);
                    all.position = all.position.map(|sum| sum + net);
                }
                Err(error) => {
                    all.errors.push(format!("{}: open orders and position are not known: {error:#}", terms.symbol));
                    (all.open, all.position) = (None, None);
                }
            }
        }
        all
    }
}

/// What a thread came to; `None`, and a line in `broken`, if it panicked or does not end.
fn end_of<T>(name: &str, thread: JoinHandle<T>, most: Duration, broken: &mut Vec<String>) -> Option<T> {
    let begun = Instant::now();
    while !thread.is_finished() {
        if begun.elapsed() > most {
            broken.push(format!("the {name} thread does not end"));
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    thread.join().map_err(|_| broken.push(format!("the {name} thread panicked"))).ok()
}

/// A run directory of ours whose run has not begun. A start that fails, as for want of room, takes it away again, so that nobody takes
/// it for a run and the same command can be given once more.
struct HalfMade(Option<PathBuf>);

impl Drop for HalfMade {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Sets its flag when it goes, after a panic too.
struct RaiseAtEnd(Arc<AtomicBool>);

impl Drop for RaiseAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn spawn<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).with_context(|| format!("starting the {name} thread"))
}

fn terms(caller: &Caller, symbol: &str) -> Result<(Instrument, Quotas)> {
    let request = rest::exchange_info();
    let reply = caller.call(&request)?;
    if let Err(error) = rest::body(reply.status, &reply.body) {
        return Err(CallError::Venue { path: request.path, error }.into());
    }
    let mut terms = instrument(&reply.body, symbol)?;
    let fees = caller.json(&rest::commission_rate(symbol)).context("the account's fees")?;
    (terms.maker_fee, terms.taker_fee) =
        rest::commission(&fees).context("the account's fees are missing in the venue's answer")?;
    Ok((terms, quotas(&reply.body)?))
}

fn check_skew(skew: Nanos, most: Nanos) -> Result<()> {
    anyhow::ensure!(
        most.is_zero() || skew.abs() <= most,
        "the venue's clock is {} ms ahead of ours, risk.clock_skew_max allows {} ms: synchronise this host's clock (T-TIME-SYNC)",
        skew.as_millis(),
        most.as_millis()
    );
    Ok(())
}

/// Sets what the strategy needs of the account. "No change" is what is wanted.
fn prepare_account(caller: &Caller, terms: &Instrument, leverage: u32, hedge: bool) -> Result<()> {
    match caller.json(&rest::position_mode(hedge)) {
        Ok(_) => {}
        Err(CallError::Venue { error, .. }) if error.code == -4059 => {}
        Err(error) => {
            let mode = if hedge { "hedge" } else { "one-way" };
            return Err(error).with_context(|| {
                format!("setting {mode} position mode (it cannot change while orders or positions are open)")
            });
        }
    }
    caller.json(&rest::leverage(&terms.symbol, leverage)).with_context(|| format!("setting leverage {leverage}"))?;
    Ok(())
}

/// The second price source as the parts of a run see it.
#[derive(Default)]
struct SecondSource {
    /// For the maker.
    source: Option<Source>,
    /// For the recipe.
    watched: Option<WatchedRecipe>,
    /// For the engine thread.
    decoder: Option<WatchedDecoder>,
    /// For the thread that serves it.
    work: Option<SourceWork>,
}

enum SourceWork {
    Market(Box<WatchedMarket>),
    Polled(PricePoller),
}

impl SecondSource {
    /// Asks a watched market for its terms; its number is `first`, behind the traded instruments.
    fn open(plan: Option<SourcePlan>, clock: &Clock, first: usize, progress: &mut impl FnMut(&str)) -> Result<Self> {
        match plan {
            None => Ok(Self::default()),
            Some(SourcePlan::Polled(plan)) => Ok(Self {
                source: Some(Source::Polled { stale_after: plan.stale_after() }),
                work: Some(SourceWork::Polled(plan.open(InstrumentId(0))?)),
                ..Self::default()
            }),
            Some(SourcePlan::Market(plan)) => {
                let (id, product, stale_after) = (InstrumentId(first as u16), plan.product, plan.stale_after);
                progress(&format!("asking for the terms of the price source {}", plan.symbol));
                let (instrument, market) = plan.open(clock, id, SOURCE_FEED)?;
                Ok(Self {
                    source: Some(Source::Market { instrument: id, stale_after }),
                    decoder: Some(WatchedDecoder::new(product, id, &instrument)),
                    watched: Some(WatchedRecipe { instrument, product: product.name().to_owned() }),
                    work: Some(SourceWork::Market(Box::new(market))),
                })
            }
        }
    }
}

/// Seconds of the clock: never zero, and a later run on the account has a higher one.
fn run_number(now: Nanos) -> u32 {
    u32::try_from(now.0 / 1_000_000_000 % i64::from(u32::MAX)).unwrap_or(1).max(1)
}

/// What the maker of a run is built from: one strategy on the first of `instruments`.
///
/// # Errors
/// A limit of the settings is less than a lot.
pub fn recipe(
    settings: &EngineSettings,
    strategy: &StrategyText,
    instruments: &[Instrument],
    run: u32,
) -> Result<Recipe> {
    let risk = &settings.risk;
    let terms = &instruments[0];
    let lots = |amount: crate::unit::Amount, key: &str| -> Result<Lots> {
        let count = i64::try_from(amount.0 / terms.lot.atto()).unwrap_or(i64::MAX);
        anyhow::ensure!(count > 0, "{key} is less than one lot ({}) of {}", terms.lot, terms.symbol);
        Ok(Lots(count))
    };
    let interval = Nanos::from_secs(1);
    let limits = RiskLimits {
        position_max: lots(risk.position_max, "risk.position_max")?,
        order_qty_max: lots(risk.order_qty_max, "risk.order_qty_max")?,
        order_notional_max: risk.order_notional_max,
        price_band: risk.price_band,
        orders_max: risk.orders_per_10s.min(risk.messages_per_s),
        messages_max: risk.messages_per_s,
        cancel_headroom: risk.cancel_headroom,
        interval,
        loss_max: risk.loss_max,
        // The venue's time is read by our clock, so a difference of the clocks is no age.
        data_age_max: if risk.stale_after.is_zero() { Nanos::ZERO } else { risk.stale_after + risk.clock_skew_max },
        skew_max: risk.clock_skew_max,
    };
    let defaults = MakerConfig::new(run, limits);
    let config = MakerConfig {
        amend: risk.amend,
        leftovers: match risk.leftovers {
            crate::config::engine::Leftovers::Cancel => Leftovers::Cancel,
            crate::config::engine::Leftovers::Adopt => Leftovers::Adopt,
        },
        ack_timeout: settings.orders.ack_timeout,
        // A new order is believed absent when that was said twice, this far apart: by then the venue would not take it any more.
        query_grace: defaults.query_grace.max(Nanos((settings.orders.recv_window.0 + 1) / 2)),
        market_stale: risk.stale_after,
        ..defaults
    };
    let cadence = settings.market.tick_interval.map_or(Cadence::EveryEvent, Cadence::Interval);
    let strategy = InstrumentRecipe { instrument: terms.clone(), strategy: strategy.clone(), cadence, source: None };
    Ok(Recipe { config, instruments: vec![strategy], watched: Vec::new() })
}

fn make_run_dir(launch: &Launch, recipe: &Recipe, half_made: &mut HalfMade) -> Result<RunDir> {
    let path = &launch.run_dir;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    std::fs::create_dir(path).with_context(|| format!("making the run directory {}", path.display()))?;
    half_made.0 = Some(path.clone());
    let run_dir = RunDir::new(path);
    let meta = serde_json::json!({
        "spinquote": env!("CARGO_PKG_VERSION"),
        "recipe": recipe.to_json(),
        "run": launch.description,
        "host": host(),
    });
    let text = serde_json::to_string_pretty(&meta).context("meta.json")?;
    std::fs::write(run_dir.meta(), text).with_context(|| format!("writing {}", run_dir.meta().display()))?;
    Ok(run_dir)
}

/// What tells whether two runs' latencies can be compared.
fn host() -> serde_json::Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned));
    serde_json::json!({
        "cpu": model,
        "cores": pin::cores_available(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim(),
    })
}

/// The folder of this run's live segments: runs share `journal.live_dir`, and a killed one leaves its segments there.
fn live_dir(settings: &EngineSettings, run_dir: &RunDir) -> Option<PathBuf> {
    let name = run_dir.path().file_name()?.to_string_lossy();
    settings.journal.live_dir.as_ref().map(|dir| dir.join(format!("spinquote-{name}-{}", std::process::id())))
}

fn journal_settings(settings: &EngineSettings, run_dir: &RunDir, run: u32) -> JournalSettings {
    let journal = &settings.journal;
    JournalSettings {
        live_dir: live_dir(settings, run_dir),
        segment_bytes: usize::try_from(journal.segment_bytes).unwrap_or(usize::MAX),
        bytes_max: journal.bytes_max,
        retention: match journal.keep {
            settings::Keep::Stop => Retention::Stop,
            settings::Keep::DropOldest => Retention::DropOldest,
        },
        lock: settings.threads.mlock,
        ..JournalSettings::new(run_dir.clone(), run, ClockSource::Counter)
    }
}

fn addresses(settings: &EngineSettings) -> Addresses {
    let venue = &settings.venue;
    Addresses {
        public: venue.public_ws_url.clone(),
        market: venue.market_ws_url.clone(),
        private: venue.private_ws_url.clone(),
        order: venue.order_ws_url.clone(),
        depth: match settings.market.depth_stream {
            settings::DepthStream::Fastest => "0ms",
            settings::DepthStream::Every100ms => "100ms",
        },
    }
}

/// How many orders of ours are open, and the net position.
fn leftovers(caller: &Caller, id: InstrumentId, terms: &Instrument, prefix: &Prefix) -> Result<(usize, Lots)> {
    let orders = caller.json(&rest::open_orders(&terms.symbol))?.to_string();
    let orders = rest::open_order_events(orders.as_bytes(), id, terms, prefix).map_err(anyhow::Error::msg)?;
    let ours = orders.iter().filter(|order| order.client_id != ClientId::default()).count();
    let positions = caller.json(&rest::positions(&terms.symbol))?;
    let positions = rest::position_events(&positions, id, terms).map_err(anyhow::Error::msg)?;
    let net = positions.iter().fold(Lots::ZERO, |sum, event| match event {
        AccountEvent::Position { qty, .. } => sum + *qty,
        _ => sum,
    });
    Ok((ours, net))
}

/// A run directory's name: the time, so that the newest is last in a listing.
#[must_use]
pub fn run_name(now: Nanos) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(now.0)).unwrap_or_default();
    time.strftime("%Y%m%d-%H%M%S").to_string()
}

/// A run directory under `dir` that does not exist yet.
#[must_use]
pub fn new_run_dir(dir: &Path, now: Nanos) -> PathBuf {
    let name = run_name(now);
    let with = |suffix: String| dir.join(format!("{name}{suffix}"));
    std::iter::once(with(String::new()))
        .chain((2..).map(|n| with(format!("-{n}"))))
        .find(|path| !path.exists())
        .expect("endless")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maker::recipe::StrategyKind;

    #[test]
    fn a_new_order_is_given_up_only_when_the_venue_would_not_take_it_any_more() {
        let terms = [Instrument::synthetic("BTCUSDT", "0.1", "0.001")];
        let kind = StrategyKind::PerpetualMarketMaking;
        let strategy = StrategyText { kind, file: String::new(), text: String::new() };
        let mut settings = EngineSettings::demo();
        for (window, grace) in [(100, 1_000), (5_000, 2_500), (60_000, 30_000)] {
            settings.orders.recv_window = Nanos::from_millis(window);
            let config = recipe(&settings, &strategy, &terms, 1).unwrap().config;
            assert_eq!(config.query_grace, Nanos::from_millis(grace));
            assert!(config.query_grace * 2 >= settings.orders.recv_window);
        }
    }
}
