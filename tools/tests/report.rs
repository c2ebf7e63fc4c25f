//! `sq report`: its figures against hand-worked ones, the page against the JSON, and both in a real browser.

mod support;

use serde_json::Value;
use spinquote::event::{AccountEvent, Event, PositionSide};
use spinquote::instrument::InstrumentId;
use spinquote::unit::{Lots, Nanos, Price};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Fixture, browser, golden, played, sq};

fn report(run: &Fixture) -> Value {
    let said = run.sq("report --json");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn figures_are_the_hand_worked_ones() {
    let run = played();
    let report = report(&run);
    let market = &report["markets"][0];
    let summary = &market["summary"];
    let shown = serde_json::json!({"summary": summary, "markouts": market["markouts"], "fills": market["fills"], "messages": report["messages"]});
    golden("report.json", &format!("{}\n", serde_json::to_string_pretty(&shown).unwrap()));
    // Sold 2 and 3 lots of 0.001 at 61,801.00 with the mid at 61,800.25; the second execution is told twice.
    assert_eq!(summary["fills_sell"], 2);
    assert_eq!((&summary["sold"], &summary["position"]), (&0.005.into(), &Value::from(-0.005)));
    assert_eq!(summary["turnover"], 309.005);
    let pnl = &summary["pnl"];
    assert_eq!((&pnl["spread"], &pnl["inventory"]), (&Value::from(0.00375), &Value::from(0.0)));
    assert_eq!(
        (&pnl["fees"], &pnl["funding"], &pnl["total"]),
        (&(-0.061801).into(), &(-0.0309).into(), &(-0.088951).into())
    );
    assert_eq!(summary["max_drawdown"], 0.088951);
    assert_eq!(
        (&summary["orders_rested"], &summary["orders_filled"], &summary["fill_ratio"]),
        (&2.into(), &1.into(), &0.5.into())
    );
    // Accepted after 935 us, executed 40.2 ms later.
    assert!((summary["queue_time"]["median_s"].as_f64().unwrap() - 0.0402).abs() < 1e-4);
    let messages = &report["messages"];
    assert_eq!(
        ["new", "amend", "cancel", "rejected", "refused"].map(|name| messages[name].as_u64().unwrap()),
        [3, 1, 1, 1, 1]
    );
    let horizon = |at: usize| {
        (market["markouts"][at]["side"].as_str().unwrap(), market["markouts"][at]["count"].as_u64().unwrap())
    };
    assert_eq!((horizon(4), horizon(5), horizon(6)), (("sell", 2), ("sell", 2), ("sell", 0)));
    let incidents: Vec<&str> =
        report["incidents"]["shown"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    for what in
        ["market up", "order rejected", "withdrawn", "journal lost records", "feed gap", "operator", "kill flag"]
    {
        assert!(incidents.contains(&what), "{what} is not in {incidents:?}");
    }
    assert_eq!(report["latency"].as_array().unwrap().len(), 4);
    assert_eq!((&report["kind"], &report["version"]), (&"live".into(), &1.into()));
    // The market is known from the first diff on, 9.201 ms after the start.
    let unknown = report["seconds"].as_f64().unwrap() - summary["market_s"].as_f64().unwrap();
    assert!((unknown - 0.009_201).abs() < 1e-9, "{unknown}");
}

#[test]
fn the_page_has_the_same_figures_and_stands_alone() {
    let run = played();
    let said = run.sq("report");
    assert_eq!((said.code, said.out.as_str()), (0, "wrote report-20231114-221320.html\n"));
    let page = fs::read_to_string(run.path().join("report-20231114-221320.html")).unwrap();
    let data = page.split_once("type=\"application/json\">").unwrap().1.split_once("</script>").unwrap().0;
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), report(&run));
    assert!(
        !page.contains("src=") || page.matches("src=").count() == page.matches("script-src=").count(),
        "nothing is loaded"
    );
    let both = run.sq("report --json -o both.html");
    assert!(both.out.starts_with('{') && run.path().join("both.html").is_file());
}

#[test]
fn a_journal_that_begins_in_the_middle_is_shown_from_there() {
    let mut run = Fixture::new();
    let quote = |update: u32, bid: &str, ask: &str| {
        let event = format!(
            r#""e":"bookTicker","u":{update},"s":"BTCUSDT","b":"{bid}","B":"1.000","a":"{ask}","A":"1.000","T":1700000000009,"E":1700000000010"#
        );
        format!(r#"{{"stream":"btcusdt@bookTicker","data":{{{event}}}}}"#)
    };
    for update in 1..=600 {
        run.frame(1_000, &quote(update, "61800.20", "61800.30"));
    }
    let position = AccountEvent::Position {
        instrument: InstrumentId(0),
        side: PositionSide::Net,
        qty: Lots(10),
        entry: Price::parse(b"61000").unwrap(),
        snapshot: false,
        venue_time: Nanos(run.now.0),
    };
    run.event(1_000, &Event::Account(position));
    run.frame(1_000, &quote(601, "61801.20", "61801.30"));
    run.end();
    fs::remove_file(run.run_dir().join("events-000000.sqj")).unwrap();
    let report = report(&run);
    assert!(report["notes"][0].as_str().unwrap().contains("first segments were removed"), "{}", report["notes"]);
    let summary = &report["markets"][0]["summary"];
    // 0.010 held while the mid rose by 1; what it earned before is not known.
    assert_eq!((&summary["position"], &summary["pnl"]["total"]), (&0.01.into(), &0.01.into()));
    assert!(summary["market_s"].as_f64().unwrap() > 0.1);
}

#[test]
fn damage_ends_the_report_and_is_said_in_it() {
    let run = played();
    let path = run.run_dir().join("events-000000.sqj");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = run.sq("report -o r.html");
    assert!(
        said.code == 1 && said.err.contains("the journal ends in damage; the report shows all before it"),
        "{}",
        said.err
    );
    assert!(
        fs::read_to_string(run.path().join("r.html"))
            .unwrap()
            .contains("The journal is damaged, and the report ends there")
    );
}

#[test]
fn a_run_without_its_contract_is_refused_with_the_reason() {
    let run = played();
    fs::remove_file(run.run_dir().join("meta.json")).unwrap();
    let said = run.sq("report");
    assert!(said.code == 1 && said.err.contains("does not say the tick and the lot of BTCUSDT"), "{}", said.err);
    assert!(!run.path().join("report-20231114-221320.html").exists());
}

/// Counts what is painted, and says so in the document.
const PROBE: &str = r#"<script>
document.body.append(Object.assign(document.createElement("pre"), { id: "probe", textContent: [...document.querySelectorAll("canvas")]
  .map(canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, byte, at) => sum + (at % 4 === 3 && byte > 0), 0)).join(" ")
  + " wide " + (document.documentElement.scrollWidth - innerWidth) }));
</script>"#;

#[test]
fn a_browser_shows_the_plots_and_the_figures_of_the_json() {
    let run = played();
    let report = report(&run);
    run.sq("report -o r.html");
    let path = run.path().join("r.html");
    let page = fs::read_to_string(&path).unwrap();
    fs::write(&path, page.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    for width in [1400, 500] {
        let Some(shown) = browser::open(&format!("file://{}", path.display()), width, Duration::from_secs(5)) else {
            return;
        };
        assert!(shown.console.is_empty(), "{:?}", shown.console);
        assert!(shown.dom.contains("data-ready=\"yes\""));
        let probe = shown.dom.split_once("id=\"probe\">").unwrap().1.split_once('<').unwrap().0;
        let (painted, over) = probe.split_once(" wide ").unwrap();
        let painted: Vec<u64> = painted.split(' ').map(|count| count.parse().unwrap()).collect();
        assert!(painted.len() == 5 && painted.iter().all(|&count| count > 1000), "{painted:?}");
        assert!(over.parse::<i64>().unwrap() <= 0, "the page is {over} px wider than a window of {width}");
        let figures = shown.figures();
        assert!(figures.len() >= 15, "{figures:?}");
        for (key, value, text) in &figures {
            let expected = report.pointer(&format!("/{key}")).unwrap_or(&Value::Null);
            assert_eq!(value.as_f64(), expected.as_f64(), "{key}");
            assert!(expected.is_null() == (text == "–"), "{key}: {expected} is shown as {text:?}");
        }
        let text = |key: &str| figures.iter().find(|(name, _, _)| name == key).unwrap().2.as_str();
        assert_eq!(text("markets/0/summary/pnl/total"), "-0.09");
        assert_eq!((text("markets/0/summary/fill_ratio"), text("messages/new")), ("50.0 %", "3"));
    }
}

#[test]
fn a_browser_that_finds_a_fault_in_a_page_fails_the_test() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.html");
    fs::write(&path, "<!doctype html><script>nothing.like.this()</script>").unwrap();
    let Some(shown) = browser::open(&format!("file://{}", path.display()), 800, Duration::from_secs(5)) else { return };
    assert!(shown.console.iter().any(|line| line.contains("ReferenceError")), "{:?}", shown.console);
}

/// A real run: the report's P&L is the engine's own, to the last digit of the counters page.
#[test]
fn profit_of_a_demo_is_what_its_engine_counted() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_sq")).with_file_name("spinquote");
    if !program.is_file() {
        eprintln!("not run: {} is not built", program.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("runs/demo");
    fs::create_dir(dir.path().join("runs")).unwrap();
    let demo = Command::new(program)
        .args(["demo", "--for", "8s", "--seed", "3", "--json", "--run-dir"])
        .arg(&run)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let report: Value = serde_json::from_str(&sq(dir.path(), "report --json").out).unwrap();
    let status: Value = serde_json::from_str(&sq(dir.path(), "status --json").out).unwrap();
    let (summary, words) = (&report["markets"][0]["summary"], &status["instruments"]["BTCUSDT"]);
    for part in ["total", "spread", "inventory", "fees", "funding"] {
        let counted: f64 = words[format!("pnl.{part}")].as_str().unwrap().parse().unwrap();
        assert!(
            (summary["pnl"][part].as_f64().unwrap() - counted).abs() < 2e-8,
            "{part}: {} is not {counted}",
            summary["pnl"][part]
        );
    }
    for (ours, theirs) in [("fills_buy", "fills.buy"), ("fills_sell", "fills.sell")] {
        assert_eq!(summary[ours], words[theirs], "{ours}");
    }
    let sent = ["new", "amend", "cancel"].map(|name| report["messages"][name].as_u64().unwrap());
    let counted =
        ["new", "amend", "cancel"].map(|name| status["words"][format!("sender.orders_{name}")].as_u64().unwrap());
    assert!(sent.iter().zip(counted).all(|(sent, counted)| *sent >= counted), "{sent:?} {counted:?}");
    assert!(summary["two_sided"].as_f64().unwrap() > 0.0 && report["seconds"].as_f64().unwrap() > 5.0);
}
