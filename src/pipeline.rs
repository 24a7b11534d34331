//! The whole story: file → clean → prune → quantize → file → proof.

mod clean;
mod decide;
mod inspect;
mod plan;
mod train;
mod untimed;

use std::path::Path;
use std::time::{Duration, Instant};

pub use clean::{Clean, Cleaned, clean};
pub use decide::{Decided, RangeSource, decide};
pub use inspect::{Inspection, inspect};
pub use plan::{Job, Planned, Quantize, plan};
pub use train::trainable;

use crate::data::Dataset;
use crate::error::{ErrorKind, Result};
use crate::files::Trial;
use crate::ir::Model;
use crate::mixed::{self, Budget, Promise, Subject};
use crate::passes::{self, SimplifyOptions, SimplifyReport};
use crate::progress::Progress;
use crate::quantize::{self, QuantPlan, Switch};
use crate::report::{Beside, Report};
use crate::runtime::{Runtime, Shaped};
use crate::validate::accuracy::Accuracy;
use crate::validate::ran::ran;
use crate::validate::size::Size;
use crate::validate::{Gates, ValidateOptions, size, validate};
use crate::{analysis, onnx, target};
use train::{Unpruned, trained};

/// What [`optimize`] is to do.
pub struct Optimize<'a> {
    /// Where the result goes.
    pub output: &'a Path,
    /// What is done to the model.
    pub job: Job<'a>,
    /// Runs original and result for the proof.
    pub runtime: &'a dyn Runtime,
    /// Run them too, for the report alone.
    pub beside: Vec<&'a dyn Runtime>,
    /// How original and result are compared; `None` leaves the result unproven where nothing must hold of it.
    pub validate: Option<ValidateOptions>,
    /// What must hold of the result.
    pub gates: Gates,
}

/// Data for all that is fitted, and those for the proof where they are others.
pub struct Data {
    /// What is fitted to.
    pub calibration: Option<Dataset>,
    /// What proves; `None` where the same do.
    pub validation: Option<Dataset>,
}

impl Data {
    /// Those that prove.
    #[must_use]
    pub fn validation(&self) -> Option<&Dataset> {
        self.validation.as_ref().or(self.calibration.as_ref())
    }
}

/// Simplifies, prunes and quantizes, writes the file beside its place, reads it back and compares it with the original; what stands at the
/// end takes the place of the output. A runtime that cannot run them leaves the file, and the report says why it is unproven.
pub fn optimize(o: &Optimize, open: impl FnOnce(&Model) -> Result<Data>, progress: &dyn Progress) -> Result<Report> {
    let begin = Instant::now();
    let trial = Trial::beside(o.output)?;
    let written = &trial.path();
    trainable(o.job.recover, o.job.quantize.as_ref().map(|q| &q.options))?;
    let original = load(o.job.model)?;
    let data = open(&original)?;
    let (calibration, validation) = (data.calibration.as_ref(), data.validation().filter(|_| o.validate.is_some()));
    if let Some(dataset) = validation {
        measurable(o, &original, dataset)?;
    }
    // The result may take the place of the original.
    let before = weighed(&original, o.job.model, validation, o.job.prune.is_some())?;
    let mut model = original.clone();
    let planned = plan(&o.job, &mut model, calibration, progress)?;
    let (float, teacher, decided) = (&model, planned.teacher.as_ref(), planned.decided);
    let mut report = Report::new(o.job.model, o.output);
    report.simplify = planned.simplify;
    if let Some((plan, mut done)) = planned.prune {
        // What is fitted to these samples looks better on them than on others.
        if plan.is_fitted() && data.validation.is_none() {
            done.notes.push("proven on the data that the weights were fitted to: --eval proves on others".into());
        }
        (report.prune_plan, report.prune) = (Some(plan.told()), Some(done));
    }
    report.plan = decided.as_ref().map(|d| d.plan.clone());
    let eased = decided.as_ref().and_then(|d| d.eased.clone());
    let finished = |report: &mut Report, teacher: Option<&Unpruned>| -> Result<()> {
        let plain = eased.as_ref().zip(report.plan.as_mut()).and_then(|(eased, plan)| eased.undone(plan));
        let float = plain.unwrap_or(float);
        let trained = trained(o, teacher, float, calibration, report, progress)?;
        write(trained, written, report)?;
        // What is in the file need not be in memory while it is proven.
        prove((o, written), (&original, &before), validation, report, progress)
    };
    finished(&mut report, teacher)?;
    if let (Some(decided), Some(dataset)) = (decided, validation) {
        if let Some(mut better) = repaired(o, float, (decided, dataset), &report, progress)? {
            report.plan = Some(better.clone());
            finished(&mut report, teacher)?;
            if report.recovered.is_some() && !keeps_promise(o, &report) {
                better.notes.push(format!("not trained: {} would not hold", Promise::of(&o.gates)));
                report.plan = Some(better);
                finished(&mut report, None)?;
            }
        }
        if let Some(floats) = given_up(o, float, &report)? {
            report.plan = Some(floats);
            finished(&mut report, teacher)?;
        }
    }
    if let Some(clean) = as_it_came(o, &original, &mut report)? {
        onnx::emit(&clean, written)?;
        prove((o, written), (&original, &before), validation, &mut report, progress)?;
    }
    onnx::install(written, o.output)?;
    if let (Some(plan), None) = (&mut report.plan, &o.validate) {
        plan.notes.extend(untimed::slower((o.job.model, &original), o.output, plan, calibration));
    }
    if let (Some(dataset), Some(how)) = (validation, &o.validate) {
        look_closer(o, &original, (dataset, how), &mut report, progress)?;
    }
    report.seconds = begin.elapsed().as_secs_f64();
    Ok(report)
}

/// Refuses demands that these data cannot measure before any work is done; where the runtime cannot run the model, the report will say so.
fn measurable(o: &Optimize, original: &Model, dataset: &Dataset) -> Result<()> {
    if !o.gates.any() {
        return Ok(());
    }
    let batch = dataset.batch(0)?;
    let made = match Shaped::new(o.runtime, original, &[]).run(&batch.inputs) {
        Err(e) if e.kind() == ErrorKind::Runtime => return Ok(()),
        made => made?,
    };
    let mut same = Accuracy::of_outputs(original);
    same.add(&made, &made, batch.labels.as_deref());
    o.gates.measurable(same.task().as_ref(), &same.outputs())
}

/// Applies the plan to the float model, and writes the file.
fn write(mut model: Model, path: &Path, report: &mut Report) -> Result<()> {
    report.quantize = report.plan.as_ref().map(|plan| quantize::apply(&mut model, plan)).transpose()?;
    onnx::emit(&model, path)
}

/// Reads the file back and compares it with the original.
fn prove(
    (o, path): (&Optimize, &Path),
    (original, before): (&Model, &Size),
    dataset: Option<&Dataset>,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let written = onnx::load(path)?;
    let after = weighed(&written, path, dataset, report.prune.is_some())?;
    report.sizes = Some((*before, after));
    let (Some(dataset), Some(how)) = (dataset, &o.validate) else { return Ok(()) };
    // Nothing said of an earlier file stays beside this one.
    (report.validation, report.unproven, report.missed) = (None, None, Vec::new());
    match validate(original, &written, dataset, o.runtime, how, progress) {
        Ok(proof) => {
            o.gates.measured(&proof)?;
            report.missed = o.gates.missed(&proof);
            report.validation = Some(proof);
        }
        Err(e) if e.kind() == ErrorKind::Runtime => report.unproven = Some(e.to_string()),
        Err(e) => return Err(e),
    }
    Ok(())
}

/// What a model takes, its first batch for the work of a run; compressed, too, where zeros are to show.
fn weighed(model: &Model, path: &Path, dataset: Option<&Dataset>, pruned: bool) -> Result<Size> {
    let batch = dataset.map(|d| d.batch(0)).transpose()?;
    let mut size = size::size(model, path, batch.as_ref());
    if pruned {
        size.compressed = Some(size::packed(model, path)?);
    }
    Ok(size)
}

/// What of the file that stands at the end truly runs in integers, and how it does in other runtimes.
fn look_closer(
    o: &Optimize,
    original: &Model,
    (dataset, how): (&Dataset, &ValidateOptions),
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let written = onnx::load(o.output)?;
    let planned = report.plan.as_ref().map_or(Vec::new(), QuantPlan::in_integers);
    if report.unproven.is_none() && !planned.is_empty() {
        // File and proof are there already.
        match ran(&written, &planned, &dataset.batch(0)?.inputs, o.runtime) {
            Ok(found) => report.ran = Some(found),
            Err(e) => tracing::warn!("what of the plan runs in integers is not known: {e}"),
        }
    }
    for runtime in &o.beside {
        let found = validate(original, &written, dataset, *runtime, how, progress);
        report.beside.push(Beside::of(*runtime, found)?);
    }
    Ok(())
}

/// A plan with more nodes in float, where the proof shows that the target runs the result slower than the original, or that the
/// outputs moved further than they may.
fn repaired(
    o: &Optimize,
    float: &Model,
    (mut decided, dataset): (Decided, &Dataset),
    report: &Report,
    progress: &dyn Progress,
) -> Result<Option<QuantPlan>> {
    let (Some(wanted), Some(proof)) = (&o.job.quantize, &report.validation) else { return Ok(None) };
    let options = &decided.plan.options;
    let slower = proof.latency.as_ref().is_some_and(|l| l.speedup < 1.0) && o.runtime.name() == options.target;
    let times = slower && options.tune == Switch::Auto && !decided.is_timed();
    if times {
        decided.tune(float, &dataset.batch(0)?.inputs, o.runtime, progress)?;
    }
    if !keeps_promise(o, report) {
        let promise = Promise::of(&o.gates);
        return keep(float, &decided, promise, (dataset, o.runtime, wanted.time_budget), progress).map(Some);
    }
    Ok(times.then_some(decided.plan))
}

/// Whether the outputs moved no further than they may, as far as the proof tells.
fn keeps_promise(o: &Optimize, report: &Report) -> bool {
    let promise = Promise::of(&o.gates);
    // On made-up inputs only a demand means anything.
    let told = report.validation.as_ref().filter(|proof| !proof.random_data || promise != Promise::WithinNoise);
    told.is_none_or(|proof| promise.holds(proof.task.as_ref(), &proof.outputs))
}

/// What integers must bring, faster or smaller, where nodes that would lose went back to float.
const LEAST_SPEEDUP: f64 = 1.05;
const LEAST_SHRINK: f64 = 1.02;

/// The plan with all nodes in float, where the proof leaves no doubt that the target still runs the result slower than the original, in the
/// form that is the target's own, or where what is left in integers makes it neither faster nor smaller.
fn given_up(o: &Optimize, float: &Model, report: &Report) -> Result<Option<QuantPlan>> {
    let (Some(plan), Some(latency)) = (&report.plan, report.validation.as_ref().and_then(|v| v.latency.as_ref()))
    else {
        return Ok(None);
    };
    let options = &plan.options;
    let own = options.effective_format().name() == target::find(&options.target)?.format;
    let wanted = options.tune != Switch::Off && own && o.runtime.name() == options.target;
    let smaller = report.sizes.is_none_or(|(before, after)| before.bytes as f64 >= LEAST_SHRINK * after.bytes as f64);
    let useless = !smaller && latency.speedup < LEAST_SPEEDUP && o.job.prune.is_none();
    if !wanted || plan.quantized() == 0 || latency.speedup_high >= 1.0 && !useless {
        return Ok(None);
    }
    let no_smaller = if smaller { "" } else { ", and the file is no smaller" };
    let reason =
        format!("with nodes in integers the whole runs at {:.2}× in {}{no_smaller}", latency.speedup, latency.runtime);
    let mut floats = quantize::without(float, plan, &(0..plan.nodes.len()).map(|i| (i, reason.clone())).collect())?;
    floats.notes.push(format!("left in float: {reason}"));
    Ok(Some(floats))
}

/// The clean model without what is only done for the sake of integers, where the proof has left none.
fn as_it_came(o: &Optimize, original: &Model, report: &mut Report) -> Result<Option<Model>> {
    let options = o.job.simplify.as_ref().filter(|_| o.job.prune.is_none());
    let (Some(options), Some(done), Some(plan)) = (options, &report.simplify, &report.plan) else { return Ok(None) };
    let Some(floats) = options.without_integers(done, plan.quantized()) else { return Ok(None) };
    let mut clean = original.clone();
    report.simplify = Some(passes::simplify(&mut clean, &floats)?);
    Ok(Some(clean))
}

/// The decided plan for the float `model` with as few nodes in float as the promise needs on the data; itself where it holds.
///
/// # Errors
/// What the runtime says of the model, or the data of themselves.
pub fn keep(
    model: &Model,
    decided: &Decided,
    promise: Promise,
    (dataset, runtime, limit): (&Dataset, &dyn Runtime, Duration),
    progress: &dyn Progress,
) -> Result<QuantPlan> {
    let budget = Budget::new(limit);
    let subject = Subject::new(model, (dataset, runtime), progress)?;
    mixed::keep(&subject, &decided.plan, promise, budget, &|float| decided.again(model, float, progress))
}

/// The model in the file, of whose nodes every one has the inputs that it needs.
pub fn load(path: &Path) -> Result<Model> {
    let model = onnx::load(path)?;
    analysis::arity(&model).map_err(|e| e.in_file(path))?;
    Ok(model)
}

/// The model in the clean form in which it is calibrated and quantized, and what was done to it.
pub fn load_simplified(path: &Path, options: &SimplifyOptions) -> Result<(Model, SimplifyReport)> {
    let mut model = load(path)?;
    let report = passes::simplify(&mut model, options).map_err(|e| e.in_file(path))?;
    Ok((model, report))
}
