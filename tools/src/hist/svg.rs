//! A percentile plot as one SVG file: nines across, logarithmic time up. Needs no script and no font.

use crate::text;
use spinquote::journal::histogram::Snapshot;
use std::fmt::Write;

pub const WIDTH: f64 = 960.0;
pub const HEIGHT: f64 = 540.0;
pub const LEFT: f64 = 80.0;
pub const RIGHT: f64 = 190.0;
pub const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
/// Colours that are told apart on white, also by most who see colours differently.
pub const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b"];
const TICKS: [(&str, f64); 7] = [
    ("0", 0.0),
    ("50%", 0.5),
    ("90%", 0.9),
    ("99%", 0.99),
    ("99.9%", 0.999),
    ("99.99%", 0.9999),
    ("99.999%", 0.999_99),
];

/// Where values and quantiles lie in the picture.
pub struct Scale {
    /// Powers of ten, ns.
    low: f64,
    high: f64,
    /// How many nines lie across.
    nines: f64,
}

impl Scale {
    /// So that all of them fit.
    pub fn of(stages: &[&Snapshot]) -> Self {
        let low = stages.iter().map(|stage| stage.min.max(1)).min().unwrap_or(1);
        let high = stages.iter().map(|stage| stage.max.max(1)).max().unwrap_or(10);
        let low = (low as f64).log10().floor();
        let high = (high as f64).log10().ceil().max(low + 1.0);
        let most = stages.iter().map(|stage| stage.count).max().unwrap_or(1).max(10);
        Self { low, high, nines: (most as f64).log10().clamp(2.0, 5.0) }
    }

    /// Of a quantile.
    pub fn x(&self, quantile: f64) -> f64 {
        LEFT + (-(1.0 - quantile).max(1e-9).log10() / self.nines).min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, ns: f64) -> f64 {
        self.bottom() - (ns.max(1.0).log10() - self.low) / (self.high - self.low) * (self.bottom() - TOP)
    }

    /// The lower end of the lines.
    pub const fn bottom(&self) -> f64 {
        HEIGHT - BOTTOM
    }

    /// The quantiles that have a line.
    pub fn quantiles(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let nines = self.nines;
        TICKS.into_iter().filter(move |(_, quantile)| -(1.0 - quantile).log10() <= nines + 1e-9)
    }

    /// The line of one stage: a point for each bucket.
    pub fn points(&self, stage: &Snapshot) -> Vec<(f64, f64)> {
        let mut points = vec![(self.x(0.0), self.y(stage.min as f64))];
        let mut seen = 0;
        for (value, count) in stage.buckets() {
            seen += count;
            // The last value's own place is at infinity; half a value before it is where it is drawn.
            let below = seen as f64 - if seen == stage.count { 0.5 } else { 0.0 };
            let shown = if seen == stage.count { stage.max } else { value };
            points.push((self.x(below / stage.count as f64), self.y(shown as f64)));
        }
        points
    }
}

/// The values that have a line, and where.
pub fn ticks(scale: &Scale) -> Vec<(String, f64)> {
    let tick = |power: i32| {
        let ns = 10_f64.powi(power);
        (text::span(ns as i64).replace(".00", "").replace(".0 ", " "), scale.y(ns))
    };
    (scale.low as i32..=scale.high as i32).map(tick).collect()
}

/// The plot of all stages that have values.
pub fn plot(run: &str, stages: &[Snapshot]) -> String {
    let stages: Vec<&Snapshot> = stages.iter().filter(|stage| stage.count > 0).collect();
    let scale = Scale::of(&stages);
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a string takes all");
    line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    line(format_args!(r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#));
    line(format_args!(r#"<text x="{LEFT}" y="28" font-size="16">Latency by percentile, run {}</text>"#, escape(run)));
    for (label, quantile) in scale.quantiles() {
        let at = scale.x(quantile);
        line(format_args!(r##"<path d="M{at:.1} {TOP}V{:.1}" stroke="#ddd"/>"##, HEIGHT - BOTTOM));
        line(format_args!(
            r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
            HEIGHT - BOTTOM + 18.0
        ));
    }
    for (label, at) in ticks(&scale) {
        line(format_args!(r##"<path d="M{LEFT} {at:.1}H{:.1}" stroke="#ddd"/>"##, WIDTH - RIGHT));
        line(format_args!(r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 8.0, at + 4.0));
    }
    for (at, stage) in stages.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        // More stages than colours: the second round is dashed.
        let dash = if at >= COLOURS.len() { r#" stroke-dasharray="5 3""# } else { "" };
        line(format_args!(
            r#"<path d="{}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>"#,
            path(&scale.points(stage))
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

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' }).expect("a string takes all");
    }
    path
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
