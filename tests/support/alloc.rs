//! How often a piece of work calls the allocator, so that a test can show that it does not.

pub use spinquote::engine::memory::CountingAllocator as Counting;
use spinquote::engine::memory::allocator_calls;

/// Allocator calls of `work` on this thread; 0 for everything unless the test installs [`Counting`].
pub fn allocations(work: impl FnOnce()) -> u64 {
    let before = allocator_calls();
    work();
    allocator_calls() - before
}
