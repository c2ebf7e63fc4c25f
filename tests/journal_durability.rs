//! What survives the worst: a killed process loses nothing that was committed, and a full disk is an error before it is a fault.
//! Each test starts itself again as the process that dies.

use spinquote::journal::{ClockSource, End, JournalError, JournalSettings, Reader, RunDir, record, start};
use spinquote::unit::Nanos;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const ROLE: &str = "SPINQUOTE_TEST_RUN_DIR";

/// The run directory, in the process that is to die.
fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// This test again, in its own process.
fn again(test: &str, dir: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn settings(dir: PathBuf) -> JournalSettings {
    let mut settings = JournalSettings::new(RunDir::new(dir), 1, ClockSource::System);
    settings.segment_bytes = 16_384;
    settings.lock = false;
    settings
}

fn payload(seq: u64) -> Vec<u8> {
    (0..50 + seq % 400).map(|at| (seq ^ at) as u8).collect()
}

#[test]
fn a_killed_process_loses_nothing_that_was_committed() {
    if let Some(dir) = role() {
        let (mut writer, mut segments) = start(settings(dir), Nanos(0)).unwrap();
        let mut out = std::io::stdout().lock();
        for seq in 1.. {
            assert_eq!(writer.append(record::FRAME, Nanos(seq as i64), &[&payload(seq)]), Ok(seq));
            segments.housekeep(Nanos(0)).unwrap();
            writeln!(out, "committed {seq}").unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = again("a_killed_process_loses_nothing_that_was_committed", dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seq = |line: &str| line.strip_prefix("committed ").and_then(|seq| seq.parse::<u64>().ok());
    let mut committed = 0;
    for line in lines.by_ref() {
        committed = seq(&line.unwrap()).unwrap_or(committed);
        if committed >= 400 {
            break;
        }
    }
    // SIGKILL on this system.
    child.kill().unwrap();
    child.wait().unwrap();
    // A last line may be cut: its newline did not make it.
    for line in lines.map_while(Result::ok) {
        committed = committed.max(seq(&line).filter(|&seq| seq == committed + 1).unwrap_or(committed));
    }
    let report = Reader::verify(RunDir::new(dir.path())).unwrap();
    assert!(matches!(report.end, End::Open), "{report:?}");
    assert!(report.last_seq >= committed && report.segments > 3, "committed {committed}, {report:?}");
    let mut reader = Reader::open(RunDir::new(dir.path())).unwrap();
    while let Some(found) = reader.next().unwrap() {
        assert_eq!(found.payload, payload(found.seq));
    }
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_the_bytes() {
    if let Some(dir) = role() {
        // The limit on a file's size stands for a full disk; its signal must not end the process.
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(libc::SIGXFSZ, seen).unwrap();
        let limit = rustix::process::Rlimit { current: Some(8192), maximum: Some(8192) };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
        match start(settings(dir.clone()), Nanos(0)) {
            Err(JournalError::NoSpace { path, bytes: 16_384, .. }) => {
                assert_eq!(path, dir.join("events-000000.sqj"));
                assert!(!path.exists(), "no half-made file is left");
                writeln!(std::io::stdout(), "refused as it should").unwrap();
            }
            other => panic!("{other:?}"),
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let child = again("a_full_disk_is_an_error_that_names_the_file_and_the_bytes", dir.path());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("refused as it should"), "{text}");
}
