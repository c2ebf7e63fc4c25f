//! A bundle of files: a tar archive under zstd, or a folder. Knows nothing of what the files say.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where files go.
pub enum Bundle {
    /// A folder that was made for them.
    Folder(PathBuf),
    /// An archive; every file in it lies below one folder.
    Archive { folder: String, out: zstd::Encoder<'static, BufWriter<File>>, path: PathBuf },
}

/// Bytes of a tar header and of the unit that files are padded to.
const BLOCK: usize = 512;

impl Bundle {
    /// Makes it. A name that ends in `.tar.zst` is an archive.
    pub fn create(path: &Path, folder: &str, force: bool) -> Result<Self> {
        if path.exists() && !force {
            bail!("{}: is there already; --force writes over it", path.display());
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.ends_with(".tar.zst") {
            fs::create_dir_all(path).with_context(|| path.display().to_string())?;
            return Ok(Self::Folder(path.to_path_buf()));
        }
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let out = zstd::Encoder::new(BufWriter::new(file), 0).with_context(|| path.display().to_string())?;
        Ok(Self::Archive { folder: folder.to_owned(), out, path: path.to_path_buf() })
    }

    /// Adds a file.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                fs::write(&path, bytes).with_context(|| path.display().to_string())
            }
            Self::Archive { folder, out, path } => {
                let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
                out.write_all(&header(&format!("{folder}/{name}"), bytes.len() as u64)?)
                    .and_then(|()| out.write_all(bytes))
                    .and_then(|()| out.write_all(&[0; BLOCK][..padding]))
                    .with_context(|| path.display().to_string())
            }
        }
    }

    /// Ends it.
    pub fn finish(self) -> Result<()> {
        let Self::Archive { mut out, path, .. } = self else { return Ok(()) };
        let done = out.write_all(&[0; 2 * BLOCK]).and_then(|()| out.finish()).and_then(|mut file| file.flush());
        done.with_context(|| path.display().to_string())
    }
}

/// A header of the ustar format (POSIX.1-1988): numbers in octal, the checksum over itself as blanks.
fn header(name: &str, size: u64) -> Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    if name.len() > 100 || size >= 1 << 33 {
        bail!("{name}: {size} bytes do not fit an archive; write into a folder");
    }
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_unpacks_with_the_systems_tar() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar.zst");
        let mut bundle = Bundle::create(&path, "inside", false).unwrap();
        let files = [("a.txt", vec![b'a'; 511]), ("b.txt", vec![b'b'; 512]), ("c.txt", Vec::new())];
        for (name, bytes) in &files {
            bundle.add(name, bytes).unwrap();
        }
        bundle.finish().unwrap();
        assert!(Bundle::create(&path, "inside", false).is_err());
        let tar = zstd::decode_all(File::open(&path).unwrap()).unwrap();
        fs::write(dir.path().join("x.tar"), tar).unwrap();
        let done = std::process::Command::new("tar").args(["xf", "x.tar"]).current_dir(dir.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        for (name, bytes) in &files {
            assert_eq!(&fs::read(dir.path().join("inside").join(name)).unwrap(), bytes);
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_said() {
        assert!(header(&"n".repeat(101), 1).is_err() && header("n", 1 << 33).is_err());
    }
}
