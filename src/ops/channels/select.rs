//! Operators that take parts of an axis, or resample it.
//!
//! ```text
//! Split   X[start + i] ~ Yₙ[i]        Slice   X[start + i] ~ Y[i]        their sizes and bounds follow what stays
//! ```

use super::{Change, ChannelRule, Coupling, Kept, Map, Operands, Port, X, Y, count, same};
use crate::ir::shape::axis_of;
use crate::ir::{Attr, Model, NodeId, Tensor};
use crate::ops::infer::layout::clamp;

pub const SPLIT: ChannelRule = ChannelRule::new(split, "splits it at places that are not known").resizes(split_sizes);
pub const SLICE: ChannelRule = ChannelRule::new(slice, "cuts it at places that are not known").resizes(slice_bounds);
pub const GATHER: ChannelRule = ChannelRule::new(gather, "picks positions of it");
pub const PAD: ChannelRule = ChannelRule::new(pad, "pads it");
pub const RESIZE: ChannelRule = ChannelRule::new(resize, "resamples it").resizes(resized);

fn split(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(along)) = (o.rank(X), o.axis(0)) else { return Vec::new() };
    let mut found = Vec::new();
    let mut first = 0;
    for i in 0..o.outputs.len() {
        let part = Port::Output(i);
        let Some(size) = o.size((part, along)) else { return Vec::new() };
        found.extend((0..rank).filter(|a| *a != along).map(|a| same((part, a), (X, a))));
        found.push(Coupling { axis: (part, along), with: (X, along), map: Map::From(first) });
        first += size;
    }
    found
}

fn split_sizes(o: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let along = o.axis(0)?;
    let size = |i: usize| {
        let axis = (Port::Output(i), along);
        kept(axis).map_or_else(|| o.size(axis), |kept| Some(count(&kept))).map(|n| n as i64)
    };
    let sizes = (0..o.outputs.len()).map(size).collect::<Option<Vec<i64>>>()?;
    if o.model.onnx_opset() < 13 {
        return Some(vec![Change::Attr("split", Attr::Ints(sizes))]);
    }
    Some(vec![Change::Input(1, Tensor::from_vec([sizes.len()], sizes)), Change::NoAttr("num_outputs")])
}

/// One axis of a Slice: which, its first position, its count in the result, its step.
struct Cut {
    axis: usize,
    first: usize,
    count: usize,
    step: i64,
}

fn cuts(o: &Operands) -> Option<Vec<Cut>> {
    let rank = o.rank(X)?;
    let (starts, ends) = (o.ints_of("starts", 1)??, o.ints_of("ends", 2)??);
    let axes = o.ints_of("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = o.ints_of("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let cut = |(i, axis): (usize, &i64)| {
        let axis = axis_of(*axis, rank)?;
        let (start, end, step) = (*starts.get(i)?, *ends.get(i)?, *steps.get(i)?);
        // A size that is not known: no position of it is known either, nor can one go.
        let (first, count) = o.size((X, axis)).map_or(Some((0, 0)), |n| clamp(n as i64, start, end, step))?;
        Some(Cut { axis, first: first.try_into().ok()?, count: count.try_into().ok()?, step })
    };
    axes.iter().enumerate().map(cut).collect()
}

fn slice(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(cuts)) = (o.rank(X), cuts(o)) else { return Vec::new() };
    let couple = |axis: usize| match cuts.iter().find(|c| c.axis == axis) {
        None => Some(same((Y, axis), (X, axis))),
        Some(cut) if cut.step == 1 && o.size((X, axis)).is_some() => {
            Some(Coupling { axis: (Y, axis), with: (X, axis), map: Map::From(cut.first) })
        }
        Some(_) => None,
    };
    (0..rank).filter_map(couple).collect()
}

fn slice_bounds(o: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let cuts = cuts(o)?;
    let (mut starts, mut ends) = (o.ints_of("starts", 1)??, o.ints_of("ends", 2)??);
    for (i, cut) in cuts.iter().enumerate() {
        let Some(kept) = kept((X, cut.axis)) else { continue };
        let first = count(kept.get(..cut.first)?);
        starts[i] = first as i64;
        ends[i] = (first + count(kept.get(cut.first..cut.first + cut.count)?)) as i64;
    }
    if o.node.ints("starts").is_some() {
        return Some(vec![Change::Attr("starts", Attr::Ints(starts)), Change::Attr("ends", Attr::Ints(ends))]);
    }
    let input = |ints: Vec<i64>| Tensor::from_vec([ints.len()], ints);
    let like = |at: usize, tensor: Tensor| match o.constant(at)?.dtype() {
        crate::ir::DType::I32 => {
            let narrow: Vec<i32> = tensor.to_i64()?.iter().map(|v| *v as i32).collect();
            Some(Tensor::from_vec([narrow.len()], narrow))
        }
        _ => Some(tensor),
    };
    // All four lists are of one type.
    Some(vec![Change::Input(1, like(1, input(starts))?), Change::Input(2, like(2, input(ends))?)])
}

fn gather(o: &Operands) -> Vec<Coupling> {
    let indices = Port::Input(1);
    let (Some(rank), Some(along), Some(picks)) = (o.rank(X), o.axis(0), o.rank(indices)) else { return Vec::new() };
    let data = (0..rank).filter(|a| *a != along);
    let to = |a: usize| if a < along { a } else { a + picks - 1 };
    let data = data.map(|a| same((X, a), (Y, to(a))));
    data.chain((0..picks).map(|a| same((indices, a), (Y, along + a)))).collect()
}

/// The axes of a shape of `rank` axes that a Gather or Slice of it picks; `None` where they are not known.
pub(super) fn picked(model: &Model, reader: NodeId, rank: usize) -> Option<Vec<usize>> {
    let node = model.node(reader);
    let axes = match node.op_type.as_str() {
        "Gather" if node.domain().is_empty() => model.constant_input(reader, 1)?.to_i64()?,
        "Slice" if node.domain().is_empty() => {
            let one = |name: &str, input| match node.ints(name) {
                Some([n]) => Some(*n),
                Some(_) => None,
                None => model.constant_input(reader, input)?.scalar_i64(),
            };
            let step = if node.input(4).is_some() { one("steps", 4)? } else { 1 };
            let (first, count) = clamp(rank as i64, one("starts", 1)?, one("ends", 2)?, step)?;
            (0..count).map(|i| first + i * step).collect()
        }
        _ => return None,
    };
    axes.iter().map(|a| axis_of(*a, rank)).collect()
}

fn pad(o: &Operands) -> Vec<Coupling> {
    let (Some(rank), Some(Some(pads))) = (o.rank(X), o.ints_of("pads", 1)) else { return Vec::new() };
    let axes = match o.node.input(3) {
        Some(_) => match o.constant(3).and_then(Tensor::to_i64) {
            Some(axes) => axes.iter().map(|a| axis_of(*a, rank)).collect(),
            None => None,
        },
        None => Some((0..rank).collect()),
    };
    let Some(axes): Option<Vec<usize>> = axes.filter(|a: &Vec<usize>| pads.len() == 2 * a.len()) else {
        return Vec::new();
    };
    let padded =
        |axis: usize| axes.iter().position(|a| *a == axis).is_some_and(|i| pads[i] != 0 || pads[i + axes.len()] != 0);
    (0..rank).filter(|axis| !padded(*axis)).map(|axis| same((X, axis), (Y, axis))).collect()
}

/// Where the sizes that Resize is given stand among its inputs, if it is given sizes and not scales.
const SIZES: usize = 3;

fn resize(o: &Operands) -> Vec<Coupling> {
    let Some(rank) = o.rank(X).filter(|_| o.node.ints("axes").is_none()) else { return Vec::new() };
    let constant = |i: usize| o.constant(i).and_then(|t| t.to_f32()).filter(|v| v.len() == rank);
    let scales: Option<Vec<f32>> = match o.node.attr("scales") {
        Some(Attr::Floats(scales)) => Some(scales.clone()),
        _ => [2, 1].into_iter().find_map(&constant).map(|s| s.into_owned()),
    };
    let kept = |axis: usize| match (&scales, constant(SIZES)) {
        (_, Some(_)) => o.size((X, axis)).is_some() && o.size((X, axis)) == o.size((Y, axis)),
        (Some(scales), None) => scales.get(axis) == Some(&1.0),
        (None, None) => false,
    };
    (0..rank).filter(|axis| kept(*axis)).map(|axis| same((X, axis), (Y, axis))).collect()
}

fn resized(o: &Operands, kept: &Kept) -> Option<Vec<Change>> {
    let Some(mut sizes) = o.constant(SIZES).and_then(Tensor::to_i64) else { return Some(Vec::new()) };
    for (axis, size) in sizes.iter_mut().enumerate() {
        if let Some(kept) = kept((Y, axis)) {
            *size = count(&kept) as i64;
        }
    }
    Some(vec![Change::Input(SIZES, Tensor::from_vec([sizes.len()], sizes))])
}
