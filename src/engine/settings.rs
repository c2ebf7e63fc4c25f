//! The strategy file of a run, watched while the run goes on: what changed in it is checked whole here, off the engine thread, and
//! handed over as a value that only has to be swapped in. Decides nothing and applies nothing.

use crate::config::load::{self, Strategy};
use crate::config::problem::Problem;
use crate::config::reload::{Reload, reload};
use crate::instrument::InstrumentId;
use crate::maker::recipe::StrategyText;
use crate::unit::Nanos;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// How often the file is looked at.
pub const LOOK_EVERY: Nanos = Nanos::from_secs(1);
/// Longest text that is taken over: the engine thread copies it into the journal.
pub const TEXT_MAX: usize = 64 << 10;

/// New settings on their way to the engine thread, and what they replaced on the way back.
pub struct HotSettings {
    /// Whose.
    pub instrument: InstrumentId,
    /// The file's text, for the journal.
    pub text: String,
    /// The settings in it.
    pub settings: Strategy,
}

/// Asks for a look at the strategy file without waiting for it to rest. Any thread may; it never waits.
#[derive(Clone, Default)]
pub struct ReloadRequest(Arc<AtomicBool>);

impl ReloadRequest {
    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once for what was asked since the last time.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// What a look at the file found.
pub enum Look {
    /// Nothing new, or something that is still being written.
    Same,
    /// The file cannot be used; the settings stay as they are.
    Refused(Vec<Problem>),
    /// These keys have other values.
    Changed {
        /// The new settings.
        new: Box<HotSettings>,
        /// The keys.
        keys: Vec<&'static str>,
        /// Allowed, but worth a line.
        warnings: Vec<Problem>,
    },
}

/// The watched file.
pub struct SettingsFile {
    file: String,
    path: PathBuf,
    instrument: InstrumentId,
    /// The settings in use, as far as they were handed over.
    running: Strategy,
    /// The text that was judged last.
    judged: String,
    /// A text that was seen once: it is judged when the next look finds the same, so that half a file is not taken for a whole one.
    resting: Option<String>,
    /// When the file was changed last and its length, as the last look found them with nothing left to judge.
    stamp: Option<(SystemTime, u64)>,
    unreadable: bool,
    request: ReloadRequest,
    due: Nanos,
}

impl SettingsFile {
    /// Watches the file that `strategy` was read from; `None` where there is none, as with the demo's built-in strategy.
    #[must_use]
    pub fn watch(strategy: &StrategyText, instrument: InstrumentId, request: ReloadRequest) -> Option<Self> {
        let path = PathBuf::from(&strategy.file);
        // The text itself need not be that of the file any more: then this is its first change.
        if !path.is_file() {
            return None;
        }
        Some(Self {
            file: strategy.file.clone(),
            path,
            instrument,
            running: strategy.settings(&strategy.text).ok()?,
            judged: strategy.text.clone(),
            resting: None,
            stamp: None,
            unreadable: false,
            request,
            due: Nanos::ZERO,
        })
    }

    /// Looks at the file if it is time to, or if somebody asked.
    pub fn look(&mut self, now: Nanos) -> Look {
        let asked = self.request.take();
        if !asked && now < self.due {
            return Look::Same;
        }
        self.due = now + LOOK_EVERY;
        let stamp = std::fs::metadata(&self.path).and_then(|meta| Ok((meta.modified()?, meta.len()))).ok();
        if !asked && stamp.is_some() && stamp == self.stamp {
            return Look::Same;
        }
        let text = match load::read_text(&self.path) {
            Ok(text) => text,
            // Said once; an editor may be about to put the file back.
            Err(_) if self.unreadable && !asked => return Look::Same,
            Err(problem) => {
                self.unreadable = true;
                return Look::Refused(vec![problem]);
            }
        };
        self.unreadable = false;
        if text == self.judged && !asked {
            (self.resting, self.stamp) = (None, stamp);
            return Look::Same;
        }
        if !asked && self.resting.as_ref() != Some(&text) {
            self.resting = Some(text);
            return Look::Same;
        }
        (self.resting, self.stamp) = (None, stamp);
        self.judged.clone_from(&text);
        self.judge(text)
    }

    fn judge(&self, text: String) -> Look {
        if text.len() > TEXT_MAX {
            let message = format!("{} bytes; longer than what can be taken over while the engine runs", text.len());
            return Look::Refused(vec![Problem::of_file(&self.file, message, format!("at most {TEXT_MAX} bytes"))]);
        }
        match reload(&self.file, &text, &self.running) {
            Err(problems) => Look::Refused(problems),
            Ok(Reload { changed, .. }) if changed.is_empty() => Look::Same,
            Ok(Reload { settings, changed, warnings }) => {
                let new = Box::new(HotSettings { instrument: self.instrument, text, settings });
                Look::Changed { new, keys: changed, warnings }
            }
        }
    }

    /// These settings are in use from now on: the next change is compared with them.
    pub fn took_over(&mut self, settings: &Strategy) {
        self.running.clone_from(settings);
    }

    /// The settings in use.
    #[must_use]
    pub const fn running(&self) -> &Strategy {
        &self.running
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reference;
    use crate::maker::recipe::StrategyKind;

    struct Desk {
        dir: tempfile::TempDir,
        file: SettingsFile,
        request: ReloadRequest,
        text: String,
        now: Nanos,
    }

    impl Desk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s.yml");
            let text = reference::template("perpetual_market_making").unwrap();
            std::fs::write(&path, &text).unwrap();
            let strategy = StrategyText {
                kind: StrategyKind::PerpetualMarketMaking,
                file: path.display().to_string(),
                text: text.clone(),
            };
            let request = ReloadRequest::default();
            let file = SettingsFile::watch(&strategy, InstrumentId(0), request.clone()).unwrap();
            Self { dir, file, request, text, now: Nanos::from_secs(1) }
        }

        fn write(&self, text: &str) {
            std::fs::write(self.dir.path().join("s.yml"), text).unwrap();
        }

        /// What a look a second later finds, in short.
        fn look(&mut self) -> String {
            self.now += LOOK_EVERY;
            match self.file.look(self.now) {
                Look::Same => "same".to_owned(),
                Look::Refused(problems) => format!("refused {}", problems[0].key),
                Look::Changed { new, keys, .. } => {
                    self.file.took_over(&new.settings);
                    format!("changed {}", keys.join(" "))
                }
            }
        }

        fn spread(&self, percent: &str) -> String {
            let line = self.text.lines().find(|line| line.starts_with("bid_spread:")).unwrap();
            self.text.replace(line, &format!("bid_spread: {percent}"))
        }
    }

    #[test]
    fn a_change_is_judged_once_it_rests() {
        let mut desk = Desk::new();
        assert_eq!(desk.look(), "same");
        desk.write(&desk.spread("0.7"));
        assert_eq!(desk.look(), "same");
        // Still being written.
        desk.write(&desk.spread("0.75"));
        assert_eq!(desk.look(), "same");
        assert_eq!(desk.look(), "changed bid_spread");
        assert_eq!([desk.look(), desk.look()], ["same", "same"]);
        desk.write(&desk.text.clone());
        assert_eq!([desk.look(), desk.look()], ["same", "changed bid_spread"], "back to what it was");
    }

    #[test]
    fn a_bad_file_is_refused_once_and_changes_nothing() {
        let mut desk = Desk::new();
        desk.write(&desk.spread("-3"));
        assert_eq!([desk.look(), desk.look(), desk.look()], ["same", "refused bid_spread", "same"]);
        desk.write(&desk.text.replace("leverage: ", "leverage: 1"));
        assert_eq!([desk.look(), desk.look(), desk.look()], ["same", "refused leverage", "same"]);
        std::fs::remove_file(desk.dir.path().join("s.yml")).unwrap();
        assert_eq!([desk.look(), desk.look()], ["refused ", "same"]);
        desk.write(&desk.spread("0.9"));
        assert_eq!([desk.look(), desk.look()], ["same", "changed bid_spread"]);
    }

    #[test]
    fn who_asks_does_not_wait() {
        let mut desk = Desk::new();
        desk.write(&desk.spread("0.7"));
        desk.request.ask();
        assert!(matches!(desk.file.look(Nanos::ZERO), Look::Changed { .. }));
        // Not handed over: asked again, it is told again.
        desk.request.ask();
        assert_eq!(desk.look(), "changed bid_spread");
        desk.request.ask();
        assert_eq!(desk.look(), "same");
    }

    #[test]
    fn a_strategy_without_a_file_is_not_watched() {
        let text = reference::template("perpetual_market_making").unwrap();
        let strategy = StrategyText { kind: StrategyKind::PerpetualMarketMaking, file: "no such file".into(), text };
        assert!(SettingsFile::watch(&strategy, InstrumentId(0), ReloadRequest::default()).is_none());
    }
}
