//! CSV files of Tardis: `incremental_book_L2`, `trades` and `quotes`. Source: docs.tardis.dev, "Downloadable CSV files: data types", 2026.
//! Columns are found by their names in the first line; times are microseconds since the epoch.
//!
//! ```text
//! incremental_book_L2  exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount     side bid or ask; amount 0 deletes
//! trades               exchange,symbol,timestamp,local_timestamp,id,side,price,amount              side buy, sell or unknown (the taker's)
//! quotes               exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount
//! ```
//!
//! A row is a level. Rows of one `local_timestamp` were one message; rows of a snapshot that follow each other are one book, which
//! replaces what was known; changes before the first snapshot are early ones and no book. There are no update ids, so a row that
//! cannot be read is a hole: the book is lost until the next snapshot. An empty price (an empty side) is a quantity of zero.

use super::DataFault;
use super::frame::{Body, Frame, FrameReader};
use super::report::{FaultKind, FileKind, FileReport};
use super::survey::{Found, cut, fine_step, venue_name};
use crate::event::{BestQuote, Level, Side, Trade};
use crate::instrument::{Instrument, InstrumentId, Symbol};
use crate::sim::capture::TextLines;
use crate::unit::{DecimalError, Lots, Nanos, Seq, Step, Ticks};
use crate::venue::binance::usdm::Symbols;
use crate::wire::decimal::parse_count;
use std::path::Path;

/// The exchange whose symbols stand for themselves; those of others get `@` and the exchange behind them.
const HOME: &[u8] = b"binance-futures";
/// Most columns that are looked at.
const COLUMNS_MAX: usize = 16;

/// Where the columns are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    kind: FileKind,
    count: usize,
    exchange: usize,
    symbol: usize,
    timestamp: usize,
    local: usize,
    side: usize,
    price: usize,
    amount: usize,
    /// `is_snapshot` or `id`.
    extra: usize,
    /// Bid price and amount of quotes; `price` and `amount` are the ask's.
    bid: (usize, usize),
}

impl Columns {
    fn find(header: &[u8]) -> Option<Self> {
        let names: Vec<&[u8]> = header.split(|&byte| byte == b',').collect();
        let at = |name: &str| names.iter().position(|found| *found == name.as_bytes());
        let (exchange, symbol) = (at("exchange")?, at("symbol")?);
        let (timestamp, local) = (at("timestamp")?, at("local_timestamp")?);
        let common = Self {
            kind: FileKind::TardisQuotes,
            count: names.len(),
            exchange,
            symbol,
            timestamp,
            local,
            side: 0,
            price: 0,
            amount: 0,
            extra: 0,
            bid: (0, 0),
        };
        if names.len() > COLUMNS_MAX {
            return None;
        }
        if let (Some(price), Some(amount)) = (at("ask_price"), at("ask_amount")) {
            return Some(Self { price, amount, bid: (at("bid_price")?, at("bid_amount")?), ..common });
        }
        let (side, price, amount) = (at("side")?, at("price")?, at("amount")?);
        let (kind, extra) = match (at("is_snapshot"), at("id")) {
            (Some(extra), _) => (FileKind::TardisDepth, extra),
            (None, Some(extra)) => (FileKind::TardisTrades, extra),
            (None, None) => return None,
        };
        Some(Self { kind, side, price, amount, extra, ..common })
    }
}

/// What kind of Tardis file begins with this line.
pub(super) fn kind(header: &[u8]) -> Option<FileKind> {
    Columns::find(header).map(|columns| columns.kind)
}

/// What a first line would be, and the columns that it lacks; `None` for one that no Tardis file begins with.
pub(super) fn missing(header: &[u8]) -> Option<(&'static str, Vec<&'static str>)> {
    let names: Vec<&[u8]> = header.split(|&byte| byte == b',').collect();
    let has = |name: &&'static str| names.contains(&name.as_bytes());
    let (kind, own): (_, &[_]) = if ["ask_price", "bid_price", "ask_amount", "bid_amount"].iter().any(has) {
        (FileKind::TardisQuotes, &["ask_amount", "ask_price", "bid_price", "bid_amount"])
    } else if has(&"id") {
        (FileKind::TardisTrades, &["id", "side", "price", "amount"])
    } else {
        (FileKind::TardisDepth, &["is_snapshot", "side", "price", "amount"])
    };
    let all = ["exchange", "symbol", "timestamp", "local_timestamp"].iter().chain(own);
    let lacks: Vec<&str> = all.copied().filter(|name| !has(name)).collect();
    let known = names.len() >= 4 && lacks.len() <= 4;
    (known && !lacks.is_empty()).then_some((kind.name(), lacks))
}

/// Why a row is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum RowFault {
    #[error("{found} columns; the first line has {due}")]
    Columns { found: usize, due: usize },
    #[error("the {0} is no time in microseconds")]
    Time(&'static str),
    #[error("the {column}: {fault}")]
    Number { column: &'static str, fault: DecimalError },
    #[error("the {0} is negative")]
    Negative(&'static str),
    #[error("the {column} is not {due}")]
    Word { column: &'static str, due: &'static str },
}

/// The grid that numbers of an instrument are counted on.
#[derive(Clone, Copy, Debug)]
struct Scale {
    tick: Step,
    lot: Step,
}

/// A row, its numbers on a grid.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: Nanos,
    venue: Nanos,
    line: u64,
    instrument: InstrumentId,
    /// Of quotes the ask.
    level: Level,
    bid: Level,
    side: Option<Side>,
    snapshot: bool,
    id: u64,
}

impl Row {
    /// Whether a row of a book that follows was in the same message.
    fn together(&self, next: &Self) -> bool {
        (next.instrument, next.snapshot) == (self.instrument, self.snapshot) && (self.snapshot || next.at == self.at)
    }
}

fn time(text: &[u8], column: &'static str) -> Result<Nanos, RowFault> {
    let whole = Step::ONE.parse_count(text).ok().filter(|micros| *micros >= 0);
    let nanos = whole.and_then(|micros| micros.checked_mul(1_000));
    nanos.map(Nanos).ok_or(RowFault::Time(column))
}

fn count(step: Step, text: &[u8], column: &'static str) -> Result<i64, RowFault> {
    if text.starts_with(b"-") {
        return Err(RowFault::Negative(column));
    }
    parse_count(step, text).map_err(|fault| RowFault::Number { column, fault })
}

fn level(scale: Scale, price: &[u8], amount: &[u8], columns: [&'static str; 2]) -> Result<Level, RowFault> {
    if price.is_empty() {
        return Ok(Level::default());
    }
    let amount = if amount.is_empty() { b"0" } else { amount };
    Ok(Level { price: Ticks(count(scale.tick, price, columns[0])?), qty: Lots(count(scale.lot, amount, columns[1])?) })
}

/// Reads rows with the columns in place.
struct Rows {
    lines: TextLines,
    columns: Columns,
    /// Exchange and symbol of the row before, as `exchange,symbol`: most rows are of the same.
    name: Vec<u8>,
    name_is: Result<InstrumentId, Symbol>,
}

/// What a line of the file is.
enum Line {
    Row(Row),
    Unknown(Symbol),
    Faulty(RowFault),
}

impl Rows {
    fn open(path: &Path) -> Result<Self, DataFault> {
        let mut lines = TextLines::open(path)?;
        let columns = if lines.advance()? { Columns::find(lines.text()) } else { None };
        let columns = columns.ok_or_else(|| DataFault::Unknown { path: path.to_owned() })?;
        Ok(Self { lines, columns, name: Vec::new(), name_is: Ok(InstrumentId(0)) })
    }

    /// The line that was read last.
    fn row(&mut self, names: &mut Names) -> Line {
        let Columns { count: due, exchange, symbol, .. } = self.columns;
        let mut cells = [&b""[..]; COLUMNS_MAX];
        let mut found = 0;
        for cell in self.lines.text().split(|&byte| byte == b',') {
            if let Some(slot) = cells.get_mut(found) {
                *slot = cell;
            }
            found += 1;
        }
        if found != due {
            return Line::Faulty(RowFault::Columns { found, due });
        }
        let (exchange, symbol) = (cells[exchange], cells[symbol]);
        let known = self.name.split_at_checked(exchange.len()).is_some_and(|(a, b)| a == exchange && b == symbol);
        if !known || self.name.is_empty() {
            self.name.clear();
            self.name.extend_from_slice(exchange);
            self.name.extend_from_slice(symbol);
            let name = name(exchange, symbol);
            self.name_is = names.find(&name).ok_or_else(|| cut(&name));
        }
        let instrument = match self.name_is {
            Ok(instrument) => instrument,
            Err(symbol) => return Line::Unknown(symbol),
        };
        match self.read(&cells, instrument, names.scale(instrument)) {
            Ok(row) => Line::Row(row),
            Err(fault) => Line::Faulty(fault),
        }
    }

    fn read(&self, cells: &[&[u8]; COLUMNS_MAX], instrument: InstrumentId, scale: Scale) -> Result<Row, RowFault> {
        let Columns { kind, timestamp, local, side, price, amount, extra, bid, .. } = self.columns;
        let mut row = Row {
            at: time(cells[local], "local_timestamp")?,
            venue: time(cells[timestamp], "timestamp")?,
            line: self.lines.line(),
            instrument,
            level: Level::default(),
            bid: Level::default(),
            side: None,
            snapshot: false,
            id: 0,
        };
        if kind == FileKind::TardisQuotes {
            row.level = level(scale, cells[price], cells[amount], ["ask_price", "ask_amount"])?;
            row.bid = level(scale, cells[bid.0], cells[bid.1], ["bid_price", "bid_amount"])?;
            return Ok(row);
        }
        if cells[price].is_empty() {
            return Err(RowFault::Number { column: "price", fault: DecimalError::Empty });
        }
        row.level = level(scale, cells[price], cells[amount], ["price", "amount"])?;
        row.side = match (kind, cells[side]) {
            (FileKind::TardisDepth, b"bid") | (FileKind::TardisTrades, b"buy") => Some(Side::Buy),
            (FileKind::TardisDepth, b"ask") | (FileKind::TardisTrades, b"sell") => Some(Side::Sell),
            (FileKind::TardisDepth, _) => return Err(RowFault::Word { column: "side", due: "bid or ask" }),
            (_, b"unknown" | b"") => None,
            _ => return Err(RowFault::Word { column: "side", due: "buy, sell or unknown" }),
        };
        if kind == FileKind::TardisDepth {
            row.snapshot = match cells[extra] {
                b"true" => true,
                b"false" => false,
                _ => return Err(RowFault::Word { column: "is_snapshot", due: "true or false" }),
            };
        } else {
            // Some venues' ids are no numbers; then there is none.
            row.id = Step::ONE.parse_count(cells[extra]).ok().and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
        }
        Ok(row)
    }
}

/// The name of an instrument of a venue.
fn name(exchange: &[u8], symbol: &[u8]) -> String {
    let symbol = String::from_utf8_lossy(symbol).into_owned();
    if exchange == HOME { symbol } else { venue_name(&symbol, &String::from_utf8_lossy(exchange)) }
}

/// Whose rows are read, and on which grid.
enum Names {
    Known(Symbols, Vec<Scale>),
    /// To be found, on the fine grid.
    Found(Found, Scale),
}

impl Names {
    fn find(&mut self, name: &str) -> Option<InstrumentId> {
        match self {
            Self::Known(symbols, _) => symbols.find(name.as_bytes()),
            Self::Found(found, _) => found.place(name),
        }
    }

    fn scale(&self, instrument: InstrumentId) -> Scale {
        match self {
            Self::Known(_, scales) => scales[usize::from(instrument.0)],
            Self::Found(_, fine) => *fine,
        }
    }
}

/// A CSV file being read.
pub(super) struct TardisReader {
    rows: Rows,
    names: Names,
    /// The first row of the next message.
    ahead: Option<Row>,
    /// Time of the row read last.
    at: Nanos,
    /// The row in front was faulty: the next message may be the rest of its message, and half a book is none.
    spoilt: bool,
    over: bool,
}

impl TardisReader {
    pub(super) fn open(path: &Path, instruments: &[Instrument]) -> Result<Self, DataFault> {
        let scales = instruments.iter().map(|terms| Scale { tick: terms.tick, lot: terms.lot }).collect();
        Self::with(path, Names::Known(Symbols::new(instruments), scales))
    }

    /// Opens a file to find its symbols; numbers are on the fine grid.
    pub(super) fn find(path: &Path) -> Result<Self, DataFault> {
        Self::with(path, Names::Found(Found::default(), Scale { tick: fine_step(), lot: fine_step() }))
    }

    fn with(path: &Path, names: Names) -> Result<Self, DataFault> {
        Ok(Self { rows: Rows::open(path)?, names, ahead: None, at: Nanos::ZERO, spoilt: false, over: false })
    }

    /// The next row; `Ok(Err(..))` where the book is lost.
    fn row(&mut self, report: &mut FileReport) -> Option<Result<Row, u64>> {
        loop {
            if self.over {
                return None;
            }
            match self.rows.lines.advance() {
                Ok(true) => {}
                Ok(false) => {
                    self.over = true;
                    return None;
                }
                Err(error) => {
                    self.over = true;
                    let line = self.rows.lines.line();
                    report.fault(FaultKind::Cut, line, || error.what());
                    return Some(Err(line));
                }
            }
            let line = self.rows.lines.line();
            match self.rows.row(&mut self.names) {
                Line::Row(row) => {
                    self.at = row.at;
                    return Some(Ok(row));
                }
                Line::Unknown(symbol) => {
                    report.fault(FaultKind::UnknownInstrument, line, || format!("no terms of {symbol} are known"));
                }
                Line::Faulty(RowFault::Columns { .. }) if !self.rows.lines.ended() => {
                    self.over = true;
                    report.fault(FaultKind::Cut, line, || self.rows.lines.cut().what());
                    return Some(Err(line));
                }
                Line::Faulty(fault) => {
                    report.fault(FaultKind::Malformed, line, || fault.to_string());
                    // A print or a quote more or less leaves the book as it is.
                    if self.rows.columns.kind == FileKind::TardisDepth {
                        return Some(Err(line));
                    }
                }
            }
        }
    }

    fn lost(&mut self, frame: &mut Frame, line: u64) {
        self.spoilt = true;
        (frame.at, frame.venue, frame.line) = (self.at, Nanos::ZERO, line);
        frame.body = Body::Lost { instrument: None };
    }

    /// The row behind what may be the rest of a spoilt message.
    fn behind_the_rest(&mut self, report: &mut FileReport) -> Option<Result<Row, u64>> {
        let rest = match self.row(report)? {
            Ok(row) => row,
            fault => return Some(fault),
        };
        loop {
            match self.row(report)? {
                Ok(row) if rest.together(&row) => {}
                other => return Some(other),
            }
        }
    }

    /// Levels of one message, of which `first` is the first row.
    fn book(&mut self, first: Row, frame: &mut Frame, report: &mut FileReport) {
        frame.clear();
        let mut row = first;
        loop {
            let side = if row.side == Some(Side::Sell) { &mut frame.asks } else { &mut frame.bids };
            side.push(row.level);
            (frame.at, frame.venue) = (row.at, row.venue);
            match self.row(report) {
                Some(Ok(next)) if first.together(&next) => row = next,
                Some(Ok(next)) => {
                    self.ahead = Some(next);
                    break;
                }
                // What the faulty row said is missing in this very message.
                Some(Err(line)) => return self.lost(frame, line),
                None => break,
            }
        }
        let instrument = first.instrument;
        frame.body = if first.snapshot {
            Body::Snapshot { instrument, last: None, whole: true }
        } else {
            Body::Depth { instrument, ids: None }
        };
    }
}

impl FrameReader for TardisReader {
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault> {
        let next = if std::mem::take(&mut self.spoilt) { self.behind_the_rest(report) } else { None };
        let row = match next.or_else(|| self.ahead.take().map(Ok)).or_else(|| self.row(report)) {
            Some(Ok(row)) => row,
            Some(Err(line)) => {
                self.lost(frame, line);
                return Ok(true);
            }
            None => return Ok(false),
        };
        report.frames += 1;
        report.resolution = Nanos(1_000);
        (frame.at, frame.venue, frame.line) = (row.at, row.venue, row.line);
        let (instrument, venue_time) = (row.instrument, row.venue);
        match self.rows.columns.kind {
            FileKind::TardisQuotes => {
                let quote = BestQuote { instrument, seq: Seq(0), bid: row.bid, ask: row.level, venue_time };
                frame.body = Body::Quote { quote, numbered: false };
            }
            FileKind::TardisTrades => {
                let Level { price, qty } = row.level;
                // Where the venue does not tell, the taker is taken for a buyer.
                let taker = row.side.unwrap_or(Side::Buy);
                let aggregate = false;
                frame.body = Body::Trade(Trade { instrument, id: row.id, price, qty, taker, aggregate, venue_time });
            }
            _ => self.book(row, frame, report),
        }
        Ok(true)
    }

    fn position(&self) -> u64 {
        self.rows.lines.position()
    }

    fn found(&self) -> &[Symbol] {
        match &self.names {
            Names::Found(found, _) => found.names(),
            Names::Known(..) => &[],
        }
    }
}
