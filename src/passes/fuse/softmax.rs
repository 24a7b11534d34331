//! Say a decomposed softmax as Softmax, and the logarithm of one as LogSoftmax.
//!
//! ```text
//! e = exp(x − max(x))        e/Σe = Softmax(x)        ln(Softmax(x)) = LogSoftmax(x)
//!
//! x ─► Sub(ReduceMax(x)) ─► Exp ─► e ─► Div(ReduceSum(e)) ─► y        x ─► Softmax(axis = last) ─► y
//! x ─► Softmax ─► Log ─► y                                            x ─► LogSoftmax ─► y
//! ```
//!
//! The division may be Mul(Reciprocal(Σe)). Where a share is too small for its type, its logarithm was −∞ and becomes the number.
//!
//! Refuses when a value in between has another reader or is a graph output, and a decomposed softmax over another axis than
//! the last: there the runtimes are slower with Softmax (0.1 to 0.2×).

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{Attr, GraphEdit, Model, NodeId};
use crate::passes::support::{producer_of, reduced_axes};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-softmax", "say a softmax in five operators as Softmax, its Log as LogSoftmax", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(1, edit, PASS.name, &["Div", "Mul", "Log"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    if model.node(last).is("Log") { logarithm(model, last).map(Ok) } else { softmax(model, last) }
}

fn logarithm(model: &Model, last: NodeId) -> Option<Pattern> {
    let softmax = producer_of(model, last, 0, &["Softmax"])?;
    let x = model.node(softmax).input(0)?;
    // Both have the same default, and the same meaning of it, in every version.
    let attrs = model.node(softmax).int("axis").map(|axis| ("axis", Attr::Int(axis))).into_iter().collect();
    Some(Pattern { inner: vec![softmax], last, op_type: "LogSoftmax", x, constants: vec![], attrs })
}

fn softmax(model: &Model, last: NodeId) -> Found {
    let (exp, sum, reciprocal) = match model.node(last).is("Div") {
        true => (producer_of(model, last, 0, &["Exp"])?, producer_of(model, last, 1, &["ReduceSum"])?, None),
        false => (0..2).find_map(|i| {
            let reciprocal = producer_of(model, last, i, &["Reciprocal"])?;
            let sum = producer_of(model, reciprocal, 0, &["ReduceSum"])?;
            Some((producer_of(model, last, 1 - i, &["Exp"])?, sum, Some(reciprocal)))
        })?,
    };
    let subtract = producer_of(model, exp, 0, &["Sub"])?;
    let max = producer_of(model, subtract, 1, &["ReduceMax"])?;
    let x = model.node(subtract).input(0)?;
    let rank = model.tensor_type(x).rank()?;
    let reads = |node: NodeId, value| model.node(node).input(0) == value;
    let keeps = |n: NodeId| model.node(n).int_or("keepdims", 1) != 0;
    if !reads(max, Some(x)) || !reads(sum, model.node(exp).output(0)) || !keeps(max) || !keeps(sum) {
        return None;
    }
    let axes = reduced_axes(model, sum, rank)?;
    if reduced_axes(model, max, rank)? != axes || axes.len() != 1 {
        return None;
    }
    if axes[0] + 1 != rank {
        return Some(Err("it is not over the last axis, where Softmax is slower".into()));
    }
    // Over the last axis the versions before 13, which flatten, mean the same; before 11 they count from the front alone.
    let axis = if model.onnx_opset() >= 13 { -1 } else { rank as i64 - 1 };
    let inner = [max, subtract, exp, sum].into_iter().chain(reciprocal).collect();
    let attrs = vec![("axis", Attr::Int(axis))];
    Some(Ok(Pattern { inner, last, op_type: "Softmax", x, constants: vec![], attrs }))
}
