//! The market that the embedded or stand-alone exchange plays: synthetic or recorded, with its faults. Plays nothing itself.

use crate::cli::MarketArgs;
use anyhow::{Context, Result};
use spinquote::engine::clock::wall;
use spinquote::instrument::Instrument;
use spinquote::sim::capture::CaptureMarket;
use spinquote::sim::fault::FaultScript;
use spinquote::sim::market::{MarketSource, Schedule, SyntheticMarket};
use spinquote::unit::Money;
use spinquote::unit::Nanos;
use std::path::Path;

/// Symbol of the synthetic market when none is named.
const SYMBOL: &str = "BTCUSDT";
/// Seed when none is named.
pub const SEED: u64 = 1;

/// The market that the arguments ask for; `symbol` stands in where they name none.
pub fn source(args: &MarketArgs, symbol: Option<&str>) -> Result<Box<dyn MarketSource + Send>> {
    let symbol = args.symbol.as_deref().or(symbol);
    if let Some(path) = &args.capture {
        let market = CaptureMarket::open(path, symbol)?;
        if market.behind() > Nanos::ZERO {
            let ms = market.behind().as_millis();
            super::trade::say(&format!(
                "the recorder's clock ran {ms} ms behind the venue's: its times are corrected by that"
            ));
        }
        if let Some(damage) = market.damage() {
            super::trade::say(&format!("warning: {damage}; what stands before it is played"));
        }
        return Ok(Box::new(market));
    }
    let terms = synthetic_terms(symbol.unwrap_or(SYMBOL))?;
    Ok(Box::new(SyntheticMarket::new(terms, args.seed.unwrap_or(SEED), wall(), Schedule::calm())))
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

/// The faults that the arguments ask for: a file, or the script itself.
pub fn faults(args: &MarketArgs) -> Result<FaultScript> {
    let Some(given) = &args.fault else { return Ok(FaultScript::default()) };
    let text = if Path::new(given).is_file() {
        std::fs::read_to_string(given).with_context(|| given.display().to_string())?
    } else {
        given.display().to_string()
    };
    FaultScript::parse(&text).with_context(|| format!("--fault {}", given.display()))
}
