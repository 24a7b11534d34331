//! A Reshape to a computed shape of which all sizes but one are known gets that shape as a constant.
//!
//! ```text
//! x ─► Shape ─► Gather(0) ─► Concat(·, [−1]) ─► s       x ─► Reshape([0, −1]) ─► y
//! x, s ─► Reshape ─► y
//! ```
//!
//! 0 stands for a size that x has in the same place, −1 for one that follows from the others. Sizes that are known
//! count as the computed ones, which saves the nodes that compute them. Where all sizes are those of x, with new ones of 1
//! in between, the Reshape becomes an Unsqueeze.
//!
//! Refuses when two sizes or more stay open, and when a 0 would stand beside a −1 that was not there: should the size
//! copied be 0, nothing would follow for the other.

use crate::analysis::{self, Values};
use crate::error::Result;
use crate::ir::{Dim, GraphEdit, Model, NodeId, Tensor};
use crate::passes::support::{set_constant, set_ints};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "constant-reshape",
    "give a Reshape whose shape is computed a constant one where a single size is open",
    run,
)
.exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let values = analysis::infer(edit);
    for_each(edit, PASS.name, &["Reshape"], |edit, node| Ok(settle(edit, node, &values)))
}

fn settle(edit: &mut GraphEdit, node: NodeId, values: &Values) -> Outcome {
    let Some(shape) = edit.node(node).input(1) else { return Outcome::NoMatch };
    if edit.constant(shape).is_some() {
        return Outcome::NoMatch;
    }
    let Some(wanted) = values.get(shape) else { return Outcome::NoMatch };
    match constant(edit, node, wanted) {
        Ok(sizes) => {
            set_constant(edit, node, 1, Tensor::from_vec([sizes.len()], sizes));
            Outcome::Applied
        }
        Err(reason) => match inserted(edit, node, wanted) {
            Some(axes) => {
                unsqueeze(edit, node, axes);
                Outcome::Applied
            }
            None => Outcome::refused(reason),
        },
    }
}

/// The shape in numbers, 0 and −1; or why there is none.
fn constant(model: &Model, node: NodeId, wanted: &[Dim]) -> Result<Vec<i64>, &'static str> {
    let n = model.node(node);
    let copies = n.int_or("allowzero", 0) == 0;
    let open = |sizes: &[Option<i64>]| sizes.iter().filter(|s| s.is_none()).count();
    let mut sizes: Vec<Option<i64>> = wanted.iter().map(Dim::number).collect();
    if sizes.iter().flatten().any(|s| *s < -1) {
        return Err("a size of its shape is below −1");
    }
    if !copies && sizes.contains(&Some(0)) {
        return Err("its shape has a size of 0");
    }
    let free = usize::from(!sizes.contains(&Some(-1)));
    if open(&sizes) > 0 && copies {
        let x = n.input(0).and_then(|x| analysis::shape_of(model, x)).ok_or("the rank of its input is not known")?;
        for (i, size) in sizes.iter_mut().enumerate() {
            if size.is_none() && x.get(i).is_some_and(|d| d.same(&wanted[i])) {
                *size = Some(0);
            }
        }
    }
    let open = open(&sizes);
    if open > free {
        return Err(if free == 1 {
            "two sizes of its shape are not known"
        } else {
            "a size of its shape is not known beside a −1"
        });
    }
    if open > 0 && sizes.contains(&Some(0)) {
        return Err("a size that is copied may be 0, and nothing would follow for the one that is not known");
    }
    Ok(sizes.into_iter().map(|s| s.unwrap_or(-1)).collect())
}

/// The axes of 1 that the shape inserts between the sizes of x, if that is all it does.
fn inserted(model: &Model, node: NodeId, wanted: &[Dim]) -> Option<Vec<i64>> {
    let n = model.node(node);
    let copies = n.int_or("allowzero", 0) == 0;
    let x = analysis::shape_of(model, n.input(0)?)?;
    let (mut axes, mut seen) = (Vec::new(), 0);
    for (i, size) in wanted.iter().enumerate() {
        let size = if copies && *size == Dim::Known(0) { x.get(i)? } else { size };
        if x.get(seen).is_some_and(|d| d.same(size)) {
            seen += 1;
        } else if *size == Dim::Known(1) {
            axes.push(i as i64);
        } else {
            return None;
        }
    }
    (seen == x.len() && !axes.is_empty()).then_some(axes)
}

fn unsqueeze(edit: &mut GraphEdit, node: NodeId, axes: Vec<i64>) {
    edit.set_op(node, "Unsqueeze", "");
    edit.remove_attr(node, "allowzero");
    set_ints(edit, node, "axes", (1, 13), axes);
}
