//! The whole graph in float16, but for what overflows there.
//!
//! ```text
//! x f32 ─► Cast ─► Conv(W f16) ─► Relu ─► Pow ─► … ─► Cast ─► y f32
//!                                     └ reaches 10⁵: Cast(f32) ─► Pow ─► Cast(f16)
//! ```
//!
//! What stays is found in calibration ranges, not in a list of operators: float16 ends at 65,504, and a value may be [`ROOM`] times as
//! large as any that was seen. A constant that is a number in float32 and zero in float16 (the ε of a norm) keeps its node, too. Nodes with
//! subgraphs and those that say their type themselves stay, and those of which integers are made: a number near a border would fall on its
//! other side. Nodes that stay read and give float32.

use std::collections::BTreeMap;

use half::f16;

use super::params::PER_AXIS_OPSET;
use super::plan::{Decision, QuantPlan};
use crate::calibrate::Ranges;
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Model, NewNode, NodeId, Place, Tensor, Use, ValueId};
use crate::ops;

const LARGEST: f32 = f16::MAX.to_f32_const();
const ROOM: f32 = 2.0;
/// Operators through which a number is followed to where an integer is made of it, and how many of them one after the other.
const ELEMENTWISE: &[&str] = &[
    "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Log", "Exp", "Neg", "Abs", "Min", "Max", "Clip", "Where", "Mod", "Sign",
];
const DEPTH: usize = 8;

/// Names of the values whose ranges decide.
pub(super) fn values_to_observe(model: &Model) -> Vec<String> {
    let nodes = model.graph(model.main()).nodes().iter();
    let made = nodes.flat_map(|n| model.node(*n).outputs().iter().flatten().copied());
    let all = model.user_inputs().into_iter().chain(made).filter(|v| is_float(model, *v));
    all.map(|v| model.name(v).to_string()).collect()
}

fn is_float(model: &Model, v: ValueId) -> bool {
    model.tensor_type(v).dtype == Some(DType::F32)
}

/// The inputs that change their type: floats, but those that the operator reads as float32 whatever the others are.
fn inputs(model: &Model, id: NodeId) -> Vec<(usize, ValueId)> {
    let node = model.node(id);
    let fixed = ops::of(node).map_or(&[][..], |op| op.single);
    let given = node.inputs().iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
    given.filter(|(i, v)| !fixed.contains(i) && is_float(model, *v)).collect()
}

/// Whether a node can be in float16; `None` where it has nothing to do with floats.
pub(super) fn decide(model: &Model, ranges: Option<&Ranges>, id: NodeId) -> Option<Result<Decision, String>> {
    let node = model.node(id);
    let read = inputs(model, id);
    let made: Vec<ValueId> = node.outputs().iter().flatten().copied().filter(|v| is_float(model, *v)).collect();
    if node.graph() != model.main() || read.is_empty() || made.is_empty() {
        return None;
    }
    if node.subgraphs().next().is_some() {
        return Some(Err("its branches stay float32".into()));
    }
    match ops::of(node) {
        None => return Some(Err(format!("{} is not known here", node.op_type))),
        Some(op) if model.onnx_opset().max(PER_AXIS_OPSET) < op.half_from => {
            return Some(Err(format!("{} takes no float16 in this opset", node.op_type)));
        }
        Some(_) => {}
    }
    if node.attr("to").is_some() || node.attr("dtype").is_some() {
        return Some(Err("it says itself what type it makes".into()));
    }
    if let Some(rounds) = made.iter().find_map(|v| rounded(model, *v, DEPTH)) {
        return Some(Err(format!("{} makes integers of it", model.describe(rounds))));
    }
    let untyped = node.inputs().iter().flatten().find(|v| model.tensor_type(**v).dtype.is_none());
    if let Some(v) = untyped {
        return Some(Err(format!("it reads \"{}\", whose type is not known", model.name(*v))));
    }
    let values = read.iter().map(|(_, v)| *v).chain(made);
    let reasons = values.filter_map(|v| refusal(model, ranges, v));
    Some(reasons.take(1).next().map_or(Ok(Decision::Half), Err))
}

/// The node that makes integers of what elementwise operators make of `v`, within so many steps.
fn rounded(model: &Model, v: ValueId, steps: usize) -> Option<NodeId> {
    let nodes = model.uses(v).iter().filter_map(|u| match u {
        Use::Node { node, .. } => Some(*node),
        Use::Output { .. } => None,
    });
    nodes.into_iter().find_map(|id| {
        let node = model.node(id);
        let integers = node
            .output(0)
            .and_then(|y| model.tensor_type(y).dtype)
            .is_some_and(|d| !d.is_float() && ![DType::Bool, DType::String].contains(&d));
        if node.is_one_of(&["Floor", "Ceil", "Round"]) || node.is("Cast") && integers {
            return Some(id);
        }
        let passes = node.is_one_of(ELEMENTWISE) && steps > 0;
        node.output(0).filter(|_| passes).and_then(|y| rounded(model, y, steps - 1))
    })
}

fn refusal(model: &Model, ranges: Option<&Ranges>, v: ValueId) -> Option<String> {
    let name = model.name(v);
    if let Some(constant) = model.constant(v) {
        let values = constant.to_f32()?;
        let most = values.iter().fold(0f32, |m, x| m.max(x.abs()));
        if !f16::from_f32(most).is_finite() {
            return Some(format!("\"{name}\" reaches {most:.3e}; float16 ends at 65,504"));
        }
        return (most > 0.0 && f16::from_f32(most) == f16::ZERO)
            .then(|| format!("\"{name}\", {most:e}, is zero in float16"));
    }
    let Some(range) = ranges.and_then(|r| r.get(name)) else {
        return Some(format!("no range was observed of \"{name}\""));
    };
    let most = range.max.max(-range.min);
    (most * ROOM > LARGEST).then(|| format!("\"{name}\" reaches {most:.3e}; float16 ends at 65,504"))
}

/// Puts the nodes that the plan says into float16.
///
/// # Errors
/// Internal, where a constant cannot be read.
pub(super) fn apply(edit: &mut GraphEdit, plan: &QuantPlan) -> Result<()> {
    let mut halves: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let mut casts = Vec::new();
    for node in plan.nodes.iter().filter(|n| matches!(n.decision, Decision::Half)) {
        let id = node.id;
        for (index, v) in inputs(edit, id) {
            let half = match halves.get(&v) {
                Some(half) => *half,
                None => {
                    let half = halved(edit, v)?;
                    halves.insert(v, half);
                    half
                }
            };
            edit.set_input(id, index, Some(half));
        }
        for index in 0..edit.node(id).outputs().len() {
            let float = edit.node(id).output(index).is_some_and(|y| is_float(edit, y));
            let Some(y) = float.then(|| edit.detach_output(id, index)).flatten() else { continue };
            let half = edit.new_value_like(&format!("{}_half", edit.name(y)));
            edit.attach_output(id, index, half);
            let cast = NewNode::cast(half, DType::F32).name(format!("{}_Cast", edit.name(y)));
            casts.push(edit.insert(Place::After(id), cast.output_into(y)));
            halves.insert(y, half);
        }
    }
    // Who reads float16 needs none of them.
    for cast in casts {
        let unread = edit.node(cast).output(0).is_none_or(|y| edit.uses(y).is_empty() && !edit.is_output(y));
        if unread {
            edit.remove_node(cast);
        }
    }
    for node in plan.nodes.iter().filter(|n| matches!(n.decision, Decision::Half)) {
        multiplied_first(edit, node.id);
    }
    Ok(())
}

/// Transposes the product of a matrix instead of what it is made of: Transpose(x)·W = Transpose(x·W) where the last axis stays. ONNX Runtime
/// 1.32 crashes while it loads the one of axes 1, 0, 2 in float16.
fn multiplied_first(edit: &mut GraphEdit, id: NodeId) {
    let node = edit.node(id);
    let matrix = node.is("MatMul") && edit.constant_input(id, 1).is_some_and(|w| w.rank() == 2);
    let Some(before) = node.input(0).and_then(|x| edit.producer(x)).filter(|_| matrix) else { return };
    let turned = edit.node(before);
    let perm = turned.ints("perm").filter(|perm| turned.is("Transpose") && **perm == [1, 0, 2]);
    let (Some(perm), Some(x)) = (perm.map(<[i64]>::to_vec), turned.input(0)) else { return };
    let Some(y) = edit.detach_output(id, 0) else { return };
    let product = edit.new_value_like(&format!("{}_product", edit.name(y)));
    edit.set_input(id, 0, Some(x));
    edit.attach_output(id, 0, product);
    let name = format!("{}_Transpose", edit.name(y));
    edit.insert(
        Place::After(id),
        NewNode::new("Transpose").name(name).input(product).attr("perm", perm).output_into(y),
    );
    let unread = edit.node(before).output(0).is_some_and(|v| edit.uses(v).is_empty() && !edit.is_output(v));
    if unread {
        edit.remove_node(before);
    }
}

/// `v` in float16: a constant of its own, or behind a Cast.
fn halved(edit: &mut GraphEdit, v: ValueId) -> Result<ValueId> {
    let name = format!("{}_half", edit.name(v));
    let main = edit.main();
    if let Some(constant) = edit.constant(v) {
        let unread = || Error::internal(format!("constant \"{name}\" holds no numbers"));
        let values = constant.to_f32().ok_or_else(unread)?;
        let values = values.iter().map(|v| f64::from(*v));
        let half = Tensor::from_floats(DType::F16, constant.shape(), values).ok_or_else(unread)?;
        return Ok(edit.add_initializer(main, &name, half));
    }
    let cast = NewNode::cast(v, DType::F16).name(format!("{name}_Cast"));
    Ok(super::write::made(edit, super::write::behind(edit, v), cast.output(name, None)))
}
