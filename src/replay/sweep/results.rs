//! The results of a sweep as they come: a line of JSON per finished point behind a line with the definition, so that a sweep that was
//! stopped goes on where it was. A last line that was cut off is dropped. Never mixes two sweeps in one file.

use super::points::{Axis, SweepError, Values};
use super::table::{Column, Table};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// A finished point.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Its number.
    pub number: u64,
    /// A value per key.
    pub values: Vec<String>,
    /// Figures by name, in the order of columns: whole numbers, numbers, text or null.
    pub figures: serde_json::Map<String, Value>,
}

/// The open file.
#[derive(Debug)]
pub struct Results {
    file: File,
    definition: Value,
    finished: BTreeMap<u64, Finished>,
}

impl Results {
    /// Opens the file, or makes it; what is finished in it already is known then.
    ///
    /// # Errors
    /// The file is of another sweep, or not one.
    pub fn open(path: &Path, definition: Value) -> Result<Self, SweepError> {
        let failed = |error: std::io::Error| SweepError(format!("{}: {error}", path.display()));
        let mut finished = BTreeMap::new();
        let mut sound = 0;
        if let Ok(file) = File::open(path) {
            let mut reader = BufReader::new(file);
            let mut line = String::new();
            let mut number = 0_u64;
            loop {
                line.clear();
                let read = reader.read_line(&mut line).map_err(failed)?;
                if read == 0 || !line.ends_with('\n') {
                    break;
                }
                number += 1;
                let value: Value = serde_json::from_str(&line)
                    .map_err(|error| SweepError(format!("{}, line {number}: {error}", path.display())))?;
                if number == 1 {
                    if value != definition {
                        return Err(SweepError(format!(
                            "{}: holds the results of another sweep; name another file, or remove it",
                            path.display()
                        )));
                    }
                } else {
                    let point = Finished::of_json(&value)
                        .ok_or_else(|| SweepError(format!("{}, line {number}: not a result", path.display())))?;
                    finished.insert(point.number, point);
                }
                sound += read as u64;
            }
        }
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(failed)?;
        file.set_len(sound).map_err(failed)?;
        drop(file);
        let mut file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        if sound == 0 {
            writeln!(file, "{definition}").map_err(failed)?;
        }
        Ok(Self { file, definition, finished })
    }

    /// Finished before.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        self.finished.contains_key(&number)
    }

    /// How many are finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.finished.len()
    }

    /// None is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.finished.is_empty()
    }

    /// One more; it is in the file when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&mut self, point: Finished) -> Result<(), SweepError> {
        let mut line = point.to_json().to_string();
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| SweepError(format!("the results: {error}")))?;
        self.finished.insert(point.number, point);
        Ok(())
    }

    /// As columns, in the order of the points' numbers: `point`, a column per axis, then the figures. An axis whose values are all numbers
    /// is a column of numbers, the same in every shard.
    #[must_use]
    pub fn table(&self, axes: &[Axis]) -> Table {
        let points = || self.finished.values();
        let mut columns =
            vec![("point".to_owned(), Column::Whole(points().map(|point| point.number.cast_signed()).collect()))];
        for (at, axis) in axes.iter().enumerate() {
            let values = || points().map(|point| &point.values[at]);
            let all = |is: fn(&String) -> bool| match &axis.values {
                Values::List(list) => list.iter().all(is),
                Values::Range { .. } => false,
            };
            let column = if all(|text| text.parse::<i64>().is_ok()) {
                Column::Whole(values().map(|text| text.parse().unwrap_or(i64::MAX)).collect())
            } else if axis.is_range() || all(|text| text.parse::<f64>().is_ok_and(f64::is_finite)) {
                Column::Real(values().map(|text| text.parse().ok()).collect())
            } else {
                Column::Text(values().cloned().collect())
            };
            // A column's name has no dot.
            columns.push((axis.key.replace('.', "_"), column));
        }
        let names: Vec<&String> = points().next().map_or_else(Vec::new, |point| point.figures.keys().collect());
        for name in names {
            let values = || points().map(|point| point.figures.get(name).unwrap_or(&Value::Null));
            let column = if values().all(|value| value.is_i64() || value.is_u64()) {
                Column::Whole(values().map(|value| value.as_i64().unwrap_or(i64::MAX)).collect())
            } else if values().all(Value::is_string) {
                Column::Text(values().map(|value| value.as_str().unwrap_or_default().to_owned()).collect())
            } else {
                Column::Real(values().map(Value::as_f64).collect())
            };
            columns.push((name.clone(), column));
        }
        Table { definition: self.definition.to_string(), columns }
    }
}

impl Finished {
    fn to_json(&self) -> Value {
        json!({"point": self.number, "values": self.values, "figures": self.figures})
    }

    fn of_json(value: &Value) -> Option<Self> {
        let texts = value.get("values")?.as_array()?.iter();
        let values = texts.map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        Some(Self {
            number: value.get("point")?.as_u64()?,
            values,
            figures: value.get("figures")?.as_object()?.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(number: u64) -> Finished {
        let figures = json!({"fills": number, "pnl_total": 0.5, "digest": "ab"});
        Finished { number, values: vec![format!("v{number}")], figures: figures.as_object().unwrap().clone() }
    }

    #[test]
    fn a_stopped_sweep_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let definition = json!({"set": ["a=1,2,3"]});
        let mut results = Results::open(&path, definition.clone()).unwrap();
        results.put(point(2)).unwrap();
        results.put(point(0)).unwrap();
        drop(results);
        // It was killed in the middle of a line.
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"point\":1,\"val")).unwrap();
        let mut results = Results::open(&path, definition.clone()).unwrap();
        assert_eq!((results.has(0), results.has(1), results.has(2), results.len()), (true, false, true, 2));
        results.put(point(1)).unwrap();
        let axis = |text: &str| [Axis::parse(text).unwrap()];
        let numbered = |text: &str| {
            let mut results = Results::open(&dir.path().join(text), json!({})).unwrap();
            for number in 1..=3 {
                results
                    .put(Finished { number, values: vec![number.to_string()], figures: Default::default() })
                    .unwrap();
            }
            results.table(&axis(text)).column("a").cloned().unwrap()
        };
        let table = results.table(&axis("a.b=v0,v1,v2"));
        assert_eq!(table.column("point"), Some(&Column::Whole(vec![0, 1, 2])));
        assert_eq!(table.column("a_b"), Some(&Column::Text(vec!["v0".into(), "v1".into(), "v2".into()])));
        assert_eq!(numbered("a=1,2,3"), Column::Whole(vec![1, 2, 3]));
        assert_eq!(
            numbered("a=1,2,3.5"),
            Column::Real(vec![Some(1.0), Some(2.0), Some(3.0)]),
            "a shard without the 3.5"
        );
        assert_eq!(numbered("a=1..3"), Column::Real(vec![Some(1.0), Some(2.0), Some(3.0)]));
        assert_eq!(table.column("fills"), Some(&Column::Whole(vec![0, 1, 2])));
        assert_eq!(Results::open(&path, definition).unwrap().len(), 3, "the mended file is whole");
        assert!(Results::open(&path, json!({"set": ["a=9"]})).is_err(), "another sweep");
    }
}
