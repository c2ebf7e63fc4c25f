//! Counts allocations per thread and locks memory, so that "no allocation after warm-up" is a number and not a belief.
// A global allocator is an unsafe trait; this one only counts and forwards.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system allocator with a per-thread count of every call that takes, grows or gives back memory.
/// Install it in a binary or a test with `#[global_allocator]`.
pub struct CountingAllocator;

fn count() {
    // `try_with`: a thread that is being torn down has no counter any more.
    let _ = COUNT.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every method forwards its arguments unchanged to `System`, which upholds the contract.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: forwarded with the caller's guarantees.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: forwarded with the caller's guarantees.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: forwarded with the caller's guarantees.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: forwarded with the caller's guarantees.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Allocator calls of the calling thread so far; stays 0 where [`CountingAllocator`] is not installed.
#[must_use]
pub fn allocator_calls() -> u64 {
    COUNT.with(Cell::get)
}

/// Minor and major page faults of the calling thread so far.
#[must_use]
pub fn page_faults() -> u64 {
    // SAFETY: `usage` is a plain C struct for which all zeroes is a valid value, and the call only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) != 0 {
            return 0;
        }
        usage
    };
    (usage.ru_minflt + usage.ru_majflt) as u64
}

/// Page faults of one thread as another one looks them up, so that the watched thread makes no system call for it.
#[derive(Clone, Debug, Default)]
pub struct FaultWatch(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// The thread's id, 0 before there is one.
    thread: AtomicI32,
    faults: AtomicU64,
}

impl FaultWatch {
    /// The calling thread is the one to be watched.
    pub fn begin(&self) {
        self.0.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
    }

    /// Looks the faults up; for a thread that may wait. A thread that has ended keeps its last count.
    pub fn look(&self) {
        let thread = self.0.thread.load(Ordering::Acquire);
        if thread > 0
            && let Ok(text) = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"))
            && let Some(faults) = stat_faults(&text)
        {
            self.0.faults.store(faults, Ordering::Release);
        }
    }

    /// As of the last look, 0 before the first.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.0.faults.load(Ordering::Acquire)
    }
}

/// Minor and major faults in the kernel's `stat` line of a thread (proc_pid_stat(5), fields 10 and 12).
fn stat_faults(text: &str) -> Option<u64> {
    // The name, in parentheses, may hold anything.
    let (_, behind_name) = text.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(7);
    let minor: u64 = fields.next()?.parse().ok()?;
    let major: u64 = fields.nth(1)?.parse().ok()?;
    Some(minor + major)
}

/// Locks all present and future pages of the process.
///
/// # Errors
/// One line for the operator: what was not done and how to get it.
pub fn lock_memory() -> Result<(), String> {
    // SAFETY: `mlockall` takes flags and touches no memory of ours.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } == 0 {
        return Ok(());
    }
    Err(format!("memory is not locked: {} (raise the memlock limit, see T-MLOCK)", std::io::Error::last_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_thread_sees_the_faults_that_this_one_counts_itself() {
        let watch = FaultWatch::default();
        watch.look();
        assert_eq!(watch.faults(), 0, "nobody is watched yet");
        watch.begin();
        // Fresh pages, each touched for the first time.
        let touched = vec![1_u8; 1 << 22];
        let before = page_faults();
        let looker = watch.clone();
        std::thread::spawn(move || looker.look()).join().unwrap();
        assert!((before..=page_faults()).contains(&watch.faults()), "{before} {} {}", watch.faults(), page_faults());
        assert!(before > 0 && touched.len() == 1 << 22);
        assert_eq!(stat_faults("7 (a) b) S 1 2 3 4 5 6 70 8 9 10 11"), Some(79));
        assert_eq!(stat_faults("7 (a"), None);
    }
}
