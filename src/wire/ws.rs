//! WebSocket (RFC 6455), both roles, over byte buffers: frames are read, unmasked and joined in place. No extension is offered or
//! accepted. Never answers by itself: pings and closes are messages, and the caller writes the reply.

mod handshake;

pub use handshake::{client_handshake, server_accept};

use super::buf::{RecvBuf, SendBuf, SendFull};
use std::ops::Range;

/// Which end of the connection we are. A client masks what it sends, a server does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We opened the connection.
    Client,
    /// We accepted it.
    Server,
}

/// What a frame is (RFC 6455, section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further piece of a message.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Answer it with a pong of the same payload.
    Ping = 9,
    /// The answer to a ping, or unasked.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// What a peer can do wrong. Each is final for the connection; [`WsError::close_code`] is what to tell it.
#[derive(Debug, thiserror::Error)]
pub enum WsError {
    /// The byte stream failed during the upgrade.
    #[error("the connection failed during the WebSocket upgrade: {0}")]
    Io(#[from] std::io::Error),
    /// The upgrade was refused.
    #[error("the WebSocket upgrade was refused with HTTP status {status}: {body}")]
    Status {
        /// HTTP status.
        status: u16,
        /// The beginning of the body, as far as it came with the head.
        body: String,
    },
    /// The answer to the upgrade is not one.
    #[error("bad answer to the WebSocket upgrade: {0}")]
    BadAnswer(&'static str),
    /// A request that is not an upgrade, or not one we understand.
    #[error("bad WebSocket upgrade request: {0}")]
    BadRequest(&'static str),
    /// A reserved bit is set though no extension was agreed.
    #[error("WebSocket frame with reserved bits {0:#05b}")]
    ReservedBits(u8),
    /// An opcode that does not exist.
    #[error("WebSocket frame with unknown opcode {0}")]
    Opcode(u8),
    /// A client's frame without a mask.
    #[error("WebSocket frame from a client without a mask")]
    NotMasked,
    /// A server's frame with a mask.
    #[error("WebSocket frame from a server with a mask")]
    Masked,
    /// A length that would fit a shorter form.
    #[error("WebSocket length {0} not in its shortest form")]
    LengthForm(u64),
    /// The message is larger than allowed.
    #[error("WebSocket message of at least {length} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes the peer announced or sent.
        length: u64,
        /// Largest message accepted.
        limit: u64,
    },
    /// A control frame with more than 125 bytes.
    #[error("WebSocket control frame of {0} bytes, the limit is 125")]
    ControlTooLong(u64),
    /// A control frame in pieces.
    #[error("WebSocket control frame in fragments")]
    ControlFragmented,
    /// A continuation without a beginning.
    #[error("WebSocket continuation frame without a message to continue")]
    NothingToContinue,
    /// A new message before the end of the last.
    #[error("WebSocket data frame inside a fragmented message")]
    Interleaved,
    /// A close payload of one byte.
    #[error("WebSocket close frame with half a code")]
    CloseLength,
    /// A close code that must not be sent.
    #[error("WebSocket close frame with invalid code {0}")]
    CloseCode(u16),
    /// Text or a close reason that is not UTF-8.
    #[error("WebSocket text is not UTF-8 from byte {0} on")]
    Utf8(usize),
}

impl WsError {
    /// The close code that names this error to the peer.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::TooLong { .. } => 1009,
            Self::Utf8(_) => 1007,
            _ => 1002,
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text; UTF-8 only if the reader checks it.
    Text,
    /// Bytes.
    Binary,
    /// To be answered by a pong of the same payload.
    Ping,
    /// An answer to a ping.
    Pong,
    /// The end, with the code if there is one; the payload is the reason. Nothing is read behind it.
    Close(Option<u16>),
}

/// A whole message in the receive buffer, unmasked. It is already consumed; its bytes stay until the next `WsReader::next` or
/// `RecvBuf::space`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Where its payload lies: for [`RecvBuf::bytes_mut`] and [`RecvBuf::with_spare`].
    pub range: Range<usize>,
}

/// A frame's header.
struct Header {
    fin: bool,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    /// Bytes of the header itself.
    size: usize,
    length: u64,
}

/// Reads messages out of the plaintext of a [`RecvBuf`].
pub struct WsReader {
    role: Role,
    limit: u64,
    check_text: bool,
    /// The fragmented message being joined: its first frame's opcode.
    joining: Option<Opcode>,
    /// Bytes joined so far; they lie at the front of the plaintext.
    held: usize,
    /// Bytes between them and the next frame: headers and control frames that are done with.
    gap: usize,
    closed: bool,
    /// Nothing above asks for more than a look at the next header.
    plain: bool,
}

impl WsReader {
    /// Reads as `role` (so the peer is the other one). A message may have `limit` bytes; the buffer must hold that and a header.
    #[must_use]
    pub fn new(role: Role, limit: usize) -> Self {
        let mut reader = Self {
            role,
            limit: limit as u64,
            check_text: false,
            joining: None,
            held: 0,
            gap: 0,
            closed: false,
            plain: false,
        };
        reader.plain = reader.is_plain();
        reader
    }

    /// Text messages must be UTF-8. Off by default: JSON decoders check what they use.
    #[must_use]
    pub fn check_text(mut self, check: bool) -> Self {
        self.check_text = check;
        self.plain = self.is_plain();
        self
    }

    /// The next whole message, or `None` when more bytes are needed or the peer has closed.
    ///
    /// # Errors
    /// What a peer can do wrong; the connection cannot go on.
    #[inline]
    pub fn next(&mut self, buf: &mut RecvBuf) -> Result<Option<Message>, WsError> {
        match self.whole(buf) {
            Some(message) => Ok(Some(message)),
            None => {
                let message = self.next_of_any_form(buf);
                self.plain = self.is_plain();
                message
            }
        }
    }

    /// A server's frames are due, none of a message in pieces, and nobody looks into them.
    const fn is_plain(&self) -> bool {
        matches!(self.role, Role::Client) && self.joining.is_none() && self.gap == 0 && !self.closed && !self.check_text
    }

    /// What nearly every frame of a server is: a message in one piece, text or bytes, of less than 64 KB, all of it there. `None` for
    /// anything else, right or wrong: nothing was consumed.
    #[inline]
    fn whole(&mut self, buf: &mut RecvBuf) -> Option<Message> {
        if !self.plain {
            return None;
        }
        let start = buf.plain_range().start;
        let bytes = buf.plain();
        let head = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        let kind = match head >> 24 {
            0x81 => Kind::Text,
            0x82 => Kind::Binary,
            _ => return None,
        };
        let (size, length, shortest) = match head >> 16 & 0xff {
            126 => (4, head & 0xffff, 126),
            length @ ..126 => (2, length, 0),
            _ => return None,
        };
        let whole = size + length;
        if length < shortest || whole > bytes.len() || length as u64 > self.limit {
            return None;
        }
        buf.consume(whole);
        Some(Message { kind, range: start + size..start + whole })
    }

    fn next_of_any_form(&mut self, buf: &mut RecvBuf) -> Result<Option<Message>, WsError> {
        loop {
            if self.closed {
                return Ok(None);
            }
            if self.gap > 0 {
                self.close_gap(buf);
            }
            let pending = buf.plain_range();
            let from = pending.start + self.held + self.gap;
            let Some(header) = parse_header(buf.bytes(from..pending.end), self.role)? else { return Ok(None) };
            self.check(&header, buf.capacity())?;
            let start = from + header.size;
            let end = start + header.length as usize;
            if end > pending.end {
                return Ok(None);
            }
            if let Some(mask) = header.mask {
                unmask(buf.bytes_mut(start..end), mask);
            }
            let range = if header.opcode.is_control() {
                if self.joining.is_some() {
                    self.gap += end - from;
                } else {
                    buf.consume(end - pending.start);
                }
                start..end
            } else if header.fin && self.joining.is_none() {
                buf.consume(end - pending.start);
                start..end
            } else {
                match self.join(buf, &header, start..end) {
                    Some(whole) => whole,
                    None => continue,
                }
            };
            return self.message(&header, range, buf).map(Some);
        }
    }

    fn check(&self, header: &Header, capacity: usize) -> Result<(), WsError> {
        let (length, fin) = (header.length, header.fin);
        if header.opcode.is_control() {
            if length > 125 {
                return Err(WsError::ControlTooLong(length));
            }
            return if fin { Ok(()) } else { Err(WsError::ControlFragmented) };
        }
        match (header.opcode, self.joining) {
            (Opcode::Continuation, None) => return Err(WsError::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(WsError::Interleaved),
            _ => {}
        }
        let limit = self.limit.min((capacity - header.size.min(capacity)) as u64);
        let length = length.saturating_add(self.held as u64);
        if length > limit {
            return Err(WsError::TooLong { length, limit });
        }
        Ok(())
    }

    /// Moves a fragment next to those before it. Returns the whole message with its last one.
    #[cold]
    fn join(&mut self, buf: &mut RecvBuf, header: &Header, payload: Range<usize>) -> Option<Range<usize>> {
        let first = buf.plain_range().start;
        if self.joining.is_none() {
            buf.consume(payload.start - first);
            self.joining = Some(header.opcode);
            self.held = payload.len();
            return None;
        }
        let (to, end) = (first + self.held, payload.end);
        self.held += payload.len();
        buf.move_bytes(payload, to);
        self.gap = end - first - self.held;
        if header.fin {
            let whole = first..first + self.held;
            buf.consume(self.held + self.gap);
            (self.held, self.gap) = (0, 0);
            return Some(whole);
        }
        None
    }

    /// Moves the held bytes up to the next frame once the gap is as large as they are, so that the gap never fills the buffer
    /// and all moves together cost no more than the bytes received.
    fn close_gap(&mut self, buf: &mut RecvBuf) {
        const WORTH_IT: usize = 256;
        if self.gap >= self.held.max(WORTH_IT) {
            let first = buf.plain_range().start;
            buf.move_bytes(first..first + self.held, first + self.gap);
            buf.consume(self.gap);
            self.gap = 0;
        }
    }

    fn message(&mut self, header: &Header, range: Range<usize>, buf: &RecvBuf) -> Result<Message, WsError> {
        let opcode = match header.opcode {
            Opcode::Continuation => self.joining.take().unwrap_or(Opcode::Continuation),
            opcode => opcode,
        };
        let kind = match opcode {
            Opcode::Text => {
                if self.check_text {
                    check_utf8(buf.bytes(range.clone()))?;
                }
                Kind::Text
            }
            Opcode::Ping => Kind::Ping,
            Opcode::Pong => Kind::Pong,
            Opcode::Close => return self.close(range, buf),
            Opcode::Binary | Opcode::Continuation => Kind::Binary,
        };
        Ok(Message { kind, range })
    }

    fn close(&mut self, range: Range<usize>, buf: &RecvBuf) -> Result<Message, WsError> {
        self.closed = true;
        let (code, reason) = match *buf.bytes(range.clone()) {
            [] => (None, range),
            [_] => return Err(WsError::CloseLength),
            [high, low, ..] => (Some(u16::from_be_bytes([high, low])), range.start + 2..range.end),
        };
        if let Some(code) = code
            && !is_close_code(code)
        {
            return Err(WsError::CloseCode(code));
        }
        check_utf8(buf.bytes(reason.clone()))?;
        Ok(Message { kind: Kind::Close(code), range: reason })
    }
}

fn check_utf8(bytes: &[u8]) -> Result<(), WsError> {
    std::str::from_utf8(bytes).map(drop).map_err(|error| WsError::Utf8(error.valid_up_to()))
}

/// Codes that may be sent (RFC 6455, section 7.4, and the IANA registry for 1012 to 1014).
const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The header at the front of `bytes`, or `None` when it is not whole yet. `role` is ours.
#[inline]
fn parse_header(bytes: &[u8], role: Role) -> Result<Option<Header>, WsError> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(WsError::ReservedBits(first >> 4 & 7));
    }
    let opcode = Opcode::from_bits(first & 15).ok_or(WsError::Opcode(first & 15))?;
    let masked = second & 0x80 != 0;
    match (role, masked) {
        (Role::Server, false) => return Err(WsError::NotMasked),
        (Role::Client, true) => return Err(WsError::Masked),
        _ => {}
    }
    let (length, least, size) = match second & 0x7f {
        126 => match rest.first_chunk() {
            Some(&bytes) => (u64::from(u16::from_be_bytes(bytes)), 126, 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(&bytes) => (u64::from_be_bytes(bytes), 1 << 16, 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 2),
    };
    if length < least {
        return Err(WsError::LengthForm(length));
    }
    let mask = if masked {
        match bytes.get(size..size + 4) {
            Some(mask) => Some([mask[0], mask[1], mask[2], mask[3]]),
            None => return Ok(None),
        }
    } else {
        None
    };
    let size = size + if masked { 4 } else { 0 };
    Ok(Some(Header { fin: first & 0x80 != 0, opcode, mask, size, length }))
}

/// Applies (or takes away) a mask, eight bytes at a time.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Largest header: two bytes, eight of length, four of mask.
pub const HEADER_MAX: usize = 14;

/// Appends one whole message as one frame. A client's frame is masked with `mask` (take it from a generator that the peer
/// cannot foresee), a server's is not.
///
/// # Errors
/// `out` has too little room; nothing was written.
///
/// # Panics
/// A control frame with more than 125 bytes.
pub fn write_frame(
    role: Role,
    opcode: Opcode,
    payload: &[u8],
    mask: [u8; 4],
    out: &mut SendBuf,
) -> Result<(), SendFull> {
    write_fragment(role, true, opcode, payload, mask, out)
}

/// Appends one frame that may be a piece of a message: the first has the message's opcode, the others are continuations, the last
/// has `fin`. Otherwise as [`write_frame`].
///
/// # Errors
/// As [`write_frame`].
///
/// # Panics
/// A control frame in pieces or with more than 125 bytes.
pub fn write_fragment(
    role: Role,
    fin: bool,
    opcode: Opcode,
    payload: &[u8],
    mask: [u8; 4],
    out: &mut SendBuf,
) -> Result<(), SendFull> {
    assert!(
        !opcode.is_control() || (fin && payload.len() <= 125),
        "a control frame is whole and has at most 125 bytes"
    );
    let mut header = [0; HEADER_MAX];
    let masked = role == Role::Client;
    header[0] = opcode as u8 | if fin { 0x80 } else { 0 };
    let mut size = match payload.len() {
        length @ 0..126 => {
            header[1] = length as u8;
            2
        }
        length @ 126..65_536 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        length => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    if masked {
        header[1] |= 0x80;
        header[size..size + 4].copy_from_slice(&mask);
        size += 4;
    }
    let frame = out.reserve(size + payload.len())?;
    frame[..size].copy_from_slice(&header[..size]);
    frame[size..].copy_from_slice(payload);
    if masked {
        unmask(&mut frame[size..], mask);
    }
    out.commit(size + payload.len());
    Ok(())
}

/// Appends a close frame.
///
/// # Errors
/// As [`write_frame`].
///
/// # Panics
/// A reason of more than 123 bytes, or a code that must not be sent.
pub fn write_close(role: Role, code: u16, reason: &str, mask: [u8; 4], out: &mut SendBuf) -> Result<(), SendFull> {
    assert!(is_close_code(code) && reason.len() <= 123, "close code {code} with {} bytes of reason", reason.len());
    let mut payload = [0; 125];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    write_frame(role, Opcode::Close, &payload[..2 + reason.len()], mask, out)
}

#[cfg(test)]
mod tests;
