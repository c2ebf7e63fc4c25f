//! A table of results as a Parquet file: written and read by its own columns' names, with the sweep's definition in its metadata.

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Under which the definition stands in the file's metadata.
const DEFINITION: &str = "spinquote.sweep";

/// Why a table cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its content.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// What the format's reader said.
        source: ParquetError,
    },
    /// A Parquet file of something else.
    #[error("{}: not the result of a sweep: {what}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// Two parts do not belong together.
    #[error("{what}: parts of different sweeps are not joined")]
    Different {
        /// What differs.
        what: String,
    },
}

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Text.
    Text(Vec<String>),
    /// Whole numbers.
    Whole(Vec<i64>),
    /// Numbers that may be unknown.
    Real(Vec<Option<f64>>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
        }
    }

    /// A value as people read it.
    #[must_use]
    pub fn text(&self, row: usize) -> String {
        match self {
            Self::Text(values) => values[row].clone(),
            Self::Whole(values) => values[row].to_string(),
            Self::Real(values) => values[row].map_or_else(|| "-".to_owned(), |value| format!("{value:.4}")),
        }
    }

    /// A value with all its digits.
    #[must_use]
    pub fn exact(&self, row: usize) -> String {
        match self {
            Self::Real(values) => values[row].map_or_else(|| "-".to_owned(), |value| value.to_string()),
            other => other.text(row),
        }
    }

    /// A value to sort by; unknown is lowest. Text sorts as the number that it is, if it is one.
    #[must_use]
    pub fn rank(&self, row: usize) -> f64 {
        match self {
            Self::Text(values) => values[row].parse().unwrap_or(f64::NEG_INFINITY),
            Self::Whole(values) => values[row] as f64,
            Self::Real(values) => values[row].unwrap_or(f64::NEG_INFINITY),
        }
    }

    fn pick(&self, rows: &[usize]) -> Self {
        match self {
            Self::Text(values) => Self::Text(rows.iter().map(|&row| values[row].clone()).collect()),
            Self::Whole(values) => Self::Whole(rows.iter().map(|&row| values[row]).collect()),
            Self::Real(values) => Self::Real(rows.iter().map(|&row| values[row]).collect()),
        }
    }
}

/// Columns of one length, and what made them.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The sweep's definition, as JSON text.
    pub definition: String,
    /// Names and values.
    pub columns: Vec<(String, Column)>,
}

impl Table {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// A column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(found, _)| found == name).map(|(_, column)| column)
    }

    /// The rows in the order of a column, largest first, ties as they stood; `None` if there is no such column.
    #[must_use]
    pub fn sorted(&self, by: &str) -> Option<Self> {
        let column = self.column(by)?;
        let mut rows: Vec<usize> = (0..self.rows()).collect();
        rows.sort_by(|&a, &b| column.rank(b).total_cmp(&column.rank(a)));
        Some(self.picked(&rows))
    }

    fn picked(&self, rows: &[usize]) -> Self {
        let columns = self.columns.iter().map(|(name, column)| (name.clone(), column.pick(rows))).collect();
        Self { definition: self.definition.clone(), columns }
    }

    /// Joins parts of one sweep: each point once, in the order of their numbers (the column `point`).
    ///
    /// # Errors
    /// The parts are of different sweeps, or contradict each other.
    pub fn joined(parts: &[Self]) -> Result<Self, TableError> {
        let different = |what: &str| TableError::Different { what: what.to_owned() };
        let first = parts.first().ok_or_else(|| different("no parts"))?;
        let mut all = first.clone();
        for part in &parts[1..] {
            if part.definition != first.definition {
                return Err(different("the definitions differ"));
            }
            for ((name, column), (other_name, other)) in all.columns.iter_mut().zip(&part.columns) {
                match (column, other) {
                    (Column::Text(values), Column::Text(more)) if name == other_name => values.extend_from_slice(more),
                    (Column::Whole(values), Column::Whole(more)) if name == other_name => {
                        values.extend_from_slice(more)
                    }
                    (Column::Real(values), Column::Real(more)) if name == other_name => values.extend_from_slice(more),
                    _ => return Err(different(&format!("the columns {name} and {other_name}"))),
                }
            }
        }
        let Some(Column::Whole(numbers)) = all.column("point").cloned() else {
            return Err(different("no column point"));
        };
        let mut rows: Vec<usize> = (0..numbers.len()).collect();
        rows.sort_by_key(|&row| numbers[row]);
        let equal = |a: usize, b: usize| {
            all.columns.iter().all(|(name, column)| name == "seconds" || column.pick(&[a]) == column.pick(&[b]))
        };
        let mut kept: Vec<usize> = Vec::with_capacity(rows.len());
        for row in rows {
            match kept.last() {
                Some(&last) if numbers[last] == numbers[row] => {
                    if !equal(last, row) {
                        return Err(different(&format!("point {} has two results", numbers[row])));
                    }
                }
                _ => kept.push(row),
            }
        }
        Ok(all.picked(&kept))
    }

    /// Writes it; an older file of the name is replaced only by a whole one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TableError> {
        let io = |source| TableError::Io { path: path.to_owned(), source };
        let parquet = |source| TableError::Parquet { path: path.to_owned(), source };
        let part = path.with_extension("parquet.part");
        let kind = |(name, column): &(String, Column)| match column {
            Column::Text(_) => format!("required binary \"{name}\" (UTF8);"),
            Column::Whole(_) => format!("required int64 \"{name}\";"),
            Column::Real(_) => format!("optional double \"{name}\";"),
        };
        // The parser takes names without quotes; a dot or a space in a key would end one.
        let message: String = self.columns.iter().map(kind).collect::<String>().replace('"', "");
        let schema = Arc::new(parse_message_type(&format!("message sweep {{ {message} }}")).map_err(parquet)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![KeyValue::new(DEFINITION.to_owned(), self.definition.clone())]))
            .build();
        let file = File::create(&part).map_err(io)?;
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(parquet)?;
        let mut group = writer.next_row_group().map_err(parquet)?;
        for (_, column) in &self.columns {
            let Some(mut out) = group.next_column().map_err(parquet)? else { break };
            match (out.untyped(), column) {
                (ColumnWriter::ByteArrayColumnWriter(out), Column::Text(values)) => {
                    let values: Vec<ByteArray> = values.iter().map(|text| ByteArray::from(text.as_str())).collect();
                    out.write_batch(&values, None, None).map_err(parquet)?;
                }
                (ColumnWriter::Int64ColumnWriter(out), Column::Whole(values)) => {
                    out.write_batch(values, None, None).map_err(parquet)?;
                }
                (ColumnWriter::DoubleColumnWriter(out), Column::Real(values)) => {
                    let there: Vec<f64> = values.iter().flatten().copied().collect();
                    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                    out.write_batch(&there, Some(&levels), None).map_err(parquet)?;
                }
                _ => unreachable!("the schema was made of the columns"),
            }
            out.close().map_err(parquet)?;
        }
        group.close().map_err(parquet)?;
        writer.close().map_err(parquet)?;
        std::fs::rename(&part, path).map_err(io)
    }

    /// Reads one.
    ///
    /// # Errors
    /// The file cannot be read, or is of something else.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let foreign = |what: &str| TableError::Foreign { path: path.to_owned(), what: what.to_owned() };
        let parquet = |source| TableError::Parquet { path: path.to_owned(), source };
        let file = File::open(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        let reader = SerializedFileReader::new(file).map_err(parquet)?;
        let metadata = reader.metadata().file_metadata();
        let pairs = metadata.key_value_metadata().cloned().unwrap_or_default();
        let definition = pairs.into_iter().find(|pair| pair.key == DEFINITION).and_then(|pair| pair.value);
        let definition = definition.ok_or_else(|| foreign("no definition in its metadata"))?;
        let mut columns: Vec<(String, Column)> = Vec::new();
        for column in metadata.schema_descr().columns() {
            use parquet::basic::Type as Physical;
            let empty = match column.physical_type() {
                Physical::BYTE_ARRAY => Column::Text(Vec::new()),
                Physical::INT64 => Column::Whole(Vec::new()),
                Physical::DOUBLE => Column::Real(Vec::new()),
                other => return Err(foreign(&format!("a column of {other}"))),
            };
            columns.push((column.name().to_owned(), empty));
        }
        for row in reader.get_row_iter(None).map_err(parquet)? {
            let row = row.map_err(parquet)?;
            for ((_, column), (_, field)) in columns.iter_mut().zip(row.get_column_iter()) {
                match (column, field) {
                    (Column::Text(values), Field::Str(text)) => values.push(text.clone()),
                    (Column::Whole(values), Field::Long(value)) => values.push(*value),
                    (Column::Real(values), Field::Double(value)) => values.push(Some(*value)),
                    (Column::Real(values), Field::Null) => values.push(None),
                    (_, other) => return Err(foreign(&format!("the value {other}"))),
                }
            }
        }
        Ok(Self { definition, columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(points: &[i64]) -> Table {
        let real = |&point: &i64| (point != 2).then_some(point as f64 / 8.0);
        Table {
            definition: r#"{"set":["a=1,2"]}"#.to_owned(),
            columns: vec![
                ("point".to_owned(), Column::Whole(points.to_vec())),
                ("a".to_owned(), Column::Text(points.iter().map(|point| format!("v{point}")).collect())),
                ("pnl_total".to_owned(), Column::Real(points.iter().map(real).collect())),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.parquet");
        table(&[0, 1, 2]).write(&path).unwrap();
        assert_eq!(Table::read(&path).unwrap(), table(&[0, 1, 2]));
        std::fs::write(&path, b"PAR1 but not really").unwrap();
        assert!(Table::read(&path).is_err());
    }

    #[test]
    fn parts_join_to_the_whole_in_any_order_and_only_if_they_agree() {
        let whole = Table::joined(&[table(&[1, 3]), table(&[0, 2]), table(&[1])]).unwrap();
        assert_eq!(whole, table(&[0, 1, 2, 3]));
        let mut other = table(&[3]);
        other.columns[2].1 = Column::Real(vec![Some(9.0)]);
        assert!(Table::joined(&[table(&[3]), other]).is_err(), "one point, two results");
        let mut other = table(&[4]);
        other.definition = "{}".to_owned();
        assert!(Table::joined(&[table(&[3]), other]).is_err(), "two sweeps");
        assert!(Table::joined(&[]).is_err());
    }

    #[test]
    fn the_best_comes_first_and_the_unknown_last() {
        let sorted = table(&[0, 1, 2, 3]).sorted("pnl_total").unwrap();
        assert_eq!(sorted.column("point"), Some(&Column::Whole(vec![3, 1, 0, 2])));
        assert!(table(&[0]).sorted("nonsense").is_none());
    }
}
