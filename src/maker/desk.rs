//! One instrument at work: its market, when its strategy decides, and how intents and wishes become gate-checked commands.
//! Answers of the venue are in `answer`, sending is in `send`; whether a message may go out is the gate's word.

mod answer;
mod send;

use super::account::{Account, plain};
use super::config::InstrumentSetup;
use super::order::diff::{INTENTS_MAX, diff};
use super::order::{FillLog, Input, Intent, Table, Wish};
use super::output::{Blocks, Counters, Decision, DecisionKind, Output, Status};
use super::position::Holdings;
use super::risk::Refusal;
use super::strategy::{
    BookView, Cadence, Cause, External, FundingView, ORDERS_MAX, OwnEvent, OwnOrder, Plan, PositionView, Purpose,
    Quote, Strategy, View,
};
use crate::book::{Book, DepthOutcome, QuoteOutcome};
use crate::event::{
    BestQuote, CommandKind, DepthSnapshot, DepthUpdate, Level, LinkState, MarkPrice, PositionSide, Side, Trade,
};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Money, Nanos, Price, Rate, Ticks};
use arrayvec::ArrayVec;

/// A quote level that waits after a refusal by the venue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BackOff {
    pub(super) until: Nanos,
    pub(super) streak: u32,
}

impl BackOff {
    const NONE: Self = Self { until: Nanos(i64::MIN / 2), streak: 0 };
    const DOUBLINGS_MAX: u32 = 6;
    /// Without a refusal for this many delays the streak is over. An acceptance does not end it: some venues accept
    /// a post-only order that would take and let it expire at once.
    const FORGET: i64 = 64;

    /// One more refusal. Exits wait the plain delay: they must not be kept from the market.
    pub(super) fn refuse(&mut self, now: Nanos, delay: Nanos, purpose: Purpose) {
        if now - self.until > delay * Self::FORGET {
            self.streak = 0;
        }
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

/// What may execute of the live orders, summed once and then followed order by order: an amend of ten orders would sum them
/// ten times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Worst {
    /// The table's revision at which the sums are true.
    at: u64,
    /// By position side; orders that only shrink it apart; by side.
    sums: [[[Lots; 2]; 2]; 3],
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
/// Every level that an order can have: strategies use them as places too, and what waits on one must not hold another.
const LEVELS: usize = u8::MAX as usize + 1;

pub(super) struct Desk {
    pub(super) id: InstrumentId,
    pub(super) instrument: Instrument,
    pub(super) source: Option<InstrumentId>,
    pub(super) book: Book,
    pub(super) table: Table,
    pub(super) log: FillLog,
    pub(super) holdings: Holdings,
    pub(super) counters: Counters,
    back_off: [[BackOff; LEVELS]; 2],
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
    intents: Vec<Intent>,
    /// Revisions of orders and holdings that `orders` and `positions` show.
    shown: (u64, u64),
    worst: Worst,
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
            back_off: [[BackOff::NONE; LEVELS]; 2],
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
            intents: Vec::with_capacity(INTENTS_MAX),
            shown: (0, 0),
            worst: Worst::default(),
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

    pub(super) fn on_trade(&mut self, trade: &Trade) {
        self.last_trade = Some(self.instrument.price(trade.price));
    }

    pub(super) fn on_mark(&mut self, mark: &MarkPrice) {
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

    /// The book's own streams only: prints and mark prices say nothing of its age.
    fn heard(&mut self, now: Nanos, venue_time: Nanos) {
        self.last_market = now;
        // Not the largest: one frame from a venue whose clock jumped ahead must not stand in the way until time has caught up.
        self.data_time = venue_time;
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
        let current = (self.table.revision(), self.holdings.revision());
        let again = self.shown == current;
        if !again {
            self.table.view(&mut self.orders);
            self.holdings.view(&mut self.positions);
            self.shown = current;
        }
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
            unrealized: if self.positions.is_empty() { Money::ZERO } else { self.unrealized() },
            widen: Rate::ONE,
        };
        if again {
            self.strategy.decide_again(&view, &mut self.plan);
        } else {
            self.strategy.decide(&view, &mut self.plan);
        }
        for &request in &self.plan.account {
            out.account.push((self.id, request));
        }
        self.execute(account, now, clock, out);
    }

    /// Of all positions, at the mark price or else the mid.
    fn unrealized(&self) -> Money {
        let mid = || self.touch().map(|[bid, ask]| self.instrument.mid(bid.price, ask.price));
        self.mark.or_else(mid).map_or(Money::ZERO, |price| self.holdings.unrealized(&self.instrument, price))
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

    /// The waiting of a quote level.
    pub(super) fn back_off(&mut self, side: Side, level: u8) -> &mut BackOff {
        &mut self.back_off[side.index()][usize::from(level)]
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
