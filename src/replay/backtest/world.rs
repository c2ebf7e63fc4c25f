//! The loop of virtual time: venue, exchange, wire and maker, each fact at its own time. Decides nothing itself.
//!
//! At one moment the exchange comes before the maker; at the exchange a command that has arrived comes before what the market tells;
//! at the maker market data come before answers and those before the timer, as in the engine's turn.

use super::settings::{FeedLatency, Settings};
use super::tape::{Held, Tape, TapeError};
use super::watch::Watch;
use crate::event::{
    Command, CommandKind, DepthSnapshot, Event, Level, Link, LinkState, Operator, OrderEventKind, Side,
};
use crate::instrument::{Instrument, InstrumentId};
use crate::maker::{Maker, Output, Status};
use crate::replay::feed::layout::weight;
use crate::sim::account::EntryKind;
use crate::sim::embedded::Embedded;
use crate::sim::exchange::Exchange;
use crate::sim::latency::Dice;
use crate::sim::order::{AccountId, Request};
use crate::unit::{Lots, Money, Nanos, Seq};
use crate::venue::binance::usdm::client_id::Prefix;
use std::collections::VecDeque;

/// Levels a side of a snapshot that the exchange gives, as the venue's largest.
const SNAPSHOT_LEVELS: usize = 1000;
/// Market events between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 14;
/// A snapshot that the maker asked for.
struct Asked {
    instrument: InstrumentId,
    /// When the question is at the exchange; then when the answer is back.
    due: Nanos,
    answered: bool,
    seq: Seq,
    venue_time: Nanos,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// An event in its place: told to the exchange once, to the maker once.
struct Waiting<I> {
    item: I,
    local: Nanos,
}

/// What a backtest came to.
#[derive(Debug)]
pub struct Outcome {
    /// Per instrument, the maker's view.
    pub statuses: Vec<Status>,
    /// Orders that are open at the exchange.
    pub open_orders: usize,
    /// Net positions at the exchange, per instrument.
    pub venue_positions: Vec<Lots>,
    /// Each level change and each print is one.
    pub events: u64,
    /// Market events of any kind.
    pub records: u64,
    /// Steps of the maker; timers that could change nothing are none.
    pub steps: u64,
    /// Local time of the first and the last event.
    pub span: (Nanos, Nanos),
    /// A hash over every command and every answer with its time: equal for equal runs.
    pub digest: u64,
    /// Times that the market was lost.
    pub lost: u64,
    /// Smallest and largest position, per instrument.
    pub position_range: Vec<(Lots, Lots)>,
    /// The exchange closed the position because the margin was gone.
    pub liquidated: bool,
    /// The wallet at the exchange.
    pub wallet: Money,
    /// No mark prices were in the data: no funding, and margins were checked at the mid.
    pub without_marks: bool,
}

/// Everything of one backtest.
pub struct World<T: Tape, W: Watch> {
    tape: T,
    watch: W,
    maker: Maker,
    out: Output,
    embedded: Embedded,
    account: AccountId,
    instruments: usize,
    feed: FeedLatency,
    feed_dice: Dice,
    snapshot_dice: Dice,
    settings: Settings,
    /// In the order of local times; numbered from `base`.
    window: VecDeque<Waiting<T::Item>>,
    base: u64,
    /// Venue time and number, in the order of venue times.
    to_venue: VecDeque<(Nanos, u64)>,
    /// Venue time of its first, as of the last [`World::fill`], which follows whatever changes it.
    venue_next: Nanos,
    ended: bool,
    read_to: Nanos,
    venue_now: Nanos,
    now: Nanos,
    timer_due: Nanos,
    /// Until when timers change nothing, by the maker, if nothing else comes.
    idle_until: Nanos,
    /// To compare with: every timer is stepped.
    #[cfg(test)]
    pub(super) every_timer: bool,
    /// Something came since the last timer step.
    fresh: bool,
    /// The last timer that was left out: taken before anything else comes, for the time that it tells.
    left_out: Option<Nanos>,
    /// When the links of the account come up or an operator ends the run, whichever is next.
    word_due: Nanos,
    linked: bool,
    margins_due: Nanos,
    asked: Vec<Asked>,
    /// The exchange's book is whole: the data say so.
    known: Vec<bool>,
    /// Venue time of the last event about each book; those keep their order, whatever times they have.
    book_at: Vec<Nanos>,
    marks: bool,
    events: u64,
    records: u64,
    steps: u64,
    digest: u64,
    lost: u64,
    first: Option<Nanos>,
    position_range: Vec<(Lots, Lots)>,
}

impl<T: Tape, W: Watch> World<T, W> {
    /// A maker over `tape`, at an exchange that trades `instruments` on the terms given in them.
    ///
    /// # Errors
    /// The account cannot be set up so: leverage or position mode.
    pub fn new(
        tape: T,
        watch: W,
        maker: Maker,
        instruments: Vec<Instrument>,
        settings: Settings,
    ) -> Result<Self, String> {
        let count = instruments.len();
        let mut exchange = Exchange::new(instruments, settings.seed, settings.queue);
        let account = exchange.open_account(Nanos::ZERO, settings.deposit);
        for at in 0..count {
            let request = Request::Leverage { instrument: InstrumentId(at as u16), leverage: settings.leverage };
            exchange.request(Nanos::ZERO, account, &request).map_err(|reject| format!("{reject:?}"))?;
        }
        if settings.hedge {
            let request = Request::PositionMode { hedge: true };
            exchange.request(Nanos::ZERO, account, &request).map_err(|reject| format!("{reject:?}"))?;
        }
        exchange.drain();
        let prefix = Prefix::new("bt")?;
        let mut embedded = Embedded::new(exchange, account, prefix, settings.delays.clone(), settings.seed);
        embedded.silence(settings.answered_at.unwrap_or(Nanos::ZERO));
        Ok(Self {
            tape,
            watch,
            maker,
            out: Output::default(),
            embedded,
            account,
            instruments: count,
            feed: settings.feed,
            feed_dice: Dice::new(settings.seed ^ 0xfeed),
            snapshot_dice: Dice::new(settings.seed ^ 0x5a9),
            settings,
            window: VecDeque::with_capacity(1024),
            base: 0,
            to_venue: VecDeque::with_capacity(1024),
            venue_next: Nanos::MAX,
            ended: false,
            read_to: Nanos(i64::MIN),
            venue_now: Nanos::ZERO,
            now: Nanos::ZERO,
            timer_due: Nanos::MAX,
            idle_until: Nanos(i64::MIN),
            #[cfg(test)]
            every_timer: false,
            fresh: true,
            left_out: None,
            word_due: Nanos::MAX,
            linked: false,
            margins_due: Nanos::ZERO,
            asked: Vec::new(),
            known: vec![false; count],
            book_at: vec![Nanos::ZERO; count],
            marks: false,
            events: 0,
            records: 0,
            steps: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            lost: 0,
            first: None,
            position_range: vec![(Lots::ZERO, Lots::ZERO); count],
        })
    }

    /// Runs to the end of the data. `progress` is told the time reached now and then; it ends the run there by returning false.
    ///
    /// # Errors
    /// The data cannot be read further.
    pub fn run(&mut self, mut progress: impl FnMut(Nanos) -> bool) -> Result<(), TapeError> {
        self.fill()?;
        let Some(front) = self.window.front() else { return Ok(()) };
        self.begin(front.local);
        let mut report_at = PROGRESS_EVERY;
        loop {
            let exchange = self.venue_next.min(self.embedded.next_arrival());
            let Some(&Waiting { local: market, .. }) = self.window.front() else { break };
            let answer = self.embedded.next_answer();
            let asked = self.asked.iter().map(|asked| asked.due).min().unwrap_or(Nanos::MAX);
            let local = market.min(answer).min(self.timer_due).min(asked).min(self.word_due);
            if exchange <= local {
                self.at_exchange(exchange);
                self.fill()?;
            } else if market == local {
                self.deliver(market);
                if self.records >= report_at {
                    report_at = self.records + PROGRESS_EVERY;
                    if !progress(self.now) {
                        break;
                    }
                }
            } else if answer == local {
                if let Some((at, answer)) = self.embedded.take_answer(local) {
                    self.step(at, &answer.event());
                }
            } else if asked == local {
                self.snapshot_step(local);
            } else if self.word_due == local {
                self.word(local);
            } else {
                self.timer(local, exchange.min(market).min(answer).min(asked).min(self.word_due));
            }
        }
        Ok(())
    }

    fn begin(&mut self, at: Nanos) {
        self.first = Some(at);
        self.timer_due = at + self.settings.timer;
        match self.settings.links_at {
            Some(links_at) if links_at > at => self.word_due = links_at,
            _ => self.word(at),
        }
    }

    /// A timer of the maker, and nothing else before `next`. Those that change nothing are left out, but for the last one: as on a tick
    /// the strategy's clock is the last timer's.
    #[inline]
    fn timer(&mut self, now: Nanos, next: Nanos) {
        let timer = self.settings.timer;
        self.timer_due = now + timer;
        #[cfg(test)]
        let idle_until = if self.every_timer { Nanos(i64::MIN) } else { self.idle_until };
        #[cfg(not(test))]
        let idle_until = self.idle_until;
        if self.fresh || now >= idle_until {
            self.left_out = None;
            self.step(now, &Event::Timer);
            self.fresh = false;
            self.idle_until = self.maker.idle_until();
            return;
        }
        let wanted = self.watch.due();
        if now >= wanted {
            self.left_out = None;
            self.maker.pass(now);
            self.out.clear();
            return self.watch.stepped(now, &Event::Timer, &self.out, &self.maker);
        }
        let more = (idle_until.min(wanted).min(next).0 - 1 - now.0) / timer.0;
        let last = Nanos(now.0 + more * timer.0);
        self.left_out = Some(last);
        self.timer_due = last + timer;
    }

    /// The links of the account are up; after that, an operator ends the run.
    fn word(&mut self, now: Nanos) {
        if self.linked {
            self.word_due = Nanos::MAX;
            return self.step(now, &Event::Operator(Operator::Stop));
        }
        self.linked = true;
        self.word_due = self.settings.stop_at.unwrap_or(Nanos::MAX);
        for link in [Link::Private, Link::OrderEntry] {
            self.step(now, &Event::Link { instrument: InstrumentId(0), link, state: LinkState::Up });
        }
    }

    /// Reads ahead so far that no event can come whose venue time is before the one that is next.
    #[inline]
    fn fill(&mut self) -> Result<(), TapeError> {
        while !self.ended && self.to_venue.front().is_none_or(|(next, _)| self.read_to < *next + self.settings.reorder)
        {
            let Some(item) = self.tape.next()? else {
                self.ended = true;
                break;
            };
            let (received, told) = item.times();
            let local = match self.feed {
                FeedLatency::Recorded => received,
                FeedLatency::Drawn(latency) => told + latency.draw(&mut self.feed_dice),
            };
            let local = local.max(self.read_to);
            // Nothing is heard before it happened, and the exchange's clock does not run backwards either.
            // What has no time of the venue is our own observation, such as a loss.
            let told = if told.is_zero() { local } else { told };
            let mut venue = told.min(local).max(self.venue_now);
            if let Some(instrument) = item.book() {
                let last = &mut self.book_at[usize::from(instrument.0)];
                venue = venue.max(*last);
                *last = venue;
            }
            self.read_to = local;
            let number = self.base + self.window.len() as u64;
            match self.to_venue.iter().rev().take_while(|(at, _)| *at > venue).count() {
                0 => self.to_venue.push_back((venue, number)),
                behind => self.to_venue.insert(self.to_venue.len() - behind, (venue, number)),
            }
            self.window.push_back(Waiting { item, local });
        }
        self.venue_next = self.to_venue.front().map_or(Nanos::MAX, |(next, _)| *next);
        Ok(())
    }

    /// Commands and rules first, then the market at the same time.
    #[inline]
    fn at_exchange(&mut self, now: Nanos) {
        self.venue_now = now;
        self.embedded.arrive(now);
        if self.to_venue.front().is_none_or(|(at, _)| *at > now) {
            return;
        }
        let Some((_, number)) = self.to_venue.pop_front() else { return };
        let Self { window, known, lost, marks, events, embedded, .. } = self;
        window[(number - self.base) as usize].item.with(|event| {
            match event {
                Event::Snapshot(book) => known[usize::from(book.instrument.0)] = true,
                Event::Mark(_) => *marks = true,
                Event::Link { instrument, link: Link::Market, state } => {
                    known[usize::from(instrument.0)] = false;
                    *lost += u64::from(*state == LinkState::Down);
                }
                _ => {}
            }
            *events += weight(event);
            embedded.market(now, event);
        });
        if !self.marks && now >= self.margins_due {
            self.margins_due = now + Nanos::from_secs(1);
            self.embedded.watch_margins(now);
        }
    }

    /// The next market event reaches the maker.
    #[inline]
    fn deliver(&mut self, now: Nanos) {
        let Some(waiting) = self.window.pop_front() else { return };
        self.base += 1;
        self.records += 1;
        waiting.item.with(|event| self.step(now, event));
        self.tape.reuse(waiting.item);
    }

    #[inline]
    fn step(&mut self, now: Nanos, event: &Event<'_>) {
        if let Some(at) = self.left_out.take() {
            self.maker.pass(at);
        }
        self.fresh = true;
        self.now = now;
        self.steps += 1;
        self.maker.step(now, event, &mut self.out);
        if let Event::Order(order) = event {
            self.note(&[
                now.0,
                order.kind as i64,
                i64::from(order.client_id.seq),
                order.price.0,
                order.filled.0,
                order.fill.qty.0,
            ]);
            if order.kind == OrderEventKind::Fill {
                let (position, _) = self.maker.holding(order.instrument);
                let range = &mut self.position_range[usize::from(order.instrument.0)];
                *range = (range.0.min(position), range.1.max(position));
            }
        }
        self.watch.stepped(now, event, &self.out, &self.maker);
        for at in 0..self.out.commands.len() {
            let command = self.out.commands[at];
            self.send(now, &command);
        }
    }

    fn send(&mut self, now: Nanos, command: &Command) {
        let Command { kind, side, price, qty, client_id, .. } = command;
        self.note(&[now.0, 256 + *kind as i64, *side as i64, i64::from(client_id.seq), price.0, qty.0]);
        if *kind != CommandKind::Snapshot {
            return self.embedded.submit(now, command);
        }
        let there = self.settings.delays.there(*kind, now, &mut self.snapshot_dice);
        self.asked.push(Asked {
            instrument: command.instrument,
            due: now + there,
            answered: false,
            seq: Seq::ZERO,
            venue_time: Nanos::ZERO,
            bids: Vec::new(),
            asks: Vec::new(),
        });
    }

    /// A question for a snapshot has arrived, or its answer.
    fn snapshot_step(&mut self, now: Nanos) {
        let Some(at) = self.asked.iter().position(|asked| asked.due <= now) else { return };
        let mut asked = self.asked.swap_remove(at);
        if asked.answered {
            let Asked { instrument, seq: last, venue_time, ref bids, ref asks, .. } = asked;
            self.step(now, &Event::Snapshot(DepthSnapshot { instrument, last, venue_time, bids, asks }));
            return;
        }
        if !self.known[usize::from(asked.instrument.0)] {
            // No answer: the maker asks again, or the data tell the book.
            return;
        }
        let matching = self.embedded.exchange().matching(asked.instrument);
        asked.bids.extend(matching.levels(Side::Buy).take(SNAPSHOT_LEVELS));
        asked.asks.extend(matching.levels(Side::Sell).take(SNAPSHOT_LEVELS));
        (asked.seq, asked.venue_time, asked.answered) = (matching.seq(), self.venue_now, true);
        asked.due = now + self.settings.delays.back(now, &mut self.snapshot_dice);
        self.asked.push(asked);
    }

    fn note(&mut self, words: &[i64]) {
        for word in words {
            self.digest = (self.digest ^ word.cast_unsigned()).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    /// The maker, as it is.
    #[must_use]
    pub fn maker(&self) -> &Maker {
        &self.maker
    }

    /// The exchange, as it is.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        self.embedded.exchange()
    }

    /// Ends it.
    #[must_use]
    pub fn finish(self) -> (Outcome, W, Maker, T) {
        let exchange = self.embedded.exchange();
        let ids = || (0..self.instruments).map(|at| InstrumentId(at as u16));
        let net = |id| {
            let positions = &exchange.account(self.account).holding(id).positions;
            positions.iter().fold(Lots::ZERO, |sum, position| sum + position.qty)
        };
        let outcome = Outcome {
            statuses: ids().map(|id| self.maker.status(id)).collect(),
            open_orders: exchange.orders().open(self.account).count(),
            venue_positions: ids().map(net).collect(),
            events: self.events,
            records: self.records,
            steps: self.steps,
            span: (self.first.unwrap_or_default(), self.now),
            digest: self.digest,
            lost: self.lost,
            position_range: self.position_range,
            liquidated: !exchange.account(self.account).ledger().sum(EntryKind::Liquidation).is_zero(),
            wallet: exchange.account(self.account).wallet(),
            without_marks: !self.marks,
        };
        (outcome, self.watch, self.maker, self.tape)
    }
}
