//! What the user asks of pruning.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Goal, Pattern, algorithm, channel, criterion};
use crate::error::{Error, Result};
use crate::recover::Recover;
use crate::target;

/// Over which weights the lowest scores are sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All tensors together: those that matter less lose more.
    Global,
    /// Each tensor alone: all lose the same share.
    Layer,
    /// Each tensor alone, its share by what losing it costs the outputs, measured on data.
    Auto,
}

impl Scope {
    const ALL: [(&'static str, Scope); 3] = [("global", Scope::Global), ("layer", Scope::Layer), ("auto", Scope::Auto)];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Scope::ALL.iter().find(|(_, s)| s == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Scope::ALL.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, scope)| *scope)
            .ok_or_else(|| Error::usage(format!("scope \"{text}\" is none of global, layer, auto")))
    }
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PruneOptions {
    pub goal: Goal,
    pub pattern: Pattern,
    /// `None`: the best for the data at hand; magnitude without data.
    pub criterion: Option<String>,
    /// `None`: the best for the data at hand; mask without data.
    pub algorithm: Option<String>,
    /// `None`: the best for the data at hand; global without data.
    pub scope: Option<Scope>,
    /// Output channels that the target's kernels take at a time: what is left of a group is a multiple of it, or less.
    pub block: usize,
    /// Whether layers after channels that went are solved anew.
    pub compensate: bool,
    /// Training after pruning.
    pub recover: Option<Recover>,
    /// Nodes whose name one of these matches keep their weights.
    pub exclude: Vec<String>,
    /// Store zeros as `sparse_initializer` where that is smaller.
    pub sparse: bool,
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
            block: target::PRESETS[0].channels,
            compensate: true,
            recover: None,
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
            (_, Some(_)) => {
                let message = format!("the pattern {} fixes the sparsity; leave --sparsity out", self.pattern);
                return Err(Error::usage(message));
            }
            _ => {}
        }
        match (self.goal, self.pattern.shrinks()) {
            (Goal::Sparsity(_) | Goal::Threshold(_), true) => Err(Error::usage(format!(
                "--pattern {} takes --target-macs, --target-size or --target-latency, what is left; not what is zero",
                self.pattern
            ))),
            (Goal::Macs(_) | Goal::Latency(_), false) => Err(Error::usage(
                "zeros change neither multiply-accumulates nor latency of either runtime: --pattern channel does",
            )),
            _ => Ok(()),
        }
    }
}
