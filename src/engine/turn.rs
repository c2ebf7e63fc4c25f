//! The engine thread's loop: sockets -> frames -> journal -> decode -> step -> gate-checked commands -> ring.
//! Never allocates after warm-up, never waits for another thread, never sends.

use super::clock::Clock;
use super::connection::{Connection, LinkFault};
use super::core::{Core, Stamps};
use super::memory;
use super::ring::{Answer, Control, Used};
use super::wait::Poller;
use crate::event::{Event, Link, LinkState, Operator};
use crate::instrument::InstrumentId;
use crate::unit::Nanos;
use crate::venue::binance::usdm::market::MarketDecoder;

/// Longest time between two timer events of the core.
const TIMER_INTERVAL: Nanos = Nanos::from_millis(5);
/// How long a successor connection runs beside the old one before the old one is given back (make before break).
const OVERLAP: Nanos = Nanos::from_secs(2);
/// Frames after which the warm-up is over: buffers, windows and caches have seen what a session looks like.
pub const WARM_UP_FRAMES: u64 = 2_000;
/// How long the last cancels may take at the end of a run.
const STOP_DEADLINE: Nanos = Nanos::from_secs(5);

/// One market-data connection's place. Two connections only during a planned reconnect.
pub struct Feed {
    instrument: InstrumentId,
    /// Depth comes here: its loss means that the book is stale at once.
    carries_book: bool,
    current: Option<Box<Connection>>,
    retiring: Option<(Box<Connection>, Nanos)>,
    ready: [bool; 2],
}

impl Feed {
    /// An empty place.
    #[must_use]
    pub fn new(instrument: InstrumentId, carries_book: bool) -> Self {
        Self { instrument, carries_book, current: None, retiring: None, ready: [false; 2] }
    }
}

/// The engine thread's state. Built by `wiring`, run by one thread.
pub struct Turn {
    /// The time source of every `now`.
    pub clock: Clock,
    /// The sockets.
    pub poller: Poller,
    /// One place per market-data connection.
    pub feeds: Vec<Feed>,
    /// Frames to events.
    pub decoder: MarketDecoder,
    /// Decision, journal and hand-over.
    pub core: Core,
    /// From the I/O thread.
    pub answers: rtrb::Consumer<Answer>,
    /// From the housekeeper.
    pub control: rtrb::Consumer<Control>,
    /// To the housekeeper.
    pub used: rtrb::Producer<Used>,
}

/// A token of the poll set: which feed, and whether it is the connection that retires.
const fn token(feed: usize, retiring: bool) -> mio::Token {
    mio::Token(feed * 2 + retiring as usize)
}

impl Turn {
    /// Runs until the core says that nothing is left to do, or cannot go on. Returns the core with its final state.
    pub fn run(mut self) -> Core {
        let mut idle = false;
        let mut timer_due = Nanos::ZERO;
        let mut stop_by: Option<Nanos> = None;
        let mut baseline = None;
        loop {
            idle = !self.once(idle);
            let now = self.clock.now();
            if now >= timer_due {
                timer_due = now + TIMER_INTERVAL;
                self.core.commands_from_page(now);
                self.core.step(&Event::Timer, Stamps::at(now));
                self.retire(now);
                self.core.publish(now);
            }
            if baseline.is_none() && self.core.frames() >= WARM_UP_FRAMES && self.core.maker.is_reconciled() {
                baseline = Some((memory::allocator_calls(), memory::page_faults()));
            }
            if let Some((calls, faults)) = baseline {
                self.core.warm(memory::allocator_calls() - calls, || memory::page_faults() - faults);
            }
            if self.core.is_stopping() {
                let deadline = *stop_by.get_or_insert(now + STOP_DEADLINE);
                if self.core.maker.is_quiet() || now > deadline {
                    break;
                }
            }
            if self.core.fault().is_some_and(super::core::EngineFault::is_final) {
                break;
            }
        }
        self.core.publish(self.clock.now());
        self.core
    }

    /// One pass over sockets and rings; true if there was anything.
    fn once(&mut self, idle: bool) -> bool {
        let feeds = &mut self.feeds;
        let polled = self.poller.turn(idle, |token| {
            if let Some(feed) = feeds.get_mut(token.0 / 2) {
                feed.ready[token.0 % 2] = true;
            }
        });
        if let Err(error) = polled {
            self.core.fail(super::core::EngineFault::Poll(error));
            return false;
        }
        let mut busy = false;
        for feed in 0..self.feeds.len() {
            for retiring in [false, true] {
                if self.feeds[feed].ready[usize::from(retiring)] {
                    busy |= self.read(feed, retiring);
                }
            }
        }
        while let Ok(answer) = self.answers.pop() {
            busy = true;
            self.answer(&answer);
        }
        while let Ok(control) = self.control.pop() {
            busy = true;
            self.take(control);
        }
        busy
    }

    /// Reads a feed until its socket is dry. After a short read the socket is dry: the next byte makes a new edge.
    fn read(&mut self, feed: usize, retiring: bool) -> bool {
        let Self { clock, feeds, decoder, core, .. } = self;
        let place = &mut feeds[feed];
        let link = if retiring { place.retiring.as_mut().map(|(link, _)| link) } else { place.current.as_mut() };
        let Some(link) = link else {
            place.ready[usize::from(retiring)] = false;
            return false;
        };
        let result = read_link(link, clock, decoder, core, feed);
        match result {
            Ok(more) => place.ready[usize::from(retiring)] = more,
            Err(fault) => {
                place.ready[usize::from(retiring)] = false;
                self.lost(feed, retiring, &fault);
            }
        }
        true
    }

    /// A market connection is dead: the book is no longer provable, so the core hears it before anything is repaired.
    fn lost(&mut self, feed: usize, retiring: bool, fault: &LinkFault) {
        core_note(&mut self.core, fault);
        let place = &mut self.feeds[feed];
        let gone = if retiring { place.retiring.take().map(|(link, _)| link) } else { place.current.take() };
        let Some(mut connection) = gone else { return };
        connection.deregister(self.poller.registry());
        if !retiring {
            // A successor that is already there simply goes on: `retiring` is the older one, so nothing is lost with it.
            let now = self.clock.now();
            let event =
                Event::Link { instrument: place.instrument, link: Link::Market, state: LinkState::Down };
            if place.carries_book {
                self.core.step(&event, Stamps::at(now));
            }
        }
        self.give_back(Used::Connection { feed, connection, reconnect: !retiring });
    }

    /// Hands a box to the housekeeper to be freed there. The ring is far larger than what can be under way; should it be full
    /// all the same, freeing here costs latency and loses nothing.
    fn give_back(&mut self, used: Used) {
        let _ = self.used.push(used);
    }

    fn retire(&mut self, now: Nanos) {
        for feed in 0..self.feeds.len() {
            if self.feeds[feed].retiring.as_ref().is_some_and(|(_, since)| now > *since + OVERLAP) {
                let Some((mut connection, _)) = self.feeds[feed].retiring.take() else { continue };
                connection.deregister(self.poller.registry());
                self.give_back(Used::Connection { feed, connection, reconnect: false });
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let now = self.clock.now();
        match *answer {
            Answer::Order(event) => self.core.step(&Event::Order(event), Stamps::at(now)),
            Answer::Account(event) => self.core.step(&Event::Account(event), Stamps::at(now)),
            Answer::Link(link, state) => {
                self.core.step(&Event::Link { instrument: InstrumentId(0), link, state }, Stamps::at(now));
            }
            Answer::Sent { client_id, generation, at } => self.core.sent(client_id, generation, at, now),
        }
    }

    fn take(&mut self, control: Control) {
        let now = self.clock.now();
        match control {
            Control::Market { feed, connection } => self.adopt(feed, connection, now),
            Control::Snapshot { instrument, mut body, len } => {
                self.core.snapshot(&mut self.decoder, instrument, &mut body, len, now);
                self.give_back(Used::Body(body));
            }
            Control::Account(event) => self.core.step(&Event::Account(event), Stamps::at(now)),
            Control::Order(event) => self.core.step(&Event::Order(event), Stamps::at(now)),
            Control::Operator(verb) => self.operator(verb, now),
            Control::External(instrument, price) => {
                self.core.step(&Event::External { instrument, price }, Stamps::at(now));
            }
        }
    }

    fn operator(&mut self, verb: Operator, now: Nanos) {
        self.core.operator(verb, now);
    }

    fn adopt(&mut self, feed: usize, mut connection: Box<Connection>, now: Nanos) {
        let place = &mut self.feeds[feed];
        if let Some(mut old) = place.current.take() {
            // Re-registered under its new token so that its readiness is still heard while both run.
            old.deregister(self.poller.registry());
            if old.register(self.poller.registry(), token(feed, true)).is_ok() {
                place.retiring = Some((old, now));
                place.ready[1] = true;
            }
        }
        let fresh = place.retiring.is_none();
        if let Err(error) = connection.register(self.poller.registry(), token(feed, false)) {
            self.lost_before_use(feed, connection, error);
            return;
        }
        connection.heard_at = now;
        place.current = Some(connection);
        // Bytes may have come with the handshake: no edge will tell of them.
        place.ready[0] = true;
        if fresh && place.carries_book {
            let event = Event::Link { instrument: place.instrument, link: Link::Market, state: LinkState::Up };
            self.core.step(&event, Stamps::at(now));
        }
    }

    fn lost_before_use(&mut self, feed: usize, connection: Box<Connection>, error: std::io::Error) {
        core_note(&mut self.core, &LinkFault::Socket(error));
        self.give_back(Used::Connection { feed, connection, reconnect: true });
    }
}

fn core_note(core: &mut Core, fault: &LinkFault) {
    core.link_fault(fault);
}

/// Reads, opens and handles every whole frame; true if the socket may hold more.
fn read_link(
    link: &mut Connection,
    clock: &Clock,
    decoder: &mut MarketDecoder,
    core: &mut Core,
    feed: usize,
) -> Result<bool, LinkFault> {
    // Frames that were buffered before this read (behind a handshake) are handled first.
    let (read, full) = link.receive()?;
    let received_at = clock.now();
    if read > 0 {
        link.heard_at = received_at;
    }
    while let Some(range) = link.next()? {
        let len = range.len();
        let document = link.inbound.with_spare(range);
        core.frame(decoder, feed, document, len, received_at, clock);
    }
    if link.unsent() {
        link.flush()?;
    }
    Ok(full)
}
