//! The I/O thread: takes commands from the ring, encodes, signs and sends them, and brings back what the venue says.
//! Never decides what to trade, never sends an order twice, never blocks on a call.

use super::breakage::{Breakage, Part};
use super::clock::Clock;
use super::connection::{Connection, LinkFault};
use super::errand::{Delivery, Errand};
use super::place::{Pass, Place, at_token};
use super::rest::Budget;
use super::ring::{Answer, Outgoing, push_waiting};
use super::settings::ReloadRequest;
use super::takeover::{Insistence, Pulse, Roster, Takeover};
use super::wait::{Poller, WakeHandle};
use crate::event::{
    Command, CommandKind, Link, LinkState, Operator, OrderEvent, OrderEventKind, OrderSource, PositionSide, Side,
    TimeInForce,
};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::command_page::CommandWatch;
use crate::journal::counters::{CounterReader, CounterWriter, Slot};
use crate::journal::histogram::StageWriter;
use crate::unit::{Lots, Nanos, Ticks};
use crate::venue::binance::usdm::account::{PrivateDecoder, PrivateEvent};
use crate::venue::binance::usdm::answer::{Hint, bare};
use crate::venue::binance::usdm::client_id::Prefix;
use crate::venue::binance::usdm::limits::{Limits, command_weight};
use crate::venue::binance::usdm::order::{OrderEncoder, REQUEST_MAX, decode};
use arrayvec::ArrayString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Place numbers of the two connections.
const ORDER_ENTRY: usize = 0;
const PRIVATE: usize = 1;
/// Requests that may be under way; more are answered with [`OrderEventKind::NotSent`].
const FLIGHT_MAX: usize = 512;
/// How often the thread looks at its slow things.
const SLOW_INTERVAL: Nanos = Nanos::from_millis(5);
/// An order connection that owes an answer for longer is dead, whatever the socket says.
const ANSWER_MAX: Nanos = Nanos::from_secs(10);

/// An order that was decided longer ago than this is not sent: the process was stopped meanwhile, and the market is another one.
const DECIDED_AGE_MAX: Nanos = Nanos::from_secs(1);
/// How long the end of the thread waits for the venue's word on the orders that an engine left behind.
const FAREWELL_MAX: Nanos = Nanos::from_secs(1);
/// The intent of a cancel that the engine did not ask for: no slot has it, so only the order's end counts.
const NO_INTENT: u32 = u32::MAX;

/// A request whose answer has not come.
#[derive(Clone, Copy)]
struct Flight {
    command: Command,
    sent_at: Nanos,
}

/// How orders leave now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Not at all.
    Down,
    /// The WebSocket is there but has not logged on yet.
    LoggingOn,
    /// By WebSocket.
    Socket,
    /// By REST, through the housekeeper's helper.
    Rest,
}

/// The stages that this thread measures.
pub struct Measured {
    /// Order ring to here.
    pub ring_wait: StageWriter,
    /// Encode and sign.
    pub encode: StageWriter,
    /// The socket write.
    pub write: StageWriter,
    /// Frame received to the end of the write.
    pub tick_to_wire: StageWriter,
    /// Write to answer.
    pub round_trip: StageWriter,
}

/// The I/O thread's state. Built by `wiring`, run by one thread.
pub struct Sender {
    /// The time source.
    pub clock: Clock,
    /// The sockets.
    pub poller: Poller,
    /// What is traded, by id.
    pub instruments: Vec<Instrument>,
    /// Marks our orders.
    pub prefix: Prefix,
    /// From the engine.
    pub orders: rtrb::Consumer<Outgoing>,
    /// To the engine.
    pub answers: rtrb::Producer<Answer>,
    /// Wakes the engine.
    pub engine_wake: WakeHandle,
    /// From the housekeeper.
    pub deliveries: crossbeam::channel::Receiver<Delivery>,
    /// To the housekeeper.
    pub errands: crossbeam::channel::Sender<Errand>,
    /// To the thread that sends orders by REST.
    pub rest_orders: crossbeam::channel::Sender<Outgoing>,
    /// Commands to requests.
    pub encoder: OrderEncoder,
    /// Private frames to events.
    pub decoder: PrivateDecoder,
    /// What the venue lets us send.
    pub limits: Limits,
    /// What all requests of this process cost, and the venue's word to wait.
    pub budget: Arc<Budget>,
    /// The venue's clock minus ours.
    pub offset: Arc<AtomicI64>,
    /// Kill flag and operators' commands.
    pub watch: CommandWatch,
    /// What observers see.
    pub counters: CounterWriter,
    /// The same page, to look at the engine's heartbeat.
    pub page: CounterReader,
    /// Latency per stage.
    pub measured: Measured,
    /// An operator's wish to have the settings read again goes to the housekeeper.
    pub reload: ReloadRequest,
    /// Orders may go by REST only (a setting).
    pub rest_only: bool,
    /// What a test breaks.
    pub breakage: Arc<Breakage>,
}

/// What changes while the thread runs.
struct State {
    places: [Place; 2],
    way: Way,
    flights: Vec<Flight>,
    /// When the order connection in use was taken.
    entry_since: Nanos,
    kill_seen: bool,
    answered: bool,
    orders: Vec<Outgoing>,
    roster: Roster,
    takeover: Takeover,
    pulse: Pulse,
    insistence: Insistence,
}

impl Sender {
    /// Runs until the engine's end of the ring is gone and everything in it is sent; what then still rests of ours is cancelled.
    pub fn run(mut self) {
        let mut state = State {
            places: [Place::default(), Place::default()],
            way: Way::Down,
            flights: Vec::with_capacity(FLIGHT_MAX),
            entry_since: Nanos::ZERO,
            kill_seen: false,
            answered: false,
            orders: Vec::with_capacity(super::ring::ORDERS_CAPACITY),
            roster: Roster::default(),
            takeover: Takeover::default(),
            pulse: Pulse::default(),
            insistence: Insistence::default(),
        };
        if self.rest_only {
            state.way = Way::Rest;
            self.say(&mut state, Answer::Link(Link::OrderEntry, LinkState::Up));
        }
        let mut idle = false;
        let mut slow_due = Nanos::ZERO;
        while !(self.orders.is_abandoned() && self.orders.is_empty()) {
            if self.poll(&mut state, idle).is_err() {
                // Without a poll neither answers nor orders move: the engine must hear that both links are gone.
                self.say(&mut state, Answer::Link(Link::OrderEntry, LinkState::Down));
                self.say(&mut state, Answer::Link(Link::Private, LinkState::Down));
                break;
            }
            let mut busy = self.read(&mut state, PRIVATE);
            busy |= self.read(&mut state, ORDER_ENTRY);
            busy |= self.send(&mut state);
            let now = self.clock.now();
            if now >= slow_due {
                slow_due = now + SLOW_INTERVAL;
                busy |= self.slow(&mut state, now);
            }
            if std::mem::take(&mut state.answered) {
                self.engine_wake.wake();
            }
            idle = !busy;
        }
        self.farewell(&mut state);
        for place in &mut state.places {
            if let Some(connection) = place.current() {
                connection.close();
            }
        }
    }

    fn poll(&mut self, state: &mut State, idle: bool) -> std::io::Result<()> {
        self.poller.turn(idle, |token, ended| {
            let (place, which) = at_token(token);
            if let Some(place) = state.places.get_mut(place) {
                place.mark_ready(which, ended);
            }
        })
    }

    /// An engine that ended as it should has left nothing. What one left that panicked, or could not go on, is watched by nobody any
    /// more: it goes by the quickest way, before the end of the run looks after it by REST.
    fn farewell(&mut self, state: &mut State) {
        if state.roster.is_empty() {
            return;
        }
        let begun = self.clock.now();
        tracing::error!("the engine thread is gone and has left orders: they are cancelled");
        self.counters.add(Slot::Takeovers, 1);
        self.cancel_all(state, begun);
        while !state.roster.is_empty() && self.clock.now() - begun < FAREWELL_MAX {
            if self.poll(state, true).is_err() {
                return;
            }
            self.read(state, PRIVATE);
            self.read(state, ORDER_ENTRY);
            while let Ok(delivery) = self.deliveries.try_recv() {
                self.take(state, delivery, self.clock.now());
            }
        }
    }

    /// Tells the engine. Waits while the ring is full: a fill is never dropped. Without an engine there is nobody to tell.
    fn say(&mut self, state: &mut State, answer: Answer) {
        state.answered = true;
        if let Answer::Order(event) = &answer {
            state.roster.heard(event);
        }
        if self.answers.slots() == 0 {
            self.engine_wake.wake();
        }
        let _ = push_waiting(&mut self.answers, answer);
    }

    fn say_order(&mut self, state: &mut State, command: &Command, kind: OrderEventKind) {
        let event = bare(kind, OrderSource::Engine, command.instrument, command.client_id, command.generation);
        self.say(state, Answer::Order(OrderEvent { side: command.side, ..event }));
    }

    fn errand(&self, errand: Errand) {
        // The channel is far larger than what can be due at once; a lost errand is asked for again by the core's timers.
        let _ = self.errands.try_send(errand);
    }

    /// Reads both connections of a place.
    fn read(&mut self, state: &mut State, number: usize) -> bool {
        let mut busy = false;
        // A retiring connection first: what only it has is older than what both have.
        for which in [1, 0] {
            let mut told = Vec::new();
            let registry = self.poller.registry();
            let decoder = &self.decoder;
            let pass = state.places[number].pass(which, registry, |link| {
                while let Some(range) = link.next_message()? {
                    let text = link.inbound.bytes(range);
                    if number == PRIVATE {
                        if let Err(error) = decoder.decode(text, |event| told.push(Heard::Private(event))) {
                            told.push(Heard::Garbled(error.to_string()));
                        }
                    } else {
                        told.push(Heard::Response(text.to_vec()));
                    }
                }
                Ok(())
            });
            busy |= !matches!(pass, Pass::Idle);
            for heard in told {
                self.hear(state, heard);
            }
            if let Pass::Dead { connection, fault, in_use } = pass {
                drop(connection);
                if in_use {
                    self.lost(state, number, &fault);
                }
            }
        }
        busy
    }

    fn hear(&mut self, state: &mut State, heard: Heard) {
        match heard {
            Heard::Private(PrivateEvent::Order(event)) => self.say(state, Answer::Order(event)),
            Heard::Private(PrivateEvent::Account(event)) => self.say(state, Answer::Account(event)),
            Heard::Private(PrivateEvent::ListenKeyExpired) => {
                tracing::warn!("the private stream's listen key expired");
                self.drop_link(state, PRIVATE, &LinkFault::Closed { code: 1000 });
            }
            Heard::Response(text) => self.response(state, &text),
            Heard::Garbled(error) => {
                tracing::error!("private stream: {error}");
                // What it said is unknown: the account must be asked.
                self.drop_link(state, PRIVATE, &LinkFault::Closed { code: 1000 });
            }
        }
    }

    fn response(&mut self, state: &mut State, text: &[u8]) {
        let response = match decode(text, &self.instruments, &self.prefix, self.venue_now(self.clock.now())) {
            Ok(response) => response,
            Err(error) => {
                tracing::error!("order entry: {error}");
                return;
            }
        };
        let now = self.clock.now();
        self.limits.heard(response.orders_10s, response.orders_1m, now);
        if let Some(count) = response.orders_10s {
            self.counters.set(Slot::OrdersUsed, i64::from(count));
        }
        match response.logged_on {
            Some(true) => {
                self.encoder.logged_on = true;
                state.way = Way::Socket;
                self.say(state, Answer::Link(Link::OrderEntry, LinkState::Up));
            }
            Some(false) => {
                // Requests can be signed one by one as well; whether the key is good the venue says of each.
                tracing::error!("order entry: log-on refused: {}; requests are signed one by one", response.message);
                state.way = Way::Socket;
                self.say(state, Answer::Link(Link::OrderEntry, LinkState::Up));
            }
            None => {}
        }
        if !response.message.is_empty() {
            tracing::info!("order entry: {}", response.message);
        }
        self.hint(state, response.hint, now);
        if let Some(event) = response.event {
            self.landed(state, &event, now);
            self.count(&event);
            self.say(state, Answer::Order(event));
        }
    }

    fn hint(&mut self, _state: &mut State, hint: Hint, now: Nanos) {
        match hint {
            Hint::None => {}
            Hint::BackOff(span) => {
                self.counters.add(Slot::RateLimited, 1);
                self.limits.back_off(now, span);
                self.budget.back_off(self.venue_now(now), span);
            }
            Hint::OrdersFull(span) => {
                self.counters.add(Slot::RateLimited, 1);
                self.limits.orders_full(now, span);
            }
            Hint::SyncTime => self.errand(Errand::SyncTime),
        }
    }

    fn count(&self, event: &OrderEvent) {
        let slot = match event.kind {
            OrderEventKind::Accepted | OrderEventKind::Amended | OrderEventKind::Canceled | OrderEventKind::Open => {
                Slot::Acks
            }
            OrderEventKind::Rejected | OrderEventKind::AmendRejected | OrderEventKind::CancelRejected => Slot::Rejects,
            OrderEventKind::Unknown => Slot::UnknownOutcomes,
            OrderEventKind::NotSent => Slot::NotSent,
            _ => return,
        };
        self.counters.add(slot, 1);
    }

    /// A request got its answer.
    fn landed(&mut self, state: &mut State, event: &OrderEvent, now: Nanos) {
        let asked = (event.client_id, event.generation);
        let found =
            state.flights.iter().position(|flight| (flight.command.client_id, flight.command.generation) == asked);
        if let Some(at) = found {
            let flight = state.flights.swap_remove(at);
            state.roster.answered(flight.command.kind, event);
            self.measured.round_trip.record((now - flight.sent_at).0);
        }
    }

    /// Takes everything that waits in the ring; what goes by socket leaves in one write. Each command is encoded as it is taken: the
    /// engine pushes a frame's orders one after the other, and those that it pushes meanwhile leave with the first.
    fn send(&mut self, state: &mut State) -> bool {
        let mut queued = std::mem::take(&mut state.orders);
        queued.clear();
        let mut any = false;
        while queued.len() < super::ring::ORDERS_CAPACITY
            && let Ok(outgoing) = self.orders.pop()
        {
            any = true;
            if self.queue(state, &outgoing) {
                queued.push(outgoing);
            }
        }
        if !queued.is_empty() {
            self.flush(state, &queued);
        }
        state.orders = queued;
        any
    }

    /// Queues a command on the socket (true) or disposes of it otherwise.
    fn queue(&mut self, state: &mut State, outgoing: &Outgoing) -> bool {
        let command = &outgoing.command;
        let now = self.clock.now();
        self.measured.ring_wait.record((now - outgoing.pushed_at).0);
        match command.kind {
            CommandKind::Reconcile => {
                self.errand(Errand::Reconcile(command.instrument));
                return false;
            }
            CommandKind::Snapshot => {
                self.errand(Errand::Snapshot(command.instrument));
                return false;
            }
            CommandKind::SyncTime => {
                self.errand(Errand::SyncTime);
                return false;
            }
            CommandKind::CancelAll => {
                self.errand(Errand::CancelAll(command.instrument));
                return false;
            }
            _ => {}
        }
        let late = now - command.decided_at > DECIDED_AGE_MAX;
        let orphaned = self.orders.is_abandoned();
        let barred = self.watch.killed() || state.takeover.bars() || late || orphaned;
        let killed = barred && matches!(command.kind, CommandKind::New | CommandKind::Amend);
        let silent = self.venue_now(now) < self.budget.held_until();
        if killed || silent || self.limits.may_send(command.kind, now).is_err() || state.flights.len() == FLIGHT_MAX {
            self.counters.add(Slot::NotSent, 1);
            self.say_order(state, command, OrderEventKind::NotSent);
            return false;
        }
        match state.way {
            Way::Socket => {}
            // Cancels and questions still have a way; new risk does not go out while the state of the orders is in doubt.
            Way::Rest => return self.by_rest(state, outgoing),
            Way::Down | Way::LoggingOn => match command.kind {
                CommandKind::Cancel | CommandKind::Query | CommandKind::Market => return self.by_rest(state, outgoing),
                _ => {
                    self.counters.add(Slot::NotSent, 1);
                    self.say_order(state, command, OrderEventKind::NotSent);
                    return false;
                }
            },
        }
        let mut text = ArrayString::<REQUEST_MAX>::new();
        let timestamp = self.venue_ms(now);
        let terms = &self.instruments[usize::from(command.instrument.0)];
        let request = match self.encoder.encode(command, terms, timestamp, &mut text) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!("order entry: {error}");
                self.counters.add(Slot::NotSent, 1);
                self.say_order(state, command, OrderEventKind::NotSent);
                return false;
            }
        };
        let link = state.places[ORDER_ENTRY].current();
        if link.is_none_or(|link| link.queue(request.as_bytes()).is_err()) {
            // Not a byte of it has left.
            self.say_order(state, command, OrderEventKind::NotSent);
            return false;
        }
        state.roster.sent(command);
        self.measured.encode.record((self.clock.now() - now).0);
        self.limits.sent(command.kind, now);
        self.budget.spend(command_weight(command.kind), self.venue_now(now));
        self.count_sent(command.kind);
        true
    }

    fn count_sent(&self, kind: CommandKind) {
        let slot = match kind {
            CommandKind::New | CommandKind::Market => Slot::OrdersNew,
            CommandKind::Amend => Slot::OrdersAmend,
            CommandKind::Cancel => Slot::OrdersCancel,
            _ => Slot::Queries,
        };
        self.counters.add(slot, 1);
    }

    fn by_rest(&mut self, state: &mut State, outgoing: &Outgoing) -> bool {
        let now = self.clock.now();
        if self.rest_orders.try_send(*outgoing).is_err() {
            self.say_order(state, &outgoing.command, OrderEventKind::NotSent);
            return false;
        }
        state.roster.sent(&outgoing.command);
        self.limits.sent(outgoing.command.kind, now);
        self.count_sent(outgoing.command.kind);
        state.flights.push(Flight { command: outgoing.command, sent_at: now });
        false
    }

    fn flush(&mut self, state: &mut State, orders: &[Outgoing]) {
        let before = self.clock.now();
        let result = state.places[ORDER_ENTRY].current().map_or(Ok(()), Connection::flush);
        let at = self.clock.now();
        self.measured.write.record((at - before).0);
        self.counters.add(Slot::Writes, 1);
        for outgoing in orders {
            state.flights.push(Flight { command: outgoing.command, sent_at: at });
            self.measured.tick_to_wire.record((at - outgoing.received_at).0);
            let Command { client_id, generation, .. } = outgoing.command;
            self.say(state, Answer::Sent { client_id, generation, at });
        }
        if let Err(fault) = result {
            self.lost(state, ORDER_ENTRY, &fault);
        }
    }

    fn venue_now(&self, now: Nanos) -> Nanos {
        Nanos(now.0 + self.offset.load(Ordering::Relaxed))
    }

    fn venue_ms(&self, now: Nanos) -> i64 {
        self.venue_now(now).as_millis()
    }

    /// Deliveries, the kill flag, operators and the heartbeat.
    fn slow(&mut self, state: &mut State, now: Nanos) -> bool {
        self.breakage.obey(Part::Io);
        let mut busy = false;
        while let Ok(delivery) = self.deliveries.try_recv() {
            busy = true;
            self.take(state, delivery, now);
        }
        for place in &mut state.places {
            if let Some(mut old) = place.retired(self.poller.registry(), now) {
                old.close();
            }
        }
        // Cancelling does not depend on the engine: it may be what is stuck.
        let killed = self.watch.killed();
        if killed && !state.kill_seen {
            state.insistence.begin(now);
        }
        if let Some(request) = self.watch.poll() {
            state.takeover.ask(&request, now);
            if request.verb == Operator::Reload {
                self.reload.ask();
            }
        }
        if let Some(verb) = state.takeover.due(|seq| self.watch.engine_took(seq), now) {
            tracing::error!("the engine thread does not take {verb:?}: the I/O thread carries it out");
            self.counters.add(Slot::Takeovers, 1);
            state.insistence.begin(now);
            if verb == Operator::Flatten {
                (0..self.instruments.len()).for_each(|at| self.errand(Errand::Flatten(InstrumentId(at as u16))));
            }
        }
        state.kill_seen = killed;
        let beat = self.page.named(Slot::EngineHeartbeat.name()).unwrap_or(0);
        if state.pulse.stops(beat, now) && !state.insistence.is_under_way() {
            tracing::error!("the engine thread does not turn: its orders are cancelled");
            self.counters.add(Slot::Takeovers, 1);
            state.insistence.begin(now);
        }
        if !(killed || state.takeover.bars() || state.pulse.is_silent()) {
            state.insistence.end();
        }
        let held_until = self.limits.held_until().max(now + (self.budget.held_until() - self.venue_now(now)));
        if state.insistence.due(!state.roster.is_empty(), held_until, now) {
            self.cancel_all(state, now);
        }
        busy |= self.overdue(state, now);
        self.counters.set(Slot::WeightUsed, i64::from(self.budget.used(self.venue_now(now))));
        self.counters.set(Slot::SenderHeartbeat, now.0);
        busy
    }

    /// Cancels every order that this thread knows, in one write, and has the venue asked for others of ours.
    fn cancel_all(&mut self, state: &mut State, now: Nanos) {
        let cancel = |(client_id, instrument)| Outgoing {
            command: Command {
                kind: CommandKind::Cancel,
                side: Side::Buy,
                tif: TimeInForce::PostOnly,
                position_side: PositionSide::Net,
                reduce_only: false,
                instrument,
                generation: NO_INTENT,
                client_id,
                price: Ticks::ZERO,
                qty: Lots::ZERO,
                decided_at: now,
            },
            received_at: now,
            pushed_at: now,
        };
        let mut cancels: Vec<Outgoing> = state.roster.orders().map(cancel).collect();
        cancels.retain(|outgoing| self.queue(state, outgoing));
        if !cancels.is_empty() {
            self.flush(state, &cancels);
        }
        for at in 0..self.instruments.len() {
            self.errand(Errand::CancelAll(InstrumentId(at as u16)));
        }
    }

    /// Answers that do not come any more: the outcomes are unknown, and the connection in use, if it was asked, is dead.
    fn overdue(&mut self, state: &mut State, now: Nanos) -> bool {
        if state.way == Way::LoggingOn && now - state.entry_since > ANSWER_MAX {
            self.drop_link(state, ORDER_ENTRY, &LinkFault::Silent);
            return true;
        }
        let owed = |flight: &Flight| now - flight.sent_at > ANSWER_MAX;
        if !state.flights.iter().any(owed) {
            return false;
        }
        let since = state.entry_since;
        if state.way == Way::Socket && state.flights.iter().any(|flight| owed(flight) && flight.sent_at >= since) {
            self.drop_link(state, ORDER_ENTRY, &LinkFault::Silent);
            return true;
        }
        while let Some(at) = state.flights.iter().position(owed) {
            let flight = state.flights.swap_remove(at);
            self.counters.add(Slot::UnknownOutcomes, 1);
            self.say_order(state, &flight.command, OrderEventKind::Unknown);
        }
        true
    }

    fn take(&mut self, state: &mut State, delivery: Delivery, now: Nanos) {
        match delivery {
            Delivery::Connection(link, connection) => self.adopt(state, link, connection, now),
            Delivery::RestOnly => {
                if state.way == Way::Down {
                    state.way = Way::Rest;
                    self.say(state, Answer::Link(Link::OrderEntry, LinkState::Up));
                }
            }
            Delivery::Order(event, hint) => {
                self.hint(state, hint, now);
                self.landed(state, &event, now);
                self.count(&event);
                self.say(state, Answer::Order(event));
            }
        }
    }

    fn adopt(&mut self, state: &mut State, link: Link, connection: Box<Connection>, now: Nanos) {
        let number = if link == Link::Private { PRIVATE } else { ORDER_ENTRY };
        let fresh = !state.places[number].is_connected();
        match state.places[number].adopt(connection, number, self.poller.registry(), now) {
            Ok(over) => drop(over),
            Err((_, error)) => {
                tracing::error!("{link:?}: {error}");
                self.errand(Errand::Reconnect(link));
                return;
            }
        }
        if link == Link::Private {
            if fresh {
                self.say(state, Answer::Link(Link::Private, LinkState::Up));
            }
            return;
        }
        state.entry_since = now;
        self.encoder.logged_on = false;
        if self.encoder.wants_log_on() {
            let mut text = ArrayString::<REQUEST_MAX>::new();
            let timestamp = self.venue_ms(now);
            let request = self.encoder.log_on(timestamp, &mut text);
            let result = state.places[ORDER_ENTRY]
                .current()
                .map_or(Ok(()), |link| link.queue(request.as_bytes()).and_then(|()| link.flush()));
            if state.way != Way::Rest {
                state.way = Way::LoggingOn;
            }
            if let Err(fault) = result {
                self.lost(state, ORDER_ENTRY, &fault);
            }
            return;
        }
        let was_down = state.way == Way::Down;
        state.way = Way::Socket;
        if was_down {
            self.say(state, Answer::Link(Link::OrderEntry, LinkState::Up));
        }
    }

    /// Gives up a connection that still stands.
    fn drop_link(&mut self, state: &mut State, number: usize, fault: &LinkFault) {
        if let Some(mut connection) = state.places[number].take(self.poller.registry()) {
            connection.close();
            self.lost(state, number, fault);
        }
    }

    /// A connection in use is gone: the engine first, then every request whose answer it would have brought, then repair.
    fn lost(&mut self, state: &mut State, number: usize, fault: &LinkFault) {
        let link = if number == PRIVATE { Link::Private } else { Link::OrderEntry };
        tracing::warn!("{link:?} connection lost: {fault}");
        drop(state.places[number].take(self.poller.registry()));
        if number == ORDER_ENTRY {
            state.way = Way::Down;
            self.encoder.logged_on = false;
        }
        self.say(state, Answer::Link(link, LinkState::Down));
        if number == ORDER_ENTRY {
            for flight in std::mem::take(&mut state.flights) {
                self.counters.add(Slot::UnknownOutcomes, 1);
                self.say_order(state, &flight.command, OrderEventKind::Unknown);
            }
            state.flights.reserve(FLIGHT_MAX);
        }
        self.errand(Errand::Reconnect(link));
    }
}

/// What one frame said, once the connection that it lies in is no longer borrowed.
enum Heard {
    Private(PrivateEvent),
    Response(Vec<u8>),
    Garbled(String),
}
