//! Which weights go, tensor by tensor: what is decided before it is applied.

use super::channel::ChannelPlan;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::mask;
use super::options::PruneOptions;
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::second_order::Bias;

/// Which weights or channels go, and what the others become.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PrunePlan {
    /// What was asked for.
    pub options: PruneOptions,
    /// Every weight tensor, in the order of the graph; none where channels go.
    pub tensors: Vec<TensorPlan>,
    /// The channels that leave the graph, where the pattern is of that kind.
    pub channels: Option<ChannelPlan>,
    /// What was chosen by data, and what could not be done.
    pub notes: Vec<String>,
}

/// One weight tensor, named by the first node that reads it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TensorPlan {
    /// The first node that reads it.
    pub node: String,
    /// The operator of that node.
    pub op_type: String,
    /// Its name.
    pub tensor: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Zeros after; those that were there before count.
    pub zeros: usize,
    /// Why it keeps its weights.
    pub kept: Option<String>,
    /// The first node that reads it.
    #[serde(skip)]
    pub(super) id: NodeId,
    #[serde(skip)]
    pub(super) value: ValueId,
    /// The axis that is summed over.
    #[serde(skip)]
    pub(super) axis: usize,
    /// The axis of output channels.
    #[serde(skip)]
    pub(super) channel: usize,
    /// Which weights become zero; empty where it keeps all.
    #[serde(skip)]
    pub(super) mask: Vec<bool>,
    /// What the weights that stay become.
    #[serde(skip)]
    pub(super) fresh: Option<Arc<Fresh>>,
}

/// Weights solved anew, as the tensor holds them, zeros included, and the biases that go with them.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub weights: Tensor,
    pub biases: Vec<Bias>,
}

impl PrunePlan {
    /// Whether weights were solved or trained anew on data.
    #[must_use]
    pub fn is_fitted(&self) -> bool {
        let solved = self.tensors.iter().any(|t| t.fresh.is_some());
        solved || self.options.recover.is_some() || self.channels.as_ref().is_some_and(|c| c.solved > 0)
    }

    /// What it tells, without the weights: it is done, and cannot be applied any more.
    #[must_use]
    pub(crate) fn told(mut self) -> Self {
        for t in &mut self.tensors {
            (t.mask, t.fresh) = (Vec::new(), None);
        }
        self.channels = self.channels.map(ChannelPlan::told);
        self
    }
}

impl TensorPlan {
    /// The weights as `model` holds them.
    pub(super) fn numbers<'a>(&self, model: &'a Model) -> Option<Cow<'a, [f32]>> {
        model.constant(self.value)?.to_f32()
    }

    /// Counts the zeros.
    pub(super) fn count(&mut self, model: &Model) {
        let zero = |(i, w): (usize, &f32)| *w == 0.0 || self.mask.get(i).copied().unwrap_or(false);
        let count = |w: &[f32]| w.iter().enumerate().filter(|x| zero(*x)).count();
        self.zeros = match &self.fresh {
            Some(fresh) => fresh.weights.to_f32().map_or(0, |w| count(&w)),
            None => self.numbers(model).map_or(0, |w| count(&w)),
        };
    }

    /// The tensor as it becomes.
    pub(super) fn pruned(&self, model: &Model) -> Result<Tensor> {
        let lost = || Error::internal(format!("tensor \"{}\" is no longer there", self.tensor));
        let stored = model.constant(self.value).ok_or_else(lost)?;
        let mut pruned = match &self.fresh {
            Some(fresh) => fresh.weights.clone(),
            None if self.mask.is_empty() => stored.clone(),
            None => mask::applied(stored, &self.mask)?,
        };
        pruned.storage = stored.storage.clone();
        pruned.name.clone_from(&stored.name);
        Ok(pruned)
    }

    /// Writes it, and the biases that go with it.
    pub(super) fn write(&self, edit: &mut GraphEdit) -> Result<()> {
        let pruned = self.pruned(edit)?;
        edit.set_floats(self.value, pruned);
        if let Some(fresh) = &self.fresh {
            Bias::put_all(&fresh.biases, edit);
        }
        Ok(())
    }
}

impl fmt::Display for PrunePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channels) = &self.channels {
            write!(f, "{channels}")?;
        }
        for t in &self.tensors {
            let count: usize = t.shape.iter().product();
            let percent = 100.0 * t.zeros as f64 / count.max(1) as f64;
            match &t.kept {
                None => writeln!(
                    f,
                    "prune     {} ({})  {} {:?}  {percent:.1} % zeros",
                    t.node, t.op_type, t.tensor, t.shape
                )?,
                Some(why) => writeln!(f, "keep      {} ({})  {} {:?}  {why}", t.node, t.op_type, t.tensor, t.shape)?,
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note      {note}"))
    }
}
