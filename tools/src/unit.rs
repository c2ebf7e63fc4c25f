//! `sq unit`: a systemd unit for a run with these settings on this host. Prints it; installs nothing.

use anyhow::{Context, Result, bail};
use clap::Args;
use spinquote::config::engine::{CredentialSource, EngineSettings, Wait};
use spinquote::unit::Nanos;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print a systemd unit for a run: cores, limits, hardening, restart policy, and sq doctor before the start.
#[derive(Debug, Args)]
#[command(
    after_help = "The unit restarts a run that was killed by a signal, not one that ended by itself, in order or with a fault: what the loss limit or a\n\
                  fault has stopped is started again by a human. It gives up after three restarts in ten minutes, because each run counts its\n\
                  own loss against risk.loss_max.\n\n\
                  Examples:\n  sq unit strategy.yml engine.toml > /etc/systemd/system/spinquote.service\n  \
                  sq unit strategy.yml engine.toml --paper --user trader --dir /srv/spinquote\n  \
                  sq unit strategy.yml engine.toml --allow T-SMT,T-TIME-SYNC --name spinquote-btc"
)]
pub struct UnitArgs {
    /// The strategy's file.
    #[arg(value_name = "STRATEGY")]
    strategy: PathBuf,
    /// The engine's settings.
    #[arg(value_name = "ENGINE")]
    engine: PathBuf,
    /// Fills on the built-in model instead of the venue.
    #[arg(long)]
    paper: bool,
    /// The user that runs it.
    #[arg(long, value_name = "NAME", default_value = "spinquote")]
    user: String,
    /// Where it runs: files that are not absolute lie there, and the runs.
    #[arg(long, value_name = "DIR", default_value = "/srv/spinquote")]
    dir: PathBuf,
    /// Where spinquote and sq are installed.
    #[arg(long, value_name = "DIR", default_value = "/usr/local/bin")]
    bin: PathBuf,
    /// The unit's name, for its comments.
    #[arg(long, value_name = "NAME", default_value = "spinquote")]
    name: String,
    /// Entries of tuning.md that the start excuses.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    allow: Vec<String>,
    /// Start without `sq doctor --strict` before it.
    #[arg(long)]
    no_doctor: bool,
}

/// Prints it.
pub fn run(args: &UnitArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let settings = match spinquote::config::load::engine(&args.engine) {
        Ok(loaded) => loaded.settings,
        Err(problems) => {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("{}: {}", args.engine.display(), said.join("; "));
        }
    };
    if !args.strategy.is_file() {
        bail!("{}: no such file", args.strategy.display());
    }
    out.write_all(unit(args, &settings)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A path as the unit sees it.
fn placed(dir: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_path_buf() } else { dir.join(path) }
}

/// A path as a word of the unit's command line: systemd splits at blanks and reads `%`, `$`, quotes and `\` itself.
fn word(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{}: not text that a unit can hold", path.display()))?;
    if text.chars().any(char::is_control) {
        bail!("{}: a control character in a path", path.display());
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(if escaped.contains([' ', '\'', '"', ';']) { format!("\"{escaped}\"") } else { escaped })
}

/// As [`word`], for settings that are one path: nothing is split there.
fn whole(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

fn unit(args: &UnitArgs, settings: &EngineSettings) -> Result<String> {
    let UnitArgs { user, name, .. } = args;
    let (engine_file, strategy) = (placed(&args.dir, &args.engine), placed(&args.dir, &args.strategy));
    let threads = &settings.threads;
    let mut lines = vec![
        format!("# {name}: printed by sq unit for these settings; print it again when cores, memory or paths change."),
        format!("# systemctl daemon-reload; systemctl enable --now {name}; journalctl -fu {name}"),
        "[Unit]".to_owned(),
        "Description=spinquote market maker".to_owned(),
        "Wants=network-online.target time-sync.target".to_owned(),
        "After=network-online.target time-sync.target".to_owned(),
        // Beyond this a human has to look: a run that dies at once does so again.
        "StartLimitIntervalSec=600".to_owned(),
        "StartLimitBurst=3".to_owned(),
        String::new(),
        "[Service]".to_owned(),
        "Type=exec".to_owned(),
        format!("User={user}"),
        format!("WorkingDirectory={}", whole(&args.dir)),
    ];
    match settings.credentials.source {
        CredentialSource::Env if !args.paper => {
            let file = format!("/etc/{name}/credentials");
            lines.push(format!(
                "# {} and {}, one NAME=VALUE a line; owned by root, mode 0600. The alerts' address may stand there too:",
                settings.credentials.key_env, settings.credentials.secret_env
            ));
            lines.push(format!("# {}=https://...", settings.alerts.webhook_env));
            lines.push(format!("EnvironmentFile={file}"));
        }
        CredentialSource::Env | CredentialSource::File => {}
    }
    if !args.no_doctor {
        let allow = if args.allow.is_empty() { String::new() } else { format!(" --allow {}", args.allow.join(",")) };
        lines.push(format!(
            "ExecStartPre={} doctor --strict --jitter 0s --engine {}{allow}",
            word(&args.bin.join("sq"))?,
            word(&engine_file)?
        ));
    }
    let paper = if args.paper { " --paper" } else { "" };
    lines.push(format!(
        "ExecStart={} run {} --engine {}{paper}",
        word(&args.bin.join("spinquote"))?,
        word(&strategy)?,
        word(&engine_file)?
    ));
    lines.extend(
        [
            "# One polite signal: it cancels its orders and says what is left. The dead-man switch is behind it.",
            "KillSignal=SIGINT",
            "KillMode=mixed",
        ]
        .map(str::to_owned),
    );
    lines.push(format!("TimeoutStopSec={}", stop_seconds(settings)));
    lines.extend(["Restart=on-abnormal", "RestartSec=10", ""].map(str::to_owned));
    if let (Some(engine), Some(io)) = (threads.engine_core, threads.io_core) {
        lines.push("# The two hot threads pin themselves; the others share the rest with the system.".to_owned());
        lines.push(format!("CPUAffinity={}", affinity(engine as usize, io as usize)));
    } else {
        lines.push("# threads.engine_core and threads.io_core are not set: nothing is pinned.".to_owned());
    }
    if threads.mlock {
        lines.push("LimitMEMLOCK=infinity".to_owned());
    } else {
        lines.push("# threads.mlock is off. With it:".to_owned());
        lines.push("# LimitMEMLOCK=infinity".to_owned());
    }
    lines.extend(
        ["LimitNOFILE=4096", "LimitCORE=0", "OOMScoreAdjust=-900", "MemorySwapMax=0", "TimerSlackNSec=1"]
            .map(str::to_owned),
    );
    if threads.wait == Wait::Spin {
        lines.push(
            "# A spinning SCHED_OTHER thread on an isolated core needs no real-time priority (T-RTPRIO).".to_owned(),
        );
    }
    lines.push(String::new());
    lines.push("# It needs the network, its directory, and nothing else.".to_owned());
    lines.extend(
        [
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "AmbientCapabilities=",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "ProtectKernelTunables=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelLogs=yes",
            "ProtectControlGroups=yes",
            "ProtectClock=yes",
            "ProtectHostname=yes",
            "ProtectProc=invisible",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "RestrictNamespaces=yes",
            "RestrictSUIDSGID=yes",
            "LockPersonality=yes",
            "MemoryDenyWriteExecute=yes",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "UMask=0077",
        ]
        .map(str::to_owned),
    );
    let mut writable = vec![word(&placed(&args.dir, &settings.journal.dir))?];
    if let Some(live) = &settings.journal.live_dir {
        writable.push(word(&placed(&args.dir, live))?);
    }
    lines.push(format!("# They must be there before the start: install -d -o {user} {}", writable[0]));
    lines.push(format!("ReadWritePaths={}", writable.join(" ")));
    if let Some(program) = &settings.alerts.command {
        lines.push(format!("# alerts.command {} runs under all of this too.", program.display()));
    }
    lines.extend(["", "[Install]", "WantedBy=multi-user.target", ""].map(str::to_owned));
    Ok(lines.join("\n"))
}

/// Longer than the end of a run takes: the last cancels, the venue's silence, the last calls.
fn stop_seconds(settings: &EngineSettings) -> i64 {
    (Nanos::from_secs(30).0 + 4 * settings.orders.ack_timeout.0) / 1_000_000_000
}

/// All cores: the pinned ones must be in the set, or the kernel refuses the pinning.
fn affinity(engine: usize, io: usize) -> String {
    let most = engine.max(io).max(std::thread::available_parallelism().map_or(1, usize::from) - 1);
    format!("0-{most}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> UnitArgs {
        UnitArgs {
            strategy: "strategy.yml".into(),
            engine: "engine.toml".into(),
            paper: false,
            user: "trader".to_owned(),
            dir: "/srv/spin quote%1".into(),
            bin: "/usr/local/bin".into(),
            name: "spinquote".to_owned(),
            allow: vec!["T-SMT".to_owned()],
            no_doctor: false,
        }
    }

    #[test]
    fn settings_become_cores_limits_and_paths() {
        let mut settings = EngineSettings::demo();
        (settings.threads.engine_core, settings.threads.io_core) = (Some(900), Some(901));
        settings.threads.mlock = true;
        settings.journal.live_dir = Some("/dev/shm".into());
        let text = unit(&args(), &settings).unwrap();
        for line in [
            "User=trader",
            "WorkingDirectory=/srv/spin quote%%1",
            "CPUAffinity=0-901",
            "LimitMEMLOCK=infinity",
            "EnvironmentFile=/etc/spinquote/credentials",
            "ReadWritePaths=\"/srv/spin quote%%1/runs\" /dev/shm",
            "ExecStartPre=/usr/local/bin/sq doctor --strict --jitter 0s --engine \"/srv/spin quote%%1/engine.toml\" --allow T-SMT",
            "ExecStart=/usr/local/bin/spinquote run \"/srv/spin quote%%1/strategy.yml\" --engine \"/srv/spin quote%%1/engine.toml\"",
            "Restart=on-abnormal",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        // Comments and three sections, every other line a setting.
        assert!(text.lines().all(|line| {
            line.is_empty()
                || line.starts_with(['#', '['])
                || line.split_once('=').is_some_and(|(key, _)| !key.contains(' '))
        }));
    }

    #[test]
    fn a_paper_run_has_no_credentials_and_no_doctor_if_so_asked() {
        let args = UnitArgs { paper: true, no_doctor: true, ..args() };
        let text = unit(&args, &EngineSettings::demo()).unwrap();
        assert!(
            text.contains("--paper\n") && !text.contains("\nEnvironmentFile") && !text.contains("ExecStartPre"),
            "{text}"
        );
        assert!(text.contains("\n# LimitMEMLOCK=infinity\n") && text.contains("nothing is pinned"), "{text}");
    }
}
