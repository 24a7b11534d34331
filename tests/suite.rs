//! All integration tests, in one binary so that they link once.

mod bad_input;
mod bare;
mod check;
mod cli;
mod common;
mod corpus;
mod data;
mod emit;
mod fixtures;
mod golden;
mod integer_forms;
mod kill;
mod large;
mod layers;
mod measured;
mod memory;
mod numerics;
mod onnx_backend;
mod onnxruntime;
mod prepared;
mod quality;
mod quantize;
mod registry;
mod rewrites;
mod roundtrip;
mod specialize;
