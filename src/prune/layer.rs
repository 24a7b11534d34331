//! Contractions whose weights can be solved anew, with what makes up for them: a bias, and the other operand of a residual sum.
//!
//! ```text
//! x ─► W·x ─► + b ─►(+)─► …        what is wanted of W·x + b is the float sum less the operand s that pruning has changed already
//!            s ──────┘
//! ```

use super::plan::TensorPlan;
use crate::ir::{DType, Model, NodeId, ValueId};
use crate::ops::{self, QuantRule};
use crate::second_order::{Contraction, Order};

/// A contraction that is solved anew.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Its place in the plan's tensors.
    pub tensor: usize,
    pub node: NodeId,
    pub contraction: Contraction,
    pub intercept: Option<Intercept>,
    /// The other operand of the sum that its output goes into, made before it.
    pub beside: Option<ValueId>,
}

/// Where a constant is added to each output channel.
#[derive(Debug, Clone)]
pub(super) struct Intercept {
    pub node: NodeId,
    pub input: usize,
    /// As it is; zeros where there is none yet.
    pub values: Vec<f32>,
}

impl Layer {
    /// Those of `tensors` that are pruned, and why the others of these cannot be solved anew, by place.
    pub fn all(model: &Model, order: &Order, tensors: &[TensorPlan]) -> (Vec<Layer>, Vec<(usize, String)>) {
        let (mut layers, mut refused) = (Vec::new(), Vec::new());
        for (i, t) in tensors.iter().enumerate().filter(|(_, t)| t.kept.is_none()) {
            match Layer::of(model, order, (i, t)) {
                Ok(layer) => layers.push(layer),
                Err(why) => refused.push((i, why)),
            }
        }
        (layers, refused)
    }

    /// `Err` says why the weights of a tensor that is pruned cannot be solved anew.
    pub fn of(model: &Model, order: &Order, (tensor, plan): (usize, &TensorPlan)) -> Result<Layer, String> {
        if model.node(plan.id).graph() != model.main() {
            return Err("it is inside a subgraph".into());
        }
        if model.uses(plan.value).len() > 1 {
            return Err("several nodes share it".into());
        }
        let node = model.node(plan.id);
        if model.constant(plan.value).is_none_or(|t| t.dtype() != DType::F32) {
            return Err("its weight is not float32".into());
        }
        let contraction = Contraction::of(model, plan.id).unwrap_or_else(|| Err("it is no contraction".into()))?;
        if node.float_or("alpha", 1.0) != 1.0 || node.float_or("beta", 1.0) != 1.0 {
            return Err("its product is scaled".into());
        }
        let intercept = Intercept::of(model, plan.id, &contraction);
        let beside = beside(model, order, (plan.id, intercept.as_ref()));
        Ok(Layer { tensor, node: plan.id, contraction, intercept, beside })
    }
}

/// Layers in the order of the walk, those together that are fed the same rows.
pub(super) fn steps<'a>(order: &Order, layers: &'a [Layer]) -> Vec<Vec<&'a Layer>> {
    let mut sorted: Vec<&Layer> = layers.iter().collect();
    sorted.sort_by_key(|l| order.place(l.node));
    let mut steps: Vec<Vec<&Layer>> = Vec::new();
    for layer in sorted {
        match steps.iter_mut().find(|s| s[0].contraction.reads_as(&layer.contraction)) {
            // What stands beside it must be there when the first of the step runs.
            Some(step) if layer.beside.is_none_or(|v| order.is_there(v, step[0].node)) => step.push(layer),
            _ => steps.push(vec![layer]),
        }
    }
    steps
}

impl Intercept {
    fn of(model: &Model, id: NodeId, contraction: &Contraction) -> Option<Intercept> {
        let node = model.node(id);
        let channels = contraction.channels();
        let QuantRule::Weighted { bias, .. } = ops::of(node)?.quant else { return None };
        let Some(bias) = bias else {
            // A product without room for a bias, which a sum with a constant follows.
            let (sum, other) = sum_of(model, node.output(0)?)?;
            let constant = model.constant_input(sum, other).filter(|t| t.shape() == [channels])?;
            return Some(Intercept { node: sum, input: other, values: constant.to_f32()?.into_owned() });
        };
        let values = match node.input(bias) {
            None => vec![0.0; channels],
            Some(v) => match model.constant(v)?.to_f32()?.as_ref() {
                [one] => vec![*one; channels],
                all if all.len() == channels => all.to_vec(),
                _ => return None,
            },
        };
        Some(Intercept { node: id, input: bias, values })
    }
}

/// The node that alone reads `v` and adds one other value to it, and the input that is the other one.
fn sum_of(model: &Model, v: ValueId) -> Option<(NodeId, usize)> {
    let sum = model.single_reader(v)?;
    let node = model.node(sum);
    let [Some(a), Some(b)] = node.inputs()[..] else { return None };
    if !ops::of(node)?.sums || a == b || node.graph() != model.main() {
        return None;
    }
    Some((sum, usize::from(a == v)))
}

/// The other operand of a sum behind the contraction and its bias, where it is there before the contraction runs.
fn beside(model: &Model, order: &Order, (id, intercept): (NodeId, Option<&Intercept>)) -> Option<ValueId> {
    let last = intercept.map_or(id, |i| i.node);
    let (sum, other) = sum_of(model, model.node(last).output(0)?)?;
    let value = model.node(sum).input(other).filter(|v| model.constant(*v).is_none())?;
    order.is_there(value, id).then_some(value)
}
