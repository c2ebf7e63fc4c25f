//! A strategy file that was changed while its run goes on: checked whole, and compared with the settings in use. Applies nothing.

use crate::config::document::{self, Format};
use crate::config::load::{self, Strategy, Target};
use crate::config::problem::Problem;
use crate::config::schema::{Key, Settings};

/// What a changed file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// The file's settings, whole.
    pub settings: Strategy,
    /// The keys whose values are others now; all may change while the engine runs.
    pub changed: Vec<&'static str>,
    /// Allowed, but worth a line.
    pub warnings: Vec<Problem>,
}

/// Reads the new text of the file that `running` came from.
///
/// # Errors
/// Every fault of the text, as at a start; or every key that was changed and cannot change while the engine runs. Nothing of such
/// a file may be used.
pub fn reload(file: &str, text: &str, running: &Strategy) -> Result<Reload, Vec<Problem>> {
    let loaded = load::strategy_text(file, text, Target::Demo)?;
    let differences = match (running, &loaded.settings) {
        (Strategy::Perpetual(old), Strategy::Perpetual(new)) => differences(old, new),
        (Strategy::FundingAware(old), Strategy::FundingAware(new)) => differences(old, new),
        (Strategy::Pmm(old), Strategy::Pmm(new)) => differences(old, new),
        _ => {
            let valid = "the strategy of the run; another one needs another run";
            return Err(vec![Problem::of_file(file, "the file is for another strategy now", valid)]);
        }
    };
    let cold: Vec<&Difference> = differences.iter().filter(|difference| !difference.hot).collect();
    if !cold.is_empty() {
        return Err(cold.iter().map(|difference| problem(file, text, difference)).collect());
    }
    let changed = differences.iter().map(|difference| difference.key).collect();
    Ok(Reload { settings: loaded.settings, changed, warnings: loaded.warnings })
}

/// A key whose value is another one.
struct Difference {
    key: &'static str,
    hot: bool,
    was: String,
    is: String,
}

fn differences<T: Settings>(old: &T, new: &T) -> Vec<Difference> {
    let compare = |key: &Key<T>| {
        let (was, is) = ((key.show)(old), (key.show)(new));
        (was != is).then_some(Difference { key: key.name, hot: key.hot, was, is })
    };
    T::keys().iter().filter_map(compare).collect()
}

/// A change that needs a new run, at its line.
fn problem(file: &str, text: &str, difference: &Difference) -> Problem {
    let Difference { key, was, is, .. } = difference;
    // An address may hold a token.
    let shown = |value: &str| match value {
        "" => "nothing".to_owned(),
        address if address.contains("://") => "an address".to_owned(),
        other => other.to_owned(),
    };
    let message = format!("changed from {} to {}, but it cannot change while the engine runs", shown(was), shown(is));
    let valid = if was.is_empty() || was.contains("://") {
        "the value of the start; another one needs another run".to_owned()
    } else {
        format!("{was}; another one needs another run")
    };
    let format = if file.to_ascii_lowercase().ends_with(".json") { Format::Json } else { Format::Yaml };
    let entries = document::parse(file, text, format).unwrap_or_default();
    // A map that is one value stands at the top; a section's keys stand below it.
    let all = entries.clone().into_iter().chain(document::flatten(entries));
    match all.into_iter().find(|entry| entry.key == *key) {
        Some(entry) => Problem::at(file, text, entry.key_span, key, message, valid),
        None => Problem { key: (*key).to_owned(), ..Problem::of_file(file, message, valid) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reference;

    fn running(name: &str) -> (String, Strategy) {
        let text = reference::template(name).unwrap();
        let settings = load::strategy_text("s.yml", &text, Target::Demo).unwrap().settings;
        (text, settings)
    }

    fn said(text: &str, running: &Strategy) -> Vec<String> {
        reload("s.yml", text, running).unwrap_err().iter().map(ToString::to_string).collect()
    }

    /// The text with one key's value changed, or with the key added.
    fn with(text: &str, key: &str, value: &str) -> String {
        match text.lines().find(|line| line.starts_with(&format!("{key}:"))) {
            Some(line) => text.replacen(line, &format!("{key}: {value}"), 1),
            None => format!("{text}\n{key}: {value}\n"),
        }
    }

    #[test]
    fn hot_keys_of_every_strategy_are_taken_and_named() {
        for (name, key, value, changed) in [
            ("perpetual_market_making", "bid_spread", "0.77", "bid_spread"),
            ("pmm", "executor_refresh_time", "77", "executor_refresh_time"),
        ] {
            let (text, running) = running(name);
            let reloaded = reload("s.yml", &with(&text, key, value), &running).unwrap();
            assert_eq!(reloaded.changed, [changed], "{name}");
            assert_ne!(reloaded.settings, running);
        }
        let text = r#"{"market": "BTC", "trading": {"base_order_size": 50, "base_spread_bps": 15},
            "position": {"max_position_usd": 500}}"#;
        let running = load::strategy_text("s.json", text, Target::Demo).unwrap().settings;
        let reloaded = reload("s.json", &text.replace("15", "25"), &running).unwrap();
        assert_eq!(reloaded.changed[0], "trading.base_spread_bps");
    }

    #[test]
    fn a_changed_comment_changes_nothing() {
        let (text, running) = running("perpetual_market_making");
        let reloaded = reload("s.yml", &format!("# another word\n{text}"), &running).unwrap();
        assert_eq!((reloaded.changed, reloaded.settings), (vec![], running));
    }

    #[test]
    fn a_cold_key_refuses_the_whole_file_at_its_line() {
        let (text, running) = running("perpetual_market_making");
        let changed = with(&with(&text, "leverage", "19"), "bid_spread", "0.77");
        let line = changed.lines().position(|line| line.starts_with("leverage:")).unwrap() + 1;
        let problems = said(&changed, &running);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("s.yml:{line}: leverage: changed from ")), "{problems:?}");
        assert!(problems[0].contains("cannot change while the engine runs"), "{problems:?}");
    }

    #[test]
    fn a_bad_value_refuses_the_whole_file_as_at_a_start() {
        let (text, running) = running("perpetual_market_making");
        let problems = said(&with(&text, "bid_spread", "-1"), &running);
        assert!(problems[0].contains("bid_spread: ") && problems[0].contains("-1"), "{problems:?}");
        let other = said(&reference::template("pmm").unwrap(), &running);
        assert!(other[0].contains("another strategy"), "{other:?}");
    }

    #[test]
    fn an_address_is_not_repeated() {
        let (text, _) = running("perpetual_market_making");
        let polled =
            |url: &str| format!("{}\nprice_source: custom_api\nprice_source_custom_api: {url}\n", uncommented(&text));
        let running = load::strategy_text("s.yml", &polled("https://a.example/?key=AAA"), Target::Demo);
        let running = running.unwrap_or_else(|problems| panic!("{problems:?}")).settings;
        let problems = said(&polled("https://b.example/?key=BBB"), &running);
        assert!(!problems.iter().any(|text| text.contains("AAA") || text.contains("BBB")), "{problems:?}");
    }

    /// Without the lines that set a price source.
    fn uncommented(text: &str) -> String {
        text.lines().filter(|line| !line.starts_with("price_source") && !line.starts_with("price_type")).fold(
            String::new(),
            |mut all, line| {
                all.push_str(line);
                all.push('\n');
                all
            },
        )
    }
}
