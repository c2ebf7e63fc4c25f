//! A percentile plot as one SVG file: nines across, logarithmic time up. Needs no script and no font.

use crate::text;
use spinquote::journal::histogram::Snapshot;
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
/// Colours that are told apart on white, also by most who see colours differently.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b"];
const TICKS: [(&str, f64); 7] = [
    ("0", 0.0),
    ("50%", 0.5),
    ("90%", 0.9),
    ("99%", 0.99),
    ("99.9%", 0.999),
    ("99.99%", 0.9999),
    ("99.999%", 0.999_99),
];

/// The plot of all stages that have values.
pub fn plot(run: &str, stages: &[Snapshot]) -> String {
    let stages: Vec<&Snapshot> = stages.iter().filter(|stage| stage.count > 0).collect();
    let low = stages.iter().map(|stage| stage.min.max(1)).min().unwrap_or(1);
    let high = stages.iter().map(|stage| stage.max.max(1)).max().unwrap_or(10);
    let (low, high) =
        ((low as f64).log10().floor(), (high as f64).log10().ceil().max((low as f64).log10().floor() + 1.0));
    let most = stages.iter().map(|stage| stage.count).max().unwrap_or(1).max(10);
    let nines = (most as f64).log10().clamp(2.0, 5.0);
    let x = |quantile: f64| LEFT + (-(1.0 - quantile).max(1e-9).log10() / nines).min(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |ns: f64| HEIGHT - BOTTOM - (ns.max(1.0).log10() - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a string takes all");
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    line(format_args!(r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#));
    line(format_args!(r#"<text x="{LEFT}" y="28" font-size="16">Latency by percentile, run {}</text>"#, escape(run)));
    for (label, quantile) in TICKS.into_iter().filter(|(_, quantile)| -(1.0 - quantile).log10() <= nines + 1e-9) {
        let at = x(quantile);
        line(format_args!(r##"<path d="M{at:.1} {TOP}V{:.1}" stroke="#ddd"/>"##, HEIGHT - BOTTOM));
        line(format_args!(
            r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
            HEIGHT - BOTTOM + 18.0
        ));
    }
    for power in low as i32..=high as i32 {
        let ns = 10_f64.powi(power);
        let at = y(ns);
        line(format_args!(r##"<path d="M{LEFT} {at:.1}H{:.1}" stroke="#ddd"/>"##, WIDTH - RIGHT));
        let label = text::span(ns as i64).replace(".00", "").replace(".0 ", " ");
        line(format_args!(r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 8.0, at + 4.0));
    }
    for (at, stage) in stages.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        // More stages than colours: the second round is dashed.
        let dash = if at >= COLOURS.len() { r#" stroke-dasharray="5 3""# } else { "" };
        line(format_args!(
            r#"<path d="{}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>"#,
            steps(stage, &x, &y)
        ));
        let top = TOP + 8.0 + 18.0 * at as f64;
        let left = WIDTH - RIGHT + 16.0;
        line(format_args!(
            r#"<path d="M{left:.1} {top:.1}h18" stroke="{colour}" stroke-width="3"{dash}/><text x="{:.1}" y="{:.1}">{}</text>"#,
            left + 24.0,
            top + 4.0,
            escape(&stage.name)
        ));
    }
    out.push_str("</svg>\n");
    out
}

/// The line of one stage: a point for each bucket.
fn steps(stage: &Snapshot, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let mut path = format!("M{:.1} {:.1}", x(0.0), y(stage.min as f64));
    let mut seen = 0;
    for (value, count) in stage.buckets() {
        seen += count;
        // The last value's own place is at infinity; half a value before it is where it is drawn.
        let below = seen as f64 - if seen == stage.count { 0.5 } else { 0.0 };
        let shown = if seen == stage.count { stage.max } else { value };
        write!(path, "L{:.1} {:.1}", x(below / stage.count as f64), y(shown as f64)).expect("a string takes all");
    }
    path
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
