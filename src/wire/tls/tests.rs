use super::*;
use proptest::prelude::*;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, SupportedCipherSuite};
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

static CERTIFICATE: LazyLock<(String, String)> = LazyLock::new(|| self_signed(&["localhost", "127.0.0.1"]).unwrap());

fn name() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

/// Both configurations restricted to one cipher suite.
fn configs(suite: SupportedCipherSuite) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let provider = || Arc::new(CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() });
    let (certificate, key) = &*CERTIFICATE;
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        .unwrap();
    server.enable_secret_extraction = true;
    (Arc::new(client), Arc::new(server))
}

/// One end of ours: records and both buffers.
struct End {
    records: Records,
    recv: RecvBuf,
    send: SendBuf,
}

impl End {
    fn new(records: Records, recv: RecvBuf) -> Self {
        Self { records, recv, send: SendBuf::new(1 << 20) }
    }

    fn sealed(&mut self, plain: &[u8]) -> Vec<u8> {
        self.records.seal(plain, &mut self.send).unwrap();
        self.take()
    }

    fn sealed_any(&mut self, kind: u8, plain: &[u8]) -> Vec<u8> {
        let Records::Tls(tls) = &mut self.records else { panic!("plain") };
        tls.seal_any(kind, plain, &mut self.send);
        self.take()
    }

    fn take(&mut self) -> Vec<u8> {
        let bytes = self.send.pending().to_vec();
        self.send.consume(bytes.len());
        bytes
    }

    fn open(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.recv.feed(bytes).unwrap();
        self.records.open(&mut self.recv, &mut self.send)
    }

    /// Opens `bytes` and consumes the plaintext.
    fn opened(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.open(bytes).unwrap();
        self.plain()
    }

    fn plain(&mut self) -> Vec<u8> {
        let plain = self.recv.plain().to_vec();
        self.recv.consume(plain.len());
        plain
    }

    fn tls(&mut self) -> &mut TlsRecords {
        match &mut self.records {
            Records::Tls(tls) => tls,
            Records::Plain => panic!("plain"),
        }
    }
}

/// Our client and our server, shaken hands with each other through buffers, never more than `piece` bytes at a time.
fn pair(suite: SupportedCipherSuite, piece: usize) -> (End, End) {
    let (client, server) = configs(suite);
    let mut client_side = ClientHandshake::new(client, name()).unwrap();
    let mut server_side = ServerHandshake::new(server).unwrap();
    let (mut to_server, mut to_client) = (SendBuf::new(1 << 16), SendBuf::new(1 << 16));
    let (mut at_server, mut at_client) = (RecvBuf::new(1 << 18), RecvBuf::new(1 << 18));
    let (mut client, mut server) = (None, None);
    for _ in 0..20_000 {
        if client.is_none() {
            client = client_side.feed(&mut at_client, &mut to_server).unwrap();
        }
        if server.is_none() {
            server = server_side.feed(&mut at_server, &mut to_client).unwrap();
        }
        for (out, buf) in [(&mut to_server, &mut at_server), (&mut to_client, &mut at_client)] {
            let n = out.pending().len().min(piece);
            buf.feed(&out.pending()[..n]).unwrap();
            out.consume(n);
        }
        if client.is_some() && server.is_some() && to_server.is_empty() && to_client.is_empty() {
            break;
        }
    }
    (End::new(client.unwrap(), at_client), End::new(server.unwrap(), at_server))
}

fn suites() -> &'static [SupportedCipherSuite] {
    ring::ALL_CIPHER_SUITES
}

const TLS13: SupportedCipherSuite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
const TLS12: SupportedCipherSuite = ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

/// The suites that a certificate with an elliptic key allows.
fn usable() -> Vec<SupportedCipherSuite> {
    suites().iter().copied().filter(|suite| !format!("{suite:?}").contains("_RSA_")).collect()
}

/// A byte stream in memory whose other end is a connection of `rustls` itself.
struct Oracle<C> {
    peer: C,
    /// What the peer sends together with the end of its handshake.
    greeting: Option<Vec<u8>>,
    outbox: Vec<u8>,
}

macro_rules! oracle_stream {
    ($connection:ty) => {
        impl Oracle<$connection> {
            fn new(peer: $connection, greeting: &[u8]) -> Self {
                Self { peer, greeting: Some(greeting.to_vec()), outbox: Vec::new() }
            }

            /// Gives `bytes` to the peer; returns what it read.
            fn accept(&mut self, mut bytes: &[u8]) -> Vec<u8> {
                let mut plain = Vec::new();
                while !bytes.is_empty() {
                    self.peer.read_tls(&mut bytes).unwrap();
                    self.peer.process_new_packets().unwrap();
                    let mut buffer = vec![0; 1 << 17];
                    while let Ok(n @ 1..) = self.peer.reader().read(&mut buffer) {
                        plain.extend_from_slice(&buffer[..n]);
                    }
                }
                plain
            }

            fn sealed(&mut self, plain: &[u8]) -> Vec<u8> {
                self.peer.writer().write_all(plain).unwrap();
                self.drain()
            }

            fn drain(&mut self) -> Vec<u8> {
                let mut out = Vec::new();
                while self.peer.wants_write() {
                    self.peer.write_tls(&mut out).unwrap();
                }
                out
            }
        }

        impl Read for Oracle<$connection> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let bytes = self.drain();
                self.outbox.extend(bytes);
                let n = self.outbox.len().min(out.len());
                out[..n].copy_from_slice(&self.outbox[..n]);
                self.outbox.drain(..n);
                Ok(n)
            }
        }

        impl Write for Oracle<$connection> {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.accept(bytes);
                if !self.peer.is_handshaking()
                    && let Some(greeting) = self.greeting.take()
                {
                    let bytes = self.sealed(&greeting);
                    self.outbox.extend(bytes);
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}
oracle_stream!(ClientConnection);
oracle_stream!(ServerConnection);

fn with_oracle_server(suite: SupportedCipherSuite, greeting: &[u8]) -> (End, Oracle<ServerConnection>) {
    let (client, server) = configs(suite);
    let mut io = Oracle::<ServerConnection>::new(ServerConnection::new(server).unwrap(), greeting);
    let mut buf = RecvBuf::new(1 << 18);
    let records = client_handshake(client, name(), &mut io, &mut buf).unwrap();
    (End::new(records, buf), io)
}

/// As [`with_oracle_server`], with the tickets read that follow the handshake.
fn settled(suite: SupportedCipherSuite) -> (End, Oracle<ServerConnection>) {
    let (mut end, mut oracle) = with_oracle_server(suite, b"");
    assert_eq!(end.opened(&std::mem::take(&mut oracle.outbox)), b"");
    (end, oracle)
}

fn with_oracle_client(suite: SupportedCipherSuite, greeting: &[u8]) -> (End, Oracle<ClientConnection>) {
    let (client, server) = configs(suite);
    let mut io = Oracle::<ClientConnection>::new(ClientConnection::new(client, name()).unwrap(), greeting);
    let mut buf = RecvBuf::new(1 << 18);
    let records = server_accept(server, &mut io, &mut buf).unwrap();
    (End::new(records, buf), io)
}

fn noise(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn every_suite_talks_to_rustls_in_both_roles_and_loses_nothing_behind_the_handshake() {
    let sizes = [1, 300, 16_383, 16_384, 16_385, 60_000];
    for suite in usable() {
        let (mut end, mut oracle) = with_oracle_server(suite, b"hello from the server");
        let mut first = end.opened(b"");
        first.extend(end.opened(&std::mem::take(&mut oracle.outbox)));
        assert_eq!(first, b"hello from the server", "{suite:?}");
        for n in sizes {
            assert_eq!(oracle.accept(&end.sealed(&noise(n))), noise(n), "{suite:?}");
            assert_eq!(end.opened(&oracle.sealed(&noise(n))), noise(n), "{suite:?}");
        }
        let (mut end, mut oracle) = with_oracle_client(suite, b"hello from the client");
        let mut first = end.opened(b"");
        first.extend(end.opened(&std::mem::take(&mut oracle.outbox)));
        assert_eq!(first, b"hello from the client", "{suite:?}");
        for n in sizes {
            assert_eq!(oracle.accept(&end.sealed(&noise(n))), noise(n), "{suite:?}");
            assert_eq!(end.opened(&oracle.sealed(&noise(n))), noise(n), "{suite:?}");
        }
    }
}

#[test]
fn a_handshake_in_any_pieces_is_the_same_handshake() {
    for suite in usable() {
        for piece in [1, 7, 1 << 16] {
            let (mut client, mut server) = pair(suite, piece);
            assert_eq!(server.opened(&client.sealed(b"ping")), b"ping");
            assert_eq!(client.opened(&server.sealed(b"pong")), b"pong");
        }
    }
}

#[test]
fn a_wrong_name_or_an_unknown_certificate_is_refused_and_the_peer_is_told() {
    let (_, server) = configs(TLS13);
    let stranger = self_signed(&["localhost"]).unwrap().0;
    for (pem, name) in [(&stranger, "localhost"), (&CERTIFICATE.0, "example.com")] {
        let client = client_config(Roots::Pem(pem.as_bytes())).unwrap();
        let mut peer = ServerHandshake::new(server.clone()).unwrap();
        let mut ours = ClientHandshake::new(client, name.try_into().unwrap()).unwrap();
        let (mut buf, mut out) = (RecvBuf::new(1 << 16), SendBuf::new(1 << 16));
        let (mut peer_buf, mut peer_out) = (RecvBuf::new(1 << 16), SendBuf::new(1 << 16));
        assert!(ours.feed(&mut buf, &mut out).unwrap().is_none());
        peer_buf.feed(out.pending()).unwrap();
        out.consume(out.pending().len());
        assert!(peer.feed(&mut peer_buf, &mut peer_out).unwrap().is_none());
        buf.feed(peer_out.pending()).unwrap();
        let Err(TlsError::Handshake(rustls::Error::InvalidCertificate(_))) = ours.feed(&mut buf, &mut out) else {
            panic!("accepted a certificate for {name}");
        };
        peer_buf.feed(out.pending()).unwrap();
        let Err(TlsError::Handshake(rustls::Error::AlertReceived(_))) = peer.feed(&mut peer_buf, &mut peer_out) else {
            panic!("the alert did not arrive");
        };
    }
    assert!(matches!(client_config(Roots::Pem(b"nothing")), Err(TlsError::Pem { what: "trusted certificate", .. })));
    assert!(client_config(Roots::WebPki).is_ok());
}

#[test]
fn key_updates_are_followed_answered_and_limited() {
    let (mut end, mut oracle) = settled(TLS13);
    for round in 0..3 {
        oracle.peer.refresh_traffic_keys().unwrap();
        let update = oracle.drain();
        assert_eq!(end.opened(&update), b"", "round {round}");
        assert_eq!(end.opened(&oracle.sealed(b"new key")), b"new key");
        end.tls().update_keys(&mut SendBuf::new(0)).unwrap_err();
        assert_eq!(oracle.accept(&end.sealed(b"still the old one")), b"still the old one");
        let mut out = SendBuf::new(64);
        end.tls().update_keys(&mut out).unwrap();
        assert_eq!(oracle.accept(out.pending()), b"");
        assert_eq!(oracle.accept(&end.sealed(b"ours too")), b"ours too");
    }

    let (mut client, mut server) = pair(TLS13, 1 << 16);
    // A request is answered at once, by one key update of our own.
    let request = client.sealed_any(22, &[24, 0, 0, 1, 1]);
    assert!(matches!(server.open(&request), Ok(())));
    assert_eq!(server.take().len(), 5 + 5 + 1 + 16);

    for n in 1..=33 {
        let (mut end, mut peer) = pair(TLS13, 1 << 16);
        for _ in 1..n {
            let mut out = SendBuf::new(64);
            peer.tls().update_keys(&mut out).unwrap();
            end.open(out.pending()).unwrap();
        }
        if n == 33 {
            let mut out = SendBuf::new(64);
            peer.tls().update_keys(&mut out).unwrap();
            assert!(matches!(end.open(out.pending()), Err(TlsError::KeyUpdateFlood(32))));
        }
    }
}

#[test]
fn a_worn_out_key_is_changed_in_1_3_and_ends_the_connection_in_1_2() {
    let (mut end, mut oracle) = settled(TLS13);
    end.tls().set_key_limit(4);
    for n in 0..20 {
        assert_eq!(oracle.accept(&end.sealed(&noise(n + 1))), noise(n + 1));
    }
    let (mut end, _) = pair(TLS12, 1 << 16);
    end.tls().set_key_limit(4);
    let outcomes: Vec<_> = (0..4).map(|_| end.records.seal(b"x", &mut end.send).is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, false]);
}

#[test]
fn closing_is_an_order_and_not_an_error_of_the_peer() {
    for suite in usable() {
        let (mut client, mut server) = pair(suite, 1 << 16);
        let mut bytes = client.sealed(b"last words");
        client.records.close(&mut client.send).unwrap();
        bytes.extend(client.take());
        assert!(matches!(server.open(&bytes), Err(TlsError::Closed)));
        assert_eq!(server.plain(), b"last words");
        assert!(matches!(server.open(b""), Err(TlsError::Closed)));
        assert!(matches!(client.records.seal(b"x", &mut client.send), Err(TlsError::Ended)));
        assert_eq!(client.opened(&server.sealed(b"the other half stays open")), b"the other half stays open");
    }
    let (mut end, mut oracle) = settled(TLS13);
    oracle.peer.send_close_notify();
    assert!(matches!(end.open(&oracle.drain()), Err(TlsError::Closed)));
}

#[test]
fn each_breach_of_the_protocol_has_its_error() {
    /// What a peer seals, and what we call it.
    type Case = (SupportedCipherSuite, u8, &'static [u8], fn(&TlsError) -> bool);
    let cases: [Case; 16] = [
        (TLS13, 21, &[2, 40], |e| matches!(e, TlsError::Alert { description: 40 })),
        (TLS13, 21, &[1, 40], |e| matches!(e, TlsError::Alert { description: 40 })),
        (TLS12, 21, &[2, 20], |e| matches!(e, TlsError::Alert { description: 20 })),
        (TLS13, 21, &[1], |e| matches!(e, TlsError::BadAlert)),
        (TLS13, 20, &[1], |e| matches!(e, TlsError::Content(20))),
        (TLS12, 22, &[0, 0, 0, 0], |e| matches!(e, TlsError::HandshakeMessage(0))),
        (TLS13, 22, &[13, 0, 0, 0], |e| matches!(e, TlsError::HandshakeMessage(13))),
        (TLS13, 22, &[], |e| matches!(e, TlsError::HandshakeInterrupted)),
        (TLS13, 22, &[24, 0, 0, 2, 0, 0], |e| matches!(e, TlsError::KeyUpdate)),
        (TLS13, 22, &[24, 0, 0, 1, 2], |e| matches!(e, TlsError::KeyUpdate)),
        (TLS13, 22, &[24, 0, 0, 1, 0, 24], |e| matches!(e, TlsError::KeyUpdate)),
        (TLS13, 22, &[4, 1, 0, 1], |e| matches!(e, TlsError::HandshakeTooLong { length: 65_537, limit: 65_536 })),
        (TLS13, 23, &[0], |_| false),
        (TLS13, 0, &[0; 8], |e| matches!(e, TlsError::NoContentType)),
        (TLS13, 21, &[1, 90], |_| false),
        (TLS12, 21, &[1, 100], |_| false),
    ];
    for (at, (suite, kind, plain, is_it)) in cases.iter().enumerate() {
        let (mut end, mut peer) = pair(*suite, 1 << 16);
        let bytes = peer.sealed_any(*kind, plain);
        let result = end.open(&bytes);
        match &result {
            Err(error) => assert!(is_it(error), "case {at}: {error}"),
            Ok(()) => assert!(at == 12 || at >= 14, "case {at} was accepted"),
        }
        if let Err(error) = result
            && error.alert().is_some()
        {
            let told = end.take();
            assert!(matches!(peer.open(&told), Err(TlsError::Alert { .. })), "case {at}: the peer is not told");
            assert!(matches!(end.open(b""), Err(TlsError::Ended)), "case {at}");
        }
    }
}

#[test]
fn headers_that_cannot_be_are_refused_before_their_body() {
    for (suite, header, wanted) in [
        (TLS13, [22, 3, 3, 0, 40], "TLS record of type 22 after the handshake"),
        (TLS12, [20, 3, 3, 0, 1], "TLS record of type 20 after the handshake"),
        (TLS13, [23, 3, 1, 0, 40], "TLS record with version 0x0301, expected 0x0303"),
        (TLS13, [23, 3, 3, 65, 1], "TLS record of 16641 bytes, the limit is 16640"),
        (TLS12, [23, 3, 3, 72, 1], "TLS record of 18433 bytes, the limit is 18432"),
        (TLS13, [23, 3, 3, 0, 16], "TLS record of 16 bytes, shorter than its overhead of 17"),
        (TLS12, [23, 3, 3, 0, 23], "TLS record of 23 bytes, shorter than its overhead of 24"),
    ] {
        let (mut end, _) = pair(suite, 1 << 16);
        assert_eq!(end.open(&header).unwrap_err().to_string(), wanted);
    }
}

#[test]
fn padding_is_stripped_and_floods_end() {
    let (mut end, mut peer) = pair(TLS13, 1 << 16);
    // The innermost type is the last byte that is not zero; ours is appended behind it, so zero plays the padding.
    let bytes = peer.sealed_any(0, b"padded\x17\0\0\0");
    assert_eq!(end.opened(&bytes), b"padded");
    for n in 1..=33 {
        let bytes = peer.sealed_any(23, b"");
        let result = end.open(&bytes);
        assert_eq!(result.is_err(), n == 33, "{n} empty records");
    }
    let (mut end, mut peer) = pair(TLS12, 1 << 16);
    for n in 1..=33 {
        let bytes = peer.sealed_any(21, &[1, 100]);
        assert_eq!(end.open(&bytes).is_err(), n == 33, "{n} warnings");
    }
}

#[test]
fn tickets_in_pieces_are_passed_over_but_not_interrupted() {
    let (mut client, mut server) = pair(TLS13, 1 << 16);
    let mut ticket = vec![4, 0, 1, 0];
    ticket.extend(noise(256));
    for piece in ticket.chunks(3) {
        let bytes = server.sealed_any(22, piece);
        assert_eq!(client.opened(&bytes), b"");
    }
    assert_eq!(client.opened(&server.sealed(b"data")), b"data");
    let mut bytes = server.sealed_any(22, &ticket[..9]);
    bytes.extend(server.sealed(b"data"));
    assert!(matches!(client.open(&bytes), Err(TlsError::HandshakeInterrupted)));
    // A client has no tickets to give.
    let (mut client, mut server) = pair(TLS13, 1 << 16);
    let bytes = client.sealed_any(22, &ticket);
    assert!(matches!(server.open(&bytes), Err(TlsError::HandshakeMessage(4))));
}

#[test]
fn a_connection_can_be_handed_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<(Records, RecvBuf, SendBuf, crate::wire::ws::WsReader)>();
}

#[test]
fn a_full_send_buffer_refuses_without_harm() {
    let (mut client, mut server) = pair(TLS13, 1 << 16);
    let mut small = SendBuf::new(100);
    assert!(matches!(client.records.seal(&noise(90), &mut small), Err(TlsError::SendFull(_))));
    assert!(small.is_empty());
    client.records.seal(b"fits", &mut small).unwrap();
    assert_eq!(server.opened(small.pending()), b"fits");
}

#[test]
fn a_stream_reads_to_the_end_and_tells_a_cut_from_a_close() {
    let (client, mut server) = pair(TLS13, 1 << 16);
    let mut bytes = server.sealed(&noise(40_000));
    let cut = bytes.clone();
    server.records.close(&mut server.send).unwrap();
    bytes.extend(server.take());
    let mut stream = Stream::new(Canned(bytes, 0), client.records, client.recv, client.send);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, noise(40_000));

    let (client, _) = pair(TLS13, 1 << 16);
    let mut stream = Stream::new(Canned(cut, 0), client.records, client.recv, client.send);
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
}

/// Bytes to read; what is written goes nowhere.
struct Canned(Vec<u8>, usize);

impl Read for Canned {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = (self.0.len() - self.1).min(out.len()).min(1000);
        out[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
        self.1 += n;
        Ok(n)
    }
}

impl Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Messages sealed by `rustls`, cut anywhere, opened by us, consumed in any pattern: the same bytes, through a small buffer.
    #[test]
    fn any_split_of_the_records_gives_the_same_plaintext(
        suite in prop::sample::select(usable()),
        messages in prop::collection::vec(1_usize..3000, 1..20),
        reads in prop::collection::vec(1_usize..5000, 1..40),
        consume in prop::collection::vec(0_usize..4000, 1..40),
    ) {
        let (end, mut oracle) = with_oracle_server(suite, b"");
        let mut wire = std::mem::take(&mut oracle.outbox);
        let (mut wanted, mut seen) = (Vec::new(), Vec::new());
        for n in messages {
            wanted.extend(noise(n));
            wire.extend(oracle.sealed(&noise(n)));
        }
        let mut records = end.records;
        let (mut buf, mut reply) = (RecvBuf::new(24_000), SendBuf::new(1024));
        buf.feed(end.recv.raw()).unwrap();
        let (mut rest, mut reads, mut consume) = (&wire[..], reads.iter().cycle(), consume.iter().cycle());
        loop {
            records.open(&mut buf, &mut reply).unwrap();
            let mut n = (*consume.next().unwrap()).min(buf.plain().len());
            if rest.is_empty() || buf.plain().len() > 4000 {
                n = buf.plain().len();
            }
            seen.extend_from_slice(&buf.plain()[..n]);
            buf.consume(n);
            if rest.is_empty() && buf.plain().is_empty() {
                break;
            }
            let space = buf.space().unwrap();
            let n = (*reads.next().unwrap()).min(rest.len()).min(space.len());
            space[..n].copy_from_slice(&rest[..n]);
            buf.filled(n);
            rest = &rest[n..];
        }
        prop_assert!(seen == wanted);
    }

    /// One flipped bit is never a wrong byte of plaintext: what is opened is what was sent before the damage.
    #[test]
    fn a_flipped_bit_is_an_error_or_a_wait_and_never_plaintext(
        suite in prop::sample::select(usable()),
        sizes in prop::collection::vec(1_usize..600, 1..6),
        place: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let (mut client, mut server) = pair(suite, 1 << 16);
        let (mut wire, mut wanted, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for n in sizes {
            wanted.extend(noise(n));
            wire.extend(server.sealed(&noise(n)));
            ends.push((wire.len(), wanted.len()));
        }
        let at = place.index(wire.len());
        wire[at] ^= 1 << bit;
        let result = client.open(&wire);
        let intact = ends.iter().take_while(|(end, _)| *end <= at).last().map_or(0, |(_, plain)| *plain);
        prop_assert_eq!(client.plain(), &wanted[..intact]);
        // Only a longer length can make us wait, and the bytes that follow then do not authenticate.
        if result.is_ok() {
            let result = client.open(&noise(20_000));
            prop_assert!(result.is_err());
            prop_assert_eq!(client.plain(), b"");
        }
    }

    /// A handshake damaged anywhere, in any pieces: never a panic, never two established ends with different keys.
    #[test]
    fn a_damaged_handshake_never_ends_in_different_keys(
        suite in prop::sample::select(usable()),
        to_client: bool,
        place in 0_usize..1200,
        bit in 0_u8..8,
        piece in 1_usize..2000,
    ) {
        let (client, server) = configs(suite);
        let mut client_side = ClientHandshake::new(client, name()).unwrap();
        let mut server_side = ServerHandshake::new(server).unwrap();
        let mut outs = [SendBuf::new(1 << 16), SendBuf::new(1 << 16)];
        let mut bufs = [RecvBuf::new(1 << 16), RecvBuf::new(1 << 16)];
        let mut passed = [0, 0];
        let (mut ends, mut failed) = ([None, None], false);
        for _ in 0..4000 {
            for (at, end) in ends.iter_mut().enumerate().filter(|(_, end)| end.is_none()) {
                let result = if at == 0 {
                    client_side.feed(&mut bufs[0], &mut outs[1])
                } else {
                    server_side.feed(&mut bufs[1], &mut outs[0])
                };
                match result {
                    Ok(records) => *end = records,
                    Err(TlsError::Ended) => {}
                    Err(_) => failed = true,
                }
            }
            for at in 0..2 {
                let n = outs[at].pending().len().min(piece);
                let mut bytes = outs[at].pending()[..n].to_vec();
                if (at == 0) == to_client && (passed[at]..passed[at] + n).contains(&place) {
                    bytes[place - passed[at]] ^= 1 << bit;
                }
                bufs[at].feed(&bytes).unwrap();
                outs[at].consume(n);
                passed[at] += n;
            }
            if outs.iter().all(SendBuf::is_empty) && (failed || ends.iter().all(Option::is_some)) {
                break;
            }
        }
        // Record versions are not authenticated during the handshake, and they alone may change: then both ends have the same keys.
        if let [Some(client), Some(server)] = &mut ends {
            let mut wire = SendBuf::new(64);
            client.seal(b"same keys", &mut wire).unwrap();
            bufs[1].feed(wire.pending()).unwrap();
            server.open(&mut bufs[1], &mut SendBuf::new(64)).unwrap();
            prop_assert_eq!(bufs[1].plain(), b"same keys");
        }
    }

    #[test]
    fn noise_is_an_error_or_a_wait_in_a_handshake(bytes in prop::collection::vec(any::<u8>(), 0..400), record: bool) {
        let (_, server) = configs(TLS13);
        let (mut buf, mut out) = (RecvBuf::new(1 << 16), SendBuf::new(1 << 16));
        let mut wire = if record { vec![22, 3, 1, (bytes.len() >> 8) as u8, bytes.len() as u8] } else { vec![] };
        wire.extend(bytes);
        buf.feed(&wire).unwrap();
        let result = ServerHandshake::new(server).unwrap().feed(&mut buf, &mut out);
        prop_assert!(!matches!(result, Ok(Some(_))));
    }

    #[test]
    fn noise_is_never_plaintext(suite in prop::sample::select(usable()), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (mut client, _) = pair(suite, 1 << 16);
        let _ = client.open(&bytes);
        prop_assert_eq!(client.plain(), b"");
    }
}
