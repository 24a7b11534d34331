//! Operators that move, select or describe values.

use super::{Context, broadcast, least, one, product};
use crate::ir::shape::axis_of;
use crate::ir::{DType, Dim, Shape, TensorType};

/// 0 copies a size of the input (unless `allowzero`), −1 stands for what is left.
pub fn reshape(c: &Context) -> Option<Vec<TensorType>> {
    let wanted: Vec<Dim> = match c.node.ints("shape") {
        Some(shape) => shape.iter().map(|n| Dim::Known(*n)).collect(),
        None => match c.value(1) {
            Some(value) => value.to_vec(),
            None => {
                let rank = c.shape(1).filter(|s| s.len() == 1)?[0].known().filter(|r| *r <= 64)?;
                return one(c.dtype(0), Some(vec![Dim::Unknown; usize::try_from(rank).ok()?]));
            }
        },
    };
    let copies = c.node.int_or("allowzero", 0) == 0;
    let x = c.shape(0);
    let at = |i: usize| x.and_then(|x| x.get(i)).cloned().unwrap_or(Dim::Unknown);
    let mut shape: Shape =
        wanted.iter().enumerate().map(|(i, d)| if copies && *d == Dim::Known(0) { at(i) } else { d.clone() }).collect();
    if let Some(rest) = shape.iter().position(|d| *d == Dim::Known(-1)) {
        let others: Vec<Dim> = shape.iter().enumerate().filter(|(i, _)| *i != rest).map(|(_, d)| d.clone()).collect();
        shape[rest] = x.map_or(Dim::Unknown, |x| quotient(x, others));
    }
    shape.iter_mut().filter(|d| matches!(d, Dim::Known(n) if *n < 0)).for_each(|d| *d = Dim::Unknown);
    one(c.dtype(0), Some(shape))
}

/// The size that is left of `x` when `others` are taken; symbols in both cancel.
fn quotient(x: &[Dim], mut others: Vec<Dim>) -> Dim {
    let mut left = x.to_vec();
    left.retain(|d| {
        let taken = others.iter().position(|o| matches!(o, Dim::Symbol(_)) && o.same(d));
        taken.map(|i| others.remove(i)).is_none()
    });
    let Dim::Known(divisor @ 1..) = product(&others) else { return Dim::Unknown };
    match product(&left) {
        Dim::Known(n) if n % divisor == 0 => Dim::Known(n / divisor),
        Dim::Symbol(s) if divisor == 1 => Dim::Symbol(s),
        // Numbers may cancel against the divisor and leave a symbol alone.
        _ => {
            let (numbers, mut names): (Vec<Dim>, Vec<Dim>) = left.into_iter().partition(|d| d.known().is_some());
            match (product(&numbers), names.len()) {
                (Dim::Known(n), 1) if n == divisor => names.remove(0),
                _ => Dim::Unknown,
            }
        }
    }
}

/// Two axes: all before `axis`, and the rest.
pub fn flatten(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let axis = c.node.int_or("axis", 1);
    let axis = if axis == x.len() as i64 { x.len() } else { axis_of(axis, x.len())? };
    one(c.dtype(0), Some(vec![product(&x[..axis]), product(&x[axis..])]))
}

pub fn transpose(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let shape: Shape = match c.node.ints("perm") {
        Some(perm) if perm.len() != x.len() => return None,
        Some(perm) => perm.iter().map(|p| x.get(usize::try_from(*p).ok()?).cloned()).collect::<Option<_>>()?,
        None => x.iter().rev().cloned().collect(),
    };
    one(c.dtype(0), Some(shape))
}

pub fn squeeze(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let gone: Vec<usize> = match c.ints_of("axes", 1)? {
        Some(axes) => axes.iter().map(|a| axis_of(*a, x.len())).collect::<Option<_>>()?,
        None => {
            let ones = |d: &Dim| d.known().map(|n| n == 1);
            let flags = x.iter().map(ones).collect::<Option<Vec<_>>>()?;
            flags.iter().enumerate().filter(|(_, one)| **one).map(|(i, _)| i).collect()
        }
    };
    let kept = x.iter().enumerate().filter(|(i, _)| !gone.contains(i));
    one(c.dtype(0), Some(kept.map(|(_, d)| d.clone()).collect()))
}

pub fn unsqueeze(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let axes = c.ints_of("axes", 1)??;
    let rank = x.len().checked_add(axes.len())?;
    let new = axes.iter().map(|a| axis_of(*a, rank)).collect::<Option<Vec<_>>>()?;
    let mut old = x.iter().cloned();
    let shape: Shape =
        (0..rank).map(|i| if new.contains(&i) { Some(Dim::Known(1)) } else { old.next() }).collect::<Option<_>>()?;
    one(c.dtype(0), Some(shape))
}

pub fn concat(c: &Context) -> Option<Vec<TensorType>> {
    let first = c.shape(0)?;
    let axis = axis_of(c.node.int_or("axis", 1), first.len())?;
    let shapes =
        (0..c.types.len()).map(|i| c.shape(i).filter(|s| s.len() == first.len())).collect::<Option<Vec<_>>>()?;
    let sum = shapes.iter().try_fold(0i64, |sum, s| sum.checked_add(s[axis].known()?));
    let size = |i: usize| match i == axis {
        true if shapes.len() == 1 => first[i].clone(),
        true => sum.map_or(Dim::Unknown, Dim::Known),
        false => shapes.iter().map(|s| &s[i]).find(|d| d.known().is_some()).unwrap_or(&first[i]).clone(),
    };
    one(c.dtype(0), Some((0..first.len()).map(size).collect()))
}

/// One cut of an axis: where it starts, where it ends (not included), and its step.
pub(super) fn cuts(c: &Context, rank: usize) -> Option<Vec<(usize, i64, i64, i64)>> {
    let starts = c.ints_of("starts", 1)??;
    let ends = c.ints_of("ends", 2)??;
    let axes = c.ints_of("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if c.has(4) { c.ints(4)? } else { vec![1; starts.len()] };
    let cut = |(i, axis): (usize, &i64)| Some((axis_of(*axis, rank)?, *starts.get(i)?, *ends.get(i)?, *steps.get(i)?));
    axes.iter().enumerate().map(cut).collect()
}

/// First index and count of a cut of an axis of `n` elements.
///
/// `None` for step 0, and walking backwards to the largest number: by the standard that is nothing, in ONNX Runtime everything.
pub(in crate::ops) fn clamp(n: i64, start: i64, end: i64, step: i64) -> Option<(i64, i64)> {
    if step < 0 && end >= i64::from(i32::MAX) {
        return None;
    }
    let from_end = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let start = from_end(start).clamp(0, high.max(0));
    // An end before the first element stays −1 when walking backwards.
    let end = from_end(end).clamp(low, high.max(low));
    let span = if step > 0 { end.checked_sub(start)? } else { start.checked_sub(end)? };
    let step = step.checked_abs().filter(|s| *s > 0)?;
    let count = if n == 0 || span <= 0 { 0 } else { (span - 1) / step + 1 };
    Some((start, count))
}

pub fn slice(c: &Context) -> Option<Vec<TensorType>> {
    let mut shape = c.shape(0)?.to_vec();
    let Some(cuts) = cuts(c, shape.len()) else {
        if let Some((axis, size)) = head(c, &shape) {
            shape[axis] = size;
            return one(c.dtype(0), Some(shape));
        }
        return one(c.dtype(0), Some(vec![Dim::Unknown; shape.len()]));
    };
    for (axis, start, end, step) in cuts {
        shape[axis] = match shape[axis].known() {
            Some(n) => Dim::Known(clamp(n, start, end, step)?.1),
            None if start == 0 && step == 1 && end >= i64::from(i32::MAX) => shape[axis].clone(),
            None => Dim::Unknown,
        };
    }
    one(c.dtype(0), Some(shape))
}

/// The first elements of one axis, as many as a size says that is not known: the axis and its new size.
fn head(c: &Context, shape: &[Dim]) -> Option<(usize, Dim)> {
    let unit = !c.has(4) || c.ints(4)? == [1];
    let ([end], [axis]) = (c.value(2)?, &c.ints(3)?[..]) else { return None };
    let axis = axis_of(*axis, shape.len())?;
    let from_start = unit && c.ints(1)? == [0];
    from_start.then(|| (axis, shape[axis].known().map_or(Dim::Unknown, |n| least(end, n))))
}

pub fn split(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let axis = axis_of(c.node.int_or("axis", 0), x.len())?;
    let count = c.node.outputs().len();
    let sizes: Vec<Dim> = match c.ints_of("split", 1) {
        Some(Some(sizes)) if sizes.len() == count => sizes.iter().map(|n| Dim::Known(*n)).collect(),
        Some(None) => match (x[axis].known(), i64::try_from(count).ok()?) {
            (Some(n), k) if k > 0 && n % k == 0 => vec![Dim::Known(n / k); count],
            _ => vec![Dim::Unknown; count],
        },
        _ => vec![Dim::Unknown; count],
    };
    let part = |size: Dim| {
        let mut shape = x.to_vec();
        shape[axis] = size;
        TensorType { dtype: c.dtype(0), shape: Some(shape) }
    };
    Some(sizes.into_iter().map(part).collect())
}

pub fn gather(c: &Context) -> Option<Vec<TensorType>> {
    let (x, indices) = (c.shape(0)?, c.shape(1)?);
    let axis = axis_of(c.node.int_or("axis", 0), x.len())?;
    one(c.dtype(0), Some([&x[..axis], indices, &x[axis + 1..]].concat()))
}

/// One element for each of the indices.
pub fn gather_elements(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(0), Some(c.shape(1)?.to_vec()))
}

/// An element or a part for each row of the indices.
pub fn gather_nd(c: &Context) -> Option<Vec<TensorType>> {
    let (x, indices) = (c.shape(0)?, c.shape(1)?);
    let (depth, rows) = indices.split_last()?;
    let taken =
        usize::try_from(c.node.int_or("batch_dims", 0)).ok()?.checked_add(usize::try_from(depth.known()?).ok()?)?;
    one(c.dtype(0), Some([rows, x.get(taken..)?].concat()))
}

/// The largest and their places.
pub fn top_k(c: &Context) -> Option<Vec<TensorType>> {
    let mut shape = c.shape(0)?.to_vec();
    let axis = axis_of(c.node.int_or("axis", -1), shape.len())?;
    shape[axis] = match (c.node.int("k"), c.value(1)) {
        (Some(k), _) => Dim::Known(k),
        (None, Some([k])) => k.clone(),
        _ => c.named("k"),
    };
    let of = |dtype| TensorType { dtype, shape: Some(shape.clone()) };
    Some(vec![of(c.dtype(0)), of(Some(DType::I64))])
}

/// Those elements, or parts along an axis, that a condition picks.
pub fn compress(c: &Context) -> Option<Vec<TensorType>> {
    let picked = c.named("picked");
    let Some(axis) = c.node.int("axis") else { return one(c.dtype(0), Some(vec![picked])) };
    let mut shape = c.shape(0)?.to_vec();
    let axis = axis_of(axis, shape.len())?;
    shape[axis] = picked;
    one(c.dtype(0), Some(shape))
}

pub fn shape(c: &Context) -> Option<Vec<TensorType>> {
    let count = c.shape(0).map(|x| super::value::bounds(c, x.len()).len());
    one(Some(DType::I64), Some(vec![count.map_or(Dim::Unknown, Dim::from)]))
}

pub fn size(_: &Context) -> Option<Vec<TensorType>> {
    one(Some(DType::I64), Some(Vec::new()))
}

pub fn pad(c: &Context) -> Option<Vec<TensorType>> {
    let mut shape = c.shape(0)?.to_vec();
    let pads = match c.ints_of("pads", 1) {
        Some(Some(pads)) => pads,
        Some(None) => c.node.ints("paddings")?.to_vec(),
        None => return one(c.dtype(0), Some(vec![Dim::Unknown; shape.len()])),
    };
    let axes = if c.has(3) { c.ints(3)? } else { (0..shape.len() as i64).collect() };
    if pads.len() != axes.len().checked_mul(2)? {
        return None;
    }
    for (i, axis) in axes.iter().enumerate() {
        let dim = &mut shape[axis_of(*axis, c.shape(0)?.len())?];
        let both = pads[i].checked_add(pads[i + axes.len()])?;
        if both != 0 {
            let size = dim.known().and_then(|n| n.checked_add(both)).filter(|n| *n >= 0);
            *dim = size.map_or(Dim::Unknown, Dim::Known);
        }
    }
    one(c.dtype(0), Some(shape))
}

/// `blocksize`² channels become a block of rows and columns.
pub fn depth_to_space(c: &Context) -> Option<Vec<TensorType>> {
    blocks(c, |channels, side, block| (channels / (block * block), side.checked_mul(block)))
}

/// A block of rows and columns becomes `blocksize`² channels.
pub fn space_to_depth(c: &Context) -> Option<Vec<TensorType>> {
    blocks(c, |channels, side, block| (channels * block * block, Some(side / block)))
}

/// Batch, and what `f` makes of channels and of either side; sizes that do not divide are left unknown.
fn blocks(c: &Context, f: fn(i64, i64, i64) -> (i64, Option<i64>)) -> Option<Vec<TensorType>> {
    const LARGEST: i64 = 1 << 20;
    let [batch, channels, height, width] = c.shape(0)? else { return None };
    let block = c.node.int("blocksize").filter(|b| (1..LARGEST).contains(b))?;
    let sized = |d: &Dim| d.known().filter(|n| (0..1 << 22).contains(n));
    let size = |n: Option<i64>| n.map_or(Dim::Unknown, Dim::Known);
    let depth = size(sized(channels).map(|n| f(n, 0, block).0));
    let side = |d: &Dim| size(sized(d).and_then(|n| f(0, n, block).1));
    one(c.dtype(0), Some(vec![batch.clone(), depth, side(height), side(width)]))
}

pub fn expand(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(0), Some(broadcast(c.shape(0)?, c.value(1)?)))
}

pub fn tile(c: &Context) -> Option<Vec<TensorType>> {
    let (x, repeats) = (c.shape(0)?, c.value(1)?);
    let times = |(d, r): (&Dim, &Dim)| if *d == Dim::Known(1) { r.clone() } else { product(&[d.clone(), r.clone()]) };
    (x.len() == repeats.len()).then(|| one(c.dtype(0), Some(x.iter().zip(repeats).map(times).collect())))?
}

pub fn constant_of_shape(c: &Context) -> Option<Vec<TensorType>> {
    let dtype = c.node.tensor("value").map_or(DType::F32, |t| t.dtype());
    let size = |d: &Dim| if matches!(d, Dim::Known(n) if *n < 0) { Dim::Unknown } else { d.clone() };
    one(Some(dtype), Some(c.value(0)?.iter().map(size).collect()))
}

/// As many as its limit says where it counts from 0 by 1; else its length is known only when it is folded.
pub fn range(c: &Context) -> Option<Vec<TensorType>> {
    let counts = c.ints(0).is_some_and(|s| s == [0]) && c.ints(2).is_some_and(|d| d == [1]);
    let limit = c.value(1).filter(|v| counts && v.len() == 1).map(|v| v[0].clone());
    let length = limit.filter(|d| matches!(d, Dim::Symbol(_)) || d.known().is_some());
    one(c.dtype(0), Some(vec![length.unwrap_or(Dim::Unknown)]))
}

/// Constant sizes, or constant scales of known sizes, rounded down; without `axes`. The product is of single precision, as in runtimes.
pub fn resize(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    // A policy may keep the aspect, and axes may be a few: those sizes are not told.
    if c.node.ints("axes").is_some() || c.node.str("keep_aspect_ratio_policy").is_some_and(|p| p != "stretch") {
        return one(c.dtype(0), Some(vec![Dim::Unknown; x.len()]));
    }
    if let Some(sizes) = c.value(3).filter(|s| s.len() == x.len()) {
        return one(c.dtype(0), Some(sizes.to_vec()));
    }
    let scales = c.node.input(2).and_then(|v| c.model.constant(v)).and_then(|t| t.to_f32());
    let scales = scales.filter(|s| s.len() == x.len())?;
    let scaled = |(d, scale): (&Dim, &f32)| match d.known() {
        _ if *scale == 1.0 => d.clone(),
        Some(n) => Dim::Known((n as f32 * scale).floor() as i64),
        None => Dim::Unknown,
    };
    one(c.dtype(0), Some(x.iter().zip(scales.iter()).map(scaled).collect()))
}

#[cfg(test)]
mod tests {
    use super::clamp;

    /// As the standard words it: starts clamped to [0, n] or, backwards, [0, n − 1]; ends to [0, n] or [−1, n − 1].
    fn walked(n: i64, start: i64, end: i64, step: i64) -> Vec<i64> {
        let from_end = |i: i64| if i < 0 { i + n } else { i };
        let (mut at, end) = match step > 0 {
            true => (from_end(start).clamp(0, n), from_end(end).clamp(0, n)),
            false => (from_end(start).clamp(0, n - 1), from_end(end).clamp(-1, n - 1)),
        };
        let mut seen = Vec::new();
        while if step > 0 { at < end } else { at > end } {
            seen.push(at);
            at += step;
        }
        seen
    }

    #[test]
    fn cuts_count_what_a_walk_meets() {
        let numbers = || -7i64..=7;
        for (n, step) in (1..6).flat_map(|n| [-7, -3, -2, -1, 1, 2, 3, 7].map(|s| (n, s))) {
            for (start, end) in numbers().flat_map(|s| numbers().map(move |e| (s, e))) {
                let (first, count) = clamp(n, start, end, step).unwrap();
                let found: Vec<i64> = (0..count).map(|i| first + i * step).collect();
                assert_eq!(found, walked(n, start, end, step), "{n} elements, {start}:{end}:{step}");
            }
        }
    }

    #[test]
    fn bounds_beyond_any_size_and_empty_axes() {
        assert_eq!(clamp(4, 0, i64::MAX, 1), Some((0, 4)));
        assert_eq!(clamp(4, -1, i64::MIN, -1), Some((3, 4)));
        assert_eq!(clamp(4, i64::MIN, i64::MAX, 1), Some((0, 4)));
        assert_eq!(clamp(0, 0, 5, 1).map(|c| c.1), Some(0));
        assert_eq!(clamp(0, -1, i64::MIN, -1).map(|c| c.1), Some(0));
        assert_eq!(clamp(4, 3, i64::MAX, -1), None);
        assert_eq!((clamp(4, 0, 4, 0), clamp(4, 0, 4, i64::MIN)), (None, None));
    }
}
