//! Weights whose gradient is small are needed least: score = |g|, of the mean loss over the data.
//!
//! ```text
//! prune(W) = W − {w : |g| < t}        t absolute, or times the mean of |g|
//! ```
//!
//! With labels the loss is the cross-entropy; without, targets are drawn from the model itself ([`crate::gradient::Loss`]). At the
//! end of training gradients say where the loss would still fall, not what a weight is worth: [`super::taylor`] does.

use super::{Criterion, Scored};
use crate::gradient::Moment;
use crate::prune::Needs;

pub(super) const CRITERION: Criterion = Criterion {
    name: "gradient",
    summary: "weights by whose change the loss changes least",
    needs: Needs::Gradients(Moment::Sum),
    score,
};

fn score(s: &Scored) -> Vec<f32> {
    s.by_gradient(|_, g| g.abs())
}
