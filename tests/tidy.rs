//! Holds the architecture: which module may use which, what a pure folder never does, where `unsafe` may stand, what the tree has.
//!
//! Comments, strings and `#[cfg(test)]` items are no part of what a module does and are blanked before the code rules look.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules and their floors. A module uses lower floors only, never a neighbour on its own.
const FLOORS: &[(&str, u8)] = &[
    ("unit", 0),
    ("wire", 1),
    ("instrument", 1),
    ("event", 2),
    ("config", 2),
    ("venue", 3),
    ("journal", 3),
    ("book", 3),
    ("maker", 4),
    ("sim", 4),
    ("report", 4),
    ("engine", 5),
    ("replay", 5),
    ("main", 6),
];
/// Modules of the program and not of the library; together they are `main`.
const PROGRAM: &[&str] = &["main", "cli", "commands", "diagnose"];
/// Arrows that are allowed although the floors forbid them: file, used module, reason.
const ARROW_EXCEPTIONS: &[(&str, &str, &str)] =
    &[("src/config/perpetual.rs", "event", "an order override names a Side, which is vocabulary and no event")];
/// Folders that compute and do nothing else.
const PURE: &[&str] = &["unit", "instrument", "event", "wire", "venue", "book", "maker", "sim"];
/// Files of pure folders that touch the world.
const EDGES: &[&str] = &["src/sim/server", "src/sim/capture"];
/// Where `unsafe` may stand.
const UNSAFE_IN: &[&str] = &["src/engine/", "src/journal/", "src/wire/simd/", "src/wire/simd.rs"];
/// What a pure folder never names of `std`.
const WORLD: &[&str] = &["net", "fs", "time", "env", "process", "thread"];
/// What the top of the tree has.
const CARD: &[&str] =
    &["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "tuning.md", "src", "bench", "tools", "tests"];
/// Longest file, without its tests.
const LINES_MAX: usize = 900;

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for folder in ["src", "tests", "bench", "tools"] {
        for path in rust_files(&root.join(folder)) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            faults.extend(check_file(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
    faults.extend(check_top(&top_names(root)));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The strategies' tables of differences: every row names its test, and the test exists (or says whose it is).
#[test]
fn every_difference_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let all: String =
        ["src", "tests"].iter().flat_map(|folder| rust_files(&root.join(folder))).map(|p| read(&p)).collect();
    for (file, letter) in [("perpetual", 'W'), ("pmm", 'M'), ("funding_aware", 'G')] {
        let text = read(&root.join(format!("src/maker/strategy/{file}.rs")));
        let is_row = |line: &&str| line.strip_prefix("//! | ").is_some_and(|row| row.starts_with(letter));
        let rows: Vec<&str> = text.lines().filter(is_row).collect();
        assert!(rows.len() >= 7, "{file}: {}", rows.len());
        for row in rows {
            let test = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            let exists = match test.strip_prefix('`').and_then(|test| test.strip_suffix('`')) {
                Some(name) => all.contains(&format!("fn {name}(")),
                None => test.starts_with("the ") && test.len() < 20,
            };
            assert!(exists, "{file}: {row}");
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The names that git tracks at the top; in a tree without git, whatever lies there.
fn top_names(root: &Path) -> Vec<String> {
    let tracked = Command::new("git").args(["ls-files", "--full-name", "-z"]).current_dir(root).output();
    let mut names: Vec<String> = match tracked {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            .map(|path| path.split('/').next().unwrap_or_default().to_owned())
            .collect(),
        _ => fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !matches!(name.as_str(), "target" | "runs"))
            .collect(),
    };
    names.sort();
    names.dedup();
    names
}

fn check_top(names: &[String]) -> Vec<String> {
    let known = |name: &str| name.starts_with('.') || name.starts_with("LICENSE") || CARD.contains(&name);
    let strange = names.iter().filter(|name| !known(name));
    strange.map(|name| format!("{name}: is not in the card of top-level names ({})", CARD.join(" "))).collect()
}

/// Every fault of one file, as `file:line: what rule it breaks`.
fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    // A `tests.rs` beside its module continues that module.
    let continues = name.starts_with("src/") && is_test_file(name);
    if !text.starts_with("//! ") && !continues {
        faults.push(format!(
            "{name}:1: the first line must be a //! sentence that says what the file does and never does"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        for needle in leftovers() {
            if line.contains(&needle) {
                faults.push(format!("{name}:{}: {needle} is a left-over", number + 1));
            }
        }
    }
    if name.starts_with("src/") && !is_test_file(name) {
        let code = without_tests(&blank(text));
        check_code(name, &code, &mut faults);
    }
    faults
}

/// Put together here so that this file does not contain what it looks for.
fn leftovers() -> [String; 6] {
    [["TO", "DO"], ["FIX", "ME"], ["db", "g!("], ["to", "do!("], ["unimple", "mented!("], ["#[ign", "ore"]]
        .map(|parts| parts.concat())
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

fn check_code(name: &str, code: &str, faults: &mut Vec<String>) {
    let lines = code.trim_end().lines().count();
    if lines > LINES_MAX {
        faults
            .push(format!("{name}:{LINES_MAX}: {lines} lines without tests; split it by thing (at most {LINES_MAX})"));
    }
    let path = module_path(name);
    let Some(&own) = path.first() else { return };
    let Some(floor) = floor_of(own) else {
        faults.push(format!("{name}:1: the module {own} has no floor (tests/tidy.rs, FLOORS)"));
        return;
    };
    for (line, used) in crate_modules(code, path.len()) {
        let excepted = ARROW_EXCEPTIONS.iter().any(|&(file, module, _)| file == name && module == used);
        match floor_of(&used) {
            _ if excepted || program(&used) == program(own) => {}
            Some(below) if below < floor => {}
            Some(_) => faults.push(format!("{name}:{line}: {own} may not use {used}: it stands no floor lower")),
            None => {
                faults.push(format!("{name}:{line}: crate::{used} is no module with a floor (tests/tidy.rs, FLOORS)"))
            }
        }
    }
    let edge = EDGES.iter().any(|edge| name.starts_with(edge));
    if PURE.contains(&own) && !edge {
        for (line, used) in heads_after(code, "std") {
            if WORLD.contains(&used.as_str()) {
                faults.push(format!("{name}:{line}: {own} is pure and may not use std::{used}"));
            }
        }
        for word in ["f64", "f32", "println", "print", "eprintln", "eprint"] {
            let printing = word.contains("print");
            for (line, after) in words(code, word) {
                if !printing || after.starts_with('!') {
                    faults.push(format!("{name}:{line}: {own} is pure and may not use {word}"));
                }
            }
        }
    }
    if !UNSAFE_IN.iter().any(|place| name.starts_with(place)) {
        for (line, _) in words(code, "unsafe") {
            faults.push(format!("{name}:{line}: unsafe may stand in {} only", UNSAFE_IN.join(", ")));
        }
    }
}

/// `main` for every module of the program, the module itself otherwise.
fn program(module: &str) -> &str {
    if PROGRAM.contains(&module) { "main" } else { module }
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == program(module)).map(|&(_, floor)| floor)
}

/// `src/book/sync.rs` is `[book, sync]`; `lib.rs` is empty.
fn module_path(name: &str) -> Vec<&str> {
    let inside = name.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = inside.split('/').filter(|part| *part != "mod" && *part != "lib");
    parts.collect()
}

/// The top-level modules that the code names: by `crate::`, or by as many `super::` as lead out of its own.
fn crate_modules(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut used = heads_after(code, "crate");
    // `use super::super::x` in a file two modules deep is `crate::x`; one more `super` would not compile.
    let out = vec!["super"; depth].join("::");
    used.extend(heads_after(code, &out).into_iter().filter(|(_, head)| head != "super"));
    used.sort();
    used.dedup();
    used
}

/// The names behind `root::`, groups opened: `crate::{a::b, c}` gives a and c. With the line of each.
fn heads_after(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut heads = Vec::new();
    let prefix = format!("{root}::");
    for (at, _) in code.match_indices(&prefix) {
        // `my_std::x` and `other::std::x` are something else; `::std::x` is not.
        let before = code[..at].strip_suffix("::").unwrap_or(&code[..at]);
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let start = at + prefix.len();
        let rest = &code[start..];
        if !rest.starts_with('{') {
            heads.push((line_at(code, start), first_word(rest)));
            continue;
        }
        let (mut depth, mut fresh) = (0, false);
        for (offset, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && (c == '{' || c == ',') {
                fresh = true;
            } else if fresh && (c.is_alphanumeric() || c == '_') {
                heads.push((line_at(code, start + offset), first_word(&rest[offset..])));
                fresh = false;
            }
        }
    }
    heads.retain(|(_, head)| !head.is_empty());
    heads
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn line_at(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

/// Every place where `word` stands as a whole word: its line and what follows it.
fn words<'a>(code: &'a str, word: &str) -> Vec<(usize, &'a str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .filter(|(at, _)| !code[..*at].ends_with(part) && !code[at + word.len()..].starts_with(part))
        .map(|(at, _)| (line_at(code, at), &code[at + word.len()..]))
        .collect()
}

/// The text with comments, strings and characters blanked, byte for byte in place.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + comment_len(rest)
        } else if let Some(hashes) = raw_hashes(rest).filter(|_| !word_before) {
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let open = hashes + 1 + usize::from(rest[0] == b'b') + 1;
            let body = rest.get(open..).unwrap_or_default();
            at + open + body.windows(close.len()).position(|w| w == close).unwrap_or(body.len()) + close.len()
        } else if rest[0] == b'"' {
            at + quoted_len(rest, b'"')
        } else if rest[0] == b'\'' && is_char(rest) {
            at + quoted_len(rest, b'\'')
        } else {
            at += 1;
            continue;
        };
        let end = end.min(bytes.len());
        out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8(out).expect("only whole literals and comments are blanked")
}

/// The number of `#` of a raw string that begins here.
fn raw_hashes(rest: &[u8]) -> Option<usize> {
    let rest = rest.strip_prefix(b"b").unwrap_or(rest).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|&&b| b == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..(at + 2).min(rest.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// A character and not a lifetime: `'x'`, `'\n'`, `'é'`.
fn is_char(rest: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(12)]).into_owned();
    let mut chars = text.chars();
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Blanks every `#[cfg(test)]` item of code that [`blank`] has been over.
fn without_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let (mut depth, mut end) = (0, code.len());
        for (offset, c) in code[at + 12..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(c, '}' | ';') {
                end = at + 12 + offset + 1;
                break;
            }
        }
        out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
    }
    String::from_utf8(out).expect("whole items are blanked")
}

/// Faults of tuning.md against the format that it states at its top: heading, Why, Set with a block, Check with one line, Expect.
fn check_tuning(text: &str) -> Vec<String> {
    let (mut faults, mut ids) = (Vec::new(), Vec::new());
    for entry in text.split("\n### ").skip(1) {
        let entry = entry.split("\n## ").next().unwrap_or_default();
        let (heading, body) = entry.split_once('\n').unwrap_or((entry, ""));
        let id = heading.split(':').next().unwrap_or_default().to_owned();
        let shouted = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if !id.starts_with("T-") || !id.chars().all(shouted) || !heading.contains(": ") || ids.contains(&id) {
            faults.push(format!("tuning.md: {heading}: a heading is `### T-ID: title`, each id once"));
        }
        let mut shape: Vec<&str> = body.lines().filter(|line| !line.is_empty()).map(shape_of).collect();
        // A block to set may have several lines, the check has one.
        shape.dedup_by(|next, part| *next == "text" && *part == "text");
        let one_line = body.contains("- **Check:**\n```\n") && body.trim_end().lines().rev().nth(3) == Some("```");
        if shape != ["why", "set", "fence", "text", "fence", "check", "fence", "text", "fence", "expect"] || !one_line {
            faults.push(format!(
                "tuning.md: {id}: fields are Why, Set with a block, Check with a block, Expect with a pattern"
            ));
        }
        ids.push(id);
    }
    if ids.is_empty() {
        faults.push("tuning.md: has no entry".to_owned());
    }
    faults
}

fn shape_of(line: &str) -> &'static str {
    match line {
        _ if line.starts_with("- **Why:** ") => "why",
        _ if line.starts_with("- **Set:** ") => "set",
        "- **Check:**" => "check",
        _ if line.starts_with("- **Expect:** `") && line.matches('`').count() >= 2 => "expect",
        "```" => "fence",
        _ => "text",
    }
}

#[test]
fn tuning_has_the_format_that_it_states() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("tuning.md")).unwrap();
    assert_eq!(check_tuning(&text), Vec::<String>::new());
    let reference = spinquote::config::reference::markdown();
    let named: Vec<_> = reference.split([' ', '(', ')', ',', '.']).filter(|word| word.starts_with("T-")).collect();
    assert!(!named.is_empty(), "the settings' help names tuning entries");
    for id in named {
        assert!(text.contains(&format!("### {id}: ")), "the settings' help names {id}");
    }
    let good = "x\n### T-A: a\n- **Why:** w\n- **Set:** s\n```\none\ntwo\n```\n- **Check:**\n```\ncat x\n```\n- **Expect:** `0` z\n";
    assert_eq!(check_tuning(good), Vec::<String>::new());
    for (from, to) in [
        ("T-A", "t-a"),
        ("- **Why:** w\n", ""),
        ("`0`", "0"),
        ("cat x\n", ""),
        ("- **Set:** s", "- **Set:** s\n- **Set:** s"),
    ] {
        assert_eq!(check_tuning(&good.replace(from, to)).len(), 1, "{to:?} for {from:?}");
    }
    assert_eq!(check_tuning(&(good.to_owned() + &good[2..])).len(), 1, "an id twice");
}

/// The rules broken by `body` in the file `name`, under a good first line.
fn faults_of(name: &str, body: &str) -> Vec<String> {
    check_file(name, &format!("//! A file.\n{body}"))
}

#[test]
fn the_checker_finds_wrong_arrows() {
    for (name, body, fault) in [
        ("src/book/sync.rs", "use crate::venue::Codec;", "src/book/sync.rs:2: book may not use venue"),
        (
            "src/venue/mod.rs",
            "use crate::{unit::Ticks,\n    book::Book};",
            "src/venue/mod.rs:3: venue may not use book",
        ),
        (
            "src/maker/step.rs",
            "fn f() { crate::engine::ring::push(); }",
            "src/maker/step.rs:2: maker may not use engine",
        ),
        (
            "src/maker/risk/gate.rs",
            "use super::super::super::sim::Exchange;",
            "src/maker/risk/gate.rs:2: maker may not use sim",
        ),
        ("src/unit.rs", "use super::event::Side;", "src/unit.rs:2: unit may not use event"),
        ("src/journal/writer.rs", "use crate::nowhere::X;", "src/journal/writer.rs:2: crate::nowhere is no module"),
        ("src/extra.rs", "", "src/extra.rs:1: the module extra has no floor"),
        ("src/config/load.rs", "use crate::event::Side;", "src/config/load.rs:2: config may not use event"),
    ] {
        let faults = faults_of(name, body);
        assert_eq!(faults.len(), 1, "{name}: {faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?}");
    }
}

#[test]
fn the_checker_finds_the_world_in_pure_folders() {
    for (name, body, fault) in [
        ("src/wire/ws.rs", "use std::net::TcpStream;", "src/wire/ws.rs:2: wire is pure and may not use std::net"),
        (
            "src/maker/step.rs",
            "use std::{fmt, time::Instant};",
            "src/maker/step.rs:2: maker is pure and may not use std::time",
        ),
        ("src/wire/ws.rs", "fn f() { ::std::fs::read(p); }", "src/wire/ws.rs:2: wire is pure and may not use std::fs"),
        ("src/book/ladder.rs", "\nfn f(x: f64) {}", "src/book/ladder.rs:3: book is pure and may not use f64"),
        (
            "src/sim/matching.rs",
            "fn f() { println!(\"x\"); }",
            "src/sim/matching.rs:2: sim is pure and may not use println",
        ),
        ("src/config/load.rs", "fn f() { unsafe { g() } }", "src/config/load.rs:2: unsafe may stand in"),
        ("src/wire/ws.rs", "unsafe fn f() {}", "src/wire/ws.rs:2: unsafe may stand in"),
    ] {
        let faults = faults_of(name, body);
        assert_eq!(faults.len(), 1, "{name}: {faults:?}");
        assert!(faults[0].starts_with(fault), "{faults:?}");
    }
}

#[test]
fn the_checker_finds_leftovers_length_and_missing_first_lines() {
    assert!(check_file("src/unit.rs", "fn f() {}\n")[0].starts_with("src/unit.rs:1: the first line"));
    for needle in leftovers() {
        let faults = faults_of("tests/some.rs", &format!("// {needle}\n"));
        assert_eq!(faults, [format!("tests/some.rs:2: {needle} is a left-over")]);
    }
    let long = "fn f() {}\n".repeat(LINES_MAX);
    assert!(faults_of("src/unit.rs", &long)[0].contains("split it by thing"));
    let top = ["src", ".ci", "LICENSE-MIT", "notes.txt"].map(str::to_owned);
    let faults = check_top(&top);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("notes.txt: is not in the card"));
}

#[test]
fn the_checker_lets_good_code_pass() {
    for (name, body) in [
        (
            "src/maker/step.rs",
            "use crate::book::Book;\nuse crate::maker::risk::Gate;\nuse super::risk;\nuse super::super::book;",
        ),
        ("src/sim/server.rs", "use std::net::TcpListener;"),
        ("src/engine/ring.rs", "use std::time::Instant; fn f() { unsafe { g() } }"),
        ("src/wire/simd/avx2.rs", "unsafe fn f() {}"),
        (
            "src/book/ladder.rs",
            "// f64 and crate::venue in words\nconst A: &str = \"std::net f32 unsafe\"; const C: char = '\"'; fn f<'a>() {}",
        ),
        ("src/book/ladder.rs", "const R: &str = r#\"crate::venue \" f64\"#; /* f64 /* unsafe */ f64 */"),
        (
            "src/book/ladder.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { use crate::sim::X; fn f(x: f64) { println!() } }\nfn b() {}",
        ),
        ("src/book/tests.rs", "fn f(x: f64) {}"),
        ("src/commands/check.rs", "use crate::cli::Args; use spinquote::config; use std::fs;"),
        ("src/config/perpetual.rs", "use crate::event::Side;"),
        ("src/lib.rs", "pub mod book;"),
    ] {
        assert_eq!(faults_of(name, body), Vec::<String>::new(), "{name}");
    }
}
