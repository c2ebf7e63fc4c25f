//! Everything that is measured, in full for people and small for the tests. Knows no numbers.

use crate::frames::{Kind, Session};
use crate::measure::Report;
use crate::{market, records, rings, tick, wire};

/// Runs everything on the session, `rounds` rounds each.
///
/// # Panics
/// Ours and a peer compute different results.
#[must_use]
pub fn run(session: &Session, rounds: usize) -> Report {
    let mut report = Report::default();
    for kind in [Kind::Depth, Kind::Quote, Kind::Trade] {
        market::decode(session, rounds, kind, &mut report);
    }
    market::apply(session, rounds, &mut report);
    market::decode_and_apply(session, rounds, &mut report);
    tick::to_order(session, &mut report);
    wire::websocket(rounds, &mut report);
    wire::records(rounds, &mut report);
    rings::one_thread(rounds, &mut report);
    rings::two_threads(rounds.div_ceil(4), 20 * rounds, &mut report);
    if let Some(frame) = session.of(Kind::Quote).next() {
        records::remember(frame, rounds, &mut report);
    }
    report
}
