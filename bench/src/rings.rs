//! The hand-over of an order from one thread to the next, beside other queues. Decides nothing.

use crate::measure::{Bar, Candidate, Report, race};
use crossbeam::queue::ArrayQueue;
use spinquote::engine::ring::{ORDERS_CAPACITY, OrderSink, Outgoing};
use spinquote::event::{ClientId, Command, CommandKind, PositionSide, Side, TimeInForce};
use spinquote::instrument::InstrumentId;
use spinquote::unit::{Lots, Nanos, Ticks};
use std::sync::Arc;
use std::sync::mpsc;

const OURS: &str = "OrderSink";
const RTRB: &str = "rtrb";
const ARRAY: &str = "crossbeam ArrayQueue";
const CHANNEL: &str = "std sync_channel";

fn order(price: i64) -> Outgoing {
    let command = Command {
        kind: CommandKind::New,
        side: Side::Buy,
        tif: TimeInForce::PostOnly,
        position_side: PositionSide::Net,
        reduce_only: false,
        instrument: InstrumentId(0),
        generation: 1,
        client_id: ClientId { run: 1, seq: 1 },
        price: Ticks(price),
        qty: Lots(1),
        decided_at: Nanos(1),
    };
    Outgoing { command, received_at: Nanos(1), pushed_at: Nanos(2) }
}

type Push = Box<dyn FnMut(Outgoing) -> bool + Send>;
type Pop = Box<dyn FnMut() -> Option<Outgoing> + Send>;

/// Both ends of one queue of each kind.
fn queues() -> [(&'static str, Push, Pop); 4] {
    let (ours, mut ours_out) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
    let mut ours = OrderSink::new(ours);
    let (mut plain, mut plain_out) = rtrb::RingBuffer::new(ORDERS_CAPACITY);
    let array = Arc::new(ArrayQueue::new(ORDERS_CAPACITY));
    let array_out = Arc::clone(&array);
    let (channel, channel_out) = mpsc::sync_channel(ORDERS_CAPACITY);
    [
        (OURS, Box::new(move |order| ours.push(order).is_ok()), Box::new(move || ours_out.pop().ok())),
        (RTRB, Box::new(move |order| plain.push(order).is_ok()), Box::new(move || plain_out.pop().ok())),
        (ARRAY, Box::new(move |order| array.push(order).is_ok()), Box::new(move || array_out.pop())),
        (
            CHANNEL,
            Box::new(move |order| channel.try_send(order).is_ok()),
            Box::new(move || channel_out.try_recv().ok()),
        ),
    ]
}

/// A push and a pop on one thread: what the queue itself costs.
///
/// # Panics
/// A queue loses an order.
pub fn one_thread(rounds: usize, report: &mut Report) {
    const ORDERS: usize = 2048;
    let candidates = queues().map(|(name, mut push, mut pop)| {
        Candidate::new(name, move |(): &mut ()| {
            (0..ORDERS as i64).fold(0_u64, |sum, price| {
                assert!(push(order(price)));
                let found = pop().expect("what was pushed");
                sum.wrapping_mul(31).wrapping_add(found.command.price.0.cast_unsigned())
            })
        })
    });
    let timed = race(rounds, &mut (), |(), _| ORDERS, candidates.into());
    report.compare("order ring, push and pop on one thread", "ns/order", &timed, OURS, RTRB, Some(Bar::Within(1.1)));
    report.compare("order ring, push and pop on one thread", "ns/order", &timed, OURS, ARRAY, None);
    report.compare("order ring, push and pop on one thread", "ns/order", &timed, OURS, CHANNEL, None);
}

/// Spins, and lets others run when the other thread cannot be running.
fn wait(pop: &mut Pop) -> Outgoing {
    loop {
        for _ in 0..2_000 {
            if let Some(order) = pop() {
                return order;
            }
            std::hint::spin_loop();
        }
        std::thread::yield_now();
    }
}

/// There and back between two threads, halved. An echo thread only spins in the rounds of its own queue.
///
/// # Panics
/// A queue loses an order.
pub fn two_threads(rounds: usize, trips: usize, report: &mut Report) {
    let there = queues();
    let back = queues();
    let mut echoes = Vec::new();
    let mut candidates = Vec::new();
    for ((name, mut push, mut pop_there), (_, mut push_back, mut pop)) in there.into_iter().zip(back) {
        let (start, begin) = mpsc::channel::<()>();
        echoes.push(std::thread::spawn(move || {
            while begin.recv().is_ok() {
                for _ in 0..trips {
                    assert!(push_back(wait(&mut pop_there)));
                }
            }
        }));
        candidates.push(Candidate::new(name, move |(): &mut ()| {
            start.send(()).expect("a living echo");
            (0..trips as i64).fold(0_u64, |sum, price| {
                assert!(push(order(price)));
                sum.wrapping_mul(31).wrapping_add(wait(&mut pop).command.price.0.cast_unsigned())
            })
        }));
    }
    let timed = race(rounds, &mut (), |(), _| 2 * trips, candidates);
    for echo in echoes {
        echo.join().expect("an echo that ends with its queue");
    }
    report.compare("order ring, half a round trip", "ns", &timed, OURS, RTRB, Some(Bar::Within(1.1)));
    report.compare("order ring, half a round trip", "ns", &timed, OURS, ARRAY, None);
    report.compare("order ring, half a round trip", "ns", &timed, OURS, CHANNEL, None);
}
