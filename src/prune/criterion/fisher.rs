//! What the loss grows by, to second order, when a weight becomes zero: score = E[g²]·w².
//!
//! ```text
//! ΔL ≈ ½·w²·H_ww,  H ≈ F = E[g·gᵀ]        the diagonal of the empirical Fisher information, sample by sample
//! ```
//!
//! Theis et al., Faster Gaze Prediction with Dense Networks and Fisher Pruning (2018); LeCun, Denker and Solla, Optimal Brain
//! Damage (1990), with F for H.

use super::{Criterion, Scored};
use crate::gradient::Moment;
use crate::prune::Needs;

pub(super) const CRITERION: Criterion = Criterion {
    name: "fisher",
    summary: "weights without which the loss grows least, to second order",
    needs: Needs::Gradients(Moment::Square),
    score,
};

fn score(s: &Scored) -> Vec<f32> {
    s.by_gradient(|w, g| w * w * g)
}
