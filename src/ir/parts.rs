//! What the arena of a [`Model`](super::Model) holds besides nodes: values and graphs, and what a file says besides them.

use bytes::Bytes;

use super::model::{GraphId, NodeId, ValueId};
use super::shape::{TensorType, Type};
use super::tensor::{Props, SparseTensor, Tensor};

/// Where a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Node { node: NodeId, input: usize },
    Output { graph: GraphId, index: usize },
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Output `output` of `node`.
    Node { node: NodeId, output: usize },
    /// An input of the graph (perhaps with an initializer as its default).
    Input(GraphId),
    /// An initializer of the graph.
    Initializer(GraphId),
    /// Nothing: only between the steps of an edit.
    Detached,
}

#[derive(Debug, Clone)]
pub struct Value {
    pub(super) name: String,
    /// What the file says of it.
    pub(super) declared: Option<Type>,
    /// What shape inference found; not written to the file.
    pub(super) inferred: Option<TensorType>,
    pub(super) origin: Origin,
    pub(super) initializer: Option<Tensor>,
    pub(super) sparse: Option<SparseTensor>,
    pub(super) uses: Vec<Use>,
    pub doc: Option<String>,
    pub metadata: Props,
}

impl Value {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What inference found.
    pub fn inferred(&self) -> Option<&TensorType> {
        self.inferred.as_ref()
    }

    pub fn declared(&self) -> Option<&Type> {
        self.declared.as_ref()
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// The tensor stored for it: an initializer, or the default of an input (see [`constant`](super::Model::constant)).
    pub fn initializer(&self) -> Option<&Tensor> {
        self.initializer.as_ref()
    }

    pub fn sparse_initializer(&self) -> Option<&SparseTensor> {
        self.sparse.as_ref()
    }
}

/// Parameters that quantize a tensor, by the names of tensors (`TensorAnnotation`).
#[derive(Debug, Clone, PartialEq)]
pub struct QuantAnnotation {
    pub tensor: String,
    pub parameters: Props,
}

#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub name: Option<String>,
    pub(super) nodes: Vec<NodeId>,
    pub(super) inputs: Vec<ValueId>,
    pub(super) outputs: Vec<ValueId>,
    /// Dense ones, in file order; those that are also inputs are in both lists.
    pub(super) initializers: Vec<ValueId>,
    pub(super) sparse_initializers: Vec<ValueId>,
    /// Values whose type the file states in `value_info`, in its order.
    pub(super) value_info: Vec<ValueId>,
    pub quant_annotations: Vec<QuantAnnotation>,
    pub doc: Option<String>,
    pub metadata: Props,
    /// The node whose attribute holds this graph.
    pub(super) owner: Option<NodeId>,
    pub(crate) extra: Bytes,
}

impl Graph {
    /// In execution order.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    pub fn initializers(&self) -> &[ValueId] {
        &self.initializers
    }

    pub fn sparse_initializers(&self) -> &[ValueId] {
        &self.sparse_initializers
    }

    pub fn value_info(&self) -> &[ValueId] {
        &self.value_info
    }

    pub fn owner(&self) -> Option<NodeId> {
        self.owner
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpsetImport {
    pub domain: String,
    pub version: i64,
}

/// An operator defined in the model by a graph of others (`FunctionProto`).
#[derive(Debug, Clone)]
pub struct Function {
    pub name: String,
    pub domain: String,
    pub overload: String,
    /// Attributes without a default, then those with one.
    pub attributes: Vec<String>,
    pub attribute_defaults: Vec<super::node::NamedAttr>,
    pub opset_imports: Vec<OpsetImport>,
    /// Its body; the inputs and outputs are the function's.
    pub body: GraphId,
    pub(crate) extra: Bytes,
}

/// What the file says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    pub ir_version: Option<i64>,
    pub producer_name: Option<String>,
    pub producer_version: Option<String>,
    pub domain: Option<String>,
    pub model_version: Option<i64>,
    pub doc: Option<String>,
    pub metadata: Props,
}
