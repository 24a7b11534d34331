//! onnxpress presses trained ONNX models: smaller, faster, and measured.

#![deny(unsafe_code)]

pub mod calibrate;
pub mod data;
pub mod error;
pub mod ir;
pub mod onnx;
pub mod progress;

pub use error::{Error, ErrorKind, Result};
