use super::*;
use proptest::prelude::*;

/// The request, or `None` for each shorter prefix: a message is whole at its last byte and not before.
fn whole(text: &[u8]) -> Request<'_> {
    for at in 0..text.len() {
        assert_eq!(parse_request(&text[..at]), Ok(None), "at {at}");
    }
    let (request, size) = parse_request(text).unwrap().unwrap();
    assert_eq!(size, text.len());
    request
}

fn refused(text: &str) -> HttpError {
    parse_request(text.as_bytes()).expect_err(text)
}

#[test]
fn a_request_is_split_at_its_marks() {
    let request = whole(
        b"POST /fapi/v1/order?symbol=BTCUSDT&side=BUY HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY:  key \r\nContent-Length: 3\r\n\r\na=b",
    );
    assert_eq!((request.method, request.path, request.query), ("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY"));
    assert_eq!((request.header("x-mbx-apikey"), &*request.body), (Some("key"), &b"a=b"[..]));
    assert!(request.keep_alive && !request.expect_continue);
    assert_eq!(whole(b"GET https://host/a?b HTTP/1.1\r\n\r\n").path, "/a");
    assert_eq!(whole(b"GET /a?u=http://b HTTP/1.1\r\n\r\n").query, "u=http://b");
    assert!(!whole(b"GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n").keep_alive);
    assert!(!whole(b"GET / HTTP/1.0\r\n\r\n").keep_alive);
}

#[test]
fn chunks_are_joined_and_a_waiting_client_is_seen() {
    let text = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n";
    assert_eq!(&*whole(text).body, b"abc0123456789");
    let head = text.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (request, size) = parse_request_head(&text[..head]).unwrap().unwrap();
    assert_eq!((request.expect_continue, size), (true, head));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let post = |headers: &str, body: &str| refused(&format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n{body}"));
    assert_eq!(post("Content-Length: 1\r\nContent-Length: 2", ""), HttpError::ContentLength);
    assert_eq!(post("Content-Length: +1", ""), HttpError::ContentLength);
    assert_eq!(post("Content-Length: 1\r\nTransfer-Encoding: chunked", ""), HttpError::TransferEncoding);
    assert_eq!(post("Transfer-Encoding: gzip, chunked", ""), HttpError::TransferEncoding);
    assert_eq!(post("Transfer-Encoding: chunked", "3\r\nabcd\r\n"), HttpError::Chunk { at: 6 });
    assert_eq!(post("Transfer-Encoding: chunked", "-3\r\n"), HttpError::Chunk { at: 0 });
    assert_eq!(post("Transfer-Encoding: chunked", "fffffffff\r\n"), HttpError::Chunk { at: 0 });
    assert_eq!(post("A: b\r\n folded", ""), HttpError::Header { line: 2 });
    assert_eq!(post("A : b", ""), HttpError::Header { line: 1 });
    assert_eq!(post("A: b\r\nC: \u{1}", ""), HttpError::Header { line: 2 });
    assert_eq!(post("Content-Length: 1048577", ""), HttpError::BodyTooLong { length: 1_048_577, limit: 1_048_576 });
    assert_eq!(post("Transfer-Encoding: chunked", "100001\r\n").status(), 413);
    assert_eq!(post(&vec!["A: b"; 65].join("\r\n"), ""), HttpError::TooManyHeaders);
    assert_eq!(refused(&"x".repeat(HEAD_MAX)), HttpError::HeadTooLong);
    assert_eq!(refused("GET  / HTTP/1.1\r\n\r\n"), HttpError::RequestLine);
    assert_eq!(refused("GET x HTTP/1.1\r\n\r\n"), HttpError::RequestLine);
    assert_eq!(refused("GET / HTTP/2\r\n\r\n"), HttpError::Version);
    let not_utf8 = parse_request(b"GET / HTTP/1.1\r\nA: b\r\nC: \xff\r\n\r\n");
    assert_eq!(not_utf8, Err(HttpError::Header { line: 2 }));
}

#[test]
fn a_response_ends_by_length_chunks_or_the_connection() {
    let length = b"HTTP/1.1 429 Too Many\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\n{}rest";
    let (response, size) = parse_response(length, false).unwrap().unwrap();
    assert_eq!((response.status, response.header("retry-after"), size), (429, Some("5"), length.len() - 4));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(&*parse_response(chunked, false).unwrap().unwrap().0.body, b"{}");
    let open = b"HTTP/1.1 200\r\n\r\n{}";
    assert_eq!(parse_response(open, false), Ok(None));
    let (response, _) = parse_response(open, true).unwrap().unwrap();
    assert_eq!((&*response.body, response.keep_alive), (&b"{}"[..], false));
    assert_eq!(parse_response(&length[..length.len() - 5], true), Err(HttpError::Cut));
    assert_eq!(parse_response(b"HTTP/1.1 204 No Content\r\n\r\n", false).unwrap().unwrap().1, 27);
    assert_eq!(parse_response(b"HTTP/1.1 99 No\r\n\r\n", false), Err(HttpError::StatusLine));
}

#[test]
fn what_is_written_parses_back() {
    let mut out = Vec::new();
    write_request(&mut out, "POST", "/a?b=c", &[("Host", "h")], b"body");
    let request = whole(&out);
    assert_eq!((request.path, request.query, &*request.body), ("/a", "b=c", &b"body"[..]));
    let mut out = Vec::new();
    write_response(&mut out, 503, &[("A", "b")], b"");
    let (response, size) = parse_response(&out, false).unwrap().unwrap();
    assert_eq!((response.status, response.header("content-length"), size), (503, Some("0"), out.len()));
}

#[test]
#[should_panic(expected = "line break in an HTTP head")]
fn a_line_break_in_our_own_header_is_a_bug() {
    write_response(&mut Vec::new(), 200, &[("A", "b\r\nC: d")], b"");
}

#[test]
fn query_pairs_come_in_order() {
    let all: Vec<_> = pairs("symbol=BTCUSDT&&flag&x=1=2&empty=").collect();
    assert_eq!(all, [("symbol", "BTCUSDT"), ("flag", ""), ("x", "1=2"), ("empty", "")]);
    assert_eq!(decode_percent("a%20b+c%C3%A9").as_deref(), Some("a b cé"));
    for bad in ["%", "%4", "%zz", "%ff", "%+1"] {
        assert_eq!(decode_percent(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn percent_encoding_round_trips(text: String) {
        let mut out = Vec::new();
        encode_percent(&text, &mut out);
        let encoded = String::from_utf8(out).unwrap();
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        let decoded = decode_percent(&encoded).unwrap().into_owned();
        prop_assert_eq!(decoded, text);
    }

    /// Chunks cut anywhere are the body; a change of any byte is read or refused, never a panic.
    #[test]
    fn chunked_bodies_round_trip(chunks in prop::collection::vec("[a-z]{1,300}", 0..8), place: prop::sample::Index, byte: u8) {
        let mut text = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            text.extend(format!("{:x}\r\n{chunk}\r\n", chunk.len()).bytes());
        }
        text.extend(b"0\r\n\r\n");
        let (body, size) = parse_request(&text).unwrap().map(|(request, size)| (request.body.into_owned(), size)).unwrap();
        prop_assert_eq!(size, text.len());
        prop_assert_eq!(body, chunks.concat().into_bytes());
        let at = place.index(text.len());
        text[at] = byte;
        if let Ok(Some((_, size))) = parse_request(&text) {
            prop_assert!(size <= text.len());
        }
    }
}
