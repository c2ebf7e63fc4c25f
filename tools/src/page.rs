//! The counters page by names. A word that the page of another build does not have is `None`, never a fault.

use crate::run::Run;
use anyhow::Result;
use spinquote::journal::counters::{CounterReader, Word};
use spinquote::unit::decimal_text;
use std::collections::HashMap;

/// The page of a run.
#[derive(Debug)]
pub struct Page {
    pub reader: CounterReader,
    /// Its instruments, in order.
    pub symbols: Vec<String>,
    places: HashMap<String, usize>,
}

impl Page {
    /// Opens it.
    pub fn open(run: &Run) -> Result<Self> {
        let reader = run.counters()?;
        let places = reader.words().iter().enumerate().map(|(at, word)| (word.name.clone(), at)).collect();
        let symbol = |word: &Word| word.name.strip_suffix("/position").map(str::to_owned);
        let symbols = reader.words().iter().filter_map(symbol).collect();
        Ok(Self { reader, symbols, places })
    }

    /// A word of the whole program.
    pub fn value(&self, name: &str) -> Option<i64> {
        let word = &self.reader.words()[*self.places.get(name)?];
        Some(self.reader.value(word))
    }

    /// A word of the whole program, 0 where the page has none.
    pub fn count(&self, name: &str) -> i64 {
        self.value(name).unwrap_or(0)
    }

    /// A word of an instrument.
    pub fn of(&self, instrument: usize, name: &str) -> Option<i64> {
        self.value(&format!("{}/{name}", self.symbols.get(instrument)?))
    }
}

/// Money of the page, which has eight decimals.
pub fn money(value: i64) -> String {
    decimal_text(i128::from(value), 8)
}
