//! `sq status`, `orders`, `fills`, `positions`, `balance` on a small run, live and ended.

mod support;

use spinquote::unit::Nanos;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Fixture, golden, play, played, publish, publish_detail};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn tables_of_an_ended_run() {
    let run = played();
    for command in ["status", "orders --all", "fills", "positions", "balance"] {
        let said = run.sq(command);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{command}");
        golden(&format!("{}.txt", command.split(' ').next().unwrap()), &said.out);
    }
    assert_eq!(run.sq("orders").out, "no open order; --all shows those that are done\n");
    assert_eq!(run.sq("fills -n 1").out.lines().count(), 2);
}

#[test]
fn the_same_as_json() {
    let run = played();
    let status = json(&run.sq("status --json").out);
    assert_eq!((&status["life"], &status["state"]), (&"ended".into(), &"ended".into()));
    assert_eq!(
        (&status["words"]["sender.orders_new"], &status["words"]["engine.wallet"]),
        (&3.into(), &"9999.938199".into())
    );
    assert_eq!(status["instruments"]["BTCUSDT"]["pnl.total"], "-0.089451");
    let orders = json(&run.sq("orders --all --json").out);
    let states: Vec<_> = orders.as_array().unwrap().iter().map(|order| order["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["canceled", "filled", "rejected"]);
    let fills = json(&run.sq("fills --json").out);
    assert_eq!(fills.as_array().unwrap().len(), 2, "a repeated execution counts once");
    let positions = json(&run.sq("positions --json").out);
    assert_eq!(positions["ours"]["BTCUSDT"]["position"], "-0.005");
    assert_eq!((&positions["venue"][0]["qty_lots"], &positions["venue"][0]["entry"]), (&(-5).into(), &"61801".into()));
    let balance = json(&run.sq("balance --json").out);
    assert_eq!((&balance["fees_paid"], &balance["funding"]), (&"0.061801".into(), &"-0.0309".into()));
}

#[test]
fn margin_funding_the_strategys_state_and_orders_are_shown() {
    let run = played();
    publish_detail(&run, run.now);
    let said = run.sq("status");
    golden("status_detail.txt", &said.out);
    let now = &json(&run.sq("status --json").out)["instruments"]["BTCUSDT"]["now"];
    assert_eq!((&now["phase"], &now["blocked"]["ask"]), (&"quoting".into(), &"below-base".into()));
    assert_eq!((&now["orders"][0]["side"], &now["orders"][0]["price"]), (&"ask".into(), &"61810.0".into()));
    assert_eq!(
        (&now["orders"][1]["ahead_lots"], &now["orders"][2]["ahead_lots"]),
        (&40.into(), &serde_json::Value::Null)
    );
    let metrics = run.sq("prom --once").out;
    assert!(metrics.contains("spinquote_margin_level 1\n") && !metrics.contains("order_bid"), "{metrics}");
    let top = run.sq("top --plain --size 80x24").out;
    assert!(top.contains("liq/marg. 67733.89 +9.6%  27.77 % LOW"), "{top}");
}

#[test]
fn a_live_a_silent_and_an_unborn_run_are_told_apart() {
    let mut run = Fixture::new();
    let said = run.sq("status");
    assert!(said.code == 1 && said.out.contains("no heartbeat yet, and no end in the journal"), "{}", said.out);
    play(&mut run);
    let said = run.sq("status");
    assert!(said.code == 1 && said.out.contains("silent: no heartbeat for "), "{}", said.out);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    publish(&run, Nanos(now as i64));
    let said = run.sq("status");
    assert!(said.code == 0 && said.out.contains("quoting; live, heartbeat ") && said.out.contains("cancels all in 4"));
    run.counters[0].set(spinquote::journal::counters::Slot::Killed, 1);
    let said = run.sq("status");
    assert!(said.code == 1 && said.out.contains(": KILLED; live"), "{}", said.out);
    assert!(
        said.out
            .contains("-> nothing is sent any more; BTCUSDT -0.005 stays: `sq ctl flatten 20231114-221320` closes it")
    );
}

#[test]
fn the_first_lines_say_what_is_wrong_and_what_to_do() {
    use spinquote::journal::counters::{InstrumentSlot, Slot};
    let mut run = Fixture::new();
    play(&mut run);
    // This test's own process holds the pages: the engine would be stuck in it.
    let second = |said: &str| said.lines().nth(1).unwrap_or_default().to_owned();
    let said = run.sq("status").out;
    assert!(
        second(&said).starts_with("  -> its engine thread is stuck: `sq ctl cancel-all 20231114-221320`"),
        "{said}"
    );
    assert!(said.contains(&format!("if nothing helps: kill -9 {}", std::process::id())), "{said}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    publish(&run, Nanos(now as i64));
    run.counters[0].set(Slot::Paused, 1);
    run.counters[0].set_of(
        0,
        InstrumentSlot::Blocks,
        i64::from(spinquote::maker::Blocks::BOOK | spinquote::maker::Blocks::LADDER),
    );
    let said = run.sq("status");
    assert!(said.out.contains("  -> no quotes: the book is not in sync"), "{}", said.out);
    assert!(said.out.contains("  -> an operator paused it") && said.out.contains("`sq ctl resume 20231114-221320`"));
    assert_eq!(json(&run.sq("status --json").out)["blocks"], serde_json::json!(["book", "ladder"]));
    let alert =
        "{\"time_ns\":1,\"alert\":\"loss\",\"severity\":\"critical\",\"change\":\"raised\",\"text\":\"much\"}\n";
    fs::write(run.run_dir().join("alerts.jsonl"), alert).unwrap();
    assert!(
        run.sq("status").out.contains("critical loss since 00:00:00.000: much\n  -> `sq positions` says where it went")
    );
    // Copied elsewhere, nobody holds it.
    let copy = run.path().join("runs/copy");
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(run.run_dir_of(support::NAME)).unwrap().flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    support::publish(&run, run.now);
    fs::copy(run.run_dir_of(support::NAME).join("counters.sqc"), copy.join("counters.sqc")).unwrap();
    let said = run.sq("status copy");
    assert!(said.out.contains(" has this run open") && said.out.contains("BTCUSDT -0.005 is held; "), "{}", said.out);
    assert!(said.out.contains("1 orders were live: the venue should have cancelled them at 22:14:06"), "{}", said.out);
}

#[test]
fn funding_alone() {
    let run = played();
    assert_eq!(run.sq("status --funding-rate").out, "BTCUSDT: the venue has not said a funding rate yet\n");
    publish_detail(&run, run.now);
    let said = run.sq("status --funding-rate");
    golden("funding.txt", &said.out);
    let said = json(&run.sq("status --funding-rate --json").out);
    assert_eq!(
        (&said["BTCUSDT"]["rate"], &said["BTCUSDT"]["next_in_ns"]),
        (&"-0.00012345".into(), &3_600_001_000_000_i64.into())
    );
}

#[test]
fn orders_in_flight_are_open_and_say_what_was_asked() {
    use spinquote::event::{CommandKind, OrderEventKind, Side};
    let mut run = Fixture::new();
    run.command(CommandKind::New, 1, 1, Side::Buy, 100, 1);
    run.command(CommandKind::New, 2, 1, Side::Sell, 110, 1);
    run.order(5, support::order(OrderEventKind::Accepted, 2, Side::Sell, 110, 1, 0));
    run.command(CommandKind::Amend, 2, 2, Side::Sell, 112, 1);
    run.command(CommandKind::New, 3, 1, Side::Buy, 99, 1);
    run.order(5, support::order(OrderEventKind::Unknown, 3, Side::Buy, 99, 1, 0));
    let orders = json(&run.sq("orders --json").out);
    let of = |at: usize| (orders[at]["state"].as_str().unwrap(), orders[at]["asked"].as_str());
    assert_eq!([of(0), of(1), of(2)], [("pending", Some("new")), ("live", Some("amend")), ("unknown", Some("new"))]);
    // A late acceptance does not bring back what is gone.
    run.order(5, support::order(OrderEventKind::Canceled, 2, Side::Sell, 110, 1, 0));
    run.order(5, support::order(OrderEventKind::Accepted, 2, Side::Sell, 110, 1, 0));
    assert_eq!(json(&run.sq("orders --json").out).as_array().unwrap().len(), 2);
}

#[test]
fn an_execution_told_twice_gains_its_fee_and_the_venues_quantity_counts() {
    use spinquote::event::{CommandKind, Fill, OrderEvent, OrderEventKind, Side};
    use support::{fill, order};
    let mut run = Fixture::new();
    run.command(CommandKind::New, 1, 1, Side::Buy, 110, 25);
    // A reduce-only order of 25 lots that only 20 were left for; the first word of a trade knows neither fee nor sum.
    run.order(5, order(OrderEventKind::Accepted, 1, Side::Buy, 110, 20, 0));
    let lite = |trade, qty| Fill { fee_known: false, ..fill(trade, 100, qty, "0", false) };
    let told = |filled, fill| OrderEvent { fill, ..order(OrderEventKind::Fill, 1, Side::Buy, 110, 20, filled) };
    run.order(5, told(0, lite(1, 6)));
    run.order(5, told(0, lite(2, 14)));
    assert_eq!(run.sq("orders").out, "no open order; --all shows those that are done\n");
    run.order(5, told(6, fill(1, 100, 6, "0.5", false)));
    run.order(5, told(20, fill(2, 100, 14, "0.7", false)));
    let fills = json(&run.sq("fills --json").out);
    assert_eq!(
        (&fills[0]["fee"], &fills[1]["fee"], fills.as_array().unwrap().len()),
        (&"0.5".into(), &"0.7".into(), 2)
    );
    assert_eq!(json(&run.sq("orders --all --json").out)[0]["filled_lots"], 20);
}

#[test]
fn without_a_page_the_venues_word_remains_and_the_reason_is_said() {
    let run = played();
    fs::remove_file(run.run_dir().join("counters.sqc")).unwrap();
    let said = run.sq("positions");
    assert!(
        said.out.contains("our own count is not known: this run has no counters page") && said.out.contains("-0.005")
    );
    let said = run.sq("status");
    assert!(said.code == 1 && said.err.contains("this run has no counters page"), "{}", said.err);
}
