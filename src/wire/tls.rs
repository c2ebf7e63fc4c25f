//! TLS 1.3 and 1.2 as bytes in, bytes out: `rustls` shakes hands and checks certificates, then records are opened and sealed
//! in place without allocating. Never a socket of its own, never a connection without certificate verification.
//!
//! The facade is [`Records`]: once the handshake gave one, a thread that polls a socket needs only `open` and `seal`.

mod config;
mod handshake;
mod record;
mod stream;

pub use config::{Roots, client_config, self_signed, server_config};
pub use handshake::{ClientHandshake, ServerHandshake, client_handshake, server_accept};
pub use record::TlsRecords;
pub use stream::Stream;

use super::buf::{RecvBuf, RecvFull, SendBuf, SendFull};

/// What went wrong on a TLS connection. Each is final for the connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The byte stream below failed (blocking handshakes only).
    #[error("the connection failed during the TLS handshake: {0}")]
    Io(#[from] std::io::Error),
    /// The handshake failed: certificate, name, version, cipher suite, or a peer that breaks the protocol.
    #[error("TLS handshake failed: {0}")]
    Handshake(#[from] rustls::Error),
    /// The peer closed the connection before the handshake was complete.
    #[error("the peer closed the connection during the TLS handshake")]
    HandshakeCut,
    /// Data where the handshake allows none.
    #[error("the peer sent data before the TLS handshake was complete")]
    EarlyData,
    /// A record or message is larger than the receive buffer.
    #[error(transparent)]
    RecvFull(#[from] RecvFull),
    /// A record does not fit the send buffer.
    #[error(transparent)]
    SendFull(#[from] SendFull),
    /// A certificate or key file cannot be used.
    #[error("{what}: {why}")]
    Pem {
        /// Which file or part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Not the record version of TLS 1.2 and 1.3.
    #[error("TLS record with version {0:#06x}, expected 0x0303")]
    RecordVersion(u16),
    /// A record type that is not allowed after the handshake.
    #[error("TLS record of type {0} after the handshake")]
    RecordType(u8),
    /// The sealed record is longer than the protocol allows.
    #[error("TLS record of {length} bytes, the limit is {limit}")]
    RecordTooLong {
        /// Length in its header.
        length: usize,
        /// Largest length allowed.
        limit: usize,
    },
    /// The sealed record is shorter than its own overhead.
    #[error("TLS record of {length} bytes, shorter than its overhead of {least}")]
    RecordTooShort {
        /// Length in its header.
        length: usize,
        /// Smallest length possible.
        least: usize,
    },
    /// The record does not authenticate: corrupted, forged, out of order or sealed with another key.
    #[error("TLS record {seq} does not authenticate")]
    BadRecord {
        /// Its place in the sequence of records since the last key change.
        seq: u64,
    },
    /// An opened record holds more than 2^14 bytes.
    #[error("TLS record with {length} bytes of plaintext, the limit is 16384")]
    PlaintextTooLong {
        /// Bytes of plaintext.
        length: usize,
    },
    /// A TLS 1.3 record that is all padding has no content type.
    #[error("TLS record without a content type")]
    NoContentType,
    /// A content type that is not allowed after the handshake.
    #[error("TLS content of type {0} after the handshake")]
    Content(u8),
    /// A handshake message that is not allowed after the handshake (renegotiation among them).
    #[error("TLS handshake message of type {0} after the handshake")]
    HandshakeMessage(u8),
    /// A handshake message longer than any that is allowed here.
    #[error("TLS handshake message of {length} bytes, the limit is {limit}")]
    HandshakeTooLong {
        /// Length in its header.
        length: usize,
        /// Largest length accepted.
        limit: usize,
    },
    /// Other content stands between the pieces of a handshake message.
    #[error("TLS handshake message interrupted by other content")]
    HandshakeInterrupted,
    /// A key update that is malformed or not the last message of its record.
    #[error("malformed TLS key update")]
    KeyUpdate,
    /// Many key updates in a row without any data.
    #[error("more than {0} TLS key updates without data between them")]
    KeyUpdateFlood(u32),
    /// Many empty records in a row.
    #[error("more than {0} empty TLS records in a row")]
    EmptyFlood(u32),
    /// Many warnings in a row (TLS 1.2).
    #[error("more than {0} TLS warnings in a row")]
    WarningFlood(u32),
    /// An alert that is not two bytes.
    #[error("malformed TLS alert")]
    BadAlert,
    /// The peer ended the connection with an alert.
    #[error("the peer ended the TLS connection with alert {description} ({name})", name = alert_name(*description))]
    Alert {
        /// The alert's number.
        description: u8,
    },
    /// The peer closed its side in good order. Plaintext opened before stays readable.
    #[error("the peer closed the TLS connection")]
    Closed,
    /// The key has protected as many records as it may and cannot be changed (TLS 1.2).
    #[error("the TLS key has been used for {0} records and must not be used further")]
    KeyExhausted(u64),
    /// The connection failed before, or its sending side was closed.
    #[error("the TLS connection ended before")]
    Ended,
}

impl TlsError {
    /// The alert that tells the peer about this error; `None` where it should not or cannot be told.
    fn alert(&self) -> Option<u8> {
        Some(match self {
            Self::RecordVersion(_) => 70,
            Self::RecordType(_)
            | Self::NoContentType
            | Self::Content(_)
            | Self::HandshakeMessage(_)
            | Self::HandshakeInterrupted
            | Self::KeyUpdateFlood(_)
            | Self::EmptyFlood(_)
            | Self::WarningFlood(_) => 10,
            Self::RecordTooLong { .. } | Self::PlaintextTooLong { .. } => 22,
            Self::RecordTooShort { .. } | Self::BadRecord { .. } => 20,
            Self::HandshakeTooLong { .. } | Self::BadAlert => 50,
            Self::KeyUpdate => 47,
            _ => return None,
        })
    }
}

/// Names of the alerts that occur in practice (RFC 8446, section 6).
fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        90 => "user_canceled",
        112 => "unrecognized_name",
        116 => "certificate_required",
        _ => "unnamed",
    }
}

/// The layer between a socket and the protocol above: TLS, or nothing for `ws://` and `http://` on loopback.
pub enum Records {
    /// Bytes pass as they are.
    Plain,
    /// TLS records.
    Tls(Box<TlsRecords>),
}

impl Records {
    /// Opens every whole record that is in `buf`; the plaintext is contiguous behind what was pending. Answers of the protocol
    /// itself (key update, alert) are appended to `reply`. Does not allocate, except for a key update.
    ///
    /// # Errors
    /// Any fault of the peer, and [`TlsError::Closed`] for an orderly end. What was opened before the error stays readable.
    #[inline]
    pub fn open(&mut self, buf: &mut RecvBuf, reply: &mut SendBuf) -> Result<(), TlsError> {
        match self {
            Self::Plain => {
                buf.raw_is_plain();
                Ok(())
            }
            Self::Tls(tls) => tls.open(buf, reply),
        }
    }

    /// Appends `plain` to `out`, sealed into as many records as it needs. Does not allocate, except when a key is worn out and a
    /// new one is announced (every 16 million records).
    ///
    /// # Errors
    /// `out` has too little room (nothing was written), or the connection has ended.
    #[inline]
    pub fn seal(&mut self, plain: &[u8], out: &mut SendBuf) -> Result<(), TlsError> {
        match self {
            Self::Plain => Ok(out.write(plain)?),
            Self::Tls(tls) => tls.seal(plain, out),
        }
    }

    /// Announces the end of what we send. Nothing can be sealed afterwards.
    ///
    /// # Errors
    /// As [`Records::seal`].
    pub fn close(&mut self, out: &mut SendBuf) -> Result<(), TlsError> {
        match self {
            Self::Plain => Ok(()),
            Self::Tls(tls) => tls.close(out),
        }
    }
}

#[cfg(test)]
mod tests;
