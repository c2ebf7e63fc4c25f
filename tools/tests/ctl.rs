//! `sq ctl` against the command page of a run whose threads are played by the test.

mod support;

use spinquote::event::Operator;
use spinquote::journal::command_page::{CommandPage, CommandWatch};
use spinquote::journal::counters::Slot;
use spinquote::unit::Nanos;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Fixture, NAME, play, played, publish, publish_detail};

fn live() -> Fixture {
    let mut run = Fixture::new();
    run.frame(1, "{}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    publish(&run, Nanos(now.as_nanos() as i64));
    run
}

/// Lets these threads watch the page while `work` is done; gives back what they took.
fn watched<T>(watches: Vec<CommandWatch>, work: impl FnOnce() -> T) -> (T, Vec<Option<Operator>>) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = watches
            .into_iter()
            .map(|mut watch| {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if let Some(request) = watch.poll() {
                            return Some(request.verb);
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    None
                })
            })
            .collect();
        let done = work();
        stop.store(true, Ordering::Relaxed);
        (done, threads.into_iter().map(|thread| thread.join().unwrap()).collect())
    })
}

fn page(run: &Fixture) -> CommandPage {
    CommandPage::open(&run.run_dir().join("command.sqm")).unwrap()
}

/// The fixture and its watches, apart.
fn apart(mut run: Fixture) -> (Fixture, Vec<CommandWatch>) {
    let other = tempfile::tempdir().unwrap();
    let spare = spinquote::journal::command_page::create(&other.path().join("spare")).unwrap();
    let watches = std::mem::replace(&mut run.watches, spare);
    (run, watches.into())
}

#[test]
fn a_verb_is_taken_by_both_threads() {
    for (verb, operator) in [
        ("pause", Operator::Pause),
        ("resume", Operator::Resume),
        ("widen 150", Operator::Widen { percent: 150 }),
        ("reload", Operator::Reload),
        ("reduce-only", Operator::ReduceOnly),
        ("cancel-all --yes 20231114-221320", Operator::CancelAll),
        ("flatten --yes 20231114-221320", Operator::Flatten),
        ("stop --yes 20231114-221320", Operator::Stop),
    ] {
        let (run, watches) = apart(live());
        let (said, taken) = watched(watches, || run.sq(&format!("ctl {verb} --by test --why reason")));
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{verb}: {}", said.out);
        assert!(
            said.out.contains("asked as command 1 by test, pid ")
                && said.out.contains("taken by the engine and the I/O thread\n")
        );
        assert_eq!(taken, [Some(operator), Some(operator)]);
    }
}

#[test]
fn a_destructive_verb_shows_what_stands_and_wants_the_runs_name() {
    let run = live();
    for verb in ["cancel-all", "flatten", "stop", "kill"] {
        let said = run.sq(&format!("ctl {verb} --yes wrong"));
        assert_eq!(said.code, 1);
        assert!(said.out.contains("BTCUSDT: position -0.005, 1 live orders, market 61800.2 / 61800.3"), "{}", said.out);
        assert!(
            said.err.contains("\"wrong\" is not the run's name, \"20231114-221320\": nothing was sent"),
            "{}",
            said.err
        );
    }
    assert!(page(&run).taken(0) && page(&run).killed_at().is_none());
    assert!(run.sq("ctl pause --yes wrong").err.contains("nothing was sent"), "a wrong name stops a mild verb too");
}

#[test]
fn the_name_is_typed_back() {
    let (run, watches) = apart(live());
    let (output, taken) = watched(watches, || {
        let mut child = support::process(run.path())
            .args(["ctl", "flatten"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{NAME}\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("closes the position AT MARKET"), "{text}");
    assert!(text.contains("type the run's name to go on: "));
    assert_eq!(taken, [Some(Operator::Flatten); 2]);
}

#[test]
fn a_stuck_engine_is_named_and_a_second_command_waits() {
    let (run, mut watches) = apart(live());
    let sender = watches.pop().unwrap();
    let (said, taken) = watched(vec![sender], || run.sq("ctl pause --timeout 300ms"));
    assert_eq!((said.code, taken), (1, vec![Some(Operator::Pause)]));
    assert!(
        said.out.contains("pause: NOT taken by the engine thread within 300 ms; its last heartbeat is "),
        "{}",
        said.out
    );
    assert!(!said.out.contains("NOT taken by the I/O thread"));
    let second = run.sq("ctl resume");
    assert!(second.code == 1 && second.err.contains("has not been taken yet; is the engine alive?"), "{}", second.err);
    let killed = run.sq("ctl kill --yes 20231114-221320 --timeout 100ms");
    assert!(killed.code == 1 && killed.out.contains("kill: the flag is set"), "{}", killed.out);
    assert!(killed.out.contains("NOT shown by the engine thread within 100 ms"));
    assert!(watches[0].killed());
}

#[test]
fn a_kill_is_seen_and_only_a_confirmed_resume_ends_it() {
    let (run, watches) = apart(live());
    run.counters[0].set(Slot::Killed, 1);
    let said = run.sq("ctl kill --yes 20231114-221320");
    assert!(
        said.code == 0 && said.out.contains("the engine shows that it is killed; 1 live orders are left"),
        "{}",
        said.out
    );
    let said = run.sq("ctl resume --yes no");
    assert!(said.code == 1 && said.out.contains("the kill flag is set since"), "{}", said.out);
    assert!(page(&run).killed_at().is_some());
    // What killed it still holds, so that the engine kills again at once: a resume that does nothing must not look like one that worked.
    let (said, taken) = watched(watches, || run.sq("ctl resume --yes 20231114-221320"));
    assert!(said.code == 1 && said.out.contains("the kill flag is cleared"), "{}", said.out);
    assert!(said.out.contains("KILLED AGAIN") && said.out.contains("sq ctl flatten 20231114-221320"), "{}", said.out);
    assert!(page(&run).killed_at().is_none() && taken == [Some(Operator::Resume); 2]);
    let (run, watches) = apart(live());
    assert_eq!(run.sq("ctl kill --yes 20231114-221320 --timeout 10ms").code, 1);
    let (said, _) = watched(watches, || run.sq("ctl resume --yes 20231114-221320"));
    assert!(said.code == 0 && said.out.ends_with("resume: the engine is armed again\n"), "{}", said.out);
}

#[test]
fn an_ended_run_and_a_run_without_a_page_are_refused() {
    let run = played();
    let said = run.sq("ctl pause");
    assert!(
        said.code == 1 && said.err.contains("has ended 2023-11-14T22:13:21") && said.err.contains("nothing to command")
    );
    let run = live();
    std::fs::remove_file(run.run_dir().join("command.sqm")).unwrap();
    assert!(run.sq("ctl pause").err.contains("this run has no command page"));
}

#[test]
fn what_would_go_is_shown_before_it_goes() {
    use spinquote::journal::counters::{InstrumentSlot, OrderWord};
    let run = live();
    for (side, id, price, qty) in [(0, 1, 617_995, 5), (1, 2, 618_010, 7)] {
        for (word, value) in [(OrderWord::Id, id), (OrderWord::Price, price), (OrderWord::Qty, qty)] {
            run.counters[0].set_order(0, side, 0, word, value);
        }
    }
    run.counters[0].set_of(0, InstrumentSlot::OrdersLive, 5);
    // From the counters page alone: an emergency does not wait for the reading of a long journal.
    std::fs::write(run.run_dir().join("events-000000.sqj"), "gone").unwrap();
    let said = run.sq("ctl flatten --yes wrong");
    for part in [
        "cancels #1 buy 0.005 @ 61799.5",
        "cancels #2 sell 0.007 @ 61801.0",
        "  and 3 more",
        "BTCUSDT: buys 0.005 at 61800.3 or worse, about 309.0015",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let said = play_orders();
    assert!(said.contains("cancels 00000007-00000001 buy 0.005 @ 61799.5"), "{said}");
    assert!(run.sq("ctl widen 99").err.contains("99 is not in 100..=10000"));
    assert!(run.sq("ctl widen 150 --timeout 20ms").out.contains("100% -> 150%"));
}

/// What `cancel-all` would show of a run whose journal can be read.
fn play_orders() -> String {
    let mut run = live();
    play(&mut run);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    publish(&run, Nanos(now.as_nanos() as i64));
    publish_detail(&run, run.now);
    run.sq("ctl cancel-all --yes wrong").out
}

#[test]
fn alerts_are_acknowledged_by_a_human() {
    let run = live();
    let line = "{\"time_ns\":1,\"alert\":\"loss\",\"severity\":\"critical\",\"change\":\"raised\",\"text\":\"much\"}\n";
    std::fs::write(run.run_dir().join("alerts.jsonl"), line).unwrap();
    let seen = run.watches[0].alerts_seen();
    assert_eq!(seen.up_to(), Nanos(0));
    let said = run.sq("ctl ack");
    assert_eq!((said.code, said.out.as_str()), (0, "ack: critical loss: much\n"));
    assert!(seen.up_to().0 > 1_700_000_000_000_000_000);
}

#[test]
fn a_page_of_an_older_layout_is_named() {
    let run = live();
    let path = run.run_dir().join("command.sqm");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 1;
    std::fs::write(&path, bytes).unwrap();
    let said = run.sq("ctl pause");
    assert!(
        said.code == 1 && said.err.contains("the command page has layout version 1, this sq reads 2"),
        "{}",
        said.err
    );
}

#[test]
fn who_asked_and_why_stands_on_the_page() {
    let (run, watches) = apart(live());
    let (said, _) = watched(watches, || {
        support::sq_args(
            run.path(),
            &["ctl", "widen", "200", "--by", "night desk", "--why", "odd fills", "--yes", NAME],
        )
    });
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let signature = page(&run).signature();
    assert!(signature.by.starts_with("night desk, pid ") && signature.why.as_str() == "odd fills", "{signature:?}");
    let killed = support::sq_args(run.path(), &["ctl", "kill", "--yes", NAME, "--why", "enough", "--timeout", "10ms"]);
    assert!(killed.out.contains("kill: the flag is set by "), "{}", killed.out);
}
