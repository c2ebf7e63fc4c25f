//! The exchange that this process brings along, on loopback: its account, and settings that point the engine at it as at any venue.

use anyhow::{Result, bail};
use spinquote::config::engine::EngineSettings;
use spinquote::sim::market::MarketSource;
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::venue::binance::Product;
use spinquote::venue::binance::usdm::sign::{Credentials, KeyKind};

/// The account; loopback only, so no secret.
const KEY: &str = "embedded-key";
const SECRET: &str = "embedded-secret";

/// One market and one account.
pub fn config(source: Box<dyn MarketSource + Send>) -> ServerConfig {
    ServerConfig::new(vec![source], vec![AccountConfig::new(KEY, SECRET)])
}

/// The account's key.
pub fn credentials() -> Credentials {
    Credentials { api_key: KEY.into(), secret: SECRET.into(), kind: KeyKind::Hmac }
}

/// The certificate to trust.
pub fn ca_pem(exchange: &Server) -> Option<Vec<u8>> {
    exchange.cert_pem().map(|pem| pem.as_bytes().to_vec())
}

/// Puts the exchange's addresses where the venue's were.
pub fn point_at(settings: &mut EngineSettings, exchange: &Server) {
    let (rest, ws) = (exchange.rest_url(), exchange.ws_url());
    settings.venue.rest_url = rest;
    settings.venue.public_ws_url = format!("{ws}/public");
    settings.venue.market_ws_url = format!("{ws}/market");
    settings.venue.private_ws_url = format!("{ws}/private");
    settings.venue.order_ws_url = format!("{ws}/ws-fapi/v1");
}

/// The same for the market that a strategy's reference price comes from.
pub fn point_source_at(settings: &mut EngineSettings, exchange: &Server, product: Product) {
    let ws = exchange.ws_url();
    settings.source.rest_url = Some(exchange.rest_url());
    settings.source.ws_url = Some(match product {
        Product::Spot => format!("{ws}/spot"),
        Product::Usdm => format!("{ws}/public"),
    });
}

/// Stops it; an error if it had failed before.
pub fn end(exchange: &Server) -> Result<()> {
    exchange.stop();
    match exchange.error() {
        Some(error) => bail!("the embedded exchange: {error}"),
        None => Ok(()),
    }
}
