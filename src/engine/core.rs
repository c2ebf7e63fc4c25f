//! What every input goes through, in this order: journal, step, journal, ring. Never reads a socket, never allocates after warm-up.

use super::clock::Clock;
use super::connection::LinkFault;
use super::ring::{OrderSink, Outgoing};
use super::wait::WakeHandle;
use crate::event::{ClientId, Event, Operator};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::command_page::CommandWatch;
use crate::journal::counters::{CounterWriter, InstrumentSlot, Slot};
use crate::journal::histogram::{Stage, StageWriter, StageWriters};
use crate::journal::record::{self, Origin, RunEnd, RunStart, Sent};
use crate::journal::{AppendError, Writer};
use crate::maker::{Blocks, Ladder, Maker, Output, Status};
use crate::unit::{Nanos, Ticks};
use crate::venue::binance::usdm::market::MarketDecoder;
use crate::venue::codec::MarketMessage;

/// Why the engine thread cannot go on as it is.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// The journal takes nothing more: what cannot be remembered must not be traded.
    #[error("the journal takes no more records: {0}")]
    Journal(AppendError),
    /// The I/O thread does not take orders.
    #[error(transparent)]
    Orders(#[from] super::ring::OrdersFull),
    /// The operating system's poll failed.
    #[error("polling the sockets: {0}")]
    Poll(std::io::Error),
}

/// When the bytes behind an input arrived, and the time of its step.
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
    commands: u64,
    decisions: u64,
    decode_errors: u64,
    protocol_errors: u64,
    links_lost: u64,
}

/// The stages that this thread measures.
struct Measured {
    decode: StageWriter,
    decide: StageWriter,
    frame: StageWriter,
    tick_to_order: StageWriter,
    feed_age: StageWriter,
}

/// Decision, journal and hand-over.
pub struct Core {
    /// The decision.
    pub maker: Maker,
    instruments: Vec<Instrument>,
    out: Output,
    journal: Writer,
    orders: OrderSink,
    io_wake: WakeHandle,
    counters: CounterWriter,
    measured: Measured,
    watch: CommandWatch,
    stamps: bool,
    tally: Tally,
    stopping: bool,
    kill_seen: bool,
    fault: Option<EngineFault>,
}

/// The parts that [`Core::new`] puts together.
pub struct CoreParts<'a> {
    /// The decision.
    pub maker: Maker,
    /// What it trades.
    pub instruments: Vec<Instrument>,
    /// Where everything is remembered.
    pub journal: Writer,
    /// Orders out.
    pub orders: OrderSink,
    /// Wakes the I/O thread.
    pub io_wake: WakeHandle,
    /// What observers see.
    pub counters: CounterWriter,
    /// Latency per stage; the engine's are taken.
    pub stages: &'a mut StageWriters,
    /// Kill flag and operators' commands.
    pub watch: CommandWatch,
    /// A time stamp per stage of each frame.
    pub stamps: bool,
}

impl Core {
    /// Takes the parts; every buffer of its own has its final size.
    #[must_use]
    pub fn new(parts: CoreParts<'_>) -> Self {
        let CoreParts { maker, instruments, journal, orders, io_wake, counters, stages, watch, stamps } = parts;
        let measured = Measured {
            decode: stages.take(Stage::Decode),
            decide: stages.take(Stage::Decide),
            frame: stages.take(Stage::Frame),
            tick_to_order: stages.take(Stage::TickToOrder),
            feed_age: stages.take(Stage::FeedAge),
        };
        Self {
            maker,
            instruments,
            out: Output::default(),
            journal,
            orders,
            io_wake,
            counters,
            measured,
            watch,
            stamps,
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
        origin: Origin,
        document: &mut [u8],
        len: usize,
        received_at: Nanos,
        clock: &Clock,
    ) {
        let now = clock.now();
        self.tally.frames += 1;
        self.tally.bytes += len as u64;
        self.remember(record::FRAME, now, &[&origin.encode(), &document[..len]]);
        match decoder.decode(document, len) {
            Ok(MarketMessage::Event(event)) => {
                let decoded_at = if self.stamps { clock.now() } else { now };
                self.maker.step(now, &event, &mut self.out);
                if self.stamps {
                    let decided_at = clock.now();
                    self.measured.decode.record((decoded_at - now).0);
                    self.measured.decide.record((decided_at - decoded_at).0);
                    self.measured.frame.record((decided_at - received_at).0);
                    if let Some(venue_time) = venue_time(&event) {
                        self.measured.feed_age.record((received_at - venue_time).0);
                    }
                }
                self.emit(Stamps { received_at, now }, clock);
            }
            Ok(_) => {}
            Err(_) => self.tally.decode_errors += 1,
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
        let origin = Origin { feed: u16::MAX, instrument };
        self.remember(record::SNAPSHOT, now, &[&origin.encode(), &body[..len]]);
        match decoder.decode_snapshot(instrument, body, len) {
            Ok(snapshot) => {
                self.maker.step(now, &Event::Snapshot(snapshot), &mut self.out);
                self.emit(Stamps::at(now), clock);
            }
            Err(_) => self.tally.decode_errors += 1,
        }
    }

    /// Any input that is not bytes of the market.
    pub fn step(&mut self, event: &Event<'_>, now: Nanos, clock: &Clock) {
        let (kind, payload) =
            record::encode_event(event).expect("market events come as frames, which are journalled as such");
        self.remember(kind, now, &[&payload]);
        self.maker.step(now, event, &mut self.out);
        self.emit(Stamps::at(now), clock);
    }

    /// Journals what the step decided and hands its commands to the I/O thread.
    #[inline]
    fn emit(&mut self, stamps: Stamps, clock: &Clock) {
        for at in 0..self.out.decisions.len() {
            let bytes = self.out.decisions[at].to_bytes();
            self.remember(record::DECISION, stamps.now, &[&bytes]);
        }
        self.tally.decisions += self.out.decisions.len() as u64;
        if self.out.commands.is_empty() {
            return;
        }
        // All of them are remembered before the first one leaves: a run that ends in the middle still replays.
        for at in 0..self.out.commands.len() {
            let payload = record::encode_command(&self.out.commands[at]);
            self.remember(record::COMMAND, stamps.now, &[&payload]);
        }
        // One stamp for all: they leave together, and reading the counter costs more than a push.
        let pushed_at = clock.now();
        for at in 0..self.out.commands.len() {
            let command = self.out.commands[at];
            if let Err(full) = self.orders.push(Outgoing { command, received_at: stamps.received_at, pushed_at }) {
                self.fail(full.into(), stamps.now);
                break;
            }
        }
        let count = self.out.commands.len() as u64;
        self.measured.tick_to_order.record_many((pushed_at - stamps.received_at).0, count);
        self.tally.commands += self.out.commands.len() as u64;
        self.io_wake.wake();
    }

    /// A command's bytes were handed to the kernel; only remembered.
    pub fn sent(&mut self, client_id: ClientId, generation: u32, at: Nanos, now: Nanos) {
        self.remember(record::SENT, now, &[&Sent { client_id, generation, at }.encode()]);
    }

    #[inline]
    fn remember(&mut self, kind: u16, now: Nanos, parts: &[&[u8]]) {
        if let Err(error) = self.journal.append(kind, now, parts) {
            self.fail(EngineFault::Journal(error), now);
        }
    }

    /// The first fault counts; it raises the kill flag, which the I/O thread obeys whatever this thread does.
    pub fn fail(&mut self, fault: EngineFault, now: Nanos) {
        if self.fault.is_none() {
            self.watch.kill(now);
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
        let killed = self.watch.killed();
        if killed && !self.kill_seen {
            self.step(&Event::Kill, now, clock);
        }
        self.kill_seen = killed;
        if let Some(verb) = self.watch.poll() {
            self.operator(verb, now, clock);
        }
    }

    /// A human's command.
    pub fn operator(&mut self, verb: Operator, now: Nanos, clock: &Clock) {
        self.stopping |= verb == Operator::Stop;
        self.step(&Event::Operator(verb), now, clock);
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

    /// A connection ended; only counted here. A peer that closes or vanishes breaks no protocol.
    pub fn link_lost(&mut self, fault: &LinkFault) {
        self.tally.links_lost += 1;
        self.tally.protocol_errors += u64::from(fault.is_protocol());
    }

    /// Allocator calls and page faults of this thread since the warm-up ended.
    pub fn warm(&mut self, allocations: u64, faults: u64) {
        self.counters.set(Slot::Allocations, allocations.cast_signed());
        self.counters.set(Slot::PageFaults, faults.cast_signed());
    }

    /// Copies the state that observers see to the counters page.
    pub fn publish(&mut self, now: Nanos) {
        let page = &self.counters;
        let Tally { frames, bytes, commands, decisions, decode_errors, protocol_errors, links_lost } = self.tally;
        for (slot, count) in [
            (Slot::Frames, frames),
            (Slot::FrameBytes, bytes),
            (Slot::Commands, commands),
            (Slot::Decisions, decisions),
            (Slot::DecodeErrors, decode_errors),
            (Slot::ProtocolErrors, protocol_errors),
            (Slot::Reconnects, links_lost),
            (Slot::JournalSeq, self.journal.last_seq()),
            (Slot::JournalLost, self.journal.lost_total()),
            (Slot::RingFree, self.orders.free() as u64),
        ] {
            page.set(slot, count.cast_signed());
        }
        page.set(Slot::EngineHeartbeat, now.0);
        for at in 0..self.instruments.len() {
            let status = self.maker.status(InstrumentId(at as u16));
            publish_instrument(page, at, &status);
            page.set(Slot::Refusals, status.counters.refused.cast_signed());
            page.set(Slot::Killed, i64::from(matches!(status.ladder, Ladder::Killed(_))));
            page.set(Slot::Paused, i64::from(!status.blocks.is_empty()));
        }
    }

    /// The first record.
    pub fn begin(&mut self, run: u32, feeds: usize, now: Nanos) {
        let start = RunStart { run, instruments: self.instruments.len() as u16, feeds: feeds as u16, seed: 0 };
        self.remember(record::RUN_START, now, &[&start.encode()]);
    }

    /// Ends the journal in order and gives back what the summary needs.
    #[must_use]
    pub fn finish(mut self, now: Nanos) -> Finished {
        if self.fault.is_none() {
            self.remember(record::RUN_END, now, &[&RunEnd { reason: u8::from(!self.maker.is_quiet()) }.encode()]);
        }
        let statuses = (0..self.instruments.len()).map(|at| self.maker.status(InstrumentId(at as u16))).collect();
        let quiet = self.maker.is_quiet();
        self.journal.close();
        Finished {
            statuses,
            quiet,
            fault: self.fault,
            frames: self.tally.frames,
            decode_errors: self.tally.decode_errors,
        }
    }
}

/// The core's last state.
pub struct Finished {
    /// Per instrument.
    pub statuses: Vec<Status>,
    /// No order of ours was live or in doubt.
    pub quiet: bool,
    /// Why it ended, if it could not go on.
    pub fault: Option<EngineFault>,
    /// Frames handled.
    pub frames: u64,
    /// Frames that were not understood.
    pub decode_errors: u64,
}

fn publish_instrument(page: &CounterWriter, at: usize, status: &Status) {
    let level = |level: Option<crate::event::Level>| level.unwrap_or_default();
    // The page's money has eight decimals.
    let money = |value: i128| i64::try_from(value / 10_i128.pow(10)).unwrap_or(i64::MAX);
    let tick = |price: Ticks| price.0;
    let [bid, ask] = status.best.map(level);
    let [own_bid, own_ask] = status.own.map(level);
    let counters = &status.counters;
    for (slot, value) in [
        (InstrumentSlot::Mid, money(status.mid.0)),
        (InstrumentSlot::Bid, tick(bid.price)),
        (InstrumentSlot::Ask, tick(ask.price)),
        (InstrumentSlot::InSync, i64::from(!status.blocks.any(Blocks::BOOK))),
        (InstrumentSlot::BookGaps, counters.gaps.cast_signed()),
        (InstrumentSlot::BookResyncs, counters.resyncs.cast_signed()),
        (InstrumentSlot::BookCrossed, counters.crossed.cast_signed()),
        (InstrumentSlot::MarketTime, status.now.0),
        (InstrumentSlot::Position, status.position.0),
        (InstrumentSlot::Entry, money(status.entry.0)),
        (InstrumentSlot::OwnBid, tick(own_bid.price)),
        (InstrumentSlot::OwnBidQty, own_bid.qty.0),
        (InstrumentSlot::OwnAsk, tick(own_ask.price)),
        (InstrumentSlot::OwnAskQty, own_ask.qty.0),
        (InstrumentSlot::OrdersLive, i64::from(status.live_orders)),
        (InstrumentSlot::FillsBuy, counters.fills_buy.cast_signed()),
        (InstrumentSlot::FillsSell, counters.fills_sell.cast_signed()),
        (InstrumentSlot::PnlSpread, money(status.pnl.spread.0)),
        (InstrumentSlot::PnlInventory, money(status.pnl.inventory.0)),
        (InstrumentSlot::PnlFees, -money(status.pnl.fees.0)),
        (InstrumentSlot::PnlFunding, money(status.pnl.funding.0)),
        (InstrumentSlot::PnlTotal, money(status.pnl.total().0)),
    ] {
        page.set_of(at, slot, value);
    }
}

/// The venue's time of a market event.
const fn venue_time(event: &Event<'_>) -> Option<Nanos> {
    Some(match event {
        Event::Depth(update) => update.venue_time,
        Event::Quote(quote) => quote.venue_time,
        Event::Trade(trade) => trade.venue_time,
        Event::Mark(mark) => mark.venue_time,
        _ => return None,
    })
}
