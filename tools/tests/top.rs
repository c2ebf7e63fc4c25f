//! `sq top` where stdout is no terminal: one picture as text, at the sizes that people use.

mod support;

use support::{Fixture, golden, played};

#[test]
fn pictures_of_an_ended_run_at_three_sizes() {
    let run = played();
    for (width, height) in [(80, 24), (200, 60), (50, 40), (40, 24)] {
        let size = format!("{width}x{height}");
        let said = run.sq(&format!("top --plain --size {size}"));
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        assert_eq!(said.out.lines().count(), height);
        assert!(said.out.lines().all(|line| line.chars().count() <= width));
        assert!(said.out.trim_end().lines().last().unwrap().starts_with("q quit "));
        golden(&format!("top_{size}.txt"), &said.out);
    }
    assert_eq!(run.sq("top").out, run.sq("top --plain").out, "plain by itself when piped");
}

#[test]
fn alerts_liquidation_and_limits_are_shown_and_own_orders_never_give_way() {
    use spinquote::event::{CommandKind, Side};
    use spinquote::journal::counters::Slot;
    let mut run = Fixture::new();
    support::publish(&run, run.now);
    run.counters[1].set(Slot::OrdersLimit, 10);
    run.counters[1].set(Slot::OrdersUsed, 9);
    let levels = |from: i64, step: i64| {
        let level = |at: i64| format!("[\"{}.{}\",\"1.5\"]", (from + at * step) / 10, (from + at * step) % 10);
        (0..30).map(level).collect::<Vec<_>>().join(",")
    };
    run.frame(
        1,
        &format!(
            r#"{{"data":{{"e":"depthUpdate","s":"BTCUSDT","b":[{}],"a":[{}]}}}}"#,
            levels(618_002, -1),
            levels(618_003, 1)
        ),
    );
    run.command(CommandKind::New, 1, 1, Side::Buy, 610_000, 5);
    run.command(CommandKind::New, 2, 1, Side::Sell, 618_004, 7);
    let line = |name: &str, severity: &str| {
        format!(
            "{{\"time_ns\":1,\"alert\":\"{name}\",\"severity\":\"{severity}\",\"change\":\"raised\",\"text\":\"of {name}\"}}\n"
        )
    };
    let alerts = [line("loss", "critical"), line("clock", "warning"), line("disk", "warning")].concat();
    std::fs::write(run.run_dir().join("alerts.jsonl"), alerts).unwrap();
    for size in ["80x24", "200x60", "40x24"] {
        let said = run.sq(&format!("top --size {size}"));
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        for part in ["CRITICAL loss: of loss", "own 0.005", "own 0.007", "1.500*", "orders 9/10 10s", "position"] {
            assert!(said.out.contains(part), "{part} at {size}:\n{}", said.out);
        }
        if size != "200x60" {
            assert!(said.out.contains("WARNING clock: of clock  and 1 more"), "{}", said.out);
        }
        let age = heartbeat(&run.sq("top").out);
        golden(
            &format!("top_live_{size}.txt"),
            &said.out.replace(&age, "[AGE]").replace(&std::process::id().to_string(), "[PID]"),
        );
    }
    assert!(run.sq("status").out.contains("ALERT   critical loss since 00:00:00.000: of loss"));
}

/// How old the heartbeat of the picture is: the only thing in it that changes. A narrow one cuts it off.
fn heartbeat(picture: &str) -> String {
    let line = picture.lines().next().unwrap();
    line.split("no heartbeat for ").nth(1).map_or_else(|| "nothing like it".to_owned(), |age| age.trim().to_owned())
}

#[test]
fn own_orders_stand_in_the_book_and_what_is_missing_is_said() {
    use spinquote::event::{CommandKind, Side};
    let mut run = Fixture::new();
    support::publish(&run, run.now);
    run.command(CommandKind::New, 1, 1, Side::Buy, 617_985, 5);
    run.command(CommandKind::New, 2, 1, Side::Sell, 618_003, 5);
    let said = run.sq("top").out;
    assert!(said.contains("ask   61800.3    touch own 0.005 +0.0 bp"), "{said}");
    assert!(said.contains("bid   61798.5          own 0.005 -0.2 bp"), "{said}");
    assert!(
        said.contains("silent: no heartbeat for ")
            && said.contains("nothing was timed yet")
            && said.contains("this run has no histogram file")
    );
    assert!(run.sq("top --size 5x5").err.contains("want columns and rows from 20x8"));
    let tiny = run.sq("top --size 20x8");
    assert_eq!(tiny.code, 0, "{}", tiny.err);
}
