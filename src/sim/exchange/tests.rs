//! The exchange under scripts of requests and market events.

use super::*;
use crate::event::PositionSide;
use crate::event::{DepthUpdate, Level, Trade};
use crate::sim::account::EntryKind;
use crate::sim::order::ClientOrderId;
use crate::unit::Seq;

const BTC: InstrumentId = InstrumentId(0);

fn money(text: &str) -> Money {
    Money::parse(text.as_bytes()).unwrap()
}

/// One instrument, a book of 60000.0/60000.1 with 1 BTC each and more behind, one account with 10000 USDT.
struct Script {
    exchange: Exchange,
    me: AccountId,
    now: Nanos,
    seq: u64,
}

impl Script {
    fn new() -> Self {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mut exchange = Exchange::new(vec![btc], 1, QueueModel::RiskAverse);
        let now = Nanos::from_secs(1_700_000_000);
        let me = exchange.open_account(now, money("10000"));
        let mut script = Self { exchange, me, now, seq: 0 };
        script.depth(&[(600_000, 1000), (599_990, 5000)], &[(600_001, 1000), (600_010, 5000)]);
        script.mark("60000", "0.0001", 8);
        script
    }
    fn depth(&mut self, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        let levels =
            |l: &[(i64, i64)]| l.iter().map(|&(p, q)| Level { price: Ticks(p), qty: Lots(q) }).collect::<Vec<_>>();
        let (bids, asks) = (levels(bids), levels(asks));
        self.seq += 1;
        let update = DepthUpdate {
            instrument: BTC,
            first: Seq(self.seq),
            last: Seq(self.seq),
            prev: Seq(self.seq - 1),
            venue_time: self.now,
            bids: &bids,
            asks: &asks,
        };
        self.exchange.market(self.now, &Event::Depth(update));
    }
    fn mark(&mut self, price: &str, rate: &str, hours: i64) {
        let price = Price::parse(price.as_bytes()).unwrap();
        let mark = MarkPrice {
            instrument: BTC,
            mark: price,
            index: price,
            funding_rate: Rate::parse(rate.as_bytes()).unwrap(),
            next_funding: self.now + Nanos::from_secs(hours * 3600),
            venue_time: self.now,
        };
        self.exchange.market(self.now, &Event::Mark(mark));
    }
    fn print(&mut self, taker: Side, price: i64, qty: i64) {
        let trade = Trade {
            instrument: BTC,
            id: 1,
            price: Ticks(price),
            qty: Lots(qty),
            taker,
            aggregate: false,
            venue_time: self.now,
        };
        self.exchange.market(self.now, &Event::Trade(trade));
    }
    fn place(&mut self, new: NewOrder) -> Result<Order, Reject> {
        self.exchange.request(self.now, self.me, &Request::Place(new)).map(|r| match r {
            Response::Order(order) => order,
            other => panic!("{other:?}"),
        })
    }
    fn limit(&mut self, side: Side, price: i64, qty: i64, tif: Tif) -> Result<Order, Reject> {
        self.place(NewOrder { tif, ..NewOrder::limit(BTC, side, Ticks(price), Lots(qty)) })
    }
    fn amend(&mut self, order: Order, price: i64, qty: i64) -> Result<Order, Reject> {
        let request = Request::Amend {
            instrument: BTC,
            order: OrderRef::Id(order.id),
            side: order.side,
            price: Ticks(price),
            qty: Lots(qty),
        };
        self.exchange.request(self.now, self.me, &request).map(|r| match r {
            Response::Order(order) => order,
            other => panic!("{other:?}"),
        })
    }
    /// What the stream said: execution, status, filled; account updates as their reason.
    fn told(&mut self) -> Vec<String> {
        let line = |n: Notice| match n.event {
            PrivateEvent::Order { execution, order, .. } => {
                format!("{execution:?} {:?} {}", order.status, order.filled.0)
            }
            PrivateEvent::Account { reason, .. } => format!("account {reason:?}"),
            other => format!("{other:?}").split([' ', '{']).next().unwrap().to_owned(),
        };
        self.exchange.drain().map(line).collect()
    }
    fn position(&self) -> i64 {
        self.exchange.account(self.me).position(BTC, PositionSide::Net).qty.0
    }
    fn open(&self) -> usize {
        self.exchange.orders().open(self.me).count()
    }
    fn wallet_is_the_ledger(&self) {
        let account = self.exchange.account(self.me);
        assert_eq!(account.wallet(), account.ledger().total());
        let entries = account.ledger().entries().fold(Money::ZERO, |sum, e| sum + e.amount);
        assert_eq!(account.wallet(), entries);
    }
}

#[test]
fn a_maker_fill_pays_the_maker_fee_and_tells_order_then_account() {
    let mut s = Script::new();
    let order = s.limit(Side::Buy, 600_000, 10, Tif::Gtx).unwrap();
    assert_eq!((order.status, order.filled), (Status::New, Lots(0)));
    s.print(Side::Sell, 600_000, 1000);
    assert_eq!(s.told(), ["New New 0"]);
    s.print(Side::Sell, 600_000, 4);
    s.print(Side::Sell, 599_990, 40);
    assert_eq!(s.told(), ["Trade PartiallyFilled 4", "account Order", "Trade Filled 10", "account Order"]);
    assert_eq!((s.position(), s.open()), (10, 0));
    assert_eq!(s.exchange.account(s.me).ledger().sum(EntryKind::Fee), money("-0.12"));
    s.wallet_is_the_ledger();
}

#[test]
fn a_taker_walks_the_levels_and_realises_exactly() {
    let mut s = Script::new();
    let order = s.place(NewOrder::market(BTC, Side::Buy, Lots(1500))).unwrap();
    assert_eq!((order.status, order.quote), (Status::Filled, money("90000.6")));
    let order = s.limit(Side::Sell, 599_000, 1500, Tif::Ioc).unwrap();
    assert_eq!((order.status, order.quote), (Status::Filled, money("89999.5")));
    let ledger = s.exchange.account(s.me).ledger();
    assert_eq!(ledger.sum(EntryKind::Trade), money("-1.1"));
    assert_eq!(ledger.sum(EntryKind::Fee), -money("180000.1").times(Rate::parse(b"0.0005").unwrap()));
    s.wallet_is_the_ledger();
}

#[test]
fn each_time_in_force_does_what_it_says() {
    let mut s = Script::new();
    assert_eq!(s.limit(Side::Buy, 600_001, 10, Tif::Gtx), Err(Reject::PostOnly));
    assert_eq!(s.limit(Side::Buy, 600_001, 1001, Tif::Fok), Err(Reject::FillOrKill));
    assert_eq!(s.told(), [""; 0], "what is refused is not recorded");
    let ioc = s.limit(Side::Buy, 600_001, 1001, Tif::Ioc).unwrap();
    assert_eq!((ioc.status, ioc.filled), (Status::Expired, Lots(1000)));
    let gtc = s.limit(Side::Buy, 600_010, 6000, Tif::Gtc);
    assert_eq!(gtc, Err(Reject::MarginInsufficient));
    let gtc = s.limit(Side::Sell, 600_000, 1200, Tif::Gtc).unwrap();
    assert_eq!((gtc.status, gtc.filled, s.open()), (Status::PartiallyFilled, Lots(1000), 1));
    let fok = s.limit(Side::Sell, 599_990, 100, Tif::Fok).unwrap();
    assert_eq!(fok.status, Status::Filled);
    let dated = NewOrder {
        tif: Tif::Gtd,
        good_till: s.now + Nanos::from_secs(700),
        ..NewOrder::limit(BTC, Side::Buy, Ticks(599_000), Lots(10))
    };
    assert_eq!(s.place(NewOrder { good_till: s.now, ..dated }), Err(Reject::GoodTillDate));
    s.place(dated).unwrap();
    assert_eq!(s.exchange.next_due(), s.now + Nanos::from_secs(700));
    s.exchange.tick(s.now + Nanos::from_secs(700));
    assert_eq!(s.open(), 1);
}

#[test]
fn filters_refuse_with_the_venues_codes() {
    let mut s = Script::new();
    let limit = NewOrder::limit(BTC, Side::Buy, Ticks(599_000), Lots(10));
    let hedge = PositionSide::Long;
    for (new, code) in [
        (NewOrder { qty: Lots(0), ..limit }, -4003),
        (NewOrder { qty: Lots(1_000_001), ..limit }, -4005),
        (NewOrder { price: Ticks(0), ..limit }, -4001),
        (NewOrder { price: Ticks(100_000_001), ..limit }, -4002),
        (NewOrder { price: Ticks(640_000), ..limit }, -4131),
        (NewOrder { side: Side::Sell, price: Ticks(500_000), ..limit }, -4131),
        (NewOrder { qty: Lots(1), ..limit }, -4164),
        (NewOrder { reduce_only: true, ..limit }, -2022),
        (NewOrder { position_side: hedge, ..limit }, -4061),
        (NewOrder { qty: Lots(100_000), ..limit }, -2019),
        (NewOrder { instrument: InstrumentId(9), ..limit }, -1121),
    ] {
        assert_eq!(s.place(new).unwrap_err().code(), code, "{new:?}");
    }
    let named = NewOrder { client_id: ClientOrderId::from("a-1").unwrap(), ..limit };
    s.place(named).unwrap();
    assert_eq!(s.place(named), Err(Reject::DuplicateClientId));
    let cancel = Request::Cancel { instrument: BTC, order: OrderRef::Client(named.client_id) };
    s.exchange.request(s.now, s.me, &cancel).unwrap();
    assert_eq!(s.exchange.request(s.now, s.me, &cancel), Err(Reject::CancelUnknown));
    s.place(named).unwrap();
    for _ in 1..200 {
        s.place(NewOrder { qty: Lots(2), ..limit }).unwrap();
    }
    assert_eq!(s.place(limit), Err(Reject::MaxOpenOrders));
}

#[test]
fn an_amend_loses_the_place_and_has_its_own_rules() {
    let mut s = Script::new();
    let order = s.limit(Side::Buy, 600_000, 10, Tif::Gtx).unwrap();
    s.print(Side::Sell, 600_000, 1000);
    assert_eq!(s.amend(order, 600_000, 10), Err(Reject::AmendNothing));
    let order = s.amend(order, 600_000, 12).unwrap();
    assert_eq!((order.qty, order.amends), (Lots(12), 1));
    s.print(Side::Sell, 600_000, 999);
    assert_eq!(order.filled, Lots(0), "back of the queue");
    s.print(Side::Sell, 600_000, 6);
    let order = s.amend(order, 599_990, 5).unwrap();
    assert_eq!((order.status, order.filled), (Status::Canceled, Lots(5)), "not more than is executed");
    let order = s.limit(Side::Buy, 599_000, 10, Tif::Gtx).unwrap();
    assert_eq!(s.amend(order, 600_001, 10).unwrap().status, Status::Canceled, "post-only would take");
    assert_eq!(s.amend(order, 599_001, 10), Err(Reject::NoSuchOrder));
}

#[test]
fn reduce_only_never_exceeds_the_position() {
    let mut s = Script::new();
    s.place(NewOrder::market(BTC, Side::Buy, Lots(10))).unwrap();
    let close = NewOrder { reduce_only: true, ..NewOrder::limit(BTC, Side::Sell, Ticks(600_010), Lots(15)) };
    assert_eq!(s.place(close).unwrap().qty, Lots(10));
    assert_eq!(s.place(NewOrder { price: Ticks(600_011), ..close }).unwrap().qty, Lots(10));
    s.told();
    s.depth(&[(600_000, 0)], &[(600_001, 0), (600_010, 0)]);
    s.print(Side::Buy, 600_020, 16);
    assert_eq!((s.position(), s.open()), (0, 0));
    assert_eq!(s.told(), ["Trade Filled 10", "account Order", "Expired Expired 0"]);
}

#[test]
fn hedge_mode_keeps_two_positions() {
    let mut s = Script::new();
    s.exchange.request(s.now, s.me, &Request::PositionMode { hedge: true }).unwrap();
    assert_eq!(s.exchange.request(s.now, s.me, &Request::PositionMode { hedge: true }), Err(Reject::PositionModeSame));
    let market = |side, position_side, qty| NewOrder { position_side, ..NewOrder::market(BTC, side, Lots(qty)) };
    s.place(market(Side::Buy, PositionSide::Long, 10)).unwrap();
    s.place(market(Side::Sell, PositionSide::Short, 4)).unwrap();
    assert_eq!(s.place(market(Side::Sell, PositionSide::Net, 4)), Err(Reject::PositionSide));
    assert_eq!(s.place(market(Side::Sell, PositionSide::Long, 11)), Err(Reject::ReduceOnly));
    s.place(market(Side::Sell, PositionSide::Long, 10)).unwrap();
    let account = s.exchange.account(s.me);
    assert_eq!(account.position(BTC, PositionSide::Long).qty, Lots(0));
    assert_eq!(account.position(BTC, PositionSide::Short).qty, Lots(-4));
    assert_eq!(
        s.exchange.request(s.now, s.me, &Request::PositionMode { hedge: false }),
        Err(Reject::PositionModePosition)
    );
}

#[test]
fn funding_is_charged_once_at_its_time_on_the_position() {
    let mut s = Script::new();
    s.place(NewOrder::market(BTC, Side::Sell, Lots(10))).unwrap();
    s.told();
    let due = s.exchange.next_due();
    assert_eq!(due, s.now + Nanos::from_secs(8 * 3600));
    s.now = due - Nanos(1);
    s.exchange.tick(s.now);
    assert_eq!(s.told(), [""; 0]);
    s.now = due + Nanos::from_secs(1);
    s.mark("60000", "0.0005", 8);
    s.exchange.tick(s.now);
    assert_eq!(s.told(), ["account Funding"]);
    assert_eq!(s.exchange.account(s.me).ledger().sum(EntryKind::Funding), money("0.06"), "a short receives");
    s.wallet_is_the_ledger();
}

#[test]
fn a_mark_that_still_names_the_time_just_charged_charges_nobody_again() {
    let mut s = Script::new();
    s.place(NewOrder::market(BTC, Side::Buy, Lots(10))).unwrap();
    s.told();
    let due = s.exchange.next_due();
    s.now = due;
    s.exchange.tick(s.now);
    assert_eq!(s.told(), ["account Funding"]);
    s.mark("60000", "0.0001", 0);
    s.now = due + Nanos::from_secs(1);
    s.exchange.tick(s.now);
    assert_eq!((s.told(), s.exchange.next_due()), (vec![], due + Nanos::from_secs(8 * 3600)));
}

#[test]
fn thin_margin_warns_then_liquidates_and_the_fund_pays_the_rest() {
    let mut s = Script::new();
    s.place(NewOrder::market(BTC, Side::Buy, Lots(3000))).unwrap();
    s.limit(Side::Buy, 590_000, 10, Tif::Gtx).unwrap();
    s.told();
    s.mark("57000", "0.0001", 8);
    assert_eq!(s.told(), [""; 0]);
    s.mark("56930", "0.0001", 8);
    assert_eq!(s.told(), ["MarginCall"]);
    s.depth(&[(600_000, 0), (599_990, 0), (550_000, 1000)], &[]);
    s.mark("55000", "0.0001", 8);
    let told = s.told();
    assert_eq!(told[..2], ["Canceled Canceled 0", "New New 0"]);
    assert_eq!(told[2], "Calculated PartiallyFilled 1000");
    assert_eq!(told.last().unwrap(), "account Insurance");
    assert_eq!((s.position(), s.open(), s.exchange.account(s.me).wallet()), (0, 0, Money::ZERO));
    let client = s.exchange.orders().closed(s.me).last().unwrap().client_id;
    assert!(client.starts_with("autoclose-"), "{client}");
    s.wallet_is_the_ledger();
}

#[test]
fn the_dead_man_switch_cancels_unless_renewed() {
    let mut s = Script::new();
    s.limit(Side::Buy, 599_000, 10, Tif::Gtx).unwrap();
    let arm = |after| Request::Countdown { instrument: BTC, after: Nanos::from_secs(after) };
    s.exchange.request(s.now, s.me, &arm(5)).unwrap();
    s.exchange.request(s.now + Nanos::from_secs(4), s.me, &arm(5)).unwrap();
    s.exchange.tick(s.now + Nanos::from_secs(8));
    assert_eq!(s.open(), 1);
    s.exchange.tick(s.now + Nanos::from_secs(9));
    assert_eq!(s.open(), 0);
    s.limit(Side::Buy, 599_000, 10, Tif::Gtx).unwrap();
    s.exchange.request(s.now, s.me, &arm(5)).unwrap();
    s.exchange.request(s.now, s.me, &arm(0)).unwrap();
    s.exchange.tick(s.now + Nanos::from_secs(99));
    assert_eq!(s.open(), 1);
}

#[test]
fn two_accounts_trade_with_each_other_and_one_does_not_with_itself() {
    let mut s = Script::new();
    let you = s.exchange.open_account(s.now, money("10000"));
    s.depth(&[(600_000, 0)], &[(600_001, 0)]);
    s.limit(Side::Sell, 600_000, 10, Tif::Gtx).unwrap();
    s.told();
    let mine = s.limit(Side::Buy, 600_000, 10, Tif::Gtc).unwrap();
    assert_eq!((mine.status, s.open()), (Status::New, 1));
    assert_eq!(s.told(), ["New New 0", "Expired ExpiredInMatch 0"]);
    let sell = NewOrder::limit(BTC, Side::Sell, Ticks(600_000), Lots(10));
    s.exchange.request(s.now, you, &Request::Place(sell)).unwrap();
    assert_eq!(s.position(), 10);
    assert_eq!(s.exchange.account(you).position(BTC, PositionSide::Net).qty, Lots(-10));
}

#[test]
fn one_seed_and_one_script_give_one_run() {
    let run = || {
        let mut s = Script::new();
        let mut all = Vec::new();
        let mut dice = Dice::new(7);
        for _ in 0..2000 {
            s.now += Nanos::from_millis(10);
            let price = 599_980 + dice.below(40) as i64;
            let qty = 2 + dice.below(20) as i64;
            let side = if dice.chance(500) { Side::Buy } else { Side::Sell };
            match dice.below(6) {
                0 => drop(s.limit(side, price, qty, Tif::Gtx)),
                1 => drop(s.limit(side, price, qty, Tif::Gtc)),
                2 => drop(s.place(NewOrder::market(BTC, side, Lots(qty)))),
                3 => s.print(side, price, qty),
                4 if s.open() > 20 => drop(s.exchange.cancel_all(s.now, s.me, None)),
                _ => {
                    let (bid, ask) = (price.min(600_000), price.max(600_001));
                    s.depth(&[(bid, qty)], &[(ask, qty)]);
                }
            }
            all.extend(s.exchange.drain());
            s.wallet_is_the_ledger();
        }
        assert!(all.len() > 500, "the script trades: {}", all.len());
        all
    };
    assert_eq!(run(), run());
}
