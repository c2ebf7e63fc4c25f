//! `spinquote-reactor --peer HOST:PORT --certificate FILE`: the engine's end of the loopback rig as a program of its own. Connects to a
//! `spinquote-peer` and reacts with the engine's own threads; prints what the engine counted. The latencies are the peer's to print.
#![allow(clippy::print_stdout)] // A program's report.

use anyhow::Context;
use spinquote_bench::frames::Session;
use spinquote_bench::loopback::{Options, inside_notes, reactor::Reactor};
use spinquote_bench::measure::{self, values};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::parse(&arguments)?;
    let peer = values(&arguments, "--peer").next().context("--peer HOST:PORT is missing")?;
    let file = values(&arguments, "--certificate").next().context("--certificate FILE is missing")?;
    let certificate = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    println!("host: {}", measure::host());
    println!("threads: {}", options.layout.text(None));
    // Only its contract is used: the peer sends the snapshot and the frames.
    let instrument = Session::synthetic(1).instrument;
    let reactor = Reactor {
        peer: peer.to_owned(),
        certificate,
        layout: options.layout,
        instrument,
        on_engine: options.on_engine,
    };
    let inside = reactor.rounds(&options.plans, &options.lanes, options.rounds)?;
    reactor.end()?;
    print!("{}", inside_notes(&inside));
    Ok(())
}
