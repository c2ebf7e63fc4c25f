use super::*;
use crate::wire::http::parse_request;
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{self, WebSocketConfig};
use tungstenite::{Message as Theirs, WebSocket};

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

fn buf(bytes: &[u8]) -> RecvBuf {
    let mut buf = RecvBuf::new(1 << 18);
    buf.feed(bytes).unwrap();
    buf.raw_is_plain();
    buf
}

/// What a client reads from these bytes.
fn read(bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, WsError> {
    let (mut buf, mut reader) = (buf(bytes), WsReader::new(Role::Client, 1 << 17).check_text(true));
    let mut all = Vec::new();
    while let Some(message) = reader.next(&mut buf)? {
        all.push((message.kind, buf.bytes(message.range).to_vec()));
    }
    Ok(all)
}

fn error(bytes: &[u8]) -> String {
    read(bytes).expect_err("accepted").to_string()
}

fn frame(role: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = SendBuf::new(payload.len() + HEADER_MAX);
    write_fragment(role, fin, opcode, payload, MASK, &mut out).unwrap();
    out.pending().to_vec()
}

#[test]
fn frames_of_every_length_form_equal_tungstenite_in_both_directions() {
    for n in [0, 1, 7, 8, 125, 126, 127, 65_535, 65_536, 100_000] {
        let payload: Vec<u8> = (0..n).map(|i| i as u8).collect();
        for role in [Role::Client, Role::Server] {
            let ours = frame(role, true, Opcode::Binary, &payload);
            let mut header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
            header.mask = (role == Role::Client).then_some(MASK);
            let mut theirs = Vec::new();
            Frame::from_payload(header, payload.clone().into()).format(&mut theirs).unwrap();
            assert!(ours == theirs, "{role:?} {n}");

            let peer = if role == Role::Client { Role::Server } else { Role::Client };
            let (mut buf, mut reader) = (buf(&ours), WsReader::new(peer, 1 << 17));
            let message = reader.next(&mut buf).unwrap().unwrap();
            assert_eq!(message.kind, Kind::Binary);
            assert!(buf.bytes(message.range) == payload);
            assert!(buf.plain().is_empty());
        }
    }
}

#[test]
fn fragments_become_one_message_around_control_frames() {
    let mut bytes = frame(Role::Server, false, Opcode::Text, b"one ");
    bytes.extend(frame(Role::Server, true, Opcode::Ping, b"are you there"));
    bytes.extend(frame(Role::Server, false, Opcode::Continuation, b"two "));
    bytes.extend(frame(Role::Server, false, Opcode::Continuation, b""));
    bytes.extend(frame(Role::Server, true, Opcode::Pong, b""));
    bytes.extend(frame(Role::Server, true, Opcode::Continuation, b"three"));
    bytes.extend(frame(Role::Server, true, Opcode::Binary, b"next"));
    let wanted: Vec<(Kind, Vec<u8>)> = vec![
        (Kind::Ping, b"are you there".to_vec()),
        (Kind::Pong, vec![]),
        (Kind::Text, b"one two three".to_vec()),
        (Kind::Binary, b"next".to_vec()),
    ];
    assert_eq!(read(&bytes).unwrap(), wanted);
}

#[test]
fn endless_pings_inside_a_message_do_not_fill_the_buffer() {
    let mut recv = RecvBuf::new(4096);
    let mut reader = WsReader::new(Role::Client, 2048);
    let mut pings = 0;
    let mut take = |bytes: &[u8]| {
        recv.feed(bytes).unwrap();
        recv.raw_is_plain();
        let message = reader.next(&mut recv).unwrap()?;
        Some((message.kind, recv.bytes(message.range).to_vec()))
    };
    assert_eq!(take(&frame(Role::Server, false, Opcode::Text, &[b'a'; 1000])), None);
    for n in 0..1000_u32 {
        let payload = [&n.to_be_bytes()[..], &[0; 90]].concat();
        assert_eq!(take(&frame(Role::Server, true, Opcode::Ping, &payload)), Some((Kind::Ping, payload)));
        pings += 1;
    }
    let (kind, text) = take(&frame(Role::Server, true, Opcode::Continuation, &[b'b'; 1000])).unwrap();
    assert_eq!((kind, pings), (Kind::Text, 1000));
    assert_eq!(text, [[b'a'; 1000], [b'b'; 1000]].concat());
}

#[test]
fn each_breach_of_the_protocol_has_its_error() {
    assert_eq!(error(&[0xC1, 0]), "WebSocket frame with reserved bits 0b100");
    assert_eq!(error(&[0x83, 0]), "WebSocket frame with unknown opcode 3");
    assert_eq!(error(&[0x8B, 0]), "WebSocket frame with unknown opcode 11");
    assert_eq!(error(&[0x81, 0x80]), "WebSocket frame from a server with a mask");
    assert_eq!(error(&[0x81, 126, 0, 125]), "WebSocket length 125 not in its shortest form");
    assert_eq!(error(&[0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255]), "WebSocket length 65535 not in its shortest form");
    assert_eq!(
        error(&[0x82, 127, 0, 0, 0, 0, 0, 2, 0, 1]),
        "WebSocket message of at least 131073 bytes, the limit is 131072"
    );
    let endless = error(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(endless, "WebSocket message of at least 18446744073709551615 bytes, the limit is 131072");
    assert_eq!(error(&[0x89, 126, 0, 126]), "WebSocket control frame of 126 bytes, the limit is 125");
    assert_eq!(error(&[0x09, 0]), "WebSocket control frame in fragments");
    assert_eq!(error(&[0x80, 0]), "WebSocket continuation frame without a message to continue");
    assert_eq!(error(&[0x01, 0, 0x81, 0]), "WebSocket data frame inside a fragmented message");
    assert_eq!(error(&[0x88, 1, 3]), "WebSocket close frame with half a code");
    assert_eq!(error(&[0x88, 2, 3, 0xED]), "WebSocket close frame with invalid code 1005");
    assert_eq!(error(&[0x88, 3, 3, 0xE8, 0xFF]), "WebSocket text is not UTF-8 from byte 0 on");
    assert_eq!(error(&[0x81, 2, b'a', 0xC0]), "WebSocket text is not UTF-8 from byte 1 on");
    let client_without_mask = WsReader::new(Role::Server, 100).next(&mut buf(&[0x81, 0]));
    assert!(matches!(client_without_mask, Err(WsError::NotMasked)));
}

#[test]
fn fragments_count_together_against_the_limit() {
    let mut bytes = frame(Role::Server, false, Opcode::Text, &[b'a'; 60]);
    bytes.extend(frame(Role::Server, true, Opcode::Continuation, &[b'a'; 41]));
    let result = WsReader::new(Role::Client, 100).next(&mut buf(&bytes));
    assert!(matches!(result, Err(WsError::TooLong { length: 101, limit: 100 })));
    assert_eq!(result.unwrap_err().close_code(), 1009);
    // A limit beyond the buffer is the buffer: better refused at once than waited for in vain.
    let mut small = RecvBuf::new(64);
    small.feed(&[0x82, 100]).unwrap();
    small.raw_is_plain();
    assert!(matches!(
        WsReader::new(Role::Client, 1000).next(&mut small),
        Err(WsError::TooLong { length: 100, limit: 62 })
    ));
}

#[test]
fn close_codes_are_those_that_may_be_sent_and_nothing_is_read_behind() {
    for code in 0..=5100 {
        let bytes = [&[0x88, 5][..], &u16::to_be_bytes(code), b"bye", &[0x81, 0]].concat();
        // 1014 (bad gateway) is newer than tungstenite's table, but IANA lists it.
        let theirs = code == 1014 || tungstenite::protocol::frame::coding::CloseCode::from(code).is_allowed();
        match read(&bytes) {
            Ok(all) => assert_eq!((all, theirs), (vec![(Kind::Close(Some(code)), b"bye".to_vec())], true)),
            Err(WsError::CloseCode(bad)) => assert_eq!((bad, theirs), (code, false)),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(read(&[0x88, 0]).unwrap(), [(Kind::Close(None), vec![])]);
    let mut out = SendBuf::new(64);
    write_close(Role::Server, 1001, "see you", MASK, &mut out).unwrap();
    assert_eq!(read(out.pending()).unwrap(), [(Kind::Close(Some(1001)), b"see you".to_vec())]);
}

/// Reads canned bytes, keeps what is written.
struct Script {
    answer: Cursor<Vec<u8>>,
    asked: Vec<u8>,
}

impl Read for Script {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.answer.read(out)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.asked.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn upgrade(answer: &[u8]) -> (Result<(), WsError>, Script) {
    let mut io = Script { answer: Cursor::new(answer.to_vec()), asked: Vec::new() };
    let result = client_handshake(&mut io, "localhost:1", "/ws?x=1", *b"0123456789abcdef", &[("X-Key", "k")]);
    (result, io)
}

#[test]
fn our_client_and_server_agree_and_no_byte_behind_the_upgrade_is_lost() {
    let (cut, io) = upgrade(b"");
    assert!(matches!(cut, Err(WsError::BadAnswer("the connection ended before the blank line"))));
    let (request, size) = parse_request(&io.asked).unwrap().unwrap();
    assert_eq!((request.path, request.query, request.header("x-key"), size), ("/ws", "x=1", Some("k"), io.asked.len()));
    let mut answer = server_accept(&request).unwrap();
    answer.extend(b"\x81\x02hi");
    let (result, mut io) = upgrade(&answer);
    result.unwrap();
    let mut behind = Vec::new();
    io.read_to_end(&mut behind).unwrap();
    assert_eq!(behind, b"\x81\x02hi");
}

#[test]
fn an_upgrade_is_refused_with_the_reason() {
    let (result, _) = upgrade(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\nno such key");
    assert_eq!(result.unwrap_err().to_string(), "the WebSocket upgrade was refused with HTTP status 403: no such key");
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n";
    for (answer, why) in [
        (format!("{head}Sec-WebSocket-Accept: AAAA\r\n\r\n"), "`Sec-WebSocket-Accept` does not answer our key"),
        ("HTTP/1.1 101 X\r\n\r\n".to_owned(), "status 101 without `Upgrade: websocket` and `Connection: Upgrade`"),
        ("SSH-2.0\r\n\r\n".to_owned(), "not an HTTP/1.1 response"),
    ] {
        assert_eq!(
            upgrade(answer.as_bytes()).0.unwrap_err().to_string(),
            format!("bad answer to the WebSocket upgrade: {why}")
        );
    }
    for (request, why) in [
        ("POST / HTTP/1.1\r\n\r\n", "the method is not GET"),
        ("GET / HTTP/1.1\r\n\r\n", "no `Upgrade: websocket` with `Connection: Upgrade`"),
        (
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
            "`Sec-WebSocket-Version` is not 13",
        ),
    ] {
        let (request, _) = parse_request(request.as_bytes()).unwrap().unwrap();
        assert_eq!(server_accept(&request).unwrap_err().to_string(), format!("bad WebSocket upgrade request: {why}"));
    }
}

#[test]
fn tungstenite_upgrades_with_our_server() {
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let client = std::thread::spawn(move || {
        let (mut socket, _) = tungstenite::client("ws://localhost/stream", theirs).unwrap();
        let message = socket.read().unwrap();
        socket.send(message).unwrap();
    });
    let mut bytes = vec![0; 4096];
    let mut have = 0;
    let answer = loop {
        have += ours.read(&mut bytes[have..]).unwrap();
        if let Some((request, _)) = parse_request(&bytes[..have]).unwrap() {
            break server_accept(&request).unwrap();
        }
    };
    ours.write_all(&answer).unwrap();
    ours.write_all(&frame(Role::Server, true, Opcode::Text, b"echo this")).unwrap();
    let (mut buf, mut reader) = (RecvBuf::new(1024), WsReader::new(Role::Server, 512));
    let message = loop {
        let n = ours.read(buf.space().unwrap()).unwrap();
        buf.filled(n);
        buf.raw_is_plain();
        if let Some(message) = reader.next(&mut buf).unwrap() {
            break message;
        }
    };
    assert_eq!((message.kind, buf.bytes(message.range)), (Kind::Text, &b"echo this"[..]));
    client.join().unwrap();
}

/// What tungstenite reads from these bytes, and whether it ended in an error.
fn oracle(bytes: &[u8], role: protocol::Role) -> (Vec<(Kind, Vec<u8>)>, bool) {
    let io = Script { answer: Cursor::new(bytes.to_vec()), asked: Vec::new() };
    let config = WebSocketConfig::default().max_message_size(Some(2000)).max_frame_size(Some(2000));
    let mut socket = WebSocket::from_raw_socket(io, role, Some(config));
    let mut all = Vec::new();
    loop {
        let message = match socket.read() {
            Ok(Theirs::Text(text)) => (Kind::Text, text.as_bytes().to_vec()),
            Ok(Theirs::Binary(bytes)) => (Kind::Binary, bytes.to_vec()),
            Ok(Theirs::Ping(bytes)) => (Kind::Ping, bytes.to_vec()),
            Ok(Theirs::Pong(bytes)) => (Kind::Pong, bytes.to_vec()),
            // A code that must not be sent is an error of ours; tungstenite hands out this close instead.
            Ok(Theirs::Close(Some(frame))) if frame.reason.as_str() == "Protocol violation" => return (all, true),
            Ok(Theirs::Close(frame)) => {
                let kind = Kind::Close(frame.as_ref().map(|frame| frame.code.into()));
                all.push((kind, frame.map(|frame| frame.reason.as_bytes().to_vec()).unwrap_or_default()));
                return (all, false);
            }
            Ok(Theirs::Frame(_)) => unreachable!("only written"),
            // The end of the canned bytes is not a fault of the frames.
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return (all, false);
            }
            Err(_) => return (all, true),
        };
        all.push(message);
    }
}

/// Frames that are mostly right: sometimes the wrong opcode, flag or mask.
fn frames() -> impl Strategy<Value = Vec<(u8, bool, bool, Vec<u8>)>> {
    let opcode = prop_oneof![4 => Just(0_u8), 3 => Just(1), 3 => Just(2), 2 => Just(9), 2 => Just(10), 1 => 0_u8..16];
    let payload = prop_oneof![
        8 => prop::collection::vec(b'a'..=b'z', 0..200),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(b'a'..=b'z', 600..900),
    ];
    prop::collection::vec((opcode, any::<bool>(), prop::bool::weighted(0.98), payload), 1..12)
}

proptest! {
    /// Any stream of frames, in any pieces, through a small buffer: the messages and the verdict of tungstenite.
    #[test]
    fn streams_of_frames_equal_tungstenite(
        frames in frames(),
        server: bool,
        pieces in prop::collection::vec(1_usize..700, 1..20),
    ) {
        let (role, theirs) = if server { (Role::Server, protocol::Role::Server) } else { (Role::Client, protocol::Role::Client) };
        let mut bytes = Vec::new();
        for (opcode, fin, right_mask, payload) in frames {
            // tungstenite checks UTF-8 at each fragment and we at the end of the message: bytes that may fail stand at an end.
            let fin = fin || !payload.is_ascii() || (opcode >= 8 && payload.len() % 16 != 0);
            bytes.push(opcode | if fin { 0x80 } else { 0 });
            let masked = server == right_mask;
            let mask_bit = if masked { 0x80 } else { 0 };
            match payload.len() {
                n @ 0..126 => bytes.push(n as u8 | mask_bit),
                n => {
                    bytes.push(126 | mask_bit);
                    bytes.extend((n as u16).to_be_bytes());
                }
            }
            let start = bytes.len() + if masked { 4 } else { 0 };
            if masked {
                bytes.extend(MASK);
            }
            bytes.extend(payload);
            if masked {
                unmask(&mut bytes[start..], MASK);
            }
        }
        let (mut recv, mut reader) = (RecvBuf::new(6000), WsReader::new(role, 2000).check_text(true));
        let (mut all, mut failed, mut rest, mut pieces) = (Vec::new(), false, &bytes[..], pieces.iter().cycle());
        'read: while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*pieces.next().unwrap()).min(rest.len()));
            rest = behind;
            recv.feed(piece).unwrap();
            recv.raw_is_plain();
            loop {
                match reader.next(&mut recv) {
                    Ok(Some(message)) => {
                        let end = matches!(message.kind, Kind::Close(_));
                        all.push((message.kind, recv.bytes(message.range).to_vec()));
                        if end {
                            break 'read;
                        }
                    }
                    Ok(None) => break,
                    Err(_) => {
                        failed = true;
                        break 'read;
                    }
                }
            }
        }
        prop_assert_eq!((all, failed), oracle(&bytes, theirs));
    }

    #[test]
    fn masks_cancel_and_equal_the_plain_loop(mut bytes in prop::collection::vec(any::<u8>(), 0..100), mask: [u8; 4]) {
        let plain = bytes.clone();
        unmask(&mut bytes, mask);
        let slow: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
        prop_assert_eq!(&bytes, &slow);
        unmask(&mut bytes, mask);
        prop_assert_eq!(bytes, plain);
    }
}

proptest! {
    /// The quick look at a frame finds what the full reader finds, and leaves the same behind.
    #[test]
    fn a_whole_frame_is_read_alike_by_both_readers(
        frames in prop::collection::vec((0_u8..=255, 0_u8..=130, 0_usize..300, any::<bool>()), 1..12),
        cut in 0_usize..2_000,
        limit in prop::sample::select(vec![100_usize, 250, 4_000]),
    ) {
        let mut bytes = Vec::new();
        for (first, second, length, proper) in frames {
            let first = if proper { 0x80 | (1 + first % 2) } else { first };
            bytes.push(first);
            match (proper, length) {
                (true, ..126) => bytes.push(length as u8),
                (true, _) => bytes.extend_from_slice(&[126, (length >> 8) as u8, length as u8]),
                (false, _) => bytes.extend_from_slice(&[second, 0, length as u8]),
            }
            bytes.extend(std::iter::repeat_n(b'x', length));
        }
        bytes.truncate(cut);
        let (mut left, mut right) = (buf(&bytes), buf(&bytes));
        let (mut quick, mut full) = (WsReader::new(Role::Client, limit), WsReader::new(Role::Client, limit));
        loop {
            let (found, expected) = (quick.next(&mut left), full.next_of_any_form(&mut right));
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            prop_assert_eq!(left.plain(), right.plain());
            if !matches!(found, Ok(Some(_))) {
                break;
            }
        }
    }
}
