//! `spinquote check FILES`: every fault of every file at once. Starts nothing and asks for no credential.

use crate::cli::CheckArgs;
use crate::diagnose;
use anyhow::{Context, Result, bail};
use spinquote::config::load::{self, AnyFile, Strategy};
use std::io::Write;

pub fn run(args: &CheckArgs) -> Result<()> {
    let (mut faults, mut faulty) = (0, 0);
    for path in &args.files {
        match load::any(path) {
            Ok(loaded) => {
                diagnose::warnings(&loaded.warnings);
                let what = match loaded.settings {
                    AnyFile::Strategy(Strategy::Perpetual(settings)) => {
                        format!("perpetual_market_making on {} at {}", settings.market, settings.derivative)
                    }
                    AnyFile::Strategy(Strategy::FundingAware(settings)) => {
                        format!("funding_aware on {} at the venue of engine.toml", settings.pair())
                    }
                    AnyFile::Strategy(Strategy::Pmm(settings)) => {
                        format!("pmm on {} at {}", settings.trading_pair, settings.connector_name)
                    }
                    AnyFile::Credentials => "a key and a secret that only its owner can read".to_owned(),
                    AnyFile::Engine(settings) => format!("engine settings for {}", settings.venue.rest_url),
                };
                writeln!(std::io::stdout(), "{}: ok, {what}", path.display()).context("stdout")?;
            }
            Err(problems) => {
                faults += problems.len();
                faulty += 1;
                diagnose::errors(&problems);
            }
        }
    }
    if faulty > 0 {
        bail!("{faults} fault{} in {faulty} of {} files", if faults == 1 { "" } else { "s" }, args.files.len());
    }
    Ok(())
}
