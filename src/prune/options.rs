//! What the user asks of pruning.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Goal, Pattern, algorithm, channel, criterion};
use crate::error::{Error, Result};
use crate::names::named;
use crate::recover::Recover;
use crate::target;

named! {
    /// Over which weights the lowest scores are sought.
    Scope, "scope" {
        /// All tensors together: those that matter less lose more.
        Global = "global",
        /// Each tensor alone: all lose the same share.
        Layer = "layer",
        /// Each tensor alone, its share by what losing it costs the outputs, measured on data.
        Auto = "auto",
    }
}

/// What to prune, how far, and by what.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PruneOptions {
    /// How far to go.
    pub goal: Goal,
    /// Which weights go together.
    pub pattern: Pattern,
    /// `None`: the best for the data at hand; magnitude without data.
    pub criterion: Option<String>,
    /// `None`: the best for the data at hand, or least-squares where a criterion or threshold says which weights go; mask without data.
    pub algorithm: Option<String>,
    /// `None`: the best for the data at hand; global without data.
    pub scope: Option<Scope>,
    /// Output channels that the target's kernels take at a time: what is left of a group is a multiple of it, or less.
    pub block: usize,
    /// Whether layers after channels that went are solved anew.
    pub compensate: bool,
    /// Training after pruning.
    pub recover: Option<Recover>,
    /// Whether training follows elsewhere: what it holds back is not fitted to either.
    #[serde(skip)]
    pub trained_later: bool,
    /// Nodes whose name one of these matches keep their weights.
    pub exclude: Vec<String>,
    /// Store zeros as `sparse_initializer` where that is smaller.
    pub sparse: bool,
    /// For what is drawn at random.
    pub seed: u64,
}

impl PruneOptions {
    /// Everything default but how much goes.
    pub fn new(goal: Goal) -> Self {
        PruneOptions {
            goal,
            pattern: Pattern::Unstructured,
            criterion: None,
            algorithm: None,
            scope: None,
            block: target::default().channels,
            compensate: true,
            recover: None,
            trained_later: false,
            exclude: Vec::new(),
            sparse: false,
            seed: 0,
        }
    }

    /// Refuses what contradicts itself or names what does not exist.
    ///
    /// # Errors
    /// Usage, with the flag.
    pub fn check(&self) -> Result<()> {
        self.goal.check()?;
        match (self.criterion.as_deref(), self.pattern.shrinks()) {
            (Some(name), true) => channel::criterion::find(name).map(|_| ())?,
            (Some(name), false) => criterion::find(name).map(|_| ())?,
            (None, _) => {}
        }
        self.algorithm.as_deref().map(algorithm::find).transpose()?;
        match (self.goal, self.pattern.sparsity()) {
            (Goal::Sparsity(s), Some(fixed)) if (s - fixed).abs() < 1e-9 => {}
            (goal, Some(_)) => {
                let message = format!("the pattern {} fixes the sparsity; leave {} out", self.pattern, goal.flag());
                return Err(Error::usage(message));
            }
            _ => {}
        }
        match (self.goal, self.pattern.shrinks()) {
            (Goal::Sparsity(_) | Goal::Threshold(_), true) => {
                return Err(Error::usage(format!(
                    "--pattern {} takes --target-macs, --target-size or --target-latency, what is left; not what is zero",
                    self.pattern
                )));
            }
            (Goal::Macs(_) | Goal::Latency(_), false) => {
                return Err(Error::usage(
                    "zeros change neither multiply-accumulates nor latency of either runtime: --pattern channel does",
                ));
            }
            _ => {}
        }
        match self.ignored() {
            Some((flag, why)) => Err(Error::usage(format!("{flag} would change nothing: {why}; leave it out"))),
            None => Ok(()),
        }
    }

    /// A flag that the others leave without effect, and why.
    fn ignored(&self) -> Option<(&'static str, String)> {
        if self.pattern.shrinks() {
            let given = [
                ("--algorithm", self.algorithm.is_some()),
                ("--scope", self.scope.is_some()),
                ("--sparse", self.sparse),
            ];
            let (flag, _) = given.into_iter().find(|(_, given)| *given)?;
            return Some((flag, format!("--pattern {} sets no zeros", self.pattern)));
        }
        if !self.compensate {
            return Some(("--no-compensation", "no channels go".into()));
        }
        let counts = match self.goal {
            Goal::Threshold(_) => "--threshold".to_string(),
            _ => format!("--pattern {}", self.pattern),
        };
        let counted = matches!(self.goal, Goal::Threshold(_)) || self.pattern.sparsity().is_some();
        (counted && self.scope.is_some()).then(|| ("--scope", format!("{counts} says how much of each tensor goes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_without_effect_are_refused_by_name() {
        let channels = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.5)) };
        let halved = PruneOptions { pattern: Pattern::Of { keep: 2, of: 4 }, ..PruneOptions::new(Goal::Sparsity(0.5)) };
        let threshold = PruneOptions::new(Goal::Threshold("0.1".parse().unwrap()));
        let zeros = PruneOptions::new(Goal::Sparsity(0.5));
        for fine in [&channels, &halved, &threshold, &zeros] {
            fine.check().unwrap();
        }
        let scope = Some(Scope::Layer);
        let refused = [
            ("--algorithm", PruneOptions { algorithm: Some("mask".into()), ..channels.clone() }),
            ("--scope", PruneOptions { scope, ..channels.clone() }),
            ("--sparse", PruneOptions { sparse: true, ..channels }),
            ("--scope", PruneOptions { scope, ..halved.clone() }),
            ("--scope", PruneOptions { scope, ..threshold }),
            ("--no-compensation", PruneOptions { compensate: false, ..zeros }),
        ];
        for (flag, options) in refused {
            let error = options.check().unwrap_err();
            assert!(error.to_string().starts_with(flag) && error.exit_code() == 2, "{error}");
        }
        let other = PruneOptions { goal: Goal::Size(0.5), ..halved };
        assert_eq!(
            other.check().unwrap_err().to_string(),
            "the pattern 2:4 fixes the sparsity; leave --target-size out"
        );
    }
}
