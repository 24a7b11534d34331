//! Operators that give back their input are bypassed.
//!
//! ```text
//! x ─► Identity ─► y ─► Op                x ─► Op
//! ```
//!
//! Identity; Dropout in inference; Cast to the dtype it has; Transpose in the present order; Reshape,
//! Expand, Tile, Slice, Pad, Flatten, … that keep the shape; Concat, Sum, Max, Min, Mean of one; x·1, x/1,
//! x − 0, x^1, integer x + 0 and float x + (−0.0), which are x bit for bit (x + 0.0 turns −0.0 into 0.0 and
//! stays); Where that always chooses the same. An Identity of an initializer, which exporters write to share weights, is undone
//! the same way: readers read the initializer.
//!
//! Refuses when the output is a graph output and the input is not made by a node of the same graph, or
//! is a graph output itself.

use crate::analysis::shape_of;
use crate::error::Result;
use crate::ir::{Attr, DType, Dim, GraphEdit, Model, NodeId, ValueId};
use crate::passes::support::{all_equal, bypass, has_side_outputs};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "eliminate-identity",
    "bypass operators without effect: Identity, Dropout, no-op Cast, Reshape, Pad, Mul by 1, …",
    run,
)
.exact();

/// Which input the node gives back, if it does.
type Rule = fn(&Model, NodeId) -> Option<ValueId>;

/// Operators that this pass knows.
const RULES: &[(&str, Rule)] = &[
    ("Identity", first),
    ("Dropout", dropout),
    ("Cast", cast),
    ("Transpose", transpose),
    ("Reshape", same_shape),
    ("Flatten", same_shape),
    ("Expand", same_shape),
    ("Tile", same_shape),
    ("Squeeze", same_shape),
    ("Unsqueeze", same_shape),
    ("Slice", same_shape_slice),
    ("Pad", pad),
    ("Concat", only_input),
    ("Sum", only_input),
    ("Max", only_input),
    ("Min", only_input),
    ("Mean", only_input),
    ("Mul", |m, n| neutral(m, n, 1.0, true)),
    ("Div", |m, n| neutral(m, n, 1.0, false)),
    ("Sub", |m, n| neutral(m, n, 0.0, false)),
    ("Add", |m, n| neutral(m, n, -0.0, true)),
    ("Pow", |m, n| neutral(m, n, 1.0, false)),
    ("And", |m, n| neutral(m, n, 1.0, true)),
    ("Or", |m, n| neutral(m, n, 0.0, true)),
    ("Where", choice),
];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let op_types: Vec<&str> = RULES.iter().map(|r| r.0).collect();
    for_each(edit, PASS.name, &op_types, |edit, id| {
        let Some((_, rule)) = RULES.iter().find(|r| edit.node(id).is(r.0)) else { return Ok(Outcome::NoMatch) };
        let Some(value) = rule(edit, id).filter(|_| !has_side_outputs(edit, id)) else { return Ok(Outcome::NoMatch) };
        Ok(bypass(edit, id, value))
    })
}

fn first(model: &Model, node: NodeId) -> Option<ValueId> {
    model.node(node).input(0)
}

fn only_input(model: &Model, node: NodeId) -> Option<ValueId> {
    match model.node(node).inputs() {
        [Some(v)] => Some(*v),
        _ => None,
    }
}

/// Dropout passes its input on unless told to train (an input from opset 12, `is_test` below 7).
fn dropout(model: &Model, node: NodeId) -> Option<ValueId> {
    let n = model.node(node);
    let inference = match n.input(2) {
        Some(v) => all_equal(model.constant(v)?, 0.0),
        None => model.onnx_opset() >= 7 || n.int_or("is_test", 0) != 0,
    };
    if inference { n.input(0) } else { None }
}

fn cast(model: &Model, node: NodeId) -> Option<ValueId> {
    let n = model.node(node);
    let to = match n.attr("to")? {
        Attr::Int(code) => DType::from_code(i32::try_from(*code).ok()?)?,
        _ => return None,
    };
    let x = n.input(0)?;
    (model.tensor_type(x).dtype == Some(to)).then_some(x)
}

fn transpose(model: &Model, node: NodeId) -> Option<ValueId> {
    let n = model.node(node);
    let x = n.input(0)?;
    let in_place = match n.ints("perm") {
        Some(perm) => perm.iter().enumerate().all(|(i, p)| *p == i as i64),
        None => model.tensor_type(x).rank()? <= 1,
    };
    in_place.then_some(x)
}

/// Input and output have certainly the same shape, so that moving nothing is all that can happen.
fn same_shape(model: &Model, node: NodeId) -> Option<ValueId> {
    shaped_like_output(model, node, model.node(node).input(0)?)
}

/// `value`, where the output certainly has its shape.
fn shaped_like_output(model: &Model, node: NodeId, value: ValueId) -> Option<ValueId> {
    let (a, b) = (shape_of(model, value)?, model.tensor_type(model.node(node).output(0)?).shape?);
    // The declared type of the output alone proves nothing where a name stands for an unknown size.
    let same = |(a, b): (&Dim, &Dim)| a.same(b);
    (a.len() == b.len() && a.iter().zip(&b).all(same)).then_some(value)
}

/// The condition is constant throughout, or both choices are the same value.
fn choice(model: &Model, node: NodeId) -> Option<ValueId> {
    let n = model.node(node);
    let (yes, no) = (n.input(1)?, n.input(2)?);
    let chosen = if yes == no {
        yes
    } else {
        let flags = model.constant_input(node, 0)?.to_i64()?;
        match (flags.first()?, flags.windows(2).all(|w| (w[0] != 0) == (w[1] != 0))) {
            (0, true) => no,
            (_, true) => yes,
            _ => return None,
        }
    };
    shaped_like_output(model, node, chosen)
}

/// A slice that keeps the shape keeps the elements, unless it walks backwards.
fn same_shape_slice(model: &Model, node: NodeId) -> Option<ValueId> {
    let n = model.node(node);
    let backwards = |steps: ValueId| Some(model.constant(steps)?.to_i64()?.iter().any(|s| *s < 0));
    if n.input(4).is_some_and(|steps| backwards(steps).unwrap_or(true)) {
        return None;
    }
    let whole = || {
        let starts = model.constant(n.input(1)?)?.to_i64()?;
        let ends = model.constant(n.input(2)?)?.to_i64()?;
        let unit = n.input(4).is_none_or(|s| model.constant(s).is_some_and(|s| all_equal(s, 1.0)));
        let all = unit && starts.iter().all(|s| *s == 0) && ends.iter().all(|e| *e >= i64::from(i32::MAX));
        if all { n.input(0) } else { None }
    };
    whole().or_else(|| same_shape(model, node))
}

/// A pad of nothing.
fn pad(model: &Model, node: NodeId) -> Option<ValueId> {
    let n = model.node(node);
    let none = match n.input(1) {
        Some(pads) => all_equal(model.constant(pads)?, 0.0),
        None => n.ints("pads").or_else(|| n.ints("paddings"))?.iter().all(|p| *p == 0),
    };
    if none { n.input(0) } else { None }
}

/// One operand is `value` throughout and does not broaden the other, which is the result.
pub(in crate::passes) fn neutral(model: &Model, node: NodeId, value: f64, commutes: bool) -> Option<ValueId> {
    let n = model.node(node);
    if model.onnx_opset() < 7 {
        return None;
    }
    let sides: &[(usize, usize)] = if commutes { &[(0, 1), (1, 0)] } else { &[(0, 1)] };
    sides.iter().find_map(|(kept, constant)| {
        let x = n.input(*kept)?;
        let c = model.constant_input(node, *constant)?;
        if !all_equal(c, value) || c.is_empty() {
            return None;
        }
        let x_type = model.tensor_type(x);
        // Pow takes its result's dtype from the base; for the rest both are equal.
        let narrow = c.shape().iter().all(|d| *d == 1) && (c.rank() == 0 || c.rank() <= x_type.rank()?);
        let fits = narrow || fits_within(c.shape(), x_type.shape.as_deref()?);
        fits.then_some(x)
    })
}

/// Whether a tensor of shape `c` broadcasts into `x` without making it larger.
fn fits_within(c: &[usize], x: &[Dim]) -> bool {
    c.len() <= x.len() && c.iter().rev().zip(x.iter().rev()).all(|(c, x)| *c == 1 || x.known() == Some(*c as i64))
}
