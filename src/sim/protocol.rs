//! The venue's protocol over the typed exchange: REST and WebSocket API requests in, JSON answers and private frames out.
//! Checks keys, signatures, the time window and rate limits. Pure: no socket, no clock.

mod account;
mod auth;
mod limits;
mod params;
pub mod private;
mod public;
mod route;
#[cfg(test)]
mod tests;
mod text;
mod trade;

pub use auth::{Credentials, KeyError, KeyId, LISTEN_KEY_LIFE, rest_payload, ws_payload};
pub use limits::{LimitTerms, Limits, banned, too_many};
pub use params::{ApiError, Params};
pub use route::Op;
pub use text::{Object, array};

use route::{METHODS, Security, extra_weight, find_route};

use crate::event::Level;
use crate::instrument::InstrumentId;
use crate::sim::exchange::Exchange;
use crate::sim::order::{AccountId, Request, Response};
use crate::sim::tape::Tape;
use crate::unit::{Nanos, Seq};
use serde_json::Value;

/// Where depth snapshots come from.
pub trait Books {
    /// Writes the best `limit` levels a side; returns the update id they are true at.
    fn snapshot(&self, id: InstrumentId, limit: usize, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Seq;
}

/// Everything that a request may look at.
pub struct World<'a> {
    /// The exchange.
    pub exchange: &'a mut Exchange,
    /// What each market told lately, by instrument.
    pub tapes: &'a [Tape],
    /// Depth.
    pub books: &'a dyn Books,
}

/// A REST request.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'a> {
    /// Method.
    pub method: &'a str,
    /// Path.
    pub path: &'a str,
    /// Query as sent.
    pub query: &'a str,
    /// Body as sent.
    pub body: &'a [u8],
    /// `X-MBX-APIKEY`.
    pub api_key: Option<&'a str>,
}

/// The answer to a REST request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers other than length and connection.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// A connection of the WebSocket API: who is logged on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Since when and with which key.
    pub logged_on: Option<(KeyId, Nanos)>,
    /// When it connected.
    pub connected: Nanos,
}

/// The protocol's own state: keys, limits, listen keys.
#[derive(Debug)]
pub struct Protocol {
    credentials: Credentials,
    limits: Limits,
}

impl Protocol {
    /// With these keys and limits.
    #[must_use]
    pub fn new(credentials: Credentials, terms: LimitTerms) -> Self {
        Self { credentials, limits: Limits::new(terms, 256) }
    }

    /// The keys.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The keys, for what lapses with time.
    pub fn credentials_mut(&mut self) -> &mut Credentials {
        &mut self.credentials
    }

    /// What a REST request asks for, if it exists.
    #[must_use]
    pub fn route(rest: &Rest<'_>) -> Option<Op> {
        find_route(rest).ok().map(|r| r.2)
    }

    /// What a WebSocket API message asks for, if it exists.
    #[must_use]
    pub fn method(text: &[u8]) -> Option<Op> {
        #[derive(serde::Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            method: std::borrow::Cow<'a, str>,
        }
        let head: Head<'_> = serde_json::from_slice(text).ok()?;
        METHODS.iter().find(|m| m.0 == head.method).map(|m| m.1)
    }

    /// Answers a REST request.
    pub fn rest(&mut self, now: Nanos, world: &mut World<'_>, rest: &Rest<'_>) -> Reply {
        let mut reply = Reply { status: 200, ..Reply::default() };
        let mut key = None;
        if let Err(error) = self.rest_or(now, world, rest, &mut reply.body, &mut key) {
            self.refuse(&error, &mut reply);
        }
        let weight = self.limits.weight_used(now).to_string();
        reply.headers.push(("X-MBX-USED-WEIGHT-1M", weight));
        if let Some(key) = key {
            let (ten, minute) = self.limits.orders_used(now, usize::from(key.0));
            reply.headers.push(("X-MBX-ORDER-COUNT-10S", ten.to_string()));
            reply.headers.push(("X-MBX-ORDER-COUNT-1M", minute.to_string()));
        }
        reply
    }

    /// Makes a reply of a refusal, for the server's own ones too.
    pub fn refuse(&self, error: &ApiError, reply: &mut Reply) {
        reply.status = error.status;
        reply.body.clear();
        Object::new(&mut reply.body).int("code", i64::from(error.code)).str("msg", &error.msg).end();
        if let Some(seconds) = error.retry_after {
            reply.headers.push(("Retry-After", seconds.to_string()));
        }
    }

    fn rest_or(
        &mut self,
        now: Nanos,
        world: &mut World<'_>,
        rest: &Rest<'_>,
        out: &mut Vec<u8>,
        key_out: &mut Option<KeyId>,
    ) -> Result<(), ApiError> {
        let &(_, _, op, security, weight) = find_route(rest)?;
        let params = Params::from_form(rest.query, rest.body)?;
        self.limits.request(now, weight + extra_weight(op, &params))?;
        let key = match security {
            Security::Public => None,
            Security::Key | Security::Signed => Some(self.credentials.find(rest.api_key)?),
        };
        if let (Security::Signed, Some(key)) = (security, key) {
            let signature = params.need("signature")?;
            Credentials::check_time(now, &params)?;
            let body = std::str::from_utf8(rest.body).map_err(|_| ApiError::missing("signature"))?;
            let payload = auth::rest_payload(rest.query, body.trim());
            self.credentials.check_signature(key, payload.as_bytes(), signature)?;
        }
        if op.is_order() {
            *key_out = key;
        }
        self.act(now, world, op, key, &params, out)
    }

    /// Answers a WebSocket API message; always writes one answer.
    pub fn ws_api(&mut self, now: Nanos, world: &mut World<'_>, session: &mut Session, text: &[u8], out: &mut Vec<u8>) {
        let message: Value = serde_json::from_slice(text).unwrap_or(Value::Null);
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let mut result = Vec::new();
        let mut key = None;
        let done = self.ws_api_or(now, world, session, &message, &mut result, &mut key);
        let limits = message.pointer("/params/returnRateLimits").and_then(Value::as_bool).unwrap_or(true);
        self.ws_answer(now, &id, done.map(|()| result.as_slice()), key, limits, out);
    }

    /// Writes an answer of the WebSocket API, for the server's own ones too.
    pub fn ws_answer(
        &mut self,
        now: Nanos,
        id: &Value,
        done: Result<&[u8], ApiError>,
        key: Option<KeyId>,
        with_limits: bool,
        out: &mut Vec<u8>,
    ) {
        let mut object = Object::new(out);
        object.raw("id", &id.to_string());
        match done {
            Ok(result) => {
                object.int("status", 200);
                object.key("result").extend_from_slice(result);
            }
            Err(error) => {
                object.int("status", i64::from(error.status));
                let mut body = Object::new(object.key("error"));
                body.int("code", i64::from(error.code)).str("msg", &error.msg);
                if let Some(seconds) = error.retry_after {
                    let until = now.as_millis() + i64::from(seconds) * 1000;
                    Object::new(body.key("data")).int("serverTime", now.as_millis()).int("retryAfter", until).end();
                }
                body.end();
            }
        }
        if with_limits {
            let terms = *self.limits.terms();
            let mut rules = Vec::with_capacity(3);
            if let Some(key) = key {
                let (ten, minute) = self.limits.orders_used(now, usize::from(key.0));
                rules.push(("ORDERS", "SECOND", 10, terms.orders_10s, ten));
                rules.push(("ORDERS", "MINUTE", 1, terms.orders_1m, minute));
            }
            rules.push(("REQUEST_WEIGHT", "MINUTE", 1, terms.weight_1m, self.limits.weight_used(now)));
            array(object.key("rateLimits"), rules, |out, (kind, interval, number, most, count)| {
                Object::new(out)
                    .str("rateLimitType", kind)
                    .str("interval", interval)
                    .int("intervalNum", number)
                    .int("limit", i64::from(most))
                    .int("count", i64::from(count))
                    .end();
            });
        }
        object.end();
    }

    fn ws_api_or(
        &mut self,
        now: Nanos,
        world: &mut World<'_>,
        session: &mut Session,
        message: &Value,
        out: &mut Vec<u8>,
        key_out: &mut Option<KeyId>,
    ) -> Result<(), ApiError> {
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            return Err(ApiError::new(-1135, "Invalid JSON Request"));
        };
        let params = match message.get("params") {
            Some(Value::Object(object)) => Params::from_json(object),
            None | Some(Value::Null) => Params::default(),
            Some(_) => return Err(ApiError::new(-1135, "Invalid JSON Request")),
        };
        if let Some(action) = method.strip_prefix("session.") {
            return self.session(now, session, action, &params, out);
        }
        let Some(&(_, op, security, weight)) = METHODS.iter().find(|m| m.0 == method) else {
            if method.starts_with("algoOrder.") {
                return Err(ApiError::new(-4120, "Algo orders are not offered here."));
            }
            return Err(ApiError::new(-1020, format!("Method '{method}' is not supported.")));
        };
        self.limits.request(now, weight + extra_weight(op, &params))?;
        let key = match (security, params.find("apiKey"), session.logged_on) {
            (Security::Public, ..) => None,
            (_, None, Some((key, _))) => Some(key),
            (_, name, _) => Some(self.credentials.find(name)?),
        };
        if let (Security::Signed, Some(key)) = (security, key) {
            match params.find("signature") {
                // A signature may be left out after a log-on; the time may not.
                None if session.logged_on.is_some_and(|(own, _)| own == key) => Credentials::check_time(now, &params)?,
                None => return Err(ApiError::missing("signature")),
                Some(signature) => {
                    Credentials::check_time(now, &params)?;
                    let payload = auth::ws_payload(&params);
                    self.credentials.check_signature(key, payload.as_bytes(), signature)?;
                }
            }
        }
        *key_out = key.filter(|_| op.is_order());
        self.act(now, world, op, key, &params, out)
    }

    fn session(
        &mut self,
        now: Nanos,
        session: &mut Session,
        action: &str,
        params: &Params,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        self.limits.request(now, 2)?;
        match action {
            "logon" => {
                let key = self.credentials.find(params.find("apiKey"))?;
                if !self.credentials.may_log_on(key) {
                    return Err(ApiError::new(-4056, "Log-on is offered to Ed25519 keys only."));
                }
                Credentials::check_time(now, params)?;
                let payload = auth::ws_payload(params);
                self.credentials.check_signature(key, payload.as_bytes(), params.need("signature")?)?;
                session.logged_on = Some((key, now));
            }
            "logout" => session.logged_on = None,
            "status" => {}
            _ => return Err(ApiError::new(-1020, format!("Method 'session.{action}' is not supported."))),
        }
        let mut object = Object::new(out);
        match session.logged_on {
            Some((key, since)) => {
                object.str("apiKey", self.credentials.name(key)).int("authorizedSince", since.as_millis());
            }
            None => {
                object.raw("apiKey", "null").raw("authorizedSince", "null");
            }
        }
        object
            .int("connectedSince", session.connected.as_millis())
            .bool("returnRateLimits", true)
            .int("serverTime", now.as_millis())
            .end();
        Ok(())
    }

    fn act(
        &mut self,
        now: Nanos,
        world: &mut World<'_>,
        op: Op,
        key: Option<KeyId>,
        params: &Params,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        if let Some(key) = key {
            let (short, long) = match op {
                Op::Place | Op::Amend => (1, 1),
                Op::BatchPlace | Op::BatchAmend => (5, 1),
                _ => (0, 0),
            };
            if short > 0 {
                self.limits.orders(now, usize::from(key.0), short, long)?;
            }
            return self.act_as(now, world, op, key, params, out);
        }
        match op {
            Op::Ping => out.extend_from_slice(b"{}"),
            Op::Time => Object::new(out).int("serverTime", now.as_millis()).end(),
            Op::ExchangeInfo => public::exchange_info(now, world, self.limits.terms(), out),
            Op::Depth => return public::depth(now, params, world, out),
            Op::PremiumIndex => return public::premium_index(now, params, world, out),
            Op::FundingRate => public::funding_rate(out),
            Op::FundingInfo => public::funding_info(world, out),
            Op::BookTicker => return public::book_ticker(now, params, world, out),
            Op::TickerPrice => return public::ticker_price(now, params, world, out),
            Op::TickerDay => return public::ticker_day(now, params, world, out),
            Op::Trades => return public::trades(params, world, out),
            Op::AggTrades => return public::agg_trades(params, world, out),
            Op::Klines => return public::klines(params, world, out),
            other => unreachable!("{other:?} needs a key"),
        }
        Ok(())
    }

    fn act_as(
        &mut self,
        now: Nanos,
        world: &mut World<'_>,
        op: Op,
        key: KeyId,
        params: &Params,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        let who = self.credentials.account(key);
        let World { exchange, .. } = world;
        match op {
            Op::Trades => return public::trades(params, world, out),
            Op::LeverageBracket => return account::leverage_bracket(params, exchange, out),
            Op::CommissionRate => return account::commission_rate(params, exchange, out),
            Op::Account { v3 } => account::account(now, who, exchange, v3, out),
            Op::AccountConfig => account::account_config(who, exchange, out),
            Op::SymbolConfig => return account::symbol_config(who, params, exchange, out),
            Op::Balance => account::balance(now, who, exchange, out),
            Op::PositionRisk { v3 } => return account::position_risk(who, params, exchange, v3, out),
            Op::UserTrades => return account::user_trades(who, params, exchange, out),
            Op::Income => return account::income(who, params, exchange, out),
            Op::PositionMode => Object::new(out).bool("dualSidePosition", exchange.account(who).hedge()).end(),
            Op::MultiAssets => Object::new(out).bool("multiAssetsMargin", exchange.account(who).multi_assets()).end(),
            Op::SetPositionMode
            | Op::SetMultiAssets
            | Op::SetMarginType
            | Op::SetLeverage
            | Op::CancelAll
            | Op::Countdown => return settings(now, who, op, params, exchange, out),
            Op::StartListening => {
                Object::new(out).str("listenKey", self.credentials.start_listening(now, key)).end();
            }
            Op::ExtendListening => {
                Object::new(out).str("listenKey", self.credentials.extend_listening(now, key)?).end();
            }
            Op::StopListening => {
                self.credentials.stop_listening(key);
                out.extend_from_slice(b"{}");
            }
            Op::Place => return trade::place(now, who, params, exchange, out),
            Op::TestOrder => {
                trade::new_order(params, exchange)?;
                out.extend_from_slice(b"{}");
            }
            Op::Amend => return trade::amend(now, who, params, exchange, out),
            Op::Cancel => return trade::cancel(now, who, params, exchange, out),
            Op::QueryOrder => return trade::query(who, params, exchange, false, out),
            Op::OpenOrder => return trade::query(who, params, exchange, true, out),
            Op::OpenOrders => return trade::open_orders(who, params, exchange, out),
            Op::AllOrders => return trade::all_orders(who, params, exchange, out),
            Op::BatchPlace | Op::BatchAmend => {
                let run = if op == Op::BatchPlace { trade::place } else { trade::amend };
                each(trade::batch(params)?, out, |one, out| run(now, who, one, exchange, out));
            }
            Op::BatchCancel => {
                let instrument = params.symbol(exchange)?;
                each(trade::batch_cancels(params)?, out, |&order, out| {
                    let request = Request::Cancel { instrument, order };
                    let Response::Order(done) = exchange.request(now, who, &request)? else {
                        unreachable!("a cancel is answered by an order");
                    };
                    trade::order(out, exchange.instrument(instrument), &done, false);
                    Ok(())
                });
            }
            other => unreachable!("{other:?} needs no key"),
        }
        Ok(())
    }
}

/// Runs the elements of a batch; each has its own outcome in the answer.
fn each<T>(items: Vec<T>, out: &mut Vec<u8>, mut run: impl FnMut(&T, &mut Vec<u8>) -> Result<(), ApiError>) {
    array(out, items, |out, item| {
        let from = out.len();
        if let Err(error) = run(&item, out) {
            out.truncate(from);
            Object::new(out).int("code", i64::from(error.code)).str("msg", &error.msg).end();
        }
    });
}

fn settings(
    now: Nanos,
    who: AccountId,
    op: Op,
    params: &Params,
    exchange: &mut Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let flag = |name| params.flag(name)?.ok_or_else(|| ApiError::missing(name));
    match op {
        Op::SetPositionMode => {
            exchange.request(now, who, &Request::PositionMode { hedge: flag("dualSidePosition")? })?;
        }
        Op::SetMultiAssets => {
            exchange.request(now, who, &Request::MultiAssets { on: flag("multiAssetsMargin")? })?;
        }
        Op::SetMarginType => {
            let instrument = params.symbol(exchange)?;
            let isolated = match params.need("marginType")? {
                "ISOLATED" => true,
                "CROSSED" => false,
                _ => return Err(ApiError::missing("marginType")),
            };
            exchange.request(now, who, &Request::MarginType { instrument, isolated })?;
        }
        Op::SetLeverage => {
            let instrument = params.symbol(exchange)?;
            let leverage = params.int("leverage")?.ok_or_else(|| ApiError::missing("leverage"))?;
            let leverage = u32::try_from(leverage).map_err(|_| ApiError::missing("leverage"))?;
            exchange.request(now, who, &Request::Leverage { instrument, leverage })?;
            let symbol = exchange.instrument(instrument).symbol;
            Object::new(out)
                .int("leverage", i64::from(leverage))
                .str("maxNotionalValue", "100000000")
                .str("symbol", &symbol)
                .end();
            return Ok(());
        }
        Op::CancelAll => {
            let instrument = params.symbol(exchange)?;
            exchange.request(now, who, &Request::CancelAll { instrument })?;
            out.extend_from_slice(br#"{"code":200,"msg":"The operation of cancel all open order is done."}"#);
            return Ok(());
        }
        Op::Countdown => {
            let instrument = params.symbol(exchange)?;
            let millis = params.int("countdownTime")?.filter(|t| (0..=86_400_000).contains(t));
            let millis = millis.ok_or_else(|| ApiError::missing("countdownTime"))?;
            exchange.request(now, who, &Request::Countdown { instrument, after: Nanos::from_millis(millis) })?;
            let symbol = exchange.instrument(instrument).symbol;
            Object::new(out).str("symbol", &symbol).str("countdownTime", &millis.to_string()).end();
            return Ok(());
        }
        other => unreachable!("{other:?} is no setting"),
    }
    out.extend_from_slice(br#"{"code":200,"msg":"success"}"#);
    Ok(())
}
