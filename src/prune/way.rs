//! Ways to prune: a criterion, an algorithm and a scope, and those that compete where the user names none.

use super::algorithm::{self, Algorithm};
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
/// What scores weights for free, where scores decide nothing, and what a threshold is of where nobody says it.
const FREE: &str = "magnitude";
/// Takes the zeros that scores say, where the user said by what to score or below which score.
const AS_SCORED: &str = "least-squares";

impl Way {
    /// The ways that `options` leave open.
    pub fn all(options: &PruneOptions, data: bool) -> Result<Vec<Way>> {
        let tried = if data { &TRIED[..] } else { &[("magnitude", "mask", Scope::Global)] };
        let mut ways: Vec<Way> = Vec::new();
        let blocks = matches!(options.pattern, Pattern::Block { .. });
        let threshold = matches!(options.goal, Goal::Threshold(_)).then_some(Scope::Layer);
        let as_scored = (data && (options.criterion.is_some() || threshold.is_some())).then_some(AS_SCORED);
        for (criterion, algorithm, scope) in tried {
            let algorithm = algorithm::find(options.algorithm.as_deref().or(as_scored).unwrap_or(algorithm))?;
            // Scores of an algorithm that chooses by itself only share out zeros, which measured shares do better: beside these, one way to
            // do it by scores is enough. Measured shares choose single weights.
            let needless = match scope {
                Scope::Auto => blocks,
                Scope::Global => !blocks && algorithm.chooses.is_some() && *criterion != FREE,
                Scope::Layer => false,
            };
            if needless && options.scope.is_none() {
                continue;
            }
            // A pattern of groups says how much of each tensor goes.
            let fixed = options.pattern.sparsity().map(|_| Scope::Layer);
            // Each criterion has a unit of its own: a threshold means one of them.
            let criterion = if threshold.is_some() { FREE } else { criterion };
            let mut way = Way {
                criterion: criterion::find(options.criterion.as_deref().unwrap_or(criterion))?,
                algorithm,
                scope: fixed.or(threshold).or(options.scope).unwrap_or(*scope),
            };
            if options.criterion.is_none() && !way.asks_scores(options.goal) {
                way.criterion = criterion::find(FREE)?;
            }
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        if blocks && ways.iter().any(|w| !w.algorithm.takes_blocks) {
            return Err(Error::usage("sparse-gpt chooses single weights, not blocks: --algorithm least-squares does"));
        }
        if blocks && ways.iter().any(|w| w.scope == Scope::Auto) {
            return Err(Error::usage("--scope auto shares out single weights, not blocks"));
        }
        if let Some(way) = ways.iter().find(|w| !data && (w.algorithm.solves || w.scope == Scope::Auto)) {
            return Err(Error::usage(format!("{way} is decided by data: give --data")));
        }
        Ok(ways)
    }

    /// Whether scores decide anything: an algorithm that chooses by itself takes from them how many weights of each tensor go, which a
    /// scope of single layers says without them.
    fn asks_scores(&self, goal: Goal) -> bool {
        !(self.algorithm.chooses.is_some() && self.scope == Scope::Layer) || matches!(goal, Goal::Threshold(_))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(options: &PruneOptions) -> Vec<String> {
        Way::all(options, true).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_way_is_tried_once() {
        let options = PruneOptions::new(Goal::Sparsity(0.8));
        let open = [
            "criterion magnitude, algorithm admm, scope global",
            "criterion hessian, algorithm admm, scope auto",
            "criterion magnitude, algorithm admm, scope layer",
        ];
        assert_eq!(ways(&options), open);
        let pattern = Pattern::Of { keep: 2, of: 4 };
        let halved = PruneOptions { pattern, ..PruneOptions::new(Goal::Sparsity(0.5)) };
        assert_eq!(ways(&halved), [open[2]]);
        // Zeros that the criterion chooses differ by it.
        let masked = PruneOptions { algorithm: Some("least-squares".into()), ..halved.clone() };
        assert_eq!(ways(&masked).len(), 2);
        let named = PruneOptions { criterion: Some("wanda".into()), ..halved };
        // What the user says of scores, scores decide.
        assert_eq!(ways(&named), ["criterion wanda, algorithm least-squares, scope layer"]);
        let swept = PruneOptions { algorithm: Some("admm".into()), ..named };
        assert_eq!(ways(&swept), ["criterion wanda, algorithm admm, scope layer"]);
        let of = |scope| format!("criterion wanda, algorithm least-squares, scope {scope}");
        let open = PruneOptions { criterion: Some("wanda".into()), ..options.clone() };
        assert_eq!(ways(&open), ["global", "auto", "layer"].map(of));
        let threshold = PruneOptions { goal: Goal::Threshold("0.1".parse().unwrap()), ..options };
        assert_eq!(ways(&threshold), ["criterion magnitude, algorithm least-squares, scope layer"]);
        let blocks = Pattern::Block { rows: 4, columns: 1 };
        assert_eq!(ways(&PruneOptions { pattern: blocks, ..PruneOptions::new(Goal::Sparsity(0.5)) }).len(), 3);
    }
}
