//! The points of a sweep: every combination of listed values, or seeded draws from ranges. Exact decimals; one seed, one set of points.

use crate::sim::latency::Dice;
use crate::unit::{decimal_text, parse_scaled};
use serde_json::Value;

/// Most points of a sweep.
pub const POINTS_MAX: u64 = 10_000_000;
/// Decimals of a bound, and of what is drawn between two.
const PLACES: u32 = 12;

/// What is wrong with a sweep's definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SweepError(pub String);

/// The values of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// These.
    List(Vec<String>),
    /// Any multiple of `10^-places` from `lo` to `hi`, both in units of `10^-places`.
    Range {
        /// The least.
        lo: i128,
        /// The most.
        hi: i128,
        /// Decimals: two more than the bounds have.
        places: u32,
    },
}

/// One key and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The strategy's key; a dot goes into a section of a JSON file.
    pub key: String,
    /// What it takes.
    pub values: Values,
}

impl Axis {
    /// Reads `key=a,b,c` or `key=lo..hi`.
    ///
    /// # Errors
    /// A sentence that says what is valid.
    pub fn parse(text: &str) -> Result<Self, SweepError> {
        let valid =
            |why: &str| SweepError(format!("--set {text}: {why}; must be key=a,b,c or, with --random, key=lo..hi"));
        let (key, values) = text.split_once('=').ok_or_else(|| valid("no ="))?;
        if key.trim().is_empty() || values.trim().is_empty() {
            return Err(valid("empty"));
        }
        let key = key.trim().to_owned();
        if let Some((lo, hi)) = values.split_once("..") {
            let decimals = |text: &str| text.split_once('.').map_or(0, |(_, digits)| digits.len() as u32);
            let places = (decimals(lo.trim()).max(decimals(hi.trim())) + 2).min(PLACES);
            let read =
                |text: &str| parse_scaled(text.trim().as_bytes(), places).map_err(|error| valid(&error.to_string()));
            let (lo, hi) = (read(lo)?, read(hi)?);
            if lo >= hi {
                return Err(valid("the first bound must be the smaller one"));
            }
            return Ok(Self { key, values: Values::Range { lo, hi, places } });
        }
        let list: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        if list.iter().any(String::is_empty) {
            return Err(valid("an empty value"));
        }
        Ok(Self { key, values: Values::List(list) })
    }

    /// Values are drawn between two bounds.
    #[must_use]
    pub const fn is_range(&self) -> bool {
        matches!(self.values, Values::Range { .. })
    }

    fn draw(&self, dice: &mut Dice) -> String {
        match &self.values {
            Values::List(list) => list[dice.below(list.len() as u64) as usize].clone(),
            Values::Range { lo, hi, places } => {
                let width = u64::try_from(hi - lo + 1).unwrap_or(u64::MAX);
                decimal_text(lo + i128::from(dice.below(width)), *places)
            }
        }
    }
}

/// One set of values, in the order of the axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its number in the sweep, the same whatever the shard.
    pub number: u64,
    /// A value per axis.
    pub values: Vec<String>,
}

/// A part of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub part: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { part: 1, of: 1 };

    /// Reads `i/n`.
    ///
    /// # Errors
    /// A sentence that says what is valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let valid = || format!("{text}: must be i/n with i from 1 to n, such as 3/8");
        let (part, of) = text.split_once('/').ok_or_else(valid)?;
        let shard = Self { part: part.parse().map_err(|_| valid())?, of: of.parse().map_err(|_| valid())? };
        if (1..=shard.of).contains(&shard.part) { Ok(shard) } else { Err(valid()) }
    }

    /// Has this point.
    #[must_use]
    pub const fn has(self, number: u64) -> bool {
        number % self.of == self.part - 1
    }
}

/// The points: every combination, or `random` draws with `seed`. The last axis changes fastest.
///
/// # Errors
/// No axis, a key twice, a range without draws, or more than [`POINTS_MAX`].
pub fn points(axes: &[Axis], random: Option<u64>, seed: u64) -> Result<Vec<Point>, SweepError> {
    if axes.is_empty() {
        return Err(SweepError("no --set: a sweep needs at least one key with values".to_owned()));
    }
    for (at, axis) in axes.iter().enumerate() {
        if axes[..at].iter().any(|other| other.key == axis.key) {
            return Err(SweepError(format!("--set {}: given twice", axis.key)));
        }
    }
    let too_many = |count: u64| SweepError(format!("{count} points; at most {POINTS_MAX}"));
    if let Some(count) = random {
        if count > POINTS_MAX {
            return Err(too_many(count));
        }
        let mut dice = Dice::new(seed);
        let point = |number| Point { number, values: axes.iter().map(|axis| axis.draw(&mut dice)).collect() };
        return Ok((0..count).map(point).collect());
    }
    let mut lists = Vec::with_capacity(axes.len());
    for axis in axes {
        match &axis.values {
            Values::List(list) => lists.push(list),
            Values::Range { .. } => {
                return Err(SweepError(format!("--set {}: a range needs --random N; or list the values", axis.key)));
            }
        }
    }
    let count = lists.iter().try_fold(1_u64, |product, list| product.checked_mul(list.len() as u64));
    let count = count.filter(|count| *count <= POINTS_MAX).ok_or_else(|| too_many(u64::MAX))?;
    let point = |number| {
        let mut rest = number;
        let mut values: Vec<String> = lists
            .iter()
            .rev()
            .map(|list| {
                let at = (rest % list.len() as u64) as usize;
                rest /= list.len() as u64;
                list[at].clone()
            })
            .collect();
        values.reverse();
        Point { number, values }
    };
    Ok((0..count).map(point).collect())
}

/// A strategy's text with one key changed: a line of a YAML file (added where there is none), or a value of a JSON file, where a dot
/// goes into a section. That the key exists and takes the value is checked when the text is read.
///
/// # Errors
/// The text is not what its file name says, or the section is not there.
pub fn with_setting(file: &str, text: &str, key: &str, value: &str) -> Result<String, SweepError> {
    if file.ends_with(".json") {
        let mut all: Value = serde_json::from_str(text).map_err(|error| SweepError(format!("{file}: {error}")))?;
        let mut at = &mut all;
        let mut path = key.split('.').peekable();
        while let Some(part) = path.next() {
            let object =
                at.as_object_mut().ok_or_else(|| SweepError(format!("{file}: {key}: {part} is in no section")))?;
            if path.peek().is_none() {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                object.insert(part.to_owned(), value);
                return Ok(format!("{all:#}"));
            }
            at =
                object.get_mut(part).ok_or_else(|| SweepError(format!("{file}: {key}: there is no section {part}")))?;
        }
        return Err(SweepError(format!("{file}: {key}: no key")));
    }
    let is_key = |line: &str| line.split_once(':').is_some_and(|(name, _)| name == key);
    let mut out = String::with_capacity(text.len() + 64);
    let mut found = false;
    let mut inside = false;
    for line in text.lines() {
        // What is indented under a replaced key was its value.
        if inside && (line.starts_with([' ', '\t', '-']) || line.trim().is_empty()) {
            continue;
        }
        inside = is_key(line);
        if inside {
            found = true;
            out.push_str(&format!("{key}: {value}\n"));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !found {
        out.push_str(&format!("{key}: {value}\n"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(texts: &[&str]) -> Vec<Axis> {
        texts.iter().map(|text| Axis::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_grid_is_every_combination_once_and_shards_part_it() {
        let all = points(&axes(&["a=1,2,3", "b=x,y"]), None, 0).unwrap();
        let values: Vec<String> = all.iter().map(|point| point.values.concat()).collect();
        assert_eq!(values, ["1x", "1y", "2x", "2y", "3x", "3y"]);
        let shards: Vec<Shard> = (1..=4).map(|part| Shard { part, of: 4 }).collect();
        for point in &all {
            assert_eq!(shards.iter().filter(|shard| shard.has(point.number)).count(), 1);
        }
        assert_eq!(Shard::parse("2/4"), Ok(shards[1]));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn draws_lie_in_their_range_and_come_again_with_their_seed() {
        let axes = axes(&["spread=0.01..0.05", "levels=1,2"]);
        let draw = |seed| points(&axes, Some(200), seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for point in draw(3) {
            let spread: f64 = point.values[0].parse().unwrap();
            assert!((0.01..=0.05).contains(&spread) && ["1", "2"].contains(&point.values[1].as_str()));
        }
        assert!(points(&axes, None, 1).is_err(), "a range is no grid");
    }

    #[test]
    fn wrong_axes_are_refused() {
        for wrong in ["a", "=1", "a=", "a=1,,2", "a=2..1", "a=x..y"] {
            assert!(Axis::parse(wrong).is_err(), "{wrong}");
        }
        assert!(points(&[], None, 1).is_err());
        assert!(points(&axes(&["a=1", "a=2"]), None, 1).is_err());
    }

    #[test]
    fn a_setting_is_changed_in_its_place_or_added() {
        let yaml = "a: 1\norder_override:\n  x: [buy, 1, 2]\n  y: 3\nb: 2 # two\n";
        assert_eq!(with_setting("s.yml", yaml, "b", "5").unwrap(), yaml.replace("b: 2 # two", "b: 5"));
        assert_eq!(
            with_setting("s.yml", yaml, "order_override", "null").unwrap(),
            "a: 1\norder_override: null\nb: 2 # two\n"
        );
        assert_eq!(with_setting("s.yml", "a: 1", "c", "7").unwrap(), "a: 1\nc: 7\n");
        let json = with_setting("s.json", r#"{"trading": {"size": 1}, "m": "x"}"#, "trading.size", "2.5").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["trading"]["size"], 2.5);
        assert!(with_setting("s.json", "{}", "trading.size", "2").is_err());
        assert!(with_setting("s.json", "nonsense", "a", "2").is_err());
    }
}
