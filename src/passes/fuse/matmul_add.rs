//! MatMul + Add of matrices becomes Gemm.
//!
//! ```text
//! x·W + b = Gemm(x, W, b)
//!
//! x ─► MatMul(W) ─► Add(b) ─► y           x ─► Gemm(W, b) ─► y
//! ```
//!
//! Both operands must be known to be matrices and b to broadcast into the product; ONNX Runtime and
//! tract then add while they write the product. Above rank 2 there is no Gemm, and both runtimes fuse the addition themselves.
//!
//! Refuses when the product has another reader or is a graph output.

use crate::error::Result;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::support::{is_float, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-matmul-add", "say MatMul + Add of matrices as Gemm", run).of_family("linear");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Add"], |edit, node| Ok(fuse(edit, node)))
}

fn fuse(edit: &mut GraphEdit, add: NodeId) -> Outcome {
    // Below 7 both operators broadcast by attribute.
    if edit.onnx_opset() < 7 {
        return Outcome::NoMatch;
    }
    let found = (0..2).find_map(|i| Some((edit.node(add).input(1 - i)?, producer_of(edit, add, i, &["MatMul"])?)));
    let Some((bias, matmul)) = found else { return Outcome::NoMatch };
    let (Some(a), Some(b)) = (edit.node(matmul).input(0), edit.node(matmul).input(1)) else {
        return Outcome::NoMatch;
    };
    let (a_type, b_type, c_type) = (edit.tensor_type(a), edit.tensor_type(b), edit.tensor_type(bias));
    if a_type.rank() != Some(2) || b_type.rank() != Some(2) || !(is_float(edit, a) || is_float(edit, b)) {
        return Outcome::NoMatch;
    }
    let (Some(columns), Some(c)) = (b_type.shape.map(|s| s[1].clone()), c_type.shape) else {
        return Outcome::NoMatch;
    };
    // One number, or one per column.
    let fits = match &c[..] {
        [] => true,
        [rows @ .., last] => {
            rows.len() <= 1
                && rows.iter().all(|d| d.known() == Some(1))
                && (last.known() == Some(1) || last.same(&columns))
        }
    };
    if !fits {
        return Outcome::NoMatch;
    }
    let (Some(product), Some(_)) = (edit.node(matmul).output(0), edit.node(add).output(0)) else {
        return Outcome::NoMatch;
    };
    if let Some(reason) = read_elsewhere(edit, product) {
        return Outcome::Refused(reason);
    }
    edit.set_inputs(add, &[Some(a), Some(b), Some(bias)]);
    edit.set_op(add, "Gemm", "");
    let name = edit.node(matmul).name.clone();
    edit.remove_node(matmul);
    edit.rename_node(add, &name);
    Outcome::Applied
}
