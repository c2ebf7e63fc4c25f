//! The settings reference, made from the key tables: commented files for `spinquote init` and the tables in README.md.

use crate::config::engine::{DEMO, EngineSettings};
use crate::config::perpetual::{self, PerpetualSettings};
use crate::config::schema::{Key, Settings};
use std::fmt::Write;

/// What `spinquote init` can print.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("perpetual_market_making", "a strategy file in YAML"),
    ("engine", "engine.toml: venue, credentials, threads, risk limits, journal"),
    ("demo", "engine.toml as the demo has it, with small limits to start from"),
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

/// A commented file by name, or `None` for an unknown name.
#[must_use]
pub fn template(name: &str) -> Option<String> {
    match name {
        "perpetual_market_making" => Some(strategy_yaml(name, perpetual::KEYS, EXAMPLE_STRATEGY)),
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

fn strategy_yaml<T: Settings>(name: &str, keys: &[Key<T>], example: &[(&str, &str)]) -> String {
    let mut text = format!("# {name}: every key. Lines with # before the key show the default.\nstrategy: {name}\n");
    for key in keys {
        let _ = write!(text, "\n{}", comment(key));
        let _ = match (example.iter().find(|(known, _)| *known == key.name), key.default) {
            (Some((_, value)), _) => writeln!(text, "{}: {value}", key.name),
            (None, default) => writeln!(text, "# {}: {}", key.name, default.unwrap_or_default()),
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
        let Strategy::Perpetual(settings) = strategy_text("s.yml", &text, Target::Venue).unwrap().settings;
        assert_eq!(settings.market, "BTC-USDT");
        for key in perpetual::KEYS {
            assert!(text.contains(&format!("{}:", key.name)) && text.contains(key.help), "{}", key.name);
        }
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
