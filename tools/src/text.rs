//! Numbers, times and tables as text. Knows nothing of runs.

use serde_json::Value;
use spinquote::event::ClientId;
use spinquote::unit::Nanos;
use std::fmt::Debug;
use std::io::{self, Write};

/// A time in UTC to the nanosecond.
pub fn time(at: Nanos) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(at.0)) {
        Ok(stamp) => format!("{stamp:.9}"),
        Err(_) => format!("{}ns", at.0),
    }
}

/// A time of day in UTC to the millisecond.
pub fn clock(at: Nanos) -> String {
    time(at).get(11..23).map_or_else(|| time(at), str::to_owned)
}

/// A time of day in UTC to the microsecond.
pub fn clock_micros(at: Nanos) -> String {
    time(at).get(11..26).map_or_else(|| time(at), str::to_owned)
}

/// A length of time in the unit that fits, with at most three decimals.
pub fn span(ns: i64) -> String {
    let size = ns.unsigned_abs();
    let (unit, name) = match size {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        1_000_000_000..120_000_000_000 => (1_000_000_000, "s"),
        120_000_000_000..7_200_000_000_000 => (60_000_000_000, "min"),
        _ => (3_600_000_000_000, "h"),
    };
    let sign = if ns < 0 { "-" } else { "" };
    let (whole, rest) = (size / unit, size % unit * 1000 / unit);
    match whole {
        0..10 => format!("{sign}{whole}.{:02} {name}", rest / 10),
        10..100 => format!("{sign}{whole}.{} {name}", rest / 100),
        _ => format!("{sign}{whole} {name}"),
    }
}

/// Bytes in the unit that fits.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (0..units.len() - 1).take_while(|&power| count >> (10 * (power + 1)) > 0).count();
    if power == 0 {
        return format!("{count} B");
    }
    let tenths = (u128::from(count) * 10) >> (10 * power);
    format!("{}.{} {}", tenths / 10, tenths % 10, units[power])
}

/// A whole number with its thousands apart.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The name of an enum's variant as people type it: `PostOnly` is `post-only`.
pub fn name(variant: impl Debug) -> String {
    let mut out = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The name behind a code, or the code itself.
pub fn coded<T: Copy + Debug>(all: &[T], code_of: impl Fn(T) -> u8, code: u8) -> String {
    all.iter().find(|&&variant| code_of(variant) == code).map_or_else(|| format!("code-{code}"), name)
}

/// An order's id as everywhere in the output.
pub fn order_id(id: ClientId) -> String {
    format!("{id:?}")
}

/// Left or right in its column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Right,
}

/// A table for people, and the same for programs.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Columns whose names begin with `<` stand left, the others right.
    pub fn new(columns: &[&'static str]) -> Self {
        let column = |&name: &&'static str| match name.strip_prefix('<') {
            Some(name) => (name, Align::Left),
            None => (name, Align::Right),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells.into());
    }

    /// No rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes header and rows.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].chars().count());
            cells.chain([self.columns[at].0.len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let header: Vec<&str> = self.columns.iter().map(|&(name, _)| name).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(String::as_str).collect());
        for row in std::iter::once(header).chain(rows) {
            let mut line = String::new();
            for ((cell, &width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                let cell = match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                };
                line.push_str(&cell);
                line.push_str("  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Writes a JSON value, one line or many.
pub fn json(out: &mut dyn Write, value: &Value, lines: bool) -> io::Result<()> {
    let text = if lines { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    writeln!(out, "{}", text.map_err(io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_counts_read_well() {
        let spans = [(7, "7 ns"), (1_234, "1.23 us"), (45_678_000, "45.6 ms"), (-2_000_000_000, "-2.00 s")];
        for (ns, expected) in spans {
            assert_eq!(span(ns), expected);
        }
        assert_eq!((span(300_000_000_000), span(90_000_000_000_000)), ("5.00 min".into(), "25.0 h".into()));
        assert_eq!((count(-1_234_567), count(12), count(123)), ("-1,234,567".into(), "12".into(), "123".into()));
        assert_eq!((bytes(1023), bytes(1536), bytes(64 << 20)), ("1023 B".into(), "1.5 KiB".into(), "64.0 MiB".into()));
        assert_eq!(name(spinquote::event::TimeInForce::PostOnly), "post-only");
    }
}
