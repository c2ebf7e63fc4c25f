//! The slow thread: connections, REST, the journal's segments, the dead-man switch. Never waited for by the others, never decides
//! what to trade; whatever fails here is said, tried again later, and costs quotes, not money.

use super::alerts::Alerts;
use super::breakage::{Breakage, Part};
use super::clock::Clock;
use super::connection::{Connection, Endpoint};
use super::errand::{Delivery, Errand};
use super::memory::FaultWatch;
use super::rest::Caller;
use super::ring::{CONTROL_CAPACITY, Control, Used, push_waiting};
use super::settings::{Look, SettingsFile};
use super::source::{News, Wish};
use super::wait::WakeHandle;
use crate::config::load::Strategy;
use crate::event::{AccountEvent, ClientId, Command, CommandKind, Link, PositionSide, Side, TimeInForce};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::Segments;
use crate::journal::counters::{CounterReader, CounterWriter, Slot};
use crate::unit::{Nanos, Ticks};
use crate::venue::binance::usdm::batch;
use crate::venue::binance::usdm::client_id::Prefix;
use crate::venue::binance::usdm::rest::{self, Method};
use crate::venue::binance::usdm::{market_path, private_path, public_path};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The feeds of the engine thread, by number.
pub const PUBLIC_FEED: usize = 0;
/// Mark price and funding.
pub const MARKET_FEED: usize = 1;
/// A watched market, if there is one.
pub const SOURCE_FEED: usize = 2;

/// A connection is replaced before the venue's 24 hours are over.
pub const CONNECTION_LIFE: Nanos = Nanos::from_secs(23 * 3600);
/// The venue forgets a listen key after 60 minutes.
const LISTEN_KEY_EVERY: Nanos = Nanos::from_secs(25 * 60);
/// Clocks drift apart slowly.
const TIME_EVERY: Nanos = Nanos::from_secs(600);
/// A burst of refusals asks for the time many times; it is had this far apart.
const TIME_APART: Nanos = Nanos::from_secs(1);
/// First and longest pause between attempts to connect.
const RETRY_FIRST: Nanos = Nanos::from_millis(250);
const RETRY_MAX: Nanos = Nanos::from_secs(10);
/// How often the thread looks around when nothing is asked.
const ROUND: Duration = Duration::from_millis(20);
/// How often journal pages are offered to the disk.
const FLUSH_EVERY: Nanos = Nanos::from_secs(1);

/// Base addresses, without a slash at the end; the order address is whole.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Depth, best quote, trades.
    pub public: String,
    /// Mark price.
    pub market: String,
    /// User data.
    pub private: String,
    /// Order entry.
    pub order: String,
    /// The depth stream's speed, `0ms` or `100ms`.
    pub depth: &'static str,
}

/// A thread whose heartbeat is older than this does not turn; both fast ones beat every few milliseconds.
const SILENT: Nanos = Nanos::from_secs(2);
/// Most market orders of one closing by REST.
const CLOSE_TRIES: u32 = 10;

/// What this thread connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Feed(usize),
    Link(Link),
}

/// The state of one target.
struct Wire {
    target: Target,
    /// When to connect next; `None` while connected.
    due: Option<Nanos>,
    pause: Nanos,
    /// When the connection in use was made.
    since: Nanos,
}

/// The housekeeper's state. Built by `wiring`, run by one thread.
pub struct Housekeeper {
    /// The time source.
    pub clock: Clock,
    /// REST of the account.
    pub caller: Caller,
    /// What is traded, by id.
    pub instruments: Vec<Instrument>,
    /// Marks our orders.
    pub prefix: Prefix,
    /// Where the venue is.
    pub addresses: Addresses,
    /// Certificates and bounds of connecting; its address is not used.
    pub endpoint: Endpoint,
    /// To the engine.
    pub control: rtrb::Producer<Control>,
    /// Wakes the engine.
    pub engine_wake: WakeHandle,
    /// From the engine.
    pub used: rtrb::Consumer<Used>,
    /// From the I/O thread.
    pub errands: Receiver<Errand>,
    /// To the I/O thread.
    pub deliveries: Sender<Delivery>,
    /// Wakes the I/O thread.
    pub sender_wake: WakeHandle,
    /// The journal's files.
    pub segments: Segments,
    /// What observers see.
    pub counters: CounterWriter,
    /// The same page, to look at the others' words.
    pub page: CounterReader,
    /// What is watched and whom to tell.
    pub alerts: Alerts,
    /// The run's number in client order ids.
    pub run: u32,
    /// The dead-man switch's countdown, off if `None`.
    pub dead_man: Option<Nanos>,
    /// Orders go by REST only: no order socket is made.
    pub rest_only: bool,
    /// A connection is replaced when it is this old.
    pub connection_life: Nanos,
    /// An orderly end of trading was asked for.
    pub stop: Arc<AtomicBool>,
    /// What a test breaks.
    pub breakage: Arc<Breakage>,
    /// The engine thread has ended.
    pub engine_gone: Arc<AtomicBool>,
    /// The engine thread's page faults: looked up here, because that thread makes no system call for it.
    pub engine_faults: FaultWatch,
    /// The strategy's file, if there is one.
    pub settings: Option<SettingsFile>,
    /// From the thread of the second price source, if there is one.
    pub source_news: Receiver<News>,
    /// To that thread: what the engine needs of a watched market.
    pub source_wishes: Sender<Wish>,
}

/// Due times of what recurs.
struct Round {
    listen_key: Nanos,
    time: Nanos,
    /// When it was asked for last.
    time_asked: Nanos,
    dead_man: Nanos,
    flush: Nanos,
    /// Mark price and funding are known from REST.
    marked: bool,
    /// When this thread cancels next in the place of a silent I/O thread.
    stand_in: Nanos,
    /// No segment could be made or filed away at the last try, and this was told.
    journal_fails: bool,
}

impl Housekeeper {
    /// Runs until the engine has ended. Gives back the journal's files, which the end of the run finishes.
    #[must_use]
    pub fn run(mut self) -> Segments {
        let now = self.clock.now();
        let wire = |target| Wire { target, due: Some(now), pause: RETRY_FIRST, since: now };
        let mut wires =
            vec![wire(Target::Feed(PUBLIC_FEED)), wire(Target::Feed(MARKET_FEED)), wire(Target::Link(Link::Private))];
        if !self.rest_only {
            wires.push(wire(Target::Link(Link::OrderEntry)));
        }
        let mut round = Round {
            listen_key: now + LISTEN_KEY_EVERY,
            time: now + TIME_EVERY,
            time_asked: now,
            dead_man: now,
            // Not before the first quotes: it writes all that the segments were filled with.
            flush: now + FLUSH_EVERY,
            marked: false,
            stand_in: now,
            journal_fails: false,
        };
        // The difference that the start of the run has found.
        self.tell(Control::Account(AccountEvent::VenueClock { offset: self.caller.offset() }));
        self.calibrate();
        while !self.engine_gone.load(Ordering::Acquire) {
            self.breakage.obey(Part::Housekeeper);
            self.connect_due(&mut wires);
            match self.errands.recv_timeout(ROUND) {
                Ok(errand) => self.carry_out(errand, &mut wires, &mut round),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(ROUND),
            }
            while let Ok(used) = self.used.pop() {
                match used {
                    Used::Connection { feed: SOURCE_FEED, reconnect: true, .. } => self.wish(Wish::Connect),
                    Used::Connection { feed, reconnect: true, .. } => self.again(&mut wires, Target::Feed(feed)),
                    Used::Connection { .. } | Used::Body(_) | Used::Settings(_) => {}
                }
            }
            self.hear_source();
            self.look_at_settings();
            if !round.marked && wires.iter().all(|wire| wire.due.is_none()) {
                round.marked = true;
                self.marks();
            }
            self.recur(&mut round, &mut wires);
        }
        self.alerts.finish();
        self.segments
    }

    fn tell(&mut self, control: Control) {
        // Without an engine there is nobody to tell.
        let _ = push_waiting(&mut self.control, control);
        self.engine_wake.wake();
    }

    fn carry_out(&mut self, errand: Errand, wires: &mut [Wire], round: &mut Round) {
        match errand {
            Errand::Reconcile(instrument) => self.reconcile(instrument),
            Errand::Snapshot(instrument) if usize::from(instrument.0) >= self.instruments.len() => {
                self.wish(Wish::Snapshot);
            }
            Errand::Snapshot(instrument) => self.snapshot(instrument),
            Errand::Reconnect(link) => self.again(wires, Target::Link(link)),
            Errand::SyncTime => round.time = round.time.min(round.time_asked + TIME_APART),
            Errand::CancelAll(instrument) => self.cancel_ours(instrument),
            Errand::Flatten(instrument) => self.flatten(instrument),
        }
    }

    /// What is wished for again while it waits needs no second place.
    fn wish(&self, wish: Wish) {
        let _ = self.source_wishes.try_send(wish);
    }

    /// What the second price source has made or missed.
    fn hear_source(&mut self) {
        while let Ok(news) = self.source_news.try_recv() {
            match news {
                News::Made(control) => self.tell(control),
                News::Polled(control) => {
                    self.counters.add(Slot::PricesPolled, 1);
                    // The next one is better than one that waited: an engine that is stuck must not hang this thread behind them.
                    if self.control.slots() > CONTROL_CAPACITY / 2 {
                        self.tell(control);
                    }
                }
                News::Failed => self.counters.add(Slot::SourceFailed, 1),
            }
        }
    }

    /// A changed strategy file is taken over whole or refused whole.
    fn look_at_settings(&mut self) {
        let Some(mut file) = self.settings.take() else { return };
        let refused = match file.look(self.clock.now()) {
            Look::Same => None,
            Look::Refused(problems) => Some(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            Look::Changed { new, keys, warnings } => match self.prepare(&file, &new.settings) {
                Err(error) => Some(error),
                Ok(()) => {
                    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                    tracing::info!("new settings: {}", keys.join(", "));
                    file.took_over(&new.settings);
                    self.counters.add(Slot::SettingsTaken, 1);
                    self.tell(Control::Settings(new));
                    None
                }
            },
        };
        if let Some(why) = refused {
            self.counters.add(Slot::SettingsRefused, 1);
            tracing::error!("the changed settings are refused, and everything stays as it is: {why}");
        }
        self.settings = Some(file);
    }

    /// What new settings need of the venue.
    fn prepare(&mut self, file: &SettingsFile, new: &Strategy) -> Result<(), String> {
        if new.leverage() == file.running().leverage() {
            return Ok(());
        }
        let symbol = self.instruments[0].symbol;
        let asked = self.json(&rest::leverage(&symbol, new.leverage()));
        asked.map(drop).map_err(|error| format!("leverage {} cannot be set: {error}", new.leverage()))
    }

    fn again(&self, wires: &mut [Wire], target: Target) {
        let now = self.clock.now();
        for wire in wires.iter_mut().filter(|wire| wire.target == target && wire.due.is_none()) {
            wire.due = Some(now);
        }
    }

    fn connect_due(&mut self, wires: &mut [Wire]) {
        for wire in wires {
            let now = self.clock.now();
            if wire.due.is_none() && now - wire.since > self.connection_life {
                wire.due = Some(now);
            }
            if wire.due.is_none_or(|due| now < due) {
                continue;
            }
            match self.connect(wire.target) {
                Ok(connection) => {
                    self.counters.add(Slot::Handshakes, 1);
                    (wire.due, wire.pause, wire.since) = (None, RETRY_FIRST, now);
                    tracing::info!("connected {}", connection.name);
                    match wire.target {
                        Target::Feed(feed) => self.tell(Control::Market { feed, connection }),
                        Target::Link(link) => {
                            if !self.deliver(Delivery::Connection(link, connection)) {
                                wire.due = Some(now + RETRY_MAX);
                            }
                        }
                    }
                }
                Err(error) => {
                    self.counters.add(Slot::HandshakesFailed, 1);
                    tracing::error!("{error}; next attempt in {} ms", wire.pause.as_millis());
                    if wire.target == Target::Link(Link::OrderEntry) {
                        // Counts only while there is no other way.
                        self.deliver(Delivery::RestOnly);
                    }
                    wire.due = Some(self.clock.now() + wire.pause);
                    wire.pause = Nanos((wire.pause.0 * 2).min(RETRY_MAX.0));
                }
            }
        }
    }

    /// False if the I/O thread did not take it. Waiting would hang this thread behind one that is stuck; the channel is far larger than
    /// what can be under way.
    fn deliver(&self, delivery: Delivery) -> bool {
        let taken = self.deliveries.try_send(delivery).is_ok();
        if taken {
            self.sender_wake.wake();
        }
        taken
    }

    fn connect(&mut self, target: Target) -> anyhow::Result<Box<Connection>> {
        let symbols: Vec<&str> = self.instruments.iter().map(|terms| terms.symbol.as_str()).collect();
        let url = match target {
            Target::Feed(PUBLIC_FEED) => {
                format!("{}{}", self.addresses.public, public_path(&symbols, self.addresses.depth))
            }
            Target::Feed(_) => format!("{}{}", self.addresses.market, market_path(&symbols)),
            Target::Link(Link::Private) => {
                let answer = self.json(&rest::listen_key(Method::Post))?;
                let key = answer["listenKey"].as_str().ok_or_else(|| anyhow::anyhow!("no listenKey in the answer"))?;
                format!("{}{}", self.addresses.private, private_path(key))
            }
            Target::Link(_) => self.addresses.order.clone(),
        };
        Ok(Box::new(Connection::open(&Endpoint { url, ..self.endpoint.clone() })?))
    }

    fn json(&mut self, request: &rest::RestRequest) -> Result<serde_json::Value, super::rest::CallError> {
        self.counters.add(Slot::RestCalls, 1);
        self.caller.json(request).inspect_err(|_| self.counters.add(Slot::RestFailed, 1))
    }

    /// Asks for everything that is open; the facts reach the core only if all of them were had.
    fn reconcile(&mut self, instrument: InstrumentId) {
        self.tell(Control::Account(AccountEvent::ReconcileBegin));
        match self.facts() {
            Ok(facts) => {
                for fact in facts {
                    self.tell(fact);
                }
                self.tell(Control::Account(AccountEvent::ReconcileEnd));
            }
            Err(error) => {
                tracing::error!("reconciliation of {instrument:?}: {error:#}");
                self.tell(Control::Account(AccountEvent::ReconcileFailed));
            }
        }
    }

    fn facts(&mut self) -> anyhow::Result<Vec<Control>> {
        let mut facts = Vec::new();
        for (at, terms) in self.instruments.iter().enumerate() {
            let id = InstrumentId(at as u16);
            let orders = self.caller.call(&rest::open_orders(&terms.symbol))?;
            if orders.status != 200 {
                anyhow::bail!(
                    "open orders: {}",
                    rest::body(orders.status, &orders.body).err().map_or_else(String::new, |e| e.to_string())
                );
            }
            let orders = rest::open_order_events(&orders.body, id, terms, &self.prefix).map_err(anyhow::Error::msg)?;
            facts.extend(orders.into_iter().map(Control::Order));
            let positions = self.caller.json(&rest::positions(&terms.symbol))?;
            let positions = rest::position_events(&positions, id, terms).map_err(anyhow::Error::msg)?;
            facts.extend(positions.into_iter().map(Control::Account));
        }
        let account = self.caller.json(&rest::account())?;
        let quote = self.instruments[0].quote;
        facts.push(Control::Account(rest::balance_event(&account, &quote).map_err(anyhow::Error::msg)?));
        Ok(facts)
    }

    /// A depth snapshot's bytes, undecoded: the engine journals before it parses.
    fn snapshot(&mut self, instrument: InstrumentId) {
        let symbol = self.instruments[usize::from(instrument.0)].symbol;
        self.counters.add(Slot::RestCalls, 1);
        match self.caller.call(&rest::depth(&symbol)) {
            Ok(reply) if reply.status == 200 => {
                let len = reply.body.len();
                let mut body = reply.body;
                body.resize(len + crate::wire::buf::SPARE, 0);
                self.tell(Control::Snapshot { instrument, body: body.into_boxed_slice(), len });
            }
            Ok(reply) => {
                self.counters.add(Slot::RestFailed, 1);
                let error = rest::body(reply.status, &reply.body).err();
                tracing::error!("depth snapshot of {symbol}: {}", error.map_or_else(String::new, |e| e.to_string()));
            }
            Err(error) => {
                self.counters.add(Slot::RestFailed, 1);
                tracing::error!("depth snapshot of {symbol}: {error}");
            }
        }
    }

    /// Mark price and funding as they are at the start: their stream speaks every second at best. Without them the run waits for it.
    fn marks(&mut self) {
        for at in 0..self.instruments.len() {
            let symbol = self.instruments[at].symbol;
            let id = InstrumentId(at as u16);
            let answer = self.json(&rest::premium_index(&symbol)).map_err(anyhow::Error::from);
            match answer.and_then(|answer| rest::mark_price(&answer, id).map_err(anyhow::Error::msg)) {
                Ok(mark) => self.tell(Control::Mark(mark)),
                Err(error) => tracing::warn!("mark price of {symbol}: {error:#}"),
            }
        }
    }

    /// The clock beside the system's, for the journal: what later ties the run's times to other hosts'.
    fn calibrate(&mut self) {
        let calibration = self.clock.calibration();
        self.tell(Control::Calibration(calibration));
    }

    fn sync_time(&mut self) {
        match self.caller.sync_time() {
            Ok(offset) => {
                self.counters.set(Slot::ClockOffset, offset.0);
                self.tell(Control::Account(AccountEvent::VenueClock { offset }));
            }
            Err(error) => tracing::error!("server time: {error}"),
        }
    }

    /// Cancels what is ours one by one: the venue's cancel-all would take other people's orders with it.
    fn cancel_ours(&mut self, instrument: InstrumentId) {
        let terms = &self.instruments[usize::from(instrument.0)];
        match cancel_ours(&self.caller, instrument, terms, &self.prefix) {
            Ok(count) => tracing::warn!("cancelled {count} orders of {} by REST", terms.symbol),
            Err(error) => tracing::error!("cancelling our orders of {}: {error:#}", terms.symbol),
        }
    }

    /// Closes what the venue says we hold. Only for a stuck engine: a live one does it itself, through its gate.
    fn flatten(&mut self, instrument: InstrumentId) {
        self.cancel_ours(instrument);
        let terms = &self.instruments[usize::from(instrument.0)];
        match close_position(&self.caller, instrument, terms, &self.prefix, self.run) {
            Ok(0) => tracing::warn!("no position of {} to close", terms.symbol),
            Ok(orders) => tracing::warn!("closed the position of {} by REST with {orders} market orders", terms.symbol),
            Err(error) => tracing::error!("closing the position of {}: {error:#}; look at the venue", terms.symbol),
        }
    }

    /// The thread with this heartbeat turns, or has not begun. While one of the two fast ones does not, nobody watches our orders, and the
    /// venue must not be kept from cancelling them.
    fn turns(&self, heartbeat: Slot, now: Nanos) -> bool {
        let beat = self.page.named(heartbeat.name()).unwrap_or(0);
        beat == 0 || now.0 - beat < SILENT.0
    }

    /// The engine's cancels, the kill flag and the operators' words all go through the I/O thread: while it does not turn, nothing of
    /// ours may rest.
    fn stand_in(&mut self, round: &mut Round, now: Nanos) {
        if now < round.stand_in || self.turns(Slot::SenderHeartbeat, now) {
            return;
        }
        tracing::error!("the I/O thread does not turn: our orders are cancelled by REST");
        (0..self.instruments.len()).for_each(|at| self.cancel_ours(InstrumentId(at as u16)));
        round.stand_in = self.clock.now() + SILENT;
    }

    fn recur(&mut self, round: &mut Round, wires: &mut [Wire]) {
        let now = self.clock.now();
        self.alerts.look(now);
        self.stand_in(round, now);
        self.engine_faults.look();
        match self.segments.housekeep(now) {
            Ok(done) => {
                round.journal_fails = false;
                let counts = [
                    (Slot::SegmentsMade, done.made),
                    (Slot::SegmentsSealed, done.sealed),
                    (Slot::SegmentsRemoved, done.removed),
                ];
                for (slot, count) in counts {
                    self.counters.add(slot, count as i64);
                }
            }
            // Tried again at every turn, told once.
            Err(_) if round.journal_fails => {}
            Err(error) => {
                round.journal_fails = true;
                tracing::error!("journal: {error}");
            }
        }
        if now >= round.flush {
            round.flush = now + FLUSH_EVERY;
            if let Err(error) = self.segments.flush() {
                tracing::error!("journal: {error}");
            }
            self.counters.set(Slot::JournalBytes, self.segments.bytes().cast_signed());
        }
        // After a flush, which makes pages read-only.
        let position = self.page.named(Slot::JournalAt.name()).unwrap_or(0);
        self.segments.populate_ahead(position.cast_unsigned());
        if now >= round.listen_key {
            round.listen_key = now + LISTEN_KEY_EVERY;
            if let Err(error) = self.json(&rest::listen_key(Method::Put)) {
                tracing::error!("listen key: {error}");
                self.again(wires, Target::Link(Link::Private));
            }
        }
        if now >= round.time {
            (round.time, round.time_asked) = (now + TIME_EVERY, now);
            self.sync_time();
            self.calibrate();
        }
        let stopping = self.stop.load(Ordering::Acquire);
        if let Some(countdown) = self.dead_man.filter(|_| now >= round.dead_man && !stopping) {
            round.dead_man = now + Nanos(countdown.0 / 4);
            if !self.turns(Slot::EngineHeartbeat, now) || !self.turns(Slot::SenderHeartbeat, now) {
                tracing::error!("the engine or the I/O thread does not turn: the dead-man switch is left to fire");
                round.dead_man = now + Nanos::from_secs(1);
                return self.counters.set(Slot::HousekeeperHeartbeat, now.0);
            }
            for at in 0..self.instruments.len() {
                let symbol = self.instruments[at].symbol;
                let armed = self.json(&rest::dead_man(&symbol, countdown));
                match armed {
                    Ok(_) => self.counters.set(Slot::DeadManAt, (now + countdown).0),
                    Err(error) => {
                        tracing::error!("dead-man switch: {error}");
                        // Once armed it fires by itself when this keeps failing; try again soon.
                        round.dead_man = self.clock.now() + Nanos::from_secs(1);
                    }
                }
            }
        }
        self.counters.set(Slot::HousekeeperHeartbeat, now.0);
    }
}

/// Closes the venue's position with reduce-only market orders, one at a time, and asks anew after each. Returns how many it took.
/// An order whose outcome is not known ends it: it is never sent again.
///
/// # Errors
/// The position cannot be had, an order was refused or its outcome is not known, or it is still not flat.
fn close_position(
    caller: &Caller,
    instrument: InstrumentId,
    terms: &Instrument,
    prefix: &Prefix,
    run: u32,
) -> anyhow::Result<u32> {
    for tries in 0..=CLOSE_TRIES {
        let found = caller.json(&rest::positions(&terms.symbol))?;
        let found = rest::position_events(&found, instrument, terms).map_err(anyhow::Error::msg)?;
        let open = found.into_iter().find_map(|event| match event {
            AccountEvent::Position { side, qty, .. } if !qty.is_zero() => Some((side, qty)),
            _ => None,
        });
        let Some((position_side, held)) = open else { return Ok(tries) };
        let command = Command {
            kind: CommandKind::Market,
            side: if held.0 > 0 { Side::Sell } else { Side::Buy },
            tif: TimeInForce::Ioc,
            position_side,
            reduce_only: true,
            instrument,
            generation: 1,
            // From the end of the run's ids, which the engine counts up from the start.
            client_id: ClientId { run, seq: u32::MAX - tries },
            price: Ticks::ZERO,
            qty: held.abs().min(terms.market_qty_max),
            decided_at: Nanos::ZERO,
        };
        anyhow::ensure!(tries < CLOSE_TRIES, "{} lots are left after {tries} orders", held.0);
        caller.json(&rest::order(&command, terms, prefix, position_side != PositionSide::Net)?)?;
    }
    unreachable!("the last pass returns")
}

/// Cancels every open order with our prefix by its id, ten in a call. Returns how many were cancelled.
///
/// # Errors
/// The open orders cannot be had, or a cancel failed for another reason than that the order is gone.
pub fn cancel_ours(
    caller: &Caller,
    instrument: InstrumentId,
    terms: &Instrument,
    prefix: &Prefix,
) -> anyhow::Result<usize> {
    let orders = caller.json(&rest::open_orders(&terms.symbol))?;
    let orders = rest::open_order_events(orders.to_string().as_bytes(), instrument, terms, prefix)
        .map_err(anyhow::Error::msg)?;
    let mut count = 0;
    let ours: Vec<ClientId> =
        orders.iter().map(|order| order.client_id).filter(|&id| id != ClientId::default()).collect();
    for ids in ours.chunks(batch::CANCELS_MAX) {
        let reply = caller.call(&batch::cancels(&terms.symbol, ids, prefix))?;
        for outcome in batch::outcomes(reply.status, &reply.body)? {
            match outcome {
                Ok(_) => count += 1,
                // Gone meanwhile: filled, or cancelled by somebody else.
                Err(refused) if refused["code"] == -2011 => {}
                Err(refused) => anyhow::bail!("cancelling orders of {}: {refused}", terms.symbol),
            }
        }
    }
    Ok(count)
}
