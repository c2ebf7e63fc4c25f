//! The automaton of one order slot, as a table: what is known of the order, what may arrive, what follows. No data, no time.

/// What is known of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
#[repr(u8)]
pub enum State {
    /// Asked for, not yet confirmed.
    PendingNew = 0,
    /// Rests, nothing executed.
    Live = 1,
    /// Rests, partially executed.
    Partial = 2,
    /// Rests; an amend is under way.
    PendingAmend = 3,
    /// Rests; a cancel is under way (an amend perhaps too, sent before it).
    PendingCancel = 4,
    /// Nobody knows whether the new order exists: it is being asked for.
    UnknownNew = 5,
    /// It existed; what an amend or a cancel did is not known: it is being asked for.
    Unknown = 6,
    /// Believed to be gone on weaker ground than the venue's report of its end (refused, not found): a sign of life revives it.
    Presumed = 7,
    /// Gone for good, by the venue's word.
    #[default]
    Done = 8,
}

/// What can happen to an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Input {
    /// The venue confirms that it rests.
    Accepted = 0,
    /// The outstanding amend was carried out.
    Amended = 1,
    /// An execution that leaves a rest.
    PartFill = 2,
    /// The execution that completes it.
    Complete = 3,
    /// Cancelled, expired, or closed by the answer to a query.
    Gone = 4,
    /// The new order was refused.
    Refused = 5,
    /// The outstanding amend was refused.
    AmendRefused = 6,
    /// The outstanding cancel was refused.
    CancelRefused = 7,
    /// The outstanding request did not leave: nothing happened at the venue.
    Unsent = 8,
    /// The outcome of the outstanding request is not known.
    Lost = 9,
    /// The venue knows no such order (said often and late enough to be believed).
    Absent = 10,
    /// Answer to a query: it rests.
    Open = 11,
    /// We send an amend.
    SendAmend = 12,
    /// We send a cancel.
    SendCancel = 13,
}

/// What follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The order is now in this state.
    To(State),
    /// Old news: the state stays.
    Stay,
    /// We must never do this.
    Never,
}

const INPUTS: usize = 14;

/// Rows in the order of [`State`], columns in the order of [`Input`].
static TABLE: [[Step; INPUTS]; 9] = {
    use State::{Done as D, Live as L, Partial as P, PendingAmend, PendingCancel, Presumed, Unknown, UnknownNew};
    use Step::{Never as X, Stay as o, To};
    const DONE: Step = To(D);
    const LIVE: Step = To(L);
    const PART: Step = To(P);
    const ASK: Step = To(Unknown);
    const BELIEVED: Step = To(Presumed);
    const LOST: Step = To(UnknownNew);
    const AMEND: Step = To(PendingAmend);
    const CANCEL: Step = To(PendingCancel);
    [
        //  accept amended part  comple gone  refused   am-ref ca-ref unsent lost  absent    open  send-am send-ca
        [LIVE, o, PART, DONE, DONE, BELIEVED, o, o, DONE, LOST, o, LIVE, X, X], // PendingNew
        [o, o, PART, DONE, DONE, ASK, o, o, o, ASK, o, o, AMEND, CANCEL],       // Live
        [o, o, o, DONE, DONE, ASK, o, o, o, ASK, o, o, AMEND, CANCEL],          // Partial
        [o, LIVE, o, DONE, DONE, ASK, ASK, o, LIVE, ASK, o, o, X, CANCEL],      // PendingAmend
        [o, o, o, DONE, DONE, ASK, o, ASK, LIVE, ASK, o, o, X, X],              // PendingCancel
        [LIVE, o, PART, DONE, DONE, BELIEVED, o, o, o, o, BELIEVED, LIVE, X, X], // UnknownNew
        [o, o, o, DONE, DONE, o, o, o, o, o, BELIEVED, LIVE, X, X],             // Unknown
        [LIVE, o, PART, DONE, DONE, o, o, o, o, o, o, LIVE, X, X],              // Presumed
        [o, o, o, o, o, o, o, o, o, o, o, o, X, X],                             // Done
    ]
};

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 9] = [
        Self::PendingNew,
        Self::Live,
        Self::Partial,
        Self::PendingAmend,
        Self::PendingCancel,
        Self::UnknownNew,
        Self::Unknown,
        Self::Presumed,
        Self::Done,
    ];

    /// What `input` does to an order in this state.
    #[must_use]
    pub fn on(self, input: Input) -> Step {
        TABLE[self as usize][input as usize]
    }

    /// It may exist at the venue: it counts in the worst case and in the strategy's view.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Presumed | Self::Done)
    }

    /// It must be asked for.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::UnknownNew | Self::Unknown)
    }

    /// A new order, an amend or a cancel is under way.
    #[must_use]
    pub const fn awaits_answer(self) -> bool {
        matches!(self, Self::PendingNew | Self::PendingAmend | Self::PendingCancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_by_the_venues_word_is_final() {
        assert!(TABLE[State::Done as usize].iter().all(|step| !matches!(step, Step::To(_))));
        for state in State::ALL.into_iter().filter(|&s| s != State::Done) {
            assert_eq!(state.on(Input::Gone), Step::To(State::Done), "{state:?}");
            assert_eq!(state.on(Input::Complete), Step::To(State::Done), "{state:?}");
        }
    }

    #[test]
    fn we_send_only_to_a_resting_order_and_one_replace_at_a_time() {
        for state in State::ALL {
            let resting = matches!(state, State::Live | State::Partial);
            assert_eq!(state.on(Input::SendAmend) != Step::Never, resting, "{state:?}");
            let cancellable = resting || state == State::PendingAmend;
            assert_eq!(state.on(Input::SendCancel) != Step::Never, cancellable, "{state:?}");
        }
    }

    #[test]
    fn a_lost_outcome_is_asked_for_and_absence_is_only_believed_when_asked() {
        for state in State::ALL.into_iter().filter(|s| s.awaits_answer()) {
            assert!(matches!(state.on(Input::Lost), Step::To(next) if next.is_unknown()), "{state:?}");
        }
        for state in State::ALL {
            assert_eq!(matches!(state.on(Input::Absent), Step::To(_)), state.is_unknown(), "{state:?}");
        }
    }

    #[test]
    fn acks_and_stream_events_in_either_order_end_alike() {
        use Input::{Accepted, Complete, PartFill};
        let run = |inputs: &[Input]| {
            inputs.iter().fold(State::PendingNew, |state, &input| match state.on(input) {
                Step::To(next) => next,
                Step::Stay => state,
                Step::Never => panic!("{state:?} {input:?}"),
            })
        };
        assert_eq!(run(&[Accepted, Accepted, PartFill, Complete]), State::Done);
        assert_eq!(run(&[PartFill, Accepted, Complete, Accepted]), State::Done);
        assert_eq!(run(&[Complete, PartFill, Accepted]), State::Done);
        assert_eq!(run(&[PartFill, Accepted]), State::Partial);
        assert_eq!(run(&[Input::Refused, Accepted]), State::Live, "a refusal that was not true");
    }
}
