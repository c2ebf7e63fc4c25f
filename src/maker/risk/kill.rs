//! The kill ladder: how much the maker may still do. Depends on no P&L code; only an operator's resume leads back up.

use crate::event::Operator;

/// Why quoting was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum KillReason {
    /// The kill flag in the mapped command page.
    Flag = 1,
    /// The run lost more than it may.
    Loss = 2,
}

/// The rungs, mildest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Ladder {
    /// Quotes.
    #[default]
    Quoting,
    /// Only what shrinks the position.
    ReduceOnly,
    /// Nothing, by an operator's wish.
    Paused,
    /// Nothing, until an operator resumes.
    Killed(KillReason),
}

impl Ladder {
    /// After an operator's word. A killed maker hears only `Resume`; whether orders are cancelled or the position is closed
    /// besides is the caller's part.
    #[must_use]
    pub const fn after(self, word: Operator) -> Self {
        match (word, self) {
            (Operator::Resume, _) => Self::Quoting,
            (Operator::Widen { .. } | Operator::Reload, same) => same,
            (_, Self::Killed(reason)) => Self::Killed(reason),
            (Operator::ReduceOnly, _) => Self::ReduceOnly,
            (Operator::Pause | Operator::CancelAll | Operator::Flatten | Operator::Stop, _) => Self::Paused,
        }
    }

    /// After a kill. The first reason stands.
    #[must_use]
    pub const fn killed(self, reason: KillReason) -> Self {
        match self {
            Self::Killed(first) => Self::Killed(first),
            _ => Self::Killed(reason),
        }
    }

    /// The strategy may decide.
    #[must_use]
    pub const fn may_quote(self) -> bool {
        matches!(self, Self::Quoting | Self::ReduceOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resume_leaves_a_kill() {
        let killed = Ladder::Quoting.killed(KillReason::Loss);
        for word in [Operator::Pause, Operator::ReduceOnly, Operator::CancelAll, Operator::Flatten, Operator::Stop] {
            assert_eq!(killed.after(word), killed, "{word:?}");
        }
        assert_eq!(killed.killed(KillReason::Flag), Ladder::Killed(KillReason::Loss));
        assert_eq!(killed.after(Operator::Resume), Ladder::Quoting);
        assert!(!killed.may_quote());
    }
}
