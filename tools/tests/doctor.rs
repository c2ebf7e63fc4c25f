//! `sq doctor` on made-up hosts, `sq unit` and `sq incident` on a small run.

mod support;

use std::fs;
use std::path::Path;
use support::{Said, golden, play, played, sq, sq_args};

/// A host as tuning.md wants it, with four cores.
fn good_host(root: &Path) {
    for (path, text) in [
        ("proc/self/status", "Name:\tsq\nUid:\t1000\t1000\t1000\t1000\n"),
        ("proc/net/route", "Iface\tDestination\tGateway\neth9\t0000A8C0\t00000000\nens5\t00000000\t0100A8C0\n"),
        ("proc/cmdline", "quiet isolcpus=domain,managed_irq,2,3 nohz_full=2,3 rcu_nocbs=2,3 rcu_nocb_poll\n"),
        (
            "proc/self/limits",
            "Limit  Soft Limit  Hard Limit  Units\nMax locked memory         unlimited            unlimited            bytes\nMax realtime priority     50                   50\n",
        ),
        ("proc/meminfo", "MemTotal: 1 kB\nSwapTotal:       0 kB\nHugePages_Free:      512\n"),
        ("proc/mounts", "/dev/x / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n"),
        ("proc/cpuinfo", "flags\t\t: fpu constant_tsc nonstop_tsc\n"),
        ("proc/irq/8/effective_affinity_list", "0\n"),
        ("proc/irq/24/effective_affinity_list", "0-1\n"),
        ("proc/irq/default_smp_affinity", "f\n"),
        ("proc/sys/kernel/watchdog", "0\n"),
        ("proc/sys/kernel/sched_rt_runtime_us", "-1\n"),
        ("proc/sys/kernel/numa_balancing", "0\n"),
        ("proc/sys/vm/dirty_background_bytes", "67108864\n"),
        ("proc/sys/vm/dirty_bytes", "1073741824\n"),
        ("proc/sys/net/core/busy_read", "50\n"),
        ("proc/sys/net/core/busy_poll", "50\n"),
        ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "0\n"),
        ("proc/77/maps", "7f00-7f01 r-xp /usr/lib/libonload.so\n"),
        ("sys/devices/system/cpu/present", "0-3\n"),
        ("sys/devices/system/cpu/isolated", "2-3\n"),
        ("sys/devices/system/cpu/nohz_full", "2-3\n"),
        ("sys/devices/system/cpu/smt/active", "0\n"),
        ("sys/devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq", "4000000\n"),
        ("sys/devices/system/cpu/cpu2/cpufreq/scaling_max_freq", "4000000\n"),
        ("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "performance\n"),
        ("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance\n"),
        ("sys/devices/system/cpu/vulnerabilities/spectre_v2", "Not affected\n"),
        ("sys/module/intel_idle/parameters/max_cstate", "1\n"),
        ("sys/devices/virtual/workqueue/cpumask", "3\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
        ("sys/class/net/ens5/device/numa_node", "0\n"),
        ("sys/class/net/ens5/queues/rx-0/rps_cpus", "0\n"),
        ("sys/class/ptp/ptp0/clock_name", "x\n"),
        ("said/ethtool -c ens5", "Coalesce parameters for ens5:\nAdaptive RX: off  TX: off\nrx-usecs:\t0\n"),
        ("said/ethtool -k ens5", "generic-receive-offload: off\nlarge-receive-offload: off [fixed]\n"),
        (
            "said/chronyc tracking",
            "Reference ID    : X\nSystem time     : 0.000012345 seconds fast of NTP time\nLeap status     : Normal\n",
        ),
        ("said/chronyc sources", "MS Name\n#* PHC0   0 2 377\n"),
    ] {
        put(root, path, text);
    }
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn doctor(dir: &Path, more: &str) -> Said {
    sq(dir, &format!("doctor --root host --jitter 0s {more}"))
}

#[test]
fn a_host_as_the_guide_wants_it_passes_every_entry() {
    let dir = tempfile::tempdir().unwrap();
    good_host(&dir.path().join("host"));
    let said = doctor(dir.path(), "--strict");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    let marks: Vec<&str> = said.out.lines().skip(1).filter(|line| !line.starts_with("    ")).collect();
    let (last, marks) = marks.split_last().unwrap();
    assert!(marks.len() >= 30 && marks.iter().all(|line| line.starts_with("ok  T-")), "{}", said.out);
    assert_eq!(*last, format!("{0} of {0} ok", marks.len()));
    golden("doctor_good.txt", &said.out);
}

#[test]
fn what_is_wrong_is_named_with_the_command_that_fixes_it_and_gates_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    good_host(&host);
    for (path, text) in [
        ("sys/devices/system/cpu/isolated", "\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
        ("proc/irq/24/effective_affinity_list", "2\n"),
        ("proc/meminfo", "SwapTotal: 2097148 kB\nHugePages_Free: 0\n"),
        (
            "proc/self/limits",
            "Max locked memory         65536                65536                bytes\nMax realtime priority     0   0\n",
        ),
        ("sys/devices/virtual/workqueue/cpumask", "f\n"),
        (
            "said/chronyc tracking",
            "System time     : 1.5 seconds slow of NTP time\nLeap status     : Not synchronised\n",
        ),
    ] {
        put(&host, path, text);
    }
    fs::remove_file(host.join("said/ethtool -c ens5")).unwrap();
    fs::remove_dir_all(host.join("sys/devices/system/cpu/cpu2")).unwrap();
    let said = doctor(dir.path(), "--strict");
    assert_eq!(said.code, 1);
    golden("doctor_bad.txt", &said.out);
    assert!(
        said.out.contains("; FIX T-ISOLCPUS, T-IRQ-AFFINITY, T-THP, T-MLOCK, T-SWAP, T-TIME-SYNC; "),
        "{}",
        said.out
    );
    let failed = said.out.lines().last().unwrap();
    assert_eq!(failed, "strict: not met: T-ISOLCPUS, T-IRQ-AFFINITY, T-THP, T-MLOCK, T-SWAP, T-TIME-SYNC");
    let excused = "--allow T-ISOLCPUS,T-IRQ-AFFINITY,T-THP,T-MLOCK,T-SWAP,T-TIME-SYNC";
    assert_eq!(doctor(dir.path(), &format!("--strict {excused}")).code, 0);
    // What cannot be seen fails only where it is demanded.
    let demanded = doctor(dir.path(), &format!("--strict {excused} --require T-NIC-COALESCE,T-WORKQUEUES"));
    assert!(
        demanded.code == 1 && demanded.out.ends_with("strict: not met: T-WORKQUEUES, T-NIC-COALESCE\n"),
        "{}",
        demanded.out
    );
    assert_eq!(doctor(dir.path(), "").code, 0, "only --strict gates");
    let json: serde_json::Value = serde_json::from_str(&doctor(dir.path(), "--json --strict").out).unwrap();
    assert_eq!(json["strict_failed"].as_array().unwrap().len(), 6);
    let thp = json["entries"].as_array().unwrap().iter().find(|entry| entry["id"] == "T-THP").unwrap();
    assert_eq!((&thp["verdict"], &thp["policy"]), (&"not met".into(), &"required".into()));
    assert!(doctor(dir.path(), "--allow T-NONSENSE").err.contains("\"T-NONSENSE\" is no entry of tuning.md"));
}

#[test]
fn other_cores_are_looked_at_and_stand_in_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    good_host(&dir.path().join("host"));
    let said = doctor(dir.path(), "--cores 1,3 --only T-ISOLCPUS,T-WORKQUEUES,T-IRQ-AFFINITY");
    assert!(said.out.contains("isolcpus=domain,managed_irq,1,3"), "{}", said.out);
    assert!(said.out.contains("echo 5 > /sys/devices/virtual/workqueue/cpumask"), "{}", said.out);
    assert!(said.out.contains("echo 0,2 | tee") && !said.out.contains("no cores are named"), "{}", said.out);
    // Cores that are not there must not end up in a boot line.
    let said = doctor(dir.path(), "--cores 6,7 --only T-ISOLCPUS");
    assert!(said.out.contains("this host has cores 0-3 only: do NOT apply fixes that name 6 and 7"), "{}", said.out);
}

#[test]
fn this_host_is_looked_at_without_root_and_the_jitter_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let said = sq(dir.path(), "doctor --jitter 50ms --json");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(json["jitter"]["looks"].as_u64().unwrap() > 1_000 && json["jitter"]["max"].as_u64().unwrap() > 0);
    assert!(json["entries"].as_array().unwrap().len() >= 30);
    let text = sq(dir.path(), "doctor --jitter 20ms --only T-TSC");
    assert!(text.out.contains("jitter of a spinning thread "), "{}", text.out);
}

#[test]
fn a_unit_is_printed_for_these_settings_and_bad_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let risk =
        "[risk]\nposition_max = 1\norder_qty_max = 1\norder_notional_max = 1000\nprice_band = 2\nloss_max = 100\n";
    fs::write(dir.path().join("strategy.yml"), "").unwrap();
    fs::write(dir.path().join("engine.toml"), format!("{risk}[threads]\nengine_core = 2\nio_core = 3\nmlock = true\nwait = \"spin\"\n[journal]\nlive_dir = \"/dev/shm\"\n")).unwrap();
    let said = sq(dir.path(), "unit strategy.yml engine.toml");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(
        said.out.contains("\nLimitMEMLOCK=infinity\n")
            && said.out.contains("\nExecStartPre=/usr/local/bin/sq doctor --strict")
    );
    // Where systemd is, it judges the unit itself.
    let path = dir.path().join("spinquote.service");
    let here = said.out.replace("/usr/local/bin/spinquote", "/bin/true").replace("/usr/local/bin/sq", "/bin/true");
    fs::write(&path, here.replace("EnvironmentFile=", "EnvironmentFile=-").replace("User=spinquote", "User=root"))
        .unwrap();
    if let Ok(verdict) = std::process::Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        let text = String::from_utf8_lossy(&verdict.stderr).into_owned();
        assert!(!text.contains("spinquote.service"), "{text}");
    }
    assert!(sq(dir.path(), "unit missing.yml engine.toml").err.contains("missing.yml: no such file"));
    fs::write(dir.path().join("engine.toml"), "[risk]\nposition_max = -1\n").unwrap();
    assert!(sq(dir.path(), "unit strategy.yml engine.toml").err.contains("position_max"));
}

/// Everything in a folder as one text.
fn all(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

#[test]
fn an_incident_holds_the_minutes_around_it_and_no_secret() {
    let mut run = support::Fixture::new();
    play(&mut run);
    run.frame(1, r#"{"e":"outboundAccount","listenKey":"LISTEN-ABCDEF","note":"planted-in-frame token=TOKEN-ABCDEF"}"#);
    run.end();
    let folder = run.run_dir();
    let meta = fs::read_to_string(folder.join("meta.json")).unwrap();
    let planted = meta.replacen(
        '{',
        r#"{ "credentials": {"api_key": "KEY-ABCDEF", "secret": "SECRET-ABCDEF"}, "note": "HUNTER-ABCDEF","#,
        1,
    );
    fs::write(folder.join("meta.json"), planted).unwrap();
    fs::write(
        folder.join("alerts.jsonl"),
        "{\"time_ns\":1700000000000000000,\"alert\":\"loss\",\"severity\":\"critical\",\"change\":\"raised\",\"text\":\"POST https://x/?signature=SIG-ABCDEF\"}\n",
    )
    .unwrap();
    let log = "2023-11-14T22:13:20.5Z  INFO Authorization: Bearer BEARER-ABCDEF\n  its second line\n2023-11-14T22:20:00Z  INFO far away\n\
               2023-11-14T22:13:21Z  INFO -----BEGIN PRIVATE KEY-----\nPEM-ABCDEF\n-----END PRIVATE KEY-----\n";
    fs::write(run.path().join("log.txt"), log).unwrap();
    let args = ["incident", "--at", "22:13:20.1", "--around", "500ms", "--log", "log.txt", "-o", "bundle"];
    let made = support::process(run.path()).env("SPINQUOTE_API_SECRET", "HUNTER-ABCDEF").args(args).output().unwrap();
    let out = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success(), "{out}{}", String::from_utf8_lossy(&made.stderr));
    let bundle = run.path().join("bundle");
    let text = all(&bundle);
    assert!(!text.contains("ABCDEF"), "a secret is in it: {text}");
    let journal = fs::read_to_string(bundle.join("journal.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times: Vec<i64> = rows.iter().map(|row| row["time_ns"].as_i64().unwrap()).collect();
    let at = 1_700_000_000_100_000_000;
    assert!(!rows.is_empty() && times.iter().all(|time| (at - 500_000_000..=at + 500_000_000).contains(time)));
    let log = fs::read_to_string(bundle.join("log.txt")).unwrap();
    assert!(log.contains("its second line") && !log.contains("far away"), "{log}");
    for name in ["bundle.json", "meta.json", "counters.json", "histograms.json", "status.txt", "alerts.jsonl"] {
        assert!(fs::metadata(bundle.join(name)).is_ok_and(|file| file.len() > 2), "{name}");
    }
    let about: serde_json::Value = serde_json::from_slice(&fs::read(bundle.join("bundle.json")).unwrap()).unwrap();
    assert_eq!(about["records"].as_u64(), Some(rows.len() as u64));
    assert!(about["blacked_out"].as_u64().unwrap() >= 5, "{about}");

    // The whole run has the planted frame too, and an archive holds what a folder does.
    let said = sq_args(run.path(), &["incident", "--around", "1h", "-o", "all"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let text = all(&run.path().join("all"));
    assert!(text.contains("planted-in-frame") && !text.contains("LISTEN-ABCDEF") && !text.contains("TOKEN-ABCDEF"));
    let said = run.sq("incident --around 1h");
    assert!(
        said.code == 0 && said.out.starts_with("wrote 20231114-221320-incident.tar.zst: "),
        "{}{}",
        said.out,
        said.err
    );
    assert!(run.sq("incident --around 1h").err.contains("is there already"));
}

#[test]
fn a_damaged_journal_still_makes_a_bundle_that_says_so() {
    let run = played();
    let path = run.run_dir().join("events-000000.sqj");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let said = run.sq("incident --at +0s --around 1h -o bundle");
    assert!(said.code == 0 && said.out.contains("the journal is damaged there"), "{}{}", said.out, said.err);
}
