//! What is known of a model's values without running it.

mod angles;
mod arity;
mod classes;
mod concrete;
mod cost;
pub mod dependency;
mod dequantized;
mod infer;
mod joined;
mod permutation;

pub use angles::makes_angles;
pub use arity::arity;
pub use classes::without_classes;
pub use concrete::value_bytes;
pub use cost::{Costs, macs};
pub use dequantized::dequantized;
pub use infer::{Values, declarable, infer, shape_of};
pub use joined::{Joined, joined};
pub use permutation::permutation;
