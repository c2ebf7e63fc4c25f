//! The operators' page: a kill flag and one command at a time, in a mapped file. Readable when the engine is stuck, because the I/O thread
//! reads it too. Never a queue: a second command waits until the first is acknowledged; the kill flag waits for nothing.
//!
//! ```text
//!   0        8    12       128        256    264    272              384           512
//!   | magic  | ver| zero   | kill     | seq  | verb | by, 64 bytes   | engine's ack| sender's ack | zero up to 640 |
//!     kill: 0, or the time it was set, ns since the Unix epoch. seq counts commands from 1 and is stored last.
//! ```

use super::error::JournalError;
use super::mapped::Mapped;
use crate::event::Operator;
use crate::unit::Nanos;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MAGIC: [u8; 8] = *b"SQCMND\r\n";
const VERSION: u32 = 1;
const KILL: usize = 128;
const SEQ: usize = 256;
const VERB: usize = 264;
const BY: usize = 272;
const BY_BYTES: usize = 64;
const ACK: [usize; 2] = [384, 512];
const BYTES: usize = 640;

const _: () = assert!(BY + BY_BYTES <= ACK[0] && ACK[0] + 128 == ACK[1] && ACK[1] + 128 == BYTES);

/// Who watches the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Watcher {
    /// The engine thread.
    Engine = 0,
    /// The I/O thread.
    Sender = 1,
}

/// A watching thread's view: two loads a look.
#[derive(Debug)]
pub struct CommandWatch {
    page: Arc<Mapped>,
    watcher: Watcher,
    seen: u64,
}

/// Creates the page; returns the views of the engine and the I/O thread.
///
/// # Errors
/// The file exists or cannot be made.
pub fn create(path: &Path) -> Result<[CommandWatch; 2], JournalError> {
    let (mut page, _) = Mapped::create(path, BYTES)?;
    page.write(0, &MAGIC);
    page.write(8, &VERSION.to_le_bytes());
    let page = Arc::new(page);
    Ok([Watcher::Engine, Watcher::Sender].map(|watcher| CommandWatch { page: Arc::clone(&page), watcher, seen: 0 }))
}

impl CommandWatch {
    /// True while the kill flag is set.
    #[inline]
    #[must_use]
    pub fn killed(&self) -> bool {
        self.page.load(KILL, Ordering::Acquire) != 0
    }

    /// Sets the kill flag from within: a fault that must stop trading even if this thread does nothing more.
    pub fn kill(&self, now: Nanos) {
        set_kill(&self.page, now);
    }

    /// The next command, once. A verb that this build does not know is acknowledged and dropped.
    #[inline]
    pub fn poll(&mut self) -> Option<Operator> {
        let seq = self.page.load(SEQ, Ordering::Acquire);
        if seq == self.seen {
            return None;
        }
        // The requester waits for the acknowledgements before it writes again, so the verb belongs to this seq.
        let verb = self.page.load(VERB, Ordering::Relaxed);
        self.seen = seq;
        self.page.store(ACK[self.watcher as usize], seq, Ordering::Release);
        operator(verb)
    }
}

/// Why a command was not put on the page.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The page cannot be used.
    #[error(transparent)]
    Page(#[from] JournalError),
    /// The command before has not been taken.
    #[error("command {seq} by {by:?} has not been taken yet; is the engine alive? `kill` works even when it is stuck")]
    Busy {
        /// Its number.
        seq: u64,
        /// Who asked for it.
        by: String,
    },
}

/// An operator's view, in another process. Operators take turns by a lock on the file while they ask.
#[derive(Debug)]
pub struct CommandPage {
    page: Mapped,
    lock: fs::File,
}

impl CommandPage {
    /// Opens a run's page for asking.
    ///
    /// # Errors
    /// There is none, or it is of another version.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::at(path, 0, source);
        let head = fs::read(path).map_err(failed)?;
        if head.len() != BYTES || head[..8] != MAGIC || head[8..12] != VERSION.to_le_bytes() {
            let what = format!("not a command page of layout version {VERSION}");
            return Err(JournalError::Foreign { path: path.to_path_buf(), what });
        }
        let lock = fs::File::open(path).map_err(failed)?;
        Ok(Self { page: Mapped::open(path, true)?, lock })
    }

    /// Sets the kill flag. Both threads see it at their next look; nothing waits.
    pub fn kill(&self, now: Nanos) {
        set_kill(&self.page, now);
    }

    /// Clears the kill flag. Quoting starts again only on [`Operator::Resume`].
    pub fn clear_kill(&self) {
        self.page.store(KILL, 0, Ordering::Release);
    }

    /// When the kill flag was set.
    #[must_use]
    pub fn killed_at(&self) -> Option<Nanos> {
        let at = self.page.load(KILL, Ordering::Acquire).cast_signed();
        (at != 0).then_some(Nanos(at))
    }

    /// Asks for a command; `by` says who (64 bytes of it are kept). Returns its number.
    ///
    /// # Errors
    /// The command before has not been taken by both threads, or the page cannot be locked.
    pub fn request(&mut self, verb: Operator, by: &str) -> Result<u64, CommandError> {
        let lock_failed = |source| JournalError::Io { path: "command page".into(), source };
        self.lock.lock().map_err(lock_failed)?;
        let seq = self.page.load(SEQ, Ordering::Acquire);
        let result = if self.taken(seq) {
            let mut text = [0; BY_BYTES];
            let kept = by.floor_char_boundary(BY_BYTES);
            text[..kept].copy_from_slice(&by.as_bytes()[..kept]);
            self.page.write(BY, &text);
            self.page.store(VERB, verb as u64, Ordering::Relaxed);
            self.page.store(SEQ, seq + 1, Ordering::Release);
            Ok(seq + 1)
        } else {
            Err(CommandError::Busy { seq, by: self.by() })
        };
        self.lock.unlock().map_err(lock_failed)?;
        result
    }

    /// True when both threads have taken command `seq`.
    #[must_use]
    pub fn taken(&self, seq: u64) -> bool {
        [Watcher::Engine, Watcher::Sender].into_iter().all(|watcher| self.taken_by(watcher, seq))
    }

    /// True when this thread has taken command `seq`.
    #[must_use]
    pub fn taken_by(&self, watcher: Watcher, seq: u64) -> bool {
        self.page.load(ACK[watcher as usize], Ordering::Acquire) >= seq
    }

    /// Who asked for the last command.
    pub fn by(&mut self) -> String {
        let text = self.page.bytes(BY, BY_BYTES);
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(BY_BYTES);
        String::from_utf8_lossy(&text[..end]).into_owned()
    }
}

fn set_kill(page: &Mapped, now: Nanos) {
    // The flag must be set whatever the clock says.
    page.store(KILL, now.0.max(1).cast_unsigned(), Ordering::Release);
}

fn operator(verb: u64) -> Option<Operator> {
    [Operator::Pause, Operator::Resume, Operator::ReduceOnly, Operator::CancelAll, Operator::Flatten, Operator::Stop]
        .into_iter()
        .find(|&known| known as u64 == verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> (tempfile::TempDir, [CommandWatch; 2], CommandPage) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("command.sqm");
        let watches = create(&path).unwrap();
        let operator = CommandPage::open(&path).unwrap();
        (dir, watches, operator)
    }

    #[test]
    fn a_command_is_taken_once_by_each_thread_and_the_next_waits_for_both() {
        let (_dir, [mut engine, mut sender], mut desk) = page();
        assert_eq!((engine.poll(), sender.poll()), (None, None));
        assert_eq!(desk.request(Operator::Flatten, "alice").unwrap(), 1);
        assert_eq!((engine.poll(), engine.poll()), (Some(Operator::Flatten), None));
        match desk.request(Operator::Resume, "bob") {
            Err(CommandError::Busy { seq: 1, by }) => assert_eq!(by, "alice"),
            other => panic!("{other:?}"),
        }
        assert!(!desk.taken(1));
        assert_eq!(sender.poll(), Some(Operator::Flatten));
        assert!(desk.taken(1));
        assert_eq!(desk.request(Operator::Resume, &"é".repeat(50)).unwrap(), 2);
        assert_eq!((engine.poll(), desk.by()), (Some(Operator::Resume), "é".repeat(32)));
    }

    #[test]
    fn the_kill_flag_waits_for_nothing_and_stays_until_it_is_cleared() {
        let (_dir, [engine, sender], mut desk) = page();
        desk.request(Operator::Pause, "alice").unwrap();
        desk.kill(Nanos(0));
        assert!(engine.killed() && sender.killed());
        desk.clear_kill();
        assert_eq!((engine.killed(), desk.killed_at()), (false, None));
        sender.kill(Nanos(77));
        assert_eq!((engine.killed(), desk.killed_at()), (true, Some(Nanos(77))));
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let (dir, _, _) = page();
        let path = dir.path().join("other");
        for bytes in [vec![], vec![0; BYTES], vec![0; 10]] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(CommandPage::open(&path), Err(JournalError::Foreign { .. })));
        }
    }
}
