//! What is known of a model's values without running it.

mod arity;
mod cost;
mod infer;

pub use arity::arity;
pub use cost::macs;
pub use infer::{Values, infer, shape_of};
