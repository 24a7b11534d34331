//! Random numbers that are the same for the same seeds.

/// SplitMix64 (Steele, Lea and Flood 2014): small, and its streams are fixed by the seed.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seeds: &[u64]) -> Self {
        let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
        for seed in seeds {
            rng.0 ^= *seed;
            rng.0 = rng.next();
        }
        rng
    }

    pub(crate) fn from_state(state: u64) -> Self {
        Rng(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Mean 0, deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
