//! Golden output of every command on a small run that a seeded simulator made: the files in `cmd/` are scripts and their results.

use std::fs::{self, File};
use std::path::Path;

/// Unpacks the run into `runs/20261121-090000` of this directory.
fn unpack(dir: &Path) {
    let run = dir.join("runs/20261121-090000");
    fs::create_dir_all(&run).unwrap();
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/run");
    for entry in fs::read_dir(packed).unwrap() {
        let path = entry.unwrap().path();
        let mut file = File::create(run.join(path.file_stem().unwrap())).unwrap();
        zstd::stream::copy_decode(File::open(&path).unwrap(), &mut file).unwrap();
    }
}

#[test]
fn every_command_says_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path());
    let runs = dir.path().join("runs");
    let cases = trycmd::TestCases::new();
    cases.env("SPINQUOTE_RUNS", runs.to_str().unwrap()).env("COLUMNS", "100");
    cases.insert_var("[RUNS]", runs.to_str().unwrap().to_owned()).unwrap();
    for name in ["state", "journal", "why", "hist", "top", "export", "report", "ctl", "help"] {
        cases.case(Path::new("tests/cmd").join(format!("{name}.md")));
    }
    // The directory must outlive the run of the cases, which is at their end.
    drop(cases);
}
