//! `spinquote-peer --listen HOST:PORT --certificate FILE`: the venue's end of the loopback rig as a program of its own, for a second host or
//! network namespace. Plays the session's frames to every `spinquote-reactor` window, and prints the table when that one has ended.
#![allow(clippy::print_stdout)] // A program's report.

use anyhow::Context;
use spinquote::wire::tls;
use spinquote_bench::frames::Session;
use spinquote_bench::loopback::{self, Found, Options, peer::Peer};
use spinquote_bench::measure::{self, Report, values};
use std::net::TcpListener;

const FRAMES: usize = 100_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::parse(&arguments)?;
    let listen = values(&arguments, "--listen").next().context("--listen HOST:PORT is missing")?;
    let file = values(&arguments, "--certificate").next().context("--certificate FILE is missing")?;
    let (host, _) = listen.rsplit_once(':').context("--listen wants HOST:PORT")?;
    let session = Session::load(FRAMES);
    let (certificate, key) = tls::self_signed(&[host])?;
    let config = tls::server_config(certificate.as_bytes(), key.as_bytes())?;
    let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
    // Written when the port is open: whoever waits for the file may connect.
    std::fs::write(file, &certificate).with_context(|| format!("writing {file}"))?;
    println!("host: {}", measure::host());
    println!("frames: {}", session.source);
    println!("listening on {listen}; the reactor needs the certificate in {file}");
    let peer = Peer { session: &session, wait: options.layout.wait, core: options.peer_core };
    let found = Found { windows: peer.serve(&listener, &config)?, inside: Vec::new() };
    let mut report = Report::default();
    loopback::rows(&found.windows, &mut report);
    println!("\n{}\n{}", report.table(), loopback::notes(&found));
    if arguments.iter().any(|argument| argument == "--json") {
        print!("{}", report.json());
    }
    Ok(())
}
