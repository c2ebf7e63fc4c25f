//! Writing messages. Header names and values are ours: a line break in one is a bug and panics rather than splits the message.

use crate::wire::json::write_u64;

/// Appends a request. `Content-Length` is written where there is a body; `Host` and the rest are the caller's.
///
/// # Panics
/// A line break in the method, target or a header.
pub fn write_request(out: &mut Vec<u8>, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
    no_line_break(method);
    no_line_break(target);
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_headers(out, headers);
    if !body.is_empty() {
        write_length(out, body.len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Appends a response with its body and `Content-Length`.
///
/// # Panics
/// A line break in a header, or a status outside 100 to 599.
pub fn write_response(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)], body: &[u8]) {
    write_status(out, status);
    write_headers(out, headers);
    write_length(out, body.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Appends a response that has no body and no length: an upgrade, or `100 Continue`.
///
/// # Panics
/// As [`write_response`].
pub fn write_response_head(out: &mut Vec<u8>, status: u16, headers: &[(&str, &str)]) {
    write_status(out, status);
    write_headers(out, headers);
    out.extend_from_slice(b"\r\n");
}

fn write_status(out: &mut Vec<u8>, status: u16) {
    assert!((100..600).contains(&status), "no HTTP status: {status}");
    out.extend_from_slice(b"HTTP/1.1 ");
    write_u64(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_headers(out: &mut Vec<u8>, headers: &[(&str, &str)]) {
    for &(name, value) in headers {
        no_line_break(name);
        no_line_break(value);
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(b"Content-Length: ");
    write_u64(length as u64, out);
    out.extend_from_slice(b"\r\n");
}

fn no_line_break(text: &str) {
    assert!(!text.contains(['\r', '\n']), "line break in an HTTP head: {text:?}");
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        418 => "I'm a teapot",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
