//! Training under a plan: the float model is distilled into the model as the plan computes it.
//!
//! ```text
//! plan ─► weights and biases as it would write them ─┐
//!                                                    ├─► student: they are rounded before each run, values pass Q/DQ ─► recover ─► plan
//! float weights, where they are rounded to the same ──┘                                             (grids, masks and ranges as before)
//! ```
//!
//! Quantization-aware training (Jacob et al., CVPR 2018) with the float model's outputs for labels. Scales and zero points stay, of weights and
//! of values; which level a weight takes is what is learned (compare Esser et al., "LSQ", ICLR 2020, where scales are, too). Weights and biases of nodes that
//! the plan leaves float are trained beside them. Where the error on the samples held back does not fall, the plan stays as it was.
//!
//! Refuses forms in which no floats stand for the integers on the way: what multiplies integers of ranges found at every call, and operators
//! of integers. Gates of recurrent layers, tables, weights that several nodes read and those in subgraphs keep their levels, and excluded nodes
//! all that they have; the report names them.

mod grid;
mod student;

use super::plan::QuantPlan;
use super::{Format, QuantOptions, short_floats};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::progress::Progress;
use crate::recover::{RecoverOptions, RecoverReport, Teacher, recover_within};
use student::Student;

/// Trains the weights that `plan` writes, and those that it leaves float in `model`, for which it was made, towards `teacher`.
///
/// # Errors
/// Usage, for a form that is not trained and for data that are too few; what the data or the runtimes refuse.
pub fn recover(
    teacher: Teacher,
    (model, plan): (&mut Model, &mut QuantPlan),
    dataset: &Dataset,
    options: &RecoverOptions,
    progress: &dyn Progress,
) -> Result<RecoverReport> {
    is_trained(&plan.options)?;
    let Student { model: mut student, bounds, layers, mut refused } = Student::of(model, plan)?;
    let mut report = recover_within(teacher, (&mut student, &bounds), dataset, options, progress)?;
    refused.append(&mut report.refused);
    report.refused = refused;
    if report.best == 0 {
        plan.notes.push(format!(
            "training did not lower the error on samples held back ({:.4}): the plan stays as it was",
            report.before
        ));
        return Ok(report);
    }
    layers.iter().try_for_each(|layer| layer.write(&student, model, plan))?;
    student::write_floats(&student, model);
    Ok(report)
}

/// Whether what these options make can be trained.
///
/// # Errors
/// Usage, naming what cannot.
pub fn is_trained(options: &QuantOptions) -> Result<()> {
    let format = options.effective_format();
    if short_floats::wanted(options.weights).is_some() {
        let name = options.weights.name();
        return Err(Error::usage(format!("--recover trains weights on a grid of integers; {name} has none")));
    }
    match format {
        Format::Qdq | Format::WeightOnly => Ok(()),
        _ => Err(Error::usage(format!(
            "--recover trains the qdq form and weights alone (--activations none), not the {format} form"
        ))),
    }
}
