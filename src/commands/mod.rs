//! What each command does: one file, one `run` per command. Reads arguments that `cli` has checked; prints for people.

pub mod capture;
pub mod check;
pub mod convert;
pub mod demo;
mod embedded;
pub mod init;
mod listen;
mod market;
mod paper;
pub mod replay;
pub mod run;
pub mod sim;
mod summary;
mod trade;
