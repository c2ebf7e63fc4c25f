//! What a user or the machine gets wrong, met by the program as a process: the message says what and where, the exit code is not 0, and
//! nothing is lost — no order stays at the venue, no run directory is left half made or written over.

#[path = "support/process.rs"]
mod process;
#[path = "support/session.rs"]
mod session;

use process::{Files, run_of, spinquote};
use session::{near_touch, synthetic};
use spinquote::event::Side;
use spinquote::journal::{End, Reader, RunDir};
use spinquote::sim::capture::CaptureWriter;
use spinquote::sim::frames;
use spinquote::sim::market::MarketKind;
use spinquote::sim::order::AccountId;
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::unit::Ticks;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ACCOUNT: AccountId = AccountId(0);

/// A venue and good files for it; a test then spoils one thing.
struct Bench {
    server: Server,
    files: Files,
    strategy: String,
}

impl Bench {
    fn new(more: &str, shape: fn(&mut ServerConfig)) -> Self {
        let market = synthetic(31);
        let terms = market.instrument().clone();
        let bid = market.book().best(Side::Buy).map_or(Ticks(1), |level| level.price);
        let strategy = near_touch(&terms, bid, &[]);
        let mut config = ServerConfig::new(vec![market], vec![AccountConfig::new(session::KEY, session::SECRET)]);
        shape(&mut config);
        let server = Server::start(config).unwrap();
        let files = Files::new(&server.rest_url(), &server.ws_url(), server.cert_pem(), &strategy, more);
        Self { server, files, strategy }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.dir().join(name), text).unwrap();
    }

    /// Replaces text in `engine.toml`.
    fn engine(&self, from: &str, to: &str) {
        let path = self.files.dir().join("engine.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Runs it; it must refuse with all of `parts` on stderr, and leave neither a run directory nor an order.
    #[track_caller]
    fn refuses(&self, command: &mut Command, parts: &[&str]) {
        let output = command.output().unwrap();
        fails(&output, parts);
        assert!(!self.files.dir().join("run").exists(), "a run directory is left: {}", text(&output.stderr));
        assert_eq!(self.server.open_orders(ACCOUNT), []);
    }
}

fn text(bytes: &[u8]) -> String {
    // Long messages are broken into lines at the terminal's width.
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code is not 0, and the message holds all of `parts` and no panic.
#[track_caller]
fn fails(output: &Output, parts: &[&str]) {
    let message = text(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code != 0), "{:?}: {message}", output.status);
    let one_line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(one_line.contains(part), "`{part}` is missing in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn settings_that_are_wrong_are_refused_before_anything_is_done() {
    let bench = Bench::new("", |_| {});
    let run = || run_of(&bench.files, "run", &["--for", "2s"]);
    for (from, to, parts) in [
        ("bid_spread:", "bid_spred:", &["strategy.yml", "bid_spred", "bid_spread"][..]),
        ("bid_spread: 0.001", "bid_spread: -0.001", &["strategy.yml", "bid_spread", "-0.001"]),
        ("leverage: 10", "leverage: ten", &["strategy.yml", "leverage", "ten"]),
    ] {
        assert!(bench.strategy.contains(from));
        bench.write("strategy.yml", &bench.strategy.replace(from, to));
        bench.refuses(&mut run(), parts);
    }
    bench.write("strategy.yml", &bench.strategy);
    bench.engine("price_band = 10", "price_bend = 10");
    bench.refuses(&mut run(), &["engine.toml", "price_bend", "price_band"]);
    bench.engine("price_bend = 10", "price_band = 10");
    std::fs::remove_file(bench.files.dir().join("strategy.yml")).unwrap();
    bench.refuses(&mut run(), &["strategy.yml"]);
}

#[test]
fn credentials_that_are_missing_or_wrong_are_named_but_never_shown() {
    let bench = Bench::new("", |_| {});
    let run = || run_of(&bench.files, "run", &["--for", "2s"]);
    bench.refuses(run().env_remove("TEST_SECRET"), &["TEST_SECRET", "not set"]);
    bench.refuses(run().env("TEST_KEY", ""), &["TEST_KEY"]);
    let mut wrong = run();
    wrong.env("TEST_SECRET", "sesame-open-up");
    bench.refuses(&mut wrong, &["-1022", "ignature"]);
    assert!(!text(&wrong.output().unwrap().stderr).contains("sesame"), "the secret is shown");
}

#[test]
fn the_finest_log_shows_no_key_no_signature_and_no_listen_key() {
    let bench = Bench::new("", |_| {});
    let output = run_of(&bench.files, "run", &["--for", "3s"]).env("SPINQUOTE_LOG", "trace").output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("connected "), "the log is on: {said}");
    for secret in [session::KEY, session::SECRET, "signature", "listenKey", "timestamp="] {
        let shown = said.lines().find(|line| line.contains(secret));
        assert_eq!(shown, None, "{secret}");
    }
}

#[test]
fn a_venue_that_is_not_there_or_not_who_it_says_is_refused() {
    let bench = Bench::new("", |_| {});
    let run = || run_of(&bench.files, "run", &["--for", "2s"]);
    let address = bench.server.rest_url();
    let ca = format!("ca_file = \"{}\"\n", bench.files.dir().join("ca.pem").display());
    bench.engine(&ca, "");
    bench.refuses(&mut run(), &[&address, "certificate"]);
    bench.engine("[threads]", &format!("{ca}[threads]"));
    bench.write("ca.pem", "not a certificate");
    bench.refuses(&mut run(), &["certificate"]);
    std::fs::remove_file(bench.files.dir().join("ca.pem")).unwrap();
    bench.refuses(&mut run(), &["ca.pem"]);
    bench.write("ca.pem", bench.server.cert_pem().unwrap());
    bench.write("strategy.yml", &bench.strategy.replace("BTC-USDT", "XYZ-USDT"));
    bench.refuses(&mut run(), &["XYZUSDT"]);
    bench.write("strategy.yml", &bench.strategy);
    bench.server.stop();
    bench.refuses(&mut run(), &[&address, "onnect"]);
}

#[test]
fn a_run_directory_that_exists_is_not_written_over() {
    let bench = Bench::new("", |_| {});
    let taken = bench.files.dir().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("meta.json"), "mine").unwrap();
    bench.refuses(&mut run_of(&bench.files, "taken", &["--for", "2s"]), &["taken", "exists"]);
    assert_eq!(std::fs::read_to_string(taken.join("meta.json")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(&taken).unwrap().count(), 1);
}

#[test]
fn a_port_in_use_is_said() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let output = spinquote(Path::new("."), &["sim", "--listen", &address, "--for", "2s"]).output().unwrap();
    fails(&output, &[&address, "in use"]);
    assert_eq!(text(&output.stdout), "", "it said that it listens");
}

#[test]
fn a_disk_without_room_for_the_journal_is_said_at_the_start() {
    let bench = Bench::new("", |_| {});
    // A limit on the size of files stands for the full disk: 1 MiB, less than a segment. Its signal is ignored, as the disk sends none.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_spinquote")]);
    command.args(["run", "strategy.yml", "--engine", "engine.toml", "--run-dir", "run", "--for", "3s"]);
    command.current_dir(bench.files.dir()).env("TEST_KEY", session::KEY).env("TEST_SECRET", session::SECRET);
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    fails(&output, &["run/events-", "67108864"]);
    assert!(!bench.files.dir().join("run").exists(), "a run directory is left half made");
    assert_eq!(bench.server.open_orders(ACCOUNT), []);
}

#[test]
fn a_journal_that_is_full_in_the_middle_of_a_run_ends_it_in_order() {
    let bench = Bench::new("[journal]\nsegment_bytes = \"1MiB\"\nbytes_max = \"4MiB\"\n", |config| config.speed = 12);
    let output = run_of(&bench.files, "run", &["--for", "40s", "--json"]).output().unwrap();
    fails(&output, &["journal"]);
    let summary: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    assert!(summary["seconds"].as_f64().unwrap() < 39.0, "{summary}");
    assert!(summary["fault"].as_str().unwrap().contains("journal"), "{summary}");
    assert_eq!(summary["open_orders_at_venue"], 0, "{summary}");
    assert_eq!(bench.server.open_orders(ACCOUNT), []);
    let run = bench.files.dir().join("run");
    let report = Reader::verify(RunDir::new(&run)).unwrap();
    assert!(!matches!(report.end, End::Damaged(_)), "{report:?}");
    assert!(report.records > 1_000, "{report:?}");
    let again = spinquote::replay::replay(&run, |_| {}).unwrap();
    assert!(again.identical, "{:?}", again.first_difference);
}

/// Writes a recording of the synthetic market, `events` long.
fn record(path: &Path, events: usize) {
    let mut market = synthetic(32);
    let terms = market.instrument().clone();
    let mut writer = CaptureWriter::create(path).unwrap();
    let mut frame = Vec::new();
    for _ in 0..events {
        let event = market.next().unwrap().unwrap();
        let at = event.at;
        frame.clear();
        match event.kind {
            MarketKind::Depth(update) => {
                frames::depth_update(&mut frame, Some("btcusdt@depth@0ms"), &terms, &update, at)
            }
            MarketKind::Quote(quote) => frames::book_ticker(&mut frame, Some("btcusdt@bookTicker"), &terms, &quote, at),
            MarketKind::Trade(trade) => frames::trade(&mut frame, Some("btcusdt@trade"), &terms, &trade, at),
            MarketKind::Mark { mark, settle } => {
                frames::mark_price(&mut frame, Some("btcusdt@markPrice@1s"), &terms, &mark, settle)
            }
            MarketKind::Snapshot(_) | MarketKind::Lost => unreachable!("only a live market has them"),
        }
        writer.append(at, &frame).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_recording_cut_in_the_middle_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.gz");
    record(&whole, 6_000);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(dir.path().join("cut.gz"), &bytes[..bytes.len() / 2]).unwrap();
    let demo = |file: &str, span: &str| {
        spinquote(
            dir.path(),
            &["demo", "--capture", file, "--for", span, "--run-dir", &format!("run-{file}"), "--json"],
        )
        .output()
        .unwrap()
    };
    let sound = demo("whole.gz", "3s");
    assert!(sound.status.success(), "{}", text(&sound.stderr));
    assert!(!text(&sound.stderr).contains("warning"), "{}", text(&sound.stderr));
    // Stopped by the cut, long before its time.
    let cut = demo("cut.gz", "10m");
    fails(&cut, &["cut.gz", "line"]);
    let summary: serde_json::Value =
        serde_json::from_slice(&cut.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&cut.stderr)));
    assert!(summary["frames"].as_u64().unwrap() > 500, "what stands before the cut is played: {summary}");
    assert!(summary["seconds"].as_f64().unwrap() < 300.0, "it was stopped at once: {summary}");
    // In order: the exchange was still there to be asked.
    assert_eq!(
        (&summary["open_orders_at_venue"], &summary["fault"]),
        (&0.into(), &serde_json::Value::Null),
        "{summary}"
    );
    // Nothing is a recording that holds none.
    std::fs::write(dir.path().join("empty.gz"), b"").unwrap();
    fails(&demo("empty.gz", "3s"), &["empty.gz: has no depth frame of any market"]);
    let missing = demo("missing.gz", "3s");
    fails(&missing, &["missing.gz"]);
    assert_eq!(text(&missing.stderr).matches("os error 2").count(), 1, "{}", text(&missing.stderr));
}
