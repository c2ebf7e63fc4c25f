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
    let number = text[..start].matches('\n').count();
    let line = Line { file: problem.file.to_string(), text: text[start..end].to_owned(), start, number };
    Some((line, span.start..span.end.clamp(span.start, end)))
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
