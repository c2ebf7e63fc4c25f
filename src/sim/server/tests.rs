//! A client of bytes against a server on the loopback address.

use super::*;
use crate::event::Side;
use crate::instrument::Instrument;
use crate::sim::account::EntryKind;
use crate::sim::market::{Schedule, SyntheticMarket};
use crate::sim::protocol::rest_payload;
use crate::wire::buf::{RecvBuf, SendBuf};
use crate::wire::http;
use crate::wire::tls::{Records, Roots, Stream, client_config, client_handshake};
use crate::wire::ws::{self, Kind, Opcode, Role, WsReader, write_frame};
use ring::hmac;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const ME: AccountId = AccountId(0);

fn config(faults: &str) -> ServerConfig {
    let btc = Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") };
    let market = SyntheticMarket::new(btc, 3, run::clock(), Schedule::calm());
    let faults = FaultScript::parse(faults).unwrap();
    let accounts = vec![AccountConfig::new("key", "secret")];
    ServerConfig { tls: false, faults, ..ServerConfig::new(vec![Box::new(market)], accounts) }
}

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// One request on an open connection; `None` if it was cut.
fn exchange_on(
    io: &mut (impl Read + Write),
    method: &str,
    target: &str,
    body: &str,
) -> Option<(u16, Value, Vec<String>)> {
    let mut out = Vec::new();
    http::write_request(&mut out, method, target, &[("Host", "x"), ("X-MBX-APIKEY", "key")], body.as_bytes());
    io.write_all(&out).ok()?;
    let mut got = Vec::new();
    loop {
        if let Some((response, _)) = http::parse_response(&got, false).unwrap() {
            let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
            let names = response.headers.iter().map(|(name, _)| name.to_owned()).collect();
            return Some((response.status, body, names));
        }
        let mut piece = [0; 4096];
        match io.read(&mut piece) {
            Ok(n) if n > 0 => got.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

fn signed(server: &Server, method: &str, path: &str, query: &str) -> Option<(u16, Value)> {
    let query = format!("{query}&timestamp={}", run::clock().as_millis());
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
    let tag = hmac::sign(&key, rest_payload(&query, "").as_bytes());
    let signature: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let target = format!("{path}?{query}&signature={signature}");
    exchange_on(&mut connect(server), method, &target, "").map(|(status, body, _)| (status, body))
}

/// A WebSocket client over plain TCP.
struct Socket {
    io: TcpStream,
    recv: RecvBuf,
    reader: WsReader,
}

impl Socket {
    fn open(server: &Server, path: &str) -> Self {
        let mut io = connect(server);
        ws::client_handshake(&mut io, "x", path, [7; 16], &[]).unwrap();
        Self { io, recv: RecvBuf::new(1 << 20), reader: WsReader::new(Role::Client, 1 << 20) }
    }
    fn send(&mut self, text: &str) {
        let mut out = SendBuf::new(4096);
        write_frame(Role::Client, Opcode::Text, text.as_bytes(), [1, 2, 3, 4], &mut out).unwrap();
        self.io.write_all(out.pending()).unwrap();
    }
    /// The next text message; `None` once the connection has ended.
    fn next(&mut self) -> Option<Value> {
        loop {
            Records::Plain.open(&mut self.recv, &mut SendBuf::new(1)).unwrap();
            while let Some(message) = self.reader.next(&mut self.recv).unwrap() {
                match message.kind {
                    Kind::Text => return Some(serde_json::from_slice(self.recv.bytes(message.range)).unwrap()),
                    Kind::Close(_) => return None,
                    _ => {}
                }
            }
            match self.io.read(self.recv.space().unwrap()) {
                Ok(n) if n > 0 => self.recv.filled(n),
                _ => return None,
            }
        }
    }
    fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let value = self.next().expect("the connection lives");
            if wanted(&value) {
                return value;
            }
        }
    }
}

fn id(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap()
}

const BUY: &str = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newOrderRespType=RESULT";
const REST_FAR: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.010&price=60000";

#[test]
fn depth_streams_are_unbroken_and_fit_the_snapshot() {
    let server = Server::start(config("")).unwrap();
    for (path, name) in [("/public/stream?streams=", "btcusdt@depth@0ms"), ("/stream?streams=", "btcusdt@depth@100ms")]
    {
        let mut socket = Socket::open(&server, &format!("{path}{name}"));
        let first = socket.next().unwrap();
        assert_eq!(first["stream"], name);
        let snapshot =
            exchange_on(&mut connect(&server), "GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", "").unwrap().1;
        let known = id(&snapshot, "lastUpdateId");
        let (mut last, mut synced) = (id(&first["data"], "u"), last_covers(&first["data"], known));
        for _ in 0..15 {
            let frame = socket.next().unwrap()["data"].clone();
            assert_eq!(id(&frame, "pu"), last, "{name}");
            last = id(&frame, "u");
            synced |= last_covers(&frame, known);
        }
        assert!(synced, "{name}: no frame of the stream covers the snapshot {known}");
    }
    assert_eq!(server.counts().slow_dropped, 0);
}

fn last_covers(frame: &Value, known: u64) -> bool {
    (id(frame, "U") <= known && known <= id(frame, "u")) || id(frame, "pu") == known
}

#[test]
fn streams_are_subscribed_listed_and_left() {
    let server = Server::start(config("")).unwrap();
    let mut socket = Socket::open(&server, "/ws");
    socket.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@bookTicker","btcusdt@markPrice@1s"],"id":"a"}"#);
    assert_eq!(socket.until(|v| v["id"] == "a")["result"], Value::Null);
    socket.until(|v| v["e"] == "bookTicker");
    let mark = socket.until(|v| v["e"] == "markPriceUpdate");
    assert_eq!(mark["T"].as_i64().unwrap() % 28_800_000, 0, "funding is due at its hour: {mark}");
    let age = run::clock().as_millis() - mark["E"].as_i64().unwrap();
    assert!((-1500..1500).contains(&age), "times are those of now: {age} ms");
    socket.send(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"],"id":2}"#);
    socket.until(|v| v["id"] == 2);
    socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#);
    assert_eq!(socket.until(|v| v["id"] == 3)["result"], serde_json::json!(["btcusdt@markPrice@1s"]));
    socket.send("{");
    assert!(socket.until(|v| v["error"].is_object())["error"]["msg"].as_str().unwrap().contains("method"));
    for _ in 0..12 {
        socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":4}"#);
    }
    while socket.next().is_some() {}
}

#[test]
fn candles_and_the_streams_of_every_market_are_told() {
    let server = Server::start(config("")).unwrap();
    let mut socket = Socket::open(&server, "/market/stream?streams=btcusdt@kline_1m/!ticker@arr/!bookTicker");
    let candle = socket.until(|v| v["stream"] == "btcusdt@kline_1m")["data"]["k"].clone();
    assert_eq!((&candle["i"], &candle["x"], &candle["s"]), (&"1m".into(), &false.into(), &"BTCUSDT".into()));
    assert_eq!(id(&candle, "T") - id(&candle, "t"), 59_999);
    let price = |key: &str| candle[key].as_str().unwrap().parse::<f64>().unwrap();
    assert!(price("l") <= price("c") && price("c") <= price("h") && price("v") > 0.0, "{candle}");
    assert!(id(&candle, "f") <= id(&candle, "L") && id(&candle, "n") > 0, "{candle}");
    let tickers = socket.until(|v| v["stream"] == "!ticker@arr")["data"].clone();
    assert_eq!((&tickers[0]["e"], &tickers[0]["s"]), (&"24hrTicker".into(), &"BTCUSDT".into()));
    assert_eq!(socket.until(|v| v["stream"] == "!bookTicker")["data"]["s"], "BTCUSDT");
}

#[test]
fn an_order_is_told_on_the_private_stream_and_booked() {
    let server = Server::start(config("")).unwrap();
    let mut rest = connect(&server);
    let (_, body, _) = exchange_on(&mut rest, "POST", "/fapi/v1/listenKey", "").unwrap();
    let key = body["listenKey"].as_str().unwrap();
    let mut all = Socket::open(&server, &format!("/private/ws?listenKey={key}"));
    let mut some = Socket::open(&server, &format!("/private/stream?listenKey={key}&events=ACCOUNT_UPDATE"));
    let (status, body) = signed(&server, "POST", "/fapi/v1/order", BUY).unwrap();
    assert_eq!((status, &body["status"]), (200, &"FILLED".into()), "{body}");
    let fee = all.until(|v| v["o"]["x"] == "TRADE")["o"]["n"].as_str().unwrap().to_owned();
    assert_eq!(all.next().unwrap()["e"], "ACCOUNT_UPDATE");
    assert_eq!(some.next().unwrap()["data"]["e"], "ACCOUNT_UPDATE", "only what was asked for");
    assert_eq!(server.position(ME, InstrumentId(0), PositionSide::Net), Lots(10));
    assert_eq!(server.ledger(ME).sum(EntryKind::Fee), -Money::parse(fee.as_bytes()).unwrap());
    assert!(exchange_on(&mut rest, "GET", "/fapi/v1/time", "").unwrap().2.contains(&"X-MBX-USED-WEIGHT-1M".to_owned()));
    server.stop();
    assert_eq!(server.open_orders(ME), [], "it can be asked after its end");
    assert_eq!(server.position(ME, InstrumentId(0), PositionSide::Net), Lots(10));
    assert_eq!(server.error(), None);
}

#[test]
fn tls_with_the_own_certificate_and_an_http_connection_that_stays() {
    let server = Server::start(ServerConfig { tls: true, ..config("") }).unwrap();
    let pem = server.cert_pem().unwrap().to_owned();
    let tls = client_config(Roots::Pem(pem.as_bytes())).unwrap();
    let mut io = connect(&server);
    let mut recv = RecvBuf::new(1 << 17);
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let records = client_handshake(tls, name, &mut io, &mut recv).unwrap();
    let mut stream = Stream::new(io, records, recv, SendBuf::new(1 << 16));
    for _ in 0..3 {
        assert_eq!(exchange_on(&mut stream, "GET", "/fapi/v1/ping", "").unwrap().0, 200);
    }
    assert_eq!(server.counts().connections, 1);
    assert!(server.rest_url().starts_with("https://127.0.0.1:"));
}

#[test]
fn bad_bytes_are_refused_and_a_taken_port_is_named() {
    let server = Server::start(config("")).unwrap();
    let mut io = connect(&server);
    io.write_all(b"NONSENSE\r\n\r\n").unwrap();
    let mut text = String::new();
    io.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    assert_eq!(exchange_on(&mut connect(&server), "GET", "/sapi/v1/anything", "").unwrap().0, 404);
    assert_eq!(exchange_on(&mut connect(&server), "GET", "/ws", "").unwrap().0, 400, "not an upgrade");
    let taken = Server::start(ServerConfig { listen: server.addr(), ..config("") });
    let message = taken.err().unwrap().to_string();
    assert!(message.contains(&server.addr().to_string()) && message.contains("in use"), "{message}");
}

#[test]
fn who_does_not_read_is_dropped_and_counted() {
    let server = Server::start(ServerConfig { output_max: 64 * 1024, ..config("") }).unwrap();
    let names = "btcusdt@depth@0ms/btcusdt@depth20@100ms/btcusdt@bookTicker/btcusdt@trade";
    let _deaf = Socket::open(&server, &format!("/stream?streams={names}"));
    // The kernel's buffers take megabytes before the server's own limit counts: fill them through answers.
    let mut loud = Socket::open(&server, "/ws-fapi/v1");
    loud.io.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut out = SendBuf::new(4096);
    let ask = br#"{"id":1,"method":"exchangeInfo"}"#;
    write_frame(Role::Client, Opcode::Text, ask, [1, 2, 3, 4], &mut out).unwrap();
    let began = Instant::now();
    while server.counts().slow_dropped == 0 && began.elapsed() < Duration::from_secs(20) {
        for _ in 0..200 {
            if loud.io.write_all(out.pending()).is_err() {
                break;
            }
        }
    }
    assert!(server.counts().slow_dropped > 0, "{:?}", server.counts());
}

#[test]
fn a_gap_breaks_the_chain_once() {
    let server = Server::start(config("at=300ms gap")).unwrap();
    let mut socket = Socket::open(&server, "/ws/btcusdt@depth@0ms");
    let mut last = id(&socket.next().unwrap(), "u");
    let mut breaks = 0;
    for _ in 0..20 {
        let frame = socket.next().unwrap();
        breaks += u32::from(id(&frame, "pu") != last);
        last = id(&frame, "u");
    }
    assert_eq!((breaks, server.counts().faults), (1, 1));
}

#[test]
fn silence_and_disconnects_come_by_the_script() {
    let server = Server::start(config("at=200ms for=600ms silence; at=1200ms disconnect")).unwrap();
    let mut socket = Socket::open(&server, "/ws/btcusdt@depth@0ms");
    let (mut longest, mut before) = (Duration::ZERO, Instant::now());
    while socket.next().is_some() {
        longest = longest.max(before.elapsed());
        before = Instant::now();
    }
    assert!(longest >= Duration::from_millis(450), "{longest:?}");
}

#[test]
fn a_pending_order_is_carried_out_though_its_answer_is_lost() {
    let server = Server::start(config("disconnect-pending")).unwrap();
    assert_eq!(signed(&server, "POST", "/fapi/v1/order", &format!("{REST_FAR}&newClientOrderId=a")), None);
    let (_, found) = signed(&server, "GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a").unwrap();
    assert_eq!(found["status"], "NEW");
}

#[test]
fn requests_are_struck_by_rejects_limits_and_unknown_outcomes() {
    let server = Server::start(config("post-only-reject; reject; count=2 unknown")).unwrap();
    let place = || signed(&server, "POST", "/fapi/v1/order", REST_FAR).unwrap();
    assert_eq!([place().1["code"].clone(), place().1["code"].clone()], [-5022, -2010]);
    let before = server.open_orders(ME).len();
    for _ in 0..2 {
        let (status, body) = place();
        assert_eq!(status, 503);
        assert!(body["msg"].as_str().unwrap().starts_with("Unknown error"));
    }
    let after = server.open_orders(ME).len();
    assert!((before..=before + 2).contains(&after));
    assert_eq!(place().0, 200);
    let server = Server::start(config("429; 418")).unwrap();
    let (status, _, headers) = exchange_on(&mut connect(&server), "GET", "/fapi/v1/time", "").unwrap();
    assert!(status == 429 && headers.contains(&"Retry-After".to_owned()));
    assert_eq!(exchange_on(&mut connect(&server), "GET", "/fapi/v1/time", "").unwrap().0, 418);
}

#[test]
fn fills_come_twice_or_swapped_and_partly_by_the_script() {
    let server = Server::start(config("duplicate-fills; at=2s partial-fill")).unwrap();
    let (_, body, _) = exchange_on(&mut connect(&server), "POST", "/fapi/v1/listenKey", "").unwrap();
    let mut private = Socket::open(&server, &format!("/ws/{}", body["listenKey"].as_str().unwrap()));
    signed(&server, "POST", "/fapi/v1/order", BUY).unwrap();
    let trade = |v: &Value| v["o"]["x"] == "TRADE";
    let first = private.until(trade);
    assert_eq!(private.until(trade), first, "the same fill again");
    signed(&server, "POST", "/fapi/v1/order", REST_FAR).unwrap();
    let part = private.until(|v| trade(v) && v["o"]["X"] == "PARTIALLY_FILLED");
    assert_eq!((&part["o"]["l"], &part["o"]["m"]), (&"0.005".into(), &true.into()));
    assert_eq!(server.open_orders(ME)[0].side, Side::Buy);
}

#[test]
fn a_skewed_clock_refuses_the_right_time() {
    let server = Server::start(config("clock-skew=10s")).unwrap();
    assert_eq!(signed(&server, "POST", "/fapi/v1/order", REST_FAR).unwrap().1["code"], -1021);
    let (_, body, _) = exchange_on(&mut connect(&server), "GET", "/fapi/v1/time", "").unwrap();
    assert!(body["serverTime"].as_i64().unwrap() > run::clock().as_millis() + 9_000);
}

#[test]
fn a_recording_is_played_with_its_own_frames_at_the_times_of_now() {
    use crate::sim::capture::CaptureMarket;
    let folder =
        std::env::var("SPINQUOTE_DATA").unwrap_or_else(|_| format!("{}/../shared/data", env!("CARGO_MANIFEST_DIR")));
    let file = std::path::Path::new(&folder).join("binance_usdm/btcusdt_20240808.gz");
    if !file.exists() {
        eprintln!("left out: no recording at {}", file.display());
        return;
    }
    let market = CaptureMarket::open(&file, None).unwrap();
    let accounts = vec![AccountConfig::new("key", "secret")];
    let server =
        Server::start(ServerConfig { tls: false, ..ServerConfig::new(vec![Box::new(market)], accounts) }).unwrap();
    let mut socket = Socket::open(&server, "/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker/btcusdt@trade");
    let (mut last, mut frames) = (None, 0);
    let mut kinds = std::collections::BTreeSet::new();
    while frames < 20 || kinds.len() < 3 {
        let value = socket.next().unwrap();
        let frame = &value["data"];
        kinds.insert(frame["e"].as_str().unwrap().to_owned());
        let age = run::clock().as_millis() - frame["E"].as_i64().unwrap();
        assert!((-2000..2000).contains(&age), "{age} ms");
        if frame["e"] == "depthUpdate" {
            assert!(last.is_none_or(|l| l == id(frame, "pu")));
            last = Some(id(frame, "u"));
            frames += 1;
        }
    }
    let touch = server.with(|e, _| [Side::Buy, Side::Sell].map(|s| e.matching(InstrumentId(0)).best(s).unwrap().price));
    assert!(touch[0] < touch[1], "{touch:?}");
}
