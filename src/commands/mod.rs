//! What each command does: one file, one `run` per command. Reads arguments that `cli` has checked; prints for people.

pub mod check;
pub mod init;
