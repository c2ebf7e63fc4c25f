//! The handshake by `rustls`, driven record by record, so that nothing behind it is read by anyone but the record layer.

use super::record::TlsRecords;
use super::{Records, TlsError};
use crate::wire::buf::{RecvBuf, SendBuf};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus};
use rustls::{ClientConfig, ServerConfig};
use std::io::{Read, Write};
use std::sync::Arc;

/// What the handshake wants next, without the borrows of [`ConnectionState`].
enum Next {
    Again,
    Encoded(usize),
    NoRoom(usize),
    More,
    Established,
    Closed,
    EarlyData,
    Failed(rustls::Error),
}

fn next<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut SendBuf) -> Next {
    match status.state {
        Ok(ConnectionState::EncodeTlsData(mut data)) => match data.encode(out.space()) {
            Ok(n) => Next::Encoded(n),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => Next::NoRoom(required_size),
            Err(EncodeError::AlreadyEncoded) => Next::Again,
        },
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Next::Again
        }
        Ok(ConnectionState::BlockedHandshake) => Next::More,
        Ok(ConnectionState::WriteTraffic(_)) => Next::Established,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Next::Closed,
        Ok(_) => Next::EarlyData,
        Err(error) => Next::Failed(error),
    }
}

/// The two connection types of `rustls` have the same methods but no trait.
trait Connection {
    type Data;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn is_handshaking(&self) -> bool;
    fn into_records(self) -> Result<TlsRecords, TlsError>;
}

impl Connection for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
    fn is_handshaking(&self) -> bool {
        (**self).is_handshaking()
    }
    fn into_records(self) -> Result<TlsRecords, TlsError> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        TlsRecords::client(secrets, kernel)
    }
}

impl Connection for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
    fn is_handshaking(&self) -> bool {
        (**self).is_handshaking()
    }
    fn into_records(self) -> Result<TlsRecords, TlsError> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        TlsRecords::server(secrets, kernel)
    }
}

struct Handshake<C> {
    /// `None` once it is over, well or not.
    connection: Option<C>,
    /// Raw bytes shown to `rustls` that it has not let go: pieces of a message that spans records.
    shown: usize,
}

impl<C: Connection> Handshake<C> {
    fn feed(&mut self, buf: &mut RecvBuf, out: &mut SendBuf) -> Result<Option<Records>, TlsError> {
        let mut connection = self.connection.take().ok_or(TlsError::Ended)?;
        loop {
            let status = connection.process(buf.raw_mut(self.shown));
            let discard = status.discard;
            let next = next(status, out);
            buf.skip_raw(discard);
            self.shown -= discard;
            match next {
                Next::Again => {}
                Next::Encoded(n) => out.commit(n),
                Next::NoRoom(needed) => out.reserve(needed).map(drop)?,
                Next::Established if !connection.is_handshaking() => {
                    return Ok(Some(Records::Tls(Box::new(connection.into_records()?))));
                }
                Next::More | Next::Established => {
                    if !self.show_record(buf) {
                        self.connection = Some(connection);
                        return Ok(None);
                    }
                }
                Next::Closed => return Err(TlsError::HandshakeCut),
                Next::EarlyData => return Err(TlsError::EarlyData),
                Next::Failed(error) => {
                    // The alert that tells the peer waits in the failed connection. It comes before anything else is read.
                    let status = connection.process(buf.raw_mut(self.shown));
                    if let Next::Encoded(n) = self::next(status, out) {
                        out.commit(n);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Shows one more whole record, if there is one.
    fn show_record(&mut self, buf: &RecvBuf) -> bool {
        let [_, _, _, high, low, ..] = buf.raw()[self.shown..] else { return false };
        let whole = self.shown + 5 + usize::from(u16::from_be_bytes([high, low]));
        let there = buf.raw().len() >= whole;
        if there {
            self.shown = whole;
        }
        there
    }
}

/// The client's side of a handshake on a connection that must not block.
pub struct ClientHandshake(Handshake<UnbufferedClientConnection>);

impl ClientHandshake {
    /// Begins; the first [`ClientHandshake::feed`] writes the hello.
    ///
    /// # Errors
    /// The configuration does not allow a connection.
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self(Handshake { connection: Some(connection), shown: 0 }))
    }

    /// Takes what is in `buf`, writes what must be sent to `out`. `None`: more bytes are needed. What is in `out` must be sent even
    /// when it is over, also after an error.
    ///
    /// # Errors
    /// The handshake failed; it cannot be continued.
    pub fn feed(&mut self, buf: &mut RecvBuf, out: &mut SendBuf) -> Result<Option<Records>, TlsError> {
        self.0.feed(buf, out)
    }
}

/// The server's side of a handshake on a connection that must not block.
pub struct ServerHandshake(Handshake<UnbufferedServerConnection>);

impl ServerHandshake {
    /// Begins.
    ///
    /// # Errors
    /// The configuration does not allow a connection.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self(Handshake { connection: Some(connection), shown: 0 }))
    }

    /// As [`ClientHandshake::feed`].
    ///
    /// # Errors
    /// The handshake failed; it cannot be continued.
    pub fn feed(&mut self, buf: &mut RecvBuf, out: &mut SendBuf) -> Result<Option<Records>, TlsError> {
        self.0.feed(buf, out)
    }
}

/// The server's flight with a long certificate chain, and room to spare.
const FLIGHT: usize = 64 * 1024;

/// Shakes hands as client over a blocking byte stream. Bytes that came behind the handshake stay in `buf`.
///
/// # Errors
/// The stream or the handshake failed.
pub fn client_handshake<S: Read + Write>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: &mut S,
    buf: &mut RecvBuf,
) -> Result<Records, TlsError> {
    let mut handshake = ClientHandshake::new(config, name)?;
    drive(io, buf, |buf, out| handshake.feed(buf, out))
}

/// Shakes hands as server over a blocking byte stream. Bytes that came behind the handshake stay in `buf`.
///
/// # Errors
/// The stream or the handshake failed.
pub fn server_accept<S: Read + Write>(
    config: Arc<ServerConfig>,
    io: &mut S,
    buf: &mut RecvBuf,
) -> Result<Records, TlsError> {
    let mut handshake = ServerHandshake::new(config)?;
    drive(io, buf, |buf, out| handshake.feed(buf, out))
}

fn drive<S: Read + Write>(
    io: &mut S,
    buf: &mut RecvBuf,
    mut feed: impl FnMut(&mut RecvBuf, &mut SendBuf) -> Result<Option<Records>, TlsError>,
) -> Result<Records, TlsError> {
    let mut out = SendBuf::new(FLIGHT);
    loop {
        let step = feed(buf, &mut out);
        let sent = io.write_all(out.pending()).and_then(|()| io.flush());
        out.consume(out.pending().len());
        match step {
            Ok(Some(records)) => {
                sent?;
                return Ok(records);
            }
            Ok(None) => sent?,
            Err(error) => return Err(error),
        }
        match io.read(buf.space()?)? {
            0 => return Err(TlsError::HandshakeCut),
            n => buf.filled(n),
        }
    }
}
