//! What every input goes through, in this order: journal, step, ring, journal. Never reads a socket, never allocates after warm-up.

use super::clock::Clock;
use super::connection::LinkFault;
use super::housekeeper::PUBLIC_FEED;
use super::ring::{OrderSink, Outgoing};
use super::settings::HotSettings;
use super::wait::WakeHandle;
use crate::event::{ClientId, Event, Operator, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::command_page::{self, CommandWatch, Signature};
use crate::journal::counters::{CounterWriter, InstrumentSlot, ORDER_ROWS, OrderWord, Slot};
use crate::journal::histogram::{Stage, StageWriter, StageWriters};
use crate::journal::layout::{RECORD_HEADER, padded};
use crate::journal::record::{self, Calibration, FeedGap, Origin, RunEnd, RunStart, Sent};
use crate::journal::{AppendError, Writer};
use crate::maker::output::Gap;
use crate::maker::strategy::{ORDERS_MAX, WhyNot};
use crate::maker::{Blocks, Decision, Held, Ladder, Maker, OrderStatus, Output, Status};
use crate::unit::{Money, Nanos, RATE_ONE, Rate, Ticks};
use crate::venue::codec::{MarketCodec, MarketMessage};
use arrayvec::ArrayVec;

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

/// A pause between two steps beyond this means that the process was stopped or the thread stuck: timers come every few milliseconds.
const LAPSE_AFTER: Nanos = Nanos::from_secs(1);

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
    turns: u64,
    turns_idle: u64,
    decisions_lost: u64,
    account_requests: u64,
    lapses: u64,
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
    /// Traded ones first, then watched ones.
    instruments: Vec<Instrument>,
    traded: usize,
    out: Output,
    journal: Writer,
    orders: OrderSink,
    io_wake: WakeHandle,
    counters: CounterWriter,
    measured: Measured,
    watch: CommandWatch,
    stamps: bool,
    tally: Tally,
    /// Time of the last step, zero before the first.
    stepped_at: Nanos,
    stopping: bool,
    kill_seen: bool,
    warmed: bool,
    detail_due: Nanos,
    handed_over_at: Nanos,
    fault: Option<EngineFault>,
}

/// What only people look at goes to the counters page this often.
const DETAIL_INTERVAL: Nanos = Nanos::from_millis(100);

/// The parts that [`Core::new`] puts together.
pub struct CoreParts<'a> {
    /// The decision.
    pub maker: Maker,
    /// What it trades, then what it watches.
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
            traded: maker.traded(),
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
            stepped_at: Nanos::ZERO,
            stopping: false,
            kill_seen: false,
            warmed: false,
            detail_due: Nanos::ZERO,
            handed_over_at: Nanos::ZERO,
            fault: None,
        }
    }

    /// One market frame: journal before parse, decode, step. A frame that is not understood is counted and left out.
    #[inline]
    pub fn frame<D: MarketCodec>(
        &mut self,
        decoder: &mut D,
        origin: Origin,
        document: &mut [u8],
        len: usize,
        received_at: Nanos,
        clock: &Clock,
    ) {
        let now = clock.now();
        self.awake(now, clock);
        self.tally.frames += 1;
        self.tally.bytes += len as u64;
        self.remember(record::FRAME, now, &[&origin.encode(), &document[..len]]);
        match decoder.decode(document, len) {
            Ok(MarketMessage::Event(event)) => {
                let decoded_at = if self.stamps { clock.now() } else { now };
                self.maker.step(now, &event, &mut self.out);
                let decided_at = self.stamps.then(|| clock.now());
                self.emit(Stamps { received_at, now }, decided_at, clock);
                if let Some(decided_at) = decided_at {
                    self.measured.decode.record((decoded_at - now).0);
                    self.measured.decide.record((decided_at - decoded_at).0);
                    self.measured.frame.record((decided_at - received_at).0);
                    if let Some(venue_time) = venue_time(&event).filter(|time| !time.is_zero()) {
                        self.measured.feed_age.record((received_at - venue_time).0);
                    }
                }
            }
            Ok(_) => {}
            Err(_) => self.tally.decode_errors += 1,
        }
    }

    /// A REST snapshot body, journalled like a frame.
    pub fn snapshot<D: MarketCodec>(
        &mut self,
        decoder: &mut D,
        instrument: InstrumentId,
        body: &mut [u8],
        len: usize,
        clock: &Clock,
    ) {
        let now = clock.now();
        self.awake(now, clock);
        let origin = Origin { feed: u16::MAX, instrument };
        self.remember(record::SNAPSHOT, now, &[&origin.encode(), &body[..len]]);
        match decoder.decode_snapshot(instrument, body, len) {
            Ok(snapshot) => {
                self.maker.step(now, &Event::Snapshot(snapshot), &mut self.out);
                self.emit(Stamps::at(now), None, clock);
            }
            Err(_) => self.tally.decode_errors += 1,
        }
    }

    /// New settings of a strategy: their text is an input like any other. What they replace goes back in `hot`.
    pub fn reconfigure(&mut self, hot: &mut HotSettings, now: Nanos, clock: &Clock) {
        self.awake(now, clock);
        let origin = Origin { feed: u16::MAX, instrument: hot.instrument };
        self.remember(record::SETTINGS, now, &[&origin.encode(), hot.text.as_bytes()]);
        self.maker.reconfigure(now, hot.instrument, &mut hot.settings, &mut self.out);
        self.emit(Stamps::at(now), None, clock);
    }

    /// Any input that is not bytes of the market.
    pub fn step(&mut self, event: &Event<'_>, now: Nanos, clock: &Clock) {
        self.awake(now, clock);
        self.input(event, now, clock);
    }

    /// Notices time that passed without a step, before anything that waited meanwhile is taken for news.
    #[inline]
    fn awake(&mut self, now: Nanos, clock: &Clock) {
        let before = std::mem::replace(&mut self.stepped_at, now);
        if !before.is_zero() && now - before > LAPSE_AFTER {
            self.lapsed(now - before, now, clock);
        }
    }

    #[cold]
    fn lapsed(&mut self, lost: Nanos, now: Nanos, clock: &Clock) {
        self.tally.lapses += 1;
        self.input(&Event::Lapse { lost }, now, clock);
    }

    fn input(&mut self, event: &Event<'_>, now: Nanos, clock: &Clock) {
        let (kind, payload) =
            record::encode_event(event).expect("market events come as frames, which are journalled as such");
        self.remember(kind, now, &[&payload]);
        self.maker.step(now, event, &mut self.out);
        self.emit(Stamps::at(now), None, clock);
    }

    /// Journals what the step decided and hands its commands to the I/O thread: first the commands where the journal certainly takes
    /// all of it, for what cannot be remembered must not be traded. A run that dies between the two still replays: its inputs are
    /// journalled, and outputs that its end lacks are worked out again. `ready_at` is the time now, if it is known.
    #[inline]
    fn emit(&mut self, stamps: Stamps, ready_at: Option<Nanos>, clock: &Clock) {
        let out = &self.out;
        if out.commands.is_empty() {
            return self.remember_outputs(stamps.now);
        }
        let bytes = out.decisions.len() * record_bytes(size_of::<Decision>())
            + out.commands.len() * record_bytes(record::COMMAND_SIZE)
            + record_bytes(FeedGap::SIZE);
        if self.journal.has_room(bytes) {
            self.hand_over(stamps, ready_at, clock);
            self.remember_outputs(stamps.now);
        } else {
            self.remember_outputs(stamps.now);
            self.hand_over(stamps, None, clock);
        }
    }

    #[inline]
    fn hand_over(&mut self, Stamps { received_at, now }: Stamps, ready_at: Option<Nanos>, clock: &Clock) {
        // One stamp for all: they leave together, and reading the counter costs more than a push.
        let pushed_at = ready_at.unwrap_or_else(|| clock.now());
        let commands = self.out.commands.iter();
        let outgoing = commands.map(|&command| Outgoing { command, received_at, pushed_at });
        if let Err(full) = self.orders.push_all(outgoing) {
            self.fail(full.into(), now);
        }
        self.handed_over_at = clock.now();
        self.io_wake.wake();
        let count = self.out.commands.len() as u64;
        self.measured.tick_to_order.record_many((self.handed_over_at - received_at).0, count);
        self.tally.commands += count;
    }

    /// Journals what the step decided.
    #[inline]
    fn remember_outputs(&mut self, now: Nanos) {
        let out = &self.out;
        let mut taken = Ok(0);
        for decision in &out.decisions {
            let words = decision.to_words();
            taken = taken.and(self.journal.append_words(record::DECISION, now, size_of_val(&words), words));
        }
        if let Some(Gap { instrument, expected, got }) = out.gap {
            let gap = FeedGap { feed: PUBLIC_FEED as u16, instrument, expected: expected.0, got: got.0 };
            taken = taken.and(self.journal.append(record::GAP, now, &[&gap.encode()]));
        }
        for command in &out.commands {
            let words = record::command_words(command);
            taken = taken.and(self.journal.append_words(record::COMMAND, now, record::COMMAND_SIZE, words));
        }
        self.tally.decisions += out.decisions.len() as u64;
        self.tally.decisions_lost += u64::from(out.decisions_lost);
        self.tally.account_requests += out.account.len() as u64;
        if let Err(error) = taken {
            self.fail(EngineFault::Journal(error), now);
        }
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
            let mut why = arrayvec::ArrayString::<{ command_page::WHY_BYTES }>::new();
            // What does not fit is cut: the whole fault is in the summary.
            let _ = std::fmt::Write::write_fmt(&mut why, format_args!("{fault}"));
            self.watch.kill(now, &why);
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
            let signature = self.watch.killed_by();
            self.asked(0, 0, &signature, now);
            self.step(&Event::Kill, now, clock);
        }
        self.kill_seen = killed;
        if let Some(request) = self.watch.poll() {
            self.asked(request.seq, request.verb.code(), &request.signature, now);
            self.operator(request.verb, now, clock);
        }
    }

    /// Remembers who asked and why.
    fn asked(&mut self, seq: u64, verb: u8, Signature { by, why }: &Signature, now: Nanos) {
        let head = record::Asked { seq, by_len: by.len() as u16, verb, reserved: 0 };
        self.remember(record::ASKED, now, &[&head.encode(), by.as_bytes(), why.as_bytes()]);
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

    /// When the last commands were in the ring; zero before the first.
    #[must_use]
    pub const fn handed_over_at(&self) -> Nanos {
        self.handed_over_at
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
        self.warmed = true;
    }

    /// One turn of the loop is over.
    #[inline]
    pub const fn turned(&mut self, idle: bool) {
        if idle {
            self.tally.turns_idle += 1;
        } else {
            self.tally.turns += 1;
        }
    }

    /// The clock was compared with the system's; only remembered.
    pub fn calibrated(&mut self, calibration: &Calibration, now: Nanos) {
        self.remember(record::CLOCK, now, &[&calibration.encode()]);
    }

    /// Copies the state that observers see to the counters page; `feeds_up` connections bring market data.
    pub fn publish(&mut self, now: Nanos, feeds_up: usize) {
        let page = &self.counters;
        let Tally {
            frames,
            bytes,
            commands,
            decisions,
            decode_errors,
            protocol_errors,
            links_lost,
            lapses,
            turns,
            turns_idle,
            decisions_lost,
            account_requests,
        } = self.tally;
        for (slot, count) in [
            (Slot::Frames, frames),
            (Slot::FrameBytes, bytes),
            (Slot::Commands, commands),
            (Slot::Decisions, decisions),
            (Slot::DecodeErrors, decode_errors),
            (Slot::ProtocolErrors, protocol_errors),
            (Slot::Reconnects, links_lost),
            (Slot::Lapses, lapses),
            (Slot::Turns, turns),
            (Slot::TurnsIdle, turns_idle),
            (Slot::DecisionsLost, decisions_lost),
            (Slot::AccountRequests, account_requests),
            (Slot::LinksUp, (feeds_up + self.maker.links_up()) as u64),
            (Slot::JournalSeq, self.journal.last_seq()),
            (Slot::JournalAt, self.journal.position()),
            (Slot::JournalLost, self.journal.lost_total()),
            (Slot::RingFree, self.orders.free() as u64),
        ] {
            page.set(slot, count.cast_signed());
        }
        page.set(Slot::EngineHeartbeat, now.0);
        page.set(Slot::Widened, i64::from(self.maker.widened_percent()));
        let detail = now >= self.detail_due || self.stopping;
        for at in 0..self.instruments.len() {
            let status = self.maker.status(InstrumentId(at as u16));
            publish_instrument(page, at, &status);
            if at >= self.traded {
                continue;
            }
            page.set(Slot::Refusals, status.counters.refused.cast_signed());
            page.set(Slot::Killed, i64::from(matches!(status.ladder, Ladder::Killed(_))));
            page.set(Slot::Paused, i64::from(!status.blocks.is_empty()));
            if detail {
                publish_detail(page, at, &status);
                publish_orders(page, at, self.maker.orders(InstrumentId(at as u16)));
            }
        }
        if detail {
            self.detail_due = now + DETAIL_INTERVAL;
            let margin = self.maker.margin();
            for (slot, value) in [
                (Slot::Wallet, page_money(margin.wallet)),
                (Slot::Available, page_money(margin.available)),
                (Slot::Equity, page_money(margin.equity)),
                (Slot::MarginUsed, page_money(margin.used)),
                (Slot::MarginRatio, margin.ratio.map_or(0, page_fraction)),
                (Slot::MarginLevel, margin.level as i64),
            ] {
                page.set(slot, value);
            }
        }
    }

    /// The first record.
    pub fn begin(&mut self, run: u32, feeds: usize, now: Nanos) {
        self.stepped_at = now;
        let start = RunStart { run, instruments: self.instruments.len() as u16, feeds: feeds as u16, seed: 0 };
        self.remember(record::RUN_START, now, &[&start.encode()]);
    }

    /// Ends the journal in order and gives back what the summary needs.
    #[must_use]
    pub fn finish(mut self, now: Nanos) -> Finished {
        if self.fault.is_none() {
            self.remember(record::RUN_END, now, &[&RunEnd { reason: u8::from(!self.maker.is_quiet()) }.encode()]);
        }
        let statuses = (0..self.traded).map(|at| self.maker.status(InstrumentId(at as u16))).collect();
        let quiet = self.maker.is_quiet();
        self.journal.close();
        Finished {
            statuses,
            quiet,
            fault: self.fault,
            frames: self.tally.frames,
            decode_errors: self.tally.decode_errors,
            warmed: self.warmed,
        }
    }
}

/// What a record of a payload takes in the journal.
const fn record_bytes(payload: usize) -> usize {
    padded(RECORD_HEADER + payload)
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
    /// The warm-up ended: allocations and page faults were counted.
    pub warmed: bool,
}

fn publish_instrument(page: &CounterWriter, at: usize, status: &Status) {
    let level = |level: Option<crate::event::Level>| level.unwrap_or_default();
    let money = |value: i128| page_money(Money(value));
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
        (InstrumentSlot::BookMismatches, counters.mismatches.cast_signed()),
        (InstrumentSlot::BookDropped, counters.dropped.cast_signed()),
        (InstrumentSlot::MarketTime, status.market_time.0),
        (InstrumentSlot::Position, status.position.0),
        (InstrumentSlot::OwnBid, tick(own_bid.price)),
        (InstrumentSlot::OwnBidQty, own_bid.qty.0),
        (InstrumentSlot::OwnAsk, tick(own_ask.price)),
        (InstrumentSlot::OwnAskQty, own_ask.qty.0),
        (InstrumentSlot::OrdersLive, i64::from(status.live_orders)),
        (InstrumentSlot::OrdersPending, i64::from(status.pending_orders)),
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

/// The page's money has eight decimals.
fn page_money(value: Money) -> i64 {
    i64::try_from(value.0 / 10_i128.pow(10)).unwrap_or(if value.0 < 0 { i64::MIN } else { i64::MAX })
}

/// As the page's money.
fn page_fraction(rate: Rate) -> i64 {
    rate.0 / (RATE_ONE / 100_000_000)
}

/// What of an instrument only people look at.
fn publish_detail(page: &CounterWriter, at: usize, status: &Status) {
    use InstrumentSlot as S;
    let money = |value: i128| page_money(Money(value));
    let funding = status.funding.unwrap_or_default();
    let internals = &status.internals;
    let [size_buy, size_sell] = internals.size_factor.unwrap_or_default().map(page_fraction);
    let [inventory, funding_skew] = internals.skew.unwrap_or_default().map(page_fraction);
    let [blocked_bid, blocked_ask] = internals.blocked.map(|why: Option<WhyNot>| why.map_or(0, |why| why as i64));
    for (slot, value) in [
        (S::Mark, money(status.mark.0)),
        (S::PositionWorst, status.worst.0),
        (S::VolumeBuy, status.counters.bought.cast_signed()),
        (S::VolumeSell, status.counters.sold.cast_signed()),
        (S::PnlTrading, page_money(status.pnl.trading())),
        (S::PnlMark, page_money(status.pnl.mark_to_market)),
        (S::Leverage, i64::from(status.leverage)),
        (S::FundingRate, page_fraction(funding.rate)),
        (S::FundingHours, i64::from(funding.interval_hours)),
        (S::FundingNext, funding.next.0),
        (S::FundingDaily, page_money(status.funding_daily)),
        (S::Blocks, i64::from(status.blocks.0)),
        (S::Phase, internals.phase as i64),
        (S::QuotesDue, internals.quotes_due.0),
        (S::RefreshDue, internals.refresh_due.0),
        (S::SizeFactorBuy, size_buy),
        (S::SizeFactorSell, size_sell),
        (S::SkewInventory, inventory),
        (S::SkewFunding, funding_skew),
        (S::BaseShare, internals.base_share.map_or(0, page_fraction)),
        (S::ProfitShare, internals.profit_share.map_or(0, page_fraction)),
        (S::BlockedBid, blocked_bid),
        (S::BlockedAsk, blocked_ask),
    ] {
        page.set_of(at, slot, value);
    }
    let [net, long, short] = status.held;
    let slots = |held: &Held| [held.entry.0, held.liquidation.0, held.unrealized.0].map(money);
    for (held, [entry, liquidation, unrealized]) in [
        (net, [S::Entry, S::Liquidation, S::Unrealized]),
        (long, [S::LongEntry, S::LongLiquidation, S::LongUnrealized]),
        (short, [S::ShortEntry, S::ShortLiquidation, S::ShortUnrealized]),
    ] {
        for (slot, value) in [entry, liquidation, unrealized].into_iter().zip(slots(&held)) {
            page.set_of(at, slot, value);
        }
    }
    page.set_of(at, S::LongPosition, long.qty.0);
    page.set_of(at, S::ShortPosition, short.qty.0);
}

/// Our best orders of each side, nearest first; what is further out finds no row.
fn publish_orders(page: &CounterWriter, at: usize, orders: impl Iterator<Item = OrderStatus>) {
    let mut all: ArrayVec<OrderStatus, ORDERS_MAX> = orders.take(ORDERS_MAX).collect();
    all.sort_unstable_by_key(|order| (order.side as u8, -order.price.0 * order.side.sign(), order.id));
    let bids = all.partition_point(|order| order.side == Side::Buy);
    for (side, of_side) in [&all[..bids], &all[bids..]].into_iter().enumerate() {
        for row in 0..ORDER_ROWS {
            let order = of_side.get(row);
            let value = |of: fn(&OrderStatus) -> i64| order.map_or(0, of);
            for (word, value) in [
                (OrderWord::Id, value(|order| i64::from(order.id.seq))),
                (OrderWord::Price, value(|order| order.price.0)),
                (OrderWord::Qty, value(|order| order.rest.0)),
                (OrderWord::Ahead, value(|order| order.ahead.map_or(-1, |ahead| ahead.0))),
                (OrderWord::Level, value(|order| i64::from(order.level))),
                (OrderWord::Purpose, value(|order| order.purpose as i64)),
                (OrderWord::Created, value(|order| order.created_at.0)),
            ] {
                page.set_order(at, side, row, word, value);
            }
        }
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
