//! Which outputs join several values: boxes and their scores, each of its own size.
//!
//! ```text
//! boxes [N,4,P] ─┐
//!                ├─► Concat(1) ─► y [N,84,P]                                      0 … 4 and 4 … 84 along axis 1
//! scores [N,80,P]┘
//! three scales of Concat(1) ─► Reshape ─► Concat(2) ─► Transpose ─► y [N,P,85]    0 … 4, 4 … 5 and 5 … 85 along axis 2
//! ```
//!
//! Where values of hundreds meet values below one, an error over all of them tells of the large ones alone.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{infer, permutation, shape_of};
use crate::ir::shape::axis_of;
use crate::ir::{Dim, GraphEdit, Model, NodeId, ValueId};

/// More parts than these are no kinds of numbers.
const MOST: usize = 8;
/// Nodes between a join and the output.
const DEEPEST: usize = 8;

/// Where the parts of an output lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Counted from the front.
    pub axis: usize,
    /// The first position behind each part.
    pub ends: Vec<usize>,
}

impl Joined {
    /// The part and the place of each run of numbers in a tensor of this shape, in the order in which they lie; none where it is another.
    pub fn runs(&self, shape: &[usize]) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (outer, inner) = match shape.get(self.axis) == self.ends.last() {
            true => (shape[..self.axis].iter().product(), shape[self.axis + 1..].iter().product::<usize>()),
            false => (0, 0),
        };
        let row = self.ends.last().map_or(0, |end| end * inner);
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let parts: Vec<(usize, Range<usize>)> =
            begins.zip(&self.ends).map(|(begin, end)| begin * inner..end * inner).enumerate().collect();
        (0..outer).flat_map(move |o| {
            parts.clone().into_iter().map(move |(p, run)| (p, o * row + run.start..o * row + run.end))
        })
    }
}

/// The outputs of a model that join several values, by name.
pub fn joined(model: &Model) -> BTreeMap<String, Joined> {
    let outputs = |m: &Model| m.graph(m.main()).outputs().to_vec();
    let may =
        |v: &ValueId| model.producer(*v).is_some_and(|n| model.node(n).is_one_of(&["Concat", "Transpose", "Reshape"]));
    if !outputs(model).iter().any(may) {
        return BTreeMap::new();
    }
    let mut model = model.clone();
    infer(&mut GraphEdit::new(&mut model));
    let found = |v: ValueId| Some((model.name(v).to_string(), parts(&model, v, DEEPEST)?));
    outputs(&model).into_iter().filter_map(found).collect()
}

fn parts(model: &Model, value: ValueId, depth: usize) -> Option<Joined> {
    let id = model.producer(value).filter(|_| depth > 0)?;
    let node = model.node(id);
    let inner = || parts(model, node.input(0)?, depth - 1);
    if node.is("Transpose") {
        let Joined { axis, ends } = inner()?;
        return Some(Joined { axis: permutation(model, id)?.iter().position(|p| *p == axis as i64)?, ends });
    }
    if node.is("Reshape") {
        let Joined { axis, ends } = inner()?;
        return Some(Joined { axis: reshaped(model, id, axis)?, ends });
    }
    if !node.is("Concat") {
        return None;
    }
    let inputs: Vec<ValueId> = node.inputs().iter().flatten().copied().collect();
    let within: Option<Vec<Joined>> = inputs.iter().map(|v| parts(model, *v, depth - 1)).collect();
    let axis = axis_of(node.int("axis")?, model.tensor_type(value).rank()?)?;
    // The same at every scale, of which there are several.
    if let Some([first, others @ ..]) = within.as_deref()
        && others.iter().all(|o| o == first)
        && first.axis != axis
    {
        return Some(first.clone());
    }
    let size = |v: &ValueId| match model.tensor_type(*v).shape?.get(axis)? {
        Dim::Known(n) => usize::try_from(*n).ok(),
        _ => None,
    };
    let sizes = inputs.iter().map(size).collect::<Option<Vec<usize>>>().filter(|s| (2..=MOST).contains(&s.len()))?;
    let end = |end: &mut usize, size: usize| {
        *end = end.checked_add(size)?;
        Some(*end)
    };
    Some(Joined { axis, ends: sizes.into_iter().scan(0, end).collect() })
}

/// Where a Reshape leaves an axis: all axes up to it, or from it on, stay.
fn reshaped(model: &Model, node: NodeId, axis: usize) -> Option<usize> {
    let (from, to) = (model.node(node).input(0)?, model.node(node).output(0)?);
    let (from, to) = (shape_of(model, from)?, shape_of(model, to)?);
    if from.get(..=axis) == to.get(..=axis) {
        return Some(axis);
    }
    let behind = from.get(axis..)?;
    let place = to.len().checked_sub(behind.len())?;
    (*behind == to[place..]).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn boxes_and_scores_are_told_apart_behind_scales_and_transposes() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]>
            g (float[1,4,6,6] b, float[1,3,6,6] s, float[1,4,3,3] b2, float[1,3,3,3] s2, float[N,2] p, float[N,2] q) =>
              (float[1,7,36] y, float[1,45,7] z, float[N,4] u, float[N,2] v)
            <int64[3] flat = {1,7,-1}, int64[3] flat2 = {1,7,9}> {
                one = Concat <axis = 1> (b, s)  y = Reshape (one, flat)
                two = Concat <axis = 1> (b2, s2)  r = Reshape (two, flat2)
                all = Concat <axis = 2> (y, r)  z = Transpose <perm = [0,2,1]> (all)
                u = Concat <axis = -1> (p, q)  v = Add (p, q) }"#;
        let found = joined(&text::parse(source).unwrap());
        let of = |axis, ends: &[usize]| Joined { axis, ends: ends.to_vec() };
        let runs: Vec<_> = of(1, &[2, 3]).runs(&[2, 3, 4]).collect();
        assert_eq!(runs, [(0, 0..8), (1, 8..12), (0, 12..20), (1, 20..24)]);
        assert_eq!(of(1, &[2, 3]).runs(&[2, 4]).count(), 0);
        let wanted = [("u", of(1, &[2, 4])), ("y", of(1, &[4, 7])), ("z", of(2, &[4, 7]))];
        assert_eq!(found, wanted.map(|(name, j)| (name.to_string(), j)).into());
    }
}
