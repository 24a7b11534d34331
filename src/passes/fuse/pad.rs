//! A Pad goes into the convolution or pooling after it.
//!
//! ```text
//! x ─► Pad(p, 0) ─► Conv(pads q) ─► y                        x ─► Conv(pads p + q) ─► y
//! x ─► Pad(p, 0) ─► AveragePool(pads q) ─► y                 x ─► AveragePool(pads p + q, count_include_pad) ─► y
//! x ─► Pad(p, −∞) ─► MaxPool(pads q) ─► y                    x ─► MaxPool(pads p + q) ─► y
//! ```
//!
//! A MaxPool takes zeros too where x is the output of Relu: every window holds an element of x, which is not below 0.
//!
//! Refuses other modes and values, pads of batch or channels, negative pads, `auto_pad`, `ceil_mode`, an
//! AveragePool that pads by itself without counting, zeros before a MaxPool with dilations, and pads that reach a pooling
//! kernel's size.

use crate::error::Result;
use crate::ir::shape::axis_of;
use crate::ir::{GraphEdit, Model, NodeId};
use crate::passes::support::producer_of;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-pad", "put a Pad into the Conv, AveragePool or MaxPool after it", run).exact();

const TAKERS: &[&str] = &["Conv", "AveragePool", "MaxPool"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, TAKERS, |edit, node| Ok(fuse(edit, node)))
}

fn fuse(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(pad) = producer_of(edit, node, 0, &["Pad"]) else { return Outcome::NoMatch };
    match joint_pads(edit, node, pad) {
        Ok(Some(pads)) => {
            let (x, padded) = (edit.node(pad).input(0), edit.node(pad).output(0));
            edit.set_attr(node, "pads", pads);
            edit.remove_attr(node, "auto_pad");
            if edit.node(node).is("AveragePool") {
                edit.set_attr(node, "count_include_pad", 1);
            }
            edit.set_input(node, 0, x);
            if padded.is_some_and(|v| edit.uses(v).is_empty()) {
                edit.remove_node(pad);
            }
            Outcome::Applied
        }
        Ok(None) => Outcome::NoMatch,
        Err(reason) => Outcome::Refused(reason),
    }
}

/// The pads of `node` with those of `pad` added; `None` where they are not known.
fn joint_pads(model: &Model, node: NodeId, pad: NodeId) -> Result<Option<Vec<i64>>, String> {
    let (n, p) = (model.node(node), model.node(pad));
    let Some((begins, ends)) = pads_of(model, pad) else { return Ok(None) };
    if begins.len() != ends.len() {
        return Err("its pads are not in pairs".into());
    }
    if n.is("AveragePool") && model.onnx_opset() < 7 {
        return Err("before opset 7 an AveragePool counts no padding".into());
    }
    let Some(spatial) = begins.len().checked_sub(2).filter(|s| *s > 0) else { return Ok(None) };
    if p.str("mode").unwrap_or("constant") != "constant" {
        return Err("it does not pad with a constant".into());
    }
    if begins[..2].iter().chain(&ends[..2]).any(|p| *p != 0) {
        return Err("it pads the batch or the channels".into());
    }
    if begins.iter().chain(&ends).any(|p| *p < 0) {
        return Err("it crops".into());
    }
    let value = match p.input(2) {
        Some(v) => model.constant(v).and_then(|t| t.scalar_f32()).ok_or("its value is not constant")?,
        None => p.float_or("value", 0.0),
    };
    if n.auto_pad().is_same() {
        return Err("the operator pads by auto_pad".into());
    }
    let own = n.ints("pads").map_or(vec![0; 2 * spatial], <[i64]>::to_vec);
    if own.len() != 2 * spatial {
        return Ok(None);
    }
    let sums = own.iter().zip(begins[2..].iter().chain(&ends[2..])).map(|(a, b)| a.checked_add(*b));
    let pads = sums.collect::<Option<Vec<i64>>>().ok_or("the pads together are out of range")?;
    match n.op_type.as_str() {
        "Conv" if value == 0.0 => return Ok(Some(pads)),
        "AveragePool" if value == 0.0 => {
            if n.int_or("count_include_pad", 0) == 0 && own.iter().any(|p| *p != 0) {
                return Err("the pooling pads by itself without counting".into());
            }
        }
        "MaxPool" => {
            let after_relu = producer_of(model, pad, 0, &["Relu"]).is_some();
            if !(value <= f32::MIN || (value == 0.0 && after_relu)) {
                return Err(format!("it pads with {value}, the pooling with −∞"));
            }
            if value == 0.0 && n.ints("dilations").is_some_and(|d| d.iter().any(|d| *d != 1)) {
                return Err("it pads with 0, and a window with gaps may hold nothing else".into());
            }
            if model.node(node).output(1).is_some() {
                return Err("the pooling tells indices".into());
            }
        }
        _ => return Err(format!("it pads with {value}, the operator with 0")),
    }
    if n.int_or("ceil_mode", 0) != 0 {
        return Err("the pooling rounds its size up".into());
    }
    let Some(kernel) = n.ints("kernel_shape").filter(|k| k.len() == spatial) else { return Ok(None) };
    if pads.iter().zip(kernel.iter().cycle()).any(|(p, k)| p >= k) {
        return Err("the pads reach the kernel's size".into());
    }
    Ok(Some(pads))
}

/// Pads before and after each axis.
pub(in crate::passes) fn pads_of(model: &Model, pad: NodeId) -> Option<(Vec<i64>, Vec<i64>)> {
    let n = model.node(pad);
    let pads = match n.input(1) {
        Some(v) => model.constant(v)?.to_i64()?,
        None => n.ints("pads").or_else(|| n.ints("paddings"))?.to_vec(),
    };
    let (begins, ends) = pads.split_at_checked(pads.len() / 2)?;
    let Some(axes) = n.input(3) else { return Some((begins.to_vec(), ends.to_vec())) };
    let rank = model.tensor_type(n.input(0)?).rank()?;
    let (mut all_begins, mut all_ends) = (vec![0; rank], vec![0; rank]);
    for (i, axis) in model.constant(axes)?.to_i64()?.iter().enumerate() {
        let axis = axis_of(*axis, rank)?;
        *all_begins.get_mut(axis)? = *begins.get(i)?;
        *all_ends.get_mut(axis)? = *ends.get(i)?;
    }
    Some((all_begins, all_ends))
}
