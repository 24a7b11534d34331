//! The model: one arena of nodes, values and graphs.
//!
//! Every value of the main graph, of every subgraph and of every function lives in one arena, so a
//! subgraph that captures an outer value simply reads its [`ValueId`], and the readers of a value
//! include those inside subgraphs. Reading is free; changing goes through [`super::GraphEdit`].

use std::fmt;

use bytes::Bytes;

use super::node::{Attr, Node};
use super::parts::{Function, Graph, Meta, OpsetImport, Origin, Use, Value};
use super::shape::{TensorType, Type};
use super::tensor::Tensor;
use crate::mapped::Mapped;

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = concat!($what, " of a [`Model`]; that of another one means something else there.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub(super) u32);

        impl $name {
            /// Its place in the arena of the model, for tables by id.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
id!(NodeId, "A node");
id!(ValueId, "A value");
id!(GraphId, "A graph");

/// A model: graphs, nodes and values in one arena, and what the file says besides.
#[derive(Debug, Clone)]
pub struct Model {
    /// What the file says of itself.
    pub meta: Meta,
    pub(super) opset_imports: Vec<OpsetImport>,
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) values: Vec<Option<Value>>,
    pub(super) graphs: Vec<Option<Graph>>,
    pub(super) main: GraphId,
    pub(super) functions: Vec<Function>,
    /// Whether the file kept its weights in another one.
    pub external_data: bool,
    pub(crate) extra: Bytes,
    /// The files that weights may lie in.
    pub(crate) files: Vec<Mapped>,
}

impl Model {
    /// An empty model with the standard's operators at `opset`.
    pub fn new(opset: i64) -> Self {
        Model {
            meta: Meta { ir_version: Some(8), ..Meta::default() },
            opset_imports: vec![OpsetImport { domain: String::new(), version: opset }],
            nodes: Vec::new(),
            values: Vec::new(),
            graphs: vec![Some(Graph::default())],
            main: GraphId(0),
            functions: Vec::new(),
            external_data: false,
            extra: Bytes::new(),
            files: Vec::new(),
        }
    }

    /// Gives back the memory that weights read from the model's files take; reading them again fetches them anew.
    pub(crate) fn forget_pages(&self) {
        self.files.iter().for_each(Mapped::forget);
    }

    /// The graph that the file is about.
    pub fn main(&self) -> GraphId {
        self.main
    }

    /// # Panics
    /// On an id of another model or of a removed graph: ids are not user input.
    pub fn graph(&self, id: GraphId) -> &Graph {
        self.graphs[id.index()].as_ref().expect("a live graph: ids come from this model")
    }

    /// # Panics
    /// On an id of another model or of a removed node: ids are not user input. See [`Model::is_live`].
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.index()].as_ref().expect("a live node: ids come from this model")
    }

    /// # Panics
    /// On an id of another model or of a removed value: ids are not user input.
    pub fn value(&self, id: ValueId) -> &Value {
        self.values[id.index()].as_ref().expect("a live value: ids come from this model")
    }

    /// Whether the node is still there.
    pub fn is_live(&self, id: NodeId) -> bool {
        self.nodes.get(id.index()).is_some_and(Option::is_some)
    }

    /// Whether the value is still there.
    pub fn is_live_value(&self, id: ValueId) -> bool {
        self.values.get(id.index()).is_some_and(Option::is_some)
    }

    /// The name of a value.
    pub fn name(&self, id: ValueId) -> &str {
        &self.value(id).name
    }

    /// `"conv_7" (Conv)`, or by its first output where it has no name.
    pub fn describe(&self, id: NodeId) -> String {
        let node = self.node(id);
        format!("\"{}\" ({})", self.node_label(id), node.op_type)
    }

    /// The node's name, or that of its first output where it has none.
    pub fn node_label(&self, id: NodeId) -> &str {
        let node = self.node(id);
        if !node.name.is_empty() {
            return &node.name;
        }
        node.outputs.iter().flatten().next().map_or("", |v| self.name(*v))
    }

    /// The functions that the model defines.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The domains that it imports, with their versions.
    pub fn opset_imports(&self) -> &[OpsetImport] {
        &self.opset_imports
    }

    /// Version of a domain's operators; `""` is the standard's.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        let same = |d: &str| d == domain || (domain.is_empty() && d == "ai.onnx");
        self.opset_imports.iter().find(|o| same(&o.domain)).map(|o| o.version)
    }

    /// The standard's opset; 1 where none is imported.
    pub fn onnx_opset(&self) -> i64 {
        self.opset("").unwrap_or(1)
    }

    /// `root` and every graph nested in its nodes, outermost first, in execution order.
    pub fn graphs_under(&self, root: GraphId) -> Vec<GraphId> {
        let mut all = vec![root];
        let mut next = 0;
        while next < all.len() {
            let nested: Vec<GraphId> =
                self.graph(all[next]).nodes.iter().flat_map(|n| self.node(*n).subgraphs().map(|(_, g)| g)).collect();
            all.extend(nested);
            next += 1;
        }
        all
    }

    /// The nodes of the main graph and of every subgraph (not those of functions).
    pub fn all_nodes(&self) -> Vec<NodeId> {
        self.graphs_under(self.main).into_iter().flat_map(|g| self.graph(g).nodes.iter().copied()).collect()
    }

    /// The node that makes `value`.
    pub fn producer(&self, value: ValueId) -> Option<NodeId> {
        match self.value(value).origin {
            Origin::Node { node, .. } => Some(node),
            _ => None,
        }
    }

    /// The graph in which a value is made, or that it is an input or an initializer of; `None` where it is detached.
    pub fn home(&self, value: ValueId) -> Option<GraphId> {
        match self.value(value).origin {
            Origin::Node { node, .. } => Some(self.node(node).graph),
            Origin::Input(graph) | Origin::Initializer(graph) => Some(graph),
            Origin::Detached => None,
        }
    }

    /// Where a value is read: by nodes, in subgraphs too, and as graph outputs.
    pub fn uses(&self, value: ValueId) -> &[Use] {
        &self.value(value).uses
    }

    /// The node that is the only reader of `value`, which is not a graph output either.
    pub fn single_reader(&self, value: ValueId) -> Option<NodeId> {
        match self.uses(value) {
            [Use::Node { node, .. }] => Some(*node),
            _ => None,
        }
    }

    /// Whether it is an output of any graph.
    pub fn is_output(&self, value: ValueId) -> bool {
        self.uses(value).iter().any(|u| matches!(u, Use::Output { .. }))
    }

    /// The tensor of a value that never changes: an initializer that no input overrides, or the
    /// output of a `Constant` node that holds a tensor.
    ///
    /// An initializer that is also a graph input is only its default, except below IR version 4,
    /// which demanded that every initializer be listed as an input.
    pub fn constant(&self, value: ValueId) -> Option<&Tensor> {
        let v = self.value(value);
        match v.origin {
            Origin::Initializer(_) => v.initializer.as_ref(),
            Origin::Input(_) if self.meta.ir_version.is_some_and(|ir| ir < 4) => v.initializer.as_ref(),
            Origin::Node { node, .. } => {
                let node = self.node(node);
                if node.is("Constant") { node.tensor("value") } else { None }
            }
            _ => None,
        }
    }

    /// [`Model::constant`] of an input of a node.
    pub fn constant_input(&self, node: NodeId, index: usize) -> Option<&Tensor> {
        self.constant(self.node(node).input(index)?)
    }

    /// What is known of a value's type: from its tensor, from inference, from the file.
    pub fn tensor_type(&self, value: ValueId) -> TensorType {
        if let Some(t) = self.constant(value) {
            return TensorType::new(t.dtype(), t.shape().iter().copied());
        }
        let v = self.value(value);
        let declared = v.declared.as_ref().and_then(Type::as_tensor);
        match (&v.inferred, declared) {
            (Some(inferred), Some(declared)) => TensorType {
                dtype: inferred.dtype.or(declared.dtype),
                shape: inferred.shape.clone().or(declared.shape),
            },
            (Some(inferred), None) => inferred.clone(),
            (None, declared) => declared.unwrap_or_default(),
        }
    }

    /// Inputs of the main graph that the user feeds: those without an initializer.
    pub fn user_inputs(&self) -> Vec<ValueId> {
        self.graph(self.main).inputs.iter().copied().filter(|v| self.value(*v).initializer.is_none()).collect()
    }

    /// Operator nodes as tools count them: subgraphs included, `Constant` not.
    pub fn operator_count(&self) -> usize {
        self.all_nodes().into_iter().filter(|n| !self.node(*n).is("Constant")).count()
    }

    /// Values of outer graphs that `graph` or a graph nested in it reads.
    pub fn captures(&self, graph: GraphId) -> Vec<ValueId> {
        let graphs = self.graphs_under(graph);
        let inside = |v: &ValueId| match self.value(*v).origin {
            Origin::Node { node, .. } => graphs.contains(&self.node(node).graph),
            Origin::Input(g) | Origin::Initializer(g) => graphs.contains(&g),
            Origin::Detached => false,
        };
        let mut found = Vec::new();
        for g in &graphs {
            let graph = self.graph(*g);
            let reads = graph.nodes.iter().flat_map(|n| self.node(*n).inputs.iter().flatten());
            for v in reads.chain(&graph.outputs) {
                if !inside(v) && !found.contains(v) {
                    found.push(*v);
                }
            }
        }
        found
    }

    /// Every tensor stored in the model: initializers, and those in attributes.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let initializers = self.values.iter().flatten().filter_map(|v| v.initializer.as_ref());
        let attrs = self.nodes.iter().flatten().flat_map(|n| &n.attrs).flat_map(|a| match &a.value {
            Attr::Tensor(t) => std::slice::from_ref(t),
            Attr::Tensors(ts) => ts,
            _ => &[],
        });
        initializers.chain(attrs)
    }

    /// Bytes of [`Model::tensors`].
    pub fn weight_bytes(&self) -> usize {
        self.tensors().map(Tensor::byte_len).sum()
    }
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}
