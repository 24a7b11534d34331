//! Initializers of equal content become one.
//!
//! ```text
//! Op(a), Op(b), a = b = T          Op(a), Op(a)
//! ```
//!
//! Equal is: dtype, shape and bytes. One of an outer graph serves its subgraphs; sparse ones and
//! strings are left alone, and so are those that a quantization annotation names, that are graph outputs, and that
//! scale or zero point a quantized tensor (each belongs to its tensor).

use std::collections::{BTreeSet, HashMap};

use crate::error::Result;
use crate::ir::{DType, GraphEdit, GraphId, Origin, Tensor, Use, ValueId};
use crate::ops;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("merge-initializers", "keep one of several initializers of equal content", run).exact();

/// Initializers that may stand for others, by dtype, shape and a few of the bytes: hashing all of a large
/// weight takes longer than comparing the few that agree so far.
#[derive(Debug, Clone, Default)]
pub struct Seen(HashMap<(DType, Vec<usize>, Vec<u8>), Vec<ValueId>>);

impl Seen {
    /// Lets one of equal content that was seen before stand for the initializer; whether there is one. Else it is seen from now on.
    pub fn merge(&mut self, edit: &mut GraphEdit, value: ValueId) -> bool {
        let Some(tensor) = edit.value(value).initializer() else { return false };
        let alike = self.0.entry(key(tensor)).or_default();
        let content = |v: ValueId| edit.value(v).initializer().map(Tensor::bytes);
        let Some(first) = alike.iter().copied().find(|v| content(*v) == Some(tensor.bytes())) else {
            alike.push(value);
            return false;
        };
        edit.replace_node_uses(value, first);
        edit.remove_value(value);
        true
    }
}

fn key(tensor: &Tensor) -> (DType, Vec<usize>, Vec<u8>) {
    let bytes = tensor.bytes();
    let step = (bytes.len() / 64).max(1);
    (tensor.dtype(), tensor.shape().to_vec(), bytes.iter().step_by(step).copied().collect())
}

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let annotated: BTreeSet<String> = edit
        .graphs_under(edit.main())
        .into_iter()
        .flat_map(|g| &edit.graph(g).quant_annotations)
        .flat_map(|a| std::iter::once(&a.tensor).chain(a.parameters.iter().map(|(_, value)| value)))
        .cloned()
        .collect();
    let mut merged = 0;
    walk(edit, edit.main(), &Seen::default(), &annotated, &mut merged);
    Ok(PassReport::applied(merged))
}

fn walk(edit: &mut GraphEdit, graph: GraphId, outer: &Seen, annotated: &BTreeSet<String>, merged: &mut usize) {
    let mut seen = outer.clone();
    for value in edit.graph(graph).initializers().to_vec() {
        let v = edit.value(value);
        let plain = matches!(v.origin(), Origin::Initializer(_)) && !annotated.contains(v.name());
        let numbers = v.initializer().is_some_and(|t| plain && t.strings().is_none());
        if numbers && !edit.is_output(value) && !is_quantization_parameter(edit, value) {
            *merged += usize::from(seen.merge(edit, value));
        }
    }
    let nested: Vec<GraphId> =
        edit.graph(graph).nodes().iter().flat_map(|n| edit.node(*n).subgraphs().map(|(_, g)| g)).collect();
    for inner in nested {
        walk(edit, inner, &seen, annotated, merged);
    }
}

/// Whether an operator of quantized tensors reads it, and not as their integers.
fn is_quantization_parameter(edit: &GraphEdit, value: ValueId) -> bool {
    let is_weight = edit.value(value).initializer().is_some_and(|t| t.rank() > 1);
    !is_weight
        && edit.uses(value).iter().any(|u| match u {
            Use::Node { node, .. } => ops::of(edit.node(*node)).is_some_and(|op| op.holds_integers),
            Use::Output { .. } => false,
        })
}
