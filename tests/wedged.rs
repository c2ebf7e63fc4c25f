//! The kill ladder when the engine is not there to climb it: one of its threads loops without returning or panics, or the whole process
//! is stopped.

#[path = "support/process.rs"]
mod process;
#[path = "support/session.rs"]
mod session;

use process::{Files, run_of};
use session::{Plan, Session, Venue, lively, near_touch, synthetic};
use spinquote::config::engine::EngineSettings;
use spinquote::engine::breakage::{Condition, Part};
use spinquote::event::{Event, Operator, PositionSide, Side};
use spinquote::instrument::InstrumentId;
use spinquote::journal::counters::CounterReader;
use spinquote::journal::{Reader, RunDir, record};
use spinquote::sim::order::AccountId;
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::unit::{Lots, Nanos, Ticks};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A run that quotes, and an order of somebody else at the venue.
fn quoting(seed: u64, engine: fn(&mut EngineSettings)) -> Session {
    let market = lively(seed);
    let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
    let session = Session::start(Plan {
        engine,
        // The outer levels are too far away to be filled meanwhile.
        strategy: vec![("order_level_spread", "0.5")],
        before: Some(Box::new(move |venue: &Venue| {
            venue.place("other-", 1, Side::Buy, Ticks(bid.0 - 20_000), Lots(7))
        })),
        ..Plan::on(market)
    });
    session.until("quotes rest at the venue", 8 * SECOND, |session| session.venue_orders().len() > 4);
    session
}

/// Waits until none of ours rests; the other's order must.
#[track_caller]
fn ours_are_gone(session: &Session) -> Duration {
    let asked = Instant::now();
    session.until("all of ours are cancelled", 10 * SECOND, |session| {
        session.venue_orders().iter().all(|order| order.client_id.starts_with("other"))
    });
    assert_eq!(session.venue_orders().len(), 1, "the order of somebody else stays");
    asked.elapsed()
}

/// Wedges the engine thread at a moment when this holds, also once all that was under way has arrived.
fn wedged_while(session: &Session, what: &str, holds: impl Fn(&Session) -> bool) {
    for _ in 0..50 {
        session.until(what, 20 * SECOND, &holds);
        session.wedge(true);
        std::thread::sleep(Duration::from_millis(200));
        if holds(session) {
            return;
        }
        session.wedge(false);
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no moment was found for: {what}; {}", session.describe());
}

#[test]
fn cancel_all_and_flatten_work_while_the_engine_thread_is_stuck() {
    let session = quoting(31, |_| {});
    wedged_while(&session, "orders of ours that nobody fills", |session| session.venue_orders().len() > 3);
    let wedged = Instant::now();
    // Not taken by the engine: must not keep anybody from the next one.
    session.ask(Operator::Pause);
    session.ask(Operator::CancelAll);
    let took = ours_are_gone(&session);
    assert!(took < SECOND, "the orders were gone after {took:?}; {}", session.describe());
    session.until("that is counted", SECOND, |session| session.count("sender.takeovers") == 1);
    std::thread::sleep(Duration::from_millis(1500).saturating_sub(wedged.elapsed()));
    // It comes back: notices the time it lost, hears of the command, and stays quiet.
    session.wedge(false);
    session.until("the engine notices", 5 * SECOND, |session| session.count("engine.lapses") == 1);
    std::thread::sleep(SECOND);
    assert_eq!(session.venue_orders().len(), 1, "quotes after a cancel-all: {}", session.describe());
    session.ask(Operator::Resume);
    // A harder command would replace one that the engine has not taken.
    session.until("it resumes", 5 * SECOND, |session| session.count("engine.paused") == 0);

    wedged_while(&session, "a position", |session| !session.venue_position().is_zero());
    session.ask(Operator::Flatten);
    session.until("the position is closed", 10 * SECOND, |session| {
        session.venue_position().is_zero() && session.venue_orders().len() == 1
    });
    session.until("that is counted", SECOND, |session| session.count("sender.takeovers") == 2);
    session.wedge(false);
    session.until("the engine knows its position", 10 * SECOND, |session| session.of("position") == 0);
    std::thread::sleep(SECOND);
    assert_eq!(session.venue_orders().len(), 1, "quotes after a flatten: {}", session.describe());
    session.ask(Operator::Resume);
    session.until("it quotes again", 10 * SECOND, |session| session.venue_orders().len() > 1);
    let end = session.stop();
    assert_eq!((end.open.len(), end.foreign.len()), (0, 1), "{}", end.describe);
    assert_eq!(end.status.position, end.position, "{}", end.describe);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
    assert_eq!(
        commands(&end.dir.path().join("run")),
        ["cancelall test a test", "resume test a test", "flatten test a test", "resume test a test"]
    );
}

/// The operators' commands in a journal, with who asked and why.
fn commands(run: &Path) -> Vec<String> {
    let (mut reader, mut found) = (Reader::open(RunDir::new(run)).unwrap(), Vec::new());
    let mut signed = String::new();
    while let Ok(Some(record)) = reader.next() {
        match record.kind {
            record::ASKED => {
                let (_, by, why) = record::Asked::split(record.payload).unwrap();
                signed = format!("{by} {why}");
            }
            record::OPERATOR => match record::decode_event(record.kind, record.payload) {
                Ok(Event::Operator(Operator::Stop)) => {}
                Ok(Event::Operator(verb)) => found.push(format!("{verb:?} {signed}").to_lowercase()),
                other => panic!("{other:?}"),
            },
            _ => {}
        }
    }
    found
}

#[test]
fn a_stuck_engine_is_not_kept_alive_at_the_venue_and_its_quotes_go() {
    let session = quoting(32, |settings| settings.orders.dead_man = Some(Nanos::from_secs(6)));
    session.until("the switch is armed", 8 * SECOND, |session| session.count("sender.dead_man_at") > 0);
    session.wedge(true);
    // Nobody asks for anything: the I/O thread sees that the heart does not beat.
    ours_are_gone(&session);
    assert_eq!(session.count("sender.takeovers"), 1, "{}", session.describe());
    // By now it is not refreshed any more.
    let armed = session.count("sender.dead_man_at");
    std::thread::sleep(2 * SECOND);
    assert_eq!(session.count("sender.dead_man_at"), armed, "{}", session.describe());
    session.wedge(false);
    session.until("it quotes again", 20 * SECOND, |session| session.venue_orders().len() > 1);
    let end = session.stop();
    assert_eq!(end.open, []);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}

/// Waits until none of ours rests, whatever becomes of the run; nobody ends it, so what cancels is not its end.
#[track_caller]
fn gone_by_themselves(session: &Session, within: Duration) {
    until("all of ours are cancelled", within, || {
        session.venue_orders().iter().all(|order| order.client_id.starts_with("other"))
    });
    assert_eq!(session.venue_orders().len(), 1, "the order of somebody else stays");
}

#[test]
fn an_engine_thread_that_panics_leaves_nothing_at_the_venue() {
    let session = quoting(34, |_| {});
    session.break_part(Part::Engine, Condition::Panicking);
    gone_by_themselves(&session, 10 * SECOND);
    assert!(session.is_over());
    let (said, open) = session.end_broken();
    assert!(said.contains("the engine thread panicked: no order of ours is open"), "{said}");
    assert_eq!(open.len(), 1);
}

#[test]
fn without_the_io_thread_the_run_ends_and_leaves_nothing() {
    let session = quoting(35, |_| {});
    session.break_part(Part::Io, Condition::Panicking);
    until("the engine ends: it can neither send nor hear", 10 * SECOND, || session.is_over());
    let (said, open) = session.end_broken();
    assert!(said.contains("the I/O thread panicked: no order of ours is open"), "{said}");
    assert_eq!(open.len(), 1);
}

#[test]
fn without_the_housekeeper_the_run_ends_in_order() {
    let session = quoting(36, |_| {});
    session.break_part(Part::Housekeeper, Condition::Panicking);
    gone_by_themselves(&session, 10 * SECOND);
    until("the engine ends", 10 * SECOND, || session.is_over());
    let (said, open) = session.end_broken();
    assert!(said.contains("the housekeeper thread panicked: no order of ours is open"), "{said}");
    assert_eq!(open.len(), 1);
}

#[test]
fn what_a_stuck_io_thread_left_is_cancelled_by_rest() {
    let session = quoting(37, |settings| settings.orders.dead_man = Some(Nanos::from_secs(6)));
    session.until("the switch is armed", 8 * SECOND, |session| session.count("sender.dead_man_at") > 0);
    session.break_part(Part::Io, Condition::Stuck);
    let stuck = Instant::now();
    ours_are_gone(&session);
    // Within the countdown, so it was not the switch; and from now on that is not refreshed either.
    assert!(stuck.elapsed() < 6 * SECOND, "{:?}", stuck.elapsed());
    let armed = session.count("sender.dead_man_at");
    std::thread::sleep(2 * SECOND);
    assert_eq!(session.count("sender.dead_man_at"), armed, "{}", session.describe());
    session.break_part(Part::Io, Condition::Whole);
    session.until("it quotes again", 20 * SECOND, |session| session.venue_orders().len() > 1);
    let end = session.stop();
    assert_eq!((end.open.len(), end.foreign.len()), (0, 1), "{}", end.describe);
    assert_eq!(end.status.position, end.position, "{}", end.describe);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}

#[test]
fn a_kill_while_the_venue_wants_silence_is_carried_out_when_it_hears_again() {
    let session = quoting(38, |settings| settings.orders.dead_man = None);
    session.strike("count=2 429");
    session.until("the limit is heard", 10 * SECOND, |session| session.count("sender.rate_limited") > 0);
    // Nobody else would try again.
    session.wedge(true);
    session.kill();
    std::thread::sleep(SECOND);
    assert!(session.venue_orders().len() > 1, "the venue heard nothing; {}", session.describe());
    ours_are_gone(&session);
    session.wedge(false);
    let end = session.stop();
    assert_eq!((end.open.len(), end.foreign.len()), (0, 1), "{}", end.describe);
    assert!(end.replayed.identical, "{:?}", end.replayed.first_difference);
}

#[test]
fn a_run_whose_engine_thread_is_stuck_ends_all_the_same() {
    let session = quoting(39, |_| {});
    session.wedge(true);
    let begun = Instant::now();
    let (said, open) = session.end_broken();
    assert!(begun.elapsed() < 40 * SECOND, "{:?}", begun.elapsed());
    assert!(said.contains("the engine thread does not end"), "{said}");
    assert!(said.contains("no order of ours is open"), "{said}");
    assert_eq!(open.len(), 1);
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

/// A process that is ended with its test.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn until(what: &str, within: Duration, mut wanted: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_stopped_process_is_cancelled_by_the_venue_and_reconciles_before_it_quotes_again() {
    const ACCOUNT: AccountId = AccountId(0);
    let market = synthetic(33);
    let terms = market.instrument().clone();
    let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
    let config = ServerConfig::new(vec![market], vec![AccountConfig::new(session::KEY, session::SECRET)]);
    let server = Server::start(config).unwrap();
    let strategy = near_touch(&terms, bid, &[]);
    let more = "[orders]\ndead_man = \"5s\"\n";
    let files = Files::new(&server.rest_url(), &server.ws_url(), server.cert_pem(), &strategy, more);
    let mut run = Run(run_of(&files, "run", &["--for", "5m", "--json"]).spawn().expect("the program starts"));
    let open = || server.open_orders(ACCOUNT).len();
    until("quotes rest", 30 * SECOND, || open() > 2);
    let dir = RunDir::new(files.dir().join("run"));
    let page = CounterReader::open(&dir.counters()).unwrap();

    signal(&run.0, "STOP");
    // What was on its way still reaches the venue: that nothing is open counts only once the countdown is over.
    std::thread::sleep(6 * SECOND);
    until("the venue's dead-man switch has cancelled everything", 30 * SECOND, || open() == 0);
    std::thread::sleep(SECOND);
    assert_eq!(open(), 0, "the process is stopped");
    let begun = Instant::now();
    signal(&run.0, "CONT");
    until("the lost time is noticed", 60 * SECOND, || page.named("engine.lapses") > Some(0));
    let deadline = begun + 90 * SECOND;
    while open() == 0 {
        assert!(Instant::now() < deadline, "it does not quote again; {}", session::counted(&page));
        std::thread::sleep(Duration::from_millis(5));
    }
    eprintln!("quoting again {:?} after it could run", begun.elapsed());
    signal(&run.0, "INT");
    until("it ends", 60 * SECOND, || run.0.try_wait().unwrap().is_some());
    assert!(run.0.wait().unwrap().success());
    assert_eq!(open(), 0);
    reconciled_before_it_quoted(&dir);
    let again = spinquote::replay::replay(dir.path(), |_| {}).unwrap();
    assert!(again.identical, "{:?}", again.first_difference);
    let held = server.position(ACCOUNT, InstrumentId(0), PositionSide::Net);
    assert_eq!(page.named("BTCUSDT/position"), Some(held.0));
}

/// Behind the lapse: no new order and no amend until a reconciliation that began after it has ended.
fn reconciled_before_it_quoted(dir: &RunDir) {
    use spinquote::event::{AccountEvent, CommandKind};
    let mut reader = Reader::open(dir.clone()).unwrap();
    let (mut lapsed, mut reconciled, mut sent) = (None, false, 0);
    while let Ok(Some(found)) = reader.next() {
        match found.kind {
            record::LAPSE => match record::decode_event(found.kind, found.payload).unwrap() {
                // A busy host may have stalled it once more.
                Event::Lapse { lost } => lapsed = lapsed.max(Some(lost)),
                other => panic!("{other:?}"),
            },
            record::ACCOUNT if lapsed.is_some() => {
                let event = record::decode_event(found.kind, found.payload).unwrap();
                reconciled |= matches!(event, Event::Account(AccountEvent::ReconcileEnd));
            }
            record::COMMAND if lapsed.is_some() => {
                let command = record::decode_command(found.payload).unwrap();
                let risk = matches!(command.kind, CommandKind::New | CommandKind::Amend);
                assert!(reconciled || !risk, "record {}: {command:?} before the reconciliation", found.seq);
                sent += usize::from(risk);
            }
            _ => {}
        }
    }
    assert!(lapsed.is_some_and(|lost| lost > Nanos::from_secs(4)), "{lapsed:?}");
    assert!(reconciled && sent > 0);
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_in_order() {
    const ACCOUNT: AccountId = AccountId(0);
    let market = synthetic(40);
    let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
    let strategy = near_touch(market.instrument(), bid, &[]);
    let config = ServerConfig::new(vec![market], vec![AccountConfig::new(session::KEY, session::SECRET)]);
    let server = Server::start(config).unwrap();
    let files = Files::new(&server.rest_url(), &server.ws_url(), server.cert_pem(), &strategy, "");
    // Whoever runs the tests may have them ignore the signal, and a program that is started so leaves it ignored.
    let program = run_of(&files, "run", &["--for", "5m", "--json"]);
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(program.get_current_dir().unwrap_or(Path::new(".")));
    let mut run = Run(command.spawn().expect("the program starts"));
    let open = || server.open_orders(ACCOUNT).len();
    until("quotes rest", 60 * SECOND, || open() > 2);
    // Twice, as it happens.
    signal(&run.0, "HUP");
    signal(&run.0, "HUP");
    until("it ends", 60 * SECOND, || run.0.try_wait().unwrap().is_some());
    assert!(run.0.wait().unwrap().success());
    assert_eq!(open(), 0);
}
