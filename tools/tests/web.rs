//! `sq web`: who may read it, what it says, and that a real browser shows it.

mod support;

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;
use support::{Fixture, browser, played, process};

const TOKEN: &str = "0123456789abcdef-secret";

/// A server that ends with the test.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(run: &Fixture, more: &[&str]) -> Server {
    let args = [&["web", "--listen", "127.0.0.1:0"], more].concat();
    let mut child =
        process(run.path()).args(args).env_remove("SPINQUOTE_TOKEN").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening http://").unwrap().trim_end_matches('/').to_owned();
    Server(child, address)
}

/// The whole answer to a request; `head` is its lines without Host.
fn ask(server: &Server, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(&server.1).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = body.len();
    let request =
        format!("{head}\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}", server.1);
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn token_file(run: &Fixture, text: &str, mode: u32) {
    let path = run.path().join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn facts_are_those_of_the_run() {
    let run = played();
    let server = serve(&run, &[]);
    let said = ask(&server, "GET /api/facts HTTP/1.1", "");
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("content-type: application/json"), "{said}");
    let facts: Value = serde_json::from_str(said.split_once("\r\n\r\n").unwrap().1).unwrap();
    let market = &facts["markets"][0];
    assert_eq!(
        (&facts["life"], &market["symbol"], &market["position"]),
        (&"ended".into(), &"BTCUSDT".into(), &(-0.005).into())
    );
    assert_eq!((&market["bid"], &market["ask"], &market["mid"]), (&61800.2.into(), &61800.3.into(), &61800.25.into()));
    assert_eq!((&market["own_bid"], &market["own_ask"]), (&61799.5.into(), &Value::Null));
    assert_eq!((&market["pnl"]["total"], &market["pnl"]["fees"]), (&(-0.089451).into(), &(-0.061801).into()));
    assert_eq!((facts["fills"].as_array().unwrap().len(), &facts["fills"][0]["qty"]), (2, &0.003.into()));
    assert_eq!((&facts["messages"]["new"], &facts["feed"]["links_up"]), (&3.into(), &3.into()));
    assert_eq!(facts["latency"].as_array().unwrap().len(), 4);
    let past: Value =
        serde_json::from_str(ask(&server, "GET /api/history HTTP/1.1", "").split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(past["markets"]["BTCUSDT"]["mid"][0], 61800.25);
}

#[test]
fn it_is_read_only_and_serves_nothing_else() {
    let run = played();
    let server = serve(&run, &[]);
    for (line, code) in [
        ("GET /api/nothing HTTP/1.1", 404),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("POST /api/facts HTTP/1.1", 405),
        ("DELETE / HTTP/1.1", 405),
        ("PUT /api/stream HTTP/1.1", 405),
    ] {
        let said = ask(&server, line, "");
        assert!(said.starts_with(&format!("HTTP/1.1 {code} ")), "{line}: {said}");
    }
    let long = ask(&server, "POST /login HTTP/1.1", &"x".repeat(5000));
    assert!(long.starts_with("HTTP/1.1 413 "), "{long}");
    // A name that somebody made lead to this address is no way in.
    let mut stream = TcpStream::connect(&server.1).unwrap();
    stream.write_all(b"GET /api/facts HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
}

#[test]
fn the_stream_sends_events_as_the_run_goes_on() {
    let run = Fixture::new();
    let server = serve(&run, &[]);
    let mut stream = BufReader::new(TcpStream::connect(&server.1).unwrap());
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.get_mut().write_all(format!("GET /api/stream HTTP/1.1\r\nHost: {}\r\n\r\n", server.1).as_bytes()).unwrap();
    let mut next = || loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
        if let Some(data) = line.strip_prefix("data: ") {
            let facts: Value = serde_json::from_str(data.trim()).unwrap();
            if facts["markets"].is_array() {
                return facts;
            }
        }
    };
    assert_eq!(next()["markets"][0]["mid"], Value::Null);
    support::publish(&run, run.now);
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while next()["markets"][0]["mid"] != 61800.25 {
        assert!(std::time::Instant::now() < until, "the change never came");
    }
}

#[test]
fn another_interface_needs_to_be_wanted_and_a_token() {
    let run = played();
    for command in ["web", "prom"] {
        let refused = |args: &str, why: &str| {
            let said = run.sq(&format!("{command} {args}"));
            assert!(said.code == 1 && said.err.contains(why), "{command} {args}: {}", said.err);
            assert!(!said.err.contains(TOKEN));
        };
        refused("--listen 0.0.0.0:0", "can be reached by others; --allow-remote serves there");
        refused("--listen [::]:0", "can be reached by others");
        refused("--listen 0.0.0.0:0 --allow-remote", "--token-file FILE or SPINQUOTE_TOKEN must give a token");
        token_file(&run, "short\n", 0o600);
        refused("--token-file token", "the token has 5 characters; want 16 or more");
        token_file(&run, TOKEN, 0o644);
        refused(
            "--listen 0.0.0.0:0 --allow-remote --token-file token",
            "open to others (mode 644); close it with: chmod 600",
        );
    }
}

#[test]
fn with_a_token_only_who_brings_it_may_read() {
    let run = played();
    token_file(&run, TOKEN, 0o600);
    let server = serve(&run, &["--token-file", "token"]);
    let code = |head: &str| ask(&server, head, "")[9..12].to_owned();
    for path in ["/", "/api/facts", "/api/history", "/api/stream"] {
        assert_eq!(code(&format!("GET {path} HTTP/1.1")), "401", "{path}");
        assert_eq!(code(&format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}x")), "401", "{path}");
        assert_eq!(
            code(&format!("GET {path}?token={TOKEN} HTTP/1.1")),
            "401",
            "{path}: an address is no place for a token"
        );
    }
    assert_eq!(code(&format!("GET /api/facts HTTP/1.1\r\nAuthorization: Bearer {TOKEN}")), "200");
    assert_eq!(code("GET /api/facts HTTP/1.1\r\nCookie: sq="), "401");
    assert!(ask(&server, "POST /login HTTP/1.1", "0123456789abcdef-wrong!").starts_with("HTTP/1.1 401 "));
    let said = ask(&server, "POST /login HTTP/1.1", TOKEN);
    assert!(
        said.starts_with("HTTP/1.1 303 ") && said.contains("HttpOnly; SameSite=Strict") && !said.contains(TOKEN),
        "{said}"
    );
    let cookie = said.split_once("set-cookie: ").unwrap().1.split_once(';').unwrap().0;
    assert_eq!(code(&format!("GET / HTTP/1.1\r\nCookie: other=1; {cookie}")), "200");
    // The same from the environment.
    let mut child = process(run.path())
        .args(["web", "--listen", "127.0.0.1:0"])
        .env("SPINQUOTE_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let server = Server(child, line.trim().strip_prefix("listening http://").unwrap().trim_end_matches('/').to_owned());
    assert!(ask(&server, "GET /api/facts HTTP/1.1", "").starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_browser_shows_the_live_page() {
    let run = played();
    let server = serve(&run, &[]);
    let held = Held::before(&server.1);
    for width in [1400, 500] {
        let Some(shown) = browser::open(&format!("http://{}/", held.address), width, Duration::from_secs(30)) else {
            return;
        };
        assert!(shown.console.is_empty(), "{:?}", shown.console);
        assert!(shown.dom.contains("data-ready=\"yes\""), "{}", shown.dom);
        let looks = shown.dom.split_once("data-looks=\"").map_or("0", |(_, rest)| rest.split_once('"').unwrap().0);
        assert!(looks.parse::<u32>().unwrap() >= 2, "the stream brought {looks} looks");
        assert!(shown.dom.matches("<canvas").count() >= 3, "a plot for quotes, P&L and position");
        let facts = ask(&server, "GET /api/facts HTTP/1.1", "");
        let facts: Value = serde_json::from_str(facts.split_once("\r\n\r\n").unwrap().1).unwrap();
        let figures = shown.figures();
        for key in ["pnl/total", "mid", "own_bid", "own_ask", "position"].map(|name| format!("markets/0/{name}")) {
            let (_, value, _) = figures.iter().find(|(name, _, _)| *name == key).unwrap();
            assert_eq!(value.as_f64(), facts.pointer(&format!("/{key}")).unwrap().as_f64(), "{key}");
        }
        for listed in ["61,801.0", "tick to order", "0.0370806"] {
            assert!(shown.dom.contains(listed), "{listed} is not listed");
        }
    }
}

#[test]
fn a_browser_is_asked_for_the_token_and_shown_nothing_else() {
    let run = played();
    token_file(&run, TOKEN, 0o600);
    let server = serve(&run, &["--token-file", "token"]);
    let Some(shown) = browser::open(&format!("http://{}/", server.1), 800, Duration::from_secs(30)) else { return };
    assert!(shown.dom.contains("data-ready=\"login\"") && shown.dom.contains("type=\"password\""), "{}", shown.dom);
    for secret in [TOKEN, "BTCUSDT", "61,80"] {
        assert!(!shown.dom.contains(secret), "{secret} is shown");
    }
}

/// Stands before a server and gives its page an image that comes only after some looks: a browser dumps a page once all of it is there.
struct Held {
    address: String,
}

impl Held {
    fn before(server: &str) -> Self {
        let (listener, server) = (TcpListener::bind("127.0.0.1:0").unwrap(), server.to_owned());
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                // A browser that goes away ends its copies with errors, which concern nobody.
                std::thread::spawn(move || Self::pass(stream, &server));
            }
        });
        Self { address }
    }

    fn pass(mut browser: TcpStream, server: &str) -> std::io::Result<()> {
        let mut lines = BufReader::new(browser.try_clone()?);
        let mut path = String::new();
        lines.read_line(&mut path)?;
        let mut line = String::new();
        while lines.read_line(&mut line)? > 2 {
            line.clear();
        }
        let answer = |mut browser: TcpStream, kind: &str, body: &str| {
            let length = body.len();
            let head = format!("Content-Type: {kind}\r\nConnection: close\r\nContent-Length: {length}");
            write!(browser, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}")
        };
        if path.starts_with("GET /held ") {
            std::thread::sleep(Duration::from_secs(3));
            return answer(browser, "image/svg+xml", r#"<svg xmlns="http://www.w3.org/2000/svg"/>"#);
        }
        let mut upstream = TcpStream::connect(server)?;
        write!(upstream, "{}\r\nHost: {server}\r\nConnection: close\r\n\r\n", path.trim())?;
        if !path.starts_with("GET / ") {
            return std::io::copy(&mut upstream, &mut browser).map(|_| ());
        }
        let mut page = String::new();
        upstream.read_to_string(&mut page)?;
        let body = page.split_once("\r\n\r\n").unwrap().1.replace("img-src data:", "img-src data: 'self'");
        answer(browser, "text/html", &body.replace("</body>", "<img src=\"/held\" alt=\"\"></body>"))
    }
}
