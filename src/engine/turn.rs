//! The engine thread's loop: sockets and rings in, one step after the other. Never allocates after warm-up, never waits for another
//! thread, never sends.

use super::breakage::{Breakage, Part};
use super::clock::Clock;
use super::connection::LinkFault;
use super::core::{Core, EngineFault, Finished};
use super::housekeeper::PUBLIC_FEED;
use super::memory::{self, FaultWatch};
use super::place::{Pass, Place, at_token};
use super::ring::{Answer, Control, Used};
use super::wait::Poller;
use crate::event::{Event, Link, LinkState, Operator};
use crate::instrument::InstrumentId;
use crate::journal::record::Origin;
use crate::unit::Nanos;
use crate::venue::binance::WatchedDecoder;
use crate::venue::binance::usdm::market::MarketDecoder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest time between two timer events of the core.
const TIMER_INTERVAL: Nanos = Nanos::from_millis(5);
/// Frames after which the warm-up is over: buffers, windows and caches have seen what a session looks like.
pub const WARM_UP_FRAMES: u64 = 500;
/// How long the last cancels may take at the end of a run.
const STOP_DEADLINE: Nanos = Nanos::from_secs(5);

/// One market-data connection's place.
pub struct Feed {
    /// Number and instrument, as they stand before each journalled frame.
    pub origin: Origin,
    /// Depth comes here: its loss means that the book is stale at once.
    pub carries_book: bool,
    /// The connection.
    pub place: Place,
}

/// The engine thread's state. Built by `wiring`, run by one thread.
pub struct Turn {
    /// The time source of every `now`.
    pub clock: Clock,
    /// The sockets.
    pub poller: Poller,
    /// One per market-data connection.
    pub feeds: Vec<Feed>,
    /// Frames of the traded instruments to events.
    pub decoder: MarketDecoder,
    /// Frames of the watched ones to events; the number of the first is that of `traded`.
    pub watched: Vec<WatchedDecoder>,
    /// How many instruments are traded.
    pub traded: usize,
    /// Decision, journal and hand-over.
    pub core: Core,
    /// From the I/O thread.
    pub answers: rtrb::Consumer<Answer>,
    /// From the housekeeper.
    pub control: rtrb::Consumer<Control>,
    /// To the housekeeper.
    pub used: rtrb::Producer<Used>,
    /// The run's number.
    pub run: u32,
    /// Sockets are read without asking the poll first; it is asked now and then, for the sockets of the slow feeds.
    pub direct: bool,
    /// A feed that brings nothing for longer is replaced: its peer may have vanished without a word.
    pub silence_max: Nanos,
    /// Direct passes since the last poll; starts at 0.
    pub passes: u32,
    /// Asks for an orderly end of trading.
    pub stop: Arc<AtomicBool>,
    /// What a test breaks.
    pub breakage: Arc<Breakage>,
    /// This thread's page faults, which the housekeeper looks up.
    pub faults: FaultWatch,
}

/// With direct reads, passes between two polls.
const DIRECT_PASSES: u32 = 64;

impl Turn {
    /// Runs until nothing is left to do after a stop, or until it cannot go on.
    #[must_use]
    pub fn run(mut self) -> Finished {
        let mut idle = false;
        let mut timer_due = Nanos::ZERO;
        let mut stop_by: Option<Nanos> = None;
        let mut baseline = None;
        self.faults.begin();
        self.core.begin(self.run, self.feeds.len(), self.clock.now());
        while self.core.fault().is_none() {
            idle = !self.once(idle);
            self.core.turned(idle);
            let now = self.clock.now();
            if now >= timer_due {
                timer_due = now + TIMER_INTERVAL;
                self.breakage.obey(Part::Engine);
                self.look_at_the_others(now);
                self.core.commands_from_page(now, &self.clock);
                self.core.step(&Event::Timer, now, &self.clock);
                self.retire(now);
                let feeds_up = self.feeds.iter().filter(|feed| feed.place.is_connected()).count();
                self.core.publish(now, feeds_up);
                match baseline {
                    None if self.core.frames() >= WARM_UP_FRAMES => {
                        baseline = Some((memory::allocator_calls(), memory::page_faults()));
                    }
                    None => {}
                    Some((calls, faults)) => {
                        let since = self.faults.faults().saturating_sub(faults);
                        self.core.warm(memory::allocator_calls() - calls, since);
                    }
                }
            }
            if self.core.is_stopping() {
                let deadline = *stop_by.get_or_insert(now + STOP_DEADLINE);
                if self.core.maker.is_quiet() || now > deadline {
                    break;
                }
            }
        }
        if let Some((calls, faults)) = baseline {
            self.core.warm(memory::allocator_calls() - calls, memory::page_faults() - faults);
        }
        let now = self.clock.now();
        self.core.publish(now, 0);
        self.core.finish(now)
    }

    /// Without the I/O thread nothing can be sent or heard: that ends the run at once. Without the housekeeper nothing is repaired and
    /// the dead-man switch not refreshed: that ends it in order, as a stop does.
    fn look_at_the_others(&mut self, now: Nanos) {
        if self.answers.is_abandoned() && self.answers.is_empty() {
            self.core.fail(EngineFault::Alone, now);
        }
        if (self.stop.load(Ordering::Acquire) || self.control.is_abandoned()) && !self.core.is_stopping() {
            self.core.operator(Operator::Stop, now, &self.clock);
        }
    }

    /// One pass over sockets and rings; true if there was anything.
    fn once(&mut self, idle: bool) -> bool {
        if self.direct && self.passes < DIRECT_PASSES {
            self.passes += 1;
            self.feeds[PUBLIC_FEED].place.mark_ready(0, false);
        } else {
            self.passes = 0;
            self.poll(idle);
        }
        let mut busy = false;
        for feed in 0..self.feeds.len() {
            // A retiring connection first: what only it has comes before what both have, so the sequence is never broken.
            busy |= self.read(feed, 1) | self.read(feed, 0);
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

    fn poll(&mut self, idle: bool) {
        let feeds = &mut self.feeds;
        let polled = self.poller.turn(idle, |token, ended| {
            let (feed, which) = at_token(token);
            if let Some(feed) = feeds.get_mut(feed) {
                feed.place.mark_ready(which, ended);
            }
        });
        if let Err(error) = polled {
            self.core.fail(EngineFault::Poll(error), self.clock.now());
        }
    }

    /// Reads one connection of a feed and handles every whole frame.
    fn read(&mut self, number: usize, which: usize) -> bool {
        let Self { clock, poller, feeds, decoder, watched, traded, core, .. } = self;
        let Feed { origin, place, .. } = &mut feeds[number];
        let pass = place.pass(which, poller.registry(), |link| {
            let received_at = clock.now();
            while let Some(range) = link.next_message()? {
                let len = range.len();
                link.heard_at = received_at;
                let document = link.inbound.with_spare(range);
                match usize::from(origin.instrument.0).checked_sub(*traded) {
                    None => core.frame(decoder, *origin, document, len, received_at, clock),
                    Some(at) => core.frame(&mut watched[at], *origin, document, len, received_at, clock),
                }
            }
            Ok(())
        });
        match pass {
            Pass::Idle => false,
            Pass::Busy => true,
            Pass::Dead { connection, fault, in_use } => {
                self.core.link_lost(&fault);
                if in_use {
                    self.down(number);
                }
                self.give_back(Used::Connection { feed: number, connection, reconnect: in_use });
                true
            }
        }
    }

    /// A feed in use is dead: the core hears it before anything is repaired, because its book is no longer provable.
    fn down(&mut self, number: usize) {
        if self.feeds[number].carries_book {
            self.link(self.feeds[number].origin.instrument, Link::Market, LinkState::Down);
        }
    }

    fn link(&mut self, instrument: InstrumentId, link: Link, state: LinkState) {
        let now = self.clock.now();
        self.core.step(&Event::Link { instrument, link, state }, now, &self.clock);
    }

    /// Hands a box to the housekeeper to be freed there. The ring is far larger than what can be under way; should it be full
    /// all the same, freeing here costs latency and loses nothing.
    fn give_back(&mut self, used: Used) {
        let _ = self.used.push(used);
    }

    fn retire(&mut self, now: Nanos) {
        for feed in 0..self.feeds.len() {
            if let Some(connection) = self.feeds[feed].place.retired(self.poller.registry(), now) {
                self.give_back(Used::Connection { feed, connection, reconnect: false });
            }
            let heard_at = self.feeds[feed].place.current().map_or(now, |link| link.heard_at);
            if now - heard_at > self.silence_max
                && let Some(connection) = self.feeds[feed].place.take(self.poller.registry())
            {
                self.core.link_lost(&LinkFault::Silent);
                self.down(feed);
                self.give_back(Used::Connection { feed, connection, reconnect: true });
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let now = self.clock.now();
        match *answer {
            Answer::Order(event) => self.core.step(&Event::Order(event), now, &self.clock),
            Answer::Account(event) => self.core.step(&Event::Account(event), now, &self.clock),
            Answer::Link(link, state) => self.link(InstrumentId(0), link, state),
            Answer::Sent { client_id, generation, at } => self.core.sent(client_id, generation, at, now),
        }
    }

    fn take(&mut self, control: Control) {
        let now = self.clock.now();
        match control {
            Control::Market { feed, connection } => self.adopt(feed, connection, now),
            Control::Snapshot { instrument, mut body, len } => {
                match usize::from(instrument.0).checked_sub(self.traded) {
                    None => self.core.snapshot(&mut self.decoder, instrument, &mut body, len, &self.clock),
                    Some(at) => self.core.snapshot(&mut self.watched[at], instrument, &mut body, len, &self.clock),
                }
                self.give_back(Used::Body(body));
            }
            Control::Account(event) => self.core.step(&Event::Account(event), now, &self.clock),
            Control::Mark(mark) => self.core.step(&Event::Mark(mark), now, &self.clock),
            Control::Calibration(calibration) => self.core.calibrated(&calibration, now),
            Control::Order(event) => self.core.step(&Event::Order(event), now, &self.clock),
            Control::External(instrument, price) => {
                self.core.step(&Event::External { instrument, price }, now, &self.clock);
            }
            Control::Settings(mut hot) => {
                self.core.reconfigure(&mut hot, now, &self.clock);
                self.give_back(Used::Settings(hot));
            }
        }
    }

    fn adopt(&mut self, number: usize, connection: Box<super::connection::Connection>, now: Nanos) {
        let feed = &mut self.feeds[number];
        let fresh = !feed.place.is_connected();
        match feed.place.adopt(connection, number, self.poller.registry(), now) {
            Ok(over) => {
                if let Some(connection) = over {
                    self.give_back(Used::Connection { feed: number, connection, reconnect: false });
                }
                let Feed { origin, carries_book, .. } = self.feeds[number];
                if fresh && carries_book {
                    self.link(origin.instrument, Link::Market, LinkState::Up);
                }
            }
            Err((connection, error)) => {
                self.core.link_lost(&error.into());
                self.give_back(Used::Connection { feed: number, connection, reconnect: true });
            }
        }
    }
}
