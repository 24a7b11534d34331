//! A Gemm in float16 said as a product and a sum.
//!
//! ```text
//! Gemm(a, b, c)  ─►  MatMul(a, Transpose(b)) ─► Mul(α) ─► Add(Mul(c, β))        the Transpose with transB, the Mul where they are not 1
//! ```
//!
//! tract makes float32 of one whose weight is float16, since its α and β are that. One with transA is left to it.

use crate::ir::{DType, GraphEdit, NewNode, NodeId, Place, Tensor, ValueId};

/// Rewrites them in every graph.
pub(super) fn spell_out(edit: &mut GraphEdit) {
    for id in edit.all_nodes() {
        let node = edit.node(id);
        let half = || node.input(1).is_some_and(|b| edit.tensor_type(b).dtype == Some(DType::F16));
        if node.is("Gemm") && node.int_or("transA", 0) == 0 && half() {
            rewrite(edit, id);
        }
    }
}

fn rewrite(edit: &mut GraphEdit, id: NodeId) -> Option<()> {
    let node = edit.node(id);
    let (a, mut b, c) = (node.input(0)?, node.input(1)?, node.input(2));
    let (alpha, beta) = (node.float_or("alpha", 1.0), node.float_or("beta", 1.0));
    let turned = node.int_or("transB", 0) != 0;
    let y = edit.detach_output(id, 0)?;
    let made = |edit: &mut GraphEdit, op: &str, inputs: &[ValueId]| {
        let value = edit.new_value_like(&format!("{}_{op}", edit.name(y)));
        let mut node = NewNode::new(op).inputs(inputs.iter().copied().map(Some)).output_into(value);
        if op == "Transpose" {
            node = node.attr("perm", vec![1i64, 0]);
        }
        edit.insert(Place::Before(id), node);
        value
    };
    let scaled = |edit: &mut GraphEdit, v: ValueId, by: f32| {
        let factor = Tensor::from_floats(DType::F16, [], std::iter::once(f64::from(by)));
        let Some(factor) = factor.filter(|_| by != 1.0) else { return v };
        let factor = edit.add_initializer(edit.node(id).graph(), "factor", factor);
        made(edit, "Mul", &[v, factor])
    };
    if turned {
        b = made(edit, "Transpose", &[b]);
    }
    let product = made(edit, "MatMul", &[a, b]);
    let product = scaled(edit, product, alpha);
    let last = match c {
        Some(c) => {
            let c = scaled(edit, c, beta);
            NewNode::new("Add").input(product).input(c)
        }
        None => NewNode::new("Identity").input(product),
    };
    edit.insert(Place::Before(id), last.output_into(y));
    edit.remove_node(id);
    Some(())
}
