//! A run directory of ours as market data: its journalled frames through the decoder again. Never looks at its orders.

use super::frame::{Body, Frame, FrameReader};
use super::raw::{Document, Documents};
use super::report::{FaultKind, FileReport};
use super::survey::Survey;
use super::DataFault;
use crate::event::{Event, Link, LinkState};
use crate::journal::record::{self, FeedGap, Loss, Origin};
use crate::journal::{Reader, RunDir};
use crate::replay::player::read_recipe;
use crate::unit::Nanos;
use crate::venue::codec::DecodeError;
use std::path::Path;

/// A journal being read.
pub(super) struct RunReader {
    reader: Reader,
    documents: Documents,
    over: bool,
}

impl RunReader {
    /// Opens a run; the instruments are those of its recipe, in its order.
    pub(super) fn open(path: &Path) -> Result<Self, DataFault> {
        let dir = RunDir::new(path);
        let contracts = read_recipe(&dir.meta()).map_err(Box::new)?.contracts();
        let reader = Reader::open(dir).map_err(|error| Box::new(error.into()))?;
        Ok(Self { reader, documents: Documents::new(&contracts), over: false })
    }
}

impl FrameReader for RunReader {
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault> {
        while !self.over {
            let record = match self.reader.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) => {
                    self.over = true;
                    (frame.venue, frame.body) = (Nanos::ZERO, Body::Lost { instrument: None });
                    report.fault(FaultKind::Cut, frame.line + 1, || error.to_string());
                    return Ok(true);
                }
            };
            (frame.at, frame.line) = (record.time, record.seq);
            let payload = record.payload;
            match record.kind {
                record::FRAME | record::SNAPSHOT => {
                    report.frames += 1;
                    let Some(json) = payload.get(Origin::SIZE..) else {
                        report.fault(FaultKind::Malformed, frame.line, || "a frame without its origin".to_owned());
                        continue;
                    };
                    let read = if record.kind == record::FRAME {
                        self.documents.read(json)
                    } else {
                        let origin = Origin::decode(&payload[..Origin::SIZE]).ok();
                        self.documents.snapshot_of(origin.map(|origin| origin.instrument), json)
                    };
                    match read {
                        Ok(Document::Event(event)) if frame.take(&event) => return Ok(true),
                        Ok(Document::Snapshot(book)) => {
                            frame.take(&Event::Snapshot(book));
                            return Ok(true);
                        }
                        Ok(_) => {}
                        Err(error @ DecodeError::UnknownSymbol { .. }) => {
                            report.fault(FaultKind::UnknownInstrument, frame.line, || error.to_string());
                        }
                        Err(error) => report.fault(FaultKind::Malformed, frame.line, || error.to_string()),
                    }
                }
                record::LINK | record::EXTERNAL => match record::decode_event(record.kind, payload) {
                    Ok(Event::Link { instrument, link: Link::Market, state: LinkState::Down | LinkState::Up }) => {
                        (frame.venue, frame.body) = (Nanos::ZERO, Body::Lost { instrument: Some(instrument) });
                        return Ok(true);
                    }
                    Ok(event) if frame.take(&event) => return Ok(true),
                    Ok(_) => {}
                    Err(error) => report.fault(FaultKind::Malformed, frame.line, || error.to_string()),
                },
                // The gap shows again when the update ids are looked at.
                record::GAP if FeedGap::decode(payload).is_ok() => {}
                record::LOSS => {
                    let lost = Loss::decode(payload).map_or(0, |loss| loss.records);
                    report.fault(FaultKind::Gap, frame.line, || format!("{lost} records that the journal lost"));
                    (frame.venue, frame.body) = (Nanos::ZERO, Body::Lost { instrument: None });
                    return Ok(true);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    fn position(&self) -> u64 {
        let place = self.reader.place();
        place.segment * self.reader.segment().size + place.offset
    }
}

/// The terms of the run, and how its clock runs.
pub(super) fn survey(path: &Path) -> Result<Survey, DataFault> {
    let mut survey = Survey::default();
    survey.terms = read_recipe(&RunDir::new(path).meta()).map_err(Box::new)?.contracts();
    let mut reader = RunReader::open(path)?;
    let (mut frame, mut unheard) = (Frame::new(), FileReport::new(path, super::FileKind::Run));
    while reader.next(&mut frame, &mut unheard)? {
        survey.time(frame.at, frame.venue);
    }
    Ok(survey)
}
