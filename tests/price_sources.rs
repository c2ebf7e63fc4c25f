//! Strategies whose reference price comes from elsewhere, in whole runs: a spot market beside the venue, another contract, a polled address.

#[path = "support/process.rs"]
mod process;
#[path = "support/session.rs"]
mod session;

use session::{Finished, Plan, Session, synthetic};
use spinquote::engine::clock::wall;
use spinquote::engine::memory::CountingAllocator;
use spinquote::instrument::{Instrument, InstrumentId, Symbol};
use spinquote::journal::{Reader, RunDir, record};
use spinquote::maker::{Blocks, DecisionKind};
use spinquote::sim::market::{Profile, Schedule, SyntheticMarket};
use spinquote::sim::spot::SpotConfig;
use spinquote::unit::{Nanos, Ticks};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_secs(20);
const SPOT: [(&str, &str); 3] =
    [("price_source", "external_market"), ("price_source_derivative", "binance"), ("price_source_market", "BTC-USDC")];

/// One quote a side, half a percent from the reference, so that little is filled; with these lines besides.
fn plan(lines: &[(&'static str, &'static str)]) -> Plan {
    let mut strategy = vec![("bid_spread", "0.5"), ("ask_spread", "0.5"), ("order_levels", "1")];
    strategy.extend_from_slice(lines);
    let engine = |settings: &mut spinquote::config::engine::EngineSettings| {
        settings.source.stale_after = Nanos::from_secs(1);
    };
    Plan { strategy, engine, in_memory: true, ..Plan::on(synthetic(31)) }
}

/// The synthetic bitcoin, its price that many percent off.
fn bitcoin(symbol: &str, percent: i64) -> Box<SyntheticMarket> {
    let mut profile = Profile::for_instrument(&Instrument::synthetic("BTCUSDT", "0.1", "0.001"));
    profile.start = Ticks(profile.start.0 * (100 + percent) / 100);
    let terms = Instrument { price_places: 2, ..Instrument::synthetic(symbol, "0.1", "0.001") };
    Box::new(SyntheticMarket::with_profile(terms, profile, 31, wall(), Schedule::calm()))
}

fn spot(percent: i64) -> SpotConfig {
    SpotConfig { source: bitcoin("BTCUSDT", percent), symbol: Some(Symbol::from("BTCUSDC").unwrap()) }
}

/// The price source fails, and nothing else is wrong.
fn source_fails(session: &Session) -> bool {
    session.of("blocks") == i64::from(Blocks::SOURCE)
}

fn nothing_rests(session: &Session) -> bool {
    session.venue_orders().is_empty()
}

/// How often quotes were withdrawn because of the price source, by the journal, and the frames and snapshots of the watched market in it.
fn journalled(end: &Finished) -> (usize, usize, usize) {
    let mut reader = Reader::open(RunDir::new(end.dir.path().join("run"))).unwrap();
    let (mut withdrawn, mut frames, mut snapshots) = (0, 0, 0);
    while let Ok(Some(record)) = reader.next() {
        let origin = || record::Origin::decode(&record.payload[..record::Origin::SIZE]).unwrap();
        match record.kind {
            record::DECISION if record.payload[50] == DecisionKind::Withdrawn as u8 => {
                let bits = i64::from_le_bytes(record.payload[40..48].try_into().unwrap());
                withdrawn += usize::from(bits & i64::from(Blocks::SOURCE) != 0);
            }
            record::FRAME => frames += usize::from(origin().instrument == InstrumentId(1)),
            record::SNAPSHOT => snapshots += usize::from(origin().instrument == InstrumentId(1)),
            _ => {}
        }
    }
    (withdrawn, frames, snapshots)
}

#[test]
fn a_silent_or_broken_spot_market_withdraws_the_quotes_until_it_is_back() {
    let plan = Plan { server: |config| config.spot = Some(spot(0)), ..plan(&SPOT) };
    let session = Session::start(plan);
    session.until("quotes on both sides", SOON, Session::quotes);
    assert_eq!(session.count("BTCUSDC@binance_spot/in_sync"), 1);

    session.strike("spot-silence for=3s");
    session.until("the source counts as silent", SOON, source_fails);
    session.until("nothing rests at the venue", SOON, nothing_rests);
    session.until("quotes again", SOON, |s| s.of("blocks") == 0 && s.quotes());

    session.strike("spot-gap");
    session.until("the hole is seen", SOON, |s| s.count("BTCUSDC@binance_spot/book.gaps") == 1);
    session.until("the book joins again", SOON, |s| s.count("BTCUSDC@binance_spot/book.resyncs") >= 1);
    session.until("quotes again", SOON, |s| s.of("blocks") == 0 && s.quotes());

    session.strike("disconnect");
    session.until("quotes after a reconnect", SOON, |s| {
        s.count("BTCUSDC@binance_spot/book.resyncs") >= 2 && s.of("blocks") == 0 && s.quotes()
    });
    session.until("the end of the warm-up", SOON, |s| s.count("engine.frames") > 3_000);
    let end = session.stop();
    end.is_whole();
    let (withdrawn, frames, snapshots) = journalled(&end);
    assert!(withdrawn >= 2, "withdrawn {withdrawn} times");
    assert!(frames > 500 && snapshots >= 3, "{frames} frames, {snapshots} snapshots in the journal");
    assert_eq!(end.allocations, 0, "allocations on the engine thread after its warm-up; {}", end.describe);
}

#[test]
fn quotes_follow_the_spot_market_and_not_the_own_book() {
    let plan = Plan { server: |config| config.spot = Some(spot(3)), ..plan(&SPOT) };
    let session = Session::start(plan);
    session.until("quotes", SOON, |s| s.of("own_ask") != 0);
    // Half a percent from the own book would be 50.
    session.until("an ask two percent above the own book", SOON, |s| {
        s.of("own_ask") != 0 && (s.of("own_ask") - s.of("ask")) * 10_000 / s.of("ask").max(1) > 200
    });
    let source_mid = session.count("BTCUSDC@binance_spot/mid");
    assert!(source_mid > session.of("mid") + session.of("mid") / 100, "{}", session.describe());
    session.stop().is_whole();
}

#[test]
fn another_contract_can_be_the_source() {
    let lines = [
        ("price_source", "external_market"),
        ("price_source_derivative", "binance_perpetual_testnet"),
        ("price_source_market", "BTC-USDC"),
        ("price_type", "best_bid"),
    ];
    let plan = Plan {
        server: |config| config.markets.push(bitcoin("BTCUSDC", 0)),
        engine: |settings| {
            settings.source.ws_url = settings.source.ws_url.as_ref().map(|url| url.replace("/spot", "/public"))
        },
        ..plan(&lines)
    };
    let session = Session::start(plan);
    session.until("quotes", SOON, Session::quotes);
    assert_eq!(session.count("BTCUSDC@binance_usdm/in_sync"), 1);
    session.stop().is_whole();
}

/// What a price server does with a request.
#[derive(Clone)]
enum Answer {
    Price(String),
    Status(u16),
    Hang,
}

/// A price server on this machine; ends with its test.
struct PriceServer {
    url: String,
    answer: Arc<Mutex<Answer>>,
    stop: Arc<AtomicBool>,
}

impl PriceServer {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/price?token=secret", listener.local_addr().unwrap());
        let (answer, stop) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicBool::new(false)));
        let (shared, over) = (Arc::clone(&answer), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let answer = shared.lock().unwrap().clone();
                        // A client that hangs up is no fault of the server.
                        std::thread::spawn(move || drop(serve(socket, &answer)));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { url, answer, stop }
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

impl Drop for PriceServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn serve(mut socket: TcpStream, answer: &Answer) -> std::io::Result<()> {
    socket.set_nonblocking(false)?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let (status, body) = match answer {
        Answer::Price(body) => (200, body.as_str()),
        Answer::Status(status) => (*status, "12"),
        Answer::Hang => {
            std::thread::sleep(Duration::from_secs(4));
            return Ok(());
        }
    };
    write!(socket, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_polled_price_is_quoted_on_until_it_is_old() {
    // About where the synthetic market begins; quotes half a percent away stay apart from it.
    let server = PriceServer::start(Answer::Status(404));
    let url: &'static str = server.url.clone().leak();
    let lines = [
        ("price_source", "custom_api"),
        ("price_source_custom_api", url),
        ("custom_api_update_interval", "0.5"),
        ("bid_spread", "0.5"),
        ("ask_spread", "0.5"),
    ];
    let session = Session::start(plan(&lines));
    session.until("only the price is missing", SOON, source_fails);
    assert!(nothing_rests(&session), "{}", session.describe());

    // The mid has eight decimals on the page.
    let now = |session: &Session| {
        let mid = session.of("mid");
        format!(" {}.{:08}\n", mid / 100_000_000, mid % 100_000_000)
    };
    let quoted = |s: &Session| s.of("blocks") == 0 && s.quotes();
    for fault in [
        Answer::Status(500),
        Answer::Price("<html>no price</html>".to_owned()),
        Answer::Price("0".to_owned()),
        Answer::Price("1".repeat(5_000)),
        Answer::Hang,
    ] {
        server.answers(Answer::Price(now(&session)));
        session.until("quotes", SOON, quoted);
        server.answers(fault);
        session.until("the price counts as old", SOON, source_fails);
        session.until("nothing rests at the venue", SOON, nothing_rests);
    }
    assert!(session.count("housekeeper.source_failed") >= 4, "{}", session.describe());
    assert!(session.count("housekeeper.prices_polled") >= 5, "{}", session.describe());
    let end = session.stop();
    end.is_whole();
    assert!(journalled(&end).0 >= 5);
}

/// The program as a user starts it, with a strategy file that names a spot market.
#[test]
fn the_demo_plays_the_spot_market_that_the_strategy_names() {
    let dir = tempfile::tempdir().unwrap();
    let strategy = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: BTC-USDT\nleverage: 5\n\
        bid_spread: 0.05\nask_spread: 0.05\norder_amount: 0.01\norder_refresh_time: 0.5\nfilled_order_delay: 0.5\n\
        price_source: external_market\nprice_source_derivative: binance\nprice_source_market: BTC-USDC\n";
    std::fs::write(dir.path().join("spot.yml"), strategy).unwrap();
    let args = ["demo", "--strategy", "spot.yml", "--for", "5s", "--seed", "5", "--run-dir", "run", "--json"];
    let output = process::spinquote(dir.path(), &args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(summary["orders"]["new"].as_i64().unwrap() >= 2, "{summary}");
    let meta = std::fs::read_to_string(dir.path().join("run/meta.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
    assert_eq!(meta["recipe"]["watched"][0]["product"], "binance_spot");
    assert_eq!(meta["recipe"]["watched"][0]["instrument"]["symbol"], "BTCUSDC");
    let replay = process::spinquote(dir.path(), &["replay", "run", "--json"]).output().unwrap();
    let verdict: serde_json::Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert!(replay.status.success() && verdict["identical"] == true, "{verdict}");
}
