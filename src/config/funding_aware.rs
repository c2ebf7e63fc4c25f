//! The settings of the funding-aware maker, as its users write them (JSON with sections): basis points, percent, USD. Never floats.
//!
//! Sections are flattened to dotted keys (`trading.base_spread_bps`). A value in basis points or percent is stored as the
//! fraction it means: 15 bps is 0.0015. Digits finer than a field's resolution (1e-8 bps, 1e-10 percent, 1e-18 of an amount)
//! are cut; a value that is not zero never becomes zero by it. Defaults: section 1 of the strategy's specification.

use super::perpetual::decimal;
use super::schema::{Key, Settings};
use crate::unit::{Amount, MONEY_PLACES, Money, Nanos, RATE_PLACES, Rate, decimal_text};

/// The name in a `strategy` key and of the template. Users' files have no such key: their sections tell.
pub const NAME: &str = "funding_aware";

/// The sections of a file. A file with one of them and without a `strategy` key is for this strategy.
pub const SECTIONS: &[&str] =
    &["trading", "position", "timing", "inventory", "funding", "profit_taking", "safety", "exchange", "account"];

/// The whole file. Spreads and skews are fractions, `usd` amounts are of the quote asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FundingAwareSettings {
    /// The coin (`ICP`), or a pair (`ICP-USDT`).
    pub market: String,
    /// Builder venue of the market; empty for the venue's own markets.
    pub dex: String,
    /// Size of each quote.
    pub base_order_usd: Money,
    /// Smaller orders are not sent.
    pub min_order_size: Amount,
    /// Accepted for the users' files, without effect.
    pub size_increment: Amount,
    /// Distance between bid and ask.
    pub base_spread: Rate,
    /// Lower limit of the spread; `None` until [`Settings::settle`].
    pub min_spread: Option<Rate>,
    /// Upper limit of the spread; `None` until [`Settings::settle`].
    pub max_spread: Option<Rate>,
    /// The position that the inventory skew steers to.
    pub target_position_usd: Money,
    /// The largest position.
    pub max_position_usd: Money,
    /// Leverage to request.
    pub leverage: u32,
    /// A move of the book's mid beyond this since the last quotes makes an update due.
    pub update_threshold: Rate,
    /// Longest time without an update.
    pub fallback_check: Nanos,
    /// Deviations from the target up to this are not skewed.
    pub skew_threshold_usd: Money,
    /// Skew per 1000 USD beyond the threshold.
    pub skew_per_1k: Rate,
    /// Cap of the inventory skew, and of the funding skew on its own.
    pub max_skew: Rate,
    /// Funding per 8 hours beyond which nothing is quoted.
    pub max_funding_8h: Rate,
    /// Skew per funding: 100 turns 0.01 percent per 8 hours into 100 bps.
    pub funding_multiplier: Rate,
    /// Unrealised profit above which the closing side moves nearer.
    pub profit_threshold_usd: Money,
    /// By how much it moves.
    pub profit_aggression: Rate,
    /// Most live orders of a side.
    pub max_quote_count: u32,
    /// Unrealised loss over account value at which the kill switch latches; negative.
    pub emergency_stop_loss: Rate,
    /// Quotes inside the requote band stay; without it every update replaces everything.
    pub smart_order_mgmt: bool,
    /// Account value over margin used below which nothing is quoted.
    pub min_margin_ratio: Rate,
    /// Decimals of a price where the venue states no tick.
    pub price_decimals: u8,
    /// Decimals of a size where the venue states no lot.
    pub size_decimals: u8,
    /// Subaccount, prefix stripped.
    pub subaccount_address: Option<String>,
    /// The account is a subaccount.
    pub is_subaccount: bool,
}

impl Default for FundingAwareSettings {
    /// Every documented default; required keys are empty or zero.
    fn default() -> Self {
        let mut settings = Self {
            market: String::new(),
            dex: String::new(),
            base_order_usd: Money::ZERO,
            min_order_size: Amount::ZERO,
            size_increment: Amount::ZERO,
            base_spread: Rate::ZERO,
            min_spread: None,
            max_spread: None,
            target_position_usd: Money::ZERO,
            max_position_usd: Money::ZERO,
            leverage: 1,
            update_threshold: Rate::ZERO,
            fallback_check: Nanos::ZERO,
            skew_threshold_usd: Money::ZERO,
            skew_per_1k: Rate::ZERO,
            max_skew: Rate::ZERO,
            max_funding_8h: Rate::ZERO,
            funding_multiplier: Rate::ZERO,
            profit_threshold_usd: Money::ZERO,
            profit_aggression: Rate::ZERO,
            max_quote_count: 1,
            emergency_stop_loss: Rate::ZERO,
            smart_order_mgmt: false,
            min_margin_ratio: Rate::ZERO,
            price_decimals: 0,
            size_decimals: 0,
            subaccount_address: None,
            is_subaccount: false,
        };
        for key in KEYS {
            if let Some(text) = key.default {
                (key.set)(&mut settings, text).expect("a default is valid");
            }
        }
        settings
    }
}

impl FundingAwareSettings {
    /// The pair to trade, `BASE-QUOTE`: a bare coin trades against USDT.
    #[must_use]
    pub fn pair(&self) -> String {
        let coin = self.market.rsplit(':').next().unwrap_or_default().to_ascii_uppercase();
        if coin.contains('-') { coin } else { format!("{coin}-USDT") }
    }

    /// The spread between bid and ask: `min(max(base, min), max)` (section 4). Static, so the limits never bind in checked settings.
    #[must_use]
    pub fn spread(&self) -> Rate {
        let raised = self.base_spread.max(self.min_spread.unwrap_or(self.base_spread));
        raised.min(self.max_spread.unwrap_or(raised))
    }
}

impl Settings for FundingAwareSettings {
    fn blank() -> Self {
        Self::default()
    }

    fn keys() -> &'static [Key<Self>] {
        KEYS
    }

    /// The limits of the spread depend on the base spread where they are not set.
    fn settle(&mut self) {
        self.min_spread.get_or_insert(MIN_SPREAD.min(self.base_spread));
        self.max_spread.get_or_insert(MAX_SPREAD.max(self.base_spread));
    }

    /// Each comparison is skipped when one of its numbers is 0, as in the users' former program.
    fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let both = |a: i128, b: i128| a != 0 && b != 0;
        let base = self.base_spread;
        if let Some(min) = self.min_spread
            && both(base.0.into(), min.0.into())
            && base < min
        {
            let (base, min) = (bps_text(base), bps_text(min));
            wrong.push(format!("trading.base_spread_bps {base} is below trading.min_spread_bps {min}"));
        }
        if let Some(max) = self.max_spread
            && both(base.0.into(), max.0.into())
            && base > max
        {
            let (base, max) = (bps_text(base), bps_text(max));
            wrong.push(format!("trading.base_spread_bps {base} is above trading.max_spread_bps {max}"));
        }
        let (target, max) = (self.target_position_usd, self.max_position_usd);
        if both(target.0, max.0) && target.abs() > max {
            wrong.push(format!("position.target_position_usd {target} is beyond position.max_position_usd {max}"));
        }
        wrong
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.base_order_usd.is_zero() {
            warnings.push("trading.base_order_size is 0: nothing is ever quoted".to_owned());
        }
        if self.max_position_usd.is_zero() {
            warnings.push("position.max_position_usd is 0: nothing is ever quoted".to_owned());
        }
        if self.base_spread.is_zero() {
            warnings.push("trading.base_spread_bps is 0: quotes stand at the touch".to_owned());
        }
        if self.subaccount_address.is_some() || self.is_subaccount {
            warnings.push(
                "account.subaccount_address is for venues with subaccount addresses: the account of the credentials is traded"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// Default lower limit of the spread, where the base spread is not below it: 8 bps.
const MIN_SPREAD: Rate = Rate::from_bps(8);
/// Default upper limit of the spread, where the base spread is not above it: 200 bps.
const MAX_SPREAD: Rate = Rate::from_bps(200);

/// Every key of the file except `strategy`, in the order of the reference.
pub static KEYS: &[Key<FundingAwareSettings>] = &[
    Key {
        name: "market",
        default: None,
        valid: "a coin such as ICP, or a pair such as ICP-USDT",
        help: "Market to trade; a bare coin trades against USDT.",
        hot: false,
        set: |s, text| market(text).map(|v| s.market = v),
        show: |s| s.market.clone(),
    },
    Key {
        name: "dex",
        default: Some(""),
        valid: "a builder venue's name, or empty",
        help: "Builder venue of the market; only for routing.",
        hot: false,
        set: |s, text| {
            text.clone_into(&mut s.dex);
            Ok(())
        },
        show: |s| s.dex.clone(),
    },
    Key {
        name: "trading.base_order_size",
        default: None,
        valid: "USD, [0, 1000000000]",
        help: "Size of each quote.",
        hot: true,
        set: |s, text| usd(text, true).map(|v| s.base_order_usd = v),
        show: |s| s.base_order_usd.to_string(),
    },
    Key {
        name: "trading.base_spread_bps",
        default: None,
        valid: "bps, [0, 100000]",
        help: "Distance between bid and ask; half of it on each side of the skewed mid.",
        hot: true,
        set: |s, text| bps(text, 0).map(|v| s.base_spread = v),
        show: |s| bps_text(s.base_spread),
    },
    Key {
        name: "trading.min_order_size",
        default: Some("0.0001"),
        valid: "contracts, [0, inf)",
        help: "Smaller orders are not sent; the venue's own minimum holds besides.",
        hot: true,
        set: |s, text| contracts(text).map(|v| s.min_order_size = v),
        show: |s| decimal_text(s.min_order_size.0, MONEY_PLACES),
    },
    Key {
        name: "trading.min_spread_bps",
        default: Some(""),
        valid: "bps, [0, 100000]; 8, or the base spread if that is less, where not set",
        help: "Lower limit of the spread.",
        hot: true,
        set: |s, text| optional(text).map_or(Ok(None), |text| bps(text, 0).map(Some)).map(|v| s.min_spread = v),
        show: |s| s.min_spread.map(bps_text).unwrap_or_default(),
    },
    Key {
        name: "trading.max_spread_bps",
        default: Some(""),
        valid: "bps, [0, 100000]; 200, or the base spread if that is more, where not set",
        help: "Upper limit of the spread.",
        hot: true,
        set: |s, text| optional(text).map_or(Ok(None), |text| bps(text, 0).map(Some)).map(|v| s.max_spread = v),
        show: |s| s.max_spread.map(bps_text).unwrap_or_default(),
    },
    Key {
        name: "trading.size_increment",
        default: Some("0.001"),
        valid: "contracts, [0, inf)",
        help: "Without effect: the venue's lot is used.",
        hot: false,
        set: |s, text| contracts(text).map(|v| s.size_increment = v),
        show: |s| decimal_text(s.size_increment.0, MONEY_PLACES),
    },
    Key {
        name: "position.max_position_usd",
        default: None,
        valid: "USD, [0, 1000000000]",
        help: "Largest position: quotes that could pass it are not placed, beyond it the position is reduced.",
        hot: true,
        set: |s, text| usd(text, true).map(|v| s.max_position_usd = v),
        show: |s| s.max_position_usd.to_string(),
    },
    Key {
        name: "position.target_position_usd",
        default: Some("0"),
        valid: "USD, [-1000000000, 1000000000]",
        help: "Position that the inventory skew steers to; negative is short.",
        hot: true,
        set: |s, text| usd(text, false).map(|v| s.target_position_usd = v),
        show: |s| s.target_position_usd.to_string(),
    },
    Key {
        name: "position.leverage",
        default: Some("5"),
        valid: "whole number, [1, 1000]",
        help: "Leverage to request; also what the free margin is counted with when a position is reduced.",
        hot: false,
        set: |s, text| whole(text, 1, 1000).map(|v| s.leverage = v),
        show: |s| s.leverage.to_string(),
    },
    Key {
        name: "timing.update_threshold_bps",
        default: Some("10"),
        valid: "bps, [0, 100000]",
        help: "A move of the book's mid beyond this since the last quotes makes new ones due.",
        hot: true,
        set: |s, text| bps(text, 0).map(|v| s.update_threshold = v),
        show: |s| bps_text(s.update_threshold),
    },
    Key {
        name: "timing.fallback_check_seconds",
        default: Some("30"),
        valid: "seconds, [0, 1000000]",
        help: "New quotes are due after this long without an update.",
        hot: true,
        set: |s, text| seconds(text).map(|v| s.fallback_check = v),
        show: |s| decimal_text(i128::from(s.fallback_check.0), SECOND_PLACES),
    },
    Key {
        name: "inventory.inventory_skew_threshold_usd",
        default: Some("0"),
        valid: "USD, [0, 1000000000]",
        help: "A deviation from the target position up to this is not skewed.",
        hot: true,
        set: |s, text| usd(text, true).map(|v| s.skew_threshold_usd = v),
        show: |s| s.skew_threshold_usd.to_string(),
    },
    Key {
        name: "inventory.inventory_skew_bps_per_1k",
        default: Some("20"),
        valid: "bps, [0, 100000]",
        help: "Skew of the quotes against the position, per 1000 USD beyond the threshold.",
        hot: true,
        set: |s, text| bps(text, 0).map(|v| s.skew_per_1k = v),
        show: |s| bps_text(s.skew_per_1k),
    },
    Key {
        name: "inventory.max_skew_bps",
        default: Some("500"),
        valid: "bps, [0, 100000]",
        help: "Cap of the inventory skew, and on its own of the funding skew.",
        hot: true,
        set: |s, text| bps(text, 0).map(|v| s.max_skew = v),
        show: |s| bps_text(s.max_skew),
    },
    Key {
        name: "funding.max_funding_rate_pct_8h",
        default: Some("0.5"),
        valid: "percent per 8 hours, [0, 1000]",
        help: "Beyond this funding rate, of either sign, nothing is quoted.",
        hot: true,
        set: |s, text| percent(text, 0, 1000).map(|v| s.max_funding_8h = v),
        show: |s| percent_text(s.max_funding_8h),
    },
    Key {
        name: "funding.funding_skew_multiplier",
        default: Some("100"),
        valid: "number, [0, 1000000]",
        help: "Skew of the quotes against funding: 100 turns 0.01 percent per 8 hours into 100 bps.",
        hot: true,
        set: |s, text| scaled(text, RATE_PLACES, 0, 1_000_000).map(|v| s.funding_multiplier = Rate(v)),
        show: |s| decimal_text(i128::from(s.funding_multiplier.0), RATE_PLACES),
    },
    Key {
        name: "profit_taking.threshold_usd",
        default: Some("10"),
        valid: "USD, [-1000000000, 1000000000]",
        help: "Unrealised profit above which the closing side is quoted nearer.",
        hot: true,
        set: |s, text| usd(text, false).map(|v| s.profit_threshold_usd = v),
        show: |s| s.profit_threshold_usd.to_string(),
    },
    Key {
        name: "profit_taking.aggression_bps",
        default: Some("15"),
        valid: "bps, [-100000, 100000]",
        help: "How much nearer, down to 1 bp from the skewed mid.",
        hot: true,
        set: |s, text| bps(text, -100_000).map(|v| s.profit_aggression = v),
        show: |s| bps_text(s.profit_aggression),
    },
    Key {
        name: "safety.max_quote_count",
        default: Some("2"),
        valid: "whole number, [1, 30]",
        help: "Most live orders of a side. Does not add quote layers.",
        hot: true,
        set: |s, text| whole(text, 1, 30).map(|v| s.max_quote_count = v),
        show: |s| s.max_quote_count.to_string(),
    },
    Key {
        name: "safety.emergency_stop_loss_pct",
        default: Some("-10"),
        valid: "percent, [-1000, 0)",
        help: "Unrealised loss over account value at which quoting stops until restart. The position stays.",
        hot: true,
        set: |s, text| match percent(text, -1000, 0)? {
            Rate::ZERO => Err(format!("{} must be negative", text.trim())),
            value => {
                s.emergency_stop_loss = value;
                Ok(())
            }
        },
        show: |s| percent_text(s.emergency_stop_loss),
    },
    Key {
        name: "safety.smart_order_mgmt_enabled",
        default: Some("true"),
        valid: "true or false",
        help: "Quotes within 3 bps and 10 percent of what is wanted stay; false replaces all at every update.",
        hot: true,
        set: |s, text| flag(text).map(|v| s.smart_order_mgmt = v),
        show: |s| s.smart_order_mgmt.to_string(),
    },
    Key {
        name: "safety.min_margin_ratio_pct",
        default: Some("10"),
        valid: "percent, [0, 1000000]",
        help: "Account value over margin used below which nothing is quoted.",
        hot: true,
        set: |s, text| percent(text, 0, 1_000_000).map(|v| s.min_margin_ratio = v),
        show: |s| percent_text(s.min_margin_ratio),
    },
    Key {
        name: "exchange.price_decimals",
        default: Some("2"),
        valid: "whole number, [0, 18]",
        help: "Decimals of a price; the venue's tick takes precedence.",
        hot: false,
        set: |s, text| whole(text, 0, 18).map(|v| s.price_decimals = v as u8),
        show: |s| s.price_decimals.to_string(),
    },
    Key {
        name: "exchange.size_decimals",
        default: Some("4"),
        valid: "whole number, [0, 18]",
        help: "Decimals of a size; the venue's lot takes precedence.",
        hot: false,
        set: |s, text| whole(text, 0, 18).map(|v| s.size_decimals = v as u8),
        show: |s| s.size_decimals.to_string(),
    },
    Key {
        name: "account.subaccount_address",
        default: Some(""),
        valid: "an address; a leading HL: is stripped",
        help: "Subaccount to trade, on venues that have such addresses.",
        hot: false,
        set: |s, text| {
            let bare = match text.get(..3) {
                Some(prefix) if prefix.eq_ignore_ascii_case("HL:") => &text[3..],
                _ => text,
            };
            s.subaccount_address = optional(bare).map(str::to_owned);
            Ok(())
        },
        show: |s| s.subaccount_address.clone().unwrap_or_default(),
    },
    Key {
        name: "account.is_subaccount",
        default: Some("false"),
        valid: "true or false",
        help: "The account is a subaccount.",
        hot: false,
        set: |s, text| flag(text).map(|v| s.is_subaccount = v),
        show: |s| s.is_subaccount.to_string(),
    },
];

/// A fraction has 12 places, so a percent number has 10 and a number in basis points 8.
const PERCENT_PLACES: u32 = RATE_PLACES - 2;
const BPS_PLACES: u32 = RATE_PLACES - 4;
const SECOND_PLACES: u32 = 9;
/// Far beyond use, far from overflow.
const USD_MAX: i128 = 1_000_000_000;
const BPS_MAX: i128 = 100_000;
const CONTRACTS_MAX: i128 = 1_000_000_000_000;

/// A decimal in `[low, high]`, in units of 10^-`places`.
fn wide(text: &str, places: u32, low: i128, high: i128) -> Result<i128, String> {
    let (value, scale) = (decimal(text, places)?, 10_i128.pow(places));
    if value < low * scale {
        return Err(format!("{} must not be below {low}", text.trim()));
    }
    if value > high * scale {
        return Err(format!("{} must not be above {high}", text.trim()));
    }
    Ok(value)
}

fn scaled(text: &str, places: u32, low: i128, high: i128) -> Result<i64, String> {
    let value = wide(text, places, low, high)?;
    i64::try_from(value).map_err(|_| format!("{} is too large", text.trim()))
}

fn bps(text: &str, low: i128) -> Result<Rate, String> {
    scaled(text, BPS_PLACES, low, BPS_MAX).map(Rate)
}

fn percent(text: &str, low: i128, high: i128) -> Result<Rate, String> {
    scaled(text, PERCENT_PLACES, low, high).map(Rate)
}

fn seconds(text: &str) -> Result<Nanos, String> {
    scaled(text, SECOND_PLACES, 0, 1_000_000).map(Nanos)
}

fn usd(text: &str, positive: bool) -> Result<Money, String> {
    wide(text, MONEY_PLACES, if positive { 0 } else { -USD_MAX }, USD_MAX).map(Money)
}

fn contracts(text: &str) -> Result<Amount, String> {
    wide(text, MONEY_PLACES, 0, CONTRACTS_MAX).map(Amount)
}

/// A whole number, also written as `5.0`.
fn whole(text: &str, low: i128, high: i128) -> Result<u32, String> {
    let value = wide(text, MONEY_PLACES, low, high)?;
    let one = 10_i128.pow(MONEY_PLACES);
    if value % one != 0 {
        return Err(format!("{} is not a whole number", text.trim()));
    }
    u32::try_from(value / one).map_err(|_| format!("{} is too large", text.trim()))
}

fn flag(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

fn market(text: &str) -> Result<String, String> {
    let good = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (_, coin) = text.split_once(':').unwrap_or(("", text));
    let parts: Vec<_> = coin.split(['-', '/']).collect();
    match parts.as_slice() {
        [base] if good(base) => Ok(text.to_owned()),
        [base, quote] if good(base) && good(quote) => Ok(text.replace('/', "-")),
        _ => Err(format!("`{text}` is neither a coin such as ICP nor a pair such as ICP-USDT")),
    }
}

fn optional(text: &str) -> Option<&str> {
    Some(text).filter(|text| !matches!(*text, "" | "null"))
}

fn bps_text(rate: Rate) -> String {
    decimal_text(i128::from(rate.0), BPS_PLACES)
}

fn percent_text(rate: Rate) -> String {
    decimal_text(i128::from(rate.0), PERCENT_PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut FundingAwareSettings, name: &str, text: &str) -> Result<(), String> {
        let key = KEYS.iter().find(|key| key.name == name).expect("a key of the table");
        (key.set)(settings, text)
    }

    fn settled(pairs: &[(&str, &str)]) -> FundingAwareSettings {
        let mut settings = FundingAwareSettings::default();
        for (name, text) in pairs {
            set(&mut settings, name, text).unwrap();
        }
        settings.settle();
        settings
    }

    #[test]
    fn the_limits_of_the_spread_follow_a_base_beyond_their_defaults() {
        for (base, min, max) in [("15", 8, 200), ("5", 5, 200), ("300", 8, 300), ("0", 0, 200)] {
            let settings = settled(&[("trading.base_spread_bps", base)]);
            assert_eq!(
                (settings.min_spread, settings.max_spread),
                (Some(Rate::from_bps(min)), Some(Rate::from_bps(max)))
            );
            assert_eq!(bps_text(settings.spread()), base);
            assert_eq!(settings.check(), Vec::<String>::new());
        }
    }

    #[test]
    fn keys_that_contradict_each_other_are_named_unless_one_is_zero() {
        let base = [("trading.base_spread_bps", "10"), ("position.max_position_usd", "500")];
        for (more, words) in [
            (("trading.min_spread_bps", "12"), "below trading.min_spread_bps 12"),
            (("trading.max_spread_bps", "9"), "above trading.max_spread_bps 9"),
            (("position.target_position_usd", "-600"), "beyond position.max_position_usd 500"),
        ] {
            let wrong = settled(&[base[0], base[1], more]).check();
            assert!(wrong.len() == 1 && wrong[0].contains(words), "{wrong:?}");
        }
        for more in [("trading.max_spread_bps", "0"), ("position.target_position_usd", "-500")] {
            assert_eq!(settled(&[base[0], base[1], more]).check(), Vec::<String>::new());
        }
        let without_a_cap = settled(&[("position.max_position_usd", "0"), ("position.target_position_usd", "9")]);
        assert_eq!(without_a_cap.check(), Vec::<String>::new());
    }

    #[test]
    fn values_outside_their_range_are_refused_and_change_nothing() {
        let mut settings = FundingAwareSettings::default();
        for (name, text, words) in [
            ("trading.base_order_size", "-5", "must not be below 0"),
            ("safety.max_quote_count", "1.5", "not a whole number"),
            ("safety.max_quote_count", "0", "must not be below 1"),
            ("safety.emergency_stop_loss_pct", "0", "must be negative"),
            ("safety.emergency_stop_loss_pct", "0.1", "must not be above 0"),
            ("safety.smart_order_mgmt_enabled", "1", "neither true nor false"),
            ("position.leverage", "0", "must not be below 1"),
            ("market", "ICP USDT", "neither a coin"),
        ] {
            let error = set(&mut settings, name, text).unwrap_err();
            assert!(error.contains(words), "{name} {text}: {error}");
        }
        assert_eq!(settings, FundingAwareSettings::default());
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let settings = settled(&[
            ("market", "xyz:COPPER"),
            ("trading.base_order_size", "250.5"),
            ("trading.base_spread_bps", "12.25"),
            ("position.max_position_usd", "1e3"),
            ("position.target_position_usd", "-75"),
            ("profit_taking.aggression_bps", "-4"),
            ("safety.emergency_stop_loss_pct", "-10.0"),
            ("account.subaccount_address", "hl:0xabcd"),
        ]);
        assert_eq!((settings.pair().as_str(), settings.subaccount_address.as_deref()), ("COPPER-USDT", Some("0xabcd")));
        assert_eq!(settings.emergency_stop_loss, -Rate(RATE_TENTH));
        let mut again = FundingAwareSettings::default();
        for key in KEYS {
            (key.set)(&mut again, &(key.show)(&settings)).unwrap();
        }
        assert_eq!(again, settings);
    }

    const RATE_TENTH: i64 = crate::unit::RATE_ONE / 10;
}
