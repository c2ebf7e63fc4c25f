//! What each command does: one file, one `run` per command. Reads arguments that `cli` has checked; prints for people.

pub mod backtest;
pub mod cancel_account;
pub mod capture;
pub mod check;
pub mod convert;
pub mod demo;
mod embedded;
pub mod init;
mod listen;
mod market;
pub mod merge;
mod paper;
pub mod replay;
pub mod run;
pub mod sim;
mod summary;
pub mod sweep;
mod trade;
