//! A decision record: its bytes and the names of its codes. The layout is that of `maker::Decision::to_bytes`; a code of a later version
//! stays a number.

use crate::text::{coded, name};
use spinquote::event::{ClientId, Operator};
use spinquote::instrument::InstrumentId;
use spinquote::journal::record::RecordError;
use spinquote::maker::strategy::{Cause, Phase, Purpose, WhyNot};
use spinquote::maker::{DecisionKind, KillReason, MarginLevel, Refusal};
use spinquote::unit::{Lots, Price, Ticks};

/// A table of all variants of an enum; one that is missing does not compile.
macro_rules! codes {
    ($($table:ident = $type:ident { $($variant:ident),* $(,)? })*) => { $(
        const $table: &[$type] = {
            const fn is_listed(variant: $type) -> bool {
                match variant { $($type::$variant => true),* }
            }
            assert!(is_listed([$($type::$variant),*][0]));
            &[$($type::$variant),*]
        };
    )* };
}
codes! {
    DECISIONS = DecisionKind {
        Placed, Amended, Canceled, Kept, Refused, Rejected, Withdrawn, Ready, Unknown, Corrected, Foreign, Leftover,
        Killed, Reconcile, Flat, FlattenFailed, Gap, Operator, Margin,
    }
    CAUSES = Cause {
        None, Refresh, Quote, MinimumSpread, PositionOpened, TakeProfit, StopLoss, Withdraw, Operator, Risk,
        Reconcile, LevelExpired, Reprice,
    }
    PURPOSES = Purpose {
        Entry, TakeProfit, StopLoss, Adopted, Flatten,
    }
    REFUSALS = Refusal {
        Killed, Paused, ReduceOnly, Position, OrderQty, OrderNotional, PriceBand, Crossing, PriceRange, QtyRange,
        NotionalMin, PercentPrice, OrdersMax, OrderRate, MessageRate, StaleData, ClockSkew, NoMid, NoSlot, BackOff,
        OutputFull,
    }
    KILLS = KillReason {
        Flag, Loss,
    }
    MARGINS = MarginLevel {
        Fine, Low, Danger,
    }
    PHASES = Phase {
        Starting, Quoting, Waiting, Holding, Stopping, Closing, Reducing, Killed, HighFunding, LowMargin, Volatile,
        NoPosition, NoPrice, WrongMode, SwitchedOff,
    }
    WHY_NOTS = WhyNot {
        Phase, Ceiling, Floor, TooSmall, Balance, WouldTake, ThinBook, NearCap, Cap, BelowBase, AboveBase, NoPrice,
    }
}
/// What may stand in the way of quotes: the bits of a `Withdrawn` decision and of the page's `blocks`, lowest first.
pub const BLOCKS: [&str; 12] = [
    "book",
    "market",
    "stale",
    "private",
    "entry",
    "reconcile",
    "mismatch",
    "ladder",
    "stop",
    "flatten",
    "clock",
    "source",
];
/// The maker's code for "no refusal".
const NO_REFUSAL: u8 = 255;

/// What a decision record says, in codes.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    pub reference: Price,
    pub client_id: ClientId,
    pub price: Ticks,
    pub qty: Lots,
    pub detail: i64,
    pub instrument: InstrumentId,
    kind: u8,
    cause: u8,
    pub side: u8,
    purpose: u8,
    pub level: u8,
    refusal: u8,
}

impl Decided {
    /// Bytes of the payload.
    pub const SIZE: usize = 64;

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, RecordError> {
        let Ok(bytes) = <&[u8; Self::SIZE]>::try_from(payload) else {
            let more = payload.len().checked_sub(Self::SIZE);
            return Err(more.map_or(RecordError::Short, RecordError::Long));
        };
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let i64_at = |at: usize| (u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32).cast_signed();
        let reference = u128::from(i64_at(0).cast_unsigned()) | u128::from(i64_at(8).cast_unsigned()) << 64;
        let [kind, cause, side, purpose, level, refusal] = [50, 51, 52, 53, 54, 55].map(|at| bytes[at]);
        Ok(Self {
            reference: Price(reference.cast_signed()),
            client_id: ClientId { run: u32_at(16), seq: u32_at(20) },
            price: Ticks(i64_at(24)),
            qty: Lots(i64_at(32)),
            detail: i64_at(40),
            instrument: InstrumentId(u16::from_le_bytes([bytes[48], bytes[49]])),
            kind,
            cause,
            side,
            purpose,
            level,
            refusal,
        })
    }

    /// What was decided.
    pub fn what(&self) -> String {
        coded(DECISIONS, |kind| kind as u8, self.kind)
    }

    /// Why.
    pub fn cause(&self) -> String {
        coded(CAUSES, |cause| cause as u8, self.cause)
    }

    /// Why the order exists, by its number.
    pub const fn purpose_code(&self) -> u8 {
        self.purpose
    }

    /// Why the order exists.
    pub fn purpose(&self) -> String {
        coded(PURPOSES, |purpose| purpose as u8, self.purpose)
    }

    /// The gate's reason.
    pub fn refusal(&self) -> Option<String> {
        (self.refusal != NO_REFUSAL && self.is(DecisionKind::Refused))
            .then(|| coded(REFUSALS, |refusal| refusal as u8, self.refusal))
    }

    /// What stands in the way of quoting.
    pub fn blocks(&self) -> Option<String> {
        self.is(DecisionKind::Withdrawn).then(|| blocks(self.detail))
    }

    /// Why quoting was killed, or what an operator said.
    pub fn reason(&self) -> Option<String> {
        let code = u8::try_from(self.detail).unwrap_or(0);
        match self.kind {
            _ if self.is(DecisionKind::Killed) => Some(coded(KILLS, |reason| reason as u8, code)),
            _ if self.is(DecisionKind::Operator) => Some(verb_name(code)),
            _ if self.is(DecisionKind::Margin) => {
                let level = coded(MARGINS, |level| level as u8, self.level);
                let sign = if self.detail < 0 { "-" } else { "" };
                Some(format!("{level} at {sign}{}.{:02}%", self.detail.abs() / 100, self.detail.abs() % 100))
            }
            _ => None,
        }
    }

    fn is(&self, kind: DecisionKind) -> bool {
        self.kind == kind as u8
    }
}

/// The name behind a code of the counters page.
fn named<T: Copy + std::fmt::Debug>(all: &[T], code_of: impl Fn(T) -> u8, code: i64) -> String {
    coded(all, code_of, u8::try_from(code).unwrap_or(u8::MAX))
}

/// What a strategy is about.
pub fn phase_name(code: i64) -> String {
    named(PHASES, |phase| phase as u8, code)
}

/// Why a side is not quoted.
pub fn why_not_name(code: i64) -> String {
    named(WHY_NOTS, |why| why as u8, code)
}

/// Why an order exists.
pub fn purpose_name(code: i64) -> String {
    named(PURPOSES, |purpose| purpose as u8, code)
}

/// The name of an operator's command by its number.
pub fn verb_name(code: u8) -> String {
    let word = |verb: Operator| name(verb).split(' ').next().unwrap_or_default().to_owned();
    Operator::of(code, Operator::WIDEN_MIN).map_or_else(|| format!("code-{code}"), word)
}

/// The names of a set of blocks.
fn blocks(bits: i64) -> String {
    let set: Vec<&str> =
        BLOCKS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
    set.join("+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use spinquote::event::Side;
    use spinquote::maker::{Blocks, Decision};

    #[test]
    fn codes_of_the_maker_stand_at_their_numbers() {
        assert!(DECISIONS.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        assert!(CAUSES.iter().enumerate().all(|(at, cause)| *cause as usize == at));
        assert!(PURPOSES.iter().enumerate().all(|(at, purpose)| *purpose as usize == at));
        assert!(REFUSALS.iter().enumerate().all(|(at, refusal)| *refusal as usize == at));
        assert!(PHASES.iter().enumerate().all(|(at, phase)| *phase as usize == at));
        assert!(WHY_NOTS.iter().enumerate().all(|(at, why)| *why as usize == at + 1));
        assert_eq!(
            (phase_name(8), why_not_name(10), phase_name(-1)),
            ("high-funding".into(), "below-base".into(), "code-255".into())
        );
        assert_eq!(coded(REFUSALS, |refusal| refusal as u8, 200), "code-200");
        assert_eq!(blocks(0b101), "book+stale");
        assert_eq!([1, 3, 7, 8, 99].map(verb_name), ["pause", "reduce-only", "widen", "reload", "code-99"]);
        let named = [
            (Blocks::PRIVATE, "private"),
            (Blocks::RECONCILE, "reconcile"),
            (Blocks::CLOCK, "clock"),
            (Blocks::SOURCE, "source"),
        ];
        assert!(named.iter().all(|&(bit, name)| blocks(i64::from(bit)) == name));
    }

    #[test]
    fn every_field_of_the_makers_bytes_is_read() {
        let decision = Decision {
            reference: Price::parse(b"-61800.25").unwrap(),
            client_id: ClientId { run: 7, seq: 0x0102_0304 },
            price: Ticks(-618_002),
            qty: Lots(1 << 40),
            detail: -5022,
            side: Side::Sell,
            purpose: Purpose::StopLoss,
            level: 3,
            refusal: Some(Refusal::Crossing),
            ..Decision::of(DecisionKind::Refused, InstrumentId(513), Cause::Reprice)
        };
        let found = Decided::decode(&decision.to_bytes()).unwrap();
        assert_eq!((found.reference, found.client_id), (decision.reference, decision.client_id));
        assert_eq!((found.price, found.qty, found.detail), (decision.price, decision.qty, decision.detail));
        assert_eq!((found.instrument, found.side, found.level), (decision.instrument, 1, 3));
        assert_eq!([found.what(), found.cause(), found.purpose()], ["refused", "reprice", "stop-loss"]);
        assert_eq!(found.refusal().as_deref(), Some("crossing"));
        let margin =
            Decision { level: 2, detail: 1_987, ..Decision::of(DecisionKind::Margin, InstrumentId(0), Cause::Risk) };
        assert_eq!(Decided::decode(&margin.to_bytes()).unwrap().reason().as_deref(), Some("danger at 19.87%"));
        assert_eq!(Decided::decode(&[0; 63]).unwrap_err(), RecordError::Short);
        assert_eq!(Decided::decode(&[0; 66]).unwrap_err(), RecordError::Long(2));
    }
}
