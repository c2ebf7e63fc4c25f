//! The keys of `engine.toml`, each defined once: default, range, help, reading and showing. Says nothing about what they cause.

use crate::config::engine::{
    CredentialKind, CredentialSource, DepthStream, EngineSettings, Keep, Leftovers, OrderEntry, Poll, Wait,
};
use crate::config::schema::Key;
use crate::config::value;
use crate::unit::{Money, Nanos};
use std::path::{Path, PathBuf};

type Set = fn(&mut EngineSettings, &str) -> Result<(), String>;
type Show = fn(&EngineSettings) -> String;

const fn key(
    name: &'static str,
    default: Option<&'static str>,
    valid: &'static str,
    help: &'static str,
    set: Set,
    show: Show,
) -> Key<EngineSettings> {
    Key { name, default, valid, help, hot: false, set, show }
}

const HTTP: &str = "https://host[:port]; http:// only for this machine";
const SOCKET: &str = "wss://host[:port][/path]; ws:// only for this machine";
const CORE: &str = "none, or the number of a core, [0, 1023]";
const ABOVE_ZERO: &str = "decimal, (0, inf)";
const FLAG: &str = "true or false";

const SOURCES: &[(&str, CredentialSource)] = &[("env", CredentialSource::Env), ("file", CredentialSource::File)];
const KINDS: &[(&str, CredentialKind)] = &[("hmac", CredentialKind::Hmac), ("ed25519", CredentialKind::Ed25519)];
const WAITS: &[(&str, Wait)] = &[("spin", Wait::Spin), ("yield", Wait::Yield), ("park", Wait::Park)];
const LEFTOVERS: &[(&str, Leftovers)] = &[("cancel", Leftovers::Cancel), ("adopt", Leftovers::Adopt)];
const ENTRIES: &[(&str, OrderEntry)] = &[("ws", OrderEntry::Ws), ("rest", OrderEntry::Rest)];
const DEPTHS: &[(&str, DepthStream)] = &[("0ms", DepthStream::Fastest), ("100ms", DepthStream::Every100ms)];
const POLLS: &[(&str, Poll)] = &[("poll", Poll::Poll), ("direct", Poll::Direct)];
const KEEPS: &[(&str, Keep)] = &[("stop", Keep::Stop), ("drop_oldest", Keep::DropOldest)];
const LEVELS: &[(&str, &str)] =
    &[("error", "error"), ("warn", "warn"), ("info", "info"), ("debug", "debug"), ("trace", "trace")];

/// Every key, in the order of the reference.
pub static KEYS: &[Key<EngineSettings>] = &[
    key(
        "venue.rest_url",
        Some("https://fapi.binance.com"),
        HTTP,
        "REST address of the venue.",
        |s, text| value::address(text, "https", "http").map(|url| s.venue.rest_url = url),
        |s| s.venue.rest_url.clone(),
    ),
    key(
        "venue.public_ws_url",
        Some("wss://fstream.binance.com/public"),
        SOCKET,
        "Depth, best quote and trades.",
        |s, text| value::address(text, "wss", "ws").map(|url| s.venue.public_ws_url = url),
        |s| s.venue.public_ws_url.clone(),
    ),
    key(
        "venue.market_ws_url",
        Some("wss://fstream.binance.com/market"),
        SOCKET,
        "Mark price and funding.",
        |s, text| value::address(text, "wss", "ws").map(|url| s.venue.market_ws_url = url),
        |s| s.venue.market_ws_url.clone(),
    ),
    key(
        "venue.private_ws_url",
        Some("wss://fstream.binance.com/private"),
        SOCKET,
        "Own orders, fills and balances.",
        |s, text| value::address(text, "wss", "ws").map(|url| s.venue.private_ws_url = url),
        |s| s.venue.private_ws_url.clone(),
    ),
    key(
        "venue.order_ws_url",
        Some("wss://ws-fapi.binance.com/ws-fapi/v1"),
        SOCKET,
        "Order entry.",
        |s, text| value::address(text, "wss", "ws").map(|url| s.venue.order_ws_url = url),
        |s| s.venue.order_ws_url.clone(),
    ),
    key(
        "venue.ca_file",
        Some(""),
        "a PEM file, or empty for the public roots",
        "Certificates to trust instead of the public roots, for a stand-alone simulator.",
        |s, text| optional_path(text).map(|path| s.venue.ca_file = path),
        |s| optional_path_text(s.venue.ca_file.as_deref()),
    ),
    key(
        "venue.symbol",
        Some(""),
        "letters, digits and _, or empty",
        "The venue's symbol, where it is not the strategy's pair without its dash.",
        |s, text| symbol(text).map(|symbol| s.venue.symbol = symbol),
        |s| s.venue.symbol.clone().unwrap_or_default(),
    ),
    key(
        "source.rest_url",
        Some(""),
        "https://host[:port], or empty for the public address of price_source_derivative",
        "REST address of the second market of a strategy with price_source external_market.",
        |s, text| optional_address(text, "https", "http").map(|url| s.source.rest_url = url),
        |s| s.source.rest_url.clone().unwrap_or_default(),
    ),
    key(
        "source.ws_url",
        Some(""),
        "wss://host[:port][/path], or empty for the public address of price_source_derivative",
        "Market data of that market.",
        |s, text| optional_address(text, "wss", "ws").map(|url| s.source.ws_url = url),
        |s| s.source.ws_url.clone().unwrap_or_default(),
    ),
    key(
        "source.ca_file",
        Some(""),
        "a PEM file, or empty for the public roots",
        "Certificates to trust instead of the public roots for that market and for price_source_custom_api.",
        |s, text| optional_path(text).map(|path| s.source.ca_file = path),
        |s| optional_path_text(s.source.ca_file.as_deref()),
    ),
    key(
        "source.stale_after",
        Some("5s"),
        "duration, [50ms, 10m]",
        "Data of that market older than this withdraw the quotes; a polled price may be three intervals old.",
        |s, text| {
            value::duration_in(text, &(Nanos::from_millis(50)..=Nanos::from_secs(600)))
                .map(|span| s.source.stale_after = span)
        },
        |s| value::duration_text(s.source.stale_after),
    ),
    key(
        "credentials.source",
        Some("env"),
        "env or file",
        "Where the API key and its secret come from.",
        |s, text| value::choose(text, SOURCES).map(|source| s.credentials.source = source),
        |s| value::chosen(s.credentials.source, SOURCES),
    ),
    key(
        "credentials.kind",
        Some("hmac"),
        "hmac or ed25519",
        "How requests are signed; only ed25519 can log a session on.",
        |s, text| value::choose(text, KINDS).map(|kind| s.credentials.kind = kind),
        |s| value::chosen(s.credentials.kind, KINDS),
    ),
    key(
        "credentials.key_env",
        Some("SPINQUOTE_API_KEY"),
        "name of an environment variable",
        "Variable that holds the API key.",
        |s, text| variable(text).map(|name| s.credentials.key_env = name),
        |s| s.credentials.key_env.clone(),
    ),
    key(
        "credentials.secret_env",
        Some("SPINQUOTE_API_SECRET"),
        "name of an environment variable",
        "Variable that holds the secret (hmac), or the private key in PEM (ed25519).",
        |s, text| variable(text).map(|name| s.credentials.secret_env = name),
        |s| s.credentials.secret_env.clone(),
    ),
    key(
        "credentials.file",
        Some(""),
        "a file with key = \"...\" and secret = \"...\" that only its owner can read",
        "Used with source = \"file\".",
        |s, text| optional_path(text).map(|path| s.credentials.file = path),
        |s| optional_path_text(s.credentials.file.as_deref()),
    ),
    key(
        "threads.engine_core",
        Some("none"),
        CORE,
        "Core of the engine thread.",
        |s, text| core(text).map(|core| s.threads.engine_core = core),
        |s| core_text(s.threads.engine_core),
    ),
    key(
        "threads.io_core",
        Some("none"),
        CORE,
        "Core of the I/O thread, which signs and sends.",
        |s, text| core(text).map(|core| s.threads.io_core = core),
        |s| core_text(s.threads.io_core),
    ),
    key(
        "threads.wait",
        Some("yield"),
        "spin, yield or park",
        "What a thread does when nothing is ready; spin needs a core of its own, park costs wake-up time.",
        |s, text| value::choose(text, WAITS).map(|wait| s.threads.wait = wait),
        |s| value::chosen(s.threads.wait, WAITS),
    ),
    key(
        "threads.mlock",
        Some("false"),
        FLAG,
        "Lock all memory; needs a memlock limit (tuning.md, T-MLOCK).",
        |s, text| value::flag(text).map(|flag| s.threads.mlock = flag),
        |s| s.threads.mlock.to_string(),
    ),
    key(
        "risk.position_max",
        None,
        ABOVE_ZERO,
        "Largest position in base units, either direction, if every order of ours executed.",
        |s, text| value::amount(text).map(|amount| s.risk.position_max = amount),
        |s| value::atto_text(s.risk.position_max.0),
    ),
    key(
        "risk.order_qty_max",
        None,
        "decimal, (0, risk.position_max]",
        "Largest quantity of one order in base units.",
        |s, text| value::amount(text).map(|amount| s.risk.order_qty_max = amount),
        |s| value::atto_text(s.risk.order_qty_max.0),
    ),
    key(
        "risk.order_notional_max",
        None,
        ABOVE_ZERO,
        "Largest price times quantity of one order in quote currency.",
        |s, text| value::positive(text).map(|amount| s.risk.order_notional_max = Money(amount)),
        |s| value::atto_text(s.risk.order_notional_max.0),
    ),
    key(
        "risk.price_band",
        None,
        "percent, (0, 100]",
        "An order's price is at most this far from the mid.",
        |s, text| value::percent(text).map(|rate| s.risk.price_band = rate),
        |s| value::percent_text(s.risk.price_band),
    ),
    key(
        "risk.loss_max",
        None,
        ABOVE_ZERO,
        "A loss of the run of this much quote currency cancels everything and stops.",
        |s, text| value::positive(text).map(|amount| s.risk.loss_max = Money(amount)),
        |s| value::atto_text(s.risk.loss_max.0),
    ),
    key(
        "risk.orders_per_10s",
        Some("200"),
        "whole number, [1, 100000], not above risk.orders_per_min",
        "New orders and amends in ten seconds; the venue's usual limit is 300.",
        |s, text| value::count_in(text, &(1..=100_000)).map(|count| s.risk.orders_per_10s = count),
        |s| s.risk.orders_per_10s.to_string(),
    ),
    key(
        "risk.orders_per_min",
        Some("1000"),
        "whole number, [1, 100000]",
        "New orders and amends in a minute; the venue's usual limit is 1200.",
        |s, text| value::count_in(text, &(1..=100_000)).map(|count| s.risk.orders_per_min = count),
        |s| s.risk.orders_per_min.to_string(),
    ),
    key(
        "risk.messages_per_s",
        Some("50"),
        "whole number, [2, 100000]",
        "Messages of any kind in a second.",
        |s, text| value::count_in(text, &(2..=100_000)).map(|count| s.risk.messages_per_s = count),
        |s| s.risk.messages_per_s.to_string(),
    ),
    key(
        "risk.cancel_headroom",
        Some("10"),
        "whole number, [1, risk.messages_per_s)",
        "How many of messages_per_s are kept for cancels and queries.",
        |s, text| value::count_in(text, &(1..=100_000)).map(|count| s.risk.cancel_headroom = count),
        |s| s.risk.cancel_headroom.to_string(),
    ),
    key(
        "risk.stale_after",
        Some("5s"),
        "duration, [50ms, 10m]",
        "Market data older than this withdraws the quotes.",
        |s, text| {
            let range = Nanos::from_millis(50)..=Nanos::from_secs(600);
            value::duration_in(text, &range).map(|time| s.risk.stale_after = time)
        },
        |s| value::duration_text(s.risk.stale_after),
    ),
    key(
        "risk.clock_skew_max",
        Some("500ms"),
        "duration, [1ms, 1s]",
        "Farther apart the venue's clock and ours keep a run from starting; a jump by more during it withdraws the quotes until the venue's time is known anew.",
        |s, text| {
            let range = Nanos::from_millis(1)..=Nanos::from_secs(1);
            value::duration_in(text, &range).map(|time| s.risk.clock_skew_max = time)
        },
        |s| value::duration_text(s.risk.clock_skew_max),
    ),
    key(
        "risk.leftovers",
        Some("cancel"),
        "cancel or adopt",
        "What happens at start with our own orders of an earlier run.",
        |s, text| value::choose(text, LEFTOVERS).map(|choice| s.risk.leftovers = choice),
        |s| value::chosen(s.risk.leftovers, LEFTOVERS),
    ),
    key(
        "risk.amend",
        Some("true"),
        FLAG,
        "Change a live order in place instead of cancelling and placing it anew.",
        |s, text| value::flag(text).map(|flag| s.risk.amend = flag),
        |s| s.risk.amend.to_string(),
    ),
    key(
        "orders.id_prefix",
        Some("sq"),
        "1 to 12 of A-Z a-z 0-9 . _ : / -",
        "Begins every client order id of ours; one per process and account, for it tells our orders from all others.",
        |s, text| prefix(text).map(|prefix| s.orders.id_prefix = prefix),
        |s| s.orders.id_prefix.clone(),
    ),
    key(
        "orders.ack_timeout",
        Some("2s"),
        "duration, [50ms, 1m]",
        "After this long without an answer the venue is asked what became of an order.",
        |s, text| {
            let range = Nanos::from_millis(50)..=Nanos::from_secs(60);
            value::duration_in(text, &range).map(|time| s.orders.ack_timeout = time)
        },
        |s| value::duration_text(s.orders.ack_timeout),
    ),
    key(
        "orders.recv_window",
        Some("5s"),
        "duration, [100ms, 1m]",
        "The venue refuses a request that arrives later than this after its time stamp.",
        |s, text| {
            let range = Nanos::from_millis(100)..=Nanos::from_secs(60);
            value::duration_in(text, &range).map(|time| s.orders.recv_window = time)
        },
        |s| value::duration_text(s.orders.recv_window),
    ),
    key(
        "orders.entry",
        Some("ws"),
        "ws or rest",
        "How orders travel; with ws, REST is the fallback.",
        |s, text| value::choose(text, ENTRIES).map(|entry| s.orders.entry = entry),
        |s| value::chosen(s.orders.entry, ENTRIES),
    ),
    key(
        "orders.dead_man",
        Some("1m"),
        "off, or duration, [5s, 1h]",
        "The venue cancels all orders of the symbol when it has not heard from us for this long.",
        |s, text| {
            let range = Nanos::from_secs(5)..=Nanos::from_secs(3600);
            s.orders.dead_man = if text == "off" { None } else { Some(value::duration_in(text, &range)?) };
            Ok(())
        },
        |s| s.orders.dead_man.map_or_else(|| "off".to_owned(), value::duration_text),
    ),
    key(
        "market.depth_stream",
        Some("100ms"),
        "0ms or 100ms",
        "Depth stream; 0ms is faster, not documented by the venue, and larger.",
        |s, text| value::choose(text, DEPTHS).map(|stream| s.market.depth_stream = stream),
        |s| value::chosen(s.market.depth_stream, DEPTHS),
    ),
    key(
        "market.tick_interval",
        Some("none"),
        "none, or duration, [10ms, 1m]",
        "none: the strategy decides on every event. 1s: on a fixed tick, as the original program does.",
        |s, text| {
            let range = Nanos::from_millis(10)..=Nanos::from_secs(60);
            s.market.tick_interval = if text == "none" { None } else { Some(value::duration_in(text, &range)?) };
            Ok(())
        },
        |s| s.market.tick_interval.map_or_else(|| "none".to_owned(), value::duration_text),
    ),
    key(
        "market.poll",
        Some("poll"),
        "poll or direct",
        "One readiness call over all sockets, or a direct read of each; direct is faster with one hot socket.",
        |s, text| value::choose(text, POLLS).map(|poll| s.market.poll = poll),
        |s| value::chosen(s.market.poll, POLLS),
    ),
    key(
        "journal.dir",
        Some("runs"),
        "a directory",
        "Run directories are made here.",
        |s, text| path(text).map(|path| s.journal.dir = path),
        |s| s.journal.dir.display().to_string(),
    ),
    key(
        "journal.live_dir",
        Some(""),
        "a directory in memory such as /dev/shm, or empty for the run directory",
        "Where live segments lie until they are copied; in memory, a power cut loses what is not yet copied.",
        |s, text| optional_path(text).map(|path| s.journal.live_dir = path),
        |s| optional_path_text(s.journal.live_dir.as_deref()),
    ),
    key(
        "journal.segment_bytes",
        Some("64MiB"),
        "size, [1MiB, 4GiB]",
        "Size of one segment, allocated and locked ahead.",
        |s, text| value::size_in(text, &(1 << 20..=4 << 30)).map(|size| s.journal.segment_bytes = size),
        |s| value::size_text(s.journal.segment_bytes),
    ),
    key(
        "journal.bytes_max",
        Some("16GiB"),
        "size, [4MiB, 16TiB], at least three segments",
        "Size of all segments of a run.",
        |s, text| value::size_in(text, &(4 << 20..=16 << 40)).map(|size| s.journal.bytes_max = size),
        |s| value::size_text(s.journal.bytes_max),
    ),
    key(
        "journal.keep",
        Some("stop"),
        "stop or drop_oldest",
        "At that size: withdraw the quotes and stop, or drop the oldest segment and with it the replay from the start.",
        |s, text| value::choose(text, KEEPS).map(|keep| s.journal.keep = keep),
        |s| value::chosen(s.journal.keep, KEEPS),
    ),
    key(
        "journal.stamps",
        Some("true"),
        FLAG,
        "A time stamp per stage of each frame; off saves about 10 ns a stage.",
        |s, text| value::flag(text).map(|flag| s.journal.stamps = flag),
        |s| s.journal.stamps.to_string(),
    ),
    key(
        "alerts.warn_at",
        Some("80"),
        "percent of a limit, [1, 100]",
        "Where the warning band before each limit begins.",
        |s, text| value::count_in(text, &(1..=100)).map(|percent| s.alerts.warn_at = percent),
        |s| s.alerts.warn_at.to_string(),
    ),
    key(
        "alerts.escalate_after",
        Some("5m"),
        "off, or duration, [10s, 24h]",
        "A critical alert that nobody acknowledges (sq ctl ack) for this long becomes an emergency and is told again.",
        |s, text| {
            let range = Nanos::from_secs(10)..=Nanos::from_secs(24 * 3600);
            s.alerts.escalate_after = if text == "off" { None } else { Some(value::duration_in(text, &range)?) };
            Ok(())
        },
        |s| s.alerts.escalate_after.map_or_else(|| "off".to_owned(), value::duration_text),
    ),
    key(
        "alerts.command",
        Some(""),
        "a program, or empty",
        "Run with each alert: severity, name and text as arguments, all of it as JSON on stdin.",
        |s, text| optional_path(text).map(|path| s.alerts.command = path),
        |s| optional_path_text(s.alerts.command.as_deref()),
    ),
    key(
        "alerts.webhook_env",
        Some("SPINQUOTE_ALERT_WEBHOOK"),
        "name of an environment variable",
        "Variable that holds the address that each alert is posted to as JSON; where it is not set, none is.",
        |s, text| variable(text).map(|name| s.alerts.webhook_env = name),
        |s| s.alerts.webhook_env.clone(),
    ),
    key(
        "log.level",
        Some("info"),
        "error, warn, info, debug or trace",
        "What is logged for people.",
        |s, text| value::choose(text, LEVELS).map(|level| s.log.level = level.to_owned()),
        |s| s.log.level.clone(),
    ),
];

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn optional_address(text: &str, secure: &str, plain: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { value::address(text, secure, plain).map(Some) }
}

fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

fn optional_path_text(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn core(text: &str) -> Result<Option<u32>, String> {
    if text == "none" { Ok(None) } else { value::count_in(text, &(0..=1023)).map(Some) }
}

fn core_text(core: Option<u32>) -> String {
    core.map_or_else(|| "none".to_owned(), |core| core.to_string())
}

fn symbol(text: &str) -> Result<Option<String>, String> {
    match text.bytes().find(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
        Some(_) => Err(format!("`{text}` is not a symbol such as BTCUSDT")),
        None if text.len() > 24 => Err(format!("`{text}` is longer than 24 letters")),
        None => Ok((!text.is_empty()).then(|| text.to_ascii_uppercase())),
    }
}

fn variable(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("not the name of an environment variable (upper-case letters, digits, _)".to_owned())
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    if (1..=12).contains(&text.len()) && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` cannot begin a client order id"))
    }
}
