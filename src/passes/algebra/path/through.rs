//! Operators with one input of data that an affine passes.
//!
//! ```text
//! Relu, LeakyRelu, PRelu, Abs                            a positive scale
//! MaxPool, GlobalMaxPool, ReduceMax                      a positive scale, and a shift
//! AveragePool                                            a scale; a shift where no zeros of the padding are counted
//! GlobalAveragePool, ReduceMean, Resize (not cubic)      both: the weights of their means sum to 1
//! ReduceSum                                              a scale
//! Pad                                                    a scale where it fills with zeros; both where it repeats what is there
//! Transpose, Reshape, Flatten, Squeeze, Unsqueeze        both; DepthToSpace, SpaceToDepth, Expand, Tile: one number
//! ```

use super::along::Along;
use crate::ir::{Model, NodeId, ValueId};
use crate::passes::fuse::pad::pads_of;
use crate::passes::support::{RESHAPES, has_side_outputs};

/// What stands on the other side of `node`: at its input for what is given at its output (`back`), or the reverse.
/// `None` where it does not pass.
pub fn through(model: &Model, node: NodeId, along: &Along, back: bool) -> Option<Along> {
    let n = model.node(node);
    let (x, y) = (n.input(0)?, n.output(0)?);
    if has_side_outputs(model, node) {
        return None;
    }
    let (from, to) = if back { (y, x) } else { (x, y) };
    if n.is("Transpose") {
        return along.transposed(model, node, back);
    }
    if n.is_one_of(RESHAPES) {
        return along.reshaped(model, from, to);
    }
    let affine = &along.affine;
    let passes = match n.op_type.as_str() {
        _ if !n.domain().is_empty() => false,
        "Relu" | "LeakyRelu" | "PRelu" | "Abs" => along.is_positive() && affine.is_scale_only(),
        "MaxPool" | "GlobalMaxPool" | "ReduceMax" => along.is_positive(),
        "AveragePool" => affine.is_scale_only() || !counts_zeros(model, node),
        "GlobalAveragePool" | "ReduceMean" => true,
        "ReduceSum" => affine.is_scale_only(),
        "Pad" => pads_alike(model, node, affine.is_scale_only()) && along.axis.is_none_or(|a| spares(model, node, a)),
        "DepthToSpace" | "SpaceToDepth" | "Expand" | "Tile" => along.axis.is_none(),
        "Resize" | "Upsample" => {
            let means = matches!(n.str("mode"), None | Some("nearest" | "linear" | "bilinear"));
            let inside = n.str("coordinate_transformation_mode") != Some("tf_crop_and_resize");
            means && inside && n.int_or("antialias", 0) == 0
        }
        _ => false,
    };
    // Batch and channels stay where they are in all but reductions; a padded axis has another size, which `onto` sees.
    let axis_stays = along.axis.is_none_or(|a| a <= 1 && !n.op_type.starts_with("Reduce"));
    let elementwise = n.is_one_of(&["Relu", "LeakyRelu", "PRelu", "Abs"]);
    if passes && (axis_stays || elementwise) { onto(model, along, from, to) } else { None }
}

/// Whether what a Pad puts around its input is scaled, or else shifted, with it: zeros, or elements of the input.
fn pads_alike(model: &Model, pad: NodeId, scale_only: bool) -> bool {
    let n = model.node(pad);
    let zero = match n.input(2) {
        Some(_) => model.constant_input(pad, 2).and_then(|t| t.to_f64()).is_some_and(|v| v == [0.0]),
        None => n.float_or("value", 0.0) == 0.0,
    };
    match n.str("mode") {
        None | Some("constant") => scale_only && zero,
        Some("edge" | "reflect" | "wrap") => true,
        Some(_) => false,
    }
}

/// Whether a Pad adds nothing to the axis, and cuts nothing off: +1 and −1 keep its size and shift it.
fn spares(model: &Model, pad: NodeId, axis: usize) -> bool {
    pads_of(model, pad).is_some_and(|(before, after)| before.get(axis) == Some(&0) && after.get(axis) == Some(&0))
}

/// Whether zeros of the padding are in the means.
fn counts_zeros(model: &Model, pool: NodeId) -> bool {
    let n = model.node(pool);
    (n.may_pad() && n.int_or("count_include_pad", 0) != 0) || n.int_or("ceil_mode", 0) != 0
}

/// The same on `to`, if its axis is the same as that of `from`.
pub fn onto(model: &Model, along: &Along, from: ValueId, to: ValueId) -> Option<Along> {
    if let Some(axis) = along.axis {
        let (from, to) = (model.tensor_type(from), model.tensor_type(to));
        let size = to.shape.as_ref()?.get(axis)?.known()?;
        if from.rank() != to.rank() || size != along.affine.scale.len() as i64 {
            return None;
        }
    }
    Some(along.clone())
}
