//! The in-memory model: graphs, nodes, values, tensors.

pub mod dtype;
pub mod shape;
pub mod tensor;

pub use dtype::DType;
pub use shape::{Dim, Shape, TensorType};
pub use tensor::Tensor;
