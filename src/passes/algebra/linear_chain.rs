//! Two linear operators in a row become one.
//!
//! ```text
//! W₂·(W₁·x + b₁) + b₂ = (W₂·W₁)·x + (W₂·b₁ + b₂)
//!
//! x ─► Conv(W₁, b₁) ─► Conv(W₂, b₂) ─► y        x ─► Conv(W₂·W₁, W₂·b₁ + b₂) ─► y
//! ```
//!
//! One of two convolutions has a kernel of one element: the first, then the window is that of the second; or the second, without pads,
//! then the window is that of the first, in steps of both. Groups are those that both keep apart. The same for MatMul and Gemm
//! after MatMul or Gemm. Only where the product is no larger than both were: a bottleneck stays.
//!
//! Refuses when the value in between has another reader or is a graph output, when the second pads and the first has a
//! bias (which the padding lacks), when a weight is shared, and when a number overflows. Strides and pads of a first kernel of one
//! element are no match unless the second has one too.

use super::constants::Constants;
use super::linear::{Linear, overflow};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId};
use crate::passes::support::{from_f64, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "merge-linear",
    "fold a Conv, MatMul or Gemm into the one after it where the weight grows no larger",
    run,
)
.of_family("linear");

const PRODUCTS: &[&str] = &["MatMul", "Gemm"];

/// Attributes of a convolution's window.
const WINDOW: &[&str] = &["auto_pad", "dilations", "kernel_shape", "pads", "strides"];

/// W₂·W₁ and W₂·b₁ + b₂, where the sum is more than b₂.
struct Joint {
    shape: Vec<usize>,
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
    /// Whether the window is that of the first convolution.
    window_of_first: bool,
    groups: i64,
}

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Conv", "MatMul", "Gemm"], |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let is_conv = edit.node(node).is("Conv");
    let kinds = if is_conv { &["Conv"] } else { PRODUCTS };
    let Some(before) = producer_of(edit, node, 0, kinds) else { return Outcome::NoMatch };
    let joint = if is_conv { convolutions(edit, before, node) } else { products(edit, before, node) };
    let Some((joint, dtype)) = joint else { return Outcome::NoMatch };
    let Some(between) = edit.node(before).output(0) else { return Outcome::NoMatch };
    if let Some(reason) = read_elsewhere(edit, between) {
        return Outcome::Refused(reason);
    }
    let shared = |n: NodeId| edit.node(n).input(1).is_some_and(|w| edit.uses(w).len() > 1);
    if shared(before) || shared(node) {
        return Outcome::refused("a weight is shared");
    }
    if joint.bias.is_some() && is_conv && edit.node(node).may_pad() {
        return Outcome::refused("it pads, and the bias before it does not reach the padding");
    }
    let outputs = joint.bias.as_ref().map(|b| from_f64(dtype, &[b.len()], b));
    let (Some(weight), false) = (from_f64(dtype, &joint.shape, &joint.weight), outputs == Some(None)) else {
        return Outcome::Refused(edit.constant_input(node, 1).map_or_else(String::new, overflow));
    };
    let mut constants = Constants::default();
    constants.add(node, 1, weight);
    let is_gemm = edit.node(before).is("Gemm") || edit.node(node).is("Gemm");
    // Below 11 a Gemm must have one.
    let bare = is_gemm && edit.onnx_opset() < 11 && edit.node(node).input(2).is_none();
    let zeros = || from_f64(dtype, &[joint.shape[1]], &vec![0.0; joint.shape[1]]).filter(|_| bare);
    if let Some(bias) = outputs.flatten().or_else(zeros) {
        constants.add(node, 2, bias);
    }
    match is_conv {
        true => take_window(edit, before, node, &joint),
        false if is_gemm => become_gemm(edit, before, node),
        false => debug_assert!(joint.bias.is_none(), "of two MatMul"),
    }
    let x = edit.node(before).input(0);
    edit.set_input(node, 0, x);
    constants.set(edit);
    edit.remove_node(before);
    Outcome::Applied
}

/// Window and groups of the joint convolution.
fn take_window(edit: &mut GraphEdit, before: NodeId, node: NodeId, joint: &Joint) {
    if joint.window_of_first {
        let strides = strides(edit, before, joint.shape.len() - 2);
        let both: Vec<i64> = strides.iter().zip(self::strides(edit, node, strides.len())).map(|(a, b)| a * b).collect();
        let window: Vec<_> =
            edit.node(before).attrs().iter().filter(|a| WINDOW.contains(&a.name.as_str())).cloned().collect();
        WINDOW.iter().for_each(|name| edit.remove_attr(node, name));
        window.into_iter().for_each(|a| edit.set_attr(node, &a.name, a.value));
        if both.iter().any(|s| *s != 1) {
            edit.set_attr(node, "strides", both);
        }
    }
    if edit.node(node).int_or("group", 1) != joint.groups {
        edit.set_attr(node, "group", joint.groups);
    }
}

/// The joint product is a Gemm where one of both is; its weight is written `[in, out]`.
fn become_gemm(edit: &mut GraphEdit, before: NodeId, node: NodeId) {
    edit.set_op(node, "Gemm", "");
    ["alpha", "transB"].iter().for_each(|name| edit.remove_attr(node, name));
    if edit.node(before).int_or("transA", 0) != 0 {
        edit.set_attr(node, "transA", 1);
    }
}

fn strides(model: &Model, conv: NodeId, axes: usize) -> Vec<i64> {
    model.node(conv).ints("strides").map_or_else(|| vec![1; axes], <[i64]>::to_vec)
}

/// Weights are `[out, in/group, k…]`.
fn convolutions(model: &Model, first: NodeId, second: NodeId) -> Option<(Joint, DType)> {
    let (l1, l2) = (Linear::of(model, first)?.ok()?, Linear::of(model, second)?.ok()?);
    let (w1, w2) = (model.constant_input(first, 1)?, model.constant_input(second, 1)?);
    let ([m, c1, k1 @ ..], [o, c2, k2 @ ..]) = (w1.shape(), w2.shape()) else { return None };
    let groups = |n| usize::try_from(model.node(n).int_or("group", 1)).ok().filter(|g| *g > 0);
    let (g1, g2) = (groups(first)?, groups(second)?);
    if w1.dtype() != w2.dtype() || k1.len() != k2.len() || g2 * c2 != *m || m % g1 != 0 || o % g2 != 0 {
        return None;
    }
    let one = |k: &[usize]| k.iter().all(|k| *k == 1);
    let moves = |n| strides(model, n, k1.len()).iter().any(|s| *s != 1);
    let auto = model.node(first).auto_pad().is_same();
    let is_point = |k: &[usize], n| one(k) && !model.node(n).may_pad();
    let window_of_first = match (is_point(k1, first) && !moves(first), is_point(k2, second)) {
        (true, _) => false,
        // Pads of auto_pad depend on the strides.
        (false, true) => (!moves(second) || !auto).then_some(true)?,
        (false, false) => return None,
    };
    let shape_of = if window_of_first { k1 } else { k2 };
    let taps: usize = shape_of.iter().product();
    // What neither mixes stays apart: output o of the second sees channels of one group of either.
    let joint_groups = gcd(g1, g2);
    let columns = g1 * c1 / joint_groups;
    if o * columns * taps > w1.len() + w2.len() {
        return None;
    }
    let (a, b) = (w1.to_f64()?, w2.to_f64()?);
    let (t1, t2): (usize, usize) = (k1.iter().product(), k2.iter().product());
    let (b1, mut bias) = (l1.bias()?.to_vec(), l2.bias()?.to_vec());
    let mut weight = vec![0.0; o * columns * taps];
    for (i, w) in b.iter().enumerate() {
        let (out, column, tap) = (i / (c2 * t2), i / t2 % c2, i % t2);
        let middle = out / (o / g2) * c2 + column;
        bias[out] += w * b1[middle];
        let begin = middle / (m / g1) * c1 - out / (o / joint_groups) * columns;
        for (j, v) in a[middle * c1 * t1..][..c1 * t1].iter().enumerate() {
            weight[(out * columns + begin + j / t1) * taps + tap.max(j % t1)] += w * v;
        }
    }
    let bias = b1.iter().any(|b| *b != 0.0).then_some(bias);
    let shape = [&[*o, columns], shape_of].concat();
    Some((Joint { shape, weight, bias, window_of_first, groups: joint_groups as i64 }, w2.dtype()))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// W₁·W₂ as x·W₁·W₂ has it, `[in, out]`.
fn products(model: &Model, first: NodeId, second: NodeId) -> Option<(Joint, DType)> {
    let (l1, l2) = (Linear::of(model, first)?.ok()?, Linear::of(model, second)?.ok()?);
    let (w1, w2) = (model.constant_input(first, 1)?, model.constant_input(second, 1)?);
    let (k, m, n) = (l1.inputs, l1.outputs, l2.outputs);
    let matrices = w1.rank() == 2 && w2.rank() == 2 && l2.inputs == m && w1.dtype() == w2.dtype();
    // Below 7 a Gemm broadcasts its bias by attribute.
    if model.onnx_opset() < 7 && [first, second].iter().any(|n| model.node(*n).is("Gemm")) {
        return None;
    }
    if !matrices || k * n > w1.len() + w2.len() || model.node(second).int_or("transA", 0) != 0 {
        return None;
    }
    // Both as [out, in].
    let (a, b) = (l1.dense()?, l2.dense()?);
    let mut weight = vec![0.0; k * n];
    for (row, out) in a.chunks(k).zip(0..m) {
        for column in 0..n {
            let w = b[column * m + out];
            row.iter().enumerate().for_each(|(i, v)| weight[i * n + column] += w * v);
        }
    }
    let b1 = l1.bias().filter(|b1| b1.iter().any(|b| *b != 0.0));
    let bias = b1.map(|b1| {
        let own = |o: usize| l2.bias().map_or(0.0, |b| b[o]);
        (0..n).map(|o| own(o) + b[o * m..][..m].iter().zip(b1).map(|(w, b)| w * b).sum::<f64>()).collect()
    });
    Some((Joint { shape: vec![k, n], weight, bias, window_of_first: false, groups: 1 }, w2.dtype()))
}
