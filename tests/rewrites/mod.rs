//! Rewrites on graphs that are made up around their pattern: shapes, pads, groups, broadcasts, readers, captures. What a pass
//! applies must compute the same in tract; near misses must be left alone.

mod algebra;
mod depthwise;
mod fuse;
mod layout;
mod left;
mod tidy;
mod transposes;

use onnxpress::ir::{Model, text};
use onnxpress::passes::{SimplifyOptions, SimplifyReport, simplify};
use proptest::test_runner::TestCaseError;

use crate::numerics::compare;

/// Rounding that a rewrite may add, relative to the largest value of an output.
const ROUNDING: f64 = 1e-5;

/// Applies `pass` alone to the model in ONNX text syntax; what it changed must compute the same in tract.
fn apply(pass: &str, source: &str) -> Result<SimplifyReport, TestCaseError> {
    let failed = |what: String| TestCaseError::fail(format!("{what}\n{source}"));
    let before = text::parse(source).map_err(|e| failed(e.to_string()))?;
    let mut after = before.clone();
    let options = SimplifyOptions { only: vec![pass.into()], ..SimplifyOptions::default() };
    let report = simplify(&mut after, &options).map_err(|e| failed(e.to_string()))?;
    if !report.passes.is_empty() {
        compare(&before, &after, ROUNDING).map_err(failed)?;
    }
    Ok(report)
}

/// The pass must find its pattern and keep what it computes.
pub fn rewrites(pass: &str, source: &str) -> Result<(), TestCaseError> {
    match apply(pass, source)?.passes.is_empty() {
        true => Err(TestCaseError::fail(format!("{pass} did not apply\n{source}"))),
        false => Ok(()),
    }
}

/// The pass must leave the model alone, with or without a reason.
pub fn leaves_alone(pass: &str, source: &str) -> Result<(), TestCaseError> {
    match apply(pass, source)?.passes.is_empty() {
        true => Ok(()),
        false => Err(TestCaseError::fail(format!("{pass} applied\n{source}"))),
    }
}

/// What the pass makes of the model, which must apply and compute the same.
pub fn rewritten(pass: &str, source: &str) -> Result<Model, TestCaseError> {
    rewrites(pass, source)?;
    let mut model = text::parse(source).unwrap();
    let options = SimplifyOptions { only: vec![pass.into()], ..SimplifyOptions::default() };
    simplify(&mut model, &options).unwrap();
    Ok(model)
}

pub fn count(model: &Model, op_type: &str) -> usize {
    model.all_nodes().into_iter().filter(|n| model.node(*n).is(op_type)).count()
}

/// Whether tract runs the model as it is: it has no slices that end before they start, and not every shape fits.
pub fn runs(source: &str) -> bool {
    let model = text::parse(source).unwrap();
    compare(&model, &model, 0.0).is_ok()
}
