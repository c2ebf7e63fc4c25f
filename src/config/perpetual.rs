//! The settings of `perpetual_market_making`, as its users write them: percent numbers, seconds, base amounts. Never floats.
//!
//! A percent value such as `0.1` is stored as the fraction 0.001. Digits finer than a field's resolution (1e-10 percent,
//! 1e-18 of an amount or a price, one nanosecond) are cut; a value that is not zero never becomes zero by it.

use super::schema::Key;
use crate::event::Side;
use crate::unit::{Amount, MONEY_PLACES, Nanos, Price, RATE_ONE, RATE_PLACES, Rate, decimal_text};

/// Where the reference price comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PriceSource {
    /// The traded market's own book.
    #[default]
    CurrentMarket,
    /// Another market's book and trades.
    ExternalMarket,
    /// A price polled over HTTP.
    CustomApi,
}

/// Which price of the source is the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PriceType {
    /// Half of best bid plus best ask.
    #[default]
    MidPrice,
    /// The last print.
    LastPrice,
    /// The limit price of the own order that completed last.
    LastOwnTradePrice,
    /// Best bid.
    BestBid,
    /// Best ask.
    BestAsk,
    /// The polled price.
    Custom,
}

/// One entry of `order_override`: an order at its own distance and size instead of the levels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// The entry's name; without meaning for the orders.
    pub name: String,
    /// The side; `None` where the text is neither `buy` nor `sell` in lower case: such an entry is skipped.
    pub side: Option<Side>,
    /// The side's text as written.
    pub side_text: String,
    /// Distance from the reference price.
    pub spread: Rate,
    /// Base amount.
    pub amount: Amount,
}

/// The whole file. Amounts are in base asset, spreads are fractions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PerpetualSettings {
    /// The connector, such as `binance_perpetual`.
    pub derivative: String,
    /// The pair, `BASE-QUOTE`.
    pub market: String,
    /// Leverage to request; scales margin, never sizes.
    pub leverage: u32,
    /// Hedge mode (two positions) instead of one-way.
    pub hedge: bool,
    /// Distance of the nearest bid from the reference price.
    pub bid_spread: Rate,
    /// Distance of the nearest ask.
    pub ask_spread: Rate,
    /// Quotes nearer than this are cancelled at once; -100 % in effect switches the check off.
    pub minimum_spread: Rate,
    /// Age at which quotes are refreshed.
    pub order_refresh_time: Nanos,
    /// Quotes whose price would move by no more than this fraction stay; negative switches the test off.
    pub order_refresh_tolerance: Rate,
    /// Size of the nearest level.
    pub order_amount: Amount,
    /// Take-profit distance of a long position from its entry.
    pub long_profit_taking_spread: Rate,
    /// Take-profit distance of a short position.
    pub short_profit_taking_spread: Rate,
    /// Stop distance from the entry; zero means no stop loss.
    pub stop_loss_spread: Rate,
    /// Age at which a stop order is renewed.
    pub time_between_stop_loss_orders: Nanos,
    /// How far through the touch a stop order is priced.
    pub stop_loss_slippage_buffer: Rate,
    /// No bids at or above this reference price.
    pub price_ceiling: Option<Price>,
    /// No asks at or below it.
    pub price_floor: Option<Price>,
    /// Levels per side as configured; more than one switches the optimisation off.
    pub order_levels: u32,
    /// Bid levels.
    pub buy_levels: u32,
    /// Ask levels.
    pub sell_levels: u32,
    /// Added to the size per level; may be negative.
    pub order_level_amount: Amount,
    /// Added to the spread per level.
    pub order_level_spread: Rate,
    /// Pause after a complete fill.
    pub filled_order_delay: Nanos,
    /// Move single quotes away to one tick in front of the depth-adjusted best.
    pub order_optimization_enabled: bool,
    /// Depth that the ask optimisation looks through.
    pub ask_depth: Amount,
    /// Depth that the bid optimisation looks through.
    pub bid_depth: Amount,
    /// Where the reference comes from.
    pub price_source: PriceSource,
    /// Which price of it.
    pub price_type: PriceType,
    /// Connector of the external market.
    pub price_source_derivative: Option<String>,
    /// Pair of the external market.
    pub price_source_market: Option<String>,
    /// Address of the polled price.
    pub price_source_custom_api: Option<String>,
    /// How often it is polled.
    pub custom_api_update_interval: Nanos,
    /// Orders instead of levels; empty when not configured.
    pub order_override: Vec<Override>,
}

/// Most levels of a side, and most entries of the override map: both sides and a few exits fit what one instrument can have open.
pub const LEVELS_MAX: u32 = 30;

/// Every documented default; required keys are empty or zero, which [`PerpetualSettings::check`] refuses.
impl Default for PerpetualSettings {
    fn default() -> Self {
        let mut settings = Self {
            derivative: String::new(),
            market: String::new(),
            leverage: 0,
            hedge: false,
            bid_spread: Rate::ZERO,
            ask_spread: Rate::ZERO,
            minimum_spread: Rate::ZERO,
            order_refresh_time: Nanos::ZERO,
            order_refresh_tolerance: Rate::ZERO,
            order_amount: Amount::ZERO,
            long_profit_taking_spread: Rate::ZERO,
            short_profit_taking_spread: Rate::ZERO,
            stop_loss_spread: Rate::ZERO,
            time_between_stop_loss_orders: Nanos::ZERO,
            stop_loss_slippage_buffer: Rate::ZERO,
            price_ceiling: None,
            price_floor: None,
            order_levels: 0,
            buy_levels: 0,
            sell_levels: 0,
            order_level_amount: Amount::ZERO,
            order_level_spread: Rate::ZERO,
            filled_order_delay: Nanos::ZERO,
            order_optimization_enabled: false,
            ask_depth: Amount::ZERO,
            bid_depth: Amount::ZERO,
            price_source: PriceSource::CurrentMarket,
            price_type: PriceType::MidPrice,
            price_source_derivative: None,
            price_source_market: None,
            price_source_custom_api: None,
            custom_api_update_interval: Nanos::ZERO,
            order_override: Vec::new(),
        };
        for key in KEYS {
            if let Some(text) = key.default {
                (key.set)(&mut settings, text).expect("a default is valid");
            }
        }
        settings
    }
}

impl PerpetualSettings {
    /// Drops what another choice makes meaningless: the external market unless `external_market`, the address unless `custom_api`.
    pub fn settle(&mut self) {
        if self.price_source != PriceSource::ExternalMarket {
            self.price_source_derivative = None;
            self.price_source_market = None;
        }
        if self.price_source != PriceSource::CustomApi {
            self.price_source_custom_api = None;
        }
    }

    /// What is wrong between keys, each as a sentence for people; empty when the settings can be used.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, missing) in [
            ("derivative", self.derivative.is_empty()),
            ("market", self.market.is_empty()),
            ("leverage", self.leverage == 0),
            ("bid_spread", self.bid_spread.is_zero()),
            ("ask_spread", self.ask_spread.is_zero()),
            ("order_refresh_time", self.order_refresh_time.is_zero()),
            ("order_amount", self.order_amount.is_zero()),
        ] {
            if missing {
                wrong.push(format!("{name} is required"));
            }
        }
        // An absent ceiling is -1 and an absent floor is -1: only a floor without a ceiling would compare as "below".
        if let (Some(ceiling), Some(floor)) = (self.price_ceiling, self.price_floor)
            && ceiling < floor
        {
            wrong.push(format!(
                "price_ceiling {ceiling} is below price_floor {floor}; it must be equal or above, or one of them -1"
            ));
        }
        match self.price_source {
            PriceSource::CurrentMarket => {}
            PriceSource::ExternalMarket => {
                match &self.price_source_derivative {
                    None => wrong.push("price_source external_market needs price_source_derivative".into()),
                    Some(name) if *name == self.derivative => {
                        wrong.push(format!("price_source_derivative {name} must differ from derivative"));
                    }
                    Some(_) => {}
                }
                if self.price_source_market.is_none() {
                    wrong.push("price_source external_market needs price_source_market".into());
                }
            }
            PriceSource::CustomApi => {
                if self.price_source_custom_api.is_none() {
                    wrong.push("price_source custom_api needs price_source_custom_api".into());
                }
            }
        }
        if let Some(message) = self.check_price_type() {
            wrong.push(message);
        }
        if self.order_levels.max(self.buy_levels).max(self.sell_levels) > LEVELS_MAX {
            wrong.push(format!("order_levels {} is more than the {LEVELS_MAX} that are supported", self.order_levels));
        }
        if self.order_override.len() > LEVELS_MAX as usize {
            wrong.push(format!("order_override has more than the {LEVELS_MAX} entries that are supported"));
        }
        wrong
    }

    /// What is wrong with `price_type` under the present `price_source`.
    #[must_use]
    pub fn check_price_type(&self) -> Option<String> {
        let custom_type = self.price_type == PriceType::Custom;
        let custom_source = self.price_source == PriceSource::CustomApi;
        match (custom_source, custom_type) {
            (true, false) => Some("price_source custom_api allows only price_type custom".into()),
            (false, true) => Some("price_type custom needs price_source custom_api".into()),
            _ => None,
        }
    }

    /// Things that are allowed but that the user should know; shown at start.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut known = Vec::new();
        if self.stop_loss_spread.is_zero() {
            known.push("stop_loss_spread is 0: no stop loss is placed");
        }
        let plain = self.price_source_custom_api.as_ref().and_then(|url| url.strip_prefix("http://"));
        let here = |host: &str| ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
        if plain.is_some_and(|host| !here(host)) {
            known.push("price_source_custom_api is not encrypted: anybody on the way can change the price");
        }
        known
    }
}

/// The answer of a `price_source_custom_api`: one decimal number, blanks around it allowed. Zero and negative numbers are numbers; that
/// nothing can be quoted on them is the strategy's business.
///
/// # Errors
/// Why it is no price; the text is shortened in it, because anything may have come.
pub fn polled_price(text: &str) -> Result<Price, String> {
    let shown: String = text.trim().chars().take(40).collect();
    let value = decimal(text.trim(), MONEY_PLACES).map_err(|_| format!("the answer {shown:?} is not a number"))?;
    if value.abs() > ATTO_MAX { Err(format!("the price {shown} is too large")) } else { Ok(Price(value)) }
}

/// Every key of the file except `strategy`, in the order of the reference. Defaults are to be set before the file's values,
/// or each in its place of this order: `price_source` stands behind `price_type` because `custom_api` forces `custom`.
pub static KEYS: &[Key<PerpetualSettings>] = &[
    Key {
        name: "derivative",
        default: None,
        valid: "a perpetual connector such as binance_perpetual",
        help: "Connector to trade on.",
        hot: false,
        set: |s, text| name(text).map(|v| s.derivative = v),
        show: |s| s.derivative.clone(),
    },
    Key {
        name: "market",
        default: None,
        valid: "a pair, BASE-QUOTE",
        help: "Pair to trade.",
        hot: false,
        set: |s, text| pair(text).map(|v| s.market = v),
        show: |s| s.market.clone(),
    },
    Key {
        name: "leverage",
        default: None,
        valid: "whole number, (0, inf)",
        help: "Leverage to request. Scales margin, never order sizes.",
        hot: false,
        set: |s, text| count(text).map(|v| s.leverage = v),
        show: |s| s.leverage.to_string(),
    },
    Key {
        name: "position_mode",
        default: Some("One-way"),
        valid: "One-way or Hedge",
        help: "One net position, or a long and a short one.",
        hot: false,
        set: |s, text| {
            s.hedge = match text {
                "One-way" => false,
                "Hedge" => true,
                _ => return Err(format!("`{text}` is neither One-way nor Hedge")),
            };
            Ok(())
        },
        show: |s| if s.hedge { "Hedge" } else { "One-way" }.into(),
    },
    Key {
        name: "bid_spread",
        default: None,
        valid: "percent, (0, 100)",
        help: "Distance of the nearest bid from the reference price.",
        hot: true,
        set: |s, text| percent(text, Above(0), Below(100)).map(|v| s.bid_spread = v),
        show: |s| percent_text(s.bid_spread),
    },
    Key {
        name: "ask_spread",
        default: None,
        valid: "percent, (0, 100)",
        help: "Distance of the nearest ask from the reference price.",
        hot: true,
        set: |s, text| percent(text, Above(0), Below(100)).map(|v| s.ask_spread = v),
        show: |s| percent_text(s.ask_spread),
    },
    Key {
        name: "minimum_spread",
        default: Some("-100"),
        valid: "percent, [-100, 100]",
        help: "A live quote nearer to the reference price than this is cancelled at once.",
        hot: false,
        set: |s, text| percent(text, AtLeast(-100), UpTo(100)).map(|v| s.minimum_spread = v),
        show: |s| percent_text(s.minimum_spread),
    },
    Key {
        name: "order_refresh_time",
        default: None,
        valid: "seconds, (0, inf)",
        help: "Age at which quotes are checked against the tolerance and replaced.",
        hot: true,
        set: |s, text| seconds(text, Above(0)).map(|v| s.order_refresh_time = v),
        show: |s| seconds_text(s.order_refresh_time),
    },
    Key {
        name: "order_refresh_tolerance_pct",
        default: Some("0"),
        valid: "percent, [-10, 10]; negative switches the test off",
        help: "Quotes whose prices would move by no more than this stay at a refresh.",
        hot: true,
        set: |s, text| percent(text, AtLeast(-10), UpTo(10)).map(|v| s.order_refresh_tolerance = v),
        show: |s| percent_text(s.order_refresh_tolerance),
    },
    Key {
        name: "order_amount",
        default: None,
        valid: "base amount, (0, inf)",
        help: "Size of the nearest quote of each side.",
        hot: true,
        set: |s, text| amount(text, Above(0)).map(|v| s.order_amount = v),
        show: |s| atto_text(s.order_amount.0),
    },
    Key {
        name: "long_profit_taking_spread",
        default: Some("0"),
        valid: "percent, [0, 100]",
        help: "Take-profit distance of a long position from its entry price.",
        hot: false,
        set: |s, text| percent(text, AtLeast(0), UpTo(100)).map(|v| s.long_profit_taking_spread = v),
        show: |s| percent_text(s.long_profit_taking_spread),
    },
    Key {
        name: "short_profit_taking_spread",
        default: Some("0"),
        valid: "percent, [0, 100]",
        help: "Take-profit distance of a short position from its entry price.",
        hot: false,
        set: |s, text| percent(text, AtLeast(0), UpTo(100)).map(|v| s.short_profit_taking_spread = v),
        show: |s| percent_text(s.short_profit_taking_spread),
    },
    Key {
        name: "stop_loss_spread",
        default: Some("0"),
        valid: "percent, [0, 101); 0 places no stop loss",
        help: "Distance from the entry price at which a position is closed with a loss.",
        hot: false,
        set: |s, text| percent(text, AtLeast(0), Below(101)).map(|v| s.stop_loss_spread = v),
        show: |s| percent_text(s.stop_loss_spread),
    },
    Key {
        name: "time_between_stop_loss_orders",
        default: Some("60"),
        valid: "seconds, (0, inf)",
        help: "Age at which a stop order is priced anew.",
        hot: false,
        set: |s, text| seconds(text, Above(0)).map(|v| s.time_between_stop_loss_orders = v),
        show: |s| seconds_text(s.time_between_stop_loss_orders),
    },
    Key {
        name: "stop_loss_slippage_buffer",
        default: Some("0.5"),
        valid: "percent, [0, inf)",
        help: "How far beyond the touch a stop order is priced, so that it executes.",
        hot: false,
        set: |s, text| percent(text, AtLeast(0), Open).map(|v| s.stop_loss_slippage_buffer = v),
        show: |s| percent_text(s.stop_loss_slippage_buffer),
    },
    Key {
        name: "price_ceiling",
        default: Some("-1"),
        valid: "price, (0, inf), or -1 for none",
        help: "No bids while the reference price is at or above this.",
        hot: true,
        set: |s, text| band(text).map(|v| s.price_ceiling = v),
        show: |s| band_text(s.price_ceiling),
    },
    Key {
        name: "price_floor",
        default: Some("-1"),
        valid: "price, (0, inf), or -1 for none",
        help: "No asks while the reference price is at or below this.",
        hot: true,
        set: |s, text| band(text).map(|v| s.price_floor = v),
        show: |s| band_text(s.price_floor),
    },
    Key {
        name: "order_levels",
        default: Some("1"),
        valid: "whole number, (0, inf); up to 30 are supported",
        help: "Quotes per side.",
        hot: true,
        set: |s, text| {
            count(text).map(|v| {
                s.order_levels = v;
                s.buy_levels = v;
                s.sell_levels = v;
            })
        },
        show: |s| s.order_levels.to_string(),
    },
    Key {
        name: "order_level_amount",
        default: Some("0"),
        valid: "base amount, any",
        help: "Added to the size with each level outwards.",
        hot: true,
        set: |s, text| amount(text, Open).map(|v| s.order_level_amount = v),
        show: |s| atto_text(s.order_level_amount.0),
    },
    Key {
        name: "order_level_spread",
        default: Some("1"),
        valid: "percent, (0, 100)",
        help: "Added to the spread with each level outwards.",
        hot: true,
        set: |s, text| percent(text, Above(0), Below(100)).map(|v| s.order_level_spread = v),
        show: |s| percent_text(s.order_level_spread),
    },
    Key {
        name: "filled_order_delay",
        default: Some("60"),
        valid: "seconds, (0, inf)",
        help: "Pause before new quotes after an order was completely filled.",
        hot: true,
        set: |s, text| seconds(text, Above(0)).map(|v| s.filled_order_delay = v),
        show: |s| seconds_text(s.filled_order_delay),
    },
    Key {
        name: "order_optimization_enabled",
        default: Some("false"),
        valid: "true, yes, y, false, no or n",
        help: "Move a single quote outwards to one tick in front of the depth-adjusted best.",
        hot: true,
        set: |s, text| flag(text).map(|v| s.order_optimization_enabled = v),
        show: |s| s.order_optimization_enabled.to_string(),
    },
    Key {
        name: "ask_order_optimization_depth",
        default: Some("0"),
        valid: "base amount, [0, inf)",
        help: "Ask volume that the optimisation ignores.",
        hot: false,
        set: |s, text| amount(text, AtLeast(0)).map(|v| s.ask_depth = v),
        show: |s| atto_text(s.ask_depth.0),
    },
    Key {
        name: "bid_order_optimization_depth",
        default: Some("0"),
        valid: "base amount, [0, inf)",
        help: "Bid volume that the optimisation ignores.",
        hot: false,
        set: |s, text| amount(text, AtLeast(0)).map(|v| s.bid_depth = v),
        show: |s| atto_text(s.bid_depth.0),
    },
    Key {
        name: "price_type",
        default: Some("mid_price"),
        valid: "mid_price, last_price, last_own_trade_price, best_bid or best_ask; with custom_api only custom",
        help: "Which price of the source is the reference price.",
        hot: false,
        set: |s, text| choose(text, PRICE_TYPES).map(|v| s.price_type = v),
        show: |s| chosen(s.price_type, PRICE_TYPES),
    },
    Key {
        name: "price_source",
        default: Some("current_market"),
        valid: "current_market, external_market or custom_api",
        help: "Where the reference price comes from.",
        hot: false,
        set: |s, text| {
            s.price_source = choose(text, PRICE_SOURCES)?;
            if s.price_source == PriceSource::CustomApi && s.price_type == PriceType::MidPrice {
                s.price_type = PriceType::Custom;
            }
            Ok(())
        },
        show: |s| chosen(s.price_source, PRICE_SOURCES),
    },
    Key {
        name: "price_source_derivative",
        default: Some(""),
        valid: "a connector that differs from derivative; required for external_market",
        help: "Connector of the external market.",
        hot: false,
        set: |s, text| optional(text, name).map(|v| s.price_source_derivative = v),
        show: |s| s.price_source_derivative.clone().unwrap_or_default(),
    },
    Key {
        name: "price_source_market",
        default: Some(""),
        valid: "a pair, BASE-QUOTE; required for external_market",
        help: "Pair of the external market.",
        hot: false,
        set: |s, text| optional(text, pair).map(|v| s.price_source_market = v),
        show: |s| s.price_source_market.clone().unwrap_or_default(),
    },
    Key {
        name: "price_source_custom_api",
        default: Some(""),
        valid: "an http or https address; required for custom_api",
        help: "Address whose answer is the price.",
        hot: false,
        set: |s, text| optional(text, address).map(|v| s.price_source_custom_api = v),
        show: |s| s.price_source_custom_api.clone().unwrap_or_default(),
    },
    Key {
        name: "custom_api_update_interval",
        default: Some("5"),
        valid: "seconds, [0.5, inf)",
        help: "How often the address is polled.",
        hot: false,
        set: |s, text| {
            let interval = seconds(text, Above(0))?;
            if interval < Nanos::from_millis(500) {
                return Err(format!("{} is below 0.5", text.trim()));
            }
            s.custom_api_update_interval = interval;
            Ok(())
        },
        show: |s| seconds_text(s.custom_api_update_interval),
    },
    Key {
        name: "order_override",
        default: Some(""),
        valid: "a map, name: [side, spread in percent, amount]",
        help: "Orders with their own side, spread and amount instead of the levels.",
        hot: false,
        set: |s, text| overrides(text).map(|v| s.order_override = v),
        show: |s| overrides_text(&s.order_override),
    },
];

const PRICE_SOURCES: &[(&str, PriceSource)] = &[
    ("current_market", PriceSource::CurrentMarket),
    ("external_market", PriceSource::ExternalMarket),
    ("custom_api", PriceSource::CustomApi),
];

const PRICE_TYPES: &[(&str, PriceType)] = &[
    ("mid_price", PriceType::MidPrice),
    ("last_price", PriceType::LastPrice),
    ("last_own_trade_price", PriceType::LastOwnTradePrice),
    ("best_bid", PriceType::BestBid),
    ("best_ask", PriceType::BestAsk),
    ("custom", PriceType::Custom),
];

/// One end of a valid range, in the key's own unit.
#[derive(Clone, Copy)]
enum Limit {
    /// Exclusive lower end.
    Above(i64),
    /// Inclusive lower end.
    AtLeast(i64),
    /// Exclusive upper end.
    Below(i64),
    /// Inclusive upper end.
    UpTo(i64),
    /// Open end.
    Open,
}
use Limit::{Above, AtLeast, Below, Open, UpTo};

impl Limit {
    fn admit(self, value: i128, places: u32, text: &str) -> Result<(), String> {
        let scale = 10_i128.pow(places);
        let (fine, words, end) = match self {
            Above(end) => (value > i128::from(end) * scale, "must be above", end),
            AtLeast(end) => (value >= i128::from(end) * scale, "must not be below", end),
            Below(end) => (value < i128::from(end) * scale, "must be below", end),
            UpTo(end) => (value <= i128::from(end) * scale, "must not be above", end),
            Open => (true, "", 0),
        };
        if fine { Ok(()) } else { Err(format!("{} {words} {end}", text.trim())) }
    }
}

/// Largest magnitude of any amount or price, and of any percent number or time in seconds: far beyond use, far from overflow.
const ATTO_MAX: i128 = 1_000_000_000_000_000 * 10_i128.pow(MONEY_PLACES);
const SMALL_MAX: i64 = 100_000_000;
/// A percent number is stored as a fraction, so it has two places less.
const PERCENT_PLACES: u32 = RATE_PLACES - 2;
const SECOND_PLACES: u32 = 9;

/// Reads a decimal as the users' former program does: blanks around it, underscores, a leading `+`, an exponent.
/// The result is cut to `places`; a value that is not zero stays at least one unit away from zero.
pub(super) fn decimal(text: &str, places: u32) -> Result<i128, String> {
    let refuse = || format!("`{text}` is not a number");
    let plain = text.trim().replace('_', "");
    let (digits_text, exponent) = match plain.split_once(['e', 'E']) {
        Some((front, exponent)) => (front, exponent.parse::<i32>().map_err(|_| refuse())?),
        None => (plain.as_str(), 0),
    };
    let (negative, digits_text) = match digits_text.as_bytes().first() {
        Some(b'-') => (true, &digits_text[1..]),
        Some(b'+') => (false, &digits_text[1..]),
        _ => (false, digits_text),
    };
    let (whole, fraction) = digits_text.split_once('.').unwrap_or((digits_text, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(refuse());
    }
    let too_large = || format!("{} is too large", text.trim());
    let mut shift = i64::from(exponent) + i64::from(places) - fraction.len() as i64;
    let (mut value, mut cut) = (0_i128, false);
    for digit in whole.bytes().chain(fraction.bytes()).map(|b| i128::from(b - b'0')) {
        if value < 10_i128.pow(36) {
            value = value * 10 + digit;
        } else {
            shift += 1;
            cut |= digit != 0;
        }
    }
    while value != 0 && shift > 0 {
        value = value.checked_mul(10).ok_or_else(too_large)?;
        shift -= 1;
    }
    while value != 0 && shift < 0 {
        cut |= value % 10 != 0;
        value /= 10;
        shift += 1;
    }
    let value = if value == 0 && cut { 1 } else { value };
    Ok(if negative { -value } else { value })
}

fn percent(text: &str, low: Limit, high: Limit) -> Result<Rate, String> {
    let value = decimal(text, PERCENT_PLACES)?;
    low.admit(value, PERCENT_PLACES, text)?;
    high.admit(value, PERCENT_PLACES, text)?;
    bounded(value, i128::from(SMALL_MAX) * i128::from(RATE_ONE / 100), text).map(Rate)
}

fn seconds(text: &str, low: Limit) -> Result<Nanos, String> {
    let value = decimal(text, SECOND_PLACES)?;
    low.admit(value, SECOND_PLACES, text)?;
    bounded(value, i128::from(Nanos::from_secs(SMALL_MAX).0), text).map(Nanos)
}

fn bounded(value: i128, max: i128, text: &str) -> Result<i64, String> {
    match i64::try_from(value) {
        Ok(fits) if value.abs() <= max => Ok(fits),
        _ => Err(format!("{} is too large", text.trim())),
    }
}

fn amount(text: &str, low: Limit) -> Result<Amount, String> {
    let value = decimal(text, MONEY_PLACES)?;
    low.admit(value, MONEY_PLACES, text)?;
    if value.abs() > ATTO_MAX { Err(format!("{} is too large", text.trim())) } else { Ok(Amount(value)) }
}

fn band(text: &str) -> Result<Option<Price>, String> {
    let value = decimal(text, MONEY_PLACES)?;
    if value == -(10_i128.pow(MONEY_PLACES)) {
        return Ok(None);
    }
    if value <= 0 {
        return Err(format!("{} must be above 0, or exactly -1 for none", text.trim()));
    }
    if value > ATTO_MAX { Err(format!("{} is too large", text.trim())) } else { Ok(Some(Price(value))) }
}

fn count(text: &str) -> Result<u32, String> {
    let plain = text.trim();
    // Underscores may stand between digits only, as in the users' former program.
    let misplaced = plain.starts_with('_') || plain.ends_with('_') || plain.contains("__") || plain.starts_with("+_");
    match plain.replace('_', "").parse::<i64>() {
        Ok(value) if misplaced => Err(format!("`{plain}` is not a whole number ({value}?)")),
        Ok(value) if value <= 0 => Err(format!("{value} must be above 0")),
        Ok(value) => u32::try_from(value).map_err(|_| format!("{value} is too large")),
        Err(_) => Err(format!("`{plain}` is not a whole number")),
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" => Ok(true),
        "false" | "no" | "n" => Ok(false),
        _ => Err(format!("`{text}` is none of true, yes, y, false, no, n")),
    }
}

fn name(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a connector's name (lower-case letters, digits, underscores)"))
    }
}

fn pair(text: &str) -> Result<String, String> {
    let good = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    match text.split_once('-') {
        Some((base, quote)) if good(base) && good(quote) => Ok(text.to_ascii_uppercase()),
        _ => Err(format!("`{text}` is not a pair such as BTC-USDT")),
    }
}

fn address(text: &str) -> Result<String, String> {
    match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
        Some(rest) if !rest.is_empty() && !text.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not an http or https address")),
    }
}

fn optional<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if matches!(text, "" | "null") { Ok(None) } else { read(text).map(Some) }
}

fn choose<T: Copy>(text: &str, from: &[(&str, T)]) -> Result<T, String> {
    from.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = from.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is none of {}", names.join(", "))
    })
}

fn chosen<T: PartialEq>(value: T, from: &[(&str, T)]) -> String {
    from.iter().find(|(_, known)| *known == value).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
}

/// Reads the JSON form of the map; entry order is kept because it is the order of the orders.
fn overrides(text: &str) -> Result<Vec<Override>, String> {
    if matches!(text.trim(), "" | "null" | "{}") {
        return Ok(Vec::new());
    }
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|e| format!("not a map of name: [side, spread, amount]: {e}"))?;
    let scalar = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut read = Vec::with_capacity(map.len());
    for (name, entry) in map {
        let Some([side, spread, size]) = entry.as_array().map(Vec::as_slice) else {
            return Err(format!("entry `{name}` is not a list of side, spread and amount"));
        };
        let side_text = scalar(side);
        let at = |e: String| format!("entry `{name}`: {e}");
        read.push(Override {
            side: match side_text.as_str() {
                "buy" => Some(Side::Buy),
                "sell" => Some(Side::Sell),
                _ => None,
            },
            spread: percent(&scalar(spread), Open, Open).map_err(at)?,
            amount: amount(&scalar(size), Open).map_err(|e| format!("entry `{name}`: {e}"))?,
            side_text,
            name,
        });
    }
    Ok(read)
}

fn overrides_text(entries: &[Override]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let map: serde_json::Map<_, _> = entries
        .iter()
        .map(|e| (e.name.clone(), serde_json::json!([e.side_text, percent_text(e.spread), atto_text(e.amount.0)])))
        .collect();
    serde_json::Value::Object(map).to_string()
}

fn percent_text(rate: Rate) -> String {
    decimal_text(i128::from(rate.0), PERCENT_PLACES)
}
fn seconds_text(time: Nanos) -> String {
    decimal_text(i128::from(time.0), SECOND_PLACES)
}
fn atto_text(value: i128) -> String {
    decimal_text(value, MONEY_PLACES)
}
fn band_text(price: Option<Price>) -> String {
    price.map_or_else(|| "-1".to_owned(), |price| atto_text(price.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut PerpetualSettings, name: &str, text: &str) -> Result<(), String> {
        let key = KEYS.iter().find(|key| key.name == name).expect("a key of the table");
        (key.set)(settings, text)
    }

    #[test]
    fn a_polled_price_is_one_number_and_nothing_else() {
        let price = |text: &str| Price::parse(text.as_bytes()).unwrap();
        for (text, value) in [("61800.25\n", "61800.25"), (" 6.18e4 ", "61800"), ("0", "0"), ("-3", "-3")] {
            assert_eq!(polled_price(text), Ok(price(value)), "{text}");
        }
        for text in ["", "nan", "61,800.25", "<html></html>", "{\"price\":1}", "1 2", "1e40"] {
            assert!(polled_price(text).is_err(), "{text}");
        }
        assert!(polled_price(&"<html>".repeat(1000)).unwrap_err().len() < 100);
    }

    #[test]
    fn decimals_are_read_as_the_users_former_program_reads_them() {
        for (text, value) in [
            ("1", 100),
            (" +1_0.5 ", 1050),
            ("1e1", 1000),
            ("1E-1", 10),
            (".5", 50),
            ("5.", 500),
            ("-0.019", -1),
            ("0.001", 1),
            ("-1e-30", -1),
            ("0e99", 0),
            ("123456789012345678901234567890123456789e-37", 1234),
        ] {
            assert_eq!(decimal(text, 2), Ok(value), "{text}");
        }
        for text in ["", " ", "abc", "1e", "e1", "--1", "+-1", "1.2.3", "1e1.5", "nan", "inf", ".", "0x10", "1e40"] {
            assert!(decimal(text, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn a_percent_is_divided_by_a_hundred_once() {
        let mut settings = PerpetualSettings::default();
        set(&mut settings, "bid_spread", "0.1").unwrap();
        assert_eq!(settings.bid_spread, Rate::parse(b"0.001").unwrap());
        assert_eq!(settings.minimum_spread, -Rate::ONE);
        assert_eq!(set(&mut settings, "bid_spread", "100"), Err("100 must be below 100".into()));
        assert_eq!(settings.bid_spread, Rate::parse(b"0.001").unwrap(), "a refused value changes nothing");
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let mut settings = PerpetualSettings::default();
        for (name, text) in [
            ("derivative", "binance_perpetual"),
            ("market", "BTC-USDT"),
            ("leverage", "10"),
            ("bid_spread", "0.05"),
            ("ask_spread", "0.0000001"),
            ("order_refresh_time", "15.5"),
            ("order_amount", "0.01"),
            ("price_ceiling", "105.5"),
            ("position_mode", "Hedge"),
            ("price_source", "custom_api"),
            ("price_source_custom_api", "https://example.org/price"),
            ("order_override", r#"{"b":["buy",0.5,"0.1"],"a":["BUY","1",2]}"#),
        ] {
            set(&mut settings, name, text).unwrap();
        }
        assert_eq!(settings.check(), Vec::<String>::new());
        assert_eq!(settings.price_type, PriceType::Custom, "forced by the price source");
        assert_eq!((settings.order_override[0].side, settings.order_override[1].side), (Some(Side::Buy), None));
        let mut again = PerpetualSettings::default();
        for key in KEYS {
            (key.set)(&mut again, &(key.show)(&settings)).unwrap();
        }
        assert_eq!(again, settings);
    }

    #[test]
    fn keys_that_contradict_each_other_are_all_named() {
        let mut settings = PerpetualSettings::default();
        assert_eq!(settings.check().len(), 7, "the required keys");
        set(&mut settings, "price_ceiling", "95").unwrap();
        set(&mut settings, "price_floor", "105").unwrap();
        set(&mut settings, "price_source", "external_market").unwrap();
        set(&mut settings, "price_type", "custom").unwrap();
        set(&mut settings, "order_levels", "31").unwrap();
        let wrong = settings.check().join("\n");
        for part in ["price_ceiling 95", "price_source_derivative", "price_source_market", "price_type custom", "31"] {
            assert!(wrong.contains(part), "{part} in {wrong}");
        }
        assert!(set(&mut settings, "order_override", r#"{"a":["buy","x",1]}"#).unwrap_err().contains("entry `a`"));
    }
}
