//! A Transpose before a reshape to rows that a constant matrix is multiplied with goes into the order of the matrix' rows.
//!
//! ```text
//! x: [N, C, H, W] ─► Transpose(0,2,3,1) ─► Reshape(−1, H·W·C) ─► MatMul(W)  ─► y
//! x: [N, C, H, W] ───────────────────────► Reshape(−1, C·H·W) ─► MatMul(W') ─► y       W' = rows of W in the order of x
//! ```
//!
//! The same for Gemm. The first axis stays the first, the sizes of the others are known. No match where anything else reads the
//! rows. Refuses where a matrix of over 1 KiB has another reader: it would be stored twice. Sums are added in another order.

use super::sink_transposes::{COPIED, order};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Tensor, Use};
use crate::passes::support::{permuted, producer_of, set_constant};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-transpose", "fold a Transpose before Flatten and MatMul into the rows of the weight", run)
        .of_family("transposes");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Flatten", "Reshape"], |edit, node| Ok(fold(edit, node)))
}

fn fold(edit: &mut GraphEdit, rows: NodeId) -> Outcome {
    let Some(transpose) = producer_of(edit, rows, 0, &["Transpose"]) else { return Outcome::NoMatch };
    let Some(order) = order(edit, transpose) else { return Outcome::NoMatch };
    let Some((sizes, products)) = products(edit, rows, &order) else { return Outcome::NoMatch };
    let constants = products.iter().filter_map(|n| edit.node(*n).input(1));
    if let Some(shared) = constants.clone().find(|v| is_shared(edit, *v)) {
        return Outcome::refused(format!("{} is read elsewhere", edit.name(shared)));
    }
    let places = super::sink_transposes::inverse(&order);
    for node in products {
        let Some(tensor) =
            edit.constant_input(node, 1).and_then(|t| reordered(t, is_transposed(edit, node), &sizes, &places))
        else {
            return Outcome::NoMatch;
        };
        set_constant(edit, node, 1, tensor);
    }
    let x = edit.node(transpose).input(0);
    edit.set_input(rows, 0, x);
    if let Some(y) = edit.node(rows).output(0) {
        edit.renew_value(y);
    }
    if edit.node(transpose).output(0).is_some_and(|v| edit.uses(v).is_empty()) {
        edit.remove_node(transpose);
    }
    Outcome::Applied
}

/// Whether a Transpose of this order before the node would go into weights.
pub(super) fn takes(model: &Model, rows: NodeId, order: &[usize]) -> bool {
    model.node(rows).is_one_of(&["Flatten", "Reshape"])
        && products(model, rows, order).is_some_and(|(_, products)| {
            products.iter().filter_map(|n| model.node(*n).input(1)).all(|v| !is_shared(model, v))
        })
}

/// The sizes that are joined to rows, and the products that read these.
fn products(model: &Model, rows: NodeId, order: &[usize]) -> Option<(Vec<usize>, Vec<NodeId>)> {
    let n = model.node(rows);
    let (x, y) = (model.tensor_type(n.input(0)?).shape?, n.output(0)?);
    if order.first() != Some(&0) || x.len() != order.len() {
        return None;
    }
    let sizes = x[1..].iter().map(|d| usize::try_from(d.known()?).ok()).collect::<Option<Vec<_>>>()?;
    let count = crate::ir::tensor::element_count(&sizes).filter(|n| *n > 0)?;
    let wanted = model.tensor_type(y).shape.filter(|s| s.len() == 2)?;
    // With a row of all sizes but the first, there are as many rows as the first says. Zeros copy only that.
    let copied = |i: usize| model.constant_input(rows, 1).and_then(Tensor::to_i64).is_none_or(|s| s.get(i) == Some(&0));
    if wanted[1].known() != i64::try_from(count).ok() || (n.is("Reshape") && copied(1)) {
        return None;
    }
    let products = model.uses(y).iter().map(|u| match u {
        Use::Node { node, input: 0 } => takes_rows(model, *node, count).then_some(*node),
        _ => None,
    });
    let products = products.collect::<Option<Vec<_>>>().filter(|p| !p.is_empty())?;
    Some((sizes, products))
}

/// A product of whole rows with a constant matrix.
fn takes_rows(model: &Model, node: NodeId, count: usize) -> bool {
    let n = model.node(node);
    let fits = |t: &Tensor| {
        t.rank() == 2
            && t.dtype().bits().is_multiple_of(8)
            && t.shape()[usize::from(is_transposed(model, node))] == count
    };
    let plain = n.is("MatMul") || (n.is("Gemm") && n.int_or("transA", 0) == 0);
    plain && n.input(0) != n.input(1) && model.constant_input(node, 1).is_some_and(fits)
}

fn is_transposed(model: &Model, node: NodeId) -> bool {
    model.node(node).is("Gemm") && model.node(node).int_or("transB", 0) != 0
}

fn is_shared(model: &Model, constant: crate::ir::ValueId) -> bool {
    model.uses(constant).len() > 1 && model.constant(constant).is_some_and(|t| t.byte_len() > COPIED)
}

/// The matrix with its rows, which count through axes of these sizes, in the order of what the Transpose reads.
fn reordered(matrix: &Tensor, transposed: bool, sizes: &[usize], places: &[usize]) -> Option<Tensor> {
    let other = matrix.shape()[usize::from(!transposed)];
    let mut axes: Vec<usize> = places[1..].iter().map(|p| p - 1).collect();
    let mut shape = sizes.to_vec();
    if transposed {
        shape.insert(0, other);
        axes = std::iter::once(0).chain(axes.into_iter().map(|a| a + 1)).collect();
    } else {
        axes.push(sizes.len());
        shape.push(other);
    }
    permuted(&matrix.reshaped(shape).ok()?, &axes)?.reshaped(matrix.shape()).ok()
}
