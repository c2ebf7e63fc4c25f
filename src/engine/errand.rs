//! What the fast threads ask of the slow one, and what the slow one hands the I/O thread. Bounded channels; never used by the engine thread.

use super::connection::Connection;
use crate::event::{Link, OrderEvent};
use crate::instrument::InstrumentId;
use crate::venue::binance::usdm::answer::Hint;

/// Errands that may wait: one of each kind per instrument is far below this.
pub const ERRANDS_CAPACITY: usize = 256;

/// Something that needs a blocking call.
pub enum Errand {
    /// Open orders, positions and balance from REST.
    Reconcile(InstrumentId),
    /// A depth snapshot from REST.
    Snapshot(InstrumentId),
    /// One of the I/O thread's connections is dead; make a new one.
    Reconnect(Link),
    /// The venue, or the times in its frames, say that our idea of its clock is wrong.
    SyncTime,
    /// Cancel every order of ours by REST: the engine or the order socket cannot.
    CancelAll(InstrumentId),
    /// Cancel as above, then close the position by REST with reduce-only market orders: the engine is stuck.
    Flatten(InstrumentId),
}

/// Something made for the I/O thread.
pub enum Delivery {
    /// An established connection: order entry or private stream.
    Connection(Link, Box<Connection>),
    /// The order socket cannot be had now: orders go by REST until it can.
    RestOnly,
    /// An order's outcome by REST.
    Order(OrderEvent, Hint),
}
