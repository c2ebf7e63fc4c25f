//! WebSocket frames and TLS records out of memory, beside tungstenite and the bare AEAD. Opens no socket.

use crate::measure::{Bar, Candidate, Report, race};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use spinquote::wire::buf::{RecvBuf, SendBuf};
use spinquote::wire::tls::{self, ClientHandshake, Records, Roots, ServerHandshake};
use spinquote::wire::ws::{Opcode, Role, WsReader, write_frame};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use tungstenite::WebSocket;
use tungstenite::protocol::WebSocketConfig;

/// Of a message: its length and ends.
#[must_use]
pub fn sum_bytes(bytes: &[u8]) -> u64 {
    let ends = [bytes.first(), bytes.last()].map(|byte| byte.copied().unwrap_or(0));
    (bytes.len() as u64) << 16 | u64::from(ends[0]) << 8 | u64::from(ends[1])
}

/// A peer's bytes that come `chunk` at a time.
pub struct Feed {
    /// All of them.
    pub bytes: Rc<[u8]>,
    /// How many were read.
    pub at: Rc<Cell<usize>>,
    /// Most bytes a read.
    pub chunk: usize,
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at.get()..];
        let n = rest.len().min(self.chunk).min(out.len());
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        out[..n].copy_from_slice(&rest[..n]);
        self.at.set(self.at.get() + n);
        Ok(n)
    }
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Frames in a feed.
pub const FRAMES: usize = 256;

/// Text frames of 200 bytes.
///
/// # Panics
/// Never: there is room for them.
#[must_use]
pub fn text_frames() -> Rc<[u8]> {
    let mut out = SendBuf::new(FRAMES * 256);
    for number in 0..FRAMES {
        let payload = format!("{number:0200}");
        write_frame(Role::Server, Opcode::Text, payload.as_bytes(), [0; 4], &mut out).expect("room");
    }
    out.pending().into()
}

/// Our end of a stream of frames.
pub struct Ours {
    feed: Feed,
    recv: RecvBuf,
    reader: WsReader,
    reply: SendBuf,
}

impl Ours {
    /// On a feed of [`FRAMES`] frames.
    #[must_use]
    pub fn new(feed: Feed) -> Self {
        let (recv, reader) = (RecvBuf::new(1 << 16), WsReader::new(Role::Client, 1 << 15));
        Self { feed, recv, reader, reply: SendBuf::new(1 << 10) }
    }

    /// Reads the whole feed from its beginning; a checksum.
    ///
    /// # Panics
    /// A frame cannot be read.
    pub fn read_all(&mut self) -> u64 {
        self.feed.at.set(0);
        let (mut sum, mut seen) = (0_u64, 0);
        while seen < FRAMES {
            let n = self.feed.read(self.recv.space().expect("room")).expect("bytes");
            self.recv.filled(n);
            Records::Plain.open(&mut self.recv, &mut self.reply).expect("plain bytes");
            while let Some(message) = self.reader.next(&mut self.recv).expect("a frame") {
                sum = sum.rotate_left(1) ^ sum_bytes(self.recv.bytes(message.range));
                seen += 1;
            }
        }
        sum
    }
}

/// Frames read, one a read, all inside one call of `count`; returns how many.
///
/// # Panics
/// A frame cannot be read.
pub fn counted(mut count: impl FnMut(&mut dyn FnMut())) -> u64 {
    let bytes = text_frames();
    let chunk = bytes.len() / FRAMES;
    let mut ours = Ours::new(Feed { bytes, at: Rc::default(), chunk });
    ours.read_all();
    count(&mut || {
        std::hint::black_box(ours.read_all());
    });
    FRAMES as u64
}

/// Text frames of 200 bytes as a server sends them: one a read, and as many as fit 16 KB a read.
///
/// # Panics
/// A reader fails.
pub fn websocket(rounds: usize, report: &mut Report) {
    const TUNGSTENITE: &str = "tungstenite, 16 KB buffer";
    let bytes = text_frames();
    for (chunk, what) in [
        (bytes.len() / FRAMES, "WebSocket frame of 200 B, one a read"),
        (1 << 14, "WebSocket frame of 200 B, 16 KB a read"),
    ] {
        let feed = || Feed { bytes: bytes.clone(), at: Rc::default(), chunk };
        let (mut ours, theirs) = (Ours::new(feed()), feed());
        let at = theirs.at.clone();
        let config = WebSocketConfig::default().read_buffer_size(1 << 14);
        theirs.at.set(0);
        let mut socket = WebSocket::from_raw_socket(theirs, tungstenite::protocol::Role::Client, Some(config));
        let candidates = vec![
            Candidate::new("WsReader", move |(): &mut ()| ours.read_all()),
            Candidate::new(TUNGSTENITE, move |(): &mut ()| {
                at.set(0);
                (0..FRAMES).fold(0_u64, |sum, _| {
                    let message = socket.read().expect("a frame");
                    sum.rotate_left(1) ^ sum_bytes(message.to_text().expect("text").as_bytes())
                })
            }),
        ];
        let timed = race(rounds, &mut (), |(), _| FRAMES, candidates);
        report.compare(what, "ns/frame", &timed, "WsReader", TUNGSTENITE, Some(Bar::Faster(10.0)));
    }
}

/// Two ends that have shaken hands; returns the server's records, and the client's with its buffer.
fn connected() -> (Records, Records, RecvBuf) {
    let (certificate, key) = tls::self_signed(&["localhost"]).expect("a certificate");
    let client_config = tls::client_config(Roots::Pem(certificate.as_bytes())).expect("a configuration");
    let server_config = tls::server_config(certificate.as_bytes(), key.as_bytes()).expect("a configuration");
    let mut client = ClientHandshake::new(client_config, "localhost".try_into().expect("a name")).expect("a client");
    let mut server = ServerHandshake::new(server_config).expect("a server");
    let (mut at_client, mut at_server) = (RecvBuf::new(1 << 17), RecvBuf::new(1 << 17));
    let (mut to_client, mut to_server) = (SendBuf::new(1 << 16), SendBuf::new(1 << 16));
    let (mut of_client, mut of_server) = (None, None);
    loop {
        if of_client.is_none() {
            of_client = client.feed(&mut at_client, &mut to_server).expect("a handshake");
        }
        at_server.feed(to_server.pending()).expect("room");
        to_server.consume(to_server.pending().len());
        if of_server.is_none() {
            of_server = server.feed(&mut at_server, &mut to_client).expect("a handshake");
        }
        at_client.feed(to_client.pending()).expect("room");
        to_client.consume(to_client.pending().len());
        match (of_client, of_server) {
            (Some(client), Some(server)) => return (server, client, at_client),
            unfinished => (of_client, of_server) = unfinished,
        }
    }
}

const RECORDS: usize = 64;
const PLAIN: usize = 1024;
/// Header, inner content type and tag of TLS 1.3.
const SEALED: usize = PLAIN + 5 + 1 + 16;

/// What the server has sealed for the round.
struct Sealed {
    server: Records,
    out: SendBuf,
    round: Option<usize>,
}

/// TLS 1.3 records of 1 KB, opened one after the other. Both sides first copy the record into their buffer, as a read would.
///
/// # Panics
/// A record cannot be opened.
pub fn records(rounds: usize, report: &mut Report) {
    const RAW: &str = "ring open_in_place alone";
    let (server, mut client, mut recv) = connected();
    let mut reply = SendBuf::new(1 << 12);
    let mut sealed = Sealed { server, out: SendBuf::new(RECORDS * 2 * SEALED), round: None };
    let key = || LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("a key"));
    let nonce = |record: usize| Nonce::assume_unique_for_key([record as u8; 12]);
    let aad = || Aad::from([23, 3, 3, 4, 17]);
    let raw: Vec<Vec<u8>> = (0..RECORDS)
        .map(|record| {
            let mut bytes = vec![record as u8; PLAIN];
            bytes.push(23);
            key().seal_in_place_append_tag(nonce(record), aad(), &mut bytes).expect("a sealed record");
            bytes
        })
        .collect();
    let (raw_key, mut buf) = (key(), vec![0_u8; PLAIN + 1 + 16]);
    let candidates = vec![
        Candidate::new("Records::open", move |sealed: &mut Sealed| {
            sealed.out.pending().chunks(SEALED).fold(0_u64, |sum, record| {
                recv.feed(record).expect("room");
                client.open(&mut recv, &mut reply).expect("a record");
                let sum = sum.rotate_left(1) ^ sum_bytes(recv.plain());
                recv.consume(recv.plain().len());
                sum
            })
        }),
        Candidate::new(RAW, move |_: &mut Sealed| {
            raw.iter().enumerate().fold(0_u64, |sum, (record, bytes)| {
                buf.copy_from_slice(bytes);
                let plain = raw_key.open_in_place(nonce(record), aad(), &mut buf).expect("a record");
                sum.rotate_left(1) ^ sum_bytes(&plain[..PLAIN])
            })
        }),
    ];
    let prepare = |sealed: &mut Sealed, round: usize| {
        if sealed.round != Some(round) {
            sealed.round = Some(round);
            sealed.out.consume(sealed.out.pending().len());
            for record in 0..RECORDS {
                sealed.server.seal(&[record as u8; PLAIN], &mut sealed.out).expect("room");
            }
            assert_eq!(sealed.out.pending().len(), RECORDS * SEALED, "TLS 1.3 records");
        }
        RECORDS
    };
    let timed = race(rounds, &mut sealed, prepare, candidates);
    report.compare("TLS record of 1 KB", "ns/record", &timed, "Records::open", RAW, Some(Bar::Within(1.2)));
}
