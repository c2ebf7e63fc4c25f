//! `spinquote init NAME`: prints a commented settings file. Writes no file of its own.

use crate::cli::InitArgs;
use anyhow::{Context, Result};
use spinquote::config::reference;
use std::io::Write;

pub fn run(args: &InitArgs) -> Result<()> {
    let text = reference::template(&args.name).with_context(|| format!("{}: no such settings file", args.name))?;
    std::io::stdout().write_all(text.as_bytes()).context("stdout")
}
