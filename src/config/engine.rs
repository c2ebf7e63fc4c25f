//! `engine.toml`: where the venue is, how threads wait, what the risk gate allows, where the journal lies. Never a secret itself.

use crate::config::schema::{Key, Settings};
use crate::unit::{Amount, Money, Nanos, Rate};
use std::path::PathBuf;

pub use crate::config::engine_keys::KEYS;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineSettings {
    /// `[venue]`
    pub venue: VenueSettings,
    /// `[source]`
    pub source: SourceSettings,
    /// `[credentials]`
    pub credentials: CredentialSettings,
    /// `[threads]`
    pub threads: ThreadSettings,
    /// `[risk]`
    pub risk: RiskSettings,
    /// `[orders]`
    pub orders: OrderSettings,
    /// `[market]`
    pub market: MarketSettings,
    /// `[journal]`
    pub journal: JournalSettings,
    /// `[alerts]`
    pub alerts: AlertSettings,
    /// `[log]`
    pub log: LogSettings,
}

/// Where the venue is. Addresses have no `/` at their end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VenueSettings {
    /// REST, without the `/fapi` part.
    pub rest_url: String,
    /// Depth, best quote and trades; `/stream` or `/ws` is added.
    pub public_ws_url: String,
    /// Mark price and funding.
    pub market_ws_url: String,
    /// User data.
    pub private_ws_url: String,
    /// Order entry, whole.
    pub order_ws_url: String,
    /// PEM file of certificates to trust instead of the public roots.
    pub ca_file: Option<PathBuf>,
    /// The venue's symbol, where it is not the pair of the strategy without its dash.
    pub symbol: Option<String>,
}

/// Where a strategy's second price source is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceSettings {
    /// REST; `None`: the public address of the connector that the strategy names.
    pub rest_url: Option<String>,
    /// Market streams; likewise.
    pub ws_url: Option<String>,
    /// PEM file of certificates to trust instead of the public roots.
    pub ca_file: Option<PathBuf>,
    /// Oldest data of the second market that are quoted on.
    pub stale_after: Nanos,
}

/// Where the key and the secret come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialSettings {
    /// Environment or file.
    pub source: CredentialSource,
    /// How requests are signed.
    pub kind: CredentialKind,
    /// Variable that holds the API key.
    pub key_env: String,
    /// Variable that holds the secret, or the private key in PEM.
    pub secret_env: String,
    /// File with `key = "..."` and `secret = "..."`.
    pub file: Option<PathBuf>,
}

/// Where a secret may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialSource {
    /// Two environment variables.
    #[default]
    Env,
    /// A file that only its owner can read.
    File,
}

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialKind {
    /// HMAC-SHA256 with a shared secret.
    #[default]
    Hmac,
    /// Ed25519 with a private key; allows a session log-on.
    Ed25519,
}

/// Which core runs what and how a thread waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadSettings {
    /// Core of the engine thread, not pinned if `None`.
    pub engine_core: Option<u32>,
    /// Core of the I/O thread.
    pub io_core: Option<u32>,
    /// What a thread does when nothing is ready.
    pub wait: Wait,
    /// Lock all memory, so that no page is ever written out.
    pub mlock: bool,
}

/// What a thread does when nothing is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// Looks again at once; needs a core of its own.
    Spin,
    /// Offers the core to others between looks.
    #[default]
    Yield,
    /// Sleeps until a socket is ready.
    Park,
}

/// What the risk gate allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RiskSettings {
    /// Largest worst-case position in either direction.
    pub position_max: Amount,
    /// Largest quantity of one order.
    pub order_qty_max: Amount,
    /// Largest notional of one order.
    pub order_notional_max: Money,
    /// Farthest distance of an order from the mid.
    pub price_band: Rate,
    /// A total loss of the run of this much kills.
    pub loss_max: Money,
    /// New orders and amends in ten seconds.
    pub orders_per_10s: u32,
    /// New orders and amends in a minute.
    pub orders_per_min: u32,
    /// Messages of any kind in a second.
    pub messages_per_s: u32,
    /// Of those, kept for cancels and queries.
    pub cancel_headroom: u32,
    /// Oldest market data that is quoted on.
    pub stale_after: Nanos,
    /// Largest difference between the venue's clock and ours.
    pub clock_skew_max: Nanos,
    /// What happens at start with our own orders of an earlier run.
    pub leftovers: Leftovers,
    /// Change live orders in place where that saves messages.
    pub amend: bool,
}

/// What happens at start with our own orders of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leftovers {
    /// They are cancelled.
    #[default]
    Cancel,
    /// They become ours again.
    Adopt,
}

/// How orders travel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderSettings {
    /// Begins every client order id of ours.
    pub id_prefix: String,
    /// An order without an answer for this long has an unknown outcome.
    pub ack_timeout: Nanos,
    /// How long after its time stamp the venue may still accept a request.
    pub recv_window: Nanos,
    /// WebSocket or REST.
    pub entry: OrderEntry,
    /// The venue cancels everything when it has not heard from us for this long; `None` is off.
    pub dead_man: Option<Nanos>,
}

/// The way of orders to the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderEntry {
    /// The WebSocket API, REST where it fails.
    #[default]
    Ws,
    /// REST only.
    Rest,
}

/// What is heard from the market and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarketSettings {
    /// Which depth stream.
    pub depth_stream: DepthStream,
    /// `None`: the strategy decides on every event. Otherwise on a fixed tick, as the original programs do.
    pub tick_interval: Option<Nanos>,
    /// How sockets are read.
    pub poll: Poll,
}

/// The depth streams of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DepthStream {
    /// Undocumented and fastest (about 50 ms).
    Fastest,
    /// Every 100 ms.
    #[default]
    Every100ms,
}

/// How sockets are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Poll {
    /// One readiness call over all sockets.
    #[default]
    Poll,
    /// A non-blocking read of each hot socket; best with one.
    Direct,
}

/// Where runs are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalSettings {
    /// Run directories are made here.
    pub dir: PathBuf,
    /// Live segments lie here instead, such as `/dev/shm`.
    pub live_dir: Option<PathBuf>,
    /// Bytes of one segment.
    pub segment_bytes: u64,
    /// Bytes of all segments of a run.
    pub bytes_max: u64,
    /// What happens at that size.
    pub keep: Keep,
    /// A time stamp per stage of each frame.
    pub stamps: bool,
}

/// What happens when the journal has reached its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Quotes are withdrawn and the run ends.
    #[default]
    Stop,
    /// The oldest segment goes; the run can no longer be replayed from its start.
    DropOldest,
}

/// When alerts are raised and who is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertSettings {
    /// Where the warning band before a limit begins, percent of the limit.
    pub warn_at: u32,
    /// A critical alert that nobody acknowledges for this long escalates; `None` is never.
    pub escalate_after: Option<Nanos>,
    /// A program that is run with each alert.
    pub command: Option<PathBuf>,
    /// Variable that holds the address that each alert is posted to.
    pub webhook_env: String,
}

/// What is logged for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

/// What the demo sets besides the defaults: limits that suit the embedded exchange, and no wish that a laptop cannot grant.
pub const DEMO: &[(&str, &str)] = &[
    ("risk.position_max", "1000000"),
    ("risk.order_qty_max", "100000"),
    ("risk.order_notional_max", "100000"),
    ("risk.price_band", "10"),
    ("risk.loss_max", "5000"),
    ("market.depth_stream", "0ms"),
];

impl EngineSettings {
    /// The defaults of every key that has one; the others are zero until set.
    #[must_use]
    pub fn with_defaults() -> Self {
        let mut settings = Self::default();
        for key in KEYS {
            if let Some(text) = key.default {
                (key.set)(&mut settings, text).expect("a key's default is valid");
            }
        }
        settings
    }

    /// The demo's settings; the caller puts the embedded exchange's addresses in.
    #[must_use]
    pub fn demo() -> Self {
        let mut settings = Self::with_defaults();
        for (name, text) in DEMO {
            let key: &Key<Self> = KEYS.iter().find(|key| key.name == *name).expect("a demo setting is a known key");
            (key.set)(&mut settings, text).expect("a demo setting is valid");
        }
        settings
    }
}

impl Settings for EngineSettings {
    fn keys() -> &'static [Key<Self>] {
        KEYS
    }

    fn blank() -> Self {
        Self::with_defaults()
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (risk, threads, journal) = (&self.risk, &self.threads, &self.journal);
        if self.credentials.source == CredentialSource::File && self.credentials.file.is_none() {
            wrong.push("credentials.file is needed by credentials.source = \"file\"".to_owned());
        }
        if self.credentials.key_env == self.credentials.secret_env {
            wrong.push("credentials.secret_env names the same variable as credentials.key_env".to_owned());
        }
        if threads.engine_core.is_some() && threads.engine_core == threads.io_core && threads.wait == Wait::Spin {
            wrong.push(
                "threads.io_core is the core of threads.engine_core, which never leaves it with threads.wait = \"spin\""
                    .to_owned(),
            );
        }
        if risk.order_qty_max > risk.position_max {
            wrong.push(
                "risk.order_qty_max is above risk.position_max: one order could break the position limit".to_owned(),
            );
        }
        if risk.orders_per_10s > risk.orders_per_min {
            wrong.push("risk.orders_per_10s is above risk.orders_per_min".to_owned());
        }
        if risk.cancel_headroom >= risk.messages_per_s {
            wrong.push("risk.cancel_headroom leaves nothing of risk.messages_per_s for orders".to_owned());
        }
        if self.orders.dead_man.is_some_and(|after| after <= self.orders.ack_timeout) {
            wrong.push(
                "orders.dead_man is not longer than orders.ack_timeout: it would fire between two answers".to_owned(),
            );
        }
        if journal.bytes_max / 3 < journal.segment_bytes {
            wrong.push("journal.bytes_max holds fewer than three segments of journal.segment_bytes".to_owned());
        }
        wrong
    }

    fn warnings(&self) -> Vec<String> {
        let mut known = Vec::new();
        if self.orders.dead_man.is_none() {
            known.push("orders.dead_man is off: if this machine dies, its orders stay in the book".to_owned());
        }
        if self.threads.wait == Wait::Spin && self.threads.engine_core.is_none() {
            known.push(
                "threads.wait is spin but threads.engine_core is none: the spinning thread may be moved".to_owned(),
            );
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        let settings = EngineSettings::demo();
        let mut again = EngineSettings::default();
        for key in KEYS {
            (key.set)(&mut again, &(key.show)(&settings)).unwrap_or_else(|error| panic!("{}: {error}", key.name));
        }
        assert_eq!(again, settings);
    }

    #[test]
    fn a_default_is_shown_as_it_stands_in_the_table() {
        let settings = EngineSettings::with_defaults();
        for key in KEYS {
            if let Some(default) = key.default {
                assert_eq!((key.show)(&settings), default, "{}", key.name);
            }
        }
    }

    #[test]
    fn the_demo_needs_nothing_from_its_user() {
        let settings = EngineSettings::demo();
        assert_eq!(settings.check(), Vec::<String>::new());
        for key in KEYS.iter().filter(|key| key.default.is_none()) {
            assert!(DEMO.iter().any(|(name, _)| *name == key.name), "the demo does not set {}", key.name);
        }
    }

    #[test]
    fn every_limit_of_size_must_be_chosen_by_the_user() {
        let required: Vec<_> = KEYS.iter().filter(|key| key.default.is_none()).map(|key| key.name).collect();
        let limits = ["position_max", "order_qty_max", "order_notional_max", "price_band", "loss_max"];
        assert_eq!(required, limits.map(|name| format!("risk.{name}")));
    }

    #[test]
    fn contradictions_are_all_named() {
        let mut settings = EngineSettings::demo();
        settings.credentials.source = CredentialSource::File;
        settings.credentials.secret_env = settings.credentials.key_env.clone();
        settings.threads = ThreadSettings { engine_core: Some(1), io_core: Some(1), wait: Wait::Spin, mlock: false };
        settings.risk.order_qty_max = settings.risk.position_max + Amount(1);
        settings.risk.orders_per_10s = settings.risk.orders_per_min + 1;
        settings.risk.cancel_headroom = settings.risk.messages_per_s;
        settings.orders.dead_man = Some(settings.orders.ack_timeout);
        settings.journal.segment_bytes = settings.journal.bytes_max;
        let wrong = settings.check();
        assert_eq!(wrong.len(), 8, "{wrong:?}");
        for message in &wrong {
            let first = message.split(' ').next().unwrap();
            assert!(KEYS.iter().any(|key| key.name == first), "{message} does not begin with a key");
        }
    }
}
