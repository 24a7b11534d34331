//! onnxpress presses trained ONNX models: smaller, faster, and measured.

pub mod calibrate;
pub mod data;
pub mod error;
pub mod ir;

pub use error::{Error, ErrorKind, Result};
