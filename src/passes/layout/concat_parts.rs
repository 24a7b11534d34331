//! What takes one operand of a Concat out again reads the operand.
//!
//! ```text
//! a: [2, N], b: [3, N] ─► Concat(0) ─► Slice([2, 5), 0) ─► y        b ─► y
//! a, b ─► Concat(0) ─► Slice([3, 4), 0) ─► y                        b ─► Slice([1, 2), 0) ─► y
//! a, b ─► Concat(0) ─► Gather(4, 0) ─► y                            b ─► Gather(2, 0) ─► y
//! a, b ─► Concat(0) ─► Split(2, 3; 0) ─► c, d                       a ─► c, b ─► d
//! ```
//!
//! The sizes along the axis must be known up to the operand. What crosses operands, walks by steps, or takes by indices that are not one constant
//! is no match. The Concat stays for its other readers. Refuses when an operand cannot become the graph output that it would be.

use super::cuts::{Cut, cuts, set_cuts};
use crate::error::Result;
use crate::ir::shape::axis_of;
use crate::ir::{Dim, GraphEdit, Model, NodeId, ValueId};
use crate::ops::from_i64;
use crate::passes::support::{bypass, ints_of, producer_of, set_constant};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("split-concats", "let a Slice, Gather or Split of a Concat read the operands that it takes", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Slice", "Gather", "Split"], |edit, node| {
        let Some(concat) = producer_of(edit, node, 0, &["Concat"]) else { return Ok(Outcome::NoMatch) };
        let Some(parts) = Parts::of(edit, concat) else { return Ok(Outcome::NoMatch) };
        let found = match edit.node(node).op_type.as_str() {
            "Slice" => slice(edit, node, &parts),
            "Gather" => gather(edit, node, &parts),
            _ => split(edit, node, &parts),
        };
        Ok(found.unwrap_or(Outcome::NoMatch))
    })
}

/// The operands of a Concat with their sizes along its axis.
struct Parts {
    axis: usize,
    operands: Vec<(ValueId, Dim)>,
}

impl Parts {
    fn of(model: &Model, concat: NodeId) -> Option<Parts> {
        let n = model.node(concat);
        let shape = |v: ValueId| crate::analysis::shape_of(model, v);
        let operands = n.inputs().iter().copied().collect::<Option<Vec<_>>>()?;
        let rank = operands.iter().find_map(|v| shape(*v))?.len();
        let axis = axis_of(n.int_or("axis", 1), rank)?;
        let size = |v: ValueId| shape(v).and_then(|s| s.get(axis).cloned()).unwrap_or(Dim::Unknown);
        Some(Parts { axis, operands: operands.into_iter().map(|v| (v, size(v))).collect() })
    }

    fn total(&self) -> Option<i64> {
        self.operands.iter().try_fold(0i64, |sum, (_, d)| sum.checked_add(d.known()?))
    }

    /// The operand that holds the element `at`, where it begins, and its size.
    fn holding(&self, at: i64) -> Option<(ValueId, i64, Option<i64>)> {
        let mut begin = 0i64;
        for (i, (value, size)) in self.operands.iter().enumerate() {
            let size = size.known();
            if size.is_some_and(|n| at < begin.saturating_add(n)) || (size.is_none() && i + 1 == self.operands.len()) {
                return Some((*value, begin, size));
            }
            begin = begin.checked_add(size?)?;
        }
        None
    }
}

fn slice(edit: &mut GraphEdit, node: NodeId, parts: &Parts) -> Option<Outcome> {
    let all = cuts(edit, node)?;
    let cut = all.iter().find(|c| c.axis == parts.axis)?.forward(parts.total())?;
    let (operand, begin, size) = parts.holding(cut.start)?;
    let inside = match size {
        Some(n) => cut.end <= begin.checked_add(n)?,
        // The last operand, of which nothing but the end is known.
        None => cut.is_open(),
    };
    if !inside || cut.end <= cut.start {
        return None;
    }
    let whole = cut.start == begin && size.is_none_or(|n| cut.end == begin + n);
    let end = if size.is_some() { cut.end - begin } else { i64::MAX };
    let own = Cut { start: cut.start - begin, end, ..cut };
    let left: Vec<Cut> =
        all.iter().filter_map(|c| if c.axis != parts.axis { Some(*c) } else { (!whole).then_some(own) }).collect();
    if left.is_empty() {
        return Some(bypass(edit, node, operand));
    }
    edit.set_input(node, 0, Some(operand));
    set_cuts(edit, node, &left);
    Some(Outcome::Applied)
}

fn gather(edit: &mut GraphEdit, node: NodeId, parts: &Parts) -> Option<Outcome> {
    let rank = edit.tensor_type(parts.operands.first()?.0).rank()?;
    if axis_of(edit.node(node).int_or("axis", 0), rank)? != parts.axis {
        return None;
    }
    let indices = edit.constant_input(node, 1)?;
    let (dtype, shape) = (indices.dtype(), indices.shape().to_vec());
    let index = indices.scalar_i64()?;
    let at = if index < 0 { index.checked_add(parts.total()?)? } else { index };
    let (operand, begin, size) = parts.holding(at).filter(|_| at >= 0)?;
    size?;
    let index = from_i64(dtype, &shape, vec![at - begin])?;
    edit.set_input(node, 0, Some(operand));
    set_constant(edit, node, 1, index);
    Some(Outcome::Applied)
}

fn split(edit: &mut GraphEdit, node: NodeId, parts: &Parts) -> Option<Outcome> {
    let n = edit.node(node);
    let rank = edit.tensor_type(parts.operands.first()?.0).rank()?;
    if axis_of(n.int_or("axis", 0), rank)? != parts.axis || n.outputs().len() != parts.operands.len() {
        return None;
    }
    let count = i64::try_from(parts.operands.len()).ok()?;
    let sizes = match (n.ints("split"), n.input(1)) {
        (None, None) => {
            let total = parts.total().filter(|t| t % count == 0)?;
            vec![total / count; parts.operands.len()]
        }
        _ => ints_of(edit, node, "split", 1)?,
    };
    let same = sizes.len() == parts.operands.len()
        && sizes.iter().zip(&parts.operands).all(|(s, (_, d))| d.known() == Some(*s));
    if !same {
        return None;
    }
    let pairs: Vec<(ValueId, ValueId)> =
        n.outputs().iter().zip(&parts.operands).filter_map(|(y, (x, _))| Some(((*y)?, *x))).collect();
    for (i, (y, x)) in pairs.iter().enumerate() {
        if let Err(reason) = edit.can_replace_uses(*y, *x) {
            return Some(Outcome::Refused(reason));
        }
        // One operand cannot become two graph outputs.
        if edit.is_output(*y) && pairs[..i].iter().any(|(other, same)| same == x && edit.is_output(*other)) {
            return Some(Outcome::refused(format!("{} would be two graph outputs", edit.name(*x))));
        }
    }
    for (y, x) in pairs {
        if let Err(reason) = edit.replace_uses(y, x) {
            return Some(Outcome::Refused(reason));
        }
    }
    edit.remove_node(node);
    Some(Outcome::Applied)
}
