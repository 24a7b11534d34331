//! The smallest weights matter least: score = |w|.

use super::{Criterion, Scored};
use crate::prune::Needs;

pub(super) const CRITERION: Criterion =
    Criterion { name: "magnitude", summary: "the smallest weights", needs: Needs::Nothing, score };

fn score(of: &Scored) -> Vec<f32> {
    of.weights.iter().map(|w| w.abs()).collect()
}
