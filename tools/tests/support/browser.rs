//! Opens a page in a headless Chromium, where there is one, and gives back what became of it. Nothing leaves the machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What became of a page.
pub struct Shown {
    /// The document after its scripts.
    pub dom: String,
    /// What the console said: must be nothing.
    pub console: Vec<String>,
}

/// The first browser of these that starts; `SPINQUOTE_CHROMIUM` names another one.
fn browser() -> Option<String> {
    let named = std::env::var("SPINQUOTE_CHROMIUM").ok();
    let usual = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"].map(str::to_owned);
    named.into_iter().chain(usual).find(|name| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// The page at `url` at a width, after at most `settle` of its own time; `None`, said on stderr, where there is no browser.
pub fn open(url: &str, width: u32, settle: Duration) -> Option<Shown> {
    let Some(browser) = browser() else {
        eprintln!("not run: no chromium in PATH, and SPINQUOTE_CHROMIUM names none");
        return None;
    };
    let profile = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| files.path().join(name));
    let file = |path: &Path| std::fs::File::create(path).unwrap();
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
        .args(["--hide-scrollbars", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},1200"))
        .arg(format!("--timeout={}", settle.as_millis()))
        .arg(url)
        .stdout(file(&out))
        .stderr(file(&err))
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser did not end: {}", std::fs::read_to_string(&err).unwrap());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let console = text(&err).lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    Some(Shown { dom: text(&out), console })
}

impl Shown {
    /// `data-key` and `data-value` of every figure, with the text that is shown.
    pub fn figures(&self) -> Vec<(String, serde_json::Value, String)> {
        let attribute = |tag: &str, name: &str| -> Option<String> {
            let rest = tag.split_once(&format!("{name}=\""))?.1;
            Some(rest.split_once('"')?.0.replace("&quot;", "\"").replace("&amp;", "&"))
        };
        let mut found = Vec::new();
        for part in self.dom.split("<dd").skip(1) {
            let Some((tag, rest)) = part.split_once('>') else { continue };
            let (Some(key), Some(value)) = (attribute(tag, "data-key"), attribute(tag, "data-value")) else { continue };
            let text = rest.split('<').next().unwrap_or_default().to_owned();
            found.push((key, serde_json::from_str(&value).unwrap(), text));
        }
        found
    }
}
