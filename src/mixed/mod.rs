//! Mixed precision: which nodes stay float so that a promise about the outputs holds.
//!
//! ```text
//! plan ─► holds as it is? ──────────────────────────────────────────────────────────────────────► plan
//!           │ no
//!           └─► damage of each node alone ─► the worst 1, 2, 4 … in float, each time the whole model checked,
//!               then halving between the last that fails and the first that holds ─► those that need not be float back ─► plan
//! ```
//!
//! - [`sensitivity()`]: what each node alone does to the outputs, by SQNR, agreement and accuracy
//! - [`Promise`]: what must hold, and whether it does
//! - [`keep()`]: the fewest nodes in float with which it holds
//!
//! Nodes err together, not alone: the order of single damages only proposes, the whole model decides.

mod keep;
mod promise;
mod sensitivity;
mod subject;

pub use keep::{Budget, Refit, keep};
pub use promise::Promise;
pub use sensitivity::{Sensitivity, sensitivity};
pub use subject::Subject;
