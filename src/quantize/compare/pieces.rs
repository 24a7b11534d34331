//! The model cut at the values that become integers, so that each piece runs on its own inputs.
//!
//! ```text
//! x ─► Conv ─► y ─► HardSwish ─► z ─► Conv ─► …        y, z quantized
//!
//! x̃ ─► Conv ─► y      ỹ ─► HardSwish ─► z      z̃ ─► Conv ─► …
//! ```
//!
//! A cut value is an input twice: x̃ for those that read the integers, x for those that read the float. What a piece makes
//! of x̃ is compared with what it makes of x: an error is seen where it counts, and none is inherited.
//!
//! Two values that reach the same output get different colours: they are tried one after the other.

use std::collections::{BTreeSet, HashSet};

use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId, TensorType, Type, Use, ValueId};
use crate::quantize::plan::QuantPlan;

/// More colours than these are not worth their runs: those values share the last one.
const MOST_COLOURS: usize = 3;

/// A model whose pieces run side by side.
#[derive(Debug)]
pub struct Pieces {
    pub model: Model,
    pub cuts: Vec<Cut>,
    /// Names of its outputs: those of the model, and every cut value that is computed.
    pub outputs: Vec<String>,
    pub colours: usize,
}

/// A value at which the model is cut.
#[derive(Debug)]
pub struct Cut {
    pub name: String,
    /// The input read by what reads integers.
    pub pressed: String,
    /// The input read by what reads floats, if anything does.
    pub plain: Option<String>,
    /// Positions of the outputs that depend on `pressed`.
    pub reaches: Vec<usize>,
    pub colour: usize,
}

impl Pieces {
    /// Cuts `model` where `plan`, made for it, puts integers.
    pub fn cut(model: &Model, plan: &QuantPlan) -> Result<Pieces> {
        let mut copy = model.clone();
        let mut edit = GraphEdit::new(&mut copy);
        let main = edit.main();
        let quantized: HashSet<NodeId> = plan.nodes.iter().filter(|n| n.decision.computes()).map(|n| n.id).collect();
        let mut pressed_values = Vec::new();
        let mut cuts = Vec::new();
        for a in &plan.activations {
            let readers: Vec<(NodeId, usize)> = edit
                .uses(a.id)
                .iter()
                .filter_map(|u| match u {
                    Use::Node { node, input } => Some((*node, *input)),
                    Use::Output { .. } => None,
                })
                .collect();
            let (integers, floats): (Vec<_>, Vec<_>) =
                readers.into_iter().partition(|(n, _)| a.all_readers || quantized.contains(n));
            let pressed = input(&mut edit, &format!("{}_pressed", a.value), a.id);
            for (node, index) in integers {
                edit.set_input(node, index, Some(pressed));
            }
            let plain = (!floats.is_empty()).then(|| input(&mut edit, &format!("{}_plain", a.value), a.id));
            for (node, index) in floats {
                edit.set_input(node, index, plain);
            }
            if edit.producer(a.id).is_some() && !edit.is_output(a.id) {
                edit.add_graph_output(main, a.id);
            }
            let name = |v: ValueId| edit.name(v).to_string();
            let cut = Cut {
                name: a.value.clone(),
                pressed: name(pressed),
                plain: plain.map(name),
                reaches: vec![],
                colour: 0,
            };
            cuts.push(cut);
            pressed_values.push(pressed);
        }
        let outputs: Vec<ValueId> = copy.graph(main).outputs().to_vec();
        for (cut, v) in cuts.iter_mut().zip(pressed_values) {
            cut.reaches = reached(&copy, v, &outputs);
        }
        let colours = colour(&mut cuts, outputs.len());
        let outputs = outputs.into_iter().map(|v| copy.name(v).to_string()).collect();
        Ok(Pieces { model: copy, cuts, outputs, colours })
    }
}

/// A new input of the type of `like`.
fn input(edit: &mut GraphEdit, name: &str, like: ValueId) -> ValueId {
    let name = edit.fresh_name(name);
    let ty = TensorType { dtype: Some(DType::F32), shape: edit.tensor_type(like).shape };
    let value = edit.new_value(name, Some(Type::tensor(&ty)));
    edit.add_graph_input(edit.main(), value);
    value
}

/// Positions in `outputs` of all that is computed from `v`, in subgraphs too.
fn reached(model: &Model, v: ValueId, outputs: &[ValueId]) -> Vec<usize> {
    let mut seen: BTreeSet<ValueId> = BTreeSet::new();
    let mut waiting = vec![v];
    while let Some(v) = waiting.pop() {
        if !seen.insert(v) {
            continue;
        }
        for u in model.uses(v) {
            let made_by = match u {
                Use::Node { node, .. } => Some(*node),
                Use::Output { graph, .. } => model.graph(*graph).owner(),
            };
            waiting.extend(made_by.iter().flat_map(|n| model.node(*n).outputs().iter().flatten()));
        }
    }
    outputs.iter().enumerate().filter(|(_, o)| seen.contains(o)).map(|(i, _)| i).collect()
}

/// Gives each cut the first colour that no cut has with which it shares an output; how many there are.
fn colour(cuts: &mut [Cut], outputs: usize) -> usize {
    let mut taken: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); outputs];
    let mut most = 0;
    for cut in cuts {
        let free = |c: &usize| cut.reaches.iter().all(|o| !taken[*o].contains(c));
        cut.colour = (0..MOST_COLOURS).find(free).unwrap_or(MOST_COLOURS - 1);
        for o in &cut.reaches {
            taken[*o].insert(cut.colour);
        }
        most = most.max(cut.colour + 1);
    }
    most
}
