//! The percentile plot and its table as one HTML page that needs nothing else. Only puts together what `svg` and the caller drew.

use crate::hist::{PERCENTILES, shown};
use crate::text;
use spinquote::journal::histogram::{Snapshot, Stage};
use std::fmt::Write;

/// The page.
pub fn page(run: &str, svg: &str, stages: &[Snapshot]) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let span = |ns: u64| text::span(ns.cast_signed());
    let mut rows = String::new();
    for stage in stages.iter().filter(|stage| stage.count > 0) {
        let help = Stage::ALL.iter().find(|known| known.name() == stage.name).map_or("", |known| known.help());
        write!(
            rows,
            "<tr title=\"{}\"><th>{}</th><td>{}</td>",
            escape(help).replace('"', "&quot;"),
            escape(&stage.name),
            stage.count
        )
        .expect("a string takes all");
        for (_, millionths) in PERCENTILES {
            write!(rows, "<td>{}</td>", span(stage.percentile(millionths).min(stage.max))).expect("a string takes all");
        }
        writeln!(rows, "<td>{}</td></tr>", span(stage.max)).expect("a string takes all");
    }
    let heads: String = PERCENTILES.iter().map(|(name, _)| format!("<th>{}</th>", shown(name))).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Latency of run {run}</title>\n\
         <style>body{{font:14px sans-serif;margin:2em auto;max-width:980px}}svg{{width:100%}}table{{border-collapse:collapse}}\
         th,td{{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}}tr>th:first-child{{text-align:left}}</style></head>\n\
         <body>\n{svg}<table><tr><th>stage</th><th>count</th>{heads}<th>max</th></tr>\n{rows}</table>\n</body></html>\n",
        run = escape(run)
    )
}
