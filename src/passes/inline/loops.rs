//! A Loop of few turns, whose number is constant, becomes its body as often.
//!
//! ```text
//! Loop(2, true, a) { i, c, v ─► f ─► v, s }  ─► y, S        a ─► f₀ ─► f₁ ─► y
//!                                                           s₀, s₁ ─► Unsqueeze(0) ─► Concat(0) ─► S
//! ```
//!
//! The condition must hold from turn to turn: constant, or handed on as it came. One that is constantly false ends the loop
//! after the first turn, before it where it is the Loop's own. Initializers of the body are shared by all turns; values of outer graphs and graphs
//! inside the body come along.
//!
//! Refuses when the number of turns is not constant or over 16, when the condition is computed, when the turns would become over
//! 1,000 nodes, and when a loop of no turn has an output that collects: its shape would be lost.

use std::collections::HashMap;

use super::copy::Copy;
use super::{hand_over, unwrapped};
use crate::error::Result;
use crate::ir::{Attr, DType, GraphEdit, GraphId, Model, NewNode, NodeId, Place, Tensor, ValueId};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("inline-loops", "write the turns of a Loop out where there are few and their number is constant", run)
        .exact();

const MOST_TURNS: i64 = 16;
const MOST_NODES: usize = 1000;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Loop"], |edit, node| {
        let Some(Attr::Graph(body)) = edit.node(node).attr("body").cloned() else { return Ok(Outcome::NoMatch) };
        match turns(edit, node, body) {
            Ok(turns) => {
                unroll(edit, node, body, turns);
                Ok(Outcome::Applied)
            }
            Err(reason) => Ok(Outcome::Refused(reason)),
        }
    })
}

/// How often the body runs.
fn turns(model: &Model, node: NodeId, body: GraphId) -> Result<i64, String> {
    let (n, graph) = (model.node(node), model.graph(body));
    let most = match n.input(0) {
        Some(v) => {
            let count = model.constant(v).and_then(Tensor::scalar_i64);
            count.ok_or_else(|| format!("{} is not constant", model.name(v)))?.max(0)
        }
        None => i64::MAX,
    };
    let start = match n.input(1) {
        Some(v) => flag(model, v).ok_or_else(|| format!("{} is not constant", model.name(v)))?,
        None => true,
    };
    let goes_on = goes_on(model, graph.inputs().get(1).copied(), graph.outputs().first().copied());
    let turns = match goes_on.ok_or("its condition is computed in the body")? {
        _ if !start => 0,
        false => most.min(1),
        true => most,
    };
    if turns > MOST_TURNS {
        return Err(match turns {
            i64::MAX => "it has no end".into(),
            _ => format!("it takes {turns} turns, more than {MOST_TURNS}"),
        });
    }
    let graphs = model.graphs_under(body);
    let nodes = graphs.iter().map(|g| model.graph(*g).nodes().len()).sum::<usize>() * turns as usize;
    if nodes > MOST_NODES {
        return Err(format!("it would become {nodes} nodes, more than {MOST_NODES}"));
    }
    let carried = n.inputs().len().saturating_sub(2);
    let fits = graph.inputs().len() == carried + 2 && graph.outputs().len() > carried;
    if !fits || n.inputs().iter().skip(2).any(Option::is_none) || graph.outputs().len() - 1 < n.outputs().len() {
        return Err("its body takes or gives another number of values than the node".into());
    }
    let collects = n.outputs().iter().skip(carried).flatten().any(|v| !model.uses(*v).is_empty());
    if turns == 0 && collects {
        return Err("without a turn the shape of what it collects is not known".into());
    }
    Ok(turns)
}

fn flag(model: &Model, value: ValueId) -> Option<bool> {
    let tensor = model.constant(value).filter(|t| t.dtype() == DType::Bool)?;
    tensor.scalar_i64().map(|v| v != 0)
}

/// Whether the loop goes on after a turn, where that is constant or the condition is handed on.
fn goes_on(model: &Model, given: Option<ValueId>, made: Option<ValueId>) -> Option<bool> {
    let value = unwrapped(model, made?)?;
    if Some(value) == given { Some(true) } else { flag(model, value) }
}

fn unroll(edit: &mut GraphEdit, node: NodeId, body: GraphId, turns: i64) {
    let (graph, label) = (edit.node(node).graph(), edit.node_label(node).to_string());
    let (inputs, outputs) = (edit.graph(body).inputs().to_vec(), edit.graph(body).outputs().to_vec());
    let mut state: Vec<Option<ValueId>> = edit.node(node).inputs().iter().skip(2).copied().collect();
    let mut collected: Vec<Vec<Option<ValueId>>> = vec![Vec::new(); outputs.len() - 1 - state.len()];

    let mut shared = Copy { prefix: label.clone(), values: HashMap::new(), given: &|_| None };
    if turns > 0 {
        shared.initializers(edit, body, graph);
    }
    for turn in 0..turns {
        let mut copy = Copy { prefix: format!("{label}/{turn}"), values: shared.values.clone(), given: &|_| None };
        let flag = Tensor::from_bytes(DType::Bool, [], vec![1u8]).ok();
        for (input, tensor) in inputs.iter().zip([Some(Tensor::scalar(turn)), flag]) {
            // A vector of one where the body says so.
            let rank = edit.tensor_type(*input).rank().unwrap_or(0);
            let tensor = tensor.and_then(|t| t.reshaped(vec![1; rank]).ok());
            if let Some(tensor) = tensor.filter(|_| !edit.uses(*input).is_empty()) {
                let name = format!("{label}/{turn}/{}", edit.name(*input));
                let value = edit.add_initializer(graph, &name, tensor);
                copy.values.insert(*input, Some(value));
            }
        }
        copy.values.extend(inputs.iter().skip(2).copied().zip(state.iter().copied()));
        copy.nodes(edit, body, Place::Before(node));
        let made: Vec<Option<ValueId>> = outputs.iter().skip(1).map(|v| copy.value(*v)).collect();
        let (next, parts) = made.split_at(state.len());
        collected.iter_mut().zip(parts).for_each(|(list, part)| list.push(*part));
        state = next.to_vec();
    }

    let carried = state.len();
    for (index, value) in state.into_iter().enumerate() {
        if let Some(value) = value {
            hand_over(edit, node, index, value);
        }
    }
    for (index, parts) in collected.into_iter().enumerate() {
        let read = edit.node(node).output(carried + index).is_some_and(|v| !edit.uses(v).is_empty());
        if read {
            let joined = join(edit, node, &label, &parts);
            hand_over(edit, node, carried + index, joined);
        }
    }
    edit.remove_node(node);
}

/// The values of all turns along a new first axis.
fn join(edit: &mut GraphEdit, node: NodeId, label: &str, parts: &[Option<ValueId>]) -> ValueId {
    let axes = (edit.onnx_opset() >= 13).then(|| {
        edit.add_initializer(edit.node(node).graph(), &format!("{label}.axes"), Tensor::from_vec([1], vec![0i64]))
    });
    let add = |edit: &mut GraphEdit, new: NewNode| {
        let added = edit.insert(Place::Before(node), new.output(label, None));
        edit.node(added).outputs()[0]
    };
    let longer: Vec<Option<ValueId>> = parts
        .iter()
        .map(|part| {
            let new = NewNode::new("Unsqueeze").name(label).inputs([*part]);
            let new = match axes {
                Some(axes) => new.input(axes),
                None => new.attr("axes", vec![0i64]),
            };
            add(edit, new)
        })
        .collect();
    let joined = match longer[..] {
        [one] => one,
        _ => add(edit, NewNode::new("Concat").name(label).inputs(longer).attr("axis", 0i64)),
    };
    joined.expect("the nodes above were made with one output")
}
