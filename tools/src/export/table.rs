//! One kind's records as a Parquet file: buffered up to a bound, then written as a row group, zstd-compressed. Exact decimals stay exact.

use super::columns::{Column, Form};
use anyhow::{Context, Result, bail};
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use spinquote::unit::{MONEY_PLACES, Money};
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

/// A row group is written at this many rows, or at this many bytes of text.
const ROWS: usize = 1 << 16;
const BYTES: usize = 8 << 20;
const DECIMAL_BYTES: usize = size_of::<i128>();

enum Values {
    Whole(Vec<i64>),
    Flag(Vec<bool>),
    Text(Vec<ByteArray>),
    Decimal(Vec<FixedLenByteArray>),
}

struct Buffer {
    column: Column,
    values: Values,
    /// 1 where a row has a value; unused for columns that always have one.
    present: Vec<i16>,
}

/// A file in the making.
pub struct Table {
    writer: SerializedFileWriter<BufWriter<File>>,
    buffers: Vec<Buffer>,
    rows: usize,
    bytes: usize,
}

/// The schema in Parquet's own notation.
fn schema(kind: &str, columns: &[Column]) -> String {
    let mut text = format!("message {} {{\n", kind.replace('-', "_"));
    for column in columns {
        let repeat = if column.always { "required" } else { "optional" };
        let name = &column.name;
        let _ = match column.form {
            Form::Count => writeln!(text, "  {repeat} int64 {name} (INTEGER(64,false));"),
            Form::Whole => writeln!(text, "  {repeat} int64 {name};"),
            Form::Flag => writeln!(text, "  {repeat} boolean {name};"),
            Form::Text => writeln!(text, "  {repeat} binary {name} (STRING);"),
            Form::Decimal => {
                writeln!(text, "  {repeat} fixed_len_byte_array({DECIMAL_BYTES}) {name} (DECIMAL(38,{MONEY_PLACES}));")
            }
        };
    }
    text + "}\n"
}

impl Table {
    /// A file of a kind's columns. What each column means is in the file's own metadata.
    pub fn new(file: File, kind: &str, columns: Vec<Column>, run: &str) -> Result<Self> {
        let schema = parse_message_type(&schema(kind, &columns)).context("the schema of the columns")?;
        let note = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        let mut notes = vec![note("spinquote.run", run), note("spinquote.kind", kind)];
        notes.extend(columns.iter().map(|column| note(&format!("column.{}", column.name), column.what)));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("spinquote ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(notes))
            .build();
        let writer = SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(properties))?;
        let buffer = |column: Column| Buffer {
            values: match column.form {
                Form::Count | Form::Whole => Values::Whole(Vec::new()),
                Form::Flag => Values::Flag(Vec::new()),
                Form::Text => Values::Text(Vec::new()),
                Form::Decimal => Values::Decimal(Vec::new()),
            },
            present: Vec::new(),
            column,
        };
        Ok(Self { writer, buffers: columns.into_iter().map(buffer).collect(), rows: 0, bytes: 0 })
    }

    /// One row; `cell` gives the value of a column by its name, null or nothing where there is none.
    pub fn row<'a>(&mut self, cell: impl Fn(&str) -> Option<std::borrow::Cow<'a, Value>>) -> Result<()> {
        for buffer in &mut self.buffers {
            let name = buffer.column.name.as_str();
            let value = cell(name).filter(|value| !value.is_null());
            buffer.present.push(i16::from(value.is_some()));
            let Some(value) = value else {
                if buffer.column.always {
                    bail!("{name} has no value");
                }
                continue;
            };
            let wrong = || format!("{name}: {value} is no {}", buffer.column.form.name());
            match (&mut buffer.values, buffer.column.form) {
                // The bits of an unsigned number, as the format wants them.
                (Values::Whole(list), Form::Count) => list.push(value.as_u64().with_context(wrong)?.cast_signed()),
                (Values::Whole(list), _) => list.push(value.as_i64().with_context(wrong)?),
                (Values::Flag(list), _) => list.push(value.as_bool().with_context(wrong)?),
                (Values::Text(list), _) => {
                    let text = value.as_str().with_context(wrong)?;
                    self.bytes += text.len();
                    list.push(ByteArray::from(text.as_bytes().to_vec()));
                }
                (Values::Decimal(list), _) => {
                    let exact = Money::parse(value.as_str().with_context(wrong)?.as_bytes()).with_context(wrong)?;
                    list.push(FixedLenByteArray::from(exact.0.to_be_bytes().to_vec()));
                }
            }
        }
        self.rows += 1;
        if self.rows == ROWS || self.bytes >= BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for buffer in &mut self.buffers {
            let mut column = group.next_column()?.context("a column for each buffer")?;
            let levels = (!buffer.column.always).then_some(buffer.present.as_slice());
            match (column.untyped(), &mut buffer.values) {
                (ColumnWriter::Int64ColumnWriter(out), Values::Whole(list)) => {
                    out.write_batch(list, levels, None)?;
                    list.clear();
                }
                (ColumnWriter::BoolColumnWriter(out), Values::Flag(list)) => {
                    out.write_batch(list, levels, None)?;
                    list.clear();
                }
                (ColumnWriter::ByteArrayColumnWriter(out), Values::Text(list)) => {
                    out.write_batch(list, levels, None)?;
                    list.clear();
                }
                (ColumnWriter::FixedLenByteArrayColumnWriter(out), Values::Decimal(list)) => {
                    out.write_batch(list, levels, None)?;
                    list.clear();
                }
                _ => bail!("{}: the schema has another type", buffer.column.name),
            }
            column.close()?;
            buffer.present.clear();
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Writes the rest and the footer.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.writer.close()?;
        Ok(())
    }
}
