//! Requests as clients send them, answers as they must be.

use super::*;
use crate::event::{DepthUpdate, Event};
use crate::instrument::Instrument;
use crate::sim::queue::QueueModel;
use crate::unit::{Lots, Money, Ticks};
use ring::hmac;

struct NoBook;
impl Books for NoBook {
    fn snapshot(&self, _: InstrumentId, _: usize, bids: &mut Vec<Level>, asks: &mut Vec<Level>) -> Seq {
        bids.push(Level { price: Ticks(600_000), qty: Lots(1) });
        asks.push(Level { price: Ticks(600_001), qty: Lots(2) });
        Seq(7)
    }
}

struct Client {
    protocol: Protocol,
    exchange: Exchange,
    session: Session,
    now: Nanos,
}

fn sign(payload: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), payload.as_bytes());
    tag.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

impl Client {
    fn new() -> Self {
        let btc = Instrument { price_places: 2, ..Instrument::synthetic("BTCUSDT", "0.10", "0.001") };
        let mut exchange = Exchange::new(vec![btc], 1, QueueModel::RiskAverse);
        let now = Nanos::from_secs(1_700_000_000);
        let account = exchange.open_account(now, Money::parse(b"10000").unwrap());
        let mut credentials = Credentials::default();
        credentials.add(account, "key", "secret", None).unwrap();
        let level = |p| [Level { price: Ticks(p), qty: Lots(1000) }];
        let update = DepthUpdate {
            instrument: InstrumentId(0),
            first: Seq(1),
            last: Seq(1),
            prev: Seq(0),
            venue_time: now,
            bids: &level(600_000),
            asks: &level(600_001),
        };
        exchange.market(now, &Event::Depth(update));
        let protocol = Protocol::new(credentials, LimitTerms::default());
        Self { protocol, exchange, session: Session::default(), now }
    }

    fn send(&mut self, method: &str, path: &str, query: &str, body: &str) -> (u16, Value) {
        let tapes = [Tape::default()];
        let mut world = World { exchange: &mut self.exchange, tapes: &tapes, books: &NoBook };
        let rest = Rest { method, path, query, body: body.as_bytes(), api_key: Some("key") };
        let reply = self.protocol.rest(self.now, &mut world, &rest);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    /// Signed, parameters in the query.
    fn call(&mut self, method: &str, path: &str, query: &str) -> Value {
        let query = format!("{query}{}timestamp={}", if query.is_empty() { "" } else { "&" }, self.now.as_millis());
        self.send(method, path, &format!("{query}&signature={}", sign(&query)), "").1
    }

    fn ws(&mut self, text: &str) -> Value {
        let tapes = [Tape::default()];
        let mut world = World { exchange: &mut self.exchange, tapes: &tapes, books: &NoBook };
        let mut out = Vec::new();
        self.protocol.ws_api(self.now, &mut world, &mut self.session, text.as_bytes(), &mut out);
        serde_json::from_slice(&out).unwrap()
    }
}

const ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.010&price=59999.90";

#[test]
fn an_order_lives_through_rest() {
    let mut c = Client::new();
    let placed = c.call("POST", "/fapi/v1/order", &format!("{ORDER}&newClientOrderId=a-1"));
    let keys: Vec<&String> = placed.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "orderId",
            "symbol",
            "status",
            "clientOrderId",
            "price",
            "avgPrice",
            "origQty",
            "executedQty",
            "cumQty",
            "cumQuote",
            "timeInForce",
            "type",
            "reduceOnly",
            "closePosition",
            "side",
            "positionSide",
            "stopPrice",
            "workingType",
            "priceProtect",
            "origType",
            "priceMatch",
            "selfTradePreventionMode",
            "goodTillDate",
            "updateTime"
        ]
    );
    assert_eq!((&placed["status"], &placed["price"]), (&"NEW".into(), &"59999.90".into()));
    let id = placed["orderId"].as_u64().unwrap();
    let amended =
        c.call("PUT", "/fapi/v1/order", &format!("symbol=BTCUSDT&orderId={id}&side=BUY&quantity=0.02&price=59999"));
    assert_eq!(amended["origQty"], "0.020");
    let open = c.call("GET", "/fapi/v1/openOrders", "");
    assert_eq!(open[0]["clientOrderId"], "a-1");
    let cancelled = c.call("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a-1");
    assert_eq!(cancelled["status"], "CANCELED");
    assert_eq!(c.call("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a-1")["code"], -2011);
    assert_eq!(c.call("GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a-1")["status"], "CANCELED");
    assert_eq!(c.call("GET", "/fapi/v1/order", "symbol=BTCUSDT&orderId=1")["code"], -2013);
}

#[test]
fn parameters_may_be_in_the_body_or_in_both() {
    let mut c = Client::new();
    let stamp = format!("timestamp={}", c.now.as_millis());
    let body = format!("{ORDER}&{stamp}");
    let signed = format!("{body}&signature={}", sign(&body));
    assert_eq!(c.send("POST", "/fapi/v1/order", "", &signed).0, 200);
    let both = sign(&format!("{ORDER}{stamp}"));
    assert_eq!(c.send("POST", "/fapi/v1/order", ORDER, &format!("{stamp}&signature={both}")).0, 200);
    assert_eq!(c.send("POST", "/fapi/v1/order", ORDER, &format!("{stamp}&signature={}", sign("x"))).1["code"], -1022);
    assert_eq!(c.send("POST", "/fapi/v1/order", ORDER, &stamp).1["code"], -1102);
    assert_eq!(c.send("GET", "/sapi/v1/x", "", "").0, 404);
}

#[test]
fn refusals_have_the_venues_codes() {
    let mut c = Client::new();
    for (change, code) in [
        (("59999.90", "59999.95"), -4014),
        (("59999.90", "59999.999"), -4014),
        (("0.010", "0.0105"), -1111),
        (("0.010", "0.001"), -4164),
        (("59999.90", "60000.1"), -5022),
        (("59999.90", "abc"), -1102),
        (("BTCUSDT", "XUSDT"), -1121),
        (("BUY", "HOLD"), -1117),
        (("LIMIT", "STOP"), -4120),
        (("LIMIT", "ICEBERG"), -1116),
        (("GTX", "EVER"), -1115),
        (("&price=59999.90", ""), -1102),
        (("&price=59999.90", "&price=59999.90&reduceOnly=true"), -2022),
        (("&price=59999.90", "&price=59999.90&priceMatch=QUEUE"), -5038),
        (("&price=59999.90", "&price=59999.90&newClientOrderId=a b"), -1102),
    ] {
        let answer = c.call("POST", "/fapi/v1/order", &ORDER.replace(change.0, change.1));
        let code = if change.1.contains("a b") { -1100 } else { code };
        let expected = if change.1 == "59999.999" { -1111 } else { code };
        assert_eq!(answer["code"], expected, "{change:?}: {answer}");
    }
}

#[test]
fn batches_keep_their_order_and_have_an_outcome_each() {
    let mut c = Client::new();
    let one =
        r#"{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTX","quantity":"0.010","price":"PRICE"}"#;
    let list = format!("[{},{}]", one.replace("PRICE", "59999"), one.replace("PRICE", "60001"));
    let mut encoded = Vec::new();
    crate::wire::http::encode_percent(&list, &mut encoded);
    let query = format!("batchOrders={}", String::from_utf8(encoded).unwrap());
    let answer = c.call("POST", "/fapi/v1/batchOrders", &query);
    assert_eq!((&answer[0]["status"], &answer[1]["code"]), (&"NEW".into(), &(-5022).into()));
    let id = answer[0]["orderId"].as_u64().unwrap();
    let answer = c.call("DELETE", "/fapi/v1/batchOrders", &format!("symbol=BTCUSDT&orderIdList=%5B{id}%2C5%5D"));
    assert_eq!((&answer[0]["status"], &answer[1]["code"]), (&"CANCELED".into(), &(-2011).into()));
    // The spelling of ccxt and python-binance.
    for lists in [format!("orderidlist=%5B{id}%5D"), "origclientorderidlist=%5B%22gone%22%5D".to_owned()] {
        let answer = c.call("DELETE", "/fapi/v1/batchOrders", &format!("symbol=BTCUSDT&{lists}"));
        assert_eq!(answer[0]["code"], -2011, "{lists}: {answer}");
    }
    assert_eq!(c.call("DELETE", "/fapi/v1/batchOrders", "symbol=BTCUSDT")["code"], -1102);
}

#[test]
fn the_websocket_api_signs_sorted_parameters_of_any_type() {
    let mut c = Client::new();
    let now = c.now.as_millis();
    let payload = format!(
        "apiKey=key&newOrderRespType=RESULT&price=59999&quantity=0.010&reduceOnly=false&side=BUY&symbol=BTCUSDT&timeInForce=GTX&timestamp={now}&type=LIMIT"
    );
    let text = format!(
        r#"{{"id":"x","method":"order.place","params":{{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTX","quantity":"0.010","price":"59999","reduceOnly":false,"newOrderRespType":"RESULT","apiKey":"key","timestamp":{now},"signature":"{}"}}}}"#,
        sign(&payload)
    );
    let answer = c.ws(&text);
    assert_eq!((&answer["id"], &answer["status"]), (&"x".into(), &200.into()), "{answer}");
    assert_eq!(answer["rateLimits"][0]["count"], 1);
    let answer = c.ws(&text.replace("59999", "59998"));
    assert_eq!((&answer["status"], &answer["error"]["code"]), (&400.into(), &(-1022).into()));
    assert_eq!(c.ws(r#"{"id":1,"method":"no"}"#)["error"]["code"], -1020);
    assert_eq!(c.ws("{")["id"], Value::Null);
    assert_eq!(
        c.ws(r#"{"id":null,"method":"depth","params":{"symbol":"BTCUSDT","limit":5}}"#)["result"]["lastUpdateId"],
        7
    );
    assert_eq!(Protocol::method(text.as_bytes()), Some(Op::Place));
}

#[test]
fn ed25519_keys_may_log_on_and_then_leave_the_signature_out() {
    use base64::Engine as _;
    use ed25519_dalek::pkcs8::EncodePublicKey as _;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use ed25519_dalek::{Signer as _, SigningKey};
    let mut c = Client::new();
    let secret = SigningKey::from_bytes(&[7; 32]);
    let pem = secret.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    c.protocol.credentials_mut().add(AccountId(0), "ed", "unused", Some(&pem)).unwrap();
    let now = c.now.as_millis();
    let signature = base64::engine::general_purpose::STANDARD
        .encode(secret.sign(format!("apiKey=ed&timestamp={now}").as_bytes()).to_bytes());
    let log_on = |key: &str, signature: &str| {
        format!(
            r#"{{"id":1,"method":"session.logon","params":{{"apiKey":"{key}","timestamp":{now},"signature":"{signature}"}}}}"#
        )
    };
    assert_eq!(c.ws(&log_on("key", &signature))["error"]["code"], -4056);
    assert_eq!(c.ws(&log_on("ed", &signature))["result"]["apiKey"], "ed");
    let place = format!(
        r#"{{"id":2,"method":"order.place","params":{{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTX","quantity":0.01,"price":59999,"timestamp":{now}}}}}"#
    );
    assert_eq!(c.ws(&place)["status"], 200);
    c.ws(r#"{"id":3,"method":"session.logout"}"#);
    assert_eq!(c.ws(&place)["error"]["code"], -2014);
}

#[test]
fn private_frames_have_the_venues_keys() {
    let mut c = Client::new();
    let market = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010";
    assert_eq!(c.call("POST", "/fapi/v1/order", &format!("{market}&newOrderRespType=RESULT"))["status"], "FILLED");
    let notices: Vec<_> = c.exchange.drain().collect();
    let mut seen = Vec::new();
    for notice in &notices {
        private::frames(notice, &c.exchange, c.now, |name, bytes| {
            let value: Value = serde_json::from_slice(bytes).unwrap();
            assert_eq!(value["e"], name);
            seen.push(value);
        });
    }
    let names: Vec<&str> = seen.iter().map(|v| v["e"].as_str().unwrap()).collect();
    assert_eq!(names, ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]);
    let keys: Vec<&String> = seen[2]["o"].as_object().unwrap().keys().collect();
    let expected = "s c S o f q p ap sp x X i l z L n N T t b a m R wt ot ps cp rp pP si ss V pm gtd er";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!((&seen[2]["o"]["n"], &seen[2]["o"]["L"]), (&"0.30000050".into(), &"60000.10".into()));
    assert_eq!(seen[3]["a"]["P"][0]["pa"], "0.010");
    assert_eq!(seen[3]["a"]["B"][0]["wb"], "9999.69999950");
    let risk = c.call("GET", "/fapi/v3/positionRisk", "");
    assert_eq!(risk[0]["entryPrice"], "60000.10000000");
    assert_eq!(c.call("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT")[0]["commission"], "0.30000050");
}

#[test]
fn account_pages_and_settings_answer() {
    let mut c = Client::new();
    assert_eq!(c.call("GET", "/fapi/v3/balance", "")[0]["availableBalance"], "10000.00000000");
    assert_eq!(c.call("GET", "/fapi/v2/account", "")["assets"][0]["asset"], "USDT");
    assert_eq!(c.call("GET", "/fapi/v2/positionRisk", "")[0]["leverage"], "20");
    assert_eq!(c.call("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=10")["leverage"], 10);
    assert_eq!(c.call("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=126")["code"], -4028);
    assert_eq!(c.call("POST", "/fapi/v1/positionSide/dual", "dualSidePosition=false")["code"], -4059);
    assert_eq!(c.call("POST", "/fapi/v1/positionSide/dual", "dualSidePosition=true")["code"], 200);
    assert_eq!(c.call("GET", "/fapi/v1/positionSide/dual", "")["dualSidePosition"], true);
    assert_eq!(c.call("POST", "/fapi/v1/marginType", "symbol=BTCUSDT&marginType=CROSSED")["code"], -4046);
    assert_eq!(
        c.call("POST", "/fapi/v1/countdownCancelAll", "symbol=BTCUSDT&countdownTime=1000")["countdownTime"],
        "1000"
    );
    let info = c.send("GET", "/fapi/v1/exchangeInfo", "", "").1;
    assert_eq!(info["symbols"][0]["filters"][0]["tickSize"], "0.10");
    assert_eq!(c.send("GET", "/fapi/v1/depth", "symbol=BTCUSDT&limit=7", "").1["code"], -4021);
    for (path, query) in [
        ("premiumIndex", ""),
        ("fundingRate", ""),
        ("fundingInfo", ""),
        ("ticker/bookTicker", ""),
        ("ticker/price", ""),
        ("ticker/24hr", "symbol=BTCUSDT"),
        ("trades", "symbol=BTCUSDT"),
        ("aggTrades", "symbol=BTCUSDT"),
        ("klines", "symbol=BTCUSDT&interval=1m"),
        ("ping", ""),
        ("time", ""),
    ] {
        assert_eq!(c.send("GET", &format!("/fapi/v1/{path}"), query, "").0, 200, "{path}");
    }
    for path in [
        "accountConfig",
        "symbolConfig",
        "leverageBracket",
        "income",
        "commissionRate?symbol=BTCUSDT",
        "multiAssetsMargin",
        "allOrders?symbol=BTCUSDT",
    ] {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        assert!(c.call("GET", &format!("/fapi/v1/{path}"), query).get("code").is_none(), "{path}");
    }
    let key = c.send("POST", "/fapi/v1/listenKey", "", "").1["listenKey"].clone();
    assert_eq!(c.send("PUT", "/fapi/v1/listenKey", "", "").1["listenKey"], key);
    c.send("DELETE", "/fapi/v1/listenKey", "", "");
    assert_eq!(c.send("PUT", "/fapi/v1/listenKey", "", "").1["code"], -1125);
}
