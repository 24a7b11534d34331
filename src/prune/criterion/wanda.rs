//! Weights that meet small activations matter less: score = |w_k|·‖x_k‖₂, of the mean square (Sun et al., "A simple and effective pruning approach for
//! large language models", ICLR 2024).

use super::{Criterion, Scored};
use crate::prune::Needs;

pub(super) const CRITERION: Criterion = Criterion {
    name: "wanda",
    summary: "the smallest weights times the norm of what they meet",
    needs: Needs::Activations,
    score,
};

fn score(of: &Scored) -> Vec<f32> {
    of.by_input(|w, k, m| w.abs() * m.mean_square(k).sqrt())
}
