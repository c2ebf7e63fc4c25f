//! Where one connection of a thread is polled, and during a planned reconnect its predecessor beside it (make before break).
//! Never connects and never decides whether to.

use super::connection::{Connection, LinkFault};
use crate::unit::Nanos;

/// How long a predecessor still runs beside its successor, so that what is under way on it arrives.
const OVERLAP: Nanos = Nanos::from_secs(2);

/// One place, two connections at most: index 0 is in use, index 1 retires.
#[derive(Default)]
pub struct Place {
    links: [Option<Box<Connection>>; 2],
    /// Bytes may wait, as far as is known.
    ready: [bool; 2],
    /// The poll has told that the peer is gone. What it sent before and its end came as one event, so a short read does not mean
    /// that there is nothing left to read: the end is.
    ended: [bool; 2],
    retire_at: Nanos,
}

/// The place and connection that a poll token means.
#[must_use]
pub const fn at_token(token: mio::Token) -> (usize, usize) {
    (token.0 / 2, token.0 % 2)
}

const fn token(place: usize, which: usize) -> mio::Token {
    mio::Token(place * 2 + which)
}

/// What a pass over a connection found.
pub enum Pass {
    /// Nothing was ready.
    Idle,
    /// Something was handled.
    Busy,
    /// The connection is dead; here it is, to be freed elsewhere. `in_use` unless it was retiring.
    Dead {
        /// The connection.
        connection: Box<Connection>,
        /// Why.
        fault: LinkFault,
        /// It was the one in use.
        in_use: bool,
    },
}

impl Place {
    /// The connection in use.
    pub fn current(&mut self) -> Option<&mut Connection> {
        self.links[0].as_deref_mut()
    }

    /// True when a connection is in use.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.links[0].is_some()
    }

    /// Notes that the poll reported connection `which`, and whether its peer is gone.
    pub fn mark_ready(&mut self, which: usize, ended: bool) {
        self.ready[which] = true;
        self.ended[which] |= ended;
    }

    /// Puts a connection into use as place number `number`; the one in use before retires.
    /// Returns what has to go at once: an older retiring connection.
    ///
    /// # Errors
    /// The poll set refuses the socket: the connection comes back.
    pub fn adopt(
        &mut self,
        mut connection: Box<Connection>,
        number: usize,
        registry: &mio::Registry,
        now: Nanos,
    ) -> Result<Option<Box<Connection>>, (Box<Connection>, std::io::Error)> {
        connection.heard_at = now;
        if let Err(error) = connection.register(registry, token(number, 0)) {
            return Err((connection, error));
        }
        let mut over = None;
        if let Some(mut old) = self.links[0].take() {
            // Under a new token, so that both are heard.
            old.deregister(registry);
            over =
                if old.register(registry, token(number, 1)).is_ok() { self.links[1].replace(old) } else { Some(old) };
            self.ready[1] = self.links[1].is_some();
            self.ended[1] = self.ended[0];
            self.retire_at = now + OVERLAP;
        }
        self.links[0] = Some(connection);
        // Bytes may have come behind the handshake; no poll event tells of them.
        (self.ready[0], self.ended[0]) = (true, false);
        Ok(over)
    }

    /// The retiring connection once its time is over.
    pub fn retired(&mut self, registry: &mio::Registry, now: Nanos) -> Option<Box<Connection>> {
        if now < self.retire_at {
            return None;
        }
        let mut connection = self.links[1].take()?;
        connection.deregister(registry);
        Some(connection)
    }

    /// Takes the connection in use out of the place.
    pub fn take(&mut self, registry: &mio::Registry) -> Option<Box<Connection>> {
        let mut connection = self.links[0].take()?;
        connection.deregister(registry);
        Some(connection)
    }

    /// One read of connection `which` and `handle` for it, which takes the whole messages. After a short read the socket is dry
    /// until the poll says otherwise, unless the poll has told of its end, which is then still to be read.
    #[inline]
    pub fn pass(
        &mut self,
        which: usize,
        registry: &mio::Registry,
        mut handle: impl FnMut(&mut Connection) -> Result<(), LinkFault>,
    ) -> Pass {
        if !self.ready[which] {
            return Pass::Idle;
        }
        let Some(link) = self.links[which].as_deref_mut() else {
            (self.ready[which], self.ended[which]) = (false, false);
            return Pass::Idle;
        };
        let result = link.receive().and_then(|read| {
            handle(link)?;
            if link.unsent() {
                link.flush()?;
            }
            Ok(read)
        });
        match result {
            Ok((bytes, more)) => {
                self.ready[which] = more || (self.ended[which] && bytes > 0);
                if bytes > 0 { Pass::Busy } else { Pass::Idle }
            }
            Err(fault) => {
                (self.ready[which], self.ended[which]) = (false, false);
                let Some(mut connection) = self.links[which].take() else { return Pass::Idle };
                // What was read before the fault is handled first: it may hold the close's reason or a fill.
                let _ = handle(&mut connection);
                connection.deregister(registry);
                Pass::Dead { connection, fault, in_use: which == 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::engine::Wait;
    use crate::engine::connection::Endpoint;
    use crate::engine::wait::Poller;
    use crate::wire::{http, tls, ws};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    #[test]
    fn an_end_that_comes_with_the_last_bytes_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (go, wait) = mpsc::channel::<()>();
        let peer = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut bytes, mut chunk) = (Vec::new(), [0; 1024]);
            let answer = loop {
                let n = socket.read(&mut chunk).unwrap();
                bytes.extend_from_slice(&chunk[..n]);
                if let Some((request, _)) = http::parse_request(&bytes).unwrap() {
                    break ws::server_accept(&request).unwrap();
                }
            };
            socket.write_all(&answer).unwrap();
            wait.recv().unwrap();
            // A text frame and the end, with nobody looking between.
            socket.write_all(b"\x81\x02hi").unwrap();
        });
        let tls = tls::client_config(tls::Roots::WebPki).unwrap();
        let connection = Connection::open(&Endpoint { url, tls, timeout: Duration::from_secs(20) }).unwrap();
        let mut poller = Poller::new(Wait::Park).unwrap();
        let mut place = Place::default();
        assert!(matches!(place.adopt(Box::new(connection), 0, poller.registry(), Nanos(1)), Ok(None)));
        let (mut heard, mut dead, mut go) = (Vec::new(), None, Some(go));
        let begun = Instant::now();
        while dead.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the end was never seen; heard {heard:?}");
            let pass = place.pass(0, poller.registry(), |link| {
                while let Some(range) = link.next_message()? {
                    heard.extend_from_slice(link.inbound.bytes(range));
                }
                Ok(())
            });
            match pass {
                Pass::Dead { fault, in_use, .. } => dead = Some((fault, in_use)),
                // Dry: now the peer sends and leaves, and only then is the poll asked.
                Pass::Idle if go.is_some() => {
                    let _ = go.take().unwrap().send(());
                    while !peer.is_finished() {
                        std::thread::yield_now();
                    }
                }
                Pass::Idle | Pass::Busy => {}
            }
            poller.turn(true, |token, ended| place.mark_ready(at_token(token).1, ended)).unwrap();
        }
        assert_eq!(heard, b"hi");
        assert!(matches!(dead, Some((LinkFault::Eof, true))), "{dead:?}");
        peer.join().unwrap();
    }
}
