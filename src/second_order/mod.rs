//! Second-order statistics of single layers: what an error in a weight costs in the layer's output.
//!
//! ```text
//! y = W·x        ‖(W' − W)·X‖² = Σ_rows (w' − w)·H·(w' − w)ᵀ        H = Σ x·xᵀ over samples and positions
//! ```
//!
//! - [`contraction`]: which inputs of a layer meet which weights, as rows x
//! - [`hessian`]: H, added up batch by batch
//! - [`Moments`]: H and what the rows have in common with wanted outputs, for solving weights anew
//! - [`walk`]: a model and what becomes of it, run side by side from layer to layer
//! - [`elimination`]: which channels cost least to lose, and what the others become
//! - [`LeastSquares`]: the weights that come nearest to wanted outputs
//! - [`solve`]: the factor of H⁻¹ that tells how later weights make up for an error in an earlier one

pub mod contraction;
pub mod elimination;
pub mod hessian;
pub mod least_squares;
pub mod moments;
mod shelf;
pub mod solve;
pub mod walk;

pub use contraction::Contraction;
pub use elimination::Elimination;
pub use hessian::Hessian;
pub use least_squares::LeastSquares;
pub use moments::Moments;
pub use solve::{Compensation, inverse_diagonal, least_squares, retargeted};
pub use walk::{Order, Walk};
