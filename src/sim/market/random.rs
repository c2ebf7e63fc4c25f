//! Seeded randomness in integers: xoshiro256++ and draws from quantile tables. Never a float, never the system's entropy.

/// Blackman and Vigna's xoshiro256++ 1.0 (prng.di.unimi.it, public domain algorithm), seeded by splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: [u64; 4],
}

/// One in the 16-bit fixed point of probabilities and factors.
pub(super) const ONE: u32 = 1 << 16;

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut x = seed;
        let state = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    pub(super) fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0..n`, `n` positive (Lemire's multiply, without the rejection: the bias is below n/2^64).
    pub(super) fn below(&mut self, n: i64) -> i64 {
        debug_assert!(n > 0);
        ((u128::from(self.next()) * n as u128) >> 64) as i64
    }

    /// True with probability `percent`/100.
    pub(super) fn percent(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    /// Exponentially distributed with the given mean, at most about eleven times the mean.
    pub(super) fn exponential(&mut self, mean: i64) -> i64 {
        // -ln(1 - p) in 1/1000; between the points linear, which overstates the mean by about 2 %.
        self.draw(&EXPONENTIAL) * mean / 1000
    }

    /// Standard normal in 1/65536: Irwin-Hall of twelve uniforms.
    pub(super) fn normal(&mut self) -> i64 {
        (0..12).map(|_| self.below(i64::from(ONE))).sum::<i64>() - 6 * i64::from(ONE)
    }

    /// A draw from a distribution given by its quantiles, linear between them.
    pub(super) fn draw(&mut self, table: &[(i64, i64)]) -> i64 {
        let p = self.below(1_000_000);
        let upper = table.partition_point(|&(at, _)| at <= p).clamp(1, table.len() - 1);
        let ((p0, v0), (p1, v1)) = (table[upper - 1], table[upper]);
        v0 + (v1 - v0) * (p - p0) / (p1 - p0)
    }
}

const EXPONENTIAL: [(i64, i64); 15] = [
    (0, 0),
    (100_000, 105),
    (200_000, 223),
    (300_000, 357),
    (400_000, 511),
    (500_000, 693),
    (600_000, 916),
    (700_000, 1_204),
    (800_000, 1_609),
    (900_000, 2_303),
    (950_000, 2_996),
    (990_000, 4_605),
    (999_000, 6_908),
    (999_900, 9_210),
    (1_000_000, 11_500),
];

/// 2^(`x`/65536) in 1/65536, for `x` within +-15 octaves.
pub(super) fn exp2(x: i64) -> i64 {
    // 2^(k/8) in 1/65536, linear between: within 0.1 %.
    const EIGHTHS: [i64; 9] = [65_536, 71_468, 77_936, 84_990, 92_682, 101_070, 110_218, 120_194, 131_072];
    let x = x.clamp(-15 << 16, 15 << 16);
    let (octave, rest) = (x >> 16, x & 0xffff);
    let (slot, within) = ((rest >> 13) as usize, rest & 0x1fff);
    let mantissa = EIGHTHS[slot] + (EIGHTHS[slot + 1] - EIGHTHS[slot]) * within / 0x2000;
    if octave >= 0 { mantissa << octave } else { mantissa >> -octave }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_seed_others() {
        let (mut a, mut b, mut c) = (Random::new(7), Random::new(7), Random::new(8));
        let first: Vec<u64> = (0..8).map(|_| a.next()).collect();
        assert_eq!(first, (0..8).map(|_| b.next()).collect::<Vec<_>>());
        assert_ne!(first, (0..8).map(|_| c.next()).collect::<Vec<_>>());
    }

    #[test]
    fn draws_have_their_means() {
        let mut random = Random::new(1);
        let n = 100_000;
        let mean = (0..n).map(|_| random.exponential(1_000)).sum::<i64>() / n;
        assert!((970..1_050).contains(&mean), "{mean}");
        let normals: Vec<i64> = (0..n).map(|_| random.normal()).collect();
        assert!((normals.iter().sum::<i64>() / n).abs() < 700);
        let variance = normals.iter().map(|x| x * x).sum::<i64>() / n;
        assert!((variance - (1_i64 << 32)).abs() < 1 << 27, "{variance}");
        assert!((0..n).map(|_| random.below(3)).all(|x| (0..3).contains(&x)));
    }

    #[test]
    fn powers_of_two_meet_at_the_octaves() {
        for (x, expected) in [(0, 65_536), (1, 131_072), (-1, 32_768), (4, 1 << 20)] {
            assert_eq!(exp2(x << 16), expected);
        }
        assert_eq!(exp2(1 << 15), 92_682);
        assert!((0..(3 << 16)).is_sorted_by_key(exp2));
    }
}
