//! Training under the quantization plan, at the end of all that decides.
//!
//! ```text
//! float ─► pruned ─► plan ─► trained ─► file ─► proof ─┬─ holds ─► done
//!   └── teacher ────────────────┘                      └─ plan with more nodes in float ─► trained anew ─► file ─► proof
//! ```

use std::time::Duration;

use super::{Decided, Job, Optimize, keep};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::mixed::{Promise, Subject};
use crate::progress::Progress;
use crate::quantize::{self, QuantOptions, QuantPlan};
use crate::recover::{Recover, RecoverReport, Teacher};
use crate::report::Report;
use crate::runtime::Runtime;

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
    if let (Some(wanted), Some(teacher), Some(plan)) = (o.job.recover, teacher, &mut report.plan) {
        let dataset = wanted.needs(dataset)?;
        let teacher = Teacher { model: &teacher.model, inside: teacher.inside };
        let options = wanted.options(o.job.seed);
        report.recovered = Some(quantize::recover(teacher, (&mut model, plan), dataset, &options, progress)?);
    }
    Ok(model)
}

/// What there is besides a model to train its plan.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// What is trained on.
    pub dataset: Option<&'a Dataset>,
    /// Of the order of samples.
    pub seed: u64,
    /// Runs the model for the promise, as long as the search may take.
    pub runtime: &'a dyn Runtime,
    /// Time for that search.
    pub limit: Duration,
}

/// The decided plan trained, and where a promise does not hold of it, one with nodes in float, trained too. Weights that stay float are
/// trained in `model`, which becomes what it was before it was made easier to quantize where nothing of it is.
///
/// # Errors
/// Usage, where there are no data; what the runtime says of the model, or the data of themselves.
pub fn finish(
    model: &mut Model,
    decided: &Decided,
    wanted: (Option<Recover>, Option<Promise>),
    ground: Ground,
    progress: &dyn Progress,
) -> Result<(QuantPlan, Option<RecoverReport>)> {
    let (mut plan, report) = finished(model, decided, wanted, ground, progress)?;
    if let Some(before) = decided.eased.as_ref().and_then(|eased| eased.undone(&mut plan)) {
        *model = before.clone();
    }
    Ok((plan, report))
}

fn finished(
    model: &mut Model,
    decided: &Decided,
    (wanted, promise): (Option<Recover>, Option<Promise>),
    ground: Ground,
    progress: &dyn Progress,
) -> Result<(QuantPlan, Option<RecoverReport>)> {
    let float = model.clone();
    let train = |model: &mut Model, plan: &mut QuantPlan| {
        let Some(wanted) = wanted else { return Ok(None) };
        let teacher = Teacher { model: &float, inside: true };
        let dataset = wanted.needs(ground.dataset)?;
        quantize::recover(teacher, (model, plan), dataset, &wanted.options(ground.seed), progress).map(Some)
    };
    let mut plan = decided.plan.clone();
    let report = train(model, &mut plan)?;
    let Some(promise) = promise else { return Ok((plan, report)) };
    let dataset = ground.dataset.ok_or_else(|| Error::usage("--max-drop and --min-sqnr are measured on --data"))?;
    let holds = |model: &Model, plan: &QuantPlan| -> Result<bool> {
        let subject = Subject::new(&float, (dataset, ground.runtime), progress)?;
        Ok(promise.kept_by(&subject.measure_of(model, plan, &subject.batches())?))
    };
    if report.is_some() {
        if holds(model, &plan)? {
            return Ok((plan, report));
        }
        *model = float.clone();
    }
    let mut kept = keep(&float, decided, promise, (dataset, ground.runtime, ground.limit), progress)?;
    plan = kept.clone();
    let report = train(model, &mut plan)?;
    if report.is_some() && !holds(model, &plan)? {
        *model = float;
        kept.notes.push(format!("not trained: {promise} would not hold"));
        return Ok((kept, None));
    }
    Ok((plan, report))
}
