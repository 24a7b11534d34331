//! A convolution with a kernel of one element, or a matrix product, goes into the next one.
//!
//! ```text
//! W₂·(W₁·x + b₁) + b₂ = (W₂·W₁)·x + (W₂·b₁ + b₂)
//!
//! x ─► Conv(W₁, b₁) ─► Conv(W₂, b₂) ─► y        x ─► Conv(W₂·W₁, W₂·b₁ + b₂) ─► y
//! ```
//!
//! The same for MatMul after MatMul. Only where the product is no larger than both were: a bottleneck stays. Groups, strides and
//! pads of the first are no match.
//!
//! Refuses when the value in between has another reader or is a graph output, when the second pads and the first has a
//! bias (which the padding lacks), when a weight is shared, and when a number overflows.

use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Tensor};
use crate::passes::support::{from_f64, producer_of, read_elsewhere, set_constant};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass {
    name: "merge-linear",
    summary: "fold a 1×1 Conv or a MatMul into the Conv or MatMul after it where the weight grows no larger",
    run,
    exact: false,
};

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Conv", "MatMul"], |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let kind = edit.node(node).op_type.clone();
    let Some(before) = producer_of(edit, node, 0, &[&kind]) else { return Outcome::NoMatch };
    let joint = if kind == "Conv" { convolutions(edit, before, node) } else { matrices(edit, before, node) };
    let Some((weight, bias)) = joint else { return Outcome::NoMatch };
    let Some(between) = edit.node(before).output(0) else { return Outcome::NoMatch };
    if let Some(reason) = read_elsewhere(edit, between) {
        return Outcome::Refused(reason);
    }
    let shared = |n: NodeId| edit.node(n).input(1).is_some_and(|w| edit.uses(w).len() > 1);
    if shared(before) || shared(node) {
        return Outcome::refused("a weight is shared");
    }
    if bias.is_some() && !is_plain(edit, node) {
        return Outcome::refused("it pads, and the bias before it does not reach the padding");
    }
    let x = edit.node(before).input(0);
    edit.set_input(node, 0, x);
    set_constant(edit, node, 1, weight);
    if let Some(bias) = bias {
        set_constant(edit, node, 2, bias);
    }
    edit.remove_node(before);
    Outcome::Applied
}

fn is_plain(model: &Model, conv: NodeId) -> bool {
    let n = model.node(conv);
    let auto = !matches!(n.str("auto_pad"), None | Some("NOTSET" | "VALID" | ""));
    !auto && n.ints("pads").is_none_or(|p| p.iter().all(|p| *p == 0))
}

/// W₂·W₁, and W₂·b₁ + b₂ where there is a b₁; weights `[out, in, k…]`.
fn convolutions(model: &Model, first: NodeId, second: NodeId) -> Option<(Tensor, Option<Tensor>)> {
    let (n1, n2) = (model.node(first), model.node(second));
    let (w1, w2) = (model.constant_input(first, 1)?, model.constant_input(second, 1)?);
    let moves = n1.ints("strides").is_some_and(|s| s.iter().any(|s| *s != 1));
    if n1.int_or("group", 1) != 1 || n2.int_or("group", 1) != 1 || moves || !is_plain(model, first) {
        return None;
    }
    let ([m, c, k1 @ ..], [o, m2, k2 @ ..]) = (w1.shape(), w2.shape()) else { return None };
    let kernel: usize = k2.iter().product();
    if k1.iter().any(|k| *k != 1) || m != m2 || o * c * kernel > w1.len() + w2.len() || w1.dtype() != w2.dtype() {
        return None;
    }
    let (a, b) = (floats(w1)?, floats(w2)?);
    let mut product = vec![0.0; o * c * kernel];
    for (i, w) in b.iter().enumerate() {
        let (out, mid, at) = (i / (m * kernel), i / kernel % m, i % kernel);
        for channel in 0..*c {
            product[(out * c + channel) * kernel + at] += w * a[mid * c + channel];
        }
    }
    let shape = [&[*o, *c], k2].concat();
    let weight = from_f64(w2.dtype(), &shape, &product)?;
    let Some(bias) = n1.input(2) else { return Some((weight, None)) };
    let b1 = floats(model.constant(bias)?).filter(|b| b.len() == *m)?;
    let mut sums = match n2.input(2) {
        Some(bias) => floats(model.constant(bias)?).filter(|b| b.len() == *o)?,
        None => vec![0.0; *o],
    };
    for (i, w) in b.iter().enumerate() {
        sums[i / (m * kernel)] += w * b1[i / kernel % m];
    }
    Some((weight, Some(from_f64(w2.dtype(), &[*o], &sums)?)))
}

/// W₁·W₂ for x·W₁·W₂; weights `[in, out]`.
fn matrices(model: &Model, first: NodeId, second: NodeId) -> Option<(Tensor, Option<Tensor>)> {
    let (w1, w2) = (model.constant_input(first, 1)?, model.constant_input(second, 1)?);
    let ([k, m], [m2, n]) = (w1.shape(), w2.shape()) else { return None };
    if m != m2 || k * n > w1.len() + w2.len() || w1.dtype() != w2.dtype() {
        return None;
    }
    let (a, b) = (floats(w1)?, floats(w2)?);
    let mut product = vec![0.0; k * n];
    for row in 0..*k {
        for mid in 0..*m {
            let w = a[row * m + mid];
            for column in 0..*n {
                product[row * n + column] += w * b[mid * n + column];
            }
        }
    }
    Some((from_f64(w2.dtype(), &[*k, *n], &product)?, None))
}

fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    tensor.to_f64().filter(|_| tensor.dtype().is_float())
}
