//! The first pass over a file that carries no terms: which instruments it holds, on which grid, and how its clock runs against the
//! venue's. Keeps a few numbers per symbol; gives no event.
//!
//! The grid is the greatest common divisor of all prices (quantities) seen, as in the recordings that the simulator plays: with few
//! numbers it may come out coarser than the venue's.

use super::DataFault;
use crate::event::{Event, Level};
use crate::instrument::{Instrument, Symbol};
use crate::unit::{Lots, Nanos, Step, Ticks, decimal_text};
use crate::venue::binance::Product;
use std::path::Path;

/// Decimals that prices and quantities are looked at with.
pub(super) const FINE_PLACES: u32 = 8;
/// [`FINE_PLACES`] as a step.
const FINE: &str = "0.00000001";
/// Most symbols of one file.
const SYMBOLS_MAX: usize = 4_096;

/// A step of 1e-8.
pub(super) fn fine_step() -> Step {
    Step::parse(FINE.as_bytes()).expect("literal")
}

/// The greatest common divisor of what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid(i64);

impl Grid {
    #[inline]
    pub(super) fn add(&mut self, fine: i64) {
        if self.0 == 0 || fine % self.0 != 0 {
            let (mut a, mut b) = (self.0, fine.abs());
            while b != 0 {
                (a, b) = (b, a % b);
            }
            self.0 = a;
        }
    }

    /// One where nothing was seen.
    fn text(self) -> String {
        decimal_text(if self.0 == 0 { 100_000_000 } else { self.0.into() }, FINE_PLACES)
    }
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub symbol: Symbol,
    pub prices: Grid,
    pub quantities: Grid,
}

/// What the first pass found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub seen: Vec<Seen>,
    /// Terms that the file carries itself, in the place of `seen`.
    pub terms: Vec<Instrument>,
    /// Smallest difference of receive time and venue time.
    pub latency_min: Option<Nanos>,
}

impl Survey {
    pub(super) fn time(&mut self, received: Nanos, venue: Nanos) {
        if venue > Nanos::ZERO && received > Nanos::ZERO {
            let latency = received - venue;
            self.latency_min = Some(self.latency_min.map_or(latency, |least| least.min(latency)));
        }
    }

    /// The place of a symbol; a new one gets the next.
    pub(super) fn place(&mut self, path: &Path, symbol: &str) -> Result<usize, DataFault> {
        if let Some(at) = self.seen.iter().position(|seen| seen.symbol.as_str() == symbol) {
            return Ok(at);
        }
        let refused = |why: String| DataFault::Symbol { path: path.to_owned(), why };
        if self.seen.len() == SYMBOLS_MAX {
            return Err(refused(format!("more than {SYMBOLS_MAX} symbols")));
        }
        let symbol = Symbol::from(symbol)
            .map_err(|_| refused(format!("the symbol `{symbol}` is longer than {} bytes", Symbol::new().capacity())))?;
        self.seen.push(Seen { symbol, prices: Grid::default(), quantities: Grid::default() });
        Ok(self.seen.len() - 1)
    }

    pub(super) fn level(&mut self, at: usize, price: Ticks, qty: Lots) {
        let seen = &mut self.seen[at];
        seen.prices.add(price.0);
        seen.quantities.add(qty.0);
    }

    /// The numbers of an event on the fine grid; its instrument is the place.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let mut levels = |at: u16, levels: &[Level]| {
            levels.iter().for_each(|level| self.level(at.into(), level.price, level.qty));
        };
        match event {
            Event::Depth(depth) => [depth.bids, depth.asks].iter().for_each(|side| levels(depth.instrument.0, side)),
            Event::Snapshot(book) => [book.bids, book.asks].iter().for_each(|side| levels(book.instrument.0, side)),
            Event::Quote(quote) => levels(quote.instrument.0, &[quote.bid, quote.ask]),
            Event::Trade(trade) => levels(trade.instrument.0, &[Level { price: trade.price, qty: trade.qty }]),
            _ => {}
        }
    }
}

/// The terms of a symbol of which only the grid is known: the usual ones of Binance USD-M otherwise.
pub(super) fn found_terms(seen: &Seen) -> Instrument {
    let terms = Instrument::synthetic(venue_symbol(&seen.symbol), &seen.prices.text(), &seen.quantities.text());
    Instrument { symbol: seen.symbol, ..terms }
}

/// What stands between a symbol and its venue, where it is not of Binance USD-M: several venues have the same symbols.
const AT: char = '@';

/// An instrument's name in the stream: the symbol alone for Binance USD-M, else with the venue's name as Tardis writes it behind it.
/// As much of it as a symbol holds; a longer one finds no terms.
pub(super) fn stream_name(product: Product, symbol: &str) -> Symbol {
    match product {
        Product::Usdm => cut(symbol),
        Product::Spot => cut(&venue_name(symbol, "binance")),
    }
}

/// The name of an instrument of another venue.
pub(super) fn venue_name(symbol: &str, venue: &str) -> String {
    format!("{symbol}{AT}{venue}")
}

/// The venue's own symbol in a name.
pub(super) fn venue_symbol(name: &str) -> &str {
    name.split_once(AT).map_or(name, |(symbol, _)| symbol)
}

/// As much of a name as a symbol holds.
pub(super) fn cut(name: &str) -> Symbol {
    let mut symbol = Symbol::new();
    for letter in name.chars() {
        if symbol.try_push(letter).is_err() {
            break;
        }
    }
    symbol
}

/// A contract on the fine grid, to look at its numbers.
pub(super) fn fine_terms(symbol: &str) -> Instrument {
    Instrument::synthetic(symbol, FINE, FINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_the_greatest_common_divisor() {
        let mut grid = Grid::default();
        assert_eq!(grid.text(), "1");
        for (fine, text) in [(0, "1"), (5_000_000_000, "50"), (1_250_000_000, "12.5"), (30_000_000, "0.1")] {
            grid.add(fine);
            assert_eq!(grid.text(), text);
        }
    }

    #[test]
    fn the_smallest_latency_counts_and_unknown_times_do_not() {
        let mut survey = Survey::default();
        for (received, venue) in [(10, 7), (20, 25), (30, 31), (40, 0), (0, 9)] {
            survey.time(Nanos(received), Nanos(venue));
        }
        assert_eq!(survey.latency_min, Some(Nanos(-5)));
    }
}
