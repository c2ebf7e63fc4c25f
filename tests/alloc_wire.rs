//! The path of a frame through TLS and WebSocket asks for no memory, in either direction, once the connection stands.

#[path = "support/alloc.rs"]
mod alloc;

use alloc::{Counting, allocations};
use spinquote::wire::buf::{RecvBuf, SendBuf};
use spinquote::wire::tls::{self, ClientHandshake, Records, Roots, ServerHandshake};
use spinquote::wire::ws::{Kind, Opcode, Role, WsReader, write_frame};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct End {
    records: Records,
    recv: RecvBuf,
    send: SendBuf,
    frames: SendBuf,
    reader: WsReader,
}

impl End {
    fn new(records: Records, recv: RecvBuf, role: Role) -> Self {
        let (send, frames) = (SendBuf::new(1 << 18), SendBuf::new(1 << 17));
        Self { records, recv, send, frames, reader: WsReader::new(role, 1 << 16) }
    }

    fn receive(&mut self, wire: &mut SendBuf) -> (usize, usize) {
        let (mut messages, mut bytes) = (0, 0);
        while !wire.is_empty() {
            let space = self.recv.space().unwrap();
            let n = wire.pending().len().min(space.len()).min(3000);
            space[..n].copy_from_slice(&wire.pending()[..n]);
            self.recv.filled(n);
            wire.consume(n);
            self.records.open(&mut self.recv, &mut self.send).unwrap();
            while let Some(message) = self.reader.next(&mut self.recv).unwrap() {
                assert_eq!(message.kind, Kind::Text);
                messages += 1;
                bytes += message.range.len();
            }
        }
        (messages, bytes)
    }
}

fn connected() -> (End, End) {
    let (certificate, key) = tls::self_signed(&["localhost"]).unwrap();
    let client_config = tls::client_config(Roots::Pem(certificate.as_bytes())).unwrap();
    let server_config = tls::server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
    let mut client = ClientHandshake::new(client_config, "localhost".try_into().unwrap()).unwrap();
    let mut server = ServerHandshake::new(server_config).unwrap();
    let (mut at_client, mut at_server) = (RecvBuf::new(1 << 17), RecvBuf::new(1 << 17));
    let (mut to_client, mut to_server) = (SendBuf::new(1 << 16), SendBuf::new(1 << 16));
    let (mut client_records, mut server_records) = (None, None);
    while client_records.is_none() || server_records.is_none() {
        if client_records.is_none() {
            client_records = client.feed(&mut at_client, &mut to_server).unwrap();
        }
        at_server.feed(to_server.pending()).unwrap();
        to_server.consume(to_server.pending().len());
        if server_records.is_none() {
            server_records = server.feed(&mut at_server, &mut to_client).unwrap();
        }
        at_client.feed(to_client.pending()).unwrap();
        to_client.consume(to_client.pending().len());
    }
    (
        End::new(client_records.unwrap(), at_client, Role::Client),
        End::new(server_records.unwrap(), at_server, Role::Server),
    )
}

#[test]
fn frames_over_tls_allocate_nothing_in_either_direction() {
    let (mut client, mut server) = connected();
    let payload = [b'7'; 20_000];
    let sizes = [1, 120, 300, 1_600, 20_000];
    let mut received = (0, 0);
    let mut pass = |from: &mut End, to: &mut End, role: Role, round: usize| {
        for size in sizes {
            write_frame(role, Opcode::Text, &payload[..size], [round as u8, size as u8, 3, 4], &mut from.frames)
                .unwrap();
        }
        from.records.seal(from.frames.pending(), &mut from.send).unwrap();
        from.frames.consume(from.frames.pending().len());
        let (messages, bytes) = to.receive(&mut from.send);
        received = (received.0 + messages, received.1 + bytes);
    };
    let count = allocations(|| {
        for round in 0..200 {
            pass(&mut client, &mut server, Role::Client, round);
            pass(&mut server, &mut client, Role::Server, round);
        }
    });
    assert_eq!(received, (200 * 2 * sizes.len(), 200 * 2 * sizes.iter().sum::<usize>()));
    assert_eq!(count, 0, "allocations on the path of a frame");
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 2);
}
