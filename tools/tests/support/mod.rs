//! A small run directory, the same every time, made with the engine's own writers; and `sq` as a process. Never looks at the clock.
#![allow(dead_code)] // Each test binary uses a part of it.

pub mod browser;

use spinquote::event::{
    AccountEvent, ClientId, Command, CommandKind, Event, Fill, Link, LinkState, Operator, OrderEvent, OrderEventKind,
    OrderSource, PositionSide, Side, TimeInForce,
};
use spinquote::instrument::InstrumentId;
use spinquote::journal::command_page::{self, CommandWatch};
use spinquote::journal::counters::{self, CounterWriter, InstrumentSlot, OrderWord, Slot};
use spinquote::journal::histogram::{self, Stage, StageWriter};
use spinquote::journal::record::{self, Origin};
use spinquote::journal::{ClockSource, JournalSettings, RunDir, Segments, Writer, start};
use spinquote::maker::strategy::{Cause, Purpose};
use spinquote::maker::{Blocks, Decision, DecisionKind, Refusal};
use spinquote::unit::{Lots, Money, Nanos, Price, Ticks};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use tempfile::TempDir;

/// Start of the run: 2023-11-14T22:13:20Z.
pub const T0: i64 = 1_700_000_000_000_000_000;
pub const RUN: u32 = 7;
pub const NAME: &str = "20231114-221320";
const BTC: InstrumentId = InstrumentId(0);

/// A directory of runs with one run in it.
pub struct Fixture {
    pub dir: TempDir,
    pub writer: Option<Writer>,
    segments: Option<Segments>,
    pub counters: [CounterWriter; 3],
    pub watches: [CommandWatch; 2],
    pub now: Nanos,
}

/// What `sq` said.
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

/// Compares with `tests/golden/NAME`; with SPINQUOTE_BLESS set, writes it instead.
pub fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("SPINQUOTE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{name} should be:\n{expected}\nbut is (SPINQUOTE_BLESS=1 accepts it):\n{text}");
}

/// Runs `sq` with these arguments, split at blanks, in the directory that holds `runs/`.
pub fn sq(dir: &Path, line: &str) -> Said {
    sq_args(dir, &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs `sq` with these arguments.
pub fn sq_args(dir: &Path, args: &[&str]) -> Said {
    let output = process(dir).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir.to_str().unwrap(), "[DIR]");
    Said { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code().unwrap() }
}

/// `sq` in this directory.
pub fn process(dir: &Path) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_sq"));
    process.current_dir(dir).env_remove("SPINQUOTE_RUNS");
    process
}

impl Fixture {
    /// An empty live run `runs/20231114-221320` with all its files.
    pub fn new() -> Self {
        Self::named(NAME, 1 << 16)
    }

    pub fn named(name: &str, segment_bytes: usize) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), name, segment_bytes)
    }

    pub fn in_dir(dir: TempDir, name: &str, segment_bytes: usize) -> Self {
        let run = RunDir::new(dir.path().join("runs").join(name));
        fs::create_dir_all(run.path()).unwrap();
        fs::write(run.meta(), META).unwrap();
        let mut settings = JournalSettings::new(run.clone(), RUN, ClockSource::System);
        (settings.segment_bytes, settings.lock) = (segment_bytes, false);
        let (writer, segments) = start(settings, Nanos(T0)).unwrap();
        let counters = counters::create(&run.counters(), &["BTCUSDT"]).unwrap();
        let watches = command_page::create(&run.command()).unwrap();
        Self { dir, writer: Some(writer), segments: Some(segments), counters, watches, now: Nanos(T0) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn run_dir(&self) -> PathBuf {
        // One run in each fixture unless a test makes more; the first by name is then not asked for.
        fs::read_dir(self.dir.path().join("runs")).unwrap().next().unwrap().unwrap().path()
    }

    /// The directory of a run by its name.
    pub fn run_dir_of(&self, name: &str) -> PathBuf {
        self.dir.path().join("runs").join(name)
    }

    pub fn sq(&self, line: &str) -> Said {
        sq(self.path(), line)
    }

    /// Appends `after` microseconds later.
    pub fn put(&mut self, after: i64, kind: u16, parts: &[&[u8]]) -> u64 {
        self.now = Nanos(self.now.0 + after * 1000);
        let seq = self.writer.as_mut().unwrap().append(kind, self.now, parts).unwrap();
        self.segments.as_mut().unwrap().housekeep(self.now).unwrap();
        seq
    }

    pub fn frame(&mut self, after: i64, text: &str) {
        self.put(after, record::FRAME, &[&Origin { feed: 0, instrument: BTC }.encode(), text.as_bytes()]);
    }

    pub fn event(&mut self, after: i64, event: &Event<'_>) {
        let (kind, payload) = record::encode_event(event).unwrap();
        self.put(after, kind, &[&payload]);
    }

    pub fn decide(&mut self, decision: Decision) {
        self.put(0, record::DECISION, &[&decision.to_bytes()]);
    }

    pub fn command(&mut self, kind: CommandKind, seq: u32, generation: u32, side: Side, price: i64, qty: i64) {
        let command = Command {
            kind,
            side,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: BTC,
            generation,
            client_id: id(seq),
            price: Ticks(price),
            qty: Lots(qty),
            decided_at: self.now,
        };
        self.put(0, record::COMMAND, &[&record::encode_command(&command)]);
    }

    pub fn sent(&mut self, after: i64, seq: u32, generation: u32) {
        let at = self.now.0 + after * 1000;
        let sent = record::Sent { client_id: id(seq), generation, at: Nanos(at) };
        self.put(after + 5, record::SENT, &[&sent.encode()]);
    }

    pub fn order(&mut self, after: i64, order: OrderEvent) {
        self.event(after, &Event::Order(order));
    }

    /// Ends the run in order.
    pub fn end(&mut self) {
        self.put(1000, record::RUN_END, &[&record::RunEnd { reason: 0 }.encode()]);
        self.close();
    }

    /// Closes the journal without an end record.
    pub fn close(&mut self) {
        self.writer.take().unwrap().close();
        self.segments.take().unwrap().finish().unwrap();
    }
}

/// What meta.json says at least.
pub const META: &str = r#"{
  "host": { "fingerprint": "host-a" },
  "recipe": { "version": 1, "maker": {}, "instruments": [
    { "instrument": { "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "tick": "0.1", "lot": "0.001" } }
  ] }
}
"#;

pub const fn id(seq: u32) -> ClientId {
    ClientId { run: RUN, seq }
}

pub fn order(kind: OrderEventKind, seq: u32, side: Side, price: i64, qty: i64, filled: i64) -> OrderEvent {
    OrderEvent {
        kind,
        source: OrderSource::Stream,
        side,
        position_side: PositionSide::Net,
        tif: TimeInForce::PostOnly,
        reduce_only: false,
        instrument: BTC,
        generation: 0,
        code: 0,
        client_id: id(seq),
        venue_id: 4000 + u64::from(seq),
        price: Ticks(price),
        qty: Lots(qty),
        filled: Lots(filled),
        fill: Fill::default(),
        venue_time: Nanos::ZERO,
    }
}

pub fn fill(trade: u64, price: i64, qty: i64, fee: &str, maker: bool) -> Fill {
    let fee = Money::parse(fee.as_bytes()).unwrap();
    Fill { trade_id: trade, price: Ticks(price), qty: Lots(qty), fee, fee_known: true, maker }
}

pub fn decision(kind: DecisionKind, cause: Cause, seq: u32, side: Side, price: i64, qty: i64) -> Decision {
    Decision {
        reference: Price::parse(b"61800.25").unwrap(),
        client_id: if seq == 0 { ClientId::default() } else { id(seq) },
        price: Ticks(price),
        qty: Lots(qty),
        side,
        purpose: Purpose::Entry,
        ..Decision::of(kind, BTC, cause)
    }
}

/// A run that quotes, is filled, amends, is refused, is paused, and ends: every kind of record is in it.
pub fn played() -> Fixture {
    let mut run = Fixture::new();
    play(&mut run);
    run.end();
    run
}

pub const DEPTH: &str = r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1700000000010,"T":1700000000009,"s":"BTCUSDT","U":5,"u":6,"pu":4,"b":[["61800.20","3.100"]],"a":[["61800.30","2.000"]]}}"#;

pub fn play(run: &mut Fixture) {
    use OrderEventKind::{Accepted, Amended, Canceled, Rejected};
    use Side::{Buy, Sell};
    let start = record::RunStart { run: RUN, instruments: 1, feeds: 1, seed: 42 };
    run.put(0, record::RUN_START, &[&start.encode()]);
    let clock = record::Calibration { counter: 1000, system: Nanos(T0), millihertz: 2_100_000_000_000 };
    run.put(1, record::CLOCK, &[&clock.encode()]);
    for (link, at) in [(Link::Market, 100), (Link::Private, 20), (Link::OrderEntry, 20)] {
        run.event(at, &Event::Link { instrument: BTC, link, state: LinkState::Up });
    }
    let money = |text: &str| Money::parse(text.as_bytes()).unwrap();
    run.event(10, &Event::Account(AccountEvent::ReconcileBegin));
    run.event(0, &Event::Account(AccountEvent::Balance { wallet: money("10000"), available: money("9900.5") }));
    let position = |qty: i64, entry: &str, snapshot| {
        let entry = Price::parse(entry.as_bytes()).unwrap();
        let side = PositionSide::Net;
        AccountEvent::Position { instrument: BTC, side, qty: Lots(qty), entry, snapshot, venue_time: Nanos(T0) }
    };
    run.event(0, &Event::Account(position(0, "0", true)));
    run.event(0, &Event::Account(AccountEvent::Leverage { instrument: BTC, leverage: 5 }));
    run.event(0, &Event::Account(AccountEvent::PositionMode { hedge: false }));
    run.event(0, &Event::Account(AccountEvent::ReconcileEnd));
    run.put(
        50,
        record::SNAPSHOT,
        &[&Origin { feed: u16::MAX, instrument: BTC }.encode(), br#"{"lastUpdateId":4,"bids":[],"asks":[]}"#],
    );
    // The first quotes.
    run.frame(9_000, DEPTH);
    run.decide(decision(DecisionKind::Ready, Cause::None, 0, Buy, 0, 0));
    run.decide(decision(DecisionKind::Placed, Cause::Quote, 1, Buy, 617_990, 5));
    run.decide(decision(DecisionKind::Placed, Cause::Quote, 2, Sell, 618_010, 5));
    run.command(CommandKind::New, 1, 1, Buy, 617_990, 5);
    run.command(CommandKind::New, 2, 1, Sell, 618_010, 5);
    run.sent(30, 1, 1);
    run.sent(0, 2, 1);
    run.order(
        900,
        OrderEvent { source: OrderSource::Response, generation: 1, ..order(Accepted, 1, Buy, 617_990, 5, 0) },
    );
    run.order(
        5,
        OrderEvent { source: OrderSource::Response, generation: 1, ..order(Accepted, 2, Sell, 618_010, 5, 0) },
    );
    // The sell is filled in two parts, the second one told twice; the position follows.
    run.frame(
        40_000,
        r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","p":"61801.00","q":"0.004"}}"#,
    );
    let first = OrderEvent { fill: fill(901, 618_010, 2, "0.0247204", true), ..filled(2, Sell, 618_010, 5, 2) };
    let rest = OrderEvent { fill: fill(902, 618_010, 3, "0.0370806", true), ..filled(2, Sell, 618_010, 5, 5) };
    run.order(200, first);
    run.order(700, rest);
    run.order(100, rest);
    run.event(20, &Event::Account(position(-5, "61801", false)));
    run.event(0, &Event::Account(AccountEvent::Balance { wallet: money("9999.938199"), available: money("9800") }));
    // The buy follows the market; a third order is refused by the gate, a fourth by the venue.
    run.frame(20_000, DEPTH);
    run.decide(decision(DecisionKind::Amended, Cause::Reprice, 1, Buy, 617_995, 5));
    let refused = decision(DecisionKind::Refused, Cause::Refresh, 0, Sell, 618_020, 5);
    run.decide(Decision { refusal: Some(Refusal::Position), ..refused });
    run.command(CommandKind::Amend, 1, 2, Buy, 617_995, 5);
    run.sent(25, 1, 2);
    run.order(
        800,
        OrderEvent { source: OrderSource::Response, generation: 2, ..order(Amended, 1, Buy, 617_995, 5, 0) },
    );
    run.frame(1_000_000, DEPTH);
    run.decide(decision(DecisionKind::Placed, Cause::Refresh, 3, Sell, 618_003, 5));
    run.command(CommandKind::New, 3, 1, Sell, 618_003, 5);
    run.sent(40, 3, 1);
    let code = OrderEvent { source: OrderSource::Response, code: -5022, ..order(Rejected, 3, Sell, 618_003, 5, 0) };
    run.order(700, code);
    run.decide(Decision { detail: -5022, ..decision(DecisionKind::Rejected, Cause::None, 3, Sell, 618_003, 5) });
    run.event(0, &Event::External { instrument: BTC, price: Price::parse(b"61799.995").unwrap() });
    run.event(0, &Event::Account(AccountEvent::Funding { instrument: BTC, amount: money("-0.0309") }));
    run.put(0, record::GAP, &[&record::FeedGap { feed: 0, instrument: BTC, expected: 7, got: 9 }.encode()]);
    let withdrawn = decision(DecisionKind::Withdrawn, Cause::Withdraw, 0, Buy, 0, 0);
    run.decide(Decision { detail: i64::from(Blocks::BOOK | Blocks::RECONCILE), ..withdrawn });
    run.put(0, record::LOSS, &[&record::Loss { records: 2, since: Nanos(T0) }.encode()]);
    // An operator pauses, a fourth order is placed by nobody: only the cancel of the first goes out.
    run.event(50_000, &Event::Timer);
    run.event(0, &Event::Operator(Operator::Pause));
    run.decide(decision(DecisionKind::Canceled, Cause::Operator, 1, Buy, 617_995, 5));
    run.command(CommandKind::Cancel, 1, 3, Buy, 617_995, 5);
    run.sent(20, 1, 3);
    run.order(600, order(Canceled, 1, Buy, 617_995, 5, 0));
    run.event(0, &Event::Kill);
    publish(run, Nanos(run.now.0));
    times(&run.run_dir(), 1);
}

fn filled(seq: u32, side: Side, price: i64, qty: i64, done: i64) -> OrderEvent {
    order(OrderEventKind::Fill, seq, side, price, qty, done)
}

/// The counters page as the engine leaves it at `now`.
pub fn publish(run: &Fixture, now: Nanos) {
    let [engine, sender, housekeeper] = &run.counters;
    for (slot, value) in [
        (Slot::EngineHeartbeat, now.0),
        (Slot::Turns, 1200),
        (Slot::TurnsIdle, 98_800),
        (Slot::Frames, 5),
        (Slot::FrameBytes, 1024),
        (Slot::JournalSeq, 52),
        (Slot::Decisions, 9),
        (Slot::Commands, 5),
        (Slot::Refusals, 1),
        (Slot::RingFree, 1024),
        (Slot::LinksUp, 3),
        (Slot::Wallet, 999_993_819_900),
        (Slot::Available, 980_000_000_000),
    ] {
        engine.set(slot, value);
    }
    for (slot, value) in [
        (Slot::SenderHeartbeat, now.0),
        (Slot::OrdersNew, 3),
        (Slot::OrdersAmend, 1),
        (Slot::OrdersCancel, 1),
        (Slot::Writes, 4),
        (Slot::Acks, 4),
        (Slot::Rejects, 1),
        (Slot::WeightUsed, 12),
        (Slot::OrdersUsed, 3),
    ] {
        sender.set(slot, value);
    }
    housekeeper.set(Slot::HousekeeperHeartbeat, now.0);
    housekeeper.set(Slot::JournalBytes, 1 << 16);
    housekeeper.set(Slot::DeadManAt, now.0 + 45_000_000_000);
    for (slot, value) in [
        (InstrumentSlot::Mid, 6_180_025_000_000),
        (InstrumentSlot::Bid, 618_002),
        (InstrumentSlot::Ask, 618_003),
        (InstrumentSlot::Mark, 6_180_010_000_000),
        (InstrumentSlot::InSync, 1),
        (InstrumentSlot::MarketTime, now.0),
        (InstrumentSlot::Position, -5),
        (InstrumentSlot::PositionWorst, -10),
        (InstrumentSlot::Entry, 6_180_100_000_000),
        (InstrumentSlot::OwnBid, 617_995),
        (InstrumentSlot::OwnBidQty, 5),
        (InstrumentSlot::OrdersLive, 1),
        (InstrumentSlot::FillsSell, 2),
        (InstrumentSlot::VolumeSell, 5),
        (InstrumentSlot::PnlSpread, 375_000),
        (InstrumentSlot::PnlInventory, -50_000),
        (InstrumentSlot::PnlFees, -6_180_100),
        (InstrumentSlot::PnlFunding, -3_090_000),
        (InstrumentSlot::PnlTotal, -8_945_100),
    ] {
        engine.set_of(0, slot, value);
    }
}

/// What the page of a running engine has besides: margin, funding, the strategy's state, two orders.
pub fn publish_detail(run: &Fixture, now: Nanos) {
    let engine = &run.counters[0];
    for (slot, value) in [
        (Slot::Equity, 999_999_000_000),
        (Slot::MarginUsed, 3_600_000_000_000),
        (Slot::MarginRatio, 27_777_777),
        (Slot::MarginLevel, 1),
    ] {
        engine.set(slot, value);
    }
    for (slot, value) in [
        (InstrumentSlot::PnlTrading, 425_000),
        (InstrumentSlot::PnlMark, -100_000),
        (InstrumentSlot::Unrealized, 450_000),
        (InstrumentSlot::Leverage, 10),
        (InstrumentSlot::Liquidation, 6_773_389_600_000),
        (InstrumentSlot::FundingRate, -12_345),
        (InstrumentSlot::FundingHours, 8),
        (InstrumentSlot::FundingNext, now.0 + 3_600_000_000_000),
        (InstrumentSlot::FundingDaily, -11_443_000),
        (InstrumentSlot::Phase, 1),
        (InstrumentSlot::RefreshDue, now.0 + 12_500_000_000),
        (InstrumentSlot::QuotesDue, now.0 - 1),
        (InstrumentSlot::SizeFactorBuy, 70_000_000),
        (InstrumentSlot::SizeFactorSell, 100_000_000),
        (InstrumentSlot::BaseShare, -3_090_000),
        (InstrumentSlot::SkewFunding, -250_000),
        (InstrumentSlot::BlockedAsk, 10),
    ] {
        engine.set_of(0, slot, value);
    }
    for (side, row, id, price, ahead) in [(0, 0, 1, 617_995, 40), (0, 1, 4, 617_000, -1), (1, 0, 5, 618_100, 0)] {
        for (word, value) in [
            (OrderWord::Id, id),
            (OrderWord::Price, price),
            (OrderWord::Qty, 5),
            (OrderWord::Ahead, ahead),
            (OrderWord::Level, row as i64),
            (OrderWord::Purpose, side as i64),
            (OrderWord::Created, now.0 - 7_000_000_000),
        ] {
            engine.set_order(0, side, row, word, value);
        }
    }
}

/// Latency histograms whose values are `factor` times the usual ones.
pub fn times(run: &Path, factor: i64) -> Vec<StageWriter> {
    let mut writers = histogram::create(&RunDir::new(run).histograms()).unwrap();
    [(Stage::Decode, 400), (Stage::Decide, 90), (Stage::TickToOrder, 700), (Stage::OrderRoundTrip, 900_000)]
        .into_iter()
        .map(|(stage, base)| {
            let mut writer = writers.take(stage);
            for step in 0..1000 {
                writer.record(factor * (base + step * base / 500));
            }
            writer.record(factor * base * 40);
            writer
        })
        .collect()
}
