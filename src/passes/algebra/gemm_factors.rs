//! Fold the constant factors of a Gemm into its operands.
//!
//! ```text
//! α·x·W + β·C = x·(α·W) + (β·C)
//!
//! x ─► Gemm(W, C, alpha = 0.5) ─► y        x ─► Gemm(0.5·W, C) ─► y
//! ```
//!
//! Refuses when C is not constant or differs by row, when another node reads the weight and a copy would make the file
//! larger, when the products overflow.

use super::linear::Linear;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-gemm-factors", "fold alpha and beta of a Gemm into its weight and bias", run).of_family("linear");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Gemm"], |edit, node| {
        let n = edit.node(node);
        if n.float_or("alpha", 1.0) == 1.0 && n.float_or("beta", 1.0) == 1.0 {
            return Ok(Outcome::NoMatch);
        }
        Ok(match Linear::of(edit, node) {
            None => Outcome::NoMatch,
            Some(linear) => match linear.and_then(|l| l.absorb_factors(edit)) {
                Ok(()) => Outcome::Applied,
                Err(reason) => Outcome::Refused(reason),
            },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn factors_go_into_weight_and_bias() {
        let mut model = text::parse(
            "<ir_version: 8, opset_import: [\"\" : 17]>\n\
             g (float[N,2] x) => (float[N,2] y)\n\
             <float[2,2] w = {1,2,3,4}, float[2] c = {10,20}>\n\
             { y = Gemm <alpha = 0.5, beta = 0.1> (x, w, c) }",
        )
        .unwrap();
        let mut edit = GraphEdit::new(&mut model);
        assert_eq!(run(&mut edit).unwrap().applied, 1);
        let gemm = edit.all_nodes()[0];
        let constant = |i| edit.constant_input(gemm, i).unwrap().to_f32().unwrap().into_owned();
        assert_eq!((constant(1), constant(2)), (vec![0.5, 1.0, 1.5, 2.0], vec![1.0, 2.0]));
        assert!(edit.node(gemm).attrs().is_empty());
        assert_eq!(run(&mut edit).unwrap().applied, 0);
    }
}
