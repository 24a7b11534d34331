//! The pass back: from the gradients of the outputs to those of the values that are asked for.
//!
//! ```text
//!         ╭─► A ─► a ─╮
//! x ──────┤            ├─► …      dL/dx = Aᵀ·dL/da + Bᵀ·dL/db: added up over the readers, all of which come before
//!         ╰─► B ─► b ─╯
//! ```

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::ir::{Model, NodeId, ValueId};
use crate::ops;
use crate::ops::vjp::{Adjoint, Tape};

/// What is known of the gradient of a value.
#[derive(Default, Clone)]
struct Known {
    sum: Option<ValueId>,
    /// Why it is not all: a reader without a rule.
    blocked: Option<Rc<str>>,
}

/// The gradients of `wanted`, given those of values at the end; or why there is none.
pub(super) fn backward(
    tape: &Tape,
    seeds: &[(ValueId, ValueId)],
    wanted: &[ValueId],
) -> HashMap<ValueId, Result<ValueId, String>> {
    let nodes = tape.model().graph(tape.model().main()).nodes().to_vec();
    let needs = depending(&tape.model(), &nodes, wanted);
    let mut known: HashMap<ValueId, Known> = HashMap::new();
    for (value, gradient) in seeds {
        accumulate(tape, &mut known, *value, *gradient);
    }
    for id in nodes.into_iter().rev() {
        visit(tape, &mut known, &needs, id);
    }
    let told = |value: &ValueId| {
        let found = match known.get(value).cloned().unwrap_or_default() {
            Known { blocked: Some(why), .. } => Err(why.to_string()),
            Known { sum: Some(gradient), .. } => Ok(gradient),
            Known { .. } => Err("the loss does not depend on it".into()),
        };
        (*value, found)
    };
    wanted.iter().map(told).collect()
}

/// The values that depend on `wanted` through numbers that are not whole, or stand for such, themselves included.
fn depending(model: &Model, nodes: &[NodeId], wanted: &[ValueId]) -> HashSet<ValueId> {
    let mut needs: HashSet<ValueId> = wanted.iter().copied().collect();
    for id in nodes {
        if reads(model, *id).any(|v| needs.contains(&v)) {
            let rounds = ops::of(model.node(*id)).is_some_and(|op| op.rounds);
            let float = |v: ValueId| model.tensor_type(v).dtype.is_none_or(|d| d.is_float());
            needs.extend(model.node(*id).outputs().iter().flatten().filter(|v| rounds || float(**v)));
        }
    }
    needs
}

/// Inputs, and what the graphs inside read from outside.
fn reads(model: &Model, id: NodeId) -> impl Iterator<Item = ValueId> {
    let node = model.node(id);
    let captured = node.subgraphs().flat_map(|(_, g)| model.captures(g));
    node.inputs().iter().copied().flatten().chain(captured)
}

fn visit(tape: &Tape, known: &mut HashMap<ValueId, Known>, needs: &HashSet<ValueId>, id: NodeId) {
    let (outputs, inputs, read) = {
        let model = tape.model();
        let node = model.node(id);
        let read: Vec<ValueId> = reads(&model, id).filter(|v| needs.contains(v)).collect();
        (node.outputs().to_vec(), node.inputs().to_vec(), read)
    };
    let of = |v: &Option<ValueId>| v.and_then(|v| known.get(&v).cloned()).unwrap_or_default();
    let above: Vec<Known> = outputs.iter().map(of).collect();
    let mut blocked = above.iter().find_map(|k| k.blocked.clone());
    let gradients: Vec<Option<ValueId>> = above.iter().map(|k| k.sum).collect();
    if read.is_empty() || (blocked.is_none() && gradients.iter().all(Option::is_none)) {
        return;
    }
    if blocked.is_none() {
        let wanted = inputs.iter().map(|v| v.is_some_and(|v| needs.contains(&v))).collect();
        match Adjoint::run(tape, id, gradients, wanted) {
            Ok(given) => {
                let both = inputs.iter().zip(given).filter_map(|(v, g)| Some(((*v)?, g?)));
                both.for_each(|(value, gradient)| accumulate(tape, known, value, gradient));
            }
            Err(why) => blocked = Some(format!("node {}: {why}", tape.model().describe(id)).into()),
        }
    }
    if let Some(why) = blocked {
        read.into_iter().for_each(|v| known.entry(v).or_default().blocked = Some(why.clone()));
    }
}

fn accumulate(tape: &Tape, known: &mut HashMap<ValueId, Known>, value: ValueId, gradient: ValueId) {
    let entry = known.entry(value).or_default();
    let sum = entry.sum.map_or(gradient, |sum| (tape.var(sum) + tape.var(gradient)).id);
    entry.sum = Some(sum);
}
