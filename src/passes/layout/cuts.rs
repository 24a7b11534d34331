//! Slices as cuts of axes.

use crate::ir::shape::axis_of;
use crate::ir::{GraphEdit, Model, NodeId, Tensor};
use crate::passes::support::{ints_of, set_constant};

/// An end from here on is that of the axis.
const END: i64 = i32::MAX as i64;

/// Elements `start`, `start + step`, … below `end` of an axis. Bounds may count from the end, which is below 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub axis: usize,
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

impl Cut {
    /// With bounds that count from the front, where the cut has step 1 and this can be told.
    pub fn forward(self, size: Option<i64>) -> Option<Cut> {
        if self.step != 1 {
            return None;
        }
        let bound = |at: i64| match size {
            Some(n) => Some((if at < 0 { at.saturating_add(n) } else { at }).clamp(0, n)),
            None => (at >= 0).then_some(at),
        };
        Some(Cut { start: bound(self.start)?, end: bound(self.end)?, ..self })
    }

    /// Whether the cut goes to the end of an axis of any size.
    pub fn is_open(self) -> bool {
        self.end >= END
    }

    /// What this cut takes of what `inner` has taken of the same axis.
    pub fn after(self, inner: Cut) -> Option<Cut> {
        if self.step != 1 || inner.step != 1 || self.start < 0 || inner.start < 0 {
            return None;
        }
        let start = inner.start.checked_add(self.start)?;
        let end = match (inner.end, self.end) {
            (end, _) if self.is_open() => end,
            (_, end) if inner.is_open() && end < 0 => end,
            (a, b) if a >= 0 && b >= 0 => a.min(inner.start.saturating_add(b)),
            _ => return None,
        };
        // What ends before it starts is empty; some runtimes want that said in order.
        let end = if end < 0 { end } else { end.max(start) };
        Some(Cut { start, end, ..inner })
    }
}

/// The cuts of a Slice whose bounds are all constant, each of its own axis.
pub fn cuts(model: &Model, slice: NodeId) -> Option<Vec<Cut>> {
    let n = model.node(slice);
    let (starts, ends) = (ints_of(model, slice, "starts", 1)?, ints_of(model, slice, "ends", 2)?);
    let axes = match (n.input(3), n.ints("axes")) {
        (None, None) => (0..starts.len() as i64).collect(),
        _ => ints_of(model, slice, "axes", 3)?,
    };
    let steps = match n.input(4) {
        Some(steps) => model.constant(steps)?.to_i64()?,
        None => vec![1; starts.len()],
    };
    let rank = model.tensor_type(n.input(0)?).rank();
    let place = |axis: i64| match rank {
        Some(rank) => axis_of(axis, rank),
        None => usize::try_from(axis).ok(),
    };
    if [ends.len(), axes.len(), steps.len()].iter().any(|n| *n != starts.len()) {
        return None;
    }
    let cut = |i: usize| Some(Cut { axis: place(axes[i])?, start: starts[i], end: ends[i], step: steps[i] });
    let mut cuts = (0..starts.len()).map(cut).collect::<Option<Vec<_>>>()?;
    cuts.sort_by_key(|c| c.axis);
    cuts.windows(2).all(|w| w[0].axis != w[1].axis).then_some(cuts)
}

/// Gives a Slice these cuts.
pub fn set_cuts(edit: &mut GraphEdit, slice: NodeId, cuts: &[Cut]) {
    let of = |what: fn(&Cut) -> i64| cuts.iter().map(what).collect::<Vec<_>>();
    let (starts, ends, axes) = (of(|c| c.start), of(|c| c.end), of(|c| c.axis as i64));
    if edit.onnx_opset() < 10 {
        edit.set_attr(slice, "starts", starts);
        edit.set_attr(slice, "ends", ends);
        edit.set_attr(slice, "axes", axes);
        return;
    }
    let steps = of(|c| c.step);
    // Without an explicit step every step is 1.
    let stepped = steps.iter().any(|s| *s != 1);
    for (input, ints) in [(1, Some(starts)), (2, Some(ends)), (3, Some(axes)), (4, stepped.then_some(steps))] {
        match ints {
            Some(ints) => set_constant(edit, slice, input, Tensor::from_vec([ints.len()], ints)),
            None => edit.set_input(slice, input, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_after_a_cut_takes_what_both_take() {
        let take = |list: &[i64], start: i64, end: i64| -> Vec<i64> {
            let n = list.len() as i64;
            let at = |i: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(0, n) as usize;
            if at(start) < at(end) { list[at(start)..at(end)].to_vec() } else { Vec::new() }
        };
        let bounds = [-3, -1, 0, 1, 2, 4, i64::MAX];
        let mut joined = 0;
        for n in 0..6 {
            let list: Vec<i64> = (0..n).collect();
            for code in 0..bounds.len().pow(4) {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| bounds[code / bounds.len().pow(i) % bounds.len()]);
                let (inner, outer) =
                    (Cut { axis: 0, start: a, end: b, step: 1 }, Cut { axis: 0, start: c, end: d, step: 1 });
                let wanted = take(&take(&list, a, b), c, d);
                for inner in [Some(inner), inner.forward(Some(n))].into_iter().flatten() {
                    let length = take(&list, a, b).len() as i64;
                    for outer in [Some(outer), outer.forward(Some(length))].into_iter().flatten() {
                        if let Some(both) = outer.after(inner) {
                            assert_eq!(take(&list, both.start, both.end), wanted, "{n}: {inner:?} {outer:?}");
                            joined += 1;
                        }
                    }
                }
            }
        }
        assert!(joined > 1000);
    }
}
