//! Where alerts go: a file of the run, a program, an address. A thread of its own does what may take long; nothing waits for it, and what
//! it has no room for is counted in the log.

use super::Notice;
use crate::config::engine::AlertSettings;
use crate::config::value;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Notices that may wait for the slow ways.
const WAITING_MAX: usize = 64;
/// The file ends here, with a line that says so: alerts are told once, so this is thousands of them.
const FILE_MAX: u64 = 4 << 20;
/// How long a program or an address may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of a run waits for what is under way.
const LAST_MOMENT: Duration = Duration::from_secs(6);

/// The ways out.
pub struct Sinks {
    run: String,
    file: Option<File>,
    written: u64,
    slow: Option<(Sender<Notice>, JoinHandle<()>)>,
}

impl Sinks {
    /// Opens the file; starts the thread where the settings name a program, or the environment an address.
    #[must_use]
    pub fn open(path: &Path, run: &str, settings: &AlertSettings) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file =
            file.inspect_err(|error| tracing::error!("{}: {error}; alerts are logged only", path.display())).ok();
        let address = std::env::var(&settings.webhook_env).ok().filter(|address| !address.is_empty());
        let address = address.filter(|address| {
            // What is wrong would show the address, which may hold a token.
            let good = value::address(address, "https", "http").is_ok();
            if !good {
                tracing::error!(
                    "{} holds no https:// address (http:// is for this machine only): alerts are not posted",
                    settings.webhook_env
                );
            }
            good
        });
        let slow = Slow { run: run.to_owned(), command: settings.command.clone(), agent: agent(), address };
        let slow = (slow.command.is_some() || slow.address.is_some()).then(|| {
            let (ends, begins) = bounded(WAITING_MAX);
            let thread = std::thread::Builder::new().name("alerts".to_owned()).spawn(move || slow.run(&begins));
            thread.map(|thread| (ends, thread))
        });
        let slow = slow.and_then(|slow| slow.inspect_err(|error| tracing::error!("alerts: {error}")).ok());
        Self { run: run.to_owned(), file, written: 0, slow }
    }

    /// Tells everybody.
    pub fn tell(&mut self, notice: &Notice) {
        self.write(notice);
        if let Some((slow, _)) = &self.slow
            && slow.try_send(notice.clone()).is_err()
        {
            tracing::error!(
                "alert {}: {WAITING_MAX} others wait for the program or the address; it is not sent",
                notice.alert
            );
        }
    }

    fn write(&mut self, notice: &Notice) {
        let Some(file) = &mut self.file else { return };
        let mut line = format!("{}\n", notice.to_json(&self.run));
        self.written += line.len() as u64;
        let full = self.written > FILE_MAX;
        if full {
            line = format!(
                "{}\n",
                serde_json::json!({"time_ns": notice.at.0, "run": self.run, "text": "the file is full"})
            );
        }
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!("alerts: {error}");
        }
        if full {
            self.file = None;
        }
    }

    /// Gives what is under way a moment.
    pub fn finish(self) {
        let Some((ends, thread)) = self.slow else { return };
        drop(ends);
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < LAST_MOMENT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .max_redirects(0)
        .user_agent(concat!("spinquote/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent()
}

/// What may take long.
struct Slow {
    run: String,
    command: Option<PathBuf>,
    agent: ureq::Agent,
    /// May hold a token: never shown.
    address: Option<String>,
}

impl Slow {
    fn run(&self, notices: &Receiver<Notice>) {
        for notice in notices {
            let body = notice.to_json(&self.run).to_string();
            if let Some(address) = &self.address
                && let Err(error) = self.agent.post(address).header("content-type", "application/json").send(&body)
            {
                tracing::error!(
                    "alert {}: the address that alerts are posted to: {}",
                    notice.alert,
                    without(&error.to_string(), address)
                );
            }
            if let Some(command) = &self.command
                && let Err(error) = call(command, &notice, &body)
            {
                tracing::error!("alert {}: {}: {error}", notice.alert, command.display());
            }
        }
    }
}

/// An error's text without the address in it.
fn without(text: &str, address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    text.replace(address, "[address]").replace(rest, "[address]").replace(host, "[host]")
}

/// Runs the program with severity, name and text as arguments and the JSON on its stdin.
fn call(program: &Path, notice: &Notice, body: &str) -> std::io::Result<()> {
    let mut child = Command::new(program)
        .args([notice.severity.name(), notice.alert, &notice.text])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    // A pipe holds far more than one notice, so this does not wait; a program that does not read it is no fault.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(body.as_bytes()));
    let begun = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(std::io::Error::other(status.to_string())),
            None if begun.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                return Err(std::io::Error::other(format!("ended after {PATIENCE:?}")));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Severity};
    use super::*;
    use crate::unit::Nanos;
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    fn notice() -> Notice {
        Notice {
            at: Nanos(7),
            alert: "loss",
            severity: Severity::Critical,
            change: Change::Raised,
            text: "P&L -501 of at most -500".to_owned(),
        }
    }

    #[test]
    fn a_notice_reaches_the_file_the_program_and_the_address() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("hook.sh");
        std::fs::write(
            &program,
            "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho \"$1|$2|$3\" > args.new\ncat > stdin\nmv args.new args\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/hook?token=very-secret", listener.local_addr().unwrap());
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut part) = (String::new(), [0; 4096]);
            while !text.ends_with('}') {
                let more = stream.read(&mut part).unwrap();
                assert!(more > 0, "{text}");
                text.push_str(std::str::from_utf8(&part[..more]).unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            text
        });
        let slow = Slow { run: "r".into(), command: Some(program), agent: agent(), address: Some(address) };
        let (ends, begins) = bounded(4);
        let thread = std::thread::spawn(move || slow.run(&begins));
        let file = dir.path().join("alerts.jsonl");
        let mut sinks = Sinks::open(&file, "r", &AlertSettings::default());
        sinks.slow = Some((ends, thread));
        sinks.tell(&notice());
        sinks.finish();
        let line = std::fs::read_to_string(&file).unwrap();
        let wanted = notice().to_json("r");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), wanted);
        let posted = heard.join().unwrap();
        assert!(
            posted.starts_with("POST /hook?token=very-secret ") && posted.ends_with(&wanted.to_string()),
            "{posted}"
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join("args")).unwrap(),
            "critical|loss|P&L -501 of at most -500\n"
        );
        assert_eq!(std::fs::read_to_string(dir.path().join("stdin")).unwrap(), wanted.to_string());
    }

    #[test]
    fn an_address_is_never_shown() {
        let address = "https://hooks.example.com/T0/secret?x=1";
        let said = without(
            "https://hooks.example.com/T0/secret?x=1: hooks.example.com/T0/secret?x=1: dns: hooks.example.com",
            address,
        );
        assert_eq!(said, "[address]: [address]: dns: [host]");
    }

    #[test]
    fn the_file_is_bounded_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let mut sinks = Sinks::open(&path, "r", &AlertSettings::default());
        sinks.written = FILE_MAX - 10;
        sinks.tell(&notice());
        sinks.tell(&notice());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() == 1 && text.contains("the file is full"), "{text}");
    }
}
