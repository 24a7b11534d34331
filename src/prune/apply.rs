//! Writes what a plan says into the model.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::channel::ChannelReport;
use super::exclude::Exclude;
use super::options::PruneOptions;
use super::plan::PrunePlan;
use super::widened::{narrow, widened};
use super::{Data, channel, decide, sparse};
use crate::error::Result;
use crate::ir::{GraphEdit, Model};
use crate::progress::Progress;
use crate::recover::{RecoverReport, Teacher, recover_within};

/// What was done.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct PruneReport {
    /// Tensors that were pruned.
    pub tensors: usize,
    /// Their elements.
    pub weights: usize,
    /// Zeros among these.
    pub zeros: usize,
    /// Tensors stored as `sparse_initializer`.
    pub sparse: usize,
    /// What left the graph, where channels went.
    pub channels: Option<ChannelReport>,
    /// Training afterwards.
    pub recovered: Option<RecoverReport>,
    /// What was chosen by data, what could not be done, and what zeros bring.
    pub notes: Vec<String>,
}

/// Decides, applies, and trains the result towards `model` as it was where that is asked for.
///
/// # Errors
/// Those of [`decide`] and of [`recover_within`]; usage where there are no data to train on.
pub fn prune(
    model: &mut Model,
    options: &PruneOptions,
    data: Option<Data>,
    progress: &dyn Progress,
) -> Result<(PrunePlan, PruneReport)> {
    let plan = decide(model, options, data, progress)?;
    let float = model.clone();
    let mut report = written(model, &plan)?;
    if let Some(wanted) = options.recover {
        let (data, wanted) = (wanted.needs(data)?, wanted.options(options.seed));
        let ((teacher, _), (student, _)) = (widened(&float)?, widened(model)?);
        let teacher = Teacher { model: teacher.as_ref().unwrap_or(&float), inside: true };
        let trained = |student: &mut Model| {
            let bounds = Exclude::of(options)?.bounds(student);
            recover_within(teacher, (student, &bounds), data.dataset, &wanted, progress)
        };
        report.recovered = Some(match student {
            None => trained(model)?,
            Some(mut double) => {
                let report = trained(&mut double)?;
                narrow(model, &double);
                report
            }
        });
    }
    report.sparse = stored_sparse(model, &plan)?;
    Ok((plan, report))
}

/// Sets the zeros, and what the other weights become.
///
/// # Errors
/// Internal, where the plan is for another model.
pub fn apply(model: &mut Model, plan: &PrunePlan) -> Result<PruneReport> {
    let mut report = written(model, plan)?;
    report.sparse = stored_sparse(model, plan)?;
    Ok(report)
}

fn written(model: &mut Model, plan: &PrunePlan) -> Result<PruneReport> {
    let channels = plan.channels.as_ref().map(|plan| channel::apply(model, plan)).transpose()?;
    let mut edit = GraphEdit::new(model);
    let mut report = PruneReport { channels, notes: plan.notes.clone(), ..PruneReport::default() };
    if !plan.options.pattern.shrinks() {
        report.notes.push(format!(
            "{} zeros make neither runtime faster; they make the compressed file smaller",
            plan.options.pattern
        ));
    }
    for t in &plan.tensors {
        report.weights += t.shape.iter().product::<usize>();
        report.zeros += t.zeros;
        if t.kept.is_none() {
            report.tensors += 1;
            t.write(&mut edit)?;
        }
    }
    Ok(report)
}

/// Stores tensors sparse where that is asked for and smaller; how many.
fn stored_sparse(model: &mut Model, plan: &PrunePlan) -> Result<usize> {
    let mut edit = GraphEdit::new(model);
    let mut count = 0;
    for t in plan.tensors.iter().filter(|t| plan.options.sparse && t.kept.is_none()) {
        let Some(tensor) = edit.value(t.value).initializer() else { continue };
        if let Some(smaller) = sparse::smaller(tensor)? {
            edit.make_sparse(t.value, smaller);
            // The default of an input stays dense.
            count += usize::from(edit.value(t.value).sparse_initializer().is_some());
        }
    }
    Ok(count)
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |f: &mut fmt::Formatter<'_>| self.recovered.as_ref().map_or(Ok(()), |r| write!(f, "; {r}"));
        if let Some(channels) = &self.channels {
            write!(f, "{channels}")?;
            return told(f);
        }
        let percent = 100.0 * self.zeros as f64 / self.weights.max(1) as f64;
        write!(f, "{} of {} weights are zero ({percent:.1} %) in {} tensors", self.zeros, self.weights, self.tensors)?;
        match self.sparse {
            0 => Ok(()),
            n => write!(f, ", {n} stored sparse"),
        }?;
        told(f)
    }
}
