//! `cargo bench --manifest-path bench/peers/Cargo.toml [--features hftbacktest]`: decoding beside sonic-rs, the book beside
//! hftbacktest's depths, on the frames and with the harness of `spinquote-bench`.

use serde::Deserialize;
use spinquote::event::{Event, Level};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::MarketMessage;
use spinquote_bench::frames::{Batch, Kind, Session};
use spinquote_bench::measure::{self, Bar, Candidate, Report, race};

const ROUNDS: usize = 200;

#[derive(Deserialize)]
struct Envelope<'a, T> {
    #[serde(rename = "stream", borrow)]
    _stream: &'a str,
    data: T,
}

#[derive(Deserialize)]
struct Depth<'a> {
    u: u64,
    #[serde(borrow)]
    b: Vec<[&'a str; 2]>,
    #[serde(borrow)]
    a: Vec<[&'a str; 2]>,
}

#[derive(Deserialize)]
struct Quote<'a> {
    u: u64,
    b: &'a str,
    #[serde(rename = "B")]
    bid_qty: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_qty: &'a str,
}

/// `61800.20` in units of `places` decimals.
fn count(text: &str, places: usize) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digit = |value: i64, byte: u8| value * 10 + i64::from(byte - b'0');
    let value = whole.bytes().fold(0, digit);
    (0..places).fold(value, |value, at| digit(value, fraction.as_bytes().get(at).copied().unwrap_or(b'0')))
}

fn sum(id: u64, levels: impl Iterator<Item = (i64, i64)>) -> u64 {
    levels.fold(id, |sum, (price, qty)| sum.rotate_left(5) ^ (price * 4_099 + qty).cast_unsigned())
}

fn pairs(levels: &[Level]) -> impl Iterator<Item = (i64, i64)> + '_ {
    levels.iter().map(|level| (level.price.0, level.qty.0))
}

fn ours(message: &MarketMessage<'_>) -> u64 {
    match message {
        MarketMessage::Event(Event::Depth(update)) => sum(update.last.0, pairs(update.bids).chain(pairs(update.asks))),
        MarketMessage::Event(Event::Quote(quote)) => sum(quote.seq.0, pairs(&[quote.bid, quote.ask])),
        _ => 0,
    }
}

fn sonic(kind: Kind, bytes: &[u8]) -> u64 {
    let level = |[price, qty]: &[&str; 2]| (count(price, 1), count(qty, 3));
    match kind {
        Kind::Depth => {
            let found: Envelope<'_, Depth<'_>> = sonic_rs::from_slice(bytes).expect("a frame of the session");
            sum(found.data.u, found.data.b.iter().map(level).chain(found.data.a.iter().map(level)))
        }
        _ => {
            let found: Envelope<'_, Quote<'_>> = sonic_rs::from_slice(bytes).expect("a frame of the session");
            let quote = found.data;
            sum(quote.u, [[quote.b, quote.bid_qty], [quote.a, quote.ask_qty]].iter().map(level))
        }
    }
}

fn decode(session: &Session, kind: Kind, what: &str, bar: Option<Bar>, report: &mut Report) {
    const SONIC: &str = "sonic-rs typed, borrowed";
    let documents: Vec<&[u8]> = session.of(kind).take(32 * ROUNDS).collect();
    let mut batches: Vec<Batch> = documents.chunks(32).map(|chunk| Batch::new(chunk.iter().copied())).collect();
    let rounds = batches.len();
    let mut decoder = MarketDecoder::new(std::slice::from_ref(&session.instrument));
    let mut context = (&mut batches, 0);
    let candidates = vec![
        Candidate::new("spinquote", move |(batches, at): &mut (&mut Vec<Batch>, usize)| {
            batches[*at].each(|buf, len| ours(&decoder.decode(buf, len).expect("a frame of the session")))
        }),
        Candidate::new(SONIC, move |(batches, at): &mut (&mut Vec<Batch>, usize)| {
            batches[*at].each(|buf, len| sonic(kind, &buf[..len]))
        }),
    ];
    let prepare = |(batches, at): &mut (&mut Vec<Batch>, usize), round: usize| {
        *at = round;
        batches[round].restore();
        batches[round].len()
    };
    let timed = race(rounds, &mut context, prepare, candidates);
    report.compare(what, "ns/frame", &timed, "spinquote", SONIC, bar);
}

#[cfg(feature = "hftbacktest")]
mod depths {
    use super::*;
    use hftbacktest::depth::{HashMapMarketDepth, L2MarketDepth, MarketDepth, ROIVectorMarketDepth};
    use spinquote::book::{Ladder, LadderLimits};
    use spinquote::event::Side;

    type Diff = [Vec<Level>; 2];

    fn feed<D: L2MarketDepth + MarketDepth>(depth: &mut D, diffs: &[Diff]) -> u64 {
        diffs.iter().fold(0, |sum, [bids, asks]| {
            for level in bids {
                depth.update_bid_depth(level.price.0 as f64 * 0.1, level.qty.0 as f64 * 0.001, 0);
            }
            for level in asks {
                depth.update_ask_depth(level.price.0 as f64 * 0.1, level.qty.0 as f64 * 0.001, 0);
            }
            sum ^ depth.best_bid_tick().cast_unsigned() ^ depth.best_ask_tick().cast_unsigned().rotate_left(32)
        })
    }

    /// The levels alone. The peers move the other side's best price when one crosses, so the sums are not compared.
    pub fn book(session: &Session, report: &mut Report) {
        const SIZE: usize = 16;
        let mut decoder = MarketDecoder::new(std::slice::from_ref(&session.instrument));
        let all: Vec<Diff> = session
            .of(Kind::Depth)
            .take(SIZE * ROUNDS)
            .map(|document| {
                let mut buf = document.to_vec();
                buf.resize(document.len() + 64, 0);
                match decoder.decode(&mut buf, document.len()) {
                    Ok(MarketMessage::Event(Event::Depth(update))) => [update.bids.to_vec(), update.asks.to_vec()],
                    other => panic!("a diff: {other:?}"),
                }
            })
            .collect();
        let rounds = all.len().div_ceil(SIZE);
        let window = |at: usize| at * SIZE..((at + 1) * SIZE).min(all.len());
        let mut ladder = Ladder::new(LadderLimits::default());
        let mut hash = HashMapMarketDepth::new(0.1, 0.001);
        let mut vector = ROIVectorMarketDepth::new(0.1, 0.001, 50_000.0, 75_000.0);
        let (all, mut at) = (&all, 0);
        let candidates = vec![
            Candidate::unchecked("Ladder", move |at: &mut usize| {
                all[window(*at)].iter().fold(0, |sum: u64, [bids, asks]| {
                    ladder.apply(Side::Buy, bids);
                    ladder.apply(Side::Sell, asks);
                    let best = |side| ladder.best(side).map_or(0, |level| level.price.0.cast_unsigned());
                    sum ^ best(Side::Buy) ^ best(Side::Sell).rotate_left(32)
                })
            }),
            Candidate::unchecked("hftbacktest HashMap depth", move |at: &mut usize| feed(&mut hash, &all[window(*at)])),
            Candidate::unchecked("hftbacktest ROIVector depth", move |at: &mut usize| {
                feed(&mut vector, &all[window(*at)])
            }),
        ];
        let prepare = |at: &mut usize, round: usize| {
            *at = round;
            all[window(round)].iter().map(|[bids, asks]| bids.len() + asks.len()).sum()
        };
        let timed = race(rounds, &mut at, prepare, candidates);
        for (peer, bar) in [("hftbacktest HashMap depth", 4.0), ("hftbacktest ROIVector depth", 1.2)] {
            report.compare("book", "ns/level", &timed, "Ladder", peer, Some(Bar::Faster(bar)));
        }
    }
}

fn main() {
    let session = Session::load(100_000);
    println!("host: {}\nframes: {}", measure::host(), session.source);
    let mut report = Report::default();
    decode(&session, Kind::Depth, "decode depth", None, &mut report);
    decode(&session, Kind::Quote, "decode bookTicker", Some(Bar::Faster(5.0)), &mut report);
    #[cfg(feature = "hftbacktest")]
    depths::book(&session, &mut report);
    println!("\n{}", report.table());
}
