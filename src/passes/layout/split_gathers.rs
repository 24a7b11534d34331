//! Gathers that take the parts of a last axis, which a Reshape laid beside each other, are a Split.
//!
//! ```text
//! x: […, k·n] ─► Reshape […, k, n] ─► Gather(i) for i of 0 … k−1        x ─► Split along the last axis, n each ─► part i
//! ```
//!
//! Exporters write so the one product that makes queries, keys and values (`nn.MultiheadAttention`). No match where another reads what was
//! laid beside each other, or a part is taken twice.

use crate::analysis::shape_of;
use crate::error::Result;
use crate::ir::shape::axis_of;
use crate::ir::{GraphEdit, Model, NewNode, NodeId, Place, Use};
use crate::passes::support::set_ints;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("split-gathers", "say Gathers of the parts of a reshaped last axis as a Split", run).exact();

/// Parts of one axis, at most.
const PARTS: usize = 16;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Reshape"], |edit, id| Ok(split(edit, id).unwrap_or(Outcome::NoMatch)))
}

fn split(edit: &mut GraphEdit, reshape: NodeId) -> Option<Outcome> {
    let (size, parts) = parts(edit, reshape)?;
    let (x, name) = (edit.node(reshape).input(0)?, edit.node_label(reshape).to_string());
    let mut node = NewNode::new("Split").input(x).attr("axis", -1i64);
    for (i, gather) in parts.iter().enumerate() {
        node = match gather.and_then(|gather| edit.detach_output(gather, 0)) {
            Some(value) => node.output_into(value),
            None => node.output(format!("{name}_part_{i}"), None),
        };
    }
    parts.iter().flatten().for_each(|gather| edit.remove_node(*gather));
    let node = edit.insert(Place::After(reshape), node);
    set_ints(edit, node, "split", (1, 13), vec![size; parts.len()]);
    edit.remove_node(reshape);
    edit.rename_node(node, &name);
    Some(Outcome::Applied)
}

/// The size of a part, and for each the Gather that takes it, if one does.
fn parts(model: &Model, reshape: NodeId) -> Option<(i64, Vec<Option<NodeId>>)> {
    let beside = model.node(reshape).output(0)?;
    let (whole, apart) = (shape_of(model, model.node(reshape).input(0)?)?, shape_of(model, beside)?);
    let ([lead @ .., all], [same @ .., count, size]) = (&whole[..], &apart[..]) else { return None };
    let (all, count, size) = (all.known()?, usize::try_from(count.known()?).ok()?, size.known()?);
    let fits = lead.len() == same.len() && lead.iter().zip(same).all(|(a, b)| a.same(b));
    if !fits || !(2..=PARTS).contains(&count) || size.checked_mul(count as i64) != Some(all) || all == 0 {
        return None;
    }
    let mut parts = vec![None; count];
    for u in model.uses(beside) {
        let Use::Node { node, input: 0 } = *u else { return None };
        let n = model.node(node);
        let axis = axis_of(n.int_or("axis", 0), apart.len());
        let index = model.constant_input(node, 1).filter(|t| t.rank() == 0)?.to_i64()?;
        if !n.is("Gather") || axis != Some(lead.len()) || n.graph() != model.node(reshape).graph() {
            return None;
        }
        let part = &mut parts[axis_of(*index.first()?, count)?];
        if part.replace(node).is_some() {
            return None;
        }
    }
    Some((size, parts))
}
