//! Binance USD-M futures: its addresses, frames, requests and signatures. Pure; source: the venue's documents of 2026.

pub mod account;
pub mod answer;
pub mod batch;
pub mod client_id;
pub(super) mod fields;
pub mod instrument;
pub mod limits;
pub mod market;
pub mod order;
mod quote_form;
pub mod rest;
pub mod sign;
mod symbols;
mod template;

pub use symbols::Symbols;

/// What follows the public base address for the streams of depth, best quote and trades of some symbols, combined form.
/// `depth` is the update speed, such as `0ms` or `100ms`.
#[must_use]
pub fn public_path(symbols: &[&str], depth: &str) -> String {
    let streams: Vec<String> = symbols
        .iter()
        .map(|symbol| symbol.to_ascii_lowercase())
        .map(|symbol| format!("{symbol}@depth@{depth}/{symbol}@bookTicker/{symbol}@trade"))
        .collect();
    format!("/stream?streams={}", streams.join("/"))
}

/// What follows the market base address for the mark price streams of some symbols.
#[must_use]
pub fn market_path(symbols: &[&str]) -> String {
    let streams: Vec<String> =
        symbols.iter().map(|symbol| format!("{}@markPrice@1s", symbol.to_ascii_lowercase())).collect();
    format!("/stream?streams={}", streams.join("/"))
}

/// What follows the private base address for the stream of a listen key.
#[must_use]
pub fn private_path(listen_key: &str) -> String {
    format!("/ws?listenKey={listen_key}")
}
