//! A JSON object read field by field, so that every fault names its field by its path. Knows no recipe.

use super::RecipeError;
use crate::instrument::Symbol;
use serde_json::{Map, Value};
use std::fmt::Display;

/// A JSON object that is read field by field.
pub(super) struct Fields<'a> {
    path: String,
    object: &'a Map<String, Value>,
    seen: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, path: String) -> Result<Self, RecipeError> {
        match value {
            Value::Object(object) => Ok(Self { path, object, seen: Vec::new() }),
            _ => Err(wrong(if path.is_empty() { "recipe".to_owned() } else { path }, "an object", value)),
        }
    }

    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn value(&mut self, key: &'static str) -> Result<&'a Value, RecipeError> {
        self.seen.push(key);
        self.object.get(key).ok_or_else(|| RecipeError::Missing(self.path(key)))
    }

    pub(super) fn inner(&mut self, key: &'static str) -> Result<Self, RecipeError> {
        Fields::of(self.value(key)?, self.path(key))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<&'a str, RecipeError> {
        let value = self.value(key)?;
        value.as_str().ok_or_else(|| wrong(self.path(key), "text", value))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, RecipeError> {
        let value = self.value(key)?;
        value.as_bool().ok_or_else(|| wrong(self.path(key), "true or false", value))
    }

    pub(super) fn integer<T: TryFrom<i64>>(&mut self, key: &'static str) -> Result<T, RecipeError> {
        let value = self.value(key)?;
        let number = value.as_i64().ok_or_else(|| wrong(self.path(key), "a whole number", value))?;
        T::try_from(number).map_err(|_| invalid(self.path(key), format!("{number} is out of range")))
    }

    pub(super) fn decimal<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<T, RecipeError> {
        let text = self.text(key)?;
        parse(text.as_bytes()).map_err(|error| invalid(self.path(key), format!("{text:?}: {error}")))
    }

    pub(super) fn symbol(&mut self, key: &'static str) -> Result<Symbol, RecipeError> {
        let text = self.text(key)?;
        Symbol::from(text).map_err(|_| invalid(self.path(key), format!("{text:?} is too long for a symbol")))
    }

    pub(super) fn one_of<T: Copy>(&mut self, key: &'static str, known: &[(&str, T)]) -> Result<T, RecipeError> {
        let text = self.text(key)?;
        let found = known.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
        found.ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|&(name, _)| name).collect();
            invalid(self.path(key), format!("found {text:?}; must be {}", names.join(" or ")))
        })
    }

    /// Nothing else stands in the object.
    pub(super) fn finish(self) -> Result<(), RecipeError> {
        match self.object.keys().find(|key| !self.seen.contains(&key.as_str())) {
            Some(key) => Err(RecipeError::Unknown(self.path(key))),
            None => Ok(()),
        }
    }
}

pub(super) fn wrong(field: String, expected: &'static str, found: &Value) -> RecipeError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    RecipeError::Type { field, expected, found }
}

pub(super) fn invalid(field: impl Into<String>, what: impl Into<String>) -> RecipeError {
    RecipeError::Value { field: field.into(), what: what.into() }
}
