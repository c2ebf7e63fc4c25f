//! A blocking `Read + Write` over [`Records`]: for handshakes of the layer above, REST calls and tests. Not for the hot path.

use super::{Records, TlsError};
use crate::wire::buf::{RecvBuf, SendBuf};
use std::io::{self, Read, Write};

/// A byte stream of plaintext over a blocking byte stream of records. Take it apart with [`Stream::into_parts`] to go on polling.
pub struct Stream<S> {
    io: S,
    records: Records,
    recv: RecvBuf,
    send: SendBuf,
}

impl<S: Read + Write> Stream<S> {
    /// Joins the parts of an established connection.
    pub fn new(io: S, records: Records, recv: RecvBuf, send: SendBuf) -> Self {
        Self { io, records, recv, send }
    }

    /// The parts; nothing that was received is lost.
    pub fn into_parts(self) -> (S, Records, RecvBuf, SendBuf) {
        (self.io, self.records, self.recv, self.send)
    }

    /// The stream below.
    pub fn io(&mut self) -> &mut S {
        &mut self.io
    }

    fn send_pending(&mut self) -> io::Result<()> {
        while !self.send.is_empty() {
            match self.io.write(self.send.pending())? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.send.consume(n),
            }
        }
        Ok(())
    }
}

fn other(error: TlsError) -> io::Error {
    io::Error::other(error)
}

impl<S: Read + Write> Read for Stream<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.recv.plain().is_empty() {
            let opened = self.records.open(&mut self.recv, &mut self.send);
            self.send_pending()?;
            if !self.recv.plain().is_empty() {
                break;
            }
            match opened {
                Ok(()) => {}
                Err(TlsError::Closed) => return Ok(0),
                Err(error) => return Err(other(error)),
            }
            match self.io.read(self.recv.space().map_err(io::Error::other)?)? {
                0 if matches!(self.records, Records::Plain) => return Ok(0),
                // Without a close_notify the end may be an attacker's.
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.recv.filled(n),
            }
        }
        let n = out.len().min(self.recv.plain().len());
        out[..n].copy_from_slice(&self.recv.plain()[..n]);
        self.recv.consume(n);
        Ok(n)
    }
}

impl<S: Read + Write> Write for Stream<S> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        self.send_pending()?;
        // Half of the buffer leaves room for any overhead of the records.
        let n = plain.len().min(self.send.capacity() / 2);
        self.records.seal(&plain[..n], &mut self.send).map_err(other)?;
        self.send_pending()?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()?;
        self.io.flush()
    }
}
