//! How important a weight is: one file a criterion.

mod fisher;
mod gradient;
mod hessian;
mod magnitude;
mod random;
mod taylor;
mod wanda;

use super::{Needs, Statistics};
use crate::error::Result;
use crate::names;
use crate::second_order::moments::Centred;

/// Scores the weights of a tensor; the lowest go first.
#[derive(Debug)]
pub struct Criterion {
    /// As `--criterion` takes it.
    pub name: &'static str,
    /// One line for help.
    pub summary: &'static str,
    /// What of [`Statistics`] it looks at.
    pub needs: Needs,
    /// Scores of the weights, none negative.
    pub score: fn(&Scored) -> Vec<f32>,
}

/// What is scored.
#[derive(Debug)]
pub struct Scored<'a> {
    /// In the order in which the tensor holds them.
    pub weights: &'a [f32],
    /// What the criterion needs is there.
    pub statistics: &'a Statistics,
    /// For what is random; another for every tensor.
    pub seed: u64,
}

impl Scored<'_> {
    /// The score of each weight from what is known of the input that it meets: the number of that input, and the moments of its group.
    fn by_input(&self, score: impl Fn(f64, usize, &Centred) -> f64) -> Vec<f32> {
        let Some(a) = &self.statistics.activations else { return Vec::new() };
        let c = &a.contraction;
        let mut scores = vec![0f32; self.weights.len()];
        for (g, m) in a.moments.iter().enumerate() {
            for o in g * c.outputs..(g + 1) * c.outputs {
                for k in 0..c.depth {
                    let at = c.element(o, k);
                    scores[at] = score(f64::from(self.weights[at]), k, m) as f32;
                }
            }
        }
        scores
    }
}

impl Scored<'_> {
    /// The score of each weight from the weight and the mean over samples of what was asked for of its gradient.
    fn by_gradient(&self, score: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let Some(g) = &self.statistics.gradients else { return Vec::new() };
        let share = 1.0 / g.samples.max(1) as f32;
        self.weights.iter().zip(&g.sums).map(|(w, sum)| score(*w, sum * share)).collect()
    }
}

/// Every criterion.
pub static CRITERIA: &[Criterion] = &[
    magnitude::CRITERION,
    wanda::CRITERION,
    hessian::CRITERION,
    gradient::CRITERION,
    taylor::CRITERION,
    fisher::CRITERION,
    random::CRITERION,
];

/// The criterion of that name.
///
/// # Errors
/// Usage, with the names there are.
pub fn find(name: &str) -> Result<&'static Criterion> {
    names::find("criterion", name, CRITERIA, |c| c.name)
}
