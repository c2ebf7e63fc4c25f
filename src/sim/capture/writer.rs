//! Writes a recording in the layout that the reader reads, times in ns. Never replaces a file.

use super::CaptureError;
use crate::unit::Nanos;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A recording being made: gzip when the name ends in `.gz`, else plain.
pub struct CaptureWriter {
    output: Output,
    path: PathBuf,
    lines: u64,
    bytes: u64,
}

enum Output {
    Plain(BufWriter<File>),
    Gz(Box<GzEncoder<BufWriter<File>>>),
}

impl Output {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(file) => file,
            Self::Gz(file) => file.as_mut(),
        }
    }
}

impl CaptureWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// It exists, or cannot be created.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let file = File::create_new(path).map_err(|source| CaptureError::Open { path: path.to_owned(), source })?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let packed = path.extension().is_some_and(|end| end == "gz");
        let output = if packed {
            Output::Gz(Box::new(GzEncoder::new(file, Compression::default())))
        } else {
            Output::Plain(file)
        };
        Ok(Self { output, path: path.to_owned(), lines: 0, bytes: 0 })
    }

    /// Appends a frame as it came, with the time of the recorder's clock.
    ///
    /// # Errors
    /// The disk is full or fails; or the frame has a line break, which JSON of a venue never has.
    pub fn append(&mut self, received: Nanos, frame: &[u8]) -> Result<(), CaptureError> {
        if frame.contains(&b'\n') || frame.first() != Some(&b'{') {
            let (path, line) = (self.path.clone(), self.lines + 1);
            return Err(CaptureError::Layout { path, line, why: "the frame is not one line of JSON" });
        }
        let output = self.output.writer();
        write!(output, "{:019} ", received.0)
            .and_then(|()| output.write_all(frame))
            .and_then(|()| output.write_all(b"\n"))
            .map_err(|source| self.failed(source))?;
        self.lines += 1;
        self.bytes += frame.len() as u64 + 21;
        Ok(())
    }

    /// Brings everything so far to the file, so that a reader gets it even if this process dies.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.output.writer().flush().map_err(|source| self.failed(source))
    }

    /// Lines written.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Bytes written, before compression.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the recording; without it a gzip file is a cut one.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn finish(self) -> Result<(), CaptureError> {
        let (path, line) = (self.path, self.lines);
        let ended = match self.output {
            Output::Plain(mut file) => file.flush(),
            Output::Gz(file) => file.finish().and_then(|mut file| file.flush()),
        };
        ended.map_err(|source| CaptureError::Io { path, line, source })
    }

    fn failed(&self, source: io::Error) -> CaptureError {
        CaptureError::Io { path: self.path.clone(), line: self.lines + 1, source }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CaptureReader;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.gz", "a.txt"] {
            let path = folder.path().join(name);
            let mut writer = CaptureWriter::create(&path).unwrap();
            for n in 0..3_i64 {
                writer.append(Nanos(1_723_161_255_030_314_667 + n), format!("{{\"n\":{n}}}").as_bytes()).unwrap();
            }
            assert!(writer.append(Nanos(1), b"{\n}").is_err());
            writer.finish().unwrap();
            assert!(matches!(CaptureWriter::create(&path), Err(CaptureError::Open { .. })), "never replaced");
            let mut reader = CaptureReader::open(&path).unwrap();
            for n in 0..3_i64 {
                let line = reader.next_line().unwrap().unwrap();
                assert_eq!(
                    (line.received.0, line.json),
                    (1_723_161_255_030_314_667 + n, format!("{{\"n\":{n}}}").as_bytes())
                );
            }
            assert!(reader.next_line().unwrap().is_none());
        }
    }

    #[test]
    fn a_flushed_recording_survives_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gz");
        let mut writer = CaptureWriter::create(&path).unwrap();
        writer.append(Nanos(1_723_161_255_030_314_667), b"{}").unwrap();
        writer.flush().unwrap();
        let mut reader = CaptureReader::open(&path).unwrap();
        assert!(reader.next_line().unwrap().is_some());
        assert!(matches!(reader.next_line(), Err(CaptureError::Truncated { line: 2, .. })));
        writer.finish().unwrap();
    }
}
