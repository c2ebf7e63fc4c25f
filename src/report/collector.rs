//! Fed with a run's facts in the order of their times, makes the [`Report`] in one pass. Memory does not grow with the run; decides nothing.
//!
//! What to feed: [`Collector::quote`] whenever the market's touch changes (calls without a change cost a comparison),
//! [`Collector::order`] with every order event (told twice is counted once), [`Collector::command`] with every message sent,
//! [`Collector::ledger`] whenever position or profit changed, [`Collector::incident`] for what a reader should know.

use super::Split;
use super::markout::Markouts;
use super::model::{
    Fact, Fills, Incident, Incidents, Kind, Market, Messages, Pnl, QueueTime, Report, Severity, Stage, Summary,
    VERSION, rounded,
};
use super::orders::Orders;
use super::tally::{Counted, LimitOf, Rates, Returns, Uptime};
use super::timeline::{Buckets, Now, base, price, quote};
use crate::event::{Command, CommandKind, OrderEvent, OrderEventKind, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, Money, Nanos, Ticks};
use hdrhistogram::Histogram;
use std::collections::VecDeque;

/// Most fills on the page; where there are more, one of 2, 4, ... is shown.
const FILLS_SHOWN: usize = 4096;
/// Of many incidents the first and the last so many are shown.
const INCIDENTS_SHOWN: usize = 200;
/// Longest queue time that is told apart: a day.
const QUEUE_MAX_NS: u64 = 86_400_000_000_000;

/// What a report is about.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the page is headed with.
    pub title: String,
    /// What kind of run.
    pub kind: Kind,
    /// The run's particulars: what, and as text.
    pub facts: Vec<(String, String)>,
    /// The instruments, by [`InstrumentId`].
    pub instruments: Vec<Instrument>,
    /// Limits on messages.
    pub limits: Vec<LimitOf>,
}

#[derive(Clone, Copy, Debug)]
struct FillShown {
    at: Nanos,
    side: Side,
    price: Ticks,
    qty: Lots,
    maker: bool,
    mid2: Option<i64>,
    queue: Option<Nanos>,
}

#[derive(Debug)]
struct MarketSoFar {
    instrument: Instrument,
    now: Now,
    buckets: Buckets,
    orders: Orders,
    markouts: Markouts,
    returns: Returns,
    uptime: Uptime,
    fills: Vec<FillShown>,
    fills_every: u64,
    fills_buy: u64,
    fills_sell: u64,
    fills_maker: u64,
    bought: Lots,
    sold: Lots,
    maker_qty: Lots,
    turnover: Money,
    position: (Lots, Lots),
    peak: Money,
    drawdown: Money,
    rested: u64,
    rested_qty: i128,
    filled: u64,
    queue: Histogram<u64>,
}

/// A report in the making.
#[derive(Debug)]
pub struct Collector {
    setup: Setup,
    markets: Vec<MarketSoFar>,
    start: Option<Nanos>,
    end: Nanos,
    messages: Messages,
    rates: Rates,
    incidents_first: Vec<(Nanos, Incident)>,
    incidents_last: VecDeque<(Nanos, Incident)>,
    incidents: u64,
    latency: Vec<Stage>,
    notes: Vec<String>,
}

impl Collector {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let market = |instrument: &Instrument| MarketSoFar {
            instrument: instrument.clone(),
            now: Now::default(),
            buckets: Buckets::new(),
            orders: Orders::default(),
            markouts: Markouts::default(),
            returns: Returns::new(),
            uptime: Uptime::default(),
            fills: Vec::with_capacity(FILLS_SHOWN),
            fills_every: 1,
            fills_buy: 0,
            fills_sell: 0,
            fills_maker: 0,
            bought: Lots::ZERO,
            sold: Lots::ZERO,
            maker_qty: Lots::ZERO,
            turnover: Money::ZERO,
            position: (Lots::ZERO, Lots::ZERO),
            peak: Money::ZERO,
            drawdown: Money::ZERO,
            rested: 0,
            rested_qty: 0,
            filled: 0,
            queue: Histogram::new_with_bounds(1, QUEUE_MAX_NS, 3).expect("constant bounds are valid"),
        };
        Self {
            markets: setup.instruments.iter().map(market).collect(),
            rates: Rates::new(&setup.limits),
            setup,
            start: None,
            end: Nanos::ZERO,
            messages: Messages::default(),
            incidents_first: Vec::new(),
            incidents_last: VecDeque::new(),
            incidents: 0,
            latency: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The market's best bid and ask are these now; `None` while they are not known.
    #[inline]
    pub fn quote(&mut self, now: Nanos, instrument: InstrumentId, touch: Option<(Ticks, Ticks)>) {
        let market = &mut self.markets[usize::from(instrument.0)];
        if market.now.touch == touch {
            return;
        }
        let start = *self.start.get_or_insert(now);
        self.end = self.end.max(now);
        market.settle(now);
        market.now.touch = touch;
        market.changed(start, now);
    }

    /// A message to the venue was decided.
    pub fn command(&mut self, now: Nanos, command: &Command) {
        self.passed(now);
        let count = match command.kind {
            CommandKind::New => &mut self.messages.new,
            CommandKind::Amend => &mut self.messages.amend,
            CommandKind::Cancel | CommandKind::CancelAll => &mut self.messages.cancel,
            CommandKind::Query | CommandKind::Reconcile | CommandKind::Snapshot | CommandKind::SyncTime => {
                &mut self.messages.query
            }
            CommandKind::Market => &mut self.messages.market,
        };
        *count += 1;
        let order = matches!(command.kind, CommandKind::New | CommandKind::Amend | CommandKind::Market);
        self.rates.add(now, if order { Counted::Orders } else { Counted::Messages });
    }

    /// The gate refused so many messages more.
    pub fn refused(&mut self, count: u64) {
        self.messages.refused += count;
    }

    /// The venue, or the matching model, said something of an order of ours. True for an execution that was not told before.
    pub fn order(&mut self, now: Nanos, event: &OrderEvent) -> bool {
        let start = self.passed(now);
        use OrderEventKind as Kind;
        if matches!(event.kind, Kind::Rejected | Kind::AmendRejected | Kind::CancelRejected) {
            self.messages.rejected += 1;
        }
        let market = &mut self.markets[usize::from(event.instrument.0)];
        market.settle(now);
        let news = market.orders.take(now, event);
        if let Some(qty) = news.rested {
            market.rested += 1;
            market.rested_qty += i128::from(qty.0);
        }
        market.filled += u64::from(news.first_fill);
        if news.first_fill
            && let Some(queue) = news.queue
        {
            market.queue.saturating_record(queue.0.max(1).cast_unsigned());
        }
        if news.fill {
            market.fill(now, event, news.queue);
        }
        market.now.own = market.orders.best();
        market.changed(start, now);
        news.fill
    }

    /// Position and profit are these now; [`Split::fees`] is what was paid.
    pub fn ledger(&mut self, now: Nanos, instrument: InstrumentId, position: Lots, split: Split) {
        let start = self.passed(now);
        let market = &mut self.markets[usize::from(instrument.0)];
        (market.now.position, market.now.split) = (position, split);
        market.position = (market.position.0.min(position), market.position.1.max(position));
        let equity = split.total();
        market.returns.put(now, equity);
        market.peak = market.peak.max(equity);
        market.drawdown = market.drawdown.max(market.peak - equity);
        market.buckets.put(start, now, &market.now);
    }

    /// Something that a reader should know.
    pub fn incident(&mut self, now: Nanos, severity: Severity, what: impl Into<String>, detail: impl Into<String>) {
        self.passed(now);
        self.incidents += 1;
        let incident = (now, Incident { t: 0.0, severity, what: what.into(), detail: detail.into() });
        if self.incidents_first.len() < INCIDENTS_SHOWN {
            return self.incidents_first.push(incident);
        }
        if self.incidents_last.len() == INCIDENTS_SHOWN {
            self.incidents_last.pop_front();
        }
        self.incidents_last.push_back(incident);
    }

    /// Time passed, and nothing else: the report reaches to here.
    pub fn passed(&mut self, now: Nanos) -> Nanos {
        self.end = self.end.max(now);
        *self.start.get_or_insert(now)
    }

    /// The latencies of the stages.
    pub fn latency(&mut self, stages: Vec<Stage>) {
        self.latency = stages;
    }

    /// One more of the run's particulars, such as one that is only known at its end.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.setup.facts.push((name.into(), value.into()));
    }

    /// What the reader should know of the figures.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The report up to the last fact's time.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let (start, end) = (self.start.unwrap_or_default(), self.end.max(self.start.unwrap_or_default()));
        let mut notes = std::mem::take(&mut self.notes);
        let markets = self.markets.into_iter().map(|market| market.finish(start, end, &mut notes)).collect();
        let shown = self.incidents_first.into_iter().chain(self.incidents_last);
        let mut shown: Vec<Incident> =
            shown.map(|(at, incident)| Incident { t: (at - start).0 as f64 / 1e9, ..incident }).collect();
        // Alerts come from another place than the rest, after it.
        shown.sort_by(|a, b| a.t.total_cmp(&b.t));
        if self.incidents > shown.len() as u64 {
            notes.push(format!(
                "{} incidents between the first and the last {INCIDENTS_SHOWN} are counted and not listed.",
                self.incidents - shown.len() as u64
            ));
        }
        Report {
            version: VERSION,
            title: self.setup.title,
            kind: self.setup.kind,
            facts: self.setup.facts.into_iter().map(|(name, value)| Fact { name, value }).collect(),
            start_ns: start.0,
            end_ns: end.0,
            seconds: (end - start).0 as f64 / 1e9,
            markets,
            messages: Messages { limits: self.rates.finish(), ..self.messages },
            latency: self.latency,
            incidents: Incidents { count: self.incidents, shown },
            notes,
        }
    }
}

impl MarketSoFar {
    #[inline]
    fn settle(&mut self, now: Nanos) {
        self.markouts.settle(now, self.now.mid2());
    }

    #[inline]
    fn changed(&mut self, start: Nanos, now: Nanos) {
        self.buckets.put(start, now, &self.now);
        let own = self.now.own;
        let own_bps = match (own, self.now.mid2()) {
            ([Some(bid), Some(ask)], Some(mid2)) if mid2 > 0 => (ask - bid).0 as f64 / mid2 as f64 * 2e4,
            _ => 0.0,
        };
        self.uptime.put(now, self.now.touch.is_some(), own.map(|side| side.is_some()), own_bps);
    }

    fn fill(&mut self, now: Nanos, event: &OrderEvent, queue: Option<Nanos>) {
        let (side, fill) = (event.side, event.fill);
        match side {
            Side::Buy => (self.fills_buy, self.bought) = (self.fills_buy + 1, self.bought + fill.qty),
            Side::Sell => (self.fills_sell, self.sold) = (self.fills_sell + 1, self.sold + fill.qty),
        }
        if fill.maker {
            self.fills_maker += 1;
            self.maker_qty += fill.qty;
        }
        self.turnover += self.instrument.notional(fill.price, fill.qty);
        self.markouts.fill(now, side, fill.price, fill.qty);
        let count = self.fills_buy + self.fills_sell;
        if (count - 1).is_multiple_of(self.fills_every) {
            let mid2 = self.now.mid2();
            self.fills.push(FillShown {
                at: now,
                side,
                price: fill.price,
                qty: fill.qty,
                maker: fill.maker,
                mid2,
                queue,
            });
            if self.fills.len() == FILLS_SHOWN {
                let mut place = 0;
                self.fills.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.fills_every *= 2;
            }
        }
    }

    fn finish(mut self, start: Nanos, end: Nanos, notes: &mut Vec<String>) -> Market {
        self.settle(Nanos(end.0 + 1));
        self.changed(start, end);
        self.returns.put(end, self.now.split.total());
        let instrument = &self.instrument;
        let symbol = instrument.symbol.to_string();
        let count = self.fills_buy + self.fills_sell;
        let mut fills = Fills { count, shown_every: self.fills_every, ..Fills::default() };
        for fill in &self.fills {
            fills.t.push((fill.at - start).0 as f64 / 1e9);
            fills.buy.push(fill.side == Side::Buy);
            fills.price.push(price(instrument, fill.price));
            fills.qty.push(base(instrument, fill.qty));
            fills.maker.push(fill.maker);
            fills.mid.push(fill.mid2.map(|mid2| rounded(price(instrument, Ticks(mid2)) / 2.0)));
            fills.queue_s.push(fill.queue.map(|queue| queue.0 as f64 / 1e9));
        }
        if self.fills_every > 1 {
            notes.push(format!("{symbol}: one of {} fills is drawn and listed; all are counted.", self.fills_every));
        }
        if self.markouts.unmeasured > 0 {
            notes.push(format!(
                "{symbol}: {} markouts were not measured: too many fills waited at once.",
                self.markouts.unmeasured
            ));
        }
        if self.orders.unfollowed > 0 {
            notes.push(format!("{symbol}: {} orders were not followed: too many at once.", self.orders.unfollowed));
        }
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| rounded(part / whole));
        let split = self.now.split;
        let seconds = |ns: f64| rounded(ns / 1e9);
        let queue = &self.queue;
        let summary = Summary {
            pnl: Pnl {
                total: quote(split.total()),
                spread: quote(split.spread),
                inventory: quote(split.inventory),
                fees: quote(-split.fees),
                funding: quote(split.funding),
            },
            max_drawdown: quote(self.drawdown),
            sharpe: self.returns.sharpe(),
            turnover: quote(self.turnover),
            fills_buy: self.fills_buy,
            fills_sell: self.fills_sell,
            fills_maker: self.fills_maker,
            bought: base(instrument, self.bought),
            sold: base(instrument, self.sold),
            position: base(instrument, self.now.position),
            position_min: base(instrument, self.position.0),
            position_max: base(instrument, self.position.1),
            orders_rested: self.rested,
            orders_filled: self.filled,
            fill_ratio: ratio(self.filled as f64, self.rested as f64),
            fill_ratio_qty: ratio(self.maker_qty.0 as f64, self.rested_qty as f64),
            queue_time: (!queue.is_empty()).then(|| QueueTime {
                count: queue.len(),
                mean_s: seconds(queue.mean()),
                median_s: seconds(queue.value_at_quantile(0.5) as f64),
                p90_s: seconds(queue.value_at_quantile(0.9) as f64),
            }),
            market_s: self.uptime.total_s(),
            two_sided: self.uptime.two_sided(),
            quoted: self.uptime.quoted(),
            own_spread_bps: self.uptime.own_spread_bps(),
        };
        Market {
            symbol,
            base: instrument.base.to_string(),
            quote: instrument.quote.to_string(),
            price_places: instrument.tick.places(),
            qty_places: instrument.lot.places(),
            summary,
            markouts: self.markouts.finish(instrument),
            fills,
            timeline: self.buckets.columns(&self.instrument, end),
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the figures are small whole numbers, which a double holds exactly")]
mod tests {
    use super::super::orders::tests::{execution, fact};
    use super::*;
    use crate::event::{ClientId, PositionSide, TimeInForce};

    const BTC: InstrumentId = InstrumentId(0);

    fn collector() -> Collector {
        let window = Nanos::from_secs(1);
        Collector::new(Setup {
            title: "a run".to_owned(),
            kind: Kind::Backtest,
            facts: vec![("seed".to_owned(), "7".to_owned())],
            instruments: vec![Instrument::synthetic("BTCUSDT", "0.1", "0.001")],
            limits: vec![LimitOf { what: Counted::Orders, window, max: Some(50) }],
        })
    }

    fn at(seconds: i64) -> Nanos {
        Nanos::from_secs(1_700_000_000 + seconds)
    }

    fn money(text: &str) -> Money {
        Money::parse(text.as_bytes()).unwrap()
    }

    fn command(kind: CommandKind) -> Command {
        Command {
            kind,
            side: Side::Buy,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: BTC,
            generation: 1,
            client_id: ClientId { run: 1, seq: 1 },
            price: Ticks(1),
            qty: Lots(1),
            decided_at: at(0),
        }
    }

    #[test]
    fn a_scripted_session_gives_the_hand_worked_report() {
        use OrderEventKind::{Accepted, Rejected};
        let mut run = collector();
        run.quote(at(0), BTC, Some((Ticks(600_000), Ticks(600_002))));
        run.command(at(2), &command(CommandKind::New));
        run.command(at(2), &command(CommandKind::New));
        run.order(at(2), &fact(Accepted, 1, Side::Buy, 599_990, 4));
        run.order(at(4), &fact(Accepted, 2, Side::Sell, 600_010, 4));
        assert!(run.order(at(6), &execution(1, Side::Buy, 599_990, 4, 77, 4)));
        assert!(!run.order(at(6), &execution(1, Side::Buy, 599_990, 4, 77, 4)), "told twice");
        let split = Split { spread: money("0.0044"), inventory: money("0"), fees: money("0.01"), funding: money("0") };
        run.ledger(at(6), BTC, Lots(4), split);
        run.quote(at(8), BTC, Some((Ticks(600_020), Ticks(600_022))));
        run.ledger(at(8), BTC, Lots(4), Split { inventory: money("0.008"), ..split });
        run.command(at(9), &command(CommandKind::New));
        run.order(at(9), &fact(Rejected, 3, Side::Buy, 600_000, 4));
        run.refused(1);
        run.incident(at(9), Severity::Warning, "rejected", "-5022");
        run.passed(at(10));
        let report = run.finish();
        let market = &report.markets[0];
        let found = &market.summary;
        assert_eq!((report.seconds, report.start_ns), (10.0, at(0).0));
        assert_eq!((found.pnl.total, found.pnl.fees, found.max_drawdown), (0.0024, -0.01, 0.0056));
        assert_eq!((found.fills_buy, found.fills_sell, found.fills_maker, found.turnover), (1, 0, 1, 239.996));
        assert_eq!((found.orders_rested, found.orders_filled, found.fill_ratio), (2, 1, Some(0.5)));
        assert_eq!((found.fill_ratio_qty, found.queue_time.unwrap().count), (Some(0.5), 1));
        assert!((found.queue_time.unwrap().median_s - 4.0).abs() < 0.01);
        // Both sides from 4 s to 6 s, one from 2 s to 10 s, of 10 s; 20 ticks wide at a mid of 600,001.
        assert_eq!((found.two_sided, found.quoted, found.market_s), (Some(0.2), Some(0.8), 10.0));
        assert_eq!(found.own_spread_bps, Some(rounded(20.0 / 600_001.0 * 1e4)));
        let one_second = &market.markouts[1];
        assert_eq!((one_second.side, one_second.after_s, one_second.count), ("buy", 1.0, 1));
        assert_eq!((one_second.mean_bps, one_second.total), (Some(rounded(11.0 / 599_990.0 * 1e4)), 0.0044));
        assert_eq!(
            (market.markouts[2].count, market.markouts[4].count),
            (0, 0),
            "5 s after the fill is behind the end"
        );
        assert_eq!((market.fills.t[0], market.fills.price[0], market.fills.queue_s[0]), (6.0, 59_999.0, Some(4.0)));
        assert_eq!((report.messages.new, report.messages.rejected, report.messages.refused), (3, 1, 1));
        assert_eq!((report.messages.limits[0].peak, report.messages.limits[0].max), (2, Some(50)));
        assert_eq!((report.incidents.shown[0].t, report.incidents.count), (9.0, 1));
        let timeline = &market.timeline;
        assert_eq!(*timeline.t.last().unwrap(), 10.0);
        assert_eq!((timeline.own_bid.last().unwrap(), timeline.own_ask.last().unwrap()), (&None, &Some(60_001.0)));
        assert_eq!((*timeline.equity.last().unwrap(), *timeline.position.last().unwrap()), (0.0024, 0.004));
    }

    #[test]
    fn a_long_run_stays_small_and_says_what_it_left_out() {
        let mut run = collector();
        let mut sum = 0.0;
        for step in 0..20_000_u32 {
            let now = at(i64::from(step) * 60);
            let mid = 600_000 + i64::from(step % 7) * 10;
            run.quote(now, BTC, Some((Ticks(mid - 1), Ticks(mid + 1))));
            run.order(now, &execution(step + 1, Side::Sell, mid, 1, u64::from(step) + 1, 1));
            run.incident(now, Severity::Info, "step", "");
            sum += mid as f64 / 1e4;
        }
        let report = run.finish();
        let market = &report.markets[0];
        assert_eq!((market.fills.count, market.summary.fills_sell), (20_000, 20_000));
        assert!(market.fills.t.len() <= FILLS_SHOWN && market.fills.shown_every == 8, "{}", market.fills.shown_every);
        assert!((market.summary.turnover - sum).abs() < 1e-3);
        assert!(market.timeline.t.len() <= 4097 && market.timeline.t.len() > 1000);
        assert_eq!((report.incidents.count, report.incidents.shown.len()), (20_000, 2 * INCIDENTS_SHOWN));
        assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
        assert!(serde_json::to_string(&report).unwrap().len() < 3_000_000);
    }

    #[test]
    fn a_run_in_which_nothing_happened_is_a_report_too() {
        let report = collector().finish();
        assert_eq!((report.seconds, report.markets[0].timeline.t.len()), (0.0, 1));
        assert_eq!(report.markets[0].summary.fill_ratio, None);
    }
}
