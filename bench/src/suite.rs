//! Everything that is measured, in full for people and small for the tests. Knows no numbers.

use crate::frames::{Kind, Session};
use crate::measure::Report;
use crate::{market, records, rings, tick, wire};

/// The parts of a run, in order: what `--only` may name.
pub const PARTS: &[&str] = &["decode", "book", "both", "growth", "tick", "websocket", "tls", "ring", "remember"];

/// Runs the parts that `wanted` names (all: `|_| true`) on the session, `rounds` rounds each.
///
/// # Panics
/// Ours and a peer compute different results.
#[must_use]
pub fn run(session: &Session, rounds: usize, wanted: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    for part in PARTS.iter().copied().filter(|part| wanted(part)) {
        let report = &mut report;
        match part {
            "decode" => {
                [Kind::Depth, Kind::Quote, Kind::Trade]
                    .into_iter()
                    .for_each(|kind| market::decode(session, rounds, kind, report));
            }
            "book" => market::apply(session, rounds, report),
            "both" => market::decode_and_apply(session, rounds, report),
            "growth" => market::growth(rounds, report),
            "tick" => tick::to_order(session, report),
            "websocket" => wire::websocket(rounds, report),
            "tls" => wire::records(rounds, report),
            "ring" => {
                rings::one_thread(rounds, report);
                rings::two_threads(rounds.div_ceil(4), 20 * rounds, report);
            }
            _ => {
                if let Some(frame) = session.of(Kind::Quote).next() {
                    records::remember(frame, rounds, report);
                }
            }
        }
    }
    report
}
