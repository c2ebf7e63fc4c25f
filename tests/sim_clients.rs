//! The venue's public client libraries against the pretend venue, over TLS. Each needs its Python package; one that is missing is
//! named in a line and left out. `SPINQUOTE_PYTHON` names the interpreter that has them (default `python3`).
#![allow(clippy::print_stdout, reason = "says what it leaves out")]

use spinquote::instrument::Instrument;
use spinquote::sim::market::{Schedule, SyntheticMarket};
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::unit::Nanos;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn drive(script: &str, module: &str) {
    let python = std::env::var("SPINQUOTE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("left out: {python} cannot import {module}");
        return;
    }
    let start = Nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64);
    let btc = Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") };
    let market = SyntheticMarket::new(btc, 7, start, Schedule::calm());
    let server =
        Server::start(ServerConfig::new(vec![Box::new(market)], vec![AccountConfig::new("key", "secret")])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, server.cert_pem().unwrap()).unwrap();
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(&python)
        .args([path.as_str(), &server.rest_url(), "key", "secret", ca.to_str().unwrap()])
        .env("SSL_CERT_FILE", &ca)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let account = spinquote::sim::order::AccountId(0);
    let open = server.open_orders(account);
    let flat = server.with(move |exchange, _| exchange.account(account).is_flat());
    assert!(status.is_some_and(|s| s.success()), "{script}: {status:?}, {:?}", server.counts());
    assert!(open.is_empty() && flat, "{script} leaves {open:?}");
    assert_eq!(server.counts().protocol_dropped, 0);
}

#[test]
fn ccxt_trades_over_rest_and_websocket() {
    drive("ccxt_client.py", "ccxt.pro");
}

#[test]
fn python_binance_trades_over_rest_and_websocket() {
    drive("python_binance_client.py", "binance.ws.streams");
}

#[test]
fn the_official_sdk_trades_over_rest_and_websocket() {
    drive("official_client.py", "binance_sdk_derivatives_trading_usds_futures");
}
