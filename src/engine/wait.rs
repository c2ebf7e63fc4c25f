//! How a thread waits for its sockets and rings: `spin`, `yield` or `park`. Never decides what to do with what it finds.

use crate::config::engine::Wait;
use std::io;
use std::time::Duration;

/// Longest sleep of a parked thread: timers are at most this late.
const PARK_MAX: Duration = Duration::from_millis(1);

/// The sockets of one thread and its way of waiting for them.
pub struct Poller {
    poll: mio::Poll,
    events: mio::Events,
    wait: Wait,
    wake: WakeHandle,
}

/// Wakes a parked thread from another one; does nothing for threads that never sleep.
#[derive(Clone)]
pub struct WakeHandle(Option<std::sync::Arc<mio::Waker>>);

impl WakeHandle {
    /// Wakes the thread if it may be asleep.
    #[inline]
    pub fn wake(&self) {
        if let Some(waker) = &self.0 {
            // A failed wake costs at most `PARK_MAX` of latency; there is nothing better to do with the error here.
            let _ = waker.wake();
        }
    }
}

const WAKE: mio::Token = mio::Token(usize::MAX);

impl Poller {
    /// Takes the poll set and, for `park`, the waker.
    ///
    /// # Errors
    /// The operating system has no descriptor left.
    pub fn new(wait: Wait) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = match wait {
            Wait::Park => Some(std::sync::Arc::new(mio::Waker::new(poll.registry(), WAKE)?)),
            Wait::Spin | Wait::Yield => None,
        };
        Ok(Self { poll, events: mio::Events::with_capacity(64), wait, wake: WakeHandle(waker) })
    }

    /// For the thread that should wake this one.
    #[must_use]
    pub fn wake_handle(&self) -> WakeHandle {
        self.wake.clone()
    }

    /// Where sockets are registered.
    #[must_use]
    pub fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }

    /// Looks once, waiting as the setting says when `idle` (nothing was found the last time), and calls `ready` per socket, `true`
    /// with it when the peer has ended it: then nothing more will be told of the socket.
    ///
    /// # Errors
    /// The poll itself failed; an interrupted one is not an error.
    pub fn turn(&mut self, idle: bool, mut ready: impl FnMut(mio::Token, bool)) -> io::Result<()> {
        let timeout = match self.wait {
            Wait::Park if idle => PARK_MAX,
            Wait::Yield if idle => {
                std::thread::yield_now();
                Duration::ZERO
            }
            _ => Duration::ZERO,
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.events {
            if event.token() != WAKE {
                ready(event.token(), event.is_read_closed() || event.is_error());
            }
        }
        Ok(())
    }
}
