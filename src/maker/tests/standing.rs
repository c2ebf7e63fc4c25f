//! What people are shown: margin with its warnings, liquidation, funding, places in the queue.

use super::*;
use crate::event::{MarkPrice, Trade};

fn money(text: &str) -> Money {
    Money::parse(text.as_bytes()).unwrap()
}

impl Rig {
    fn mark(&mut self, price: &str) -> Vec<Decision> {
        let mark = Price::parse(price.as_bytes()).unwrap();
        let rate = Rate::parse(b"0.0001").unwrap();
        let (next_funding, venue_time) = (self.now + Nanos::from_secs(60), self.now);
        self.step(&Event::Mark(MarkPrice {
            instrument: ID,
            mark,
            index: mark,
            funding_rate: rate,
            next_funding,
            venue_time,
        }));
        self.out.decisions.iter().filter(|decision| decision.kind == DecisionKind::Margin).copied().collect()
    }

    fn print(&mut self, price: i64, qty: i64, taker: Side) {
        let trade = Trade {
            instrument: ID,
            id: 1,
            price: Ticks(price),
            qty: Lots(qty),
            taker,
            aggregate: false,
            venue_time: self.now,
        };
        self.step(&Event::Trade(trade));
    }

    fn ahead(&self) -> Vec<Option<i64>> {
        self.maker.orders(ID).map(|order| order.ahead.map(|ahead| ahead.0)).collect()
    }
}

#[test]
fn a_thin_margin_is_told_once_at_each_threshold_and_journalled() {
    let mut rig = Rig::quoting(Rig::config());
    rig.step(&Event::Account(AccountEvent::Leverage { instrument: ID, leverage: 10 }));
    // 5 lots of 0.001 at 100: a value of 0.5, so 0.05 of margin.
    rig.step(&Event::Account(AccountEvent::Balance { wallet: money("0.02"), available: money("0.02") }));
    rig.lite_fill(1, 70, 1000, 5);
    assert_eq!(rig.mark("100").len(), 0, "40 % is fine");
    // -1 % of 0.5: equity 0.015 on 0.0495.
    assert_eq!(rig.mark("99").len(), 0);
    let [low] = rig.mark("98.9")[..] else { panic!("one alert") };
    assert_eq!((low.level, low.detail), (MarginLevel::Low as u8, 2_932), "0.0145 / 0.04945");
    assert_eq!(rig.mark("98.8").len(), 0, "told once");
    let [danger] = rig.mark("97.9")[..] else { panic!("one alert") };
    assert_eq!((danger.level, danger.detail), (MarginLevel::Danger as u8, 1_940));
    let [fine] = rig.mark("100")[..] else { panic!("one all-clear") };
    assert_eq!(fine.level, MarginLevel::Fine as u8);
    let margin = rig.maker.margin();
    assert_eq!((margin.equity, margin.used, margin.ratio), (money("0.02"), money("0.05"), Some(Rate::from_bps(4_000))));
}

#[test]
fn a_position_has_a_liquidation_price_and_a_daily_cost() {
    let mut rig = Rig::quoting(Rig::config());
    rig.lite_fill(1, 70, 1000, 5);
    rig.mark("99");
    assert_eq!(rig.status().held[0].liquidation, Price::ZERO, "leverage is not known");
    rig.step(&Event::Account(AccountEvent::Leverage { instrument: ID, leverage: 10 }));
    let status = rig.status();
    // 100 * (1 - 1/10 + 0.004)
    assert_eq!(status.held[0].liquidation, Price::parse(b"90.4").unwrap());
    assert_eq!(status.held[0].unrealized, money("-0.005"));
    // A long of 0.495 pays 0.01 % three times a day.
    assert_eq!(status.funding_daily, money("-0.0001485"));
    // The strategy wants its bid again.
    assert_eq!((status.position, status.worst), (Lots(5), Lots(10)));
}

#[test]
fn the_queue_is_at_most_what_is_visible_less_what_traded() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.ahead(), [None, None], "not looked at yet");
    rig.pass_ms(5);
    assert_eq!(rig.ahead(), [Some(9), Some(9)]);
    rig.print(1000, 3, Side::Sell);
    rig.print(1010, 4, Side::Sell);
    assert_eq!(rig.ahead(), [Some(6), Some(9)], "a seller meets bids only");
    rig.depth(&[(1000, 4)], &[(1010, 30)]);
    rig.pass_ms(5);
    assert_eq!(rig.ahead(), [Some(4), Some(9)], "more behind us does not count");
    rig.print(990, 1, Side::Sell);
    assert_eq!(rig.ahead(), [Some(0), Some(9)], "a print below went through us");
    // Another price is another place.
    rig.want(&[(Side::Buy, 990, 5), (Side::Sell, 1010, 5)]);
    rig.amended(1, 990, 5);
    assert_eq!(rig.ahead(), [Some(9), None], "to the strategy an amended order is the youngest");
    rig.pass_ms(5);
    assert_eq!(rig.ahead(), [Some(9), Some(9)]);
}
