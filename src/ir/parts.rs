//! What the arena of a [`Model`](super::Model) holds besides nodes: values and graphs, and what a file says besides them.

use bytes::Bytes;

use super::model::{GraphId, NodeId, ValueId};
use super::shape::{TensorType, Type};
use super::tensor::{Props, SparseTensor, Tensor};

/// Where a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// By a node.
    Node {
        /// Which node.
        node: NodeId,
        /// At which of its inputs.
        input: usize,
    },
    /// As an output of a graph.
    Output {
        /// Which graph.
        graph: GraphId,
        /// Which of its outputs.
        index: usize,
    },
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Output `output` of `node`.
    Node {
        /// Which node.
        node: NodeId,
        /// Which of its outputs.
        output: usize,
    },
    /// An input of the graph (perhaps with an initializer as its default).
    Input(GraphId),
    /// An initializer of the graph.
    Initializer(GraphId),
    /// Nothing: only between the steps of an edit.
    Detached,
}

/// A tensor that flows through the model: an input, an initializer, or what a node makes.
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
    /// Its `doc_string`.
    pub doc: Option<String>,
    /// Its `metadata_props`.
    pub metadata: Props,
}

impl Value {
    /// Its name; unique among the values that see each other.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What inference found.
    pub fn inferred(&self) -> Option<&TensorType> {
        self.inferred.as_ref()
    }

    /// What the file says of its type.
    pub fn declared(&self) -> Option<&Type> {
        self.declared.as_ref()
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Where it is read.
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// The tensor stored for it: an initializer, or the default of an input (see [`constant`](super::Model::constant)).
    pub fn initializer(&self) -> Option<&Tensor> {
        self.initializer.as_ref()
    }

    /// The sparse tensor stored for it.
    pub fn sparse_initializer(&self) -> Option<&SparseTensor> {
        self.sparse.as_ref()
    }
}

/// Parameters that quantize a tensor, by the names of tensors (`TensorAnnotation`).
#[derive(Debug, Clone, PartialEq)]
pub struct QuantAnnotation {
    /// The tensor that is quantized.
    pub tensor: String,
    /// Kind of parameter, as `SCALE_TENSOR`, and name of the tensor that holds it.
    pub parameters: Props,
}

/// A graph: the main one, one inside a node, or the body of a function.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Its name.
    pub name: Option<String>,
    pub(super) nodes: Vec<NodeId>,
    pub(super) inputs: Vec<ValueId>,
    pub(super) outputs: Vec<ValueId>,
    /// Dense ones, in file order; those that are also inputs are in both lists.
    pub(super) initializers: Vec<ValueId>,
    pub(super) sparse_initializers: Vec<ValueId>,
    /// Values whose type the file states in `value_info`, in its order.
    pub(super) value_info: Vec<ValueId>,
    /// Its `quantization_annotation`.
    pub quant_annotations: Vec<QuantAnnotation>,
    /// Its `doc_string`.
    pub doc: Option<String>,
    /// Its `metadata_props`.
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

    /// Its inputs, in order; those with a default among them.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// Its outputs, in order.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Its dense initializers, in the order of the file.
    pub fn initializers(&self) -> &[ValueId] {
        &self.initializers
    }

    /// Its sparse initializers, in the order of the file.
    pub fn sparse_initializers(&self) -> &[ValueId] {
        &self.sparse_initializers
    }

    /// Values whose type the file states.
    pub fn value_info(&self) -> &[ValueId] {
        &self.value_info
    }

    /// The node whose attribute holds it; `None` for the main graph and bodies of functions.
    pub fn owner(&self) -> Option<NodeId> {
        self.owner
    }
}

/// A domain of operators and the version of it that the model uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpsetImport {
    /// `""` is the standard's.
    pub domain: String,
    /// The version of its operators.
    pub version: i64,
}

/// An operator defined in the model by a graph of others (`FunctionProto`).
#[derive(Debug, Clone)]
pub struct Function {
    /// What nodes call it by.
    pub name: String,
    /// The domain of those nodes.
    pub domain: String,
    /// Which of several of one name it is.
    pub overload: String,
    /// Attributes without a default, then those with one.
    pub attributes: Vec<String>,
    /// What attributes are where the caller gives none.
    pub attribute_defaults: Vec<super::node::NamedAttr>,
    /// Versions of the operators in its body.
    pub opset_imports: Vec<OpsetImport>,
    /// Its body; the inputs and outputs are the function's.
    pub body: GraphId,
    pub(crate) extra: Bytes,
}

/// What the file says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// Version of the file format.
    pub ir_version: Option<i64>,
    /// The program that made it.
    pub producer_name: Option<String>,
    /// Its version.
    pub producer_version: Option<String>,
    /// Of the model, as `org.example`.
    pub domain: Option<String>,
    /// A number of the author's.
    pub model_version: Option<i64>,
    /// Its `doc_string`.
    pub doc: Option<String>,
    /// Its `metadata_props`.
    pub metadata: Props,
}
