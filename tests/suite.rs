//! All integration tests, in one binary so that they link once.

mod bad_input;
mod bare;
mod by_data;
mod channel_models;
mod channels;
mod check;
mod cli;
mod common;
mod corpus;
mod data;
mod emit;
mod every_model;
mod fixtures;
mod golden;
mod gradient;
#[allow(dead_code, reason = "the benches take the rest of it")]
#[path = "../benches/made/inputs.rs"]
mod inputs;
mod integer_forms;
mod kill;
mod large;
mod layers;
mod low_bits;
mod measured;
mod memory;
mod mixed;
mod numerics;
mod onnx_backend;
mod onnxruntime;
mod pairs;
mod prepared;
mod pressed;
mod prune;
mod prune_models;
mod quality;
mod quantize;
mod ran;
mod recover;
mod recurrent;
mod registry;
mod rescaled;
mod rewrites;
mod roundtrip;
mod specialize;
mod subgraphs;
mod tune;
