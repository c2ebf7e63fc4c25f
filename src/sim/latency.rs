//! How long a message takes, for embedded use; and the seeded generator of the pretend venue. No clock.

use crate::event::CommandKind;
use crate::unit::Nanos;
use std::fmt;

/// A small seeded generator (SplitMix64; Steele, Lea, Flood 2014): the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`; 0 for a bound of 0. The bias is below 2^-64 times the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// How long one direction takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Latency {
    /// Always the same.
    Constant(Nanos),
    /// `base` plus a geometric tail: each of up to 20 steps of `step` is added with `per_mille` probability.
    Tailed {
        /// The least.
        base: Nanos,
        /// Added per step.
        step: Nanos,
        /// Probability of each further step, 0 to 1000.
        per_mille: u16,
    },
    /// Uniform between both, inclusive.
    Uniform {
        /// The least.
        min: Nanos,
        /// The most.
        max: Nanos,
    },
}

impl Default for Latency {
    fn default() -> Self {
        Self::Constant(Nanos::from_micros(500))
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = crate::config::value::duration_text;
        match *self {
            Self::Constant(time) => write!(out, "{}", text(time)),
            Self::Tailed { base, step, per_mille } => write!(out, "{}+{}*{per_mille}", text(base), text(step)),
            Self::Uniform { min, max } => write!(out, "{}..{}", text(min), text(max)),
        }
    }
}

impl Latency {
    /// The next message's time under way.
    pub fn draw(self, dice: &mut Dice) -> Nanos {
        match self {
            Self::Constant(time) => time,
            Self::Tailed { base, step, per_mille } => {
                let mut time = base;
                for _ in 0..20 {
                    if !dice.chance(u64::from(per_mille)) {
                        break;
                    }
                    time += step;
                }
                time
            }
            Self::Uniform { min, max } => {
                let width = u64::try_from((max - min).0).unwrap_or(0);
                Nanos(min.0 + dice.below(width + 1) as i64)
            }
        }
    }
}

/// One measured round trip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// When the command left us.
    pub at: Nanos,
    /// How long it took to the venue.
    pub there: Nanos,
    /// How long the answer took back.
    pub back: Nanos,
}

/// How long each kind of message takes between us and the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delays {
    /// New orders.
    pub order: Latency,
    /// Amends.
    pub amend: Latency,
    /// Cancels and everything else that is asked.
    pub cancel: Latency,
    /// Answers and private events.
    pub ack: Latency,
    /// Round trips in order of time; where there are any, they stand in the place of the four, interpolated between neighbours.
    pub measured: Vec<Measured>,
}

impl Default for Delays {
    fn default() -> Self {
        Self::both(Latency::default(), Latency::default())
    }
}

impl Delays {
    /// Every command takes `there`, every answer `back`.
    #[must_use]
    pub const fn both(there: Latency, back: Latency) -> Self {
        Self { order: there, amend: there, cancel: there, ack: back, measured: Vec::new() }
    }

    /// How long a command that leaves now takes.
    pub fn there(&self, kind: CommandKind, now: Nanos, dice: &mut Dice) -> Nanos {
        if !self.measured.is_empty() {
            return self.measured_at(now).there;
        }
        let latency = match kind {
            CommandKind::New | CommandKind::Market => self.order,
            CommandKind::Amend => self.amend,
            _ => self.cancel,
        };
        latency.draw(dice)
    }

    /// How long an answer that leaves the venue now takes.
    pub fn back(&self, now: Nanos, dice: &mut Dice) -> Nanos {
        if self.measured.is_empty() { self.ack.draw(dice) } else { self.measured_at(now).back }
    }

    /// Linear between the neighbours in time; before the first and after the last, theirs.
    fn measured_at(&self, now: Nanos) -> Measured {
        let next = self.measured.partition_point(|point| point.at <= now);
        let before = self.measured[next.saturating_sub(1)];
        let after = self.measured.get(next).copied().unwrap_or(before);
        let (span, part) = ((after.at - before.at).0, (now - before.at).0.max(0));
        if span <= 0 || next == 0 {
            return before;
        }
        let between =
            |a: Nanos, b: Nanos| Nanos(a.0 + (i128::from((b - a).0) * i128::from(part) / i128::from(span)) as i64);
        Measured { at: now, there: between(before.there, after.there), back: between(before.back, after.back) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence_within_the_bounds() {
        let model = Latency::Uniform { min: Nanos(10), max: Nanos(12) };
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| model.draw(&mut dice).0).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for value in 10..=12 {
            assert!(draw(3).contains(&value));
        }
        assert!(draw(4).iter().all(|v| (10..=12).contains(v)));
    }

    #[test]
    fn the_tail_is_bounded() {
        let model = Latency::Tailed { base: Nanos(5), step: Nanos(1), per_mille: 1000 };
        assert_eq!(model.draw(&mut Dice::new(1)), Nanos(25));
    }

    #[test]
    fn measured_latencies_are_interpolated_in_time() {
        let point = |at, there, back| Measured { at: Nanos(at), there: Nanos(there), back: Nanos(back) };
        let delays = Delays { measured: vec![point(100, 10, 40), point(200, 30, 20)], ..Delays::default() };
        let mut dice = Dice::new(1);
        for (now, there, back) in
            [(0, 10, 40), (100, 10, 40), (150, 20, 30), (199, 29, 21), (200, 30, 20), (900, 30, 20)]
        {
            assert_eq!(delays.there(CommandKind::New, Nanos(now), &mut dice), Nanos(there), "at {now}");
            assert_eq!(delays.back(Nanos(now), &mut dice), Nanos(back), "at {now}");
        }
    }

    #[test]
    fn each_kind_of_message_has_its_own_latency() {
        let constant = |time| Latency::Constant(Nanos(time));
        let delays = Delays {
            order: constant(1),
            amend: constant(2),
            cancel: constant(3),
            ack: constant(4),
            measured: Vec::new(),
        };
        let mut dice = Dice::new(1);
        for (kind, time) in
            [(CommandKind::New, 1), (CommandKind::Amend, 2), (CommandKind::Cancel, 3), (CommandKind::Query, 3)]
        {
            assert_eq!(delays.there(kind, Nanos(9), &mut dice), Nanos(time));
        }
        assert_eq!(delays.back(Nanos(9), &mut dice), Nanos(4));
    }
}
