//! `Constant` nodes become initializers of their graph, under the same name.
//!
//! ```text
//! Constant(value = T) ─► c ─► Op          Op(c), c an initializer
//! ```
//!
//! Every form of the attribute is read: `value`, `value_float(s)`, `value_int(s)`, `value_string(s)`.
//! Refuses when the constant is a graph output, which must be made by a node, and leaves
//! `sparse_value` alone: no runtime reads sparse initializers everywhere.

use bytes::Bytes;

use crate::error::Result;
use crate::ir::{Attr, GraphEdit, Node, Tensor};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("hoist-constants", "turn Constant nodes into initializers", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Constant"], |edit, id| {
        let Some(value) = edit.node(id).output(0) else { return Ok(Outcome::NoMatch) };
        let Some(mut tensor) = tensor_of(edit.node(id)) else { return Ok(Outcome::NoMatch) };
        if edit.is_output(value) {
            return Ok(Outcome::refused("it is a graph output, which a node must make"));
        }
        let graph = edit.node(id).graph();
        if edit.uses(value).is_empty() {
            edit.remove_node(id);
            return Ok(Outcome::Applied);
        }
        tensor.name = None;
        edit.remove_node(id);
        edit.attach_initializer(graph, value, tensor);
        Ok(Outcome::Applied)
    })
}

/// The tensor that a `Constant` node makes.
pub(in crate::passes) fn tensor_of(node: &Node) -> Option<Tensor> {
    let strings = |shape: &[usize], s: Vec<Bytes>| Tensor::from_strings(shape, s).ok();
    match (node.attrs().first()?.name.as_str(), &node.attrs().first()?.value) {
        ("value", Attr::Tensor(t)) => Some(t.clone()),
        ("value_float", Attr::Float(v)) => Some(Tensor::scalar(*v)),
        ("value_floats", Attr::Floats(v)) => Some(Tensor::from_vec([v.len()], v.clone())),
        ("value_int", Attr::Int(v)) => Some(Tensor::scalar(*v)),
        ("value_ints", Attr::Ints(v)) => Some(Tensor::from_vec([v.len()], v.clone())),
        ("value_string", Attr::String(v)) => strings(&[], vec![v.clone()]),
        ("value_strings", Attr::Strings(v)) => strings(&[v.len()], v.clone()),
        _ => None,
    }
}
