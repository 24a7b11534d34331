//! The in-memory model: graphs, nodes, values, tensors, and the one way to change them.

pub mod dtype;
mod edit;
pub mod float8;
mod model;
mod node;
pub mod shape;
pub mod sort;
pub mod tensor;
pub mod text;
mod verify;

pub use dtype::DType;
pub use edit::{GraphEdit, Place};
pub use model::{
    Function, Graph, GraphId, Meta, Model, NodeId, OpsetImport, Origin, QuantAnnotation, Use, Value, ValueId,
};
pub use node::{Attr, NamedAttr, NewNode, Node};
pub use shape::{Dim, Shape, TensorType, Type};
pub use tensor::{Element, Props, SparseTensor, Storage, Tensor};
pub use verify::verify;
