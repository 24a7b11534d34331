//! What would be quantized where no range is known: which nodes are does not depend on the ranges.

use super::decide;
use super::options::{Format, QuantOptions};
use super::plan::{Decision, QuantPlan};
use crate::calibrate::{Range, Ranges};
use crate::error::Result;
use crate::ir::Model;

/// The plan with every range −1 … 1.
pub(super) fn assumed(model: &Model, options: &QuantOptions) -> Result<QuantPlan> {
    let mut ranges = Ranges::default();
    for value in decide::values_to_observe(model, options) {
        ranges.ranges.insert(value, Range::new(-1.0, 1.0));
    }
    decide::plan(model, Some(&ranges), options)
}

/// The plan as far as it does not depend on data, to be read: as one of the dynamic form, which has no ranges.
///
/// # Errors
/// Usage, for names in `options` that do not exist.
pub fn outline(model: &Model, options: &QuantOptions) -> Result<QuantPlan> {
    let mut plan = assumed(model, options)?;
    if options.effective_format().is_static() {
        plan.options.format = Format::Dynamic;
        plan.activations.clear();
        for node in &mut plan.nodes {
            match &mut node.decision {
                Decision::Quantize { input, output, bias, .. } => (*input, *output, *bias) = (None, None, false),
                Decision::Product { a, b, output } => (*a, *b, *output) = (None, None, None),
                _ => {}
            }
        }
    }
    Ok(plan)
}
