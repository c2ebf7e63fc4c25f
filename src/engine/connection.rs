//! One WebSocket connection to a venue: opened blocking by the housekeeper, then polled without blocking or allocating.
//! Knows bytes and frames; never what a message means, never when to reconnect.

use crate::unit::Nanos;
use crate::wire::buf::{RecvBuf, SendBuf};
use crate::wire::tls::{self, Records};
use crate::wire::ws::{self, Kind, Role, WsReader};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Room for what the peer sends. The largest frame recorded is 26 KB; a snapshot of 1,000 levels a side is 45 KB.
const INBOUND_BYTES: usize = 1 << 20;
/// Room for what we send before the socket takes it.
const OUTBOUND_BYTES: usize = 256 << 10;
/// Largest message that is accepted.
const MESSAGE_MAX: usize = 512 << 10;

/// Where and how to connect.
#[derive(Clone)]
pub struct Endpoint {
    /// `wss://host:port/path?query`, or `ws://` for a loopback simulator without TLS.
    pub url: String,
    /// Which certificates to trust; shared by all connections of the process.
    pub tls: Arc<rustls::ClientConfig>,
    /// Bound on every step of connecting.
    pub timeout: Duration,
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is not a WebSocket address.
    #[error("{url}: not a WebSocket address (want wss://host[:port]/path): {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Name resolution or TCP.
    #[error("{url}: {source}")]
    Tcp {
        /// The address.
        url: String,
        /// What failed.
        source: io::Error,
    },
    /// The TLS handshake, the certificate included.
    #[error("{url}: TLS: {source}")]
    Tls {
        /// The address.
        url: String,
        /// What failed.
        source: tls::TlsError,
    },
    /// The WebSocket upgrade.
    #[error("{url}: WebSocket upgrade: {source}")]
    Upgrade {
        /// The address.
        url: String,
        /// What failed.
        source: ws::WsError,
    },
}

/// Why an established connection is no more. Every one ends it.
#[derive(Debug, thiserror::Error)]
pub enum LinkFault {
    /// The peer closed the TCP connection.
    #[error("closed by the peer without a close frame")]
    Eof,
    /// The peer closed the WebSocket.
    #[error("closed by the peer: code {code}")]
    Closed {
        /// RFC 6455 close code, 1005 when none was given.
        code: u16,
    },
    /// Nothing came for longer than a live connection can be silent.
    #[error("silent for too long")]
    Silent,
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// A TLS record is wrong.
    #[error("TLS: {0}")]
    Tls(#[from] tls::TlsError),
    /// A WebSocket frame is wrong.
    #[error("WebSocket: {0}")]
    Ws(#[from] ws::WsError),
    /// The peer sent more than fits.
    #[error("receive buffer: {0}")]
    Recv(#[from] crate::wire::buf::RecvFull),
    /// The peer does not take what we send.
    #[error("send buffer: {0}")]
    Send(#[from] crate::wire::buf::SendFull),
}

/// An established connection.
pub struct Connection {
    socket: mio::net::TcpStream,
    records: Records,
    reader: WsReader,
    /// Holds the messages whose ranges [`Connection::next`] gives.
    pub inbound: RecvBuf,
    /// Framed plaintext, sealed together at the next flush so that it leaves in one record.
    framed: SendBuf,
    outbound: SendBuf,
    mask: u64,
    /// What it is connected to, without its query (a listen key is a secret).
    pub name: String,
    /// When something last arrived; kept by the owner, which takes a long silence for death.
    pub heard_at: Nanos,
}

/// The parts of a WebSocket address.
struct Address<'a> {
    secure: bool,
    host: &'a str,
    port: u16,
    path: &'a str,
}

fn address(url: &str) -> Result<Address<'_>, ConnectError> {
    let bad = |reason| ConnectError::Url { url: without_query(url).to_owned(), reason };
    let (secure, rest) = match (url.strip_prefix("wss://"), url.strip_prefix("ws://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(bad("it starts with neither wss:// nor ws://")),
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| bad("the port is not a number"))?),
        None => (authority, if secure { 443 } else { 80 }),
    };
    if host.is_empty() {
        return Err(bad("no host"));
    }
    Ok(Address { secure, host, port, path: if path.is_empty() { "/" } else { path } })
}

fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

impl LinkFault {
    /// The peer broke a protocol; false for ends that every connection can have.
    #[must_use]
    pub const fn is_protocol(&self) -> bool {
        match self {
            Self::Eof | Self::Closed { .. } | Self::Silent | Self::Socket(_) | Self::Send(_) => false,
            Self::Tls(error) => !matches!(error, tls::TlsError::Closed),
            Self::Ws(_) | Self::Recv(_) => true,
        }
    }
}

impl Connection {
    /// Connects, does the handshakes, and returns with the socket in non-blocking mode. Blocks for at most a few times the
    /// endpoint's timeout: never call it on the engine or I/O thread.
    ///
    /// # Errors
    /// The step that failed, with the address.
    pub fn open(endpoint: &Endpoint) -> Result<Self, ConnectError> {
        let url = without_query(&endpoint.url).to_owned();
        let at = address(&endpoint.url)?;
        let tcp = |source| ConnectError::Tcp { url: url.clone(), source };
        let mut stream = dial(at.host, at.port, endpoint.timeout).map_err(tcp)?;
        let mut inbound = RecvBuf::new(INBOUND_BYTES);
        let records = if at.secure {
            let name = rustls_pki_types::ServerName::try_from(at.host.to_owned())
                .map_err(|_| ConnectError::Url { url: url.clone(), reason: "the host is not a valid server name" })?;
            tls::client_handshake(Arc::clone(&endpoint.tls), name, &mut stream, &mut inbound)
                .map_err(|source| ConnectError::Tls { url: url.clone(), source })?
        } else {
            Records::Plain
        };
        let mut random = [0_u8; 24];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
            .expect("the system's random source");
        let nonce: [u8; 16] = random[..16].try_into().expect("sixteen bytes");
        let mask = u64::from_le_bytes(random[16..].try_into().expect("eight bytes")) | 1;
        let mut upgrading = tls::Stream::new(stream, records, inbound, SendBuf::new(OUTBOUND_BYTES));
        let host = if matches!(at.port, 80 | 443) { at.host.to_owned() } else { format!("{}:{}", at.host, at.port) };
        ws::client_handshake(&mut upgrading, &host, at.path, nonce, &[])
            .map_err(|source| ConnectError::Upgrade { url: url.clone(), source })?;
        let (stream, records, inbound, outbound) = upgrading.into_parts();
        stream.set_nonblocking(true).map_err(tcp)?;
        Ok(Self {
            socket: mio::net::TcpStream::from_std(stream),
            records,
            reader: WsReader::new(Role::Client, MESSAGE_MAX),
            inbound,
            framed: SendBuf::new(OUTBOUND_BYTES / 2),
            outbound,
            mask,
            name: url,
            heard_at: Nanos::ZERO,
        })
    }

    /// Puts the socket into the poll set.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn register(&mut self, registry: &mio::Registry, token: mio::Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, mio::Interest::READABLE | mio::Interest::WRITABLE)
    }

    /// Takes the socket out of the poll set; a socket that is already gone is fine.
    pub fn deregister(&mut self, registry: &mio::Registry) {
        let _ = registry.deregister(&mut self.socket);
    }

    /// One socket read and the opening of its records. Returns the bytes read, and whether the socket may hold more: a short read
    /// has emptied it.
    ///
    /// # Errors
    /// The connection is dead; what was opened before is still there to be handled.
    #[inline]
    pub fn receive(&mut self) -> Result<(usize, bool), LinkFault> {
        let space = self.inbound.space()?;
        let room = space.len();
        match self.socket.read(space) {
            Ok(0) => Err(LinkFault::Eof),
            Ok(n) => {
                self.inbound.filled(n);
                self.records.open(&mut self.inbound, &mut self.outbound)?;
                Ok((n, n == room))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((0, false)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok((0, true)),
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole data message as a range of `inbound`; pings are answered on the way.
    ///
    /// # Errors
    /// The connection is dead.
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<Range<usize>>, LinkFault> {
        while let Some(message) = self.reader.next(&mut self.inbound)? {
            match message.kind {
                Kind::Text | Kind::Binary => return Ok(Some(message.range)),
                Kind::Ping => self.pong(message.range)?,
                Kind::Pong => {}
                Kind::Close(code) => return Err(LinkFault::Closed { code: code.unwrap_or(1005) }),
            }
        }
        Ok(None)
    }

    fn pong(&mut self, range: Range<usize>) -> Result<(), LinkFault> {
        let mut payload = [0_u8; 125];
        let len = range.len();
        payload[..len].copy_from_slice(self.inbound.bytes(range));
        let mask = self.next_mask();
        ws::write_frame(Role::Client, ws::Opcode::Pong, &payload[..len], mask, &mut self.framed)?;
        self.flush()
    }

    /// Frames a text message; it leaves with the next [`Connection::flush`].
    ///
    /// # Errors
    /// The peer does not take what we send.
    #[inline]
    pub fn queue(&mut self, text: &[u8]) -> Result<(), LinkFault> {
        let mask = self.next_mask();
        Ok(ws::write_frame(Role::Client, ws::Opcode::Text, text, mask, &mut self.framed)?)
    }

    /// Seals everything queued into as few records as fit and offers it to the socket once.
    ///
    /// # Errors
    /// The connection is dead.
    #[inline]
    pub fn flush(&mut self) -> Result<(), LinkFault> {
        if !self.framed.is_empty() {
            self.records.seal(self.framed.pending(), &mut self.outbound)?;
            self.framed.consume(self.framed.pending().len());
        }
        while !self.outbound.is_empty() {
            match self.socket.write(self.outbound.pending()) {
                Ok(0) => return Err(LinkFault::Eof),
                Ok(n) => self.outbound.consume(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Bytes that the socket has not taken yet.
    #[must_use]
    pub fn unsent(&self) -> bool {
        !self.outbound.is_empty() || !self.framed.is_empty()
    }

    /// Says goodbye as far as the socket takes it; errors do not matter any more.
    pub fn close(&mut self) {
        let mask = self.next_mask();
        let _ = ws::write_frame(Role::Client, ws::Opcode::Close, &1000_u16.to_be_bytes(), mask, &mut self.framed);
        let _ = self.flush();
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Masks keep proxies from seeing chosen bytes; a xorshift from a random start is enough for that.
    fn next_mask(&mut self) -> [u8; 4] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 7;
        self.mask ^= self.mask << 17;
        ((self.mask >> 16) as u32).to_le_bytes()
    }
}

fn dial(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host}: no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_or_refused() {
        let at = address("wss://fstream.binance.com/public/stream?streams=a/b").unwrap();
        assert_eq!(
            (at.secure, at.host, at.port, at.path),
            (true, "fstream.binance.com", 443, "/public/stream?streams=a/b")
        );
        let at = address("ws://127.0.0.1:8080").unwrap();
        assert_eq!((at.secure, at.host, at.port, at.path), (false, "127.0.0.1", 8080, "/"));
        for wrong in ["https://x", "wss://:443/", "wss://host:x/"] {
            assert!(matches!(address(wrong), Err(ConnectError::Url { .. })), "{wrong}");
        }
    }
}
