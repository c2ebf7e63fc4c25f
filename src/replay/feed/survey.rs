//! The first pass over a file that carries no terms: which instruments it holds, on which grid, and how its clock runs against the
//! venue's. Keeps a few numbers per symbol.
//!
//! The grid is the greatest common divisor of all prices (quantities) seen, as in the recordings that the simulator plays: with few
//! numbers it may come out coarser than the venue's.

use super::frame::{Body, Frame};
use crate::event::Level;
use crate::instrument::{Instrument, InstrumentId, Symbol};
use crate::unit::{Nanos, Step, decimal_text};
use crate::venue::binance::Product;

/// Decimals that prices and quantities are looked at with.
pub(super) const FINE_PLACES: u32 = 8;
/// [`FINE_PLACES`] as a step.
const FINE: &str = "0.00000001";
/// A receive time that is farther from the venue's is a broken number and not a clock.
const CLOCK_MAX: Nanos = Nanos::from_secs(86_400);
/// Most symbols of one file.
const SYMBOLS_MAX: usize = 4_096;

/// A step of 1e-8.
pub(super) fn fine_step() -> Step {
    Step::parse(FINE.as_bytes()).expect("literal")
}

/// A positive number that many others are tried by and divided by, without a division: `odd * 2^twos`, and the inverse of `odd` modulo
/// 2^64 (Granlund and Montgomery 1994, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Divisor {
    twos: u32,
    inverse: u64,
    /// The largest quotient that a 64-bit multiple has.
    most: u64,
}

impl Divisor {
    pub(super) fn new(number: i64) -> Self {
        assert!(number > 0, "division by {number}");
        let twos = number.trailing_zeros();
        let odd = (number >> twos).cast_unsigned();
        // Newton's iteration doubles the bits that are right; an odd number is its own inverse in three.
        let inverse =
            (0..5).fold(odd, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse))));
        Self { twos, inverse, most: u64::MAX / number.cast_unsigned() }
    }

    #[inline]
    pub(super) fn divides(self, number: i64) -> bool {
        number.unsigned_abs().wrapping_mul(self.inverse).rotate_right(self.twos) <= self.most
    }

    /// `number` divided; it must be a multiple.
    #[inline]
    pub(super) fn exact(self, multiple: i64) -> i64 {
        debug_assert!(self.divides(multiple));
        (multiple >> self.twos).wrapping_mul(self.inverse.cast_signed())
    }
}

/// The greatest common divisor of what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid(i64, Option<Divisor>);

impl Grid {
    #[inline]
    pub(super) fn add(&mut self, fine: i64) {
        if !self.1.is_some_and(|grid| grid.divides(fine)) {
            self.refine(fine);
        }
    }

    #[cold]
    fn refine(&mut self, fine: i64) {
        let (mut a, mut b) = (self.0, fine.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        *self = Self(a, (a != 0).then(|| Divisor::new(a)));
    }

    /// Whether all numbers seen are multiples of a step.
    pub(super) fn is_on(self, fine: i64) -> bool {
        self.0 % fine == 0
    }

    /// One where nothing was seen.
    fn text(self) -> String {
        decimal_text(if self.0 == 0 { 100_000_000 } else { self.0.into() }, FINE_PLACES)
    }
}

/// The grids of one symbol.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grids {
    pub prices: Grid,
    pub quantities: Grid,
}

impl Grids {
    fn add(&mut self, level: Level) {
        self.prices.add(level.price.0);
        self.quantities.add(level.qty.0);
    }
}

/// What the first pass found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The symbols, where the file carries no terms.
    pub names: Vec<Symbol>,
    /// By the places of the symbols.
    pub grids: Vec<Grids>,
    /// Smallest difference of receive time and venue time.
    pub latency_min: Option<Nanos>,
}

impl Survey {
    /// Looks at a message whose numbers are on the fine grid.
    pub(super) fn take(&mut self, frame: &Frame) {
        self.time(frame.at, frame.venue);
        let Some(at) = frame.body.instrument().map(|id| usize::from(id.0)) else { return };
        if self.grids.len() <= at {
            self.grids.resize(at + 1, Grids::default());
        }
        let grids = &mut self.grids[at];
        match frame.body {
            Body::Depth { .. } | Body::Snapshot { .. } => {
                frame.bids.iter().chain(&frame.asks).for_each(|level| grids.add(*level));
            }
            Body::Quote { quote, .. } => [quote.bid, quote.ask].into_iter().for_each(|level| grids.add(level)),
            Body::Trade(trade) => grids.add(Level { price: trade.price, qty: trade.qty }),
            _ => {}
        }
    }

    fn time(&mut self, received: Nanos, venue: Nanos) {
        if venue <= Nanos::ZERO || received <= Nanos::ZERO {
            return;
        }
        let latency = received - venue;
        if latency.abs() <= CLOCK_MAX {
            self.latency_min = Some(self.latency_min.map_or(latency, |least| least.min(latency)));
        }
    }
}

/// Symbols in the order in which a file names them.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<Symbol>);

impl Found {
    /// The place of a symbol, a new one's included. None for one beyond the bound, or too long: it stays unknown.
    pub(super) fn place(&mut self, symbol: &str) -> Option<InstrumentId> {
        let known = self.0.iter().position(|known| known.as_str() == symbol);
        let at = known.or_else(|| {
            let symbol = Symbol::from(symbol).ok().filter(|_| self.0.len() < SYMBOLS_MAX)?;
            self.0.push(symbol);
            Some(self.0.len() - 1)
        })?;
        u16::try_from(at).ok().map(InstrumentId)
    }

    pub(super) fn names(&self) -> &[Symbol] {
        &self.0
    }
}

/// The terms of a symbol of which only the grid is known: the usual ones of Binance USD-M otherwise.
pub(super) fn found_terms(name: Symbol, grids: &Grids) -> Instrument {
    let terms = Instrument::synthetic(venue_symbol(&name), &grids.prices.text(), &grids.quantities.text());
    Instrument { symbol: name, ..terms }
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
    fn a_divisor_tells_multiples_and_divides_them() {
        for number in [1, 2, 3, 10, 12, 1_000_000, 10_000_000, 50_000_000, i64::MAX, 1 << 62] {
            let divisor = Divisor::new(number);
            for quotient in [0, 1, -1, 2, 7, 607_003, -607_003, i64::MAX / number, i64::MIN / number] {
                let Some(multiple) = i64::checked_mul(quotient, number) else { continue };
                assert!(divisor.divides(multiple), "{quotient} * {number}");
                assert_eq!(divisor.exact(multiple), quotient, "{multiple} / {number}");
                if number > 1 {
                    for near in [multiple.wrapping_add(1), multiple.wrapping_sub(1)] {
                        assert_eq!(divisor.divides(near), near % number == 0, "{near} by {number}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_smallest_latency_counts_and_unknown_times_do_not() {
        let mut survey = Survey::default();
        for (received, venue) in [(10, 7), (20, 25), (30, 31), (40, 0), (0, 9), (50, i64::MAX), (i64::MAX, 1)] {
            survey.time(Nanos(received), Nanos(venue));
        }
        assert_eq!(survey.latency_min, Some(Nanos(-5)));
    }
}
