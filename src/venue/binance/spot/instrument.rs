//! `GET /api/v3/exchangeInfo` to the terms of a spot symbol that is only looked at: its grid. Fees and limits of orders are not read.

use crate::instrument::Instrument;
use crate::unit::{Lots, Money, Rate, Step, Ticks, decimal_text};
use crate::venue::binance::usdm::instrument::{Terms, TermsError, listed, parse};

/// Decimals by which the book's quantities may be finer than those of orders. In the session recorded on 2024-08-08 some levels of
/// BTCUSDT have one more than LOT_SIZE, and a frame that is off the grid could not be read.
const FINER: u32 = 3;

/// The grid of one symbol, its quantities [`FINER`] than those of orders; everything that concerns orders is open.
///
/// # Errors
/// See [`TermsError`].
pub fn instrument(body: &[u8], symbol: &str) -> Result<Instrument, TermsError> {
    let info = parse(body)?;
    let terms = Terms { symbol, terms: listed(&info, symbol)? };
    let tick = terms.parsed("PRICE_FILTER", "tickSize", Step::parse)?;
    let step = terms.parsed("LOT_SIZE", "stepSize", Step::parse)?;
    let qty_places = terms.places("baseAssetPrecision")?;
    let places = (step.places() + FINER).min(u32::from(qty_places)).max(step.places());
    let lot = Step::parse(decimal_text(1, places).as_bytes()).expect("a power of ten is a step");
    Ok(Instrument {
        symbol: terms.name("symbol")?,
        base: terms.name("baseAsset")?,
        quote: terms.name("quoteAsset")?,
        tick,
        lot,
        price_places: terms.places("quotePrecision")?,
        qty_places,
        price_min: Ticks(1),
        // No limit: an open filter of the venue says 0 too.
        price_max: Ticks(0),
        qty_min: Lots(1),
        notional_min: Money::ZERO,
        maker_fee: Rate::ZERO,
        taker_fee: Rate::ZERO,
        maintenance_margin: Rate::ZERO,
        ..Instrument::synthetic("XUSDT", "1", "1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"timezone":"UTC","serverTime":1,"rateLimits":[],"exchangeFilters":[],"symbols":[{"symbol":"ABCUSDT",
        "status":"TRADING","baseAsset":"ABC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},
        {"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"}]}]}"#;

    #[test]
    fn the_grid_is_the_venues_and_what_is_missing_is_named() {
        let terms = instrument(BODY.as_bytes(), "ABCUSDT").unwrap();
        assert_eq!((terms.tick.to_string(), terms.lot.to_string()), ("0.01".into(), "0.00000001".into()));
        let coarse = BODY.replace("0.00001000", "1.00000000");
        assert_eq!(instrument(coarse.as_bytes(), "ABCUSDT").unwrap().lot.to_string(), "0.001");
        assert_eq!((terms.base.as_str(), terms.quote.as_str(), terms.price_places), ("ABC", "USDT", 8));
        let error = instrument(BODY.replace("tickSize", "x").as_bytes(), "ABCUSDT").unwrap_err();
        assert_eq!(error.to_string(), "ABCUSDT: PRICE_FILTER.tickSize is missing or unreadable");
        let halted = BODY.replace("TRADING", "BREAK");
        assert!(matches!(instrument(halted.as_bytes(), "ABCUSDT"), Err(TermsError::NotTrading { .. })));
        assert!(matches!(instrument(BODY.as_bytes(), "XYZUSDT"), Err(TermsError::UnknownSymbol { .. })));
    }
}
