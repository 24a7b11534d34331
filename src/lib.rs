//! onnxpress presses trained ONNX models: smaller, faster, and measured.

#![deny(unsafe_code)]

pub mod calibrate;
pub mod cli;
pub mod data;
pub mod error;
pub mod ir;
pub mod onnx;
pub mod ops;
pub mod passes;
pub mod pipeline;
pub mod progress;
pub mod prune;
pub mod quantize;
pub mod report;
pub mod runtime;
pub mod target;
pub mod validate;

pub use error::{Error, ErrorKind, Result};
