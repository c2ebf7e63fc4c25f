//! `spinquote merge`: the parts of a sweep that was run in shards become one table. Joins only what belongs together.

use super::sweep;
use crate::cli::MergeArgs;
use anyhow::{Context, Result};
use serde_json::Value;
use spinquote::replay::sweep::Table;
use std::process::ExitCode;

pub fn run(args: &MergeArgs) -> Result<ExitCode> {
    let parts = args.parts.iter().map(|path| Table::read(path)).collect::<Result<Vec<_>, _>>()?;
    let table = Table::joined(&parts)?;
    table.write(&args.out)?;
    sweep::print(&table, &args.by, args.top, &args.out)?;
    let definition: Value = serde_json::from_str(&table.definition).context("the definition of the sweep")?;
    let points = definition["points"].as_u64().unwrap_or(0);
    if (table.rows() as u64) < points {
        super::trade::say(&format!(
            "{} of the sweep's {points} points are in these parts: some are missing",
            table.rows()
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
