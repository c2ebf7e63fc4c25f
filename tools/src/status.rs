//! `sq status`: one screenful of where a run stands, from the counters page; with `--watch` again and again.

use crate::account::ticks_text;
use crate::advice;
use crate::alerts;
use crate::detail;
use crate::page::{Page, money};
use crate::run::{Life, Run, RunArgs, now};
use crate::text::{self, Table};
use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value};
use spinquote::instrument::InstrumentId;
use spinquote::journal::counters::Unit;
use spinquote::unit::{Lots, Nanos};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Where a run stands: state, quotes, position, P&L, counts.
#[derive(Debug, Args)]
#[command(after_help = "What is wrong and what to do about it stands in the lines that begin with ->.\n\
                        Exit code 0: live or ended in order. 1: silent, killed, or never begun.\n\n\
                        Examples:\n  sq status\n  sq status --watch\n  sq status --funding-rate\n  sq status --json runs/20261121-101500")]
pub struct StatusArgs {
    /// Every word of the counters page, as JSON.
    #[arg(long)]
    json: bool,
    /// Only funding: rate, interval, next time, and what the position pays or gets.
    #[arg(long)]
    funding_rate: bool,
    /// Print it again every --every until Ctrl-C or the run's end.
    #[arg(short, long)]
    watch: bool,
    /// How often with --watch, such as 500ms or 2s.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = spinquote::config::value::duration)]
    every: Nanos,
    #[command(flatten)]
    run: RunArgs,
}

/// Prints it, once or often.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    loop {
        let page = Page::open(&run)?;
        let life = run.life();
        if args.funding_rate {
            let clock = clock(&page, life);
            match args.json {
                true => text::json(out, &detail::funding_json(&page, clock), !args.watch)?,
                false => detail::funding_table(&run, &page, clock, out)?,
            }
        } else if args.json {
            text::json(out, &to_json(&run, &page, life), !args.watch)?;
        } else {
            print(&run, &page, life, out)?;
        }
        if !args.watch || matches!(life, Life::Ended { .. }) {
            let well = matches!(life, Life::Live(_) | Life::Ended { .. }) && page.count("engine.killed") == 0;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !args.json {
            writeln!(out)?;
        }
        out.flush()?;
        std::thread::sleep(Duration::from_nanos(args.every.0.max(1_000_000).unsigned_abs()));
    }
}

/// What the engine does about quotes.
pub fn state(page: &Page, life: Life) -> &'static str {
    match life {
        Life::Ended { .. } => "ended",
        _ if page.count("engine.killed") != 0 => "KILLED",
        Life::Silent(_) => "silent",
        Life::Unborn => "unborn",
        _ if page.count("engine.paused") != 0 => "paused",
        _ => "quoting",
    }
}

/// The run's time: an ended or silent one stands still at its last heartbeat.
fn clock(page: &Page, life: Life) -> Nanos {
    if matches!(life, Life::Live(_)) { now() } else { Nanos(page.count("engine.heartbeat")) }
}

fn print(run: &Run, page: &Page, life: Life, out: &mut dyn Write) -> Result<()> {
    match state(page, life) {
        state @ ("quoting" | "paused" | "KILLED") => writeln!(out, "run {}: {state}; {}", run.name, life.sentence())?,
        _ => writeln!(out, "run {}: {}", run.name, life.sentence())?,
    }
    for line in advice::of(run, page, life) {
        writeln!(out, "  -> {line}")?;
    }
    let mut table = Table::new(&[
        "<symbol", "bid", "ask", "own bid", "own ask", "position", "orders", "buys", "sells", "pnl", "<book",
    ]);
    for (at, symbol) in page.symbols.iter().enumerate() {
        let on = InstrumentId(at as u16);
        let price = |name: &str| ticks_text(run, at, page.of(at, name));
        let own = |price_of: &str, qty: &str| match page.of(at, price_of) {
            None | Some(0) => "-".to_owned(),
            ticks => {
                let qty = run.meta.qty_text(on, Lots(page.of(at, qty).unwrap_or(0)));
                format!("{qty}@{}", ticks_text(run, at, ticks))
            }
        };
        let count = |name: &str| page.of(at, name).unwrap_or(0).to_string();
        table.row([
            symbol.clone(),
            price("bid"),
            price("ask"),
            own("own_bid", "own_bid_qty"),
            own("own_ask", "own_ask_qty"),
            run.meta.qty_text(on, Lots(page.of(at, "position").unwrap_or(0))),
            count("orders_live"),
            count("fills.buy"),
            count("fills.sell"),
            money(page.of(at, "pnl.total").unwrap_or(0)),
            if page.of(at, "in_sync") == Some(1) { "in sync".to_owned() } else { "NOT in sync".to_owned() },
        ]);
    }
    table.print(out)?;
    detail::print(run, page, clock(page, life), out)?;
    let count = |name: &str| text::count(page.count(name));
    writeln!(
        out,
        "sent    {} new, {} amend, {} cancel; {} accepted, {} rejected, {} unknown, {} refused by the gate",
        count("sender.orders_new"),
        count("sender.orders_amend"),
        count("sender.orders_cancel"),
        count("sender.acks"),
        count("sender.rejects"),
        count("sender.unknown_outcomes"),
        count("engine.refusals")
    )?;
    writeln!(
        out,
        "feed    {} frames, {} reconnects, {} decode errors, {} protocol errors",
        count("engine.frames"),
        count("engine.reconnects"),
        count("engine.decode_errors"),
        count("engine.protocol_errors")
    )?;
    writeln!(
        out,
        "journal record {}, {}, {} lost",
        count("engine.journal_seq"),
        text::bytes(page.count("housekeeper.journal_bytes").max(0).unsigned_abs()),
        count("engine.journal_lost")
    )?;
    // What a page does not fill is left out: 0 would say that nothing is armed or used.
    let dead_man = match (page.count("sender.dead_man_at"), life) {
        (0, _) => String::new(),
        (at, Life::Live(_)) => format!(", dead-man switch cancels all in {}", text::span(at - now().0)),
        (at, _) => format!(", dead-man switch cancels all at {}", text::time(Nanos(at))),
    };
    let weight = match page.count("sender.weight_used") {
        0 => String::new(),
        used => format!(", weight {} this minute", text::count(used)),
    };
    writeln!(out, "venue   {} orders in 10 s{weight}{dead_man}", count("sender.orders_used"))?;
    let widened = page.count("engine.widened");
    if widened > 100 {
        writeln!(out, "spreads {widened}% of the strategy's own (sq ctl widen)")?;
    }
    for alert in alerts::active(run) {
        let seen = if alert.acknowledged { ", acknowledged" } else { "" };
        let since = text::clock(alert.since);
        writeln!(out, "ALERT   {} {} since {since}{seen}: {}", alert.severity, alert.name, alert.text)?;
        if let Some(advice) = alerts::advice(&alert.name).filter(|_| !matches!(life, Life::Ended { .. })) {
            writeln!(out, "  -> {advice}")?;
        }
    }
    Ok(())
}

fn to_json(run: &Run, page: &Page, life: Life) -> Value {
    let value = |word: &spinquote::journal::counters::Word| match (word.unit, page.reader.value(word)) {
        (Unit::Money, value) => Value::from(money(value)),
        (_, value) => Value::from(value),
    };
    let mut words = Map::new();
    let mut instruments = Map::new();
    for word in page.reader.words() {
        match word.name.split_once('/') {
            None => {
                words.insert(word.name.clone(), value(word));
            }
            // Rows of orders follow as a list.
            Some((_, name)) if name.starts_with("order.") => {}
            Some((symbol, name)) => {
                let each = instruments.entry(symbol).or_insert_with(|| Value::Object(Map::new()));
                each[name] = value(word);
            }
        }
    }
    for (at, symbol) in page.symbols.iter().enumerate() {
        instruments[symbol]["now"] = detail::to_json(run, page, at);
    }
    let age = match life {
        Life::Live(age) | Life::Silent(age) => Some(age.0),
        _ => None,
    };
    serde_json::json!({
        "run": run.name,
        "life": life.word(),
        "state": state(page, life),
        "heartbeat_age_ns": age,
        "next": advice::of(run, page, life),
        "blocks": advice::blocks(page),
        "alerts": alerts::active(run).iter().map(|alert| serde_json::json!({
            "alert": alert.name,
            "severity": alert.severity,
            "since_time_ns": alert.since.0,
            "acknowledged": alert.acknowledged,
            "text": alert.text,
        })).collect::<Vec<_>>(),
        "words": words,
        "instruments": instruments,
    })
}
