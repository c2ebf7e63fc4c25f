//! The program as a process against a venue: its settings files in a folder of their own.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// `strategy.yml`, `engine.toml` and `ca.pem` of one test.
pub struct Files {
    dir: TempDir,
}

impl Files {
    /// `more` is added to `engine.toml` below `[risk]`.
    pub fn new(rest: &str, ws: &str, ca: Option<&str>, strategy: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca_line = ca.map_or_else(String::new, |_| format!("ca_file = \"{}\"\n", dir.path().join("ca.pem").display()));
        let engine = format!(
            "[venue]\nrest_url = \"{rest}\"\npublic_ws_url = \"{ws}/public\"\nmarket_ws_url = \"{ws}/market\"\n\
             private_ws_url = \"{ws}/private\"\norder_ws_url = \"{ws}/ws-fapi/v1\"\n{ca_line}\
             [threads]\nwait = \"park\"\n\
             [credentials]\nkey_env = \"TEST_KEY\"\nsecret_env = \"TEST_SECRET\"\n\
             [market]\ndepth_stream = \"0ms\"\n\
             [risk]\nposition_max = 1000\norder_qty_max = 10\norder_notional_max = 100000\nprice_band = 10\nloss_max = 5000\n{more}"
        );
        std::fs::write(dir.path().join("engine.toml"), engine).unwrap();
        std::fs::write(dir.path().join("strategy.yml"), strategy).unwrap();
        if let Some(pem) = ca {
            std::fs::write(dir.path().join("ca.pem"), pem).unwrap();
        }
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The program in `dir`, its output piped.
pub fn spinquote(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spinquote"));
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("SPINQUOTE_LOG").env("TEST_KEY", "test-key").env("TEST_SECRET", "test-secret");
    command
}

/// `spinquote run` with the files, into the run directory `run`.
pub fn run_of(files: &Files, run: &str, args: &[&str]) -> Command {
    let mut command = spinquote(files.dir(), &["run", "strategy.yml", "--engine", "engine.toml", "--run-dir", run]);
    command.args(args);
    command
}
