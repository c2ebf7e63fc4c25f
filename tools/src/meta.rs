//! What `meta.json` says of a run, as far as it says it: contracts for exact decimals, and the host. A missing or odd file only means that
//! raw ticks and lots are shown.

use serde_json::{Map, Value};
use spinquote::instrument::InstrumentId;
use spinquote::journal::counters::CounterReader;
use spinquote::unit::{Lots, Step, Ticks};
use std::fs;
use std::path::Path;

/// A contract's name and grid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    pub symbol: String,
    pub quote: String,
    pub tick: Option<Step>,
    pub lot: Option<Step>,
}

/// What is known of a run besides its records.
#[derive(Debug, Default)]
pub struct Meta {
    pub contracts: Vec<Contract>,
    /// What the file says of the host; runs of unlike hosts are not compared.
    pub host: Option<Value>,
    /// The risk gate's limits, by the names that the file gives them.
    pub limits: Map<String, Value>,
    /// The text of each strategy's settings at the start.
    pub strategies: Vec<String>,
    /// Why there are no contracts.
    pub fault: Option<String>,
}

impl Meta {
    /// Reads what can be read.
    pub fn load(path: &Path) -> Self {
        let fault = |what: String| Self {
            fault: Some(format!("{}: {what}; prices and quantities are shown in ticks and lots", path.display())),
            ..Self::default()
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return fault(error.to_string()),
        };
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) => return fault(format!("not JSON ({error})")),
        };
        let host = value.get("host").cloned();
        let Some(list) = value.pointer("/recipe/instruments").and_then(Value::as_array) else {
            return Self { host, ..fault("has no recipe with instruments".to_owned()) };
        };
        let contract = |part: &Value| {
            let of = |name: &str| part.pointer(&format!("/instrument/{name}")).and_then(Value::as_str);
            let step = |name: &str| of(name).and_then(|text| Step::parse(text.as_bytes()).ok());
            let word = |name: &str| of(name).unwrap_or_default().to_owned();
            Contract { symbol: word("symbol"), quote: word("quote"), tick: step("tick"), lot: step("lot") }
        };
        let strategies = list
            .iter()
            .map(|part| part.pointer("/strategy/text").and_then(Value::as_str).unwrap_or_default().to_owned())
            .collect();
        let limits = value.pointer("/recipe/maker/limits").and_then(Value::as_object).cloned().unwrap_or_default();
        // Watched markets have the numbers behind the traded ones.
        let watched = value.pointer("/recipe/watched").and_then(Value::as_array).into_iter().flatten();
        Self { contracts: list.iter().chain(watched).map(contract).collect(), host, limits, strategies, fault: None }
    }

    /// The symbols of the counters page, for a run whose meta.json says none.
    pub fn symbols_from(&mut self, page: &CounterReader) {
        for symbol in page.words().iter().filter_map(|word| word.name.strip_suffix("/position")) {
            self.contracts.push(Contract { symbol: symbol.to_owned(), ..Contract::default() });
        }
    }

    /// The instrument's symbol, or its number.
    pub fn symbol(&self, instrument: InstrumentId) -> String {
        match self.contracts.get(usize::from(instrument.0)) {
            Some(contract) if !contract.symbol.is_empty() => contract.symbol.clone(),
            _ => format!("#{}", instrument.0),
        }
    }

    /// The price as decimal text, if the grid is known.
    pub fn price(&self, instrument: InstrumentId, price: Ticks) -> Option<String> {
        Some(self.contracts.get(usize::from(instrument.0))?.tick?.text(price.0))
    }

    /// The quantity as decimal text, if the grid is known.
    pub fn qty(&self, instrument: InstrumentId, qty: Lots) -> Option<String> {
        Some(self.contracts.get(usize::from(instrument.0))?.lot?.text(qty.0))
    }

    /// Price times quantity in the counters page's money, if the grid is known.
    pub fn worth(&self, instrument: InstrumentId, price: Ticks, qty: Lots) -> Option<i64> {
        let contract = self.contracts.get(usize::from(instrument.0))?;
        let price = contract.tick?.atto().checked_mul(i128::from(price.0))? / 10_i128.pow(9);
        let lot = contract.lot?.atto() / 10_i128.pow(9);
        i64::try_from(price.checked_mul(lot)?.checked_mul(i128::from(qty.0))? / 10_i128.pow(10)).ok()
    }

    /// The price for people, in ticks where the grid is not known.
    pub fn price_text(&self, instrument: InstrumentId, price: Ticks) -> String {
        self.price(instrument, price).unwrap_or_else(|| format!("{}t", price.0))
    }

    /// The quantity for people, in lots where the grid is not known.
    pub fn qty_text(&self, instrument: InstrumentId, qty: Lots) -> String {
        self.qty(instrument, qty).unwrap_or_else(|| format!("{}l", qty.0))
    }

    /// What tells hosts apart: the fingerprint where there is one, else all that the file says of the host.
    pub fn fingerprint(&self) -> Option<&Value> {
        let host = self.host.as_ref()?;
        host.get("fingerprint").or(Some(host))
    }
}
