//! Nodes and their attributes.

use bytes::Bytes;

use super::shape::Type;
use super::tensor::{Props, SparseTensor, Tensor};
use super::{DType, GraphId, ValueId};

/// The value of an attribute (`AttributeProto`).
#[derive(Debug, Clone, PartialEq)]
pub enum Attr {
    /// `f`.
    Float(f32),
    /// `i`.
    Int(i64),
    /// `s`, bytes that need not be UTF-8.
    String(Bytes),
    /// `t`.
    Tensor(Tensor),
    /// `g`, in the arena of the model.
    Graph(GraphId),
    /// `sparse_tensor`.
    SparseTensor(SparseTensor),
    /// `tp`.
    Type(Type),
    /// `floats`.
    Floats(Vec<f32>),
    /// `ints`.
    Ints(Vec<i64>),
    /// `strings`.
    Strings(Vec<Bytes>),
    /// `tensors`.
    Tensors(Vec<Tensor>),
    /// `graphs`.
    Graphs(Vec<GraphId>),
    /// `sparse_tensors`.
    SparseTensors(Vec<SparseTensor>),
    /// `type_protos`.
    Types(Vec<Type>),
    /// Inside a function: the attribute of this name of the function's caller; `kind` is its `AttributeType`.
    Ref {
        /// The attribute of the caller.
        name: String,
        /// Code of its `AttributeType`.
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
    /// As the operator names it.
    pub name: String,
    /// What it holds.
    pub value: Attr,
    /// Its `doc_string`.
    pub doc: Option<String>,
}

/// An operator call. Its place in the graph and its readers are kept by the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Its name; may be empty.
    pub name: String,
    /// The name of its operator.
    pub op_type: String,
    /// As written; [`Node::is`] and [`Node::domain`] read "ai.onnx" as the standard's empty one.
    pub(super) raw_domain: String,
    /// Which of several functions of one name it calls.
    pub overload: String,
    /// `None` is an optional input left out.
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) outputs: Vec<Option<ValueId>>,
    pub(super) attrs: Vec<NamedAttr>,
    /// Its `doc_string`.
    pub doc: Option<String>,
    /// Its `metadata_props`.
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

    /// The domain of the operator; `""` is the standard's.
    pub fn domain(&self) -> &str {
        if self.raw_domain == "ai.onnx" { "" } else { &self.raw_domain }
    }

    /// The domain as the file has it.
    pub fn raw_domain(&self) -> &str {
        &self.raw_domain
    }

    /// Whether this is the standard's operator `op_type`.
    pub fn is(&self, op_type: &str) -> bool {
        self.op_type == op_type && self.domain().is_empty()
    }

    /// Whether this is one of these operators of the standard.
    pub fn is_one_of(&self, op_types: &[&str]) -> bool {
        op_types.iter().any(|t| self.is(t))
    }

    /// The graph that holds the node.
    pub fn graph(&self) -> GraphId {
        self.graph
    }

    /// All inputs; `None` is an optional one left out.
    pub fn inputs(&self) -> &[Option<ValueId>] {
        &self.inputs
    }

    /// All outputs; `None` is an optional one left out.
    pub fn outputs(&self) -> &[Option<ValueId>] {
        &self.outputs
    }

    /// Input number `index`, if it is given.
    pub fn input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// Output number `index`, if it is made.
    pub fn output(&self, index: usize) -> Option<ValueId> {
        self.outputs.get(index).copied().flatten()
    }

    /// All attributes, in the order of the file.
    pub fn attrs(&self) -> &[NamedAttr] {
        &self.attrs
    }

    /// The attribute of this name.
    pub fn attr(&self, name: &str) -> Option<&Attr> {
        self.attrs.iter().find(|a| a.name == name).map(|a| &a.value)
    }

    /// An attribute that is an integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attr(name) {
            Some(Attr::Int(v)) => Some(*v),
            _ => None,
        }
    }

    /// An integer attribute, or `default` where there is none.
    pub fn int_or(&self, name: &str, default: i64) -> i64 {
        self.int(name).unwrap_or(default)
    }

    /// An attribute that is a float.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attr(name) {
            Some(Attr::Float(v)) => Some(*v),
            _ => None,
        }
    }

    /// A float attribute, or `default` where there is none.
    pub fn float_or(&self, name: &str, default: f32) -> f32 {
        self.float(name).unwrap_or(default)
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attr(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// An attribute that is a text in UTF-8.
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.attr(name) {
            Some(Attr::String(v)) => std::str::from_utf8(v).ok(),
            _ => None,
        }
    }

    /// An attribute that is a tensor.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.attr(name) {
            Some(Attr::Tensor(t)) => Some(t),
            _ => None,
        }
    }

    /// How it finds its pads.
    pub fn auto_pad(&self) -> AutoPad {
        match self.str("auto_pad") {
            None | Some("NOTSET" | "") => AutoPad::Explicit,
            Some("VALID") => AutoPad::Valid,
            Some("SAME_LOWER") => AutoPad::SameLower,
            // Nothing is assumed of a word that the standard has not.
            Some(_) => AutoPad::SameUpper,
        }
    }

    /// Whether its window may reach beyond the input.
    pub fn may_pad(&self) -> bool {
        self.auto_pad().is_same() || self.ints("pads").is_some_and(|p| p.iter().any(|p| *p != 0))
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

/// How an operator with a window finds its pads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoPad {
    /// By the attribute `pads`.
    Explicit,
    /// There are none.
    Valid,
    /// From the size of the input, one more at the end where they are odd in number.
    SameUpper,
    /// From the size of the input, one more at the beginning.
    SameLower,
}

impl AutoPad {
    /// Whether the pads depend on the size of the input.
    pub fn is_same(self) -> bool {
        matches!(self, AutoPad::SameUpper | AutoPad::SameLower)
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
    /// A node of the standard's domain without name, inputs and outputs.
    pub fn new(op_type: impl Into<String>) -> Self {
        NewNode { op_type: op_type.into(), ..Default::default() }
    }

    /// A Cast of `x` to `to`.
    pub fn cast(x: ValueId, to: DType) -> Self {
        NewNode::new("Cast").input(x).attr("to", i64::from(to.code()))
    }

    /// Its name; made unique when it is inserted.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The domain of its operator.
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

    /// One more input.
    #[must_use]
    pub fn input(mut self, value: ValueId) -> Self {
        self.inputs.push(Some(value));
        self
    }

    /// More inputs; `None` is one left out.
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

    /// An output left out.
    #[must_use]
    pub fn no_output(mut self) -> Self {
        self.outputs.push(NewOutput::Absent);
        self
    }

    /// One more attribute.
    #[must_use]
    pub fn attr(mut self, name: impl Into<String>, value: impl Into<Attr>) -> Self {
        self.attrs.push(NamedAttr { name: name.into(), value: value.into(), doc: None });
        self
    }

    /// More attributes.
    #[must_use]
    pub fn attrs(mut self, attrs: impl IntoIterator<Item = NamedAttr>) -> Self {
        self.attrs.extend(attrs);
        self
    }
}
