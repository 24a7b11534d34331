//! A Transpose between two Reshapes that join axes and take them apart again is a Transpose of the parts themselves.
//!
//! ```text
//! x: [B, H, L, D] ─► Reshape [B·H, L, D] ─► Transpose(0, 2, 1) ─► Reshape [B, H, D, L] ─► y        x ─► Transpose(0, 1, 3, 2) ─► y
//!
//! x: [L, B, H·D]  ─► Reshape [L, B·H, D] ─► Transpose(1, 0, 2) ─► Reshape [B, H, L, D] ─► y
//!                                                          x ─► Reshape [L, B, H, D] ─► Transpose(1, 2, 0, 3) ─► y
//! ```
//!
//! The parts are the axes that both sides of the first Reshape are made of; those that were joined move together, in their order. PyTorch's
//! exporter writes attention so. No match where sizes are not known to be the same on both sides, or another reads what lies between.

use crate::analysis::{permutation, shape_of};
use crate::error::Result;
use crate::ir::{Dim, GraphEdit, Model, NewNode, NodeId, Place, ValueId};
use crate::passes::support::{ints, made, producer_of};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("unjoin-transposes", "transpose what a Reshape joined and another takes apart as it was", run)
        .exact()
        .of_family("transposes");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Transpose"], |edit, id| Ok(unjoin(edit, id).unwrap_or(Outcome::NoMatch)))
}

fn unjoin(edit: &mut GraphEdit, id: NodeId) -> Option<Outcome> {
    let join = producer_of(edit, id, 0, &["Reshape"])?;
    let turned = edit.node(id).output(0)?;
    let apart = edit.single_reader(turned).filter(|n| edit.node(*n).is("Reshape"))?;
    if edit.node(apart).input(0) != Some(turned) || edit.node(apart).graph() != edit.node(id).graph() {
        return None;
    }
    let (mut x, y) = (edit.node(join).input(0)?, edit.node(apart).output(0)?);
    let found = Parts::of(edit, id, (x, edit.node(join).output(0)?, y))?;
    let name = edit.node_label(id).to_string();
    if let Some(sizes) = found.sizes {
        let label = edit.node_label(join).to_string();
        let sizes = ints(edit, id, &format!("{label}_parts"), sizes);
        let node = NewNode::new("Reshape").name(&label).input(x).input(sizes);
        x = made(edit, Place::Before(id), node.output(format!("{label}_apart"), None))?;
    }
    edit.detach_output(apart, 0);
    edit.remove_node(apart);
    let node =
        edit.insert(Place::Before(id), NewNode::new("Transpose").input(x).attr("perm", found.order).output_into(y));
    edit.remove_node(id);
    edit.rename_node(node, &name);
    Some(Outcome::Applied)
}

/// The axes that both sides of a Reshape are made of.
struct Parts {
    /// What a Reshape must say to lay them apart, where `x` does not have them so.
    sizes: Option<Vec<i64>>,
    /// In which `y` has them.
    order: Vec<i64>,
}

impl Parts {
    fn of(model: &Model, transpose: NodeId, (x, joined, y): (ValueId, ValueId, ValueId)) -> Option<Parts> {
        let [from, joined, to] = [x, joined, y].map(|v| shape_of(model, v));
        let (from, joined, to) = (from?, joined?, to?);
        let (parts, of_joined) = parts(&from, &joined)?;
        let order = permutation(model, transpose)?;
        let whole: Vec<usize> =
            order.iter().map(|axis| of_joined.get(*axis as usize).cloned()).collect::<Option<Vec<_>>>()?.concat();
        // One size that is not known is that which is left.
        let other = whole.iter().zip(&to).filter(|(part, size)| !parts[**part].same(size));
        let other: Vec<&Dim> = other.map(|(_, size)| size).collect();
        let fits = whole.len() == to.len() && (other.is_empty() || other.len() == 1 && other[0].known().is_none());
        if !fits || whole.len() <= joined.len() {
            return None;
        }
        let sizes = match parts == from {
            true => None,
            false => Some(said(&parts, &from)?),
        };
        Some(Parts { sizes, order: whole.into_iter().map(|axis| axis as i64).collect() })
    }
}

/// The parts, and those that each axis of `joined` is made of. From both ends sizes are the same or one divides the other; one axis between
/// takes all that is left.
fn parts(from: &[Dim], joined: &[Dim]) -> Option<(Vec<Dim>, Vec<Vec<usize>>)> {
    let before = from.iter().zip(joined).take_while(|(a, b)| a.same(b)).count().min(joined.len().checked_sub(1)?);
    let (mut rest, mut left) = (from[before..].to_vec(), joined[before..].to_vec());
    // From the back: the sizes of the parts, and for each axis of `joined` how many it has.
    let (mut sizes, mut counts): (Vec<Dim>, Vec<usize>) = (Vec::new(), Vec::new());
    while left.len() > 1 {
        let (mut wanted, mut count) = (left.pop()?, 0);
        loop {
            let have = rest.pop()?;
            count += 1;
            if have.same(&wanted) {
                sizes.push(have);
                break;
            }
            let (a, b) = (have.known().filter(|n| *n > 0)?, wanted.known().filter(|n| *n > 0)?);
            if a % b == 0 {
                rest.push(Dim::Known(a / b));
                sizes.push(wanted);
                break;
            }
            if b % a != 0 {
                return None;
            }
            sizes.push(have);
            wanted = Dim::Known(b / a);
        }
        counts.push(count);
    }
    counts.push(rest.len());
    sizes.extend(rest.into_iter().rev());
    let parts: Vec<Dim> = from[..before].iter().cloned().chain(sizes.into_iter().rev()).collect();
    let mut next = 0;
    let of_axis = |count: usize| {
        next += count;
        (next - count..next).collect()
    };
    let counts = std::iter::repeat_n(1, before).chain(counts.into_iter().rev());
    Some((parts, counts.map(of_axis).collect()))
}

/// The parts as a Reshape of `from` says them; `None` where two cannot be told.
fn said(parts: &[Dim], from: &[Dim]) -> Option<Vec<i64>> {
    let copied = |i: usize| parts[..=i].iter().zip(from).all(|(a, b)| a.same(b)) && i < from.len();
    let size = |(i, part): (usize, &Dim)| if copied(i) { 0 } else { part.known().unwrap_or(-1) };
    let sizes: Vec<i64> = parts.iter().enumerate().map(size).collect();
    (sizes.iter().filter(|n| **n == -1).count() <= 1).then_some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_both_sides_are_made_of() {
        let known = |sizes: &[i64]| sizes.iter().map(|n| Dim::Known(*n)).collect::<Vec<_>>();
        let s = || Dim::Symbol("s".into());
        let [from, joined] =
            [vec![Dim::Known(20), s(), Dim::Known(64)], vec![Dim::Known(20), Dim::Unknown, Dim::Known(16)]];
        let (found, of_joined) = parts(&from, &joined).unwrap();
        assert_eq!(found, [Dim::Known(20), s(), Dim::Known(4), Dim::Known(16)]);
        assert_eq!(of_joined, [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(said(&found, &from), Some(vec![0, 0, 4, 16]));
        // 6 and 4 have no parts in common that both could be made of; a scalar has none at all.
        assert_eq!(parts(&known(&[2, 6]), &known(&[3, 4])), None);
        assert_eq!(parts(&known(&[1]), &[]), None);
    }
}
