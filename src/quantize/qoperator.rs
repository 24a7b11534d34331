//! The QOperator form: QLinearConv and QLinearMatMul, integers in and out.
//!
//! ```text
//! x ─► Conv(W, b) ─► Relu ─► y        x ─► Q ─► QLinearConv(W_q, b_q) ─► DQ ─► Relu ─► y
//! ```
//!
//! A Relu or Clip that the output's levels imply anyway is dropped. A following DQ → Q with the same
//! parameters is skipped, so that a chain stays in integers. Gemm has a bias that QLinearMatMul has not:
//! it is added in float after.

use super::QParams;
use super::apply::quantized_weight;
use super::plan::{Decision, NodePlan, QuantPlan, WeightPlan};
use super::weights;
use super::write::{self, behind, dequantize, made};
use crate::error::Result;
use crate::ir::{GraphEdit, NewNode, Place, Tensor, TensorType, ValueId};
use crate::ops::{self, QuantRule};

pub(super) fn node(edit: &mut GraphEdit, plan: &QuantPlan, node: &NodePlan, w: &WeightPlan) -> Result<()> {
    let id = node.id;
    let lost = || node.lost();
    let n = edit.node(id).clone();
    let Some(QuantRule::Weighted { input, weight, bias, integer: Some(form), .. }) = ops::of(&n).map(|op| op.quant)
    else {
        return Err(lost());
    };
    let Decision::Quantize { input: Some(xp), output: Some(yp), .. } = &node.decision else { return Err(lost()) };
    let (x, weight) = (n.input(input).ok_or_else(lost)?, n.input(weight).ok_or_else(lost)?);
    let graph = n.graph();
    let at = Place::Before(id);
    let bias = bias.and_then(|b| n.input(b));
    let b = bias.and_then(|v| edit.constant(v)).and_then(|t| t.to_f32()).map(|b| b.into_owned());
    let fits = b.as_deref().filter(|_| !form.matrices).map(|b| (b, xp.scale));
    let mut qw = quantized_weight(edit, plan, weight, w, fits)?;
    if n.int_or("transB", 0) != 0 {
        qw.values = super::integer::transposed(&qw.values)?;
    }
    let wq = edit.add_initializer(graph, &format!("{}_quantized", w.name), qw.values);
    let ws = edit.add_initializer(graph, &format!("{}_scale", w.name), qw.scale.clone());
    let wz = match qw.zero_point {
        Some(zero) => zero,
        None => Tensor::from_bytes(w.dtype.wide().dtype(), qw.scale.shape(), vec![0; qw.scales.len()])?,
    };
    let wz = edit.add_initializer(graph, &format!("{}_zero_point", w.name), wz);
    let (xq, xs, xz) = integers_of(edit, graph, x, xp);

    let y = n.output(0).ok_or_else(lost)?;
    let y_name = edit.name(y).to_string();
    let ys = write::parameters(edit, graph, &y_name, yp);
    let ty = TensorType { dtype: Some(yp.dtype.dtype()), shape: edit.tensor_type(y).shape };
    let mut product = NewNode::new(form.requantizing).name(format!("{}_quantized", node.node));
    product = product.inputs([xq, xs, xz, wq, ws, wz, ys.0, ys.1].map(Some));
    if !form.matrices {
        product = product.attrs(n.attrs().to_vec());
        if let Some(b) = &b {
            let (ints, _) = weights::bias(b, xp.scale, &qw.scales);
            product = product.input(edit.add_initializer(graph, &format!("{}_bias_quantized", node.node), ints));
        }
    }
    let yq = made(edit, at, product.output(format!("{y_name}_quantized"), Some(ty)));
    let dequantized = dequantize(edit, at, (yq, ys.0, Some(ys.1)), &y_name, None, None);
    edit.remove_node(id);
    match bias.filter(|_| form.matrices) {
        Some(bias) => {
            let add = NewNode::new("Add").name(format!("{}_add_bias", node.node)).input(dequantized).input(bias);
            edit.insert(behind(edit, dequantized), add.output_into(y));
        }
        // The DequantizeLinear itself makes the old value, or the one behind an operator that cuts nothing off any more.
        None => {
            edit.take_over(dequantized, y);
            drop_implied_clamp(edit, y, yp);
        }
    }
    Ok(())
}

/// Removes a Relu or Clip that alone reads `y` where the levels of `p` end at its bounds.
fn drop_implied_clamp(edit: &mut GraphEdit, y: ValueId, p: &QParams) {
    let Some(clamp) = edit.single_reader(y) else { return };
    let Some(QuantRule::PassThrough { clamp: Some(bounds), .. }) = ops::of(edit.node(clamp)).map(|op| op.quant) else {
        return;
    };
    let implied = bounds(edit, clamp).is_some_and(|(low, high)| p.implies_clamp(low, high));
    let (Some(out), Some(producer)) = (edit.node(clamp).output(0), edit.producer(y)) else { return };
    let read = edit.is_output(out) || !edit.uses(out).is_empty();
    if implied && read && !edit.is_output(y) && edit.node(clamp).graph() == edit.node(producer).graph() {
        edit.remove_node(clamp);
        edit.take_over(y, out);
    }
}

/// The integers that `x` is, with scale and zero point: those that it was just dequantized from where the
/// parameters are the same, else a QuantizeLinear, shared by all that read `x`.
pub(super) fn integers_of(
    edit: &mut GraphEdit,
    graph: crate::ir::GraphId,
    x: ValueId,
    p: &QParams,
) -> (ValueId, ValueId, ValueId) {
    let made_by = edit.producer(x).filter(|n| edit.node(*n).is("DequantizeLinear"));
    let parts = |n| {
        let n = edit.node(n);
        Some((n.input(0)?, n.input(1)?, n.input(2)?, n.output(0)?))
    };
    if let Some((q, s, z, _)) = made_by.and_then(parts) {
        let same = edit.constant(s).and_then(|t| t.scalar_f32()) == Some(p.scale);
        if same && edit.constant(z).and_then(|t| t.scalar_i64()) == Some(i64::from(p.zero_point)) {
            return (q, s, z);
        }
    }
    if let Some((_, s, z, q)) = write::quantizer_of(edit, x).and_then(parts) {
        return (q, s, z);
    }
    let name = edit.name(x).to_string();
    let (s, z) = write::parameters(edit, graph, &name, p);
    let place = behind(edit, x);
    (write::quantize(edit, place, x, p, (s, z)), s, z)
}
