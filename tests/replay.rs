//! Runs replayed: a run as the engine journals it is identical, and every way in which one can be different or unreadable has its name.

use serde_json::{Value, json};
use spinquote::event::{
    AccountEvent, CommandKind, Event, Fill, Link, LinkState, Operator, OrderEvent, OrderEventKind, OrderSource,
    PositionSide,
};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::record::{self, Origin, RunEnd};
use spinquote::journal::{self, ClockSource, Damage, End, JournalSettings, ReadError, RunDir, Segments, Writer};
use spinquote::maker::recipe::{InstrumentRecipe, StrategyKind, StrategyText, VERSION};
use spinquote::maker::strategy::Cadence;
use spinquote::maker::{Maker, MakerConfig, Output, Recipe, RiskLimits};
use spinquote::replay::{Outcome, ReplayError, replay};
use spinquote::unit::{Lots, Money, Nanos, Price, Rate};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::MarketMessage;
use std::path::Path;
use std::process::Command;

const RUN: u32 = 7;
const START: Nanos = Nanos::from_secs(1_700_000_000);
const STRATEGY: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 3\n\
    bid_spread: 0.01\nask_spread: 0.01\norder_amount: 0.004\norder_refresh_time: 2.0\norder_levels: 2\norder_level_spread: 0.01\nlong_profit_taking_spread: 0.01\n\
    short_profit_taking_spread: 0.01\nstop_loss_spread: 0.05\nfilled_order_delay: 1.0\n";
const ID: InstrumentId = InstrumentId(0);

fn recipe(cadence: Cadence) -> Recipe {
    let limits = RiskLimits {
        position_max: Lots(1_000),
        order_qty_max: Lots(100),
        order_notional_max: Money::parse(b"100000").unwrap(),
        price_band: Rate::parse(b"0.05").unwrap(),
        orders_max: 1_000,
        messages_max: 2_000,
        cancel_headroom: 100,
        interval: Nanos::from_secs(10),
        loss_max: Money::ZERO,
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    };
    let strategy = StrategyText {
        kind: StrategyKind::PerpetualMarketMaking,
        file: "strategy.yml".to_owned(),
        text: STRATEGY.to_owned(),
    };
    let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
    let part = InstrumentRecipe { instrument, strategy, cadence, source: None };
    Recipe { config: MakerConfig::new(RUN, limits), instruments: vec![part], watched: Vec::new() }
}

/// What is to be wrong with the run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The n-th output record of this kind has a bit flipped before it is written, so its checksum holds.
    Flip(u16, u64),
    /// It is never written.
    Omit(u16, u64),
    /// It is written twice.
    Double(u16, u64),
    /// It has a later time.
    Late(u16, u64),
}

/// Journals and steps in the engine's order, and answers orders as a venue would.
struct Session {
    maker: Maker,
    decoder: MarketDecoder,
    out: Output,
    writer: Writer,
    segments: Segments,
    now: Nanos,
    answers: Vec<Event<'static>>,
    resting: Vec<OrderEvent>,
    fault: Fault,
    written: [u64; 64],
    faulty_seq: u64,
    /// Last update id of the book.
    update: u64,
}

impl Session {
    fn start(dir: &Path, recipe: &Recipe, fault: Fault) -> Self {
        std::fs::write(dir.join("meta.json"), json!({ "recipe": recipe.to_json(), "program": "test" }).to_string())
            .unwrap();
        let mut settings = JournalSettings::new(RunDir::new(dir), RUN, ClockSource::Virtual);
        (settings.segment_bytes, settings.lock) = (64 << 10, false);
        let (writer, segments) = journal::start(settings, START).unwrap();
        Self {
            maker: recipe.build().unwrap(),
            decoder: MarketDecoder::new(&recipe.contracts()),
            out: Output::default(),
            writer,
            segments,
            now: START,
            answers: Vec::new(),
            resting: Vec::new(),
            fault,
            written: [0; 64],
            faulty_seq: 0,
            update: 100,
        }
    }

    fn remember(&mut self, kind: u16, parts: &[&[u8]]) {
        let mut payload = parts.concat();
        self.written[usize::from(kind)] += 1;
        let this = (kind, self.written[usize::from(kind)]);
        let (mut time, mut times) = (self.now, 1);
        let at_fault = match self.fault {
            Fault::None => false,
            Fault::Flip(kind, n) | Fault::Omit(kind, n) | Fault::Double(kind, n) | Fault::Late(kind, n) => {
                this == (kind, n)
            }
        };
        if at_fault {
            self.faulty_seq = self.writer.last_seq() + 1;
            match self.fault {
                Fault::None => {}
                Fault::Flip(..) => payload[30] ^= 1,
                Fault::Omit(..) => times = 0,
                Fault::Double(..) => times = 2,
                Fault::Late(..) => time += Nanos(1),
            }
        }
        for _ in 0..times {
            self.writer.append(kind, time, &[&payload]).unwrap();
        }
        self.segments.housekeep(self.now).unwrap();
    }

    fn emit(&mut self) {
        let (decisions, commands) = (self.out.decisions.clone(), self.out.commands.clone());
        for decision in &decisions {
            self.remember(record::DECISION, &[&decision.to_bytes()]);
        }
        for command in &commands {
            self.remember(record::COMMAND, &[&record::encode_command(command)]);
            let order = |kind| OrderEvent {
                kind,
                source: OrderSource::Response,
                side: command.side,
                position_side: command.position_side,
                tif: command.tif,
                reduce_only: command.reduce_only,
                instrument: command.instrument,
                generation: command.generation,
                code: 0,
                client_id: command.client_id,
                venue_id: u64::from(command.client_id.seq),
                price: command.price,
                qty: command.qty,
                filled: Lots::ZERO,
                fill: Fill::default(),
                venue_time: self.now,
            };
            match command.kind {
                CommandKind::New | CommandKind::Amend => {
                    let new = command.kind == CommandKind::New;
                    let rests = order(if new { OrderEventKind::Accepted } else { OrderEventKind::Amended });
                    self.resting.retain(|other| other.client_id != command.client_id);
                    self.resting.push(rests);
                    self.answers.push(Event::Order(rests));
                }
                CommandKind::Cancel => {
                    self.resting.retain(|other| other.client_id != command.client_id);
                    self.answers.push(Event::Order(order(OrderEventKind::Canceled)));
                }
                CommandKind::Reconcile => {
                    let money = Money::parse(b"10000").unwrap();
                    let position = AccountEvent::Position {
                        instrument: ID,
                        side: PositionSide::Net,
                        qty: Lots::ZERO,
                        entry: Price::ZERO,
                        snapshot: true,
                        venue_time: self.now,
                    };
                    let balance = AccountEvent::Balance { wallet: money, available: money };
                    let answer = [AccountEvent::ReconcileBegin, position, balance, AccountEvent::ReconcileEnd];
                    self.answers.extend(answer.map(Event::Account));
                }
                CommandKind::Query
                | CommandKind::CancelAll
                | CommandKind::Market
                | CommandKind::Snapshot
                | CommandKind::SyncTime => {}
            }
        }
    }

    /// Fills the order that was placed or amended last.
    fn fill(&mut self, trade_id: u64) {
        let Some(order) = self.resting.pop() else { return };
        let OrderEvent { price, qty, .. } = order;
        let fill = Fill { trade_id, price, qty, fee: Money(1), fee_known: true, maker: true };
        let (kind, source, generation) = (OrderEventKind::Fill, OrderSource::Stream, 0);
        self.step(&Event::Order(OrderEvent { kind, source, generation, filled: qty, fill, ..order }));
    }

    fn step(&mut self, event: &Event<'_>) {
        let (kind, payload) = record::encode_event(event).unwrap();
        self.remember(kind, &[&payload]);
        self.maker.step(self.now, event, &mut self.out);
        self.emit();
    }

    fn document(text: &str) -> Vec<u8> {
        [text.as_bytes(), &[0; 64]].concat()
    }

    fn frame(&mut self, text: &str) {
        self.remember(record::FRAME, &[&Origin { feed: 0, instrument: ID }.encode(), text.as_bytes()]);
        let mut document = Self::document(text);
        if let Ok(MarketMessage::Event(event)) = self.decoder.decode(&mut document, text.len()) {
            self.maker.step(self.now, &event, &mut self.out);
            self.emit();
        }
    }

    fn snapshot(&mut self, text: &str) {
        self.remember(record::SNAPSHOT, &[&Origin { feed: u16::MAX, instrument: ID }.encode(), text.as_bytes()]);
        let mut document = Self::document(text);
        if let Ok(snapshot) = self.decoder.decode_snapshot(ID, &mut document, text.len()) {
            self.maker.step(self.now, &Event::Snapshot(snapshot), &mut self.out);
            self.emit();
        }
    }

    /// A depth frame that moves the touch to a mid that wanders.
    fn depth(&mut self, place: i64) {
        let mid = |place: i64| 60_000 + (place % 97 - 48).abs() + place / 13 % 31;
        let (before, after, qty) = (mid(place - 1), mid(place), place % 7 + 1);
        let (prev, last, millis) = (self.update, self.update + 3, self.now.as_millis());
        let side = |before: i64, after: i64| format!(r#"[["{before}.0","0.000"],["{after}.0","{qty}.000"]]"#);
        self.frame(&format!(
            r#"{{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":{millis},"T":{millis},"s":"BTCUSDT","U":{},"u":{last},"pu":{prev},"b":{},"a":{}}}}}"#,
            prev + 1,
            side(before - 1, after - 1),
            side(before + 1, after + 1),
        ));
        self.update = last;
    }

    fn play(&mut self, frames: i64) {
        self.remember(record::RUN_START, &[&[0; 16]]);
        for link in [Link::Private, Link::OrderEntry, Link::Market] {
            self.step(&Event::Link { instrument: ID, link, state: LinkState::Up });
        }
        self.snapshot(&format!(
            r#"{{"lastUpdateId":{},"E":1,"T":1,"bids":[["59000.0","5.000"]],"asks":[["61000.0","5.000"]]}}"#,
            self.update
        ));
        self.frame("no JSON at all");
        self.frame(r#"{"result":null,"id":1}"#);
        for place in 0..frames {
            self.now += Nanos::from_millis(40);
            self.depth(place);
            for answer in std::mem::take(&mut self.answers) {
                self.step(&answer);
            }
            if place % 5 == 0 {
                self.step(&Event::Timer);
            }
            if place % 60 == 59 {
                self.fill(place as u64);
            }
            if place % 50 == 0 {
                self.remember(record::SENT, &[&[1; 20]]);
            }
        }
    }

    fn end(mut self) {
        self.step(&Event::Operator(Operator::Stop));
        for answer in std::mem::take(&mut self.answers) {
            self.step(&answer);
        }
        self.remember(record::RUN_END, &[&RunEnd { reason: 0 }.encode()]);
        self.writer.close();
        self.segments.finish().unwrap();
    }
}

/// A whole run with a fault; returns the sequence number of the record at fault.
fn run_with(dir: &Path, cadence: Cadence, fault: Fault) -> u64 {
    let mut session = Session::start(dir, &recipe(cadence), fault);
    session.play(600);
    let counters = session.maker.status(ID).counters;
    assert!(counters.fills_buy + counters.fills_sell > 3 && counters.gaps == 0, "{counters:?}");
    let seq = session.faulty_seq;
    session.end();
    seq
}

fn replayed(dir: &Path) -> Result<Outcome, ReplayError> {
    replay(dir, |_| ())
}

fn spinquote(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spinquote")).arg("replay").arg(dir).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_replays_identically_in_both_cadences() {
    for cadence in [Cadence::EveryEvent, Cadence::Interval(Nanos::from_secs(1))] {
        let dir = tempfile::tempdir().unwrap();
        run_with(dir.path(), cadence, Fault::None);
        let segments = std::fs::read_dir(dir.path()).unwrap().count() - 1;
        let outcome = replayed(dir.path()).unwrap();
        assert_eq!(outcome.first_difference, None);
        assert!(outcome.identical && matches!(outcome.end, End::Clean));
        assert!(outcome.commands >= 40 && outcome.decisions > outcome.commands, "{outcome:?}");
        assert!(outcome.inputs > 700 && segments > 1, "{segments} segments, {outcome:?}");
        let (code, out, err) = spinquote(dir.path(), &["--json"]);
        let verdict: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(verdict, outcome.to_json());
        assert_eq!((&verdict["identical"], &verdict["first_difference"]), (&json!(true), &Value::Null));
        assert_eq!((&verdict["records"], &verdict["end"]), (&json!(outcome.records), &json!("clean")));
    }
}

#[test]
fn the_first_difference_is_named() {
    for kind in [record::COMMAND, record::DECISION] {
        for (fault, got_is_next) in [
            (Fault::Flip(kind, 9), true),
            (Fault::Omit(kind, 9), true),
            (Fault::Late(kind, 9), true),
            (Fault::Double(kind, 9), false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let seq = run_with(dir.path(), Cadence::EveryEvent, fault);
            let outcome = replayed(dir.path()).unwrap();
            let found = outcome.first_difference.clone().unwrap();
            assert!(!outcome.identical && matches!(outcome.end, End::Clean));
            assert_eq!(found.record_seq, if got_is_next { seq } else { seq + 1 });
            assert_ne!(found.expected, found.got);
            let compared = if kind == record::COMMAND { outcome.commands } else { outcome.decisions };
            assert_eq!(compared, if got_is_next { 8 } else { 9 });
            let (code, out, _) = spinquote(dir.path(), &[]);
            assert_eq!(code, Some(1));
            assert!(out.starts_with(&format!("different at record {},", found.record_seq)), "{out}");
            assert!(out.contains(&found.expected) && out.contains(&found.got), "{out}");
        }
    }
}

#[test]
fn a_flipped_bit_shows_as_the_field_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    run_with(dir.path(), Cadence::EveryEvent, Fault::Flip(record::COMMAND, 9));
    let found = replayed(dir.path()).unwrap().first_difference.unwrap();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (expected, got) = (words(&found.expected), words(&found.got));
    let other: Vec<_> = expected.iter().zip(&got).filter(|(expected, got)| expected != got).collect();
    assert_eq!((expected.len(), other.len()), (got.len(), 1), "{found:?}");
}

#[test]
fn a_killed_run_is_identical_up_to_its_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = Session::start(dir.path(), &recipe(Cadence::EveryEvent), Fault::None);
    session.play(100);
    let records = session.writer.last_seq();
    drop(session);
    let outcome = replayed(dir.path()).unwrap();
    assert!(outcome.identical && matches!(outcome.end, End::Open), "{outcome:?}");
    assert!(outcome.records > 100 && outcome.records <= records);
    assert_eq!(spinquote(dir.path(), &[]).0, Some(0));
}

#[test]
fn a_cut_journal_is_identical_up_to_the_cut_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    run_with(dir.path(), Cadence::EveryEvent, Fault::None);
    let whole = replayed(dir.path()).unwrap();
    let last =
        (0..).map(|index| RunDir::new(dir.path()).segment(index)).take_while(|path| path.exists()).last().unwrap();
    let size = std::fs::metadata(&last).unwrap().len();
    let mut cuts = 0;
    for len in (size - 2_000..size).rev().step_by(101) {
        std::fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(len).unwrap();
        let outcome = replayed(dir.path()).unwrap();
        assert!(outcome.identical && outcome.records < whole.records, "{outcome:?}");
        if let End::Damaged(ReadError::Damaged { damage: Damage::Cut { .. }, .. }) = outcome.end {
            cuts += 1;
        }
    }
    assert!(cuts > 0);
}

#[test]
fn a_run_whose_first_segment_was_removed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    run_with(dir.path(), Cadence::EveryEvent, Fault::None);
    std::fs::remove_file(RunDir::new(dir.path()).segment(0)).unwrap();
    assert!(matches!(replayed(dir.path()), Err(ReplayError::StartRemoved(1))));
    assert_eq!(spinquote(dir.path(), &[]).0, Some(2));
}

#[test]
fn a_run_without_a_usable_description_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    run_with(dir.path(), Cadence::EveryEvent, Fault::None);
    let meta = dir.path().join("meta.json");
    let good = std::fs::read_to_string(&meta).unwrap();
    let error = |text: &str| {
        std::fs::write(&meta, text).unwrap();
        replayed(dir.path()).unwrap_err().to_string()
    };
    assert!(error("{").contains("meta.json: not JSON: "));
    assert!(error("{\"program\":\"old\"}").contains("meta.json: no \"recipe\" in it"));
    assert!(
        error(&good.replace(&format!("\"version\":{VERSION}"), "\"version\":9"))
            .contains(&format!("the recipe has version 9, this program reads {VERSION}"))
    );
    assert!(error(&good.replace("\"amend\":true,", "")).contains("meta.json: maker.amend: missing"));
    assert!(error(&good.replace("bid_spread: 0.01", "bid_spread: -1")).contains("strategy.yml:5: bid_spread: "));
    assert_eq!(
        error(&good.replace("\"run\":7", "\"run\":8")),
        "the journal is of run 00000007, meta.json of run 00000008"
    );
    std::fs::remove_file(&meta).unwrap();
    assert!(matches!(replayed(dir.path()), Err(ReplayError::Meta { .. })));
    let (code, out, err) = spinquote(dir.path(), &["--json"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("meta.json: cannot be read"), "{err}");
}

#[test]
fn inputs_that_cannot_be_are_errors_and_no_panic() {
    let cases: [(u16, Vec<u8>, &str); 5] = [
        (record::FRAME, vec![0; 3], "the payload ends too early"),
        (
            record::SNAPSHOT,
            Origin { feed: 0, instrument: InstrumentId(1) }.encode().to_vec(),
            "for instrument 1, the recipe has 1",
        ),
        (record::OPERATOR, vec![9], "9 is no code of Operator"),
        (record::LINK, vec![5, 0, 0, 0], "for instrument 5, the recipe has 1"),
        (15, vec![], "a record of kind 15 is not an event"),
    ];
    for (kind, payload, part) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::start(dir.path(), &recipe(Cadence::EveryEvent), Fault::None);
        session.play(10);
        session.writer.append(kind, session.now, &[&payload]).unwrap();
        let seq = session.writer.last_seq();
        drop(session);
        let error = replayed(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("record {seq}: ")) && error.contains(part), "{error}");
    }
}

#[test]
fn a_loss_of_records_is_a_difference() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = Session::start(dir.path(), &recipe(Cadence::EveryEvent), Fault::None);
    session.play(10);
    session.remember(record::LOSS, &[&record::Loss { records: 3, since: START }.encode()]);
    session.end();
    let outcome = replayed(dir.path()).unwrap();
    assert_eq!(outcome.first_difference.unwrap().expected, "3 records that the journal lost");
    assert!(!outcome.identical);
}
