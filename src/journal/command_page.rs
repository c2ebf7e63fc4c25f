//! The operators' page: a kill flag and one command at a time, in a mapped file. Readable when the engine is stuck, because the I/O thread
//! reads it too. Never a queue: a second command waits until the first is acknowledged, unless it is a harder rung of the kill ladder;
//! the kill flag waits for nothing.
//!
//! ```text
//!   0        8    12       128        136            200             384   392    400   408            472              640          768           896
//!   | magic  | ver| zero   | kill     | by, 64 bytes | why, 128 bytes| seq | verb | arg | by, 64 bytes | why, 128 bytes | engine's ack| sender's ack| alerts seen | zero up to 1024 |
//!     kill: 0, or the time it was set, ns since the Unix epoch. seq counts commands from 1 and is stored last. A text is zero-padded UTF-8.
//!     alerts seen: alerts raised up to this time are acknowledged by a human.
//! ```

use super::error::JournalError;
use super::mapped::Mapped;
use crate::event::Operator;
use crate::unit::Nanos;
use arrayvec::ArrayString;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MAGIC: [u8; 8] = *b"SQCMND\r\n";
/// Version of the page's layout. 1 had neither a reason nor an argument.
pub const VERSION: u32 = 2;
const KILL: usize = 128;
const KILL_BY: usize = 136;
const KILL_WHY: usize = 200;
const SEQ: usize = 384;
const VERB: usize = 392;
const ARG: usize = 400;
const BY: usize = 408;
const WHY: usize = 472;
/// Bytes kept of who asks.
pub const BY_BYTES: usize = 64;
/// Bytes kept of why.
pub const WHY_BYTES: usize = 128;
const ACK: [usize; 2] = [640, 768];
const ALERTS_SEEN: usize = 896;
const BYTES: usize = 1024;

const _: () = assert!(KILL_BY + BY_BYTES == KILL_WHY && KILL_WHY + WHY_BYTES <= SEQ);
const _: () = assert!(BY + BY_BYTES == WHY && WHY + WHY_BYTES <= ACK[0] && ACK[0] + 128 == ACK[1]);
const _: () = assert!(ACK[1] + 128 == ALERTS_SEEN && ALERTS_SEEN + 128 == BYTES);

/// Who asks for something, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Signature {
    /// User, process and terminal.
    pub by: ArrayString<BY_BYTES>,
    /// The reason, as it was typed.
    pub why: ArrayString<WHY_BYTES>,
}

impl Signature {
    /// As much of the two texts as there is room for.
    #[must_use]
    pub fn new(by: &str, why: &str) -> Self {
        Self { by: kept(by), why: kept(why) }
    }
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Counts from 1.
    pub seq: u64,
    /// What.
    pub verb: Operator,
    /// By whom and why.
    pub signature: Signature,
}

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

    /// Who set the kill flag, and why.
    #[must_use]
    pub fn killed_by(&self) -> Signature {
        Signature { by: text(&self.page, KILL_BY), why: text(&self.page, KILL_WHY) }
    }

    /// Sets the kill flag from within: a fault that must stop trading even if this thread does nothing more.
    pub fn kill(&self, now: Nanos, why: &str) {
        set_kill(&self.page, now, &Signature::new("the engine", why));
    }

    /// The next command, once. A verb that this build does not know is acknowledged and dropped.
    #[inline]
    pub fn poll(&mut self) -> Option<Request> {
        let seq = self.page.load(SEQ, Ordering::Acquire);
        if seq == self.seen {
            return None;
        }
        // The requester waits for the acknowledgements before it writes again, so the verb belongs to this seq; a harder one that did
        // not wait is then met twice, which does no more than once.
        let (verb, arg) = (self.page.load(VERB, Ordering::Relaxed), self.page.load(ARG, Ordering::Relaxed));
        let signature = Signature { by: text(&self.page, BY), why: text(&self.page, WHY) };
        self.seen = seq;
        self.page.store(ACK[self.watcher as usize], seq, Ordering::Release);
        let verb = Operator::of(u8::try_from(verb).ok()?, u16::try_from(arg).ok()?)?;
        Some(Request { seq, verb, signature })
    }

    /// True when the engine thread has taken command `seq`.
    #[must_use]
    pub fn engine_took(&self, seq: u64) -> bool {
        self.page.load(ACK[Watcher::Engine as usize], Ordering::Acquire) >= seq
    }

    /// A view for a thread that only wants to know which alerts a human has seen.
    #[must_use]
    pub fn alerts_seen(&self) -> AlertsSeen {
        AlertsSeen(Arc::clone(&self.page))
    }
}

/// Which alerts a human has seen.
#[derive(Debug)]
pub struct AlertsSeen(Arc<Mapped>);

impl AlertsSeen {
    /// Alerts raised up to this time are acknowledged.
    #[must_use]
    pub fn up_to(&self) -> Nanos {
        Nanos(self.0.load(ALERTS_SEEN, Ordering::Relaxed).cast_signed())
    }
}

/// Why a command was not put on the page.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The page cannot be used.
    #[error(transparent)]
    Page(#[from] JournalError),
    /// The command before has not been taken.
    #[error(
        "command {seq} by {by:?} has not been taken yet; is the engine alive? A harder one (cancel-all, flatten, stop) replaces it, and `kill` waits for nothing"
    )]
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
        let foreign = |what| JournalError::Foreign { path: path.to_path_buf(), what };
        if head.len() < 12 || head[..8] != MAGIC {
            return Err(foreign("not a command page".to_owned()));
        }
        let version = super::layout::u32_at(&head, 8);
        if version != VERSION {
            return Err(foreign(format!("a command page of layout version {version}, this program knows {VERSION}")));
        }
        if head.len() != BYTES {
            return Err(foreign(format!("a command page of {} bytes instead of {BYTES}", head.len())));
        }
        let lock = fs::File::open(path).map_err(failed)?;
        Ok(Self { page: Mapped::open(path, true)?, lock })
    }

    /// Sets the kill flag. Both threads see it at their next look; nothing waits.
    pub fn kill(&self, now: Nanos, signature: &Signature) {
        set_kill(&self.page, now, signature);
    }

    /// Acknowledges every alert raised up to `now`: none of them escalates any more.
    pub fn see_alerts(&self, now: Nanos) {
        self.page.store(ALERTS_SEEN, now.0.cast_unsigned(), Ordering::Relaxed);
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

    /// Asks for a command. Returns its number.
    ///
    /// # Errors
    /// The command before has not been taken by both threads and is not milder, or the page cannot be locked.
    pub fn request(&mut self, verb: Operator, signature: &Signature) -> Result<u64, CommandError> {
        let lock_failed = |source| JournalError::Io { path: "command page".into(), source };
        self.lock.lock().map_err(lock_failed)?;
        let seq = self.page.load(SEQ, Ordering::Acquire);
        // A stuck engine has not taken the pause of a minute ago; that must not keep anybody from cancelling.
        let harder = || {
            let before = u8::try_from(self.page.load(VERB, Ordering::Relaxed)).ok();
            before.and_then(|code| Operator::of(code, 100)).is_none_or(|before| verb.hardness() > before.hardness())
        };
        let result = if self.taken(seq) || harder() {
            put(&self.page, BY, &signature.by);
            put(&self.page, WHY, &signature.why);
            self.page.store(ARG, u64::from(verb.argument()), Ordering::Relaxed);
            self.page.store(VERB, u64::from(verb.code()), Ordering::Relaxed);
            self.page.store(SEQ, seq + 1, Ordering::Release);
            Ok(seq + 1)
        } else {
            Err(CommandError::Busy { seq, by: self.signature().by.to_string() })
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

    /// Who asked for the last command, and why.
    #[must_use]
    pub fn signature(&self) -> Signature {
        Signature { by: text(&self.page, BY), why: text(&self.page, WHY) }
    }
}

fn set_kill(page: &Mapped, now: Nanos, signature: &Signature) {
    // The first one stands, as its time is what people look for; texts first, because the flag publishes them.
    if page.load(KILL, Ordering::Acquire) == 0 {
        put(page, KILL_BY, &signature.by);
        put(page, KILL_WHY, &signature.why);
    }
    // The flag must be set whatever the clock says.
    page.store(KILL, now.0.max(1).cast_unsigned(), Ordering::Release);
}

/// As much of a text as there is room for, on one line.
fn kept<const N: usize>(text: &str) -> ArrayString<N> {
    let mut out = ArrayString::new();
    for letter in text.chars() {
        if out.try_push(if letter.is_control() { ' ' } else { letter }).is_err() {
            break;
        }
    }
    out
}

/// Stores a text word by word: other processes read it.
fn put<const N: usize>(page: &Mapped, at: usize, text: &ArrayString<N>) {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    for (word, part) in bytes.as_chunks::<8>().0.iter().enumerate() {
        page.store(at + word * 8, u64::from_le_bytes(*part), Ordering::Relaxed);
    }
}

/// Loads a text; what is no UTF-8 (half of an old, half of a new one) is cut.
fn text<const N: usize>(page: &Mapped, at: usize) -> ArrayString<N> {
    let mut bytes = [0; N];
    for (word, part) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *part = page.load(at + word * 8, Ordering::Relaxed).to_le_bytes();
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(N);
    let valid = match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    ArrayString::from(valid).unwrap_or_default()
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

    fn verb(request: Option<Request>) -> Option<Operator> {
        request.map(|request| request.verb)
    }

    #[test]
    fn a_command_is_taken_once_by_each_thread_and_the_next_waits_for_both() {
        let (_dir, [mut engine, mut sender], mut desk) = page();
        assert_eq!((engine.poll(), sender.poll()), (None, None));
        let alice = Signature::new("alice", "the market is\nodd");
        assert_eq!(desk.request(Operator::Widen { percent: 150 }, &alice).unwrap(), 1);
        assert_eq!(
            (engine.poll(), engine.poll()),
            (Some(Request { seq: 1, verb: Operator::Widen { percent: 150 }, signature: alice }), None)
        );
        assert_eq!(alice.why.as_str(), "the market is odd");
        match desk.request(Operator::Resume, &Signature::new("bob", "")) {
            Err(CommandError::Busy { seq: 1, by }) => assert_eq!(by, "alice"),
            other => panic!("{other:?}"),
        }
        assert!(!desk.taken(1) && sender.engine_took(1));
        assert_eq!(verb(sender.poll()), Some(Operator::Widen { percent: 150 }));
        assert!(desk.taken(1));
        assert_eq!(desk.request(Operator::Resume, &Signature::new(&"é".repeat(50), "")).unwrap(), 2);
        assert_eq!(
            (verb(engine.poll()), desk.signature().by.as_str()),
            (Some(Operator::Resume), "é".repeat(32).as_str())
        );
    }

    #[test]
    fn a_stuck_engine_keeps_nobody_from_a_harder_command() {
        let (_dir, [_engine, mut sender], mut desk) = page();
        let me = Signature::new("me", "");
        desk.request(Operator::Pause, &me).unwrap();
        assert_eq!(verb(sender.poll()), Some(Operator::Pause));
        assert!(desk.request(Operator::ReduceOnly, &me).is_err() && desk.request(Operator::Resume, &me).is_err());
        for (seq, harder) in [(2, Operator::CancelAll), (3, Operator::Flatten), (4, Operator::Stop)] {
            assert_eq!(desk.request(harder, &me).unwrap(), seq);
            assert_eq!(verb(sender.poll()), Some(harder));
        }
        assert!(desk.request(Operator::CancelAll, &me).is_err(), "a milder one waits");
    }

    #[test]
    fn the_kill_flag_waits_for_nothing_and_stays_until_it_is_cleared() {
        let (_dir, [engine, sender], mut desk) = page();
        desk.request(Operator::Pause, &Signature::new("alice", "")).unwrap();
        desk.kill(Nanos(0), &Signature::new("bob", "enough"));
        assert!(engine.killed() && sender.killed());
        assert_eq!(engine.killed_by(), Signature::new("bob", "enough"));
        desk.clear_kill();
        assert_eq!((engine.killed(), desk.killed_at()), (false, None));
        sender.kill(Nanos(77), "a fault");
        engine.kill(Nanos(78), "another one");
        assert_eq!((engine.killed(), desk.killed_at()), (true, Some(Nanos(78))));
        assert_eq!(engine.killed_by().why.as_str(), "a fault", "the first reason stands");
        assert_eq!(engine.alerts_seen().up_to(), Nanos(0));
        desk.see_alerts(Nanos(5));
        assert_eq!(engine.alerts_seen().up_to(), Nanos(5));
    }

    #[test]
    fn a_foreign_an_old_and_a_cut_file_are_told_apart() {
        let (dir, _, _) = page();
        let path = dir.path().join("other");
        let whole = fs::read(dir.path().join("command.sqm")).unwrap();
        let mut old = whole.clone();
        old[8] = 1;
        for (bytes, said) in [
            (vec![], "not a command page"),
            (vec![0; BYTES], "not a command page"),
            (vec![0; 10], "not a command page"),
            (old, "layout version 1, this program knows 2"),
            (whole[..640].to_vec(), "640 bytes instead of 1024"),
        ] {
            fs::write(&path, bytes).unwrap();
            match CommandPage::open(&path) {
                Err(JournalError::Foreign { what, .. }) => assert!(what.contains(said), "{what}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
