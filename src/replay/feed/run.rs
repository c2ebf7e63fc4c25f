//! A run directory of ours as market data: its journalled frames through the decoder again. Never looks at its orders.

use super::DataFault;
use super::frame::{Body, Frame, FrameReader};
use super::raw::{Document, Documents};
use super::report::{FaultKind, FileReport};
use super::survey::stream_name;
use crate::event::{Event, Link, LinkState};
use crate::instrument::{Instrument, InstrumentId};
use crate::journal::record::{self, FeedGap, Loss, Origin};
use crate::journal::{Reader, RunDir};
use crate::replay::player::{ReplayError, read_recipe, watched_decoders};
use crate::unit::Nanos;
use crate::venue::binance::Product;
use crate::venue::codec::DecodeError;
use std::path::Path;

/// A journal being read.
pub(super) struct RunReader {
    reader: Reader,
    /// Of the traded instruments together, then of each watched one.
    documents: Vec<Documents>,
    traded: usize,
    over: bool,
}

impl RunReader {
    /// Opens a run; the instruments are those of its recipe, in its order.
    pub(super) fn open(path: &Path) -> Result<Self, DataFault> {
        let dir = RunDir::new(path);
        let recipe = read_recipe(&dir.meta()).map_err(Box::new)?;
        let contracts = recipe.contracts();
        let refused = |source| Box::new(ReplayError::Recipe { path: dir.meta(), source });
        let watched = watched_decoders(&recipe).map_err(refused)?.into_iter().map(|decoder| {
            let ids = usize::from(decoder.id().0) + 1;
            Documents::with(Box::new(decoder), ids)
        });
        let documents = [Documents::new(Product::Usdm, &contracts)].into_iter().chain(watched).collect();
        let reader = Reader::open(dir).map_err(|error| Box::new(error.into()))?;
        Ok(Self { reader, documents, traded: contracts.len(), over: false })
    }
}

/// The terms of a run's instruments: the traded ones, then the watched ones.
pub(super) fn terms(path: &Path) -> Result<Vec<Instrument>, DataFault> {
    let recipe = read_recipe(&RunDir::new(path).meta()).map_err(Box::new)?;
    let watched = recipe.watched.iter().map(|part| {
        let product = Product::named(&part.product).unwrap_or(Product::Usdm);
        Instrument { symbol: stream_name(product, &part.instrument.symbol), ..part.instrument.clone() }
    });
    Ok(recipe.contracts().into_iter().chain(watched).collect())
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
                    let parts = payload.split_at_checked(Origin::SIZE);
                    let parts = parts.and_then(|(origin, json)| Some((Origin::decode(origin).ok()?.instrument, json)));
                    let of = |instrument: InstrumentId| (usize::from(instrument.0) + 1).saturating_sub(self.traded);
                    let parts = parts.and_then(|(id, json)| Some((self.documents.get_mut(of(id))?, id, json)));
                    let Some((documents, id, json)) = parts else {
                        report.fault(FaultKind::Malformed, frame.line, || "a frame of no known origin".to_owned());
                        continue;
                    };
                    let read = if record.kind == record::FRAME {
                        documents.read(json)
                    } else {
                        documents.snapshot_of(Some(id), json)
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
