//! Operators that order axes anew, join, repeat or name them.

use super::{Change, ChannelRule, Coupling, Kept, Map, Operands, Port, X, Y, count, same};
use crate::ir::shape::axis_of;
use crate::ir::{Tensor, Use};

pub const TRANSPOSE: ChannelRule = ChannelRule::new(transpose, "orders its axes in no known way");
pub const SQUEEZE: ChannelRule = ChannelRule::new(squeeze, "drops it");
pub const UNSQUEEZE: ChannelRule = ChannelRule::new(unsqueeze, "makes it");
pub const CONCAT: ChannelRule = ChannelRule::new(concat, "joins parts whose sizes are not known");
pub const EXPAND: ChannelRule = ChannelRule::new(expand, "repeats it to a size that is computed").resizes(expanded);
pub const TILE: ChannelRule = ChannelRule::new(tile, "repeats it");
pub const SHAPE: ChannelRule = ChannelRule::new(shape, "tells its size to others");

fn transpose(o: &Operands) -> Vec<Coupling> {
    let Some(rank) = o.rank(X) else { return Vec::new() };
    let perm: Vec<usize> = match o.node.ints("perm") {
        Some(perm) => perm.iter().filter_map(|p| axis_of(*p, rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    perm.iter().enumerate().map(|(to, from)| same((X, *from), (Y, to))).collect()
}

fn squeeze(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(y)) = (o.rank(X), o.rank(Y)) else { return Vec::new() };
    let gone: Vec<usize> = match o.ints_of("axes", 1) {
        Some(Some(axes)) => axes.iter().filter_map(|a| axis_of(*a, rank)).collect(),
        Some(None) => (0..rank).filter(|a| o.size((X, *a)) == Some(1)).collect(),
        None => return Vec::new(),
    };
    let left: Vec<usize> = (0..rank).filter(|a| !gone.contains(a)).collect();
    if left.len() != y {
        return Vec::new();
    }
    left.iter().enumerate().map(|(to, from)| same((X, *from), (Y, to))).collect()
}

fn unsqueeze(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(y), Some(Some(axes))) = (o.rank(X), o.rank(Y), o.ints_of("axes", 1)) else {
        return Vec::new();
    };
    let new: Vec<usize> = axes.iter().filter_map(|a| axis_of(*a, y)).collect();
    let old: Vec<usize> = (0..y).filter(|a| !new.contains(a)).collect();
    if old.len() != rank {
        return Vec::new();
    }
    old.iter().enumerate().map(|(from, to)| same((X, from), (Y, *to))).collect()
}

fn concat(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(along)) = (o.rank(X), o.axis(1)) else { return Vec::new() };
    let mut found = Vec::new();
    let mut first = Some(0);
    for i in 0..o.inputs.len() {
        let part = Port::Input(i);
        if o.rank(part) != Some(rank) {
            return Vec::new();
        }
        found.extend((0..rank).filter(|a| *a != along).map(|a| same((part, a), (Y, a))));
        if let Some(at) = first {
            found.push(Coupling { axis: (part, along), with: (Y, along), map: Map::From(at) });
        }
        first = first.zip(o.size((part, along))).map(|(at, n)| at + n);
    }
    // Without the size of every part no position of the whole is known.
    if first.is_none() { found.into_iter().filter(|c| c.axis.1 != along).collect() } else { found }
}

fn expand(o: &Operands) -> Vec<Coupling> {
    let (Some(x), Some(y)) = (o.rank(X), o.rank(Y)) else { return Vec::new() };
    if o.constant(1).is_none() {
        return Vec::new();
    }
    let pair = |axis: usize| match (axis + x).checked_sub(y).map(|from| (X, from)) {
        Some(from) if o.size(from) != Some(1) => same(from, (Y, axis)),
        _ => same((Y, axis), (Y, axis)),
    };
    (0..y).map(pair).collect()
}

fn expanded(o: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let (mut target, y) = (o.constant(1)?.to_i64()?, o.rank(Y)?);
    for axis in 0..y {
        let (Some(at), Some(kept)) = ((axis + target.len()).checked_sub(y), kept((Y, axis))) else { continue };
        if target[at] != 1 {
            target[at] = count(&kept) as i64;
        }
    }
    Some(vec![Change::Input(1, Tensor::from_vec([target.len()], target))])
}

fn tile(o: &Operands) -> Vec<Coupling> {
    let Some(repeats) = o.constant(1).and_then(Tensor::to_i64) else { return Vec::new() };
    let once = repeats.iter().enumerate().filter(|(_, n)| **n == 1);
    once.map(|(axis, _)| same((X, axis), (Y, axis))).collect()
}

/// Only the sizes that its readers pick.
fn shape(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(y)) = (o.rank(X), o.node.output(0)) else { return Vec::new() };
    if o.node.int("start").is_some() || o.node.int("end").is_some() {
        return Vec::new();
    }
    let mut picked = vec![false; rank];
    for u in o.model.uses(y) {
        let Use::Node { node, input: 0 } = u else { return Vec::new() };
        let Some(axes) = super::select::picked(o.model, *node, rank) else { return Vec::new() };
        axes.into_iter().for_each(|axis| picked[axis] = true);
    }
    (0..rank).filter(|axis| !picked[*axis]).map(|axis| same((X, axis), (X, axis))).collect()
}
