//! The settings of the pure market making controller (`controller_name: pmm`). Fractions are fractions here, not percent.
//! Exact decimals, never floats; digits finer than 1e-12 of a fraction and 1e-18 of an amount are cut.

use super::perpetual::decimal;
use super::schema::{Key, Settings};
use crate::unit::{Amount, MONEY_PLACES, Money, Nanos, RATE_PLACES, Rate, decimal_text, pow10};

/// The key that says which controller a file is for.
pub const CONTROLLER: &str = "controller_name";
/// What it says of this one; also the name of the template.
pub const NAME: &str = "pmm";

/// How a take profit is executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TakeProfitOrder {
    /// At market when the target is reached.
    Market,
    /// A limit order.
    Limit,
    /// A post-only limit order.
    #[default]
    LimitMaker,
}

/// Inventory that the user states at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitialPosition {
    /// Its connector.
    pub connector: String,
    /// Its pair.
    pub pair: String,
    /// Base amount.
    pub amount: Amount,
    /// Bought; otherwise sold.
    pub long: bool,
}

/// The whole file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PmmSettings {
    /// A name for the run; generated where absent.
    pub id: Option<String>,
    /// Always `generic`.
    pub controller_type: String,
    /// Capital in quote currency.
    pub total_amount_quote: Money,
    /// Stops every executor and closes what they hold.
    pub manual_kill_switch: bool,
    /// Inventory at the start.
    pub initial_positions: Vec<InitialPosition>,
    /// The connector; `perpetual` in its name makes it one.
    pub connector_name: String,
    /// The pair, `BASE-QUOTE`.
    pub trading_pair: String,
    /// Part of the capital that all levels together deploy.
    pub portfolio_allocation: Rate,
    /// Display only: the wanted base part.
    pub target_base_pct: Rate,
    /// Below this base part only buys are quoted.
    pub min_base_pct: Rate,
    /// Above it only sells.
    pub max_base_pct: Rate,
    /// Distances of the bids from the reference price.
    pub buy_spreads: Vec<Rate>,
    /// Distances of the asks.
    pub sell_spreads: Vec<Rate>,
    /// Weights of the bids; `None` weighs all alike.
    pub buy_amounts_pct: Option<Vec<Amount>>,
    /// Weights of the asks.
    pub sell_amounts_pct: Option<Vec<Amount>>,
    /// Age at which a level is given up and quoted anew.
    pub executor_refresh_time: Nanos,
    /// Wait after a fill before the level is quoted again.
    pub cooldown_time: Nanos,
    /// Leverage to request; scales margin, never sizes.
    pub leverage: u32,
    /// Hedge mode (two positions) instead of one-way.
    pub hedge: bool,
    /// Take-profit distance of the first level.
    pub take_profit: Option<Rate>,
    /// How it is executed.
    pub take_profit_order: TakeProfitOrder,
    /// Floor of the size factor that the skew gives: 1 is no skew.
    pub max_skew: Rate,
    /// Profit of everything held at which all is closed.
    pub global_take_profit: Rate,
    /// Loss at which all is closed.
    pub global_stop_loss: Rate,
}

/// Most levels of a side: each can rest an entry and a take profit.
pub const LEVELS_MAX: usize = 15;

/// Every documented default.
impl Default for PmmSettings {
    fn default() -> Self {
        let mut settings = Self {
            id: None,
            controller_type: String::new(),
            total_amount_quote: Money::ZERO,
            manual_kill_switch: false,
            initial_positions: Vec::new(),
            connector_name: String::new(),
            trading_pair: String::new(),
            portfolio_allocation: Rate::ZERO,
            target_base_pct: Rate::ZERO,
            min_base_pct: Rate::ZERO,
            max_base_pct: Rate::ZERO,
            buy_spreads: Vec::new(),
            sell_spreads: Vec::new(),
            buy_amounts_pct: None,
            sell_amounts_pct: None,
            executor_refresh_time: Nanos::ZERO,
            cooldown_time: Nanos::ZERO,
            leverage: 0,
            hedge: false,
            take_profit: None,
            take_profit_order: TakeProfitOrder::LimitMaker,
            max_skew: Rate::ZERO,
            global_take_profit: Rate::ZERO,
            global_stop_loss: Rate::ZERO,
        };
        for key in KEYS {
            if let Some(text) = key.default {
                (key.set)(&mut settings, text).expect("a default is valid");
            }
        }
        settings
    }
}

impl Settings for PmmSettings {
    fn blank() -> Self {
        Self::default()
    }

    fn keys() -> &'static [Key<Self>] {
        KEYS
    }

    fn check(&self) -> Vec<String> {
        Self::check(self)
    }
}

/// A connector of this name trades perpetuals; any other trades spot.
#[must_use]
pub fn is_perpetual(connector: &str) -> bool {
    connector.contains("perpetual")
}

impl PmmSettings {
    /// What is wrong between keys, each as a sentence that begins with the key; empty when the settings can be used.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        self.check_except(&[])
    }

    /// [`PmmSettings::check`] where the values of some keys were refused already: nothing follows from those.
    #[must_use]
    pub fn check_except(&self, refused: &[&str]) -> Vec<String> {
        let mut wrong = Vec::new();
        let fine = |keys: &[&str]| !keys.iter().any(|key| refused.contains(key));
        let (low, target, high) = (self.min_base_pct, self.target_base_pct, self.max_base_pct);
        if low > target && fine(&["min_base_pct", "target_base_pct"]) {
            wrong.push(format!("min_base_pct {low} is above target_base_pct {target}"));
        }
        if high < target && fine(&["max_base_pct", "target_base_pct"]) {
            wrong.push(format!("max_base_pct {high} is below target_base_pct {target}"));
        }
        for (spreads_key, key, spreads, amounts) in [
            ("buy_spreads", "buy_amounts_pct", &self.buy_spreads, &self.buy_amounts_pct),
            ("sell_spreads", "sell_amounts_pct", &self.sell_spreads, &self.sell_amounts_pct),
        ] {
            if let Some(amounts) = amounts
                && amounts.len() != spreads.len()
                && fine(&[spreads_key, key])
            {
                let (have, need) = (amounts.len(), spreads.len());
                wrong.push(format!("{key} has {have} entries, {spreads_key} has {need}; it needs one for each"));
            }
            if spreads.len() > LEVELS_MAX {
                wrong.push(format!("{spreads_key} has more than the {LEVELS_MAX} levels that are supported"));
            }
        }
        wrong
    }

    /// The contract is a perpetual.
    #[must_use]
    pub fn is_perpetual(&self) -> bool {
        is_perpetual(&self.connector_name)
    }

    /// Takes over the keys that may change at run time; the others stay. `new` must have passed [`PmmSettings::check`]; what is
    /// replaced goes into it, so that nothing is allocated or freed.
    pub fn take_over(&mut self, new: &mut Self) {
        std::mem::swap(self, new);
        std::mem::swap(&mut self.id, &mut new.id);
        std::mem::swap(&mut self.controller_type, &mut new.controller_type);
        std::mem::swap(&mut self.initial_positions, &mut new.initial_positions);
        std::mem::swap(&mut self.connector_name, &mut new.connector_name);
        std::mem::swap(&mut self.trading_pair, &mut new.trading_pair);
        self.portfolio_allocation = new.portfolio_allocation;
        self.target_base_pct = new.target_base_pct;
        self.min_base_pct = new.min_base_pct;
        self.max_base_pct = new.max_base_pct;
        self.hedge = new.hedge;
        self.global_take_profit = new.global_take_profit;
        self.global_stop_loss = new.global_stop_loss;
    }
}

/// Every key of the file except `controller_name`, in the order of the reference.
pub static KEYS: &[Key<PmmSettings>] = &[
    Key {
        name: "id",
        default: Some(""),
        valid: "text; generated where absent",
        help: "Name of the controller.",
        hot: false,
        set: |s, text| {
            s.id = if is_null(text) { None } else { Some(text.to_owned()) };
            Ok(())
        },
        show: |s| s.id.clone().unwrap_or_default(),
    },
    Key {
        name: "controller_type",
        default: Some("generic"),
        valid: "generic",
        help: "Kind of controller.",
        hot: false,
        set: |s, text| match text {
            "generic" => {
                s.controller_type = text.to_owned();
                Ok(())
            }
            _ => Err(format!("`{text}` is not generic")),
        },
        show: |s| s.controller_type.clone(),
    },
    Key {
        name: "total_amount_quote",
        default: Some("2000"),
        valid: "quote amount, (0, inf)",
        help: "Capital.",
        hot: true,
        set: |s, text| match amount(text)? {
            value if value.0 <= 0 => Err(format!("{} must be above 0", text.trim())),
            value => {
                s.total_amount_quote = Money(value.0);
                Ok(())
            }
        },
        show: |s| s.total_amount_quote.to_string(),
    },
    Key {
        name: "manual_kill_switch",
        default: Some("false"),
        valid: "true or false",
        help: "Stops everything and closes what is held.",
        hot: true,
        set: |s, text| match text.to_ascii_lowercase().as_str() {
            "true" => {
                s.manual_kill_switch = true;
                Ok(())
            }
            "false" => {
                s.manual_kill_switch = false;
                Ok(())
            }
            _ => Err(format!("`{text}` is neither true nor false")),
        },
        show: |s| s.manual_kill_switch.to_string(),
    },
    Key {
        name: "initial_positions",
        default: Some("[]"),
        valid: "a list of {connector, pair, amount, side}",
        help: "Inventory at the start.",
        hot: false,
        set: |s, text| initial_positions(text).map(|v| s.initial_positions = v),
        show: |s| initial_positions_text(&s.initial_positions),
    },
    Key {
        name: "connector_name",
        default: Some("binance"),
        valid: "a connector such as binance_perpetual",
        help: "Connector to trade on.",
        hot: false,
        set: |s, text| named(text).map(|v| s.connector_name = v),
        show: |s| s.connector_name.clone(),
    },
    Key {
        name: "trading_pair",
        default: Some("BTC-FDUSD"),
        valid: "a pair, BASE-QUOTE",
        help: "Pair to trade.",
        hot: false,
        set: |s, text| named(text).map(|v| s.trading_pair = v),
        show: |s| s.trading_pair.clone(),
    },
    Key {
        name: "portfolio_allocation",
        default: Some("0.05"),
        valid: "fraction, [0.01, 1]",
        help: "Part of the capital that all levels together deploy.",
        hot: false,
        set: |s, text| fraction(text, "0.01", "1").map(|v| s.portfolio_allocation = v),
        show: |s| s.portfolio_allocation.to_string(),
    },
    Key {
        name: "target_base_pct",
        default: Some("0.2"),
        valid: "fraction, [0, 1]",
        help: "Wanted base part of the capital (shown as the deviation).",
        hot: false,
        set: |s, text| fraction(text, "0", "1").map(|v| s.target_base_pct = v),
        show: |s| s.target_base_pct.to_string(),
    },
    Key {
        name: "min_base_pct",
        default: Some("0.1"),
        valid: "fraction, [0, 1], not above target_base_pct",
        help: "Below this base part only buys are quoted.",
        hot: false,
        set: |s, text| fraction(text, "0", "1").map(|v| s.min_base_pct = v),
        show: |s| s.min_base_pct.to_string(),
    },
    Key {
        name: "max_base_pct",
        default: Some("0.4"),
        valid: "fraction, [0, 1], not below target_base_pct",
        help: "Above this base part only sells are quoted.",
        hot: false,
        set: |s, text| fraction(text, "0", "1").map(|v| s.max_base_pct = v),
        show: |s| s.max_base_pct.to_string(),
    },
    Key {
        name: "buy_spreads",
        default: Some("0.01,0.02"),
        valid: "list of fractions, each in [0.0001, 0.1]; empty for none",
        help: "Distances of the bids from the reference price.",
        hot: true,
        set: |s, text| spreads(text).map(|v| s.buy_spreads = v),
        show: |s| rates_text(&s.buy_spreads),
    },
    Key {
        name: "sell_spreads",
        default: Some("0.01,0.02"),
        valid: "list of fractions, each in [0.0001, 0.1]; empty for none",
        help: "Distances of the asks from the reference price.",
        hot: true,
        set: |s, text| spreads(text).map(|v| s.sell_spreads = v),
        show: |s| rates_text(&s.sell_spreads),
    },
    Key {
        name: "buy_amounts_pct",
        default: Some(""),
        valid: "list of weights, one per spread, not all 0; empty weighs all alike",
        help: "Weights of the bids.",
        hot: true,
        set: |s, text| weights(text).map(|v| s.buy_amounts_pct = v),
        show: |s| weights_text(s.buy_amounts_pct.as_deref()),
    },
    Key {
        name: "sell_amounts_pct",
        default: Some(""),
        valid: "list of weights, one per spread, not all 0; empty weighs all alike",
        help: "Weights of the asks.",
        hot: true,
        set: |s, text| weights(text).map(|v| s.sell_amounts_pct = v),
        show: |s| weights_text(s.sell_amounts_pct.as_deref()),
    },
    Key {
        name: "executor_refresh_time",
        default: Some("300"),
        valid: "whole seconds, [10, 3600]",
        help: "Age at which a level is given up and quoted anew.",
        hot: true,
        set: |s, text| count(text, 10, 3600).map(|v| s.executor_refresh_time = Nanos::from_secs(v)),
        show: |s| (s.executor_refresh_time.as_millis() / 1000).to_string(),
    },
    Key {
        name: "cooldown_time",
        default: Some("15"),
        valid: "whole seconds, [0, 300]",
        help: "Wait after a fill before the level is quoted again.",
        hot: true,
        set: |s, text| count(text, 0, 300).map(|v| s.cooldown_time = Nanos::from_secs(v)),
        show: |s| (s.cooldown_time.as_millis() / 1000).to_string(),
    },
    Key {
        name: "leverage",
        default: Some("20"),
        valid: "whole number, [1, 125]",
        help: "Leverage to request on a perpetual.",
        hot: true,
        set: |s, text| count(text, 1, 125).map(|v| s.leverage = v as u32),
        show: |s| s.leverage.to_string(),
    },
    Key {
        name: "position_mode",
        default: Some("HEDGE"),
        valid: "HEDGE or ONEWAY, any case",
        help: "A long and a short position, or one net position.",
        hot: false,
        set: |s, text| {
            s.hedge = match text.to_ascii_uppercase().as_str() {
                "HEDGE" => true,
                "ONEWAY" => false,
                _ => return Err(format!("`{text}` is neither HEDGE nor ONEWAY")),
            };
            Ok(())
        },
        show: |s| if s.hedge { "HEDGE" } else { "ONEWAY" }.into(),
    },
    Key {
        name: "take_profit",
        default: Some("0.02"),
        valid: "fraction, [0.001, 0.1]; empty for none",
        help: "Take-profit distance of the first level; the next ones have twice, three times it.",
        hot: true,
        set: |s, text| {
            s.take_profit = if is_null(text) { None } else { Some(fraction(text, "0.001", "0.1")?) };
            Ok(())
        },
        show: |s| s.take_profit.map(|rate| rate.to_string()).unwrap_or_default(),
    },
    Key {
        name: "take_profit_order_type",
        default: Some("LIMIT_MAKER"),
        valid: "MARKET, LIMIT or LIMIT_MAKER, any case, or 1, 2, 3; null is MARKET",
        help: "How a take profit is executed.",
        hot: true,
        set: |s, text| {
            s.take_profit_order = match text.to_ascii_uppercase().as_str() {
                "MARKET" | "1" | "NULL" => TakeProfitOrder::Market,
                "LIMIT" | "2" => TakeProfitOrder::Limit,
                "LIMIT_MAKER" | "3" => TakeProfitOrder::LimitMaker,
                _ => return Err(format!("`{text}` is none of MARKET, LIMIT, LIMIT_MAKER")),
            };
            Ok(())
        },
        show: |s| {
            match s.take_profit_order {
                TakeProfitOrder::Market => "MARKET",
                TakeProfitOrder::Limit => "LIMIT",
                TakeProfitOrder::LimitMaker => "LIMIT_MAKER",
            }
            .into()
        },
    },
    Key {
        name: "max_skew",
        default: Some("1.0"),
        valid: "fraction, [0, 1]; 1 is no skew",
        help: "Floor of the factor by which inventory shrinks a side's sizes.",
        hot: true,
        set: |s, text| fraction(text, "0", "1").map(|v| s.max_skew = v),
        show: |s| s.max_skew.to_string(),
    },
    Key {
        name: "global_take_profit",
        default: Some("0.02"),
        valid: "fraction, [0.01, 0.2]",
        help: "Profit of everything held at which all of it is closed.",
        hot: false,
        set: |s, text| fraction(text, "0.01", "0.2").map(|v| s.global_take_profit = v),
        show: |s| s.global_take_profit.to_string(),
    },
    Key {
        name: "global_stop_loss",
        default: Some("0.05"),
        valid: "fraction, [0.01, 0.2]",
        help: "Loss of everything held at which all of it is closed.",
        hot: false,
        set: |s, text| fraction(text, "0.01", "0.2").map(|v| s.global_stop_loss = v),
        show: |s| s.global_stop_loss.to_string(),
    },
];

/// Largest magnitude of an amount: far beyond use, far from overflow.
const AMOUNT_MAX: i128 = 1_000_000_000_000 * pow10(MONEY_PLACES);

fn is_null(text: &str) -> bool {
    matches!(text.trim(), "" | "null")
}

fn named(text: &str) -> Result<String, String> {
    if text.is_empty() || text == "null" { Err("a name is needed".into()) } else { Ok(text.to_owned()) }
}

/// Within the inclusive range; the bounds are given as text so that they read as in the reference.
fn fraction(text: &str, low: &str, high: &str) -> Result<Rate, String> {
    let bound = |text: &str| decimal(text, MONEY_PLACES).expect("a bound");
    let value = decimal(text, MONEY_PLACES)?;
    if value < bound(low) || value > bound(high) {
        return Err(format!("{} is not within {low} and {high}", text.trim()));
    }
    decimal(text, RATE_PLACES).and_then(|value| i64::try_from(value).map(Rate).map_err(|e| e.to_string()))
}

fn amount(text: &str) -> Result<Amount, String> {
    let value = decimal(text, MONEY_PLACES)?;
    if value.abs() > AMOUNT_MAX { Err(format!("{} is too large", text.trim())) } else { Ok(Amount(value)) }
}

fn count(text: &str, low: i64, high: i64) -> Result<i64, String> {
    let value = text.trim().parse::<i64>().map_err(|_| format!("`{text}` is not a whole number"))?;
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("{value} is not within {low} and {high}")) }
}

/// The entries of a JSON list or of a text with commas.
fn entries(text: &str) -> Result<Vec<String>, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(text.split(',').map(|part| part.trim().to_owned()).collect());
    }
    let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|e| format!("not a list: {e}"))?;
    Ok(list
        .into_iter()
        .map(|value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        })
        .collect())
}

fn spreads(text: &str) -> Result<Vec<Rate>, String> {
    if is_null(text) {
        return Ok(Vec::new());
    }
    entries(text)?.iter().map(|entry| fraction(entry, "0.0001", "0.1")).collect()
}

fn weights(text: &str) -> Result<Option<Vec<Amount>>, String> {
    if is_null(text) {
        return Ok(None);
    }
    let weights = entries(text)?.iter().map(|entry| amount(entry)).collect::<Result<Vec<_>, _>>()?;
    if let Some(negative) = weights.iter().find(|weight| weight.0 < 0) {
        return Err(format!("{} is negative", decimal_text(negative.0, MONEY_PLACES)));
    }
    if !weights.is_empty() && weights.iter().all(|weight| weight.is_zero()) {
        return Err("all weights are 0".into());
    }
    Ok(Some(weights))
}

fn rates_text(rates: &[Rate]) -> String {
    rates.iter().map(Rate::to_string).collect::<Vec<_>>().join(",")
}

fn weights_text(weights: Option<&[Amount]>) -> String {
    let text = |weight: &Amount| decimal_text(weight.0, MONEY_PLACES);
    match weights {
        None => String::new(),
        Some([]) => "[]".into(),
        Some(weights) => weights.iter().map(text).collect::<Vec<_>>().join(","),
    }
}

fn initial_positions(text: &str) -> Result<Vec<InitialPosition>, String> {
    let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|e| format!("not a list: {e}"))?;
    list.iter()
        .map(|entry| {
            let field = |name: &str, other: &str| match entry.get(name).or_else(|| entry.get(other)) {
                Some(serde_json::Value::String(text)) => Ok(text.clone()),
                Some(value @ serde_json::Value::Number(_)) => Ok(value.to_string()),
                _ => Err(format!("an entry has no {name}")),
            };
            Ok(InitialPosition {
                connector: field("connector", "connector_name")?,
                pair: field("pair", "trading_pair")?,
                amount: amount(&field("amount", "amount")?)?,
                long: match field("side", "side")?.to_ascii_uppercase().as_str() {
                    "BUY" | "LONG" => true,
                    "SELL" | "SHORT" => false,
                    other => return Err(format!("side {other} is neither BUY nor SELL")),
                },
            })
        })
        .collect()
}

fn initial_positions_text(positions: &[InitialPosition]) -> String {
    let entry = |position: &InitialPosition| {
        serde_json::json!({
            "connector": position.connector,
            "pair": position.pair,
            "amount": decimal_text(position.amount.0, MONEY_PLACES),
            "side": if position.long { "BUY" } else { "SELL" },
        })
    };
    serde_json::Value::Array(positions.iter().map(entry).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut PmmSettings, name: &str, text: &str) -> Result<(), String> {
        let key = KEYS.iter().find(|key| key.name == name).expect("a key of the table");
        (key.set)(settings, text)
    }

    #[test]
    fn lists_come_as_json_or_with_commas() {
        let mut settings = PmmSettings::default();
        let rates = |texts: &[&str]| texts.iter().map(|t| Rate::parse(t.as_bytes()).unwrap()).collect::<Vec<_>>();
        assert_eq!(settings.buy_spreads, rates(&["0.01", "0.02"]));
        for text in ["0.0005, 0.001", "[0.0005,0.001]", r#"["5e-4","1e-3"]"#] {
            set(&mut settings, "buy_spreads", text).unwrap();
            assert_eq!(settings.buy_spreads, rates(&["0.0005", "0.001"]), "{text}");
        }
        set(&mut settings, "buy_spreads", "null").unwrap();
        assert!(settings.buy_spreads.is_empty());
        for (name, text) in [("buy_spreads", "0.2"), ("buy_spreads", "x"), ("sell_amounts_pct", "[1,-1]")] {
            assert!(set(&mut settings, name, text).is_err(), "{name} {text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again_and_only_hot_keys_are_reloaded() {
        let mut settings = PmmSettings::default();
        for (name, text) in [
            ("connector_name", "binance_perpetual"),
            ("trading_pair", "ETH-USDT"),
            ("total_amount_quote", "5000.5"),
            ("portfolio_allocation", "0.1"),
            ("target_base_pct", "0.5"),
            ("max_base_pct", "0.9"),
            ("buy_spreads", "0.0005,0.003"),
            ("buy_amounts_pct", "[1.5, \"33.3\"]"),
            ("take_profit", ""),
            ("take_profit_order_type", "null"),
            ("executor_refresh_time", "60"),
            ("position_mode", "oneway"),
            ("initial_positions", r#"[{"connector":"a","pair":"B-C","amount":"1.5","side":"buy"}]"#),
        ] {
            set(&mut settings, name, text).unwrap();
        }
        assert_eq!(settings.check(), Vec::<String>::new());
        let mut again = PmmSettings::default();
        for key in KEYS {
            (key.set)(&mut again, &(key.show)(&settings)).unwrap();
        }
        assert_eq!(again, settings);
        let mut running = PmmSettings::default();
        running.take_over(&mut settings.clone());
        for key in KEYS {
            let expected = if key.hot { (key.show)(&settings) } else { (key.show)(&PmmSettings::default()) };
            assert_eq!((key.show)(&running), expected, "{}", key.name);
        }
    }

    #[test]
    fn keys_that_contradict_each_other_are_all_named() {
        let mut settings = PmmSettings::default();
        set(&mut settings, "min_base_pct", "0.6").unwrap();
        set(&mut settings, "target_base_pct", "0.5").unwrap();
        set(&mut settings, "sell_amounts_pct", "1").unwrap();
        let first = |message: &String| message.split(' ').next().unwrap().to_owned();
        let named: Vec<String> = settings.check().iter().map(first).collect();
        assert_eq!(named, ["min_base_pct", "max_base_pct", "sell_amounts_pct"]);
        assert!(settings.check_except(&["target_base_pct", "sell_spreads"]).is_empty());
    }
}
