//! Binance. Its products share a manner but not their frames, so each has its own folder.

pub mod usdm;
