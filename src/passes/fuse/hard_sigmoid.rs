//! Decomposed hard-sigmoid becomes HardSigmoid, within hard-swish too (which `fuse-hard-swish` then completes).
//!
//! ```text
//! clip(x + a, 0, m)/m = max(0, min(1, x/m + a/m)) = HardSigmoid(x; α = 1/m, β = a/m)
//!
//! x ─► Add(a) ─► Clip(0, m) ─► Div(m) ─► y                      x ─► HardSigmoid ─► y
//! x ─► Add(a) ─► Clip(0, m) ─► Mul(x) ─► Div(m) ─► y            x ─► HardSigmoid ─► Mul(x) ─► y
//! ```
//!
//! Mul(1/m) is read as Div(m), and x·(clip/m) as (x·clip)/m.
//!
//! Refuses when a value in between has another reader or is a graph output.

use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NewNode, NodeId, Place, ValueId};
use crate::passes::support::{clip_bounds, producer_of, read_elsewhere, scalar};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new("fuse-hard-sigmoid", "say clip(x + a, 0, m)/m as HardSigmoid", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Div", "Mul"], |edit, node| Ok(hard_sigmoid(edit, node)))
}

/// x and a of Clip(x + a, 0, m), the constant a being one number.
struct Gate {
    x: ValueId,
    a: f32,
    m: f32,
    add: NodeId,
    clip: NodeId,
}

fn gate(model: &Model, clip: NodeId) -> Option<Gate> {
    let (low, m) = clip_bounds(model, clip)?;
    if low != 0.0 || m <= 0.0 || !m.is_finite() {
        return None;
    }
    let add = producer_of(model, clip, 0, &["Add"])?;
    (0..2).find_map(|i| {
        // Runtimes have HardSigmoid for float only.
        let single = model.constant_input(add, 1 - i)?.dtype() == DType::F32;
        let a = scalar(model, add, 1 - i).filter(|_| single)?;
        let x = model.node(add).input(i)?;
        (model.constant(x).is_none()).then_some(Gate { x, a, m, add, clip })
    })
}

/// Div(m) or Mul(1/m) of which value, and m.
fn divided(model: &Model, node: NodeId) -> Option<(usize, f32)> {
    if model.node(node).is("Div") {
        return Some((0, scalar(model, node, 1)?));
    }
    (0..2).find_map(|i| Some((i, 1.0 / scalar(model, node, 1 - i)?)))
}

fn hard_sigmoid(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some((data, m)) = divided(edit, node) else { return Outcome::NoMatch };
    // Infinite where it is a Mul by 0.
    let near = |g: &Gate| m.is_finite() && (g.m - m).abs() <= 2.0 * f32::EPSILON * m;
    // clip/m, or (x·clip)/m
    let product = producer_of(edit, node, data, &["Mul"]);
    let clip = match product {
        None => producer_of(edit, node, data, &["Clip"]),
        Some(p) => (0..2).find_map(|i| producer_of(edit, p, i, &["Clip"])),
    };
    let Some(gate) = clip.and_then(|c| gate(edit, c)).filter(near) else { return Outcome::NoMatch };
    let clipped = edit.node(gate.clip).output(0);
    if let Some(p) = product {
        let factors = edit.node(p).inputs();
        if !(factors.contains(&Some(gate.x)) && factors.contains(&clipped)) {
            return Outcome::NoMatch;
        }
    }
    let between = [Some(gate.add), Some(gate.clip), product];
    let values = between.iter().flatten().filter_map(|n| edit.node(*n).output(0));
    if let Some(reason) = values.filter_map(|v| read_elsewhere(edit, v)).next() {
        return Outcome::Refused(reason);
    }
    let Some(y) = edit.node(node).output(0) else { return Outcome::NoMatch };
    let sigmoid = NewNode::new("HardSigmoid")
        .name(edit.node(gate.clip).name.clone())
        .input(gate.x)
        .attr("alpha", 1.0 / gate.m)
        .attr("beta", gate.a / gate.m);
    match (product, clipped) {
        (Some(p), Some(clipped)) => {
            let sigmoid = sigmoid.output(edit.name(clipped).to_string(), None);
            let sigmoid = edit.insert(Place::Before(node), sigmoid);
            let gated = edit.node(sigmoid).output(0);
            edit.set_inputs(node, &[Some(gate.x), gated]);
            edit.set_op(node, "Mul", "");
            edit.remove_node(p);
        }
        _ => {
            edit.detach_output(node, 0);
            edit.insert(Place::Before(node), sigmoid.output_into(y));
            edit.remove_node(node);
        }
    }
    edit.remove_node(gate.clip);
    edit.remove_node(gate.add);
    Outcome::Applied
}
