//! One look per entry of `tuning.md`: what is, what should be, and whether that is met. Only looks.

use super::host::{Host, list, parse_list, parse_mask};
use std::io::ErrorKind;

/// How much an entry matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Without it the tail is another program's: `--strict` demands it.
    Required,
    /// Worth doing on a host of its own.
    Recommended,
    /// A choice with a price; tuning.md says which.
    Optional,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Good,
    Bad,
    /// It could not be seen.
    Unseen,
    /// This host has no such thing.
    NotHere,
}

/// One look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub verdict: Verdict,
    pub is: String,
    pub should: String,
}

/// An entry's check.
pub struct Check {
    pub id: &'static str,
    pub policy: Policy,
    pub look: fn(&Host) -> Finding,
}

const fn check(id: &'static str, policy: Policy, look: fn(&Host) -> Finding) -> Check {
    Check { id, policy, look }
}

use Policy::{Optional, Recommended, Required};

/// Every entry, in the guide's order.
pub static CHECKS: &[Check] = &[
    check("T-BIOS", Recommended, bios),
    check("T-SMT", Required, smt),
    check("T-ISOLCPUS", Required, |host| holds_cores(host, "/sys/devices/system/cpu/isolated")),
    check("T-NOHZ-FULL", Required, |host| holds_cores(host, "/sys/devices/system/cpu/nohz_full")),
    check("T-RCU-NOCBS", Recommended, rcu),
    check("T-MITIGATIONS", Optional, mitigations),
    check("T-GOVERNOR", Required, governor),
    check("T-CSTATES", Recommended, cstates),
    check("T-IRQ-AFFINITY", Required, irqs),
    check("T-WORKQUEUES", Recommended, workqueues),
    check("T-WATCHDOG", Recommended, |host| file_is(host, "/proc/sys/kernel/watchdog", &["0"])),
    check("T-RT-THROTTLING", Optional, |host| file_is(host, "/proc/sys/kernel/sched_rt_runtime_us", &["-1"])),
    check("T-THP", Required, thp),
    check("T-HUGEPAGES", Optional, |host| meminfo(host, "HugePages_Free", "above 0", |pages| pages > 0)),
    check("T-MLOCK", Required, |host| limit(host, "Max locked memory", "unlimited", |_| false)),
    check("T-RTPRIO", Optional, |host| limit(host, "Max realtime priority", "50 or more", |most| most >= 50)),
    check("T-SWAP", Required, |host| meminfo(host, "SwapTotal", "0 kB", |kb| kb == 0)),
    check("T-NUMA", Recommended, numa),
    check("T-DIRTY", Recommended, dirty),
    check("T-LIVE-DIR", Recommended, live_dir),
    check("T-NIC-COALESCE", Recommended, |host| ethtool(host, "-c", &[("Adaptive RX:", "off"), ("rx-usecs:", "0")])),
    check("T-NIC-OFFLOAD", Optional, |host| {
        ethtool(host, "-k", &[("generic-receive-offload:", "off"), ("large-receive-offload:", "off")])
    }),
    check("T-NIC-QUEUES", Optional, queues),
    check("T-BUSY-POLL", Recommended, busy_poll),
    check("T-TCP", Recommended, |host| file_is(host, "/proc/sys/net/ipv4/tcp_slow_start_after_idle", &["0"])),
    check("T-BYPASS", Optional, bypass),
    check("T-CLOCKSOURCE", Required, |host| {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        file_is(host, path, &["tsc", "kvm-clock", "arch_sys_counter"])
    }),
    check("T-TSC", Recommended, tsc),
    check("T-TIME-SYNC", Required, time_sync),
    check("T-PTP", Optional, ptp),
];

fn finding(met: bool, is: impl Into<String>, should: impl Into<String>) -> Finding {
    Finding { verdict: if met { Verdict::Good } else { Verdict::Bad }, is: is.into(), should: should.into() }
}

fn unseen(why: impl Into<String>, should: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::Unseen, is: why.into(), should: should.into() }
}

fn not_here(why: impl Into<String>, should: impl Into<String>) -> Finding {
    Finding { verdict: Verdict::NotHere, is: why.into(), should: should.into() }
}

/// Judges a file's text; one that is missing does not apply here, one that may not be read was not seen.
fn file(host: &Host, path: &str, should: &str, judge: impl FnOnce(&str) -> Finding) -> Finding {
    match host.read(path) {
        Ok(text) => judge(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => not_here(format!("{path} is not there"), should),
        Err(error) => unseen(format!("{path}: {error}"), should),
    }
}

fn file_is(host: &Host, path: &str, good: &[&str]) -> Finding {
    let should = good.join(" or ");
    file(host, path, &should, |text| finding(good.contains(&text), text, &should))
}

fn ours(host: &Host) -> [usize; 2] {
    [host.engine_core, host.io_core]
}

/// A core list that must hold our cores.
fn holds_cores(host: &Host, path: &str) -> Finding {
    let should = list(&ours(host));
    file(host, path, &should, |text| {
        let there = parse_list(text);
        let is = if there.is_empty() { format!("none ({text:?})") } else { text.to_owned() };
        finding(ours(host).iter().all(|core| there.contains(core)), is, format!("holds {should}"))
    })
}

fn bios(host: &Host) -> Finding {
    let of = |name: &str| host.read(&format!("/sys/devices/system/cpu/cpu{}/cpufreq/{name}", host.engine_core));
    let should = "scaling_max_freq at cpuinfo_max_freq";
    match (of("cpuinfo_max_freq"), of("scaling_max_freq")) {
        (Ok(most), Ok(set)) => finding(most == set, format!("{set} of {most} kHz"), should),
        _ => not_here("the kernel does not steer the clock here", should),
    }
}

fn smt(host: &Host) -> Finding {
    let should = "no running sibling of the engine's core";
    if host.read("/sys/devices/system/cpu/smt/active").is_ok_and(|active| active == "0") {
        return finding(true, "off", should);
    }
    let path = format!("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", host.engine_core);
    file(host, &path, should, |text| {
        finding(parse_list(text) == [host.engine_core], format!("cores {text} are one physical core"), should)
    })
}

fn rcu(host: &Host) -> Finding {
    let should = format!("rcu_nocbs holds {}", list(&ours(host)));
    file(host, "/proc/cmdline", &should, |text| {
        let of = |name: &str| text.split_whitespace().find_map(|word| word.strip_prefix(name));
        let there = of("rcu_nocbs=").map(parse_list).unwrap_or_default();
        let is = of("rcu_nocbs=")
            .map_or_else(|| "not on the kernel's command line".to_owned(), |cores| format!("rcu_nocbs={cores}"));
        finding(
            there == [] as [usize; 0] && of("rcu_nocbs=") == Some("all")
                || ours(host).iter().all(|core| there.contains(core)),
            is,
            &should,
        )
    })
}

fn mitigations(host: &Host) -> Finding {
    let should = "Vulnerable or Not affected, if you accept what that means";
    file(host, "/sys/devices/system/cpu/vulnerabilities/spectre_v2", should, |text| {
        finding(text.starts_with("Vulnerable") || text.starts_with("Not affected"), text, should)
    })
}

fn governor(host: &Host) -> Finding {
    let should = "performance on both cores";
    let of = |core: usize| host.read(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"));
    match ours(host).map(of) {
        [Ok(engine), Ok(io)] => {
            finding(engine == "performance" && io == "performance", format!("{engine} and {io}"), should)
        }
        _ => not_here("the kernel does not steer the clock here", should),
    }
}

fn cstates(host: &Host) -> Finding {
    let should = "no state deeper than C1 in use";
    if let Ok(most) = host.read("/sys/module/intel_idle/parameters/max_cstate")
        && matches!(most.as_str(), "0" | "1")
    {
        return finding(true, format!("intel_idle.max_cstate={most}"), should);
    }
    let folder = format!("/sys/devices/system/cpu/cpu{}/cpuidle", host.engine_core);
    let states = host.names(&folder);
    if states.is_empty() {
        return not_here("the kernel knows no idle states here", should);
    }
    let of = |state: &str, name: &str| host.read(&format!("{folder}/{state}/{name}")).unwrap_or_default();
    let slow =
        |state: &&String| of(state, "latency").parse().is_ok_and(|us: u64| us > 10) && of(state, "disable") != "1";
    let deep: Vec<String> = states
        .iter()
        .filter(slow)
        .map(|state| format!("{} ({} us)", of(state, "name"), of(state, "latency")))
        .collect();
    let is = if deep.is_empty() { "only fast ones".to_owned() } else { deep.join(", ") };
    finding(deep.is_empty(), is, should)
}

fn irqs(host: &Host) -> Finding {
    let should = "none goes to our cores";
    let numbers: Vec<String> = host.names("/proc/irq").into_iter().filter(|name| name.parse::<u32>().is_ok()).collect();
    if numbers.is_empty() {
        return unseen("/proc/irq shows none", should);
    }
    let mine = ours(host);
    let there = |number: &String| {
        let text = host.read(&format!("/proc/irq/{number}/effective_affinity_list"));
        let text = text.or_else(|_| host.read(&format!("/proc/irq/{number}/smp_affinity_list"))).ok()?;
        parse_list(&text).iter().any(|core| mine.contains(core)).then(|| number.clone())
    };
    let on_ours: Vec<String> = numbers.iter().filter_map(there).collect();
    let is = match on_ours.as_slice() {
        [] => format!("none of {}", numbers.len()),
        some => format!("{} of {}: {}", some.len(), numbers.len(), some[..some.len().min(8)].join(" ")),
    };
    finding(on_ours.is_empty(), is, should)
}

fn workqueues(host: &Host) -> Finding {
    let should = format!("a mask without cores {}", list(&ours(host)));
    file(host, "/sys/devices/virtual/workqueue/cpumask", &should, |text| {
        let cores = parse_mask(text).unwrap_or_default();
        finding(!cores.is_empty() && !ours(host).iter().any(|core| cores.contains(core)), text, &should)
    })
}

fn thp(host: &Host) -> Finding {
    let should = "[madvise] or [never]";
    file(host, "/sys/kernel/mm/transparent_hugepage/enabled", should, |text| {
        finding(text.contains("[madvise]") || text.contains("[never]"), text, should)
    })
}

fn meminfo(host: &Host, name: &str, should: &str, good: impl Fn(u64) -> bool) -> Finding {
    file(host, "/proc/meminfo", should, |text| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        match line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()) {
            Some(value) => finding(good(value), line.unwrap_or_default().trim(), should),
            None => not_here(format!("/proc/meminfo has no {name}"), should),
        }
    })
}

/// The soft limit of this process: it is to be looked at as the user that starts the engine.
fn limit(host: &Host, name: &str, should: &str, good: impl Fn(u64) -> bool) -> Finding {
    file(host, "/proc/self/limits", should, |text| {
        let soft = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        match soft {
            Some("unlimited") => finding(true, "unlimited", should),
            Some(value) => finding(value.parse().is_ok_and(&good), value, should),
            None => unseen(format!("no {name:?} in /proc/self/limits"), should),
        }
    })
}

fn numa(host: &Host) -> Finding {
    let should = "numa_balancing 0";
    let node = host.nic.as_ref().and_then(|nic| host.read(&format!("/sys/class/net/{nic}/device/numa_node")).ok());
    file(host, "/proc/sys/kernel/numa_balancing", should, |text| {
        let card = node.map_or_else(String::new, |node| format!(", the card is on node {node}"));
        finding(text == "0", format!("numa_balancing {text}{card}"), should)
    })
}

fn dirty(host: &Host) -> Finding {
    let should = "budgets in bytes: background 64 MiB or less, limit 1 GiB or less";
    let of = |name: &str| host.read(&format!("/proc/sys/vm/{name}")).ok()?.parse::<u64>().ok();
    match (of("dirty_background_bytes"), of("dirty_bytes")) {
        (Some(background), Some(most)) => {
            let good = (1..=64 << 20).contains(&background) && (1..=1 << 30).contains(&most);
            finding(good, format!("background {background}, limit {most} (0: a ratio holds)"), should)
        }
        _ => unseen("/proc/sys/vm/dirty_bytes cannot be read", should),
    }
}

fn live_dir(host: &Host) -> Finding {
    let should = "journal.live_dir in memory (tmpfs or hugetlbfs)";
    let (path, named) = match &host.live_dir {
        Some(path) => (path.display().to_string(), true),
        None => ("/dev/shm".to_owned(), false),
    };
    file(host, "/proc/mounts", should, |text| {
        let inside = |mount: &str| mount == "/" || path == mount || path.starts_with(&format!("{mount}/"));
        let found = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (mount, kind) = (words.next()?, words.next()?);
            inside(mount).then(|| (mount.len(), kind.to_owned()))
        });
        let kind = found.max_by_key(|&(len, _)| len).map_or_else(|| "no mount".to_owned(), |(_, kind)| kind);
        let in_memory = matches!(kind.as_str(), "tmpfs" | "hugetlbfs");
        match named {
            true => finding(in_memory, format!("{path} is {kind}"), should),
            false => {
                finding(in_memory, format!("{path} is {kind}; the settings that were given name no live_dir"), should)
            }
        }
    })
}

/// Values of lines of `ethtool FLAG NIC`; several values on a line are all looked at.
fn ethtool(host: &Host, flag: &str, wanted: &[(&str, &str)]) -> Finding {
    let should = wanted.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    let Some(nic) = &host.nic else { return unseen("no network interface found; name it with --nic", should) };
    match host.said("ethtool", &[flag, nic]) {
        Err(why) => unseen(why, should),
        Ok(text) => {
            let value = |name: &str| {
                let line = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
                line.split_whitespace().next().map(str::to_owned)
            };
            let is: Vec<String> = wanted
                .iter()
                .map(|(name, _)| format!("{name} {}", value(name).unwrap_or_else(|| "not said".to_owned())))
                .collect();
            let good = wanted.iter().all(|(name, good)| value(name).as_deref() == Some(good));
            finding(good, is.join(", "), should)
        }
    }
}

fn queues(host: &Host) -> Finding {
    let should = "one or two receive queues";
    let Some(nic) = &host.nic else { return unseen("no network interface found; name it with --nic", should) };
    let names = host.names(&format!("/sys/class/net/{nic}/queues"));
    match names.iter().filter(|name| name.starts_with("rx-")).count() {
        0 => not_here(format!("{nic} shows no queues"), should),
        count => finding(count <= 2, format!("{count} of {nic}"), should),
    }
}

fn busy_poll(host: &Host) -> Finding {
    let should = "busy_read and busy_poll above 0";
    let of = |name: &str| host.read(&format!("/proc/sys/net/core/{name}")).ok()?.parse::<u64>().ok();
    match (of("busy_read"), of("busy_poll")) {
        (Some(read), Some(poll)) => {
            finding(read > 0 && poll > 0, format!("busy_read {read}, busy_poll {poll} us"), should)
        }
        _ => not_here("the kernel has no busy polling", should),
    }
}

fn bypass(host: &Host) -> Finding {
    let should = "a process under onload, VMA or XLIO, if you have such a card";
    let (mut hidden, mut under) = (0, Vec::new());
    for pid in host.names("/proc").into_iter().filter(|name| name.parse::<u32>().is_ok()) {
        match host.read(&format!("/proc/{pid}/maps")) {
            Ok(maps) if ["libonload", "libvma", "libxlio"].iter().any(|name| maps.contains(name)) => under.push(pid),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => hidden += 1,
            _ => {}
        }
    }
    match (under.is_empty(), hidden) {
        (false, _) => finding(true, format!("process {}", under.join(" ")), should),
        (true, 0) => finding(false, "no process", should),
        (true, _) => unseen(format!("no process that can be seen; {hidden} are others'"), should),
    }
}

fn tsc(host: &Host) -> Finding {
    let should = "constant_tsc and nonstop_tsc";
    file(host, "/proc/cpuinfo", should, |text| {
        let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        let is = ["constant_tsc", "nonstop_tsc"].into_iter().filter(|flag| has(flag)).collect::<Vec<_>>().join(" and ");
        let is = if is.is_empty() { "neither".to_owned() } else { is };
        finding(has("constant_tsc") && has("nonstop_tsc"), is, should)
    })
}

fn time_sync(host: &Host) -> Finding {
    let should = "chrony, synchronised, less than 10 ms off";
    match host.said("chronyc", &["tracking"]) {
        Err(why) => unseen(format!("{why}, so nobody says how far off the clock is"), should),
        Ok(text) => {
            let value = |name: &str| {
                text.lines().find_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim().to_owned()))
            };
            let (off, leap) = (value("System time").unwrap_or_default(), value("Leap status").unwrap_or_default());
            let near = off.starts_with("0.00");
            finding(near && leap == "Normal", format!("{off}; {leap}"), should)
        }
    }
}

fn ptp(host: &Host) -> Finding {
    let should = "a PTP clock is the selected source";
    let clocks = host.names("/sys/class/ptp");
    if clocks.is_empty() {
        return not_here("the host has no PTP clock", should);
    }
    match host.said("chronyc", &["sources"]) {
        Err(why) => unseen(why, should),
        Ok(text) => {
            let selected = text.lines().find(|line| line.starts_with("#*")).unwrap_or("none selected");
            finding(selected.contains("PHC"), format!("{}; {selected}", clocks.join(" ")), should)
        }
    }
}
