//! The market that the embedded or stand-alone exchange plays: synthetic or recorded, with its faults. Plays nothing itself.

use crate::cli::MarketArgs;
use anyhow::{Context, Result};
use spinquote::engine::clock::wall;
use spinquote::instrument::{Instrument, Symbol};
use spinquote::sim::capture::CaptureMarket;
use spinquote::sim::fault::FaultScript;
use spinquote::sim::market::{MarketSource, Schedule, SyntheticMarket};
use spinquote::sim::spot::SpotConfig;
use spinquote::unit::Money;
use spinquote::unit::Nanos;
use std::path::Path;
use std::sync::OnceLock;

/// Symbol of the synthetic market when none is named.
const SYMBOL: &str = "BTCUSDT";
/// Seed when none is named.
pub const SEED: u64 = 1;

/// The market that the arguments ask for; `symbol` stands in where they name none.
pub fn source(args: &MarketArgs, symbol: Option<&str>) -> Result<Box<dyn MarketSource + Send>> {
    let symbol = args.symbol.as_deref().or(symbol);
    if let Some(path) = &args.capture {
        return recorded(path, symbol);
    }
    Ok(synthetic(args, synthetic_terms(symbol.unwrap_or(SYMBOL))?))
}

/// The terms of a synthetic contract.
pub fn synthetic_terms(symbol: &str) -> Result<Instrument> {
    anyhow::ensure!(
        symbol.len() > 4
            && symbol.len() <= 20
            && symbol.ends_with("USDT")
            && symbol.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
        "{symbol}: the synthetic market plays USDT contracts, such as BTCUSDT or ETHUSDT"
    );
    let tick = if symbol == SYMBOL { "0.1" } else { "0.01" };
    let mut terms = Instrument::synthetic(symbol, tick, "0.001");
    // The venue prints prices of these contracts with two decimals whatever the tick is.
    terms.price_places = 2;
    if symbol != SYMBOL {
        // Most contracts of the venue have this smallest notional; bitcoin's, the default here, is far above it.
        terms.notional_min = Money::parse(b"5").context("literal")?;
    }
    Ok(terms)
}

/// The synthetic market of `terms` once more, under another symbol.
pub fn renamed(args: &MarketArgs, terms: &Instrument, symbol: &str) -> Result<Box<dyn MarketSource + Send>> {
    let symbol = Symbol::from(symbol).map_err(|_| anyhow::anyhow!("{symbol} is too long for a symbol"))?;
    Ok(synthetic(args, Instrument { symbol, ..terms.clone() }))
}

/// The spot market that `args` ask for, told under `symbol` where one is given: a spot recording, or the market itself once more.
pub fn spot(args: &MarketArgs, terms: &Instrument, symbol: Option<&str>) -> Result<SpotConfig> {
    let source = match (&args.spot_capture, &args.capture) {
        (Some(path), _) => played(CaptureMarket::open_any(path, None)?)?,
        (None, Some(path)) => recorded(path, args.symbol.as_deref())?,
        (None, None) => synthetic(args, terms.clone()),
    };
    let symbol = symbol.map(|name| Symbol::from(name).map_err(|_| anyhow::anyhow!("{name} is too long for a symbol")));
    Ok(SpotConfig { source, symbol: symbol.transpose()? })
}

fn synthetic(args: &MarketArgs, terms: Instrument) -> Box<dyn MarketSource + Send> {
    // One seed and one start are one market, however often it is made; and on whole seconds, at which marks are told, one seed is one
    // session whenever it is played.
    static START: OnceLock<Nanos> = OnceLock::new();
    let start = *START.get_or_init(|| Nanos::from_secs(wall().0 / 1_000_000_000));
    Box::new(SyntheticMarket::new(terms, args.seed.unwrap_or(SEED), start, Schedule::calm()))
}

fn recorded(path: &Path, symbol: Option<&str>) -> Result<Box<dyn MarketSource + Send>> {
    played(CaptureMarket::open(path, symbol)?)
}

/// A recording, with what is worth a line about it.
fn played(market: CaptureMarket) -> Result<Box<dyn MarketSource + Send>> {
    if market.behind() > Nanos::ZERO {
        let ms = market.behind().as_millis();
        super::trade::say(&format!(
            "the recorder's clock ran {ms} ms behind the venue's: its times are corrected by that"
        ));
    }
    if let Some(damage) = market.damage() {
        super::trade::say(&format!("warning: {damage}; what stands before it is played"));
    }
    Ok(Box::new(market))
}

/// The faults that the arguments ask for: a file, or the script itself.
pub fn faults(args: &MarketArgs) -> Result<FaultScript> {
    let Some(given) = &args.fault else { return Ok(FaultScript::default()) };
    let text = if Path::new(given).is_file() {
        std::fs::read_to_string(given).with_context(|| given.display().to_string())?
    } else {
        given.display().to_string()
    };
    FaultScript::parse(&text).with_context(|| match text == given.display().to_string() {
        true => format!("--fault {} (no file of that name, so it is read as the script)", given.display()),
        false => format!("--fault {}", given.display()),
    })
}
