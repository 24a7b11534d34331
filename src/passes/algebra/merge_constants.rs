//! Two steps of the same arithmetic with constants become one.
//!
//! ```text
//! (x·a)·b = x·(a·b)        (x + a) + b = x + (a + b)        Div and Sub by constants likewise
//!
//! x ─► Mul(a) ─► Mul(b) ─► y        x ─► Mul(a·b) ─► y
//! ```
//!
//! Refuses when the value in between has another reader or is a graph output, when the joint constant overflows, falls below
//! normal numbers or is larger than both were, and when terms nearly cancel: adding a large number and taking it away again rounds.
//! A step whose constant would broaden the shape is no match.

use half::f16;

use super::affine::ARITHMETIC;
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::passes::support::{from_f64, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("merge-constants", "join consecutive Mul/Div or Add/Sub by constants", run).of_family("affine");

/// How many times as large as their sum, or 1, terms may be.
const CANCELLED: f64 = 1024.0;

/// x·factor or x + term, by a constant.
struct Step {
    data: ValueId,
    constant: Tensor,
    /// The constant as a factor (Mul, Div) or as a term (Add, Sub).
    values: Vec<f64>,
    is_product: bool,
}

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, ARITHMETIC, |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(second) = step(edit, node) else { return Outcome::NoMatch };
    let Some(first_node) = (0..2)
        .find_map(|i| producer_of(edit, node, i, ARITHMETIC).filter(|p| edit.node(*p).output(0) == Some(second.data)))
    else {
        return Outcome::NoMatch;
    };
    let Some(first) = step(edit, first_node).filter(|f| f.is_product == second.is_product) else {
        return Outcome::NoMatch;
    };
    if let Some(reason) = read_elsewhere(edit, second.data) {
        return Outcome::Refused(reason);
    }
    let (a, b) = (&first.constant, &second.constant);
    // One shape must hold the other, else the joint constant is larger than both.
    let Some((shape, values)) = joint(&first, &second) else {
        return Outcome::refused("the joint constant would be larger than both");
    };
    if a.dtype() != b.dtype() {
        return Outcome::NoMatch;
    }
    let Some(tensor) = from_f64(a.dtype(), &shape, &values).filter(|_| is_normal(a.dtype(), &values)) else {
        return Outcome::refused(format!("the joint constant does not fit {}", a.dtype()));
    };
    if !first.is_product && rounds(&first, &second, &values) {
        return Outcome::refused("the terms nearly cancel: the sum in between rounds");
    }
    let graph = edit.node(node).graph();
    let constant = edit.node(node).inputs().iter().flatten().find(|v| **v != second.data);
    let hint = constant.map_or(String::new(), |v| edit.name(*v).to_string());
    let constant = edit.add_initializer(graph, &hint, tensor);
    edit.set_inputs(node, &[Some(first.data), Some(constant)]);
    edit.set_op(node, if first.is_product { "Mul" } else { "Add" }, "");
    edit.remove_node(first_node);
    Outcome::Applied
}

fn step(model: &Model, node: NodeId) -> Option<Step> {
    let n = model.node(node);
    if model.onnx_opset() < 7 || n.inputs().len() != 2 {
        return None;
    }
    let commutes = n.is_one_of(&["Mul", "Add"]);
    let at = if model.constant_input(node, 1).is_some() { 1 } else { 0 };
    if at == 0 && !commutes {
        return None;
    }
    let constant = model.constant_input(node, at).filter(|t| t.dtype().is_float())?.clone();
    let data = n.input(1 - at).filter(|v| model.constant(*v).is_none())?;
    let mut values = constant.to_f64()?;
    if n.is("Div") {
        if values.contains(&0.0) {
            return None;
        }
        values.iter_mut().for_each(|v| *v = 1.0 / *v);
    } else if n.is("Sub") {
        values.iter_mut().for_each(|v| *v = -*v);
    }
    Some(Step { data, constant, values, is_product: n.is_one_of(&["Mul", "Div"]) })
}

/// Whether none but zeros are below the normal numbers of the type.
fn is_normal(dtype: DType, values: &[f64]) -> bool {
    let least = match dtype {
        DType::F16 => f64::from(f16::MIN_POSITIVE),
        DType::F64 => f64::MIN_POSITIVE,
        _ => f64::from(f32::MIN_POSITIVE),
    };
    values.iter().all(|v| *v == 0.0 || v.abs() >= least)
}

/// Whether the sum of terms is so much smaller than they are that what is between them has lost more digits than rounding twice does.
fn rounds(first: &Step, second: &Step, joint: &[f64]) -> bool {
    let largest = |step: &Step| step.values.iter().fold(0f64, |m, v| m.max(v.abs()));
    let (terms, sum) = (largest(first).min(largest(second)), joint.iter().fold(0f64, |m, v| m.max(v.abs())));
    terms > CANCELLED * sum.max(1.0)
}

/// Shape and numbers of the two constants in one, where the larger has the shape of both broadcast.
fn joint(first: &Step, second: &Step) -> Option<(Vec<usize>, Vec<f64>)> {
    let combine = |a: f64, b: f64| if first.is_product { a * b } else { a + b };
    let (a, b) = (first.constant.shape(), second.constant.shape());
    if a == b {
        let values = first.values.iter().zip(&second.values).map(|(a, b)| combine(*a, *b));
        return Some((a.to_vec(), values.collect()));
    }
    if first.values.len() == 1 && a.len() <= b.len() {
        return Some((b.to_vec(), second.values.iter().map(|b| combine(first.values[0], *b)).collect()));
    }
    if second.values.len() == 1 && b.len() <= a.len() {
        return Some((a.to_vec(), first.values.iter().map(|a| combine(*a, second.values[0])).collect()));
    }
    None
}
