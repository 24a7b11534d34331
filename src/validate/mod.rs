//! Proof: original and rewritten model on the same data, in the same runtime, in one run.
//!
//! - [`sums`]: how far numbers moved
//! - [`accuracy`]: how far outputs did, and whether answers changed
//! - [`paired`]: whether a difference of accuracies is more than chance
//! - [`drift`]: where inside the model the error is born
//! - [`latency`]: interleaved timing
//! - [`mod@bench`]: any number of models
//! - [`ran`]: what of it truly runs in integers
//! - [`size`]: bytes, parameters, zeros
//! - [`check`]: whether a clean-up left the outputs as they were
//! - [`everywhere`]: the same in every runtime that is present
//! - [`within`]: which rewrite did not
//! - [`tune`]: which rewrites a model is slower with
//! - [`gates`]: what the user demanded, and by how much it was missed

pub mod accuracy;
pub mod bench;
mod candidates;
pub mod check;
pub mod drift;
pub mod everywhere;
pub mod gates;
pub mod latency;
pub mod paired;
pub mod ran;
mod run;
pub mod size;
pub mod sums;
pub mod tune;
pub mod within;

pub use gates::{Gate, Gates, Missed};
pub use run::{ValidateOptions, Validation, validate};
