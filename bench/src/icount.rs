//! Work whose instructions are counted under callgrind: the same on every run and every machine, however loaded it is.
//!
//! Frames come from the synthetic market with its fixed seed, so the counts do not depend on recordings. Under valgrind there is
//! no AVX-512, so that kernel is not counted; the others are.

use crate::frames::{Batch, Kind, Session};
use crate::peers::sum_message;
use crate::{market, records, tick, wire};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::wire::simd::Kernel;
use std::hint::black_box;

/// Frames of the synthetic market that are played.
pub const FRAMES: usize = 4_000;

/// What is counted: name, and what one operation is.
pub const WORK: &[(&str, &str)] = &[
    ("decode depth, portable", "frame"),
    ("decode depth, AVX2", "frame"),
    ("decode bookTicker", "frame"),
    ("decode trade", "frame"),
    ("book", "diff"),
    ("frame to order, nothing remembered", "frame"),
    ("frame to order, journal and histograms", "frame"),
    ("frame that sends, nothing remembered", "frame"),
    ("frame that sends, journal and histograms", "frame"),
    ("WebSocket frame of 200 B", "frame"),
    ("journal append", "record"),
    ("histogram count", "value"),
];

/// Callgrind counts inside this function only; its name is what `--toggle-collect` is given.
#[inline(never)]
pub fn spinquote_counted(work: &mut dyn FnMut()) {
    work();
}

/// Calls what it is given, measured in the caller's way.
type Count<'a> = &'a mut dyn FnMut(&mut dyn FnMut());

fn decode(session: &Session, kind: Kind, kernel: Kernel, count: Count<'_>) -> u64 {
    let mut decoder = MarketDecoder::with_kernel(std::slice::from_ref(&session.instrument), Some(kernel));
    let mut batch = Batch::new(session.of(kind));
    // The first pass teaches the columns and faults the pages in.
    let mut read = |buf: &mut [u8], len: usize| sum_message(&decoder.decode(buf, len).expect("a frame of the session"));
    black_box(batch.each(&mut read));
    batch.restore();
    count(&mut || {
        black_box(batch.each(&mut read));
    });
    batch.len() as u64
}

/// Does the work of that name once, for callgrind; returns its number of operations.
///
/// # Panics
/// There is no such work.
#[must_use]
pub fn run(name: &str) -> u64 {
    work(name, &mut |work| spinquote_counted(work))
}

/// Prepares the work of that name and does it inside calls of `count`; returns its number of operations.
///
/// # Panics
/// There is no such work.
pub fn work(name: &str, count: Count<'_>) -> u64 {
    let session = Session::synthetic(FRAMES);
    match name {
        "decode depth, portable" => decode(&session, Kind::Depth, Kernel::Portable, count),
        "decode depth, AVX2" => decode(&session, Kind::Depth, Kernel::Avx2, count),
        "decode bookTicker" => decode(&session, Kind::Quote, Kernel::Avx2, count),
        "decode trade" => decode(&session, Kind::Trade, Kernel::Avx2, count),
        "book" => market::counted(&session, count),
        "frame to order, nothing remembered"
        | "frame to order, journal and histograms"
        | "frame that sends, nothing remembered"
        | "frame that sends, journal and histograms" => {
            tick::counted(&session, name.ends_with("histograms"), name.contains("sends"), count)
        }
        "WebSocket frame of 200 B" => wire::counted(count),
        "journal append" => records::counted(false, count),
        "histogram count" => records::counted(true, count),
        _ => panic!("nothing is counted under the name {name}"),
    }
}
