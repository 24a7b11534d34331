//! Ways to prune: a criterion, an algorithm and a scope, and those that compete where the user names none.

use super::algorithm::{self, Algorithm, Kind};
use super::criterion::{self, Criterion, Scored};
use super::decide::Data;
use super::options::{PruneOptions, Scope};
use super::plan::TensorPlan;
use super::{Goal, Pattern, Statistics, statistics};
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;

/// A way to prune.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub criterion: &'static Criterion,
    pub algorithm: &'static Algorithm,
    pub scope: Scope,
}

impl PartialEq for Way {
    /// Criteria and algorithms are entries of tables: the same one is at the same place.
    fn eq(&self, other: &Way) -> bool {
        std::ptr::eq(self.criterion, other.criterion)
            && std::ptr::eq(self.algorithm, other.algorithm)
            && self.scope == other.scope
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "criterion {}, algorithm {}, scope {}", self.criterion.name, self.algorithm.name, self.scope)
    }
}

/// Criterion, algorithm and scope that are tried where the user names none, the first one where there is no choice.
const TRIED: [(&str, &str, Scope); 4] = [
    ("hessian", "admm", Scope::Global),
    ("magnitude", "admm", Scope::Global),
    ("hessian", "admm", Scope::Auto),
    ("hessian", "admm", Scope::Layer),
];

impl Way {
    /// The ways that `options` leave open.
    pub fn all(options: &PruneOptions, data: bool) -> Result<Vec<Way>> {
        let tried = if data { &TRIED[..] } else { &[("magnitude", "mask", Scope::Global)] };
        let mut ways: Vec<Way> = Vec::new();
        let blocks = matches!(options.pattern, Pattern::Block { .. });
        for (criterion, algorithm, scope) in tried {
            // Measured shares choose single weights.
            if blocks && *scope == Scope::Auto && options.scope.is_none() {
                continue;
            }
            // A pattern of groups says how much of each tensor goes.
            let fixed = options.pattern.sparsity().map(|_| Scope::Layer);
            let threshold = matches!(options.goal, Goal::Threshold(_)).then_some(Scope::Layer);
            let way = Way {
                criterion: criterion::find(options.criterion.as_deref().unwrap_or(criterion))?,
                algorithm: algorithm::find(options.algorithm.as_deref().unwrap_or(algorithm))?,
                scope: fixed.or(threshold).or(options.scope).unwrap_or(*scope),
            };
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        if blocks && ways.iter().any(|w| w.algorithm.kind == Kind::Sweep) {
            return Err(Error::usage("sparse-gpt chooses single weights, not blocks: --algorithm least-squares does"));
        }
        if blocks && ways.iter().any(|w| w.scope == Scope::Auto) {
            return Err(Error::usage("--scope auto shares out single weights, not blocks"));
        }
        if let Some(way) = ways.iter().find(|w| !data && (w.algorithm.kind != Kind::Mask || w.scope == Scope::Auto)) {
            return Err(Error::usage(format!("{way} is decided by data: give --data")));
        }
        Ok(ways)
    }

    /// The first of them.
    pub fn first(options: &PruneOptions, data: bool) -> Result<Way> {
        Way::all(options, data)?.first().copied().ok_or_else(|| Error::internal("there is no way to prune"))
    }

    /// Scores of every tensor; none of one that is kept or of which the criterion knows nothing.
    pub fn scores(
        &self,
        (model, tensors): (&Model, &[TensorPlan]),
        seed: u64,
        data: Option<Data>,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<f32>>> {
        let mut scores = vec![Vec::new(); tensors.len()];
        statistics::each(self.criterion.needs, (model, tensors), (data, seed), progress, |i, statistics| {
            scores[i] = self.score((&tensors[i], i), (model, seed), statistics);
        })?;
        Ok(scores)
    }

    /// Scores of the tensor at place `i`, with the zeros and solved weights that it has by now; none of one that is kept.
    pub fn score(&self, (plan, i): (&TensorPlan, usize), (model, seed): (&Model, u64), known: &Statistics) -> Vec<f32> {
        let pruned = plan.kept.is_none().then(|| plan.pruned(model).ok()).flatten();
        let Some(weights) = pruned.as_ref().and_then(Tensor::to_f32) else { return Vec::new() };
        (self.criterion.score)(&Scored { weights: &weights, statistics: known, seed: seed ^ i as u64 })
    }
}
