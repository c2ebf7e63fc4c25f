//! hftbacktest's event arrays (`.npz`, or the `.npy` in it). The one place where prices come as binary fractions: each is taken for the
//! step whose text it is read from, or the one within a millionth of a step of it; any other is a fault, never a rounded price.
//!
//! A row has 64 bytes, little-endian (hftbacktest 2.4, `types.py`): `ev` u64 | `exch_ts` i64 | `local_ts` i64 | `px` f64 | `qty` f64 |
//! `order_id` u64 | `ival` i64 | `fval` f64; times in nanoseconds. The low byte of `ev` is what happened, its high bits say to whom:
//! a row without the LOCAL bit is the exchange's copy of another row and is left out. Depth rows of equal times were one message.
//! A clear row and the snapshot rows behind it are one book: all levels up to the worst one told (`px` of the clear row).

use super::DataFault;
use super::frame::{Body, Frame, FrameReader};
use super::report::{FaultKind, FileReport};
use super::survey::fine_terms;
use crate::event::{BestQuote, Level, Side, Trade};
use crate::instrument::{Instrument, InstrumentId, Symbol};
use crate::unit::{Lots, Nanos, Seq, Step, Ticks};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zerocopy::{FromBytes, Immutable, KnownLayout};
use zip::CompressionMethod;

const DEPTH: u64 = 1;
const TRADE: u64 = 2;
const CLEAR: u64 = 3;
const SNAPSHOT: u64 = 4;
const BBO: u64 = 5;
const KIND: u64 = 0xff;
const EXCH: u64 = 1 << 31;
const LOCAL: u64 = 1 << 30;
const BUY: u64 = 1 << 29;
const SELL: u64 = 1 << 28;

/// The columns that the array must have, in this order.
const FIELDS: [(&str, &str); 8] = [
    ("ev", "<u8"),
    ("exch_ts", "<i8"),
    ("local_ts", "<i8"),
    ("px", "<f8"),
    ("qty", "<f8"),
    ("order_id", "<u8"),
    ("ival", "<i8"),
    ("fval", "<f8"),
];
/// Longest header of an array that is read.
const HEADER_MAX: usize = 1 << 16;
/// Nanoseconds since the epoch that a time can be: up to the year 2096.
const TIMES: std::ops::Range<i64> = 0..4_000_000_000_000_000_000;
/// How far from a step a number may lie, in steps.
const TOLERANCE: f64 = 1e-6;

/// A row as it lies in the file.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Row {
    ev: u64,
    exch_ts: i64,
    local_ts: i64,
    px: f64,
    qty: f64,
    order_id: u64,
    ival: i64,
    fval: f64,
}

/// Whole steps in a binary fraction: those whose decimal text it is read from, or those it is within [`TOLERANCE`] of. `None` for what is
/// no such number.
#[inline]
fn steps(value: f64, step: Step) -> Option<i64> {
    // Both are exact as doubles: at most 18 places, at most 32 bits.
    let (unit, mantissa) = (10_f64.powi(step.places() as i32), step.mantissa() as f64);
    let scaled = value * unit / mantissa;
    let whole = scaled.round();
    // Beyond 2^53 steps a double does not hold every one.
    if !(0.0..9e15).contains(&whole) {
        return None;
    }
    // On a fine grid the fraction of a large number is noise, but reading the number's text gives this very double.
    let same = (whole * mantissa / unit).total_cmp(&value).is_eq();
    (same || (scaled - whole).abs() <= TOLERANCE).then_some(whole as i64)
}

/// The rows of an array, as they come out of the archive.
struct Rows {
    input: BufReader<Box<dyn Read + Send>>,
    file: File,
    rows: u64,
    read: u64,
    crc: flate2::Crc,
    /// What the archive says that the checksum is.
    crc_due: Option<u32>,
}

impl Rows {
    fn open(path: &Path) -> Result<Self, DataFault> {
        let failed = |source| DataFault::Open { path: path.to_owned(), source };
        let foreign = |why: String| DataFault::Array { path: path.to_owned(), why };
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(failed)?;
        let own = file.try_clone().map_err(failed)?;
        let (input, crc_due): (Box<dyn Read + Send>, _) = if magic == *b"PK\x03\x04" {
            let mut archive = zip::ZipArchive::new(own)
                .map_err(|error| foreign(format!("no whole zip archive, perhaps cut off: {error}")))?;
            if archive.len() != 1 {
                return Err(foreign(format!("{} arrays in the archive, one (`data`) is due", archive.len())));
            }
            let entry = archive.by_index_raw(0).map_err(|error| foreign(error.to_string()))?;
            let start = entry.data_start().ok_or_else(|| foreign("the array's place is not told".to_owned()))?;
            let (method, len, crc) = (entry.compression(), entry.compressed_size(), entry.crc32());
            drop(entry);
            file.seek(SeekFrom::Start(start)).map_err(failed)?;
            let raw = BufReader::with_capacity(1 << 16, file.try_clone().map_err(failed)?.take(len));
            match method {
                CompressionMethod::Stored => (Box::new(raw), Some(crc)),
                CompressionMethod::Deflated => (Box::new(flate2::bufread::DeflateDecoder::new(raw)), Some(crc)),
                other => return Err(foreign(format!("compressed as {other}; numpy stores or deflates"))),
            }
        } else {
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            (Box::new(own), None)
        };
        let input = BufReader::with_capacity(1 << 16, input);
        let mut rows = Self { input, file, rows: 0, read: 0, crc: flate2::Crc::new(), crc_due };
        rows.header().map_err(|why| foreign(why.unwrap_or_else(|| "the array's header is cut off".to_owned())))?;
        Ok(rows)
    }

    fn take(&mut self, out: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(out)?;
        if self.crc_due.is_some() {
            self.crc.update(out);
        }
        Ok(())
    }

    /// Reads the header (numpy's format description, versions 1 to 3); an error without text is one of reading.
    fn header(&mut self) -> Result<(), Option<String>> {
        let (mut start, mut size) = ([0; 8], [0; 4]);
        self.take(&mut start).map_err(|_| None)?;
        if start[..6] != *b"\x93NUMPY" {
            return Err(Some("it is no numpy array".to_owned()));
        }
        let size_len = if start[6] == 1 { 2 } else { 4 };
        self.take(&mut size[..size_len]).map_err(|_| None)?;
        let len = u32::from_le_bytes(size) as usize;
        if len > HEADER_MAX {
            return Err(Some(format!("a header of {len} bytes")));
        }
        let mut text = vec![0; len];
        self.take(&mut text).map_err(|_| None)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        self.rows = shape(&text)?;
        Ok(())
    }

    /// The next row; `None` at the end.
    fn next(&mut self) -> Result<Option<Row>, String> {
        if self.read == self.rows {
            let sound = self.crc_due.take().is_none_or(|due| due == self.crc.sum());
            return if sound { Ok(None) } else { Err("the archive's checksum does not hold".to_owned()) };
        }
        let mut bytes = [0; size_of::<Row>()];
        self.take(&mut bytes).map_err(|error| format!("{error}; {} of {} rows are there", self.read, self.rows))?;
        self.read += 1;
        Ok(Row::read_from_bytes(&bytes).ok())
    }
}

/// Rows of the array that a header describes.
fn shape(header: &str) -> Result<u64, Option<String>> {
    let of = |key: &str| {
        let behind = header.split_once(&format!("'{key}':")).map(|(_, behind)| behind.trim_start());
        behind.ok_or_else(|| Some(format!("its header has no {key}")))
    };
    let descr = of("descr")?;
    let list = descr.strip_prefix('[').and_then(|list| list.split_once(']')).map(|(list, _)| list);
    let quoted: Vec<&str> = list.unwrap_or(descr).split('\'').skip(1).step_by(2).collect();
    let due: Vec<&str> = FIELDS.iter().flat_map(|&(name, form)| [name, form]).collect();
    if quoted != due {
        return Err(Some(format!(
            "its columns are ({}); those of hftbacktest's event array (version 2) are ({})",
            quoted.join(" "),
            due.join(" ")
        )));
    }
    if of("fortran_order")?.starts_with("True") {
        return Err(Some("it is in Fortran order".to_owned()));
    }
    let shape = of("shape")?.strip_prefix('(').and_then(|shape| shape.split_once(')')).map(|(shape, _)| shape);
    let rows = shape.and_then(|shape| shape.trim_end_matches(',').trim().parse().ok());
    rows.ok_or_else(|| Some("it is not a list of rows".to_owned()))
}

/// An array being read.
pub(super) struct NpzReader {
    rows: Rows,
    /// Its instrument, if it was opened to find the grid.
    symbol: Option<Symbol>,
    instrument: InstrumentId,
    tick: Step,
    lot: Step,
    ahead: Option<(Row, u64)>,
    best: [Level; 2],
    /// Time of the row read last.
    at: Nanos,
    /// A row of this time was faulty: what else is of its message is left out, for half a book is none.
    spoilt: Option<Nanos>,
    over: bool,
}

impl NpzReader {
    pub(super) fn open(path: &Path, instrument: InstrumentId, terms: &Instrument) -> Result<Self, DataFault> {
        Ok(Self {
            rows: Rows::open(path)?,
            symbol: None,
            instrument,
            tick: terms.tick,
            lot: terms.lot,
            ahead: None,
            best: [Level::default(); 2],
            at: Nanos::ZERO,
            spoilt: None,
            over: false,
        })
    }

    /// Opens an array to find the grid of its instrument, which it does not name; numbers are on the fine grid.
    pub(super) fn find(path: &Path, symbol: &str) -> Result<Self, DataFault> {
        let name =
            Symbol::from(symbol).map_err(|_| DataFault::Symbol { path: path.to_owned(), symbol: symbol.to_owned() })?;
        Ok(Self { symbol: Some(name), ..Self::open(path, InstrumentId(0), &fine_terms(symbol))? })
    }

    /// The next row that is for us, with its number; an error is a place where something is missing.
    fn row(&mut self, report: &mut FileReport) -> Option<Result<(Row, u64), u64>> {
        while !self.over {
            match self.rows.next() {
                Ok(Some(row)) => {
                    let number = self.rows.read;
                    if row.ev & (EXCH | LOCAL) == EXCH {
                        continue;
                    }
                    if !TIMES.contains(&row.local_ts) || !TIMES.contains(&row.exch_ts) {
                        report.fault(FaultKind::Malformed, number, || "a time that is none in nanoseconds".to_owned());
                        return Some(Err(number));
                    }
                    self.at = Nanos(row.local_ts);
                    match row.ev & KIND {
                        DEPTH | TRADE | CLEAR | SNAPSHOT | BBO if row.ev & LOCAL != 0 => {
                            if self.spoilt.is_some_and(|at| at == self.at && row.ev & KIND != TRADE) {
                                continue;
                            }
                            self.spoilt = None;
                            return Some(Ok((row, number)));
                        }
                        DEPTH | TRADE | CLEAR | SNAPSHOT | BBO => {
                            let what = "neither EXCH nor LOCAL is set: the array is not the output of a converter";
                            report.fault(FaultKind::Malformed, number, || what.to_owned());
                            return Some(Err(number));
                        }
                        // What users put beside the market: index, mark, funding, open interest.
                        100.. => {}
                        kind => {
                            report.fault(FaultKind::Malformed, number, || {
                                format!("event {kind}: only price levels and prints are read, no single orders")
                            });
                            return Some(Err(number));
                        }
                    }
                }
                Ok(None) => self.over = true,
                Err(why) => {
                    self.over = true;
                    let number = self.rows.read + 1;
                    report.fault(FaultKind::Cut, number, || why);
                    return Some(Err(number));
                }
            }
        }
        None
    }

    fn level(&self, row: &Row) -> Result<Level, String> {
        let price = steps(row.px, self.tick)
            .ok_or_else(|| format!("the price {} is no multiple of the tick {}", row.px, self.tick))?;
        let qty = steps(row.qty, self.lot)
            .ok_or_else(|| format!("the quantity {} is no multiple of the lot {}", row.qty, self.lot))?;
        Ok(Level { price: Ticks(price), qty: Lots(qty) })
    }

    /// Whether two rows were one message.
    fn together(a: &Row, b: &Row) -> bool {
        let class = |row: &Row| match row.ev & KIND {
            CLEAR | SNAPSHOT => SNAPSHOT,
            kind => kind,
        };
        class(a) == class(b) && class(a) != TRADE && (a.local_ts, a.exch_ts) == (b.local_ts, b.exch_ts)
    }

    /// Reads the message that begins with `row`; an error is the row that spoils it.
    fn message(&mut self, first: Row, number: u64, frame: &mut Frame, report: &mut FileReport) -> Result<bool, u64> {
        let (instrument, venue_time) = (self.instrument, Nanos(first.exch_ts));
        (frame.at, frame.venue, frame.line) = (Nanos(first.local_ts), venue_time, number);
        frame.clear();
        let (mut row, mut at) = (first, number);
        loop {
            if row.ev & KIND != CLEAR {
                let level = self.level(&row).map_err(|why| {
                    report.fault(FaultKind::Malformed, at, || why);
                    at
                })?;
                let sell = row.ev & SELL != 0;
                if row.ev & KIND == TRADE {
                    let taker = if sell { Side::Sell } else { Side::Buy };
                    let Level { price, qty } = level;
                    let (id, aggregate) = (0, false);
                    frame.body = Body::Trade(Trade { instrument, id, price, qty, taker, aggregate, venue_time });
                    return Ok(true);
                }
                if !sell && row.ev & BUY == 0 {
                    report.fault(FaultKind::Malformed, at, || "a level of neither side".to_owned());
                    return Err(at);
                }
                self.best[usize::from(sell)] = level;
                if sell { &mut frame.asks } else { &mut frame.bids }.push(level);
            }
            match self.row(report) {
                Some(Ok((next, number))) if Self::together(&first, &next) => (row, at) = (next, number),
                Some(Ok(next)) => {
                    self.ahead = Some(next);
                    break;
                }
                Some(Err(number)) => return Err(number),
                None => break,
            }
        }
        match first.ev & KIND {
            DEPTH => frame.body = Body::Depth { instrument, ids: None },
            BBO => {
                let [bid, ask] = self.best;
                let quote = BestQuote { instrument, seq: Seq(0), bid, ask, venue_time };
                frame.body = Body::Quote { quote, numbered: false };
                return Ok(bid.price.0 > 0 && ask.price.0 > 0);
            }
            _ => frame.body = Body::Snapshot { instrument, last: None, whole: false },
        }
        Ok(true)
    }
}

impl FrameReader for NpzReader {
    fn next(&mut self, frame: &mut Frame, report: &mut FileReport) -> Result<bool, DataFault> {
        loop {
            let spoilt = match self.ahead.take().map(Ok).or_else(|| self.row(report)) {
                None => return Ok(false),
                Some(Err(number)) => number,
                Some(Ok((row, number))) => {
                    report.frames += 1;
                    match self.message(row, number, frame, report) {
                        Ok(true) => return Ok(true),
                        Ok(false) => continue,
                        Err(number) => number,
                    }
                }
            };
            self.spoilt = Some(self.at);
            (frame.at, frame.venue, frame.line) = (self.at, Nanos::ZERO, spoilt);
            frame.body = Body::Lost { instrument: None };
            return Ok(true);
        }
    }

    fn position(&self) -> u64 {
        (&self.rows.file).stream_position().unwrap_or(0)
    }

    fn found(&self) -> &[Symbol] {
        self.symbol.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_fraction_is_the_step_it_is_nearest_to() {
        let step = |text: &str| Step::parse(text.as_bytes()).unwrap();
        for (value, grid, count) in [
            (61_800.1, "0.1", Some(618_001)),
            (0.1 + 0.2, "0.1", Some(3)),
            (0.001, "0.001", Some(1)),
            (1e-8, "0.00000001", Some(1)),
            (12.5, "2.5", Some(5)),
            (606.675, "0.00000001", Some(60_667_500_000)),
            (18_540.1, "0.00000001", Some(1_854_010_000_000)),
            (18_540.123_456_785, "0.00000001", None),
            (0.0, "0.1", Some(0)),
            (61_800.15, "0.1", None),
            (61_800.100_1, "0.1", None),
            (-1.0, "0.1", None),
            (f64::NAN, "0.1", None),
            (f64::INFINITY, "0.1", None),
            (1e16, "1", None),
        ] {
            assert_eq!(steps(value, step(grid)), count, "{value} on {grid}");
        }
    }

    #[test]
    fn a_header_tells_rows_or_what_is_wrong() {
        let good = "{'descr': [('ev', '<u8'), ('exch_ts', '<i8'), ('local_ts', '<i8'), ('px', '<f8'), ('qty', '<f8'), \
                    ('order_id', '<u8'), ('ival', '<i8'), ('fval', '<f8')], 'fortran_order': False, 'shape': (3,), }   \n";
        assert_eq!(shape(good), Ok(3));
        for (from, to, why) in [
            ("'<f8'), ('qty'", "'<f4'), ('qty'", "its columns are"),
            ("(3,)", "(3, 2)", "not a list"),
            ("'shape'", "'size'", "no shape"),
            ("False", "True", "Fortran"),
        ] {
            let error = shape(&good.replace(from, to)).unwrap_err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }
}
