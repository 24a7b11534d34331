//! All integration tests, in one binary so that they link once.

mod data;
mod fixtures;
mod golden;
mod integer_forms;
mod layers;
mod prepared;
