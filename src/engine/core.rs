//! What every input goes through, in this order: journal, step, journal, ring. Never reads a socket, never allocates after warm-up.

use super::clock::Clock;
use super::connection::LinkFault;
use super::ring::{OrderSink, Outgoing};
use super::wait::WakeHandle;
use crate::event::{ClientId, Event, Operator};
use crate::instrument::InstrumentId;
use crate::journal::{CommandPage, Counter, Counters, JournalError, Stage, Stages, Writer, record};
use crate::maker::{Maker, Output};
use crate::unit::Nanos;
use crate::venue::binance::usdm::market::{MarketDecoder, MarketMessage};

/// Why the engine thread cannot go on as it is.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// The journal takes nothing more: what cannot be remembered must not be traded.
    #[error("the journal takes no more records: {0}")]
    Journal(JournalError),
    /// The I/O thread does not take orders.
    #[error(transparent)]
    Orders(#[from] super::ring::OrdersFull),
    /// The operating system's poll failed.
    #[error("polling the sockets: {0}")]
    Poll(std::io::Error),
}

impl EngineFault {
    /// Without a journal or a poll nothing can go on, not even the orderly end: the I/O thread cancels what rests.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Journal(_) | Self::Poll(_))
    }
}

/// When the bytes behind an input arrived.
#[derive(Clone, Copy)]
pub struct Stamps {
    received_at: Nanos,
    now: Nanos,
}

impl Stamps {
    /// An input that arrived just now.
    #[must_use]
    pub const fn at(now: Nanos) -> Self {
        Self { received_at: now, now }
    }
}

/// What the thread counts itself; copied to the counters page with every timer.
#[derive(Clone, Copy, Default)]
struct Tally {
    frames: u64,
    bytes: u64,
    ignored: u64,
    protocol_errors: u64,
    link_faults: u64,
    allocations: u64,
    faults: u64,
    warm: bool,
}

/// Decision, journal and hand-over.
pub struct Core {
    /// The decision.
    pub maker: Maker,
    out: Output,
    journal: Writer,
    orders: OrderSink,
    io_wake: WakeHandle,
    counters: Counters,
    stages: Stages,
    page: CommandPage,
    page_seen: u64,
    tally: Tally,
    stopping: bool,
    kill_seen: bool,
    fault: Option<EngineFault>,
}

/// The parts that [`Core::new`] puts together.
pub struct CoreParts {
    /// The decision.
    pub maker: Maker,
    /// Where everything is remembered.
    pub journal: Writer,
    /// Orders out.
    pub orders: OrderSink,
    /// Wakes the I/O thread.
    pub io_wake: WakeHandle,
    /// What observers see.
    pub counters: Counters,
    /// Latency per stage.
    pub stages: Stages,
    /// Kill flag and operators' commands.
    pub page: CommandPage,
}

impl Core {
    /// Takes the parts; every buffer of its own has its final size.
    #[must_use]
    pub fn new(parts: CoreParts) -> Self {
        let CoreParts { maker, journal, orders, io_wake, counters, stages, page } = parts;
        Self {
            maker,
            out: Output::default(),
            journal,
            orders,
            io_wake,
            counters,
            stages,
            page_seen: page.latest_seq(),
            page,
            tally: Tally::default(),
            stopping: false,
            kill_seen: false,
            fault: None,
        }
    }

    /// One market frame: journal before parse, decode, step. A frame that is not understood is counted and left out.
    #[inline]
    pub fn frame(
        &mut self,
        decoder: &mut MarketDecoder,
        feed: usize,
        document: &mut [u8],
        len: usize,
        received_at: Nanos,
        clock: &Clock,
    ) {
        let now = clock.now();
        self.tally.frames += 1;
        self.tally.bytes += len as u64;
        self.remember(record::FRAME, now, &[&(feed as u32).to_le_bytes(), &document[..len]]);
        match decoder.decode(document, len) {
            Ok(MarketMessage::Event(event)) => {
                let decoded_at = clock.now();
                self.stages.record(Stage::Decode, decoded_at - now);
                self.maker.step(now, &event, &mut self.out);
                self.stages.record(Stage::Step, clock.now() - decoded_at);
                self.emit(Stamps { received_at, now }, clock);
            }
            Ok(_) => self.tally.ignored += 1,
            Err(_) => self.tally.protocol_errors += 1,
        }
    }

    /// A REST snapshot body, journalled like a frame.
    pub fn snapshot(
        &mut self,
        decoder: &mut MarketDecoder,
        instrument: InstrumentId,
        body: &mut [u8],
        len: usize,
        clock: &Clock,
    ) {
        let now = clock.now();
        self.remember(record::SNAPSHOT, now, &[&u32::from(instrument.0).to_le_bytes(), &body[..len]]);
        match decoder.decode_snapshot(instrument, body, len) {
            Ok(snapshot) => {
                self.maker.step(now, &Event::Snapshot(snapshot), &mut self.out);
                self.emit(Stamps::at(now), clock);
            }
            Err(_) => self.tally.protocol_errors += 1,
        }
    }

    /// Any input that is not bytes of the market.
    pub fn step(&mut self, event: &Event<'_>, stamps: Stamps, clock: &Clock) {
        let mut bytes = [0_u8; record::EVENT_MAX];
        let (kind, len) = record::encode_event(event, &mut bytes);
        self.remember(kind, stamps.now, &[&bytes[..len]]);
        self.maker.step(stamps.now, event, &mut self.out);
        self.emit(stamps, clock);
    }

    /// Journals what the step decided and hands its commands to the I/O thread.
    #[inline]
    fn emit(&mut self, stamps: Stamps, clock: &Clock) {
        for at in 0..self.out.decisions.len() {
            let bytes = self.out.decisions[at].to_bytes();
            self.remember(record::DECISION, stamps.now, &[&bytes]);
        }
        if self.out.commands.is_empty() {
            return;
        }
        for at in 0..self.out.commands.len() {
            let command = self.out.commands[at];
            let bytes = record::encode_command(&command);
            self.remember(record::COMMAND, stamps.now, &[&bytes]);
            let pushed_at = clock.now();
            if let Err(full) = self.orders.push(Outgoing { command, received_at: stamps.received_at, pushed_at }) {
                self.fail(full.into());
                break;
            }
            self.stages.record(Stage::TickToOrder, pushed_at - stamps.received_at);
        }
        self.io_wake.wake();
    }

    /// A command's bytes were handed to the kernel; only remembered.
    pub fn sent(&mut self, client_id: ClientId, generation: u32, at: Nanos, now: Nanos) {
        let bytes = record::encode_sent(client_id, generation, at);
        self.remember(record::SENT, now, &[&bytes]);
    }

    #[inline]
    fn remember(&mut self, kind: u16, now: Nanos, parts: &[&[u8]]) {
        if let Err(error) = self.journal.append(kind, now, parts) {
            self.fail(EngineFault::Journal(error));
        }
    }

    /// The first fault counts; it raises the kill flag, which the I/O thread obeys whatever this thread does.
    pub fn fail(&mut self, fault: EngineFault) {
        if self.fault.is_none() {
            self.page.raise_kill();
            self.fault = Some(fault);
        }
    }

    /// Why the engine cannot go on.
    #[must_use]
    pub const fn fault(&self) -> Option<&EngineFault> {
        self.fault.as_ref()
    }

    /// Obeys the kill flag and the operators' page.
    pub fn commands_from_page(&mut self, now: Nanos, clock: &Clock) {
        if self.page.is_killed() != self.kill_seen {
            self.kill_seen = self.page.is_killed();
            if self.kill_seen {
                self.step(&Event::Kill, Stamps::at(now), clock);
            }
        }
        while let Some((seq, verb)) = self.page.next_after(self.page_seen) {
            self.page_seen = seq;
            self.operator(verb, now, clock);
            self.page.acknowledge(seq);
        }
    }

    /// A human's command.
    pub fn operator(&mut self, verb: Operator, now: Nanos, clock: &Clock) {
        self.stopping |= verb == Operator::Stop;
        self.step(&Event::Operator(verb), Stamps::at(now), clock);
    }

    /// The run was asked to end.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Frames handled so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.tally.frames
    }

    /// A connection ended; only counted here.
    pub fn link_fault(&mut self, fault: &LinkFault) {
        self.tally.link_faults += 1;
        if fault.is_protocol() {
            self.tally.protocol_errors += 1;
        }
    }

    /// Allocator calls and page faults of this thread since the warm-up ended.
    pub fn warm(&mut self, allocations: u64, faults: u64) {
        self.tally.warm = true;
        self.tally.allocations = allocations;
        self.tally.faults = faults;
    }

    /// Copies the state that observers see to the counters page.
    pub fn publish(&mut self, now: Nanos) {
        let status = self.maker.status(InstrumentId(0));
        let page = &mut self.counters;
        let tally = self.tally;
        page.set(Counter::Frames, tally.frames as i64);
        let _ = (now, status);
    }
}
