//! `sq prom`: a run's counters and latencies as Prometheus text, over HTTP on loopback. Serves nothing else, and no other interface without a token.

use crate::gate::{Gate, GateArgs};
use crate::page::Page;
use crate::run::{Life, Run, RunArgs};
use anyhow::{Context, Result};
use clap::Args;
use spinquote::journal::counters::{InstrumentSlot, Slot, Unit};
use spinquote::unit::decimal_text;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Serve counters and latencies to Prometheus.
#[derive(Debug, Args)]
#[command(
    after_help = "The first line on stdout is `listening http://ADDRESS/metrics`. Without RUN every scrape shows the run that is then the newest.\n\n\
                        Examples:\n  sq prom\n  sq prom --once runs/20261121-101500\n  sq prom --listen 127.0.0.1:9500\n  \
                        sq prom --listen 0.0.0.0:9464 --allow-remote --token-file token.txt"
)]
pub struct PromArgs {
    /// Address to serve on; port 0 picks one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    #[command(flatten)]
    gate: GateArgs,
    /// Print the text once instead of serving it.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Most bytes of a request, and how long a peer may take for it.
const REQUEST_MAX: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves until Ctrl-C.
pub fn run(args: &PromArgs, out: &mut dyn Write) -> Result<ExitCode> {
    if args.once {
        out.write_all(metrics(&Run::find(&args.run)?)?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let gate = args.gate.of(args.listen)?;
    let listener = TcpListener::bind(args.listen).with_context(|| format!("listening on {}", args.listen))?;
    writeln!(out, "listening http://{}/metrics", listener.local_addr()?)?;
    out.flush()?;
    loop {
        // A scraper that goes away harms nobody else.
        if let Ok((stream, _)) = listener.accept() {
            let _ = answer(stream, args, &gate);
        }
    }
}

fn answer(mut stream: TcpStream, args: &PromArgs, gate: &Gate) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (status, body) = match request(&mut stream)? {
        None => ("400 Bad Request", "not a request that is understood here\n".to_owned()),
        Some(request) => reply(&request, args, gate),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// The head of the request, up to its blank line; `None` when it is too long or takes too long.
fn request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1024]);
    let until = Instant::now() + PATIENCE;
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let more = stream.read(&mut part)?;
        bytes.extend_from_slice(&part[..more]);
        if more == 0 || bytes.len() > REQUEST_MAX || Instant::now() > until {
            return Ok(None);
        }
    }
    Ok(String::from_utf8(bytes).ok())
}

fn reply(request: &str, args: &PromArgs, gate: &Gate) -> (&'static str, String) {
    let mut lines = request.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authorization =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if !gate.admits(authorization.map(|(_, value)| value)) {
        return ("401 Unauthorized", "a token is needed: Authorization: Bearer TOKEN\n".to_owned());
    }
    if method != "GET" {
        return ("405 Method Not Allowed", "only GET is served\n".to_owned());
    }
    if path.split('?').next() != Some("/metrics") {
        return ("404 Not Found", "only /metrics is served\n".to_owned());
    }
    match Run::find(&args.run).and_then(|run| metrics(&run)) {
        Ok(text) => ("200 OK", text),
        Err(error) => ("503 Service Unavailable", format!("{error:#}\n")),
    }
}

/// The text of one scrape.
fn metrics(run: &Run) -> Result<String> {
    let page = Page::open(run)?;
    let mut out = String::new();
    let life = run.life();
    let name = label(&run.name);
    let mut single = |name: &str, help: &str, kind: &str, value: &str| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{value}");
    };
    single("spinquote_run_info", "Which run is shown.", "gauge", &format!("spinquote_run_info{{run=\"{name}\"}} 1"));
    let up = u8::from(matches!(life, Life::Live(_)));
    single("spinquote_up", "1 while the engine's heartbeat is fresh.", "gauge", &format!("spinquote_up {up}"));
    let help = |name: &str| {
        let slots = Slot::ALL.iter().map(|slot| (slot.name(), slot.help()));
        let each = InstrumentSlot::ALL.iter().map(|slot| (slot.name(), slot.help()));
        slots.chain(each).find(|(known, _)| *known == name).map_or("", |(_, help)| help)
    };
    // All samples of a metric stand together, so instruments are the inner loop.
    let words = page.reader.words();
    let first = page.symbols.first().map(|symbol| format!("{symbol}/"));
    // Single orders are no time series.
    for word in words.iter().filter(|word| !word.name.contains("/order.")) {
        let (plain, each) = match word.name.split_once('/') {
            None => (word.name.as_str(), false),
            Some((_, plain)) if first.as_ref().is_some_and(|first| word.name.starts_with(first)) => (plain, true),
            Some(_) => continue,
        };
        let (unit, kind) = match word.unit {
            Unit::Count => ("_total", "counter"),
            Unit::Time => ("_timestamp_seconds", "gauge"),
            Unit::Span => ("_seconds", "gauge"),
            Unit::Ticks => ("_ticks", "gauge"),
            Unit::Lots => ("_lots", "gauge"),
            Unit::Bytes | Unit::Gauge | Unit::Money => ("", "gauge"),
        };
        let place = if each { "instrument_" } else { "" };
        let metric = format!("spinquote_{place}{}{unit}", plain.replace('.', "_"));
        let _ = writeln!(out, "# HELP {metric} {}\n# TYPE {metric} {kind}", help(plain));
        let value = |value: i64| match word.unit {
            Unit::Time | Unit::Span => decimal_text(i128::from(value), 9),
            Unit::Money => decimal_text(i128::from(value), 8),
            _ => value.to_string(),
        };
        if each {
            for (at, symbol) in page.symbols.iter().enumerate() {
                let now = value(page.of(at, plain).unwrap_or(0));
                let _ = writeln!(out, "{metric}{{instrument=\"{}\"}} {now}", label(symbol));
            }
        } else {
            let _ = writeln!(out, "{metric} {}", value(page.reader.value(word)));
        }
    }
    if let Ok(histograms) = run.histograms() {
        let metric = "spinquote_latency_seconds";
        let _ = writeln!(out, "# HELP {metric} Latency per stage over the whole run.\n# TYPE {metric} summary");
        for stage in histograms.stages().iter().filter(|stage| stage.count > 0) {
            let seconds = |ns: u64| decimal_text(i128::from(ns), 9);
            let name = label(&stage.name);
            for (quantile, millionths) in
                [("0.5", 500_000), ("0.9", 900_000), ("0.99", 990_000), ("0.999", 999_000), ("1", 1_000_000)]
            {
                let value = seconds(stage.percentile(millionths).min(stage.max));
                let _ = writeln!(out, "{metric}{{stage=\"{name}\",quantile=\"{quantile}\"}} {value}");
            }
            let _ = writeln!(out, "{metric}_sum{{stage=\"{name}\"}} {}", seconds(stage.sum));
            let _ = writeln!(out, "{metric}_count{{stage=\"{name}\"}} {}", stage.count);
        }
    }
    Ok(out)
}

/// A label's value, escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
