//! A record as a line of text, for people who look for a difference. Equal bytes give equal lines; decides nothing.

use crate::event::ClientId;
use crate::journal::record;
use crate::unit::Price;
use std::fmt::Write;

/// What a record of `kind` with this payload says.
pub(super) fn line(kind: u16, payload: &[u8]) -> String {
    match kind {
        record::FRAME | record::SNAPSHOT => {
            let name = if kind == record::FRAME { "frame" } else { "snapshot" };
            format!("{name}, {} bytes", payload.len().saturating_sub(record::Origin::SIZE))
        }
        record::SETTINGS => format!("settings, {} bytes", payload.len().saturating_sub(record::Origin::SIZE)),
        record::COMMAND => {
            record::decode_command(payload).map_or_else(|_| bytes(kind, payload), |command| format!("{command:?}"))
        }
        record::DECISION => <&[u8; 64]>::try_from(payload).map_or_else(|_| bytes(kind, payload), decision_line),
        record::RUN_END => "the end of the run".to_owned(),
        record::LOSS => record::Loss::decode(payload)
            .map_or_else(|_| bytes(kind, payload), |loss| format!("{} records that the journal lost", loss.records)),
        _ => record::decode_event(kind, payload).map_or_else(|_| bytes(kind, payload), |event| format!("{event:?}")),
    }
}

/// A record byte by byte.
pub(super) fn bytes(kind: u16, payload: &[u8]) -> String {
    let mut text = format!("kind {kind}, {} bytes ", payload.len());
    for byte in payload {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The layout is that of `maker::Decision::to_bytes`. Codes stay numbers: what cannot be decoded must still be shown.
fn decision_line(payload: &[u8; 64]) -> String {
    fn field<const N: usize>(payload: &[u8; 64], at: usize) -> [u8; N] {
        payload[at..at + N].try_into().expect("a field lies inside")
    }
    let i64_at = |at| i64::from_le_bytes(field(payload, at));
    let u32_at = |at| u32::from_le_bytes(field(payload, at));
    let reference = Price(i128::from_le_bytes(field(payload, 0)));
    let [kind, cause, side, purpose, level, refusal]: [u8; 6] = field(payload, 50);
    format!(
        "decision kind {kind} cause {cause} {:?} instrument {} side {side} purpose {purpose} level {level} refusal {refusal} \
         {} lots at {} ticks detail {} reference {reference}",
        ClientId { run: u32_at(16), seq: u32_at(20) },
        u16::from_le_bytes(field(payload, 48)),
        i64_at(32),
        i64_at(24),
        i64_at(40),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Side;
    use crate::instrument::InstrumentId;
    use crate::maker::strategy::Cause;
    use crate::maker::{Decision, DecisionKind};
    use crate::unit::{Lots, Ticks};

    #[test]
    fn every_field_of_a_decision_shows() {
        let decision = Decision {
            reference: Price::parse(b"100.05").unwrap(),
            client_id: ClientId { run: 7, seq: 3 },
            price: Ticks(1000),
            qty: Lots(-5),
            detail: 9,
            side: Side::Sell,
            level: 2,
            ..Decision::of(DecisionKind::Canceled, InstrumentId(1), Cause::Refresh)
        };
        let bytes = decision.to_bytes();
        assert_eq!(
            line(record::DECISION, &bytes),
            "decision kind 2 cause 1 00000007-00000003 instrument 1 side 1 purpose 0 level 2 refusal 255 \
             -5 lots at 1000 ticks detail 9 reference 100.05"
        );
        for at in 0..56 {
            let mut other = bytes;
            other[at] ^= 1;
            assert_ne!(line(record::DECISION, &other), line(record::DECISION, &bytes), "byte {at}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_bytes() {
        assert_eq!(line(record::COMMAND, &[1, 255]), "kind 16, 2 bytes 01ff");
        assert_eq!(line(record::TIMER, &[]), "Timer");
        assert_eq!(line(record::FRAME, &[0; 10]), "frame, 6 bytes");
    }
}
