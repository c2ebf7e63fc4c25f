//! What a new user sees: `sq --help` names every command, each command has examples, and the examples are understood.

mod support;

use support::{golden, played, sq};

const COMMANDS: [&str; 19] = [
    "status",
    "top",
    "orders",
    "fills",
    "positions",
    "balance",
    "why",
    "hist",
    "ctl",
    "export",
    "prom",
    "incident",
    "report",
    "web",
    "journal tail",
    "journal dump",
    "journal grep",
    "journal verify",
    "journal stat",
];

#[test]
fn every_command_is_listed_and_has_examples() {
    let dir = tempfile::tempdir().unwrap();
    let help = sq(dir.path(), "--help");
    assert_eq!(help.code, 0);
    golden("help.txt", &help.out);
    for command in COMMANDS {
        let name = command.split(' ').next().unwrap();
        assert!(help.out.contains(&format!("\n  {name} ")), "{name} is not listed");
        let said = sq(dir.path(), &format!("{command} --help"));
        assert!(said.code == 0 && said.out.contains("Examples:\n  sq "), "{command}: {}", said.out);
        assert!(said.out.contains("[RUN]"), "{command} takes a run last");
    }
    for command in ["doctor", "unit"] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command} is not listed");
        assert!(sq(dir.path(), &format!("{command} --help")).out.contains("Examples:\n  sq "), "{command}");
    }
    for verb in ["pause", "resume", "widen", "reduce-only", "cancel-all", "flatten", "stop", "reload", "kill", "ack"] {
        let said = sq(dir.path(), &format!("ctl {verb} --help"));
        assert!(
            said.code == 0 && said.out.contains("[RUN]") && said.out.contains("--why <TEXT>"),
            "{verb}: {}",
            said.out
        );
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let run = played();
    let mut child = support::process(run.path())
        .args(["journal", "dump"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_environment_names_the_directory_of_runs() {
    let run = played();
    let elsewhere = tempfile::tempdir().unwrap();
    let output = support::process(elsewhere.path())
        .env("SPINQUOTE_RUNS", run.path().join("runs"))
        .args(["journal", "verify"])
        .output()
        .unwrap();
    assert!(output.status.success());
}
