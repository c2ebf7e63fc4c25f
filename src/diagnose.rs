//! Shows faults of settings files on stderr, with the place in the file where that is safe to show. Decides nothing.

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, MietteError, MietteSpanContents, Report,
    Severity, SourceCode, SourceSpan, SpanContents,
};
use spinquote::config::{load, problem::Problem};
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Shows faults that stop the start.
pub fn errors(problems: &[Problem]) {
    show(problems, Severity::Error);
}

/// Shows what the user should know.
pub fn warnings(problems: &[Problem]) {
    show(problems, Severity::Warning);
}

fn show(problems: &[Problem], severity: Severity) {
    let mut err = std::io::stderr();
    let theme = if err.is_terminal() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    for problem in problems {
        // A closed stderr has no reader to tell.
        let _ = err.write_all(render(problem, severity, theme.clone()).as_bytes());
    }
}

fn render(problem: &Problem, severity: Severity, theme: GraphicalTheme) -> String {
    let title = Problem { valid: String::new(), ..problem.clone() }.to_string();
    let mut diagnostic = MietteDiagnostic::new(title).with_severity(severity);
    if !problem.valid.is_empty() {
        diagnostic = diagnostic.with_help(format!("valid: {}", problem.valid));
    }
    let report = match line_of(problem) {
        Some((line, label)) => Report::new(diagnostic.with_label(LabeledSpan::underline(label))).with_source_code(line),
        None => Report::new(diagnostic),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(140).with_wrap_lines(false);
    let mut shown = String::new();
    match handler.render_report(&mut shown, report.as_ref()) {
        Ok(()) => shown + "\n",
        Err(_) => format!("{problem}\n"),
    }
}

/// The line of a problem, and the problem's bytes in the file, cut at the end of the line.
fn line_of(problem: &Problem) -> Option<(Line, std::ops::Range<usize>)> {
    let span = problem.span.clone()?;
    let text = load::read_text(Path::new(&*problem.file)).ok()?;
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
    if may_hold_a_secret(&text[start..end]) {
        return None;
    }
    let number = text[..start].matches('\n').count();
    let line = Line { file: problem.file.to_string(), text: text[start..end].to_owned(), start, number };
    Some((line, span.start..span.end.clamp(span.start, end)))
}

/// True for a line with a word that tells of a secret, and for one with a word as long as a secret's, as the lines of a PEM key are. People
/// paste secrets into the wrong file, or without their quotation marks: such a line is told by its number only.
fn may_hold_a_secret(line: &str) -> bool {
    const WORDS: [&str; 6] = ["secret", "key", "passw", "token", "private", "-----"];
    const LONG: usize = 32;
    let lower = line.to_ascii_lowercase();
    let long =
        |word: &str| word.len() >= LONG && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    WORDS.iter().any(|word| lower.contains(word)) || line.split([' ', '\t', '"', '\'']).any(long)
}

/// One line of a file: the neighbours of a faulty line are never shown, for they may hold a secret.
#[derive(Debug)]
struct Line {
    file: String,
    text: String,
    start: usize,
    /// From 0.
    number: usize,
}

impl SourceCode for Line {
    fn read_span<'a>(
        &'a self,
        _span: &SourceSpan,
        _lines_before: usize,
        _lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = SourceSpan::from(self.start..self.start + self.text.len());
        let (file, bytes) = (self.file.clone(), self.text.as_bytes());
        Ok(Box::new(MietteSpanContents::new_named(file, bytes, whole, self.number, 0, 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_may_hold_a_secret_are_known() {
        for line in [
            "secret = hunter2",
            "key=\"hunter2",
            "  api_secret: hunter2",
            "apiKey: 5",
            "password = 'x'",
            "{\"market\": \"BTC-USDT\", \"secret\": \"hunter2\"}",
            "-----BEGIN PRIVATE KEY-----",
            "MC4CAQAwBQYDK2VwBCIEIKGnwZsXyQ1dQ0Jm1u8mT3o9",
            "rest_url = \"vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A\"",
        ] {
            assert!(may_hold_a_secret(line), "{line}");
        }
        for line in ["bid_spread: -1", "[risk", "price_band = 200", "custom_api: http://127.0.0.1:1/a", "- 1", ""] {
            assert!(!may_hold_a_secret(line), "{line}");
        }
    }
}
