//! The smallest weights matter least: score = |w|.

use super::Criterion;

pub(super) const CRITERION: Criterion = Criterion { name: "magnitude", summary: "the smallest weights", score };

fn score(weights: &[f32], _: u64) -> Vec<f32> {
    weights.iter().map(|w| w.abs()).collect()
}
