//! What is known of a model's values without running it.

mod infer;

pub use infer::{Values, infer, shape_of};
