//! A Gemm in float16 said as a product and a sum.
//!
//! ```text
//! Gemm(a, b, c)  ─►  MatMul(a, Transpose(b)) ─► Mul(α) ─► Add(Mul(c, β))        the Transpose with transB, the Mul where they are not 1
//! ```
//!
//! tract makes float32 of one whose weight is float16, since its α and β are that. One with transA is left to it.

use super::before;
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
    let y = edit.node(id).output(0)?;
    let label = edit.node_label(id).to_string();
    let scaled = |edit: &mut GraphEdit, v: ValueId, by: f32| {
        let factor = Tensor::from_floats(DType::F16, [], std::iter::once(f64::from(by)));
        let Some(factor) = factor.filter(|_| by != 1.0) else { return Some(v) };
        let factor = edit.add_initializer(edit.node(id).graph(), &format!("{label}_factor"), factor);
        before(edit, id, NewNode::new("Mul").input(v).input(factor).output(format!("{label}_scaled"), None))
    };
    if turned {
        let turned = NewNode::new("Transpose").input(b).attr("perm", vec![1i64, 0]);
        b = before(edit, id, turned.output(format!("{label}_turned"), None))?;
    }
    let product = NewNode::new("MatMul").input(a).input(b).output(format!("{label}_product"), None);
    let product = before(edit, id, product)?;
    let product = scaled(edit, product, alpha)?;
    let last = match c {
        Some(c) => NewNode::new("Add").input(product).input(scaled(edit, c, beta)?),
        None => NewNode::new("Identity").input(product),
    };
    edit.detach_output(id, 0);
    edit.insert(Place::Before(id), last.output_into(y));
    edit.remove_node(id);
    Some(())
}
