//! Binance's languages, a folder per product, and what tells the products apart.

mod product;
pub mod spot;
pub mod usdm;

pub use product::{Product, WatchedDecoder};
