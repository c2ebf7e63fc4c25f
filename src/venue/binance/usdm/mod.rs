//! Binance USD-M futures. Facts: developers.binance.com, USD-M section, as of October 2026.

mod fields;
pub mod market;
mod symbols;

pub use symbols::Symbols;
