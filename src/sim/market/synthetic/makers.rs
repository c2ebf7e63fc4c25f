//! Makers at the touch of the synthetic market: they join, leave, step back and close wide spreads. Never prints.

use super::{FRAME_CHANGES_MAX, LEVELS_MIN, SyntheticMarket};
use crate::event::Side;
use crate::sim::market::profile::{self, SCALE};

/// A touch below this many recorded lots is what others have left.
const DUST: i64 = 80;
/// A touch that wants this many recorded lots has a wall before it.
const WALL: i64 = 12_000;

impl SyntheticMarket {
    /// The touch of `side` went away: makers react.
    pub(super) fn touch_moved(&mut self, side: Side) {
        self.swept = side;
        if self.random.percent(40) {
            // Who stands next in line sees it coming and steps back.
            let pulled = self.profile.ticks(4) + self.random.exponential(self.profile.ticks(30));
            let to = self.best(side).price.0 - side.sign() * pulled;
            for _ in 0..24.min(self.book.len(side).saturating_sub(LEVELS_MIN)) {
                let level = self.best(side);
                if (level.price.0 - to) * side.sign() < 0 {
                    break;
                }
                self.set(side, level.price.0, 0);
            }
        }
        self.touch_target[side.index()] = self.draw_lots(&profile::TOUCH_LOTS);
        let gap = self.spread();
        self.call_for_changes(gap);
        if gap > 1 {
            self.due_refill = self.now + 60_000 + self.random.exponential(2_800_000);
        }
    }

    /// A move of `ticks` makes the makers redo their ladders.
    pub(super) fn call_for_changes(&mut self, ticks: i64) {
        let moved = (ticks * SCALE / self.profile.reach).clamp(1, 120);
        self.backlog = (self.backlog + 14 + moved * 5).min(4 * FRAME_CHANGES_MAX);
    }

    /// Someone steps into a wide spread.
    pub(super) fn refill(&mut self) {
        self.due_refill = i64::MAX;
        let spread = self.spread();
        if spread <= 1 {
            return;
        }
        let dice = self.random.below(100);
        let follows = match self.lag() {
            Some((direction, _)) if direction == self.swept.opposite() => 92,
            _ if self.episode.is_some() => 82,
            _ => 68,
        };
        let (side, inside) = if dice < follows {
            (self.swept.opposite(), spread - 1)
        } else if dice < follows + (100 - follows) / 2 {
            (self.swept, spread - 1)
        } else {
            let side = self.either_side();
            (side, 1 + self.random.below(spread - 1))
        };
        let old = self.best(side);
        self.advance_seq();
        // Whoever stood at the old touch has moved with it: what stays there is an ordinary level.
        let stays = self.draw_lots(&profile::NEAR_LOTS).min(old.qty.0);
        self.set(side, old.price.0, stays);
        let lots = self.draw_lots(&profile::TOUCH_CHANGE_LOTS);
        self.set(side, old.price.0 + side.sign() * inside, lots);
        self.touch_target[side.index()] = self.draw_lots(&profile::TOUCH_LOTS);
        self.call_for_changes(inside);
        self.quote(0);
        if self.spread() > 1 {
            self.due_refill = self.now + 60_000 + self.random.exponential(2_800_000);
        }
        self.due_cluster = self.due_cluster.min(self.now + self.random.exponential(1_500_000));
    }

    /// Some best-quote changes in a row.
    pub(super) fn cluster(&mut self) {
        let busy = if self.episode.is_some() { 7 } else { 1 };
        let gap = self.random.draw(&profile::CLUSTER_GAP_NS);
        self.due_cluster = self.now + gap * 17 / 10 / busy * SCALE / self.activity + 1_000;
        let mut side = self.either_side();
        let mut delay = 0;
        for _ in 0..self.random.draw(&profile::CLUSTER_COUNT) {
            if self.random.percent(20) {
                side = side.opposite();
            }
            let alive = self.change_touch(side);
            self.quote(delay);
            if !alive {
                break;
            }
            delay += self.random.draw(&profile::WITHIN_CLUSTER_NS);
        }
    }

    /// One order joins or leaves the touch of `side`; false if that emptied it.
    pub(super) fn change_touch(&mut self, side: Side) -> bool {
        let touch = self.best(side);
        let (lots, target) = (touch.qty.0, self.touch_target[side.index()]);
        if self.random.below(60) == 0 {
            self.touch_target[side.index()] = self.draw_lots(&profile::TOUCH_LOTS);
        }
        let pull = 45 * (target - lots) / target.max(lots);
        let mut change = self.draw_lots(&profile::TOUCH_CHANGE_LOTS).min(target.max(lots));
        if lots > 3 * target {
            // A far outsized level was meant for where it stood, not for the touch.
            change = change.max(lots / 8);
        }
        if lots < self.profile.lots(DUST) && self.random.percent(70) {
            // Nobody joins a level that is about to go.
            change = change.min(self.profile.lots(DUST) / 8 + 1);
        }
        self.advance_seq();
        if target >= self.profile.lots(WALL) && target > 2 * lots && self.random.percent(20) {
            // A wall is one order.
            self.set(side, touch.price.0, target);
        } else if self.random.percent(50 + pull) {
            self.set(side, touch.price.0, lots + change);
        } else if change < lots {
            self.set(side, touch.price.0, lots - change);
        } else if self.book.len(side) > LEVELS_MIN && self.random.percent(50) {
            self.set(side, touch.price.0, 0);
            self.touch_moved(side);
            return false;
        } else {
            let most = if self.random.percent(70) { lots.min(self.profile.lots(DUST)) } else { lots };
            let rest = 1 + self.random.below(most);
            self.set(side, touch.price.0, rest);
        }
        true
    }
}
