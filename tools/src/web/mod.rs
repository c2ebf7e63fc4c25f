//! `sq web`: a read-only live page of a run, its facts as JSON, and a stream of them. On loopback unless told otherwise, then with a token;
//! the page asks nothing of any other server. Nothing here writes to a run.

mod facts;

use crate::gate::{Gate, GateArgs, same};
use crate::run::{Run, RunArgs};
use crate::top::model::Model;
use anyhow::{Context, Result};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes, middleware};
use clap::Args;
use facts::History;
use futures_util::stream;
use spinquote::report::page::{Sources, document};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Serve a live page of a run: market and quotes, position, P&L, orders, fills, latency, feeds, alerts.
#[derive(Debug, Args)]
#[command(
    after_help = "The first line on stdout is `listening http://ADDRESS/`. Without RUN the page shows the newest run, and goes over to one that\n\
                        starts later. Nothing can be changed from it: commands are `sq ctl`.\n\n\
                        /             the page\n/api/facts    what it shows, as JSON\n/api/history  the last hour, as JSON columns\n\
                        /api/stream   /api/facts as server-sent events\n\n\
                        Where a token is needed, programs send `Authorization: Bearer TOKEN` and a browser is asked for it.\n\n\
                        Examples:\n  sq web\n  sq web --listen 127.0.0.1:0 runs/20261121-101500\n  \
                        sq web --listen 0.0.0.0:8080 --allow-remote --token-file token.txt"
)]
pub struct WebArgs {
    /// Address to serve on; port 0 picks one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465")]
    listen: SocketAddr,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// How often the run is looked at, and how many looks lie between two searches for a newer run.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const SEARCH_EVERY: u32 = 20;
/// Most readers of the stream at a time; a further one is told to come back.
const STREAMS: usize = 32;
/// The facts before the first look.
const NOTHING: &str = "{}";
/// Most bytes of a posted token.
const POST_MAX: usize = 1024;

/// What the handlers share.
struct Shared {
    gate: Gate,
    /// What a browser's cookie brings once its user has given the token.
    session: String,
    facts: watch::Receiver<Arc<str>>,
    history: Arc<Mutex<History>>,
    streams: Arc<Semaphore>,
}

impl Shared {
    /// The newest facts; before the first look is done, waits for it.
    async fn facts(&self) -> String {
        let mut facts = self.facts.clone();
        if facts.borrow_and_update().len() <= NOTHING.len() {
            let _ = tokio::time::timeout(Duration::from_secs(10), facts.changed()).await;
        }
        facts.borrow().to_string()
    }

    fn history(&self) -> String {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).json()
    }
}

/// Serves until Ctrl-C.
pub fn run(args: &WebArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let gate = args.gate.of(args.listen)?;
    // What cannot be read at all is said at once, not on a page.
    Model::open(Run::find(&args.run)?)?;
    let (send, facts) = watch::channel(Arc::from(NOTHING));
    let history = Arc::new(Mutex::new(History::default()));
    let (wanted, kept) = (RunArgs { runs: args.run.runs.clone(), run: args.run.run.clone() }, Arc::clone(&history));
    std::thread::Builder::new().name("look".to_owned()).spawn(move || look(&wanted, &kept, &send))?;
    let shared =
        Arc::new(Shared { gate, session: session()?, facts, history, streams: Arc::new(Semaphore::new(STREAMS)) });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("listening on {}", args.listen))?;
        writeln!(out, "listening http://{}/", listener.local_addr()?)?;
        out.flush()?;
        axum::serve(listener, router(shared)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn router(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/", get(page))
        .route("/api/facts", get(latest))
        .route("/api/history", get(past))
        .route("/api/stream", get(follow))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), admit));
    guarded.route("/login", post(login)).layer(DefaultBodyLimit::max(POST_MAX)).with_state(shared)
}

/// Follows the run; ends with the program.
fn look(args: &RunArgs, history: &Mutex<History>, send: &watch::Sender<Arc<str>>) {
    let mut model: Option<Model> = None;
    for turn in 0_u32.. {
        if model.is_none() || (args.run.is_none() && turn.is_multiple_of(SEARCH_EVERY)) {
            match Run::find(args) {
                Ok(run) if model.as_ref().is_none_or(|model| model.run.name != run.name) => {
                    model = Model::open(run).ok();
                    *history.lock().unwrap_or_else(PoisonError::into_inner) = History::default();
                }
                _ => {}
            }
        }
        if let Some(model) = &mut model {
            model.look();
            facts::forget(model);
            let found = facts::of(model);
            history.lock().unwrap_or_else(PoisonError::into_inner).push(model, &found);
            send.send_replace(Arc::from(found.to_string()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Random, from the system.
fn session() -> Result<String> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Lets through who may read; asks a browser for the token.
async fn admit(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if shared.gate.is_open() {
        // A page of another site whose name was made to lead here must not read this one.
        return match header(HOST) {
            Some(host) if is_literal(host) => next.run(request).await,
            _ => (StatusCode::FORBIDDEN, "ask by address or as localhost\n").into_response(),
        };
    }
    let cookie = header(COOKIE).into_iter().flat_map(|all| all.split(';')).filter_map(|one| one.trim().split_once('='));
    let known =
        cookie.into_iter().any(|(name, value)| name == "sq" && same(value.as_bytes(), shared.session.as_bytes()));
    if known || shared.gate.admits(header(AUTHORIZATION)) {
        return next.run(request).await;
    }
    if request.uri().path() == "/" {
        return (
            StatusCode::UNAUTHORIZED,
            Html(document("spinquote", "{}", include_str!("login.js"), Sources::OwnServer)),
        )
            .into_response();
    }
    (StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN\n").into_response()
}

/// An address or `localhost`, with or without a port.
fn is_literal(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// The body is the token; the answer is a cookie for this browser.
async fn login(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    if !std::str::from_utf8(&body).is_ok_and(|given| shared.gate.is_token(given.trim())) {
        return (StatusCode::UNAUTHORIZED, "that is not the token\n").into_response();
    }
    let cookie = format!("sq={}; HttpOnly; SameSite=Strict; Path=/", shared.session);
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())]).into_response()
}

async fn page(State(shared): State<Arc<Shared>>) -> Html<String> {
    let facts = shared.facts().await;
    let data = format!("{{\"facts\":{facts},\"history\":{}}}", shared.history());
    Html(document("spinquote live", &data, include_str!("live.js"), Sources::OwnServer))
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], text).into_response()
}

async fn latest(State(shared): State<Arc<Shared>>) -> Response {
    json(shared.facts().await)
}

async fn past(State(shared): State<Arc<Shared>>) -> Response {
    json(shared.history())
}

async fn follow(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many readers\n").into_response();
    };
    let mut facts = shared.facts.clone();
    facts.mark_changed();
    let events = stream::unfold((facts, permit), |(mut facts, permit)| async move {
        facts.changed().await.ok()?;
        let text = facts.borrow_and_update().to_string();
        Some((Ok::<_, Infallible>(Event::default().data(text)), (facts, permit)))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_asked_by() {
        let cases = [
            ("127.0.0.1:9465", true),
            ("localhost:1", true),
            ("LOCALHOST", true),
            ("[::1]:80", true),
            ("10.0.0.7", true),
            ("evil.example:9465", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ];
        for (host, literal) in cases {
            assert_eq!(is_literal(host), literal, "{host}");
        }
    }
}
