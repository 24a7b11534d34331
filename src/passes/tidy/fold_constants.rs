//! What depends on constants alone is computed once.
//!
//! ```text
//! c1, c2 ─► Add ─► s ─► Op                              Op(s), s = c1 + c2 an initializer
//! x: [N, 3, 8, 8] ─► Shape ─► Gather(1) ─► s ─► Op       Op(s), s = 3
//! ```
//!
//! Also what is known without being constant: elements of shapes whose picked sizes are all known. The rules are
//! data of the operators ([`crate::ops::OpDef::fold`]); random numbers and dequantization have none, nor do
//! half floats, whose rounding differs between runtimes.
//!
//! Refuses when a result takes over 1 KiB more than the constants that it frees, and when it is a graph output,
//! which a node must make.

use crate::analysis::{self, Values};
use crate::error::Result;
use crate::ir::{DType, Dim, GraphEdit, Model, NodeId, Tensor};
use crate::ops;
use crate::passes::support::own_bytes;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass {
    name: "fold-constants",
    summary: "compute what depends on constants and known shapes alone",
    run,
    exact: true,
};

/// Bytes by which a model may grow for one node less.
const GROWTH: usize = 1024;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let values = analysis::infer(edit);
    for_each(edit, PASS.name, &[], |edit, node| Ok(fold(edit, node, &values)))
}

fn fold(edit: &mut GraphEdit, node: NodeId, values: &Values) -> Outcome {
    let Some(results) = known(edit, node, values).or_else(|| computed(edit, node)) else { return Outcome::NoMatch };
    let outputs = edit.node(node).outputs().to_vec();
    if outputs.iter().flatten().any(|v| edit.is_output(*v)) {
        return Outcome::refused("it is a graph output, which a node must make");
    }
    if outputs.len() > results.len() {
        return Outcome::NoMatch;
    }
    let (size, freed) = (results.iter().map(Tensor::byte_len).sum::<usize>(), own_bytes(edit, node));
    if size > freed.saturating_add(GROWTH) {
        return Outcome::refused(format!("its result takes {size} bytes, the constants it frees {freed}"));
    }
    let graph = edit.node(node).graph();
    let read: Vec<bool> = outputs.iter().map(|v| v.is_some_and(|v| !edit.uses(v).is_empty())).collect();
    edit.remove_node(node);
    for ((output, tensor), read) in outputs.into_iter().zip(results).zip(read) {
        if let Some(value) = output.filter(|_| read) {
            edit.attach_initializer(graph, value, tensor);
        }
    }
    Outcome::Applied
}

/// By the operator's rule, where every input that it has is constant.
fn computed(model: &Model, node: NodeId) -> Option<Vec<Tensor>> {
    let n = model.node(node);
    let op = ops::of(n).filter(|op| op.pure)?;
    let rule = op.fold?;
    let inputs = n.inputs().iter().map(|v| v.map_or(Some(None), |v| Some(Some(model.constant(v)?))));
    // Below 7 an axis attribute aligned the shapes.
    if n.attr("broadcast").is_some() {
        return None;
    }
    rule(n, &inputs.collect::<Option<Vec<_>>>()?)
}

/// A shape, or a part of one, whose sizes are all known.
fn known(model: &Model, node: NodeId, values: &Values) -> Option<Vec<Tensor>> {
    let [Some(output)] = model.node(node).outputs() else { return None };
    let numbers = values.get(*output)?.iter().map(Dim::number).collect::<Option<Vec<i64>>>()?;
    let ty = model.tensor_type(*output);
    let shape = ty.known_shape()?;
    if crate::ir::tensor::element_count(&shape) != Some(numbers.len()) {
        return None;
    }
    match ty.dtype? {
        DType::I64 => Some(vec![Tensor::from_vec(shape, numbers)]),
        DType::I32 => {
            let narrow = numbers.iter().map(|n| i32::try_from(*n).ok()).collect::<Option<Vec<_>>>()?;
            Some(vec![Tensor::from_vec(shape, narrow)])
        }
        _ => None,
    }
}
