//! One instrument's market and books as the engine had them, made again from the journal: the same book, the same holdings, so the P&L
//! is the engine's to the last digit. Needs no strategy, so it works where a replay does not.

use spinquote::book::Book;
use spinquote::event::{
    AccountEvent, Command, CommandKind, Event, Level, LinkState, OrderEvent, OrderEventKind, PositionSide, Side,
};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::journal::Record;
use spinquote::journal::record::{self, Origin};
use spinquote::maker::order::{FillLog, Novelty};
use spinquote::maker::position::Holdings;
use spinquote::report::Split;
use spinquote::unit::{Lots, Nanos, Price, Ticks};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::MarketMessage;
use spinquote::wire::simd::SPARE;

const SIDES: [PositionSide; 3] = [PositionSide::Net, PositionSide::Long, PositionSide::Short];

/// The frames of the markets that are traded; those that are only looked at speak another language.
pub struct Frames {
    decoder: MarketDecoder,
    document: Vec<u8>,
    traded: usize,
}

/// A frame that is none.
#[derive(Debug)]
pub struct Undecoded;

impl Frames {
    /// For these instruments.
    pub fn new(instruments: &[Instrument]) -> Self {
        Self { decoder: MarketDecoder::new(instruments), document: Vec::new(), traded: instruments.len() }
    }

    /// Depth, snapshot or best quote in a frame or snapshot record, and whose; `None` for everything else.
    pub fn event(&mut self, found: &Record<'_>) -> Result<Option<(InstrumentId, Event<'_>)>, Undecoded> {
        let Some((head, bytes)) = found.payload.split_at_checked(Origin::SIZE) else { return Ok(None) };
        let Ok(origin) = Origin::decode(head) else { return Ok(None) };
        if usize::from(origin.instrument.0) >= self.traded {
            return Ok(None);
        }
        self.document.clear();
        self.document.extend_from_slice(bytes);
        self.document.resize(bytes.len() + SPARE, 0);
        let event = if found.kind == record::SNAPSHOT {
            self.decoder.decode_snapshot(origin.instrument, &mut self.document, bytes.len()).map(Event::Snapshot)
        } else {
            match self.decoder.decode(&mut self.document, bytes.len()) {
                Ok(MarketMessage::Event(event)) => Ok(event),
                Ok(_) => return Ok(None),
                Err(error) => Err(error),
            }
        };
        let event = event.map_err(|_| Undecoded)?;
        let on = match event {
            Event::Depth(ref update) => update.instrument,
            Event::Snapshot(ref snapshot) => snapshot.instrument,
            Event::Quote(ref quote) => quote.instrument,
            _ => return Ok(None),
        };
        Ok(Some((on, event)))
    }
}

/// When the reconciliation under way was asked for, and whether its answer has begun.
#[derive(Debug, Default)]
pub struct Reconciling {
    asked: Option<Nanos>,
    begun: bool,
}

impl Reconciling {
    /// One may be asked for.
    pub fn command(&mut self, now: Nanos, command: &Command) {
        if command.kind == CommandKind::Reconcile {
            (self.asked, self.begun) = (Some(now), false);
        }
    }

    /// A fact of the account: when the reconciliation that it answers was asked for.
    pub fn account(&mut self, event: &AccountEvent) -> Option<Nanos> {
        match event {
            AccountEvent::ReconcileBegin => self.begun = self.asked.is_some(),
            AccountEvent::ReconcileFailed => *self = Self::default(),
            _ => {}
        }
        let asked = self.asked.filter(|_| self.begun);
        if matches!(event, AccountEvent::ReconcileEnd) {
            *self = Self::default();
        }
        asked
    }
}

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

    /// Best bid and ask with what stands there, while the book is known.
    pub fn best(&self) -> Option<[Level; 2]> {
        Some([self.book.best(Side::Buy)?, self.book.best(Side::Sell)?])
    }

    /// What stands at a price.
    pub fn resting(&self, side: Side, price: Ticks) -> Lots {
        self.book.ladder().qty(side, price)
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
