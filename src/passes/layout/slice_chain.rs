//! A Slice of a Slice is one Slice.
//!
//! ```text
//! x ─► Slice([a, b), axis i) ─► Slice([c, d), axis j) ─► y        x ─► Slice([a, b), [c, d), axes i, j) ─► y
//! x ─► Slice([a, b)) ─► Slice([c, d)) ─► y                        x ─► Slice([a + c, min(b, a + d))) ─► y
//! ```
//!
//! Two cuts of the same axis are joined where both walk forward by 1 and their starts count from the front, or can be made to.
//! Bounds that are not constant are no match. Refuses when the inner slice has another reader or is a graph output: both would be cut out.

use super::cuts::{Cut, cuts, set_cuts};
use crate::error::Result;
use crate::ir::{Dim, GraphEdit, Model, NodeId, ValueId};
use crate::passes::support::{producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new("merge-slices", "join consecutive Slices", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Slice"], |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(inner) = producer_of(edit, node, 0, &["Slice"]) else { return Outcome::NoMatch };
    let (Some(x), Some(between)) = (edit.node(inner).input(0), edit.node(inner).output(0)) else {
        return Outcome::NoMatch;
    };
    // An old Slice has no steps, so that all of a kind can be joined.
    let (Some(first), Some(second)) = (cuts(edit, inner), cuts(edit, node)) else { return Outcome::NoMatch };
    let Some(joint) = join(edit, x, between, first, &second) else { return Outcome::NoMatch };
    if let Some(reason) = read_elsewhere(edit, between) {
        return Outcome::Refused(reason);
    }
    edit.set_input(node, 0, Some(x));
    set_cuts(edit, node, &joint);
    edit.remove_node(inner);
    Outcome::Applied
}

fn join(model: &Model, x: ValueId, between: ValueId, mut cuts: Vec<Cut>, second: &[Cut]) -> Option<Vec<Cut>> {
    let size = |value: ValueId, axis: usize| model.tensor_type(value).shape?.get(axis).and_then(Dim::known);
    for cut in second {
        match cuts.iter_mut().find(|c| c.axis == cut.axis) {
            None => cuts.push(*cut),
            Some(inner) => {
                let first = inner.forward(size(x, cut.axis)).unwrap_or(*inner);
                *inner = cut.forward(size(between, cut.axis)).unwrap_or(*cut).after(first)?;
            }
        }
    }
    cuts.sort_by_key(|c| c.axis);
    Some(cuts)
}
