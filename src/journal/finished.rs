//! Maps a file that nobody changes any more, as plain bytes to read. Never for a file that is still written.
#![allow(unsafe_code)] // A mapping is only as constant as its file; the rule that makes it so stands at the field.

use memmap2::{Advice, Mmap, UncheckedAdvice};
use std::fs::File;
use std::io;
use std::path::Path;

/// A whole file in memory, page by page as it is read.
#[derive(Debug)]
pub struct FinishedFile {
    /// INVARIANT: the file has its final name, which its writer gives it only after the last byte, and is replaced as a whole or not
    /// at all, so the bytes behind the mapping neither change nor end early. `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl FinishedFile {
    /// Maps the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: a read-only mapping of a file that is not written any more (see the field); whoever breaks that rule by cutting the
        // file under a reader ends the reader with a signal, and never changes memory of this process.
        let map = unsafe { Mmap::map(&file)? };
        // Only a hint to read ahead; a system without it is slower, not wrong.
        let _ = map.advise(Advice::Sequential);
        Ok(Self { map: Some(map) })
    }

    /// These bytes are not wanted for now: they take no memory of this process until they are read again.
    pub fn release(&self, from: usize, len: usize) {
        let Some(map) = self.map.as_ref().filter(|map| from < map.len()) else { return };
        let len = len.min(map.len() - from);
        // SAFETY: the advice drops pages that no one wrote (the mapping is read-only and the file finished), so whoever still holds a
        // slice of them reads the same bytes again. A system without it keeps them.
        let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, len) };
    }

    /// Its bytes; the first one stands at the start of a page.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_bytes_are_the_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(FinishedFile::open(file.path()).unwrap().bytes(), b"");
        file.write_all(b"some bytes").unwrap();
        let mapped = FinishedFile::open(file.path()).unwrap();
        assert_eq!(mapped.bytes(), b"some bytes");
        mapped.release(0, 4);
        mapped.release(9, usize::MAX);
        mapped.release(99, 1);
        assert_eq!(mapped.bytes(), b"some bytes", "what is released can be read again");
        assert!(mapped.bytes().as_ptr().addr().is_multiple_of(4096));
        assert!(FinishedFile::open(Path::new("/nonexistent/file")).is_err());
    }
}
