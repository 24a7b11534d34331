//! Which inputs decide the way through a model.
//!
//! ```text
//! sr ─► Equal(16000) ─► If          sr decides, the samples do not
//! ```
//!
//! An input decides when the condition of an `If` depends on its values, and it is one small integer
//! or truth value, such as a sample rate or a mode, so that a session can be made for each value it takes.

use std::collections::HashSet;

use crate::ir::{DType, Model, Origin, ValueId};

/// Names of the inputs of the main graph that decide an `If`, in the graph's order.
pub fn deciding_inputs(model: &Model) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut next: Vec<ValueId> = model
        .all_nodes()
        .into_iter()
        .filter(|n| model.node(*n).is("If"))
        .filter_map(|n| model.node(n).input(0))
        .collect();
    while let Some(value) = next.pop() {
        if !seen.insert(value) {
            continue;
        }
        let Origin::Node { node, .. } = model.value(value).origin() else { continue };
        let node = model.node(node);
        if node.is_one_of(&["Shape", "Size"]) {
            continue;
        }
        next.extend(node.inputs().iter().flatten());
        next.extend(node.subgraphs().flat_map(|(_, g)| model.captures(g)));
    }
    let decides = |v: &ValueId| {
        let ty = model.tensor_type(*v);
        let one = ty.known_shape().is_some_and(|s| s.iter().all(|n| *n == 1));
        let whole = matches!(ty.dtype, Some(DType::I64 | DType::I32 | DType::Bool | DType::U8));
        seen.contains(v) && one && whole
    };
    let inputs = model.user_inputs();
    inputs.iter().filter(|v| decides(v)).map(|v| model.name(*v).to_string()).collect()
}
