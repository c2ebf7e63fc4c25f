//! `spinquote backtest`: a strategy over the past. Reads the files, runs the world, prints what it came to; decides nothing.

use super::{convert, demo, run as live, summary, trade};
use crate::cli::{BacktestArgs, ModelArgs};
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use spinquote::config::engine::EngineSettings;
use spinquote::config::load::{self, Strategy, Target};
use spinquote::config::problem::Problem;
use spinquote::engine::wiring;
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::RunDir;
use spinquote::maker::recipe::{Recipe, StrategyText};
use spinquote::maker::strategy::Cadence;
use spinquote::maker::{InstrumentSetup, Maker};
use spinquote::replay::backtest::{
    Agreement, Deeds, FeedTape, Outcome, ReportWatch, Requote, Settings, SourceTape, SyntheticTape, Tape, Watch, World,
    latency_text, measured, parse_latency,
};
use spinquote::replay::feed::{DataReport, Feed, Source};
use spinquote::replay::player::read_recipe;
use spinquote::report::{Collector, Counted, Kind, LimitOf, Report, Setup};
use spinquote::sim::latency::Latency;
use spinquote::sim::market::{Schedule, SyntheticMarket};
use spinquote::unit::{Lots, Nanos};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// The synthetic market begins here, so that one seed is one session whenever it is run: two minutes before funding is charged.
const SYNTHETIC_START: Nanos = Nanos::from_secs(1_750_003_080);
/// The run's number in client order ids.
const RUN: u32 = 1;

/// The benchmark's strategy, in place of a file: [`Requote`] on BTCUSDT data.
const REQUOTE: &str = "requote";

pub fn run(args: &BacktestArgs) -> Result<ExitCode> {
    trade::log("error");
    if args.strategy.is_dir() {
        return beside(args);
    }
    if args.strategy.as_os_str() == REQUOTE {
        return requote(args);
    }
    ensure!(
        !args.model.data.is_empty() || args.model.synthetic.is_some(),
        "no market: name files with --data, or a span with --synthetic"
    );
    let text = load::read_text(&args.strategy).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let (text, strategy) = demo::parse(&args.strategy.display().to_string(), text, Target::Demo)?;
    let data = Data::open(&args.model, &strategy)?;
    let job = Job::new(&args.model, &data, text, &strategy)?;
    let bar = ProgressBar::new(100);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {eta} left  {msg}").context("the bar's form")?,
    );
    let watch = job.watch(&args.strategy.display().to_string(), &args.model);
    let done = job.run(&data, watch, &bar)?;
    bar.finish_and_clear();
    tell(args, &job, done)
}

fn tell(args: &BacktestArgs, job: &Job, done: Done<ReportWatch>) -> Result<ExitCode> {
    let Done { outcome, watch, maker, seconds, data: faults } = done;
    let report = finish(watch, &maker, &outcome, faults.as_ref());
    if let Some(out) = &args.out {
        let page = if out.extension().is_some_and(|end| end == "json") { report.json() } else { report.html() };
        std::fs::write(out, page).with_context(|| out.display().to_string())?;
    }
    let text = if args.json {
        format!("{:#}\n", figures(job, &outcome, seconds, &report, faults.as_ref()))
    } else {
        summary_text(job, &outcome, seconds, &report, faults.as_ref())
    };
    std::io::stdout().write_all(text.as_bytes()).context("stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// A run that happened, over what it heard and with the latencies it measured, beside what it did.
fn beside(args: &BacktestArgs) -> Result<ExitCode> {
    let run = &args.strategy;
    ensure!(
        args.model.data.is_empty() && args.model.synthetic.is_none() && args.model.latency.is_none(),
        "a run directory brings its strategy, its data and its latencies: leave --data, --synthetic and --latency out"
    );
    let recipe = read_recipe(&RunDir::new(run).meta())?;
    let [traded] = &recipe.instruments[..] else { bail!("{}: the run has several instruments", run.display()) };
    let (text, strategy) = demo::parse(&traded.strategy.file, traded.strategy.text.clone(), Target::Demo)?;
    let mut model = args.model.clone();
    model.data = vec![run.clone()];
    model.latency = Some(run.display().to_string());
    let data = Data::Files(traded.instrument.clone(), InstrumentId(0), Mutex::new(None));
    let mut job = Job::new(&model, &data, text, &strategy)?;
    let happened = Deeds::of_run(run)?;
    job.recipe = Some(recipe.clone());
    let settings = &mut job.settings;
    (settings.links_at, settings.stop_at) = (happened.links_at, happened.stop_at);
    settings.answered_at = happened.answered_at;
    settings.deposit = happened.wallet.unwrap_or(settings.deposit);
    let watch = (job.watch(&run.display().to_string(), &model), Deeds::default());
    let done = job.run(&data, watch, &ProgressBar::hidden())?;
    let (report, deeds) = done.watch;
    let agreement = Agreement::of(&happened, &deeds);
    let mut done =
        Done { watch: report, outcome: done.outcome, maker: done.maker, seconds: done.seconds, data: done.data };
    done.watch.collector.note(agreement_text(&agreement));
    if !args.json {
        let code = tell(args, &job, done)?;
        std::io::stdout().write_all(format!("{}\n", agreement_text(&agreement)).as_bytes()).context("stdout")?;
        return Ok(code);
    }
    let Done { outcome, watch, maker, seconds, data: faults } = done;
    let report = finish(watch, &maker, &outcome, faults.as_ref());
    let mut value = figures(&job, &outcome, seconds, &report, faults.as_ref());
    value["agreement"] = agreement.to_json();
    if let Some(out) = &args.out {
        std::fs::write(out, report.html()).with_context(|| out.display().to_string())?;
    }
    std::io::stdout().write_all(format!("{value:#}\n").as_bytes()).context("stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn agreement_text(agreement: &Agreement) -> String {
    let [run, backtest] = agreement.fills;
    let mut text = format!(
        "against the run: {backtest} fills here, {run} there, {} the same; {} and {} lots",
        agreement.matched, agreement.lots[1], agreement.lots[0]
    );
    if let Some(found) = &agreement.divergence {
        let _ = write!(
            text,
            "; first divergence after {} commands: the run sent {}, the backtest {}",
            found.after, found.run, found.backtest
        );
    }
    text
}

/// The benchmark.
fn requote(args: &BacktestArgs) -> Result<ExitCode> {
    let span = args.model.tick.context("requote needs --tick, the interval at which it decides")?;
    let text = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 20\nbid_spread: 0.01\n\
                ask_spread: 0.01\norder_amount: 0.005\norder_refresh_time: 1\n";
    let (text, strategy) = demo::parse(REQUOTE, text.to_owned(), Target::Demo)?;
    let data = Data::open(&args.model, &strategy)?;
    let mut job = Job::new(&args.model, &data, text, &strategy)?;
    let qty = Lots((5_000_000_000_000_000 / job.terms.lot.atto()).try_into().context("a lot of BTCUSDT")?);
    job.requote = Some((Requote::new(1, qty), span));
    let watch = job.watch(REQUOTE, &args.model);
    let done = job.run(&data, watch, &ProgressBar::hidden())?;
    tell(args, &job, done)
}

/// Where the market comes from; read again by every run.
pub enum Data {
    /// One feed, mapped: shared by all runs.
    Feed(Box<Feed>, InstrumentId),
    /// Files that each run reads for itself, the first one those that were opened to find the instrument.
    Files(Instrument, InstrumentId, Mutex<Option<Opened>>),
    /// The seeded market.
    Synthetic(Instrument, Nanos, u64),
}

impl Data {
    /// Opens what the arguments name and finds the strategy's instrument in it.
    pub fn open(args: &ModelArgs, strategy: &Strategy) -> Result<Self> {
        if let Some(span) = args.synthetic {
            let symbol = strategy.symbol();
            let terms = super::market::synthetic_terms(&symbol)?;
            return Ok(Self::Synthetic(terms, span, args.market_seed));
        }
        let find = |instruments: &[Instrument]| {
            let wanted = strategy.symbol();
            let at = instruments.iter().position(|terms| terms.symbol.as_str() == wanted);
            let names = || instruments.iter().map(|terms| terms.symbol.to_string()).collect::<Vec<_>>().join(", ");
            at.map(|at| InstrumentId(at as u16))
                .with_context(|| format!("the strategy trades {wanted}, the data are of {}", names()))
        };
        if let [only] = &args.data[..]
            && is_feed(only)
        {
            let feed = Feed::open(only)?;
            let id = find(feed.instruments())?;
            return Ok(Self::Feed(Box::new(feed), id));
        }
        let opened = read(args)?;
        let id = find(opened.source.instruments())?;
        let terms = opened.source.instruments()[usize::from(id.0)].clone();
        Ok(Self::Files(terms, id, Mutex::new(Some(opened))))
    }

    /// The contract.
    pub fn terms(&self) -> &Instrument {
        match self {
            Self::Feed(feed, id) => &feed.instruments()[usize::from(id.0)],
            Self::Files(terms, ..) | Self::Synthetic(terms, ..) => terms,
        }
    }
}

/// Files that were opened.
pub struct Opened {
    source: Source,
    /// Wall time of it.
    seconds: f64,
}

/// Opens the files. Those that carry no terms are inflated and decoded here, to find their instruments.
fn read(args: &ModelArgs) -> Result<Opened> {
    let started = Instant::now();
    let source = Source::open(&args.data, &convert::options(&args.source))?;
    Ok(Opened { source, seconds: started.elapsed().as_secs_f64() })
}

fn is_feed(path: &Path) -> bool {
    let mut start = [0; 8];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && start == spinquote::replay::feed::layout::MAGIC
}

/// One backtest to run.
pub struct Job {
    args: ModelArgs,
    engine: EngineSettings,
    terms: Instrument,
    strategy: StrategyText,
    settings: Settings,
    /// In the place of what the settings make.
    recipe: Option<Recipe>,
    requote: Option<(Requote, Nanos)>,
}

/// What a run gives back.
pub struct Done<W> {
    /// The figures.
    pub outcome: Outcome,
    /// Who looked on.
    pub watch: W,
    /// The maker at the end.
    pub maker: Maker,
    /// Wall time of the run. Files other than our own feeds are inflated and decoded in it.
    pub seconds: f64,
    /// What was wrong with files.
    pub data: Option<DataReport>,
}

impl Job {
    /// Puts models and settings together.
    pub fn new(args: &ModelArgs, data: &Data, text: StrategyText, strategy: &Strategy) -> Result<Self> {
        let mut engine = match &args.engine {
            Some(path) => live::engine(path)?,
            None => EngineSettings::demo(),
        };
        if args.engine.is_none() {
            // A recording's receive clock is only known to the smallest latency.
            engine.risk.clock_skew_max = Nanos::from_secs(1);
        }
        if args.tick.is_some() {
            engine.market.tick_interval = args.tick;
        }
        let mut settings = Settings {
            queue: args.queue,
            seed: args.seed,
            deposit: args.deposit,
            timer: args.timer,
            leverage: strategy.leverage(),
            hedge: strategy.hedge(),
            ..Settings::default()
        };
        if let Some(latency) = &args.latency {
            if Path::new(latency).is_dir() {
                settings.delays.measured = measured(Path::new(latency))?;
            } else {
                parse_latency(latency, &mut settings).map_err(|wrong| anyhow::anyhow!("--latency {wrong}"))?;
            }
        }
        let mut terms = data.terms().clone();
        if let Some((maker, taker)) = args.fees {
            (terms.maker_fee, terms.taker_fee) = (maker, taker);
        }
        Ok(Self { args: args.clone(), engine, terms, strategy: text, settings, recipe: None, requote: None })
    }

    /// A maker as it was before its first event.
    fn maker(&self) -> Result<Maker> {
        if let Some(recipe) = &self.recipe {
            return Ok(recipe.build()?);
        }
        let mut recipe = wiring::recipe(&self.engine, &self.strategy, std::slice::from_ref(&self.terms), RUN)?;
        if let Some(span) = self.args.tick {
            recipe.instruments[0].cadence = Cadence::Interval(span);
        }
        if let Some((strategy, span)) = self.requote {
            let setup = InstrumentSetup {
                instrument: self.terms.clone(),
                strategy: Box::new(strategy),
                cadence: Cadence::Interval(span),
                source: None,
            };
            return Ok(Maker::new(recipe.config, vec![setup]));
        }
        Ok(recipe.build()?)
    }

    /// How long messages take, as `--latency` has it.
    fn latency_text(&self) -> String {
        if self.settings.delays.measured.is_empty() {
            return latency_text(&self.settings);
        }
        format!("as measured: {}", self.args.latency.as_deref().unwrap_or_default())
    }

    /// Fills a report.
    pub fn watch(&self, strategy: &str, args: &ModelArgs) -> ReportWatch {
        let data = args.data.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let data = if data.is_empty() { format!("synthetic, seed {}", args.market_seed) } else { data };
        let percent = |rate: spinquote::unit::Rate| format!("{} %", spinquote::unit::Rate(rate.0 * 100));
        let facts = [
            ("strategy", strategy.to_owned()),
            ("data", data),
            ("queue model", self.settings.queue.name().to_owned()),
            ("latency", self.latency_text()),
            ("maker fee", percent(self.terms.maker_fee)),
            ("taker fee", percent(self.terms.taker_fee)),
            ("seed", self.settings.seed.to_string()),
        ];
        let risk = &self.engine.risk;
        let limit = |what, window, max: u32| LimitOf { what, window, max: Some(u64::from(max)) };
        let collector = Collector::new(Setup {
            title: format!("{} · backtest", self.terms.symbol),
            kind: Kind::Backtest,
            facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            instruments: vec![self.terms.clone()],
            limits: vec![
                limit(Counted::Messages, Nanos::from_secs(1), risk.messages_per_s),
                limit(Counted::Orders, Nanos::from_secs(10), risk.orders_per_10s),
                limit(Counted::Orders, Nanos::from_secs(60), risk.orders_per_min),
            ],
        });
        ReportWatch::new(collector, 1)
    }

    /// Runs it; files are read again from their start.
    pub fn run<W: Watch>(&self, data: &Data, watch: W, bar: &ProgressBar) -> Result<Done<W>> {
        match data {
            Data::Feed(feed, only) => {
                let span = feed.span();
                let tape = FeedTape::new(feed.cursor(), *only);
                Ok(self.world(tape, watch, bar, span)?.0)
            }
            Data::Files(_, only, opened) => {
                let opened = opened.lock().map_err(|_| anyhow::anyhow!("another thread panicked"))?.take();
                let Opened { source, seconds } = opened.map_or_else(|| read(&self.args), Ok)?;
                let (mut done, tape) = self.world(SourceTape::new(source, *only), watch, bar, None)?;
                done.seconds += seconds;
                done.data = Some(tape.report().clone());
                Ok(done)
            }
            Data::Synthetic(terms, span, seed) => {
                let market = SyntheticMarket::new(terms.clone(), *seed, SYNTHETIC_START, Schedule::calm());
                let until = SYNTHETIC_START + *span;
                // The market's own frames need a way to us.
                let tape = SyntheticTape::new(market, until, Latency::Constant(Nanos::from_millis(1)), *seed);
                Ok(self.world(tape, watch, bar, Some((SYNTHETIC_START, until)))?.0)
            }
        }
    }

    fn world<T: Tape, W: Watch>(
        &self,
        tape: T,
        watch: W,
        bar: &ProgressBar,
        span: Option<(Nanos, Nanos)>,
    ) -> Result<(Done<W>, T)> {
        let mut world = World::new(tape, watch, self.maker()?, vec![self.terms.clone()], self.settings.clone())
            .map_err(anyhow::Error::msg)?;
        let started = Instant::now();
        let ran = world.run(|now| {
            if let Some((start, end)) = span {
                bar.set_position(((now - start).0.max(0) / ((end - start).0 / 100).max(1)).cast_unsigned());
            }
            true
        });
        let seconds = started.elapsed().as_secs_f64();
        ran?;
        let (outcome, watch, maker, tape) = world.finish();
        ensure!(outcome.records > 0, "the data hold no event of {}", self.terms.symbol);
        Ok((Done { outcome, watch, maker, seconds, data: None }, tape))
    }
}

/// The report, with what a reader must know of it.
pub fn finish(mut watch: ReportWatch, maker: &Maker, outcome: &Outcome, data: Option<&DataReport>) -> Report {
    watch.ledger(outcome.span.1, maker);
    for note in notes(outcome, data) {
        watch.collector.note(note);
    }
    watch.collector.finish()
}

fn notes(outcome: &Outcome, data: Option<&DataReport>) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.without_marks {
        notes.push(
            "No mark prices are in the data: no funding was charged, and margins were checked at the mid.".to_owned(),
        );
    }
    if outcome.lost > 0 {
        notes.push(format!("The market was lost {} times in the data; nothing was quoted meanwhile.", outcome.lost));
    }
    if outcome.liquidated {
        notes.push("The account was liquidated.".to_owned());
    }
    for book in data.iter().flat_map(|data| &data.books).filter(|book| book.rebuilt > 0) {
        notes.push(format!(
            "{}: the book was rebuilt from its changes {} times, without a snapshot.",
            book.symbol, book.rebuilt
        ));
    }
    for file in data.iter().flat_map(|data| &data.files) {
        notes.extend(file.faults().iter().map(|fault| file.describe(fault)));
    }
    notes
}

/// The JSON form: the fields of the demo's summary, and a backtest's own. Only `seconds` and `events_per_second` differ between equal runs.
pub fn figures(job: &Job, outcome: &Outcome, seconds: f64, report: &Report, data: Option<&DataReport>) -> Value {
    let terms = &job.terms;
    let base = |lots: Lots| terms.lot.text(lots.0).parse().unwrap_or(f64::NAN);
    let status = &outcome.statuses[0];
    let counters = &status.counters;
    let market = &report.markets[0];
    let (low, high) = outcome.position_range[0];
    json!({
        "symbol": terms.symbol.as_str(),
        "events": outcome.events,
        "seconds": seconds,
        "events_per_second": outcome.events as f64 / seconds.max(1e-9),
        "market_seconds": (outcome.span.1 - outcome.span.0).0 as f64 / 1e9,
        "records": outcome.records,
        "steps": outcome.steps,
        "seed": job.settings.seed,
        "queue": job.settings.queue.name(),
        "fees": {"maker": terms.maker_fee.to_string(), "taker": terms.taker_fee.to_string()},
        "fills": {"buy": counters.fills_buy, "sell": counters.fills_sell},
        "volume": {"buy": base(Lots(counters.bought.cast_signed())), "sell": base(Lots(counters.sold.cast_signed()))},
        "orders": {
            "new": counters.new, "amend": counters.amend, "cancel": counters.cancel, "rejected": counters.rejected,
            "refused": counters.refused, "unknown": counters.unknown, "queries": counters.query,
        },
        "book": {"gaps": counters.gaps, "resyncs": counters.resyncs, "crossed": counters.crossed, "lost": outcome.lost},
        "withdrawals": counters.withdrawn,
        "corrections": counters.corrections,
        "position": base(status.position),
        "position_min": base(low),
        "position_max": base(high),
        "venue_position": base(outcome.venue_positions[0]),
        "open_orders_at_venue": outcome.open_orders,
        "liquidated": outcome.liquidated,
        "wallet": summary::number(outcome.wallet),
        "pnl": {
            "spread": summary::number(status.pnl.spread), "inventory": summary::number(status.pnl.inventory),
            "fees": -summary::number(status.pnl.fees), "funding": summary::number(status.pnl.funding),
            "total": summary::number(status.pnl.total()),
        },
        "summary": market.summary,
        "markouts": market.markouts,
        "messages": report.messages,
        "notes": report.notes,
        "data": data.map(DataReport::to_json),
        "digest": format!("{:016x}", outcome.digest),
    })
}

fn summary_text(job: &Job, outcome: &Outcome, seconds: f64, report: &Report, data: Option<&DataReport>) -> String {
    let terms = &job.terms;
    let status = &outcome.statuses[0];
    let (counters, pnl) = (&status.counters, &status.pnl);
    let lots = |lots: Lots| terms.lot.text(lots.0);
    let mut out = String::new();
    let span = (outcome.span.1 - outcome.span.0).0 as f64 / 1e9;
    let rate = outcome.events as f64 / seconds.max(1e-9) / 1e6;
    let _ = writeln!(
        out,
        "{}: {span:.1} s of market, {} events in {seconds:.3} s ({rate:.1} million/s), queue {}",
        terms.symbol,
        outcome.events,
        job.settings.queue.name()
    );
    let number = summary::number;
    let _ = writeln!(
        out,
        "P&L {:+.4} {} = spread {:+.4}, inventory {:+.4}, fees {:+.4}, funding {:+.4}",
        number(pnl.total()),
        terms.quote,
        number(pnl.spread),
        number(pnl.inventory),
        -number(pnl.fees),
        number(pnl.funding)
    );
    let (low, high) = outcome.position_range[0];
    let _ = writeln!(
        out,
        "position {} {} (from {} to {}); fills {} buys, {} sells",
        lots(status.position),
        terms.base,
        lots(low),
        lots(high),
        counters.fills_buy,
        counters.fills_sell
    );
    let _ = writeln!(
        out,
        "orders {} new, {} amends, {} cancels, {} rejected, {} refused by the gate",
        counters.new, counters.amend, counters.cancel, counters.rejected, counters.refused
    );
    let figures = &report.markets[0].summary;
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{:.1} %", value * 100.0));
    let _ = writeln!(
        out,
        "max drawdown {:.4}, fill ratio {}, two-sided {}, turnover {:.2}",
        figures.max_drawdown,
        share(figures.fill_ratio),
        share(figures.two_sided),
        figures.turnover
    );
    for note in notes(outcome, data) {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// A strategy's text, checked; its warnings are told by who is asked to.
pub fn parsed(file: &str, text: String) -> Result<(StrategyText, Strategy, Vec<Problem>)> {
    if text.is_empty() {
        bail!("{file}: empty");
    }
    demo::parse_quietly(file, text, Target::Demo)
}
