//! What clients say: HTTP requests, upgrades, stream commands and WebSocket API requests; and the faults that strike them.

use super::connection::{Connection, Gone, Talk, Ws};
use super::run::{Runner, websocket};
use super::stream;
use crate::sim::fault::FaultKind;
use crate::sim::order::Reject;
use crate::sim::protocol::{ApiError, Object, Op, Protocol, Reply, Rest, array, banned, too_many};
use crate::unit::Nanos;
use crate::wire::http;
use crate::wire::ws::{self, Kind, Opcode};
use serde_json::Value;

/// Streams of one connection.
const STREAMS_MAX: usize = 1024;
/// Messages a second that a stream connection may send.
const INBOUND_MAX: u32 = 10;

/// What the rate-limit fault asks to wait; the venue itself says what is left of the minute.
const RATE_LIMIT_SECONDS: u32 = 5;

/// What a fault does to a request.
enum Strike {
    /// Carry it out and answer.
    None,
    /// Refuse it.
    Refuse(ApiError),
    /// Carry it out and answer this instead.
    Instead(ApiError),
    /// Carry it out and drop the connection.
    Drop,
}

impl Runner {
    /// Works on all whole requests of a connection.
    pub(super) fn requests(&mut self, connection: &mut Connection) {
        while connection.gone.is_none() && !connection.closing {
            let more = match connection.talk {
                Talk::Handshake(_) => false,
                Talk::Http => self.http(connection),
                Talk::Ws(_) => self.message(connection),
            };
            if !more {
                return;
            }
        }
    }

    /// One HTTP request; false if none is whole.
    fn http(&mut self, connection: &mut Connection) -> bool {
        let (now, release) = (self.now, self.release());
        let mut out = Vec::new();
        let (size, keep, upgrade) = match http::parse_request(connection.recv.plain()) {
            Ok(None) => {
                let plain = connection.recv.plain();
                let head = http::parse_request_head(plain).ok().flatten();
                if head.is_some_and(|(head, size)| head.expect_continue && size == plain.len()) {
                    http::write_response_head(&mut out, 100, &[]);
                }
                (0, true, None)
            }
            Err(error) => {
                let body = format!("{{\"code\":-1100,\"msg\":\"{error}\"}}");
                http::write_response(&mut out, error.status(), &[("Connection", "close")], body.as_bytes());
                (connection.recv.plain().len(), false, None)
            }
            Ok(Some((request, size))) => {
                let mut upgrade = None;
                if let Some(endpoint) = stream::endpoint(request.path, request.query) {
                    match ws::server_accept(&request) {
                        Ok(answer) => {
                            out = answer;
                            upgrade = Some(endpoint);
                        }
                        Err(error) => {
                            let body = format!("{{\"code\":-1100,\"msg\":\"{error}\"}}");
                            http::write_response(&mut out, 400, &[], body.as_bytes());
                        }
                    }
                } else {
                    let rest = Rest {
                        method: request.method,
                        path: request.path,
                        query: request.query,
                        body: &request.body,
                        api_key: request.header("x-mbx-apikey"),
                    };
                    match self.rest(&rest) {
                        Some(reply) => write_reply(&mut out, &reply, request.keep_alive),
                        None => {
                            connection.gone = Some(Gone::Ours);
                            return false;
                        }
                    }
                    self.counts.rest += 1;
                    self.counts.signed += u64::from(rest.api_key.is_some() || rest.query.contains("signature="));
                }
                (size, request.keep_alive, upgrade)
            }
        };
        connection.recv.consume(size);
        if !out.is_empty() {
            connection.send(now, release, &out);
        }
        if size == 0 {
            return false;
        }
        if let Some(endpoint) = upgrade {
            let ws = websocket(endpoint, now, &self.exchange, self.spot.as_ref(), self.protocol.credentials());
            connection.talk = Talk::Ws(Box::new(ws));
        } else if !keep {
            connection.closing = true;
        }
        true
    }

    /// Answers a REST request; `None` drops the connection.
    fn rest(&mut self, rest: &Rest<'_>) -> Option<Reply> {
        let now = self.now + self.skew();
        if let Some(spot) = self.spot.as_ref().filter(|_| rest.path.starts_with("/api/v3/")) {
            return Some(spot.rest(now, rest.method, rest.path, rest.query));
        }
        let strike = self.strike(Protocol::route(rest));
        if let Strike::Refuse(error) = &strike {
            let mut reply = Reply::default();
            self.protocol.refuse(error, &mut reply);
            return Some(reply);
        }
        let mut reply = self.with_world(|protocol, world| protocol.rest(now, world, rest));
        match strike {
            Strike::Drop => return None,
            Strike::Instead(error) => self.protocol.refuse(&error, &mut reply),
            _ => {}
        }
        Some(reply)
    }

    /// Which fault strikes a request.
    fn strike(&mut self, op: Option<Op>) -> Strike {
        let Some(op) = op else { return Strike::None };
        let now = self.now;
        if self.faults.strikes(now, FaultKind::RateLimit) {
            let error = too_many(now, "Too many requests; please use the websocket for live updates.");
            return Strike::Refuse(ApiError { retry_after: Some(RATE_LIMIT_SECONDS), ..error });
        }
        if self.faults.strikes(now, FaultKind::Ban) {
            return Strike::Refuse(banned(now, now + Nanos::from_secs(120)));
        }
        if op.places() {
            if self.faults.strikes(now, FaultKind::PostOnlyReject) {
                return Strike::Refuse(Reject::PostOnly.into());
            }
            if self.faults.strikes(now, FaultKind::Reject) {
                return Strike::Refuse(Reject::Rejected.into());
            }
        }
        if op.is_order() {
            if self.faults.strikes(now, FaultKind::Unknown) {
                let msg = "Unknown error, please check your request or try again later.";
                let error = ApiError::with_status(503, -1007, msg);
                return if self.faults.coin() { Strike::Instead(error) } else { Strike::Refuse(error) };
            }
            if self.faults.strikes(now, FaultKind::DisconnectPending) {
                return Strike::Drop;
            }
        }
        Strike::None
    }

    /// One WebSocket message; false if none is whole.
    fn message(&mut self, connection: &mut Connection) -> bool {
        let (now, release) = (self.now, self.release());
        let Talk::Ws(ws) = &mut connection.talk else { unreachable!("asked for a WebSocket message") };
        let message = match ws.reader.next(&mut connection.recv) {
            Ok(Some(message)) => message,
            Ok(None) => return false,
            Err(error) => {
                connection.close(now, &mut self.staging, error.close_code(), "");
                self.counts.protocol_dropped += 1;
                return false;
            }
        };
        ws.answered = now;
        let payload = connection.recv.bytes(message.range.clone()).to_vec();
        match message.kind {
            Kind::Ping => connection.frame(now, release, &mut self.staging, Opcode::Pong, &payload),
            Kind::Pong => {}
            Kind::Close(code) => {
                connection.close(now, &mut self.staging, code.unwrap_or(1000), "");
                return false;
            }
            Kind::Text | Kind::Binary => {
                if ws.api {
                    self.api(connection, &payload);
                } else {
                    self.command(connection, &payload);
                }
            }
        }
        true
    }

    /// A WebSocket API request.
    fn api(&mut self, connection: &mut Connection, text: &[u8]) {
        let (now, skewed, release) = (self.now, self.now + self.skew(), self.release());
        self.counts.ws_api += 1;
        let strike = self.strike(Protocol::method(text));
        let mut out = Vec::with_capacity(1024);
        if !matches!(strike, Strike::Refuse(_)) {
            let ws = connection.ws().expect("an API connection");
            let mut session = ws.session;
            self.with_world(|protocol, world| protocol.ws_api(skewed, world, &mut session, text, &mut out));
            connection.ws().expect("an API connection").session = session;
        }
        match strike {
            Strike::Drop => {
                connection.gone = Some(Gone::Ours);
                return;
            }
            Strike::Refuse(error) | Strike::Instead(error) => {
                let message: Value = serde_json::from_slice(text).unwrap_or(Value::Null);
                let id = message.get("id").cloned().unwrap_or(Value::Null);
                out.clear();
                self.protocol.ws_answer(skewed, &id, Err(error), None, true, &mut out);
            }
            Strike::None => {}
        }
        connection.text(now, release, &mut self.staging, &out);
    }

    /// SUBSCRIBE and its kin on a stream connection.
    fn command(&mut self, connection: &mut Connection, text: &[u8]) {
        let (now, release) = (self.now, self.release());
        let ws = connection.ws().expect("a stream connection");
        let second = now.0 / 1_000_000_000;
        if ws.inbound.0 != second {
            ws.inbound = (second, 0);
        }
        ws.inbound.1 += 1;
        if ws.inbound.1 > INBOUND_MAX {
            connection.close(now, &mut self.staging, 1008, "Too many requests");
            return;
        }
        let message: Value = serde_json::from_slice(text).unwrap_or(Value::Null);
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let mut out = Vec::new();
        match self.subscription(ws, &message) {
            Ok(result) => {
                let mut object = Object::new(&mut out);
                object.key("result").extend_from_slice(&result);
                object.raw("id", &id.to_string()).end();
            }
            Err(msg) => {
                let mut object = Object::new(&mut out);
                Object::new(object.key("error")).int("code", 2).str("msg", &msg).end();
                object.raw("id", &id.to_string()).end();
            }
        }
        connection.text(now, release, &mut self.staging, &out);
    }

    fn subscription(&self, ws: &mut Ws, message: &Value) -> Result<Vec<u8>, String> {
        let method = message.get("method").and_then(Value::as_str).ok_or("Invalid request: missing field `method`")?;
        let names = || {
            let list = message.get("params").and_then(Value::as_array);
            let names = list.map(|l| l.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
            names.flatten().ok_or("Invalid request: params must be an array of stream names")
        };
        let done = b"null".to_vec();
        match method {
            "SUBSCRIBE" => {
                for name in names()? {
                    if ws.subscriptions.iter().any(|s| s.name == name) {
                        continue;
                    }
                    if ws.subscriptions.len() == STREAMS_MAX {
                        return Err(format!("Invalid request: more than {STREAMS_MAX} streams"));
                    }
                    let parsed = match ws.spot {
                        true => stream::parse_spot(&name, self.spot.as_ref()),
                        false => stream::parse(&name, self.now, &self.exchange, self.protocol.credentials()),
                    };
                    ws.subscriptions.push(parsed);
                }
                Ok(done)
            }
            "UNSUBSCRIBE" => {
                let names = names()?;
                ws.subscriptions.retain(|s| !names.contains(&s.name));
                Ok(done)
            }
            "LIST_SUBSCRIPTIONS" => {
                let mut out = Vec::new();
                array(&mut out, &ws.subscriptions, |out, s| crate::wire::json::write_string(&s.name, out));
                Ok(out)
            }
            "SET_PROPERTY" => {
                let list = message.get("params").and_then(Value::as_array);
                let on = list.and_then(|l| l.get(1)).and_then(Value::as_bool);
                ws.combined = on.ok_or("Invalid request: params must be [\"combined\", true|false]")?;
                Ok(done)
            }
            "GET_PROPERTY" => Ok(ws.combined.to_string().into_bytes()),
            other => Err(format!("Invalid request: unknown variant `{other}`")),
        }
    }
}

fn write_reply(out: &mut Vec<u8>, reply: &Reply, keep_alive: bool) {
    let mut headers = vec![("Content-Type", "application/json;charset=UTF-8")];
    headers.extend(reply.headers.iter().map(|(name, value)| (*name, value.as_str())));
    if !keep_alive {
        headers.push(("Connection", "close"));
    }
    http::write_response(out, reply.status, &headers, &reply.body);
}
