//! How long a message takes, for embedded use; and the seeded generator of the pretend venue. No clock.

use crate::unit::Nanos;

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
}
