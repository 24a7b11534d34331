//! The model as a plan computes it, with weights that can move, and back from it to the plan.
//!
//! ```text
//! x ─► Conv(W, b) ─► y        x ─► Q ─► DQ ─► Conv(Ŵ, b̂) ─► y        Ŵ, b̂ what the integers stand for
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use super::grid::{Biases, Levels};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::quantize::QParams;
use crate::quantize::apply::{quantized_weight, shift_biases};
use crate::quantize::compare::as_floats;
use crate::quantize::filters::Filters;
use crate::quantize::plan::{Decision, NodePlan, QuantPlan, Rounded, WeightPlan};
use crate::quantize::storage::integers;
use crate::recover::{Bound, Bounds};

pub(super) struct Student {
    pub model: Model,
    pub bounds: Bounds,
    pub layers: Vec<Layer>,
    /// What keeps its levels, and why.
    pub refused: Vec<String>,
}

/// A node whose levels move.
pub(super) struct Layer {
    /// Of its plan.
    place: usize,
    id: NodeId,
    plan: WeightPlan,
    start: Arc<Rounded>,
    /// Inputs of the node.
    weight: usize,
    bias: Option<usize>,
    /// The scale of its input, where that is quantized.
    input: Option<f32>,
}

impl Student {
    /// # Errors
    /// Internal, where the plan is for another model.
    pub fn of(model: &Model, plan: &QuantPlan) -> Result<Student> {
        let (layers, mut refused) = layers(model, plan)?;
        // From here on the plan says which levels weights have, and biases that move cannot change it.
        let mut pinned = plan.clone();
        for layer in &layers {
            if let Decision::Quantize { weight, .. } = &mut pinned.nodes[layer.place].decision {
                weight.rounded = Some(layer.start.clone());
            }
        }
        for node in &mut pinned.nodes {
            // Nobody but runtimes knows the operator that reads blocks.
            if matches!(node.decision, Decision::Table { block: Some(_), .. }) {
                node.decision = Decision::Keep { reason: "read as floats while weights are trained".into() };
            }
        }
        let student = as_floats(model, &pinned)?;
        let mut bounds = Bounds::new();
        let mut replaced = BTreeSet::new();
        for node in plan.nodes.iter().filter(|n| matches!(n.decision, Decision::Quantize { .. })) {
            let (before, after) = (model.node(node.id), student.node(node.id));
            let other = |(v, now): (&Option<ValueId>, &Option<ValueId>)| v.filter(|_| v != now);
            replaced.extend(before.inputs().iter().zip(after.inputs()).filter_map(other));
            let is_layer = layers.iter().any(|l| l.id == node.id);
            if let Some(weight) = weight_of(&student, node.id).filter(|_| !is_layer) {
                bounds.insert(weight, Bound::Fixed(None));
            }
        }
        for layer in &layers {
            layer.bind(model, &student, &mut bounds)?;
        }
        let filters = Filters::new(&plan.options)?;
        for node in &plan.nodes {
            let Some(why) = filters.excludes(&node.node) else { continue };
            let own = student.node(node.id).inputs().iter().flatten().filter(|v| student.constant(**v).is_some());
            bounds.extend(own.map(|v| (*v, Bound::Fixed(Some(why.clone())))));
        }
        let both = |v: &ValueId| student.is_live_value(*v) && student.constant(*v).is_some();
        for value in replaced.into_iter().filter(both) {
            bounds.insert(value, Bound::Fixed(Some("a quantized node reads it, too".into())));
        }
        refused.sort();
        Ok(Student { model: student, bounds, layers, refused })
    }
}

/// The value that a contraction reads as its weight.
fn weight_of(model: &Model, id: NodeId) -> Option<ValueId> {
    let QuantRule::Weighted { weight, .. } = ops::of(model.node(id))?.quant else { return None };
    model.node(id).input(weight)
}

/// What of `plan` can be trained, as it would be written; and why the rest cannot.
fn layers(model: &Model, plan: &QuantPlan) -> Result<(Vec<Layer>, Vec<String>)> {
    let (mut layers, mut refused) = (Vec::new(), Vec::new());
    let mut shifted = model.clone();
    let mut edit = GraphEdit::new(&mut shifted);
    shift_biases(&mut edit, plan);
    for (place, node) in plan.nodes.iter().enumerate() {
        let why = match &node.decision {
            Decision::Quantize { weight, input, .. } => match untrained(model, node) {
                None => {
                    layers.push(Layer::of(&edit, plan, (place, node), weight, input.map(|p| p.scale))?);
                    continue;
                }
                Some(why) => why,
            },
            Decision::Recurrent { .. } => "recurrent operators are not trained",
            Decision::Table { .. } => "its table is not trained",
            _ => continue,
        };
        refused.push(format!("{} ({}) keeps its levels: {why}", node.node, node.op_type));
    }
    Ok((layers, refused))
}

/// Why the levels of a contraction stay.
fn untrained(model: &Model, node: &NodePlan) -> Option<&'static str> {
    let weight = weight_of(model, node.id)?;
    if model.node(node.id).graph() != model.main() {
        return Some("inside a subgraph");
    }
    (model.uses(weight).len() > 1).then_some("several nodes read its weight")
}

impl Layer {
    fn of(
        edit: &GraphEdit,
        plan: &QuantPlan,
        (place, node): (usize, &NodePlan),
        w: &WeightPlan,
        input: Option<f32>,
    ) -> Result<Layer> {
        let id = node.id;
        let lost = || Error::internal(format!("node \"{}\" lost an operand", node.node));
        let Some(QuantRule::Weighted { weight, bias, .. }) = ops::of(edit.node(id)).map(|op| op.quant) else {
            return Err(lost());
        };
        let bias = bias.filter(|b| edit.node(id).input(*b).is_some());
        let numbers = bias.and_then(|b| edit.constant_input(id, b)).and_then(|t| t.to_f32());
        let beside = numbers.as_deref().zip(input);
        let value = edit.node(id).input(weight).ok_or_else(lost)?;
        let q = quantized_weight(edit, plan, value, w, beside)?;
        let zeros = q.zero_point.as_ref().and_then(Tensor::to_i64).unwrap_or_default();
        let params = |(g, scale): (usize, &f32)| QParams {
            dtype: w.dtype,
            scale: *scale,
            zero_point: zeros.get(g).map_or(0, |z| *z as i32),
        };
        let params: Vec<QParams> = q.scales.iter().enumerate().map(params).collect();
        let levels = integers(&q.values).ok_or_else(lost)?;
        let start = Arc::new(Rounded { params, values: w.dtype.tensor(q.values.shape(), &levels) });
        Ok(Layer { place, id, plan: w.clone(), start, weight, bias, input })
    }

    fn levels(&self) -> Levels {
        Levels::new(&self.plan, self.start.values.shape(), self.start.params.clone())
    }

    /// Says how the weight and the bias in `student` may move.
    fn bind(&self, model: &Model, student: &Model, bounds: &mut Bounds) -> Result<()> {
        let lost = || Error::internal(format!("weight \"{}\" is no longer there", self.plan.name));
        let float = model.constant_input(self.id, self.weight).and_then(|t| t.to_f32()).ok_or_else(lost)?;
        let start = integers(&self.start.values).ok_or_else(lost)?;
        let levels = self.levels();
        let begin = levels.begin(&float, &start);
        let value = student.node(self.id).input(self.weight).ok_or_else(lost)?;
        bounds.insert(value, Bound::Grid { grid: Box::new(levels), begin });
        let bias = self.bias.and_then(|b| student.node(self.id).input(b));
        if let (Some(value), Some(input)) = (bias, self.input) {
            let steps = self.start.params.iter().map(|p| input * p.scale).collect();
            let begin = student.constant(value).and_then(|t| t.to_f32()).ok_or_else(lost)?.into_owned();
            bounds.insert(value, Bound::Grid { grid: Box::new(Biases { steps }), begin });
        }
        Ok(())
    }

    /// Puts what the student has learned into the plan for `model`.
    pub fn write(&self, student: &Model, model: &Model, plan: &mut QuantPlan) -> Result<()> {
        let lost = || Error::internal(format!("weight \"{}\" is no longer there", self.plan.name));
        let floats = |input: usize| student.constant_input(self.id, input).and_then(|t| t.to_f32());
        let q = self.levels().integers(&floats(self.weight).ok_or_else(lost)?);
        let values = self.plan.dtype.tensor(self.start.values.shape(), &q);
        let node = plan.nodes.get_mut(self.place).ok_or_else(lost)?;
        let Decision::Quantize { weight, shift, .. } = &mut node.decision else { return Err(lost()) };
        weight.rounded = Some(Arc::new(Rounded { params: self.start.params.clone(), values }));
        let own = |b: &usize| student.node(self.id).input(*b) != model.node(self.id).input(*b);
        if let Some(bias) = self.bias.filter(own).and_then(floats) {
            let before = self.bias.and_then(|b| model.constant_input(self.id, b)).and_then(|t| t.to_f32());
            *shift = Some(match before {
                Some(before) => bias.iter().zip(before.iter()).map(|(b, before)| b - before).collect(),
                None => bias.into_owned(),
            });
        }
        Ok(())
    }
}

/// Gives `model` the constants that it shares with the student as they became.
pub(super) fn write_floats(student: &Model, model: &mut Model) {
    let mut changed: Vec<(ValueId, Tensor)> = Vec::new();
    for id in student.graph(student.main()).nodes() {
        for value in student.node(*id).inputs().iter().flatten().filter(|v| model.is_live_value(**v)) {
            let (Some(now), Some(before)) = (student.constant(*value), model.constant(*value)) else { continue };
            if now != before && changed.iter().all(|(v, _)| v != value) {
                changed.push((*value, now.clone()));
            }
        }
    }
    let mut edit = GraphEdit::new(model);
    changed.into_iter().for_each(|(value, tensor)| edit.set_constant(value, tensor));
}
