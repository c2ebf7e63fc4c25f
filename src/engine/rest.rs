//! REST calls to the venue, blocking: for the housekeeper and the order fallback. Never on the engine or I/O thread, never retries.
//! All callers of a process share one [`Budget`]: what one of them is told to wait, all wait.

use super::clock::Clock;
use crate::unit::Nanos;
use crate::venue::binance::usdm::answer;
use crate::venue::binance::usdm::limits::{Hold, Priority, Quotas, Weights};
use crate::venue::binance::usdm::rest::{self, Method, RestRequest, VenueError};
use crate::venue::binance::usdm::sign::Signer;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body, at most [`BODY_MAX`] bytes.
    pub body: Vec<u8>,
    /// `X-MBX-USED-WEIGHT-1M`.
    pub weight_1m: Option<u32>,
    /// `X-MBX-ORDER-COUNT-10S`.
    pub orders_10s: Option<u32>,
    /// `X-MBX-ORDER-COUNT-1M`.
    pub orders_1m: Option<u32>,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u32>,
}

/// Largest body that is read: exchangeInfo of the whole venue is about 2 MB.
pub const BODY_MAX: u64 = 32 << 20;

/// An answer to the question for the time that came this quickly needs no second look.
const TIME_QUICK: Nanos = Nanos::from_millis(10);
/// Looks at the venue's clock, at most.
const TIME_TRIES: u32 = 3;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Nothing reached the venue: safe to treat as not done.
    #[error("{url}: could not connect: {reason}")]
    NotSent {
        /// The address without its query.
        url: String,
        /// What failed.
        reason: String,
    },
    /// It was not sent: the request weight is used up, or the venue asked us to wait.
    #[error("{path}: held back: {hold}")]
    Held {
        /// What was to be called.
        path: &'static str,
        /// Why.
        hold: Hold,
    },
    /// The request may have been carried out.
    #[error("{url}: no answer: {reason}")]
    Unknown {
        /// The address without its query.
        url: String,
        /// What failed.
        reason: String,
    },
}

/// The public roots, or a PEM file's content.
pub(super) fn root_certs(ca: Option<&[u8]>) -> Result<RootCerts, String> {
    let Some(pem) = ca else { return Ok(RootCerts::WebPki) };
    let certificate = Certificate::from_pem(pem).map_err(|error| format!("CA certificate: {error}"))?;
    Ok(RootCerts::new_with_certs(&[certificate]))
}

/// A venue's REST endpoint with its connection pool.
pub struct Rest {
    agent: ureq::Agent,
    base: String,
    api_key: Option<String>,
}

impl Rest {
    /// `base` such as `https://fapi.binance.com`; `ca` is a PEM file's content to trust instead of the public roots;
    /// `api_key` goes into the `X-MBX-APIKEY` header of every call.
    ///
    /// # Errors
    /// The PEM holds no certificate.
    pub fn new(base: &str, ca: Option<&[u8]>, api_key: Option<&str>, timeout: Duration) -> Result<Self, String> {
        let roots = root_certs(ca)?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("spinquote/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(Duration::from_secs(5))))
            .build()
            .new_agent();
        Ok(Self { agent, base: base.trim_end_matches('/').to_owned(), api_key: api_key.map(str::to_owned) })
    }

    /// One call; `query` is already signed where it must be.
    ///
    /// # Errors
    /// See [`RestError`]; a reply with an error status is not an error here.
    pub fn call(&self, method: Method, path: &str, query: &str) -> Result<Reply, RestError> {
        let url = format!("{}{path}", self.base);
        let full = if query.is_empty() { url.clone() } else { format!("{url}?{query}") };
        let verb = match method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        };
        let mut request = ureq::http::Request::builder().method(verb).uri(full);
        if let Some(key) = &self.api_key {
            request = request.header("X-MBX-APIKEY", key);
        }
        let sent = match method {
            Method::Get | Method::Delete => request.body(()).map(|request| self.agent.run(request)),
            Method::Post | Method::Put => request.body("").map(|request| self.agent.run(request)),
        };
        let sent = sent.map_err(|error| RestError::NotSent { url: url.clone(), reason: error.to_string() })?;
        let mut response = sent.map_err(|error| failure(&url, &error))?;
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.trim().parse().ok();
        let mut reply = Reply {
            status: response.status().as_u16(),
            weight_1m: number("x-mbx-used-weight-1m"),
            orders_10s: number("x-mbx-order-count-10s"),
            orders_1m: number("x-mbx-order-count-1m"),
            retry_after: number("retry-after"),
            body: Vec::new(),
        };
        let body = response.body_mut().with_config().limit(BODY_MAX).read_to_vec();
        reply.body = body.map_err(|error| RestError::Unknown { url, reason: format!("body cut: {error}") })?;
        Ok(reply)
    }
}

/// Why a call gave nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No reply.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The venue refused.
    #[error("{path}: {error}")]
    Venue {
        /// What was called.
        path: &'static str,
        /// The venue's words.
        error: VenueError,
    },
}

/// The request weight of this address and the venue's word to wait, shared by all that send requests. Times are the venue's.
pub struct Budget {
    weights: Mutex<Weights>,
    /// The same as in `weights`, for the I/O thread to read before each message.
    held_until: AtomicI64,
}

impl Default for Budget {
    /// With the venue's documented limit.
    fn default() -> Self {
        Self { weights: Mutex::new(Weights::new(Quotas::default().weight_1m)), held_until: AtomicI64::new(0) }
    }
}

impl Budget {
    fn weights(&self) -> MutexGuard<'_, Weights> {
        // Plain counts: they are whole even if a holder panicked.
        self.weights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The venue's own limit, once it is known.
    pub fn set_most(&self, weight_1m: u32) {
        self.weights().set_most(weight_1m);
    }

    /// Counts a message that went another way than REST.
    pub fn spend(&self, weight: u32, now: Nanos) {
        if weight > 0 {
            let _ = self.weights().take(weight, Priority::Urgent, now);
        }
    }

    /// Weight used in this minute, by our count or the venue's, whichever is larger.
    pub fn used(&self, now: Nanos) -> u32 {
        self.weights().used(now)
    }

    /// The venue asked for silence.
    pub fn back_off(&self, now: Nanos, span: Nanos) {
        let mut weights = self.weights();
        weights.back_off(now, span);
        self.held_until.store(weights.held_until().0, Ordering::Release);
    }

    /// Until when nothing may be sent; in the past normally.
    #[must_use]
    pub fn held_until(&self) -> Nanos {
        Nanos(self.held_until.load(Ordering::Acquire))
    }

    fn take(&self, request: &RestRequest, now: Nanos) -> Result<(), RestError> {
        let taken = self.weights().take(request.weight, request.priority, now);
        taken.map_err(|hold| RestError::Held { path: request.path, hold })
    }

    /// What an answer says about the limits.
    fn heard(&self, reply: &Reply, now: Nanos) {
        if let Some(used) = reply.weight_1m {
            self.weights().heard(used, now);
        }
        let code = rest::body(reply.status, &reply.body).err().map_or(0, |error| error.code);
        let asked = reply.retry_after.map(|seconds| Nanos::from_secs(i64::from(seconds)));
        if let Some(span) = answer::back_off(reply.status, code, asked) {
            tracing::warn!("the venue answered {} and asked to wait {} ms", reply.status, span.as_millis());
            self.back_off(now, span);
        }
    }
}

/// An account at a venue's REST endpoint: calls are stamped with the venue's time and signed.
pub struct Caller {
    rest: Rest,
    signer: Option<Signer>,
    clock: Clock,
    offset: Arc<AtomicI64>,
    recv_window: Nanos,
    budget: Arc<Budget>,
    insists: bool,
}

impl Caller {
    /// Without a signer only unsigned calls can be made. Has a budget of its own until [`Caller::sharing`].
    #[must_use]
    pub fn new(rest: Rest, signer: Option<Signer>, clock: Clock, offset: Arc<AtomicI64>, recv_window: Nanos) -> Self {
        Self { rest, signer, clock, offset, recv_window, budget: Arc::default(), insists: false }
    }

    /// The same, counting with others of the same address.
    #[must_use]
    pub fn sharing(self, budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), ..self }
    }

    /// The same, calling even while the venue wants silence: for the last look at open orders, which nobody takes after us.
    #[must_use]
    pub fn insisting(self) -> Self {
        Self { insists: true, ..self }
    }

    /// The venue's time as we think it is.
    fn venue_now(&self) -> Nanos {
        self.clock.now() + self.offset()
    }

    /// Waits until the venue hears us again, for at most `most`; false if it still does not.
    #[must_use]
    pub fn wait_for_hearing(&self, most: Duration) -> bool {
        let left = Nanos((self.budget.held_until() - self.venue_now()).0.max(0));
        let left = Duration::from_nanos(left.0.unsigned_abs());
        std::thread::sleep(left.min(most));
        left <= most
    }

    /// One call; a reply with an error status is not an error here.
    ///
    /// # Errors
    /// See [`RestError`].
    ///
    /// # Panics
    /// A signed call without a signer: a bug of the caller.
    pub fn call(&self, request: &RestRequest) -> Result<Reply, RestError> {
        let taken = self.budget.take(request, self.venue_now());
        if !self.insists {
            taken?;
        }
        let reply = if request.signed {
            let signer = self.signer.as_ref().expect("a signed call has a signer");
            let query = signer.signed_query(&request.query, self.venue_now().as_millis(), self.recv_window);
            self.rest.call(request.method, request.path, &query)
        } else {
            self.rest.call(request.method, request.path, &request.query)
        }?;
        self.budget.heard(&reply, self.venue_now());
        Ok(reply)
    }

    /// One call whose JSON is wanted.
    ///
    /// # Errors
    /// No reply, or the venue refused.
    pub fn json(&self, request: &RestRequest) -> Result<serde_json::Value, CallError> {
        let reply = self.call(request)?;
        rest::body(reply.status, &reply.body).map_err(|error| CallError::Venue { path: request.path, error })
    }

    /// The venue's clock minus ours, as last found.
    #[must_use]
    pub fn offset(&self) -> Nanos {
        Nanos(self.offset.load(Ordering::Relaxed))
    }

    /// Asks the venue for its time and keeps the difference to ours, half the round trip taken off. A slow answer (a first call
    /// makes its connection, a busy host wakes late) is off by up to half its round trip, so it is asked for again, and the
    /// quickest of three counts.
    ///
    /// # Errors
    /// No answer, or one without a server time.
    pub fn sync_time(&self) -> Result<Nanos, CallError> {
        let mut best = self.time_once()?;
        for _ in 1..TIME_TRIES {
            if best.1 <= TIME_QUICK {
                break;
            }
            let next = self.time_once()?;
            best = if next.1 < best.1 { next } else { best };
        }
        self.offset.store(best.0.0, Ordering::Relaxed);
        Ok(best.0)
    }

    /// One look at the venue's clock: the difference to ours, and the round trip.
    fn time_once(&self) -> Result<(Nanos, Nanos), CallError> {
        let before = self.clock.now();
        let answer = self.json(&rest::server_time())?;
        let trip = self.clock.now() - before;
        let Some(server) = answer["serverTime"].as_i64() else {
            let error = VenueError { status: 200, code: 0, message: "no serverTime in the answer".to_owned() };
            return Err(CallError::Venue { path: rest::TIME_PATH, error });
        };
        Ok((Nanos::from_millis(server) - Nanos(before.0 + trip.0 / 2), trip))
    }
}

/// What is certain: a connection that was never made carried no request. Everything else may have.
fn failure(url: &str, error: &ureq::Error) -> RestError {
    let (url, reason) = (url.to_owned(), error.to_string());
    if reason.contains("invalid peer certificate") {
        let reason = format!("{reason} (a simulator's certificate is trusted by naming it in venue.ca_file)");
        return RestError::NotSent { url, reason };
    }
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => RestError::NotSent { url, reason },
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => RestError::NotSent { url, reason },
        _ => RestError::Unknown { url, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn serve_once(answer: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut request = [0_u8; 2048];
            let _ = peer.read(&mut request).unwrap();
            peer.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}")
    }

    #[test]
    fn limits_in_the_headers_reach_the_caller() {
        let base = serve_once(
            "HTTP/1.1 429 Too Many Requests\r\nX-MBX-USED-WEIGHT-1M: 2399\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
        );
        let rest = Rest::new(&base, None, Some("key"), Duration::from_secs(2)).unwrap();
        let reply = rest.call(Method::Post, "/fapi/v1/order", "a=1").unwrap();
        assert_eq!((reply.status, reply.weight_1m, reply.retry_after), (429, Some(2399), Some(7)));
        assert_eq!(reply.body, b"{}");
    }

    #[test]
    fn a_429_silences_every_caller_for_as_long_as_it_says() {
        let base = serve_once(
            "HTTP/1.1 429 Too Many Requests\r\nX-MBX-USED-WEIGHT-1M: 2399\r\nRetry-After: 7\r\nContent-Length: 26\r\n\r\n{\"code\":-1003,\"msg\":\"many\"}",
        );
        let budget = Arc::new(Budget::default());
        let caller = |budget: &Arc<Budget>| {
            let rest = Rest::new(&base, None, None, Duration::from_secs(2)).unwrap();
            Caller::new(rest, None, Clock::new(), Arc::default(), Nanos::from_secs(5)).sharing(budget)
        };
        let (first, second) = (caller(&budget), caller(&budget));
        let before = first.venue_now();
        assert_eq!(first.call(&rest::depth("BTCUSDT")).unwrap().status, 429);
        let held = budget.held_until() - before;
        assert!(held >= Nanos::from_secs(7) && held < Nanos::from_secs(10), "{held:?}");
        let error = second.call(&rest::listen_key(Method::Put)).unwrap_err();
        assert!(matches!(error, RestError::Held { hold: Hold::BackOff, .. }), "{error}");
        assert_eq!(budget.used(first.venue_now()), 2399);
        assert!(!first.wait_for_hearing(Duration::from_millis(1)));
        assert!(!matches!(second.insisting().call(&rest::listen_key(Method::Put)), Err(RestError::Held { .. })));
    }

    #[test]
    fn near_the_limit_only_what_is_urgent_goes_out() {
        let budget = Arc::new(Budget::default());
        budget.set_most(10);
        let rest = Rest::new("http://127.0.0.1:1", None, None, Duration::from_secs(1)).unwrap();
        let caller = Caller::new(rest, None, Clock::new(), Arc::default(), Nanos::from_secs(5)).sharing(&budget);
        let held = caller.call(&rest::depth("BTCUSDT")).unwrap_err();
        assert_eq!(held.to_string(), "/fapi/v1/depth: held back: the request weight of the minute is nearly used up");
        assert!(matches!(caller.call(&rest::listen_key(Method::Post)), Err(RestError::NotSent { .. })), "tried");
    }

    #[test]
    fn a_refused_connection_is_not_sent_and_a_cut_answer_is_unknown() {
        let rest = Rest::new("http://127.0.0.1:1", None, None, Duration::from_secs(2)).unwrap();
        assert!(matches!(rest.call(Method::Get, "/", ""), Err(RestError::NotSent { .. })));
        let rest = Rest::new(&serve_once("HTTP/1.1 200 OK\r\nContent-"), None, None, Duration::from_secs(2)).unwrap();
        assert!(matches!(rest.call(Method::Post, "/", ""), Err(RestError::Unknown { .. })));
    }
}
