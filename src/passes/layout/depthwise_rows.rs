//! A depthwise convolution gets rows that its kernel takes in whole steps: padding and stride along them go out of it.
//!
//! ```text
//! x [N, C, H, W] ─► Conv(group = C, pads p, q and stride s along W) ─► y
//!
//! x ─► Concat(0 [N, C, H, p], x, 0 [N, C, H, q + e]) ─► Conv(no pads along W, stride 1) ─► Gather(0, s, 2s, …) or Slice(0:W_y) ─► y
//! ```
//!
//! e makes the convolution's own rows a multiple of 8 long. Every sum has the terms that it had, so that no bit changes. For tract alone
//! (0.23.9): it computes whole vectors of a row only with stride 1 and between the borders, and every other element by itself; a
//! Pad it takes back into the convolution. Its zeros are made by ConstantOfShape, which stores nothing.
//!
//! Leaves alone kernels of one column, and what neither pads nor strides. Refuses padding by `auto_pad`, short rows, a stride along a
//! width that is not known, and opsets below 10.

use crate::analysis::shape_of;
use crate::error::Result;
use crate::ir::{AutoPad, DType, Dim, GraphEdit, Model, NewNode, Node, NodeId, Place, Tensor, ValueId};
use crate::passes::support::{ints, length, made};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "widen-depthwise",
    "take padding and stride along rows out of a depthwise Conv, whose rows tract then computes in whole vectors",
    run,
)
.exact()
.targeted();

/// Elements that a kernel computes at once.
const STEP: usize = 8;
/// Shorter rows are not worth their copies.
const LEAST: usize = 4;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Conv"], |edit, node| {
        Ok(match Rows::of(edit, node) {
            Ok(Some(rows)) => rows.widen(edit, node),
            Ok(None) => Outcome::NoMatch,
            Err(reason) => Outcome::Refused(reason),
        })
    })
}

/// What a convolution does along its rows.
struct Rows {
    x: ValueId,
    /// Sizes of x before its last.
    outer: Vec<Dim>,
    /// Zeros before and after a row.
    zeros: [usize; 2],
    /// Which elements of the wide rows are those of y, where not all are: so many of every so many.
    taken: Option<(usize, usize)>,
    pads: Vec<i64>,
    strides: Vec<i64>,
}

/// How a kernel moves along rows.
struct Window {
    /// The attributes of the other axes, without padding and stride along rows.
    pads: Vec<i64>,
    strides: Vec<i64>,
    before: usize,
    after: usize,
    stride: usize,
    dilation: usize,
}

impl Window {
    /// `None` where a list is not of the length that it should be, or holds what is no size.
    fn of(n: &Node, spatial: usize) -> Option<Window> {
        let list = |name: &str, each: i64, count: usize| {
            n.ints(name).map_or(Some(vec![each; count]), |v| (v.len() == count).then(|| v.to_vec()))
        };
        let (mut pads, mut strides) = (list("pads", 0, 2 * spatial)?, list("strides", 1, spatial)?);
        let dilations = list("dilations", 1, spatial)?;
        let last = spatial - 1;
        // What stays in the lists is nothing along rows.
        let take = |list: &mut Vec<i64>, at: usize, nothing: i64| {
            length(&Dim::Known(std::mem::replace(&mut list[at], nothing)))
        };
        Some(Window {
            before: take(&mut pads, last, 0)?,
            after: take(&mut pads, spatial + last, 0)?,
            stride: take(&mut strides, last, 1)?,
            dilation: length(&Dim::Known(dilations[last]))?,
            pads,
            strides,
        })
    }
}

impl Rows {
    fn of(model: &Model, node: NodeId) -> Result<Option<Rows>, String> {
        let n = model.node(node);
        let (Some(x), Some(w)) = (n.input(0), model.constant_input(node, 1)) else { return Ok(None) };
        let kernel = w.shape();
        let channels = kernel.first().map_or(0, |c| *c as i64);
        let is_depthwise = kernel.len() > 2 && kernel[1] == 1 && channels > 1 && n.int_or("group", 1) == channels;
        if !is_depthwise || w.dtype() != DType::F32 {
            return Ok(None);
        }
        let spatial = kernel.len() - 2;
        let Some(Window { pads, strides, before, after, stride, dilation }) = Window::of(n, spatial) else {
            return Ok(None);
        };
        let columns = kernel[spatial + 1];
        if columns < 2 || stride == 0 || (before, after, stride) == (0, 0, 1) {
            return Ok(None);
        }
        if n.auto_pad() != AutoPad::Explicit {
            return Err("it pads by auto_pad".into());
        }
        if model.onnx_opset() < 10 {
            return Err("Slice by inputs needs opset 10".into());
        }
        let Some(mut outer) = shape_of(model, x).filter(|s| s.len() == kernel.len()) else { return Ok(None) };
        let width = outer.pop().as_ref().and_then(length);
        let (extra, taken) = match width {
            Some(width) => {
                let reach = (columns - 1).checked_mul(dilation);
                let full = reach.and_then(|reach| (width + before + after).checked_sub(reach));
                let Some(full) = full.filter(|full| *full > 0) else {
                    return Ok(None);
                };
                let made = (full - 1) / stride + 1;
                if made < LEAST {
                    return Err(format!("rows of {made} are too short to gain"));
                }
                let extra = full.next_multiple_of(STEP) - full;
                (extra, (extra > 0 || stride > 1).then_some((made, stride)))
            }
            None if stride > 1 => return Err("its width is not known, and it strides along it".into()),
            None => (0, None),
        };
        Ok(Some(Rows { x, outer, zeros: [before, after + extra], taken, pads, strides }))
    }

    fn widen(self, edit: &mut GraphEdit, node: NodeId) -> Outcome {
        let Some(y) = edit.node(node).output(0) else { return Outcome::NoMatch };
        let axis = self.outer.len() as i64;
        let label = edit.node_label(node).to_string();
        let [before, after] = self.zeros;
        let left = self.made_of_zeros(edit, node, before);
        let right = if after == before { left } else { self.made_of_zeros(edit, node, after) };
        if left.is_some() || right.is_some() {
            let parts = [left, Some(self.x), right].into_iter().flatten().map(Some);
            let concat = NewNode::new("Concat").name(format!("{label}_wide")).inputs(parts).attr("axis", axis);
            let wide = made(edit, Place::Before(node), concat.output(format!("{label}_wide"), None));
            edit.set_input(node, 0, wide);
        }
        edit.set_attr(node, "pads", self.pads);
        edit.set_attr(node, "strides", self.strides);
        let Some((count, stride)) = self.taken else { return Outcome::Applied };
        edit.detach_output(node, 0);
        let rows = edit.new_value_like(&format!("{label}_rows"));
        edit.attach_output(node, 0, rows);
        let mut named = |what: &str, values: Vec<i64>| ints(edit, node, &format!("{label}_{what}"), values);
        let take = if stride > 1 {
            let columns = named("columns", (0..count).map(|i| (i * stride) as i64).collect());
            NewNode::new("Gather").input(rows).input(columns).attr("axis", axis)
        } else {
            let [starts, ends, axes] =
                [("starts", 0), ("ends", count as i64), ("axes", axis)].map(|(what, v)| named(what, vec![v]));
            NewNode::new("Slice").input(rows).input(starts).input(ends).input(axes)
        };
        edit.insert(Place::After(node), take.name(format!("{label}_taken")).output_into(y));
        Outcome::Applied
    }

    /// Zeros of x's sizes but for the last, which is `count`; `None` where there are none to add.
    fn made_of_zeros(&self, edit: &mut GraphEdit, node: NodeId, count: usize) -> Option<ValueId> {
        if count == 0 {
            return None;
        }
        let label = edit.node_label(node).to_string();
        let hint = |what: &str| format!("{label}_{what}");
        let put = |edit: &mut GraphEdit, new: NewNode, what: &str| {
            made(edit, Place::Before(node), new.output(hint(what), None))
        };
        let known: Option<Vec<i64>> = self.outer.iter().map(|d| Some(length(d)? as i64)).collect();
        let shape = match known {
            Some(outer) => ints(edit, node, &hint("zeros_shape"), [outer, vec![count as i64]].concat()),
            None => {
                let shape = put(edit, NewNode::new("Shape").input(self.x), "shape")?;
                let [start, end, axis] =
                    [0, self.outer.len() as i64, 0].map(|v| ints(edit, node, &hint("outer"), vec![v]));
                let outer = NewNode::new("Slice").inputs([shape, start, end, axis].map(Some));
                let outer = put(edit, outer, "outer")?;
                let count = ints(edit, node, &hint("count"), vec![count as i64]);
                let all = NewNode::new("Concat").inputs([outer, count].map(Some)).attr("axis", 0i64);
                put(edit, all, "zeros_shape")?
            }
        };
        // What it makes where it is not said is float64 in tract.
        let zero = Tensor::from_vec([1], vec![0f32]);
        put(edit, NewNode::new("ConstantOfShape").input(shape).attr("value", zero), "zeros")
    }
}
