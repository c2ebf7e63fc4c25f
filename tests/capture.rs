//! `spinquote capture` against a pretend venue: what it writes is a recording that plays, it replaces nothing, and a lost stream shows.

#[path = "support/venue.rs"]
mod venue;

use spinquote::sim::capture::{CaptureMarket, CaptureReader};
use spinquote::sim::market::{MarketKind, MarketSource};
use std::path::Path;
use venue::{pem, spinquote, start, stderr};

fn capture(dir: &Path, url: &str, more: &[&str]) -> std::process::Output {
    let args = ["capture", "--url", url, "--ca", "venue.pem", "--symbol", "BTCUSDT"];
    spinquote(dir, &[&args[..], more].concat())
}

#[test]
fn a_recording_of_five_seconds_plays_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let venue = start("", 7);
    pem(dir.path(), &venue);
    let output = capture(dir.path(), &venue.ws_url(), &["--out", "btc.gz", "--for", "5s"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("0 gaps, 1 snapshots"), "{}", stderr(&output));
    let signed = venue.counts().signed;
    venue.stop();
    assert_eq!(signed, 0, "public data needs no key");

    let mut market = CaptureMarket::open(&dir.path().join("btc.gz"), Some("BTCUSDT")).unwrap();
    assert!(market.damage().is_none());
    let (mut depth, mut trades, mut marks, mut last) = (0, 0, 0, None);
    while let Some(event) = market.next().unwrap() {
        match event.kind {
            MarketKind::Depth(update) => {
                assert!(last.is_none_or(|last| last == update.prev), "depth frames join");
                (last, depth) = (Some(update.last), depth + 1);
            }
            MarketKind::Trade(_) => trades += 1,
            MarketKind::Mark { .. } => marks += 1,
            _ => {}
        }
    }
    assert!(depth > 40 && trades > 0 && (3..=6).contains(&marks), "{depth} depth, {trades} trades, {marks} marks");

    let args = ["demo", "--capture", "btc.gz", "--symbol", "BTCUSDT", "--for", "4s", "--run-dir", "run", "--json"];
    let output = spinquote(dir.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["book"]["gaps"], &summary["protocol_errors"]), (&0.into(), &0.into()), "{summary:#}");
    assert!(summary["orders"]["new"].as_u64().unwrap() > 0, "{summary:#}");

    let output = capture(dir.path(), "wss://127.0.0.1:1", &["--out", "btc.gz"]);
    assert!(!output.status.success() && stderr(&output).contains("btc.gz exists"), "{}", stderr(&output));
}

#[test]
fn a_lost_stream_is_told_marked_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let venue = start("at=1500ms disconnect", 7);
    pem(dir.path(), &venue);
    let output = capture(dir.path(), &venue.ws_url(), &["--out", "btc.txt", "--for", "4s"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("lost: ") && stderr(&output).contains("1 gaps, 2 snapshots"),
        "{}",
        stderr(&output)
    );
    let path = dir.path().join("btc.txt");
    let mut reader = CaptureReader::open(&path).unwrap();
    let (mut markers, mut last) = (0, 0);
    while let Some(line) = reader.next_line().unwrap() {
        assert!(line.received.0 >= last, "times never decrease");
        last = line.received.0;
        markers += u32::from(line.json.starts_with(b"{\"spinquote\":{\"gap\":"));
    }
    assert_eq!(markers, 1);
    assert!(CaptureMarket::open(&path, Some("BTCUSDT")).unwrap().damage().is_none());
}

#[test]
fn an_endpoint_that_is_not_there_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["capture", "--url", "ws://127.0.0.1:1", "--symbol", "BTCUSDT", "--out", "x.gz", "--for", "1s"];
    let output = spinquote(dir.path(), &args);
    assert!(!output.status.success() && stderr(&output).contains("127.0.0.1:1"), "{}", stderr(&output));
    assert!(!dir.path().join("x.gz").exists());
}

#[test]
fn a_symbol_that_the_venue_does_not_have_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let venue = start("", 7);
    pem(dir.path(), &venue);
    let url = venue.ws_url();
    let args = ["capture", "--url", &url, "--ca", "venue.pem", "--symbol", "NOPE", "--out", "x.gz", "--for", "1s"];
    let output = spinquote(dir.path(), &args);
    assert!(!output.status.success() && stderr(&output).contains("is NOPE the venue's symbol?"), "{}", stderr(&output));
    assert!(!dir.path().join("x.gz").exists());
}
