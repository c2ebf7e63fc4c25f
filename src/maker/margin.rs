//! Liquidation price, margin ratio and its warnings, as the users' documents approximate them. For people: limits no order, and the
//! venue's own reckoning (tiers, cross margin with other contracts) is another.

use crate::unit::{Money, Price, RATE_ONE, Rate, mul_div};

/// At which price a position is liquidated, about: `entry * (1 - 1/leverage + maintenance)` for a long,
/// `entry * (1 + 1/leverage - maintenance)` for a short. `None` without an entry price or leverage.
#[must_use]
pub fn liquidation_price(entry: Price, is_long: bool, leverage: u32, maintenance: Rate) -> Option<Price> {
    if leverage == 0 || entry <= Price::ZERO {
        return None;
    }
    let (one, leverage) = (i128::from(RATE_ONE), i128::from(leverage));
    // The factor times the leverage, so that 1/leverage is exact.
    let cushion = one - i128::from(maintenance.0) * leverage;
    let factor = one * leverage + if is_long { -cushion } else { cushion };
    Some(Price(mul_div(entry.0, factor.max(0), one * leverage)))
}

/// Equity over the margin that positions use (their value over the leverage): 1 is all of it used. `None` while none is.
#[must_use]
pub fn ratio(equity: Money, used: Money) -> Option<Rate> {
    if used <= Money::ZERO {
        return None;
    }
    // Beyond a thousand it only matters that it is far.
    let most = used.0.saturating_mul(1_000);
    Some(Rate(mul_div(equity.0.clamp(-most, most), i128::from(RATE_ONE), used.0) as i64))
}

/// How near the margin ratio is to trouble.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum MarginLevel {
    /// 30 % or more, or no margin used.
    #[default]
    Fine = 0,
    /// Below 30 %.
    Low = 1,
    /// Below 20 %.
    Danger = 2,
}

/// Below this it is low.
pub const LOW: Rate = Rate::from_bps(3_000);
/// Below this it is dangerous.
pub const DANGER: Rate = Rate::from_bps(2_000);
/// A level is left only this far above its threshold, so that a ratio at the edge is one alert and not hundreds.
const RELIEF: Rate = Rate::from_bps(200);

/// Remembers the level, so that a crossing is told once.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarginWatch {
    level: MarginLevel,
}

impl MarginWatch {
    /// The level now.
    #[must_use]
    pub fn level(&self) -> MarginLevel {
        self.level
    }

    /// Looks at a ratio; the new level if it changed.
    pub fn see(&mut self, ratio: Option<Rate>) -> Option<MarginLevel> {
        let below = |threshold: Rate, level: MarginLevel| {
            let bound = if self.level >= level { threshold + RELIEF } else { threshold };
            ratio.is_some_and(|ratio| ratio < bound)
        };
        let level = if below(DANGER, MarginLevel::Danger) {
            MarginLevel::Danger
        } else if below(LOW, MarginLevel::Low) {
            MarginLevel::Low
        } else {
            MarginLevel::Fine
        };
        (std::mem::replace(&mut self.level, level) != level).then_some(level)
    }
}

/// The account's margin, for the status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MarginStatus {
    /// Wallet balance.
    pub wallet: Money,
    /// Free balance.
    pub available: Money,
    /// Wallet and unrealised profit at the mark prices.
    pub equity: Money,
    /// Margin that positions use.
    pub used: Money,
    /// [`ratio`] of the two.
    pub ratio: Option<Rate>,
    /// The warning that stands.
    pub level: MarginLevel,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn liquidation_is_the_leverages_distance_less_maintenance() {
        let maintenance = Rate::parse(b"0.004").unwrap();
        let at = |is_long, leverage| liquidation_price(price("60000"), is_long, leverage, maintenance);
        assert_eq!(at(true, 10), Some(price("54240")));
        assert_eq!(at(false, 10), Some(price("65760")));
        assert_eq!((at(true, 1), at(false, 1)), (Some(price("240")), Some(price("119760"))));
        assert_eq!(at(true, 3), Some(price("40240")), "a third is exact");
        assert_eq!((at(true, 0), liquidation_price(Price::ZERO, true, 5, maintenance)), (None, None));
        assert_eq!(liquidation_price(Price(i128::MAX / 4), true, 125, maintenance).map(|p| p.0 > 0), Some(true));
    }

    #[test]
    fn the_ratio_is_equity_over_margin_used() {
        let money = |text: &str| Money::parse(text.as_bytes()).unwrap();
        assert_eq!(ratio(money("300"), money("1000")), Some(Rate::from_bps(3_000)));
        assert_eq!(ratio(money("300"), Money::ZERO), None);
        assert_eq!(ratio(money("-1"), money("4")), Some(Rate::from_bps(-2_500)));
        assert_eq!(ratio(Money(i128::MAX / 2), Money(1)), Some(Rate(1_000 * RATE_ONE)));
    }

    #[test]
    fn a_crossing_is_told_once_and_a_ratio_at_the_edge_does_not_flap() {
        let mut watch = MarginWatch::default();
        let path = [(9_000, None), (2_999, Some(MarginLevel::Low)), (3_001, None), (2_900, None)];
        let on = [(1_999, Some(MarginLevel::Danger)), (2_150, None), (2_300, Some(MarginLevel::Low))];
        let back = [(3_199, None), (3_200, Some(MarginLevel::Fine)), (3_000, None), (500, Some(MarginLevel::Danger))];
        for (bps, told) in path.into_iter().chain(on).chain(back) {
            assert_eq!(watch.see(Some(Rate::from_bps(bps))), told, "{bps}");
        }
        assert_eq!(watch.see(None), Some(MarginLevel::Fine), "no position, no danger");
    }
}
