//! The book behind the touch of the synthetic market and the frames that tell it. Never moves the touch but for one change in
//! a dozen frames.

use super::{FRAME_CHANGES_MAX, LEVELS_MAX, LEVELS_MIN, Ready, SECOND, SyntheticMarket};
use crate::event::{Level, Side};
use crate::sim::market::profile::{self, SCALE};
use crate::unit::{Lots, Seq, Ticks};

impl SyntheticMarket {
    /// Fills the book to its usual density, one tick wide.
    pub(super) fn populate(&mut self) {
        let touch = self.profile.start.0;
        for side in [Side::Buy, Side::Sell] {
            let outward = -side.sign();
            let (best, mut distance) = (if side == Side::Buy { touch } else { touch + 1 }, 0);
            let lots = self.draw_lots(&profile::TOUCH_LOTS);
            self.book.set(side, Ticks(best), Lots(lots));
            while self.book.len(side) < LEVELS_MAX - 1_500 {
                distance += 1 + self.random.exponential(self.profile.spacing(distance + 1) - 1);
                let price = best + outward * distance;
                if distance >= touch * 9 / 10 || price < 1 {
                    break;
                }
                let lots = self.level_lots(distance);
                self.book.set(side, Ticks(price), Lots(lots));
            }
        }
        for (price, lots) in self.anchors() {
            self.book.set(Side::Buy, Ticks(price), Lots(lots));
        }
    }

    /// Two bids far down that people never stop changing (1,000 and 5,000 in the recording).
    pub(super) fn anchors(&self) -> [(i64, i64); 2] {
        let price = self.profile.start.0;
        [((price * 10 / 617).max(1), self.profile.lots(606_675)), ((price * 50 / 617).max(2), self.profile.lots(2_301))]
    }

    pub(super) fn draw_lots(&mut self, table: &[(i64, i64)]) -> i64 {
        // A recorded lot stands for any size up to it here, or coarse scales would leave holes between the sizes.
        let recorded = (self.random.draw(table) - 1) * self.profile.sizes + 1 + self.random.below(self.profile.sizes);
        ((recorded + SCALE - 1) / SCALE).max(1)
    }

    /// Redraws part of the book behind the touch and tells all that changed since the last frame.
    pub(super) fn cut_depth(&mut self) {
        let since = self.now - self.depth_at;
        let busy = if self.episode.is_some() { 2 } else { 1 };
        let quiet = 520 * since / SECOND * self.activity / SCALE * busy;
        let burst = self.backlog * 2 / 3;
        let changes = (quiet + burst).min(FRAME_CHANGES_MAX);
        self.backlog = (self.backlog - burst).max(0);
        for _ in 0..changes {
            self.change_level();
        }
        for ((price, lots), often) in self.anchors().into_iter().zip([55, 95]) {
            if self.random.percent(often) && price < self.best(Side::Buy).price.0 {
                let lots = lots + self.profile.lots(20) * self.random.below(30);
                self.set(Side::Buy, price, lots);
            }
        }
        self.prune();
        // Now and then the last change in a frame is one of the touch: then both carry the same id.
        if self.random.percent(8) && self.spread() == 1 {
            let side = self.either_side();
            self.change_touch(side);
            self.quote(0);
        } else {
            self.advance_seq();
        }
        for (side, out) in [(Side::Buy, &mut self.bids), (Side::Sell, &mut self.asks)] {
            let prices = &mut self.changed[side.index()];
            prices.sort_unstable();
            prices.dedup();
            out.clear();
            out.extend(
                prices.drain(..).map(|price| Level { price: Ticks(price), qty: self.book.qty(side, Ticks(price)) }),
            );
        }
        // The first id lies anywhere between the frame before and the first change in this one.
        let room = (self.depth_first - self.depth_prev - 1).min(460) as i64;
        let first = Seq(self.depth_prev + 1 + self.random.below(room + 1) as u64);
        let (last, prev) = (Seq(self.seq), Seq(self.depth_prev));
        self.depth_prev = self.seq;
        self.depth_first = 0;
        self.depth_at = self.now;
        self.due_depth = self.now + self.random.draw(&profile::DEPTH_GAP_NS);
        self.push(0, Ready::Depth { first, last, prev });
    }

    /// One change behind the touch: a level comes, goes or takes another size, so that the density stays what it is.
    pub(super) fn change_level(&mut self) {
        let drawn = self.random.draw(&profile::DISTANCE_TICKS);
        let side = self.either_side();
        let distance = self.profile.ticks(drawn);
        let touch = self.best(side).price.0;
        let price = touch - side.sign() * distance;
        if price < 1 {
            return;
        }
        let mut beyond = self.book.beyond(side, Ticks(price));
        let nearest = beyond.next();
        let span = beyond.nth(2).map_or(i64::MAX / 8, |level| (level.price.0 - price).abs());
        drop(beyond);
        let sparse = span > 4 * self.profile.spacing(distance);
        let (come, go) = if sparse { (40, 10) } else { (8, 42) };
        let dice = self.random.below(100);
        let lots = self.level_lots(distance);
        match nearest {
            Some(level) if dice >= 100 - go && self.book.len(side) > LEVELS_MIN => self.set(side, level.price.0, 0),
            Some(level) if dice >= come => self.set(side, level.price.0, lots),
            _ => self.set(side, price, lots),
        }
    }

    /// Bounds the book: beyond the largest number of levels the furthest go.
    pub(super) fn prune(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            while self.book.len(side) > LEVELS_MAX {
                let level = self.book.furthest(side).expect("a full side has a level");
                self.set(side, level.price.0, 0);
            }
        }
    }
}
