//! [`GraphEdit`]: the only way to change a graph.
//!
//! It keeps producers, readers and subgraph captures consistent, and names unique. Between the steps
//! of one edit a value may be without a producer; [`super::verify`] says so if it stays that way.

use std::collections::HashSet;
use std::ops::Deref;

use super::model::{Graph, GraphId, Model, NodeId, OpsetImport, Origin, Use, Value, ValueId};
use super::node::{Attr, NamedAttr, NewNode, NewOutput, Node};
use super::shape::{TensorType, Type};
use super::tensor::{SparseTensor, Tensor};

/// Where a node goes.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    Before(NodeId),
    After(NodeId),
    End(GraphId),
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
    pub fn new(model: &'m mut Model) -> Self {
        GraphEdit { model, names: None }
    }

    pub fn model(&self) -> &Model {
        self.model
    }

    // ------------------------------------------------------------ names

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

    pub fn rename_value(&mut self, value: ValueId, name: &str) {
        if let Some(names) = &mut self.names {
            names.insert(name.to_string());
        }
        self.value_mut(value).name = name.to_string();
    }

    pub fn rename_node(&mut self, node: NodeId, name: &str) {
        self.node_mut(node).name = name.to_string();
    }

    // ------------------------------------------------------------ values

    /// A value without origin, under exactly this name; give it one with an `add_…` or `insert`.
    pub fn new_value(&mut self, name: impl Into<String>, declared: Option<Type>) -> ValueId {
        let id = ValueId(self.model.values.len() as u32);
        let name = name.into();
        if let Some(names) = &mut self.names {
            names.insert(name.clone());
        }
        self.model.values.push(Some(Value {
            name,
            declared,
            inferred: None,
            origin: Origin::Detached,
            initializer: None,
            sparse: None,
            uses: Vec::new(),
            doc: None,
            metadata: Vec::new(),
        }));
        id
    }

    /// A value without origin, under a fresh name like `hint`.
    pub fn new_value_like(&mut self, hint: &str) -> ValueId {
        let name = self.fresh_name(hint);
        self.new_value(name, None)
    }

    pub fn set_declared(&mut self, value: ValueId, ty: Option<Type>) {
        self.value_mut(value).declared = ty;
    }

    /// What inference found; never written to the file.
    pub fn set_inferred(&mut self, value: ValueId, ty: Option<TensorType>) {
        self.value_mut(value).inferred = ty;
    }

    pub fn set_value_doc(&mut self, value: ValueId, doc: Option<String>) {
        self.value_mut(value).doc = doc;
    }

    pub fn value_metadata(&mut self, value: ValueId) -> &mut super::tensor::Props {
        &mut self.value_mut(value).metadata
    }

    /// A new initializer of about this name.
    pub fn add_initializer(&mut self, graph: GraphId, hint: &str, tensor: Tensor) -> ValueId {
        let name = self.fresh_name(hint);
        let value = self.new_value(name, None);
        self.attach_initializer(graph, value, tensor);
        value
    }

    /// Gives `value` a tensor: an initializer, or the default where it is a graph input.
    pub fn attach_initializer(&mut self, graph: GraphId, value: ValueId, tensor: Tensor) {
        self.graph_mut(graph).initializers.push(value);
        let v = self.value_mut(value);
        v.initializer = Some(tensor);
        if v.origin == Origin::Detached {
            v.origin = Origin::Initializer(graph);
        }
    }

    pub fn attach_sparse_initializer(&mut self, graph: GraphId, value: ValueId, tensor: SparseTensor) {
        self.graph_mut(graph).sparse_initializers.push(value);
        let v = self.value_mut(value);
        v.sparse = Some(tensor);
        if v.origin == Origin::Detached {
            v.origin = Origin::Initializer(graph);
        }
    }

    /// Replaces the tensor of an initializer; its readers see the new one.
    pub fn set_initializer(&mut self, value: ValueId, tensor: Tensor) {
        let v = self.value_mut(value);
        let declared = TensorType::new(tensor.dtype(), tensor.shape().iter().copied());
        if v.declared.is_some() {
            v.declared = Some(Type::tensor(&declared));
        }
        v.inferred = None;
        v.initializer = Some(tensor);
    }

    /// Stores a dense initializer as a sparse one.
    pub fn make_sparse(&mut self, value: ValueId, tensor: SparseTensor) {
        let Origin::Initializer(graph) = self.model.value(value).origin else { return };
        let g = self.graph_mut(graph);
        g.initializers.retain(|v| *v != value);
        g.sparse_initializers.push(value);
        let v = self.value_mut(value);
        v.initializer = None;
        v.sparse = Some(tensor);
    }

    /// Makes an input (with a default or not) the constant `tensor`.
    pub fn freeze_input(&mut self, graph: GraphId, value: ValueId, tensor: Tensor) {
        let g = self.graph_mut(graph);
        g.inputs.retain(|v| *v != value);
        if !g.initializers.contains(&value) {
            g.initializers.push(value);
        }
        self.value_mut(value).origin = Origin::Initializer(graph);
        self.set_initializer(value, tensor);
    }

    /// Makes an input with a default one that must be fed.
    pub fn drop_default(&mut self, graph: GraphId, value: ValueId) {
        self.graph_mut(graph).initializers.retain(|v| *v != value);
        self.value_mut(value).initializer = None;
    }

    /// Removes a value that nothing reads: an initializer or an orphan.
    pub fn remove_value(&mut self, value: ValueId) {
        debug_assert!(self.model.uses(value).is_empty(), "{} is still read", self.model.name(value));
        for g in self.model.graphs.iter_mut().flatten() {
            for list in [&mut g.initializers, &mut g.sparse_initializers, &mut g.value_info, &mut g.inputs] {
                list.retain(|v| *v != value);
            }
        }
        self.model.values[value.index()] = None;
    }

    // ------------------------------------------------------------ graphs

    /// An empty graph, to be held by an attribute of `owner` or by a function.
    pub fn add_graph(&mut self) -> GraphId {
        let id = GraphId(self.model.graphs.len() as u32);
        self.model.graphs.push(Some(Graph::default()));
        id
    }

    pub fn add_graph_input(&mut self, graph: GraphId, value: ValueId) {
        self.graph_mut(graph).inputs.push(value);
        self.value_mut(value).origin = Origin::Input(graph);
    }

    pub fn add_graph_output(&mut self, graph: GraphId, value: ValueId) {
        let index = self.model.graph(graph).outputs.len();
        self.graph_mut(graph).outputs.push(value);
        self.value_mut(value).uses.push(Use::Output { graph, index });
    }

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

    // ------------------------------------------------------------ nodes

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

    fn position(&self, node: NodeId) -> usize {
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

    fn remove_graph(&mut self, graph: GraphId) {
        self.clear_graph_outputs(graph);
        for node in self.model.graph(graph).nodes.clone().into_iter().rev() {
            self.remove_node(node);
        }
        let Some(g) = self.model.graphs[graph.index()].take() else { return };
        for v in g.inputs.iter().chain(&g.initializers).chain(&g.sparse_initializers) {
            self.model.values[v.index()] = None;
        }
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

    /// Gives a node an output value that has no producer.
    pub fn attach_output(&mut self, node: NodeId, index: usize, value: ValueId) {
        let outputs = &mut self.node_mut(node).outputs;
        if outputs.len() <= index {
            outputs.resize(index + 1, None);
        }
        outputs[index] = Some(value);
        self.value_mut(value).origin = Origin::Node { node, output: index };
    }

    pub fn set_attr(&mut self, node: NodeId, name: &str, value: impl Into<Attr>) {
        let value = value.into();
        let attrs = &mut self.node_mut(node).attrs;
        match attrs.iter_mut().find(|a| a.name == name) {
            Some(a) => a.value = value,
            None => attrs.push(NamedAttr { name: name.to_string(), value, doc: None }),
        }
    }

    pub fn remove_attr(&mut self, node: NodeId, name: &str) {
        self.node_mut(node).attrs.retain(|a| a.name != name);
    }

    /// Makes the node another operator; inputs, outputs and attributes stay.
    pub fn set_op(&mut self, node: NodeId, op_type: &str, domain: &str) {
        let n = self.node_mut(node);
        n.op_type = op_type.to_string();
        n.raw_domain = domain.to_string();
    }

    // ------------------------------------------------------------ rewiring

    /// Every node that reads `old` reads `new`; graph outputs stay.
    pub fn replace_node_uses(&mut self, old: ValueId, new: ValueId) {
        let nodes = self.model.uses(old).to_vec();
        for u in nodes {
            if let Use::Node { node, input } = u {
                self.set_input(node, input, Some(new));
            }
        }
    }

    /// Everything that reads `old` reads `new`; the names of graph outputs stay.
    ///
    /// A graph output that was `old` becomes `new` under `old`'s name, for which `new` must be made by a
    /// node of the same graph and be no output itself; else nothing changes and the reason is returned.
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) -> Result<(), String> {
        self.can_replace_uses(old, new)?;
        let outputs: Vec<_> =
            self.model.uses(old).iter().copied().filter(|u| matches!(u, Use::Output { .. })).collect();
        self.replace_node_uses(old, new);
        for u in outputs {
            if let Use::Output { graph, index } = u {
                self.set_graph_output(graph, index, new);
                self.swap_identity(old, new);
            }
        }
        Ok(())
    }

    /// Whether [`Self::replace_uses`] would, and why not.
    pub fn can_replace_uses(&self, old: ValueId, new: ValueId) -> Result<(), String> {
        let mut outputs = self.model.uses(old).iter().filter_map(|u| match u {
            Use::Output { graph, .. } => Some(*graph),
            Use::Node { .. } => None,
        });
        let Some(graph) = outputs.next() else { return Ok(()) };
        let name = self.model.name(old);
        match self.model.value(new).origin {
            _ if outputs.next().is_some() => return Err(format!("{name} is several graph outputs")),
            Origin::Node { node, .. } if self.model.node(node).graph == graph => {}
            _ => return Err(format!("the graph output {name} would have no node of its own")),
        }
        if self.model.is_output(new) {
            return Err(format!("{name} and {} are both graph outputs", self.model.name(new)));
        }
        Ok(())
    }

    /// `new` gets the name, declared type and docs of `old`, and `old` a fresh name.
    pub(crate) fn swap_identity(&mut self, old: ValueId, new: ValueId) {
        let name = self.model.name(old).to_string();
        let fresh = self.fresh_name(&name);
        let o = self.value_mut(old);
        let (declared, doc) = (o.declared.take(), o.doc.take());
        let metadata = std::mem::take(&mut o.metadata);
        o.name = fresh;
        let n = self.value_mut(new);
        (n.name, n.declared, n.doc, n.metadata) = (name, declared, doc, metadata);
        for g in self.model.graphs.iter_mut().flatten() {
            g.value_info.retain(|v| *v != old && *v != new);
        }
    }

    /// Moves the nodes, initializers and values of `graph`, which a node of `node`'s graph holds, before
    /// `node`, renaming what clashes. Returns the outputs' values; the emptied graph stays with its owner.
    pub fn inline_graph(&mut self, graph: GraphId, node: NodeId) -> Vec<ValueId> {
        let outer = self.model.node(node).graph;
        let g = self.graph_mut(graph);
        let nodes = std::mem::take(&mut g.nodes);
        let outputs = g.outputs.clone();
        let initializers = std::mem::take(&mut g.initializers);
        let sparse = std::mem::take(&mut g.sparse_initializers);
        let infos = std::mem::take(&mut g.value_info);
        self.clear_graph_outputs(graph);
        let made = nodes.iter().flat_map(|n| self.model.node(*n).outputs.iter().flatten().copied());
        let made: Vec<ValueId> = made.chain(initializers.iter().copied()).chain(sparse.iter().copied()).collect();
        for v in made {
            if self.is_name_shared(v) {
                let name = self.model.name(v).to_string();
                let fresh = self.fresh_name(&name);
                self.value_mut(v).name = fresh;
            }
        }
        for v in initializers.iter().chain(&sparse) {
            self.value_mut(*v).origin = Origin::Initializer(outer);
        }
        let at = self.position(node);
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

    fn is_name_shared(&self, value: ValueId) -> bool {
        let name = self.model.name(value);
        self.model.values.iter().flatten().filter(|v| v.name == name).count() > 1
    }

    // ------------------------------------------------------------ model

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

    pub fn remove_opset(&mut self, domain: &str) {
        self.model.opset_imports.retain(|o| o.domain != domain);
    }

    pub fn set_ir_version(&mut self, version: i64) {
        self.model.meta.ir_version = Some(version);
    }

    pub fn add_function(&mut self, function: super::model::Function) {
        self.model.functions.push(function);
    }

    /// Drops the functions of the model with their bodies: nothing may call them any more.
    pub fn remove_functions(&mut self) {
        for f in std::mem::take(&mut self.model.functions) {
            self.remove_graph(f.body);
        }
    }

    /// Puts the nodes of `graph` in an order in which every value is made before it is read, keeping
    /// the present order where it can. Returns the nodes left over by a cycle.
    pub fn sort(&mut self, graph: GraphId) -> Result<(), Vec<NodeId>> {
        let order = super::sort::execution_order(self.model, graph)?;
        self.graph_mut(graph).nodes = order;
        Ok(())
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
