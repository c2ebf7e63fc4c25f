//! Blacks out secrets in any text. Errs on the side of too much; counts what it did.

/// What stands in a secret's place.
const BLACK: &str = "[blacked out]";
/// Parts of a name that make its value a secret.
const SECRET_NAMES: [&str; 12] = [
    "secret",
    "signature",
    "apikey",
    "api_key",
    "api-key",
    "token",
    "password",
    "passphrase",
    "authorization",
    "listenkey",
    "private_key",
    "webhook",
];
/// Values shorter than this are not searched for by themselves: they would black out half the text.
const VALUE_MIN: usize = 6;

/// Replaces secrets.
pub struct Redactor {
    values: Vec<String>,
    count: u64,
    in_pem: bool,
}

impl Redactor {
    /// These values are secrets wherever they stand.
    pub fn new(values: impl Iterator<Item = String>) -> Self {
        let values = values.map(|value| value.trim().to_owned()).filter(|value| value.len() >= VALUE_MIN);
        Self { values: values.collect(), count: 0, in_pem: false }
    }

    /// Places that were blacked out so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The text without secrets.
    pub fn text(&mut self, text: &str) -> String {
        let mut out = text.to_owned();
        for value in &self.values {
            // As it stands, and as JSON writes it.
            for form in
                [value.clone(), serde_json::Value::from(value.as_str()).to_string().trim_matches('"').to_owned()]
            {
                self.count += out.matches(&form).count() as u64;
                out = out.replace(&form, BLACK);
            }
        }
        let lines: Vec<String> = out.split('\n').map(|line| self.line(line)).collect();
        lines.join("\n")
    }

    fn line(&mut self, line: &str) -> String {
        let line = self.pem(line);
        let mut out = String::with_capacity(line.len());
        let mut rest = line.as_str();
        while let Some((before, value, after)) = next_secret(rest) {
            out.push_str(before);
            if value != BLACK {
                self.count += 1;
            }
            out.push_str(BLACK);
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// A private key, on lines of its own or with `\n` in a string.
    fn pem(&mut self, line: &str) -> String {
        const BEGIN: &str = "PRIVATE KEY-----";
        let mut out = String::new();
        let mut rest = line;
        loop {
            if self.in_pem {
                let Some(end) =
                    rest.find("-----END").and_then(|at| rest[at + 8..].find("-----").map(|more| at + 8 + more + 5))
                else {
                    return out;
                };
                self.in_pem = false;
                rest = &rest[end..];
            }
            let Some(at) = rest.find(BEGIN) else {
                out.push_str(rest);
                return out;
            };
            let start = rest[..at].rfind("-----BEGIN").unwrap_or(at);
            out.push_str(&rest[..start]);
            out.push_str(BLACK);
            self.count += 1;
            self.in_pem = true;
            rest = &rest[at + BEGIN.len()..];
        }
    }
}

/// The first `name = value` of a secret: what stands before the value, the value, what follows.
fn next_secret(text: &str) -> Option<(&str, &str, &str)> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some((at, name)) = first_name(&lower, from) {
        let mut end = at + name.len();
        // The rest of a longer name, such as secret_env.
        let more = lower[end..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(lower.len() - end);
        let whole = &lower[at..end + more];
        end += more;
        // Names of variables and files are no secrets.
        let names_one = ["_env", "_file", "_kind"].iter().any(|tail| whole.ends_with(tail));
        if let Some((start, stop)) = value_after(text, end).filter(|_| !names_one) {
            return Some((&text[..start], &text[start..stop], &text[stop..]));
        }
        from = end;
    }
    None
}

fn first_name(lower: &str, from: usize) -> Option<(usize, &'static str)> {
    SECRET_NAMES.iter().filter_map(|&name| Some((lower[from..].find(name)? + from, name))).min_by_key(|&(at, _)| at)
}

/// The value behind a name: after quotes, blanks and one of `=` or `:`.
fn value_after(text: &str, end: usize) -> Option<(usize, usize)> {
    let rest = &text[end..];
    let mark = rest.trim_start_matches(['"', '\'', '\\', ' ', '\t']);
    let value = mark.strip_prefix(['=', ':'])?.trim_start_matches([' ', '\t']);
    let quotes = value.trim_start_matches(['"', '\'', '\\']);
    let start = text.len() - quotes.len();
    let opening = &value[..value.len() - quotes.len()];
    // "Bearer TOKEN" is one value.
    let skip = if quotes.to_ascii_lowercase().starts_with("bearer ") { 7 } else { 0 };
    let body = &quotes[skip..];
    let len = match opening.chars().last() {
        // Text in a string of its own: the closing quote is escaped as the opening one is.
        Some(_) if opening.contains('\\') => body.find(['"', '\'', '\\']),
        Some(quote) => closing(body, quote),
        None => body.find([' ', ',', '&', ';', '"', '\'', '}', '\t', '\\']),
    };
    let stop = start + skip + len.unwrap_or(body.len());
    (stop > start).then_some((start, stop))
}

/// The quote that ends a string; an escaped one does not.
fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    body.char_indices().find_map(|(at, c)| {
        if escaped || c == '\\' {
            escaped = !escaped;
            return None;
        }
        (c == quote).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn black(text: &str) -> String {
        Redactor::new(std::iter::empty()).text(text)
    }

    #[test]
    fn values_of_names_that_say_secret_go_and_others_stay() {
        for (text, wanted) in [
            (r#"{"secret":"abc","other":"x"}"#, r#"{"secret":"[blacked out]","other":"x"}"#),
            (r#"{"secret":"ab\"cd\\","x":1}"#, r#"{"secret":"[blacked out]","x":1}"#),
            (r#"{"text":"secret = \"abc\"\nx"}"#, r#"{"text":"secret = \"[blacked out]\"\nx"}"#),
            ("secret = \"abc\"", "secret = \"[blacked out]\""),
            (
                "GET /fapi/v1/order?symbol=X&signature=00ff&timestamp=1",
                "GET /fapi/v1/order?symbol=X&signature=[blacked out]&timestamp=1",
            ),
            ("Authorization: Bearer abc.def next", "Authorization: [blacked out] next"),
            (r#"{"text":"api_key: abc\nmore"}"#, r#"{"text":"api_key: [blacked out]\nmore"}"#),
            (r#"{"text":"url: https://x/?token=abc"}"#, r#"{"text":"url: https://x/?token=[blacked out]"}"#),
            ("X-MBX-APIKEY: abc", "X-MBX-APIKEY: [blacked out]"),
            (r#""listenKey":"abc""#, r#""listenKey":"[blacked out]""#),
            ("secret_env = \"SPINQUOTE_API_SECRET\"", "secret_env = \"SPINQUOTE_API_SECRET\""),
            ("nothing of the kind; no secret here", "nothing of the kind; no secret here"),
            ("token=a token=b", "token=[blacked out] token=[blacked out]"),
        ] {
            assert_eq!(black(text), wanted);
        }
    }

    #[test]
    fn private_keys_go_on_many_lines_and_on_one() {
        let key = "a\n-----BEGIN PRIVATE KEY-----\nMIGkey\nmore\n-----END PRIVATE KEY-----\nb";
        assert_eq!(black(key), "a\n[blacked out]\n\n\n\nb");
        let string = r#"{"x":"-----BEGIN EC PRIVATE KEY-----\nMIGkey\n-----END EC PRIVATE KEY-----\n","y":1}"#;
        assert_eq!(black(string), r#"{"x":"[blacked out]\n","y":1}"#);
    }

    #[test]
    fn known_values_go_wherever_they_stand() {
        let mut redactor =
            Redactor::new(["hunter2222".to_owned(), "a\"quoted".to_owned(), "abc".to_owned()].into_iter());
        assert_eq!(redactor.text("xhunter2222y abc"), "x[blacked out]y abc");
        assert_eq!(redactor.text(r#"{"z":"a\"quoted"}"#), r#"{"z":"[blacked out]"}"#);
        assert_eq!(redactor.count(), 2);
    }
}
