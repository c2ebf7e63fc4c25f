//! `sq hist` on a small run: percentiles, comparison, exports, and what it refuses.

mod support;

use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use std::fs;
use support::{Fixture, META, golden, played, times};

#[test]
fn percentiles_per_stage_as_a_table_and_as_json() {
    let run = played();
    let said = run.sq("hist");
    assert_eq!(said.code, 0, "{}", said.err);
    golden("hist.txt", &said.out);
    let json: serde_json::Value = serde_json::from_str(&run.sq("hist --stage decode --json").out).unwrap();
    assert_eq!((&json["stages"]["decode"]["count"], &json["stages"]["decode"]["max"]), (&1001.into(), &16_000.into()));
    assert_eq!(json["stages"].as_object().unwrap().len(), 1);
    assert!(run.sq("hist --stage nonsense").err.contains("\"nonsense\" is no stage of run"));
    assert!(run.sq("hist --explain").out.contains("tick_to_order     From a frame's bytes"));
}

#[test]
fn unlike_hosts_are_not_compared_unless_forced() {
    let first = played();
    let mut second = Fixture::in_dir(first.dir, "other", 4096);
    second.frame(1, "{}");
    second.close();
    let other = second.path().join("runs/other");
    times(&other, 2);
    let same = second.sq("hist --compare 20231114-221320 other");
    assert_eq!(same.code, 0, "{}", same.err);
    golden("hist_compare.txt", &same.out);
    fs::write(other.join("meta.json"), META.replace("host-a", "host-b")).unwrap();
    let refused = second.sq("hist --compare 20231114-221320 other");
    assert!(
        refused.code == 1 && refused.err.contains("are of unlike hosts (\"host-a\" and \"host-b\")"),
        "{}",
        refused.err
    );
    assert_eq!(second.sq("hist --compare 20231114-221320 --force other").out, same.out);
    fs::write(other.join("meta.json"), "{}").unwrap();
    assert!(
        second
            .sq("hist --compare 20231114-221320 other")
            .err
            .contains("meta.json of run other does not say on which host")
    );
}

#[test]
fn the_interval_log_reads_back_with_every_value() {
    let run = played();
    assert!(run.sq("hist --hlog out.hlog").out.contains("wrote out.hlog"));
    let bytes = fs::read(run.path().join("out.hlog")).unwrap();
    let mut stages = Vec::new();
    for entry in IntervalLogIterator::new(&bytes) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let raw = base64(interval.encoded_histogram());
            let histogram: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut raw.as_slice()).unwrap();
            stages.push((interval.tag().unwrap().as_str().to_owned(), histogram.len()));
        }
    }
    let names = ["decode", "decide", "tick_to_order", "order_round_trip"];
    assert_eq!(stages, names.map(|name| (name.to_owned(), 1001)));
}

/// Standard base64 with padding.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|&byte| byte != b'=') {
        bits = bits << 6 | u32::from(digit(byte));
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

#[test]
fn the_plot_names_every_stage_and_is_one_whole_picture() {
    let run = played();
    run.sq("hist --svg out.svg");
    let svg = fs::read_to_string(run.path().join("out.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    for stage in ["decode", "decide", "tick_to_order", "order_round_trip"] {
        assert!(svg.contains(&format!(">{stage}</text>")));
    }
}

#[test]
fn a_missing_cut_or_old_file_is_named() {
    let mut run = Fixture::new();
    run.frame(1, "{}");
    let path = run.run_dir().join("histograms.sqh");
    assert!(run.sq("hist").err.contains("this run has no histogram file"));
    times(&run.run_dir(), 1);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(run.sq("hist").err.contains("is cut short or damaged"));
    let mut old = whole.clone();
    old[8] = 9;
    fs::write(&path, old).unwrap();
    assert!(run.sq("hist").err.contains("has layout version 9, this sq reads 1"));
    fs::write(&path, vec![0; 100]).unwrap();
    assert!(run.sq("hist").err.contains("only being set up"));
}

#[test]
fn kinds_and_intervals_come_from_the_journal() {
    let run = played();
    let said = run.sq("hist --by-kind");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    golden("hist_kinds.txt", &said.out);
    let json: serde_json::Value = serde_json::from_str(&run.sq("hist --interval 1s --by-kind --json").out).unwrap();
    let intervals = json["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 2);
    let count = |interval: &serde_json::Value, stage: &str, kind: &str| {
        let kinds = interval["kinds"].as_array().unwrap();
        kinds
            .iter()
            .find(|one| one["stage"] == stage && one["kind"] == kind)
            .map_or(0, |one| one["count"].as_u64().unwrap())
    };
    assert_eq!((count(&intervals[0], "to_wire", "new"), count(&intervals[1], "to_wire", "new")), (2, 1));
    assert_eq!((count(&intervals[0], "to_wire", "amend"), count(&intervals[1], "to_wire", "cancel")), (1, 1));
    assert_eq!(count(&intervals[0], "round_trip", "new"), 2);
    assert!(run.sq("hist --interval 1s --hlog kinds.hlog").out.contains("wrote kinds.hlog"));
    let bytes = fs::read(run.path().join("kinds.hlog")).unwrap();
    let lines = IntervalLogIterator::new(&bytes).filter(|entry| matches!(entry, Ok(LogEntry::Interval(_)))).count();
    assert_eq!(lines, intervals.iter().map(stages_of).sum::<usize>());
    assert!(run.sq("hist --interval 1us").err.contains("a longer --interval makes fewer"));
}

/// Stages that an interval has, all kinds as one.
fn stages_of(interval: &serde_json::Value) -> usize {
    let mut names: Vec<&str> =
        interval["kinds"].as_array().unwrap().iter().map(|one| one["stage"].as_str().unwrap()).collect();
    names.dedup();
    names.len()
}

#[test]
fn runs_of_one_host_are_merged_and_of_unlike_ones_refused() {
    let first = played();
    let mut second = Fixture::in_dir(first.dir, "other", 4096);
    second.frame(1, "{}");
    second.close();
    let other = second.path().join("runs/other");
    times(&other, 2);
    let sum = |line: &str| -> serde_json::Value { serde_json::from_str(&second.sq(line).out).unwrap() };
    let [one, two] = ["20231114-221320", "other"].map(|name| sum(&format!("hist --json {name}")));
    let both = sum("hist --json --merge 20231114-221320 other");
    let of = |json: &serde_json::Value, what: &str| json["stages"]["decode"][what].as_u64().unwrap();
    assert_eq!(of(&both, "count"), of(&one, "count") + of(&two, "count"));
    assert_eq!((of(&both, "min"), of(&both, "max")), (of(&one, "min"), of(&two, "max")));
    assert_eq!(both["run"], "other and 1 more");
    fs::write(other.join("meta.json"), META.replace("host-a", "host-b")).unwrap();
    let refused = second.sq("hist --merge 20231114-221320 other");
    assert!(refused.code == 1 && refused.err.contains("are of unlike hosts"), "{}", refused.err);
    assert_eq!(second.sq("hist --merge 20231114-221320 other --force").code, 0);
}

#[test]
fn the_plot_as_pixels_and_as_a_page() {
    let run = played();
    let said = run.sq("hist --png out.png --html out.html");
    assert_eq!((said.code, said.out.as_str()), (0, "wrote out.png\nwrote out.html\n"));
    let png = fs::read(run.path().join("out.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 2_000, "{} bytes", png.len());
    let page = fs::read_to_string(run.path().join("out.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg ") && page.contains("<td>1001</td>"));
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
    );
}
