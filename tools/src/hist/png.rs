//! The percentile plot as pixels, for where a picture must be a PNG. Draws the lines of `svg`; its letters are three by five dots.

use super::svg::{COLOURS, HEIGHT, LEFT, RIGHT, Scale, TOP, WIDTH, ticks};
use flate2::{Compression, Crc, write::ZlibEncoder};
use spinquote::journal::histogram::Snapshot;
use std::io::Write;

/// Pixels for each unit of the drawing.
const FINE: f64 = 1.5;
/// Pixels for each dot of a letter.
const DOT: i32 = 3;

/// Rows of three dots, top to bottom, an octal digit each.
const LETTERS: [(char, u16); 42] = [
    ('0', 0o75557),
    ('1', 0o26227),
    ('2', 0o71747),
    ('3', 0o71717),
    ('4', 0o55711),
    ('5', 0o74717),
    ('6', 0o74757),
    ('7', 0o71111),
    ('8', 0o75757),
    ('9', 0o75717),
    ('A', 0o25755),
    ('B', 0o65656),
    ('C', 0o34443),
    ('D', 0o65556),
    ('E', 0o74647),
    ('F', 0o74644),
    ('G', 0o34553),
    ('H', 0o55755),
    ('I', 0o72227),
    ('J', 0o11152),
    ('K', 0o55655),
    ('L', 0o44447),
    ('M', 0o57755),
    ('N', 0o65555),
    ('O', 0o25552),
    ('P', 0o65644),
    ('Q', 0o25563),
    ('R', 0o65655),
    ('S', 0o34216),
    ('T', 0o72222),
    ('U', 0o55557),
    ('V', 0o55552),
    ('W', 0o55775),
    ('X', 0o55255),
    ('Y', 0o55222),
    ('Z', 0o71247),
    ('.', 0o00002),
    ('%', 0o51245),
    ('_', 0o00007),
    ('-', 0o00700),
    (':', 0o02020),
    (',', 0o00024),
];

type Colour = [u8; 3];

const WHITE: Colour = [255; 3];
const BLACK: Colour = [0; 3];
const GREY: Colour = [221; 3];

struct Canvas {
    width: i32,
    height: i32,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: i32, height: i32) -> Self {
        let bytes = (width * height * 3).unsigned_abs() as usize;
        Self { width, height, pixels: vec![WHITE[0]; bytes] }
    }

    fn dot(&mut self, x: i32, y: i32, colour: Colour) {
        if (0..self.width).contains(&x) && (0..self.height).contains(&y) {
            let at = ((y * self.width + x) * 3).unsigned_abs() as usize;
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }

    fn square(&mut self, x: i32, y: i32, size: i32, colour: Colour) {
        (0..size).for_each(|down| (0..size).for_each(|right| self.dot(x + right, y + down, colour)));
    }

    /// A line two pixels wide; `at` counts the pixels so that dashes go on from one piece to the next.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, dashed: bool, at: &mut u32) {
        let [(x0, y0), (x1, y1)] = [from, to].map(|(x, y)| (x * FINE, y * FINE));
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).ceil().max(1.0) as u32;
        for step in 0..=steps {
            let part = f64::from(step) / f64::from(steps);
            *at += 1;
            if !dashed || *at % 12 < 8 {
                self.square((x0 + (x1 - x0) * part) as i32, (y0 + (y1 - y0) * part) as i32, 2, colour);
            }
        }
    }

    /// Text whose first letter's upper left corner is here.
    fn text(&mut self, x: f64, y: f64, text: &str) {
        let (mut x, y) = ((x * FINE) as i32, (y * FINE) as i32);
        for letter in text.to_uppercase().chars() {
            let rows = LETTERS.iter().find(|(known, _)| *known == letter).map_or(0, |&(_, rows)| rows);
            for bit in (0..15).filter(|bit| rows >> (14 - bit) & 1 == 1) {
                self.square(x + bit % 3 * DOT, y + bit / 3 * DOT, DOT, BLACK);
            }
            x += 4 * DOT;
        }
    }

    /// The file's bytes.
    fn png(&self) -> Vec<u8> {
        let mut rows = Vec::with_capacity(self.pixels.len() + self.height.unsigned_abs() as usize);
        for row in self.pixels.chunks((self.width * 3).unsigned_abs() as usize) {
            // No filter.
            rows.push(0);
            rows.extend_from_slice(row);
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        let packed = packed.write_all(&rows).and_then(|()| packed.finish()).expect("memory takes all");
        let mut head = Vec::new();
        head.extend_from_slice(&self.width.to_be_bytes());
        head.extend_from_slice(&self.height.to_be_bytes());
        // Eight bits each of red, green and blue; the only methods there are; not interlaced.
        head.extend_from_slice(&[8, 2, 0, 0, 0]);
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, data) in [(b"IHDR", head.as_slice()), (b"IDAT", &packed), (b"IEND", &[])] {
            let mut sum = Crc::new();
            sum.update(name);
            sum.update(data);
            out.extend_from_slice(&(data.len() as u32).to_be_bytes());
            out.extend_from_slice(name);
            out.extend_from_slice(data);
            out.extend_from_slice(&sum.sum().to_be_bytes());
        }
        out
    }
}

/// Width of a text in units of the drawing.
fn width(text: &str) -> f64 {
    text.chars().count() as f64 * f64::from(4 * DOT) / FINE
}

/// The plot of all stages that have values.
pub fn plot(run: &str, stages: &[Snapshot]) -> Vec<u8> {
    let stages: Vec<&Snapshot> = stages.iter().filter(|stage| stage.count > 0).collect();
    let scale = Scale::of(&stages);
    let mut canvas = Canvas::new((WIDTH * FINE) as i32, (HEIGHT * FINE) as i32);
    let tall = f64::from(5 * DOT) / FINE;
    canvas.text(LEFT, 16.0, &format!("Latency by percentile, run {run}"));
    let (bottom, mut count) = (scale.bottom(), 0);
    for (label, quantile) in scale.quantiles() {
        let x = scale.x(quantile);
        canvas.line((x, TOP), (x, bottom), GREY, false, &mut count);
        canvas.text(x - width(label) / 2.0, bottom + 10.0, label);
    }
    for (label, y) in ticks(&scale) {
        canvas.line((LEFT, y), (WIDTH - RIGHT, y), GREY, false, &mut count);
        canvas.text(LEFT - 8.0 - width(&label), y - tall / 2.0, &label);
    }
    for (at, stage) in stages.iter().enumerate() {
        let text = COLOURS[at % COLOURS.len()];
        let part = |from: usize| u8::from_str_radix(&text[from..from + 2], 16).unwrap_or(0);
        let (colour, dashed) = ([part(1), part(3), part(5)], at >= COLOURS.len());
        let points = scale.points(stage);
        points.windows(2).for_each(|pair| canvas.line(pair[0], pair[1], colour, dashed, &mut count));
        let (top, left) = (TOP + 8.0 + 18.0 * at as f64, WIDTH - RIGHT + 16.0);
        canvas.line((left, top), (left + 18.0, top), colour, dashed, &mut count);
        canvas.text(left + 24.0, top - tall / 2.0, &stage.name);
    }
    canvas.png()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_png_unpacks_to_its_pixels() {
        let mut canvas = Canvas::new(7, 3);
        canvas.dot(6, 2, [1, 2, 3]);
        canvas.dot(7, 0, BLACK);
        canvas.dot(0, -1, BLACK);
        let png = canvas.png();
        assert!(
            png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(&[b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82])
        );
        let at = png.windows(4).position(|name| name == b"IDAT").unwrap();
        let len = u32::from_be_bytes(png[at - 4..at].try_into().unwrap()) as usize;
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&png[at + 4..at + 4 + len]).read_to_end(&mut rows).unwrap();
        assert_eq!(rows.len(), 3 * (7 * 3 + 1));
        assert_eq!((rows[0], &rows[1..4], &rows[rows.len() - 3..]), (0, &[255; 3][..], &[1, 2, 3][..]));
    }

    #[test]
    fn every_letter_of_a_stage_can_be_drawn() {
        for stage in spinquote::journal::histogram::Stage::ALL {
            for letter in stage.name().to_uppercase().chars() {
                assert!(LETTERS.iter().any(|(known, _)| *known == letter), "{letter}");
            }
        }
    }
}
