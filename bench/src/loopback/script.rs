//! What the peer plays: frames of the session, and for each the orders that the maker decides on it in memory. Opens no socket.

use super::Plan;
use crate::frames::{Kind, SPARE, Session};
use crate::quoter::{answer, maker, opening};
use arrayvec::ArrayString;
use spinquote::event::{Command, CommandKind, Event, Side};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::maker::{Maker, Output};
use spinquote::unit::Nanos;
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::binance::usdm::order::{OrderEncoder, REQUEST_MAX};
use spinquote::venue::codec::MarketMessage;

/// What a TLS 1.3 record adds to its text.
pub const TLS_OVERHEAD: usize = 5 + 1 + 16;

/// One frame and what it causes.
pub struct Step {
    /// The document.
    pub bytes: Vec<u8>,
    /// New prices, in ticks, of the orders that are made or amended.
    pub orders: Vec<(Side, i64)>,
    /// Bytes of the TLS record that holds all requests; 0 if no order is made or amended.
    pub reply: usize,
}

impl Step {
    /// Bytes of the TLS record that holds the frame.
    #[must_use]
    pub fn sealed(&self) -> usize {
        let header = if self.bytes.len() < 126 { 2 } else { 4 };
        self.bytes.len() + header + TLS_OVERHEAD
    }
}

/// A whole window's frames.
pub struct Script {
    /// Of the book before the first frame.
    pub snapshot: Vec<u8>,
    /// In order.
    pub steps: Vec<Step>,
}

/// The maker without sockets, rings and journal.
struct Memory {
    maker: Maker,
    out: Output,
    decoder: MarketDecoder,
    encoder: OrderEncoder,
    instrument: Instrument,
    now: Nanos,
}

impl Memory {
    fn new(session: &Session, levels: u8) -> Self {
        let instrument = session.instrument.clone();
        let mut memory = Self {
            maker: maker(&instrument, levels),
            out: Output::default(),
            decoder: MarketDecoder::new(std::slice::from_ref(&instrument)),
            encoder: super::reactor::encoder(),
            instrument,
            now: Nanos(1),
        };
        memory.encoder.logged_on = true;
        for event in opening() {
            memory.maker.step(memory.now, &event, &mut memory.out);
        }
        let mut body = session.snapshot.clone();
        let len = body.len();
        body.resize(len + SPARE, 0);
        let snapshot = memory.decoder.decode_snapshot(InstrumentId(0), &mut body, len).expect("the session's snapshot");
        memory.maker.step(memory.now, &Event::Snapshot(snapshot), &mut memory.out);
        memory.settle();
        memory
    }

    /// One frame; the commands that it causes, all of them answered.
    fn play(&mut self, document: &[u8]) -> Vec<Command> {
        let mut buf = document.to_vec();
        buf.resize(document.len() + SPARE, 0);
        self.now += Nanos::from_millis(1);
        match self.decoder.decode(&mut buf, document.len()) {
            Ok(MarketMessage::Event(event)) => self.maker.step(self.now, &event, &mut self.out),
            _ => return Vec::new(),
        }
        self.settle()
    }

    fn settle(&mut self) -> Vec<Command> {
        let all: Vec<Command> = self.out.commands.iter().copied().collect();
        let mut waiting = all.clone();
        while let Some(command) = waiting.pop() {
            if let Some(event) = answer(&command) {
                self.maker.step(self.now, &Event::Order(event), &mut self.out);
                waiting.extend(self.out.commands.iter().copied());
            }
        }
        all
    }

    fn request(&mut self, command: &Command) -> usize {
        let mut text = ArrayString::<REQUEST_MAX>::new();
        let request = self.encoder.encode(command, &self.instrument, 1_700_000_000_000, &mut text);
        let len = request.map_or(0, str::len);
        len + if len < 126 { 2 } else { 4 } + 4
    }
}

impl Script {
    /// The first `plan.steps` frames of the session that change the book or cause orders: best quotes that repeat what is known and
    /// trades are left out, because nothing is to be measured on them.
    #[must_use]
    pub fn new(session: &Session, plan: Plan) -> Self {
        let mut memory = Memory::new(session, plan.levels);
        let mut steps = Vec::with_capacity(plan.steps);
        for frame in &session.frames {
            let commands = memory.play(&frame.bytes);
            if commands.is_empty() && frame.kind != Kind::Depth {
                continue;
            }
            let said = |command: &&Command| matches!(command.kind, CommandKind::New | CommandKind::Amend);
            let orders: Vec<_> = commands.iter().filter(said).map(|command| (command.side, command.price.0)).collect();
            let requests: usize = commands.iter().map(|command| memory.request(command)).sum();
            let reply = if orders.is_empty() { 0 } else { requests + TLS_OVERHEAD };
            steps.push(Step { bytes: frame.bytes.clone(), orders, reply });
            if steps.len() == plan.steps {
                break;
            }
        }
        Self { snapshot: session.snapshot.clone(), steps }
    }
}
