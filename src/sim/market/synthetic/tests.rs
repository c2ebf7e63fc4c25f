//! One seed is one consistent, bounded market; scripts do what they say.

use super::*;
use crate::unit::Rate;

const START: Nanos = Nanos(1_723_161_256_000_000_000);

fn market(symbol: &str, tick: &str, seed: u64, schedule: Vec<(Nanos, Regime)>) -> SyntheticMarket {
    let instrument = Instrument::synthetic(symbol, tick, "0.001");
    SyntheticMarket::new(instrument, seed, START, Schedule::new(schedule).unwrap())
}

fn secs(n: i64) -> Nanos {
    Nanos::from_secs(n)
}

/// Mids at whole seconds, for `seconds`.
fn mids(market: &mut SyntheticMarket, seconds: i64) -> Vec<i64> {
    let mut mids = Vec::new();
    while (mids.len() as i64) < seconds {
        if market.next_event().at > START + secs(mids.len() as i64 + 1) {
            mids.push(market.mid());
        }
    }
    mids
}

#[test]
fn a_seed_is_one_market() {
    let told = |seed| {
        let mut market = market("BTCUSDT", "0.10", seed, vec![]);
        (0..5_000).map(|_| format!("{:?}", market.next_event())).collect::<Vec<_>>()
    };
    let first = told(3);
    assert_eq!(first, told(3));
    assert_ne!(first, told(4));
}

#[test]
fn a_seed_is_one_market_whatever_the_day() {
    let told = |start: Nanos| {
        let instrument = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mut market = SyntheticMarket::new(instrument, 3, start, Schedule::calm());
        let mut told = Vec::new();
        while told.len() < 3_000 {
            let event = market.next_event();
            if let MarketKind::Trade(trade) = event.kind {
                told.push((event.at - start, trade.price, trade.qty, trade.taker));
            }
        }
        told
    };
    // Whole seconds, as the programs choose them: marks are told at the clock's.
    assert_eq!(told(START), told(START + secs(86_400 * 7 + 13)));
}

#[test]
fn everything_told_is_consistent() {
    for (symbol, tick) in [("BTCUSDT", "0.10"), ("ETHUSDT", "0.01"), ("DOGEUSDT", "0.00001"), ("XUSDT", "1")] {
        let mut market = market(symbol, tick, 11, vec![]);
        let mut told = market.book().clone();
        let (mut at, mut seq, mut trade_id) = (START, market.last_update(), 0);
        let (mut events, mut same) = (0, 0);
        let mut quoted = None;
        while events < 30_000 {
            events += 1;
            market.fill();
            let (bid, ask) = (market.best(Side::Buy), market.best(Side::Sell));
            assert!(bid.price < ask.price, "{symbol}: crossed at event {events}");
            let event = market.next_event();
            assert!(event.at >= at, "{symbol}: back in time at event {events}");
            at = event.at;
            match event.kind {
                MarketKind::Trade(trade) => {
                    assert!(trade.qty > Lots(0) && trade.id > trade_id);
                    trade_id = trade.id;
                }
                MarketKind::Quote(quote) => {
                    assert!(quote.bid.qty > Lots(0) && quote.ask.qty > Lots(0) && quote.bid.price < quote.ask.price);
                    quoted = Some(quote);
                }
                MarketKind::Depth(update) => {
                    assert_eq!(update.prev, seq, "{symbol}: a gap at event {events}");
                    assert!(update.prev < update.first && update.first <= update.last);
                    seq = update.last;
                    for (side, levels) in [(Side::Buy, update.bids), (Side::Sell, update.asks)] {
                        assert!(levels.is_sorted_by(|a, b| a.price < b.price), "ascending, each price once");
                        levels.iter().for_each(|level| told.set(side, level.price, level.qty));
                    }
                    if let Some(quote) = quoted
                        && quote.seq == update.last
                    {
                        same += 1;
                        assert_eq!((told.best(Side::Buy), told.best(Side::Sell)), (Some(quote.bid), Some(quote.ask)));
                    }
                    for side in [Side::Buy, Side::Sell] {
                        assert!(told.levels(side).eq(market.book().levels(side)), "{symbol}: diffs rebuild the book");
                    }
                }
                MarketKind::Mark { mark, .. } => assert!(mark.next_funding > mark.venue_time),
                MarketKind::Snapshot(_) | MarketKind::Lost => panic!("a made market is always known"),
            }
        }
        assert!(same > 10, "{symbol}: {same} frames share their id with a quote");
    }
}

#[test]
fn a_snapshot_is_the_best_levels_at_the_last_id() {
    let mut market = market("BTCUSDT", "0.10", 1, vec![]);
    for _ in 0..1_000 {
        market.next_event();
    }
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let seq = market.snapshot(1_000, &mut bids, &mut asks);
    assert_eq!((bids.len(), asks.len(), seq), (1_000, 1_000, market.last_update()));
    assert_eq!(market.resting(Side::Buy, bids[0].price), bids[0].qty);
    // The next frame covers the snapshot's id, or follows right on it.
    loop {
        if let MarketKind::Depth(update) = market.next_event().kind {
            assert!(update.last >= seq && (update.first <= seq || update.prev == seq));
            break;
        }
    }
}

#[test]
fn a_crash_takes_its_part_of_the_price_in_its_time_and_trends_go_their_way() {
    let crash = Regime::Crash { drop: Rate::from_bps(500), within: secs(5) };
    let mut market = market("BTCUSDT", "0.10", 2, vec![(secs(10), crash)]);
    let path = mids(&mut market, 30);
    let (before, after) = (path[8], path[17]);
    let drop = (before - after) * 10_000 / before;
    assert!((430..600).contains(&drop), "{drop} bps: {path:?}");
    assert!((path[29] - after).abs() < after / 100, "it stays there: {path:?}");

    for bps in [50, -50] {
        let trend = Regime::Trend { per_minute: Rate::from_bps(bps) };
        let mut market = self::market("ETHUSDT", "0.01", 2, vec![(Nanos(0), trend)]);
        let path = mids(&mut market, 120);
        let moved = (path[119] - path[0]) * 10_000 / path[0];
        assert!((moved - 2 * bps).abs() < 40, "{moved} bps instead of {}", 2 * bps);
    }
}

#[test]
fn a_funding_flip_turns_rate_and_premium() {
    let flip = Regime::FundingFlip { rate: Rate::from_bps(-3) };
    let mut market = market("BTCUSDT", "0.10", 2, vec![(Nanos::from_millis(5_500), flip)]);
    let mut signs = Vec::new();
    while signs.len() < 10 {
        if let MarketKind::Mark { mark, .. } = market.next_event().kind {
            signs.push((mark.funding_rate.signum(), (mark.mark - mark.index).signum()));
        }
    }
    assert_eq!(signs[..5], [(1, 1); 5]);
    assert_eq!(signs[5..], [(-1, -1); 5]);
}

#[test]
fn memory_stays_flat() {
    let mut market = market("BTCUSDT", "0.10", 2, vec![(secs(30), Regime::Trend { per_minute: Rate::from_bps(200) })]);
    let (mut levels_most, mut ready_most) = (0, 0);
    while market.next_event().at < START + secs(1_200) {
        levels_most = levels_most.max(market.book.len(Side::Buy).max(market.book.len(Side::Sell)));
        ready_most = ready_most.max(market.ready.len());
    }
    assert!(levels_most <= LEVELS_MAX + FRAME_CHANGES_MAX as usize, "{levels_most}");
    assert!(ready_most <= SWEEP_PRINTS_MAX + 2, "{ready_most}");
    assert_eq!((market.bids.capacity(), market.ready.capacity()), (4_096, 1_024), "no buffer grew");
}
