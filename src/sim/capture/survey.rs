//! The first pass over a recording: which contracts it holds, on which grid, and what the book was when it began.
//! Keeps one number per price ever mentioned, not the frames.
//!
//! **The grid** is the greatest common divisor of all prices (quantities) seen, and the decimals are the most that were printed:
//! a recording has no exchangeInfo. With few numbers it may come out coarser than the venue's.
//!
//! **The book at the start.** A recording starts in the middle of a session, and some have no REST snapshot. Depth levels are
//! absolute, so what a price first shows also stood there before, unless the market traded through it in between: a bid that
//! is first mentioned when the best bid has already been below it cannot have stood there. The others, from depth frames,
//! best quotes and inline snapshots alike, make the start book. It cannot cross: until its first mention each such bid has
//! been at or below every best bid. Levels that are never mentioned are missing; levels first mentioned by their deletion too;
//! far from the touch and outside a snapshot's range, levels that came later are there too early.

use super::frame::{self, Frame, Texts};
use super::{CaptureError, CaptureReader};
use crate::event::Side;
use crate::instrument::Instrument;
use crate::sim::market::TrueBook;
use crate::unit::{Lots, MONEY_PLACES, Nanos, Seq, Ticks, decimal_text, parse_scaled};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Prices remembered a side; later ones are left out of the start book.
const PRICES_MAX: usize = 1 << 18;
/// Symbols remembered; later ones are not named in errors.
const SYMBOLS_MAX: usize = 64;

/// What the first pass found.
pub(super) struct Survey {
    pub instrument: Instrument,
    pub book: TrueBook,
    /// The update id that the first depth frame follows.
    pub start: Seq,
    /// The recording has mark prices of its own.
    pub marks: bool,
    /// The frames are a spot market's.
    pub spot: bool,
    /// How far the recorder's clock ran behind the venue's: no frame can have been received before the venue made it.
    pub behind: Nanos,
    /// Where and how the recording is damaged; what lies before is played.
    pub damage: Option<CaptureError>,
}

#[derive(Default)]
struct Grid {
    divisor: i128,
    places: usize,
}

impl Grid {
    /// The number in 1e-18; takes part in the grid.
    fn add(&mut self, text: &str) -> Result<i128, String> {
        let value =
            parse_scaled(text.as_bytes(), MONEY_PLACES).map_err(|error| format!("the number `{text}`: {error}"))?;
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        self.places = self.places.max(places);
        let (mut a, mut b) = (self.divisor, value.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        self.divisor = a;
        Ok(value)
    }
}

#[derive(Default)]
struct Collected {
    prices: Grid,
    quantities: Grid,
    /// First known quantity by price; zero where nothing can have stood at the start.
    first: [HashMap<i128, i128>; 2],
    /// The lowest best bid and the highest best ask so far.
    extremes: Option<(i128, i128)>,
    /// The lowest bid and the highest ask of the last inline snapshot: between them every level was told.
    told: Option<(i128, i128)>,
    start: Option<Seq>,
    marks: bool,
    spot: bool,
    behind: Nanos,
}

impl Collected {
    fn time(&mut self, received: Nanos, venue_ms: i64) {
        self.behind = self.behind.max(Nanos::from_millis(venue_ms) - received);
    }

    fn level(&mut self, side: Side, [price, qty]: Texts<'_>) -> Result<(), String> {
        let (price, qty) = (self.prices.add(price)?, self.quantities.add(qty)?);
        if qty < 0 || price <= 0 {
            return Err(format!("a level at price {price} with quantity {qty} (1e-18)"));
        }
        let stood = match (side, self.extremes) {
            (_, None) => true,
            (Side::Buy, Some((lowest, _))) => price <= lowest,
            (Side::Sell, Some((_, highest))) => price >= highest,
        };
        let told = self.told.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&price));
        let known = &mut self.first[side.index()];
        if known.len() < PRICES_MAX {
            known.entry(price).or_insert(if stood && !told { qty } else { 0 });
        }
        Ok(())
    }

    fn frame(&mut self, received: Nanos, frame: &Frame<'_>) -> Result<(), String> {
        match frame {
            Frame::Depth(depth) => {
                self.time(received, depth.time_ms());
                self.start.get_or_insert(Seq(depth.prev()));
                depth.bids.iter().try_for_each(|&level| self.level(Side::Buy, level))?;
                depth.asks.iter().try_for_each(|&level| self.level(Side::Sell, level))?;
            }
            Frame::Quote(quote) => {
                match quote.time_ms {
                    Some(time) => self.time(received, time),
                    None => self.spot = true,
                }
                let (bid, ask) = (self.prices.add(quote.bid)?, self.prices.add(quote.ask)?);
                let (lowest, highest) = self.extremes.unwrap_or((bid, ask));
                self.extremes = Some((lowest.min(bid), highest.max(ask)));
                self.level(Side::Buy, [quote.bid, quote.bid_qty])?;
                self.level(Side::Sell, [quote.ask, quote.ask_qty])?;
            }
            Frame::Trade(trade) => {
                self.time(received, trade.time_ms);
                self.prices.add(trade.price)?;
                self.quantities.add(trade.qty)?;
            }
            Frame::Mark(_) => self.marks = true,
            Frame::Snapshot(snapshot) if self.concerns_us(snapshot) => {
                snapshot.bids.iter().try_for_each(|&level| self.level(Side::Buy, level))?;
                snapshot.asks.iter().try_for_each(|&level| self.level(Side::Sell, level))?;
                if let (Some(&[bid, _]), Some(&[ask, _])) = (snapshot.bids.last(), snapshot.asks.last()) {
                    self.told = Some((self.prices.add(bid)?, self.prices.add(ask)?));
                }
            }
            Frame::Snapshot(_) | Frame::Other => {}
        }
        Ok(())
    }

    /// A snapshot names no symbol: it is ours if its best bid is within a percent of our touch.
    fn concerns_us(&self, snapshot: &frame::Snapshot<'_>) -> bool {
        let best = snapshot.bids.first().and_then(|[price, _]| parse_scaled(price.as_bytes(), MONEY_PLACES).ok());
        match (best, self.extremes) {
            (Some(best), Some((bid, ask))) => best > bid - bid / 100 && best < ask + ask / 100,
            _ => false,
        }
    }
}

/// Reads the whole recording once.
pub(super) fn survey(path: &Path, symbol: Option<&str>) -> Result<Survey, CaptureError> {
    let mut reader = CaptureReader::open(path)?;
    let mut wanted = symbol.map(str::to_ascii_uppercase);
    let mut symbols = BTreeSet::new();
    let mut collected = Collected::default();
    let mut damage = None;
    loop {
        let (json, received, line) = match reader.next_line() {
            Ok(Some(line)) => (line.json, line.received, line.number),
            Ok(None) => break,
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        let bad = |why| CaptureError::Frame { path: path.to_owned(), line, why };
        let taken =
            frame::parse(json).map_err(|error| bad(format!("not a frame of the venue: {error}"))).and_then(|frame| {
                if let Some(symbol) = frame.symbol() {
                    let wanted = wanted.get_or_insert_with(|| symbol.to_owned());
                    if symbols.len() < SYMBOLS_MAX && !symbols.contains(symbol) {
                        symbols.insert(symbol.to_owned());
                    }
                    if wanted != symbol {
                        return Ok(());
                    }
                }
                collected.frame(received, &frame).map_err(bad)
            });
        if let Err(error) = taken {
            damage = Some(error);
            break;
        }
    }
    let found = symbols.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if symbol.is_none() && symbols.len() > 1 {
        return Err(CaptureError::ManySymbols { path: path.to_owned(), found });
    }
    let missing = if collected.start.is_none() { "depth" } else { "bookTicker" };
    let (Some(wanted), Some(start), true) = (wanted, collected.start, collected.extremes.is_some()) else {
        return Err(match (damage, symbol) {
            (Some(damage), _) => damage,
            (None, Some(symbol)) if !symbols.contains(&symbol.to_ascii_uppercase()) => {
                let found = if found.is_empty() { "no market frames".to_owned() } else { found };
                CaptureError::OtherSymbol { path: path.to_owned(), wanted: symbol.to_owned(), found }
            }
            _ => {
                let symbol = if found.is_empty() { "any market".to_owned() } else { found };
                CaptureError::Incomplete { path: path.to_owned(), symbol, missing }
            }
        });
    };
    if wanted.len() > 24 {
        let why = format!("the symbol `{wanted}` is longer than 24 bytes");
        return Err(CaptureError::Frame { path: path.to_owned(), line: 1, why });
    }
    let instrument = collected.instrument(&wanted);
    let book = collected.book();
    Ok(Survey {
        instrument,
        book,
        start,
        marks: collected.marks,
        spot: collected.spot,
        behind: collected.behind,
        damage,
    })
}

impl Collected {
    fn instrument(&self, symbol: &str) -> Instrument {
        let text = |grid: &Grid| decimal_text(grid.divisor, MONEY_PLACES);
        let instrument = Instrument::synthetic(symbol, &text(&self.prices), &text(&self.quantities));
        let places = |grid: &Grid| u8::try_from(grid.places).unwrap_or(MONEY_PLACES as u8);
        Instrument { price_places: places(&self.prices), qty_places: places(&self.quantities), ..instrument }
    }

    fn book(&self) -> TrueBook {
        let mut book = TrueBook::default();
        let steps = |value: i128, step: i128| i64::try_from(value / step).unwrap_or(i64::MAX);
        for side in [Side::Buy, Side::Sell] {
            for (&price, &qty) in &self.first[side.index()] {
                let price = Ticks(steps(price, self.prices.divisor));
                book.set(side, price, Lots(steps(qty, self.quantities.divisor)));
            }
        }
        book
    }
}
