//! What is known of a model's values without running it.

mod cost;
mod infer;

pub use cost::macs;
pub use infer::{Values, infer, shape_of};
