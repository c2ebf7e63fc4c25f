//! The levels of the session's diffs in our ladder and in other programs' books. What they are given is made before the clock runs.
#![cfg_attr(
    not(any(feature = "hftbacktest", feature = "nautilus", feature = "barter")),
    allow(dead_code, unused_imports)
)]

use spinquote::book::{Ladder, LadderLimits};
use spinquote::event::{Event, Level, Side};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::MarketMessage;
use spinquote_bench::frames::{Kind, Session};
use spinquote_bench::measure::{Bar, Candidate, Report, race};

/// Diffs a round.
const SIZE: usize = 16;
const OURS: &str = "Ladder";
/// The session's tick and lot.
const TICK: f64 = 0.1;
const LOT: f64 = 0.001;

type Diff = [Vec<Level>; 2];

/// A number of a round, and a book that takes that round's diffs.
type Book<'a> = Candidate<'a, usize>;

fn diffs(session: &Session, most: usize) -> Vec<Diff> {
    let mut decoder = MarketDecoder::new(std::slice::from_ref(&session.instrument));
    let decode = |document: &[u8]| {
        let mut buf = document.to_vec();
        buf.resize(document.len() + 64, 0);
        match decoder.decode(&mut buf, document.len()) {
            Ok(MarketMessage::Event(Event::Depth(update))) => [update.bids.to_vec(), update.asks.to_vec()],
            other => panic!("a diff: {other:?}"),
        }
    };
    session.of(Kind::Depth).take(most).map(decode).collect()
}

/// Both best prices in ticks.
fn best(bid: u64, ask: u64) -> u64 {
    bid ^ ask.rotate_left(32)
}

fn ladder(all: &[Diff]) -> Book<'_> {
    let mut ladder = Ladder::new(LadderLimits::default());
    Candidate::unchecked(OURS, move |round: &mut usize| {
        window(all, *round).iter().fold(0, |sum: u64, [bids, asks]| {
            ladder.apply(Side::Buy, bids);
            ladder.apply(Side::Sell, asks);
            let price = |side| ladder.best(side).map_or(0, |level| level.price.0.cast_unsigned());
            sum ^ best(price(Side::Buy), price(Side::Sell))
        })
    })
}

fn window<T>(all: &[T], round: usize) -> &[T] {
    &all[round * SIZE..((round + 1) * SIZE).min(all.len())]
}

#[cfg(feature = "hftbacktest")]
mod hft {
    use super::*;
    use hftbacktest::depth::{HashMapMarketDepth, L2MarketDepth, MarketDepth, ROIVectorMarketDepth};

    fn feed<D: L2MarketDepth + MarketDepth>(depth: &mut D, diffs: &[Diff]) -> u64 {
        diffs.iter().fold(0, |sum, [bids, asks]| {
            for level in bids {
                depth.update_bid_depth(level.price.0 as f64 * TICK, level.qty.0 as f64 * LOT, 0);
            }
            for level in asks {
                depth.update_ask_depth(level.price.0 as f64 * TICK, level.qty.0 as f64 * LOT, 0);
            }
            sum ^ best(depth.best_bid_tick().cast_unsigned(), depth.best_ask_tick().cast_unsigned())
        })
    }

    pub const HASH: &str = "hftbacktest HashMap depth";
    pub const VECTOR: &str = "hftbacktest ROIVector depth";

    pub fn books(all: &[Diff]) -> [Book<'_>; 2] {
        let mut hash = HashMapMarketDepth::new(TICK, LOT);
        let mut vector = ROIVectorMarketDepth::new(TICK, LOT, 50_000.0, 75_000.0);
        [
            Candidate::unchecked(HASH, move |round: &mut usize| feed(&mut hash, window(all, *round))),
            Candidate::unchecked(VECTOR, move |round: &mut usize| feed(&mut vector, window(all, *round))),
        ]
    }
}

#[cfg(feature = "nautilus")]
mod nautilus {
    use super::*;
    use nautilus_core::UnixNanos;
    use nautilus_model::data::{BookOrder, OrderBookDelta};
    use nautilus_model::enums::{BookAction, BookType, OrderSide};
    use nautilus_model::identifiers::InstrumentId;
    use nautilus_model::orderbook::OrderBook;
    use nautilus_model::types::{Price, Quantity};

    pub const NAME: &str = "nautilus-model OrderBook (L2)";

    fn deltas(id: InstrumentId, diff: &Diff) -> Vec<OrderBookDelta> {
        let side = |levels: &[Level], side: OrderSide| -> Vec<OrderBookDelta> {
            let delta = |level: &Level| {
                let (price, size) =
                    (Price::new(level.price.0 as f64 * TICK, 1), Quantity::new(level.qty.0 as f64 * LOT, 3));
                let action = if level.qty.0 == 0 { BookAction::Delete } else { BookAction::Update };
                let (order, now) = (BookOrder::new(side, price, size, 0), UnixNanos::default());
                OrderBookDelta::new(id, action, order, 0, 0, now, now)
            };
            levels.iter().map(delta).collect()
        };
        [side(&diff[0], OrderSide::Buy), side(&diff[1], OrderSide::Sell)].concat()
    }

    pub fn book(all: &[Diff]) -> Book<'_> {
        let id = InstrumentId::from("BTCUSDT.BINANCE");
        let made: Vec<Vec<OrderBookDelta>> = all.iter().map(|diff| deltas(id, diff)).collect();
        let mut book = OrderBook::new(id, BookType::L2_MBP);
        Candidate::unchecked(NAME, move |round: &mut usize| {
            window(&made, *round).iter().fold(0, |sum: u64, deltas| {
                deltas.iter().for_each(|delta| book.apply_delta(delta).expect("a level"));
                let ticks = |price: Option<Price>| price.map_or(0, |price| price.raw as u64);
                sum ^ best(ticks(book.best_bid_price()), ticks(book.best_ask_price()))
            })
        })
    }
}

#[cfg(feature = "barter")]
mod barter {
    use super::*;
    use barter_data::books::OrderBook;
    use barter_data::subscription::book::OrderBookEvent;
    use rust_decimal::Decimal;

    pub const NAME: &str = "barter-data OrderBook";

    pub fn book(all: &[Diff]) -> Book<'_> {
        let pair = |level: &Level| (Decimal::new(level.price.0, 1), Decimal::new(level.qty.0, 3));
        let update = |[bids, asks]: &Diff| {
            OrderBookEvent::Update(OrderBook::new(0, None, bids.iter().map(pair), asks.iter().map(pair)))
        };
        let made: Vec<OrderBookEvent> = all.iter().map(update).collect();
        let mut book = OrderBook::default();
        Candidate::unchecked(NAME, move |round: &mut usize| {
            window(&made, *round).iter().fold(0, |sum: u64, update| {
                book.update(update);
                let mantissa = |price: Option<Decimal>| price.map_or(0, |price| price.mantissa() as u64);
                let [bid, ask] =
                    [book.bids().best(), book.asks().best()].map(|level| mantissa(level.map(|at| at.price)));
                sum ^ best(bid, ask)
            })
        })
    }
}

/// The levels alone, without sequence checks. Some peers move the other side's best price when one crosses, so the sums are not
/// compared.
pub fn levels(session: &Session, rounds: usize, report: &mut Report) {
    let all = diffs(session, SIZE * rounds);
    let mut candidates = vec![ladder(&all)];
    let mut peers: Vec<(&str, Option<Bar>)> = Vec::new();
    #[cfg(feature = "hftbacktest")]
    {
        candidates.extend(hft::books(&all));
        peers.extend([(hft::HASH, Some(Bar::Faster(4.0))), (hft::VECTOR, Some(Bar::Faster(1.2)))]);
    }
    #[cfg(feature = "nautilus")]
    {
        candidates.push(nautilus::book(&all));
        peers.push((nautilus::NAME, Some(Bar::Faster(20.0))));
    }
    #[cfg(feature = "barter")]
    {
        candidates.push(barter::book(&all));
        peers.push((barter::NAME, None));
    }
    let prepare = |at: &mut usize, round: usize| {
        *at = round;
        window(&all, round).iter().map(|[bids, asks]| bids.len() + asks.len()).sum()
    };
    let timed = race(all.len().div_ceil(SIZE), &mut 0, prepare, candidates);
    for (peer, bar) in peers {
        report.compare("book", "ns/level", &timed, OURS, peer, bar);
    }
}
