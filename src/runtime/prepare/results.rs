//! What a run returns: the outputs of the original, then the taps, and where the prepared graph makes them.
//!
//! Values of the main graph become graph outputs before anything is rewritten, so no rewrite can lose them. A tap
//! inside a branch becomes one when the branch has been inlined; inside a branch that is not taken, or a
//! loop, there is nothing to observe, and the tap is left out.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, Origin, Tensor, ValueId};

/// Where a result comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An output of the prepared graph.
    Output(usize),
    /// It is the input of this name itself.
    Input(String),
    /// It is known without running.
    Constant(Tensor),
}

/// Results that are placed, and taps that wait for their branch.
pub(super) struct Results {
    placed: Vec<(String, Option<Source>)>,
    /// Position in `placed`, and the values of that name inside subgraphs.
    waiting: Vec<(usize, Vec<ValueId>)>,
}

impl Results {
    /// Replaces the graph outputs by all that is wanted of the main graph, each value once.
    pub(super) fn place(edit: &mut GraphEdit, taps: &[String]) -> Result<Results> {
        let main = edit.main();
        let outputs: Vec<(String, ValueId)> =
            edit.graph(main).outputs().iter().map(|v| (edit.name(*v).to_string(), *v)).collect();
        let here: HashMap<String, ValueId> = values(edit, main).map(|v| (edit.name(v).to_string(), v)).collect();
        let inside = inside(edit, taps);
        edit.clear_graph_outputs(main);
        let mut results = Results { placed: Vec::new(), waiting: Vec::new() };
        for (name, value) in outputs {
            let source = source(edit, value);
            results.placed.push((name, Some(source)));
        }
        for tap in taps {
            let found = here.get(tap).map(|v| source(edit, *v));
            if found.is_none() {
                let values = inside.get(tap).cloned().ok_or_else(|| {
                    Error::usage(format!("value \"{tap}\" cannot be observed: the model has no value of that name"))
                })?;
                results.waiting.push((results.placed.len(), values));
            }
            results.placed.push((tap.clone(), found));
        }
        Ok(results)
    }

    /// Places the taps whose branch is part of the main graph by now, and drops the others.
    pub(super) fn finish(mut self, edit: &mut GraphEdit) -> Vec<(String, Source)> {
        let main: HashSet<ValueId> = values(edit, edit.main()).collect();
        for (index, candidates) in std::mem::take(&mut self.waiting) {
            let value = candidates.into_iter().find(|v| edit.is_live_value(*v) && main.contains(v));
            self.placed[index].1 = value.map(|v| source(edit, v));
        }
        self.placed.into_iter().filter_map(|(name, source)| Some((name, source?))).collect()
    }
}

/// What the graph has, makes and is given.
fn values(model: &Model, graph: crate::ir::GraphId) -> impl Iterator<Item = ValueId> {
    let g = model.graph(graph);
    let made = g.nodes().iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
    made.chain(g.inputs()).chain(g.initializers()).copied()
}

/// The taps that name values inside subgraphs.
fn inside(model: &Model, taps: &[String]) -> HashMap<String, Vec<ValueId>> {
    let wanted: HashSet<&str> = taps.iter().map(String::as_str).collect();
    let mut found: HashMap<String, Vec<ValueId>> = HashMap::new();
    for graph in model.graphs_under(model.main()).into_iter().skip(1) {
        for value in values(model, graph).filter(|v| wanted.contains(model.name(*v))) {
            found.entry(model.name(value).to_string()).or_default().push(value);
        }
    }
    found
}

fn source(edit: &mut GraphEdit, value: ValueId) -> Source {
    if let Some(tensor) = edit.constant(value) {
        return Source::Constant(tensor.clone());
    }
    if let Origin::Input(_) = edit.value(value).origin() {
        return Source::Input(edit.name(value).to_string());
    }
    let main = edit.main();
    let listed = edit.graph(main).outputs().iter().position(|v| *v == value);
    Source::Output(listed.unwrap_or_else(|| {
        edit.add_graph_output(main, value);
        edit.graph(main).outputs().len() - 1
    }))
}
