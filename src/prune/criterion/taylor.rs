//! What the loss changes by, to first order, when a weight becomes zero: score = E|g·w|, over samples.
//!
//! ```text
//! L(w = 0) − L(w) ≈ −g·w        the mean of the magnitudes: over samples the signs cancel where training has ended
//! ```
//!
//! Molchanov et al., Pruning Convolutional Neural Networks for Resource Efficient Inference (2017).

use super::{Criterion, Scored};
use crate::gradient::Moment;
use crate::prune::Needs;

pub(super) const CRITERION: Criterion = Criterion {
    name: "taylor",
    summary: "weights without which the loss changes least, to first order",
    needs: Needs::Gradients(Moment::Absolute),
    score,
};

fn score(s: &Scored) -> Vec<f32> {
    s.by_gradient(|w, g| (w * g).abs())
}
