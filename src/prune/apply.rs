//! Writes what a plan says into the model.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::channel::ChannelReport;
use super::plan::PrunePlan;
use super::{channel, sparse};
use crate::error::Result;
use crate::ir::{GraphEdit, Model};

/// What was done.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct PruneReport {
    pub tensors: usize,
    pub weights: usize,
    pub zeros: usize,
    /// Tensors stored as `sparse_initializer`.
    pub sparse: usize,
    pub channels: Option<ChannelReport>,
}

/// Sets the zeros.
///
/// # Errors
/// Internal, where the plan is for another model.
pub fn apply(model: &mut Model, plan: &PrunePlan) -> Result<PruneReport> {
    let channels = plan.channels.as_ref().map(|plan| channel::apply(model, plan)).transpose()?;
    let mut edit = GraphEdit::new(model);
    let mut report = PruneReport { channels, ..PruneReport::default() };
    for t in &plan.tensors {
        report.weights += t.shape.iter().product::<usize>();
        report.zeros += t.zeros;
        if t.kept.is_some() {
            continue;
        }
        report.tensors += 1;
        let is_initializer = edit.producer(t.value).is_none();
        if plan.options.sparse
            && is_initializer
            && let Some(s) = sparse::smaller(&t.pruned(&edit)?)?
        {
            edit.make_sparse(t.value, s);
            t.write_intercept(&mut edit);
            report.sparse += 1;
            continue;
        }
        t.write(&mut edit)?;
    }
    Ok(report)
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channels) = &self.channels {
            return write!(f, "{channels}");
        }
        let percent = 100.0 * self.zeros as f64 / self.weights.max(1) as f64;
        write!(f, "{} of {} weights are zero ({percent:.1} %) in {} tensors", self.zeros, self.weights, self.tensors)?;
        match self.sparse {
            0 => Ok(()),
            n => write!(f, ", {n} stored sparse"),
        }
    }
}
