//! The whole story: file → clean → quantize → prune → file → proof.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::calibrate::{Calibrator, collect};
use crate::data::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::ir::Model;
use crate::mixed::{self, Budget, Promise, Subject};
use crate::passes::{self, SimplifyOptions, SimplifyReport};
use crate::progress::Progress;
use crate::prune::{self, PruneOptions};
use crate::quantize::algorithm::{self, ByData};
use crate::quantize::{self, QuantOptions, QuantPlan, Switch};
use crate::report::Report;
use crate::runtime::{self, Runtime};
use crate::target;
use crate::validate::{Gates, ValidateOptions, size, validate};
use crate::{analysis, calibrate::Ranges, onnx};

/// What [`optimize`] is to do.
pub struct Optimize<'a> {
    pub model: &'a Path,
    pub output: &'a Path,
    pub simplify: SimplifyOptions,
    pub prune: Option<PruneOptions>,
    /// `None` leaves the arithmetic in float.
    pub quantize: Option<QuantOptions>,
    pub calibrator: Calibrator,
    /// Ranges found before; else they are calibrated on the data.
    pub ranges: Option<PathBuf>,
    /// Runs the model on the data whose ranges are observed.
    pub calibration_runtime: &'a dyn Runtime,
    /// Runs original and result for the proof.
    pub runtime: &'a dyn Runtime,
    pub validate: ValidateOptions,
    pub gates: Gates,
    /// Time that the search for a plan that keeps the gates, or a drop within noise, may take.
    pub time_budget: Duration,
}

/// Data for calibration, and those for validation where they are others.
pub struct Data {
    pub calibration: Dataset,
    pub validation: Option<Dataset>,
}

impl Data {
    fn validation(&self) -> &Dataset {
        self.validation.as_ref().unwrap_or(&self.calibration)
    }
}

/// Simplifies, prunes and quantizes, writes the file, reads it back and compares it with the original. A runtime that
/// cannot run them leaves the file, and the report says why it is unproven.
pub fn optimize(
    o: &Optimize,
    open: impl FnOnce(&Model) -> Result<Option<Data>>,
    progress: &dyn Progress,
) -> Result<Report> {
    let begin = Instant::now();
    let original = load(o.model)?;
    let data = open(&original)?;
    let mut model = original.clone();
    let mut report = Report::new(o.model, o.output);

    report.simplify = Some(passes::simplify(&mut model, &o.simplify).map_err(|e| e.in_file(o.model))?);
    if let Some(options) = &o.prune {
        let plan = prune::plan(&model, options)?;
        report.prune = Some(prune::apply(&mut model, &plan)?);
    }
    let mut float = model;
    if let Some(options) = &o.quantize {
        let source = o.ranges.as_deref().map(RangeSource::File);
        let source =
            source.or(data.as_ref().map(|d| RangeSource::Data(&d.calibration, o.calibration_runtime, o.calibrator)));
        report.plan = Some(decide(&mut float, options, source, progress)?);
    }
    let proof = |report: &mut Report| prove(o, (&original, &float), data.as_ref(), report, progress);
    proof(&mut report)?;
    if let Some(better) = repaired(o, &float, data.as_ref(), &report, progress)? {
        report.plan = Some(better);
        proof(&mut report)?;
    }
    report.seconds = begin.elapsed().as_secs_f64();
    Ok(report)
}

/// Applies the plan to the float model, writes the file, reads it back and compares it with the original.
fn prove(
    o: &Optimize,
    (original, float): (&Model, &Model),
    data: Option<&Data>,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<()> {
    let mut model = float.clone();
    report.quantize = report.plan.as_ref().map(|plan| quantize::apply(&mut model, plan)).transpose()?;
    onnx::emit(&model, o.output)?;

    let written = onnx::load(o.output)?;
    let batch = data.map(|d| d.validation().batch(0)).transpose()?;
    let weigh = |model, path| size::size(model, path, batch.as_ref());
    report.sizes = Some((weigh(original, o.model), weigh(&written, o.output)));
    let Some(data) = data else { return Ok(()) };
    match validate(original, &written, data.validation(), o.runtime, &o.validate, progress) {
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

/// A plan with more nodes in float, where the proof shows that the outputs moved further than they may, or that the target runs the
/// result slower than the original.
fn repaired(
    o: &Optimize,
    float: &Model,
    data: Option<&Data>,
    report: &Report,
    progress: &dyn Progress,
) -> Result<Option<QuantPlan>> {
    let (Some(plan), Some(proof), Some(data)) = (&report.plan, &report.validation, data) else { return Ok(None) };
    let promise = Promise::of(&o.gates);
    let mut better = None;
    // On made-up inputs only a demand means anything.
    let judged = !proof.random_data || promise != Promise::WithinNoise;
    if judged && !promise.holds(proof.task.as_ref(), &proof.outputs) {
        better = Some(keep(float, plan, promise, (data.validation(), o.runtime, o.time_budget), progress)?);
    }
    let slower = proof.latency.as_ref().is_some_and(|l| l.speedup < 1.0);
    let target = target::find(&plan.options.target)?;
    if slower && plan.options.tune == Switch::Auto && o.runtime.name() == target.name && target.timed_in.is_none() {
        let inputs = data.validation().batch(0)?.inputs;
        let mut faster = better.unwrap_or_else(|| plan.clone());
        quantize::measure(float, &mut faster, &inputs, o.runtime, progress)?;
        better = Some(faster);
    }
    Ok(better)
}

/// `plan` for the float `model` with as few nodes in float as the promise needs on the data; itself where it holds.
///
/// # Errors
/// What the runtime says of the model, or the data of themselves.
pub fn keep(
    model: &Model,
    plan: &QuantPlan,
    promise: Promise,
    (dataset, runtime, limit): (&Dataset, &dyn Runtime, Duration),
    progress: &dyn Progress,
) -> Result<QuantPlan> {
    let budget = Budget::new(limit);
    mixed::keep(&Subject::new(model, (dataset, runtime), progress)?, plan, promise, budget)
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

/// Where the ranges of activations come from.
pub enum RangeSource<'a> {
    File(&'a Path),
    Data(&'a Dataset, &'a dyn Runtime, Calibrator),
}

/// The quantization plan, with ranges from a file or from data where the form needs them. With data, `model` is first made easier
/// to quantize where that pays ([`quantize::smooth`]), which the plan notes.
pub fn decide(
    model: &mut Model,
    options: &QuantOptions,
    source: Option<RangeSource>,
    progress: &dyn Progress,
) -> Result<QuantPlan> {
    let smoothed = match &source {
        Some(RangeSource::Data(dataset, runtime, calibrator)) => {
            let wanted = options.smooth == Switch::On || calibrator.leaves_choice();
            let options = QuantOptions { smooth: if wanted { options.smooth } else { Switch::Off }, ..options.clone() };
            quantize::smooth(model, &options, (dataset, *runtime), progress)?
        }
        _ => Vec::new(),
    };
    let model = &*model;
    let values = quantize::values_to_observe(model, options);
    let data = match source {
        Some(RangeSource::Data(dataset, ..)) if !values.is_empty() => Some(dataset),
        _ => None,
    };
    if data.is_none() && algorithm::find(&options.algorithm)?.by_data == ByData::Always {
        return Err(Error::usage(format!("algorithm {} needs --data and a static form", options.algorithm)));
    }
    let planned = |ranges: Option<&Ranges>| quantize::plan(model, ranges, options);
    let mut plan = match source {
        _ if values.is_empty() => planned(None)?,
        Some(RangeSource::File(path)) => {
            let ranges = Ranges::load(path)?;
            let missing = values.iter().filter(|v| ranges.get(v).is_none()).count();
            let plan = planned(Some(&ranges))?;
            if plan.quantized() == 0 && missing > 0 {
                let all = values.len();
                let message =
                    format!("lacks the range of {missing} of the {all} values that this model needs: it is another's");
                return Err(Error::input(message).in_file(path));
            }
            plan
        }
        Some(RangeSource::Data(dataset, runtime, calibrator)) => {
            let statistics = collect(model, dataset, runtime, calibrator, &values, progress)?;
            quantize::choose(model, options, &statistics, (dataset, runtime), progress)?.0
        }
        None => {
            let form = options.effective_format();
            return Err(Error::usage(format!(
                "the {form} form needs --data or --ranges; dynamic and weight-only need none"
            )));
        }
    };
    if let (Some(name), Some(data)) = (timed_in(options)?, data) {
        quantize::measure(model, &mut plan, &data.batch(0)?.inputs, runtime::find(name)?, progress)?;
    }
    plan.notes.extend(smoothed.iter().map(ToString::to_string));
    Ok(plan)
}

/// The runtime in which nodes are timed. A form that the user chose against the preset is wanted for something else than its speed there.
fn timed_in(options: &QuantOptions) -> Result<Option<&'static str>> {
    let preset = target::find(&options.target)?;
    Ok(match options.tune {
        Switch::On => Some(preset.name),
        Switch::Auto if options.effective_format().name() == preset.format => preset.timed_in,
        _ => None,
    })
}
