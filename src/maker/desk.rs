//! One instrument at work: its market, when its strategy decides, and how intents and wishes become gate-checked commands.
//! Answers of the venue are in `answer`; whether a message may go out is the gate's word.

use super::account::{Account, plain};
use super::config::InstrumentSetup;
use super::order::diff::{INTENTS_MAX, diff};
use super::order::table::SLOTS;
use super::order::{FillLog, Input, Intent, Leg, Slot, State, Table, Wish};
use super::output::{Blocks, Counters, Decision, DecisionKind, Output, Status};
use super::position::Holdings;
use super::risk::{Exposure, Facts, Refusal};
use super::strategy::{
    BookView, Cadence, Cause, External, FundingView, ORDERS_MAX, OwnEvent, OwnOrder, Plan, PositionView, Purpose,
    Quote, Strategy, View,
};
use crate::book::{Book, DepthOutcome, QuoteOutcome};
use crate::event::{
    BestQuote, ClientId, Command, CommandKind, DepthSnapshot, DepthUpdate, Level, LinkState, MarkPrice, PositionSide,
    Side, TimeInForce, Trade,
};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Nanos, Price, Rate, Ticks};
use arrayvec::ArrayVec;

/// A side that waits after a refusal by the venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BackOff {
    pub(super) until: Nanos,
    pub(super) streak: u32,
}

impl BackOff {
    const NONE: Self = Self { until: Nanos(i64::MIN), streak: 0 };
    const DOUBLINGS_MAX: u32 = 6;

    /// One more refusal. Exits wait the plain delay: they must not be kept from the market.
    pub(super) fn refuse(&mut self, now: Nanos, delay: Nanos, purpose: Purpose) {
        let doublings = if purpose == Purpose::Entry { self.streak.min(Self::DOUBLINGS_MAX) } else { 0 };
        self.until = now + delay * (1 << doublings);
        self.streak += 1;
    }
}

/// Closing of the position on an operator's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flatten {
    pub(super) tries: u32,
    pub(super) not_before: Nanos,
}

/// What woke the desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wake {
    /// Its market or its orders.
    Event,
    /// Time, or something of the account.
    Timer,
}

/// Refusals of the gate are journalled when they are new for their side and level, or this old.
const REFUSAL_REPEAT: Nanos = Nanos::from_secs(1);
const LEVELS: usize = 16;

pub(super) struct Desk {
    pub(super) id: InstrumentId,
    pub(super) instrument: Instrument,
    pub(super) source: Option<InstrumentId>,
    pub(super) book: Book,
    pub(super) table: Table,
    pub(super) log: FillLog,
    pub(super) holdings: Holdings,
    pub(super) counters: Counters,
    pub(super) back_off: [BackOff; 2],
    pub(super) flatten: Option<Flatten>,
    /// Some slot has executions outstanding.
    pub(super) behind: bool,
    /// Some slot has something to send.
    pub(super) work: bool,
    /// Position sides named by the reconciliation under way.
    pub(super) named: [bool; 3],
    strategy: Box<dyn Strategy>,
    cadence: Cadence,
    started: bool,
    last_tick: Nanos,
    market: LinkState,
    last_market: Nanos,
    data_time: Nanos,
    snapshot_asked: Option<Nanos>,
    last_trade: Option<Price>,
    mark: Option<Price>,
    funding: Option<FundingView>,
    custom: Option<Price>,
    blocks: Blocks,
    was_ready: bool,
    plan: Plan,
    orders: ArrayVec<OwnOrder, ORDERS_MAX>,
    positions: ArrayVec<PositionView, 3>,
    intents: ArrayVec<Intent, INTENTS_MAX>,
    refused: [[Option<(Refusal, Nanos)>; LEVELS]; 2],
}

impl BookView for Book {
    fn best(&self, side: Side) -> Option<Level> {
        Self::best(self, side)
    }
    fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        Self::behind(self, side, price)
    }
}

impl Desk {
    pub(super) fn new(id: InstrumentId, setup: InstrumentSetup, account: &Account) -> Self {
        Self {
            id,
            source: setup.source,
            book: Book::new(&setup.instrument),
            table: Table::new(account.config.slot_quiet),
            log: FillLog::new(),
            holdings: Holdings::new(&setup.instrument),
            counters: Counters::default(),
            back_off: [BackOff::NONE; 2],
            flatten: None,
            behind: false,
            work: false,
            named: [false; 3],
            instrument: setup.instrument,
            strategy: setup.strategy,
            cadence: setup.cadence,
            started: false,
            last_tick: Nanos(i64::MIN),
            market: LinkState::Down,
            last_market: Nanos::ZERO,
            data_time: Nanos::ZERO,
            snapshot_asked: None,
            last_trade: None,
            mark: None,
            funding: None,
            custom: None,
            blocks: Blocks::default().with(Blocks::BOOK | Blocks::MARKET, true),
            was_ready: false,
            plan: Plan::default(),
            orders: ArrayVec::new(),
            positions: ArrayVec::new(),
            intents: ArrayVec::new(),
            refused: [[None; LEVELS]; 2],
        }
    }

    // ---- the market ----

    pub(super) fn on_depth(&mut self, now: Nanos, update: &DepthUpdate<'_>, out: &mut Output) {
        self.heard(now, update.venue_time);
        let outcome = self.book.on_depth(update);
        self.after_book(matches!(outcome, DepthOutcome::Gap { .. } | DepthOutcome::Mismatch { .. }), out);
    }

    pub(super) fn on_snapshot(&mut self, now: Nanos, snapshot: &DepthSnapshot<'_>, out: &mut Output) {
        self.heard(now, snapshot.venue_time);
        // Where it does not join the diffs the book still wants one, and the next is asked for at once.
        self.snapshot_asked = None;
        let outcome = self.book.on_snapshot(snapshot);
        self.after_book(matches!(outcome, DepthOutcome::Mismatch { .. }), out);
    }

    pub(super) fn on_quote(&mut self, now: Nanos, quote: &BestQuote, out: &mut Output) {
        self.heard(now, quote.venue_time);
        let outcome = self.book.on_quote(quote);
        self.after_book(outcome == QuoteOutcome::Mismatch, out);
    }

    pub(super) fn on_trade(&mut self, now: Nanos, trade: &Trade) {
        self.heard(now, trade.venue_time);
        self.last_trade = Some(self.instrument.price(trade.price));
    }

    pub(super) fn on_mark(&mut self, now: Nanos, mark: &MarkPrice) {
        self.heard(now, mark.venue_time);
        self.mark = Some(mark.mark);
        self.funding = Some(FundingView {
            rate: mark.funding_rate,
            next: mark.next_funding,
            interval_hours: self.instrument.funding_interval_hours,
        });
    }

    pub(super) fn on_external(&mut self, price: Price) {
        self.custom = Some(price);
    }

    pub(super) fn on_market_link(&mut self, now: Nanos, state: LinkState) {
        // What was missed while it was away is unknown, so the book starts anew in either direction; silence alone keeps it.
        if state != LinkState::Stale {
            self.book.reset();
            self.snapshot_asked = None;
        }
        if state == LinkState::Up {
            self.last_market = now;
        }
        self.market = state;
    }

    fn heard(&mut self, now: Nanos, venue_time: Nanos) {
        self.last_market = now;
        self.data_time = self.data_time.max(venue_time);
    }

    fn after_book(&mut self, lost: bool, out: &mut Output) {
        if lost {
            self.snapshot_asked = None;
            out.note(Decision::of(DecisionKind::Gap, self.id, Cause::Withdraw));
        }
        if let Some([bid, ask]) = self.touch() {
            self.holdings.mark(bid.price, ask.price);
        }
    }

    /// Best levels, only while the book can be quoted on.
    pub(super) fn touch(&self) -> Option<[Level; 2]> {
        Some([self.book.best(Side::Buy)?, self.book.best(Side::Sell)?])
    }

    /// What a strategy of another instrument may read of this market; nothing while it is not to be trusted.
    pub(super) fn as_source(&self, now: Nanos, stale: Nanos) -> External {
        match self.touch() {
            Some([bid, ask]) if self.market == LinkState::Up && now - self.last_market <= stale => External {
                bid: Some(self.instrument.price(bid.price)),
                ask: Some(self.instrument.price(ask.price)),
                last: self.last_trade,
                custom: None,
            },
            _ => External::default(),
        }
    }

    // ---- the turn ----

    /// Everything that follows from an event: withdraw or decide, then send what can be sent.
    pub(super) fn advance(
        &mut self,
        account: &mut Account,
        now: Nanos,
        wake: Wake,
        source: External,
        out: &mut Output,
    ) {
        let due = self.tick(now, wake);
        self.review_blocks(account, now, out);
        // A strategy's requests of one decision must find room.
        if self.blocks.is_empty() && due && out.account.remaining_capacity() >= self.plan.account.capacity() {
            self.decide(account, now, source, out);
        }
        if self.work {
            self.pump(account, now, out);
        }
        if self.flatten.is_some() {
            self.close_position(account, now, out);
        }
        self.ask_snapshot(account, now, out);
    }

    /// Moves the strategy's clock; true if a decision is due.
    fn tick(&mut self, now: Nanos, wake: Wake) -> bool {
        match self.cadence {
            Cadence::EveryEvent => wake == Wake::Event || now >= self.strategy.next_timer(),
            Cadence::Interval(span) => {
                let tick = Nanos(now.0.div_euclid(span.0) * span.0);
                let due = tick > self.last_tick;
                self.last_tick = self.last_tick.max(tick);
                due
            }
        }
    }

    /// The strategy's clock: the last tick, or now.
    pub(super) fn clock(&self, now: Nanos) -> Nanos {
        match self.cadence {
            Cadence::EveryEvent => now,
            Cadence::Interval(_) => self.last_tick.max(Nanos::ZERO),
        }
    }

    /// Once per loss of sequence, and again when no answer came.
    fn ask_snapshot(&mut self, account: &mut Account, now: Nanos, out: &mut Output) {
        let asked = self.snapshot_asked.is_some_and(|asked| now - asked < account.config.snapshot_retry);
        if self.market != LinkState::Up || !self.book.wants_snapshot() || asked || out.commands.is_full() {
            return;
        }
        if account.gate.check_plain(now).is_ok() {
            out.commands.push(plain(CommandKind::Snapshot, self.id, now));
            self.snapshot_asked = Some(now);
        }
    }

    fn review_blocks(&mut self, account: &Account, now: Nanos, out: &mut Output) {
        let market_up = self.market == LinkState::Up;
        let blocks = account
            .blocks()
            .with(Blocks::BOOK, self.touch().is_none())
            .with(Blocks::MARKET, !market_up)
            .with(Blocks::STALE, market_up && now - self.last_market > account.config.market_stale)
            .with(Blocks::FLATTEN, self.flatten.is_some());
        let before = std::mem::replace(&mut self.blocks, blocks);
        // Until the first readiness only what concerns the account or a human takes adopted orders away.
        let mut withdrawing = !Blocks::RECONCILE;
        if !self.was_ready {
            withdrawing &= !(Blocks::BOOK | Blocks::MARKET | Blocks::STALE | Blocks::PRIVATE | Blocks::ENTRY);
        }
        if blocks.any(withdrawing) {
            let human = Blocks::LADDER | Blocks::STOP | Blocks::FLATTEN;
            let cause = if blocks.any(human) { Cause::Operator } else { Cause::Withdraw };
            if self.withdraw(now, cause) || (before.is_empty() && self.was_ready) {
                self.counters.withdrawn += 1;
                let detail = i64::from(blocks.0);
                out.note(Decision { detail, ..Decision::of(DecisionKind::Withdrawn, self.id, cause) });
            }
        }
        if blocks.is_empty() && !before.is_empty() {
            self.was_ready = true;
            out.note(Decision::of(DecisionKind::Ready, self.id, Cause::Quote));
        }
    }

    /// Wishes every live order away. True if that is news for any.
    pub(super) fn withdraw(&mut self, now: Nanos, cause: Cause) -> bool {
        let clock = self.clock(now);
        let mut news = false;
        for at in 0..self.table.live_count() {
            let place = self.table.live_place(at);
            let slot = self.table.at_mut(place);
            if !slot.market {
                news |= slot.wish_cancel(clock, cause);
            }
        }
        self.work |= news;
        news
    }

    /// Nothing of ours rests, is under way or is unknown.
    pub(super) fn is_quiet(&self) -> bool {
        self.table.live_count() == 0
    }

    // ---- the decision ----

    fn decide(&mut self, account: &mut Account, now: Nanos, source: External, out: &mut Output) {
        let clock = self.clock(now);
        self.plan.clear();
        if !self.started {
            self.started = true;
            self.strategy.start(clock, &mut self.plan);
        }
        self.table.view(&mut self.orders);
        self.holdings.view(&mut self.positions);
        let mid = self.touch().map(|[bid, ask]| self.instrument.mid(bid.price, ask.price));
        let view = View {
            now: clock,
            instrument: &self.instrument,
            book: &self.book,
            last_trade: self.last_trade,
            mark: self.mark,
            funding: self.funding,
            external: External { custom: self.custom, ..source },
            orders: &self.orders,
            positions: &self.positions,
            available: account.available,
            available_base: crate::unit::Amount::ZERO,
            wallet: account.wallet,
            unrealized: self
                .mark
                .or(mid)
                .map_or(crate::unit::Money::ZERO, |price| self.holdings.unrealized(&self.instrument, price)),
            widen: Rate::ONE,
        };
        self.strategy.decide(&view, &mut self.plan);
        for &request in &self.plan.account {
            out.account.push((self.id, request));
        }
        self.execute(account, now, clock, out);
    }

    fn execute(&mut self, account: &mut Account, now: Nanos, clock: Nanos, out: &mut Output) {
        if self.plan.cancel.is_empty() && self.plan.place.is_empty() {
            return;
        }
        let mut intents = std::mem::take(&mut self.intents);
        diff(&self.plan, &self.table, account.config.amend, &mut intents);
        for &intent in &intents {
            match intent {
                Intent::Cancel(place, cause) => {
                    self.work |= self.table.at_mut(place).wish_cancel(clock, cause);
                }
                Intent::Keep(place, quote, cause) => {
                    self.counters.kept += 1;
                    self.renew(place, &quote, clock);
                    let slot = self.table.at_mut(place);
                    if let Wish::Amend(..) = slot.wish {
                        slot.wish = Wish::Amend(quote, cause);
                    }
                    let decision = self.decision(DecisionKind::Kept, place, cause);
                    out.note(decision);
                }
                Intent::Amend(place, quote, cause) => {
                    self.renew(place, &quote, clock);
                    self.table.at_mut(place).wish = Wish::Amend(quote, cause);
                    self.work = true;
                }
                Intent::Place(..) => {}
            }
        }
        // Cancels and amends leave before new orders: they make room in the worst case.
        if self.work {
            self.pump(account, now, out);
        }
        for &intent in &intents {
            if let Intent::Place(quote, cause) = intent {
                self.place(account, &quote, cause, now, clock, out);
            }
        }
        self.intents = intents;
    }

    /// To the strategy the order is a new one from now on.
    fn renew(&mut self, place: usize, quote: &Quote, clock: Nanos) {
        self.table.renew(place);
        let slot = self.table.at_mut(place);
        slot.base = slot.filled;
        slot.level = quote.level;
        slot.created_at = clock;
    }

    // ---- sending ----

    fn place(
        &mut self,
        account: &mut Account,
        quote: &Quote,
        cause: Cause,
        now: Nanos,
        clock: Nanos,
        out: &mut Output,
    ) {
        let mut command = Command {
            kind: CommandKind::New,
            side: quote.side,
            tif: quote.tif,
            position_side: quote.position_side,
            reduce_only: quote.reduce_only,
            instrument: self.id,
            generation: 1,
            client_id: ClientId::default(),
            price: quote.price,
            qty: quote.qty,
            decided_at: now,
        };
        let verdict = if now < self.back_off[quote.side.index()].until {
            self.found(account, Refusal::BackOff)
        } else if out.commands.is_full() {
            self.found(account, Refusal::OutputFull)
        } else if !self.table.has_room() {
            self.found(account, Refusal::NoSlot)
        } else {
            let facts = self.facts(now, quote.position_side, quote.qty, quote.purpose, None);
            account.gate.check(&command, &facts)
        };
        let id = match verdict {
            Ok(()) => {
                let table = &self.table;
                account.ids.next(SLOTS, |id| table.is_free(id, now))
            }
            Err(refusal) => return self.refused(refusal, quote, cause, now, out),
        };
        let Some(id) = id else {
            account.gate.count(Refusal::NoSlot);
            return self.refused(Refusal::NoSlot, quote, cause, now, out);
        };
        let place = self.table.open(id, quote, false, clock);
        let slot = self.table.at_mut(place);
        slot.generation = command.generation;
        (slot.placed_at, slot.sent_at) = (now, now);
        command.client_id = id;
        out.commands.push(command);
        self.counters.new += 1;
        let decision = self.decision(DecisionKind::Placed, place, cause);
        out.note(decision);
    }

    fn found(&self, account: &mut Account, refusal: Refusal) -> Result<(), Refusal> {
        account.gate.count(refusal);
        Err(refusal)
    }

    fn refused(&mut self, refusal: Refusal, quote: &Quote, cause: Cause, now: Nanos, out: &mut Output) {
        self.counters.refused += 1;
        let last = &mut self.refused[quote.side.index()][usize::from(quote.level) % LEVELS];
        if last.is_some_and(|(same, at)| same == refusal && now - at < REFUSAL_REPEAT) {
            return;
        }
        *last = Some((refusal, now));
        out.note(Decision {
            reference: self.plan.reference,
            price: quote.price,
            qty: quote.qty,
            side: quote.side,
            purpose: quote.purpose,
            level: quote.level,
            refusal: Some(refusal),
            ..Decision::of(DecisionKind::Refused, self.id, cause)
        });
    }

    /// Sends what the slots wish and their states allow. What does not fit or may not go out now stays wished.
    pub(super) fn pump(&mut self, account: &mut Account, now: Nanos, out: &mut Output) {
        if account.entry != LinkState::Up {
            return;
        }
        let mut waiting = false;
        for at in 0..self.table.live_count() {
            let place = self.table.live_place(at);
            let slot = self.table.at(place);
            let wish = slot.wish;
            if slot.state.is_unknown() {
                waiting = true;
                if slot.query_sent.is_none() && now >= slot.not_before {
                    self.query(account, place, now, out);
                }
                continue;
            }
            if wish == Wish::None {
                continue;
            }
            waiting = true;
            if now < slot.not_before || slot.state == State::PendingNew || slot.market {
                continue;
            }
            match wish {
                Wish::Cancel(cause) if slot.state != State::PendingCancel => {
                    self.cancel(account, place, cause, now, out)
                }
                Wish::Amend(quote, cause) if slot.state != State::PendingAmend => {
                    self.amend(account, place, &quote, cause, now, out);
                }
                _ => {}
            }
        }
        self.work = waiting;
    }

    fn query(&mut self, account: &mut Account, place: usize, now: Nanos, out: &mut Output) {
        if out.commands.is_full() || account.gate.check_plain(now).is_err() {
            return;
        }
        let slot = self.table.at_mut(place);
        out.commands.push(slot.command(CommandKind::Query, self.id, now));
        slot.query_sent = Some(now);
        self.counters.query += 1;
    }

    fn cancel(&mut self, account: &mut Account, place: usize, cause: Cause, now: Nanos, out: &mut Output) {
        if out.commands.is_full() || account.gate.check_plain(now).is_err() {
            return;
        }
        let slot = self.table.at_mut(place);
        slot.on(Input::SendCancel, now);
        slot.wish = Wish::None;
        out.commands.push(slot.command(CommandKind::Cancel, self.id, now));
        self.counters.cancel += 1;
        let decision = self.decision(DecisionKind::Canceled, place, cause);
        out.note(decision);
    }

    fn amend(
        &mut self,
        account: &mut Account,
        place: usize,
        quote: &Quote,
        cause: Cause,
        now: Nanos,
        out: &mut Output,
    ) {
        let slot = self.table.at(place);
        let (price, qty) = (quote.price, slot.base + quote.qty);
        if price == slot.price && qty == slot.qty {
            self.table.at_mut(place).wish = Wish::None;
            return;
        }
        if out.commands.is_full() {
            return;
        }
        let mut command = Command { price, qty, ..self.table.at(place).peek(CommandKind::Amend, self.id, now) };
        let verdict = if qty <= slot.filled {
            // Executed meanwhile beyond what is wanted: the rest goes.
            Err(Refusal::QtyRange)
        } else if now < self.back_off[quote.side.index()].until {
            self.found(account, Refusal::BackOff)
        } else {
            let open = qty - slot.filled;
            let facts = self.facts(now, quote.position_side, open, quote.purpose, Some(place));
            account.gate.check(&command, &facts)
        };
        let clock = self.clock(now);
        if let Err(refusal) = verdict {
            // The strategy wanted the old quote gone; what may not replace it does not keep it.
            self.refused(refusal, quote, cause, now, out);
            self.table.at_mut(place).wish_cancel(clock, cause);
            return self.cancel(account, place, cause, now, out);
        }
        let slot = self.table.at_mut(place);
        command.generation = slot.command(CommandKind::Amend, self.id, now).generation;
        slot.leg = Some(Leg { generation: command.generation, price, qty });
        slot.wish = Wish::None;
        slot.on(Input::SendAmend, now);
        out.commands.push(command);
        self.counters.amend += 1;
        let decision = self.decision(DecisionKind::Amended, place, cause);
        out.note(decision);
    }

    /// One market order at a time, once everything else is gone and every outcome is known.
    fn close_position(&mut self, account: &mut Account, now: Nanos, out: &mut Output) {
        let Some(flatten) = self.flatten else { return };
        let reconciling = account.blocks().any(Blocks::RECONCILE | Blocks::PRIVATE | Blocks::ENTRY | Blocks::MISMATCH);
        if !self.is_quiet() || self.behind || reconciling || now < flatten.not_before {
            return;
        }
        let open = self.holdings.sides().iter().copied().find(|&side| !self.holdings.qty(side).is_zero());
        let end = match open {
            None => Some(DecisionKind::Flat),
            Some(_) if flatten.tries >= account.config.flatten_tries => Some(DecisionKind::FlattenFailed),
            Some(_) => None,
        };
        if let Some(kind) = end {
            self.flatten = None;
            return out.note(Decision { qty: self.holdings.net(), ..Decision::of(kind, self.id, Cause::Operator) });
        }
        let Some(position_side) = open else { return };
        let held = self.holdings.qty(position_side);
        let quote = Quote {
            side: if held.0 > 0 { Side::Sell } else { Side::Buy },
            position_side,
            purpose: Purpose::Flatten,
            level: 0,
            price: Ticks::ZERO,
            qty: held.abs().min(self.instrument.market_qty_max),
            tif: TimeInForce::Ioc,
            reduce_only: true,
        };
        let table = &self.table;
        if out.commands.is_full() {
            return;
        }
        let Some(id) = account.ids.next(SLOTS, |id| table.is_free(id, now)) else { return };
        let place = self.table.open(id, &quote, true, now);
        let command = self.table.at_mut(place).command(CommandKind::Market, self.id, now);
        let facts = self.facts(now, position_side, Lots::ZERO, Purpose::Flatten, Some(place));
        if account.gate.check(&command, &facts).is_err() {
            let slot = self.table.at_mut(place);
            slot.told = true;
            slot.on(Input::Unsent, now);
            self.table.settle(place);
            return;
        }
        self.flatten = Some(Flatten { tries: flatten.tries + 1, ..flatten });
        out.commands.push(command);
        self.counters.market += 1;
        let decision = self.decision(DecisionKind::Placed, place, Cause::Operator);
        out.note(decision);
    }

    /// What the gate must know of a command about `open` more quantity; `amended` is left out of the worst case.
    fn facts(
        &self,
        now: Nanos,
        position_side: PositionSide,
        open: Lots,
        purpose: Purpose,
        amended: Option<usize>,
    ) -> Facts<'_> {
        let before = amended.map_or(Lots::ZERO, |place| self.table.at(place).exposure());
        let touch = self.touch();
        Facts {
            now,
            instrument: &self.instrument,
            best: [touch.map(|[bid, _]| bid.price), touch.map(|[_, ask]| ask.price)],
            mark: self.mark,
            data_time: self.data_time,
            exposure: self.exposure(position_side, amended),
            open_qty: open.max(before),
            open_before: before,
            live: self.table.live_count(),
            purpose,
        }
    }

    /// The worst case of a position side, the order at `without` left out.
    pub(super) fn exposure(&self, position_side: PositionSide, without: Option<usize>) -> Exposure {
        let mut exposure = Exposure { position: self.holdings.qty(position_side), ..Exposure::default() };
        let without = without.map(|place| self.table.at(place).id);
        let mut count = |slot: &Slot| {
            if slot.position_side == position_side && Some(slot.id) != without {
                let sums = if slot.is_reducing() { &mut exposure.reducing } else { &mut exposure.adding };
                sums[slot.side.index()] += slot.exposure();
            }
        };
        if self.behind {
            self.table.all().for_each(&mut count);
        } else {
            self.table.live().for_each(&mut count);
        }
        exposure
    }

    // ---- time ----

    /// Requests without an answer, figures that lag.
    pub(super) fn on_timer(&mut self, account: &mut Account, now: Nanos, out: &mut Output) {
        let timeout = account.config.ack_timeout;
        for at in 0..self.table.live_count() {
            let place = self.table.live_place(at);
            let slot = self.table.at_mut(place);
            if slot.state.awaits_answer() && now - slot.sent_at >= timeout {
                slot.on(Input::Lost, now);
                self.work = true;
                self.counters.unknown += 1;
                let decision = self.decision(DecisionKind::Unknown, place, Cause::None);
                out.note(decision);
            } else if slot.query_sent.is_some_and(|sent| now - sent >= timeout) {
                slot.query_sent = None;
                self.work = true;
            }
        }
        let patience = account.config.mismatch_after;
        let lagging =
            self.behind && self.table.all().any(|slot| slot.behind_since.is_some_and(|since| now - since >= patience));
        if !account.reconciliation.mismatch && (lagging || self.holdings.differs_for(patience, now)) {
            account.mismatch();
        }
    }

    // ---- what others see ----

    pub(super) fn tell(&mut self, now: Nanos, event: &OwnEvent) {
        let clock = self.clock(now);
        self.strategy.on_own(clock, event);
    }

    pub(super) fn decision(&self, kind: DecisionKind, place: usize, cause: Cause) -> Decision {
        let slot = self.table.at(place);
        let own = slot.own();
        Decision {
            reference: self.plan.reference,
            client_id: slot.id,
            price: own.price,
            qty: own.qty,
            side: slot.side,
            purpose: slot.purpose,
            level: slot.level,
            ..Decision::of(kind, self.id, cause)
        }
    }

    pub(super) fn status(&self, account: &Account, now: Nanos) -> Status {
        let mut own: [Option<Level>; 2] = [None; 2];
        for slot in self.table.live().filter(|slot| slot.resting && !slot.market) {
            let best = &mut own[slot.side.index()];
            let better = best.is_none_or(|level| (slot.price.0 - level.price.0) * slot.side.sign() > 0);
            if better {
                *best = Some(Level { price: slot.price, qty: slot.qty - slot.filled });
            }
        }
        let (touch, market) = (self.touch(), self.book.counters());
        Status {
            now,
            best: [touch.map(|[bid, _]| bid), touch.map(|[_, ask]| ask)],
            mid: touch.map_or(Price::ZERO, |[bid, ask]| self.instrument.mid(bid.price, ask.price)),
            own,
            live_orders: self.table.live_count() as u32,
            position: self.holdings.net(),
            legs: [self.holdings.qty(PositionSide::Long), self.holdings.qty(PositionSide::Short)],
            entry: self.holdings.entry(PositionSide::Net),
            pnl: self.holdings.pnl(),
            ladder: account.gate.ladder,
            blocks: self.blocks,
            counters: Counters {
                gaps: market.gaps + market.mismatches,
                resyncs: market.resyncs,
                crossed: market.crossed,
                ..self.counters
            },
        }
    }
}
