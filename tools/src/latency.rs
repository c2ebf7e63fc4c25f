//! Latencies that a journal's records tell, record by record: a command's way out, its answer, a frame's age. Bounded memory; knows nothing of
//! the histograms that the engine keeps itself.

use crate::text::name;
use spinquote::event::{ClientId, CommandKind, Event, OrderSource};
use spinquote::journal::{Record, record};
use spinquote::unit::Nanos;
use std::collections::BTreeMap;

/// Commands whose answer may be awaited; the oldest give way.
const WAITING: usize = 8192;

/// What took how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Took {
    /// `to_wire` (decided to written), `round_trip` (written to answered), `frame_age` (the venue's time to ours).
    pub stage: &'static str,
    /// The command's kind, or the frame's type.
    pub kind: String,
    pub time: Nanos,
}

/// What is remembered of commands under way.
#[derive(Default)]
pub struct Tracker {
    waiting: BTreeMap<(ClientId, u32), (CommandKind, Nanos)>,
}

impl Tracker {
    /// Takes the next record; says what it ends.
    pub fn take(&mut self, found: &Record<'_>) -> Option<Took> {
        match found.kind {
            record::COMMAND => {
                let command = record::decode_command(found.payload).ok()?;
                if self.waiting.len() == WAITING {
                    self.waiting.pop_first();
                }
                self.waiting.insert((command.client_id, command.generation), (command.kind, found.time));
                None
            }
            record::SENT => {
                let sent = record::Sent::decode(found.payload).ok()?;
                let (kind, since) = self.waiting.get_mut(&(sent.client_id, sent.generation))?;
                let time = sent.at - std::mem::replace(since, sent.at);
                Some(Took { stage: "to_wire", kind: name(kind), time })
            }
            record::ORDER => {
                let Ok(Event::Order(order)) = record::decode_event(found.kind, found.payload) else { return None };
                if order.source != OrderSource::Response {
                    return None;
                }
                let (kind, since) = self.waiting.remove(&(order.client_id, order.generation))?;
                Some(Took { stage: "round_trip", kind: name(kind), time: found.time - since })
            }
            record::FRAME => {
                let text = found.payload.get(record::Origin::SIZE..)?;
                let head = &text[..text.len().min(200)];
                let (kind, at) = (word(head, b"\"e\":\"")?, word(head, b"\"E\":")?);
                let at = Nanos::from_millis(std::str::from_utf8(at).ok()?.parse().ok()?);
                let kind = String::from_utf8_lossy(kind).into_owned();
                Some(Took { stage: "frame_age", kind, time: found.time - at })
            }
            _ => None,
        }
    }
}

/// What stands behind `key` up to a quote, a comma or a brace.
fn word<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let start = text.windows(key.len()).position(|window| window == key)? + key.len();
    let len = text[start..].iter().position(|byte| matches!(byte, b'"' | b',' | b'}'))?;
    Some(&text[start..start + len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(time: i64, text: &str) -> Vec<u8> {
        let origin = record::Origin { feed: 0, instrument: spinquote::instrument::InstrumentId(0) };
        assert!(time > 0);
        [origin.encode().as_slice(), text.as_bytes()].concat()
    }

    #[test]
    fn a_frames_age_is_the_venues_time_to_ours() {
        let payload = frame(1, r#"{"stream":"x","data":{"e":"depthUpdate","E":1700000000010,"s":"X"}}"#);
        let found =
            Record { kind: record::FRAME, flags: 0, seq: 1, time: Nanos(1_700_000_000_012_500_000), payload: &payload };
        let took = Tracker::default().take(&found).unwrap();
        assert_eq!((took.stage, took.kind.as_str(), took.time), ("frame_age", "depthUpdate", Nanos(2_500_000)));
        for text in ["", "{}", r#"{"e":"x","E":"#, r#"{"e":"x","E":abc}"#] {
            let payload = frame(1, text);
            assert_eq!(Tracker::default().take(&Record { payload: &payload, ..found }), None, "{text}");
        }
    }
}
