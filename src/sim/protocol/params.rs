//! The parameters of a request, from a query string, a form body or a JSON object, and the errors about them.

use crate::event::{PositionSide, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::exchange::Exchange;
use crate::sim::order::{ClientOrderId, OrderRef, Reject};
use crate::unit::{DecimalError, Lots, Step, Ticks};
use crate::wire::http;

/// A refusal as the client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// HTTP status (also of the WebSocket API).
    pub status: u16,
    /// The venue's code.
    pub code: i32,
    /// Its message.
    pub msg: String,
    /// Seconds to wait, for 418 and 429.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// With status 400.
    #[must_use]
    pub fn new(code: i32, msg: impl Into<String>) -> Self {
        Self { status: 400, code, msg: msg.into(), retry_after: None }
    }

    /// With another status.
    #[must_use]
    pub fn with_status(status: u16, code: i32, msg: impl Into<String>) -> Self {
        Self { status, code, msg: msg.into(), retry_after: None }
    }

    /// A parameter that is missing or not well formed.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }
}

impl From<Reject> for ApiError {
    fn from(reject: Reject) -> Self {
        Self::new(reject.code(), reject.to_string())
    }
}

/// Name and value, decoded, in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    /// From a query string and a form body.
    ///
    /// # Errors
    /// A broken percent escape, or bytes that are not UTF-8.
    pub fn from_form(query: &str, body: &[u8]) -> Result<Self, ApiError> {
        let body = std::str::from_utf8(body).map_err(|_| ApiError::new(-1101, "The body is not UTF-8."))?;
        let mut params = Self::default();
        for (key, value) in http::pairs(query).chain(http::pairs(body.trim())) {
            let (key, value) = (http::decode_percent(key), http::decode_percent(value));
            let (Some(key), Some(value)) = (key, value) else {
                return Err(ApiError::new(-1100, "Illegal characters found in a parameter."));
            };
            params.0.push((key.into_owned(), value.into_owned()));
        }
        Ok(params)
    }

    /// From the `params` object of the WebSocket API: strings, numbers and booleans, as their text.
    #[must_use]
    pub fn from_json(object: &serde_json::Map<String, serde_json::Value>) -> Self {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self(object.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), text(v))).collect())
    }

    /// The first value of that name that is not empty.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// As [`Params::find`], but it must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn need(&self, name: &str) -> Result<&str, ApiError> {
        self.find(name).ok_or_else(|| ApiError::missing(name))
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is there and not one.
    pub fn int(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.find(name).map(|text| text.parse().map_err(|_| ApiError::missing(name))).transpose()
    }

    /// A boolean.
    ///
    /// # Errors
    /// It is there and neither true nor false.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.find(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::missing(name)),
        }
    }

    /// `symbol`, which must be there and known.
    ///
    /// # Errors
    /// It is not.
    pub fn symbol(&self, exchange: &Exchange) -> Result<InstrumentId, ApiError> {
        let symbol = self.need("symbol")?;
        exchange.instrument_by_symbol(symbol).ok_or_else(|| Reject::UnknownSymbol.into())
    }

    /// `symbol`, if it is there.
    ///
    /// # Errors
    /// It is not known.
    pub fn symbol_if(&self, exchange: &Exchange) -> Result<Option<InstrumentId>, ApiError> {
        self.find("symbol").map(|_| self.symbol(exchange)).transpose()
    }

    /// `side`.
    ///
    /// # Errors
    /// Missing, or neither BUY nor SELL.
    pub fn side(&self) -> Result<Side, ApiError> {
        match self.need("side")? {
            "BUY" => Ok(Side::Buy),
            "SELL" => Ok(Side::Sell),
            _ => Err(ApiError::new(-1117, "Invalid side.")),
        }
    }

    /// `positionSide`, BOTH if it is not there.
    ///
    /// # Errors
    /// Not a position side.
    pub fn position_side(&self) -> Result<PositionSide, ApiError> {
        match self.find("positionSide").unwrap_or("BOTH") {
            "BOTH" => Ok(PositionSide::Net),
            "LONG" => Ok(PositionSide::Long),
            "SHORT" => Ok(PositionSide::Short),
            _ => Err(ApiError::new(-4060, "Invalid position side.")),
        }
    }

    /// A price on the grid.
    ///
    /// # Errors
    /// Missing, not a number, too many decimals or off the grid.
    pub fn price(&self, name: &str, instrument: &Instrument) -> Result<Ticks, ApiError> {
        let count = on_grid(self.need(name)?, name, instrument.tick, instrument.price_places, Reject::Tick)?;
        Ok(Ticks(count))
    }

    /// A quantity on the grid.
    ///
    /// # Errors
    /// As [`Params::price`].
    pub fn qty(&self, name: &str, instrument: &Instrument) -> Result<Lots, ApiError> {
        let count = on_grid(self.need(name)?, name, instrument.lot, instrument.qty_places, Reject::Lot)?;
        Ok(Lots(count))
    }

    /// `orderId` or `origClientOrderId`.
    ///
    /// # Errors
    /// Neither is there.
    pub fn order(&self) -> Result<OrderRef, ApiError> {
        if let Some(id) = self.int("orderId")? {
            return Ok(OrderRef::Id(u64::try_from(id).map_err(|_| ApiError::missing("orderId"))?));
        }
        let Some(text) = self.find("origClientOrderId") else {
            return Err(ApiError::new(
                -1102,
                "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
            ));
        };
        Ok(OrderRef::Client(client_id(text)?))
    }
}

/// Checks a client order id.
///
/// # Errors
/// Too long, or with characters that the venue does not take.
pub fn client_id(text: &str) -> Result<ClientOrderId, ApiError> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b".:/_-".contains(&b);
    if !text.bytes().all(fine) {
        return Err(ApiError::new(-1100, "Illegal characters found in parameter 'newClientOrderId'."));
    }
    ClientOrderId::from(text)
        .map_err(|_| ApiError::new(-4015, "Client order id length should not be more than 36 chars."))
}

fn on_grid(text: &str, name: &str, step: Step, places: u8, off: Reject) -> Result<i64, ApiError> {
    let decimals = text.split_once('.').map_or(0, |(_, d)| d.trim_end_matches('0').len());
    match step.parse_count(text.as_bytes()) {
        Ok(count) => Ok(count),
        Err(DecimalError::OffStep { .. }) if decimals > usize::from(places) => Err(Reject::Precision.into()),
        Err(DecimalError::OffStep { .. }) => Err(off.into()),
        Err(_) => Err(ApiError::missing(name)),
    }
}
