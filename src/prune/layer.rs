//! The layers of a plan that are solved anew, in the order of the walk.

use super::plan::TensorPlan;
use crate::ir::{Model, ValueId};
use crate::second_order::moments::Centred;
use crate::second_order::rows::{self, Sample, Sought, Wanted};
use crate::second_order::{self, Order, Walk};

const SAMPLE: Sample = Sample { each: 40, least: 16 << 10, most: 64 << 10 };

/// A layer that is solved anew.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Its place in the plan's tensors.
    pub tensor: usize,
    pub solved: second_order::Layer,
    /// The other operands of the sums that its output goes into, made before it.
    pub beside: Vec<ValueId>,
}

impl Layer {
    /// Those of `tensors` that are pruned, and why the others of these cannot be solved anew, by place.
    pub fn all(model: &Model, order: &Order, tensors: &[TensorPlan]) -> (Vec<Layer>, Vec<(usize, String)>) {
        let (mut layers, mut refused) = (Vec::new(), Vec::new());
        for (tensor, t) in tensors.iter().enumerate().filter(|(_, t)| t.kept.is_none()) {
            match second_order::Layer::of(model, t.id).unwrap_or_else(|| Err("it is no contraction".into())) {
                Ok(solved) => {
                    let beside = solved.beside(model, order);
                    layers.push(Layer { tensor, solved, beside });
                }
                Err(why) => refused.push((tensor, why)),
            }
        }
        (layers, refused)
    }
}

/// Layers in the order of the walk, with the place where it stops for them: those together that are fed the same rows.
pub(super) fn steps<'a>(order: &Order, layers: &'a [Layer]) -> Vec<(usize, Vec<&'a Layer>)> {
    // Every layer is in the main graph, all of whose nodes have a place.
    let mut sorted: Vec<(usize, &Layer)> =
        layers.iter().filter_map(|l| Some((order.place(l.solved.node)?, l))).collect();
    sorted.sort_by_key(|(place, _)| *place);
    let mut steps: Vec<(usize, Vec<&Layer>)> = Vec::new();
    for (place, layer) in sorted {
        match steps.iter_mut().find(|(_, s)| s[0].solved.contraction.reads_as(&layer.solved.contraction)) {
            // What stands beside it must be there when the first of the step runs.
            Some((_, step)) if layer.beside.iter().all(|v| order.is_there(*v, step[0].solved.node)) => step.push(layer),
            _ => steps.push((place, vec![layer])),
        }
    }
    steps
}

/// What is added up of the rows of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sums {
    /// Second moments of the inputs.
    Inputs,
    /// Those, and what they have in common with the wanted outputs.
    All,
    /// Means of inputs and wanted outputs.
    Means,
}

/// Moments of each layer of a step, by group.
///
/// # Errors
/// What the data refuse, and io.
pub(super) fn measure(model: &Model, walk: &Walk, step: &[&Layer], sums: Sums) -> crate::Result<Vec<Vec<Centred>>> {
    let mut sought = Vec::with_capacity(step.len());
    for l in step {
        let wanted = || Wanted::of(model, &l.solved.contraction, &l.beside);
        let wanted = match sums {
            Sums::Inputs => None,
            Sums::All => Some(wanted()),
            Sums::Means => Some(wanted().means()),
        };
        sought.push(Sought { layer: &l.solved, wanted });
    }
    let sums = rows::measure((walk, model), &sought, SAMPLE, (1, &|_| 0))?;
    let centred = |(l, parts): (&&Layer, Vec<Vec<_>>)| {
        let groups: Vec<second_order::Moments> = parts.into_iter().flatten().collect();
        groups.into_iter().map(|m| m.centred(l.solved.bias.is_some())).collect()
    };
    Ok(step.iter().zip(sums).map(centred).collect())
}
