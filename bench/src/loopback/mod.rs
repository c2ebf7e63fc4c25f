//! Tick-to-order over sockets with TLS: a frame written by the peer to its orders' bytes read by the peer, beside a ping-pong of the same
//! bytes over bare TCP between the same cores.
//!
//! | file | end of the wire |
//! |---|---|
//! | `peer` | plays, stamps, answers |
//! | `reactor` | the engine's own threads, or the echo |
//! | `script` | what is played and what must come back |
//!
//! Both ends run in one process ([`run`]) or in two programs on two hosts (`spinquote-peer`, `spinquote-reactor`).

pub mod peer;
pub mod reactor;
pub mod script;

use crate::frames::Session;
use crate::measure::{Bar, Report, Row, median, percentile, values};
use peer::{Peer, Window};
use reactor::{Inside, Reactor};
use spinquote::config::engine::Wait;
use spinquote::unit::Nanos;
use spinquote::wire::tls;
use std::fmt::{Display, Formatter, Write as _};
use std::io;
use std::net::TcpListener;
use std::str::FromStr;

/// Ways from frames to orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// An echo of the same bytes.
    PingPong,
    /// The same echo with the threads of an engine: one reads, a ring hands over, the other writes. No TLS, no WebSocket, no work: what
    /// the split into two threads costs on these cores before anything is done.
    Relay,
    /// The engine as it runs: journal, histograms, stamps, full risk.
    Full,
    /// The same without the engine thread's stamps per stage.
    Unstamped,
    /// An engine thread that remembers nothing; decision and full risk as ever.
    Bare,
}

impl Lane {
    /// In the order in which a round runs them.
    pub const ALL: [Self; 5] = [Self::PingPong, Self::Relay, Self::Full, Self::Unstamped, Self::Bare];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PingPong => "pingpong",
            Self::Relay => "relay",
            Self::Full => "full",
            Self::Unstamped => "unstamped",
            Self::Bare => "bare",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::PingPong => "raw TCP ping-pong",
            Self::Relay => "raw TCP relay: reader, ring, writer",
            Self::Full => "engine, journal and histograms on",
            Self::Unstamped => "engine, journal on, no stamps per stage",
            Self::Bare => "engine thread remembers nothing",
        }
    }
}

/// How a window is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Quotes a side; a change of price causes twice as many orders.
    pub levels: u8,
    /// Frames a second: they are due at equal intervals, whatever became of the ones before.
    pub rate: u32,
    /// Frames.
    pub steps: usize,
}

impl Plan {
    /// When the frame of that number is due, from the start.
    #[must_use]
    pub fn due(self, step: usize) -> Nanos {
        Nanos(step as i64 * 1_000_000_000 / i64::from(self.rate.max(1)))
    }

    /// Frames at the beginning that are not reported: caches, pages and predictors are cold.
    #[must_use]
    pub const fn warm_up(self) -> usize {
        self.steps / 4
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "levels={}&rate={}&steps={}", self.levels, self.rate, self.steps)
    }
}

impl FromStr for Plan {
    type Err = io::Error;
    fn from_str(text: &str) -> io::Result<Self> {
        let mut plan = Self::default();
        for pair in text.trim().split('&') {
            let parsed = match pair.split_once('=') {
                Some(("levels", value)) => value.parse().map(|value| plan.levels = value),
                Some(("rate", value)) => value.parse().map(|value| plan.rate = value),
                Some(("steps", value)) => value.parse().map(|value| plan.steps = value),
                _ => return Err(io::Error::other(format!("{text}: want levels=N&rate=N&steps=N"))),
            };
            parsed.map_err(|error| io::Error::other(format!("{pair}: {error}")))?;
        }
        Ok(plan)
    }
}

/// How the threads of the engine's end wait, and where they run.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// As `threads.wait` of the engine file.
    pub wait: Wait,
    /// As `market.poll = "direct"`.
    pub direct: bool,
    /// The engine thread's, and the echo's.
    pub engine_core: Option<usize>,
    /// The I/O thread's.
    pub io_core: Option<usize>,
}

impl Layout {
    /// For this host: a core for each spinning thread where there are enough, else the I/O thread shares the peer's core and both
    /// yield it. The second value is the peer's core.
    #[must_use]
    pub fn of_host() -> (Self, Option<usize>) {
        let wide = std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 4);
        let wait = if wide { Wait::Spin } else { Wait::Yield };
        let layout = Self { wait, direct: true, engine_core: Some(1), io_core: Some(if wide { 2 } else { 0 }) };
        (layout, Some(if wide { 3 } else { 0 }))
    }

    /// In one line, with the peer's core.
    #[must_use]
    pub fn text(&self, peer_core: Option<usize>) -> String {
        let core = |core: Option<usize>| core.map_or("any core".to_owned(), |core| format!("core {core}"));
        let wait = match self.wait {
            Wait::Spin => "spin",
            Wait::Yield => "yield",
            Wait::Park => "park",
        };
        format!(
            "wait {wait}, {} reads; engine and echo on {}, I/O on {}, peer on {}",
            if self.direct { "direct" } else { "polled" },
            core(self.engine_core),
            core(self.io_core),
            core(peer_core)
        )
    }
}

/// What a user can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// One for each count of levels and each rate.
    pub plans: Vec<Plan>,
    /// What takes part in every round.
    pub lanes: Vec<Lane>,
    /// Turns of every lane.
    pub rounds: usize,
    /// The engine's end.
    pub layout: Layout,
    /// The peer's core.
    pub peer_core: Option<usize>,
    /// As [`Reactor::on_engine`].
    pub on_engine: fn(),
}

impl Options {
    /// Rounds, frames a window, rates and levels of a whole run.
    const ROUNDS: usize = 5;
    const STEPS: usize = 2_000;
    const RATES: [u32; 2] = [1_000, 4_000];
    const LEVELS: [u8; 2] = [1, 5];

    /// From the words of a command line; what is not said is as in a whole run on this host.
    ///
    /// # Errors
    /// A value that is none.
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        fn list<T: FromStr + Copy>(arguments: &[String], name: &str, default: &[T]) -> anyhow::Result<Vec<T>> {
            let parse = |text: &str| text.parse().map_err(|_| anyhow::anyhow!("{name} {text}: not a number in range"));
            let given: Vec<T> = values(arguments, name).map(parse).collect::<anyhow::Result<_>>()?;
            Ok(if given.is_empty() { default.to_vec() } else { given })
        }
        let (mut layout, mut peer_core) = Layout::of_host();
        match values(arguments, "--wait").next() {
            None => {}
            Some("spin") => layout.wait = Wait::Spin,
            Some("yield") => layout.wait = Wait::Yield,
            Some("park") => layout.wait = Wait::Park,
            Some(other) => anyhow::bail!("--wait {other}: want spin, yield or park"),
        }
        match values(arguments, "--poll").next() {
            None | Some("direct") => {}
            Some("poll") => layout.direct = false,
            Some(other) => anyhow::bail!("--poll {other}: want direct or poll"),
        }
        if let Some(cores) = values(arguments, "--cores").next() {
            let numbers: Vec<Option<usize>> = cores.split(',').map(|core| core.parse().ok()).collect();
            let [peer, engine, io] = numbers[..] else {
                anyhow::bail!("--cores {cores}: want PEER,ENGINE,IO (- for any)")
            };
            (peer_core, layout.engine_core, layout.io_core) = (peer, engine, io);
        }
        let steps = list(arguments, "--steps", &[Self::STEPS])?[0];
        let (rates, levels) = (list(arguments, "--rate", &Self::RATES)?, list(arguments, "--levels", &Self::LEVELS)?);
        let plans =
            levels.iter().flat_map(|&levels| rates.iter().map(move |&rate| Plan { levels, rate, steps })).collect();
        Ok(Self {
            plans,
            lanes: Lane::ALL.into(),
            rounds: list(arguments, "--rounds", &[Self::ROUNDS])?[0],
            layout,
            peer_core,
            on_engine: || {},
        })
    }
}

/// Everything that a session of windows found.
#[derive(Default)]
pub struct Found {
    /// As the peer saw them.
    pub windows: Vec<Window>,
    /// As the engine counted them, for the lanes that do.
    pub inside: Vec<(Lane, Plan, Inside)>,
}

/// Runs every lane of every plan in turns, both ends in this process.
///
/// # Errors
/// A socket fails, or an end does not do its part.
pub fn run(session: &Session, options: &Options) -> anyhow::Result<Found> {
    let &Options { ref plans, ref lanes, rounds, layout, peer_core: core, .. } = options;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (certificate, key) = tls::self_signed(&["127.0.0.1"])?;
    let config = tls::server_config(certificate.as_bytes(), key.as_bytes())?;
    let instrument = session.instrument.clone();
    let reactor = Reactor {
        peer: listener.local_addr()?.to_string(),
        certificate,
        layout,
        instrument,
        on_engine: options.on_engine,
    };
    let peer = Peer { session, wait: layout.wait, core };
    std::thread::scope(|scope| {
        let peer = scope.spawn(|| peer.serve(&listener, &config));
        let inside = reactor.rounds(plans, lanes, rounds);
        let ended = reactor.end();
        let windows = peer.join().map_err(|_| anyhow::anyhow!("the peer panicked"))??;
        ended?;
        Ok(Found { windows, inside: inside? })
    })
}

impl Reactor {
    /// Takes part in these lanes of every plan, in turns and in rotating order.
    ///
    /// # Errors
    /// As [`Reactor::window`].
    pub fn rounds(&self, plans: &[Plan], lanes: &[Lane], rounds: usize) -> anyhow::Result<Vec<(Lane, Plan, Inside)>> {
        let mut all = Vec::new();
        for &plan in plans {
            for round in 0..rounds {
                for turn in 0..lanes.len() {
                    let lane = lanes[(round + turn) % lanes.len()];
                    if let Some(inside) = self.window(lane, plan)? {
                        all.push((lane, plan, inside));
                    }
                }
            }
        }
        Ok(all)
    }
}

const PERCENTILES: [(f64, &str); 5] = [(50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9"), (100.0, "max")];
/// p50 of the ping-pong of the same bytes, at most so many times.
const BAR: Bar = Bar::Within(1.5);

fn plans_of(windows: &[Window]) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    windows.iter().for_each(|window| {
        if !plans.contains(&window.plan) {
            plans.push(window.plan);
        }
    });
    plans
}

/// The windows as rows. A value is the median of the windows' percentiles, a ratio the median of the rounds' ratios.
pub fn rows(windows: &[Window], report: &mut Report) {
    for plan in plans_of(windows) {
        let of = |lane: &str| -> Vec<&Window> {
            windows
                .iter()
                .filter(|window| window.plan == plan && window.lane == lane && !window.intended.is_empty())
                .collect()
        };
        let title = format!("wire to wire, {} orders a frame, {} frames/s", 2 * plan.levels, plan.rate);
        let pairs = [
            (Lane::Full, Lane::PingPong),
            (Lane::Full, Lane::Relay),
            (Lane::Relay, Lane::PingPong),
            (Lane::Unstamped, Lane::PingPong),
            (Lane::Bare, Lane::PingPong),
        ];
        for (at, (lane, beside)) in pairs.into_iter().enumerate() {
            let (ours, theirs) = (of(lane.name()), of(beside.name()));
            let checksum = ours.first().map_or(0, |window| window.checksum);
            for (percent, name) in PERCENTILES {
                if at > 0 && percent > 50.0 {
                    continue;
                }
                let of_each = |windows: &[&Window]| -> Vec<f64> {
                    windows.iter().map(|window| percentile(window.intended.clone(), percent)).collect()
                };
                let (value, peer_value) = (of_each(&ours), of_each(&theirs));
                if value.is_empty() || peer_value.is_empty() {
                    continue;
                }
                let ratios = value.iter().zip(&peer_value).map(|(ours, peer)| peer / ours).collect();
                report.rows.push(Row {
                    name: format!("{title}, {name}: {}", lane.title()),
                    unit: "ns",
                    value: median(value),
                    peer: beside.title().into(),
                    peer_value: median(peer_value),
                    ratio: median(ratios),
                    bar: (at == 0 && percent <= 50.0).then_some(BAR),
                    checksum,
                });
            }
        }
        let ours: Vec<&Window> = of(Lane::Full.name());
        let sum = |count: fn(&Window) -> usize| ours.iter().map(|window| count(window)).sum::<usize>() as f64;
        if sum(|window| window.several) > 0.0 {
            let frames = sum(|window| window.intended.len());
            report.rows.push(Row {
                name: format!("{title}: TLS records of the orders of one frame, mean"),
                unit: "records",
                value: records_mean(&ours),
                peer: "one for each order".into(),
                peer_value: sum(|window| window.orders) / frames,
                ratio: sum(|window| window.orders) / frames / records_mean(&ours),
                bar: None,
                checksum: ours.first().map_or(0, |window| window.checksum),
            });
        }
    }
}

fn records_mean(windows: &[&Window]) -> f64 {
    let sum = |count: fn(&Window) -> usize| windows.iter().map(|window| count(window)).sum::<usize>() as f64;
    sum(|window| window.records) / sum(|window| window.intended.len())
}

/// What the windows held and where the engine's time went, for people.
#[must_use]
pub fn notes(found: &Found) -> String {
    let mut text = String::new();
    for plan in plans_of(&found.windows) {
        for lane in Lane::ALL {
            let of: Vec<&Window> =
                found.windows.iter().filter(|window| window.plan == plan && window.lane == lane.name()).collect();
            let sum = |count: fn(&Window) -> usize| of.iter().map(|window| count(window)).sum::<usize>();
            let from_write = of.iter().filter(|window| !window.written.is_empty());
            let from_write: Vec<f64> = from_write.map(|window| percentile(window.written.clone(), 50.0)).collect();
            if from_write.is_empty() {
                continue;
            }
            let _ = write!(
                text,
                "{plan}, {}: {} frames that send, {} overtaken, p50 from the write {:.0} ns",
                lane.name(),
                sum(|window| window.intended.len()),
                sum(|window| window.overtaken),
                median(from_write)
            );
            if sum(|window| window.several) > 0 {
                let (whole, several) = (sum(|window| window.whole), sum(|window| window.several));
                let _ = write!(text, "; all orders of a frame in one record: {whole} of {several} frames");
            }
            text.push('\n');
        }
    }
    text + &inside_notes(&found.inside)
}

/// Where the engine's time went, p50 of each stage in ns, and how many requests left in how many writes.
#[must_use]
pub fn inside_notes(inside: &[(Lane, Plan, Inside)]) -> String {
    let mut text = String::new();
    for (at, (lane, plan, first)) in inside.iter().enumerate() {
        let same = |(of_lane, of_plan, _): &&(Lane, Plan, Inside)| (of_lane, of_plan) == (lane, plan);
        if inside[..at].iter().any(|one| same(&one)) {
            continue;
        }
        let all: Vec<&Inside> = inside.iter().filter(same).map(|(.., inside)| inside).collect();
        let sum = |count: fn(&Inside) -> i64| all.iter().map(|inside| count(inside)).sum::<i64>();
        let (requests, writes) = (sum(|of| of.commands), sum(|of| of.writes));
        let _ = write!(text, "{plan}, {}: {requests} requests in {writes} writes; stages, p50 ns:", lane.name());
        for (number, stage) in first.stages.iter().enumerate() {
            let mut merged = stage.clone();
            all[1..].iter().for_each(|inside| merged.merge(&inside.stages[number]));
            if merged.count > 0 && merged.name != "feed_age" {
                let _ = write!(text, " {} {}", merged.name, merged.percentile(500_000));
            }
        }
        text.push('\n');
    }
    text
}
