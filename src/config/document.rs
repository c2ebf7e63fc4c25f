//! Settings text as written: YAML, JSON or TOML to a list of keys with their exact value text and place. Gives no value a meaning.
//!
//! Values keep the digits that the user wrote: no number passes through a binary fraction here.

use crate::config::problem::{Problem, line_of};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// How deep lists and maps may lie in each other.
const DEPTH_MAX: usize = 8;
/// How many keys and values a settings file may have.
const NODES_MAX: usize = 4096;

/// The three languages of settings files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, one document without anchors.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.1.
    Toml,
}

/// A value with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What stands there.
    pub value: Value,
}

/// What a key can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// One word or number, quotes and escapes removed.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key's name.
    pub key: String,
    /// The key's bytes in the text.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

impl Value {
    /// The text that a settings key reads: a word as it is; a list or map as compact JSON with every number as a string, so
    /// that its digits survive. `None` for null, which counts as if the key were not there.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.clone()),
            Self::List(_) | Self::Map(_) => Some(self.json().to_string()),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Text(text) => serde_json::Value::String(text.clone()),
            Self::List(nodes) => nodes.iter().map(|node| node.value.json()).collect(),
            Self::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.value.json())).collect(),
        }
    }
}

/// Reads a whole file's text into its top-level keys.
///
/// # Errors
/// Every fault of syntax that was found, duplicate keys among them.
pub fn parse(file: &str, text: &str, format: Format) -> Result<Vec<Entry>, Vec<Problem>> {
    match format {
        Format::Yaml => parse_yaml(file, text),
        Format::Json => parse_json(file, text),
        Format::Toml => parse_toml(file, text),
    }
}

/// JSON is checked as JSON and then read as the YAML that it also is, which knows where everything stands.
fn parse_json(file: &str, text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let at = floor_boundary(text, start + error.column().saturating_sub(1));
        return Err(vec![Problem::at(file, text, at..at, "", format!("not valid JSON: {error}"), "a JSON object")]);
    }
    // Outside strings a tab is white space in JSON but not in YAML; inside strings JSON has no raw tab.
    parse_yaml(file, &text.replace('\t', " "))
}

fn parse_yaml(file: &str, text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    let mut reader = YamlReader { file, text, events: Parser::new_from_str(text), nodes: 0, problems: Vec::new() };
    let root = reader.document().map_err(|problem| vec![problem])?;
    let mut problems = reader.problems;
    match root {
        None => Err(vec![Problem::of_file(file, "the file has no settings", "one `key: value` a line")]),
        Some(Node { value: Value::Map(entries), .. }) if problems.is_empty() => Ok(entries),
        Some(Node { value: Value::Map(_), .. }) => Err(problems),
        Some(Node { span, .. }) => {
            problems.push(Problem::at(
                file,
                text,
                span,
                "",
                "the file is not a list of keys",
                "one `key: value` a line",
            ));
            Err(problems)
        }
    }
}

struct YamlReader<'a, I> {
    file: &'a str,
    text: &'a str,
    events: I,
    nodes: usize,
    problems: Vec<Problem>,
}

impl<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> YamlReader<'a, I> {
    /// The next event that is not a comment.
    fn event(&mut self) -> Result<Option<(Event<'a>, Range<usize>)>, Problem> {
        loop {
            match self.events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    let start = span.start.byte_offset().unwrap_or(0);
                    let end = span.end.byte_offset().unwrap_or(start).max(start);
                    return Ok(Some((event, start..end)));
                }
                Some(Err(error)) => {
                    let at = floor_boundary(self.text, error.marker().byte_offset().unwrap_or(0));
                    let message = format!("not valid YAML: {}", error.info());
                    return Err(self.problem(at..at, "", message, "one `key: value` a line"));
                }
            }
        }
    }

    fn problem(&self, span: Range<usize>, key: &str, message: impl Into<String>, valid: &str) -> Problem {
        Problem::at(self.file, self.text, span, key, message, valid)
    }

    fn document(&mut self) -> Result<Option<Node>, Problem> {
        let mut root = None;
        while let Some((event, span)) = self.event()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    return Err(self.problem(span, "", "a second YAML document begins here", "one document in a file"));
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root)
    }

    fn node(&mut self, event: Event<'a>, span: Range<usize>, depth: usize) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX || depth > DEPTH_MAX {
            let valid = format!("at most {NODES_MAX} values, {DEPTH_MAX} deep");
            return Err(self.problem(span, "", "the file is too large or too deep", &valid));
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") => {
                Value::Null
            }
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            _ => {
                let message = "anchors and aliases are not used in settings files";
                return Err(self.problem(span, "", message, "the value itself"));
            }
        };
        Ok(Node { span, value })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut nodes = Vec::new();
        while let Some((event, span)) = self.event()? {
            if event == Event::SequenceEnd {
                break;
            }
            nodes.push(self.node(event, span, depth + 1)?);
        }
        Ok(nodes)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, key_span)) = self.event()? {
            if event == Event::MappingEnd {
                break;
            }
            let Event::Scalar(key, ..) = event else {
                return Err(self.problem(key_span, "", "a key must be a word", "`key: value`"));
            };
            let Some((event, span)) = self.event()? else { break };
            let entry = Entry { key: key.into_owned(), key_span, node: self.node(event, span, depth + 1)? };
            if let Some(first) = entries.iter().find(|first| first.key == entry.key) {
                let line = line_of(self.text, first.key_span.start);
                let message = format!("the key is set a second time; the first is in line {line}");
                let problem = self.problem(entry.key_span.clone(), &entry.key, message, "each key once");
                self.problems.push(problem);
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn parse_toml(file: &str, text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: toml::de::Error| {
            let span = error.span().unwrap_or(0..0);
            let message = format!("not valid TOML: {}", error.message());
            Problem::at(file, text, span, "", message, "`key = value` under `[section]`")
        };
        return Err(errors.into_iter().map(problem).collect());
    }
    Ok(toml_entries(table.get_ref()))
}

fn toml_entries(table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: Node { span: value.span(), value: toml_value(value.get_ref()) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn toml_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Value::Text(number.as_str().to_owned()),
        DeValue::Integer(number) => Value::Text(number.to_string()),
        DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Text(flag.to_string()),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(nodes) => Value::List(
            nodes.iter().map(|node| Node { span: node.span(), value: toml_value(node.get_ref()) }).collect(),
        ),
        DeValue::Table(table) => Value::Map(toml_entries(table)),
    }
}

/// Flattens sections: `[risk]` with `position_max` becomes `risk.position_max`.
#[must_use]
pub fn flatten(entries: Vec<Entry>) -> Vec<Entry> {
    let mut flat = Vec::new();
    for entry in entries {
        match entry.node.value {
            Value::Map(inner) => flat.extend(
                flatten(inner).into_iter().map(|deep| Entry { key: format!("{}.{}", entry.key, deep.key), ..deep }),
            ),
            value => flat.push(Entry { node: Node { value, ..entry.node }, ..entry }),
        }
    }
    flat
}

/// The nearest byte offset at or before `at` that lies in the text and between two characters.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Result<Vec<(String, Option<String>)>, Vec<String>> {
        pairs(parse("f.yml", text, Format::Yaml))
    }

    fn pairs(parsed: Result<Vec<Entry>, Vec<Problem>>) -> Result<Vec<(String, Option<String>)>, Vec<String>> {
        match parsed {
            Ok(entries) => Ok(entries.into_iter().map(|entry| (entry.key, entry.node.value.text())).collect()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    fn pair(key: &str, text: &str) -> (String, Option<String>) {
        (key.to_owned(), Some(text.to_owned()))
    }

    #[test]
    fn numbers_keep_the_digits_that_were_written() {
        let found = yaml("# a comment\na: 0.10\nb: 1_000.5 # why\nc: '007'\nd: 1e-7\n").unwrap();
        assert_eq!(found, [pair("a", "0.10"), pair("b", "1_000.5"), pair("c", "007"), pair("d", "1e-7")]);
    }

    #[test]
    fn nothing_and_null_count_as_absent_but_a_quoted_null_is_a_word() {
        let found = yaml("a:\nb: null\nc: ~\nd: 'null'\ne: ''\n").unwrap();
        let none = |key: &str| (key.to_owned(), None);
        assert_eq!(found, [none("a"), none("b"), none("c"), pair("d", "null"), pair("e", "")]);
    }

    #[test]
    fn lists_and_maps_are_json_in_the_order_of_the_file() {
        let found = yaml("order_override:\n  z: [buy, 0.50, 100]\n  a: [sell, 1, 2]\n").unwrap();
        assert_eq!(found, [pair("order_override", r#"{"z":["buy","0.50","100"],"a":["sell","1","2"]}"#)]);
    }

    #[test]
    fn duplicate_keys_are_all_reported_with_both_lines() {
        let problems = yaml("a: 1\nb: 2\na: 3\nb: 4\n").unwrap_err();
        assert_eq!(problems.len(), 2);
        assert_eq!(
            problems[1],
            "f.yml:4: b: the key is set a second time; the first is in line 2 (valid: each key once)"
        );
    }

    #[test]
    fn broken_yaml_names_its_line() {
        for (text, line) in
            [("a: 1\nb: [1, 2\nc: 3\n", "f.yml:"), ("a: 1\nb: 2\n\tc: 3\n", "f.yml:"), ("a: 'x\n", "f.yml:")]
        {
            let problems = yaml(text).unwrap_err();
            assert!(problems[0].starts_with(line), "{problems:?}");
            assert!(problems[0].contains("not valid YAML"), "{problems:?}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_keys_is_refused() {
        for (text, why) in [
            ("", "has no settings"),
            ("# only a comment\n", "has no settings"),
            ("just words\n", "not a list of keys"),
            ("- a\n- b\n", "not a list of keys"),
            ("a: 1\n---\nb: 2\n", "second YAML document"),
            ("a: &x 1\nb: *x\n", "anchors and aliases"),
            ("a: [[[[[[[[[[1]]]]]]]]]]\n", "too deep"),
        ] {
            let problems = yaml(text).unwrap_err();
            assert!(problems[0].contains(why), "{text:?} gave {problems:?}");
        }
    }

    #[test]
    fn json_is_read_with_tabs_and_faults_are_placed() {
        let found = pairs(parse("f.json", "{\n\t\"a\": 0.10,\n\t\"b\": {\"c\": null}\n}", Format::Json)).unwrap();
        assert_eq!(found, [pair("a", "0.10"), pair("b", r#"{"c":null}"#)]);
        let problems = pairs(parse("f.json", "{\n  \"a\": 1,\n}", Format::Json)).unwrap_err();
        assert!(problems[0].starts_with("f.json:3: not valid JSON"), "{problems:?}");
    }

    #[test]
    fn toml_sections_become_dotted_names_with_exact_numbers() {
        let text = "top = true\n[risk]\nposition_max = 0.10\nloss_max = \"5\"\n[threads]\nengine_core = 1_0\n";
        let entries = flatten(parse("e.toml", text, Format::Toml).unwrap());
        let found: Vec<_> = entries.iter().map(|entry| (entry.key.clone(), entry.node.value.text())).collect();
        assert_eq!(
            found,
            [
                pair("top", "true"),
                pair("risk.position_max", "0.10"),
                pair("risk.loss_max", "5"),
                pair("threads.engine_core", "10")
            ]
        );
        assert_eq!(line_of(text, entries[1].key_span.start), 3);
    }

    #[test]
    fn toml_duplicates_and_faults_are_all_reported() {
        let problems = pairs(parse("e.toml", "[risk]\na = 1\na = 2\nb = = 3\n", Format::Toml)).unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.starts_with("e.toml:3")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.starts_with("e.toml:4")), "{problems:?}");
    }
}
