//! Shows faults of settings files on stderr, with the place in the file where that is safe to show. Decides nothing.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity};
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
    let text = problem.span.as_ref().and_then(|_| load::read_text(Path::new(&problem.file)).ok());
    let report = match (&problem.span, text) {
        (Some(span), Some(text)) if span.end <= text.len() => {
            Report::new(diagnostic.with_label(LabeledSpan::underline(span.clone())))
                .with_source_code(NamedSource::new(&problem.file, text))
        }
        _ => Report::new(diagnostic),
    };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_width(140).with_wrap_lines(false).with_context_lines(0);
    let mut shown = String::new();
    match handler.render_report(&mut shown, report.as_ref()) {
        Ok(()) => shown + "\n",
        Err(_) => format!("{problem}\n"),
    }
}
