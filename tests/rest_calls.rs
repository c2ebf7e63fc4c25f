//! REST calls that a run makes seldom, against the pretend venue over TLS: batches, cancel by id in tens, everything at once, marks.

#[path = "support/process.rs"]
mod process;
#[path = "support/session.rs"]
mod session;

use session::{KEY, PATIENCE, SECRET, Venue, synthetic};
use spinquote::engine::clock::Clock;
use spinquote::engine::housekeeper::cancel_ours;
use spinquote::engine::rest::{Caller, Rest};
use spinquote::event::{ClientId, Command, CommandKind, OrderEvent, OrderEventKind, PositionSide, Side, TimeInForce};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::sim::order::{AccountId, Order};
use spinquote::sim::server::{AccountConfig, Server, ServerConfig};
use spinquote::unit::{Lots, Nanos, Ticks};
use spinquote::venue::binance::usdm::client_id::Prefix;
use spinquote::venue::binance::usdm::sign::{Credentials, KeyKind, Signer};
use spinquote::venue::binance::usdm::{batch, rest};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ME: AccountId = AccountId(0);

struct Client {
    server: Server,
    caller: Caller,
    terms: Instrument,
    prefix: Prefix,
    /// Far below the market.
    price: Ticks,
}

impl Client {
    fn new() -> Self {
        let market = synthetic(3);
        let terms = market.instrument().clone();
        let price = Ticks(market.book().best(Side::Buy).unwrap().price.0 - 20_000);
        let server = Server::start(ServerConfig::new(vec![market], vec![AccountConfig::new(KEY, SECRET)])).unwrap();
        let credentials = Credentials { api_key: KEY.into(), secret: SECRET.into(), kind: KeyKind::Hmac };
        let ca = server.cert_pem().map(str::as_bytes);
        let rest = Rest::new(&server.rest_url(), ca, Some(KEY), Duration::from_secs(20)).unwrap();
        let signer = Signer::new(&credentials).unwrap();
        let caller = Caller::new(rest, Some(signer), Clock::new(), Arc::default(), Nanos::from_secs(60));
        Self { server, caller, terms, prefix: Prefix::new("sq").unwrap(), price }
    }

    fn command(&self, kind: CommandKind, seq: u32, price: i64, qty: i64) -> Command {
        Command {
            kind,
            side: Side::Buy,
            tif: TimeInForce::PostOnly,
            position_side: PositionSide::Net,
            reduce_only: false,
            instrument: InstrumentId(0),
            generation: 1,
            client_id: ClientId { run: 1, seq },
            price: Ticks(price),
            qty: Lots(qty),
            decided_at: Nanos::ZERO,
        }
    }

    fn batch(&self, commands: &[Command]) -> Vec<OrderEvent> {
        let request = batch::request(commands, &self.terms, &self.prefix, false).unwrap();
        let reply = self.caller.call(&request).unwrap();
        let (events, _) =
            batch::events(commands, &self.terms, &self.prefix, reply.status, &reply.body, reply.retry_after);
        events
    }

    fn open(&self) -> Vec<Order> {
        self.server.open_orders(ME)
    }
}

fn kinds(events: &[OrderEvent]) -> Vec<(u32, OrderEventKind)> {
    events.iter().map(|event| (event.client_id.seq, event.kind)).collect()
}

#[test]
fn batches_place_amend_and_cancel_each_order_for_itself() {
    use OrderEventKind::{Accepted, Amended, CancelRejected, Canceled, Rejected};
    let client = Client::new();
    let price = client.price.0;
    let mut new: Vec<Command> =
        (1..=5).map(|seq| client.command(CommandKind::New, seq, price - i64::from(seq), 10)).collect();
    // One that the venue refuses does not touch the others.
    new[2].qty = Lots(0);
    let placed = client.batch(&new);
    assert_eq!(kinds(&placed), [(1, Accepted), (2, Accepted), (3, Rejected), (4, Accepted), (5, Accepted)]);
    assert_eq!(client.open().len(), 4);
    let amends =
        [client.command(CommandKind::Amend, 4, price - 9, 12), client.command(CommandKind::Amend, 5, price - 8, 11)];
    assert_eq!(kinds(&client.batch(&amends)), [(4, Amended), (5, Amended)]);
    let of = |id: &str| client.open().into_iter().find(|order| order.client_id.as_str() == id).unwrap();
    let amended = of("sq00000001-00000004");
    assert_eq!((amended.price, amended.qty), (Ticks(price - 9), Lots(12)));
    let cancels = [1, 3, 5].map(|seq| client.command(CommandKind::Cancel, seq, 0, 0));
    assert_eq!(kinds(&client.batch(&cancels)), [(1, Canceled), (3, CancelRejected), (5, Canceled)]);
    assert_eq!(client.open().len(), 2);
}

#[test]
fn ours_are_cancelled_in_tens_and_nobody_elses() {
    let client = Client::new();
    let all: Vec<Command> =
        (1..=23).map(|seq| client.command(CommandKind::New, seq, client.price.0 - i64::from(seq), 10)).collect();
    for five in all.chunks(batch::ORDERS_MAX) {
        client.batch(five);
    }
    Venue::at(&client.server, &client.terms).place("other-", 1, Side::Buy, client.price, Lots(7));
    assert_eq!(client.open().len(), 24);
    let before = client.server.counts().rest;
    let cancelled = cancel_ours(&client.caller, InstrumentId(0), &client.terms, &client.prefix).unwrap();
    assert_eq!(cancelled, 23);
    assert_eq!(client.server.counts().rest - before, 4, "the list, and three calls of ten");
    let left = client.open();
    assert_eq!(left.len(), 1);
    assert!(left[0].client_id.starts_with("other-"));
}

#[test]
fn the_account_wide_emergency_wants_the_symbol_typed_back() {
    let client = Client::new();
    client.batch(&[client.command(CommandKind::New, 1, client.price.0, 10)]);
    Venue::at(&client.server, &client.terms).place("other-", 1, Side::Buy, client.price, Lots(7));
    assert_eq!(client.open().len(), 2);
    let files =
        process::Files::new(&client.server.rest_url(), &client.server.ws_url(), client.server.cert_pem(), "", "");
    let cancel = |more: &[&str]| {
        let args =
            [&["cancel-account", "--engine", "engine.toml", "--symbol", client.terms.symbol.as_str()], more].concat();
        let said = process::spinquote(files.dir(), &args).output().unwrap();
        (said.status.success(), String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap())
    };
    for wrong in [&[][..], &["--yes", "ETHUSDT"]] {
        let (done, said) = cancel(wrong);
        assert!(
            !done && said.contains("nothing cancelled") && said.contains("1 placed by this engine and 1 by others"),
            "{said}"
        );
        assert_eq!(client.open().len(), 2);
    }
    let (done, said) = cancel(&["--yes", client.terms.symbol.as_str()]);
    assert!(done && said.contains("no open order is left of 2"), "{said}");
    assert_eq!(client.open(), []);
}

#[test]
fn mark_and_funding_can_be_asked_for() {
    let client = Client::new();
    // A market that has just begun has made none yet.
    let begun = Instant::now();
    let mark = loop {
        let answer = client.caller.json(&rest::premium_index(&client.terms.symbol)).unwrap();
        match rest::mark_price(&answer, InstrumentId(0)) {
            Ok(mark) => break mark,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let touch = client.terms.price(client.price);
    assert!(mark.mark > touch && mark.next_funding > mark.venue_time, "{mark:?}");
}
