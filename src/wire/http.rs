//! HTTP/1.1 messages as bytes: parsed incrementally, written whole. Never a connection, never an automatic retry or redirect.
//!
//! Line ends are CRLF and a message has one length: what two parsers could read in two ways is an error (RFC 9112, section 6.3).

mod query;
mod write;

pub use query::{Pairs, decode_percent, encode_percent, pairs};
pub use write::{write_request, write_response, write_response_head};

use arrayvec::ArrayVec;
use std::borrow::Cow;

/// Most header lines of a message.
pub const HEADERS_MAX: usize = 64;
/// Most bytes of a head.
pub const HEAD_MAX: usize = 32 * 1024;
/// Most bytes of a request's body.
pub const REQUEST_BODY_MAX: usize = 1 << 20;
/// Most bytes of a response's body; the largest of a venue (`exchangeInfo`) is below 2 MiB.
pub const RESPONSE_BODY_MAX: usize = 32 << 20;

/// What is wrong with a message. The connection cannot be used further, as the next message's place is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The head is too long.
    #[error("HTTP head of more than {HEAD_MAX} bytes")]
    HeadTooLong,
    /// Too many headers.
    #[error("more than {HEADERS_MAX} HTTP headers")]
    TooManyHeaders,
    /// The first line of a request is not `METHOD /target HTTP/1.x`.
    #[error("malformed HTTP request line")]
    RequestLine,
    /// The first line of a response is not `HTTP/1.x STATUS reason`.
    #[error("malformed HTTP status line")]
    StatusLine,
    /// A version other than 1.0 and 1.1.
    #[error("HTTP version other than 1.0 and 1.1")]
    Version,
    /// A header line without a proper name, with control bytes, or folded.
    #[error("malformed HTTP header line {line}")]
    Header {
        /// Its number, the first header being 1.
        line: usize,
    },
    /// A length that is not a number, or two different ones.
    #[error("malformed or contradictory Content-Length")]
    ContentLength,
    /// A transfer coding other than `chunked`, or together with a length.
    #[error("unsupported Transfer-Encoding")]
    TransferEncoding,
    /// The body is longer than accepted.
    #[error("HTTP body of {length} bytes, the limit is {limit}")]
    BodyTooLong {
        /// Bytes announced or sent so far.
        length: usize,
        /// Most bytes accepted.
        limit: usize,
    },
    /// A chunk without a proper size or end.
    #[error("malformed HTTP chunk at byte {at} of the body")]
    Chunk {
        /// Offset in the body as sent.
        at: usize,
    },
    /// The connection ended inside the body.
    #[error("the connection ended inside an HTTP body")]
    Cut,
}

impl HttpError {
    /// The status that tells a client.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::HeadTooLong | Self::TooManyHeaders => 431,
            Self::BodyTooLong { .. } => 413,
            Self::TransferEncoding => 501,
            Self::Version => 505,
            _ => 400,
        }
    }
}

/// Header lines in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a>(ArrayVec<(&'a str, &'a str), HEADERS_MAX>);

impl<'a> Headers<'a> {
    /// The first header of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// True when the comma-separated list of that name has `token`, without case.
    #[must_use]
    pub fn has(&self, name: &str, token: &str) -> bool {
        self.iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// Name and value of each line.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.0.iter().copied()
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method as sent, such as `GET`.
    pub method: &'a str,
    /// The path, percent-encoded as sent.
    pub path: &'a str,
    /// What stands behind the first `?`, as sent; empty when there is none. Signatures are made over exactly these bytes.
    pub query: &'a str,
    /// The header lines.
    pub headers: Headers<'a>,
    /// The body; borrowed unless it came in chunks.
    pub body: Cow<'a, [u8]>,
    /// The connection stays open for another request.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
}

impl<'a> Request<'a> {
    /// The first header of that name, without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.find(name)
    }
    /// [`Headers::has`].
    #[must_use]
    pub fn header_has(&self, name: &str, token: &str) -> bool {
        self.headers.has(name, token)
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status, such as 200.
    pub status: u16,
    /// The header lines.
    pub headers: Headers<'a>,
    /// The body; borrowed unless it came in chunks.
    pub body: Cow<'a, [u8]>,
    /// The connection stays open for another request.
    pub keep_alive: bool,
}

impl<'a> Response<'a> {
    /// The first header of that name, without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.find(name)
    }
    /// [`Headers::has`].
    #[must_use]
    pub fn header_has(&self, name: &str, token: &str) -> bool {
        self.headers.has(name, token)
    }
}

/// How long a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    /// A response without a length lasts until the connection ends.
    UntilEnd,
}

/// The head of a request and its size; the body is empty. For a client that waits for `100 Continue`.
///
/// # Errors
/// A malformed or too large head.
pub fn parse_request_head(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, HttpError> {
    let Some((head, size)) = split_head(bytes)? else { return Ok(None) };
    let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HttpError::RequestLine);
    };
    if method.is_empty() || !method.bytes().all(is_token) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HttpError::RequestLine);
    }
    let minor = minor_version(version)?;
    // A proxy's form names the host again: `GET https://host/path`.
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    if !target.starts_with('/') && target != "*" {
        return Err(HttpError::RequestLine);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parse_headers(rest)?;
    let keep_alive = keep_alive(&headers, minor);
    let expect_continue = headers.has("expect", "100-continue");
    let request = Request { method, path, query, headers, body: Cow::Borrowed(&[]), keep_alive, expect_continue };
    Ok(Some((request, size)))
}

/// The request at the front of `bytes` and how many bytes it takes; `None` when it is not whole yet.
///
/// # Errors
/// A malformed or too large request.
pub fn parse_request(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, HttpError> {
    let Some((mut request, size)) = parse_request_head(bytes)? else { return Ok(None) };
    let framing = framing(&request.headers, Framing::Length(0))?;
    let Some((body, used)) = parse_body(&bytes[size..], framing, REQUEST_BODY_MAX, false)? else { return Ok(None) };
    request.body = body;
    Ok(Some((request, size + used)))
}

/// The head of a response and its size; the body is empty.
///
/// # Errors
/// A malformed or too large head.
pub fn parse_response_head(bytes: &[u8]) -> Result<Option<(Response<'_>, usize)>, HttpError> {
    let Some((head, size)) = split_head(bytes)? else { return Ok(None) };
    let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let (version, line) = line.split_once(' ').ok_or(HttpError::StatusLine)?;
    let minor = minor_version(version)?;
    let digits = line.split(' ').next().unwrap_or("");
    let status = match digits.parse() {
        Ok(status @ 100..=599) if digits.len() == 3 => status,
        _ => return Err(HttpError::StatusLine),
    };
    let headers = parse_headers(rest)?;
    let keep_alive = keep_alive(&headers, minor);
    Ok(Some((Response { status, headers, body: Cow::Borrowed(&[]), keep_alive }, size)))
}

/// The response at the front of `bytes` and how many bytes it takes; `None` when it is not whole yet. `ended` says that the
/// connection has ended, which is the only end of a response without a length. Not for answers to `HEAD`.
///
/// # Errors
/// A malformed or too large response, or one that the end of the connection cut.
pub fn parse_response(bytes: &[u8], ended: bool) -> Result<Option<(Response<'_>, usize)>, HttpError> {
    let Some((mut response, size)) = parse_response_head(bytes)? else {
        return if ended { Err(HttpError::Cut) } else { Ok(None) };
    };
    let framing = match response.status {
        100..=199 | 204 | 304 => Framing::Length(0),
        _ => framing(&response.headers, Framing::UntilEnd)?,
    };
    let Some((body, used)) = parse_body(&bytes[size..], framing, RESPONSE_BODY_MAX, ended)? else { return Ok(None) };
    response.keep_alive &= framing != Framing::UntilEnd;
    response.body = body;
    Ok(Some((response, size + used)))
}

/// The head without its blank line, and the size of both.
fn split_head(bytes: &[u8]) -> Result<Option<(&str, usize)>, HttpError> {
    let window = &bytes[..bytes.len().min(HEAD_MAX)];
    match window.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => {
            let head = &bytes[..at];
            let line = |head: &[u8]| head.iter().filter(|&&byte| byte == b'\n').count();
            let text =
                std::str::from_utf8(head).map_err(|e| HttpError::Header { line: line(&head[..e.valid_up_to()]) })?;
            Ok(Some((text, at + 4)))
        }
        None if bytes.len() >= HEAD_MAX => Err(HttpError::HeadTooLong),
        None => Ok(None),
    }
}

fn minor_version(text: &str) -> Result<u8, HttpError> {
    match text {
        "HTTP/1.1" => Ok(1),
        "HTTP/1.0" => Ok(0),
        _ => Err(HttpError::Version),
    }
}

/// RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

fn parse_headers(text: &str) -> Result<Headers<'_>, HttpError> {
    let mut headers = Headers::default();
    if text.is_empty() {
        return Ok(headers);
    }
    for (at, line) in text.split("\r\n").enumerate() {
        let bad = HttpError::Header { line: at + 1 };
        let (name, value) = line.split_once(':').ok_or(bad)?;
        if name.is_empty() || !name.bytes().all(is_token) || value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(bad);
        }
        headers.0.try_push((name, value.trim_matches([' ', '\t']))).map_err(|_| HttpError::TooManyHeaders)?;
    }
    Ok(headers)
}

fn keep_alive(headers: &Headers<'_>, minor: u8) -> bool {
    if minor == 0 { headers.has("connection", "keep-alive") } else { !headers.has("connection", "close") }
}

fn framing(headers: &Headers<'_>, default: Framing) -> Result<Framing, HttpError> {
    let (mut framing, mut length) = (default, None);
    for (name, value) in headers.iter() {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") || framing == Framing::Chunked {
                return Err(HttpError::TransferEncoding);
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let this = value.parse::<usize>().ok().filter(|_| digits).ok_or(HttpError::ContentLength)?;
            if length.is_some_and(|other| other != this) {
                return Err(HttpError::ContentLength);
            }
            length = Some(this);
        }
    }
    match (framing, length) {
        (Framing::Chunked, Some(_)) => Err(HttpError::TransferEncoding),
        (_, Some(length)) => Ok(Framing::Length(length)),
        (framing, None) => Ok(framing),
    }
}

type Body<'a> = (Cow<'a, [u8]>, usize);

fn parse_body(bytes: &[u8], framing: Framing, limit: usize, ended: bool) -> Result<Option<Body<'_>>, HttpError> {
    let bounded = |length: usize| if length > limit { Err(HttpError::BodyTooLong { length, limit }) } else { Ok(()) };
    let body = match framing {
        Framing::Length(length) => {
            bounded(length)?;
            bytes.get(..length).map(|body| (Cow::Borrowed(body), length))
        }
        Framing::Chunked => parse_chunks(bytes, limit)?.map(|(body, used)| (Cow::Owned(body), used)),
        Framing::UntilEnd => {
            bounded(bytes.len())?;
            ended.then_some((Cow::Borrowed(bytes), bytes.len()))
        }
    };
    if body.is_none() && ended { Err(HttpError::Cut) } else { Ok(body) }
}

/// Joins chunks (RFC 9112, section 7.1). Extensions are skipped, trailers dropped.
fn parse_chunks(bytes: &[u8], limit: usize) -> Result<Option<(Vec<u8>, usize)>, HttpError> {
    /// A size line with its extensions, or a trailer line.
    const LINE_MAX: usize = 4096;
    let line = |from: usize| -> Result<Option<(&[u8], usize)>, HttpError> {
        let rest = &bytes[from..];
        match rest.windows(2).take(LINE_MAX).position(|two| two == b"\r\n") {
            Some(length) => Ok(Some((&rest[..length], from + length + 2))),
            None if rest.len() > LINE_MAX => Err(HttpError::Chunk { at: from }),
            None => Ok(None),
        }
    };
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some((text, start)) = line(at)? else { return Ok(None) };
        let digits = text.split(|&byte| byte == b';').next().unwrap_or(&[]).trim_ascii_end();
        let length = parse_hex(digits).ok_or(HttpError::Chunk { at })?;
        if length > limit - body.len() {
            return Err(HttpError::BodyTooLong { length: body.len().saturating_add(length), limit });
        }
        if length == 0 {
            at = start;
            break;
        }
        let Some(chunk) = bytes.get(start..start + length + 2) else { return Ok(None) };
        let data = chunk.strip_suffix(b"\r\n").ok_or(HttpError::Chunk { at: start + length })?;
        body.extend_from_slice(data);
        at = start + length + 2;
    }
    for _ in 0..=HEADERS_MAX {
        let Some((trailer, next)) = line(at)? else { return Ok(None) };
        at = next;
        if trailer.is_empty() {
            return Ok(Some((body, at)));
        }
    }
    Err(HttpError::TooManyHeaders)
}

fn parse_hex(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)? as usize))
}

#[cfg(test)]
mod tests;
