//! All integration tests, in one binary so that they link once.

mod data;
mod fixtures;
mod integer_forms;
mod prepared;
