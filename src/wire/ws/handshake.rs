//! The upgrade from HTTP/1.1 (RFC 6455, section 4). The client's reader stops at the blank line, so no byte of a frame is lost.

use super::WsError;
use crate::wire::http::{self, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};
use tungstenite::handshake::derive_accept_key;

/// Largest answer head accepted.
const HEAD_MAX: usize = 16 * 1024;
/// How much of a refusal's body is kept for the error.
const BODY_MAX: usize = 512;

/// Upgrades a blocking byte stream. `host` as it stands in the `Host` header (with a port that is not the scheme's own), `path`
/// with its query, `nonce` fresh and random. Reads byte by byte up to the blank line: give it a stream with a buffer below.
///
/// # Errors
/// The stream failed, or the server did not answer with a proper 101.
pub fn client_handshake<S: Read + Write>(
    io: &mut S,
    host: &str,
    path: &str,
    nonce: [u8; 16],
    headers: &[(&str, &str)],
) -> Result<(), WsError> {
    let key = STANDARD.encode(nonce);
    let mut all = vec![
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", &key),
    ];
    all.extend_from_slice(headers);
    let mut request = Vec::new();
    http::write_request(&mut request, "GET", path, &all, b"");
    io.write_all(&request)?;
    io.flush()?;

    let head = read_head(io)?;
    let (response, size) = match http::parse_response_head(&head) {
        Ok(Some(parsed)) => parsed,
        Ok(None) | Err(_) => return Err(WsError::BadAnswer("not an HTTP/1.1 response")),
    };
    debug_assert_eq!(size, head.len());
    if response.status != 101 {
        let announced = response.header("content-length").and_then(|text| text.parse().ok());
        let body = read_some(io, announced.unwrap_or(0).min(BODY_MAX));
        return Err(WsError::Status { status: response.status, body });
    }
    if !response.header_has("upgrade", "websocket") || !response.header_has("connection", "upgrade") {
        return Err(WsError::BadAnswer("status 101 without `Upgrade: websocket` and `Connection: Upgrade`"));
    }
    if response.header("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(WsError::BadAnswer("`Sec-WebSocket-Accept` does not answer our key"));
    }
    if response.header("sec-websocket-extensions").is_some() {
        return Err(WsError::BadAnswer("an extension that was not offered"));
    }
    Ok(())
}

fn read_head<S: Read>(io: &mut S) -> Result<Vec<u8>, WsError> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_MAX {
            return Err(WsError::BadAnswer("more than 16 KiB of headers"));
        }
        let mut byte = [0];
        if io.read(&mut byte)? == 0 {
            return Err(WsError::BadAnswer("the connection ended before the blank line"));
        }
        head.push(byte[0]);
    }
    Ok(head)
}

/// Up to `most` bytes as text; whatever stops the reading, the status is the error that matters.
fn read_some<S: Read>(io: &mut S, most: usize) -> String {
    let mut body = Vec::new();
    let _ = io.take(most as u64).read_to_end(&mut body);
    String::from_utf8_lossy(&body).into_owned()
}

/// The answer to an upgrade request, as the bytes to send. Extensions and sub-protocols are not accepted.
///
/// # Errors
/// The request is not a WebSocket upgrade of version 13.
pub fn server_accept(request: &Request<'_>) -> Result<Vec<u8>, WsError> {
    if request.method != "GET" {
        return Err(WsError::BadRequest("the method is not GET"));
    }
    if !request.header_has("upgrade", "websocket") || !request.header_has("connection", "upgrade") {
        return Err(WsError::BadRequest("no `Upgrade: websocket` with `Connection: Upgrade`"));
    }
    if request.header("sec-websocket-version") != Some("13") {
        return Err(WsError::BadRequest("`Sec-WebSocket-Version` is not 13"));
    }
    let key = request.header("sec-websocket-key").ok_or(WsError::BadRequest("no `Sec-WebSocket-Key`"))?;
    if STANDARD.decode(key).map(|nonce| nonce.len()) != Ok(16) {
        return Err(WsError::BadRequest("`Sec-WebSocket-Key` is not 16 bytes in base64"));
    }
    let accept = derive_accept_key(key.as_bytes());
    let mut out = Vec::new();
    http::write_response_head(
        &mut out,
        101,
        &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", &accept)],
    );
    Ok(out)
}
