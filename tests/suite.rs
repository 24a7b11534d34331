//! All integration tests, in one binary so that they link once.

mod bad_input;
mod cli;
mod common;
mod data;
mod emit;
mod fixtures;
mod golden;
mod integer_forms;
mod layers;
mod measured;
mod prepared;
mod roundtrip;
