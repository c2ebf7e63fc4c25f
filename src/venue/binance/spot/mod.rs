//! Binance spot, market data only: its stream addresses, frames and terms. Pure; places no orders. Source: the venue's documents of 2026.

pub mod instrument;
pub mod market;

/// What follows the stream base address for depth, best quote and trades of a symbol, combined form.
#[must_use]
pub fn stream_path(symbol: &str) -> String {
    let symbol = symbol.to_ascii_lowercase();
    format!("/stream?streams={symbol}@depth@100ms/{symbol}@bookTicker/{symbol}@trade")
}
