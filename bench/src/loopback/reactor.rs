//! The engine's end of the loopback rig: connects to the peer and reacts with the engine's own threads. Measures nothing but what
//! the engine's own histograms say of its stages.

use super::peer::write_all;
use super::{Lane, Layout, Plan};
use crate::quoter::{account, maker, up};
use base64::Engine as _;
use crossbeam::channel::{Receiver, bounded};
use spinquote::config::engine::Wait;
use spinquote::engine::clock::Clock;
use spinquote::engine::connection::{Connection, Endpoint};
use spinquote::engine::core::{Core, CoreParts};
use spinquote::engine::errand::{Delivery, ERRANDS_CAPACITY, Errand};
use spinquote::engine::housekeeper::PUBLIC_FEED;
use spinquote::engine::memory::FaultWatch;
use spinquote::engine::pin;
use spinquote::engine::place::{Pass, Place, at_token};
use spinquote::engine::rest::Budget;
use spinquote::engine::ring::{
    ANSWERS_CAPACITY, Answer, CONTROL_CAPACITY, Control, ORDERS_CAPACITY, OrderSink, Outgoing, Used,
};
use spinquote::engine::sender::{Measured, Sender};
use spinquote::engine::settings::ReloadRequest;
use spinquote::engine::turn::{Feed, Turn};
use spinquote::engine::wait::{Poller, WakeHandle};
use spinquote::event::{CommandKind, Event, Link};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::command_page::CommandWatch;
use spinquote::journal::counters::{CounterReader, CounterWriter};
use spinquote::journal::histogram::{HistogramReader, Snapshot, Stage, StageWriters};
use spinquote::journal::record::Origin;
use spinquote::journal::{self, ClockSource, JournalSettings, RunDir, command_page, counters, histogram};
use spinquote::maker::{Maker, Output};
use spinquote::unit::Nanos;
use spinquote::venue::binance::usdm::account::PrivateDecoder;
use spinquote::venue::binance::usdm::client_id::Prefix;
use spinquote::venue::binance::usdm::limits::{Limits, Quotas};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::binance::usdm::order::OrderEncoder;
use spinquote::venue::binance::usdm::sign::{Credentials, KeyKind, Signer};
use spinquote::venue::codec::MarketMessage;
use spinquote::wire::buf::SPARE;
use spinquote::wire::tls::{self, Roots};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ID: InstrumentId = InstrumentId(0);
const RUN: u32 = 1;
/// Idle passes between two looks at the clock-driven things, and with direct reads between two polls, as in `engine::turn`.
const PASSES: u32 = 64;
const TIMER: Nanos = Nanos::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where the peer is and how to react to it.
pub struct Reactor {
    /// `host:port`.
    pub peer: String,
    /// The certificate to trust, PEM.
    pub certificate: String,
    /// Threads.
    pub layout: Layout,
    /// What is traded.
    pub instrument: Instrument,
    /// Called on the engine thread before its loop begins: for those who watch it.
    pub on_engine: fn(),
}

/// What the engine itself counted in a window.
pub struct Inside {
    /// Its stages.
    pub stages: Vec<Snapshot>,
    /// Socket writes of the order entry.
    pub writes: i64,
    /// Requests in them.
    pub commands: i64,
}

/// An order entry with a session log-on, so that orders are not signed one by one; the key is made up.
///
/// # Panics
/// Never: the key is well formed.
#[must_use]
pub fn encoder() -> OrderEncoder {
    let der: Vec<u8> =
        [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20].into_iter().chain([7; 32]).collect();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let secret = format!("-----BEGIN {0}-----\n{body}\n-----END {0}-----\n", "PRIVATE KEY");
    let credentials = Credentials { api_key: "K".into(), secret: secret.into(), kind: KeyKind::Ed25519 };
    let signer = Signer::new(&credentials).expect("a key");
    OrderEncoder::new(prefix(), false, Nanos::from_secs(5), signer)
}

fn prefix() -> Prefix {
    Prefix::new("sq").expect("a prefix")
}

impl Reactor {
    /// Takes part in one window; what the engine counted, if one took part.
    ///
    /// # Errors
    /// The peer cannot be reached or goes away before the end.
    pub fn window(&self, lane: Lane, plan: Plan) -> anyhow::Result<Option<Inside>> {
        match lane {
            Lane::PingPong | Lane::Relay => self.echo(lane, plan).map(|()| None).map_err(Into::into),
            Lane::Full => self.engine(lane, plan, true).map(Some),
            Lane::Unstamped => self.engine(lane, plan, false).map(Some),
            Lane::Bare => self.bare(plan).map(|()| None),
        }
    }

    /// Tells the peer that there are no more windows.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn end(&self) -> io::Result<()> {
        TcpStream::connect(&self.peer)?.write_all(b"E")
    }

    fn open(&self, path: &str) -> anyhow::Result<Box<Connection>> {
        let tls = tls::client_config(Roots::Pem(self.certificate.as_bytes()))?;
        let url = format!("wss://{}/{path}", self.peer);
        Ok(Box::new(Connection::open(&Endpoint { url, tls, timeout: TIMEOUT })?))
    }

    /// Both connections, and the snapshot that the market one begins with.
    fn connect(&self, lane: Lane, plan: Plan) -> anyhow::Result<(Box<Connection>, Box<Connection>, Vec<u8>)> {
        let mut market = self.open(&format!("{}?{plan}", lane.name()))?;
        let snapshot = loop {
            if let Some(range) = market.next_message()? {
                break market.inbound.bytes(range).to_vec();
            }
            market.receive()?;
        };
        Ok((market, self.open("order")?, snapshot))
    }

    /// Everything that both engine lanes share, connected to the peer.
    fn desk(&self, lane: Lane, plan: Plan) -> anyhow::Result<Desk> {
        let folder = tempfile::tempdir()?;
        let run = RunDir::new(folder.path());
        let clock = Clock::new();
        let [counters, sender_counters, _] = counters::create(&run.counters(), &["BTCUSDT"])?;
        let mut stages = histogram::create(&run.histograms())?;
        let [watch, sender_watch] = command_page::create(&run.command())?;
        let (engine, io) = (Poller::new(self.layout.wait)?, Poller::new(self.layout.wait)?);
        let (engine_wake, io_wake) = (engine.wake_handle(), io.wake_handle());
        let (orders, orders_out) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
        let (answers_in, answers) = rtrb::RingBuffer::new(ANSWERS_CAPACITY);
        let (market, entry, mut snapshot) = self.connect(lane, plan)?;
        let snapshot_len = snapshot.len();
        snapshot.resize(snapshot_len + SPARE, 0);
        let (deliveries_in, deliveries) = bounded(ERRANDS_CAPACITY);
        deliveries_in.send(Delivery::Connection(Link::OrderEntry, entry))?;
        let (errands_in, errands) = bounded(ERRANDS_CAPACITY);
        let sender = Sender {
            clock: clock.clone(),
            poller: io,
            instruments: vec![self.instrument.clone()],
            prefix: prefix(),
            orders: orders_out,
            answers: answers_in,
            engine_wake: engine_wake.clone(),
            deliveries,
            errands: errands_in,
            rest_orders: bounded(ERRANDS_CAPACITY).0,
            encoder: encoder(),
            decoder: PrivateDecoder::new(std::slice::from_ref(&self.instrument), prefix()),
            limits: Limits::new(Quotas { weight_1m: u32::MAX, orders_10s: u32::MAX, orders_1m: u32::MAX }),
            budget: Arc::new(Budget::default()),
            offset: Arc::default(),
            watch: sender_watch,
            counters: sender_counters,
            page: CounterReader::open(&run.counters())?,
            breakage: Arc::default(),
            measured: Measured {
                ring_wait: stages.take(Stage::RingWait),
                encode: stages.take(Stage::Encode),
                write: stages.take(Stage::Write),
                tick_to_wire: stages.take(Stage::TickToWire),
                round_trip: stages.take(Stage::OrderRoundTrip),
            },
            reload: ReloadRequest::default(),
            rest_only: false,
        };
        let orders = OrderSink::new(orders);
        Ok(Desk {
            run,
            clock,
            counters,
            stages,
            watch,
            engine,
            engine_wake,
            io_wake,
            orders,
            answers,
            market,
            snapshot,
            snapshot_len,
            errands,
            sender,
            _folder: folder,
        })
    }

    /// The engine thread and the I/O thread as a run has them.
    fn engine(&self, lane: Lane, plan: Plan, stamps: bool) -> anyhow::Result<Inside> {
        let mut desk = self.desk(lane, plan)?;
        let clock = desk.clock.clone();
        let mut settings = JournalSettings::new(desk.run.clone(), RUN, ClockSource::Counter);
        settings.lock = false;
        let (journal, mut segments) = journal::start(settings, clock.now())?;
        let (mut control_in, control) = rtrb::RingBuffer::new(CONTROL_CAPACITY);
        let (used, mut used_out) = rtrb::RingBuffer::new(CONTROL_CAPACITY);
        let mut core = Core::new(CoreParts {
            maker: maker(&self.instrument, plan.levels),
            instruments: vec![self.instrument.clone()],
            journal,
            orders: desk.orders,
            io_wake: desk.io_wake,
            counters: desk.counters,
            stages: &mut desk.stages,
            watch: desk.watch,
            stamps,
        });
        core.step(&up(Link::Private), clock.now(), &clock);
        let origin = Origin { feed: PUBLIC_FEED as u16, instrument: ID };
        let stop = Arc::new(AtomicBool::new(false));
        let turn = Turn {
            clock: clock.clone(),
            poller: desk.engine,
            feeds: vec![Feed { origin, carries_book: true, place: Place::default() }],
            decoder: MarketDecoder::new(std::slice::from_ref(&self.instrument)),
            watched: Vec::new(),
            traded: 1,
            core,
            answers: desk.answers,
            control,
            used,
            run: RUN,
            direct: self.layout.direct,
            silence_max: Nanos::from_secs(60),
            passes: 0,
            faults: FaultWatch::default(),
            stop: Arc::clone(&stop),
            breakage: Arc::default(),
        };
        let (body, len) = (desk.snapshot, desk.snapshot_len);
        let told = [
            Control::Market { feed: PUBLIC_FEED, connection: desk.market },
            Control::Snapshot { instrument: ID, body: body.into_boxed_slice(), len },
        ];
        for control in told {
            anyhow::ensure!(control_in.push(control).is_ok(), "the control ring is full");
        }
        let Layout { engine_core, io_core, .. } = self.layout;
        let (sender, engine_wake, errands, on_engine) = (desk.sender, desk.engine_wake, desk.errands, self.on_engine);
        let finished = std::thread::scope(|scope| {
            scope.spawn(move || on_core(io_core, || sender.run()));
            let engine = scope.spawn(move || {
                on_core(engine_core, || {
                    on_engine();
                    turn.run()
                })
            });
            // What the housekeeper does for these two.
            while !engine.is_finished() {
                segments.housekeep(clock.now())?;
                // The log-on of the order entry is followed by a look at the account.
                for _ in errands.try_iter().filter(|errand| matches!(errand, Errand::Reconcile(_))) {
                    for fact in account().map(Control::Account) {
                        anyhow::ensure!(control_in.push(fact).is_ok(), "the control ring is full");
                    }
                    engine_wake.wake();
                }
                while let Ok(used) = used_out.pop() {
                    // The peer closes its stream when it has played everything.
                    if matches!(used, Used::Connection { reconnect: true, .. }) {
                        stop.store(true, Ordering::Release);
                        engine_wake.wake();
                    }
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            engine.join().map_err(|_| anyhow::anyhow!("the engine thread panicked"))
        })?;
        anyhow::ensure!(finished.fault.is_none(), "{:?}", finished.fault);
        anyhow::ensure!(finished.decode_errors == 0, "{} frames were not understood", finished.decode_errors);
        let counted = CounterReader::open(&desk.run.counters())?;
        let count = |name: &str| counted.named(name).unwrap_or(0);
        Ok(Inside {
            stages: HistogramReader::open(&desk.run.histograms())?.stages(),
            writes: count("sender.writes"),
            commands: count("sender.orders_new") + count("sender.orders_amend") + count("sender.orders_cancel"),
        })
    }

    /// The same connections, decoder, maker, ring and I/O thread; the engine thread remembers nothing.
    fn bare(&self, plan: Plan) -> anyhow::Result<()> {
        let mut desk = self.desk(Lane::Bare, plan)?;
        let mut bare = Bare {
            maker: maker(&self.instrument, plan.levels),
            out: Output::default(),
            decoder: MarketDecoder::new(std::slice::from_ref(&self.instrument)),
            orders: desk.orders,
            io_wake: desk.io_wake,
            clock: desk.clock,
        };
        [Link::Market, Link::Private].map(up).iter().for_each(|event| bare.step(event));
        let snapshot = bare.decoder.decode_snapshot(ID, &mut desk.snapshot, desk.snapshot_len)?;
        bare.maker.step(bare.clock.now(), &Event::Snapshot(snapshot), &mut bare.out);
        let Layout { engine_core, io_core, direct, .. } = self.layout;
        let (sender, market, poller, answers) = (desk.sender, desk.market, desk.engine, desk.answers);
        std::thread::scope(|scope| {
            scope.spawn(move || on_core(io_core, || sender.run()));
            let engine = scope.spawn(move || on_core(engine_core, || bare.run(market, poller, answers, direct)));
            engine.join().map_err(|_| anyhow::anyhow!("the engine thread panicked"))?
        })
    }

    /// Sends back as many bytes as each frame asks for, waiting as the engine thread does: itself, or by a thread where the I/O thread
    /// would be.
    fn echo(&self, lane: Lane, plan: Plan) -> io::Result<()> {
        let mut stream = TcpStream::connect(&self.peer)?;
        stream.set_nodelay(true)?;
        stream.write_all(format!("P{}?{plan}\n", lane.name()).as_bytes())?;
        let Layout { wait, engine_core, io_core, .. } = self.layout;
        stream.set_nonblocking(wait != Wait::Park)?;
        let mut out = stream.try_clone()?;
        let reply = vec![b'y'; 1 << 17];
        std::thread::scope(|scope| {
            let echo = if lane == Lane::Relay {
                let (mut wants_in, mut wants) = rtrb::RingBuffer::<usize>::new(ORDERS_CAPACITY);
                scope.spawn(move || {
                    on_core(io_core, || {
                        while !wants.is_abandoned() {
                            match wants.pop() {
                                // A peer that is gone shows at the echo's next read.
                                Ok(want) => drop(write_all(&mut out, &reply[..want])),
                                Err(_) if wait == Wait::Spin => std::hint::spin_loop(),
                                Err(_) => std::thread::yield_now(),
                            }
                        }
                    });
                });
                let full = |_| io::Error::other("the relay's ring is full");
                scope.spawn(move || {
                    on_core(engine_core, || echo(stream, wait, |want| wants_in.push(want).map_err(full)))
                })
            } else {
                let answer = move |want: usize| write_all(&mut out, &reply[..want]);
                scope.spawn(move || on_core(engine_core, || echo(stream, wait, answer)))
            };
            echo.join().map_err(|_| io::Error::other("the echo panicked"))?
        })
    }
}

/// What both engine lanes are made of.
struct Desk {
    run: RunDir,
    clock: Clock,
    counters: CounterWriter,
    stages: StageWriters,
    watch: CommandWatch,
    engine: Poller,
    engine_wake: WakeHandle,
    io_wake: WakeHandle,
    orders: OrderSink,
    answers: rtrb::Consumer<Answer>,
    market: Box<Connection>,
    /// With [`SPARE`] bytes behind the document.
    snapshot: Vec<u8>,
    snapshot_len: usize,
    errands: Receiver<Errand>,
    sender: Sender,
    _folder: tempfile::TempDir,
}

fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> T) -> T {
    // That the core is not isolated is said by the host's line; that it does not exist shows in the numbers.
    let _ = pin::pin("rig", core);
    work()
}

/// Reads frames; `answer` gets how many bytes each wants back.
fn echo(mut stream: TcpStream, wait: Wait, mut answer: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
    let (mut buf, mut held, mut idle) = (vec![0_u8; 1 << 18], 0, 0);
    loop {
        match stream.read(&mut buf[held..]) {
            Ok(0) => return Ok(()),
            Ok(n) => (held, idle) = (held + n, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                idle += 1;
                if wait == Wait::Yield && idle % PASSES == 0 {
                    std::thread::yield_now();
                }
                continue;
            }
            // The peer goes when it has heard everything.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let Some(head) = buf[at..held].first_chunk::<8>() {
            let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes")) as usize;
            let (len, want) = (word(0), word(4));
            if at + len > held {
                break;
            }
            at += len;
            answer(want)?;
        }
        buf.copy_within(at..held, 0);
        held -= at;
    }
}

/// An engine thread that remembers nothing.
struct Bare {
    maker: Maker,
    out: Output,
    decoder: MarketDecoder,
    orders: OrderSink,
    io_wake: WakeHandle,
    clock: Clock,
}

impl Bare {
    fn step(&mut self, event: &Event<'_>) {
        let now = self.clock.now();
        self.maker.step(now, event, &mut self.out);
        self.hand_over(now, now);
    }

    fn hand_over(&mut self, received_at: Nanos, pushed_at: Nanos) {
        for &command in &self.out.commands {
            self.orders.push(Outgoing { command, received_at, pushed_at }).expect("a ring of this size");
        }
        if !self.out.commands.is_empty() {
            self.io_wake.wake();
        }
        if self.out.commands.iter().any(|command| command.kind == CommandKind::Reconcile) {
            account().into_iter().for_each(|fact| self.step(&Event::Account(fact)));
        }
    }

    /// Until the peer closes its stream.
    fn run(
        mut self,
        market: Box<Connection>,
        mut poller: Poller,
        mut answers: rtrb::Consumer<Answer>,
        direct: bool,
    ) -> anyhow::Result<()> {
        let mut place = Place::default();
        place.adopt(market, 0, poller.registry(), self.clock.now()).map_err(|(_, error)| error)?;
        let (mut idle, mut passes, mut timer_due) = (false, 0, Nanos::ZERO);
        loop {
            if direct && passes < PASSES {
                passes += 1;
                place.mark_ready(0, false);
            } else {
                passes = 0;
                poller.turn(idle, |token, ended| place.mark_ready(at_token(token).1, ended))?;
            }
            let pass = place.pass(0, poller.registry(), |link| {
                while let Some(range) = link.next_message()? {
                    let (now, len) = (self.clock.now(), range.len());
                    if let Ok(MarketMessage::Event(event)) = self.decoder.decode(link.inbound.with_spare(range), len) {
                        self.maker.step(now, &event, &mut self.out);
                        self.hand_over(now, now);
                    }
                }
                Ok(())
            });
            idle = match pass {
                Pass::Idle => true,
                Pass::Busy => false,
                Pass::Dead { .. } => return Ok(()),
            };
            while let Ok(answer) = answers.pop() {
                idle = false;
                match answer {
                    Answer::Order(event) => self.step(&Event::Order(event)),
                    Answer::Link(link, state) => self.step(&Event::Link { instrument: ID, link, state }),
                    Answer::Account(_) | Answer::Sent { .. } => {}
                }
            }
            let now = self.clock.now();
            if now >= timer_due {
                timer_due = now + TIMER;
                self.step(&Event::Timer);
            }
        }
    }
}
