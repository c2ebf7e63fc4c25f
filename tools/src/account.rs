//! `sq positions` and `sq balance`: what we hold and what it earned, by our own count (counters page) and by the venue's word (journal).

use crate::ledger::{Balance, Ledger, position_side};
use crate::page::{Page, money};
use crate::run::{Run, RunArgs};
use crate::text::{self, Table, name};
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use spinquote::instrument::InstrumentId;
use spinquote::unit::{Lots, Ticks};
use std::io::Write;
use std::process::ExitCode;

/// Positions and the P&L split: our count, and the venue's last word.
#[derive(Debug, Args)]
#[command(after_help = "spread + inventory + fees + funding = total; a negative fee or funding was paid.\n\n\
                        Examples:\n  sq positions\n  sq positions --json runs/20261121-101500")]
pub struct PositionsArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// The quote asset: wallet and free balance, as the venue last said.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sq balance\n  sq balance --json runs/20261121-101500")]
pub struct BalanceArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Prints the positions.
pub fn positions(args: &PositionsArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    // Either alone is an answer: a page without a journal, or a journal without a page.
    let page = Page::open(&run);
    let (ledger, damage) = match Ledger::of(&run) {
        Ok(all) => all,
        Err(error) if page.is_ok() => (Ledger::default(), Some(error)),
        Err(error) => return Err(error),
    };
    let ours = page.as_ref().ok();
    if args.json {
        let of_page = |at: usize, page: &Page| {
            let qty = page.of(at, "position").unwrap_or(0);
            let on = InstrumentId(at as u16);
            let money_of = |name: &str| page.of(at, name).map(money);
            (
                page.symbols[at].clone(),
                json!({
                    "position": run.meta.qty(on, Lots(qty)), "position_lots": qty,
                    "worst_lots": page.of(at, "position_worst"),
                    "entry": money_of("entry"), "mid": money_of("mid"), "mark": money_of("mark"),
                    "pnl": {
                        "spread": money_of("pnl.spread"), "inventory": money_of("pnl.inventory"), "fees": money_of("pnl.fees"),
                        "funding": money_of("pnl.funding"), "total": money_of("pnl.total"),
                    },
                }),
            )
        };
        let ours: Option<serde_json::Map<_, _>> =
            ours.map(|page| (0..page.symbols.len()).map(|at| of_page(at, page)).collect());
        let venue: Vec<Value> = ledger
            .positions
            .iter()
            .map(|(&(on, side), at)| {
                json!({
                    "instrument": run.meta.symbol(on), "position_side": name(position_side(side)),
                    "qty": run.meta.qty(on, at.qty), "qty_lots": at.qty.0, "entry": at.entry.to_string(), "time_ns": at.time.0,
                })
            })
            .collect();
        text::json(out, &json!({"run": run.name, "ours": ours, "venue": venue}), true)?;
        return damage.map_or(Ok(ExitCode::SUCCESS), Err);
    }
    match (&page, ours) {
        (_, Some(page)) => print_ours(&run, page, out)?,
        (Err(error), None) => writeln!(out, "our own count is not known: {error:#}")?,
        (Ok(_), None) => {}
    }
    let mut table = Table::new(&["<venue says", "<side", "position", "entry", "<at"]);
    for (&(on, side), at) in &ledger.positions {
        table.row([
            run.meta.symbol(on),
            name(position_side(side)),
            run.meta.qty_text(on, at.qty),
            at.entry.to_string(),
            text::time(at.time),
        ]);
    }
    if table.is_empty() {
        writeln!(out, "the venue has not said a position yet")?;
    } else {
        table.print(out)?;
    }
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn print_ours(run: &Run, page: &Page, out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new(&[
        "<symbol",
        "position",
        "worst",
        "entry",
        "mid",
        "spread",
        "inventory",
        "fees",
        "funding",
        "total",
    ]);
    for (at, symbol) in page.symbols.iter().enumerate() {
        let on = InstrumentId(at as u16);
        let qty =
            |name: &str| page.of(at, name).map_or_else(|| "?".to_owned(), |lots| run.meta.qty_text(on, Lots(lots)));
        let amount = |name: &str| page.of(at, name).map_or_else(|| "?".to_owned(), money);
        table.row([
            symbol.clone(),
            qty("position"),
            qty("position_worst"),
            amount("entry"),
            amount("mid"),
            amount("pnl.spread"),
            amount("pnl.inventory"),
            amount("pnl.fees"),
            amount("pnl.funding"),
            amount("pnl.total"),
        ]);
    }
    table.print(out)?;
    Ok(())
}

/// Prints the balance.
pub fn balance(args: &BalanceArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let (ledger, damage) = Ledger::of(&run)?;
    let asset = run.meta.contracts.first().map_or("", |contract| contract.quote.as_str());
    let Ledger { first_balance: first, balance: last, funding, .. } = &ledger;
    let fees = ledger.fees();
    if args.json {
        let one = |balance: &Option<Balance>| {
            balance.map(|at| {
                json!({"wallet": at.wallet.to_string(), "available": at.available.to_string(), "time_ns": at.time.0})
            })
        };
        let all = json!({
            "run": run.name, "asset": asset, "first": one(first), "last": one(last),
            "fees_paid": fees.to_string(), "funding": funding.to_string(),
        });
        text::json(out, &all, true)?;
    } else if let (Some(first), Some(last)) = (first, last) {
        let mut table = Table::new(&["<asset", "wallet", "available", "change", "fees paid", "funding", "<at"]);
        table.row([
            asset.to_owned(),
            last.wallet.to_string(),
            last.available.to_string(),
            (last.wallet - first.wallet).to_string(),
            fees.to_string(),
            funding.to_string(),
            text::time(last.time),
        ]);
        table.print(out)?;
    } else {
        writeln!(out, "the venue has not said a balance yet")?;
    }
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// A price of the page, or a dash where there is none.
pub fn ticks_text(run: &Run, at: usize, ticks: Option<i64>) -> String {
    match ticks {
        None | Some(0) => "-".to_owned(),
        Some(ticks) => run.meta.price_text(InstrumentId(at as u16), Ticks(ticks)),
    }
}
