//! A Transpose of a Transpose is one Transpose.
//!
//! ```text
//! perm[i] = first[second[i]]
//!
//! x ─► Transpose(0,2,1) ─► Transpose(2,0,1) ─► y        x ─► Transpose(1,0,2) ─► y
//! ```
//!
//! An inverse pair becomes the Transpose in present order, which `eliminate-identity` bypasses. A
//! reversing Transpose (without `perm`) of unknown rank is no match.

use crate::analysis::permutation;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::support::producer_of;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("merge-transposes", "join consecutive Transposes", run).exact().of_family("transposes");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Transpose"], |edit, node| {
        let Some(before) = producer_of(edit, node, 0, &["Transpose"]) else { return Ok(Outcome::NoMatch) };
        let (Some(first), Some(second)) = (permutation(edit, before), permutation(edit, node)) else {
            return Ok(Outcome::NoMatch);
        };
        let joint: Option<Vec<i64>> = second.iter().map(|i| first.get(*i as usize).copied()).collect();
        let Some(joint) = joint.filter(|j| j.len() == first.len()) else { return Ok(Outcome::NoMatch) };
        let x = edit.node(before).input(0);
        edit.set_attr(node, "perm", joint);
        edit.set_input(node, 0, x);
        Ok(Outcome::Applied)
    })
}
