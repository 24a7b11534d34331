//! A product of two activations (attention) in integers. Of all forms only Q/DQ needs nothing here: there it is at the inputs.
//!
//! ```text
//! qoperator           a_q, b_q ─► QLinearMatMul ─► DQ ─► y
//! integer, dynamic    a_q, b_q ─► MatMulInteger ─► Cast ─► Mul(s_a·s_b) ─► y
//! ```
//!
//! Both operands have one scale each: y = s_a·s_b·Σ(a_q − z_a)(b_q − z_b). No target gains from it by default; it is for those
//! who name the node or the operator.

use super::integer::{dynamic_input, static_input};
use super::plan::{Decision, NodePlan};
use super::qoperator::integers_of;
use super::write::{self, dequantize, made};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, GraphId, NewNode, NodeId, Place, Tensor, TensorType, ValueId};
use crate::ops::{self, IntegerForm, QuantRule};

/// QLinearMatMul with the parameters of both operands and of the product.
pub(super) fn requantizing(edit: &mut GraphEdit, node: &NodePlan) -> Result<()> {
    let Decision::Product { a: Some(a), b: Some(b), output: Some(p) } = &node.decision else { return Err(node.lost()) };
    let parts = Parts::of(edit, node.id).ok_or_else(|| node.lost())?;
    let (aq, a_scale, a_zero) = integers_of(edit, parts.graph, parts.a, a);
    let (bq, b_scale, b_zero) = integers_of(edit, parts.graph, parts.b, b);
    let name = edit.name(parts.y).to_string();
    let (scale, zero) = write::parameters(edit, parts.graph, &name, p);
    let ty = TensorType { dtype: Some(p.dtype.dtype()), shape: edit.tensor_type(parts.y).shape };
    let product = NewNode::new(parts.form.requantizing).name(format!("{}_quantized", node.node));
    let product = product.inputs([aq, a_scale, a_zero, bq, b_scale, b_zero, scale, zero].map(Some));
    let yq = made(edit, Place::Before(node.id), product.output(format!("{name}_quantized"), Some(ty)));
    let floats = dequantize(edit, Place::Before(node.id), (yq, scale, Some(zero)), &name, None, None);
    edit.remove_node(node.id);
    edit.take_over(floats, parts.y);
    Ok(())
}

/// MatMulInteger with the scales applied after; operands without parameters are quantized at every call.
pub(super) fn accumulating(edit: &mut GraphEdit, node: &NodePlan) -> Result<()> {
    let Decision::Product { a, b, .. } = &node.decision else { return Err(node.lost()) };
    let parts = Parts::of(edit, node.id).ok_or_else(|| node.lost())?;
    let (graph, at, name) = (parts.graph, Place::Before(node.id), &node.node);
    // Integers and zero points, and the scales where they are known only at run time.
    let ((aq, a_zero), (bq, b_zero), scales) = match (a, b) {
        (Some(a), Some(b)) => {
            let [a, b] = [(parts.a, a), (parts.b, b)].map(|(v, p)| static_input(edit, graph, at, v, p));
            (a, b, None)
        }
        _ => {
            let [a, b] = [parts.a, parts.b].map(|v| dynamic_input(edit, at, v, name));
            ((a.0, a.2), (b.0, b.2), Some([a.1, b.1]))
        }
    };
    let shape = edit.tensor_type(parts.y).shape;
    let ty = |dtype| Some(TensorType { dtype: Some(dtype), shape: shape.clone() });
    let product = NewNode::new(parts.form.accumulating).name(format!("{name}_integer"));
    let product = product.inputs([aq, bq, a_zero, b_zero].map(Some)).output(format!("{name}_sums"), ty(DType::I32));
    let sums = made(edit, at, product);
    let floats = write::floats(edit, at, name, sums, shape.clone());
    let scale = match scales {
        None => {
            let both = a.iter().chain(b).map(|p| p.scale).product();
            edit.add_initializer(graph, &format!("{name}_scale"), Tensor::scalar::<f32>(both))
        }
        Some(scales) => {
            let both = NewNode::new("Mul").name(format!("{name}_scales")).inputs(scales.map(Some));
            made(edit, at, both.output(format!("{name}_scales"), None))
        }
    };
    let scaled = NewNode::new("Mul").name(format!("{name}_rescale")).input(floats).input(scale);
    let scaled = made(edit, at, scaled.output(format!("{name}_scaled"), ty(DType::F32)));
    edit.remove_node(node.id);
    edit.take_over(scaled, parts.y);
    Ok(())
}

struct Parts {
    a: ValueId,
    b: ValueId,
    y: ValueId,
    graph: GraphId,
    form: IntegerForm,
}

impl Parts {
    fn of(edit: &GraphEdit, id: NodeId) -> Option<Parts> {
        let n = edit.node(id);
        let QuantRule::Weighted { input, weight, integer, .. } = ops::of(n)?.quant else { return None };
        Some(Parts { a: n.input(input)?, b: n.input(weight)?, y: n.output(0)?, graph: n.graph(), form: integer? })
    }
}
