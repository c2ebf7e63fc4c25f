//! Taker orders of the synthetic market: when they come, on which side, and what they eat. Never adds to the book.

use super::{LEVELS_MIN, MILLI, Ready, SWEEP_PRINTS_MAX, SyntheticMarket};
use crate::event::{Side, Trade};
use crate::instrument::InstrumentId;
use crate::sim::market::profile::{self, SCALE};
use crate::unit::Lots;

impl SyntheticMarket {
    /// One taker order.
    pub(super) fn take(&mut self) {
        let busy = if self.episode.is_some() { 7 } else { 1 } * self.drift.map_or(1, |drift| drift.urgency);
        let mean = if self.random.percent(28) { 8 * MILLI } else { 130 * MILLI / busy };
        let gap = self.random.exponential(mean);
        self.due_taker = self.now + 100_000 + gap * SCALE / self.activity;
        if let Some((side, lag)) = self.lag() {
            let urgent = self.random.percent(if busy > 1 { 85 } else { 30 });
            if urgent {
                let reach = lag.min(self.profile.ticks(400) * busy);
                let to = self.best(side.opposite()).price.0 + side.sign() * reach;
                return self.sweep(side, i64::MAX, to);
            }
        }
        let lots = self.draw_lots(&profile::TAKER_LOTS);
        let (with, side) = match self.episode {
            Some(episode) => (88, episode.direction),
            None => {
                if self.random.below(40) == 0 {
                    self.direction = self.turn();
                }
                (74, self.direction)
            }
        };
        let side = if self.random.percent(with) { side } else { side.opposite() };
        // An ordinary order has a price limit: it does not chase the price without end.
        let to = self.best(side.opposite()).price.0 + side.sign() * self.profile.ticks(600);
        self.sweep(side, lots, to);
    }

    /// A new prevailing direction: even odds, leaning to the anchor by 5 % for each percent away from it.
    pub(super) fn turn(&mut self) -> Side {
        let away = (self.mid() - self.anchor) * 500 / self.anchor.max(1);
        let up = 50 - away.clamp(-35, 35);
        if self.random.percent(up) { Side::Buy } else { Side::Sell }
    }

    /// Eats the book up to `lots` or past the price `to`; prints, then tells the touch.
    pub(super) fn sweep(&mut self, taker: Side, mut lots: i64, to: i64) {
        let resting = taker.opposite();
        let (small, wall) = (self.profile.lots(200), self.profile.lots(8_000));
        self.advance_seq();
        let (mut prints, mut delay, mut depleted) = (0, 0, false);
        while lots > 0 && prints < SWEEP_PRINTS_MAX && self.book.len(resting) > LEVELS_MIN {
            let level = self.best(resting);
            if (level.price.0 - to) * taker.sign() > 0 {
                break;
            }
            let drawn = self.draw_lots(&profile::MAKER_LOTS) * 2;
            let one = (prints == 0 && lots <= small) || level.qty.0 >= wall;
            let piece = if one && self.random.percent(50) { lots } else { drawn }.min(lots).min(level.qty.0);
            lots -= piece;
            prints += 1;
            self.trade_id += 1;
            let trade = Trade {
                instrument: InstrumentId(0),
                id: self.trade_id,
                price: level.price,
                qty: Lots(piece),
                taker,
                aggregate: false,
                venue_time: self.stamp(),
            };
            self.push(delay, Ready::Trade(trade));
            delay += self.random.draw(&profile::WITHIN_CLUSTER_NS).min(5_000);
            depleted |= piece == level.qty.0;
            self.set(resting, level.price.0, level.qty.0 - piece);
        }
        if depleted {
            self.touch_moved(resting);
        }
        self.quote(delay);
    }
}
