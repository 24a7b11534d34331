//! Training under the quantization plan, at the end of all that decides.
//!
//! ```text
//! float ─► pruned ─► plan ─► trained ─► file ─► proof ─┬─ holds ─► done
//!   └── teacher ────────────────┘                      └─ plan with more nodes in float ─► trained anew ─► file ─► proof
//! ```

use super::{Job, Optimize};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::progress::Progress;
use crate::quantize::{self, QuantOptions};
use crate::recover::{Recover, Teacher};
use crate::report::Report;

/// Refuses what cannot be trained at the end before any work is done.
///
/// # Errors
/// Usage, for a form of quantization that is not trained, and where there is none.
pub fn trainable(recover: Option<Recover>, quantize: Option<&QuantOptions>) -> Result<()> {
    match (recover, quantize) {
        (Some(_), Some(options)) => quantize::is_trained(options),
        (Some(_), None) => Err(Error::usage("--recover trains what was pruned or quantized: there is neither")),
        (None, _) => Ok(()),
    }
}

/// What a plan is trained towards: the float model that it was made for, or the one before pruning.
pub(super) struct Unpruned {
    model: Model,
    inside: bool,
}

impl Unpruned {
    /// Of the model before pruning and after, where they were kept, and what the plan is for: where deciding moved ranges from value to
    /// value, values inside are no longer those of the model before pruning.
    pub fn of(job: &Job, kept: Option<(Model, Model)>, decided: &Model) -> Option<Self> {
        let (clean, pruned) = kept?;
        Some(match job.prune {
            None => Unpruned { model: decided.clone(), inside: true },
            Some(_) => Unpruned { model: clean, inside: pruned.tensors().eq(decided.tensors()) },
        })
    }
}

/// The float model to write with the plan of `report`, both trained where that is asked for.
pub(super) fn trained(
    o: &Optimize,
    teacher: Option<&Unpruned>,
    float: &Model,
    dataset: Option<&Dataset>,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<Model> {
    let mut model = float.clone();
    report.recovered = None;
    if let (Some(wanted), Some(teacher), Some(plan)) = (o.job.recover, teacher, &mut report.plan) {
        let dataset = wanted.needs(dataset)?;
        let teacher = Teacher { model: &teacher.model, inside: teacher.inside };
        let options = wanted.options(o.job.seed);
        report.recovered = Some(quantize::recover(teacher, (&mut model, plan), dataset, &options, progress)?);
    }
    Ok(model)
}
