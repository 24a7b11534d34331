//! [`GraphEdit`]: the only way to change a graph.
//!
//! It keeps producers, readers and subgraph captures consistent, and names unique. Between the steps
//! of one edit a value may be without a producer; [`super::verify`] says so if it stays that way.

mod graphs;
mod nodes;
mod rewiring;
mod values;

use std::collections::HashSet;
use std::ops::Deref;

use super::model::{GraphId, Model, NodeId, ValueId};
use super::node::Node;
use super::parts::{Graph, OpsetImport, Value};

/// Where a node goes.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Right before this node.
    Before(NodeId),
    /// Right after this node.
    After(NodeId),
    /// Behind all nodes of this graph.
    End(GraphId),
    /// In front of all nodes of this graph.
    Start(GraphId),
}

/// A model open for change; reads as the [`Model`] itself.
pub struct GraphEdit<'m> {
    model: &'m mut Model,
    /// Every value and node name, built when first needed.
    names: Option<HashSet<String>>,
}

impl Deref for GraphEdit<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        self.model
    }
}

impl<'m> GraphEdit<'m> {
    /// Opens a model.
    pub fn new(model: &'m mut Model) -> Self {
        GraphEdit { model, names: None }
    }

    /// The model as it is now.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// `hint`, or `hint_1`, `hint_2`, … : the first that no value and no node has.
    pub fn fresh_name(&mut self, hint: &str) -> String {
        let model = &*self.model;
        let names = self.names.get_or_insert_with(|| {
            let values = model.values.iter().flatten().map(|v| v.name.clone());
            values.chain(model.nodes.iter().flatten().map(|n| n.name.clone())).collect()
        });
        let name = if hint.is_empty() || names.contains(hint) {
            let numbered = (1u64..).map(|i| format!("{hint}_{i}"));
            let mut free = numbered.filter(|n| !names.contains(n));
            free.next().unwrap_or_default()
        } else {
            hint.to_string()
        };
        names.insert(name.clone());
        name
    }

    /// `hint`, or `hint_`, `hint__`, … : the first with which no value's name begins.
    pub fn fresh_prefix(&self, hint: &str) -> String {
        let mut prefix = hint.to_string();
        while self.model.values.iter().flatten().any(|v| v.name.starts_with(&prefix)) {
            prefix.push('_');
        }
        prefix
    }

    /// Gives a value this name, which no other may have.
    pub fn rename_value(&mut self, value: ValueId, name: &str) {
        if let Some(names) = &mut self.names {
            names.insert(name.to_string());
        }
        self.value_mut(value).name = name.to_string();
    }

    /// Gives a value that holds other numbers from here on another name; a node that was called by the old one keeps it.
    pub fn renew_value(&mut self, value: ValueId) {
        let name = self.name(value).to_string();
        let unnamed = self.producer(value).filter(|n| self.node(*n).name.is_empty() && self.node_label(*n) == name);
        let fresh = self.fresh_name(&name);
        self.rename_value(value, &fresh);
        if let Some(node) = unnamed {
            self.rename_node(node, &name);
        }
    }

    /// Gives a node this name.
    pub fn rename_node(&mut self, node: NodeId, name: &str) {
        self.node_mut(node).name = name.to_string();
    }

    /// Puts `model` in place of the one that is edited, for going back to a state saved before; returns the other.
    pub fn replace_model(&mut self, model: Model) -> Model {
        self.names = None;
        std::mem::replace(self.model, model)
    }

    /// Imports `domain` at `version`, or changes the version it is imported at.
    pub fn set_opset(&mut self, domain: &str, version: i64) {
        let same = |d: &str| d == domain || (domain.is_empty() && d == "ai.onnx");
        match self.model.opset_imports.iter_mut().find(|o| same(&o.domain)) {
            Some(o) => o.version = version,
            None => self.model.opset_imports.push(OpsetImport { domain: domain.to_string(), version }),
        }
    }

    /// Drops the import of a domain.
    pub fn remove_opset(&mut self, domain: &str) {
        self.model.opset_imports.retain(|o| o.domain != domain);
    }

    /// Sets the version of the file format.
    pub fn set_ir_version(&mut self, version: i64) {
        self.model.meta.ir_version = Some(version);
    }

    /// Adds a function, whose body must be a graph of this model.
    pub fn add_function(&mut self, function: super::parts::Function) {
        self.model.functions.push(function);
    }

    /// Drops the functions of the model with their bodies: nothing may call them any more.
    pub fn remove_functions(&mut self) {
        for f in std::mem::take(&mut self.model.functions) {
            self.remove_graph(f.body);
        }
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.model.nodes[id.index()].as_mut().expect("a live node: ids come from this model")
    }

    pub(super) fn value_mut(&mut self, id: ValueId) -> &mut Value {
        self.model.values[id.index()].as_mut().expect("a live value: ids come from this model")
    }

    pub(super) fn graph_mut(&mut self, id: GraphId) -> &mut Graph {
        self.model.graphs[id.index()].as_mut().expect("a live graph: ids come from this model")
    }
}
