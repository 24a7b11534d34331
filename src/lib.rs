//! onnxpress presses trained ONNX models: smaller, faster, and measured.
//!
//! It reads a model, cleans the graph, prunes and quantizes it, writes standard ONNX, then runs the original and the
//! rewritten model side by side and says what changed: accuracy, latency, size, and where the drift is born.
//!
//! ```text
//! file ─ onnx::load ─► ir::Model ─ passes ─► ir::Model ─┬─ calibrate (runtime) ─► Ranges
//!                                                       ├─ prune:    plan ─► apply
//!                                                       ├─ quantize: plan ─► apply
//!                                                       └─ onnx::emit ─► file ─ validate (runtime) ─► Report
//! ```
//!
//! [`pipeline`] tells that story in one function; everything else is a room off that corridor. A layer uses only
//! those below it:
//!
//! | layer | what it knows |
//! |---|---|
//! | [`cli`] | flags and files, no algorithms |
//! | [`pipeline`] | the whole story |
//! | [`report`] | one serializable value → text, JSON, markdown |
//! | [`mixed`] | which nodes stay float so that a promise about the outputs holds |
//! | [`validate`], [`quantize`], [`prune`] | proof; integers for weights and activations; zeros for weights, and channels taken out |
//! | [`recover`] | training what pruning or quantization made of a model towards the model as it was |
//! | [`second_order`] | what an error in a weight costs in its layer's output, and how others make up for it |
//! | [`calibrate`], [`gradient`] | statistics of the values that flow through a model, and of the gradients of its weights, in one streaming pass |
//! | [`runtime`] | running models: in tract, which is given a prepared copy, and in ONNX Runtime where that is present |
//! | [`passes`] | rewrites of the graph, one file each |
//! | [`analysis`] | shapes and small constants, costs, and which channels hang together, found through the graph |
//! | [`ops`] | what is known of each operator, as data |
//! | [`data`], [`target`], [`onnx`] | samples from files; deployment presets; the only code that sees protobuf |
//! | [`ir`] | the model in memory, and [`ir::GraphEdit`], the only way to change it |
//! | [`error`], [`files`], `mapped`, `names`, `patterns`, [`progress`] | one-line errors with exit codes; whole files or none; mapped files and their pages; what a mistyped name means; names by regular expression; listeners for progress |
//!
//! What holds everywhere:
//! - **Zero-copy.** The file is mapped and every initializer is a slice of the map: loading costs nodes, not bytes.
//! - **Decide, then apply.** [`quantize::QuantPlan`] and [`prune::PrunePlan`] are plain printable values: what was
//!   decided for every node, and why not where it was left alone.
//! - **A refusal is a value.** [`passes::Outcome::Refused`] reaches the report; nothing is skipped in silence.
//! - **Tables, not matches.** A pass, a calibrator, a criterion, a target, a runtime is one file and one line in its
//!   table, an operator one entry in the table of its family; engines name only the operators that they write.
//!
//! ```no_run
//! use onnxpress::passes::{SimplifyOptions, simplify};
//! use onnxpress::quantize::{self, Format, QuantOptions};
//! use std::path::Path;
//!
//! # fn main() -> onnxpress::Result<()> {
//! let mut model = onnxpress::onnx::load(Path::new("model.onnx"))?;
//! simplify(&mut model, &SimplifyOptions::default())?;
//! let options = QuantOptions { format: Format::WeightOnly, ..QuantOptions::for_target("onnxruntime")? };
//! let plan = quantize::plan(&model, None, &options)?;
//! println!("{plan}");
//! quantize::apply(&mut model, &plan)?;
//! onnxpress::onnx::emit(&model, Path::new("model.int8.onnx"))?;
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod analysis;
pub mod calibrate;
pub mod cli;
pub mod data;
pub mod error;
pub mod files;
pub mod gradient;
pub mod ir;
mod mapped;
pub mod mixed;
mod names;
pub mod onnx;
pub mod ops;
pub mod passes;
mod patterns;
pub mod pipeline;
pub mod progress;
pub mod prune;
pub mod quantize;
pub mod recover;
pub mod report;
pub mod runtime;
pub mod second_order;
pub mod target;
pub mod validate;

pub use error::{Error, ErrorKind, Result};
