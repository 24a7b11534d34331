//! What losing a weight costs the output of its layer once the others make up for it: score = w²/[H⁻¹]_kk (LeCun, Denker and Solla,
//! "Optimal brain damage", 1990; Hassibi and Stork, "Optimal brain surgeon", 1993), relative to what the layer puts out,
//!
//! ```text
//! w_k² / [H⁻¹]_kk / mean over channels of w·H·wᵀ        H damped by a thousandth of its mean diagonal
//! ```
//!
//! so that scores of different layers compare.

use faer::Mat;

use super::{Criterion, Scored};
use crate::prune::Needs;
use crate::second_order::inverse_diagonal;

pub(super) const CRITERION: Criterion = Criterion {
    name: "hessian",
    summary: "the weights whose loss costs the output least once the others make up for it",
    needs: Needs::Activations,
    score,
};

const DAMPING: f64 = 1e-3;

fn score(of: &Scored) -> Vec<f32> {
    let Some(a) = &of.statistics.activations else { return Vec::new() };
    let c = &a.contraction;
    let mut scores = vec![0f32; of.weights.len()];
    let mut power = 0.0;
    for (g, m) in a.moments.iter().enumerate() {
        let Some(inverse) = inverse_diagonal(m.h.as_ref(), DAMPING) else { continue };
        let element = |k: usize, o: usize| c.element(g * c.outputs + o, k);
        let w = Mat::from_fn(c.depth, c.outputs, |k, o| f64::from(of.weights[element(k, o)]));
        let hw = &m.h * &w;
        for o in 0..c.outputs {
            for k in 0..c.depth {
                power += w[(k, o)] * hw[(k, o)];
                scores[element(k, o)] = (w[(k, o)] * w[(k, o)] / inverse[k]) as f32;
            }
        }
    }
    let scale = (c.channels() as f64 / power.max(f64::MIN_POSITIVE)) as f32;
    scores.iter_mut().for_each(|s| *s = (*s * scale).max(0.0));
    scores
}
