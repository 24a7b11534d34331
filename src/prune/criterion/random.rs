//! Weights at random, the same for the same seed: the baseline that any criterion must beat.

use super::{Criterion, Scored};
use crate::prune::Needs;

pub(super) const CRITERION: Criterion =
    Criterion { name: "random", summary: "any weights, by seed", needs: Needs::Nothing, score };

fn score(of: &Scored) -> Vec<f32> {
    let uniform = |i: usize| {
        // SplitMix64 (Steele, Lea and Flood 2014) of the position.
        let mut z = of.seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    };
    (0..of.weights.len()).map(uniform).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Statistics;

    #[test]
    fn seeded_and_spread() {
        let score = |seed| score(&Scored { weights: &[0.0; 10_000], statistics: &Statistics::default(), seed });
        let a = score(7);
        assert_eq!(a, score(7));
        assert_ne!(a, score(8));
        let mean = a.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
