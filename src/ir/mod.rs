//! The in-memory model: graphs, nodes, values, tensors, and the one way to change them.

pub mod dtype;
mod edit;
pub mod float8;
mod floats;
mod model;
mod node;
mod parts;
pub mod shape;
pub mod sort;
pub mod tensor;
pub mod text;
mod verify;

pub use dtype::DType;
pub use edit::{GraphEdit, Place};
pub use model::{GraphId, Model, NodeId, ValueId};
pub use node::{Attr, AutoPad, NamedAttr, NewNode, Node};
pub use parts::{Function, Graph, Meta, OpsetImport, Origin, QuantAnnotation, Use, Value};
pub use shape::{Dim, Shape, TensorType, Type};
pub use tensor::{Element, Props, SparseTensor, Storage, Tensor};
pub use verify::verify;
