//! The one place where memory is mapped. A region of fixed size that one process writes and any process reads; never grows, never shrinks
//! while mapped.
#![allow(unsafe_code)] // Mapped memory has no safe interface: other processes see it.

use super::JournalError;
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Where a mapping lies. It may outlive the mapping: it touches no byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    at: usize,
    len: usize,
}

impl Ahead {
    /// Takes the page faults of `bytes` from `from` on: the kernel makes pages read-only when it writes them back, and the next store
    /// to each would wait for a fault.
    pub(super) fn populate(self, from: usize, bytes: usize) {
        let from = from.min(self.len) / 4096 * 4096;
        let bytes = bytes.min(self.len - from);
        if bytes > 0 {
            let start = std::ptr::without_provenance_mut(self.at + from);
            // SAFETY: the advice changes no byte and no mapping: it makes pages present and writable that already may be. On a range
            // that is not mapped any more it is an error, which does not matter: then nobody writes there.
            let _ = unsafe { rustix::mm::madvise(start, bytes, rustix::mm::Advice::LinuxPopulateWrite) };
        }
    }
}

/// A mapped file.
#[derive(Debug)]
pub(super) struct Mapped {
    /// INVARIANT: the file is at least as long as the mapping for as long as it is mapped (allocated at creation, cut only after
    /// the mapping is dropped), so an access inside the mapping never faults for want of storage.
    raw: MmapRaw,
    /// INVARIANT: false for read-only mappings, where a store would be a fault.
    writable: bool,
}

impl Mapped {
    /// Creates the file with all its storage allocated and zero, maps it, and takes every page fault now. The file must not exist.
    pub(super) fn create(path: &Path, bytes: usize) -> Result<(Self, File), JournalError> {
        let failed = |source: io::Error| JournalError::at(path, bytes, source);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(failed)?;
        let mapped = allocate(&file, bytes).and_then(|()| {
            let raw = MmapOptions::new().len(bytes).map_raw(&file)?;
            let mapped = Self { raw, writable: true };
            // Kernels before 5.14 do not know the advice; then the pages are touched one by one.
            if mapped.raw.advise(Advice::PopulateWrite).is_err() {
                (0..bytes).step_by(4096).for_each(|at| mapped.word64(at).store(0, Ordering::Relaxed));
            }
            Ok(mapped)
        });
        match mapped {
            Ok(mapped) => Ok((mapped, file)),
            Err(source) => {
                // Nothing of ours is in it yet; a half-allocated file would only hold the disk's last bytes.
                let _ = std::fs::remove_file(path);
                Err(failed(source))
            }
        }
    }

    /// Maps an existing file as a whole.
    pub(super) fn open(path: &Path, writable: bool) -> Result<Self, JournalError> {
        let failed = |source: io::Error| JournalError::at(path, 0, source);
        let file = OpenOptions::new().read(true).write(writable).open(path).map_err(failed)?;
        let options = MmapOptions::new();
        let raw = if writable { options.map_raw(&file) } else { options.map_raw_read_only(&file) };
        Ok(Self { raw: raw.map_err(failed)?, writable })
    }

    /// The pages, for another thread that goes ahead of the writer.
    pub(super) fn ahead(&self) -> Ahead {
        Ahead { at: self.raw.as_mut_ptr().addr(), len: self.raw.len() }
    }

    /// Keeps the pages in memory.
    pub(super) fn lock(&self) -> io::Result<()> {
        self.raw.lock()
    }

    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// The 32-bit word at a multiple of 4.
    #[inline]
    fn word32(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.raw.len(), "word at {at} of {}", self.raw.len());
        // SAFETY: inside the mapping and aligned (mappings start at a page); every access to mapped words, here and in other
        // processes, is atomic or ordered behind an atomic, and the reference lives no longer than the mapping.
        unsafe { AtomicU32::from_ptr(self.raw.as_mut_ptr().add(at).cast()) }
    }

    /// The 64-bit word at a multiple of 8.
    #[inline]
    fn word64(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.raw.len(), "word at {at} of {}", self.raw.len());
        // SAFETY: as in `word32`.
        unsafe { AtomicU64::from_ptr(self.raw.as_mut_ptr().add(at).cast()) }
    }

    /// `count` 64-bit words from a multiple of 8 on, checked once.
    #[inline]
    pub(super) fn words(&self, at: usize, count: usize) -> &[AtomicU64] {
        let whole = at.is_multiple_of(8) && at <= self.raw.len() && count <= (self.raw.len() - at) / 8;
        assert!(whole && self.writable, "{count} words at {at} of {}", self.raw.len());
        // SAFETY: as in `word32`.
        unsafe { std::slice::from_raw_parts(self.raw.as_mut_ptr().add(at).cast(), count) }
    }

    #[inline]
    pub(super) fn load(&self, at: usize, order: Ordering) -> u64 {
        self.word64(at).load(order)
    }

    #[inline]
    pub(super) fn store(&self, at: usize, value: u64, order: Ordering) {
        assert!(self.writable, "a read-only mapping is never written");
        self.word64(at).store(value, order);
    }

    #[inline]
    pub(super) fn store32(&self, at: usize, value: u32, order: Ordering) {
        assert!(self.writable, "a read-only mapping is never written");
        self.word32(at).store(value, order);
    }

    /// Copies bytes into the mapping. They must not be published yet.
    #[inline]
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(self.writable && at <= self.raw.len() && bytes.len() <= self.raw.len() - at);
        // SAFETY: inside the mapping; `&mut self` excludes other accesses of this process, and readers in others do not look at
        // bytes behind the last published record.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.raw.as_mut_ptr().add(at), bytes.len()) }
    }

    /// Bytes that only this process writes, and not now (`&mut self`).
    #[inline]
    pub(super) fn bytes(&mut self, at: usize, len: usize) -> &[u8] {
        assert!(at <= self.raw.len() && len <= self.raw.len() - at);
        // SAFETY: inside the mapping, initialised (the file is zero-filled), and `&mut self` excludes writers of this process.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(at), len) }
    }
}

/// Takes the storage, so that a full disk is an error here and not a SIGBUS in the engine.
fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
        // A file system without the call: zeros take the storage as well.
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = [0; 65_536];
            let mut left = bytes;
            while left > 0 {
                let part = left.min(zeros.len());
                (&*file).write_all(&zeros[..part])?;
                left -= part;
            }
            Ok(())
        }
        other => other.map_err(io::Error::from),
    }
}
