//! Nodes and their attributes.

use bytes::Bytes;

use super::shape::Type;
use super::tensor::{Props, SparseTensor, Tensor};
use super::{GraphId, ValueId};

/// The value of an attribute (`AttributeProto`).
#[derive(Debug, Clone, PartialEq)]
pub enum Attr {
    Float(f32),
    Int(i64),
    String(Bytes),
    Tensor(Tensor),
    Graph(GraphId),
    SparseTensor(SparseTensor),
    Type(Type),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<Bytes>),
    Tensors(Vec<Tensor>),
    Graphs(Vec<GraphId>),
    SparseTensors(Vec<SparseTensor>),
    Types(Vec<Type>),
    /// Inside a function: the attribute of this name of the function's caller; `kind` is its `AttributeType`.
    Ref {
        name: String,
        kind: i32,
    },
}

impl From<i64> for Attr {
    fn from(v: i64) -> Self {
        Attr::Int(v)
    }
}

impl From<f32> for Attr {
    fn from(v: f32) -> Self {
        Attr::Float(v)
    }
}

impl From<Vec<i64>> for Attr {
    fn from(v: Vec<i64>) -> Self {
        Attr::Ints(v)
    }
}

impl From<Tensor> for Attr {
    fn from(v: Tensor) -> Self {
        Attr::Tensor(v)
    }
}

impl From<&str> for Attr {
    fn from(v: &str) -> Self {
        Attr::String(Bytes::copy_from_slice(v.as_bytes()))
    }
}

/// An attribute with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedAttr {
    pub name: String,
    pub value: Attr,
    pub doc: Option<String>,
}

/// An operator call. Its place in the graph and its readers are kept by the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    pub name: String,
    pub op_type: String,
    /// As written; [`Node::is`] and [`Node::domain`] read "ai.onnx" as the standard's empty one.
    pub(super) raw_domain: String,
    pub overload: String,
    /// `None` is an optional input left out.
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) outputs: Vec<Option<ValueId>>,
    pub(super) attrs: Vec<NamedAttr>,
    pub doc: Option<String>,
    pub metadata: Props,
    pub(super) graph: GraphId,
    /// Encoded parts of the message that no pass reads.
    pub(crate) extra: Bytes,
}

impl Node {
    /// A node whose values exist already: what a reader of files needs.
    pub(crate) fn from_parts(
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<Option<ValueId>>,
        attrs: Vec<NamedAttr>,
        raw_domain: String,
    ) -> Self {
        Node { inputs, outputs, attrs, raw_domain, ..Node::default() }
    }

    pub fn domain(&self) -> &str {
        if self.raw_domain == "ai.onnx" { "" } else { &self.raw_domain }
    }

    pub fn raw_domain(&self) -> &str {
        &self.raw_domain
    }

    /// Whether this is the standard's operator `op_type`.
    pub fn is(&self, op_type: &str) -> bool {
        self.op_type == op_type && self.domain().is_empty()
    }

    pub fn is_one_of(&self, op_types: &[&str]) -> bool {
        op_types.iter().any(|t| self.is(t))
    }

    /// The graph that holds the node.
    pub fn graph(&self) -> GraphId {
        self.graph
    }

    pub fn inputs(&self) -> &[Option<ValueId>] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Option<ValueId>] {
        &self.outputs
    }

    pub fn input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    pub fn output(&self, index: usize) -> Option<ValueId> {
        self.outputs.get(index).copied().flatten()
    }

    pub fn attrs(&self) -> &[NamedAttr] {
        &self.attrs
    }

    pub fn attr(&self, name: &str) -> Option<&Attr> {
        self.attrs.iter().find(|a| a.name == name).map(|a| &a.value)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attr(name) {
            Some(Attr::Int(v)) => Some(*v),
            _ => None,
        }
    }

    pub fn int_or(&self, name: &str, default: i64) -> i64 {
        self.int(name).unwrap_or(default)
    }

    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attr(name) {
            Some(Attr::Float(v)) => Some(*v),
            _ => None,
        }
    }

    pub fn float_or(&self, name: &str, default: f32) -> f32 {
        self.float(name).unwrap_or(default)
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attr(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        match self.attr(name) {
            Some(Attr::String(v)) => std::str::from_utf8(v).ok(),
            _ => None,
        }
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.attr(name) {
            Some(Attr::Tensor(t)) => Some(t),
            _ => None,
        }
    }

    /// The graphs in its attributes, with the attribute's name.
    pub fn subgraphs(&self) -> impl Iterator<Item = (&str, GraphId)> {
        self.attrs.iter().flat_map(|a| {
            let graphs: &[GraphId] = match &a.value {
                Attr::Graph(g) => std::slice::from_ref(g),
                Attr::Graphs(gs) => gs,
                _ => &[],
            };
            graphs.iter().map(|g| (a.name.as_str(), *g))
        })
    }
}

/// A node to be inserted: see [`super::GraphEdit::insert`].
#[derive(Debug, Clone, Default)]
pub struct NewNode {
    pub(super) name: String,
    pub(super) op_type: String,
    pub(super) domain: String,
    pub(super) overload: String,
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) outputs: Vec<NewOutput>,
    pub(super) attrs: Vec<NamedAttr>,
}

#[derive(Debug, Clone)]
pub(super) enum NewOutput {
    /// A new value of about this name.
    Named(String, Option<super::TensorType>),
    /// A value that has no producer (any more).
    Existing(ValueId),
    Absent,
}

impl NewNode {
    pub fn new(op_type: impl Into<String>) -> Self {
        NewNode { op_type: op_type.into(), ..Default::default() }
    }

    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    /// Which of the functions of one name it calls.
    #[must_use]
    pub fn overload(mut self, overload: impl Into<String>) -> Self {
        self.overload = overload.into();
        self
    }

    #[must_use]
    pub fn input(mut self, value: ValueId) -> Self {
        self.inputs.push(Some(value));
        self
    }

    #[must_use]
    pub fn inputs(mut self, values: impl IntoIterator<Item = Option<ValueId>>) -> Self {
        self.inputs.extend(values);
        self
    }

    /// An output that becomes a new value; its name is made unique.
    #[must_use]
    pub fn output(mut self, name: impl Into<String>, ty: Option<super::TensorType>) -> Self {
        self.outputs.push(NewOutput::Named(name.into(), ty));
        self
    }

    /// An output that takes over a value without producer: one whose node was detached or removed.
    #[must_use]
    pub fn output_into(mut self, value: ValueId) -> Self {
        self.outputs.push(NewOutput::Existing(value));
        self
    }

    #[must_use]
    pub fn no_output(mut self) -> Self {
        self.outputs.push(NewOutput::Absent);
        self
    }

    #[must_use]
    pub fn attr(mut self, name: impl Into<String>, value: impl Into<Attr>) -> Self {
        self.attrs.push(NamedAttr { name: name.into(), value: value.into(), doc: None });
        self
    }

    #[must_use]
    pub fn attrs(mut self, attrs: impl IntoIterator<Item = NamedAttr>) -> Self {
        self.attrs.extend(attrs);
        self
    }
}
