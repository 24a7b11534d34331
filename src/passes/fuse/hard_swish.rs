//! Say x·HardSigmoid(x) as HardSwish.
//!
//! ```text
//! x·max(0, min(1, x/6 + 1/2)) = HardSwish(x)
//!
//! x ─► HardSigmoid(α = 1/6, β = 1/2) ─► Mul(x) ─► y        x ─► HardSwish ─► y
//! ```
//!
//! Raises the opset to 14, the first with HardSwish.
//!
//! Refuses when the gate has another reader or is a graph output, and when the opset cannot be raised.

use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId};
use crate::passes::pass::for_each_from;
use crate::passes::support::{producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass { name: "fuse-hard-swish", summary: "say x times HardSigmoid(x) as HardSwish", run, exact: false };

/// The first with HardSwish.
const OPSET: i64 = 14;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let matches = |model: &Model, node| gate(model, node).is_some_and(|g| only_reader(model, g).is_ok());
    for_each_from(OPSET, edit, PASS.name, &["Mul"], matches, |edit, node| Ok(fuse(edit, node)))
}

/// The HardSigmoid that `node` multiplies its own input with.
fn gate(model: &Model, node: NodeId) -> Option<NodeId> {
    (0..2).find_map(|i| {
        let s = producer_of(model, node, i, &["HardSigmoid"])?;
        let n = model.node(s);
        let standard = n.float_or("alpha", 0.2) == 1.0 / 6.0 && n.float_or("beta", 0.5) == 0.5;
        (standard && n.input(0) == model.node(node).input(1 - i)).then_some(s)
    })
}

fn only_reader(model: &Model, gate: NodeId) -> Result<(), String> {
    let output = model.node(gate).output(0).ok_or("it has no output")?;
    read_elsewhere(model, output).map_or(Ok(()), Err)
}

fn fuse(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(gate) = gate(edit, node) else { return Outcome::NoMatch };
    if let Err(reason) = only_reader(edit, gate) {
        return Outcome::Refused(reason);
    }
    let x = edit.node(gate).input(0);
    edit.set_inputs(node, &[x]);
    edit.set_op(node, "HardSwish", "");
    edit.remove_node(gate);
    Outcome::Applied
}
