//! One instrument at work: its market, when its strategy decides, and how intents and wishes become gate-checked commands.
//! Answers of the venue are in `answer`, sending is in `send`; whether a message may go out is the gate's word.

mod answer;
mod reprice;
mod send;

use super::account::{Account, plain};
use super::config::{InstrumentSetup, Source};
use super::margin::liquidation_price;
use super::order::diff::{INTENTS_MAX, diff};
use super::order::{FillLog, Input, Intent, Table, Wish};
use super::output::{Blocks, Counters, Decision, DecisionKind, Gap, Held, OrderStatus, Output, Status};
use super::position::Holdings;
use super::risk::Refusal;
use super::strategy::{
    AccountRequest, BookView, Cadence, Cause, External, FundingView, ORDERS_MAX, OwnEvent, OwnOrder, Plan,
    PositionView, Purpose, Strategy, View,
};
use crate::book::{Book, DepthOutcome, QuoteOutcome};
use crate::config::load::Strategy as Settings;
use crate::event::{
    BestQuote, CommandKind, DepthSnapshot, DepthUpdate, Level, LinkState, MarkPrice, PositionSide, Side, Trade,
};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Money, Nanos, Price, Ticks};
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

/// Price, leverage, and the holdings' revision, which counts every change of a position.
pub(super) type Valued = (Option<Price>, u32, u64);

pub(super) struct Desk {
    pub(super) id: InstrumentId,
    pub(super) instrument: Instrument,
    pub(super) source: Option<Source>,
    /// Only looked at: its market is another desk's price source.
    watched: bool,
    pub(super) book: Book,
    pub(super) table: Table,
    pub(super) log: FillLog,
    pub(super) holdings: Holdings,
    pub(super) counters: Counters,
    back_off: [[BackOff; LEVELS]; 2],
    /// No quote level waits longer.
    backs_off_until: Nanos,
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
    /// Something came since the last decision.
    pub(super) unseen: bool,
    /// Unrealised profit as last reckoned: at which price, at which revision of the holdings.
    unrealized: (Price, u64, Money),
    market: LinkState,
    last_market: Nanos,
    data_time: Nanos,
    /// Venue time of the newest book data minus our time when they came.
    lead: Option<Nanos>,
    snapshot_asked: Option<Nanos>,
    last_trade: Option<Price>,
    mark: Option<Price>,
    funding: Option<FundingView>,
    /// The polled price and when it came.
    custom: Option<(Price, Nanos)>,
    /// 0 while not known.
    leverage: u32,
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
    /// How often it has repriced in one pass; `None` for the twin in a test, which never does.
    #[cfg(test)]
    pub(super) one_pass: Option<u32>,
}

/// Of a market that is only looked at; never asked.
struct Watching;

impl Strategy for Watching {
    fn start(&mut self, _now: Nanos, _plan: &mut Plan) {}
    fn on_own(&mut self, _now: Nanos, _event: &OwnEvent) {}
    fn decide(&mut self, _view: &View<'_>, _plan: &mut Plan) {}
    fn next_timer(&self) -> Nanos {
        Nanos::MAX
    }
}

/// Closes a position by the strategy's own rules.
const fn is_exit(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::TakeProfit | Purpose::StopLoss)
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
            watched: false,
            book: Book::new(&setup.instrument),
            table: Table::new(account.config.slot_quiet),
            log: FillLog::new(),
            holdings: Holdings::new(&setup.instrument),
            counters: Counters::default(),
            back_off: [[BackOff::NONE; LEVELS]; 2],
            backs_off_until: BackOff::NONE.until,
            flatten: None,
            behind: false,
            work: false,
            named: [false; 3],
            instrument: setup.instrument,
            strategy: setup.strategy,
            cadence: setup.cadence,
            started: false,
            last_tick: Nanos(i64::MIN),
            unseen: true,
            unrealized: (Price::ZERO, 0, Money::ZERO),
            market: LinkState::Down,
            last_market: Nanos::ZERO,
            data_time: Nanos::ZERO,
            lead: None,
            snapshot_asked: None,
            last_trade: None,
            mark: None,
            funding: None,
            custom: None,
            leverage: 0,
            blocks: Blocks::default().with(Blocks::BOOK | Blocks::MARKET, true),
            was_ready: false,
            plan: Plan::default(),
            orders: ArrayVec::new(),
            positions: ArrayVec::new(),
            intents: Vec::with_capacity(INTENTS_MAX),
            shown: (0, 0),
            worst: Worst::default(),
            refused: [[None; LEVELS]; 2],
            #[cfg(test)]
            one_pass: Some(0),
        }
    }

    /// A market that is only looked at.
    pub(super) fn watching(id: InstrumentId, instrument: Instrument, account: &Account) -> Self {
        let setup =
            InstrumentSetup { instrument, strategy: Box::new(Watching), cadence: Cadence::EveryEvent, source: None };
        Self { watched: true, ..Self::new(id, setup, account) }
    }

    /// New settings of the strategy; what they replace goes into `new`.
    pub(super) fn reconfigure(&mut self, new: &mut Settings) {
        self.strategy.reconfigure(new);
    }

    /// The desk's reference price comes from that market.
    pub(super) fn reads(&self, id: InstrumentId) -> bool {
        matches!(self.source, Some(Source::Market { instrument, .. }) if instrument == id)
    }

    // ---- the market ----

    pub(super) fn on_depth(&mut self, now: Nanos, update: &DepthUpdate<'_>, out: &mut Output) {
        self.heard(now, update.venue_time);
        let outcome = self.book.on_depth(update);
        if let DepthOutcome::Gap { expected, got } = outcome {
            out.gap = Some(Gap { instrument: self.id, expected, got });
        }
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
        for at in 0..self.table.live_count() {
            let slot = self.table.queue_mut(self.table.live_place(at));
            if slot.side != trade.taker {
                slot.see_print(trade.price, trade.qty);
            }
        }
    }

    pub(super) fn on_mark(&mut self, mark: &MarkPrice) {
        self.mark = Some(mark.mark);
        self.funding = Some(FundingView {
            rate: mark.funding_rate,
            next: mark.next_funding,
            interval_hours: self.instrument.funding_interval_hours,
        });
    }

    pub(super) fn on_external(&mut self, now: Nanos, price: Price) {
        self.custom = Some((price, now));
    }

    /// The polled price, while it is not too old.
    fn polled(&self, now: Nanos) -> Option<Price> {
        let stale = match self.source {
            Some(Source::Polled { stale_after }) => stale_after,
            _ => Nanos::MAX,
        };
        self.custom.filter(|(_, at)| now - *at <= stale).map(|(price, _)| price)
    }

    /// The reference price cannot be had from where it should come.
    fn source_fails(&self, now: Nanos, source: Option<&External>) -> bool {
        match self.source {
            None => false,
            Some(Source::Market { .. }) => source.is_none_or(|source| source.bid.is_none()),
            Some(Source::Polled { .. }) => self.polled(now).is_none_or(|price| price <= Price::ZERO),
        }
    }

    pub(super) fn on_market_link(&mut self, now: Nanos, state: LinkState) {
        // What was missed while it was away is unknown, so the book starts anew in either direction; silence alone keeps it.
        if state != LinkState::Stale {
            self.book.reset();
            self.snapshot_asked = None;
            self.lead = None;
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
        self.lead = (!venue_time.is_zero()).then_some(venue_time - now);
    }

    /// The newest venue time lies farther from ours than may be, before or behind, the known difference of the clocks taken off:
    /// either clock may have jumped, or the feed lags.
    fn is_off_clock(&self, account: &Account) -> bool {
        let limits = account.gate.limits();
        // A watched market's clock is another venue's: its data are judged by their arrival alone.
        let Some(lead) = self.lead.filter(|_| !self.watched) else { return false };
        let ahead = lead - account.clock_offset;
        (!limits.skew_max.is_zero() && ahead > limits.skew_max)
            || (!limits.data_age_max.is_zero() && -ahead > limits.data_age_max)
    }

    /// [`Blocks::CLOCK`] stands: the venue's time must be asked for.
    pub(super) fn doubts_clock(&self) -> bool {
        self.blocks.any(Blocks::CLOCK)
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

    /// Everything that follows from an event: withdraw or decide, then send what can be sent. `source` is the market that it reads.
    pub(super) fn advance(
        &mut self,
        account: &mut Account,
        now: Nanos,
        wake: Wake,
        source: Option<External>,
        out: &mut Output,
    ) {
        let due = self.tick(now, wake) && !self.watched;
        self.review_blocks(account, now, source.as_ref(), out);
        // A strategy's requests of one decision must find room.
        if !self.blocks.any(!Blocks::SOURCE) && due && out.account.remaining_capacity() >= self.plan.account.capacity()
        {
            let source = External { custom: self.polled(now), ..source.unwrap_or_default() };
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
                // The last tick is a whole number of spans, so before the next one nothing need be divided.
                if now.0 < self.last_tick.0.saturating_add(span.0) {
                    return false;
                }
                self.last_tick = Nanos(now.0.div_euclid(span.0) * span.0);
                true
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

    fn review_blocks(&mut self, account: &Account, now: Nanos, source: Option<&External>, out: &mut Output) {
        let market_up = self.market == LinkState::Up;
        let shared = if self.watched { Blocks::default() } else { account.blocks() };
        let blocks = shared
            .with(Blocks::BOOK, self.touch().is_none())
            .with(Blocks::MARKET, !market_up)
            .with(Blocks::STALE, market_up && now - self.last_market > account.config.market_stale)
            .with(Blocks::FLATTEN, self.flatten.is_some())
            .with(Blocks::CLOCK, self.is_off_clock(account))
            .with(Blocks::SOURCE, self.source_fails(now, source));
        let before = std::mem::replace(&mut self.blocks, blocks);
        // Until the first readiness only what concerns the account or a human takes adopted orders away.
        let mut withdrawing = !(Blocks::RECONCILE | Blocks::SOURCE);
        if !self.was_ready {
            withdrawing &=
                !(Blocks::BOOK | Blocks::MARKET | Blocks::STALE | Blocks::PRIVATE | Blocks::ENTRY | Blocks::CLOCK);
        }
        if blocks.any(withdrawing) {
            let human = Blocks::LADDER | Blocks::STOP | Blocks::FLATTEN;
            let cause = if blocks.any(human) { Cause::Operator } else { Cause::Withdraw };
            if self.withdraw(now, cause) || (before.is_empty() && self.was_ready) {
                self.counters.withdrawn += 1;
                let detail = i64::from(blocks.0);
                out.note(Decision { detail, ..Decision::of(DecisionKind::Withdrawn, self.id, cause) });
            }
        } else if blocks.any(Blocks::SOURCE)
            && self.was_ready
            && (self.withdraw_where(now, Cause::Withdraw, |purpose| !is_exit(purpose)) || before.is_empty())
        {
            self.counters.withdrawn += 1;
            let detail = i64::from(blocks.0);
            out.note(Decision { detail, ..Decision::of(DecisionKind::Withdrawn, self.id, Cause::Withdraw) });
        }
        if blocks.is_empty() && !before.is_empty() {
            self.was_ready = true;
            out.note(Decision::of(DecisionKind::Ready, self.id, Cause::Quote));
        }
    }

    /// Wishes every live order away. True if that is news for any.
    pub(super) fn withdraw(&mut self, now: Nanos, cause: Cause) -> bool {
        self.withdraw_where(now, cause, |_| true)
    }

    /// The same for the live orders of some purposes.
    fn withdraw_where(&mut self, now: Nanos, cause: Cause, which: impl Fn(Purpose) -> bool) -> bool {
        let clock = self.clock(now);
        let mut news = false;
        for at in 0..self.table.live_count() {
            let place = self.table.live_place(at);
            let slot = self.table.at_mut(place);
            if !slot.market && which(slot.purpose) {
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
        self.unseen = false;
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
        let unrealized = if self.positions.is_empty() { Money::ZERO } else { self.unrealized() };
        let view = View {
            now: clock,
            instrument: &self.instrument,
            book: &self.book,
            last_trade: self.last_trade,
            mark: self.mark,
            funding: self.funding,
            external: source,
            orders: &self.orders,
            positions: &self.positions,
            available: account.available,
            available_base: crate::unit::Amount::ZERO,
            wallet: account.wallet,
            unrealized,
            widen: account.widen(),
        };
        if again {
            self.strategy.decide_again(&view, &mut self.plan);
        } else {
            self.strategy.decide(&view, &mut self.plan);
        }
        if self.blocks.any(Blocks::SOURCE) {
            // Without the price that it is to quote around no entry goes out, whatever the strategy takes in its place.
            self.plan.place.retain(|(quote, _)| is_exit(quote.purpose));
        }
        for &request in &self.plan.account {
            if let AccountRequest::Leverage(leverage) = request {
                self.leverage = leverage;
            }
            out.account.push((self.id, request));
        }
        self.execute(account, now, clock, out);
    }

    /// Of all positions, at the mark price or else the mid.
    fn unrealized(&mut self) -> Money {
        let Some(price) = self.valuation() else { return Money::ZERO };
        let (at, revision, sum) = self.unrealized;
        if (at, revision) == (price, self.holdings.revision()) {
            return sum;
        }
        let sum = self.holdings.unrealized(&self.instrument, price);
        self.unrealized = (price, self.holdings.revision(), sum);
        sum
    }

    fn execute(&mut self, account: &mut Account, now: Nanos, clock: Nanos, out: &mut Output) {
        if self.plan.cancel.is_empty() && self.plan.place.is_empty() {
            return;
        }
        if self.reprice(account, now, clock, out) {
            return;
        }
        let mut intents = std::mem::take(&mut self.intents);
        diff(&self.plan, &self.table, account.config.amend, &mut intents);
        let mut renewed: ArrayVec<u16, ORDERS_MAX> = ArrayVec::new();
        let mut places = false;
        for intent in &intents {
            match *intent {
                Intent::Cancel(place, cause) => {
                    self.work |= self.table.at_mut(place).wish_cancel(clock, cause);
                }
                Intent::Keep(place, ref quote, cause) => {
                    self.counters.kept += 1;
                    renewed.push(place as u16);
                    let slot = self.table.at_mut(place);
                    slot.renew(quote.level, clock);
                    if let Wish::Amend(..) = slot.wish {
                        slot.wish = Wish::Amend(*quote, cause);
                    }
                    let decision = self.decision(DecisionKind::Kept, place, cause);
                    out.note(decision);
                }
                Intent::Amend(place, ref quote, cause) => {
                    renewed.push(place as u16);
                    let slot = self.table.at_mut(place);
                    slot.renew(quote.level, clock);
                    slot.wish = Wish::Amend(*quote, cause);
                    self.work = true;
                }
                Intent::Place(..) => places = true,
            }
        }
        if !renewed.is_empty() {
            self.table.renew(&renewed);
        }
        // Cancels and amends leave before new orders: they make room in the worst case.
        if self.work {
            self.pump(account, now, out);
        }
        if places {
            let moment = self.moment(account, now);
            for intent in &intents {
                if let Intent::Place(ref quote, cause) = *intent {
                    self.place(account, &moment, quote, cause, clock, out);
                }
            }
        }
        self.intents = intents;
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
        self.see_queues();
    }

    /// A timer before this would change nothing here but the time, if no event comes before it. The beginning of time where that is not
    /// known: rather too early than too late.
    pub(super) fn idle_until(&self, account: &Account) -> Nanos {
        let busy = Nanos(i64::MIN);
        let waits = self.source.is_some() || self.work || self.behind || self.flatten.is_some();
        if waits || self.holdings.differs() || self.book.wants_snapshot() || self.doubts_clock() {
            return busy;
        }
        let decides = !self.watched && !self.blocks.any(!Blocks::SOURCE);
        let mut until = match self.cadence {
            _ if !decides => Nanos::MAX,
            Cadence::EveryEvent => self.strategy.next_timer(),
            Cadence::Interval(_) if self.unseen || !self.strategy.is_settled() => busy,
            Cadence::Interval(_) => Nanos::MAX,
        };
        if self.market == LinkState::Up {
            until = until.min(self.last_market + account.config.market_stale);
        }
        for at in 0..self.table.live_count() {
            let slot = self.table.at(self.table.live_place(at));
            if slot.state.awaits_answer() {
                until = until.min(slot.sent_at + account.config.ack_timeout);
            }
            if let Some(sent) = slot.query_sent {
                until = until.min(sent + account.config.ack_timeout);
            }
        }
        until
    }

    /// A timer that changes nothing but the time.
    pub(super) fn pass(&mut self, now: Nanos) {
        self.tick(now, Wake::Timer);
    }

    /// Where our orders stand in their levels.
    fn see_queues(&mut self) {
        if !self.book.in_sync() {
            return;
        }
        for at in 0..self.table.live_count() {
            let slot = self.table.queue_mut(self.table.live_place(at));
            if !slot.market {
                slot.see_queue(self.book.ladder().qty(slot.side, slot.price));
            }
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

    #[inline]
    pub(super) fn decision(&self, kind: DecisionKind, place: usize, cause: Cause) -> Decision {
        let slot = self.table.at(place);
        let (price, qty) = slot.asked();
        Decision {
            reference: self.plan.reference,
            client_id: slot.id,
            price,
            qty,
            side: slot.side,
            purpose: slot.purpose,
            level: slot.level,
            ..Decision::of(kind, self.id, cause)
        }
    }

    /// The price that positions are valued at: the venue's mark, else the mid.
    pub(super) fn valuation(&self) -> Option<Price> {
        let mid = || self.touch().map(|[bid, ask]| self.instrument.mid(bid.price, ask.price));
        self.mark.or_else(mid)
    }

    /// The venue, or the strategy's request that the engine made true, says the leverage.
    pub(super) fn on_leverage(&mut self, leverage: u32) {
        self.leverage = leverage;
    }

    /// Everything that [`Desk::margin`] is made of.
    pub(super) fn valued(&self) -> Valued {
        (self.valuation(), self.leverage, self.holdings.revision())
    }

    /// Unrealised profit, and the margin that the positions use; nothing before there is a price.
    pub(super) fn margin(&self) -> (Money, Money) {
        let Some(price) = self.valuation() else { return (Money::ZERO, Money::ZERO) };
        let value = |side: PositionSide| self.instrument.notional_at(price, self.holdings.qty(side)).abs();
        let used = self.holdings.sides().iter().fold(Money::ZERO, |sum, &side| sum + value(side));
        let used = Money(used.0 / i128::from(self.leverage.max(1)));
        (self.holdings.unrealized(&self.instrument, price), used)
    }

    fn held(&self, side: PositionSide) -> Held {
        let (qty, entry) = (self.holdings.qty(side), self.holdings.entry(side));
        let maintenance = self.instrument.maintenance_margin;
        let liquidation = liquidation_price(entry, qty > Lots::ZERO, self.leverage, maintenance);
        let gain = |price: Price| self.instrument.notional_at(price - entry, qty);
        Held {
            qty,
            entry,
            liquidation: liquidation.filter(|_| !qty.is_zero()).unwrap_or(Price::ZERO),
            unrealized: self.valuation().filter(|_| !qty.is_zero()).map_or(Money::ZERO, gain),
        }
    }

    /// What funding brings in a day; negative is paid.
    fn funding_daily(&self) -> Money {
        let (Some(funding), Some(price)) = (self.funding, self.valuation()) else { return Money::ZERO };
        let value = self.instrument.notional_at(price, self.holdings.net());
        Money(-value.times(funding.rate).0 * 24 / i128::from(funding.interval_hours.max(1)))
    }

    /// Live orders in creation order.
    pub(super) fn orders(&self) -> impl Iterator<Item = OrderStatus> {
        self.table.live().filter(|slot| !slot.market).map(|slot| OrderStatus {
            id: slot.id,
            side: slot.side,
            purpose: slot.purpose,
            level: slot.level,
            price: slot.price,
            rest: slot.qty - slot.filled,
            created_at: slot.created_at,
            ahead: slot.ahead(),
        })
    }

    fn worst(&self) -> Lots {
        let sides = [PositionSide::Net, PositionSide::Long, PositionSide::Short];
        let ends = sides.into_iter().flat_map(|side| {
            let exposure = self.exposure_summed(side, None);
            [Side::Buy, Side::Sell].map(|way| exposure.worst(way))
        });
        ends.max_by_key(|end| end.abs()).unwrap_or(Lots::ZERO)
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
            pending_orders: self.table.live().filter(|slot| slot.state.awaits_answer()).count() as u32,
            position: self.holdings.net(),
            market_time: self.last_market,
            legs: [self.holdings.qty(PositionSide::Long), self.holdings.qty(PositionSide::Short)],
            entry: self.holdings.entry(PositionSide::Net),
            worst: self.worst(),
            held: [PositionSide::Net, PositionSide::Long, PositionSide::Short].map(|side| self.held(side)),
            leverage: self.leverage,
            mark: self.mark.unwrap_or(Price::ZERO),
            funding: self.funding,
            funding_daily: self.funding_daily(),
            internals: self.strategy.internals(),
            pnl: self.holdings.pnl(),
            ladder: account.gate.ladder,
            blocks: self.blocks,
            counters: Counters {
                gaps: market.gaps + market.mismatches,
                mismatches: market.mismatches,
                dropped: self.book.ladder().dropped() + self.book.ladder().refused(),
                resyncs: market.resyncs,
                crossed: market.crossed,
                ..self.counters
            },
        }
    }
}
