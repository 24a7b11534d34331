//! Transposes move through the operators between them to where they meet and cancel.
//!
//! ```text
//! x ─► Transpose ─► Conv ─► Transpose ─► Relu ─► Transpose ─► Conv ─► Transpose ─► y
//! x ─► Transpose ─► Conv ─────────────► Relu ─────────────► Conv ─► Transpose ─► y
//! ```
//!
//! The region around a Transpose is every node that can compute in the order of axes on its other side and is joined to it by
//! such nodes: elementwise and broadcasting operators, joins, splits, slices, pads, reductions, and more (see [`carry`]); axes,
//! pads, sizes and constant operands are reordered with them. A minimum cut then chooses those that move so that the fewest
//! Transposes are left, the smallest ones among equals. It is applied only where Transposes become fewer, so that it ends.
//!
//! Shape lists sizes in the other order then, and a Gather puts them back. A value that is read in both orders, or is a graph output, gets one Transpose for all who read it so. No match
//! below opset 7, where broadcasting was by attribute, for ranks that are not known, for operands of a lower rank that are not constant,
//! and for a constant of over 1 KiB that is read elsewhere. Reductions may add in another order.

mod carry;
mod cut;
mod parameters;
mod region;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use carry::{Change, Layout, is_identity};
use region::{Region, seeds};

pub(super) use carry::{COPIED, inverse};
pub(super) use region::order;

use crate::error::Result;
use crate::ir::{GraphEdit, GraphId, NewNode, NodeId, Origin, Place, Tensor, TensorType, Use, ValueId};
use crate::passes::support::{permuted, set_constant};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("sink-transposes", "move Transposes through what is between them to where they cancel", run)
        .of_family("transposes");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    // Looked at already in this round: regions of several Transposes are found from each of them.
    let mut seen = HashSet::new();
    for_each(edit, PASS.name, &["Transpose"], |edit, node| {
        let Some(seeds) = seeds(edit, node) else { return Ok(Outcome::NoMatch) };
        for (value, layout) in seeds {
            if is_identity(&layout) || seen.contains(&(value, layout.clone())) {
                continue;
            }
            let graph = edit.node(node).graph();
            let region = Region::grow(edit, graph, value, layout);
            seen.extend(region.layouts.iter().map(|(v, l)| (*v, l.clone())));
            if let Some(chosen) = region.choose(edit) {
                apply(edit, graph, &region, &chosen);
                return Ok(Outcome::Applied);
            }
        }
        Ok(Outcome::NoMatch)
    })
}

fn apply(edit: &mut GraphEdit, graph: GraphId, region: &Region, chosen: &BTreeSet<NodeId>) {
    let mut moved: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let mut made: Vec<(ValueId, NodeId)> = Vec::new();
    for node in chosen {
        if is_identity(&region.nodes[node].to) {
            continue;
        }
        for index in 0..edit.node(*node).outputs().len() {
            let Some(old) = edit.detach_output(*node, index) else { continue };
            let hint = edit.name(old).to_string();
            let new = edit.new_value_like(&hint);
            let ty = reordered(edit.tensor_type(old), &region.layouts[&old]);
            edit.set_inferred(new, Some(ty));
            edit.attach_output(*node, index, new);
            moved.insert(old, new);
            made.push((old, *node));
        }
    }
    for node in chosen {
        let data = Some(&region.nodes[node].data).filter(|_| !is_identity(&region.nodes[node].from));
        for index in data.into_iter().flatten() {
            let Some(old) = edit.node(*node).input(*index) else { continue };
            let new = match moved.get(&old) {
                Some(new) => *new,
                None => {
                    let new = enter(edit, graph, region, old);
                    moved.insert(old, new);
                    new
                }
            };
            edit.set_input(*node, *index, Some(new));
        }
        for change in &region.nodes[node].changes {
            adapt(edit, *node, change, &region.nodes[node].from);
        }
    }
    for (old, node) in made {
        leave(edit, old, moved[&old], node, &region.layouts[&old]);
    }
    let makers: Vec<NodeId> =
        region.layouts.keys().filter_map(|v| edit.is_live_value(*v).then(|| edit.producer(*v))?).collect();
    for node in makers {
        let unread = edit.is_live(node) && edit.node(node).outputs().iter().flatten().all(|v| edit.uses(*v).is_empty());
        if unread && edit.node(node).is("Transpose") {
            edit.remove_node(node);
        }
    }
}

/// The value in the region's layout where no moved node makes it: what a Transpose made it from, or a new Transpose.
fn enter(edit: &mut GraphEdit, graph: GraphId, region: &Region, value: ValueId) -> ValueId {
    let layout = &region.layouts[&value];
    // Values of the region are still to be found by what they are.
    let outside =
        |edit: &GraphEdit, n: &NodeId| edit.node(*n).output(0).is_none_or(|v| !region.layouts.contains_key(&v));
    let source = region.source(edit, value);
    let (read, perm) = match &source {
        Some((x, order)) => (*x, layout.iter().map(|a| order[*a]).collect()),
        None => (value, layout.clone()),
    };
    let new = if is_identity(&perm) {
        read
    } else {
        let place = match edit.value(value).origin() {
            Origin::Node { node, .. } if edit.node(node).graph() == graph => Place::After(node),
            _ => Place::Start(graph),
        };
        let ty = reordered(edit.tensor_type(value), layout);
        let hint = edit.name(value).to_string();
        let node = edit.insert(place, transpose(read, &perm).output(hint, Some(ty)));
        let Some(new) = edit.node(node).output(0) else { return read };
        // Who has transposed it so before reads the new one.
        for other in transposes(edit, value) {
            let twin = order(edit, other).as_ref() == Some(layout) && edit.node(other).graph() == graph;
            if other != node && twin && outside(edit, &other) {
                replace(edit, other, new);
            }
        }
        new
    };
    // A Transpose of a Transpose reads what that reads, which can go then.
    if let Some((x, back)) = source {
        for other in transposes(edit, value).into_iter().filter(|n| outside(edit, n)).collect::<Vec<_>>() {
            reread(edit, other, x, &back);
        }
    }
    new
}

/// Readers of `old`, which a moved node makes as `new`: Transposes read that, and the others get a Transpose.
fn leave(edit: &mut GraphEdit, old: ValueId, new: ValueId, maker: NodeId, layout: &Layout) {
    let back = inverse(layout);
    for reader in transposes(edit, old) {
        reread(edit, reader, new, &back);
    }
    if edit.uses(old).is_empty() {
        edit.remove_value(old);
    } else {
        edit.insert(Place::After(maker), transpose(new, &back).output_into(old));
    }
}

/// Lets a Transpose of a value read `x`, of which the value is a Transpose by `perm`.
fn reread(edit: &mut GraphEdit, transpose: NodeId, x: ValueId, perm: &[usize]) {
    let Some(order) = order(edit, transpose) else { return };
    let joint: Layout = order.iter().map(|a| perm[*a]).collect();
    if is_identity(&joint) {
        replace(edit, transpose, x);
    } else {
        edit.set_attr(transpose, "perm", joint.iter().map(|a| *a as i64).collect::<Vec<_>>());
        edit.set_input(transpose, 0, Some(x));
    }
}

/// Lets the readers of a Transpose read `value`; one that makes a graph output which `value` cannot be becomes an Identity.
fn replace(edit: &mut GraphEdit, node: NodeId, value: ValueId) {
    let Some(output) = edit.node(node).output(0) else { return };
    if edit.replace_uses(output, value).is_ok() {
        edit.remove_node(node);
    } else {
        edit.set_op(node, "Identity", "");
        edit.remove_attr(node, "perm");
        edit.set_input(node, 0, Some(value));
    }
}

fn transpose(value: ValueId, perm: &[usize]) -> NewNode {
    NewNode::new("Transpose").input(value).attr("perm", perm.iter().map(|a| *a as i64).collect::<Vec<_>>())
}

fn transposes(edit: &GraphEdit, value: ValueId) -> Vec<NodeId> {
    let readers = edit.uses(value).iter().filter_map(|u| match u {
        Use::Node { node, .. } => Some(*node),
        Use::Output { .. } => None,
    });
    readers.filter(|n| order(edit, *n).is_some()).collect()
}

fn reordered(ty: TensorType, layout: &[usize]) -> TensorType {
    let shape = ty.shape.filter(|s| s.len() == layout.len());
    TensorType { dtype: ty.dtype, shape: shape.map(|s| layout.iter().map(|a| s[*a].clone()).collect()) }
}

fn adapt(edit: &mut GraphEdit, node: NodeId, change: &Change, layout: &Layout) {
    match change {
        Change::Attr(name, value) => edit.set_attr(node, name, value.clone()),
        Change::Input(index, tensor) => set_constant(edit, node, *index, tensor.clone()),
        Change::Listed => {
            let Some(old) = edit.detach_output(node, 0) else { return };
            let hint = edit.name(old).to_string();
            let listed = edit.new_value_like(&hint);
            edit.attach_output(node, 0, listed);
            let places: Vec<i64> = inverse(layout).into_iter().map(|a| a as i64).collect();
            let graph = edit.node(node).graph();
            let places =
                edit.add_initializer(graph, &format!("{hint}.order"), Tensor::from_vec([places.len()], places));
            let gather = NewNode::new("Gather").input(listed).input(places).attr("axis", 0i64).output_into(old);
            edit.insert(Place::After(node), gather);
        }
        Change::Operand(index) => {
            let moved = edit.constant_input(node, *index).and_then(|constant| {
                let mut shape = vec![1; layout.len() - constant.rank()];
                shape.extend(constant.shape());
                permuted(&constant.reshaped(shape).ok()?, layout)
            });
            if let Some(tensor) = moved {
                set_constant(edit, node, *index, tensor);
            }
        }
    }
}
