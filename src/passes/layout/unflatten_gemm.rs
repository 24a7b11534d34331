//! A Gemm between two Reshapes that only flatten the axes before the last and take them back is a product of what was there before.
//!
//! ```text
//! x: [A, B, K] ─► Reshape [A·B, K] ─► Gemm(W, b) ─► Reshape [A, B, N] ─► y        x ─► MatMul(W) ─► Add(b) ─► y
//! ```
//!
//! Exporters write layers over sequences so (Conv1D of GPT-2). Sizes that are not known must be known to be the same on both sides; what
//! computed them for the second Reshape has nothing left to do. transB is done to the weight. Where the first Reshape joins the last axes,
//! too (heads: [A, B, H, D] ─► [A·B, H·D]), one that joins these alone takes its place.
//!
//! Refuses a product that scales, or transposes what it is fed, and a bias of more than one row. One that others read, too, is no match.

use crate::error::Result;
use crate::ir::{Dim, GraphEdit, Model, NewNode, NodeId, Place, ValueId};
use crate::passes::support::{ints, made, producer_of};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("unflatten-gemm", "say Gemm between Reshapes of the axes before the last as MatMul", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Gemm"], |edit, id| Ok(unflatten(edit, id).unwrap_or(Outcome::NoMatch)))
}

/// The Reshapes before and after, and how many axes stay as they are.
fn between(model: &Model, gemm: NodeId) -> Option<(NodeId, NodeId, usize)> {
    let flat = producer_of(model, gemm, 0, &["Reshape"])?;
    let product = model.node(gemm).output(0)?;
    let back = model.single_reader(product).filter(|n| model.node(*n).is("Reshape"))?;
    let shape = |v: Option<ValueId>| model.tensor_type(v?).shape;
    let (from, rows) = (shape(model.node(flat).input(0))?, shape(model.node(flat).output(0))?);
    let (to, products) = (shape(model.node(back).output(0))?, shape(Some(product))?);
    let [lead @ .., n] = &to[..] else { return None };
    let (before, last) = from.split_at_checked(lead.len())?;
    let alike = before.iter().zip(lead).all(|(a, b)| a.same(b));
    let joined = match last {
        [k] => rows.len() == 2 && rows[1].same(k),
        _ => {
            let depth = last.iter().try_fold(1i64, |depth, size| depth.checked_mul(size.known()?));
            !last.is_empty() && rows.len() == 2 && depth.is_some_and(|k| rows[1].same(&Dim::Known(k)))
        }
    };
    let whole = joined && products.len() == 2 && products[1].same(n);
    let data = model.node(back).input(0) == Some(product);
    (lead.len() > 1 && alike && whole && data).then_some((flat, back, lead.len()))
}

fn unflatten(edit: &mut GraphEdit, gemm: NodeId) -> Option<Outcome> {
    let (flat, back, stay) = between(edit, gemm)?;
    let (mut x, y) = (edit.node(flat).input(0)?, edit.node(back).output(0)?);
    let node = edit.node(gemm);
    let scales = node.float_or("alpha", 1.0) != 1.0 || node.float_or("beta", 1.0) != 1.0;
    if scales || node.int_or("transA", 0) != 0 {
        return Some(Outcome::refused("it scales its product or its bias, or transposes its input"));
    }
    let (mut weight, bias, turned) = (node.input(1)?, node.input(2), node.int_or("transB", 0) != 0);
    // One number, or one for each column.
    let row = |v| edit.tensor_type(v).shape.is_some_and(|s| s.iter().rev().skip(1).all(|d| d.known() == Some(1)));
    if bias.is_some_and(|b| !row(b)) {
        return Some(Outcome::refused("its bias differs from row to row"));
    }
    let name = node.name.clone();
    let place = Place::Before(gemm);
    if turned {
        let transpose = NewNode::new("Transpose").name(format!("{name}_Transpose")).input(weight);
        let hint = format!("{}_transposed", edit.name(weight));
        weight = made(edit, place, transpose.attr("perm", vec![1i64, 0]).output(hint, None))?;
    }
    if edit.tensor_type(x).rank()? > stay + 1 {
        let label = edit.node_label(flat).to_string();
        let shape = ints(edit, gemm, &format!("{label}_joined"), [&vec![0; stay][..], &[-1]].concat());
        let node = NewNode::new("Reshape").name(&label).input(x).input(shape);
        x = made(edit, place, node.output(format!("{label}_rows"), None))?;
    }
    let flat_output = edit.node(flat).output(0)?;
    edit.detach_output(back, 0);
    edit.remove_node(back);
    let matmul = NewNode::new("MatMul").inputs([Some(x), Some(weight)]);
    let matmul = match bias {
        None => edit.insert(place, matmul.output_into(y)),
        Some(bias) => {
            let ty = Some(edit.tensor_type(y));
            let matmul = edit.insert(place, matmul.output(format!("{}_product", edit.name(y)), ty));
            let add =
                NewNode::new("Add").name(format!("{name}_bias")).inputs([edit.node(matmul).output(0), Some(bias)]);
            edit.insert(place, add.output_into(y));
            matmul
        }
    };
    edit.remove_node(gemm);
    edit.rename_node(matmul, &name);
    if edit.uses(flat_output).is_empty() {
        edit.remove_node(flat);
    }
    Some(Outcome::Applied)
}
