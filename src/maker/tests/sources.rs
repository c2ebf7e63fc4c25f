//! Second price sources: what withdraws entries, what exits do meanwhile, and what wakes whom.

use super::*;
use crate::event::BestQuote;
use crate::maker::strategy::External;

const WATCHED: InstrumentId = InstrumentId(1);
const STALE: Nanos = Nanos::from_secs(2);

/// A rig whose desk has this source, ready but for it. Number 1 is watched.
fn rig(source: Source) -> Rig {
    let mut rig = Rig::new(Rig::config());
    let instrument =
        |symbol| Instrument { notional_min: Money::ZERO, ..Instrument::synthetic(symbol, "0.10", "0.001") };
    let setup = InstrumentSetup {
        instrument: instrument("BTCUSDT"),
        strategy: Box::new(Wanting(rig.desire.clone())),
        cadence: Cadence::EveryEvent,
        source: Some(source),
    };
    rig.maker = Maker::watching(Rig::config(), vec![setup], vec![instrument("BTCUSDC")]);
    rig.link(Link::Private, LinkState::Up);
    rig.link(Link::OrderEntry, LinkState::Up);
    rig.reconciled(0, &[]);
    rig.sync_book();
    assert_eq!(rig.status().blocks, Blocks(Blocks::SOURCE));
    rig
}

fn polled() -> Source {
    Source::Polled { stale_after: STALE }
}

fn market() -> Source {
    Source::Market { instrument: WATCHED, stale_after: STALE }
}

impl Rig {
    fn price(&mut self, text: &[u8]) -> Vec<String> {
        self.step(&Event::External { instrument: ID, price: Price::parse(text).unwrap() })
    }

    fn watched_link(&mut self, state: LinkState) -> Vec<String> {
        self.step(&Event::Link { instrument: WATCHED, link: Link::Market, state })
    }

    fn watched_diff(&mut self, prev: u64, last: u64) -> Vec<String> {
        let (first, last, prev) = (Seq(prev + 1), Seq(last), Seq(prev));
        let venue_time = self.now;
        self.step(&Event::Depth(DepthUpdate {
            instrument: WATCHED,
            first,
            last,
            prev,
            venue_time,
            bids: &[],
            asks: &[],
        }))
    }

    fn watched_snapshot(&mut self, last: u64) -> Vec<String> {
        let level = |price| [Level { price: Ticks(price), qty: Lots(9) }];
        let (bids, asks, venue_time) = (level(2000), level(2002), Nanos::ZERO);
        let last = Seq(last);
        self.step(&Event::Snapshot(DepthSnapshot { instrument: WATCHED, last, venue_time, bids: &bids, asks: &asks }))
    }

    fn watched_quote(&mut self, seq: u64) -> Vec<String> {
        let level = |price| Level { price: Ticks(price), qty: Lots(9) };
        let quote = BestQuote {
            instrument: WATCHED,
            seq: Seq(seq),
            bid: level(2000),
            ask: level(2002),
            venue_time: Nanos::ZERO,
        };
        self.step(&Event::Quote(quote))
    }

    fn decided(&self) -> u32 {
        self.desire.lock().unwrap().decided
    }

    /// An entry and a take profit rest.
    fn entry_and_exit(&mut self) {
        let exit = Quote { purpose: Purpose::TakeProfit, ..quote(Side::Sell, 1020, 5) };
        self.desire.lock().unwrap().quotes = vec![quote(Side::Buy, 1000, 5), exit];
        assert_eq!(self.depth(&[], &[]), ["new 1 buy 1000x5", "new 2 sell 1020x5"]);
        self.say(OrderEventKind::Accepted, 1);
        self.say(OrderEventKind::Accepted, 2);
    }
}

#[test]
fn an_old_polled_price_withdraws_entries_and_leaves_exits() {
    let mut rig = rig(polled());
    assert!(rig.price(b"100.5").is_empty());
    assert_eq!(rig.status().blocks, Blocks::default());
    rig.entry_and_exit();
    // The own book is fresh all the time; the price may be as old as the limit and not older.
    rig.now += STALE;
    assert!(rig.depth(&[], &[]).is_empty());
    assert_eq!(rig.pass(Nanos(1)), ["cancel 1"]);
    assert_eq!((rig.status().blocks, rig.noted()[0]), (Blocks(Blocks::SOURCE), DecisionKind::Withdrawn));
    assert_eq!(rig.out.decisions[0].detail, i64::from(Blocks::SOURCE));
    assert!(rig.say(OrderEventKind::Canceled, 1).iter().all(|command| !command.starts_with("cancel")));
    assert_eq!(rig.status().counters.withdrawn, 1);
}

#[test]
fn exits_are_decided_on_while_the_price_is_missing() {
    let mut rig = rig(polled());
    rig.price(b"100.5");
    rig.entry_and_exit();
    rig.now += STALE + Nanos(1);
    let before = rig.decided();
    rig.desire.lock().unwrap().quotes = vec![Quote { purpose: Purpose::TakeProfit, ..quote(Side::Sell, 1015, 5) }];
    let commands = rig.depth(&[], &[]);
    assert_eq!(rig.decided(), before + 1);
    assert!(
        commands.contains(&"cancel 1".to_owned()) && commands.contains(&"amend 2 1015x5".to_owned()),
        "{commands:?}"
    );
}

#[test]
fn a_price_of_zero_is_no_price_and_a_new_one_is_enough() {
    let mut rig = rig(polled());
    rig.price(b"100.5");
    rig.entry_and_exit();
    assert_eq!(rig.price(b"0"), ["cancel 1"]);
    assert!(rig.status().blocks.any(Blocks::SOURCE));
    rig.price(b"100.6");
    assert_eq!(rig.status().blocks, Blocks::default());
    assert!(rig.noted().contains(&DecisionKind::Ready), "{:?}", rig.noted());
}

#[test]
fn a_watched_book_must_be_up_in_sync_and_fresh() {
    let mut rig = rig(market());
    assert!(rig.watched_link(LinkState::Up).is_empty());
    assert_eq!(rig.watched_diff(10, 12), ["snapshot"]);
    assert_eq!(rig.out.commands[0].instrument, WATCHED);
    assert!(rig.status().blocks.any(Blocks::SOURCE));
    rig.watched_snapshot(11);
    assert_eq!(rig.status().blocks, Blocks::default());
    rig.entry_and_exit();
    // A hole in the watched book.
    let commands = rig.watched_diff(15, 16);
    assert!(commands.contains(&"cancel 1".to_owned()) && commands.contains(&"snapshot".to_owned()), "{commands:?}");
    rig.watched_snapshot(16);
    assert_eq!(rig.status().blocks, Blocks::default());
    // Silence, ended by a best quote alone.
    rig.now += STALE + Nanos(1);
    rig.depth(&[], &[]);
    assert_eq!(rig.status().blocks, Blocks(Blocks::SOURCE));
    rig.watched_quote(20);
    assert_eq!(rig.status().blocks, Blocks::default());
    // A lost connection.
    rig.watched_link(LinkState::Down);
    assert_eq!(rig.status().blocks, Blocks(Blocks::SOURCE));
}

#[test]
fn the_watched_market_wakes_who_reads_it_and_nothing_is_decided_on_it() {
    let mut rig = rig(market());
    rig.watched_link(LinkState::Up);
    rig.watched_diff(10, 12);
    rig.watched_snapshot(11);
    let before = rig.decided();
    rig.watched_quote(13);
    assert_eq!(rig.decided(), before + 1);
    // What concerns the account or an operator is no affair of a watched market.
    rig.step(&Event::Operator(Operator::Flatten));
    rig.link(Link::Private, LinkState::Down);
    assert_eq!(rig.maker.status(WATCHED).blocks, Blocks::default());
    assert!(rig.out.decisions.iter().all(|decision| decision.instrument == ID));
}

#[test]
fn what_is_decided_sees_only_a_price_that_is_fresh() {
    let rig = rig(market());
    assert_eq!(rig.maker.traded(), 1);
    assert_eq!(rig.maker.desks[1].as_source(rig.now, STALE), External::default());
}
