//! From scores to masks: how many weights of each tensor go, and which.

use super::options::Scope;
use super::plan::TensorPlan;
use super::select::{Cut, lowest};
use super::sensitivity::{LayerSensitivity, shares};
use super::{Goal, Pattern, mask};
use crate::error::{Error, Result};
use crate::files;
use crate::ir::{Model, Tensor};

/// What masks follow from.
pub(super) struct Masks<'a> {
    pub pattern: Pattern,
    pub goal: Goal,
    pub scope: Scope,
    /// Of each tensor; none of one that keeps its weights.
    pub scores: &'a [Vec<f32>],
    /// Measured where the scope is [`Scope::Auto`].
    pub layers: &'a [LayerSensitivity],
}

/// The share that is left of the model's tensors, compressed, where these are pruned as planned.
///
/// # Errors
/// Io.
pub(super) fn packed_share(model: &Model, tensors: &[TensorPlan]) -> Result<f64> {
    let before = |t: &TensorPlan| TensorPlan { mask: Vec::new(), fresh: None, ..t.clone() };
    let (others, before) = (packed_others(model, tensors)?, tensors.iter().map(before).collect::<Vec<_>>());
    Ok((others + packed(model, tensors)?) as f64 / (others + packed(model, &before)?).max(1) as f64)
}

/// Bytes of the pruned tensors, compressed.
fn packed(model: &Model, tensors: &[TensorPlan]) -> Result<u64> {
    tensors.iter().map(|t| weigh(&t.pruned(model)?)).sum()
}

/// Bytes of the others.
fn packed_others(model: &Model, tensors: &[TensorPlan]) -> Result<u64> {
    let pruned = |t: &Tensor| tensors.iter().any(|p| model.constant(p.value).is_some_and(|c| std::ptr::eq(c, t)));
    model.tensors().filter(|t| !pruned(t)).map(weigh).sum()
}

fn weigh(t: &Tensor) -> Result<u64> {
    files::compressed_size(&t.bytes()[..]).map_err(|e| Error::internal(e.to_string()))
}

/// Halvings of the share that a compressed size needs: it is met to 1/2000.
const HALVINGS: usize = 11;

impl Masks<'_> {
    /// Sets the masks so that the goal is met.
    ///
    /// # Errors
    /// Io, where sizes are sought.
    pub fn set(&self, model: &Model, tensors: &mut [TensorPlan]) -> Result<()> {
        match self.goal {
            Goal::Sparsity(share) => self.at(share, tensors),
            Goal::Size(left) => {
                let share = self.share_for(left, model, tensors)?;
                self.at(share, tensors);
            }
            _ => self.at(0.0, tensors),
        }
        Ok(())
    }

    /// Sets the masks for this share of zeros.
    fn at(&self, share: f64, tensors: &mut [TensorPlan]) {
        match (self.pattern, self.scope) {
            (Pattern::Of { .. }, _) => {
                for (t, scores) in tensors.iter_mut().zip(self.scores).filter(|(_, s)| !s.is_empty()) {
                    t.mask = mask::lowest(scores, t, self.pattern, 0);
                }
            }
            (Pattern::Block { rows, columns }, _) => {
                let blocks = |(t, s): (&TensorPlan, &Vec<f32>)| match s.is_empty() {
                    true => (Vec::new(), Vec::new()),
                    false => mask::blocks(s, &t.shape, (t.channel, t.axis), (rows, columns)),
                };
                let (sums, of): (Vec<_>, Vec<_>) = tensors.iter().zip(self.scores).map(blocks).unzip();
                self.cut(share, tensors, &sums);
                for (t, of) in tensors.iter_mut().zip(of) {
                    t.mask = of.iter().map(|b| t.mask[*b]).collect();
                }
            }
            (_, Scope::Auto) => {
                // What cannot be solved alone was not measured, and has the share of all.
                let mut each = vec![share; tensors.len()];
                let zeros = share * self.layers.iter().map(|l| l.weights).sum::<usize>() as f64;
                let measured = self.layers.iter().zip(shares(self.layers, zeros));
                measured.for_each(|(layer, share)| each[layer.tensor] = share);
                let scored = tensors.iter_mut().zip(self.scores).zip(each).filter(|((_, s), _)| !s.is_empty());
                for ((t, scores), share) in scored {
                    let zeros = (share * scores.len() as f64).round() as usize;
                    t.mask = mask::lowest(scores, t, Pattern::Unstructured, zeros);
                }
            }
            _ => self.cut(share, tensors, self.scores),
        }
    }

    /// Masks by threshold or share, over all tensors or each.
    fn cut(&self, share: f64, tensors: &mut [TensorPlan], scores: &[Vec<f32>]) {
        let part = |count: usize| (share * count as f64).round() as usize;
        let total: usize = scores.iter().map(Vec::len).sum();
        let mut global = lowest(|| scores.iter().map(Vec::as_slice), part(total));
        for (t, own) in tensors.iter_mut().zip(scores) {
            let mut local = match self.goal {
                Goal::Threshold(threshold) => Cut::below(threshold.of(own)),
                _ if self.scope == Scope::Layer => lowest(|| std::iter::once(own.as_slice()), part(own.len())),
                _ => global,
            };
            t.mask = mask::by_cut(own, &mut local);
            if self.scope != Scope::Layer {
                global = local;
            }
        }
    }

    /// The least share of zeros with which the tensors of the model, compressed, take the share `left` of what they took.
    fn share_for(&self, left: f64, model: &Model, tensors: &mut [TensorPlan]) -> Result<f64> {
        let others = packed_others(model, tensors)?;
        tensors.iter_mut().for_each(|t| t.mask = Vec::new());
        let wanted = left * (others + packed(model, tensors)?) as f64;
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            self.at(middle, tensors);
            if (others + packed(model, tensors)?) as f64 > wanted { low = middle } else { high = middle }
        }
        if high == 1.0 {
            return Err(Error::usage(format!(
                "--target-size {left} cannot be met: what is not pruned takes {others} bytes compressed, of {wanted:.0}"
            )));
        }
        Ok(high)
    }
}
