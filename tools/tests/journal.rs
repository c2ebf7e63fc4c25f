//! `sq journal` on a small run: what it prints, and what it says of a run that is damaged, cut, old, empty, or none at all.

mod support;

use spinquote::journal::{Reader, RunDir};
use spinquote::unit::Nanos;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::{Fixture, NAME, T0, golden, played, sq};

#[test]
fn every_kind_of_record_is_a_readable_line_with_exact_decimals() {
    let run = played();
    let said = run.sq("journal dump");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    golden("dump.txt", &said.out);
    let records = Reader::verify(RunDir::new(run.run_dir())).unwrap().records;
    assert_eq!(said.out.lines().count() as u64, records);
    assert!(!said.out.contains("error=") && !said.out.contains("code-"), "{}", said.out);
}

#[test]
fn filters_choose_kinds_orders_and_times() {
    let run = played();
    let lines = |line: &str| run.sq(line).out.lines().map(|line| line[40..].to_owned()).collect::<Vec<_>>();
    assert_eq!(lines("journal dump --kind operator,kill"), ["operator  verb=pause", "kill"]);
    assert_eq!(lines("journal dump --order 3 --kind command").len(), 1);
    assert_eq!(lines("journal dump --order sq00000007-00000003"), lines("journal dump --order 00000007-00000003"));
    assert_eq!(lines("journal dump --order 3").len(), 5);
    assert_eq!(lines("journal dump --from 22:13:21 --kind external --to 2023-11-14T22:13:22Z").len(), 1);
    assert_eq!(lines("journal dump --from +2s").len(), 0);
    assert_eq!(lines("journal dump --to 22:13:20").len(), 1);
    assert_eq!(lines("journal dump --limit 3").len(), 3);
    assert!(lines("journal dump --not frame,timer").iter().all(|line| !line.starts_with("frame")));
    let wrong = run.sq("journal dump --kind nonsense");
    assert!(wrong.code == 1 && wrong.err.contains("\"nonsense\" is no kind of record; there are frame, snapshot"));
    let wrong = run.sq("journal dump --order x-1");
    assert!(wrong.code == 1 && wrong.err.contains("is no order id: want RUN-SEQ in hex"), "{}", wrong.err);
    assert!(run.sq("journal dump --from yesterday").err.contains("is no time"));
}

#[test]
fn grep_finds_text_and_says_so_by_its_exit_code() {
    let run = played();
    let said = run.sq("journal grep code=-5022");
    assert_eq!((said.out.lines().count(), said.code), (1, 0));
    assert_eq!(run.sq("journal grep -i \"E\":\"AGGTRADE\"").out.lines().count(), 1);
    assert_eq!(
        (run.sq("journal grep nothing-like-it").out, run.sq("journal grep nothing-like-it").code),
        (String::new(), 1)
    );
}

#[test]
fn json_lines_parse_and_have_the_same_fields_for_a_kind() {
    let run = played();
    let said = run.sq("journal dump --json");
    let rows: Vec<serde_json::Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = |row: &serde_json::Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for row in &rows {
        let first = rows.iter().find(|other| other["kind"] == row["kind"]).unwrap();
        assert_eq!(keys(first), keys(row));
    }
    let fill = rows.iter().find(|row| row["trade_id"] == 902).unwrap();
    assert_eq!((&fill["fill_price"], &fill["fill_price_ticks"]), (&"61801.0".into(), &618_010.into()));
    assert_eq!((&fill["fee"], &fill["liquidity"]), (&"0.0370806".into(), &"maker".into()));
}

#[test]
fn tail_reads_back_over_segments() {
    let mut run = Fixture::named(NAME, 4096);
    for at in 0..200 {
        run.frame(1, &format!("{{\"n\":{at}}}"));
    }
    run.end();
    assert!(run.run_dir().join("events-000002.sqj").exists());
    let numbers = |line: &str| {
        let said = run.sq(line);
        said.out.lines().map(|line| line[..8].trim().parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(numbers("journal tail -n 3"), [199, 200, 201]);
    assert_eq!(numbers("journal tail -n 150 --kind frame"), (51..=200).collect::<Vec<_>>());
    assert_eq!(numbers("journal tail -n 1000"), (1..=201).collect::<Vec<_>>());
    assert!(numbers("journal tail -n 0").is_empty());
    assert_eq!(numbers("journal tail --follow -n 1"), [201], "it ends with the run");
    assert_eq!(numbers("journal dump --from 22:13:20.000151 --kind frame"), (151..=200).collect::<Vec<_>>());
}

#[test]
fn tail_follows_a_live_run_to_its_end() {
    let mut run = Fixture::new();
    run.frame(1, "{\"n\":1}");
    let mut child = support::process(run.path())
        .args(["journal", "tail", "--follow", "-n", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().ends_with("data={\"n\":1}"));
    run.frame(1, "{\"n\":2}");
    assert!(next().ends_with("data={\"n\":2}"));
    run.end();
    assert!(next().ends_with("run-end   reason=0"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn verify_says_where_and_why_a_damaged_journal_stops() {
    let run = played();
    let good = run.sq("journal verify");
    assert!(good.code == 0 && good.out.contains("end        in order"), "{}", good.out);
    assert!(good.out.contains("lost       2 records found no segment"), "{}", good.out);
    let path = run.run_dir().join("events-000000.sqj");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[2000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let said = run.sq("journal verify");
    assert_eq!(said.code, 1);
    let damage = "[DIR]/runs/20231114-221320/events-000000.sqj: at byte ".replace("[DIR]/", "");
    assert!(said.out.contains(&damage) && said.out.contains("the checksum does not hold; the last good record is"));
    let json: serde_json::Value = serde_json::from_str(&run.sq("journal verify --json").out).unwrap();
    assert_eq!((&json["end"], &json["damage"]["what"]), (&"damaged".into(), &"the checksum does not hold".into()));
    // The other commands show what is good, then say it.
    let dump = run.sq("journal dump");
    assert!(dump.code == 1 && dump.out.lines().count() > 5 && dump.err.contains("checksum"), "{}", dump.err);
    fs::write(&path, &whole[..2500]).unwrap();
    assert!(run.sq("journal verify").out.contains("the file ends inside a record of"), "cut short");
}

#[test]
fn a_live_run_is_open_and_a_killed_one_too() {
    let mut run = Fixture::new();
    run.frame(1, "{}");
    let said = run.sq("journal verify");
    assert!(said.code == 0 && said.out.contains("open after the last record: the run is live, or was killed"));
}

#[test]
fn what_is_no_run_gets_a_clear_answer() {
    let empty = tempfile::tempdir().unwrap();
    let err = |line: &str| {
        let said = sq(empty.path(), line);
        assert_eq!(said.code, 1, "{line}");
        said.err
    };
    assert!(err("journal stat").contains("runs: no such directory, so there is no newest run"));
    assert!(err("journal stat nowhere").contains("nowhere: no such directory, and no run of this name in runs"));
    fs::create_dir_all(empty.path().join("runs/notes")).unwrap();
    assert!(err("journal stat").contains("runs: holds no run directory"));
    assert!(err("journal stat runs/notes").contains("runs/notes: not a run directory: none of meta.json"));
    fs::write(empty.path().join("runs/notes/meta.json"), "{}").unwrap();
    assert!(err("journal stat notes").contains("no journal segment (events-000000.sqj) here: the run has not started"));
    assert!(
        err("journal stat runs").contains("runs: not a run directory")
            && err("journal stat runs").contains("runs/notes")
    );
    fs::write(
        empty.path().join("runs/notes/events-000000.sqj"),
        b"something else entirely, longer than a header of sixty-four bytes",
    )
    .unwrap();
    assert!(err("journal stat notes").contains("it does not start as a journal segment does"));
    fs::write(empty.path().join("runs/notes/events-000000.sqj"), b"short").unwrap();
    assert!(err("journal stat notes").contains("the file is cut short"));
}

#[test]
fn an_older_layout_is_named() {
    let run = played();
    let path = run.run_dir().join("events-000000.sqj");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 0;
    fs::write(&path, bytes).unwrap();
    let said = run.sq("journal stat");
    assert!(
        said.err.contains("layout version 0, this program reads 1: it was written by another version"),
        "{}",
        said.err
    );
}

#[test]
fn the_newest_run_is_the_default_and_runs_have_names() {
    let old = Fixture::named("a", 4096);
    let path = old.path().to_owned();
    let mut old = old;
    old.frame(1, "old");
    old.close();
    let mut new = Fixture::in_dir(old.dir, "b", 4096);
    new.frame(1, "new");
    // Both were started at the same pretended time: the later name is the newer one.
    assert!(sq(&path, "journal dump").out.contains("data=new"));
    assert!(sq(&path, "journal dump a").out.contains("data=old"));
    assert!(sq(&path, "journal dump runs/a").out.contains("data=old"));
    let elsewhere = tempfile::tempdir().unwrap();
    let runs = path.join("runs");
    assert!(sq(elsewhere.path(), &format!("journal dump --runs {}", runs.display())).out.contains("data=new"));
}

#[test]
fn without_meta_json_raw_ticks_and_lots_are_shown_and_said() {
    let run = played();
    fs::remove_file(run.run_dir().join("meta.json")).unwrap();
    let said = run.sq("journal dump --kind command --limit 1");
    assert!(
        said.out.contains("BTCUSDT what=new") && said.out.contains("price_ticks=617990 qty_lots=5"),
        "{}",
        said.out
    );
    assert!(said.err.contains("prices and quantities are shown in ticks and lots"));
}

#[test]
fn stat_counts_each_kind() {
    let run = played();
    let said = run.sq("journal stat");
    assert!(said.out.starts_with("run 20231114-221320: 2023-11-14T22:13:20.000000000Z to "), "{}", said.out);
    golden("stat.txt", &said.out);
    let json: serde_json::Value = serde_json::from_str(&run.sq("journal stat --json").out).unwrap();
    assert_eq!(
        (&json["kinds"]["order"]["records"], &json["kinds"]["frame"]["first_time_ns"]),
        (&8.into(), &(T0 + 9_201_000).into())
    );
}

#[test]
fn records_that_took_long_are_found() {
    let run = played();
    let kinds = |line: &str| {
        let text = run.sq(line).out;
        text.lines().map(|line| line[40..].split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Decided to written took 20 to 40 us, answers 600 to 900 us.
    assert!(kinds("journal dump --slower 10us --kind sent").len() == 5);
    assert_eq!(kinds("journal dump --slower 39us --kind sent"), ["sent"]);
    assert!(kinds("journal dump --slower 39us --kind order").iter().all(|kind| kind == "order"));
    assert_eq!(kinds("journal dump --slower 1h --not frame"), Vec::<String>::new());
    assert!(!kinds("journal dump --slower 1ms --kind frame").is_empty(), "frames older than that");
}

#[test]
fn mark_and_funding_from_rest_and_the_venues_clock_are_decoded_and_exported() {
    use spinquote::event::{AccountEvent, Event, MarkPrice};
    use spinquote::unit::{Price, Rate};
    let mut run = support::Fixture::new();
    run.event(
        1,
        &Event::Mark(MarkPrice {
            instrument: spinquote::instrument::InstrumentId(0),
            mark: Price::parse(b"61800.1").unwrap(),
            index: Price::parse(b"61799.9").unwrap(),
            funding_rate: Rate::parse(b"-0.00012").unwrap(),
            next_funding: Nanos(support::T0 + 3_600_000_000_000),
            venue_time: Nanos(support::T0),
        }),
    );
    run.event(1, &Event::Account(AccountEvent::VenueClock { offset: Nanos(-250) }));
    run.end();
    let said = run.sq("journal dump --kind mark,account").out;
    for part in [
        "mark      BTCUSDT mark=61800.1 index=61799.9 funding_rate=-0.00012 next_funding_time=23:13:20.000000",
        "account   what=venue-clock offset_ns=-250",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let stat = run.sq("journal stat").out;
    assert!(stat.lines().any(|line| line.split_whitespace().take(2).eq(["mark", "1"])), "{stat}");
    assert_eq!(run.sq("export -o out --kind mark").code, 0);
    let text = std::fs::read_to_string(run.path().join("out/mark.csv")).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        "seq,time_ns,instrument,mark,index,funding_rate,next_funding_time_ns,venue_time_ns"
    );
    assert!(text.contains(",BTCUSDT,61800.1,61799.9,-0.00012,1700003600000000000,1700000000000000000"), "{text}");
}
