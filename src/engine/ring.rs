//! The rings between the threads: bounded, wait-free, one producer and one consumer each. Knows what crosses, not what it means.
//!
//! | ring | from | to | full means |
//! |---|---|---|---|
//! | orders | engine | I/O | kill-grade: the engine stops quoting ([`OrderSink::push`] says so) |
//! | answers | I/O | engine | the I/O thread waits: it never drops a fill |
//! | control | housekeeper | engine | the housekeeper waits |
//! | used | engine | housekeeper | the engine keeps the box and tries again |

use super::connection::Connection;
use super::settings::HotSettings;
use crate::event::{AccountEvent, ClientId, Command, Link, LinkState, MarkPrice, Operator, OrderEvent};
use crate::instrument::InstrumentId;
use crate::journal::record::Calibration;
use crate::unit::Nanos;

/// Orders that may wait for the I/O thread; far above what one step can emit.
pub const ORDERS_CAPACITY: usize = 1024;
/// Facts that may wait for the engine.
pub const ANSWERS_CAPACITY: usize = 8192;
/// Connections and bodies that may wait for the engine.
pub const CONTROL_CAPACITY: usize = 256;

/// A command on its way out, with the stamp of the frame that caused it.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// What to send.
    pub command: Command,
    /// When the bytes that caused it had been read.
    pub received_at: Nanos,
    /// When it entered the ring.
    pub pushed_at: Nanos,
}

/// A fact from the I/O thread.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// About an order.
    Order(OrderEvent),
    /// About the account.
    Account(AccountEvent),
    /// About one of the I/O thread's connections.
    Link(Link, LinkState),
    /// A command's bytes were handed to the kernel at this time.
    Sent {
        /// Which order.
        client_id: ClientId,
        /// Which intent.
        generation: u32,
        /// When `write` returned.
        at: Nanos,
    },
}

/// Something the housekeeper made for the engine.
pub enum Control {
    /// An established market-data connection of feed number `feed`, subscribed.
    Market {
        /// Index of the feed.
        feed: usize,
        /// The connection.
        connection: Box<Connection>,
    },
    /// The body of a REST depth snapshot, with 64 spare bytes behind `len`.
    Snapshot {
        /// Which book.
        instrument: InstrumentId,
        /// The bytes.
        body: Box<[u8]>,
        /// Length of the document.
        len: usize,
    },
    /// A fact about the account or an order from REST.
    Account(AccountEvent),
    /// Mark price and funding from REST.
    Mark(MarkPrice),
    /// The clock beside the system's.
    Calibration(Calibration),
    /// An order found by REST.
    Order(OrderEvent),
    /// A human's command.
    Operator(Operator),
    /// A polled reference price.
    External(InstrumentId, crate::unit::Price),
    /// New settings of a strategy, checked.
    Settings(Box<HotSettings>),
}

/// Something the engine is done with, to be freed or re-made off the hot path.
pub enum Used {
    /// A dead connection of a feed; `true` if the engine needs a new one.
    Connection {
        /// Index of the feed.
        feed: usize,
        /// The connection.
        connection: Box<Connection>,
        /// A successor is needed.
        reconnect: bool,
    },
    /// A decoded snapshot body.
    Body(Box<[u8]>),
    /// What new settings have replaced.
    Settings(Box<HotSettings>),
}

/// The engine's end of the order ring.
pub struct OrderSink {
    ring: rtrb::Producer<Outgoing>,
}

/// The order ring is full: the I/O thread is stuck, so nothing more may be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order ring is full ({ORDERS_CAPACITY} commands wait): the I/O thread does not take them")]
pub struct OrdersFull;

impl OrderSink {
    /// Wraps the producer.
    #[must_use]
    pub fn new(ring: rtrb::Producer<Outgoing>) -> Self {
        Self { ring }
    }

    /// Hands a command over.
    ///
    /// # Errors
    /// The ring is full; the caller must stop quoting.
    #[inline]
    pub fn push(&mut self, outgoing: Outgoing) -> Result<(), OrdersFull> {
        self.ring.push(outgoing).map_err(|_| OrdersFull)
    }

    /// Hands commands over together: the other thread sees all of them or none.
    ///
    /// # Errors
    /// The ring is full, and only as many as found room were handed over; the caller must stop quoting.
    #[inline]
    pub fn push_all(&mut self, outgoing: impl ExactSizeIterator<Item = Outgoing>) -> Result<(), OrdersFull> {
        match self.ring.write_chunk_uninit(outgoing.len()) {
            Ok(chunk) => {
                chunk.fill_from_iter(outgoing);
                Ok(())
            }
            Err(rtrb::chunks::ChunkError::TooFewSlots(room)) => {
                if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
                    chunk.fill_from_iter(outgoing);
                }
                Err(OrdersFull)
            }
        }
    }

    /// Free places.
    #[must_use]
    pub fn free(&self) -> usize {
        self.ring.slots()
    }
}

/// Pushes and waits while the ring is full: for producers that may wait but must not lose.
///
/// # Errors
/// The other thread has ended.
pub fn push_waiting<T>(ring: &mut rtrb::Producer<T>, mut item: T) -> Result<(), Gone> {
    loop {
        match ring.push(item) {
            Ok(()) => return Ok(()),
            Err(rtrb::PushError::Full(back)) => {
                if ring.is_abandoned() {
                    return Err(Gone);
                }
                item = back;
                std::thread::yield_now();
            }
        }
    }
}

/// The other end of a ring no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other thread has ended")]
pub struct Gone;
