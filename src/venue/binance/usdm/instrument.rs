//! `GET /fapi/v1/exchangeInfo` to [`Instrument`]s and request limits. Every filter comes from the venue; a missing one is an error.

use super::limits::Quotas;
use crate::instrument::{Instrument, Symbol};
use crate::unit::{Lots, Money, Rate, Step, Ticks};
use serde_json::Value;

/// Why a symbol's terms cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The body is not exchangeInfo.
    #[error("exchangeInfo: {0}")]
    Malformed(String),
    /// The venue has no such symbol.
    #[error("{symbol}: the venue lists no such symbol (it lists {listed}, such as {example})")]
    UnknownSymbol {
        /// What was asked for.
        symbol: String,
        /// How many it lists.
        listed: usize,
        /// One of them.
        example: String,
    },
    /// It is listed but not tradable now.
    #[error("{symbol}: status {status}, not TRADING")]
    NotTrading {
        /// What was asked for.
        symbol: String,
        /// The venue's word.
        status: String,
    },
    /// It is not a perpetual: it has a delivery date, or is of a kind with other rules.
    #[error("{symbol}: contract type {kind}, not PERPETUAL")]
    NotPerpetual {
        /// What was asked for.
        symbol: String,
        /// The venue's word.
        kind: String,
    },
    /// A filter or a field of one is missing or unreadable.
    #[error("{symbol}: {field} is missing or unreadable")]
    Field {
        /// What was asked for.
        symbol: String,
        /// Filter and field.
        field: String,
    },
}

/// The terms of one symbol. Fees and margin are not in exchangeInfo: they are the account's, and stay at the regular tier's
/// (0.02 % maker, 0.05 % taker, fee schedule of the venue for USD-M, regular user) until the account's own were asked for.
///
/// # Errors
/// See [`TermsError`].
pub fn instrument(body: &[u8], symbol: &str) -> Result<Instrument, TermsError> {
    let info = parse(body)?;
    let terms = listed(&info, symbol)?;
    let kind = terms["contractType"].as_str().unwrap_or("missing");
    if kind != "PERPETUAL" {
        return Err(TermsError::NotPerpetual { symbol: symbol.into(), kind: kind.into() });
    }
    Terms { symbol, terms }.instrument()
}

/// The entry of a symbol that is traded now.
pub(in crate::venue::binance) fn listed<'a>(info: &'a Value, symbol: &str) -> Result<&'a Value, TermsError> {
    let symbols = info["symbols"].as_array().ok_or_else(|| TermsError::Malformed("no symbols".into()))?;
    let Some(terms) = symbols.iter().find(|entry| entry["symbol"] == symbol) else {
        let example = symbols.first().and_then(|entry| entry["symbol"].as_str()).unwrap_or("nothing");
        return Err(TermsError::UnknownSymbol {
            symbol: symbol.into(),
            listed: symbols.len(),
            example: example.into(),
        });
    };
    let status = terms["status"].as_str().unwrap_or("missing");
    if status != "TRADING" {
        return Err(TermsError::NotTrading { symbol: symbol.into(), status: status.into() });
    }
    Ok(terms)
}

/// The request limits of the venue (`rateLimits`).
///
/// # Errors
/// The body is not exchangeInfo.
pub fn quotas(body: &[u8]) -> Result<Quotas, TermsError> {
    let info = parse(body)?;
    let mut quotas = Quotas::default();
    for limit in info["rateLimits"].as_array().into_iter().flatten() {
        let Some(most) = limit["limit"].as_u64().and_then(|most| u32::try_from(most).ok()) else { continue };
        let (kind, interval) = (limit["rateLimitType"].as_str(), limit["interval"].as_str());
        match (kind, interval, limit["intervalNum"].as_u64()) {
            (Some("REQUEST_WEIGHT"), Some("MINUTE"), Some(1)) => quotas.weight_1m = most,
            (Some("ORDERS"), Some("SECOND"), Some(10)) => quotas.orders_10s = most,
            (Some("ORDERS"), Some("MINUTE"), Some(1)) => quotas.orders_1m = most,
            _ => {}
        }
    }
    Ok(quotas)
}

pub(in crate::venue::binance) fn parse(body: &[u8]) -> Result<Value, TermsError> {
    serde_json::from_slice(body).map_err(|error| TermsError::Malformed(error.to_string()))
}

pub(in crate::venue::binance) struct Terms<'a> {
    pub(in crate::venue::binance) symbol: &'a str,
    pub(in crate::venue::binance) terms: &'a Value,
}

impl Terms<'_> {
    fn missing(&self, field: impl Into<String>) -> TermsError {
        TermsError::Field { symbol: self.symbol.into(), field: field.into() }
    }

    /// A filter's field as text; some fields are JSON numbers.
    fn filter(&self, kind: &str, field: &str) -> Result<String, TermsError> {
        let filters = self.terms["filters"].as_array();
        let filter = filters.into_iter().flatten().find(|entry| entry["filterType"] == kind);
        match filter.map(|entry| &entry[field]) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            _ => Err(self.missing(format!("{kind}.{field}"))),
        }
    }

    pub(in crate::venue::binance) fn parsed<T, E>(
        &self,
        kind: &str,
        field: &str,
        parse: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<T, TermsError> {
        parse(self.filter(kind, field)?.as_bytes()).map_err(|_| self.missing(format!("{kind}.{field}")))
    }

    pub(in crate::venue::binance) fn name(&self, key: &str) -> Result<Symbol, TermsError> {
        let text = self.terms[key].as_str().ok_or_else(|| self.missing(key))?;
        Symbol::from(text).map_err(|_| self.missing(key))
    }

    pub(in crate::venue::binance) fn places(&self, key: &str) -> Result<u8, TermsError> {
        self.terms[key].as_u64().and_then(|n| u8::try_from(n).ok()).ok_or_else(|| self.missing(key))
    }

    fn instrument(&self) -> Result<Instrument, TermsError> {
        let tick = self.parsed("PRICE_FILTER", "tickSize", Step::parse)?;
        let lot = self.parsed("LOT_SIZE", "stepSize", Step::parse)?;
        // The price range of a filter need not lie on the grid: the nearest tick inside it counts.
        let inside = |text: &[u8]| crate::unit::Price::parse(text);
        let grid = Instrument { tick, lot, ..Instrument::synthetic("XUSDT", "1", "1") };
        Ok(Instrument {
            symbol: self.name("symbol")?,
            base: self.name("baseAsset")?,
            quote: self.name("quoteAsset")?,
            tick,
            lot,
            price_places: self.places("pricePrecision")?,
            qty_places: self.places("quantityPrecision")?,
            price_min: grid.ceil(self.parsed("PRICE_FILTER", "minPrice", inside)?).max(Ticks(1)),
            price_max: grid.floor(self.parsed("PRICE_FILTER", "maxPrice", inside)?),
            qty_min: self.parsed("LOT_SIZE", "minQty", |text| lot.parse_count(text)).map(Lots)?,
            qty_max: self.parsed("LOT_SIZE", "maxQty", |text| lot.parse_count(text)).map(Lots)?,
            market_qty_max: self.parsed("MARKET_LOT_SIZE", "maxQty", |text| lot.parse_count(text)).map(Lots)?,
            notional_min: self.parsed("MIN_NOTIONAL", "notional", Money::parse)?,
            percent_up: self.parsed("PERCENT_PRICE", "multiplierUp", Rate::parse)?,
            percent_down: self.parsed("PERCENT_PRICE", "multiplierDown", Rate::parse)?,
            orders_max: self.parsed("MAX_NUM_ORDERS", "limit", |text| {
                std::str::from_utf8(text).unwrap_or_default().parse::<u32>()
            })?,
            ..grid
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(filters: &str) -> String {
        format!(
            r#"{{"timezone":"UTC","rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}},
            {{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300}}],"symbols":[{{"symbol":"ABCUSDT","status":"TRADING",
            "contractType":"PERPETUAL","baseAsset":"ABC","quoteAsset":"USDT","pricePrecision":3,"quantityPrecision":1,"filters":[{filters}]}}]}}"#
        )
    }

    const FILTERS: &str = r#"{"filterType":"PRICE_FILTER","minPrice":"0.055","maxPrice":"900","tickSize":"0.010"},
        {"filterType":"LOT_SIZE","stepSize":"0.1","minQty":"0.1","maxQty":"1000"},
        {"filterType":"MARKET_LOT_SIZE","stepSize":"0.1","minQty":"0.1","maxQty":"200"},
        {"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"5"},
        {"filterType":"PERCENT_PRICE","multiplierUp":"1.15","multiplierDown":"0.85","multiplierDecimal":"4"}"#;

    #[test]
    fn the_filters_are_the_venues() {
        let terms = instrument(body(FILTERS).as_bytes(), "ABCUSDT").unwrap();
        assert_eq!((terms.tick.to_string(), terms.lot.to_string()), ("0.01".into(), "0.1".into()));
        assert_eq!((terms.price_min, terms.price_max), (Ticks(6), Ticks(90_000)));
        assert_eq!((terms.qty_min, terms.qty_max, terms.market_qty_max), (Lots(1), Lots(10_000), Lots(2_000)));
        assert_eq!((terms.notional_min, terms.orders_max), (Money::parse(b"5").unwrap(), 200));
        assert_eq!(terms.percent_up, Rate::parse(b"1.15").unwrap());
        let limits = quotas(body(FILTERS).as_bytes()).unwrap();
        assert_eq!((limits.weight_1m, limits.orders_10s, limits.orders_1m), (2400, 300, 1200));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = instrument(body("").as_bytes(), "ABCUSDT").unwrap_err();
        assert_eq!(error.to_string(), "ABCUSDT: PRICE_FILTER.tickSize is missing or unreadable");
        let error = instrument(body(FILTERS).as_bytes(), "XYZUSDT").unwrap_err();
        assert!(error.to_string().contains("no such symbol"), "{error}");
    }

    #[test]
    fn only_perpetuals_are_taken() {
        let dated = body(FILTERS).replace("PERPETUAL", "CURRENT_QUARTER");
        let error = instrument(dated.as_bytes(), "ABCUSDT").unwrap_err();
        assert_eq!(error.to_string(), "ABCUSDT: contract type CURRENT_QUARTER, not PERPETUAL");
        let silent = body(FILTERS).replace(r#""contractType":"PERPETUAL","#, "");
        assert!(matches!(instrument(silent.as_bytes(), "ABCUSDT"), Err(TermsError::NotPerpetual { .. })));
    }
}
