//! `spinquote demo`: the embedded exchange on loopback, and the engine at it exactly as at the venue. Needs no file.

use super::{embedded, market, trade};
use crate::cli::DemoArgs;
use crate::diagnose;
use anyhow::{Context, Result, bail};
use spinquote::config::engine::{EngineSettings, Wait};
use spinquote::config::load::{self, Strategy, Target};
use spinquote::config::problem::Problem;
use spinquote::engine::clock::wall;
use spinquote::engine::housekeeper::CONNECTION_LIFE;
use spinquote::engine::pin;
use spinquote::engine::wiring::{Launch, new_run_dir};
use spinquote::event::Side;
use spinquote::instrument::Instrument;
use spinquote::maker::recipe::{StrategyKind, StrategyText};
use spinquote::sim::market::MarketSource;
use spinquote::sim::server::{Server, ServerConfig};
use spinquote::venue::binance::Product;
use std::path::Path;
use std::process::ExitCode;

/// The demo has four busy threads; on fewer cores than this they take turns best by sleeping.
const CORES_TO_YIELD: usize = 5;
/// What one quote of the built-in strategy is worth, in quote currency.
const QUOTE_WORTH: i64 = 250;

pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    trade::log("error");
    let interrupted = trade::interrupted()?;
    let text = args.strategy.as_deref().map(read).transpose()?;
    let named = text.as_ref().map(|(_, strategy)| strategy.symbol());
    if args.market.capture.is_some() {
        trade::say("reading the recording");
    }
    let source = market::source(&args.market, named.as_deref())?;
    let terms = source.instrument().clone();
    let (text, strategy) = match text {
        Some(given) => given,
        None => built_in(&terms, touch(source.as_ref()))?,
    };
    if strategy.symbol() != terms.symbol.as_str() {
        bail!("the strategy trades {}, the market that is played is {}", strategy.symbol(), terms.symbol);
    }
    let mut config = embedded::config(source);
    config.faults = market::faults(&args.market)?;
    config.seed = args.market.seed.unwrap_or(market::SEED);
    add_source(&mut config, args, &strategy, &terms)?;
    let exchange = Server::start(config).context("the embedded exchange")?;
    trade::say(&format!("embedded exchange at {} plays {}", exchange.rest_url(), terms.symbol));

    let mut settings = EngineSettings::demo();
    let cores = pin::cores_available();
    if cores < CORES_TO_YIELD {
        settings.threads.wait = Wait::Park;
    }
    for lack in lacks(cores, !pin::isolated().is_empty()) {
        trade::say(&format!("note: {lack}"));
    }
    embedded::point_at(&mut settings, &exchange);
    if let Some((connector, _)) = strategy.source_market() {
        embedded::point_source_at(&mut settings, &exchange, Product::of_connector(connector));
    }
    let launch = Launch {
        settings,
        credentials: embedded::credentials(),
        ca_pem: embedded::ca_pem(&exchange),
        symbol: terms.symbol.to_string(),
        leverage: strategy.leverage(),
        hedge: strategy.hedge(),
        strategy: text,
        run_dir: args.run_dir.clone().unwrap_or_else(|| new_run_dir(Path::new("runs"), wall())),
        connection_life: CONNECTION_LIFE,
        description: serde_json::json!({
            "command": "demo",
            "market": args.market.capture.as_ref().map_or("synthetic".to_owned(), |path| path.display().to_string()),
            "seed": args.market.seed.unwrap_or(market::SEED),
        }),
    };
    let code = trade::run(launch, Some(args.run_for), args.json, &interrupted, || exchange.failed())?;
    embedded::end(&exchange)?;
    Ok(code)
}

/// What the demo goes without on this machine, a line each: latencies here are not those of a dedicated host.
fn lacks(cores: usize, isolated: bool) -> Vec<String> {
    let mut lacks = Vec::new();
    if cores < CORES_TO_YIELD {
        let of = if cores == 1 { "one core".to_owned() } else { format!("{cores} cores") };
        lacks.push(format!(
            "four busy threads share {of}: they wait asleep (threads.wait = park), which costs wake-up time"
        ));
    }
    if !isolated {
        lacks.push("no core is isolated from the scheduler: the engine thread is not pinned (T-ISOLCPUS)".to_owned());
    }
    lacks.push("memory is not locked: the demo asks for no memlock limit (threads.mlock, T-MLOCK)".to_owned());
    lacks
}

/// Lets the exchange play the market that the strategy's reference price comes from.
fn add_source(config: &mut ServerConfig, args: &DemoArgs, strategy: &Strategy, terms: &Instrument) -> Result<()> {
    let Some((connector, symbol)) = strategy.source_market() else { return Ok(()) };
    match Product::of_connector(connector) {
        Product::Spot => config.spot = Some(market::spot(&args.market, terms, Some(&symbol))?),
        // The contract itself is played anyway.
        Product::Usdm if symbol == terms.symbol.as_str() => {}
        Product::Usdm => config.markets.push(market::renamed(&args.market, terms, &symbol)?),
    }
    trade::say(&format!("the price source {symbol} of {connector} is played too"));
    Ok(())
}

/// A strategy file for the embedded exchange, whatever venue it names.
pub fn read(path: &Path) -> Result<(StrategyText, Strategy)> {
    let text = load::read_text(path).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    parse(&path.display().to_string(), text, Target::Demo)
}

/// A strategy file's text; its faults are shown with their places.
pub fn parse(file: &str, text: String, target: Target) -> Result<(StrategyText, Strategy)> {
    let (text, strategy, warnings) = parse_quietly(file, text, target)?;
    diagnose::warnings(&warnings);
    Ok((text, strategy))
}

/// [`parse`], with the warnings not yet told.
pub fn parse_quietly(file: &str, text: String, target: Target) -> Result<(StrategyText, Strategy, Vec<Problem>)> {
    match load::strategy_text(file, &text, target) {
        Ok(loaded) => {
            let strategy = loaded.settings;
            let kind = match strategy {
                Strategy::Perpetual(_) => StrategyKind::PerpetualMarketMaking,
                Strategy::FundingAware(_) => StrategyKind::FundingAware,
                Strategy::Pmm(_) => StrategyKind::PmmController,
            };
            Ok((StrategyText { kind, file: file.to_owned(), text }, strategy, loaded.warnings))
        }
        Err(problems) => {
            diagnose::errors(&problems);
            bail!("{file}: {} fault{}", problems.len(), if problems.len() == 1 { "" } else { "s" })
        }
    }
}

fn touch(source: &dyn MarketSource) -> i64 {
    source.book().best(Side::Buy).map_or(0, |level| level.price.0)
}

/// A strategy that shows something within a minute: five near levels a side, refreshed three times a second.
fn built_in(terms: &Instrument, bid_ticks: i64) -> Result<(StrategyText, Strategy)> {
    let lot_worth = terms.notional(spinquote::unit::Ticks(bid_ticks.max(1)), spinquote::unit::Lots(1));
    let worth = i128::from(QUOTE_WORTH) * 10_i128.pow(18);
    let lots = i64::try_from(worth / lot_worth.0.max(1) + 1).context("lots of a quote")?;
    let text = format!(
        "# The demo's strategy: `spinquote init perpetual_market_making` explains every key.\n\
         strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: {}-{}\nleverage: 10\n\
         position_mode: One-way\nbid_spread: 0.005\nask_spread: 0.005\norder_levels: 5\norder_level_spread: 0.002\n\
         order_amount: {}\norder_refresh_time: 0.3\nfilled_order_delay: 0.3\nlong_profit_taking_spread: 0.002\n\
         short_profit_taking_spread: 0.002\nstop_loss_spread: 0.008\ntime_between_stop_loss_orders: 1\n\
         stop_loss_slippage_buffer: 0.02\n",
        terms.base,
        terms.quote,
        terms.lot.text(lots)
    );
    parse("built-in strategy", text, Target::Demo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_small_machine_lacks_is_said_in_a_line_each() {
        let said = lacks(1, false);
        assert_eq!(said.len(), 3, "{said:?}");
        for (line, part) in said.iter().zip(["one core", "T-ISOLCPUS", "T-MLOCK"]) {
            assert!(line.contains(part) && !line.contains('\n'), "{line}");
        }
        assert_eq!(lacks(64, true).len(), 1);
    }
}
