//! Weights at random, the same for the same seed: the baseline that any criterion must beat.

use super::{Criterion, Scored};
use crate::data::Rng;
use crate::prune::Needs;

pub(super) const CRITERION: Criterion =
    Criterion { name: "random", summary: "any weights, by seed", needs: Needs::Nothing, score };

fn score(of: &Scored) -> Vec<f32> {
    let mut rng = Rng::from_state(of.seed);
    of.weights.iter().map(|_| (rng.next() >> 40) as f32 / (1u32 << 24) as f32).collect()
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
