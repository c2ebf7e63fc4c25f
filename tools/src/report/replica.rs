//! One instrument's market and books as the engine had them, made again from the journal: the same book, the same holdings, so the P&L
//! is the engine's to the last digit. Needs no strategy, so it works where a replay does not.

use spinquote::book::Book;
use spinquote::event::{AccountEvent, Event, LinkState, OrderEvent, OrderEventKind, PositionSide, Side};
use spinquote::instrument::Instrument;
use spinquote::maker::order::{FillLog, Novelty};
use spinquote::maker::position::Holdings;
use spinquote::report::Split;
use spinquote::unit::{Lots, Nanos, Price, Ticks};

const SIDES: [PositionSide; 3] = [PositionSide::Net, PositionSide::Long, PositionSide::Short];

/// Market and books.
#[derive(Debug)]
pub struct Replica {
    book: Book,
    holdings: Holdings,
    fills: FillLog,
    /// The journal does not reach back to the run's start, so the book may never come into sync: the best quotes stand for it.
    truncated: bool,
    last_quote: Option<(Ticks, Ticks)>,
    named: [bool; 3],
    /// The venue has said what we hold, for journals that begin in the middle.
    anchored: [bool; 3],
}

impl Replica {
    /// Nothing known.
    pub fn new(instrument: &Instrument, truncated: bool) -> Self {
        Self {
            book: Book::new(instrument),
            holdings: Holdings::new(instrument),
            fills: FillLog::new(),
            truncated,
            last_quote: None,
            named: [false; 3],
            anchored: [false; 3],
        }
    }

    /// A market event of this instrument.
    pub fn market(&mut self, event: &Event<'_>) {
        match event {
            Event::Depth(update) => {
                let _ = self.book.on_depth(update);
            }
            Event::Snapshot(snapshot) => {
                let _ = self.book.on_snapshot(snapshot);
            }
            Event::Quote(quote) => {
                let _ = self.book.on_quote(quote);
                self.last_quote = Some((quote.bid.price, quote.ask.price));
            }
            _ => return,
        }
        if let Some((bid, ask)) = self.touch() {
            self.holdings.mark(bid, ask);
        }
    }

    /// The market's connection changed state.
    pub fn link(&mut self, state: LinkState) {
        if state != LinkState::Stale {
            self.book.reset();
            self.last_quote = None;
        }
    }

    /// Best bid and ask while they are known.
    pub fn touch(&self) -> Option<(Ticks, Ticks)> {
        let best = |side| self.book.best(side).map(|level| level.price);
        match (best(Side::Buy), best(Side::Sell)) {
            (Some(bid), Some(ask)) => Some((bid, ask)),
            _ if self.truncated && !self.book.in_sync() => self.last_quote,
            _ => None,
        }
    }

    /// An order event: executions count once, their fees when first known.
    pub fn order(&mut self, now: Nanos, event: &OrderEvent) {
        if event.kind != OrderEventKind::Fill {
            return;
        }
        let fill = event.fill;
        let novelty = self.fills.note(fill.trade_id, event.side, fill.fee_known);
        if novelty == Novelty::First {
            self.holdings.fill(event.side, event.position_side, fill.price, fill.qty, event.venue_time, now);
        }
        if fill.fee_known && novelty != Novelty::Repeat {
            self.holdings.fee(fill.fee);
        }
    }

    /// A fact of the account; `asked` is when the reconciliation under way was asked for. The venue's position replaces ours without profit.
    pub fn account(&mut self, now: Nanos, event: &AccountEvent, asked: Option<Nanos>) {
        match (*event, asked) {
            (AccountEvent::Position { side, qty, entry, snapshot: true, venue_time, .. }, Some(asked)) => {
                (self.named[side as usize], self.anchored[side as usize]) = (true, true);
                let _ = self.holdings.reconcile(side, qty, entry, venue_time, asked);
            }
            (AccountEvent::Position { side, qty, entry, venue_time, .. }, _)
                if self.truncated && !self.anchored[side as usize] =>
            {
                self.anchored[side as usize] = true;
                let _ = self.holdings.reconcile(side, qty, entry, venue_time, now);
            }
            (AccountEvent::Funding { amount, .. }, _) => self.holdings.funding(amount),
            (AccountEvent::ReconcileBegin, _) => self.named = [false; 3],
            (AccountEvent::ReconcileEnd, Some(asked)) => {
                for side in SIDES.into_iter().filter(|&side| !self.named[side as usize]) {
                    let _ = self.holdings.reconcile(side, Lots::ZERO, Price::ZERO, Nanos::ZERO, asked);
                }
            }
            _ => {}
        }
    }

    /// Net position.
    pub fn position(&self) -> Lots {
        self.holdings.net()
    }

    /// The exact parts of the profit.
    pub fn split(&self) -> Split {
        let pnl = self.holdings.pnl();
        Split { spread: pnl.spread, inventory: pnl.inventory, fees: pnl.fees, funding: pnl.funding }
    }
}
