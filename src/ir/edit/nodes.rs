//! Nodes: put in, taken out, their inputs, outputs and attributes.

use super::{GraphEdit, Place};
use crate::ir::model::{GraphId, NodeId, ValueId};
use crate::ir::node::{Attr, NamedAttr, NewNode, NewOutput, Node};
use crate::ir::parts::{Origin, Use};

impl GraphEdit<'_> {
    /// Inserts a node; its outputs become new values, or take over those that have no producer.
    pub fn insert(&mut self, place: Place, new: NewNode) -> NodeId {
        let outputs = new.outputs.into_iter().map(|o| match o {
            NewOutput::Named(hint, ty) => {
                let name = self.fresh_name(&hint);
                let value = self.new_value(name, None);
                self.value_mut(value).inferred = ty;
                Some(value)
            }
            NewOutput::Existing(v) => Some(v),
            NewOutput::Absent => None,
        });
        let outputs = outputs.collect();
        let name = if new.name.is_empty() { String::new() } else { self.fresh_name(&new.name) };
        let node = Node {
            name,
            op_type: new.op_type,
            raw_domain: new.domain,
            overload: new.overload,
            inputs: new.inputs,
            outputs,
            attrs: new.attrs,
            ..Node::default()
        };
        self.insert_node(place, node)
    }

    /// Inserts a node whose values exist; its outputs must be without producer.
    pub(crate) fn insert_node(&mut self, place: Place, mut node: Node) -> NodeId {
        let id = NodeId(self.model.nodes.len() as u32);
        let (graph, at) = match place {
            Place::End(g) => (g, self.model.graph(g).nodes.len()),
            Place::Start(g) => (g, 0),
            Place::Before(n) => (self.model.node(n).graph, self.position(n)),
            Place::After(n) => (self.model.node(n).graph, self.position(n) + 1),
        };
        node.graph = graph;
        for (index, v) in node.inputs.iter().enumerate() {
            if let Some(v) = v {
                self.value_mut(*v).uses.push(Use::Node { node: id, input: index });
            }
        }
        for (index, v) in node.outputs.iter().enumerate() {
            if let Some(v) = v {
                let value = self.value_mut(*v);
                debug_assert_eq!(value.origin, Origin::Detached, "{} has a producer", value.name);
                value.origin = Origin::Node { node: id, output: index };
            }
        }
        let nested: Vec<GraphId> = node.subgraphs().map(|(_, g)| g).collect();
        self.model.nodes.push(Some(node));
        for g in nested {
            self.graph_mut(g).owner = Some(id);
        }
        self.graph_mut(graph).nodes.insert(at, id);
        id
    }

    pub(super) fn position(&self, node: NodeId) -> usize {
        let nodes = &self.model.graph(self.model.node(node).graph).nodes;
        nodes.iter().position(|n| *n == node).unwrap_or(nodes.len())
    }

    /// Removes a node with the graphs inside it. Outputs that are read stay, without producer, for
    /// [`NewNode::output_into`] or [`Self::replace_uses`]; the others go.
    pub fn remove_node(&mut self, id: NodeId) {
        let at = self.position(id);
        let Some(node) = self.model.nodes[id.index()].take() else { return };
        self.graph_mut(node.graph).nodes.remove(at);
        for v in node.inputs.iter().flatten() {
            self.value_mut(*v).uses.retain(|u| !matches!(u, Use::Node { node, .. } if *node == id));
        }
        for (_, g) in node.subgraphs() {
            self.remove_graph(g);
        }
        for v in node.outputs.iter().flatten() {
            self.value_mut(*v).origin = Origin::Detached;
            if self.model.uses(*v).is_empty() {
                self.remove_value(*v);
            }
        }
    }

    pub(super) fn remove_graph(&mut self, graph: GraphId) {
        self.clear_graph_outputs(graph);
        for node in self.model.graph(graph).nodes.clone().into_iter().rev() {
            self.remove_node(node);
        }
        let Some(g) = self.model.graphs[graph.index()].take() else { return };
        for v in g.inputs.iter().chain(&g.initializers).chain(&g.sparse_initializers) {
            self.model.values[v.index()] = None;
        }
    }

    /// Removes the nodes of a graph whose outputs nothing reads, readers before what they read; how many there were.
    pub fn remove_unread_nodes(&mut self, graph: GraphId) -> usize {
        self.remove_unread_nodes_but(graph, |_| false)
    }

    /// As [`Self::remove_unread_nodes`], without those that are to stay.
    pub fn remove_unread_nodes_but(&mut self, graph: GraphId, stays: impl Fn(&Node) -> bool) -> usize {
        let mut removed = 0;
        for id in self.graph(graph).nodes().to_vec().into_iter().rev() {
            let unread = self.node(id).outputs().iter().flatten().all(|v| self.uses(*v).is_empty());
            if unread && !stays(self.node(id)) {
                self.remove_node(id);
                removed += 1;
            }
        }
        removed
    }

    /// Sets an input, growing the list with empty ones; trailing empty ones are cut.
    pub fn set_input(&mut self, node: NodeId, index: usize, value: Option<ValueId>) {
        let inputs = &mut self.node_mut(node).inputs;
        if inputs.len() <= index {
            inputs.resize(index + 1, None);
        }
        let old = std::mem::replace(&mut inputs[index], value);
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        let at = Use::Node { node, input: index };
        if let Some(old) = old {
            self.value_mut(old).uses.retain(|u| *u != at);
        }
        if let Some(new) = value {
            self.value_mut(new).uses.push(at);
        }
    }

    /// Replaces all inputs.
    pub fn set_inputs(&mut self, node: NodeId, values: &[Option<ValueId>]) {
        for index in (0..self.model.node(node).inputs.len()).rev() {
            self.set_input(node, index, None);
        }
        for (index, v) in values.iter().enumerate() {
            self.set_input(node, index, *v);
        }
    }

    /// Takes an output away from its node; the value is without producer then.
    pub fn detach_output(&mut self, node: NodeId, index: usize) -> Option<ValueId> {
        let value = self.node_mut(node).outputs.get_mut(index)?.take()?;
        self.value_mut(value).origin = Origin::Detached;
        Some(value)
    }

    /// Leaves a node its first `count` outputs; the others go with their values, which nothing may read.
    pub fn cut_outputs(&mut self, node: NodeId, count: usize) {
        let outputs = &mut self.node_mut(node).outputs;
        let cut = outputs.split_off(count.min(outputs.len()));
        for value in cut.into_iter().flatten() {
            self.value_mut(value).origin = Origin::Detached;
            self.remove_value(value);
        }
    }

    /// Gives a node an output value that has no producer.
    pub fn attach_output(&mut self, node: NodeId, index: usize, value: ValueId) {
        let outputs = &mut self.node_mut(node).outputs;
        if outputs.len() <= index {
            outputs.resize(index + 1, None);
        }
        outputs[index] = Some(value);
        self.value_mut(value).origin = Origin::Node { node, output: index };
    }

    /// Lets the node that makes `made`, which nothing reads, make `value` instead, which has no producer.
    pub fn take_over(&mut self, made: ValueId, value: ValueId) {
        let Origin::Node { node, output } = self.model.value(made).origin else { return };
        self.detach_output(node, output);
        self.remove_value(made);
        self.attach_output(node, output, value);
    }

    /// Sets an attribute, or adds it.
    pub fn set_attr(&mut self, node: NodeId, name: &str, value: impl Into<Attr>) {
        let value = value.into();
        let attrs = &mut self.node_mut(node).attrs;
        match attrs.iter_mut().find(|a| a.name == name) {
            Some(a) => a.value = value,
            None => attrs.push(NamedAttr { name: name.to_string(), value, doc: None }),
        }
    }

    /// Removes the attribute of this name, if there is one.
    pub fn remove_attr(&mut self, node: NodeId, name: &str) {
        self.node_mut(node).attrs.retain(|a| a.name != name);
    }

    /// Makes the node another operator; inputs, outputs and attributes stay.
    pub fn set_op(&mut self, node: NodeId, op_type: &str, domain: &str) {
        let n = self.node_mut(node);
        n.op_type = op_type.to_string();
        n.raw_domain = domain.to_string();
    }
}
