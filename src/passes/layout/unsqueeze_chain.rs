//! Unsqueeze after Unsqueeze is one, so is Squeeze after Squeeze, and Squeeze takes back an Unsqueeze of the same axes.
//!
//! ```text
//! x ─► Unsqueeze(0) ─► Unsqueeze(2) ─► y        x ─► Unsqueeze(0, 2) ─► y
//! x ─► Unsqueeze(1) ─► Squeeze(1) ─► y          x ─► y
//! x ─► Squeeze(1) ─► Unsqueeze(1) ─► y          x ─► y
//! ```
//!
//! Works where shapes are unknown, which `merge-reshapes` cannot. Axes that are not constant, or count from
//! the end while the rank is unknown, are no match. Refuses when y is a graph output that x cannot become.

use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, ValueId};
use crate::passes::support::{bypass, producer_of, set_ints};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "merge-unsqueezes",
    "join consecutive Unsqueezes or Squeezes, drop Squeeze and Unsqueeze of the same axes",
    run,
)
.exact();

/// Where the rank is not known, an axis beyond this is no axis.
const MAX_RANK: i64 = 64;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Unsqueeze", "Squeeze"], |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(before) = producer_of(edit, node, 0, &["Unsqueeze", "Squeeze"]) else { return Outcome::NoMatch };
    let (Some(first), Some(second), Some(x)) = (axes(edit, before), axes(edit, node), edit.node(before).input(0))
    else {
        return Outcome::NoMatch;
    };
    if edit.node(before).op_type != edit.node(node).op_type {
        return if first == second { bypass(edit, node, x) } else { Outcome::NoMatch };
    }
    if edit.node(node).is("Squeeze") {
        // An axis of the second is that place among those that the first has left.
        let left = |axis: &i64| (0..).filter(|i| !first.contains(i)).nth(usize::try_from(*axis).ok()?);
        let Some(mut joint) = second.iter().map(left).collect::<Option<Vec<i64>>>() else { return Outcome::NoMatch };
        joint.extend(&first);
        set_axes(edit, node, x, joint);
        return Outcome::Applied;
    }
    // Axes of the result that are new: the second's, and the first's where the second lets them come to stand.
    let mut joint = second.clone();
    let (mut place, mut passed) = (0, 0);
    while joint.len() < first.len() + second.len() {
        if !second.contains(&place) {
            if first.contains(&passed) {
                joint.push(place);
            }
            passed += 1;
        }
        place += 1;
    }
    set_axes(edit, node, x, joint);
    Outcome::Applied
}

/// Lets the node read `x` and make or drop these axes.
fn set_axes(edit: &mut GraphEdit, node: NodeId, x: ValueId, mut axes: Vec<i64>) {
    axes.sort_unstable();
    edit.set_input(node, 0, Some(x));
    set_ints(edit, node, "axes", (1, 13), axes);
}

/// Constant axes, counted from the front, in order.
fn axes(model: &Model, node: NodeId) -> Option<Vec<i64>> {
    let n = model.node(node);
    let mut axes = match n.input(1) {
        Some(v) => model.constant(v)?.to_i64()?,
        None => n.ints("axes")?.to_vec(),
    };
    if axes.iter().any(|a| *a < 0) {
        // Unsqueeze counts axes of its output, Squeeze those of its input.
        let rank = model.tensor_type(n.input(0)?).rank()? + if n.is("Unsqueeze") { axes.len() } else { 0 };
        axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a = a.saturating_add(rank as i64));
    }
    axes.sort_unstable();
    let told = axes.iter().all(|a| (0..MAX_RANK).contains(a)) && axes.windows(2).all(|w| w[0] != w[1]);
    (!axes.is_empty() && told).then_some(axes)
}
