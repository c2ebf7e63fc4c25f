//! `spinquote sim`: the exchange alone, for any client. The first line on stdout is its address.

use super::{market, trade};
use crate::cli::SimArgs;
use anyhow::{Context, Result};
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The account when none is named.
const KEY: &str = "testkey";
const SECRET: &str = "testsecret";

pub fn run(args: &SimArgs) -> Result<()> {
    trade::log("info");
    let interrupted = trade::interrupted()?;
    let source = market::source(&args.market, None)?;
    let symbol = source.instrument().symbol;
    let key = args.key.as_deref().unwrap_or(KEY);
    let account = AccountConfig::new(key, args.secret.as_deref().unwrap_or(SECRET));
    let mut config = ServerConfig::new(vec![source], vec![account]);
    (config.listen, config.tls) = (args.listen, !args.no_tls);
    config.seed = args.market.seed.unwrap_or(market::SEED);
    config.faults = market::faults(&args.market)?;
    if args.spot || args.market.spot_capture.is_some() {
        let terms = config.markets[0].instrument().clone();
        config.spot = Some(market::spot(&args.market, &terms, None)?);
    }
    let server = Server::start(config)?;
    writeln!(std::io::stdout(), "listening {}", server.rest_url())?;
    std::io::stdout().flush()?;
    let ws = server.ws_url();
    trade::say(&format!(
        "{symbol}; key {key}; streams {ws}/public {ws}/market {ws}/private, orders {ws}/ws-fapi/v1, REST {}",
        server.rest_url()
    ));
    let certificate = server.cert_pem().map(|pem| publish(pem, server.addr().port())).transpose()?;
    let started = Instant::now();
    let until = args.run_for.map(|span| Duration::from_nanos(span.0.unsigned_abs()));
    while !interrupted.load(Ordering::Acquire) && until.is_none_or(|span| started.elapsed() < span) {
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
    if let Some(path) = certificate {
        let _ = std::fs::remove_file(path);
    }
    let counts = server.counts();
    trade::say(&format!("ended: {counts:?}"));
    match server.error() {
        Some(error) => anyhow::bail!("{error}"),
        None => Ok(()),
    }
}

/// Puts the certificate where clients find it. One that an earlier run on this port left is replaced, never written through.
fn publish(pem: &str, port: u16) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("spinquote-sim-{port}.pem"));
    let _ = std::fs::remove_file(&path);
    let file = std::fs::File::create_new(&path);
    file.and_then(|mut file| file.write_all(pem.as_bytes()))
        .with_context(|| format!("writing the certificate to {}", path.display()))?;
    trade::say(&format!("certificate to trust: {}", path.display()));
    Ok(path)
}
