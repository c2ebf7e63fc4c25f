//! `sq why ORDER`: the chain behind each message about an order: the input, the decisions with their numbers, the command, its way out, and
//! what came back. Tells what the journal holds in its order; infers nothing but which input stood last before a decision.

use crate::filter::parse_order;
use crate::ledger::Ledger;
use crate::row::{Row, kind_name};
use crate::run::{Run, RunArgs, each_record};
use crate::text::{self, name};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use spinquote::event::ClientId;
use spinquote::journal::{Record, record};
use spinquote::unit::Nanos;
use std::io::Write;
use std::process::ExitCode;

/// Why an order was placed, amended, cancelled, filled: the chain of records that led to it.
#[derive(Debug, Args)]
#[command(
    after_help = "ORDER is an id as `sq orders` prints it, or its last part. Times count from the step's input.\n\n\
                        Examples:\n  sq why 1a\n  sq why 00000007-0000001a runs/20261121-101500\n  sq why sq00000007-0000001a --json"
)]
pub struct WhyArgs {
    /// The order's id.
    #[arg(value_name = "ORDER")]
    order: String,
    /// Frames in whole.
    #[arg(long)]
    full: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// One thing that happened to the order.
enum Link {
    /// A step decided something about it.
    Step(Box<Step>),
    /// It left, or something was said of it.
    Later { row: Row, since: Nanos },
}

/// One step: its input and what concerns the order.
struct Step {
    input: Option<Row>,
    decisions: Vec<Row>,
    commands: Vec<Row>,
}

/// What is remembered of the input while a step's outputs are read.
#[derive(Default)]
struct Input {
    seq: u64,
    kind: u16,
    time: Nanos,
    payload: Vec<u8>,
}

/// Prints the chain.
pub fn run(args: &WhyArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let id = parse_order(&args.order, &run)?;
    let mut ledger = Ledger::default();
    let links = {
        let mut chain = Chain { id, run: &run, input: Input::default(), general: Vec::new(), links: Vec::new() };
        each_record(run.journal()?, |found| {
            ledger.take(found);
            chain.take(found);
            Ok(true)
        })?;
        chain.links
    };
    if links.is_empty() {
        bail!("order {} is nowhere in run {}; `sq orders --all` lists those that are", text::order_id(id), run.name);
    }
    if args.json {
        let order = ledger.orders.get(&id).map(|order| name(order.standing));
        let links: Vec<Value> = links.iter().map(to_json).collect();
        text::json(out, &json!({"id": text::order_id(id), "state": order, "links": links}), true)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(order) = ledger.orders.get(&id) {
        let (qty, filled) =
            (run.meta.qty_text(order.instrument, order.qty), run.meta.qty_text(order.instrument, order.filled));
        let price = run.meta.price_text(order.instrument, order.price);
        let (symbol, side, state) = (run.meta.symbol(order.instrument), name(order.side), name(order.standing));
        writeln!(out, "order {} {symbol} {side} {qty} @ {price}: {state}, filled {filled}", text::order_id(id))?;
    }
    for link in &links {
        print(link, args.full, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Chain<'a> {
    id: ClientId,
    run: &'a Run,
    input: Input,
    /// Decisions of the current step that name no order: a withdrawal or a kill may be the reason behind the rest.
    general: Vec<Row>,
    links: Vec<Link>,
}

impl Chain<'_> {
    fn take(&mut self, found: &Record<'_>) {
        let row = || Row::of(found, &self.run.meta);
        let ours = crate::row::order_of(found) == Some(self.id);
        match found.kind {
            record::DECISION if ours => {
                let row = row();
                self.step().decisions.push(row);
            }
            record::DECISION if crate::row::order_of(found).is_none() => {
                let row = row();
                match self.open_step() {
                    Some(step) => step.decisions.push(row),
                    None => self.general.push(row),
                }
            }
            record::COMMAND if ours => {
                let row = row();
                self.step().commands.push(row);
            }
            record::DECISION | record::COMMAND => {}
            record::SENT if ours => {
                let since = self.since(found);
                self.links.push(Link::Later { row: row(), since });
            }
            record::SENT | record::CLOCK | record::RUN_START | record::RUN_END | record::LOSS | record::GAP => {}
            // Every other kind is an input and starts a step.
            _ => {
                if ours {
                    let since = self.since(found);
                    self.links.push(Link::Later { row: row(), since });
                }
                self.general.clear();
                self.input.payload.clear();
                self.input.payload.extend_from_slice(found.payload);
                (self.input.seq, self.input.kind, self.input.time) = (found.seq, found.kind, found.time);
            }
        }
    }

    /// The step that the current input began, if it concerned the order already.
    fn open_step(&mut self) -> Option<&mut Step> {
        let seq = self.input.seq;
        match self.links.last_mut() {
            Some(Link::Step(step)) if step.input.as_ref().is_some_and(|input| input.seq == seq) => Some(step),
            _ => None,
        }
    }

    fn step(&mut self) -> &mut Step {
        if self.open_step().is_none() {
            let Input { seq, kind, time, ref payload } = self.input;
            let found = Record { kind, flags: 0, seq, time, payload };
            let input = (seq > 0).then(|| Row::of(&found, &self.run.meta));
            let decisions = std::mem::take(&mut self.general);
            self.links.push(Link::Step(Box::new(Step { input, decisions, commands: Vec::new() })));
        }
        match self.links.last_mut() {
            Some(Link::Step(step)) => step,
            _ => unreachable!("a step was just put there"),
        }
    }

    /// The time since the last step's input.
    fn since(&self, found: &Record<'_>) -> Nanos {
        let sent = (found.kind == record::SENT).then(|| record::Sent::decode(found.payload).ok()).flatten();
        let at = sent.map_or(found.time, |sent| sent.at);
        let start = self.links.iter().rev().find_map(|link| match link {
            Link::Step(step) => step.input.as_ref().map(|row| row.time),
            Link::Later { .. } => None,
        });
        Nanos(start.map_or(0, |start| at.0 - start.0))
    }
}

fn print(link: &Link, full: bool, out: &mut dyn Write) -> Result<()> {
    match link {
        Link::Step(step) => {
            let at = step.input.as_ref().map_or(Nanos::ZERO, |row| row.time);
            writeln!(out, "\n{}", text::time(at))?;
            if let Some(row) = &step.input {
                writeln!(out, "  input     {:>6}  {}{}", row.seq, kind_name(row.kind), row.pairs(full))?;
            }
            for row in &step.decisions {
                writeln!(out, "  decided   {:>6} {}", row.seq, row.pairs(full))?;
            }
            for row in &step.commands {
                writeln!(out, "  command   {:>6} {}", row.seq, row.pairs(full))?;
            }
        }
        Link::Later { row, since } => {
            let what = row.fields.get("what").and_then(Value::as_str).unwrap_or("sent");
            let pairs = row.pairs(full).replacen(&format!(" what={what}"), "", 1);
            writeln!(out, "  {what:<9} {:>6} {pairs}  (+{})", row.seq, text::span(since.0))?;
        }
    }
    Ok(())
}

fn to_json(link: &Link) -> Value {
    let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
    match link {
        Link::Step(step) => json!({
            "step": {
                "input": step.input.as_ref().map(Row::json),
                "decisions": rows(&step.decisions),
                "commands": rows(&step.commands),
            }
        }),
        Link::Later { row, since } => json!({"after": row.json(), "since_input_ns": since.0}),
    }
}
