//! Channels cut from a model: smaller weights, and nothing left that says the old sizes.
//!
//! ```text
//! constants          the positions of cut channels go from every axis that holds them
//! nodes              groups, splits, reshape targets, slices: what the operator's rule says
//! other values       declared sizes follow
//! ```

use std::collections::BTreeMap;

use crate::analysis::dependency::{Group, operands, value_at};
use crate::error::{Error, Result};
use crate::ir::{Dim, GraphEdit, Model, NodeId, Tensor, Type, ValueId};
use crate::ops;
use crate::ops::channels::{Axis, Change};

/// Which positions stay, by value and axis, where some go.
pub type Kept = BTreeMap<(ValueId, usize), Vec<bool>>;

/// Cuts the channels that are `true` in `gone`, one list for each of `groups`, from the model that the groups were found in.
///
/// # Errors
/// Internal, naming the node, where an operator's rule joins channels that it cannot resize; the model is not to be used then.
pub fn shrink(model: &mut Model, groups: &[Group], gone: &[Vec<bool>]) -> Result<()> {
    let kept = kept(groups, gone);
    let changes = changes(model, &kept)?;
    let mut edit = GraphEdit::new(model);
    for (value, axes) in by_value(&kept) {
        match edit.constant(value).cloned() {
            Some(tensor) => {
                let lost = || Error::internal(format!("\"{}\" cannot be cut", edit.name(value)));
                let mut cut = cut(&tensor, &axes).ok_or_else(lost)?;
                cut.storage = tensor.storage;
                edit.set_constant(value, cut);
            }
            None => resize(&mut edit, value, &axes),
        }
    }
    for (node, change) in changes {
        match change {
            Change::Attr(name, attr) => edit.set_attr(node, name, attr),
            Change::NoAttr(name) => edit.remove_attr(node, name),
            Change::Input(input, tensor) => {
                let hint = edit
                    .node(node)
                    .input(input)
                    .map_or_else(|| format!("{}.{input}", edit.node_label(node)), |v| edit.name(v).to_string());
                let graph = edit.node(node).graph();
                let old = edit.node(node).input(input);
                let value = edit.add_initializer(graph, &hint, tensor);
                edit.set_input(node, input, Some(value));
                if let Some(old) = old {
                    edit.remove_unread_initializer(old);
                }
            }
        }
    }
    let main = edit.main();
    edit.remove_unread_nodes(main);
    Ok(())
}

/// The positions that stay of the axes that lose some.
pub fn kept(groups: &[Group], gone: &[Vec<bool>]) -> Kept {
    let mut kept = Kept::new();
    for (group, gone) in groups.iter().zip(gone) {
        for m in &group.members {
            if m.channels.iter().any(|c| gone[*c]) {
                kept.insert((m.value, m.axis), m.channels.iter().map(|c| !gone[*c]).collect());
            }
        }
    }
    kept
}

/// The axes of each value that lose positions.
fn by_value(kept: &Kept) -> BTreeMap<ValueId, Vec<(usize, &[bool])>> {
    let mut found: BTreeMap<ValueId, Vec<(usize, &[bool])>> = BTreeMap::new();
    for ((value, axis), stays) in kept {
        found.entry(*value).or_default().push((*axis, stays));
    }
    found
}

/// What nodes say of sizes, before anything is cut.
fn changes(model: &Model, kept: &Kept) -> Result<Vec<(NodeId, Change)>> {
    let mut changes = Vec::new();
    for id in model.graph(model.main()).nodes() {
        let Some(resize) = ops::of(model.node(*id)).and_then(|op| op.channels?.resize) else { continue };
        let stays = |(port, axis): Axis| kept.get(&(value_at(model, *id, port)?, axis)).cloned();
        let node = model.node(*id);
        let touched = node.inputs().iter().chain(node.outputs()).flatten();
        if !touched.into_iter().any(|v| kept.range((*v, 0)..=(*v, usize::MAX)).next().is_some()) {
            continue;
        }
        let operands = operands(model, *id);
        let lost = || Error::internal("its sizes cannot follow the cut").at_node(model.describe(*id));
        changes.extend(resize(&operands, &stays).ok_or_else(lost)?.into_iter().map(|c| (*id, c)));
    }
    Ok(changes)
}

/// What is left of `tensor`, which `value` had before the cut.
pub fn cut_value(tensor: &Tensor, value: ValueId, kept: &Kept) -> Option<Tensor> {
    let axes: Vec<(usize, &[bool])> =
        kept.range((value, 0)..=(value, usize::MAX)).map(|((_, axis), stays)| (*axis, stays.as_slice())).collect();
    if axes.is_empty() { Some(tensor.clone()) } else { cut(tensor, &axes) }
}

/// The tensor without the positions that do not stay; `None` for elements below a byte.
fn cut(tensor: &Tensor, axes: &[(usize, &[bool])]) -> Option<Tensor> {
    let width = tensor.dtype().bits() / 8;
    if width == 0 || !tensor.dtype().bits().is_multiple_of(8) {
        return None;
    }
    let (mut shape, mut bytes) = (tensor.shape().to_vec(), tensor.bytes().to_vec());
    for (axis, stays) in axes {
        let inner = shape.get(axis + 1..)?.iter().product::<usize>() * width;
        let row = shape[*axis] * inner;
        if stays.len() != shape[*axis] || row == 0 {
            return None;
        }
        let positions = |row: &[u8]| -> Vec<u8> {
            row.chunks(inner.max(1)).zip(*stays).filter(|(_, s)| **s).flat_map(|(b, _)| b).copied().collect()
        };
        bytes = bytes.chunks(row).flat_map(positions).collect();
        shape[*axis] = stays.iter().filter(|s| **s).count();
    }
    Tensor::from_bytes(tensor.dtype(), shape, bytes).ok()
}

/// The sizes that the file and inference say of a value that is computed.
fn resize(edit: &mut GraphEdit, value: ValueId, axes: &[(usize, &[bool])]) {
    let left = |stays: &[bool]| Dim::from(stays.iter().filter(|s| **s).count());
    let mut declared = edit.value(value).declared().and_then(Type::as_tensor);
    let mut inferred = edit.value(value).inferred().cloned();
    for ty in [&mut declared, &mut inferred].into_iter().flatten() {
        for (axis, stays) in axes {
            if let Some(dim) = ty.shape.as_mut().and_then(|s| s.get_mut(*axis)) {
                *dim = left(stays);
            }
        }
    }
    if let Some(ty) = declared {
        edit.set_declared(value, Some(Type::tensor(&ty)));
    }
    edit.set_inferred(value, inferred);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_from_every_axis() {
        let t = Tensor::from_vec([2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let cut = cut(&t, &[(0, &[false, true]), (1, &[true, false, true])]).unwrap();
        assert_eq!((cut.shape(), &*cut.to_f32().unwrap()), (&[1, 2][..], &[4.0, 6.0][..]));
    }
}
