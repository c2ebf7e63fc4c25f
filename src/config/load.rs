//! From a file to checked settings: every fault of the file at once, each with its line and what would be valid. Starts nothing.

use crate::config::credentials;
use crate::config::document::{self, Entry, Format, Value};
use crate::config::engine::EngineSettings;
use crate::config::funding_aware::{self, FundingAwareSettings};
use crate::config::perpetual::{self, PerpetualSettings};
use crate::config::pmm::{self, PmmSettings};
use crate::config::problem::{Problem, line_of, nearest};
use crate::config::schema::{Key, Settings};
use std::io::Read;
use std::path::Path;

/// The largest settings file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// The strategies that can be run, by the name that `strategy` has in their files; controllers are named by `controller_name`.
pub const STRATEGIES: &[&str] = &[PERPETUAL, funding_aware::NAME];
const PERPETUAL: &str = "perpetual_market_making";
/// The connectors that can be traded on.
pub const CONNECTORS: &[&str] = &["binance_perpetual", "binance_perpetual_testnet"];
/// The connectors whose market data can be a second price source.
pub const SOURCE_CONNECTORS: &[&str] = &["binance", "binance_perpetual", "binance_perpetual_testnet"];
/// Keys of a strategy file that belong to the file and not to the strategy.
const FILE_KEYS: &[&str] = &["strategy", "template_version"];

/// Where the strategy is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// At the venue that the file names.
    Venue,
    /// At the embedded exchange, whatever venue the file names.
    Demo,
}

/// Settings that can be used, with what the user should know about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    /// Allowed, but worth a line at start.
    pub warnings: Vec<Problem>,
}

impl<T> Loaded<T> {
    fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Loaded<U> {
        Loaded { settings: wrap(self.settings), warnings: self.warnings }
    }
}

/// A strategy with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// `perpetual_market_making`.
    Perpetual(PerpetualSettings),
    /// The funding-aware maker.
    FundingAware(FundingAwareSettings),
    /// The pure market making controller, `controller_name: pmm`.
    Pmm(PmmSettings),
}

impl Strategy {
    /// The venue's symbol of the market that it trades; a coin alone is traded against USDT.
    #[must_use]
    pub fn symbol(&self) -> String {
        match self {
            Self::Perpetual(settings) => settings.market.replace('-', ""),
            Self::FundingAware(settings) => settings.pair().replace('-', ""),
            Self::Pmm(settings) => settings.trading_pair.replace('-', ""),
        }
    }

    /// Connector and symbol of the other market that the reference price comes from, if it does.
    #[must_use]
    pub fn source_market(&self) -> Option<(&str, String)> {
        let Self::Perpetual(settings) = self else { return None };
        let external = settings.price_source == perpetual::PriceSource::ExternalMarket;
        let market = settings.price_source_market.as_ref().filter(|_| external)?;
        Some((settings.price_source_derivative.as_deref()?, market.replace('-', "").to_ascii_uppercase()))
    }

    /// Leverage to set at the venue.
    #[must_use]
    pub const fn leverage(&self) -> u32 {
        match self {
            Self::Perpetual(settings) => settings.leverage,
            Self::FundingAware(settings) => settings.leverage,
            Self::Pmm(settings) => settings.leverage,
        }
    }

    /// Hedge mode to set at the venue.
    #[must_use]
    pub const fn hedge(&self) -> bool {
        match self {
            Self::Perpetual(settings) => settings.hedge,
            Self::FundingAware(_) => false,
            Self::Pmm(settings) => settings.hedge,
        }
    }
}

/// A settings file of any kind, as `spinquote check` meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one value per file that is checked")]
pub enum AnyFile {
    /// A strategy.
    Strategy(Strategy),
    /// `engine.toml`.
    Engine(EngineSettings),
    /// The file that `credentials.file` names; what it holds is looked at and dropped.
    Credentials,
}

impl Settings for PerpetualSettings {
    fn blank() -> Self {
        Self::default()
    }
    fn keys() -> &'static [Key<Self>] {
        perpetual::KEYS
    }
    fn check(&self) -> Vec<String> {
        Self::check(self)
    }
    fn settle(&mut self) {
        Self::settle(self);
    }
    fn warnings(&self) -> Vec<String> {
        Self::warnings(self).into_iter().map(str::to_owned).collect()
    }
}

/// Reads a settings file's text.
///
/// # Errors
/// It cannot be read, is larger than 1 MiB, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Problem> {
    let file = path.display().to_string();
    let io = |error: std::io::Error| Problem::of_file(&file, format!("cannot be read: {error}"), "a file that exists");
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|opened| opened.take(BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(io)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Problem::of_file(&file, "larger than 1 MiB", "a settings file"));
    }
    match String::from_utf8(bytes) {
        // Some editors begin a file with a byte order mark.
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(_) => Err(Problem::of_file(&file, "not UTF-8 text", "a settings file in UTF-8")),
    }
}

/// Reads a strategy file: YAML, or JSON by its name.
///
/// # Errors
/// Every fault of the file.
pub fn strategy(path: &Path, target: Target) -> Result<Loaded<Strategy>, Vec<Problem>> {
    let text = read_text(path).map_err(|problem| vec![problem])?;
    strategy_text(&path.display().to_string(), &text, target)
}

/// Reads `engine.toml`.
///
/// # Errors
/// Every fault of the file.
pub fn engine(path: &Path) -> Result<Loaded<EngineSettings>, Vec<Problem>> {
    let text = read_text(path).map_err(|problem| vec![problem])?;
    engine_text(&path.display().to_string(), &text)
}

/// Reads a file of any kind, told apart by its name: `.toml` is an engine file, or a credentials file if it holds nothing but their
/// keys; anything else is a strategy.
///
/// # Errors
/// Every fault of the file.
pub fn any(path: &Path) -> Result<Loaded<AnyFile>, Vec<Problem>> {
    if extension(&path.to_string_lossy()) == "toml" {
        let text = read_text(path).map_err(|problem| vec![problem])?;
        let file = path.display().to_string();
        if holds_credentials(&file, &text) {
            return match credentials::check_file(path) {
                Ok(()) => Ok(Loaded { settings: AnyFile::Credentials, warnings: Vec::new() }),
                Err(error) => Err(vec![Problem::of_file(&file, error.to_string(), "")]),
            };
        }
        engine_text(&file, &text).map(|loaded| loaded.map(AnyFile::Engine))
    } else {
        strategy(path, Target::Venue).map(|loaded| loaded.map(AnyFile::Strategy))
    }
}

/// True for a TOML file with no other keys than those of a credentials file.
fn holds_credentials(file: &str, text: &str) -> bool {
    let entries = document::parse(file, text, Format::Toml).map(document::flatten).unwrap_or_default();
    !entries.is_empty() && entries.iter().all(|entry| matches!(entry.key.as_str(), "key" | "secret"))
}

fn extension(file: &str) -> String {
    Path::new(file).extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// [`engine`] from text; `file` is only a name for messages.
///
/// # Errors
/// Every fault of the text.
pub fn engine_text(file: &str, text: &str) -> Result<Loaded<EngineSettings>, Vec<Problem>> {
    let entries = document::flatten(document::parse(file, text, Format::Toml)?);
    Source { file, text }.settings(&entries, &[], Vec::new())
}

/// [`strategy`] from text; `file` is a name for messages, and `.json` at its end makes it JSON.
///
/// # Errors
/// Every fault of the text.
pub fn strategy_text(file: &str, text: &str, target: Target) -> Result<Loaded<Strategy>, Vec<Problem>> {
    let format = match extension(file).as_str() {
        "json" => Format::Json,
        "toml" => return Err(vec![Problem::of_file(file, "an engine file, not a strategy", "a .yml or .json file")]),
        _ => Format::Yaml,
    };
    let entries = document::parse(file, text, format)?;
    let source = Source { file, text };
    let name = source.known_strategy(&entries).map_err(|problem| vec![problem])?;
    let connector = match (name, target) {
        (pmm::NAME, _) => source.known_controller_connector(&entries, target),
        (_, Target::Venue) => source.known_connector(&entries),
        (_, Target::Demo) => None,
    };
    let mut problems: Vec<Problem> = connector.into_iter().collect();
    if target == Target::Venue {
        problems.extend(source.known_price_source(&entries));
    }
    match name {
        funding_aware::NAME => {
            let mut entries = document::flatten(entries);
            // A section without keys counts as absent.
            entries.retain(|entry| {
                !(entry.node.value == Value::Null && funding_aware::SECTIONS.contains(&entry.key.as_str()))
            });
            source.settings(&entries, FILE_KEYS, problems).map(|loaded| loaded.map(Strategy::FundingAware))
        }
        pmm::NAME => {
            let mut entries = entries;
            // A controller's null is a value (no take profit, no weights), not the key's default.
            for entry in entries.iter_mut().filter(|entry| entry.node.value == Value::Null) {
                entry.node.value = Value::Text("null".to_owned());
            }
            source.settings(&entries, &[pmm::CONTROLLER], problems).map(|loaded| loaded.map(Strategy::Pmm))
        }
        _ => source.settings(&entries, FILE_KEYS, problems).map(|loaded| loaded.map(Strategy::Perpetual)),
    }
}

fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// A file's name and text, for messages.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, entry: &Entry, message: String, valid: impl Into<String>) -> Problem {
        let span = if entry.node.span.is_empty() { entry.key_span.clone() } else { entry.node.span.clone() };
        let mut problem = Problem::at(self.file, self.text, span, &entry.key, message, valid);
        // The line is the key's: a map's value begins a line later.
        problem.line = Some(line_of(self.text, entry.key_span.start));
        if confidential(&entry.key) {
            problem.span = None;
        }
        problem
    }

    /// The strategy that the file names, or that its sections tell; one that can be run.
    fn known_strategy(&self, entries: &[Entry]) -> Result<&'static str, Problem> {
        let (strategies, controller) = (STRATEGIES.join(" or "), pmm::CONTROLLER);
        let supported =
            format!("`strategy` is {strategies}, or `{controller}` is {}; others come in later versions", pmm::NAME);
        if let Some(entry) = find(entries, "strategy")
            && let Some(name) = entry.node.value.text()
        {
            if let Some(known) = STRATEGIES.iter().find(|known| **known == name) {
                return Ok(known);
            }
            let guess = nearest(&name, STRATEGIES.iter().copied());
            let message = match guess {
                Some(guess) => format!("found {name}, an unknown strategy; did you mean {guess}?"),
                None => format!("found {name}, an unknown strategy"),
            };
            return Err(self.at(entry, message, supported));
        }
        if let Some(entry) = find(entries, pmm::CONTROLLER) {
            let name = entry.node.value.text().unwrap_or_default();
            if name == pmm::NAME {
                return Ok(pmm::NAME);
            }
            return Err(self.at(entry, format!("found {name}, an unknown controller"), supported));
        }
        if entries.iter().any(|entry| funding_aware::SECTIONS.contains(&entry.key.as_str())) {
            return Ok(funding_aware::NAME);
        }
        Err(Problem {
            key: "strategy".to_owned(),
            ..Problem::of_file(
                self.file,
                "the key is missing: the file does not say which strategy it is for",
                supported,
            )
        })
    }

    /// What is wrong with the connector, if the file names one that cannot be traded on yet.
    fn known_connector(&self, entries: &[Entry]) -> Option<Problem> {
        if let Some(entry) = find(entries, "dex")
            && let Some(name) = entry.node.value.text().filter(|name| !name.is_empty())
        {
            let message = format!("found {name}, a builder venue; they come in a later version");
            let valid = format!(
                "empty: the venue of engine.toml; or try the file unchanged with `spinquote demo --strategy {}`",
                self.file
            );
            return Some(self.at(entry, message, valid));
        }
        let entry = find(entries, "derivative")?;
        let name = entry.node.value.text()?;
        if CONNECTORS.contains(&name.as_str()) {
            return None;
        }
        let valid = format!(
            "{}; meanwhile, set `derivative: binance_perpetual`, or try the file unchanged with `spinquote demo --strategy {}`",
            CONNECTORS.join(" or "),
            self.file
        );
        Some(self.at(entry, unsupported(&name), valid))
    }

    /// What is wrong with the connector of the second price source, if the file names one whose market data cannot be had yet.
    fn known_price_source(&self, entries: &[Entry]) -> Option<Problem> {
        let source = find(entries, "price_source")?.node.value.text()?;
        let entry = find(entries, "price_source_derivative").filter(|_| source == "external_market")?;
        let name = entry.node.value.text()?;
        // An empty name, and one that is no name, are told by the key itself.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        if SOURCE_CONNECTORS.contains(&name.as_str()) {
            return None;
        }
        let message = match nearest(&name, SOURCE_CONNECTORS.iter().copied()) {
            Some(guess) => format!("found {name}, an unknown connector; did you mean {guess}?"),
            None => format!("found {name}, whose market data come in a later version"),
        };
        let valid = format!(
            "{}; or try the file unchanged with `spinquote demo --strategy {}`",
            SOURCE_CONNECTORS.join(", "),
            self.file
        );
        Some(self.at(entry, message, valid))
    }

    /// The same for a controller. Its spot rules (what is not held cannot be sold) have no market anywhere yet, so spot is refused
    /// by the demo too; an absent connector is a spot connector.
    fn known_controller_connector(&self, entries: &[Entry], target: Target) -> Option<Problem> {
        const KEY: &str = "connector_name";
        let meanwhile = format!("{}; meanwhile, set `{KEY}: {}`", CONNECTORS.join(" or "), CONNECTORS[0]);
        let as_perpetual = format!(
            "{meanwhile}, which trades the pair's perpetual (sells can open a short; leverage and position_mode hold), \
             and try it with `spinquote demo --strategy {}`",
            self.file
        );
        let Some((entry, name)) = find(entries, KEY).and_then(|entry| Some((entry, entry.node.value.text()?))) else {
            let message = "the key is missing and stands for binance, a spot connector; spot comes in a later version";
            return Some(Problem { key: KEY.to_owned(), ..Problem::of_file(self.file, message, as_perpetual) });
        };
        if CONNECTORS.contains(&name.as_str()) {
            return None;
        }
        if !pmm::is_perpetual(&name) {
            return Some(self.at(entry, unsupported(&name), as_perpetual));
        }
        let valid = format!("{meanwhile}, or try the file unchanged with `spinquote demo --strategy {}`", self.file);
        (target == Target::Venue).then(|| self.at(entry, unsupported(&name), valid))
    }

    /// Fills the settings from the entries and reports everything that is wrong, with `problems` that were found before.
    fn settings<T: Settings>(
        &self,
        entries: &[Entry],
        ignored: &[&str],
        mut problems: Vec<Problem>,
    ) -> Result<Loaded<T>, Vec<Problem>> {
        let keys = T::keys();
        let mut settings = T::blank();
        let mut misspelt = Vec::new();
        for entry in entries.iter().filter(|entry| !ignored.contains(&entry.key.as_str())) {
            if !keys.iter().any(|key| key.name == entry.key) {
                problems.push(self.unknown_key(entry, keys));
                misspelt.extend(nearest(&entry.key, keys.iter().map(|key| key.name)));
            }
        }
        for key in keys {
            let entry = find(entries, key.name);
            let text = entry.and_then(|entry| entry.node.value.text());
            match (entry, text) {
                (Some(entry), Some(text)) if !problems.iter().any(|problem| problem.key == key.name) => {
                    if let Err(error) = (key.set)(&mut settings, &text) {
                        problems.push(self.at(entry, found(key.name, &text, &error), key.valid));
                    }
                }
                (Some(entry), None) if key.default.is_none() => {
                    problems.push(self.at(entry, "the key has no value and has no default".to_owned(), key.valid));
                }
                (None, _) if misspelt.contains(&key.name) => {}
                (None, _) if key.default.is_none() => problems.push(Problem {
                    key: key.name.to_owned(),
                    ..Problem::of_file(self.file, "the key is missing and has no default", key.valid)
                }),
                _ => {}
            }
        }
        settings.settle();
        // A contradiction that a faulty key takes part in may vanish with the fault: only the fault is reported.
        let mut faulty: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
        faulty.extend(misspelt.into_iter().map(str::to_owned));
        for message in settings.check() {
            if !faulty.iter().any(|key| !key.is_empty() && mentions(&message, key)) {
                problems.push(self.between(entries, keys, message));
            }
        }
        problems.sort_by_key(|problem| problem.line.unwrap_or(u32::MAX));
        if problems.is_empty() {
            let warnings = settings.warnings().into_iter().map(|text| self.between(entries, keys, text)).collect();
            Ok(Loaded { settings, warnings })
        } else {
            Err(problems)
        }
    }

    fn unknown_key<T>(&self, entry: &Entry, keys: &[Key<T>]) -> Problem {
        let names = keys.iter().map(|key| key.name);
        let (message, valid) =
            if matches!(entry.key.as_str(), "credentials.key" | "credentials.secret" | "key" | "secret") {
                let message =
                    "a secret does not belong in this file; if the file was shared, change the secret".to_owned();
                (message, "credentials.source = \"env\" or \"file\"".to_owned())
            } else if let Some(guess) = nearest(&entry.key, names.clone()) {
                let valid = keys.iter().find(|key| key.name == guess).map_or("", |key| key.valid);
                (format!("unknown key; did you mean {guess}?"), valid.to_owned())
            } else {
                let section = entry.key.split_once('.').map(|(section, _)| format!("{section}."));
                let near: Vec<_> =
                    names.clone().filter(|name| section.as_ref().is_none_or(|begin| name.starts_with(begin))).collect();
                let known = if near.is_empty() { names.collect() } else { near };
                ("unknown key".to_owned(), known.join(", "))
            };
        let span = (!confidential(&entry.key)).then(|| entry.key_span.clone());
        Problem { span, ..self.at(entry, message, valid) }
    }

    /// A sentence about several keys, at the place of the first one it names.
    fn between<T>(&self, entries: &[Entry], keys: &[Key<T>], message: String) -> Problem {
        let first = message.split([' ', ':']).next().unwrap_or_default().to_owned();
        let valid = keys.iter().find(|key| key.name == first).map(|key| key.valid).unwrap_or_default();
        match find(entries, &first) {
            Some(entry) => self.at(entry, message, valid),
            None => Problem { key: first, ..Problem::of_file(self.file, message, valid) },
        }
    }
}

/// What is wrong with a connector that cannot be traded on.
fn unsupported(name: &str) -> String {
    match name {
        "bybit_perpetual"
        | "bybit_perpetual_testnet"
        | "hyperliquid_perpetual"
        | "hyperliquid_perpetual_testnet"
        | "dydx_v4_perpetual" => format!("found {name}, a venue that comes in a later version"),
        "binance" | "bybit" => format!("found {name}, a spot connector; spot comes in a later version"),
        _ => match nearest(name, CONNECTORS.iter().copied()) {
            Some(guess) => format!("found {name}, an unknown connector; did you mean {guess}?"),
            None => format!("found {name}, an unknown connector"),
        },
    }
}

/// A value under these keys might be a secret that was put in the wrong place: it is not repeated in messages.
fn confidential(key: &str) -> bool {
    key.starts_with("credentials.") || matches!(key, "key" | "secret")
}

fn found(key: &str, text: &str, error: &str) -> String {
    if confidential(key) || error.contains(text) { error.to_owned() } else { format!("found {text}: {error}") }
}

/// `message` has `key` as a whole word.
fn mentions(message: &str, key: &str) -> bool {
    message
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
        .any(|word| word.trim_end_matches('.') == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "strategy: perpetual_market_making\nderivative: binance_perpetual\nmarket: ETH-USDT\nleverage: 3\n\
        bid_spread: 0.1\nask_spread: 0.1\norder_amount: 0.1\norder_refresh_time: 30.0\n";
    const LIMITS: &str =
        "[risk]\nposition_max = 0.5\norder_qty_max = 0.1\norder_notional_max = 5000\nprice_band = 2\nloss_max = 100\n";

    fn faults<T: std::fmt::Debug>(result: Result<Loaded<T>, Vec<Problem>>) -> Vec<String> {
        result.unwrap_err().iter().map(ToString::to_string).collect()
    }

    fn strategy_faults(text: &str) -> Vec<String> {
        faults(strategy_text("s.yml", text, Target::Venue))
    }

    #[test]
    fn a_users_file_is_read_unchanged_with_exact_numbers() {
        let Strategy::Perpetual(settings) = strategy_text("s.yml", GOOD, Target::Venue).unwrap().settings else {
            panic!("another strategy");
        };
        assert_eq!(settings.bid_spread, crate::unit::Rate::from_bps(10));
        assert_eq!(settings.order_refresh_time, crate::unit::Nanos::from_secs(30));
        assert_eq!(settings.market, "ETH-USDT");
        let json = r#"{"strategy": "perpetual_market_making", "derivative": "binance_perpetual", "market": "ETH-USDT",
            "leverage": 3, "bid_spread": 0.1, "ask_spread": 0.1, "order_amount": 0.1, "order_refresh_time": 30.0}"#;
        assert_eq!(
            strategy_text("s.json", json, Target::Venue).unwrap().settings,
            strategy_text("s.yml", &format!("{GOOD}template_version: 6\norder_override: null\n"), Target::Venue)
                .unwrap()
                .settings
        );
    }

    #[test]
    fn every_fault_is_reported_at_once_in_the_order_of_the_file() {
        let text = GOOD.replace("bid_spread: 0.1", "bid_spread: -0.1").replace("leverage: 3", "leverage: 2.5")
            + "bid_spraed: 1\ncolour: red\n";
        let text = text.replace("order_amount: 0.1\n", "");
        let problems = strategy_faults(&text);
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems[0].starts_with("s.yml:4: leverage: ") && problems[0].contains("2.5"), "{problems:#?}");
        assert!(
            problems[1].starts_with("s.yml:5: bid_spread: -0.1") && problems[1].contains("(0, 100)"),
            "{problems:#?}"
        );
        assert_eq!(
            problems[2],
            "s.yml:8: bid_spraed: unknown key; did you mean bid_spread? (valid: percent, (0, 100))"
        );
        assert!(problems[3].starts_with("s.yml:9: colour: unknown key"), "{problems:#?}");
        assert!(problems[4].starts_with("s.yml: order_amount: the key is missing"), "{problems:#?}");
    }

    #[test]
    fn contradictions_stand_at_the_key_they_name_and_only_when_its_parts_are_sound() {
        let problems = strategy_faults(&format!("{GOOD}price_ceiling: 95\nprice_floor: 105\n"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("s.yml:9: price_ceiling: "), "{problems:#?}");
        let problems = strategy_faults(&format!(
            "{GOOD}price_source: external_market\nprice_source_derivative: '?'\nprice_source_market: SOL-USDT\n"
        ));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("s.yml:10: price_source_derivative: "), "{problems:#?}");
    }

    #[test]
    fn what_comes_later_is_said_with_what_works_now() {
        for (text, parts) in [
            ("controller_name: dman_v3\n", ["s.yml:1: controller_name", "later", "`controller_name` is pmm"]),
            ("strategy: pmm\n", ["s.yml:1: strategy", "unknown strategy", "`controller_name` is pmm"]),
            ("strategy: perpetual_market_makin\n", ["s.yml:1: strategy", "did you mean", "perpetual_market_making"]),
            ("strategy: avellaneda\n", ["s.yml:1: strategy", "unknown strategy", "perpetual_market_making"]),
            ("market: BTC-USDT\n", ["s.yml: strategy", "missing", "perpetual_market_making"]),
        ] {
            let problems = strategy_faults(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(parts.iter().all(|part| problems[0].contains(part)), "{problems:?}");
        }
    }

    #[test]
    fn a_price_source_whose_data_cannot_be_had_is_told_at_a_venue_and_taken_by_the_demo() {
        let text = |connector: &str| {
            format!(
                "{GOOD}price_source: external_market\nprice_source_derivative: {connector}\nprice_source_market: ETH-USDC\n"
            )
        };
        for known in SOURCE_CONNECTORS.iter().filter(|name| **name != "binance_perpetual") {
            let loaded = strategy_text("s.yml", &text(known), Target::Venue).unwrap_or_else(|p| panic!("{p:?}"));
            assert_eq!(loaded.settings.source_market(), Some((*known, "ETHUSDC".to_owned())));
        }
        for (name, said) in [("kucoin", "later version"), ("binanse", "did you mean binance?")] {
            let problems = strategy_faults(&text(name));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with("s.yml:10: price_source_derivative: "), "{problems:?}");
            assert!(problems[0].contains(said), "{problems:?}");
            assert!(strategy_text("s.yml", &text(name), Target::Demo).is_ok());
        }
        // A name that is not used is not looked at.
        let unused = text("kucoin").replace("external_market", "current_market");
        assert!(strategy_text("s.yml", &unused, Target::Venue).is_ok());
    }

    const FUNDING_AWARE: &str = "{\"market\": \"ICP\",\n \"trading\": {\"base_order_size\": 50,\n \"base_spread_bps\": 15},\n \
        \"position\": {\"max_position_usd\": 500}}";

    #[test]
    fn a_funding_aware_file_is_known_by_its_sections() {
        let read = |text: &str| strategy_text("f.json", text, Target::Venue).map(|loaded| loaded.settings);
        let Ok(Strategy::FundingAware(settings)) = read(FUNDING_AWARE) else { panic!("another strategy or a fault") };
        assert_eq!(settings.base_order_usd, crate::unit::Money::parse(b"50").unwrap());
        assert_eq!(settings.max_spread, Some(crate::unit::Rate::from_bps(200)), "settled");
        let nulls = FUNDING_AWARE.replace("15}", "15, \"max_spread_bps\": null}, \"timing\": null, \"safety\": {}");
        assert_eq!(read(&nulls), Ok(Strategy::FundingAware(settings)), "null and empty count as absent");
    }

    #[test]
    fn faults_of_a_funding_aware_file_name_their_dotted_key_and_line() {
        for (from, to, expected) in [
            (
                "\"position\": {\"max_position_usd\": 500}",
                "\"position\": {}",
                "position.max_position_usd: the key is missing",
            ),
            (
                "\"position\": {\"max_position_usd\": 500}",
                "\"dex\": \"\"",
                "position.max_position_usd: the key is missing",
            ),
            ("\"market\": \"ICP\",", "", "market: the key is missing"),
            ("50,", "-50,", "f.json:2: trading.base_order_size: -50 must not be below 0"),
            (
                "15}",
                "15, \"min_spread_bps\": 16}",
                "f.json:3: trading.base_spread_bps: trading.base_spread_bps 15 is below",
            ),
            ("base_spread_bps", "base_spraed_bps", "did you mean trading.base_spread_bps?"),
            ("\"market\"", "\"dex\": \"xyz\", \"market\"", "dex: found xyz, a builder venue"),
        ] {
            let problems = faults(strategy_text("f.json", &FUNDING_AWARE.replacen(from, to, 1), Target::Venue));
            assert!(problems.len() == 1 && problems[0].contains(expected), "{expected}: {problems:#?}");
        }
    }

    const PMM: &str = "controller_name: pmm\ncontroller_type: generic\nconnector_name: binance_perpetual\ntrading_pair: ETH-USDT\n\
        buy_spreads: [0.0005, 0.001]\nsell_spreads: 0.0005,0.001\nsell_amounts_pct: [1.5, 1]\nleverage: 10\n";

    fn pmm(text: &str, target: Target) -> PmmSettings {
        match strategy_text("p.yml", text, target).unwrap().settings {
            Strategy::Pmm(settings) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_controller_file_is_read_unchanged_and_null_is_its_own_value() {
        let settings = pmm(PMM, Target::Venue);
        let rates = |bps: [i64; 2]| bps.map(crate::unit::Rate::from_bps).to_vec();
        assert_eq!((&settings.buy_spreads, &settings.sell_spreads), (&rates([5, 10]), &rates([5, 10])));
        assert_eq!(settings.take_profit, Some(crate::unit::Rate::from_bps(200)), "its default");
        let nulls = PMM.replace("[1.5, 1]", "null") + "take_profit:\ntake_profit_order_type: null\nid: ~\n";
        let settings = pmm(&nulls, Target::Venue);
        assert_eq!((settings.take_profit, settings.sell_amounts_pct), (None, None));
        assert_eq!(settings.take_profit_order, pmm::TakeProfitOrder::Market);
        let strategy = strategy_text("p.yml", PMM, Target::Venue).unwrap().settings;
        assert_eq!((strategy.symbol().as_str(), strategy.leverage(), strategy.hedge()), ("ETHUSDT", 10, true));
    }

    #[test]
    fn every_fault_of_a_controller_file_is_reported_at_once() {
        let text = PMM.replace("leverage: 10", "leverage: 200").replace("0.001]", "0.5]").replace("_perpetual", "")
            + "target_base_pct: x\nmin_base_pct: 0.3\nmax_skw: 1\nsell_amounts: 1\ntake_profit_order_type: 4\n\
               total_amount_quote: null\n";
        let problems = faults(strategy_text("p.yml", &text, Target::Venue));
        let places: Vec<&str> = problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
        let lines = ["3", "5", "8", "9", "11", "12", "13", "14"].map(|line| format!("p.yml:{line}"));
        assert_eq!(places, lines, "{problems:#?}");
        let contradictions = PMM.replace("[1.5, 1]", "[1.5]") + "min_base_pct: 0.3\nmax_base_pct: 0.1\n";
        let problems = faults(strategy_text("p.yml", &contradictions, Target::Venue));
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert!(problems[0].starts_with("p.yml:7: sell_amounts_pct: sell_amounts_pct has 1 entries"), "{problems:#?}");
        assert!(problems[1].starts_with("p.yml:9: min_base_pct: "), "{problems:#?}");
        assert!(problems[2].starts_with("p.yml:10: max_base_pct: "), "{problems:#?}");
    }

    #[test]
    fn a_controllers_connector_is_a_perpetual_at_the_venue_and_in_the_demo() {
        let with = |name: &str| PMM.replace("binance_perpetual", name);
        let without = PMM.replace("connector_name: binance_perpetual\n", "");
        for (text, target, parts) in [
            (
                with("binance"),
                Target::Venue,
                ["p.yml:3: connector_name", "binance, a spot connector", "demo --strategy p.yml"],
            ),
            (with("binance"), Target::Demo, ["p.yml:3: connector_name", "spot", "`connector_name: binance_perpetual`"]),
            (with("binance_perpetul"), Target::Demo, ["p.yml:3", "unknown", "did you mean binance_perpetual?"]),
            (
                without,
                Target::Demo,
                ["p.yml: connector_name", "stands for binance", "`connector_name: binance_perpetual`"],
            ),
            (with("bybit_perpetual"), Target::Venue, ["p.yml:3", "later version", "demo --strategy p.yml"]),
        ] {
            let problems = faults(strategy_text("p.yml", &text, target));
            assert_eq!(problems.len(), 1, "{problems:#?}");
            assert!(parts.iter().all(|part| problems[0].contains(part)), "{parts:?} in {problems:#?}");
        }
        assert!(pmm(&with("bybit_perpetual"), Target::Demo).is_perpetual());
        pmm(&with("binance_perpetual_testnet"), Target::Venue);
    }

    #[test]
    fn a_later_venue_is_refused_at_the_venue_and_accepted_by_the_demo() {
        let text = GOOD.replace("binance_perpetual", "bybit_perpetual");
        let problems = strategy_faults(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        for part in
            ["s.yml:2: derivative", "later version", "derivative: binance_perpetual", "spinquote demo --strategy s.yml"]
        {
            assert!(problems[0].contains(part), "{part} in {problems:?}");
        }
        assert!(strategy_text("s.yml", &text, Target::Demo).is_ok());
    }

    #[test]
    fn an_engine_file_needs_its_limits_and_nothing_else() {
        let loaded = engine_text("engine.toml", LIMITS).unwrap();
        assert_eq!(loaded.settings.risk.position_max.0, 500_000_000_000_000_000);
        assert_eq!(loaded.settings.venue.rest_url, "https://fapi.binance.com");
        let problems = faults(engine_text("engine.toml", "[threads]\nwait = \"spin\"\n"));
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.starts_with("engine.toml: risk.")), "{problems:#?}");
    }

    #[test]
    fn engine_faults_name_line_key_and_range() {
        let text = format!(
            "{LIMITS}order_per_10s = 5\norders_per_min = 0\n[threads]\nwait = \"sleep\"\n[journal]\nsegment_bytes = \"8GiB\"\n"
        );
        let problems = faults(engine_text("engine.toml", &text));
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(
            problems[0]
                .starts_with("engine.toml:7: risk.order_per_10s: unknown key; did you mean risk.orders_per_10s?")
        );
        assert!(
            problems[1].starts_with("engine.toml:8: risk.orders_per_min: found 0")
                || problems[1].contains("0 is outside")
        );
        assert!(problems[2].starts_with("engine.toml:10: threads.wait: `sleep` is none of spin, yield, park"));
        assert!(problems[3].starts_with("engine.toml:12: journal.segment_bytes: 8GiB is outside [1MiB, 4GiB]"));
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_refused_and_not_repeated() {
        let text =
            format!("{LIMITS}[credentials]\nsecret = \"hunter2\"\nsecret_env = \"hunter-2\"\nkind = \"hunter3\"\n");
        let result = engine_text("engine.toml", &text);
        let problems = result.unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert!(problems[0].message.contains("does not belong in this file"));
        for problem in &problems {
            assert_eq!(problem.span, None, "no snippet of a line that may hold a secret");
        }
        assert!(!problems[0].to_string().contains("hunter2") && !problems[1].to_string().contains("hunter-2"));
    }

    #[test]
    fn warnings_do_not_stop_the_start() {
        let loaded = engine_text("engine.toml", &format!("{LIMITS}[orders]\ndead_man = \"off\"\n")).unwrap();
        assert_eq!(loaded.warnings.len(), 1);
        assert_eq!(loaded.warnings[0].line, Some(8));
        let loaded = strategy_text("s.yml", GOOD, Target::Venue).unwrap();
        assert!(loaded.warnings[0].to_string().contains("no stop loss"), "{:?}", loaded.warnings);
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yml");
        let problem = &strategy(&path, Target::Venue).unwrap_err()[0];
        assert!(problem.to_string().contains("s.yml: cannot be read"), "{problem}");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read_text(&path).unwrap_err().message.contains("UTF-8"));
        std::fs::write(&path, "\u{feff}a: 1").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a: 1");
        std::fs::write(&path, vec![b' '; 2 << 20]).unwrap();
        assert!(read_text(&path).unwrap_err().message.contains("1 MiB"));
        assert!(read_text(dir.path()).unwrap_err().message.contains("cannot be read"));
    }
}
