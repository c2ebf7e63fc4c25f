//! `tuning.md` as data: its entries, and their commands for this host's cores and interface. The file's own head says its format.

use super::host::{self, Host};
use anyhow::{Result, bail};

/// The guide that this program was built with.
const GUIDE: &str = include_str!("../../../tuning.md");

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub title: String,
    pub why: String,
    /// How it is set, and the commands or lines of a file.
    pub set: String,
    pub commands: String,
}

/// All entries, in order.
pub fn entries() -> Result<Vec<Entry>> {
    parse(GUIDE)
}

fn parse(text: &str) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for part in text.split("\n### ").skip(1) {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        let Some((id, title)) = head.split_once(": ") else { bail!("tuning.md: {head:?} is no `ID: title`") };
        let field = |name: &str, next: &str| -> Result<&str> {
            let (begin, end) = (format!("- **{name}:**"), format!("\n- **{next}:**"));
            let after = body.split_once(&begin).map(|(_, after)| after);
            let Some(after) = after else { bail!("tuning.md: {id} has no {name}") };
            Ok(after.split_once(&end).map_or(after, |(inside, _)| inside).trim())
        };
        let (why, set) = (field("Why", "Set")?, field("Set", "Check")?);
        let (text, commands) = set.split_once("```\n").unwrap_or((set, ""));
        found.push(Entry {
            id: id.to_owned(),
            title: title.trim().to_owned(),
            why: why.to_owned(),
            set: text.trim().to_owned(),
            commands: commands.split_once("```").map_or(commands, |(inside, _)| inside).trim().to_owned(),
        });
    }
    Ok(found)
}

/// What to do, with this host's cores and interface in the places of the guide's.
pub fn fix(entry: &Entry, host: &Host) -> String {
    let (engine, io) = (host.engine_core, host.io_core);
    let housekeeping = host.housekeeping();
    let mut commands = entry.commands.replace("2,3", &format!("{engine},{io}"));
    if let Some(nic) = &host.nic {
        commands = commands.replace("eth0", nic);
    }
    match entry.id.as_str() {
        "T-IRQ-AFFINITY" => commands = commands.replace("echo 0-1", &format!("echo {}", host::list(&housekeeping))),
        "T-WORKQUEUES" => commands = commands.replace("echo 3 ", &format!("echo {} ", host::mask(&housekeeping))),
        _ => {}
    }
    let set = entry.set.replace("2,3", &format!("{engine},{io}"));
    let set = set.trim_end_matches(':');
    format!("{set}\n{commands}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_guide_is_whole() {
        let entries = entries().unwrap();
        assert!(entries.len() >= 30, "{}", entries.len());
        for entry in &entries {
            assert!(entry.id.starts_with("T-") && !entry.title.is_empty(), "{entry:?}");
            assert!(!entry.why.is_empty() && !entry.set.is_empty() && !entry.commands.is_empty(), "{entry:?}");
        }
    }

    #[test]
    fn commands_are_for_this_hosts_cores() {
        let host = Host::new("/nowhere".into(), 6, 7, Some("ens5".to_owned()), None);
        let of = |id: &str| fix(entries().unwrap().iter().find(|entry| entry.id == id).unwrap(), &host);
        assert!(of("T-ISOLCPUS").contains("isolcpus=domain,managed_irq,6,7"));
        assert!(of("T-NIC-COALESCE").contains("ethtool -C ens5 "));
        assert!(of("T-IRQ-AFFINITY").contains("IRQBALANCE_BANNED_CPULIST=6,7"));
        assert!(parse("x\n### T-A no colon\n").is_err() && parse("x\n### T-A: title\n- **Why:** w\n").is_err());
    }
}
