//! A pretend venue in the test's own process, and the program run against it.
#![allow(dead_code, reason = "each test file uses a part")]

use spinquote::instrument::Instrument;
use spinquote::sim::fault::FaultScript;
use spinquote::sim::market::{Schedule, SyntheticMarket};
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::unit::Nanos;
use std::path::Path;
use std::process::{Command, Output};

/// Plays a synthetic BTCUSDT over TLS; `faults` is a script.
pub fn start(faults: &str, seed: u64) -> Server {
    let mut terms = Instrument::synthetic("BTCUSDT", "0.1", "0.001");
    terms.price_places = 2;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let market = SyntheticMarket::new(terms, seed, Nanos(now.as_nanos() as i64), Schedule::calm());
    let mut config = ServerConfig::new(vec![Box::new(market)], vec![AccountConfig::new("venue-key", "venue-secret")]);
    config.faults = FaultScript::parse(faults).unwrap();
    Server::start(config).unwrap()
}

/// Writes the venue's certificate to `venue.pem`.
pub fn pem(dir: &Path, venue: &Server) {
    std::fs::write(dir.join("venue.pem"), venue.cert_pem().unwrap()).unwrap();
}

pub fn spinquote(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spinquote")).args(args).current_dir(dir).output().expect("the binary starts")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
