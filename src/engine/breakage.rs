//! What a test breaks in a run: a thread that loops without returning, or that panics. Nothing outside this process can ask for it, and
//! no command does.

use std::sync::atomic::{AtomicU8, Ordering};

/// A thread of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Decides.
    Engine = 0,
    /// Sends.
    Io = 1,
    /// Connects and refreshes.
    Housekeeper = 2,
}

/// How it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// As it should be.
    Whole = 0,
    /// It loops without returning, until it is whole again.
    Stuck = 1,
    /// It panics.
    Panicking = 2,
}

/// The condition of every thread of a run, obeyed by each at its slow things.
#[derive(Debug, Default)]
pub struct Breakage([AtomicU8; 3]);

impl Breakage {
    /// From now on this thread is like this.
    pub fn set(&self, part: Part, condition: Condition) {
        self.0[part as usize].store(condition as u8, Ordering::Relaxed);
    }

    /// Called by the thread itself.
    ///
    /// # Panics
    /// When a test asked for it.
    pub fn obey(&self, part: Part) {
        loop {
            match self.0[part as usize].load(Ordering::Relaxed) {
                0 => return,
                1 => std::thread::yield_now(),
                _ => panic!("a test broke the {part:?} thread"),
            }
        }
    }
}
