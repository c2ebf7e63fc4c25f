//! Reads a recording line by line, in bounded memory. Checks the layout of lines, not what is in the frames.

use super::CaptureError;
use crate::unit::Nanos;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The longest line that is read; a longer one is an error. The largest real one (a snapshot of 1,000 levels) has 45 kB.
const LINE_MAX: usize = 16 << 20;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// One line of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The recorder's clock.
    pub received: Nanos,
    /// What one step of its time is: 1 ns, 1 us or 1 ms.
    pub resolution: Nanos,
    /// The frame as it came.
    pub json: &'a [u8],
    /// Counted from 1.
    pub number: u64,
}

/// The lines of a text file, plain or compressed with gzip or zstd (told apart by its first bytes).
pub struct TextLines {
    input: Box<dyn Read + Send>,
    /// The same open file: its place is that of `input`'s reads.
    file: File,
    path: PathBuf,
    line: u64,
    buffer: Vec<u8>,
    /// Of the buffer, what was read and not yet looked at.
    unread: Range<usize>,
    /// Of the buffer, the line read last.
    text: Range<usize>,
    ended: bool,
}

impl TextLines {
    /// Opens a file.
    ///
    /// # Errors
    /// The file cannot be opened or its first bytes not read.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mut start = BufReader::with_capacity(CHUNK, file.try_clone().map_err(failed)?);
        let magic = start.fill_buf().map_err(failed)?;
        let input: Box<dyn Read + Send> = if magic.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(start))
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(zstd::Decoder::with_buffer(start).map_err(failed)?)
        } else {
            Box::new(start)
        };
        let buffer = vec![0; 4 * CHUNK];
        Ok(Self { input, file, path: path.to_owned(), line: 0, buffer, unread: 0..0, text: 0..0, ended: true })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the line read last, counted from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The line read last, without the white space at its end.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.buffer[self.text.clone()]
    }

    /// True unless the line read last is the file's last one and has no end.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes of the file that were read so far, compressed as they are. A system call.
    #[must_use]
    pub fn position(&self) -> u64 {
        (&self.file).stream_position().unwrap_or(0)
    }

    /// Reads the next line; false at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// The file is damaged at this line. Everything before it was good.
    pub fn advance(&mut self) -> Result<bool, CaptureError> {
        loop {
            self.line += 1;
            let line = match self.take_line() {
                Ok(line) => line,
                Err(source) => {
                    (self.unread, self.text) = (0..0, 0..0);
                    let (path, line) = (self.path.clone(), self.line);
                    return Err(match source.kind() {
                        io::ErrorKind::UnexpectedEof => CaptureError::Truncated { path, line },
                        _ => CaptureError::Io { path, line, source },
                    });
                }
            };
            let bytes = &self.buffer[line.clone()];
            if bytes.is_empty() {
                self.text = line;
                return Ok(false);
            }
            self.ended = bytes.ends_with(b"\n");
            let blank = bytes.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.text = line.start..line.end - blank;
            if !self.text.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Where the next line is in the buffer, with its end; nothing at the end of the file.
    fn take_line(&mut self) -> io::Result<Range<usize>> {
        let mut seen = self.unread.start;
        loop {
            let start = self.unread.start;
            let found = memchr::memchr(b'\n', &self.buffer[seen..self.unread.end]).map(|at| seen + at + 1);
            let long = (self.unread.len() >= LINE_MAX).then_some(start + LINE_MAX);
            if let Some(end) = found.filter(|end| end - start <= LINE_MAX).or(long) {
                self.unread.start = end;
                return Ok(start..end);
            }
            seen = self.unread.end;
            if self.buffer.len() - seen < CHUNK {
                self.buffer.copy_within(self.unread.clone(), 0);
                (seen, self.unread) = (seen - start, 0..self.unread.len());
                if self.buffer.len() - seen < CHUNK {
                    self.buffer.resize(2 * self.buffer.len(), 0);
                }
            }
            let read = loop {
                match self.input.read(&mut self.buffer[seen..seen + CHUNK]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            if read == 0 {
                let last = self.unread.clone();
                self.unread.start = last.end;
                return Ok(last);
            }
            self.unread.end += read;
        }
    }

    /// The line read last is cut off.
    #[must_use]
    pub fn cut(&self) -> CaptureError {
        CaptureError::CutLine { path: self.path.clone(), line: self.line, bytes: self.text().len() }
    }
}

/// An open recording.
pub struct CaptureReader {
    lines: TextLines,
}

impl CaptureReader {
    /// Opens a recording.
    ///
    /// # Errors
    /// The file cannot be opened or its first bytes not read.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Ok(Self { lines: TextLines::open(path)? })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// The number of the line read last.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.lines.line()
    }

    /// Bytes of the file that were read so far, compressed as they are. A system call.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.lines.position()
    }

    /// The line read last: its frame.
    #[must_use]
    pub(super) fn json(&self) -> &[u8] {
        let text = self.lines.text();
        let start = memchr::memchr(b' ', text).map_or(text.len(), |at| at + 1);
        &text[start..]
    }

    /// The next line; `None` at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// The file is damaged at this line. Everything before it was good; calling again after an error is an error again or the end,
    /// but for a line that is only not in the layout: then it is the line after.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, CaptureError> {
        if !self.lines.advance()? {
            return Ok(None);
        }
        let text = self.lines.text();
        if !self.lines.ended() && text.last() != Some(&b'}') {
            return Err(self.lines.cut());
        }
        let (received, resolution) = received(text).map_err(|why| self.layout(why))?;
        if self.json().first() != Some(&b'{') {
            return Err(self.layout("there is no JSON object behind the time"));
        }
        Ok(Some(Line { received, resolution, json: self.json(), number: self.line() }))
    }

    fn layout(&self, why: &'static str) -> CaptureError {
        CaptureError::Layout { path: self.path().to_owned(), line: self.line(), why }
    }
}

/// The receive time in front of the first space, and what one step of it is.
fn received(text: &[u8]) -> Result<(Nanos, Nanos), &'static str> {
    let (mut digits, mut value) = (0, 0_i64);
    for digit in text.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
        digits += 1;
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    if digits == 0 || text.get(digits) != Some(&b' ') {
        return Err("it does not start with a time and a space");
    }
    // Magnitudes of the years 2001 to 2286.
    let unit = match digits {
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return Err("its time has neither 13 (ms) nor 16 (us) nor 19 (ns) digits"),
    };
    if value < 0 { Err("its time is too large") } else { Ok((Nanos(value * unit), Nanos(unit))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LINES: &str = "1723161255030314667 {\"a\":1}\n1680652800005184 {\"b\":2}\n\n1680652800005 {\"c\":3}\n";

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> (Vec<(i64, String, u64)>, Option<CaptureError>) {
        let file = file(bytes);
        let mut reader = CaptureReader::open(file.path()).unwrap();
        let mut lines = Vec::new();
        loop {
            match reader.next_line() {
                Ok(Some(line)) => {
                    let json = String::from_utf8(line.json.to_vec()).unwrap();
                    lines.push((line.received.0, json, line.number));
                }
                Ok(None) => return (lines, None),
                Err(error) => return (lines, Some(error)),
            }
        }
    }

    #[test]
    fn plain_gz_and_zst_read_the_same_with_times_in_ns() {
        let (lines, error) = read(LINES.as_bytes());
        assert!(error.is_none());
        assert_eq!(
            lines,
            [
                (1_723_161_255_030_314_667, "{\"a\":1}".to_owned(), 1),
                (1_680_652_800_005_184_000, "{\"b\":2}".to_owned(), 2),
                (1_680_652_800_005_000_000, "{\"c\":3}".to_owned(), 4),
            ]
        );
        assert_eq!(read(&gz(LINES.as_bytes())).0, lines);
        assert_eq!(read(&zstd::encode_all(LINES.as_bytes(), 1).unwrap()).0, lines);
        assert!(read(b"").0.is_empty());
    }

    #[test]
    fn a_cut_recording_names_the_line_and_gives_all_before_it() {
        let (lines, error) = read(&LINES.as_bytes()[..LINES.len() - 4]);
        assert_eq!(lines.len(), 2);
        let error = error.unwrap();
        assert!(matches!(error, CaptureError::CutLine { line: 4, bytes: 18, .. }), "{error}");

        let many: String =
            (0..5_000).map(|n: u64| format!("1723161255030314667 {{\"n\":{}}}\n", n * n * 7919)).collect();
        let packed = gz(many.as_bytes());
        let (lines, error) = read(&packed[..packed.len() / 2]);
        let error = error.unwrap();
        assert!(lines.len() > 500, "{}", lines.len());
        assert!(matches!(error, CaptureError::Truncated { line, .. } if line == lines.len() as u64 + 1), "{error}");
    }

    #[test]
    fn a_line_that_is_none_is_an_error_with_its_number() {
        for (text, why) in [
            ("{\"a\":1}\n", "start with a time"),
            ("17231612550303 {\"a\":1}\n", "13 (ms)"),
            ("1723161255030314667 []\n", "no JSON object"),
            ("9999999999999999999 {}\n", "too large"),
        ] {
            let (_, error) = read(format!("1723161255030314667 {{}}\n{text}").as_bytes());
            let text = error.unwrap().to_string();
            assert!(text.contains("line 2") && text.contains(why), "{text}");
        }
    }
}
