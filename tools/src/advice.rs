//! What a person does next about a run that does not quote: for the first screen at night. Looks at the run's pages and at `/proc`; says only
//! what they show, and touches nothing.

use crate::decided::BLOCKS;
use crate::page::Page;
use crate::run::{Life, Run, now};
use crate::text;
use spinquote::instrument::InstrumentId;
use spinquote::unit::{Lots, Nanos};
use std::os::unix::fs::MetadataExt;

/// Whose process has the run's pages mapped for writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    /// It runs.
    Running(u32),
    /// It is stopped by a signal or a debugger.
    Stopped(u32),
    /// None, of those that can be seen.
    None {
        /// All can be seen.
        sure: bool,
    },
}

/// What is wrong and what to do, the most urgent first; empty while all is well.
pub fn of(run: &Run, page: &Page, life: Life) -> Vec<String> {
    let name = &run.name;
    match life {
        Life::Ended { reason: 0, .. } => Vec::new(),
        Life::Ended { .. } => {
            vec!["orders may be open: look at the venue; the next start finds and cancels them".to_owned()]
        }
        Life::Unborn => vec!["the run is being set up, or its start failed: its log says why".to_owned()],
        Life::Silent(_) => silent(run, page),
        Life::Live(_) if page.count("engine.killed") != 0 => {
            let held = held(run, page);
            let flatten = if held.is_empty() {
                "no position is held".to_owned()
            } else {
                format!("{held} stays: `sq ctl flatten {name}` closes it")
            };
            vec![
                format!("nothing is sent any more; {flatten}"),
                format!("why: `sq journal grep what=killed {name}`; re-arm: `sq ctl resume {name}`"),
            ]
        }
        Life::Live(_) if page.count("engine.paused") != 0 => blocks(page)
            .into_iter()
            .map(|block| match block {
                "ladder" => format!(
                    "an operator paused it (`sq journal dump --kind asked`); `sq ctl resume {name}` quotes again"
                ),
                block => format!("no quotes: {}", meaning(block)),
            })
            .collect(),
        Life::Live(_) => Vec::new(),
    }
}

/// The names of what stands in the way of any instrument's quotes.
pub fn blocks(page: &Page) -> Vec<&'static str> {
    let all = (0..page.symbols.len()).fold(0, |all, at| all | page.of(at, "blocks").unwrap_or(0));
    BLOCKS.iter().enumerate().filter(|(bit, _)| all >> bit & 1 == 1).map(|(_, name)| *name).collect()
}

/// What a block means, for a person.
pub fn meaning(block: &str) -> &'static str {
    match block {
        "book" => "the book is not in sync; a snapshot is on its way",
        "market" => "the market-data connection is down; it is being made anew",
        "stale" => "market data are older than risk.stale_after",
        "private" => "the private stream is down: fills could be missed",
        "entry" => "order entry is down",
        "reconcile" => "the venue is being asked for orders, positions and balances",
        "mismatch" => "our position and the venue's differ; the venue is being asked",
        "ladder" => "an operator or a kill",
        "stop" => "the run is ending",
        "flatten" => "the position is being closed",
        "clock" => "the venue's clock and ours are too far apart: look at `chronyc tracking`",
        "source" => "the second price source is silent or old",
        _ => "a reason of a later version",
    }
}

fn silent(run: &Run, page: &Page) -> Vec<String> {
    let name = &run.name;
    let held = held(run, page);
    let stays = if held.is_empty() { String::new() } else { format!("{held} is held; ") };
    let live: i64 = (0..page.symbols.len()).filter_map(|at| page.of(at, "orders_live")).sum();
    let switch = match page.count("sender.dead_man_at") {
        0 => "the dead-man switch is not armed: cancel them on the venue's page".to_owned(),
        at if at > now().0 => format!("the venue cancels them in {}", text::span(at - now().0)),
        at => format!("the venue should have cancelled them at {}", text::clock(Nanos(at))),
    };
    let orders =
        if live == 0 { "no order of ours was live".to_owned() } else { format!("{live} orders were live: {switch}") };
    match holder(run) {
        Holder::Running(pid) => vec![
            format!("its engine thread is stuck: `sq ctl cancel-all {name}`, `flatten` or `stop` work past it"),
            format!("{stays}{orders}; if nothing helps: kill -9 {pid}, then the venue's page"),
        ],
        Holder::Stopped(pid) => vec![
            format!(
                "process {pid} is stopped: kill -CONT {pid}; it withdraws, asks the venue what is true, and only then quotes"
            ),
            format!("{stays}{orders}"),
        ],
        Holder::None { sure } => {
            let seen =
                if sure { "no process has this run open" } else { "no process that can be seen has this run open" };
            vec![
                format!("{seen}: it was killed, or the host went down; nobody will take a command"),
                format!("{stays}{orders}; a new start finds and cancels what was left"),
            ]
        }
    }
}

/// What is held, as `SYMBOL QTY`; empty for nothing.
fn held(run: &Run, page: &Page) -> String {
    let mut all = Vec::new();
    for (at, symbol) in page.symbols.iter().enumerate() {
        let names = ["position", "long.position", "short.position"];
        let [net, long, short] = names.map(|name| page.of(at, name).unwrap_or(0));
        let each = if long == 0 && short == 0 { [net, 0] } else { [long, short] };
        for lots in each.into_iter().filter(|&lots| lots != 0) {
            all.push(format!("{symbol} {}", run.meta.qty_text(InstrumentId(at as u16), Lots(lots))));
        }
    }
    all.join(", ")
}

/// Nobody who can be seen has the run open for writing.
pub fn is_abandoned(run: &Run) -> bool {
    matches!(holder(run), Holder::None { .. })
}

/// Looks for a process that maps the counters page for writing, by inode: a path may look different from a container.
fn holder(run: &Run) -> Holder {
    let Ok(page) = std::fs::metadata(run.dir.counters()) else { return Holder::None { sure: false } };
    let inode = page.ino().to_string();
    // Only root sees the mappings of every process.
    let mut sure = std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let maps = match std::fs::read(entry.path().join("maps")) {
            Ok(maps) => maps,
            Err(error) => {
                sure &= error.kind() != std::io::ErrorKind::PermissionDenied;
                continue;
            }
        };
        if maps.split(|&byte| byte == b'\n').any(|line| writes(line, inode.as_bytes())) {
            return if is_stopped(pid) { Holder::Stopped(pid) } else { Holder::Running(pid) };
        }
    }
    Holder::None { sure }
}

/// A line of `maps` that maps this inode's counters page shared and writable.
fn writes(line: &[u8], inode: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let (_range, rights, _offset, _device, node) =
        (words.next(), words.next(), words.next(), words.next(), words.next());
    rights.is_some_and(|rights| rights.starts_with(b"rw-s")) && node == Some(inode) && line.ends_with(b"counters.sqc")
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may hold blanks and brackets of its own.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_writer_of_the_same_file_holds_it() {
        let line = |rights: &str, inode: &str, path: &str| {
            format!("7f0a-7f0b {rights} 00000000 fe:00 {inode}                       {path}").into_bytes()
        };
        assert!(writes(&line("rw-s", "4711", "/runs/a/counters.sqc"), b"4711"));
        assert!(!writes(&line("r--s", "4711", "/runs/a/counters.sqc"), b"4711"), "a reader");
        assert!(!writes(&line("rw-s", "4712", "/runs/b/counters.sqc"), b"4711"), "another run");
        assert!(!writes(&line("rw-s", "4711", "/runs/a/histograms.sqh"), b"4711") && !writes(b"", b"4711"));
    }

    #[test]
    fn every_block_has_a_meaning() {
        assert!(BLOCKS.iter().all(|block| meaning(block) != meaning("none of them")));
    }
}
