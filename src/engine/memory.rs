//! Counts allocations per thread and locks memory, so that "no allocation after warm-up" is a number and not a belief.
// A global allocator is an unsafe trait; this one only counts and forwards.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

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
