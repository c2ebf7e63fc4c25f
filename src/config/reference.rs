//! The settings reference, made from the key tables: commented files for `spinquote init` and the tables in README.md.

use crate::config::engine::{DEMO, EngineSettings};
use crate::config::funding_aware::{self, FundingAwareSettings};
use crate::config::perpetual::{self, PerpetualSettings};
use crate::config::pmm::{self, PmmSettings};
use crate::config::schema::{Key, Settings};
use std::fmt::Write;

/// What `spinquote init` can print.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("perpetual_market_making", "a strategy file in YAML"),
    (funding_aware::NAME, "a strategy file in YAML; its users' JSON is read as well"),
    (pmm::NAME, "a controller file in YAML"),
    ("engine", "engine.toml: venue, credentials, threads, risk limits, journal"),
    ("demo", "engine.toml as the demo has it: limits so wide that any market can be played, not for a venue"),
    ("credentials", "the file that credentials.file names"),
    ("reference", "every key of every file, as the Markdown tables of README.md"),
];

/// Values for the required keys of a first file; the user is told to look at them.
const EXAMPLE_STRATEGY: &[(&str, &str)] = &[
    ("derivative", "binance_perpetual"),
    ("market", "BTC-USDT"),
    ("leverage", "3"),
    ("bid_spread", "0.1"),
    ("ask_spread", "0.1"),
    ("order_refresh_time", "30"),
    ("order_amount", "0.002"),
];

/// The same for the funding-aware maker.
const EXAMPLE_FUNDING_AWARE: &[(&str, &str)] = &[
    ("market", "ICP"),
    ("trading.base_order_size", "50"),
    ("trading.base_spread_bps", "15"),
    ("position.max_position_usd", "500"),
];

/// The same for the controller.
const EXAMPLE_PMM: &[(&str, &str)] = &[
    ("connector_name", "binance_perpetual"),
    ("trading_pair", "BTC-USDT"),
    // A level of the default capital is below the smallest order of this market.
    ("total_amount_quote", "20000"),
    ("buy_spreads", "[0.001, 0.002]"),
    ("sell_spreads", "[0.001, 0.002]"),
    ("leverage", "3"),
];

/// A commented file by name, or `None` for an unknown name.
#[must_use]
pub fn template(name: &str) -> Option<String> {
    match name {
        "perpetual_market_making" => Some(strategy_yaml("strategy", name, perpetual::KEYS, EXAMPLE_STRATEGY)),
        funding_aware::NAME => Some(strategy_yaml("strategy", name, funding_aware::KEYS, EXAMPLE_FUNDING_AWARE)),
        pmm::NAME => Some(strategy_yaml(pmm::CONTROLLER, name, pmm::KEYS, EXAMPLE_PMM)),
        "engine" => Some(engine_toml(&[])),
        "demo" => Some(engine_toml(DEMO)),
        "credentials" => Some(
            "# Only its owner may read this file: chmod 600\nkey = \"\"\n# The secret, or for kind = \"ed25519\" the private key in PEM \
             between three quotation marks.\nsecret = \"\"\n"
                .to_owned(),
        ),
        "reference" => Some(markdown()),
        _ => None,
    }
}

fn comment<T>(key: &Key<T>) -> String {
    let mut text = format!("# {}\n# valid: {}", key.help, key.valid);
    match key.default {
        None => text.push_str("; required"),
        Some("") => {}
        Some(default) => {
            let _ = write!(text, "; default: {default}");
        }
    }
    if key.hot {
        text.push_str("; may change while running");
    }
    text.push('\n');
    text
}

/// `named_by` is the key that says whose file it is. Dotted keys become sections. A section of which every line is a comment is absent when the file is read.
fn strategy_yaml<T: Settings>(named_by: &str, name: &str, keys: &[Key<T>], example: &[(&str, &str)]) -> String {
    let mut text = format!("# {name}: every key. Lines with # before the key show the default.\n{named_by}: {name}\n");
    let mut section = "";
    for key in keys {
        let (part, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if part != section {
            section = part;
            let _ = write!(text, "\n{section}:");
        }
        let indent = if part.is_empty() { "" } else { "  " };
        text.push('\n');
        for line in comment(key).lines() {
            let _ = writeln!(text, "{indent}{line}");
        }
        let _ = match (example.iter().find(|(known, _)| *known == key.name), key.default) {
            (Some((_, value)), _) => writeln!(text, "{indent}{name}: {value}"),
            (None, default) => writeln!(text, "{indent}# {name}: {}", default.unwrap_or_default()),
        };
    }
    text.lines().map(str::trim_end).fold(String::new(), |all, line| all + line + "\n")
}

fn engine_toml(values: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "# Lines with # before the key show the default. A required key without a value stops the start.\n",
    );
    let mut section = "";
    for key in EngineSettings::keys() {
        let (part, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if part != section {
            section = part;
            let _ = write!(text, "\n[{section}]");
        }
        let value = values.iter().find(|(known, _)| *known == key.name).map(|&(_, value)| value);
        let _ = write!(text, "\n{}", comment(key));
        let _ = match (value, key.default) {
            (Some(value), _) => writeln!(text, "{name} = {}", toml_value(value)),
            (None, Some(default)) => writeln!(text, "# {name} = {}", toml_value(default)),
            (None, None) => writeln!(text, "# {name} ="),
        };
    }
    text
}

/// Numbers and flags stand bare, everything else in quotation marks.
fn toml_value(text: &str) -> String {
    let bare = matches!(text, "true" | "false")
        || (text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !text.is_empty());
    if bare { text.to_owned() } else { format!("\"{text}\"") }
}

/// The Markdown reference of every settings file, as README.md has it between its markers.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("#### `perpetual_market_making` (YAML or JSON)\n\n");
    table::<PerpetualSettings>(&mut text);
    text.push_str("\n#### `funding_aware` (JSON or YAML; the part before the dot is the section)\n\n");
    table::<FundingAwareSettings>(&mut text);
    text.push_str("\n#### `controller_name: pmm` (YAML or JSON)\n\n");
    table::<PmmSettings>(&mut text);
    text.push_str("\n#### `engine.toml`\n\n");
    table::<EngineSettings>(&mut text);
    text
}

fn table<T: Settings>(text: &mut String) {
    text.push_str("| key | default | valid | what |\n|---|---|---|---|\n");
    for key in T::keys() {
        let default = match key.default {
            None => "required".to_owned(),
            Some("") => "none".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let hot = if key.hot { " May change while running." } else { "" };
        let _ = writeln!(text, "| `{}` | {default} | {} | {}{hot} |", key.name, cell(key.valid), cell(key.help));
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Strategy, Target, engine_text, strategy_text};

    #[test]
    fn the_strategy_template_can_be_used_as_it_is() {
        let text = template("perpetual_market_making").unwrap();
        let Strategy::Perpetual(settings) = strategy_text("s.yml", &text, Target::Venue).unwrap().settings else {
            panic!("another strategy");
        };
        assert_eq!(settings.market, "BTC-USDT");
        for key in perpetual::KEYS {
            assert!(text.contains(&format!("{}:", key.name)) && text.contains(key.help), "{}", key.name);
        }
    }

    #[test]
    fn the_funding_aware_template_is_its_example_with_every_key_in_its_section() {
        let text = template(funding_aware::NAME).unwrap();
        let shown = strategy_text("s.yml", &text, Target::Venue).unwrap();
        let json = r#"{"market": "ICP", "trading": {"base_order_size": 50, "base_spread_bps": 15},
            "position": {"max_position_usd": 500}}"#;
        assert_eq!(shown, strategy_text("s.json", json, Target::Venue).unwrap());
        // With the comments before keys removed the defaults stand there and change nothing.
        let all: String = text
            .lines()
            .map(|line| match line.split_once("# ") {
                Some((indent, rest)) if rest.split_once(':').is_some_and(|(word, _)| is_key(word)) => {
                    format!("{indent}{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(shown, strategy_text("s.yml", &all, Target::Venue).unwrap());
        for key in funding_aware::KEYS {
            assert!(text.contains(key.help), "{}", key.name);
        }
    }

    #[test]
    fn the_controller_template_is_its_example_with_every_key() {
        let text = template(pmm::NAME).unwrap();
        let shown = strategy_text("s.yml", &text, Target::Venue).unwrap();
        let brief = EXAMPLE_PMM.iter().map(|(key, value)| format!("{key}: {value}\n")).collect::<String>();
        assert_eq!(shown, strategy_text("s.yml", &format!("controller_name: pmm\n{brief}"), Target::Venue).unwrap());
        for key in pmm::KEYS {
            assert!(text.contains(&format!("{}:", key.name)) && text.contains(key.help), "{}", key.name);
        }
    }

    fn is_key(word: &str) -> bool {
        funding_aware::KEYS.iter().any(|key| key.name.rsplit('.').next() == Some(word))
    }

    #[test]
    fn the_engine_templates_leave_the_limits_to_the_user_and_the_demo_has_them() {
        let problems = engine_text("engine.toml", &template("engine").unwrap()).unwrap_err();
        assert!(problems.iter().all(|problem| problem.message.contains("missing")), "{problems:?}");
        assert_eq!(problems.len(), EngineSettings::keys().iter().filter(|key| key.default.is_none()).count());
        assert_eq!(engine_text("engine.toml", &template("demo").unwrap()).unwrap().settings, EngineSettings::demo());
    }

    #[test]
    fn lines_with_a_default_say_what_holds_without_them() {
        let text = template("demo").unwrap();
        let all: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest.split(" = ").next().is_some_and(|word| !word.contains(' ')) && rest.contains(" = ") =>
                {
                    rest
                }
                _ => line,
            })
            .fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(engine_text("engine.toml", &all).unwrap().settings, EngineSettings::demo());
    }

    #[test]
    fn every_template_is_listed_and_nothing_else() {
        for (name, _) in TEMPLATES {
            assert!(template(name).is_some(), "{name}");
        }
        assert_eq!(template("nonsense"), None);
    }

    #[test]
    fn the_reference_in_the_readme_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let Ok(readme) = std::fs::read_to_string(path) else {
            eprintln!("README.md is not there yet: its settings table is not compared");
            return;
        };
        let (_, rest) = readme.split_once("<!-- settings:begin -->\n").expect("README.md has the begin marker");
        let (table, _) = rest.split_once("<!-- settings:end -->").expect("README.md has the end marker");
        assert_eq!(
            table.trim(),
            markdown().trim(),
            "run `spinquote init reference` and put its output between the markers"
        );
    }
}
