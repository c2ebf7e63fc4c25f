//! Venues' languages: bytes to events and commands to bytes. Pure; knows no book and no strategy.

pub mod binance;
pub mod codec;
