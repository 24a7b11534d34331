//! Which weights go, tensor by tensor: decided, then applied.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use super::options::{Pattern, PruneOptions, Scope};
use super::select::{Cut, lowest};
use super::{criterion, mask, sparse};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PrunePlan {
    pub options: PruneOptions,
    pub tensors: Vec<TensorPlan>,
}

/// One weight tensor, named by the first node that reads it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TensorPlan {
    pub node: String,
    pub op_type: String,
    pub tensor: String,
    pub shape: Vec<usize>,
    /// Zeros after; those that were there before count.
    pub zeros: usize,
    /// Why it keeps its weights.
    pub kept: Option<String>,
    #[serde(skip)]
    value: ValueId,
    #[serde(skip)]
    mask: Vec<bool>,
}

/// What was done.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct PruneReport {
    pub tensors: usize,
    pub weights: usize,
    pub zeros: usize,
    /// Tensors stored as `sparse_initializer`.
    pub sparse: usize,
}

/// Decides which weights become zero.
///
/// # Errors
/// Usage, for options that contradict each other or name what does not exist.
pub fn plan(model: &Model, options: &PruneOptions) -> Result<PrunePlan> {
    let criterion = criterion::find(&options.criterion)?;
    let exclude: Vec<Regex> = options.exclude.iter().map(|p| regex(p)).collect::<Result<_>>()?;
    let share = options.sparsity;
    if share.is_some_and(|s| !(0.0..=1.0).contains(&s)) {
        return Err(Error::usage("--sparsity is a share between 0 and 1"));
    }
    if matches!(options.pattern, Pattern::Unstructured) && share.is_some() == options.threshold.is_some() {
        return Err(Error::usage("give either --sparsity or --threshold"));
    }
    if options.threshold.is_some_and(|t| t < 0.0) {
        return Err(Error::usage("--threshold is not negative: scores are not"));
    }
    let mut tensors: Vec<TensorPlan> = Vec::new();
    let mut scores: Vec<Vec<f32>> = Vec::new();
    for (value, (node, axis)) in weights(model) {
        // Every weight listed is constant.
        let Some(t) = model.constant(value) else { continue };
        let label = model.node_label(node);
        let kept = match exclude.iter().find(|r| r.is_match(label)) {
            Some(r) => Some(format!("--exclude {r}")),
            None if !t.dtype().is_float() => Some(format!("its weight is {}", t.dtype())),
            None => mask::refuses(options.pattern, t.shape(), axis),
        };
        let numbers = if kept.is_none() { t.to_f32() } else { None };
        scores.push(numbers.as_ref().map_or(Vec::new(), |w| (criterion.score)(w, options.seed ^ tensors.len() as u64)));
        let mask = match options.pattern {
            Pattern::Of { keep, of } if kept.is_none() => {
                mask::by_group(&scores[scores.len() - 1], t.shape(), axis, keep, of)
            }
            _ => Vec::new(),
        };
        tensors.push(TensorPlan {
            node: label.to_string(),
            op_type: model.node(node).op_type.clone(),
            tensor: model.name(value).to_string(),
            shape: t.shape().to_vec(),
            zeros: 0,
            kept,
            value,
            mask,
        });
    }
    if options.pattern == Pattern::Unstructured {
        cut(&mut tensors, &scores, options);
    }
    for t in &mut tensors {
        let Some(stored) = model.constant(t.value) else { continue };
        let zero = |(i, w): (usize, &f32)| *w == 0.0 || t.mask.get(i).copied().unwrap_or(false);
        t.zeros = stored.to_f32().map_or(0, |w| w.iter().enumerate().filter(|x| zero(*x)).count());
    }
    Ok(PrunePlan { options: options.clone(), tensors })
}

/// Masks by threshold or share, over all tensors or each.
fn cut(tensors: &mut [TensorPlan], scores: &[Vec<f32>], options: &PruneOptions) {
    let part = |count: usize| (options.sparsity.unwrap_or(0.0) * count as f64).round() as usize;
    let total: usize = scores.iter().map(Vec::len).sum();
    let all = || scores.iter().map(Vec::as_slice);
    let mut global = match options.threshold {
        Some(t) => Cut { bits: (t.max(0.0) as f32).to_bits(), ties: 0 },
        None => lowest(all, part(total)),
    };
    for (t, own) in tensors.iter_mut().zip(scores) {
        let mut local = match options.scope {
            Scope::Layer if options.threshold.is_none() => lowest(|| std::iter::once(own.as_slice()), part(own.len())),
            _ => global,
        };
        t.mask = mask::by_cut(own, &mut local);
        if options.scope == Scope::Global {
            global = local;
        }
    }
}

/// The weights of contractions, each once, in graph order, with the axis that is summed over.
fn weights(model: &Model) -> Vec<(ValueId, (NodeId, usize))> {
    let mut found: BTreeMap<ValueId, usize> = BTreeMap::new();
    let mut list = Vec::new();
    for id in model.all_nodes() {
        let node = model.node(id);
        let Some(QuantRule::Weighted { weight, channel_axis, .. }) = ops::of(node).map(|op| op.quant) else { continue };
        let Some(value) = node.input(weight) else { continue };
        let Some(t) = model.constant(value) else { continue };
        if t.rank() < 2 || found.insert(value, list.len()).is_some() {
            continue;
        }
        // The summed axis is the other one of the first (convolution) or last (product) two.
        let channel = channel_axis(node, t.rank());
        let summed = if channel == 0 { 1 } else { channel - 1 };
        list.push((value, (id, summed)));
    }
    list
}

/// Sets the zeros.
pub fn apply(model: &mut Model, plan: &PrunePlan) -> Result<PruneReport> {
    let mut edit = GraphEdit::new(model);
    let mut report = PruneReport::default();
    for t in &plan.tensors {
        report.weights += t.shape.iter().product::<usize>();
        report.zeros += t.zeros;
        if t.kept.is_some() {
            continue;
        }
        report.tensors += 1;
        let lost = || Error::internal(format!("tensor \"{}\" is no longer there", t.tensor));
        let stored: Tensor = edit.constant(t.value).cloned().ok_or_else(lost)?;
        let mut pruned = mask::applied(&stored, &t.mask)?;
        pruned.storage = stored.storage.clone();
        let is_initializer = edit.producer(t.value).is_none();
        if plan.options.sparse
            && is_initializer
            && let Some(s) = sparse::smaller(&pruned)?
        {
            edit.make_sparse(t.value, s);
            report.sparse += 1;
            continue;
        }
        match edit.producer(t.value) {
            Some(node) => edit.set_attr(node, "value", pruned),
            None => edit.set_initializer(t.value, pruned),
        }
    }
    Ok(report)
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|e| Error::usage(format!("--exclude \"{pattern}\" is no regular expression: {e}")))
}

impl fmt::Display for PrunePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        Ok(())
    }
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.zeros as f64 / self.weights.max(1) as f64;
        write!(f, "{} of {} weights are zero ({percent:.1} %) in {} tensors", self.zeros, self.weights, self.tensors)?;
        match self.sparse {
            0 => Ok(()),
            n => write!(f, ", {n} stored sparse"),
        }
    }
}
