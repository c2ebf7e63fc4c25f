//! `cargo bench --manifest-path bench/peers/Cargo.toml [--features hftbacktest,nautilus,barter]`: decoding beside sonic-rs, frames
//! beside fastwebsockets, the book beside other programs' books, on the frames and with the harness of `spinquote-bench`.

mod books;
mod frames;

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

fn main() {
    let session = Session::load(100_000);
    println!("host: {}\nframes: {}", measure::host(), session.source);
    let mut report = Report::default();
    decode(&session, Kind::Depth, "decode depth", None, &mut report);
    decode(&session, Kind::Quote, "decode bookTicker", Some(Bar::Faster(5.0)), &mut report);
    frames::websocket(ROUNDS, &mut report);
    books::levels(&session, ROUNDS, &mut report);
    println!("\n{}", report.table());
    report.say_missed();
    report.add_to_summary().expect("the summary can be written");
    println!("host at the end: {}\nadded to: {}", measure::host(), measure::summary_path().display());
}
