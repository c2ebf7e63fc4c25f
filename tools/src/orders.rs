//! `sq orders` and `sq fills`: what was asked for and what was executed, from the journal.

use crate::ledger::{FillRow, Ledger, Order};
use crate::run::{Run, RunArgs};
use crate::text::{self, Table, name};
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Orders that are open, or all of the run.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sq orders\n  sq orders --all runs/20261121-101500\n  sq orders --json | jq '.[].id'"
)]
pub struct OrdersArgs {
    /// Those that are done as well.
    #[arg(short, long)]
    all: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Executions, oldest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq fills\n  sq fills -n 20\n  sq fills --json runs/20261121-101500")]
pub struct FillsArgs {
    /// Only the last ones.
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Prints the orders.
pub fn orders(args: &OrdersArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let (ledger, damage) = Ledger::of(&run)?;
    let wanted: Vec<&Order> = match args.all {
        true => ledger.orders.values().collect(),
        false => ledger.open().collect(),
    };
    if args.json {
        text::json(out, &wanted.iter().map(|order| order_json(order, &run)).collect(), true)?;
    } else if wanted.is_empty() {
        let all = if args.all { "no order in this run" } else { "no open order; --all shows those that are done" };
        writeln!(out, "{all}")?;
    } else {
        let mut table =
            Table::new(&["<id", "<symbol", "<side", "price", "qty", "filled", "<state", "<asked", "age", "code"]);
        for order in wanted {
            table.row([
                text::order_id(order.id),
                run.meta.symbol(order.instrument),
                name(order.side),
                if order.price.is_zero() {
                    "market".to_owned()
                } else {
                    run.meta.price_text(order.instrument, order.price)
                },
                run.meta.qty_text(order.instrument, order.qty),
                run.meta.qty_text(order.instrument, order.filled),
                name(order.standing),
                order.asked.map_or_else(|| "-".to_owned(), name),
                text::span(ledger.time.0 - order.created.0),
                if order.code == 0 { "-".to_owned() } else { order.code.to_string() },
            ]);
        }
        table.print(out)?;
    }
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn order_json(order: &Order, run: &Run) -> Value {
    json!({
        "id": text::order_id(order.id),
        "instrument": run.meta.symbol(order.instrument),
        "side": name(order.side),
        "price": run.meta.price(order.instrument, order.price),
        "price_ticks": order.price.0,
        "qty": run.meta.qty(order.instrument, order.qty),
        "qty_lots": order.qty.0,
        "filled": run.meta.qty(order.instrument, order.filled),
        "filled_lots": order.filled.0,
        "state": name(order.standing),
        "open": order.standing.is_open(),
        "asked": order.asked.map(name),
        "reduce_only": order.reduce_only,
        "created_time_ns": order.created.0,
        "updated_time_ns": order.updated.0,
        "venue_id": (order.venue_id != 0).then_some(order.venue_id),
        "code": (order.code != 0).then_some(order.code),
    })
}

/// Prints the executions.
pub fn fills(args: &FillsArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let (ledger, damage) = Ledger::of(&run)?;
    let skip = args.last.map_or(0, |last| ledger.fills.len().saturating_sub(last));
    let wanted = &ledger.fills[skip..];
    if args.json {
        text::json(out, &wanted.iter().map(|row| fill_json(row, &run)).collect(), true)?;
    } else if wanted.is_empty() {
        writeln!(out, "no execution in this run")?;
    } else {
        let mut table = Table::new(&["<time", "<symbol", "<side", "qty", "price", "fee", "<as", "<order", "trade"]);
        for row in wanted {
            table.row([
                text::time(row.time),
                run.meta.symbol(row.instrument),
                name(row.side),
                run.meta.qty_text(row.instrument, row.fill.qty),
                run.meta.price_text(row.instrument, row.fill.price),
                if row.fill.fee_known { row.fill.fee.to_string() } else { "?".to_owned() },
                if row.fill.maker { "maker".to_owned() } else { "taker".to_owned() },
                text::order_id(row.id),
                row.fill.trade_id.to_string(),
            ]);
        }
        table.print(out)?;
    }
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn fill_json(row: &FillRow, run: &Run) -> Value {
    json!({
        "seq": row.seq,
        "time_ns": row.time.0,
        "time": text::time(row.time),
        "instrument": run.meta.symbol(row.instrument),
        "side": name(row.side),
        "price": run.meta.price(row.instrument, row.fill.price),
        "price_ticks": row.fill.price.0,
        "qty": run.meta.qty(row.instrument, row.fill.qty),
        "qty_lots": row.fill.qty.0,
        "fee": row.fill.fee_known.then(|| row.fill.fee.to_string()),
        "liquidity": if row.fill.maker { "maker" } else { "taker" },
        "id": text::order_id(row.id),
        "trade_id": row.fill.trade_id,
    })
}
