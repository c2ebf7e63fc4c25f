//! Binance's languages, a folder per product.

pub mod usdm;
