//! `sq why ORDER`: the chain behind each message about an order: the input, the book after it, the decisions with the rule's numbers, what the
//! risk gate counted, the command, its way out, and what came back. Tells what the journal holds in its order; infers nothing but which
//! input stood last before a decision.

mod scene;

use crate::decided::Decided;
use crate::filter::parse_order;
use crate::ledger::Ledger;
use crate::row::{Row, kind_name};
use crate::run::{Run, RunArgs, each_record};
use crate::text::{self, name};
use anyhow::{Result, bail};
use clap::Args;
use scene::{Facts, Scene};
use serde_json::{Value, json};
use spinquote::event::{ClientId, Side};
use spinquote::journal::{Record, record};
use spinquote::unit::Nanos;
use std::io::Write;
use std::process::ExitCode;

/// Why an order was placed, amended, cancelled, filled: the chain of records that led to it.
#[derive(Debug, Args)]
#[command(
    after_help = "ORDER is an id as `sq orders` prints it, or its last part. Times count from the step's input. book is the market as the\n\
                        step saw it (at_price: what stands at the order's price); rule is how far the price is from the reference, and the\n\
                        settings behind it; gate is what the risk gate counted, each against its limit.\n\n\
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
    /// The market after the input.
    book: Facts,
    decisions: Vec<Row>,
    /// The rule's numbers.
    rule: Facts,
    /// What the risk gate counted.
    gate: Facts,
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
        let journal = run.journal()?;
        let scene = Scene::of(&run, &journal);
        let mut chain = Chain { id, run: &run, scene, input: Input::default(), general: Vec::new(), links: Vec::new() };
        each_record(journal, |found| {
            ledger.take(found);
            chain.take(found, &ledger);
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
    scene: Option<Scene>,
    input: Input,
    /// Decisions of the current step that name no order: a withdrawal or a kill may be the reason behind the rest.
    general: Vec<Row>,
    links: Vec<Link>,
}

impl Chain<'_> {
    fn take(&mut self, found: &Record<'_>, ledger: &Ledger) {
        if let Some(scene) = &mut self.scene {
            scene.take(found);
        }
        let row = || Row::of(found, &self.run.meta);
        let ours = crate::row::order_of(found) == Some(self.id);
        match found.kind {
            record::DECISION if ours => {
                let (row, [book, rule]) = (row(), self.seen(found));
                let step = self.step();
                step.decisions.push(row);
                (step.book, step.rule) = (book, rule);
            }
            record::DECISION if crate::row::order_of(found).is_none() => {
                let row = row();
                match self.open_step() {
                    Some(step) => step.decisions.push(row),
                    None => self.general.push(row),
                }
            }
            record::COMMAND if ours => {
                let (row, gate) = (row(), self.counted(found, ledger));
                let step = self.step();
                step.commands.push(row);
                step.gate = gate;
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

    /// The market and the rule's numbers at a decision about the order.
    fn seen(&self, found: &Record<'_>) -> [Facts; 2] {
        let (Some(scene), Ok(decided)) = (&self.scene, Decided::decode(found.payload)) else {
            return Default::default();
        };
        let side = if decided.side == 0 { Side::Buy } else { Side::Sell };
        let own = (!decided.price.is_zero()).then_some((side, decided.price));
        let Decided { instrument: on, price, reference, .. } = decided;
        [scene.book(self.run, on, own), scene.rule(self.run, on, side, decided.purpose_code(), price, reference)]
    }

    /// What the gate counted for a command about the order.
    fn counted(&self, found: &Record<'_>, ledger: &Ledger) -> Facts {
        match (&self.scene, record::decode_command(found.payload)) {
            (Some(scene), Ok(command)) => scene.gate(self.run, ledger, &command),
            _ => Facts::new(),
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
            let step = Step {
                input,
                book: Facts::new(),
                decisions,
                rule: Facts::new(),
                gate: Facts::new(),
                commands: Vec::new(),
            };
            self.links.push(Link::Step(Box::new(step)));
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
            facts("book", &step.book, out)?;
            for row in &step.decisions {
                writeln!(out, "  decided   {:>6} {}", row.seq, row.pairs(full))?;
            }
            facts("rule", &step.rule, out)?;
            facts("gate", &step.gate, out)?;
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

/// A line of named values; none where there are none.
fn facts(name: &str, facts: &Facts, out: &mut dyn Write) -> Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let shown = |(name, value): (&String, &Value)| format!(" {name}={}", value.as_str().unwrap_or_default());
    writeln!(out, "  {name:<16} {}", facts.iter().map(shown).collect::<String>())?;
    Ok(())
}

fn to_json(link: &Link) -> Value {
    let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
    match link {
        Link::Step(step) => json!({
            "step": {
                "input": step.input.as_ref().map(Row::json),
                "book": step.book,
                "decisions": rows(&step.decisions),
                "rule": step.rule,
                "gate": step.gate,
                "commands": rows(&step.commands),
            }
        }),
        Link::Later { row, since } => json!({"after": row.json(), "since_input_ns": since.0}),
    }
}
