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

use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId};
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

/// The order of the axes, from the attribute or reversed where the rank is known.
pub(in crate::passes) fn permutation(model: &Model, node: NodeId) -> Option<Vec<i64>> {
    let n = model.node(node);
    match n.ints("perm") {
        Some(perm) => Some(perm.to_vec()),
        None => Some((0..model.tensor_type(n.input(0)?).rank()? as i64).rev().collect()),
    }
}
