//! Scanner for arrays of price levels, `[["61800.20","2.507"],...]`, in three implementations that give equal results.
//!
//! It only ever answers "these are the levels" or `None`, which means "not in the exact form I know": the caller then takes
//! the general JSON path, which either understands the text or names the fault. It never guesses and never reports a fault.

mod column;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use column::Column;
pub(crate) use column::eight_digits;

use crate::unit::{Lots, Ticks};

/// Bytes that must exist behind the document, with any content: one vector load may start at its last byte.
pub const SPARE: usize = 64;

/// Which implementation scans. [`Kernel::detect`] picks the best of this machine; tests and benches pick by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// Plain integer arithmetic on 64-bit words; runs everywhere.
    Portable,
    /// 32-byte vectors.
    Avx2,
    /// 64-byte vectors, two levels at a time.
    Avx512,
}

impl Kernel {
    /// Every implementation, plainest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// True when this machine can run it.
    #[must_use]
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("bmi1"),
            Self::Avx512 => {
                Self::Avx2.available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512vl")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        matches!(self, Self::Portable)
    }

    /// The fastest implementation that this machine can run.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL.into_iter().rev().find(|kernel| kernel.available()).unwrap_or(Self::Portable)
    }
}

/// Scans level arrays with a kernel that was checked once.
#[derive(Clone, Copy, Debug)]
pub struct Scanner {
    /// INVARIANT: available on this machine.
    kernel: Kernel,
}

impl Scanner {
    /// A scanner on `kernel`, or on the portable one where this machine cannot run it.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel: if kernel.available() { kernel } else { Kernel::Portable } }
    }

    /// The kernel in use.
    #[must_use]
    pub const fn kernel(self) -> Kernel {
        self.kernel
    }

    /// Reads the level array that starts at `at` in the document `buf[..len]`, hands each level to `push` in order and
    /// returns the offset behind the closing bracket. `None` for anything but the exact compact form, for numbers that do not
    /// fit the columns' form, and when `push` refuses a level; levels pushed so far are then to be discarded.
    ///
    /// # Panics
    /// When `buf` has less than [`SPARE`] bytes behind `len`: a bug of the caller.
    #[inline]
    pub fn levels(
        self,
        buf: &[u8],
        len: usize,
        at: usize,
        price: &Column,
        qty: &Column,
        push: impl FnMut(Ticks, Lots) -> bool,
    ) -> Option<usize> {
        assert!(buf.len() >= len + SPARE, "a document of {len} bytes in a buffer of {} has no spare bytes", buf.len());
        // A number is loaded as the 16 bytes before its closing quote.
        if at < 16 || at + 2 > len || buf[at] != b'[' {
            return None;
        }
        if buf[at + 1] == b']' {
            return Some(at + 2);
        }
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => x86::levels_avx512(buf, len, at + 1, price, qty, push),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86::levels_avx2(buf, len, at + 1, price, qty, push),
            _ => portable::levels(buf, len, at + 1, price, qty, push),
        }
    }
}
