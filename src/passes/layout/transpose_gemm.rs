//! A Transpose of a matrix before Gemm becomes the Gemm's own.
//!
//! ```text
//! x ─► Transpose(1,0) ─► Gemm(transA = 0) ─► y        x ─► Gemm(transA = 1) ─► y
//! ```
//!
//! The same for B. Other readers of the transposed matrix keep it.

use crate::analysis::permutation;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::support::producer_of;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-transpose-gemm", "let Gemm transpose its operands itself", run).exact().of_family("linear");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Gemm"], |edit, node| {
        let mut outcome = Outcome::NoMatch;
        for (input, attr) in [(0, "transA"), (1, "transB")] {
            let Some(before) = producer_of(edit, node, input, &["Transpose"]) else { continue };
            if permutation(edit, before).as_deref() == Some(&[1, 0]) {
                let x = edit.node(before).input(0);
                let transposed = edit.node(node).int_or(attr, 0) != 0;
                edit.set_attr(node, attr, i64::from(!transposed));
                edit.set_input(node, input, x);
                outcome = Outcome::Applied;
            }
        }
        Ok(outcome)
    })
}
