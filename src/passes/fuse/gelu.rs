//! Say a decomposed Gelu as Gelu.
//!
//! ```text
//! ½·x·(1 + erf(x/√2)) = Gelu(x; approximate = none)
//! ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) = Gelu(x; approximate = tanh)
//!
//! x ─► Div(√2) ─► Erf ─► Add(1) ─► Mul(x) ─► Mul(½) ─► y          x ─► Gelu ─► y
//! ```
//!
//! The products may be in any order and grouping; x³ may be Pow(x, 3) or products; x + c·x³ may be x·(1 + c·x²). Only float32, which
//! runtimes have. Raises the opset to 20, the first with Gelu.
//!
//! Refuses when a value in between has another reader or is a graph output, and when the opset cannot be raised. A number that
//! is off by more than the rounding of float32 is no match.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

use super::pattern::{Found, Pattern, fuse_from};
use super::product::{Product, factors, is_near};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, GraphId, Model, NodeId, ValueId};
use crate::passes::support::scalar;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass::new("fuse-gelu", "say x/2 times (1 + erf or tanh of x) as Gelu", run);

/// The first with Gelu.
const OPSET: i64 = 20;
/// Of x³ in the tanh form.
const CUBIC: f64 = 0.044715;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Mul", "Div"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    let y = model.node(last).output(0)?;
    factors(model, y).into_iter().find_map(|x| gelu(model, last, y, x)).map(Ok)
}

/// y as the Gelu of x.
fn gelu(model: &Model, last: NodeId, y: ValueId, x: ValueId) -> Option<Pattern> {
    let graph = model.node(last).graph();
    let product = Product::of(model, graph, y, x);
    let [gate] = product.others[..] else { return None };
    if product.power != 1 || !is_near(product.factor, 0.5) || model.tensor_type(x).dtype != Some(DType::F32) {
        return None;
    }
    let (add, bent) = one_plus(model, graph, gate)?;
    let bend = made_by(model, graph, bent, &["Erf", "Tanh"])?;
    let inside = model.node(bend).input(0)?;
    let (approximate, more) = match model.node(bend).is("Erf") {
        true => ("none", Some(Product::of(model, graph, inside, x)).filter(|p| p.is(FRAC_1_SQRT_2, 1))?.nodes),
        false => ("tanh", cubic(model, graph, inside, x)?),
    };
    let mut inner = [product.nodes, more, vec![add, bend]].concat();
    inner.sort_unstable();
    inner.dedup();
    inner.retain(|n| *n != last);
    Some(Pattern {
        inner,
        last,
        op_type: "Gelu",
        x,
        constants: vec![],
        attrs: vec![("approximate", approximate.into())],
    })
}

/// The nodes of √(2/π)·(x + 0.044715·x³), or of √(2/π)·x·(1 + 0.044715·x²).
fn cubic(model: &Model, graph: GraphId, value: ValueId, x: ValueId) -> Option<Vec<NodeId>> {
    let product = Product::of(model, graph, value, x);
    let [sum] = product.others[..] else { return None };
    if !is_near(product.factor, FRAC_2_PI.sqrt()) || product.power > 1 {
        return None;
    }
    let (add, rest) = match product.power {
        1 => one_plus(model, graph, sum)?,
        _ => {
            let add = made_by(model, graph, sum, &["Add"])?;
            let at = (0..2).find(|i| model.node(add).input(*i) == Some(x))?;
            (add, model.node(add).input(1 - at)?)
        }
    };
    let power = Product::of(model, graph, rest, x);
    power.is(CUBIC, 3 - product.power).then(|| [product.nodes, power.nodes, vec![add]].concat())
}

/// The Add that makes `value` as 1 + something, and the something.
fn one_plus(model: &Model, graph: GraphId, value: ValueId) -> Option<(NodeId, ValueId)> {
    let add = made_by(model, graph, value, &["Add"])?;
    let at = (0..2).find(|i| scalar(model, add, *i) == Some(1.0))?;
    Some((add, model.node(add).input(1 - at)?))
}

/// The node of `graph` that makes `value`, where it is one of `op_types`.
fn made_by(model: &Model, graph: GraphId, value: ValueId, op_types: &[&str]) -> Option<NodeId> {
    let node = model.producer(value)?;
    (model.node(node).graph() == graph && model.node(node).is_one_of(op_types)).then_some(node)
}
