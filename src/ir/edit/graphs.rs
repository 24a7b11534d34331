//! Graphs: inputs, outputs, type notes, order, one moved into another.

use std::collections::{HashMap, HashSet};

use super::GraphEdit;
use crate::ir::model::{GraphId, NodeId, ValueId};
use crate::ir::parts::{Graph, Origin, Use};

impl GraphEdit<'_> {
    /// An empty graph, to be held by an attribute of `owner` or by a function.
    pub fn add_graph(&mut self) -> GraphId {
        let id = GraphId(self.model.graphs.len() as u32);
        self.model.graphs.push(Some(Graph::default()));
        id
    }

    /// Makes a value without origin the last input of the graph.
    pub fn add_graph_input(&mut self, graph: GraphId, value: ValueId) {
        self.graph_mut(graph).inputs.push(value);
        self.value_mut(value).origin = Origin::Input(graph);
    }

    /// Makes the value the last output of the graph.
    pub fn add_graph_output(&mut self, graph: GraphId, value: ValueId) {
        let index = self.model.graph(graph).outputs.len();
        self.graph_mut(graph).outputs.push(value);
        self.value_mut(value).uses.push(Use::Output { graph, index });
    }

    /// Puts `value` in place of output number `index`.
    pub fn set_graph_output(&mut self, graph: GraphId, index: usize, value: ValueId) {
        let old = std::mem::replace(&mut self.graph_mut(graph).outputs[index], value);
        let at = Use::Output { graph, index };
        self.value_mut(old).uses.retain(|u| *u != at);
        self.value_mut(value).uses.push(at);
    }

    /// Drops every output, to be added anew.
    pub fn clear_graph_outputs(&mut self, graph: GraphId) {
        for value in std::mem::take(&mut self.graph_mut(graph).outputs) {
            self.value_mut(value).uses.retain(|u| !matches!(u, Use::Output { graph: g, .. } if *g == graph));
        }
    }

    /// Leaves the graph these outputs and the nodes that they need.
    pub fn keep_outputs(&mut self, graph: GraphId, outputs: &[ValueId]) {
        self.clear_graph_outputs(graph);
        for value in outputs {
            self.add_graph_output(graph, *value);
        }
        self.remove_unread_nodes(graph);
    }

    /// Drops the inputs of the graph that nothing reads, with their defaults.
    pub fn drop_unread_inputs(&mut self, graph: GraphId) {
        for value in self.model.graph(graph).inputs.clone() {
            if self.model.uses(value).is_empty() {
                self.remove_value(value);
            }
        }
    }

    /// Lists the value in the graph's `value_info`, so that its declared type is written.
    pub fn list_value_info(&mut self, graph: GraphId, value: ValueId) {
        if !self.model.graph(graph).value_info.contains(&value) {
            self.graph_mut(graph).value_info.push(value);
        }
    }

    /// As [`Self::list_value_info`] for a value known not to be listed.
    pub(crate) fn push_value_info(&mut self, graph: GraphId, value: ValueId) {
        self.graph_mut(graph).value_info.push(value);
    }

    /// Name, docs, annotations and metadata of a graph.
    pub fn graph_meta(&mut self, graph: GraphId) -> &mut Graph {
        self.graph_mut(graph)
    }

    /// Puts the nodes of `graph` in an order in which every value is made before it is read, keeping
    /// the present order where it can. Returns the nodes left over by a cycle.
    pub fn sort(&mut self, graph: GraphId) -> Result<(), Vec<NodeId>> {
        let order = crate::ir::sort::execution_order(self.model, graph)?;
        self.graph_mut(graph).nodes = order;
        Ok(())
    }

    /// Moves the nodes, initializers and values of `graph`, which a node of `node`'s graph holds, before
    /// `node`, renaming what clashes. Returns the outputs' values; the emptied graph stays with its owner.
    pub fn inline_graph(&mut self, graph: GraphId, node: NodeId) -> Vec<ValueId> {
        let outer = self.model.node(node).graph;
        let at = self.position(node);
        self.move_contents(graph, outer, at)
    }

    /// Moves the nodes, initializers and values of `graph` to the end of `into`, renaming what clashes; its outputs come after
    /// those of `into`.
    pub fn append_graph(&mut self, graph: GraphId, into: GraphId) {
        let at = self.model.graph(into).nodes.len();
        for output in self.move_contents(graph, into, at) {
            self.add_graph_output(into, output);
        }
    }

    fn move_contents(&mut self, graph: GraphId, outer: GraphId, at: usize) -> Vec<ValueId> {
        let g = self.graph_mut(graph);
        let nodes = std::mem::take(&mut g.nodes);
        let outputs = g.outputs.clone();
        let initializers = std::mem::take(&mut g.initializers);
        let sparse = std::mem::take(&mut g.sparse_initializers);
        let infos = std::mem::take(&mut g.value_info);
        self.clear_graph_outputs(graph);
        let made = nodes.iter().flat_map(|n| self.model.node(*n).outputs.iter().flatten().copied());
        let made: Vec<ValueId> = made.chain(initializers.iter().copied()).chain(sparse.iter().copied()).collect();
        let mut clashing = self.of_shared_names(&made);
        // What graphs inside define must not hide what is in sight from now on.
        let here: HashSet<&str> = self.defined(outer).map(|v| self.model.name(v)).collect();
        let inside =
            nodes.iter().flat_map(|n| self.model.node(*n).subgraphs()).flat_map(|(_, g)| self.model.graphs_under(g));
        clashing.extend(inside.flat_map(|g| self.defined(g)).filter(|v| here.contains(self.model.name(*v))));
        for v in clashing {
            let name = self.model.name(v).to_string();
            let fresh = self.fresh_name(&name);
            self.value_mut(v).name = fresh;
        }
        for v in initializers.iter().chain(&sparse) {
            self.value_mut(*v).origin = Origin::Initializer(outer);
        }
        for n in &nodes {
            self.node_mut(*n).graph = outer;
        }
        let o = self.graph_mut(outer);
        o.nodes.splice(at..at, nodes);
        o.initializers.extend(initializers);
        o.sparse_initializers.extend(sparse);
        o.value_info.extend(infos);
        outputs
    }

    /// Inputs, initializers and what the nodes of a graph make.
    fn defined(&self, graph: GraphId) -> impl Iterator<Item = ValueId> {
        let g = self.model.graph(graph);
        let made = g.nodes.iter().flat_map(|n| self.model.node(*n).outputs.iter().flatten());
        made.chain(&g.inputs).chain(&g.initializers).chain(&g.sparse_initializers).copied()
    }

    /// Those of the values that would have to be renamed for each to be the only one of its name in the model.
    fn of_shared_names(&self, values: &[ValueId]) -> Vec<ValueId> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for v in self.model.values.iter().flatten() {
            *counts.entry(&v.name).or_default() += 1;
        }
        let is_shared = |v: &ValueId| {
            let count = counts.get_mut(self.model.name(*v)).filter(|count| **count > 1);
            count.map(|count| *count -= 1).is_some()
        };
        values.iter().copied().filter(is_shared).collect()
    }
}
