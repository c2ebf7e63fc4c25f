//! The binary as people meet it: what it says about bad settings, where, and with which exit code.

use std::path::Path;
use std::process::{Command, Output};

const STRATEGY: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: ETH-USDT\nleverage: 3\n\
    bid_spread: 0.1\nask_spread: 0.1\norder_amount: 0.1\norder_refresh_time: 30.0\n";
const ENGINE: &str =
    "[risk]\nposition_max = 0.5\norder_qty_max = 0.1\norder_notional_max = 5000\nprice_band = 2\nloss_max = 100\n";

fn spinquote(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spinquote")).args(args).current_dir(dir).output().expect("the binary starts")
}

/// Runs `check` on one file and returns the exit code, stdout and stderr.
fn check(name: &str, text: &str) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    let output = spinquote(dir.path(), &["check", name]);
    (output.status.code(), text_of(&output.stdout), text_of(&output.stderr))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn good_files_pass() {
    let (code, out, err) = check("s.yml", STRATEGY);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out, "s.yml: ok, perpetual_market_making on ETH-USDT at binance_perpetual\n");
    let (code, out, err) = check("engine.toml", ENGINE);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("engine.toml: ok"), "{out}");
}

#[test]
fn each_fault_names_file_line_key_and_what_is_valid() {
    let yaml = |from: &str, to: &str| STRATEGY.replace(from, to);
    for (name, text, parts) in [
        ("s.yml", yaml("bid_spread: 0.1", "bid_spread: -0.1"), ["s.yml:5", "bid_spread", "-0.1", "(0, 100)"]),
        ("s.yml", yaml("bid_spread", "bid_spraed"), ["s.yml:5", "bid_spraed", "did you mean bid_spread?", "(0, 100)"]),
        ("s.yml", yaml("leverage: 3", "leverage: 2.5"), ["s.yml:4", "leverage", "2.5", "whole number"]),
        ("s.yml", yaml("leverage: 3\n", ""), ["s.yml", "leverage", "missing", "(0, inf)"]),
        ("s.yml", STRATEGY.to_owned() + "leverage: 4\n", ["s.yml:9", "leverage", "second time", "line 4"]),
        (
            "s.yml",
            yaml("binance_perpetual", "bybit_perpetual"),
            ["s.yml:2", "derivative", "later version", "demo --strategy"],
        ),
        (
            "s.yml",
            "controller_name: dman_v3\n".to_owned(),
            ["s.yml:1", "controller_name", "unknown controller", "perpetual_market_making"],
        ),
        (
            "s.yml",
            "controller_name: pmm\nconnector_name: binance\n".to_owned(),
            ["s.yml:2", "connector_name", "spot connector", "connector_name: binance_perpetual"],
        ),
        ("s.yml", "a: [1, 2\n".to_owned(), ["s.yml:", "not valid YAML", "", ""]),
        (
            "engine.toml",
            ENGINE.replace("price_band = 2", "price_band = 200"),
            ["engine.toml:5", "risk.price_band", "200", "(0, 100]"],
        ),
        (
            "engine.toml",
            ENGINE.to_owned() + "[threads]\nwait = \"sleep\"\n",
            ["engine.toml:8", "threads.wait", "sleep", "spin, yield"],
        ),
        (
            "engine.toml",
            ENGINE.replace("order_qty_max = 0.1", "order_qty_max = 1"),
            ["engine.toml:3", "risk.order_qty_max", "risk.position_max", "valid"],
        ),
        ("engine.toml", "[risk\n".to_owned(), ["engine.toml:1", "not valid TOML", "", ""]),
    ] {
        let (code, out, err) = check(name, &text);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{parts:?}\n{err}");
        for part in parts {
            assert!(err.contains(part), "no {part:?} in:\n{err}");
        }
    }
}

#[test]
fn all_faults_of_all_files_are_reported_in_one_go() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.yml"), STRATEGY.replace("0.1", "-1")).unwrap();
    std::fs::write(dir.path().join("engine.toml"), "[risk]\nposition_max = 0\n").unwrap();
    let output = spinquote(dir.path(), &["check", "s.yml", "engine.toml", "missing.yml"]);
    let err = text_of(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for part in ["s.yml:5", "s.yml:6", "s.yml:7", "engine.toml:2", "risk.loss_max", "missing.yml: cannot be read"] {
        assert!(err.contains(part), "no {part:?} in:\n{err}");
    }
    assert!(err.contains("9 faults in 3 of 3 files"), "{err}");
}

#[test]
fn a_secret_in_the_wrong_file_is_not_shown() {
    let text = ENGINE.to_owned() + "[credentials]\nsecret = \"hunter2\"\nkey_env = \"hunter-3\"\n";
    let (code, out, err) = check("engine.toml", &text);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("engine.toml:8: credentials.secret") && err.contains("engine.toml:9: credentials.key_env"),
        "{err}"
    );
    assert!(!(out + &err).contains("hunter"), "{err}");
}

#[test]
fn a_secret_is_shown_from_no_line_of_a_wrong_file() {
    for (name, text) in [
        ("engine.toml", "key = \"hunter1\"\nsecret = \"hunter2\"\nmore = 1\n"),
        ("engine.toml", "[credentials]\nsecret = hunter2\n"),
        ("engine.toml", "[credential]\nsecret = \"hunter2\"\n"),
        ("engine.toml", "[venue]\napi_secret = \"hunter2\"\n"),
        ("engine.toml", "secret = \"hunter2\n"),
        ("s.yml", "strategy: perpetual_market_making\nsecret: hunter2\napi_key: hunter3\n"),
        ("credentials.toml", "key = \"hunter1\"\nsecret = \"hunter2\"\n"),
        ("credentials.toml", "key = \"hunter1\"\nsecret = hunter2\n"),
    ] {
        let (code, out, err) = check(name, text);
        assert_eq!(code, Some(1), "{text}");
        assert!(!(out + &err).contains("hunter"), "{text}\n{err}");
    }
}

#[test]
fn what_init_prints_can_be_checked() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for (name, file) in
        [("perpetual_market_making", "s.yml"), ("funding_aware", "s.yml"), ("pmm", "s.yml"), ("demo", "engine.toml")]
    {
        let printed = spinquote(dir.path(), &["init", name]);
        assert!(printed.status.success());
        std::fs::write(dir.path().join(file), &printed.stdout).unwrap();
        let checked = spinquote(dir.path(), &["check", file]);
        assert!(checked.status.success(), "{}", text_of(&checked.stderr));
    }
    // These two ask for what only the user knows: limits, and a key.
    let filled = |name: &str, file: &str, fill: &dyn Fn(String) -> String| {
        let printed = text_of(&spinquote(dir.path(), &["init", name]).stdout);
        let path = dir.path().join(file);
        std::fs::write(&path, &printed).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(spinquote(dir.path(), &["check", file]).status.code(), Some(1), "{name}");
        std::fs::write(&path, fill(printed)).unwrap();
        let checked = spinquote(dir.path(), &["check", file]);
        assert!(checked.status.success(), "{}", text_of(&checked.stderr));
    };
    let limits = ["position_max", "order_qty_max", "order_notional_max", "price_band", "loss_max"];
    filled("engine", "engine.toml", &|text| {
        limits.iter().fold(text, |text, key| text.replace(&format!("# {key} =\n"), &format!("{key} = 1\n")))
    });
    filled("credentials", "credentials.toml", &|text| text.replace("= \"\"", "= \"abc\""));
    let output = spinquote(dir.path(), &["init", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of(&output.stderr).contains("perpetual_market_making"));
}

#[test]
fn every_command_explains_itself() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "demo",
        "run",
        "check",
        "init",
        "sim",
        "replay",
        "capture",
        "cancel-account",
        "convert",
        "backtest",
        "sweep",
        "merge",
    ] {
        let output = spinquote(dir.path(), &[command, "--help"]);
        let text = text_of(&output.stdout);
        assert!(output.status.success() && text.contains("Example"), "{command}: {text}");
    }
}
