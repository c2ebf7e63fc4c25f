//! One fault in a settings file, as plain values: where, what was found, what would be valid. Never prints, never holds a secret.

use std::fmt;
use std::ops::Range;

/// A fault in a settings file. Every fault of a file is reported, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it.
    pub file: Box<str>,
    /// Its line, from 1; `None` where the fault is of the whole file (it cannot be read, a key is missing).
    pub line: Option<u32>,
    /// The key, empty where the fault is not of one key.
    pub key: String,
    /// What is wrong, with what was found.
    pub message: String,
    /// What would be right.
    pub valid: String,
    /// The offending bytes of the file's text, for a source snippet.
    pub span: Option<Range<usize>>,
}

impl Problem {
    /// A fault of a whole file.
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>, valid: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: String::new(),
            message: message.into(),
            valid: valid.into(),
            span: None,
        }
    }

    /// A fault at `span` of the file's `text`.
    #[must_use]
    pub fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        key: &str,
        message: impl Into<String>,
        valid: impl Into<String>,
    ) -> Self {
        Self {
            line: Some(line_of(text, span.start)),
            key: key.to_owned(),
            span: Some(span),
            ..Self::of_file(file, message, valid)
        }
    }
}

impl fmt::Display for Problem {
    /// `file:line: key: message (valid: ...)`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.valid.is_empty() {
            write!(f, " (valid: {})", self.valid)?;
        }
        Ok(())
    }
}

/// The line of byte `at`, from 1.
#[must_use]
pub fn line_of(text: &str, at: usize) -> u32 {
    text.as_bytes().iter().take(at).fold(1, |line, &byte| line + u32::from(byte == b'\n'))
}

/// The known name that `word` most likely stands for, if one is near enough: a third of its letters may differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|&(edits, name)| edits <= 1.max(name.chars().count() / 3))
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; case and `-`/`_` do not count.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).take(64).collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_and_nonsense_has_none() {
        let keys = ["bid_spread", "ask_spread", "order_amount", "leverage"];
        for (typed, meant) in [
            ("bid_spraed", Some("bid_spread")),
            ("bidspread", Some("bid_spread")),
            ("Ask-Spread", Some("ask_spread")),
            ("ordr_amount", Some("order_amount")),
            ("colour", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        let text = "a: 1\nbid_spread: -1\n";
        let problem = Problem::at("s.yml", text, 17..19, "bid_spread", "found -1", "(0, 100)");
        assert_eq!(problem.to_string(), "s.yml:2: bid_spread: found -1 (valid: (0, 100))");
        assert_eq!(Problem::of_file("s.yml", "no such file", "").to_string(), "s.yml: no such file");
    }
}
