//! Second-order statistics of single layers: what an error in a weight costs in the layer's output.
//!
//! ```text
//! y = W·x        ‖(W' − W)·X‖² = Σ_rows (w' − w)·H·(w' − w)ᵀ        H = Σ x·xᵀ over samples and positions
//! ```
//!
//! - [`contraction`]: which inputs of a layer meet which weights, as rows x
//! - [`layer`]: a contraction that can be solved for, and what makes up for its weights
//! - [`hessian`]: H, added up batch by batch
//! - [`Moments`]: H and what the rows have in common with wanted outputs, for solving weights anew
//! - [`walk`]: a model and what becomes of it, run side by side from layer to layer
//! - [`rows`]: the moments of layers on the way
//! - [`places`]: those of a single model, where a weight is used again on what it made
//! - [`elimination`]: which channels cost least to lose, and what the others become
//! - [`cholesky`]: factors that take no memory besides their matrix
//! - [`solve`]: the factor of H⁻¹ that tells how later weights make up for an error in an earlier one

pub mod cholesky;
pub mod contraction;
pub mod elimination;
pub mod hessian;
pub mod layer;
pub mod moments;
pub mod places;
pub mod rows;
mod shelf;
pub mod solve;
pub mod walk;

pub use contraction::Contraction;
pub use elimination::Elimination;
pub use hessian::Hessian;
pub use layer::{Bias, Layer, Place, Solved};
pub use moments::Moments;
pub use solve::{Compensation, inverse_diagonal, least_squares, mean_diagonal, retargeted};
pub use walk::{Order, Walk};
