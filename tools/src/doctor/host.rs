//! A host seen through a root directory, so that a made-up one can be looked at. Reads files and asks programs that change nothing.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The host.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    pub engine_core: usize,
    pub io_core: usize,
    /// The market-data interface.
    pub nic: Option<String>,
    /// `journal.live_dir` of the settings.
    pub live_dir: Option<PathBuf>,
    /// This process may see everything.
    pub is_root: bool,
}

impl Host {
    /// Looks below `root`; the interface is that of the default route unless it is named.
    pub fn new(
        root: PathBuf,
        engine_core: usize,
        io_core: usize,
        nic: Option<String>,
        live_dir: Option<PathBuf>,
    ) -> Self {
        let mut host = Self { root, engine_core, io_core, nic, live_dir, is_root: false };
        host.is_root = host.status_word("Uid:") == Some(0);
        if host.nic.is_none() {
            let routes = host.read("/proc/net/route").unwrap_or_default();
            let default = routes.lines().skip(1).map(str::split_whitespace).find_map(|mut words| {
                let (name, to) = (words.next()?, words.next()?);
                (to == "00000000").then(|| name.to_owned())
            });
            host.nic = default;
        }
        host
    }

    fn status_word(&self, name: &str) -> Option<u64> {
        let status = self.read("/proc/self/status").ok()?;
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without the blanks around it.
    pub fn read(&self, path: &str) -> io::Result<String> {
        // `fs::read`: files of /proc and /sys have no length, and some text is no UTF-8.
        let bytes = std::fs::read(self.path(path))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The names in a directory, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let listing = std::fs::read_dir(self.path(path)).into_iter().flatten();
        let mut names: Vec<String> =
            listing.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
        names.sort();
        names
    }

    /// What a program says; in a made-up host the file `said/PROGRAM ARGUMENTS` says it.
    pub fn said(&self, program: &str, args: &[&str]) -> Result<String, String> {
        if self.root.as_os_str() != "/" {
            let line = format!("said/{program} {}", args.join(" "));
            return self.read(&line).map_err(|_| format!("{program} is not there"));
        }
        let output = Command::new(program).args(args).stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
                Err(format!("{program}: {said}"))
            }
            Err(_) => Err(format!("{program} is not there")),
        }
    }

    /// Cores of this host.
    pub fn cores(&self) -> Vec<usize> {
        self.read("/sys/devices/system/cpu/present").map(|text| parse_list(&text)).unwrap_or_default()
    }

    /// Cores for everything but the engine and its I/O thread.
    pub fn housekeeping(&self) -> Vec<usize> {
        let mine = [self.engine_core, self.io_core];
        let rest: Vec<usize> = self.cores().into_iter().filter(|core| !mine.contains(core)).collect();
        if rest.is_empty() { vec![0, 1] } else { rest }
    }
}

/// The kernel's list form, `2-4,7`; what is no list is empty.
pub fn parse_list(text: &str) -> Vec<usize> {
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(first.trim().parse().ok()?..=last.trim().parse().ok()?),
        None => part.trim().parse().ok().map(|one: usize| one..=one),
    };
    text.split(',').filter_map(part).flatten().collect()
}

/// Cores in the kernel's list form.
pub fn list(cores: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => parts.push((core, core)),
        }
    }
    let part =
        |&(first, last): &(usize, usize)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// Cores as the kernel's hexadecimal mask, 32 bits a word.
pub fn mask(cores: &[usize]) -> String {
    let words = cores.iter().max().map_or(1, |most| most / 32 + 1);
    let mut bits = vec![0_u32; words];
    cores.iter().for_each(|core| bits[core / 32] |= 1 << (core % 32));
    let mut text = format!("{:x}", bits[words - 1]);
    bits[..words - 1].iter().rev().for_each(|word| text.push_str(&format!(",{word:08x}")));
    text
}

/// The cores in a hexadecimal mask.
pub fn parse_mask(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for (at, word) in text.trim().split(',').rev().enumerate() {
        let bits = u32::from_str_radix(word, 16).ok()?;
        cores.extend((0..32).filter(|bit| bits >> bit & 1 == 1).map(|bit| at * 32 + bit));
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_masks_round_trip() {
        assert_eq!(parse_list("0-1, 4,6-7"), [0, 1, 4, 6, 7]);
        assert_eq!((parse_list(""), parse_list("(null)")), (vec![], vec![]));
        for cores in [vec![0, 1], vec![0, 1, 4, 6, 7], vec![31, 32, 63], vec![5, 64]] {
            assert_eq!(parse_list(&list(&cores)), cores);
            assert_eq!(parse_mask(&mask(&cores)), Some(cores));
        }
        assert_eq!((mask(&[0, 1]), mask(&[32])), ("3".to_owned(), "1,00000000".to_owned()));
        assert_eq!(parse_mask("xyz"), None);
    }
}
