//! The way that three passes share: an affine node goes into the linear operator that makes its input.

use super::affine::Affine;
use super::linear::{LINEAR, Linear};
use crate::ir::{GraphEdit, NodeId};
use crate::passes::Outcome;
use crate::passes::support::{has_side_outputs, own_bytes, producer_of, read_elsewhere};

/// Folds the affine `node` into the linear operator before it.
pub(super) fn fold_after(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let found = (0..2).find_map(|data| Some((data, producer_of(edit, node, data, LINEAR)?)));
    let Some((data, producer)) = found.filter(|_| !has_side_outputs(edit, node)) else { return Outcome::NoMatch };
    let linear = match Linear::of(edit, producer) {
        None => return Outcome::NoMatch,
        Some(Err(reason)) => return Outcome::Refused(reason),
        Some(Ok(linear)) => linear,
    };
    let Some(affine) = Affine::of(edit, node, data, linear.output_channels(edit)) else { return Outcome::NoMatch };
    if !linear.takes_bias() && !affine.is_scale_only() {
        return Outcome::NoMatch;
    }
    let n = edit.node(node);
    let (Some(from), Some(to)) = (n.output(0), edit.node(producer).output(0)) else { return Outcome::NoMatch };
    if let Some(reason) = read_elsewhere(edit, to).or_else(|| edit.can_replace_uses(from, to).err()) {
        return Outcome::Refused(reason);
    }
    let freed = own_bytes(edit, node);
    if let Err(reason) = linear.apply_after(edit, &affine, freed) {
        return Outcome::Refused(reason);
    }
    // The operator makes now what the affine node made, and so under its name.
    if !edit.is_output(from) {
        edit.swap_identity(from, to);
    }
    if let Err(reason) = edit.replace_uses(from, to) {
        return Outcome::Refused(reason);
    }
    edit.remove_node(node);
    Outcome::Applied
}
