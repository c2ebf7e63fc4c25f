//! A whole run in this process: the pretend venue on a free loopback port, the engine's threads against it, both looked at from
//! outside — the engine through its counters page, the venue through its own books.
#![allow(dead_code, reason = "each test binary uses its part")]

use spinquote::config::engine::{EngineSettings, Wait};
use spinquote::engine::breakage::{Condition, Part};
use spinquote::engine::clock::{Clock, wall};
use spinquote::engine::housekeeper::CONNECTION_LIFE;
use spinquote::engine::rest::{Caller, Rest};
use spinquote::engine::wiring::{self, Ended, Launch, Running};
use spinquote::event::{ClientId, Command, CommandKind, Operator, PositionSide, Side, TimeInForce};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::command_page::{CommandPage, Signature};
use spinquote::journal::counters::CounterReader;
use spinquote::journal::histogram::HistogramReader;
use spinquote::journal::{End, Reader, RunDir, record};
use spinquote::maker::recipe::{StrategyKind, StrategyText};
use spinquote::maker::{DecisionKind, Status};
use spinquote::replay::{self, Outcome};
use spinquote::sim::capture::CaptureMarket;
use spinquote::sim::fault::FaultScript;
use spinquote::sim::market::{MarketSource, Regime, Schedule, SyntheticMarket};
use spinquote::sim::order::{AccountId, Order};
use spinquote::sim::server::{AccountConfig, Server, ServerConfig, ServerCounts};
use spinquote::unit::{Lots, Money, Nanos, Rate, Ticks};
use spinquote::venue::binance::usdm::client_id::Prefix;
use spinquote::venue::binance::usdm::rest;
use spinquote::venue::binance::usdm::sign::{Credentials, KeyKind, Signer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const KEY: &str = "test-key";
pub const SECRET: &str = "test-secret";
/// How long a fact may take to come: no test waits this long on a healthy host, and a loaded one gets the time it needs.
pub const PATIENCE: Duration = Duration::from_secs(60);
const ACCOUNT: AccountId = AccountId(0);
const CONTRACT: InstrumentId = InstrumentId(0);

/// The synthetic market of one contract.
pub fn synthetic(seed: u64) -> Box<dyn MarketSource + Send> {
    let mut terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
    terms.price_places = 2;
    Box::new(SyntheticMarket::new(terms, seed, wall(), Schedule::calm()))
}

/// The same contract in a market that never rests: two seconds up, two seconds down. A quote that follows it sends messages all
/// the time, so a fault that strikes messages finds some in its window.
pub fn lively(seed: u64) -> Box<dyn MarketSource + Send> {
    let mut terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
    terms.price_places = 2;
    let trend = |second: i64| {
        let per_minute = Rate::from_bps(if second / 2 % 2 == 0 { 60 } else { -60 });
        (Nanos::from_secs(second), Regime::Trend { per_minute })
    };
    let schedule = Schedule::new((0..120).step_by(2).map(trend).collect()).unwrap();
    Box::new(SyntheticMarket::new(terms, seed, wall(), schedule))
}

/// A recording, or `None` with one line that says where it was looked for.
pub fn recording(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("SPINQUOTE_DATA").map_or_else(beside, PathBuf::from).join("binance_usdm").join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!(
        "no recording at {} (SPINQUOTE_DATA names the folder): the synthetic market is played instead",
        path.display()
    );
    None
}

/// A market that plays a recording, the synthetic one where it is missing.
pub fn recorded(name: &str) -> Box<dyn MarketSource + Send> {
    match recording(name) {
        Some(path) => Box::new(CaptureMarket::open(&path, None).expect("a recording that can be played")),
        None => synthetic(11),
    }
}

/// What to run.
pub struct Plan {
    pub market: Box<dyn MarketSource + Send>,
    /// As `spinquote sim --fault`; times count from the start of the venue.
    pub faults: &'static str,
    pub seed: u64,
    /// Lines behind the strategy's own; a key given here replaces the default one.
    pub strategy: Vec<(&'static str, &'static str)>,
    pub server: fn(&mut ServerConfig),
    /// Done at the venue before the engine comes.
    pub before: Option<Preparation>,
    pub engine: fn(&mut EngineSettings),
    /// How old a connection may become.
    pub connection_life: Nanos,
    /// The run directory lies in memory: on a disk the kernel write-protects pages while it writes them back, and the next store
    /// to one is a page fault.
    pub in_memory: bool,
}

/// Work at the venue.
pub type Preparation = Box<dyn FnOnce(&Venue)>;

impl Plan {
    pub fn on(market: Box<dyn MarketSource + Send>) -> Self {
        Self {
            market,
            faults: "",
            seed: 1,
            strategy: Vec::new(),
            server: |_| {},
            before: None,
            engine: |_| {},
            connection_life: CONNECTION_LIFE,
            in_memory: false,
        }
    }
}

/// Four levels a side close to the touch, requoted five times a second: a hundred messages and some fills in ten seconds.
pub fn near_touch(terms: &Instrument, bid: Ticks, changes: &[(&str, &str)]) -> String {
    let lot_worth = terms.notional(bid, Lots(1)).0.max(1);
    let lots = i64::try_from(250 * 10_i128.pow(18) / lot_worth + 1).unwrap();
    let market = format!("{}-{}", terms.base, terms.quote);
    let amount = terms.lot.text(lots).to_string();
    let mut lines = vec![
        ("strategy", "perpetual_market_making"),
        ("derivative", "binance_perpetual"),
        ("market", &market),
        ("leverage", "10"),
        ("position_mode", "One-way"),
        ("bid_spread", "0.001"),
        ("ask_spread", "0.001"),
        ("order_levels", "4"),
        ("order_level_spread", "0.001"),
        ("order_amount", &amount),
        ("order_refresh_time", "0.2"),
        ("filled_order_delay", "0.2"),
        ("long_profit_taking_spread", "0.001"),
        ("short_profit_taking_spread", "0.001"),
        ("stop_loss_spread", "0.006"),
        ("time_between_stop_loss_orders", "1"),
        ("stop_loss_slippage_buffer", "0.05"),
    ];
    for (key, value) in changes {
        lines.retain(|(name, _)| name != key);
        lines.push((key, value));
    }
    lines.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
}

/// Another client of the same account, by REST.
pub struct Venue {
    caller: Caller,
    terms: Instrument,
}

impl Venue {
    pub fn at(server: &Server, terms: &Instrument) -> Self {
        let credentials = Credentials { api_key: KEY.into(), secret: SECRET.into(), kind: KeyKind::Hmac };
        let ca = server.cert_pem().map(str::as_bytes);
        let rest = Rest::new(&server.rest_url(), ca, Some(KEY), Duration::from_secs(5)).unwrap();
        let offset = Arc::new(AtomicI64::new(0));
        let caller =
            Caller::new(rest, Some(Signer::new(&credentials).unwrap()), Clock::new(), offset, Nanos::from_secs(5));
        Self { caller, terms: terms.clone() }
    }

    /// Places a resting limit order whose client id begins with `prefix`.
    pub fn place(&self, prefix: &str, seq: u32, side: Side, price: Ticks, qty: Lots) {
        let command = Command {
            kind: CommandKind::New,
            side,
            tif: TimeInForce::Gtc,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: CONTRACT,
            generation: 1,
            client_id: ClientId { run: 1, seq },
            price,
            qty,
            decided_at: Nanos::ZERO,
        };
        let request = rest::order(&command, &self.terms, &Prefix::new(prefix).unwrap(), false).unwrap();
        self.caller.json(&request).unwrap_or_else(|error| panic!("placing: {error}"));
    }
}

/// A run under way.
pub struct Session {
    pub server: Server,
    pub started: Instant,
    pub terms: Instrument,
    pub dir: TempDir,
    running: Running,
    page: CounterReader,
    _turn: MutexGuard<'static, ()>,
}

/// Sessions of one test binary run one after the other: each has four busy threads, and a fault has to strike at its time.
static TURN: Mutex<()> = Mutex::new(());

fn my_turn() -> MutexGuard<'static, ()> {
    // A test that failed has no state that the next one could meet.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub fn start(plan: Plan) -> Self {
        let turn = my_turn();
        let Plan { market, faults, seed, strategy, server: shape, before, engine, connection_life, in_memory } = plan;
        let terms = market.instrument().clone();
        let bid = market.book().best(spinquote::event::Side::Buy).map_or(Ticks(1), |level| level.price);
        let text = near_touch(&terms, bid, &strategy);
        let mut config = ServerConfig::new(vec![market], vec![AccountConfig::new(KEY, SECRET)]);
        config.faults = FaultScript::parse(faults).expect("a fault script");
        config.seed = seed;
        shape(&mut config);
        let server = Server::start(config).expect("the venue starts");
        if let Some(before) = before {
            before(&Venue::at(&server, &terms));
        }
        let memory = Path::new("/dev/shm");
        let dir = if in_memory && memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self::attach_in(turn, dir.unwrap(), server, terms, text, engine, connection_life)
    }

    /// The engine against a venue that already runs.
    pub fn attach(server: Server, terms: Instrument, text: String, engine: fn(&mut EngineSettings)) -> Self {
        Self::attach_in(my_turn(), tempfile::tempdir().unwrap(), server, terms, text, engine, CONNECTION_LIFE)
    }

    fn attach_in(
        turn: MutexGuard<'static, ()>,
        dir: TempDir,
        server: Server,
        terms: Instrument,
        text: String,
        engine: fn(&mut EngineSettings),
        connection_life: Nanos,
    ) -> Self {
        let mut settings = EngineSettings::demo();
        settings.venue.rest_url = server.rest_url();
        settings.venue.public_ws_url = format!("{}/public", server.ws_url());
        settings.venue.market_ws_url = format!("{}/market", server.ws_url());
        settings.venue.private_ws_url = format!("{}/private", server.ws_url());
        settings.venue.order_ws_url = format!("{}/ws-fapi/v1", server.ws_url());
        settings.source.rest_url = Some(server.rest_url());
        settings.source.ws_url = Some(format!("{}/spot", server.ws_url()));
        // Several runs share few cores here.
        settings.threads.wait = Wait::Park;
        engine(&mut settings);
        let strategy = dir.path().join("near_touch.yml");
        std::fs::write(&strategy, &text).unwrap();
        let started = Instant::now();
        let running = wiring::start(
            Launch {
                settings,
                credentials: Credentials { api_key: KEY.into(), secret: SECRET.into(), kind: KeyKind::Hmac },
                ca_pem: server.cert_pem().map(|pem| pem.as_bytes().to_vec()),
                symbol: terms.symbol.to_string(),
                strategy: StrategyText {
                    kind: StrategyKind::PerpetualMarketMaking,
                    file: strategy.display().to_string(),
                    text,
                },
                leverage: 10,
                hedge: false,
                run_dir: dir.path().join("run"),
                connection_life,
                description: serde_json::json!({}),
            },
            |_| {},
        )
        .unwrap_or_else(|error| panic!("the run starts: {error:#}"));
        let page = CounterReader::open(&running.run_dir.counters()).unwrap();
        Self { server, started, terms, dir, running, page, _turn: turn }
    }

    /// A word of the counters page.
    pub fn count(&self, name: &str) -> i64 {
        self.page.named(name).unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// A word of the contract.
    pub fn of(&self, name: &str) -> i64 {
        self.count(&format!("{}/{name}", self.terms.symbol))
    }

    /// Both sides rest, as the engine sees it.
    pub fn quotes(&self) -> bool {
        self.of("own_bid") != 0 && self.of("own_ask") != 0
    }

    /// The largest value of a latency stage, nanoseconds.
    pub fn stage_max(&self, name: &str) -> u64 {
        let histograms = HistogramReader::open(&self.running.run_dir.histograms()).unwrap();
        histograms.stage(name).map_or(0, |stage| stage.max)
    }

    pub fn fills(&self) -> i64 {
        self.of("fills.buy") + self.of("fills.sell")
    }

    /// Waits until `wanted`, at most `within`.
    #[track_caller]
    pub fn until(&self, what: &str, within: Duration, wanted: impl FnMut(&Self) -> bool) {
        assert!(self.comes_to(what, within, wanted), "not within {within:?}: {what}; {}", self.describe());
    }

    /// Whether it does so within that time.
    pub fn comes_to(&self, what: &str, within: Duration, mut wanted: impl FnMut(&Self) -> bool) -> bool {
        let begun = Instant::now();
        while !wanted(self) {
            assert!(!self.running.is_over(), "the engine ended while waiting for: {what}");
            if begun.elapsed() >= within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Sleeps until `at` after the engine's start.
    pub fn run_until(&self, at: Duration) {
        std::thread::sleep(at.saturating_sub(self.started.elapsed()));
    }

    /// From now on the venue commits these faults (a script as of `spinquote sim --fault`, times counted from now) and no others.
    #[track_caller]
    pub fn strike(&self, faults: &str) {
        self.server.strike(FaultScript::parse(faults).expect("a fault script"));
    }

    /// Orders open at the venue, whoever placed them.
    pub fn venue_orders(&self) -> Vec<Order> {
        self.server.open_orders(ACCOUNT)
    }

    /// Changes the strategy's file as an editor does: whole, by renaming.
    pub fn rewrite(&self, change: impl FnOnce(&str) -> String) {
        let path = self.dir.path().join("near_touch.yml");
        let new = self.dir.path().join("near_touch.new");
        std::fs::write(&new, change(&std::fs::read_to_string(&path).unwrap())).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Raises the kill flag, as an operator does.
    pub fn kill(&self) {
        self.page_of_operators().kill(wall(), &Signature::new("test", ""));
    }

    /// Asks as an operator does; returns the command's number.
    pub fn ask(&self, verb: Operator) -> u64 {
        self.page_of_operators().request(verb, &Signature::new("test", "a test")).unwrap()
    }

    fn page_of_operators(&self) -> CommandPage {
        CommandPage::open(&self.running.run_dir.command()).unwrap()
    }

    /// Makes the engine thread loop without returning, or lets it go.
    pub fn wedge(&self, wedged: bool) {
        self.break_part(Part::Engine, if wedged { Condition::Stuck } else { Condition::Whole });
    }

    /// Makes a thread of the engine loop without returning, or panic.
    pub fn break_part(&self, part: Part, condition: Condition) {
        self.running.breakage().set(part, condition);
    }

    /// Ends a run that does not end well: what it says of itself, and what is open at the venue then.
    #[track_caller]
    pub fn end_broken(self) -> (String, Vec<Order>) {
        let Self { server, running, dir: _dir, .. } = self;
        let breakage = running.breakage();
        running.stop();
        let said = running.join().err().map_or_else(|| panic!("a broken run ended well"), |error| error.to_string());
        let open = server.open_orders(ACCOUNT);
        // A thread that loops must not do so for ever.
        breakage.set(Part::Engine, Condition::Whole);
        breakage.set(Part::Io, Condition::Whole);
        (said, open)
    }

    pub fn run_dir(&self) -> &Path {
        self.running.run_dir.path()
    }

    /// The venue's position.
    pub fn venue_position(&self) -> Lots {
        self.server.position(ACCOUNT, CONTRACT, PositionSide::Net)
    }

    pub fn is_over(&self) -> bool {
        self.running.is_over()
    }

    /// The state in one line, for a failure's message.
    pub fn describe(&self) -> String {
        format!(
            "at {:?}, venue {:?}, {} open there: {}",
            self.started.elapsed(),
            self.server.counts(),
            self.venue_orders().len(),
            counted(&self.page)
        )
    }

    /// Ends the run in order and gathers what both sides say of it.
    pub fn stop(self) -> Finished {
        let describe = self.describe();
        let Self { server, terms, dir, running, page, .. } = self;
        let run_dir = running.run_dir.path().to_path_buf();
        running.stop();
        let ended = running.join().expect("no thread panicked");
        let word = |name: &str| page.named(name).unwrap_or(0);
        let (allocations, page_faults) = (word("engine.allocations"), word("engine.page_faults"));
        let protocol_errors = word("engine.protocol_errors") + word("engine.decode_errors");
        let sent = word("sender.orders_new") + word("sender.orders_amend") + word("sender.orders_cancel");
        server.stop();
        let describe = format!("{describe}; refused by the gate: {:?}", refusals(&run_dir));
        let replayed = replay::replay(&run_dir, |_| {}).expect("the run can be read");
        let prefix = Prefix::new(&EngineSettings::demo().orders.id_prefix).unwrap();
        let (open, foreign) =
            server.open_orders(ACCOUNT).into_iter().partition(|order| prefix.parse(&order.client_id).is_some());
        let position = server.position(ACCOUNT, CONTRACT, PositionSide::Net);
        let mid = ended.engine.statuses[0].mid;
        let contract = terms.clone();
        let profit = server.with(move |exchange, _| {
            let account = exchange.account(ACCOUNT);
            account.ledger().profit() + account.position(CONTRACT, PositionSide::Net).unrealized(&contract, mid)
        });
        Finished {
            counts: server.counts(),
            venue_error: server.error(),
            status: ended.engine.statuses[0],
            ended,
            open,
            foreign,
            position,
            profit,
            allocations,
            page_faults,
            protocol_errors,
            sent,
            replayed,
            describe,
            dir,
        }
    }
}

/// All counters that are not zero.
pub fn counted(page: &CounterReader) -> String {
    let words = page.words().iter().map(|word| (word, page.value(word))).filter(|(_, value)| *value != 0);
    words.map(|(word, value)| format!("{}={value}", word.name)).collect::<Vec<_>>().join(" ")
}

/// Refusals in the journal by purpose and reason (their numbers), for a failure's message. Repetitions within a second are not there.
fn refusals(run_dir: &Path) -> BTreeMap<(u8, u8), u64> {
    let mut counts = BTreeMap::new();
    let mut reader = Reader::open(RunDir::new(run_dir)).unwrap();
    while let Ok(Some(record)) = reader.next() {
        if record.kind == record::DECISION && record.payload[50] == DecisionKind::Refused as u8 {
            *counts.entry((record.payload[53], record.payload[55])).or_default() += 1;
        }
    }
    counts
}

/// What a run came to, on both sides.
pub struct Finished {
    pub ended: Ended,
    pub status: Status,
    pub counts: ServerCounts,
    pub venue_error: Option<String>,
    /// Orders of ours that are open at the venue after the end.
    pub open: Vec<Order>,
    /// Orders of others that are.
    pub foreign: Vec<Order>,
    /// The venue's position.
    pub position: Lots,
    /// What the venue booked (trades, fees, funding), and the open position at the maker's last mid.
    pub profit: Money,
    pub allocations: i64,
    pub page_faults: i64,
    pub protocol_errors: i64,
    /// New orders, amends and cancels that left.
    pub sent: i64,
    pub replayed: Outcome,
    pub describe: String,
    pub dir: TempDir,
}

impl Finished {
    /// What holds at the end of every run, whatever went wrong in it.
    #[track_caller]
    pub fn is_whole(&self) {
        let state = &self.describe;
        assert_eq!(self.venue_error, None);
        assert!(self.ended.engine.fault.is_none(), "{:?}; {state}", self.ended.engine.fault);
        assert!(self.ended.engine.quiet, "something of ours was in doubt at the end; {state}");
        assert_eq!(self.ended.problems, Vec::<String>::new(), "{state}");
        assert_eq!(self.ended.open_orders, Some(0), "{state}");
        assert_eq!(self.open, [], "open at the venue; {state}");
        assert_eq!(self.status.position, self.position, "the venue's position is another; {state}");
        assert_eq!(self.ended.position, Some(self.position), "{state}");
        assert!(matches!(self.replayed.end, End::Clean), "{:?}", self.replayed.end);
        assert_eq!(self.replayed.first_difference, None, "{state}");
        assert!(self.replayed.identical);
        assert_eq!(self.protocol_errors, 0, "{state}");
    }

    /// The P&L is the venue's ledger, to the last of eighteen decimals.
    #[track_caller]
    pub fn earned_what_the_venue_booked(&self) {
        assert_eq!(self.status.pnl.total(), self.profit, "{:?}; {}", self.status.pnl, self.describe);
    }
}
