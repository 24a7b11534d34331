//! What is decided before anything is written: clean ─► prune ─► quantization plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::decide::{Decided, RangeSource, decide};
use super::train::Unpruned;
use crate::calibrate::Calibrator;
use crate::data::Dataset;
use crate::error::Result;
use crate::ir::Model;
use crate::passes::{self, SimplifyOptions, SimplifyReport};
use crate::progress::Progress;
use crate::prune::{self, PruneOptions, PrunePlan, PruneReport};
use crate::quantize::QuantOptions;
use crate::recover::Recover;
use crate::runtime::Runtime;

/// What is to be done to a model.
pub struct Job<'a> {
    /// Where it is.
    pub model: &'a Path,
    /// `None` leaves the graph as it is.
    pub simplify: Option<SimplifyOptions>,
    /// `None` leaves all weights.
    pub prune: Option<PruneOptions>,
    /// `None` leaves the arithmetic in float.
    pub quantize: Option<Quantize>,
    /// Training under the quantization plan; what is pruned alone is trained by its own options.
    pub recover: Option<Recover>,
    /// Of training.
    pub seed: u64,
    /// Runs the model on the data that decide.
    pub runtime: &'a dyn Runtime,
}

/// How the result of a [`Job`] is quantized.
pub struct Quantize {
    /// Form, types and algorithms.
    pub options: QuantOptions,
    /// How ranges follow from what is observed.
    pub calibrator: Calibrator,
    /// Ranges found before; else they are calibrated on the data.
    pub ranges: Option<PathBuf>,
    /// Time that the search for a plan that keeps the gates, or a drop within noise, may take.
    pub time_budget: Duration,
}

/// What a [`Job`] came to for a model, which is cleaned and pruned by then, and has yet to be quantized.
pub struct Planned<'a> {
    /// What clean-up did.
    pub simplify: Option<SimplifyReport>,
    /// What was pruned, and what came of it.
    pub prune: Option<(PrunePlan, PruneReport)>,
    /// How it is to be quantized.
    pub decided: Option<Decided<'a>>,
    /// What training under the plan is towards.
    pub(super) teacher: Option<Unpruned>,
}

/// Cleans and prunes `model`, and decides how it is quantized, from `data` where there are some.
///
/// # Errors
/// Usage, for what cannot be done together or without data; what the model, the data or the runtime refuse.
pub fn plan<'a>(
    job: &'a Job,
    model: &mut Model,
    data: Option<&'a Dataset>,
    progress: &dyn Progress,
) -> Result<Planned<'a>> {
    let simplify = job.simplify.as_ref().map(|options| passes::simplify(model, options)).transpose();
    let simplify = simplify.map_err(|e| e.in_file(job.model))?;
    // Only training asks for what was before.
    let kept = |model: &Model| job.recover.map(|_| model.clone());
    let clean = kept(model);
    let mut prune = None;
    if let Some(options) = &job.prune {
        let data = data.map(|dataset| prune::Data { dataset, runtime: job.runtime });
        prune = Some(prune::prune(model, options, data, progress)?);
    }
    let pruned = kept(model);
    let mut decided = None;
    if let Some(q) = &job.quantize {
        let source = q.ranges.as_deref().map(RangeSource::File);
        let source = source.or(data.map(|data| RangeSource::Data(data, job.runtime, q.calibrator)));
        decided = Some(decide(model, &q.options, source, progress)?);
    }
    let teacher = Unpruned::of(job, clean.zip(pruned), model);
    Ok(Planned { simplify, prune, decided, teacher })
}
