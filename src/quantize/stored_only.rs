//! Integers that are only stored must not make the model slower: timed kind by kind, those that do go back to float.
//!
//! ```text
//! kind by kind:   the plan without the nodes of this operator whose weights alone are integers   ┐ interleaved, as wholes
//!                 the plan with them                                                             ┘
//! ```
//!
//! A static form has such nodes in subgraphs of which no range was observed, for tables and for recurrent layers. What they save is the
//! file, so no gain is asked of them, only that nothing is lost. Nodes that the user named are not questioned.

use std::collections::{BTreeMap, BTreeSet};

use super::filters::Filters;
use super::measure::{Measured, WHOLE};
use super::plan::{Decision, NodePlan, QuantPlan};
use super::stopwatch::Stopwatch;
use crate::error::Result;
use crate::ir::{Model, Tensor};

/// Two runs of one model differ by as much.
const LEAST: f64 = 0.98;

/// Adds to `found`, which has timed `plan` by `watch` on these inputs, the nodes whose stored integers make the model slower.
///
/// # Errors
/// What the runtime says of the float model.
pub(super) fn measure(
    model: &Model,
    plan: &QuantPlan,
    found: &mut Measured,
    (inputs, watch): (&[(String, Tensor)], &mut Stopwatch),
) -> Result<()> {
    let filters = Filters::new(&plan.options)?;
    let stored = |n: &&NodePlan| (stores(n, plan) || is_inside(model, n)) && !filters.insists(&n.node, &n.op_type);
    let nodes = found.plan(model, plan)?.nodes;
    let kinds: BTreeSet<&str> = nodes.iter().filter(stored).map(|n| n.op_type.as_str()).collect();
    for kind in kinds {
        let with = found.plan(model, plan)?;
        let nodes: BTreeSet<&str> =
            with.nodes.iter().filter(stored).filter(|n| n.op_type == kind).map(|n| n.node.as_str()).collect();
        let float = |reason: &str| -> BTreeMap<String, String> {
            nodes.iter().map(|n| (n.to_string(), reason.to_string())).collect()
        };
        let without = Measured { float: float(""), notes: Vec::new() }.plan(model, &with)?;
        let [mut slow, mut fast] = [model.clone(), model.clone()];
        super::apply(&mut slow, &with)?;
        super::apply(&mut fast, &without)?;
        let (count, name) = (nodes.len(), watch.runtime.name());
        match watch.speedups(&[&fast, &slow], inputs, &WHOLE).map(|ratios| ratios[0]) {
            Ok(ratio) if ratio >= LEAST => {
                found.notes.push(format!("the weights of {count} {kind} as integers: the model runs at {ratio:.2}x"));
            }
            Ok(ratio) => {
                let reason =
                    format!("with the weights of {count} {kind} as integers the model runs at {ratio:.2}x in {name}");
                found.float.extend(float(&reason));
            }
            Err(error) => found.float.extend(float(&format!("its integers cannot be timed: {error}"))),
        }
    }
    Ok(())
}

/// Whether a node computes in integers inside a subgraph, where it is not timed alone.
fn is_inside(model: &Model, node: &NodePlan) -> bool {
    matches!(node.decision, Decision::Quantize { .. }) && model.node(node.id).graph() != model.main()
}

/// Whether the integers of a node of a form that computes in integers are only stored.
fn stores(node: &NodePlan, plan: &QuantPlan) -> bool {
    match &node.decision {
        Decision::Quantize { input: None, .. } => plan.options.effective_format().is_static(),
        Decision::Recurrent { .. } | Decision::Table { .. } => true,
        _ => false,
    }
}
